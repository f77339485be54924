/* The part of the kernel tables that winograd.c uses, for each instruction set: of float32
 * (body/winograd.h) and of bfloat16 (body/winograd_bf16.h).
 *
 * With m = size outputs in a direction (2 or 4) a tile has P = m + 2 points in it, K = P P in both.
 * What is transformed is counted in words of 4 bytes, a float32 number or a pair of bfloat16 ones
 * that are multiplied with another pair and added. It lies as (K; vectors of channels; tiles;
 * lanes), where two of bfloat16 make a word of channels 2i and 2i + 1; but by weight as (K; vectors
 * of channels; pairs of tiles; lanes), a word of a channel in two tiles, zeros for a missing one.
 * From point to point are `step` words, from vector to vector `block`. An element's bits depend on
 * the problem's sizes and the instruction set, never on where a piece begins or ends. */
#ifndef KATA_KERNEL_TABLE_WINOGRAD_H
#define KATA_KERNEL_TABLE_WINOGRAD_H

#include "kernel/conv_nhwc.h"

enum { KATA__WINOGRAD_POINTS = 36 }; /* the most that K is */

/* Tiles [first, first + count) of all images', in row-major order within an image, and of their
 * channels [channel, channel + channels), whole vectors but for the last of all. */
typedef struct kata__winograd_piece {
    const kata__conv *conv;
    int size;
    int64_t rows, columns; /* of an image, in tiles */
    int64_t first, count;
    int64_t channel, channels;
    int64_t block, step;
} kata__winograd_piece;

/* K products, `points` of them; a, b and c are `step` apart from point to point:
 *   forward  c[vector][i] = sum over channels p of a[p / lanes][i][p % lanes] b[vector][p]
 *            for m tiles i; c may lie over a if there are at most two vectors, and not more than
 *            those of a, at the same step and block
 *   weight   c[i][vector] += sum over tiles p of a[i / lanes][p][i % lanes] b[vector][p]
 *            for m channels i, whole vectors; = instead of += if fresh
 * with k words of terms, in bfloat16 of two terms each; block is the distance from vector to
 * vector, in the weight's c from i to i. */
typedef struct kata__winograd_product {
    int points;
    int64_t m, k, vectors;
    const void *a;
    int64_t a_step, a_block;
    const void *b;
    int64_t b_step, b_block;
    float *c;
    int64_t c_step, c_block;
    bool fresh;
} kata__winograd_product;

typedef struct kata__winograd_table {
    int lanes;
    int pair; /* numbers of a word */
    int rows; /* of the largest tile of a product: the counts of tiles to prefer are its multiples
               */

    /* Of the packed weight (K; f vectors; words of c; lanes): for f vectors [first, last), all c.
     */
    void (*pack)(const kata__conv *conv, int size, bool flipped, const float *weight, int64_t first,
                 int64_t last, void *packed);
    /* v[q][tile][channel] = (B^T d B)[q], d the patch of x under the tile, as a product forward or
     * by weight reads it. With index, which bfloat16 forward alone takes, x is the gradient of a
     * 2x2 pooling and is spread. */
    void (*input)(const kata__winograd_piece *piece, const void *x, const uint8_t *index, void *v);
    void (*input_weight)(const kata__winograd_piece *piece, const void *x, const uint8_t *index,
                         void *v);
    void (*product)(const kata__winograd_product *product);
    /* y's tile = A^T m A, and what `store`, a kata__conv_store or a kata__conv_bf16_store, says. */
    void (*output)(const kata__winograd_piece *piece, const float *m, const void *store, void *y);
    /* d[q][tile][channel] = (A t A^T)[q], t the tile of dy; db[channel] (or NULL) += its sum. */
    void (*gradient)(const kata__winograd_piece *piece, const void *dy, const uint8_t *index,
                     void *d, float *db);
    void (*product_weight)(const kata__winograd_product *product);
    /* part[channel][tap][vectors] = (G^T u G)[tap] for u[q][channel][vectors]; taps are part_step
     * apart. */
    void (*weight_end)(int size, int64_t channels, int64_t vectors, const float *u, int64_t pitch,
                       int64_t step, float *part, int64_t part_step);
    /* dw[f][c][tap] = sum over s of part[s][c][tap][f] for f vectors [first, last). */
    void (*weight_sum)(const kata__conv *conv, int64_t first, int64_t last, const float *part,
                       int64_t pitch, int64_t n_parts, int64_t part_step, float *dw);
} kata__winograd_table;

#endif
