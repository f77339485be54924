/* kata_predict, kata_evaluate, and the memory of a training step. */
#include <stdatomic.h>
#include <string.h>

#include "base/check.h"
#include "data/data.h"
#include "exec/predictor.h"
#include "train/trainer.h"

static int64_t width_of(const kata_tensor *tensor) {
    int64_t n = tensor->shape.rank > 0 ? tensor->shape.dim[0] : 1;
    return n > 0 ? kata_tensor_count(tensor) / n : 0;
}

/* The model's own predictor, made at the first call. Several threads may come here at a time; one
 * that does not fit any more is of a model that was changed, which only one thread may do. */
static kata_status predictor_of(kata_predictor **out, kata_model *model) {
    const kata_precision precision =
        model->trainer != NULL ? model->trainer->options.precision : KATA_PRECISION_F32;
    kata_predictor *predictor = atomic_load_explicit(&model->predictor, memory_order_acquire);
    if (predictor != NULL && kata__predictor_fits(predictor, model->graph, precision)) {
        *out = predictor;
        return KATA_OK;
    }
    if (predictor != NULL) {
        atomic_store(&model->predictor, NULL);
        kata_predictor_free(predictor);
    }
    kata_predictor *made, *none = NULL;
    KATA__TRY(
        kata_predictor_new(&made, model->graph, &(kata_predictor_options){.precision = precision}));
    if (atomic_compare_exchange_strong(&model->predictor, &none, made)) {
        *out = made;
        return KATA_OK;
    }
    kata_predictor_free(made);
    *out = none;
    return KATA_OK;
}

/* --- predict ------------------------------------------------------------------------------------
 */

/* The sizes that are not 1. */
static kata_shape without_ones(const kata_shape *shape) {
    kata_shape rest = {.rank = 0};
    for (int i = 1; i < shape->rank; i++) {
        if (shape->dim[i] != 1) {
            rest.dim[rest.rank++] = shape->dim[i];
        }
    }
    return rest;
}

/* `input` as samples of the model's shape, where it holds these flattened, or axes of size 1 more
 * or fewer. */
static kata_tensor as_samples(const kata_shape *wanted, const kata_tensor *input) {
    bool is_same = wanted->rank == input->shape.rank;
    for (int i = 1; i < wanted->rank && is_same; i++) {
        is_same = wanted->dim[i] == input->shape.dim[i];
    }
    if (is_same) {
        return *input;
    }
    kata_shape shape = *wanted, a = without_ones(wanted), b = without_ones(&input->shape);
    int64_t features = 1;
    for (int i = 1; i < shape.rank; i++) {
        if (shape.dim[i] < 0) {
            return *input;
        }
        features *= shape.dim[i];
    }
    const bool is_flat = shape.rank <= 2 || input->shape.rank <= 2;
    if (shape.rank < 1 || input->shape.rank < 1 || !kata_tensor_is_contiguous(input) ||
        !(is_flat || kata_shape_equal(&a, &b)) ||
        (input->shape.dim[0] > 0 && width_of(input) != features)) {
        return *input;
    }
    shape.dim[0] = input->shape.dim[0];
    return kata_tensor_view(input->data, input->dtype, &shape);
}

kata_status kata_predict(kata_model *model, const kata_tensor *input, const kata_tensor *out) {
    enum { FEW = 16 };
    const kata_graph *graph = model->graph;
    kata_predictor *predictor;
    kata_tensor outputs[FEW];
    if (graph->n_inputs != 1 || graph->n_outputs > FEW) {
        return kata_fail(KATA_INVALID,
                         "kata_predict is for models with one input; %s has %zu: use a predictor "
                         "(kata/predict.h)",
                         graph->name, graph->n_inputs);
    }
    KATA__TRY(predictor_of(&predictor, model));
    if (out->dtype != KATA_F32) {
        return kata_fail(KATA_DTYPE, "the result of kata_predict is float32, got a tensor of %s",
                         kata_dtype_name(out->dtype));
    }
    KATA__TRY(kata__check_finite(model->context, input, graph->name, "input", 0));
    const kata_shape wanted = kata_value_shape(graph, graph->inputs[0]);
    const kata_tensor samples = as_samples(&wanted, input);
    outputs[0] = *out;
    for (size_t k = 1; k < graph->n_outputs; k++) {
        outputs[k].dtype = KATA_NO_DTYPE; /* the others are not wanted */
    }
    return kata__predictor_answer(predictor,
                                  &(kata__samples){.inputs = &samples, .outputs = outputs});
}

/* --- evaluate -----------------------------------------------------------------------------------
 */

static kata_status begin(struct kata__trainer *trainer, const kata_dataset *dataset,
                         kata_evaluation *e) {
    const kata_graph *graph = trainer->model->graph;
    const kata__output *first = &trainer->outputs[0];
    kata_shape shape = kata_value_shape(graph, graph->outputs[first->shown]);
    *e = (kata_evaluation){
        .n = dataset->n, .task = first->loss->task, .context = graph->context, .n_outputs = 1};
    for (int i = 1; i < shape.rank; i++) {
        e->n_outputs *= shape.dim[i];
    }
    if (e->task == KATA_TASK_CLASSES) {
        e->answers = kata__alloc(graph->context, (size_t)dataset->n, sizeof *e->answers);
        if (e->answers == NULL) {
            return KATA_OUT_OF_MEMORY;
        }
        return kata_classification_new(&e->classification, graph->context, (int)e->n_outputs, 5);
    }
    if (e->task == KATA_TASK_LABELS) {
        return kata_multi_label_new(&e->multi_label, graph->context, (int)e->n_outputs, 0.5);
    }
    return KATA_OK;
}

/* Samples first..first+n). */
static kata_status count(kata_evaluation *e, const float *outputs, const kata_tensor *target,
                         int64_t first, int64_t n) {
    const float *t = target->data;
    for (int64_t i = 0; i < n; i++) {
        const float *y = outputs + i * e->n_outputs;
        if (e->task == KATA_TASK_CLASSES) {
            int64_t label = 0;
            if (target->dtype == KATA_I64) {
                label = ((const int64_t *)target->data)[i];
            } else {
                for (int64_t j = 1; j < e->n_outputs; j++) {
                    label = t[i * e->n_outputs + j] > t[i * e->n_outputs + label] ? j : label;
                }
            }
            int answer = kata_classification_answer(y, (int)e->n_outputs);
            e->answers[first + i] = (kata_answer){(int)label, answer, y[label], y[answer]};
            KATA__TRY(kata_classification_add(&e->classification, y, label));
        } else if (e->task == KATA_TASK_LABELS) {
            kata_multi_label_add(&e->multi_label, y, t + i * e->n_outputs);
        } else {
            for (int64_t j = 0; j < e->n_outputs; j++) {
                kata_regression_add(&e->regression, (double)y[j], (double)t[i * e->n_outputs + j]);
            }
        }
    }
    return KATA_OK;
}

/* Where the samples of a part come from. */
typedef struct source {
    const kata_dataset *dataset;
    int64_t first;
} source;

static void fill(void *user, int i, int64_t first, const kata_tensor *to) {
    const source *from = user;
    kata__batch_input(from->dataset, i, NULL, from->first + first, to->shape.dim[0], NULL, 0, 0, 1,
                      to);
}

/* Samples first..first+n) are answered and measured. The raw outputs go to where the loss reads
 * them and the first one that is shown to `mine`, (n, n_outputs); others are not computed for
 * anybody. */
static kata_status evaluate_part(struct kata__trainer *trainer, kata_predictor *predictor,
                                 const kata_dataset *dataset, int64_t first, int64_t n, float *mine,
                                 kata_evaluation *e, double *loss) {
    const kata_graph *graph = trainer->model->graph;
    kata_tensor inputs[KATA_DATASET_TENSORS], outputs[4 * KATA_MAX_LOSSES];
    kata__program *program;
    KATA__TRY(kata__program_get(trainer, KATA__PROGRAM_EVALUATE, n, dataset, false, &program));
    const int raw = trainer->outputs[0].raw, shown = trainer->outputs[0].shown;
    if (graph->n_outputs > KATA__COUNT(outputs)) {
        return kata_fail(KATA_LIMIT, "model %s has more than %zu outputs", graph->name,
                         KATA__COUNT(outputs));
    }
    for (size_t i = 0; i < graph->n_inputs; i++) {
        kata_shape shape = kata_value_shape(graph, graph->inputs[i]);
        const kata_shape *data = &dataset->inputs[i].shape;
        for (int axis = 1; axis < shape.rank && data->rank == shape.rank; axis++) {
            shape.dim[axis] = shape.dim[axis] < 0 ? data->dim[axis] : shape.dim[axis];
        }
        shape.dim[0] = n;
        inputs[i] = kata_tensor_view(NULL, dataset->inputs[i].dtype, &shape);
    }
    for (size_t k = 0; k < graph->n_outputs; k++) {
        outputs[k].dtype = KATA_NO_DTYPE;
    }
    for (int k = 0; k < trainer->n_raw; k++) {
        outputs[trainer->outputs[k].raw] = kata_session_input(program->session, k);
    }
    if (shown != raw) {
        outputs[shown] = kata_tensor_view(mine, KATA_F32, &KATA_SHAPE_OF(n, e->n_outputs));
    }
    source from = {dataset, first};
    KATA__TRY(kata__predictor_answer(
        predictor,
        &(kata__samples){.inputs = inputs, .outputs = outputs, .fill = fill, .user = &from}));
    if (shown == raw) {
        memcpy(mine, outputs[raw].data, (size_t)(n * e->n_outputs) * sizeof *mine);
    }
    kata__program_fill(program, dataset, NULL, first, NULL, 0, 0);
    KATA__TRY(kata_session_run(program->session, 0, 0));
    const kata_tensor target = kata_session_input(program->session, dataset->n_targets);
    KATA__TRY(count(e, mine, &target, first, n));
    *loss = (double)*(const float *)kata_session_output(program->session, 0).data;
    return KATA_OK;
}

static kata_status evaluate(struct kata__trainer *trainer, const kata_dataset *dataset,
                            kata_evaluation *e) {
    kata_predictor *predictor;
    int64_t part;
    double loss_sum = 0, loss = 0;
    KATA__TRY(predictor_of(&predictor, trainer->model));
    KATA__TRY(begin(trainer, dataset, e));
    KATA__TRY(kata__predictor_part(predictor, dataset->n, &part));
    float *outputs = kata__alloc(e->context, (size_t)(part * e->n_outputs), sizeof *outputs);
    kata_status status = outputs == NULL ? KATA_OUT_OF_MEMORY : KATA_OK;
    for (int64_t first = 0; first < dataset->n && status == KATA_OK; first += part) {
        const int64_t n = dataset->n - first < part ? dataset->n - first : part;
        status = evaluate_part(trainer, predictor, dataset, first, n, outputs, e, &loss);
        loss_sum += loss * (double)n;
    }
    kata__free(e->context, outputs);
    e->loss = loss_sum / (double)dataset->n;
    return status;
}

kata_status kata_evaluate(kata_model *model, const kata_dataset *dataset, kata_evaluation *out) {
    struct kata__trainer *trainer = NULL;
    kata_evaluation e = {0};
    KATA__TRY(kata__trainer_get(&trainer, model));
    for (int k = 0; k == 0 || k < trainer->n_raw; k++) {
        if (k == trainer->n_raw || trainer->outputs[k].loss == NULL) {
            const char *loss = kata_graph_metadata(model->graph, "kata.loss");
            return kata_fail(KATA_INVALID, "model %s %s%s; call kata_compile first",
                             model->graph->name,
                             loss != NULL ? "has a loss that is not the library's: "
                                          : "does not say what its loss is",
                             loss != NULL ? loss : "");
        }
    }
    KATA__TRY(kata__check_dataset(trainer, dataset));
    KATA__TRY(kata__dataset_check_finite(dataset));
    kata_status status = evaluate(trainer, dataset, &e);
    if (status != KATA_OK) {
        kata_evaluation_free(&e);
        return status;
    }
    *out = e;
    return KATA_OK;
}

void kata_evaluation_free(kata_evaluation *evaluation) {
    if (evaluation == NULL || evaluation->context == NULL) {
        return;
    }
    kata_classification_free(&evaluation->classification);
    kata_multi_label_free(&evaluation->multi_label);
    kata__free(evaluation->context, evaluation->answers);
    *evaluation = (kata_evaluation){0};
}

/* --- memory -------------------------------------------------------------------------------------
 */

kata_status kata_training_memory(kata_memory *out, kata_model *model, int64_t batch) {
    struct kata__trainer *trainer = NULL;
    kata__program *program;
    KATA__TRY(kata__trainer_get(&trainer, model));
    if (!trainer->compiled) {
        return kata_fail(KATA_INVALID, "model %s is not compiled", model->graph->name);
    }
    KATA__TRY(kata__program_get(trainer, KATA__PROGRAM_TRAIN, batch, NULL, false, &program));
    kata_memory memory = {.arena = kata_session_arena_bytes(program->session),
                          .structure = program->structure_bytes};
    for (size_t i = 0; i < model->graph->n_variables; i++) {
        memory.weights += kata_tensor_bytes(&model->graph->variables[i]->tensor);
    }
    for (size_t i = 0; i < trainer->state->n_variables; i++) {
        memory.state += kata_tensor_bytes(&trainer->state->variables[i]->tensor);
    }
    *out = memory;
    return KATA_OK;
}
