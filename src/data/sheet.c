/* Finding a sheet of paper on a table. */
#include "base/check.h"
#include "base/memory.h"
#include "data/ink.h"

#include <math.h>
#include <string.h>

/* Of the picture's area: less is no sheet that somebody photographed, more has no table around it.
 */
static const double least_share = 0.04, most_share = 0.97;
/* Grey levels between sheet and table. */
static const float least_step = 20;
enum { OUTSIDE = 1, SHEET = 2, HOLE = 0 };

struct search {
    kata_context *context;
    const kata__plane *plane;
    uint8_t *kind; /* of each pixel: OUTSIDE, SHEET, HOLE */
    int *stack;
    float *distance;
};

/* The grey level that most of the picture's border has: the table. */
static float border_level(const kata__plane *plane) {
    int histogram[64] = {0}, n = 0, seen = 0, level = 0;
    for (int y = 0; y < plane->height; y++) {
        int step = y == 0 || y == plane->height - 1 ? 1 : plane->width - 1;
        for (int x = 0; x<plane->width; x += step> 0 ? step : 1) {
            float value = plane->value[(size_t)y * (size_t)plane->width + (size_t)x] / 4;
            histogram[value < 0 ? 0 : value > 63 ? 63 : (int)value]++;
            n++;
        }
    }
    while (level < 63 && (seen += histogram[level]) * 2 < n) {
        level++;
    }
    return (float)level * 4 + 2;
}

/* Otsu's threshold over the whole picture: between the table and the sheet, where there are two. */
static float two_levels(const kata__plane *plane) {
    double count[256] = {0}, total = 0, sum = 0, below = 0, sum_below = 0, best = -1;
    int threshold = 128;
    size_t n = (size_t)plane->width * (size_t)plane->height;
    for (size_t i = 0; i < n; i++) {
        float value = plane->value[i];
        count[value < 0 ? 0 : value > 255 ? 255 : (int)value]++;
    }
    for (int i = 0; i < 256; i++) {
        total += count[i];
        sum += i * count[i];
    }
    for (int i = 0; i < 255; i++) {
        below += count[i];
        sum_below += i * count[i];
        double above = total - below;
        if (below > 0 && above > 0) {
            double difference = sum_below / below - (sum - sum_below) / above;
            double between = below * above * difference * difference;
            threshold = between > best ? i + 1 : threshold;
            best = between > best ? between : best;
        }
    }
    return (float)threshold;
}

/* Turns pixels of kind `from` that are connected with `start` into `to`; returns how many. */
static int64_t flood(struct search *s, int start, uint8_t from, uint8_t to) {
    int width = s->plane->width, height = s->plane->height, n = 0;
    int64_t count = 0;
    if (s->kind[start] != from) {
        return 0;
    }
    s->kind[start] = to;
    s->stack[n++] = start;
    while (n > 0) {
        int at = s->stack[--n], x = at % width, y = at / width;
        const int next[4] = {x > 0 ? at - 1 : -1, x < width - 1 ? at + 1 : -1,
                             y > 0 ? at - width : -1, y < height - 1 ? at + width : -1};
        count++;
        for (int i = 0; i < 4; i++) {
            if (next[i] >= 0 && s->kind[next[i]] == from) {
                s->kind[next[i]] = to;
                s->stack[n++] = next[i];
            }
        }
    }
    return count;
}

/* The area of the smallest of the rectangles around what is not OUTSIDE, over 30 angles, and its
 * shorter side. */
static double smallest_rectangle(const struct search *s, double *shorter) {
    double best = INFINITY;
    for (int step = 0; step < 30; step++) {
        double angle = step * 3.14159265358979 / 60, c = cos(angle), k = sin(angle);
        double least_u = INFINITY, most_u = -INFINITY, least_v = INFINITY, most_v = -INFINITY;
        for (int y = 0; y < s->plane->height; y++) {
            const uint8_t *row = s->kind + (size_t)y * (size_t)s->plane->width;
            int left = 0, right = s->plane->width - 1;
            while (left <= right && row[left] == OUTSIDE) {
                left++;
            }
            while (right >= left && row[right] == OUTSIDE) {
                right--;
            }
            for (int end = 0; left <= right && end < 2; end++) {
                double x = end == 0 ? left : right, u = x * c + y * k, v = y * c - x * k;
                least_u = fmin(least_u, u);
                most_u = fmax(most_u, u);
                least_v = fmin(least_v, v);
                most_v = fmax(most_v, v);
            }
        }
        double a = most_u - least_u + 1, b = most_v - least_v + 1;
        if (a * b < best) {
            best = a * b;
            *shorter = fmin(a, b);
        }
    }
    return best;
}

/* The greatest distance of a pixel that has one of the kinds `a` and `b` from those that have not.
 * What lies outside the picture counts as another kind. */
static float greatest_distance(struct search *s, uint8_t a, uint8_t b) {
    int width = s->plane->width, height = s->plane->height;
    float greatest = 0;
    for (int i = 0; i < width * height; i++) {
        int x = i % width, y = i / width;
        bool inside = (s->kind[i] == a || s->kind[i] == b) && x > 0 && y > 0 && x < width - 1 &&
                      y < height - 1;
        s->distance[i] = inside ? 1e9f : 0;
    }
    kata__distances(s->distance, width, height);
    for (int i = 0; i < width * height; i++) {
        greatest = s->distance[i] > greatest ? s->distance[i] : greatest;
    }
    return greatest;
}

/* The largest piece that is lighter (sign 1) or darker (-1) than the threshold becomes SHEET, what
 * it encloses HOLE, all else OUTSIDE. Returns its area with the holes. */
static int64_t take_largest(struct search *s, int sign, float threshold) {
    enum { PIECE = 3, DONE = 4 };
    int n = s->plane->width * s->plane->height, largest = -1;
    int64_t most = 0, area = 0;
    for (int i = 0; i < n; i++) {
        s->kind[i] = (float)sign * (s->plane->value[i] - threshold) > 0 ? PIECE : HOLE;
    }
    for (int i = 0; i < n; i++) {
        int64_t count = flood(s, i, PIECE, DONE);
        largest = count > most ? i : largest;
        most = count > most ? count : most;
    }
    if (largest >= 0) {
        flood(s, largest, DONE, SHEET);
    }
    for (int i = 0; i < n; i++) {
        s->kind[i] = s->kind[i] == SHEET ? SHEET : HOLE;
    }
    for (int i = 0; i < n; i++) {
        int x = i % s->plane->width, y = i / s->plane->width;
        if (x == 0 || y == 0 || x == s->plane->width - 1 || y == s->plane->height - 1) {
            flood(s, i, HOLE, OUTSIDE);
        }
    }
    for (int i = 0; i < n; i++) {
        area += s->kind[i] != OUTSIDE;
    }
    return area;
}

/* A sheet: solid, with blank corners around what is on it. It covers nearly all of its rectangle,
 * in perspective 0.85 of it; an ellipse, the outline of a 0, covers 0.785. */
static bool is_solid(struct search *s, double covered, double shorter) {
    return covered >= 0.84 && (double)greatest_distance(s, SHEET, SHEET) >= 0.12 * shorter;
}

/* Writes the mask: the sheet with what is on it, but for a rim. False if nothing is left. */
static bool fill_mask(struct search *s, kata__plane *mask, double shorter) {
    bool any = false;
    float rim = (float)(0.03 * shorter > 2.5 ? 0.03 * shorter : 2.5);
    greatest_distance(s, SHEET, HOLE);
    for (int i = 0; i < mask->width * mask->height; i++) {
        mask->value[i] = s->distance[i] > rim ? 1 : 0;
        any = any || s->distance[i] > rim;
    }
    return any;
}

static bool is_sheet(struct search *s, double *shorter) {
    double n = (double)s->plane->width * (double)s->plane->height;
    float table = border_level(s->plane), threshold = two_levels(s->plane);
    if (fabsf(table - threshold) * 2 < least_step) {
        return false;
    }
    int64_t area = take_largest(s, table < threshold ? 1 : -1, threshold);
    if ((double)area < least_share * n || (double)area > most_share * n) {
        return false;
    }
    double covered = (double)area / smallest_rectangle(s, shorter);
    return is_solid(s, covered, *shorter);
}

/* What the mask hides gets the level that most of the rest has. */
static kata_status paint_hidden(kata__plane *out, const kata__plane *plane,
                                const kata__plane *mask) {
    size_t n = (size_t)plane->width * (size_t)plane->height, seen = 0, total = 0, count[256] = {0};
    KATA__TRY(kata__plane_new(out, plane->context, plane->height, plane->width));
    for (size_t i = 0; i < n; i++) {
        float value = plane->value[i];
        if (mask == NULL || mask->value[i] > 0.5f) {
            count[value < 0 ? 0 : value > 255 ? 255 : (int)value]++;
            total++;
        }
    }
    int level = 0;
    while (level < 255 && (seen += count[level]) * 2 < total) {
        level++;
    }
    for (size_t i = 0; i < n; i++) {
        out->value[i] = mask == NULL || mask->value[i] > 0.5f ? plane->value[i] : (float)level;
    }
    return KATA_OK;
}

static kata_status search(struct search *s, kata__plane *inside, bool *found,
                          const kata__plane *plane) {
    size_t n = (size_t)plane->width * (size_t)plane->height;
    double shorter = 0;
    s->kind = kata__alloc(s->context, n, sizeof *s->kind);
    s->stack = kata__alloc(s->context, n, sizeof *s->stack);
    s->distance = kata__alloc(s->context, n, sizeof *s->distance);
    if (s->kind == NULL || s->stack == NULL || s->distance == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    if (is_sheet(s, &shorter)) {
        KATA__TRY(kata__plane_new(inside, s->context, plane->height, plane->width));
        *found = fill_mask(s, inside, shorter);
        if (!*found) {
            kata__plane_free(inside);
        }
    }
    return KATA_OK;
}

kata_status kata__sheet_find(kata__plane *inside, bool *found, const kata__plane *plane,
                             const kata__plane *mask) {
    kata__plane painted;
    *found = false;
    KATA__TRY(paint_hidden(&painted, plane, mask));
    struct search s = {.context = plane->context, .plane = &painted};
    kata_status status = search(&s, inside, found, plane);
    kata__free(s.context, s.kind);
    kata__free(s.context, s.stack);
    kata__free(s.context, s.distance);
    kata__plane_free(&painted);
    return status;
}
