/* Plain pooling of channels-last tensors until the vector kernels land. */
#include <string.h>
#include <math.h>
#include "kernel/conv_last.h"
#define WEAK __attribute__((weak))
WEAK void kata__max_pool_last(kata_context *context, const kata__conv *v, const float *x, float *y,
                              uint8_t *index) {
    (void)context;
    for (int64_t o = 0; o < v->n * v->oh * v->ow * v->c; o++) {
        int64_t c = o % v->c, ox = o / v->c % v->ow, oy = o / v->c / v->ow % v->oh,
                n = o / v->c / v->ow / v->oh;
        float best = -INFINITY;
        int where = -1;
        for (int64_t k = 0; k < v->kh * v->kw; k++) {
            int64_t iy = oy * v->stride_h - v->pad_top + k / v->kw * v->dilation_h;
            int64_t ix = ox * v->stride_w - v->pad_left + k % v->kw * v->dilation_w;
            if (iy < 0 || ix < 0 || iy >= v->h || ix >= v->w)
                continue;
            float s = x[((n * v->h + iy) * v->w + ix) * v->c + c];
            if (where < 0 || s > best)
                best = s, where = (int)k;
        }
        y[o] = best;
        if (index)
            index[o] = (uint8_t)where;
    }
}
WEAK void kata__max_pool_last_gradient(kata_context *context, const kata__conv *v, const float *dy,
                                       const uint8_t *index, float *dx) {
    (void)context;
    memset(dx, 0, (size_t)(v->n * v->h * v->w * v->c) * sizeof *dx);
    for (int64_t n = 0; n < v->n; n++)
        for (int64_t oy = 0; oy < v->oh; oy++)
            for (int64_t ox = 0; ox < v->ow; ox++)
                for (int64_t c = 0; c < v->c; c++) {
                    int64_t o = ((n * v->oh + oy) * v->ow + ox) * v->c + c;
                    int64_t k = index[o];
                    if (k == KATA__POOL_NONE)
                        continue;
                    int64_t iy = oy * v->stride_h - v->pad_top + k / v->kw * v->dilation_h;
                    int64_t ix = ox * v->stride_w - v->pad_left + k % v->kw * v->dilation_w;
                    dx[((n * v->h + iy) * v->w + ix) * v->c + c] += dy[o];
                }
}
static int64_t count(const kata__conv *v, int64_t oy, int64_t ox, bool pad) {
    int64_t n = 0;
    for (int64_t k = 0; k < v->kh * v->kw; k++) {
        int64_t iy = oy * v->stride_h - v->pad_top + k / v->kw * v->dilation_h;
        int64_t ix = ox * v->stride_w - v->pad_left + k % v->kw * v->dilation_w;
        n += pad || (iy >= 0 && ix >= 0 && iy < v->h && ix < v->w);
    }
    return n < 1 ? 1 : n;
}
WEAK void kata__average_pool_last(kata_context *context, const kata__conv *v,
                                  bool count_include_pad, const float *x, float *y) {
    (void)context;
    for (int64_t o = 0; o < v->n * v->oh * v->ow * v->c; o++) {
        int64_t c = o % v->c, ox = o / v->c % v->ow, oy = o / v->c / v->ow % v->oh,
                n = o / v->c / v->ow / v->oh;
        float s = 0;
        for (int64_t k = 0; k < v->kh * v->kw; k++) {
            int64_t iy = oy * v->stride_h - v->pad_top + k / v->kw * v->dilation_h;
            int64_t ix = ox * v->stride_w - v->pad_left + k % v->kw * v->dilation_w;
            if (iy >= 0 && ix >= 0 && iy < v->h && ix < v->w)
                s += x[((n * v->h + iy) * v->w + ix) * v->c + c];
        }
        y[o] = s / (float)count(v, oy, ox, count_include_pad);
    }
}
WEAK void kata__average_pool_last_gradient(kata_context *context, const kata__conv *v,
                                           bool count_include_pad, const float *dy, float *dx) {
    (void)context;
    memset(dx, 0, (size_t)(v->n * v->h * v->w * v->c) * sizeof *dx);
    for (int64_t o = 0; o < v->n * v->oh * v->ow * v->c; o++) {
        int64_t c = o % v->c, ox = o / v->c % v->ow, oy = o / v->c / v->ow % v->oh,
                n = o / v->c / v->ow / v->oh;
        for (int64_t k = 0; k < v->kh * v->kw; k++) {
            int64_t iy = oy * v->stride_h - v->pad_top + k / v->kw * v->dilation_h;
            int64_t ix = ox * v->stride_w - v->pad_left + k % v->kw * v->dilation_w;
            if (iy >= 0 && ix >= 0 && iy < v->h && ix < v->w)
                dx[((n * v->h + iy) * v->w + ix) * v->c + c] +=
                    dy[o] / (float)count(v, oy, ox, count_include_pad);
        }
    }
}
