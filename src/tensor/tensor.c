/* Tensors and their views. */
#include <kata/tensor.h>

#include "base/check.h"
#include "base/memory.h"
#include "base/text.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

kata_status kata_tensor_new(kata_tensor *out, kata_context *context, kata_dtype dtype,
                            const kata_shape *shape) {
    if (context == NULL) {
        return kata_fail(KATA_INVALID, "kata_tensor_new: a tensor needs a context (it is NULL)");
    }
    KATA__TRY(kata__dtype_check(dtype, "new tensor"));
    KATA__TRY(kata__shape_check(shape, false, "new tensor"));
    int64_t count = kata_shape_count(shape), n_bytes;
    char text[KATA_SHAPE_TEXT_SIZE];
    if (count < 0 || __builtin_mul_overflow(count, (int64_t)kata_dtype_size(dtype), &n_bytes)) {
        return kata_fail(KATA_LIMIT,
                         "a new tensor of shape %s would have more bytes than can be "
                         "addressed",
                         kata_shape_text(shape, text));
    }
    void *data = kata__alloc_zero(context, (size_t)n_bytes, 1);
    if (data == NULL) {
        return kata_fail_in(KATA_OUT_OF_MEMORY, "new tensor of shape %s",
                            kata_shape_text(shape, text));
    }
    *out = kata_tensor_view(data, dtype, shape);
    out->owner = context;
    return KATA_OK;
}

kata_status kata__tensor_packed_bytes(size_t *n_bytes, const kata_tensor *from) {
    KATA__TRY(kata__dtype_check(from->dtype, "copy of a tensor"));
    KATA__TRY(kata__shape_check(&from->shape, false, "copy of a tensor"));
    const int64_t count = kata_tensor_count(from);
    int64_t bytes;
    char text[KATA_SHAPE_TEXT_SIZE];
    if (count < 0 || __builtin_mul_overflow(count, (int64_t)kata_dtype_size(from->dtype), &bytes)) {
        return kata_fail(KATA_LIMIT, "a tensor of shape %s has more bytes than can be addressed",
                         kata_shape_text(&from->shape, text));
    }
    int64_t index[KATA_MAX_RANK] = {0};
    for (int64_t i = 0; from->dtype == KATA_STRING && i < count; i++) {
        int64_t at = 0;
        for (int axis = 0; axis < from->shape.rank; axis++) {
            at += index[axis] * from->stride[axis];
        }
        for (int axis = from->shape.rank - 1; axis >= 0 && ++index[axis] == from->shape.dim[axis];
             axis--) {
            index[axis] = 0;
        }
        const kata_string element = ((const kata_string *)from->data)[at];
        if (element.n_bytes < 0 || (element.data == NULL && element.n_bytes > 0) ||
            !kata__text_is_utf8(element.data, (size_t)element.n_bytes)) {
            return kata_fail(KATA_FORMAT, "element %" PRId64 " is no UTF-8 text", i);
        }
        if (__builtin_add_overflow(bytes, element.n_bytes, &bytes)) {
            return kata_fail(KATA_LIMIT, "the texts have more bytes than can be addressed");
        }
    }
    *n_bytes = (size_t)bytes;
    return KATA_OK;
}

kata_status kata__tensor_pack(kata_tensor *out, void *block, const kata_tensor *from) {
    *out = kata_tensor_view(block, from->dtype, &from->shape);
    KATA__TRY(kata_tensor_copy(out, from));
    const int64_t count = from->dtype == KATA_STRING ? kata_tensor_count(out) : 0;
    kata_string *elements = block;
    char *bytes = (char *)block + (size_t)count * sizeof *elements;
    for (int64_t i = 0; i < count; i++) {
        const size_t n = (size_t)elements[i].n_bytes;
        if (n > 0) {
            memcpy(bytes, elements[i].data, n);
        }
        elements[i].data = bytes;
        bytes += n;
    }
    return KATA_OK;
}

kata_status kata_tensor_clone(kata_tensor *out, kata_context *context, const kata_tensor *from) {
    size_t n_bytes;
    KATA__TRY(kata__tensor_packed_bytes(&n_bytes, from));
    void *block = kata__alloc(context, n_bytes, 1);
    if (block == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    kata_tensor made;
    kata_status status = kata__tensor_pack(&made, block, from);
    if (status != KATA_OK) {
        kata__free(context, block);
        return status;
    }
    made.owner = context;
    *out = made;
    return KATA_OK;
}

void kata_tensor_release(kata_tensor *tensor) {
    if (tensor == NULL) {
        return;
    }
    if (tensor->owner != NULL) {
        kata__free(tensor->owner, tensor->data);
    }
    *tensor = (kata_tensor){.dtype = KATA_NO_DTYPE};
}

kata_tensor kata_tensor_view(void *data, kata_dtype dtype, const kata_shape *shape) {
    kata_tensor tensor = {.dtype = dtype, .shape = *shape, .data = data};
    kata__shape_strides(shape, tensor.stride);
    return tensor;
}

int64_t kata_tensor_count(const kata_tensor *tensor) {
    return kata_shape_count(&tensor->shape);
}

size_t kata_tensor_bytes(const kata_tensor *tensor) {
    int64_t count = kata_tensor_count(tensor);
    size_t n_bytes;
    if (count < 0 ||
        __builtin_mul_overflow((size_t)count, kata_dtype_size(tensor->dtype), &n_bytes)) {
        return 0;
    }
    return n_bytes;
}

bool kata_tensor_is_contiguous(const kata_tensor *tensor) {
    int64_t step = 1, count = kata_tensor_count(tensor);
    if (count <= 0) {
        return count == 0;
    }
    for (int axis = tensor->shape.rank - 1; axis >= 0; axis--) {
        int64_t size = tensor->shape.dim[axis];
        if (size != 1 && tensor->stride[axis] != step) {
            return false;
        }
        step *= size;
    }
    return true;
}

/* A view of a tensor owns nothing. */
static kata_tensor view_of(const kata_tensor *tensor) {
    kata_tensor view = *tensor;
    view.owner = NULL;
    return view;
}

static void *address(const kata_tensor *tensor, int64_t element) {
    int64_t n_bytes = element * (int64_t)kata_dtype_size(tensor->dtype);
    return n_bytes == 0 ? tensor->data : (char *)tensor->data + n_bytes;
}

kata_status kata_tensor_slice(kata_tensor *out, const kata_tensor *tensor, int axis, int64_t start,
                              int64_t stop, int64_t step) {
    KATA__TRY(kata__shape_check(&tensor->shape, false, "slice"));
    KATA__TRY(kata__shape_axis(&axis, &tensor->shape, axis));
    if (step == 0) {
        return kata_fail(KATA_INVALID, "slice: the step must not be 0");
    }
    int64_t size = tensor->shape.dim[axis], low = step > 0 ? 0 : -1, high = low + size;
    start = start < 0 ? start + size : start;
    stop = stop < 0 ? stop + size : stop;
    start = start < low ? low : start > high ? high : start;
    stop = stop < low ? low : stop > high ? high : stop;
    /* In 0..size-1 without overflow; the step's size as unsigned since -INT64_MIN has no signed. */
    uint64_t distance = step > 0 ? (stop > start ? (uint64_t)(stop - start) : 0)
                                 : (start > stop ? (uint64_t)(start - stop) : 0);
    uint64_t stride = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
    int64_t length = distance == 0 ? 0 : (int64_t)((distance - 1) / stride) + 1;
    kata_tensor view = view_of(tensor);
    view.shape.dim[axis] = length;
    if (length > 0) {
        view.data = address(tensor, start * tensor->stride[axis]);
    }
    if (length > 1) { /* then |step| < size; otherwise the stride means nothing */
        view.stride[axis] = tensor->stride[axis] * step;
    }
    *out = view;
    return KATA_OK;
}

kata_status kata_tensor_transpose(kata_tensor *out, const kata_tensor *tensor, const int *axes) {
    KATA__TRY(kata__shape_check(&tensor->shape, true, "transpose"));
    int rank = tensor->shape.rank;
    unsigned seen = 0;
    kata_tensor view = view_of(tensor);
    for (int axis = 0; axis < rank; axis++) {
        int from = axes != NULL ? axes[axis] : rank - 1 - axis;
        if (from < 0 || from >= rank || (seen >> from & 1u) != 0) {
            char text[KATA_SHAPE_TEXT_SIZE];
            return kata_fail(KATA_INVALID,
                             "transpose of shape %s: the axes must be each of 0 to %d once, but "
                             "number %d is %d",
                             kata_shape_text(&tensor->shape, text), rank - 1, axis, from);
        }
        seen |= 1u << from;
        view.shape.dim[axis] = tensor->shape.dim[from];
        view.stride[axis] = tensor->stride[from];
    }
    *out = view;
    return KATA_OK;
}

kata_status kata_tensor_reshape(kata_tensor *out, const kata_tensor *tensor,
                                const kata_shape *shape) {
    kata_shape result;
    KATA__TRY(kata__shape_reshape(&result, &tensor->shape, shape));
    if (!kata_tensor_is_contiguous(tensor)) {
        char from[KATA_SHAPE_TEXT_SIZE], to[KATA_SHAPE_TEXT_SIZE];
        return kata_fail(KATA_INVALID,
                         "shape %s cannot become %s: the tensor is not contiguous; copy it first",
                         kata_shape_text(&tensor->shape, from), kata_shape_text(&result, to));
    }
    *out = kata_tensor_view(tensor->data, tensor->dtype, &result);
    return KATA_OK;
}

kata_status kata_tensor_broadcast(kata_tensor *out, const kata_tensor *tensor,
                                  const kata_shape *shape) {
    kata_shape both, target = *shape; /* `shape` may lie in *out */
    KATA__TRY(kata__shape_check(&tensor->shape, false, "broadcast"));
    KATA__TRY(kata__shape_check(&target, false, "broadcast"));
    KATA__TRY(kata_shape_broadcast(&both, &tensor->shape, &target));
    if (!kata_shape_equal(&both, &target)) {
        char from[KATA_SHAPE_TEXT_SIZE], to[KATA_SHAPE_TEXT_SIZE];
        return kata_fail(KATA_SHAPE, "shape %s cannot be broadcast to %s: it has the larger size",
                         kata_shape_text(&tensor->shape, from), kata_shape_text(&target, to));
    }
    kata_tensor view = view_of(tensor);
    view.shape = target;
    int skip = target.rank - tensor->shape.rank;
    for (int axis = 0; axis < target.rank; axis++) {
        bool repeated = axis < skip || tensor->shape.dim[axis - skip] != target.dim[axis];
        view.stride[axis] = repeated ? 0 : tensor->stride[axis - skip];
    }
    *out = view;
    return KATA_OK;
}

/* The element's place, counted from data; false and an error set if the index is outside. */
static bool locate(const kata_tensor *tensor, const int64_t *index, int64_t *element) {
    int64_t at = 0;
    if (tensor->shape.rank < 0 || tensor->shape.rank > KATA_MAX_RANK) {
        (void)kata__shape_check(&tensor->shape, false, "element");
        return false;
    }
    for (int axis = 0; axis < tensor->shape.rank; axis++) {
        if (index[axis] < 0 || index[axis] >= tensor->shape.dim[axis]) {
            char text[KATA_SHAPE_TEXT_SIZE];
            (void)kata_fail(KATA_INVALID, "index %" PRId64 " at axis %d is outside shape %s",
                            index[axis], axis, kata_shape_text(&tensor->shape, text));
            return false;
        }
        at += index[axis] * tensor->stride[axis];
    }
    *element = at;
    return true;
}

double kata_tensor_get(const kata_tensor *tensor, const int64_t *index) {
    int64_t element;
    return locate(tensor, index, &element) ? kata_load(tensor->dtype, tensor->data, element)
                                           : (double)NAN;
}

void kata_tensor_set(const kata_tensor *tensor, const int64_t *index, double value) {
    int64_t element;
    if (locate(tensor, index, &element)) {
        kata_store(tensor->dtype, tensor->data, element, value);
    }
}
