/* Element-wise operations in one vectorised pass, float32 and float64. */
#ifndef KATA_KERNEL_ELEMENTWISE_H
#define KATA_KERNEL_ELEMENTWISE_H

#include <kata/tensor.h>

/* y = f(x); alpha and beta are parameters of some. */
typedef enum kata__unary {
    KATA__RELU,
    KATA__LEAKY_RELU,   /* x < 0 ? alpha x : x */
    KATA__ELU,          /* x < 0 ? alpha (e^x - 1) : x */
    KATA__SELU,         /* beta (x < 0 ? alpha (e^x - 1) : x) */
    KATA__GELU,         /* x/2 (1 + erf(x/sqrt 2)) */
    KATA__GELU_TANH,    /* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
    KATA__HARD_SIGMOID, /* clamp(alpha x + beta, 0, 1) */
    KATA__HARD_SWISH,   /* x clamp(x/6 + 1/2, 0, 1) */
    KATA__SIGMOID,
    KATA__TANH,
    KATA__SOFTPLUS, /* log(1 + e^x), without overflow */
    KATA__ERF,
    KATA__EXP,
    KATA__LOG,
    KATA__SQRT,
    KATA__NEG,
    KATA__ABS,
    KATA__RECIPROCAL,
    KATA__CLIP, /* min(max(x, alpha), beta) */
    KATA__COPY,
    KATA__UNARY_COUNT
} kata__unary;
void kata__unary_run(kata_context *context, kata_dtype dtype, kata__unary op, int64_t n,
                     const void *x, void *y, double alpha, double beta);

/* z = f(a, b) with ONNX broadcasting to `shape` (a_stride, b_stride in elements for each axis of
 * `shape`, 0 where broadcast). Neighbouring axes are merged, the inner loop is vectorised. */
typedef enum kata__binary {
    KATA__ADD,
    KATA__SUB,
    KATA__MUL,
    KATA__DIV,
    KATA__POW,
    KATA__MIN,
    KATA__MAX,
    KATA__RELU_GRADIENT,    /* a = dy, b = y: b > 0 ? a : 0 */
    KATA__SIGMOID_GRADIENT, /* a b (1 - b), b = y */
    KATA__TANH_GRADIENT,    /* a (1 - b b), b = y */
    KATA__BINARY_COUNT
} kata__binary;
void kata__binary_run(kata_context *context, kata_dtype dtype, kata__binary op,
                      const kata_shape *shape, const void *a, const int64_t *a_stride,
                      const void *b, const int64_t *b_stride, void *z);

/* Sum over axes: x of `shape` (contiguous), axis i is summed where reduce[i]; y has the kept axes
 * in order. The order of additions is a function of the shape alone. */
typedef enum kata__reduce {
    KATA__REDUCE_SUM,
    KATA__REDUCE_MAX,
    KATA__REDUCE_MIN,
    KATA__REDUCE_SUM_SQUARE
} kata__reduce;
void kata__reduce_run(kata_context *context, kata_dtype dtype, kata__reduce op,
                      const kata_shape *shape, const bool *reduce, const void *x, void *y);

/* y = scale x for n bytes, on the calling thread. */
void kata__bytes_scaled(kata_context *context, kata_dtype dtype, int64_t n, const uint8_t *x,
                        double scale, void *y);
/* y = scale x for n numbers, on the calling thread. */
void kata__scaled(kata_context *context, kata_dtype dtype, int64_t n, const void *x, double scale,
                  void *y);
/* No infinity and no NaN among n numbers of float32 or float64. */
bool kata__all_finite(kata_context *context, kata_dtype dtype, int64_t n, const void *x);

/* Inverted dropout: mask[i] = uniform(seed, stream, step, i) >= ratio ? 1 : 0 (uint8),
 * y = x mask / (1 - ratio). ratio 1: all zero. */
void kata__dropout(kata_context *context, kata_dtype dtype, int64_t n, const void *x, double ratio,
                   uint64_t seed, uint32_t stream, uint64_t step, void *y, uint8_t *mask);
/* dx = dy mask / (1 - ratio). */
void kata__dropout_gradient(kata_context *context, kata_dtype dtype, int64_t n, const void *dy,
                            const uint8_t *mask, double ratio, void *dx);

#endif
