/* The memory plan: where every value of a bound graph lives, and the peak, before anything runs. */
#ifndef KATA_EXEC_PLAN_H
#define KATA_EXEC_PLAN_H

#include <kata/exec.h>
#include "graph/graph.h"

/* Where the elements of a value are. Values that share memory (views, in-place results, updates)
 * have the same root. */
typedef struct kata__place {
    int32_t root;  /* id of the value whose memory this is */
    size_t offset; /* of a root in the arena, if in_arena */
    bool in_arena; /* false: a variable or a constant of the graph */
} kata__place;

typedef struct kata__plan {
    kata__place *places;      /* by value id */
    size_t *workspace_offset; /* by node index */
    size_t *workspace_bytes;
    size_t per_thread_offset, per_thread_step; /* where the first worker's scratch is, and from one
                                    to the next: the most that any node asks for */
    bool *prepared; /* by value id: made by a node of variables and constants alone, in a graph that
                       prepares; kept from run to run */
    size_t arena_bytes;
    const bool *is_dynamic; /* by node index: not planned; NULL: none. Lent */
} kata__plan;

/* Of a node whose inputs' `prepared` is known: it needs to run only when variables change. */
bool kata__plan_prepares(const kata__plan *plan, const kata_graph *graph, const kata__node *node);

/* Lifetimes of values, then offsets: the largest first, each at the lowest place that is free
 * during its whole life (greedy by size). keep: no memory is reused. apart: prepared values have no
 * place here (exec/prepared.h). is_dynamic: nodes that are not planned, NULL: none. */
kata_status kata__plan_make(kata__plan *plan, const kata_graph *graph, bool keep, bool apart,
                            const bool *is_dynamic);
/* The arena of a graph, planned and forgotten. */
kata_status kata__plan_arena_bytes(size_t *n_bytes, const kata_graph *graph);
void kata__plan_free(kata__plan *plan, kata_context *context);

#endif
