/* Reductions over every set of axes against plain loops. */
#include "kernel/elementwise_check.h"
#include "kernel/elementwise.h"

static const kata_dtype dtypes[2] = {KATA_F32, KATA_F64};

typedef struct reduce_case {
    kata__reduce op;
    kata_shape shape;
    bool reduce[KATA_MAX_RANK];
    const void *x;
} reduce_case;

static void run_reduce(kata_context *context, kata_dtype dtype, const void *argument, void *out) {
    const reduce_case *c = argument;
    kata__reduce_run(context, dtype, c->op, &c->shape, c->reduce, c->x, out);
}

static double step(kata__reduce op, double sum, double x) {
    switch (op) {
    case KATA__REDUCE_MAX:
        return isnan(sum) || x <= sum ? sum : x;
    case KATA__REDUCE_MIN:
        return isnan(sum) || x >= sum ? sum : x;
    case KATA__REDUCE_SUM_SQUARE:
        return sum + x * x;
    default:
        return sum + x;
    }
}

static void check_reduce(kata_dtype dtype, reduce_case *c) {
    const kata_shape *shape = &c->shape;
    int64_t n_out = 1, stride[KATA_MAX_RANK];
    for (int i = shape->rank - 1; i >= 0; i--) {
        stride[i] = c->reduce[i] ? 0 : n_out;
        n_out *= c->reduce[i] ? 1 : shape->dim[i];
    }
    double *expected = check_doubles(n_out);
    /* Compensated (Neumaier) sums, so that the reference is exact. */
    double *lost = check_doubles(n_out), greatest = 0;
    const double empty = c->op == KATA__REDUCE_MAX   ? -INFINITY
                         : c->op == KATA__REDUCE_MIN ? INFINITY
                                                     : 0;
    for (int64_t i = 0; i < n_out; i++) {
        expected[i] = empty;
    }
    for (int64_t i = 0; i < kata_shape_count(shape); i++) {
        int64_t at = 0, rest = i;
        for (int axis = shape->rank - 1; axis >= 0; axis--) {
            at += rest % shape->dim[axis] * stride[axis];
            rest /= shape->dim[axis];
        }
        const double x = kata_load(dtype, c->x, i), old = expected[at];
        expected[at] = step(c->op, old, x);
        if (c->op == KATA__REDUCE_SUM || c->op == KATA__REDUCE_SUM_SQUARE) {
            const double v = c->op == KATA__REDUCE_SUM ? x : x * x;
            lost[at] += fabs(old) >= fabs(v) ? (old - expected[at]) + v : (v - expected[at]) + old;
        }
        greatest = fmax(greatest, fabs(x));
    }
    for (int64_t i = 0; i < n_out; i++) {
        expected[i] += lost[i];
    }
    /* float32: one rounding of the exact sum, and nothing lost by cancellation. */
    const bool sums = c->op == KATA__REDUCE_SUM || c->op == KATA__REDUCE_SUM_SQUARE;
    const double count = (double)kata_shape_count(shape);
    check_run(
        "reduce", dtype, n_out, run_reduce, c, NULL, expected,
        sums ? (check_tolerance){dtype == KATA_F64 ? 1e-7 * sqrt(count + 1) : 1e-12 * count, 1.2e-7}
             : (check_tolerance){0, 0});
    free(expected);
    free(lost);
}

static void test_axes(void **state) {
    (void)state;
    const kata_shape shapes[] = {
        {.rank = 0},
        KATA_SHAPE_OF(1),
        KATA_SHAPE_OF(5),
        KATA_SHAPE_OF(1000),
        KATA_SHAPE_OF(70001),
        KATA_SHAPE_OF(300007),
        KATA_SHAPE_OF(100, 10),
        KATA_SHAPE_OF(64, 65),
        KATA_SHAPE_OF(7, 1, 9),
        KATA_SHAPE_OF(3, 4, 5),
        KATA_SHAPE_OF(10, 3, 8, 9),
        KATA_SHAPE_OF(2, 3, 2, 3, 2, 3, 2, 3),
        KATA_SHAPE_OF(4001, 33),
        KATA_SHAPE_OF(33, 4001),
        KATA_SHAPE_OF(20, 30, 150),
        KATA_SHAPE_OF(2, 1, 50001),
        KATA_SHAPE_OF(3, 700, 60),
        KATA_SHAPE_OF(90001, 2),
        KATA_SHAPE_OF(9, 20000),
    };
    for (int d = 0; d < 2; d++) {
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            const int64_t n = kata_shape_count(&shapes[s]);
            void *x = check_random(dtypes[d], n, -1, 1, 1);
            for (unsigned mask = 0; mask < 1u << shapes[s].rank; mask++) {
                for (int op = 0; op <= KATA__REDUCE_SUM_SQUARE; op++) {
                    if (shapes[s].rank == 8 && (mask + (unsigned)op) % 4 != 0) {
                        continue;
                    }
                    reduce_case c = {.op = (kata__reduce)op, .shape = shapes[s], .x = x};
                    for (int i = 0; i < shapes[s].rank; i++) {
                        c.reduce[i] = (mask >> i & 1) != 0;
                    }
                    check_reduce(dtypes[d], &c);
                }
            }
            free(x);
        }
    }
}

static void test_empty(void **state) {
    (void)state;
    double nothing[1] = {0};
    const kata_shape shapes[] = {KATA_SHAPE_OF(0), KATA_SHAPE_OF(3, 0), KATA_SHAPE_OF(0, 3),
                                 KATA_SHAPE_OF(2, 0, 3)};
    for (int d = 0; d < 2; d++) {
        for (size_t s = 0; s < 4; s++) {
            for (unsigned mask = 0; mask < 1u << shapes[s].rank; mask++) {
                for (int op = 0; op <= KATA__REDUCE_SUM_SQUARE; op++) {
                    reduce_case c = {.op = (kata__reduce)op, .shape = shapes[s], .x = nothing};
                    for (int i = 0; i < shapes[s].rank; i++) {
                        c.reduce[i] = (mask >> i & 1) != 0;
                    }
                    check_reduce(dtypes[d], &c);
                }
            }
        }
    }
}

/* A NaN anywhere is the maximum and the minimum; infinities are ordered. */
static void test_special(void **state) {
    (void)state;
    static const int64_t sizes[][2] = {{3, 5}, {70, 100}, {5, 17}, {2000, 30}, {30, 2000}};
    for (int d = 0; d < 2; d++) {
        for (size_t s = 0; s < 5; s++) {
            const kata_shape shape = KATA_SHAPE_OF(sizes[s][0], sizes[s][1]);
            const int64_t n = kata_shape_count(&shape);
            void *x = check_random(dtypes[d], n, -1, 1, 1);
            for (int64_t i = 0; i < n; i += 13) {
                kata_store(dtypes[d], x, i, i % 3 == 0 ? NAN : i % 3 == 1 ? INFINITY : -INFINITY);
            }
            for (int mask = 0; mask < 4; mask++) {
                for (int op = KATA__REDUCE_MAX; op <= KATA__REDUCE_MIN; op++) {
                    reduce_case c = {.op = (kata__reduce)op,
                                     .shape = shape,
                                     .reduce = {(mask & 1) != 0, (mask & 2) != 0},
                                     .x = x};
                    check_reduce(dtypes[d], &c);
                }
            }
            free(x);
        }
    }
}

/* Four million times 0.1f: a running float sum would be off by 4 percent. */
static void test_accuracy(void **state) {
    (void)state;
    enum { N = 1 << 22 };
    float *x = check_alloc(N * sizeof *x);
    for (int i = 0; i < N; i++) {
        x[i] = 0.1f;
    }
    const kata_shape shapes[2] = {KATA_SHAPE_OF(N), KATA_SHAPE_OF(N / 4, 4)};
    const bool reduce[2] = {true, false};
    for (int level = 0; level < CHECK_LEVELS; level++) {
        for (int t = 0; t < CHECK_THREADS && check_context[level][t] != NULL; t++) {
            float sum, columns[4];
            kata__reduce_run(check_context[level][t], KATA_F32, KATA__REDUCE_SUM, &shapes[0],
                             reduce, x, &sum);
            kata__reduce_run(check_context[level][t], KATA_F32, KATA__REDUCE_SUM, &shapes[1],
                             reduce, x, columns);
            assert_true(sum == (float)(N * (double)0.1f));
            assert_true(columns[3] == (float)(N / 4 * (double)0.1f));
        }
    }
    free(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_axes),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_special),
        cmocka_unit_test(test_accuracy),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
