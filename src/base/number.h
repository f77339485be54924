/* Small arithmetic that every room needs. */
#ifndef KATA_BASE_NUMBER_H
#define KATA_BASE_NUMBER_H

#include <stdint.h>

static inline int64_t kata__minimum(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static inline int64_t kata__maximum(int64_t a, int64_t b) {
    return a > b ? a : b;
}

#endif
