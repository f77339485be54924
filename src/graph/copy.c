/* Copying graphs: see copy.h. */
#include "graph/copy.h"

#include <assert.h>
#include <stdio.h>

#include "base/check.h"

kata_status kata__copy_set(kata__copier *copier, kata_value old, kata_value value) {
    const kata__value_info *info = &copier->from->values[old.id];
    copier->map[old.id] = value;
    return kata__graph_name_value(copier->to, value, info->name, info->named);
}

kata_status kata__copy_name(kata__copier *copier, kata_value old, kata_value value,
                            const char *suffix) {
    char name[256];
    snprintf(name, sizeof name, "%.200s/%s", copier->from->values[old.id].name, suffix);
    return kata__graph_name_value(copier->to, value, name, false);
}

kata_status kata__copy_value(kata__copier *copier, kata_value old, kata_value *out) {
    const kata__value_info *info = kata__graph_info(copier->from, old);
    *out = KATA_NONE;
    if (info == NULL) {
        return KATA_OK;
    }
    if (copier->map[old.id].id == 0 && info->kind == KATA__VALUE_CONSTANT) {
        kata_value value = kata_graph_constant(copier->to, NULL, &info->constant);
        KATA__TRY(copier->to->status);
        KATA__TRY(kata__copy_set(copier, old, value));
    } else if (copier->map[old.id].id == 0) {
        assert(copier->make != NULL);
        KATA__TRY(copier->make(copier, old));
    }
    *out = copier->map[old.id];
    return KATA_OK;
}

kata_status kata__copy_node_on(kata__copier *copier, const kata__node *node, const char *name,
                               const kata_value *inputs, kata_value *outputs) {
    KATA__TRY(kata__node_add_like(copier->to, name, node, inputs, outputs));
    copier->to->nodes[copier->to->n_nodes - 1].stream = node->stream;
    return KATA_OK;
}

kata_status kata__copy_node(kata__copier *copier, size_t i) {
    const kata__node *node = &copier->from->nodes[i];
    kata_value inputs[KATA_MAX_INPUTS], outputs[KATA_MAX_OUTPUTS];
    for (int k = 0; k < node->n_inputs; k++) {
        KATA__TRY(kata__copy_value(copier, node->inputs[k], &inputs[k]));
    }
    KATA__TRY(kata__copy_node_on(copier, node, node->name, inputs, outputs));
    for (int k = 0; k < node->n_outputs; k++) {
        KATA__TRY(kata__copy_set(copier, node->outputs[k], outputs[k]));
    }
    return KATA_OK;
}

static kata_status copy_inputs(kata__copier *copier) {
    const kata_graph *from = copier->from;
    for (size_t i = 0; i < from->n_inputs; i++) {
        const kata__value_info *info = &from->values[from->inputs[i].id];
        kata_type type = info->type;
        if (copier->input != NULL) {
            KATA__TRY(copier->input(copier, from->inputs[i], &type));
        }
        copier->map[from->inputs[i].id] =
            kata_graph_input(copier->to, info->name, type.dtype, &type.shape);
    }
    return copier->to->status;
}

static kata_status copy_variable(kata__copier *copier, kata_value old) {
    const kata__value_info *info = kata__graph_info(copier->from, old);
    if (info == NULL || info->kind != KATA__VALUE_VARIABLE || copier->map[old.id].id != 0) {
        return KATA_OK;
    }
    kata_value value = kata_graph_use_variable(copier->to, info->variable);
    KATA__TRY(copier->to->status);
    return kata__copy_set(copier, old, value);
}

/* Before the nodes, so that their names are free, in the order in which nodes read them. What
 * nobody reads stays behind. */
static kata_status copy_variables(kata__copier *copier) {
    const kata_graph *from = copier->from;
    for (size_t i = 0; i < from->n_nodes; i++) {
        for (int k = 0; k < from->nodes[i].n_inputs && !from->nodes[i].removed; k++) {
            KATA__TRY(copy_variable(copier, from->nodes[i].inputs[k]));
        }
    }
    for (size_t i = 0; i < from->n_outputs; i++) {
        KATA__TRY(copy_variable(copier, from->outputs[i]));
    }
    return KATA_OK;
}

static kata_status copy_all(kata__copier *copier) {
    const kata_graph *from = copier->from;
    KATA__TRY(copy_inputs(copier));
    KATA__TRY(copy_variables(copier));
    for (size_t i = 0; i < from->n_nodes; i++) {
        if (!from->nodes[i].removed) {
            KATA__TRY(copier->node != NULL ? copier->node(copier, i) : kata__copy_node(copier, i));
        }
    }
    for (size_t i = 0; i < from->n_outputs; i++) {
        kata_value value;
        KATA__TRY(kata__copy_value(copier, from->outputs[i], &value));
        KATA__TRY(kata_graph_output(copier->to, NULL, value));
    }
    copier->to->prepares = from->prepares;
    return KATA_OK;
}

kata_status kata__copy_graph(kata__copier *copier) {
    const kata_graph *from = copier->from;
    if (from->status != KATA_OK) {
        return kata_fail(from->status, "%s", kata_graph_message(from));
    }
    KATA__TRY(kata_graph_new(&copier->to, from->context, from->name));
    copier->map = kata__alloc_zero(from->context, from->n_values, sizeof *copier->map);
    kata_status status = copier->map == NULL ? KATA_OUT_OF_MEMORY : copy_all(copier);
    kata__free(from->context, copier->map);
    copier->map = NULL;
    if (status != KATA_OK) {
        kata_graph_free(copier->to);
        copier->to = NULL;
    }
    return status;
}
