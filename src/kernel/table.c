/* Picks the kernel table; the tables themselves are made in isa_*.c. */
#include "kernel/table.h"
#include "base/context.h"
#include "kernel/table_bfloat16.h"

#if defined(__x86_64__) && !defined(KATA__PORTABLE_ONLY) /* fuzz builds: cmake/kernels.cmake */
#define HAS_LEVELS
#endif

extern const kata__kernel_table kata__kernels_portable;
#ifdef HAS_LEVELS
extern const kata__kernel_table kata__kernels_avx2, kata__kernels_avx512;
#endif

extern const kata__bfloat16_table kata__bfloat16_portable;
#ifdef HAS_LEVELS
extern const kata__bfloat16_table kata__bfloat16_avx2, kata__bfloat16_avx512,
    kata__bfloat16_avx512_bf16, kata__bfloat16_amx;
#endif

const kata__kernel_table *kata__kernels(const kata_context *context) {
#ifdef HAS_LEVELS
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

const kata__bfloat16_table *kata__bfloat16_kernels(const kata_context *context) {
#ifdef HAS_LEVELS
    switch (context->bfloat16_level) {
    case KATA__BFLOAT16_AMX:
        return &kata__bfloat16_amx;
    case KATA__BFLOAT16_AVX512:
        return &kata__bfloat16_avx512_bf16;
    default:
        break;
    }
    switch (context->kernel_level) {
    case KATA__AVX512:
        return &kata__bfloat16_avx512;
    case KATA__AVX2:
        return &kata__bfloat16_avx2;
    default:
        break;
    }
#else
    (void)context;
#endif
    return &kata__bfloat16_portable;
}
