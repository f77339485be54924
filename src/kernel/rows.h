/* Operations along rows and channels: softmax, losses, normalisation; float32 and float64.
 * Layout "outer, axis, inner": x is (outer, n_axis, inner) contiguous. */
#ifndef KATA_KERNEL_ROWS_H
#define KATA_KERNEL_ROWS_H

#include <kata/tensor.h>

/* Stable: the maximum of the axis is subtracted first. log: log-softmax. */
void kata__softmax(kata_context *context, kata_dtype dtype, bool log, int64_t outer, int64_t n_axis,
                   int64_t inner, const void *x, void *y);
/* softmax: dx = y (dy - sum(dy y)); log-softmax: dx = dy - exp(y) sum(dy). */
void kata__softmax_gradient(kata_context *context, kata_dtype dtype, bool log, int64_t outer,
                            int64_t n_axis, int64_t inner, const void *y, const void *dy, void *dx);

/* x is (n, c, d): per-channel statistics over n and d, the biased variance. saved_inverse is
 * 1/sqrt(variance + epsilon). */
void kata__batch_norm_train(kata_context *context, kata_dtype dtype, int64_t n, int64_t c,
                            int64_t d, const void *x, const void *scale, const void *bias,
                            double epsilon, void *y, void *saved_mean, void *saved_inverse,
                            void *saved_variance);
void kata__batch_norm_apply(kata_context *context, kata_dtype dtype, int64_t n, int64_t c,
                            int64_t d, const void *x, const void *scale, const void *bias,
                            const void *mean, const void *variance, double epsilon, void *y);
void kata__batch_norm_gradient(kata_context *context, kata_dtype dtype, int64_t n, int64_t c,
                               int64_t d, const void *x, const void *dy, const void *scale,
                               const void *saved_mean, const void *saved_inverse, void *dx,
                               void *dscale, void *dbias);

/* x is (rows, d): each row is normalised; scale and bias have d numbers (bias may be NULL). mean
 * and inverse (rows each) are written. Instance and group normalisation use the same with their
 * layouts. */
void kata__layer_norm(kata_context *context, kata_dtype dtype, int64_t rows, int64_t d,
                      const void *x, const void *scale, const void *bias, double epsilon, void *y,
                      void *mean, void *inverse);
void kata__layer_norm_gradient(kata_context *context, kata_dtype dtype, int64_t rows, int64_t d,
                               const void *x, const void *dy, const void *scale, const void *mean,
                               const void *inverse, void *dx, void *dscale, void *dbias,
                               void *workspace);
size_t kata__layer_norm_gradient_workspace(kata_context *context, kata_dtype dtype, int64_t rows,
                                           int64_t d);

#endif
