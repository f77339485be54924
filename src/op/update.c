/* One step of an optimiser on one parameter: output k is input k, written in place (book 6.1). */
#include "op/infer.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "kernel/update.h"
#include "op/rules.h"

#define FACTOR(text, value, description)                                                           \
    { .name = text, .type = KATA_ATTRIBUTE_FLOAT, .default_float = value, .doc = description }
#define EPSILON FACTOR("epsilon", 1e-7, "keeps the divisor from 0")
#define WEIGHT_DECAY FACTOR("weight_decay", 0, "decoupled: w -= lr weight_decay w before the step")

static const kata_attribute_spec sgd_attributes[] = {WEIGHT_DECAY, {0}};
static const kata_attribute_spec momentum_attributes[] = {
    FACTOR("momentum", 0.9, "how much of the last step is kept"), WEIGHT_DECAY, {0}};
static const kata_attribute_spec adagrad_attributes[] = {EPSILON, WEIGHT_DECAY, {0}};
static const kata_attribute_spec rmsprop_attributes[] = {
    FACTOR("decay", 0.99, "how much of the mean square is kept"), EPSILON, WEIGHT_DECAY, {0}};
static const kata_attribute_spec adam_attributes[] = {
    FACTOR("beta1", 0.9, "how much of the mean is kept"),
    FACTOR("beta2", 0.999, "how much of the mean square is kept"),
    EPSILON,
    WEIGHT_DECAY,
    {0}};

static kata__update rule_of(const kata_op *op) {
    static const char *const names[KATA__UPDATES] = {
        [KATA__SGD] = "SGD",         [KATA__MOMENTUM] = "Momentum", [KATA__NESTEROV] = "Nesterov",
        [KATA__ADAGRAD] = "AdaGrad", [KATA__RMSPROP] = "RMSProp",   [KATA__ADAM] = "Adam"};
    for (int i = 0; i < KATA__UPDATES; i++) {
        if (strcmp(op->name, names[i]) == 0) {
            return (kata__update)i;
        }
    }
    return KATA__SGD;
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

static double attribute(const kata_call *call, const char *name) {
    int i = kata__op_attribute(call->op, name);
    return i < 0 ? 0 : call->attributes[i].f;
}

static kata__update_options options_of(const kata_call *call) {
    int lr = call->n_outputs + 1;
    const kata_tensor *in = call->inputs;
    return (kata__update_options){
        .lr = kata_load(in[lr].dtype, in[lr].data, 0),
        .momentum = attribute(call, "momentum"),
        .beta1 = attribute(call, "beta1"),
        .beta2 = attribute(call, "beta2"),
        .decay = attribute(call, "decay"),
        .epsilon = attribute(call, "epsilon"),
        .weight_decay = attribute(call, "weight_decay"),
        .t = call->n_inputs > lr + 1 ? kata_load(in[lr + 1].dtype, in[lr + 1].data, 0) : 0};
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
    kata__update_options options = options_of(call);
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

static kata_status update_fast(const kata_call *call) {
    kata__update_options options = options_of(call);
    for (int k = 0; k < call->n_outputs; k++) {
        if (call->outputs[k].data != call->inputs[k].data) {
            memcpy(call->outputs[k].data, call->inputs[k].data,
                   kata_tensor_bytes(&call->inputs[k]));
        }
    }
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
