/* Does a data set fit a model? */
#include <inttypes.h>
#include <math.h>

#include "base/check.h"
#include "train/trainer.h"

static kata_status check_input(const kata_graph *graph, const kata_dataset *dataset, int k) {
    char have[KATA_SHAPE_TEXT_SIZE], want[KATA_SHAPE_TEXT_SIZE];
    kata_shape model = kata_value_shape(graph, graph->inputs[k]);
    kata_shape data = dataset->inputs[k].shape;
    if (model.rank > 0) {
        model.dim[0] = KATA_UNKNOWN_DIM;
    }
    kata_shape shown = data;
    shown.dim[0] = KATA_UNKNOWN_DIM;
    int64_t model_count = 1, data_count = 1;
    for (int i = 1; i < model.rank; i++) {
        if (model.dim[i] < 0 && data.rank == model.rank) { /* open: as the data have it */
            model.dim[i] = data.dim[i];
        }
        model_count *= model.dim[i];
    }
    for (int i = 1; i < data.rank; i++) {
        data_count *= data.dim[i];
    }
    bool flattened = model.rank == 2 || data.rank == 2; /* (n,784) and (n,1,28,28) are the same */
    if (model_count == data_count && (flattened || kata_shape_equal(&model, &shown))) {
        return KATA_OK;
    }
    return kata_fail(KATA_SHAPE,
                     "input %s of model %s takes samples of shape %s, but %s has %s; change the "
                     "model's input or the data",
                     kata_value_name(graph, graph->inputs[k]), graph->name,
                     kata_shape_text(&model, want), dataset->name, kata_shape_text(&shown, have));
}

bool kata__target_is_class(const struct kata__trainer *trainer, const kata_dataset *dataset,
                           int k) {
    const kata_tensor *target = &dataset->targets[k];
    return trainer->outputs[k].loss->task == KATA_TASK_CLASSES &&
           kata_tensor_count(target) == dataset->n;
}

static kata_status check_target(const struct kata__trainer *trainer, const kata_dataset *dataset,
                                int k) {
    const kata_graph *graph = trainer->model->graph;
    const kata_loss *loss = trainer->outputs[k].loss;
    kata_shape out = kata_value_shape(graph, graph->outputs[trainer->outputs[k].raw]);
    const kata_tensor *target = &dataset->targets[k];
    int64_t n_out = 1, n_target = 1;
    for (int i = 1; i < out.rank; i++) {
        n_out *= out.dim[i];
    }
    for (int i = 1; i < target->shape.rank; i++) {
        n_target *= target->shape.dim[i];
    }
    bool numbers = kata_dtype_is_float(target->dtype);
    if (loss->task == KATA_TASK_CLASSES && n_out == 1) {
        return kata_fail(KATA_INVALID,
                         "output %d of model %s has one number a sample, of which %s always makes "
                         "probability 1: for classes give the model as many outputs as classes "
                         "(two or more), for yes or no take sigmoid-cross-entropy, for numbers "
                         "mean-squared-error",
                         k, graph->name, loss->name);
    }
    if (kata__target_is_class(trainer, dataset, k)) {
        if (dataset->n_classes > n_out) {
            return kata_fail(KATA_SHAPE,
                             "%s has %d classes, but model %s has %" PRId64
                             " outputs; give the model as many outputs as classes",
                             dataset->name, dataset->n_classes, graph->name, n_out);
        }
        for (int64_t i = 0; i < dataset->n; i++) {
            double label = kata_load(target->dtype, target->data, i);
            if (!(label >= 0 && label < (double)n_out && label == floor(label))) {
                return kata_fail(KATA_INVALID,
                                 "%s: the label of sample %" PRId64
                                 " is %g; labels must be 0 to %" PRId64
                                 " for %s (for numbers take mean-squared-error)",
                                 dataset->name, i, label, n_out - 1, loss->name);
            }
        }
        return KATA_OK;
    }
    if (n_target != n_out && !(loss->task == KATA_TASK_LABELS && !numbers)) {
        return kata_fail(KATA_SHAPE,
                         "%s has %" PRId64 " target numbers a sample, but output %d of model %s "
                         "has %" PRId64,
                         dataset->name, n_target, k, graph->name, n_out);
    }
    return KATA_OK;
}

kata_status kata__check_dataset(struct kata__trainer *trainer, const kata_dataset *dataset) {
    const kata_graph *graph = trainer->model->graph;
    if (dataset == NULL || dataset->n == 0) {
        return kata_fail(KATA_INVALID, "the data set %s has no samples",
                         dataset != NULL ? dataset->name : "(none)");
    }
    if ((size_t)dataset->n_inputs != graph->n_inputs) {
        return kata_fail(KATA_SHAPE, "model %s has %zu inputs, but %s has %d", graph->name,
                         graph->n_inputs, dataset->name, dataset->n_inputs);
    }
    if (dataset->n_targets != trainer->n_raw) {
        return kata_fail(KATA_SHAPE, "model %s has %d outputs, but %s has %d targets", graph->name,
                         trainer->n_raw, dataset->name, dataset->n_targets);
    }
    if (trainer->options.n_class_weights > 0 && dataset->n_classes > 0 &&
        trainer->options.n_class_weights != dataset->n_classes) {
        return kata_fail(KATA_INVALID, "%d class weights are given, but %s has %d classes",
                         trainer->options.n_class_weights, dataset->name, dataset->n_classes);
    }
    for (int k = 0; k < dataset->n_inputs; k++) {
        KATA__TRY(check_input(graph, dataset, k));
    }
    for (int k = 0; k < dataset->n_targets; k++) {
        KATA__TRY(check_target(trainer, dataset, k));
    }
    return KATA_OK;
}
