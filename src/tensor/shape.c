/* Shapes: text, count, and the rules of broadcasting, reshaping and matrix products. */
#include "tensor/shape.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool rank_is_valid(const kata_shape *shape) {
    return shape->rank >= 0 && shape->rank <= KATA_MAX_RANK;
}

kata_shape kata_shape_make(int rank, const int64_t *dim) {
    kata_shape shape = {.rank = rank};
    if (!rank_is_valid(&shape)) {
        shape.rank = -1; /* refused wherever it is used */
        return shape;
    }
    for (int axis = 0; axis < rank; axis++) {
        shape.dim[axis] = dim[axis];
    }
    return shape;
}

bool kata_shape_equal(const kata_shape *a, const kata_shape *b) {
    if (a->rank != b->rank || !rank_is_valid(a)) {
        return false;
    }
    for (int axis = 0; axis < a->rank; axis++) {
        if (a->dim[axis] != b->dim[axis]) {
            return false;
        }
    }
    return true;
}

int64_t kata_shape_count(const kata_shape *shape) {
    if (!rank_is_valid(shape)) {
        return -1;
    }
    /* The sizes other than 0 must have a product too: strides are made of it. */
    int64_t product = 1;
    bool empty = false;
    for (int axis = 0; axis < shape->rank; axis++) {
        int64_t size = shape->dim[axis];
        if (size < 0) {
            return -1;
        }
        if (size == 0) {
            empty = true;
        } else if (__builtin_mul_overflow(product, size, &product)) {
            return -1;
        }
    }
    return empty ? 0 : product;
}

const char *kata_shape_text(const kata_shape *shape, char text[KATA_SHAPE_TEXT_SIZE]) {
    if (!rank_is_valid(shape)) {
        snprintf(text, KATA_SHAPE_TEXT_SIZE, "(a shape of no valid rank)");
        return text;
    }
    size_t used = 0;
    text[used++] = '(';
    for (int axis = 0; axis < shape->rank; axis++) {
        const char *comma = axis > 0 ? "," : "";
        int put = shape->dim[axis] < 0
                      ? snprintf(text + used, KATA_SHAPE_TEXT_SIZE - used, "%s?", comma)
                      : snprintf(text + used, KATA_SHAPE_TEXT_SIZE - used, "%s%" PRId64, comma,
                                 shape->dim[axis]);
        used += (size_t)put; /* at most 8 * 21 + 3: it fits */
    }
    memcpy(text + used, shape->rank == 1 ? ",)" : ")", shape->rank == 1 ? 3 : 2);
    return text;
}

kata_status kata__shape_check(const kata_shape *shape, bool unknown_allowed, const char *what) {
    if (!rank_is_valid(shape)) {
        return kata_fail(KATA_SHAPE, "%s: the rank must be in 0 to %d", what, KATA_MAX_RANK);
    }
    for (int axis = 0; axis < shape->rank; axis++) {
        int64_t size = shape->dim[axis];
        if (size < 0 && !unknown_allowed) {
            char text[KATA_SHAPE_TEXT_SIZE];
            kata_shape_text(shape, text);
            return size == KATA_UNKNOWN_DIM
                       ? kata_fail(KATA_SHAPE, "%s: shape %s has an unknown size at axis %d", what,
                                   text, axis)
                       : kata_fail(KATA_SHAPE,
                                   "%s: shape %s has the negative size %" PRId64 " at axis %d",
                                   what, text, size, axis);
        }
    }
    return KATA_OK;
}

void kata__shape_strides(const kata_shape *shape, int64_t stride[KATA_MAX_RANK]) {
    uint64_t step = 1; /* unsigned: wraps for a shape that kata_shape_count refuses */
    for (int axis = KATA_MAX_RANK - 1; axis >= 0; axis--) {
        if (axis >= shape->rank) {
            stride[axis] = 0;
            continue;
        }
        stride[axis] = (int64_t)step;
        step *= shape->dim[axis] > 0 ? (uint64_t)shape->dim[axis] : 1;
    }
}

kata_status kata__shape_axis(int *out, const kata_shape *shape, int axis) {
    int rank = shape->rank;
    if (axis < -rank || axis >= rank) {
        char text[KATA_SHAPE_TEXT_SIZE];
        return kata_fail(KATA_INVALID, "shape %s has no axis %d", kata_shape_text(shape, text),
                         axis);
    }
    *out = axis < 0 ? axis + rank : axis;
    return KATA_OK;
}

/* One axis of a broadcast; false where the sizes differ and neither gives way. */
static bool broadcast_size(int64_t a, int64_t b, int64_t *out) {
    if (a == b || b == 1) {
        *out = a;
    } else if (a == 1) {
        *out = b;
    } else if (a < 0 && b < 0) {
        *out = KATA_UNKNOWN_DIM; /* the one that is not 1 */
    } else if (a < 0) {
        *out = b;
    } else if (b < 0) {
        *out = a;
    } else {
        return false;
    }
    return true;
}

static kata_status check_pair(const kata_shape *a, const kata_shape *b, const char *what) {
    kata_status status = kata__shape_check(a, true, what);
    return status != KATA_OK ? status : kata__shape_check(b, true, what);
}

kata_status kata_shape_broadcast(kata_shape *out, const kata_shape *a, const kata_shape *b) {
    kata_status status = check_pair(a, b, "broadcast");
    if (status != KATA_OK) {
        return status;
    }
    kata_shape result = {.rank = a->rank > b->rank ? a->rank : b->rank};
    int skip_a = result.rank - a->rank, skip_b = result.rank - b->rank;
    for (int axis = 0; axis < result.rank; axis++) {
        int64_t size_a = axis < skip_a ? 1 : a->dim[axis - skip_a];
        int64_t size_b = axis < skip_b ? 1 : b->dim[axis - skip_b];
        if (!broadcast_size(size_a, size_b, &result.dim[axis])) {
            char text_a[KATA_SHAPE_TEXT_SIZE], text_b[KATA_SHAPE_TEXT_SIZE];
            return kata_fail(KATA_SHAPE,
                             "shapes %s and %s cannot be broadcast: %" PRId64 " and %" PRId64
                             " differ at axis %d",
                             kata_shape_text(a, text_a), kata_shape_text(b, text_b), size_a, size_b,
                             axis);
        }
    }
    *out = result;
    return KATA_OK;
}

kata_status kata__shape_reshape(kata_shape *out, const kata_shape *from, const kata_shape *shape) {
    kata_status status = kata__shape_check(from, false, "reshape");
    if (status == KATA_OK) {
        status = kata__shape_check(shape, true, "reshape");
    }
    if (status != KATA_OK) {
        return status;
    }
    char text_from[KATA_SHAPE_TEXT_SIZE], text[KATA_SHAPE_TEXT_SIZE];
    kata_shape_text(from, text_from);
    kata_shape_text(shape, text);
    kata_shape result = *shape;
    int unknown = -1;
    for (int axis = 0; axis < shape->rank; axis++) {
        if (shape->dim[axis] >= 0) {
            continue;
        }
        if (shape->dim[axis] != KATA_UNKNOWN_DIM) {
            return kata_fail(KATA_SHAPE, "reshape: the size %" PRId64 " at axis %d is negative",
                             shape->dim[axis], axis);
        }
        if (unknown >= 0) {
            return kata_fail(KATA_SHAPE,
                             "shape %s cannot become %s: only one size may be worked out",
                             text_from, text);
        }
        unknown = axis;
        result.dim[axis] = 1;
    }
    int64_t have = kata_shape_count(from), others = kata_shape_count(&result);
    if (have < 0) {
        return kata_fail(KATA_LIMIT, "shape %s has more elements than can be counted", text_from);
    }
    if (unknown >= 0 && others > 0 && have % others == 0) {
        result.dim[unknown] = have / others;
    } else if (unknown >= 0) {
        return kata_fail(KATA_SHAPE,
                         "shape %s cannot become %s: %" PRId64
                         " elements cannot be shared out over "
                         "%" PRId64,
                         text_from, text, have, others);
    } else if (have != others) {
        return kata_fail(KATA_SHAPE,
                         "shape %s cannot become %s: it has %" PRId64 " elements, not "
                         "%" PRId64,
                         text_from, text, have, others);
    }
    *out = result;
    return KATA_OK;
}

kata_status kata__shape_matmul(kata_shape *out, const kata_shape *a, const kata_shape *b) {
    kata_status status = check_pair(a, b, "matrix product");
    if (status != KATA_OK) {
        return status;
    }
    char text_a[KATA_SHAPE_TEXT_SIZE], text_b[KATA_SHAPE_TEXT_SIZE];
    kata_shape_text(a, text_a);
    kata_shape_text(b, text_b);
    if (a->rank == 0 || b->rank == 0) {
        return kata_fail(KATA_SHAPE,
                         "shapes %s and %s have no matrix product: a single number has no axis to "
                         "multiply along",
                         text_a, text_b);
    }
    int inner_a = a->rank - 1, inner_b = b->rank >= 2 ? b->rank - 2 : 0;
    int64_t size_a = a->dim[inner_a], size_b = b->dim[inner_b];
    if (size_a != size_b && size_a >= 0 && size_b >= 0) {
        return kata_fail(KATA_SHAPE,
                         "shapes %s and %s not aligned: %" PRId64 " (dim %d) != %" PRId64
                         " (dim %d)",
                         text_a, text_b, size_a, inner_a, size_b, inner_b);
    }
    int batch_a = a->rank > 2 ? a->rank - 2 : 0, batch_b = b->rank > 2 ? b->rank - 2 : 0;
    kata_shape result = {.rank = batch_a > batch_b ? batch_a : batch_b};
    for (int axis = 0; axis < result.rank; axis++) {
        int at_a = axis - (result.rank - batch_a), at_b = axis - (result.rank - batch_b);
        int64_t one = at_a < 0 ? 1 : a->dim[at_a], other = at_b < 0 ? 1 : b->dim[at_b];
        if (!broadcast_size(one, other, &result.dim[axis])) {
            return kata_fail(KATA_SHAPE,
                             "shapes %s and %s have no matrix product: %" PRId64 " (dim %d) and "
                             "%" PRId64 " (dim %d) of the batch cannot be broadcast",
                             text_a, text_b, one, at_a, other, at_b);
        }
    }
    if (a->rank > 1) {
        result.dim[result.rank++] = a->dim[a->rank - 2];
    }
    if (b->rank > 1) {
        result.dim[result.rank++] = b->dim[b->rank - 1];
    }
    *out = result;
    return KATA_OK;
}
