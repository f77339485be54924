/* What is known of the elements of short integer tensors (row->elements): shapes that a graph takes
 * apart and puts together again. */
#ifndef KATA_OP_ELEMENTS_H
#define KATA_OP_ELEMENTS_H

#include "op/infer.h"

/* The elements of input i, of a constant or of a value of which something is known. False: nothing
 * is. */
bool kata__infer_elements(const kata_infer *infer, int i, kata_elements *out);

/* Rules. */
bool kata__elements_Shape(const kata_infer *infer, int start, int end, kata_elements *out);
bool kata__elements_Size(const kata_infer *infer, kata_elements *out);
bool kata__elements_same(const kata_infer *infer, kata_elements *out); /* those of input 0 */
bool kata__elements_Constant(const kata_infer *infer, kata_elements *out);
bool kata__elements_ConstantOfShape(const kata_infer *infer, kata_elements *out);
bool kata__elements_Concat(const kata_infer *infer, kata_elements *out);
bool kata__elements_Gather(const kata_infer *infer, kata_elements *out);
bool kata__elements_Slice(const kata_infer *infer, kata_elements *out);
bool kata__elements_Add(const kata_infer *infer, kata_elements *out);
bool kata__elements_Sub(const kata_infer *infer, kata_elements *out);
bool kata__elements_Mul(const kata_infer *infer, kata_elements *out);
bool kata__elements_Div(const kata_infer *infer, kata_elements *out);
bool kata__elements_Equal(const kata_infer *infer, kata_elements *out);
bool kata__elements_Where(const kata_infer *infer, kata_elements *out);

#endif
