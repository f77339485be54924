/* Helpers for shape rules; every message names the operator, the shapes, what was expected. */
#ifndef KATA_OP_INFER_H
#define KATA_OP_INFER_H

#include "graph/graph.h"

/* Sets of dtypes, for kata__infer_dtype. */
#define KATA__DTYPE(name) (1u << KATA_##name)
#define KATA__FLOATS (KATA__DTYPE(F32) | KATA__DTYPE(F64))
#define KATA__ALL_FLOATS (KATA__FLOATS | KATA__DTYPE(F16) | KATA__DTYPE(BF16))
#define KATA__INDICES (KATA__DTYPE(I32) | KATA__DTYPE(I64))
#define KATA__SIGNED (KATA__ALL_FLOATS | KATA__INDICES | KATA__DTYPE(I8))
#define KATA__UNSIGNED KATA__DTYPE(U8)
#define KATA__NUMBERS (KATA__SIGNED | KATA__UNSIGNED)
#define KATA__INTEGERS (KATA__NUMBERS & ~KATA__ALL_FLOATS)
#define KATA__BOOLS KATA__DTYPE(BOOL)
#define KATA__STORED                                                                               \
    (KATA__DTYPE(I16) | KATA__DTYPE(U16) | KATA__DTYPE(U32) | KATA__DTYPE(U64) | KATA__DTYPE(I4) | \
     KATA__DTYPE(U4) | KATA__DTYPE(F8E4M3FN) | KATA__DTYPE(F8E4M3FNUZ) | KATA__DTYPE(F8E5M2) |     \
     KATA__DTYPE(F8E5M2FNUZ)) /* converted and moved, not computed in */
#define KATA__STRINGS KATA__DTYPE(STRING)
#define KATA__ANY (KATA__NUMBERS | KATA__BOOLS | KATA__STORED)

/* outputs[0] = type of inputs[0]. */
kata_status kata__infer_same(kata_infer *infer);
/* outputs[0] = broadcast of inputs 0 and 1, which must have one dtype. */
kata_status kata__infer_broadcast(kata_infer *infer);
/* KATA_DTYPE unless input i is a float (float32, float64; float16 and bfloat16 if `storage`). */
kata_status kata__infer_float(const kata_infer *infer, int i, bool storage);
/* KATA_DTYPE unless the dtype of input i is in the set; the message lists the set. */
kata_status kata__infer_dtype(const kata_infer *infer, int i, unsigned dtypes);
/* KATA_DTYPE unless inputs i and j have one dtype. */
kata_status kata__infer_one_dtype(const kata_infer *infer, int i, int j);
/* KATA_SHAPE unless input i has this rank. */
kata_status kata__infer_rank(const kata_infer *infer, int i, int rank);
/* Input i is there: given by the node and not the empty name. */
bool kata__infer_has(const kata_infer *infer, int i);
/* Makes axis non-negative for `rank`; KATA_INVALID if outside [-rank, rank). */
kata_status kata__infer_axis(const kata_infer *infer, int64_t axis, int rank, int *out);
/* The same for a list; KATA_INVALID if an axis comes twice. flags[axis] is set for each. */
kata_status kata__infer_axes(const kata_infer *infer, const int64_t *axes, int n, int rank,
                             bool flags[KATA_MAX_RANK]);
/* The int64 or int32 values of a constant input: at most `maximum`; *known is false (and no error)
 * if the input is no constant; *n is then what its type says, -1 if that is unknown too. */
kata_status kata__infer_int64s(const kata_infer *infer, int i, int64_t *values, int maximum, int *n,
                               bool *known);
/* KATA_LIMIT unless output 0 can be addressed: its sizes are unknown or their product fits. */
kata_status kata__infer_fits(const kata_infer *infer);
/* row->free of a state that is one block of kata__alloc. */
void kata__state_free(kata_context *context, void *state);
/* Whether two sizes may be equal when the graph is bound. */
bool kata__size_agrees(int64_t a, int64_t b);
/* What is known of a size that is both: the number, else the name, if there is one. */
int64_t kata__size_meet(int64_t a, int64_t b);

#endif
