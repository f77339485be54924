/* Subnormal numbers: a weight whose gradient is always 0 has an optimiser state that sinks by a
 * factor at every step until it is subnormal, and there it stays. Arithmetic on such numbers is
 * tens of times slower on most processors; nothing is lost by taking them as 0. Sessions compute
 * so, and the pool's workers always in their caller's mode, so that results do not depend on who
 * computes. */
#ifndef KATA_BASE_FLOAT_MODE_H
#define KATA_BASE_FLOAT_MODE_H

#include <stdint.h>

#if defined(__x86_64__) || defined(__SSE2__)
#include <xmmintrin.h>
#endif

/* The calling thread's floating-point mode. */
static inline uint64_t kata__float_mode(void) {
#if defined(__x86_64__) || defined(__SSE2__)
    return _mm_getcsr();
#elif defined(__aarch64__)
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
#else
    return 0;
#endif
}

static inline void kata__float_mode_set(uint64_t mode) {
#if defined(__x86_64__) || defined(__SSE2__)
    _mm_setcsr((unsigned)mode);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(mode));
#else
    (void)mode;
#endif
}

/* Subnormal inputs and results become 0 from here on. Returns the mode before, for
 * kata__float_mode_set. */
static inline uint64_t kata__float_mode_flush(void) {
    uint64_t before = kata__float_mode();
#if defined(__x86_64__) || defined(__SSE2__)
    kata__float_mode_set(before | 0x8040); /* MXCSR: flush to zero, denormals are zero */
#elif defined(__aarch64__)
    kata__float_mode_set(before | (UINT64_C(1) << 24)); /* FPCR.FZ */
#endif
    return before;
}

#endif
