/* Winograd convolution F(2x2,3x3) and F(4x4,3x3): 3x3, stride and dilation 1, one group, float32,
 * channels last. The functions are those of conv_nhwc.h, for the algorithms
 * KATA__CONV_WINOGRAD_2 and _4.
 *
 * The result differs from the sum in double by no more than about 3e-7 (F(2x2)) or 2e-6 (F(4x4)) of
 * the largest result, for c up to 64; it grows with the root of c (F(4x4), c = 512: 4e-6).
 * The gradient by the weight: 1e-6 and 2e-6; with thousands of tiles and hundreds of channels
 * F(2x2) reaches 1e-5. tests/kernel/test_winograd.c and bench/winograd.c measure them.
 *
 * bfloat16: u = 2^-8. Where products are of pairs, what is transformed is rounded to bfloat16:
 * 1.5 u (F(2x2)) or 5 u (F(4x4)) of the largest result, forward and by the weight, for random
 * numbers (more where sums cancel), beside the rounding of y itself; elsewhere as float32.
 * tests/kernel/test_winograd_bf16.c measures it.
 *
 * A NaN in x, and an infinity but for relu, reaches every result whose window holds it. It may make
 * a NaN of any other of its tile (whose patch is 4x4 or 6x6), of no other tile. */
#ifndef KATA_KERNEL_WINOGRAD_H
#define KATA_KERNEL_WINOGRAD_H

#include "kernel/conv_nhwc_bf16.h"

/* Whether the problem is one that Winograd can do. */
bool kata__winograd_fits(const kata__conv *conv);

/* The algorithm that is the fastest for a problem, by its sizes without n; DIRECT where Winograd
 * does not fit or does not pay. */
kata__conv_algorithm kata__winograd_pays(const kata__conv *conv, kata__conv_what what);

int64_t kata__winograd_packed(kata_context *context, const kata__conv *conv,
                              kata__conv_algorithm algorithm);
void kata__winograd_pack(kata_context *context, const kata__conv *conv,
                         kata__conv_algorithm algorithm, bool flipped, const float *weight,
                         float *packed);
kata__workspace_size kata__winograd_workspace(kata_context *context, const kata__conv *conv,
                                              kata__conv_algorithm algorithm,
                                              const kata__conv_store *store);
void kata__winograd_run(kata_context *context, const kata__conv *conv,
                        kata__conv_algorithm algorithm, const float *x, const float *packed,
                        const kata__conv_store *store, float *y, const kata__workspace *workspace);

kata__workspace_size kata__winograd_weight_workspace(kata_context *context, const kata__conv *conv,
                                                     kata__conv_algorithm algorithm, bool pooled);
void kata__winograd_weight(kata_context *context, const kata__conv *conv,
                           kata__conv_algorithm algorithm, const float *x, const float *dy,
                           const uint8_t *index, float *dw, float *db,
                           const kata__workspace *workspace);

/* The same in bfloat16, of what conv_nhwc_bf16.h describes; x is bfloat16. */
int64_t kata__winograd_bf16_packed(kata_context *context, const kata__conv *conv,
                                   kata__conv_algorithm algorithm);
void kata__winograd_bf16_pack(kata_context *context, const kata__conv *conv,
                              kata__conv_algorithm algorithm, bool flipped, const float *weight,
                              uint16_t *packed);
kata__workspace_size kata__winograd_bf16_workspace(kata_context *context, const kata__conv *conv,
                                                   kata__conv_algorithm algorithm, bool pool);
void kata__winograd_bf16_run(kata_context *context, const kata__conv *conv,
                             kata__conv_algorithm algorithm, const kata__conv_bf16_input *input,
                             const uint16_t *packed, const kata__conv_bf16_store *store,
                             uint16_t *y, const kata__workspace *workspace);

kata__workspace_size kata__winograd_bf16_weight_workspace(kata_context *context,
                                                          const kata__conv *conv,
                                                          kata__conv_algorithm algorithm,
                                                          bool pooled);
void kata__winograd_bf16_weight(kata_context *context, const kata__conv *conv,
                                kata__conv_algorithm algorithm, const uint16_t *x,
                                const uint16_t *dy, const uint8_t *index, float *dw, float *db,
                                const kata__workspace *workspace);

#endif
