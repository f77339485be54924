/* What the tests of bfloat16 kernels share: contexts of every way to multiply, each with several
 * thread counts, and comparison with sums in double. */
#ifndef KATA_TESTS_REFERENCE_BFLOAT16_H
#define KATA_TESTS_REFERENCE_BFLOAT16_H

#include "kernel/reference_gemm.h"

#include "kernel/conv.h"

enum { BFLOAT16_WAYS = 5, BFLOAT16_THREADS = 3 };

static kata_context *bfloat16_contexts[BFLOAT16_WAYS][BFLOAT16_THREADS];
static const char *const bfloat16_ways[BFLOAT16_WAYS][2] = {{"portable", "plain"},
                                                            {"avx2", "plain"},
                                                            {"avx512", "plain"},
                                                            {"avx512", "avx512_bf16"},
                                                            {"avx512", "amx"}};

static void bfloat16_quiet(void *user, kata_log_level level, const char *line) {
    (void)user;
    (void)level;
    (void)line;
}

static int bfloat16_setup(void **state) {
    static const int threads[BFLOAT16_THREADS] = {1, 2, 5};
    (void)state;
    for (int way = 0; way < BFLOAT16_WAYS; way++) {
        for (int t = 0; t < BFLOAT16_THREADS; t++) {
            kata_context *context = NULL;
            const kata_context_options options = {.threads = threads[t],
                                                  .kernels = bfloat16_ways[way][0],
                                                  .bfloat16 = bfloat16_ways[way][1],
                                                  .log = bfloat16_quiet};
            if (kata_context_new(&context, &options) != KATA_OK ||
                strcmp(kata_context_kernels(context), bfloat16_ways[way][0]) != 0 ||
                strcmp(kata_context_bfloat16(context), bfloat16_ways[way][1]) != 0) {
                if (t == 0) {
                    printf("skipped: this processor has no %s with %s\n", bfloat16_ways[way][0],
                           bfloat16_ways[way][1]);
                }
                kata_context_free(context);
                context = NULL;
            }
            bfloat16_contexts[way][t] = context;
        }
    }
    return 0;
}

static int bfloat16_teardown(void **state) {
    (void)state;
    for (int way = 0; way < BFLOAT16_WAYS; way++) {
        for (int t = 0; t < BFLOAT16_THREADS; t++) {
            kata_context_free(bfloat16_contexts[way][t]);
        }
    }
    return 0;
}

/* An undilated convolution at stride 1 with a square kernel. */
static inline kata__conv bfloat16_layer(int64_t n, int64_t c, int64_t h, int64_t w, int64_t f,
                                        int64_t kernel, int64_t pad_before, int64_t pad_behind) {
    return (kata__conv){.n = n,
                        .c = c,
                        .h = h,
                        .w = w,
                        .f = f,
                        .kh = kernel,
                        .kw = kernel,
                        .oh = h + pad_before + pad_behind - kernel + 1,
                        .ow = w + pad_before + pad_behind - kernel + 1,
                        .stride_h = 1,
                        .stride_w = 1,
                        .dilation_h = 1,
                        .dilation_w = 1,
                        .pad_top = pad_before,
                        .pad_left = pad_before,
                        .groups = 1};
}

static inline double bfloat16_largest(const double *x, int64_t count) {
    double most = 0;
    for (int64_t i = 0; i < count; i++) {
        most = fmax(most, fabs(x[i]));
    }
    return most;
}

/* The relative error of a sum of `terms` exact products in float32, and of rounding it. */
static inline double bfloat16_tolerance(kata_dtype dtype, int64_t terms) {
    return reference_tolerance(KATA_F32, terms) + (dtype == KATA_BF16 ? 1.0 / 256 : 0);
}

/* Winograd's largest error relative to the largest result, beyond y's last rounding. What is
 * transformed is rounded to bfloat16, u = 2^-8, where products are of pairs; transforming back
 * enlarges that. Where they are of float32 numbers, y differs by the rounding of the plain loops'
 * weight, and dw by float32's. Measured (test_winograd_bf16.c) over 16 to 128 channels, numbers of
 * either sign and of one, in 8 draws:
 *
 *                     F(2x2): y       dw         F(4x4): y       dw
 *   pairs                     1.3 u   1.5 u              5.1 u   4.9 u
 *   float32 numbers           0.5 u   4e-7               0.5 u   1.1e-6
 *
 * The bounds are twice that, rounded up. */
static inline double bfloat16_winograd_bound(int way, int algorithm, bool by_weight) {
    const double u = 1.0 / 256;
    if (strcmp(bfloat16_ways[way][1], "plain") != 0) {
        return algorithm == 1 ? 3 * u : 10 * u;
    }
    return !by_weight ? u : algorithm == 1 ? 1e-6 : 3e-6;
}

#endif
