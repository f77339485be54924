/* Plain references in double for products, convolutions and pooling, and what their tests share:
 * contexts of every instruction set and several thread counts, buffers of the exact size. */
#ifndef KATA_TESTS_REFERENCE_GEMM_H
#define KATA_TESTS_REFERENCE_GEMM_H

#include <kata/base.h>
#include "kernel/conv.h"
#include "kernel/gemm.h"
#include "kernel/workspace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REFERENCE_LEVELS = 3, REFERENCE_THREADS = 3 };

static kata_context *reference_contexts[REFERENCE_LEVELS][REFERENCE_THREADS];
static const char *const reference_levels[REFERENCE_LEVELS] = {"portable", "avx2", "avx512"};

static inline int reference_setup(void **state) {
    static const int threads[REFERENCE_THREADS] = {1, 2, 5};
    (void)state;
    for (int level = 0; level < REFERENCE_LEVELS; level++) {
        for (int t = 0; t < REFERENCE_THREADS; t++) {
            kata_context *context = NULL;
            const kata_context_options options = {.threads = threads[t],
                                                  .kernels = reference_levels[level]};
            const kata_status status = kata_context_new(&context, &options);
            if (status != KATA_OK ||
                strcmp(kata_context_kernels(context), reference_levels[level]) != 0) {
                if (t == 0) {
                    printf("skipped: this processor has no %s\n", reference_levels[level]);
                }
                kata_context_free(context);
                context = NULL;
            }
            reference_contexts[level][t] = context;
        }
    }
    return 0;
}

static inline int reference_teardown(void **state) {
    (void)state;
    for (int level = 0; level < REFERENCE_LEVELS; level++) {
        for (int t = 0; t < REFERENCE_THREADS; t++) {
            kata_context_free(reference_contexts[level][t]);
        }
    }
    return 0;
}

/* ---- random numbers and buffers ---- */

static uint64_t reference_state = 1;

static uint32_t reference_bits(void) {
    reference_state = reference_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(reference_state >> 33);
}

static inline int64_t reference_range(int64_t low, int64_t high) {
    return low + (int64_t)(reference_bits() % (uint64_t)(high - low + 1));
}

static double reference_uniform(void) {
    return (double)reference_bits() / 1073741824.0 - 1.0; /* [-1, 1) */
}

/* 64-byte aligned, of the exact size, so that the address sanitizer sees one number too many. */
static inline void *reference_buffer(size_t n_bytes) {
    void *block = NULL;
    if (posix_memalign(&block, 64, n_bytes > 0 ? n_bytes : 1) != 0) {
        fail_msg("out of memory for %zu bytes", n_bytes);
    }
    memset(block, 0xA5, n_bytes); /* what is not written is no small number */
    return block;
}

/* A workspace in such a block, which begins with what is shared. */
static inline kata__workspace reference_workspace(const kata_context *context,
                                                  kata__workspace_size size) {
    return kata__workspace_in(reference_buffer(kata__workspace_bytes(context, size)), size);
}

/* `count` random numbers of the type; the values are the same for both types up to rounding. */
static inline void *reference_numbers(kata_dtype dtype, int64_t count) {
    void *block = reference_buffer((size_t)count * kata_dtype_size(dtype));
    for (int64_t i = 0; i < count; i++) {
        kata_store(dtype, block, i, reference_uniform());
    }
    return block;
}

static inline double reference_tolerance(kata_dtype dtype, int64_t terms) {
    return (dtype == KATA_F32 ? 1e-6 : 2e-15) * 4 * sqrt((double)terms + 4);
}

/* Fails unless the arrays agree; `what` names the case. */
static inline void reference_compare(const char *what, kata_dtype dtype, const void *got,
                                     const double *expected, int64_t count, double tolerance) {
    for (int64_t i = 0; i < count; i++) {
        const double g = kata_load(dtype, got, i);
        if (g != expected[i] && !(isnan(g) && isnan(expected[i])) &&
            !(fabs(g - expected[i]) <= tolerance * (1 + fabs(expected[i])))) {
            fail_msg("%s: number %lld is %.17g, expected %.17g", what, (long long)i, g,
                     expected[i]);
        }
    }
}

/* ---- references ---- */

static inline void reference_gemm(kata_dtype dtype, const kata__gemm *g, double *c) {
    const int64_t batch = g->batch > 1 ? g->batch : 1;
    for (int64_t s = 0; s < batch; s++) {
        for (int64_t i = 0; i < g->m; i++) {
            for (int64_t j = 0; j < g->n; j++) {
                double sum = 0;
                for (int64_t p = 0; p < g->k; p++) {
                    const int64_t a = g->transpose_a ? p * g->lda + i : i * g->lda + p;
                    const int64_t b = g->transpose_b ? j * g->ldb + p : p * g->ldb + j;
                    sum += kata_load(dtype, g->a, s * g->stride_a + a) *
                           kata_load(dtype, g->b, s * g->stride_b + b);
                }
                double *to = c + s * g->stride_c + i * g->ldc + j;
                sum *= g->alpha;
                if (g->beta != 0) {
                    sum += g->beta * *to;
                }
                sum += g->bias_column ? kata_load(dtype, g->bias_column, j) : 0;
                sum += g->bias_row ? kata_load(dtype, g->bias_row, i) : 0;
                sum = g->relu && sum < 0 ? 0 : sum;
                const int64_t at = s * g->stride_c + i * g->ldc + j;
                *to = g->mask && kata_load(dtype, g->mask, at) <= 0 ? 0 : sum;
            }
        }
    }
}

/* Calls visit for each (x, weight, y) triple of flat indices that a convolution multiplies. */
typedef void (*reference_visit)(void *argument, int64_t x, int64_t weight, int64_t y);

static inline void reference_conv_walk(const kata__conv *g, reference_visit visit, void *argument) {
    const int64_t cg = g->c / g->groups, fg = g->f / g->groups;
    for (int64_t n = 0; n < g->n; n++) {
        for (int64_t f = 0; f < g->f; f++) {
            for (int64_t oy = 0; oy < g->oh; oy++) {
                for (int64_t ox = 0; ox < g->ow; ox++) {
                    for (int64_t c = 0; c < cg; c++) {
                        for (int64_t i = 0; i < g->kh; i++) {
                            for (int64_t j = 0; j < g->kw; j++) {
                                const int64_t y = oy * g->stride_h + i * g->dilation_h - g->pad_top;
                                const int64_t x =
                                    ox * g->stride_w + j * g->dilation_w - g->pad_left;
                                if (y >= 0 && y < g->h && x >= 0 && x < g->w) {
                                    visit(argument,
                                          ((n * g->c + f / fg * cg + c) * g->h + y) * g->w + x,
                                          ((f * cg + c) * g->kh + i) * g->kw + j,
                                          ((n * g->f + f) * g->oh + oy) * g->ow + ox);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

#endif
