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

/* ---- the maximum of a window, walked from its first number to its last ----
 * The usual steps lose a NaN that is not the first number, so a walk also marks where NaNs are (two
 * numbers cost one comparison), and if there are any, goes back from the last number to the first
 * in exact steps. */
#if KATA__VECTOR_BYTES == 64 && REAL_BITS == 32
#define KATA__MARKS __mmask16
#elif REAL_BITS == 32
#define KATA__MARKS IVEC
#endif

#if REAL_BITS == 32
KATA__LOCAL KATA__MARKS NAME(unordered)(VEC a, VEC b) {
#if KATA__VECTOR_BYTES == 64
    return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_UNORD_Q);
#elif KATA__VECTOR_BYTES == 32
    return (IVEC)_mm256_cmp_ps((__m256)a, (__m256)b, _CMP_UNORD_Q);
#elif defined(__SSE2__)
    return (IVEC)_mm_cmpunord_ps((__m128)a, (__m128)b);
#else
    return (a != a) | (b != b);
#endif
}

KATA__LOCAL bool NAME(any)(KATA__MARKS marks) {
#if KATA__VECTOR_BYTES == 64
    return marks != 0;
#elif KATA__VECTOR_BYTES == 32
    return _mm256_movemask_ps((__m256)marks) != 0;
#elif defined(__SSE2__)
    return _mm_movemask_ps((__m128)marks) != 0;
#else
    int32_t some = 0;
    for (int i = 0; i < LANES; i++) {
        some |= marks[i];
    }
    return some != 0;
#endif
}

/* A usual step: v, which is behind best, where it is greater; place if asked for. */
KATA__LOCAL void NAME(window_next)(VEC v, int32_t at, VEC *best, IVEC *place) {
    if (place) {
#if KATA__VECTOR_BYTES == 64
        const __mmask16 more = _mm512_cmp_ps_mask((__m512)v, (__m512)*best, _CMP_GT_OQ);
        *place = (IVEC)_mm512_mask_mov_epi32((__m512i)*place, more, _mm512_set1_epi32(at));
        *best = (VEC)_mm512_mask_mov_ps((__m512)*best, more, (__m512)v);
        return;
#elif KATA__VECTOR_BYTES == 32
        const __m256 more = _mm256_cmp_ps((__m256)v, (__m256)*best, _CMP_GT_OQ);
        *place = (IVEC)_mm256_blendv_epi8((__m256i)*place, _mm256_set1_epi32(at), (__m256i)more);
#else
        const IVEC more = v > *best;
        *place = (more & at) | (~more & *place);
#endif
    }
    *best = NAME(maximum)(*best, v);
}

/* An exact step: v, which is before best, where it is as great, or a NaN. */
KATA__LOCAL void NAME(window_back)(VEC v, int32_t at, VEC *best, IVEC *place) {
#if KATA__VECTOR_BYTES == 64
    const __mmask16 leads = _mm512_cmp_ps_mask((__m512)v, (__m512)*best, _CMP_GE_OQ) |
                            _mm512_cmp_ps_mask((__m512)v, (__m512)v, _CMP_UNORD_Q);
    *best = (VEC)_mm512_mask_mov_ps((__m512)*best, leads, (__m512)v);
    *place = (IVEC)_mm512_mask_mov_epi32((__m512i)*place, leads, _mm512_set1_epi32(at));
#else
    const IVEC leads = (v >= *best) | (v != v);
    *best = NAME(select)(leads, v, *best);
    *place = (leads & at) | (~leads & *place);
#endif
}

/* The maximum of a window of four, in row-major order; place if asked for. */
KATA__LOCAL VEC NAME(window_of_four)(const VEC *window, IVEC *place) {
#if KATA__VECTOR_BYTES == 64
    VEC best;
    if (place) { /* exact steps cost less than a branch */
        best = window[3];
        *place = 3 - (IVEC){0};
        KATA__UNROLL
        for (int k = 2; k >= 0; k--) {
            NAME(window_back)(window[k], k, &best, place);
        }
        return best;
    }
    const __mmask16 nan =
        NAME(unordered)(window[0], window[1]) | NAME(unordered)(window[2], window[3]);
    best = NAME(maximum)(NAME(maximum)(window[0], window[1]), NAME(maximum)(window[2], window[3]));
    return (VEC)_mm512_mask_mov_ps((__m512)best, nan, _mm512_set1_ps(__builtin_nanf("")));
#else
    IVEC where = {0};
    VEC best = window[0];
    KATA__UNROLL
    for (int k = 1; k < 4; k++) {
        NAME(window_next)(window[k], k, &best, place ? &where : NULL);
    }
    if (__builtin_expect(NAME(any)(NAME(unordered)(window[0], window[1]) |
                                   NAME(unordered)(window[2], window[3])),
                         0)) {
        best = window[3];
        where = 3 - (IVEC){0};
        for (int k = 2; k >= 0; k--) {
            NAME(window_back)(window[k], k, &best, &where);
        }
    }
    if (place) {
        *place = where;
    }
    return best;
#endif
}
#endif

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
