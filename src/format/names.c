/* Names in files: UTF-8, sorting, duplicates. */
#include "format/names.h"

#include "base/text.h"

#include <string.h>

bool kata__format_is_text(const void *bytes, size_t n_bytes) {
    return n_bytes == 0 ||
           (memchr(bytes, 0, n_bytes) == NULL && kata__text_is_utf8(bytes, n_bytes));
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
