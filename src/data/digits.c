/*
 * Draws the samples of make:digits: random words, the bending of the strokes that digits_strokes.c
 * writes, the pen, and the placing of the ink as MNIST places it.
 *
 * Only integers and the IEEE operations + - * / and sqrt are used, and never fused, so that every
 * machine draws the same bits.
 */
#include "data/digits.h"

#include "base/random.h"

#include <math.h>
#include <string.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

#define SIDE KATA__DIGITS_SIDE
#define BOX 20
#define SPAN_STEPS 5
#define PATH_POINTS (KATA__DIGITS_POINTS * SPAN_STEPS + 1)

/*
 * Keeps these draws apart from all others of the seed: with it, word w of sample i is
 * kata_random_bits(seed, KATA__STREAM_DIGITS, i, w).
 */
#define STREAM_KEY 0xA0C2F596AECE4719u

uint32_t kata__digits_word(struct kata__digits_dice *dice) {
    if (dice->left == 0) {
        kata__philox(dice->seed ^ STREAM_KEY, dice->index, dice->block, dice->words);
        dice->block += 1;
        dice->left = 4;
    }
    dice->left -= 1;
    return dice->words[3 - dice->left];
}

double kata__digits_uniform(struct kata__digits_dice *dice, double low, double high) {
    return low + (high - low) * ((double)kata__digits_word(dice) * (1.0 / 4294967296.0));
}

/* The sum of four uniform bytes has mean 510 and variance 4 (256^2 - 1) / 12 = 147.8^2. */
double kata__digits_normal(struct kata__digits_dice *dice, double deviation) {
    const uint32_t word = kata__digits_word(dice);
    const int sum =
        (int)((word & 255u) + ((word >> 8) & 255u) + ((word >> 16) & 255u) + (word >> 24));
    return deviation * ((double)(sum - 510) / 147.8);
}

int kata__digits_chance(struct kata__digits_dice *dice, double probability) {
    return kata__digits_uniform(dice, 0, 1) < probability;
}

#define uniform kata__digits_uniform
#define normal kata__digits_normal
#define chance kata__digits_chance

typedef struct kata__digits_dice Dice;
typedef struct kata__digits_glyph Glyph;
typedef struct kata__digits_point Point;

/* A point of the flattened path: where, the pen's radius there in pixels, and if the pen is down
 * on the way from the point before. */
struct inked {
    double x;
    double y;
    double radius;
    int down;
};

struct path {
    struct inked points[PATH_POINTS];
    int count;
};

/*
 * The hand of one writer at one moment: a shear and a turn of the page, a smooth bend of it
 * (polynomials of the second and third order in the place), and a tremble of each point.
 */
static void bend(Dice *dice, int digit, Glyph *glyph) {
    /* The mean shear, dx/dy, with which the strokes as written come to lean as people's do. */
    static const double lean[10] = {0.26, 0.23, 0.07, 0.05, 0.36, 0.12, 0.00, -0.02, 0.18, 0.14};
    /* How far the factors of the bend stray, in the order in which they stand in u and v below. */
    static const double deviation[12] = {0.30, 0.40, 0.15, 0.60, 0.60, 0.30,
                                         0.30, 0.40, 0.25, 0.50, 0.40, 0.40};
    const double tremble = uniform(dice, 0.004, 0.03);
    const double width = uniform(dice, 0.8, 1.4);
    const double slant = lean[digit] + normal(dice, digit == 1 ? 0.26 : 0.24);
    const double half_turn = normal(dice, digit == 1 ? 0.01 : 0.07);
    const double cosine = (1 - half_turn * half_turn) / (1 + half_turn * half_turn);
    const double sine = 2 * half_turn / (1 + half_turn * half_turn);
    const double wildness = uniform(dice, 0.3, 1.2) * (digit == 1 ? 0.3 : digit == 0 ? 0.75 : 1.0);
    double bends[12];
    for (int i = 0; i < 12; ++i) {
        bends[i] = normal(dice, deviation[i] * wildness);
    }
    const int count = glyph->first[glyph->stroke_count];
    for (int i = 0; i < count; ++i) {
        Point *point = &glyph->points[i];
        const double dx = normal(dice, tremble);
        const double dy = normal(dice, tremble);
        const double x = point->x - 0.3 + dx;
        const double y = point->y - 0.5 + dy;
        const double xx = x * x;
        const double xy = x * y;
        const double yy = y * y;
        const double u = x + bends[0] * xx + bends[1] * xy + bends[2] * yy + bends[3] * xx * y +
                         bends[4] * xy * y + bends[5] * yy * y;
        const double v = y + bends[6] * xx + bends[7] * xy + bends[8] * yy + bends[9] * xx * x +
                         bends[10] * xx * y + bends[11] * xy * y;
        const double sheared = width * u - slant * v;
        point->x = cosine * sheared - sine * v;
        point->y = sine * sheared + cosine * v;
    }
}

/*
 * Flattens a stroke's Catmull-Rom spline, p(t) = p1 + t m1 + t^2 (3 d - 2 m1 - m2) +
 * t^3 (m1 + m2 - 2 d) with d = p2 - p1 and slopes m half the chord about a point. At corners and
 * ends there is no chord: there the spline starts unbent, m1 = 3/2 d - m2 / 2, or a line, m = d.
 */
static void flatten(const Point *points, int count, const double *pressure, struct path *path) {
    struct inked *out = &path->points[path->count];
    *out++ = (struct inked){points[0].x, points[0].y, pressure[0], 0};
    for (int i = 0; i + 1 < count; ++i) {
        const Point p1 = points[i];
        const Point p2 = points[i + 1];
        const double dx = p2.x - p1.x;
        const double dy = p2.y - p1.y;
        const int free1 = i == 0 || p1.corner;
        const int free2 = i + 2 == count || p2.corner;
        double m1x = free1 ? 0 : 0.5 * (p2.x - points[i - 1].x);
        double m1y = free1 ? 0 : 0.5 * (p2.y - points[i - 1].y);
        double m2x = free2 ? 0 : 0.5 * (points[i + 2].x - p1.x);
        double m2y = free2 ? 0 : 0.5 * (points[i + 2].y - p1.y);
        if (free1) {
            m1x = free2 ? dx : 1.5 * dx - 0.5 * m2x;
            m1y = free2 ? dy : 1.5 * dy - 0.5 * m2y;
        }
        if (free2) {
            m2x = free1 ? dx : 1.5 * dx - 0.5 * m1x;
            m2y = free1 ? dy : 1.5 * dy - 0.5 * m1y;
        }
        for (int k = 1; k <= SPAN_STEPS; ++k) {
            const double t = (double)k / SPAN_STEPS;
            const double tt = t * t;
            const double ttt = tt * t;
            out->x = p1.x + t * m1x + tt * (3 * dx - 2 * m1x - m2x) + ttt * (m1x + m2x - 2 * dx);
            out->y = p1.y + t * m1y + tt * (3 * dy - 2 * m1y - m2y) + ttt * (m1y + m2y - 2 * dy);
            out->radius = pressure[i] + t * (pressure[i + 1] - pressure[i]);
            out->down = 1;
            ++out;
        }
    }
    path->count = (int)(out - path->points);
}

/*
 * The pen: a radius in pixels of the finished image, a pressure that wanders along the strokes, and
 * a flat nib that writes thinner along one direction than across it.
 */
static void ink(Dice *dice, int digit, const Glyph *glyph, struct path *path) {
    /* Classes of many strokes are written larger, and so with a pen that is finer in the box. */
    static const double weight[10] = {1.04, 1.12, 1, 0.98, 0.95, 0.94, 0.97, 1, 0.91, 0.9};
    const double light = uniform(dice, 0.75, 1.55);
    const double heavy = uniform(dice, 0, 1);
    const double heavier = heavy * heavy * heavy * heavy;
    const double radius = weight[digit] * (light + 0.9 * heavier * (1 + heavier * heavier));
    const double wander = uniform(dice, 0.02, 0.14);
    const double flatness = uniform(dice, -0.1, 0.35);
    const double nib_half = uniform(dice, -1, 1);
    const double nib_x = (1 - nib_half * nib_half) / (1 + nib_half * nib_half);
    const double nib_y = 2 * nib_half / (1 + nib_half * nib_half);
    double pressure[KATA__DIGITS_POINTS];
    path->count = 0;
    for (int s = 0; s < glyph->stroke_count; ++s) {
        const int first = glyph->first[s];
        const int count = glyph->first[s + 1] - first;
        for (int i = 0; i < count; ++i) {
            pressure[i] = radius * (1 + normal(dice, wander));
        }
        const double taper = uniform(dice, 0.6, 1.1);
        pressure[count - 1] *= taper;
        flatten(&glyph->points[first], count, pressure, path);
    }
    double previous_x = 0;
    double previous_y = 1;
    for (int i = 0; i < path->count; ++i) {
        struct inked *point = &path->points[i];
        if (i + 1 < path->count && path->points[i + 1].down) {
            previous_x = path->points[i + 1].x - point->x;
            previous_y = path->points[i + 1].y - point->y;
        }
        const double along = previous_x * nib_x + previous_y * nib_y;
        const double length = previous_x * previous_x + previous_y * previous_y + 1e-12;
        point->radius *= 1 - flatness * (along * along / length - 0.5);
        if (point->radius < 0.5) {
            point->radius = 0.5;
        }
    }
}

struct extent {
    double left;
    double right;
    double top;
    double bottom;
};

/* The box that the pen touches when the path is scaled by `scale`. */
static struct extent measure(const struct path *path, double scale) {
    struct extent box = {1e9, -1e9, 1e9, -1e9};
    for (int i = 0; i < path->count; ++i) {
        const struct inked *point = &path->points[i];
        const double x = point->x * scale;
        const double y = point->y * scale;
        const double radius = point->radius;
        box.left = x - radius < box.left ? x - radius : box.left;
        box.right = x + radius > box.right ? x + radius : box.right;
        box.top = y - radius < box.top ? y - radius : box.top;
        box.bottom = y + radius > box.bottom ? y + radius : box.bottom;
    }
    return box;
}

/* Scales and shifts the path so that what the pen touches just fits a BOX x BOX square. */
static void fit(Dice *dice, struct path *path) {
    struct extent box = measure(path, 1);
    double scale = 14;
    for (int i = 0; i < 3; ++i) {
        box = measure(path, scale);
        const double across = box.right - box.left;
        const double down = box.bottom - box.top;
        const double side = across > down ? across : down;
        scale *= (BOX - 2.5) / (side - 2.5);
    }
    box = measure(path, scale);
    const double slack_x = BOX - (box.right - box.left);
    const double slack_y = BOX - (box.bottom - box.top);
    const double play_x = uniform(dice, 0, 1);
    const double play_y = uniform(dice, 0, 1);
    const double shift_x = slack_x < 0.5 ? slack_x * 0.5 : slack_x * 0.5 - 0.5 + play_x;
    const double shift_y = slack_y < 0.5 ? slack_y * 0.5 : slack_y * 0.5 - 0.5 + play_y;
    for (int i = 0; i < path->count; ++i) {
        path->points[i].x = path->points[i].x * scale - box.left + shift_x;
        path->points[i].y = path->points[i].y * scale - box.top + shift_y;
    }
}

/*
 * depth[y][x] becomes the greatest of radius - distance over the path, at the centre of each pixel
 * of the BOX square: above 0 inside the ink.
 */
static void measure_depth(const struct path *path, float depth[BOX][BOX]) {
    for (int y = 0; y < BOX; ++y) {
        for (int x = 0; x < BOX; ++x) {
            depth[y][x] = -4;
        }
    }
    for (int i = 1; i < path->count; ++i) {
        const struct inked *a = &path->points[i - 1];
        const struct inked *b = &path->points[i];
        if (!b->down) {
            continue;
        }
        const double reach = (a->radius > b->radius ? a->radius : b->radius) + 1.0;
        const double low_x = (a->x < b->x ? a->x : b->x) - reach;
        const double high_x = (a->x > b->x ? a->x : b->x) + reach;
        const double low_y = (a->y < b->y ? a->y : b->y) - reach;
        const double high_y = (a->y > b->y ? a->y : b->y) + reach;
        const int x0 = low_x < 0 ? 0 : (int)low_x;
        const int x1 = high_x > BOX - 1 ? BOX : (int)(high_x + 1);
        const int y0 = low_y < 0 ? 0 : (int)low_y;
        const int y1 = high_y > BOX - 1 ? BOX : (int)(high_y + 1);
        const float ax = (float)a->x;
        const float ay = (float)a->y;
        const float dx = (float)(b->x - a->x);
        const float dy = (float)(b->y - a->y);
        const float inverse = 1.0f / (dx * dx + dy * dy + 1e-9f);
        const float radius = (float)a->radius;
        const float widen = (float)(b->radius - a->radius);
        for (int y = y0; y < y1; ++y) {
            const float py = (float)y + 0.5f - ay;
            for (int x = x0; x < x1; ++x) {
                const float px = (float)x + 0.5f - ax;
                float t = (px * dx + py * dy) * inverse;
                t = t < 0 ? 0 : t;
                t = t > 1 ? 1 : t;
                const float ex = px - t * dx;
                const float ey = py - t * dy;
                const float inside = radius + t * widen - sqrtf(ex * ex + ey * ey);
                depth[y][x] = inside > depth[y][x] ? inside : depth[y][x];
            }
        }
    }
}

/*
 * Grey from depth: ink = depth / softness + 1/2 within 0 and 1, the share of a soft-edged pixel
 * that is covered, with the depth roughened as a scanned edge is.
 */
static void shade(Dice *dice, float depth[BOX][BOX], uint8_t grey[BOX][BOX]) {
    const double softness = uniform(dice, 0.8, 1.3);
    const double rough = uniform(dice, 0.0, 0.3);
    uint32_t bits = 0;
    for (int y = 0; y < BOX; ++y) {
        for (int x = 0; x < BOX; ++x) {
            if ((x & 3) == 0) {
                bits = kata__digits_word(dice);
            }
            const double grain = ((double)((bits >> (8 * (x & 3))) & 255u) - 127.5) / 128.0;
            double value = ((double)depth[y][x] + rough * grain) / softness + 0.5;
            value = value < 0 ? 0 : value > 1 ? 1 : value;
            grey[y][x] = (uint8_t)(value * 255 + 0.5);
        }
    }
}

/* Copies the square so that its centre of mass falls nearest to pixel (14, 14), as in MNIST. */
static void centre(uint8_t grey[BOX][BOX], uint8_t *image) {
    int64_t mass = 1;
    int64_t moment_x = 0;
    int64_t moment_y = 0;
    for (int y = 0; y < BOX; ++y) {
        for (int x = 0; x < BOX; ++x) {
            mass += grey[y][x];
            moment_x += (int64_t)x * grey[y][x];
            moment_y += (int64_t)y * grey[y][x];
        }
    }
    int left = SIDE / 2 - (int)((2 * moment_x + mass) / (2 * mass));
    int top = SIDE / 2 - (int)((2 * moment_y + mass) / (2 * mass));
    left = left < 0 ? 0 : left > SIDE - BOX ? SIDE - BOX : left;
    top = top < 0 ? 0 : top > SIDE - BOX ? SIDE - BOX : top;
    memset(image, 0, SIDE * SIDE);
    for (int y = 0; y < BOX; ++y) {
        memcpy(image + (top + y) * SIDE + left, grey[y], BOX);
    }
}

int kata__digits_draw(uint64_t seed, uint64_t index, uint8_t image[SIDE * SIDE]) {
    Dice dice = {.seed = seed, .index = index};
    const int digit = (int)(((uint64_t)kata__digits_word(&dice) * 10) >> 32);
    Glyph glyph;
    struct path path;
    float depth[BOX][BOX];
    uint8_t grey[BOX][BOX];
    kata__digits_write(digit, &dice, &glyph);
    bend(&dice, digit, &glyph);
    ink(&dice, digit, &glyph, &path);
    fit(&dice, &path);
    measure_depth(&path, depth);
    shade(&dice, depth, grey);
    centre(grey, image);
    return digit;
}
