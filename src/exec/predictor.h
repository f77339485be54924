/* What the rooms above need of a predictor beside its public face: samples by input number. */
#ifndef KATA_EXEC_PREDICTOR_H
#define KATA_EXEC_PREDICTOR_H

#include <kata/exec.h>
#include <kata/predict.h>

/* Samples to be answered. */
typedef struct kata__samples {
    const kata_tensor *inputs; /* one for each input of the graph, contiguous */
    kata_tensor *outputs;      /* one for each output; dtype KATA_NO_DTYPE: not wanted */
    /* Writes samples first .. first + to->shape.dim[0] of input `i` into `to`; NULL: they are
     * inputs[i].data, else only the shapes of `inputs` are looked at. */
    void (*fill)(void *user, int i, int64_t first, const kata_tensor *to);
    void *user;
    const bool *wanted; /* by output: those without a tensor that are wanted get a new one, which is
                           the caller's; NULL: none */
} kata__samples;

kata_status kata__predictor_answer(kata_predictor *predictor, const kata__samples *samples);

/* How many of n samples to give at a time, if they are given in parts and all outputs are wanted:
 * whole batches, or n if the graph mixes samples. */
kata_status kata__predictor_part(kata_predictor *predictor, int64_t n, int64_t *part);

/* Whether it was made of this graph as it is now. */
bool kata__predictor_fits(const kata_predictor *predictor, const kata_graph *graph,
                          kata_precision precision);
/* A session for these inputs, to be looked at (its size, its operations), not run; lent until the
 * next call. */
kata_status kata__predictor_session(kata_predictor *predictor, const kata_tensor *inputs,
                                    const kata_session **out);

#endif
