/* An allocator for tests: counts, and fails the call that it is told to fail. Thread-safe. */
#ifndef KATA_TESTS_COUNTING_ALLOCATOR_H
#define KATA_TESTS_COUNTING_ALLOCATOR_H

#include <kata/base.h>

#include <stdatomic.h>

typedef struct kata_test_allocator {
    kata_allocator allocator;     /* for kata_context_options.allocator */
    _Atomic int64_t n_calls;      /* of allocate, those that failed included */
    _Atomic int64_t n_live;       /* blocks not yet released */
    _Atomic int64_t n_live_bytes; /* by the sizes asked for and given back */
    _Atomic int64_t n_peak_bytes; /* the most of n_live_bytes so far */
    _Atomic int64_t fail_at;      /* 0: never; k: the k-th call from now fails, once */
} kata_test_allocator;

/* Must stay where it is while a context uses it. */
void kata_test_allocator_init(kata_test_allocator *allocator);

/* Forgets the counted calls and the peak, sets fail_at; what lives stays counted. */
void kata_test_allocator_reset(kata_test_allocator *allocator, int64_t fail_at);

/* A context on this allocator with `threads` threads; NULL on failure. Silent log. */
kata_context *kata_test_context(kata_test_allocator *allocator, int threads);

#endif
