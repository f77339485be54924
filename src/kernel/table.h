/* The kernels of one instruction set, and the choice of a table. */
#ifndef KATA_KERNEL_TABLE_H
#define KATA_KERNEL_TABLE_H

#include "kernel/table_conv_nhwc.h"
#include "kernel/table_conv_nhwc_weight.h"
#include "kernel/table_elementwise.h"
#include "kernel/table_gemm.h"
#include "kernel/table_peak.h"
#include "kernel/table_pool_nhwc.h"
#include "kernel/table_winograd.h"

typedef struct kata__kernel_table {
    const kata__gemm_table *gemm[2]; /* float32, float64 */
    const kata__elementwise_table *elementwise[2];
    const kata__conv_nhwc_table *conv_nhwc;               /* float32 */
    const kata__winograd_table *winograd;                 /* float32 */
    const kata__peak_table *peak[2];                      /* float32, float64 */
    const kata__conv_nhwc_weight_table *conv_nhwc_weight; /* float32 */
    const kata__pool_nhwc_table *pool_nhwc;               /* float32 */
} kata__kernel_table;

/* The table of the context's kernel level. */
const kata__kernel_table *kata__kernels(const kata_context *context);

/* Which of a table's pairs serves a type: KATA_F32 or KATA_F64. */
static inline int kata__kernel_type(kata_dtype dtype) {
    return dtype == KATA_F64 ? 1 : 0;
}

#endif
