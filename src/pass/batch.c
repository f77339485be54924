/* Whether a graph mixes the samples of a batch: each row says where its outputs have them, given
 * where its inputs have them (`batch` in kata/op.h). */
#include "base/check.h"
#include "op/batch.h"
#include "pass/pass.h"

/* The axes of a node's outputs, by value in `axes`. */
static void follow(const kata_graph *graph, const kata__node *node, int64_t size, int *axes) {
    kata_type inputs[KATA_MAX_INPUTS] = {{0}}, outputs[KATA_MAX_OUTPUTS];
    const kata_tensor *constants[KATA_MAX_INPUTS];
    int input_axes[KATA_MAX_INPUTS], output_axes[KATA_MAX_OUTPUTS];
    bool any = false, mixed = false;
    for (int k = 0; k < node->n_inputs; k++) {
        const kata__value_info *info = kata__graph_info(graph, node->inputs[k]);
        inputs[k] = info != NULL ? info->type : (kata_type){0};
        constants[k] = kata__graph_constant_of(graph, node->inputs[k]);
        input_axes[k] = info != NULL ? axes[node->inputs[k].id] : KATA_BATCH_NONE;
        any = any || input_axes[k] >= 0;
        mixed = mixed || input_axes[k] == KATA_BATCH_MIXED;
    }
    const uint32_t flags = node->op->flags;
    const bool same = !any && !mixed && (flags & KATA_OP_RANDOM) == 0;
    for (int k = 0; k < node->n_outputs; k++) {
        outputs[k] = kata__graph_info(graph, node->outputs[k])->type;
        output_axes[k] =
            same || (flags & KATA_OP_TYPE_ONLY) != 0 ? KATA_BATCH_NONE : KATA_BATCH_MIXED;
    }
    if (any && !mixed && (flags & (KATA_OP_UPDATE | KATA_OP_TYPE_ONLY)) == 0) {
        kata_batch batch = {.op = node->op,
                            .attributes = node->attributes,
                            .n_inputs = node->n_inputs,
                            .n_outputs = node->n_outputs,
                            .inputs = inputs,
                            .outputs = outputs,
                            .constants = constants,
                            .size = size,
                            .input_axes = input_axes,
                            .output_axes = output_axes};
        (node->op->batch != NULL ? node->op->batch : kata__batch_by_flags)(&batch);
    }
    for (int k = 0; k < node->n_outputs; k++) {
        axes[node->outputs[k].id] = output_axes[k];
    }
}

kata_status kata__graph_batch_axes(const kata_graph *graph, int64_t size, int *axes) {
    int *all = kata__alloc(graph->context, graph->n_values, sizeof *all);
    if (all == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    for (size_t i = 0; i < graph->n_values; i++) {
        all[i] = KATA_BATCH_NONE;
    }
    for (size_t i = 0; i < graph->n_inputs; i++) {
        const kata_shape *shape = &graph->values[graph->inputs[i].id].type.shape;
        const bool has_samples = shape->rank > 0 && shape->dim[0] == size;
        all[graph->inputs[i].id] = has_samples ? 0 : KATA_BATCH_MIXED;
    }
    for (size_t i = 0; i < graph->n_nodes; i++) {
        if (!graph->nodes[i].removed) {
            follow(graph, &graph->nodes[i], size, all);
        }
    }
    for (size_t i = 0; i < graph->n_outputs; i++) {
        axes[i] = all[graph->outputs[i].id];
    }
    kata__free(graph->context, all);
    return KATA_OK;
}
