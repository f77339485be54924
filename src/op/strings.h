/* Elements of string tensors, for the rows that look into them. */
#ifndef KATA_OP_STRINGS_H
#define KATA_OP_STRINGS_H

#include <kata/op.h>

#include <string.h>

/* By bytes, which is by code points: less than, equal to, greater than 0. */
static inline int kata__string_compare(kata_string a, kata_string b) {
    const int64_t n = a.n_bytes < b.n_bytes ? a.n_bytes : b.n_bytes;
    const int order = n > 0 ? memcmp(a.data, b.data, (size_t)n) : 0;
    return order != 0 ? order : (a.n_bytes > b.n_bytes) - (a.n_bytes < b.n_bytes);
}

static inline kata_string kata__string_of(const char *text) {
    return (kata_string){text, (int64_t)strlen(text)};
}

/* Cast from and to strings (strings.c). */
kata_status kata__strings_to_numbers(const kata_call *call);
kata_status kata__numbers_to_strings(const kata_call *call);

#endif
