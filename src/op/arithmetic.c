/* Arithmetic of two or more broadcast operands, and the gradients of activations that are one pass
 * over (dy, y). Floats are computed in double and rounded once, integers in int64 and wrap. */
#include <inttypes.h>
#include <math.h>

#include "base/check.h"
#include "kernel/elementwise.h"
#include "op/adapt.h"
#include "op/elements.h"
#include "op/gradient.h"
#include "op/infer.h"
#include "op/loops.h"

/* --- what rows are made of ------------------------------------------------------------------- */

static kata_status number_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__NUMBERS));
    return kata__infer_broadcast(infer);
}

static kata_status float_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_float(infer, 0, true));
    return kata__infer_broadcast(infer);
}

static bool is_fast(kata_dtype dtype) {
    return dtype == KATA_F32 || dtype == KATA_F64;
}

/* z = f(a, b) by the fast kernel, a and b broadcast to z's shape. */
static void run_pair(const kata_call *call, kata__binary kernel, const kata_tensor *a,
                     const kata_tensor *b) {
    const kata_shape *shape = &call->outputs[0].shape;
    int64_t a_stride[KATA_MAX_RANK], b_stride[KATA_MAX_RANK];
    kata__broadcast_strides(shape, &a->shape, a_stride);
    kata__broadcast_strides(shape, &b->shape, b_stride);
    kata__binary_run(call->context, a->dtype, kernel, shape, a->data, a_stride, b->data, b_stride,
                     call->outputs[0].data);
}

#define PAIR_LOOP(type, f)                                                                         \
    for (; walk.rows > 0; kata__walk_next(&walk)) {                                                \
        type *z = (type *)call->outputs[0].data + walk.at[0];                                      \
        const type *a = (const type *)call->inputs[0].data + walk.at[1];                           \
        const type *b = (const type *)call->inputs[1].data + walk.at[2];                           \
        const int64_t n = walk.n, step = walk.step[0], a_step = walk.step[1],                      \
                      b_step = walk.step[2];                                                       \
        for (int64_t k = 0; k < n; k++) {                                                          \
            z[k * step] = (type)f((double)a[k * a_step], (double)b[k * b_step]);                   \
        }                                                                                          \
    }

/* float16 and bfloat16. */
static void storage_loop(const kata_call *call, kata__walk *walk, double (*f)(double, double)) {
    const kata_tensor *a = &call->inputs[0], *b = &call->inputs[1], *z = &call->outputs[0];
    for (; walk->rows > 0; kata__walk_next(walk)) {
        for (int64_t k = 0; k < walk->n; k++) {
            kata_store(z->dtype, z->data, walk->at[0] + k * walk->step[0],
                       f(kata_load(a->dtype, a->data, walk->at[1] + k * walk->step[1]),
                         kata_load(b->dtype, b->data, walk->at[2] + k * walk->step[2])));
        }
    }
}

/* Integers; f may fail (division by zero). */
static kata_status integer_loop(const kata_call *call,
                                kata_status (*f)(int64_t a, int64_t b, int64_t *z)) {
    const kata_tensor *a = &call->inputs[0], *b = &call->inputs[1], *z = &call->outputs[0];
    kata__walk walk;
    kata__walk_call(&walk, call, 0, 2);
    for (; walk.rows > 0; kata__walk_next(&walk)) {
        for (int64_t k = 0; k < walk.n; k++) {
            int64_t value = 0, at = walk.at[0] + k * walk.step[0];
            if (f(kata__load_int(a->dtype, a->data, walk.at[1] + k * walk.step[1]),
                  kata__load_int(b->dtype, b->data, walk.at[2] + k * walk.step[2]),
                  &value) != KATA_OK) {
                return kata_fail(KATA_INVALID,
                                 "%s: division of an integer by zero at element %" PRId64,
                                 call->op->name, at);
            }
            kata__store_int(z->dtype, z->data, at, value);
        }
    }
    return KATA_OK;
}

#define FUNCTION(NAME, KERNEL, FORMULA)                                                            \
    static inline double NAME##_of(double a, double b) {                                           \
        return FORMULA;                                                                            \
    }                                                                                              \
    static kata_status NAME##_float(const kata_call *call) {                                       \
        kata__walk walk;                                                                           \
        kata__walk_call(&walk, call, 0, 2);                                                        \
        if (call->outputs[0].dtype == KATA_F32) {                                                  \
            PAIR_LOOP(float, NAME##_of)                                                            \
        } else if (call->outputs[0].dtype == KATA_F64) {                                           \
            PAIR_LOOP(double, NAME##_of)                                                           \
        } else {                                                                                   \
            storage_loop(call, &walk, NAME##_of);                                                  \
        }                                                                                          \
        return KATA_OK;                                                                            \
    }                                                                                              \
    static kata_status NAME##_fast(const kata_call *call) {                                        \
        run_pair(call, KERNEL, &call->inputs[0], &call->inputs[1]);                                \
        return KATA_OK;                                                                            \
    }                                                                                              \
    static kata_kernel NAME##_choose(const kata_call *call) {                                      \
        return is_fast(call->inputs[0].dtype) ? NAME##_fast : NULL;                                \
    }

/* dA and dB are summed to the shapes of a and b. */
#define GRADIENT(NAME, DA, DB)                                                                     \
    static kata_status NAME##_gradient(kata_gradient *g) {                                         \
        kata_graph *graph = g->graph;                                                              \
        kata_value a = g->inputs[0], b = g->inputs[1], z = g->outputs[0];                          \
        kata_value dz = g->output_gradients[0];                                                    \
        (void)z;                                                                                   \
        if (g->needed[0]) {                                                                        \
            g->input_gradients[0] = kata__sum_to(graph, DA, a);                                    \
        }                                                                                          \
        if (g->needed[1]) {                                                                        \
            g->input_gradients[1] = kata__sum_to(graph, DB, b);                                    \
        }                                                                                          \
        return kata_graph_status(graph);                                                           \
    }

/* After the documentation: further members. */
#define ROW_OF(NAME, SYMBOL, DOMAIN, SINCE, INFER, GRADIENT_RULE, FLAGS, TOLERANCE, ...)           \
    const kata_op kata__op_##SYMBOL = {.name = #NAME,                                              \
                                       .domain = DOMAIN,                                           \
                                       .since = SINCE,                                             \
                                       .min_inputs = 2,                                            \
                                       .max_inputs = 2,                                            \
                                       .min_outputs = 1,                                           \
                                       .max_outputs = 1,                                           \
                                       .infer = INFER,                                             \
                                       .reference = NAME##_reference,                              \
                                       .choose = NAME##_choose,                                    \
                                       .gradient = GRADIENT_RULE,                                  \
                                       .flags = KATA_OP_ELEMENTWISE | (FLAGS),                     \
                                       .in_place = 1 | 2,                                          \
                                       .tolerance = TOLERANCE,                                     \
                                       .doc = __VA_ARGS__};

/* a (+) b with broadcasting. INTEGER is a statement that sets *z from the integers a and b. */
#define ROW(NAME, SINCE, KERNEL, FLAGS, SCALE, DOC, FORMULA, INTEGER, DA, DB)                      \
    FUNCTION(NAME, KERNEL, FORMULA)                                                                \
    static kata_status NAME##_of_integers(int64_t a, int64_t b, int64_t *z) {                      \
        INTEGER;                                                                                   \
        return KATA_OK;                                                                            \
    }                                                                                              \
    static kata_status NAME##_reference(const kata_call *call) {                                   \
        return kata_dtype_is_float(call->outputs[0].dtype)                                         \
                   ? NAME##_float(call)                                                            \
                   : integer_loop(call, NAME##_of_integers);                                       \
    }                                                                                              \
    GRADIENT(NAME, DA, DB)                                                                         \
    ROW_OF(NAME, NAME, "", SINCE, number_infer, NAME##_gradient, FLAGS, 1e-6, DOC, .scale = SCALE, \
           .elements = kata__elements_##NAME, .adapt = kata__adapt_operands, .adapt_before = 7)

/* dx from (dy, y): a row of Kata's own that gradients use. */
#define ROW_INTERNAL(NAME, KERNEL, DOC, FORMULA)                                                   \
    FUNCTION(NAME, KERNEL, FORMULA)                                                                \
    static kata_status NAME##_reference(const kata_call *call) {                                   \
        return NAME##_float(call);                                                                 \
    }                                                                                              \
    ROW_OF(NAME, kata_##NAME, "kata", 1, float_infer, NULL, KATA_OP_INTERNAL, 1e-6, DOC)

#define NODE(op, ...) KATA_NODE(graph, op, KATA_INPUTS(__VA_ARGS__))
#define MUL(a, b) kata__mul(graph, a, b)
#define DIV(a, b) kata__div(graph, a, b)
#define NEG(a) NODE("Neg", a)

/* --- two operands ---------------------------------------------------------------------------- */

/* The other operand is one float number that is known and does not change the shape. */
static bool known_number(const kata_infer *infer, int i, double *number) {
    const kata_tensor *other = infer->constants[1 - i];
    if (other == NULL || !kata_dtype_is_float(other->dtype) || kata_tensor_count(other) != 1 ||
        other->shape.rank > infer->inputs[i].shape.rank) {
        return false;
    }
    *number = kata_load(other->dtype, other->data, 0);
    return true;
}

static bool mul_scale(const kata_infer *infer, int i, double *factor) {
    return known_number(infer, i, factor);
}

/* By a power of two: 1 / b is exact then, and a / b is a times it. */
static bool div_scale(const kata_infer *infer, int i, double *factor) {
    double divisor;
    int exponent;
    if (i != 0 || !known_number(infer, 0, &divisor) || fabs(frexp(divisor, &exponent)) != 0.5 ||
        exponent < -100 || exponent > 100) {
        return false;
    }
    *factor = 1 / divisor;
    return true;
}

ROW(Add, 1, KATA__ADD, 0, NULL, "a + b.", a + b, *z = kata__wrap_add(a, b), dz, dz)

ROW(Sub, 1, KATA__SUB, KATA_OP_SCALES, NULL, "a - b.", a - b, *z = kata__wrap_sub(a, b), dz,
    NEG(dz))

ROW(Mul, 1, KATA__MUL, KATA_OP_SCALES, mul_scale, "a b.", (a * b), *z = kata__wrap_mul(a, b),
    MUL(dz, b), MUL(dz, a))

/* a / -1 is 0 - a, which wraps where a division would trap. */
static kata_status integer_quotient(int64_t a, int64_t b, int64_t *z) {
    if (b == 0) {
        return KATA_INVALID;
    }
    *z = b == -1 ? kata__wrap_sub(0, a) : a / b;
    return KATA_OK;
}

ROW(Div, 1, KATA__DIV, KATA_OP_SCALES, div_scale, "a / b; integers are truncated.", a / b,
    return integer_quotient(a, b, z), DIV(dz, b), NEG(DIV(MUL(dz, z), b)))

ROW_INTERNAL(ReluGrad, KATA__RELU_GRADIENT,
             "Gradient of Relu from (dy, y): dy where y > 0, else 0.", b > 0 ? a : 0)

ROW_INTERNAL(SigmoidGrad, KATA__SIGMOID_GRADIENT,
             "Gradient of Sigmoid from (dy, y): dy y (1 - y) (book 5.12).", (a * b * (1 - b)))

ROW_INTERNAL(TanhGrad, KATA__TANH_GRADIENT, "Gradient of Tanh from (dy, y): dy (1 - y^2).",
             (a * (1 - b * b)))

/* --- PRelu ----------------------------------------------------------------------------------- */

/* The slope is broadcast to x, never x to the slope. */
static kata_status prelu_infer(kata_infer *infer) {
    KATA__TRY(number_infer(infer));
    char x[KATA_SHAPE_TEXT_SIZE], slope[KATA_SHAPE_TEXT_SIZE];
    const kata_shape *in = &infer->inputs[0].shape, *out = &infer->outputs[0].shape;
    bool grows = in->rank != out->rank;
    for (int i = 0; !grows && i < in->rank; i++) {
        grows = !kata__size_agrees(in->dim[i], out->dim[i]);
    }
    if (grows) {
        return kata_fail(KATA_SHAPE, "PRelu: the slope %s does not broadcast to x %s",
                         kata_shape_text(&infer->inputs[1].shape, slope), kata_shape_text(in, x));
    }
    return kata__infer_same(infer);
}

static inline double prelu_of(double x, double slope) {
    return x < 0 ? slope * x : x;
}

static kata_status prelu_of_integers(int64_t x, int64_t slope, int64_t *z) {
    *z = x < 0 ? kata__wrap_mul(slope, x) : x;
    return KATA_OK;
}

static kata_status prelu_reference(const kata_call *call) {
    kata__walk walk;
    kata__walk_call(&walk, call, 0, 2);
    if (call->outputs[0].dtype == KATA_F32) {
        PAIR_LOOP(float, prelu_of)
    } else if (call->outputs[0].dtype == KATA_F64) {
        PAIR_LOOP(double, prelu_of)
    } else if (kata_dtype_is_float(call->outputs[0].dtype)) {
        storage_loop(call, &walk, prelu_of);
    } else {
        return integer_loop(call, prelu_of_integers);
    }
    return KATA_OK;
}

static kata_status prelu_gradient(kata_gradient *g) {
    kata_graph *graph = g->graph;
    kata_value x = g->inputs[0], slope = g->inputs[1], dz = g->output_gradients[0];
    kata_value zero = kata__scalar_like(graph, 0, x), below = NODE("Less", x, zero);
    if (g->needed[0]) {
        g->input_gradients[0] = kata__where(graph, below, MUL(dz, slope), dz);
    }
    if (g->needed[1]) {
        g->input_gradients[1] =
            kata__sum_to(graph, kata__where(graph, below, MUL(dz, x), zero), slope);
    }
    return kata_graph_status(graph);
}

const kata_op kata__op_PRelu = {
    .name = "PRelu",
    .domain = "",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = prelu_infer,
    .reference = prelu_reference,
    .gradient = prelu_gradient,
    .flags = KATA_OP_ELEMENTWISE,
    .in_place = 1,
    .tolerance = 1e-6,
    .doc = "x below 0 times a slope that is learned (He et al. 2015).",
    .adapt = kata__adapt_slope,
    .adapt_before = 7,
};

/* --- Pow ------------------------------------------------------------------------------------- */

/* The exponent may have a dtype of its own; the result has the base's. */
static kata_status pow_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__NUMBERS));
    KATA__TRY(kata__infer_dtype(infer, 1, KATA__NUMBERS));
    kata_shape shape;
    kata_status status =
        kata_shape_broadcast(&shape, &infer->inputs[0].shape, &infer->inputs[1].shape);
    if (status != KATA_OK) {
        return kata_fail_in(status, "Pow");
    }
    infer->outputs[0] = (kata_type){infer->inputs[0].dtype, shape};
    return KATA_OK;
}

/* Square and multiply; a negative exponent is the truncated quotient 1 / base^-exponent. */
static int64_t integer_power(int64_t base, int64_t exponent) {
    if (exponent < 0) {
        return base == 1 ? 1 : base == -1 ? (exponent & 1 ? -1 : 1) : 0;
    }
    int64_t power = 1;
    for (; exponent > 0; exponent >>= 1) {
        power = exponent & 1 ? kata__wrap_mul(power, base) : power;
        base = kata__wrap_mul(base, base);
    }
    return power;
}

static kata_status pow_reference(const kata_call *call) {
    const kata_tensor *a = &call->inputs[0], *b = &call->inputs[1], *z = &call->outputs[0];
    bool integers = !kata_dtype_is_float(a->dtype) && !kata_dtype_is_float(b->dtype);
    kata__walk walk;
    kata__walk_call(&walk, call, 0, 2);
    for (; walk.rows > 0; kata__walk_next(&walk)) {
        for (int64_t k = 0; k < walk.n; k++) {
            int64_t to = walk.at[0] + k * walk.step[0], base = walk.at[1] + k * walk.step[1],
                    exponent = walk.at[2] + k * walk.step[2];
            if (integers) {
                kata__store_int(z->dtype, z->data, to,
                                integer_power(kata__load_int(a->dtype, a->data, base),
                                              kata__load_int(b->dtype, b->data, exponent)));
            } else {
                kata_store(z->dtype, z->data, to,
                           pow(kata_load(a->dtype, a->data, base),
                               kata_load(b->dtype, b->data, exponent)));
            }
        }
    }
    return KATA_OK;
}

static kata_status pow_fast(const kata_call *call) {
    run_pair(call, KATA__POW, &call->inputs[0], &call->inputs[1]);
    return KATA_OK;
}

static kata_kernel pow_choose(const kata_call *call) {
    kata_dtype dtype = call->inputs[0].dtype;
    return is_fast(dtype) && call->inputs[1].dtype == dtype ? pow_fast : NULL;
}

/* da = dz b a^(b-1); a constant exponent of 0, 1, 2 or 1/2 needs no power. db = dz z log(a), and 0
 * where a <= 0: log is not defined there, and a^b does not depend on b at a = 0, b > 0. */
static kata_status pow_gradient(kata_gradient *g) {
    kata_graph *graph = g->graph;
    kata_value a = g->inputs[0], z = g->outputs[0], dz = g->output_gradients[0];
    kata_value b = kata__cast_like(graph, g->inputs[1], a);
    if (g->needed[0]) {
        double exponent = NAN;
        kata__constant_scalar(graph, g->inputs[1], &exponent);
        kata_value da = KATA_NONE;
        if (exponent == 1.0) {
            da = dz;
        } else if (exponent == 2.0) {
            da = MUL(kata__scale(graph, dz, 2.0), a);
        } else if (exponent == 0.5) {
            da = DIV(kata__scale(graph, dz, 0.5), z);
        } else if (exponent != 0.0) {
            kata_value less = kata__sub(graph, b, kata__scalar_like(graph, 1, a));
            da = MUL(dz, MUL(b, NODE("Pow", a, less)));
        }
        g->input_gradients[0] = da.id == 0 ? KATA_NONE : kata__sum_to(graph, da, a);
    }
    if (g->needed[1] && kata_dtype_is_float(kata_value_dtype(graph, g->inputs[1]))) {
        kata_value zero = kata__scalar_like(graph, 0, a);
        kata_value slope =
            kata__where(graph, NODE("Greater", a, zero), MUL(z, NODE("Log", a)), zero);
        kata_value db = kata__sum_to(graph, MUL(dz, slope), g->inputs[1]);
        g->input_gradients[1] = kata__cast_like(graph, db, g->inputs[1]);
    }
    return kata_graph_status(graph);
}

const kata_op kata__op_Pow = {
    .name = "Pow",
    .domain = "",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = pow_infer,
    .reference = pow_reference,
    .choose = pow_choose,
    .gradient = pow_gradient,
    .flags = KATA_OP_ELEMENTWISE,
    .in_place = 1 | 2,
    .tolerance = 4e-6,
    .doc = "a to the power b, in a's data type.",
    .constant_inputs = 1 << 1,
    .adapt = kata__adapt_operands,
    .adapt_before = 7,
};

/* --- any number of operands ------------------------------------------------------------------ */

static kata_status variadic_infer(kata_infer *infer, unsigned dtypes) {
    KATA__TRY(kata__infer_dtype(infer, 0, dtypes));
    kata_type type = infer->inputs[0];
    for (int i = 1; i < infer->n_inputs; i++) {
        KATA__TRY(kata__infer_one_dtype(infer, 0, i));
        kata_status status =
            kata_shape_broadcast(&type.shape, &type.shape, &infer->inputs[i].shape);
        if (status != KATA_OK) {
            return kata_fail_in(status, "%s: input %d", infer->op->name, i);
        }
    }
    infer->outputs[0] = type;
    return KATA_OK;
}

static kata_status variadic_numbers(kata_infer *infer) {
    return variadic_infer(infer, KATA__NUMBERS);
}

static kata_status variadic_floats(kata_infer *infer) {
    return variadic_infer(infer, KATA__ALL_FLOATS);
}

/* f folds the operands in order, in double or int64, and the result is rounded once; at the end it
 * is divided by `divisor`. The output is no input, so its elements may be read back. */
static kata_status fold(const kata_call *call, double (*f)(double, double),
                        int64_t (*f_integer)(int64_t, int64_t), double divisor) {
    const kata_tensor *z = &call->outputs[0];
    int64_t strides[KATA_MAX_INPUTS][KATA_MAX_RANK], index[KATA_MAX_RANK] = {0};
    for (int i = 0; i < call->n_inputs; i++) {
        kata__broadcast_strides(&z->shape, &call->inputs[i].shape, strides[i]);
    }
    for (int64_t k = 0, n = kata_tensor_count(z); k < n; k++) {
        double value = 0;
        int64_t integer = 0;
        for (int i = 0; i < call->n_inputs; i++) {
            const kata_tensor *in = &call->inputs[i];
            int64_t at = 0;
            for (int axis = 0; axis < z->shape.rank; axis++) {
                at += index[axis] * strides[i][axis];
            }
            if (kata_dtype_is_float(in->dtype)) {
                double x = kata_load(in->dtype, in->data, at);
                value = i == 0 ? x : f(value, x);
            } else {
                int64_t x = kata__load_int(in->dtype, in->data, at);
                integer = i == 0 ? x : f_integer(integer, x);
            }
        }
        if (kata_dtype_is_float(z->dtype)) {
            kata_store(z->dtype, z->data, k, value / divisor);
        } else {
            kata__store_int(z->dtype, z->data, k, integer);
        }
        for (int axis = z->shape.rank - 1; axis >= 0; axis--) {
            if (++index[axis] < z->shape.dim[axis]) {
                break;
            }
            index[axis] = 0;
        }
    }
    return KATA_OK;
}

/* The first two operands, then one more at a time into the output. */
static kata_status fold_fast(const kata_call *call, kata__binary kernel) {
    const kata_tensor *z = &call->outputs[0];
    if (call->n_inputs == 1) {
        kata__unary_run(call->context, z->dtype, KATA__COPY, kata_tensor_count(z),
                        call->inputs[0].data, z->data, 0, 0);
        return KATA_OK;
    }
    run_pair(call, kernel, &call->inputs[0], &call->inputs[1]);
    for (int i = 2; i < call->n_inputs; i++) {
        run_pair(call, kernel, z, &call->inputs[i]);
    }
    return KATA_OK;
}

/* NaN wins, so that it is seen. */
static double max_of(double a, double b) {
    return a > b || isnan(a) ? a : b;
}
static double min_of(double a, double b) {
    return a < b || isnan(a) ? a : b;
}
static double sum_of(double a, double b) {
    return a + b;
}
static int64_t max_of_integers(int64_t a, int64_t b) {
    return a > b ? a : b;
}
static int64_t min_of_integers(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* dz goes to the first operand that equals the result, the last one takes what is left. */
static kata_status extreme_gradient(kata_gradient *g) {
    kata_graph *graph = g->graph;
    kata_value zero = kata__scalar_like(graph, 0, g->outputs[0]);
    kata_value left = g->output_gradients[0];
    for (int i = 0; i < g->n_inputs; i++) {
        kata_value share = left;
        if (i < g->n_inputs - 1) {
            kata_value taken = NODE("Equal", g->inputs[i], g->outputs[0]);
            share = kata__where(graph, taken, left, zero);
            left = kata__where(graph, taken, zero, left);
        }
        if (g->needed[i]) {
            g->input_gradients[i] = kata__sum_to(graph, share, g->inputs[i]);
        }
    }
    return kata_graph_status(graph);
}

static kata_status sum_gradient_by(kata_gradient *g, double factor) {
    kata_value dz = kata__scale(g->graph, g->output_gradients[0], factor);
    for (int i = 0; i < g->n_inputs; i++) {
        if (g->needed[i]) {
            g->input_gradients[i] = kata__sum_to(g->graph, dz, g->inputs[i]);
        }
    }
    return kata_graph_status(g->graph);
}

static kata_status Sum_gradient(kata_gradient *g) {
    return sum_gradient_by(g, 1.0);
}

static kata_status Mean_gradient(kata_gradient *g) {
    return sum_gradient_by(g, 1.0 / g->n_inputs);
}

/* No in_place: the output is filled before the later operands are read, and one of them may be the
 * first operand again. */
#define ROW_VARIADIC(NAME, SINCE, INFER, KERNEL, OF, OF_INTEGERS, DIVISOR, GRADIENT_RULE, DOC)     \
    static kata_status NAME##_reference(const kata_call *call) {                                   \
        return fold(call, OF, OF_INTEGERS, DIVISOR);                                               \
    }                                                                                              \
    static kata_status NAME##_fast(const kata_call *call) {                                        \
        KATA__TRY(fold_fast(call, KERNEL));                                                        \
        kata__divide_output(call, DIVISOR);                                                        \
        return KATA_OK;                                                                            \
    }                                                                                              \
    static kata_kernel NAME##_choose(const kata_call *call) {                                      \
        return is_fast(call->inputs[0].dtype) ? NAME##_fast : NULL;                                \
    }                                                                                              \
    const kata_op kata__op_##NAME = {.name = #NAME,                                                \
                                     .domain = "",                                                 \
                                     .since = SINCE,                                               \
                                     .min_inputs = 1,                                              \
                                     .max_inputs = KATA_MAX_INPUTS,                                \
                                     .min_outputs = 1,                                             \
                                     .max_outputs = 1,                                             \
                                     .infer = INFER,                                               \
                                     .reference = NAME##_reference,                                \
                                     .choose = NAME##_choose,                                      \
                                     .gradient = GRADIENT_RULE,                                    \
                                     .flags = KATA_OP_ELEMENTWISE,                                 \
                                     .tolerance = 1e-6,                                            \
                                     .doc = DOC};

ROW_VARIADIC(Max, 1, variadic_numbers, KATA__MAX, max_of, max_of_integers, 1, extreme_gradient,
             "The largest of the operands, element by element.")

ROW_VARIADIC(Min, 1, variadic_numbers, KATA__MIN, min_of, min_of_integers, 1, extreme_gradient,
             "The smallest of the operands, element by element.")

ROW_VARIADIC(Sum, 1, variadic_floats, KATA__ADD, sum_of, NULL, 1, Sum_gradient,
             "The sum of the operands, element by element.")

ROW_VARIADIC(Mean, 1, variadic_floats, KATA__ADD, sum_of, NULL, call->n_inputs, Mean_gradient,
             "The mean of the operands, element by element.")

/* --- Clip ------------------------------------------------------------------------------------ */

static kata_status clip_infer(kata_infer *infer) {
    static const char *const names[] = {"x", "min", "max"};
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__NUMBERS));
    for (int i = 1; i < 3; i++) {
        if (!kata__infer_has(infer, i)) {
            continue;
        }
        KATA__TRY(kata__infer_one_dtype(infer, 0, i));
        int64_t count = kata_shape_count(&infer->inputs[i].shape);
        if (count != 1) {
            char text[KATA_SHAPE_TEXT_SIZE];
            return kata_fail(KATA_SHAPE, "Clip: %s must be one number, got shape %s", names[i],
                             kata_shape_text(&infer->inputs[i].shape, text));
        }
    }
    return kata__infer_same(infer);
}

static bool clip_has(const kata_call *call, int i) {
    return i < call->n_inputs && call->inputs[i].dtype != KATA_NO_DTYPE;
}

/* An absent bound is no bound. min above max: max wins. */
static double clip_bound(const kata_call *call, int i, double absent) {
    return clip_has(call, i) ? kata_load(call->inputs[i].dtype, call->inputs[i].data, 0) : absent;
}

static kata_status clip_reference(const kata_call *call) {
    const kata_tensor *in = &call->inputs[0], *out = &call->outputs[0];
    int64_t n = kata_tensor_count(in);
    if (kata_dtype_is_float(in->dtype)) {
        double low = clip_bound(call, 1, -INFINITY), high = clip_bound(call, 2, INFINITY);
        for (int64_t k = 0; k < n; k++) {
            double x = kata_load(in->dtype, in->data, k);
            x = x < low ? low : x;
            kata_store(out->dtype, out->data, k, x > high ? high : x);
        }
        return KATA_OK;
    }
    int64_t low = INT64_MIN, high = INT64_MAX;
    if (clip_has(call, 1)) {
        low = kata__load_int(in->dtype, call->inputs[1].data, 0);
    }
    if (clip_has(call, 2)) {
        high = kata__load_int(in->dtype, call->inputs[2].data, 0);
    }
    for (int64_t k = 0; k < n; k++) {
        int64_t x = kata__load_int(in->dtype, in->data, k);
        x = x < low ? low : x;
        kata__store_int(out->dtype, out->data, k, x > high ? high : x);
    }
    return KATA_OK;
}

static kata_status clip_fast(const kata_call *call) {
    const kata_tensor *in = &call->inputs[0];
    kata__unary_run(call->context, in->dtype, KATA__CLIP, kata_tensor_count(in), in->data,
                    call->outputs[0].data, clip_bound(call, 1, -INFINITY),
                    clip_bound(call, 2, INFINITY));
    return KATA_OK;
}

static kata_kernel clip_choose(const kata_call *call) {
    return is_fast(call->inputs[0].dtype) ? clip_fast : NULL;
}

/* dz passes where min <= x <= max; what does not pass belongs to the bound. */
static kata_status clip_gradient(kata_gradient *g) {
    kata_graph *graph = g->graph;
    kata_value x = g->inputs[0], dz = g->output_gradients[0];
    kata_value zero = kata__scalar_like(graph, 0, x), left = dz;
    static const char *const outside[] = {"", "Less", "Greater"};
    for (int i = 2; i > 0; i--) {
        if (i >= g->n_inputs || g->inputs[i].id == 0) {
            continue;
        }
        kata_value beyond = NODE(outside[i], x, g->inputs[i]);
        if (g->needed[i]) {
            g->input_gradients[i] =
                kata__sum_to(graph, kata__where(graph, beyond, left, zero), g->inputs[i]);
        }
        left = kata__where(graph, beyond, zero, left);
    }
    g->input_gradients[0] = left;
    return kata_graph_status(graph);
}

const kata_op kata__op_Clip = {
    .name = "Clip",
    .domain = "",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 3,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = clip_infer,
    .reference = clip_reference,
    .choose = clip_choose,
    .gradient = clip_gradient,
    .flags = KATA_OP_ELEMENTWISE,
    .in_place = 1,
    .tolerance = 1e-7,
    .doc = "x kept between input 1 (min) and input 2 (max); a bound may be absent.",
    .constant_inputs = 1 << 1 | 1 << 2,
    .changes = (const kata_op_change[]){{KATA_ATTRIBUTE_TO_INPUT, 11, "min", 1},
                                        {KATA_ATTRIBUTE_TO_INPUT, 11, "max", 2},
                                        {0}},
};
