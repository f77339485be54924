/* Kata, pass room: graph -> graph. */
#ifndef KATA_PASS_H
#define KATA_PASS_H

#include <kata/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A copy of `graph` in which the open sizes of its inputs have numbers: sizes[0..n-1], by name (for
 * instance KATA_SIZES({"N", 32})). Each needs one; names that the graph does not have are passed
 * over. Shapes are inferred again and nodes whose inputs are all constants are computed. Variables
 * are shared with `graph`, which must outlive the copy. Values keep their names. With `training`,
 * Dropout drops and BatchNormalization normalises by the batch's own statistics and updates the
 * running ones (kata:Assign nodes); without it Dropout is removed. A model's graph itself is always
 * the inference graph. */
KATA_API kata_status kata_graph_bind(kata_graph **out, const kata_graph *graph,
                                     const kata_size *sizes, int n, bool training);

/* Adds the backward pass of `loss` (one element) to a bound graph: gradients[i] becomes the value
 * of d loss / d wrt[i] (KATA_NONE where it does not depend on it). Contributions of a value used
 * more than once are summed in the order of its uses. KATA_UNSUPPORTED names the operator and the
 * node that has no gradient. */
KATA_API kata_status kata_graph_differentiate(kata_graph *graph, kata_value loss,
                                              const kata_value *wrt, int n, kata_value *gradients);

/* Removes nodes that reach no output and no UPDATE; computes nodes of constants; removes Identity.
 * Changes the graph in place; values of outputs keep their names. */
KATA_API kata_status kata_graph_simplify(kata_graph *graph);

/* A copy of a concrete graph (bound, and with its backward pass if it has one) that computes the
 * same numbers, but for rounding, faster: convolution, bias, addition of a residual, relu and
 * pooling in one sweep, their gradients likewise, and NHWC between them; Gemm with relu.
 * Inputs and outputs are those of `graph`, in order and form. Nodes keep the name of the first of
 * what they compute. Variables are shared with `graph`'s owner, which must outlive the copy;
 * `graph` itself may be freed. Where nothing is trained, a session packs weights at its first run
 * and again when kata_variable_changed has said so. */
KATA_API kata_status kata_graph_optimize(kata_graph **out, const kata_graph *graph);

/* A copy of an optimised graph in which convolutions, their gradients and large matrix products are
 * computed in bfloat16 with float32 sums (mixed precision). Variables, inputs, outputs and
 * everything between them but those stay float32. What was said of kata_graph_optimize holds. */
KATA_API kata_status kata_graph_lower_precision(kata_graph **out, const kata_graph *graph);

#ifdef __cplusplus
}
#endif
#endif
