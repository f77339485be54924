/* kata bench train, fit, predict: the ready networks. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "exec/predictor.h"
#include "tool/bench.h"
#include "train/trainer.h"

enum { BATCH = 100 };

kata_status kata__bench_samples(kata_dataset **out, kata__bench *bench, int64_t n,
                                kata_dtype dtype) {
    kata_tensor x = {.dtype = KATA_NO_DTYPE}, y = {.dtype = KATA_NO_DTYPE};
    kata_dataset *dataset = NULL;
    kata_status status = kata_tensor_new(&x, bench->context, dtype, &KATA_SHAPE_OF(n, 1, 28, 28));
    if (status == KATA_OK) {
        status = kata_tensor_new(&y, bench->context, KATA_I64, &KATA_SHAPE_OF(n));
    }
    if (status == KATA_OK) {
        for (int64_t i = 0; i < n * 784; i++) {
            uint32_t bits = kata_random_bits(1, 0, 0, (uint64_t)i);
            if (dtype == KATA_F32) {
                ((float *)x.data)[i] = (float)(bits >> 8) * 0x1p-24f;
            } else {
                ((uint8_t *)x.data)[i] = (uint8_t)(bits >> 24);
            }
        }
        for (int64_t i = 0; i < n; i++) {
            ((int64_t *)y.data)[i] = kata_random_bits(2, 0, 0, (uint64_t)i) % 10;
        }
        status = kata_dataset_new(&dataset, bench->context, "random pictures");
    }
    if (status == KATA_OK) {
        status = kata_dataset_add_input(dataset, &x);
    }
    if (status == KATA_OK) {
        status = kata_dataset_add_target(dataset, &y);
    }
    if (status == KATA_OK) {
        status = kata_dataset_set_classes(dataset, 10, NULL);
    }
    kata_tensor_release(&x);
    kata_tensor_release(&y);
    if (status != KATA_OK) {
        kata_dataset_free(dataset);
        return status;
    }
    *out = dataset;
    return KATA_OK;
}

static bool has_convolution(const kata_graph *graph) {
    for (size_t i = 0; i < graph->n_nodes; i++) {
        if (strcmp(graph->nodes[i].op->name, "Conv") == 0) {
            return true;
        }
    }
    return false;
}

kata_status kata__bench_network(kata_model **out, kata__bench *bench, const char *name) {
    kata_model *model;
    KATA__TRY(kata_model_ready(&model, bench->context, name, NULL));
    kata_optimizer optimizer =
        has_convolution(kata_model_graph(model)) ? kata_adam(.lr = 1e-3) : kata_sgd(.lr = 0.1);
    kata_status status =
        kata_compile(model, .loss = KATA_SOFTMAX_CROSS_ENTROPY, .optimizer = optimizer);
    if (status != KATA_OK) {
        kata_model_free(model);
        return status;
    }
    *out = model;
    return KATA_OK;
}

double kata__bench_session_flops(const kata_session *session) {
    static const char *const products[] = {"Conv", "Gemm", "MatMul", "Dense"};
    double sum = 0;
    for (int i = 0; i < kata_session_n_profile(session); i++) {
        kata_profile_row row = kata_session_profile(session, i);
        for (size_t k = 0; k < KATA__COUNT(products); k++) {
            if (strstr(row.op, products[k]) != NULL && strcmp(row.op, "ConvGradBias") != 0) {
                sum += row.flops;
                break;
            }
        }
    }
    return sum;
}

/* --- train: the planned step again and again, its batch in place ------------------------------ */

typedef struct training {
    kata_session *session;
    float *t; /* number of the step, an input */
    uint64_t step;
} training;

static kata_status run_step(void *user) {
    training *t = user;
    *t->t = (float)++t->step;
    return kata_session_run(t->session, 0, t->step);
}

/* Resident bytes of this process; NaN where the system does not tell. */
static double resident(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL) {
        return NAN;
    }
    int n = fscanf(file, "%*s %ld", &pages);
    fclose(file);
    return n == 1 ? (double)pages * (double)sysconf(_SC_PAGESIZE) : NAN;
}

/* What the plan says, and by how much the process grew since there was no model yet. */
static kata_status memory_text(char *text, size_t size, kata_model *model, double before) {
    kata_memory m;
    KATA__TRY(kata_training_memory(&m, model, BATCH));
    int used = snprintf(text, size,
                        ",\"arena_bytes\":%zu,\"weight_bytes\":%zu,\"state_bytes\":%zu,"
                        "\"structure_bytes\":%zu,\"planned_bytes\":%zu,\"resident_bytes\":",
                        m.arena, m.weights, m.state, m.structure,
                        m.arena + m.weights + m.state + m.structure);
    double grown = resident() - before;
    snprintf(text + used, size - (size_t)used, isnan(grown) ? "null" : "%.0f", grown);
    return KATA_OK;
}

/* The session of a training step with its inputs filled. */
static kata_status prepare(training *out, kata_model *model, const kata_dataset *dataset,
                           int64_t batch, kata_session **session) {
    struct kata__trainer *trainer = NULL;
    kata__program *program;
    KATA__TRY(kata__trainer_get(&trainer, model));
    KATA__TRY(kata__program_get(trainer, KATA__PROGRAM_TRAIN, batch, dataset, false, &program));
    kata__program_fill(program, dataset, NULL, 0, NULL, 0, 0);
    int n_inputs = kata_graph_n_inputs(program->graph);
    *session = program->session;
    *out = (training){.session = program->session,
                      .t = kata_session_input(program->session, n_inputs - 1).data};
    *(float *)kata_session_input(program->session, n_inputs - 2).data =
        (float)trainer->options.optimizer.lr;
    return KATA_OK;
}

/* A step of one sample, so that the code is in memory before the data's share is measured. */
static kata_status warm_up(kata__bench *bench, const char *network, const kata_dataset *dataset) {
    kata_model *model;
    kata_session *session;
    training t;
    KATA__TRY(kata__bench_network(&model, bench, network));
    kata_status status = prepare(&t, model, dataset, 1, &session);
    if (status == KATA_OK) {
        status = run_step(&t);
    }
    kata_model_free(model);
    return status;
}

static kata_status measure_training(kata__bench *bench, const char *name, kata_model *model,
                                    const kata_dataset *dataset, double before) {
    kata_session *session;
    training t;
    char more[320];
    KATA__TRY(prepare(&t, model, dataset, BATCH, &session));
    for (int i = 0; i < 3; i++) {
        KATA__TRY(run_step(&t));
    }
    KATA__TRY(memory_text(more, sizeof more, model, before));
    double variables = (double)kata_session_variable_bytes(session);
    kata_tensor x = kata_session_input(session, 0);
    kata__bench_work work = {
        .call = run_step,
        .user = &t,
        .flops = kata__bench_session_flops(session),
        .bytes = 2 * variables + (double)kata_tensor_bytes(&x), /* weights and states, in and out */
        .footprint = variables + (double)kata_session_arena_bytes(session),
        .items = BATCH,
        .unit = "sample",
        .batch = BATCH,
        .more = more};
    return kata__bench_measure(bench, name, &work);
}

static kata_status train_in(kata__bench *bench, const kata__bench_entry *entry,
                            kata_precision precision) {
    kata_model *model = NULL;
    kata_dataset *dataset;
    const char *network = kata_model_ready_list()[entry->index].name;
    KATA__TRY(kata__bench_samples(&dataset, bench, BATCH, KATA_F32));
    kata_status status = warm_up(bench, network, dataset);
    double before = resident();
    if (status == KATA_OK) {
        status = kata__bench_network(&model, bench, network);
    }
    if (status == KATA_OK) {
        status = kata_set_precision(model, precision);
    }
    if (status == KATA_OK) {
        status = measure_training(bench, entry->name, model, dataset, before);
    }
    kata_dataset_free(dataset);
    kata_model_free(model);
    return status;
}

static kata_status run_train(kata__bench *bench, const kata__bench_entry *entry) {
    return train_in(bench, entry, KATA_PRECISION_F32);
}

static kata_status run_train_bf16(kata__bench *bench, const kata__bench_entry *entry) {
    return train_in(bench, entry, KATA_PRECISION_BF16);
}

/* --- fit: kata_fit over a data set, shuffled -------------------------------------------------- */

typedef struct fitting {
    kata_model *model;
    const kata_dataset *dataset;
} fitting;

static kata_status run_epoch(void *user) {
    const fitting *f = user;
    return kata_fit(f->model, f->dataset, .epochs = 1, .batch = BATCH);
}

static kata_status measure_fit(kata__bench *bench, const char *name, fitting *f) {
    KATA__TRY(run_epoch(f)); /* so that there is a session to ask */
    const kata_session *session = kata_training_session(f->model);
    double batches = (double)f->dataset->n / BATCH;
    double arena = (double)kata_session_arena_bytes(session);
    double variables = (double)kata_session_variable_bytes(session);
    kata__bench_work work = {.call = run_epoch,
                             .user = f,
                             .flops = batches * kata__bench_session_flops(session),
                             .bytes = batches * (2 * variables + BATCH * 784 * sizeof(float)),
                             .footprint = arena + variables,
                             .items = (double)f->dataset->n,
                             .unit = "sample",
                             .batch = BATCH};
    return kata__bench_measure(bench, name, &work);
}

static kata_status run_fit(kata__bench *bench, const kata__bench_entry *entry) {
    fitting f = {.model = NULL};
    kata_dataset *dataset = NULL;
    KATA__TRY(kata__bench_network(&f.model, bench, kata_model_ready_list()[entry->index].name));
    int64_t n = has_convolution(kata_model_graph(f.model)) ? 1000 : 10000;
    kata_status status = kata__bench_samples(&dataset, bench, n, KATA_F32);
    if (status == KATA_OK) {
        f.dataset = dataset;
        status = measure_fit(bench, entry->name, &f);
    }
    kata_dataset_free(dataset);
    kata_model_free(f.model);
    return status;
}

/* --- predict ---------------------------------------------------------------------------------- */

typedef struct prediction {
    kata_model *model;
    kata_tensor x, y;
} prediction;

static kata_status run_prediction(void *user) {
    prediction *p = user;
    return kata_predict(p->model, &p->x, &p->y);
}

static kata_status measure_prediction(kata__bench *bench, const char *name, prediction *p,
                                      int64_t batch) {
    const kata_session *session;
    p->x.shape.dim[0] = p->y.shape.dim[0] = batch;
    KATA__TRY(kata_predict(p->model, &p->x, &p->y));
    KATA__TRY(kata__predictor_session(p->model->predictor, &p->x, &session));
    double variables = (double)kata_session_variable_bytes(session);
    kata__bench_work work = {.call = run_prediction,
                             .user = p,
                             .flops = kata__bench_session_flops(session),
                             .bytes = variables + (double)kata_tensor_bytes(&p->x) +
                                      (double)kata_tensor_bytes(&p->y),
                             .footprint = variables + (double)kata_session_arena_bytes(session),
                             .items = (double)batch,
                             .unit = "sample",
                             .batch = batch};
    return kata__bench_measure(bench, name, &work);
}

static kata_status predict_in(kata__bench *bench, const kata__bench_entry *entry,
                              kata_precision precision) {
    static const int64_t batches[] = {1, 8, BATCH};
    prediction p = {.model = NULL};
    kata_dataset *dataset = NULL;
    KATA__TRY(kata__bench_network(&p.model, bench, kata_model_ready_list()[entry->index].name));
    kata_status status = kata_set_precision(p.model, precision);
    if (status == KATA_OK) {
        status = kata__bench_samples(&dataset, bench, BATCH, KATA_F32);
    }
    if (status == KATA_OK) {
        status = kata_tensor_new(&p.y, bench->context, KATA_F32, &KATA_SHAPE_OF(BATCH, 10));
    }
    for (size_t i = 0; i < KATA__COUNT(batches) && status == KATA_OK; i++) {
        p.x = kata_tensor_view(dataset->inputs[0].data, KATA_F32, &dataset->inputs[0].shape);
        status = measure_prediction(bench, entry->name, &p, batches[i]);
    }
    kata_tensor_release(&p.y);
    kata_dataset_free(dataset);
    kata_model_free(p.model);
    return status;
}

static kata_status run_predict(kata__bench *bench, const kata__bench_entry *entry) {
    return predict_in(bench, entry, KATA_PRECISION_F32);
}

static kata_status run_predict_bf16(kata__bench *bench, const kata__bench_entry *entry) {
    return predict_in(bench, entry, KATA_PRECISION_BF16);
}

void kata__bench_add_networks(kata__bench_list *list) {
    static const struct {
        const char *group;
        kata__bench_function run;
        bool is_usual;
    } groups[] = {{"train", run_train, true},
                  {"train-bf16", run_train_bf16, false},
                  {"fit", run_fit, false},
                  {"predict", run_predict, true},
                  {"predict-bf16", run_predict_bf16, false}};
    const kata_ready_entry *ready = kata_model_ready_list();
    for (size_t g = 0; g < KATA__COUNT(groups); g++) {
        for (int i = 0; ready[i].name != NULL; i++) {
            kata__bench_add(list, groups[g].group, ready[i].name, groups[g].run, i,
                            groups[g].is_usual);
        }
    }
}
