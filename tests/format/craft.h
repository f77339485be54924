/* ONNX models put together by hand, right ones and wrong ones. */
#ifndef KATA_TESTS_FORMAT_CRAFT_H
#define KATA_TESTS_FORMAT_CRAFT_H

#include "format/onnx.h"

#include <string.h>

/* "a,b,,c" as repeated text fields. */
static inline void craft_names(kata__buffer *out, uint32_t field, const char *names) {
    for (const char *at = names; *names != '\0' && at != NULL;) {
        const char *comma = strchr(at, ',');
        kata__proto_put_bytes(out, field, at, comma != NULL ? (size_t)(comma - at) : strlen(at));
        at = comma != NULL ? comma + 1 : NULL;
    }
}

/* A node without attributes, left open for them: end it with kata__proto_end. */
static inline size_t craft_node_open(kata__buffer *graph, const char *op, const char *name,
                                     const char *inputs, const char *outputs) {
    size_t begun = kata__proto_begin(graph, KATA__GRAPH_NODE);
    craft_names(graph, KATA__NODE_INPUT, inputs);
    craft_names(graph, KATA__NODE_OUTPUT, outputs);
    kata__proto_put_text(graph, KATA__NODE_NAME, name);
    kata__proto_put_text(graph, KATA__NODE_OP_TYPE, op);
    return begun;
}

static inline void craft_node(kata__buffer *graph, const char *op, const char *name,
                              const char *inputs, const char *outputs) {
    kata__proto_end(graph, craft_node_open(graph, op, name, inputs, outputs));
}

/* Attributes of the node that is open. */
static inline void craft_ints(kata__buffer *graph, const char *name, const int64_t *values, int n,
                              bool packed) {
    size_t begun = kata__proto_begin(graph, KATA__NODE_ATTRIBUTE);
    kata__proto_put_text(graph, KATA__ATTRIBUTE_NAME, name);
    if (packed) { /* single bytes */
        uint8_t bytes[64];
        for (int i = 0; i < n; i++) {
            bytes[i] = (uint8_t)(values[i] & 0x7F);
        }
        kata__proto_put_bytes(graph, KATA__ATTRIBUTE_INTS, bytes, (size_t)n);
    } else {
        for (int i = 0; i < n; i++) {
            kata__proto_put_varint(graph, KATA__ATTRIBUTE_INTS, (uint64_t)values[i]);
        }
    }
    kata__proto_put_varint(graph, KATA__ATTRIBUTE_TYPE, KATA__ONNX_INTS);
    kata__proto_end(graph, begun);
}

static inline void craft_float(kata__buffer *graph, const char *name, float value) {
    size_t begun = kata__proto_begin(graph, KATA__NODE_ATTRIBUTE);
    kata__proto_put_text(graph, KATA__ATTRIBUTE_NAME, name);
    kata__proto_put_float(graph, KATA__ATTRIBUTE_F, value);
    kata__proto_put_varint(graph, KATA__ATTRIBUTE_TYPE, KATA__ONNX_FLOAT);
    kata__proto_end(graph, begun);
}

/* An input or output; sizes below -1 are the symbol "M", -1 is "N", -3 nothing. */
static inline void craft_value(kata__buffer *graph, uint32_t field, const char *name, int code,
                               int rank, const int64_t *dims) {
    size_t begun = kata__proto_begin(graph, field);
    kata__proto_put_text(graph, KATA__VALUE_NAME, name);
    size_t type = kata__proto_begin(graph, KATA__VALUE_TYPE);
    size_t tensor = kata__proto_begin(graph, KATA__TYPE_TENSOR);
    kata__proto_put_varint(graph, KATA__TENSOR_TYPE_ELEMENT, (uint64_t)code);
    size_t shape = kata__proto_begin(graph, KATA__TENSOR_TYPE_SHAPE);
    for (int i = 0; i < rank; i++) {
        size_t dim = kata__proto_begin(graph, KATA__SHAPE_DIM);
        if (dims[i] >= 0) {
            kata__proto_put_varint(graph, KATA__DIM_VALUE, (uint64_t)dims[i]);
        } else if (dims[i] > -3) {
            kata__proto_put_text(graph, KATA__DIM_PARAM, dims[i] == -1 ? "N" : "M");
        }
        kata__proto_end(graph, dim);
    }
    kata__proto_end(graph, shape);
    kata__proto_end(graph, tensor);
    kata__proto_end(graph, type);
    kata__proto_end(graph, begun);
}
#define CRAFT_DIMS(...)                                                                            \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]) {                 \
        __VA_ARGS__                                                                                \
    }

/* An initialiser, left open for its data. */
static inline size_t craft_tensor_open(kata__buffer *graph, uint32_t field, const char *name,
                                       int code, int rank, const int64_t *dims) {
    size_t begun = kata__proto_begin(graph, field);
    for (int i = 0; i < rank; i++) {
        kata__proto_put_varint(graph, KATA__TENSOR_DIMS, (uint64_t)dims[i]);
    }
    kata__proto_put_varint(graph, KATA__TENSOR_DATA_TYPE, (uint64_t)code);
    kata__proto_put_text(graph, KATA__TENSOR_NAME, name);
    return begun;
}

static inline void craft_raw(kata__buffer *graph, const char *name, int code, int rank,
                             const int64_t *dims, const void *bytes, size_t n_bytes) {
    size_t begun = craft_tensor_open(graph, KATA__GRAPH_INITIALIZER, name, code, rank, dims);
    kata__proto_put_bytes(graph, KATA__TENSOR_RAW_DATA, bytes, n_bytes);
    kata__proto_end(graph, begun);
}

static inline void craft_opset(kata__buffer *model, const char *domain, int64_t version) {
    size_t begun = kata__proto_begin(model, KATA__MODEL_OPSET_IMPORT);
    kata__proto_put_text(model, KATA__OPSET_DOMAIN, domain);
    kata__proto_put_varint(model, KATA__OPSET_VERSION, (uint64_t)version);
    kata__proto_end(model, begun);
}

/* The model around a graph. */
static inline void craft_model(kata__buffer *model, const kata__buffer *graph, int64_t ir_version,
                               int64_t opset) {
    kata__proto_put_varint(model, KATA__MODEL_IR_VERSION, (uint64_t)ir_version);
    kata__proto_put_bytes(model, KATA__MODEL_GRAPH, graph->data, graph->size);
    craft_opset(model, "", opset);
}

#endif
