/* Pooling of NHWC tensors, (N,H,W,C), and the gradients: rows that the layout pass makes
 * (kernel/conv_nhwc.h). Their attributes say the whole window, with nothing left to work out. */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "kernel/conv_nhwc.h"
#include "op/infer.h"
#include "op/rules.h"
#include "op/window.h"

enum { POOL_DILATIONS, POOL_KERNEL, POOL_PADS, POOL_SIZES, POOL_STRIDES, POOL_COUNT_PAD };
#define POOL_ATTRIBUTES                                                                            \
    {.name = "dilations", .type = KATA_ATTRIBUTE_INTS, .doc = "distance of the taps; 1s"},         \
        {.name = "kernel_shape",                                                                   \
         .type = KATA_ATTRIBUTE_INTS,                                                              \
         .required = true,                                                                         \
         .doc = "sizes of the window"},                                                            \
        {.name = "pads",                                                                           \
         .type = KATA_ATTRIBUTE_INTS,                                                              \
         .doc = "room above and left of the input; 0s"},                                           \
        {.name = "sizes",                                                                          \
         .type = KATA_ATTRIBUTE_INTS,                                                              \
         .required = true,                                                                         \
         .doc = "height and width of the result"},                                                 \
    {                                                                                              \
        .name = "strides", .type = KATA_ATTRIBUTE_INTS, .doc = "step of the window; 1s"            \
    }

static const kata_attribute_spec max_attributes[] = {POOL_ATTRIBUTES, {0}};
static const kata_attribute_spec average_attributes[] = {
    POOL_ATTRIBUTES,
    {.name = "count_include_pad",
     .type = KATA_ATTRIBUTE_INT,
     .doc = "1: every window is divided by all its taps"},
    {0}};

static kata_status read_pair(int64_t to[2], const kata_op *op, const kata_attribute_value *values,
                             int which, int64_t minimum, int64_t otherwise) {
    const kata_attribute_value *value = &values[which];
    to[0] = to[1] = otherwise;
    if (value->n != 0 && value->n != 2) {
        return kata_fail(KATA_INVALID, "%s: %s has %d numbers, expected 2", op->name,
                         op->attributes[which].name, value->n);
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

/* The window over `first`, (n,h,w,c). In the gradient rows `sizes` is the input's and `first` is
 * dy: `is_gradient` puts each in its place. Every window must have a tap inside the input. */
static kata_status read_pool(kata__conv *pool, const kata_op *op,
                             const kata_attribute_value *values, const kata_shape *first,
                             bool is_gradient) {
    int64_t dilations[2], kernel[2], pads[2], sizes[2], strides[2];
    KATA__TRY(read_pair(dilations, op, values, POOL_DILATIONS, 1, 1));
    KATA__TRY(read_pair(kernel, op, values, POOL_KERNEL, 1, 1));
    KATA__TRY(read_pair(pads, op, values, POOL_PADS, 0, 0));
    KATA__TRY(read_pair(sizes, op, values, POOL_SIZES, 1, 1));
    KATA__TRY(read_pair(strides, op, values, POOL_STRIDES, 1, 1));
    for (int i = 0; i < 2; i++) {
        int64_t in = is_gradient ? sizes[i] : first->dim[1 + i];
        int64_t out = is_gradient ? first->dim[1 + i] : sizes[i];
        bool meets = pads[i] < kernel[i] && (dilations[i] == 1 || pads[i] == 0) &&
                     (out - 1) * strides[i] - pads[i] < in;
        if (in >= 0 && out >= 0 && !meets) {
            return kata_fail(KATA_SHAPE,
                             "%s: a window of %lld at steps of %lld from %lld before the input's "
                             "%lld has nothing to look at",
                             op->name, (long long)kernel[i], (long long)strides[i],
                             (long long)pads[i], (long long)in);
        }
    }
    *pool = (kata__conv){.n = first->dim[0],
                         .h = is_gradient ? sizes[0] : first->dim[1],
                         .w = is_gradient ? sizes[1] : first->dim[2],
                         .c = first->dim[3],
                         .f = first->dim[3],
                         .kh = kernel[0],
                         .kw = kernel[1],
                         .oh = is_gradient ? first->dim[1] : sizes[0],
                         .ow = is_gradient ? first->dim[2] : sizes[1],
                         .stride_h = strides[0],
                         .stride_w = strides[1],
                         .dilation_h = dilations[0],
                         .dilation_w = dilations[1],
                         .pad_top = pads[0],
                         .pad_left = pads[1],
                         .groups = 1};
    return KATA_OK;
}

static kata_status infer(kata_infer *i, bool is_gradient) {
    kata__conv v;
    KATA__TRY(kata__infer_float(i, 0, true));
    KATA__TRY(kata__rule_rank(i, 0, 4, 4, "(N,H,W,C)"));
    KATA__TRY(read_pool(&v, i->op, i->attributes, &i->inputs[0].shape, is_gradient));
    i->outputs[0].dtype = i->inputs[0].dtype;
    i->outputs[0].shape =
        is_gradient ? KATA_SHAPE_OF(v.n, v.h, v.w, v.c) : KATA_SHAPE_OF(v.n, v.oh, v.ow, v.c);
    return kata__infer_fits(i);
}

static kata_status pool_infer(kata_infer *i) {
    return infer(i, false);
}

static kata_status grad_infer(kata_infer *i) {
    return infer(i, true);
}

static kata__conv pool_of(const kata_call *call, bool is_gradient) {
    kata__conv v = {0}; /* the shape rule has checked that this cannot fail */
    (void)read_pool(&v, call->op, call->attributes, &call->inputs[0].shape, is_gradient);
    return v;
}

static bool is_fast(const kata_call *call) {
    return call->outputs[0].dtype == KATA_F32 && kata_tensor_count(&call->outputs[0]) > 0 &&
           kata_tensor_count(&call->inputs[0]) > 0;
}

static double flops(const kata__conv *v) {
    return (double)v->n * (double)v->c * kata__window_taps(v);
}

static double pool_flops(const kata_call *call) {
    kata__conv v = pool_of(call, false);
    return flops(&v);
}

static double grad_flops(const kata_call *call) {
    kata__conv v = pool_of(call, true);
    return flops(&v);
}

/* Element o of the result is (n,oy,ox,c). */
typedef struct place {
    int64_t n, oy, ox, c;
} place;

static place place_of(const kata__conv *v, int64_t o) {
    return (place){.c = o % v->c,
                   .ox = o / v->c % v->ow,
                   .oy = o / v->c / v->ow % v->oh,
                   .n = o / v->c / v->ow / v->oh};
}

/* Index in x of tap k of the window at p; -1 outside. */
static int64_t tap_of(const kata__conv *v, const place *p, int64_t k) {
    int64_t iy = p->oy * v->stride_h - v->pad_top + k / v->kw * v->dilation_h;
    int64_t ix = p->ox * v->stride_w - v->pad_left + k % v->kw * v->dilation_w;
    if (iy < 0 || iy >= v->h || ix < 0 || ix >= v->w) {
        return -1;
    }
    return ((p->n * v->h + iy) * v->w + ix) * v->c + p->c;
}

/* ---- kata:MaxPoolNhwc (x) -> y, index ---- */

static kata_status max_infer(kata_infer *i) {
    KATA__TRY(pool_infer(i));
    if (i->n_outputs > 1) {
        kata__conv v;
        KATA__TRY(read_pool(&v, i->op, i->attributes, &i->inputs[0].shape, false));
        if (v.kh > 255 || v.kw > 255 || v.kh * v.kw > 255) {
            return kata_fail(KATA_UNSUPPORTED,
                             "%s: a window of %lldx%lld has more places than an index counts",
                             i->op->name, (long long)v.kh, (long long)v.kw);
        }
        i->outputs[1] = (kata_type){KATA_U8, i->outputs[0].shape};
    }
    return KATA_OK;
}

/* y = the largest tap inside x, a NaN if there is one; index = its place in the window, the first
 * of equals or of NaNs */
static kata_status max_reference(const kata_call *call) {
    kata__conv v = pool_of(call, false);
    const kata_tensor *x = &call->inputs[0], *y = &call->outputs[0];
    for (int64_t o = 0; o < kata_tensor_count(y); o++) {
        place p = place_of(&v, o);
        double best = -(double)INFINITY;
        int64_t where = -1;
        for (int64_t k = 0; k < v.kh * v.kw; k++) {
            int64_t at = tap_of(&v, &p, k);
            double value = at < 0 ? 0 : kata_load(x->dtype, x->data, at);
            if (at >= 0 && (where < 0 || value > best || (isnan(value) && !isnan(best)))) {
                best = value;
                where = k;
            }
        }
        kata_store(y->dtype, y->data, o, best);
        if (call->n_outputs > 1) {
            ((uint8_t *)call->outputs[1].data)[o] = (uint8_t)where;
        }
    }
    return KATA_OK;
}

static kata_status max_fast(const kata_call *call) {
    kata__conv v = pool_of(call, false);
    kata__max_pool_nhwc(call->context, &v, call->inputs[0].data, call->outputs[0].data,
                        call->n_outputs > 1 ? call->outputs[1].data : NULL);
    return KATA_OK;
}

static kata_kernel max_choose(const kata_call *call) {
    return is_fast(call) ? max_fast : NULL;
}

const kata_op kata__op_kata_MaxPoolNhwc = {
    .name = "MaxPoolNhwc",
    .domain = "kata",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 2,
    .attributes = max_attributes,
    .infer = max_infer,
    .reference = max_reference,
    .choose = max_choose,
    .flops = pool_flops,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 1e-7,
    .doc = "x (N,H,W,C) -> y, index: largest of each window, or its first NaN, and its place, row "
           "* width + column.",
};

/* ---- kata:MaxPoolNhwcGrad (dy, index) -> dx ---- */

static kata_status max_grad_infer(kata_infer *i) {
    KATA__TRY(kata__infer_dtype(i, 1, KATA__DTYPE(U8)));
    KATA__TRY(kata__rule_same_shape(i, 0, 1));
    return grad_infer(i);
}

/* dx = 0; dx[place of the maximum] += dy, unless the index names no place of the window */
static kata_status max_grad_reference(const kata_call *call) {
    kata__conv v = pool_of(call, true);
    const kata_tensor *dy = &call->inputs[0], *dx = &call->outputs[0];
    const uint8_t *index = call->inputs[1].data;
    memset(dx->data, 0, kata_tensor_bytes(dx));
    for (int64_t o = 0; o < kata_tensor_count(dy); o++) {
        place p = place_of(&v, o);
        int64_t at = index[o] < v.kh * v.kw ? tap_of(&v, &p, index[o]) : -1;
        if (at >= 0) {
            kata_store(dx->dtype, dx->data, at,
                       kata_load(dx->dtype, dx->data, at) + kata_load(dy->dtype, dy->data, o));
        }
    }
    return KATA_OK;
}

static kata_status max_grad_fast(const kata_call *call) {
    kata__conv v = pool_of(call, true);
    kata__max_pool_nhwc_gradient(call->context, &v, call->inputs[0].data, call->inputs[1].data,
                                 call->outputs[0].data);
    return KATA_OK;
}

static kata_kernel max_grad_choose(const kata_call *call) {
    return is_fast(call) ? max_grad_fast : NULL;
}

const kata_op kata__op_kata_MaxPoolNhwcGrad = {
    .name = "MaxPoolNhwcGrad",
    .domain = "kata",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = max_attributes,
    .infer = max_grad_infer,
    .reference = max_grad_reference,
    .choose = max_grad_choose,
    .flops = grad_flops,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 1e-6,
    .doc = "(dy (N,H,W,C), index) -> dx of the given sizes: dy goes to the place of the maximum; "
           "255 is none.",
};

/* ---- kata:AveragePoolNhwc (x) -> y ---- */

/* The divisor of the window at p: its taps inside x, or all of them. */
static double divisor(const kata__conv *v, const place *p, bool count_pad) {
    int64_t n = 0;
    for (int64_t k = 0; k < v->kh * v->kw; k++) {
        n += count_pad || tap_of(v, p, k) >= 0;
    }
    return (double)(n < 1 ? 1 : n);
}

/* y = sum of the window's taps inside x / divisor */
static kata_status average_reference(const kata_call *call) {
    kata__conv v = pool_of(call, false);
    const kata_tensor *x = &call->inputs[0], *y = &call->outputs[0];
    bool count_pad = call->attributes[POOL_COUNT_PAD].i != 0;
    for (int64_t o = 0; o < kata_tensor_count(y); o++) {
        place p = place_of(&v, o);
        double sum = 0;
        for (int64_t k = 0; k < v.kh * v.kw; k++) {
            int64_t at = tap_of(&v, &p, k);
            sum += at < 0 ? 0 : kata_load(x->dtype, x->data, at);
        }
        kata_store(y->dtype, y->data, o, sum / divisor(&v, &p, count_pad));
    }
    return KATA_OK;
}

static kata_status average_fast(const kata_call *call) {
    kata__conv v = pool_of(call, false);
    kata__average_pool_nhwc(call->context, &v, call->attributes[POOL_COUNT_PAD].i != 0,
                            call->inputs[0].data, call->outputs[0].data);
    return KATA_OK;
}

static kata_kernel average_choose(const kata_call *call) {
    return is_fast(call) ? average_fast : NULL;
}

const kata_op kata__op_kata_AveragePoolNhwc = {
    .name = "AveragePoolNhwc",
    .domain = "kata",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = average_attributes,
    .infer = pool_infer,
    .reference = average_reference,
    .choose = average_choose,
    .flops = pool_flops,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 1e-5,
    .doc = "x (N,H,W,C) -> y: mean of each window.",
};

/* ---- kata:AveragePoolNhwcGrad (dy) -> dx ---- */

/* dx[tap] = sum over the windows that hold it of dy / divisor */
static kata_status average_grad_reference(const kata_call *call) {
    kata__conv v = pool_of(call, true);
    const kata_tensor *dy = &call->inputs[0], *dx = &call->outputs[0];
    bool count_pad = call->attributes[POOL_COUNT_PAD].i != 0;
    memset(dx->data, 0, kata_tensor_bytes(dx));
    for (int64_t o = 0; o < kata_tensor_count(dy); o++) {
        place p = place_of(&v, o);
        double each = kata_load(dy->dtype, dy->data, o) / divisor(&v, &p, count_pad);
        for (int64_t k = 0; k < v.kh * v.kw; k++) {
            int64_t at = tap_of(&v, &p, k);
            if (at >= 0) {
                kata_store(dx->dtype, dx->data, at, kata_load(dx->dtype, dx->data, at) + each);
            }
        }
    }
    return KATA_OK;
}

static kata_status average_grad_fast(const kata_call *call) {
    kata__conv v = pool_of(call, true);
    kata__average_pool_nhwc_gradient(call->context, &v, call->attributes[POOL_COUNT_PAD].i != 0,
                                     call->inputs[0].data, call->outputs[0].data);
    return KATA_OK;
}

static kata_kernel average_grad_choose(const kata_call *call) {
    return is_fast(call) ? average_grad_fast : NULL;
}

const kata_op kata__op_kata_AveragePoolNhwcGrad = {
    .name = "AveragePoolNhwcGrad",
    .domain = "kata",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = average_attributes,
    .infer = grad_infer,
    .reference = average_grad_reference,
    .choose = average_grad_choose,
    .flops = grad_flops,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 1e-5,
    .doc = "dy (N,H,W,C) -> dx of the given sizes: each dy spread evenly over its window.",
};
