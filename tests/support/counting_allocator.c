#include "support/counting_allocator.h"

#include <stdlib.h>

static void *test_allocate(void *user, size_t n_bytes) {
    kata_test_allocator *self = user;
    atomic_fetch_add(&self->n_calls, 1);
    int64_t left = atomic_load(&self->fail_at);
    while (left > 0 && !atomic_compare_exchange_weak(&self->fail_at, &left, left - 1)) {
    }
    if (left == 1 || n_bytes > SIZE_MAX - 64) {
        return NULL;
    }
    void *block = aligned_alloc(64, (n_bytes + 63) / 64 * 64);
    if (block != NULL) {
        atomic_fetch_add(&self->n_live, 1);
        int64_t now = atomic_fetch_add(&self->n_live_bytes, (int64_t)n_bytes) + (int64_t)n_bytes;
        int64_t peak = atomic_load(&self->n_peak_bytes);
        while (now > peak && !atomic_compare_exchange_weak(&self->n_peak_bytes, &peak, now)) {
        }
    }
    return block;
}

static void test_release(void *user, void *block, size_t n_bytes) {
    kata_test_allocator *self = user;
    atomic_fetch_sub(&self->n_live, 1);
    atomic_fetch_sub(&self->n_live_bytes, (int64_t)n_bytes);
    free(block);
}

void kata_test_allocator_init(kata_test_allocator *allocator) {
    allocator->allocator = (kata_allocator){test_allocate, test_release, allocator};
    atomic_init(&allocator->n_calls, 0);
    atomic_init(&allocator->n_live, 0);
    atomic_init(&allocator->n_live_bytes, 0);
    atomic_init(&allocator->n_peak_bytes, 0);
    atomic_init(&allocator->fail_at, 0);
}

void kata_test_allocator_reset(kata_test_allocator *allocator, int64_t fail_at) {
    atomic_store(&allocator->n_calls, 0);
    atomic_store(&allocator->n_peak_bytes, atomic_load(&allocator->n_live_bytes));
    atomic_store(&allocator->fail_at, fail_at);
}

static void silent_log(void *user, kata_log_level level, const char *line) {
    (void)user;
    (void)level;
    (void)line;
}

kata_context *kata_test_context(kata_test_allocator *allocator, int threads) {
    kata_context *context = NULL;
    kata_context_options options = {
        .allocator = allocator != NULL ? &allocator->allocator : NULL,
        .threads = threads,
        .log = silent_log,
    };
    return kata_context_new(&context, &options) == KATA_OK ? context : NULL;
}
