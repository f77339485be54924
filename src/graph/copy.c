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

/* Copies of the node's subgraphs, by attribute, on the inputs of the node's copy. */
static kata_status copy_subgraphs(kata__copier *copier, const kata__node *node,
                                  const kata_value *inputs, kata_graph **subgraphs) {
    for (int k = 0; node->op->attributes[k].name != NULL; k++) {
        subgraphs[k] = NULL;
        if (node->op->attributes[k].type != KATA_ATTRIBUTE_GRAPH ||
            node->attributes[k].graph == NULL) {
            continue;
        }
        kata__copier inner = {
            .from = node->attributes[k].graph, .holder = node, .attribute = k, .inputs = inputs};
        KATA__TRY(kata_graph_subgraph(&inner.to, copier->to, inner.from->name));
        subgraphs[k] = inner.to;
        KATA__TRY(copier->within != NULL ? copier->within(copier, &inner)
                                         : kata__copy_within(&inner));
    }
    return KATA_OK;
}

static kata_status copy_holder(kata__copier *copier, const kata__node *node, const char *name,
                               const kata_value *inputs, kata_value *outputs) {
    int n = 0;
    while (node->op->attributes[n].name != NULL) {
        n++;
    }
    kata_graph **subgraphs = kata__alloc(copier->to->context, (size_t)n, sizeof *subgraphs);
    kata_status status =
        subgraphs == NULL ? KATA_OUT_OF_MEMORY : copy_subgraphs(copier, node, inputs, subgraphs);
    if (status == KATA_OK) {
        status = kata__node_add_like(copier->to, name, node, inputs, subgraphs, outputs);
    }
    kata__free(copier->to->context, subgraphs);
    return status;
}

kata_status kata__copy_node_on(kata__copier *copier, const kata__node *node, const char *name,
                               const kata_value *inputs, kata_value *outputs) {
    KATA__TRY(node->has_subgraphs
                  ? copy_holder(copier, node, name, inputs, outputs)
                  : kata__node_add_like(copier->to, name, node, inputs, NULL, outputs));
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
        copier->map[from->inputs[i].id] = kata__graph_input_of_type(copier->to, info->name, &type);
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

static kata_status copy_nodes(kata__copier *copier) {
    const kata_graph *from = copier->from;
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
    return KATA_OK;
}

static kata_status copy_all(kata__copier *copier) {
    if (copier->input == NULL || copier->from->n_subgraphs > 0) { /* else none are left */
        KATA__TRY(kata__graph_copy_sizes(copier->to, copier->from));
    }
    KATA__TRY(copy_inputs(copier));
    KATA__TRY(copy_variables(copier));
    copier->to->prepares = copier->from->prepares;
    return copy_nodes(copier);
}

/* The inputs of a subgraph, of types that the holder's row gives them. */
static kata_status copy_inner_inputs(kata__copier *inner) {
    const kata_graph *from = inner->from, *around = inner->to->outer;
    const kata__node *holder = inner->holder;
    kata_type types[KATA_MAX_INPUTS];
    if (from->n_inputs > KATA_MAX_INPUTS) {
        return kata_fail(KATA_LIMIT, "subgraph %s has more than %d inputs", from->name,
                         KATA_MAX_INPUTS);
    }
    for (size_t i = 0; i < from->n_inputs; i++) {
        types[i] = from->values[from->inputs[i].id].type;
        if (inner->input != NULL) {
            KATA__TRY(inner->input(inner, from->inputs[i], &types[i]));
        }
    }
    KATA__TRY(kata__node_infer_subgraph(around, holder->op, holder->attributes, inner->inputs,
                                        holder->n_inputs - holder->n_captured, inner->attribute,
                                        types, (int)from->n_inputs));
    for (size_t i = 0; i < from->n_inputs; i++) {
        inner->map[from->inputs[i].id] =
            kata__graph_input_of_type(inner->to, from->values[from->inputs[i].id].name, &types[i]);
    }
    return inner->to->status;
}

static kata_status copy_inner(kata__copier *inner) {
    const kata_graph *from = inner->from;
    KATA__TRY(copy_inner_inputs(inner));
    for (size_t i = 0; i < from->n_captures; i++) {
        inner->map[from->captures[i].inside.id] =
            kata_graph_capture(inner->to, inner->inputs[from->captures[i].input]);
        KATA__TRY(inner->to->status);
    }
    return copy_nodes(inner);
}

kata_status kata__copy_within(kata__copier *inner) {
    inner->map = kata__alloc_zero(inner->to->context, inner->from->n_values, sizeof *inner->map);
    kata_status status = inner->map == NULL ? KATA_OUT_OF_MEMORY : copy_inner(inner);
    kata__free(inner->to->context, inner->map);
    inner->map = NULL;
    return status;
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
