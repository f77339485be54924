/* Simplification: nodes of constants are computed, Identity is taken out, what reaches nothing
 * goes. */
#include "base/check.h"
#include "pass/pass.h"

/* Uses of an Identity's output become uses of its input, except where the output is the graph's. */
static void bypass_identities(kata_graph *graph, kata_value *forward) {
    for (size_t i = 0; i < graph->n_values; i++) {
        forward[i] = (kata_value){(int32_t)i};
    }
    for (size_t i = 0; i < graph->n_nodes; i++) {
        kata__node *node = &graph->nodes[i];
        for (int k = 0; k < node->n_inputs; k++) {
            node->inputs[k] = forward[node->inputs[k].id];
        }
        if (!node->removed && (node->op->flags & KATA_OP_IDENTITY) != 0) {
            forward[node->outputs[0].id] = node->inputs[0];
        }
    }
}

static void mark_live(kata_graph *graph, bool *live) {
    for (size_t i = 0; i < graph->n_outputs; i++) {
        live[graph->outputs[i].id] = true;
    }
    for (size_t i = graph->n_nodes; i > 0; i--) {
        kata__node *node = &graph->nodes[i - 1];
        bool keep = !node->removed && (node->op->flags & KATA_OP_UPDATE) != 0;
        for (int k = 0; k < node->n_outputs && !node->removed; k++) {
            keep = keep || live[node->outputs[k].id];
        }
        node->removed = !keep;
        for (int k = 0; k < node->n_inputs && keep; k++) {
            live[node->inputs[k].id] = true;
        }
    }
}

kata_status kata_graph_simplify(kata_graph *graph) {
    if (graph->status != KATA_OK) {
        return kata_fail(graph->status, "%s", kata_graph_message(graph));
    }
    for (size_t i = 0; i < graph->n_nodes; i++) {
        if (kata__can_fold(graph, &graph->nodes[i])) {
            KATA__TRY(kata__fold(graph, &graph->nodes[i]));
        }
    }
    kata_value *forward = kata__alloc(graph->context, graph->n_values, sizeof *forward);
    bool *live = kata__alloc_zero(graph->context, graph->n_values, sizeof *live);
    if (forward != NULL && live != NULL) {
        bypass_identities(graph, forward);
        mark_live(graph, live);
    }
    kata_status status = forward == NULL || live == NULL ? KATA_OUT_OF_MEMORY : KATA_OK;
    kata__free(graph->context, forward);
    kata__free(graph->context, live);
    return status;
}
