/* A rescaling right behind an input is done while the batch is put together. */
#include <string.h>

#include "base/check.h"
#include "train/step.h"

/* The other input of a Mul of an input of the graph, where that is one constant number. */
static bool is_rescale(const kata_graph *graph, const kata__node *node, kata_value input,
                       double *factor) {
    if (node->op->domain[0] != '\0' || strcmp(node->op->name, "Mul") != 0) {
        return false;
    }
    kata_value other = node->inputs[node->inputs[0].id == input.id ? 1 : 0];
    const kata__value_info *info = &graph->values[other.id];
    if (other.id == input.id || info->kind != KATA__VALUE_CONSTANT ||
        info->constant.dtype != KATA_F32 || kata_tensor_count(&info->constant) != 1 ||
        !kata_shape_equal(&graph->values[node->outputs[0].id].type.shape,
                          &graph->values[input.id].type.shape)) {
        return false;
    }
    *factor = kata_load(KATA_F32, info->constant.data, 0);
    return true;
}

double kata__step_take_rescale(kata_graph *graph, kata_value input) {
    const kata__node *found = NULL;
    double factor = 1;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const kata__node *node = &graph->nodes[i];
        for (int k = 0; k < node->n_inputs && !node->removed; k++) {
            if (node->inputs[k].id != input.id) {
                continue;
            }
            if (found != NULL || !is_rescale(graph, node, input, &factor)) {
                return 1;
            }
            found = node;
        }
    }
    for (size_t i = 0; i < graph->n_outputs && found != NULL; i++) {
        if (graph->outputs[i].id == input.id || graph->outputs[i].id == found->outputs[0].id) {
            return 1;
        }
    }
    for (size_t i = 0; i < graph->n_nodes && found != NULL; i++) {
        for (int k = 0; k < graph->nodes[i].n_inputs; k++) {
            kata_value *use = &graph->nodes[i].inputs[k];
            *use = use->id == found->outputs[0].id ? input : *use;
        }
    }
    return factor;
}
