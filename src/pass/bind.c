/* Binding: the graph of one assignment of sizes, for training or for inference. */
#include <string.h>

#include "base/check.h"
#include "graph/copy.h"
#include "pass/pass.h"

typedef struct binding {
    kata__copier copy;
    const kata_size *sizes;
    int n_sizes;
    bool training;
} binding;

/* The number of an open size; its own if none is given. */
static int64_t number_of(const binding *b, int64_t size) {
    const char *name = kata_graph_size_name(b->copy.from, size);
    for (int i = 0; i < b->n_sizes && name != NULL; i++) {
        if (strcmp(b->sizes[i].name, name) == 0) {
            return b->sizes[i].value;
        }
    }
    return size;
}

static kata_status bind_input(kata__copier *copier, kata_value old, kata_type *type) {
    const binding *b = (const binding *)copier;
    for (int d = 0; d < type->shape.rank; d++) {
        const int64_t open = type->shape.dim[d];
        type->shape.dim[d] = number_of(b, open);
        if (type->shape.dim[d] < 0 && copier->holder == NULL) { /* a subgraph's may stay open */
            return kata_fail(
                KATA_INVALID,
                "the size %s of graph %s (input %s, axis %d) is open; give it a number",
                kata_graph_size_name(copier->from, open), copier->from->name,
                kata_value_name(copier->from, old), d);
        }
    }
    return KATA_OK;
}

/* What the row puts in the node's place. Random nodes of it draw the stream of the node. */
static kata_status bind_by_row(binding *b, const kata__node *node, const kata_value *inputs,
                               kata_value *outputs) {
    kata_graph *to = b->copy.to;
    const size_t first = to->n_nodes;
    kata_binding made = {.graph = to,
                         .op = node->op,
                         .name = node->name,
                         .attributes = node->attributes,
                         .n_inputs = node->n_inputs,
                         .n_outputs = node->n_outputs,
                         .inputs = inputs,
                         .outputs = outputs,
                         .training = b->training};
    for (int k = 0; k < node->n_outputs; k++) {
        outputs[k] = KATA_NONE;
    }
    kata_status status = node->op->bind(&made);
    if (status != KATA_OK) {
        return kata_fail_in(status, "%s", node->name);
    }
    KATA__TRY(to->status);
    for (size_t i = first; i < to->n_nodes; i++) {
        to->nodes[i].stream = node->stream;
    }
    for (int k = 0; k < node->n_outputs; k++) {
        if (kata__graph_info(to, outputs[k]) == NULL) {
            return kata_fail(KATA_INVALID, "%s: the bind rule of %s made no output %d", node->name,
                             node->op->name, k);
        }
    }
    return KATA_OK;
}

static bool is_among(kata_value value, const kata_value *list, int n) {
    for (int i = 0; i < n; i++) {
        if (list[i].id == value.id) {
            return true;
        }
    }
    return false;
}

static kata_status bind_node(kata__copier *copier, size_t i) {
    binding *b = (binding *)copier;
    const kata__node *node = &copier->from->nodes[i];
    kata_value inputs[KATA_MAX_INPUTS], outputs[KATA_MAX_OUTPUTS];
    for (int k = 0; k < node->n_inputs; k++) {
        KATA__TRY(kata__copy_value(copier, node->inputs[k], &inputs[k]));
    }
    if (node->op->bind != NULL) {
        KATA__TRY(bind_by_row(b, node, inputs, outputs));
    } else {
        KATA__TRY(kata__copy_node_on(copier, node, node->name, inputs, outputs));
        kata__node *added = &copier->to->nodes[copier->to->n_nodes - 1];
        if (kata__can_fold(copier->to, added)) {
            KATA__TRY(kata__fold(copier->to, added));
        }
    }
    for (int k = 0; k < node->n_outputs; k++) {
        if (is_among(outputs[k], inputs, node->n_inputs)) { /* keeps its name */
            copier->map[node->outputs[k].id] = outputs[k];
        } else {
            KATA__TRY(kata__copy_set(copier, node->outputs[k], outputs[k]));
        }
    }
    return KATA_OK;
}

/* The same in subgraphs. */
static kata_status bind_within(kata__copier *copier, kata__copier *inner) {
    binding b = *(const binding *)copier;
    b.copy = *inner;
    b.copy.input = bind_input;
    b.copy.node = bind_node;
    b.copy.within = bind_within;
    return kata__copy_within(&b.copy);
}

kata_status kata_graph_bind(kata_graph **out, const kata_graph *graph, const kata_size *sizes,
                            int n, bool training) {
    for (int i = 0; i < n; i++) {
        if (sizes[i].value < 0) {
            return kata_fail(KATA_INVALID, "the size %s must not be negative, got %lld",
                             sizes[i].name, (long long)sizes[i].value);
        }
    }
    binding b = {
        .copy = {.from = graph, .input = bind_input, .node = bind_node, .within = bind_within},
        .sizes = sizes,
        .n_sizes = n,
        .training = training};
    KATA__TRY(kata__copy_graph(&b.copy));
    *out = b.copy.to;
    return KATA_OK;
}
