/* The bfloat16 part of the kernel table: one for each instruction set, and two more on top of
 * AVX-512 (see kata__bfloat16_level). The body is body/bfloat16.h.
 *
 * A bfloat16 number is the upper half of a float32, kept as uint16_t. Products of two are exact in
 * float32 and are added up in float32. Vectors go along the columns of a product, which come in
 * blocks of 16; rows of the right factor come in pairs, because the processors' instructions
 * multiply pairs and add both: a packed right factor (k,n) is [n/16][k/2][16][2], padded with
 * zeros. */
#ifndef KATA_KERNEL_TABLE_BFLOAT16_H
#define KATA_KERNEL_TABLE_BFLOAT16_H

#include "kernel/table_winograd.h"

enum { KATA__BFLOAT16_BLOCK = 16 };

/* c (m,16 n_blocks) = a b, or c += a b. A row of a is `runs` runs of k neighbouring numbers (k
 * even), a_run apart; rows are a_row apart. Reads and writes nothing else. */
typedef struct kata__bfloat16_product {
    int64_t m, n_blocks;
    const uint16_t *a;
    int64_t a_row, runs, a_run, k;
    const uint16_t *b;       /* blocks of [runs][k/2][16][2] */
    int64_t b_block;         /* numbers from a block to the next */
    const int64_t *b_offset; /* or where each block begins, from b on; NULL: by b_block */
    float *c;
    int64_t ldc;
    bool accumulate;
    bool whole; /* with one part, rows of a may be read and rows of c written up to a multiple of
                   16; what is made of them is worth nothing */
    uint32_t *kept; /* what a unit keeps from a product to the next, 0 before the first, to be given
                       to `finish` after the last, on the same thread. NULL: nothing is kept */
} kata__bfloat16_product;

/* What happens to rows of sums before they are stored: see kata__conv_store. Rows of y, residual
 * and mask have `ld` numbers, of which the first n are written. */
typedef struct kata__bfloat16_store {
    int64_t n;
    const float *bias; /* of a multiple of 16 numbers, never NULL */
    bool relu;
    int64_t ld;
} kata__bfloat16_store;

typedef struct kata__bfloat16_table {
    void (*product)(const kata__bfloat16_product *product);
    void (*finish)(uint32_t *kept);

    void (*from_float)(int64_t n, const float *x, uint16_t *y);
    void (*to_float)(int64_t n, const uint16_t *x, float *y);

    /* Rows of sums, ldc apart. residual and mask may be NULL. */
    void (*store)(const kata__bfloat16_store *store, int64_t rows, const float *c, int64_t ldc,
                  const uint16_t *residual, const uint16_t *mask, uint16_t *y);
    void (*store_float)(const kata__bfloat16_store *store, int64_t rows, const float *c,
                        int64_t ldc, float *y);
    /* Pools `pixels` windows of 2x2: row r column j of window i is at c[r] + (2 i + j) ldc, and the
     * same of residual[r] (both may be NULL), ld apart. index may be NULL. */
    void (*store_pool)(const kata__bfloat16_store *store, int64_t pixels, const float *const c[2],
                       int64_t ldc, const uint16_t *const residual[2], uint16_t *y, uint8_t *index);
    /* The other way: the windows' numbers dy and places index (pixels,c) give rows of 2 pixels
     * pixels each, at to[0] and to[1]. */
    void (*spread)(int64_t pixels, int64_t c, const uint16_t *dy, const uint8_t *index,
                   uint16_t *const to[2]);

    /* Packs rows of a right factor: x (rows,n), ld apart, into [n/16][..][16][2] with `block`
     * numbers from a block to the next; an odd last row is paired with zeros. */
    void (*pair)(int64_t rows, int64_t n, const uint16_t *x, int64_t ld, uint16_t *packed,
                 int64_t block);
    /* The same of a factor that lies transposed: x (n,k), n at most 16, gives one block of k rows.
     */
    void (*pair_transposed)(int64_t n, int64_t k, const uint16_t *x, int64_t ld, uint16_t *packed);
    void (*pair_float)(int64_t rows, int64_t n, const float *x, int64_t ld, uint16_t *packed,
                       int64_t block);
    /* Packs row `half` (0 or 1) of a pair: to[2 i + half] = x[i] rounded, for i < 16. */
    void (*place)(const float *x, uint16_t *to, int half);
    /* y (columns,16) = x (rows,columns) transposed, zeros for the rows that are missing of 16; rows
     * of y are ldy apart, which may be negative. */
    void (*transpose_float)(int64_t rows, int64_t columns, const float *x, int64_t ldx, float *y,
                            int64_t ldy);
    /* y[i] = sum of x[r stride + i] over r < rows, in their order, for i < n, a multiple of 16. */
    void (*sum_rows)(int64_t rows, int64_t stride, int64_t n, const float *x, float *y);
    /* y (columns,rows) = x (rows,columns) transposed. */
    void (*transpose)(int64_t rows, int64_t columns, const uint16_t *x, int64_t ldx, uint16_t *y,
                      int64_t ldy);

    const kata__winograd_table *winograd;
} kata__bfloat16_table;

/* The table of the context's bfloat16 level. */
const kata__bfloat16_table *kata__bfloat16_kernels(const kata_context *context);

#endif
