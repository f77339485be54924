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

#endif
