/* The thread pool: chunks are cut by the problem alone and handed out as workers come. */
#ifndef KATA_BASE_PARALLEL_H
#define KATA_BASE_PARALLEL_H

#include <kata/base.h>

/* Runs function(argument, chunk, worker) once for each chunk in 0..n_chunks-1, on the pool and on
 * the calling thread; returns when all are done. `worker` is in 0..kata_context_threads()-1 and no
 * two chunks that run at the same time share it: use it to pick scratch memory, never to pick work.
 * A chunk must write only to places of its own. Allocates nothing. One call at a time runs on the
 * pool: a nested or concurrent call runs its chunks on the calling thread alone (worker 0 of its
 * own scratch: kernels get scratch per call, so this is safe). Workers spin briefly, then sleep. */
typedef void (*kata__chunk_function)(void *argument, int64_t chunk, int worker);
void kata__parallel(kata_context *context, int64_t n_chunks, kata__chunk_function function,
                    void *argument);

/* Several threads that compute at a time are to get in each other's way neither at the pool nor at
 * the processors: between enter and leave the calling thread counts as one of them, and its chunks
 * run on itself alone if there are not two threads for each. `alone`: in any case (work that is
 * over before another thread has begun). */
typedef struct kata__parallel_mode {
    bool was_alone, is_counted;
} kata__parallel_mode;
kata__parallel_mode kata__parallel_enter(kata_context *context, bool alone);
void kata__parallel_leave(kata_context *context, kata__parallel_mode mode);

/* Whether the thread that has `chunk` in work takes chunk + 1 after it, if no other is faster: for
 * what is to be fetched ahead, never for what is computed. */
bool kata__parallel_follows(const kata_context *context, int64_t n_chunks, int64_t chunk);

/* The pool: up to n_workers threads beside the caller; *n_started says how many there are. */
struct kata__pool;
kata_status kata__pool_new(struct kata__pool **out, kata_context *context, int n_workers,
                           int *n_started);
void kata__pool_free(kata_context *context, struct kata__pool *pool);

#endif
