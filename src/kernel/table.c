/* Picks the kernel table; the tables themselves are made in isa_*.c. */
#include "kernel/table.h"
#include "base/context.h"

extern const kata__kernel_table kata__kernels_portable;
#if defined(__x86_64__)
extern const kata__kernel_table kata__kernels_avx2, kata__kernels_avx512;
#endif

const kata__kernel_table *kata__kernels(const kata_context *context) {
#if defined(__x86_64__)
    switch (context->kernel_level) {
    case KATA__AVX512:
        return &kata__kernels_avx512;
    case KATA__AVX2:
        return &kata__kernels_avx2;
    default:
        break;
    }
#else
    (void)context;
#endif
    return &kata__kernels_portable;
}
