/* Buffers whose last byte is followed by a page that may not be touched: what reads or writes one
 * number too many ends the test. */
#ifndef KATA_TESTS_GUARDED_H
#define KATA_TESTS_GUARDED_H

#include "kernel/reference_gemm.h"

#include <sys/mman.h>
#include <unistd.h>

typedef struct guarded {
    void *data; /* n_bytes of 0xA5 */
    char *block;
    size_t block_bytes;
} guarded;

static inline guarded guarded_new(size_t n_bytes) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t body = (n_bytes + page - 1) / page * page;
    guarded g = {.block_bytes = body + page};
    void *block =
        mmap(NULL, g.block_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED || mprotect((char *)block + body, page, PROT_NONE) != 0) {
        fail_msg("no guarded memory of %zu bytes", n_bytes);
    }
    g.block = block;
    memset(block, 0xA5, body);
    g.data = g.block + body - n_bytes;
    return g;
}

/* The bytes before the buffer, in its page, must be as they were. */
static inline void guarded_free(guarded g) {
    for (const char *p = g.block; p < (const char *)g.data; p++) {
        if (*p != (char)0xA5) {
            fail_msg("a byte %td before a buffer was written", (const char *)g.data - p);
        }
    }
    munmap(g.block, g.block_bytes);
}

/* Random float32 numbers. */
static inline guarded guarded_numbers(int64_t count) {
    guarded g = guarded_new((size_t)count * sizeof(float));
    float *to = g.data;
    for (int64_t i = 0; i < count; i++) {
        to[i] = (float)reference_uniform();
    }
    return g;
}

#endif
