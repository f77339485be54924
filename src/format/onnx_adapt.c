/* ONNX, second step of reading: a node of the model's operator set -> a node of the row's, by what
 * the row says has changed. What a row can do nothing with is refused by name. */
#include "format/onnx.h"
#include "base/check.h"
#include "graph/graph.h"

#include <stdio.h>
#include <string.h>

/* The attribute's value as a constant initialiser "OUTPUT/kata.ATTRIBUTE". */
static kata_status add_initializer(kata__onnx_model *model, const kata__onnx_node *node,
                                   const kata__onnx_attribute *attribute, const char **name) {
    if (attribute->type != KATA__ONNX_FLOAT && attribute->type != KATA__ONNX_INT &&
        attribute->type != KATA__ONNX_INTS) {
        return kata_fail(KATA_FORMAT, "attribute %.200s is of the wrong type", attribute->name);
    }
    bool is_float = attribute->type == KATA__ONNX_FLOAT;
    size_t count = attribute->type == KATA__ONNX_INTS ? (size_t)attribute->n : 1;
    kata__onnx_tensor tensor = {.dtype = is_float ? KATA_F32 : KATA_I64,
                                .n_bytes = count * (is_float ? sizeof(float) : sizeof(int64_t))};
    if (!is_float) {
        tensor.shape = (kata_shape){.rank = 1, .dim = {(int64_t)count}};
    }
    const void *from = is_float                             ? (const void *)&attribute->f
                       : attribute->type == KATA__ONNX_INTS ? (const void *)attribute->ints
                                                            : (const void *)&attribute->i;
    uint8_t *raw = kata__arena_alloc(&model->arena, tensor.n_bytes + 1, 1);
    size_t size = strlen(node->outputs[0]) + strlen(attribute->name) + sizeof "/kata.";
    char *text = kata__arena_alloc(&model->arena, size, 1);
    kata__onnx_tensor *initializers = kata__onnx_with_room(
        &model->arena, model->initializers, model->n_initializers, sizeof *initializers);
    if (raw == NULL || text == NULL || initializers == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    if (tensor.n_bytes > 0) {
        memcpy(raw, from, tensor.n_bytes);
    }
    snprintf(text, size, "%s/kata.%s", node->outputs[0], attribute->name);
    tensor.raw = raw;
    tensor.name = *name = text;
    initializers[model->n_initializers++] = tensor;
    model->initializers = initializers;
    return KATA_OK;
}

static kata_status move_attribute(kata__onnx_model *model, kata__onnx_node *node, int attribute,
                                  int input) {
    const char *name = NULL;
    KATA__TRY(add_initializer(model, node, &node->attributes[attribute], &name));
    int n_inputs = node->n_inputs > input + 1 ? node->n_inputs : input + 1;
    const char **inputs = kata__arena_alloc(&model->arena, (size_t)n_inputs, sizeof *inputs);
    if (inputs == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    for (int i = 0; i < n_inputs; i++) {
        inputs[i] = i < node->n_inputs ? node->inputs[i] : "";
    }
    if (inputs[input][0] != '\0') {
        return kata_fail(KATA_FORMAT, "it has %s as an attribute and as an input",
                         node->attributes[attribute].name);
    }
    inputs[input] = name;
    node->inputs = inputs;
    node->n_inputs = n_inputs;
    node->attributes[attribute] = node->attributes[--node->n_attributes];
    return KATA_OK;
}

static int find_attribute(const kata__onnx_node *node, const char *name) {
    int k = 0;
    while (k < node->n_attributes && strcmp(node->attributes[k].name, name) != 0) {
        k++;
    }
    return k < node->n_attributes ? k : -1;
}

static kata_status apply_change(kata__onnx_model *model, kata__onnx_node *node, const kata_op *row,
                                const kata_op_change *change, int64_t opset) {
    int k = change->attribute != NULL ? find_attribute(node, change->attribute) : -1;
    if (k >= 0 && change->kind == KATA_ATTRIBUTE_IGNORED) {
        node->attributes[k] = node->attributes[--node->n_attributes];
    } else if (k >= 0 && change->kind == KATA_ATTRIBUTE_TO_INPUT && opset < change->opset &&
               kata__op_attribute(row, change->attribute) < 0) { /* a row may take both forms */
        return move_attribute(model, node, k, change->input);
    }
    return KATA_OK;
}

kata_status kata__onnx_adapt(kata__onnx_model *model, kata__onnx_node *node, const kata_op *row) {
    int64_t opset = kata__onnx_opset_of(model, node->domain);
    if (opset == 0) {
        return kata_fail(KATA_FORMAT, "the model does not import the operator set \"%.200s\"",
                         node->domain);
    }
    if (opset < row->since) {
        return kata_fail(KATA_UNSUPPORTED,
                         "%s of operator set %lld meant something else than since %d; convert the "
                         "model with onnx.version_converter to %d",
                         row->name, (long long)opset, row->since,
                         node->domain[0] == '\0' && row->since < KATA__ONNX_OPSET ? KATA__ONNX_OPSET
                                                                                  : row->since);
    }
    if (opset < 6 && node->domain[0] == '\0') { /* what operators of a framework wrote in place */
        int k = find_attribute(node, "consumed_inputs");
        if (k >= 0) {
            node->attributes[k] = node->attributes[--node->n_attributes];
        }
    }
    for (int i = 0; row->changes != NULL && row->changes[i].kind != KATA_CHANGE_END; i++) {
        KATA__TRY(apply_change(model, node, row, &row->changes[i], opset));
    }
    return KATA_OK;
}
