/* The part of the kernel table that gemm.c, conv.c and pool.c use: one for float32 and one for
 * float64, for each instruction set. The bodies are body/{gemm,conv,pool}.h.
 *
 * The functions work on one thread; the drivers cut the work. An element's bits depend on the
 * problem's sizes and the instruction set, never on where a piece begins or ends. */
#ifndef KATA_KERNEL_TABLE_GEMM_H
#define KATA_KERNEL_TABLE_GEMM_H

#include "kernel/conv.h"

/* A piece of a product: C (m,n) = alpha op(A) op(B) + beta C + bias, then relu and mask; see
 * gemm.h. */
typedef struct kata__gemm_piece {
    int64_t m, n, k;
    int64_t tail; /* so many more columns behind the n, at most lanes / 4: not by tiles, but with
                     vectors along the rows if A is transposed (there are at least `lanes`), else
                     along the terms */
    bool transpose_a, transpose_b;
    const void *a;
    int64_t lda;
    const void *b;
    int64_t ldb;
    int64_t b_rows; /* B may be read as if it were whole rows but for the last of b_rows >= k */
    void *scratch;  /* blocks of B are packed into it; NULL, if B is not transposed: B is read where
                       it is. k_block * (block_vectors + 2) * lanes numbers are enough. */
    void *transposed; /* (k_block + lanes) * tail numbers if there is a tail and neither A nor B is
                     transposed */
    void *space;      /* piece_space(piece) numbers, for tiles of A */
    void *c;
    int64_t ldc;
    double alpha, beta;
    const void *bias_column, *bias_row; /* NULL or this piece's first */
    bool relu;
    const void *mask;      /* NULL or this piece's first */
    uintptr_t *not_finite; /* as in gemm.h */
    bool far_a, far_b;     /* A, or B, read where it is, will not be in the second-level cache */
    const void *after_a,
        *after_b; /* NULL, or what will be read after this piece, in the same way */
} kata__gemm_piece;

/* The products of a dot-product kernel: C (m,n) as above with A (m,k) and B (n,k), rows contiguous
 * in k. c_row, c_column: the distance between neighbours in a column and in a row of C. */
typedef struct kata__gemm_dot {
    int64_t m, n, k;
    const void *a;
    int64_t lda;
    const void *b;
    int64_t ldb;
    void *c;
    int64_t c_row, c_column;
    double alpha, beta;
    const void *bias_column, *bias_row;
    bool relu;
    const void *mask; /* lies like C */
    uintptr_t *not_finite;
} kata__gemm_dot;

/* A correlation of planes, what all convolutions come down to. `source` holds zero-padded planes;
 * tap t of the output at grid place (y,x) reads source[offset[t] + y row_step + x],
 * and up to a vector more may be read and ignored:
 *   out[i][y][x] = sum over t of W[i][t] source[offset[t] + y row_step + x]   (+ bias[i], relu)
 * for i < m, y < rows, x < width. The taps come in runs: W[i][t] is
 * weight[i weight_row + t / run * run_step + t % run]. out[i] begins at i * out_plane, rows are
 * out_row and pixels out_pixel apart (in elements). */
typedef struct kata__conv_piece {
    int64_t m, taps;
    const void *weight;
    int64_t weight_row, run, run_step;
    const void *source;
    const int64_t *offset;
    int64_t row_step;
    int64_t rows, width;
    const void *bias; /* NULL or m numbers */
    bool relu;
    void *out;
    int64_t out_plane, out_row, out_pixel;
    void *panel; /* scratch of conv_panel(taps) numbers */
} kata__conv_piece;

/* The gradient of a correlation by its weight, added to an accumulator:
 *   sum[t][i] += sum over y, x of source[offset[t] + y row_step + x] dy[i][y][x]
 * for t < taps, i < m; sum has rows of `ld` numbers: m rounded up to whole vectors. */
typedef struct kata__conv_weight_piece {
    int64_t m, taps;
    const void *source;
    const int64_t *offset;
    int64_t row_step;
    int64_t rows, width;
    const void *dy;
    int64_t dy_plane;
    void *sum;
    int64_t ld;
    void *panel; /* scratch of kata__conv_weight_rows * width * columns (of the table) numbers */
} kata__conv_weight_piece;

/* Rows of dy that are packed at a time: about as many pixels as the first-level cache holds. */
static inline int64_t kata__conv_weight_rows(int64_t rows, int64_t width) {
    const int64_t parts = (rows * width + 511) / 512;
    return parts > 1 ? (rows + parts - 1) / parts : rows;
}

/* Copies the part of a plane (h,w) that lies under rows [top, top + rows) and columns [left, left +
 * columns * stride) into zero-padded planes, one for each of the first `phases` columns modulo
 * stride: to[phase][row][column] = from[top + row][left + column stride + phase], 0 outside; the
 * phases are phase_step apart, rows `pitch` >= columns. Up to a vector of zeros may be written
 * behind the last row. */
typedef struct kata__conv_pad {
    const void *from;
    int64_t h, w;
    int64_t top, left, rows, columns, stride, phases;
    void *to;
    int64_t phase_step, pitch;
} kata__conv_pad;

typedef struct kata__gemm_table {
    int rows, columns; /* the largest tile: A rows, B columns (the width of a panel) */
    int lanes;         /* numbers in a vector */
    int block_vectors; /* of columns that are worked through together */
    int k_block; /* products longer than this are cut into blocks of at most this many terms */
    /* Numbers of kata__gemm_piece.space, by m, n, k, transpose_a and lda; no fewer for larger. */
    size_t (*piece_space)(const kata__gemm_piece *piece);
    void (*piece)(const kata__gemm_piece *piece);
    /* A piece of 1 or 2 rows; B is not transposed, there is no scratch. */
    void (*rows_piece)(const kata__gemm_piece *piece);
    void (*dot)(const kata__gemm_dot *dot);
    /* c = alpha (sum over s of part[s]) + beta c + bias, relu, mask for rows [first, last): parts
     * (m,n) are part_step apart. */
    void (*sum_parts)(const kata__gemm_piece *piece, const void *part, int64_t n_parts,
                      int64_t part_step, int64_t first, int64_t last);

    size_t (*conv_panel)(int64_t taps); /* elements of kata__conv_piece.panel */
    void (*conv_pad)(const kata__conv_pad *pad);
    void (*conv_piece)(const kata__conv_piece *piece);
    void (*conv_weight_piece)(const kata__conv_weight_piece *piece);
    /* dw[i][t] = sum over s of part[s][t][i], for t in [first, last); parts are part_step apart. */
    void (*conv_weight_sum)(int64_t m, int64_t taps, int64_t first, int64_t last, const void *part,
                            int64_t ld, int64_t n_parts, int64_t part_step, void *dw);
    /* sum of n planes of `count` numbers, `step` apart. */
    double (*sum_planes)(const void *x, int64_t count, int64_t n, int64_t step);

    /* One plane each; see conv.h. */
    void (*max_pool)(const kata__conv *pool, const void *x, void *y, int32_t *index);
    void (*max_pool_gradient)(const kata__conv *pool, const void *dy, const int32_t *index,
                              void *dx);
    void (*average_pool)(const kata__conv *pool, bool count_include_pad, const void *x, void *y);
    void (*average_pool_gradient)(const kata__conv *pool, bool count_include_pad, const void *dy,
                                  void *dx);
} kata__gemm_table;

#endif
