/* Shape-rule helpers for operators with weights, windows, labels and state. */
#include "op/rules.h"

#include "base/check.h"
#include "op/loops.h"

bool kata__call_has(const kata_call *call, int i) {
    return i < call->n_inputs && call->inputs[i].dtype != KATA_NO_DTYPE;
}

bool kata__is_fast(kata_dtype dtype) {
    return dtype == KATA_F32 || dtype == KATA_F64;
}

int64_t kata__product(const kata_shape *shape, int first, int last) {
    int64_t product = 1;
    for (int i = first; i < last; i++) {
        if (shape->dim[i] < 0) {
            return -1;
        }
        product = kata__wrap_mul(product, shape->dim[i]);
    }
    return product;
}

kata_status kata__rule_same_dtype(const kata_infer *infer, int first, int last) {
    for (int i = first; i <= last; i++) {
        if (kata__infer_has(infer, i) && infer->inputs[i].dtype != infer->inputs[0].dtype) {
            return kata_fail(KATA_DTYPE, "%s: input %d has dtype %s, expected %s as input 0",
                             infer->op->name, i, kata_dtype_name(infer->inputs[i].dtype),
                             kata_dtype_name(infer->inputs[0].dtype));
        }
    }
    return KATA_OK;
}

kata_status kata__rule_vector(const kata_infer *infer, int i, const char *what, int64_t size,
                              const char *each) {
    if (!kata__infer_has(infer, i)) {
        return KATA_OK;
    }
    const kata_shape *shape = &infer->inputs[i].shape;
    if (shape->rank != 1 || !kata__size_agrees(shape->dim[0], size)) {
        char got[KATA_SHAPE_TEXT_SIZE], expected[KATA_SHAPE_TEXT_SIZE];
        kata_shape vector = KATA_SHAPE_OF(size);
        return kata_fail(KATA_SHAPE,
                         "%s: the %s (input %d) has shape %s, expected %s: one number for each %s",
                         infer->op->name, what, i, kata_shape_text(shape, got),
                         kata_shape_text(&vector, expected), each);
    }
    return KATA_OK;
}

kata_status kata__rule_scalar(const kata_infer *infer, int i, const char *what) {
    if (!kata__infer_has(infer, i)) {
        return KATA_OK;
    }
    const kata_shape *shape = &infer->inputs[i].shape;
    if (shape->rank > 1 || (shape->rank == 1 && !kata__size_agrees(shape->dim[0], 1))) {
        char got[KATA_SHAPE_TEXT_SIZE];
        return kata_fail(KATA_SHAPE, "%s: the %s (input %d) has shape %s, expected one number ()",
                         infer->op->name, what, i, kata_shape_text(shape, got));
    }
    return KATA_OK;
}

kata_status kata__rule_same_shape(const kata_infer *infer, int i, int j) {
    const kata_shape *a = &infer->inputs[i].shape, *b = &infer->inputs[j].shape;
    bool same = a->rank == b->rank;
    for (int axis = 0; same && axis < a->rank; axis++) {
        same = kata__size_agrees(a->dim[axis], b->dim[axis]);
    }
    if (!same) {
        char text_a[KATA_SHAPE_TEXT_SIZE], text_b[KATA_SHAPE_TEXT_SIZE];
        return kata_fail(KATA_SHAPE, "%s: input %d has shape %s, expected %s as input %d",
                         infer->op->name, j, kata_shape_text(b, text_b), kata_shape_text(a, text_a),
                         i);
    }
    return KATA_OK;
}

kata_status kata__rule_rank(const kata_infer *infer, int i, int minimum, int maximum,
                            const char *layout) {
    const kata_shape *shape = &infer->inputs[i].shape;
    if (shape->rank < minimum || (maximum != 0 && shape->rank > maximum)) {
        char got[KATA_SHAPE_TEXT_SIZE];
        return kata_fail(KATA_SHAPE, "%s: input %d has shape %s, expected %s", infer->op->name, i,
                         kata_shape_text(shape, got), layout);
    }
    return KATA_OK;
}
