/* The kernels for AVX-512 F, BW, DQ and VL. cmake/kernels.cmake sets this file's flags. */
#if defined(__x86_64__)
#define KATA__ISA avx512
#define KATA__VECTOR_BYTES 64
#include "kernel/isa_unit.h"
#endif
