/* Conversions between data types that the public header does not give. */
#ifndef KATA_TENSOR_DTYPE_H
#define KATA_TENSOR_DTYPE_H

#include <kata/tensor.h>

/* ONNX's number of a dtype (TensorProto.DataType) and back; KATA_NO_DTYPE: there is none. */
int kata__dtype_code(kata_dtype dtype);
kata_dtype kata__dtype_of_code(int64_t code);

/* Rounded once, to nearest even (by way of float32 some values would round twice). */
uint16_t kata__f64_to_f16(double value);
uint16_t kata__f64_to_bf16(double value);

/* The 8-bit floats: rounded once, to nearest even. Beyond the largest number, with `saturate` that
 * number, else infinity where the type has it and NaN where it has not. Types "UZ" have no -0 and
 * one NaN. */
uint8_t kata__f64_to_f8(kata_dtype dtype, double value, bool saturate);
double kata__f8_to_f64(kata_dtype dtype, uint8_t bits);
bool kata__dtype_is_f8(kata_dtype dtype);

/* Truncated towards zero; beyond [low, high] the nearer end, NaN 0 (ONNX Cast leaves both open). */
int64_t kata__f64_to_integer(double value, int64_t low, int64_t high);
uint64_t kata__f64_to_unsigned(double value); /* 0 to 2^64-1 */
/* 4-bit integers keep the low bits, of whole numbers and (truncated) of others, as the ONNX
 * project's tests have it. */
static inline int8_t kata__to_i4(int64_t value) {
    return (int8_t)((((uint64_t)value + 8) & 15) - 8);
}
static inline uint8_t kata__to_u4(int64_t value) {
    return (uint8_t)((uint64_t)value & 15);
}

/* A tensor as one block: its elements in row-major order, and of strings the bytes behind them.
 * packed_bytes is the block's size (KATA_FORMAT unless all strings are UTF-8); pack fills `block`,
 * aligned for the dtype, and makes *out the view of it. */
kata_status kata__tensor_packed_bytes(size_t *n_bytes, const kata_tensor *from);
kata_status kata__tensor_pack(kata_tensor *out, void *block, const kata_tensor *from);

/* KATA_DTYPE error for a number that is no data type; `what` begins the sentence. */
kata_status kata__dtype_check(kata_dtype dtype, const char *what);

#endif
