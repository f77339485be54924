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

static void classes_json(kata__buffer *out, const kata_classification *c, const kata_model *model,
                         const kata_dataset *dataset) {
    char label[KATA__LABEL_TEXT];
    averages_json(out, kata_classification_macro(c), kata_classification_micro(c));
    kata__buffer_text(out, ",\"classes\":[");
    for (int i = 0; i < c->n_classes; i++) {
        class_json(out, i, kata__label_text(model, dataset, i, label),
                   kata_classification_class(c, i));
    }
    kata__buffer_text(out, "],\"confusion\":[");
    for (int t = 0; t < c->n_classes; t++) {
        kata__buffer_text(out, t > 0 ? ",[" : "[");
        for (int p = 0; p < c->n_classes; p++) {
            kata__buffer_printf(out, "%s%" PRId64, p > 0 ? "," : "",
                                c->confusion[(int64_t)t * c->n_classes + p]);
        }
        kata__buffer_text(out, "]");
    }
    kata__buffer_text(out, "]");
}

static void labels_json(kata__buffer *out, const kata_multi_label *m, const kata_model *model,
                        const kata_dataset *dataset) {
    char label[KATA__LABEL_TEXT];
    averages_json(out, kata_multi_label_macro(m), kata_multi_label_micro(m));
    kata__buffer_text(out, ",\"labels\":[");
    for (int i = 0; i < m->n_labels; i++) {
        class_json(out, i, kata__label_text(model, dataset, i, label),
                   kata_multi_label_label(m, i));
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
        classes_json(out, &e->classification, model, dataset);
    } else if (full && e->task == KATA_TASK_LABELS) {
        labels_json(out, &e->multi_label, model, dataset);
    }
}

int kata__top_confusions(const kata_classification *c, kata__confusion *out, int n) {
    int found = 0;
    for (int t = 0; t < c->n_classes; t++) {
        for (int p = 0; p < c->n_classes; p++) {
            int64_t count = c->confusion[(int64_t)t * c->n_classes + p];
            if (t == p || count == 0) {
                continue;
            }
            int at = found < n ? found++ : n;
            for (; at > 0 && out[at - 1].count < count; at--) {
                if (at < n) {
                    out[at] = out[at - 1];
                }
            }
            if (at < n) {
                out[at] = (kata__confusion){count, t, p};
            }
        }
    }
    return found;
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

static int label_width(const kata_model *model, const kata_dataset *dataset, int n) {
    char label[KATA__LABEL_TEXT];
    int width = 5;
    for (int i = 0; i < n; i++) {
        int columns = kata__text_columns(kata__label_text(model, dataset, i, label));
        width = columns > width ? columns : width;
    }
    return width;
}

static void classification_text(kata__buffer *out, const kata_classification *c,
                                const kata_model *model, const kata_dataset *dataset) {
    enum { TOP = 5 };
    char label[KATA__LABEL_TEXT], other[KATA__LABEL_TEXT];
    int width = label_width(model, dataset, c->n_classes);
    kata__buffer_printf(out, "\n%-*s  %10s  %10s  %10s  %9s\n", width, "class", "precision",
                        "recall", "F1", "samples");
    for (int i = 0; i < c->n_classes; i++) {
        scores_row(out, width, kata__label_text(model, dataset, i, label),
                   kata_classification_class(c, i));
    }
    scores_row(out, width, "macro", kata_classification_macro(c));
    scores_row(out, width, "micro", kata_classification_micro(c));
    kata__confusion top[TOP];
    int n = kata__top_confusions(c, top, TOP);
    kata__buffer_text(out, n > 0 ? "\nmost frequent mistakes\n" : "");
    for (int i = 0; i < n; i++) {
        kata__buffer_printf(out, "%6" PRId64 " times  %s read as %s\n", top[i].count,
                            kata__label_text(model, dataset, top[i].truth, label),
                            kata__label_text(model, dataset, top[i].answer, other));
    }
}

static void multi_label_text(kata__buffer *out, const kata_multi_label *m, const kata_model *model,
                             const kata_dataset *dataset) {
    char label[KATA__LABEL_TEXT];
    int width = label_width(model, dataset, m->n_labels);
    kata__buffer_printf(out, "\n%-*s  %10s  %10s  %10s  %9s\n", width, "label", "precision",
                        "recall", "F1", "samples");
    for (int i = 0; i < m->n_labels; i++) {
        scores_row(out, width, kata__label_text(model, dataset, i, label),
                   kata_multi_label_label(m, i));
    }
    scores_row(out, width, "macro", kata_multi_label_macro(m));
    scores_row(out, width, "micro", kata_multi_label_micro(m));
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
        classification_text(out, &e->classification, model, dataset);
    } else if (e->task == KATA_TASK_LABELS) {
        multi_label_text(out, &e->multi_label, model, dataset);
    }
}
