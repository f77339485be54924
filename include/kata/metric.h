/* Kata, metric room: how good predictions are. A measure gathers samples and is read at any time.
 */
#ifndef KATA_METRIC_H
#define KATA_METRIC_H

#include <kata/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One class of several. confusion[t * n_classes + p] counts samples of class t read as p. */
typedef struct kata_classification {
    kata_context *context;
    int n_classes;
    int64_t n, n_top_k;
    int k; /* of top-k; 0: not counted */
    int64_t *confusion;
} kata_classification;
KATA_API kata_status kata_classification_new(kata_classification *out, kata_context *context,
                                             int n_classes, int k);
KATA_API void kata_classification_free(kata_classification *c);
KATA_API void kata_classification_clear(kata_classification *c);
/* One sample: scores[n_classes] (logits or probabilities; the first of equal maxima wins), its
 * class. */
KATA_API void kata_classification_add(kata_classification *c, const float *scores, int64_t label);

typedef struct kata_class_scores {
    double precision, recall, f1; /* 0 where 0/0 */
    int64_t support;              /* samples of the class */
} kata_class_scores;
KATA_API double kata_classification_accuracy(const kata_classification *c);
KATA_API double kata_classification_top_k(const kata_classification *c);
KATA_API kata_class_scores kata_classification_class(const kata_classification *c, int i);
/* Averages over classes: macro (each class counts the same); micro (each sample; with one class a
 * sample precision = recall = f1 = accuracy); support is n. */
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
/* probabilities[n_labels] and targets[n_labels] (0 or 1). */
KATA_API void kata_multi_label_add(kata_multi_label *m, const float *probabilities,
                                   const float *targets);
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
