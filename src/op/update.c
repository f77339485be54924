/* One step of an optimiser on one parameter: output k is input k, written in place (book 6.1). */
#include "op/infer.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "kernel/update.h"
#include "op/problem.h"
#include "op/rules.h"
#include "op/workspace.h"

/* One array for each name, so that attributes are told apart by where their names are. */
static const char MOMENTUM[] = "momentum", DECAY[] = "decay", BETA1[] = "beta1", BETA2[] = "beta2",
                  EPSILON[] = "epsilon", WEIGHT_DECAY[] = "weight_decay";

#define FACTOR(text, value, description)                                                           \
    { .name = text, .type = KATA_ATTRIBUTE_FLOAT, .default_float = value, .doc = description }
#define EPSILON_FACTOR FACTOR(EPSILON, 1e-7, "keeps the divisor from 0")
#define WEIGHT_DECAY_FACTOR                                                                        \
    FACTOR(WEIGHT_DECAY, 0, "decoupled: w -= lr weight_decay w before the step")

static const kata_attribute_spec sgd_attributes[] = {WEIGHT_DECAY_FACTOR, {0}};
static const kata_attribute_spec momentum_attributes[] = {
    FACTOR(MOMENTUM, 0.9, "how much of the last step is kept"), WEIGHT_DECAY_FACTOR, {0}};
static const kata_attribute_spec adagrad_attributes[] = {EPSILON_FACTOR, WEIGHT_DECAY_FACTOR, {0}};
static const kata_attribute_spec rmsprop_attributes[] = {
    FACTOR(DECAY, 0.99, "how much of the mean square is kept"),
    EPSILON_FACTOR,
    WEIGHT_DECAY_FACTOR,
    {0}};
static const kata_attribute_spec adam_attributes[] = {
    FACTOR(BETA1, 0.9, "how much of the mean is kept"),
    FACTOR(BETA2, 0.999, "how much of the mean square is kept"),
    EPSILON_FACTOR,
    WEIGHT_DECAY_FACTOR,
    {0}};

/* KATA__UPDATES: there is none of this name. */
static kata__update rule_named(const char *name) {
    static const char *const names[KATA__UPDATES] = {
        [KATA__SGD] = "SGD",         [KATA__MOMENTUM] = "Momentum", [KATA__NESTEROV] = "Nesterov",
        [KATA__ADAGRAD] = "AdaGrad", [KATA__RMSPROP] = "RMSProp",   [KATA__ADAM] = "Adam"};
    int i = 0;
    while (i < KATA__UPDATES && strcmp(name, names[i]) != 0) {
        i++;
    }
    return (kata__update)i;
}

static kata__update rule_of(const kata_op *op) {
    return rule_named(op->name);
}

/* Inputs: w, the states (as many as outputs after w), g, lr, and for Adam t. */
static kata_status update_infer(kata_infer *infer) {
    int states = infer->op->min_outputs - 1, g = states + 1;
    KATA__TRY(kata__infer_float(infer, 0, false));
    KATA__TRY(kata__rule_same_dtype(infer, 1, g + 1));
    for (int i = 1; i <= g; i++) {
        KATA__TRY(kata__rule_same_shape(infer, 0, i));
    }
    KATA__TRY(kata__rule_scalar(infer, g + 1, "learning rate"));
    if (infer->op->max_inputs > g + 2) {
        KATA__TRY(kata__rule_scalar(infer, g + 2, "number of the step"));
        KATA__TRY(kata__infer_dtype(infer, g + 2, KATA__FLOATS | KATA__INDICES));
    }
    for (int i = 0; i < infer->n_outputs; i++) {
        infer->outputs[i] = infer->inputs[0];
    }
    return KATA_OK;
}

bool kata__is_optimizer_step(const kata_op *op) {
    return op->infer == update_infer;
}

bool kata__step_adds(const kata_op *op, const kata_attribute_value *attributes) {
    if (!kata__is_optimizer_step(op) || rule_of(op) != KATA__SGD) {
        return false;
    }
    for (int i = 0; op->attributes[i].name != NULL; i++) {
        if (op->attributes[i].name == WEIGHT_DECAY && attributes[i].f != 0) {
            return false;
        }
    }
    return true;
}

/* lr: which input the learning rate is. */
static kata__update_options options_of(const kata_call *call, int lr) {
    const kata_tensor *in = call->inputs;
    kata__update_options o = {
        .lr = kata_load(in[lr].dtype, in[lr].data, 0),
        .t = call->n_inputs > lr + 1 ? kata_load(in[lr + 1].dtype, in[lr + 1].data, 0) : 0};
    for (int i = 0; call->op->attributes[i].name != NULL; i++) {
        const char *name = call->op->attributes[i].name;
        double *value = name == MOMENTUM       ? &o.momentum
                        : name == DECAY        ? &o.decay
                        : name == BETA1        ? &o.beta1
                        : name == BETA2        ? &o.beta2
                        : name == EPSILON      ? &o.epsilon
                        : name == WEIGHT_DECAY ? &o.weight_decay
                                               : NULL;
        if (value != NULL) {
            *value = call->attributes[i].f;
        }
    }
    return o;
}

/* One number: w, its gradient and states a and b. */
static void step(kata__update rule, const kata__update_options *o, double g, double *w, double *a,
                 double *b) {
    *w -= o->lr * o->weight_decay * *w;
    switch (rule) {
    case KATA__MOMENTUM: /* v = momentum v - lr g; w += v (6.3, 6.4) */
        *a = o->momentum * *a - o->lr * g;
        *w += *a;
        break;
    case KATA__NESTEROV: /* w += momentum^2 v - (1 + momentum) lr g; v = momentum v - lr g */
        *w += o->momentum * o->momentum * *a - (1 + o->momentum) * o->lr * g;
        *a = o->momentum * *a - o->lr * g;
        break;
    case KATA__ADAGRAD: /* h += g^2; w -= lr g / (sqrt(h) + epsilon) (6.5, 6.6) */
        *a += g * g;
        *w -= o->lr * g / (sqrt(*a) + o->epsilon);
        break;
    case KATA__RMSPROP: /* h = decay h + (1 - decay) g^2; w -= lr g / (sqrt(h) + epsilon) */
        *a = o->decay * *a + (1 - o->decay) * g * g;
        *w -= o->lr * g / (sqrt(*a) + o->epsilon);
        break;
    case KATA__ADAM: /* m += (1-b1)(g-m); v += (1-b2)(g^2-v);
                        w -= lr sqrt(1-b2^t)/(1-b1^t) m / (sqrt(v) + epsilon) */
        *a += (1 - o->beta1) * (g - *a);
        *b += (1 - o->beta2) * (g * g - *b);
        *w -= o->lr * sqrt(1 - pow(o->beta2, o->t)) / (1 - pow(o->beta1, o->t)) * *a /
              (sqrt(*b) + o->epsilon);
        break;
    default: /* w -= lr g (6.1) */
        *w -= o->lr * g;
        break;
    }
}

static kata_status update_reference(const kata_call *call) {
    kata__update rule = rule_of(call->op);
    kata__update_options options = options_of(call, call->n_outputs + 1);
    const kata_tensor *in = call->inputs, *out = call->outputs;
    kata_dtype dtype = in[0].dtype;
    for (int64_t i = 0; i < kata_tensor_count(&in[0]); i++) {
        double value[3] = {0};
        for (int k = 0; k < call->n_outputs; k++) {
            value[k] = kata_load(dtype, in[k].data, i);
        }
        step(rule, &options, kata_load(dtype, in[call->n_outputs].data, i), &value[0], &value[1],
             &value[2]);
        for (int k = 0; k < call->n_outputs; k++) {
            kata_store(dtype, out[k].data, i, value[k]);
        }
    }
    return KATA_OK;
}

/* Outputs begin as the inputs that they are written over. */
static void begin_outputs(const kata_call *call) {
    for (int k = 0; k < call->n_outputs; k++) {
        if (call->outputs[k].data != call->inputs[k].data) {
            memcpy(call->outputs[k].data, call->inputs[k].data,
                   kata_tensor_bytes(&call->inputs[k]));
        }
    }
}

static kata_status update_fast(const kata_call *call) {
    kata__update_options options = options_of(call, call->n_outputs + 1);
    begin_outputs(call);
    kata__update_run(call->context, call->inputs[0].dtype, rule_of(call->op),
                     kata_tensor_count(&call->inputs[0]), call->outputs[0].data,
                     call->inputs[call->n_outputs].data,
                     call->n_outputs > 1 ? call->outputs[1].data : NULL,
                     call->n_outputs > 2 ? call->outputs[2].data : NULL, &options);
    return KATA_OK;
}

static kata_kernel update_choose(const kata_call *call) {
    return kata_tensor_count(&call->inputs[0]) > 0 ? update_fast : NULL;
}

static double update_flops(const kata_call *call) {
    static const double each[KATA__UPDATES] = {2, 4, 7, 6, 8, 12};
    return each[rule_of(call->op)] * (double)kata_tensor_count(&call->inputs[0]);
}

#define UPDATE(symbol, text, list, states, inputs, description)                                    \
    const kata_op kata__op_kata_##symbol = {                                                       \
        .name = text,                                                                              \
        .domain = "kata",                                                                          \
        .since = 1,                                                                                \
        .min_inputs = inputs,                                                                      \
        .max_inputs = inputs,                                                                      \
        .min_outputs = (states) + 1,                                                               \
        .max_outputs = (states) + 1,                                                               \
        .attributes = list,                                                                        \
        .infer = update_infer,                                                                     \
        .reference = update_reference,                                                             \
        .choose = update_choose,                                                                   \
        .flops = update_flops,                                                                     \
        .flags = KATA_OP_UPDATE | KATA_OP_INTERNAL,                                                \
        .tolerance = 1e-5,                                                                         \
        .doc = description,                                                                        \
    }

UPDATE(SGD, "SGD", sgd_attributes, 0, 3, "(w, g, lr): w -= lr g.");
UPDATE(Momentum, "Momentum", momentum_attributes, 1, 4,
       "(w, v, g, lr): v = momentum v - lr g; w += v.");
UPDATE(Nesterov, "Nesterov", momentum_attributes, 1, 4,
       "(w, v, g, lr): w += momentum^2 v - (1 + momentum) lr g; v = momentum v - lr g.");
UPDATE(AdaGrad, "AdaGrad", adagrad_attributes, 1, 4,
       "(w, h, g, lr): h += g^2; w -= lr g / (sqrt(h) + epsilon).");
UPDATE(RMSProp, "RMSProp", rmsprop_attributes, 1, 4,
       "(w, h, g, lr): h = decay h + (1 - decay) g^2; w -= lr g / (sqrt(h) + epsilon).");
UPDATE(Adam, "Adam", adam_attributes, 2, 6,
       "(w, m, v, g, lr, t): m += (1-beta1)(g-m); v += (1-beta2)(g^2-v); "
       "w -= lr sqrt(1-beta2^t)/(1-beta1^t) m / (sqrt(v) + epsilon).");

/* ---- kata:GemmUpdate (w, states, G, X, lr, t): a step whose gradient is a product, which is
 * applied part by part as it is computed ---- */

enum {
    PRODUCT_RULE,
    PRODUCT_G_FIRST,
    PRODUCT_ALPHA,
    PRODUCT_TRANS_A,
    PRODUCT_TRANS_B,
    PRODUCT_WEIGHT_DECAY
};
static const kata_attribute_spec product_attributes[] = {
    {.name = "rule", .type = KATA_ATTRIBUTE_STRING, .required = true, .doc = "SGD, Adam, ..."},
    {.name = "g_first",
     .type = KATA_ATTRIBUTE_INT,
     .doc = "1: A is G and B is X, else the other way"},
    FACTOR("alpha", 1, "factor on A' B'"),
    {.name = "transA", .type = KATA_ATTRIBUTE_INT, .doc = "1: A' is A transposed"},
    {.name = "transB", .type = KATA_ATTRIBUTE_INT, .doc = "1: B' is B transposed"},
    WEIGHT_DECAY_FACTOR,
    FACTOR(MOMENTUM, 0.9, "of Momentum and Nesterov"),
    FACTOR(DECAY, 0.99, "of RMSProp"),
    FACTOR(BETA1, 0.9, "of Adam"),
    FACTOR(BETA2, 0.999, "of Adam"),
    EPSILON_FACTOR,
    {0}};

static kata__update product_rule(const kata_attribute_value *attributes) {
    return rule_named(attributes[PRODUCT_RULE].s);
}

static kata_status product_infer(kata_infer *infer) {
    static const int n_states[KATA__UPDATES] = {0, 1, 1, 1, 1, 2};
    const kata__update rule = product_rule(infer->attributes);
    const int n = infer->n_outputs;
    if (rule == KATA__UPDATES) {
        return kata_fail(KATA_INVALID, "GemmUpdate: there is no rule %s",
                         infer->attributes[PRODUCT_RULE].s);
    }
    const int n_inputs = n + 3 + (rule == KATA__ADAM);
    if (n != n_states[rule] + 1 || infer->n_inputs != n_inputs) {
        return kata_fail(KATA_INVALID,
                         "GemmUpdate: rule %s has %d outputs and %d inputs, got %d and %d",
                         infer->attributes[PRODUCT_RULE].s, n_states[rule] + 1,
                         n_states[rule] + 4 + (rule == KATA__ADAM), n, infer->n_inputs);
    }
    KATA__TRY(kata__infer_float(infer, 0, false));
    KATA__TRY(kata__rule_same_dtype(infer, 1, n + 2));
    for (int i = 1; i < n; i++) {
        KATA__TRY(kata__rule_same_shape(infer, 0, i));
    }
    KATA__TRY(kata__rule_rank(infer, 0, 2, 2, "a matrix (rank 2)"));
    KATA__TRY(kata__rule_rank(infer, n, 2, 2, "a matrix (rank 2)"));
    KATA__TRY(kata__rule_rank(infer, n + 1, 2, 2, "a matrix (rank 2)"));
    const bool g_first = infer->attributes[PRODUCT_G_FIRST].i != 0;
    const bool swap_a = infer->attributes[PRODUCT_TRANS_A].i != 0;
    const bool swap_b = infer->attributes[PRODUCT_TRANS_B].i != 0;
    const kata_shape *a = &infer->inputs[g_first ? n : n + 1].shape;
    const kata_shape *b = &infer->inputs[g_first ? n + 1 : n].shape;
    const kata_shape *w = &infer->inputs[0].shape;
    if (!kata__size_agrees(a->dim[!swap_a], b->dim[swap_b]) ||
        !kata__size_agrees(a->dim[swap_a], w->dim[0]) ||
        !kata__size_agrees(b->dim[!swap_b], w->dim[1])) {
        char text_a[KATA_SHAPE_TEXT_SIZE], text_b[KATA_SHAPE_TEXT_SIZE];
        char text_w[KATA_SHAPE_TEXT_SIZE];
        return kata_fail(KATA_SHAPE,
                         "GemmUpdate (transA %d, transB %d): the product of %s and %s has not the "
                         "parameter's shape %s",
                         (int)swap_a, (int)swap_b, kata_shape_text(a, text_a),
                         kata_shape_text(b, text_b), kata_shape_text(w, text_w));
    }
    KATA__TRY(kata__rule_scalar(infer, n + 2, "learning rate"));
    if (rule == KATA__ADAM) {
        KATA__TRY(kata__rule_scalar(infer, n + 3, "number of the step"));
        KATA__TRY(kata__infer_dtype(infer, n + 3, KATA__FLOATS | KATA__INDICES));
    }
    for (int i = 0; i < n; i++) {
        infer->outputs[i] = infer->inputs[0];
    }
    return KATA_OK;
}

static kata__gemm product_of(const kata_call *call) {
    const bool g_first = call->attributes[PRODUCT_G_FIRST].i != 0;
    const bool swap_a = call->attributes[PRODUCT_TRANS_A].i != 0;
    const bool swap_b = call->attributes[PRODUCT_TRANS_B].i != 0;
    const kata_tensor *a = &call->inputs[call->n_outputs + (g_first ? 0 : 1)];
    const kata_tensor *b = &call->inputs[call->n_outputs + (g_first ? 1 : 0)];
    return (kata__gemm){.m = a->shape.dim[swap_a],
                        .n = b->shape.dim[!swap_b],
                        .k = a->shape.dim[!swap_a],
                        .transpose_a = swap_a,
                        .transpose_b = swap_b,
                        .a = a->data,
                        .b = b->data,
                        .lda = a->shape.dim[1],
                        .ldb = b->shape.dim[1],
                        .alpha = call->attributes[PRODUCT_ALPHA].f};
}

static kata_status fail_gradient(const kata_call *call, int64_t at) {
    const int64_t n = call->inputs[0].shape.dim[1];
    return kata_fail(KATA_NON_FINITE,
                     "the first non-finite value is element (%lld,%lld) of the gradient",
                     (long long)(at / n), (long long)(at % n));
}

static double product_element(const kata_call *call, const kata__gemm *p, int64_t i, int64_t j) {
    const kata_dtype dtype = call->inputs[0].dtype;
    double sum = 0;
    for (int64_t l = 0; l < p->k; l++) {
        sum += kata_load(dtype, p->a, p->transpose_a ? l * p->lda + i : i * p->lda + l) *
               kata_load(dtype, p->b, p->transpose_b ? j * p->ldb + l : l * p->ldb + j);
    }
    return p->alpha * sum;
}

static kata_status product_reference(const kata_call *call) {
    const kata__update rule = product_rule(call->attributes);
    const kata__update_options options = options_of(call, call->n_outputs + 2);
    const kata__gemm p = product_of(call);
    const kata_dtype dtype = call->inputs[0].dtype;
    for (int64_t i = 0; i < p.m * p.n; i++) {
        double value[3] = {0}, g = product_element(call, &p, i / p.n, i % p.n);
        if (!isfinite(g)) {
            return fail_gradient(call, i);
        }
        for (int k = 0; k < call->n_outputs; k++) {
            value[k] = kata_load(dtype, call->inputs[k].data, i);
        }
        step(rule, &options, g, &value[0], &value[1], &value[2]);
        for (int k = 0; k < call->n_outputs; k++) {
            kata_store(dtype, call->outputs[k].data, i, value[k]);
        }
    }
    return KATA_OK;
}

static kata__workspace_size product_kernel_workspace(const kata_call *call) {
    const kata__gemm p = product_of(call);
    return kata__update_by_product_workspace(call->context, call->inputs[0].dtype,
                                             product_rule(call->attributes), &p,
                                             call->attributes[PRODUCT_WEIGHT_DECAY].f);
}

static size_t product_workspace(const kata_call *call) {
    return product_kernel_workspace(call).shared;
}

static size_t product_per_thread_workspace(const kata_call *call) {
    return product_kernel_workspace(call).per_thread;
}

static kata_status product_fast(const kata_call *call) {
    const kata__update_options options = options_of(call, call->n_outputs + 2);
    const kata__gemm p = product_of(call);
    const kata__workspace workspace = kata__call_workspace(call);
    begin_outputs(call);
    const int64_t bad = kata__update_by_product(
        call->context, call->inputs[0].dtype, product_rule(call->attributes), &p,
        call->outputs[0].data, call->n_outputs > 1 ? call->outputs[1].data : NULL,
        call->n_outputs > 2 ? call->outputs[2].data : NULL, &options, &workspace);
    return bad < 0 ? KATA_OK : fail_gradient(call, bad);
}

static kata_kernel product_choose(const kata_call *call) {
    return kata_tensor_count(&call->inputs[0]) > 0 ? product_fast : NULL;
}

/* Those of the product. */
static double product_flops(const kata_call *call) {
    const kata__gemm p = product_of(call);
    return 2.0 * (double)p.m * (double)p.n * (double)p.k;
}

const kata_op kata__op_kata_GemmUpdate = {
    .name = "GemmUpdate",
    .domain = "kata",
    .since = 1,
    .min_inputs = 4,
    .max_inputs = 7,
    .min_outputs = 1,
    .max_outputs = 3,
    .attributes = product_attributes,
    .infer = product_infer,
    .workspace = product_workspace,
    .per_thread_workspace = product_per_thread_workspace,
    .reference = product_reference,
    .choose = product_choose,
    .flops = product_flops,
    .flags = KATA_OP_UPDATE | KATA_OP_INTERNAL,
    .tolerance = 1e-5,
    .doc = "(w, states, G, X, lr, t for Adam): the step of `rule` with the gradient alpha A' B', "
           "where A and B are X and G.",
};
