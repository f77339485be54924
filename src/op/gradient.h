/* Helpers for gradient rules. The graph is bound: all shapes are known. */
#ifndef KATA_OP_GRADIENT_H
#define KATA_OP_GRADIENT_H

#include "graph/graph.h"

/* Sums `value` over the axes along which `like` was broadcast to it, so that the result has the
 * (concrete) shape of `like`: the gradient of broadcasting. No node if the shapes agree. */
kata_value kata__sum_to(kata_graph *graph, kata_value value, kata_value like);
/* A scalar constant of the same dtype as `like`. */
kata_value kata__scalar_like(kata_graph *graph, double value, kata_value like);
kata_value kata__add(kata_graph *graph, kata_value a, kata_value b);
kata_value kata__sub(kata_graph *graph, kata_value a, kata_value b);
kata_value kata__mul(kata_graph *graph, kata_value a, kata_value b);
kata_value kata__div(kata_graph *graph, kata_value a, kata_value b);
/* value * factor, a number. */
kata_value kata__scale(kata_graph *graph, kata_value value, double factor);
/* condition ? a : b, element by element. */
kata_value kata__where(kata_graph *graph, kata_value condition, kata_value a, kata_value b);
/* `value` converted to the dtype of `like`; no node if it has it. */
kata_value kata__cast_like(kata_graph *graph, kata_value value, kata_value like);
/* Another (concrete) shape of as many elements, and a broadcast; no node if the shapes agree. */
kata_value kata__reshape_to(kata_graph *graph, kata_value value, const kata_shape *shape);
kata_value kata__expand_to(kata_graph *graph, kata_value value, const kata_shape *shape);
/* Zeros of the type of `like`. */
kata_value kata__zeros_like(kata_graph *graph, kata_value like);
/* Whether the value is a constant of one element, and which. */
bool kata__constant_scalar(const kata_graph *graph, kata_value value, double *out);

/* Whole rules. */
kata_status kata__gradient_zero(kata_gradient *gradient); /* all zero: steps, comparisons, shapes */
kata_status kata__gradient_pass(kata_gradient *gradient); /* dy, unchanged, to input 0 */
/* dy to input 0 with input 0's shape: views. */
kata_status kata__gradient_reshape(kata_gradient *gradient);

#endif
