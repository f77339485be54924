/* Scratch of a kernel: what its chunks share, and what each thread (worker) has for itself.
 *
 * A worker's own is at the same place in all calls of a session, so that it stays in the caches of
 * that worker's core: a line that another core has written last takes ten times as long to fetch.
 */
#ifndef KATA_KERNEL_WORKSPACE_H
#define KATA_KERNEL_WORKSPACE_H

#include <kata/base.h>

typedef struct kata__workspace_size {
    size_t shared, per_thread; /* bytes */
} kata__workspace_size;

typedef struct kata__workspace {
    char *shared, *per_thread; /* each aligned to 64 bytes */
    size_t step;               /* from a worker's to the next one's, at least as many as it needs */
} kata__workspace;

static inline void *kata__per_thread(const kata__workspace *workspace, int worker) {
    return workspace->per_thread + (size_t)worker * workspace->step;
}

static inline size_t kata__workspace_lines(size_t n_bytes) {
    return (n_bytes + 63) / 64 * 64;
}

/* All of it in one block of so many bytes. */
static inline size_t kata__workspace_bytes(const kata_context *context, kata__workspace_size size) {
    return kata__workspace_lines(size.shared) +
           kata__workspace_lines(size.per_thread) * (size_t)kata_context_threads(context);
}

static inline kata__workspace kata__workspace_in(void *block, kata__workspace_size size) {
    return (kata__workspace){block, (char *)block + kata__workspace_lines(size.shared),
                             kata__workspace_lines(size.per_thread)};
}

#endif
