/* The operator table, made from rows.h. */
#include "graph/graph.h"

#define KATA__ROW(name) extern const kata_op kata__op_##name;
#include "op/rows.h"
#undef KATA__ROW

const kata_op *const kata__standard_rows[] = {
#define KATA__ROW(name) &kata__op_##name,
#include "op/rows.h"
#undef KATA__ROW
    NULL};
