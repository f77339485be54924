/* Shape-rule helpers for operators with weights, windows, labels and state; beside infer.h. */
#ifndef KATA_OP_RULES_H
#define KATA_OP_RULES_H

#include "op/infer.h"

/* Is optional input i there? (kata__infer_has of a call) */
bool kata__call_has(const kata_call *call, int i);
/* float32 and float64: what the fast kernels compute in. */
bool kata__is_fast(kata_dtype dtype);

/* KATA_DTYPE unless each of the inputs first..last that is there has the dtype of input 0. */
kata_status kata__rule_same_dtype(const kata_infer *infer, int first, int last);
/* KATA_SHAPE unless input i is absent or has rank 1 and `size` elements (unknown sizes agree with
 * all). `what` names the input and `each` says what it has one number for ("channel"). */
kata_status kata__rule_vector(const kata_infer *infer, int i, const char *what, int64_t size,
                              const char *each);
/* KATA_SHAPE unless input i has one element. */
kata_status kata__rule_scalar(const kata_infer *infer, int i, const char *what);
/* KATA_SHAPE unless the shapes of inputs i and j agree (unknown sizes agree with all). */
kata_status kata__rule_same_shape(const kata_infer *infer, int i, int j);
/* KATA_SHAPE unless minimum <= rank of input i (<= maximum, if not 0). `layout`: "(N,C,H,W)". */
kata_status kata__rule_rank(const kata_infer *infer, int i, int minimum, int maximum,
                            const char *layout);
/* Product of the sizes first..last-1; -1 if one is unknown. Wraps where the whole shape has an axis
 * of size 0 and these sizes are too large: no loop runs then. */
int64_t kata__product(const kata_shape *shape, int first, int last);

#endif
