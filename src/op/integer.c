/* Remainders and bits: Mod, BitShift, BitwiseAnd, BitwiseOr, BitwiseXor, BitwiseNot, Xor. Integers
 * are exact; what does not fit wraps. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "op/adapt.h"
#include "op/gradient.h"
#include "op/infer.h"
#include "op/loops.h"

/* --- operand loops --------------------------------------------------------------------------- */

/* The function of a row on two integers; `bits` is the width of the data type. */
typedef int64_t (*integer_function)(int64_t a, int64_t b, int bits);

static kata_status run_integers(const kata_call *call, integer_function f) {
    const kata_tensor *a = &call->inputs[0], *b = &call->inputs[1], *out = &call->outputs[0];
    const int bits = 8 * (int)kata_dtype_size(out->dtype);
    kata__walk walk;
    kata__walk_call(&walk, call, 0, 2);
    for (; walk.rows > 0; kata__walk_next(&walk)) {
        for (int64_t k = 0; k < walk.n; k++) {
            int64_t x = kata__load_int(a->dtype, a->data, walk.at[1] + k * walk.step[1]);
            int64_t y = kata__load_int(b->dtype, b->data, walk.at[2] + k * walk.step[2]);
            kata__store_int(out->dtype, out->data, walk.at[0] + k * walk.step[0], f(x, y, bits));
        }
    }
    return KATA_OK;
}

static kata_status infer_pair(kata_infer *infer, unsigned dtypes) {
    KATA__TRY(kata__infer_dtype(infer, 0, dtypes));
    return kata__infer_broadcast(infer);
}

static kata_status infer_integers(kata_infer *infer) {
    return infer_pair(infer, KATA__INTEGERS);
}

/* --- Mod ------------------------------------------------------------------------------------- */

static kata_status Mod_infer(kata_infer *infer) {
    int64_t fmod_wanted = infer->attributes[0].i;
    KATA__TRY(infer_pair(infer, KATA__NUMBERS));
    if (fmod_wanted != 0 && fmod_wanted != 1) {
        return kata_fail(KATA_INVALID, "Mod: fmod must be 0 or 1, got %" PRId64, fmod_wanted);
    }
    if (fmod_wanted == 0 && kata_dtype_is_float(infer->inputs[0].dtype)) {
        return kata_fail(KATA_INVALID, "Mod: of %s numbers fmod must be 1",
                         kata_dtype_name(infer->inputs[0].dtype));
    }
    return KATA_OK;
}

/* The remainder has the sign of the divisor, as Python's has; 0 of a division by 0. */
static int64_t floor_remainder(int64_t a, int64_t b, int bits) {
    (void)bits;
    if (b == 0 || b == -1) {
        return 0;
    }
    int64_t r = a % b;
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

/* It has the sign of the dividend, as C's has. */
static int64_t remainder_of(int64_t a, int64_t b, int bits) {
    (void)bits;
    return b == 0 || b == -1 ? 0 : a % b;
}

static kata_status Mod_reference(const kata_call *call) {
    const kata_tensor *a = &call->inputs[0], *b = &call->inputs[1], *out = &call->outputs[0];
    if (!kata_dtype_is_float(a->dtype)) {
        return run_integers(call, call->attributes[0].i == 1 ? remainder_of : floor_remainder);
    }
    kata__walk walk;
    kata__walk_call(&walk, call, 0, 2);
    for (; walk.rows > 0; kata__walk_next(&walk)) {
        for (int64_t k = 0; k < walk.n; k++) {
            double x = kata_load(a->dtype, a->data, walk.at[1] + k * walk.step[1]);
            double y = kata_load(b->dtype, b->data, walk.at[2] + k * walk.step[2]);
            kata_store(out->dtype, out->data, walk.at[0] + k * walk.step[0], fmod(x, y));
        }
    }
    return KATA_OK;
}

/* y = a - b trunc(a/b), and the truncated number is a step: dy to a, -dy trunc(a/b) to b, where
 * trunc(a/b) = (a - y) / b. */
static kata_status Mod_gradient(kata_gradient *g) {
    kata_value dy = g->output_gradients[0], a = g->inputs[0], b = g->inputs[1];
    if (g->needed[0]) {
        g->input_gradients[0] = kata__sum_to(g->graph, dy, a);
    }
    if (g->needed[1]) {
        kata_value steps = kata__div(g->graph, kata__sub(g->graph, g->outputs[0], a), b);
        g->input_gradients[1] = kata__sum_to(g->graph, kata__mul(g->graph, dy, steps), b);
    }
    return kata_graph_status(g->graph);
}

static const kata_attribute_spec Mod_attributes[] = {
    {.name = "fmod",
     .type = KATA_ATTRIBUTE_INT,
     .doc = "1: the sign of a, as C's fmod; 0 (integers only): the sign of b"},
    {.name = NULL}};

/* --- bits ------------------------------------------------------------------------------------ */

/* The numbers are unsigned; of a shift by the width or more nothing is left. */
static int64_t shift_left(int64_t a, int64_t b, int bits) {
    return (uint64_t)b >= (uint64_t)bits ? 0 : (int64_t)((uint64_t)a << b);
}

static int64_t shift_right(int64_t a, int64_t b, int bits) {
    return (uint64_t)b >= (uint64_t)bits ? 0 : (int64_t)((uint64_t)a >> b);
}

static int64_t and_bits(int64_t a, int64_t b, int bits) {
    (void)bits;
    return a & b;
}

static int64_t or_bits(int64_t a, int64_t b, int bits) {
    (void)bits;
    return a | b;
}

static int64_t xor_bits(int64_t a, int64_t b, int bits) {
    (void)bits;
    return a ^ b;
}

static kata_status BitShift_infer(kata_infer *infer) {
    const char *direction = infer->attributes[0].s;
    KATA__TRY(infer_pair(infer, KATA__UNSIGNED));
    return direction != NULL && (strcmp(direction, "LEFT") == 0 || strcmp(direction, "RIGHT") == 0)
               ? KATA_OK
               : kata_fail(KATA_INVALID,
                           "BitShift: the direction must be LEFT or RIGHT, got \"%.40s\"",
                           direction != NULL ? direction : "");
}

static kata_status BitShift_reference(const kata_call *call) {
    return run_integers(call, call->attributes[0].s[0] == 'L' ? shift_left : shift_right);
}

static const kata_attribute_spec BitShift_attributes[] = {{.name = "direction",
                                                           .type = KATA_ATTRIBUTE_STRING,
                                                           .required = true,
                                                           .doc = "\"LEFT\" or \"RIGHT\""},
                                                          {.name = NULL}};

static kata_status BitwiseAnd_reference(const kata_call *call) {
    return run_integers(call, and_bits);
}

static kata_status BitwiseOr_reference(const kata_call *call) {
    return run_integers(call, or_bits);
}

static kata_status BitwiseXor_reference(const kata_call *call) {
    return run_integers(call, xor_bits);
}

static kata_status Xor_infer(kata_infer *infer) {
    return infer_pair(infer, KATA__BOOLS);
}

static kata_status BitwiseNot_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__INTEGERS));
    return kata__infer_same(infer);
}

static kata_status BitwiseNot_reference(const kata_call *call) {
    const kata_tensor *in = &call->inputs[0], *out = &call->outputs[0];
    for (int64_t k = 0, n = kata_tensor_count(in); k < n; k++) {
        kata__store_int(out->dtype, out->data, k, ~kata__load_int(in->dtype, in->data, k));
    }
    return KATA_OK;
}

/* After the documentation: further members. */
#define ROW(NAME, SINCE, INPUTS, LIST, INFER, REFERENCE, GRADIENT, ...)                            \
    const kata_op kata__op_##NAME = {.name = #NAME,                                                \
                                     .domain = "",                                                 \
                                     .since = SINCE,                                               \
                                     .min_inputs = INPUTS,                                         \
                                     .max_inputs = INPUTS,                                         \
                                     .min_outputs = 1,                                             \
                                     .max_outputs = 1,                                             \
                                     .attributes = LIST,                                           \
                                     .infer = INFER,                                               \
                                     .reference = REFERENCE,                                       \
                                     .gradient = GRADIENT,                                         \
                                     .flags = KATA_OP_ELEMENTWISE,                                 \
                                     .in_place = INPUTS == 2 ? 3 : 1,                              \
                                     .tolerance = 1e-6,                                            \
                                     .doc = __VA_ARGS__};

ROW(Mod, 10, 2, Mod_attributes, Mod_infer, Mod_reference, Mod_gradient,
    "The remainder of a / b; integers modulo 0 are 0.")
ROW(BitShift, 11, 2, BitShift_attributes, BitShift_infer, BitShift_reference, kata__gradient_zero,
    "The bits of a moved by b places.")
ROW(BitwiseAnd, 18, 2, NULL, infer_integers, BitwiseAnd_reference, kata__gradient_zero,
    "The bits that are set in a and in b.")
ROW(BitwiseOr, 18, 2, NULL, infer_integers, BitwiseOr_reference, kata__gradient_zero,
    "The bits that are set in a or in b.")
ROW(BitwiseXor, 18, 2, NULL, infer_integers, BitwiseXor_reference, kata__gradient_zero,
    "The bits that are set in one of a and b.")
ROW(BitwiseNot, 18, 1, NULL, BitwiseNot_infer, BitwiseNot_reference, kata__gradient_zero,
    "The other bits.")
ROW(Xor, 1, 2, NULL, Xor_infer, BitwiseXor_reference, kata__gradient_zero,
    "One of a and b, of bools.", .adapt = kata__adapt_operands, .adapt_before = 7)
