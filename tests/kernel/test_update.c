/* Optimiser steps against their formulas, and the trajectories of the book. */
#include "kernel/elementwise_check.h"
#include "kernel/update.h"

static const kata_dtype dtypes[2] = {KATA_F32, KATA_F64};

/* One step of update.h's formulas on one number. */
static void reference(kata__update rule, const kata__update_options *o, double *w, double g,
                      double *s, double *v) {
    *w -= o->lr * o->weight_decay * *w;
    switch (rule) {
    case KATA__SGD:
        *w -= o->lr * g;
        break;
    case KATA__MOMENTUM:
        *s = o->momentum * *s - o->lr * g;
        *w += *s;
        break;
    case KATA__NESTEROV:
        *w += o->momentum * o->momentum * *s - (1 + o->momentum) * o->lr * g;
        *s = o->momentum * *s - o->lr * g;
        break;
    case KATA__ADAGRAD:
        *s += g * g;
        *w -= o->lr * g / (sqrt(*s) + o->epsilon);
        break;
    case KATA__RMSPROP:
        *s = o->decay * *s + (1 - o->decay) * g * g;
        *w -= o->lr * g / (sqrt(*s) + o->epsilon);
        break;
    default:
        *s += (1 - o->beta1) * (g - *s);
        *v += (1 - o->beta2) * (g * g - *v);
        *w -= o->lr * sqrt(1 - pow(o->beta2, o->t)) / (1 - pow(o->beta1, o->t)) * *s /
              (sqrt(*v) + o->epsilon);
    }
}

typedef struct update_case {
    kata__update rule;
    int64_t n;
    const void *g;
    kata__update_options options;
} update_case;

/* out: w, state1, state2. */
static void run_update(kata_context *context, kata_dtype dtype, const void *argument, void *out) {
    const update_case *c = argument;
    const size_t n_bytes = (size_t)c->n * kata_dtype_size(dtype);
    char *w = out;
    kata__update_run(context, dtype, c->rule, c->n, w, c->g,
                     c->rule != KATA__SGD ? w + n_bytes : NULL,
                     c->rule == KATA__ADAM ? w + 2 * n_bytes : NULL, &c->options);
}

static void test_rules(void **state) {
    (void)state;
    static const int64_t sizes[] = {0, 1, 7, 64, 1001, 32768, 39760, 100003};
    for (int d = 0; d < 2; d++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            const int64_t n = sizes[s];
            void *g = check_random(dtypes[d], n, -1, 1, 1);
            void *start = check_random(dtypes[d], 3 * n, 0, 1, 2);
            double *expected = check_doubles(3 * n);
            for (int rule = 0; rule < KATA__UPDATES; rule++) {
                update_case c = {(kata__update)rule,
                                 n,
                                 g,
                                 {.lr = 0.01,
                                  .momentum = 0.9,
                                  .beta1 = 0.9,
                                  .beta2 = 0.999,
                                  .decay = 0.99,
                                  .epsilon = 1e-7,
                                  .weight_decay = rule % 2 != 0 ? 0.01 : 0,
                                  .t = 3}};
                for (int64_t i = 0; i < 3 * n; i++) {
                    expected[i] = kata_load(dtypes[d], start, i);
                }
                for (int64_t i = 0; i < n; i++) {
                    reference(c.rule, &c.options, &expected[i], kata_load(dtypes[d], g, i),
                              &expected[n + i], &expected[2 * n + i]);
                }
                check_run("update", dtypes[d], 3 * n, run_update, &c, start, expected,
                          (check_tolerance){3e-7, 3e-7});
            }
            free(g);
            free(start);
            free(expected);
        }
    }
}

/* spec/scratch-book-2-backprop-to-deep.md, 6.1, "Exact trajectories in float64": f(x, y) = x^2/20 +
 * y^2 from (-7, 2), the point after k updates, epsilon 1e-7. */
static const int steps[7] = {1, 2, 3, 5, 10, 20, 30};
static const struct {
    const char *name;
    kata__update rule;
    kata__update_options options;
    double at[7][2];
    double value; /* f after 30 updates, six digits */
} book[] = {
    {"SGD",
     KATA__SGD,
     {.lr = 0.95},
     {{-6.335, -1.8},
      {-5.733175, 1.62},
      {-5.188523375, -1.458},
      {-4.24953035721, -1.18098},
      {-2.57978689383, 0.6973568802},
      {-0.950757202515, 0.243153309181},
      {-0.350392995752, 0.0847823165504}},
     0.0133268},
    {"Momentum",
     KATA__MOMENTUM,
     {.lr = 0.1, .momentum = 0.9},
     {{-6.93, 1.6},
      {-6.7977, 0.92},
      {-6.610653, 0.124},
      {-6.1014381813, -1.16084},
      {-4.34755378729, 0.0087997412},
      {-0.824755242901, -0.698505233184},
      {0.896413858494, 0.0880856017151}},
     0.047937},
    {"AdaGrad",
     KATA__ADAGRAD,
     {.lr = 1.5, .epsilon = 1e-7},
     {{-5.50000021429, 0.5000000375},
      {-4.57326796816, 0.136196583089},
      {-3.88784233897, 0.0373145704965},
      {-2.89856197671, 0.00280344627105},
      {-1.48938552938, 4.33778039617e-06},
      {-0.420468564804, 1.03852844638e-11},
      {-0.120162322314, 2.48638989398e-17}},
     0.000721949},
    {"Adam",
     KATA__ADAM,
     {.lr = 0.3, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-7},
     {{-6.70000135526, 1.70000023717},
      {-6.40041662404, 1.4022457409},
      {-6.10154900698, 1.10891203943},
      {-5.50728128367, 0.547713702209},
      {-4.0594185726, -0.491846287476},
      {-1.52145009063, -0.278868002259},
      {0.136006852395, 0.318245375537}},
     0.102205},
    {"RMSProp", /* the spec gives k = 1 and k = 30 */
     KATA__RMSPROP,
     {.lr = 0.1, .decay = 0.99, .epsilon = 1e-7},
     {{-6.00000142857, 1.00000025},
      {NAN, NAN},
      {NAN, NAN},
      {NAN, NAN},
      {NAN, NAN},
      {NAN, NAN},
      {-0.697420309681, 1.48346215083e-08}},
     NAN},
};

static void test_book(void **state) {
    (void)state;
    for (int level = 0; level < CHECK_LEVELS; level++) {
        kata_context *context = check_context[level][0];
        for (size_t i = 0; i < sizeof book / sizeof book[0] && context != NULL; i++) {
            double w[2] = {-7, 2}, state1[2] = {0, 0}, state2[2] = {0, 0};
            kata__update_options options = book[i].options;
            int row = 0;
            for (int k = 1; k <= 30; k++) {
                const double g[2] = {w[0] / 10, 2 * w[1]};
                options.t = k;
                kata__update_run(context, KATA_F64, book[i].rule, 2, w, g, state1, state2,
                                 &options);
                if (k != steps[row]) {
                    continue;
                }
                for (int axis = 0; axis < 2; axis++) {
                    const double expected = book[i].at[row][axis];
                    if (!isnan(expected) && fabs(w[axis] - expected) > 1e-9) {
                        fail_msg("%s (%s), step %d: %.12g, the book has %.12g", book[i].name,
                                 check_level_name[level], k, w[axis], expected);
                    }
                    /* The small numbers to the digits that are given. */
                    if (!isnan(expected) && fabs(w[axis] - expected) > 1e-10 * fabs(expected)) {
                        fail_msg("%s (%s), step %d: %.12g, the book has %.12g", book[i].name,
                                 check_level_name[level], k, w[axis], expected);
                    }
                }
                row++;
            }
            const double value = w[0] * w[0] / 20 + w[1] * w[1];
            if (!isnan(book[i].value) && fabs(value - book[i].value) > 1e-5 * book[i].value) {
                fail_msg("%s: f is %.9g, the book has %.9g", book[i].name, value, book[i].value);
            }
        }
    }
}

static kata__workspace check_workspace(kata_context *context, kata__workspace_size size) {
    return kata__workspace_in(check_alloc(kata__workspace_bytes(context, size) + 1), size);
}

/* A step by a product has the bits of a step by its result, and a product that overflows is told
 * and not applied where it does. */
static void check_by_product(kata_context *context, kata_dtype dtype, kata__update rule,
                             const kata__gemm *gemm, const char *start) {
    const kata__update_options options = {
        .lr = 0.01, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-7, .t = 3};
    const int64_t n = gemm->m * gemm->n;
    const size_t bytes = (size_t)n * kata_dtype_size(dtype);
    char *expected = check_alloc(3 * bytes), *got = check_alloc(3 * bytes);
    char *state1 = rule == KATA__ADAM ? got + bytes : NULL;
    char *state2 = rule == KATA__ADAM ? got + 2 * bytes : NULL;
    kata__workspace workspace =
        check_workspace(context, kata__gemm_workspace(context, dtype, gemm));
    kata__gemm_run(context, dtype, gemm, &workspace);
    free(workspace.shared);
    memcpy(expected, start, 3 * bytes);
    memcpy(got, start, 3 * bytes);
    kata__update_run(context, dtype, rule, n, expected, gemm->c,
                     state1 != NULL ? expected + bytes : NULL,
                     state2 != NULL ? expected + 2 * bytes : NULL, &options);
    workspace =
        check_workspace(context, kata__update_by_product_workspace(context, dtype, rule, gemm, 0));
    assert_int_equal(kata__update_by_product(context, dtype, rule, gemm, got, state1, state2,
                                             &options, &workspace),
                     -1);
    assert_memory_equal(got, expected, 3 * bytes);
    if (gemm->k > 0) { /* row or column 2 of A' overflows */
        char *a = (char *)(uintptr_t)gemm->a;
        const int64_t at = gemm->transpose_a ? 2 : 2 * gemm->k;
        const double old = kata_load(dtype, a, at);
        kata_store(dtype, a, at, (double)INFINITY);
        assert_int_equal(kata__update_by_product(context, dtype, rule, gemm, got, state1, state2,
                                                 &options, &workspace),
                         2 * gemm->n);
        kata_store(dtype, a, at, old);
        for (int64_t i = 0; i < 3 * n; i++) {
            assert_true(isfinite(kata_load(dtype, got, i)));
        }
        /* Where the product itself adds, all is as it should be some tiles from there. */
        if (rule == KATA__SGD && gemm->alpha == 1 && gemm->m > 100 && gemm->n > 1 &&
            gemm->k <= 256) {
            kata__update_run(context, dtype, rule, n, expected, gemm->c, NULL, NULL, &options);
            const size_t row = (size_t)gemm->n * kata_dtype_size(dtype);
            assert_memory_equal(got + (size_t)(gemm->m - 1) * row,
                                expected + (size_t)(gemm->m - 1) * row, row);
        }
    }
    free(workspace.shared);
    free(expected);
    free(got);
}

static void test_by_product(void **state) {
    (void)state;
    static const struct {
        int64_t m, n, k;
        bool transpose_a, transpose_b;
    } shapes[] = {
        {784, 50, 100, true, false}, {50, 10, 100, true, false},   {10, 50, 100, true, false},
        {700, 130, 9, true, false},  {300, 98, 60, true, true},    {120, 100, 64, false, false},
        {120, 34, 100, false, true}, {3, 20, 40, false, true},     {300, 1, 30, true, false},
        {40, 50, 3000, true, false}, {300, 200, 600, true, false}, {37, 41, 29, false, true},
        {5, 4, 0, true, false}};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        for (int d = 0; d < 2; d++) {
            const kata_dtype dtype = dtypes[d];
            const int64_t m = shapes[s].m, n = shapes[s].n, k = shapes[s].k;
            char *start = check_random(dtype, 3 * m * n, 0, 1, 2);
            void *a = check_random(dtype, m * k, -1, 1, 3),
                 *b = check_random(dtype, k * n, -1, 1, 4);
            void *product = check_alloc((size_t)(m * n) * kata_dtype_size(dtype));
            kata__gemm gemm = {.m = m,
                               .n = n,
                               .k = k,
                               .transpose_a = shapes[s].transpose_a,
                               .transpose_b = shapes[s].transpose_b,
                               .a = a,
                               .b = b,
                               .c = product,
                               .lda = shapes[s].transpose_a ? m : k,
                               .ldb = shapes[s].transpose_b ? k : n,
                               .ldc = n};
            for (int level = 0; level < CHECK_LEVELS * CHECK_THREADS; level++) {
                kata_context *context = check_context[level / CHECK_THREADS][level % CHECK_THREADS];
                if (context != NULL) {
                    gemm.alpha = 0.5;
                    check_by_product(context, dtype, KATA__ADAM, &gemm, start);
                    check_by_product(context, dtype, KATA__SGD, &gemm, start);
                    gemm.alpha = 1; /* added by the product itself */
                    check_by_product(context, dtype, KATA__SGD, &gemm, start);
                }
            }
            free(start);
            free(a);
            free(b);
            free(product);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_book),
        cmocka_unit_test(test_by_product),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
