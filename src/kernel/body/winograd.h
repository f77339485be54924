/* Winograd's minimal filtering, F(2x2,3x3) and F(4x4,3x3), with vectors along the channels:
 *   Y = A^T [ (G g G^T) . (B^T d B) ] A     (Lavin and Gray 2016, "Fast algorithms for
 * convolutional neural networks") d a patch of P x P numbers of x, g a filter of 3x3, Y the tile of
 * m x m outputs, P = m + 2; sums over the input channels are taken between the inner and the outer
 * transform. The gradient by the filter is the same form turned round: dg = G^T [ (B^T d B) . (A dY
 * A^T) ] G.
 *
 * The transforms evaluate polynomials in P - 1 points and at infinity: 0, +-1 for m = 2; 0, +-a,
 * +-b with a = 1/sqrt 2, b = sqrt 2 for m = 4, whose error is about a third of that of the usual
 * 0, +-1, +-2. With s = a^2 + b^2 = 5/2 and a^2 b^2 = 1
 *
 *          1  0 -s  0  1  0            1  0  0                    1  1  1  1  1  0
 *          0 -ab^2 -b^2 a 1 0          1  a a^2                   0  a -a  b -b  0
 *   B^T =  0  ab^2 -b^2 -a 1 0   G = D 1 -a a^2            A^T =  0 a^2 a^2 b^2 b^2 0
 *          0 -ba^2 -a^2 b 1 0          1  b b^2                   0 a^3 -a^3 b^3 -b^3 1
 *          0  ba^2 -a^2 -b 1 0         1 -b b^2
 *          0  1  0 -s  0  1            0  0  1
 *
 * D = diagonal (1, -2/3, -2/3, 1/6, 1/6, 1): the products of the differences of the points. */

#ifndef KATA__WINOGRAD_SQUARE_A
#define KATA__WINOGRAD_SQUARE_A 0.5f
#define KATA__WINOGRAD_SQUARE_B 2.0f
#define KATA__WINOGRAD_A 0.70710678118654752f
#define KATA__WINOGRAD_B 1.41421356237309505f
#define KATA__WINOGRAD_S 2.5f

/* Keeps the compiler from taking p for another pointer plus a distance: it would use up its
 * registers for distances. */
#define KATA__WINOGRAD_APART(p) __asm__("" : "+r"(p))

/* A product's largest tile forward is ROWS x 2 vectors, by weight WEIGHT_ROWS, which divide a
 * vector, x 2; see KATA__TILE_ROWS. */
#if KATA__VECTOR_BYTES == 64
#define KATA__WINOGRAD_ROWS 14
#define KATA__WINOGRAD_WEIGHT_ROWS 8
#elif KATA__VECTOR_BYTES == 32
#define KATA__WINOGRAD_ROWS 6
#define KATA__WINOGRAD_WEIGHT_ROWS 4
#else
#define KATA__WINOGRAD_ROWS 4
#define KATA__WINOGRAD_WEIGHT_ROWS 4
#endif
#define KATA__WINOGRAD_WEIGHT_VECTORS 2
#endif

/* ---- the transforms of a line ---- */

/* v = B^T d */
KATA__LOCAL void NAME(winograd_input_line)(const int size, const VEC *d, VEC *v) {
    if (size == 2) {
        v[0] = d[0] - d[2];
        v[1] = d[1] + d[2];
        v[2] = d[2] - d[1];
        v[3] = d[3] - d[1];
    } else {
        const VEC even_a = d[4] - KATA__WINOGRAD_SQUARE_B * d[2];
        const VEC odd_a = d[3] - KATA__WINOGRAD_SQUARE_B * d[1];
        const VEC even_b = d[4] - KATA__WINOGRAD_SQUARE_A * d[2];
        const VEC odd_b = d[3] - KATA__WINOGRAD_SQUARE_A * d[1];
        v[0] = (d[0] + d[4]) - KATA__WINOGRAD_S * d[2];
        v[1] = even_a + KATA__WINOGRAD_A * odd_a;
        v[2] = even_a - KATA__WINOGRAD_A * odd_a;
        v[3] = even_b + KATA__WINOGRAD_B * odd_b;
        v[4] = even_b - KATA__WINOGRAD_B * odd_b;
        v[5] = (d[1] + d[5]) - KATA__WINOGRAD_S * d[3];
    }
}

/* y = A^T m + bias */
KATA__LOCAL void NAME(winograd_output_line)(const int size, const VEC *m, VEC bias, VEC *y) {
    if (size == 2) {
        y[0] = (m[0] + bias) + (m[1] + m[2]);
        y[1] = (m[3] + bias) + (m[1] - m[2]);
    } else {
        const VEC even_a = m[1] + m[2], odd_a = m[1] - m[2];
        const VEC even_b = m[3] + m[4], odd_b = m[3] - m[4];
        y[0] = ((m[0] + bias) + even_a) + even_b;
        y[1] = (bias + KATA__WINOGRAD_B * odd_b) + KATA__WINOGRAD_A * odd_a;
        y[2] = (bias + KATA__WINOGRAD_SQUARE_B * even_b) + KATA__WINOGRAD_SQUARE_A * even_a;
        y[3] = ((m[5] + bias) + KATA__WINOGRAD_A * KATA__WINOGRAD_SQUARE_A * odd_a) +
               KATA__WINOGRAD_B * KATA__WINOGRAD_SQUARE_B * odd_b;
    }
}

/* d = A t */
KATA__LOCAL void NAME(winograd_gradient_line)(const int size, const VEC *t, VEC *d) {
    if (size == 2) {
        d[0] = t[0];
        d[1] = t[0] + t[1];
        d[2] = t[0] - t[1];
        d[3] = t[1];
    } else {
        const VEC even_a = t[0] + KATA__WINOGRAD_SQUARE_A * t[2];
        const VEC odd_a = t[1] + KATA__WINOGRAD_SQUARE_A * t[3];
        const VEC even_b = t[0] + KATA__WINOGRAD_SQUARE_B * t[2];
        const VEC odd_b = t[1] + KATA__WINOGRAD_SQUARE_B * t[3];
        d[0] = t[0];
        d[1] = even_a + KATA__WINOGRAD_A * odd_a;
        d[2] = even_a - KATA__WINOGRAD_A * odd_a;
        d[3] = even_b + KATA__WINOGRAD_B * odd_b;
        d[4] = even_b - KATA__WINOGRAD_B * odd_b;
        d[5] = t[3];
    }
}

/* g = G^T u */
KATA__LOCAL void NAME(winograd_weight_line)(const int size, const VEC *u, VEC *g) {
    if (size == 2) {
        const VEC even = 0.5f * (u[1] + u[2]);
        g[0] = u[0] + even;
        g[1] = 0.5f * (u[1] - u[2]);
        g[2] = u[3] + even;
    } else {
        const VEC even_a = (-2.0f / 3) * (u[1] + u[2]), odd_a = (-2.0f / 3) * (u[1] - u[2]);
        const VEC even_b = (1.0f / 6) * (u[3] + u[4]), odd_b = (1.0f / 6) * (u[3] - u[4]);
        g[0] = (u[0] + even_a) + even_b;
        g[1] = KATA__WINOGRAD_A * odd_a + KATA__WINOGRAD_B * odd_b;
        g[2] = (u[5] + KATA__WINOGRAD_SQUARE_A * even_a) + KATA__WINOGRAD_SQUARE_B * even_b;
    }
}

/* maximum, in one instruction where GCC does not find it. */
KATA__LOCAL VEC NAME(winograd_maximum)(VEC a, VEC b) {
#if KATA__VECTOR_BYTES == 64
    return (VEC)_mm512_max_ps((__m512)b, (__m512)a); /* a if either is a NaN */
#elif KATA__VECTOR_BYTES == 32
    return (VEC)_mm256_max_ps((__m256)b, (__m256)a);
#else
    return NAME(maximum)(a, b);
#endif
}

/* ---- places ---- */

/* Where a tile is; next moves on to the one behind. */
typedef struct NAME(winograd_place) {
    int64_t image, row, column; /* row and column in tiles */
} NAME(winograd_place);

KATA__LOCAL NAME(winograd_place) NAME(winograd_first)(const kata__winograd_piece *piece) {
    const int64_t tiles = piece->rows * piece->columns, rest = piece->first % tiles;
    return (NAME(winograd_place)){piece->first / tiles, rest / piece->columns,
                                  rest % piece->columns};
}

KATA__LOCAL void NAME(winograd_next)(const kata__winograd_piece *piece,
                                     NAME(winograd_place) *place) {
    if (++place->column == piece->columns) {
        place->column = 0;
        if (++place->row == piece->rows) {
            place->row = 0;
            place->image++;
        }
    }
}

KATA__LOCAL int NAME(winograd_count)(const kata__winograd_piece *piece, int64_t at) {
    return piece->channels - at < LANES ? (int)(piece->channels - at) : LANES;
}

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

static void NAME(winograd_input)(const kata__winograd_piece *piece, const float *x, float *v) {
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
    const REAL *a_point = p->a + first * p->a_step + row * LANES;
    const REAL *b_point = p->b + first * p->b_step + vector * p->b_block;
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
        const REAL *a = p->a + q * p->a_step, *b = p->b + q * p->b_step;
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

typedef uint8_t NAME(winograd_bytes) __attribute__((vector_size(LANES)));

/* What the end of a tile needs: pointers to the tile's first element and channel, NULL if not
 * asked for. */
typedef struct NAME(winograd_end) {
    const REAL *bias, *residual, *mask;
    REAL *y;
    uint8_t *index;
    int64_t row_step, column_step;   /* of residual, mask, and y unless pooled */
    int64_t pooled_row, pooled_step; /* of y and index, pooled: rows and columns of windows */
    int rows, columns;               /* of the tile that lie inside; pooled: even */
    bool relu;
} NAME(winograd_end);

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

/* Row i of the tile's y, with residual, relu and mask; stored unless pooled. `plain`: neither
 * residual nor mask. Pooled, relu may wait until after the maximum. */
KATA__LOCAL void NAME(winograd_finish)(const int size, const bool tail, const bool plain,
                                       const bool pool, const NAME(winograd_end) *e, const int i,
                                       VEC *y, VEC least, int64_t at, int count) {
    KATA__UNROLL
    for (int j = 0; j < size; j++) {
        if (!pool || !plain) {
            if (i < e->rows && j < e->columns) {
                const int64_t place = i * e->row_step + j * e->column_step + at;
                if (!plain && e->residual) {
                    y[j] += NAME(winograd_load)(tail, e->residual + place, count);
                }
                y[j] = NAME(winograd_maximum)(y[j], least);
                if (!plain && e->mask) {
                    const VEC mask = NAME(winograd_load)(tail, e->mask + place, count);
                    y[j] = NAME(select)(mask <= (VEC){0}, (VEC){0}, y[j]);
                }
                if (!pool) {
                    NAME(winograd_store)(tail, e->y + place, y[j], count);
                }
            }
        }
    }
}

/* The windows of rows i and i + 1. */
KATA__LOCAL void NAME(winograd_pool)(const int size, const bool tail, const NAME(winograd_end) *e,
                                     const int i, const VEC *above, const VEC *below, VEC least,
                                     int64_t at, int count) {
    if (i >= e->rows) {
        return;
    }
    KATA__UNROLL
    for (int j = 0; j < size; j += 2) {
        if (j < e->columns) {
            const IVEC right = above[j + 1] > above[j], low_right = below[j + 1] > below[j];
            const VEC top = NAME(winograd_maximum)(above[j], above[j + 1]);
            const VEC low = NAME(winograd_maximum)(below[j], below[j + 1]);
            const IVEC lower = low > top;
            const VEC best = NAME(winograd_maximum)(NAME(winograd_maximum)(top, low), least);
            const int64_t place = i / 2 * e->pooled_row + j / 2 * e->pooled_step + at;
            NAME(winograd_store)(tail, e->y + place, best, count);
            if (e->index) {
                IVEC where = (lower & (2 - low_right)) | (~lower & -right);
                if (e->relu) {
                    where |= (best <= (VEC){0}) & KATA__POOL_NONE;
                }
                const NAME(winograd_bytes) bytes =
                    __builtin_convertvector(where, NAME(winograd_bytes));
                memcpy(e->index + place, &bytes, tail ? (size_t)count : sizeof bytes);
            }
        }
    }
}

/* Rows 0 and 2, then 1 and 3 of m = 4: all four halves at once do not fit the registers. */
KATA__LOCAL void NAME(winograd_output_tile)(const int size, const bool tail, const bool plain,
                                            const bool pool, const NAME(winograd_end) *e,
                                            const REAL *m, int64_t step, int64_t at, int count) {
    const VEC bias = e->bias ? NAME(winograd_load)(tail, e->bias + at, count) : (VEC){0};
    const VEC least = NAME(splat)(e->relu ? 0 : (REAL)-__builtin_inf());
    const int64_t row = (size + 2) * step;
    const REAL *from = m;
    VEC y[4][4], half[2][6];
    KATA__UNROLL
    for (int j = 0; j < size + 2; j++) {
        KATA__WINOGRAD_APART(from);
        if (size == 2) {
            const VEC one = NAME(load)(from + row), two = NAME(load)(from + 2 * row);
            half[0][j] = NAME(load)(from) + (one + two);
            half[1][j] = NAME(load)(from + 3 * row) + (one - two);
        } else {
            const VEC even_a = NAME(load)(from + row) + NAME(load)(from + 2 * row);
            const VEC even_b = NAME(load)(from + 3 * row) + NAME(load)(from + 4 * row);
            half[0][j] = (NAME(load)(from) + even_a) + even_b;
            half[1][j] = KATA__WINOGRAD_SQUARE_A * even_a + KATA__WINOGRAD_SQUARE_B * even_b;
        }
        from += step;
    }
    KATA__UNROLL
    for (int i = 0; i < 2; i++) {
        const int at_row = size == 2 ? i : 2 * i;
        NAME(winograd_output_line)(size, half[i], bias, y[at_row]);
        NAME(winograd_finish)
        (size, tail, plain, pool, e, at_row, y[at_row], least, at, count);
    }
    if (size == 4) {
        from = m;
        KATA__UNROLL
        for (int j = 0; j < 6; j++) {
            KATA__WINOGRAD_APART(from);
            const VEC odd_a = NAME(load)(from + row) - NAME(load)(from + 2 * row);
            const VEC odd_b = NAME(load)(from + 3 * row) - NAME(load)(from + 4 * row);
            half[0][j] = KATA__WINOGRAD_A * odd_a + KATA__WINOGRAD_B * odd_b;
            half[1][j] =
                (NAME(load)(from + 5 * row) + KATA__WINOGRAD_A * KATA__WINOGRAD_SQUARE_A * odd_a) +
                KATA__WINOGRAD_B * KATA__WINOGRAD_SQUARE_B * odd_b;
            from += step;
        }
        KATA__UNROLL
        for (int i = 0; i < 2; i++) {
            NAME(winograd_output_line)(4, half[i], bias, y[2 * i + 1]);
            NAME(winograd_finish)
            (4, tail, plain, pool, e, 2 * i + 1, y[2 * i + 1], least, at, count);
        }
    }
    if (pool) {
        KATA__UNROLL
        for (int i = 0; i < size; i += 2) {
            NAME(winograd_pool)(size, tail, e, i, y[i], y[i + 1], least, at, count);
        }
    }
}

KATA__LOCAL void NAME(winograd_output_body)(const int size, const bool plain, const bool pool,
                                            const kata__winograd_piece *piece, const REAL *m,
                                            const kata__conv_store *store, REAL *y) {
    const kata__conv *g = piece->conv;
    const int64_t f = piece->channel;
    NAME(winograd_place) place = NAME(winograd_first)(piece);
    NAME(winograd_end)
    e = {.bias = store->bias ? store->bias + f : NULL,
         .relu = store->relu,
         .row_step = g->ow * g->f,
         .column_step = g->f,
         .pooled_row = g->ow / 2 * g->f,
         .pooled_step = g->f};
    const int64_t rows = pool ? g->oh / 2 * 2 : g->oh, columns = pool ? g->ow / 2 * 2 : g->ow;
    for (int64_t tile = 0; tile < piece->count; tile++, m += LANES) {
        const int64_t row = place.row * size, column = place.column * size;
        const int64_t from = ((place.image * g->oh + row) * g->ow + column) * g->f + f;
        const int64_t to =
            pool ? ((place.image * (g->oh / 2) + row / 2) * (g->ow / 2) + column / 2) * g->f + f
                 : from;
        e.rows = rows - row < size ? (int)(rows - row) : size;
        e.columns = columns - column < size ? (int)(columns - column) : size;
        e.residual = store->residual ? store->residual + from : NULL;
        e.mask = store->mask ? store->mask + from : NULL;
        e.y = y + to;
        e.index = store->index ? store->index + to : NULL;
        int64_t at = 0;
        for (; at + LANES <= piece->channels; at += LANES) {
            NAME(winograd_output_tile)
            (size, false, plain, pool, &e, m + at / LANES * piece->block, piece->step, at, LANES);
        }
        if (at < piece->channels) {
            NAME(winograd_output_tile)
            (size, true, plain, pool, &e, m + at / LANES * piece->block, piece->step, at,
             NAME(winograd_count)(piece, at));
        }
        NAME(winograd_next)(piece, &place);
    }
}

#define KATA__WINOGRAD_OUTPUT(size)                                                                \
    static void NAME(winograd_output_##size)(const kata__winograd_piece *piece, const float *m,    \
                                             const kata__conv_store *store, float *y) {            \
        const bool plain = !store->residual && !store->mask;                                       \
        if (plain && !store->pool) {                                                               \
            NAME(winograd_output_body)(size, true, false, piece, m, store, y);                     \
        } else if (plain) {                                                                        \
            NAME(winograd_output_body)(size, true, true, piece, m, store, y);                      \
        } else if (!store->pool) {                                                                 \
            NAME(winograd_output_body)(size, false, false, piece, m, store, y);                    \
        } else {                                                                                   \
            NAME(winograd_output_body)(size, false, true, piece, m, store, y);                     \
        }                                                                                          \
    }
KATA__WINOGRAD_OUTPUT(2)
KATA__WINOGRAD_OUTPUT(4)

static void NAME(winograd_output)(const kata__winograd_piece *piece, const float *m,
                                  const kata__conv_store *store, float *y) {
    if (piece->size == 2) {
        NAME(winograd_output_2)(piece, m, store, y);
    } else {
        NAME(winograd_output_4)(piece, m, store, y);
    }
}

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

static void NAME(winograd_gradient)(const kata__winograd_piece *piece, const float *dy,
                                    const uint8_t *index, float *d, float *db) {
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

/* ---- weights ---- */

KATA__LOCAL void NAME(winograd_weight_end_body)(const int size, int64_t channels, int64_t vectors,
                                                const REAL *u, int64_t pitch, int64_t step,
                                                REAL *part, int64_t part_step) {
    for (int64_t c = 0; c < channels; c++, u += pitch, part += 9 * part_step) {
        for (int64_t vector = 0; vector < vectors; vector++) {
            VEC half[3][6];
            KATA__UNROLL
            for (int j = 0; j < size + 2; j++) {
                VEC d[6], t[3];
                KATA__UNROLL
                for (int i = 0; i < size + 2; i++) {
                    d[i] = NAME(load)(u + vector * LANES + (i * (size + 2) + j) * step);
                }
                NAME(winograd_weight_line)(size, d, t);
                KATA__UNROLL
                for (int i = 0; i < 3; i++) {
                    half[i][j] = t[i];
                }
            }
            KATA__UNROLL
            for (int i = 0; i < 3; i++) {
                VEC t[3];
                NAME(winograd_weight_line)(size, half[i], t);
                KATA__UNROLL
                for (int j = 0; j < 3; j++) {
                    NAME(store)(part + vector * LANES + (3 * i + j) * part_step, t[j]);
                }
            }
        }
    }
}

static void NAME(winograd_weight_end)(int size, int64_t channels, int64_t vectors, const float *u,
                                      int64_t pitch, int64_t step, float *part, int64_t part_step) {
    if (size == 2) {
        NAME(winograd_weight_end_body)(2, channels, vectors, u, pitch, step, part, part_step);
    } else {
        NAME(winograd_weight_end_body)(4, channels, vectors, u, pitch, step, part, part_step);
    }
}

static void NAME(winograd_weight_sum)(const kata__conv *conv, int64_t first, int64_t last,
                                      const float *part, int64_t pitch, int64_t n_parts,
                                      int64_t part_step, float *dw) {
    for (int64_t f = first * LANES; f < conv->f && f < last * LANES; f += LANES) {
        const int count = conv->f - f < LANES ? (int)(conv->f - f) : LANES;
        for (int64_t c = 0; c < conv->c; c++) {
            REAL sum[9][LANES];
            for (int tap = 0; tap < 9; tap++) {
                const REAL *from = part + (c * 9 + tap) * pitch + f;
                VEC v = NAME(load)(from);
                for (int64_t s = 1; s < n_parts; s++) {
                    v += NAME(load)(from + s * part_step);
                }
                NAME(store)(sum[tap], v);
            }
            for (int l = 0; l < count; l++) {
                for (int tap = 0; tap < 9; tap++) {
                    dw[((f + l) * conv->c + c) * 9 + tap] = sum[tap][l];
                }
            }
        }
    }
}

/* u = G g, in double: the packed weight is exact to one rounding. */
KATA__LOCAL void NAME(winograd_pack_line)(const int size, double (*g)[LANES], int g_step,
                                          double (*u)[LANES], int u_step) {
    static const double point[2][4] = {{1, -1, 0, 0},
                                       {0.70710678118654752440, -0.70710678118654752440,
                                        1.41421356237309504880, -1.41421356237309504880}};
    static const double factor[2][4] = {{0.5, 0.5, 0, 0}, {-2.0 / 3, -2.0 / 3, 1.0 / 6, 1.0 / 6}};
    for (int l = 0; l < LANES; l++) {
        u[0][l] = g[0][l];
        u[(size + 1) * u_step][l] = g[2 * g_step][l];
    }
    KATA__UNROLL
    for (int i = 0; i < size; i++) {
        const double x = point[size / 4][i], scale = factor[size / 4][i];
        for (int l = 0; l < LANES; l++) {
            u[(i + 1) * u_step][l] = scale * (g[0][l] + x * (g[g_step][l] + x * g[2 * g_step][l]));
        }
    }
}

KATA__LOCAL void NAME(winograd_pack_body)(const int size, const kata__conv *conv, bool turned,
                                          const REAL *weight, int64_t first, int64_t last,
                                          REAL *packed) {
    const int points = (size + 2) * (size + 2);
    const int64_t vectors = (conv->f + LANES - 1) / LANES, step = vectors * conv->c * LANES;
    for (int64_t vector = first; vector < last; vector++) {
        const int64_t f = vector * LANES;
        const int count = conv->f - f < LANES ? (int)(conv->f - f) : LANES;
        for (int64_t c = 0; c < conv->c; c++) {
            double g[9][LANES] = {{0}}, half[18][LANES], u[KATA__WINOGRAD_POINTS][LANES];
            for (int l = 0; l < count; l++) {
                const REAL *from =
                    weight + (turned ? c * conv->f + f + l : (f + l) * conv->c + c) * 9;
                for (int tap = 0; tap < 9; tap++) {
                    g[tap][l] = from[turned ? 8 - tap : tap];
                }
            }
            for (int j = 0; j < 3; j++) {
                NAME(winograd_pack_line)(size, g + j, 3, half + j, 3);
            }
            for (int i = 0; i < size + 2; i++) {
                NAME(winograd_pack_line)
                (size, half + 3 * i, 1, u + i * (size + 2), 1);
            }
            REAL *to = packed + (vector * conv->c + c) * LANES;
            for (int q = 0; q < points; q++) {
                for (int l = 0; l < LANES; l++) {
                    to[q * step + l] = (REAL)u[q][l];
                }
            }
        }
    }
}

static void NAME(winograd_pack)(const kata__conv *conv, int size, bool turned, const float *weight,
                                int64_t first, int64_t last, float *packed) {
    if (size == 2) {
        NAME(winograd_pack_body)(2, conv, turned, weight, first, last, packed);
    } else {
        NAME(winograd_pack_body)(4, conv, turned, weight, first, last, packed);
    }
}

static const kata__winograd_table NAME(kata__winograd) = {
    .lanes = LANES,
    .rows = KATA__WINOGRAD_ROWS,
    .pack = NAME(winograd_pack),
    .input = NAME(winograd_input),
    .product = NAME(winograd_product),
    .output = NAME(winograd_output),
    .gradient = NAME(winograd_gradient),
    .product_weight = NAME(winograd_product_weight),
    .weight_end = NAME(winograd_weight_end),
    .weight_sum = NAME(winograd_weight_sum),
};
