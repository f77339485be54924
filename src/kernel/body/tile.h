/* The register tile: a few rows by a few vectors of C stay in registers while k runs.
 *
 * Each element is one chain of multiply-adds over k in order, so an element's bits do not depend on
 * the tile that computes it. */

#ifndef KATA__TILE_ROWS
/* Largest tile: ROWS x VECTORS accumulators, VECTORS of B and one of A must fit the registers (32
 * with AVX-512, 16 else; without FMA one more holds the product). */
#if KATA__VECTOR_BYTES == 64
#define KATA__TILE_ROWS 14
#elif KATA__VECTOR_BYTES == 32
#define KATA__TILE_ROWS 6
#else
#define KATA__TILE_ROWS 4
#endif
#define KATA__TILE_VECTORS 2

/* How a tile reads its operands; the terms come in `runs` runs of k:
 *   BY_TERM     A's element i of term p is a[p a_step + i], one run; B's row is b[p b_step ...];
 *   BY_ROW      A's is a[i a_step + run * run_step + p], B's the next b_step;
 *   BY_OFFSET   A's as BY_ROW, B's row is b[offset[number of the term] ...];
 *   BY_POINTER  A's is row[i][run * run_step + p], B's the next b_step. */
enum kata__tile_mode { KATA__BY_TERM, KATA__BY_ROW, KATA__BY_OFFSET, KATA__BY_POINTER };
#endif

/* C (rows, 1 or 2 vectors) = alpha A B + beta C + bias, relu. Vector v of a row of C begins at
 * c + i ldc + v second_c; only `last` numbers of the last vector are stored. Vector v of B begins
 * v LANES on, BY_OFFSET v second; if tail, only `last` of the last vector may be read. What the
 * first vector stores beyond second_c the second one stores over. */
typedef struct NAME(tile) {
    enum kata__tile_mode mode;
    bool tail;
    bool relu;
    int vectors, last;
    int64_t k, runs, run_step;
    const REAL *a;
    int64_t a_step;
    const REAL *row[KATA__TILE_ROWS];
    const REAL *b;
    int64_t b_step;
    const int64_t *offset;
    int64_t second, second_c;
    REAL *c;
    int64_t ldc;
    REAL alpha, beta;
    const REAL *bias_column, *bias_row;
} NAME(tile);

#define KATA__EACH(statement)                                                                      \
    KATA__UNROLL                                                                                   \
    for (int i = 0; i < rows; i++) {                                                               \
        KATA__UNROLL                                                                               \
        for (int v = 0; v < vectors; v++) {                                                        \
            statement;                                                                             \
        }                                                                                          \
    }

/* One term: acc[i][v] += A_i B_v; a_i is an expression of i, B_v begins at row + v step. */
#define KATA__TERM(a_i, row, step, is_tail)                                                        \
    do {                                                                                           \
        VEC bv[KATA__TILE_VECTORS];                                                                \
        KATA__UNROLL                                                                               \
        for (int v = 0; v < vectors; v++) {                                                        \
            bv[v] = (is_tail) && v == vectors - 1 ? NAME(load_first)((row) + v * (step), last)     \
                                                  : NAME(load)((row) + v * (step));                \
        }                                                                                          \
        KATA__UNROLL                                                                               \
        for (int i = 0; i < rows; i++) {                                                           \
            VEC av = NAME(splat)(a_i);                                                             \
            KATA__UNROLL                                                                           \
            for (int v = 0; v < vectors; v++) {                                                    \
                acc[i][v] += av * bv[v];                                                           \
            }                                                                                      \
        }                                                                                          \
    } while (0)

KATA__LOCAL void NAME(tile_body)(const NAME(tile) *t, const int rows, const int vectors) {
    VEC acc[KATA__TILE_ROWS][KATA__TILE_VECTORS];
    const REAL *b = t->b;
    const int64_t b_step = t->b_step;
    const int last = t->last;
    KATA__EACH(acc[i][v] = (VEC){0})

    if (t->mode == KATA__BY_TERM) {
        const REAL *a = t->a;
        const int64_t a_step = t->a_step;
        if (t->tail) {
            for (int64_t p = t->k; p > 0; p--, a += a_step, b += b_step) {
                KATA__TERM(a[i], b, LANES, true);
            }
        } else {
            for (int64_t p = t->k; p > 0; p--, a += a_step, b += b_step) {
                KATA__TERM(a[i], b, LANES, false);
            }
        }
    } else if (t->mode == KATA__BY_ROW) {
        const REAL *a = t->a;
        const int64_t a_step = t->a_step;
        if (t->tail) {
            for (int64_t p = t->k; p > 0; p--, a++, b += b_step) {
                KATA__TERM(a[i * a_step], b, LANES, true);
            }
        } else {
            for (int64_t r = t->runs; r > 0; r--, a += t->run_step - t->k) {
                for (int64_t p = t->k; p > 0; p--, a++, b += b_step) {
                    KATA__TERM(a[i * a_step], b, LANES, false);
                }
            }
        }
    } else if (t->mode == KATA__BY_OFFSET) {
        const REAL *a = t->a;
        const int64_t a_step = t->a_step, second = t->second, *offset = t->offset;
        for (int64_t r = t->runs; r > 0; r--, a += t->run_step - t->k) {
            for (int64_t p = t->k; p > 0; p--, a++, offset++) {
                KATA__TERM(a[i * a_step], b + *offset, second, false);
            }
        }
    } else {
        int64_t at = 0;
        for (int64_t r = t->runs; r > 0; r--, at += t->run_step - t->k) {
            int64_t p = t->k;
            if (vectors == 1) { /* four terms for each time that a row's address is fetched */
                for (; p >= 4; p -= 4, at += 4, b += 4 * b_step) {
                    VEC bv[4];
                    KATA__UNROLL
                    for (int q = 0; q < 4; q++) {
                        bv[q] = NAME(load)(b + q * b_step);
                    }
                    KATA__UNROLL
                    for (int i = 0; i < rows; i++) {
                        const REAL *a = t->row[i] + at;
                        KATA__UNROLL
                        for (int q = 0; q < 4; q++) {
                            acc[i][0] += NAME(splat)(a[q]) * bv[q];
                        }
                    }
                }
            }
            for (; p > 0; p--, at++, b += b_step) {
                KATA__TERM(t->row[i][at], b, LANES, false);
            }
        }
    }

    if (t->alpha != 1) {
        const VEC alpha = NAME(splat)(t->alpha);
        KATA__EACH(acc[i][v] *= alpha)
    }
    REAL *c = t->c;
    const int64_t ldc = t->ldc, second_c = t->second_c;
    const bool whole = last == LANES;
    if (t->beta != 0) {
        const VEC beta = NAME(splat)(t->beta);
        if (whole) {
            KATA__EACH(acc[i][v] += beta * NAME(load)(c + i * ldc + v * second_c))
        } else {
            KATA__EACH(acc[i][v] +=
                       beta * (v == vectors - 1 ? NAME(load_first)(c + i * ldc + v * second_c, last)
                                                : NAME(load)(c + i * ldc + v * second_c)))
        }
    }
    if (t->bias_row) {
        KATA__EACH(acc[i][v] += NAME(splat)(t->bias_row[i]))
    }
    if (t->bias_column) {
        VEC bias[KATA__TILE_VECTORS];
        KATA__UNROLL
        for (int v = 0; v < vectors; v++) {
            bias[v] = v == vectors - 1 ? NAME(load_first)(t->bias_column + v * second_c, last)
                                       : NAME(load)(t->bias_column + v * second_c);
        }
        KATA__EACH(acc[i][v] += bias[v])
    }
    if (t->relu) {
        KATA__EACH(acc[i][v] = NAME(maximum)(acc[i][v], (VEC){0}))
    }
    if (whole) {
        KATA__EACH(NAME(store)(c + i * ldc + v * second_c, acc[i][v]))
    } else {
        KATA__UNROLL
        for (int i = 0; i < rows; i++) {
            KATA__UNROLL
            for (int v = 0; v < vectors - 1; v++) {
                NAME(store)(c + i * ldc + v * second_c, acc[i][v]);
            }
            NAME(store_first)(c + i * ldc + (vectors - 1) * second_c, acc[i][vectors - 1], last);
        }
    }
}

#define KATA__TILE_FUNCTION(rows)                                                                  \
    static void NAME(tile_##rows##_1)(const NAME(tile) *t) {                                       \
        NAME(tile_body)(t, rows, 1);                                                               \
    }                                                                                              \
    static void NAME(tile_##rows##_2)(const NAME(tile) *t) {                                       \
        NAME(tile_body)(t, rows, 2);                                                               \
    }
KATA__TILE_FUNCTION(1)
KATA__TILE_FUNCTION(2)
KATA__TILE_FUNCTION(3)
KATA__TILE_FUNCTION(4)
#if KATA__TILE_ROWS > 4
KATA__TILE_FUNCTION(5)
KATA__TILE_FUNCTION(6)
#endif
#if KATA__TILE_ROWS > 6
KATA__TILE_FUNCTION(7)
KATA__TILE_FUNCTION(8)
KATA__TILE_FUNCTION(9)
KATA__TILE_FUNCTION(10)
KATA__TILE_FUNCTION(11)
KATA__TILE_FUNCTION(12)
KATA__TILE_FUNCTION(13)
KATA__TILE_FUNCTION(14)
#endif

typedef void (*NAME(tile_function))(const NAME(tile) *t);

#define KATA__TILE_ENTRY(rows)                                                                     \
    { NAME(tile_##rows##_1), NAME(tile_##rows##_2) }
static const NAME(tile_function) NAME(tile_functions)[KATA__TILE_ROWS][KATA__TILE_VECTORS] = {
    KATA__TILE_ENTRY(1),  KATA__TILE_ENTRY(2),  KATA__TILE_ENTRY(3),  KATA__TILE_ENTRY(4),
#if KATA__TILE_ROWS > 4
    KATA__TILE_ENTRY(5),  KATA__TILE_ENTRY(6),
#endif
#if KATA__TILE_ROWS > 6
    KATA__TILE_ENTRY(7),  KATA__TILE_ENTRY(8),  KATA__TILE_ENTRY(9),  KATA__TILE_ENTRY(10),
    KATA__TILE_ENTRY(11), KATA__TILE_ENTRY(12), KATA__TILE_ENTRY(13), KATA__TILE_ENTRY(14),
#endif
};

/* Runs a tile of `rows` (1..KATA__TILE_ROWS) by t->vectors. */
KATA__LOCAL void NAME(run_tile)(const NAME(tile) *t, int rows) {
    NAME(tile_functions)[rows - 1][t->vectors - 1](t);
}

/* Sets the vectors for neighbouring columns (1..2 LANES). */
KATA__LOCAL void NAME(set_columns)(NAME(tile) *t, int64_t columns) {
    t->vectors = columns > LANES ? 2 : 1;
    t->last = (int)columns - (t->vectors - 1) * LANES;
    t->second_c = LANES;
}
