/* What the bodies of one instruction set share. Included once by each src/kernel/isa_*.c, which
 * first defines two macros:
 *
 *   KATA__ISA            the suffix of the unit's table: portable, avx2, avx512
 *   KATA__VECTOR_BYTES   16, 32 or 64
 *
 * Everything in such a unit has internal linkage but its table, so that no function compiled for a
 * higher instruction set can be merged into a lower one. The bodies (src/kernel/body) are written
 * once for a type REAL; kernel/isa_real.h, included before them for each type, names it. */
#ifndef KATA_KERNEL_ISA_H
#define KATA_KERNEL_ISA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if KATA__VECTOR_BYTES > 16
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

#define KATA__PASTE_(a, b) a##_##b
#define KATA__PASTE(a, b) KATA__PASTE_(a, b)

#define KATA__LOCAL static inline __attribute__((always_inline, unused))
#define KATA__UNUSED __attribute__((unused))

/* Full unrolling of a loop whose bounds are constants after inlining. */
#if defined(__clang__)
#define KATA__UNROLL _Pragma("clang loop unroll(full)")
#else
#define KATA__UNROLL _Pragma("GCC unroll 32")
#endif

/* A line that is soon to be written is asked for as the only copy: one that other cores have read
 * (weights, the last batch) would else be taken from them store by store. May point anywhere. */
#if KATA__VECTOR_BYTES > 16
#define KATA__PREFETCH_WRITE(p) __asm__ volatile("prefetchw (%0)" : : "r"(p))
#else
#define KATA__PREFETCH_WRITE(p) __builtin_prefetch((p), 1)
#endif

/* Keeps a vector that is used more than once in a register; the compiler may load it for each use.
 */
#if KATA__VECTOR_BYTES > 16
#define KATA__KEEP(x) __asm__("" : "+v"(x))
#else
#define KATA__KEEP(x) ((void)0)
#endif

/* kata__v_*: a vector; kata__u_*: the same at any address; kata__i_*: the integers that compare
 * gives (-1 true, 0 false). */
typedef float kata__v_f32 __attribute__((vector_size(KATA__VECTOR_BYTES)));
typedef float kata__u_f32 __attribute__((vector_size(KATA__VECTOR_BYTES), aligned(4), may_alias));
typedef int32_t kata__i_f32 __attribute__((vector_size(KATA__VECTOR_BYTES)));
typedef double kata__v_f64 __attribute__((vector_size(KATA__VECTOR_BYTES)));
typedef double kata__u_f64 __attribute__((vector_size(KATA__VECTOR_BYTES), aligned(8), may_alias));
typedef int64_t kata__i_f64 __attribute__((vector_size(KATA__VECTOR_BYTES)));

#endif
