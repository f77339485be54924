/* The training of a job: progress, the run's files, the final figures. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "tool/interrupt.h"
#include "tool/job.h"
#include "tool/progress.h"
#include "tool/report.h"

typedef struct watcher {
    kata__job *job;
    uint64_t start;
    int64_t first_step; /* done before this sitting */
    bool begun;
    kata_status saved; /* of the model file after an epoch */
} watcher;

/* --- metadata of the model ----------------------------------------------------------------------
 */

static kata_status set_manifest(kata__job *job, int64_t epochs, const char *on, double figure,
                                double loss) {
    const kata__settings *s = &job->settings;
    kata__buffer text;
    kata__buffer_init(&text, job->tool->context, (size_t)1 << 16);
    kata__buffer_text(&text, "{\"version\":\"" KATA_VERSION "\",\"data\":");
    kata__buffer_json_string(&text, s->data);
    kata__buffer_text(&text, ",\"model\":");
    kata__buffer_json_string(&text, job->model_name);
    kata__buffer_printf(&text, ",\"samples\":%" PRId64 ",\"seed\":%" PRId64 ",\"epochs\":%" PRId64,
                        job->train->n, s->seed, epochs);
    if (on != NULL) {
        kata__buffer_printf(&text, ",\"measured_on\":\"%s\",\"%s\":", on,
                            kata_task_figure(job->loss->task));
        kata__buffer_json_number(&text, figure);
        kata__buffer_text(&text, ",\"loss\":");
        kata__buffer_json_number(&text, loss);
    }
    kata__buffer_printf(&text, ",\"weights_hash\":\"%016" PRIx64 "\"}",
                        kata_model_hash(job->model));
    kata_status status = text.status;
    if (status == KATA_OK) {
        status = kata_graph_set_metadata(kata_model_graph(job->model), "kata.manifest", text.data);
    }
    kata__buffer_free(&text);
    return status;
}

/* --- progress -----------------------------------------------------------------------------------
 */

static void say_epoch(const watcher *w, const kata_progress *p) {
    const kata_history_row *row = p->row;
    const kata__job *job = w->job;
    const char *name = kata__main_figure_name(job->loss->task);
    char figure[40], validation[160] = "", other[40];
    int width = 1;
    for (int64_t n = p->epochs; n >= 10; n /= 10) {
        width++;
    }
    if (!isnan(row->val_loss)) {
        snprintf(validation, sizeof validation, "   validation loss %.4f  %s %s", row->val_loss,
                 name, kata__main_figure_text(job->loss->task, row->val_accuracy, other));
    }
    kata__tool_say(job->tool, "epoch %*" PRId64 "/%" PRId64 "   loss %.4f  %s %s%s   %.1f s", width,
                   row->epoch, p->epochs, row->loss, name,
                   kata__main_figure_text(job->loss->task, row->accuracy, figure), validation,
                   row->seconds);
}

static void on_progress(void *user, const kata_progress *p) {
    watcher *w = user;
    kata__job *job = w->job;
    int64_t done = (p->epoch - 1) * p->batches + p->batch;
    if (!w->begun) {
        w->begun = true;
        w->first_step = done - 1;
    }
    if (p->row != NULL) {
        say_epoch(w, p);
        /* The model of each epoch is usable at once, also if this program is killed. */
        kata_status status =
            set_manifest(job, p->row->epoch, isnan(p->row->val_loss) ? NULL : "validation",
                         p->row->val_accuracy, p->row->val_loss);
        status = status == KATA_OK ? kata_save(job->model, job->run.model) : status;
        w->saved = status;
        return;
    }
    if (job->tool->quiet) {
        return;
    }
    char left[64], right[96], figure[40];
    double elapsed = (double)(kata__clock_ns() - w->start) * 1e-9;
    double per_step = elapsed / (double)(done - w->first_step);
    snprintf(left, sizeof left, "epoch %" PRId64 "/%" PRId64, p->epoch, p->epochs);
    snprintf(right, sizeof right, "loss %.4f  %s %s", p->loss,
             kata__main_figure_name(job->loss->task),
             kata__main_figure_text(job->loss->task, p->accuracy, figure));
    kata__progress_draw(
        &(kata__progress_bar){.left = left,
                              .share = (double)p->batch / (double)p->batches,
                              .rate = p->samples_per_second,
                              .unit = "samples",
                              .seconds_left = per_step * (double)(job->steps_total - done),
                              .right = right},
        p->batch == p->batches);
}

/* --- profile ------------------------------------------------------------------------------------
 */

/* Seconds and speed for each kind of operator, the slowest first. */
static void print_profile(const kata__job *job) {
    typedef struct kind {
        const char *op;
        double seconds, flops;
        int64_t calls;
    } kind;
    kind kinds[64];
    int n = 0;
    double total = 0;
    const kata_session *session = kata_training_session(job->model);
    for (int i = 0; session != NULL && i < kata_session_n_profile(session); i++) {
        kata_profile_row row = kata_session_profile(session, i);
        int k = 0;
        while (k < n && strcmp(kinds[k].op, row.op) != 0) {
            k++;
        }
        if (k == n && n < (int)KATA__COUNT(kinds)) {
            kinds[n++] = (kind){.op = row.op};
        }
        if (k < n) {
            kinds[k].seconds += row.seconds;
            kinds[k].flops += row.flops * (double)row.calls;
            kinds[k].calls += row.calls;
            total += row.seconds;
        }
    }
    fprintf(stderr, "%-28s %10s %9s %7s %10s\n", "operator", "calls", "seconds", "share",
            "GFLOP/s");
    for (int printed = 0; printed < n; printed++) {
        int most = 0;
        for (int k = 1; k < n; k++) {
            most = kinds[k].seconds > kinds[most].seconds ? k : most;
        }
        kind *k = &kinds[most];
        fprintf(stderr, "%-28s %10" PRId64 " %9.3f %5.1f %% %10.1f\n", k->op, k->calls, k->seconds,
                total > 0 ? 100 * k->seconds / total : 0,
                k->seconds > 0 ? k->flops / k->seconds * 1e-9 : 0);
        k->seconds = -1;
    }
}

/* --- training -----------------------------------------------------------------------------------
 */

kata_status kata__job_train(kata__job *job) {
    const kata__settings *s = &job->settings;
    watcher w = {.job = job, .start = kata__clock_ns()};
    const volatile int *stop = kata__interrupt_begin();
    kata_status status = kata_fit_with(job->model, job->train,
                                       &(kata_fit_options){.epochs = s->epochs,
                                                           .steps = s->steps,
                                                           .batch = s->batch,
                                                           .validation = job->validation,
                                                           .no_shuffle = !s->shuffle,
                                                           .schedule = s->schedule,
                                                           .augment = s->augment,
                                                           .early_stopping = s->early_stopping,
                                                           .checkpoint = job->run.checkpoint,
                                                           .checkpoint_every = s->checkpoint_every,
                                                           .resume = job->resume,
                                                           .extend = job->extend,
                                                           .history = job->run.history,
                                                           .callback = on_progress,
                                                           .callback_user = &w,
                                                           .stop = stop,
                                                           .profile = s->profile});
    kata__interrupt_end();
    kata__progress_clear();
    job->seconds = (double)(kata__clock_ns() - w.start) * 1e-9;
    return status == KATA_OK ? w.saved : status;
}

kata_status kata__job_finish(kata__job *job) {
    kata__history_row *rows;
    int64_t n_rows;
    KATA__TRY(kata_evaluate(job->model, job->measured, &job->evaluation));
    KATA__TRY(kata__run_history(job->tool, job->run.history, &rows, &n_rows));
    KATA__TRY(set_manifest(job, n_rows > 0 ? (int64_t)rows[n_rows - 1].epoch : 0,
                           job->measured_name, kata__main_figure(&job->evaluation),
                           job->evaluation.loss));
    KATA__TRY(kata_save(job->model, job->run.model));
    if (job->settings.profile) {
        print_profile(job);
    }
    return kata__report_write(job, rows, n_rows);
}
