/* Convolution of NHWC float32 tensors, (N,H,W,C): what the layout pass makes of Conv, its
 * gradients and what follows them. Vectors go along the channels, so that bias, activation and
 * pooling happen in registers, before anything is stored.
 *
 * A kata__conv describes the problem as in conv.h, with x (n,h,w,c) and y (n,oh,ow,f). Weights keep
 * ONNX's order (f, c/groups, kh, kw) in the model and are packed by kata__conv_nhwc_pack into what
 * the algorithm reads; for prediction once, in training once a step.
 *
 * The gradient by the input, at stride 1, is the same convolution again: of dy, with the weight
 * `flipped` (taps reversed, input and output channels exchanged) and pads kernel - 1 - pad. */
#ifndef KATA_KERNEL_CONV_NHWC_H
#define KATA_KERNEL_CONV_NHWC_H

#include "kernel/conv.h"
#include "kernel/workspace.h"

typedef enum kata__conv_algorithm {
    KATA__CONV_DIRECT,
    KATA__CONV_WINOGRAD_2, /* F(2x2, 3x3) */
    KATA__CONV_WINOGRAD_4  /* F(4x4, 3x3) */
} kata__conv_algorithm;

/* What happens to the sums before they are stored, in this order. */
typedef struct kata__conv_store {
    const float *bias;     /* (f) is added; or NULL */
    const float *residual; /* (n,oh,ow,f) is added; or NULL */
    bool relu;             /* max(0, .) */
    const float *mask; /* (n,oh,ow,f): 0 where mask <= 0, the gradient of a relu whose output was
                          mask; or NULL */
    bool pool;         /* max pooling, window 2x2, stride 2: y is (n,oh/2,ow/2,f), rest dropped */
    bool nchw; /* DIRECT alone: y is (n,f,oh,ow), pooled (n,f,oh/2,ow/2), transposed image by image
                   while it is in the cache; index stays NHWC */
    uint8_t *index; /* with pool, shape of y: the place of the maximum in its window, 2 row +
                       column, the first of equals; KATA__POOL_NONE where relu made it 0. Or NULL */
} kata__conv_store;

#define KATA__POOL_NONE 255 /* no element of the window gets a gradient */

/* The algorithm for a problem: by its sizes alone, not by n, so that a sample's result does not
 * depend on its batch. */
kata__conv_algorithm kata__conv_nhwc_algorithm(const kata__conv *conv);

/* Numbers that a packed weight takes. */
int64_t kata__conv_nhwc_packed(kata_context *context, const kata__conv *conv,
                               kata__conv_algorithm algorithm);
/* conv is the problem that the packed weight is for. weight: (f, c/groups, kh, kw); if flipped,
 * that of the convolution whose gradient this is: (c, f/groups, kh, kw). */
void kata__conv_nhwc_pack(kata_context *context, const kata__conv *conv,
                          kata__conv_algorithm algorithm, bool flipped, const float *weight,
                          float *packed);

kata__workspace_size kata__conv_nhwc_workspace(kata_context *context, const kata__conv *conv,
                                               kata__conv_algorithm algorithm,
                                               const kata__conv_store *store);
void kata__conv_nhwc(kata_context *context, const kata__conv *conv, kata__conv_algorithm algorithm,
                     const float *x, const float *packed, const kata__conv_store *store, float *y,
                     const kata__workspace *workspace);

/* dw (f, c/groups, kh, kw) and, unless NULL, db (f): sums over the batch in a fixed order. dy is
 * (n,oh,ow,f); with index (see kata__conv_store) it is the gradient of the pooled output,
 * (n,oh/2,ow/2,f), and is spread on the way. nchw: dy, not index, is (n,f,oh,ow), or pooled
 * (n,f,oh/2,ow/2); DIRECT alone. */
kata__workspace_size kata__conv_nhwc_weight_workspace(kata_context *context, const kata__conv *conv,
                                                      kata__conv_algorithm algorithm, bool pooled,
                                                      bool nchw);
void kata__conv_nhwc_weight(kata_context *context, const kata__conv *conv,
                            kata__conv_algorithm algorithm, const float *x, const float *dy,
                            const uint8_t *index, bool nchw, float *dw, float *db,
                            const kata__workspace *workspace);

/* Pooling of NHWC tensors; pool->f = pool->c. index, shape of y, may be NULL: the place of
 * the maximum in its window, row * kw + column (windows of at most 255 places), the first of
 * equals.
 */
void kata__max_pool_nhwc(kata_context *context, const kata__conv *pool, const float *x, float *y,
                         uint8_t *index);
/* dx from dy and an index of either kind; every element is written. */
void kata__max_pool_nhwc_gradient(kata_context *context, const kata__conv *pool, const float *dy,
                                  const uint8_t *index, float *dx);
void kata__average_pool_nhwc(kata_context *context, const kata__conv *pool, bool count_include_pad,
                             const float *x, float *y);
void kata__average_pool_nhwc_gradient(kata_context *context, const kata__conv *pool,
                                      bool count_include_pad, const float *dy, float *dx);

#endif
