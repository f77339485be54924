/* The bfloat16 kernels for AMX tiles (amx_bf16) beside AVX-512's products of pairs.
 * cmake/kernels.cmake sets this file's flags; the tile instructions are written out. */
#if defined(__x86_64__)
#define KATA__ISA amx
#define KATA__VECTOR_BYTES 64
#define KATA__PAIRS
#define KATA__TILES
#include "kernel/isa.h"
#define REAL_BITS 32
#include "kernel/isa_real.h"
#include "kernel/body/window.h"
#include "kernel/body/bfloat16.h"
#endif
