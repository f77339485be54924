/* Bodies of the element-wise functions, reductions and dropout. Included once for each instruction
 * set and type by isa_*.c, with REAL, REAL_BITS and NAME(x); see table_elementwise.h for what each
 * does.
 *
 * Elements go through in strips of a constant length, the last one padded in a buffer: the compiler
 * turns the constant loop into vector code without a scalar remainder, so that an element's bits do
 * not depend on its place. */
#include "kernel/body/vector_math.h"

#ifndef KATA__STRIP
#define KATA__STRIP 64
#define KATA__AHEAD 512 /* elements from a store to the lines asked for */
/* The iterations of the next loop are independent, though y may be x. */
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wpass-failed"
#define KATA__VECTOR_LOOP _Pragma("clang loop vectorize(assume_safety)")
#else
#define KATA__VECTOR_LOOP _Pragma("GCC ivdep")
#endif
/* Reductions: the longest row that is not halved; how results combine. */
#define KATA__ROW_BLOCK 16384
#define KATA__ADD(a, b) ((a) + (b))
/* A NaN on either side is the result. */
#define KATA__GREATER(a, b) ((((a) > (b)) | ((a) != (a))) ? (a) : (b))
#define KATA__LESS(a, b) ((((a) < (b)) | ((a) != (a))) ? (a) : (b))
#define KATA__PLUS(v, sum) ((sum) + (v))
#define KATA__PLUS_SQUARE(v, sum) NAME(fma64)(v, v, sum)
#endif

/* The next strip of x: x itself, or its last elements copied to `buffer`, filled up with ones. */
KATA__LOCAL const REAL *NAME(padded_strip)(const REAL *x, int64_t n, REAL buffer[KATA__STRIP]) {
    if (n >= KATA__STRIP) {
        return x;
    }
    for (int j = 0; j < KATA__STRIP; j++) {
        buffer[j] = 1;
    }
    memcpy(buffer, x, (size_t)n * sizeof(REAL));
    return buffer;
}

/* ---- y = f(x) ---- */

#define KATA__UNARY(name, expression)                                                              \
    static void NAME(name)(int64_t n, const void *x_data, void *y_data, double alpha_value,        \
                           double beta_value) {                                                    \
        const REAL *x_all = x_data;                                                                \
        REAL *y_all = y_data;                                                                      \
        const REAL alpha = (REAL)alpha_value, beta = (REAL)beta_value;                             \
        (void)alpha;                                                                               \
        (void)beta;                                                                                \
        for (int64_t i = 0; i < n; i += KATA__STRIP) {                                             \
            REAL in[KATA__STRIP], out[KATA__STRIP];                                                \
            const REAL *xs = NAME(padded_strip)(x_all + i, n - i, in);                             \
            REAL *ys = n - i < KATA__STRIP ? out : y_all + i;                                      \
            KATA__VECTOR_LOOP                                                                      \
            for (int j = 0; j < KATA__STRIP; j++) {                                                \
                const REAL x = xs[j];                                                              \
                ys[j] = (expression);                                                              \
            }                                                                                      \
            if (n - i < KATA__STRIP) {                                                             \
                memcpy(y_all + i, out, (size_t)(n - i) * sizeof(REAL));                            \
            }                                                                                      \
        }                                                                                          \
    }

/* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) = x sigmoid(2 sqrt(2/pi) (...)). */
KATA__LOCAL REAL NAME(gelu_tanh_one)(REAL x) {
    REAL cube = NAME(fma)(x * x * x, KATA__C(0.044715), x);
    return x * NAME(sigmoid)(KATA__C(1.5957691216057308) * cube);
}

KATA__LOCAL REAL NAME(clamp)(REAL x, REAL low, REAL high) {
    REAL y = x < low ? low : x;
    return y > high ? high : y;
}

KATA__UNARY(unary_relu, x < 0 ? 0 : x)
KATA__UNARY(unary_leaky_relu, x < 0 ? alpha * x : x)
KATA__UNARY(unary_elu, x < 0 ? alpha * NAME(expm1_negative)(x) : x)
KATA__UNARY(unary_selu, beta *(x < 0 ? alpha * NAME(expm1_negative)(x) : x))
KATA__UNARY(unary_gelu,
            KATA__C(0.5) * x * (KATA__C(1.0) + NAME(erf)(x * KATA__C(0.70710678118654752))))
KATA__UNARY(unary_gelu_tanh, NAME(gelu_tanh_one)(x))
KATA__UNARY(unary_hard_sigmoid, NAME(clamp)(NAME(fma)(alpha, x, beta), 0, 1))
KATA__UNARY(unary_hard_swish,
            x *NAME(clamp)(NAME(fma)(x, KATA__C(0.16666666666666667), KATA__C(0.5)), 0, 1))
KATA__UNARY(unary_sigmoid, NAME(sigmoid)(x))
KATA__UNARY(unary_tanh, NAME(tanh)(x))
KATA__UNARY(unary_softplus, NAME(softplus)(x))
KATA__UNARY(unary_erf, NAME(erf)(x))
KATA__UNARY(unary_exp, NAME(exp)(x))
KATA__UNARY(unary_log, NAME(log)(x))
KATA__UNARY(unary_sqrt, NAME(sqrt)(x))
KATA__UNARY(unary_neg, -x)
KATA__UNARY(unary_abs, NAME(abs)(x))
KATA__UNARY(unary_reciprocal, 1 / x)
KATA__UNARY(unary_clip, NAME(clamp)(x, alpha, beta))

static void NAME(unary_copy)(int64_t n, const void *x, void *y, double alpha, double beta) {
    (void)alpha;
    (void)beta;
    if (n > 0 && x != y) {
        memmove(y, x, (size_t)n * sizeof(REAL));
    }
}

/* ---- z = f(a, b) ---- */

#define KATA__BINARY(name, expression)                                                             \
    static void NAME(name)(int64_t n, const void *a_data, int a_step, const void *b_data,          \
                           int b_step, void *z_data) {                                             \
        const REAL *a_all = a_data, *b_all = b_data;                                               \
        REAL *z_all = z_data;                                                                      \
        REAL a_one[KATA__STRIP], b_one[KATA__STRIP];                                               \
        for (int j = 0; j < KATA__STRIP && n > 0; j++) {                                           \
            a_one[j] = a_all[0];                                                                   \
            b_one[j] = b_all[0];                                                                   \
        }                                                                                          \
        for (int64_t i = 0; i < n; i += KATA__STRIP) {                                             \
            REAL a_in[KATA__STRIP], b_in[KATA__STRIP], out[KATA__STRIP];                           \
            const REAL *as = a_step ? NAME(padded_strip)(a_all + i, n - i, a_in) : a_one;          \
            const REAL *bs = b_step ? NAME(padded_strip)(b_all + i, n - i, b_in) : b_one;          \
            REAL *zs = n - i < KATA__STRIP ? out : z_all + i;                                      \
            KATA__VECTOR_LOOP                                                                      \
            for (int j = 0; j < KATA__STRIP; j++) {                                                \
                const REAL a = as[j], b = bs[j];                                                   \
                zs[j] = (expression);                                                              \
            }                                                                                      \
            if (n - i < KATA__STRIP) {                                                             \
                memcpy(z_all + i, out, (size_t)(n - i) * sizeof(REAL));                            \
            }                                                                                      \
        }                                                                                          \
    }

KATA__BINARY(binary_add, a + b)
KATA__BINARY(binary_sub, a - b)
KATA__BINARY(binary_mul, a *b)
KATA__BINARY(binary_div, a / b)
KATA__BINARY(binary_min, KATA__LESS(a, b))
KATA__BINARY(binary_max, KATA__GREATER(a, b))
KATA__BINARY(binary_relu_gradient, b > 0 ? a : 0)
KATA__BINARY(binary_sigmoid_gradient, (a * b) * (1 - b))
KATA__BINARY(binary_tanh_gradient, a *NAME(fma)(-b, b, 1))
KATA__BINARY(binary_pow_any, NAME(pow)(a, b))

/* The exponents that models use are products. */
static void NAME(binary_pow)(int64_t n, const void *a, int a_step, const void *b, int b_step,
                             void *z) {
    const REAL exponent = n > 0 && !b_step ? ((const REAL *)b)[0] : 0;
    if (exponent == 1 && a_step) {
        NAME(unary_copy)(n, a, z, 0, 0);
    } else if (exponent == 2) {
        NAME(binary_mul)(n, a, a_step, a, a_step, z);
    } else if (exponent == -1 && a_step) {
        NAME(unary_reciprocal)(n, a, z, 0, 0);
    } else {
        NAME(binary_pow_any)(n, a, a_step, b, b_step, z);
    }
}

/* ---- reductions ----
 *
 * Sums are kept in double for both types: a float32 sum has the error of one rounding. A row goes
 * into 64 partial sums, then 8 for what is left, then one; rows of more than KATA__ROW_BLOCK are
 * halved first, so that the error grows with log n. A row's order depends on its length alone. */

/* Columns, n <= KATA__TILE. Sums: four rows to a pass over the accumulators. */
#define KATA__SUM_COLUMNS(name, VALUE)                                                             \
    static void NAME(name)(int64_t rows, int64_t stride, int64_t n, const void *x_data,            \
                           double *sum) {                                                          \
        const REAL *x = x_data;                                                                    \
        int64_t i = 0;                                                                             \
        for (; i + 4 <= rows; i += 4) {                                                            \
            const REAL *x0 = x + i * stride, *x1 = x0 + stride;                                    \
            const REAL *x2 = x1 + stride, *x3 = x2 + stride;                                       \
            KATA__VECTOR_LOOP                                                                      \
            for (int64_t j = 0; j < n; j++) {                                                      \
                const double v0 = (double)x0[j], v1 = (double)x1[j];                               \
                const double v2 = (double)x2[j], v3 = (double)x3[j];                               \
                const double low = VALUE(v0, VALUE(v1, 0.0)), high = VALUE(v2, VALUE(v3, 0.0));    \
                sum[j] += low + high;                                                              \
            }                                                                                      \
        }                                                                                          \
        for (; i < rows; i++) {                                                                    \
            const REAL *x0 = x + i * stride;                                                       \
            KATA__VECTOR_LOOP                                                                      \
            for (int64_t j = 0; j < n; j++) {                                                      \
                const double v0 = (double)x0[j];                                                   \
                sum[j] = VALUE(v0, sum[j]);                                                        \
            }                                                                                      \
        }                                                                                          \
    }

#define KATA__EXTREME_COLUMNS(name, COMBINE)                                                       \
    static void NAME(name)(int64_t rows, int64_t stride, int64_t n, const void *x_data,            \
                           double *extreme) {                                                      \
        REAL best[KATA__TILE];                                                                     \
        for (int64_t j = 0; j < n; j++) {                                                          \
            best[j] = (REAL)extreme[j];                                                            \
        }                                                                                          \
        for (int64_t i = 0; i < rows; i++) {                                                       \
            const REAL *x = (const REAL *)x_data + i * stride;                                     \
            KATA__VECTOR_LOOP                                                                      \
            for (int64_t j = 0; j < n; j++) {                                                      \
                const REAL a = best[j], b = x[j];                                                  \
                best[j] = COMBINE(a, b);                                                           \
            }                                                                                      \
        }                                                                                          \
        for (int64_t j = 0; j < n; j++) {                                                          \
            extreme[j] = (double)best[j];                                                          \
        }                                                                                          \
    }

#define KATA__REDUCTION reduce_sum
#define KATA__ACC double
#define KATA__EMPTY 0.0
#define KATA__COMBINE(a, b) KATA__ADD(a, b)
#define KATA__VALUE(v) (v)
#include "kernel/body/reduce_rows.h"

#define KATA__REDUCTION reduce_max
#define KATA__ACC REAL
#define KATA__EMPTY -__builtin_inf()
#define KATA__COMBINE(a, b) KATA__GREATER(a, b)
#define KATA__VALUE(v) (v)
#include "kernel/body/reduce_rows.h"

#define KATA__REDUCTION reduce_min
#define KATA__ACC REAL
#define KATA__EMPTY __builtin_inf()
#define KATA__COMBINE(a, b) KATA__LESS(a, b)
#define KATA__VALUE(v) (v)
#include "kernel/body/reduce_rows.h"

#define KATA__REDUCTION reduce_sum_square
#define KATA__ACC double
#define KATA__EMPTY 0.0
#define KATA__COMBINE(a, b) KATA__ADD(a, b)
#define KATA__VALUE(v) ((v) * (v))
#include "kernel/body/reduce_rows.h"

KATA__SUM_COLUMNS(reduce_sum_columns, KATA__PLUS)
KATA__SUM_COLUMNS(reduce_sum_square_columns, KATA__PLUS_SQUARE)
KATA__EXTREME_COLUMNS(reduce_max_columns, KATA__GREATER)
KATA__EXTREME_COLUMNS(reduce_min_columns, KATA__LESS)

/* ---- bytes to numbers, and the look for infinities ---- */

static void NAME(from_bytes)(int64_t n, const uint8_t *restrict x, double scale,
                             void *restrict y_data) {
    REAL *restrict y = y_data;
    const REAL factor = (REAL)scale;
    int64_t i = 0;
    for (; i + KATA__STRIP <= n; i += KATA__STRIP) {
        for (int j = 0; j < KATA__STRIP; j += 64 / (int)sizeof(REAL)) {
            KATA__PREFETCH_WRITE(y + i + j + KATA__AHEAD);
        }
        for (int j = 0; j < KATA__STRIP; j++) {
            y[i + j] = (REAL)x[i + j] * factor;
        }
    }
    for (; i < n; i++) {
        y[i] = (REAL)x[i] * factor;
    }
}

/* x 0 is 0 for every finite x and a NaN for the others. */
static bool NAME(all_finite)(int64_t n, const void *x_data) {
    const REAL *x = x_data;
    const VEC zero = {0};
    VEC a[8] = {zero, zero, zero, zero, zero, zero, zero, zero};
    int64_t i = 0;
    for (; i + 8 * LANES <= n; i += 8 * LANES) {
        KATA__UNROLL
        for (int k = 0; k < 8; k++) {
            a[k] += NAME(load)(x + i + k * LANES) * zero;
        }
    }
    for (; i + LANES <= n; i += LANES) {
        a[0] += NAME(load)(x + i) * zero;
    }
    a[1] += NAME(load_first)(x + i, (int)(n - i)) * zero;
    return NAME(sum)(((a[0] + a[1]) + (a[2] + a[3])) + ((a[4] + a[5]) + (a[6] + a[7]))) == 0;
}

/* ---- dropout ---- */

static void NAME(dropout)(int64_t n, const void *x_data, const float *u, double ratio, void *y_data,
                          uint8_t *mask) {
    const REAL *x = x_data;
    REAL *y = y_data;
    const REAL factor = ratio < 1.0 ? (REAL)(1.0 / (1.0 - ratio)) : 0;
    /* The numbers are multiples of 2^-24: u >= ratio in double is the same comparison as
     * 2^24 u >= ceil(2^24 ratio) in float. */
    const float limit = (float)(ceil(ratio * 16777216.0) / 16777216.0);
    int64_t i = 0;
    for (; i + KATA__STRIP <= n; i += KATA__STRIP) {
        KATA__VECTOR_LOOP
        for (int j = 0; j < KATA__STRIP; j++) {
            mask[i + j] = u[i + j] >= limit ? 1 : 0;
        }
        KATA__VECTOR_LOOP
        for (int j = 0; j < KATA__STRIP; j++) {
            y[i + j] = u[i + j] >= limit ? x[i + j] * factor : 0;
        }
    }
    for (; i < n; i++) {
        mask[i] = u[i] >= limit ? 1 : 0;
        y[i] = u[i] >= limit ? x[i] * factor : 0;
    }
}

static void NAME(dropout_gradient)(int64_t n, const void *dy_data, const uint8_t *mask,
                                   double ratio, void *dx_data) {
    const REAL *dy = dy_data;
    REAL *dx = dx_data;
    const REAL factor = ratio < 1.0 ? (REAL)(1.0 / (1.0 - ratio)) : 0;
    KATA__VECTOR_LOOP
    for (int64_t i = 0; i < n; i++) {
        dx[i] = mask[i] ? dy[i] * factor : 0;
    }
}
