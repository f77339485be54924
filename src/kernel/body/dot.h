/* Sums along vectors: dot products of few rows, and the last columns of a product, too few for a
 * vector. Built on product.h. */

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

/* ---- few rows against rows: dot products ---- */

/* Lane r columns + s is number r row + s column from `at` on; from s = count on the last one. */
KATA__LOCAL VEC NAME(dot_places)(const REAL *at, int64_t row, int64_t column, const int columns,
                                 int count) {
    REAL x[LANES];
    KATA__UNROLL
    for (int l = 0; l < LANES; l++) {
        const int s = l % columns < count ? l % columns : count - 1;
        x[l] = at[l / columns * row + s * column];
    }
    return NAME(load)(x);
}

/* alpha x + beta C + bias, relu, mask for LANES places: lane r columns + s is place (i + r, j + s);
 * from s = count on it is of no use. */
KATA__LOCAL VEC NAME(dot_result)(const kata__gemm_dot *g, int64_t i, int64_t j, const int columns,
                                 int count, VEC x) {
    const int64_t row = g->c_row, column = g->c_column, at = i * row + j * column;
    x *= NAME(splat)((REAL)g->alpha);
    if (g->beta != 0) {
        x += NAME(splat)((REAL)g->beta) *
             NAME(dot_places)((const REAL *)g->c + at, row, column, columns, count);
    }
    if (g->bias_row) {
        x += NAME(dot_places)((const REAL *)g->bias_row + i, 1, 0, columns, count);
    }
    if (g->bias_column) {
        x += NAME(dot_places)((const REAL *)g->bias_column + j, 0, 1, columns, count);
    }
    if (g->relu) {
        x = NAME(maximum)(x, (VEC){0});
    }
    if (g->mask) {
        x = NAME(select)(
            NAME(dot_places)((const REAL *)g->mask + at, row, column, columns, count) <= 0,
            (VEC){0}, x);
    }
    return x;
}

/* C += alpha x in one rounding for those places, where x is finite. */
KATA__LOCAL void NAME(dot_add)(const kata__gemm_dot *g, int64_t i, int64_t j, const int columns,
                               int count, VEC x) {
    REAL sums[LANES], *c = (REAL *)g->c + i * g->c_row + j * g->c_column;
    NAME(store)(sums, x);
    for (int l = 0; l < LANES; l++) {
        REAL *to = c + l / columns * g->c_row + l % columns * g->c_column;
        if (l % columns >= count) {
            continue;
        }
        if (sums[l] * 0 == 0) {
            *to = NAME(fma)((REAL)g->alpha, sums[l], *to);
        } else {
            NAME(note_not_finite)(g->not_finite, to, &sums[l], 1);
        }
    }
}

/* Rows [i, i + rows) by columns from j on, LANES sums in all: each has a vector that runs along k,
 * summed halves to halves in the end. Columns from g->n on repeat the last one. */
KATA__LOCAL VEC NAME(dot_sums)(const kata__gemm_dot *g, int64_t i, int64_t j, const int rows) {
    const int columns = LANES / rows;
    const REAL *a = (const REAL *)g->a + i * g->lda, *b[LANES];
    VEC acc[LANES];
    KATA__UNROLL
    for (int s = 0; s < columns; s++) {
        b[s] = (const REAL *)g->b + (j + s < g->n ? j + s : g->n - 1) * g->ldb;
    }
    KATA__UNROLL
    for (int r = 0; r < LANES; r++) {
        acc[r] = (VEC){0};
    }
    int64_t p = 0;
    for (; p + LANES <= g->k; p += LANES) {
        VEC av[LANES];
        KATA__UNROLL
        for (int r = 0; r < rows; r++) {
            av[r] = NAME(load)(a + r * g->lda + p);
        }
        KATA__UNROLL
        for (int s = 0; s < columns; s++) {
            VEC bv = NAME(load)(b[s] + p);
            KATA__KEEP(bv);
            KATA__UNROLL
            for (int r = 0; r < rows; r++) {
                acc[r * columns + s] += av[r] * bv;
            }
        }
    }
    if (p < g->k) {
        const int rest = (int)(g->k - p);
        KATA__UNROLL
        for (int s = 0; s < columns; s++) {
            const VEC bv = NAME(load_first)(b[s] + p, rest);
            KATA__UNROLL
            for (int r = 0; r < rows; r++) {
                acc[r * columns + s] += NAME(load_first)(a + r * g->lda + p, rest) * bv;
            }
        }
    }
    /* Vector i becomes the sums of halves of vectors i and i + n, interleaved: in the end element r
     * is the sum of acc[r]. */
    KATA__UNROLL
    for (int n = LANES / 2; n > 0; n /= 2) {
        KATA__UNROLL
        for (int r = 0; r < n; r++) {
            acc[r] = __builtin_shufflevector(acc[r], acc[r + n], KATA__ZIP_LOW) +
                     __builtin_shufflevector(acc[r], acc[r + n], KATA__ZIP_HIGH);
        }
    }
    return acc[0];
}

#undef KATA__DOT_TILE
/* The sums in a function of their own: its loop needs most of the registers. */
#define KATA__DOT_TILE(rows)                                                                       \
    static __attribute__((noinline))                                                               \
    VEC NAME(dot_sums_##rows)(const kata__gemm_dot *g, int64_t i, int64_t j) {                     \
        return NAME(dot_sums)(g, i, j, rows);                                                      \
    }                                                                                              \
    static void NAME(dot_rows_##rows)(const kata__gemm_dot *g, int64_t i) {                        \
        enum { COLUMNS = LANES / (rows) };                                                         \
        for (int64_t j = 0; j < g->n; j += COLUMNS) {                                              \
            const int count = g->n - j < COLUMNS ? (int)(g->n - j) : COLUMNS;                      \
            REAL sums[LANES], *c = (REAL *)g->c + i * g->c_row + j * g->c_column;                  \
            const VEC x = NAME(dot_sums_##rows)(g, i, j);                                          \
            if (g->not_finite) {                                                                   \
                NAME(dot_add)(g, i, j, COLUMNS, count, x);                                         \
                continue;                                                                          \
            }                                                                                      \
            NAME(store)(sums, NAME(dot_result)(g, i, j, COLUMNS, count, x));                       \
            KATA__UNROLL                                                                           \
            for (int l = 0; l < LANES; l++) {                                                      \
                if (l % COLUMNS < count) {                                                         \
                    c[l / COLUMNS * g->c_row + l % COLUMNS * g->c_column] = sums[l];               \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }
KATA__DOT_TILE(1)
KATA__DOT_TILE(2)
#if KATA__VECTOR_BYTES * 8 / REAL_BITS >= 4
KATA__DOT_TILE(4)
#endif

static void NAME(gemm_dot)(const kata__gemm_dot *g) {
    int64_t i = 0;
#if KATA__VECTOR_BYTES * 8 / REAL_BITS >= 4
    for (; i + 4 <= g->m; i += 4) {
        NAME(dot_rows_4)(g, i);
    }
#endif
    for (; i + 2 <= g->m; i += 2) {
        NAME(dot_rows_2)(g, i);
    }
    if (i < g->m) {
        NAME(dot_rows_1)(g, i);
    }
}

/* ---- few columns, A transposed: vectors along the rows of C ---- */

#ifndef KATA__TAIL_VECTORS
/* Sums of so many vectors of rows by up to LANES / 4 columns stay in registers. */
#define KATA__TAIL_VECTORS (KATA__VECTOR_BYTES == 64 ? 6 : 4)
#endif

/* Vectors of rows from row i on by columns [n, n + columns) of the piece. The piece's last vector
 * begins where it ends with the rows: what it shares with the one before is not stored again. */
KATA__LOCAL void NAME(tail_tile)(const kata__gemm_piece *g, int64_t i, const int vectors,
                                 const int columns) {
    const int64_t whole = (int64_t)(vectors - 1) * LANES, end_at = g->m - LANES - i;
    const int64_t last_at = end_at < whole ? end_at : whole;
    const REAL *a = (const REAL *)g->a + i;
    const int64_t b_term = g->transpose_b ? 1 : g->ldb, b_column = g->transpose_b ? g->ldb : 1;
    const REAL *b = (const REAL *)g->b + g->n * b_column;
    VEC acc[KATA__TAIL_VECTORS][LANES];
    KATA__UNROLL
    for (int v = 0; v < vectors; v++) {
        KATA__UNROLL
        for (int j = 0; j < columns; j++) {
            acc[v][j] = (VEC){0};
        }
    }
    for (int64_t p = g->k; p > 0; p--, a += g->lda, b += b_term) {
        VEC bv[LANES];
        KATA__UNROLL
        for (int j = 0; j < columns; j++) {
            bv[j] = NAME(splat)(b[j * b_column]);
        }
        KATA__UNROLL
        for (int v = 0; v < vectors; v++) {
            const VEC av = NAME(load)(a + (v < vectors - 1 ? v * LANES : last_at));
            KATA__UNROLL
            for (int j = 0; j < columns; j++) {
                acc[v][j] += av * bv[j];
            }
        }
    }
    const kata__gemm_dot end = {
        .c = (REAL *)g->c + i * g->ldc + g->n,
        .c_row = 1,
        .c_column = g->ldc,
        .alpha = g->alpha,
        .beta = g->beta,
        .bias_row = g->bias_column ? (const REAL *)g->bias_column + g->n : NULL,
        .bias_column = g->bias_row ? (const REAL *)g->bias_row + i : NULL,
        .relu = g->relu,
        .mask = g->mask ? (const REAL *)g->mask + i * g->ldc + g->n : NULL,
    };
    const bool plain = g->not_finite || (g->alpha == 1 && g->beta == 0 && !g->bias_column &&
                                         !g->bias_row && !g->relu && !g->mask);
    KATA__UNROLL
    for (int v = 0; v < vectors; v++) {
        const int64_t at = v < vectors - 1 ? v * LANES : last_at;
        REAL sums[LANES][LANES], alpha = (REAL)g->alpha;
        VEC check = {0};
        KATA__UNROLL
        for (int j = 0; j < columns; j++) {
            NAME(store)(sums[j], acc[v][j]);
            check += acc[v][j] * 0;
            if (!plain) {
                NAME(store)(sums[j], NAME(dot_result)(&end, j, at, LANES, LANES, acc[v][j]));
            }
        }
        REAL *c = (REAL *)end.c + v * LANES * g->ldc;
        if (g->not_finite && NAME(sum)(check) != 0) {
            for (int64_t r = v * LANES - at; r < LANES; r++, c += g->ldc) {
                for (int j = 0; j < columns; j++) {
                    NAME(note_not_finite)(g->not_finite, &c[j], &sums[j][r], 1);
                }
            }
            continue;
        }
        for (int64_t r = v * LANES - at; r < LANES; r++, c += g->ldc) {
            KATA__UNROLL
            for (int j = 0; j < columns; j++) {
                c[j] = g->not_finite ? NAME(fma)(alpha, sums[j][r], c[j]) : sums[j][r];
            }
        }
    }
}

#undef KATA__TAIL_CASE
#define KATA__TAIL_CASE(vectors, columns)                                                          \
    case (vectors)*8 + (columns):                                                                  \
        NAME(tail_tile)(g, i, vectors, columns);                                                   \
        break;
#undef KATA__TAIL_CASES
#if KATA__VECTOR_BYTES * 8 / REAL_BITS == 16
#define KATA__TAIL_CASES(vectors)                                                                  \
    KATA__TAIL_CASE(vectors, 1)                                                                    \
    KATA__TAIL_CASE(vectors, 2) KATA__TAIL_CASE(vectors, 3) KATA__TAIL_CASE(vectors, 4)
#elif KATA__VECTOR_BYTES * 8 / REAL_BITS == 8
#define KATA__TAIL_CASES(vectors) KATA__TAIL_CASE(vectors, 1) KATA__TAIL_CASE(vectors, 2)
#else
#define KATA__TAIL_CASES(vectors) KATA__TAIL_CASE(vectors, 1)
#endif

/* The last columns of a piece of at least LANES rows whose A is transposed. */
static void NAME(tail_columns)(const kata__gemm_piece *g) {
    const int64_t n_vectors = (g->m + LANES - 1) / LANES;
    const int64_t groups = (n_vectors + KATA__TAIL_VECTORS - 1) / KATA__TAIL_VECTORS;
    for (int64_t group = 0; group < groups; group++) {
        const int64_t v = n_vectors * group / groups, i = v * LANES;
        const int64_t vectors = n_vectors * (group + 1) / groups - v;
        switch (vectors * 8 + g->tail) {
            KATA__TAIL_CASES(1)
            KATA__TAIL_CASES(2)
            KATA__TAIL_CASES(3)
            KATA__TAIL_CASES(4)
#if KATA__VECTOR_BYTES == 64
            KATA__TAIL_CASES(5)
            KATA__TAIL_CASES(6)
#endif
        }
    }
}
