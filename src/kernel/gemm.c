/* Matrix product: which way a product is computed, how it is cut into chunks, and its workspace.
 *
 * Three ways:
 *   DOT     few rows against rows, both contiguous in k: dot products along k;
 *   DIRECT  few rows, or not many and B's rows short: B (not transposed) is read where it is;
 *   PACKED  everything else: B is packed once into panels, then each chunk of C runs over them.
 * A product with few elements and many terms is cut in k as well: the parts go to places of their
 * own and are added in order. The way and the chunks are functions of the sizes and the instruction
 * set alone. */
#include "kernel/gemm.h"
#include "base/parallel.h"
#include "kernel/table.h"

#include <string.h>

/* A chunk should last some microseconds, and there should be enough of them for many threads. */
enum {
    CHUNK_FLOPS = 500000,
    MOST_CHUNKS = 64,
    PACK_CHUNK = 16384, /* numbers packed by a chunk */
    FEW_CHUNKS = 16,
    PANELS_BYTES = 512 << 10, /* of B that a chunk runs over: stays in the second-level cache */
    FETCH_BYTES = 256 << 10,  /* more than this is slow to fetch for every chunk again ... */
    REUSE_ROWS = 64,    /* ... unless each chunk has so many rows (or columns) to use it for */
    FEWEST_TERMS = 384, /* of a part */
    DENSE_ROWS = 256,   /* up to so many rows, B with rows of at most so many bytes is not packed */
    DENSE_BYTES = 512,
    TAIL_TERMS = 48,        /* fewer are not worth a way of their own for the last columns */
    PARTS_NUMBERS = 1 << 20 /* the most numbers that partial sums may take */
};

enum way { DOT, DIRECT, PACKED };

struct plan {
    const kata__gemm_table *table;
    enum way way;
    kata__gemm g;    /* batch at least 1; k is 0 if alpha is */
    size_t size;     /* of a number */
    bool swap;       /* DOT: C^T = op(B)^T op(A)^T, because n < m */
    int64_t columns; /* of a chunk: a multiple of the panel */
    int64_t row_chunks, column_chunks, parts, items, item_chunks; /* items: of the batch, a chunk */
    int64_t panels;
    int64_t packed_numbers; /* of one B */
    int64_t packed_items;   /* 1 if the batch shares B */
    /* The last columns, if they would leave most of a vector empty, are not among g.n: they are
     * computed with vectors along k, or along m where A is transposed. */
    int64_t tail;
    int64_t tail_numbers; /* of workspace, for one product: B's columns as rows, or C's */
};

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b) {
    return a > b ? a : b;
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
    const int64_t rows = p.table->rows, panel = p.table->columns, k_block = p.table->k_block;
    g->batch = most(g->batch, 1);
    if (g->alpha == 0) {
        g->k = 0;
    }
    if (g->m <= 0 || g->n <= 0) {
        return p;
    }
    turn_column_product(g);
    const bool b_rows = g->transpose_b || (g->n == 1 && g->ldb == 1);
    const bool a_rows = !g->transpose_a || (g->m == 1 && g->lda == 1);
    if (a_rows && b_rows && least(g->m, g->n) <= 4) {
        p.way = DOT;
        p.swap = g->n < g->m;
    } else if (!g->transpose_b && (g->m <= 2 * rows || (g->m <= DENSE_ROWS &&
                                                        g->ldb * (int64_t)p.size <= DENSE_BYTES))) {
        p.way = DIRECT;
    } else {
        p.way = PACKED;
    }

    const int64_t tail = g->n % p.table->lanes;
    if (p.way != DOT && tail * 4 <= p.table->lanes && g->n > tail && g->k >= TAIL_TERMS &&
        g->m >= p.table->lanes) {
        p.tail = tail;
        g->n -= tail;
        p.tail_numbers = g->transpose_a ? tail * g->m : g->transpose_b ? 0 : tail * g->k;
    }

    const double flops = 2.0 * (double)g->m * (double)g->n * (double)most(g->k, 1);
    const double chunk = flops * (double)g->batch / MOST_CHUNKS > CHUNK_FLOPS
                             ? flops * (double)g->batch / MOST_CHUNKS
                             : CHUNK_FLOPS;
    p.panels = ceil_div(g->n, panel);
    const int64_t row_tiles = ceil_div(g->m, rows);
    if (p.way == DOT && p.swap) { /* the long side of C is m */
        p.row_chunks = most(1, least(g->m, (int64_t)(flops / chunk + 0.5)));
        p.columns = g->n;
    } else if (flops < 1.5 * chunk) {
        p.columns = p.panels * panel;
    } else {
        /* Terms first: if both operands are large beside C, parts of k fetch each number once. Then
         * columns: as many as the second-level cache holds of a block of B. Then rows to fit the
         * chunk, but enough to use again what was fetched of B if that is much; in the end, if all
         * the rows are too many, fewer columns. */
        const int64_t size = (int64_t)p.size, block = least(g->k, k_block);
        const int64_t want = least((int64_t)(flops / chunk + 0.5), FEW_CHUNKS);
        if (p.way != DOT && g->batch == 1 && g->k >= 2 * FEWEST_TERMS &&
            (g->m + g->n) * g->k * size > 2 * FETCH_BYTES &&
            g->m * g->n * 8 < (g->m + g->n) * g->k) {
            p.parts = least(want, g->k / FEWEST_TERMS);
            p.parts = most(1, least(p.parts, PARTS_NUMBERS / (g->m * g->n)));
        }
        const int64_t terms = ceil_div(g->k, p.parts);
        const int64_t most_panels = most(PANELS_BYTES / size / block / panel, 4);
        int64_t panels = ceil_div(p.panels, ceil_div(p.panels, most_panels));
        const double panel_flops = 2.0 * (double)panel * (double)terms;
        const double tile_flops = panel_flops * (double)panels * (double)g->m / (double)row_tiles;
        int64_t tiles = most(1, (int64_t)(chunk / tile_flops + 0.5));
        if (terms * panels * panel * size > FETCH_BYTES) {
            tiles = most(tiles, ceil_div(REUSE_ROWS, rows));
        }
        tiles = least(tiles, row_tiles);
        p.row_chunks = ceil_div(row_tiles, tiles);
        if (p.parts * p.row_chunks * ceil_div(p.panels, panels) < want) {
            const int64_t fewest =
                g->m * terms * size > FETCH_BYTES ? ceil_div(REUSE_ROWS, panel) : 1;
            const double chunk_panels =
                chunk / (panel_flops * (double)g->m / (double)p.row_chunks) + 0.5;
            panels = least(panels, most(fewest, (int64_t)chunk_panels));
        }
        p.columns = panels * panel;
        p.column_chunks = ceil_div(p.panels, panels);
    }
    if (p.row_chunks * p.column_chunks == 1) {
        p.items = least(g->batch, most(1, (int64_t)(chunk / flops)));
    }
    p.item_chunks = ceil_div(g->batch, p.items);
    if (p.way == PACKED) {
        p.packed_numbers = p.panels * panel * g->k;
        p.packed_items = g->stride_b == 0 ? 1 : g->batch;
    }
    return p;
}

/* The workspace: packed B, what the last columns need, parts; each begins on a cache line. */
static size_t packed_bytes(const struct plan *p) {
    return ((size_t)(p->packed_items * p->packed_numbers) * p->size + 63) / 64 * 64;
}

static size_t tail_bytes(const struct plan *p) {
    return ((size_t)(p->g.batch * p->tail_numbers) * p->size + 63) / 64 * 64;
}

size_t kata__gemm_workspace(kata_context *context, kata_dtype dtype, const kata__gemm *gemm) {
    const struct plan p = make_plan(context, dtype, gemm);
    const size_t parts = p.parts > 1 ? (size_t)(p.parts * p.g.m * p.g.n) * p.size : 0;
    return packed_bytes(&p) + tail_bytes(&p) + parts;
}

struct job {
    const struct plan *plan;
    char *packed, *tails, *parts;
    int64_t pack_panels, pack_chunks; /* of one B */
};

static const void *at(const struct plan *p, const void *base, int64_t index) {
    return base ? (const char *)base + index * (int64_t)p->size : NULL;
}

static void pack_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const struct job *job = argument;
    const struct plan *p = job->plan;
    const int64_t item = chunk / job->pack_chunks, part = chunk % job->pack_chunks;
    const int64_t first = part * job->pack_panels;
    p->table->pack_b(at(p, p->g.b, item * p->g.stride_b), p->g.ldb, p->g.transpose_b, p->g.k,
                     p->g.n, first, least(first + job->pack_panels, p->panels),
                     job->packed + (size_t)(item * p->packed_numbers) * p->size);
}

static void dot_chunk(const struct plan *p, int64_t item, int64_t i0, int64_t i1, int64_t j0,
                      int64_t j1) {
    const kata__gemm *g = &p->g;
    kata__gemm_dot dot = {
        .m = i1 - i0,
        .n = j1 - j0,
        .k = g->k,
        .a = at(p, g->a, item * g->stride_a + i0 * g->lda),
        .lda = g->lda,
        .b = at(p, g->b, item * g->stride_b + j0 * g->ldb),
        .ldb = g->ldb,
        .c = (char *)g->c + (item * g->stride_c + i0 * g->ldc + j0) * (int64_t)p->size,
        .c_row = g->ldc,
        .c_column = 1,
        .alpha = g->alpha,
        .beta = g->beta,
        .bias_column = at(p, g->bias_column, j0),
        .bias_row = at(p, g->bias_row, i0),
        .relu = g->relu,
    };
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
}

static void piece_chunk(const struct job *job, int64_t item, int64_t part, int64_t i0, int64_t i1,
                        int64_t j0, int64_t j1) {
    const struct plan *p = job->plan;
    const kata__gemm *g = &p->g;
    const int64_t k0 = g->k * part / p->parts, k1 = g->k * (part + 1) / p->parts;
    kata__gemm_piece piece = {
        .m = i1 - i0,
        .n = j1 - j0,
        .k = k1 - k0,
        .transpose_a = g->transpose_a,
        .a = at(p, g->a,
                item * g->stride_a + (g->transpose_a ? k0 * g->lda + i0 : i0 * g->lda + k0)),
        .lda = g->lda,
    };
    if (p->way == PACKED) {
        const int64_t panel = p->table->columns;
        piece.packed_b = true;
        piece.panel_step = panel * g->k;
        piece.b = at(p, job->packed,
                     (p->packed_items > 1 ? item * p->packed_numbers : 0) + j0 * g->k + k0 * panel);
    } else {
        piece.b = at(p, g->b, item * g->stride_b + k0 * g->ldb + j0);
        piece.ldb = g->ldb;
    }
    if (p->parts > 1) {
        piece.alpha = 1;
        piece.c = job->parts + (size_t)((part * g->m + i0) * g->n + j0) * p->size;
        piece.ldc = g->n;
    } else {
        piece.alpha = g->alpha;
        piece.beta = g->beta;
        piece.bias_column = at(p, g->bias_column, j0);
        piece.bias_row = at(p, g->bias_row, i0);
        piece.relu = g->relu;
        piece.c = (char *)g->c + (item * g->stride_c + i0 * g->ldc + j0) * (int64_t)p->size;
        piece.ldc = g->ldc;
    }
    p->table->piece(&piece);
}

/* B's last columns as rows. */
static void turn_tail(const struct job *job) {
    const struct plan *p = job->plan;
    const kata__gemm *g = &p->g;
    for (int64_t item = 0; item < (g->stride_b == 0 ? 1 : g->batch); item++) {
        char *to = job->tails + (size_t)(item * p->tail_numbers) * p->size;
        for (int64_t j = 0; j < p->tail; j++) {
            const char *from = at(p, g->b, item * g->stride_b + g->n + j);
            for (int64_t k = 0; k < g->k; k++, to += p->size) {
                memcpy(to, from + (size_t)(k * g->ldb) * p->size, p->size);
            }
        }
    }
}

/* The last columns of rows [i0, i1): C^T = B^T A^T, so that vectors go along the long side. */
static void tail_chunk(const struct job *job, int64_t item, int64_t i0, int64_t i1) {
    const struct plan *p = job->plan;
    const kata__gemm *g = &p->g;
    const int64_t b_row = g->transpose_b ? g->n * g->ldb : g->n;
    kata__gemm_dot dot = {
        .k = g->k,
        .c = (char *)g->c + (item * g->stride_c + i0 * g->ldc + g->n) * (int64_t)p->size,
        .alpha = g->alpha,
        .beta = g->beta,
        .relu = g->relu,
    };
    if (g->transpose_a) {
        char *product = job->tails + (size_t)(item * p->tail_numbers + i0) * p->size;
        const kata__gemm_piece piece = {
            .m = p->tail,
            .n = i1 - i0,
            .k = g->k,
            .transpose_a = !g->transpose_b,
            .a = at(p, g->b, item * g->stride_b + b_row),
            .lda = g->ldb,
            .b = at(p, g->a, item * g->stride_a + i0),
            .ldb = g->lda,
            .c = product,
            .ldc = g->m,
            .alpha = 1,
        };
        p->table->piece(&piece);
        dot.m = i1 - i0;
        dot.n = p->tail;
        dot.c_row = g->ldc;
        dot.c_column = 1;
        dot.bias_row = at(p, g->bias_row, i0);
        dot.bias_column = at(p, g->bias_column, g->n);
        p->table->store_turned(&dot, product, g->m);
        return;
    }
    dot.m = p->tail;
    dot.n = i1 - i0;
    if (g->transpose_b) {
        dot.a = at(p, g->b, item * g->stride_b + b_row);
        dot.lda = g->ldb;
    } else {
        dot.a = at(p, job->tails, g->stride_b == 0 ? 0 : item * p->tail_numbers);
        dot.lda = g->k;
    }
    dot.b = at(p, g->a, item * g->stride_a + i0 * g->lda);
    dot.ldb = g->lda;
    dot.c_row = 1;
    dot.c_column = g->ldc;
    dot.bias_row = at(p, g->bias_column, g->n);
    dot.bias_column = at(p, g->bias_row, i0);
    p->table->dot(&dot);
}

/* Chunks run through the rows first, so that neighbours use the same panels of B. */
static void run_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const struct job *job = argument;
    const struct plan *p = job->plan;
    const kata__gemm *g = &p->g;
    const int64_t row = chunk % p->row_chunks, rest = chunk / p->row_chunks;
    const int64_t column = rest % p->column_chunks, rest2 = rest / p->column_chunks;
    const int64_t part = rest2 % p->parts, item_chunk = rest2 / p->parts;
    const int64_t i0 = g->m * row / p->row_chunks, i1 = g->m * (row + 1) / p->row_chunks;
    const int64_t j0 = column * p->columns, j1 = least(j0 + p->columns, g->n);
    const int64_t last = least((item_chunk + 1) * p->items, g->batch);
    for (int64_t item = item_chunk * p->items; item < last; item++) {
        if (p->way == DOT) {
            dot_chunk(p, item, i0, i1, j0, j1);
        } else {
            piece_chunk(job, item, part, i0, i1, j0, j1);
            if (p->tail > 0 && part == 0 && column == 0) {
                tail_chunk(job, item, i0, i1);
            }
        }
    }
}

static void parts_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const struct job *job = argument;
    const struct plan *p = job->plan;
    const kata__gemm *g = &p->g;
    const kata__gemm_piece piece = {
        .m = g->m,
        .n = g->n,
        .c = g->c,
        .ldc = g->ldc,
        .alpha = g->alpha,
        .beta = g->beta,
        .bias_column = g->bias_column,
        .bias_row = g->bias_row,
        .relu = g->relu,
    };
    const int64_t chunks = least(g->m, p->parts);
    p->table->sum_parts(&piece, job->parts, p->parts, g->m * g->n, g->m * chunk / chunks,
                        g->m * (chunk + 1) / chunks);
}

void kata__gemm_run(kata_context *context, kata_dtype dtype, const kata__gemm *gemm,
                    void *workspace) {
    const struct plan p = make_plan(context, dtype, gemm);
    if (p.g.m <= 0 || p.g.n <= 0) {
        return;
    }
    struct job job = {.plan = &p, .packed = workspace, .pack_panels = p.panels, .pack_chunks = 1};
    job.tails = (char *)workspace + packed_bytes(&p);
    if (p.way == PACKED && p.g.k > 0) {
        job.pack_panels = most(1, PACK_CHUNK / (p.table->columns * p.g.k));
        job.pack_chunks = ceil_div(p.panels, job.pack_panels);
        kata__parallel(context, p.packed_items * job.pack_chunks, pack_chunk, &job);
    }
    if (p.tail > 0 && !p.g.transpose_a && !p.g.transpose_b) {
        turn_tail(&job);
    }
    if (p.parts > 1) {
        job.parts = job.tails + tail_bytes(&p);
    }
    kata__parallel(context, p.item_chunks * p.parts * p.row_chunks * p.column_chunks, run_chunk,
                   &job);
    if (p.parts > 1) {
        kata__parallel(context, least(p.g.m, p.parts), parts_chunk, &job);
    }
}
