/* PNG: every kind of pixels, and every way a file can be wrong. */
#include "data/reader/pack.h"
#include "data/reader/reader.h"
#include "support/counting_allocator.h"

#include <kata/readers.h>

static kata_context *context;

static kata_picture decoded(const bytes *file) {
    kata_picture picture = {.pixels = NULL};
    assert_ok(kata_picture_decode(&picture, context, file->data, file->n));
    return picture;
}

static void check_pixels(const bytes *file, int width, int height, int channels,
                         const uint8_t *expected, const char *where, int line) {
    kata_picture picture = decoded(file);
    if (picture.width != width || picture.height != height || picture.channels != channels ||
        memcmp(picture.pixels, expected, (size_t)(width * height * channels)) != 0) {
        print_error("%dx%dx%d\n", picture.width, picture.height, picture.channels);
        _fail(where, line);
    }
    kata_picture_free(&picture);
}
#define assert_pixels(file, width, height, channels, expected)                                     \
    check_pixels(file, width, height, channels, expected, __FILE__, __LINE__)

static uint8_t pattern[64 * 64 * 8];

static void test_plain(void **state) {
    (void)state;
    for (int interlaced = 0; interlaced < 2; interlaced++) {
        for (int size = 1; size <= 19; size += 3) {
            bytes grey = {.data = NULL}, colour = {.data = NULL};
            pack_png(&grey, size, 20 - size, 8, PNG_COLOR_TYPE_GRAY, interlaced, pattern, NULL, 0,
                     NULL, 0, NULL);
            pack_png(&colour, size, 20 - size, 8, PNG_COLOR_TYPE_RGB, interlaced, pattern, NULL, 0,
                     NULL, 0, NULL);
            assert_pixels(&grey, size, 20 - size, 1, pattern);
            assert_pixels(&colour, size, 20 - size, 3, pattern);
            bytes_free(&grey);
            bytes_free(&colour);
        }
    }
}

static void test_depths(void **state) {
    (void)state;
    static const uint8_t one[1] = {0xb0}, two[1] = {0x1b}, four[2] = {0x0f, 0x80};
    static const uint8_t sixteen[8] = {0, 0, 0x80, 0x80, 0xff, 0xff, 0x12, 0x34};
    static const uint8_t e1[4] = {255, 0, 255, 255}, e2[4] = {0, 85, 170, 255};
    static const uint8_t e4[4] = {0, 255, 136, 0}, e16[4] = {0, 128, 255, 0x12};
    bytes b = {.data = NULL};
    pack_png(&b, 4, 1, 1, PNG_COLOR_TYPE_GRAY, false, one, NULL, 0, NULL, 0, NULL);
    assert_pixels(&b, 4, 1, 1, e1);
    b.n = 0;
    pack_png(&b, 4, 1, 2, PNG_COLOR_TYPE_GRAY, false, two, NULL, 0, NULL, 0, NULL);
    assert_pixels(&b, 4, 1, 1, e2);
    b.n = 0;
    pack_png(&b, 4, 1, 4, PNG_COLOR_TYPE_GRAY, true, four, NULL, 0, NULL, 0, NULL);
    assert_pixels(&b, 4, 1, 1, e4);
    b.n = 0;
    pack_png(&b, 4, 1, 16, PNG_COLOR_TYPE_GRAY, false, sixteen, NULL, 0, NULL, 0, NULL);
    assert_pixels(&b, 4, 1, 1, e16);
    bytes_free(&b);
}

static void test_alpha(void **state) {
    (void)state;
    static const uint8_t rgba[12] = {10, 20, 30, 255, 10, 20, 30, 0, 0, 0, 0, 128};
    static const uint8_t flat[9] = {10, 20, 30, 255, 255, 255, 127, 127, 127};
    static const uint8_t ga[4] = {100, 255, 100, 51}, g[2] = {100, 224};
    bytes b = {.data = NULL};
    pack_png(&b, 3, 1, 8, PNG_COLOR_TYPE_RGBA, false, rgba, NULL, 0, NULL, 0, NULL);
    assert_pixels(&b, 3, 1, 3, flat);
    b.n = 0;
    pack_png(&b, 2, 1, 8, PNG_COLOR_TYPE_GRAY_ALPHA, true, ga, NULL, 0, NULL, 0, NULL);
    assert_pixels(&b, 2, 1, 1, g);
    b.n = 0; /* one transparent colour */
    static const uint8_t rgb[6] = {1, 2, 3, 4, 5, 6}, seen[6] = {255, 255, 255, 4, 5, 6};
    png_color_16 transparent = {.red = 1, .green = 2, .blue = 3};
    pack_png(&b, 2, 1, 8, PNG_COLOR_TYPE_RGB, false, rgb, NULL, 0, NULL, 0, &transparent);
    assert_pixels(&b, 2, 1, 3, seen);
    bytes_free(&b);
}

/* What would vanish on white is laid over black: white ink on a transparent canvas. */
static void test_white_ink(void **state) {
    (void)state;
    static const uint8_t rgba[12] = {255, 255, 255, 255, 0, 0, 0, 0, 250, 250, 250, 102};
    static const uint8_t white[9] = {255, 255, 255, 0, 0, 0, 100, 100, 100};
    static const uint8_t black[12] = {0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 102};
    static const uint8_t dark[9] = {0, 0, 0, 255, 255, 255, 153, 153, 153};
    static const uint8_t ga[6] = {255, 255, 0, 0, 255, 51}, g[3] = {255, 0, 51};
    static const uint8_t ga16[12] = {255, 255, 255, 255, 0, 0, 0, 0, 255, 255, 51, 51};
    static const uint8_t nothing[8] = {255, 255, 255, 0, 9, 9, 9, 0};
    static const uint8_t blank[6] = {255, 255, 255, 255, 255, 255};
    static const png_color palette[2] = {{255, 255, 255}, {255, 255, 255}};
    static const uint8_t alpha[2] = {0, 255}, row[1] = {0x40}, seen[6] = {0, 0, 0, 255, 255, 255};
    bytes b = {.data = NULL};
    for (int interlaced = 0; interlaced < 2; interlaced++) {
        b.n = 0;
        pack_png(&b, 3, 1, 8, PNG_COLOR_TYPE_RGBA, interlaced, rgba, NULL, 0, NULL, 0, NULL);
        assert_pixels(&b, 3, 1, 3, white);
        b.n = 0;
        pack_png(&b, 3, 1, 8, PNG_COLOR_TYPE_RGBA, interlaced, black, NULL, 0, NULL, 0, NULL);
        assert_pixels(&b, 3, 1, 3, dark);
        b.n = 0;
        pack_png(&b, 3, 1, 8, PNG_COLOR_TYPE_GRAY_ALPHA, interlaced, ga, NULL, 0, NULL, 0, NULL);
        assert_pixels(&b, 3, 1, 1, g);
        b.n = 0;
        pack_png(&b, 3, 1, 16, PNG_COLOR_TYPE_GRAY_ALPHA, interlaced, ga16, NULL, 0, NULL, 0, NULL);
        assert_pixels(&b, 3, 1, 1, g);
        b.n = 0;
        pack_png(&b, 2, 1, 1, PNG_COLOR_TYPE_PALETTE, interlaced, row, palette, 2, alpha, 2, NULL);
        assert_pixels(&b, 2, 1, 3, seen);
        b.n = 0; /* all of it transparent: blank, whatever lies under it */
        pack_png(&b, 2, 1, 8, PNG_COLOR_TYPE_RGBA, interlaced, nothing, NULL, 0, NULL, 0, NULL);
        assert_pixels(&b, 2, 1, 3, blank);
    }
    bytes_free(&b);
}

/* A chunk put before the byte `at` of a file. */
static void insert_chunk(bytes *b, size_t at, const char *name, const uint8_t *data, size_t n) {
    bytes out = {.data = NULL};
    uint8_t number[4];
    bytes_add(&out, b->data, at);
    put_big_endian(number, (uint32_t)n);
    bytes_add(&out, number, 4);
    bytes_add(&out, name, 4);
    bytes_add(&out, data, n);
    put_big_endian(number, (uint32_t)crc32(crc32(0, (const Bytef *)name, 4), data, (uInt)n));
    bytes_add(&out, number, 4);
    bytes_add(&out, b->data + at, b->n - at);
    bytes_free(b);
    *b = out;
}

/* The chunk eXIf is obeyed as JPEG's segment is (PNG specification 1.5.0): before or behind the
 * pixels, either order of bytes. Seen is 1 2 3 / 4 5 6; `stored` is what each orientation keeps. */
static void test_orientation(void **state) {
    (void)state;
    static const uint8_t seen[6] = {1, 2, 3, 4, 5, 6};
    static const uint8_t stored[8][6] = {{1, 2, 3, 4, 5, 6}, {3, 2, 1, 6, 5, 4}, {6, 5, 4, 3, 2, 1},
                                         {4, 5, 6, 1, 2, 3}, {1, 4, 2, 5, 3, 6}, {3, 6, 2, 5, 1, 4},
                                         {6, 3, 5, 2, 4, 1}, {4, 1, 5, 2, 6, 3}};
    uint8_t little[26] = {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1};
    uint8_t big[26] = {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1};
    for (int orientation = 1; orientation <= 8; orientation++) {
        little[18] = big[19] = (uint8_t)orientation;
        for (int form = 0; form < 4; form++) {
            bytes b = {.data = NULL};
            bool turned = orientation >= 5;
            pack_png_plain(&b, turned ? 2 : 3, turned ? 3 : 2, 1, stored[orientation - 1]);
            insert_chunk(&b, form % 2 == 0 ? 33 : b.n - 12, "eXIf", form < 2 ? little : big, 26);
            assert_pixels(&b, 3, 2, 1, seen);
            bytes_free(&b);
        }
    }
    /* Nonsense in it is no reason to refuse a picture. */
    for (size_t n = 4; n < 26; n++) {
        bytes b = {.data = NULL};
        pack_png_plain(&b, 3, 2, 1, seen);
        insert_chunk(&b, 33, "eXIf", little, n);
        kata_picture picture = decoded(&b);
        assert_int_equal(picture.width * picture.height, 6);
        kata_picture_free(&picture);
        bytes_free(&b);
    }
}

static void test_palette(void **state) {
    (void)state;
    static const png_color palette[3] = {{1, 2, 3}, {40, 50, 60}, {200, 100, 0}};
    static const uint8_t alpha[2] = {255, 0}, row2[1] = {0x18}, row8[3] = {2, 1, 0};
    static const uint8_t e2[9] = {1, 2, 3, 255, 255, 255, 200, 100, 0};
    static const uint8_t e8[9] = {200, 100, 0, 40, 50, 60, 1, 2, 3};
    bytes b = {.data = NULL};
    pack_png(&b, 3, 1, 2, PNG_COLOR_TYPE_PALETTE, false, row2, palette, 3, alpha, 2, NULL);
    assert_pixels(&b, 3, 1, 3, e2);
    b.n = 0;
    pack_png(&b, 3, 1, 8, PNG_COLOR_TYPE_PALETTE, true, row8, palette, 3, NULL, 0, NULL);
    assert_pixels(&b, 3, 1, 3, e8);
    b.n = 0;
    static const uint8_t beyond[3] = {2, 3, 0};
    pack_png(&b, 3, 1, 8, PNG_COLOR_TYPE_PALETTE, false, beyond, palette, 3, NULL, 0, NULL);
    kata_picture picture;
    assert_failure(kata_picture_decode(&picture, context, b.data, b.n), KATA_FORMAT,
                   "PNG: damaged: a pixel's number lies beyond the palette");
    bytes_free(&b);
}

/* Rewrites the header's sizes and its checksum. */
static void claim_size(bytes *b, uint32_t width, uint32_t height) {
    put_big_endian(b->data + 16, width);
    put_big_endian(b->data + 20, height);
    put_big_endian(b->data + 29, (uint32_t)crc32(0, b->data + 12, 17));
}

static void test_claims(void **state) {
    (void)state;
    static const struct {
        uint32_t width, height;
        kata_status status;
        const char *part;
    } cases[] = {
        {65535, 65535, KATA_LIMIT,
         "PNG: the picture claims 65535x65535 pixels, at most 64 million"},
        {8001, 8000, KATA_LIMIT, "claims 8001x8000 pixels"},
        {0xffffffff, 0xffffffff, KATA_LIMIT, "claims 4294967295x4294967295"},
        {0x80000000, 1, KATA_LIMIT, "claims 2147483648x1"},
        {8000, 8000, KATA_FORMAT, "claims 8000x8000 pixels, which cannot come from"},
        {0, 5, KATA_FORMAT, "claims 0x5 pixels; it is empty or damaged"},
        {5, 0, KATA_FORMAT, "claims 5x0"},
        {300, 300, KATA_FORMAT, "PNG: "},
    };
    kata_test_allocator counting;
    kata_test_allocator_init(&counting);
    kata_context *own = kata_test_context(&counting, 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bytes b = {.data = NULL};
        pack_png_plain(&b, 4, 4, 3, pattern);
        claim_size(&b, cases[i].width, cases[i].height);
        kata_test_allocator_reset(&counting, 0);
        int64_t live = counting.n_live_bytes;
        kata_picture picture;
        assert_failure(kata_picture_decode(&picture, own, b.data, b.n), cases[i].status,
                       cases[i].part);
        /* Refused before memory for the pixels was taken. */
        assert_true(cases[i].width == 300 || counting.n_peak_bytes - live < 1 << 20);
        bytes_free(&b);
    }
    kata_context_free(own);
}

static void test_damage(void **state) {
    (void)state;
    bytes b = {.data = NULL};
    kata_picture picture = {.pixels = NULL};
    pack_png_plain(&b, 20, 20, 3, pattern);
    /* Cut off anywhere: never a picture. */
    for (size_t n = 0; n < b.n; n++) {
        uint8_t *part = malloc(n + 1);
        memcpy(part, b.data, n);
        assert_failure(kata_picture_decode(&picture, context, part, n), KATA_FORMAT, "");
        if (n >= 33) {
            assert_non_null(strstr(kata_error_message(), "PNG: truncated"));
        }
        free(part);
    }
    assert_null(picture.pixels);
    /* Any bit of the data or of a checksum wrong: refused. */
    for (size_t at = 8; at < b.n; at++) {
        b.data[at] ^= 0x10;
        kata_status status = kata_picture_decode(&picture, context, b.data, b.n);
        assert_true(status == KATA_FORMAT || status == KATA_LIMIT);
        b.data[at] ^= 0x10;
    }
    b.data[b.n - 20] ^= 1; /* within IDAT's checksum or data */
    assert_failure(kata_picture_decode(&picture, context, b.data, b.n), KATA_FORMAT,
                   "PNG: damaged: ");
    bytes_free(&b);
    /* What follows the end does not matter. */
    pack_png_plain(&b, 5, 5, 1, pattern);
    bytes_add(&b, "trailing", 8);
    assert_pixels(&b, 5, 5, 1, pattern);
    bytes_free(&b);
}

/* Random changes of files of all kinds, checksums made right again so that the damage goes deep. */
static void test_flips(void **state) {
    (void)state;
    static const png_color palette[4] = {{1, 2, 3}, {40, 50, 60}, {200, 100, 0}, {9, 9, 9}};
    static const int kinds[] = {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_PALETTE,
                                PNG_COLOR_TYPE_RGBA, PNG_COLOR_TYPE_GRAY_ALPHA};
    uint32_t random = 7;
    for (int kind = 0; kind < 5; kind++) {
        bytes b = {.data = NULL};
        bool indexed = kinds[kind] == PNG_COLOR_TYPE_PALETTE;
        static uint8_t rows[4096];
        for (int i = 0; i < 4096; i++) {
            rows[i] = indexed ? (uint8_t)(i % 4) : pattern[i];
        }
        pack_png(&b, 13, 11, 8, kinds[kind], kind % 2 == 1, rows, indexed ? palette : NULL,
                 indexed ? 4 : 0, NULL, 0, NULL);
        for (int round = 0; round < 1500; round++) {
            uint8_t *changed = malloc(b.n);
            memcpy(changed, b.data, b.n);
            for (int k = 0; k <= round % 3; k++) {
                random = random * 1664525u + 1013904223u;
                changed[8 + (random >> 8) % (b.n - 8)] ^= (uint8_t)(random >> 20);
            }
            for (size_t at = 8; at + 12 <= b.n;) {
                size_t length = (size_t)changed[at] << 24 | (size_t)changed[at + 1] << 16 |
                                (size_t)changed[at + 2] << 8 | changed[at + 3];
                if (length > b.n - at - 12) {
                    break;
                }
                put_big_endian(changed + at + 8 + length,
                               (uint32_t)crc32(0, changed + at + 4, (uInt)length + 4));
                at += 12 + length;
            }
            kata_picture picture = {.pixels = NULL};
            kata_picture_decode(&picture, context, changed, b.n);
            kata_picture_free(&picture);
            free(changed);
        }
        bytes_free(&b);
    }
}

static void test_allocations(void **state) {
    (void)state;
    kata_test_allocator counting;
    kata_test_allocator_init(&counting);
    kata_context *own = kata_test_context(&counting, 1);
    bytes b = {.data = NULL};
    pack_png(&b, 9, 9, 8, PNG_COLOR_TYPE_RGBA, true, pattern, NULL, 0, NULL, 0, NULL);
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
            assert_true(k > 5);
            break;
        }
        assert_int_equal(status, KATA_OUT_OF_MEMORY);
    }
    bytes_free(&b);
    kata_context_free(own);
}

static int setup(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof pattern; i++) {
        pattern[i] = (uint8_t)(i * i / 7 + i * 13);
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
        cmocka_unit_test(test_plain),       cmocka_unit_test(test_depths),
        cmocka_unit_test(test_alpha),       cmocka_unit_test(test_white_ink),
        cmocka_unit_test(test_orientation), cmocka_unit_test(test_palette),
        cmocka_unit_test(test_claims),      cmocka_unit_test(test_damage),
        cmocka_unit_test(test_flips),       cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
