/* The kernels for AVX2 with FMA. cmake/kernels.cmake sets this file's flags. */
#if defined(__x86_64__)
#define KATA__ISA avx2
#define KATA__VECTOR_BYTES 32
#include "kernel/isa_unit.h"
#endif
