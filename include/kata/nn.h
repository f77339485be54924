/* Kata, nn room: layers and models. A layer is thin: it adds operators and variables to the model's
 * graph and returns the new value, so that Sequential, Functional and own layers are one thing:
 *
 *     kata_model *m = kata_model_new("digits");
 *     kata_value x = kata_input(m, KATA_F32, 1, 28, 28);
 *     x = kata_conv2d(m, x, .filters = 30, .kernel = {5, 5}, .activation = KATA_RELU);
 *     x = kata_max_pool2d(m, x, .size = {2, 2});
 *     x = kata_dense(m, kata_flatten(m, x), .units = 100, .activation = KATA_RELU);
 *     kata_output(m, kata_dense(m, x, .units = 10));
 *
 * Faults are sticky, as in the graph: kata_model_status, or the first function that needs the model
 * finished (kata_compile, kata_save) reports them.
 */
#ifndef KATA_NN_H
#define KATA_NN_H

#include <kata/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kata_model kata_model;

/* In options, a number that is 0 is "not given" and takes its default; KATA_ZERO is 0 itself. */
#define KATA_ZERO (-0.0)

/* A model in the default context; NULL only when memory is short. */
KATA_API kata_model *kata_model_new(const char *name);
KATA_API kata_status kata_model_new_in(kata_model **out, kata_context *context, const char *name);
KATA_API void kata_model_free(kata_model *model);
KATA_API kata_status kata_model_status(const kata_model *model);
KATA_API kata_graph *kata_model_graph(kata_model *model);
KATA_API kata_context *kata_model_context(const kata_model *model);

/* The model as an .onnx file and back. What ONNX has no place for is in its metadata ("kata.…").
 * kata_save is atomic: on failure the old file stays. After a failed kata_compile or kata_fit it
 * refuses with that failure's sentence, so that a program that looks at the last status alone is
 * told. */
KATA_API kata_status kata_save(kata_model *model, const char *path);
KATA_API kata_status kata_model_load(kata_model **out, kata_context *context, const char *path);
/* Takes over the graph, also on failure. */
KATA_API kata_status kata_model_from_graph(kata_model **out, kata_graph *graph);

/* X(name, text): the activation functions of layers. */
#define KATA_ACTIVATION_LIST(X)                                                                    \
    X(LINEAR, "linear")                                                                            \
    X(RELU, "relu")                                                                                \
    X(SIGMOID, "sigmoid")                                                                          \
    X(TANH, "tanh")                                                                                \
    X(LEAKY_RELU, "leaky-relu")                                                                    \
    X(ELU, "elu")                                                                                  \
    X(SELU, "selu")                                                                                \
    X(GELU, "gelu")                                                                                \
    X(HARD_SIGMOID, "hard-sigmoid")                                                                \
    X(HARD_SWISH, "hard-swish")                                                                    \
    X(SOFTPLUS, "softplus")                                                                        \
    X(SOFTMAX, "softmax")                                                                          \
    X(MISH, "mish")
typedef enum kata_activation {
#define X(name, text) KATA_##name,
    KATA_ACTIVATION_LIST(X)
#undef X
} kata_activation;

/* Initial weights. Fan-in n: inputs of one unit (channels/groups * kernel area for a convolution).
 * DEFAULT: He before the ReLU family, Xavier otherwise (scratch-book-2 L4918). */
typedef enum kata_initializer_kind {
    KATA_INIT_DEFAULT,
    KATA_INIT_ZEROS,
    KATA_INIT_CONSTANT, /* value */
    KATA_INIT_NORMAL,   /* value = standard deviation */
    KATA_INIT_UNIFORM,  /* [-value, value) */
    KATA_INIT_XAVIER,   /* normal, 1/sqrt(n)              (L4877) */
    KATA_INIT_GLOROT,   /* normal, sqrt(2/(n_in + n_out)) (Glorot and Bengio 2010) */
    KATA_INIT_HE        /* normal, sqrt(2/n)              (L4910) */
} kata_initializer_kind;
typedef struct kata_initializer {
    kata_initializer_kind kind;
    double value;
} kata_initializer;

/* X(name, text): the layer types of kata_layer and of a project's `layers` list. */
#define KATA_LAYER_LIST(X)                                                                         \
    X(DENSE, "dense")                                                                              \
    X(CONV1D, "conv1d")                                                                            \
    X(CONV2D, "conv2d")                                                                            \
    X(CONV_TRANSPOSE2D, "conv-transpose2d")                                                        \
    X(MAX_POOL1D, "max-pool1d")                                                                    \
    X(MAX_POOL2D, "max-pool2d")                                                                    \
    X(AVERAGE_POOL1D, "average-pool1d")                                                            \
    X(AVERAGE_POOL2D, "average-pool2d")                                                            \
    X(GLOBAL_AVERAGE_POOL, "global-average-pool")                                                  \
    X(GLOBAL_MAX_POOL, "global-max-pool")                                                          \
    X(FLATTEN, "flatten")                                                                          \
    X(RESHAPE, "reshape")                                                                          \
    X(ACTIVATION, "activation")                                                                    \
    X(DROPOUT, "dropout")                                                                          \
    X(BATCH_NORM, "batch-norm")                                                                    \
    X(LAYER_NORM, "layer-norm")                                                                    \
    X(LOCAL_RESPONSE_NORM, "local-response-norm")                                                  \
    X(RESCALE, "rescale")
typedef enum kata_layer_type {
#define X(name, text) KATA_LAYER_##name,
    KATA_LAYER_LIST(X)
#undef X
        KATA_LAYER_COUNT
} kata_layer_type;

/* One layer. Only the members that its type reads may be set. */
typedef struct kata_layer {
    kata_layer_type type;
    const char *name;       /* NULL: "conv2d_1", ... */
    const char *weights_of; /* share the weights of the layer of this name and type */
    int64_t units;          /* dense */
    int64_t filters;        /* conv: output channels */
    /* Height, width (1-D: the first). A second 0 repeats the first. */
    int64_t kernel[2];   /* conv */
    int64_t size[2];     /* pool: window */
    int64_t stride[2];   /* 0: 1 for conv, the window for pool */
    int64_t pad[2];      /* zeros on each side; a second -1 is none */
    int64_t dilation[2]; /* 0: 1 */
    int64_t groups;      /* 0: 1; as many as channels: depth-wise */
    bool same;           /* pad so that the output has ceil(input / stride) */
    bool floor;   /* allow windows that do not fit exactly: the rest is dropped. Without it that
                     is an error, as scratch-book-2 L5426 advises */
    bool no_bias; /* dense, conv */
    kata_activation activation;   /* dense, conv, activation */
    double alpha;                 /* LeakyRelu (0: 0.01), Elu (0: 1) */
    kata_initializer initializer; /* of the weights; biases are 0 */
    double l1, l2;                /* penalties on the weights */
    bool frozen;                  /* weights are not trained */
    double rate;                  /* dropout: share dropped, 0 <= rate < 1 */
    double epsilon;               /* batch-norm 0: 1e-7 (L4969); layer-norm 0: 1e-5 */
    double momentum;              /* batch-norm: of the running statistics; 0: 0.9 */
    int64_t shape[8];             /* reshape: sizes after the batch, ending with 0; one may be -1 */
    double scale, offset;         /* rescale: x * scale + offset */
} kata_layer;

/* Adds a layer of any type. */
KATA_API kata_value kata_layer_add(kata_model *model, kata_value x, const kata_layer *layer);
/* Sequential: the layers one after the other. */
KATA_API kata_value kata_sequential(kata_model *model, kata_value x, const kata_layer *layers,
                                    int n_layers);

/* Values without the batch axis: kata_input(m, KATA_F32, 1, 28, 28). The first is named "input". */
#define kata_input(model, dtype, ...)                                                              \
    kata_input_shape((model), NULL, (dtype), &KATA_SHAPE_OF(__VA_ARGS__))
KATA_API kata_value kata_input_shape(kata_model *model, const char *name, kata_dtype dtype,
                                     const kata_shape *sample_shape);
/* Makes a value an output of the model; the first is named "output". */
KATA_API kata_status kata_output(kata_model *model, kata_value value);

#define KATA__LAYER(model, x, kind, ...)                                                           \
    kata_layer_add((model), (x), &(kata_layer){.type = KATA_LAYER_##kind, __VA_ARGS__})
#define kata_dense(model, x, ...) KATA__LAYER(model, x, DENSE, __VA_ARGS__)
#define kata_conv1d(model, x, ...) KATA__LAYER(model, x, CONV1D, __VA_ARGS__)
#define kata_conv2d(model, x, ...) KATA__LAYER(model, x, CONV2D, __VA_ARGS__)
#define kata_conv_transpose2d(model, x, ...) KATA__LAYER(model, x, CONV_TRANSPOSE2D, __VA_ARGS__)
#define kata_max_pool1d(model, x, ...) KATA__LAYER(model, x, MAX_POOL1D, __VA_ARGS__)
#define kata_max_pool2d(model, x, ...) KATA__LAYER(model, x, MAX_POOL2D, __VA_ARGS__)
#define kata_average_pool1d(model, x, ...) KATA__LAYER(model, x, AVERAGE_POOL1D, __VA_ARGS__)
#define kata_average_pool2d(model, x, ...) KATA__LAYER(model, x, AVERAGE_POOL2D, __VA_ARGS__)
#define kata_dropout(model, x, ...) KATA__LAYER(model, x, DROPOUT, __VA_ARGS__)
#define kata_batch_norm(model, x, ...) KATA__LAYER(model, x, BATCH_NORM, __VA_ARGS__)
#define kata_layer_norm(model, x, ...) KATA__LAYER(model, x, LAYER_NORM, __VA_ARGS__)
#define kata_rescale(model, x, ...) KATA__LAYER(model, x, RESCALE, __VA_ARGS__)
KATA_API kata_value kata_flatten(kata_model *model, kata_value x);
KATA_API kata_value kata_global_average_pool(kata_model *model, kata_value x);
KATA_API kata_value kata_global_max_pool(kata_model *model, kata_value x);
KATA_API kata_value kata_activate(kata_model *model, kata_value x, kata_activation activation);
/* Skip connections and branches. */
KATA_API kata_value kata_add(kata_model *model, kata_value a, kata_value b);
KATA_API kata_value kata_multiply(kata_model *model, kata_value a, kata_value b);
#define kata_concat(model, axis, ...) kata_concat_values((model), (axis), KATA_INPUTS(__VA_ARGS__))
KATA_API kata_value kata_concat_values(kata_model *model, int axis, const kata_value *values,
                                       int n_values);

/* Own layers: a weight of your own, to be used with KATA_NODE on kata_model_graph(). */
KATA_API kata_value kata_parameter(kata_model *model, const char *name,
                                   kata_initializer initializer, const kata_shape *shape);

/* Draws all initial weights anew from `seed`. Models are born with seed 0. */
KATA_API kata_status kata_model_initialize(kata_model *model, uint64_t seed);
/* A 64-bit hash of the bits of every variable, in order, with its name. */
KATA_API uint64_t kata_model_hash(const kata_model *model);
/* Freezes (or thaws) the weights of all layers whose name begins with `prefix`. Returns how many
 * variables. */
KATA_API int kata_model_freeze(kata_model *model, const char *prefix, bool frozen);

/* Ready networks by name: "two-layer" (784-50-10), "simple-convnet", "deep-convnet" (scratch-book-2
 * L4283, L5751, L6006), "mlp", "logistic". */
typedef struct kata_ready_options {
    kata_shape input;   /* of one sample, e.g. (1,28,28); rank 0: (1,28,28) */
    int64_t outputs;    /* 0: 10 */
    int64_t hidden[16]; /* mlp: sizes, ending with 0; none: 100. two-layer: one; none: 50 */
    double rescale;     /* factor on the input first; 0: none. 1/255 for uint8 pictures */
} kata_ready_options;
KATA_API kata_status kata_model_ready(kata_model **out, kata_context *context, const char *name,
                                      const kata_ready_options *options);
/* The names and a line about each; NULL at the end. */
typedef struct kata_ready_entry {
    const char *name, *about;
} kata_ready_entry;
KATA_API const kata_ready_entry *kata_model_ready_list(void);

/* Transfer learning: copies every variable of `from` whose name begins with `prefix` ("" for all)
 * into the variable of the same name and shape of `to`, which then counts as trained: kata_compile
 * keeps its weights. Returns how many were copied. */
KATA_API int kata_model_copy_weights(kata_model *to, const kata_model *from, const char *prefix);
/* Takes the outputs (and loss and labels) off a model, so that a new head can be put on any of its
 * values (kata_graph_find_value) with kata_output. */
KATA_API kata_status kata_model_remove_outputs(kata_model *model);

/* A model's table: a row for each layer's node. Freed with kata_text_free. */
KATA_API kata_status kata_model_summary(char **text, kata_model *model);

/* The texts of the enums above, NULL if out of range; and back: false if the text is unknown. */
KATA_API const char *kata_activation_name(kata_activation activation);
KATA_API bool kata_activation_parse(const char *text, kata_activation *out);
KATA_API const char *kata_layer_name(kata_layer_type type);
KATA_API bool kata_layer_parse(const char *text, kata_layer_type *out);

/* The labels of a classifier (metadata "kata.labels", a JSON array): set by kata_compile's user or
 * the program; label `i` is copied to text. False if there is none. */
KATA_API kata_status kata_model_set_labels(kata_model *model, const char *const *labels, int n);
KATA_API int kata_model_n_labels(const kata_model *model);
KATA_API bool kata_model_label(const kata_model *model, int i, char *text, size_t n_bytes);

#ifdef __cplusplus
}
#endif
#endif
