/* Pictures without decoding: resizing, and any picture of a digit as MNIST has it. */
#include "data/files.h"
#include "base/memory.h"
#include "data/digits.h"
#include "support/counting_allocator.h"

#include <math.h>

enum { SIDE = 28, PIXELS = SIDE * SIDE };

static kata_context *context;

static kata_picture new_picture(kata_context *of, int width, int height, int channels, int value) {
    kata_picture picture = {width, height, channels, NULL, of};
    size_t n = (size_t)width * (size_t)height * (size_t)channels;
    picture.pixels = kata__alloc(of, n, 1);
    assert_non_null(picture.pixels);
    memset(picture.pixels, value, n);
    return picture;
}

/* ------------------------------------------------------------------ planes */

static void test_planes(void **state) {
    (void)state;
    kata_picture picture = new_picture(context, 4, 2, 3, 0);
    for (int i = 0; i < 24; i++) {
        picture.pixels[i] = (uint8_t)(10 * i);
    }
    uint8_t same[24], half[6], grey[8], wide[1];
    assert_ok(kata_picture_to_planes(&picture, 3, 2, 4, same));
    for (int c = 0; c < 3; c++) {
        for (int i = 0; i < 8; i++) {
            assert_int_equal(same[8 * c + i], picture.pixels[3 * i + c]);
        }
    }
    /* By area: each the mean of four. */
    assert_ok(kata_picture_to_planes(&picture, 3, 1, 2, half));
    assert_int_equal(half[0], (0 + 30 + 120 + 150) / 4);
    assert_int_equal(half[5], (80 + 110 + 200 + 230) / 4);
    assert_ok(kata_picture_to_planes(&picture, 1, 2, 4, grey));
    assert_int_equal(grey[1], lround(0.299 * 30 + 0.587 * 40 + 0.114 * 50));
    assert_ok(kata_picture_to_planes(&picture, 1, 1, 1, wide));
    kata_picture_free(&picture);
    /* Grey to colour; enlarging is linear between the pixels' centres and flat beyond. */
    picture = new_picture(context, 2, 1, 1, 0);
    picture.pixels[1] = 200;
    uint8_t colour[12];
    assert_ok(kata_picture_to_planes(&picture, 3, 1, 4, colour));
    static const uint8_t expected[12] = {0, 50, 150, 200, 0, 50, 150, 200, 0, 50, 150, 200};
    assert_memory_equal(colour, expected, 12);
    /* The mean stays whatever the factor. */
    kata_picture large = new_picture(context, 101, 67, 1, 0);
    double mean = 0;
    for (int i = 0; i < 101 * 67; i++) {
        large.pixels[i] = (uint8_t)(i * 37 % 256);
        mean += large.pixels[i] / (101.0 * 67);
    }
    uint8_t one;
    assert_ok(kata_picture_to_planes(&large, 1, 1, 1, &one));
    assert_true(fabs(one - mean) <= 0.5);
    static uint8_t flat[40 * 40];
    memset(large.pixels, 77, 101 * 67);
    assert_ok(kata_picture_to_planes(&large, 1, 40, 40, flat));
    for (int i = 0; i < 1600; i++) {
        assert_int_equal(flat[i], 77);
    }
    assert_failure(kata_picture_to_planes(&large, 2, 40, 40, flat), KATA_INVALID, "2 channels");
    assert_failure(kata_picture_to_planes(&large, 1, 0, 40, flat), KATA_INVALID, "40x0 pixels");
    large.channels = 4;
    assert_failure(kata_picture_to_planes(&large, 1, 4, 4, flat), KATA_INVALID, "4 channels");
    large.channels = 1;
    kata_picture_free(&large);
    kata_picture_free(&picture);
    kata_picture_free(&picture);
    kata_picture_free(NULL);
}

static void test_decode_without_readers(void **state) {
    (void)state;
    kata_picture picture;
    assert_failure(kata_picture_decode(&picture, context, "", 0), KATA_FORMAT, "empty (0 bytes)");
    assert_failure(kata_picture_decode(&picture, context, "GIF89a..", 8), KATA_FORMAT,
                   "neither PNG nor JPEG: its 8 bytes begin with 47 49 46 38");
    assert_failure(kata_picture_decode(&picture, context, "x", 1), KATA_FORMAT, "neither PNG");
    assert_failure(kata_picture_decode(&picture, context, "\xff\xd8\xff\xe0", 4), KATA_UNSUPPORTED,
                   "built without the readers of PNG and JPEG");
    assert_failure(kata_picture_read(&picture, context, "/no/such/picture.png"), KATA_NOT_FOUND,
                   "/no/such/picture.png");
    assert_failure(kata_picture_decode(&picture, NULL, "x", 1), KATA_INVALID, "a context");
}

/* ------------------------------------------------------------------ digits */

enum look {
    LIGHT_ON_DARK,
    DARK_ON_LIGHT,
    INK_ON_PAPER,
    YELLOW_ON_WHITE,
    SHADED_PAPER,
    NOISY_BOARD,
    LOOKS
};

static unsigned noise_state = 1;
static int noise(int most) {
    noise_state = noise_state * 1664525u + 1013904223u;
    return (int)(noise_state >> 16) % (2 * most + 1) - most;
}

static void paint(uint8_t *to, enum look look, double ink, double x, double y) {
    static const double paper[3] = {250, 240, 220}, blue[3] = {20, 30, 160};
    static const double white[3] = {255, 255, 255}, yellow[3] = {250, 220, 40};
    switch (look) {
    case LIGHT_ON_DARK:
        to[0] = (uint8_t)lround(255 * ink);
        break;
    case DARK_ON_LIGHT:
        to[0] = (uint8_t)lround(255 - 255 * ink);
        break;
    case INK_ON_PAPER:
        for (int c = 0; c < 3; c++) {
            to[c] = (uint8_t)lround(paper[c] + (blue[c] - paper[c]) * ink);
        }
        break;
    case YELLOW_ON_WHITE:
        for (int c = 0; c < 3; c++) {
            to[c] = (uint8_t)lround(white[c] + (yellow[c] - white[c]) * ink);
        }
        break;
    case SHADED_PAPER: {
        double light = 230 - 60 * x - 40 * y * y + noise(3);
        to[0] = (uint8_t)lround(light * (1 - ink) + 40 * ink);
        break;
    }
    default: {
        double light = 40 + 50 * x + 30 * y + noise(4);
        to[0] = (uint8_t)lround(light * (1 - ink) + 235 * ink);
        break;
    }
    }
}

/* A 28x28 image enlarged `scale` times on a larger picture, its corner at (left, top). */
static kata_picture render(const uint8_t image[PIXELS], int scale, int left, int top, int right,
                           int bottom, enum look look) {
    int channels = look == INK_ON_PAPER || look == YELLOW_ON_WHITE ? 3 : 1;
    int side = SIDE * scale;
    kata_picture small = {SIDE, SIDE, 1, (uint8_t *)(uintptr_t)image, context};
    uint8_t *large = malloc((size_t)side * (size_t)side);
    assert_ok(kata_picture_to_planes(&small, 1, side, side, large));
    kata_picture out = new_picture(context, side + left + right, side + top + bottom, channels, 0);
    for (int y = 0; y < out.height; y++) {
        for (int x = 0; x < out.width; x++) {
            int u = x - left, v = y - top;
            bool in = u >= 0 && v >= 0 && u < side && v < side;
            paint(out.pixels + ((size_t)y * (size_t)out.width + (size_t)x) * (size_t)channels, look,
                  in ? large[v * side + u] / 255.0 : 0, x / (double)out.width,
                  y / (double)out.height);
        }
    }
    free(large);
    return out;
}

/* Mean difference of two images; least over shifts by one pixel: centres of mass that fall between
 * two pixels may be rounded either way. */
static double difference(const uint8_t a[PIXELS], const uint8_t b[PIXELS], int reach) {
    double least = 1e9;
    for (int dy = -reach; dy <= reach; dy++) {
        for (int dx = -reach; dx <= reach; dx++) {
            double sum = 0;
            for (int y = 0; y < SIDE; y++) {
                for (int x = 0; x < SIDE; x++) {
                    int u = x + dx, v = y + dy;
                    int other = u >= 0 && v >= 0 && u < SIDE && v < SIDE ? b[v * SIDE + u] : 0;
                    sum += abs(a[y * SIDE + x] - other);
                }
            }
            least = sum / PIXELS < least ? sum / PIXELS : least;
        }
    }
    return least;
}

static void test_recovers_digits(void **state) {
    (void)state;
    uint8_t image[PIXELS], found[PIXELS];
    double mean_ink = 0;
    for (int look = 0; look < LOOKS; look++) {
        for (int scale = 3; scale <= 8; scale++) {
            double sum = 0, worst = 0;
            for (int i = 0; i < 20; i++) {
                kata__digits_draw(5, (uint64_t)(scale * 20 + i), image);
                for (int k = 0; k < PIXELS; k++) {
                    mean_ink += image[k] / (20.0 * PIXELS * 6 * LOOKS);
                }
                kata_picture picture =
                    render(image, scale, 13 * i, 5 * i, 40, 90 - 3 * i, (enum look)look);
                assert_ok(kata_picture_to_digit(&picture, found));
                double d = difference(image, found, 1);
                sum += d;
                worst = d > worst ? d : worst;
                kata_picture_free(&picture);
            }
            if (sum / 20 > 10 || worst > 20) {
                print_error("look %d, scale %d: mean %.2f, worst %.2f\n", look, scale, sum / 20,
                            worst);
            }
            assert_true(sum / 20 <= 10 && worst <= 20);
        }
    }
    /* What the bounds are to be held against. */
    assert_true(mean_ink > 20);
}

/* A digit on a sheet of paper on a table. The sheet is turned by `angle`, narrower at its far side
 * by `taper` and may be cut off by the picture. */
struct scene {
    const char *name;
    int table, paper, ink;
    double angle, taper, size; /* radians; of the sheet's width; of the picture's sides */
};

static kata_picture put_on_table(const uint8_t image[PIXELS], const struct scene *s) {
    kata_picture out = new_picture(context, 420, 360, 1, 0);
    double c = cos(s->angle), k = sin(s->angle), half_x = 210 * s->size, half_y = 180 * s->size;
    double side = 1.1 * half_y;
    for (int y = 0; y < out.height; y++) {
        for (int x = 0; x < out.width; x++) {
            double u = (x - 210) * c + (y - 180) * k, v = (y - 180) * c - (x - 210) * k;
            u /= 1 + s->taper * v / half_y;
            bool on = fabs(u) <= half_x && fabs(v) <= half_y;
            int column = (int)floor(u / side * SIDE + SIDE / 2.0);
            int row = (int)floor(v / side * SIDE + SIDE / 2.0);
            bool in = column >= 0 && row >= 0 && column < SIDE && row < SIDE && on;
            double cover = in ? image[row * SIDE + column] / 255.0 : 0;
            double light = 1 - 0.2 * x / out.width;
            double level = on ? s->paper + (s->ink - s->paper) * cover : s->table;
            out.pixels[y * out.width + x] =
                (uint8_t)lround(fmin(255, level * light + 3 + noise(3)));
        }
    }
    return out;
}

/* The sheet's edge is not ink. */
static void test_sheet_on_table(void **state) {
    (void)state;
    static const struct scene scenes[] = {
        {"dark table", 40, 230, 30, 0, 0, 0.75},    {"light table", 250, 190, 30, 0, 0, 0.75},
        {"turned", 40, 230, 30, 0.3, 0, 0.7},       {"small", 60, 220, 30, 0.1, 0, 0.35},
        {"perspective", 50, 230, 30, 0, 0.15, 0.7}, {"pencil", 40, 230, 140, 0, 0, 0.75},
        {"slate", 190, 40, 230, 0.1, 0, 0.75},
    };
    for (size_t k = 0; k < sizeof scenes / sizeof scenes[0]; k++) {
        double sum = 0;
        for (int i = 0; i < 12; i++) {
            uint8_t image[PIXELS], found[PIXELS], alone[PIXELS];
            kata__digits_draw(11, (uint64_t)i, image);
            /* The same sheet without a table around it. */
            struct scene bare = scenes[k];
            bare.table = bare.paper;
            kata_picture on_table = put_on_table(image, &scenes[k]);
            kata_picture on_paper = put_on_table(image, &bare);
            assert_ok(kata_picture_to_digit(&on_table, found));
            assert_ok(kata_picture_to_digit(&on_paper, alone));
            sum += difference(alone, found, 1) / 12;
            kata_picture_free(&on_table);
            kata_picture_free(&on_paper);
        }
        if (sum > 6) {
            print_error("%s: mean difference %.2f\n", scenes[k].name, sum);
        }
        assert_true(sum <= 6);
    }
}

static void test_28x28(void **state) {
    (void)state;
    uint8_t image[PIXELS], found[PIXELS];
    for (int i = 0; i < 30; i++) {
        kata__digits_draw(9, (uint64_t)i, image);
        kata_picture as_is = {SIDE, SIDE, 1, image, context};
        assert_ok(kata_picture_to_digit(&as_is, found));
        assert_memory_equal(found, image, PIXELS);
        kata_picture dark = new_picture(context, SIDE, SIDE, 3, 0);
        for (int k = 0; k < PIXELS; k++) {
            memset(dark.pixels + 3 * k, 255 - image[k], 3);
        }
        assert_ok(kata_picture_to_digit(&dark, found));
        assert_true(difference(image, found, 1) < 8);
        kata_picture_free(&dark);
    }
}

/* A line of `width` pixels from a to b. */
static void draw_line(kata_picture *picture, double ax, double ay, double bx, double by,
                      double width, int value) {
    int steps = (int)(2 * hypot(bx - ax, by - ay)) + 1;
    for (int i = 0; i <= steps; i++) {
        double x = ax + (bx - ax) * i / steps, y = ay + (by - ay) * i / steps;
        for (int v = (int)(y - width / 2); v <= (int)(y + width / 2); v++) {
            for (int u = (int)(x - width / 2); u <= (int)(x + width / 2); u++) {
                if (u >= 0 && v >= 0 && u < picture->width && v < picture->height) {
                    memset(picture->pixels + ((size_t)v * (size_t)picture->width + (size_t)u) *
                                                 (size_t)picture->channels,
                           value, (size_t)picture->channels);
                }
            }
        }
    }
}

static void draw_seven(kata_picture *picture, double left, double top, double size, double width,
                       int value) {
    draw_line(picture, left, top, left + 0.6 * size, top, width, value);
    draw_line(picture, left + 0.6 * size, top, left + 0.2 * size, top + size, width, value);
}

static void measure(const uint8_t image[PIXELS], int *width, int *height, double *mean, int *most,
                    double *centre_x, double *centre_y) {
    int left = SIDE, right = -1, top = SIDE, bottom = -1;
    double sum = 0, x = 0, y = 0;
    *most = 0;
    for (int i = 0; i < PIXELS; i++) {
        if (image[i] > 0) {
            left = i % SIDE < left ? i % SIDE : left;
            right = i % SIDE > right ? i % SIDE : right;
            top = i / SIDE < top ? i / SIDE : top;
            bottom = i / SIDE > bottom ? i / SIDE : bottom;
        }
        *most = image[i] > *most ? image[i] : *most;
        sum += image[i];
        x += image[i] * (i % SIDE);
        y += image[i] * (i / SIDE);
    }
    *width = right - left + 1;
    *height = bottom - top + 1;
    *mean = sum / PIXELS;
    *centre_x = x / sum;
    *centre_y = y / sum;
}

/* A pen of one pixel in drawings of any size, dark or light: strokes stay visible, the box is 20.
 */
static void test_thin_strokes(void **state) {
    (void)state;
    uint8_t thick[PIXELS], thin[PIXELS];
    static const int sizes[] = {100, 300, 600, 1500};
    for (int i = 0; i < 4; i++) {
        int n = sizes[i];
        kata_picture a = new_picture(context, n, n, 1, 250), b = new_picture(context, n, n, 1, 250);
        draw_seven(&a, 0.3 * n, 0.2 * n, 0.6 * n, 0.6 * n / 10, 20);
        draw_seven(&b, 0.3 * n, 0.2 * n, 0.6 * n, 1, 20);
        assert_ok(kata_picture_to_digit(&a, thick));
        assert_ok(kata_picture_to_digit(&b, thin));
        for (int k = 0; k < 2; k++) {
            int width, height, most;
            double mean, x, y;
            measure(k == 0 ? thick : thin, &width, &height, &mean, &most, &x, &y);
            assert_true(height >= 19 && height <= 20 && width >= 10 && width <= 15);
            assert_true(most > 200);
            assert_true(mean > 12 && mean < 40);
            assert_true(fabs(x - 14) < 0.6 && fabs(y - 14) < 0.6);
        }
        assert_true(difference(thick, thin, 1) < 18);
        kata_picture_free(&a);
        kata_picture_free(&b);
    }
}

/* Specks, a line at the border, and a small digit in a large picture change nothing. */
static void test_dirt(void **state) {
    (void)state;
    uint8_t clean[PIXELS], found[PIXELS];
    kata_picture a = new_picture(context, 400, 300, 1, 230);
    kata_picture b = new_picture(context, 400, 300, 1, 230);
    draw_seven(&a, 150, 100, 120, 10, 30);
    draw_seven(&b, 150, 100, 120, 10, 30);
    for (int i = 0; i < 30; i++) {
        int x = (i * 97 + 11) % 396, y = (i * 61 + 7) % 296;
        draw_line(&b, x, y, x + 1, y + 1, 1, 60); /* dust */
    }
    draw_line(&b, 0, 2, 399, 2, 3, 90); /* the paper's edge */
    draw_line(&b, 396, 0, 396, 299, 4, 80);
    assert_ok(kata_picture_to_digit(&a, clean));
    assert_ok(kata_picture_to_digit(&b, found));
    assert_true(difference(clean, found, 0) < 2);
    kata_picture_free(&a);
    kata_picture_free(&b);
    b = new_picture(context, 2000, 1500, 3, 230);
    draw_seven(&b, 1500, 1100, 120, 10, 30);
    assert_ok(kata_picture_to_digit(&b, found));
    assert_true(difference(clean, found, 1) < 5);
    kata_picture_free(&b);
}

/* A digit that fills its picture to the border. */
static void test_tight(void **state) {
    (void)state;
    uint8_t loose[PIXELS], tight[PIXELS];
    kata_picture a = new_picture(context, 200, 260, 1, 240);
    kata_picture b = new_picture(context, 122, 190, 1, 240);
    draw_seven(&a, 40, 40, 180, 16, 20);
    draw_seven(&b, 5, 5, 180, 16, 20);
    assert_ok(kata_picture_to_digit(&a, loose));
    assert_ok(kata_picture_to_digit(&b, tight));
    assert_true(difference(loose, tight, 1) < 6);
    kata_picture_free(&a);
    kata_picture_free(&b);
}

static void test_blank(void **state) {
    (void)state;
    uint8_t out[PIXELS], before[PIXELS];
    memset(out, 7, PIXELS);
    memset(before, 7, PIXELS);
    static const int sizes[][2] = {{1, 1}, {2, 1}, {1, 40}, {3, 3}, {28, 28}, {100, 60}};
    for (int i = 0; i < 6; i++) {
        for (int value = 0; value < 256; value += 51) {
            kata_picture picture =
                new_picture(context, sizes[i][0], sizes[i][1], value % 2 == 0 ? 1 : 3, value);
            assert_failure(kata_picture_to_digit(&picture, out), KATA_INVALID,
                           "the picture is blank");
            kata_picture_free(&picture);
        }
    }
    kata_picture picture = new_picture(context, 200, 200, 1, 0);
    for (int i = 0; i < 40000; i++) { /* shaded and noisy, but no ink */
        picture.pixels[i] = (uint8_t)(120 + i % 200 / 4 + i / 600 + noise(2));
    }
    assert_failure(kata_picture_to_digit(&picture, out), KATA_INVALID, "at least 12 are needed");
    picture.channels = 2;
    assert_failure(kata_picture_to_digit(&picture, out), KATA_INVALID, "2 channels");
    picture.channels = 1;
    kata_picture_free(&picture);
    assert_memory_equal(out, before, PIXELS); /* untouched */
}

/* Any bytes: an image or a sentence. */
static void test_any_picture(void **state) {
    (void)state;
    uint8_t out[PIXELS];
    for (int i = 0; i < 300; i++) {
        int width = 1 + abs(noise(40)), height = 1 + abs(noise(40)), kind = i % 3;
        kata_picture picture = new_picture(context, width, height, kind == 0 ? 3 : 1, 0);
        for (int k = 0; k < width * height * picture.channels; k++) {
            picture.pixels[k] = (uint8_t)(kind == 2 ? (noise(9) > 7 ? 255 : 0) : 128 + noise(127));
        }
        kata_status status = kata_picture_to_digit(&picture, out);
        assert_true(status == KATA_OK || status == KATA_INVALID);
        kata_picture_free(&picture);
    }
}

static void test_allocations(void **state) {
    (void)state;
    kata_test_allocator counting;
    kata_test_allocator_init(&counting);
    kata_context *own = kata_test_context(&counting, 1);
    assert_non_null(own);
    uint8_t out[PIXELS], planes[300];
    for (int64_t k = 1;; k++) {
        kata_test_allocator_reset(&counting, 0);
        kata_picture picture = new_picture(own, 500, 400, 3, 240);
        draw_seven(&picture, 100, 100, 200, 1, 20);
        int64_t live = counting.n_live;
        kata_test_allocator_reset(&counting, k);
        kata_status status = kata_picture_to_digit(&picture, out);
        if (status == KATA_OK) {
            status = kata_picture_to_planes(&picture, 3, 10, 10, planes);
        }
        bool reached = counting.n_calls >= k;
        assert_int_equal(counting.n_live, live);
        kata_picture_free(&picture);
        if (!reached) {
            assert_int_equal(status, KATA_OK);
            break;
        }
        assert_int_equal(status, KATA_OUT_OF_MEMORY);
    }
    kata_context_free(own);
}

static int setup(void **state) {
    (void)state;
    return kata_context_new(&context, NULL) == KATA_OK ? 0 : 1;
}

static int teardown(void **state) {
    (void)state;
    kata_context_free(context);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_planes),
        cmocka_unit_test(test_decode_without_readers),
        cmocka_unit_test(test_recovers_digits),
        cmocka_unit_test(test_sheet_on_table),
        cmocka_unit_test(test_28x28),
        cmocka_unit_test(test_thin_strokes),
        cmocka_unit_test(test_dirt),
        cmocka_unit_test(test_tight),
        cmocka_unit_test(test_blank),
        cmocka_unit_test(test_any_picture),
        cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
