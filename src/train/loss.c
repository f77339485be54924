/* Losses: nodes behind the raw outputs. */
#include <stdio.h>

#include "base/check.h"
#include "train/step.h"

typedef struct loss_builder {
    struct kata__trainer *trainer;
    kata_graph *graph;
    const kata__program *program;
    kata_value weights; /* sample weights (n), or none */
} loss_builder;

static kata_value sum_all(kata_graph *graph, kata_value x) {
    return kata__step_reduce(graph, "ReduceSum", x);
}

/* Class weights as a constant, none if there are none. */
static kata_value class_weights(const loss_builder *b) {
    const kata_compile_options *options = &b->trainer->options;
    if (options->n_class_weights == 0) {
        return KATA_NONE;
    }
    kata_tensor view = kata_tensor_view((void *)(uintptr_t)options->class_weights, KATA_F32,
                                        &KATA_SHAPE_OF(options->n_class_weights));
    return kata_graph_constant(b->graph, NULL, &view);
}

/* mean(w e) over the batch; e has a loss for each sample: (n). */
static kata_value weighted_mean(const loss_builder *b, kata_value e) {
    if (b->weights.id != 0) {
        e = KATA_NODE(b->graph, "Mul", KATA_INPUTS(e, b->weights));
    }
    return kata__step_reduce(b->graph, "ReduceMean", e);
}

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

/* -sum over classes of t log softmax(y). With class numbers this is ONNX's own loss operator. Class
 * weights divide by the weights' sum, as ONNX does: sum w_t l / sum w_t. */
static kata_value softmax_loss(const loss_builder *b, kata_value y, kata_value t, bool classes) {
    kata_graph *graph = b->graph;
    kata_value weights = class_weights(b);
    if (classes) {
        kata_value outputs[2];
        const kata_value inputs[] = {y, t, weights};
        const kata_attribute attribute =
            KATA_STRING("reduction", b->weights.id != 0 ? "none" : "mean");
        kata_graph_node_outputs(graph, "loss", "SoftmaxCrossEntropyLoss", inputs,
                                weights.id != 0 ? 3 : 2, &attribute, 1, outputs, 2);
        return b->weights.id != 0 ? weighted_mean(b, outputs[0]) : outputs[0];
    }
    double s = b->trainer->options.label_smoothing;
    kata_shape shape = kata_value_shape(graph, y);
    if (s > 0) { /* t (1 - s) + s / classes */
        double n_classes = (double)shape.dim[shape.rank - 1];
        t = KATA_NODE(graph, "Mul", KATA_INPUTS(t, kata__step_scalar(graph, 1 - s)));
        t = KATA_NODE(graph, "Add", KATA_INPUTS(t, kata__step_scalar(graph, s / n_classes)));
    }
    kata_value divisor = KATA_NONE;
    if (weights.id != 0) {
        t = KATA_NODE(graph, "Mul", KATA_INPUTS(t, weights));
        divisor = sum_all(graph, t);
    }
    kata_value log_p = KATA_NODE_WITH(graph, "LogSoftmax", KATA_INPUTS(y), KATA_INT("axis", -1));
    kata_value e = KATA_NODE(graph, "Mul", KATA_INPUTS(t, log_p));
    kata_value axis = kata_graph_int64s(graph, (const int64_t[]){-1}, 1);
    e = KATA_NODE_WITH(graph, "ReduceSum", KATA_INPUTS(e, axis), KATA_INT("keepdims", 0));
    e = KATA_NODE(graph, "Neg", KATA_INPUTS(e));
    if (divisor.id != 0) {
        if (b->weights.id != 0) {
            e = KATA_NODE(graph, "Mul", KATA_INPUTS(e, b->weights));
        }
        return KATA_NODE(graph, "Div", KATA_INPUTS(sum_all(graph, e), divisor));
    }
    return weighted_mean(b, e);
}

/* max(y,0) - y t + log(1 + e^-|y|) = softplus(y) - y t: stable for any y. */
static kata_value sigmoid_loss(const loss_builder *b, kata_value y, kata_value t) {
    kata_graph *graph = b->graph;
    double s = b->trainer->options.label_smoothing;
    if (s > 0) {
        t = KATA_NODE(graph, "Mul", KATA_INPUTS(t, kata__step_scalar(graph, 1 - s)));
        t = KATA_NODE(graph, "Add", KATA_INPUTS(t, kata__step_scalar(graph, s / 2)));
    }
    kata_value yt = KATA_NODE(graph, "Mul", KATA_INPUTS(y, t));
    kata_value e = KATA_NODE(graph, "Softplus", KATA_INPUTS(y));
    e = KATA_NODE(graph, "Sub", KATA_INPUTS(e, yt));
    kata_value weights = class_weights(b);
    if (weights.id != 0) {
        e = KATA_NODE(graph, "Mul", KATA_INPUTS(e, weights));
    }
    return weighted_mean(b, per_sample(graph, e));
}

/* Huber: with c = clip(e, -d, d), the loss is c (e - c/2). */
static kata_value huber(kata_graph *graph, kata_value e, double delta) {
    kata_value c = KATA_NODE(
        graph, "Clip",
        KATA_INPUTS(e, kata__step_scalar(graph, -delta), kata__step_scalar(graph, delta)));
    kata_value half = KATA_NODE(graph, "Mul", KATA_INPUTS(c, kata__step_scalar(graph, 0.5)));
    return KATA_NODE(graph, "Mul", KATA_INPUTS(c, KATA_NODE(graph, "Sub", KATA_INPUTS(e, half))));
}

static kata_value distance_loss(const loss_builder *b, kata_value y, kata_value t) {
    kata_graph *graph = b->graph;
    kata_value e = KATA_NODE(graph, "Sub", KATA_INPUTS(y, t));
    if (b->trainer->options.loss == KATA_MEAN_ABSOLUTE_ERROR) {
        e = KATA_NODE(graph, "Abs", KATA_INPUTS(e));
    } else if (b->trainer->options.loss == KATA_HUBER) {
        e = huber(graph, e, b->trainer->options.huber_delta);
    } else {
        e = KATA_NODE(graph, "Mul", KATA_INPUTS(e, e));
    }
    return weighted_mean(b, per_sample(graph, e));
}

/* The sum of the losses of all raw outputs; adds the target inputs. */
static kata_value add_loss(loss_builder *b, const kata_value *raw) {
    kata_graph *graph = b->graph;
    kata_value total = KATA_NONE, targets[KATA__MAX_OUTPUTS];
    for (int k = 0; k < b->trainer->n_raw; k++) {
        char name[48];
        kata_shape shape = kata_value_shape(graph, raw[k]);
        bool classes = b->program->targets[k].classes;
        snprintf(name, sizeof name, "kata.target_%d", k);
        if (classes) {
            shape.rank = 1;
        }
        targets[k] = kata_graph_input(graph, name, classes ? KATA_I64 : KATA_F32, &shape);
    }
    if (b->program->weighted) {
        b->weights = kata_graph_input(graph, "kata.sample_weights", KATA_F32,
                                      &KATA_SHAPE_OF(b->program->batch));
    }
    for (int k = 0; k < b->trainer->n_raw; k++) {
        kata_value loss;
        switch (b->trainer->options.loss) {
        case KATA_SOFTMAX_CROSS_ENTROPY:
            loss = softmax_loss(b, raw[k], targets[k], b->program->targets[k].classes);
            break;
        case KATA_SIGMOID_CROSS_ENTROPY:
            loss = sigmoid_loss(b, raw[k], targets[k]);
            break;
        default:
            loss = distance_loss(b, raw[k], targets[k]);
            break;
        }
        total = k == 0 ? loss : KATA_NODE(graph, "Add", KATA_INPUTS(total, loss));
    }
    return total;
}

kata_value kata__step_loss(struct kata__trainer *trainer, kata_graph *graph,
                           const kata__program *program, const kata_value *raw) {
    loss_builder b = {.trainer = trainer, .graph = graph, .program = program};
    return add_loss(&b, raw);
}
