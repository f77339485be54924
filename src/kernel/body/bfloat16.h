/* bfloat16: products with float32 sums, and what goes before and after them. Included once by each
 * unit, with isa_real.h of 32 bits. KATA__PAIRS: the unit has AVX-512's products of pairs.
 * KATA__TILES: it has AMX as well; bfloat16_tile.h, included at the end, brings that product. */
#include "kernel/table_bfloat16.h"

typedef uint32_t kata__word __attribute__((vector_size(KATA__VECTOR_BYTES)));
typedef uint32_t kata__word_at
    __attribute__((vector_size(KATA__VECTOR_BYTES), aligned(2), may_alias));
typedef uint16_t kata__half __attribute__((vector_size(KATA__VECTOR_BYTES / 2)));
typedef uint16_t kata__half_at
    __attribute__((vector_size(KATA__VECTOR_BYTES / 2), aligned(2), may_alias));
typedef uint8_t kata__byte __attribute__((vector_size(KATA__VECTOR_BYTES / 4)));
typedef uint8_t kata__byte_at
    __attribute__((vector_size(KATA__VECTOR_BYTES / 4), aligned(1), may_alias));

/* Vectors of a block of 16 columns. */
#define BLOCK_VECTORS (KATA__BFLOAT16_BLOCK / LANES)

KATA__LOCAL int bf16_count(int64_t left) {
    return left < LANES ? (int)left : LANES;
}

KATA__LOCAL kata__word bf16_words(const uint16_t *p) {
    return __builtin_convertvector((kata__half) * (const kata__half_at *)p, kata__word);
}

/* The first `count` numbers, zeros behind them. */
KATA__LOCAL kata__word bf16_words_first(const uint16_t *p, int count) {
#if KATA__VECTOR_BYTES == 64
    return (kata__word)_mm512_cvtepu16_epi32(
        _mm256_maskz_loadu_epi16((__mmask16)((1u << count) - 1), p));
#else
    if (count == LANES) {
        return bf16_words(p);
    }
    kata__word v = {0};
    for (int i = 0; i < LANES; i++) {
        if (i < count) {
            v[i] = p[i];
        }
    }
    return v;
#endif
}

KATA__LOCAL VEC bf16_load_first(const uint16_t *p, int count) {
    return (VEC)(bf16_words_first(p, count) << 16);
}

/* Rounds to nearest even; a NaN stays one. The result is in the low half of each word. */
KATA__LOCAL kata__word bf16_round(VEC v) {
#ifdef KATA__PAIRS
    return (kata__word)_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)v));
#else
    const kata__word bits = (kata__word)v;
    const kata__word rounded = bits + 0x7FFFu + (bits >> 16 & 1u);
    const kata__word nan = (kata__word)(v != v);
    return (rounded >> 16 & ~nan) | ((bits >> 16 | 0x40u) & nan);
#endif
}

KATA__LOCAL void bf16_store_first(uint16_t *p, VEC v, int count) {
#ifdef KATA__PAIRS
    _mm256_mask_storeu_epi16(p, (__mmask16)((1u << count) - 1),
                             (__m256i)_mm512_cvtneps_pbh((__m512)v));
#elif KATA__VECTOR_BYTES == 64
    _mm512_mask_cvtepi32_storeu_epi16(p, (__mmask16)((1u << count) - 1), (__m512i)bf16_round(v));
#else
    const kata__half half = __builtin_convertvector(bf16_round(v), kata__half);
    if (count == LANES) {
        *(kata__half_at *)p = half;
        return;
    }
    for (int i = 0; i < LANES; i++) {
        if (i < count) {
            p[i] = half[i];
        }
    }
#endif
}

static void bf16_from_float(int64_t n, const float *x, uint16_t *y) {
    for (int64_t i = 0; i < n; i += LANES) {
        const int count = bf16_count(n - i);
        bf16_store_first(y + i, count == LANES ? NAME(load)(x + i) : NAME(load_first)(x + i, count),
                         count);
    }
}

static void bf16_to_float(int64_t n, const uint16_t *x, float *y) {
    for (int64_t i = 0; i < n; i += LANES) {
        const int count = bf16_count(n - i);
        const VEC v = bf16_load_first(x + i, count);
        if (count == LANES) {
            NAME(store)(y + i, v);
        } else {
            NAME(store_first)(y + i, v, count);
        }
    }
}

/* ---- the product ---- */

/* `rows` rows and `blocks` blocks of 16 columns at once; both are constants after inlining. */
#ifdef KATA__PAIRS
#define BF16_ROWS 12
#define BF16_BLOCKS 2
#else
#define BF16_ROWS (LANES == 16 ? 8 : LANES == 8 ? 4 : 2)
#define BF16_BLOCKS 1
#endif

/* Where block j of the right factor begins. */
KATA__LOCAL const uint16_t *bf16_block(const kata__bfloat16_product *p, int64_t j) {
    return p->b + (p->b_offset != NULL ? p->b_offset[j] : j * p->b_block);
}

KATA__LOCAL void bf16_piece(const kata__bfloat16_product *p, const uint16_t *a, int64_t j, float *c,
                            const int rows, const int blocks) {
    const uint16_t *b[8];
    KATA__UNROLL
    for (int i = 0; i < blocks; i++) {
        b[i] = bf16_block(p, j + i);
    }
    c += j * KATA__BFLOAT16_BLOCK;
    int64_t at = 0;
    VEC sum[12][8];
    const int vectors = blocks * BLOCK_VECTORS;
    KATA__UNROLL
    for (int r = 0; r < rows; r++) {
        KATA__UNROLL
        for (int v = 0; v < vectors; v++) {
            sum[r][v] = p->accumulate ? NAME(load)(c + r * p->ldc + v * LANES) : (VEC){0};
        }
    }
    for (int64_t run = 0; run < p->runs; run++) {
        const uint16_t *from = a + run * p->a_run;
        for (int64_t k = 0; k < p->k; k += 2, at += 2 * KATA__BFLOAT16_BLOCK) {
            kata__word pair[8];
            KATA__UNROLL
            for (int v = 0; v < vectors; v++) {
                pair[v] = *(const kata__word_at *)(b[v / BLOCK_VECTORS] + at +
                                                   v % BLOCK_VECTORS * 2 * LANES);
            }
            KATA__UNROLL
            for (int r = 0; r < rows; r++) {
                uint32_t bits;
                memcpy(&bits, from + r * p->a_row + k, sizeof bits);
#ifdef KATA__PAIRS
                const __m512bh two = (__m512bh)_mm512_set1_epi32((int)bits);
                KATA__UNROLL
                for (int v = 0; v < vectors; v++) {
                    sum[r][v] = (VEC)_mm512_dpbf16_ps((__m512)sum[r][v], two, (__m512bh)pair[v]);
                }
#else
                const kata__word two = bits - (kata__word){0};
                const VEC low = (VEC)(two << 16), high = (VEC)(two & 0xFFFF0000u);
                KATA__UNROLL
                for (int v = 0; v < vectors; v++) {
                    sum[r][v] += low * (VEC)(pair[v] << 16);
                    sum[r][v] += high * (VEC)(pair[v] & 0xFFFF0000u);
                }
#endif
            }
        }
    }
    KATA__UNROLL
    for (int r = 0; r < rows; r++) {
        KATA__UNROLL
        for (int v = 0; v < vectors; v++) {
            NAME(store)(c + r * p->ldc + v * LANES, sum[r][v]);
        }
    }
}

/* All columns of `rows` rows. */
KATA__LOCAL void bf16_rows(const kata__bfloat16_product *p, const uint16_t *a, float *c,
                           const int rows) {
    int64_t j = 0;
    for (; j + BF16_BLOCKS <= p->n_blocks; j += BF16_BLOCKS) {
        bf16_piece(p, a, j, c, rows, BF16_BLOCKS);
    }
    for (; j < p->n_blocks; j++) {
        bf16_piece(p, a, j, c, rows, 1);
    }
}

#ifdef KATA__PAIRS
/* One row: so many blocks at once that the additions do not wait for each other. */
static void bf16_one_row(const kata__bfloat16_product *p, const uint16_t *a, float *c) {
    for (int64_t j = 0, width; j < p->n_blocks; j += width) {
        const int64_t left = p->n_blocks - j;
        width = left;
        switch (left) {
        case 1:
            bf16_piece(p, a, j, c, 1, 1);
            break;
        case 2:
            bf16_piece(p, a, j, c, 1, 2);
            break;
        case 3:
            bf16_piece(p, a, j, c, 1, 3);
            break;
        case 4:
            bf16_piece(p, a, j, c, 1, 4);
            break;
        case 5:
            bf16_piece(p, a, j, c, 1, 5);
            break;
        case 6:
            bf16_piece(p, a, j, c, 1, 6);
            break;
        case 7:
            bf16_piece(p, a, j, c, 1, 7);
            break;
        default:
            bf16_piece(p, a, j, c, 1, 8);
            width = 8;
            break;
        }
    }
}
#endif

KATA__UNUSED static void bf16_product(const kata__bfloat16_product *p) {
    int64_t i = 0;
    for (; i + BF16_ROWS <= p->m; i += BF16_ROWS) {
        bf16_rows(p, p->a + i * p->a_row, p->c + i * p->ldc, BF16_ROWS);
    }
#ifdef KATA__PAIRS
    for (; i + 4 <= p->m; i += 4) {
        bf16_rows(p, p->a + i * p->a_row, p->c + i * p->ldc, 4);
    }
    for (; i < p->m; i++) {
        bf16_one_row(p, p->a + i * p->a_row, p->c + i * p->ldc);
    }
#else
    for (; i < p->m; i++) {
        bf16_rows(p, p->a + i * p->a_row, p->c + i * p->ldc, 1);
    }
#endif
}

/* ---- stores ---- */

/* The flags are constants after inlining. */
KATA__LOCAL void bf16_store_some(const kata__bfloat16_store *s, int64_t rows, const float *c,
                                 int64_t ldc, const uint16_t *residual, const uint16_t *mask,
                                 uint16_t *y, const bool relu, const bool adds, const bool masks,
                                 const bool even) {
    const int64_t n = s->n, ld = s->ld;
    const float *bias = s->bias;
    for (int64_t i = 0; i < rows; i++, c += ldc, y += ld) {
        for (int64_t j = 0; j < n; j += LANES) {
            const int count = even ? LANES : bf16_count(n - j);
            VEC v = NAME(load)(c + j) + NAME(load)(bias + j);
            if (adds) {
                v += bf16_load_first(residual + i * ld + j, count);
            }
            if (relu) {
                v = NAME(maximum)(v, (VEC){0});
            }
            if (masks) {
                v = NAME(select)(bf16_load_first(mask + i * ld + j, count) <= 0, (VEC){0}, v);
            }
            bf16_store_first(y + j, v, count);
        }
    }
}

static void bf16_store_rows(const kata__bfloat16_store *s, int64_t rows, const float *c,
                            int64_t ldc, const uint16_t *residual, const uint16_t *mask,
                            uint16_t *y) {
    const bool even = s->n % LANES == 0;
    if (residual == NULL && mask == NULL && s->n == 16) {
        kata__bfloat16_store one = *s;
        one.n = 16; /* known: no loop over columns is left */
        if (s->relu) {
            bf16_store_some(&one, rows, c, ldc, NULL, NULL, y, true, false, false, true);
        } else {
            bf16_store_some(&one, rows, c, ldc, NULL, NULL, y, false, false, false, true);
        }
    } else if (residual == NULL && mask == NULL && even) {
        if (s->relu) {
            bf16_store_some(s, rows, c, ldc, NULL, NULL, y, true, false, false, true);
        } else {
            bf16_store_some(s, rows, c, ldc, NULL, NULL, y, false, false, false, true);
        }
    } else if (residual == NULL && !s->relu && even) {
        bf16_store_some(s, rows, c, ldc, NULL, mask, y, false, false, true, true);
    } else {
        bf16_store_some(s, rows, c, ldc, residual, mask, y, s->relu, residual != NULL, mask != NULL,
                        false);
    }
}

static void bf16_store_rows_float(const kata__bfloat16_store *s, int64_t rows, const float *c,
                                  int64_t ldc, float *y) {
    for (int64_t i = 0; i < rows; i++, c += ldc, y += s->ld) {
        for (int64_t j = 0; j < s->n; j += LANES) {
            const int count = bf16_count(s->n - j);
            VEC v = NAME(load)(c + j) + NAME(load)(s->bias + j);
            if (s->relu) {
                v = NAME(maximum)(v, (VEC){0});
            }
            if (count == LANES) {
                NAME(store)(y + j, v);
            } else {
                NAME(store_first)(y + j, v, count);
            }
        }
    }
}

KATA__LOCAL void bf16_store_bytes(uint8_t *p, IVEC v, int count) {
#if KATA__VECTOR_BYTES == 64
    _mm512_mask_cvtepi32_storeu_epi8(p, (__mmask16)((1u << count) - 1), (__m512i)v);
#else
    const kata__byte bytes = __builtin_convertvector(v, kata__byte);
    if (count == LANES) {
        *(kata__byte_at *)p = bytes;
        return;
    }
    for (int i = 0; i < LANES; i++) {
        if (i < count) {
            p[i] = bytes[i];
        }
    }
#endif
}

static void bf16_store_pool(const kata__bfloat16_store *s, int64_t pixels, const float *const c[2],
                            int64_t ldc, const uint16_t *const residual[2], uint16_t *y,
                            uint8_t *index) {
    for (int64_t i = 0; i < pixels; i++, y += s->ld) {
        for (int64_t j = 0; j < s->n; j += LANES) {
            const int count = bf16_count(s->n - j);
            VEC window[4];
            KATA__UNROLL
            for (int k = 0; k < 4; k++) {
                const int64_t at = 2 * i + k % 2;
                VEC v = NAME(load)(c[k / 2] + at * ldc + j);
                if (residual[0] != NULL) {
                    v += bf16_load_first(residual[k / 2] + at * s->ld + j, count);
                }
                window[k] = v;
            }
            IVEC place;
            VEC best = NAME(window_of_four)(window, &place);
            best += NAME(load)(s->bias + j);
            if (s->relu) {
                place |= (best <= 0) & KATA__POOL_NONE;
                best = NAME(maximum)(best, (VEC){0});
            }
            bf16_store_first(y + j, best, count);
            if (index != NULL) {
                bf16_store_bytes(index + i * s->ld + j, place, count);
            }
        }
    }
}

static void bf16_spread(int64_t pixels, int64_t c, const uint16_t *dy, const uint8_t *index,
                        uint16_t *const to[2]) {
    for (int64_t i = 0; i < pixels; i++) {
        for (int64_t j = 0; j < c; j += LANES) {
            const int count = bf16_count(c - j);
            const int64_t at = i * c + j;
#if KATA__VECTOR_BYTES == 64
            const __mmask16 some = (__mmask16)((1u << count) - 1);
            const __m256i numbers = _mm256_maskz_loadu_epi16(some, dy + at);
            const __m256i places = _mm256_cvtepu8_epi16(_mm_maskz_loadu_epi8(some, index + at));
            KATA__UNROLL
            for (int k = 0; k < 4; k++) {
                const __mmask16 here = _mm256_cmpeq_epi16_mask(places, _mm256_set1_epi16((short)k));
                _mm256_mask_storeu_epi16(to[k / 2] + (2 * i + k % 2) * c + j, some,
                                         _mm256_maskz_mov_epi16(here, numbers));
            }
#else
            if (count == LANES) {
                const kata__half v = *(const kata__half_at *)(dy + at);
                const kata__half place = __builtin_convertvector(
                    (kata__byte) * (const kata__byte_at *)(index + at), kata__half);
                KATA__UNROLL
                for (int k = 0; k < 4; k++) {
                    *(kata__half_at *)(to[k / 2] + (2 * i + k % 2) * c + j) =
                        v & (kata__half)(place == (uint16_t)k);
                }
                continue;
            }
            for (int64_t l = at; l < at + count; l++) {
                for (int k = 0; k < 4; k++) {
                    to[k / 2][(2 * i + k % 2) * c + l - i * c] = index[l] == k ? dy[l] : 0;
                }
            }
#endif
        }
    }
}

/* ---- packing ---- */

static void bf16_pair(int64_t rows, int64_t n, const uint16_t *x, int64_t ld, uint16_t *packed,
                      int64_t block) {
    for (int64_t i = 0; i < rows; i += 2, x += 2 * ld, packed += 2 * KATA__BFLOAT16_BLOCK) {
        for (int64_t j = 0; j < n; j += LANES) {
            const int count = bf16_count(n - j);
            kata__word v = bf16_words_first(x + j, count);
            if (i + 1 < rows) {
                v |= bf16_words_first(x + ld + j, count) << 16;
            }
            *(kata__word_at *)(packed + j / KATA__BFLOAT16_BLOCK * block +
                               j % KATA__BFLOAT16_BLOCK * 2) = v;
        }
        for (int64_t j = (n + LANES - 1) / LANES * LANES; j % KATA__BFLOAT16_BLOCK != 0;
             j += LANES) {
            *(kata__word_at *)(packed + j / KATA__BFLOAT16_BLOCK * block +
                               j % KATA__BFLOAT16_BLOCK * 2) = (kata__word){0};
        }
    }
}

static void bf16_pair_float(int64_t rows, int64_t n, const float *x, int64_t ld, uint16_t *packed,
                            int64_t block) {
    for (int64_t i = 0; i < rows; i += 2, x += 2 * ld, packed += 2 * KATA__BFLOAT16_BLOCK) {
        for (int64_t j = 0; j < n; j += LANES) {
            const int count = bf16_count(n - j);
            kata__word v = bf16_round(NAME(load_first)(x + j, count));
            if (i + 1 < rows) {
                v |= bf16_round(NAME(load_first)(x + ld + j, count)) << 16;
            }
            *(kata__word_at *)(packed + j / KATA__BFLOAT16_BLOCK * block +
                               j % KATA__BFLOAT16_BLOCK * 2) = v;
        }
        for (int64_t j = (n + LANES - 1) / LANES * LANES; j % KATA__BFLOAT16_BLOCK != 0;
             j += LANES) {
            *(kata__word_at *)(packed + j / KATA__BFLOAT16_BLOCK * block +
                               j % KATA__BFLOAT16_BLOCK * 2) = (kata__word){0};
        }
    }
}

#if KATA__VECTOR_BYTES == 64
/* Transposes 16x16 words. */
KATA__LOCAL void bf16_transpose_words(__m512i r[16]) {
    __m512i t[16];
    KATA__UNROLL
    for (int i = 0; i < 8; i++) {
        t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    KATA__UNROLL
    for (int i = 0; i < 4; i++) {
        r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    KATA__UNROLL
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x88);
        t[4 + i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xDD);
        t[8 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x88);
        t[12 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xDD);
    }
    KATA__UNROLL
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0x88);
        r[4 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0x88);
        r[8 + i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0xDD);
        r[12 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0xDD);
    }
}
#endif

static void bf16_place(const float *x, uint16_t *to, int half) {
    for (int64_t i = 0; i < 16; i += LANES) {
        const kata__word v = bf16_round(NAME(load)(x + i));
        kata__word_at *at = (kata__word_at *)(to + 2 * i);
        *at = half ? (*at & 0xFFFFu) | v << 16 : (*at & 0xFFFF0000u) | v;
    }
}

static void bf16_transpose_float(int64_t rows, int64_t columns, const float *x, int64_t ldx,
                                 float *y, int64_t ldy) {
#if KATA__VECTOR_BYTES == 64
    for (int64_t j = 0; j < columns; j += 16) {
        const int count = bf16_count(columns - j);
        __m512i r[16];
        KATA__UNROLL
        for (int i = 0; i < 16; i++) {
            r[i] = i < rows
                       ? _mm512_maskz_loadu_epi32((__mmask16)((1u << count) - 1), x + i * ldx + j)
                       : _mm512_setzero_si512();
        }
        bf16_transpose_words(r);
        KATA__UNROLL
        for (int i = 0; i < 16; i++) {
            if (i < count) {
                _mm512_storeu_si512(y + (j + i) * ldy, r[i]);
            }
        }
    }
#else
    for (int64_t j = 0; j < columns; j++, y += ldy) {
        for (int64_t i = 0; i < 16; i++) {
            y[i] = i < rows ? x[i * ldx + j] : 0;
        }
    }
#endif
}

static void bf16_sum_rows(int64_t rows, int64_t stride, int64_t n, const float *x, float *y) {
    for (int64_t i = 0; i < n; i += 16) {
        VEC sum[BLOCK_VECTORS];
        KATA__UNROLL
        for (int v = 0; v < BLOCK_VECTORS; v++) {
            sum[v] = (VEC){0};
        }
        for (int64_t r = 0; r < rows; r++) {
            KATA__UNROLL
            for (int v = 0; v < BLOCK_VECTORS; v++) {
                sum[v] += NAME(load)(x + r * stride + i + v * LANES);
            }
        }
        KATA__UNROLL
        for (int v = 0; v < BLOCK_VECTORS; v++) {
            NAME(store)(y + i + v * LANES, sum[v]);
        }
    }
}

static void bf16_transpose(int64_t rows, int64_t columns, const uint16_t *x, int64_t ldx,
                           uint16_t *y, int64_t ldy) {
    if (columns == 1 && ldx == 1) {
        memcpy(y, x, (size_t)rows * sizeof *y);
        return;
    }
#if KATA__VECTOR_BYTES == 64
    /* 32 rows as 16 rows of pairs, whose words are then transposed. */
    for (int64_t i = 0; i < rows; i += 32) {
        const int there = rows - i < 32 ? (int)(rows - i) : 32;
        for (int64_t j = 0; j < columns; j += 16) {
            const int count = bf16_count(columns - j);
            const __mmask16 mask = (__mmask16)((1u << count) - 1);
            __m512i r[16];
            KATA__UNROLL
            for (int k = 0; k < 16; k++) {
                const uint16_t *from = x + (i + 2 * k) * ldx + j;
                __m512i low = _mm512_setzero_si512(), high = low;
                if (2 * k < there) {
                    low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, from));
                }
                if (2 * k + 1 < there) {
                    high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, from + ldx));
                }
                r[k] = _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
            }
            bf16_transpose_words(r);
            if (count == 16 && there == 32) {
                KATA__UNROLL
                for (int k = 0; k < 16; k++) {
                    _mm512_storeu_si512(y + (j + k) * ldy + i, r[k]);
                }
                continue;
            }
            const __mmask32 some = (__mmask32)(UINT32_MAX >> (32 - there));
            for (int k = 0; k < count; k++) {
                _mm512_mask_storeu_epi16(y + (j + k) * ldy + i, some, r[k]);
            }
        }
    }
#else
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < columns; j++) {
            y[j * ldy + i] = x[i * ldx + j];
        }
    }
#endif
}

/* Two neighbours of a row are one word. */
static void bf16_pair_transposed(int64_t n, int64_t k, const uint16_t *x, int64_t ld,
                                 uint16_t *packed) {
#if KATA__VECTOR_BYTES == 64
    for (int64_t i = 0; i < k; i += 32) {
        const int there = k - i < 32 ? (int)(k - i) : 32, words = (there + 1) / 2;
        const __mmask32 some = (__mmask32)(UINT32_MAX >> (32 - there));
        __m512i r[16];
        KATA__UNROLL
        for (int j = 0; j < 16; j++) {
            r[j] = j < n ? _mm512_maskz_loadu_epi16(some, x + j * ld + i) : _mm512_setzero_si512();
        }
        bf16_transpose_words(r);
        KATA__UNROLL
        for (int j = 0; j < 16; j++) {
            if (j < words) {
                _mm512_storeu_si512(packed + (i / 2 + j) * 2 * KATA__BFLOAT16_BLOCK, r[j]);
            }
        }
    }
#else
    for (int64_t i = 0; i < k; i += 2, packed += 2 * KATA__BFLOAT16_BLOCK) {
        for (int64_t j = 0; j < KATA__BFLOAT16_BLOCK; j++) {
            packed[2 * j] = j < n ? x[j * ld + i] : 0;
            packed[2 * j + 1] = j < n && i + 1 < k ? x[j * ld + i + 1] : 0;
        }
    }
#endif
}

#ifdef KATA__TILES
#include "kernel/body/bfloat16_tile.h"
#define BF16_PRODUCT bf16_tile_product
#define BF16_FINISH bf16_tile_finish
#else
static void bf16_finish(uint32_t *kept) {
    *kept = 0;
}
#define BF16_PRODUCT bf16_product
#define BF16_FINISH bf16_finish
#endif

#include "kernel/body/winograd_bf16.h"

extern const kata__bfloat16_table KATA__PASTE(kata__bfloat16, KATA__ISA);
const kata__bfloat16_table KATA__PASTE(kata__bfloat16, KATA__ISA) = {
    .product = BF16_PRODUCT,
    .finish = BF16_FINISH,
    .from_float = bf16_from_float,
    .to_float = bf16_to_float,
    .store = bf16_store_rows,
    .store_float = bf16_store_rows_float,
    .store_pool = bf16_store_pool,
    .spread = bf16_spread,
    .pair = bf16_pair,
    .pair_transposed = bf16_pair_transposed,
    .pair_float = bf16_pair_float,
    .place = bf16_place,
    .transpose_float = bf16_transpose_float,
    .sum_rows = bf16_sum_rows,
    .transpose = bf16_transpose,
    .winograd = &winograd_bf16_table,
};
