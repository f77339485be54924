/* report.html: what a run did, in one page that needs nothing else. */
#include "tool/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "base/context.h"
#include "base/file.h"
#include "figure/html.h"
#include "figure/svg.h"

enum { MISTAKES_MOST = 40, REPORT_MAXIMUM = 64 << 20 };

static void card(kata__buffer *out, const char *value, const char *name) {
    kata__buffer_text(out, "<div class=\"card\"><b>");
    kata__html_text(out, value);
    kata__buffer_text(out, "</b><span>");
    kata__html_text(out, name);
    kata__buffer_text(out, "</span></div>\n");
}

static void write_summary(kata__buffer *out, const kata__job *job, const kata__history_row *rows,
                          int64_t n_rows) {
    const kata_evaluation *e = &job->evaluation;
    char text[160], name[96], count[KATA__TERMINAL_TEXT];
    double seconds = 0;
    for (int64_t i = 0; i < n_rows; i++) {
        seconds += rows[i].seconds;
    }
    kata__buffer_text(out, "<div class=\"cards\">\n");
    kata__main_figure_text(job->loss->task, kata__main_figure(e), text);
    snprintf(name, sizeof name, "%s on the %s data", kata__main_figure_name(job->loss->task),
             job->measured_name);
    card(out, text, name);
    snprintf(text, sizeof text, "%.4f", e->loss);
    card(out, text, "loss on the same");
    card(out, kata__count_text(e->n, count), "samples measured");
    card(out, kata__count_text(kata_graph_n_parameters(kata_model_graph(job->model)), count),
         "parameters");
    snprintf(text, sizeof text, "%" PRId64, n_rows);
    card(out, text, n_rows == 1 ? "epoch" : "epochs");
    card(out, kata__time_text(seconds, count), "of training");
    kata__buffer_text(out, "</div>\n");
}

/* --- curves -------------------------------------------------------------------------------------
 */

static void write_curves(kata__buffer *out, const kata__job *job, const kata__history_row *rows,
                         int64_t n, double *memory) {
    double *epoch = memory, *loss = epoch + n, *figure = loss + n, *val_loss = figure + n,
           *val_figure = val_loss + n, *lr = val_figure + n;
    bool share = job->loss->task != KATA_TASK_NUMBERS;
    for (int64_t i = 0; i < n; i++) {
        epoch[i] = rows[i].epoch;
        loss[i] = rows[i].loss;
        figure[i] = rows[i].figure;
        val_loss[i] = rows[i].val_loss;
        val_figure[i] = rows[i].val_figure;
        lr[i] = rows[i].lr;
    }
    int n_series = job->validation != NULL ? 2 : 1;
    kata__series losses[] = {
        {.name = "training", .x = epoch, .y = loss, .n = n},
        {.name = "validation", .x = epoch, .y = val_loss, .n = n, .colour = 1, .dashed = true}};
    kata__series figures[] = {
        {.name = "training", .x = epoch, .y = figure, .n = n},
        {.name = "validation", .x = epoch, .y = val_figure, .n = n, .colour = 1, .dashed = true}};
    kata__series rate = {.name = "learning rate", .x = epoch, .y = lr, .n = n, .colour = 2};
    const char *name = kata__main_figure_name(job->loss->task);
    char title[64];
    snprintf(title, sizeof title, "%c%s", name[0] >= 'a' ? name[0] - 32 : name[0], name + 1);
    kata__buffer_text(out, "<h2>How it learned</h2>\n<div class=\"plots\">\n");
    kata__svg_lines(out, &(kata__chart){.title = "Loss",
                                        .x_label = "epoch",
                                        .series = losses,
                                        .n_series = n_series,
                                        .whole_x = true,
                                        .zero_y = true});
    kata__svg_lines(out, &(kata__chart){.title = title,
                                        .x_label = "epoch",
                                        .series = figures,
                                        .n_series = n_series,
                                        .whole_x = true,
                                        .percent = share});
    kata__svg_lines(out, &(kata__chart){.title = "Learning rate",
                                        .x_label = "epoch",
                                        .series = &rate,
                                        .n_series = 1,
                                        .whole_x = true,
                                        .zero_y = true});
    kata__buffer_text(out, "</div>\n");
    if (job->validation != NULL) {
        kata__buffer_text(out,
                          "<p class=\"soft\">Training figures are means over each epoch while "
                          "the weights were changing; validation is measured at its end.</p>\n");
    }
}

/* --- classes ------------------------------------------------------------------------------------
 */

static void score_row(kata__buffer *out, const char *label, kata_class_scores s, bool sum) {
    kata__buffer_text(out, sum ? "<tr class=\"sum\"><td>" : "<tr><td>");
    kata__html_text(out, label);
    kata__buffer_printf(
        out, "</td><td>%.2f %%</td><td>%.2f %%</td><td>%.2f %%</td><td>%" PRId64 "</td></tr>\n",
        100 * s.precision, 100 * s.recall, 100 * s.f1, s.support);
}

static void score_head(kata__buffer *out) {
    kata__buffer_text(out, "<div class=\"scroll\"><table>\n<tr><th>class</th><th>precision</th>"
                           "<th>recall</th><th>F1</th><th>samples</th></tr>\n");
}

static void write_mistakes_table(kata__buffer *out, const kata__job *job) {
    enum { MOST = 20 };
    char label[KATA__LABEL_TEXT];
    kata_confusion top[MOST];
    int n = kata_classification_mistakes(&job->evaluation.classification, top, MOST);
    kata__buffer_text(out, "<p>The most frequent mistakes:</p>\n<div class=\"scroll\"><table>\n"
                           "<tr><th>true class</th><th>answer</th><th>samples</th></tr>\n");
    for (int i = 0; i < n; i++) {
        kata__buffer_text(out, "<tr><td>");
        kata__html_text(out, kata__label_text(job->model, job->measured, top[i].truth, label));
        kata__buffer_text(out, "</td><td>");
        kata__html_text(out, kata__label_text(job->model, job->measured, top[i].answer, label));
        kata__buffer_printf(out, "</td><td>%" PRId64 "</td></tr>\n", top[i].count);
    }
    kata__buffer_text(out, "</table></div>\n");
}

static void write_matrix(kata__buffer *out, const kata__job *job) {
    const kata_classification *c = &job->evaluation.classification;
    char labels[KATA__MATRIX_MOST][KATA__LABEL_TEXT];
    const char *names[KATA__MATRIX_MOST];
    int64_t counts[KATA__MATRIX_MOST * KATA__MATRIX_MOST];
    for (int t = 0; t < c->n_classes; t++) {
        names[t] = kata__label_text(job->model, job->measured, t, labels[t]);
        for (int p = 0; p < c->n_classes; p++) {
            counts[t * c->n_classes + p] = kata_classification_count(c, t, p);
        }
    }
    kata__svg_matrix(out, &(kata__matrix){.title = "Confusion matrix",
                                          .row_label = "true class",
                                          .column_label = "answer",
                                          .labels = names,
                                          .counts = counts,
                                          .n = c->n_classes});
}

/* A row for each class or label, or for those that are read worst. */
static void write_scores(kata__buffer *out, const kata__job *job) {
    const kata_evaluation *e = &job->evaluation;
    char label[KATA__LABEL_TEXT];
    int rows[KATA__SCORES_MOST], n = kata__scores_that_matter(e, rows);
    if (n < e->n_outputs) {
        kata__buffer_printf(out, "<p>The %d of %" PRId64 " that are read worst, by F1:</p>\n", n,
                            e->n_outputs);
    }
    score_head(out);
    for (int i = 0; i < n; i++) {
        score_row(out, kata__label_text(job->model, job->measured, rows[i], label),
                  kata__scores_of(e, rows[i]), false);
    }
    score_row(out, "macro", kata__scores_macro(e), true);
    score_row(out, "micro", kata__scores_micro(e), true);
    kata__buffer_text(out, "</table></div>\n");
}

static void write_classes(kata__buffer *out, const kata__job *job) {
    const bool draws = job->evaluation.classification.n_classes <= KATA__MATRIX_MOST;
    kata__buffer_text(out, "<h2>Classes</h2>\n");
    if (draws) {
        kata__buffer_text(out, "<div class=\"plots\"><div>\n");
        write_matrix(out, job);
        kata__buffer_text(out, "</div>\n");
    } else {
        write_mistakes_table(out, job);
    }
    write_scores(out, job);
    kata__buffer_text(out, draws ? "</div>\n" : "");
}

static void write_labels(kata__buffer *out, const kata__job *job) {
    kata__buffer_printf(out, "<h2>Labels</h2>\n<p>All labels right: %.2f %% of samples.</p>\n",
                        100 * kata_multi_label_exact(&job->evaluation.multi_label));
    write_scores(out, job);
}

static void write_regression(kata__buffer *out, const kata__job *job) {
    const kata_regression *r = &job->evaluation.regression;
    kata__buffer_printf(out,
                        "<h2>Errors</h2>\n<div class=\"scroll\"><table>\n"
                        "<tr><td>mean squared error</td><td>%.6g</td></tr>\n"
                        "<tr><td>mean absolute error</td><td>%.6g</td></tr>\n"
                        "<tr><td>R²</td><td>%.4f</td></tr>\n</table></div>\n",
                        kata_regression_mean_squared_error(r),
                        kata_regression_mean_absolute_error(r), kata_regression_r2(r));
}

/* --- the worst mistakes -------------------------------------------------------------------------
 */

typedef struct mistake {
    int64_t index;
    kata_answer said;
} mistake;

static int worse_first(const void *a, const void *b) {
    const mistake *x = a, *y = b;
    if (x->said.p_truth != y->said.p_truth) {
        return x->said.p_truth < y->said.p_truth ? -1 : 1; /* the loss is -log p */
    }
    return x->index < y->index ? -1 : x->index > y->index;
}

static int find_mistakes(const kata_evaluation *e, mistake *out, int most) {
    int found = 0;
    for (int64_t i = 0; i < e->n; i++) {
        if (e->answers[i].answer == e->answers[i].truth) {
            continue;
        }
        const mistake m = {i, e->answers[i]};
        if (found < most) {
            out[found++] = m;
        } else if (worse_first(&m, &out[most - 1]) < 0) {
            out[most - 1] = m;
        } else {
            continue;
        }
        if (found == most) {
            qsort(out, (size_t)found, sizeof *out, worse_first);
        }
    }
    qsort(out, (size_t)found, sizeof *out, worse_first);
    return found;
}

/* Planes (c,h,w) -> interleaved. */
static void interleave(const uint8_t *planes, int channels, int64_t n, uint8_t *out) {
    for (int64_t i = 0; i < n; i++) {
        for (int c = 0; c < channels; c++) {
            out[i * channels + c] = planes[c * n + i];
        }
    }
}

static kata_status write_mistakes(kata__buffer *out, const kata__job *job) {
    const kata_tensor *input = &job->measured->inputs[0];
    kata_shape sample = {.rank = input->shape.rank - 1};
    for (int i = 0; i < sample.rank; i++) {
        sample.dim[i] = input->shape.dim[i + 1];
    }
    mistake worst[MISTAKES_MOST];
    if (input->dtype != KATA_U8 || !kata__source_is_picture(&sample) ||
        kata_shape_count(&sample) > 512 * 512 * 3) {
        return KATA_OK;
    }
    int n = find_mistakes(&job->evaluation, worst, MISTAKES_MOST);
    kata__buffer_text(out, "<h2>The worst mistakes</h2>\n");
    if (n == 0) {
        kata__buffer_text(out, "<p>None: every sample was read right.</p>\n");
        return out->status;
    }
    int channels = (int)sample.dim[0];
    int64_t pixels = sample.dim[1] * sample.dim[2];
    uint8_t *picture = kata__alloc(job->tool->context, (size_t)(pixels * channels), 1);
    if (picture == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    kata__buffer_text(out, "<p class=\"soft\">Where the model gave the true class the least "
                           "probability.</p>\n<div class=\"mistakes\">\n");
    kata_status status = KATA_OK;
    for (int i = 0; i < n && status == KATA_OK; i++) {
        char truth[KATA__LABEL_TEXT], answer[KATA__LABEL_TEXT], alternative[320];
        const mistake *m = &worst[i];
        interleave((const uint8_t *)input->data + m->index * pixels * channels, channels, pixels,
                   picture);
        kata__label_text(job->model, job->measured, m->said.truth, truth);
        kata__label_text(job->model, job->measured, m->said.answer, answer);
        snprintf(alternative, sizeof alternative, "sample %" PRId64 ", %s read as %s", m->index,
                 truth, answer);
        kata__buffer_text(out, "<figure>");
        status = kata__html_picture(out, picture, channels, (int)sample.dim[1], (int)sample.dim[2],
                                    "pixels", alternative);
        kata__buffer_text(out, "<figcaption><b>");
        kata__html_text(out, truth);
        kata__buffer_text(out, "</b> read as <b>");
        kata__html_text(out, answer);
        kata__buffer_printf(out,
                            "</b><br>%.1f %% sure<br>sample %" PRId64 "</figcaption></figure>\n",
                            100 * (double)m->said.p, m->index);
    }
    kata__buffer_text(out, "</div>\n");
    kata__free(job->tool->context, picture);
    return status;
}

/* --- project and environment --------------------------------------------------------------------
 */

static void pair(kata__buffer *out, const char *key, const char *value) {
    kata__buffer_text(out, "<tr><th>");
    kata__html_text(out, key);
    kata__buffer_text(out, "</th><td>");
    kata__html_text(out, value);
    kata__buffer_text(out, "</td></tr>\n");
}

static kata_status write_project(kata__buffer *out, const kata__job *job) {
    kata__buffer project;
    kata__buffer_init(&project, job->tool->context, (size_t)4 << 20);
    kata_status status = kata__project_write(&job->settings, &project);
    if (status == KATA_OK) {
        kata__buffer_text(out, "<h2>Project</h2>\n<pre>");
        kata__html_text(out, project.data);
        kata__buffer_text(out, "</pre>\n");
    }
    kata__buffer_free(&project);
    return status;
}

static void write_environment(kata__buffer *out, const kata__job *job) {
    char text[400];
    struct utsname system;
    time_t now = time(NULL);
    struct tm local;
    kata__buffer_text(out, "<h2>Environment</h2>\n<table class=\"text\">\n");
    pair(out, "Kata", KATA_VERSION);
    pair(out, "processor", kata__cpu_name()[0] != '\0' ? kata__cpu_name() : "unknown");
    snprintf(text, sizeof text, "%s, %d threads", kata_context_kernels(job->tool->context),
             kata_context_threads(job->tool->context));
    pair(out, "kernels", text);
    if (job->settings.precision == KATA_PRECISION_BF16) {
        pair(out, "precision bf16", kata__tool_bf16_words(job->tool));
    }
    if (uname(&system) == 0) {
        snprintf(text, sizeof text, "%.100s %.100s %.100s", system.sysname, system.release,
                 system.machine);
        pair(out, "system", text);
    }
    if (localtime_r(&now, &local) != NULL && strftime(text, sizeof text, "%F %T %z", &local) > 0) {
        pair(out, "written", text);
    }
    snprintf(text, sizeof text, "%016" PRIx64, kata_model_hash(job->model));
    pair(out, "weights hash", text);
    kata__buffer_text(out, "</table>\n");
}

static kata_status write_page(kata__buffer *out, const kata__job *job,
                              const kata__history_row *rows, int64_t n_rows) {
    const char *slash = strrchr(job->run.path, '/');
    const char *name = slash != NULL && slash[1] != '\0' ? slash + 1 : job->run.path;
    char words[160], title[300];
    snprintf(title, sizeof title, "%.200s – Kata", name);
    kata__html_begin(out, title);
    kata__buffer_text(out, "<h1>");
    kata__html_text(out, name);
    kata__buffer_text(out, "</h1>\n<p class=\"soft\">");
    kata__html_text(out, job->model_name);
    kata__buffer_text(out, " on ");
    kata__html_text(out, job->settings.data);
    kata__buffer_text(out, ", ");
    kata__html_text(out, kata__source_words(job->train, words));
    kata__buffer_text(out, "</p>\n");
    write_summary(out, job, rows, n_rows);
    if (n_rows > 0) {
        double *memory = kata__alloc(job->tool->context, (size_t)(6 * n_rows), sizeof *memory);
        if (memory == NULL) {
            return KATA_OUT_OF_MEMORY;
        }
        write_curves(out, job, rows, n_rows, memory);
        kata__free(job->tool->context, memory);
    }
    if (job->loss->task == KATA_TASK_CLASSES) {
        write_classes(out, job);
        KATA__TRY(write_mistakes(out, job));
    } else if (job->loss->task == KATA_TASK_LABELS) {
        write_labels(out, job);
    } else {
        write_regression(out, job);
    }
    KATA__TRY(write_project(out, job));
    write_environment(out, job);
    return kata__html_end(out);
}

kata_status kata__report_write(const kata__job *job, const kata__history_row *rows,
                               int64_t n_rows) {
    kata__buffer page;
    kata__buffer_init(&page, job->tool->context, REPORT_MAXIMUM);
    kata_status status = write_page(&page, job, rows, n_rows);
    status = status == KATA_OK ? page.status : status;
    if (status == KATA_OK) {
        status = kata__file_write(job->tool->context, job->run.report, page.data, page.size);
    }
    kata__buffer_free(&page);
    return status;
}
