/* Matrix product: which way a product is computed, how it is cut into chunks, and its workspace.
 *
 * Three ways:
 *   DOT     few rows against rows, both contiguous in k: dot products along k;
 *   ROWS    one or two rows, B not transposed: B is read once, in order;
 *   PIECES  everything else: each chunk is a piece of C, computed by tiles. B is read where it is,
 * or a chunk packs what it needs of it into scratch of its worker, block by block. A product with
 * few elements and many terms is cut in k as well: the parts go to places of their own and are
 * added in order, or each is added to C, with the same bits. The way and the chunks are functions
 * of the sizes and the instruction set alone.
 */
#include "kernel/gemm.h"
#include "base/number.h"
#include "base/parallel.h"
#include "kernel/table.h"

#include <math.h>

/* A chunk should last some microseconds, and there should be enough of them for many threads. */
enum {
    CHUNK_FLOPS = 800000,
    PAIR_FLOPS = 80000, /* worth two chunks: a microsecond, against 0.2 for a second thread */
    FEW_CHUNKS = 16,
    SQUARE_FLOPS = 1 << 28,  /* a product of 512 by 512 by 512 */
    SQUARE_CHUNKS = 2,       /* of it */
    FETCH_BYTES = 192 << 10, /* of both operands; with more, parts of k fetch each number once */
    FEWEST_TERMS = 384,      /* of a part */
    FEWEST_VECTORS = 4,      /* of a chunk's columns */
    TRANSPOSE_ROWS = 96,     /* the fewest of a chunk that transposes B's last columns */
    TERM_ROWS = 256,         /* the fewest of a chunk of a transposed A, if there are two of them */
    PACK_ROWS = 768,         /* a chunk with so many rows packs B, */
    CROSS_ROWS = 256,        /* or with so many if vectors of B cross lines */
    TAIL_TERMS = 48,         /* fewer are not worth a way of their own for the last columns */
    PARTS_NUMBERS = 1 << 20, /* the most numbers that partial sums may take */
    FAR_BYTES = 1 << 20,     /* so much does not stay in the second-level cache */
    CROWDED_BYTES = 4096,    /* rows a multiple of this apart fall on few places of the caches */
    TAKEN_BYTES = 128 << 10  /* of a part that is taken: it is still near then */
};

enum way { DOT, ROWS, PIECES };

struct plan {
    const kata__gemm_table *table;
    enum way way;
    kata__gemm g; /* batch at least 1; k is 0 if alpha is */
    size_t size;  /* of a number */
    bool swap;    /* DOT: C^T = op(B)^T op(A)^T, because n < m */
    bool pack;
    int64_t n_vectors;                                            /* of C's columns */
    int64_t row_chunks, column_chunks, parts, items, item_chunks; /* items: of the batch, a chunk */
    int n_threads;
    size_t space_bytes, scratch_bytes, transposed_bytes, taken_bytes; /* for a worker */
    bool in_place; /* each part is added to C, with the same bits: by one thread alone, */
    bool crosses;  /* or two parts, each in one half of the rows and then in the other */
    int64_t tail;  /* the last columns, not among g.n, if they would leave most of a vector empty */
};

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* 1 or an even number: so many chunks can be shared by two threads. */
static int64_t even(int64_t n) {
    return n > 1 ? n / 2 * 2 : n;
}

static size_t lines(size_t n_bytes) {
    return (n_bytes + 63) / 64 * 64;
}

/* y = A^T x with y contiguous is the row product x^T A, which reads A in order. */
static void turn_column_product(kata__gemm *g) {
    if (g->n != 1 || !g->transpose_a || g->ldc != 1) {
        return;
    }
    kata__gemm t = *g;
    t.m = 1;
    t.n = g->m;
    t.transpose_a = !g->transpose_b;
    t.transpose_b = false;
    t.a = g->b;
    t.lda = g->ldb;
    t.stride_a = g->stride_b;
    t.b = g->a;
    t.ldb = g->lda;
    t.stride_b = g->stride_a;
    t.ldc = g->m;
    t.bias_column = g->bias_row;
    t.bias_row = g->bias_column;
    *g = t;
}

/* The rows of the largest chunk, or more: a border is moved by less than a vector, and the last
 * chunk has what is left of one besides. */
static int64_t most_rows_of(const struct plan *p) {
    return kata__minimum(p->g.m, ceil_div(p->g.m, p->row_chunks) + 2 * p->table->lanes);
}

static int64_t most_columns_of(const struct plan *p) {
    return kata__minimum(p->g.n, (ceil_div(p->n_vectors, p->column_chunks) + 2) * p->table->lanes);
}

/* Numbers that the largest piece needs for tiles of A. */
static size_t piece_space(const struct plan *p) {
    const kata__gemm *g = &p->g;
    const kata__gemm_piece piece = {
        .m = most_rows_of(p),
        .n = most_columns_of(p),
        .k = g->k,
        .transpose_a = g->transpose_a,
        .lda = g->lda,
    };
    return p->table->piece_space(&piece);
}

/* Numbers of the largest part of C that is taken. */
static int64_t most_taken(const struct plan *p) {
    if (p->parts > 1) {
        return ceil_div(p->g.m, kata__minimum(p->g.m, p->parts)) * (p->g.n + p->tail);
    }
    return most_rows_of(p) * (most_columns_of(p) + p->tail);
}

/* Cuts a product, or an item of a batch, into about `want` chunks. */
static void cut_pieces(struct plan *p, int64_t want, double flops, bool transposes) {
    const kata__gemm *g = &p->g;
    const int64_t lanes = p->table->lanes;
    /* Terms first: if both operands are large beside C, parts of k fetch each number once. */
    if (g->batch == 1 && g->k >= 2 * FEWEST_TERMS &&
        (g->m + g->n) * g->k * (int64_t)p->size > 2 * FETCH_BYTES &&
        g->m * g->n * 8 < (g->m + g->n) * g->k) {
        p->parts = even(kata__minimum(want, g->k / FEWEST_TERMS));
        p->parts =
            kata__maximum(1, kata__minimum(p->parts, PARTS_NUMBERS / (g->m * (g->n + p->tail))));
        want /= p->parts;
    }
    /* Every chunk of rows fetches B again, every chunk of columns A: the chunks are about as many
     * rows high as columns wide, and fewer where both sides are cut. */
    const int64_t fewest_rows = transposes ? TRANSPOSE_ROWS
                                : g->transpose_a
                                    ? kata__maximum(lanes, kata__minimum(TERM_ROWS, g->m / 2))
                                    : p->table->rows;
    const int64_t most_rows = kata__maximum(1, g->m / fewest_rows);
    const int64_t most_columns = kata__maximum(1, p->n_vectors / FEWEST_VECTORS);
    double high = sqrt((double)want * (double)g->m / (double)g->n);
    if (high >= 1.5 && (double)want / high >= 1.5) {
        const int64_t side = (int64_t)(SQUARE_CHUNKS * cbrt(flops / SQUARE_FLOPS) + 0.5);
        want = kata__maximum(SQUARE_CHUNKS, side);
        high = sqrt((double)want * (double)g->m / (double)g->n);
    }
    p->row_chunks = even(
        kata__minimum(kata__minimum(most_rows, want), kata__maximum(1, (int64_t)(high + 0.5))));
    p->column_chunks = even(kata__minimum(most_columns, kata__maximum(1, want / p->row_chunks)));
    p->row_chunks = even(kata__maximum(1, kata__minimum(most_rows, want / p->column_chunks)));
    if (g->take && p->parts == 1) {
        const int64_t parts = ceil_div(g->m * g->n * (int64_t)p->size, TAKEN_BYTES);
        p->row_chunks =
            kata__maximum(p->row_chunks, even(kata__minimum(most_rows, parts / p->column_chunks)));
    }
}

/* What a worker needs of the workspace. */
static void measure(struct plan *p, bool transposes) {
    const kata__gemm *g = &p->g;
    const int64_t lanes = p->table->lanes, terms = kata__minimum(g->k, p->table->k_block);
    p->space_bytes = p->way == PIECES ? lines(piece_space(p) * p->size) : 0;
    if (p->pack) {
        const int64_t vectors = ceil_div(p->n_vectors, p->column_chunks) + 2;
        const int64_t numbers = terms * kata__minimum(vectors, p->table->block_vectors + 2) * lanes;
        p->scratch_bytes = lines((size_t)numbers * p->size);
    }
    if (transposes) {
        p->transposed_bytes = lines((size_t)((terms + lanes) * p->tail) * p->size);
    }
    p->taken_bytes = g->take ? lines((size_t)most_taken(p) * p->size) : 0;
}

static struct plan make_plan(const kata_context *context, kata_dtype dtype,
                             const kata__gemm *gemm) {
    struct plan p = {.table = kata__kernels(context)->gemm[kata__kernel_type(dtype)],
                     .g = *gemm,
                     .size = kata_dtype_size(dtype),
                     .parts = 1,
                     .row_chunks = 1,
                     .column_chunks = 1,
                     .items = 1};
    kata__gemm *g = &p.g;
    g->batch = kata__maximum(g->batch, 1);
    if (g->alpha == 0) {
        g->k = 0;
    }
    if (g->m <= 0 || g->n <= 0) {
        return p;
    }
    turn_column_product(g);
    const bool b_rows = g->transpose_b || (g->n == 1 && g->ldb == 1);
    const bool a_rows = !g->transpose_a || (g->m == 1 && g->lda == 1);
    p.way = a_rows && b_rows && kata__minimum(g->m, g->n) <= 4 ? DOT
            : g->m <= 2 && !g->transpose_b                     ? ROWS
                                                               : PIECES;
    p.swap = p.way == DOT && g->n < g->m;

    const int64_t lanes = p.table->lanes, tail = g->n % lanes;
    if (p.way == PIECES && tail * 4 <= lanes && g->n > tail && g->k >= TAIL_TERMS &&
        g->m >= lanes) {
        p.tail = tail;
        g->n -= tail;
    }
    p.n_vectors = ceil_div(g->n, lanes);
    const bool transposes = p.tail > 0 && !g->transpose_a && !g->transpose_b;

    const double flops = 2.0 * (double)g->m * (double)g->n * (double)kata__maximum(g->k, 1);
    const double all = flops * (double)g->batch;
    const double chunks = all / CHUNK_FLOPS < FEW_CHUNKS ? all / CHUNK_FLOPS : FEW_CHUNKS;
    int64_t want = even((int64_t)(chunks / (double)g->batch + 0.5)); /* chunks of one product */
    if (want <= 1 && g->batch == 1 && p.way == PIECES && all >= PAIR_FLOPS) {
        want = 2;
    }
    if (p.swap) { /* the long side of C is m */
        p.row_chunks = kata__maximum(1, kata__minimum(g->m, want));
    } else if (p.way == DOT) {
        p.column_chunks = kata__maximum(1, kata__minimum(p.n_vectors, want));
    } else if (want > 1) {
        cut_pieces(&p, want, flops, transposes);
    }
    if (p.row_chunks * p.column_chunks == 1) {
        p.items = kata__minimum(g->batch, kata__maximum(1, (int64_t)((double)g->batch / chunks)));
    }
    p.item_chunks = ceil_div(g->batch, p.items);
    const int64_t rows = g->m / p.row_chunks;
    const bool crowded = g->ldb * (int64_t)p.size % CROWDED_BYTES == 0;
    const bool crosses = g->ldb % lanes != 0; /* lines, with most of B's vectors */
    p.pack = p.way == PIECES && g->k > 0 &&
             (g->transpose_b || rows >= (crosses ? CROSS_ROWS : PACK_ROWS) ||
              (crowded && rows > 2 * p.table->rows));
    p.n_threads = kata_context_threads(context);
    const bool adds = p.parts > 1 && !g->take && g->alpha == 1 && g->beta == 0 &&
                      g->k / p.parts + 2 * lanes <= p.table->k_block;
    p.crosses = adds && p.n_threads > 1 && p.parts == 2 && p.row_chunks * p.column_chunks == 1 &&
                !p.pack && g->m >= 4 * lanes;
    p.row_chunks = p.crosses ? 2 : p.row_chunks;
    p.in_place = p.crosses || (adds && p.n_threads == 1);
    measure(&p, transposes);
    return p;
}

/* Of a worker: space, scratch, transposed and what is taken, each from a cache line on; shared:
 * parts.
 */
kata__workspace_size kata__gemm_workspace(kata_context *context, kata_dtype dtype,
                                          const kata__gemm *gemm) {
    const struct plan p = make_plan(context, dtype, gemm);
    const size_t parts =
        p.parts > 1 && !p.in_place ? (size_t)(p.parts * p.g.m * (p.g.n + p.tail)) * p.size : 0;
    return (kata__workspace_size){.shared = parts,
                                  .per_thread = p.space_bytes + p.scratch_bytes +
                                                p.transposed_bytes + p.taken_bytes};
}

bool kata__gemm_adds(kata_context *context, kata_dtype dtype, const kata__gemm *gemm) {
    const struct plan p = make_plan(context, dtype, gemm);
    return p.way == PIECES && p.parts == 1 && p.g.k <= p.table->k_block;
}

struct job {
    kata_context *context;
    const struct plan *plan;
    int64_t n_chunks;
    int64_t turn; /* crosses: the first or the second */
    const kata__workspace *workspace;
    char *parts;
};

static const void *at(const struct plan *p, const void *base, int64_t index) {
    return base ? (const char *)base + index * (int64_t)p->size : NULL;
}

/* The first column of chunk `chunk`: whole pairs of vectors, but for the end. */
static int64_t chunk_column(const struct plan *p, int64_t chunk) {
    return p->way == DOT ? p->g.n * chunk / p->column_chunks
           : chunk == p->column_chunks
               ? p->g.n
               : p->n_vectors * chunk / p->column_chunks / 2 * 2 * p->table->lanes;
}

/* The first row of chunk `chunk`: whole vectors of A if it is transposed. */
static int64_t chunk_row(const struct plan *p, int64_t chunk) {
    const int64_t m = p->g.m, lanes = p->table->lanes;
    return p->way == PIECES && p->g.transpose_a && chunk < p->row_chunks
               ? m / lanes * chunk / p->row_chunks * lanes
               : m * chunk / p->row_chunks;
}

/* The first term of part `part`: whole vectors, but for the end. */
static int64_t part_term(const struct plan *p, int64_t part) {
    const int64_t k = p->g.k * part / p->parts;
    return part < p->parts ? k / p->table->lanes * p->table->lanes : k;
}

static void *place_in_c(const struct plan *p, int64_t item, int64_t i, int64_t j) {
    const kata__gemm *g = &p->g;
    return g->take ? NULL : (char *)g->c + (item * g->stride_c + i * g->ldc + j) * (int64_t)p->size;
}

/* A worker's own place for the part of C that it gives away. */
static char *taken_of(const struct job *job, int worker) {
    const struct plan *p = job->plan;
    return (char *)kata__per_thread(job->workspace, worker) + p->space_bytes + p->scratch_bytes +
           p->transposed_bytes;
}

/* Gives away rows [i0, i1) from column j on, `n` of them. */
static void give(const struct job *job, int worker, int64_t i0, int64_t i1, int64_t j, int64_t n) {
    const kata__gemm *g = &job->plan->g;
    const int64_t step = g->n + job->plan->tail;
    g->take(g->taker, i0 * step + j, step, i1 - i0, n, taken_of(job, worker));
}

static void dot_chunk(const struct job *job, int worker, int64_t item, int64_t i0, int64_t i1,
                      int64_t j0, int64_t j1) {
    const struct plan *p = job->plan;
    const kata__gemm *g = &p->g;
    kata__gemm_dot dot = {
        .m = i1 - i0,
        .n = j1 - j0,
        .k = g->k,
        .a = at(p, g->a, item * g->stride_a + i0 * g->lda),
        .lda = g->lda,
        .b = at(p, g->b, item * g->stride_b + j0 * g->ldb),
        .ldb = g->ldb,
        .c = place_in_c(p, item, i0, j0),
        .c_row = g->ldc,
        .c_column = 1,
        .alpha = g->alpha,
        .beta = g->beta,
        .bias_column = at(p, g->bias_column, j0),
        .bias_row = at(p, g->bias_row, i0),
        .relu = g->relu,
        .mask = at(p, g->mask, item * g->stride_c + i0 * g->ldc + j0),
    };
    if (g->take) {
        dot.c = taken_of(job, worker);
        dot.c_row = j1 - j0;
    }
    if (p->swap) {
        kata__gemm_dot t = dot;
        dot.m = t.n;
        dot.n = t.m;
        dot.a = t.b;
        dot.lda = t.ldb;
        dot.b = t.a;
        dot.ldb = t.lda;
        dot.c_row = t.c_column;
        dot.c_column = t.c_row;
        dot.bias_column = t.bias_row;
        dot.bias_row = t.bias_column;
    }
    p->table->dot(&dot);
    if (g->take) {
        give(job, worker, i0, i1, j0, j1 - j0);
    }
}

/* What a chunk reads, from its first number on. */
struct after {
    const void *a, *b;
};

static void piece_chunk(const struct job *job, int worker, int64_t item, int64_t part, int64_t i0,
                        int64_t i1, int64_t j0, int64_t j1, const struct after *after) {
    const struct plan *p = job->plan;
    const kata__gemm *g = &p->g;
    const int64_t k0 = part_term(p, part), k1 = part_term(p, part + 1);
    char *const own = kata__per_thread(job->workspace, worker);
    kata__gemm_piece piece = {
        .m = i1 - i0,
        .n = j1 - j0,
        .k = k1 - k0,
        .transpose_a = g->transpose_a,
        .transpose_b = g->transpose_b,
        .a = at(p, g->a,
                item * g->stride_a + (g->transpose_a ? k0 * g->lda + i0 : i0 * g->lda + k0)),
        .lda = g->lda,
        .b = at(p, g->b,
                item * g->stride_b + (g->transpose_b ? j0 * g->ldb + k0 : k0 * g->ldb + j0)),
        .ldb = g->ldb,
        .b_rows = g->k - k0,
        .space = own,
        .scratch = p->pack ? own + p->space_bytes : NULL,
        .transposed = own + p->space_bytes + p->scratch_bytes,
        .far_a = g->m * g->k * (int64_t)p->size > FAR_BYTES,
        .far_b = !p->pack && (k1 - k0) * (j1 - j0) * (int64_t)p->size > FAR_BYTES,
        .not_finite = g->not_finite,
        .after_a = after->a,
        .after_b = after->b,
    };
    if (p->parts > 1 && !p->in_place) {
        const int64_t n = g->n + p->tail;
        piece.alpha = 1;
        piece.c = job->parts + (size_t)((part * g->m + i0) * n + j0) * p->size;
        piece.ldc = n;
    } else {
        piece.alpha = g->alpha;
        const int64_t before = p->crosses ? job->turn : part; /* parts that C has */
        piece.beta = before == 0 ? g->beta : 1;
        if (before == p->parts - 1) {
            piece.bias_column = at(p, g->bias_column, j0);
            piece.bias_row = at(p, g->bias_row, i0);
            piece.relu = g->relu;
            piece.mask = at(p, g->mask, item * g->stride_c + i0 * g->ldc + j0);
        }
        piece.c = place_in_c(p, item, i0, j0);
        piece.ldc = g->ldc;
    }
    piece.tail = p->way == PIECES && j1 == g->n ? p->tail : 0;
    const bool gives = g->take && p->parts == 1;
    if (gives) {
        piece.c = taken_of(job, worker);
        piece.ldc = piece.n + piece.tail;
    }
    if (p->way == ROWS) {
        p->table->rows_piece(&piece);
    } else {
        p->table->piece(&piece);
    }
    if (gives) {
        give(job, worker, i0, i1, j0, piece.ldc);
    }
}

/* Where a chunk lies. Chunks run through the rows first, so that neighbours use the same columns.
 */
struct place {
    int64_t i0, i1, j0, j1, part, item;
};

static struct place place_of(const struct job *job, int64_t chunk) {
    const struct plan *p = job->plan;
    if (p->crosses) {
        const int64_t half = (chunk + job->turn) % 2;
        return (struct place){chunk_row(p, half), chunk_row(p, half + 1), 0, p->g.n, chunk, 0};
    }
    const int64_t row = chunk % p->row_chunks, rest = chunk / p->row_chunks;
    const int64_t column = rest % p->column_chunks, rest2 = rest / p->column_chunks;
    return (struct place){chunk_row(p, row),       chunk_row(p, row + 1),
                          chunk_column(p, column), chunk_column(p, column + 1),
                          rest2 % p->parts,        rest2 / p->parts * p->items};
}

/* The operands of a chunk. */
static struct after operands_of(const struct plan *p, const struct place *at_chunk) {
    const kata__gemm *g = &p->g;
    const int64_t i = at_chunk->i0, j = at_chunk->j0, k = part_term(p, at_chunk->part);
    return (struct after){
        at(p, g->a,
           at_chunk->item * g->stride_a + (g->transpose_a ? k * g->lda + i : i * g->lda + k)),
        at(p, g->b,
           at_chunk->item * g->stride_b + (g->transpose_b ? j * g->ldb + k : k * g->ldb + j))};
}

static void run_chunk(void *argument, int64_t chunk, int worker) {
    const struct job *job = argument;
    const struct plan *p = job->plan;
    const struct place c = place_of(job, chunk);
    /* What the next chunk of this worker reads is fetched. What another worker's reads is not: it
     * has that in its own cache, maybe to write it soon. */
    struct after after = {0};
    if (p->way == PIECES && kata__parallel_follows(job->context, job->n_chunks, chunk)) {
        const struct place next = place_of(job, chunk + 1);
        const struct after now = operands_of(p, &c);
        after = operands_of(p, &next);
        after.a = after.a == now.a ? NULL : after.a;
        after.b = after.b == now.b ? NULL : after.b;
    }
    const int64_t last = kata__minimum(c.item + p->items, p->g.batch);
    for (int64_t item = c.item; item < last; item++) {
        if (p->way == DOT) {
            dot_chunk(job, worker, item, c.i0, c.i1, c.j0, c.j1);
        } else {
            piece_chunk(job, worker, item, c.part, c.i0, c.i1, c.j0, c.j1, &after);
        }
    }
}

static void parts_chunk(void *argument, int64_t chunk, int worker) {
    const struct job *job = argument;
    const struct plan *p = job->plan;
    const kata__gemm *g = &p->g;
    const int64_t n = g->n + p->tail;
    kata__gemm_piece piece = {
        .m = g->m,
        .n = n,
        .c = g->c,
        .ldc = g->ldc,
        .alpha = g->alpha,
        .beta = g->beta,
        .bias_column = g->bias_column,
        .bias_row = g->bias_row,
        .relu = g->relu,
        .mask = g->mask,
    };
    const int64_t chunks = kata__minimum(g->m, p->parts);
    const int64_t first = g->m * chunk / chunks, last = g->m * (chunk + 1) / chunks;
    if (!g->take) {
        p->table->sum_parts(&piece, job->parts, p->parts, g->m * n, first, last);
        return;
    }
    piece.c = taken_of(job, worker);
    piece.ldc = n;
    p->table->sum_parts(&piece, at(p, job->parts, first * n), p->parts, g->m * n, 0, last - first);
    give(job, worker, first, last, 0, n);
}

void kata__gemm_run(kata_context *context, kata_dtype dtype, const kata__gemm *gemm,
                    const kata__workspace *workspace) {
    const struct plan p = make_plan(context, dtype, gemm);
    if (p.g.m <= 0 || p.g.n <= 0) {
        return;
    }
    struct job job = {
        .context = context, .plan = &p, .workspace = workspace, .parts = workspace->shared};
    const bool sums = p.parts > 1 && !p.in_place;
    job.n_chunks = p.crosses ? 2 : p.item_chunks * p.parts * p.row_chunks * p.column_chunks;
    for (job.turn = 0; job.turn < (p.crosses ? 2 : 1); job.turn++) {
        kata__parallel(context, job.n_chunks, run_chunk, &job);
    }
    if (sums) {
        kata__parallel(context, kata__minimum(p.g.m, p.parts), parts_chunk, &job);
    }
}
