/* How the drivers cut work: chunks of a constant size, so that no result depends on the threads. */
#ifndef KATA_KERNEL_CHUNKS_H
#define KATA_KERNEL_CHUNKS_H

#include "kernel/table.h"
#include "kernel/table_elementwise.h"
#include "base/parallel.h"

#include <assert.h>

static inline const kata__elementwise_table *kata__elementwise_of(kata_context *context,
                                                                  kata_dtype dtype) {
    assert(dtype == KATA_F32 || dtype == KATA_F64);
    return kata__kernels(context)->elementwise[kata__kernel_type(dtype)];
}

/* The chunks of `size` that hold `total`; the last may be short. */
static inline int64_t kata__chunk_count(int64_t total, int64_t size) {
    return total <= 0 ? 0 : (total - 1) / size + 1;
}

/* Chunk `chunk` begins at *start and has as many as are returned. */
static inline int64_t kata__chunk_of(int64_t chunk, int64_t total, int64_t size, int64_t *start) {
    *start = chunk * size;
    return total - *start < size ? total - *start : size;
}

/* `total` elements in chunks of about `size`, all as large and an even number of them: two threads
 * have the same to do. The result is a multiple of 64, so that two chunks share no line. */
static inline int64_t kata__chunk_even(int64_t total, int64_t size) {
    if (total <= size) {
        return size;
    }
    const int64_t n_chunks = (total - 1) / (2 * size) * 2 + 2;
    return ((total - 1) / n_chunks / 64 + 1) * 64;
}

/* How many of the things that have n_elements each make a chunk. */
static inline int64_t kata__chunk_size(int64_t n_elements) {
    return n_elements >= KATA__CHUNK ? 1 : n_elements > 0 ? KATA__CHUNK / n_elements : KATA__CHUNK;
}

/* How many things of `total` make a chunk, at most `most`, so that there is one or an even number
 * of chunks, about as large. */
static inline int64_t kata__chunk_share(int64_t total, int64_t most) {
    const int64_t n_chunks = kata__chunk_count(total, most);
    return n_chunks <= 1 ? most : (total - 1) / (n_chunks + n_chunks % 2) + 1;
}

/* One chunk does not wake the pool. */
static inline void kata__run_chunks(kata_context *context, int64_t n_chunks,
                                    kata__chunk_function function, void *argument) {
    if (n_chunks == 1) {
        function(argument, 0, 0);
    } else if (n_chunks > 1) {
        kata__parallel(context, n_chunks, function, argument);
    }
}

#endif
