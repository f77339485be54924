/* One instruction set's kernels: the bodies for each type, and the table of them. Included once by
 * each isa_*.c. */
#include "kernel/isa.h"
#include "kernel/table.h"

#define REAL_BITS 32
#include "kernel/isa_real.h"
#include "kernel/body/all.h"
#undef REAL_BITS

#define REAL_BITS 64
#include "kernel/isa_real.h"
#include "kernel/body/all.h"
#undef REAL_BITS

extern const kata__kernel_table KATA__PASTE(kata__kernels, KATA__ISA);
const kata__kernel_table KATA__PASTE(kata__kernels, KATA__ISA) = {
    .gemm = {&kata__gemm_f32, &kata__gemm_f64},
    .elementwise = {&kata__elementwise_f32, &kata__elementwise_f64},
    .conv_nhwc = &kata__conv_nhwc_f32,
    .winograd = &kata__winograd_f32,
    .peak = {&kata__peak_f32, &kata__peak_f64},
    .conv_nhwc_weight = &kata__conv_nhwc_weight_f32,
    .pool_nhwc = &kata__pool_nhwc,
};
