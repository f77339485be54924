/* make:digits is a function of (seed, index), balanced, and normalised as MNIST is. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/random.h"
#include "data/digits.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SIDE KATA__DIGITS_SIDE
#define PIXELS (SIDE * SIDE)

/* FNV-1a, 64 bits: of a class and its image, onto the hash of what came before. */
static uint64_t hash_on(uint64_t hash, int digit, const uint8_t image[PIXELS]) {
    hash = (hash ^ (uint64_t)digit) * 0x100000001B3u;
    for (int i = 0; i < PIXELS; i++) {
        hash = (hash ^ image[i]) * 0x100000001B3u;
    }
    return hash;
}

static uint64_t hash_of(uint64_t seed, uint64_t index) {
    uint8_t image[PIXELS];
    const int digit = kata__digits_draw(seed, index, image);
    return hash_on(0xCBF29CE484222325u, digit, image);
}

static void the_first_thousand_are_these(void **state) {
    (void)state;
    uint64_t hash = 0xCBF29CE484222325u;
    for (uint64_t i = 0; i < 1000; i++) {
        uint8_t image[PIXELS];
        const int digit = kata__digits_draw(1, i, image);
        hash = hash_on(hash, digit, image);
    }
    assert_int_equal(hash, 0x0837C10E1A65DC06u);
}

/* The draws are Kata's own, of the stream that is set apart for this data set. */
static void words_are_of_the_digits_stream(void **state) {
    (void)state;
    struct kata__digits_dice dice = {.seed = 77, .index = 123456789012u};
    for (uint64_t w = 0; w < 10; w++) {
        const uint32_t expected = kata_random_bits(77, KATA__STREAM_DIGITS, 123456789012u, w);
        assert_int_equal(kata__digits_word(&dice), expected);
    }
}

static void any_order_gives_the_same(void **state) {
    (void)state;
    static uint64_t forwards[500];
    for (uint64_t i = 0; i < 500; i++) {
        forwards[i] = hash_of(3, i);
    }
    for (uint64_t i = 500; i-- > 0;) {
        assert_int_equal(hash_of(3, i), forwards[i]);
    }
}

/* What was in the image before does not show. */
static void the_whole_image_is_written(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 100; i++) {
        uint8_t on_black[PIXELS];
        uint8_t on_white[PIXELS];
        memset(on_black, 0, sizeof on_black);
        memset(on_white, 255, sizeof on_white);
        assert_int_equal(kata__digits_draw(5, i, on_black), kata__digits_draw(5, i, on_white));
        assert_memory_equal(on_black, on_white, PIXELS);
    }
}

enum { THREADS = 4, EACH = 300 };

struct share {
    uint64_t first;
    uint64_t hashes[EACH];
};

static void *draw_share(void *argument) {
    struct share *share = argument;
    for (uint64_t i = 0; i < EACH; i++) {
        share->hashes[i] = hash_of(9, share->first + i);
    }
    return NULL;
}

static void any_thread_gives_the_same(void **state) {
    (void)state;
    static struct share shares[THREADS];
    pthread_t threads[THREADS];
    for (int t = 0; t < THREADS; t++) {
        shares[t].first = (uint64_t)t * (EACH / 2);
        assert_int_equal(pthread_create(&threads[t], NULL, draw_share, &shares[t]), 0);
    }
    for (int t = 0; t < THREADS; t++) {
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    }
    for (int t = 0; t < THREADS; t++) {
        for (uint64_t i = 0; i < EACH; i++) {
            assert_int_equal(shares[t].hashes[i], hash_of(9, shares[t].first + i));
        }
    }
}

static int by_value(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* No two of 4,000 samples are alike: over neighbouring seeds and indices, and far ones. */
static void samples_differ(void **state) {
    (void)state;
    static uint64_t hashes[4000];
    for (uint64_t i = 0; i < 1000; i++) {
        hashes[4 * i] = hash_of(0, i);
        hashes[4 * i + 1] = hash_of(1, i);
        hashes[4 * i + 2] = hash_of((uint64_t)1 << 40, i);
        hashes[4 * i + 3] = hash_of(0, UINT64_MAX - i);
    }
    qsort(hashes, 4000, sizeof hashes[0], by_value);
    for (int i = 1; i < 4000; i++) {
        assert_true(hashes[i] != hashes[i - 1]);
    }
}

/* 20,000 draws: 2,000 a class, with a deviation of sqrt(20,000 * 0.1 * 0.9) = 42. */
static void classes_are_balanced(void **state) {
    (void)state;
    int counts[10] = {0};
    for (uint64_t i = 0; i < 20000; i++) {
        uint8_t image[PIXELS];
        const int digit = kata__digits_draw(2, i, image);
        assert_in_range(digit, 0, 9);
        counts[digit] += 1;
    }
    for (int digit = 0; digit < 10; digit++) {
        assert_in_range(counts[digit], 1800, 2200);
    }
}

/*
 * MNIST's training images have a mean of 33.3, and of the pixels with any ink 42 % hold more than
 * 240; by class the mean runs from 19 (ones) to 44 (zeros).
 */
static void ink_is_as_in_mnist(void **state) {
    (void)state;
    double ink[10] = {0};
    double images[10] = {0};
    double inked = 0;
    double full = 0;
    for (uint64_t i = 0; i < 20000; i++) {
        uint8_t image[PIXELS];
        const int digit = kata__digits_draw(4, i, image);
        int sum = 0;
        for (int k = 0; k < PIXELS; k++) {
            sum += image[k];
            inked += image[k] > 0;
            full += image[k] > 240;
        }
        assert_in_range(sum, 3 * PIXELS, 130 * PIXELS);
        ink[digit] += (double)sum / PIXELS;
        images[digit] += 1;
    }
    double mean = 0;
    for (int digit = 0; digit < 10; digit++) {
        ink[digit] /= images[digit];
        mean += ink[digit] / 10;
    }
    assert_true(mean > 30 && mean < 38);
    assert_true(full / inked > 0.37 && full / inked < 0.5);
    assert_true(ink[1] > 16 && ink[1] < 24);
    assert_true(ink[0] > 40 && ink[0] < 48);
    for (int digit = 2; digit < 10; digit++) {
        assert_true(ink[digit] > ink[1] && ink[digit] < ink[0]);
    }
}

/*
 * The ink fills a box of 20 pixels along its longer side, never more, and its centre of mass lies
 * within half a pixel of (14, 14); only where the box itself would leave the image does it not.
 */
static void ink_is_boxed_and_centred(void **state) {
    (void)state;
    int short_boxes = 0;
    int off_centre = 0;
    for (uint64_t i = 0; i < 20000; i++) {
        uint8_t image[PIXELS];
        kata__digits_draw(6, i, image);
        int left = SIDE;
        int right = -1;
        int top = SIDE;
        int bottom = -1;
        double mass = 0;
        double x_moment = 0;
        double y_moment = 0;
        for (int y = 0; y < SIDE; y++) {
            for (int x = 0; x < SIDE; x++) {
                const int grey = image[y * SIDE + x];
                if (grey == 0) {
                    continue;
                }
                left = x < left ? x : left;
                right = x > right ? x : right;
                top = y < top ? y : top;
                bottom = y > bottom ? y : bottom;
                mass += grey;
                x_moment += (double)x * grey;
                y_moment += (double)y * grey;
            }
        }
        const int width = right - left + 1;
        const int height = bottom - top + 1;
        assert_in_range(width, 2, 20);
        assert_in_range(height, 2, 20);
        short_boxes += width < 19 && height < 19;
        const double off_x = fabs(x_moment / mass - 14);
        const double off_y = fabs(y_moment / mass - 14);
        assert_true(off_x < 2 && off_y < 2);
        off_centre += off_x > 0.51 || off_y > 0.51;
    }
    assert_in_range(short_boxes, 0, 100);
    assert_in_range(off_centre, 0, 40);
}

/* Samples of a class are different ways of writing it: none is near to all of the others. */
static void writing_varies(void **state) {
    (void)state;
    static uint8_t images[10][20][PIXELS];
    int counts[10] = {0};
    for (uint64_t i = 0; i < 2000; i++) {
        uint8_t image[PIXELS];
        const int digit = kata__digits_draw(8, i, image);
        if (counts[digit] < 20) {
            memcpy(images[digit][counts[digit]], image, PIXELS);
            counts[digit] += 1;
        }
    }
    for (int digit = 0; digit < 10; digit++) {
        assert_int_equal(counts[digit], 20);
        double apart = 0;
        double ink = 0;
        for (int i = 1; i < 20; i++) {
            for (int k = 0; k < PIXELS; k++) {
                const int difference = images[digit][i][k] - images[digit][i - 1][k];
                apart += difference < 0 ? -difference : difference;
                ink += images[digit][i][k];
            }
        }
        assert_true(apart > 0.3 * ink);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_thousand_are_these),
        cmocka_unit_test(words_are_of_the_digits_stream),
        cmocka_unit_test(any_order_gives_the_same),
        cmocka_unit_test(the_whole_image_is_written),
        cmocka_unit_test(any_thread_gives_the_same),
        cmocka_unit_test(samples_differ),
        cmocka_unit_test(classes_are_balanced),
        cmocka_unit_test(ink_is_as_in_mnist),
        cmocka_unit_test(ink_is_boxed_and_centred),
        cmocka_unit_test(writing_varies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
