/* Sliding windows: attributes, pads and sizes. */
#include "op/window.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "op/rules.h"

/* Sizes above this are refused, so that products of two of them do not overflow. */
#define MAXIMUM ((int64_t)INT32_MAX)

static const char *pair_text(int rank, const int64_t value[2], char text[48]) {
    if (rank == 1) {
        snprintf(text, 48, "%lld", (long long)value[1]);
    } else {
        snprintf(text, 48, "%lldx%lld", (long long)value[0], (long long)value[1]);
    }
    return text;
}

/* Copies an attribute of `rank` numbers (or its default) into to[2 - rank ..]. */
static kata_status read_sizes(int64_t to[2], const kata_op *op, const char *name,
                              const kata_attribute_value *attribute, int rank, int64_t minimum) {
    if (attribute == NULL || attribute->n == 0) {
        return KATA_OK;
    }
    if (attribute->n != rank) {
        return kata_fail(KATA_INVALID,
                         "%s: %s has %d numbers, expected %d, one for each spatial axis", op->name,
                         name, attribute->n, rank);
    }
    for (int i = 0; i < rank; i++) {
        if (attribute->ints[i] < minimum || attribute->ints[i] > MAXIMUM) {
            return kata_fail(KATA_INVALID, "%s: %s[%d] is %lld, expected %lld to 2147483647",
                             op->name, name, i, (long long)attribute->ints[i], (long long)minimum);
        }
        to[2 - rank + i] = attribute->ints[i];
    }
    return KATA_OK;
}

static kata_status read_pads(kata__window *window, const kata_op *op,
                             const kata_attribute_value *pads, bool automatic) {
    if (pads == NULL || pads->n == 0) {
        return KATA_OK;
    }
    int rank = window->rank;
    if (pads->n != 2 * rank) {
        return kata_fail(KATA_INVALID,
                         "%s: pads has %d numbers, expected %d: the begin of each spatial axis, "
                         "then the end of each",
                         op->name, pads->n, 2 * rank);
    }
    for (int i = 0; i < 2 * rank; i++) {
        if (pads->ints[i] < 0 || pads->ints[i] > MAXIMUM) {
            return kata_fail(KATA_INVALID, "%s: pads[%d] is %lld, expected 0 to 2147483647",
                             op->name, i, (long long)pads->ints[i]);
        }
        if (automatic && pads->ints[i] != 0) {
            return kata_fail(KATA_INVALID, "%s: both pads and auto_pad are given, expected one",
                             op->name);
        }
        int64_t *to = i < rank ? window->pad_begin : window->pad_end;
        to[2 - rank + i % rank] = pads->ints[i];
    }
    return KATA_OK;
}

kata_status kata__window_read(kata__window *window, bool *same_upper, bool *same_lower,
                              const kata_op *op, const kata__window_attributes *attributes,
                              const kata_shape *x, const kata_shape *weight) {
    char text[KATA_SHAPE_TEXT_SIZE], weight_text[KATA_SHAPE_TEXT_SIZE];
    int rank = x->rank - 2;
    if (rank != 1 && rank != 2) {
        return kata_fail(rank > 2 ? KATA_UNSUPPORTED : KATA_SHAPE,
                         "%s: the input has shape %s, expected (N,C,W) or (N,C,H,W)", op->name,
                         kata_shape_text(x, text));
    }
    *window = (kata__window){.rank = rank,
                             .in = {1, 1},
                             .out = {1, 1},
                             .kernel = {1, 1},
                             .stride = {1, 1},
                             .dilation = {1, 1}};
    KATA__TRY(read_sizes(window->kernel, op, "kernel_shape", attributes->kernel_shape, rank, 1));
    KATA__TRY(read_sizes(window->stride, op, "strides", attributes->strides, rank, 1));
    KATA__TRY(read_sizes(window->dilation, op, "dilations", attributes->dilations, rank, 1));
    for (int i = 0; weight != NULL && i < rank; i++) {
        int64_t size = weight->dim[2 + i];
        bool given = attributes->kernel_shape != NULL && attributes->kernel_shape->n != 0;
        if (size < 1 || size > MAXIMUM) {
            return kata_fail(KATA_SHAPE,
                             "%s: the weight has shape %s, expected a window of known "
                             "sizes, 1 or more, at its axes 2 and up",
                             op->name, kata_shape_text(weight, weight_text));
        }
        if (given && window->kernel[2 - rank + i] != size) {
            return kata_fail(
                KATA_SHAPE, "%s: kernel_shape[%d] is %lld, but the weight has shape %s", op->name,
                i, (long long)window->kernel[2 - rank + i], kata_shape_text(weight, weight_text));
        }
        window->kernel[2 - rank + i] = size;
    }
    const char *automatic = attributes->auto_pad == NULL ? NULL : attributes->auto_pad->s;
    *same_upper = automatic != NULL && strcmp(automatic, "SAME_UPPER") == 0;
    *same_lower = automatic != NULL && strcmp(automatic, "SAME_LOWER") == 0;
    bool valid = automatic != NULL && strcmp(automatic, "VALID") == 0;
    if (automatic != NULL && automatic[0] != '\0' && !*same_upper && !*same_lower && !valid &&
        strcmp(automatic, "NOTSET") != 0) {
        return kata_fail(KATA_INVALID,
                         "%s: auto_pad is \"%.40s\", expected NOTSET, SAME_UPPER, SAME_LOWER or "
                         "VALID",
                         op->name, automatic);
    }
    return read_pads(window, op, attributes->pads, *same_upper || *same_lower || valid);
}

kata_status kata__window_of(kata__window *window, const kata_op *op,
                            const kata__window_attributes *attributes, const kata_shape *x,
                            const kata_shape *weight) {
    bool same_upper, same_lower;
    KATA__TRY(kata__window_read(window, &same_upper, &same_lower, op, attributes, x, weight));
    for (int i = 2 - window->rank; i < 2; i++) {
        int64_t in = x->dim[i + x->rank - 2], stride = window->stride[i];
        int64_t extent = (window->kernel[i] - 1) * window->dilation[i] + 1;
        window->in[i] = in;
        if (in < 0) {
            bool same = stride == 1 && (same_upper || same_lower ||
                                        window->pad_begin[i] + window->pad_end[i] + 1 == extent);
            window->out[i] = same ? in : KATA_UNKNOWN_DIM;
            continue;
        }
        if (in > MAXIMUM) {
            return kata_fail(KATA_LIMIT, "%s: a spatial size is %lld, above %lld", op->name,
                             (long long)in, (long long)MAXIMUM);
        }
        if (same_upper || same_lower) {
            int64_t out = (in + stride - 1) / stride;
            int64_t pads = (out - 1) * stride + extent - in;
            pads = pads > 0 ? pads : 0;
            window->pad_begin[i] = same_upper ? pads / 2 : pads - pads / 2;
            window->pad_end[i] = pads - window->pad_begin[i];
            window->out[i] = out;
            continue;
        }
        int64_t room = in + window->pad_begin[i] + window->pad_end[i] - extent;
        if (room < 0) {
            char kernel[48], dilation[48], text[KATA_SHAPE_TEXT_SIZE];
            return kata_fail(
                KATA_SHAPE,
                "%s: the window %s (dilation %s) covers %lld of the %s, but the input %s has %lld "
                "with pads %lld and %lld: make the window smaller or pad more",
                op->name, pair_text(window->rank, window->kernel, kernel),
                pair_text(window->rank, window->dilation, dilation), (long long)extent,
                i == 0 ? "height" : "width", kata_shape_text(x, text), (long long)in,
                (long long)window->pad_begin[i], (long long)window->pad_end[i]);
        }
        int64_t out = room / stride + 1;
        if (attributes->ceil_mode && room % stride != 0 &&
            out * stride < in + window->pad_begin[i]) {
            out++;
        }
        window->out[i] = out;
    }
    return KATA_OK;
}

kata_shape kata__window_shape(const kata__window *window, int64_t n, int64_t c,
                              const int64_t size[2]) {
    return window->rank == 1 ? KATA_SHAPE_OF(n, c, size[1]) : KATA_SHAPE_OF(n, c, size[0], size[1]);
}

kata__conv kata__window_conv(const kata__window *window, int64_t n, int64_t c, int64_t f,
                             int64_t groups) {
    return (kata__conv){.n = n,
                        .c = c,
                        .h = window->in[0],
                        .w = window->in[1],
                        .f = f,
                        .kh = window->kernel[0],
                        .kw = window->kernel[1],
                        .oh = window->out[0],
                        .ow = window->out[1],
                        .stride_h = window->stride[0],
                        .stride_w = window->stride[1],
                        .dilation_h = window->dilation[0],
                        .dilation_w = window->dilation[1],
                        .pad_top = window->pad_begin[0],
                        .pad_left = window->pad_begin[1],
                        .groups = groups};
}

/* How many of `k` taps lie in 0..in-1, summed over `out` windows. */
static double taps(int64_t out, int64_t stride, int64_t pad, int64_t k, int64_t dilation,
                   int64_t in) {
    int64_t sum = 0;
    for (int64_t tap = 0; tap < k; tap++) {
        /* 0 <= o stride - pad + tap dilation < in */
        int64_t shift = pad - tap * dilation;
        int64_t first = shift <= 0 ? 0 : (shift + stride - 1) / stride;
        int64_t behind = in + shift <= 0 ? 0 : (in + shift + stride - 1) / stride;
        behind = behind < out ? behind : out;
        sum += behind > first ? behind - first : 0;
    }
    return (double)sum;
}

double kata__window_taps(const kata__conv *conv) {
    return taps(conv->oh, conv->stride_h, conv->pad_top, conv->kh, conv->dilation_h, conv->h) *
           taps(conv->ow, conv->stride_w, conv->pad_left, conv->kw, conv->dilation_w, conv->w);
}
