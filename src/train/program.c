/* Programs: the graphs that are run. A training step is forward, loss, penalties, backward,
 * clipping and update in one graph; an evaluation is forward and loss; a prediction is forward. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "data/data.h"
#include "exec/plan.h"
#include "pass/pass.h"
#include "train/trainer.h"

/* --- losses ----------------------------------------------------------------------------------- */

typedef struct loss_builder {
    struct kata__trainer *trainer;
    kata_graph *graph;
    const kata__program *program;
    kata_value weights; /* sample weights (n), or none */
} loss_builder;

static kata_value scalar(kata_graph *graph, double value) {
    return kata_graph_scalar(graph, KATA_F32, value);
}

static kata_value reduce(kata_graph *graph, const char *op, kata_value x) {
    return KATA_NODE_WITH(graph, op, KATA_INPUTS(x), KATA_INT("keepdims", 0));
}

static kata_value sum_all(kata_graph *graph, kata_value x) {
    return reduce(graph, "ReduceSum", x);
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
    return reduce(b->graph, "ReduceMean", e);
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
        t = KATA_NODE(graph, "Mul", KATA_INPUTS(t, scalar(graph, 1 - s)));
        t = KATA_NODE(graph, "Add", KATA_INPUTS(t, scalar(graph, s / n_classes)));
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
        t = KATA_NODE(graph, "Mul", KATA_INPUTS(t, scalar(graph, 1 - s)));
        t = KATA_NODE(graph, "Add", KATA_INPUTS(t, scalar(graph, s / 2)));
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
    kata_value c =
        KATA_NODE(graph, "Clip", KATA_INPUTS(e, scalar(graph, -delta), scalar(graph, delta)));
    kata_value half = KATA_NODE(graph, "Mul", KATA_INPUTS(c, scalar(graph, 0.5)));
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

/* --- penalties, clipping, update ----------------------------------------------------------------
 */

/* loss + sum over weights of l1 |w| + l2/2 w^2 (scratch-book-2 L5086-5092). */
static kata_value add_penalties(kata_graph *graph, kata_value loss) {
    for (size_t i = 0; i < graph->n_variables; i++) {
        kata_variable *v = graph->variables[i];
        if (!v->trainable || v->frozen || (v->l1 == 0 && v->l2 == 0)) {
            continue;
        }
        kata_value w = kata_graph_use_variable(graph, v);
        if (v->l2 != 0) {
            kata_value p = reduce(graph, "ReduceSumSquare", w);
            p = KATA_NODE(graph, "Mul", KATA_INPUTS(p, scalar(graph, 0.5 * (double)v->l2)));
            loss = KATA_NODE(graph, "Add", KATA_INPUTS(loss, p));
        }
        if (v->l1 != 0) {
            kata_value p = sum_all(graph, KATA_NODE(graph, "Abs", KATA_INPUTS(w)));
            p = KATA_NODE(graph, "Mul", KATA_INPUTS(p, scalar(graph, (double)v->l1)));
            loss = KATA_NODE(graph, "Add", KATA_INPUTS(loss, p));
        }
    }
    return loss;
}

/* g * min(1, c / ||all g||). */
static void clip_norm(kata_graph *graph, kata_value *gradients, int n, double limit) {
    kata_value total = KATA_NONE;
    for (int i = 0; i < n; i++) {
        if (gradients[i].id != 0) {
            kata_value s = reduce(graph, "ReduceSumSquare", gradients[i]);
            total = total.id == 0 ? s : KATA_NODE(graph, "Add", KATA_INPUTS(total, s));
        }
    }
    if (total.id == 0) {
        return;
    }
    kata_value norm = KATA_NODE(graph, "Sqrt", KATA_INPUTS(total));
    norm = KATA_NODE(graph, "Max", KATA_INPUTS(norm, scalar(graph, limit)));
    kata_value factor = KATA_NODE(graph, "Div", KATA_INPUTS(scalar(graph, limit), norm));
    for (int i = 0; i < n; i++) {
        if (gradients[i].id != 0) {
            gradients[i] = KATA_NODE(graph, "Mul", KATA_INPUTS(gradients[i], factor));
        }
    }
}

static void add_update(kata_graph *graph, const kata_optimizer *o, kata__slot *slot, kata_value g,
                       kata_value lr, kata_value t) {
    kata_value inputs[6], outputs[3];
    kata_attribute attributes[5];
    int n_inputs = 0, n_attributes = 0, n_states = kata__optimizer_states(o->kind);
    char name[256];
    inputs[n_inputs++] = kata_graph_use_variable(graph, slot->variable);
    for (int k = 0; k < n_states; k++) {
        inputs[n_inputs++] = kata_graph_use_variable(graph, slot->state[k]);
    }
    inputs[n_inputs++] = g;
    inputs[n_inputs++] = lr;
    switch (o->kind) {
    case KATA_OPTIMIZER_MOMENTUM:
    case KATA_OPTIMIZER_NESTEROV:
        attributes[n_attributes++] = (kata_attribute)KATA_FLOAT("momentum", o->momentum);
        break;
    case KATA_OPTIMIZER_RMSPROP:
        attributes[n_attributes++] = (kata_attribute)KATA_FLOAT("decay", o->decay);
        attributes[n_attributes++] = (kata_attribute)KATA_FLOAT("epsilon", o->epsilon);
        break;
    case KATA_OPTIMIZER_ADAGRAD:
        attributes[n_attributes++] = (kata_attribute)KATA_FLOAT("epsilon", o->epsilon);
        break;
    case KATA_OPTIMIZER_ADAM:
    case KATA_OPTIMIZER_ADAMW:
        inputs[n_inputs++] = t;
        attributes[n_attributes++] = (kata_attribute)KATA_FLOAT("beta1", o->beta1);
        attributes[n_attributes++] = (kata_attribute)KATA_FLOAT("beta2", o->beta2);
        attributes[n_attributes++] = (kata_attribute)KATA_FLOAT("epsilon", o->epsilon);
        break;
    default:
        break;
    }
    if (o->weight_decay > 0 && slot->variable->decay) {
        attributes[n_attributes++] = (kata_attribute)KATA_FLOAT("weight_decay", o->weight_decay);
    }
    snprintf(name, sizeof name, "update/%.200s", slot->variable->name);
    kata_graph_node_outputs(graph, name, kata__optimizer_operator(o->kind), inputs, n_inputs,
                            attributes, n_attributes, outputs, 1 + n_states);
}

static kata_status add_training(struct kata__trainer *trainer, kata_graph *graph, kata_value loss,
                                kata_value *wrt, kata_value *gradients, kata__slot **slots) {
    const kata_compile_options *options = &trainer->options;
    int n = 0;
    kata_value lr = kata_graph_input(graph, "kata.lr", KATA_F32, &(kata_shape){.rank = 0});
    kata_value t = kata_graph_input(graph, "kata.t", KATA_F32, &(kata_shape){.rank = 0});
    for (int i = 0; i < trainer->n_slots; i++) {
        if (!trainer->slots[i].variable->frozen) {
            wrt[n] = kata_graph_use_variable(graph, trainer->slots[i].variable);
            slots[n++] = &trainer->slots[i];
        }
    }
    if (graph->status != KATA_OK) {
        return kata_fail(graph->status, "%s", kata_graph_message(graph));
    }
    if (n == 0) {
        return kata_fail(KATA_INVALID, "model %s has no weight to train: all are frozen",
                         trainer->model->graph->name);
    }
    KATA__TRY(kata_graph_differentiate(graph, loss, wrt, n, gradients));
    for (int i = 0; i < n && options->clip_value > 0; i++) {
        if (gradients[i].id != 0) {
            gradients[i] = KATA_NODE(graph, "Clip",
                                     KATA_INPUTS(gradients[i], scalar(graph, -options->clip_value),
                                                 scalar(graph, options->clip_value)));
        }
    }
    if (options->clip_norm > 0) {
        clip_norm(graph, gradients, n, options->clip_norm);
    }
    for (int i = 0; i < n; i++) {
        if (gradients[i].id != 0) {
            add_update(graph, &options->optimizer, slots[i], gradients[i], lr, t);
        }
    }
    return graph->status == KATA_OK ? KATA_OK
                                    : kata_fail(graph->status, "%s", kata_graph_message(graph));
}

/* --- a program ----------------------------------------------------------------------------------
 */

static void program_free(kata__program *program) {
    kata_session_free(program->session);
    kata_graph_free(program->graph);
    *program = (kata__program){0};
}

/* The other input of a Mul of an input of the graph, where that is one constant number. */
static bool is_rescale(const kata_graph *graph, const kata__node *node, kata_value input,
                       double *factor) {
    if (node->op->domain[0] != '\0' || strcmp(node->op->name, "Mul") != 0) {
        return false;
    }
    kata_value other = node->inputs[node->inputs[0].id == input.id ? 1 : 0];
    const kata__value_info *info = &graph->values[other.id];
    if (other.id == input.id || info->kind != KATA__VALUE_CONSTANT ||
        info->constant.dtype != KATA_F32 || kata_tensor_count(&info->constant) != 1 ||
        !kata_shape_equal(&graph->values[node->outputs[0].id].type.shape,
                          &graph->values[input.id].type.shape)) {
        return false;
    }
    *factor = kata_load(KATA_F32, info->constant.data, 0);
    return true;
}

/* Where all that a graph does with an input is to multiply it by one number (kata_rescale), the
 * batch is put together with the multiplied numbers; returns that number, else 1. The same rounding
 * of the same product: no bit changes. */
static double take_rescale(kata_graph *graph, kata_value input) {
    const kata__node *found = NULL;
    double factor = 1;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const kata__node *node = &graph->nodes[i];
        for (int k = 0; k < node->n_inputs && !node->removed; k++) {
            if (node->inputs[k].id != input.id) {
                continue;
            }
            if (found != NULL || !is_rescale(graph, node, input, &factor)) {
                return 1;
            }
            found = node;
        }
    }
    for (size_t i = 0; i < graph->n_outputs && found != NULL; i++) {
        if (graph->outputs[i].id == input.id || graph->outputs[i].id == found->outputs[0].id) {
            return 1;
        }
    }
    for (size_t i = 0; i < graph->n_nodes && found != NULL; i++) {
        for (int k = 0; k < graph->nodes[i].n_inputs; k++) {
            kata_value *use = &graph->nodes[i].inputs[k];
            *use = use->id == found->outputs[0].id ? input : *use;
        }
    }
    return factor;
}

static kata_status build(struct kata__trainer *trainer, kata__program *program) {
    kata_graph *model_graph = trainer->model->graph;
    bool training = program->kind == KATA__PROGRAM_TRAIN;
    KATA__TRY(kata_graph_bind(&program->graph, model_graph, program->batch, training));
    kata_graph *graph = program->graph;
    size_t n_outputs = graph->n_outputs;
    kata_value outputs[2 * KATA__MAX_OUTPUTS] = {KATA_NONE};
    for (size_t i = 0; i < n_outputs && i < KATA__COUNT(outputs); i++) {
        outputs[i] = graph->outputs[i];
    }
    for (size_t k = 0; k < KATA__COUNT(program->scale); k++) {
        bool filled = program->kind != KATA__PROGRAM_PREDICT && k < graph->n_inputs;
        program->scale[k] = filled ? take_rescale(graph, graph->inputs[k]) : 1;
    }
    if (program->kind != KATA__PROGRAM_PREDICT) {
        const kata_value *raw = outputs + (n_outputs - (size_t)trainer->n_raw);
        loss_builder b = {.trainer = trainer, .graph = graph, .program = program};
        kata_value loss = add_loss(&b, raw);
        graph->n_outputs = 0;
        if (training) {
            size_t n = (size_t)trainer->n_slots + 1;
            kata_value *wrt = kata__alloc_zero(graph->context, 2 * n, sizeof *wrt);
            kata__slot **slots = kata__alloc_zero(graph->context, n, sizeof *slots);
            loss = add_penalties(graph, loss);
            kata_status status = wrt == NULL || slots == NULL
                                     ? KATA_OUT_OF_MEMORY
                                     : add_training(trainer, graph, loss, wrt, wrt + n, slots);
            kata__free(graph->context, wrt);
            kata__free(graph->context, slots);
            KATA__TRY(status);
        }
        kata_graph_output(graph, NULL, loss);
        for (int k = 0; k < (training ? trainer->n_raw : (int)n_outputs); k++) {
            kata_graph_output(graph, NULL, training ? raw[k] : outputs[k]);
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
        forms[k].classes = trainer->options.loss == KATA_SOFTMAX_CROSS_ENTROPY &&
                           trainer->options.label_smoothing == 0 &&
                           (dataset == NULL || !kata_dtype_is_float(dataset->targets[k].dtype));
    }
}

kata_status kata__program_get(struct kata__trainer *trainer, kata__program_kind kind, int64_t batch,
                              const kata_dataset *dataset, bool profile, kata__program **out) {
    kata__program wanted = {.kind = kind, .batch = batch, .profile = profile};
    wanted.weighted = dataset != NULL && dataset->weights.dtype != KATA_NO_DTYPE;
    target_forms(trainer, kind, dataset, wanted.targets);
    kata__program *oldest = &trainer->programs[0];
    for (int i = 0; i < KATA__PROGRAMS; i++) {
        kata__program *p = &trainer->programs[i];
        if (p->kind == kind && p->batch == batch && p->weighted == wanted.weighted &&
            p->profile == profile && memcmp(p->targets, wanted.targets, sizeof p->targets) == 0) {
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
    kata_status status = build(trainer, &wanted);
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

void kata__program_fill(const kata__program *program, const kata_dataset *dataset,
                        const int64_t *order, int64_t first, const kata_augment *augment,
                        uint64_t seed, uint64_t epoch) {
    int at = 0;
    for (int k = 0; k < dataset->n_inputs; k++) {
        kata_tensor input = kata_session_input(program->session, at++);
        kata__batch_input(dataset, k, order, first, program->batch, augment, seed, epoch,
                          program->scale[k], &input);
    }
    for (int k = 0; k < dataset->n_targets; k++) {
        kata_tensor target = kata_session_input(program->session, at++);
        kata__batch_target(dataset, k, order, first, program->batch, &target);
    }
    if (program->weighted) {
        kata_tensor weights = kata_session_input(program->session, at++);
        const float *all = dataset->weights.data;
        float *mine = weights.data;
        for (int64_t i = 0; i < program->batch; i++) {
            mine[i] = all[order != NULL ? order[first + i] : first + i];
        }
    }
}

/* --- does the data set fit? ---------------------------------------------------------------------
 */

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

static kata_status check_target(const struct kata__trainer *trainer, const kata_dataset *dataset,
                                int k) {
    const kata_graph *graph = trainer->model->graph;
    kata_value raw = graph->outputs[graph->n_outputs - (size_t)trainer->n_raw + (size_t)k];
    kata_shape out = kata_value_shape(graph, raw);
    const kata_tensor *target = &dataset->targets[k];
    int64_t n_out = 1, n_target = 1;
    for (int i = 1; i < out.rank; i++) {
        n_out *= out.dim[i];
    }
    for (int i = 1; i < target->shape.rank; i++) {
        n_target *= target->shape.dim[i];
    }
    bool numbers = kata_dtype_is_float(target->dtype);
    if (trainer->options.loss == KATA_SOFTMAX_CROSS_ENTROPY && !numbers) {
        if (dataset->n_classes > n_out) {
            return kata_fail(KATA_SHAPE,
                             "%s has %d classes, but model %s has %" PRId64
                             " outputs; give the model as many outputs as classes",
                             dataset->name, dataset->n_classes, graph->name, n_out);
        }
        for (int64_t i = 0; i < dataset->n; i++) {
            double label = kata_load(target->dtype, target->data, i);
            if (label < 0 || label >= (double)n_out) {
                return kata_fail(KATA_INVALID,
                                 "%s: the label of sample %" PRId64
                                 " is %g; labels must be 0 to %" PRId64,
                                 dataset->name, i, label, n_out - 1);
            }
        }
        return KATA_OK;
    }
    if (n_target != n_out && !(trainer->options.loss == KATA_SIGMOID_CROSS_ENTROPY && !numbers)) {
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
