/* Philox4x32-10 and what is drawn from it. */
#include "base/random.h"

#include <math.h>

static uint64_t mix(uint64_t x) {
    x ^= x >> 33;
    x *= 0xFF51AFD7ED558CCDu;
    x ^= x >> 33;
    x *= 0xC4CEB9FE1A85EC53u;
    x ^= x >> 33;
    return x;
}

static uint64_t uniform_key(uint64_t seed, uint32_t stream) {
    return seed ^ mix(stream);
}

uint64_t kata__random_uniform_key(uint64_t seed, uint32_t stream) {
    return uniform_key(seed, stream);
}

static uint64_t normal_key(uint64_t seed, uint32_t stream) {
    return seed ^ mix((uint64_t)1 << 32 | stream);
}

/* Salmon et al. 2011, section 3.3; multipliers and Weyl constants of their table. */
static inline void philox(uint64_t key, uint64_t counter_high, uint64_t counter_low,
                          uint32_t out[4]) {
    uint32_t c0 = (uint32_t)counter_low, c1 = (uint32_t)(counter_low >> 32);
    uint32_t c2 = (uint32_t)counter_high, c3 = (uint32_t)(counter_high >> 32);
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c0 = n0;
        c1 = (uint32_t)p1;
        c2 = n2;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void kata__philox(uint64_t key, uint64_t counter_high, uint64_t counter_low, uint32_t out[4]) {
    philox(key, counter_high, counter_low, out);
}

uint32_t kata_random_bits(uint64_t seed, uint32_t stream, uint64_t step, uint64_t index) {
    uint32_t block[4];
    philox(uniform_key(seed, stream), step, index / 4, block);
    return block[index % 4];
}

/* [0, 1) by 24 bits: each value is a float exactly. */
static inline float unit_float(uint32_t bits) {
    return (float)(bits >> 8) * 0x1p-24f;
}

float kata_random_uniform(uint64_t seed, uint32_t stream, uint64_t step, uint64_t index) {
    return unit_float(kata_random_bits(seed, stream, step, index));
}

void kata__random_fill_uniform(float *out, int64_t n, uint64_t seed, uint32_t stream, uint64_t step,
                               uint64_t first_index) {
    uint64_t key = uniform_key(seed, stream);
    uint32_t block[4];
    int64_t i = 0;
    while (i < n) {
        uint64_t index = first_index + (uint64_t)i;
        philox(key, step, index / 4, block);
        if (index % 4 == 0 && n - i >= 4) {
            for (int word = 0; word < 4; word++) {
                out[i + word] = unit_float(block[word]);
            }
            i += 4;
            continue;
        }
        for (uint64_t word = index % 4; word < 4 && i < n; word++) {
            out[i++] = unit_float(block[word]);
        }
    }
}

/* Natural logarithm of a normal number in (0, 1]: x = m 2^e with m in [sqrt(1/2), sqrt(2)),
 * log m = 2 atanh(s), s = (m - 1) / (m + 1), |s| < 0.1716, by its series up to s^23.
 * Only + - * / on doubles, so the same bits everywhere; error below 1 unit in the last place or
 * two. */
static double logarithm(double x) {
    union {
        double value;
        uint64_t bits;
    } u = {x};
    int exponent = (int)(u.bits >> 52) - 1023;
    u.bits = (u.bits & 0x000FFFFFFFFFFFFFu) | 0x3FF0000000000000u;
    if (u.value > 1.4142135623730951) {
        u.value *= 0.5;
        exponent++;
    }
    double s = (u.value - 1.0) / (u.value + 1.0), z = s * s, sum = 0.0;
    for (int k = 23; k >= 3; k -= 2) {
        sum = z * (sum + 1.0 / k);
    }
    /* ln 2 in two parts: exponent * the high one is exact. */
    double high = exponent * 0x1.62e42fefap-1, low = exponent * 0x1.cf79abc9e3b3ap-40;
    return high + (2.0 * s + (2.0 * s * sum + low));
}

/* sin and cos of 2 pi u, u in [0, 1). Taylor series on [-pi/4, pi/4] after an exact reduction. */
static void sine_cosine(double u, double *sine, double *cosine) {
    int quarter = (int)(4.0 * u + 0.5);
    double x = 6.283185307179586477 * (u - 0.25 * quarter), z = x * x;
    double s = 0.0, c = 0.0;
    for (int k = 18; k >= 2; k -= 2) {
        s = -z * (1.0 + s) / (double)(k * (k + 1));
        c = -z * (1.0 + c) / (double)(k * (k - 1));
    }
    s = x + x * s;
    c = 1.0 + c;
    switch (quarter & 3) {
    case 0:
        *sine = s, *cosine = c;
        break;
    case 1:
        *sine = c, *cosine = -s;
        break;
    case 2:
        *sine = -s, *cosine = -c;
        break;
    default:
        *sine = -c, *cosine = s;
        break;
    }
}

/* Box and Muller 1958: both normal numbers of a Philox block. u1 is in (0, 1], u2 in [0, 1). */
static void normal_pair(uint64_t key, uint64_t step, uint64_t pair, double out[2]) {
    uint32_t word[4];
    philox(key, step, pair, word);
    uint64_t a = (uint64_t)word[1] << 32 | word[0], b = (uint64_t)word[3] << 32 | word[2];
    double u1 = (double)((a >> 11) + 1) * 0x1p-53, u2 = (double)(b >> 11) * 0x1p-53;
    double radius = sqrt(-2.0 * logarithm(u1)), sine, cosine;
    sine_cosine(u2, &sine, &cosine);
    out[0] = radius * cosine;
    out[1] = radius * sine;
}

double kata_random_normal(uint64_t seed, uint32_t stream, uint64_t step, uint64_t index) {
    double pair[2];
    normal_pair(normal_key(seed, stream), step, index / 2, pair);
    return pair[index % 2];
}

void kata__random_fill_normal(float *out, int64_t n, uint64_t seed, uint32_t stream, uint64_t step,
                              uint64_t first_index) {
    uint64_t key = normal_key(seed, stream);
    double pair[2];
    for (int64_t i = 0; i < n; i++) {
        uint64_t index = first_index + (uint64_t)i;
        if (i == 0 || index % 2 == 0) {
            normal_pair(key, step, index / 2, pair);
        }
        out[i] = (float)pair[index % 2];
    }
}

/* floor(a * b / 2^64) */
static uint64_t multiply_high(uint64_t a, uint64_t b) {
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t low = a0 * b0, middle = a1 * b0 + (low >> 32), other = a0 * b1 + (uint32_t)middle;
    return a1 * b1 + (middle >> 32) + (other >> 32);
}

void kata__random_permutation(uint64_t seed, uint32_t stream, uint64_t step, int64_t n,
                              int64_t *order) {
    uint64_t key = uniform_key(seed, stream);
    uint32_t word[4] = {0};
    for (int64_t i = 0; i < n; i++) {
        order[i] = i;
    }
    for (int64_t i = n - 1; i > 0; i--) {
        /* 64 bits for each place: j in 0..i is uniform to within i / 2^64. */
        uint64_t draw = (uint64_t)(n - 1 - i);
        if (draw % 2 == 0) {
            philox(key, step, draw / 2, word);
        }
        uint64_t bits = (uint64_t)word[draw % 2 * 2 + 1] << 32 | word[draw % 2 * 2];
        int64_t j = (int64_t)multiply_high(bits, (uint64_t)i + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}
