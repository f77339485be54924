/* Distance of names (Damerau 1964, Levenshtein 1966), three rows of the table at a time. */
#include "base/text.h"

#include <string.h>

enum { LONGEST = KATA__TEXT_DISTANCE_LONGEST };

static int least(int a, int b) {
    return a < b ? a : b;
}

int kata__text_distance(const char *a, const char *b) {
    size_t n_a = strlen(a), n_b = strlen(b);
    if (n_a > LONGEST || n_b > LONGEST) {
        return strcmp(a, b) == 0 ? 0 : (int)((n_a > n_b ? n_a : n_b) & 0x3fffffff);
    }
    /* row[i % 3][j]: distance of the first i bytes of a and the first j of b. */
    int row[3][LONGEST + 1];
    for (size_t j = 0; j <= n_b; j++) {
        row[0][j] = (int)j;
    }
    for (size_t i = 1; i <= n_a; i++) {
        int *now = row[i % 3], *before = row[(i + 2) % 3], *second = row[(i + 1) % 3];
        now[0] = (int)i;
        for (size_t j = 1; j <= n_b; j++) {
            int change = before[j - 1] + (a[i - 1] != b[j - 1]);
            int best = least(change, least(before[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                best = least(best, second[j - 2] + 1);
            }
            now[j] = best;
        }
    }
    return row[n_a % 3][n_b];
}

const char *kata__text_nearest(const char *text, const char *const *names, size_t n_names) {
    const char *nearest = NULL;
    int nearest_distance = 0;
    for (size_t i = 0; i < n_names; i++) {
        int distance = kata__text_distance(text, names[i]);
        size_t longer = strlen(text) > strlen(names[i]) ? strlen(text) : strlen(names[i]);
        if ((size_t)distance * 3 <= longer && (nearest == NULL || distance < nearest_distance)) {
            nearest = names[i];
            nearest_distance = distance;
        }
    }
    return nearest;
}
