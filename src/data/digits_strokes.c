/*
 * How the ten digits are written: for each class a few styles of writing, each a path of pen
 * points whose proportions are drawn anew for every sample. Smooth points become a spline, corner
 * points break it.
 *
 * Every draw is a statement of its own: C leaves the order of evaluation of arguments open, and the
 * order of draws is part of the data set.
 */
#include "data/digits.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

#define uniform kata__digits_uniform
#define normal kata__digits_normal
#define chance kata__digits_chance

typedef struct kata__digits_dice Dice;
typedef struct kata__digits_glyph Glyph;

static void put(Glyph *glyph, double x, double y, int corner) {
    int *end = &glyph->first[glyph->stroke_count];
    if (*end < KATA__DIGITS_POINTS) {
        struct kata__digits_point *point = &glyph->points[*end];
        point->x = x;
        point->y = y;
        point->corner = corner;
        *end += 1;
    }
}

/* Lifts the pen: what follows is a new stroke. */
static void lift_pen(Glyph *glyph) {
    glyph->stroke_count += 1;
    glyph->first[glyph->stroke_count] = glyph->first[glyph->stroke_count - 1];
}

/* Lifts the pen and sets it down at (x, y). */
static void start(Glyph *glyph, double x, double y) {
    lift_pen(glyph);
    put(glyph, x, y, 0);
}

/* Passes smoothly through (x, y). */
static void curve(Glyph *glyph, double x, double y) {
    put(glyph, x, y, 0);
}

/* Turns sharply at (x, y). */
static void corner(Glyph *glyph, double x, double y) {
    put(glyph, x, y, 1);
}

/* sin(2 pi t) for t in turns, by folding to a quarter and the odd Taylor polynomial to t^9. */
static double sine(double turns) {
    double t = turns - (double)(long)turns;
    if (t < 0) {
        t += 1;
    }
    double sign = 1;
    if (t >= 0.5) {
        t -= 0.5;
        sign = -1;
    }
    if (t > 0.25) {
        t = 0.5 - t;
    }
    const double a = 6.283185307179586 * t;
    const double q = a * a;
    return sign * a * (1 - q / 6 * (1 - q / 20 * (1 - q / 42 * (1 - q / 72))));
}

static double cosine(double turns) {
    return sine(turns + 0.25);
}

/*
 * `count` points of an ellipse about (cx, cy) from angle `from` to `to`, in turns, clockwise on the
 * page from the right. Over the first and the last quarter of the way the radius runs off to
 * 1 + before and 1 + after.
 */
static void sweep(Glyph *glyph, double cx, double cy, double rx, double ry, double from, double to,
                  double before, double after, int count) {
    for (int i = 0; i < count; ++i) {
        const double part = (double)i / (double)(count - 1);
        const double angle = from + (to - from) * part;
        const double ahead = 1 - 4 * part;
        const double behind = 4 * part - 3;
        const double radius =
            1 + (ahead > 0 ? before * ahead : 0) + (behind > 0 ? after * behind : 0);
        curve(glyph, cx + rx * radius * cosine(angle), cy + ry * radius * sine(angle));
    }
}

static void write_zero(Dice *dice, Glyph *glyph) {
    const double half_width = uniform(dice, 0.2, 0.56);
    const double from = -0.25 + normal(dice, 0.1);
    const double turn = uniform(dice, 0.89, 1.25);
    const int loose = chance(dice, 0.28);
    const double before = loose ? uniform(dice, -0.2, 0.5) : normal(dice, 0.1);
    const double after = loose ? uniform(dice, -0.4, 0.5) : normal(dice, 0.1);
    const int curl = chance(dice, 0.15);
    const int slash = chance(dice, 0.01);
    const int clockwise = chance(dice, 0.1);
    const double to = clockwise ? from + turn : from - turn;
    lift_pen(glyph);
    sweep(glyph, half_width, 0.5, half_width, 0.5, from, to, before, after, 12);
    if (curl) {
        const double depth = uniform(dice, 0.4, 0.85);
        const double reach = uniform(dice, 0.04, 0.25);
        const double way = clockwise ? reach : -reach;
        curve(glyph, half_width + half_width * depth * cosine(to + way),
              0.5 + 0.5 * depth * sine(to + way));
    }
    if (slash) {
        start(glyph, half_width * 1.9, 0.1);
        curve(glyph, half_width * 0.1, 0.9);
    }
}

static void write_one(Dice *dice, Glyph *glyph) {
    const double bend = normal(dice, 0.025);
    const double twist = normal(dice, 0.012);
    const int flag = chance(dice, 0.16);
    const int base = flag ? chance(dice, 0.5) : chance(dice, 0.01);
    const double stem = 0.3;
    if (flag) {
        const double reach = uniform(dice, 0.06, 0.36);
        const double drop = uniform(dice, 0.04, 0.34);
        const double sag = normal(dice, 0.03);
        start(glyph, stem - reach, drop);
        curve(glyph, stem - reach * 0.5, drop * 0.55 + sag);
        corner(glyph, stem, 0);
    } else {
        start(glyph, stem, 0);
    }
    curve(glyph, stem + bend + twist, 0.33);
    curve(glyph, stem + bend - twist, 0.67);
    curve(glyph, stem, 1);
    if (base) {
        const double left = uniform(dice, 0.08, 0.45);
        const double right = uniform(dice, 0.08, 0.45);
        const double tilt = normal(dice, 0.03);
        const double sag = normal(dice, 0.02);
        start(glyph, stem - left, 1 + tilt);
        curve(glyph, stem, 1 + sag);
        curve(glyph, stem + right, 1 - tilt);
    }
}

static void write_two(Dice *dice, Glyph *glyph) {
    const double style = uniform(dice, 0, 1);
    const double head = uniform(dice, 0.3, 0.72);
    const double hook = uniform(dice, 0.06, 0.4);
    const double hook_x = uniform(dice, -0.08, 0.26);
    const double crown = uniform(dice, 0.35, 0.6);
    const double belly = uniform(dice, 0.16, 0.34);
    const double waist = uniform(dice, 0.4, style < 0.5 ? 0.64 : 0.78);
    const double heel = uniform(dice, -0.22, 0.18);
    const double level = uniform(dice, 0.82, 1.02);
    const double tail = heel + uniform(dice, 0.32, 1.05);
    const double tail_y = uniform(dice, 0.78, 1.06);
    const int curled = chance(dice, 0.12);
    if (curled) {
        start(glyph, hook_x + 0.14, hook + 0.05);
        curve(glyph, hook_x + 0.04, hook + 0.06);
        curve(glyph, hook_x, hook);
    } else {
        start(glyph, hook_x, hook);
    }
    curve(glyph, hook_x + (head * crown - hook_x) * 0.4, 0.05 + hook * 0.1);
    curve(glyph, head * crown, 0);
    curve(glyph, head * 0.92, 0.09);
    curve(glyph, head, belly);
    curve(glyph, head * 0.86 + heel * 0.1, waist - 0.08);
    if (style < 0.5) {
        /* A loop, lying on the base line left of the stroke that comes down and crossing it. */
        const double big = uniform(dice, 0, 1);
        const double size = 0.1 + 0.38 * big;
        const double lift = uniform(dice, 0.08, 0.18) + 0.2 * big;
        const double lag = uniform(dice, 0.5, 0.95);
        const double past = uniform(dice, 0.3, 0.6);
        const double droop = uniform(dice, 0.2, 0.7);
        const double edge = heel - size * 0.2;
        const double cross_x = edge + size * 1.05;
        const double cross_y = level - lift * lag;
        curve(glyph, cross_x * 0.7 + head * 0.25, (waist + cross_y) * 0.5);
        curve(glyph, edge + size * 0.85, level - lift * 0.3);
        curve(glyph, edge + size * 0.4, level);
        curve(glyph, edge, level - lift * 0.45);
        curve(glyph, edge + size * 0.4, level - lift);
        curve(glyph, cross_x, cross_y);
        curve(glyph, cross_x + (tail - cross_x) * past, cross_y + (tail_y - cross_y) * droop);
        curve(glyph, tail, tail_y);
        return;
    }
    curve(glyph, head * 0.5 + heel * 0.45, waist + (level - waist) * 0.42);
    if (style < 0.78) {
        const double wave = normal(dice, 0.04);
        corner(glyph, heel, level);
        curve(glyph, heel + (tail - heel) * 0.35, level * 0.6 + tail_y * 0.4 - wave);
        curve(glyph, heel + (tail - heel) * 0.7, level * 0.3 + tail_y * 0.7 + wave);
        curve(glyph, tail, tail_y);
    } else {
        const double wave = uniform(dice, -0.1, 0.03);
        curve(glyph, heel + 0.05, level - 0.05);
        curve(glyph, heel + 0.02, level + 0.01);
        curve(glyph, heel + 0.14, level - 0.01 + wave);
        curve(glyph, heel + (tail - heel) * 0.6, level * 0.5 + tail_y * 0.5 + wave * 0.3);
        curve(glyph, tail, tail_y);
    }
}

static void write_three(Dice *dice, Glyph *glyph) {
    const double top = uniform(dice, 0.36, 0.68);
    const double bottom = uniform(dice, 0.4, 0.76);
    const double cusp_x = uniform(dice, 0.1, 0.44);
    const double cusp_y = uniform(dice, 0.3, 0.56);
    const double hook = uniform(dice, 0.0, 0.24);
    const double hook_x = uniform(dice, -0.08, 0.18);
    const double foot = uniform(dice, -0.2, 0.34);
    const double foot_y = uniform(dice, 0.72, 1.06);
    const double sag = uniform(dice, 0.4, 0.62);
    const double style = uniform(dice, 0, 1);
    start(glyph, hook_x, hook);
    if (style < 0.1) {
        const double rise = uniform(dice, -0.05, 0.06);
        curve(glyph, top * 0.5, hook * 0.5 + rise * 0.5);
        corner(glyph, top, rise);
        curve(glyph, (top + cusp_x) * 0.5, cusp_y * 0.55);
    } else {
        curve(glyph, hook_x * 0.5 + top * 0.35, 0.02 + hook * 0.15);
        curve(glyph, top * 0.75, 0);
        curve(glyph, top, cusp_y * 0.38);
        curve(glyph, top * 0.75 + cusp_x * 0.25, cusp_y * 0.78);
    }
    if (style < 0.5) {
        corner(glyph, cusp_x, cusp_y);
    } else if (style < 0.8) {
        curve(glyph, cusp_x + 0.04, cusp_y - 0.02);
        curve(glyph, cusp_x + 0.05, cusp_y + 0.03);
    } else {
        const double size = uniform(dice, 0.02, 0.1);
        curve(glyph, cusp_x, cusp_y + size * 0.3);
        curve(glyph, cusp_x - size, cusp_y + size);
        curve(glyph, cusp_x, cusp_y + size * 1.4);
    }
    curve(glyph, bottom * 0.8 + cusp_x * 0.1, cusp_y + (1 - cusp_y) * (sag - 0.3));
    curve(glyph, bottom, cusp_y + (1 - cusp_y) * sag);
    curve(glyph, bottom * 0.8, cusp_y + (1 - cusp_y) * 0.86);
    curve(glyph, bottom * 0.4 + foot * 0.2, 1);
    curve(glyph, foot, foot_y);
}

static void write_four(Dice *dice, Glyph *glyph) {
    const double style = uniform(dice, 0, 1);
    const double bar = uniform(dice, 0.36, 0.68);
    const double left = uniform(dice, -0.14, 0.14);
    const double stem = uniform(dice, 0.36, 0.62);
    const double stem_top = uniform(dice, -0.1, 0.32);
    const double stem_lean = normal(dice, 0.05);
    const double overhang = uniform(dice, 0.0, 0.34);
    const double rise = normal(dice, 0.06);
    const double left_top = uniform(dice, -0.04, 0.14);
    if (style < 0.66) {
        start(glyph, left + left_top, 0);
        curve(glyph, left + left_top * 0.5, bar * 0.5);
        if (chance(dice, 0.5)) {
            corner(glyph, left, bar);
        } else {
            curve(glyph, left, bar * 0.9);
            curve(glyph, left + 0.08, bar + 0.02);
        }
        curve(glyph, left + (stem - left) * 0.6, bar + rise * 0.3);
        curve(glyph, stem + overhang, bar - rise);
        start(glyph, stem + stem_lean, stem_top);
        curve(glyph, stem, bar);
        curve(glyph, stem - stem_lean, 1);
    } else if (style < 0.85) {
        const double dip = uniform(dice, 0.0, 0.12);
        const double run = normal(dice, 0.05);
        start(glyph, left + left_top * 0.7, stem_top < 0 ? -stem_top : 0);
        curve(glyph, left, bar * 0.55);
        curve(glyph, left + 0.06, bar * 0.92);
        curve(glyph, (left + stem) * 0.5, bar);
        curve(glyph, stem - 0.05, bar - dip);
        corner(glyph, stem + 0.03 + stem_lean, stem_top * 0.8);
        curve(glyph, stem + stem_lean * 0.2 + run, bar + 0.1);
        curve(glyph, stem - stem_lean + run, 1);
    } else {
        const double apex = uniform(dice, -0.08, 0.08);
        start(glyph, stem + apex, 0);
        curve(glyph, (stem + apex + left) * 0.5, bar * 0.52);
        corner(glyph, left, bar);
        curve(glyph, (left + stem) * 0.5, bar + rise * 0.3);
        curve(glyph, stem + overhang, bar - rise);
        start(glyph, stem + stem_lean, stem_top < 0.1 ? 0 : stem_top - 0.1);
        curve(glyph, stem, bar);
        curve(glyph, stem - stem_lean, 1);
    }
}

static void write_five(Dice *dice, Glyph *glyph) {
    const double style = uniform(dice, 0, 1);
    const double neck = uniform(dice, 0.24, 0.52);
    const double neck_x = uniform(dice, -0.02, 0.26);
    const double lean = uniform(dice, -0.08, 0.15);
    const double bowl = uniform(dice, 0.36, 0.7);
    const double bar = uniform(dice, 0.3, 1.0);
    const double bar_y = normal(dice, 0.06);
    const double foot = uniform(dice, -0.22, 0.26);
    const double foot_y = uniform(dice, 0.56, 1.05);
    const double swell = uniform(dice, -0.03, 0.16);
    const double sag = uniform(dice, 0.42, 0.64);
    const double top_x = neck_x + lean;
    if (style < 0.78) {
        const int single = chance(dice, 0.45);
        if (single) {
            start(glyph, bar, bar_y);
            curve(glyph, (bar + top_x) * 0.5, bar_y * 0.3 + 0.02);
            if (chance(dice, 0.7)) {
                corner(glyph, top_x, 0.03);
            } else {
                curve(glyph, top_x + 0.04, 0.05);
            }
        } else {
            start(glyph, top_x, 0.04);
        }
        curve(glyph, (neck_x + top_x) * 0.5, neck * 0.55);
        if (chance(dice, 0.5)) {
            corner(glyph, neck_x, neck);
            curve(glyph, neck_x + (bowl - neck_x) * 0.5, neck - swell);
        } else {
            curve(glyph, neck_x + 0.03, neck);
            curve(glyph, neck_x + (bowl - neck_x) * 0.5, neck + 0.05 - swell * 0.5);
        }
        curve(glyph, bowl * 0.95, neck + (1 - neck) * (sag - 0.27));
        curve(glyph, bowl, neck + (1 - neck) * sag);
        curve(glyph, bowl * 0.75 + foot * 0.1, neck + (1 - neck) * 0.88);
        curve(glyph, bowl * 0.4 + foot * 0.45, 1);
        if (chance(dice, 0.12)) {
            /* The bowl closes, or nearly. */
            const double end_x = uniform(dice, -0.05, 0.18);
            const double end_y = uniform(dice, 0.15, 0.5);
            curve(glyph, foot * 0.6, 0.72 + 0.2 * foot_y);
            curve(glyph, neck_x + end_x, neck + (1 - neck) * end_y);
        } else {
            curve(glyph, foot, foot_y);
        }
        if (!single) {
            const double gap_x = uniform(dice, -0.08, 0.12);
            const double gap_y = uniform(dice, -0.1, 0.05);
            start(glyph, top_x + gap_x, 0.03 + gap_y);
            curve(glyph, (bar + top_x + gap_x) * 0.5, bar_y * 0.5 + 0.015 + gap_y * 0.5);
            curve(glyph, bar + gap_x, bar_y + gap_y);
        }
    } else {
        start(glyph, bar * 0.85, 0.04 + bar_y);
        curve(glyph, (bar * 0.85 + top_x) * 0.55, 0);
        curve(glyph, top_x + 0.02, neck * 0.35);
        curve(glyph, neck_x + 0.06, neck);
        curve(glyph, bowl * 0.6, neck + 0.1);
        curve(glyph, bowl * 0.9, neck + (1 - neck) * 0.5);
        curve(glyph, bowl * 0.7, neck + (1 - neck) * 0.88);
        curve(glyph, (bowl + foot) * 0.4, 1);
        curve(glyph, foot, foot_y);
    }
}

static void write_six(Dice *dice, Glyph *glyph) {
    const double loop_top = uniform(dice, 0.32, 0.74);
    const double width = uniform(dice, 0.28, 0.8);
    const double tilt = uniform(dice, -0.05, 0.25);
    const double top_x = uniform(dice, 0.04, 0.72);
    const double straight = uniform(dice, -0.3, 1.1);
    const double close = uniform(dice, 0.2, 1.0);
    const double style = uniform(dice, 0, 1);
    const int hooked = chance(dice, 0.12);
    const double height = 1 - loop_top;
    const double middle = 1 - height * 0.5;
    if (hooked) {
        start(glyph, top_x + 0.1, 0.08);
        curve(glyph, top_x, 0);
    } else {
        start(glyph, top_x, 0);
    }
    curve(glyph, top_x * (0.45 + 0.25 * straight), 0.22);
    curve(glyph, top_x * (0.12 + 0.2 * straight), middle * 0.7);
    curve(glyph, 0, middle + 0.06);
    curve(glyph, width * 0.2, 0.95);
    curve(glyph, width * 0.5, 1);
    curve(glyph, width * 0.9, 1 - height * (0.16 + 0.6 * tilt));
    curve(glyph, width, middle - height * tilt);
    curve(glyph, width * 0.84, loop_top + height * (0.12 - 0.3 * tilt));
    curve(glyph, width * 0.55, loop_top + height * 0.2 * tilt);
    if (style < 0.5) {
        const double inside = uniform(dice, -0.24, 0.14);
        const double drop = uniform(dice, 0, 1);
        curve(glyph, width * (0.55 - 0.36 * close), loop_top + height * 0.24 * close);
        if (close > 0.5) {
            curve(glyph, inside, middle + (drop - 0.3) * height * 0.4);
        }
    } else {
        /* The loop comes down again, across the foot of the stem or short of it. */
        const double steep = uniform(dice, 0.15, 0.45);
        const double end_x = uniform(dice, -0.28, 0.3);
        const double end_y = uniform(dice, 0.4, 1.18);
        const double mid_x = width * steep * 0.6 + end_x * 0.4;
        curve(glyph, width * (0.2 + steep * 0.5), loop_top + height * 0.2);
        curve(glyph, mid_x, loop_top + height * (0.2 + end_y * 0.4));
        curve(glyph, end_x * 0.8 + mid_x * 0.2, loop_top + height * end_y);
    }
}

static void write_seven(Dice *dice, Glyph *glyph) {
    const double width = uniform(dice, 0.36, 0.74);
    const double bar_left = uniform(dice, 0.0, 0.14);
    const double bar_right = uniform(dice, -0.04, 0.08);
    const double sag = normal(dice, 0.035);
    const double foot = uniform(dice, 0.0, 0.46);
    const double bow = uniform(dice, -0.14, 0.14);
    const int serif = chance(dice, 0.3);
    const int crossed = chance(dice, 0.18);
    const int rounded = chance(dice, 0.35);
    if (serif) {
        const double drop = uniform(dice, 0.06, 0.42);
        const double reach = normal(dice, 0.03);
        start(glyph, reach, bar_left + drop);
        if (chance(dice, 0.6)) {
            corner(glyph, 0, bar_left);
        } else {
            curve(glyph, 0.03, bar_left + 0.01);
        }
    } else {
        start(glyph, 0, bar_left);
    }
    curve(glyph, width * 0.5, (bar_left + bar_right) * 0.5 + sag);
    if (rounded) {
        const double round = uniform(dice, 0.05, 0.2);
        curve(glyph, width * (1 - round), bar_right);
        curve(glyph, width, bar_right + round);
    } else {
        corner(glyph, width, bar_right);
    }
    curve(glyph, foot + (width - foot) * 0.62 - bow * 0.8, 0.36);
    curve(glyph, foot + (width - foot) * 0.25 - bow, 0.66);
    curve(glyph, foot, 1);
    if (crossed) {
        const double at = uniform(dice, 0.4, 0.6);
        const double left = uniform(dice, 0.12, 0.3);
        const double right = uniform(dice, 0.12, 0.3);
        const double tilt = normal(dice, 0.05);
        const double middle = foot + (width - foot) * (1 - at) - bow * 0.8;
        start(glyph, middle - left, at + tilt);
        curve(glyph, middle + right, at - tilt);
    }
}

static void write_eight(Dice *dice, Glyph *glyph) {
    const double style = uniform(dice, 0, 1);
    const double waist = uniform(dice, 0.3, 0.68);
    const double upper = uniform(dice, 0.12, 0.35);
    const double lower = uniform(dice, 0.07, 0.34);
    const double middle = 0.3;
    const double shift = normal(dice, 0.06);
    if (style < 0.85) {
        /* One stroke: down as an S, round the lower loop, and back up to near the start. */
        const double open_x = uniform(dice, 0.2, 1.5);
        const double open_y = uniform(dice, -0.02, 0.2);
        const double end_x = uniform(dice, 0.1, 1.5);
        const double end_y = uniform(dice, -0.1, 0.26);
        const double cross = uniform(dice, -0.03, 0.06);
        const double squeeze = uniform(dice, 0.5, 0.95);
        const double left = uniform(dice, 0.7, 1.0);
        const double top = middle + shift;
        start(glyph, top + upper * open_x, open_y);
        curve(glyph, top, 0);
        curve(glyph, top - upper * left, waist * 0.24);
        curve(glyph, top - upper * 0.85, waist * 0.6);
        curve(glyph, middle - cross, waist - cross);
        curve(glyph, middle + lower * squeeze, waist + (1 - waist) * 0.36);
        curve(glyph, middle + lower * 0.95, waist + (1 - waist) * 0.74);
        curve(glyph, middle + lower * 0.1, 1);
        curve(glyph, middle - lower * 0.9, waist + (1 - waist) * 0.76);
        curve(glyph, middle - lower * squeeze, waist + (1 - waist) * 0.36);
        curve(glyph, middle + cross, waist + cross);
        curve(glyph, top + upper * (0.4 + end_x * 0.4), waist * 0.55 + end_y * 0.2);
        curve(glyph, top + upper * end_x, end_y);
    } else {
        const double from = uniform(dice, 0, 1);
        const double over = uniform(dice, 0.95, 1.08);
        const double top = waist * 0.5;
        lift_pen(glyph);
        sweep(glyph, middle + shift, top, upper, top, from, from + over, 0, 0, 10);
        lift_pen(glyph);
        sweep(glyph, middle, (1 + waist) * 0.5, lower, (1 - waist) * 0.5, -0.25, -0.25 + over, 0, 0,
              10);
    }
}

static void write_nine(Dice *dice, Glyph *glyph) {
    const double loop = uniform(dice, 0.3, 0.7);
    const double width = uniform(dice, 0.26, 0.66);
    const double join = uniform(dice, -0.15, 0.6);
    const double style = uniform(dice, 0, 1);
    const double foot = uniform(dice, -0.42, 0.2);
    const double droop = uniform(dice, 0.45, 0.7);
    if (style < 0.2) {
        /* A closed ring, and a stem set down at its right side. */
        const double from = uniform(dice, -0.4, 0.05);
        const double turn = uniform(dice, 0.92, 1.1);
        const double aside = normal(dice, 0.03);
        const double bow = normal(dice, 0.045);
        lift_pen(glyph);
        sweep(glyph, width * 0.5, loop * 0.5, width * 0.5, loop * 0.5, from, from - turn, 0, 0, 10);
        start(glyph, width + aside, loop * join * 0.8);
        curve(glyph, width + foot * 0.4 + bow, 0.5 + loop * 0.1);
        curve(glyph, width + foot, 1);
        return;
    }
    const double begin_x = uniform(dice, 0.5, 1.4);
    const double begin_y = uniform(dice, -0.15, 0.3);
    start(glyph, width * begin_x, loop * begin_y + 0.02);
    curve(glyph, width * 0.5, 0);
    curve(glyph, width * 0.12, loop * 0.22);
    curve(glyph, 0, loop * droop);
    curve(glyph, width * 0.2, loop * 0.95);
    curve(glyph, width * 0.5, loop * 0.95);
    curve(glyph, width * 0.86, loop * droop);
    if (style < 0.78) {
        const double bow = normal(dice, 0.045);
        if (chance(dice, 0.6)) {
            corner(glyph, width, loop * join);
        } else {
            curve(glyph, width * 0.98, loop * 0.35);
            curve(glyph, width, loop * 0.5);
        }
        curve(glyph, width + foot * 0.35 + bow, 0.5);
        curve(glyph, width + foot * 0.7 + bow, 0.76);
        curve(glyph, width + foot, 1);
    } else {
        const double hook = uniform(dice, 0.1, 0.6);
        const double rise = uniform(dice, 0.0, 0.16);
        corner(glyph, width, loop * join);
        curve(glyph, width * 1.02, 0.45);
        curve(glyph, width * 0.96, 0.78);
        curve(glyph, width * 0.7, 0.97);
        curve(glyph, width * 0.9 - hook, 1 - rise);
    }
}

void kata__digits_write(int digit, struct kata__digits_dice *dice,
                        struct kata__digits_glyph *glyph) {
    static void (*const writers[10])(Dice *, Glyph *) = {
        write_zero, write_one, write_two,   write_three, write_four,
        write_five, write_six, write_seven, write_eight, write_nine,
    };
    glyph->stroke_count = 0;
    glyph->first[0] = 0;
    writers[digit](dice, glyph);
}
