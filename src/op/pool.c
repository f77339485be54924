/* Pooling: the largest or the mean of a sliding window or of a whole plane, and the gradients. */
#include "op/batch.h"
#include "op/gradient.h"
#include "op/infer.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/parallel.h"
#include "kernel/conv.h"
#include "kernel/elementwise.h"
#include "op/problem.h"
#include "op/rules.h"
#include "op/window.h"

enum { POOL_AUTO_PAD, POOL_CEIL, POOL_DILATIONS, POOL_KERNEL, POOL_PADS, POOL_STRIDES, POOL_OWN };
#define POOL_ATTRIBUTES                                                                            \
    {.name = "auto_pad",                                                                           \
     .type = KATA_ATTRIBUTE_STRING,                                                                \
     .default_string = "NOTSET",                                                                   \
     .doc = "NOTSET: pads; SAME_UPPER, SAME_LOWER: output size ceil(input / stride), the odd pad " \
            "at the end or begin; VALID: none"},                                                   \
        {.name = "ceil_mode",                                                                      \
         .type = KATA_ATTRIBUTE_INT,                                                               \
         .doc = "1: a last window that is not full counts too"},                                   \
        {.name = "dilations",                                                                      \
         .type = KATA_ATTRIBUTE_INTS,                                                              \
         .default_int = 1,                                                                         \
         .doc = "distance of the taps; 1s"},                                                       \
        {.name = "kernel_shape",                                                                   \
         .type = KATA_ATTRIBUTE_INTS,                                                              \
         .required = true,                                                                         \
         .doc = "sizes of the window"},                                                            \
        {.name = "pads",                                                                           \
         .type = KATA_ATTRIBUTE_INTS,                                                              \
         .doc = "room before each spatial axis, then behind each; 0s"},                            \
    {                                                                                              \
        .name = "strides", .type = KATA_ATTRIBUTE_INTS, .doc = "step of the window; 1s"            \
    }

static kata_status pool_window(kata__window *window, const kata_op *op,
                               const kata_attribute_value *attributes, const kata_shape *x) {
    kata__window_attributes list = {.auto_pad = &attributes[POOL_AUTO_PAD],
                                    .kernel_shape = &attributes[POOL_KERNEL],
                                    .strides = &attributes[POOL_STRIDES],
                                    .dilations = &attributes[POOL_DILATIONS],
                                    .pads = &attributes[POOL_PADS],
                                    .ceil_mode = attributes[POOL_CEIL].i != 0};
    return kata__window_of(window, op, &list, x, NULL);
}

static kata_status pool_infer(kata_infer *infer) {
    const kata_shape *x = &infer->inputs[0].shape;
    KATA__TRY(kata__rule_rank(infer, 0, 3, 0, "(N,C,W) or (N,C,H,W)"));
    kata__window window;
    KATA__TRY(pool_window(&window, infer->op, infer->attributes, x));
    for (int i = 2 - window.rank; i < 2; i++) {
        int64_t extent = (window.kernel[i] - 1) * window.dilation[i] + 1;
        if (window.pad_begin[i] >= extent || window.pad_end[i] >= extent) {
            return kata_fail(KATA_INVALID,
                             "%s: the pads %lld and %lld must be smaller than the window, which "
                             "covers %lld",
                             infer->op->name, (long long)window.pad_begin[i],
                             (long long)window.pad_end[i], (long long)extent);
        }
    }
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    infer->outputs[0].shape = kata__window_shape(&window, x->dim[0], x->dim[1], window.out);
    return KATA_OK;
}

/* The window of a call whose shape rule has passed. */
static kata__window pool_window_of(const kata_call *call) {
    kata__window window = {0};
    (void)pool_window(&window, call->op, call->attributes, &call->inputs[0].shape);
    return window;
}

static kata__conv pool_conv(const kata__window *window, const kata_shape *x) {
    return kata__window_conv(window, x->dim[0], x->dim[1], x->dim[1], 1);
}

static bool is_empty(const kata__conv *v) {
    return v->n == 0 || v->c == 0 || v->h == 0 || v->w == 0 || v->oh == 0 || v->ow == 0;
}

/* Planes of a chunk of work: a function of the sizes alone. */
static int64_t planes_each(const kata__conv *v) {
    int64_t each = 32768 / (v->h * v->w);
    return each < 1 ? 1 : each;
}

/* Input position of tap k of window o. */
static int64_t tap_y(const kata__conv *v, int64_t o, int64_t k) {
    return o * v->stride_h - v->pad_top + k * v->dilation_h;
}
static int64_t tap_x(const kata__conv *v, int64_t o, int64_t k) {
    return o * v->stride_w - v->pad_left + k * v->dilation_w;
}

/* ---- MaxPool ---- */

enum { MAX_STORAGE_ORDER = POOL_OWN };
static const kata_attribute_spec max_attributes[] = {
    POOL_ATTRIBUTES,
    {.name = "storage_order",
     .type = KATA_ATTRIBUTE_INT,
     .doc = "of the output Indices: 0 rows, 1 columns are contiguous"},
    {0}};

static kata_status max_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__ALL_FLOATS | KATA__DTYPE(I8) | KATA__DTYPE(U8)));
    KATA__TRY(pool_infer(infer));
    if (infer->n_outputs > 1) {
        infer->outputs[1].dtype = KATA_I64;
        infer->outputs[1].shape = infer->outputs[0].shape;
    }
    return KATA_OK;
}

/* ONNX Indices: the position in the whole tensor x, of a position h * w in plane n * c. */
static int64_t global_index(const kata__conv *v, int64_t plane, int64_t at, bool columns) {
    if (columns) {
        at = at / v->w + at % v->w * v->h;
    }
    return plane * v->h * v->w + at;
}

/* y = the largest tap inside x, a NaN if there is one; Indices = where it is (the first of equals
 * or of NaNs in row-major order, -1 if all taps lie outside) */
static kata_status max_reference(const kata_call *call) {
    kata__window window = pool_window_of(call);
    kata__conv v = pool_conv(&window, &call->inputs[0].shape);
    const kata_tensor *x = &call->inputs[0], *y = &call->outputs[0];
    bool columns = call->attributes[MAX_STORAGE_ORDER].i != 0;
    double lowest = x->dtype == KATA_U8 ? 0 : x->dtype == KATA_I8 ? -128 : (double)-INFINITY;
    int64_t at = 0;
    for (int64_t plane = 0; plane < v.n * v.c; plane++) {
        for (int64_t oy = 0; oy < v.oh; oy++) {
            for (int64_t ox = 0; ox < v.ow; ox++) {
                double best = lowest;
                int64_t where = -1;
                for (int64_t k = 0; k < v.kh * v.kw; k++) {
                    int64_t iy = tap_y(&v, oy, k / v.kw), ix = tap_x(&v, ox, k % v.kw);
                    if (iy < 0 || iy >= v.h || ix < 0 || ix >= v.w) {
                        continue;
                    }
                    double value = kata_load(x->dtype, x->data, (plane * v.h + iy) * v.w + ix);
                    if (where < 0 || value > best || (isnan(value) && !isnan(best))) {
                        best = value;
                        where = iy * v.w + ix;
                    }
                }
                kata_store(y->dtype, y->data, at, best);
                if (call->n_outputs > 1) {
                    ((int64_t *)call->outputs[1].data)[at] =
                        where < 0 ? -1 : global_index(&v, plane, where, columns);
                }
                at++;
            }
        }
    }
    return KATA_OK;
}

static size_t max_workspace(const kata_call *call) {
    return call->n_outputs > 1 ? (size_t)kata_tensor_count(&call->outputs[0]) * sizeof(int32_t) : 0;
}

static kata_status max_fast(const kata_call *call) {
    kata__window window = pool_window_of(call);
    kata__conv v = pool_conv(&window, &call->inputs[0].shape);
    int32_t *local = call->n_outputs > 1 ? call->workspace : NULL;
    kata__max_pool(call->context, call->outputs[0].dtype, &v, call->inputs[0].data,
                   call->outputs[0].data, local);
    if (local != NULL) {
        bool columns = call->attributes[MAX_STORAGE_ORDER].i != 0;
        int64_t *index = call->outputs[1].data, each = v.oh * v.ow;
        for (int64_t i = 0; i < v.n * v.c * each; i++) {
            index[i] = global_index(&v, i / each, local[i], columns);
        }
    }
    return KATA_OK;
}

/* With pads and dilation a window may have no tap inside: the plain loops know about that. */
static bool windows_are_never_empty(const kata__window *window) {
    bool never = true;
    for (int i = 0; i < 2; i++) {
        never = never && (window->dilation[i] == 1 ||
                          (window->pad_begin[i] == 0 && window->pad_end[i] == 0));
    }
    return never;
}

static kata_kernel max_choose(const kata_call *call) {
    kata__window window = pool_window_of(call);
    kata__conv v = pool_conv(&window, &call->inputs[0].shape);
    return kata__is_fast(call->outputs[0].dtype) && !is_empty(&v) &&
                   windows_are_never_empty(&window)
               ? max_fast
               : NULL;
}

/* One comparison or addition a tap. */
static double pool_flops(const kata_call *call) {
    kata__window window = pool_window_of(call);
    kata__conv v = pool_conv(&window, &call->inputs[0].shape);
    return (double)v.n * (double)v.c * kata__window_taps(&v);
}

/* Attributes of a gradient node: the geometry with nothing left to work out. */
typedef struct pool_grad {
    int64_t pads[4];
    kata_attribute list[6];
    int n;
} pool_grad;

static void pool_grad_attributes(pool_grad *to, const kata__window *window) {
    int rank = window->rank, skip = 2 - rank;
    for (int i = 0; i < rank; i++) {
        to->pads[i] = window->pad_begin[skip + i];
        to->pads[rank + i] = window->pad_end[skip + i];
    }
    to->list[0] = (kata_attribute)KATA_INTS_OF("dilations", window->dilation + skip, rank);
    to->list[1] = (kata_attribute)KATA_INTS_OF("kernel_shape", window->kernel + skip, rank);
    to->list[2] = (kata_attribute)KATA_INTS_OF("pads", to->pads, 2 * rank);
    to->list[3] = (kata_attribute)KATA_INTS_OF("strides", window->stride + skip, rank);
    to->n = 4;
}

/* Each dy goes to the tap that was the largest (book L5526-5545). */
static kata_status max_gradient(kata_gradient *g) {
    kata_graph *graph = g->graph;
    kata_shape x = kata_value_shape(graph, g->inputs[0]);
    kata__window window;
    KATA__TRY(pool_window(&window, g->op, g->attributes, &x));
    pool_grad attributes;
    pool_grad_attributes(&attributes, &window);
    g->input_gradients[0] = kata_graph_node(
        graph, "kata:MaxPoolGrad", KATA_INPUTS(g->inputs[0], g->outputs[0], g->output_gradients[0]),
        attributes.list, attributes.n);
    return kata_graph_status(graph);
}

const kata_op kata__op_MaxPool = {
    .name = "MaxPool",
    .domain = "",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 2,
    .attributes = max_attributes,
    .infer = max_infer,
    .batch = kata__batch_first,
    .workspace = max_workspace,
    .reference = max_reference,
    .choose = max_choose,
    .gradient = max_gradient,
    .flops = pool_flops,
    .tolerance = 1e-7,
    .doc = "Largest number of each window; the pads are never the largest; Indices (optional) is "
           "where it was.",
};

/* ---- kata:MaxPoolGrad (x, y, dy) -> dx ---- */

enum { GRAD_DILATIONS, GRAD_KERNEL, GRAD_PADS, GRAD_STRIDES, GRAD_COUNT_PAD, GRAD_SIZES };
static const kata_attribute_spec max_grad_attributes[] = {
    {.name = "dilations", .type = KATA_ATTRIBUTE_INTS, .doc = "as the pool's"},
    {.name = "kernel_shape", .type = KATA_ATTRIBUTE_INTS, .required = true, .doc = "as the pool's"},
    {.name = "pads", .type = KATA_ATTRIBUTE_INTS, .doc = "as the pool's"},
    {.name = "strides", .type = KATA_ATTRIBUTE_INTS, .doc = "as the pool's"},
    {0}};

/* Reads a gradient node's attributes; x has the pool's input shape, y its output's. */
static kata_status grad_window(kata__window *window, const kata_op *op,
                               const kata_attribute_value *attributes, const kata_shape *x,
                               const kata_shape *y) {
    kata__window_attributes list = {.kernel_shape = &attributes[GRAD_KERNEL],
                                    .strides = &attributes[GRAD_STRIDES],
                                    .dilations = &attributes[GRAD_DILATIONS],
                                    .pads = &attributes[GRAD_PADS]};
    bool same_upper, same_lower;
    KATA__TRY(kata__window_read(window, &same_upper, &same_lower, op, &list, y, NULL));
    for (int i = 2 - window->rank; i < 2; i++) {
        window->in[i] = x->dim[x->rank - 2 + i];
        window->out[i] = y->dim[y->rank - 2 + i];
    }
    return KATA_OK;
}

static kata_status max_grad_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_float(infer, 0, true));
    KATA__TRY(kata__rule_same_dtype(infer, 1, 2));
    KATA__TRY(kata__rule_rank(infer, 0, 3, 4, "(N,C,W) or (N,C,H,W)"));
    KATA__TRY(kata__rule_rank(infer, 1, infer->inputs[0].shape.rank, infer->inputs[0].shape.rank,
                              "the rank of input 0"));
    KATA__TRY(kata__rule_same_shape(infer, 1, 2));
    kata__window window;
    KATA__TRY(grad_window(&window, infer->op, infer->attributes, &infer->inputs[0].shape,
                          &infer->inputs[1].shape));
    return kata__infer_same(infer);
}

static kata__window max_grad_window(const kata_call *call) {
    kata__window window = {0};
    (void)grad_window(&window, call->op, call->attributes, &call->inputs[0].shape,
                      &call->inputs[1].shape);
    return window;
}

/* dx = 0; for each window: dx[first tap that is y] += dy */
static kata_status max_grad_reference(const kata_call *call) {
    kata__window window = max_grad_window(call);
    kata__conv v = pool_conv(&window, &call->inputs[0].shape);
    kata_dtype dtype = call->outputs[0].dtype;
    void *dx = call->outputs[0].data;
    memset(dx, 0, kata_tensor_bytes(&call->outputs[0]));
    for (int64_t o = 0; o < v.n * v.c * v.oh * v.ow; o++) {
        int64_t ox = o % v.ow, oy = o / v.ow % v.oh, plane = o / v.ow / v.oh;
        double y = kata_load(dtype, call->inputs[1].data, o);
        for (int64_t k = 0; k < v.kh * v.kw; k++) {
            int64_t iy = tap_y(&v, oy, k / v.kw), ix = tap_x(&v, ox, k % v.kw);
            if (iy < 0 || iy >= v.h || ix < 0 || ix >= v.w) {
                continue;
            }
            int64_t at = (plane * v.h + iy) * v.w + ix;
            double tap = kata_load(dtype, call->inputs[0].data, at);
            if (tap == y || (isnan(tap) && isnan(y))) {
                kata_store(dtype, dx, at,
                           kata_load(dtype, dx, at) + kata_load(dtype, call->inputs[2].data, o));
                break;
            }
        }
    }
    return KATA_OK;
}

typedef struct max_grad_job {
    const kata__conv *v;
    const void *x, *y, *dy;
    void *dx;
} max_grad_job;

/* 2x2 windows with stride 2: four of them at a time, from two rows of x into two rows of dx.
 * Returns how many windows are done. */
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define HAVE_SHUFFLE 1
#elif defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define HAVE_SHUFFLE 1
#endif
#endif
#ifdef HAVE_SHUFFLE
typedef float four __attribute__((vector_size(16)));
typedef int32_t four_bits __attribute__((vector_size(16)));

static inline four load_four(const float *from) {
    four value;
    memcpy(&value, from, sizeof value);
    return value;
}
static inline void store_fours(float *to, four_bits even, four_bits odd) {
    four_bits first = __builtin_shufflevector(even, odd, 0, 4, 1, 5);
    four_bits second = __builtin_shufflevector(even, odd, 2, 6, 3, 7);
    memcpy(to, &first, sizeof first);
    memcpy(to + 4, &second, sizeof second);
}

static int64_t max_grad_row_float(int64_t n, const float *x, const float *x_low, const float *y,
                                  const float *dy, float *dx, float *dx_low) {
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        four x0 = load_four(x + 2 * i), x1 = load_four(x + 2 * i + 4), m = load_four(y + i);
        four l0 = load_four(x_low + 2 * i), l1 = load_four(x_low + 2 * i + 4);
        four_bits g = (four_bits)load_four(dy + i);
        four_bits a = __builtin_shufflevector(x0, x1, 0, 2, 4, 6) == m;
        four_bits b = __builtin_shufflevector(x0, x1, 1, 3, 5, 7) == m;
        four_bits c = __builtin_shufflevector(l0, l1, 0, 2, 4, 6) == m;
        four_bits d = __builtin_shufflevector(l0, l1, 1, 3, 5, 7) == m;
        store_fours(dx + 2 * i, g & a, g & b & ~a);
        store_fours(dx_low + 2 * i, g & c & ~(a | b), g & d & ~(a | b | c));
    }
    return i;
}
#else
static int64_t max_grad_row_float(int64_t n, const float *x, const float *x_low, const float *y,
                                  const float *dy, float *dx, float *dx_low) {
    (void)n, (void)x, (void)x_low, (void)y, (void)dy, (void)dx, (void)dx_low;
    return 0;
}
#endif
static int64_t max_grad_row_double(int64_t n, const double *x, const double *x_low, const double *y,
                                   const double *dy, double *dx, double *dx_low) {
    (void)n, (void)x, (void)x_low, (void)y, (void)dy, (void)dx, (void)dx_low;
    return 0;
}

/* First and one behind the last tap of a window that begins at `start` and lie in 0..size-1. */
static void taps_inside(int64_t start, int64_t dilation, int64_t k, int64_t size, int64_t *first,
                        int64_t *behind) {
    *first = start < 0 ? (-start + dilation - 1) / dilation : 0;
    *behind = start >= size ? 0 : (size - start + dilation - 1) / dilation;
    *behind = *behind < k ? *behind : k;
}

/* 2x2 with stride 2 is one pass that writes each element once; any other pool zeroes the plane and
 * looks for y in each window, from the last tap to the first, so that nothing branches. */
#define NUMBER_TYPE float
#define OF(name) name##_float
#include "op/body/max_pool_gradient.h"
#undef NUMBER_TYPE
#undef OF
#define NUMBER_TYPE double
#define OF(name) name##_double
#include "op/body/max_pool_gradient.h"
#undef NUMBER_TYPE
#undef OF

static kata_status max_grad_fast(const kata_call *call) {
    kata__window window = max_grad_window(call);
    kata__conv v = pool_conv(&window, &call->inputs[0].shape);
    max_grad_job job = {&v, call->inputs[0].data, call->inputs[1].data, call->inputs[2].data,
                        call->outputs[0].data};
    int64_t each = planes_each(&v);
    kata__parallel(
        call->context, (v.n * v.c + each - 1) / each,
        call->outputs[0].dtype == KATA_F32 ? max_grad_chunk_float : max_grad_chunk_double, &job);
    return KATA_OK;
}

static kata_kernel max_grad_choose(const kata_call *call) {
    kata__window window = max_grad_window(call);
    kata__conv v = pool_conv(&window, &call->inputs[0].shape);
    return kata__is_fast(call->outputs[0].dtype) && !is_empty(&v) ? max_grad_fast : NULL;
}

const kata_op kata__op_kata_MaxPoolGrad = {
    .name = "MaxPoolGrad",
    .domain = "kata",
    .since = 1,
    .min_inputs = 3,
    .max_inputs = 3,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = max_grad_attributes,
    .infer = max_grad_infer,
    .reference = max_grad_reference,
    .choose = max_grad_choose,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 1e-6,
    .doc = "(x, y, dy) -> dx: dy goes to the first tap of its window that is equal to y.",
};

/* ---- AveragePool ---- */

enum { AVERAGE_COUNT_PAD = POOL_OWN };
static const kata_attribute_spec average_attributes[] = {
    POOL_ATTRIBUTES,
    {.name = "count_include_pad",
     .type = KATA_ATTRIBUTE_INT,
     .doc = "1: the zeros of the pads count in the mean"},
    {0}};

static kata_status average_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_float(infer, 0, true));
    return pool_infer(infer);
}

/* How many taps of window o lie in first..last-1. */
static int64_t taps_between(int64_t o, int64_t k, int64_t stride, int64_t dilation, int64_t pad,
                            int64_t first, int64_t last) {
    int64_t n = 0;
    for (int64_t tap = 0; tap < k; tap++) {
        int64_t i = o * stride - pad + tap * dilation;
        n += i >= first && i < last;
    }
    return n;
}

/* The divisor of window (oy,ox): taps inside x, with count_include_pad inside x and its pads. */
static int64_t average_count(const kata__window *w, bool count_pad, int64_t oy, int64_t ox) {
    int64_t count = 1, o[2] = {oy, ox};
    for (int i = 0; i < 2; i++) {
        count *= taps_between(o[i], w->kernel[i], w->stride[i], w->dilation[i], w->pad_begin[i],
                              count_pad ? -w->pad_begin[i] : 0,
                              count_pad ? w->in[i] + w->pad_end[i] : w->in[i]);
    }
    return count < 1 ? 1 : count;
}

/* y = sum of the window's taps inside x / divisor */
static kata_status average_reference(const kata_call *call) {
    kata__window window = pool_window_of(call);
    kata__conv v = pool_conv(&window, &call->inputs[0].shape);
    const kata_tensor *x = &call->inputs[0], *y = &call->outputs[0];
    bool count_pad = call->attributes[AVERAGE_COUNT_PAD].i != 0;
    for (int64_t o = 0; o < v.n * v.c * v.oh * v.ow; o++) {
        int64_t ox = o % v.ow, oy = o / v.ow % v.oh, plane = o / v.ow / v.oh;
        double sum = 0;
        for (int64_t k = 0; k < v.kh * v.kw; k++) {
            int64_t iy = tap_y(&v, oy, k / v.kw), ix = tap_x(&v, ox, k % v.kw);
            if (iy >= 0 && iy < v.h && ix >= 0 && ix < v.w) {
                sum += kata_load(x->dtype, x->data, (plane * v.h + iy) * v.w + ix);
            }
        }
        kata_store(y->dtype, y->data, o, sum / (double)average_count(&window, count_pad, oy, ox));
    }
    return KATA_OK;
}

/* No window reaches behind the end pads, as ceil_mode lets the last ones. */
static bool windows_end_inside(const kata__window *window) {
    bool inside = true;
    for (int i = 0; i < 2; i++) {
        int64_t end = (window->out[i] - 1) * window->stride[i] +
                      (window->kernel[i] - 1) * window->dilation[i] + 1;
        inside = inside && end <= window->in[i] + window->pad_begin[i] + window->pad_end[i];
    }
    return inside;
}

/* The kernel takes whole windows as divisor when the pads count. */
static bool average_is_fast(const kata_call *call, const kata__window *window, const kata__conv *v,
                            bool count_pad) {
    return kata__is_fast(call->outputs[0].dtype) && !is_empty(v) &&
           windows_are_never_empty(window) && (!count_pad || windows_end_inside(window));
}

static kata_status average_fast(const kata_call *call) {
    kata__window window = pool_window_of(call);
    kata__conv v = pool_conv(&window, &call->inputs[0].shape);
    kata__average_pool(call->context, call->outputs[0].dtype, &v,
                       call->attributes[AVERAGE_COUNT_PAD].i != 0, call->inputs[0].data,
                       call->outputs[0].data);
    return KATA_OK;
}

static kata_kernel average_choose(const kata_call *call) {
    kata__window window = pool_window_of(call);
    kata__conv v = pool_conv(&window, &call->inputs[0].shape);
    return average_is_fast(call, &window, &v, call->attributes[AVERAGE_COUNT_PAD].i != 0)
               ? average_fast
               : NULL;
}

static kata_status average_gradient(kata_gradient *g) {
    kata_graph *graph = g->graph;
    kata_shape x = kata_value_shape(graph, g->inputs[0]);
    kata__window window;
    KATA__TRY(pool_window(&window, g->op, g->attributes, &x));
    pool_grad attributes;
    pool_grad_attributes(&attributes, &window);
    attributes.list[attributes.n++] =
        (kata_attribute)KATA_INT("count_include_pad", g->attributes[AVERAGE_COUNT_PAD].i);
    attributes.list[attributes.n++] =
        (kata_attribute)KATA_INTS_OF("sizes", window.in + 2 - window.rank, window.rank);
    g->input_gradients[0] =
        kata_graph_node(graph, "kata:AveragePoolGrad", KATA_INPUTS(g->output_gradients[0]),
                        attributes.list, attributes.n);
    return kata_graph_status(graph);
}

const kata_op kata__op_AveragePool = {
    .name = "AveragePool",
    .domain = "",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = average_attributes,
    .infer = average_infer,
    .batch = kata__batch_first,
    .reference = average_reference,
    .choose = average_choose,
    .gradient = average_gradient,
    .flops = pool_flops,
    .tolerance = 1e-5,
    .doc = "Mean of each window (dilations as of opset 19).",
    .changes = (const kata_op_change[]){{KATA_ATTRIBUTE_ADDED, 19, "dilations", 0}, {0}},
};

/* ---- kata:AveragePoolGrad (dy) -> dx ---- */

static const kata_attribute_spec average_grad_attributes[] = {
    {.name = "dilations", .type = KATA_ATTRIBUTE_INTS, .doc = "as the pool's"},
    {.name = "kernel_shape", .type = KATA_ATTRIBUTE_INTS, .required = true, .doc = "as the pool's"},
    {.name = "pads", .type = KATA_ATTRIBUTE_INTS, .doc = "as the pool's"},
    {.name = "strides", .type = KATA_ATTRIBUTE_INTS, .doc = "as the pool's"},
    {.name = "count_include_pad", .type = KATA_ATTRIBUTE_INT, .doc = "as the pool's"},
    {.name = "sizes", .type = KATA_ATTRIBUTE_INTS, .required = true, .doc = "spatial sizes of dx"},
    {0}};

static kata_status average_grad_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_float(infer, 0, true));
    KATA__TRY(kata__rule_rank(infer, 0, 3, 4, "(N,C,W) or (N,C,H,W)"));
    kata_shape dx = infer->inputs[0].shape;
    const kata_attribute_value *sizes = &infer->attributes[GRAD_SIZES];
    if (sizes->n != dx.rank - 2) {
        return kata_fail(KATA_INVALID, "%s: sizes has %d numbers, expected %d", infer->op->name,
                         sizes->n, dx.rank - 2);
    }
    for (int i = 0; i < sizes->n; i++) {
        if (sizes->ints[i] < 1 || sizes->ints[i] > INT32_MAX) {
            return kata_fail(KATA_INVALID, "%s: sizes[%d] is %lld, expected 1 or more",
                             infer->op->name, i, (long long)sizes->ints[i]);
        }
        dx.dim[2 + i] = sizes->ints[i];
    }
    kata__window window;
    KATA__TRY(grad_window(&window, infer->op, infer->attributes, &dx, &infer->inputs[0].shape));
    infer->outputs[0] = (kata_type){infer->inputs[0].dtype, dx};
    return KATA_OK;
}

static kata__window average_grad_window(const kata_call *call) {
    kata__window window = {0};
    (void)grad_window(&window, call->op, call->attributes, &call->outputs[0].shape,
                      &call->inputs[0].shape);
    return window;
}

/* dx = 0; for each window and each of its taps inside x: dx[tap] += dy / divisor */
static kata_status average_grad_reference(const kata_call *call) {
    kata__window window = average_grad_window(call);
    kata__conv v = pool_conv(&window, &call->outputs[0].shape);
    kata_dtype dtype = call->outputs[0].dtype;
    void *dx = call->outputs[0].data;
    bool count_pad = call->attributes[GRAD_COUNT_PAD].i != 0;
    memset(dx, 0, kata_tensor_bytes(&call->outputs[0]));
    for (int64_t o = 0; o < v.n * v.c * v.oh * v.ow; o++) {
        int64_t ox = o % v.ow, oy = o / v.ow % v.oh, plane = o / v.ow / v.oh;
        double each = kata_load(dtype, call->inputs[0].data, o) /
                      (double)average_count(&window, count_pad, oy, ox);
        for (int64_t k = 0; k < v.kh * v.kw; k++) {
            int64_t iy = tap_y(&v, oy, k / v.kw), ix = tap_x(&v, ox, k % v.kw);
            if (iy >= 0 && iy < v.h && ix >= 0 && ix < v.w) {
                int64_t at = (plane * v.h + iy) * v.w + ix;
                kata_store(dtype, dx, at, kata_load(dtype, dx, at) + each);
            }
        }
    }
    return KATA_OK;
}

static kata_status average_grad_fast(const kata_call *call) {
    kata__window window = average_grad_window(call);
    kata__conv v = pool_conv(&window, &call->outputs[0].shape);
    kata__average_pool_gradient(call->context, call->outputs[0].dtype, &v,
                                call->attributes[GRAD_COUNT_PAD].i != 0, call->inputs[0].data,
                                call->outputs[0].data);
    return KATA_OK;
}

static kata_kernel average_grad_choose(const kata_call *call) {
    kata__window window = average_grad_window(call);
    kata__conv v = pool_conv(&window, &call->outputs[0].shape);
    return average_is_fast(call, &window, &v, call->attributes[GRAD_COUNT_PAD].i != 0)
               ? average_grad_fast
               : NULL;
}

const kata_op kata__op_kata_AveragePoolGrad = {
    .name = "AveragePoolGrad",
    .domain = "kata",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = average_grad_attributes,
    .infer = average_grad_infer,
    .reference = average_grad_reference,
    .choose = average_grad_choose,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 1e-5,
    .doc = "dy -> dx: each window's dy in equal parts to its taps.",
};

bool kata__pool_problem(const kata_call *call, kata__conv *pool, bool *count_include_pad) {
    bool is_average = call->op == &kata__op_AveragePool;
    bool is_average_grad = call->op == &kata__op_kata_AveragePoolGrad;
    kata__window window = call->op == &kata__op_kata_MaxPoolGrad ? max_grad_window(call)
                          : is_average_grad                      ? average_grad_window(call)
                                                                 : pool_window_of(call);
    *pool = pool_conv(&window, is_average_grad ? &call->outputs[0].shape : &call->inputs[0].shape);
    *count_include_pad = is_average        ? call->attributes[AVERAGE_COUNT_PAD].i != 0
                         : is_average_grad ? call->attributes[GRAD_COUNT_PAD].i != 0
                                           : false;
    return !is_empty(pool) && windows_are_never_empty(&window) &&
           (!*count_include_pad || windows_end_inside(&window));
}

/* ---- Whole planes: GlobalAveragePool, GlobalMaxPool: (N,C,...) -> (N,C,1,...) ---- */

static kata_status global_infer(kata_infer *infer) {
    const kata_shape *x = &infer->inputs[0].shape;
    KATA__TRY(kata__infer_float(infer, 0, true));
    KATA__TRY(kata__rule_rank(infer, 0, 3, 0, "(N,C,...) with one spatial axis or more"));
    infer->outputs[0] = infer->inputs[0];
    for (int i = 2; i < x->rank; i++) {
        if (x->dim[i] == 0) {
            char text[KATA_SHAPE_TEXT_SIZE];
            return kata_fail(KATA_SHAPE, "%s: the input %s has empty planes", infer->op->name,
                             kata_shape_text(x, text));
        }
        infer->outputs[0].shape.dim[i] = 1;
    }
    return KATA_OK;
}

/* y[n,c] = (sum over the plane of x) / size */
static kata_status global_average_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0], *y = &call->outputs[0];
    int64_t size = kata__product(&x->shape, 2, x->shape.rank);
    for (int64_t p = 0; p < kata_tensor_count(y); p++) {
        double sum = 0;
        for (int64_t i = 0; i < size; i++) {
            sum += kata_load(x->dtype, x->data, p * size + i);
        }
        kata_store(y->dtype, y->data, p, sum / (double)size);
    }
    return KATA_OK;
}

/* y[n,c] = largest of the plane, a NaN if there is one */
static kata_status global_max_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0], *y = &call->outputs[0];
    int64_t size = kata__product(&x->shape, 2, x->shape.rank);
    for (int64_t p = 0; p < kata_tensor_count(y); p++) {
        double best = (double)-INFINITY;
        for (int64_t i = 0; i < size; i++) {
            double value = kata_load(x->dtype, x->data, p * size + i);
            best = value > best || isnan(value) ? value : best;
        }
        kata_store(y->dtype, y->data, p, best);
    }
    return KATA_OK;
}

static void global_reduce(const kata_call *call, kata__reduce op) {
    const kata_tensor *x = &call->inputs[0], *y = &call->outputs[0];
    kata_shape shape =
        KATA_SHAPE_OF(kata_tensor_count(y), kata__product(&x->shape, 2, x->shape.rank));
    const bool reduce[KATA_MAX_RANK] = {false, true};
    kata__reduce_run(call->context, y->dtype, op, &shape, reduce, x->data, y->data);
}

static kata_status global_average_fast(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0], *y = &call->outputs[0];
    double size = (double)kata__product(&x->shape, 2, x->shape.rank);
    global_reduce(call, KATA__REDUCE_SUM);
    for (int64_t i = 0; i < kata_tensor_count(y); i++) {
        if (y->dtype == KATA_F32) {
            ((float *)y->data)[i] /= (float)size;
        } else {
            ((double *)y->data)[i] /= size;
        }
    }
    return KATA_OK;
}

static kata_status global_max_fast(const kata_call *call) {
    global_reduce(call, KATA__REDUCE_MAX);
    return KATA_OK;
}

static bool global_is_fast(const kata_call *call) {
    return kata__is_fast(call->outputs[0].dtype) && kata_tensor_count(&call->outputs[0]) > 0;
}

static kata_kernel global_average_choose(const kata_call *call) {
    return global_is_fast(call) ? global_average_fast : NULL;
}

static kata_kernel global_max_choose(const kata_call *call) {
    return global_is_fast(call) ? global_max_fast : NULL;
}

static double global_flops(const kata_call *call) {
    return (double)kata_tensor_count(&call->inputs[0]);
}

static kata_status global_average_gradient(kata_gradient *g) {
    kata_shape x = kata_value_shape(g->graph, g->inputs[0]);
    double size = (double)kata__product(&x, 2, x.rank);
    kata_value each = kata__scale(g->graph, g->output_gradients[0], 1 / size);
    g->input_gradients[0] = kata__expand_to(g->graph, each, &x);
    return kata_graph_status(g->graph);
}

/* A plane is one window along one axis. */
static kata_status global_max_gradient(kata_gradient *g) {
    kata_graph *graph = g->graph;
    kata_shape shape = kata_value_shape(graph, g->inputs[0]);
    int64_t size = kata__product(&shape, 2, shape.rank);
    kata_shape flat = KATA_SHAPE_OF(shape.dim[0], shape.dim[1], size);
    kata_shape one = KATA_SHAPE_OF(shape.dim[0], shape.dim[1], 1);
    kata_value x = kata__reshape_to(graph, g->inputs[0], &flat);
    kata_value y = kata__reshape_to(graph, g->outputs[0], &one);
    kata_value dy = kata__reshape_to(graph, g->output_gradients[0], &one);
    kata_value dx = KATA_NODE_WITH(graph, "kata:MaxPoolGrad", KATA_INPUTS(x, y, dy),
                                   KATA_INTS("kernel_shape", size));
    g->input_gradients[0] = kata__reshape_to(graph, dx, &shape);
    return kata_graph_status(graph);
}

const kata_op kata__op_GlobalAveragePool = {
    .name = "GlobalAveragePool",
    .domain = "",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = global_infer,
    .batch = kata__batch_first,
    .reference = global_average_reference,
    .choose = global_average_choose,
    .gradient = global_average_gradient,
    .flops = global_flops,
    .tolerance = 1e-5,
    .doc = "Mean of each plane: (N,C,...) -> (N,C,1,...).",
};

const kata_op kata__op_GlobalMaxPool = {
    .name = "GlobalMaxPool",
    .domain = "",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = global_infer,
    .batch = kata__batch_first,
    .reference = global_max_reference,
    .choose = global_max_choose,
    .gradient = global_max_gradient,
    .flops = global_flops,
    .tolerance = 1e-7,
    .doc = "Largest of each plane: (N,C,...) -> (N,C,1,...).",
};
