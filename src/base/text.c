/* UTF-8; distance of names (Damerau 1964, Levenshtein 1966), three rows of the table at a time. */
#include "base/text.h"

#include <stdint.h>
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

bool kata__text_is_utf8(const void *bytes, size_t n_bytes) {
    if (n_bytes == 0) {
        return true;
    }
    const uint8_t *at = bytes, *end = at + n_bytes;
    while (at < end) {
        uint8_t lead = *at++, low = 0x80, high = 0xBF;
        int n_more;
        if (lead < 0x80) {
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
