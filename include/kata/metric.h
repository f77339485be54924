/* Kata, metric room: how good predictions are. A measure gathers samples and is read at any time.
 */
#ifndef KATA_METRIC_H
#define KATA_METRIC_H

#include <kata/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* So many samples of class `truth` that were read as `answer`. */
typedef struct kata_confusion {
    int64_t count;
    int truth, answer;
} kata_confusion;

/* One class of several. Memory grows with the classes and with the different mistakes that there
 * are, 16 to 64 bytes each; never with the square of the classes. */
typedef struct kata_classification {
    kata_context *context;
    int n_classes;
    int64_t n, n_right, n_top_k;
    int k;                               /* of top-k; 0: not counted */
    int64_t *support, *answered, *right; /* by class: samples of it, read as it, both */
    kata_confusion *mistakes;            /* a hash table; entries of count 0 are free */
    size_t n_mistakes, capacity;
} kata_classification;
/* KATA_INVALID for no classes, KATA_OUT_OF_MEMORY. */
KATA_API kata_status kata_classification_new(kata_classification *out, kata_context *context,
                                             int n_classes, int k);
KATA_API void kata_classification_free(kata_classification *c);
KATA_API void kata_classification_clear(kata_classification *c);
/* One sample: scores[n_classes] (logits or probabilities) and its class. The answer is the class of
 * the largest score, of equal ones the first; a NaN is larger than any number. A sample counts for
 * top-k if fewer than k classes come before its own in that order, so that top-1 is the accuracy. A
 * label that is no class is not counted. KATA_OUT_OF_MEMORY if there is no room for the first
 * mistake of its kind; the sample is not counted then. */
KATA_API kata_status kata_classification_add(kata_classification *c, const float *scores,
                                             int64_t label);
/* The class that it takes as the answer. */
KATA_API int kata_classification_answer(const float *scores, int n_classes);
/* How many samples of class `truth` were read as `answer`. */
KATA_API int64_t kata_classification_count(const kata_classification *c, int truth, int answer);
/* The most frequent mistakes, at most n of them, into out[]: more samples first, then by class.
 * Returns how many. */
KATA_API int kata_classification_mistakes(const kata_classification *c, kata_confusion *out, int n);

/* precision = TP/(TP+FP), recall = TP/(TP+FN), F1 = 2 TP/(2 TP+FP+FN); 0 where that is 0/0, which
 * is scikit-learn's zero_division=0. */
typedef struct kata_class_scores {
    double precision, recall, f1;
    int64_t support; /* samples of the class */
} kata_class_scores;
KATA_API double kata_classification_accuracy(const kata_classification *c);
KATA_API double kata_classification_top_k(const kata_classification *c);
KATA_API kata_class_scores kata_classification_class(const kata_classification *c, int i);
/* Averages, scikit-learn's average="macro" and "micro". Macro: the mean over the classes that occur
 * in the data or among the answers, each counting the same; 0 without samples. Micro: each sample
 * counts the same; with one class a sample precision = recall = f1 = accuracy. support is n. */
KATA_API kata_class_scores kata_classification_macro(const kata_classification *c);
KATA_API kata_class_scores kata_classification_micro(const kata_classification *c);

/* Several labels a sample. For label i: true and false positives, false negatives. */
typedef struct kata_multi_label {
    kata_context *context;
    int n_labels;
    int64_t n, n_exact; /* samples; samples with every label right */
    double threshold;
    int64_t *true_positive, *false_positive, *false_negative;
} kata_multi_label;
KATA_API kata_status kata_multi_label_new(kata_multi_label *out, kata_context *context,
                                          int n_labels, double threshold);
KATA_API void kata_multi_label_free(kata_multi_label *m);
KATA_API void kata_multi_label_clear(kata_multi_label *m);
/* probabilities[n_labels] and targets[n_labels] (0 or 1). A label is the answer from the threshold
 * on; a NaN is not. */
KATA_API void kata_multi_label_add(kata_multi_label *m, const float *probabilities,
                                   const float *targets);
/* Macro: the mean over the labels that occur in the data or among the answers (scikit-learn's with
 * `labels` set to those; its default counts one that never occurs as 0). Micro: over all. */
KATA_API kata_class_scores kata_multi_label_label(const kata_multi_label *m, int i);
KATA_API kata_class_scores kata_multi_label_macro(const kata_multi_label *m);
KATA_API kata_class_scores kata_multi_label_micro(const kata_multi_label *m);
KATA_API double kata_multi_label_exact(const kata_multi_label *m);   /* subset accuracy */
KATA_API double kata_multi_label_hamming(const kata_multi_label *m); /* share of wrong labels */

/* Numbers. R^2 = 1 - sum (t-y)^2 / sum (t-mean)^2, over all numbers of all samples; 0 if the
 * targets do not vary. Sums are kept relative to the first target, so that large offsets lose
 * nothing. */
typedef struct kata_regression {
    int64_t n;
    double sum_squared_error, sum_absolute_error, shift, sum_target, sum_squared_target;
} kata_regression;
KATA_API void kata_regression_add(kata_regression *r, double predicted, double target);
KATA_API double kata_regression_mean_squared_error(const kata_regression *r);
KATA_API double kata_regression_mean_absolute_error(const kata_regression *r);
KATA_API double kata_regression_r2(const kata_regression *r);

#ifdef __cplusplus
}
#endif
#endif
