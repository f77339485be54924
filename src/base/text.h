/* Small things about texts: whether bytes are UTF-8; how far apart two names are, for messages that
 * offer the nearest. */
#ifndef KATA_BASE_TEXT_H
#define KATA_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* The number of single-byte insertions, deletions, substitutions and swaps of neighbours that turn
 * `a` into `b` (optimal string alignment: no piece is changed twice). Names longer than
 * KATA__TEXT_DISTANCE_LONGEST bytes are compared by length alone: they are no slip of the hand. */
#define KATA__TEXT_DISTANCE_LONGEST 127
int kata__text_distance(const char *a, const char *b);

/* The name nearest to `text`, the first of equals; NULL if none is near enough to be meant: more
 * than a third of the longer text's bytes would have to change. */
const char *kata__text_nearest(const char *text, const char *const *names, size_t n_names);

/* Whether the bytes are UTF-8: no overlong forms, surrogates or code points above U+10FFFF. */
bool kata__text_is_utf8(const void *bytes, size_t n_bytes);

#endif
