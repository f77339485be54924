/* exp, log, tanh, erf, sigmoid, softplus, pow: one element in, one element out, written without
 * branches so that a loop over them becomes vector code on every instruction set.
 *
 * Included by body/elementwise.h with REAL (float or double), REAL_BITS (32 or 64) and NAME(x), a
 * different name for each type.
 *
 * float: own polynomials. Largest errors in units of the last place, measured and asserted over all
 * exponents by tests/kernel/test_vector_math.c:
 *     exp 1.0   log 0.8   tanh 1.2   erf 1.2   sigmoid 2.4   softplus 1.9   expm1 0.9   pow 0.5
 * Infinities, NaN, signed zeros, overflow and subnormal arguments and results are as in libm, with
 * one difference: the NaN of a domain error may have either sign.
 * double: libm for each element, exact but slow; float64 is there for gradient checks and the
 * books.
 *
 * fma(a, b, c) is written out where the order matters, so that the compiler has no choice of which
 * product to contract and every loop that inlines a function gives the same bits. */

#include <math.h>

#undef KATA__C
#if REAL_BITS == 32
#define KATA__C(x) x##f
#else
#define KATA__C(x) x
#endif

KATA__LOCAL double NAME(fma64)(double a, double b, double c) {
#if !defined(__FMA__) && !defined(__ARM_FEATURE_FMA)
    return a * b + c;
#else
    return __builtin_fma(a, b, c);
#endif
}

KATA__LOCAL REAL NAME(abs)(REAL x) {
#if REAL_BITS == 32
    return __builtin_fabsf(x);
#else
    return __builtin_fabs(x);
#endif
}

KATA__LOCAL REAL NAME(sqrt)(REAL x) {
#if REAL_BITS == 32
    return __builtin_sqrtf(x);
#else
    return __builtin_sqrt(x);
#endif
}

KATA__LOCAL REAL NAME(copysign)(REAL size, REAL sign) {
#if REAL_BITS == 32
    return __builtin_copysignf(size, sign);
#else
    return __builtin_copysign(size, sign);
#endif
}

#if REAL_BITS == 32

KATA__LOCAL uint32_t NAME(to_bits)(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

KATA__LOCAL float NAME(from_bits)(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

KATA__LOCAL uint64_t NAME(to_bits64)(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

KATA__LOCAL double NAME(from_bits64)(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* x = n ln 2 + r with |r| <= ln(2)/2; returns e^r - 1 and n. Adding 1.5 2^23 rounds to an integer
 * that then stands in the low bits: no conversion, so that a NaN does no harm. The high part of ln
 * 2 has 9 bits, so n * high is exact. |x| < 2^21. */
KATA__LOCAL float NAME(exp_reduce)(float x, uint32_t *n_bits) {
    const float magic = 12582912.0f;
    float t = NAME(fma)(x, 1.44269504f, magic);
    float n = t - magic;
    float r = NAME(fma)(n, -0.693359375f, x);
    r = NAME(fma)(n, 2.12194440e-4f, r);
    *n_bits = NAME(to_bits)(t) - 0x4b400000u;
    /* (e^r - 1 - r) / r^2, the coefficients of Cephes' expf (S. Moshier). */
    float p = 1.9875691500e-4f;
    p = NAME(fma)(p, r, 1.3981999507e-3f);
    p = NAME(fma)(p, r, 8.3334519073e-3f);
    p = NAME(fma)(p, r, 4.1665795894e-2f);
    p = NAME(fma)(p, r, 1.6666665459e-1f);
    p = NAME(fma)(p, r, 5.0000001201e-1f);
    return NAME(fma)(p, r * r, r);
}

/* 2^n in two factors, so that 2^128 and the subnormals need no special case. */
KATA__LOCAL float NAME(exp)(float x) {
    x = x < -104.0f ? -104.0f : x; /* 2^-150 rounds to 0 */
    x = x > 89.0f ? 89.0f : x;     /* above the largest float */
    uint32_t n;
    float e = NAME(exp_reduce)(x, &n) + 1.0f;
    uint32_t half = (uint32_t)((int32_t)n >> 1);
    float low = NAME(from_bits)((half + 127u) << 23);
    float high = NAME(from_bits)((n - half + 127u) << 23);
    return e * low * high;
}

/* e^x - 1 for x <= 0: 2^n (e^r - 1) + (2^n - 1), no cancellation near 0. */
KATA__LOCAL float NAME(expm1_negative)(float x) {
    x = x < -87.0f ? -87.0f : x;
    uint32_t n;
    float q = NAME(exp_reduce)(x, &n);
    float scale = NAME(from_bits)((n + 127u) << 23);
    return NAME(fma)(scale, q, scale - 1.0f);
}

/* x = 2^e m with m in [sqrt(1/2), sqrt(2)); log(1 + f) = f - f^2/2 + f^3 P(f) as in Cephes. */
KATA__LOCAL float NAME(log)(float x) {
    float tiny = x < 1.17549435e-38f ? 1.0f : 0.0f;
    float scaled = x * (tiny > 0.0f ? 8388608.0f : 1.0f);
    uint32_t bits = NAME(to_bits)(scaled) - 0x3f3504f3u;
    float e = (float)((int32_t)bits >> 23) - 23.0f * tiny;
    float f = NAME(from_bits)((bits & 0x007fffffu) + 0x3f3504f3u) - 1.0f;
    float z = f * f;
    float p = 7.0376836292e-2f;
    p = NAME(fma)(p, f, -1.1514610310e-1f);
    p = NAME(fma)(p, f, 1.1676998740e-1f);
    p = NAME(fma)(p, f, -1.2420140846e-1f);
    p = NAME(fma)(p, f, 1.4249322787e-1f);
    p = NAME(fma)(p, f, -1.6668057665e-1f);
    p = NAME(fma)(p, f, 2.0000714765e-1f);
    p = NAME(fma)(p, f, -2.4999993993e-1f);
    p = NAME(fma)(p, f, 3.3333331174e-1f);
    float y = NAME(fma)(e, -2.12194440e-4f, f * z * p);
    y = NAME(fma)(z, -0.5f, y);
    y = NAME(fma)(e, 0.693359375f, f + y);
    y = x <= 3.40282347e+38f ? y : x; /* inf, NaN */
    y = x == 0.0f ? -__builtin_inff() : y;
    return x < 0.0f ? __builtin_nanf("") : y;
}

/* log(1 + u) for u in [0, 1]: log(w) + (u - (w - 1))/w with w = 1 + u rounded. */
KATA__LOCAL float NAME(log1p_unit)(float u) {
    float w = 1.0f + u;
    float lost = u - (w - 1.0f);
    return NAME(log)(w) + lost / w;
}

/* |x| < 0.625: x + x^3 P(x^2) (Cephes' tanhf); else 1 - 2/(e^(2|x|) + 1). */
KATA__LOCAL float NAME(tanh)(float x) {
    float size = NAME(abs)(x);
    float z = x * x;
    float p = -5.70498872745e-3f;
    p = NAME(fma)(p, z, 2.06390887954e-2f);
    p = NAME(fma)(p, z, -5.37397155531e-2f);
    p = NAME(fma)(p, z, 1.33314422036e-1f);
    p = NAME(fma)(p, z, -3.33332819422e-1f);
    float small = NAME(fma)(p * z, x, x);
    float large = 1.0f - 2.0f / (NAME(exp)(size + size) + 1.0f);
    return NAME(copysign)(size < 0.625f ? small : large, x); /* -0 stays -0 */
}

/* |x| < 0.95: x + x P(x^2); else 1 - e^(-Q(|x|)). P and Q are Chebyshev fits of erf(x)/x - 1 on
 * [0, 1] (error 1.3e-9) and of -log(1 - erf) on [0.9, 4] (error 2e-8); erf(4) is 1 in float. */
KATA__LOCAL float NAME(erf)(float x) {
    float size = NAME(abs)(x);
    float z = x * x;
    float p = 7.87587506269e-5f;
    p = NAME(fma)(p, z, -8.01686428717e-4f);
    p = NAME(fma)(p, z, 5.18908742343e-3f);
    p = NAME(fma)(p, z, -2.68542120106e-2f);
    p = NAME(fma)(p, z, 1.12835947152e-1f);
    p = NAME(fma)(p, z, -3.76126266667e-1f);
    p = NAME(fma)(p, z, 1.28379165848e-1f);
    float small = NAME(fma)(p, x, x);
    float t = size > 4.0f ? 4.0f : size;
    float q = -1.64306365569e-6f;
    q = NAME(fma)(q, t, 4.61638586252e-5f);
    q = NAME(fma)(q, t, -5.9758577023e-4f);
    q = NAME(fma)(q, t, 4.76262583251e-3f);
    q = NAME(fma)(q, t, -2.64276371535e-2f);
    q = NAME(fma)(q, t, 1.10087166496e-1f);
    q = NAME(fma)(q, t, 6.31823918106e-1f);
    q = NAME(fma)(q, t, 1.13023105522f);
    q = NAME(fma)(q, t, -3.18539662412e-4f);
    float large = 1.0f - NAME(exp)(-q);
    return size < 0.95f ? small : NAME(copysign)(large, x);
}

/* 1/(1 + e^-x), from e^-|x| <= 1 on both sides: no overflow, full relative accuracy down to the
 * subnormals. */
KATA__LOCAL float NAME(sigmoid)(float x) {
    float e = NAME(exp)(-NAME(abs)(x));
    float s = 1.0f / (1.0f + e);
    return x < 0.0f ? e * s : s;
}

/* a^b as IEEE 754 pow, in double inside: log2 |a| = e + 2/ln 2 (s + s^3/3 + ...), s = (m-1)/(m+1);
 * 2^(n + r) from the series of e^(r ln 2). Both series are cut below 1e-11. */
KATA__LOCAL float NAME(pow)(float a, float b) {
    float size = NAME(abs)(a);
    uint64_t bits = NAME(to_bits64)((double)size) - 0x3fe6a09e667f3bcdu;
    /* The exponent as a double without a 64-bit conversion: 2^52 + 2^51 + e, minus 2^52 + 2^51. The
     * bias of 2048 keeps it positive for the unsigned shift. */
    double e = NAME(from_bits64)(0x4338000000000000u + ((bits + (2048ull << 52)) >> 52)) -
               (6755399441055744.0 + 2048.0);
    double m = NAME(from_bits64)((bits & 0x000fffffffffffffu) + 0x3fe6a09e667f3bcdu);
    double s = (m - 1.0) / (m + 1.0);
    double z = s * s;
    double p = 1.0 / 13.0;
    p = NAME(fma64)(p, z, 1.0 / 11.0);
    p = NAME(fma64)(p, z, 1.0 / 9.0);
    p = NAME(fma64)(p, z, 1.0 / 7.0);
    p = NAME(fma64)(p, z, 1.0 / 5.0);
    p = NAME(fma64)(p, z, 1.0 / 3.0);
    p = NAME(fma64)(p, z, 1.0);
    double log2_size = NAME(fma64)(p * s, 2.8853900817779268, e);
    log2_size = size == 0.0f ? -__builtin_inf() : log2_size;
    log2_size = size <= 3.40282347e+38f ? log2_size : (double)size;
    double y = (double)b * log2_size;
    y = y < -200.0 ? -200.0 : y;
    y = y > 200.0 ? 200.0 : y;
    const double magic = 6755399441055744.0;
    double t = y + magic;
    double r = (y - (t - magic)) * 0.69314718055994531;
    uint64_t n = NAME(to_bits64)(t) - 0x4338000000000000u;
    double q = 1.0 / 362880.0;
    q = NAME(fma64)(q, r, 1.0 / 40320.0);
    q = NAME(fma64)(q, r, 1.0 / 5040.0);
    q = NAME(fma64)(q, r, 1.0 / 720.0);
    q = NAME(fma64)(q, r, 1.0 / 120.0);
    q = NAME(fma64)(q, r, 1.0 / 24.0);
    q = NAME(fma64)(q, r, 1.0 / 6.0);
    q = NAME(fma64)(q, r, 0.5);
    q = NAME(fma64)(q, r, 1.0);
    q = NAME(fma64)(q, r, 1.0);
    float v = (float)(q * NAME(from_bits64)((n + 1023u) << 52));
    /* The sign: an odd whole b keeps that of a; a < 0 with a b that is not whole has no value. All
     * floats from 2^23 are whole, from 2^24 even. */
    float b_size = NAME(abs)(b);
    float whole = b_size < 8388608.0f ? (b_size + 8388608.0f) - 8388608.0f : b_size;
    float half = b_size * 0.5f;
    float half_whole = half < 8388608.0f ? (half + 8388608.0f) - 8388608.0f : half;
    float odd = whole == b_size ? (half_whole != half ? 1.0f : 0.0f) : 0.0f;
    v = odd > 0.0f ? NAME(copysign)(v, a) : v;
    float no_value = a < 0.0f ? (whole != b_size ? 1.0f : 0.0f) : 0.0f;
    no_value = size <= 3.40282347e+38f ? no_value : 0.0f;
    v = no_value > 0.0f ? __builtin_nanf("") : v;
    /* 1^b, a^0 and (-1)^inf are 1 whatever the other is. */
    v = b == 0.0f ? 1.0f : v;
    v = a == 1.0f ? 1.0f : v;
    float one = size == 1.0f ? (b_size > 3.40282347e+38f ? 1.0f : 0.0f) : 0.0f;
    return one > 0.0f ? 1.0f : v;
}

#else

KATA__LOCAL double NAME(exp)(double x) {
    return exp(x);
}

KATA__LOCAL double NAME(expm1_negative)(double x) {
    return expm1(x);
}

KATA__LOCAL double NAME(log)(double x) {
    return log(x);
}

KATA__LOCAL double NAME(log1p_unit)(double u) {
    return log1p(u);
}

KATA__LOCAL double NAME(tanh)(double x) {
    return tanh(x);
}

KATA__LOCAL double NAME(erf)(double x) {
    return erf(x);
}

KATA__LOCAL double NAME(sigmoid)(double x) {
    double e = exp(-fabs(x));
    double s = 1.0 / (1.0 + e);
    return x < 0.0 ? e * s : s;
}

KATA__LOCAL double NAME(pow)(double a, double b) {
    return pow(a, b);
}

#endif

/* log(1 + e^x) = max(x, 0) + log(1 + e^-|x|). */
KATA__LOCAL REAL NAME(softplus)(REAL x) {
    REAL positive = x < 0 ? 0 : x;
    return positive + NAME(log1p_unit)(NAME(exp)(-NAME(abs)(x)));
}
