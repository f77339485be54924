/* The parts of a training step: nodes that are added to the bound graph of a program. */
#ifndef KATA_TRAIN_STEP_H
#define KATA_TRAIN_STEP_H

#include "train/trainer.h"

/* A constant number, a reduction over everything. */
static inline kata_value kata__step_scalar(kata_graph *graph, double value) {
    return kata_graph_scalar(graph, KATA_F32, value);
}

static inline kata_value kata__step_reduce(kata_graph *graph, const char *op, kata_value x) {
    return KATA_NODE_WITH(graph, op, KATA_INPUTS(x), KATA_INT("keepdims", 0));
}

/* The weighted sum of the losses of all raw outputs (float32); adds the target inputs and that of
 * the sample weights. */
kata_value kata__step_loss(const struct kata__trainer *trainer, kata_graph *graph,
                           const kata__program *program, const kata_value *raw);
/* loss + sum over weights of l1 |w| + l2/2 w^2 (scratch-book-2 L5086-5092). */
kata_value kata__step_penalties(kata_graph *graph, kata_value loss);
/* Gradients of the loss, clipping, one update node a weight; adds the inputs lr and t. */
kata_status kata__step_update(struct kata__trainer *trainer, kata_graph *graph, kata_value loss);

/* Where all that a graph does with an input is to multiply it by one number (kata_rescale), the
 * batch is put together with the multiplied numbers, and the node is by-passed; returns that
 * number, else 1. The same rounding of the same product: no bit changes. */
double kata__step_take_rescale(kata_graph *graph, kata_value input);

#endif
