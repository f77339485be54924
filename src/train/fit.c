/* kata_fit: epochs of mini-batches (scratch-book-1 L3178-3204: draw a mini-batch, gradient,
 * update). */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "data/data.h"
#include "train/run.h"

#define HISTORY_MAXIMUM ((size_t)64 << 20)
#define FAIR_CHANCE 300 /* steps before a network may be said to learn nothing */

/* --- figures of a batch ----------------------------------------------------------------------- */

static int64_t best_of(const float *scores, int64_t n) {
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++) {
        best = scores[i] > scores[best] ? i : best;
    }
    return best;
}

/* Whether `label` is the first of the largest scores. All scores are compared with one, so that no
 * comparison waits for the one before. */
static bool is_best(const float *scores, int64_t n, int64_t label) {
    const float mine = scores[label];
    int lost = 0;
    for (int64_t i = 0; i < label; i++) {
        lost |= scores[i] >= mine;
    }
    for (int64_t i = label + 1; i < n; i++) {
        lost |= scores[i] > mine;
    }
    return lost == 0;
}

/* The sum over a batch of the main figure: right answers; share of right labels; absolute error. */
static double figure_sum(kata_task task, const kata_tensor *output, const kata_tensor *target) {
    int64_t n = output->shape.rank > 0 ? output->shape.dim[0] : 1;
    int64_t width = n > 0 ? kata_tensor_count(output) / n : 0;
    const float *y = output->data, *t = target->data;
    bool classes = target->dtype == KATA_I64;
    double sum = 0;
    for (int64_t i = 0; i < n; i++, y += width) {
        double one = 0;
        if (task == KATA_TASK_CLASSES) {
            int64_t label =
                classes ? ((const int64_t *)target->data)[i] : best_of(t + i * width, width);
            one = is_best(y, width, label);
        } else {
            for (int64_t j = 0; j < width; j++) {
                double yj = (double)y[j], tj = (double)t[i * width + j];
                one += task == KATA_TASK_LABELS ? (yj > 0) == (tj >= 0.5) : fabs(yj - tj);
            }
            one /= (double)width;
        }
        sum += one;
    }
    return sum;
}

/* --- one step -----------------------------------------------------------------------------------
 */

static double learning_rate(const kata__run *run) {
    const kata_schedule *schedule = &run->options->schedule;
    double lr = kata_schedule_rate(schedule, run->trainer->options.optimizer.lr, run->step,
                                   run->batches, run->epochs);
    return schedule->kind == KATA_SCHEDULE_PLATEAU ? lr * run->plateau_factor : lr;
}

/* The data were looked at before, so a number that is not finite is the training's own. */
static kata_status step_failed(const kata__run *run, kata_status status) {
    if (status == KATA_NON_FINITE) {
        char text[1024];
        snprintf(text, sizeof text, "%s", kata_error_message());
        kata_fail(status,
                  "%s; all data are finite: try a smaller learning rate, clip_norm 1, or inputs "
                  "and targets scaled to about -1..1",
                  text);
    }
    return kata_fail_in(status, "epoch %" PRId64 ", batch %" PRId64, run->epoch + 1,
                        run->batch_done + 1);
}

/* The samples of a step: rows order[first..first+n) of a data set, or a batch of the source. */
typedef struct samples {
    const kata_dataset *from;
    const int64_t *order;
    int64_t first, n;
    uint64_t
        stream; /* of augmentation: the epoch, or the step where rows have no number of their own */
} samples;

static kata_status next_of_source(const kata__run *run, samples *s) {
    const kata_source *source = run->source;
    *s = (samples){.stream = (uint64_t)run->step};
    KATA__TRY(source->next(source->user, run->batch, &s->from));
    if (s->from == NULL || s->from->n == 0) {
        return KATA_OK;
    }
    s->n = s->from->n;
    if (s->n < 0 || s->n > run->batch) {
        return kata_fail(KATA_INVALID,
                         "source %s gave %" PRId64 " samples where at most %" PRId64
                         " were asked for",
                         source->name, s->n, run->batch);
    }
    KATA__TRY(kata__check_dataset(run->trainer, s->from));
    return kata__dataset_check_finite(s->from);
}

static kata_status next_samples(const kata__run *run, const int64_t *order, samples *s) {
    if (run->source != NULL) {
        return next_of_source(run, s);
    }
    const int64_t first = run->batch_done * run->batch, rest = run->n - first;
    *s = (samples){run->train, order, first, rest < run->batch ? rest : run->batch,
                   (uint64_t)run->epoch};
    return KATA_OK;
}

/* The epoch is over: a source has no more, or gave another number than it said. */
static kata_status end_of_source(kata__run *run) {
    if (run->seen == 0 || (run->source->n > 0 && run->seen != run->source->n)) {
        return kata_fail(KATA_INVALID,
                         "source %s gave %" PRId64 " samples in epoch %" PRId64 ", expected %s",
                         run->source->name, run->seen, run->epoch + 1,
                         run->source->n > 0 ? "as many as it says" : "one at least");
    }
    run->batches = run->batch_done;
    return KATA_OK;
}

static kata_status train_batch(kata__run *run, const int64_t *order) {
    const kata_compile_options *options = &run->trainer->options;
    samples s;
    kata__program *program;
    KATA__TRY(next_samples(run, order, &s));
    if (s.n == 0) {
        return end_of_source(run);
    }
    KATA__TRY(kata__program_get(run->trainer, KATA__PROGRAM_TRAIN, s.n, s.from,
                                run->options->profile, &program));
    if (s.n == run->batch) {
        run->trainer->last_train = program;
    }
    kata__program_fill(program, s.from, s.order, s.first, &run->options->augment, options->seed,
                       s.stream);
    int n_inputs = kata_graph_n_inputs(program->graph);
    *(float *)kata_session_input(program->session, n_inputs - 2).data = (float)learning_rate(run);
    *(float *)kata_session_input(program->session, n_inputs - 1).data = (float)(run->step + 1);
    kata_status status = kata_session_run(program->session, options->seed, (uint64_t)run->step);
    if (status != KATA_OK) {
        return step_failed(run, status);
    }
    kata_tensor output = kata_session_output(program->session, 1);
    kata_tensor target = kata_session_input(program->session, s.from->n_inputs);
    run->loss_sum +=
        (double)*(const float *)kata_session_output(program->session, 0).data * (double)s.n;
    run->hits += figure_sum(run->trainer->outputs[0].loss->task, &output, &target);
    for (int i = 0; i < KATA_MAX_METRICS; i++) {
        const kata_metric *metric = &run->options->metrics[i];
        if (metric->name != NULL) {
            output = kata_session_output(program->session, 1 + metric->output);
            target = kata_session_input(program->session, s.from->n_inputs + metric->output);
            run->metric[i] += metric->sum(metric->user, &output, &target);
        }
    }
    run->seen += s.n;
    run->batch_done++;
    run->step++;
    return KATA_OK;
}

/* --- the end of an epoch ------------------------------------------------------------------------
 */

static kata_status write_history(kata__run *run, const kata_history_row *row) {
    kata__buffer *out = &run->history;
    const char *figure = kata_task_figure(run->trainer->outputs[0].loss->task);
    kata__buffer_printf(out, "{\"epoch\":%" PRId64 ",\"step\":%" PRId64 ",\"loss\":", row->epoch,
                        row->step);
    kata__buffer_json_number(out, row->loss);
    kata__buffer_printf(out, ",\"%s\":", figure);
    kata__buffer_json_number(out, row->accuracy);
    if (run->validation != NULL) {
        kata__buffer_text(out, ",\"val_loss\":");
        kata__buffer_json_number(out, row->val_loss);
        kata__buffer_printf(out, ",\"val_%s\":", figure);
        kata__buffer_json_number(out, row->val_accuracy);
    }
    for (int i = 0; i < KATA_MAX_METRICS; i++) {
        if (run->options->metrics[i].name != NULL) {
            kata__buffer_text(out, ",");
            kata__buffer_json_string(out, run->options->metrics[i].name);
            kata__buffer_text(out, ":");
            kata__buffer_json_number(out, row->metrics[i]);
        }
    }
    kata__buffer_text(out, ",\"lr\":");
    kata__buffer_json_number(out, row->lr);
    kata__buffer_printf(out, ",\"seconds\":%.3f,\"weights_hash\":\"%016" PRIx64 "\"}\n",
                        row->seconds, row->weights_hash);
    KATA__TRY(out->status);
    if (run->options->history == NULL) {
        return KATA_OK;
    }
    return kata__file_write(run->trainer->model->context, run->options->history, out->data,
                            out->size);
}

static kata_status validate(kata__run *run, kata_history_row *row) {
    kata_evaluation e;
    KATA__TRY(kata_evaluate(run->trainer->model, run->validation, &e));
    row->val_loss = e.loss;
    if (e.task == KATA_TASK_CLASSES) {
        row->val_accuracy = kata_classification_accuracy(&e.classification);
    } else if (e.task == KATA_TASK_LABELS) {
        row->val_accuracy = 1 - kata_multi_label_hamming(&e.multi_label);
    } else {
        row->val_accuracy = kata_regression_mean_absolute_error(&e.regression);
    }
    kata_evaluation_free(&e);
    return KATA_OK;
}

static void copy_weights(kata__run *run, bool to_best) {
    const kata_graph *graph = run->trainer->model->graph;
    for (size_t i = 0; i < graph->n_variables; i++) {
        const kata_tensor *tensor = &graph->variables[i]->tensor;
        void *from = to_best ? tensor->data : run->best[i];
        void *to = to_best ? run->best[i] : tensor->data;
        memcpy(to, from, kata_tensor_bytes(tensor));
        kata_variable_changed(graph->variables[i]);
    }
}

static void say_stopped(const kata__run *run) {
    const kata_early_stopping *early = &run->options->early_stopping;
    char delta[64] = "", weights[96] = "the last weights stay";
    if (early->min_delta > 0) {
        snprintf(delta, sizeof delta, " by more than %g", early->min_delta);
    }
    if (run->has_best) {
        snprintf(weights, sizeof weights, "the weights of epoch %" PRId64 " stay", run->best_epoch);
    }
    kata_log(run->trainer->model->context, KATA_LOG_INFO,
             "early stopping after epoch %" PRId64 ": the %s loss has not been below %g%s for "
             "%" PRId64 " epoch%s; %s",
             run->epoch, run->validation != NULL ? "validation" : "training", run->watched_best,
             delta, run->since_best, run->since_best == 1 ? "" : "s", weights);
}

static void watch(kata__run *run, double loss) {
    const kata_early_stopping *early = &run->options->early_stopping;
    if (loss < run->watched_best - early->min_delta) {
        run->watched_best = loss;
        run->since_best = 0;
        run->best_epoch = run->epoch;
        if (run->best != NULL) {
            copy_weights(run, true);
            run->has_best = true;
        }
    } else {
        run->since_best++;
    }
    if (early->patience > 0 && run->since_best >= early->patience) {
        run->finished = true;
        say_stopped(run);
    }
    const kata_schedule *schedule = &run->options->schedule;
    if (loss < run->plateau_best) {
        run->plateau_best = loss;
        run->plateau_since_best = 0;
    } else if (++run->plateau_since_best >= (schedule->patience > 0 ? schedule->patience : 5)) {
        run->plateau_factor *= schedule->factor > 0 ? schedule->factor : 0.1;
        run->plateau_since_best = 0;
    }
}

/* A loss that is no number can be watched by nobody: the run ends here, and says so. */
static kata_status check_losses(const kata__run *run, const kata_history_row *row) {
    const bool validation = isfinite(row->loss);
    const double loss = validation ? row->val_loss : row->loss;
    if (isfinite(loss) || (validation && run->validation == NULL)) {
        return KATA_OK;
    }
    return kata_fail(KATA_NON_FINITE,
                     "epoch %" PRId64 ": the %s loss is %g although all data are finite: the "
                     "model's outputs or the targets are too large for float32; try a smaller "
                     "learning rate, or targets scaled to about -1..1",
                     row->epoch, validation ? "validation" : "training", loss);
}

static kata_status end_epoch(kata__run *run, double seconds, kata_history_row *row) {
    double lr = learning_rate(run);
    run->epoch++;
    *row = (kata_history_row){.epoch = run->epoch,
                              .step = run->step,
                              .loss = run->loss_sum / (double)run->seen,
                              .accuracy = run->hits / (double)run->seen,
                              .val_loss = NAN,
                              .val_accuracy = NAN,
                              .lr = lr,
                              .seconds = seconds,
                              .weights_hash = kata_model_hash(run->trainer->model)};
    for (int i = 0; i < KATA_MAX_METRICS; i++) {
        row->metrics[i] =
            run->options->metrics[i].name != NULL ? run->metric[i] / (double)run->seen : NAN;
    }
    if (run->validation != NULL) {
        KATA__TRY(validate(run, row));
    }
    KATA__TRY(check_losses(run, row));
    if (!run->warned_constant && run->step >= FAIR_CHANCE) {
        run->warned_constant = true;
        kata__warn_constant(run, row->loss);
    }
    watch(run, run->validation != NULL ? row->val_loss : row->loss);
    run->batch_done = run->seen = 0;
    run->loss_sum = run->hits = run->seconds = 0;
    memset(run->metric, 0, sizeof run->metric);
    run->finished = run->finished || run->epoch >= run->epochs ||
                    (run->last_step > 0 && run->step >= run->last_step);
    KATA__TRY(write_history(run, row));
    if (run->options->rows != NULL && run->epoch <= run->options->n_rows) {
        run->options->rows[run->epoch - 1] = *row;
    }
    return KATA_OK;
}

/* --- the loop -----------------------------------------------------------------------------------
 */

static void report(kata__run *run, double seconds, int64_t seen_before,
                   const kata_history_row *row) {
    if (run->options->callback == NULL) {
        return;
    }
    double n = run->seen > 0 ? (double)run->seen : 1;
    kata_progress progress = {.epoch = row != NULL ? row->epoch : run->epoch + 1,
                              .epochs = run->epochs,
                              .batch = row != NULL ? run->batches : run->batch_done,
                              .batches = run->batches < INT64_MAX ? run->batches : 0,
                              .loss = row != NULL ? row->loss : run->loss_sum / n,
                              .accuracy = row != NULL ? row->accuracy : run->hits / n,
                              .seconds = seconds,
                              .samples_per_second =
                                  seconds - run->seconds > 0
                                      ? (double)((row != NULL ? run->n : run->seen) - seen_before) /
                                            (seconds - run->seconds)
                                      : 0,
                              .row = row};
    run->options->callback(run->options->callback_user, &progress);
}

static kata_status save(kata__run *run) {
    return run->options->checkpoint != NULL ? kata__checkpoint_write(run, run->options->checkpoint)
                                            : KATA_OK;
}

static kata_status interrupted(kata__run *run, double seconds) {
    run->seconds = seconds;
    KATA__TRY(save(run));
    return kata_fail(
        KATA_INTERRUPTED,
        "interrupted in epoch %" PRId64 " after %" PRId64 " of %" PRId64 " batches%s%s",
        run->epoch + 1, run->batch_done, run->batches < INT64_MAX ? run->batches : run->batch_done,
        run->options->checkpoint != NULL ? "; the state is in " : "",
        run->options->checkpoint != NULL ? run->options->checkpoint : "");
}

static kata_status train_epoch(kata__run *run, int64_t *order) {
    const kata_fit_options *options = run->options;
    uint64_t start = kata__clock_ns();
    double earlier = run->seconds, seconds = earlier;
    int64_t seen_before = run->seen;
    if (run->source != NULL) {
        KATA__TRY(run->source->begin(run->source->user, run->trainer->options.seed, run->epoch,
                                     !options->no_shuffle, run->seen));
        run->batches = run->source->n > 0 ? run->batches : INT64_MAX;
    } else if (options->no_shuffle) {
        order = NULL;
    } else {
        kata__random_permutation(run->trainer->options.seed, KATA__STREAM_SHUFFLE,
                                 (uint64_t)run->epoch, run->n, order);
    }
    while (run->batch_done < run->batches && (run->last_step == 0 || run->step < run->last_step)) {
        const int64_t before = run->step;
        KATA__TRY(train_batch(run, order));
        if (run->step == before) {
            break; /* the source has no more */
        }
        seconds = earlier + (double)(kata__clock_ns() - start) * 1e-9;
        report(run, seconds, seen_before, NULL);
        if (options->stop != NULL && *options->stop != 0 && run->batch_done < run->batches) {
            return interrupted(run, seconds);
        }
        if (options->checkpoint_every > 0 && run->step % options->checkpoint_every == 0 &&
            run->batch_done < run->batches) {
            run->seconds = seconds;
            KATA__TRY(save(run));
            run->seconds = earlier;
        }
    }
    kata_history_row row;
    const int64_t n = run->n, seen = run->seen;
    KATA__TRY(end_epoch(run, seconds, &row));
    KATA__TRY(save(run));
    run->n = seen; /* what is told is of this epoch */
    report(run, seconds, seen_before, &row);
    run->n = n;
    if (options->stop != NULL && *options->stop != 0 && !run->finished) {
        return interrupted(run, 0);
    }
    return KATA_OK;
}

static kata_status allocate_best(kata__run *run) {
    const kata_graph *graph = run->trainer->model->graph;
    if (run->options->early_stopping.patience <= 0 || run->options->early_stopping.keep_last) {
        return KATA_OK;
    }
    run->best = kata__alloc_zero(graph->context, graph->n_variables + 1, sizeof *run->best);
    for (size_t i = 0; run->best != NULL && i < graph->n_variables; i++) {
        run->best[i] =
            kata__alloc(graph->context, kata_tensor_bytes(&graph->variables[i]->tensor), 1);
        if (run->best[i] == NULL) {
            return KATA_OUT_OF_MEMORY;
        }
    }
    return run->best != NULL ? KATA_OK : KATA_OUT_OF_MEMORY;
}

static kata_status resume(kata__run *run) {
    const char *path = run->options->checkpoint;
    if (path == NULL || !kata__file_exists(path)) {
        return kata_fail(KATA_NOT_FOUND,
                         "there is no checkpoint %s to go on from; train anew without resume",
                         path != NULL ? path : "(checkpoint is not given)");
    }
    return kata__checkpoint_read(run, path);
}

static kata_status run_all(kata__run *run, int64_t *order) {
    const kata_fit_options *options = run->options;
    KATA__TRY(allocate_best(run));
    KATA__TRY(kata__check_batch_norm(run));
    if (options->resume) {
        KATA__TRY(resume(run));
    } else {
        KATA__TRY(save(run)); /* so that a run that has begun can be resumed */
    }
    kata__warn_unscaled(run);
    kata__warn_one_class(run);
    while (!run->finished && run->epoch < run->epochs) {
        KATA__TRY(train_epoch(run, order));
    }
    if (run->has_best) {
        copy_weights(run, false);
    }
    return KATA_OK;
}

static kata_status check_options(const kata_fit_options *o) {
    if (o->epochs < 0 || o->steps < 0 || o->batch < 0 || o->checkpoint_every < 0) {
        return kata_fail(KATA_INVALID,
                         "epochs, steps, batch and checkpoint_every must not be negative");
    }
    if (!(o->validation_split >= 0 && o->validation_split < 1)) {
        return kata_fail(KATA_INVALID, "validation_split must be in [0, 1), got %g",
                         o->validation_split);
    }
    return KATA_OK;
}

static kata_status check_metrics(const struct kata__trainer *trainer,
                                 const kata_fit_options *options) {
    for (int i = 0; i < KATA_MAX_METRICS; i++) {
        const kata_metric *m = &options->metrics[i];
        if (m->name != NULL && (m->sum == NULL || m->output < 0 || m->output >= trainer->n_raw)) {
            return kata_fail(KATA_INVALID,
                             "metric %s is of output %d and needs `sum`; model %s has %d outputs",
                             m->name, m->output, trainer->model->graph->name, trainer->n_raw);
        }
    }
    return KATA_OK;
}

static kata_status check_source(const kata_source *source, const kata_fit_options *options) {
    const kata_schedule *schedule = &options->schedule;
    if (source->size < sizeof *source || source->name == NULL || source->begin == NULL ||
        source->next == NULL || source->n < 0) {
        return kata_fail(KATA_INVALID, "a source needs its size (sizeof(kata_source)), a name, "
                                       "`begin` and `next`, and n of 0 or more");
    }
    if (options->validation_split > 0) {
        return kata_fail(KATA_INVALID,
                         "source %s: a validation split is of data sets alone; give "
                         "`validation`",
                         source->name);
    }
    if (source->n == 0 && (schedule->warmup > 0 || (schedule->kind != KATA_SCHEDULE_CONSTANT &&
                                                    schedule->kind != KATA_SCHEDULE_PLATEAU))) {
        return kata_fail(KATA_INVALID,
                         "source %s does not say how many samples an epoch has, which the schedule "
                         "%s goes by; set its n",
                         source->name, kata_schedule_name(schedule->kind));
    }
    return KATA_OK;
}

/* How far the run goes. */
static void set_end(kata__run *run) {
    const kata_fit_options *options = run->options;
    run->batch = options->batch > 0 ? options->batch : 100;
    run->batch = run->n == 0 || run->batch < run->n ? run->batch : run->n;
    run->batches = run->n > 0 ? (run->n + run->batch - 1) / run->batch : INT64_MAX;
    run->epochs = options->epochs > 0 ? options->epochs : 1;
    run->last_step = options->steps;
    if (options->steps > 0 && run->n > 0) {
        int64_t needed = (options->steps + run->batches - 1) / run->batches;
        run->epochs = options->epochs > 0 && run->epochs < needed ? run->epochs : needed;
    } else if (options->steps > 0 && options->epochs == 0) {
        run->epochs = options->steps; /* an epoch has one at least */
    }
}

/* Trains on a data set or, where that is NULL, on a source. */
static kata_status fit(struct kata__trainer *trainer, const kata_dataset *train,
                       const kata_source *source, const kata_dataset *validation,
                       const kata_fit_options *options) {
    kata_context *context = trainer->model->context;
    KATA__TRY(check_metrics(trainer, options));
    if (source != NULL) {
        KATA__TRY(check_source(source, options));
    } else {
        KATA__TRY(kata__check_dataset(trainer, train));
        KATA__TRY(kata__dataset_check_finite(train));
    }
    if (validation != NULL) {
        KATA__TRY(kata__check_dataset(trainer, validation));
        KATA__TRY(kata__dataset_check_finite(validation));
    }
    kata__run run = {.trainer = trainer,
                     .options = options,
                     .train = train,
                     .source = source,
                     .n = source != NULL ? source->n : train->n,
                     .validation = validation,
                     .watched_best = INFINITY,
                     .plateau_best = INFINITY,
                     .plateau_factor = 1};
    set_end(&run);
    kata__buffer_init(&run.history, context, HISTORY_MAXIMUM);
    int64_t *order = NULL;
    kata_status status = KATA_OK;
    if (source == NULL) {
        order = kata__alloc(context, (size_t)train->n, sizeof *order);
        status = order == NULL ? KATA_OUT_OF_MEMORY : KATA_OK;
    }
    status = status == KATA_OK ? run_all(&run, order) : status;
    trainer->model->fresh = false;
    kata__free(context, order);
    for (size_t i = 0; run.best != NULL && i < trainer->model->graph->n_variables; i++) {
        kata__free(context, run.best[i]);
    }
    kata__free(context, run.best);
    kata__buffer_free(&run.history);
    return status;
}

static kata_status fit_checked(kata_model *model, const kata_dataset *dataset,
                               const kata_source *source, const kata_fit_options *options) {
    struct kata__trainer *trainer = NULL;
    KATA__TRY(check_options(options));
    KATA__TRY(kata__trainer_get(&trainer, model));
    if (!trainer->compiled) {
        return kata_fail(KATA_INVALID,
                         "model %s is not compiled; call kata_compile before kata_fit",
                         model->graph->name);
    }
    if (options->validation_split <= 0 || dataset == NULL) {
        return fit(trainer, dataset, source, options->validation, options);
    }
    kata_dataset *train = NULL, *validation = NULL;
    KATA__TRY(kata_dataset_split(&train, &validation, dataset, options->validation_split,
                                 trainer->options.seed, dataset->n_classes > 0));
    kata_status status = fit(trainer, train, NULL, validation, options);
    kata_dataset_free(train);
    kata_dataset_free(validation);
    return status;
}

kata_status kata_fit_with(kata_model *model, const kata_dataset *dataset,
                          const kata_fit_options *options) {
    return kata__model_ended(model, fit_checked(model, dataset, NULL, options));
}

kata_status kata_fit_source(kata_model *model, const kata_source *source,
                            const kata_fit_options *options) {
    if (source == NULL) {
        return kata_fail(KATA_INVALID, "kata_fit_source: there is no source");
    }
    return kata__model_ended(model, fit_checked(model, NULL, source, options));
}

const kata_session *kata_training_session(const kata_model *model) {
    return model->trainer != NULL && model->trainer->last_train != NULL
               ? model->trainer->last_train->session
               : NULL;
}
