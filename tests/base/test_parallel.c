/* The thread pool under load: every chunk once, no shared worker, nested and concurrent calls. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/context.h"
#include "base/parallel.h"
#include "support/counting_allocator.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST = 4096 };

struct job {
    kata_context *context;
    int64_t n_chunks;
    int result[MOST];      /* written without atomics: a chunk's own place */
    atomic_int inside[64]; /* chunks running as worker i */
    atomic_bool shared;    /* two at once as one worker, or a worker out of range */
    int n_workers;
    int64_t work;
};

static void mark(void *argument, int64_t chunk, int worker) {
    struct job *job = argument;
    if (worker < 0 || worker >= job->n_workers || atomic_fetch_add(&job->inside[worker], 1) != 0) {
        atomic_store(&job->shared, true);
    }
    volatile int64_t sum = 0;
    for (int64_t i = 0; i < job->work; i++) {
        sum = sum + i;
    }
    (void)sum;
    job->result[chunk] += 1 + (int)chunk;
    atomic_fetch_sub(&job->inside[worker], 1);
}

static void run_job(struct job *job, int64_t n_chunks, int64_t work) {
    memset(job->result, 0, sizeof job->result);
    job->n_chunks = n_chunks;
    job->work = work;
    kata__parallel(job->context, n_chunks, mark, job);
    for (int64_t i = 0; i < MOST; i++) {
        if (job->result[i] != (i < n_chunks ? 1 + (int)i : 0)) {
            fail_msg("chunk %d of %d: %d", (int)i, (int)n_chunks, job->result[i]);
        }
    }
    assert_false(atomic_load(&job->shared));
}

static void every_chunk_once(void **state) {
    (void)state;
    static const int threads[] = {1, 2, 3, 8, 33};
    for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++) {
        kata_test_allocator allocator;
        kata_test_allocator_init(&allocator);
        kata_context *context = kata_test_context(&allocator, threads[t]);
        assert_non_null(context);
        struct job *job = calloc(1, sizeof *job);
        assert_non_null(job);
        job->context = context;
        job->n_workers = kata_context_threads(context);
        kata_test_allocator_reset(&allocator, 0);
        for (int64_t n = 0; n < 70; n++) {
            run_job(job, n, 10 * n);
        }
        run_job(job, MOST, 3);
        run_job(job, 7, 100000);
        for (int i = 0; i < 300; i++) {
            run_job(job, 2 + i % 5, 0);
        }
        struct timespec pause = {0, 2000000}; /* let the workers fall asleep */
        for (int i = 0; i < 20; i++) {
            nanosleep(&pause, NULL);
            run_job(job, 2 + i % 9, 1000);
        }
        assert_int_equal(atomic_load(&allocator.n_calls), 0);
        free(job);
        kata_context_free(context);
        assert_int_equal(atomic_load(&allocator.n_live), 0);
    }
}

struct nest {
    kata_context *context;
    atomic_int n;
    atomic_bool wrong;
};

static void inner(void *argument, int64_t chunk, int worker) {
    struct nest *nest = argument;
    (void)chunk;
    atomic_fetch_add(&nest->n, 1);
    if (worker != 0) {
        atomic_store(&nest->wrong, true);
    }
}

static void outer(void *argument, int64_t chunk, int worker) {
    struct nest *nest = argument;
    (void)worker;
    kata__parallel(nest->context, chunk, inner, nest);
}

static void nested(void **state) {
    (void)state;
    struct nest nest = {.context = kata_test_context(NULL, 4)};
    assert_non_null(nest.context);
    kata__parallel(nest.context, 100, outer, &nest);
    assert_int_equal(atomic_load(&nest.n), 99 * 100 / 2);
    assert_false(atomic_load(&nest.wrong));
    kata_context_free(nest.context);
}

struct caller {
    kata_context *context;
    int64_t sum;
};

static void square(void *argument, int64_t chunk, int worker) {
    (void)worker;
    ((int64_t *)argument)[chunk] = chunk * chunk;
}

static void *call_often(void *argument) {
    struct caller *caller = argument;
    for (int i = 0; i < 1500; i++) {
        int64_t part[50] = {0};
        kata__parallel(caller->context, 50, square, part);
        for (int j = 0; j < 50; j++) {
            caller->sum += part[j];
        }
    }
    return NULL;
}

/* Many threads share one context: a server's handlers. */
static void concurrent(void **state) {
    (void)state;
    kata_context *context = kata_test_context(NULL, 3);
    assert_non_null(context);
    struct caller caller[5];
    pthread_t thread[5];
    for (int i = 0; i < 5; i++) {
        caller[i] = (struct caller){.context = context};
        assert_int_equal(pthread_create(&thread[i], NULL, call_often, &caller[i]), 0);
    }
    for (int i = 0; i < 5; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(caller[i].sum, (int64_t)1500 * 40425);
    }
    kata_context_free(context);
}

static void born_and_gone(void **state) {
    (void)state;
    for (int i = 0; i < 60; i++) {
        kata_context *context = kata_test_context(NULL, 1 + i % 6);
        assert_non_null(context);
        int64_t part[50] = {0};
        if (i % 2 == 0) {
            kata__parallel(context, 50, square, part);
            assert_int_equal(part[49], 49 * 49);
        }
        kata_context_free(context);
    }
}

static void *burn(void *argument) {
    atomic_bool *stop = argument;
    while (!atomic_load(stop)) {
    }
    return NULL;
}

/* Other programs hold every processor: the calls still come to an end, none waits for a worker that
 * took no chunk. Prints the time of an empty call for the curious. */
static void busy_machine(void **state) {
    (void)state;
    kata_context *context = kata_test_context(NULL, 0);
    assert_non_null(context);
    int64_t part[50];
    for (int loaded = 0; loaded < 2; loaded++) {
        atomic_bool stop = false;
        pthread_t thread[64];
        int n = loaded ? kata__cpu_count() : 0;
        n = n > 64 ? 64 : n;
        for (int i = 0; i < n; i++) {
            assert_int_equal(pthread_create(&thread[i], NULL, burn, &stop), 0);
        }
        enum { CALLS = 2000 };
        uint64_t start = kata__clock_ns();
        for (int i = 0; i < CALLS; i++) {
            kata__parallel(context, 8, square, part);
        }
        uint64_t taken = kata__clock_ns() - start;
        atomic_store(&stop, true);
        for (int i = 0; i < n; i++) {
            pthread_join(thread[i], NULL);
        }
        print_message("%d threads, machine %s: %.2f us a call\n", kata_context_threads(context),
                      loaded ? "busy" : "free", (double)taken / CALLS / 1000);
    }
    kata_context_free(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_chunk_once), cmocka_unit_test(nested),
        cmocka_unit_test(concurrent),       cmocka_unit_test(born_and_gone),
        cmocka_unit_test(busy_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
