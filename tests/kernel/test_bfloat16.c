/* bfloat16 conversion and products against plain loops in double, for every way to multiply, and
 * the same bits for every number of threads. */
#include "kernel/bfloat16.h"
#include "kernel/reference_bfloat16.h"

/* Every pattern of 16 bits comes back; floats round as kata_f32_to_bf16 says. */
static void test_conversion(void **state) {
    (void)state;
    enum { COUNT = 200003 };
    uint16_t *half = reference_buffer(COUNT * sizeof *half);
    float *full = reference_buffer(COUNT * sizeof *full), *x = reference_buffer(COUNT * sizeof *x);
    for (int64_t i = 0; i < COUNT; i++) {
        uint32_t bits = reference_bits() << 1 ^ reference_bits();
        /* Ties, numbers next to them, infinities, NaN; no subnormal numbers, which the processors'
         * own conversion takes as 0. */
        bits = i % 3 == 0 ? (bits & 0xFFFF0000u) | 0x8000u : bits;
        bits = i % 7 == 0 ? (bits & 0xFFFF0000u) | 0x8001u : bits;
        bits = i % 1001 == 0 ? 0x7F800000u : i % 1003 == 0 ? 0xFFC12345u : bits;
        bits = (bits & 0x7F800000u) == 0 ? bits & 0x80000000u : bits;
        memcpy(&x[i], &bits, sizeof bits);
    }
    for (int way = 0; way < BFLOAT16_WAYS; way++) {
        for (int t = 0; t < BFLOAT16_THREADS; t++) {
            kata_context *context = bfloat16_contexts[way][t];
            if (context == NULL) {
                continue;
            }
            kata__bfloat16_from_float(context, COUNT, x, half);
            kata__bfloat16_to_float(context, COUNT, half, full);
            for (int64_t i = 0; i < COUNT; i++) {
                const uint16_t expected = kata_f32_to_bf16(x[i]);
                if (half[i] != expected) {
                    fail_msg("%s: %.9g gives %04x, expected %04x", bfloat16_ways[way][1],
                             (double)x[i], half[i], expected);
                }
                const float back = kata_bf16_to_f32(half[i]);
                assert_memory_equal(&full[i], &back, sizeof back);
            }
        }
    }
    free(half);
    free(full);
    free(x);
}

typedef struct product {
    int64_t m, n, k;
    bool transpose_a, transpose_b, relu, with_bias, with_mask;
    kata_dtype b_dtype, c_dtype;
} product;

static void check(const product *p) {
    const int64_t lda = (p->transpose_a ? p->m : p->k) + 3;
    const int64_t ldb = (p->transpose_b ? p->k : p->n) + 2, ldc = p->n + 1;
    const int64_t a_count = (p->transpose_a ? p->k : p->m) * lda;
    const int64_t b_count = (p->transpose_b ? p->n : p->k) * ldb;
    void *a = reference_numbers(KATA_BF16, a_count), *b = reference_numbers(p->b_dtype, b_count);
    float *bias = reference_numbers(KATA_F32, p->n);
    uint16_t *mask = reference_numbers(KATA_BF16, p->m * ldc);
    double *expected = calloc((size_t)(p->m * ldc) + 1, sizeof *expected);
    assert_non_null(expected);
    for (int64_t i = 0; i < p->m; i++) {
        for (int64_t j = 0; j < p->n; j++) {
            double sum = p->with_bias ? (double)bias[j] : 0;
            for (int64_t l = 0; l < p->k; l++) {
                const double bv =
                    kata_load(p->b_dtype, b, p->transpose_b ? j * ldb + l : l * ldb + j);
                sum += kata_load(KATA_BF16, a, p->transpose_a ? l * lda + i : i * lda + l) *
                       (double)kata_bf16_to_f32(kata_f32_to_bf16((float)bv));
            }
            sum = p->relu && sum < 0 ? 0 : sum;
            expected[i * ldc + j] =
                p->with_mask && kata_load(KATA_BF16, mask, i * ldc + j) <= 0 ? 0 : sum;
        }
    }
    for (int way = 0; way < BFLOAT16_WAYS; way++) {
        void *first = NULL;
        const size_t n_bytes = (size_t)(p->m * ldc) * kata_dtype_size(p->c_dtype);
        for (int t = 0; t < BFLOAT16_THREADS; t++) {
            kata_context *context = bfloat16_contexts[way][t];
            if (context == NULL) {
                continue;
            }
            uint16_t *packed = reference_buffer((size_t)kata__bfloat16_packed(p->k, p->n) * 2);
            void *scratch = reference_buffer(
                kata__bfloat16_pack_workspace(context, p->k, p->n, p->transpose_b));
            kata__bfloat16_pack(context, p->k, p->n, p->transpose_b, p->b_dtype, b, ldb, packed,
                                scratch);
            free(scratch);
            void *c = reference_buffer(n_bytes);
            const kata__bfloat16_gemm g = {.m = p->m,
                                           .n = p->n,
                                           .k = p->k,
                                           .transpose_a = p->transpose_a,
                                           .a = a,
                                           .lda = lda,
                                           .packed_b = packed,
                                           .c_dtype = p->c_dtype,
                                           .c = c,
                                           .ldc = ldc,
                                           .bias = p->with_bias ? bias : NULL,
                                           .relu = p->relu,
                                           .mask = p->with_mask ? mask : NULL};
            void *workspace = reference_buffer(kata__bfloat16_gemm_workspace(context, &g));
            kata__bfloat16_gemm_run(context, &g, workspace);
            free(workspace);
            free(packed);
            if (first != NULL) {
                assert_memory_equal(c, first, n_bytes);
                free(c);
                continue;
            }
            first = c;
            char what[200];
            snprintf(what, sizeof what, "%s %s m %lld n %lld k %lld transposed %d %d",
                     bfloat16_ways[way][0], bfloat16_ways[way][1], (long long)p->m, (long long)p->n,
                     (long long)p->k, p->transpose_a, p->transpose_b);
            for (int64_t i = 0; i < p->m; i++) {
                reference_compare(what, p->c_dtype,
                                  (char *)c + (size_t)(i * ldc) * kata_dtype_size(p->c_dtype),
                                  expected + i * ldc, p->n, bfloat16_tolerance(p->c_dtype, p->k));
            }
        }
        free(first);
    }
    free(a);
    free(b);
    free(bias);
    free(mask);
    free(expected);
}

static void test_products(void **state) {
    (void)state;
    for (int round = 0; round < 150; round++) {
        product p = {.m = reference_range(1, reference_bits() % 4 ? 40 : 150),
                     .n = reference_range(1, reference_bits() % 4 ? 40 : 200),
                     .k = reference_range(1, reference_bits() % 4 ? 70 : 300),
                     .transpose_a = reference_bits() % 2,
                     .transpose_b = reference_bits() % 2,
                     .relu = reference_bits() % 2,
                     .with_bias = reference_bits() % 2,
                     .b_dtype = reference_bits() % 2 ? KATA_F32 : KATA_BF16,
                     .c_dtype = reference_bits() % 2 ? KATA_F32 : KATA_BF16};
        p.with_mask = p.c_dtype == KATA_BF16 && reference_bits() % 2;
        check(&p);
    }
    const product one_row = {.m = 1, .n = 100, .k = 1000, .c_dtype = KATA_F32, .b_dtype = KATA_F32};
    check(&one_row);
    const product no_terms = {
        .m = 3, .n = 5, .k = 0, .with_bias = true, .c_dtype = KATA_F32, .b_dtype = KATA_F32};
    check(&no_terms);
}

/* An infinity or a NaN reaches the sums of its own row and column and no others. */
static void test_infinities(void **state) {
    (void)state;
    enum { M = 37, N = 35, K = 46 };
    for (int way = 0; way < BFLOAT16_WAYS; way++) {
        kata_context *context = bfloat16_contexts[way][0];
        if (context == NULL) {
            continue;
        }
        uint16_t *a = reference_numbers(KATA_BF16, M * K), *b = reference_numbers(KATA_BF16, K * N);
        a[5 * K + 3] = kata_f32_to_bf16(INFINITY);
        a[36 * K + 45] = kata_f32_to_bf16(NAN);
        b[7 * N + 34] = kata_f32_to_bf16(INFINITY);
        uint16_t *packed = reference_buffer((size_t)kata__bfloat16_packed(K, N) * 2);
        kata__bfloat16_pack(context, K, N, false, KATA_BF16, b, N, packed, NULL);
        float *c = reference_buffer(M * N * sizeof *c);
        const kata__bfloat16_gemm g = {.m = M,
                                       .n = N,
                                       .k = K,
                                       .a = a,
                                       .lda = K,
                                       .packed_b = packed,
                                       .c_dtype = KATA_F32,
                                       .c = c,
                                       .ldc = N};
        void *workspace = reference_buffer(kata__bfloat16_gemm_workspace(context, &g));
        kata__bfloat16_gemm_run(context, &g, workspace);
        for (int64_t i = 0; i < M; i++) {
            for (int64_t j = 0; j < N; j++) {
                assert_int_equal(isfinite(c[i * N + j]) != 0, i != 5 && i != 36 && j != 34);
            }
        }
        free(workspace);
        free(packed);
        free(a);
        free(b);
        free(c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conversion),
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_infinities),
    };
    return cmocka_run_group_tests_name("kernel/bfloat16", tests, bfloat16_setup, bfloat16_teardown);
}
