/* Kata, base room: status and error detail, context, allocator, log.
 *
 * Every function that can fail returns a kata_status; its outputs come first among the arguments
 * and are untouched on failure unless said otherwise. The text of the last failure on this thread
 * is kata_error_message(): one sentence that says what, where, expected, got and what to do.
 *
 * Getters lend: what they return belongs to its parent. `out` parameters give: the caller frees.
 * Every *_free(NULL) does nothing.
 */
#ifndef KATA_BASE_H
#define KATA_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KATA_VERSION "0.1.0"

#if defined(__GNUC__)
#define KATA_API __attribute__((visibility("default")))
#define KATA_PRINTF(text, first) __attribute__((format(printf, text, first)))
#define KATA_NODISCARD __attribute__((warn_unused_result))
#else
#define KATA_API
#define KATA_PRINTF(text, first)
#define KATA_NODISCARD
#endif

/* X(name, text): the list that the enum and kata_status_name() are made from. */
#define KATA_STATUS_LIST(X)                                                                        \
    X(OK, "ok")                                                                                    \
    X(OUT_OF_MEMORY, "out of memory")                                                              \
    X(INVALID, "invalid argument")                                                                 \
    X(SHAPE, "shape mismatch")                                                                     \
    X(DTYPE, "data type mismatch")                                                                 \
    X(NOT_FOUND, "not found")                                                                      \
    X(IO, "input/output error")                                                                    \
    X(FORMAT, "malformed data")                                                                    \
    X(UNSUPPORTED, "not supported")                                                                \
    X(LIMIT, "limit exceeded")                                                                     \
    X(NON_FINITE, "non-finite value")                                                              \
    X(INTERRUPTED, "interrupted")

typedef enum kata_status {
#define X(name, text) KATA_##name,
    KATA_STATUS_LIST(X)
#undef X
} kata_status;

/* The short text of a status, never NULL. */
KATA_API const char *kata_status_name(kata_status status);

/* The sentence of the last failure on the calling thread, "" if there was none. Lent: valid until
 * the next failing call on this thread. Setting it never allocates. */
KATA_API const char *kata_error_message(void);
KATA_API void kata_error_clear(void);

/* Sets the calling thread's error sentence (printf style) and returns `status`. */
KATA_API kata_status kata_fail(kata_status status, const char *format, ...) KATA_PRINTF(2, 3);

/* Puts "PREFIX: " before the current error sentence (a file name, a layer) and returns `status`. */
KATA_API kata_status kata_fail_in(kata_status status, const char *format, ...) KATA_PRINTF(2, 3);

/* Memory: both functions must be thread-safe. `allocate` returns a block aligned to 64 bytes or
 * NULL; `release` gets the size that was asked for. */
typedef struct kata_allocator {
    void *(*allocate)(void *user, size_t n_bytes);
    void (*release)(void *user, void *block, size_t n_bytes);
    void *user;
} kata_allocator;

typedef enum kata_log_level { KATA_LOG_INFO, KATA_LOG_WARNING, KATA_LOG_ERROR } kata_log_level;

/* Zero is the good default for every member. */
typedef struct kata_context_options {
    const kata_allocator *allocator; /* copied; NULL: aligned_alloc and free */
    int threads;                     /* 0: KATA_THREADS, else the processors this process may use */
    const char *kernels;             /* NULL: KATA_KERNELS, else the best of this processor;
                                        "portable", "avx2", "avx512": at most that one */
    const char *bfloat16; /* NULL: KATA_BFLOAT16, else what is no slower than float32 on this
                             processor; "float32", "plain", "avx512_bf16", "amx" */
    void (*log)(void *user, kata_log_level level, const char *line); /* NULL: stderr */
    void *log_user;
} kata_context_options;

/* A context owns the allocator, the thread pool, the choice of kernels and registered operators.
 * Whatever is made from a context must be freed before it. Results never depend on `threads`. On
 * Linux, where another program takes a processor away, the pool moves its threads and its caller's
 * by setting their affinity masks and setting them back at once: do not change the mask of a thread
 * while it is inside the library. */
typedef struct kata_context kata_context;

KATA_API kata_status kata_context_new(kata_context **out, const kata_context_options *options);
KATA_API void kata_context_free(kata_context *context);

/* The process's own context with default options, made at first use and freed at exit. NULL only
 * when memory is short. */
KATA_API kata_context *kata_context_default(void);

KATA_API int kata_context_threads(const kata_context *context);
/* Bytes that all live blocks of the context take of its allocator, the context's own not counted.
 */
KATA_API size_t kata_context_bytes(const kata_context *context);
/* "portable", "avx2" or "avx512": the kernel table in use. */
KATA_API const char *kata_context_kernels(const kata_context *context);
/* What a model of KATA_PRECISION_BF16 computes its convolutions and large products by: "amx" tiles
 * or "avx512_bf16"'s products of pairs; "plain": bfloat16 numbers widened to float32, slower than
 * float32; "float32": not in bfloat16 at all, because that would be slower on this processor. */
KATA_API const char *kata_context_bfloat16(const kata_context *context);

KATA_API void kata_log(kata_context *context, kata_log_level level, const char *format, ...)
    KATA_PRINTF(3, 4);

/* Counter-based random numbers (Philox4x32-10, Salmon et al. 2011): a function of
 * (seed, stream, step, index), so that no order of calls and no thread count changes them.
 * Uniform is in [0, 1) with 24 bits; normal has mean 0 and variance 1 (Box-Muller). */
KATA_API uint32_t kata_random_bits(uint64_t seed, uint32_t stream, uint64_t step, uint64_t index);
KATA_API float kata_random_uniform(uint64_t seed, uint32_t stream, uint64_t step, uint64_t index);
KATA_API double kata_random_normal(uint64_t seed, uint32_t stream, uint64_t step, uint64_t index);

#ifdef __cplusplus
}
#endif
#endif
