/* Products of a piece of C on one thread, packing, dot products. Built on body/tile.h. */

#ifndef KATA__K_BLOCK_F32
/* A tile's rows of one k block (21 kB for 14 rows) stay in the first-level cache while the panels
 * of B run past them. */
#define KATA__K_BLOCK_F32 384
#define KATA__K_BLOCK_F64 256
#endif
#undef KATA__K_BLOCK
#if REAL_BITS == 32
#define KATA__K_BLOCK KATA__K_BLOCK_F32
#else
#define KATA__K_BLOCK KATA__K_BLOCK_F64
#endif
#undef KATA__PANEL
#define KATA__PANEL (KATA__TILE_VECTORS * LANES)

/* ---- transposition of LANES vectors ---- */

#undef KATA__ZIP_LOW
#undef KATA__ZIP_HIGH
#if KATA__VECTOR_BYTES * 8 / REAL_BITS == 2
#define KATA__ZIP_LOW 0, 2
#define KATA__ZIP_HIGH 1, 3
#elif KATA__VECTOR_BYTES * 8 / REAL_BITS == 4
#define KATA__ZIP_LOW 0, 4, 1, 5
#define KATA__ZIP_HIGH 2, 6, 3, 7
#elif KATA__VECTOR_BYTES * 8 / REAL_BITS == 8
#define KATA__ZIP_LOW 0, 8, 1, 9, 2, 10, 3, 11
#define KATA__ZIP_HIGH 4, 12, 5, 13, 6, 14, 7, 15
#else
#define KATA__ZIP_LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define KATA__ZIP_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#endif

/* Each round interleaves row i with row i + LANES/2; log2(LANES) rounds are the transposition. */
KATA__LOCAL void NAME(transpose)(VEC r[LANES]) {
    KATA__UNROLL
    for (int round = LANES; round > 1; round /= 2) {
        VEC s[LANES];
        KATA__UNROLL
        for (int i = 0; i < LANES / 2; i++) {
            s[2 * i] = __builtin_shufflevector(r[i], r[i + LANES / 2], KATA__ZIP_LOW);
            s[2 * i + 1] = __builtin_shufflevector(r[i], r[i + LANES / 2], KATA__ZIP_HIGH);
        }
        KATA__UNROLL
        for (int i = 0; i < LANES; i++) {
            r[i] = s[i];
        }
    }
}

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

/* to[p to_step + j] = from[p from_step + j] for p < k, j < n, and 0 up to a multiple of LANES. */
static void NAME(pack_straight)(const REAL *from, int64_t from_step, int64_t k, int64_t n, REAL *to,
                                int64_t to_step) {
    if (n == KATA__PANEL) {
        for (int64_t p = 0; p < k; p++) {
            KATA__UNROLL
            for (int v = 0; v < KATA__TILE_VECTORS; v++) {
                NAME(store)
                (to + p * to_step + v * LANES, NAME(load)(from + p * from_step + v * LANES));
            }
        }
        return;
    }
    for (int64_t p = 0; p < k; p++) {
        int64_t j = 0;
        for (; j + LANES <= n; j += LANES) {
            NAME(store)(to + p * to_step + j, NAME(load)(from + p * from_step + j));
        }
        if (j < n) {
            NAME(store)
            (to + p * to_step + j, NAME(load_first)(from + p * from_step + j, (int)(n - j)));
        }
    }
}

static void NAME(pack_b)(const void *b, int64_t ldb, bool transpose_b, int64_t k, int64_t n,
                         int64_t first, int64_t last, void *to) {
    for (int64_t panel = first; panel < last; panel++) {
        const int64_t j = panel * KATA__PANEL;
        const int64_t columns = n - j < KATA__PANEL ? n - j : KATA__PANEL;
        REAL *t = (REAL *)to + j * k;
        if (transpose_b) {
            NAME(pack_transposed)((const REAL *)b + j * ldb, ldb, k, columns, t, KATA__PANEL);
        } else {
            NAME(pack_straight)((const REAL *)b + j, ldb, k, columns, t, KATA__PANEL);
        }
    }
}

/* ---- a piece of C ---- */

/* Rows of A that lie a multiple of this many bytes apart fall on few places of the caches: they are
 * copied closer together if they will be read more than twice. */
enum { NAME(crowded_step) = 512 };

/* Sets t->a and t->a_step for `rows` rows of op(A) from row i, terms p..p+k; may copy to `space`
 * (KATA__TILE_ROWS * (KATA__K_BLOCK + LANES) numbers). */
KATA__LOCAL void NAME(take_rows)(NAME(tile) *t, const kata__gemm_piece *g, int64_t i, int rows,
                                 int64_t p, REAL *space) {
    const int64_t k = t->k;
    const int64_t panels = (g->n + KATA__PANEL - 1) / KATA__PANEL;
    const bool crowded = g->lda * (int64_t)sizeof(REAL) % NAME(crowded_step) == 0;
    if (g->transpose_a) {
        const REAL *a = (const REAL *)g->a + p * g->lda + i;
        if (panels > (crowded ? 2 : 3)) {
            for (int64_t q = 0; q < k; q++) {
                for (int r = 0; r < rows; r += LANES) {
                    const int count = rows - r < LANES ? rows - r : LANES;
                    NAME(store_first)
                    (space + q * KATA__TILE_ROWS + r, NAME(load_first)(a + q * g->lda + r, count),
                     count);
                }
            }
            t->a = space;
            t->a_step = KATA__TILE_ROWS;
        } else {
            t->a = a;
            t->a_step = g->lda;
        }
        t->mode = KATA__BY_TERM;
        return;
    }
    const REAL *a = (const REAL *)g->a + i * g->lda + p;
    t->mode = KATA__BY_ROW;
    if (crowded && panels > 2) {
        for (int r = 0; r < rows; r++) {
            memcpy(space + r * (KATA__K_BLOCK + LANES), a + r * g->lda, (size_t)k * sizeof(REAL));
        }
        t->a = space;
        t->a_step = KATA__K_BLOCK + LANES;
    } else {
        t->a = a;
        t->a_step = g->lda;
    }
}

static void NAME(gemm_piece)(const kata__gemm_piece *g) {
    REAL space[KATA__TILE_ROWS * (KATA__K_BLOCK + LANES)];
    NAME(tile) t = {.runs = 1, .ldc = g->ldc, .alpha = (REAL)g->alpha};
    const int64_t k_blocks = g->k > 0 ? (g->k + KATA__K_BLOCK - 1) / KATA__K_BLOCK : 1;
    const int64_t row_tiles = (g->m + KATA__TILE_ROWS - 1) / KATA__TILE_ROWS;
    t.b_step = g->packed_b ? KATA__PANEL : g->ldb;
    for (int64_t block = 0; block < k_blocks; block++) {
        const int64_t p = g->k * block / k_blocks;
        const bool end = block == k_blocks - 1;
        t.k = g->k * (block + 1) / k_blocks - p;
        t.beta = block == 0 ? (REAL)g->beta : 1;
        t.relu = end && g->relu;
        for (int64_t tile = 0; tile < row_tiles; tile++) {
            const int64_t i = g->m * tile / row_tiles;
            const int rows = (int)(g->m * (tile + 1) / row_tiles - i);
            NAME(take_rows)(&t, g, i, rows, p, space);
            t.bias_row = end && g->bias_row ? (const REAL *)g->bias_row + i : NULL;
            for (int64_t j = 0; j < g->n; j += KATA__PANEL) {
                NAME(set_columns)(&t, g->n - j < KATA__PANEL ? g->n - j : KATA__PANEL);
                t.b = g->packed_b
                          ? (const REAL *)g->b + j / KATA__PANEL * g->panel_step + p * KATA__PANEL
                          : (const REAL *)g->b + p * g->ldb + j;
                t.tail = !g->packed_b && t.last != LANES;
                t.bias_column = end && g->bias_column ? (const REAL *)g->bias_column + j : NULL;
                t.c = (REAL *)g->c + i * g->ldc + j;
                NAME(run_tile)(&t, rows);
            }
        }
    }
}

/* ---- few rows against rows: dot products ---- */

/* alpha x + beta *c + bias of place (i,j), relu. */
KATA__LOCAL void NAME(dot_store)(const kata__gemm_dot *g, int64_t i, int64_t j, REAL x) {
    REAL *c = (REAL *)g->c + i * g->c_row + j * g->c_column;
    x *= (REAL)g->alpha;
    if (g->beta != 0) {
        x += (REAL)g->beta * *c;
    }
    if (g->bias_row) {
        x += ((const REAL *)g->bias_row)[i];
    }
    if (g->bias_column) {
        x += ((const REAL *)g->bias_column)[j];
    }
    *c = g->relu && x < 0 ? 0 : x;
}

KATA__LOCAL void NAME(dot_tile)(const kata__gemm_dot *g, int64_t i, int64_t j, const int rows,
                                const int columns) {
    const REAL *a = (const REAL *)g->a + i * g->lda, *b = (const REAL *)g->b + j * g->ldb;
    VEC acc[2][8];
    int64_t p = 0;
    KATA__UNROLL
    for (int r = 0; r < rows; r++) {
        KATA__UNROLL
        for (int s = 0; s < columns; s++) {
            acc[r][s] = (VEC){0};
        }
    }
    for (; p + LANES <= g->k; p += LANES) {
        VEC av[2];
        KATA__UNROLL
        for (int r = 0; r < rows; r++) {
            av[r] = NAME(load)(a + r * g->lda + p);
        }
        KATA__UNROLL
        for (int s = 0; s < columns; s++) {
            const VEC bv = NAME(load)(b + s * g->ldb + p);
            KATA__UNROLL
            for (int r = 0; r < rows; r++) {
                acc[r][s] += av[r] * bv;
            }
        }
    }
    if (p < g->k) {
        const int rest = (int)(g->k - p);
        KATA__UNROLL
        for (int s = 0; s < columns; s++) {
            const VEC bv = NAME(load_first)(b + s * g->ldb + p, rest);
            KATA__UNROLL
            for (int r = 0; r < rows; r++) {
                acc[r][s] += NAME(load_first)(a + r * g->lda + p, rest) * bv;
            }
        }
    }
    KATA__UNROLL
    for (int r = 0; r < rows; r++) {
        KATA__UNROLL
        for (int s = 0; s < columns; s++) {
            NAME(dot_store)(g, i + r, j + s, NAME(sum)(acc[r][s]));
        }
    }
}

static void NAME(gemm_dot)(const kata__gemm_dot *g) {
    int64_t j = 0;
    for (; j + 4 <= g->n; j += 4) {
        int64_t i = 0;
        for (; i + 2 <= g->m; i += 2) {
            NAME(dot_tile)(g, i, j, 2, 4);
        }
        if (i < g->m) {
            NAME(dot_tile)(g, i, j, 1, 4);
        }
    }
    for (; j < g->n; j++) {
        for (int64_t i = 0; i < g->m; i++) {
            NAME(dot_tile)(g, i, j, 1, 1);
        }
    }
}

static void NAME(store_turned)(const kata__gemm_dot *g, const void *product, int64_t step) {
    for (int64_t i = 0; i < g->m; i++) {
        for (int64_t j = 0; j < g->n; j++) {
            NAME(dot_store)(g, i, j, ((const REAL *)product)[j * step + i]);
        }
    }
}

/* ---- partial sums over k ---- */

static void NAME(sum_parts)(const kata__gemm_piece *g, const void *part, int64_t n_parts,
                            int64_t part_step, int64_t first, int64_t last) {
    const VEC alpha = NAME(splat)((REAL)g->alpha), beta = NAME(splat)((REAL)g->beta);
    for (int64_t i = first; i < last; i++) {
        for (int64_t j = 0; j < g->n; j += LANES) {
            const int count = g->n - j < LANES ? (int)(g->n - j) : LANES;
            const REAL *from = (const REAL *)part + i * g->n + j;
            REAL *c = (REAL *)g->c + i * g->ldc + j;
            VEC x = NAME(load_first)(from, count);
            for (int64_t s = 1; s < n_parts; s++) {
                x += NAME(load_first)(from + s * part_step, count);
            }
            x *= alpha;
            if (g->beta != 0) {
                x += beta * NAME(load_first)(c, count);
            }
            if (g->bias_row) {
                x += NAME(splat)(((const REAL *)g->bias_row)[i]);
            }
            if (g->bias_column) {
                x += NAME(load_first)((const REAL *)g->bias_column + j, count);
            }
            if (g->relu) {
                x = NAME(maximum)(x, (VEC){0});
            }
            NAME(store_first)(c, x, count);
        }
    }
}
