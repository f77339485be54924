/* The rows of the losses: what each adds behind a raw output y, t being the target. */
#include <string.h>

#include "base/check.h"
#include "train/step.h"

/* Mean over all axes but the batch: (n, ...) -> (n). */
static kata_value per_sample(kata_graph *graph, kata_value x) {
    kata_shape shape = kata_value_shape(graph, x);
    if (shape.rank <= 1) {
        return x;
    }
    x = KATA_NODE_WITH(graph, "Flatten", KATA_INPUTS(x), KATA_INT("axis", 1));
    return KATA_NODE_WITH(graph, "ReduceMean", KATA_INPUTS(x), KATA_INTS("axes", 1),
                          KATA_INT("keepdims", 0));
}

kata_value kata_loss_mean(const kata_loss_call *call, kata_value e) {
    e = per_sample(call->graph, e);
    if (call->sample_weights.id != 0) {
        e = KATA_NODE(call->graph, "Mul", KATA_INPUTS(e, call->sample_weights));
    }
    return kata__step_reduce(call->graph, "ReduceMean", e);
}

/* With class numbers this is ONNX's own loss operator. Class weights divide by the weights' sum, as
 * ONNX does: sum w_t l / sum w_t. */
static kata_value softmax_cross_entropy(const kata_loss_call *call) {
    kata_graph *graph = call->graph;
    const bool weighted = call->sample_weights.id != 0;
    const kata_value weights = call->class_weights;
    kata_value t = call->target, divisor = KATA_NONE;
    if (call->classes) {
        kata_value outputs[2];
        const kata_value inputs[] = {call->output, t, weights};
        const kata_attribute attribute = KATA_STRING("reduction", weighted ? "none" : "mean");
        kata_graph_node_outputs(graph, NULL, "SoftmaxCrossEntropyLoss", inputs,
                                weights.id != 0 ? 3 : 2, &attribute, 1, outputs, 2);
        return weighted ? kata_loss_mean(call, outputs[0]) : outputs[0];
    }
    if (weights.id != 0) {
        t = KATA_NODE(graph, "Mul", KATA_INPUTS(t, weights));
        divisor = kata__step_reduce(graph, "ReduceSum", t);
    }
    kata_value log_p =
        KATA_NODE_WITH(graph, "LogSoftmax", KATA_INPUTS(call->output), KATA_INT("axis", -1));
    kata_value e = KATA_NODE(graph, "Mul", KATA_INPUTS(t, log_p));
    kata_value axis = kata_graph_int64s(graph, (const int64_t[]){-1}, 1);
    e = KATA_NODE_WITH(graph, "ReduceSum", KATA_INPUTS(e, axis), KATA_INT("keepdims", 0));
    e = KATA_NODE(graph, "Neg", KATA_INPUTS(e));
    if (divisor.id == 0) {
        return kata_loss_mean(call, e);
    }
    if (weighted) {
        e = KATA_NODE(graph, "Mul", KATA_INPUTS(e, call->sample_weights));
    }
    e = kata__step_reduce(graph, "ReduceSum", e);
    return KATA_NODE(graph, "Div", KATA_INPUTS(e, divisor));
}

const kata_loss kata_loss_softmax_cross_entropy = {
    .size = sizeof(kata_loss),
    .name = "softmax-cross-entropy",
    .task = KATA_TASK_CLASSES,
    .activation = "Softmax",
    .takes_classes = true,
    .build = softmax_cross_entropy,
    .doc = "-sum t log softmax(y), one class of several",
};

/* max(y,0) - y t + log(1 + e^-|y|) = softplus(y) - y t: stable for any y. */
static kata_value sigmoid_cross_entropy(const kata_loss_call *call) {
    kata_graph *graph = call->graph;
    kata_value yt = KATA_NODE(graph, "Mul", KATA_INPUTS(call->output, call->target));
    kata_value e = KATA_NODE(graph, "Softplus", KATA_INPUTS(call->output));
    e = KATA_NODE(graph, "Sub", KATA_INPUTS(e, yt));
    if (call->class_weights.id != 0) {
        e = KATA_NODE(graph, "Mul", KATA_INPUTS(e, call->class_weights));
    }
    return kata_loss_mean(call, e);
}

const kata_loss kata_loss_sigmoid_cross_entropy = {
    .size = sizeof(kata_loss),
    .name = "sigmoid-cross-entropy",
    .task = KATA_TASK_LABELS,
    .activation = "Sigmoid",
    .build = sigmoid_cross_entropy,
    .doc = "log(1 + e^y) - y t, several labels; the mean over labels too",
};

static kata_value difference(const kata_loss_call *call) {
    return KATA_NODE(call->graph, "Sub", KATA_INPUTS(call->output, call->target));
}

static kata_value mean_squared_error(const kata_loss_call *call) {
    kata_value e = difference(call);
    return kata_loss_mean(call, KATA_NODE(call->graph, "Mul", KATA_INPUTS(e, e)));
}

const kata_loss kata_loss_mean_squared_error = {
    .size = sizeof(kata_loss),
    .name = "mean-squared-error",
    .task = KATA_TASK_NUMBERS,
    .build = mean_squared_error,
    .doc = "(y - t)^2",
};

static kata_value mean_absolute_error(const kata_loss_call *call) {
    return kata_loss_mean(call, KATA_NODE(call->graph, "Abs", KATA_INPUTS(difference(call))));
}

const kata_loss kata_loss_mean_absolute_error = {
    .size = sizeof(kata_loss),
    .name = "mean-absolute-error",
    .task = KATA_TASK_NUMBERS,
    .build = mean_absolute_error,
    .doc = "|y - t|",
};

/* With c = clip(e, -d, d), the loss is c (e - c/2). */
static kata_value huber(const kata_loss_call *call) {
    kata_graph *graph = call->graph;
    const double d = call->numbers[0];
    kata_value e = difference(call);
    kata_value c = KATA_NODE(
        graph, "Clip", KATA_INPUTS(e, kata__step_scalar(graph, -d), kata__step_scalar(graph, d)));
    kata_value half = KATA_NODE(graph, "Mul", KATA_INPUTS(c, kata__step_scalar(graph, 0.5)));
    e = KATA_NODE(graph, "Mul", KATA_INPUTS(c, KATA_NODE(graph, "Sub", KATA_INPUTS(e, half))));
    return kata_loss_mean(call, e);
}

static const kata_number_spec huber_numbers[] = {
    {"delta", 1, 0, 1e9, "where the square turns into a straight line"}, {.name = NULL}};

const kata_loss kata_loss_huber = {
    .size = sizeof(kata_loss),
    .name = "huber",
    .task = KATA_TASK_NUMBERS,
    .numbers = huber_numbers,
    .build = huber,
    .doc = "e^2/2 for e = |y - t| <= d, d (e - d/2) beyond; d = delta",
};

/* --- the list --------------------------------------------------------------------------------- */

static const kata_loss *const rows[] = {
#define X(name) &kata_loss_##name,
    KATA_LOSS_LIST(X)
#undef X
};

const kata_loss *kata_loss_at(int i) {
    return i >= 0 && (size_t)i < KATA__COUNT(rows) ? rows[i] : NULL;
}

const kata_loss *kata_loss_find(const char *name) {
    for (size_t i = 0; i < KATA__COUNT(rows); i++) {
        if (strcmp(rows[i]->name, name) == 0) {
            return rows[i];
        }
    }
    return NULL;
}

const char *kata_task_figure(kata_task task) {
    return task == KATA_TASK_CLASSES  ? "accuracy"
           : task == KATA_TASK_LABELS ? "label_accuracy"
                                      : "mean_absolute_error";
}
