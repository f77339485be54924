/* Kata, graph room: a model is a graph of ONNX operators.
 *
 * A graph is written with a builder that keeps the first fault (sticky status): calls after it do
 * nothing and return the value "none", so that a model is written without an `if` on each line.
 *
 *     kata_graph *graph;
 *     kata_graph_new(&graph, kata_context_default(), "double");
 *     kata_value x = kata_graph_input(graph, "x", KATA_F32, &KATA_SHAPE_OF(KATA_UNKNOWN_DIM, 3));
 *     kata_value y = KATA_NODE(graph, "Add", KATA_INPUTS(x, x));
 *     kata_graph_output(graph, "y", y);
 *     kata_status status = kata_graph_status(graph);
 *
 * Shapes are inferred when a node is added. Sizes may be open and have names (the batch is N);
 * kata_graph_bind (kata/pass.h) makes the graph of one assignment of sizes.
 */
#ifndef KATA_GRAPH_H
#define KATA_GRAPH_H

#include <kata/op.h>
#include <kata/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A value of a graph: what an input, a parameter, a constant or a node's output is. id 0: none. */
typedef struct kata_value {
    int32_t id;
} kata_value;
#define KATA_NONE ((kata_value){0})

typedef struct kata_graph kata_graph;

/* A tensor that lives on between runs: a weight, a running statistic, an optimiser's state. The
 * graph that made it owns it; graphs derived from that graph (bound, differentiated) share it. */
typedef struct kata_variable {
    const char *name;
    kata_tensor tensor;
    bool trainable;   /* false: a running statistic or other state, never given a gradient */
    bool frozen;      /* trainable, but left alone by the optimiser (transfer learning) */
    bool decay;       /* weight decay applies (weights yes, biases and scales no) */
    float l1, l2;     /* penalties l1*sum|w| + l2/2*sum w^2 added to the training loss */
    uint64_t version; /* counts changes: whoever writes the tensor calls kata_variable_changed */
} kata_variable;

/* A tensor and what it is called: an input or output of a graph, an entry of a file. */
typedef struct kata_named_tensor {
    const char *name;
    kata_tensor tensor;
} kata_named_tensor;

KATA_API kata_status kata_graph_new(kata_graph **out, kata_context *context, const char *name);
KATA_API void kata_graph_free(kata_graph *graph);
KATA_API kata_status kata_graph_status(const kata_graph *graph);
/* The sentence of the sticky fault, "" if none. Lent. */
KATA_API const char *kata_graph_message(const kata_graph *graph);
KATA_API kata_context *kata_graph_context(const kata_graph *graph);
KATA_API const char *kata_graph_name(const kata_graph *graph);

/* Open sizes. A negative size in a shape stands for one that is known only when the graph is bound:
 * KATA_UNKNOWN_DIM for one of which nothing is known, a number below it for one with a name. Sizes
 * of one name are equal: kata_graph_size(graph, "T") gives the number that stands for T in shapes
 * of this graph and those within it, and makes it if it is new. An input's KATA_UNKNOWN_DIM gets a
 * name: N on axis 0, INPUT.AXIS elsewhere ("x.2"). */
KATA_API int64_t kata_graph_size(kata_graph *graph, const char *name);
/* The name of an open size, NULL if it has none. Lent. */
KATA_API const char *kata_graph_size_name(const kata_graph *graph, int64_t size);
/* The names that there are, in the order in which they came up. */
KATA_API int kata_graph_n_sizes(const kata_graph *graph);
KATA_API const char *kata_graph_size_at(const kata_graph *graph, int i);

/* A size by name and its number. */
typedef struct kata_size {
    const char *name;
    int64_t value;
} kata_size;
#define KATA_SIZES(...)                                                                            \
    (const kata_size[]){__VA_ARGS__}, (int)(sizeof((kata_size[]){__VA_ARGS__}) / sizeof(kata_size))

/* The sizes that tensors of these shapes, one for each input in order, give to the open sizes of
 * the inputs: fills sizes[0..*n_sizes-1], which must have room for kata_graph_n_sizes of them; the
 * names are lent. KATA_SHAPE names the input and the axis that do not fit, or the two axes that are
 * the same size and disagree. */
KATA_API kata_status kata_graph_sizes_of(const kata_graph *graph, const kata_shape *shapes,
                                         int n_shapes, kata_size *sizes, int *n_sizes);

/* The shape with the names of its open sizes: "(N,T,64)"; long names are cut. */
KATA_API const char *kata_graph_shape_text(const kata_graph *graph, const kata_shape *shape,
                                           char text[KATA_SHAPE_TEXT_SIZE]);

/* Names must be unique within the graph; NULL makes one ("Conv_3"). */
KATA_API kata_value kata_graph_input(kata_graph *graph, const char *name, kata_dtype dtype,
                                     const kata_shape *shape);
/* A new zeroed variable of this shape and its value. */
KATA_API kata_value kata_graph_variable(kata_graph *graph, const char *name, kata_dtype dtype,
                                        const kata_shape *shape, bool trainable,
                                        kata_variable **variable);
/* A value of a variable that another graph owns (shared weights, optimiser nodes). One variable has
 * one value a graph: asking again returns the same. */
KATA_API kata_value kata_graph_use_variable(kata_graph *graph, kata_variable *variable);
/* To be called after the numbers of a variable's tensor were written by hand. Sessions of optimised
 * graphs (kata_graph_optimize), and so kata_predict and kata_evaluate, keep weights in a form of
 * their own, which they make again when a variable has changed. Training, loading, initialisation
 * and kata_model_copy_weights do this by themselves. */
KATA_API void kata_variable_changed(kata_variable *variable);
/* Copies the tensor. */
KATA_API kata_value kata_graph_constant(kata_graph *graph, const char *name,
                                        const kata_tensor *tensor);
KATA_API kata_value kata_graph_scalar(kata_graph *graph, kata_dtype dtype, double value);
KATA_API kata_value kata_graph_int64s(kata_graph *graph, const int64_t *values, int n); /* rank 1 */

/* One attribute of a node. Use the macros; text and arrays are copied. */
typedef struct kata_attribute {
    const char *name;
    kata_attribute_type type;
    int64_t i;
    double f;
    const char *s;
    const int64_t *ints;
    const double *floats;
    int n;
    const kata_tensor *tensor;
    const char *const *strings;
    kata_graph *graph;
} kata_attribute;
#define KATA_INT(attribute, value)                                                                 \
    { .name = (attribute), .type = KATA_ATTRIBUTE_INT, .i = (value) }
#define KATA_FLOAT(attribute, value)                                                               \
    { .name = (attribute), .type = KATA_ATTRIBUTE_FLOAT, .f = (value) }
#define KATA_STRING(attribute, value)                                                              \
    { .name = (attribute), .type = KATA_ATTRIBUTE_STRING, .s = (value) }
#define KATA_INTS(attribute, ...)                                                                  \
    {                                                                                              \
        .name = (attribute), .type = KATA_ATTRIBUTE_INTS, .ints = (const int64_t[]){__VA_ARGS__},  \
        .n = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))                             \
    }
#define KATA_INTS_OF(attribute, values, count)                                                     \
    { .name = (attribute), .type = KATA_ATTRIBUTE_INTS, .ints = (values), .n = (count) }

#define KATA_STRINGS_OF(attribute, values, count)                                                  \
    { .name = (attribute), .type = KATA_ATTRIBUTE_STRINGS, .strings = (values), .n = (count) }
#define KATA_GRAPH(attribute, subgraph)                                                            \
    { .name = (attribute), .type = KATA_ATTRIBUTE_GRAPH, .graph = (subgraph) }
/* The attributes that a node was given, as kata_graph_node takes them, for rules that add a node
 * like it. At most as many as the row lists (KATA_MAX_ATTRIBUTES); returns how many. */
KATA_API int kata_attributes_given(const kata_op *op, const kata_attribute_value *values,
                                   kata_attribute *attributes);

#define KATA_INPUTS(...)                                                                           \
    (const kata_value[]){__VA_ARGS__},                                                             \
        (int)(sizeof((kata_value[]){__VA_ARGS__}) / sizeof(kata_value))

/* Nodes added from here on are named SCOPE/OPERATOR (a layer's name); NULL ends it. */
KATA_API void kata_graph_set_scope(kata_graph *graph, const char *scope);

/* Adds a node of operator `op` ("Conv", or "domain:Name" outside ai.onnx) and returns its first
 * output. An input KATA_NONE is an absent optional input. Unknown attributes are errors. */
#define KATA_NODE(graph, op, inputs) kata_graph_node((graph), (op), inputs, NULL, 0)
#define KATA_NODE_WITH(graph, op, inputs, ...)                                                     \
    kata_graph_node((graph), (op), inputs, (const kata_attribute[]){__VA_ARGS__},                  \
                    (int)(sizeof((kata_attribute[]){__VA_ARGS__}) / sizeof(kata_attribute)))
KATA_API kata_value kata_graph_node(kata_graph *graph, const char *op, const kata_value *inputs,
                                    int n_inputs, const kata_attribute *attributes,
                                    int n_attributes);
/* The same with all outputs: fills outputs[0..n_outputs-1]. */
KATA_API kata_status kata_graph_node_outputs(kata_graph *graph, const char *name, const char *op,
                                             const kata_value *inputs, int n_inputs,
                                             const kata_attribute *attributes, int n_attributes,
                                             kata_value *outputs, int n_outputs);

/* A graph within `graph`, for an attribute of one node of `graph` (KATA_GRAPH). It is built like
 * any other, before that node; it belongs to `graph`, is freed with it, and its faults become those
 * of the node. It has no variables of its own: it captures those of the graph around it. At most
 * KATA_MAX_DEPTH graphs are within one another. */
#define KATA_MAX_DEPTH 16
KATA_API kata_status kata_graph_subgraph(kata_graph **out, kata_graph *graph, const char *name);
/* The value of a subgraph that stands for a value of the graph around it. Asking again gives the
 * same. Not possible any more once the subgraph is a node's. */
KATA_API kata_value kata_graph_capture(kata_graph *subgraph, kata_value outer);
/* What a subgraph captures: *inside is its value, the result tells which of the node's inputs
 * that is (call->inputs, infer->inputs), -1 as long as the subgraph is no node's. */
KATA_API int kata_graph_n_captures(const kata_graph *subgraph);
KATA_API int kata_graph_capture_at(const kata_graph *subgraph, int i, kata_value *inside);

/* Names a value as an output of the graph. A name given here replaces the value's made-up name. */
KATA_API kata_status kata_graph_output(kata_graph *graph, const char *name, kata_value value);

/* The type of a value: shape (sizes may be unknown) and dtype. */
KATA_API kata_dtype kata_value_dtype(const kata_graph *graph, kata_value value);
KATA_API kata_shape kata_value_shape(const kata_graph *graph, kata_value value);
KATA_API kata_type kata_value_type(const kata_graph *graph, kata_value value);
KATA_API const char *kata_value_name(const kata_graph *graph, kata_value value);

KATA_API int kata_graph_n_inputs(const kata_graph *graph);
KATA_API kata_value kata_graph_input_at(const kata_graph *graph, int i);
KATA_API int kata_graph_n_outputs(const kata_graph *graph);
KATA_API kata_value kata_graph_output_at(const kata_graph *graph, int i);
KATA_API int kata_graph_n_variables(const kata_graph *graph);
KATA_API kata_variable *kata_graph_variable_at(const kata_graph *graph, int i);
KATA_API kata_variable *kata_graph_find_variable(const kata_graph *graph, const char *name);
KATA_API kata_value kata_graph_find_value(const kata_graph *graph, const char *name);
KATA_API int64_t kata_graph_n_parameters(const kata_graph *graph); /* elements of trainable ones */

/* ONNX metadata_props of the model: label names, manifest, ... Keys of Kata's own begin with
 * "kata.". Both texts are copied; NULL value removes; find returns NULL if absent. */
KATA_API kata_status kata_graph_set_metadata(kata_graph *graph, const char *key, const char *value);
KATA_API const char *kata_graph_metadata(const kata_graph *graph, const char *key);
KATA_API int kata_graph_n_metadata(const kata_graph *graph);
KATA_API void kata_graph_metadata_at(const kata_graph *graph, int i, const char **key,
                                     const char **value);

/* The graph as text, a line a node, or as a Graphviz "dot" file; *text is freed with
 * kata_text_free. */
KATA_API kata_status kata_graph_text(char **text, const kata_graph *graph);
KATA_API kata_status kata_graph_dot(char **text, const kata_graph *graph);
KATA_API void kata_text_free(kata_context *context, char *text);

#ifdef __cplusplus
}
#endif
#endif
