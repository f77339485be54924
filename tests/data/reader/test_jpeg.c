/* JPEG: grey, colour, CMYK, progressive, turned pictures, and every way a file can be wrong. */
#include "data/reader/pack.h"
#include "data/reader/reader.h"
#include "support/counting_allocator.h"

#include <kata/readers.h>

enum { WIDTH = 24, HEIGHT = 16 };

static kata_context *context;
static uint8_t smooth[WIDTH * HEIGHT * 4];

static void check_near(const bytes *file, int width, int height, int channels,
                       const uint8_t *expected, int tolerance, const char *where, int line) {
    kata_picture picture = {.pixels = NULL};
    check_ok(kata_picture_decode(&picture, context, file->data, file->n), where, line);
    bool same = picture.width == width && picture.height == height && picture.channels == channels;
    for (int i = 0; same && i < width * height * channels; i++) {
        same = abs(picture.pixels[i] - expected[i]) <= tolerance;
    }
    if (!same) {
        print_error("%dx%dx%d\n", picture.width, picture.height, picture.channels);
        _fail(where, line);
    }
    kata_picture_free(&picture);
}
#define assert_near(file, width, height, channels, expected, tolerance)                            \
    check_near(file, width, height, channels, expected, tolerance, __FILE__, __LINE__)

static void test_plain(void **state) {
    (void)state;
    for (int progressive = 0; progressive < 2; progressive++) {
        bytes grey = {.data = NULL}, colour = {.data = NULL};
        pack_jpeg(&grey, WIDTH, HEIGHT, 1, smooth, progressive, NULL, 0);
        pack_jpeg(&colour, WIDTH, HEIGHT / 3, 3, smooth, progressive, NULL, 0);
        assert_near(&grey, WIDTH, HEIGHT, 1, smooth, 6);
        bytes_free(&grey);
        bytes_free(&colour);
    }
    bytes flat = {.data = NULL};
    static uint8_t red[WIDTH * HEIGHT * 3];
    for (int i = 0; i < WIDTH * HEIGHT; i++) {
        red[3 * i] = 200;
        red[3 * i + 1] = 40;
        red[3 * i + 2] = 20;
    }
    pack_jpeg(&flat, WIDTH, HEIGHT, 3, red, true, NULL, 0);
    assert_near(&flat, WIDTH, HEIGHT, 3, red, 3);
    bytes_free(&flat);
}

/* libjpeg writes CMYK with Adobe's marker, which means inverted values: 255 is no ink. */
static void test_cmyk(void **state) {
    (void)state;
    static uint8_t cmyk[WIDTH * HEIGHT * 4], rgb[WIDTH * HEIGHT * 3];
    for (int i = 0; i < WIDTH * HEIGHT; i++) {
        static const uint8_t ink[4] = {255, 128, 64, 200};
        memcpy(cmyk + 4 * i, ink, 4);
        for (int c = 0; c < 3; c++) {
            rgb[3 * i + c] = (uint8_t)(ink[c] * 200 / 255);
        }
    }
    bytes b = {.data = NULL};
    pack_jpeg(&b, WIDTH, HEIGHT, 4, cmyk, false, NULL, 0);
    assert_near(&b, WIDTH, HEIGHT, 3, rgb, 4);
    bytes_free(&b);
}

static unsigned exif_make(uint8_t out[64], bool big, int orientation) {
    static const uint8_t little[32] = {'E', 'x', 'i', 'f', 0, 0,    'I', 'I', 42, 0, 8,
                                       0,   0,   0,   1,   0, 0x12, 1,   3,   0,  1, 0,
                                       0,   0,   0,   0,   0, 0,    0,   0,   0,  0};
    static const uint8_t other[32] = {'E', 'x',  'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1,
                                      1,   0x12, 0,   3,   0, 0, 0,   1,   0, 0,  0, 0, 0, 0, 0, 0};
    memcpy(out, big ? other : little, 32);
    out[big ? 25 : 24] = (uint8_t)orientation;
    return 32;
}

/* The picture as seen: dark at the top left, lightest to the right, a little lighter downwards. It
 * is stored as each orientation says (EXIF: which side of the seen picture row 0 and column 0 are).
 */
static void test_orientation(void **state) {
    (void)state;
    for (int orientation = 1; orientation <= 8; orientation++) {
        for (int big = 0; big < 2; big++) {
            static uint8_t stored[WIDTH * HEIGHT];
            bool exchanged = orientation >= 5;
            int width = exchanged ? HEIGHT : WIDTH, height = exchanged ? WIDTH : HEIGHT;
            for (int y = 0; y < height; y++) {
                for (int x = 0; x < width; x++) {
                    int u = x, v = y; /* where the stored pixel is seen */
                    switch (orientation) {
                    case 2:
                        u = WIDTH - 1 - x;
                        break;
                    case 3:
                        u = WIDTH - 1 - x;
                        v = HEIGHT - 1 - y;
                        break;
                    case 4:
                        v = HEIGHT - 1 - y;
                        break;
                    case 5:
                        u = y;
                        v = x;
                        break; /* row 0 left, column 0 top */
                    case 6:
                        u = WIDTH - 1 - y;
                        v = x;
                        break; /* row 0 right, column 0 top */
                    case 7:
                        u = WIDTH - 1 - y;
                        v = HEIGHT - 1 - x;
                        break; /* right, bottom */
                    case 8:
                        u = y;
                        v = HEIGHT - 1 - x;
                        break; /* left, bottom */
                    default:
                        break;
                    }
                    stored[y * width + x] = smooth[v * WIDTH + u];
                }
            }
            uint8_t exif[64];
            unsigned n = exif_make(exif, big, orientation);
            bytes b = {.data = NULL};
            pack_jpeg(&b, width, height, 1, stored, false, exif, n);
            assert_near(&b, WIDTH, HEIGHT, 1, smooth, 6);
            bytes_free(&b);
        }
    }
    /* Nonsense in EXIF is no reason to refuse a picture. */
    uint8_t exif[64];
    unsigned n = exif_make(exif, false, 9);
    for (unsigned cut = 0; cut <= n; cut++) {
        bytes b = {.data = NULL};
        pack_jpeg(&b, WIDTH, HEIGHT, 1, smooth, false, exif, cut);
        assert_near(&b, WIDTH, HEIGHT, 1, smooth, 6);
        bytes_free(&b);
        exif[10] = cut % 2 == 0 ? 0xff : 8; /* the directory far outside */
    }
}

static void test_damage(void **state) {
    (void)state;
    kata_picture picture = {.pixels = NULL};
    for (int progressive = 0; progressive < 2; progressive++) {
        bytes b = {.data = NULL};
        pack_jpeg(&b, WIDTH, HEIGHT, 3, smooth, progressive, NULL, 0);
        for (size_t n = 0; n < b.n; n++) {
            uint8_t *part = malloc(n + 1);
            memcpy(part, b.data, n);
            assert_failure(kata_picture_decode(&picture, context, part, n), KATA_FORMAT, "");
            if (n > 3) {
                assert_non_null(strstr(kata_error_message(), "JPEG: truncated or damaged ("));
            }
            free(part);
        }
        uint32_t random = 3;
        for (int round = 0; round < 4000; round++) {
            uint8_t *changed = malloc(b.n);
            memcpy(changed, b.data, b.n);
            for (int k = 0; k <= round % 3; k++) {
                random = random * 1664525u + 1013904223u;
                changed[3 + (random >> 8) % (b.n - 3)] ^= (uint8_t)(random >> 20);
            }
            kata_picture_decode(&picture, context, changed, b.n);
            kata_picture_free(&picture);
            free(changed);
        }
        bytes_free(&b);
    }
}

static void test_claims(void **state) {
    (void)state;
    bytes b = {.data = NULL};
    kata_picture picture;
    pack_jpeg(&b, WIDTH, HEIGHT, 1, smooth, false, NULL, 0);
    size_t at = 2;
    while (b.data[at + 1] != 0xc0) { /* the frame header */
        at += 2 + ((size_t)b.data[at + 2] << 8 | b.data[at + 3]);
    }
    memset(b.data + at + 5, 0xfd, 4);
    assert_failure(kata_picture_decode(&picture, context, b.data, b.n), KATA_LIMIT,
                   "JPEG: the picture claims 65021x65021 pixels, at most 64 million are read");
    memset(b.data + at + 5, 0, 4);
    assert_failure(kata_picture_decode(&picture, context, b.data, b.n), KATA_FORMAT, "JPEG: ");
    memset(b.data + at + 5, 0x0f, 4);
    assert_failure(kata_picture_decode(&picture, context, b.data, b.n), KATA_FORMAT,
                   "JPEG: truncated or damaged");
    bytes_free(&b);
}

static void test_allocations(void **state) {
    (void)state;
    kata_test_allocator counting;
    kata_test_allocator_init(&counting);
    kata_context *own = kata_test_context(&counting, 1);
    bytes b = {.data = NULL};
    uint8_t exif[64];
    unsigned n = exif_make(exif, false, 6);
    pack_jpeg(&b, WIDTH, HEIGHT, 4, smooth, false, exif, n);
    int64_t live = counting.n_live;
    for (int64_t k = 1;; k++) {
        kata_test_allocator_reset(&counting, k);
        kata_picture picture = {.pixels = NULL};
        kata_status status = kata_picture_decode(&picture, own, b.data, b.n);
        bool reached = counting.n_calls >= k;
        kata_picture_free(&picture);
        assert_int_equal(counting.n_live, live);
        if (!reached) {
            assert_int_equal(status, KATA_OK);
            break;
        }
        assert_int_equal(status, KATA_OUT_OF_MEMORY);
    }
    bytes_free(&b);
    kata_context_free(own);
}

static int setup(void **state) {
    (void)state;
    for (int y = 0; y < HEIGHT; y++) {
        for (int x = 0; x < WIDTH; x++) {
            smooth[y * WIDTH + x] = (uint8_t)(20 + 8 * x + 2 * y);
        }
    }
    kata_readers_install();
    return kata_context_new(&context, NULL) == KATA_OK ? 0 : 1;
}

static int teardown(void **state) {
    (void)state;
    kata_context_free(context);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),       cmocka_unit_test(test_cmyk),
        cmocka_unit_test(test_orientation), cmocka_unit_test(test_damage),
        cmocka_unit_test(test_claims),      cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
