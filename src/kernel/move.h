/* Loops that compute nothing: transposition. */
#ifndef KATA_KERNEL_MOVE_H
#define KATA_KERNEL_MOVE_H

#include <kata/tensor.h>

/* y[i] (columns, rows) = x[i] (rows, columns) transposed, for i < n; x and y must not overlap. */
void kata__transpose(kata_context *context, kata_dtype dtype, int64_t n, int64_t rows,
                     int64_t columns, const void *x, void *y);

#endif
