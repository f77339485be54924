/* Updates with their gradients: where the gradient of a parameter is a matrix product that the
 * optimiser alone reads, both become one node, which applies each part of the gradient as soon as
 * it is computed. The gradient then takes no memory, and is not written to it and read again.
 * Where the weights stay in the caches that gains no time, and the two stay apart, but for plain
 * SGD, whose step is how the product stores. Every number keeps its bits.
 *
 * The new node stands where updates stand, behind everything else, so that no parameter changes
 * before all gradients of activations are known to be finite; what the product reads lives until
 * then. Should that take more memory than the gradients did, all stays as it was. */
#include "base/check.h"
#include "op/problem.h"
#include "pass/pass.h"

/* Weights, gradient and states: so many bytes do not stay in the caches, and so many are worth a
 * product that adds to the weights itself, as plain SGD's does. */
enum { FAR_BYTES = 512 << 10, ADDED_BYTES = 64 << 10 };

/* By value: how many nodes read it, and the graph itself if it is an output. */
static void count_uses(const kata_graph *graph, int32_t *uses) {
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const kata__node *node = &graph->nodes[i];
        for (int k = 0; k < node->n_inputs && !node->removed; k++) {
            uses[node->inputs[k].id]++;
        }
    }
    for (size_t i = 0; i < graph->n_outputs; i++) {
        uses[graph->outputs[i].id]++;
    }
}

/* Nothing writes it: it is no variable. */
static bool stays(const kata_graph *graph, kata_value value) {
    const kata__value_info *root = &graph->values[kata__viewed(graph, value).id];
    return root->kind == KATA__VALUE_INPUT || root->kind == KATA__VALUE_CONSTANT ||
           (root->kind == KATA__VALUE_NODE &&
            (graph->nodes[root->node].op->flags & KATA_OP_UPDATE) == 0);
}

/* When a value's memory is written; -1: before the graph runs. */
static int32_t made_at(const kata_graph *graph, kata_value value) {
    const kata__value_info *root = &graph->values[kata__viewed(graph, value).id];
    return root->kind == KATA__VALUE_NODE ? root->node : -1;
}

static bool gains(const kata_graph *graph, const kata__node *update) {
    const kata_type *type = &graph->values[update->inputs[0].id].type;
    const bool adds = kata__step_adds(update->op, update->attributes);
    return kata_shape_count(&type->shape) * (int64_t)kata_dtype_size(type->dtype) *
               (update->n_outputs + 1) >=
           (adds ? ADDED_BYTES : FAR_BYTES);
}

/* Puts the product and the update of nodes[i] into one node at the end, if they fit. */
static kata_status fuse(kata_graph *graph, size_t i, const int32_t *uses) {
    const kata__node update = graph->nodes[i];
    const int n = update.n_outputs;
    if (update.removed || !kata__is_optimizer_step(update.op) || !gains(graph, &update) ||
        uses[update.inputs[n].id] != 1 ||
        graph->values[update.inputs[n].id].kind != KATA__VALUE_NODE) {
        return KATA_OK;
    }
    for (int k = 0; k < n; k++) {
        if (uses[update.outputs[k].id] != 0) {
            return KATA_OK;
        }
    }
    kata__node *product = &graph->nodes[graph->values[update.inputs[n].id].node];
    if (product->op != &kata__op_Gemm || (product->n_inputs > 2 && product->inputs[2].id != 0) ||
        !stays(graph, product->inputs[0]) || !stays(graph, product->inputs[1])) {
        return KATA_OK;
    }
    /* The gradient of what the layer gave is made after what the layer read. */
    const bool g_first = made_at(graph, product->inputs[0]) > made_at(graph, product->inputs[1]);
    const kata_value g = product->inputs[g_first ? 0 : 1], x = product->inputs[g_first ? 1 : 0];
    kata_value inputs[KATA_MAX_INPUTS], outputs[KATA_MAX_OUTPUTS];
    int n_inputs = 0;
    for (int k = 0; k < n; k++) {
        inputs[n_inputs++] = update.inputs[k];
    }
    inputs[n_inputs++] = g;
    inputs[n_inputs++] = x;
    for (int k = n + 1; k < update.n_inputs; k++) {
        inputs[n_inputs++] = update.inputs[k];
    }
    /* Gemm's attributes and the rule's are GemmUpdate's too, but for beta, which has no C here. */
    kata_attribute all[2 * KATA_MAX_ATTRIBUTES], given[2 * KATA_MAX_ATTRIBUTES + 2];
    int n_given = 0, n_all = kata_attributes_given(product->op, product->attributes, all);
    n_all += kata_attributes_given(update.op, update.attributes, all + n_all);
    for (int k = 0; k < n_all; k++) {
        if (kata__op_attribute(&kata__op_kata_GemmUpdate, all[k].name) >= 0) {
            given[n_given++] = all[k];
        }
    }
    given[n_given++] = (kata_attribute)KATA_STRING("rule", update.op->name);
    given[n_given++] = (kata_attribute)KATA_INT("g_first", g_first);
    product->removed = graph->nodes[i].removed = true;
    return kata_graph_node_outputs(graph, update.name, "kata:GemmUpdate", inputs, n_inputs, given,
                                   n_given, outputs, n);
}

/* All nodes from `first` on go, and those that they have replaced come back. */
static void undo(kata_graph *graph, size_t first, const bool *was_removed) {
    for (size_t i = 0; i < graph->n_nodes; i++) {
        graph->nodes[i].removed = i >= first || was_removed[i];
    }
}

static kata_status fuse_all(kata_graph *graph, const int32_t *uses, const bool *was_removed,
                            kata__arena_of arena_of) {
    const size_t n = graph->n_nodes;
    size_t before, after;
    KATA__TRY(arena_of(&before, graph));
    for (size_t i = 0; i < n; i++) {
        KATA__TRY(fuse(graph, i, uses));
    }
    if (graph->n_nodes > n) {
        KATA__TRY(arena_of(&after, graph));
        if (after > before) {
            undo(graph, n, was_removed);
        }
    }
    return KATA_OK;
}

kata_status kata__graph_fuse_updates(kata_graph *graph, kata__arena_of arena_of) {
    int32_t *uses = kata__alloc_zero(graph->context, graph->n_values, sizeof *uses);
    bool *was_removed = kata__alloc(graph->context, graph->n_nodes + 1, sizeof *was_removed);
    kata_status status = KATA_OUT_OF_MEMORY;
    if (uses != NULL && was_removed != NULL) {
        count_uses(graph, uses);
        for (size_t i = 0; i < graph->n_nodes; i++) {
            was_removed[i] = graph->nodes[i].removed;
        }
        status = fuse_all(graph, uses, was_removed, arena_of);
    }
    kata__free(graph->context, uses);
    kata__free(graph->context, was_removed);
    return status;
}
