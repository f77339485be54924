/* Names in files: UTF-8, sorting, duplicates. */
#include "format/names.h"

#include <string.h>

bool kata__format_is_text(const void *bytes, size_t n_bytes) {
    if (n_bytes == 0) {
        return true;
    }
    const uint8_t *at = bytes, *end = at + n_bytes;
    while (at < end) {
        uint8_t lead = *at++, low = 0x80, high = 0xBF;
        int n_more;
        if (lead == 0) {
            return false;
        } else if (lead < 0x80) {
            continue;
        } else if (lead >= 0xC2 && lead <= 0xDF) {
            n_more = 1;
        } else if (lead >= 0xE0 && lead <= 0xEF) {
            n_more = 2;
            low = lead == 0xE0 ? 0xA0 : low;   /* no overlong forms */
            high = lead == 0xED ? 0x9F : high; /* no surrogates */
        } else if (lead >= 0xF0 && lead <= 0xF4) {
            n_more = 3;
            low = lead == 0xF0 ? 0x90 : low;
            high = lead == 0xF4 ? 0x8F : high; /* nothing above U+10FFFF */
        } else {
            return false;
        }
        for (; n_more > 0; n_more--) {
            if (at == end || *at < low || *at > high) {
                return false;
            }
            at++;
            low = 0x80;
            high = 0xBF;
        }
    }
    return true;
}

static bool is_less(kata__format_compare compare, const void *user, uint32_t a, uint32_t b) {
    int result = compare(user, a, b);
    return result != 0 ? result < 0 : a < b;
}

/* Lets order[root] sink to its place in the heap order[0..n), the largest at the top. */
static void sink(uint32_t *order, size_t root, size_t n, kata__format_compare compare,
                 const void *user) {
    uint32_t moving = order[root];
    for (size_t child = 2 * root + 1; child < n; child = 2 * root + 1) {
        if (child + 1 < n && is_less(compare, user, order[child], order[child + 1])) {
            child++;
        }
        if (!is_less(compare, user, moving, order[child])) {
            break;
        }
        order[root] = order[child];
        root = child;
    }
    order[root] = moving;
}

void kata__format_sort(uint32_t *order, size_t n, kata__format_compare compare, const void *user) {
    for (size_t i = 0; i < n; i++) {
        order[i] = (uint32_t)i;
    }
    for (size_t i = n / 2; i > 0; i--) {
        sink(order, i - 1, n, compare, user);
    }
    for (size_t i = n; i > 1; i--) {
        uint32_t largest = order[0];
        order[0] = order[i - 1];
        order[i - 1] = largest;
        sink(order, 0, i - 1, compare, user);
    }
}

static int compare_names(const void *user, uint32_t a, uint32_t b) {
    const char *const *names = user;
    return strcmp(names[a], names[b]);
}

void kata__names_sort(uint32_t *order, size_t n, const char *const *names) {
    kata__format_sort(order, n, compare_names, (const void *)names);
}

size_t kata__names_twice(const uint32_t *order, size_t n, const char *const *names) {
    for (size_t i = 1; i < n; i++) {
        if (strcmp(names[order[i - 1]], names[order[i]]) == 0) {
            return order[i];
        }
    }
    return n;
}

size_t kata__names_find(const uint32_t *order, size_t n, const char *const *names,
                        const char *name) {
    size_t low = 0, high = n; /* the first place that is not before `name` lies in [low, high] */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(names[order[middle]], name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < n && strcmp(names[order[low]], name) == 0 ? order[low] : n;
}
