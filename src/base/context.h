/* What a context holds. */
#ifndef KATA_BASE_CONTEXT_H
#define KATA_BASE_CONTEXT_H

#include <kata/base.h>

typedef enum kata__kernel_level {
    KATA__PORTABLE,
    KATA__AVX2,
    KATA__AVX512,
    KATA__LEVELS
} kata__kernel_level;

/* What KATA_PRECISION_BF16 multiplies by, beside the kernel level: nothing but float32; bfloat16
 * numbers widened to float32 (any processor); AVX-512's dot products of pairs; AMX tiles. The
 * latter two only with KATA__AVX512. */
typedef enum kata__bfloat16_level {
    KATA__BFLOAT16_NONE,
    KATA__BFLOAT16_PLAIN,
    KATA__BFLOAT16_AVX512,
    KATA__BFLOAT16_AMX,
    KATA__BFLOAT16_LEVELS
} kata__bfloat16_level;

struct kata__pool;

struct kata_context {
    kata_allocator allocator;
    struct kata__pool *pool;
    int threads;
    kata__kernel_level kernel_level;
    kata__bfloat16_level bfloat16_level;
    void (*log)(void *user, kata_log_level level, const char *line);
    void *log_user;
    const void **registered_operators; /* kata_op rows added from outside the library (graph room):
                                          a block of kata__alloc, freed with the context */
    int n_registered_operators;
    size_t n_bytes; /* of the live blocks of kata__alloc; changed atomically */
};

enum { KATA__MAX_THREADS = 1024 };

/* The processors that this process may use: its affinity, and a control group's quota if less. */
int kata__cpu_count(void);

/* The best level that this processor and its operating system support. */
kata__kernel_level kata__cpu_level(void);
/* KATA__BFLOAT16_PLAIN where it multiplies no bfloat16. */
kata__bfloat16_level kata__cpu_bfloat16_level(void);
/* The level that is no slower than float32 on this processor; KATA__BFLOAT16_NONE if there is none.
 * A property of the processor's kind and no measurement: the same machine gives the same bits. */
kata__bfloat16_level kata__cpu_bfloat16_choice(void);
/* The same of a processor that has `there`: its vendor as CPUID spells it, its family. */
kata__bfloat16_level kata__bfloat16_choice(const char *vendor, unsigned family,
                                           kata__bfloat16_level there);
/* "AMD EPYC …", "" if unknown; and the flags that matter ("avx2 fma avx512f …"). Static text. */
const char *kata__cpu_name(void);
const char *kata__cpu_features(void);

#endif
