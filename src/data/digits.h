/*
 * make:digits, the endless data set of drawn handwritten-looking digits: 28 x 28 grey images,
 * 0 background to 255 ink, normalised as MNIST is. Sample `index` of the set of `seed` is a
 * function of those two numbers alone.
 *
 * digits_strokes.c writes a digit as pen strokes, digits.c bends and inks them.
 */
#ifndef KATA_DATA_DIGITS_H
#define KATA_DATA_DIGITS_H

#include <stdint.h>

#define KATA__DIGITS_SIDE 28

/*
 * Draws one sample into `image`, row by row, and returns its class, 0 to 9, uniform over indices.
 * The same bits on every machine, in any order of calls and from any thread; allocates nothing.
 */
int kata__digits_draw(uint64_t seed, uint64_t index,
                      uint8_t image[KATA__DIGITS_SIDE * KATA__DIGITS_SIDE]);

/* What follows is shared by the two files of this data set only. */

/* A sample's own stream of random words: four to a Philox block, block b at counter (index, b). */
struct kata__digits_dice {
    uint64_t seed;
    uint64_t index;
    uint64_t block;
    uint32_t words[4];
    int left;
};

/* The next 32 random bits. */
uint32_t kata__digits_word(struct kata__digits_dice *dice);

/* Uniform in [low, high). */
double kata__digits_uniform(struct kata__digits_dice *dice, double low, double high);

/* Close to normal: mean 0, standard deviation `deviation`, never beyond 3.47 deviations. */
double kata__digits_normal(struct kata__digits_dice *dice, double deviation);

/* True with probability `probability`. */
int kata__digits_chance(struct kata__digits_dice *dice, double probability);

#define KATA__DIGITS_STROKES 5
#define KATA__DIGITS_POINTS 64

/* A point the pen passes through; at a corner it may change direction at once. */
struct kata__digits_point {
    double x;
    double y;
    int corner;
};

/*
 * A digit as pen strokes: stroke k is the points first[k] up to first[k + 1]. Height 1, width near
 * 0.6, y downwards.
 */
struct kata__digits_glyph {
    struct kata__digits_point points[KATA__DIGITS_POINTS];
    int first[KATA__DIGITS_STROKES + 1];
    int stroke_count;
};

/* Writes `digit` in a style of writing picked by the dice. */
void kata__digits_write(int digit, struct kata__digits_dice *dice,
                        struct kata__digits_glyph *glyph);

#endif
