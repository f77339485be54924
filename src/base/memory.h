/* Allocation through the context: every block of libkata comes from here. */
#ifndef KATA_BASE_MEMORY_H
#define KATA_BASE_MEMORY_H

#include <kata/base.h>

/* A block aligned to 64 bytes, not initialised; NULL and an error set when memory is short or
 * count * size overflows. A zero size gives a valid block. Free with kata__free. */
void *kata__alloc(kata_context *context, size_t count, size_t size);
/* The same, zeroed. */
void *kata__alloc_zero(kata_context *context, size_t count, size_t size);
/* Frees a block of kata__alloc; NULL does nothing. */
void kata__free(kata_context *context, void *block);
/* A copy of `text`; NULL when memory is short. */
char *kata__strdup(kata_context *context, const char *text);

/* An arena: many small blocks of one lifetime, freed together. Zero-initialise, set context. */
typedef struct kata__arena {
    kata_context *context;
    struct kata__arena_chunk *chunks;
} kata__arena;
/* Zeroed, aligned to 16 bytes; NULL and an error set when memory is short. */
void *kata__arena_alloc(kata__arena *arena, size_t count, size_t size);
char *kata__arena_strdup(kata__arena *arena, const char *text);
void kata__arena_free(kata__arena *arena);

/* Makes room for `needed` elements in a growable array: doubles *capacity up to `maximum`.
 * KATA_LIMIT beyond it, KATA_OUT_OF_MEMORY when memory is short; the array stays as it was. */
kata_status kata__grow(kata_context *context, void **array, size_t *capacity, size_t needed,
                       size_t element_size, size_t maximum);

#endif
