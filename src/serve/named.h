/* The predict route of models with any number of named inputs and outputs. */
#ifndef KATA_SERVE_NAMED_H
#define KATA_SERVE_NAMED_H

#include <kata/predict.h>

#include "base/buffer.h"

/* How many outputs are answered: of a model that was made for training the trained ones, which are
 * the first, and not their raw forms (logits); else all. */
int kata__n_answers(const kata_graph *graph);
/* Rows {"instances":[{"a":..,"b":..},...]} (a plain value per row of one input) or columns
 * {"inputs":{"a":[..],"b":[..]}}; answers {"predictions":[...]}, a plain value per row of one
 * output, else an object by name. `body` is changed: its texts are decoded in place. */
kata_status kata__answer_named(kata_predictor *predictor, const kata_graph *graph, char *body,
                               size_t n_bytes, kata__buffer *out);

#endif
