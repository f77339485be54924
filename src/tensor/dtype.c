/* Data types: sizes, names, and single elements as doubles. float16 and bfloat16 are storage types;
 * their conversions are exact or round to nearest even. */
#include "tensor/dtype.h"

#include <math.h>
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

int kata__dtype_code(kata_dtype dtype) {
    switch (dtype) {
#define X(name, text, bytes, onnx)                                                                 \
    case KATA_##name:                                                                              \
        return onnx;
        KATA_DTYPE_LIST(X)
#undef X
    default:
        return 0;
    }
}

kata_dtype kata__dtype_of_code(int64_t code) {
    switch (code) {
#define X(name, text, bytes, onnx)                                                                 \
    case onnx:                                                                                     \
        return KATA_##name;
        KATA_DTYPE_LIST(X)
#undef X
    default:
        return KATA_NO_DTYPE;
    }
}

bool kata__dtype_is_f8(kata_dtype dtype) {
    return dtype >= KATA_F8E4M3FN && dtype <= KATA_F8E5M2FNUZ;
}

bool kata_dtype_is_float(kata_dtype dtype) {
    return dtype == KATA_F32 || dtype == KATA_F64 || dtype == KATA_F16 || dtype == KATA_BF16 ||
           kata__dtype_is_f8(dtype);
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

/* float8: 1 sign, 4 or 5 exponent and 3 or 2 fraction bits (Micikevicius et al. 2022; the types
 * "UZ": Noune et al. 2022). E5M2 is the upper half of a float16. E4M3FN has NaN only where all bits
 * but the sign are set; the types "UZ" have one NaN, 0x80, in the place of -0. */
typedef struct f8_format {
    int fraction, bias; /* bits; of the exponent */
    uint8_t largest;    /* the bits of the largest number */
    bool is_uz, has_infinity;
} f8_format;

static f8_format f8_format_of(kata_dtype dtype) {
    switch (dtype) {
    case KATA_F8E4M3FN:
        return (f8_format){.fraction = 3, .bias = 7, .largest = 0x7E};
    case KATA_F8E4M3FNUZ:
        return (f8_format){.fraction = 3, .bias = 8, .largest = 0x7F, .is_uz = true};
    case KATA_F8E5M2:
        return (f8_format){.fraction = 2, .bias = 15, .largest = 0x7B, .has_infinity = true};
    default: /* KATA_F8E5M2FNUZ */
        return (f8_format){.fraction = 2, .bias = 16, .largest = 0x7F, .is_uz = true};
    }
}

double kata__f8_to_f64(kata_dtype dtype, uint8_t bits) {
    const f8_format f = f8_format_of(dtype);
    const int rest = bits & 0x7F, exponent = rest >> f.fraction;
    double size = rest & ((1 << f.fraction) - 1); /* in units of the last place */
    if (f.is_uz ? bits == 0x80 : rest > f.largest) {
        bool infinite = f.has_infinity && size == 0;
        size = infinite ? (double)INFINITY : (double)NAN;
    } else {
        size += exponent > 0 ? 1 << f.fraction : 0;
        size = ldexp(size, (exponent > 0 ? exponent : 1) - f.bias - f.fraction);
    }
    return (bits & 0x80) != 0 ? -size : size;
}

uint8_t kata__f64_to_f8(kata_dtype dtype, double value, bool saturate) {
    const f8_format f = f8_format_of(dtype);
    const uint8_t sign = signbit(value) ? 0x80 : 0;
    const double size = fabs(value);
    if (value != value) {
        return f.is_uz ? 0x80 : sign | 0x7F;
    }
    int exponent = 0;
    frexp(size, &exponent); /* size < 2^exponent */
    exponent = exponent - 1 < 1 - f.bias ? 1 - f.bias : exponent - 1;
    /* In units of the last place: below 2^(fraction + 1), so that nearbyint rounds once. */
    const double units = isinf(size) ? 0 : nearbyint(ldexp(size, f.fraction - exponent));
    int bits = (int)units;
    if (bits >= 1 << f.fraction) { /* normal: the leading bit counts as one exponent */
        bits += (exponent + f.bias - 1) << f.fraction;
    }
    if (isinf(size) || bits > f.largest) {
        if (!saturate && f.is_uz) {
            return 0x80;
        }
        bits = saturate ? f.largest : f.has_infinity ? f.largest + 1 : 0x7F;
    }
    return f.is_uz && bits == 0 ? 0 : (uint8_t)(sign | bits);
}

uint64_t kata__f64_to_unsigned(double value) {
    return !(value >= 1) ? 0 : value >= 0x1p64 ? UINT64_MAX : (uint64_t)value;
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
    case KATA_I16: {
        LOAD(int16_t, value);
        return value;
    }
    case KATA_U16: {
        LOAD(uint16_t, value);
        return value;
    }
    case KATA_U32: {
        LOAD(uint32_t, value);
        return value;
    }
    case KATA_U64: {
        LOAD(uint64_t, value);
        return (double)value;
    }
    case KATA_I4: {
        LOAD(int8_t, value);
        return value;
    }
    case KATA_U4: {
        LOAD(uint8_t, value);
        return value;
    }
    case KATA_F8E4M3FN:
    case KATA_F8E4M3FNUZ:
    case KATA_F8E5M2:
    case KATA_F8E5M2FNUZ: {
        LOAD(uint8_t, value);
        return kata__f8_to_f64(dtype, value);
    }
    case KATA_STRING:
        return (double)NAN;
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
    case KATA_I16:
        STORE(int16_t, kata__f64_to_integer(value, INT16_MIN, INT16_MAX));
        break;
    case KATA_U16:
        STORE(uint16_t, kata__f64_to_integer(value, 0, UINT16_MAX));
        break;
    case KATA_U32:
        STORE(uint32_t, kata__f64_to_integer(value, 0, UINT32_MAX));
        break;
    case KATA_U64:
        STORE(uint64_t, kata__f64_to_unsigned(value));
        break;
    case KATA_I4:
        STORE(int8_t, kata__to_i4(kata__f64_to_integer(value, INT64_MIN, INT64_MAX)));
        break;
    case KATA_U4:
        STORE(uint8_t, kata__to_u4(kata__f64_to_integer(value, INT64_MIN, INT64_MAX)));
        break;
    case KATA_F8E4M3FN:
    case KATA_F8E4M3FNUZ:
    case KATA_F8E5M2:
    case KATA_F8E5M2FNUZ:
        STORE(uint8_t, kata__f64_to_f8(dtype, value, true));
        break;
    case KATA_STRING:
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
