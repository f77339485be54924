/* Accuracy, confusion matrix, precision, recall, F1, top-k; and the same for several labels. */
#include <string.h>

#include <kata/metric.h>

#include "base/check.h"
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

/* The mean over the n classes that occur. */
static kata_class_scores divided(kata_class_scores sum, int n) {
    if (n > 0) {
        sum.precision /= n;
        sum.recall /= n;
        sum.f1 /= n;
    }
    return sum;
}

/* --- one class of several ------------------------------------------------------------------- */

kata_status kata_classification_new(kata_classification *out, kata_context *context, int n_classes,
                                    int k) {
    if (n_classes < 1) {
        return kata_fail(KATA_INVALID, "a classification needs at least one class, got %d",
                         n_classes);
    }
    int64_t *counts = kata__alloc_zero(context, 3 * (size_t)n_classes, sizeof *counts);
    if (counts == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    *out = (kata_classification){.context = context,
                                 .n_classes = n_classes,
                                 .k = k,
                                 .support = counts,
                                 .answered = counts + n_classes,
                                 .right = counts + 2 * (int64_t)n_classes};
    return KATA_OK;
}

void kata_classification_free(kata_classification *c) {
    if (c != NULL && c->support != NULL) {
        kata__free(c->context, c->mistakes);
        kata__free(c->context, c->support);
        *c = (kata_classification){0};
    }
}

void kata_classification_clear(kata_classification *c) {
    c->n = c->n_right = c->n_top_k = 0;
    memset(c->support, 0, 3 * (size_t)c->n_classes * sizeof *c->support);
    c->n_mistakes = 0;
    if (c->capacity > 0) {
        memset(c->mistakes, 0, c->capacity * sizeof *c->mistakes);
    }
}

/* The entry of a mistake in a table of a power of two of entries, or the free one that it would
 * take. */
static kata_confusion *entry_of(kata_confusion *table, size_t capacity, int truth, int answer) {
    uint64_t key = (uint64_t)(uint32_t)truth << 32 | (uint32_t)answer;
    key = (key ^ key >> 31) * 0x9E3779B97F4A7C15u; /* 2^64 / golden ratio: Fibonacci hashing */
    size_t at = (size_t)(key ^ key >> 29) & (capacity - 1);
    while (table[at].count > 0 && (table[at].truth != truth || table[at].answer != answer)) {
        at = (at + 1) & (capacity - 1);
    }
    return &table[at];
}

/* Makes room for one mistake more: at most half of the table is taken. */
static kata_status grow(kata_classification *c) {
    if (2 * (c->n_mistakes + 1) <= c->capacity) {
        return KATA_OK;
    }
    size_t capacity = c->capacity > 0 ? 2 * c->capacity : 64;
    kata_confusion *table = kata__alloc_zero(c->context, capacity, sizeof *table);
    if (table == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    for (size_t i = 0; i < c->capacity; i++) {
        const kata_confusion *m = &c->mistakes[i];
        if (m->count > 0) {
            *entry_of(table, capacity, m->truth, m->answer) = *m;
        }
    }
    kata__free(c->context, c->mistakes);
    c->mistakes = table;
    c->capacity = capacity;
    return KATA_OK;
}

static bool is_larger(float a, float b) {
    return a > b || (a != a && b == b);
}

int kata_classification_answer(const float *scores, int n_classes) {
    int best = 0;
    for (int i = 1; i < n_classes; i++) {
        best = is_larger(scores[i], scores[best]) ? i : best;
    }
    return best;
}

kata_status kata_classification_add(kata_classification *c, const float *scores, int64_t label) {
    int before = 0;
    if (label < 0 || label >= c->n_classes) {
        return KATA_OK;
    }
    const int best = kata_classification_answer(scores, c->n_classes);
    for (int i = 0; i < c->n_classes; i++) {
        before += is_larger(scores[i], scores[label]) ||
                  (i < label && !is_larger(scores[label], scores[i]));
    }
    if (best != label) {
        KATA__TRY(grow(c));
        kata_confusion *m = entry_of(c->mistakes, c->capacity, (int)label, best);
        c->n_mistakes += m->count == 0;
        *m = (kata_confusion){m->count + 1, (int)label, best};
    }
    c->support[label]++;
    c->answered[best]++;
    c->right[label] += best == label;
    c->n_right += best == label;
    c->n_top_k += before < c->k;
    c->n++;
    return KATA_OK;
}

int64_t kata_classification_count(const kata_classification *c, int truth, int answer) {
    if (truth < 0 || truth >= c->n_classes || answer < 0 || answer >= c->n_classes) {
        return 0;
    }
    if (truth == answer) {
        return c->right[truth];
    }
    return c->capacity > 0 ? entry_of(c->mistakes, c->capacity, truth, answer)->count : 0;
}

static bool comes_before(const kata_confusion *a, const kata_confusion *b) {
    return a->count != b->count   ? a->count > b->count
           : a->truth != b->truth ? a->truth < b->truth
                                  : a->answer < b->answer;
}

int kata_classification_mistakes(const kata_classification *c, kata_confusion *out, int n) {
    int found = 0;
    for (size_t i = 0; i < c->capacity; i++) {
        const kata_confusion *m = &c->mistakes[i];
        if (m->count == 0 || (found == n && (n <= 0 || !comes_before(m, &out[n - 1])))) {
            continue;
        }
        int at = found < n ? found++ : n - 1;
        for (; at > 0 && comes_before(m, &out[at - 1]); at--) {
            out[at] = out[at - 1];
        }
        out[at] = *m;
    }
    return found;
}

double kata_classification_accuracy(const kata_classification *c) {
    return c->n > 0 ? (double)c->n_right / (double)c->n : 0;
}

double kata_classification_top_k(const kata_classification *c) {
    return c->n > 0 ? (double)c->n_top_k / (double)c->n : 0;
}

kata_class_scores kata_classification_class(const kata_classification *c, int i) {
    int64_t right = c->right[i];
    return scores_of(right, c->answered[i] - right, c->support[i] - right);
}

kata_class_scores kata_classification_macro(const kata_classification *c) {
    kata_class_scores sum = {0};
    int n = 0;
    for (int i = 0; i < c->n_classes; i++) {
        if (c->support[i] + c->answered[i] > 0) {
            accumulate(&sum, kata_classification_class(c, i));
            n++;
        }
    }
    return divided(sum, n);
}

kata_class_scores kata_classification_micro(const kata_classification *c) {
    return scores_of(c->n_right, c->n - c->n_right, c->n - c->n_right);
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
    int n = 0;
    for (int i = 0; i < m->n_labels; i++) {
        if (m->true_positive[i] + m->false_positive[i] + m->false_negative[i] > 0) {
            accumulate(&sum, kata_multi_label_label(m, i));
            n++;
        }
    }
    return divided(sum, n);
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
