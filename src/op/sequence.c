/* Rows of sequences and optionals. A sequence's operand is a tensor of rank 1 whose elements are
 * tensors (views); an optional that is empty is an operand without a dtype. */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "op/infer.h"
#include "op/loops.h"
#include "op/rules.h"
#include "op/run.h"

#define ATTRIBUTES(...) ((const kata_attribute_spec[]){__VA_ARGS__, {.name = NULL}})

#define ROW_SEQUENCE(NAME, SINCE, MIN_INPUTS, MAX_INPUTS, LIST, DOC)                               \
    const kata_op kata__op_##NAME = {.name = #NAME,                                                \
                                     .domain = "",                                                 \
                                     .since = SINCE,                                               \
                                     .min_inputs = MIN_INPUTS,                                     \
                                     .max_inputs = MAX_INPUTS,                                     \
                                     .min_outputs = 1,                                             \
                                     .max_outputs = 1,                                             \
                                     .attributes = LIST,                                           \
                                     .infer = NAME##_infer,                                        \
                                     .reference = NAME##_reference,                                \
                                     .flags = KATA_OP_DYNAMIC | KATA_OP_ANY_KIND,                  \
                                     .flops = kata__flops_none,                                    \
                                     .doc = DOC};

/* --- types -------------------------------------------------------------------------------------
 */

static kata_status check_kind(const kata_infer *infer, int i, kata_kind kind) {
    if (infer->inputs[i].kind != kind) {
        return kata_fail(KATA_DTYPE, "%s: input %d must be a %s, got a %s", infer->op->name, i,
                         kata_kind_name(kind), kata_kind_name(infer->inputs[i].kind));
    }
    return KATA_OK;
}

/* The type of a sequence's elements with one more among them: sizes that differ are open. */
static kata_status join(const kata_infer *infer, kata_type *element, const kata_type *more) {
    if (element->dtype != more->dtype) {
        return kata_fail(
            KATA_DTYPE, "%s: elements of one sequence must have one data type, got %s and %s",
            infer->op->name, kata_dtype_name(element->dtype), kata_dtype_name(more->dtype));
    }
    if (element->shape.rank < 0) { /* an empty sequence: no element has said it yet */
        element->shape = more->shape;
    } else if (element->shape.rank != more->shape.rank) {
        element->shape.rank = -1;
    }
    for (int i = 0; i < element->shape.rank; i++) {
        if (element->shape.dim[i] != more->shape.dim[i]) {
            element->shape.dim[i] = KATA_UNKNOWN_DIM;
        }
    }
    return KATA_OK;
}

static kata_type sequence_of(kata_type element) {
    element.kind = KATA_KIND_SEQUENCE;
    return element;
}

static kata_status element_of(const kata_infer *infer, kata_type *out) {
    *out = infer->inputs[0];
    out->kind = KATA_KIND_TENSOR;
    if (out->shape.rank < 0) {
        return kata_fail(KATA_UNSUPPORTED,
                         "%s: the elements of the sequence have no one number of axes",
                         infer->op->name);
    }
    return KATA_OK;
}

/* --- making and looking ------------------------------------------------------------------------
 */

static kata_status SequenceEmpty_infer(kata_infer *infer) {
    const int64_t code = infer->attributes[0].i;
    kata_dtype dtype = KATA_NO_DTYPE;
    switch (code) {
#define X(name, text, bytes, onnx)                                                                 \
    case onnx:                                                                                     \
        dtype = KATA_##name;                                                                       \
        break;
        KATA_DTYPE_LIST(X)
#undef X
    default:
        return kata_fail(KATA_UNSUPPORTED,
                         "SequenceEmpty: the data type %" PRId64 " is not supported", code);
    }
    infer->outputs[0] = sequence_of((kata_type){.dtype = dtype, .shape = {.rank = -1}});
    return KATA_OK;
}

static kata_status SequenceEmpty_reference(const kata_call *call) {
    return kata_call_output(call, 0, KATA_TENSORS, &KATA_SHAPE_OF(0));
}

ROW_SEQUENCE(SequenceEmpty, 11, 0, 0,
             ATTRIBUTES({.name = "dtype",
                         .type = KATA_ATTRIBUTE_INT,
                         .default_int = 1,
                         .doc = "TensorProto.DataType code of elements to come"}),
             "A sequence without elements.")

static kata_status SequenceConstruct_infer(kata_infer *infer) {
    kata_type element = infer->inputs[0];
    for (int i = 0; i < infer->n_inputs; i++) {
        KATA__TRY(check_kind(infer, i, KATA_KIND_TENSOR));
        KATA__TRY(join(infer, &element, &infer->inputs[i]));
    }
    infer->outputs[0] = sequence_of(element);
    return KATA_OK;
}

static kata_status SequenceConstruct_reference(const kata_call *call) {
    KATA__TRY(kata_call_output(call, 0, KATA_TENSORS, &KATA_SHAPE_OF(call->n_inputs)));
    memcpy(call->outputs[0].data, call->inputs, (size_t)call->n_inputs * sizeof *call->inputs);
    return KATA_OK;
}

ROW_SEQUENCE(SequenceConstruct, 11, 1, KATA_MAX_INPUTS, NULL, "The inputs as a sequence.")

static kata_status SequenceLength_infer(kata_infer *infer) {
    KATA__TRY(check_kind(infer, 0, KATA_KIND_SEQUENCE));
    infer->outputs[0] = (kata_type){KATA_I64, {.rank = 0}};
    return KATA_OK;
}

static kata_status SequenceLength_reference(const kata_call *call) {
    KATA__TRY(kata_call_output(call, 0, KATA_I64, &(kata_shape){.rank = 0}));
    *(int64_t *)call->outputs[0].data = kata__sequence_length(&call->inputs[0]);
    return KATA_OK;
}

ROW_SEQUENCE(SequenceLength, 11, 1, 1, NULL, "The number of elements.")

/* The position that input i says, of 0..n-1; the last one if it is absent. */
static kata_status position(const kata_call *call, int i, int64_t n, int64_t absent, int64_t *out) {
    *out = absent;
    if (kata__call_has(call, i)) {
        const int64_t given = kata__load_int(call->inputs[i].dtype, call->inputs[i].data, 0);
        *out = given < 0 ? given + kata__sequence_length(&call->inputs[0]) : given;
        if (*out < 0 || *out >= n) {
            return kata_fail(KATA_INVALID, "%s: position %" PRId64 " of a sequence of %" PRId64,
                             call->op->name, given, kata__sequence_length(&call->inputs[0]));
        }
    }
    if (*out < 0) {
        return kata_fail(KATA_INVALID, "%s: the sequence is empty", call->op->name);
    }
    return KATA_OK;
}

static kata_status infer_position(const kata_infer *infer, int i) {
    if (!kata__infer_has(infer, i)) {
        return KATA_OK;
    }
    KATA__TRY(kata__infer_dtype(infer, i, KATA__INDICES));
    return kata__rule_scalar(infer, i, "position");
}

static kata_status SequenceAt_infer(kata_infer *infer) {
    KATA__TRY(check_kind(infer, 0, KATA_KIND_SEQUENCE));
    KATA__TRY(infer_position(infer, 1));
    return element_of(infer, &infer->outputs[0]);
}

static kata_status SequenceAt_reference(const kata_call *call) {
    const int64_t n = kata__sequence_length(&call->inputs[0]);
    int64_t at;
    KATA__TRY(position(call, 1, n, n - 1, &at));
    call->outputs[0] = kata__sequence_elements(&call->inputs[0])[at];
    return KATA_OK;
}

ROW_SEQUENCE(SequenceAt, 11, 2, 2, NULL,
             "The element at a position; negative ones count from the end.")

static kata_status SequenceInsert_infer(kata_infer *infer) {
    KATA__TRY(check_kind(infer, 0, KATA_KIND_SEQUENCE));
    KATA__TRY(check_kind(infer, 1, KATA_KIND_TENSOR));
    KATA__TRY(infer_position(infer, 2));
    kata_type element = infer->inputs[0];
    KATA__TRY(join(infer, &element, &infer->inputs[1]));
    infer->outputs[0] = sequence_of(element);
    return KATA_OK;
}

static kata_status SequenceInsert_reference(const kata_call *call) {
    const kata_tensor *from = kata__sequence_elements(&call->inputs[0]);
    const int64_t n = kata__sequence_length(&call->inputs[0]);
    int64_t at;
    KATA__TRY(position(call, 2, n + 1, n, &at));
    KATA__TRY(kata_call_output(call, 0, KATA_TENSORS, &KATA_SHAPE_OF(n + 1)));
    kata_tensor *to = call->outputs[0].data;
    for (int64_t i = 0; i <= n; i++) {
        to[i] = i == at ? call->inputs[1] : from[i < at ? i : i - 1];
    }
    return KATA_OK;
}

ROW_SEQUENCE(SequenceInsert, 11, 2, 3, NULL,
             "The sequence with input 1 before a position, at the end without one.")

static kata_status SequenceErase_infer(kata_infer *infer) {
    KATA__TRY(check_kind(infer, 0, KATA_KIND_SEQUENCE));
    KATA__TRY(infer_position(infer, 1));
    return kata__infer_same(infer);
}

static kata_status SequenceErase_reference(const kata_call *call) {
    const kata_tensor *from = kata__sequence_elements(&call->inputs[0]);
    const int64_t n = kata__sequence_length(&call->inputs[0]);
    int64_t at;
    KATA__TRY(position(call, 1, n, n - 1, &at));
    KATA__TRY(kata_call_output(call, 0, KATA_TENSORS, &KATA_SHAPE_OF(n - 1)));
    kata_tensor *to = call->outputs[0].data;
    for (int64_t i = 0; i < n - 1; i++) {
        to[i] = from[i < at ? i : i + 1];
    }
    return KATA_OK;
}

ROW_SEQUENCE(
    SequenceErase, 11, 1, 2, NULL,
    "The sequence without the element at a position, without the last one if none is given.")

/* --- tensors apart and together ----------------------------------------------------------------
 */

enum { SPLIT_AXIS, SPLIT_KEEPDIMS };

static kata_status SplitToSequence_infer(kata_infer *infer) {
    KATA__TRY(check_kind(infer, 0, KATA_KIND_TENSOR));
    kata_type element = infer->inputs[0];
    int axis;
    KATA__TRY(kata__infer_axis(infer, infer->attributes[SPLIT_AXIS].i, element.shape.rank, &axis));
    if (kata__infer_has(infer, 1)) {
        KATA__TRY(kata__infer_dtype(infer, 1, KATA__INDICES));
        element.shape.dim[axis] = KATA_UNKNOWN_DIM;
    } else if (infer->attributes[SPLIT_KEEPDIMS].i != 0) {
        element.shape.dim[axis] = 1;
    } else {
        for (int i = axis; i + 1 < element.shape.rank; i++) {
            element.shape.dim[i] = element.shape.dim[i + 1];
        }
        element.shape.rank--;
    }
    infer->outputs[0] = sequence_of(element);
    return KATA_OK;
}

static kata_status SplitToSequence_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0], *sizes = &call->inputs[1];
    const int64_t given = call->attributes[SPLIT_AXIS].i;
    const int axis = (int)(given < 0 ? given + x->shape.rank : given);
    const int64_t size = x->shape.dim[axis];
    const bool has_sizes = kata__call_has(call, 1), is_list = has_sizes && sizes->shape.rank > 0;
    const bool squeeze = !has_sizes && call->attributes[SPLIT_KEEPDIMS].i == 0;
    int64_t each = 1, n = size;
    if (has_sizes && !is_list) {
        each = kata__load_int(sizes->dtype, sizes->data, 0);
        if (each <= 0) {
            return kata_fail(KATA_INVALID, "SplitToSequence: parts of %" PRId64, each);
        }
        n = size / each + (size % each != 0);
    } else if (is_list) {
        n = kata_tensor_count(sizes);
    }
    KATA__TRY(kata_call_output(call, 0, KATA_TENSORS, &KATA_SHAPE_OF(n)));
    kata_tensor *parts = call->outputs[0].data;
    int64_t start = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t length = is_list ? kata__load_int(sizes->dtype, sizes->data, i) : each;
        length = is_list || start + length <= size ? length : size - start;
        if (length < 0 || length > size - start) {
            return kata_fail(KATA_INVALID,
                             "SplitToSequence: part %" PRId64 " of %" PRId64
                             " elements, but %" PRId64 " are left",
                             i, length, size - start);
        }
        kata_tensor view;
        KATA__TRY(kata_tensor_slice(&view, x, axis, start, start + length, 1));
        void *data = kata_call_memory(call, kata_tensor_bytes(&view));
        if (data == NULL) {
            return kata__run_fault(call);
        }
        parts[i] = kata_tensor_view(data, x->dtype, &view.shape);
        KATA__TRY(kata_tensor_copy(&parts[i], &view));
        if (squeeze) {
            kata_shape shape = {.rank = view.shape.rank - 1};
            for (int k = 0; k < shape.rank; k++) {
                shape.dim[k] = view.shape.dim[k < axis ? k : k + 1];
            }
            parts[i] = kata_tensor_view(data, x->dtype, &shape);
        }
        start += length;
    }
    if (is_list && start != size) {
        return kata_fail(KATA_INVALID,
                         "SplitToSequence: the parts have %" PRId64
                         " elements together, the axis %" PRId64,
                         start, size);
    }
    return KATA_OK;
}

ROW_SEQUENCE(SplitToSequence, 11, 1, 2,
             ATTRIBUTES({.name = "axis", .type = KATA_ATTRIBUTE_INT, .doc = "the axis to cut"},
                        {.name = "keepdims",
                         .type = KATA_ATTRIBUTE_INT,
                         .default_int = 1,
                         .doc = "0: parts of one element (without input 1) lose the axis"}),
             "x cut along an axis: into elements, parts of one size, or parts of a list of sizes.")

enum { CONCAT_AXIS, CONCAT_NEW_AXIS };

static kata_status ConcatFromSequence_infer(kata_infer *infer) {
    KATA__TRY(check_kind(infer, 0, KATA_KIND_SEQUENCE));
    kata_type element;
    KATA__TRY(element_of(infer, &element));
    const bool is_new = infer->attributes[CONCAT_NEW_AXIS].i != 0;
    int axis;
    KATA__TRY(kata__infer_axis(infer, infer->attributes[CONCAT_AXIS].i, element.shape.rank + is_new,
                               &axis));
    if (element.shape.rank + is_new > KATA_MAX_RANK) {
        return kata_fail(KATA_LIMIT, "ConcatFromSequence: more than %d axes", KATA_MAX_RANK);
    }
    for (int i = element.shape.rank; is_new && i > axis; i--) {
        element.shape.dim[i] = element.shape.dim[i - 1];
    }
    element.shape.rank += is_new;
    element.shape.dim[axis] = KATA_UNKNOWN_DIM;
    infer->outputs[0] = element;
    return KATA_OK;
}

static kata_status ConcatFromSequence_reference(const kata_call *call) {
    const kata_tensor *parts = kata__sequence_elements(&call->inputs[0]);
    const int64_t n = kata__sequence_length(&call->inputs[0]);
    const bool is_new = call->attributes[CONCAT_NEW_AXIS].i != 0;
    if (n == 0) {
        return kata_fail(KATA_INVALID, "ConcatFromSequence: the sequence is empty");
    }
    const int rank = parts[0].shape.rank + is_new;
    const int64_t given = call->attributes[CONCAT_AXIS].i;
    const int axis = (int)(given < 0 ? given + rank : given);
    kata_shape shape = parts[0].shape;
    for (int i = parts[0].shape.rank; is_new && i > axis; i--) {
        shape.dim[i] = shape.dim[i - 1];
    }
    shape.rank = rank;
    shape.dim[axis] = 0;
    for (int64_t i = 0; i < n; i++) {
        bool agrees = parts[i].shape.rank + is_new == rank;
        for (int k = 0; k < rank && agrees; k++) {
            const int from = is_new && k > axis ? k - 1 : k;
            agrees = k == axis || parts[i].shape.dim[from] == shape.dim[k];
        }
        if (!agrees) {
            char a[KATA_SHAPE_TEXT_SIZE], b[KATA_SHAPE_TEXT_SIZE];
            return kata_fail(
                KATA_SHAPE, "ConcatFromSequence: elements of shapes %s and %s along axis %d",
                kata_shape_text(&parts[0].shape, a), kata_shape_text(&parts[i].shape, b), axis);
        }
        shape.dim[axis] += is_new ? 1 : parts[i].shape.dim[axis];
    }
    KATA__TRY(kata_call_output(call, 0, parts[0].dtype, &shape));
    int64_t start = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t length = is_new ? 1 : parts[i].shape.dim[axis];
        kata_tensor to;
        KATA__TRY(kata_tensor_slice(&to, &call->outputs[0], axis, start, start + length, 1));
        const kata_tensor from = kata_tensor_view(parts[i].data, parts[i].dtype, &to.shape);
        KATA__TRY(kata_tensor_copy(&to, &from));
        start += length;
    }
    return KATA_OK;
}

ROW_SEQUENCE(
    ConcatFromSequence, 11, 1, 1,
    ATTRIBUTES({.name = "axis",
                .type = KATA_ATTRIBUTE_INT,
                .required = true,
                .doc = "the axis to join along"},
               {.name = "new_axis", .type = KATA_ATTRIBUTE_INT, .doc = "1: along a new axis"}),
    "The elements joined along an axis, or stacked along a new one.")

/* --- optionals ---------------------------------------------------------------------------------
 */

static kata_status OptionalGetElement_infer(kata_infer *infer) {
    infer->outputs[0] = infer->inputs[0];
    if (infer->inputs[0].kind == KATA_KIND_OPTIONAL) {
        infer->outputs[0].kind = KATA_KIND_TENSOR;
    } else if (infer->inputs[0].kind == KATA_KIND_OPTIONAL_SEQUENCE) {
        infer->outputs[0].kind = KATA_KIND_SEQUENCE;
    }
    return KATA_OK;
}

static kata_status OptionalGetElement_reference(const kata_call *call) {
    if (call->inputs[0].dtype == KATA_NO_DTYPE) {
        return kata_fail(KATA_INVALID, "OptionalGetElement: the optional is empty");
    }
    call->outputs[0] = call->inputs[0];
    return KATA_OK;
}

ROW_SEQUENCE(OptionalGetElement, 15, 1, 1, NULL, "What an optional holds; a fault if it is empty.")

static kata_status OptionalHasElement_infer(kata_infer *infer) {
    infer->outputs[0] = (kata_type){KATA_BOOL, {.rank = 0}};
    return KATA_OK;
}

static kata_status OptionalHasElement_reference(const kata_call *call) {
    KATA__TRY(kata_call_output(call, 0, KATA_BOOL, &(kata_shape){.rank = 0}));
    *(uint8_t *)call->outputs[0].data = kata__call_has(call, 0);
    return KATA_OK;
}

ROW_SEQUENCE(OptionalHasElement, 15, 0, 1, NULL, "Whether an optional holds something.")

static kata_status Optional_infer(kata_infer *infer) {
    if (infer->inputs[0].kind != KATA_KIND_TENSOR && infer->inputs[0].kind != KATA_KIND_SEQUENCE) {
        return check_kind(infer, 0, KATA_KIND_TENSOR);
    }
    infer->outputs[0] = infer->inputs[0];
    infer->outputs[0].kind = infer->inputs[0].kind == KATA_KIND_TENSOR
                                 ? KATA_KIND_OPTIONAL
                                 : KATA_KIND_OPTIONAL_SEQUENCE;
    return KATA_OK;
}

static kata_status Optional_reference(const kata_call *call) {
    call->outputs[0] = call->inputs[0];
    return KATA_OK;
}

ROW_SEQUENCE(Optional, 15, 1, 1, NULL, "An optional that holds x.")
