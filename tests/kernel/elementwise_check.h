/* What the tests of element-wise functions, reductions, rows and updates share: a context for each
 * instruction set and number of threads, and a check that runs a case on all of them.
 *
 * A case is a function that fills an output. The output must be within a tolerance of the expected
 * doubles (the reference is a plain loop in the test), must not touch the elements around it, and
 * must be the same bits for any number of threads. */
#ifndef KATA_TESTS_KERNEL_ELEMENTWISE_CHECK_H
#define KATA_TESTS_KERNEL_ELEMENTWISE_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <kata/tensor.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHECK_LEVELS = 3, CHECK_THREADS = 3 };
static const char *const check_level_name[CHECK_LEVELS] = {"portable", "avx2", "avx512"};
static const int check_threads[CHECK_THREADS] = {1, 2, 5};
static kata_context *check_context[CHECK_LEVELS][CHECK_THREADS]; /* NULL: the processor lacks it */

static inline int check_setup(void **state) {
    (void)state;
    for (int level = 0; level < CHECK_LEVELS; level++) {
        for (int i = 0; i < CHECK_THREADS; i++) {
            kata_context_options options = {.threads = check_threads[i],
                                            .kernels = check_level_name[level]};
            kata_context *context = NULL;
            if (kata_context_new(&context, &options) != KATA_OK) {
                printf("%s: %s\n", check_level_name[level], kata_error_message());
                return -1;
            }
            if (strcmp(kata_context_kernels(context), check_level_name[level]) != 0) {
                if (i == 0) {
                    printf("SKIPPED: this processor has no %s\n", check_level_name[level]);
                }
                kata_context_free(context);
                context = NULL;
            }
            check_context[level][i] = context;
        }
    }
    return 0;
}

static inline int check_teardown(void **state) {
    (void)state;
    for (int level = 0; level < CHECK_LEVELS; level++) {
        for (int i = 0; i < CHECK_THREADS; i++) {
            kata_context_free(check_context[level][i]);
        }
    }
    return 0;
}

static inline void *check_alloc(size_t n_bytes) {
    void *block = malloc(n_bytes + 64);
    assert_non_null(block);
    memset(block, 0, n_bytes + 64);
    return block;
}

/* n numbers in [low, high), as dtype. */
static inline void *check_random(kata_dtype dtype, int64_t n, double low, double high,
                                 uint32_t stream) {
    void *data = check_alloc((size_t)n * kata_dtype_size(dtype));
    for (int64_t i = 0; i < n; i++) {
        const double u = kata_random_uniform(7, stream, 0, (uint64_t)i);
        kata_store(dtype, data, i, low + (high - low) * u);
    }
    return data;
}

static inline double *check_doubles(int64_t n) {
    return check_alloc((size_t)n * sizeof(double));
}

typedef struct check_tolerance {
    double absolute, relative; /* for float32; float64 takes 2^-29 of them, but at least 4e-16 */
} check_tolerance;

static inline void check_close(const char *what, const char *level, kata_dtype dtype, int64_t i,
                               double got, double expected, check_tolerance tolerance) {
    double absolute = tolerance.absolute, relative = tolerance.relative;
    if (dtype == KATA_F64) {
        absolute *= 0x1p-29;
        relative = fmax(relative * 0x1p-29, relative > 0 ? 1e-15 : 0);
    } else {
        expected = (double)(float)expected;
    }
    if (isnan(expected) || isinf(expected)) {
        if (isnan(expected) ? isnan(got) : got == expected) {
            return;
        }
    } else if (fabs(got - expected) <= absolute + relative * fabs(expected)) {
        return;
    }
    fail_msg("%s (%s, %s): element %lld is %.17g, expected %.17g", what, level,
             kata_dtype_name(dtype), (long long)i, got, expected);
}

typedef void (*check_function)(kata_context *context, kata_dtype dtype, const void *argument,
                               void *out);

/* `initial` (n of dtype, may be NULL) is what `out` holds before. */
static inline void check_run(const char *what, kata_dtype dtype, int64_t n, check_function function,
                             const void *argument, const void *initial, const double *expected,
                             check_tolerance tolerance) {
    enum { GUARD = 32 };
    const size_t size = kata_dtype_size(dtype), n_bytes = (size_t)n * size;
    char *out = check_alloc(n_bytes + 2 * GUARD), *first = check_alloc(n_bytes);
    for (int level = 0; level < CHECK_LEVELS; level++) {
        for (int t = 0; t < CHECK_THREADS; t++) {
            if (check_context[level][t] == NULL) {
                continue;
            }
            memset(out, 0xa5, n_bytes + 2 * GUARD);
            if (initial != NULL) {
                memcpy(out + GUARD, initial, n_bytes);
            }
            function(check_context[level][t], dtype, argument, out + GUARD);
            for (int i = 0; i < GUARD; i++) {
                if ((unsigned char)out[i] != 0xa5 ||
                    (unsigned char)out[n_bytes + GUARD + (size_t)i] != 0xa5) {
                    fail_msg("%s (%s): writes beside its output", what, check_level_name[level]);
                }
            }
            if (t > 0) {
                if (memcmp(first, out + GUARD, n_bytes) != 0) {
                    fail_msg("%s (%s, %s): other bits with %d threads", what,
                             check_level_name[level], kata_dtype_name(dtype), check_threads[t]);
                }
                continue;
            }
            memcpy(first, out + GUARD, n_bytes);
            for (int64_t i = 0; i < n; i++) {
                check_close(what, check_level_name[level], dtype, i, kata_load(dtype, first, i),
                            expected[i], tolerance);
            }
        }
    }
    free(out);
    free(first);
}

#endif
