/* The kernels for any processor (on x86-64: SSE2). cmake/kernels.cmake sets this file's flags. */
#define KATA__ISA portable
#define KATA__VECTOR_BYTES 16
#include "kernel/isa_unit.h"
