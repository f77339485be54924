/* Shape rules that operators share. */
#ifndef KATA_TENSOR_SHAPE_H
#define KATA_TENSOR_SHAPE_H

#include <kata/tensor.h>

/* Whether the rank is in 0..KATA_MAX_RANK and every size is 0 or more, or unknown if that is
 * allowed. KATA_SHAPE error that begins with `what` ("tensor"). */
kata_status kata__shape_check(const kata_shape *shape, bool unknown_allowed, const char *what);

/* Row-major strides in elements. */
void kata__shape_strides(const kata_shape *shape, int64_t stride[KATA_MAX_RANK]);

/* `axis` in -rank..rank-1 as 0..rank-1; KATA_INVALID otherwise. */
kata_status kata__shape_axis(int *out, const kata_shape *shape, int axis);

/* `shape` as a reshape of `from`: at most one size is -1 and is worked out. KATA_SHAPE error names
 * both shapes. Both are known otherwise. */
kata_status kata__shape_reshape(kata_shape *out, const kata_shape *from, const kata_shape *shape);

/* The product a b of ONNX MatMul (NumPy's rule): the last two axes multiply, those before
 * broadcast; a vector on the left is a row, on the right a column, and its axis is not in the
 * product. Unknown sizes pass through. KATA_SHAPE error: "shapes (2,3) and (2,2) not aligned: 3
 * (dim 1) != 2 (dim 0)". */
kata_status kata__shape_matmul(kata_shape *out, const kata_shape *a, const kata_shape *b);

#endif
