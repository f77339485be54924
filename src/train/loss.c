/* The loss of a step: targets come in, each raw output has its loss, the weighted sum is the
 * step's. */
#include <stdio.h>

#include "base/check.h"
#include "train/step.h"

/* Class weights as a constant, none if there are none. */
static kata_value class_weights(const kata_compile_options *options, kata_graph *graph) {
    if (options->n_class_weights == 0) {
        return KATA_NONE;
    }
    kata_tensor view = kata_tensor_view((void *)(uintptr_t)options->class_weights, KATA_F32,
                                        &KATA_SHAPE_OF(options->n_class_weights));
    return kata_graph_constant(graph, NULL, &view);
}

/* t (1 - s) + s / k, where k is the number of classes, or 2 for a label that is there or not. */
static kata_value smoothed(kata_graph *graph, kata_value t, kata_task task, double s) {
    const kata_shape shape = kata_value_shape(graph, t);
    const double k = task == KATA_TASK_LABELS ? 2 : (double)shape.dim[shape.rank - 1];
    t = KATA_NODE(graph, "Mul", KATA_INPUTS(t, kata__step_scalar(graph, 1 - s)));
    return KATA_NODE(graph, "Add", KATA_INPUTS(t, kata__step_scalar(graph, s / k)));
}

static kata_value target_input(kata_graph *graph, int k, kata_value raw, bool classes) {
    char name[48];
    kata_shape shape = kata_value_shape(graph, raw);
    shape.rank = classes ? 1 : shape.rank;
    snprintf(name, sizeof name, "kata.target_%d", k);
    return kata_graph_input(graph, name, classes ? KATA_I64 : KATA_F32, &shape);
}

static kata_value loss_of_output(const struct kata__trainer *trainer, kata_loss_call *call, int k) {
    const kata__output *output = &trainer->outputs[k];
    const kata_compile_options *options = &trainer->options;
    kata_graph *graph = call->graph;
    const kata_task task = output->loss->task;
    if (task != KATA_TASK_NUMBERS) {
        call->class_weights = class_weights(options, graph);
        if (options->label_smoothing > 0 && !call->classes) {
            call->target = smoothed(graph, call->target, task, options->label_smoothing);
        }
    }
    call->numbers = output->numbers;
    kata_value loss = output->loss->build(call);
    if (output->weight != 1) {
        loss = KATA_NODE(graph, "Mul", KATA_INPUTS(loss, kata__step_scalar(graph, output->weight)));
    }
    return loss;
}

kata_value kata__step_loss(const struct kata__trainer *trainer, kata_graph *graph,
                           const kata__program *program, const kata_value *raw) {
    kata_value total = KATA_NONE, targets[KATA_MAX_LOSSES], sample_weights = KATA_NONE;
    for (int k = 0; k < trainer->n_raw; k++) {
        targets[k] = target_input(graph, k, raw[k], program->targets[k].classes);
    }
    if (program->weighted) {
        sample_weights = kata_graph_input(graph, "kata.sample_weights", KATA_F32,
                                          &KATA_SHAPE_OF(program->batch));
    }
    kata_graph_set_scope(graph, "loss");
    for (int k = 0; k < trainer->n_raw; k++) {
        kata_loss_call call = {.graph = graph,
                               .output = raw[k],
                               .target = targets[k],
                               .classes = program->targets[k].classes,
                               .sample_weights = sample_weights};
        kata_value loss = loss_of_output(trainer, &call, k);
        total = k == 0 ? loss : KATA_NODE(graph, "Add", KATA_INPUTS(total, loss));
    }
    kata_graph_set_scope(graph, NULL);
    return total;
}
