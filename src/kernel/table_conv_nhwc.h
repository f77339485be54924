/* The part of the kernel table that conv_nhwc.c uses: direct convolution of NHWC float32
 * tensors. The bodies are body/conv_nhwc.h.
 *
 * The functions work on one thread; the driver cuts the work. An element's bits depend on the
 * problem's sizes and the instruction set, never on where a piece begins or ends. */
#ifndef KATA_KERNEL_TABLE_CONV_NHWC_H
#define KATA_KERNEL_TABLE_CONV_NHWC_H

#include "kernel/conv_nhwc.h"

/* Some rows and channels of one image's output. Output channels are cut into panels of `panel` of
 * the table, the last one of a group may be narrower; a panel's weight is (kh,kw,c/groups) rows
 * of as many numbers as its channels fill whole vectors, zero behind the last channel. */
typedef struct kata__conv_nhwc_piece {
    const kata__conv *conv;
    const kata__conv_store *store;
    const float *x;        /* the image, (h,w,c) */
    const float *weight;   /* all, packed */
    float *y;              /* the image's output; with pool (oh/2,ow/2,f) */
    uint8_t *index;        /* the image's; or NULL */
    const float *residual; /* the image's, (oh,ow,f); or NULL */
    const float *mask;
    const char *soon; /* NULL, or as many numbers as the piece makes, to be written after it: they
                         are fetched on the way */
    int64_t first_row, last_row;     /* of y: with pool, pooled ones */
    int64_t first_panel, last_panel; /* counted over all groups */
    int64_t *scratch;                /* kata__conv_nhwc_scratch(conv) numbers */
} kata__conv_nhwc_piece;

/* For limits and masks of columns and rows, two lists of segments, offsets of terms. */
static inline int64_t kata__conv_nhwc_scratch(const kata__conv *conv) {
    const int64_t taps = conv->kh * conv->kw;
    return 3 * conv->kw + conv->kh + 2 * 3 * taps + taps * (conv->c / conv->groups);
}

typedef struct kata__conv_nhwc_table {
    int lanes; /* numbers in a vector */
    int panel; /* output channels in a panel */
    void (*piece)(const kata__conv_nhwc_piece *piece);
    /* The same where groups = c = f: vectors along the channels of both. The weight is (kh,kw,c),
     * a panel is
     * `lanes` channels. */
    void (*depthwise)(const kata__conv_nhwc_piece *piece);
} kata__conv_nhwc_table;

#endif
