/* What a model does on a data set, as text and as JSON. */
#ifndef KATA_TOOL_MEASURE_H
#define KATA_TOOL_MEASURE_H

#include <kata/kata.h>

#include "base/buffer.h"

/* The label of class i: the model's, else the data set's, else the number. Returns `text`. */
enum { KATA__LABEL_TEXT = 128 };
const char *kata__label_text(const kata_model *model, const kata_dataset *dataset, int64_t i,
                             char text[KATA__LABEL_TEXT]);
/* True if the labels say more than their numbers. */
bool kata__labels_matter(const kata_model *model, const kata_dataset *dataset, int64_t n);

/* The task's main figure: accuracy; share of right labels; mean absolute error. */
double kata__main_figure(const kata_evaluation *evaluation);
const char *kata__main_figure_name(kata_task task); /* "accuracy" */
/* "98.97 %" or "0.0123". */
const char *kata__main_figure_text(kata_task task, double value, char text[40]);

/* The members of an evaluation's JSON object, without the braces. `full` adds the classes or
 * labels, the most frequent mistakes, and a confusion matrix of at most 256 classes. */
void kata__evaluation_json(kata__buffer *out, const kata_evaluation *evaluation,
                           const kata_model *model, const kata_dataset *dataset, bool full);
/* The text, filled up with spaces to so many columns of a terminal. */
void kata__padded(kata__buffer *out, const char *text, int columns);
/* A table for people. */
void kata__evaluation_text(kata__buffer *out, const kata_evaluation *evaluation,
                           const kata_model *model, const kata_dataset *dataset);

/* Precision, recall and F1 of a class or label, and their averages. */
kata_class_scores kata__scores_of(const kata_evaluation *evaluation, int i);
kata_class_scores kata__scores_macro(const kata_evaluation *evaluation);
kata_class_scores kata__scores_micro(const kata_evaluation *evaluation);
/* The classes or labels whose scores a person is shown: all, or of more than KATA__SCORES_MOST the
 * 20 that occur and are read worst. Returns how many. */
enum { KATA__SCORES_MOST = 100 };
int kata__scores_that_matter(const kata_evaluation *evaluation, int rows[KATA__SCORES_MOST]);

#endif
