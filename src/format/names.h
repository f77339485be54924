/* Names in files: are they texts, is one there twice, which one is meant. Sorting takes O(n log n)
 * whatever the names are, so that no file is slow on purpose. */
#ifndef KATA_FORMAT_NAMES_H
#define KATA_FORMAT_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Well-formed UTF-8 without a NUL? (Unicode 15, table 3-7.) */
bool kata__format_is_text(const void *bytes, size_t n_bytes);

/* order[0..n) becomes 0..n-1 sorted so that compare(user, order[i], order[i+1]) <= 0, in place
 * (heapsort). Equal ones come in the order of their numbers. */
typedef int (*kata__format_compare)(const void *user, uint32_t a, uint32_t b);
void kata__format_sort(uint32_t *order, size_t n, kata__format_compare compare, const void *user);

/* The same for an array of names. */
void kata__names_sort(uint32_t *order, size_t n, const char *const *names);
/* A number whose name another one before it has too; n if all differ. `order` is sorted. */
size_t kata__names_twice(const uint32_t *order, size_t n, const char *const *names);
/* The first number of this name; n if there is none. `order` is sorted. */
size_t kata__names_find(const uint32_t *order, size_t n, const char *const *names,
                        const char *name);

#endif
