/* The bfloat16 kernels for AVX-512 with its products of pairs (avx512_bf16). cmake/kernels.cmake
 * sets this file's flags. */
#if defined(__x86_64__)
#define KATA__ISA avx512_bf16
#define KATA__VECTOR_BYTES 64
#define KATA__PAIRS
#include "kernel/isa.h"
#define REAL_BITS 32
#include "kernel/isa_real.h"
#include "kernel/body/window.h"
#include "kernel/body/bfloat16.h"
#endif
