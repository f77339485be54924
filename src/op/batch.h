/* Where the batch axis goes: the rules that rows give as `batch` (kata_batch in kata/op.h). */
#ifndef KATA_OP_BATCH_H
#define KATA_OP_BATCH_H

#include <kata/op.h>

/* By the flags of the row: what a row without a rule means. */
void kata__batch_by_flags(kata_batch *batch);

/* Input 0 has its samples on the first axis, output 0 too; the other inputs are weights. */
void kata__batch_first(kata_batch *batch);
/* Input 0 is a table whose rows are the samples, and each output has something for each row. */
void kata__batch_rows(kata_batch *batch);
/* The attribute `axis` is the one along which elements meet: the samples may be on any other. */
void kata__batch_along(kata_batch *batch);

void kata__batch_Reduce(kata_batch *batch);
void kata__batch_Arg(kata_batch *batch);
void kata__batch_CumSum(kata_batch *batch);
void kata__batch_Transpose(kata_batch *batch);
void kata__batch_Concat(kata_batch *batch);
void kata__batch_Slice(kata_batch *batch);
void kata__batch_Gather(kata_batch *batch);
void kata__batch_GatherElements(kata_batch *batch);
void kata__batch_GatherND(kata_batch *batch);
void kata__batch_ScatterElements(kata_batch *batch);
void kata__batch_ScatterND(kata_batch *batch);
void kata__batch_Pad(kata_batch *batch);
void kata__batch_Expand(kata_batch *batch);
void kata__batch_Tile(kata_batch *batch);
void kata__batch_Resize(kata_batch *batch);
void kata__batch_CenterCropPad(kata_batch *batch);
void kata__batch_Trilu(kata_batch *batch);
void kata__batch_ReverseSequence(kata_batch *batch);
void kata__batch_OneHot(kata_batch *batch);
void kata__batch_MatMul(kata_batch *batch);
void kata__batch_Gemm(kata_batch *batch);
void kata__batch_BatchNormalization(kata_batch *batch);
void kata__batch_LayerNormalization(kata_batch *batch);
void kata__batch_Dropout(kata_batch *batch);

#endif
