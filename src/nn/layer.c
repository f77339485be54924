/* Layers: each adds operators and variables to the model's graph. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "nn/model.h"

/* --- names ----------------------------------------------------------------------------------- */

const char *kata_activation_name(kata_activation activation) {
    static const char *const names[] = {
#define X(name, text) text,
        KATA_ACTIVATION_LIST(X)
#undef X
    };
    return (size_t)activation < KATA__COUNT(names) ? names[activation] : NULL;
}

bool kata_activation_parse(const char *text, kata_activation *out) {
    for (int i = 0; kata_activation_name((kata_activation)i) != NULL; i++) {
        if (strcmp(text, kata_activation_name((kata_activation)i)) == 0) {
            *out = (kata_activation)i;
            return true;
        }
    }
    return false;
}

const char *kata_layer_name(kata_layer_type type) {
    static const char *const names[] = {
#define X(name, text) text,
        KATA_LAYER_LIST(X)
#undef X
    };
    return (size_t)type < KATA__COUNT(names) ? names[type] : NULL;
}

bool kata_layer_parse(const char *text, kata_layer_type *out) {
    for (int i = 0; i < KATA_LAYER_COUNT; i++) {
        if (strcmp(text, kata_layer_name((kata_layer_type)i)) == 0) {
            *out = (kata_layer_type)i;
            return true;
        }
    }
    return false;
}

const char *kata__layer_next_name(kata_model *model, const kata_layer *layer, char text[64]) {
    if (layer->name != NULL) {
        return layer->name;
    }
    snprintf(text, 64, "%s_%d", kata_layer_name(layer->type), ++model->layer_count[layer->type]);
    for (char *c = text; *c != '\0'; c++) {
        *c = *c == '-' ? '_' : *c;
    }
    return text;
}

/* --- shared pieces --------------------------------------------------------------------------- */

/* A layer under construction. */
typedef struct builder {
    kata_model *model;
    kata_graph *graph;
    const kata_layer *layer;
    const char *name;
    kata_value x;
    kata_shape shape; /* of x */
    bool failed;
} builder;

static kata_value fail(builder *b, kata_status status) {
    kata_fail_in(status, "layer %s", b->name);
    kata__graph_fault(b->graph, status);
    b->failed = true;
    return KATA_NONE;
}

static kata_value want_rank(builder *b, int rank, const char *meaning) {
    char text[KATA_SHAPE_TEXT_SIZE];
    if (b->shape.rank == rank) {
        return b->x;
    }
    return fail(b, kata_fail(KATA_SHAPE, "expected an input %s, got shape %s", meaning,
                             kata_shape_text(&b->shape, text)));
}

static bool positive(builder *b, const char *member, int64_t value) {
    if (value <= 0) {
        fail(b,
             kata_fail(KATA_INVALID, "%s must be at least 1, got %lld", member, (long long)value));
    }
    return value > 0;
}

/* A weight of the layer: new, or the one of the layer named by weights_of. */
static kata_value weight(builder *b, const char *suffix, const kata_shape *shape,
                         kata_initializer initializer, int64_t fan_in, int64_t fan_out,
                         bool regularised) {
    char name[192];
    snprintf(name, sizeof name, "%s.%s",
             b->layer->weights_of != NULL ? b->layer->weights_of : b->name, suffix);
    if (b->layer->weights_of != NULL) {
        kata_variable *shared = kata_graph_find_variable(b->graph, name);
        char have[KATA_SHAPE_TEXT_SIZE], want[KATA_SHAPE_TEXT_SIZE];
        if (shared == NULL) {
            return fail(b, kata_fail(KATA_NOT_FOUND, "weights_of: there is no weight %s", name));
        }
        if (!kata_shape_equal(&shared->tensor.shape, shape)) {
            return fail(b, kata_fail(KATA_SHAPE, "weights_of: %s has shape %s, this layer needs %s",
                                     name, kata_shape_text(&shared->tensor.shape, have),
                                     kata_shape_text(shape, want)));
        }
        return kata_graph_use_variable(b->graph, shared);
    }
    if (initializer.kind == KATA_INIT_DEFAULT) {
        kata_activation a = b->layer->activation;
        bool rectifier = a == KATA_RELU || a == KATA_LEAKY_RELU || a == KATA_ELU ||
                         a == KATA_GELU || a == KATA_HARD_SWISH || a == KATA_MISH;
        initializer.kind = rectifier ? KATA_INIT_HE : KATA_INIT_XAVIER;
    }
    kata_variable *variable = NULL;
    kata_value value =
        kata__model_variable(b->model, name, shape, true, initializer, fan_in, fan_out, &variable);
    if (variable != NULL) {
        variable->frozen = b->layer->frozen;
        variable->l1 = regularised ? (float)b->layer->l1 : 0;
        variable->l2 = regularised ? (float)b->layer->l2 : 0;
    }
    return value;
}

static kata_value bias(builder *b, int64_t n) {
    if (b->layer->no_bias) {
        return KATA_NONE;
    }
    return weight(b, "bias", &KATA_SHAPE_OF(n), (kata_initializer){KATA_INIT_ZEROS, 0}, 1, 1,
                  false);
}

static kata_value activate(kata_graph *graph, kata_value x, kata_activation activation,
                           double alpha) {
    switch (activation) {
    case KATA_LINEAR:
        return x;
    case KATA_RELU:
        return KATA_NODE(graph, "Relu", KATA_INPUTS(x));
    case KATA_SIGMOID:
        return KATA_NODE(graph, "Sigmoid", KATA_INPUTS(x));
    case KATA_TANH:
        return KATA_NODE(graph, "Tanh", KATA_INPUTS(x));
    case KATA_LEAKY_RELU:
        return KATA_NODE_WITH(graph, "LeakyRelu", KATA_INPUTS(x),
                              KATA_FLOAT("alpha", kata__given_or(alpha, 0.01)));
    case KATA_ELU:
        return KATA_NODE_WITH(graph, "Elu", KATA_INPUTS(x),
                              KATA_FLOAT("alpha", kata__given_or(alpha, 1)));
    case KATA_SELU:
        return KATA_NODE(graph, "Selu", KATA_INPUTS(x));
    case KATA_GELU:
        return KATA_NODE(graph, "Gelu", KATA_INPUTS(x));
    case KATA_HARD_SIGMOID:
        return KATA_NODE(graph, "HardSigmoid", KATA_INPUTS(x));
    case KATA_HARD_SWISH:
        return KATA_NODE(graph, "HardSwish", KATA_INPUTS(x));
    case KATA_MISH:
        return KATA_NODE(graph, "Mish", KATA_INPUTS(x));
    case KATA_SOFTPLUS:
        return KATA_NODE(graph, "Softplus", KATA_INPUTS(x));
    case KATA_SOFTMAX:
        return KATA_NODE_WITH(graph, "Softmax", KATA_INPUTS(x), KATA_INT("axis", -1));
    }
    kata__graph_fault(graph,
                      kata_fail(KATA_INVALID, "activation %d does not exist", (int)activation));
    return KATA_NONE;
}

/* --- dense ----------------------------------------------------------------------------------- */

/* y = x W + b: x (n, in), W (in, units), b (units) (scratch-book-2 L4061). Pictures are flattened
 * as the book's Affine does (L4148); of a sequence (n, steps, in) every step is transformed. */
static kata_value add_dense(builder *b) {
    char text[KATA_SHAPE_TEXT_SIZE];
    int64_t units = b->layer->units;
    if (!positive(b, "units", units)) {
        return KATA_NONE;
    }
    if (b->shape.rank > 3) {
        b->x = kata_flatten(b->model, b->x);
        b->shape = kata_value_shape(b->graph, b->x);
    }
    int64_t in = b->shape.rank >= 2 ? b->shape.dim[b->shape.rank - 1] : -1;
    if (in <= 0) {
        return fail(b, kata_fail(KATA_SHAPE,
                                 "expected an input (batch, features) with a known number of "
                                 "features, got shape %s",
                                 kata_shape_text(&b->shape, text)));
    }
    kata_value w =
        weight(b, "weight", &KATA_SHAPE_OF(in, units), b->layer->initializer, in, units, true);
    kata_value c = bias(b, units);
    if (b->shape.rank == 2) {
        return c.id != 0 ? KATA_NODE(b->graph, "Gemm", KATA_INPUTS(b->x, w, c))
                         : KATA_NODE(b->graph, "Gemm", KATA_INPUTS(b->x, w));
    }
    kata_value y = KATA_NODE(b->graph, "MatMul", KATA_INPUTS(b->x, w));
    return c.id != 0 ? KATA_NODE(b->graph, "Add", KATA_INPUTS(y, c)) : y;
}

/* --- convolution and pooling ------------------------------------------------------------------ */

/* A window's geometry on one or two axes, with the defaults filled in. */
typedef struct window {
    int axes;
    int64_t size[2], stride[2], dilation[2], pads[4]; /* begin of each axis, then end of each */
} window;

static int64_t second(const int64_t pair[2], int i) {
    return i == 0 || pair[1] == 0 ? pair[0] : pair[1];
}

/* A second pad of 0 repeats the first, so -1 is the way to say none. */
static int64_t padding(const kata_layer *layer, int i) {
    return i == 1 && layer->pad[1] == -1 ? 0 : second(layer->pad, i);
}

/* Fills pads and checks that the windows fit (scratch-book-2 L5400: (H + 2P - FH)/S + 1 must be
 * whole). */
static bool fit_window(builder *b, window *w) {
    const char *axis_names[] = {"height", "width"};
    for (int i = 0; i < w->axes; i++) {
        int64_t in = b->shape.dim[2 + i], extent = (w->size[i] - 1) * w->dilation[i] + 1;
        int64_t pad = padding(b->layer, i);
        const char *axis = w->axes == 1 ? "length" : axis_names[i];
        if (!positive(b, "the window", w->size[i]) || !positive(b, "stride", w->stride[i]) ||
            !positive(b, "dilation", w->dilation[i])) {
            return false;
        }
        if (pad < 0) {
            fail(b, kata_fail(KATA_INVALID, "pad must not be negative, got %lld", (long long)pad));
            return false;
        }
        w->pads[i] = w->pads[w->axes + i] = pad;
        if (in < 0) {
            continue;
        }
        if (b->layer->same) {
            int64_t out = (in + w->stride[i] - 1) / w->stride[i];
            int64_t total = (out - 1) * w->stride[i] + extent - in;
            total = total > 0 ? total : 0;
            w->pads[i] = total / 2;
            w->pads[w->axes + i] = total - total / 2;
        } else if (in + 2 * pad < extent) {
            fail(b, kata_fail(KATA_SHAPE, "a window of %s %lld does not fit into %lld + 2*%lld",
                              axis, (long long)extent, (long long)in, (long long)pad));
            return false;
        } else if ((in + 2 * pad - extent) % w->stride[i] != 0 && !b->layer->floor) {
            fail(b, kata_fail(KATA_SHAPE,
                              "windows of %s %lld with stride %lld do not fit exactly into %lld + "
                              "2*%lld: %lld is left over; change pad or stride, or set floor",
                              axis, (long long)extent, (long long)w->stride[i], (long long)in,
                              (long long)pad, (long long)((in + 2 * pad - extent) % w->stride[i])));
            return false;
        }
    }
    return true;
}

static window make_window(const kata_layer *layer, const int64_t size[2], int axes, bool pool) {
    window w = {.axes = axes};
    for (int i = 0; i < axes; i++) {
        w.size[i] = second(size, i);
        int64_t stride = second(layer->stride, i);
        w.stride[i] = stride != 0 ? stride : pool ? w.size[i] : 1;
        int64_t dilation = second(layer->dilation, i);
        w.dilation[i] = dilation != 0 ? dilation : 1;
    }
    return w;
}

static kata_value add_conv(builder *b, int axes, bool transposed) {
    const kata_layer *layer = b->layer;
    int64_t groups = layer->groups != 0 ? layer->groups : 1, filters = layer->filters;
    want_rank(b, 2 + axes,
              axes == 1 ? "(batch, channels, length)" : "(batch, channels, height, width)");
    if (b->failed || !positive(b, "filters", filters) || !positive(b, "groups", groups)) {
        return KATA_NONE;
    }
    int64_t channels = b->shape.dim[1];
    if (channels <= 0 || channels % groups != 0 || filters % groups != 0) {
        return fail(b, kata_fail(KATA_SHAPE,
                                 "%lld input channels and %lld filters must both be divisible by "
                                 "%lld groups",
                                 (long long)channels, (long long)filters, (long long)groups));
    }
    window w = make_window(layer, layer->kernel, axes, false);
    if (!transposed && !fit_window(b, &w)) {
        return KATA_NONE;
    }
    int64_t area = 1;
    kata_shape shape = {.rank = 2 + axes,
                        .dim = {transposed ? channels : filters,
                                transposed ? filters / groups : channels / groups}};
    for (int i = 0; i < axes; i++) {
        if (!positive(b, "kernel", w.size[i])) {
            return KATA_NONE;
        }
        shape.dim[2 + i] = w.size[i];
        area *= w.size[i];
        if (transposed) {
            w.pads[i] = w.pads[axes + i] = padding(layer, i);
        }
    }
    kata_value filter = weight(b, "weight", &shape, layer->initializer, channels / groups * area,
                               filters / groups * area, true);
    kata_value c = bias(b, filters);
    const kata_attribute attributes[] = {
        KATA_INTS_OF("strides", w.stride, axes), KATA_INTS_OF("dilations", w.dilation, axes),
        KATA_INTS_OF("pads", w.pads, 2 * axes), KATA_INTS_OF("kernel_shape", w.size, axes),
        KATA_INT("group", groups)};
    const kata_value inputs[] = {b->x, filter, c};
    return kata_graph_node(b->graph, transposed ? "ConvTranspose" : "Conv", inputs,
                           c.id != 0 ? 3 : 2, attributes, (int)KATA__COUNT(attributes));
}

static kata_value add_pool(builder *b, const char *op, int axes) {
    want_rank(b, 2 + axes,
              axes == 1 ? "(batch, channels, length)" : "(batch, channels, height, width)");
    window w = make_window(b->layer, b->layer->size, axes, true);
    if (b->failed || !fit_window(b, &w)) {
        return KATA_NONE;
    }
    const kata_attribute attributes[] = {KATA_INTS_OF("kernel_shape", w.size, axes),
                                         KATA_INTS_OF("strides", w.stride, axes),
                                         KATA_INTS_OF("pads", w.pads, 2 * axes)};
    return kata_graph_node(b->graph, op, &b->x, 1, attributes, (int)KATA__COUNT(attributes));
}

/* --- normalisation ---------------------------------------------------------------------------- */

static kata_value add_batch_norm(builder *b) {
    char text[KATA_SHAPE_TEXT_SIZE], name[192];
    int64_t channels = b->shape.rank >= 2 ? b->shape.dim[1] : -1;
    if (channels <= 0) {
        return fail(b, kata_fail(KATA_SHAPE, "expected (batch, channels, ...), got shape %s",
                                 kata_shape_text(&b->shape, text)));
    }
    kata_shape shape = KATA_SHAPE_OF(channels);
    const kata_initializer one = {KATA_INIT_CONSTANT, 1}, zero = {KATA_INIT_ZEROS, 0};
    kata_value scale = weight(b, "scale", &shape, one, 1, 1, false);
    kata_value shift = weight(b, "bias", &shape, zero, 1, 1, false);
    kata_value mean, variance;
    if (b->layer->weights_of != NULL) {
        mean = weight(b, "running_mean", &shape, zero, 1, 1, false);
        variance = weight(b, "running_variance", &shape, one, 1, 1, false);
    } else {
        snprintf(name, sizeof name, "%s.running_mean", b->name);
        mean = kata__model_variable(b->model, name, &shape, false, zero, 1, 1, NULL);
        snprintf(name, sizeof name, "%s.running_variance", b->name);
        variance = kata__model_variable(b->model, name, &shape, false, one, 1, 1, NULL);
    }
    double epsilon = kata__given_or(b->layer->epsilon, 1e-7);
    double momentum = kata__given_or(b->layer->momentum, 0.9);
    return KATA_NODE_WITH(b->graph, "BatchNormalization",
                          KATA_INPUTS(b->x, scale, shift, mean, variance),
                          KATA_FLOAT("epsilon", epsilon), KATA_FLOAT("momentum", momentum));
}

static kata_value add_layer_norm(builder *b) {
    char text[KATA_SHAPE_TEXT_SIZE];
    int64_t n = b->shape.rank >= 2 ? b->shape.dim[b->shape.rank - 1] : -1;
    if (n <= 0) {
        return fail(b, kata_fail(KATA_SHAPE, "expected (batch, ..., features), got shape %s",
                                 kata_shape_text(&b->shape, text)));
    }
    kata_shape shape = KATA_SHAPE_OF(n);
    kata_value scale =
        weight(b, "scale", &shape, (kata_initializer){KATA_INIT_CONSTANT, 1}, 1, 1, false);
    kata_value shift =
        weight(b, "bias", &shape, (kata_initializer){KATA_INIT_ZEROS, 0}, 1, 1, false);
    double epsilon = kata__given_or(b->layer->epsilon, 1e-5);
    return KATA_NODE_WITH(b->graph, "LayerNormalization", KATA_INPUTS(b->x, scale, shift),
                          KATA_INT("axis", -1), KATA_FLOAT("epsilon", epsilon));
}

/* --- the rest --------------------------------------------------------------------------------- */

static kata_value add_dropout(builder *b) {
    if (!(b->layer->rate >= 0 && b->layer->rate < 1)) {
        return fail(b, kata_fail(KATA_INVALID, "rate must be in [0, 1), got %g", b->layer->rate));
    }
    kata_value ratio = kata_graph_scalar(b->graph, KATA_F32, b->layer->rate);
    return KATA_NODE(b->graph, "Dropout", KATA_INPUTS(b->x, ratio));
}

static kata_value add_reshape(builder *b) {
    int64_t sizes[9] = {0}; /* 0: the batch stays as it is */
    int n = 1;
    for (int i = 0; i < 7 && b->layer->shape[i] != 0; i++) {
        sizes[n++] = b->layer->shape[i];
    }
    return KATA_NODE(b->graph, "Reshape", KATA_INPUTS(b->x, kata_graph_int64s(b->graph, sizes, n)));
}

static kata_value add_rescale(builder *b) {
    kata_dtype dtype = kata_value_dtype(b->graph, b->x);
    kata_value y = b->x;
    if (kata__is_given(b->layer->scale) && b->layer->scale != 1) {
        kata_value scale = kata_graph_scalar(b->graph, dtype, b->layer->scale);
        y = KATA_NODE(b->graph, "Mul", KATA_INPUTS(y, scale));
    }
    if (b->layer->offset != 0) {
        kata_value offset = kata_graph_scalar(b->graph, dtype, b->layer->offset);
        y = KATA_NODE(b->graph, "Add", KATA_INPUTS(y, offset));
    }
    return y;
}

static kata_value add_by_type(builder *b) {
    switch (b->layer->type) {
    case KATA_LAYER_DENSE:
        return add_dense(b);
    case KATA_LAYER_CONV1D:
        return add_conv(b, 1, false);
    case KATA_LAYER_CONV2D:
        return add_conv(b, 2, false);
    case KATA_LAYER_CONV_TRANSPOSE2D:
        return add_conv(b, 2, true);
    case KATA_LAYER_MAX_POOL1D:
        return add_pool(b, "MaxPool", 1);
    case KATA_LAYER_MAX_POOL2D:
        return add_pool(b, "MaxPool", 2);
    case KATA_LAYER_AVERAGE_POOL1D:
        return add_pool(b, "AveragePool", 1);
    case KATA_LAYER_AVERAGE_POOL2D:
        return add_pool(b, "AveragePool", 2);
    case KATA_LAYER_GLOBAL_AVERAGE_POOL:
        return kata_flatten(b->model, KATA_NODE(b->graph, "GlobalAveragePool", KATA_INPUTS(b->x)));
    case KATA_LAYER_GLOBAL_MAX_POOL:
        return kata_flatten(b->model, KATA_NODE(b->graph, "GlobalMaxPool", KATA_INPUTS(b->x)));
    case KATA_LAYER_FLATTEN:
        return KATA_NODE_WITH(b->graph, "Flatten", KATA_INPUTS(b->x), KATA_INT("axis", 1));
    case KATA_LAYER_RESHAPE:
        return add_reshape(b);
    case KATA_LAYER_ACTIVATION:
        return b->x;
    case KATA_LAYER_DROPOUT:
        return add_dropout(b);
    case KATA_LAYER_BATCH_NORM:
        return add_batch_norm(b);
    case KATA_LAYER_LAYER_NORM:
        return add_layer_norm(b);
    case KATA_LAYER_LOCAL_RESPONSE_NORM:
        return KATA_NODE_WITH(b->graph, "LRN", KATA_INPUTS(b->x), KATA_INT("size", 5),
                              KATA_FLOAT("alpha", 1e-4), KATA_FLOAT("beta", 0.75),
                              KATA_FLOAT("bias", 2.0));
    case KATA_LAYER_RESCALE:
        return add_rescale(b);
    case KATA_LAYER_COUNT:
        break;
    }
    return fail(b, kata_fail(KATA_INVALID, "layer type %d does not exist", (int)b->layer->type));
}

kata_value kata_layer_add(kata_model *model, kata_value x, const kata_layer *layer) {
    char text[64];
    kata_graph *graph = model->graph;
    if (graph->status != KATA_OK) {
        return KATA_NONE;
    }
    if (layer->type < 0 || layer->type >= KATA_LAYER_COUNT) {
        kata__graph_fault(
            graph, kata_fail(KATA_INVALID, "layer type %d does not exist", (int)layer->type));
        return KATA_NONE;
    }
    builder b = {.model = model, .graph = graph, .layer = layer, .x = x};
    b.name = kata__layer_next_name(model, layer, text);
    b.shape = kata_value_shape(graph, x);
    if (kata__graph_info(graph, x) == NULL) {
        return fail(&b, kata_fail(KATA_INVALID, "its input is no value of model %s", graph->name));
    }
    kata_graph_set_scope(graph, b.name);
    kata_value y = add_by_type(&b);
    if (y.id != 0) {
        y = activate(graph, y, layer->activation, layer->alpha);
    }
    kata_graph_set_scope(graph, NULL);
    return y;
}

kata_value kata_sequential(kata_model *model, kata_value x, const kata_layer *layers,
                           int n_layers) {
    for (int i = 0; i < n_layers; i++) {
        x = kata_layer_add(model, x, &layers[i]);
    }
    return x;
}

kata_value kata_flatten(kata_model *model, kata_value x) {
    kata_shape shape = kata_value_shape(model->graph, x);
    if (shape.rank == 2) {
        return x;
    }
    return KATA_NODE_WITH(model->graph, "Flatten", KATA_INPUTS(x), KATA_INT("axis", 1));
}

kata_value kata_global_average_pool(kata_model *model, kata_value x) {
    return kata_layer_add(model, x, &(kata_layer){.type = KATA_LAYER_GLOBAL_AVERAGE_POOL});
}

kata_value kata_global_max_pool(kata_model *model, kata_value x) {
    return kata_layer_add(model, x, &(kata_layer){.type = KATA_LAYER_GLOBAL_MAX_POOL});
}

kata_value kata_activate(kata_model *model, kata_value x, kata_activation activation) {
    return kata_layer_add(model, x,
                          &(kata_layer){.type = KATA_LAYER_ACTIVATION, .activation = activation});
}

kata_value kata_add(kata_model *model, kata_value a, kata_value b) {
    return KATA_NODE(model->graph, "Add", KATA_INPUTS(a, b));
}

kata_value kata_multiply(kata_model *model, kata_value a, kata_value b) {
    return KATA_NODE(model->graph, "Mul", KATA_INPUTS(a, b));
}

kata_value kata_concat_values(kata_model *model, int axis, const kata_value *values, int n_values) {
    const kata_attribute attribute = KATA_INT("axis", axis);
    return kata_graph_node(model->graph, "Concat", values, n_values, &attribute, 1);
}
