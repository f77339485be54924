/* ONNX inside the format room: the field numbers of onnx.proto (IR 13), a model as it stands in a
 * file, and the three steps of reading: parse (bytes -> model), adapt (a node of another opset ->
 * this one's), build (model -> graph). */
#ifndef KATA_FORMAT_ONNX_H
#define KATA_FORMAT_ONNX_H

#include <kata/format.h>

#include "format/protobuf.h"

enum kata__onnx_model_field {
    KATA__MODEL_IR_VERSION = 1,
    KATA__MODEL_PRODUCER_NAME = 2,
    KATA__MODEL_PRODUCER_VERSION = 3,
    KATA__MODEL_GRAPH = 7,
    KATA__MODEL_OPSET_IMPORT = 8,
    KATA__MODEL_METADATA = 14
};
enum kata__onnx_opset_field { KATA__OPSET_DOMAIN = 1, KATA__OPSET_VERSION = 2 };
enum kata__onnx_entry_field { KATA__ENTRY_KEY = 1, KATA__ENTRY_VALUE = 2 };
enum kata__onnx_graph_field {
    KATA__GRAPH_NODE = 1,
    KATA__GRAPH_NAME = 2,
    KATA__GRAPH_INITIALIZER = 5,
    KATA__GRAPH_INPUT = 11,
    KATA__GRAPH_OUTPUT = 12,
    KATA__GRAPH_SPARSE_INITIALIZER = 15
};
enum kata__onnx_node_field {
    KATA__NODE_INPUT = 1,
    KATA__NODE_OUTPUT = 2,
    KATA__NODE_NAME = 3,
    KATA__NODE_OP_TYPE = 4,
    KATA__NODE_ATTRIBUTE = 5,
    KATA__NODE_DOMAIN = 7
};
enum kata__onnx_attribute_field {
    KATA__ATTRIBUTE_NAME = 1,
    KATA__ATTRIBUTE_F = 2,
    KATA__ATTRIBUTE_I = 3,
    KATA__ATTRIBUTE_S = 4,
    KATA__ATTRIBUTE_T = 5,
    KATA__ATTRIBUTE_G = 6,
    KATA__ATTRIBUTE_FLOATS = 7,
    KATA__ATTRIBUTE_INTS = 8,
    KATA__ATTRIBUTE_STRINGS = 9,
    KATA__ATTRIBUTE_TENSORS = 10,
    KATA__ATTRIBUTE_GRAPHS = 11,
    KATA__ATTRIBUTE_TYPE = 20,
    KATA__ATTRIBUTE_REFERENCE = 21
};
/* AttributeProto.AttributeType */
enum kata__onnx_attribute_type {
    KATA__ONNX_FLOAT = 1,
    KATA__ONNX_INT = 2,
    KATA__ONNX_STRING = 3,
    KATA__ONNX_TENSOR = 4,
    KATA__ONNX_GRAPH = 5,
    KATA__ONNX_FLOATS = 6,
    KATA__ONNX_INTS = 7,
    KATA__ONNX_STRINGS = 8,
    KATA__ONNX_GRAPHS = 10
};
enum kata__onnx_tensor_field {
    KATA__TENSOR_DIMS = 1,
    KATA__TENSOR_DATA_TYPE = 2,
    KATA__TENSOR_SEGMENT = 3,
    KATA__TENSOR_FLOAT_DATA = 4,
    KATA__TENSOR_INT32_DATA = 5,
    KATA__TENSOR_STRING_DATA = 6,
    KATA__TENSOR_INT64_DATA = 7,
    KATA__TENSOR_NAME = 8,
    KATA__TENSOR_RAW_DATA = 9,
    KATA__TENSOR_DOUBLE_DATA = 10,
    KATA__TENSOR_UINT64_DATA = 11,
    KATA__TENSOR_EXTERNAL_DATA = 13,
    KATA__TENSOR_DATA_LOCATION = 14
};
enum kata__onnx_value_field { KATA__VALUE_NAME = 1, KATA__VALUE_TYPE = 2 };
enum kata__onnx_type_field {
    KATA__TYPE_TENSOR = 1,
    KATA__TYPE_SEQUENCE = 4,
    KATA__TYPE_MAP = 5,
    KATA__TYPE_OPTIONAL = 9
};                                                        /* 7 and 8: opaque and sparse values */
enum kata__onnx_element_field { KATA__ELEMENT_TYPE = 1 }; /* of a sequence, of an optional */
enum kata__onnx_map_field { KATA__MAP_KEY = 1, KATA__MAP_VALUE = 2 };
enum kata__onnx_tensor_type_field { KATA__TENSOR_TYPE_ELEMENT = 1, KATA__TENSOR_TYPE_SHAPE = 2 };
enum kata__onnx_shape_field { KATA__SHAPE_DIM = 1 };
enum kata__onnx_dim_field { KATA__DIM_VALUE = 1, KATA__DIM_PARAM = 2 };

#define KATA__ONNX_IR_VERSION 8 /* written; onnx 1.11 and later read it */
#define KATA__ONNX_IR_OLDEST 3  /* the first with opset_import */
#define KATA__ONNX_IR_NEWEST 13 /* of onnx 1.22 */
#define KATA__ONNX_OPSET 17     /* written, unless an operator needs more */
#define KATA__ONNX_OPSET_OLDEST 1
#define KATA__ONNX_OPSET_NEWEST 27
#define KATA__ONNX_MAX_NAME 4096 /* bytes of one name */
#define KATA__ONNX_MAX_OPSETS 64
#define KATA__ONNX_MAX_METADATA 1024
#define KATA__ONNX_MAX_ATTRIBUTES 256 /* of one node */

/* Keys of metadata_props that say what ONNX has no place for: JSON lists of initialisers' names.
 * They are made by the writer and taken out by the reader. */
#define KATA__ONNX_STATE "kata.state"       /* variables that are not trainable */
#define KATA__ONNX_FROZEN "kata.frozen"     /* trainable, but frozen */
#define KATA__ONNX_CONSTANT "kata.constant" /* float constants, no variables */

/* --- a model as it stands in a file; all texts lie in its arena ------------------------------- */

typedef struct kata__onnx_tensor {
    const char *name; /* "" if none */
    kata_dtype dtype;
    kata_shape shape;          /* no unknown sizes, the product does not overflow */
    size_t n_bytes;            /* of the decoded data; of strings, the elements and their bytes */
    kata__proto_reader fields; /* the TensorProto, checked; decoded by kata__onnx_tensor_decode */
    const uint8_t *raw;        /* raw_data, NULL if the data is in a typed field */
    uint32_t data_field;       /* that typed field; 0 if the tensor has no elements */
} kata__onnx_tensor;

typedef struct kata__onnx_attribute {
    const char *name;
    enum kata__onnx_attribute_type type;
    float f;
    int64_t i;
    const char *s;
    int n;
    int64_t *ints;
    double *floats;
    const char **strings;
    int n_strings;
    kata__onnx_tensor *tensor;
    struct kata__onnx_graph *graph;
} kata__onnx_attribute;

typedef struct kata__onnx_node {
    const char *name, *op, *domain; /* "" if none */
    const char **inputs, **outputs; /* "" is an absent one */
    int n_inputs, n_outputs;
    kata__onnx_attribute *attributes;
    int n_attributes;
} kata__onnx_node;

typedef struct kata__onnx_value {
    const char *name;
    kata_kind kind;
    kata_dtype dtype; /* KATA_NO_DTYPE: not said (outputs only) */
    bool has_shape;
    kata_shape shape;
    const char *size_names[KATA_MAX_RANK]; /* of the axes that are open; NULL: no name */
    size_t place;
} kata__onnx_value;

/* A graph that is an attribute. The one that is read at the moment is that of the model:
 * kata__onnx_swap_graph puts another in its place. */
typedef struct kata__onnx_graph {
    const char *name;
    kata__onnx_node *nodes;
    kata__onnx_tensor *initializers;
    kata__onnx_value *inputs, *outputs;
    size_t n_nodes, n_initializers, n_inputs, n_outputs;
    const char **outer_names; /* values of the graphs around that it or one within it uses */
    size_t n_outer_names;
} kata__onnx_graph;

typedef struct kata__onnx_opset {
    const char *domain;
    int64_t version;
} kata__onnx_opset;

typedef struct kata__onnx_model {
    kata__arena arena;
    const char *producer, *name;
    kata__onnx_opset opsets[KATA__ONNX_MAX_OPSETS];
    int n_opsets;
    kata_text_pair *metadata;
    kata__onnx_node *nodes;
    kata__onnx_tensor *initializers;
    kata__onnx_value *inputs, *outputs;
    size_t n_metadata, n_nodes, n_initializers, n_inputs, n_outputs;
    int depth;          /* of the graph that is parsed at the moment: how many are around it */
    size_t n_all_nodes; /* of all graphs */
} kata__onnx_model;

/* Exchanges the model's graph with another. */
void kata__onnx_swap_graph(kata__onnx_model *model, kata__onnx_graph *graph);

/* Reads `data`, which must stay where it is as long as the model is used. Zero the model and set
 * arena.context; free the arena in any case. Kinds of things that Kata has no place for
 * are KATA_UNSUPPORTED, the rest KATA_FORMAT or KATA_LIMIT. */
kata_status kata__onnx_parse(kata__onnx_model *model, const void *data, size_t n_bytes);

/* Reads one TensorProto that is a file of its own; otherwise as kata__onnx_parse. */
kata_status kata__onnx_parse_tensor(kata__onnx_model *model, const void *data, size_t n_bytes,
                                    kata__onnx_tensor *tensor);

/* The array of n elements with room for one more: doubled when n is a power of two (the old one
 * stays in the arena). NULL when memory is short. */
void *kata__onnx_with_room(kata__arena *arena, void *array, size_t n, size_t element_size);

/* Writes the tensor's n_bytes to `out` (aligned for its dtype). */
kata_status kata__onnx_tensor_decode(const kata__onnx_tensor *tensor, void *out);
/* The same into a new tensor. */
kata_status kata__onnx_tensor_new(kata_tensor *out, kata_context *context,
                                  const kata__onnx_tensor *tensor);

/* The version that the model imports of a domain, 0 if it does not. */
int64_t kata__onnx_opset_of(const kata__onnx_model *model, const char *domain);

/* Makes a node of the model's opset one of the row's: KATA_UNSUPPORTED if the operator meant
 * something else then. May append initialisers to the model. */
kata_status kata__onnx_adapt(kata__onnx_model *model, kata__onnx_node *node, const kata_op *row);

/* --- writing ---------------------------------------------------------------------------------- */

/* "uint16" for 4, "type 99" written into `text` for codes that ONNX does not have. */
const char *kata__onnx_code_name(int64_t code, char text[32]);

/* The whole file into an empty buffer, whose maximum is that of the file. */
kata_status kata__onnx_encode(kata__buffer *out, const kata_graph *graph);

#endif
