/* Convolution and matrix product in bfloat16 with float32 sums: rows that the precision pass makes
 * of the float32 ones. Activations and their gradients are bfloat16; weights are float32 and are
 * rounded and packed by a row of their own, in training once a step; gradients by weight and bias
 * are float32 (mixed precision: Micikevicius et al. 2018, with bfloat16's range no loss scaling).
 *
 * Convolutions are NHWC, as kata:ConvNhwc. A packed weight of the direct algorithm is the
 * same on every processor: blocks of 16 columns, [group][f/16][k/2][16][2] with k over taps, then
 * channels, padded with zeros; so the plain loops read it as well. Winograd's is the affair of the
 * kernels; the plain loops' own is the direct one, which takes less room. */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "kernel/bfloat16.h"
#include "kernel/conv_nhwc_bf16.h"
#include "kernel/winograd.h"
#include "op/infer.h"
#include "op/problem.h"
#include "op/rules.h"
#include "op/window.h"
#include "op/workspace.h"

#define BLOCK 16

/* ---- The problem of a convolution, from its attributes ---- */

enum {
    CONV_ALGORITHM,
    CONV_DILATIONS,
    CONV_GROUP,
    CONV_PADS,
    CONV_SIZES,
    CONV_STRIDES,
    CONV_WEIGHT,
    CONV_OWN
};
#define CONV_ATTRIBUTES                                                                            \
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
        {.name = "strides", .type = KATA_ATTRIBUTE_INTS, .doc = "step of the window; 1s"}, {       \
        .name = "weight", .type = KATA_ATTRIBUTE_INTS, .required = true,                           \
        .doc = "sizes of the weight that is read, (F,C/group,kh,kw)"                               \
    }

/* `n` numbers of an attribute, each minimum..2^31-1. */
static kata_status read_sizes(int64_t *to, const kata_op *op, const kata_attribute_value *values,
                              int which, int n, int64_t minimum, int64_t otherwise) {
    const kata_attribute_value *value = &values[which];
    for (int i = 0; i < n; i++) {
        to[i] = otherwise;
    }
    if (value->n != n && (value->n != 0 || op->attributes[which].required)) {
        return kata_fail(KATA_INVALID, "%s: %s has %d numbers, expected %d", op->name,
                         op->attributes[which].name, value->n, n);
    }
    for (int i = 0; i < value->n; i++) {
        to[i] = value->ints[i];
        if (to[i] < minimum || to[i] > INT32_MAX) {
            return kata_fail(KATA_INVALID, "%s: %s[%d] is %lld, expected %lld to 2147483647",
                             op->name, op->attributes[which].name, i, (long long)to[i],
                             (long long)minimum);
        }
    }
    return KATA_OK;
}

/* x: (n,h,w,c) */
static kata_status read_conv(kata__conv *conv, const kata_op *op,
                             const kata_attribute_value *values, const int64_t x[4]) {
    int64_t pads[2], sizes[2], strides[2], dilations[2], weight[4];
    KATA__TRY(read_sizes(dilations, op, values, CONV_DILATIONS, 2, 1, 1));
    KATA__TRY(read_sizes(pads, op, values, CONV_PADS, 2, 0, 0));
    KATA__TRY(read_sizes(sizes, op, values, CONV_SIZES, 2, 1, 1));
    KATA__TRY(read_sizes(strides, op, values, CONV_STRIDES, 2, 1, 1));
    KATA__TRY(read_sizes(weight, op, values, CONV_WEIGHT, 4, 1, 1));
    *conv = (kata__conv){.n = x[0],
                         .h = x[1],
                         .w = x[2],
                         .c = x[3],
                         .f = weight[0],
                         .kh = weight[2],
                         .kw = weight[3],
                         .oh = sizes[0],
                         .ow = sizes[1],
                         .stride_h = strides[0],
                         .stride_w = strides[1],
                         .dilation_h = dilations[0],
                         .dilation_w = dilations[1],
                         .pad_top = pads[0],
                         .pad_left = pads[1],
                         .groups = values[CONV_GROUP].i};
    int64_t c = conv->c, f = conv->f, groups = conv->groups;
    if (groups < 1 || c < 1 || c % groups != 0 || f % groups != 0 || weight[1] != c / groups) {
        return kata_fail(KATA_SHAPE,
                         "%s: a weight of sizes (%lld,%lld,%lld,%lld) does not fit %lld channels "
                         "in %lld groups",
                         op->name, (long long)f, (long long)weight[1], (long long)weight[2],
                         (long long)weight[3], (long long)c, (long long)groups);
    }
    int64_t algorithm = values[CONV_ALGORITHM].i;
    if (algorithm != KATA__CONV_DIRECT &&
        ((algorithm != KATA__CONV_WINOGRAD_2 && algorithm != KATA__CONV_WINOGRAD_4) ||
         !kata__winograd_fits(conv))) {
        return kata_fail(KATA_INVALID, "%s: algorithm %lld is none for this convolution", op->name,
                         (long long)algorithm);
    }
    return KATA_OK;
}

static kata__conv_algorithm algorithm_of(const kata_attribute_value *values) {
    return (kata__conv_algorithm)values[CONV_ALGORITHM].i;
}

static double conv_flops_of(const kata__conv *v) {
    return 2.0 * (double)v->n * (double)v->f * (double)(v->c / v->groups) * kata__window_taps(v);
}

/* Where a packed weight has that of filter f at a tap and channel c of its group. */
static int64_t packed_at(const kata__conv *v, int64_t f, int64_t c, int64_t tap) {
    int64_t group_c = v->c / v->groups, group_f = v->f / v->groups;
    int64_t pairs = (v->kh * v->kw * group_c + 1) / 2, blocks = (group_f + BLOCK - 1) / BLOCK;
    int64_t block = f / group_f * blocks + f % group_f / BLOCK, k = tap * group_c + c;
    return ((block * pairs + k / 2) * BLOCK + f % group_f % BLOCK) * 2 + k % 2;
}

/* Numbers of a packed weight of the direct algorithm, which the plain loops read. */
static int64_t direct_numbers(const kata__conv *v) {
    return kata__conv_bf16_packed(NULL, v, KATA__CONV_DIRECT);
}

int64_t kata__conv_bf16_numbers(kata_context *context, const kata__conv *conv,
                                kata__conv_algorithm algorithm) {
    int64_t packed = kata__conv_bf16_packed(context, conv, algorithm);
    int64_t direct = direct_numbers(conv);
    return packed > direct ? packed : direct;
}

/* The fast kernels use a packed weight of this size; both that write and read it see it alike. */
static bool holds_packed(const kata_call *call, const kata__conv *v, const kata_tensor *packed) {
    return kata_tensor_count(packed) >=
           kata__conv_bf16_packed(call->context, v, algorithm_of(call->attributes));
}

/* ---- kata:ConvBfloat16Prepack (weight) -> packed ---- */

enum { WEIGHT_INPUT = CONV_OWN, WEIGHT_PACKED, WEIGHT_FLIPPED };
static const kata_attribute_spec conv_weight_attributes[] = {
    CONV_ATTRIBUTES,
    {.name = "input",
     .type = KATA_ATTRIBUTE_INTS,
     .required = true,
     .doc = "shape of the convolution's input, (N,H,W,C)"},
    {.name = "packed",
     .type = KATA_ATTRIBUTE_INT,
     .doc = "numbers of a packed weight; 0: those of algorithm 0"},
    {.name = "flipped",
     .type = KATA_ATTRIBUTE_INT,
     .doc = "1: for the gradient by the input: taps reversed, channels exchanged"},
    {0}};

static kata_status read_conv_weight(kata__conv *conv, const kata_op *op,
                                    const kata_attribute_value *values) {
    int64_t input[4];
    KATA__TRY(read_sizes(input, op, values, WEIGHT_INPUT, 4, 0, 0));
    return read_conv(conv, op, values, input);
}

static kata_status conv_weight_infer(kata_infer *infer) {
    kata__conv v;
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__DTYPE(F32)));
    KATA__TRY(kata__rule_rank(infer, 0, 4, 4, "(F,C/group,kh,kw)"));
    KATA__TRY(read_conv_weight(&v, infer->op, infer->attributes));
    bool flipped = infer->attributes[WEIGHT_FLIPPED].i != 0;
    kata_shape want =
        KATA_SHAPE_OF(flipped ? v.c : v.f, (flipped ? v.f : v.c) / v.groups, v.kh, v.kw);
    if (!kata_shape_equal(&infer->inputs[0].shape, &want)) {
        char text[KATA_SHAPE_TEXT_SIZE], expected[KATA_SHAPE_TEXT_SIZE];
        return kata_fail(KATA_SHAPE, "%s: the weight (input 0) has shape %s, expected %s",
                         infer->op->name, kata_shape_text(&infer->inputs[0].shape, text),
                         kata_shape_text(&want, expected));
    }
    int64_t packed = infer->attributes[WEIGHT_PACKED].i, least = direct_numbers(&v);
    if (packed != 0 && packed < least) {
        return kata_fail(KATA_INVALID, "%s: packed is %lld, expected at least %lld",
                         infer->op->name, (long long)packed, (long long)least);
    }
    infer->outputs[0] = (kata_type){KATA_BF16, KATA_SHAPE_OF(packed != 0 ? packed : least)};
    return kata__infer_fits(infer);
}

static kata_status conv_weight_reference(const kata_call *call) {
    kata__conv v = {0};
    KATA__TRY(read_conv_weight(&v, call->op, call->attributes));
    const kata_tensor *from = &call->inputs[0], *to = &call->outputs[0];
    bool flipped = call->attributes[WEIGHT_FLIPPED].i != 0;
    int64_t group_c = v.c / v.groups, group_f = v.f / v.groups, taps = v.kh * v.kw;
    memset(to->data, 0, kata_tensor_bytes(to));
    for (int64_t f = 0; f < v.f; f++) {
        for (int64_t c = 0; c < group_c; c++) {
            for (int64_t tap = 0; tap < taps; tap++) {
                int64_t at = (f * group_c + c) * taps + tap;
                if (flipped) {
                    at = ((f / group_f * group_c + c) * group_f + f % group_f) * taps + taps - 1 -
                         tap;
                }
                kata_store(KATA_BF16, to->data, packed_at(&v, f, c, tap),
                           kata_load(from->dtype, from->data, at));
            }
        }
    }
    return KATA_OK;
}

static kata_status conv_weight_fast(const kata_call *call) {
    kata__conv v = {0};
    KATA__TRY(read_conv_weight(&v, call->op, call->attributes));
    kata__conv_bf16_pack(call->context, &v, algorithm_of(call->attributes),
                         call->attributes[WEIGHT_FLIPPED].i != 0, call->inputs[0].data,
                         call->outputs[0].data);
    return KATA_OK;
}

static kata_kernel conv_weight_choose(const kata_call *call) {
    kata__conv v = {0};
    bool is_read = read_conv_weight(&v, call->op, call->attributes) == KATA_OK;
    return is_read && holds_packed(call, &v, &call->outputs[0]) ? conv_weight_fast : NULL;
}

const kata_op kata__op_kata_ConvBfloat16Prepack = {
    .name = "ConvBfloat16Prepack",
    .domain = "kata",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = conv_weight_attributes,
    .infer = conv_weight_infer,
    .reference = conv_weight_reference,
    .choose = conv_weight_choose,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 0,
    .doc = "Weight of a convolution, rounded and packed for kata:ConvBfloat16.",
};

/* ---- kata:ConvBfloat16 (x, packed, bias, residual, mask, spread) -> y, index ---- */

enum { CONV_POOL = CONV_OWN, CONV_RELU };
enum { IN_X, IN_WEIGHT, IN_BIAS, IN_RESIDUAL, IN_MASK, IN_SPREAD };
static const kata_attribute_spec conv_attributes[] = {
    CONV_ATTRIBUTES,
    {.name = "pool",
     .type = KATA_ATTRIBUTE_INT,
     .doc = "1: y is the largest of each 2x2 of the result, at steps of 2"},
    {.name = "relu", .type = KATA_ATTRIBUTE_INT, .doc = "1: max(0, sum), before pooling"},
    {.name = "input",
     .type = KATA_ATTRIBUTE_INTS,
     .doc = "with spread: height and width of what x becomes"},
    {0}};
enum { CONV_INPUT = CONV_RELU + 1 };

static kata_status conv_problem(kata__conv *conv, const kata_op *op,
                                const kata_attribute_value *values, const kata_shape *x,
                                bool is_spread) {
    int64_t sizes[4] = {x->dim[0], x->dim[1], x->dim[2], x->dim[3]};
    if (is_spread) {
        KATA__TRY(read_sizes(sizes + 1, op, values, CONV_INPUT, 2, 1, 1));
        if (sizes[1] / 2 != x->dim[1] || sizes[2] / 2 != x->dim[2]) {
            return kata_fail(KATA_SHAPE, "%s: %lldx%lld is not what pooling makes of %lldx%lld",
                             op->name, (long long)x->dim[1], (long long)x->dim[2],
                             (long long)sizes[1], (long long)sizes[2]);
        }
    }
    return read_conv(conv, op, values, sizes);
}

static kata_status check_like(const kata_infer *infer, int i, unsigned dtypes,
                              const kata_shape *want) {
    if (!kata__infer_has(infer, i)) {
        return KATA_OK;
    }
    KATA__TRY(kata__infer_dtype(infer, i, dtypes));
    if (!kata_shape_equal(&infer->inputs[i].shape, want)) {
        char text[KATA_SHAPE_TEXT_SIZE], expected[KATA_SHAPE_TEXT_SIZE];
        return kata_fail(KATA_SHAPE, "%s: input %d has shape %s, expected %s", infer->op->name, i,
                         kata_shape_text(&infer->inputs[i].shape, text),
                         kata_shape_text(want, expected));
    }
    return KATA_OK;
}

static kata_status conv_infer(kata_infer *infer) {
    kata__conv v;
    const kata_shape *x = &infer->inputs[IN_X].shape;
    bool is_spread = kata__infer_has(infer, IN_SPREAD);
    bool is_direct = algorithm_of(infer->attributes) == KATA__CONV_DIRECT;
    KATA__TRY(kata__infer_dtype(infer, IN_X,
                                is_spread || !is_direct ? KATA__DTYPE(BF16)
                                                        : KATA__DTYPE(F32) | KATA__DTYPE(BF16)));
    KATA__TRY(kata__rule_rank(infer, IN_X, 4, 4, "(N,H,W,C)"));
    KATA__TRY(conv_problem(&v, infer->op, infer->attributes, x, is_spread));
    if (is_spread && (v.h + v.pad_top > (v.oh - 1) * v.stride_h + (v.kh - 1) * v.dilation_h + 1 ||
                      v.w + v.pad_left > (v.ow - 1) * v.stride_w + (v.kw - 1) * v.dilation_w + 1)) {
        return kata_fail(KATA_UNSUPPORTED, "%s: the taps do not reach all of a spread input",
                         infer->op->name);
    }
    kata_shape y = KATA_SHAPE_OF(v.n, v.oh, v.ow, v.f);
    kata_shape packed = KATA_SHAPE_OF(direct_numbers(&v)), bias = KATA_SHAPE_OF(v.f);
    const kata_shape *given = &infer->inputs[IN_WEIGHT].shape;
    if (!is_direct && given->rank == 1 && given->dim[0] > packed.dim[0]) {
        packed.dim[0] = given->dim[0]; /* as the kernels want it */
    }
    KATA__TRY(check_like(infer, IN_WEIGHT, KATA__DTYPE(BF16), &packed));
    KATA__TRY(check_like(infer, IN_BIAS, KATA__DTYPE(F32), &bias));
    KATA__TRY(check_like(infer, IN_RESIDUAL, KATA__DTYPE(BF16), &y));
    KATA__TRY(check_like(infer, IN_MASK, KATA__DTYPE(BF16), &y));
    KATA__TRY(check_like(infer, IN_SPREAD, KATA__DTYPE(U8), x));
    bool pool = infer->attributes[CONV_POOL].i != 0;
    if (pool && (v.oh < 2 || v.ow < 2)) {
        return kata_fail(KATA_SHAPE, "%s: a result of %lldx%lld is too small to pool",
                         infer->op->name, (long long)v.oh, (long long)v.ow);
    }
    if (infer->n_outputs > 1 && !pool) {
        return kata_fail(KATA_INVALID, "%s: only pooling gives an index", infer->op->name);
    }
    if (pool && kata__infer_has(infer, IN_MASK)) {
        return kata_fail(KATA_INVALID, "%s: a mask does not go with pooling", infer->op->name);
    }
    y.dim[1] /= pool ? 2 : 1;
    y.dim[2] /= pool ? 2 : 1;
    infer->outputs[0] = (kata_type){KATA_BF16, y};
    if (infer->n_outputs > 1) {
        infer->outputs[1] = (kata_type){KATA_U8, y};
    }
    return kata__infer_fits(infer);
}

static kata__conv conv_of(const kata_call *call) {
    kata__conv v = {0}; /* the shape rule has checked that this cannot fail */
    (void)conv_problem(&v, call->op, call->attributes, &call->inputs[IN_X].shape,
                       kata__call_has(call, IN_SPREAD));
    return v;
}

/* A number of (n,h,w,c), which may be spread from (n,h/2,w/2,c). */
static double load_spread(const kata_tensor *x, const uint8_t *index, int64_t h, int64_t w,
                          int64_t c, int64_t n, int64_t y, int64_t column, int64_t channel) {
    if (index == NULL) {
        return kata_load(x->dtype, x->data, ((n * h + y) * w + column) * c + channel);
    }
    if (y / 2 >= h / 2 || column / 2 >= w / 2) {
        return 0;
    }
    int64_t at = ((n * (h / 2) + y / 2) * (w / 2) + column / 2) * c + channel;
    return index[at] == y % 2 * 2 + column % 2 ? kata_load(x->dtype, x->data, at) : 0;
}

static const uint8_t *index_of(const kata_call *call, int i) {
    return kata__call_has(call, i) ? call->inputs[i].data : NULL;
}

/* One element of the result before pooling. */
static double conv_element(const kata_call *call, const kata__conv *v, int64_t n, int64_t oy,
                           int64_t ox, int64_t f) {
    const uint8_t *spread = index_of(call, IN_SPREAD);
    int64_t group_c = v->c / v->groups, first = f / (v->f / v->groups) * group_c;
    int64_t at = ((n * v->oh + oy) * v->ow + ox) * v->f + f;
    double sum = 0;
    for (int64_t tap = 0; tap < v->kh * v->kw; tap++) {
        int64_t iy = oy * v->stride_h - v->pad_top + tap / v->kw * v->dilation_h;
        int64_t ix = ox * v->stride_w - v->pad_left + tap % v->kw * v->dilation_w;
        if (iy < 0 || iy >= v->h || ix < 0 || ix >= v->w) {
            continue;
        }
        for (int64_t c = 0; c < group_c; c++) {
            double x =
                load_spread(&call->inputs[IN_X], spread, v->h, v->w, v->c, n, iy, ix, first + c);
            sum += (double)kata_bf16_to_f32(kata_f32_to_bf16((float)x)) *
                   kata_load(KATA_BF16, call->inputs[IN_WEIGHT].data, packed_at(v, f, c, tap));
        }
    }
    if (kata__call_has(call, IN_BIAS)) {
        sum += kata_load(KATA_F32, call->inputs[IN_BIAS].data, f);
    }
    if (kata__call_has(call, IN_RESIDUAL)) {
        sum += kata_load(KATA_BF16, call->inputs[IN_RESIDUAL].data, at);
    }
    if (call->attributes[CONV_RELU].i != 0) {
        sum = sum <= 0 ? 0 : sum; /* a NaN stays one */
    }
    if (kata__call_has(call, IN_MASK) &&
        kata_load(KATA_BF16, call->inputs[IN_MASK].data, at) <= 0) {
        sum = 0;
    }
    return sum;
}

/* y[n,oy,ox,f] = sum of x[n,iy,ix,c] w[f,c,ky,kx] + bias[f] + residual, relu, mask, pooling */
static kata_status conv_reference(const kata_call *call) {
    kata__conv v = conv_of(call);
    const kata_tensor *y = &call->outputs[0];
    bool pool = call->attributes[CONV_POOL].i != 0, relu = call->attributes[CONV_RELU].i != 0;
    int64_t n_columns = y->shape.dim[2], n_rows = y->shape.dim[1];
    for (int64_t o = 0; o < kata_tensor_count(y); o++) {
        int64_t f = o % v.f, ox = o / v.f % n_columns, oy = o / v.f / n_columns % n_rows;
        int64_t n = o / v.f / n_columns / n_rows;
        if (!pool) {
            kata_store(KATA_BF16, y->data, o, conv_element(call, &v, n, oy, ox, f));
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
        kata_store(KATA_BF16, y->data, o, best);
        if (call->n_outputs > 1) {
            ((uint8_t *)call->outputs[1].data)[o] =
                (uint8_t)(relu && best <= 0 ? KATA__POOL_NONE : where);
        }
    }
    return KATA_OK;
}

static bool is_empty(const kata_call *call) {
    return kata_tensor_count(&call->inputs[0]) == 0;
}

static kata__workspace_size conv_kernel_workspace(const kata_call *call) {
    kata__conv v = conv_of(call);
    return is_empty(call)
               ? (kata__workspace_size){0}
               : kata__conv_bf16_workspace(call->context, &v, algorithm_of(call->attributes),
                                           call->attributes[CONV_POOL].i != 0);
}

static size_t conv_workspace(const kata_call *call) {
    return conv_kernel_workspace(call).shared;
}

static size_t conv_per_thread_workspace(const kata_call *call) {
    return conv_kernel_workspace(call).per_thread;
}

static kata_status conv_fast(const kata_call *call) {
    kata__conv v = conv_of(call);
    const void *in[6] = {NULL};
    for (int i = 0; i < 6; i++) {
        in[i] = kata__call_has(call, i) ? call->inputs[i].data : NULL;
    }
    const kata__conv_bf16_input input = {call->inputs[IN_X].dtype, in[IN_X], in[IN_SPREAD]};
    const kata__conv_bf16_store store = {.bias = in[IN_BIAS],
                                         .residual = in[IN_RESIDUAL],
                                         .relu = call->attributes[CONV_RELU].i != 0,
                                         .mask = in[IN_MASK],
                                         .pool = call->attributes[CONV_POOL].i != 0,
                                         .index =
                                             call->n_outputs > 1 ? call->outputs[1].data : NULL};
    const kata__workspace workspace = kata__call_workspace(call);
    kata__conv_bf16(call->context, &v, algorithm_of(call->attributes), &input, in[IN_WEIGHT],
                    &store, call->outputs[0].data, &workspace);
    return KATA_OK;
}

static kata_kernel conv_choose(const kata_call *call) {
    kata__conv v = conv_of(call);
    return is_empty(call) || !holds_packed(call, &v, &call->inputs[IN_WEIGHT]) ? NULL : conv_fast;
}

static double conv_flops(const kata_call *call) {
    kata__conv v = conv_of(call);
    return conv_flops_of(&v);
}

const kata_op kata__op_kata_ConvBfloat16 = {
    .name = "ConvBfloat16",
    .domain = "kata",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 6,
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
    .tolerance = 1.0 / 128,
    .doc =
        "(x (N,H,W,C), packed weight, bias, residual, mask, spread) -> y, index: kata:ConvNhwc in "
        "bfloat16; with spread, the index of a pooling, x is the gradient of its output.",
};

/* ---- kata:ConvBfloat16GradWeight (x, dy, index) -> dw, db ---- */

static const kata_attribute_spec conv_grad_attributes[] = {CONV_ATTRIBUTES, {0}};

static kata__conv conv_grad_of(const kata_call *call) {
    kata__conv v = {0};
    (void)read_conv(&v, call->op, call->attributes, call->inputs[0].shape.dim);
    return v;
}

static kata_status conv_grad_infer(kata_infer *infer) {
    kata__conv v;
    bool is_direct = algorithm_of(infer->attributes) == KATA__CONV_DIRECT;
    KATA__TRY(kata__infer_dtype(
        infer, 0, is_direct ? KATA__DTYPE(F32) | KATA__DTYPE(BF16) : KATA__DTYPE(BF16)));
    KATA__TRY(kata__rule_rank(infer, 0, 4, 4, "(N,H,W,C)"));
    KATA__TRY(read_conv(&v, infer->op, infer->attributes, infer->inputs[0].shape.dim));
    kata_shape want = KATA_SHAPE_OF(v.n, v.oh, v.ow, v.f);
    if (kata__infer_has(infer, 2)) {
        want.dim[1] /= 2;
        want.dim[2] /= 2;
    }
    KATA__TRY(check_like(infer, 1, KATA__DTYPE(BF16), &want));
    KATA__TRY(check_like(infer, 2, KATA__DTYPE(U8), &want));
    infer->outputs[0] = (kata_type){KATA_F32, KATA_SHAPE_OF(v.f, v.c / v.groups, v.kh, v.kw)};
    if (infer->n_outputs > 1) {
        infer->outputs[1] = (kata_type){KATA_F32, KATA_SHAPE_OF(v.f)};
    }
    return kata__infer_fits(infer);
}

/* dw[f,c,ky,kx] = sum of x[n,iy,ix,c] dy[n,oy,ox,f], db[f] = sum of dy[n,oy,ox,f] */
static kata_status conv_grad_reference(const kata_call *call) {
    kata__conv v = conv_grad_of(call);
    const kata_tensor *x = &call->inputs[0], *dy = &call->inputs[1], *dw = &call->outputs[0];
    const uint8_t *index = index_of(call, 2);
    int64_t group_c = v.c / v.groups, group_f = v.f / v.groups, plane = v.oh * v.ow;
    for (int64_t i = 0; i < kata_tensor_count(dw); i++) {
        int64_t kx = i % v.kw, ky = i / v.kw % v.kh, c = i / v.kw / v.kh % group_c;
        int64_t f = i / v.kw / v.kh / group_c;
        double sum = 0;
        for (int64_t o = 0; o < v.n * plane; o++) {
            int64_t oy = o / v.ow % v.oh, ox = o % v.ow, n = o / plane;
            int64_t iy = oy * v.stride_h - v.pad_top + ky * v.dilation_h;
            int64_t ix = ox * v.stride_w - v.pad_left + kx * v.dilation_w;
            if (iy >= 0 && iy < v.h && ix >= 0 && ix < v.w) {
                int64_t at = ((n * v.h + iy) * v.w + ix) * v.c + f / group_f * group_c + c;
                float value = (float)kata_load(x->dtype, x->data, at);
                sum += (double)kata_bf16_to_f32(kata_f32_to_bf16(value)) *
                       load_spread(dy, index, v.oh, v.ow, v.f, n, oy, ox, f);
            }
        }
        kata_store(KATA_F32, dw->data, i, sum);
    }
    for (int64_t f = 0; call->n_outputs > 1 && f < v.f; f++) {
        double sum = 0;
        for (int64_t o = 0; o < v.n * plane; o++) {
            sum += load_spread(dy, index, v.oh, v.ow, v.f, o / plane, o / v.ow % v.oh, o % v.ow, f);
        }
        kata_store(KATA_F32, call->outputs[1].data, f, sum);
    }
    return KATA_OK;
}

static kata__workspace_size conv_grad_kernel_workspace(const kata_call *call) {
    kata__conv v = conv_grad_of(call);
    return is_empty(call)
               ? (kata__workspace_size){0}
               : kata__conv_bf16_weight_workspace(call->context, &v, algorithm_of(call->attributes),
                                                  kata__call_has(call, 2));
}

static size_t conv_grad_workspace(const kata_call *call) {
    return conv_grad_kernel_workspace(call).shared;
}

static size_t conv_grad_per_thread_workspace(const kata_call *call) {
    return conv_grad_kernel_workspace(call).per_thread;
}

static kata_status conv_grad_fast(const kata_call *call) {
    kata__conv v = conv_grad_of(call);
    const kata__conv_bf16_input input = {call->inputs[0].dtype, call->inputs[0].data, NULL};
    const kata__workspace workspace = kata__call_workspace(call);
    kata__conv_bf16_weight(call->context, &v, algorithm_of(call->attributes), &input,
                           call->inputs[1].data, index_of(call, 2), call->outputs[0].data,
                           call->n_outputs > 1 ? call->outputs[1].data : NULL, &workspace);
    return KATA_OK;
}

static kata_kernel conv_grad_choose(const kata_call *call) {
    return is_empty(call) ? NULL : conv_grad_fast;
}

static double conv_grad_flops(const kata_call *call) {
    kata__conv v = conv_grad_of(call);
    return conv_flops_of(&v);
}

const kata_op kata__op_kata_ConvBfloat16GradWeight = {
    .name = "ConvBfloat16GradWeight",
    .domain = "kata",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 3,
    .min_outputs = 1,
    .max_outputs = 2,
    .attributes = conv_grad_attributes,
    .infer = conv_grad_infer,
    .workspace = conv_grad_workspace,
    .per_thread_workspace = conv_grad_per_thread_workspace,
    .reference = conv_grad_reference,
    .choose = conv_grad_choose,
    .flops = conv_grad_flops,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 1e-5,
    .doc = "(x (N,H,W,C), dy (N,H,W,F), index) -> dw (F,C/group,kh,kw), db (F) in float32: "
           "kata:ConvNhwcGradWeight of bfloat16.",
};

/* ---- kata:GemmBfloat16Prepack (B) -> packed ---- */

static const kata_attribute_spec gemm_weight_attributes[] = {
    {.name = "transB", .type = KATA_ATTRIBUTE_INT, .doc = "1: B' is B transposed"}, {0}};

static kata_status gemm_weight_infer(kata_infer *infer) {
    const kata_shape *b = &infer->inputs[0].shape;
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__DTYPE(F32) | KATA__DTYPE(BF16)));
    KATA__TRY(kata__rule_rank(infer, 0, 2, 2, "a matrix (rank 2)"));
    bool swap = infer->attributes[0].i != 0;
    int64_t packed = kata__bfloat16_packed(b->dim[swap ? 1 : 0], b->dim[swap ? 0 : 1]);
    infer->outputs[0] = (kata_type){KATA_BF16, KATA_SHAPE_OF(packed)};
    return kata__infer_fits(infer);
}

/* Where a packed matrix of k rows has row l, column j. */
static int64_t matrix_at(int64_t k, int64_t l, int64_t j) {
    return ((j / BLOCK * ((k + 1) / 2) + l / 2) * BLOCK + j % BLOCK) * 2 + l % 2;
}

static kata_status gemm_weight_reference(const kata_call *call) {
    const kata_tensor *b = &call->inputs[0], *to = &call->outputs[0];
    bool swap = call->attributes[0].i != 0;
    int64_t k = b->shape.dim[swap ? 1 : 0], n = b->shape.dim[swap ? 0 : 1];
    memset(to->data, 0, kata_tensor_bytes(to));
    for (int64_t l = 0; l < k; l++) {
        for (int64_t j = 0; j < n; j++) {
            kata_store(KATA_BF16, to->data, matrix_at(k, l, j),
                       kata_load(b->dtype, b->data, swap ? j * k + l : l * n + j));
        }
    }
    return KATA_OK;
}

static size_t gemm_weight_workspace(const kata_call *call) {
    const kata_shape *b = &call->inputs[0].shape;
    bool swap = call->attributes[0].i != 0;
    return kata__bfloat16_pack_workspace(call->context, b->dim[swap ? 1 : 0], b->dim[swap ? 0 : 1],
                                         swap);
}

static kata_status gemm_weight_fast(const kata_call *call) {
    const kata_tensor *b = &call->inputs[0];
    bool swap = call->attributes[0].i != 0;
    kata__bfloat16_pack(call->context, b->shape.dim[swap ? 1 : 0], b->shape.dim[swap ? 0 : 1], swap,
                        b->dtype, b->data, b->shape.dim[1], call->outputs[0].data, call->workspace);
    return KATA_OK;
}

static kata_kernel gemm_weight_choose(const kata_call *call) {
    (void)call;
    return gemm_weight_fast;
}

const kata_op kata__op_kata_GemmBfloat16Prepack = {
    .name = "GemmBfloat16Prepack",
    .domain = "kata",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = gemm_weight_attributes,
    .infer = gemm_weight_infer,
    .workspace = gemm_weight_workspace,
    .reference = gemm_weight_reference,
    .choose = gemm_weight_choose,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 0,
    .doc = "A matrix, rounded and packed as the right factor of kata:GemmBfloat16.",
};

/* ---- kata:GemmBfloat16 (A, packed, C, mask) -> Y ---- */

enum { GEMM_COLUMNS, GEMM_RELU, GEMM_TO, GEMM_TRANS_A };
static const kata_attribute_spec gemm_attributes[] = {
    {.name = "columns",
     .type = KATA_ATTRIBUTE_INT,
     .required = true,
     .doc = "columns of the packed matrix"},
    {.name = "relu", .type = KATA_ATTRIBUTE_INT, .doc = "1: max(0, sum)"},
    {.name = "to",
     .type = KATA_ATTRIBUTE_INT,
     .default_int = 1,
     .doc = "data type of Y: 1 float32, 16 bfloat16"},
    {.name = "transA", .type = KATA_ATTRIBUTE_INT, .doc = "1: A' is A transposed"},
    {0}};

static kata_status gemm_infer(kata_infer *infer) {
    const kata_shape *a = &infer->inputs[0].shape;
    const kata_attribute_value *values = infer->attributes;
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__DTYPE(BF16)));
    KATA__TRY(kata__rule_rank(infer, 0, 2, 2, "a matrix (rank 2)"));
    bool swap = values[GEMM_TRANS_A].i != 0;
    int64_t n = values[GEMM_COLUMNS].i, to = values[GEMM_TO].i;
    if (n < 0 || n > INT32_MAX || (to != 1 && to != 16)) {
        return kata_fail(KATA_INVALID, "%s: columns is %lld and to is %lld; to must be 1 or 16",
                         infer->op->name, (long long)n, (long long)to);
    }
    kata_shape y = KATA_SHAPE_OF(a->dim[swap ? 1 : 0], n), bias = KATA_SHAPE_OF(n);
    kata_shape packed = KATA_SHAPE_OF(kata__bfloat16_packed(a->dim[swap ? 0 : 1], n));
    KATA__TRY(check_like(infer, 1, KATA__DTYPE(BF16), &packed));
    KATA__TRY(check_like(infer, 2, KATA__DTYPE(F32), &bias));
    KATA__TRY(check_like(infer, 3, KATA__DTYPE(BF16), &y));
    infer->outputs[0] = (kata_type){to == 1 ? KATA_F32 : KATA_BF16, y};
    if (kata__infer_has(infer, 3) && to == 1) {
        return kata_fail(KATA_INVALID, "%s: a mask goes with a bfloat16 result", infer->op->name);
    }
    return kata__infer_fits(infer);
}

static kata__bfloat16_gemm gemm_of(const kata_call *call) {
    const kata_tensor *a = &call->inputs[0], *y = &call->outputs[0];
    bool swap = call->attributes[GEMM_TRANS_A].i != 0;
    return (kata__bfloat16_gemm){.m = y->shape.dim[0],
                                 .n = y->shape.dim[1],
                                 .k = a->shape.dim[swap ? 0 : 1],
                                 .transpose_a = swap,
                                 .a = a->data,
                                 .lda = a->shape.dim[1],
                                 .packed_b = call->inputs[1].data,
                                 .c_dtype = y->dtype,
                                 .c = y->data,
                                 .ldc = y->shape.dim[1],
                                 .bias = kata__call_has(call, 2) ? call->inputs[2].data : NULL,
                                 .relu = call->attributes[GEMM_RELU].i != 0,
                                 .mask = kata__call_has(call, 3) ? call->inputs[3].data : NULL};
}

/* y[i,j] = sum over l of a'[i,l] b[l,j] + c[j], relu, mask */
static kata_status gemm_reference(const kata_call *call) {
    kata__bfloat16_gemm g = gemm_of(call);
    for (int64_t i = 0; i < g.m; i++) {
        for (int64_t j = 0; j < g.n; j++) {
            double sum = g.bias != NULL ? (double)g.bias[j] : 0;
            for (int64_t l = 0; l < g.k; l++) {
                sum += kata_load(KATA_BF16, g.a, g.transpose_a ? l * g.lda + i : i * g.lda + l) *
                       kata_load(KATA_BF16, g.packed_b, matrix_at(g.k, l, j));
            }
            sum = g.relu && sum <= 0 ? 0 : sum;
            if (g.mask != NULL && kata_load(KATA_BF16, g.mask, i * g.n + j) <= 0) {
                sum = 0;
            }
            kata_store(g.c_dtype, g.c, i * g.n + j, sum);
        }
    }
    return KATA_OK;
}

static size_t gemm_workspace(const kata_call *call) {
    kata__bfloat16_gemm g = gemm_of(call);
    return kata__bfloat16_gemm_workspace(call->context, &g);
}

static kata_status gemm_fast(const kata_call *call) {
    kata__bfloat16_gemm g = gemm_of(call);
    kata__bfloat16_gemm_run(call->context, &g, call->workspace);
    return KATA_OK;
}

static kata_kernel gemm_choose(const kata_call *call) {
    (void)call;
    return gemm_fast;
}

static double gemm_flops(const kata_call *call) {
    kata__bfloat16_gemm g = gemm_of(call);
    return 2.0 * (double)g.m * (double)g.n * (double)g.k;
}

const kata_op kata__op_kata_GemmBfloat16 = {
    .name = "GemmBfloat16",
    .domain = "kata",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 4,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = gemm_attributes,
    .infer = gemm_infer,
    .workspace = gemm_workspace,
    .reference = gemm_reference,
    .choose = gemm_choose,
    .flops = gemm_flops,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 1.0 / 128,
    .doc =
        "(A, packed B, C, mask) -> A' B + C in bfloat16 with float32 sums, relu, 0 where mask <= "
        "0.",
};
