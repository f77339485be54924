/* Conversions between data types that the public header does not give. */
#ifndef KATA_TENSOR_DTYPE_H
#define KATA_TENSOR_DTYPE_H

#include <kata/tensor.h>

/* Rounded once, to nearest even (by way of float32 some values would round twice). */
uint16_t kata__f64_to_f16(double value);
uint16_t kata__f64_to_bf16(double value);

/* Truncated towards zero; beyond [low, high] the nearer end, NaN 0 (ONNX Cast leaves both open). */
int64_t kata__f64_to_integer(double value, int64_t low, int64_t high);

/* KATA_DTYPE error for a number that is no data type; `what` begins the sentence. */
kata_status kata__dtype_check(kata_dtype dtype, const char *what);

#endif
