/* Programs: the graphs that are run. A training step is forward, loss, penalties, backward,
 * clipping and update in one graph; an evaluation is forward and loss; a prediction is forward. */
#include <string.h>

#include "base/check.h"
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

static kata_status build(struct kata__trainer *trainer, kata__program *program,
                         const kata_size *sizes) {
    kata_graph *model_graph = trainer->model->graph;
    bool training = program->kind == KATA__PROGRAM_TRAIN;
    KATA__TRY(kata_graph_bind(&program->graph, model_graph, sizes, program->n_sizes, training));
    kata_graph *graph = program->graph;
    kata_value raw[KATA_MAX_LOSSES], shown[KATA_MAX_LOSSES];
    for (int k = 0; k < trainer->n_raw && program->kind != KATA__PROGRAM_PREDICT; k++) {
        raw[k] = as_float(graph, graph->outputs[trainer->outputs[k].raw]);
        shown[k] = training ? raw[k] : as_float(graph, graph->outputs[trainer->outputs[k].shown]);
    }
    for (size_t k = 0; k < KATA__COUNT(program->scale); k++) {
        bool filled = program->kind != KATA__PROGRAM_PREDICT && k < graph->n_inputs;
        program->scale[k] = filled ? kata__step_take_rescale(graph, graph->inputs[k]) : 1;
    }
    if (program->kind != KATA__PROGRAM_PREDICT) {
        kata_value loss = kata__step_loss(trainer, graph, program, raw);
        graph->n_outputs = 0;
        if (training) {
            loss = kata__step_penalties(graph, loss);
            KATA__TRY(kata__step_update(trainer, graph, loss));
        }
        kata_graph_output(graph, NULL, loss);
        for (int k = 0; k < trainer->n_raw; k++) {
            kata_graph_output(graph, NULL, shown[k]);
        }
        for (int k = 0; k < trainer->n_raw; k++) {
            if (raw[k].id != shown[k].id) {
                kata_graph_output(graph, NULL, raw[k]);
            }
        }
    }
    KATA__TRY(kata_graph_simplify(graph));
    kata_graph *optimized;
    KATA__TRY(kata_graph_optimize(&optimized, graph));
    kata_graph_free(graph);
    program->graph = optimized;
    if (trainer->options.precision == KATA_PRECISION_BF16) {
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
static void target_forms(const struct kata__trainer *trainer, kata__program_kind kind,
                         const kata_dataset *dataset, kata__target_form *forms) {
    for (int k = 0; k < trainer->n_raw && kind != KATA__PROGRAM_PREDICT &&
                    (dataset == NULL || k < dataset->n_targets);
         k++) {
        forms[k].classes = trainer->outputs[k].loss->takes_classes &&
                           trainer->options.label_smoothing == 0 &&
                           (dataset == NULL || kata__target_is_class(trainer, dataset, k));
    }
}

kata_status kata__program_get(struct kata__trainer *trainer, kata__program_kind kind, int64_t batch,
                              const kata_dataset *dataset, bool profile, kata__program **out) {
    kata__program wanted = {.kind = kind, .batch = batch, .profile = profile};
    wanted.weighted = dataset != NULL && dataset->weights.dtype != KATA_NO_DTYPE;
    target_forms(trainer, kind, dataset, wanted.targets);
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
