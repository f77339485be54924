/* Convolution (cross-correlation, as ONNX Conv), its two gradients and pooling, float32 and
 * float64. 1-D is h = 1. All tensors are NCHW, contiguous. */
#ifndef KATA_KERNEL_CONV_H
#define KATA_KERNEL_CONV_H

#include <kata/tensor.h>

typedef struct kata__conv {
    int64_t n, c, h, w; /* input (n,c,h,w) */
    int64_t f, kh, kw;  /* weight (f, c/groups, kh, kw) */
    int64_t oh, ow;     /* output (n,f,oh,ow) */
    int64_t stride_h, stride_w, dilation_h, dilation_w;
    int64_t pad_top, pad_left; /* the other pads follow from oh, ow; taps outside read 0 */
    int64_t groups;
} kata__conv;

typedef enum kata__conv_what {
    KATA__CONV_FORWARD,
    KATA__CONV_INPUT,
    KATA__CONV_WEIGHT
} kata__conv_what;

size_t kata__conv_workspace(kata_context *context, kata_dtype dtype, const kata__conv *conv,
                            kata__conv_what what);
/* y = x * weight + bias[f] (bias may be NULL), then max(0, .) if relu. */
void kata__conv_forward(kata_context *context, kata_dtype dtype, const kata__conv *conv,
                        const void *x, const void *weight, const void *bias, bool relu, void *y,
                        void *workspace);
/* dx = gradient by the input (every element written). Also the forward pass of ConvTranspose. */
void kata__conv_input(kata_context *context, kata_dtype dtype, const kata__conv *conv,
                      const void *dy, const void *weight, void *dx, void *workspace);
/* dw = gradient by the weight, summed over the batch in a fixed order. */
void kata__conv_weight(kata_context *context, kata_dtype dtype, const kata__conv *conv,
                       const void *x, const void *dy, void *dw, void *workspace);
/* db[f] = sum over n, oh, ow of dy (n,f,oh*ow). */
void kata__conv_bias(kata_context *context, kata_dtype dtype, const kata__conv *conv,
                     const void *dy, void *db);

/* Pooling windows; f = c, groups unused. */
/* y = max over the window's taps inside the input; index (may be NULL) gets the flat position h*w
 * of the maximum within its plane (the first of equals, in row-major order). */
void kata__max_pool(kata_context *context, kata_dtype dtype, const kata__conv *pool, const void *x,
                    void *y, int32_t *index);
/* dx from dy and index; every element written. */
void kata__max_pool_gradient(kata_context *context, kata_dtype dtype, const kata__conv *pool,
                             const void *dy, const int32_t *index, void *dx);
void kata__average_pool(kata_context *context, kata_dtype dtype, const kata__conv *pool,
                        bool count_include_pad, const void *x, void *y);
void kata__average_pool_gradient(kata_context *context, kata_dtype dtype, const kata__conv *pool,
                                 bool count_include_pad, const void *dy, void *dx);

#endif
