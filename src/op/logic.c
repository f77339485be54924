/* Comparisons, logic, selection, conversion. Their results are steps, so the gradient is zero, but
 * for Where and Cast. */
#include <math.h>

#include "base/check.h"
#include "kernel/bfloat16.h"
#include "op/adapt.h"
#include "op/elements.h"
#include "op/gradient.h"
#include "op/infer.h"
#include "op/loops.h"
#include "op/strings.h"
#include "tensor/dtype.h"

/* --- comparisons and logic: two operands, a bool ---------------------------------------------- */

static kata_status bool_pair_infer(kata_infer *infer, unsigned dtypes) {
    KATA__TRY(kata__infer_dtype(infer, 0, dtypes));
    KATA__TRY(kata__infer_broadcast(infer));
    infer->outputs[0].dtype = KATA_BOOL;
    return KATA_OK;
}

static kata_status any_infer(kata_infer *infer) {
    return bool_pair_infer(infer, KATA__ANY | KATA__STRINGS);
}

static kata_status number_infer(kata_infer *infer) {
    return bool_pair_infer(infer, KATA__NUMBERS);
}

static kata_status bool_infer(kata_infer *infer) {
    return bool_pair_infer(infer, KATA__BOOLS);
}

/* The places of a row are locals: `to` may point at anything, the walk too. */
#define PAIR_LOOP(load_a, load_b, expression)                                                      \
    for (; walk.rows > 0; kata__walk_next(&walk)) {                                                \
        int64_t at_a = walk.at[1], at_b = walk.at[2], at = walk.at[0];                             \
        const int64_t n = walk.n, step = walk.step[0], a_step = walk.step[1],                      \
                      b_step = walk.step[2];                                                       \
        for (int64_t k = 0; k < n; k++, at += step, at_a += a_step, at_b += b_step) {              \
            to[at] = expression(load_a, load_b);                                                   \
        }                                                                                          \
    }

#define ROW(NAME, SINCE, INFER, ELEMENTS, DOC, FORMULA)                                            \
    static inline bool NAME##_of(double a, double b) {                                             \
        return FORMULA;                                                                            \
    }                                                                                              \
    static inline bool NAME##_of_integers(int64_t a, int64_t b) {                                  \
        return FORMULA;                                                                            \
    }                                                                                              \
    static kata_status NAME##_reference(const kata_call *call) {                                   \
        const kata_tensor *a = &call->inputs[0], *b = &call->inputs[1];                            \
        uint8_t *to = call->outputs[0].data;                                                       \
        kata__walk walk;                                                                           \
        kata__walk_call(&walk, call, 0, 2);                                                        \
        if (a->dtype == KATA_F32) {                                                                \
            const float *x = a->data, *y = b->data;                                                \
            PAIR_LOOP((double)x[at_a], (double)y[at_b], NAME##_of)                                 \
        } else if (a->dtype == KATA_STRING) {                                                      \
            const kata_string *x = a->data, *y = b->data;                                          \
            PAIR_LOOP(kata__string_compare(x[at_a], y[at_b]), 0, NAME##_of_integers)               \
        } else if (kata_dtype_is_float(a->dtype)) {                                                \
            PAIR_LOOP(kata_load(a->dtype, a->data, at_a), kata_load(b->dtype, b->data, at_b),      \
                      NAME##_of)                                                                   \
        } else {                                                                                   \
            PAIR_LOOP(kata__load_int(a->dtype, a->data, at_a),                                     \
                      kata__load_int(b->dtype, b->data, at_b), NAME##_of_integers)                 \
        }                                                                                          \
        return KATA_OK;                                                                            \
    }                                                                                              \
    const kata_op kata__op_##NAME = {.name = #NAME,                                                \
                                     .domain = "",                                                 \
                                     .since = SINCE,                                               \
                                     .min_inputs = 2,                                              \
                                     .max_inputs = 2,                                              \
                                     .min_outputs = 1,                                             \
                                     .max_outputs = 1,                                             \
                                     .infer = INFER,                                               \
                                     .reference = NAME##_reference,                                \
                                     .gradient = kata__gradient_zero,                              \
                                     .flags = KATA_OP_ELEMENTWISE,                                 \
                                     .in_place = 1 | 2,                                            \
                                     .doc = DOC,                                                   \
                                     .changes = strings_added,                                     \
                                     .elements = ELEMENTS,                                         \
                                     .adapt = kata__adapt_operands,                                \
                                     .adapt_before = 7};

/* Equal is the one that takes them. */
static const kata_op_change strings_added[] = {{KATA_STRINGS_ADDED, 19, NULL, 0}, {0}};

ROW(Equal, 1, any_infer, kata__elements_Equal, "a == b; NaN equals nothing.", a == b)
ROW(Greater, 1, number_infer, NULL, "a > b.", a > b)
ROW(GreaterOrEqual, 12, number_infer, NULL, "a >= b.", a >= b)
ROW(Less, 1, number_infer, NULL, "a < b.", a < b)
ROW(LessOrEqual, 12, number_infer, NULL, "a <= b.", a <= b)
ROW(And, 1, bool_infer, NULL, "a and b, of bools.", a != 0 && b != 0)
ROW(Or, 1, bool_infer, NULL, "a or b, of bools.", a != 0 || b != 0)

/* --- one operand ----------------------------------------------------------------------------- */

static kata_status not_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__BOOLS));
    return kata__infer_same(infer);
}

static kata_status not_reference(const kata_call *call) {
    const uint8_t *from = call->inputs[0].data;
    uint8_t *to = call->outputs[0].data;
    for (int64_t k = 0, n = kata_tensor_count(&call->inputs[0]); k < n; k++) {
        to[k] = from[k] == 0;
    }
    return KATA_OK;
}

const kata_op kata__op_Not = {
    .name = "Not",
    .domain = "",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = not_infer,
    .reference = not_reference,
    .gradient = kata__gradient_zero,
    .flags = KATA_OP_ELEMENTWISE,
    .in_place = 1,
    .doc = "The other bool.",
};

static kata_status is_nan_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_float(infer, 0, true));
    infer->outputs[0] = (kata_type){KATA_BOOL, infer->inputs[0].shape};
    return KATA_OK;
}

static kata_status is_nan_reference(const kata_call *call) {
    const kata_tensor *in = &call->inputs[0];
    uint8_t *to = call->outputs[0].data;
    for (int64_t k = 0, n = kata_tensor_count(in); k < n; k++) {
        to[k] = isnan(kata_load(in->dtype, in->data, k)) != 0;
    }
    return KATA_OK;
}

const kata_op kata__op_IsNaN = {
    .name = "IsNaN",
    .domain = "",
    .since = 9,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = is_nan_infer,
    .reference = is_nan_reference,
    .gradient = kata__gradient_zero,
    .flags = KATA_OP_ELEMENTWISE,
    .doc = "True where x is not a number.",
};

/* --- Where ----------------------------------------------------------------------------------- */

static kata_status where_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__BOOLS));
    KATA__TRY(kata__infer_one_dtype(infer, 1, 2));
    kata_shape shape;
    kata_status status =
        kata_shape_broadcast(&shape, &infer->inputs[1].shape, &infer->inputs[2].shape);
    if (status == KATA_OK) {
        status = kata_shape_broadcast(&shape, &shape, &infer->inputs[0].shape);
    }
    if (status != KATA_OK) {
        return kata_fail_in(status, "Where");
    }
    infer->outputs[0] = (kata_type){infer->inputs[1].dtype, shape};
    return KATA_OK;
}

#define WHERE_LOOP(type)                                                                           \
    do {                                                                                           \
        for (; walk.rows > 0; kata__walk_next(&walk)) {                                            \
            type *to = (type *)call->outputs[0].data + walk.at[0];                                 \
            const uint8_t *is = condition + walk.at[1];                                            \
            const type *a = (const type *)call->inputs[1].data + walk.at[2];                       \
            const type *b = (const type *)call->inputs[2].data + walk.at[3];                       \
            const int64_t n = walk.n, to_step = walk.step[0], is_step = walk.step[1],              \
                          a_step = walk.step[2], b_step = walk.step[3];                            \
            for (int64_t k = 0; k < n; k++) {                                                      \
                to[k * to_step] = is[k * is_step] != 0 ? a[k * a_step] : b[k * b_step];            \
            }                                                                                      \
        }                                                                                          \
    } while (0)

static kata_status where_reference(const kata_call *call) {
    const uint8_t *condition = call->inputs[0].data;
    kata__walk walk;
    kata__walk_call(&walk, call, 0, 3);
    switch (kata_dtype_size(call->outputs[0].dtype)) {
    case 1:
        WHERE_LOOP(uint8_t);
        break;
    case 2:
        WHERE_LOOP(uint16_t);
        break;
    case 4:
        WHERE_LOOP(uint32_t);
        break;
    case 8:
        WHERE_LOOP(uint64_t);
        break;
    default:
        WHERE_LOOP(kata_string);
        break;
    }
    return KATA_OK;
}

static kata_status where_gradient(kata_gradient *g) {
    kata_graph *graph = g->graph;
    kata_value dz = g->output_gradients[0], zero = kata__scalar_like(graph, 0, dz);
    for (int i = 1; i <= 2; i++) {
        if (g->needed[i]) {
            kata_value part =
                kata__where(graph, g->inputs[0], i == 1 ? dz : zero, i == 1 ? zero : dz);
            g->input_gradients[i] = kata__sum_to(graph, part, g->inputs[i]);
        }
    }
    return kata_graph_status(graph);
}

const kata_op kata__op_Where = {
    .name = "Where",
    .domain = "",
    .since = 9,
    .min_inputs = 3,
    .max_inputs = 3,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = where_infer,
    .reference = where_reference,
    .gradient = where_gradient,
    .flags = KATA_OP_ELEMENTWISE,
    .in_place = 2 | 4,
    .doc = "Input 1 where the condition (input 0) is true, else input 2.",
    .elements = kata__elements_Where,
};

/* --- Cast ------------------------------------------------------------------------------------ */

enum { TO, SATURATE };

static kata_status cast_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__ANY | KATA__STRINGS));
    int64_t code = infer->attributes[TO].i;
    kata_dtype to = kata__dtype_of_code(code);
    if (to == KATA_NO_DTYPE) {
        return kata_fail(
            KATA_UNSUPPORTED,
            "Cast: the data type to = %lld is not supported; 1 is float32, 11 float64, "
            "10 float16, 16 bfloat16, 3 int8, 6 int32, 7 int64, 2 uint8, 9 bool",
            (long long)code);
    }
    infer->outputs[0] = (kata_type){to, infer->inputs[0].shape};
    return KATA_OK;
}

static kata_status cast_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0], *y = &call->outputs[0];
    if (x->dtype == KATA_STRING && y->dtype != KATA_STRING) {
        return kata__strings_to_numbers(call);
    }
    if (x->dtype != KATA_STRING && y->dtype == KATA_STRING) {
        return kata__numbers_to_strings(call);
    }
    if (kata__dtype_is_f8(y->dtype) && call->attributes[SATURATE].i == 0) {
        const int64_t count = kata_tensor_count(x);
        uint8_t *to = y->data;
        for (int64_t i = 0; i < count; i++) {
            to[i] = kata__f64_to_f8(y->dtype, kata_load(x->dtype, x->data, i), false);
        }
        return KATA_OK;
    }
    return kata_tensor_copy(&call->outputs[0], &call->inputs[0]);
}

static kata_status cast_to_bfloat16(const kata_call *call) {
    kata__bfloat16_from_float(call->context, kata_tensor_count(&call->inputs[0]),
                              call->inputs[0].data, call->outputs[0].data);
    return KATA_OK;
}

static kata_status cast_from_bfloat16(const kata_call *call) {
    kata__bfloat16_to_float(call->context, kata_tensor_count(&call->inputs[0]),
                            call->inputs[0].data, call->outputs[0].data);
    return KATA_OK;
}

static kata_kernel cast_choose(const kata_call *call) {
    kata_dtype from = call->inputs[0].dtype, to = call->outputs[0].dtype;
    return from == KATA_F32 && to == KATA_BF16   ? cast_to_bfloat16
           : from == KATA_BF16 && to == KATA_F32 ? cast_from_bfloat16
                                                 : NULL;
}

/* Through a float to float conversion the gradient is converted back; integers pass none. */
static kata_status cast_gradient(kata_gradient *g) {
    kata_dtype from = kata_value_dtype(g->graph, g->inputs[0]);
    kata_dtype to = kata_value_dtype(g->graph, g->outputs[0]);
    if (kata_dtype_is_float(from) && kata_dtype_is_float(to)) {
        g->input_gradients[0] = kata__cast_like(g->graph, g->output_gradients[0], g->inputs[0]);
    }
    return kata_graph_status(g->graph);
}

const kata_op kata__op_Cast = {
    .name = "Cast",
    .domain = "",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = (const kata_attribute_spec[]){{.name = "to",
                                                 .type = KATA_ATTRIBUTE_INT,
                                                 .required = true,
                                                 .doc = "TensorProto.DataType code"},
                                                {.name = "saturate",
                                                 .type = KATA_ATTRIBUTE_INT,
                                                 .default_int = 1,
                                                 .doc = "0: what is beyond an 8-bit float is "
                                                        "infinity or NaN, not its largest number"},
                                                {.name = NULL}},
    .infer = cast_infer,
    .reference = cast_reference,
    .choose = cast_choose,
    .gradient = cast_gradient,
    .flags = KATA_OP_ELEMENTWISE | KATA_OP_MAKES_STRINGS | KATA_OP_SCALES,
    .tolerance = 1e-7,
    .doc = "x in another data type; float to integer truncates, a number to bool is x != 0.",
    .changes = (const kata_op_change[]){{KATA_ATTRIBUTE_IGNORED, 0, "round_mode", 0},
                                        {KATA_ATTRIBUTE_ADDED, 19, "saturate", 0},
                                        {0}},
    .elements = kata__elements_same,
    .adapt = kata__adapt_cast,
    .adapt_before = 6,
};
