/* Philox against the published vectors; what is drawn from it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Random123 1.09, tests/kat_vectors: philox4x32 10. */
static void known_answers(void **state) {
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < KATA__COUNT(cases); i++) {
        const uint32_t *c = cases[i].counter, *k = cases[i].key;
        uint32_t out[4];
        kata__philox((uint64_t)k[1] << 32 | k[0], (uint64_t)c[3] << 32 | c[2],
                     (uint64_t)c[1] << 32 | c[0], out);
        assert_memory_equal(out, cases[i].out, sizeof out);
    }
    /* Stream 0 of seed 0 at step 0 is the plain generator. */
    assert_int_equal(kata_random_bits(0, 0, 0, 0), 0x6627e8d5);
    assert_int_equal(kata_random_bits(0, 0, 0, 3), 0x9b00dbd8);
}

/* Golden: files and documents rest on these numbers; they must never change. */
static void golden(void **state) {
    (void)state;
    assert_int_equal(kata_random_bits(42, KATA__STREAM_DROPOUT, 7, 1000000007), 0xceadb80f);
    assert_true(kata_random_uniform(42, 1, 2, 3) == 0x1.da04cp-3f);
    assert_true(kata_random_normal(42, 1, 2, 3) == -0x1.d87c6f01c238cp-4);
    assert_true(kata_random_normal(42, 1, 2, 4) == -0x1.032f8ae3eb995p-1);
    int64_t order[8];
    kata__random_permutation(42, KATA__STREAM_SHUFFLE, 1, 8, order);
    static const int64_t expected[8] = {5, 0, 6, 2, 7, 4, 3, 1};
    assert_memory_equal(order, expected, sizeof order);
}

/* Arguments that differ in one place give other numbers. */
static void arguments_matter(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 64; i++) {
        uint64_t bit = (uint64_t)1 << i;
        int same = 0;
        for (uint64_t index = 0; index < 4; index++) {
            same += kata_random_bits(5, 6, 7, index) == kata_random_bits(5 ^ bit, 6, 7, index);
            same += kata_random_bits(5, 6, 7, index) == kata_random_bits(5, 6, 7 ^ bit, index);
            if (i < 32) {
                same += kata_random_bits(5, 6, 7, index) ==
                        kata_random_bits(5, 6 ^ (uint32_t)bit, 7, index);
            }
            if (i >= 2) {
                same += kata_random_bits(5, 6, 7, index) == kata_random_bits(5, 6, 7, index ^ bit);
            }
        }
        assert_int_equal(same, 0);
    }
}

static void uniform(void **state) {
    (void)state;
    enum { N = 200000, BINS = 64 };
    double sum = 0, squares = 0;
    int bin[BINS] = {0};
    for (uint64_t i = 0; i < N; i++) {
        float u = kata_random_uniform(1, 2, 3, i);
        assert_true(u >= 0 && u < 1);
        sum += (double)u;
        squares += (double)u * (double)u;
        bin[(int)(u * BINS)]++;
    }
    assert_true(fabs(sum / N - 0.5) < 0.003);
    assert_true(fabs(squares / N - 1.0 / 3) < 0.003);
    double chi = 0;
    for (int i = 0; i < BINS; i++) {
        double expected = (double)N / BINS, d = bin[i] - expected;
        chi += d * d / expected;
    }
    assert_true(chi > 30 && chi < 110); /* 63 degrees of freedom */
}

static void bulk_is_scalar(void **state) {
    (void)state;
    static const uint64_t firsts[] = {0, 1, 2, 3, 4, 1001, UINT64_MAX - 5};
    float out[41];
    for (size_t f = 0; f < KATA__COUNT(firsts); f++) {
        for (int64_t n = 0; n < 40; n++) {
            out[n] = -7;
            kata__random_fill_uniform(out, n, 9, 8, 7, firsts[f]);
            assert_true(out[n] == -7);
            for (int64_t i = 0; i < n; i++) {
                assert_true(out[i] == kata_random_uniform(9, 8, 7, firsts[f] + (uint64_t)i));
            }
            kata__random_fill_normal(out, n, 9, 8, 7, firsts[f]);
            for (int64_t i = 0; i < n; i++) {
                assert_true(out[i] == (float)kata_random_normal(9, 8, 7, firsts[f] + (uint64_t)i));
            }
        }
    }
}

/* Against Box-Muller with libm, from the documented mapping. */
static void normal_against_libm(void **state) {
    (void)state;
    double worst = 0;
    for (uint64_t pair = 0; pair < 100000; pair++) {
        uint32_t w[4];
        kata__philox(0x1234, 11, pair, w);
        /* The key of stream s is seed ^ mix(2^32 + s): found back by asking for this seed. */
        uint64_t x = (uint64_t)1 << 32;
        x ^= x >> 33;
        x *= 0xFF51AFD7ED558CCDu;
        x ^= x >> 33;
        x *= 0xC4CEB9FE1A85EC53u;
        x ^= x >> 33;
        uint64_t a = (uint64_t)w[1] << 32 | w[0], b = (uint64_t)w[3] << 32 | w[2];
        double u1 = (double)((a >> 11) + 1) * 0x1p-53, u2 = (double)(b >> 11) * 0x1p-53;
        double radius = sqrt(-2 * log(u1)), angle = 6.283185307179586477 * u2;
        double c = kata_random_normal(0x1234 ^ x, 0, 11, 2 * pair) - radius * cos(angle);
        double s = kata_random_normal(0x1234 ^ x, 0, 11, 2 * pair + 1) - radius * sin(angle);
        worst = fmax(worst, fmax(fabs(c), fabs(s)));
    }
    assert_true(worst < 5e-15); /* the angle's own rounding in libm's argument is 4e-16 * radius */
}

static void normal_moments(void **state) {
    (void)state;
    enum { N = 400000 };
    double m1 = 0, m2 = 0, m3 = 0, m4 = 0, product = 0, before = 0;
    int beyond = 0;
    for (uint64_t i = 0; i < N; i++) {
        double z = kata_random_normal(3, 2, 1, i);
        m1 += z;
        m2 += z * z;
        m3 += z * z * z;
        m4 += z * z * z * z;
        product += z * before;
        before = z;
        beyond += fabs(z) > 1.959963984540054;
    }
    assert_true(fabs(m1 / N) < 0.008);
    assert_true(fabs(m2 / N - 1) < 0.01);
    assert_true(fabs(m3 / N) < 0.02);
    assert_true(fabs(m4 / N - 3) < 0.08);
    assert_true(fabs(product / N) < 0.008);
    assert_true(fabs((double)beyond / N - 0.05) < 0.002);
}

static void permutation(void **state) {
    (void)state;
    enum { N = 10007 };
    int64_t *order = malloc(N * sizeof *order);
    char *seen = calloc(N, 1);
    assert_non_null(order);
    assert_non_null(seen);
    kata__random_permutation(1, KATA__STREAM_SHUFFLE, 0, N, order);
    int64_t fixed = 0;
    for (int64_t i = 0; i < N; i++) {
        assert_true(order[i] >= 0 && order[i] < N && !seen[order[i]]);
        seen[order[i]] = 1;
        fixed += order[i] == i;
    }
    assert_true(fixed < 10);
    free(order);
    free(seen);
    int64_t one[1] = {-1};
    kata__random_permutation(1, 2, 3, 0, one);
    assert_int_equal(one[0], -1);
    kata__random_permutation(1, 2, 3, 1, one);
    assert_int_equal(one[0], 0);
    /* Each of the 24 orders of 4 about equally often. */
    int count[256] = {0}, n_orders = 0;
    for (uint64_t step = 0; step < 24000; step++) {
        int64_t o[4];
        kata__random_permutation(4, 5, step, 4, o);
        count[o[0] * 64 + o[1] * 16 + o[2] * 4 + o[3]]++;
    }
    for (int i = 0; i < 256; i++) {
        if (count[i] > 0) {
            n_orders++;
            assert_true(count[i] > 850 && count[i] < 1150);
        }
    }
    assert_int_equal(n_orders, 24);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),    cmocka_unit_test(golden),
        cmocka_unit_test(arguments_matter), cmocka_unit_test(uniform),
        cmocka_unit_test(bulk_is_scalar),   cmocka_unit_test(normal_against_libm),
        cmocka_unit_test(normal_moments),   cmocka_unit_test(permutation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
