/* Products against the triple loop, for every instruction set and type, and the same bits for every
 * number of threads. */
#include "kernel/reference_gemm.h"

#include "base/context.h"

struct shape {
    int64_t m, n, k;
    bool transpose_a, transpose_b;
    double alpha, beta;
    bool bias_column, bias_row, relu, mask;
    int64_t batch, pad; /* pad: numbers between the rows */
    bool share_a, share_b;
};

/* Where the parts of a product that is taken are put together: C without gaps. */
struct taken {
    char *c;
    size_t size; /* of a number */
};

static void take(void *taker, int64_t at, int64_t step, int64_t m, int64_t n, const void *c) {
    const struct taken *t = taker;
    for (int64_t i = 0; i < m; i++) {
        memcpy(t->c + (size_t)(at + i * step) * t->size,
               (const char *)c + (size_t)(i * n) * t->size, (size_t)n * t->size);
    }
}

/* A product that is taken has the bits of one that is stored. */
static void check_taken(kata_context *context, kata_dtype dtype, const kata__gemm *stored,
                        const void *c) {
    const size_t size = kata_dtype_size(dtype), row = (size_t)stored->n * size;
    struct taken taken = {.c = reference_buffer((size_t)stored->m * row), .size = size};
    kata__gemm g = *stored;
    g.c = NULL;
    g.take = take;
    g.taker = &taken;
    const kata__workspace workspace =
        reference_workspace(context, kata__gemm_workspace(context, dtype, &g));
    kata__gemm_run(context, dtype, &g, &workspace);
    for (int64_t i = 0; i < g.m; i++) {
        assert_memory_equal(taken.c + (size_t)i * row, (const char *)c + (size_t)(i * g.ldc) * size,
                            row);
    }
    free(workspace.shared);
    free(taken.c);
}

static void check(kata_dtype dtype, const struct shape *s) {
    const int64_t batch = s->batch > 1 ? s->batch : 1;
    kata__gemm g = {.m = s->m,
                    .n = s->n,
                    .k = s->k,
                    .transpose_a = s->transpose_a,
                    .transpose_b = s->transpose_b,
                    .alpha = s->alpha,
                    .beta = s->beta,
                    .relu = s->relu,
                    .batch = s->batch};
    g.lda = (s->transpose_a ? s->m : s->k) + s->pad;
    g.ldb = (s->transpose_b ? s->k : s->n) + s->pad;
    g.ldc = s->n + s->pad;
    const int64_t a_size = (s->transpose_a ? s->k : s->m) * g.lda;
    const int64_t b_size = (s->transpose_b ? s->n : s->k) * g.ldb, c_size = s->m * g.ldc;
    g.stride_a = s->share_a ? 0 : a_size;
    g.stride_b = s->share_b ? 0 : b_size;
    g.stride_c = c_size;
    void *a = reference_numbers(dtype, a_size * (s->share_a ? 1 : batch));
    void *b = reference_numbers(dtype, b_size * (s->share_b ? 1 : batch));
    void *bias_column = reference_numbers(dtype, s->n), *bias_row = reference_numbers(dtype, s->m);
    void *c0 = reference_numbers(dtype, c_size * batch);
    if (s->beta == 0) { /* C need not hold numbers then: but what lies between the rows stays */
        for (int64_t i = 0; i < batch * s->m; i++) {
            for (int64_t j = 0; j < s->n; j++) {
                kata_store(dtype, c0, i * g.ldc + j, NAN);
            }
        }
    }
    g.a = a;
    g.b = b;
    g.bias_column = s->bias_column ? bias_column : NULL;
    g.bias_row = s->bias_row ? bias_row : NULL;
    void *mask = reference_numbers(dtype, c_size * batch); /* half of them below 0, some 0 */
    for (int64_t i = 0; i < c_size * batch; i += 3) {
        kata_store(dtype, mask, i, 0);
    }
    g.mask = s->mask ? mask : NULL;
    const size_t c_bytes = (size_t)(c_size * batch) * kata_dtype_size(dtype);
    double *expected = reference_buffer((size_t)(c_size * batch) * sizeof(double));
    for (int64_t i = 0; i < c_size * batch; i++) {
        expected[i] = kata_load(dtype, c0, i);
    }
    reference_gemm(dtype, &g, expected);

    for (int level = 0; level < REFERENCE_LEVELS; level++) {
        void *first = NULL;
        for (int t = 0; t < REFERENCE_THREADS; t++) {
            kata_context *context = reference_contexts[level][t];
            if (!context) {
                continue;
            }
            void *c = reference_buffer(c_bytes);
            const kata__workspace workspace =
                reference_workspace(context, kata__gemm_workspace(context, dtype, &g));
            memcpy(c, c0, c_bytes);
            g.c = c;
            kata__gemm_run(context, dtype, &g, &workspace);
            free(workspace.shared);
            if (batch == 1 && s->beta == 0 && !s->mask) {
                check_taken(context, dtype, &g, c);
            }
            if (first) {
                assert_memory_equal(c, first, c_bytes);
                free(c);
                continue;
            }
            first = c;
            char what[256];
            snprintf(what, sizeof what,
                     "%s %s m %lld n %lld k %lld ta %d tb %d alpha %g beta %g bias %d %d relu %d "
                     "mask %d batch %lld pad %lld",
                     reference_levels[level], kata_dtype_name(dtype), (long long)s->m,
                     (long long)s->n, (long long)s->k, s->transpose_a, s->transpose_b, s->alpha,
                     s->beta, s->bias_column, s->bias_row, s->relu, s->mask, (long long)s->batch,
                     (long long)s->pad);
            reference_compare(what, dtype, c, expected, c_size * batch,
                              reference_tolerance(dtype, s->k));
        }
        free(first);
    }
    free(expected);
    free(a);
    free(b);
    free(bias_column);
    free(bias_row);
    free(c0);
    free(mask);
}

static void test_sizes(void **state) {
    (void)state;
    static const int64_t sizes[] = {0, 1, 2, 3, 5, 8, 13, 17, 31, 33, 50, 64, 67};
    enum { N = sizeof sizes / sizeof sizes[0] };
    for (int round = 0; round < 500; round++) {
        const struct shape s = {
            .m = sizes[reference_bits() % N],
            .n = sizes[reference_bits() % N],
            .k = sizes[reference_bits() % N],
            .transpose_a = reference_bits() % 2,
            .transpose_b = reference_bits() % 2,
            .alpha = reference_bits() % 2 ? 1 : 0.75,
            .beta = reference_bits() % 2 ? 0 : -0.5,
            .bias_column = reference_bits() % 2,
            .bias_row = reference_bits() % 2,
            .relu = reference_bits() % 2,
            .mask = reference_bits() % 2,
            .batch = reference_bits() % 4 ? 0 : reference_range(1, 5),
            .pad = reference_bits() % 2 ? 0 : reference_range(1, 20),
            .share_a = reference_bits() % 2,
            .share_b = reference_bits() % 2,
        };
        check(round % 2 ? KATA_F32 : KATA_F64, &s);
    }
}

/* Larger than the blocks in each direction, and the shapes of the small networks. */
static void test_blocks(void **state) {
    (void)state;
    static const int64_t shapes[][3] = {
        {100, 50, 784},  {784, 50, 100},  {100, 784, 50},  {577, 30, 25},    {100, 100, 432},
        {432, 100, 100}, {100, 432, 100}, {1, 50, 784},    {1, 100, 4320},   {50, 1, 784},
        {3, 700, 400},   {7, 3, 3000},    {10, 10, 20011}, {1, 1, 10007},    {131, 127, 1031},
        {67, 1201, 33},  {1201, 67, 33},  {64, 64, 512},   {45, 1100, 1024}, {2, 3, 9000},
        {256, 300, 530}, {400, 80, 70},   {300, 1024, 90}, {1024, 40, 600},  {2000, 30, 25},
        {30, 576, 25},   {16, 784, 144},  {20, 800, 200},  {2700, 100, 100}, {500, 96, 300},
        {901, 45, 70},   {131, 130, 260},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        for (int transpose = 0; transpose < 4; transpose++) {
            const struct shape s = {.m = shapes[i][0],
                                    .n = shapes[i][1],
                                    .k = shapes[i][2],
                                    .transpose_a = transpose & 1,
                                    .transpose_b = transpose >> 1,
                                    .alpha = i % 2 ? 1 : 1.25,
                                    .beta = i % 3 ? 0 : 1,
                                    .bias_column = i % 4 == 1,
                                    .bias_row = i % 4 == 2,
                                    .relu = i % 5 == 0,
                                    .mask = i % 3 == 2};
            check(KATA_F32, &s);
            check(KATA_F64, &s);
        }
    }
}

static void test_batch(void **state) {
    (void)state;
    for (int transpose = 0; transpose < 4; transpose++) {
        for (int share = 0; share < 3; share++) {
            struct shape s = {.m = 33,
                              .n = 47,
                              .k = 29,
                              .transpose_a = transpose & 1,
                              .transpose_b = transpose >> 1,
                              .alpha = 1,
                              .bias_column = true,
                              .batch = 37,
                              .share_a = share == 1,
                              .share_b = share == 2};
            check(KATA_F32, &s);
            s.m = 120;
            s.n = 100;
            s.k = 90;
            s.batch = 3;
            check(KATA_F32, &s);
            check(KATA_F64, &s);
            s.m = 1;
            s.batch = 50;
            check(KATA_F32, &s);
        }
    }
}

/* alpha 0 and k 0 leave beta C + bias; a NaN comes through relu. */
static void test_edges(void **state) {
    (void)state;
    struct shape s = {.m = 20, .n = 40, .k = 30, .alpha = 0, .beta = 0.5, .bias_row = true};
    check(KATA_F32, &s);
    s.k = 0;
    s.alpha = 1;
    check(KATA_F32, &s);
    s.beta = 0;
    check(KATA_F64, &s);
    for (int level = 0; level < REFERENCE_LEVELS; level++) {
        kata_context *context = reference_contexts[level][0];
        if (!context) {
            continue;
        }
        float a[5 * 3], b[3 * 7], c[5 * 7];
        for (int i = 0; i < 15; i++) {
            a[i] = i == 4 ? NAN : -1;
        }
        for (int i = 0; i < 21; i++) {
            b[i] = 1;
        }
        const kata__gemm g = {.m = 5,
                              .n = 7,
                              .k = 3,
                              .a = a,
                              .b = b,
                              .c = c,
                              .lda = 3,
                              .ldb = 7,
                              .ldc = 7,
                              .alpha = 1,
                              .relu = true};
        const kata__workspace workspace =
            reference_workspace(context, kata__gemm_workspace(context, KATA_F32, &g));
        kata__gemm_run(context, KATA_F32, &g, &workspace);
        free(workspace.shared);
        for (int i = 0; i < 35; i++) {
            if (i / 7 == 1) {
                assert_true(isnan(c[i]));
            } else {
                assert_true(c[i] == 0);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_edges),
    };
    return cmocka_run_group_tests_name("kernel/gemm", tests, reference_setup, reference_teardown);
}
