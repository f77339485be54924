/* Convolution of NHWC bfloat16 tensors with float32 sums: the twin of conv_nhwc.h. x, y,
 * residual, mask and dy are bfloat16; weights and bias come as float32 and the weight is rounded
 * when it is packed; dw and db are float32. */
#ifndef KATA_KERNEL_CONV_NHWC_BF16_H
#define KATA_KERNEL_CONV_NHWC_BF16_H

#include "kernel/conv_nhwc.h"

typedef struct kata__conv_bf16_store {
    const float *bias;        /* (f) or NULL */
    const uint16_t *residual; /* as in kata__conv_store, as are the others */
    bool relu;
    const uint16_t *mask;
    bool pool;
    uint8_t *index;
} kata__conv_bf16_store;

/* What is convolved: (n,h,w,c), KATA_BF16 or KATA_F32 (rounded on the way: a network's input); or,
 * with an index, the gradient of a 2x2 pooling of it, (n,h/2,w/2,c) in KATA_BF16, spread on the
 * way; then no pad may be negative. */
typedef struct kata__conv_bf16_input {
    kata_dtype dtype;
    const void *x;
    const uint8_t *index; /* or NULL */
} kata__conv_bf16_input;

/* The algorithm that is the fastest for a problem whose x is of `dtype`: by its sizes without n and
 * by how the context multiplies. */
kata__conv_algorithm kata__conv_bf16_algorithm(const kata_context *context, const kata__conv *conv,
                                               kata_dtype dtype, kata__conv_what what);

/* Numbers of 2 bytes that a packed weight takes; DIRECT's is the same on every processor, and
 * context may be NULL. */
int64_t kata__conv_bf16_packed(kata_context *context, const kata__conv *conv,
                               kata__conv_algorithm algorithm);
/* weight and flipped: as kata__conv_nhwc_pack. */
void kata__conv_bf16_pack(kata_context *context, const kata__conv *conv,
                          kata__conv_algorithm algorithm, bool flipped, const float *weight,
                          uint16_t *packed);

kata__workspace_size kata__conv_bf16_workspace(kata_context *context, const kata__conv *conv,
                                               kata__conv_algorithm algorithm, bool pool);
/* The same bits for any number of threads; a sample's do not depend on its batch. Winograd reads no
 * float32. */
void kata__conv_bf16(kata_context *context, const kata__conv *conv, kata__conv_algorithm algorithm,
                     const kata__conv_bf16_input *input, const uint16_t *packed,
                     const kata__conv_bf16_store *store, uint16_t *y,
                     const kata__workspace *workspace);

/* dw (f, c/groups, kh, kw) and, unless NULL, db (f). dy is (n,oh,ow,f), or with index that of the
 * pooled output, (n,oh/2,ow/2,f). input->index is NULL. */
kata__workspace_size kata__conv_bf16_weight_workspace(kata_context *context, const kata__conv *conv,
                                                      kata__conv_algorithm algorithm, bool pooled);
void kata__conv_bf16_weight(kata_context *context, const kata__conv *conv,
                            kata__conv_algorithm algorithm, const kata__conv_bf16_input *input,
                            const uint16_t *dy, const uint8_t *index, float *dw, float *db,
                            const kata__workspace *workspace);

#endif
