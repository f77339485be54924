/* The part of the kernel table that conv_nhwc_weight.c uses, float32 only, for each instruction
 * set; the bodies are body/conv_nhwc_weight.h.
 *
 * The functions work on one thread; the driver cuts the work. Vectors go along the output channels.
 * Where their number is no multiple of the vector, up to a vector less one number is read behind
 * the last pixel of dy: the driver sees to it that this is memory of its own or of the tensor. What
 * is read there stays in lanes that are never looked at. */
#ifndef KATA_KERNEL_TABLE_CONV_NHWC_WEIGHT_H
#define KATA_KERNEL_TABLE_CONV_NHWC_WEIGHT_H

#include "base/number.h"
#include "kernel/conv.h"

/* Cache lines to be fetched. */
typedef struct kata__conv_weight_ahead {
    const float *at;
    int64_t lines;
} kata__conv_weight_ahead;

/* A band of rows of some images, what one pass over the taps adds to the sums:
 *   sum[(ky kw + kx) tap_step + c ld + f] += sum over image, oy, ox of
 *       x[image][oy stride_h + ky dilation_h - pad_top][ox stride_w + kx dilation_w - pad_left][c]
 *       dy[image][oy][ox][f]                                   for c < run, f < vectors * lanes
 * Places outside x are left out. Row `r` of x begins at x + (r - x_top) x_row; dy likewise.
 * ahead: what the next band reads of x and of dy, to be fetched into the second-level cache
 * meanwhile.
 *
 * tap_rows says how many neighbouring ky a tile takes at once. If it is 1, the band is the rows
 * oy = first .. last - 1. Else stride_h is 1 and the band is the rows of x, padding counted:
 * oy + ky dilation_h = first .. last - 1.
 *
 * If columns_merged, the run covers a whole row of taps, (kx,c), which lies together in x: column
 * ix of x is then at (ix + pad_left) x_pixel, and all columns that are read exist. */
typedef struct kata__conv_weight_band {
    const kata__conv *g;
    int64_t tap_rows;
    bool columns_merged;
    int64_t first, last;
    int64_t images;
    const float *x;
    int64_t x_top, x_image, x_row, x_pixel;
    const float *dy;
    int64_t dy_top, dy_image, dy_row, dy_pixel;
    int64_t run, vectors;
    float *sum;
    int64_t tap_step, ld;
    float *bias; /* depth-wise only */
    kata__conv_weight_ahead ahead[2];
} kata__conv_weight_band;

/* One input channel and a pooled output: rows first .. last - 1 of the pooled dy of an image; x is
 * the image's, dy and index begin at its first pixel. Adds to
 *   sum[(ky kw + kx) ld + f] and bias[f] (unless NULL) for f < channels.
 * scratch: kata__conv_weight_pooled_numbers. With each pixel of a vector a cache line is fetched
 * that the next image reads: at `ahead`, then ahead_step further on. */
typedef struct kata__conv_weight_pooled {
    const kata__conv *g; /* oh and ow even */
    int64_t first, last;
    const float *x, *dy;
    const uint8_t *index;
    int64_t channels;
    float *sum, *bias, *scratch;
    int64_t ld;
    const float *ahead;
    int64_t ahead_step;
} kata__conv_weight_pooled;

static inline int64_t kata__conv_weight_pooled_numbers(const kata__conv *g, int64_t rows) {
    return 2 * (g->ow + 32) + (2 * rows + g->kh - 2) * (g->ow / 2) * 16;
}

/* The problems that it is for. */
static inline bool kata__conv_weight_pooled_fits(const kata__conv *g) {
    return g->c == 1 && g->groups == 1 && g->kh == g->kw && (g->kh == 3 || g->kh == 5) &&
           g->stride_h == 1 && g->stride_w == 1 && g->dilation_h == 1 && g->dilation_w == 1;
}

typedef struct kata__conv_nhwc_weight_table {
    int lanes;
    /* How many ky a tile takes: for runs of `run` numbers, `vectors` vectors of output channels. */
    int64_t (*tap_rows)(const kata__conv *conv, int64_t run, int64_t vectors);
    void (*band)(kata__conv_weight_band *band);
    /* Depth-wise: channel f of x meets channel f of dy, f < run; tap_rows is 1:
     *   sum[(ky kw + kx) tap_step + f] += sum of x[...][f] dy[...][f].
     * bias[f], unless NULL, += the sum of dy. Reads nothing behind the last pixel. */
    void (*depthwise)(kata__conv_weight_band *band);
    /* NULL: this instruction set has nothing better than to spread dy. */
    void (*pooled)(const kata__conv_weight_pooled *w);
    /* sum[f] += the sum of dy over the rows oy = first .. last - 1 of the band. */
    void (*bias)(const kata__conv_weight_band *band, int64_t first, int64_t last, float *sum);
    /* A row of the gradient of a 2x2-pooled output, `pixels` pixels of `channels` numbers `step`
     * apart, becomes two rows at `to` of pixels `to_pixel` = whole vectors apart, the second to_row
     * behind the first: a number stands where index says, all else is 0. bias, unless NULL: their
     * sum is added. Of dy and index, `readable` numbers may be read. */
    void (*spread)(const float *dy, const uint8_t *index, int64_t pixels, int64_t channels,
                   int64_t step, int64_t readable, float *to, int64_t to_pixel, int64_t to_row,
                   float *bias);
    /* dw[(f channels + c) taps + t] = the sum over the parts, in order, of
     * part[(t channels + c) ld + f], for f < m, first <= c < last. */
    void (*sum)(int64_t m, int64_t channels, int64_t taps, int64_t first, int64_t last,
                const float *part, int64_t ld, int64_t n_parts, int64_t part_step, float *dw);
} kata__conv_nhwc_weight_table;

/* The taps 0 .. size - 1 of a line that has `size` places: output places [*first, *last) of `count`
 * are those at which the tap, `offset` = tap * dilation - pad, falls inside. */
static inline void kata__conv_inside(int64_t offset, int64_t stride, int64_t size, int64_t count,
                                     int64_t *first, int64_t *last) {
    *first = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
    *last = offset >= size ? 0 : (size - 1 - offset) / stride + 1;
    *last = *last < count ? *last : count;
}

#endif
