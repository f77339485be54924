/* Winograd convolution in bfloat16: what is read and written is bfloat16, the transforms are
 * computed in float32. A unit with products of pairs rounds what it has transformed to bfloat16 and
 * multiplies it in pairs with float32 sums; the others multiply float32 numbers, by the loops of
 * body/winograd.h. Included by body/bfloat16.h, whose helpers it uses; table_winograd.h says how
 * words lie. */
#include "kernel/body/winograd_lines.h"
#include "kernel/conv_nhwc_bf16.h"

#ifdef KATA__PAIRS
enum { WINOGRAD_BF16_PAIR = 2, WINOGRAD_BF16_ROWS = 14 }; /* rows: see KATA__WINOGRAD_ROWS */
#else
enum { WINOGRAD_BF16_PAIR = 1, WINOGRAD_BF16_ROWS = KATA__WINOGRAD_ROWS };
#endif

typedef uint32_t winograd_word __attribute__((may_alias));

/* ---- numbers ---- */

KATA__LOCAL VEC winograd_bf16_load(const uint16_t *p) {
#if KATA__VECTOR_BYTES == 64
    /* One permutation puts each number into the upper half of its word, zeros below. */
    static const uint16_t places[32]
        __attribute__((aligned(64))) = {0, 0, 0, 1, 0, 2,  0, 3,  0, 4,  0, 5,  0, 6,  0, 7,
                                        0, 8, 0, 9, 0, 10, 0, 11, 0, 12, 0, 13, 0, 14, 0, 15};
    const __m256i v = _mm256_loadu_si256((const __m256i *)p);
    return (VEC)_mm512_maskz_permutexvar_epi16(0xAAAAAAAAu, *(const __m512i *)places,
                                               _mm512_castsi256_si512(v));
#else
    return (VEC)(bf16_words(p) << 16);
#endif
}

/* How a tile's numbers of a point are stored. */
enum { FORWARD, EVEN_TILE, ODD_TILE };

/* Stores two points' numbers, `step` words apart. Pairs: rounded, LANES halves at each; an odd
 * tile's are joined with the even one's, which lie there, to LANES words. */
KATA__LOCAL void winograd_bf16_put(const int how, winograd_word *v, int64_t step, VEC one,
                                   VEC two) {
#ifdef KATA__PAIRS
    static const uint16_t join[2][32] __attribute__((aligned(64))) = {
        {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
         8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47},
        {0, 48, 1, 49, 2,  50, 3,  51, 4,  52, 5,  53, 6,  54, 7,  55,
         8, 56, 9, 57, 10, 58, 11, 59, 12, 60, 13, 61, 14, 62, 15, 63}};
    const __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)two, (__m512)one);
    if (how != ODD_TILE) {
        _mm256_storeu_si256((__m256i *)v, _mm512_castsi512_si256(both));
        _mm256_storeu_si256((__m256i *)(v + step), _mm512_extracti64x4_epi64(both, 1));
        return;
    }
    const __m512i even = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)v));
    const __m512i even_two =
        _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(v + step)));
    _mm512_storeu_si512(v, _mm512_permutex2var_epi16(even, *(const __m512i *)join[0], both));
    _mm512_storeu_si512(v + step,
                        _mm512_permutex2var_epi16(even_two, *(const __m512i *)join[1], both));
#else
    (void)how;
    NAME(store)((REAL *)v, one);
    NAME(store)((REAL *)v + step, two);
#endif
}

#ifdef KATA__PAIRS
/* A last tile without another: zeros beside it, at all points of all vectors. */
KATA__LOCAL void winograd_bf16_alone(const kata__winograd_piece *piece, winograd_word *v) {
    const int points = (piece->size + 2) * (piece->size + 2);
    for (int64_t at = 0; at < piece->channels; at += LANES, v += piece->block) {
        for (int q = 0; q < points; q++) {
            winograd_word *to = v + q * piece->step;
            *(kata__word_at *)to = bf16_words((const uint16_t *)to);
        }
    }
}
#endif

/* `count` numbers from p go to a whole vector, zeros behind them; with index only those whose place
 * in their window is `place`. */
KATA__LOCAL void winograd_bf16_copy(uint16_t *to, const uint16_t *p, const uint8_t *index,
                                    int place, int count) {
#if KATA__VECTOR_BYTES == 64
    __mmask16 some = (__mmask16)((1u << count) - 1);
    if (index) {
        some = _mm_mask_cmpeq_epi8_mask(some, _mm_maskz_loadu_epi8(some, index),
                                        _mm_set1_epi8((char)place));
    }
    _mm256_storeu_si256((__m256i *)to, _mm256_maskz_loadu_epi16(some, p));
#else
    for (int i = 0; i < LANES; i++) {
        to[i] = i < count && (!index || index[i] == place) ? p[i] : 0;
    }
#endif
}

/* ---- input ---- */

KATA__LOCAL winograd_word *winograd_bf16_line(const int size, const int how, const VEC *t,
                                              winograd_word *v, int64_t step) {
    VEC to[6];
    NAME(winograd_input_line)(size, t, to);
    KATA__UNROLL
    for (int j = 0; j < size + 2; j += 2) {
        winograd_bf16_put(how, v, step, to[j], to[j + 1]);
        v += 2 * step;
        KATA__WINOGRAD_APART(v);
    }
    return v;
}

/* Element (i,j) of the patch is at x + i row + j column. m = 4: first the lines 0 and 5, then the
 * four between them, of numbers read anew: all at once do not fit the registers. */
KATA__LOCAL void winograd_bf16_input_tile(const int size, const int how, const uint16_t *x,
                                          int64_t row, int64_t column, winograd_word *v,
                                          int64_t step) {
    VEC line[6][6];
    const uint16_t *d = x;
    if (size == 2) {
        KATA__UNROLL
        for (int j = 0; j < 4; j++, d += column) {
            VEC from[4], t[4];
            KATA__UNROLL
            for (int i = 0; i < 4; i++) {
                from[i] = winograd_bf16_load(d + i * row);
            }
            NAME(winograd_input_line)(2, from, t);
            KATA__UNROLL
            for (int i = 0; i < 4; i++) {
                line[i][j] = t[i];
            }
        }
        KATA__UNROLL
        for (int i = 0; i < 4; i++) {
            v = winograd_bf16_line(2, how, line[i], v, step);
        }
        return;
    }
    KATA__UNROLL
    for (int j = 0; j < 6; j++) {
        KATA__WINOGRAD_APART(d);
        line[0][j] = (winograd_bf16_load(d) + winograd_bf16_load(d + 4 * row)) -
                     KATA__WINOGRAD_S * winograd_bf16_load(d + 2 * row);
        line[5][j] = (winograd_bf16_load(d + row) + winograd_bf16_load(d + 5 * row)) -
                     KATA__WINOGRAD_S * winograd_bf16_load(d + 3 * row);
        d += column;
    }
    winograd_bf16_line(4, how, line[0], v, step);
    winograd_bf16_line(4, how, line[5], v + 30 * step, step);
    v += 6 * step;
    d = x + row;
    KATA__UNROLL
    for (int j = 0; j < 6; j++) {
        KATA__WINOGRAD_APART(d);
        const VEC one = winograd_bf16_load(d), two = winograd_bf16_load(d + row);
        const VEC three = winograd_bf16_load(d + 2 * row), four = winograd_bf16_load(d + 3 * row);
        const VEC even_a = four - KATA__WINOGRAD_SQUARE_B * two;
        const VEC odd_a = three - KATA__WINOGRAD_SQUARE_B * one;
        const VEC even_b = four - KATA__WINOGRAD_SQUARE_A * two;
        const VEC odd_b = three - KATA__WINOGRAD_SQUARE_A * one;
        line[1][j] = even_a + KATA__WINOGRAD_A * odd_a;
        line[2][j] = even_a - KATA__WINOGRAD_A * odd_a;
        line[3][j] = even_b + KATA__WINOGRAD_B * odd_b;
        line[4][j] = even_b - KATA__WINOGRAD_B * odd_b;
        d += column;
    }
    KATA__UNROLL
    for (int i = 1; i < 5; i++) {
        v = winograd_bf16_line(4, how, line[i], v, step);
    }
}

/* Copies a patch with what lies outside as zeros; with index it is spread from (h/2, w/2). */
KATA__LOCAL void winograd_bf16_patch(const int size, const bool spread, const kata__conv *g,
                                     int64_t image, int64_t top, int64_t left, int64_t channel,
                                     const uint16_t *x, const uint8_t *index, int count,
                                     uint16_t *patch) {
    static const uint16_t zeros[LANES] = {0};
    static const uint8_t none[LANES] = {0};
    const int64_t h = spread ? g->h / 2 * 2 : g->h, w = spread ? g->w / 2 * 2 : g->w;
    const int64_t pitch = spread ? w / 2 : w, rows = spread ? h / 2 : h;
    for (int64_t y = top; y < top + size + 2; y++) {
        const int64_t line = ((image * rows + (spread ? y >> 1 : y)) * pitch) * g->c + channel;
        const bool inside = y >= 0 && y < h;
        KATA__UNROLL
        for (int j = 0; j < size + 2; j++, patch += LANES) {
            const int64_t at = line + (spread ? (left + j) >> 1 : left + j) * g->c;
            /* A choice of addresses takes no branch, which would often be foretold wrong. */
            const bool here = inside && left + j >= 0 && left + j < w;
            const uint16_t *from = here ? x + at : zeros;
            const uint8_t *places = !spread ? NULL : here ? index + at : none;
            winograd_bf16_copy(patch, from, places, (int)((y & 1) * 2 + ((left + j) & 1)), count);
        }
    }
}

/* A tile of all channels. */
KATA__LOCAL void winograd_bf16_input_one(const int size, const int how,
                                         const kata__winograd_piece *piece,
                                         const NAME(winograd_place) *place, const uint16_t *x,
                                         const uint8_t *index, winograd_word *v) {
    const kata__conv *g = piece->conv;
    const int64_t top = place->row * size - g->pad_top;
    const int64_t left = place->column * size - g->pad_left;
    const bool whole =
        !index && top >= 0 && left >= 0 && top + size + 2 <= g->h && left + size + 2 <= g->w;
    const int64_t origin = ((place->image * g->h + top) * g->w + left) * g->c + piece->channel;
    for (int64_t at = 0; at < piece->channels; at += LANES, v += piece->block) {
        const int count = NAME(winograd_count)(piece, at);
        uint16_t patch[KATA__WINOGRAD_POINTS * LANES] __attribute__((aligned(64)));
        const uint16_t *from = patch;
        int64_t row = (size + 2) * LANES, column = LANES;
        if (whole && count == LANES) {
            from = x + origin + at;
            row = g->w * g->c;
            column = g->c;
        } else if (index) {
            winograd_bf16_patch(size, true, g, place->image, top, left, piece->channel + at, x,
                                index, count, patch);
        } else {
            winograd_bf16_patch(size, false, g, place->image, top, left, piece->channel + at, x,
                                NULL, count, patch);
        }
        winograd_bf16_input_tile(size, how, from, row, column, v, piece->step);
    }
}

static void winograd_bf16_input_2(const kata__winograd_piece *piece, const uint16_t *x,
                                  const uint8_t *index, winograd_word *v) {
    NAME(winograd_place) place = NAME(winograd_first)(piece);
    for (int64_t tile = 0; tile < piece->count; tile++) {
        winograd_bf16_input_one(2, FORWARD, piece, &place, x, index, v);
        v += LANES / WINOGRAD_BF16_PAIR;
        NAME(winograd_next)(piece, &place);
    }
}

static void winograd_bf16_input_4(const kata__winograd_piece *piece, const uint16_t *x,
                                  const uint8_t *index, winograd_word *v) {
    NAME(winograd_place) place = NAME(winograd_first)(piece);
    for (int64_t tile = 0; tile < piece->count; tile++) {
        winograd_bf16_input_one(4, FORWARD, piece, &place, x, index, v);
        v += LANES / WINOGRAD_BF16_PAIR;
        NAME(winograd_next)(piece, &place);
    }
}

static void winograd_bf16_input(const kata__winograd_piece *piece, const void *x,
                                const uint8_t *index, void *v) {
    if (piece->size == 2) {
        winograd_bf16_input_2(piece, x, index, v);
    } else {
        winograd_bf16_input_4(piece, x, index, v);
    }
}

#ifdef KATA__PAIRS
KATA__LOCAL void winograd_bf16_input_pairs(const int size, const kata__winograd_piece *piece,
                                           const uint16_t *x, winograd_word *v) {
    NAME(winograd_place) place = NAME(winograd_first)(piece);
    for (int64_t tile = 0; tile < piece->count; tile++) {
        if (tile % 2 == 0) {
            winograd_bf16_input_one(size, EVEN_TILE, piece, &place, x, NULL, v);
        } else {
            winograd_bf16_input_one(size, ODD_TILE, piece, &place, x, NULL, v);
            v += LANES;
        }
        NAME(winograd_next)(piece, &place);
    }
    if (piece->count % 2 != 0) {
        winograd_bf16_alone(piece, v);
    }
}

static void winograd_bf16_input_weight(const kata__winograd_piece *piece, const void *x,
                                       const uint8_t *index, void *v) {
    (void)index;
    if (piece->size == 2) {
        winograd_bf16_input_pairs(2, piece, x, v);
    } else {
        winograd_bf16_input_pairs(4, piece, x, v);
    }
}
#endif

/* ---- products ---- */

#ifdef KATA__PAIRS
KATA__LOCAL __m512bh winograd_bf16_splat(winograd_word pair) {
    return (__m512bh)_mm512_set1_epi32((int)pair);
}

KATA__LOCAL __m512bh winograd_bf16_pairs(const winograd_word *p) {
    return (__m512bh)_mm512_loadu_si512(p);
}

/* See winograd_forward_tile of float32; a term is a pair of channels. */
KATA__LOCAL void winograd_bf16_forward_tile(const kata__winograd_product *p, const bool two_points,
                                            const int rows, int first, int last, int64_t row,
                                            int64_t vector) {
    enum { WORDS = LANES / 2 };
    const winograd_word *a_point = (const winograd_word *)p->a + first * p->a_step + row * WORDS;
    const winograd_word *b_point =
        (const winograd_word *)p->b + first * p->b_step + vector * p->b_block;
    float *c_point = p->c + first * p->c_step + vector * p->c_block + row * LANES;
    const int64_t points = two_points ? 2 : 1;
    for (int q = first; q < last; q += two_points ? 2 : 1) {
        const winograd_word *a0 = a_point, *a1 = a0 + p->a_step;
        const winograd_word *b0 = b_point, *b1 = b0 + (two_points ? p->b_step : p->b_block);
        float *c1 = c_point + (two_points ? p->c_step : p->c_block);
        KATA__WINOGRAD_APART(a1);
        KATA__WINOGRAD_APART(b1);
        KATA__WINOGRAD_APART(c1);
        __m512 acc[WINOGRAD_BF16_ROWS][2];
        KATA__UNROLL
        for (int i = 0; i < rows; i++) {
            acc[i][0] = acc[i][1] = _mm512_setzero_ps();
        }
        for (int64_t k = 0; k < p->k; k += WORDS) {
            const int64_t words = p->k - k < WORDS ? p->k - k : WORDS;
            for (int64_t n = 0; n < words; n++, b0 += LANES, b1 += LANES) {
                const __m512bh v0 = winograd_bf16_pairs(b0), v1 = winograd_bf16_pairs(b1);
                KATA__UNROLL
                for (int i = 0; i < rows; i++) {
                    const __m512bh s = winograd_bf16_splat(a0[i * WORDS + n]);
                    acc[i][0] = _mm512_dpbf16_ps(acc[i][0], s, v0);
                    const __m512bh t = two_points ? winograd_bf16_splat(a1[i * WORDS + n]) : s;
                    acc[i][1] = _mm512_dpbf16_ps(acc[i][1], t, v1);
                }
            }
            a0 += p->a_block;
            a1 += p->a_block;
        }
        KATA__UNROLL
        for (int i = 0; i < rows; i++) {
            _mm512_storeu_ps(c_point + i * LANES, acc[i][0]);
            _mm512_storeu_ps(c1 + i * LANES, acc[i][1]);
        }
        a_point += p->a_step * points;
        b_point += p->b_step * points;
        c_point += p->c_step * points;
    }
}

#define WINOGRAD_BF16_FORWARD(rows)                                                                \
    static void winograd_bf16_forward_##rows##_1(const kata__winograd_product *p, int first,       \
                                                 int last, int64_t row, int64_t vector) {          \
        winograd_bf16_forward_tile(p, true, rows, first, last, row, vector);                       \
    }                                                                                              \
    static void winograd_bf16_forward_##rows##_2(const kata__winograd_product *p, int first,       \
                                                 int last, int64_t row, int64_t vector) {          \
        winograd_bf16_forward_tile(p, false, rows, first, last, row, vector);                      \
    }
#define WINOGRAD_BF16_ENTRY(rows)                                                                  \
    {winograd_bf16_forward_##rows##_1, winograd_bf16_forward_##rows##_2},
#define WINOGRAD_BF16_EACH_ROWS(f)                                                                 \
    f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11) f(12) f(13) f(14)
WINOGRAD_BF16_EACH_ROWS(WINOGRAD_BF16_FORWARD)

static void (*const winograd_bf16_forwards[WINOGRAD_BF16_ROWS][2])(const kata__winograd_product *p,
                                                                   int first, int last, int64_t row,
                                                                   int64_t vector) = {
    WINOGRAD_BF16_EACH_ROWS(WINOGRAD_BF16_ENTRY)};

/* Tiles of about equal height; where b has many vectors, all of them pass by while a's numbers of a
 * point or two are near. */
static void winograd_bf16_product(const kata__winograd_product *p) {
    const int64_t parts = (p->m + WINOGRAD_BF16_ROWS - 1) / WINOGRAD_BF16_ROWS;
    const int together = p->vectors > 2 ? 2 : p->points;
    for (int q = 0; q < p->points; q += together) {
        for (int64_t vector = 0; vector < p->vectors; vector += 2) {
            const int two = p->vectors - vector > 1;
            for (int64_t part = 0; part < parts; part++) {
                const int64_t row = p->m * part / parts;
                const int64_t rows = p->m * (part + 1) / parts - row;
                winograd_bf16_forwards[rows - 1][two](p, q, q + together, row, vector);
            }
        }
    }
}

/* `rows` channels of a vector and `vectors` of the other side, over all pairs of tiles. */
KATA__LOCAL void winograd_bf16_weight_tile(const kata__winograd_product *p, const int rows,
                                           const int vectors, const winograd_word *a,
                                           const winograd_word *b, float *c) {
    __m512 acc[LANES][KATA__WINOGRAD_WEIGHT_VECTORS];
    const int64_t b_block = p->b_block, c_pitch = p->c_block;
    KATA__UNROLL
    for (int i = 0; i < rows; i++) {
        KATA__UNROLL
        for (int v = 0; v < vectors; v++) {
            acc[i][v] =
                p->fresh ? _mm512_setzero_ps() : _mm512_loadu_ps(c + i * c_pitch + v * LANES);
        }
    }
    for (int64_t k = p->k; k > 0; k--, a += LANES, b += LANES) {
        __m512bh bv[KATA__WINOGRAD_WEIGHT_VECTORS];
        KATA__UNROLL
        for (int v = 0; v < vectors; v++) {
            bv[v] = winograd_bf16_pairs(b + v * b_block);
        }
        KATA__UNROLL
        for (int i = 0; i < rows; i++) {
            const __m512bh av = winograd_bf16_splat(a[i]);
            KATA__UNROLL
            for (int v = 0; v < vectors; v++) {
                acc[i][v] = _mm512_dpbf16_ps(acc[i][v], av, bv[v]);
            }
        }
    }
    KATA__UNROLL
    for (int i = 0; i < rows; i++) {
        KATA__UNROLL
        for (int v = 0; v < vectors; v++) {
            _mm512_storeu_ps(c + i * c_pitch + v * LANES, acc[i][v]);
        }
    }
}

static void winograd_bf16_product_weight(const kata__winograd_product *p) {
    const int64_t pairs = p->vectors / 2 * 2;
    for (int q = 0; q < p->points; q++) {
        const winograd_word *a = (const winograd_word *)p->a + q * p->a_step;
        const winograd_word *b = (const winograd_word *)p->b + q * p->b_step;
        float *c = p->c + q * p->c_step;
        for (int64_t row = 0; row < p->m; row += LANES, a += p->a_block) {
            for (int64_t v = 0; v < pairs; v += 2) {
                for (int64_t i = 0; i < LANES; i += KATA__WINOGRAD_WEIGHT_ROWS) {
                    winograd_bf16_weight_tile(p, KATA__WINOGRAD_WEIGHT_ROWS, 2, a + i,
                                              b + v * p->b_block,
                                              c + (row + i) * p->c_block + v * LANES);
                }
            }
            if (pairs < p->vectors) {
                winograd_bf16_weight_tile(p, LANES, 1, a, b + pairs * p->b_block,
                                          c + row * p->c_block + pairs * LANES);
            }
        }
    }
}
#endif

/* ---- output ---- */

KATA__LOCAL VEC winograd_bf16_read(const bool tail, const uint16_t *p, int count) {
    return tail ? bf16_load_first(p, count) : winograd_bf16_load(p);
}

#define KATA__WINOGRAD_NUMBER uint16_t
#define KATA__WINOGRAD_STORE kata__conv_bf16_store
#define KATA__WINOGRAD_OUT(name) winograd_bf16_##name
#define KATA__WINOGRAD_READ(tail, p, count) winograd_bf16_read(tail, p, count)
#define KATA__WINOGRAD_WRITE(tail, p, v, count) bf16_store_first(p, v, tail ? count : LANES)
#include "kernel/body/winograd_output.h"

/* ---- the gradient of the output ---- */

/* Stores A t A^T of the tile whose element (i,j) is at dy + i row + j column, and adds its sum to
 * db. */
KATA__LOCAL void winograd_bf16_gradient_tile(const int size, const int how, const uint16_t *dy,
                                             int64_t row, int64_t column, winograd_word *d,
                                             int64_t step, float *db) {
    VEC line[6][4], sum = {0};
    KATA__UNROLL
    for (int j = 0; j < size; j++, dy += column) {
        VEC t[4], to[6];
        KATA__UNROLL
        for (int i = 0; i < size; i++) {
            t[i] = winograd_bf16_load(dy + i * row);
        }
        sum += size == 4 ? (t[0] + t[1]) + (t[2] + t[3]) : t[0] + t[1];
        NAME(winograd_gradient_line)(size, t, to);
        KATA__UNROLL
        for (int i = 0; i < size + 2; i++) {
            line[i][j] = to[i];
        }
    }
    if (db) {
        NAME(store)(db, NAME(load)(db) + sum);
    }
    KATA__UNROLL
    for (int i = 0; i < size + 2; i++) {
        VEC to[6];
        NAME(winograd_gradient_line)(size, line[i], to);
        KATA__UNROLL
        for (int j = 0; j < size + 2; j += 2) {
            winograd_bf16_put(how, d, step, to[j], to[j + 1]);
            d += 2 * step;
            KATA__WINOGRAD_APART(d);
        }
    }
}

/* A tile of all channels. */
KATA__LOCAL void winograd_bf16_gradient_one(const int size, const int how,
                                            const kata__winograd_piece *piece,
                                            const NAME(winograd_place) *place, const uint16_t *dy,
                                            const uint8_t *index, winograd_word *d, float *db) {
    const kata__conv *g = piece->conv;
    const int64_t h = index ? g->oh / 2 : g->oh, w = index ? g->ow / 2 : g->ow;
    const int across = index ? size / 2 : size; /* numbers of dy in a direction of the tile */
    const int64_t top = place->row * across, left = place->column * across;
    const int64_t rows = h - top, columns = w - left;
    const int64_t origin = ((place->image * h + top) * w + left) * g->f + piece->channel;
    for (int64_t at = 0; at < piece->channels; at += LANES, d += piece->block) {
        const int count = NAME(winograd_count)(piece, at);
        uint16_t tile[16 * LANES] __attribute__((aligned(64)));
        const uint16_t *from = tile;
        int64_t row = size * LANES, column = LANES;
        if (!index && rows >= size && columns >= size && count == LANES) {
            from = dy + origin + at;
            row = w * g->f;
            column = g->f;
        } else {
            static const uint16_t zeros[LANES] = {0};
            static const uint8_t none[LANES] = {0};
            const int shift = index ? 1 : 0;
            KATA__UNROLL
            for (int i = 0; i < size; i++) {
                KATA__UNROLL
                for (int j = 0; j < size; j++) {
                    const bool here = i >> shift < rows && j >> shift < columns;
                    const int64_t place_at = origin + at + ((i >> shift) * w + (j >> shift)) * g->f;
                    winograd_bf16_copy(tile + (i * size + j) * LANES, here ? dy + place_at : zeros,
                                       !index ? NULL
                                       : here ? index + place_at
                                              : none,
                                       i % 2 * 2 + j % 2, count);
                }
            }
        }
        winograd_bf16_gradient_tile(size, how, from, row, column, d, piece->step,
                                    db ? db + at : NULL);
    }
}

KATA__LOCAL void winograd_bf16_gradient_tiles(const int size, const kata__winograd_piece *piece,
                                              const uint16_t *dy, const uint8_t *index,
                                              winograd_word *d, float *db) {
    NAME(winograd_place) place = NAME(winograd_first)(piece);
    for (int64_t tile = 0; tile < piece->count; tile++) {
        const bool is_even = tile % WINOGRAD_BF16_PAIR == 0;
        if (is_even) {
            winograd_bf16_gradient_one(size, EVEN_TILE, piece, &place, dy, index, d, db);
        } else {
            winograd_bf16_gradient_one(size, ODD_TILE, piece, &place, dy, index, d, db);
        }
        d += is_even && WINOGRAD_BF16_PAIR == 2 ? 0 : LANES;
        NAME(winograd_next)(piece, &place);
    }
#ifdef KATA__PAIRS
    if (piece->count % 2 != 0) {
        winograd_bf16_alone(piece, d);
    }
#endif
}

static void winograd_bf16_gradient(const kata__winograd_piece *piece, const void *dy,
                                   const uint8_t *index, void *d, float *db) {
    if (piece->size == 2) {
        winograd_bf16_gradient_tiles(2, piece, dy, index, d, db);
    } else {
        winograd_bf16_gradient_tiles(4, piece, dy, index, d, db);
    }
}

/* ---- weights ---- */

#ifdef KATA__PAIRS
static void winograd_bf16_pack(const kata__conv *conv, int size, bool flipped, const float *weight,
                               int64_t first, int64_t last, void *packed) {
    const int points = (size + 2) * (size + 2);
    const int64_t vectors = (conv->f + LANES - 1) / LANES, words = (conv->c + 1) / 2;
    for (int64_t vector = first; vector < last; vector++) {
        const int64_t f = vector * LANES;
        const int count = conv->f - f < LANES ? (int)(conv->f - f) : LANES;
        for (int64_t c = 0; c < 2 * words; c++) {
            VEC u[KATA__WINOGRAD_POINTS] = {{0}};
            if (c < conv->c) {
                NAME(winograd_pack_filter)(size, conv, flipped, weight, f, count, c, u);
            }
            uint16_t *to = (uint16_t *)packed + (vector * words + c / 2) * LANES * 2;
            for (int q = 0; q < points; q++, to += vectors * words * LANES * 2) {
                const kata__word v = bf16_round(u[q]);
                kata__word_at *at = (kata__word_at *)to;
                *at = c % 2 == 0 ? v : (kata__word)*at | v << 16;
            }
        }
    }
}
#endif

static const kata__winograd_table winograd_bf16_table = {
    .lanes = LANES,
    .pair = WINOGRAD_BF16_PAIR,
    .rows = WINOGRAD_BF16_ROWS,
#ifdef KATA__PAIRS
    .pack = winograd_bf16_pack,
    .input_weight = winograd_bf16_input_weight,
    .product = winograd_bf16_product,
    .product_weight = winograd_bf16_product_weight,
#else
    .pack = NAME(winograd_pack),
    .input_weight = winograd_bf16_input,
    .product = NAME(winograd_product),
    .product_weight = NAME(winograd_product_weight),
#endif
    .input = winograd_bf16_input,
    .output = winograd_bf16_output,
    .gradient = winograd_bf16_gradient,
    .weight_end = NAME(winograd_weight_end),
    .weight_sum = NAME(winograd_weight_sum),
};
