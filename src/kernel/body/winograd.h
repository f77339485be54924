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

/* Rows of a product's largest tile, by one and by two vectors; see KATA__TILE_ROWS. */
#if KATA__VECTOR_BYTES == 64
#define KATA__WINOGRAD_ROWS 14
#elif KATA__VECTOR_BYTES == 32
#define KATA__WINOGRAD_ROWS 6
#else
#define KATA__WINOGRAD_ROWS 4
#endif
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

/* y = A^T m */
KATA__LOCAL void NAME(winograd_output_line)(const int size, const VEC *m, VEC *y) {
    if (size == 2) {
        y[0] = m[0] + (m[1] + m[2]);
        y[1] = m[3] + (m[1] - m[2]);
    } else {
        const VEC even_a = m[1] + m[2], odd_a = m[1] - m[2];
        const VEC even_b = m[3] + m[4], odd_b = m[3] - m[4];
        y[0] = (m[0] + even_a) + even_b;
        y[1] = KATA__WINOGRAD_A * odd_a + KATA__WINOGRAD_B * odd_b;
        y[2] = KATA__WINOGRAD_SQUARE_A * even_a + KATA__WINOGRAD_SQUARE_B * even_b;
        y[3] = (m[5] + KATA__WINOGRAD_A * KATA__WINOGRAD_SQUARE_A * odd_a) +
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

KATA__LOCAL void NAME(winograd_input_tile)(const int size, const bool tail,
                                           const REAL *const *patch, int64_t at, int count, REAL *v,
                                           int64_t step) {
    VEC half[6][6];
    KATA__UNROLL
    for (int j = 0; j < size + 2; j++) {
        VEC d[6], t[6];
        KATA__UNROLL
        for (int i = 0; i < size + 2; i++) {
            const REAL *from = patch[i * (size + 2) + j] + at;
            d[i] = tail ? NAME(load_first)(from, count) : NAME(load)(from);
        }
        NAME(winograd_input_line)(size, d, t);
        KATA__UNROLL
        for (int i = 0; i < size + 2; i++) {
            half[i][j] = t[i];
        }
    }
    KATA__UNROLL
    for (int i = 0; i < size + 2; i++) {
        VEC t[6];
        NAME(winograd_input_line)(size, half[i], t);
        KATA__UNROLL
        for (int j = 0; j < size + 2; j++) {
            NAME(store)(v + (i * (size + 2) + j) * step, t[j]);
        }
    }
}

KATA__LOCAL void NAME(winograd_input_body)(const int size, const kata__winograd_piece *piece,
                                           const REAL *x, REAL *v) {
    const kata__conv *g = piece->conv;
    NAME(winograd_place) place = NAME(winograd_first)(piece);
    for (int64_t tile = 0; tile < piece->count; tile++, v += piece->pitch) {
        const REAL *patch[KATA__WINOGRAD_POINTS];
        const int64_t top = place.row * size - g->pad_top;
        const int64_t left = place.column * size - g->pad_left;
        for (int i = 0; i < size + 2; i++) {
            const bool row_inside = top + i >= 0 && top + i < g->h;
            const int64_t row = (place.image * g->h + top + i) * g->w + left;
            KATA__UNROLL
            for (int j = 0; j < size + 2; j++) {
                const bool inside = row_inside && left + j >= 0 && left + j < g->w;
                patch[i * (size + 2) + j] =
                    (inside ? x + (row + j) * g->c : piece->zeros) + piece->channel;
            }
        }
        int64_t at = 0;
        for (; at + LANES <= piece->channels; at += LANES) {
            NAME(winograd_input_tile)(size, false, patch, at, LANES, v + at, piece->step);
        }
        if (at < piece->channels) {
            NAME(winograd_input_tile)
            (size, true, patch, at, NAME(winograd_count)(piece, at), v + at, piece->step);
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

KATA__LOCAL void NAME(winograd_tile)(const kata__winograd_product *p, const bool weight,
                                     const int rows, const int vectors, int q, int64_t row,
                                     int64_t vector) {
    VEC acc[KATA__WINOGRAD_ROWS][2];
    const int64_t a_pitch = p->a_pitch, b_pitch = p->b_pitch, c_pitch = p->c_pitch;
    const REAL *a = p->a + q * p->a_step + (weight ? row : row * a_pitch);
    const REAL *b = p->b + q * p->b_step + vector * (weight ? LANES : b_pitch);
    REAL *c = p->c + q * p->c_step + row * c_pitch + vector * LANES;
    KATA__UNROLL
    for (int i = 0; i < rows; i++) {
        KATA__UNROLL
        for (int v = 0; v < vectors; v++) {
            acc[i][v] = weight ? NAME(load)(c + i * c_pitch + v * LANES) : (VEC){0};
        }
    }
    for (int64_t k = p->k; k > 0; k--) {
        VEC bv[2];
        KATA__UNROLL
        for (int v = 0; v < vectors; v++) {
            bv[v] = NAME(load)(b + v * (weight ? LANES : b_pitch));
        }
        KATA__UNROLL
        for (int i = 0; i < rows; i++) {
            const VEC av = NAME(splat)(weight ? a[i] : a[i * a_pitch]);
            KATA__UNROLL
            for (int v = 0; v < vectors; v++) {
                acc[i][v] += av * bv[v];
            }
        }
        a += weight ? a_pitch : 1;
        b += weight ? b_pitch : LANES;
    }
    KATA__UNROLL
    for (int i = 0; i < rows; i++) {
        KATA__UNROLL
        for (int v = 0; v < vectors; v++) {
            NAME(store)(c + i * c_pitch + v * LANES, acc[i][v]);
        }
    }
}

typedef void (*NAME(winograd_tile_function))(const kata__winograd_product *p, int q, int64_t row,
                                             int64_t vector);

#define KATA__WINOGRAD_FUNCTION(name, weight, rows, vectors)                                       \
    static void NAME(name##_##rows##_##vectors)(const kata__winograd_product *p, int q,            \
                                                int64_t row, int64_t vector) {                     \
        NAME(winograd_tile)(p, weight, rows, vectors, q, row, vector);                             \
    }
#define KATA__WINOGRAD_FUNCTIONS(rows)                                                             \
    KATA__WINOGRAD_FUNCTION(winograd_forward, false, rows, 1)                                      \
    KATA__WINOGRAD_FUNCTION(winograd_forward, false, rows, 2)                                      \
    KATA__WINOGRAD_FUNCTION(winograd_weight, true, rows, 1)                                        \
    KATA__WINOGRAD_FUNCTION(winograd_weight, true, rows, 2)
#define KATA__WINOGRAD_ENTRY(name, rows)                                                           \
    { NAME(name##_##rows##_1), NAME(name##_##rows##_2) }
#if KATA__WINOGRAD_ROWS == 14
#define KATA__WINOGRAD_EACH_ROWS(f)                                                                \
    f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11) f(12) f(13) f(14)
#elif KATA__WINOGRAD_ROWS == 6
#define KATA__WINOGRAD_EACH_ROWS(f) f(1) f(2) f(3) f(4) f(5) f(6)
#else
#define KATA__WINOGRAD_EACH_ROWS(f) f(1) f(2) f(3) f(4)
#endif
KATA__WINOGRAD_EACH_ROWS(KATA__WINOGRAD_FUNCTIONS)

#define KATA__WINOGRAD_FORWARD_ENTRY(rows) KATA__WINOGRAD_ENTRY(winograd_forward, rows),
#define KATA__WINOGRAD_WEIGHT_ENTRY(rows) KATA__WINOGRAD_ENTRY(winograd_weight, rows),
static const NAME(winograd_tile_function) NAME(winograd_functions)[2][KATA__WINOGRAD_ROWS][2] = {
    {KATA__WINOGRAD_EACH_ROWS(KATA__WINOGRAD_FORWARD_ENTRY)},
    {KATA__WINOGRAD_EACH_ROWS(KATA__WINOGRAD_WEIGHT_ENTRY)}};

/* Tiles of about equal height: a last one of few rows would leave the multipliers idle. */
KATA__LOCAL void NAME(winograd_products)(const kata__winograd_product *p, int weight) {
    const int64_t parts = (p->m + KATA__WINOGRAD_ROWS - 1) / KATA__WINOGRAD_ROWS;
    for (int q = 0; q < p->points; q++) {
        for (int64_t vector = 0; vector < p->vectors; vector += 2) {
            const int vectors = p->vectors - vector > 1 ? 2 : 1;
            for (int64_t part = 0; part < parts; part++) {
                const int64_t row = p->m * part / parts;
                const int64_t rows = p->m * (part + 1) / parts - row;
                NAME(winograd_functions)[weight][rows - 1][vectors - 1](p, q, row, vector);
            }
        }
    }
}

static void NAME(winograd_product)(const kata__winograd_product *product) {
    NAME(winograd_products)(product, 0);
}

static void NAME(winograd_product_weight)(const kata__winograd_product *product) {
    NAME(winograd_products)(product, 1);
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

/* `plain`: neither residual nor mask. */
KATA__LOCAL void NAME(winograd_output_tile)(const int size, const bool tail, const bool plain,
                                            const bool pool, const NAME(winograd_end) *e,
                                            const REAL *m, int64_t step, int64_t at, int count) {
    VEC half[4][6];
    KATA__UNROLL
    for (int j = 0; j < size + 2; j++) {
        VEC d[6], t[4];
        KATA__UNROLL
        for (int i = 0; i < size + 2; i++) {
            d[i] = NAME(load)(m + (i * (size + 2) + j) * step);
        }
        NAME(winograd_output_line)(size, d, t);
        KATA__UNROLL
        for (int i = 0; i < size; i++) {
            half[i][j] = t[i];
        }
    }
    const VEC bias = e->bias ? NAME(winograd_load)(tail, e->bias + at, count) : (VEC){0};
    const VEC least = NAME(splat)(e->relu ? 0 : (REAL)-__builtin_inf());
    VEC above[4]; /* pooled: the row before */
    KATA__UNROLL
    for (int i = 0; i < size; i++) {
        if (i >= e->rows) {
            break;
        }
        VEC y[4];
        NAME(winograd_output_line)(size, half[i], y);
        KATA__UNROLL
        for (int j = 0; j < size; j++) {
            y[j] += bias;
            if (!plain && j < e->columns) {
                const int64_t place = i * e->row_step + j * e->column_step + at;
                if (e->residual) {
                    y[j] += NAME(winograd_load)(tail, e->residual + place, count);
                }
                y[j] = NAME(maximum)(y[j], least);
                if (e->mask) {
                    const VEC mask = NAME(winograd_load)(tail, e->mask + place, count);
                    y[j] = NAME(select)(mask <= (VEC){0}, (VEC){0}, y[j]);
                }
            }
            if (!pool && j < e->columns) {
                NAME(winograd_store)
                (tail, e->y + i * e->row_step + j * e->column_step + at,
                 plain ? NAME(maximum)(y[j], least) : y[j], count);
            }
        }
        if (pool && i % 2 == 1) {
            KATA__UNROLL
            for (int j = 0; j < size; j += 2) {
                if (j < e->columns) {
                    const IVEC right = above[j + 1] > above[j], low_right = y[j + 1] > y[j];
                    const VEC top = NAME(select)(right, above[j + 1], above[j]);
                    const VEC low = NAME(select)(low_right, y[j + 1], y[j]);
                    const IVEC lower = low > top;
                    /* relu after the maximum is the maximum after relu */
                    const VEC best = NAME(maximum)(NAME(select)(lower, low, top), least);
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
        KATA__UNROLL
        for (int j = 0; j < size; j++) {
            above[j] = y[j];
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
    for (int64_t tile = 0; tile < piece->count; tile++, m += piece->pitch) {
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
            (size, false, plain, pool, &e, m + at, piece->step, at, LANES);
        }
        if (at < piece->channels) {
            NAME(winograd_output_tile)
            (size, true, plain, pool, &e, m + at, piece->step, at, NAME(winograd_count)(piece, at));
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

/* tile: pointers to the size x size elements; pooled: to the windows, and index's to them. */
KATA__LOCAL void NAME(winograd_gradient_tile)(const int size, const bool tail, const bool pooled,
                                              const REAL *const *tile, const uint8_t *const *index,
                                              int64_t at, int count, REAL *d, int64_t step,
                                              REAL *db) {
    VEC t[4][4]; /* row, column */
    if (pooled) {
        KATA__UNROLL
        for (int i = 0; i < size; i += 2) {
            KATA__UNROLL
            for (int j = 0; j < size; j += 2) {
                const int window = i / 2 * (size / 2) + j / 2;
                const VEC v = NAME(winograd_load)(tail, tile[window] + at, count);
                NAME(winograd_bytes) bytes = {0};
                memcpy(&bytes, index[window] + at, tail ? (size_t)count : sizeof bytes);
                const IVEC where = __builtin_convertvector(bytes, IVEC);
                KATA__UNROLL
                for (int s = 0; s < 4; s++) {
                    t[i + s / 2][j + s % 2] = NAME(select)(where == s, v, (VEC){0});
                }
            }
        }
    } else {
        KATA__UNROLL
        for (int i = 0; i < size; i++) {
            KATA__UNROLL
            for (int j = 0; j < size; j++) {
                t[i][j] = NAME(winograd_load)(tail, tile[i * size + j] + at, count);
            }
        }
    }
    if (db) {
        VEC sum = {0};
        KATA__UNROLL
        for (int i = 0; i < size; i++) {
            if (size == 4) {
                sum += (t[i][0] + t[i][1]) + (t[i][2] + t[i][3]);
            } else {
                sum += t[i][0] + t[i][1];
            }
        }
        NAME(store)(db + at, NAME(load)(db + at) + sum);
    }
    VEC half[6][4];
    KATA__UNROLL
    for (int j = 0; j < size; j++) {
        VEC column[4], to[6];
        KATA__UNROLL
        for (int i = 0; i < size; i++) {
            column[i] = t[i][j];
        }
        NAME(winograd_gradient_line)(size, column, to);
        KATA__UNROLL
        for (int i = 0; i < size + 2; i++) {
            half[i][j] = to[i];
        }
    }
    KATA__UNROLL
    for (int i = 0; i < size + 2; i++) {
        VEC to[6];
        NAME(winograd_gradient_line)(size, half[i], to);
        KATA__UNROLL
        for (int j = 0; j < size + 2; j++) {
            NAME(store)(d + (i * (size + 2) + j) * step, to[j]);
        }
    }
}

KATA__LOCAL void NAME(winograd_gradient_body)(const int size, const bool pooled,
                                              const kata__winograd_piece *piece, const REAL *dy,
                                              const uint8_t *index, REAL *d, REAL *db) {
    const kata__conv *g = piece->conv;
    const int64_t h = pooled ? g->oh / 2 : g->oh, w = pooled ? g->ow / 2 : g->ow;
    const int across = pooled ? size / 2 : size;
    NAME(winograd_place) place = NAME(winograd_first)(piece);
    for (int64_t n = 0; n < piece->count; n++, d += piece->pitch) {
        const REAL *tile[16];
        const uint8_t *where[16] = {NULL};
        for (int i = 0; i < across; i++) {
            const int64_t row = place.row * across + i;
            KATA__UNROLL
            for (int j = 0; j < across; j++) {
                const int64_t column = place.column * across + j;
                const bool inside = row < h && column < w;
                const int64_t from = ((place.image * h + row) * w + column) * g->f;
                tile[i * across + j] = (inside ? dy + from : piece->zeros) + piece->channel;
                if (pooled) {
                    where[i * across + j] =
                        (inside ? index + from : (const uint8_t *)piece->zeros) + piece->channel;
                }
            }
        }
        int64_t at = 0;
        for (; at + LANES <= piece->channels; at += LANES) {
            NAME(winograd_gradient_tile)
            (size, false, pooled, tile, where, at, LANES, d + at, piece->step, db);
        }
        if (at < piece->channels) {
            NAME(winograd_gradient_tile)
            (size, true, pooled, tile, where, at, NAME(winograd_count)(piece, at), d + at,
             piece->step, db);
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
    for (int64_t c = first; c < last; c++) {
        for (int64_t f = 0; f < conv->f; f += LANES) {
            const int count = conv->f - f < LANES ? (int)(conv->f - f) : LANES;
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
