/* Bad files for the readers' tests: every beginning of a file, and changes of it at random. Each
 * case is read from a block of exactly its size, so that the sanitizers see a step beyond;
 * afterwards nothing may live that did not before, and the memory in use at the peak is bounded by
 * the file's size. */
#ifndef KATA_TESTS_FORMAT_MANGLE_H
#define KATA_TESTS_FORMAT_MANGLE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <kata/format.h>

#include "support/counting_allocator.h"

#include <stdlib.h>
#include <string.h>

/* Reads the bytes and frees what it got. */
typedef kata_status (*mangle_reader)(kata_context *context, const uint8_t *data, size_t n_bytes);

typedef struct mangle {
    mangle_reader read;
    kata_context *context;
    kata_test_allocator *allocator;
    int64_t most_bytes; /* of memory at the peak, beside the file's own copies */
} mangle;

static inline kata_status mangle_read(const mangle *m, const uint8_t *data, size_t n_bytes) {
    uint8_t *exact = malloc(n_bytes > 0 ? n_bytes : 1);
    assert_non_null(exact);
    if (n_bytes > 0) {
        memcpy(exact, data, n_bytes);
    }
    int64_t live = atomic_load(&m->allocator->n_live);
    int64_t live_bytes = atomic_load(&m->allocator->n_live_bytes);
    kata_test_allocator_reset(m->allocator, 0);
    kata_error_clear();
    kata_status status = m->read(m->context, exact, n_bytes);
    free(exact);
    assert_int_equal(atomic_load(&m->allocator->n_live), live);
    assert_int_equal(atomic_load(&m->allocator->n_live_bytes), live_bytes);
    assert_true(atomic_load(&m->allocator->n_peak_bytes) - live_bytes <=
                m->most_bytes + 8 * (int64_t)n_bytes);
    if (status != KATA_OK) {
        assert_true(strlen(kata_error_message()) > 10); /* a sentence */
    }
    return status;
}

/* No beginning of the file is a file. */
static inline void mangle_truncate(const mangle *m, const uint8_t *data, size_t n_bytes) {
    assert_int_equal(mangle_read(m, data, n_bytes), KATA_OK);
    for (size_t n = 0; n < n_bytes; n++) {
        if (mangle_read(m, data, n) == KATA_OK) {
            fail_msg("the first %zu of %zu bytes are read as a whole file", n, n_bytes);
        }
    }
}

/* 1 to 4 changes a round: a bit, a byte, a byte put in or taken out, a piece copied elsewhere.
 * Returns how many files were still read. */
static inline int mangle_flip(const mangle *m, const uint8_t *data, size_t n_bytes, int rounds,
                              uint64_t seed) {
    static const uint8_t extremes[] = {0x00, 0x01, 0x7F, 0x80, 0xFF, '{', '"', ','};
    uint8_t *changed = malloc(n_bytes + 64);
    int n_read = 0;
    assert_non_null(changed);
    for (int round = 0; round < rounds; round++) {
        uint64_t draw = 0;
        size_t n = n_bytes;
        memcpy(changed, data, n_bytes);
        uint32_t n_changes = 1 + kata_random_bits(seed, 0, (uint64_t)round, draw++) % 4;
        for (uint32_t i = 0; i < n_changes && n > 1; i++) {
            uint32_t kind = kata_random_bits(seed, 0, (uint64_t)round, draw++);
            size_t at = kata_random_bits(seed, 0, (uint64_t)round, draw++) % n;
            uint32_t value = kata_random_bits(seed, 0, (uint64_t)round, draw++);
            switch (kind % 6) {
            case 0:
                changed[at] ^= (uint8_t)(1u << (value & 7));
                break;
            case 1:
                changed[at] = (uint8_t)value;
                break;
            case 2:
                changed[at] = extremes[value % sizeof extremes];
                break;
            case 3:
                memmove(changed + at, changed + at + 1, n - at - 1);
                n--;
                break;
            case 4:
                memmove(changed + at + 1, changed + at, n - at);
                changed[at] = (uint8_t)value;
                n++;
                break;
            default: {
                size_t from = value % n, length = (kind >> 8) % 16;
                length = length < n - at ? length : n - at;
                length = length < n - from ? length : n - from;
                memmove(changed + at, changed + from, length);
                break;
            }
            }
        }
        n_read += mangle_read(m, changed, n) == KATA_OK;
    }
    free(changed);
    return n_read;
}

/* The first allocation fails, then the second, ... until reading needs no more. */
static inline void mangle_starve(const mangle *m, const uint8_t *data, size_t n_bytes) {
    for (int64_t k = 1;; k++) {
        assert_true(k < 100000);
        int64_t live = atomic_load(&m->allocator->n_live);
        kata_test_allocator_reset(m->allocator, k);
        kata_status status = m->read(m->context, data, n_bytes);
        bool failed = atomic_load(&m->allocator->fail_at) == 0;
        kata_test_allocator_reset(m->allocator, 0);
        assert_int_equal(atomic_load(&m->allocator->n_live), live);
        if (!failed) {
            assert_int_equal(status, KATA_OK);
            return;
        }
        assert_int_equal(status, KATA_OUT_OF_MEMORY);
    }
}

#endif
