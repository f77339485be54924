/* JPEG through libjpeg: grey or RGB, CMYK converted, turned as its EXIF orientation says. Data that
 * end early or are damaged are refused, where libjpeg would only warn and fill with grey. */
#include "base/check.h"
#include "base/memory.h"
#include "data/reader/reader.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

/* More scans than any camera or program writes: a progressive file made to take for ever. */
enum { SCANS_MOST = 200, EXIF_MARKER = JPEG_APP0 + 1 };

struct decoder {
    struct jpeg_error_mgr errors; /* first: libjpeg hands this back */
    struct jpeg_decompress_struct jpeg;
    struct jpeg_progress_mgr progress;
    kata_context *context;
    kata_picture picture;
    uint8_t *row; /* CMYK */
    int orientation;
    bool short_of_memory, too_many_scans;
    char message[JMSG_LENGTH_MAX];
    jmp_buf failed;
};

static void on_error(j_common_ptr jpeg) {
    struct decoder *decoder = (struct decoder *)jpeg->err;
    jpeg->err->format_message(jpeg, decoder->message);
    decoder->short_of_memory |= jpeg->err->msg_code == JERR_OUT_OF_MEMORY;
    longjmp(decoder->failed, 1);
}

/* Warnings that mean that pixels would be invented are errors. */
static void on_message(j_common_ptr jpeg, int level) {
    if (level >= 0) {
        return;
    }
    switch (jpeg->err->msg_code) {
    case JWRN_ADOBE_XFORM:
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_JFIF_MAJOR:
    case JWRN_TOO_MUCH_DATA:
        return;
    default:
        on_error(jpeg);
    }
}

static void on_output(j_common_ptr jpeg) {
    (void)jpeg;
}

static void on_progress(j_common_ptr jpeg) {
    struct decoder *decoder = (struct decoder *)jpeg->err;
    if (jpeg->is_decompressor && decoder->jpeg.input_scan_number > SCANS_MOST) {
        decoder->too_many_scans = true;
        longjmp(decoder->failed, 1);
    }
}

/* An APP1 segment that begins with "Exif" and two zeros. */
static int exif_of(const uint8_t *data, size_t n_bytes) {
    return n_bytes < 6 || memcmp(data, "Exif\0\0", 6) != 0
               ? 1
               : kata__exif_orientation(data + 6, n_bytes - 6);
}

static int find_orientation(const struct jpeg_decompress_struct *jpeg) {
    for (jpeg_saved_marker_ptr marker = jpeg->marker_list; marker != NULL; marker = marker->next) {
        if (marker->marker == EXIF_MARKER) {
            int orientation = exif_of(marker->data, marker->data_length);
            if (orientation != 1) {
                return orientation;
            }
        }
    }
    return 1;
}

/* ------------------------------------------------------------------ decoding */

/* Adobe's programs store CMYK inverted and say so by their marker. */
static void from_cmyk(uint8_t *to, const uint8_t *from, int width, bool inverted) {
    for (int x = 0; x < width; x++, from += 4) {
        int black = inverted ? from[3] : 255 - from[3];
        for (int c = 0; c < 3; c++) {
            int colour = inverted ? from[c] : 255 - from[c];
            *to++ = (uint8_t)((colour * black + 127) / 255);
        }
    }
}

static kata_status start(struct decoder *d, const void *data, size_t n_bytes) {
    jpeg_create_decompress(&d->jpeg);
    d->progress.progress_monitor = on_progress;
    d->jpeg.progress = &d->progress;
    jpeg_mem_src(&d->jpeg, data, (unsigned long)n_bytes);
    jpeg_save_markers(&d->jpeg, EXIF_MARKER, 0xffff);
    jpeg_read_header(&d->jpeg, TRUE);
    return kata__picture_check_size("JPEG", d->jpeg.image_width, d->jpeg.image_height);
}

static kata_status read_rows(struct decoder *d) {
    bool cmyk = d->jpeg.jpeg_color_space == JCS_CMYK || d->jpeg.jpeg_color_space == JCS_YCCK;
    bool grey = d->jpeg.jpeg_color_space == JCS_GRAYSCALE;
    d->jpeg.out_color_space = cmyk ? JCS_CMYK : grey ? JCS_GRAYSCALE : JCS_RGB;
    d->orientation = find_orientation(&d->jpeg);
    jpeg_start_decompress(&d->jpeg);
    d->picture.width = (int)d->jpeg.output_width;
    d->picture.height = (int)d->jpeg.output_height;
    d->picture.channels = grey ? 1 : 3;
    size_t row = (size_t)d->picture.width * (size_t)d->picture.channels;
    d->picture.pixels = kata__alloc(d->context, (size_t)d->picture.height, row);
    if (cmyk) {
        d->row = kata__alloc(d->context, (size_t)d->picture.width, 4);
    }
    if (d->picture.pixels == NULL || (cmyk && d->row == NULL)) {
        return KATA_OUT_OF_MEMORY;
    }
    while (d->jpeg.output_scanline < d->jpeg.output_height) {
        uint8_t *to = d->picture.pixels + d->jpeg.output_scanline * row;
        JSAMPROW rows[1] = {cmyk ? d->row : to};
        jpeg_read_scanlines(&d->jpeg, rows, 1);
        if (cmyk) {
            from_cmyk(to, d->row, d->picture.width, d->jpeg.saw_Adobe_marker);
        }
    }
    jpeg_finish_decompress(&d->jpeg);
    return KATA_OK;
}

static kata_status run(struct decoder *d, const void *data, size_t n_bytes) {
    if (setjmp(d->failed) != 0) {
        if (d->short_of_memory) {
            return kata_fail(KATA_OUT_OF_MEMORY, "JPEG: out of memory");
        }
        if (d->too_many_scans) {
            return kata_fail(KATA_LIMIT, "JPEG: more than %d scans; store the picture anew",
                             SCANS_MOST);
        }
        return kata_fail(KATA_FORMAT, "JPEG: truncated or damaged (%zu bytes): %s", n_bytes,
                         d->message);
    }
    KATA__TRY(start(d, data, n_bytes));
    return read_rows(d);
}

kata_status kata__jpeg_decode(kata_picture *out, kata_context *context, const void *data,
                              size_t n_bytes) {
    struct decoder *d = kata__alloc_zero(context, 1, sizeof *d);
    if (d == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    d->context = d->picture.context = context;
    d->jpeg.err = jpeg_std_error(&d->errors);
    d->errors.error_exit = on_error;
    d->errors.emit_message = on_message;
    d->errors.output_message = on_output;
    kata_status status = run(d, data, n_bytes);
    jpeg_destroy_decompress(&d->jpeg);
    kata__free(context, d->row);
    if (status == KATA_OK) {
        status = kata__picture_orient(&d->picture, d->orientation);
    }
    if (status == KATA_OK) {
        *out = d->picture;
    } else {
        kata_picture_free(&d->picture);
    }
    kata__free(context, d);
    return status;
}
