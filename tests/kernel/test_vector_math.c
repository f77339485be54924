/* The errors of the vector functions, measured over a dense sweep of float32 and asserted; special
 * values; float64 against libm. */
#include "kernel/elementwise_check.h"
#include "kernel/elementwise.h"

enum { SWEEP = 1 << 16 };

static float from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* |got - exact| in units of the last place of the float nearest to exact. */
static double ulps(float got, double exact) {
    if (isnan(exact)) {
        return isnan(got) ? 0 : INFINITY;
    }
    const float nearest = (float)exact;
    if (isinf(nearest) || isinf(got)) {
        /* Up to a unit beyond the largest float, infinity and it are both right. */
        return nearest == got                                                      ? 0
               : fabs(exact) < 0x1.000002p128 && fabsf(nearest) >= 0x1.fffffep127f ? 1
                                                                                   : INFINITY;
    }
    int exponent;
    frexp(exact, &exponent);
    const double unit = ldexp(1.0, (exponent < -125 ? -125 : exponent) - 24);
    return fabs((double)got - exact) / unit;
}

static double softplus(double x) {
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

static double sigmoid(double x) {
    return 1.0 / (1.0 + exp(-x));
}

static double elu(double x) {
    return x < 0 ? expm1(x) : x;
}

static double reciprocal(double x) {
    return 1.0 / x;
}

/* The largest error over all floats `step` apart in [low, high] (by bits, both signs). */
static double sweep(kata_context *context, kata__unary op, double (*exact)(double), float limit,
                    uint32_t step, float *where) {
    static float x[SWEEP], y[SWEEP];
    double worst = 0;
    uint64_t bits = 0;
    uint32_t last;
    memcpy(&last, &limit, sizeof last);
    while (bits <= last) {
        int n = 0;
        for (; n + 2 <= SWEEP && bits <= last; bits += step) {
            x[n++] = from_bits((uint32_t)bits);
            x[n++] = -from_bits((uint32_t)bits);
        }
        kata__unary_run(context, KATA_F32, op, n, x, y, 1.0, 1.0);
        for (int i = 0; i < n; i++) {
            const double error = ulps(y[i], exact((double)x[i]));
            if (error > worst) {
                worst = error;
                *where = x[i];
            }
        }
    }
    return worst;
}

static void test_ulp(void **state) {
    (void)state;
    static const struct {
        const char *name;
        kata__unary op;
        double (*exact)(double);
        float limit;
        double allowed;
    } row[] = {
        {"exp", KATA__EXP, exp, 110.0f, 1.1},
        {"log", KATA__LOG, log, 3.4e38f, 1.0},
        {"tanh", KATA__TANH, tanh, 100.0f, 1.5},
        {"erf", KATA__ERF, erf, 10.0f, 1.4},
        {"sigmoid", KATA__SIGMOID, sigmoid, 110.0f, 2.6},
        {"softplus", KATA__SOFTPLUS, softplus, 110.0f, 2.1},
        {"expm1 (ELU)", KATA__ELU, elu, 110.0f, 1.2},
        {"sqrt", KATA__SQRT, sqrt, 3.4e38f, 0.5},
        {"reciprocal", KATA__RECIPROCAL, reciprocal, 3.4e38f, 0.5},
    };
    for (int level = 0; level < CHECK_LEVELS; level++) {
        kata_context *context = check_context[level][0];
        if (context == NULL) {
            continue;
        }
        for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
            float where = 0;
            const double worst =
                sweep(context, row[i].op, row[i].exact, row[i].limit, 1009, &where);
            printf("%-9s %-12s at most %.3f ulp (at %a)\n", check_level_name[level], row[i].name,
                   worst, (double)where);
            assert_true(worst <= row[i].allowed);
        }
    }
}

/* Every float of the ranges where a reduction of the argument changes its branch. */
static void test_ulp_dense(void **state) {
    (void)state;
    static float x[SWEEP], y[SWEEP];
    static const struct {
        kata__unary op;
        double (*exact)(double);
        float around;
        double allowed;
    } row[] = {
        {KATA__EXP, exp, 0.34657359f, 1.5},  {KATA__EXP, exp, 88.7228394f, 1.5},
        {KATA__EXP, exp, -87.3365479f, 1.5}, {KATA__EXP, exp, -103.972084f, 1.5},
        {KATA__LOG, log, 0.70710678f, 1.5},  {KATA__LOG, log, 1.41421356f, 1.5},
        {KATA__LOG, log, 1.0f, 1.5},         {KATA__LOG, log, 1.17549435e-38f, 1.5},
        {KATA__TANH, tanh, 0.625f, 2.5},     {KATA__TANH, tanh, 9.0f, 2.5},
        {KATA__ERF, erf, 0.95f, 1.5},        {KATA__ERF, erf, 4.0f, 1.5},
    };
    for (int level = 0; level < CHECK_LEVELS; level++) {
        for (size_t i = 0; i < sizeof row / sizeof row[0] && check_context[level][0]; i++) {
            uint32_t bits;
            memcpy(&bits, &row[i].around, sizeof bits);
            for (uint32_t j = 0; j < SWEEP; j++) {
                x[j] = from_bits(bits - SWEEP / 2 + j);
            }
            kata__unary_run(check_context[level][0], KATA_F32, row[i].op, SWEEP, x, y, 1, 1);
            for (int j = 0; j < SWEEP; j++) {
                if (!(ulps(y[j], row[i].exact((double)x[j])) <= row[i].allowed)) {
                    fail_msg("%s: op %d at %a gives %a", check_level_name[level], (int)row[i].op,
                             (double)x[j], (double)y[j]);
                }
            }
        }
    }
}

static const double special[] = {
    0.0,        -0.0,       1.0,         -1.0,   0.5,    -0.5,      2.0,        -2.0,
    3.0,        -3.0,       1e-45,       -1e-45, 1e-40,  -1e-40,    1.2e-38,    3.4e38,
    -3.4e38,    1e30,       -1e30,       100.0,  -100.0, 8388607.5, -8388609.0, 4194304.5,
    -4194305.0, 16777215.0, -16777216.0, 1e10,   -1e10,  INFINITY,  -INFINITY,  NAN};
enum { SPECIALS = sizeof special / sizeof special[0] };

/* Results that are 0, infinite or NaN must be exactly those of libm, the sign of zeros included. */
static void same_kind(const char *what, const char *level, double a, double b, float got,
                      double exact, double allowed) {
    const float nearest = (float)exact;
    const bool same = isnan(exact) ? isnan(got)
                      : nearest == 0 || isinf(nearest)
                          ? got == nearest && signbit(got) == signbit(nearest)
                          : ulps(got, exact) <= allowed;
    if (!same) {
        fail_msg("%s (%s) of %g, %g is %g, expected %g", what, level, a, b, (double)got, exact);
    }
}

static void test_special(void **state) {
    (void)state;
    static const struct {
        const char *name;
        kata__unary op;
        double (*exact)(double);
    } row[] = {{"exp", KATA__EXP, exp},
               {"log", KATA__LOG, log},
               {"tanh", KATA__TANH, tanh},
               {"erf", KATA__ERF, erf},
               {"sqrt", KATA__SQRT, sqrt},
               {"sigmoid", KATA__SIGMOID, sigmoid},
               {"softplus", KATA__SOFTPLUS, softplus},
               {"elu", KATA__ELU, elu}};
    for (int level = 0; level < CHECK_LEVELS; level++) {
        for (size_t i = 0; i < sizeof row / sizeof row[0] && check_context[level][0]; i++) {
            for (int j = 0; j < SPECIALS; j++) {
                const float x = (float)special[j];
                float y;
                kata__unary_run(check_context[level][0], KATA_F32, row[i].op, 1, &x, &y, 1, 1);
                same_kind(row[i].name, check_level_name[level], (double)x, 0, y,
                          row[i].exact((double)x), 3);
            }
        }
    }
}

static void test_pow(void **state) {
    (void)state;
    enum { N = 1 << 20 };
    const kata_shape many = KATA_SHAPE_OF(N), one = KATA_SHAPE_OF(1);
    const int64_t unit[1] = {1};
    float *a = check_random(KATA_F32, N, 0.0, 1.0, 1), *b = check_random(KATA_F32, N, -1.0, 1.0, 2);
    float *z = check_alloc(N * sizeof *z);
    for (int i = 0; i < N; i++) {
        /* Bases over all exponents, powers such that results are too. */
        a[i] = ldexpf(1.0f + a[i], (int)(kata_random_bits(7, 3, 0, (uint64_t)i) % 250) - 125);
        b[i] *= (i & 1) != 0 ? 1.0f : 40.0f;
    }
    for (int level = 0; level < CHECK_LEVELS; level++) {
        kata_context *context = check_context[level][0];
        if (context == NULL) {
            continue;
        }
        kata__binary_run(context, KATA_F32, KATA__POW, &many, a, unit, b, unit, z);
        double worst = 0;
        for (int i = 0; i < N; i++) {
            worst = fmax(worst, ulps(z[i], pow((double)a[i], (double)b[i])));
        }
        printf("%-9s %-12s at most %.3f ulp\n", check_level_name[level], "pow", worst);
        assert_true(worst <= 0.502);
        for (int i = 0; i < SPECIALS; i++) {
            for (int j = 0; j < SPECIALS; j++) {
                const float x = (float)special[i], y = (float)special[j];
                float got[2];
                kata__binary_run(context, KATA_F32, KATA__POW, &one, &x, unit, &y, unit, &got[0]);
                const int64_t zero[1] = {0};
                kata__binary_run(context, KATA_F32, KATA__POW, &one, &x, zero, &y, zero, &got[1]);
                same_kind("pow", check_level_name[level], (double)x, (double)y, got[0],
                          pow((double)x, (double)y), 0.502);
                same_kind("pow", check_level_name[level], (double)x, (double)y, got[1],
                          pow((double)x, (double)y), 0.502);
            }
        }
    }
    free(a);
    free(b);
    free(z);
}

/* The place of an element never changes its bits: any offset, any length. */
static void test_place(void **state) {
    (void)state;
    enum { N = 300 };
    float *x = check_random(KATA_F32, N, -5.0, 5.0, 4), all[N], y[N];
    for (int level = 0; level < CHECK_LEVELS; level++) {
        for (int op = 0; op < KATA__UNARY_COUNT && check_context[level][0] != NULL; op++) {
            kata__unary_run(check_context[level][0], KATA_F32, (kata__unary)op, N, x, all, .3, .7);
            for (int start = 0; start < 80; start += 7) {
                for (int n = 1; n < 200; n += 13) {
                    kata__unary_run(check_context[level][0], KATA_F32, (kata__unary)op, n,
                                    x + start, y, .3, .7);
                    assert_memory_equal(y, all + start, (size_t)n * sizeof *y);
                }
            }
        }
    }
    free(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ulp),     cmocka_unit_test(test_ulp_dense),
        cmocka_unit_test(test_special), cmocka_unit_test(test_pow),
        cmocka_unit_test(test_place),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
