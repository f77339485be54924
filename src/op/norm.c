/* Normalisation by the statistics of a batch, a layer or an instance, and the gradients. */
#include "op/batch.h"
#include "op/adapt.h"
#include "op/gradient.h"
#include "op/infer.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/parallel.h"
#include "kernel/rows.h"
#include "op/rules.h"

/* Takes an array of `count` elements from the workspace; arrays begin at multiples of 64 bytes. */
static size_t room_for(kata_dtype dtype, int64_t count) {
    return ((size_t)count * kata_dtype_size(dtype) + 63) / 64 * 64;
}
static void *take(char **at, kata_dtype dtype, int64_t count) {
    char *block = *at;
    *at += room_for(dtype, count);
    return block;
}

static bool is_fast(const kata_call *call) {
    return kata__is_fast(call->inputs[0].dtype) && kata_tensor_count(&call->inputs[0]) > 0;
}

/* Mean and biased variance of n elements, element i at start + i / run * jump + i % run (runs of
 * `run` that lie `jump` apart). Of no element: 0 and 0. */
static void statistics(const kata_tensor *x, int64_t n, int64_t start, int64_t run, int64_t jump,
                       double *mean, double *variance) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += kata_load(x->dtype, x->data, start + i / run * jump + i % run);
    }
    *mean = n == 0 ? 0 : sum / (double)n;
    for (int64_t i = 0; i < n; i++) {
        double d = kata_load(x->dtype, x->data, start + i / run * jump + i % run) - *mean;
        squares += d * d;
    }
    *variance = n == 0 ? 0 : squares / (double)n;
}

/* The backward pass of x^ = (x - mean) inverse, y = scale x^ + bias over one set of n elements, its
 * statistics being functions of x:
 *   dbias = sum dy,  dscale = sum dy x^,
 *   dx = scale inverse (dy - dbias / n - x^ dscale / n)
 * (book 6.3, computation graph L4981-4990; here with one scale for the set). */
static void plain_backward(const kata_tensor *x, const kata_tensor *dy, const kata_tensor *dx,
                           int64_t n, int64_t start, int64_t run, int64_t jump, double mean,
                           double inverse, double scale, double *dscale, double *dbias) {
    double sum = 0, dot = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t at = start + i / run * jump + i % run;
        double g = kata_load(dy->dtype, dy->data, at);
        sum += g;
        dot += g * (kata_load(x->dtype, x->data, at) - mean) * inverse;
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t at = start + i / run * jump + i % run;
        double hat = (kata_load(x->dtype, x->data, at) - mean) * inverse;
        double g = kata_load(dy->dtype, dy->data, at);
        kata_store(dx->dtype, dx->data, at,
                   scale * inverse * (g - sum / (double)n - hat * dot / (double)n));
    }
    *dscale = dot;
    *dbias = sum;
}

static double load(const kata_tensor *tensor, int64_t i) {
    return kata_load(tensor->dtype, tensor->data, i);
}
static void store(const kata_tensor *tensor, int64_t i, double value) {
    kata_store(tensor->dtype, tensor->data, i, value);
}

/* A gradient that comes in for a statistic, not for Y. */
static kata_status only_y(const kata_gradient *g) {
    for (int i = 1; i < g->n_outputs; i++) {
        if (g->output_gradients[i].id != 0) {
            return kata_fail(KATA_UNSUPPORTED, "%s: output %d has no gradient, only output 0 has",
                             g->op->name, i);
        }
    }
    return KATA_OK;
}

static void use_gradients(kata_gradient *g, const kata_value *from, int first, int n) {
    for (int i = 0; i < n; i++) {
        int input = i == 0 ? 0 : first + i - 1;
        if (input < g->n_inputs && g->needed[input]) {
            g->input_gradients[input] = from[i];
        }
    }
}

/* ---- BatchNormalization: x is (n, c, d) ---- */

enum { BATCH_EPSILON, BATCH_MOMENTUM, BATCH_TRAINING };
static const kata_attribute_spec batch_attributes[] = {
    {.name = "epsilon",
     .type = KATA_ATTRIBUTE_FLOAT,
     .default_float = 1e-5,
     .doc = "added to the variance"},
    {.name = "momentum",
     .type = KATA_ATTRIBUTE_FLOAT,
     .default_float = 0.9,
     .doc = "running = running momentum + batch (1 - momentum)"},
    {.name = "training_mode",
     .type = KATA_ATTRIBUTE_INT,
     .doc = "1: normalise by the batch's own statistics and give the new running ones"},
    {0}};

typedef struct batch {
    int64_t n, c, d;
} batch;

static batch batch_of(const kata_shape *x) {
    return (batch){x->dim[0], x->dim[1], kata__product(x, 2, x->rank)};
}

static kata_status batch_vectors(const kata_infer *infer, int first, const char *const *names,
                                 int n) {
    for (int i = 0; i < n; i++) {
        KATA__TRY(kata__rule_vector(infer, first + i, names[i], infer->inputs[0].shape.dim[1],
                                    "channel"));
    }
    return KATA_OK;
}

static void vector_outputs(kata_infer *infer, int first) {
    for (int i = first; i < infer->n_outputs; i++) {
        infer->outputs[i].dtype = infer->inputs[0].dtype;
        infer->outputs[i].shape = KATA_SHAPE_OF(infer->inputs[0].shape.dim[1]);
    }
}

static kata_status check_epsilon(const kata_infer *infer, double epsilon) {
    if (!(epsilon >= 0) || isinf(epsilon)) {
        return kata_fail(KATA_INVALID, "%s: epsilon is %g, expected 0 or more", infer->op->name,
                         epsilon);
    }
    return KATA_OK;
}

static kata_status batch_infer(kata_infer *infer) {
    static const char *const names[] = {"scale", "bias", "mean", "variance"};
    KATA__TRY(kata__infer_float(infer, 0, true));
    KATA__TRY(kata__rule_same_dtype(infer, 1, 4));
    KATA__TRY(kata__rule_rank(infer, 0, 2, 0, "(N,C,...)"));
    KATA__TRY(batch_vectors(infer, 1, names, 4));
    KATA__TRY(check_epsilon(infer, infer->attributes[BATCH_EPSILON].f));
    if (infer->n_outputs > 1 && infer->attributes[BATCH_TRAINING].i == 0) {
        return kata_fail(KATA_INVALID, "%s: %d outputs, but without training_mode there is one, Y",
                         infer->op->name, infer->n_outputs);
    }
    infer->outputs[0] = infer->inputs[0];
    vector_outputs(infer, 1);
    return KATA_OK;
}

/* training_mode 1: mean and variance of each channel over n and d (biased, book 6.7, L4967);
 * y = scale (x - mean) / sqrt(variance + epsilon) + bias (6.8);
 * running = running momentum + batch (1 - momentum) */
static kata_status batch_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0], *out = call->outputs;
    batch b = batch_of(&x->shape);
    double epsilon = call->attributes[BATCH_EPSILON].f;
    double momentum = call->attributes[BATCH_MOMENTUM].f;
    bool training = call->attributes[BATCH_TRAINING].i != 0;
    for (int64_t c = 0; c < b.c; c++) {
        double scale = load(&call->inputs[1], c), bias = load(&call->inputs[2], c);
        double mean = load(&call->inputs[3], c), variance = load(&call->inputs[4], c);
        if (training) {
            double running_mean = mean, running_variance = variance;
            statistics(x, b.n * b.d, c * b.d, b.d, b.c * b.d, &mean, &variance);
            /* An empty batch says nothing about the running statistics. */
            double keep = b.n * b.d == 0 ? 1 : momentum;
            if (call->n_outputs > 1) {
                store(&out[1], c, running_mean * keep + mean * (1 - keep));
            }
            if (call->n_outputs > 2) {
                store(&out[2], c, running_variance * keep + variance * (1 - keep));
            }
        }
        double inverse = 1 / sqrt(variance + epsilon);
        if (call->n_outputs > 3) {
            store(&out[3], c, mean);
        }
        if (call->n_outputs > 4) {
            store(&out[4], c, inverse);
        }
        for (int64_t n = 0; n < b.n; n++) {
            for (int64_t i = (n * b.c + c) * b.d; i < (n * b.c + c + 1) * b.d; i++) {
                store(&out[0], i, scale * (load(x, i) - mean) * inverse + bias);
            }
        }
    }
    return KATA_OK;
}

static size_t batch_workspace(const kata_call *call) {
    return call->attributes[BATCH_TRAINING].i == 0
               ? 0
               : 3 * room_for(call->inputs[0].dtype, call->inputs[0].shape.dim[1]);
}

#define RUNNING(T)                                                                                 \
    static void running_##T(int64_t n, const T *old, const T *now, double momentum, T *to) {       \
        for (int64_t i = 0; i < n; i++) {                                                          \
            to[i] = (T)(old[i] * momentum + now[i] * (1 - momentum));                              \
        }                                                                                          \
    }
RUNNING(float)
RUNNING(double)

static void running(const kata_call *call, int input, const void *now, int output) {
    double momentum = call->attributes[BATCH_MOMENTUM].f;
    int64_t n = kata_tensor_count(&call->inputs[input]);
    if (output >= call->n_outputs) {
        return;
    }
    if (call->inputs[0].dtype == KATA_F32) {
        running_float(n, call->inputs[input].data, now, momentum, call->outputs[output].data);
    } else {
        running_double(n, call->inputs[input].data, now, momentum, call->outputs[output].data);
    }
}

static kata_status batch_train_fast(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0];
    batch b = batch_of(&x->shape);
    char *at = call->workspace;
    void *variance = take(&at, x->dtype, b.c);
    void *mean = call->n_outputs > 3 ? call->outputs[3].data : take(&at, x->dtype, b.c);
    void *inverse = call->n_outputs > 4 ? call->outputs[4].data : take(&at, x->dtype, b.c);
    kata__batch_norm_train(call->context, x->dtype, b.n, b.c, b.d, x->data, call->inputs[1].data,
                           call->inputs[2].data, call->attributes[BATCH_EPSILON].f,
                           call->outputs[0].data, mean, inverse, variance);
    running(call, 3, mean, 1);
    running(call, 4, variance, 2);
    return KATA_OK;
}

static kata_status batch_apply_fast(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0];
    batch b = batch_of(&x->shape);
    kata__batch_norm_apply(call->context, x->dtype, b.n, b.c, b.d, x->data, call->inputs[1].data,
                           call->inputs[2].data, call->inputs[3].data, call->inputs[4].data,
                           call->attributes[BATCH_EPSILON].f, call->outputs[0].data);
    return KATA_OK;
}

static kata_kernel batch_choose(const kata_call *call) {
    if (!is_fast(call)) {
        return NULL;
    }
    return call->attributes[BATCH_TRAINING].i != 0 ? batch_train_fast : batch_apply_fast;
}

/* Two passes for the statistics, one to apply: about 6 operations an element; 2 without training.
 */
static double batch_flops(const kata_call *call) {
    return (call->attributes[BATCH_TRAINING].i != 0 ? 6.0 : 2.0) *
           (double)kata_tensor_count(&call->inputs[0]);
}

static kata_status batch_gradient(kata_gradient *g) {
    kata_graph *graph = g->graph;
    kata_value x = g->inputs[0], dy = g->output_gradients[0], scale = g->inputs[1];
    const kata_attribute epsilon = KATA_FLOAT("epsilon", g->attributes[BATCH_EPSILON].f);
    KATA__TRY(only_y(g));
    kata_value d[5];
    if (g->attributes[BATCH_TRAINING].i == 0) {
        KATA__TRY(kata_graph_node_outputs(graph, NULL, "kata:BatchNormApplyGrad",
                                          KATA_INPUTS(x, dy, scale, g->inputs[3], g->inputs[4]),
                                          &epsilon, 1, d, 5));
        use_gradients(g, d, 1, 5);
        return KATA_OK;
    }
    kata_value all[5];
    if (g->n_outputs == 5) {
        memcpy(all, g->outputs, sizeof all);
    } else {
        /* The node does not say what its statistics were: compute them again. */
        KATA__TRY(kata_graph_node_outputs(
            graph, NULL, "BatchNormalization", g->inputs, g->n_inputs,
            (const kata_attribute[]){epsilon, KATA_INT("training_mode", 1)}, 2, all, 5));
    }
    KATA__TRY(kata_graph_node_outputs(graph, NULL, "kata:BatchNormGrad",
                                      KATA_INPUTS(x, dy, scale, all[3], all[4]), NULL, 0, d, 3));
    use_gradients(g, d, 1, 3);
    return KATA_OK;
}

/* While training: by the batch's statistics, which are outputs 3 and 4 for the gradient, and the
 * running ones are written back to their variables. */
static kata_status batch_bind(kata_binding *b) {
    kata_attribute given[KATA_MAX_ATTRIBUTES];
    kata_value all[5];
    int n = kata_attributes_given(b->op, b->attributes, given);
    if (!b->training) {
        return kata_graph_node_outputs(b->graph, b->name, "BatchNormalization", b->inputs,
                                       b->n_inputs, given, n, b->outputs, b->n_outputs);
    }
    if (b->attributes[BATCH_TRAINING].is_set) {
        for (int i = 0; i < n; i++) {
            if (strcmp(given[i].name, "training_mode") == 0) {
                given[i].i = 1;
            }
        }
    } else {
        given[n++] = (kata_attribute)KATA_INT("training_mode", 1);
    }
    KATA__TRY(kata_graph_node_outputs(b->graph, b->name, "BatchNormalization", b->inputs, 5, given,
                                      n, all, 5));
    memcpy(b->outputs, all, (size_t)b->n_outputs * sizeof *all);
    for (int i = 0; i < 2; i++) {
        if (kata__graph_info(b->graph, b->inputs[3 + i])->kind == KATA__VALUE_VARIABLE) {
            kata_value assigned;
            KATA__TRY(kata_graph_node_outputs(b->graph, b->name, "kata:Assign",
                                              KATA_INPUTS(b->inputs[3 + i], all[1 + i]), NULL, 0,
                                              &assigned, 1));
        }
    }
    return KATA_OK;
}

const kata_op kata__op_BatchNormalization = {
    .name = "BatchNormalization",
    .domain = "",
    .since = 1,
    .min_inputs = 5,
    .max_inputs = 5,
    .min_outputs = 1,
    .max_outputs = 5,
    .attributes = batch_attributes,
    .infer = batch_infer,
    .batch = kata__batch_BatchNormalization,
    .workspace = batch_workspace,
    .reference = batch_reference,
    .choose = batch_choose,
    .gradient = batch_gradient,
    .flops = batch_flops,
    .in_place = 1,
    .tolerance = 1e-4,
    .doc = "scale (x - mean) / sqrt(variance + epsilon) + bias for each channel of (N,C,...); with "
           "training_mode by the batch's own statistics. Outputs Y, running mean, running "
           "variance; Kata's own: the batch's mean and 1/sqrt(variance + epsilon).",
    .flags = KATA_OP_SCALES,
    .bind = batch_bind,
    .state_inputs = 1 << 3 | 1 << 4,
    .changes = (const kata_op_change[]){{KATA_ATTRIBUTE_IGNORED, 0, "is_test", 0}, {0}},
    .adapt = kata__adapt_batch_norm,
    .adapt_before = 14,
};

/* ---- kata:BatchNormGrad (x, dy, scale, mean, inverse) -> dx, dscale, dbias ---- */

static kata_status batch_grad_infer(kata_infer *infer) {
    static const char *const names[] = {"scale", "mean", "inverse or variance"};
    KATA__TRY(kata__infer_float(infer, 0, true));
    KATA__TRY(kata__rule_same_dtype(infer, 1, 4));
    KATA__TRY(kata__rule_rank(infer, 0, 2, 0, "(N,C,...)"));
    KATA__TRY(kata__rule_same_shape(infer, 0, 1));
    KATA__TRY(batch_vectors(infer, 2, names, 3));
    infer->outputs[0] = infer->inputs[0];
    vector_outputs(infer, 1);
    return KATA_OK;
}

static kata_status batch_grad_reference(const kata_call *call) {
    const kata_tensor *in = call->inputs, *out = call->outputs;
    batch b = batch_of(&in[0].shape);
    for (int64_t c = 0; c < b.c; c++) {
        double dscale, dbias;
        plain_backward(&in[0], &in[1], &out[0], b.n * b.d, c * b.d, b.d, b.c * b.d, load(&in[3], c),
                       load(&in[4], c), load(&in[2], c), &dscale, &dbias);
        store(&out[1], c, dscale);
        store(&out[2], c, dbias);
    }
    return KATA_OK;
}

static kata_status batch_grad_fast(const kata_call *call) {
    const kata_tensor *in = call->inputs, *out = call->outputs;
    batch b = batch_of(&in[0].shape);
    kata__batch_norm_gradient(call->context, in[0].dtype, b.n, b.c, b.d, in[0].data, in[1].data,
                              in[2].data, in[3].data, in[4].data, out[0].data, out[1].data,
                              out[2].data);
    return KATA_OK;
}

static kata_kernel batch_grad_choose(const kata_call *call) {
    return is_fast(call) ? batch_grad_fast : NULL;
}

static double batch_grad_flops(const kata_call *call) {
    return 10.0 * (double)kata_tensor_count(&call->inputs[0]);
}

const kata_op kata__op_kata_BatchNormGrad = {
    .name = "BatchNormGrad",
    .domain = "kata",
    .since = 1,
    .min_inputs = 5,
    .max_inputs = 5,
    .min_outputs = 3,
    .max_outputs = 3,
    .infer = batch_grad_infer,
    .reference = batch_grad_reference,
    .choose = batch_grad_choose,
    .flops = batch_grad_flops,
    .flags = KATA_OP_INTERNAL,
    .in_place = 3,
    .tolerance = 1e-4,
    .doc = "(x, dy, scale, mean, 1/sqrt(variance + epsilon)) -> dx, dscale, dbias of "
           "BatchNormalization in training.",
};

/* ---- kata:BatchNormApplyGrad (x, dy, scale, mean, variance) -> dx, dscale, dbias, dmean, dvar
 * ---- */

static const kata_attribute_spec apply_grad_attributes[] = {{.name = "epsilon",
                                                             .type = KATA_ATTRIBUTE_FLOAT,
                                                             .default_float = 1e-5,
                                                             .doc = "added to the variance"},
                                                            {0}};

/* With the statistics given, y = scale inverse (x - mean) + bias is an affine map:
 *   dx = scale inverse dy, dbias = sum dy, dscale = inverse sum dy (x - mean),
 *   dmean = -scale inverse dbias, dvariance = -1/2 scale inverse^2 dscale */
static kata_status apply_grad_reference(const kata_call *call) {
    const kata_tensor *in = call->inputs, *out = call->outputs;
    batch b = batch_of(&in[0].shape);
    for (int64_t c = 0; c < b.c; c++) {
        double scale = load(&in[2], c), mean = load(&in[3], c);
        double inverse = 1 / sqrt(load(&in[4], c) + call->attributes[0].f);
        double sum = 0, dot = 0;
        for (int64_t n = 0; n < b.n; n++) {
            for (int64_t i = (n * b.c + c) * b.d; i < (n * b.c + c + 1) * b.d; i++) {
                double dy = load(&in[1], i);
                sum += dy;
                dot += dy * (load(&in[0], i) - mean);
                store(&out[0], i, scale * inverse * dy);
            }
        }
        store(&out[1], c, inverse * dot);
        store(&out[2], c, sum);
        store(&out[3], c, -scale * inverse * sum);
        store(&out[4], c, -0.5 * scale * inverse * inverse * inverse * dot);
    }
    return KATA_OK;
}

#define APPLY_GRAD(T)                                                                              \
    static void apply_grad_chunk_##T(void *argument, int64_t c, int worker) {                      \
        const kata_call *call = argument;                                                          \
        const kata_tensor *in = call->inputs, *out = call->outputs;                                \
        batch b = batch_of(&in[0].shape);                                                          \
        double scale = ((const T *)in[2].data)[c], mean = ((const T *)in[3].data)[c];              \
        double inverse = 1 / sqrt(((const T *)in[4].data)[c] + call->attributes[0].f);             \
        T factor = (T)(scale * inverse), center = (T)mean;                                         \
        double sum = 0, dot = 0;                                                                   \
        (void)worker;                                                                              \
        for (int64_t n = 0; n < b.n; n++) {                                                        \
            const T *x = (const T *)in[0].data + (n * b.c + c) * b.d;                              \
            const T *dy = (const T *)in[1].data + (n * b.c + c) * b.d;                             \
            T *dx = (T *)out[0].data + (n * b.c + c) * b.d;                                        \
            for (int64_t i = 0; i < b.d; i++) {                                                    \
                T g = dy[i];                                                                       \
                sum += g;                                                                          \
                dot += (double)(g * (x[i] - center));                                              \
                dx[i] = factor * g;                                                                \
            }                                                                                      \
        }                                                                                          \
        ((T *)out[1].data)[c] = (T)(inverse * dot);                                                \
        ((T *)out[2].data)[c] = (T)sum;                                                            \
        ((T *)out[3].data)[c] = (T)(-scale * inverse * sum);                                       \
        ((T *)out[4].data)[c] = (T)(-0.5 * scale * inverse * inverse * inverse * dot);             \
    }
APPLY_GRAD(float)
APPLY_GRAD(double)

static kata_status apply_grad_fast(const kata_call *call) {
    kata_call copy = *call;
    kata__parallel(call->context, call->inputs[0].shape.dim[1],
                   call->inputs[0].dtype == KATA_F32 ? apply_grad_chunk_float
                                                     : apply_grad_chunk_double,
                   &copy);
    return KATA_OK;
}

static kata_kernel apply_grad_choose(const kata_call *call) {
    return is_fast(call) ? apply_grad_fast : NULL;
}

const kata_op kata__op_kata_BatchNormApplyGrad = {
    .name = "BatchNormApplyGrad",
    .domain = "kata",
    .since = 1,
    .min_inputs = 5,
    .max_inputs = 5,
    .min_outputs = 5,
    .max_outputs = 5,
    .attributes = apply_grad_attributes,
    .infer = batch_grad_infer,
    .reference = apply_grad_reference,
    .choose = apply_grad_choose,
    .flops = batch_grad_flops,
    .flags = KATA_OP_INTERNAL,
    .in_place = 3,
    .tolerance = 1e-4,
    .doc = "(x, dy, scale, mean, variance) -> dx, dscale, dbias, dmean, dvariance of "
           "BatchNormalization with given statistics.",
};

/* ---- LayerNormalization: x is (rows, d), d = the axes from `axis` on ---- */

enum { LAYER_AXIS, LAYER_EPSILON, LAYER_STASH };
static const kata_attribute_spec layer_attributes[] = {
    {.name = "axis",
     .type = KATA_ATTRIBUTE_INT,
     .default_int = -1,
     .doc = "the first axis that is normalised"},
    {.name = "epsilon",
     .type = KATA_ATTRIBUTE_FLOAT,
     .default_float = 1e-5,
     .doc = "added to the variance"},
    {.name = "stash_type",
     .type = KATA_ATTRIBUTE_INT,
     .default_int = 1,
     .doc = "ONNX: dtype of the statistics; here the input's, float32 for 16-bit inputs"},
    {0}};

static int layer_axis(const kata_attribute_value *attributes, const kata_shape *x) {
    int64_t axis = attributes[LAYER_AXIS].i;
    return (int)(axis < 0 ? axis + x->rank : axis);
}

/* Scale and bias have the shape of the axes that are normalised. */
static kata_status layer_operand(const kata_infer *infer, int i, int axis, const char *what) {
    if (!kata__infer_has(infer, i)) {
        return KATA_OK;
    }
    const kata_shape *x = &infer->inputs[0].shape, *shape = &infer->inputs[i].shape;
    bool same = shape->rank == x->rank - axis;
    for (int k = 0; same && k < shape->rank; k++) {
        same = kata__size_agrees(shape->dim[k], x->dim[axis + k]);
    }
    if (!same) {
        char got[KATA_SHAPE_TEXT_SIZE], want[KATA_SHAPE_TEXT_SIZE], of[KATA_SHAPE_TEXT_SIZE];
        kata_shape expected = kata_shape_make(x->rank - axis, x->dim + axis);
        return kata_fail(KATA_SHAPE,
                         "%s: the %s (input %d) has shape %s, expected %s, the axes of %s from %d "
                         "on",
                         infer->op->name, what, i, kata_shape_text(shape, got),
                         kata_shape_text(&expected, want), kata_shape_text(x, of), axis);
    }
    return KATA_OK;
}

static kata_dtype statistics_dtype(kata_dtype x) {
    return x == KATA_F64 ? KATA_F64 : KATA_F32;
}

static kata_status layer_infer(kata_infer *infer) {
    int axis;
    const kata_shape *x = &infer->inputs[0].shape;
    KATA__TRY(kata__infer_float(infer, 0, true));
    KATA__TRY(kata__rule_same_dtype(infer, 1, 2));
    KATA__TRY(kata__infer_axis(infer, infer->attributes[LAYER_AXIS].i, x->rank, &axis));
    KATA__TRY(layer_operand(infer, 1, axis, "scale"));
    KATA__TRY(layer_operand(infer, 2, axis, "bias"));
    KATA__TRY(check_epsilon(infer, infer->attributes[LAYER_EPSILON].f));
    infer->outputs[0] = infer->inputs[0];
    for (int i = 1; i < infer->n_outputs; i++) {
        infer->outputs[i].dtype = statistics_dtype(infer->inputs[0].dtype);
        infer->outputs[i].shape = *x;
        for (int k = axis; k < x->rank; k++) {
            infer->outputs[i].shape.dim[k] = 1;
        }
    }
    return KATA_OK;
}

static void layer_sizes(const kata_call *call, int64_t *rows, int64_t *d) {
    const kata_shape *x = &call->inputs[0].shape;
    int axis = layer_axis(call->attributes, x);
    *rows = kata__product(x, 0, axis);
    *d = kata__product(x, axis, x->rank);
}

/* y = scale (x - mean) / sqrt(variance + epsilon) + bias, mean and biased variance of each row */
static kata_status layer_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0], *out = call->outputs;
    int64_t rows, d;
    layer_sizes(call, &rows, &d);
    for (int64_t row = 0; row < rows; row++) {
        double mean, variance;
        statistics(x, d, row * d, d, 0, &mean, &variance);
        double inverse = 1 / sqrt(variance + call->attributes[LAYER_EPSILON].f);
        if (call->n_outputs > 1) {
            store(&out[1], row, mean);
        }
        if (call->n_outputs > 2) {
            store(&out[2], row, inverse);
        }
        for (int64_t i = 0; i < d; i++) {
            double bias = kata__call_has(call, 2) ? load(&call->inputs[2], i) : 0;
            store(&out[0], row * d + i,
                  load(&call->inputs[1], i) * (load(x, row * d + i) - mean) * inverse + bias);
        }
    }
    return KATA_OK;
}

static size_t layer_workspace(const kata_call *call) {
    int64_t rows, d;
    layer_sizes(call, &rows, &d);
    return 2 * room_for(KATA_F64, rows);
}

static kata_status layer_fast(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0];
    int64_t rows, d;
    layer_sizes(call, &rows, &d);
    char *at = call->workspace;
    void *mean = call->n_outputs > 1 ? call->outputs[1].data : take(&at, x->dtype, rows);
    void *inverse = call->n_outputs > 2 ? call->outputs[2].data : take(&at, x->dtype, rows);
    kata__layer_norm(call->context, x->dtype, rows, d, x->data, call->inputs[1].data,
                     kata__call_has(call, 2) ? call->inputs[2].data : NULL,
                     call->attributes[LAYER_EPSILON].f, call->outputs[0].data, mean, inverse);
    return KATA_OK;
}

static kata_kernel layer_choose(const kata_call *call) {
    return is_fast(call) ? layer_fast : NULL;
}

static double layer_flops(const kata_call *call) {
    return 6.0 * (double)kata_tensor_count(&call->inputs[0]);
}

static kata_status layer_gradient(kata_gradient *g) {
    bool known = g->n_outputs == 3;
    kata_value d[3];
    KATA__TRY(only_y(g));
    KATA__TRY(kata_graph_node_outputs(
        g->graph, NULL, "kata:LayerNormGrad",
        KATA_INPUTS(g->inputs[0], g->output_gradients[0], g->inputs[1],
                    known ? g->outputs[1] : KATA_NONE, known ? g->outputs[2] : KATA_NONE),
        (const kata_attribute[]){KATA_INT("axis", g->attributes[LAYER_AXIS].i),
                                 KATA_FLOAT("epsilon", g->attributes[LAYER_EPSILON].f)},
        2, d, 3));
    use_gradients(g, d, 1, 3);
    return KATA_OK;
}

const kata_op kata__op_LayerNormalization = {
    .name = "LayerNormalization",
    .domain = "",
    .since = 17,
    .min_inputs = 2,
    .max_inputs = 3,
    .min_outputs = 1,
    .max_outputs = 3,
    .attributes = layer_attributes,
    .infer = layer_infer,
    .batch = kata__batch_LayerNormalization,
    .workspace = layer_workspace,
    .reference = layer_reference,
    .choose = layer_choose,
    .gradient = layer_gradient,
    .flops = layer_flops,
    .tolerance = 1e-4,
    .doc = "scale (x - mean) / sqrt(variance + epsilon) + bias over the axes from `axis` on; "
           "outputs Y, Mean, InvStdDev.",
};

/* ---- kata:LayerNormGrad (x, dy, scale, mean, inverse) -> dx, dscale, dbias ---- */

static const kata_attribute_spec layer_grad_attributes[] = {
    {.name = "axis", .type = KATA_ATTRIBUTE_INT, .default_int = -1, .doc = "as the layer's"},
    {.name = "epsilon",
     .type = KATA_ATTRIBUTE_FLOAT,
     .default_float = 1e-5,
     .doc = "as the layer's"},
    {0}};

static kata_status layer_grad_infer(kata_infer *infer) {
    int axis;
    const kata_shape *x = &infer->inputs[0].shape;
    KATA__TRY(kata__infer_float(infer, 0, true));
    KATA__TRY(kata__rule_same_dtype(infer, 1, 2));
    KATA__TRY(kata__rule_same_shape(infer, 0, 1));
    KATA__TRY(kata__infer_axis(infer, infer->attributes[LAYER_AXIS].i, x->rank, &axis));
    KATA__TRY(layer_operand(infer, 2, axis, "scale"));
    infer->outputs[0] = infer->inputs[0];
    infer->outputs[1] = infer->outputs[2] = infer->inputs[2];
    return KATA_OK;
}

/* With h = scale dy:  dx = inverse (h - mean(h) - x^ mean(h x^)), dscale = sum over rows of dy x^,
 * dbias = sum over rows of dy. Mean and inverse are computed again if they are not given. */
static kata_status layer_grad_reference(const kata_call *call) {
    const kata_tensor *in = call->inputs, *out = call->outputs;
    int64_t rows, d;
    layer_sizes(call, &rows, &d);
    for (int64_t row = 0; row < rows; row++) {
        double mean, variance, sum = 0, dot = 0;
        statistics(&in[0], d, row * d, d, 0, &mean, &variance);
        double inverse = 1 / sqrt(variance + call->attributes[LAYER_EPSILON].f);
        if (kata__call_has(call, 3) && kata__call_has(call, 4)) {
            mean = load(&in[3], row);
            inverse = load(&in[4], row);
        }
        for (int64_t i = row * d; i < (row + 1) * d; i++) {
            double h = load(&in[2], i - row * d) * load(&in[1], i);
            sum += h;
            dot += h * (load(&in[0], i) - mean) * inverse;
        }
        for (int64_t i = row * d; i < (row + 1) * d; i++) {
            double h = load(&in[2], i - row * d) * load(&in[1], i);
            double hat = (load(&in[0], i) - mean) * inverse;
            store(&out[0], i, inverse * (h - sum / (double)d - hat * dot / (double)d));
        }
    }
    for (int64_t i = 0; i < d; i++) {
        double dscale = 0, dbias = 0;
        for (int64_t row = 0; row < rows; row++) {
            double mean, variance;
            statistics(&in[0], d, row * d, d, 0, &mean, &variance);
            double inverse = 1 / sqrt(variance + call->attributes[LAYER_EPSILON].f);
            if (kata__call_has(call, 3) && kata__call_has(call, 4)) {
                mean = load(&in[3], row);
                inverse = load(&in[4], row);
            }
            dscale += load(&in[1], row * d + i) * (load(&in[0], row * d + i) - mean) * inverse;
            dbias += load(&in[1], row * d + i);
        }
        store(&out[1], i, dscale);
        store(&out[2], i, dbias);
    }
    return KATA_OK;
}

/* Mean and 1/sqrt(variance + epsilon) of rows of d elements, four partial sums in a fixed order. */
typedef struct row_job {
    const void *x;
    int64_t rows, d, each;
    double epsilon;
    void *mean, *inverse;
} row_job;

#define ROW_STATISTICS(T)                                                                          \
    static void row_chunk_##T(void *argument, int64_t chunk, int worker) {                         \
        const row_job *job = argument;                                                             \
        int64_t last = (chunk + 1) * job->each < job->rows ? (chunk + 1) * job->each : job->rows;  \
        (void)worker;                                                                              \
        for (int64_t row = chunk * job->each; row < last; row++) {                                 \
            const T *x = (const T *)job->x + row * job->d;                                         \
            double s0 = 0, s1 = 0, s2 = 0, s3 = 0, q0 = 0, q1 = 0, q2 = 0, q3 = 0;                 \
            int64_t i = 0;                                                                         \
            for (; i + 4 <= job->d; i += 4) {                                                      \
                s0 += x[i], s1 += x[i + 1], s2 += x[i + 2], s3 += x[i + 3];                        \
            }                                                                                      \
            for (; i < job->d; i++) {                                                              \
                s0 += x[i];                                                                        \
            }                                                                                      \
            const double mean = ((s0 + s1) + (s2 + s3)) / (double)job->d;                          \
            for (i = 0; i + 4 <= job->d; i += 4) {                                                 \
                double d0 = x[i] - mean, d1 = x[i + 1] - mean;                                     \
                double d2 = x[i + 2] - mean, d3 = x[i + 3] - mean;                                 \
                q0 += d0 * d0, q1 += d1 * d1, q2 += d2 * d2, q3 += d3 * d3;                        \
            }                                                                                      \
            for (; i < job->d; i++) {                                                              \
                q0 += (x[i] - mean) * (x[i] - mean);                                               \
            }                                                                                      \
            double variance = ((q0 + q1) + (q2 + q3)) / (double)job->d;                            \
            ((T *)job->mean)[row] = (T)mean;                                                       \
            ((T *)job->inverse)[row] = (T)(1 / sqrt(variance + job->epsilon));                     \
        }                                                                                          \
    }
ROW_STATISTICS(float)
ROW_STATISTICS(double)

static void row_statistics(kata_context *context, kata_dtype dtype, const void *x, int64_t rows,
                           int64_t d, double epsilon, void *mean, void *inverse) {
    int64_t each = d >= 16384 ? 1 : 16384 / d;
    row_job job = {x, rows, d, each, epsilon, mean, inverse};
    kata__parallel(context, (rows + each - 1) / each,
                   dtype == KATA_F32 ? row_chunk_float : row_chunk_double, &job);
}

static size_t layer_grad_workspace(const kata_call *call) {
    int64_t rows, d;
    layer_sizes(call, &rows, &d);
    if (!is_fast(call)) {
        return 0;
    }
    return 2 * room_for(call->inputs[0].dtype, rows) +
           kata__layer_norm_gradient_workspace(call->context, call->inputs[0].dtype, rows, d);
}

static kata_status layer_grad_fast(const kata_call *call) {
    const kata_tensor *in = call->inputs, *out = call->outputs;
    int64_t rows, d;
    layer_sizes(call, &rows, &d);
    char *at = call->workspace;
    void *own_mean = take(&at, in[0].dtype, rows), *own_inverse = take(&at, in[0].dtype, rows);
    const void *mean = own_mean, *inverse = own_inverse;
    if (kata__call_has(call, 3) && kata__call_has(call, 4)) {
        mean = in[3].data;
        inverse = in[4].data;
    } else {
        row_statistics(call->context, in[0].dtype, in[0].data, rows, d,
                       call->attributes[LAYER_EPSILON].f, own_mean, own_inverse);
    }
    kata__layer_norm_gradient(call->context, in[0].dtype, rows, d, in[0].data, in[1].data,
                              in[2].data, mean, inverse, out[0].data, out[1].data, out[2].data, at);
    return KATA_OK;
}

static kata_kernel layer_grad_choose(const kata_call *call) {
    return is_fast(call) ? layer_grad_fast : NULL;
}

const kata_op kata__op_kata_LayerNormGrad = {
    .name = "LayerNormGrad",
    .domain = "kata",
    .since = 1,
    .min_inputs = 3,
    .max_inputs = 5,
    .min_outputs = 3,
    .max_outputs = 3,
    .attributes = layer_grad_attributes,
    .infer = layer_grad_infer,
    .workspace = layer_grad_workspace,
    .reference = layer_grad_reference,
    .choose = layer_grad_choose,
    .flops = batch_grad_flops,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 1e-4,
    .doc = "(x, dy, scale, mean, 1/sqrt(variance + epsilon)) -> dx, dscale, dbias of "
           "LayerNormalization.",
};

/* ---- InstanceNormalization: each (n,c) plane by its own statistics ---- */

enum { INSTANCE_EPSILON };
static const kata_attribute_spec instance_attributes[] = {{.name = "epsilon",
                                                           .type = KATA_ATTRIBUTE_FLOAT,
                                                           .default_float = 1e-5,
                                                           .doc = "added to the variance"},
                                                          {0}};

static kata_status instance_infer(kata_infer *infer) {
    static const char *const names[] = {"scale", "bias"};
    KATA__TRY(kata__infer_float(infer, 0, true));
    KATA__TRY(kata__rule_same_dtype(infer, 1, 2));
    KATA__TRY(kata__rule_rank(infer, 0, 3, 0, "(N,C,...) with one spatial axis or more"));
    KATA__TRY(batch_vectors(infer, 1, names, 2));
    KATA__TRY(check_epsilon(infer, infer->attributes[INSTANCE_EPSILON].f));
    return kata__infer_same(infer);
}

/* y = scale[c] (x - mean) / sqrt(variance + epsilon) + bias[c], mean and variance of plane (n,c) */
static kata_status instance_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0];
    batch b = batch_of(&x->shape);
    for (int64_t plane = 0; plane < b.n * b.c; plane++) {
        double mean, variance, scale = load(&call->inputs[1], plane % b.c);
        statistics(x, b.d, plane * b.d, b.d, 0, &mean, &variance);
        double inverse = 1 / sqrt(variance + call->attributes[INSTANCE_EPSILON].f);
        for (int64_t i = plane * b.d; i < (plane + 1) * b.d; i++) {
            store(&call->outputs[0], i,
                  scale * (load(x, i) - mean) * inverse + load(&call->inputs[2], plane % b.c));
        }
    }
    return KATA_OK;
}

/* The kernels of the batch's normalisation do it: a batch of one with n c channels. */
static void *repeated(char **at, const kata_tensor *vector, int64_t n) {
    size_t bytes = kata_tensor_bytes(vector);
    char *block = take(at, vector->dtype, n * kata_tensor_count(vector));
    for (int64_t i = 0; i < n; i++) {
        memcpy(block + (size_t)i * bytes, vector->data, bytes);
    }
    return block;
}

static size_t instance_workspace(const kata_call *call) {
    batch b = batch_of(&call->inputs[0].shape);
    return is_fast(call) ? 5 * room_for(call->inputs[0].dtype, b.n * b.c) : 0;
}

static kata_status instance_fast(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0];
    batch b = batch_of(&x->shape);
    char *at = call->workspace;
    void *scale = repeated(&at, &call->inputs[1], b.n),
         *bias = repeated(&at, &call->inputs[2], b.n);
    void *mean = take(&at, x->dtype, b.n * b.c), *inverse = take(&at, x->dtype, b.n * b.c);
    void *variance = take(&at, x->dtype, b.n * b.c);
    kata__batch_norm_train(call->context, x->dtype, 1, b.n * b.c, b.d, x->data, scale, bias,
                           call->attributes[INSTANCE_EPSILON].f, call->outputs[0].data, mean,
                           inverse, variance);
    return KATA_OK;
}

static kata_kernel instance_choose(const kata_call *call) {
    return is_fast(call) ? instance_fast : NULL;
}

static kata_status instance_gradient(kata_gradient *g) {
    kata_value d[3];
    KATA__TRY(kata_graph_node_outputs(
        g->graph, NULL, "kata:InstanceNormGrad",
        KATA_INPUTS(g->inputs[0], g->output_gradients[0], g->inputs[1]),
        (const kata_attribute[]){KATA_FLOAT("epsilon", g->attributes[INSTANCE_EPSILON].f)}, 1, d,
        3));
    use_gradients(g, d, 1, 3);
    return KATA_OK;
}

const kata_op kata__op_InstanceNormalization = {
    .name = "InstanceNormalization",
    .domain = "",
    .since = 1,
    .min_inputs = 3,
    .max_inputs = 3,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = instance_attributes,
    .infer = instance_infer,
    .batch = kata__batch_first,
    .workspace = instance_workspace,
    .reference = instance_reference,
    .choose = instance_choose,
    .gradient = instance_gradient,
    .flops = layer_flops,
    .in_place = 1,
    .tolerance = 1e-4,
    .doc = "scale (x - mean) / sqrt(variance + epsilon) + bias for each plane of (N,C,...).",
};

/* ---- kata:InstanceNormGrad (x, dy, scale) -> dx, dscale, dbias ---- */

static kata_status instance_grad_infer(kata_infer *infer) {
    static const char *const names[] = {"scale"};
    KATA__TRY(kata__infer_float(infer, 0, true));
    KATA__TRY(kata__rule_same_dtype(infer, 1, 2));
    KATA__TRY(kata__rule_rank(infer, 0, 3, 0, "(N,C,...) with one spatial axis or more"));
    KATA__TRY(kata__rule_same_shape(infer, 0, 1));
    KATA__TRY(batch_vectors(infer, 2, names, 1));
    infer->outputs[0] = infer->inputs[0];
    vector_outputs(infer, 1);
    return KATA_OK;
}

static kata_status instance_grad_reference(const kata_call *call) {
    const kata_tensor *in = call->inputs, *out = call->outputs;
    batch b = batch_of(&in[0].shape);
    for (int64_t c = 0; c < b.c; c++) {
        double sum_scale = 0, sum_bias = 0;
        for (int64_t n = 0; n < b.n; n++) {
            double mean, variance, dscale, dbias;
            int64_t start = (n * b.c + c) * b.d;
            statistics(&in[0], b.d, start, b.d, 0, &mean, &variance);
            plain_backward(&in[0], &in[1], &out[0], b.d, start, b.d, 0, mean,
                           1 / sqrt(variance + call->attributes[INSTANCE_EPSILON].f),
                           load(&in[2], c), &dscale, &dbias);
            sum_scale += dscale;
            sum_bias += dbias;
        }
        store(&out[1], c, sum_scale);
        store(&out[2], c, sum_bias);
    }
    return KATA_OK;
}

static kata_status instance_grad_fast(const kata_call *call) {
    const kata_tensor *in = call->inputs, *out = call->outputs;
    kata_dtype dtype = in[0].dtype;
    batch b = batch_of(&in[0].shape);
    char *at = call->workspace;
    void *scale = repeated(&at, &in[2], b.n);
    void *mean = take(&at, dtype, b.n * b.c), *inverse = take(&at, dtype, b.n * b.c);
    void *dscale = take(&at, dtype, b.n * b.c), *dbias = take(&at, dtype, b.n * b.c);
    row_statistics(call->context, dtype, in[0].data, b.n * b.c, b.d,
                   call->attributes[INSTANCE_EPSILON].f, mean, inverse);
    kata__batch_norm_gradient(call->context, dtype, 1, b.n * b.c, b.d, in[0].data, in[1].data,
                              scale, mean, inverse, out[0].data, dscale, dbias);
    for (int64_t c = 0; c < b.c; c++) {
        double sum_scale = 0, sum_bias = 0;
        for (int64_t n = 0; n < b.n; n++) {
            sum_scale += kata_load(dtype, dscale, n * b.c + c);
            sum_bias += kata_load(dtype, dbias, n * b.c + c);
        }
        store(&out[1], c, sum_scale);
        store(&out[2], c, sum_bias);
    }
    return KATA_OK;
}

static kata_kernel instance_grad_choose(const kata_call *call) {
    return is_fast(call) ? instance_grad_fast : NULL;
}

const kata_op kata__op_kata_InstanceNormGrad = {
    .name = "InstanceNormGrad",
    .domain = "kata",
    .since = 1,
    .min_inputs = 3,
    .max_inputs = 3,
    .min_outputs = 3,
    .max_outputs = 3,
    .attributes = instance_attributes,
    .infer = instance_grad_infer,
    .workspace = instance_workspace,
    .reference = instance_grad_reference,
    .choose = instance_grad_choose,
    .flops = batch_grad_flops,
    .flags = KATA_OP_INTERNAL,
    .in_place = 3,
    .tolerance = 1e-4,
    .doc = "(x, dy, scale) -> dx, dscale, dbias of InstanceNormalization.",
};
