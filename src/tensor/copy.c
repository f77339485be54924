/* Copies between tensors: data types are converted as ONNX Cast does, strides are free on either
 * side. Rows of a block are brought to double or int64 and from there to the type wanted, so that
 * there is one loop for each type read and each type written, not one for each pair. */
#include <kata/tensor.h>

#include "base/check.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#include <inttypes.h>
#include <string.h>

enum { BLOCK = 512 };

/* An axis of the walk, steps in bytes. */
struct axis {
    int64_t size, to, from;
};

/* Elements one after another `step` bytes apart; read and written as bytes, at any address. */
#define READ_LOOP(type, expression)                                                                \
    for (int64_t i = 0; i < n; i++) {                                                              \
        type value;                                                                                \
        memcpy(&value, from + i * step, sizeof value);                                             \
        out[i] = (expression);                                                                     \
    }                                                                                              \
    break

#define WRITE_LOOP(type, expression)                                                               \
    for (int64_t i = 0; i < n; i++) {                                                              \
        type value = (type)(expression);                                                           \
        memcpy(to + i * step, &value, sizeof value);                                               \
    }                                                                                              \
    break

static void read_floats(kata_dtype dtype, double *out, const char *from, int64_t step, int64_t n) {
    switch (dtype) {
    case KATA_F32:
        READ_LOOP(float, (double)value);
    case KATA_F64:
        READ_LOOP(double, value);
    case KATA_F16:
        READ_LOOP(uint16_t, (double)kata_f16_to_f32(value));
    case KATA_BF16:
        READ_LOOP(uint16_t, (double)kata_bf16_to_f32(value));
    case KATA_F8E4M3FN:
    case KATA_F8E4M3FNUZ:
    case KATA_F8E5M2:
    case KATA_F8E5M2FNUZ:
        READ_LOOP(uint8_t, kata__f8_to_f64(dtype, value));
    default:
        break;
    }
}

/* uint64 numbers from 2^63 on become the int64 of the same bits. */
static void read_integers(kata_dtype dtype, int64_t *out, const char *from, int64_t step,
                          int64_t n) {
    switch (dtype) {
    case KATA_I8:
        READ_LOOP(int8_t, value);
    case KATA_I32:
        READ_LOOP(int32_t, value);
    case KATA_I64:
        READ_LOOP(int64_t, value);
    case KATA_U8:
        READ_LOOP(uint8_t, value);
    case KATA_BOOL:
        READ_LOOP(uint8_t, value != 0);
    case KATA_I16:
        READ_LOOP(int16_t, value);
    case KATA_U16:
        READ_LOOP(uint16_t, value);
    case KATA_U32:
        READ_LOOP(uint32_t, value);
    case KATA_U64:
        READ_LOOP(uint64_t, (int64_t)value);
    case KATA_I4:
        READ_LOOP(int8_t, value);
    case KATA_U4:
        READ_LOOP(uint8_t, value);
    default:
        break;
    }
}

/* uint64 as doubles: as int64 the larger half would be negative. */
static void read_large(double *out, const char *from, int64_t step, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = kata_load(KATA_U64, from + i * step, 0);
    }
}

static void write_from_floats(kata_dtype dtype, const double *in, char *to, int64_t step,
                              int64_t n) {
    switch (dtype) {
    case KATA_F32:
        WRITE_LOOP(float, in[i]);
    case KATA_F64:
        WRITE_LOOP(double, in[i]);
    case KATA_F16:
        WRITE_LOOP(uint16_t, kata__f64_to_f16(in[i]));
    case KATA_BF16:
        WRITE_LOOP(uint16_t, kata__f64_to_bf16(in[i]));
    case KATA_I8:
        WRITE_LOOP(int8_t, kata__f64_to_integer(in[i], INT8_MIN, INT8_MAX));
    case KATA_I32:
        WRITE_LOOP(int32_t, kata__f64_to_integer(in[i], INT32_MIN, INT32_MAX));
    case KATA_I64:
        WRITE_LOOP(int64_t, kata__f64_to_integer(in[i], INT64_MIN, INT64_MAX));
    case KATA_U8:
        WRITE_LOOP(uint8_t, kata__f64_to_integer(in[i], 0, UINT8_MAX));
    case KATA_BOOL:
        WRITE_LOOP(uint8_t, in[i] != 0);
    case KATA_I16:
        WRITE_LOOP(int16_t, kata__f64_to_integer(in[i], INT16_MIN, INT16_MAX));
    case KATA_U16:
        WRITE_LOOP(uint16_t, kata__f64_to_integer(in[i], 0, UINT16_MAX));
    case KATA_U32:
        WRITE_LOOP(uint32_t, kata__f64_to_integer(in[i], 0, UINT32_MAX));
    case KATA_U64:
        WRITE_LOOP(uint64_t, kata__f64_to_unsigned(in[i]));
    case KATA_I4:
        WRITE_LOOP(int8_t, kata__to_i4(kata__f64_to_integer(in[i], INT64_MIN, INT64_MAX)));
    case KATA_U4:
        WRITE_LOOP(uint8_t, kata__to_u4(kata__f64_to_integer(in[i], INT64_MIN, INT64_MAX)));
    case KATA_F8E4M3FN:
    case KATA_F8E4M3FNUZ:
    case KATA_F8E5M2:
    case KATA_F8E5M2FNUZ:
        WRITE_LOOP(uint8_t, kata__f64_to_f8(dtype, in[i], true));
    default:
        break;
    }
}

/* Integers that do not fit keep their low bits, as ONNX Cast says (200 becomes the int8 -56). */
static void write_from_integers(kata_dtype dtype, const int64_t *in, char *to, int64_t step,
                                int64_t n) {
    switch (dtype) {
    case KATA_F32:
        WRITE_LOOP(float, in[i]);
    case KATA_F64:
        WRITE_LOOP(double, in[i]);
    case KATA_F16:
        WRITE_LOOP(uint16_t, kata__f64_to_f16((double)in[i]));
    case KATA_BF16:
        WRITE_LOOP(uint16_t, kata__f64_to_bf16((double)in[i]));
    case KATA_F8E4M3FN:
    case KATA_F8E4M3FNUZ:
    case KATA_F8E5M2:
    case KATA_F8E5M2FNUZ:
        WRITE_LOOP(uint8_t, kata__f64_to_f8(dtype, (double)in[i], true));
    case KATA_I8:
    case KATA_U8:
        WRITE_LOOP(uint8_t, (uint64_t)in[i]);
    case KATA_I16:
    case KATA_U16:
        WRITE_LOOP(uint16_t, (uint64_t)in[i]);
    case KATA_I32:
    case KATA_U32:
        WRITE_LOOP(uint32_t, (uint64_t)in[i]);
    case KATA_I64:
    case KATA_U64:
        WRITE_LOOP(int64_t, in[i]);
    case KATA_I4:
        WRITE_LOOP(int8_t, kata__to_i4(in[i]));
    case KATA_U4:
        WRITE_LOOP(uint8_t, kata__to_u4(in[i]));
    case KATA_BOOL:
        WRITE_LOOP(uint8_t, in[i] != 0);
    default:
        break;
    }
}

static void convert_row(kata_dtype to_dtype, char *to, int64_t to_step, kata_dtype from_dtype,
                        const char *from, int64_t from_step, int64_t n) {
    for (int64_t start = 0; start < n; start += BLOCK) {
        int64_t part = n - start < BLOCK ? n - start : BLOCK;
        char *put = to + start * to_step;
        const char *get = from + start * from_step;
        bool large = from_dtype == KATA_U64 && kata_dtype_is_float(to_dtype);
        if (kata_dtype_is_float(from_dtype) || large) {
            double block[BLOCK];
            if (large) {
                read_large(block, get, from_step, part);
            } else {
                read_floats(from_dtype, block, get, from_step, part);
            }
            write_from_floats(to_dtype, block, put, to_step, part);
        } else {
            int64_t block[BLOCK];
            read_integers(from_dtype, block, get, from_step, part);
            write_from_integers(to_dtype, block, put, to_step, part);
        }
    }
}

#define MOVE_LOOP(bytes)                                                                           \
    for (int64_t i = 0; i < n; i++) {                                                              \
        memcpy(to + i * to_step, from + i * from_step, bytes);                                     \
    }                                                                                              \
    break

static void move_row(size_t size, char *to, int64_t to_step, const char *from, int64_t from_step,
                     int64_t n) {
    if (to_step == (int64_t)size && from_step == (int64_t)size) {
        memcpy(to, from, (size_t)n * size);
        return;
    }
    switch (size) {
    case 1:
        MOVE_LOOP(1);
    case 2:
        MOVE_LOOP(2);
    case 4:
        MOVE_LOOP(4);
    case 8:
        MOVE_LOOP(8);
    default:
        MOVE_LOOP(sizeof(kata_string));
    }
}

/* The axes without those of size 1, and joined where both sides step on evenly. */
static int make_walk(const kata_tensor *to, const kata_tensor *from, struct axis walk[]) {
    int64_t to_size = (int64_t)kata_dtype_size(to->dtype);
    int64_t from_size = (int64_t)kata_dtype_size(from->dtype);
    int n = 0;
    for (int i = 0; i < to->shape.rank; i++) {
        int64_t size = to->shape.dim[i];
        struct axis next = {size, to->stride[i] * to_size, from->stride[i] * from_size};
        if (size == 1) {
            continue;
        }
        struct axis *last = n > 0 ? &walk[n - 1] : NULL;
        if (last != NULL && last->to == next.to * size && last->from == next.from * size) {
            last->size *= size;
            last->to = next.to;
            last->from = next.from;
        } else {
            walk[n++] = next;
        }
    }
    if (n == 0) {
        walk[n++] = (struct axis){1, to_size, from_size};
    }
    return n;
}

static kata_status check(const kata_tensor *to, const kata_tensor *from) {
    KATA__TRY(kata__dtype_check(to->dtype, "copy to"));
    KATA__TRY(kata__dtype_check(from->dtype, "copy from"));
    if ((to->dtype == KATA_STRING) != (from->dtype == KATA_STRING)) {
        return kata_fail(KATA_DTYPE, "copy: %s elements do not fit a tensor of %s",
                         kata_dtype_name(from->dtype), kata_dtype_name(to->dtype));
    }
    KATA__TRY(kata__shape_check(&to->shape, false, "copy"));
    char text_to[KATA_SHAPE_TEXT_SIZE], text_from[KATA_SHAPE_TEXT_SIZE];
    if (!kata_shape_equal(&to->shape, &from->shape)) {
        return kata_fail(KATA_SHAPE, "copy: a tensor of shape %s does not fit one of shape %s",
                         kata_shape_text(&from->shape, text_from),
                         kata_shape_text(&to->shape, text_to));
    }
    if (kata_shape_count(&to->shape) < 0) {
        return kata_fail(KATA_LIMIT, "copy: shape %s has more elements than can be counted",
                         kata_shape_text(&to->shape, text_to));
    }
    for (int axis = 0; axis < to->shape.rank; axis++) {
        if (to->stride[axis] == 0 && to->shape.dim[axis] > 1) {
            return kata_fail(
                KATA_INVALID,
                "copy: the destination of shape %s is a broadcast view at axis %d; its "
                "elements share one place",
                kata_shape_text(&to->shape, text_to), axis);
        }
    }
    return KATA_OK;
}

kata_status kata_tensor_copy(const kata_tensor *to, const kata_tensor *from) {
    KATA__TRY(check(to, from));
    int64_t count = kata_tensor_count(to);
    if (count == 0) {
        return KATA_OK;
    }
    size_t size = kata_dtype_size(to->dtype);
    bool same = to->dtype == from->dtype;
    if (same && kata_tensor_is_contiguous(to) && kata_tensor_is_contiguous(from)) {
        memmove(to->data, from->data, (size_t)count * size);
        return KATA_OK;
    }
    struct axis walk[KATA_MAX_RANK];
    int last = make_walk(to, from, walk) - 1;
    int64_t index[KATA_MAX_RANK] = {0};
    char *to_row = to->data;
    const char *from_row = from->data;
    for (;;) {
        if (same) {
            move_row(size, to_row, walk[last].to, from_row, walk[last].from, walk[last].size);
        } else {
            convert_row(to->dtype, to_row, walk[last].to, from->dtype, from_row, walk[last].from,
                        walk[last].size);
        }
        int axis = last - 1;
        while (axis >= 0 && ++index[axis] == walk[axis].size) {
            index[axis] = 0;
            to_row -= (walk[axis].size - 1) * walk[axis].to;
            from_row -= (walk[axis].size - 1) * walk[axis].from;
            axis--;
        }
        if (axis < 0) {
            return KATA_OK;
        }
        to_row += walk[axis].to;
        from_row += walk[axis].from;
    }
}
