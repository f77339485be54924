/* Unary, binary with broadcasting, and dropout against plain double loops. */
#include "kernel/elementwise_check.h"
#include "kernel/elementwise.h"

static const kata_dtype dtypes[2] = {KATA_F32, KATA_F64};
static const check_tolerance close = {5e-7, 1e-6};

static double unary_reference(kata__unary op, double x, double alpha, double beta) {
    switch (op) {
    case KATA__RELU:
        return x < 0 ? 0 : x;
    case KATA__LEAKY_RELU:
        return x < 0 ? alpha * x : x;
    case KATA__ELU:
        return x < 0 ? alpha * expm1(x) : x;
    case KATA__SELU:
        return beta * (x < 0 ? alpha * expm1(x) : x);
    case KATA__GELU:
        return 0.5 * x * (1 + erf(x / sqrt(2.0)));
    case KATA__GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt(2 / 3.14159265358979324) * (x + 0.044715 * x * x * x)));
    case KATA__HARD_SIGMOID:
        return isnan(x) ? x : fmin(fmax(alpha * x + beta, 0), 1);
    case KATA__HARD_SWISH:
        return isnan(x) ? x : x * fmin(fmax(x / 6 + 0.5, 0), 1);
    case KATA__SIGMOID:
        return 1 / (1 + exp(-x));
    case KATA__TANH:
        return tanh(x);
    case KATA__SOFTPLUS:
        return isnan(x) ? x : fmax(x, 0) + log1p(exp(-fabs(x)));
    case KATA__ERF:
        return erf(x);
    case KATA__EXP:
        return exp(x);
    case KATA__LOG:
        return log(x);
    case KATA__SQRT:
        return sqrt(x);
    case KATA__NEG:
        return -x;
    case KATA__ABS:
        return fabs(x);
    case KATA__RECIPROCAL:
        return 1 / x;
    case KATA__CLIP:
        return isnan(x) ? x : fmin(fmax(x, alpha), beta);
    default:
        return x;
    }
}

typedef struct unary_case {
    kata__unary op;
    int64_t n;
    const void *x; /* NULL: in place */
    double alpha, beta;
} unary_case;

static void run_unary(kata_context *context, kata_dtype dtype, const void *argument, void *out) {
    const unary_case *c = argument;
    kata__unary_run(context, dtype, c->op, c->n, c->x != NULL ? c->x : out, out, c->alpha, c->beta);
}

static void test_unary(void **state) {
    (void)state;
    static const int64_t sizes[] = {0, 1, 3, 16, 63, 64, 65, 1000, 32768, 32769, 100003};
    static const double special[] = {0,      -0.0, 1,   -1,  INFINITY, -INFINITY, NAN,  1e-40,
                                     -1e-40, 88,   -88, 104, -104,     1e10,      -1e10};
    for (int d = 0; d < 2; d++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            const int64_t n = sizes[s];
            void *x = check_random(dtypes[d], n, -6, 6, 1);
            double *expected = check_doubles(n);
            for (int64_t i = 0; i < n && n == 1000 && i < 15; i++) {
                kata_store(dtypes[d], x, i * 7, special[i]);
            }
            for (int op = 0; op < KATA__UNARY_COUNT; op++) {
                unary_case c = {(kata__unary)op, n, x, 0.2, 0.5};
                for (int64_t i = 0; i < n; i++) {
                    expected[i] =
                        unary_reference(c.op, kata_load(dtypes[d], x, i), c.alpha, c.beta);
                    const bool gelu = op == KATA__GELU || op == KATA__GELU_TANH;
                    if (gelu && isinf(kata_load(dtypes[d], x, i))) {
                        /* -inf 0 is NaN in the formula; either that or the limit will do. */
                        kata_store(dtypes[d], x, i, 0);
                        expected[i] = 0;
                    }
                }
                check_run("unary", dtypes[d], n, run_unary, &c, NULL, expected, close);
                c.x = NULL;
                check_run("unary in place", dtypes[d], n, run_unary, &c, x, expected, close);
            }
            free(x);
            free(expected);
        }
    }
}

static double binary_reference(kata__binary op, double a, double b) {
    switch (op) {
    case KATA__ADD:
        return a + b;
    case KATA__SUB:
        return a - b;
    case KATA__MUL:
        return a * b;
    case KATA__DIV:
        return a / b;
    case KATA__POW:
        return pow(a, b);
    case KATA__MIN:
        return isnan(a) || isnan(b) ? NAN : fmin(a, b);
    case KATA__MAX:
        return isnan(a) || isnan(b) ? NAN : fmax(a, b);
    case KATA__RELU_GRADIENT:
        return b > 0 ? a : 0;
    case KATA__SIGMOID_GRADIENT:
        return a * b * (1 - b);
    default:
        return a * (1 - b * b);
    }
}

typedef struct binary_case {
    kata__binary op;
    kata_shape shape;
    const void *a, *b; /* NULL: the output */
    int64_t a_stride[KATA_MAX_RANK], b_stride[KATA_MAX_RANK];
} binary_case;

static void run_binary(kata_context *context, kata_dtype dtype, const void *argument, void *out) {
    const binary_case *c = argument;
    kata__binary_run(context, dtype, c->op, &c->shape, c->a != NULL ? c->a : out, c->a_stride,
                     c->b != NULL ? c->b : out, c->b_stride, out);
}

static int64_t place(const kata_shape *shape, const int64_t *stride, int64_t i) {
    int64_t at = 0;
    for (int axis = shape->rank - 1; axis >= 0; axis--) {
        at += i % shape->dim[axis] * stride[axis];
        i /= shape->dim[axis];
    }
    return at;
}

/* Strides of a contiguous operand that has 1 where `broadcast` has a bit; returns its size. */
static int64_t strides_of(const kata_shape *shape, unsigned broadcast, int64_t *stride) {
    int64_t step = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        const bool one = (broadcast >> i & 1) != 0;
        stride[i] = one ? 0 : step;
        step *= one ? 1 : shape->dim[i];
    }
    return step;
}

static void check_binary(kata_dtype dtype, binary_case *c, const void *a, const void *b,
                         const void *initial) {
    const int64_t n = kata_shape_count(&c->shape);
    double *expected = check_doubles(n);
    for (int64_t i = 0; i < n; i++) {
        expected[i] = binary_reference(c->op, kata_load(dtype, a, place(&c->shape, c->a_stride, i)),
                                       kata_load(dtype, b, place(&c->shape, c->b_stride, i)));
    }
    check_run("binary", dtype, n, run_binary, c, initial, expected, close);
    free(expected);
}

static void test_broadcast(void **state) {
    (void)state;
    const kata_shape shapes[] = {
        KATA_SHAPE_OF(1),           KATA_SHAPE_OF(0),
        KATA_SHAPE_OF(7),           KATA_SHAPE_OF(100),
        KATA_SHAPE_OF(3, 0, 2),     KATA_SHAPE_OF(5, 3),
        KATA_SHAPE_OF(100, 10),     KATA_SHAPE_OF(7, 1, 100),
        KATA_SHAPE_OF(4, 3, 5),     KATA_SHAPE_OF(2, 3, 4, 5),
        KATA_SHAPE_OF(2, 3, 9, 71), KATA_SHAPE_OF(3, 2, 2, 3, 2, 2, 3, 2),
        KATA_SHAPE_OF(401, 203),    KATA_SHAPE_OF(2, 70001),
        KATA_SHAPE_OF(5000, 13),    {.rank = 0},
    };
    for (int d = 0; d < 2; d++) {
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            const kata_shape *shape = &shapes[s];
            const unsigned masks = 1u << shape->rank;
            const int64_t n = kata_shape_count(shape);
            void *a = check_random(dtypes[d], n + 1, 0.5, 2, 2);
            void *b = check_random(dtypes[d], n + 1, -2, 2, 3);
            for (unsigned mask = 0; mask<masks; mask += n> 1000 && masks > 8 ? 3 : 1) {
                binary_case c = {.op = (kata__binary)((mask + s) % KATA__BINARY_COUNT),
                                 .shape = *shape};
                c.a = a;
                c.b = b;
                strides_of(shape, 0, c.a_stride);
                strides_of(shape, mask, c.b_stride);
                check_binary(dtypes[d], &c, a, b, NULL);
                strides_of(shape, mask, c.a_stride);
                strides_of(shape, 0, c.b_stride);
                check_binary(dtypes[d], &c, a, b, NULL);
                strides_of(shape, mask * 5 % masks, c.b_stride); /* both, different axes */
                check_binary(dtypes[d], &c, a, b, NULL);
            }
            for (int op = 0; op < KATA__BINARY_COUNT; op++) { /* each operation, in place too */
                binary_case c = {.op = (kata__binary)op, .shape = *shape, .a = a, .b = b};
                strides_of(shape, 0, c.a_stride);
                strides_of(shape, 0, c.b_stride);
                check_binary(dtypes[d], &c, a, b, NULL);
                c.a = NULL;
                check_binary(dtypes[d], &c, a, b, a);
                strides_of(shape, masks - 2 < masks ? masks - 2 : 0, c.b_stride);
                check_binary(dtypes[d], &c, a, b, a);
                c.a = a;
                c.b = NULL;
                strides_of(shape, 0, c.b_stride);
                check_binary(dtypes[d], &c, a, b, b);
            }
            free(a);
            free(b);
        }
    }
}

/* Transposed, stepped and reversed operands. */
static void test_strides(void **state) {
    (void)state;
    for (int d = 0; d < 2; d++) {
        void *a = check_random(dtypes[d], 200000, 0.5, 2, 2);
        void *b = check_random(dtypes[d], 200000, -2, 2, 3);
        const size_t size = kata_dtype_size(dtypes[d]);
        binary_case transposed = {.shape = KATA_SHAPE_OF(301, 203),
                                  .a = a,
                                  .b = b,
                                  .a_stride = {1, 301},
                                  .b_stride = {203, 1}};
        check_binary(dtypes[d], &transposed, a, b, NULL);
        binary_case stepped = {
            .shape = KATA_SHAPE_OF(65537), .a = a, .b = b, .a_stride = {3}, .b_stride = {0}};
        check_binary(dtypes[d], &stepped, a, b, NULL);
        const void *end = (const char *)b + 999 * size;
        binary_case reversed = {.op = KATA__SUB,
                                .shape = KATA_SHAPE_OF(10, 100),
                                .a = a,
                                .b = end,
                                .a_stride = {100, 1},
                                .b_stride = {-100, -1}};
        double *expected = check_doubles(1000);
        for (int64_t i = 0; i < 1000; i++) {
            expected[i] = kata_load(dtypes[d], a, i) - kata_load(dtypes[d], b, 999 - i);
        }
        check_run("reversed", dtypes[d], 1000, run_binary, &reversed, NULL, expected, close);
        free(expected);
        free(a);
        free(b);
    }
}

static void test_binary_special(void **state) {
    (void)state;
    static const double v[] = {0, -0.0, 1, -1, 2.5, -2, INFINITY, -INFINITY, NAN, 1e30};
    enum { K = sizeof v / sizeof v[0] };
    for (int d = 0; d < 2; d++) {
        void *a = check_alloc(K * 8), *b = check_alloc(K * 8);
        for (int i = 0; i < K; i++) {
            kata_store(dtypes[d], a, i, v[i]);
            kata_store(dtypes[d], b, i, v[i]);
        }
        for (int op = 0; op < KATA__BINARY_COUNT; op++) {
            binary_case c = {.op = (kata__binary)op,
                             .shape = KATA_SHAPE_OF(K, K),
                             .a = a,
                             .b = b,
                             .a_stride = {1, 0},
                             .b_stride = {0, 1}};
            if (op != KATA__SIGMOID_GRADIENT && op != KATA__TANH_GRADIENT) {
                check_binary(dtypes[d], &c, a, b, NULL);
            }
        }
        free(a);
        free(b);
    }
}

typedef struct dropout_case {
    int64_t n;
    const void *x; /* NULL: in place */
    double ratio;
} dropout_case;

/* out: y, then the mask as n numbers of dtype, then dx for dy = x (x = 1 .. if in place). */
static void run_dropout(kata_context *context, kata_dtype dtype, const void *argument, void *out) {
    const dropout_case *c = argument;
    uint8_t *mask = check_alloc((size_t)c->n);
    char *y = out;
    const size_t n_bytes = (size_t)c->n * kata_dtype_size(dtype);
    void *dy = check_alloc(n_bytes);
    memcpy(dy, c->x, n_bytes);
    memcpy(y, c->x, n_bytes);
    kata__dropout(context, dtype, c->n, c->n % 2 != 0 ? y : c->x, c->ratio, 11, 22, 33, y, mask);
    for (int64_t i = 0; i < c->n; i++) {
        kata_store(dtype, y + n_bytes, i, mask[i]);
    }
    kata__dropout_gradient(context, dtype, c->n, dy, mask, c->ratio, y + 2 * n_bytes);
    free(mask);
    free(dy);
}

static void test_dropout(void **state) {
    (void)state;
    static const int64_t sizes[] = {0, 1, 5, 1000, 32769, 70001};
    static const double ratios[] = {0, 0.3, 0.5, 1.0 / 3, 1};
    for (int d = 0; d < 2; d++) {
        for (size_t s = 0; s < 6; s++) {
            const int64_t n = sizes[s];
            void *x = check_random(dtypes[d], n, -3, 3, 9);
            double *expected = check_doubles(3 * n);
            for (int r = 0; r < 5; r++) {
                dropout_case c = {n, x, ratios[r]};
                for (int64_t i = 0; i < n; i++) {
                    const double u = kata_random_uniform(11, 22, 33, (uint64_t)i);
                    const bool keep = u >= ratios[r];
                    const double v = kata_load(dtypes[d], x, i);
                    expected[i] = expected[2 * n + i] = keep ? v / (1 - ratios[r]) : 0;
                    expected[n + i] = keep;
                }
                check_run("dropout", dtypes[d], 3 * n, run_dropout, &c, NULL, expected, close);
            }
            free(x);
            free(expected);
        }
    }
}

/* --- bytes, finite numbers -------------------------------------------------------------------- */

typedef struct bytes_case {
    int64_t n;
    const uint8_t *x;
    double scale;
} bytes_case;

static void run_bytes(kata_context *context, kata_dtype dtype, const void *argument, void *out) {
    const bytes_case *c = argument;
    kata__bytes_scaled(context, dtype, c->n, c->x, c->scale, out);
}

static void test_bytes(void **state) {
    (void)state;
    static const int64_t sizes[] = {0, 1, 15, 63, 64, 65, 784, 1000};
    uint8_t x[1000];
    for (int i = 0; i < 1000; i++) {
        x[i] = (uint8_t)kata_random_bits(3, 1, 4, (uint64_t)i);
    }
    for (int d = 0; d < 2; d++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            double *expected = check_doubles(sizes[s]);
            for (int scaled = 0; scaled < 2; scaled++) {
                bytes_case c = {sizes[s], x, scaled ? 1.0 / 255 : 1};
                for (int64_t i = 0; i < c.n; i++) {
                    expected[i] = x[i] * c.scale;
                }
                check_run("bytes", dtypes[d], c.n, run_bytes, &c, NULL, expected, close);
            }
            free(expected);
        }
    }
}

/* One bad number anywhere is found; the numbers around the array are not looked at. */
static void test_all_finite(void **state) {
    (void)state;
    static const int64_t sizes[] = {0, 1, 7, 16, 17, 129, 1000, 300001};
    static const double bad[] = {(double)INFINITY, (double)-INFINITY, (double)NAN};
    for (int level = 0; level < CHECK_LEVELS; level++) {
        for (int t = 0; t < CHECK_THREADS && check_context[level][t] != NULL; t++) {
            kata_context *context = check_context[level][t];
            for (int d = 0; d < 2; d++) {
                for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
                    const int64_t n = sizes[s], step = n < 300 ? 1 : n / 97;
                    const size_t size = kata_dtype_size(dtypes[d]);
                    char *block = check_random(dtypes[d], n + 2, -1e30, 1e30, 5);
                    char *x = block + size;
                    kata_store(dtypes[d], block, 0, (double)NAN);
                    kata_store(dtypes[d], block, n + 1, (double)NAN);
                    assert_true(kata__all_finite(context, dtypes[d], n, x));
                    for (int64_t i = 0; i < n; i += step) {
                        const double kept = kata_load(dtypes[d], x, i);
                        kata_store(dtypes[d], x, i, bad[i % 3]);
                        assert_false(kata__all_finite(context, dtypes[d], n, x));
                        kata_store(dtypes[d], x, i, kept);
                    }
                    free(block);
                }
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unary),      cmocka_unit_test(test_broadcast),
        cmocka_unit_test(test_strides),    cmocka_unit_test(test_binary_special),
        cmocka_unit_test(test_dropout),    cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_all_finite),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
