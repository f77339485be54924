/* A rescaling right behind an input is done while the batch is put together. */
#include "base/check.h"
#include "train/step.h"

double kata__step_take_rescale(kata_graph *graph, kata_value input) {
    const kata__node *found = NULL;
    double factor = 1;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const kata__node *node = &graph->nodes[i];
        for (int k = 0; k < node->n_inputs && !node->removed; k++) {
            if (node->inputs[k].id != input.id) {
                continue;
            }
            if (found != NULL || graph->values[input.id].type.dtype != KATA_F32 ||
                !kata__node_scale(graph, node, k, &factor)) {
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
