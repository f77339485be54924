/* The thread pool.
 *
 * One job at a time. Its chunks are cut into as many parts as there are threads, and each part's
 * `remaining` counts down. Whoever gets r > 0 from a fetch-and-subtract owns chunk end - r of the
 * part and may read the job: it cannot end, and so not change, before that chunk is counted in
 * `done`. A thread empties its own part, then helps with the others': so chunk i of one job and
 * chunk i of the next, which mostly work on the same memory, meet in the same cache as long as
 * nobody is late. A worker that comes late takes chunks of whatever job there is, or gets r <= 0
 * and does nothing, and no call waits for a worker that has not taken part (it may be off its
 * processor for a long time).
 *
 * A call costs some cache lines that change hands: the job, each part's count, which its thread
 * watches, and `done`, which the caller watches. `done` is never set back: the caller knows what it
 * was.
 *
 * Waiting is a spin, then sleep on a condition variable. The two flags that tell whether anyone
 * sleeps (`n_sleeping`, `caller_sleeps`) and what they wait for (`remaining`, `done`) are written
 * and read in sequentially consistent order, so that either the waker sees the sleeper or the
 * sleeper the news.
 *
 * Where another program wants a processor too, a thread may lose its own in the middle of a chunk,
 * and all others would wait for its turn to come again, some milliseconds. So whoever has waited
 * for PATIENCE_NS looks whether a thread that has a chunk still runs, and if it does not, lets it
 * have its own processor meanwhile (`caller_fetches`, `worker_fetches`). Afterwards the worker
 * goes where there is more company: the caller has all the serial work. */
#include "base/parallel.h"
#include "base/clock.h"
#include "base/context.h"
#include "base/float_mode.h"
#include "base/memory.h"
#include "base/processor.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

/* SPIN_NS is about what waking a sleeper costs; PATIENCE_NS and GLANCE_NS are some chunks and some
 * system calls; STARE_NS is how long the caller watches chunks that do run. */
enum { SPIN_NS = 150000, PATIENCE_NS = 20000, GLANCE_NS = 5000, STARE_NS = 2000000 };
enum { CACHE_LINE = 64, SPINS = 32 };

struct worker {
    struct kata__pool *pool;
    pthread_t thread;
    int number; /* 1..n_workers; the caller is 0 */
    kata__thread self;
    _Alignas(CACHE_LINE) _Atomic int64_t remaining; /* chunks of this worker's part */
    _Alignas(CACHE_LINE) _Atomic bool has_chunk;
    _Atomic bool fetched; /* by the caller, on whose processor it is */
};

struct kata__pool {
    /* The job: written by the caller before any `remaining`. */
    kata__chunk_function function;
    void *argument;
    uint64_t float_mode; /* the caller's */
    int64_t n_chunks;
    _Alignas(CACHE_LINE) _Atomic int64_t remaining; /* chunks of the caller's part */
    _Alignas(CACHE_LINE) _Atomic int64_t done;      /* chunks that workers have ever done */
    /* The caller's own. */
    _Alignas(CACHE_LINE) _Atomic bool busy; /* a call runs on the pool */
    _Atomic bool caller_has_chunk;
    kata__thread caller;
    int64_t done_before;
    /* Rarely written. */
    _Alignas(CACHE_LINE) _Atomic bool stop;
    _Atomic int n_callers; /* between kata__parallel_enter and leave */
    _Atomic bool caller_sleeps;
    _Atomic int n_sleeping;
    _Atomic int caller_processor;   /* when it last woke someone */
    _Atomic bool caller_is_watched; /* by a worker that may fetch it: it must not end */
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

static _Atomic int64_t *remaining_of(struct kata__pool *pool, int part) {
    return part == 0 ? &pool->remaining : &pool->worker[part - 1].remaining;
}

/* Part p of n chunks begins at ceil(n p / parts): with few chunks the first threads have them. */
static int64_t part_start(int64_t n_chunks, int part, int n_parts) {
    return n_chunks / n_parts * part + (n_chunks % n_parts * part + n_parts - 1) / n_parts;
}

/* Takes chunks of the thread's own part and then of the others; how many. `has_chunk` says so to
 * who waits. */
static int64_t take_chunks(struct kata__pool *pool, int number, _Atomic bool *has_chunk) {
    const int n_parts = pool->n_workers + 1;
    int64_t taken = 0, left;
    for (int i = 0, part = number; i < n_parts; i++, part = part + 1 < n_parts ? part + 1 : 0) {
        _Atomic int64_t *remaining = remaining_of(pool, part);
        if (i > 0 && atomic_load_explicit(remaining, memory_order_relaxed) <= 0) {
            continue;
        }
        while ((left = atomic_fetch_sub_explicit(remaining, 1, memory_order_acquire)) > 0) {
            if (taken++ == 0 && has_chunk != NULL) {
                atomic_store_explicit(has_chunk, true, memory_order_release);
                kata__float_mode_set(pool->float_mode);
            }
            const int64_t end = part_start(pool->n_chunks, part + 1, n_parts);
            pool->function(pool->argument, end - left, number);
        }
    }
    return taken;
}

static void run_chunks(struct kata__pool *pool, struct worker *worker) {
    const int64_t taken = take_chunks(pool, worker->number, &worker->has_chunk);
    if (taken == 0) {
        return;
    }
    atomic_store_explicit(&worker->has_chunk, false, memory_order_relaxed);
    atomic_fetch_add(&pool->done, taken);
    if (atomic_load(&pool->caller_sleeps)) {
        pthread_mutex_lock(&pool->mutex);
        pthread_mutex_unlock(&pool->mutex);
        pthread_cond_signal(&pool->finished);
    }
    if (atomic_load_explicit(&worker->fetched, memory_order_relaxed)) {
        atomic_store_explicit(&worker->fetched, false, memory_order_relaxed);
        kata__thread_leave();
    }
}

/* Whether a thread that has a chunk stands still. */
static bool stands(kata__thread thread, const _Atomic bool *has_chunk) {
    if (!atomic_load_explicit(has_chunk, memory_order_acquire)) {
        return false;
    }
    const uint64_t before = kata__thread_ns(thread), end = kata__clock_ns() + GLANCE_NS;
    while (kata__clock_ns() < end) {
        relax();
    }
    return before != 0 && atomic_load_explicit(has_chunk, memory_order_relaxed) &&
           kata__thread_ns(thread) == before;
}

/* --- a worker's waiting ----------------------------------------------------------------------- */

/* Something to do for a worker that is awake: in its own part; or the end. */
static bool is_called(const struct worker *worker) {
    return atomic_load_explicit(&worker->remaining, memory_order_acquire) > 0 ||
           atomic_load_explicit(&worker->pool->stop, memory_order_relaxed);
}

/* In any part: a reason to wake. */
static bool has_work(struct kata__pool *pool) {
    for (int part = 0; part <= pool->n_workers; part++) {
        if (atomic_load(remaining_of(pool, part)) > 0) {
            return true;
        }
    }
    return atomic_load(&pool->stop);
}

/* The caller has a chunk but no processor: it gets this one, and the worker takes its place in the
 * queue. */
static bool worker_fetches(struct kata__pool *pool) {
    if (!atomic_load_explicit(&pool->caller_has_chunk, memory_order_relaxed) ||
        atomic_exchange(&pool->caller_is_watched, true)) {
        return false;
    }
    /* If it has the chunk still, it does not leave its call while it is watched. */
    const bool brought = atomic_load(&pool->caller_has_chunk) &&
                         stands(pool->caller, &pool->caller_has_chunk) &&
                         kata__thread_bring(pool->caller);
    atomic_store(&pool->caller_is_watched, false);
    if (brought) {
        kata__thread_leave();
    }
    return brought;
}

static void wait_for_call(struct worker *worker) {
    struct kata__pool *pool = worker->pool;
    if (pool->spin_ns > 0) {
        uint64_t now = kata__clock_ns(), end = now + pool->spin_ns, look = now + PATIENCE_NS;
        do {
            for (int i = 0; i < SPINS; i++) {
                if (is_called(worker)) {
                    return;
                }
                relax();
            }
            now = kata__clock_ns();
            if (now >= look) {
                const bool moved = worker_fetches(pool);
                now = kata__clock_ns();
                look = now + PATIENCE_NS;
                end = moved ? now + pool->spin_ns : end;
            }
        } while (now < end);
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->n_sleeping, 1);
    while (!has_work(pool)) {
        pthread_cond_wait(&pool->work, &pool->mutex);
    }
    atomic_fetch_sub(&pool->n_sleeping, 1);
    pthread_mutex_unlock(&pool->mutex);
    /* The system likes to put who wakes beside who woke it, and one of the two to sleep. */
    if (pool->spin_ns > 0 &&
        kata__thread_processor() ==
            atomic_load_explicit(&pool->caller_processor, memory_order_relaxed)) {
        kata__thread_leave();
    }
}

static void *worker_main(void *argument) {
    struct worker *self = argument;
    struct kata__pool *pool = self->pool;
    pthread_mutex_lock(&pool->mutex); /* until it is known how many there are */
    pthread_mutex_unlock(&pool->mutex);
    self->self = kata__thread_self();
    while (!atomic_load(&pool->stop)) {
        wait_for_call(self);
        run_chunks(pool, self);
    }
    return NULL;
}

/* --- the caller's ----------------------------------------------------------------------------- */

static void wake(struct kata__pool *pool) {
    atomic_store_explicit(&pool->caller_processor, kata__thread_processor(), memory_order_relaxed);
    /* Through the lock, so that whoever has counted itself asleep waits by now; the signal after
     * it, so that whoever wakes finds it free. */
    pthread_mutex_lock(&pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
    pthread_cond_broadcast(&pool->work);
}

/* Brings workers that have a chunk and stand still to this processor, which the caller leaves to
 * them by going to sleep. */
static bool caller_fetches(struct kata__pool *pool) {
    bool brought = false;
    for (int i = 0; i < pool->n_workers && !brought; i++) {
        struct worker *worker = &pool->worker[i];
        if (stands(worker->self, &worker->has_chunk)) {
            atomic_store_explicit(&worker->fetched, true, memory_order_relaxed);
            brought = kata__thread_bring(worker->self);
            if (!brought) {
                atomic_store_explicit(&worker->fetched, false, memory_order_relaxed);
            }
        }
    }
    return brought;
}

static void wait_until_done(struct kata__pool *pool, int64_t done) {
    if (pool->spin_ns > 0) {
        const uint64_t start = kata__clock_ns();
        uint64_t look = start + PATIENCE_NS, now;
        bool sleep = false;
        do {
            for (int i = 0; i < SPINS; i++) {
                if (atomic_load_explicit(&pool->done, memory_order_acquire) == done) {
                    return;
                }
                relax();
            }
            now = kata__clock_ns();
            if (now >= look) {
                sleep = caller_fetches(pool);
                look = kata__clock_ns() + PATIENCE_NS;
            }
        } while (!sleep && now < start + STARE_NS);
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->caller_sleeps, true);
    while (atomic_load(&pool->done) != done) {
        pthread_cond_wait(&pool->finished, &pool->mutex);
    }
    atomic_store(&pool->caller_sleeps, false);
    pthread_mutex_unlock(&pool->mutex);
}

static _Thread_local bool is_alone;

kata__parallel_mode kata__parallel_enter(kata_context *context, bool alone) {
    kata__parallel_mode mode = {.was_alone = is_alone};
    struct kata__pool *pool = context->pool;
    if (pool != NULL && !alone) {
        const int n = 1 + atomic_fetch_add_explicit(&pool->n_callers, 1, memory_order_relaxed);
        mode.is_counted = true;
        alone = n > 1 && pool->n_workers + 1 < 2 * n;
    }
    is_alone = alone || mode.was_alone;
    return mode;
}

void kata__parallel_leave(kata_context *context, kata__parallel_mode mode) {
    if (mode.is_counted) {
        atomic_fetch_sub_explicit(&context->pool->n_callers, 1, memory_order_relaxed);
    }
    is_alone = mode.was_alone;
}

void kata__parallel(kata_context *context, int64_t n_chunks, kata__chunk_function function,
                    void *argument) {
    struct kata__pool *pool = context->pool;
    if (n_chunks <= 1 || pool == NULL || is_alone ||
        atomic_exchange_explicit(&pool->busy, true, memory_order_acquire)) {
        for (int64_t chunk = 0; chunk < n_chunks; chunk++) {
            function(argument, chunk, 0);
        }
        return;
    }
    pool->caller = kata__thread_self();
    atomic_store_explicit(&pool->caller_has_chunk, true, memory_order_release);
    pool->function = function;
    pool->argument = argument;
    pool->float_mode = kata__float_mode();
    pool->n_chunks = n_chunks;
    /* Chunk 0 is the caller's without asking. The others' parts first, so that they can begin. */
    const int n_parts = pool->n_workers + 1;
    int64_t start = part_start(n_chunks, 1, n_parts);
    const int64_t mine = start - 1;
    for (int part = 1; part < n_parts; part++) {
        const int64_t end = part_start(n_chunks, part + 1, n_parts);
        atomic_store_explicit(&pool->worker[part - 1].remaining, end - start, memory_order_release);
        start = end;
    }
    atomic_store(&pool->remaining, mine);
    if (atomic_load(&pool->n_sleeping) > 0) {
        wake(pool);
    }
    function(argument, 0, 0);
    const int64_t taken = 1 + take_chunks(pool, 0, NULL);
    atomic_store(&pool->caller_has_chunk, false);
    pool->done_before += n_chunks - taken;
    if (atomic_load_explicit(&pool->done, memory_order_acquire) != pool->done_before) {
        wait_until_done(pool, pool->done_before);
    }
    while (atomic_load(&pool->caller_is_watched)) { /* some microseconds, hardly ever */
        relax();
    }
    atomic_store_explicit(&pool->busy, false, memory_order_release);
}

bool kata__parallel_follows(const kata_context *context, int64_t n_chunks, int64_t chunk) {
    const int n_parts = context->pool != NULL ? context->pool->n_workers + 1 : 1;
    for (int part = 1; part <= n_parts; part++) {
        const int64_t end = part_start(n_chunks, part, n_parts);
        if (chunk < end) {
            return chunk + 1 < end;
        }
    }
    return false;
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
    pthread_mutex_lock(&pool->mutex);
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
    pthread_mutex_unlock(&pool->mutex);
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
