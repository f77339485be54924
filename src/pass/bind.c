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
    KATA__TRY(kata_graph_node_outputs(b->copy.to, node->name, "BatchNormalization", inputs, 5, all,
                                      n, outputs, 5));
    for (int i = 0; i < 2; i++) {
        const kata__value_info *info = kata__graph_info(b->copy.to, inputs[3 + i]);
        if (info->kind == KATA__VALUE_VARIABLE) {
            kata_value assigned;
            KATA__TRY(kata_graph_node_outputs(b->copy.to, node->name, "kata:Assign",
                                              (kata_value[]){inputs[3 + i], outputs[1 + i]}, 2,
                                              NULL, 0, &assigned, 1));
        }
    }
    return KATA_OK;
}

static kata_status bind_node(kata__copier *copier, size_t i) {
    binding *b = (binding *)copier;
    const kata__node *node = &copier->from->nodes[i];
    kata_value inputs[KATA_MAX_INPUTS], outputs[KATA_MAX_OUTPUTS];
    kata_attribute attributes[64];
    bool ai_onnx = node->op->domain == NULL || node->op->domain[0] == '\0';
    bool dropout = ai_onnx && strcmp(node->op->name, "Dropout") == 0;
    for (int k = 0; k < node->n_inputs; k++) {
        KATA__TRY(kata__copy_value(copier, node->inputs[k], &inputs[k]));
    }
    if (dropout && !b->training && node->n_outputs == 1) {
        copier->map[node->outputs[0].id] = inputs[0];
        return KATA_OK;
    }
    if (ai_onnx && b->training && strcmp(node->op->name, "BatchNormalization") == 0) {
        int n_attributes = kata__node_attributes(node, attributes);
        KATA__TRY(bind_batch_norm(b, node, inputs, attributes, n_attributes, outputs));
    } else if (dropout) {
        int n_attributes = kata__node_attributes(node, attributes);
        inputs[1] = node->n_inputs > 1 ? inputs[1] : KATA_NONE;
        inputs[2] = kata_graph_scalar(copier->to, KATA_BOOL, b->training ? 1 : 0);
        KATA__TRY(kata_graph_node_outputs(copier->to, node->name, "Dropout", inputs, 3, attributes,
                                          n_attributes, outputs, 2));
        copier->to->nodes[copier->to->n_nodes - 1].stream = node->stream;
    } else {
        KATA__TRY(kata__copy_node_on(copier, node, node->name, inputs, outputs));
        kata__node *added = &copier->to->nodes[copier->to->n_nodes - 1];
        if (kata__can_fold(copier->to, added)) {
            KATA__TRY(kata__fold(copier->to, added));
        }
    }
    for (int k = 0; k < node->n_outputs; k++) {
        KATA__TRY(kata__copy_set(copier, node->outputs[k], outputs[k]));
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
