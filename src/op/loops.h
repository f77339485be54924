/* Loops of the plain kernels: a walk over broadcast operands, a strided copy, exact integers. */
#ifndef KATA_OP_LOOPS_H
#define KATA_OP_LOOPS_H

#include <kata/op.h>

/* Element `i` of contiguous integer or bool data, exactly. */
static inline int64_t kata__load_int(kata_dtype dtype, const void *data, int64_t i) {
    switch (dtype) {
    case KATA_I64:
        return ((const int64_t *)data)[i];
    case KATA_I32:
        return ((const int32_t *)data)[i];
    case KATA_I8:
    case KATA_I4:
        return ((const int8_t *)data)[i];
    case KATA_I16:
        return ((const int16_t *)data)[i];
    case KATA_U16:
        return ((const uint16_t *)data)[i];
    case KATA_U32:
        return ((const uint32_t *)data)[i];
    case KATA_U64: /* the same bits */
        return (int64_t)((const uint64_t *)data)[i];
    default:
        return ((const uint8_t *)data)[i];
    }
}

/* Stores modulo 2^bits, as integer arithmetic wraps in ONNX runtimes; bool: 0 or 1. */
static inline void kata__store_int(kata_dtype dtype, void *data, int64_t i, int64_t value) {
    switch (dtype) {
    case KATA_I64:
        ((int64_t *)data)[i] = value;
        break;
    case KATA_I32:
        ((int32_t *)data)[i] = (int32_t)(uint32_t)(uint64_t)value;
        break;
    case KATA_I8:
        ((int8_t *)data)[i] = (int8_t)(uint8_t)(uint64_t)value;
        break;
    case KATA_U8:
        ((uint8_t *)data)[i] = (uint8_t)(uint64_t)value;
        break;
    case KATA_I16:
    case KATA_U16:
        ((uint16_t *)data)[i] = (uint16_t)(uint64_t)value;
        break;
    case KATA_U32:
        ((uint32_t *)data)[i] = (uint32_t)(uint64_t)value;
        break;
    case KATA_U64:
        ((uint64_t *)data)[i] = (uint64_t)value;
        break;
    default:
        ((uint8_t *)data)[i] = value != 0;
        break;
    }
}

/* int64 arithmetic that wraps. */
static inline int64_t kata__wrap_add(int64_t a, int64_t b) {
    return (int64_t)((uint64_t)a + (uint64_t)b);
}
static inline int64_t kata__wrap_sub(int64_t a, int64_t b) {
    return (int64_t)((uint64_t)a - (uint64_t)b);
}
static inline int64_t kata__wrap_mul(int64_t a, int64_t b) {
    return (int64_t)((uint64_t)a * (uint64_t)b);
}

/* Strides in elements of contiguous data of this shape; and of `in` broadcast to `out`. */
void kata__strides(const kata_shape *shape, int64_t stride[KATA_MAX_RANK]);
void kata__broadcast_strides(const kata_shape *out, const kata_shape *in,
                             int64_t stride[KATA_MAX_RANK]);

/* A walk over up to four operands with strides of their own, row by row: neighbouring axes are
 * merged where all operands allow it, the innermost is the row that the caller loops over.
 *
 *     for (; walk.rows > 0; kata__walk_next(&walk))
 *         for (int64_t j = 0; j < walk.n; j++)
 *             z[walk.at[0] + j * walk.step[0]] = f(a[walk.at[1] + j * walk.step[1]]);
 */
#define KATA__WALK_OPERANDS 4
#define KATA__WALK_AXES (2 * KATA_MAX_RANK)
typedef struct kata__walk {
    int rank, n_operands;
    int64_t dim[KATA__WALK_AXES], index[KATA__WALK_AXES];
    int64_t stride[KATA__WALK_OPERANDS][KATA__WALK_AXES];
    int64_t rows, n;                                            /* rows left, length of a row */
    int64_t at[KATA__WALK_OPERANDS], step[KATA__WALK_OPERANDS]; /* where the row is */
} kata__walk;
void kata__walk_start(kata__walk *walk, int rank, const int64_t *dim, int n_operands,
                      const int64_t *const *strides);
void kata__walk_next(kata__walk *walk);
/* The usual walk: operand 0 is the contiguous output, operand i > 0 is call->inputs[first + i - 1]
 * broadcast to it. */
void kata__walk_call(kata__walk *walk, const kata_call *call, int first, int n_inputs);

/* to[i * to_stride] = from[i * from_stride] for each multi-index i: transpose, slice, expand, tile,
 * concat. Elements of 1, 2, 4, 8 or 16 bytes; strides in elements, `from` ones may be 0 or
 * negative; `to` ones must not make two elements share a place. Runs become memcpy, transposes are
 * blocked, large ones use the context's threads. */
void kata__copy_strided(kata_context *context, size_t element_size, int rank, const int64_t *dim,
                        void *to, const int64_t *to_stride, const void *from,
                        const int64_t *from_stride);

/* Divides output 0 (float32 or float64) by a number, in place: means. */
void kata__divide_output(const kata_call *call, double divisor);

/* Splits a shape at an axis: sizes before it and after it. */
static inline int64_t kata__size_before(const kata_shape *shape, int axis) {
    int64_t n = 1;
    for (int i = 0; i < axis; i++) {
        n *= shape->dim[i];
    }
    return n;
}
static inline int64_t kata__size_after(const kata_shape *shape, int axis) {
    int64_t n = 1;
    for (int i = axis + 1; i < shape->rank; i++) {
        n *= shape->dim[i];
    }
    return n;
}

/* Operators that only move data compute nothing. */
double kata__flops_none(const kata_call *call);
/* One for each element of input 0: reductions. */
double kata__flops_input(const kata_call *call);

#endif
