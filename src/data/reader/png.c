/* PNG through libpng: every kind becomes 8-bit grey or RGB, alpha laid over white, or over black
 * where on white nothing would be seen; turned as its EXIF orientation says. A file that breaks
 * off, has a wrong checksum or an index beyond its palette is refused: no picture is half invented.
 */
#include "base/check.h"
#include "base/memory.h"
#include "data/reader/reader.h"

#include <png.h>

#include <inttypes.h>
#include <setjmp.h>
#include <string.h>

enum { HEADER_BYTES = 33, LARGEST_RATIO = 1032, CHUNK_BYTES_MOST = 1 << 24 };

/* Everything that must outlive a jump out of libpng. */
struct decoder {
    kata_context *context;
    const uint8_t *data;
    size_t n_bytes, at;
    png_structp png;
    png_infop info;
    kata_picture picture;
    uint8_t *raw; /* one row as libpng gives it, or all rows of an interlaced picture */
    bool short_of_memory, truncated;
    char message[160];
    int background;                                 /* what alpha is laid over: 255, or 0 */
    bool transparent, seen_on_white, seen_on_black; /* of the pixels */
    int orientation;
    uint8_t palette[256][4]; /* RGB and alpha */
    int n_palette;
    jmp_buf failed;
};

static void on_error(png_structp png, png_const_charp message) {
    struct decoder *decoder = png_get_error_ptr(png);
    strncpy(decoder->message, message, sizeof decoder->message - 1);
    longjmp(decoder->failed, 1);
}

static void on_warning(png_structp png, png_const_charp message) {
    (void)png;
    (void)message;
}

static png_voidp take_memory(png_structp png, png_alloc_size_t n_bytes) {
    struct decoder *decoder = png_get_mem_ptr(png);
    void *block = kata__alloc(decoder->context, n_bytes, 1);
    decoder->short_of_memory |= block == NULL;
    return block;
}

static void give_memory(png_structp png, png_voidp block) {
    struct decoder *decoder = png_get_mem_ptr(png);
    kata__free(decoder->context, block);
}

static void read_bytes(png_structp png, png_bytep out, size_t n_bytes) {
    struct decoder *decoder = png_get_io_ptr(png);
    if (n_bytes > decoder->n_bytes - decoder->at) {
        decoder->truncated = true;
        png_error(png, "truncated");
    }
    memcpy(out, decoder->data + decoder->at, n_bytes);
    decoder->at += n_bytes;
}

static uint32_t big_endian(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Before libpng sees a byte: is the picture's claim possible at all? */
static kata_status check_header(const uint8_t *data, size_t n_bytes) {
    if (n_bytes < HEADER_BYTES) {
        return kata_fail(KATA_FORMAT,
                         "PNG: truncated: a header of %d bytes expected, got %zu bytes",
                         HEADER_BYTES, n_bytes);
    }
    if (memcmp(data + 12, "IHDR", 4) != 0) {
        return kata_fail(KATA_FORMAT, "PNG: damaged: the header IHDR does not come first");
    }
    uint64_t width = big_endian(data + 16), height = big_endian(data + 20);
    KATA__TRY(kata__picture_check_size("PNG", width, height));
    /* A pixel takes a bit at least, and compression gains at most a factor of 1032. */
    if (width * height / 8 / LARGEST_RATIO > n_bytes) {
        return kata_fail(KATA_FORMAT,
                         "PNG: truncated or damaged: the header claims %" PRIu64 "x%" PRIu64
                         " pixels, which cannot come from %zu bytes",
                         width, height, n_bytes);
    }
    return KATA_OK;
}

/* Fewer levels than this between a pixel and the background are not seen. */
enum { SEEN = 32 };

static uint8_t over(int background, uint8_t value, uint8_t alpha) {
    return (uint8_t)((value * alpha + background * (255 - alpha) + 127) / 255);
}

/* One pixel of n colours and its alpha over the background. */
static void lay_over(struct decoder *d, uint8_t *to, const uint8_t *from, int n, uint8_t alpha) {
    d->transparent |= alpha < 255;
    for (int c = 0; c < n; c++) {
        d->seen_on_white |= over(255, from[c], alpha) + SEEN < 255;
        d->seen_on_black |= over(0, from[c], alpha) > SEEN;
        to[c] = over(d->background, from[c], alpha);
    }
}

static void read_palette(struct decoder *d) {
    png_colorp colours = NULL;
    png_bytep alpha = NULL;
    int n_alpha = 0;
    if (png_get_PLTE(d->png, d->info, &colours, &d->n_palette) == 0) {
        png_error(d->png, "the palette is missing");
    }
    png_get_tRNS(d->png, d->info, &alpha, &n_alpha, NULL);
    for (int i = 0; i < d->n_palette && i < 256; i++) {
        uint8_t a = alpha != NULL && i < n_alpha ? alpha[i] : 255;
        const uint8_t entry[4] = {colours[i].red, colours[i].green, colours[i].blue, a};
        memcpy(d->palette[i], entry, 4);
    }
}

/* A row of libpng's (had channels: 1 grey or index, 2 grey and alpha, 3 RGB, 4 RGB and alpha). */
static void convert_row(struct decoder *d, uint8_t *to, const uint8_t *from, int had,
                        bool indexed) {
    int width = d->picture.width;
    if (indexed) {
        for (int x = 0; x < width; x++) {
            if (from[x] >= d->n_palette) {
                png_error(d->png, "a pixel's number lies beyond the palette");
            }
            lay_over(d, to + 3 * x, d->palette[from[x]], 3, d->palette[from[x]][3]);
        }
    } else if (had == d->picture.channels) {
        memcpy(to, from, (size_t)width * (size_t)had);
    } else {
        int n = d->picture.channels;
        for (int x = 0; x < width; x++) {
            lay_over(d, to + x * n, from + x * had, n, from[x * had + n]);
        }
    }
}

/* Everything that libpng may jump out of. */
static void decode(struct decoder *d) {
    png_set_user_limits(d->png, KATA__PIXELS_MOST, KATA__PIXELS_MOST);
    png_set_chunk_malloc_max(d->png, CHUNK_BYTES_MOST);
    png_set_crc_action(d->png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_set_read_fn(d->png, d, read_bytes);
    png_read_info(d->png, d->info);
    int kind = png_get_color_type(d->png, d->info);
    bool indexed = kind == PNG_COLOR_TYPE_PALETTE;
    bool interlaced = png_get_interlace_type(d->png, d->info) != PNG_INTERLACE_NONE;
    d->picture.width = (int)png_get_image_width(d->png, d->info);
    d->picture.height = (int)png_get_image_height(d->png, d->info);
    d->picture.channels = (kind & PNG_COLOR_MASK_COLOR) != 0 ? 3 : 1;
    if (indexed) {
        read_palette(d);
        png_set_packing(d->png);
    } else {
        png_set_expand_gray_1_2_4_to_8(d->png);
        if (png_get_valid(d->png, d->info, PNG_INFO_tRNS) != 0) {
            png_set_tRNS_to_alpha(d->png);
        }
        png_set_scale_16(d->png);
    }
    int passes = png_set_interlace_handling(d->png);
    png_read_update_info(d->png, d->info);
    int had = png_get_channels(d->png, d->info);
    size_t row = (size_t)d->picture.width * (size_t)had, height = (size_t)d->picture.height;
    if (png_get_rowbytes(d->png, d->info) != row || png_get_bit_depth(d->png, d->info) != 8) {
        png_error(d->png, "an unexpected form of pixels");
    }
    size_t out_row = (size_t)d->picture.width * (size_t)d->picture.channels;
    d->raw = kata__alloc(d->context, interlaced ? height : 1, row);
    d->picture.pixels = kata__alloc(d->context, height, out_row);
    if (d->raw == NULL || d->picture.pixels == NULL) {
        d->short_of_memory = true;
        png_error(d->png, "out of memory");
    }
    for (int pass = 0; pass < passes; pass++) {
        for (size_t y = 0; y < height; y++) {
            uint8_t *from = d->raw + (interlaced ? y * row : 0);
            png_read_row(d->png, from, NULL);
            if (pass == passes - 1) {
                convert_row(d, d->picture.pixels + y * out_row, from, had, indexed);
            }
        }
    }
    png_read_end(d->png, d->info);
    png_bytep exif = NULL;
    png_uint_32 n_exif = 0;
    d->orientation = png_get_eXIf_1(d->png, d->info, &n_exif, &exif) != 0
                         ? kata__exif_orientation(exif, n_exif)
                         : 1;
}

static kata_status fail_png(const struct decoder *d) {
    if (d->short_of_memory) {
        return KATA_OUT_OF_MEMORY; /* the sentence is set */
    }
    if (d->truncated) {
        return kata_fail(KATA_FORMAT, "PNG: truncated: the %zu bytes end before the picture does",
                         d->n_bytes);
    }
    return kata_fail(KATA_FORMAT, "PNG: damaged: %s", d->message);
}

static kata_status run(struct decoder *d) {
    if (setjmp(d->failed) != 0) {
        return fail_png(d);
    }
    d->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, d, on_error, on_warning, d,
                                      take_memory, give_memory);
    if (d->png == NULL) {
        return kata_fail(KATA_OUT_OF_MEMORY, "out of memory: libpng cannot start");
    }
    d->info = png_create_info_struct(d->png);
    if (d->info == NULL) {
        return kata_fail(KATA_OUT_OF_MEMORY, "out of memory: libpng cannot start");
    }
    decode(d);
    return KATA_OK;
}

static void clear(struct decoder *d) {
    png_destroy_read_struct(&d->png, &d->info, NULL);
    kata__free(d->context, d->raw);
    d->raw = NULL;
    d->at = 0;
}

/* White ink on a transparent canvas: what is seen, is seen on black. */
static kata_status run_over_a_background(struct decoder *d) {
    d->background = 255;
    kata_status status = run(d);
    clear(d);
    if (status == KATA_OK && d->transparent && !d->seen_on_white && d->seen_on_black) {
        d->background = 0;
        kata_picture_free(&d->picture);
        d->picture.context = d->context;
        status = run(d);
        clear(d);
    }
    return status == KATA_OK ? kata__picture_orient(&d->picture, d->orientation) : status;
}

kata_status kata__png_decode(kata_picture *out, kata_context *context, const void *data,
                             size_t n_bytes) {
    KATA__TRY(check_header(data, n_bytes));
    struct decoder *decoder = kata__alloc_zero(context, 1, sizeof *decoder);
    if (decoder == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    decoder->context = decoder->picture.context = context;
    decoder->data = data;
    decoder->n_bytes = n_bytes;
    kata_status status = run_over_a_background(decoder);
    if (status == KATA_OK) {
        *out = decoder->picture;
    } else {
        kata_picture_free(&decoder->picture);
    }
    kata__free(context, decoder);
    return status;
}
