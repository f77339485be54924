/* Products of a piece of C on one thread, packing. Built on body/product.h and dot.h. */

#ifndef KATA__K_BLOCK_F32
/* Terms of a block of k: a long block saves reading and writing C again for the next, a short one
 * keeps more columns of B in the second-level cache. */
#define KATA__K_BLOCK_F32 512
#define KATA__K_BLOCK_F64 256
/* Columns of a block, in vectors: 512 terms of them take 1.25 MiB, about what a second-level cache
 * can give; with fewer, A would be read more often. */
#define KATA__BLOCK_VECTORS (2560 / KATA__VECTOR_BYTES)
#endif
#undef KATA__K_BLOCK
#if REAL_BITS == 32
#define KATA__K_BLOCK KATA__K_BLOCK_F32
#else
#define KATA__K_BLOCK KATA__K_BLOCK_F64
#endif
#undef KATA__PANEL
#define KATA__PANEL (KATA__TILE_VECTORS * LANES)

/* ---- packing ---- */

/* to[p to_step + j] = from[j from_step + p] for p < k, j < n, and 0 for n <= j < n rounded up to
 * LANES. */
static void NAME(pack_transposed)(const REAL *from, int64_t from_step, int64_t k, int64_t n,
                                  REAL *to, int64_t to_step) {
    for (int64_t j = 0; j < n; j += LANES) {
        const REAL *f = from + j * from_step;
        REAL *t = to + j;
        const int rows = n - j < LANES ? (int)(n - j) : LANES;
        int64_t p = 0;
        if (rows == LANES) {
            for (; p + LANES <= k; p += LANES) {
                VEC r[LANES];
                KATA__UNROLL
                for (int i = 0; i < LANES; i++) {
                    r[i] = NAME(load)(f + i * from_step + p);
                }
                NAME(transpose)(r);
                KATA__UNROLL
                for (int i = 0; i < LANES; i++) {
                    NAME(store)(t + (p + i) * to_step, r[i]);
                }
            }
        }
        if (k - p <= LANES / 4) { /* too few to be worth a transposition */
            for (; p < k; p++) {
                for (int i = 0; i < LANES; i++) {
                    t[p * to_step + i] = i < rows ? f[i * from_step + p] : 0;
                }
            }
        }
        for (; p < k; p += LANES) {
            const int terms = k - p < LANES ? (int)(k - p) : LANES;
            VEC r[LANES];
            for (int i = 0; i < LANES; i++) {
                r[i] = i < rows ? NAME(load_first)(f + i * from_step + p, terms) : (VEC){0};
            }
            NAME(transpose)(r);
            for (int i = 0; i < terms; i++) {
                NAME(store)(t + (p + i) * to_step, r[i]);
            }
        }
    }
}

/* The panel of B that begins at vector v has two vectors, or three if that leaves none over or if
 * panels are wide. */
KATA__LOCAL int NAME(panel_vectors)(int64_t v, int64_t n_vectors, bool wide) {
    const int64_t left = n_vectors - v;
    return left <= 3 ? (int)left : wide && left != 4 ? 3 : 2;
}

/* Whether panels of three vectors make tiles of m rows larger by a tenth. */
KATA__LOCAL bool NAME(is_wide)(int64_t m) {
    const int64_t tiles = (m + KATA__PRODUCT_ROWS - 1) / KATA__PRODUCT_ROWS;
    const int64_t wide = (m + KATA__PRODUCT_ROWS_OF_3 - 1) / KATA__PRODUCT_ROWS_OF_3;
    return tiles * 3 * 10 > wide * 2 * 11;
}

/* Numbers from row to row of the last columns of a block of k terms, packed. */
KATA__LOCAL int64_t NAME(tail_step)(int64_t k) {
    return (k + LANES - 1) / LANES * LANES;
}

KATA__LOCAL void NAME(pack_rows)(const REAL *from, int64_t step, int rows, const int vectors,
                                 REAL *to) {
    for (int r = 0; r < rows; r++, from += step, to += vectors * LANES) {
        KATA__UNROLL
        for (int v = 0; v < vectors; v++) {
            NAME(store)(to + v * LANES, NAME(load)(from + v * LANES));
        }
    }
}

/* Packs columns [0, n) of k rows of op(B) into panels, one behind the other, each as rows of its
 * vectors; zero beyond n. */
static void NAME(pack_block)(const REAL *b, int64_t ldb, bool transpose_b, int64_t k, int64_t n,
                             REAL *to) {
    const int64_t n_vectors = (n + LANES - 1) / LANES;
    if (transpose_b) {
        for (int64_t v = 0; v < n_vectors; v += 2) {
            const int width = NAME(panel_vectors)(v, n_vectors, false) * LANES;
            const int64_t j = v * LANES;
            NAME(pack_transposed)
            (b + j * ldb, ldb, k, n - j < width ? n - j : width, to + j * k, width);
            v += width > 2 * LANES;
        }
        return;
    }
    /* Some rows at a time, so that what is read lies together. */
    enum { ROWS = 8 };
    for (int64_t p = 0; p < k; p += ROWS) {
        const int rows = k - p < ROWS ? (int)(k - p) : ROWS;
        for (int64_t v = 0; v < n_vectors;) {
            const int vectors = NAME(panel_vectors)(v, n_vectors, false);
            const REAL *f = b + p * ldb + v * LANES;
            REAL *t = to + v * LANES * k + p * vectors * LANES;
            const int64_t columns = n - v * LANES;
            if (vectors == 2 && columns >= 2 * LANES) {
                NAME(pack_rows)(f, ldb, rows, 2, t);
            } else if (vectors == 3 && columns >= 3 * LANES) {
                NAME(pack_rows)(f, ldb, rows, 3, t);
            } else {
                for (int r = 0; r < rows; r++, f += ldb) {
                    for (int w = 0; w < vectors; w++, t += LANES) {
                        const int64_t count = columns - w * LANES;
                        NAME(store)
                        (t, count >= LANES ? NAME(load)(f + w * LANES)
                                           : NAME(load_first)(f + w * LANES, (int)count));
                    }
                }
            }
            v += vectors;
        }
    }
}

/* The `tail` columns of k rows of B as rows, tail_step apart. */
static void NAME(turn_tail)(const REAL *b, int64_t ldb, int64_t k, int64_t tail, REAL *to) {
    for (int64_t j = 0; j < tail; j++) {
        for (int64_t p = 0; p < k; p++) {
            to[j * NAME(tail_step)(k) + p] = b[p * ldb + j];
        }
    }
}

/* ---- a piece of C ---- */

/* Memory that will be needed soon: rows of n_bytes. */
#ifndef KATA__REGION
#define KATA__REGION
/* Tiles of A transposed that are copied together: more of each line that is read. */
#define KATA__GROUP 8

typedef struct kata__region {
    const char *at;
    int64_t n_bytes, step, rows;
} kata__region;

/* Takes some lines of the region, to be fetched during k terms, as evenly as can be: a row, or a
 * line of each row if these are short. */
KATA__LOCAL kata__fetch kata__region_take(kata__region *r, int64_t k) {
    if (r->n_bytes <= 6 * KATA__LINE && r->rows <= k) {
        const kata__fetch fetch = {r->at, r->step, r->rows};
        r->at += KATA__LINE;
        r->n_bytes -= KATA__LINE;
        r->rows = r->n_bytes > 0 ? r->rows : 0;
        return fetch;
    }
    enum { MOST = KATA__LINE / 4 };
    if (r->rows == 1 && r->n_bytes > MOST * k) {
        const kata__fetch fetch = {r->at, MOST, k};
        r->at += MOST * k;
        r->n_bytes -= MOST * k;
        return fetch;
    }
    const kata__fetch fetch = {r->at, (r->n_bytes + k - 1) / k, k};
    r->at += r->step;
    r->rows--;
    return fetch;
}
#endif

/* Rows of A that lie a multiple of this many bytes apart fall on few places of the caches: they are
 * copied closer together if they will be read more than twice. For the same reason there are some
 * numbers between tiles that are copied together. */
enum {
    NAME(crowded_step) = 4096,
    NAME(rows_step) = KATA__K_BLOCK + LANES,
    NAME(tile_apart) = 5 * KATA__LINE / (int)sizeof(REAL),
    NAME(term_step) = (KATA__PRODUCT_ROWS + LANES - 1) / LANES * LANES
};

/* Whether tiles of A that so many panels of B read are copied to g->space. */
KATA__LOCAL bool NAME(copies_rows)(const kata__gemm_piece *g, int64_t panels) {
    const bool crowded = g->lda * (int64_t)sizeof(REAL) % NAME(crowded_step) == 0;
    return g->transpose_a ? panels > (crowded ? 2 : 3) : crowded && panels > 2;
}

static size_t NAME(piece_space)(const kata__gemm_piece *g) {
    const int64_t panels = (g->n + LANES - 1) / LANES / 2;
    const int64_t k = g->k < KATA__K_BLOCK ? g->k : KATA__K_BLOCK;
    const int64_t tiles = (g->m + KATA__PRODUCT_ROWS_OF_3 - 1) / KATA__PRODUCT_ROWS_OF_3;
    if (!NAME(copies_rows)(g, panels)) {
        return 0;
    }
    return (size_t)(g->transpose_a ? (tiles < KATA__GROUP ? tiles : KATA__GROUP) *
                                         (k * NAME(term_step) + NAME(tile_apart))
                                   : KATA__PRODUCT_ROWS * NAME(rows_step));
}

/* The first row of tile `tile` of row_tiles. */
KATA__LOCAL int64_t NAME(tile_row)(const kata__gemm_piece *g, int64_t tile, int64_t row_tiles) {
    return g->m * (tile < row_tiles ? tile : row_tiles) / row_tiles;
}

/* Sets t->a and t->a_step for a tile of op(A), terms p..p + t->k; may copy it, or a group of tiles,
 * to g->space. `panels` of B will read it. */
KATA__LOCAL void NAME(take_rows)(NAME(product) *t, const kata__gemm_piece *g, int64_t tile,
                                 int64_t row_tiles, int64_t p, int64_t panels) {
    const int64_t k = t->k, i = NAME(tile_row)(g, tile, row_tiles);
    const bool copies = NAME(copies_rows)(g, panels);
    REAL *space = g->space;
    t->by_term = g->transpose_a;
    t->a_step = g->lda;
    if (!g->transpose_a) {
        t->a = (const REAL *)g->a + i * g->lda + p;
        if (copies) {
            const int rows = (int)(NAME(tile_row)(g, tile + 1, row_tiles) - i);
            for (int r = 0; r < rows; r++) {
                memcpy(space + r * NAME(rows_step), t->a + r * g->lda, (size_t)k * sizeof(REAL));
            }
            t->a = space;
            t->a_step = NAME(rows_step);
        }
        return;
    }
    t->a = (const REAL *)g->a + p * g->lda + i;
    if (!copies) {
        return;
    }
    const int64_t each = k * NAME(term_step) + NAME(tile_apart);
    if (tile % KATA__GROUP == 0) {
        int64_t from[KATA__GROUP + 1];
        const int64_t left = row_tiles - tile, tiles = left < KATA__GROUP ? left : KATA__GROUP;
        for (int64_t s = 0; s <= tiles; s++) {
            from[s] = NAME(tile_row)(g, tile + s, row_tiles);
        }
        const REAL *row = (const REAL *)g->a + p * g->lda;
        REAL *to = space;
        for (int64_t q = 0; q < k; q++, row += g->lda, to += NAME(term_step)) {
            for (int64_t s = 0; s < tiles; s++) {
                const REAL *a = row + from[s];
                REAL *c = to + s * each;
                KATA__UNROLL
                for (int r = 0; r < NAME(term_step); r += LANES) {
                    if (from[s] + r + LANES <= g->m) {
                        NAME(store)(c + r, NAME(load)(a + r));
                    } else {
                        const int64_t rows = from[s + 1] - from[s] - r;
                        const int count = rows < LANES ? (rows > 0 ? (int)rows : 0) : LANES;
                        NAME(store)(c + r, NAME(load_first)(a + r, count));
                    }
                }
            }
        }
    }
    t->a = space + tile % KATA__GROUP * each;
    t->a_step = NAME(term_step);
}

/* Rows [i, i + rows) and terms [p, p + k) of op(A). */
KATA__LOCAL kata__region NAME(rows_region)(const kata__gemm_piece *g, int64_t i, int64_t rows,
                                           int64_t p, int64_t k) {
    const int64_t size = (int64_t)sizeof(REAL);
    const char *a = g->a;
    return g->transpose_a
               ? (kata__region){a + (p * g->lda + i) * size, rows * size, g->lda * size, k}
               : (kata__region){a + (i * g->lda + p) * size, k * size, g->lda * size, rows};
}

/* Columns [j, j + n) and terms [p, p + k) of op(B). */
KATA__LOCAL kata__region NAME(columns_region)(const kata__gemm_piece *g, int64_t j, int64_t n,
                                              int64_t p, int64_t k) {
    const int64_t size = (int64_t)sizeof(REAL);
    const char *b = g->b;
    if (!g->transpose_b && n == g->ldb) { /* as lines that lie behind each other */
        return (kata__region){b + p * g->ldb * size, n * k * size, 0, 1};
    }
    return g->transpose_b ? (kata__region){b + (j * g->ldb + p) * size, k * size, g->ldb * size, n}
                          : (kata__region){b + (p * g->ldb + j) * size, n * size, g->ldb * size, k};
}

/* A block of columns and terms: C's columns [j0, j0 + n), terms p..p + k; `end`: the last terms;
 * `wide`: panels of three vectors. */
typedef struct NAME(block) {
    int64_t j0, n, n_vectors, p, k;
    bool end, wide;
} NAME(block);

/* Sets what a product reads of B's panel that begins at vector v; its number of vectors. */
KATA__LOCAL int NAME(take_panel)(NAME(product) *t, const kata__gemm_piece *g,
                                 const NAME(block) *block, int64_t v) {
    const int64_t k = block->k, whole_rows = LANES / (g->ldb > 0 ? g->ldb : 1) + 1;
    const int vectors = NAME(panel_vectors)(v, block->n_vectors, block->wide);
    const int64_t j = block->j0 + v * LANES, columns = block->n - v * LANES;
    const int64_t here = columns < vectors * LANES ? columns : vectors * LANES;
    t->last = (int)(here - (vectors - 1) * LANES);
    t->bias_column = block->end && g->bias_column ? (const REAL *)g->bias_column + j : NULL;
    if (g->scratch) {
        t->b = (const REAL *)g->scratch + v * LANES * k;
        t->b_step = vectors * LANES;
        t->whole = k;
    } else {
        t->b = (const REAL *)g->b + block->p * g->ldb + j;
        t->b_step = g->ldb;
        t->whole = t->last == LANES || block->p + k + whole_rows <= g->b_rows ? k
                   : k > whole_rows                                           ? k - whole_rows
                                                                              : 0;
    }
    return vectors;
}

/* Sets where rows from i on of that panel go, and what is added to them. */
KATA__LOCAL void NAME(take_place)(NAME(product) *t, const kata__gemm_piece *g,
                                  const NAME(block) *block, int64_t i, int64_t v) {
    const int64_t at = i * g->ldc + block->j0 + v * LANES;
    t->c = (REAL *)g->c + at;
    t->bias_row = block->end && g->bias_row ? (const REAL *)g->bias_row + i : NULL;
    t->mask = block->end && g->mask ? (const REAL *)g->mask + at : NULL;
}

#ifndef KATA__FIRST_LEVEL
#define KATA__FIRST_LEVEL (16 << 10)   /* so much stays in the first-level cache beside a tile's */
#define KATA__SECOND_LEVEL (512 << 10) /* and so much in the second-level cache */
#endif

/* Whether strips fetch less than tiles of all panels in turn: if A stays in the first-level cache
 * or a panel of B there and A in the second-level cache, or if A is read once and in order. */
KATA__LOCAL bool NAME(is_strips)(const kata__gemm_piece *g, const NAME(block) *block) {
    const int64_t row_bytes = g->m * (int64_t)sizeof(REAL);
    if (g->tail > 0 && !g->transpose_a) { /* its rows are to be near */
        return false;
    }
    return row_bytes * block->k <= KATA__FIRST_LEVEL ||
           (block->k * 2 * KATA__VECTOR_BYTES <= KATA__FIRST_LEVEL &&
            row_bytes * g->k <= KATA__SECOND_LEVEL) ||
           (block->n_vectors <= 3 && (!g->transpose_a || row_bytes * g->k <= KATA__SECOND_LEVEL));
}

/* Each panel of the block is a strip of equal tiles, or two, of which the first one's have a row
 * more. A panel is packed right before it is used. */
static void NAME(gemm_strips)(const kata__gemm_piece *g, NAME(product) *t,
                              const NAME(block) *block) {
    const int64_t k = block->k, size = (int64_t)sizeof(REAL);
    const int64_t row_step = g->transpose_a ? 1 : g->lda;
    const REAL *a = (const REAL *)g->a + (g->transpose_a ? block->p * g->lda : block->p);
    t->by_term = g->transpose_a;
    t->a_step = g->lda;
    t->c_soon = NULL;
    t->b_next = 0;
    int64_t tiles = 0, rows = 0, more = 0;
    for (int64_t v = 0, most = 0; v < block->n_vectors;) {
        const int vectors = NAME(take_panel)(t, g, block, v);
        const int64_t fit = vectors == 3 ? KATA__PRODUCT_ROWS_OF_3 : KATA__PRODUCT_ROWS;
        if (fit != most) { /* at first, and at the last panel: divisions take time */
            most = fit;
            tiles = (g->m + most - 1) / most;
            rows = g->m / tiles;
            more = g->m % tiles;
        }
        const int64_t j = block->j0 + v * LANES, left = block->n - v * LANES;
        const REAL *b =
            (const REAL *)g->b + (g->transpose_b ? j * g->ldb + block->p : block->p * g->ldb + j);
        if (g->scratch) {
            NAME(pack_block)
            (b, g->ldb, g->transpose_b, k, left < vectors * LANES ? left : vectors * LANES,
             g->scratch);
            t->b = g->scratch;
        }
        t->ahead = k * vectors * KATA__VECTOR_BYTES > KATA__FIRST_LEVEL * 3 / 2;
        /* Each tile fetches a line of each term of A's next tile, or of B's next panel. */
        t->fetch = (kata__fetch){0};
        if (v == 0 && g->transpose_a && g->far_a) {
            t->fetch = (kata__fetch){(const char *)(a + KATA__PRODUCT_ROWS), g->lda * size, k};
            t->lines = tiles;
        } else if (left > vectors * LANES && g->transpose_b) {
            t->fetch = (kata__fetch){(const char *)(b + vectors * LANES * g->ldb), g->ldb * size,
                                     vectors * LANES};
            t->lines = k * size / KATA__LINE + 1;
        } else if (left > vectors * LANES) {
            t->fetch = (kata__fetch){(const char *)(b + vectors * LANES), g->ldb * size, k};
            t->lines = vectors;
        }
        for (int64_t part = 0, i = 0; part < 2; part++) {
            const int64_t high = part == 0 ? rows + 1 : rows;
            t->tiles = part == 0 ? more : tiles - more;
            if (t->tiles > 0) {
                t->a = a + i * row_step;
                t->a_next = high * row_step;
                t->c_next = high * g->ldc;
                NAME(take_place)(t, g, block, i, v);
                NAME(product_functions)[vectors - 1][high - 1](t);
                i += t->tiles * high;
                t->fetch.at += t->tiles * KATA__LINE;
                t->lines -= t->tiles;
            }
        }
        v += vectors;
    }
    t->tiles = t->lines = 1;
}

/* The last columns of rows [i, i + rows), whose A is near: vectors run along the terms. */
static void NAME(tail_rows)(const kata__gemm_piece *g, const NAME(product) *t,
                            const NAME(block) *block, int64_t i, int64_t rows) {
    const int64_t at = i * g->ldc + g->n;
    kata__gemm_dot dot = {
        .m = g->tail,
        .n = rows,
        .k = block->k,
        .b = (const REAL *)g->a + i * g->lda + block->p,
        .ldb = g->lda,
        .c = (REAL *)g->c + at,
        .c_row = 1,
        .c_column = g->ldc,
        .alpha = t->alpha,
        .beta = t->beta,
        .bias_row = block->end && g->bias_column ? (const REAL *)g->bias_column + g->n : NULL,
        .bias_column = block->end && g->bias_row ? (const REAL *)g->bias_row + i : NULL,
        .relu = t->relu,
        .mask = block->end && g->mask ? (const REAL *)g->mask + at : NULL,
        .not_finite = g->not_finite,
    };
    if (g->transpose_b) {
        dot.a = (const REAL *)g->b + g->n * g->ldb + block->p;
        dot.lda = g->ldb;
    } else {
        dot.a = g->transposed;
        dot.lda = NAME(tail_step)(block->k);
    }
    NAME(gemm_dot)(&dot);
}

/* The other blocks. `next` is what will be needed after it. */
static void NAME(gemm_block)(const kata__gemm_piece *g, NAME(product) *t, const NAME(block) *block,
                             kata__region next) {
    const int64_t n_vectors = block->n_vectors, k = block->k;
    const int64_t panels = n_vectors > 3 ? n_vectors / 2 : 1;
    const int most_rows = n_vectors == 3 ? KATA__PRODUCT_ROWS_OF_3 : KATA__PRODUCT_ROWS;
    const int64_t row_tiles = (g->m + most_rows - 1) / most_rows;
    kata__region rows_next = {0};
    t->ahead = true;
    const bool last_block = block->end && block->j0 + block->n >= g->n;
    kata__region after_a = {0};
    if (last_block && g->after_a) {
        kata__gemm_piece after = *g;
        after.a = g->after_a;
        after_a = NAME(rows_region)(&after, 0, g->m, 0, k);
    }
    enum { TAIL_ROWS = LANES / 2 };
    const bool has_tail = g->tail > 0 && !g->transpose_a && block->j0 + block->n >= g->n;
    int64_t tail_row = 0;
    for (int64_t tile = 0; tile < row_tiles; tile++) {
        const int64_t i = NAME(tile_row)(g, tile, row_tiles);
        const int64_t i_end = NAME(tile_row)(g, tile + 1, row_tiles);
        const int rows = (int)(i_end - i);
        NAME(take_rows)(t, g, tile, row_tiles, block->p, panels);
        const REAL *a = t->a;
        if (!g->transpose_a) {
            const int64_t after = NAME(tile_row)(g, tile + 2, row_tiles);
            rows_next = NAME(rows_region)(g, i_end, after - i_end, block->p, k);
        } else if (tile % KATA__GROUP == 0) {
            const int64_t group = NAME(tile_row)(g, tile + KATA__GROUP, row_tiles);
            const int64_t after = NAME(tile_row)(g, tile + 2 * KATA__GROUP, row_tiles);
            rows_next = NAME(rows_region)(g, group, after - group, block->p, k);
        }
        for (int64_t v = 0; v < n_vectors;) {
            const int vectors = NAME(take_panel)(t, g, block, v);
            /* C with enough time to come, then what is needed next. */
            NAME(take_place)(t, g, block, i, v);
            t->c_soon = k >= 128                  ? t->c
                        : v + vectors < n_vectors ? t->c + vectors * LANES
                                                  : (REAL *)g->c + i_end * g->ldc + block->j0;
            kata__region next_panel = {(const char *)(t->b + vectors * LANES), KATA__LINE,
                                       g->ldb * (int64_t)sizeof(REAL), k};
            t->fetch = k == 0 ? (kata__fetch){NULL, 0, 0}
                       : g->far_b && tile == 0 && v + vectors < n_vectors
                           ? kata__region_take(&next_panel, k)
                       : rows_next.rows > 0 ? kata__region_take(&rows_next, k)
                       : next.rows > 0      ? kata__region_take(&next, k)
                       : after_a.rows > 0   ? kata__region_take(&after_a, k)
                                            : (kata__fetch){NULL, 0, 0};

            const int most = vectors == 3 ? KATA__PRODUCT_ROWS_OF_3 : KATA__PRODUCT_ROWS;
            int count = rows > most ? rows / 2 : rows;
            for (int r = 0; r < rows; r += count, count = rows - r) {
                t->a = a + (t->by_term ? r : r * t->a_step);
                NAME(take_place)(t, g, block, i + r, v);
                NAME(product_functions)[vectors - 1][count - 1](t);
            }
            v += vectors;
        }
        if (has_tail) { /* some rows at a time; the first tile has brought B near */
            if (tile == 0 && !g->transpose_b) {
                NAME(turn_tail)
                ((const REAL *)g->b + block->p * g->ldb + g->n, g->ldb, k, g->tail, g->transposed);
            }
            const int64_t end = tile == row_tiles - 1 ? g->m : i_end / TAIL_ROWS * TAIL_ROWS;
            NAME(tail_rows)(g, t, block, tail_row, end - tail_row);
            tail_row = end;
        }
    }
}

static void NAME(gemm_piece)(const kata__gemm_piece *g) {
    const bool transposed_tail = g->tail > 0 && g->transpose_a;
    if (transposed_tail && !g->far_a) { /* brings A nearer */
        NAME(tail_columns)(g);
    }
    NAME(product) t;
    t.ldc = g->ldc;
    t.tiles = t.lines = 1;
    t.a_next = t.b_next = t.c_next = 0;
    t.alpha = (REAL)g->alpha;
    t.not_finite = g->not_finite;
    const int64_t k_blocks = g->k > 0 ? (g->k + KATA__K_BLOCK - 1) / KATA__K_BLOCK : 1;
    const int64_t n_vectors = (g->n + LANES - 1) / LANES;
    const int64_t blocks = (n_vectors + KATA__BLOCK_VECTORS - 1) / KATA__BLOCK_VECTORS;
    for (int64_t block = 0; block < blocks; block++) {
        const int64_t j = n_vectors * block / blocks / 2 * 2 * LANES;
        const int64_t j_end =
            block == blocks - 1 ? g->n : n_vectors * (block + 1) / blocks / 2 * 2 * LANES;
        const int64_t j_next = n_vectors * (block + 2) / blocks / 2 * 2 * LANES;
        for (int64_t part = 0; part < k_blocks; part++) {
            const int64_t p = g->k * part / k_blocks, p_end = g->k * (part + 1) / k_blocks;
            t.k = p_end - p;
            kata__region next = {0};
            if (part + 1 < k_blocks) {
                next = NAME(columns_region)(g, j, j_end - j, p_end,
                                            g->k * (part + 2) / k_blocks - p_end);
            } else if (block + 1 < blocks) {
                next = NAME(columns_region)(g, j_end, (block + 2 == blocks ? g->n : j_next) - j_end,
                                            0, g->k / k_blocks);
            } else if (g->after_b) {
                kata__gemm_piece after = *g;
                after.b = g->after_b;
                next = NAME(columns_region)(&after, 0, j_end - j, 0, t.k);
            }
            t.beta = part == 0 ? (REAL)g->beta : 1;
            t.relu = part == k_blocks - 1 && g->relu;
            const NAME(block) of = {
                .j0 = j,
                .n = j_end - j,
                .n_vectors = (j_end - j + LANES - 1) / LANES,
                .p = p,
                .k = t.k,
                .end = part == k_blocks - 1,
                .wide = !g->scratch && NAME(is_wide)(g->m),
            };
            if (NAME(is_strips)(g, &of)) {
                NAME(gemm_strips)(g, &t, &of);
            } else {
                if (g->scratch) {
                    NAME(pack_block)
                    ((const REAL *)g->b + (g->transpose_b ? j * g->ldb + p : p * g->ldb + j),
                     g->ldb, g->transpose_b, t.k, j_end - j, g->scratch);
                }
                NAME(gemm_block)(g, &t, &of, next);
            }
        }
    }
    if (transposed_tail && g->far_a) { /* the tiles have fetched A while they were computed */
        NAME(tail_columns)(g);
    }
}

/* ---- sums to C, partial sums over k ---- */

/* The first `count` numbers, any number of them, of a vector. */
KATA__LOCAL VEC NAME(load_some)(const REAL *p, int64_t count) {
    return NAME(load_first)(p, count >= LANES ? LANES : count > 0 ? (int)count : 0);
}

/* Stores the first `left` sums, at most LANES, of the piece's row r from column j on. */
KATA__LOCAL void NAME(store_sums)(const kata__gemm_piece *g, int64_t r, int64_t j, int64_t left,
                                  VEC sums) {
    if (left <= 0) {
        return;
    }
    REAL *c = (REAL *)g->c + r * g->ldc + j;
    VEC x = sums * NAME(splat)((REAL)g->alpha);
    if (g->beta != 0) {
        x += NAME(splat)((REAL)g->beta) * NAME(load_some)(c, left);
    }
    if (g->bias_row) {
        x += NAME(splat)(((const REAL *)g->bias_row)[r]);
    }
    if (g->bias_column) {
        x += NAME(load_some)((const REAL *)g->bias_column + j, left);
    }
    if (g->relu) {
        x = NAME(maximum)(x, (VEC){0});
    }
    if (g->mask) {
        const REAL *mask = (const REAL *)g->mask + r * g->ldc + j;
        x = NAME(select)(NAME(load_some)(mask, left) <= 0, (VEC){0}, x);
    }
    NAME(store_first)(c, x, left < LANES ? (int)left : LANES);
}

static void NAME(sum_parts)(const kata__gemm_piece *g, const void *part, int64_t n_parts,
                            int64_t part_step, int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
        for (int64_t j = 0; j < g->n; j += LANES) {
            const REAL *from = (const REAL *)part + i * g->n + j;
            VEC x = NAME(load_some)(from, g->n - j);
            for (int64_t s = 1; s < n_parts; s++) {
                x += NAME(load_some)(from + s * part_step, g->n - j);
            }
            NAME(store_sums)(g, i, j, g->n - j, x);
        }
    }
}
