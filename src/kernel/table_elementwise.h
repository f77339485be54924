/* The part of the kernel table that elementwise.c, reduce.c, rows.c and update.c use: one for
 * float32 and one for float64, for each instruction set. The bodies are
 * body/{elementwise,rows,update}.h.
 *
 * The functions here work on one piece on one thread; the drivers cut the pieces. What a function
 * writes for an element depends on that element's inputs alone, never on where a piece begins or
 * ends (sums: on the piece's length, which is a function of the shape). y may be x. */
#ifndef KATA_KERNEL_TABLE_ELEMENTWISE_H
#define KATA_KERNEL_TABLE_ELEMENTWISE_H

#include "kernel/elementwise.h"
#include "kernel/rows.h"
#include "kernel/update.h"

/* Elements of a piece that is worth handing to a thread; and the doubles of partial sums that the
 * drivers keep on the stack. */
enum { KATA__CHUNK = 32768, KATA__PARTIALS = 8192, KATA__TILE = 512 };

/* Batch normalisation of (n, c, d): planes of d from here on are rows, smaller ones are columns. */
enum { KATA__PLANE = 16 };

enum { KATA__REDUCE_COUNT = KATA__REDUCE_SUM_SQUARE + 1 };

/* The scalars of an optimiser step, computed once in double (update.c). */
typedef struct kata__update_scalars {
    double lr;     /* ADAM: with its bias correction */
    double shrink; /* lr weight_decay */
    double momentum;
    double decay1; /* ADAM: 1 - beta1; RMSPROP: decay */
    double decay2; /* ADAM: 1 - beta2; RMSPROP: 1 - decay */
    double epsilon;
} kata__update_scalars;

typedef struct kata__elementwise_table {
    void (*unary[KATA__UNARY_COUNT])(int64_t n, const void *x, void *y, double alpha, double beta);
    /* A step of 0 repeats element 0. */
    void (*binary[KATA__BINARY_COUNT])(int64_t n, const void *a, int a_step, const void *b,
                                       int b_step, void *z);
    /* sum[i] = op(sum[i], x[i stride .. i stride + n - 1]) for i < rows. */
    void (*reduce_rows[KATA__REDUCE_COUNT])(int64_t rows, int64_t stride, int64_t n, const void *x,
                                            double *sum);
    /* sum[j] = op(sum[j], x[i stride + j]) over i < rows, for j < n <= KATA__TILE. */
    void (*reduce_columns[KATA__REDUCE_COUNT])(int64_t rows, int64_t stride, int64_t n,
                                               const void *x, double *sum);
    /* y = scale x: bytes to numbers. */
    void (*from_bytes)(int64_t n, const uint8_t *x, double scale, void *y);
    /* No infinity and no NaN among n numbers. */
    bool (*all_finite)(int64_t n, const void *x);
    /* The uniform numbers of Philox blocks first .. first + n_blocks - 1: four each. */
    void (*uniform)(int64_t n_blocks, uint64_t key, uint64_t step, uint64_t first, float *out);
    /* u: n uniform numbers in [0, 1). */
    void (*dropout)(int64_t n, const void *x, const float *u, double ratio, void *y, uint8_t *mask);
    void (*dropout_gradient)(int64_t n, const void *dy, const uint8_t *mask, double ratio,
                             void *dx);

    /* rows of n, contiguous. */
    void (*softmax_rows)(bool log, int64_t rows, int64_t n, const void *x, void *y);
    void (*softmax_gradient_rows)(bool log, int64_t rows, int64_t n, const void *y, const void *dy,
                                  void *dx);
    /* n elements `inner` apart, in `width` neighbouring places at once. */
    void (*softmax_columns)(bool log, int64_t n, int64_t inner, int64_t width, const void *x,
                            void *y);
    void (*softmax_gradient_columns)(bool log, int64_t n, int64_t inner, int64_t width,
                                     const void *y, const void *dy, void *dx);

    /* Batch normalisation of x (n, c, d), `channels` of them from x on; stride = c d. */
    void (*batch_norm_moments)(int64_t n, int64_t stride, int64_t channels, int64_t d,
                               const void *x, double *mean, double *variance);
    /* y = (x - mean[channel]) factor[channel] + bias[channel]; mean and so on hold doubles. */
    void (*batch_norm_apply)(int64_t n, int64_t stride, int64_t channels, int64_t d, const void *x,
                             const double *mean, const double *factor, const double *bias, void *y);
    /* sum_dy[channel] = sum of dy, sum_dot[channel] = sum of dy (x - mean). */
    void (*batch_norm_dots)(int64_t n, int64_t stride, int64_t channels, int64_t d, const void *x,
                            const void *dy, const double *mean, double *sum_dy, double *sum_dot);
    /* dx = dy k[channel] + (x - mean[channel]) p[channel] + q[channel]. */
    void (*batch_norm_gradient)(int64_t n, int64_t stride, int64_t channels, int64_t d,
                                const void *x, const void *dy, const double *mean, const double *k,
                                const double *p, const double *q, void *dx);

    void (*layer_norm_rows)(int64_t rows, int64_t d, const void *x, const void *scale,
                            const void *bias, double epsilon, void *y, void *mean, void *inverse);
    /* Adds these rows' dscale and dbias to sum_scale and sum_bias (d doubles each). */
    void (*layer_norm_gradient_rows)(int64_t rows, int64_t d, const void *x, const void *dy,
                                     const void *scale, const void *mean, const void *inverse,
                                     void *dx, double *sum_scale, double *sum_bias);

    /* body/move.h */
    void (*transpose)(int64_t rows, int64_t columns, const void *x, int64_t x_step, void *y,
                      int64_t y_step);

    void (*update[KATA__UPDATES])(int64_t n, void *w, const void *g, void *state1, void *state2,
                                  const kata__update_scalars *scalars);
} kata__elementwise_table;

#endif
