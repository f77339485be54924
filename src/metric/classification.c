/* Accuracy, confusion matrix, precision, recall, F1, top-k; and the same for several labels. */
#include <string.h>

#include <kata/metric.h>

#include "base/memory.h"

/* precision = TP/(TP+FP), recall = TP/(TP+FN), F1 = 2 TP/(2 TP+FP+FN). */
static kata_class_scores scores_of(int64_t true_positive, int64_t false_positive,
                                   int64_t false_negative) {
    double tp = (double)true_positive, fp = (double)false_positive, fn = (double)false_negative;
    return (kata_class_scores){.precision = tp + fp > 0 ? tp / (tp + fp) : 0,
                               .recall = tp + fn > 0 ? tp / (tp + fn) : 0,
                               .f1 = 2 * tp + fp + fn > 0 ? 2 * tp / (2 * tp + fp + fn) : 0,
                               .support = true_positive + false_negative};
}

static void accumulate(kata_class_scores *sum, kata_class_scores one) {
    sum->precision += one.precision;
    sum->recall += one.recall;
    sum->f1 += one.f1;
    sum->support += one.support;
}

static kata_class_scores divided(kata_class_scores sum, int n) {
    sum.precision /= n;
    sum.recall /= n;
    sum.f1 /= n;
    return sum;
}

/* --- one class of several ------------------------------------------------------------------- */

kata_status kata_classification_new(kata_classification *out, kata_context *context, int n_classes,
                                    int k) {
    if (n_classes < 1) {
        return kata_fail(KATA_INVALID, "a classification needs at least one class, got %d",
                         n_classes);
    }
    int64_t *confusion =
        kata__alloc_zero(context, (size_t)n_classes * (size_t)n_classes, sizeof *confusion);
    if (confusion == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    *out = (kata_classification){
        .context = context, .n_classes = n_classes, .k = k, .confusion = confusion};
    return KATA_OK;
}

void kata_classification_free(kata_classification *c) {
    if (c != NULL && c->confusion != NULL) {
        kata__free(c->context, c->confusion);
        *c = (kata_classification){0};
    }
}

void kata_classification_clear(kata_classification *c) {
    c->n = c->n_top_k = 0;
    memset(c->confusion, 0, (size_t)c->n_classes * (size_t)c->n_classes * sizeof *c->confusion);
}

void kata_classification_add(kata_classification *c, const float *scores, int64_t label) {
    int best = 0, above = 0;
    if (label < 0 || label >= c->n_classes) {
        return;
    }
    for (int i = 0; i < c->n_classes; i++) {
        best = scores[i] > scores[best] ? i : best;
        above += scores[i] > scores[label];
    }
    c->confusion[label * c->n_classes + best]++;
    c->n_top_k += above < c->k;
    c->n++;
}

double kata_classification_accuracy(const kata_classification *c) {
    int64_t right = 0;
    for (int i = 0; i < c->n_classes; i++) {
        right += c->confusion[(int64_t)i * c->n_classes + i];
    }
    return c->n > 0 ? (double)right / (double)c->n : 0;
}

double kata_classification_top_k(const kata_classification *c) {
    return c->n > 0 ? (double)c->n_top_k / (double)c->n : 0;
}

kata_class_scores kata_classification_class(const kata_classification *c, int i) {
    int64_t row = 0, column = 0, hits = c->confusion[(int64_t)i * c->n_classes + i];
    for (int j = 0; j < c->n_classes; j++) {
        row += c->confusion[(int64_t)i * c->n_classes + j];
        column += c->confusion[(int64_t)j * c->n_classes + i];
    }
    return scores_of(hits, column - hits, row - hits);
}

kata_class_scores kata_classification_macro(const kata_classification *c) {
    kata_class_scores sum = {0};
    for (int i = 0; i < c->n_classes; i++) {
        accumulate(&sum, kata_classification_class(c, i));
    }
    return divided(sum, c->n_classes);
}

kata_class_scores kata_classification_micro(const kata_classification *c) {
    int64_t right = 0;
    for (int i = 0; i < c->n_classes; i++) {
        right += c->confusion[(int64_t)i * c->n_classes + i];
    }
    return scores_of(right, c->n - right, c->n - right);
}

/* --- several labels -------------------------------------------------------------------------- */

kata_status kata_multi_label_new(kata_multi_label *out, kata_context *context, int n_labels,
                                 double threshold) {
    if (n_labels < 1) {
        return kata_fail(KATA_INVALID, "a multi-label measure needs at least one label, got %d",
                         n_labels);
    }
    int64_t *counts = kata__alloc_zero(context, 3 * (size_t)n_labels, sizeof *counts);
    if (counts == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    *out = (kata_multi_label){.context = context,
                              .n_labels = n_labels,
                              .threshold = threshold,
                              .true_positive = counts,
                              .false_positive = counts + n_labels,
                              .false_negative = counts + 2 * n_labels};
    return KATA_OK;
}

void kata_multi_label_free(kata_multi_label *m) {
    if (m != NULL && m->true_positive != NULL) {
        kata__free(m->context, m->true_positive);
        *m = (kata_multi_label){0};
    }
}

void kata_multi_label_clear(kata_multi_label *m) {
    m->n = m->n_exact = 0;
    memset(m->true_positive, 0, 3 * (size_t)m->n_labels * sizeof *m->true_positive);
}

void kata_multi_label_add(kata_multi_label *m, const float *probabilities, const float *targets) {
    bool exact = true;
    for (int i = 0; i < m->n_labels; i++) {
        bool predicted = (double)probabilities[i] >= m->threshold, wanted = targets[i] >= 0.5F;
        m->true_positive[i] += predicted && wanted;
        m->false_positive[i] += predicted && !wanted;
        m->false_negative[i] += !predicted && wanted;
        exact = exact && predicted == wanted;
    }
    m->n_exact += exact;
    m->n++;
}

kata_class_scores kata_multi_label_label(const kata_multi_label *m, int i) {
    return scores_of(m->true_positive[i], m->false_positive[i], m->false_negative[i]);
}

kata_class_scores kata_multi_label_macro(const kata_multi_label *m) {
    kata_class_scores sum = {0};
    for (int i = 0; i < m->n_labels; i++) {
        accumulate(&sum, kata_multi_label_label(m, i));
    }
    return divided(sum, m->n_labels);
}

kata_class_scores kata_multi_label_micro(const kata_multi_label *m) {
    int64_t tp = 0, fp = 0, fn = 0;
    for (int i = 0; i < m->n_labels; i++) {
        tp += m->true_positive[i];
        fp += m->false_positive[i];
        fn += m->false_negative[i];
    }
    return scores_of(tp, fp, fn);
}

double kata_multi_label_exact(const kata_multi_label *m) {
    return m->n > 0 ? (double)m->n_exact / (double)m->n : 0;
}

double kata_multi_label_hamming(const kata_multi_label *m) {
    int64_t wrong = 0;
    for (int i = 0; i < m->n_labels; i++) {
        wrong += m->false_positive[i] + m->false_negative[i];
    }
    return m->n > 0 ? (double)wrong / ((double)m->n * m->n_labels) : 0;
}
