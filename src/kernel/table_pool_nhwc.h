/* The part of the kernel table that pool_nhwc.c uses, float32 only, for each instruction set; the
 * bodies are body/pool_nhwc.h. A call makes one row of one image's output; x, dy and index point to
 * the image. `y`, `dx`, `to_index` point to the row. */
#ifndef KATA_KERNEL_TABLE_POOL_NHWC_H
#define KATA_KERNEL_TABLE_POOL_NHWC_H

#include "kernel/conv_nhwc.h"

typedef struct kata__pool_nhwc_table {
    void (*maximum)(const kata__conv *g, const float *x, int64_t oy, float *y, uint8_t *to_index);
    void (*maximum_gradient)(const kata__conv *g, const float *dy, const uint8_t *index, int64_t iy,
                             float *dx);
    void (*average)(const kata__conv *g, bool count_include_pad, const float *x, int64_t oy,
                    float *y);
    void (*average_gradient)(const kata__conv *g, bool count_include_pad, const float *dy,
                             int64_t iy, float *dx);
} kata__pool_nhwc_table;

#endif
