/* The end of Winograd convolution: A^T m A, and what a store says, written as float32 or as
 * bfloat16. No include guard: once for each, with
 *   KATA__WINOGRAD_NUMBER             of residual, mask and y
 *   KATA__WINOGRAD_STORE              kata__conv_store or kata__conv_bf16_store
 *   KATA__WINOGRAD_OUT(name)          its functions' names
 *   KATA__WINOGRAD_READ(tail, p, count), _WRITE(tail, p, v, count)
 *                                     a vector; with tail its first count numbers alone
 * which it undefines. */

/* What the end of a tile needs: pointers to the tile's first element and channel, NULL if not
 * asked for. */
typedef struct KATA__WINOGRAD_OUT(end) {
    const REAL *bias;
    const KATA__WINOGRAD_NUMBER *residual, *mask;
    KATA__WINOGRAD_NUMBER *y;
    uint8_t *index;
    int64_t row_step, column_step;   /* of residual, mask, and y unless pooled */
    int64_t pooled_row, pooled_step; /* of y and index, pooled: rows and columns of windows */
    int rows, columns;               /* of the tile that lie inside; pooled: even */
    bool relu;
} KATA__WINOGRAD_OUT(end);

/* Row i of the tile's y, with residual, relu and mask; stored unless pooled. `plain`: neither
 * residual nor mask. Pooled, relu may wait until after the maximum. */
KATA__LOCAL void KATA__WINOGRAD_OUT(finish)(const int size, const bool tail, const bool plain,
                                            const bool pool, const KATA__WINOGRAD_OUT(end) * e,
                                            const int i, VEC *y, VEC least, int64_t at, int count) {
    KATA__UNROLL
    for (int j = 0; j < size; j++) {
        if (!pool || !plain) {
            if (i < e->rows && j < e->columns) {
                const int64_t place = i * e->row_step + j * e->column_step + at;
                if (!plain && e->residual) {
                    y[j] += KATA__WINOGRAD_READ(tail, e->residual + place, count);
                }
                y[j] = NAME(winograd_maximum)(y[j], least);
                if (!plain && e->mask) {
                    const VEC mask = KATA__WINOGRAD_READ(tail, e->mask + place, count);
                    y[j] = NAME(select)(mask <= (VEC){0}, (VEC){0}, y[j]);
                }
                if (!pool) {
                    KATA__WINOGRAD_WRITE(tail, e->y + place, y[j], count);
                }
            }
        }
    }
}

/* The windows of rows i and i + 1. */
KATA__LOCAL void KATA__WINOGRAD_OUT(pool)(const int size, const bool tail,
                                          const KATA__WINOGRAD_OUT(end) * e, const int i,
                                          const VEC *above, const VEC *below, VEC least, int64_t at,
                                          int count) {
    if (i >= e->rows) {
        return;
    }
    KATA__UNROLL
    for (int j = 0; j < size; j += 2) {
        if (j < e->columns) {
            const VEC window[4] = {above[j], above[j + 1], below[j], below[j + 1]};
            IVEC where = {0};
            VEC best = NAME(window_of_four)(window, e->index ? &where : NULL);
            best = NAME(winograd_maximum)(best, least);
            const int64_t place = i / 2 * e->pooled_row + j / 2 * e->pooled_step + at;
            KATA__WINOGRAD_WRITE(tail, e->y + place, best, count);
            if (e->index) {
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
KATA__LOCAL void KATA__WINOGRAD_OUT(output_tile)(const int size, const bool tail, const bool plain,
                                                 const bool pool, const KATA__WINOGRAD_OUT(end) * e,
                                                 const REAL *m, int64_t step, int64_t at,
                                                 int count) {
    const VEC bias = !e->bias ? (VEC){0}
                     : tail   ? NAME(load_first)(e->bias + at, count)
                              : NAME(load)(e->bias + at);
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
        KATA__WINOGRAD_OUT(finish)
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
            KATA__WINOGRAD_OUT(finish)
            (4, tail, plain, pool, e, 2 * i + 1, y[2 * i + 1], least, at, count);
        }
    }
    if (pool) {
        KATA__UNROLL
        for (int i = 0; i < size; i += 2) {
            KATA__WINOGRAD_OUT(pool)(size, tail, e, i, y[i], y[i + 1], least, at, count);
        }
    }
}

KATA__LOCAL void KATA__WINOGRAD_OUT(output_body)(const int size, const bool plain, const bool pool,
                                                 const kata__winograd_piece *piece, const REAL *m,
                                                 const KATA__WINOGRAD_STORE *store,
                                                 KATA__WINOGRAD_NUMBER *y) {
    const kata__conv *g = piece->conv;
    const int64_t f = piece->channel;
    NAME(winograd_place) place = NAME(winograd_first)(piece);
    KATA__WINOGRAD_OUT(end)
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
            KATA__WINOGRAD_OUT(output_tile)
            (size, false, plain, pool, &e, m + at / LANES * piece->block, piece->step, at, LANES);
        }
        if (at < piece->channels) {
            KATA__WINOGRAD_OUT(output_tile)
            (size, true, plain, pool, &e, m + at / LANES * piece->block, piece->step, at,
             NAME(winograd_count)(piece, at));
        }
        NAME(winograd_next)(piece, &place);
    }
}

#define KATA__WINOGRAD_OUTPUT(size)                                                                \
    static void KATA__WINOGRAD_OUT(output_##size)(                                                 \
        const kata__winograd_piece *piece, const float *m, const KATA__WINOGRAD_STORE *store,      \
        KATA__WINOGRAD_NUMBER *y) {                                                                \
        const bool plain = !store->residual && !store->mask;                                       \
        if (plain && !store->pool) {                                                               \
            KATA__WINOGRAD_OUT(output_body)(size, true, false, piece, m, store, y);                \
        } else if (plain) {                                                                        \
            KATA__WINOGRAD_OUT(output_body)(size, true, true, piece, m, store, y);                 \
        } else if (!store->pool) {                                                                 \
            KATA__WINOGRAD_OUT(output_body)(size, false, false, piece, m, store, y);               \
        } else {                                                                                   \
            KATA__WINOGRAD_OUT(output_body)(size, false, true, piece, m, store, y);                \
        }                                                                                          \
    }
KATA__WINOGRAD_OUTPUT(2)
KATA__WINOGRAD_OUTPUT(4)
#undef KATA__WINOGRAD_OUTPUT

static void KATA__WINOGRAD_OUT(output)(const kata__winograd_piece *piece, const float *m,
                                       const void *store, void *y) {
    if (piece->size == 2) {
        KATA__WINOGRAD_OUT(output_2)(piece, m, store, y);
    } else {
        KATA__WINOGRAD_OUT(output_4)(piece, m, store, y);
    }
}

#undef KATA__WINOGRAD_NUMBER
#undef KATA__WINOGRAD_STORE
#undef KATA__WINOGRAD_OUT
#undef KATA__WINOGRAD_READ
#undef KATA__WINOGRAD_WRITE
