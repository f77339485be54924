/* What the tests of the readers make: PNG, JPEG, gzip and zip in memory. */
#ifndef KATA_TESTS_DATA_READER_PACK_H
#define KATA_TESTS_DATA_READER_PACK_H

#include "data/files.h"

#include <jpeglib.h>
#include <png.h>
#include <zlib.h>

typedef struct bytes {
    uint8_t *data;
    size_t n, capacity;
} bytes;

static inline void bytes_add(bytes *to, const void *data, size_t n) {
    while (to->n + n > to->capacity) {
        to->capacity = to->capacity * 2 + 1024;
        to->data = realloc(to->data, to->capacity);
        assert_non_null(to->data);
    }
    if (n > 0) {
        memcpy(to->data + to->n, data, n);
    }
    to->n += n;
}

static inline void bytes_add_little(bytes *to, uint64_t value, int n_bytes) {
    for (int i = 0; i < n_bytes; i++) {
        uint8_t byte = i < 8 ? (uint8_t)(value >> (8 * i)) : 0;
        bytes_add(to, &byte, 1);
    }
}

static inline void bytes_free(bytes *b) {
    free(b->data);
    *b = (bytes){.data = NULL};
}

/* ------------------------------------------------------------------ deflate */

/* window_bits: 31 gzip, -15 raw, 15 zlib. */
static inline void pack_deflate(bytes *to, const void *data, size_t n, int window_bits) {
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)n};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, window_bits, 8, 0), Z_OK);
    uint8_t part[4096];
    int code;
    do {
        stream.next_out = part;
        stream.avail_out = sizeof part;
        code = deflate(&stream, Z_FINISH);
        bytes_add(to, part, sizeof part - stream.avail_out);
    } while (code == Z_OK);
    assert_int_equal(code, Z_STREAM_END);
    deflateEnd(&stream);
}

/* ------------------------------------------------------------------ zip */

typedef struct zip_member {
    const char *name;
    const void *data;
    size_t n;
    bool deflated, zip64;
} zip_member;

static inline void pack_zip(bytes *to, const zip_member *members, int n_members) {
    bytes directory = {.data = NULL};
    bool zip64 = false;
    for (int i = 0; i < n_members; i++) {
        const zip_member *m = &members[i];
        bytes packed = {.data = NULL};
        if (m->deflated) {
            pack_deflate(&packed, m->data, m->n, -15);
        } else {
            bytes_add(&packed, m->data, m->n);
        }
        uint32_t crc = (uint32_t)crc32(0, m->data, (uInt)m->n);
        size_t offset = to->n, n_name = strlen(m->name);
        zip64 |= m->zip64;
        for (int part = 0; part < 2; part++) { /* local header, then directory entry */
            bytes *b = part == 0 ? to : &directory;
            bytes_add(b, part == 0 ? "PK\3\4" : "PK\1\2", 4);
            bytes_add_little(b, 20, part == 0 ? 2 : 4);
            bytes_add_little(b, 0, 2);
            bytes_add_little(b, m->deflated ? 8 : 0, 2);
            bytes_add_little(b, 0, 4);
            bytes_add_little(b, crc, 4);
            bytes_add_little(b, m->zip64 ? 0xffffffff : packed.n, 4);
            bytes_add_little(b, m->zip64 ? 0xffffffff : m->n, 4);
            bytes_add_little(b, n_name, 2);
            bytes_add_little(b, m->zip64 ? 20 : 0, 2);
            if (part == 1) {
                bytes_add_little(b, 0, 10);
                bytes_add_little(b, offset, 4);
            }
            bytes_add(b, m->name, n_name);
            if (m->zip64) {
                bytes_add_little(b, 1, 2);
                bytes_add_little(b, 16, 2);
                bytes_add_little(b, m->n, 8);
                bytes_add_little(b, packed.n, 8);
            }
        }
        bytes_add(to, packed.data, packed.n);
        bytes_free(&packed);
    }
    size_t at = to->n, end64;
    bytes_add(to, directory.data, directory.n);
    end64 = to->n;
    if (zip64) {
        bytes_add(to, "PK\6\6", 4);
        bytes_add_little(to, 44, 8);
        bytes_add_little(to, 0, 4 + 8);
        bytes_add_little(to, (uint64_t)n_members, 8);
        bytes_add_little(to, (uint64_t)n_members, 8);
        bytes_add_little(to, directory.n, 8);
        bytes_add_little(to, at, 8);
        bytes_add(to, "PK\6\7", 4);
        bytes_add_little(to, 0, 4);
        bytes_add_little(to, end64, 8);
        bytes_add_little(to, 1, 4);
    }
    bytes_add(to, "PK\5\6", 4);
    bytes_add_little(to, 0, 4);
    bytes_add_little(to, zip64 ? 0xffff : (uint64_t)n_members, 2);
    bytes_add_little(to, zip64 ? 0xffff : (uint64_t)n_members, 2);
    bytes_add_little(to, zip64 ? 0xffffffff : directory.n, 4);
    bytes_add_little(to, zip64 ? 0xffffffff : at, 4);
    bytes_add_little(to, 0, 2);
    bytes_free(&directory);
}

/* An .npy: type as "|u1", shape as "(2, 3)". */
static inline void pack_npy(bytes *to, const char *type, const char *shape, const void *data,
                            size_t n) {
    char header[118];
    int length = snprintf(header, sizeof header,
                          "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", type, shape);
    assert_true(length > 0 && length < 117);
    memset(header + length, ' ', sizeof header - (size_t)length);
    header[117] = '\n';
    bytes_add(to, "\x93NUMPY\1\0\x76\0", 10);
    bytes_add(to, header, sizeof header);
    bytes_add(to, data, n);
}

/* ------------------------------------------------------------------ PNG */

static inline void pack_png_write(png_structp png, png_bytep data, size_t n) {
    bytes_add(png_get_io_ptr(png), data, n);
}

static inline void pack_png_flush(png_structp png) {
    (void)png;
}

/* rows: as PNG has them, packed. `transparent` may be NULL: alpha of palette entries, or the
 * transparent colour. */
static inline void pack_png(bytes *to, int width, int height, int depth, int kind, bool interlaced,
                            const uint8_t *rows, const png_color *palette, int n_palette,
                            const uint8_t *alpha, int n_alpha, const png_color_16 *transparent) {
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    assert_non_null(info);
    assert_int_equal(setjmp(png_jmpbuf(png)), 0);
    png_set_write_fn(png, to, pack_png_write, pack_png_flush);
    png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, depth, kind,
                 interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, 0, 0);
    if (palette != NULL) {
        png_set_PLTE(png, info, palette, n_palette);
        png_set_check_for_invalid_index(png, 0);
    }
    if (alpha != NULL || transparent != NULL) {
        png_set_tRNS(png, info, alpha, n_alpha, transparent);
    }
    png_write_info(png, info);
    size_t row = png_get_rowbytes(png, info);
    int passes = png_set_interlace_handling(png);
    for (int pass = 0; pass < passes; pass++) {
        for (int y = 0; y < height; y++) {
            png_write_row(png, rows + (size_t)y * row);
        }
    }
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
}

/* 8-bit grey (channels 1) or RGB (3). */
static inline void pack_png_plain(bytes *to, int width, int height, int channels,
                                  const uint8_t *pixels) {
    pack_png(to, width, height, 8, channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, false,
             pixels, NULL, 0, NULL, 0, NULL);
}

/* ------------------------------------------------------------------ JPEG */

/* channels 1, 3, or 4 (CMYK). `exif` may be NULL. */
static inline void pack_jpeg(bytes *to, int width, int height, int channels, const uint8_t *pixels,
                             bool progressive, const uint8_t *exif, unsigned n_exif) {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    unsigned char *out = NULL;
    unsigned long n = 0;
    jpeg_mem_dest(&jpeg, &out, &n);
    jpeg.image_width = (JDIMENSION)width;
    jpeg.image_height = (JDIMENSION)height;
    jpeg.input_components = channels;
    jpeg.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 95, TRUE);
    if (progressive) {
        jpeg_simple_progression(&jpeg);
    }
    jpeg_start_compress(&jpeg, TRUE);
    if (exif != NULL) {
        jpeg_write_marker(&jpeg, JPEG_APP0 + 1, exif, n_exif);
    }
    while (jpeg.next_scanline < jpeg.image_height) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(pixels + (size_t)jpeg.next_scanline * (size_t)width *
                                                          (size_t)channels);
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    bytes_add(to, out, n);
    free(out);
}

#endif
