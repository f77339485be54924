/* Softmax, batch and layer normalisation and their gradients against plain double loops. */
#include "kernel/elementwise_check.h"
#include "kernel/rows.h"

static const kata_dtype dtypes[2] = {KATA_F32, KATA_F64};

/* ---- softmax ---- */

typedef struct softmax_case {
    bool log, in_place;
    int64_t outer, n_axis, inner;
    const void *x, *dy; /* dy: the gradient, x is then y */
} softmax_case;

static void run_softmax(kata_context *context, kata_dtype dtype, const void *argument, void *out) {
    const softmax_case *c = argument;
    if (c->dy != NULL) {
        kata__softmax_gradient(context, dtype, c->log, c->outer, c->n_axis, c->inner, c->x,
                               c->in_place ? out : c->dy, out);
    } else {
        kata__softmax(context, dtype, c->log, c->outer, c->n_axis, c->inner,
                      c->in_place ? out : c->x, out);
    }
}

static void softmax_reference(kata_dtype dtype, const softmax_case *c, double *y) {
    for (int64_t o = 0; o < c->outer; o++) {
        for (int64_t i = 0; i < c->inner; i++) {
            const int64_t at = o * c->n_axis * c->inner + i;
            double greatest = -INFINITY, sum = 0, dot = 0;
            for (int64_t k = 0; k < c->n_axis; k++) {
                const double x = kata_load(dtype, c->x, at + k * c->inner);
                greatest = x > greatest ? x : greatest;
                if (c->dy != NULL) {
                    dot += kata_load(dtype, c->dy, at + k * c->inner) * (c->log ? 1 : x);
                }
            }
            for (int64_t k = 0; k < c->n_axis; k++) {
                sum += exp(kata_load(dtype, c->x, at + k * c->inner) - greatest);
            }
            for (int64_t k = 0; k < c->n_axis; k++) {
                const double x = kata_load(dtype, c->x, at + k * c->inner);
                double *to = &y[at + k * c->inner];
                if (c->dy != NULL) {
                    const double dy = kata_load(dtype, c->dy, at + k * c->inner);
                    *to = c->log ? dy - exp(x) * dot : x * (dy - dot);
                } else {
                    *to = c->log ? x - greatest - log(sum) : exp(x - greatest) / sum;
                }
            }
        }
    }
}

static void test_softmax(void **state) {
    (void)state;
    static const int64_t sizes[][3] = {
        {100, 10, 1}, {1, 1, 1},     {3, 1, 5},     {0, 4, 1},     {4, 0, 3},    {4, 3, 0},
        {7, 3, 1},    {100, 33, 1},  {9, 1000, 1},  {5, 1025, 1},  {3, 5000, 1}, {7000, 10, 1},
        {64, 16, 1},  {65, 17, 1},   {130, 1, 1},   {16, 7, 1},    {5, 10, 2},   {3, 21, 64},
        {2, 7, 65},   {2, 10, 1000}, {40, 19, 100}, {1, 70001, 1},
    };
    for (int d = 0; d < 2; d++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            softmax_case c = {.outer = sizes[s][0], .n_axis = sizes[s][1], .inner = sizes[s][2]};
            const int64_t n = c.outer * c.n_axis * c.inner;
            void *x = check_random(dtypes[d], n, -8, 8, 1),
                 *dy = check_random(dtypes[d], n, -1, 1, 2);
            void *y = check_alloc((size_t)n * 8);
            double *expected = check_doubles(n);
            for (int log = 0; log < 2; log++) {
                c.log = log != 0;
                c.x = x;
                c.dy = NULL;
                softmax_reference(dtypes[d], &c, expected);
                const check_tolerance tolerance = {log != 0 ? 3e-6 : 1e-9, 2e-6};
                check_run("softmax", dtypes[d], n, run_softmax, &c, NULL, expected, tolerance);
                c.in_place = true;
                check_run("softmax in place", dtypes[d], n, run_softmax, &c, x, expected,
                          tolerance);
                c.in_place = false;
                for (int64_t i = 0; i < n; i++) {
                    kata_store(dtypes[d], y, i, expected[i]);
                }
                c.x = y;
                c.dy = dy;
                softmax_reference(dtypes[d], &c, expected);
                const check_tolerance wide = {1e-6 * (1 + (log != 0 ? (double)c.n_axis / 20 : 0)),
                                              1e-6};
                check_run("softmax gradient", dtypes[d], n, run_softmax, &c, NULL, expected, wide);
                c.in_place = true;
                check_run("softmax gradient in place", dtypes[d], n, run_softmax, &c, dy, expected,
                          wide);
                c.in_place = false;
            }
            free(x);
            free(dy);
            free(y);
            free(expected);
        }
    }
}

/* spec/scratch-book-2-backprop-to-deep.md, 5.6.3: a = (0.3, 2.9, 4.0), and (1010, 1000, 990), which
 * must not overflow. Masked scores are -inf; a NaN spoils its row only. */
static void test_softmax_values(void **state) {
    (void)state;
    const double x[5][3] = {
        {0.3, 2.9, 4.0}, {1010, 1000, 990}, {-INFINITY, 1, 1}, {NAN, 1, 2}, {-1e30, -1e30, -1e30}};
    const double y[5][3] = {{0.0182112732955475, 0.245191812935074, 0.736596913769379},
                            {0.999954600070331, 4.53978686088667e-05, 2.06106004620906e-09},
                            {0, 0.5, 0.5},
                            {NAN, NAN, NAN},
                            {1.0 / 3, 1.0 / 3, 1.0 / 3}};
    for (int d = 0; d < 2; d++) {
        double in[15], expected[15];
        for (int columns = 0; columns < 2; columns++) {
            for (int i = 0; i < 15; i++) {
                const int row = columns != 0 ? i % 5 : i / 3, k = columns != 0 ? i / 5 : i % 3;
                kata_store(dtypes[d], in, i, x[row][k]);
                expected[i] = y[row][k];
            }
            softmax_case c = {
                .outer = columns != 0 ? 1 : 5, .n_axis = 3, .inner = columns != 0 ? 5 : 1, .x = in};
            check_run("softmax of the book", dtypes[d], 15, run_softmax, &c, NULL, expected,
                      (check_tolerance){dtypes[d] == KATA_F64 ? 1e-6 : 0, 4e-7});
        }
    }
}

/* ---- batch normalisation ---- */

typedef struct norm_case {
    int64_t n, c, d;
    const void *x, *dy, *scale, *bias;
    double epsilon;
} norm_case;

static char *part(void *out, kata_dtype dtype, int64_t at) {
    return (char *)out + (size_t)at * kata_dtype_size(dtype);
}

/* out: y, mean, inverse, variance, y by apply, dx, dscale, dbias. */
static void run_batch_norm(kata_context *context, kata_dtype dtype, const void *argument,
                           void *out) {
    const norm_case *a = argument;
    const int64_t n = a->n * a->c * a->d, c = a->c;
    char *mean = part(out, dtype, n), *inverse = part(out, dtype, n + c);
    char *variance = part(out, dtype, n + 2 * c), *applied = part(out, dtype, n + 3 * c);
    char *dx = part(out, dtype, 2 * n + 3 * c);
    kata__batch_norm_train(context, dtype, a->n, c, a->d, a->x, a->scale, a->bias, a->epsilon, out,
                           mean, inverse, variance);
    kata__batch_norm_apply(context, dtype, a->n, c, a->d, a->x, a->scale, a->bias, mean, variance,
                           a->epsilon, applied);
    kata__batch_norm_gradient(context, dtype, a->n, c, a->d, a->x, a->dy, a->scale, mean, inverse,
                              dx, part(out, dtype, 3 * n + 3 * c), part(out, dtype, 3 * n + 4 * c));
}

static void batch_norm_reference(kata_dtype dtype, const norm_case *a, double *out) {
    const int64_t c = a->c, d = a->d, total = a->n * c * d;
    const double count = (double)(a->n * d);
    for (int64_t k = 0; k < c; k++) {
        double mean = 0, variance = 0, sum_dy = 0, dot = 0;
        for (int pass = 0; pass < 3; pass++) {
            const double inverse = 1 / sqrt(variance + a->epsilon);
            const double scale = kata_load(dtype, a->scale, k), bias = kata_load(dtype, a->bias, k);
            for (int64_t i = 0; i < a->n * d; i++) {
                const int64_t at = i / d * c * d + k * d + i % d;
                const double x = kata_load(dtype, a->x, at), dy = kata_load(dtype, a->dy, at);
                if (pass == 0) {
                    mean += x / count;
                    sum_dy += dy;
                } else if (pass == 1) {
                    variance += (x - mean) * (x - mean) / count;
                    dot += dy * (x - mean);
                } else {
                    const double h = (x - mean) * inverse;
                    out[at] = out[total + 3 * c + at] = h * scale + bias;
                    out[2 * total + 3 * c + at] =
                        scale * inverse * (dy - sum_dy / count - h * dot * inverse / count);
                }
            }
            if (pass == 2) {
                out[total + k] = mean;
                out[total + c + k] = inverse;
                out[total + 2 * c + k] = variance;
                out[3 * total + 3 * c + k] = dot * inverse;
                out[3 * total + 4 * c + k] = sum_dy;
            }
        }
    }
}

static void test_batch_norm(void **state) {
    (void)state;
    static const int64_t sizes[][3] = {
        {100, 10, 1}, {100, 100, 1}, {3, 1, 1},  {1, 5, 1},     {10, 3, 4},    {7, 70, 9},
        {5, 600, 3},  {2, 3, 15},    {2, 3, 16}, {4, 5, 49},    {10, 30, 577}, {600, 300, 1},
        {0, 3, 4},    {2, 0, 3},     {3, 2, 0},  {1, 1, 20000}, {40, 4, 1000}, {9, 33, 11},
    };
    for (int t = 0; t < 2; t++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            norm_case a = {.n = sizes[s][0], .c = sizes[s][1], .d = sizes[s][2], .epsilon = 1e-5};
            const int64_t n = a.n * a.c * a.d, n_out = 3 * n + 5 * a.c;
            void *x = check_random(dtypes[t], n, 2, 4, 1),
                 *dy = check_random(dtypes[t], n, -1, 1, 2);
            void *scale = check_random(dtypes[t], a.c, 0.5, 2, 3);
            void *bias = check_random(dtypes[t], a.c, -1, 1, 4);
            a.x = x, a.dy = dy, a.scale = scale, a.bias = bias;
            double *expected = check_doubles(n_out);
            batch_norm_reference(dtypes[t], &a, expected);
            const double rows = (double)(a.n * a.d);
            if (rows > 1 || rows == 0) { /* of one number, dx is 0 times 1/sqrt(epsilon) */
                check_run("batch norm", dtypes[t], n_out, run_batch_norm, &a, NULL, expected,
                          (check_tolerance){5e-6 + 3e-7 * rows, 2e-6});
            }
            free(x);
            free(dy);
            free(scale);
            free(bias);
            free(expected);
        }
    }
}

/* A mean of 10,000 and a deviation of 1/16: E[x^2] - E[x]^2 would lose everything in float32. */
static void test_large_mean(void **state) {
    (void)state;
    enum { N = 1000 };
    float x[N], one = 1, zero = 0, y[N], mean, inverse, variance, m[1], v[1];
    for (int i = 0; i < N; i++) {
        x[i] = 10000.0f + (i % 2 != 0 ? 0.0625f : -0.0625f);
    }
    for (int level = 0; level < CHECK_LEVELS; level++) {
        kata_context *context = check_context[level][0];
        for (int rows = 0; rows < 2 && context != NULL; rows++) {
            kata__batch_norm_train(context, KATA_F32, rows != 0 ? 1 : N, 1, rows != 0 ? N : 1, x,
                                   &one, &zero, 0, y, &mean, &inverse, &variance);
            assert_true(mean == 10000.0f);
            assert_true(variance == 0.00390625f);
            assert_true(y[0] == -1 && y[1] == 1);
        }
        if (context != NULL) {
            float ones[N], zeros[N] = {0};
            for (int i = 0; i < N; i++) {
                ones[i] = 1;
            }
            kata__layer_norm(context, KATA_F32, 1, N, x, ones, zeros, 0, y, m, v);
            assert_true(m[0] == 10000.0f && v[0] == 16.0f && y[0] == -1 && y[1] == 1);
        }
    }
}

/* ---- layer normalisation ---- */

/* n rows of d; out: y, mean, inverse, dx, dscale, dbias. */
static void run_layer_norm(kata_context *context, kata_dtype dtype, const void *argument,
                           void *out) {
    const norm_case *a = argument;
    const int64_t n = a->n * a->d;
    void *workspace = check_alloc(kata__layer_norm_gradient_workspace(context, dtype, a->n, a->d));
    char *mean = part(out, dtype, n), *inverse = part(out, dtype, n + a->n);
    char *dscale = part(out, dtype, 2 * n + 2 * a->n);
    kata__layer_norm(context, dtype, a->n, a->d, a->x, a->scale, a->bias, a->epsilon, out, mean,
                     inverse);
    kata__layer_norm_gradient(context, dtype, a->n, a->d, a->x, a->dy, a->scale, mean, inverse,
                              part(out, dtype, n + 2 * a->n), dscale, part(dscale, dtype, a->d),
                              workspace);
    free(workspace);
}

static void layer_norm_reference(kata_dtype dtype, const norm_case *a, double *out) {
    const int64_t d = a->d, n = a->n * d;
    double *dscale = out + 2 * n + 2 * a->n, *dbias = dscale + d;
    for (int64_t j = 0; j < 2 * d; j++) {
        dscale[j] = 0;
    }
    for (int64_t i = 0; i < a->n; i++) {
        double mean = 0, variance = 0, g_mean = 0, gh_mean = 0;
        for (int64_t j = 0; j < d; j++) {
            mean += kata_load(dtype, a->x, i * d + j) / (double)d;
        }
        for (int64_t j = 0; j < d; j++) {
            variance += pow(kata_load(dtype, a->x, i * d + j) - mean, 2) / (double)d;
        }
        const double inverse = 1 / sqrt(variance + a->epsilon);
        out[n + i] = mean;
        out[n + a->n + i] = inverse;
        for (int pass = 0; pass < 2; pass++) {
            for (int64_t j = 0; j < d; j++) {
                const double h = (kata_load(dtype, a->x, i * d + j) - mean) * inverse;
                const double dy = kata_load(dtype, a->dy, i * d + j);
                const double scale = kata_load(dtype, a->scale, j), g = dy * scale;
                if (pass == 0) {
                    g_mean += g / (double)d;
                    gh_mean += g * h / (double)d;
                    dscale[j] += dy * h;
                    dbias[j] += dy;
                    out[i * d + j] =
                        h * scale + (a->bias != NULL ? kata_load(dtype, a->bias, j) : 0);
                } else {
                    out[n + 2 * a->n + i * d + j] = inverse * (g - g_mean - h * gh_mean);
                }
            }
        }
    }
}

static void test_layer_norm(void **state) {
    (void)state;
    static const int64_t sizes[][2] = {{100, 100}, {1, 2},   {5, 3},     {0, 5},    {3, 17},
                                       {64, 64},   {7, 769}, {5000, 20}, {3, 40000}};
    for (int t = 0; t < 2; t++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            norm_case a = {.n = sizes[s][0], .d = sizes[s][1], .epsilon = 1e-5};
            const int64_t n = a.n * a.d, n_out = 2 * n + 2 * a.n + 2 * a.d;
            void *x = check_random(dtypes[t], n, -2, 4, 1);
            void *dy = check_random(dtypes[t], n, -1, 1, 2);
            void *scale = check_random(dtypes[t], a.d, 0.5, 2, 3);
            void *bias = check_random(dtypes[t], a.d, -1, 1, 4);
            a.x = x, a.dy = dy, a.scale = scale, a.bias = bias;
            double *expected = check_doubles(n_out);
            for (int i = 0; i < 2; i++) {
                layer_norm_reference(dtypes[t], &a, expected);
                check_run("layer norm", dtypes[t], n_out, run_layer_norm, &a, NULL, expected,
                          (check_tolerance){1e-5 + 1e-7 * (double)a.n, 5e-6});
                a.bias = NULL;
            }
            free(x);
            free(dy);
            free(scale);
            free(bias);
            free(expected);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_softmax),    cmocka_unit_test(test_softmax_values),
        cmocka_unit_test(test_batch_norm), cmocka_unit_test(test_large_mean),
        cmocka_unit_test(test_layer_norm),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
