/* kata_predict, kata_evaluate, and the memory of a training step. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "data/data.h"
#include "exec/session.h"
#include "train/trainer.h"

#define WHOLE 256 /* up to so many samples run as one batch */
#define CHUNK 100 /* more run in batches of this size */

static int64_t width_of(const kata_tensor *tensor) {
    int64_t n = tensor->shape.rank > 0 ? tensor->shape.dim[0] : 1;
    return n > 0 ? kata_tensor_count(tensor) / n : 0;
}

/* --- predict ------------------------------------------------------------------------------------
 */

static kata_status check_predict(const kata_graph *graph, const kata_tensor *input,
                                 const kata_tensor *out) {
    char have[KATA_SHAPE_TEXT_SIZE], want[KATA_SHAPE_TEXT_SIZE];
    if (graph->n_inputs != 1) {
        return kata_fail(KATA_INVALID, "kata_predict is for models with one input; %s has %zu",
                         graph->name, graph->n_inputs);
    }
    kata_shape shape = kata_value_shape(graph, graph->inputs[0]);
    int64_t features = 1;
    for (int i = 1; i < shape.rank; i++) {
        features *= shape.dim[i];
    }
    if (input->shape.rank < 1 || !kata_tensor_is_contiguous(input) ||
        (input->shape.dim[0] > 0 && width_of(input) != features)) {
        return kata_fail(KATA_SHAPE, "model %s takes inputs of shape %s, got a tensor of shape %s",
                         graph->name, kata_shape_text(&shape, want),
                         kata_shape_text(&input->shape, have));
    }
    shape = kata_value_shape(graph, graph->outputs[0]);
    int64_t outputs = 1;
    for (int i = 1; i < shape.rank; i++) {
        outputs *= shape.dim[i];
    }
    if (out->dtype != KATA_F32 || out->shape.rank < 1 || !kata_tensor_is_contiguous(out) ||
        out->shape.dim[0] != input->shape.dim[0] ||
        (out->shape.dim[0] > 0 && width_of(out) != outputs)) {
        return kata_fail(KATA_SHAPE,
                         "the result of %" PRId64 " samples needs a float32 tensor (%" PRId64
                         ",%" PRId64 "), got %s%s",
                         input->shape.dim[0], input->shape.dim[0], outputs,
                         kata_dtype_name(out->dtype), kata_shape_text(&out->shape, have));
    }
    return KATA_OK;
}

/* Runs samples first..first+n). Numbers of the input's own kind are read where they are. */
static kata_status predict_some(struct kata__trainer *trainer, const kata_tensor *input,
                                const kata_tensor *out, int64_t first, int64_t n) {
    kata__program *program;
    KATA__TRY(kata__program_get(trainer, KATA__PROGRAM_PREDICT, n, NULL, false, &program));
    kata_session *session = program->session;
    const int64_t out_width = width_of(out);
    const size_t sample_bytes = (size_t)width_of(input) * kata_dtype_size(input->dtype);
    char *from = (char *)input->data + (size_t)first * sample_bytes;
    kata_tensor x = kata_session_input(session, 0);
    const bool borrows = input->dtype == x.dtype;
    if (borrows) {
        kata__session_borrow(session, 0, from);
    } else {
        const kata_tensor part = kata_tensor_view(from, input->dtype, &x.shape);
        KATA__TRY(kata_tensor_copy(&x, &part));
    }
    kata_status status = kata_session_run(session, 0, 0);
    if (status == KATA_OK) {
        const kata_tensor y = kata_session_output(session, 0);
        float *to = (float *)out->data + first * out_width;
        if (y.dtype == KATA_F32) {
            memcpy(to, y.data, (size_t)(n * out_width) * sizeof *to);
        } else {
            const kata_tensor result = kata_tensor_view(to, KATA_F32, &y.shape);
            status = kata_tensor_copy(&result, &y);
        }
    }
    if (borrows) {
        kata__session_borrow(session, 0, NULL);
    }
    return status;
}

kata_status kata_predict(kata_model *model, const kata_tensor *input, const kata_tensor *out) {
    struct kata__trainer *trainer = NULL;
    KATA__TRY(kata__trainer_get(&trainer, model));
    KATA__TRY(check_predict(model->graph, input, out));
    int64_t n = input->shape.dim[0];
    int64_t chunk = n <= WHOLE ? n : CHUNK;
    for (int64_t first = 0; first < n; first += chunk) {
        KATA__TRY(predict_some(trainer, input, out, first, n - first < chunk ? n - first : chunk));
    }
    return KATA_OK;
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
    e->outputs =
        kata__alloc(graph->context, (size_t)(dataset->n * e->n_outputs), sizeof *e->outputs);
    if (e->outputs == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    if (e->task == KATA_TASK_CLASSES) {
        return kata_classification_new(&e->classification, graph->context, (int)e->n_outputs, 5);
    }
    if (e->task == KATA_TASK_LABELS) {
        return kata_multi_label_new(&e->multi_label, graph->context, (int)e->n_outputs, 0.5);
    }
    return KATA_OK;
}

static void count(kata_evaluation *e, const float *outputs, const kata_tensor *target, int64_t n) {
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
            kata_classification_add(&e->classification, y, label);
        } else if (e->task == KATA_TASK_LABELS) {
            kata_multi_label_add(&e->multi_label, y, t + i * e->n_outputs);
        } else {
            for (int64_t j = 0; j < e->n_outputs; j++) {
                kata_regression_add(&e->regression, (double)y[j], (double)t[i * e->n_outputs + j]);
            }
        }
    }
}

static kata_status evaluate(struct kata__trainer *trainer, const kata_dataset *dataset,
                            kata_evaluation *e) {
    KATA__TRY(begin(trainer, dataset, e));
    double loss_sum = 0;
    for (int64_t first = 0; first < dataset->n; first += CHUNK) {
        int64_t n = dataset->n - first < CHUNK ? dataset->n - first : CHUNK;
        kata__program *program;
        KATA__TRY(kata__program_get(trainer, KATA__PROGRAM_EVALUATE, n, dataset, false, &program));
        kata__program_fill(program, dataset, NULL, first, NULL, 0, 0);
        KATA__TRY(kata_session_run(program->session, 0, 0));
        kata_tensor output = kata_session_output(program->session, 1);
        kata_tensor target = kata_session_input(program->session, dataset->n_inputs);
        float *mine = e->outputs + first * e->n_outputs;
        memcpy(mine, output.data, (size_t)(n * e->n_outputs) * sizeof *mine);
        count(e, mine, &target, n);
        loss_sum +=
            (double)*(const float *)kata_session_output(program->session, 0).data * (double)n;
    }
    e->loss = loss_sum / (double)dataset->n;
    return KATA_OK;
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
    kata__free(evaluation->context, evaluation->outputs);
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
