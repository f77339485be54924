/* Products of one or two rows: B is read once, in order. Built on gemm.h. */

#ifndef KATA__CHAINS
/* Vectors of sums of a row: as many chains as hide the latency of a multiply-add. */
#define KATA__CHAINS (KATA__VECTOR_BYTES == 64 ? 8 : 4)
/* Most vectors of sums when rows of B are read without regard to their ends, and groups of rows
 * that are read together then. */
#define KATA__STREAM_VECTORS 64
#define KATA__STREAM_GROUPS 4
#endif

/* Rows [i, i + rows), columns [j, j + n) of n <= vectors * LANES: term p goes to chain p modulo
 * KATA__CHAINS / vectors of its element, and the chains are summed in the end, halves to halves. */
KATA__LOCAL void NAME(rows_tile)(const kata__gemm_piece *g, int64_t j, int64_t n, const int rows,
                                 const int vectors) {
    const int chains = KATA__CHAINS / vectors;
    const int64_t a_row = g->transpose_a ? 1 : g->lda, a_term = g->transpose_a ? g->lda : 1;
    const REAL *a = g->a, *b = (const REAL *)g->b + j;
    VEC acc[KATA__CHAINS][2][KATA__CHAINS];
    KATA__UNROLL
    for (int q = 0; q < chains; q++) {
        KATA__UNROLL
        for (int r = 0; r < rows; r++) {
            KATA__UNROLL
            for (int v = 0; v < vectors; v++) {
                acc[q][r][v] = (VEC){0};
            }
        }
    }
    /* Rows whose end is not far enough from B's to read whole vectors. */
    const int64_t cut_rows = (vectors * LANES - n + g->ldb - 1) / g->ldb;
    int64_t p = 0;
    for (; p + chains <= g->k - cut_rows; p += chains) {
        KATA__UNROLL
        for (int q = 0; q < chains; q++, a += a_term, b += g->ldb) {
            KATA__UNROLL
            for (int v = 0; v < vectors; v++) {
                const VEC bv = NAME(load)(b + v * LANES);
                KATA__UNROLL
                for (int r = 0; r < rows; r++) {
                    acc[q][r][v] += NAME(splat)(a[r * a_row]) * bv;
                }
            }
        }
    }
    for (; p < g->k; p += chains) {
        KATA__UNROLL
        for (int q = 0; q < chains; q++, a += a_term, b += g->ldb) {
            if (p + q < g->k) {
                KATA__UNROLL
                for (int v = 0; v < vectors; v++) {
                    const VEC bv = NAME(load_some)(b + v * LANES, n - v * LANES);
                    KATA__UNROLL
                    for (int r = 0; r < rows; r++) {
                        acc[q][r][v] += NAME(splat)(a[r * a_row]) * bv;
                    }
                }
            }
        }
    }
    KATA__UNROLL
    for (int r = 0; r < rows; r++) {
        KATA__UNROLL
        for (int v = 0; v < vectors; v++) {
            KATA__UNROLL
            for (int width = chains / 2; width > 0; width /= 2) {
                KATA__UNROLL
                for (int q = 0; q < width; q++) {
                    acc[q][r][v] += acc[q + width][r][v];
                }
            }
            NAME(store_sums)(g, r, j + v * LANES, n - v * LANES, acc[0][r][v]);
        }
    }
}

KATA__LOCAL void NAME(rows_tile_of)(const kata__gemm_piece *g, int64_t j, int64_t n, int vectors,
                                    const int rows) {
    if (vectors == 1) {
        NAME(rows_tile)(g, j, n, rows, 1);
    } else if (vectors == 2) {
        NAME(rows_tile)(g, j, n, rows, 2);
    } else if (vectors == 4) {
        NAME(rows_tile)(g, j, n, rows, 4);
    } else {
        NAME(rows_tile)(g, j, n, rows, KATA__CHAINS);
    }
}

/* ---- one row, and rows of B that lie behind each other and end within vectors ----
 *
 * B is read in whole vectors all the same. Some rows later, LANES / gcd(n, LANES), a row begins on
 * a vector again: the sums of so many rows, each of n numbers, are kept apart and added in the
 * end. Lane l of vector v belongs to row (v LANES + l) / n, whose number of A it is multiplied
 * with. */

#undef KATA__STREAMS
#define KATA__STREAMS (KATA__VECTOR_BYTES > 16 && REAL_BITS == 32)
#if KATA__STREAMS
/* x[lane[i]] of each lane i. */
KATA__LOCAL VEC NAME(permute)(VEC x, IVEC lane) {
#if KATA__VECTOR_BYTES == 64
    return (VEC)_mm512_permutexvar_ps((__m512i)lane, (__m512)x);
#else
    return (VEC)_mm256_permutevar8x32_ps((__m256)x, (__m256i)lane);
#endif
}

/* The rows after which one begins on a vector again. */
KATA__LOCAL int64_t NAME(stream_rows)(int64_t n) {
    int64_t rows = LANES;
    while (n % 2 == 0 && rows > 1) {
        n /= 2;
        rows /= 2;
    }
    return rows;
}

KATA__LOCAL bool NAME(is_stream)(const kata__gemm_piece *g) {
    const int64_t rows = NAME(stream_rows)(g->n);
    const bool a_row = !g->transpose_a || g->lda == 1;
    return g->m == 1 && a_row && g->ldb == g->n && g->n % LANES != 0 &&
           rows * g->n <= KATA__STREAM_VECTORS * LANES && g->k >= KATA__STREAM_GROUPS * rows;
}

/* sums += a B for `groups` groups of rows, each of `vectors` vectors. */
KATA__LOCAL void NAME(stream_groups)(const REAL *a, const REAL *b, int64_t rows, int64_t vectors,
                                     const IVEC *row_of, VEC *sums, const int groups) {
    VEC av[KATA__STREAM_GROUPS];
    KATA__UNROLL
    for (int q = 0; q < groups; q++) {
        av[q] = NAME(load_first)(a + q * rows, (int)rows);
    }
    for (int64_t v = 0; v < vectors; v++) {
        VEC sum = sums[v];
        KATA__UNROLL
        for (int q = 0; q < groups; q++) {
            sum += NAME(permute)(av[q], row_of[v]) * NAME(load)(b + (q * vectors + v) * LANES);
        }
        sums[v] = sum;
    }
}

static void NAME(gemm_stream)(const kata__gemm_piece *g) {
    VEC sums[KATA__STREAM_VECTORS];
    IVEC row_of[KATA__STREAM_VECTORS + 1];
    const int64_t n = g->n, rows = NAME(stream_rows)(n), vectors = rows * n / LANES;
    const REAL *a = g->a, *b = g->b;
    for (int64_t v = 0; v < vectors; v++) {
        sums[v] = (VEC){0};
    }
    for (int64_t r = 0; r < rows; r++) { /* what is stored beyond a row the next one stores over */
        const IVEC row = (IVEC){0} + (INTEGER)r;
        for (int64_t j = 0; j < n; j += LANES) {
            memcpy((INTEGER *)row_of + r * n + j, &row, sizeof row);
        }
    }
    int64_t p = 0;
    for (; p + KATA__STREAM_GROUPS * rows <= g->k; p += KATA__STREAM_GROUPS * rows) {
        NAME(stream_groups)(a + p, b + p * n, rows, vectors, row_of, sums, KATA__STREAM_GROUPS);
    }
    for (; p + rows <= g->k; p += rows) {
        NAME(stream_groups)(a + p, b + p * n, rows, vectors, row_of, sums, 1);
    }
    if (p < g->k) {
        const VEC av = NAME(load_first)(a + p, (int)(g->k - p));
        for (int64_t v = 0, left = (g->k - p) * n; left > 0; v++, left -= LANES) {
            sums[v] += NAME(permute)(av, row_of[v]) * NAME(load_some)(b + p * n + v * LANES, left);
        }
    }
    for (int64_t j = 0; j < n; j += LANES) {
        VEC x = {0};
        for (int64_t r = 0; r < rows; r++) {
            x += NAME(load_some)((const REAL *)sums + r * n + j, n - j);
        }
        NAME(store_sums)(g, 0, j, n - j, x);
    }
}
#endif

/* m is 1 or 2, B is not transposed. */
static void NAME(gemm_rows)(const kata__gemm_piece *g) {
#if KATA__STREAMS
    if (NAME(is_stream)(g)) {
        NAME(gemm_stream)(g);
        return;
    }
#endif
    for (int64_t j = 0; j < g->n;) {
        const int64_t left = (g->n - j + LANES - 1) / LANES;
        const int vectors = left > 4 ? KATA__CHAINS : left > 2 ? 4 : (int)left;
        const int64_t n = g->n - j < vectors * LANES ? g->n - j : vectors * LANES;
        if (g->m == 1) {
            NAME(rows_tile_of)(g, j, n, vectors, 1);
        } else {
            NAME(rows_tile_of)(g, j, n, vectors, 2);
        }
        j += n;
    }
}
