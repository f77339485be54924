/* Shared by the passes. */
#ifndef KATA_PASS_PASS_H
#define KATA_PASS_PASS_H

#include <kata/pass.h>
#include "graph/graph.h"

/* True if a node may be computed now: all inputs are constants (or it reads types alone), it is
 * neither random nor an update, and its outputs together have at most 2^20 elements. */
bool kata__can_fold(const kata_graph *graph, const kata__node *node);
/* Computes a node of constants with its reference kernel: its output values become constants and
 * the node is marked removed. */
kata_status kata__fold(kata_graph *graph, kata__node *node);

/* The value that a view shows, through other views; another value itself. */
kata_value kata__viewed(const kata_graph *graph, kata_value value);

/* Where the samples are in the outputs of a bound graph whose inputs have `size` >= 2 of them on
 * their first axes: axes[i] of output i is an axis, KATA_BATCH_NONE or KATA_BATCH_MIXED
 * (kata/op.h). If all are 0, the graph does the same to each sample by itself. */
kata_status kata__graph_batch_axes(const kata_graph *graph, int64_t size, int *axes);

/* The bytes that the memory plan of a graph takes (the exec room is after this one). */
typedef kata_status (*kata__arena_of)(size_t *n_bytes, const kata_graph *graph);
/* Recomputation: where that makes the arena smaller, *graph is freed and replaced by a graph in
 * which forward nodes run a second time for the backward pass, so that what they give need not be
 * kept. Every number that it computes has the same bits; inputs, outputs and variables are the
 * same. *graph is concrete, with its backward pass, and its first output is the loss; the pass is
 * the last one but for the next (another could join the two runs or lose the order). On failure
 * *graph stays. */
kata_status kata__graph_recompute(kata_graph **graph, kata__arena_of arena_of);

/* Each update of a large parameter whose gradient is a matrix product of its own becomes one node
 * with it (kata:GemmUpdate), unless the arena grows by it; every number keeps its bits. In place,
 * after all other passes: they know the product and the update, not what is made of them. */
kata_status kata__graph_fuse_updates(kata_graph *graph, kata__arena_of arena_of);

#endif
