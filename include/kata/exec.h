/* Kata, exec room: memory plan, session, profile.
 *
 * A session is a bound graph with its memory placed: the peak is known before it runs, and running
 * it allocates nothing.
 */
#ifndef KATA_EXEC_H
#define KATA_EXEC_H

#include <kata/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kata_session kata_session;

typedef struct kata_session_options {
    bool reference; /* run the plain reference kernels only */
    bool
        check_finite; /* stop with KATA_NON_FINITE at the first node that makes a NaN or infinity */
    bool profile;     /* measure each node */
    bool keep_values; /* no value's memory is reused: kata_session_value works for all */
} kata_session_options;

/* Plans the bound graph (no unknown sizes). The graph must outlive the session; it may be shared by
 * several sessions as long as nobody changes it. */
KATA_API kata_status kata_session_new(kata_session **out, const kata_graph *graph,
                                      const kata_session_options *options);
KATA_API void kata_session_free(kata_session *session);

/* The memory of the i-th input and output: write the inputs, run, read the outputs. Valid until the
 * session is freed, but for outputs whose size depends on data: ask for these after each run, they
 * are valid until the next one. A sequence has the dtype KATA_TENSORS, an optional that is empty
 * KATA_NO_DTYPE. Strings are views: the bytes of an input are the caller's and must be UTF-8 and
 * stay until outputs have been read, which may show them. */
KATA_API kata_tensor kata_session_input(kata_session *session, int i);
KATA_API kata_tensor kata_session_output(kata_session *session, int i);
/* Any value's memory: variables, constants, and with keep_values all. data is NULL if it has none.
 */
KATA_API kata_tensor kata_session_value(kata_session *session, kata_value value);

/* Runs all nodes. `seed` and `step` decide the random nodes. The message of a failure names the
 * node. */
KATA_API kata_status kata_session_run(kata_session *session, uint64_t seed, uint64_t step);

/* Bytes: what the plan placed (activations, workspace), and variables beside it. */
KATA_API size_t kata_session_arena_bytes(const kata_session *session);
KATA_API size_t kata_session_variable_bytes(const kata_session *session);

typedef struct kata_profile_row {
    const char *node, *op, *kernel; /* kernel: "reference" or "fast" */
    int64_t calls;
    double seconds;
    double flops; /* of one call; 0 if unknown */
} kata_profile_row;
KATA_API int kata_session_n_profile(const kata_session *session);
KATA_API kata_profile_row kata_session_profile(const kata_session *session, int i);

#ifdef __cplusplus
}
#endif
#endif
