/* Allocation through the context's allocator. Each block has a header of 64 bytes before it that
 * keeps its whole size, since an allocator is told the size again at release. */
#include "base/memory.h"
#include "base/context.h"

#include <string.h>

enum { HEADER_BYTES = 64, ARENA_ALIGNMENT = 16, ARENA_FIRST = 4096, ARENA_LARGEST = 1 << 18 };

void *kata__alloc(kata_context *context, size_t count, size_t size) {
    size_t n_bytes;
    if (__builtin_mul_overflow(count, size, &n_bytes) || n_bytes > PTRDIFF_MAX - HEADER_BYTES) {
        kata_fail(KATA_OUT_OF_MEMORY,
                  "out of memory: %zu elements of %zu bytes are more than can be addressed", count,
                  size);
        return NULL;
    }
    size_t whole = n_bytes + HEADER_BYTES;
    char *block = context->allocator.allocate(context->allocator.user, whole);
    if (block == NULL) {
        kata_fail(KATA_OUT_OF_MEMORY, "out of memory: cannot get %zu bytes", n_bytes);
        return NULL;
    }
    memcpy(block, &whole, sizeof whole);
    __atomic_fetch_add(&context->n_bytes, whole, __ATOMIC_RELAXED);
    return block + HEADER_BYTES;
}

void *kata__alloc_zero(kata_context *context, size_t count, size_t size) {
    void *block = kata__alloc(context, count, size);
    if (block != NULL) {
        memset(block, 0, count * size);
    }
    return block;
}

void kata__free(kata_context *context, void *block) {
    if (block == NULL) {
        return;
    }
    char *start = (char *)block - HEADER_BYTES;
    size_t whole;
    memcpy(&whole, start, sizeof whole);
    __atomic_fetch_sub(&context->n_bytes, whole, __ATOMIC_RELAXED);
    context->allocator.release(context->allocator.user, start, whole);
}

size_t kata_context_bytes(const kata_context *context) {
    return __atomic_load_n(&context->n_bytes, __ATOMIC_RELAXED);
}

char *kata__strdup(kata_context *context, const char *text) {
    size_t n_bytes = strlen(text) + 1;
    char *copy = kata__alloc(context, n_bytes, 1);
    if (copy != NULL) {
        memcpy(copy, text, n_bytes);
    }
    return copy;
}

struct kata__arena_chunk {
    struct kata__arena_chunk *next;
    size_t used, size; /* of data */
    _Alignas(ARENA_ALIGNMENT) char data[];
};

void *kata__arena_alloc(kata__arena *arena, size_t count, size_t size) {
    size_t n_bytes;
    if (__builtin_mul_overflow(count, size, &n_bytes) || n_bytes > PTRDIFF_MAX / 2) {
        kata_fail(KATA_OUT_OF_MEMORY,
                  "out of memory: %zu elements of %zu bytes are more than can be addressed", count,
                  size);
        return NULL;
    }
    /* A block of no bytes still gets an address of its own. */
    n_bytes = n_bytes == 0 ? ARENA_ALIGNMENT
                           : (n_bytes + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
    struct kata__arena_chunk *head = arena->chunks;
    if (head != NULL && head->size - head->used >= n_bytes) {
        void *block = head->data + head->used;
        head->used += n_bytes;
        return block;
    }
    size_t chunk_bytes = head == NULL ? ARENA_FIRST : head->size * 2;
    chunk_bytes = chunk_bytes > ARENA_LARGEST ? ARENA_LARGEST : chunk_bytes;
    bool alone = n_bytes > chunk_bytes / 2; /* the head keeps serving small blocks */
    if (alone) {
        chunk_bytes = n_bytes;
    }
    struct kata__arena_chunk *chunk =
        kata__alloc_zero(arena->context, 1, sizeof *chunk + chunk_bytes);
    if (chunk == NULL) {
        return NULL;
    }
    chunk->size = chunk_bytes;
    chunk->used = n_bytes;
    if (alone && head != NULL) {
        chunk->next = head->next;
        head->next = chunk;
    } else {
        chunk->next = head;
        arena->chunks = chunk;
    }
    return chunk->data;
}

char *kata__arena_strdup(kata__arena *arena, const char *text) {
    size_t n_bytes = strlen(text) + 1;
    char *copy = kata__arena_alloc(arena, n_bytes, 1);
    if (copy != NULL) {
        memcpy(copy, text, n_bytes);
    }
    return copy;
}

void kata__arena_free(kata__arena *arena) {
    if (arena == NULL) {
        return;
    }
    for (struct kata__arena_chunk *chunk = arena->chunks; chunk != NULL;) {
        struct kata__arena_chunk *next = chunk->next;
        kata__free(arena->context, chunk);
        chunk = next;
    }
    arena->chunks = NULL;
}

kata_status kata__grow(kata_context *context, void **array, size_t *capacity, size_t needed,
                       size_t element_size, size_t maximum) {
    if (needed <= *capacity) {
        return KATA_OK;
    }
    if (needed > maximum) {
        return kata_fail(KATA_LIMIT, "%zu elements are needed, at most %zu are allowed", needed,
                         maximum);
    }
    size_t grown = *capacity < 4 ? 8 : *capacity > SIZE_MAX / 2 ? SIZE_MAX : *capacity * 2;
    grown = grown < needed ? needed : grown;
    grown = grown > maximum ? maximum : grown;
    void *block = kata__alloc(context, grown, element_size);
    if (block == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    /* The caller's pointer has another type than void *: read and written as bytes. */
    void *old;
    memcpy(&old, (const void *)array, sizeof old);
    if (old != NULL) {
        memcpy(block, old, *capacity * element_size);
        kata__free(context, old);
    }
    memcpy((void *)array, &block, sizeof block);
    *capacity = grown;
    return KATA_OK;
}
