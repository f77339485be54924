/* The thread pool.
 *
 * One job at a time: `remaining` counts its chunks down. Whoever gets r > 0 from a
 * fetch-and-subtract owns chunk n_chunks - r of the job of that moment and may read the job: it
 * cannot end, and so not change, before that chunk is counted in `done`. A worker that comes late
 * therefore takes chunks of whatever job there is, or gets r <= 0 and does nothing, and no call
 * waits for a worker that has not taken part (it may be off its processor for a long time).
 *
 * Waiting is a short spin, then sleep on a condition variable. The two flags that tell whether
 * anyone sleeps (`n_sleeping`, `caller_sleeps`) and what they wait for (`call`, `done`) are written
 * and read in sequentially consistent order, so that either the waker sees the sleeper or the
 * sleeper the news. */
#include "base/parallel.h"
#include "base/clock.h"
#include "base/context.h"
#include "base/float_mode.h"
#include "base/memory.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

enum { SPIN_NS = 40000, CACHE_LINE = 64 };

struct worker {
    struct kata__pool *pool;
    pthread_t thread;
    int number; /* 1..n_workers; the caller is 0 */
};

struct kata__pool {
    /* The job: written by the caller before `remaining`. */
    kata__chunk_function function;
    void *argument;
    uint64_t float_mode; /* the caller's */
    int64_t n_chunks;
    _Alignas(CACHE_LINE) _Atomic int64_t remaining;
    _Alignas(CACHE_LINE) _Atomic int64_t done;
    _Alignas(CACHE_LINE) _Atomic uint64_t call; /* number of calls so far: news for the workers */
    _Atomic bool stop;
    _Alignas(CACHE_LINE) _Atomic bool busy; /* a call runs on the pool */
    _Atomic bool caller_sleeps;
    _Atomic int n_sleeping;
    pthread_mutex_t mutex;
    pthread_cond_t work, finished;
    int n_workers;
    uint64_t spin_ns;
    struct worker worker[];
};

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Takes chunks until none is left; the number taken, and in *n_chunks the size of the job they were
 * of. All are of one job: it does not end before they are counted. */
static int64_t take_chunks(struct kata__pool *pool, int worker, int64_t *n_chunks) {
    int64_t taken = 0, left;
    while ((left = atomic_fetch_sub_explicit(&pool->remaining, 1, memory_order_acquire)) > 0) {
        *n_chunks = pool->n_chunks;
        if (taken == 0 && worker > 0) {
            kata__float_mode_set(pool->float_mode);
        }
        pool->function(pool->argument, *n_chunks - left, worker);
        taken++;
    }
    return taken;
}

static void work(struct kata__pool *pool, int number) {
    int64_t n_chunks = 0, taken = take_chunks(pool, number, &n_chunks);
    if (taken > 0 && atomic_fetch_add(&pool->done, taken) + taken == n_chunks &&
        atomic_load(&pool->caller_sleeps)) {
        pthread_mutex_lock(&pool->mutex);
        pthread_mutex_unlock(&pool->mutex);
        pthread_cond_signal(&pool->finished);
    }
}

/* Waits for a call after `seen`. */
static uint64_t wait_for_call(struct kata__pool *pool, uint64_t seen) {
    uint64_t call;
    if (pool->spin_ns > 0) {
        uint64_t end = kata__clock_ns() + pool->spin_ns;
        do {
            for (int i = 0; i < 32; i++) {
                call = atomic_load_explicit(&pool->call, memory_order_acquire);
                if (call != seen) {
                    return call;
                }
                relax();
            }
        } while (kata__clock_ns() < end);
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->n_sleeping, 1);
    while ((call = atomic_load(&pool->call)) == seen) {
        pthread_cond_wait(&pool->work, &pool->mutex);
    }
    atomic_fetch_sub(&pool->n_sleeping, 1);
    pthread_mutex_unlock(&pool->mutex);
    return call;
}

static void *worker_main(void *argument) {
    struct worker *self = argument;
    struct kata__pool *pool = self->pool;
    uint64_t seen = 0;
    while (!atomic_load(&pool->stop)) {
        work(pool, self->number);
        seen = wait_for_call(pool, seen);
    }
    return NULL;
}

/* Makes the call known and wakes as many sleepers as there are chunks for. */
static void announce(struct kata__pool *pool, int64_t n_wanted) {
    atomic_fetch_add(&pool->call, 1);
    if (atomic_load(&pool->n_sleeping) == 0) {
        return;
    }
    /* Through the lock, so that whoever has counted itself asleep waits by now; the signal after
     * it, so that whoever wakes finds it free. */
    pthread_mutex_lock(&pool->mutex);
    int n_sleeping = atomic_load(&pool->n_sleeping);
    pthread_mutex_unlock(&pool->mutex);
    if (n_wanted >= n_sleeping) {
        pthread_cond_broadcast(&pool->work);
        return;
    }
    for (int64_t i = 0; i < n_wanted; i++) {
        pthread_cond_signal(&pool->work);
    }
}

static void wait_until_done(struct kata__pool *pool, int64_t n_chunks) {
    if (pool->spin_ns > 0) {
        uint64_t end = kata__clock_ns() + pool->spin_ns;
        do {
            for (int i = 0; i < 32; i++) {
                if (atomic_load_explicit(&pool->done, memory_order_acquire) == n_chunks) {
                    return;
                }
                relax();
            }
        } while (kata__clock_ns() < end);
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->caller_sleeps, true);
    while (atomic_load(&pool->done) != n_chunks) {
        pthread_cond_wait(&pool->finished, &pool->mutex);
    }
    atomic_store(&pool->caller_sleeps, false);
    pthread_mutex_unlock(&pool->mutex);
}

void kata__parallel(kata_context *context, int64_t n_chunks, kata__chunk_function function,
                    void *argument) {
    struct kata__pool *pool = context->pool;
    if (n_chunks <= 1 || pool == NULL ||
        atomic_exchange_explicit(&pool->busy, true, memory_order_acquire)) {
        for (int64_t chunk = 0; chunk < n_chunks; chunk++) {
            function(argument, chunk, 0);
        }
        return;
    }
    pool->function = function;
    pool->argument = argument;
    pool->float_mode = kata__float_mode();
    pool->n_chunks = n_chunks;
    atomic_store_explicit(&pool->done, 0, memory_order_relaxed);
    atomic_store_explicit(&pool->remaining, n_chunks, memory_order_release);
    announce(pool, n_chunks - 1);
    int64_t same, taken = take_chunks(pool, 0, &same);
    if (atomic_fetch_add(&pool->done, taken) + taken != n_chunks) {
        wait_until_done(pool, n_chunks);
    }
    atomic_store_explicit(&pool->busy, false, memory_order_release);
}

kata_status kata__pool_new(struct kata__pool **out, kata_context *context, int n_workers,
                           int *n_started) {
    struct kata__pool *pool =
        kata__alloc_zero(context, 1, sizeof *pool + (size_t)n_workers * sizeof pool->worker[0]);
    if (pool == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    if (pthread_mutex_init(&pool->mutex, NULL) != 0) {
        goto no_mutex;
    }
    if (pthread_cond_init(&pool->work, NULL) != 0) {
        goto no_work;
    }
    if (pthread_cond_init(&pool->finished, NULL) != 0) {
        goto no_finished;
    }
    /* With more threads than processors a spin only keeps the others from running. */
    pool->spin_ns = n_workers < kata__cpu_count() ? SPIN_NS : 0;

    /* Signals are the program's: none is delivered to a worker. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 0; i < n_workers; i++) {
        struct worker *worker = &pool->worker[i];
        *worker = (struct worker){.pool = pool, .number = i + 1};
        if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0) {
            break;
        }
        pool->n_workers++;
#if defined(__linux__) && defined(_GNU_SOURCE)
        pthread_setname_np(worker->thread, "kata-worker");
#endif
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    *n_started = pool->n_workers;
    *out = pool;
    return KATA_OK;

no_finished:
    pthread_cond_destroy(&pool->work);
no_work:
    pthread_mutex_destroy(&pool->mutex);
no_mutex:
    kata__free(context, pool);
    return kata_fail(KATA_OUT_OF_MEMORY, "the system has no more locks for a thread pool");
}

void kata__pool_free(kata_context *context, struct kata__pool *pool) {
    if (pool == NULL) {
        return;
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->stop, true);
    atomic_fetch_add(&pool->call, 1);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
    for (int i = 0; i < pool->n_workers; i++) {
        pthread_join(pool->worker[i].thread, NULL);
    }
    pthread_cond_destroy(&pool->finished);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->mutex);
    kata__free(context, pool);
}
