/* Kata, tensor room: dtype, shape, strides, views, broadcasting by ONNX rules. */
#ifndef KATA_TENSOR_H
#define KATA_TENSOR_H

#include <kata/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, text, bytes of an element in memory, ONNX TensorProto.DataType code). F16, BF16 and the
 * 8-bit floats are storage types: they are converted to float32 to compute. I4 and U4 take a byte
 * each in memory, so that every element has an address; files pack two into one. An element of
 * STRING is a kata_string. */
#define KATA_DTYPE_LIST(X)                                                                         \
    X(F32, "float32", 4, 1)                                                                        \
    X(F64, "float64", 8, 11)                                                                       \
    X(F16, "float16", 2, 10)                                                                       \
    X(BF16, "bfloat16", 2, 16)                                                                     \
    X(I8, "int8", 1, 3)                                                                            \
    X(I32, "int32", 4, 6)                                                                          \
    X(I64, "int64", 8, 7)                                                                          \
    X(U8, "uint8", 1, 2)                                                                           \
    X(BOOL, "bool", 1, 9)                                                                          \
    X(I16, "int16", 2, 5)                                                                          \
    X(U16, "uint16", 2, 4)                                                                         \
    X(U32, "uint32", 4, 12)                                                                        \
    X(U64, "uint64", 8, 13)                                                                        \
    X(I4, "int4", 1, 22)                                                                           \
    X(U4, "uint4", 1, 21)                                                                          \
    X(F8E4M3FN, "float8e4m3fn", 1, 17)                                                             \
    X(F8E4M3FNUZ, "float8e4m3fnuz", 1, 18)                                                         \
    X(F8E5M2, "float8e5m2", 1, 19)                                                                 \
    X(F8E5M2FNUZ, "float8e5m2fnuz", 1, 20)                                                         \
    X(STRING, "string", 16, 8)

typedef enum kata_dtype {
    KATA_NO_DTYPE = 0,
#define X(name, text, bytes, onnx) KATA_##name,
    KATA_DTYPE_LIST(X)
#undef X
        KATA_DTYPE_COUNT
} kata_dtype;

/* An element of a string tensor: UTF-8, not ended by a zero byte; zeroed it is the empty text. The
 * element shows the bytes and does not own them. */
typedef struct kata_string {
    const char *data;
    int64_t n_bytes;
} kata_string;

KATA_API size_t kata_dtype_size(kata_dtype dtype);
KATA_API const char *kata_dtype_name(kata_dtype dtype); /* "float32", "?" if unknown */
KATA_API bool kata_dtype_is_float(kata_dtype dtype);    /* of any width */

#define KATA_MAX_RANK 8
#define KATA_UNKNOWN_DIM (-1) /* an open size without a name; one with a name is below it */

typedef struct kata_shape {
    int rank;
    int64_t dim[KATA_MAX_RANK];
} kata_shape;

/* KATA_SHAPE_OF(2, 3) is the shape (2,3), an object whose address may be taken. */
#define KATA_SHAPE_OF(...)                                                                         \
    ((kata_shape){.rank = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),               \
                  .dim = {__VA_ARGS__}})
KATA_API kata_shape kata_shape_make(int rank, const int64_t *dim);
KATA_API bool kata_shape_equal(const kata_shape *a, const kata_shape *b);

/* Number of elements; 1 for rank 0; -1 if a size is unknown or the product overflows. */
KATA_API int64_t kata_shape_count(const kata_shape *shape);

/* "(2,3)", "(2,)", "()", an unknown size as "?". Returns `text`. */
#define KATA_SHAPE_TEXT_SIZE 192
KATA_API const char *kata_shape_text(const kata_shape *shape, char text[KATA_SHAPE_TEXT_SIZE]);

/* The ONNX broadcast of a and b (aligned at the last axis; sizes equal, or one of them 1; an
 * unknown size goes with 1 and with itself and takes the other's known size otherwise). KATA_SHAPE
 * error names both shapes. */
KATA_API kata_status kata_shape_broadcast(kata_shape *out, const kata_shape *a,
                                          const kata_shape *b);

/* A tensor is a view: it does not say who owns `data`. Strides are in elements and may be 0
 * (broadcast) or negative. `owner` is not NULL only for a tensor made by kata_tensor_new, whose
 * data kata_tensor_release gives back. Copying the struct makes a view; release the original only.
 */
typedef struct kata_tensor {
    kata_dtype dtype;
    kata_shape shape;
    int64_t stride[KATA_MAX_RANK];
    void *data;
    kata_context *owner;
} kata_tensor;

/* New contiguous tensor, zeroed, data aligned to 64 bytes. */
KATA_API kata_status kata_tensor_new(kata_tensor *out, kata_context *context, kata_dtype dtype,
                                     const kata_shape *shape);
KATA_API void kata_tensor_release(kata_tensor *tensor);
/* A new contiguous tensor with the elements of `from`, which may be any view. Of strings the bytes
 * are copied too, into the same block, and are checked: KATA_FORMAT if one is not UTF-8. */
KATA_API kata_status kata_tensor_clone(kata_tensor *out, kata_context *context,
                                       const kata_tensor *from);

/* A contiguous row-major view of the caller's memory. */
KATA_API kata_tensor kata_tensor_view(void *data, kata_dtype dtype, const kata_shape *shape);

KATA_API int64_t kata_tensor_count(const kata_tensor *tensor);
KATA_API size_t kata_tensor_bytes(const kata_tensor *tensor); /* count * dtype size */
KATA_API bool kata_tensor_is_contiguous(const kata_tensor *tensor);

/* Views; none copies. KATA_INVALID or KATA_SHAPE with both shapes in the message.
 * slice: [start, stop) by `step` (not 0) on one axis, Python's rules for negative numbers.
 * transpose: axes is a permutation of 0..rank-1, NULL reverses. reshape: contiguous tensors only,
 * one size may be -1. */
KATA_API kata_status kata_tensor_slice(kata_tensor *out, const kata_tensor *tensor, int axis,
                                       int64_t start, int64_t stop, int64_t step);
KATA_API kata_status kata_tensor_transpose(kata_tensor *out, const kata_tensor *tensor,
                                           const int *axes);
KATA_API kata_status kata_tensor_reshape(kata_tensor *out, const kata_tensor *tensor,
                                         const kata_shape *shape);
KATA_API kata_status kata_tensor_broadcast(kata_tensor *out, const kata_tensor *tensor,
                                           const kata_shape *shape);

/* One element as a double, at multi-index `index` (rank numbers). Any dtype but strings, whose
 * elements read as NaN and are not set; integers above 2^53 lose bits. Outside the shape get gives
 * NaN and set does nothing; both set the error sentence. */
KATA_API double kata_tensor_get(const kata_tensor *tensor, const int64_t *index);
KATA_API void kata_tensor_set(const kata_tensor *tensor, const int64_t *index, double value);

/* Element `i` of contiguous data of any dtype as a double; the plain reference kernels use these.
 */
KATA_API double kata_load(kata_dtype dtype, const void *data, int64_t i);
KATA_API void kata_store(kata_dtype dtype, void *data, int64_t i, double value);

/* Copies with conversion (as ONNX Cast: float to integer truncates, NaN to bool is true, an 8-bit
 * float takes its largest number for what is beyond it) and strides on either side. Shapes must be
 * equal. Strings go to strings alone; what is copied shows the same bytes. */
KATA_API kata_status kata_tensor_copy(const kata_tensor *to, const kata_tensor *from);

KATA_API float kata_f16_to_f32(uint16_t bits);
KATA_API uint16_t kata_f32_to_f16(float value); /* round to nearest even, overflow to infinity */
KATA_API float kata_bf16_to_f32(uint16_t bits);
KATA_API uint16_t kata_f32_to_bf16(float value); /* round to nearest even, NaN stays NaN */

#ifdef __cplusplus
}
#endif
#endif
