/* The register kernel of matrix products: a few rows by 1 to 3 vectors of C stay in registers while
 * k runs; what the next calls will need is fetched on the way.
 *
 * Each element is one chain of multiply-adds over k in order, so an element's bits do not depend on
 * the tile that computes it. */

#ifndef KATA__PRODUCT_ROWS
/* Most rows by the number of vectors: rows * vectors sums, the vectors of B and one of A must fit
 * the registers (32 with AVX-512, 16 else; without FMA one more holds the product). */
#if KATA__VECTOR_BYTES == 64
#define KATA__PRODUCT_ROWS 14
#define KATA__PRODUCT_ROWS_OF_3 9
#elif KATA__VECTOR_BYTES == 32
#define KATA__PRODUCT_ROWS 6
#define KATA__PRODUCT_ROWS_OF_3 4
#else
#define KATA__PRODUCT_ROWS 4
#define KATA__PRODUCT_ROWS_OF_3 3
#endif

/* How many terms ahead B is fetched from the second-level cache. */
enum { KATA__LINE = 64, KATA__AHEAD = 8 };

/* Memory to bring near, a place for each of the first `count` terms: at, at + step, ... */
typedef struct kata__fetch {
    const char *at;
    int64_t step, count;
} kata__fetch;
#endif

/* C (rows, vectors) = alpha A B + beta C + bias, relu, mask. Element (i,p) of A is a[i a_step + p]
 * or, by_term, a[p a_step + i]; row p of B begins at b + p b_step. `last` numbers of the last
 * vector are C's; only they may be read of the last k - whole rows of B.
 *
 * A strip is `tiles` such products: A, B and C of the next begin a_next, b_next and c_next numbers
 * on; the strip goes along the rows if b_next is 0, else along the columns. */
typedef struct NAME(product) {
    int64_t k, whole;
    const REAL *a, *b;
    int64_t a_step, b_step;
    REAL *c;
    int64_t ldc;
    int last;
    bool by_term, relu;
    REAL alpha, beta;
    const REAL *bias_column, *bias_row, *mask; /* each NULL or at this tile's first */
    uintptr_t *not_finite;                     /* see kata__gemm */
    const REAL *c_soon; /* NULL, or the tile of C to fetch first: this one, or a later one */
    bool ahead;         /* B is fetched before it is used: it is not in the first-level cache */
    kata__fetch fetch;
    int64_t lines; /* so many tiles fetch, each the lines behind the last one's */
    int64_t tiles, a_next, b_next, c_next;
} NAME(product);

#define KATA__EACH_SUM(statement)                                                                  \
    KATA__UNROLL                                                                                   \
    for (int i = 0; i < rows; i++) {                                                               \
        KATA__UNROLL                                                                               \
        for (int v = 0; v < vectors; v++) {                                                        \
            statement;                                                                             \
        }                                                                                          \
    }

/* The numbers of vector v of a row of C, or of what lies like it. */
KATA__LOCAL VEC NAME(product_load)(const REAL *p, int v, int vectors, int last, bool cut) {
    return cut && v == vectors - 1 ? NAME(load_first)(p + v * LANES, last)
                                   : NAME(load)(p + v * LANES);
}

/* A's element of row i. Rows are reached from three places, so that each is one of these plus a
 * multiple of one of two other registers. */
#define KATA__A(i)                                                                                 \
    (by_term ? a[i]                                                                                \
             : ((i) < 5    ? a                                                                     \
                : (i) < 10 ? a_5                                                                   \
                           : a_10)[(i) % 5 == 3 ? a_step_3 : (i) % 5 * a_step])
/* One term, and `end_row` after each row of it. The loop holds no more than one: it fits the
 * processor's loop buffer, which is faster than four. */
#define KATA__PRODUCT_TERM(load_last, end_row)                                                     \
    do {                                                                                           \
        VEC bv[3];                                                                                 \
        KATA__UNROLL                                                                               \
        for (int v = 0; v < vectors; v++) {                                                        \
            bv[v] = NAME(product_load)(b, v, vectors, last, load_last);                            \
        }                                                                                          \
        KATA__UNROLL                                                                               \
        for (int i = 0; i < rows; i++) {                                                           \
            const VEC av = NAME(splat)(KATA__A(i));                                                \
            KATA__UNROLL                                                                           \
            for (int v = 0; v < vectors; v++) {                                                    \
                acc[i][v] += av * bv[v];                                                           \
            }                                                                                      \
            end_row;                                                                               \
        }                                                                                          \
        b += b_step;                                                                               \
        a += by_term ? a_step : 1;                                                                 \
        a_5++;                                                                                     \
        a_10++;                                                                                    \
    } while (0)

/* Stores a row of sums. */
KATA__LOCAL void NAME(product_store)(REAL *c, const VEC *sums, const int vectors, int last) {
    KATA__UNROLL
    for (int v = 0; v < vectors - 1; v++) {
        NAME(store)(c + v * LANES, sums[v]);
    }
    NAME(store_first)(c + (vectors - 1) * LANES, sums[vectors - 1], last);
}

/* Lowers *first to the address of the first of n sums that is not finite; they are to be added to
 * c. */
static __attribute__((noinline, cold)) void NAME(note_not_finite)(uintptr_t *first, const REAL *c,
                                                                  const REAL *sums, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (sums[i] * 0 != 0) {
            uintptr_t least = __atomic_load_n(first, __ATOMIC_RELAXED), at = (uintptr_t)(c + i);
            while (at < least && !__atomic_compare_exchange_n(first, &least, at, true,
                                                              __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            }
            return;
        }
    }
}

/* C += alpha times the sums, in one rounding as an optimiser's step has it, if all are finite. */
KATA__LOCAL void NAME(product_add)(const NAME(product) *t, REAL *c, VEC (*acc)[3], const int rows,
                                   const int vectors) {
    const VEC alpha = NAME(splat)(t->alpha);
    VEC zero = {0}, check[3] = {zero, zero, zero};
    KATA__EACH_SUM(check[v] += acc[i][v] * zero)
    REAL end[LANES];
    NAME(store)(end, check[vectors - 1]);
    check[vectors - 1] = NAME(load_first)(end, t->last);
    if (NAME(sum)(check[0] + check[1] + check[2]) != 0) {
        KATA__UNROLL
        for (int i = 0; i < rows; i++, c += t->ldc) {
            REAL sums[3 * LANES]; /* a copy: the sums themselves have no address */
            KATA__UNROLL
            for (int v = 0; v < vectors; v++) {
                NAME(store)(sums + v * LANES, acc[i][v]);
            }
            NAME(note_not_finite)
            (t->not_finite, c, sums, (vectors - 1) * LANES + t->last);
        }
        return;
    }
    KATA__UNROLL
    for (int i = 0; i < rows; i++, c += t->ldc) {
        KATA__UNROLL
        for (int v = 0; v < vectors; v++) {
            acc[i][v] = NAME(vector_fma)(acc[i][v], alpha,
                                         NAME(product_load)(c, v, vectors, t->last, true));
        }
        NAME(product_store)(c, acc[i], vectors, t->last);
    }
}

KATA__LOCAL void NAME(product_body)(const NAME(product) *t, const int rows, const int vectors,
                                    const bool by_term) {
    VEC acc[KATA__PRODUCT_ROWS][3];
    const int64_t a_step = t->a_step, b_step = t->b_step, a_step_3 = 3 * a_step, ldc = t->ldc;
    const int last = t->last;
    const bool cut = last != LANES;
    /* Sums that are stored as they are leave while the last term is added to the others. */
    const bool plain = KATA__VECTOR_BYTES == 64 && t->k > 0 && t->alpha == 1 && t->beta == 0 &&
                       !t->bias_row && !t->bias_column && !t->relu && !t->mask && !t->not_finite;
    const int64_t k = t->k - plain, whole = t->whole < k ? t->whole : k;
    const REAL *bias_row = t->bias_row, *bias_column = t->bias_column;
    const REAL *a_tile = t->a, *b_tile = t->b;
    const char *fetch = t->fetch.at;
    int64_t fetch_step = t->fetch.step, count = t->lines > 0 ? t->fetch.count : 0;
    int64_t lines = t->lines;
    REAL *c = t->c;
    for (int64_t tile = t->tiles, to_next = 0; tile > 0; tile--, to_next += t->c_next) {
        const REAL *a = a_tile, *b = b_tile, *a_5 = a + 5 * a_step, *a_10 = a + 10 * a_step;
        KATA__EACH_SUM(acc[i][v] = (VEC){0})
        if (t->c_soon) {
            KATA__EACH_SUM(__builtin_prefetch(t->c_soon + i * ldc + v * LANES))
        }
        /* Each term fetches a place of `fetch`, and maybe B's row AHEAD terms on. */
        const char *ahead = (const char *)(b + KATA__AHEAD * b_step);
        for (int64_t left = whole, run; left > 0; left -= run) {
            if (count == 0) {
                fetch = (const char *)t; /* near already */
                fetch_step = 0;
                count = left;
            }
            run = count < left ? count : left;
            count -= run;
            if (t->ahead) {
                for (int64_t p = run; p > 0; p--) {
                    KATA__UNROLL
                    for (int v = 0; v < vectors; v += KATA__LINE / KATA__VECTOR_BYTES) {
                        __builtin_prefetch(ahead + v * KATA__VECTOR_BYTES);
                    }
                    if (by_term) {
                        __builtin_prefetch(a + KATA__AHEAD * a_step);
                    }
                    ahead += b_step * (int64_t)sizeof(REAL);
                    __builtin_prefetch(fetch, 0, 2);
                    fetch += fetch_step;
                    KATA__PRODUCT_TERM(false, (void)0);
                }
            } else {
                for (int64_t p = run; p > 0; p--) {
                    __builtin_prefetch(fetch);
                    fetch += fetch_step;
                    KATA__PRODUCT_TERM(false, (void)0);
                }
            }
        }
        for (int64_t p = k - whole; p > 0; p--) {
            KATA__PRODUCT_TERM(true, (void)0);
        }
        if (plain) {
            __builtin_prefetch(fetch, 0, 2);
            KATA__PRODUCT_TERM(true, NAME(product_store)(c + i * ldc, acc[i], vectors, last));
        } else if (t->not_finite) {
            NAME(product_add)(t, c, acc, rows, vectors);
        } else {
            if (t->alpha != 1) {
                const VEC alpha = NAME(splat)(t->alpha);
                KATA__EACH_SUM(acc[i][v] *= alpha)
            }
            if (t->beta != 0) {
                const VEC beta = NAME(splat)(t->beta);
                if (cut) {
                    KATA__EACH_SUM(acc[i][v] +=
                                   beta * NAME(product_load)(c + i * ldc, v, vectors, last, true))
                } else {
                    KATA__EACH_SUM(acc[i][v] += beta * NAME(load)(c + i * ldc + v * LANES))
                }
            }
            if (bias_row) {
                KATA__EACH_SUM(acc[i][v] += NAME(splat)(bias_row[i]))
            }
            if (bias_column) {
                VEC bias[3];
                KATA__UNROLL
                for (int v = 0; v < vectors; v++) {
                    bias[v] = NAME(product_load)(bias_column, v, vectors, last, true);
                }
                KATA__EACH_SUM(acc[i][v] += bias[v])
            }
            if (t->relu) {
                KATA__EACH_SUM(acc[i][v] = NAME(maximum)(acc[i][v], (VEC){0}))
            }
            if (t->mask) {
                const REAL *mask = t->mask + to_next;
                KATA__EACH_SUM(acc[i][v] = NAME(select)(
                                   NAME(product_load)(mask + i * ldc, v, vectors, last, true) <= 0,
                                   (VEC){0}, acc[i][v]))
            }
            if (!cut) {
                KATA__EACH_SUM(NAME(store)(c + i * ldc + v * LANES, acc[i][v]))
            } else {
                KATA__UNROLL
                for (int i = 0; i < rows; i++) {
                    NAME(product_store)(c + i * ldc, acc[i], vectors, last);
                }
            }
        }
        a_tile += t->a_next;
        b_tile += t->b_next;
        c += t->c_next;
        bias_row = bias_row && t->b_next == 0 ? bias_row + rows : bias_row;
        bias_column = bias_column && t->b_next != 0 ? bias_column + vectors * LANES : bias_column;
        fetch = (const char *)t;
        fetch_step = count = 0;
        if (--lines > 0) {
            fetch = t->fetch.at + (t->lines - lines) * KATA__LINE;
            fetch_step = t->fetch.step;
            count = t->fetch.count;
        }
    }
}

typedef void (*NAME(product_function))(const NAME(product) *t);

#undef KATA__PRODUCT_FUNCTION
#define KATA__PRODUCT_FUNCTION(rows, vectors)                                                      \
    static void NAME(product_##rows##_##vectors)(const NAME(product) *t) {                         \
        if (t->by_term) {                                                                          \
            NAME(product_body)(t, rows, vectors, true);                                            \
        } else {                                                                                   \
            NAME(product_body)(t, rows, vectors, false);                                           \
        }                                                                                          \
    }
#if KATA__VECTOR_BYTES == 64
#define KATA__PRODUCT_ALL(f)                                                                       \
    f(1, 1) f(2, 1) f(3, 1) f(4, 1) f(5, 1) f(6, 1) f(7, 1) f(8, 1) f(9, 1) f(10, 1) f(11, 1)      \
        f(12, 1) f(13, 1) f(14, 1) f(1, 2) f(2, 2) f(3, 2) f(4, 2) f(5, 2) f(6, 2) f(7, 2) f(8, 2) \
            f(9, 2) f(10, 2) f(11, 2) f(12, 2) f(13, 2) f(14, 2) f(1, 3) f(2, 3) f(3, 3) f(4, 3)   \
                f(5, 3) f(6, 3) f(7, 3) f(8, 3) f(9, 3)
#elif KATA__VECTOR_BYTES == 32
#define KATA__PRODUCT_ALL(f)                                                                       \
    f(1, 1) f(2, 1) f(3, 1) f(4, 1) f(5, 1) f(6, 1) f(1, 2) f(2, 2) f(3, 2) f(4, 2) f(5, 2)        \
        f(6, 2) f(1, 3) f(2, 3) f(3, 3) f(4, 3)
#else
#define KATA__PRODUCT_ALL(f)                                                                       \
    f(1, 1) f(2, 1) f(3, 1) f(4, 1) f(1, 2) f(2, 2) f(3, 2) f(4, 2) f(1, 3) f(2, 3) f(3, 3)
#endif
KATA__PRODUCT_ALL(KATA__PRODUCT_FUNCTION)

#define KATA__PRODUCT_ENTRY(rows, vectors)                                                         \
    [(vectors)-1][(rows)-1] = NAME(product_##rows##_##vectors),
static const NAME(product_function)
    NAME(product_functions)[3][KATA__PRODUCT_ROWS] = {KATA__PRODUCT_ALL(KATA__PRODUCT_ENTRY)};
