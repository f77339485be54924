/* Finding the ink of a drawing or a photo: background, polarity, threshold, pieces. */
#include "data/ink.h"
#include "base/check.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

enum { TERMS = 6, SAMPLES_A_SIDE = 40, SAMPLES = SAMPLES_A_SIDE * SAMPLES_A_SIDE, LEVELS = 256 };

/* Fewer grey levels than this between background and ink are taken for paper, noise or compression.
 */
static const float least_contrast = 12;

/* Of a stroke's width: how far the soft edge of ink reaches. */
static const float soft_reach = 1.5f;

kata_status kata__plane_new(kata__plane *out, kata_context *context, int height, int width) {
    float *value = kata__alloc_zero(context, (size_t)height * (size_t)width, sizeof *value);
    if (value == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    *out = (kata__plane){context, width, height, value};
    return KATA_OK;
}

void kata__plane_free(kata__plane *plane) {
    if (plane->context != NULL) {
        kata__free(plane->context, plane->value);
    }
    *plane = (kata__plane){.context = NULL};
}

/* ------------------------------------------------------------------ background */

struct point {
    float term[TERMS]; /* 1, x, y, x^2, xy, y^2 with x and y from -1 to 1 */
    float value, residual;
    bool border;
};

struct fit {
    struct point point[SAMPLES];
    float scratch[SAMPLES];
    int n, n_border;
    double coefficient[TERMS];
    float noise; /* standard deviation of the background, by the median */
};

static void set_terms(float term[TERMS], float x, float y) {
    term[0] = 1;
    term[1] = x;
    term[2] = y;
    term[3] = x * x;
    term[4] = x * y;
    term[5] = y * y;
}

/* The middle one of n values by Hoare's selection; reorders them. */
static float median(float *value, int n) {
    int low = 0, high = n - 1, middle = n / 2;
    while (low < high) {
        float pivot = value[low + (high - low) / 2];
        int i = low, j = high;
        while (i <= j) {
            while (value[i] < pivot) {
                i++;
            }
            while (value[j] > pivot) {
                j--;
            }
            if (i <= j) {
                float swap = value[i];
                value[i++] = value[j];
                value[j--] = swap;
            }
        }
        if (middle <= j) {
            high = j;
        } else if (middle >= i) {
            low = i;
        } else {
            break;
        }
    }
    return n == 0 ? 0 : value[middle];
}

static float axis_position(int i, int n) {
    return n > 1 ? 2 * (float)i / (float)(n - 1) - 1 : 0;
}

static bool is_masked(const kata__plane *mask, int x, int y) {
    return mask != NULL && mask->value[(size_t)y * (size_t)mask->width + (size_t)x] < 0.5f;
}

/* Is the place outside the picture or what the mask leaves of it? */
static bool is_outside(const kata__plane *plane, const kata__plane *mask, int x, int y) {
    return x < 0 || y < 0 || x >= plane->width || y >= plane->height || is_masked(mask, x, y);
}

/* Is the border, that of the picture or of what the mask leaves, less than `margin` away? */
static bool is_near_border(const kata__plane *plane, const kata__plane *mask, int x, int y,
                           int margin) {
    return is_outside(plane, mask, x - margin, y) || is_outside(plane, mask, x + margin, y) ||
           is_outside(plane, mask, x, y - margin) || is_outside(plane, mask, x, y + margin);
}

/* A grid of at most 40 x 40 points; those within a twentieth of the border are marked. */
static void take_points(struct fit *fit, const kata__plane *plane, const kata__plane *mask) {
    int n_x = plane->width < SAMPLES_A_SIDE ? plane->width : SAMPLES_A_SIDE;
    int n_y = plane->height < SAMPLES_A_SIDE ? plane->height : SAMPLES_A_SIDE;
    int shorter = plane->width < plane->height ? plane->width : plane->height;
    int margin = shorter / 20 > 1 ? shorter / 20 : 1;
    fit->n = fit->n_border = 0;
    for (int j = 0; j < n_y; j++) {
        int y = n_y > 1 ? (int)((int64_t)j * (plane->height - 1) / (n_y - 1)) : 0;
        for (int i = 0; i < n_x; i++) {
            int x = n_x > 1 ? (int)((int64_t)i * (plane->width - 1) / (n_x - 1)) : 0;
            if (is_masked(mask, x, y)) {
                continue;
            }
            struct point *point = &fit->point[fit->n++];
            set_terms(point->term, axis_position(x, plane->width), axis_position(y, plane->height));
            point->value = plane->value[(size_t)y * (size_t)plane->width + (size_t)x];
            point->border = is_near_border(plane, mask, x, y, margin);
            fit->n_border += point->border;
        }
    }
}

/* Solves a (TERMS x TERMS, symmetric and positive) x = b by elimination; false if it is singular.
 */
static bool solve(double a[TERMS][TERMS], double b[TERMS], double x[TERMS]) {
    for (int k = 0; k < TERMS; k++) {
        if (!(a[k][k] > 1e-9)) {
            return false;
        }
        for (int i = k + 1; i < TERMS; i++) {
            double factor = a[i][k] / a[k][k];
            for (int j = k; j < TERMS; j++) {
                a[i][j] -= factor * a[k][j];
            }
            b[i] -= factor * b[k];
        }
    }
    for (int k = TERMS - 1; k >= 0; k--) {
        double sum = b[k];
        for (int j = k + 1; j < TERMS; j++) {
            sum -= a[k][j] * x[j];
        }
        x[k] = sum / a[k][k];
    }
    return true;
}

static double surface(const double coefficient[TERMS], const float term[TERMS]) {
    double sum = 0;
    for (int i = 0; i < TERMS; i++) {
        sum += coefficient[i] * (double)term[i];
    }
    return sum;
}

/* Residuals, and their robust standard deviation over the border or over all points. */
static float spread(struct fit *fit, bool border_only) {
    int n = 0;
    for (int i = 0; i < fit->n; i++) {
        struct point *point = &fit->point[i];
        point->residual = point->value - (float)surface(fit->coefficient, point->term);
        if (point->border || !border_only) {
            fit->scratch[n++] = fabsf(point->residual);
        }
    }
    return 1.4826f * median(fit->scratch, n);
}

/* Least squares, each point weighted by Tukey's bisquare (1 - (r / 4.7 s)^2)^2: ink counts nothing.
 */
static void refit(struct fit *fit, bool border_only, float deviation) {
    double a[TERMS][TERMS] = {{0}}, b[TERMS] = {0}, x[TERMS];
    double reach = 4.7 * (deviation > 1.5f ? (double)deviation : 1.5);
    for (int i = 0; i < fit->n; i++) {
        const struct point *point = &fit->point[i];
        double t = (double)point->residual / reach;
        if ((border_only && !point->border) || t * t >= 1) {
            continue;
        }
        double weight = (1 - t * t) * (1 - t * t);
        for (int j = 0; j < TERMS; j++) {
            double w = weight * (double)point->term[j];
            for (int k = 0; k < TERMS; k++) {
                a[j][k] += w * (double)point->term[k];
            }
            b[j] += w * (double)point->value;
        }
    }
    double ridge = 1e-4 * a[0][0];
    for (int j = 1; j < TERMS; j++) {
        a[j][j] += ridge;
    }
    if (solve(a, b, x)) {
        memcpy(fit->coefficient, x, sizeof x);
    }
}

/* First the border, which is background for the most part, then all points that go with it. */
static void fit_background(struct fit *fit, const kata__plane *plane, const kata__plane *mask) {
    take_points(fit, plane, mask);
    int n = 0;
    for (int i = 0; i < fit->n; i++) {
        if (fit->point[i].border) {
            fit->scratch[n++] = fit->point[i].value;
        }
    }
    memset(fit->coefficient, 0, sizeof fit->coefficient);
    fit->coefficient[0] = (double)median(fit->scratch, n);
    for (int round = 0; round < 6; round++) {
        refit(fit, true, spread(fit, true));
    }
    /* The interior may hold more ink than background near it: the border says what is usual. */
    for (int round = 0; round < 3; round++) {
        float border = spread(fit, true), whole = spread(fit, false);
        refit(fit, false, border < whole ? border : whole);
    }
    float border = spread(fit, true), whole = spread(fit, false);
    fit->noise = border < whole ? border : whole;
}

/* ------------------------------------------------------------------ polarity and threshold */

struct levels {
    float noise; /* what is below is background */
    float ink;   /* what full ink has */
    float threshold;
};

static void subtract_background(kata__plane *plane, const kata__plane *mask,
                                const struct fit *fit) {
    const double *c = fit->coefficient;
    for (int y = 0; y < plane->height; y++) {
        float *row = plane->value + (size_t)y * (size_t)plane->width;
        double v = (double)axis_position(y, plane->height);
        double c0 = c[0] + c[2] * v + c[5] * v * v, c1 = c[1] + c[4] * v;
        for (int x = 0; x < plane->width; x++) {
            double u = (double)axis_position(x, plane->width);
            row[x] = is_masked(mask, x, y) ? 0 : row[x] - (float)(c0 + c1 * u + c[3] * u * u);
        }
    }
}

/* Which side stands out more from the background; the middle of the picture counts four times as
 * much as its border, where shadows and the edge of the paper are. 0: neither. */
static int find_sign(const kata__plane *plane, float noise) {
    double lighter = 0, darker = 0;
    for (int y = 0; y < plane->height; y++) {
        const float *row = plane->value + (size_t)y * (size_t)plane->width;
        double v = fabs((double)axis_position(y, plane->height));
        for (int x = 0; x < plane->width; x++) {
            double u = fabs((double)axis_position(x, plane->width)), out = u > v ? u : v;
            double weight = 1 - 0.75 * out * out;
            lighter += row[x] > noise ? weight * (double)(row[x] - noise) : 0;
            darker += row[x] < -noise ? weight * (double)(-row[x] - noise) : 0;
        }
    }
    return lighter > darker ? 1 : darker > 0 ? -1 : 0;
}

/* Otsu's threshold (1979): the level that parts the histogram into two classes whose means are
 * farthest apart, weighed by their sizes. */
static int otsu(const int64_t histogram[LEVELS]) {
    double total = 0, sum = 0, below = 0, sum_below = 0, best = -1;
    int threshold = LEVELS / 2;
    for (int i = 0; i < LEVELS; i++) {
        total += (double)histogram[i];
        sum += (double)i * (double)histogram[i];
    }
    for (int i = 0; i < LEVELS - 1; i++) {
        below += (double)histogram[i];
        sum_below += (double)i * (double)histogram[i];
        double above = total - below;
        if (below == 0 || above == 0) {
            continue;
        }
        double difference = sum_below / below - (sum - sum_below) / above;
        double between = below * above * difference * difference;
        if (between > best) {
            best = between;
            threshold = i + 1;
        }
    }
    return threshold;
}

static void histogram_of(int64_t histogram[LEVELS], const kata__plane *plane, float most) {
    memset(histogram, 0, LEVELS * sizeof *histogram);
    size_t n = (size_t)plane->width * (size_t)plane->height;
    for (size_t i = 0; i < n; i++) {
        float at = plane->value[i] / most * (LEVELS - 1);
        int level = at < 0 ? 0 : at > LEVELS - 1 ? LEVELS - 1 : (int)(at + 0.5f);
        histogram[level]++;
    }
}

/* Levels of a plane whose ink is positive. Full ink is what nine tenths of the ink are below: a few
 * brighter pixels do not make the rest faint. */
static struct levels find_levels(const kata__plane *plane, float noise) {
    int64_t histogram[LEVELS], ink = 0, seen = 0;
    struct levels levels = {.noise = 4 * noise > 6 ? 4 * noise : 6};
    histogram_of(histogram, plane, 255);
    int first = (int)ceilf(levels.noise);
    for (int i = first; i < LEVELS; i++) {
        ink += histogram[i];
    }
    int top = LEVELS - 1;
    while (top > first && (seen += histogram[top]) * 10 < ink) {
        top--;
    }
    levels.ink = ink == 0 ? 0 : (float)top;
    if (levels.ink > 0) {
        histogram_of(histogram, plane, levels.ink);
        float part = (float)otsu(histogram) / (LEVELS - 1);
        part = part < 0.3f ? 0.3f : part > 0.6f ? 0.6f : part;
        levels.threshold = part * levels.ink;
        levels.threshold = levels.threshold > levels.noise ? levels.threshold : levels.noise;
    }
    return levels;
}

/* ------------------------------------------------------------------ pieces */

struct piece {
    int left, top, right, bottom; /* inclusive */
    int64_t area;
    bool border, kept;
};

/* Pieces of connected pixels (8 neighbours), found by a flood from each; `label` gets 1 + the
 * number of the piece, 0 outside. */
struct pieces {
    kata_context *context;
    struct piece *piece;
    size_t n, capacity;
    int *label, *stack;
};

static void flood(const kata__plane *plane, int *label, int *stack, int start, int number,
                  float least, struct piece *piece) {
    int n_stack = 0, width = plane->width, height = plane->height;
    label[start] = number;
    stack[n_stack++] = start;
    while (n_stack > 0) {
        int at = stack[--n_stack], x = at % width, y = at / width;
        if (piece != NULL) {
            piece->area++;
            piece->left = x < piece->left ? x : piece->left;
            piece->right = x > piece->right ? x : piece->right;
            piece->top = y < piece->top ? y : piece->top;
            piece->bottom = y > piece->bottom ? y : piece->bottom;
        }
        for (int v = y > 0 ? y - 1 : y; v <= y + 1 && v < height; v++) {
            for (int u = x > 0 ? x - 1 : x; u <= x + 1 && u < width; u++) {
                int to = v * width + u;
                if (label[to] == 0 && plane->value[to] > least) {
                    label[to] = number;
                    stack[n_stack++] = to;
                }
            }
        }
    }
}

static kata_status find_pieces(struct pieces *pieces, const kata__plane *plane, float threshold) {
    int n = plane->width * plane->height;
    for (int start = 0; start < n; start++) {
        if (pieces->label[start] != 0 || plane->value[start] <= threshold) {
            continue;
        }
        KATA__TRY(kata__grow(pieces->context, (void **)&pieces->piece, &pieces->capacity,
                             pieces->n + 1, sizeof *pieces->piece, (size_t)n));
        struct piece *piece = &pieces->piece[pieces->n++];
        *piece = (struct piece){.left = plane->width, .top = plane->height};
        flood(plane, pieces->label, pieces->stack, start, (int)pieces->n, threshold, piece);
        piece->border = piece->left == 0 || piece->top == 0 || piece->right == plane->width - 1 ||
                        piece->bottom == plane->height - 1;
    }
    return KATA_OK;
}

/* Pixels between two boxes, 0 if they overlap. */
static int gap(const struct piece *a, const struct piece *b) {
    int x = a->left > b->right ? a->left - b->right : b->left - a->right;
    int y = a->top > b->bottom ? a->top - b->bottom : b->top - a->bottom;
    x = x > 0 ? x : 0;
    y = y > 0 ? y : 0;
    return x > y ? x : y;
}

/* The main piece is the largest, one at the border counting a tenth. With it stay pieces of at
 * least a fortieth of its area that lie within a third of its size, and again those near the whole
 * (the bar of a 5, a broken stroke); the box of all of them goes into *box. */
static void choose_pieces(struct pieces *pieces, struct piece *box) {
    struct piece *main_piece = NULL;
    double best = 0;
    for (size_t i = 0; i < pieces->n; i++) {
        struct piece *piece = &pieces->piece[i];
        double score = (double)piece->area * (piece->border ? 0.1 : 1);
        if (score > best) {
            best = score;
            main_piece = piece;
        }
    }
    main_piece->kept = true;
    *box = *main_piece;
    for (int round = 0; round < 4; round++) {
        bool grown = false;
        for (size_t i = 0; i < pieces->n; i++) {
            struct piece *piece = &pieces->piece[i];
            int width = box->right - box->left + 1, height = box->bottom - box->top + 1;
            if (piece->kept || piece->area * 40 < main_piece->area || piece->area < 3 ||
                (piece->border && !main_piece->border) ||
                gap(piece, box) * 3 > (width > height ? width : height)) {
                continue;
            }
            piece->kept = grown = true;
            box->left = piece->left < box->left ? piece->left : box->left;
            box->right = piece->right > box->right ? piece->right : box->right;
            box->top = piece->top < box->top ? piece->top : box->top;
            box->bottom = piece->bottom > box->bottom ? piece->bottom : box->bottom;
        }
        if (!grown) {
            break;
        }
    }
}

/* The mean stroke width of the kept pieces: twice the area over the length of the outline. */
static double kept_width(const struct pieces *pieces, int width, int height) {
    int64_t area = 0, edges = 0;
    for (int i = 0; i < width * height; i++) {
        int x = i % width;
        if (pieces->label[i] > 0) {
            area++;
            edges += (x == 0 || pieces->label[i - 1] <= 0) +
                     (x == width - 1 || pieces->label[i + 1] <= 0) +
                     (i < width || pieces->label[i - width] <= 0) +
                     (i >= width * (height - 1) || pieces->label[i + width] <= 0);
        }
    }
    return edges == 0 ? 0 : 2 * (double)area / ((double)edges * 0.785398163);
}

/* Clears all but the kept pieces and the softer ink around them, no farther away than a stroke is
 * wide: the lines of ruled paper are soft as well and go on from there. */
static kata_status keep_chosen(struct pieces *pieces, kata__plane *plane, float noise) {
    int width = plane->width, height = plane->height, n = width * height;
    kata__plane distance;
    KATA__TRY(kata__plane_new(&distance, plane->context, height, width));
    /* Pixels of pieces that go are walls (-1); those that stay are flooded outwards to softer ink.
     */
    for (int i = 0; i < n; i++) {
        int number = pieces->label[i];
        if (number > 0 && !pieces->piece[number - 1].kept) {
            pieces->label[i] = -1;
        }
        distance.value[i] = pieces->label[i] > 0 ? 0 : 1e9f;
    }
    float reach = (float)kept_width(pieces, width, height) * soft_reach + 1;
    kata__distances(distance.value, width, height);
    for (int i = 0; i < n; i++) {
        if (distance.value[i] > reach && pieces->label[i] == 0) {
            pieces->label[i] = -1;
        }
    }
    kata__plane_free(&distance);
    int soft = (int)pieces->n + 1;
    for (int i = 0; i < n; i++) {
        if (pieces->label[i] > 0 && pieces->label[i] != soft) {
            flood(plane, pieces->label, pieces->stack, i, soft, noise, NULL);
        }
    }
    for (int i = 0; i < n; i++) {
        if (pieces->label[i] <= 0) {
            plane->value[i] = 0;
        }
    }
    return KATA_OK;
}

/* Pieces that reach what the mask hides come in from there, as those at the picture's border do. */
static void mark_at_mask(struct pieces *pieces, const kata__plane *mask) {
    for (int y = 0; mask != NULL && y < mask->height; y++) {
        for (int x = 0; x < mask->width; x++) {
            int number = pieces->label[y * mask->width + x];
            if (number > 0 && is_near_border(mask, mask, x, y, 1)) {
                pieces->piece[number - 1].border = true;
            }
        }
    }
}

static kata_status find_main(struct pieces *pieces, kata__plane *plane, const kata__plane *mask,
                             const struct levels *levels, kata__ink *ink) {
    size_t n = (size_t)plane->width * (size_t)plane->height;
    pieces->label = kata__alloc_zero(pieces->context, n, sizeof *pieces->label);
    pieces->stack = kata__alloc(pieces->context, n, sizeof *pieces->stack);
    if (pieces->label == NULL || pieces->stack == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    KATA__TRY(find_pieces(pieces, plane, levels->threshold));
    if (pieces->n == 0) {
        return kata_fail(KATA_INVALID, "the picture is blank: no ink stands out from its "
                                       "background");
    }
    mark_at_mask(pieces, mask);
    struct piece box;
    choose_pieces(pieces, &box);
    KATA__TRY(keep_chosen(pieces, plane, levels->noise));
    ink->left = box.left;
    ink->top = box.top;
    ink->width = box.right - box.left + 1;
    ink->height = box.bottom - box.top + 1;
    return KATA_OK;
}

kata_status kata__ink_find(kata__plane *plane, const kata__plane *mask, kata__ink *ink) {
    struct fit *fit = kata__alloc(plane->context, 1, sizeof *fit);
    if (fit == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    fit_background(fit, plane, mask);
    subtract_background(plane, mask, fit);
    float noise = fit->noise;
    kata__free(plane->context, fit);
    if (ink->sign == 0) {
        ink->sign = find_sign(plane, 4 * noise > 6 ? 4 * noise : 6);
    }
    size_t n = (size_t)plane->width * (size_t)plane->height;
    for (size_t i = 0; ink->sign < 0 && i < n; i++) {
        plane->value[i] = -plane->value[i];
    }
    struct levels levels = find_levels(plane, noise);
    ink->contrast = levels.ink;
    if (ink->sign == 0 || levels.ink < least_contrast) {
        return kata_fail(KATA_INVALID,
                         "the picture is blank: what stands out most differs from the background "
                         "by %.0f of 255 grey levels, at least %.0f are needed",
                         (double)levels.ink, (double)least_contrast);
    }
    struct pieces pieces = {.context = plane->context};
    kata_status status = find_main(&pieces, plane, mask, &levels, ink);
    kata__free(plane->context, pieces.piece);
    kata__free(plane->context, pieces.label);
    kata__free(plane->context, pieces.stack);
    for (size_t i = 0; i < n; i++) {
        float value = plane->value[i] / levels.ink;
        plane->value[i] = value > 1 ? 1 : value > 0 ? value : 0;
    }
    return status;
}

/* ------------------------------------------------------------------ strokes */

static const float inked = 0.5f;

static bool is_inked(const kata__plane *plane, int x, int y) {
    return x >= 0 && x < plane->width && y >= 0 && y < plane->height &&
           plane->value[(size_t)y * (size_t)plane->width + (size_t)x] > inked;
}

double kata__ink_stroke_width(const kata__plane *plane) {
    int64_t area = 0, edges = 0;
    for (int y = 0; y < plane->height; y++) {
        for (int x = 0; x < plane->width; x++) {
            if (is_inked(plane, x, y)) {
                area++;
                edges += !is_inked(plane, x - 1, y) + !is_inked(plane, x + 1, y) +
                         !is_inked(plane, x, y - 1) + !is_inked(plane, x, y + 1);
            }
        }
    }
    /* An outline of all directions has 4 / pi pixel edges for each pixel of its length. */
    return edges == 0 ? 0 : 2 * (double)area / ((double)edges * 0.785398163);
}

/* Distance to the nearest inked pixel, by two sweeps with steps 1 and sqrt(2) (Borgefors 1986). */
void kata__distances(float *distance, int width, int height) {
    static const float straight = 1, slanted = 1.3507f; /* least greatest error of the two */
    for (int pass = 0; pass < 2; pass++) {
        int step = pass == 0 ? -1 : 1;
        for (int j = 0; j < height; j++) {
            int y = pass == 0 ? j : height - 1 - j;
            for (int i = 0; i < width; i++) {
                int x = pass == 0 ? i : width - 1 - i;
                float *at = distance + (size_t)y * (size_t)width + (size_t)x, best = *at;
                bool beside = x + step >= 0 && x + step < width;
                bool behind = x - step >= 0 && x - step < width;
                if (beside) {
                    best = fminf(best, at[step] + straight);
                }
                if (y + step >= 0 && y + step < height) {
                    const float *next = at + step * width;
                    best = fminf(best, next[0] + straight);
                    best = beside ? fminf(best, next[step] + slanted) : best;
                    best = behind ? fminf(best, next[-step] + slanted) : best;
                }
                *at = best;
            }
        }
    }
}

kata_status kata__ink_widen(kata__plane *plane, double radius) {
    kata__plane distance;
    KATA__TRY(kata__plane_new(&distance, plane->context, plane->height, plane->width));
    size_t n = (size_t)plane->width * (size_t)plane->height;
    for (size_t i = 0; i < n; i++) {
        distance.value[i] = plane->value[i] > inked ? 0 : 1e9f;
    }
    kata__distances(distance.value, plane->width, plane->height);
    for (size_t i = 0; i < n; i++) {
        float cover = (float)radius + 0.5f - distance.value[i];
        cover = cover > 1 ? 1 : cover > 0 ? cover : 0;
        plane->value[i] = plane->value[i] > cover ? plane->value[i] : cover;
    }
    kata__plane_free(&distance);
    return KATA_OK;
}
