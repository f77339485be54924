/* Uniform numbers of many Philox blocks at once (base/random.c has the numbers' definition, a block
 * at a time). Included once for each instruction set: the numbers are float32 for both types.
 *
 * A block is a 64-bit lane for each of its four words, of which the low half counts: a 32-bit
 * multiplier takes exactly that and gives both halves of the product, so a round is six operations
 * and no word ever changes its lane. */
#ifndef KATA__PHILOX
#define KATA__PHILOX

typedef uint64_t kata__philox_words __attribute__((vector_size(KATA__VECTOR_BYTES)));
typedef uint32_t kata__philox_bits __attribute__((vector_size(KATA__VECTOR_BYTES)));
typedef uint64_t kata__philox_store
    __attribute__((vector_size(KATA__VECTOR_BYTES), aligned(4), may_alias));

enum { KATA__PHILOX_LANES = KATA__VECTOR_BYTES / 8 };

/* The words of two vectors in turn: the first and the second half of all. */
#if KATA__VECTOR_BYTES == 64
#define KATA__PHILOX_FIRST 0, 8, 1, 9, 2, 10, 3, 11
#define KATA__PHILOX_SECOND 4, 12, 5, 13, 6, 14, 7, 15
#elif KATA__VECTOR_BYTES == 32
#define KATA__PHILOX_FIRST 0, 4, 1, 5
#define KATA__PHILOX_SECOND 2, 6, 3, 7
#else
#define KATA__PHILOX_FIRST 0, 2
#define KATA__PHILOX_SECOND 1, 3
#endif

/* The products of the low halves. */
KATA__LOCAL kata__philox_words kata__philox_multiply(kata__philox_words a, uint32_t b) {
#if KATA__VECTOR_BYTES == 64
    return (kata__philox_words)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64(b));
#elif KATA__VECTOR_BYTES == 32
    return (kata__philox_words)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(b));
#elif defined(__SSE2__)
    return (kata__philox_words)_mm_mul_epu32((__m128i)a, _mm_set1_epi64x(b));
#else
    return (a & 0xFFFFFFFFu) * b;
#endif
}

/* 24 bits of each word as a number in [0, 1). */
KATA__LOCAL kata__v_f32 kata__philox_unit(kata__philox_words words) {
    const kata__i_f32 bits = (kata__i_f32)((kata__philox_bits)words >> 8);
    return __builtin_convertvector(bits, kata__v_f32) * 0x1p-24f;
}

/* Blocks `first`.. of a key and step, as many as a vector has 64-bit lanes: four numbers each. */
KATA__LOCAL void kata__philox_blocks(uint64_t key, uint64_t step, uint64_t first, float *out) {
    kata__philox_words c0, c1, c2, c3;
    for (int i = 0; i < KATA__PHILOX_LANES; i++) {
        c0[i] = first + (uint64_t)i;
        c2[i] = step;
    }
    c1 = c0 >> 32;
    c3 = c2 >> 32;
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    KATA__UNROLL
    for (int round = 0; round < 10; round++) {
        const kata__philox_words p0 = kata__philox_multiply(c0, 0xD2511F53u);
        const kata__philox_words p1 = kata__philox_multiply(c2, 0xCD9E8D57u);
        c0 = (p1 >> 32) ^ c1 ^ k0;
        c2 = (p0 >> 32) ^ c3 ^ k1;
        c1 = p1;
        c3 = p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    const kata__philox_words a =
        (kata__philox_words)kata__philox_unit((c0 & 0xFFFFFFFFu) | c1 << 32);
    const kata__philox_words b =
        (kata__philox_words)kata__philox_unit((c2 & 0xFFFFFFFFu) | c3 << 32);
    kata__philox_store *to = (kata__philox_store *)(void *)out;
    to[0] = __builtin_shufflevector(a, b, KATA__PHILOX_FIRST);
    to[1] = __builtin_shufflevector(a, b, KATA__PHILOX_SECOND);
}

static void kata__philox_uniform(int64_t n_blocks, uint64_t key, uint64_t step, uint64_t first,
                                 float *out) {
    int64_t i = 0;
    for (; i + KATA__PHILOX_LANES <= n_blocks; i += KATA__PHILOX_LANES) {
        kata__philox_blocks(key, step, first + (uint64_t)i, out + 4 * i);
    }
    if (i < n_blocks) {
        float last[4 * KATA__PHILOX_LANES];
        kata__philox_blocks(key, step, first + (uint64_t)i, last);
        memcpy(out + 4 * i, last, (size_t)(4 * (n_blocks - i)) * sizeof(float));
    }
}

#endif
