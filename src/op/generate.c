/* Values from numbers: constants, ranges, one-hot codes; and the running sum. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "op/batch.h"
#include "op/elements.h"
#include "op/gradient.h"
#include "op/infer.h"
#include "op/loops.h"

#define ATTRIBUTES(...) ((const kata_attribute_spec[]){__VA_ARGS__, {.name = NULL}})

/* After the documentation: further members. */
#define ROW(NAME, SINCE, MIN_INPUTS, MAX_INPUTS, LIST, BATCH, GRADIENT, ...)                       \
    const kata_op kata__op_##NAME = {.name = #NAME,                                                \
                                     .domain = "",                                                 \
                                     .since = SINCE,                                               \
                                     .min_inputs = MIN_INPUTS,                                     \
                                     .max_inputs = MAX_INPUTS,                                     \
                                     .min_outputs = 1,                                             \
                                     .max_outputs = 1,                                             \
                                     .attributes = LIST,                                           \
                                     .infer = NAME##_infer,                                        \
                                     .batch = BATCH,                                               \
                                     .reference = NAME##_reference,                                \
                                     .gradient = GRADIENT,                                         \
                                     .tolerance = 1e-6,                                            \
                                     .doc = __VA_ARGS__};

/* Copies one element over all of output 0. */
static void fill(const kata_call *call, const void *element) {
    const kata_tensor *out = &call->outputs[0];
    int64_t none = 0, count = kata_tensor_count(out), one = 1;
    kata__copy_strided(call->context, kata_dtype_size(out->dtype), 1, &count, out->data, &one,
                       element, &none);
}

/* --- Constant -------------------------------------------------------------------------------- */

enum { VALUE, VALUE_FLOAT, VALUE_INT, VALUE_FLOATS, VALUE_INTS, VALUES_END };

static kata_status Constant_infer(kata_infer *infer) {
    const kata_attribute_value *attributes = infer->attributes;
    int n = 0;
    for (int i = 0; i < VALUES_END; i++) {
        n += attributes[i].is_set;
    }
    if (n != 1 || (attributes[VALUE].is_set && attributes[VALUE].tensor == NULL)) {
        return kata_fail(KATA_INVALID,
                         "Constant: expected one of the attributes value, value_float, value_int, "
                         "value_floats and value_ints, got %d",
                         n);
    }
    kata_type *out = &infer->outputs[0];
    if (attributes[VALUE].is_set) {
        *out = (kata_type){attributes[VALUE].tensor->dtype, attributes[VALUE].tensor->shape};
    } else if (attributes[VALUE_FLOAT].is_set || attributes[VALUE_INT].is_set) {
        *out = (kata_type){attributes[VALUE_INT].is_set ? KATA_I64 : KATA_F32, {.rank = 0}};
    } else {
        int list = attributes[VALUE_INTS].is_set ? VALUE_INTS : VALUE_FLOATS;
        *out = (kata_type){list == VALUE_INTS ? KATA_I64 : KATA_F32, {1, {attributes[list].n}}};
    }
    return KATA_OK;
}

static kata_status Constant_reference(const kata_call *call) {
    const kata_attribute_value *attributes = call->attributes;
    kata_tensor *out = &call->outputs[0];
    if (attributes[VALUE].is_set) {
        return kata_tensor_copy(out, attributes[VALUE].tensor);
    }
    if (attributes[VALUE_INT].is_set) {
        kata__store_int(KATA_I64, out->data, 0, attributes[VALUE_INT].i);
    } else if (attributes[VALUE_FLOAT].is_set) {
        kata_store(KATA_F32, out->data, 0, attributes[VALUE_FLOAT].f);
    }
    for (int i = 0; i < attributes[VALUE_INTS].n; i++) {
        kata__store_int(KATA_I64, out->data, i, attributes[VALUE_INTS].ints[i]);
    }
    for (int i = 0; i < attributes[VALUE_FLOATS].n; i++) {
        kata_store(KATA_F32, out->data, i, attributes[VALUE_FLOATS].floats[i]);
    }
    return KATA_OK;
}

ROW(Constant, 1, 0, 0,
    ATTRIBUTES([VALUE] = {.name = "value", .type = KATA_ATTRIBUTE_TENSOR, .doc = "a tensor"},
               [VALUE_FLOAT] = {.name = "value_float",
                                .type = KATA_ATTRIBUTE_FLOAT,
                                .doc = "a float32 scalar"},
               [VALUE_INT] = {.name = "value_int",
                              .type = KATA_ATTRIBUTE_INT,
                              .doc = "an int64 scalar"},
               [VALUE_FLOATS] = {.name = "value_floats",
                                 .type = KATA_ATTRIBUTE_FLOATS,
                                 .doc = "a list of float32"},
               [VALUE_INTS] = {.name = "value_ints",
                               .type = KATA_ATTRIBUTE_INTS,
                               .doc = "a list of int64"}),
    NULL, kata__gradient_zero, "A constant, given by one of its attributes.",
    .elements = kata__elements_Constant)

/* --- ConstantOfShape ------------------------------------------------------------------------- */

static kata_status ConstantOfShape_infer(kata_infer *infer) {
    const kata_tensor *value = infer->attributes[0].tensor;
    kata_type *out = &infer->outputs[0];
    bool known;
    int n;
    if (value != NULL && kata_tensor_count(value) != 1) {
        char text[KATA_SHAPE_TEXT_SIZE];
        return kata_fail(KATA_SHAPE, "ConstantOfShape: value must have one element, got shape %s",
                         kata_shape_text(&value->shape, text));
    }
    out->dtype = value != NULL ? value->dtype : KATA_F32;
    KATA__TRY(kata__infer_int64s(infer, 0, out->shape.dim, KATA_MAX_RANK, &n, &known));
    if (!known && n < 0) {
        return kata_fail(KATA_UNSUPPORTED, "ConstantOfShape: the shape must be a constant");
    }
    out->shape.rank = n;
    kata_elements open;
    bool has_open = !known && kata__infer_elements(infer, 0, &open);
    for (int i = 0; i < n; i++) {
        if (has_open && (open.is_open[i] || open.value[i] >= 0)) {
            out->shape.dim[i] = open.value[i];
        } else if (!known) {
            out->shape.dim[i] = KATA_UNKNOWN_DIM;
        } else if (out->shape.dim[i] < 0) {
            return kata_fail(KATA_INVALID, "ConstantOfShape: size %d is %" PRId64, i,
                             out->shape.dim[i]);
        }
    }
    return kata__infer_fits(infer);
}

static kata_status ConstantOfShape_reference(const kata_call *call) {
    const kata_tensor *value = call->attributes[0].tensor;
    double zero = 0;
    fill(call, value != NULL ? value->data : &zero);
    return KATA_OK;
}

ROW(ConstantOfShape, 9, 1, 1,
    ATTRIBUTES({.name = "value",
                .type = KATA_ATTRIBUTE_TENSOR,
                .doc = "one element, repeated; absent: float32 0"}),
    NULL, kata__gradient_zero, "A tensor of the shape given as input, all of one value.",
    .elements = kata__elements_ConstantOfShape)

/* --- Range ----------------------------------------------------------------------------------- */

static kata_status Range_infer(kata_infer *infer) {
    static const char *const names[] = {"start", "limit", "delta"};
    double number[3] = {0};
    bool known = true;
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__NUMBERS));
    for (int i = 0; i < 3; i++) {
        KATA__TRY(kata__infer_one_dtype(infer, 0, i));
        if (kata_shape_count(&infer->inputs[i].shape) != 1) {
            char text[KATA_SHAPE_TEXT_SIZE];
            return kata_fail(KATA_SHAPE, "Range: %s must be one number, got shape %s", names[i],
                             kata_shape_text(&infer->inputs[i].shape, text));
        }
        const kata_tensor *constant = infer->constants ? infer->constants[i] : NULL;
        known = known && constant != NULL;
        number[i] = constant != NULL ? kata_load(constant->dtype, constant->data, 0) : 0;
    }
    int64_t count = KATA_UNKNOWN_DIM;
    if (known) {
        double n = ceil((number[1] - number[0]) / number[2]);
        if (number[2] == 0 || !isfinite(n) || n > 9e15) {
            return kata_fail(KATA_INVALID, "Range: from %g to %g by %g has no end", number[0],
                             number[1], number[2]);
        }
        count = n > 0 ? (int64_t)n : 0;
    }
    infer->outputs[0] = (kata_type){infer->inputs[0].dtype, {1, {count}}};
    return kata__infer_fits(infer);
}

static kata_status Range_reference(const kata_call *call) {
    const kata_tensor *start = &call->inputs[0], *delta = &call->inputs[2];
    const kata_tensor *out = &call->outputs[0];
    bool is_float = kata_dtype_is_float(out->dtype);
    for (int64_t k = 0, n = kata_tensor_count(out); k < n; k++) {
        if (is_float) {
            kata_store(out->dtype, out->data, k,
                       kata_load(start->dtype, start->data, 0) +
                           (double)k * kata_load(delta->dtype, delta->data, 0));
        } else {
            int64_t step = kata__wrap_mul(k, kata__load_int(delta->dtype, delta->data, 0));
            kata__store_int(out->dtype, out->data, k,
                            kata__wrap_add(kata__load_int(start->dtype, start->data, 0), step));
        }
    }
    return KATA_OK;
}

ROW(Range, 11, 3, 3, NULL, NULL, kata__gradient_zero,
    "Numbers from input 0 up to but without input 1, by input 2; the inputs are constants.",
    .constant_inputs = 7)

/* --- OneHot ---------------------------------------------------------------------------------- */

static int one_hot_axis(const kata_attribute_value *attributes, int rank_out) {
    int64_t axis = attributes[0].i;
    return (int)(axis < 0 ? axis + rank_out : axis);
}

static kata_status OneHot_infer(kata_infer *infer) {
    const kata_shape *indices = &infer->inputs[0].shape;
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__NUMBERS));
    KATA__TRY(kata__infer_dtype(infer, 1, KATA__NUMBERS));
    KATA__TRY(kata__infer_rank(infer, 2, 1));
    if (!kata__size_agrees(infer->inputs[2].shape.dim[0], 2)) {
        return kata_fail(KATA_SHAPE,
                         "OneHot: values (input 2) must be two numbers, off and on, "
                         "got %" PRId64,
                         infer->inputs[2].shape.dim[0]);
    }
    int64_t depth = KATA_UNKNOWN_DIM, axis = infer->attributes[0].i;
    if (kata_shape_count(&infer->inputs[1].shape) != 1) {
        return kata_fail(KATA_SHAPE, "OneHot: depth (input 1) must be one number");
    }
    if (infer->constants != NULL && infer->constants[1] != NULL) {
        double number = kata_load(infer->constants[1]->dtype, infer->constants[1]->data, 0);
        if (!(number >= 0 && number < 9e15)) {
            return kata_fail(KATA_INVALID, "OneHot: depth is %g; expected 0 or more", number);
        }
        depth = (int64_t)number;
    }
    kata_shape out = {.rank = indices->rank + 1};
    if (out.rank > KATA_MAX_RANK || axis < -out.rank || axis >= out.rank) {
        char text[KATA_SHAPE_TEXT_SIZE];
        return kata_fail(KATA_INVALID,
                         "OneHot: no axis %" PRId64 " can be added to indices of shape %s", axis,
                         kata_shape_text(indices, text));
    }
    int at = one_hot_axis(infer->attributes, out.rank);
    for (int i = 0, from = 0; i < out.rank; i++) {
        out.dim[i] = i == at ? depth : indices->dim[from++];
    }
    infer->outputs[0] = (kata_type){infer->inputs[2].dtype, out};
    return kata__infer_fits(infer);
}

/* An index in [-depth, depth) switches one place on, any other none. */
static kata_status OneHot_reference(const kata_call *call) {
    const kata_tensor *indices = &call->inputs[0], *values = &call->inputs[2];
    const kata_tensor *out = &call->outputs[0];
    int axis = one_hot_axis(call->attributes, out->shape.rank);
    int64_t depth = out->shape.dim[axis], inner = kata__size_after(&out->shape, axis);
    size_t size = kata_dtype_size(out->dtype);
    fill(call, values->data);
    for (int64_t k = 0, n = kata_tensor_count(indices); k < n; k++) {
        double index = kata_load(indices->dtype, indices->data, k);
        index = index < 0 ? index + (double)depth : index;
        if (!(index >= 0 && index < (double)depth)) {
            continue;
        }
        int64_t at = (k / inner * depth + (int64_t)index) * inner + k % inner;
        memcpy((char *)out->data + (size_t)at * size, (const char *)values->data + size, size);
    }
    return KATA_OK;
}

static kata_status one_hot_gradient(kata_gradient *g) {
    return g->needed[2] ? kata_fail(KATA_UNSUPPORTED, "OneHot has no gradient for its values")
                        : KATA_OK;
}

ROW(OneHot, 9, 3, 3,
    ATTRIBUTES({.name = "axis",
                .type = KATA_ATTRIBUTE_INT,
                .default_int = -1,
                .doc = "where the new axis stands, counted in the output"}),
    kata__batch_OneHot, one_hot_gradient,
    "Indices as rows of input 1 (depth) numbers: input 2 is (off, on), on where the index is.",
    .constant_inputs = 1 << 1 | 1 << 2)

/* --- CumSum ---------------------------------------------------------------------------------- */

static kata_status CumSum_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__NUMBERS));
    int64_t values[1];
    int n, axis;
    bool known;
    KATA__TRY(kata__infer_int64s(infer, 1, values, 1, &n, &known));
    if (n != 1) {
        return kata_fail(KATA_SHAPE, "CumSum: the axis (input 1) must be one number");
    }
    if (known) {
        KATA__TRY(kata__infer_axis(infer, values[0], infer->inputs[0].shape.rank, &axis));
    }
    return kata__infer_same(infer);
}

static kata_status CumSum_reference(const kata_call *call) {
    const kata_tensor *in = &call->inputs[0], *out = &call->outputs[0];
    int64_t given = kata__load_int(call->inputs[1].dtype, call->inputs[1].data, 0);
    int rank = in->shape.rank;
    if (given < -rank || given >= rank) {
        return kata_fail(KATA_INVALID, "CumSum: axis %" PRId64 " is outside %d..%d", given, -rank,
                         rank - 1);
    }
    int axis = (int)(given < 0 ? given + rank : given);
    bool exclusive = call->attributes[0].i != 0, reverse = call->attributes[1].i != 0;
    int64_t outer = kata__size_before(&in->shape, axis), n = in->shape.dim[axis];
    int64_t inner = kata__size_after(&in->shape, axis);
    bool is_float = kata_dtype_is_float(in->dtype);
    for (int64_t line = 0; line < outer * inner; line++) {
        int64_t base = line / inner * n * inner + line % inner, sum_integer = 0;
        double sum = 0;
        for (int64_t k = 0; k < n; k++) {
            int64_t at = base + (reverse ? n - 1 - k : k) * inner;
            if (is_float) {
                double x = kata_load(in->dtype, in->data, at);
                kata_store(out->dtype, out->data, at, exclusive ? sum : sum + x);
                sum += x;
            } else {
                int64_t x = kata__load_int(in->dtype, in->data, at);
                int64_t next = kata__wrap_add(sum_integer, x);
                kata__store_int(out->dtype, out->data, at, exclusive ? sum_integer : next);
                sum_integer = next;
            }
        }
    }
    return KATA_OK;
}

/* The running sum from the other end. */
static kata_status cum_sum_gradient(kata_gradient *g) {
    g->input_gradients[0] = KATA_NODE_WITH(
        g->graph, "CumSum", KATA_INPUTS(g->output_gradients[0], g->inputs[1]),
        KATA_INT("exclusive", g->attributes[0].i), KATA_INT("reverse", !g->attributes[1].i));
    return kata_graph_status(g->graph);
}

ROW(CumSum, 11, 2, 2,
    ATTRIBUTES({.name = "exclusive",
                .type = KATA_ATTRIBUTE_INT,
                .doc = "1: an element is the sum of those before it, without itself"},
               {.name = "reverse", .type = KATA_ATTRIBUTE_INT, .doc = "1: from the last element"}),
    kata__batch_CumSum, cum_sum_gradient, "Running sum along the axis of input 1.")
