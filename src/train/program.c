/* Programs: the graphs that are run. A training step is forward, loss, penalties, backward,
 * clipping and update in one graph; an evaluation is the loss alone, of what a predictor has
 * answered. */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/context.h"
#include "exec/plan.h"
#include "pass/pass.h"
#include "train/step.h"

static void program_free(kata__program *program) {
    kata_session_free(program->session);
    kata_graph_free(program->graph);
    *program = (kata__program){0};
}

/* The open sizes of a batch: that of axis 0 is the batch, others are those of the data. */
static kata_status sizes_of(const kata_graph *graph, int64_t batch, const kata_dataset *dataset,
                            kata_size sizes[KATA__MAX_SIZES], int *n_sizes) {
    kata_shape shapes[KATA__MAX_SIZES];
    if (graph->n_inputs > KATA__MAX_SIZES || kata_graph_n_sizes(graph) > KATA__MAX_SIZES) {
        return kata_fail(KATA_LIMIT, "model %s has more than %d inputs or open sizes", graph->name,
                         KATA__MAX_SIZES);
    }
    for (size_t i = 0; i < graph->n_inputs; i++) {
        kata_shape *shape = &shapes[i];
        *shape = graph->values[graph->inputs[i].id].type.shape;
        bool known = dataset != NULL && (int)i < dataset->n_inputs &&
                     dataset->inputs[i].shape.rank == shape->rank;
        for (int axis = 0; axis < shape->rank; axis++) {
            if (shape->dim[axis] < 0 && (axis == 0 || known)) {
                shape->dim[axis] = axis == 0 ? batch : dataset->inputs[i].shape.dim[axis];
            }
        }
    }
    return kata_graph_sizes_of(graph, shapes, (int)graph->n_inputs, sizes, n_sizes);
}

/* Losses and figures are computed in float32. */
static kata_value as_float(kata_graph *graph, kata_value value) {
    return kata_value_dtype(graph, value) == KATA_F32
               ? value
               : KATA_NODE_WITH(graph, "Cast", KATA_INPUTS(value), KATA_INT("to", 1));
}

/* What a bound graph reads and gives for `batch` samples must be of so many. */
static kata_status check_batch(const struct kata__trainer *trainer, const kata__program *program) {
    char text[KATA_SHAPE_TEXT_SIZE];
    const kata_graph *graph = program->graph;
    for (size_t i = 0; i < graph->n_inputs + (size_t)trainer->n_raw; i++) {
        const bool is_input = i < graph->n_inputs;
        const kata_value value =
            is_input ? graph->inputs[i] : graph->outputs[trainer->outputs[i - graph->n_inputs].raw];
        const kata_shape shape = kata_value_shape(graph, value);
        if (shape.rank > 0 && shape.dim[0] == program->batch) {
            continue;
        }
        return kata_fail(KATA_SHAPE,
                         "model %s cannot be trained on batches of %" PRId64
                         ": its %s %s has the shape %s then, and the first size should be that of "
                         "the batch; %s",
                         trainer->model->graph->name, program->batch, is_input ? "input" : "output",
                         kata_value_name(graph, value), kata_shape_text(&shape, text),
                         is_input ? "train with batches of that size, which must divide the number "
                                    "of samples, or export the model with an open first axis"
                                  : "only outputs with a row for each sample can be trained");
    }
    return KATA_OK;
}

/* The raw outputs of the bound model, with the inputs' factors taken off. */
static kata_status bind_model(struct kata__trainer *trainer, kata__program *program,
                              const kata_size *sizes, kata_value *raw) {
    KATA__TRY(
        kata_graph_bind(&program->graph, trainer->model->graph, sizes, program->n_sizes, true));
    kata_graph *graph = program->graph;
    KATA__TRY(check_batch(trainer, program));
    for (int k = 0; k < trainer->n_raw; k++) {
        raw[k] = as_float(graph, graph->outputs[trainer->outputs[k].raw]);
    }
    for (size_t k = 0; k < KATA__COUNT(program->scale); k++) {
        program->scale[k] =
            k < graph->n_inputs ? kata__step_take_rescale(graph, graph->inputs[k]) : 1;
    }
    return KATA_OK;
}

/* A graph whose inputs are what the model's raw outputs will be. */
static kata_status take_outputs(struct kata__trainer *trainer, kata__program *program,
                                const kata_size *sizes, kata_value *raw) {
    const kata_graph *model = trainer->model->graph;
    KATA__TRY(kata_graph_new(&program->graph, trainer->model->context, model->name));
    for (int k = 0; k < trainer->n_raw; k++) {
        const kata_value output = model->outputs[trainer->outputs[k].raw];
        kata_shape shape = kata_value_shape(model, output);
        shape.rank = shape.rank > 0 ? shape.rank : 1;
        for (int axis = 1; axis < shape.rank; axis++) {
            const char *name = kata_graph_size_name(model, shape.dim[axis]);
            for (int i = 0; i < program->n_sizes && name != NULL; i++) {
                shape.dim[axis] =
                    strcmp(sizes[i].name, name) == 0 ? sizes[i].value : shape.dim[axis];
            }
        }
        shape.dim[0] = program->batch;
        raw[k] = kata_graph_input(program->graph, kata_value_name(model, output), KATA_F32, &shape);
    }
    return kata_graph_status(program->graph);
}

static kata_status build(struct kata__trainer *trainer, kata__program *program,
                         const kata_size *sizes) {
    const bool training = program->kind == KATA__PROGRAM_TRAIN;
    kata_value raw[KATA_MAX_LOSSES] = {KATA_NONE};
    KATA__TRY(training ? bind_model(trainer, program, sizes, raw)
                       : take_outputs(trainer, program, sizes, raw));
    kata_graph *graph = program->graph;
    kata_value loss = kata__step_loss(trainer, graph, program, raw);
    graph->n_outputs = 0;
    if (training) {
        loss = kata__step_penalties(graph, loss);
        KATA__TRY(kata__step_update(trainer, graph, loss));
    }
    kata_graph_output(graph, NULL, loss);
    for (int k = 0; k < trainer->n_raw && training; k++) {
        kata_graph_output(graph, NULL, raw[k]);
    }
    KATA__TRY(kata_graph_simplify(graph));
    kata_graph *optimized;
    KATA__TRY(kata_graph_optimize(&optimized, graph));
    kata_graph_free(graph);
    program->graph = optimized;
    if (trainer->options.precision == KATA_PRECISION_BF16 &&
        optimized->context->bfloat16_level != KATA__BFLOAT16_NONE) {
        kata_graph *lowered;
        KATA__TRY(kata_graph_lower_precision(&lowered, optimized));
        kata_graph_free(optimized);
        program->graph = lowered;
    }
    if (training && trainer->options.recompute) { /* it depends on the nodes' order */
        KATA__TRY(kata__graph_recompute(&program->graph, kata__plan_arena_bytes));
    }
    if (training) {
        KATA__TRY(kata__graph_fuse_updates(program->graph, kata__plan_arena_bytes));
    }
    return kata_session_new(&program->session, program->graph,
                            &(kata_session_options){.profile = program->profile});
}

/* Class numbers come in as such unless the loss needs a number for each class. Without a data set:
 * as a data set of classes has them. */
static void target_forms(const struct kata__trainer *trainer, const kata_dataset *dataset,
                         kata__target_form *forms) {
    for (int k = 0; k < trainer->n_raw && (dataset == NULL || k < dataset->n_targets); k++) {
        forms[k].classes = trainer->outputs[k].loss->takes_classes &&
                           trainer->options.label_smoothing == 0 &&
                           (dataset == NULL || kata__target_is_class(trainer, dataset, k));
    }
}

kata_status kata__program_get(struct kata__trainer *trainer, kata__program_kind kind, int64_t batch,
                              const kata_dataset *dataset, bool profile, kata__program **out) {
    kata__program wanted = {.kind = kind, .batch = batch, .profile = profile};
    wanted.weighted = dataset != NULL && dataset->weights.dtype != KATA_NO_DTYPE;
    target_forms(trainer, dataset, wanted.targets);
    kata_size sizes[KATA__MAX_SIZES];
    KATA__TRY(sizes_of(trainer->model->graph, batch, dataset, sizes, &wanted.n_sizes));
    for (int i = 0; i < wanted.n_sizes; i++) {
        wanted.sizes[i] = sizes[i].value;
    }
    kata__program *oldest = &trainer->programs[0];
    for (int i = 0; i < KATA__PROGRAMS; i++) {
        kata__program *p = &trainer->programs[i];
        if (p->kind == kind && p->batch == batch && p->weighted == wanted.weighted &&
            memcmp(p->sizes, wanted.sizes, sizeof p->sizes) == 0 && p->profile == profile &&
            memcmp(p->targets, wanted.targets, sizeof p->targets) == 0) {
            p->used = ++trainer->clock;
            *out = p;
            return KATA_OK;
        }
        if (p->used < oldest->used) {
            oldest = p;
        }
    }
    kata_context *context = trainer->model->context;
    size_t before = kata_context_bytes(context);
    kata_status status = build(trainer, &wanted, sizes);
    if (status != KATA_OK) {
        program_free(&wanted);
        return status;
    }
    if (trainer->last_train == oldest) {
        trainer->last_train = NULL;
    }
    wanted.structure_bytes =
        kata_context_bytes(context) - before - kata_session_arena_bytes(wanted.session);
    program_free(oldest);
    *oldest = wanted;
    oldest->used = ++trainer->clock;
    *out = oldest;
    return KATA_OK;
}

void kata__programs_free(struct kata__trainer *trainer) {
    for (int i = 0; i < KATA__PROGRAMS; i++) {
        program_free(&trainer->programs[i]);
    }
    trainer->last_train = NULL;
}
