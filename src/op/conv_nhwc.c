/* Convolution of NHWC tensors, (N,H,W,C), and its gradient by the weight: rows that the
 * layout pass makes (kernel/conv_nhwc.h says what they compute).
 *
 * A node carries the whole problem in its attributes, with nothing left to work out: pads before
 * the two axes, output sizes, strides, dilations. Weights come in ONNX's order (F,C/group,kh,kw)
 * and are packed inside the call, or packed before by kata:ConvNhwcPrepack, once for many calls.
 * What a packed weight looks like is the affair of the kernel that packs and the one that reads;
 * the reference kernels' packed weight is the one in ONNX's order, flipped if need be. */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "kernel/conv_nhwc.h"
#include "kernel/winograd.h"
#include "op/infer.h"
#include "op/problem.h"
#include "op/rules.h"
#include "op/window.h"
#include "op/workspace.h"

#define ALIGNMENT ((size_t)64)

enum { NHWC_ALGORITHM, NHWC_DILATIONS, NHWC_GROUP, NHWC_PADS, NHWC_SIZES, NHWC_STRIDES, NHWC_OWN };
#define NHWC_ATTRIBUTES                                                                            \
    {.name = "algorithm",                                                                          \
     .type = KATA_ATTRIBUTE_INT,                                                                   \
     .doc = "0 direct, 1 Winograd F(2x2,3x3), 2 F(4x4,3x3)"},                                      \
        {.name = "dilations", .type = KATA_ATTRIBUTE_INTS, .doc = "distance of the taps; 1s"},     \
        {.name = "group", .type = KATA_ATTRIBUTE_INT, .default_int = 1, .doc = "as Conv's"},       \
        {.name = "pads",                                                                           \
         .type = KATA_ATTRIBUTE_INTS,                                                              \
         .doc = "zeros above and left of the input; 0s"},                                          \
        {.name = "sizes",                                                                          \
         .type = KATA_ATTRIBUTE_INTS,                                                              \
         .required = true,                                                                         \
         .doc = "height and width of the convolution's output, before pooling"},                   \
    {                                                                                              \
        .name = "strides", .type = KATA_ATTRIBUTE_INTS, .doc = "step of the window; 1s"            \
    }

static const char *input_text(const kata_infer *infer, int i, char text[KATA_SHAPE_TEXT_SIZE]) {
    return kata_shape_text(&infer->inputs[i].shape, text);
}

/* ---- Reading the problem ---- */

/* Two numbers of an attribute, each minimum..2^31-1. */
static kata_status read_pair(int64_t to[2], const kata_op *op, const kata_attribute_value *values,
                             int which, int64_t minimum, int64_t otherwise) {
    const kata_attribute_value *value = &values[which];
    to[0] = to[1] = otherwise;
    if (value->n == 0) {
        return KATA_OK;
    }
    if (value->n != 2) {
        return kata_fail(KATA_INVALID, "%s: %s has %d numbers, expected 2", op->name,
                         op->attributes[which].name, value->n);
    }
    for (int i = 0; i < 2; i++) {
        to[i] = value->ints[i];
        if (to[i] < minimum || to[i] > INT32_MAX) {
            return kata_fail(KATA_INVALID, "%s: %s[%d] is %lld, expected %lld to 2147483647",
                             op->name, op->attributes[which].name, i, (long long)to[i],
                             (long long)minimum);
        }
    }
    return KATA_OK;
}

/* The problem without its weight's sizes: x (n,h,w,c). */
static kata_status read_problem(kata__conv *conv, const kata_op *op,
                                const kata_attribute_value *values, const kata_shape *x) {
    int64_t pads[2], sizes[2], strides[2], dilations[2];
    KATA__TRY(read_pair(dilations, op, values, NHWC_DILATIONS, 1, 1));
    KATA__TRY(read_pair(pads, op, values, NHWC_PADS, 0, 0));
    KATA__TRY(read_pair(sizes, op, values, NHWC_SIZES, 1, 1));
    KATA__TRY(read_pair(strides, op, values, NHWC_STRIDES, 1, 1));
    *conv = (kata__conv){.n = x->dim[0],
                         .h = x->dim[1],
                         .w = x->dim[2],
                         .c = x->dim[3],
                         .oh = sizes[0],
                         .ow = sizes[1],
                         .stride_h = strides[0],
                         .stride_w = strides[1],
                         .dilation_h = dilations[0],
                         .dilation_w = dilations[1],
                         .pad_top = pads[0],
                         .pad_left = pads[1],
                         .groups = values[NHWC_GROUP].i};
    if (conv->groups < 1 || conv->c < 1 || conv->c % conv->groups != 0) {
        return kata_fail(KATA_SHAPE, "%s: %lld channels do not divide into %lld groups", op->name,
                         (long long)conv->c, (long long)conv->groups);
    }
    return KATA_OK;
}

/* Takes in the sizes of the weight that the convolution reads, (f, c/groups, kh, kw). */
static kata_status take_weight(kata__conv *conv, const kata_op *op,
                               const kata_attribute_value *values, const int64_t weight[4]) {
    int64_t algorithm = values[NHWC_ALGORITHM].i;
    conv->f = weight[0];
    conv->kh = weight[2];
    conv->kw = weight[3];
    for (int i = 0; i < 4; i++) {
        if (weight[i] < 1 || weight[i] > INT32_MAX) {
            return kata_fail(KATA_SHAPE, "%s: size %d of the weight is %lld, expected 1 or more",
                             op->name, i, (long long)weight[i]);
        }
    }
    if (conv->f % conv->groups != 0 || weight[1] != conv->c / conv->groups) {
        return kata_fail(KATA_SHAPE,
                         "%s: the weight has sizes (%lld,%lld,%lld,%lld), which do not fit %lld "
                         "channels in %lld groups",
                         op->name, (long long)weight[0], (long long)weight[1], (long long)weight[2],
                         (long long)weight[3], (long long)conv->c, (long long)conv->groups);
    }
    if (algorithm != KATA__CONV_DIRECT &&
        ((algorithm != KATA__CONV_WINOGRAD_2 && algorithm != KATA__CONV_WINOGRAD_4) ||
         !kata__winograd_fits(conv))) {
        return kata_fail(KATA_INVALID, "%s: algorithm %lld is none for this convolution", op->name,
                         (long long)algorithm);
    }
    return KATA_OK;
}

/* The sizes as the convolution reads them of a weight in ONNX's order: flipped, that of the
 * convolution whose gradient this is, (c, f/groups, kh, kw). */
static void weight_sizes(int64_t to[4], const kata_shape *weight, bool flipped, int64_t groups) {
    for (int i = 0; i < 4; i++) {
        to[i] = weight->dim[i];
    }
    if (flipped && groups > 0) {
        to[0] = weight->dim[1] * groups;
        to[1] = weight->dim[0] / groups;
    }
}

static bool is_fast(const kata_call *call, const kata__conv *v) {
    return call->outputs[0].dtype == KATA_F32 && v->n > 0 && v->c > 0 && v->h > 0 && v->w > 0;
}

static kata__conv_algorithm algorithm_of(const kata_call *call) {
    return (kata__conv_algorithm)call->attributes[NHWC_ALGORITHM].i;
}

static double flops(const kata__conv *v) {
    return 2.0 * (double)v->n * (double)v->f * (double)(v->c / v->groups) * kata__window_taps(v);
}

/* ---- The kernels of an algorithm ---- */

/* Numbers of a weight in ONNX's order; the largest integer if they cannot be counted. */
static int64_t weight_numbers(const kata__conv *v) {
    int64_t n;
    bool fits = !__builtin_mul_overflow(v->f, v->c / v->groups, &n) &&
                !__builtin_mul_overflow(n, v->kh, &n) && !__builtin_mul_overflow(n, v->kw, &n);
    return fits ? n : INT64_MAX;
}

static int64_t packed_numbers(kata_context *context, const kata__conv *v,
                              kata__conv_algorithm algorithm) {
    return algorithm == KATA__CONV_DIRECT ? kata__conv_nhwc_packed(context, v, algorithm)
                                          : kata__winograd_packed(context, v, algorithm);
}

int64_t kata__conv_nhwc_numbers(kata_context *context, const kata__conv *conv,
                                kata__conv_algorithm algorithm) {
    int64_t packed = packed_numbers(context, conv, algorithm), given = weight_numbers(conv);
    return packed > given ? packed : given;
}

/* The fast kernels use a packed weight of this size; both that write and read it see it alike. */
static bool is_prepacked(const kata_call *call, const kata__conv *v, const kata_tensor *packed) {
    return kata_tensor_count(packed) >= packed_numbers(call->context, v, algorithm_of(call));
}

static void pack(kata_context *context, const kata__conv *v, kata__conv_algorithm algorithm,
                 bool flipped, const float *weight, float *packed) {
    if (algorithm == KATA__CONV_DIRECT) {
        kata__conv_nhwc_pack(context, v, algorithm, flipped, weight, packed);
    } else {
        kata__winograd_pack(context, v, algorithm, flipped, weight, packed);
    }
}

/* Where tap (ky,kx) of output (oy,ox) reads; false outside of the input. */
static bool tap_at(const kata__conv *v, int64_t oy, int64_t ox, int64_t ky, int64_t kx, int64_t *iy,
                   int64_t *ix) {
    *iy = oy * v->stride_h - v->pad_top + ky * v->dilation_h;
    *ix = ox * v->stride_w - v->pad_left + kx * v->dilation_w;
    return *iy >= 0 && *iy < v->h && *ix >= 0 && *ix < v->w;
}

/* ---- The weight ---- */

/* Index in ONNX's order of the weight that output channel f reads at channel c of its group. */
static int64_t weight_at(const kata__conv *v, bool flipped, int64_t f, int64_t c, int64_t ky,
                         int64_t kx) {
    int64_t group_c = v->c / v->groups, group_f = v->f / v->groups;
    if (!flipped) {
        return ((f * group_c + c) * v->kh + ky) * v->kw + kx;
    }
    int64_t first = f / group_f * group_c + c;
    return ((first * group_f + f % group_f) * v->kh + v->kh - 1 - ky) * v->kw + v->kw - 1 - kx;
}

/* ---- kata:ConvNhwcPrepack (weight) -> packed ---- */

enum { WEIGHT_INPUT = NHWC_OWN, WEIGHT_PACKED, WEIGHT_FLIPPED };
static const kata_attribute_spec weight_attributes[] = {
    NHWC_ATTRIBUTES,
    {.name = "input",
     .type = KATA_ATTRIBUTE_INTS,
     .required = true,
     .doc = "shape of the convolution's input, (N,H,W,C)"},
    {.name = "packed",
     .type = KATA_ATTRIBUTE_INT,
     .required = true,
     .doc = "numbers of a packed weight"},
    {.name = "flipped",
     .type = KATA_ATTRIBUTE_INT,
     .doc = "1: for the gradient by the input: taps reversed, channels exchanged"},
    {0}};

static kata_status weight_problem(kata__conv *conv, const kata_op *op,
                                  const kata_attribute_value *values, const kata_shape *weight) {
    if (values[WEIGHT_INPUT].n != 4) {
        return kata_fail(KATA_INVALID, "%s: input has %d sizes, expected 4", op->name,
                         values[WEIGHT_INPUT].n);
    }
    const int64_t *input = values[WEIGHT_INPUT].ints;
    kata_shape x = KATA_SHAPE_OF(input[0], input[1], input[2], input[3]);
    int64_t sizes[4];
    KATA__TRY(read_problem(conv, op, values, &x));
    weight_sizes(sizes, weight, values[WEIGHT_FLIPPED].i != 0, conv->groups);
    return take_weight(conv, op, values, sizes);
}

static kata_status weight_infer(kata_infer *infer) {
    kata__conv v;
    KATA__TRY(kata__infer_float(infer, 0, true));
    KATA__TRY(kata__rule_rank(infer, 0, 4, 4, "(F,C/group,kh,kw)"));
    KATA__TRY(weight_problem(&v, infer->op, infer->attributes, &infer->inputs[0].shape));
    int64_t packed = infer->attributes[WEIGHT_PACKED].i;
    if (packed < weight_numbers(&v)) {
        return kata_fail(KATA_INVALID, "%s: packed is %lld, expected at least the weight's %lld",
                         infer->op->name, (long long)packed, (long long)weight_numbers(&v));
    }
    infer->outputs[0] = (kata_type){infer->inputs[0].dtype, KATA_SHAPE_OF(packed)};
    return kata__infer_fits(infer);
}

static kata_status weight_reference(const kata_call *call) {
    kata__conv v = {0};
    KATA__TRY(weight_problem(&v, call->op, call->attributes, &call->inputs[0].shape));
    const kata_tensor *from = &call->inputs[0], *to = &call->outputs[0];
    bool flipped = call->attributes[WEIGHT_FLIPPED].i != 0;
    int64_t at = 0, group_c = v.c / v.groups;
    memset(to->data, 0, kata_tensor_bytes(to));
    for (int64_t f = 0; f < v.f; f++) {
        for (int64_t c = 0; c < group_c; c++) {
            for (int64_t k = 0; k < v.kh * v.kw; k++) {
                int64_t i = weight_at(&v, flipped, f, c, k / v.kw, k % v.kw);
                kata_store(to->dtype, to->data, at++, kata_load(from->dtype, from->data, i));
            }
        }
    }
    return KATA_OK;
}

static kata_status weight_fast(const kata_call *call) {
    kata__conv v = {0};
    KATA__TRY(weight_problem(&v, call->op, call->attributes, &call->inputs[0].shape));
    pack(call->context, &v, algorithm_of(call), call->attributes[WEIGHT_FLIPPED].i != 0,
         call->inputs[0].data, call->outputs[0].data);
    return KATA_OK;
}

static kata_kernel weight_choose(const kata_call *call) {
    kata__conv v = {0};
    bool is_read =
        weight_problem(&v, call->op, call->attributes, &call->inputs[0].shape) == KATA_OK;
    return is_read && is_fast(call, &v) && is_prepacked(call, &v, &call->outputs[0]) ? weight_fast
                                                                                     : NULL;
}

const kata_op kata__op_kata_ConvNhwcPrepack = {
    .name = "ConvNhwcPrepack",
    .domain = "kata",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = weight_attributes,
    .infer = weight_infer,
    .reference = weight_reference,
    .choose = weight_choose,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 1e-6,
    .doc = "Weight of a convolution -> what the kernel of ConvNhwc reads, packed once for many "
           "calls.",
};

/* ---- kata:ConvNhwc (x, weight, bias, residual, mask) -> y, index ---- */

enum { CONV_NCHW = NHWC_OWN, CONV_POOL, CONV_RELU, CONV_FLIPPED, CONV_WEIGHT };
enum { IN_X, IN_WEIGHT, IN_BIAS, IN_RESIDUAL, IN_MASK };
static const kata_attribute_spec conv_attributes[] = {
    NHWC_ATTRIBUTES,
    {.name = "nchw",
     .type = KATA_ATTRIBUTE_INT,
     .doc = "1: y is (N,F,H,W), index stays NHWC; algorithm 0 alone"},
    {.name = "pool",
     .type = KATA_ATTRIBUTE_INT,
     .doc = "1: y is the largest of each 2x2 of the result, at steps of 2"},
    {.name = "relu", .type = KATA_ATTRIBUTE_INT, .doc = "1: max(0, sum), before pooling"},
    {.name = "flipped",
     .type = KATA_ATTRIBUTE_INT,
     .doc = "1: the gradient by the input of the convolution with this weight"},
    {.name = "weight",
     .type = KATA_ATTRIBUTE_INTS,
     .doc = "sizes of a packed weight before it was packed, (F,C/group,kh,kw)"},
    {0}};

static kata_status conv_problem(kata__conv *conv, const kata_op *op,
                                const kata_attribute_value *values, const kata_shape *x,
                                const kata_shape *weight) {
    int64_t sizes[4];
    KATA__TRY(read_problem(conv, op, values, x));
    if (weight->rank == 4) {
        weight_sizes(sizes, weight, values[CONV_FLIPPED].i != 0, conv->groups);
        return take_weight(conv, op, values, sizes);
    }
    if (values[CONV_WEIGHT].n != 4) {
        return kata_fail(KATA_INVALID, "%s: weight has %d sizes, expected 4", op->name,
                         values[CONV_WEIGHT].n);
    }
    return take_weight(conv, op, values, values[CONV_WEIGHT].ints);
}

static kata_status check_like(const kata_infer *infer, int i, const char *what,
                              const kata_shape *want) {
    if (!kata__infer_has(infer, i)) {
        return KATA_OK;
    }
    const kata_shape *have = &infer->inputs[i].shape;
    bool same = have->rank == want->rank;
    for (int d = 0; same && d < want->rank; d++) {
        same = kata__size_agrees(have->dim[d], want->dim[d]);
    }
    if (!same) {
        char text[KATA_SHAPE_TEXT_SIZE], expected[KATA_SHAPE_TEXT_SIZE];
        return kata_fail(KATA_SHAPE, "%s: %s (input %d) has shape %s, expected %s", infer->op->name,
                         what, i, kata_shape_text(have, text), kata_shape_text(want, expected));
    }
    return KATA_OK;
}

static kata_status conv_infer(kata_infer *infer) {
    kata__conv v;
    const kata_shape *x = &infer->inputs[0].shape, *w = &infer->inputs[1].shape;
    KATA__TRY(kata__infer_float(infer, 0, true));
    KATA__TRY(kata__rule_same_dtype(infer, 1, IN_MASK));
    KATA__TRY(kata__rule_rank(infer, 0, 4, 4, "(N,H,W,C)"));
    if (w->rank != 4 && w->rank != 1) {
        char text[KATA_SHAPE_TEXT_SIZE];
        return kata_fail(KATA_SHAPE,
                         "%s: the weight has shape %s, expected 4 sizes or a packed one",
                         infer->op->name, input_text(infer, 1, text));
    }
    KATA__TRY(conv_problem(&v, infer->op, infer->attributes, x, w));
    if (w->rank == 1 && w->dim[0] >= 0 && w->dim[0] < weight_numbers(&v)) {
        return kata_fail(KATA_SHAPE, "%s: the packed weight has %lld numbers, fewer than %lld",
                         infer->op->name, (long long)w->dim[0], (long long)weight_numbers(&v));
    }
    kata_shape y = KATA_SHAPE_OF(x->dim[0], v.oh, v.ow, v.f);
    KATA__TRY(kata__rule_vector(infer, IN_BIAS, "bias", v.f, "filter"));
    KATA__TRY(check_like(infer, IN_RESIDUAL, "residual", &y));
    KATA__TRY(check_like(infer, IN_MASK, "mask", &y));
    bool pool = infer->attributes[CONV_POOL].i != 0;
    if (pool && (v.oh < 2 || v.ow < 2)) {
        return kata_fail(KATA_SHAPE, "%s: a result of %lldx%lld is too small to pool",
                         infer->op->name, (long long)v.oh, (long long)v.ow);
    }
    if (pool) {
        y.dim[1] /= 2;
        y.dim[2] /= 2;
    }
    if (infer->n_outputs > 1 && !pool) {
        return kata_fail(KATA_INVALID, "%s: only pooling gives an index", infer->op->name);
    }
    if (infer->n_outputs > 1) {
        infer->outputs[1] = (kata_type){KATA_U8, y};
    }
    if (infer->attributes[CONV_NCHW].i != 0) {
        if (infer->attributes[NHWC_ALGORITHM].i != KATA__CONV_DIRECT) {
            return kata_fail(KATA_INVALID, "%s: only algorithm 0 stores NCHW", infer->op->name);
        }
        y = KATA_SHAPE_OF(y.dim[0], y.dim[3], y.dim[1], y.dim[2]);
    }
    infer->outputs[0] = (kata_type){infer->inputs[0].dtype, y};
    return kata__infer_fits(infer);
}

static kata__conv conv_of(const kata_call *call) {
    kata__conv v = {0}; /* the shape rule has checked that this cannot fail */
    (void)conv_problem(&v, call->op, call->attributes, &call->inputs[IN_X].shape,
                       &call->inputs[IN_WEIGHT].shape);
    return v;
}

/* One element of the result before pooling. */
static double conv_element(const kata_call *call, const kata__conv *v, int64_t n, int64_t oy,
                           int64_t ox, int64_t f) {
    const kata_tensor *x = &call->inputs[IN_X], *w = &call->inputs[IN_WEIGHT];
    kata_dtype dtype = x->dtype;
    bool flipped = w->shape.rank == 4 && call->attributes[CONV_FLIPPED].i != 0;
    int64_t group_c = v->c / v->groups, group_f = v->f / v->groups, iy, ix;
    int64_t at = ((n * v->oh + oy) * v->ow + ox) * v->f + f;
    double sum = 0;
    for (int64_t ky = 0; ky < v->kh; ky++) {
        for (int64_t kx = 0; kx < v->kw; kx++) {
            if (!tap_at(v, oy, ox, ky, kx, &iy, &ix)) {
                continue;
            }
            int64_t in_x = ((n * v->h + iy) * v->w + ix) * v->c + f / group_f * group_c;
            for (int64_t c = 0; c < group_c; c++) {
                sum += kata_load(dtype, x->data, in_x + c) *
                       kata_load(dtype, w->data, weight_at(v, flipped, f, c, ky, kx));
            }
        }
    }
    if (kata__call_has(call, IN_BIAS)) {
        sum += kata_load(dtype, call->inputs[IN_BIAS].data, f);
    }
    if (kata__call_has(call, IN_RESIDUAL)) {
        sum += kata_load(dtype, call->inputs[IN_RESIDUAL].data, at);
    }
    if (call->attributes[CONV_RELU].i != 0) {
        sum = sum <= 0 ? 0 : sum; /* a NaN stays one */
    }
    if (kata__call_has(call, IN_MASK) && kata_load(dtype, call->inputs[IN_MASK].data, at) <= 0) {
        sum = 0;
    }
    return sum;
}

/* y[n,oy,ox,f] = sum of x[n,iy,ix,c] w[f,c,ky,kx] + bias[f] + residual, relu, mask, pooling */
static kata_status conv_reference(const kata_call *call) {
    kata__conv v = conv_of(call);
    const kata_tensor *y = &call->outputs[0];
    bool pool = call->attributes[CONV_POOL].i != 0, relu = call->attributes[CONV_RELU].i != 0;
    bool to_nchw = call->attributes[CONV_NCHW].i != 0;
    int64_t n_columns = y->shape.dim[to_nchw ? 3 : 2], n_rows = y->shape.dim[to_nchw ? 2 : 1];
    for (int64_t o = 0; o < kata_tensor_count(y); o++) {
        int64_t f = o % v.f, ox = o / v.f % n_columns, oy = o / v.f / n_columns % n_rows;
        int64_t n = o / v.f / n_columns / n_rows;
        int64_t at = to_nchw ? ((n * v.f + f) * n_rows + oy) * n_columns + ox : o;
        if (!pool) {
            kata_store(y->dtype, y->data, at, conv_element(call, &v, n, oy, ox, f));
            continue;
        }
        int where = 0;
        double best = conv_element(call, &v, n, 2 * oy, 2 * ox, f);
        for (int k = 1; k < 4; k++) {
            double other = conv_element(call, &v, n, 2 * oy + k / 2, 2 * ox + k % 2, f);
            if (other > best || (isnan(other) && !isnan(best))) {
                where = k;
                best = other;
            }
        }
        kata_store(y->dtype, y->data, at, best);
        if (call->n_outputs > 1) {
            ((uint8_t *)call->outputs[1].data)[o] =
                (uint8_t)(relu && best <= 0 ? KATA__POOL_NONE : where);
        }
    }
    return KATA_OK;
}

/* What the kernel does with its sums. Without data yet, what is there is marked by any address. */
static kata__conv_store store_of(const kata_call *call) {
    static const float some_floats;
    static uint8_t some_bytes;
    kata__conv_store store = {.relu = call->attributes[CONV_RELU].i != 0,
                              .pool = call->attributes[CONV_POOL].i != 0,
                              .nchw = call->attributes[CONV_NCHW].i != 0};
    const float **to[] = {&store.bias, &store.residual, &store.mask};
    for (int i = 0; i < 3; i++) {
        if (kata__call_has(call, IN_BIAS + i)) {
            const void *data = call->inputs[IN_BIAS + i].data;
            *to[i] = data != NULL ? data : &some_floats;
        }
    }
    if (call->n_outputs > 1) {
        store.index = call->outputs[1].data != NULL ? call->outputs[1].data : &some_bytes;
    }
    return store;
}

/* Bytes in the workspace of a weight that the call packs itself. */
static size_t packed_bytes(const kata_call *call, const kata__conv *v) {
    if (call->inputs[IN_WEIGHT].shape.rank != 4) {
        return 0;
    }
    size_t bytes = (size_t)packed_numbers(call->context, v, algorithm_of(call)) * sizeof(float);
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static kata__workspace_size conv_kernel_workspace(const kata_call *call, const kata__conv *v) {
    const kata__conv_store store = store_of(call);
    const kata__conv_algorithm algorithm = algorithm_of(call);
    return algorithm == KATA__CONV_DIRECT
               ? kata__conv_nhwc_workspace(call->context, v, algorithm, &store)
               : kata__winograd_workspace(call->context, v, algorithm, &store);
}

static size_t conv_workspace(const kata_call *call) {
    kata__conv v = conv_of(call);
    return is_fast(call, &v) ? packed_bytes(call, &v) + conv_kernel_workspace(call, &v).shared : 0;
}

static size_t conv_per_thread_workspace(const kata_call *call) {
    kata__conv v = conv_of(call);
    return is_fast(call, &v) ? conv_kernel_workspace(call, &v).per_thread : 0;
}

static kata_status conv_fast(const kata_call *call) {
    kata__conv v = conv_of(call);
    kata__conv_store store = store_of(call);
    kata__conv_algorithm algorithm = algorithm_of(call);
    const float *x = call->inputs[IN_X].data, *packed = call->inputs[IN_WEIGHT].data;
    float *y = call->outputs[0].data;
    const size_t n_packed = packed_bytes(call, &v);
    kata__workspace workspace = kata__call_workspace(call);
    workspace.shared += n_packed;
    if (n_packed > 0) {
        packed = call->workspace;
        pack(call->context, &v, algorithm, call->attributes[CONV_FLIPPED].i != 0,
             call->inputs[IN_WEIGHT].data, call->workspace);
    }
    if (algorithm == KATA__CONV_DIRECT) {
        kata__conv_nhwc(call->context, &v, algorithm, x, packed, &store, y, &workspace);
    } else {
        kata__winograd_run(call->context, &v, algorithm, x, packed, &store, y, &workspace);
    }
    return KATA_OK;
}

static kata_kernel conv_choose(const kata_call *call) {
    kata__conv v = conv_of(call);
    const kata_tensor *weight = &call->inputs[IN_WEIGHT];
    return is_fast(call, &v) && (weight->shape.rank == 4 || is_prepacked(call, &v, weight))
               ? conv_fast
               : NULL;
}

static double conv_flops(const kata_call *call) {
    kata__conv v = conv_of(call);
    return flops(&v);
}

const kata_op kata__op_kata_ConvNhwc = {
    .name = "ConvNhwc",
    .domain = "kata",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 5,
    .min_outputs = 1,
    .max_outputs = 2,
    .attributes = conv_attributes,
    .infer = conv_infer,
    .workspace = conv_workspace,
    .per_thread_workspace = conv_per_thread_workspace,
    .reference = conv_reference,
    .choose = conv_choose,
    .flops = conv_flops,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 1e-5,
    .doc = "(x (N,H,W,C), weight, bias, residual, mask) -> y, index: convolution, + bias, + "
           "residual, relu, 0 where mask <= 0, 2x2 pooling with the place of the maximum (255: "
           "none, relu made it 0).",
};

/* ---- kata:ConvNhwcGradWeight (x, dy, index) -> dw, db ---- */

enum { GRAD_KERNEL = NHWC_OWN, GRAD_NCHW };
static const kata_attribute_spec grad_attributes[] = {
    NHWC_ATTRIBUTES,
    {.name = "kernel",
     .type = KATA_ATTRIBUTE_INTS,
     .required = true,
     .doc = "height and width of the weight"},
    {.name = "nchw",
     .type = KATA_ATTRIBUTE_INT,
     .doc = "1: dy is (N,F,H,W), index stays NHWC; algorithm 0 alone"},
    {0}};

static kata_status grad_problem(kata__conv *conv, const kata_op *op,
                                const kata_attribute_value *values, const kata_shape *x,
                                const kata_shape *dy) {
    int64_t kernel[2];
    KATA__TRY(read_problem(conv, op, values, x));
    KATA__TRY(read_pair(kernel, op, values, GRAD_KERNEL, 1, 1));
    int64_t weight[] = {dy->dim[values[GRAD_NCHW].i != 0 ? 1 : 3], x->dim[3] / conv->groups,
                        kernel[0], kernel[1]};
    return take_weight(conv, op, values, weight);
}

static kata_status grad_infer(kata_infer *infer) {
    kata__conv v;
    const kata_shape *x = &infer->inputs[0].shape, *dy = &infer->inputs[1].shape;
    KATA__TRY(kata__infer_float(infer, 0, true));
    KATA__TRY(kata__infer_one_dtype(infer, 0, 1));
    KATA__TRY(kata__rule_rank(infer, 0, 4, 4, "(N,H,W,C)"));
    KATA__TRY(kata__rule_rank(infer, 1, 4, 4, "(N,H,W,F)"));
    KATA__TRY(grad_problem(&v, infer->op, infer->attributes, x, dy));
    kata_shape want = KATA_SHAPE_OF(x->dim[0], v.oh, v.ow, v.f);
    if (kata__infer_has(infer, 2)) {
        KATA__TRY(kata__infer_dtype(infer, 2, KATA__DTYPE(U8)));
        want.dim[1] /= 2;
        want.dim[2] /= 2;
        KATA__TRY(check_like(infer, 2, "index", &want));
    }
    if (infer->attributes[GRAD_NCHW].i != 0) {
        if (infer->attributes[NHWC_ALGORITHM].i != KATA__CONV_DIRECT) {
            return kata_fail(KATA_INVALID, "%s: only algorithm 0 reads an NCHW dy",
                             infer->op->name);
        }
        want = KATA_SHAPE_OF(want.dim[0], want.dim[3], want.dim[1], want.dim[2]);
    }
    KATA__TRY(check_like(infer, 1, "dy", &want));
    infer->outputs[0] =
        (kata_type){infer->inputs[0].dtype, KATA_SHAPE_OF(v.f, v.c / v.groups, v.kh, v.kw)};
    if (infer->n_outputs > 1) {
        infer->outputs[1] = (kata_type){infer->inputs[0].dtype, KATA_SHAPE_OF(v.f)};
    }
    return kata__infer_fits(infer);
}

static kata__conv grad_of(const kata_call *call) {
    kata__conv v = {0};
    (void)grad_problem(&v, call->op, call->attributes, &call->inputs[0].shape,
                       &call->inputs[1].shape);
    return v;
}

/* dy at (oy,ox): with an index, that of the window if this is the place of its maximum. */
static double dy_at(const kata_call *call, const kata__conv *v, int64_t n, int64_t oy, int64_t ox,
                    int64_t f) {
    const kata_tensor *dy = &call->inputs[1];
    bool pooled = kata__call_has(call, 2);
    int64_t rows = v->oh / (pooled ? 2 : 1), columns = v->ow / (pooled ? 2 : 1);
    int64_t y = oy / (pooled ? 2 : 1), x = ox / (pooled ? 2 : 1);
    if (y >= rows || x >= columns) {
        return 0;
    }
    int64_t at = ((n * rows + y) * columns + x) * v->f + f;
    if (pooled && ((const uint8_t *)call->inputs[2].data)[at] != oy % 2 * 2 + ox % 2) {
        return 0;
    }
    bool is_nchw = call->attributes[GRAD_NCHW].i != 0;
    return kata_load(dy->dtype, dy->data, is_nchw ? ((n * v->f + f) * rows + y) * columns + x : at);
}

/* dw[f,c,ky,kx] = sum of x[n,iy,ix,c] dy[n,oy,ox,f], db[f] = sum of dy[n,oy,ox,f] */
static kata_status grad_reference(const kata_call *call) {
    kata__conv v = grad_of(call);
    const kata_tensor *x = &call->inputs[0], *dw = &call->outputs[0];
    int64_t group_c = v.c / v.groups, group_f = v.f / v.groups, plane = v.oh * v.ow, iy, ix;
    for (int64_t i = 0; i < kata_tensor_count(dw); i++) {
        int64_t kx = i % v.kw, ky = i / v.kw % v.kh, c = i / v.kw / v.kh % group_c;
        int64_t f = i / v.kw / v.kh / group_c;
        double sum = 0;
        for (int64_t o = 0; o < v.n * plane; o++) {
            int64_t oy = o / v.ow % v.oh, ox = o % v.ow, n = o / plane;
            if (tap_at(&v, oy, ox, ky, kx, &iy, &ix)) {
                int64_t at = ((n * v.h + iy) * v.w + ix) * v.c + f / group_f * group_c + c;
                sum += kata_load(x->dtype, x->data, at) * dy_at(call, &v, n, oy, ox, f);
            }
        }
        kata_store(dw->dtype, dw->data, i, sum);
    }
    for (int64_t f = 0; call->n_outputs > 1 && f < v.f; f++) {
        double sum = 0;
        for (int64_t o = 0; o < v.n * plane; o++) {
            sum += dy_at(call, &v, o / plane, o / v.ow % v.oh, o % v.ow, f);
        }
        kata_store(dw->dtype, call->outputs[1].data, f, sum);
    }
    return KATA_OK;
}

static kata__workspace_size grad_kernel_workspace(const kata_call *call) {
    kata__conv v = grad_of(call);
    const kata__conv_algorithm algorithm = algorithm_of(call);
    const bool pooled = kata__call_has(call, 2);
    if (!is_fast(call, &v)) {
        return (kata__workspace_size){0};
    }
    return algorithm == KATA__CONV_DIRECT
               ? kata__conv_nhwc_weight_workspace(call->context, &v, algorithm, pooled,
                                                  call->attributes[GRAD_NCHW].i != 0)
               : kata__winograd_weight_workspace(call->context, &v, algorithm, pooled);
}

static size_t grad_workspace(const kata_call *call) {
    return grad_kernel_workspace(call).shared;
}

static size_t grad_per_thread_workspace(const kata_call *call) {
    return grad_kernel_workspace(call).per_thread;
}

static kata_status grad_fast(const kata_call *call) {
    kata__conv v = grad_of(call);
    const float *x = call->inputs[0].data, *dy = call->inputs[1].data;
    const uint8_t *index = kata__call_has(call, 2) ? call->inputs[2].data : NULL;
    float *dw = call->outputs[0].data, *db = call->n_outputs > 1 ? call->outputs[1].data : NULL;
    kata__conv_algorithm algorithm = algorithm_of(call);
    const kata__workspace workspace = kata__call_workspace(call);
    if (algorithm == KATA__CONV_DIRECT) {
        kata__conv_nhwc_weight(call->context, &v, algorithm, x, dy, index,
                               call->attributes[GRAD_NCHW].i != 0, dw, db, &workspace);
    } else {
        kata__winograd_weight(call->context, &v, algorithm, x, dy, index, dw, db, &workspace);
    }
    return KATA_OK;
}

static kata_kernel grad_choose(const kata_call *call) {
    kata__conv v = grad_of(call);
    return is_fast(call, &v) ? grad_fast : NULL;
}

static double grad_flops(const kata_call *call) {
    kata__conv v = grad_of(call);
    return flops(&v);
}

const kata_op kata__op_kata_ConvNhwcGradWeight = {
    .name = "ConvNhwcGradWeight",
    .domain = "kata",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 3,
    .min_outputs = 1,
    .max_outputs = 2,
    .attributes = grad_attributes,
    .infer = grad_infer,
    .workspace = grad_workspace,
    .per_thread_workspace = grad_per_thread_workspace,
    .reference = grad_reference,
    .choose = grad_choose,
    .flops = grad_flops,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 1e-5,
    .doc = "(x (N,H,W,C), dy (N,H,W,F), index) -> dw (F,C/group,kh,kw), db (F): the gradients by "
           "weight and bias; with index, dy is that of the pooled output.",
};
