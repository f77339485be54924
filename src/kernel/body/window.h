/* The maximum of a window of float32 numbers, walked from its first number to its last, and its
 * place: the first of equals, or of NaNs. What all poolings of NHWC tensors share.
 *
 * The usual steps lose a NaN that is not the first number, so a walk also marks where NaNs are (two
 * numbers cost one comparison), and if there are any, goes back from the last number to the first
 * in exact steps. */
#if KATA__VECTOR_BYTES == 64
#define KATA__MARKS __mmask16
#define KATA__ALL_MARKS 0xffff
#else
#define KATA__MARKS IVEC
#define KATA__ALL_MARKS (~(IVEC){0})
#endif

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

/* Those of `marks` where neither is a NaN. */
KATA__LOCAL KATA__MARKS NAME(ordered)(KATA__MARKS marks, VEC a, VEC b) {
#if KATA__VECTOR_BYTES == 64
    return _mm512_mask_cmp_ps_mask(marks, (__m512)a, (__m512)b, _CMP_ORD_Q);
#else
    return marks & ~NAME(unordered)(a, b);
#endif
}

KATA__LOCAL bool NAME(all)(KATA__MARKS marks) {
#if KATA__VECTOR_BYTES == 64
    return marks == KATA__ALL_MARKS;
#else
    return !NAME(any)(~marks);
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

/* Places of a vector's windows, as wide as is cheap. */
#if KATA__VECTOR_BYTES == 64
#define KATA__PLACES __m128i
#else
#define KATA__PLACES IVEC
#endif

KATA__LOCAL KATA__PLACES NAME(window_places)(IVEC place) {
#if KATA__VECTOR_BYTES == 64
    return _mm512_cvtepi32_epi8((__m512i)place);
#else
    return place;
#endif
}

/* The compiler may assume nothing about the variable. */
#if defined(__GNUC__)
#define KATA__OPAQUE(variable) __asm__("" : "+r"(variable))
#else
#define KATA__OPAQUE(variable) (void)0
#endif

/* The same without NaNs. The columns of each row first, then the rows: less waiting. */
KATA__LOCAL VEC NAME(window_of_numbers)(const VEC *window, KATA__PLACES *place) {
    const VEC upper = NAME(maximum)(window[0], window[1]);
    const VEC lower = NAME(maximum)(window[2], window[3]);
#if KATA__VECTOR_BYTES == 64
    const __mmask16 right = _mm512_cmp_ps_mask((__m512)window[1], (__m512)window[0], _CMP_GT_OQ);
    const __mmask16 below = _mm512_cmp_ps_mask((__m512)window[3], (__m512)window[2], _CMP_GT_OQ);
    const __mmask16 down = _mm512_cmp_ps_mask((__m512)lower, (__m512)upper, _CMP_GT_OQ);
    /* From memory: built in registers they would take more time than the choice. */
    static const __m128i places[] = {{0x0101010101010101, 0x0101010101010101},
                                     {0x0202020202020202, 0x0202020202020202},
                                     {0x0303030303030303, 0x0303030303030303}};
    const __m128i *p = places;
    KATA__OPAQUE(p);
    *place = _mm_mask_mov_epi8(_mm_maskz_mov_epi8(right, p[0]), down,
                               _mm_mask_mov_epi8(p[1], below, p[2]));
#else
    const IVEC right = window[1] > window[0], below = window[3] > window[2], down = lower > upper;
    *place = (down & (2 - below)) | (~down & -right);
#endif
    return NAME(maximum)(upper, lower);
}

/* max(0, .), and the place of what is not greater. */
KATA__LOCAL void NAME(window_relu)(VEC *best, KATA__PLACES *place) {
#if KATA__VECTOR_BYTES == 64
    const __mmask16 some = _mm512_cmp_ps_mask((__m512)*best, _mm512_setzero_ps(), _CMP_NLE_UQ);
    *best = (VEC)_mm512_maskz_mov_ps(some, (__m512)*best);
    *place = _mm_mask_mov_epi8(_mm_set1_epi8(-1), some, *place);
#else
    const IVEC none = *best <= 0;
    *best = NAME(select)(none, (VEC){0}, *best);
    *place |= none & 255;
#endif
}

KATA__LOCAL void NAME(window_store_places)(uint8_t *index, KATA__PLACES place, int count) {
#if KATA__VECTOR_BYTES == 64
    _mm_mask_storeu_epi8(index, (__mmask16)((1u << count) - 1), place);
#else
    for (int i = 0; i < count; i++) {
        index[i] = (uint8_t)place[i];
    }
#endif
}
