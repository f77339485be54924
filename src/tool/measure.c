/* What a model does on a data set, as text and as JSON. */
#include "tool/measure.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tool/terminal.h"

const char *kata__label_text(const kata_model *model, const kata_dataset *dataset, int64_t i,
                             char text[KATA__LABEL_TEXT]) {
    if (model != NULL && kata_model_label(model, (int)i, text, KATA__LABEL_TEXT)) {
        return text;
    }
    if (dataset != NULL && dataset->class_names != NULL && i < dataset->n_classes) {
        snprintf(text, KATA__LABEL_TEXT, "%s", dataset->class_names[i]);
    } else {
        snprintf(text, KATA__LABEL_TEXT, "%" PRId64, i);
    }
    return text;
}

bool kata__labels_matter(const kata_model *model, const kata_dataset *dataset, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        char label[KATA__LABEL_TEXT], number[24];
        snprintf(number, sizeof number, "%" PRId64, i);
        if (strcmp(kata__label_text(model, dataset, i, label), number) != 0) {
            return true;
        }
    }
    return false;
}

double kata__main_figure(const kata_evaluation *e) {
    switch (e->task) {
    case KATA_TASK_CLASSES:
        return kata_classification_accuracy(&e->classification);
    case KATA_TASK_LABELS:
        return 1 - kata_multi_label_hamming(&e->multi_label);
    default:
        return kata_regression_mean_absolute_error(&e->regression);
    }
}

const char *kata__main_figure_name(kata_task task) {
    return task == KATA_TASK_CLASSES  ? "accuracy"
           : task == KATA_TASK_LABELS ? "label accuracy"
                                      : "mean absolute error";
}

const char *kata__main_figure_text(kata_task task, double value, char text[40]) {
    bool share = task != KATA_TASK_NUMBERS;
    snprintf(text, 40, share ? "%.2f %%" : "%.4g", share ? 100 * value : value);
    return text;
}

kata_class_scores kata__scores_of(const kata_evaluation *e, int i) {
    return e->task == KATA_TASK_LABELS ? kata_multi_label_label(&e->multi_label, i)
                                       : kata_classification_class(&e->classification, i);
}

kata_class_scores kata__scores_macro(const kata_evaluation *e) {
    return e->task == KATA_TASK_LABELS ? kata_multi_label_macro(&e->multi_label)
                                       : kata_classification_macro(&e->classification);
}

kata_class_scores kata__scores_micro(const kata_evaluation *e) {
    return e->task == KATA_TASK_LABELS ? kata_multi_label_micro(&e->multi_label)
                                       : kata_classification_micro(&e->classification);
}

/* Lower F1 first, then more samples. */
static bool is_worse(kata_class_scores a, kata_class_scores b) {
    return a.f1 != b.f1 ? a.f1 < b.f1 : a.support > b.support;
}

int kata__scores_that_matter(const kata_evaluation *e, int rows[KATA__SCORES_MOST]) {
    enum { WORST = 20 };
    int n = 0;
    if (e->n_outputs <= KATA__SCORES_MOST) {
        for (; n < e->n_outputs; n++) {
            rows[n] = n;
        }
        return n;
    }
    for (int i = 0; i < e->n_outputs; i++) {
        const kata_class_scores s = kata__scores_of(e, i);
        if (s.support == 0 || (n == WORST && !is_worse(s, kata__scores_of(e, rows[n - 1])))) {
            continue;
        }
        int at = n < WORST ? n++ : n - 1;
        for (; at > 0 && is_worse(s, kata__scores_of(e, rows[at - 1])); at--) {
            rows[at] = rows[at - 1];
        }
        rows[at] = i;
    }
    return n;
}

static void number(kata__buffer *out, const char *key, double value) {
    kata__buffer_printf(out, ",\"%s\":", key);
    kata__buffer_json_number(out, value);
}

static void scores_json(kata__buffer *out, kata_class_scores s) {
    kata__buffer_text(out, "\"precision\":");
    kata__buffer_json_number(out, s.precision);
    number(out, "recall", s.recall);
    number(out, "f1", s.f1);
    kata__buffer_printf(out, ",\"support\":%" PRId64, s.support);
}

static void averages_json(kata__buffer *out, kata_class_scores macro, kata_class_scores micro) {
    kata__buffer_text(out, ",\"macro\":{");
    scores_json(out, macro);
    kata__buffer_text(out, "},\"micro\":{");
    scores_json(out, micro);
    kata__buffer_text(out, "}");
}

static void class_json(kata__buffer *out, int i, const char *label, kata_class_scores s) {
    kata__buffer_printf(out, "%s{\"class\":%d,\"label\":", i > 0 ? "," : "", i);
    kata__buffer_json_string(out, label);
    kata__buffer_text(out, ",");
    scores_json(out, s);
    kata__buffer_text(out, "}");
}

/* A matrix where there are few classes; the most frequent mistakes in any case. */
static void confusion_json(kata__buffer *out, const kata_classification *c) {
    enum { MATRIX_MOST = 256, MISTAKES_MOST = 100 };
    kata_confusion top[MISTAKES_MOST];
    int n = kata_classification_mistakes(c, top, MISTAKES_MOST);
    kata__buffer_text(out, ",\"mistakes\":[");
    for (int i = 0; i < n; i++) {
        kata__buffer_printf(out, "%s{\"class\":%d,\"answer\":%d,\"samples\":%" PRId64 "}",
                            i > 0 ? "," : "", top[i].truth, top[i].answer, top[i].count);
    }
    kata__buffer_text(out, "]");
    if (c->n_classes > MATRIX_MOST) {
        return;
    }
    kata__buffer_text(out, ",\"confusion\":[");
    for (int t = 0; t < c->n_classes; t++) {
        kata__buffer_text(out, t > 0 ? ",[" : "[");
        for (int p = 0; p < c->n_classes; p++) {
            kata__buffer_printf(out, "%s%" PRId64, p > 0 ? "," : "",
                                kata_classification_count(c, t, p));
        }
        kata__buffer_text(out, "]");
    }
    kata__buffer_text(out, "]");
}

static void scores_of_all_json(kata__buffer *out, const kata_evaluation *e, const char *key,
                               const kata_model *model, const kata_dataset *dataset) {
    char label[KATA__LABEL_TEXT];
    averages_json(out, kata__scores_macro(e), kata__scores_micro(e));
    kata__buffer_printf(out, ",\"%s\":[", key);
    for (int i = 0; i < e->n_outputs; i++) {
        class_json(out, i, kata__label_text(model, dataset, i, label), kata__scores_of(e, i));
    }
    kata__buffer_text(out, "]");
}

void kata__evaluation_json(kata__buffer *out, const kata_evaluation *e, const kata_model *model,
                           const kata_dataset *dataset, bool full) {
    if (e->task == KATA_TASK_CLASSES) {
        kata__buffer_text(out, "\"accuracy\":");
        kata__buffer_json_number(out, kata_classification_accuracy(&e->classification));
        if (e->classification.n_classes > e->classification.k) {
            char key[32];
            snprintf(key, sizeof key, "top_%d_accuracy", e->classification.k);
            number(out, key, kata_classification_top_k(&e->classification));
        }
    } else if (e->task == KATA_TASK_LABELS) {
        kata__buffer_text(out, "\"exact\":");
        kata__buffer_json_number(out, kata_multi_label_exact(&e->multi_label));
        number(out, "hamming", kata_multi_label_hamming(&e->multi_label));
    } else {
        kata__buffer_text(out, "\"mean_squared_error\":");
        kata__buffer_json_number(out, kata_regression_mean_squared_error(&e->regression));
        number(out, "mean_absolute_error", kata_regression_mean_absolute_error(&e->regression));
        number(out, "r2", kata_regression_r2(&e->regression));
    }
    number(out, "loss", e->loss);
    kata__buffer_printf(out, ",\"n\":%" PRId64, e->n);
    if (full && e->task == KATA_TASK_CLASSES) {
        scores_of_all_json(out, e, "classes", model, dataset);
        confusion_json(out, &e->classification);
    } else if (full && e->task == KATA_TASK_LABELS) {
        scores_of_all_json(out, e, "labels", model, dataset);
    }
}

void kata__padded(kata__buffer *out, const char *text, int columns) {
    kata__buffer_text(out, text);
    for (int i = kata__text_columns(text); i < columns; i++) {
        kata__buffer_text(out, " ");
    }
}

static void scores_row(kata__buffer *out, int width, const char *label, kata_class_scores s) {
    kata__padded(out, label, width);
    kata__buffer_printf(out, "  %8.2f %%  %8.2f %%  %8.2f %%  %9" PRId64 "\n", 100 * s.precision,
                        100 * s.recall, 100 * s.f1, s.support);
}

/* A table of the classes or labels, or of those that are read worst. */
static void scores_text(kata__buffer *out, const kata_evaluation *e, const char *what,
                        const kata_model *model, const kata_dataset *dataset) {
    char label[KATA__LABEL_TEXT];
    int rows[KATA__SCORES_MOST], n = kata__scores_that_matter(e, rows), width = 5;
    for (int i = 0; i < n; i++) {
        int columns = kata__text_columns(kata__label_text(model, dataset, rows[i], label));
        width = columns > width ? columns : width;
    }
    if (n < e->n_outputs) {
        kata__buffer_printf(out,
                            "\nthe %d of %" PRId64 " that are read worst, by F1 (--json has all)\n",
                            n, e->n_outputs);
    }
    kata__buffer_printf(out, "\n%-*s  %10s  %10s  %10s  %9s\n", width, what, "precision", "recall",
                        "F1", "samples");
    for (int i = 0; i < n; i++) {
        scores_row(out, width, kata__label_text(model, dataset, rows[i], label),
                   kata__scores_of(e, rows[i]));
    }
    scores_row(out, width, "macro", kata__scores_macro(e));
    scores_row(out, width, "micro", kata__scores_micro(e));
}

static void mistakes_text(kata__buffer *out, const kata_classification *c, const kata_model *model,
                          const kata_dataset *dataset) {
    enum { TOP = 5 };
    char label[KATA__LABEL_TEXT], other[KATA__LABEL_TEXT];
    kata_confusion top[TOP];
    int n = kata_classification_mistakes(c, top, TOP);
    kata__buffer_text(out, n > 0 ? "\nmost frequent mistakes\n" : "");
    for (int i = 0; i < n; i++) {
        kata__buffer_printf(out, "%6" PRId64 " times  %s read as %s\n", top[i].count,
                            kata__label_text(model, dataset, top[i].truth, label),
                            kata__label_text(model, dataset, top[i].answer, other));
    }
}

void kata__evaluation_text(kata__buffer *out, const kata_evaluation *e, const kata_model *model,
                           const kata_dataset *dataset) {
    if (e->task == KATA_TASK_CLASSES) {
        const kata_classification *c = &e->classification;
        kata__buffer_printf(out, "accuracy  %.2f %%\n", 100 * kata_classification_accuracy(c));
        if (c->n_classes > c->k && c->k > 0) {
            kata__buffer_printf(out, "top-%d     %.2f %%\n", c->k,
                                100 * kata_classification_top_k(c));
        }
    } else if (e->task == KATA_TASK_LABELS) {
        kata__buffer_printf(out, "all labels right  %.2f %%\nwrong labels      %.2f %%\n",
                            100 * kata_multi_label_exact(&e->multi_label),
                            100 * kata_multi_label_hamming(&e->multi_label));
    } else {
        kata__buffer_printf(out,
                            "mean squared error   %.6g\nmean absolute error  %.6g\nR2            "
                            "       %.4f\n",
                            kata_regression_mean_squared_error(&e->regression),
                            kata_regression_mean_absolute_error(&e->regression),
                            kata_regression_r2(&e->regression));
    }
    kata__buffer_printf(out, "loss      %.4f\nsamples   %" PRId64 "\n", e->loss, e->n);
    if (e->task == KATA_TASK_CLASSES) {
        scores_text(out, e, "class", model, dataset);
        mistakes_text(out, &e->classification, model, dataset);
    } else if (e->task == KATA_TASK_LABELS) {
        scores_text(out, e, "label", model, dataset);
    }
}
