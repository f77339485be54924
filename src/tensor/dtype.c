/* Data types: sizes, names, and single elements as doubles. float16 and bfloat16 are storage types;
 * their conversions are exact or round to nearest even. */
#include "tensor/dtype.h"

#include <string.h>

size_t kata_dtype_size(kata_dtype dtype) {
    switch (dtype) {
#define X(name, text, bytes, onnx)                                                                 \
    case KATA_##name:                                                                              \
        return bytes;
        KATA_DTYPE_LIST(X)
#undef X
    case KATA_NO_DTYPE:
    case KATA_DTYPE_COUNT:
        break;
    }
    return 0;
}

const char *kata_dtype_name(kata_dtype dtype) {
    switch (dtype) {
#define X(name, text, bytes, onnx)                                                                 \
    case KATA_##name:                                                                              \
        return text;
        KATA_DTYPE_LIST(X)
#undef X
    case KATA_NO_DTYPE:
    case KATA_DTYPE_COUNT:
        break;
    }
    return "?";
}

bool kata_dtype_is_float(kata_dtype dtype) {
    return dtype == KATA_F32 || dtype == KATA_F64 || dtype == KATA_F16 || dtype == KATA_BF16;
}

static inline uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* float16: 1 sign, 5 exponent (bias 15), 10 fraction bits. */
float kata_f16_to_f32(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, rest = half & 0x7FFFu;
    if (rest >= 0x7C00u) { /* infinity, NaN with its payload */
        return float_of(sign | 0x7F800000u | (rest & 0x3FFu) << 13);
    }
    if (rest >= 0x0400u) {
        return float_of(sign | ((rest << 13) + ((127u - 15u) << 23)));
    }
    return float_of(sign | bits_of((float)rest * 0x1p-24f)); /* zero and subnormal: exact */
}

uint16_t kata_f32_to_f16(float value) {
    uint32_t bits = bits_of(value), sign = bits >> 16 & 0x8000u, rest = bits & 0x7FFFFFFFu;
    if (rest > 0x7F800000u) { /* NaN: keep what fits of the payload, and quiet */
        return (uint16_t)(sign | 0x7E00u | (rest >> 13 & 0x3FFu));
    }
    if (rest >= 0x477FF000u) { /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7C00u);
    }
    if (rest >= 0x38800000u) { /* 2^-14 and above: drop 13 bits */
        uint32_t odd = rest >> 13 & 1u;
        return (uint16_t)(sign | (rest - ((127u - 15u) << 23) + 0xFFFu + odd) >> 13);
    }
    /* Below, the unit is 2^-24: adding 0.5 lines its bits up with a float's last place, and the
     * addition itself rounds to nearest even. */
    return (uint16_t)(sign | (bits_of(float_of(rest) + 0.5f) - 0x3F000000u));
}

/* bfloat16: the upper half of a float32. */
float kata_bf16_to_f32(uint16_t bits) {
    return float_of((uint32_t)bits << 16);
}

uint16_t kata_f32_to_bf16(float value) {
    uint32_t bits = bits_of(value);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) {
        return (uint16_t)(bits >> 16 | 0x0040u);
    }
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

/* A double as a float rounded to odd: where inexact, the neighbour with an odd last bit. Rounding
 * that to fewer bits gives what rounding the double itself would (Boldo and Melquiond 2005). */
static float round_to_odd(double value) {
    float near = (float)value;
    uint32_t bits = bits_of(near);
    if ((double)near == value || value != value || (bits & 1u) != 0) {
        return near;
    }
    double size = value < 0 ? -value : value;
    return float_of((double)float_of(bits & 0x7FFFFFFFu) < size ? bits + 1 : bits - 1);
}

uint16_t kata__f64_to_f16(double value) {
    return kata_f32_to_f16(round_to_odd(value));
}

uint16_t kata__f64_to_bf16(double value) {
    return kata_f32_to_bf16(round_to_odd(value));
}

int64_t kata__f64_to_integer(double value, int64_t low, int64_t high) {
    if (value != value) {
        return 0;
    }
    if (value >= 0x1p63) {
        return high;
    }
    int64_t whole = value < -0x1p63 ? INT64_MIN : (int64_t)value;
    return whole < low ? low : whole > high ? high : whole;
}

/* Elements are read and written as bytes: a caller's memory may lie at any address. */
#define LOAD(type, name)                                                                           \
    type name;                                                                                     \
    memcpy(&name, (const char *)data + i * (int64_t)sizeof name, sizeof name)

double kata_load(kata_dtype dtype, const void *data, int64_t i) {
    switch (dtype) {
    case KATA_F32: {
        LOAD(float, value);
        return (double)value;
    }
    case KATA_F64: {
        LOAD(double, value);
        return value;
    }
    case KATA_F16: {
        LOAD(uint16_t, value);
        return (double)kata_f16_to_f32(value);
    }
    case KATA_BF16: {
        LOAD(uint16_t, value);
        return (double)kata_bf16_to_f32(value);
    }
    case KATA_I8: {
        LOAD(int8_t, value);
        return value;
    }
    case KATA_I32: {
        LOAD(int32_t, value);
        return value;
    }
    case KATA_I64: {
        LOAD(int64_t, value);
        return (double)value;
    }
    case KATA_U8: {
        LOAD(uint8_t, value);
        return value;
    }
    case KATA_BOOL: {
        LOAD(uint8_t, value);
        return value != 0;
    }
    case KATA_NO_DTYPE:
    case KATA_DTYPE_COUNT:
        break;
    }
    return 0;
}

#define STORE(type, expression)                                                                    \
    do {                                                                                           \
        type stored = (type)(expression);                                                          \
        memcpy((char *)data + i * (int64_t)sizeof stored, &stored, sizeof stored);                 \
    } while (0)

void kata_store(kata_dtype dtype, void *data, int64_t i, double value) {
    switch (dtype) {
    case KATA_F32:
        STORE(float, value);
        break;
    case KATA_F64:
        STORE(double, value);
        break;
    case KATA_F16:
        STORE(uint16_t, kata__f64_to_f16(value));
        break;
    case KATA_BF16:
        STORE(uint16_t, kata__f64_to_bf16(value));
        break;
    case KATA_I8:
        STORE(int8_t, kata__f64_to_integer(value, INT8_MIN, INT8_MAX));
        break;
    case KATA_I32:
        STORE(int32_t, kata__f64_to_integer(value, INT32_MIN, INT32_MAX));
        break;
    case KATA_I64:
        STORE(int64_t, kata__f64_to_integer(value, INT64_MIN, INT64_MAX));
        break;
    case KATA_U8:
        STORE(uint8_t, kata__f64_to_integer(value, 0, UINT8_MAX));
        break;
    case KATA_BOOL:
        STORE(uint8_t, value != 0);
        break;
    case KATA_NO_DTYPE:
    case KATA_DTYPE_COUNT:
        break;
    }
}

kata_status kata__dtype_check(kata_dtype dtype, const char *what) {
    if (kata_dtype_size(dtype) == 0) {
        return kata_fail(KATA_DTYPE, "%s: %d is not a data type", what, (int)dtype);
    }
    return KATA_OK;
}
