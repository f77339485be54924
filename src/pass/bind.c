/* Binding: the graph of one batch size, for training or for inference. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "pass/pass.h"

typedef struct binding {
    const kata_graph *from;
    kata_graph *to;
    kata_value *map; /* map[id in from] = value in to; KATA_NONE: not made yet */
    bool training;
} binding;

/* Gives a value the name that it has in the source graph. */
static kata_status keep_name(binding *b, kata_value old, kata_value new_value) {
    const kata__value_info *info = kata__graph_info(b->from, old);
    return kata__graph_name_value(b->to, new_value, info->name, info->named);
}

/* The value in the new graph; variables and constants are brought over at their first use. */
static kata_status lookup(binding *b, kata_value old, kata_value *out) {
    const kata__value_info *info = kata__graph_info(b->from, old);
    if (info == NULL || b->map[old.id].id != 0) {
        *out = info == NULL ? KATA_NONE : b->map[old.id];
        return KATA_OK;
    }
    if (info->kind == KATA__VALUE_VARIABLE) {
        *out = kata_graph_use_variable(b->to, info->variable);
    } else {
        *out = kata_graph_constant(b->to, NULL, &info->constant);
    }
    if (b->to->status != KATA_OK) {
        return b->to->status;
    }
    b->map[old.id] = *out;
    return keep_name(b, old, *out);
}

static kata_status bind_inputs(binding *b, int64_t batch) {
    for (size_t i = 0; i < b->from->n_inputs; i++) {
        kata_value old = b->from->inputs[i];
        const kata__value_info *info = kata__graph_info(b->from, old);
        kata_shape shape = info->type.shape;
        for (int d = 0; d < shape.rank; d++) {
            if (shape.dim[d] == KATA_UNKNOWN_DIM) {
                shape.dim[d] = batch;
            }
        }
        b->map[old.id] = kata_graph_input(b->to, info->name, info->type.dtype, &shape);
    }
    return b->to->status;
}

/* BatchNormalization while training: the batch's statistics, kept as outputs 3 and 4 for the
 * gradient, and the running ones written back to their variables. */
static kata_status bind_batch_norm(binding *b, const kata__node *node, const kata_value *inputs,
                                   const kata_attribute *attributes, int n_attributes,
                                   kata_value *outputs) {
    kata_attribute all[16];
    int n = 0;
    for (int i = 0; i < n_attributes && n < 15; i++) {
        if (strcmp(attributes[i].name, "training_mode") != 0) {
            all[n++] = attributes[i];
        }
    }
    all[n++] = (kata_attribute)KATA_INT("training_mode", 1);
    KATA__TRY(kata_graph_node_outputs(b->to, node->name, "BatchNormalization", inputs, 5, all, n,
                                      outputs, 5));
    for (int i = 0; i < 2; i++) {
        const kata__value_info *info = kata__graph_info(b->to, inputs[3 + i]);
        if (info->kind == KATA__VALUE_VARIABLE) {
            kata_value assigned;
            KATA__TRY(kata_graph_node_outputs(b->to, node->name, "kata:Assign",
                                              (kata_value[]){inputs[3 + i], outputs[1 + i]}, 2,
                                              NULL, 0, &assigned, 1));
        }
    }
    return KATA_OK;
}

static kata_status bind_node(binding *b, const kata__node *node) {
    kata_value inputs[KATA_MAX_INPUTS], outputs[KATA_MAX_OUTPUTS];
    kata_attribute attributes[64];
    int n_inputs = node->n_inputs, n_outputs = node->n_outputs;
    for (int i = 0; i < node->n_inputs; i++) {
        KATA__TRY(lookup(b, node->inputs[i], &inputs[i]));
    }
    int n_attributes = kata__node_attributes(node, attributes);
    bool ai_onnx = node->op->domain == NULL || node->op->domain[0] == '\0';
    bool dropout = ai_onnx && strcmp(node->op->name, "Dropout") == 0;
    if (dropout && !b->training && n_outputs == 1) {
        b->map[node->outputs[0].id] = inputs[0];
        return KATA_OK;
    }
    if (ai_onnx && b->training && strcmp(node->op->name, "BatchNormalization") == 0) {
        KATA__TRY(bind_batch_norm(b, node, inputs, attributes, n_attributes, outputs));
    } else {
        if (dropout) {
            inputs[1] = n_inputs > 1 ? inputs[1] : KATA_NONE;
            inputs[2] = kata_graph_scalar(b->to, KATA_BOOL, b->training ? 1 : 0);
            n_inputs = 3;
            n_outputs = 2;
        }
        char name[256];
        snprintf(name, sizeof name, "%s%s%s", node->op->domain != NULL ? node->op->domain : "",
                 ai_onnx ? "" : ":", node->op->name);
        KATA__TRY(kata_graph_node_outputs(b->to, node->name, name, inputs, n_inputs, attributes,
                                          n_attributes, outputs, n_outputs));
        kata__node *added = &b->to->nodes[b->to->n_nodes - 1];
        added->stream = node->stream;
        if (kata__can_fold(b->to, added)) {
            KATA__TRY(kata__fold(b->to, added));
        }
    }
    for (int i = 0; i < node->n_outputs; i++) {
        b->map[node->outputs[i].id] = outputs[i];
        KATA__TRY(keep_name(b, node->outputs[i], outputs[i]));
    }
    return KATA_OK;
}

static kata_status bind_all(binding *b, int64_t batch) {
    KATA__TRY(bind_inputs(b, batch));
    for (size_t i = 0; i < b->from->n_nodes; i++) {
        if (!b->from->nodes[i].removed) {
            KATA__TRY(bind_node(b, &b->from->nodes[i]));
        }
    }
    for (size_t i = 0; i < b->from->n_outputs; i++) {
        kata_value value;
        KATA__TRY(lookup(b, b->from->outputs[i], &value));
        KATA__TRY(kata_graph_output(b->to, NULL, value));
    }
    return KATA_OK;
}

kata_status kata_graph_bind(kata_graph **out, const kata_graph *graph, int64_t batch,
                            bool training) {
    if (graph->status != KATA_OK) {
        return kata_fail(graph->status, "%s", kata_graph_message(graph));
    }
    if (batch < 0) {
        return kata_fail(KATA_INVALID, "the batch size must not be negative, got %lld",
                         (long long)batch);
    }
    binding b = {.from = graph, .training = training};
    KATA__TRY(kata_graph_new(&b.to, graph->context, graph->name));
    b.map = kata__alloc_zero(graph->context, graph->n_values, sizeof *b.map);
    kata_status status = b.map == NULL ? KATA_OUT_OF_MEMORY : bind_all(&b, batch);
    kata__free(graph->context, b.map);
    if (status != KATA_OK) {
        kata_graph_free(b.to);
        return status;
    }
    *out = b.to;
    return KATA_OK;
}
