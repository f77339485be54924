/* Nodes of older operator sets (row->adapt). */
#ifndef KATA_OP_ADAPT_H
#define KATA_OP_ADAPT_H

#include "graph/graph.h"

/* The attribute of a node that is adapted, NULL if it has none of this name. */
const kata_attribute *kata__adapt_find(const kata_adaptation *a, const char *name);
/* Takes it out; nothing if there is none. */
void kata__adapt_drop(kata_adaptation *a, const char *name);
/* Gives the node an attribute if it has none of this name. */
kata_status kata__adapt_default(kata_adaptation *a, kata_attribute attribute);

/* Before 7, of two operands: B is broadcast where the attribute `broadcast` says so, its axes being
 * those of A from `axis` on (absent: the last ones). */
kata_status kata__adapt_operands(kata_adaptation *a);
/* Before 7, PRelu: a slope for each channel, axis 1. */
kata_status kata__adapt_slope(kata_adaptation *a);
/* Before 13, Softmax and the like: x as a matrix, the axes from `axis` (1) on being its columns. */
kata_status kata__adapt_flattened(kata_adaptation *a);
/* Before 4, Concat: the axis is 1 if it is not given. */
kata_status kata__adapt_concat(kata_adaptation *a);
/* Before 6, Cast: `to` is the name of a type. */
kata_status kata__adapt_cast(kata_adaptation *a);
/* Before 11, Resize: places and nearest numbers are found in another way. */
kata_status kata__adapt_resize(kata_adaptation *a);
/* Before 14, BatchNormalization: further outputs are how it says that it trains. */
kata_status kata__adapt_batch_norm(kata_adaptation *a);
/* Dropout: before 10, the mask is of x's type. */
kata_status kata__adapt_dropout(kata_adaptation *a);

#endif
