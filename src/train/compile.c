/* kata_compile: checks the options, gives a classifier its probabilities, makes the optimiser's
 * state. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "train/trainer.h"

static void trainer_free(struct kata__trainer *trainer) {
    kata_context *context = trainer->model->context;
    kata__programs_free(trainer);
    kata_graph_free(trainer->state);
    kata__free(context, trainer->slots);
    kata__free(context, (void *)(uintptr_t)trainer->options.class_weights);
    kata__free(context, trainer);
}

kata_status kata__trainer_get(struct kata__trainer **out, kata_model *model) {
    if (model->graph->status != KATA_OK) {
        return kata_fail(model->graph->status, "%s", kata_graph_message(model->graph));
    }
    if (model->graph->n_outputs == 0 || model->graph->n_inputs == 0) {
        return kata_fail(KATA_INVALID,
                         "model %s has no input or no output; call kata_input and kata_output",
                         model->graph->name);
    }
    if (model->trainer == NULL) {
        struct kata__trainer *trainer = kata__alloc_zero(model->context, 1, sizeof *trainer);
        if (trainer == NULL) {
            return KATA_OUT_OF_MEMORY;
        }
        trainer->model = model;
        model->trainer = trainer;
        model->trainer_free = trainer_free;
        KATA__TRY(kata__outputs_read(trainer));
    }
    *out = model->trainer;
    return KATA_OK;
}

/* --- options ---------------------------------------------------------------------------------- */

static kata_status check_precision(kata_precision precision) {
    return (unsigned)precision < KATA_PRECISION_COUNT
               ? KATA_OK
               : kata_fail(KATA_INVALID, "there is no precision %d", (int)precision);
}

static kata_status check_options(const kata_compile_options *options) {
    KATA__TRY(check_precision(options->precision));
    KATA__TRY(kata__number_check("label_smoothing", options->label_smoothing, 0, 1));
    KATA__TRY(kata__number_check("clip_value", options->clip_value, 0, INFINITY));
    KATA__TRY(kata__number_check("clip_norm", options->clip_norm, 0, INFINITY));
    for (int i = 0; i < options->n_class_weights; i++) {
        KATA__TRY(kata__number_check("a class weight", (double)options->class_weights[i], 0, 1e9));
    }
    return KATA_OK;
}

/* --- losses ----------------------------------------------------------------------------------- */

static kata_status check_loss(const kata_loss *loss) {
    if (loss->size < sizeof *loss || loss->name == NULL || loss->build == NULL ||
        (unsigned)loss->task > KATA_TASK_NUMBERS) {
        return kata_fail(KATA_INVALID, "a loss's row needs its size (sizeof(kata_loss)), a name, a "
                                       "task and `build`");
    }
    return KATA_OK;
}

/* The loss of output k: its own, that of the options, that of the model's file, softmax. */
static kata_status choose_loss(struct kata__trainer *trainer, const kata_compile_options *options,
                               int k) {
    kata__output *output = &trainer->outputs[k];
    const kata_output_loss *own = &options->outputs[k];
    const kata_loss *loss = own->loss != NULL ? own->loss : options->loss;
    const char *known = kata_graph_metadata(trainer->model->graph, "kata.loss");
    if (loss == NULL && known != NULL && output->loss == NULL) {
        return kata_fail(KATA_INVALID,
                         "model %s has the loss %s, which is not the library's; give its row to "
                         "kata_compile",
                         trainer->model->graph->name, known);
    }
    loss = loss != NULL ? loss : output->loss != NULL ? output->loss : KATA_SOFTMAX_CROSS_ENTROPY;
    KATA__TRY(check_loss(loss));
    output->loss = loss;
    KATA__TRY(kata__numbers_default(loss->numbers, loss->name, output->numbers));
    if (own->loss == NULL || own->loss == options->loss) {
        KATA__TRY(
            kata__numbers_set(loss->numbers, loss->name, options->loss_numbers, output->numbers));
    }
    KATA__TRY(kata__numbers_set(loss->numbers, loss->name, own->numbers, output->numbers));
    KATA__TRY(kata__number_check("the weight of a loss", own->weight, 0, 1e9));
    output->weight = kata__given_or(own->weight, 1);
    return KATA_OK;
}

static kata_status choose_losses(struct kata__trainer *trainer,
                                 const kata_compile_options *options) {
    bool targets_are_classes = false;
    if (trainer->n_raw == 0) {
        return kata_fail(KATA_INVALID,
                         "model %s has no output of floating-point numbers, or more than %d: it "
                         "cannot be trained",
                         trainer->model->graph->name, KATA_MAX_LOSSES);
    }
    for (int k = 0; k < trainer->n_raw; k++) {
        KATA__TRY(choose_loss(trainer, options, k));
        targets_are_classes =
            targets_are_classes || trainer->outputs[k].loss->task != KATA_TASK_NUMBERS;
    }
    for (int k = trainer->n_raw; k < KATA_MAX_LOSSES; k++) {
        if (options->outputs[k].loss != NULL || kata__is_given(options->outputs[k].weight)) {
            return kata_fail(KATA_INVALID, "a loss is given for output %d, but model %s has %d", k,
                             trainer->model->graph->name, trainer->n_raw);
        }
    }
    if (!targets_are_classes && (options->n_class_weights > 0 || options->label_smoothing > 0)) {
        return kata_fail(KATA_INVALID, "%s has no meaning for the loss %s, which has no classes",
                         options->n_class_weights > 0 ? "a class weight" : "label_smoothing",
                         trainer->outputs[0].loss->name);
    }
    return KATA_OK;
}

/* --- the optimiser's state -------------------------------------------------------------------- */

static kata_status make_state(struct kata__trainer *trainer) {
    kata_graph *graph = trainer->model->graph;
    const int n_states = trainer->rule.n_states;
    KATA__TRY(kata_graph_new(&trainer->state, graph->context, "optimizer"));
    trainer->slots =
        kata__alloc_zero(graph->context, graph->n_variables + 1, sizeof *trainer->slots);
    if (trainer->slots == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    for (size_t i = 0; i < graph->n_variables; i++) {
        kata_variable *variable = graph->variables[i];
        if (!variable->trainable) {
            continue;
        }
        kata__slot *slot = &trainer->slots[trainer->n_slots++];
        slot->variable = variable;
        for (int k = 0; k < n_states; k++) {
            char name[256];
            snprintf(name, sizeof name, "optimizer.%d.%.200s", k, variable->name);
            kata_graph_variable(trainer->state, name, variable->tensor.dtype,
                                &variable->tensor.shape, false, &slot->state[k]);
        }
    }
    if (trainer->state->status != KATA_OK) {
        return kata_fail(trainer->state->status, "%s", kata_graph_message(trainer->state));
    }
    return KATA_OK;
}

static kata_status compile(kata_model *model, const kata_compile_options *options) {
    struct kata__trainer *trainer;
    KATA__TRY(check_options(options));
    if (model->trainer != NULL) {
        model->trainer_free(model->trainer);
        model->trainer = NULL;
    }
    KATA__TRY(kata__trainer_get(&trainer, model));
    float *class_weights = NULL;
    if (options->n_class_weights > 0) {
        class_weights =
            kata__alloc(model->context, (size_t)options->n_class_weights, sizeof *class_weights);
        if (class_weights == NULL) {
            return KATA_OUT_OF_MEMORY;
        }
        memcpy(class_weights, options->class_weights,
               (size_t)options->n_class_weights * sizeof *class_weights);
    }
    trainer->options = *options;
    trainer->options.class_weights = class_weights;
    kata_optimizer *optimizer = &trainer->options.optimizer;
    KATA__TRY(kata_optimizer_resolve(model->context, optimizer));
    KATA__TRY(kata__rule_get(model->context, optimizer->rule, &trainer->rule));
    KATA__TRY(kata__optimizer_numbers(optimizer, &trainer->rule, trainer->rule_numbers));
    KATA__TRY(choose_losses(trainer, options));
    KATA__TRY(kata__outputs_set(trainer));
    KATA__TRY(make_state(trainer));
    if (model->fresh) {
        KATA__TRY(kata_model_initialize(model, options->seed));
    }
    trainer->compiled = true;
    return KATA_OK;
}

kata_status kata_compile_with(kata_model *model, const kata_compile_options *options) {
    kata_status status = compile(model, options);
    if (status != KATA_OK && model->trainer != NULL) { /* half of a choice is none */
        model->trainer_free(model->trainer);
        model->trainer = NULL;
    }
    return kata__model_ended(model, status);
}

kata_status kata_set_precision(kata_model *model, kata_precision precision) {
    struct kata__trainer *trainer = NULL;
    KATA__TRY(check_precision(precision));
    KATA__TRY(kata__trainer_get(&trainer, model));
    if (trainer->options.precision != precision) {
        trainer->options.precision = precision;
        kata__programs_free(trainer);
    }
    return KATA_OK;
}
