/* The dynamic part of a session: nodes whose outputs have sizes that depend on data, and all that
 * depend on them. They run after the planned part, one by one: types are inferred again from the
 * values that are there, then memory is taken and the kernel chosen. */
#ifndef KATA_EXEC_DYNAMIC_H
#define KATA_EXEC_DYNAMIC_H

#include "exec/plan.h"
#include "op/run.h"

typedef struct kata__dynamic kata__dynamic;

typedef struct kata__dynamic_options {
    bool reference, check_finite;
} kata__dynamic_options;

/* is_dynamic[i] for each node of the graph: whether it belongs to the dynamic part; *n: how many.
 */
void kata__dynamic_find(const kata_graph *graph, bool *is_dynamic, size_t *n);

kata_status kata__dynamic_new(kata__dynamic **out, const kata_graph *graph,
                              const kata__dynamic_options *options);
void kata__dynamic_free(kata__dynamic *dynamic);

/* Runs these nodes on the graph's tensors, by value id; sets those of their outputs, which are
 * valid until the next run. */
kata_status kata__dynamic_run(kata__dynamic *dynamic, const bool *is_dynamic, kata_tensor *tensors,
                              kata_call_random now);

/* Bytes that the dynamic part holds at present. */
size_t kata__dynamic_bytes(const kata__dynamic *dynamic);

#endif
