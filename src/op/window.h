/* Sliding windows along one or two spatial axes: the sizes that Conv, ConvTranspose and the pools
 * share (ONNX attributes auto_pad, kernel_shape, strides, dilations, pads). */
#ifndef KATA_OP_WINDOW_H
#define KATA_OP_WINDOW_H

#include "graph/graph.h"
#include "kernel/conv.h"

/* Index 0 is the height, 1 the width; with one spatial axis the height is 1. `in` and `out` may be
 * unknown (-1). pad_end is what lies behind the input up to the end of the padded input; with
 * ceil_mode the last window may reach beyond it. */
typedef struct kata__window {
    int rank; /* number of spatial axes */
    int64_t in[2], out[2], kernel[2], stride[2], dilation[2], pad_begin[2], pad_end[2];
} kata__window;

/* The attributes of a node; NULL where the operator has none of the name. */
typedef struct kata__window_attributes {
    const kata_attribute_value *auto_pad, *kernel_shape, *strides, *dilations, *pads;
    bool ceil_mode;
} kata__window_attributes;

/* Reads and checks the attributes for the spatial axes 2.. of `x`, without input and output sizes.
 * `weight` (may be NULL) has the window at its axes 2.. and must agree with kernel_shape.
 * *same_upper and *same_lower say what auto_pad asks for: then the pads are not set yet. */
kata_status kata__window_read(kata__window *window, bool *same_upper, bool *same_lower,
                              const kata_op *op, const kata__window_attributes *attributes,
                              const kata_shape *x, const kata_shape *weight);
/* The same with input and output sizes, for windows that slide over x:
 * out = floor((in + pads - ((kernel - 1) dilation + 1)) / stride) + 1, with ceil_mode ceil, less
 * the windows that would start behind the input and its begin pad; with SAME ceil(in / stride).
 * KATA_SHAPE if the window is larger than the padded input. */
kata_status kata__window_of(kata__window *window, const kata_op *op,
                            const kata__window_attributes *attributes, const kata_shape *x,
                            const kata_shape *weight);
/* Shape (n, c, out...). */
kata_shape kata__window_shape(const kata__window *window, int64_t n, int64_t c,
                              const int64_t size[2]);
/* The kernels' description: x (n,c,in), y (n,f,out). */
kata__conv kata__window_conv(const kata__window *window, int64_t n, int64_t c, int64_t f,
                             int64_t groups);
/* Taps that lie on the input, summed over all output positions of one plane. */
double kata__window_taps(const kata__conv *conv);

#endif
