/* Helpers for shape rules. */
#include "op/infer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "op/loops.h"

kata_status kata__infer_same(kata_infer *infer) {
    infer->outputs[0] = infer->inputs[0];
    return KATA_OK;
}

bool kata__infer_has(const kata_infer *infer, int i) {
    return i < infer->n_inputs && infer->inputs[i].dtype != KATA_NO_DTYPE;
}

bool kata__size_agrees(int64_t a, int64_t b) {
    return a == b || a < 0 || b < 0;
}

int64_t kata__size_meet(int64_t a, int64_t b) {
    return a >= 0 || (b < 0 && a != KATA_UNKNOWN_DIM) ? a : b;
}

kata_status kata__infer_dtype(const kata_infer *infer, int i, unsigned dtypes) {
    kata_dtype got = infer->inputs[i].dtype;
    if (dtypes & 1u << got && got != KATA_NO_DTYPE) {
        return KATA_OK;
    }
    char list[384] = "";
    size_t length = 0;
    unsigned left = dtypes;
    for (int d = KATA_NO_DTYPE + 1; d < KATA_DTYPE_COUNT; d++) {
        if (!(dtypes & 1u << d)) {
            continue;
        }
        left &= ~(1u << d);
        const char *before = length == 0 ? "" : left == 0 ? " or " : ", ";
        length += (size_t)snprintf(list + length, sizeof list - length, "%s%s", before,
                                   kata_dtype_name((kata_dtype)d));
    }
    if (got == KATA_NO_DTYPE) {
        return kata_fail(KATA_INVALID, "%s: input %d is missing; expected %s", infer->op->name, i,
                         list);
    }
    return kata_fail(KATA_DTYPE, "%s: input %d must be %s, got %s; add a Cast before it",
                     infer->op->name, i, list, kata_dtype_name(got));
}

kata_status kata__infer_float(const kata_infer *infer, int i, bool storage) {
    return kata__infer_dtype(infer, i, storage ? KATA__ALL_FLOATS : KATA__FLOATS);
}

kata_status kata__infer_one_dtype(const kata_infer *infer, int i, int j) {
    kata_dtype a = infer->inputs[i].dtype, b = infer->inputs[j].dtype;
    if (a == b && a != KATA_NO_DTYPE) {
        return KATA_OK;
    }
    if (a == KATA_NO_DTYPE || b == KATA_NO_DTYPE) {
        return kata_fail(KATA_INVALID, "%s: input %d is missing", infer->op->name,
                         a == KATA_NO_DTYPE ? i : j);
    }
    return kata_fail(KATA_DTYPE,
                     "%s: inputs %d and %d must have one data type, got %s and %s; add a Cast to "
                     "one of them",
                     infer->op->name, i, j, kata_dtype_name(a), kata_dtype_name(b));
}

kata_status kata__infer_rank(const kata_infer *infer, int i, int rank) {
    const kata_shape *shape = &infer->inputs[i].shape;
    if (shape->rank == rank) {
        return KATA_OK;
    }
    char text[KATA_SHAPE_TEXT_SIZE];
    return kata_fail(KATA_SHAPE, "%s: input %d must have rank %d, got shape %s", infer->op->name, i,
                     rank, kata_shape_text(shape, text));
}

kata_status kata__infer_broadcast(kata_infer *infer) {
    KATA__TRY(kata__infer_one_dtype(infer, 0, 1));
    kata_shape shape;
    kata_status status =
        kata_shape_broadcast(&shape, &infer->inputs[0].shape, &infer->inputs[1].shape);
    if (status != KATA_OK) {
        return kata_fail_in(status, "%s", infer->op->name);
    }
    infer->outputs[0] = (kata_type){infer->inputs[0].dtype, shape};
    return KATA_OK;
}

kata_status kata__infer_axis(const kata_infer *infer, int64_t axis, int rank, int *out) {
    if (axis < -rank || axis >= rank) {
        char text[KATA_SHAPE_TEXT_SIZE] = "";
        if (infer->n_inputs > 0) {
            kata_shape_text(&infer->inputs[0].shape, text);
        }
        if (rank == 0) {
            return kata_fail(KATA_INVALID, "%s: axis %" PRId64 " of a scalar, which has no axes",
                             infer->op->name, axis);
        }
        return kata_fail(KATA_INVALID,
                         "%s: axis %" PRId64 " is outside %d..%d; input 0 has shape %s",
                         infer->op->name, axis, -rank, rank - 1, text);
    }
    *out = (int)(axis < 0 ? axis + rank : axis);
    return KATA_OK;
}

kata_status kata__infer_axes(const kata_infer *infer, const int64_t *axes, int n, int rank,
                             bool flags[KATA_MAX_RANK]) {
    memset(flags, 0, KATA_MAX_RANK * sizeof flags[0]);
    for (int i = 0; i < n; i++) {
        int axis;
        KATA__TRY(kata__infer_axis(infer, axes[i], rank, &axis));
        if (flags[axis]) {
            return kata_fail(KATA_INVALID, "%s: axis %d comes twice among the axes",
                             infer->op->name, axis);
        }
        flags[axis] = true;
    }
    return KATA_OK;
}

kata_status kata__infer_int64s(const kata_infer *infer, int i, int64_t *values, int maximum, int *n,
                               bool *known) {
    KATA__TRY(kata__infer_dtype(infer, i, KATA__INDICES));
    const kata_shape *shape = &infer->inputs[i].shape;
    char text[KATA_SHAPE_TEXT_SIZE];
    if (shape->rank > 1) {
        return kata_fail(KATA_SHAPE,
                         "%s: input %d must be a list of numbers (rank 1), got shape %s",
                         infer->op->name, i, kata_shape_text(shape, text));
    }
    int64_t count = kata_shape_count(shape);
    if (count > maximum) {
        return kata_fail(KATA_SHAPE, "%s: input %d has %" PRId64 " numbers, at most %d fit",
                         infer->op->name, i, count, maximum);
    }
    const kata_tensor *constant = infer->constants ? infer->constants[i] : NULL;
    const kata_elements *elements = infer->elements ? infer->elements[i] : NULL;
    *n = (int)count;
    *known = constant != NULL || elements != NULL;
    for (int k = 0; k < count && *known; k++) {
        values[k] =
            constant ? kata__load_int(constant->dtype, constant->data, k) : elements->value[k];
        *known = constant != NULL || !elements->is_open[k];
    }
    return KATA_OK;
}

kata_status kata__infer_fits(const kata_infer *infer) {
    const kata_type *type = &infer->outputs[0];
    for (int i = 0; i < type->shape.rank; i++) {
        if (type->shape.dim[i] < 0) {
            return KATA_OK;
        }
    }
    int64_t count = kata_shape_count(&type->shape);
    char text[KATA_SHAPE_TEXT_SIZE];
    if (count < 0 || count > INT64_MAX / 16) {
        return kata_fail(KATA_LIMIT, "%s: the output %s has too many elements", infer->op->name,
                         kata_shape_text(&type->shape, text));
    }
    return KATA_OK;
}

void kata__state_free(kata_context *context, void *state) {
    kata__free(context, state);
}
