/* Constant folding: a node whose inputs are all constants is computed once, when the graph is made.
 */
#include <string.h>

#include "base/check.h"
#include "pass/pass.h"

#define FOLD_MAXIMUM ((int64_t)1 << 20)

bool kata__can_fold(const kata_graph *graph, const kata__node *node) {
    if ((node->op->flags & (KATA_OP_RANDOM | KATA_OP_UPDATE | KATA_OP_DYNAMIC)) != 0 ||
        node->removed || node->has_subgraphs) {
        return false;
    }
    for (int i = 0; i < node->n_inputs; i++) {
        const kata__value_info *info = kata__graph_info(graph, node->inputs[i]);
        bool known = info == NULL || info->kind == KATA__VALUE_CONSTANT ||
                     ((node->op->flags & KATA_OP_TYPE_ONLY) != 0 &&
                      kata_shape_count(&info->type.shape) >= 0);
        if (!known) {
            return false;
        }
    }
    for (int i = 0; i < node->n_outputs; i++) {
        int64_t count = kata_shape_count(&kata__graph_info(graph, node->outputs[i])->type.shape);
        const kata_type *type = &kata__graph_info(graph, node->outputs[i])->type;
        if (count < 0 || count > FOLD_MAXIMUM || type->kind != KATA_KIND_TENSOR ||
            type->dtype == KATA_STRING) {
            return false;
        }
    }
    return true;
}

static kata_status run(kata_graph *graph, const kata__node *node, const kata_tensor *inputs,
                       kata_tensor *outputs) {
    kata_call call = {.op = node->op,
                      .context = graph->context,
                      .attributes = node->attributes,
                      .n_inputs = node->n_inputs,
                      .n_outputs = node->n_outputs,
                      .inputs = inputs,
                      .outputs = outputs};
    if ((node->op->flags & KATA_OP_VIEW) != 0) {
        memcpy(outputs[0].data, inputs[0].data, kata_tensor_bytes(&inputs[0]));
        return KATA_OK;
    }
    if (node->op->workspace != NULL) {
        call.workspace_bytes = node->op->workspace(&call);
        call.workspace = kata__alloc(graph->context, call.workspace_bytes, 1);
        if (call.workspace == NULL) {
            return KATA_OUT_OF_MEMORY;
        }
    }
    kata_status status = kata__call_prepare(&call);
    if (status == KATA_OK) {
        status = node->op->reference(&call);
    }
    kata__call_release(&call);
    kata__free(graph->context, call.workspace);
    return status;
}

kata_status kata__fold(kata_graph *graph, kata__node *node) {
    kata_tensor inputs[KATA_MAX_INPUTS] = {{0}}, outputs[KATA_MAX_OUTPUTS] = {{0}};
    for (int i = 0; i < node->n_inputs; i++) {
        const kata__value_info *info = kata__graph_info(graph, node->inputs[i]);
        if (info != NULL) { /* of a node that needs types alone the data may be missing */
            inputs[i] = info->kind == KATA__VALUE_CONSTANT
                            ? info->constant
                            : kata_tensor_view(NULL, info->type.dtype, &info->type.shape);
        }
    }
    kata_status status = KATA_OK;
    for (int i = 0; i < node->n_outputs && status == KATA_OK; i++) {
        const kata_type *type = &kata__graph_info(graph, node->outputs[i])->type;
        status = kata_tensor_new(&outputs[i], graph->context, type->dtype, &type->shape);
    }
    if (status == KATA_OK) {
        status = run(graph, node, inputs, outputs);
    }
    if (status != KATA_OK) {
        for (int i = 0; i < node->n_outputs; i++) {
            kata_tensor_release(&outputs[i]);
        }
        return kata_fail_in(status, "%s", node->name);
    }
    for (int i = 0; i < node->n_outputs; i++) {
        kata__value_info *info = &graph->values[node->outputs[i].id];
        info->kind = KATA__VALUE_CONSTANT;
        info->constant = outputs[i];
    }
    node->removed = true;
    return KATA_OK;
}
