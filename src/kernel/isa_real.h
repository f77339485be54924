/* One type of the bodies. Include with REAL_BITS defined as 32 or 64, then include the bodies;
 * may be included once for each type in a unit. Gives
 *   REAL, VEC, IVEC, INTEGER (as wide as REAL), LANES, NAME(name) (name_f32 or name_f64)
 * and the helpers load, store, load_first, store_first, splat, select, maximum, minimum, sum. */
#undef REAL
#undef VEC
#undef UVEC
#undef IVEC
#undef INTEGER
#undef NAME
#undef LANES
#if REAL_BITS == 32
#define REAL float
#define VEC kata__v_f32
#define UVEC kata__u_f32
#define IVEC kata__i_f32
#define INTEGER int32_t
#define NAME(name) name##_f32
#else
#define REAL double
#define VEC kata__v_f64
#define UVEC kata__u_f64
#define IVEC kata__i_f64
#define INTEGER int64_t
#define NAME(name) name##_f64
#endif
#define LANES (KATA__VECTOR_BYTES / (int)sizeof(REAL))

KATA__LOCAL VEC NAME(load)(const REAL *p) {
    return *(const UVEC *)p;
}

KATA__LOCAL void NAME(store)(REAL *p, VEC v) {
    *(UVEC *)p = v;
}

KATA__LOCAL VEC NAME(splat)(REAL x) {
    return x - (VEC){0}; /* x - 0 is x for every x; 0 + x would turn -0 into 0 */
}

/* mask ? a : b, for the masks that compare gives. */
KATA__LOCAL VEC NAME(select)(IVEC mask, VEC a, VEC b) {
    return (VEC)(((IVEC)a & mask) | ((IVEC)b & ~mask));
}

/* a unless b is greater: a NaN in a stays. */
KATA__LOCAL VEC NAME(maximum)(VEC a, VEC b) {
#if KATA__VECTOR_BYTES == 64 && REAL_BITS == 32
    return (VEC)_mm512_max_ps((__m512)b, (__m512)a); /* b > a ? b : a */
#elif KATA__VECTOR_BYTES == 32 && REAL_BITS == 32
    return (VEC)_mm256_max_ps((__m256)b, (__m256)a);
#elif KATA__VECTOR_BYTES == 16 && REAL_BITS == 32 && defined(__SSE2__)
    return (VEC)_mm_max_ps((__m128)b, (__m128)a);
#else
    return NAME(select)(b > a, b, a);
#endif
}

KATA__LOCAL VEC NAME(minimum)(VEC a, VEC b) {
    return NAME(select)(b < a, b, a);
}

/* The first `count` (0..LANES) numbers at p, zero in the other lanes; touches no other memory. */
KATA__LOCAL VEC NAME(load_first)(const REAL *p, int count) {
#if KATA__VECTOR_BYTES == 64 && REAL_BITS == 32
    return (VEC)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), p);
#elif KATA__VECTOR_BYTES == 64
    return (VEC)_mm512_maskz_loadu_pd((__mmask8)((1u << count) - 1), p);
#elif KATA__VECTOR_BYTES == 32
    static const INTEGER mask[2 * LANES] = {-1,           -1,           -1,           -1,
                                            -(LANES > 4), -(LANES > 4), -(LANES > 4), -(LANES > 4)};
    __m256i m = _mm256_loadu_si256((const __m256i *)(mask + LANES - count));
#if REAL_BITS == 32
    return (VEC)_mm256_maskload_ps(p, m);
#else
    return (VEC)_mm256_maskload_pd(p, m);
#endif
#else
    VEC v = {0};
    for (int i = 0; i < LANES; i++) {
        if (i < count) {
            v[i] = p[i];
        }
    }
    return v;
#endif
}

/* Stores lanes 0..count-1. */
KATA__LOCAL void NAME(store_first)(REAL *p, VEC v, int count) {
#if KATA__VECTOR_BYTES == 64 && REAL_BITS == 32
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << count) - 1), (__m512)v);
#elif KATA__VECTOR_BYTES == 64
    _mm512_mask_storeu_pd(p, (__mmask8)((1u << count) - 1), (__m512d)v);
#elif KATA__VECTOR_BYTES == 32
    static const INTEGER mask[2 * LANES] = {-1,           -1,           -1,           -1,
                                            -(LANES > 4), -(LANES > 4), -(LANES > 4), -(LANES > 4)};
    __m256i m = _mm256_loadu_si256((const __m256i *)(mask + LANES - count));
#if REAL_BITS == 32
    _mm256_maskstore_ps(p, m, (__m256)v);
#else
    _mm256_maskstore_pd(p, m, (__m256d)v);
#endif
#else
    for (int i = 0; i < LANES; i++) {
        if (i < count) {
            p[i] = v[i];
        }
    }
#endif
}

/* a b + c, in one rounding where the instruction set has it. */
KATA__LOCAL REAL NAME(fma)(REAL a, REAL b, REAL c) {
#if !defined(__FMA__) && !defined(__ARM_FEATURE_FMA)
    return a * b + c;
#elif REAL_BITS == 32
    return __builtin_fmaf(a, b, c);
#else
    return __builtin_fma(a, b, c);
#endif
}

/* The same for vectors; a b + c is left to the compiler where its rounding does not matter. */
KATA__LOCAL VEC NAME(vector_fma)(VEC a, VEC b, VEC c) {
#if KATA__VECTOR_BYTES == 64 && REAL_BITS == 32
    return (VEC)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif KATA__VECTOR_BYTES == 64
    return (VEC)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif KATA__VECTOR_BYTES == 32 && REAL_BITS == 32
    return (VEC)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif KATA__VECTOR_BYTES == 32
    return (VEC)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
    for (int i = 0; i < LANES; i++) {
        c[i] = NAME(fma)(a[i], b[i], c[i]);
    }
    return c;
#endif
}

/* The sum of the lanes, always in the same order: halves are added to halves. */
KATA__LOCAL REAL NAME(sum)(VEC v) {
    REAL t[LANES];
    memcpy(t, &v, sizeof t);
    for (int width = LANES / 2; width > 0; width /= 2) {
        for (int i = 0; i < width; i++) {
            t[i] += t[i + width];
        }
    }
    return t[0];
}
