/* Winograd convolution in float32: input, products, gradient and weight; the lines of the
 * transforms are winograd_lines.h, the output winograd_output.h. */
#include "kernel/body/winograd_lines.h"

/* ---- input ---- */

/* Stores B^T d for a line; returns where the next line goes. */
KATA__LOCAL REAL *NAME(winograd_input_store)(const int size, const VEC *d, REAL *v, int64_t step) {
    VEC t[6];
    NAME(winograd_input_line)(size, d, t);
    KATA__UNROLL
    for (int j = 0; j < size + 2; j++) {
        NAME(store)(v, t[j]);
        v += step;
        KATA__WINOGRAD_APART(v);
    }
    return v;
}

/* Two lines of m = 4 that share their even and odd parts: the points +-p, with the other square. */
KATA__LOCAL REAL *NAME(winograd_input_pair)(const REAL *x, int64_t row, int64_t column,
                                            const REAL point, const REAL square, REAL *v,
                                            int64_t step) {
    VEC plus[6], minus[6];
    KATA__UNROLL
    for (int j = 0; j < 6; j++) {
        const REAL *d = x;
        const VEC even = NAME(load)(d + 4 * row) - square * NAME(load)(d + 2 * row);
        const VEC odd = NAME(load)(d + 3 * row) - square * NAME(load)(d + row);
        plus[j] = even + point * odd;
        minus[j] = even - point * odd;
        x += column;
        KATA__WINOGRAD_APART(x);
    }
    v = NAME(winograd_input_store)(4, plus, v, step);
    return NAME(winograd_input_store)(4, minus, v, step);
}

/* Element (i,j) of the patch is at x + i row + j column. The lines of m = 4 are made one or two at
 * a time, of numbers read anew: all at once do not fit the registers. */
KATA__LOCAL void NAME(winograd_input_tile)(const int size, const REAL *x, int64_t row,
                                           int64_t column, REAL *v, int64_t step) {
    if (size == 2) {
        VEC half[4][4];
        KATA__UNROLL
        for (int j = 0; j < 4; j++) {
            VEC d[4], t[4];
            KATA__UNROLL
            for (int i = 0; i < 4; i++) {
                d[i] = NAME(load)(x + i * row + j * column);
            }
            NAME(winograd_input_line)(2, d, t);
            KATA__UNROLL
            for (int i = 0; i < 4; i++) {
                half[i][j] = t[i];
            }
        }
        KATA__UNROLL
        for (int i = 0; i < 4; i++) {
            v = NAME(winograd_input_store)(2, half[i], v, step);
        }
        return;
    }
    VEC line[6];
    const REAL *d = x;
    KATA__UNROLL
    for (int j = 0; j < 6; j++) {
        KATA__WINOGRAD_APART(d);
        line[j] =
            (NAME(load)(d) + NAME(load)(d + 4 * row)) - KATA__WINOGRAD_S * NAME(load)(d + 2 * row);
        d += column;
    }
    v = NAME(winograd_input_store)(4, line, v, step);
    v = NAME(winograd_input_pair)(x, row, column, KATA__WINOGRAD_A, KATA__WINOGRAD_SQUARE_B, v,
                                  step);
    v = NAME(winograd_input_pair)(x, row, column, KATA__WINOGRAD_B, KATA__WINOGRAD_SQUARE_A, v,
                                  step);
    d = x + row;
    KATA__UNROLL
    for (int j = 0; j < 6; j++) {
        KATA__WINOGRAD_APART(d);
        line[j] =
            (NAME(load)(d) + NAME(load)(d + 4 * row)) - KATA__WINOGRAD_S * NAME(load)(d + 2 * row);
        d += column;
    }
    NAME(winograd_input_store)(4, line, v, step);
}

KATA__LOCAL void NAME(winograd_input_body)(const int size, const kata__winograd_piece *piece,
                                           const REAL *x, REAL *v) {
    const kata__conv *g = piece->conv;
    static const REAL zeros[LANES] = {0};
    const int64_t row_step = g->w * g->c, channels = piece->channels;
    NAME(winograd_place) place = NAME(winograd_first)(piece);
    for (int64_t tile = 0; tile < piece->count; tile++, v += LANES) {
        const int64_t top = place.row * size - g->pad_top;
        const int64_t left = place.column * size - g->pad_left;
        /* The rows and columns of the patch that lie inside. */
        const int64_t top_in = top < 0 ? -top : 0, left_in = left < 0 ? -left : 0;
        const int64_t bottom_in = g->h - top < size + 2 ? g->h - top : size + 2;
        const int64_t right_in = g->w - left < size + 2 ? g->w - left : size + 2;
        const bool whole = (top_in | left_in) == 0 && bottom_in == size + 2 && right_in == size + 2;
        const int64_t origin = ((place.image * g->h + top) * g->w + left) * g->c + piece->channel;
        REAL *to = v;
        for (int64_t at = 0; at < channels; at += LANES, to += piece->block) {
            const int count = NAME(winograd_count)(piece, at);
            if (whole && count == LANES) {
                NAME(winograd_input_tile)(size, x + origin + at, row_step, g->c, to, piece->step);
                continue;
            }
            REAL patch[KATA__WINOGRAD_POINTS * LANES] __attribute__((aligned(KATA__VECTOR_BYTES)));
            for (int i = 0; i < size + 2; i++) {
                const REAL *from = x + (origin + at + i * row_step);
                const bool inside = i >= top_in && i < bottom_in;
                KATA__UNROLL
                for (int j = 0; j < size + 2; j++) {
                    /* A choice of addresses takes no branch, which would often be foretold wrong.
                     */
                    const REAL *d = inside && j >= left_in && j < right_in ? from : zeros;
                    NAME(store)
                    (patch + (i * (size + 2) + j) * LANES,
                     count == LANES ? NAME(load)(d) : NAME(load_first)(d, count));
                    from += g->c;
                }
            }
            NAME(winograd_input_tile)
            (size, patch, (size + 2) * LANES, LANES, to, piece->step);
        }
        NAME(winograd_next)(piece, &place);
    }
}

static void NAME(winograd_input)(const kata__winograd_piece *piece, const void *x,
                                 const uint8_t *index, void *v) {
    (void)index;
    if (piece->size == 2) {
        NAME(winograd_input_body)(2, piece, x, v);
    } else {
        NAME(winograd_input_body)(4, piece, x, v);
    }
}
/* ---- products ---- */

/* One term of a tile. */
#define KATA__WINOGRAD_TERM                                                                        \
    do {                                                                                           \
        const VEC v0 = NAME(load)(b0), v1 = NAME(load)(b1);                                        \
        KATA__UNROLL                                                                               \
        for (int i = 0; i < rows; i++) {                                                           \
            const VEC s = NAME(splat)(a0[i * LANES]);                                              \
            acc[i][0] += s * v0;                                                                   \
            acc[i][1] += (two_points ? NAME(splat)(a1[i * LANES]) : s) * v1;                       \
        }                                                                                          \
        a0++;                                                                                      \
        b0 += LANES;                                                                               \
        b1 += LANES;                                                                               \
        if (two_points) {                                                                          \
            a1++;                                                                                  \
        }                                                                                          \
    } while (0);

/* Two columns of accumulators: two vectors of output channels, or, where only one is left, one
 * vector at two points. `parts` tiles of `rows` rows each, at every point. */
KATA__LOCAL void NAME(winograd_forward_tile)(const kata__winograd_product *p, const bool two_points,
                                             const int rows, int first, int last, int64_t row,
                                             int64_t parts, int64_t vector) {
    const int64_t a_next = p->a_block - LANES;
    const REAL *a_point = (const REAL *)p->a + first * p->a_step + row * LANES;
    const REAL *b_point = (const REAL *)p->b + first * p->b_step + vector * p->b_block;
    REAL *c_point = p->c + first * p->c_step + vector * p->c_block + row * LANES;
    for (int q = first; q < last; q += two_points ? 2 : 1) {
        for (int64_t part = 0; part < parts; part++) {
            const REAL *a0 = a_point + part * rows * LANES, *a1 = a0 + p->a_step;
            const REAL *b0 = b_point, *b1 = b0 + (two_points ? p->b_step : p->b_block);
            REAL *c0 = c_point + part * rows * LANES;
            REAL *c1 = c0 + (two_points ? p->c_step : p->c_block);
            KATA__WINOGRAD_APART(b1);
            KATA__WINOGRAD_APART(c1);
            if (two_points) {
                KATA__WINOGRAD_APART(a1);
            }
            VEC acc[KATA__WINOGRAD_ROWS][2];
            KATA__UNROLL
            for (int i = 0; i < rows; i++) {
                acc[i][0] = acc[i][1] = (VEC){0};
            }
            int64_t left = p->k;
            for (; left >= LANES; left -= LANES) {
                for (int n = 0; n < LANES; n += 4) {
                    KATA__WINOGRAD_TERM
                    KATA__WINOGRAD_TERM
                    KATA__WINOGRAD_TERM
                    KATA__WINOGRAD_TERM
                }
                a0 += a_next;
                a1 += a_next;
            }
            for (; left > 0; left--) {
                KATA__WINOGRAD_TERM
            }
            KATA__UNROLL
            for (int i = 0; i < rows; i++) {
                NAME(store)(c0 + i * LANES, acc[i][0]);
                NAME(store)(c1 + i * LANES, acc[i][1]);
            }
        }
        a_point += p->a_step * (two_points ? 2 : 1);
        b_point += p->b_step * (two_points ? 2 : 1);
        c_point += p->c_step * (two_points ? 2 : 1);
    }
}

#define KATA__WINOGRAD_FORWARD(rows)                                                               \
    static void NAME(winograd_forward_##rows##_1)(const kata__winograd_product *p, int first,      \
                                                  int last, int64_t row, int64_t parts,            \
                                                  int64_t vector) {                                \
        NAME(winograd_forward_tile)(p, true, rows, first, last, row, parts, vector);               \
    }                                                                                              \
    static void NAME(winograd_forward_##rows##_2)(const kata__winograd_product *p, int first,      \
                                                  int last, int64_t row, int64_t parts,            \
                                                  int64_t vector) {                                \
        NAME(winograd_forward_tile)(p, false, rows, first, last, row, parts, vector);              \
    }
#if KATA__WINOGRAD_ROWS == 14
#define KATA__WINOGRAD_EACH_ROWS(f)                                                                \
    f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11) f(12) f(13) f(14)
#elif KATA__WINOGRAD_ROWS == 6
#define KATA__WINOGRAD_EACH_ROWS(f) f(1) f(2) f(3) f(4) f(5) f(6)
#else
#define KATA__WINOGRAD_EACH_ROWS(f) f(1) f(2) f(3) f(4)
#endif
KATA__WINOGRAD_EACH_ROWS(KATA__WINOGRAD_FORWARD)

#define KATA__WINOGRAD_ENTRY(rows)                                                                 \
    {NAME(winograd_forward_##rows##_1), NAME(winograd_forward_##rows##_2)},
static void (*const NAME(winograd_forwards)[KATA__WINOGRAD_ROWS][2])(
    const kata__winograd_product *p, int first, int last, int64_t row, int64_t parts,
    int64_t vector) = {KATA__WINOGRAD_EACH_ROWS(KATA__WINOGRAD_ENTRY)};

/* Tiles of about equal height: a last one of few rows would leave the multipliers idle. Where b has
 * many vectors, all of them pass by while a's numbers of a point or two are near. */
static void NAME(winograd_product)(const kata__winograd_product *p) {
    const int64_t parts = (p->m + KATA__WINOGRAD_ROWS - 1) / KATA__WINOGRAD_ROWS;
    const int64_t rows = p->m / parts, higher = p->m % parts;
    const int together = p->vectors > 2 ? 2 : p->points;
    for (int q = 0; q < p->points; q += together) {
        for (int64_t vector = 0; vector < p->vectors; vector += 2) {
            const int two = p->vectors - vector > 1;
            if (higher > 0) {
                NAME(winograd_forwards)[rows][two](p, q, q + together, 0, higher, vector);
            }
            NAME(winograd_forwards)
            [rows - 1][two](p, q, q + together, higher * (rows + 1), parts - higher, vector);
        }
    }
}

/* `rows` channels of a vector and `vectors` of the other side, over all tiles. */
KATA__LOCAL void NAME(winograd_weight_tile)(const kata__winograd_product *p, const int rows,
                                            const int vectors, const REAL *a, const REAL *b,
                                            REAL *c) {
    VEC acc[LANES][KATA__WINOGRAD_WEIGHT_VECTORS];
    const int64_t b_block = p->b_block, c_pitch = p->c_block;
    KATA__UNROLL
    for (int i = 0; i < rows; i++) {
        KATA__UNROLL
        for (int v = 0; v < vectors; v++) {
            acc[i][v] = p->fresh ? (VEC){0} : NAME(load)(c + i * c_pitch + v * LANES);
        }
    }
    for (int64_t k = p->k; k > 0; k--, a += LANES, b += LANES) {
        VEC bv[KATA__WINOGRAD_WEIGHT_VECTORS];
        KATA__UNROLL
        for (int v = 0; v < vectors; v++) {
            bv[v] = NAME(load)(b + v * b_block);
        }
        KATA__UNROLL
        for (int i = 0; i < rows; i++) {
            const VEC av = NAME(splat)(a[i]);
            KATA__UNROLL
            for (int v = 0; v < vectors; v++) {
                acc[i][v] += av * bv[v];
            }
        }
    }
    KATA__UNROLL
    for (int i = 0; i < rows; i++) {
        KATA__UNROLL
        for (int v = 0; v < vectors; v++) {
            NAME(store)(c + i * c_pitch + v * LANES, acc[i][v]);
        }
    }
}

static void NAME(winograd_product_weight)(const kata__winograd_product *p) {
    /* A lone vector by all channels of a vector: so many sums as hide the latency. */
    const int64_t pairs = p->vectors / 2 * 2;
    for (int q = 0; q < p->points; q++) {
        const REAL *a = (const REAL *)p->a + q * p->a_step;
        const REAL *b = (const REAL *)p->b + q * p->b_step;
        REAL *c = p->c + q * p->c_step;
        for (int64_t row = 0; row < p->m; row += LANES, a += p->a_block) {
            for (int64_t v = 0; v < pairs; v += 2) {
                for (int64_t i = 0; i < LANES; i += KATA__WINOGRAD_WEIGHT_ROWS) {
                    NAME(winograd_weight_tile)
                    (p, KATA__WINOGRAD_WEIGHT_ROWS, 2, a + i, b + v * p->b_block,
                     c + (row + i) * p->c_block + v * LANES);
                }
            }
            if (pairs < p->vectors) {
                NAME(winograd_weight_tile)
                (p, LANES, 1, a, b + pairs * p->b_block, c + row * p->c_block + pairs * LANES);
            }
        }
    }
}
/* ---- output ---- */

KATA__LOCAL VEC NAME(winograd_load)(const bool tail, const REAL *from, int count) {
    return tail ? NAME(load_first)(from, count) : NAME(load)(from);
}

KATA__LOCAL void NAME(winograd_store)(const bool tail, REAL *to, VEC v, int count) {
    if (tail) {
        NAME(store_first)(to, v, count);
    } else {
        NAME(store)(to, v);
    }
}

#define KATA__WINOGRAD_NUMBER REAL
#define KATA__WINOGRAD_STORE kata__conv_store
#define KATA__WINOGRAD_OUT(name) NAME(winograd_##name)
#define KATA__WINOGRAD_READ(tail, p, count) NAME(winograd_load)(tail, p, count)
#define KATA__WINOGRAD_WRITE(tail, p, v, count) NAME(winograd_store)(tail, p, v, count)
#include "kernel/body/winograd_output.h"

/* ---- the gradient of the output ---- */

/* Stores A t for a line; returns where the next line goes. */
KATA__LOCAL REAL *NAME(winograd_gradient_store)(const int size, const VEC *t, REAL *d,
                                                int64_t step) {
    VEC to[6];
    NAME(winograd_gradient_line)(size, t, to);
    KATA__UNROLL
    for (int j = 0; j < size + 2; j++) {
        NAME(store)(d, to[j]);
        d += step;
        KATA__WINOGRAD_APART(d);
    }
    return d;
}

/* The two lines of m = 4 at the points +-p, or of m = 2 at +-1. */
KATA__LOCAL REAL *NAME(winograd_gradient_pair)(const int size, const REAL *dy, int64_t row,
                                               int64_t column, const REAL point, const REAL square,
                                               REAL *d, int64_t step) {
    VEC plus[4], minus[4];
    KATA__UNROLL
    for (int j = 0; j < size; j++) {
        VEC even = NAME(load)(dy), odd = NAME(load)(dy + row);
        if (size == 4) {
            even += square * NAME(load)(dy + 2 * row);
            odd += square * NAME(load)(dy + 3 * row);
            plus[j] = even + point * odd;
            minus[j] = even - point * odd;
        } else {
            plus[j] = even + odd;
            minus[j] = even - odd;
        }
        dy += column;
        KATA__WINOGRAD_APART(dy);
    }
    d = NAME(winograd_gradient_store)(size, plus, d, step);
    return NAME(winograd_gradient_store)(size, minus, d, step);
}

/* Element (i,j) of the tile is at dy + i row + j column. */
KATA__LOCAL void NAME(winograd_gradient_tile)(const int size, const REAL *dy, int64_t row,
                                              int64_t column, REAL *d, int64_t step, REAL *db) {
    VEC line[4];
    if (db) {
        VEC sum = {0};
        KATA__UNROLL
        for (int i = 0; i < size; i++) {
            const REAL *t = dy + i * row;
            VEC part = NAME(load)(t) + NAME(load)(t + column);
            if (size == 4) {
                part += NAME(load)(t + 2 * column) + NAME(load)(t + 3 * column);
            }
            sum += part;
        }
        NAME(store)(db, NAME(load)(db) + sum);
    }
    KATA__UNROLL
    for (int j = 0; j < size; j++) {
        line[j] = NAME(load)(dy + j * column);
    }
    d = NAME(winograd_gradient_store)(size, line, d, step);
    d = NAME(winograd_gradient_pair)(size, dy, row, column, KATA__WINOGRAD_A,
                                     KATA__WINOGRAD_SQUARE_A, d, step);
    if (size == 4) {
        d = NAME(winograd_gradient_pair)(size, dy, row, column, KATA__WINOGRAD_B,
                                         KATA__WINOGRAD_SQUARE_B, d, step);
    }
    KATA__UNROLL
    for (int j = 0; j < size; j++) {
        line[j] = NAME(load)(dy + (size - 1) * row + j * column);
    }
    NAME(winograd_gradient_store)(size, line, d, step);
}

/* A window's gradient at dy goes to its place among four numbers of a tile of `size` columns. */
KATA__LOCAL void NAME(winograd_spread)(const int size, const REAL *dy, const uint8_t *index,
                                       int count, REAL *tile) {
    NAME(winograd_bytes) bytes = {0};
    VEC v;
    if (count == LANES) {
        v = NAME(load)(dy);
        memcpy(&bytes, index, sizeof bytes);
    } else {
        v = NAME(load_first)(dy, count);
        memcpy(&bytes, index, (size_t)count);
    }
    KATA__UNROLL
    for (int s = 0; s < 4; s++) {
#if KATA__VECTOR_BYTES == 64
        const __mmask16 here = _mm_cmpeq_epi8_mask((__m128i)bytes, _mm_set1_epi8((char)s));
        const VEC t = (VEC)_mm512_maskz_mov_ps(here, (__m512)v);
#else
        const VEC t = NAME(select)(__builtin_convertvector(bytes, IVEC) == s, v, (VEC){0});
#endif
        NAME(store)(tile + (s / 2 * size + s % 2) * LANES, t);
    }
}

KATA__LOCAL void NAME(winograd_gradient_body)(const int size, const bool pooled,
                                              const kata__winograd_piece *piece, const REAL *dy,
                                              const uint8_t *index, REAL *d, REAL *db) {
    const kata__conv *g = piece->conv;
    const int64_t h = pooled ? g->oh / 2 : g->oh, w = pooled ? g->ow / 2 : g->ow;
    const int across = pooled ? size / 2 : size; /* numbers of dy in a direction of the tile */
    const int64_t row_step = w * g->f;
    NAME(winograd_place) place = NAME(winograd_first)(piece);
    for (int64_t n = 0; n < piece->count; n++, d += LANES) {
        const int64_t row = place.row * across, column = place.column * across;
        const int64_t rows = h - row < across ? h - row : across;
        const int64_t columns = w - column < across ? w - column : across;
        const int64_t origin = ((place.image * h + row) * w + column) * g->f + piece->channel;
        REAL *to = d;
        for (int64_t at = 0; at < piece->channels; at += LANES, to += piece->block) {
            const int count = NAME(winograd_count)(piece, at);
            REAL *sum = db ? db + at : NULL;
            if (!pooled && rows == size && columns == size && count == LANES) {
                NAME(winograd_gradient_tile)
                (size, dy + origin + at, row_step, g->f, to, piece->step, sum);
                continue;
            }
            REAL tile[16 * LANES] __attribute__((aligned(KATA__VECTOR_BYTES)));
            for (int i = 0; i < across; i++) {
                const int64_t from = origin + at + i * row_step;
                KATA__UNROLL
                for (int j = 0; j < across; j++) {
                    const bool inside = i < rows && j < columns;
                    if (pooled) {
                        REAL *window = tile + (2 * i * size + 2 * j) * LANES;
                        if (inside) {
                            NAME(winograd_spread)
                            (size, dy + from + j * g->f, index + from + j * g->f, count, window);
                        } else {
                            KATA__UNROLL
                            for (int s = 0; s < 4; s++) {
                                NAME(store)(window + (s / 2 * size + s % 2) * LANES, (VEC){0});
                            }
                        }
                    } else {
                        const REAL *t = dy + from + j * g->f;
                        VEC v = {0};
                        if (inside) {
                            v = count == LANES ? NAME(load)(t) : NAME(load_first)(t, count);
                        }
                        NAME(store)(tile + (i * size + j) * LANES, v);
                    }
                }
            }
            NAME(winograd_gradient_tile)(size, tile, size * LANES, LANES, to, piece->step, sum);
        }
        NAME(winograd_next)(piece, &place);
    }
}

static void NAME(winograd_gradient)(const kata__winograd_piece *piece, const void *dy,
                                    const uint8_t *index, void *d, float *db) {
    if (piece->size == 2 && index) {
        NAME(winograd_gradient_body)(2, true, piece, dy, index, d, db);
    } else if (piece->size == 2) {
        NAME(winograd_gradient_body)(2, false, piece, dy, index, d, db);
    } else if (index) {
        NAME(winograd_gradient_body)(4, true, piece, dy, index, d, db);
    } else {
        NAME(winograd_gradient_body)(4, false, piece, dy, index, d, db);
    }
}
KATA__LOCAL void NAME(winograd_pack_body)(const int size, const kata__conv *conv, bool flipped,
                                          const REAL *weight, int64_t first, int64_t last,
                                          REAL *packed) {
    const int points = (size + 2) * (size + 2);
    const int64_t vectors = (conv->f + LANES - 1) / LANES, step = vectors * conv->c * LANES;
    for (int64_t vector = first; vector < last; vector++) {
        const int64_t f = vector * LANES;
        const int count = conv->f - f < LANES ? (int)(conv->f - f) : LANES;
        for (int64_t c = 0; c < conv->c; c++) {
            VEC u[KATA__WINOGRAD_POINTS];
            NAME(winograd_pack_filter)(size, conv, flipped, weight, f, count, c, u);
            REAL *to = packed + (vector * conv->c + c) * LANES;
            for (int q = 0; q < points; q++) {
                NAME(store)(to + q * step, u[q]);
            }
        }
    }
}

static void NAME(winograd_pack)(const kata__conv *conv, int size, bool flipped, const float *weight,
                                int64_t first, int64_t last, void *packed) {
    if (size == 2) {
        NAME(winograd_pack_body)(2, conv, flipped, weight, first, last, packed);
    } else {
        NAME(winograd_pack_body)(4, conv, flipped, weight, first, last, packed);
    }
}

static const kata__winograd_table NAME(kata__winograd) = {
    .lanes = LANES,
    .rows = KATA__WINOGRAD_ROWS,
    .pair = 1,
    .pack = NAME(winograd_pack),
    .input = NAME(winograd_input),
    .input_weight = NAME(winograd_input),
    .product = NAME(winograd_product),
    .output = NAME(winograd_output),
    .gradient = NAME(winograd_gradient),
    .product_weight = NAME(winograd_product_weight),
    .weight_end = NAME(winograd_weight_end),
    .weight_sum = NAME(winograd_weight_sum),
};
