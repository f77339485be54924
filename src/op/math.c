/* Functions of one number: activations, exponentials, rounding. A row says the formula in double,
 * the fast kernel if there is one, and the gradient in nodes; its reference kernel is made from the
 * formula. */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "kernel/elementwise.h"
#include "op/gradient.h"
#include "op/infer.h"
#include "op/loops.h"

/* --- what rows are made of ------------------------------------------------------------------- */

/* Attributes 0 and 1 of the row are the formula's alpha and beta. */
static void parameters(const kata_op *op, const kata_attribute_value *attributes, double *alpha,
                       double *beta) {
    bool has_alpha = op->attributes != NULL && op->attributes[0].name != NULL;
    *alpha = has_alpha ? attributes[0].f : 0;
    *beta = has_alpha && op->attributes[1].name != NULL ? attributes[1].f : 0;
}

static kata_status float_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_float(infer, 0, true));
    return kata__infer_same(infer);
}

static kata_status signed_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__SIGNED));
    return kata__infer_same(infer);
}

static kata_status number_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__NUMBERS));
    return kata__infer_same(infer);
}

static kata_status run_fast(const kata_call *call, kata__unary kernel) {
    double alpha, beta;
    parameters(call->op, call->attributes, &alpha, &beta);
    kata__unary_run(call->context, call->inputs[0].dtype, kernel,
                    kata_tensor_count(&call->inputs[0]), call->inputs[0].data,
                    call->outputs[0].data, alpha, beta);
    return KATA_OK;
}

static bool has_kernel(const kata_call *call, kata__unary kernel) {
    kata_dtype dtype = call->inputs[0].dtype;
    return kernel != KATA__UNARY_COUNT && (dtype == KATA_F32 || dtype == KATA_F64);
}

/* One loop for float32 and float64, one through kata_load for the storage types. */
#define FLOAT_LOOP(f)                                                                              \
    do {                                                                                           \
        const kata_tensor *in = &call->inputs[0];                                                  \
        void *to = call->outputs[0].data;                                                          \
        int64_t n = kata_tensor_count(in);                                                         \
        if (in->dtype == KATA_F32) {                                                               \
            for (int64_t k = 0; k < n; k++) {                                                      \
                ((float *)to)[k] = (float)f(((const float *)in->data)[k], alpha, beta);            \
            }                                                                                      \
        } else if (in->dtype == KATA_F64) {                                                        \
            for (int64_t k = 0; k < n; k++) {                                                      \
                ((double *)to)[k] = f(((const double *)in->data)[k], alpha, beta);                 \
            }                                                                                      \
        } else {                                                                                   \
            for (int64_t k = 0; k < n; k++) {                                                      \
                kata_store(in->dtype, to, k, f(kata_load(in->dtype, in->data, k), alpha, beta));   \
            }                                                                                      \
        }                                                                                          \
    } while (0)

static kata_status integer_loop(const kata_call *call, int64_t (*f)(int64_t i)) {
    const kata_tensor *in = &call->inputs[0];
    for (int64_t k = 0, n = kata_tensor_count(in); k < n; k++) {
        kata__store_int(in->dtype, call->outputs[0].data, k,
                        f(kata__load_int(in->dtype, in->data, k)));
    }
    return KATA_OK;
}

#define FUNCTION(NAME, KERNEL, FORMULA, GRADIENT)                                                  \
    static inline double NAME##_of(double x, double alpha, double beta) {                          \
        (void)alpha, (void)beta;                                                                   \
        return FORMULA;                                                                            \
    }                                                                                              \
    static kata_status NAME##_float(const kata_call *call) {                                       \
        double alpha, beta;                                                                        \
        parameters(call->op, call->attributes, &alpha, &beta);                                     \
        FLOAT_LOOP(NAME##_of);                                                                     \
        return KATA_OK;                                                                            \
    }                                                                                              \
    static kata_status NAME##_fast(const kata_call *call) {                                        \
        return run_fast(call, KERNEL);                                                             \
    }                                                                                              \
    static kata_kernel NAME##_choose(const kata_call *call) {                                      \
        return has_kernel(call, KERNEL) ? NAME##_fast : NULL;                                      \
    }                                                                                              \
    static kata_status NAME##_gradient(kata_gradient *g) {                                         \
        kata_graph *graph = g->graph;                                                              \
        kata_value x = g->inputs[0], y = g->outputs[0], dy = g->output_gradients[0];               \
        double alpha, beta;                                                                        \
        parameters(g->op, g->attributes, &alpha, &beta);                                           \
        (void)x, (void)y, (void)dy;                                                                \
        g->input_gradients[0] = (GRADIENT);                                                        \
        return kata_graph_status(graph);                                                           \
    }

#define ROW_OF(NAME, SINCE, INFER, REFERENCE, TOLERANCE, ATTRIBUTES, DOC)                          \
    const kata_op kata__op_##NAME = {.name = #NAME,                                                \
                                     .domain = "",                                                 \
                                     .since = SINCE,                                               \
                                     .min_inputs = 1,                                              \
                                     .max_inputs = 1,                                              \
                                     .min_outputs = 1,                                             \
                                     .max_outputs = 1,                                             \
                                     .attributes = ATTRIBUTES,                                     \
                                     .infer = INFER,                                               \
                                     .reference = REFERENCE,                                       \
                                     .choose = NAME##_choose,                                      \
                                     .gradient = NAME##_gradient,                                  \
                                     .flags = KATA_OP_ELEMENTWISE,                                 \
                                     .in_place = 1,                                                \
                                     .tolerance = TOLERANCE,                                       \
                                     .doc = DOC};

/* Floats only. */
#define ROW(NAME, SINCE, TOLERANCE, KERNEL, ATTRIBUTES, DOC, FORMULA, GRADIENT)                    \
    FUNCTION(NAME, KERNEL, FORMULA, GRADIENT)                                                      \
    ROW_OF(NAME, SINCE, float_infer, NAME##_float, TOLERANCE, ATTRIBUTES, DOC)

/* Floats and integers: INTEGER is the formula in int64, of i. */
#define ROW_INTEGER(NAME, SINCE, INFER, KERNEL, DOC, FORMULA, INTEGER, GRADIENT)                   \
    FUNCTION(NAME, KERNEL, FORMULA, GRADIENT)                                                      \
    static int64_t NAME##_of_integer(int64_t i) {                                                  \
        return INTEGER;                                                                            \
    }                                                                                              \
    static kata_status NAME##_reference(const kata_call *call) {                                   \
        return kata_dtype_is_float(call->inputs[0].dtype) ? NAME##_float(call)                     \
                                                          : integer_loop(call, NAME##_of_integer); \
    }                                                                                              \
    ROW_OF(NAME, SINCE, INFER, NAME##_reference, 1e-7, NULL, DOC)

/* Short names for gradients, of nodes and numbers. */
#define NODE(op, ...) KATA_NODE(graph, op, KATA_INPUTS(__VA_ARGS__))
#define NUMBER(number) kata__scalar_like(graph, (number), x)
#define ADD(a, b) kata__add(graph, a, b)
#define SUB(a, b) kata__sub(graph, a, b)
#define MUL(a, b) kata__mul(graph, a, b)
#define DIV(a, b) kata__div(graph, a, b)
#define SCALE(a, number) kata__scale(graph, a, number)
#define WHERE(condition, a, b) kata__where(graph, condition, a, b)

#define ATTRIBUTES(...) ((const kata_attribute_spec[]){__VA_ARGS__, {.name = NULL}})
#define NUMBER_ATTRIBUTE(NAME, DEFAULT, DOC)                                                       \
    { .name = NAME, .type = KATA_ATTRIBUTE_FLOAT, .default_float = DEFAULT, .doc = DOC }

static const double inverse_sqrt_2 = 0.70710678118654752440;   /* 1/sqrt(2) */
static const double sqrt_2_over_pi = 0.79788456080286535588;   /* sqrt(2/pi) */
static const double two_over_sqrt_pi = 1.12837916709551257390; /* 2/sqrt(pi) */
static const double gelu_cubic = 0.044715;

/* Into [0, 1]; a NaN stays one, which fmin and fmax would lose. */
static inline double clamp(double x) {
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

/* --- activations ----------------------------------------------------------------------------- */

/* The derivative at 0 is 0 (book 5.8); NaN stays NaN, so that it is seen. */
ROW_INTEGER(Relu, 1, signed_infer, KATA__RELU, "max(0, x).", x <= 0 ? 0 : x, i > 0 ? i : 0,
            NODE("kata:ReluGrad", dy, y))

ROW(LeakyRelu, 1, 1e-6, KATA__LEAKY_RELU,
    ATTRIBUTES(NUMBER_ATTRIBUTE("alpha", 0.01f, "slope below 0")), "x below 0 times alpha.",
    x < 0 ? alpha * x : x, WHERE(NODE("Less", x, NUMBER(0)), SCALE(dy, alpha), dy))

/* Below 0: dy/dx = alpha e^x = y + alpha. */
ROW(Elu, 1, 2e-6, KATA__ELU, ATTRIBUTES(NUMBER_ATTRIBUTE("alpha", 1, "limit below 0, negated")),
    "x, and alpha (e^x - 1) below 0 (Clevert et al. 2016).", x < 0 ? alpha * expm1(x) : x,
    MUL(dy, WHERE(NODE("Less", x, NUMBER(0)), ADD(y, NUMBER(alpha)), NUMBER(1))))

ROW(Selu, 6, 2e-6, KATA__SELU,
    ATTRIBUTES(NUMBER_ATTRIBUTE("alpha", 1.67326319217681884765625, "limit below 0, negated"),
               NUMBER_ATTRIBUTE("gamma", 1.05070102214813232421875, "scale of all")),
    "gamma (x, and alpha (e^x - 1) below 0) (Klambauer et al. 2017).",
    (x < 0 ? alpha * expm1(x) : x) * beta,
    MUL(dy, WHERE(NODE("Less", x, NUMBER(0)), ADD(y, NUMBER((alpha * beta))), NUMBER(beta))))

ROW(HardSigmoid, 1, 1e-6, KATA__HARD_SIGMOID,
    ATTRIBUTES(NUMBER_ATTRIBUTE("alpha", 0.2f, "slope"), NUMBER_ATTRIBUTE("beta", 0.5, "shift")),
    "alpha x + beta, kept in [0, 1].", clamp(alpha *x + beta),
    WHERE(NODE("And", NODE("Greater", y, NUMBER(0)), NODE("Less", y, NUMBER(1))), SCALE(dy, alpha),
          NUMBER(0)))

/* dy/dx = 0 below -3, 1 above 3, x/3 + 1/2 between. */
ROW(HardSwish, 14, 1e-6, KATA__HARD_SWISH, NULL,
    "x times HardSigmoid of slope 1/6 and shift 1/2 (Howard et al. 2019).", clamp(x / 6 + 0.5) * x,
    MUL(dy,
        WHERE(NODE("Less", x, NUMBER(3)),
              WHERE(NODE("Greater", x, NUMBER(-3)), ADD(SCALE(x, 1.0 / 3), NUMBER(0.5)), NUMBER(0)),
              NUMBER(1))))

/* Two branches, so that exp never overflows. */
ROW(Sigmoid, 1, 1e-6, KATA__SIGMOID, NULL, "1 / (1 + e^-x) (book 3.6).",
    x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)), NODE("kata:SigmoidGrad", dy, y))

ROW(Tanh, 1, 1e-6, KATA__TANH, NULL, "Hyperbolic tangent.", tanh(x), NODE("kata:TanhGrad", dy, y))

ROW(Softplus, 1, 1e-6, KATA__SOFTPLUS, NULL, "log(1 + e^x), without overflow.",
    x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)), MUL(dy, NODE("Sigmoid", x)))

/* dy/dx = t + x s (1 - t^2), t = tanh(softplus(x)), s = sigmoid(x). */
static kata_value mish_slope(kata_graph *graph, kata_value x) {
    kata_value t = NODE("Tanh", NODE("Softplus", x));
    kata_value rest = SUB(NUMBER(1), MUL(t, t));
    return ADD(t, MUL(MUL(x, NODE("Sigmoid", x)), rest));
}

ROW(Mish, 18, 1e-6, KATA__UNARY_COUNT, NULL, "x tanh(log(1 + e^x)) (Misra 2019).",
    (x * tanh(x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)))), MUL(dy, mish_slope(graph, x)))

/* --- analysis -------------------------------------------------------------------------------- */

ROW(Erf, 9, 1e-6, KATA__ERF, NULL, "Error function, 2/sqrt(pi) times the integral of e^-t^2.",
    erf(x), MUL(SCALE(dy, two_over_sqrt_pi), NODE("Exp", NODE("Neg", MUL(x, x)))))

ROW(Exp, 1, 1e-6, KATA__EXP, NULL, "e^x.", exp(x), MUL(dy, y))

ROW(Log, 1, 1e-6, KATA__LOG, NULL, "Natural logarithm; -inf at 0, NaN below.", log(x), DIV(dy, x))

ROW(Sqrt, 1, 1e-6, KATA__SQRT, NULL, "Square root; NaN below 0.", sqrt(x), DIV(SCALE(dy, 0.5), y))

ROW(Reciprocal, 1, 1e-6, KATA__RECIPROCAL, NULL, "1/x.", 1 / x, NODE("Neg", MUL(dy, MUL(y, y))))

ROW(Sin, 7, 1e-6, KATA__UNARY_COUNT, NULL, "Sine of an angle in radians.", sin(x),
    MUL(dy, NODE("Cos", x)))

ROW(Cos, 7, 1e-6, KATA__UNARY_COUNT, NULL, "Cosine of an angle in radians.", cos(x),
    NODE("Neg", MUL(dy, NODE("Sin", x))))

ROW_INTEGER(Neg, 1, signed_infer, KATA__NEG, "-x.", -x, kata__wrap_sub(0, i), NODE("Neg", dy))

/* The derivative at 0 is 0. */
ROW_INTEGER(Abs, 1, number_infer, KATA__ABS, "|x|.", fabs(x), i < 0 ? kata__wrap_sub(0, i) : i,
            MUL(dy, NODE("Sign", x)))

/* --- steps: the gradient is 0 ---------------------------------------------------------------- */

ROW_INTEGER(Sign, 9, number_infer, KATA__UNARY_COUNT, "-1, 0 or 1; NaN of NaN.",
            isnan(x) ? x : (x > 0) - (x < 0), (i > 0) - (i < 0), KATA_NONE)

ROW(Floor, 1, 1e-7, KATA__UNARY_COUNT, NULL, "The largest whole number that is at most x.",
    floor(x), KATA_NONE)

ROW(Ceil, 1, 1e-7, KATA__UNARY_COUNT, NULL, "The smallest whole number that is at least x.",
    ceil(x), KATA_NONE)

/* --- Gelu: two formulas ---------------------------------------------------------------------- */

static bool gelu_by_tanh(const kata_attribute_value *attributes) {
    return strcmp(attributes[0].s, "tanh") == 0;
}

static kata_status gelu_infer(kata_infer *infer) {
    const char *approximate = infer->attributes[0].s != NULL ? infer->attributes[0].s : "";
    if (strcmp(approximate, "none") != 0 && strcmp(approximate, "tanh") != 0) {
        return kata_fail(KATA_INVALID, "Gelu: approximate must be \"none\" or \"tanh\", got \"%s\"",
                         approximate);
    }
    return float_infer(infer);
}

static inline double gelu_erf(double x, double alpha, double beta) {
    (void)alpha, (void)beta;
    return x / 2 * (1 + erf(x * inverse_sqrt_2));
}

static inline double gelu_tanh(double x, double alpha, double beta) {
    (void)alpha, (void)beta;
    return x / 2 * (1 + tanh(sqrt_2_over_pi * (x + gelu_cubic * x * x * x)));
}

static kata_status gelu_reference(const kata_call *call) {
    const double alpha = 0, beta = 0;
    if (gelu_by_tanh(call->attributes)) {
        FLOAT_LOOP(gelu_tanh);
    } else {
        FLOAT_LOOP(gelu_erf);
    }
    return KATA_OK;
}

static kata_status gelu_fast(const kata_call *call) {
    kata__unary_run(call->context, call->inputs[0].dtype,
                    gelu_by_tanh(call->attributes) ? KATA__GELU_TANH : KATA__GELU,
                    kata_tensor_count(&call->inputs[0]), call->inputs[0].data,
                    call->outputs[0].data, 0, 0);
    return KATA_OK;
}

static kata_kernel gelu_choose(const kata_call *call) {
    return has_kernel(call, KATA__GELU) ? gelu_fast : NULL;
}

/* "none": Phi(x) + x phi(x), Phi and phi of the normal distribution.
 * "tanh", t = tanh(c (x + k x^3)): (1 + t)/2 + x/2 (1 - t^2) c (1 + 3 k x^2). */
static kata_status gelu_gradient(kata_gradient *g) {
    kata_graph *graph = g->graph;
    kata_value x = g->inputs[0], square = MUL(x, x), share, slope;
    if (gelu_by_tanh(g->attributes)) {
        kata_value inner = MUL(x, ADD(SCALE(square, gelu_cubic), NUMBER(1)));
        kata_value t = NODE("Tanh", SCALE(inner, sqrt_2_over_pi));
        kata_value rise = ADD(SCALE(square, 3 * gelu_cubic), NUMBER(1));
        share = SCALE(ADD(t, NUMBER(1)), 0.5);
        slope = SCALE(MUL(SUB(NUMBER(1), MUL(t, t)), rise), sqrt_2_over_pi / 2);
    } else {
        share = SCALE(ADD(NODE("Erf", SCALE(x, inverse_sqrt_2)), NUMBER(1)), 0.5);
        slope = SCALE(NODE("Exp", SCALE(square, -0.5)), sqrt_2_over_pi / 2);
    }
    g->input_gradients[0] = MUL(g->output_gradients[0], ADD(share, MUL(x, slope)));
    return kata_graph_status(graph);
}

const kata_op kata__op_Gelu = {
    .name = "Gelu",
    .domain = "",
    .since = 20,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = ATTRIBUTES({.name = "approximate",
                              .type = KATA_ATTRIBUTE_STRING,
                              .default_string = "none",
                              .doc = "\"none\": by erf; \"tanh\": the older approximation"}),
    .infer = gelu_infer,
    .reference = gelu_reference,
    .choose = gelu_choose,
    .gradient = gelu_gradient,
    .flags = KATA_OP_ELEMENTWISE,
    .in_place = 1,
    .tolerance = 2e-6,
    .doc = "x times the normal distribution function of x (Hendrycks and Gimpel 2016).",
};
