/* The drivers of bfloat16 conversion and products; the loops are body/bfloat16.h. */
#include "kernel/bfloat16.h"

#include <string.h>

#include "base/context.h"
#include "base/number.h"
#include "kernel/chunks.h"
#include "kernel/table_bfloat16.h"

enum { BLOCK = KATA__BFLOAT16_BLOCK };

static int64_t round_up(int64_t n, int64_t unit) {
    return (n + unit - 1) / unit * unit;
}

/* ---- conversion ---- */

typedef struct conversion {
    const kata__bfloat16_table *table;
    int64_t n;
    const void *x;
    void *y;
} conversion;

static void from_float_chunk(void *argument, int64_t chunk, int worker) {
    const conversion *c = argument;
    int64_t start, n = kata__chunk_of(chunk, c->n, KATA__CHUNK, &start);
    (void)worker;
    c->table->from_float(n, (const float *)c->x + start, (uint16_t *)c->y + start);
}

static void to_float_chunk(void *argument, int64_t chunk, int worker) {
    const conversion *c = argument;
    int64_t start, n = kata__chunk_of(chunk, c->n, KATA__CHUNK, &start);
    (void)worker;
    c->table->to_float(n, (const uint16_t *)c->x + start, (float *)c->y + start);
}

void kata__bfloat16_from_float(kata_context *context, int64_t n, const float *x, uint16_t *y) {
    conversion c = {kata__bfloat16_kernels(context), n, x, y};
    kata__run_chunks(context, kata__chunk_count(n, KATA__CHUNK), from_float_chunk, &c);
}

void kata__bfloat16_to_float(kata_context *context, int64_t n, const uint16_t *x, float *y) {
    conversion c = {kata__bfloat16_kernels(context), n, x, y};
    kata__run_chunks(context, kata__chunk_count(n, KATA__CHUNK), to_float_chunk, &c);
}

/* ---- packing ---- */

int64_t kata__bfloat16_packed(int64_t k, int64_t n) {
    return round_up(k, 2) * round_up(n, BLOCK);
}

typedef struct packing {
    const kata__bfloat16_table *table;
    int64_t k, n;
    bool transposed;
    kata_dtype dtype;
    const void *b;
    int64_t ldb;
    uint16_t *packed;
    uint16_t *rounded; /* for each worker, (16,k): rows of floats rounded */
} packing;

/* A chunk is a block of 16 columns. */
static void pack_chunk(void *argument, int64_t chunk, int worker) {
    const packing *p = argument;
    const int64_t j = chunk * BLOCK, n = kata__minimum(p->n - j, BLOCK),
                  block = round_up(p->k, 2) * BLOCK;
    uint16_t *to = p->packed + chunk * block;
    if (!p->transposed) {
        if (p->dtype == KATA_F32) {
            p->table->pair_float(p->k, n, (const float *)p->b + j, p->ldb, to, block);
        } else {
            p->table->pair(p->k, n, (const uint16_t *)p->b + j, p->ldb, to, block);
        }
        return;
    }
    if (p->dtype == KATA_BF16) {
        p->table->pair_transposed(n, p->k, (const uint16_t *)p->b + j * p->ldb, p->ldb, to);
        return;
    }
    uint16_t *rounded = p->rounded + worker * BLOCK * round_up(p->k, 32);
    for (int64_t i = 0; i < n; i++) {
        p->table->from_float(p->k, (const float *)p->b + (j + i) * p->ldb, rounded + i * p->k);
    }
    p->table->pair_transposed(n, p->k, rounded, p->k, to);
}

size_t kata__bfloat16_pack_workspace(kata_context *context, int64_t k, int64_t n, bool transposed) {
    (void)n;
    return transposed ? (size_t)(context->threads * BLOCK * round_up(k, 32)) * sizeof(uint16_t) : 0;
}

void kata__bfloat16_pack(kata_context *context, int64_t k, int64_t n, bool transposed,
                         kata_dtype dtype, const void *b, int64_t ldb, uint16_t *packed,
                         void *workspace) {
    packing p = {
        kata__bfloat16_kernels(context), k, n, transposed, dtype, b, ldb, packed, workspace};
    kata__run_chunks(context, kata__chunk_count(n, BLOCK), pack_chunk, &p);
}

/* ---- the product ---- */

/* A chunk is CHUNK_ROWS rows by CHUNK_BLOCKS blocks of columns; few rows are cut finer in columns,
 * so that there is something to hand out. */
enum { CHUNK_ROWS = 64, CHUNK_BLOCKS = 8 };

typedef struct run_gemm {
    const kata__bfloat16_table *table;
    const kata__bfloat16_gemm *g;
    int64_t column_chunks;
    const uint16_t *a;
    int64_t lda;
    float *sums; /* for each worker, (CHUNK_ROWS, 16 CHUNK_BLOCKS) */
} run_gemm;

static void gemm_chunk(void *argument, int64_t chunk, int worker) {
    const run_gemm *r = argument;
    const kata__bfloat16_gemm *g = r->g;
    const int64_t i = chunk / r->column_chunks * CHUNK_ROWS,
                  rows = kata__minimum(g->m - i, CHUNK_ROWS);
    const int64_t j = chunk % r->column_chunks * CHUNK_BLOCKS * BLOCK;
    const int64_t n = kata__minimum(g->n - j, CHUNK_BLOCKS * BLOCK),
                  block = round_up(g->k, 2) * BLOCK;
    float *sums = r->sums + worker * CHUNK_ROWS * CHUNK_BLOCKS * BLOCK;
    float bias[CHUNK_BLOCKS * BLOCK] = {0};
    const kata__bfloat16_product product = {.m = rows,
                                            .n_blocks = (n + BLOCK - 1) / BLOCK,
                                            .a = r->a + i * r->lda,
                                            .a_row = r->lda,
                                            .runs = 1,
                                            .k = round_up(g->k, 2),
                                            .b = g->packed_b + j / BLOCK * block,
                                            .b_block = block,
                                            .c = sums,
                                            .ldc = CHUNK_BLOCKS * BLOCK};
    r->table->product(&product);
    for (int64_t l = 0; l < n && g->bias != NULL; l++) {
        bias[l] = g->bias[j + l];
    }
    const kata__bfloat16_store store = {n, bias, g->relu, g->ldc};
    const int64_t at = i * g->ldc + j;
    if (g->c_dtype == KATA_F32) {
        r->table->store_float(&store, rows, sums, product.ldc, (float *)g->c + at);
    } else {
        r->table->store(&store, rows, sums, product.ldc, NULL,
                        g->mask != NULL ? g->mask + at : NULL, (uint16_t *)g->c + at);
    }
}

/* Whether a is read where it lies: its rows must have whole pairs. */
static bool reads_in_place(const kata__bfloat16_gemm *g) {
    return !g->transpose_a && g->k % 2 == 0;
}

static size_t copy_bytes(const kata__bfloat16_gemm *g) {
    return reads_in_place(g) ? 0
                             : (size_t)round_up(g->m * round_up(g->k, 2), 32) * sizeof(uint16_t);
}

size_t kata__bfloat16_gemm_workspace(kata_context *context, const kata__bfloat16_gemm *g) {
    return copy_bytes(g) +
           (size_t)context->threads * CHUNK_ROWS * CHUNK_BLOCKS * BLOCK * sizeof(float);
}

typedef struct copy_rows {
    const kata__bfloat16_table *table;
    const kata__bfloat16_gemm *g;
    uint16_t *to;
    int64_t ld;
} copy_rows;

/* 64 rows of the copy. */
static void copy_chunk(void *argument, int64_t chunk, int worker) {
    const copy_rows *c = argument;
    const kata__bfloat16_gemm *g = c->g;
    int64_t i, rows = kata__chunk_of(chunk, g->m, 64, &i);
    uint16_t *to = c->to + i * c->ld;
    (void)worker;
    if (g->transpose_a) {
        c->table->transpose(g->k, rows, g->a + i, g->lda, to, c->ld);
    }
    for (int64_t r = 0; r < rows; r++, to += c->ld) {
        if (!g->transpose_a) {
            memcpy(to, g->a + (i + r) * g->lda, (size_t)g->k * sizeof *to);
        }
        if (c->ld > g->k) {
            to[g->k] = 0;
        }
    }
}

void kata__bfloat16_gemm_run(kata_context *context, const kata__bfloat16_gemm *g, void *workspace) {
    if (g->m == 0 || g->n == 0) {
        return;
    }
    run_gemm r = {.table = kata__bfloat16_kernels(context),
                  .g = g,
                  .column_chunks = kata__chunk_count(g->n, CHUNK_BLOCKS * BLOCK),
                  .a = g->a,
                  .lda = g->lda,
                  .sums = (float *)((char *)workspace + copy_bytes(g))};
    if (!reads_in_place(g)) {
        copy_rows c = {r.table, g, workspace, round_up(g->k, 2)};
        kata__run_chunks(context, kata__chunk_count(g->m, 64), copy_chunk, &c);
        r.a = workspace;
        r.lda = c.ld;
    }
    kata__run_chunks(context, kata__chunk_count(g->m, CHUNK_ROWS) * r.column_chunks, gemm_chunk,
                     &r);
}
