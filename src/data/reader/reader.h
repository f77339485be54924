/* Inside libkata-readers: the functions that kata_readers_install hooks in. */
#ifndef KATA_DATA_READER_READER_H
#define KATA_DATA_READER_READER_H

#include "data/data.h"

#include <zlib.h>

/* 64 megapixels; asked before memory is taken. */
#define KATA__PIXELS_MOST 64000000

/* KATA_LIMIT with the claimed size, KATA_FORMAT for an empty picture. */
kata_status kata__picture_check_size(const char *format, uint64_t width, uint64_t height);

/* The orientation (tag 0x0112, 1 to 8) in EXIF data from their TIFF header on; 1 where there is
 * none or it makes no sense. */
int kata__exif_orientation(const uint8_t *tiff, size_t n);
/* Turns the picture as it is to be seen. */
kata_status kata__picture_orient(kata_picture *picture, int orientation);

kata_status kata__gzip_inflate(kata_context *context, const void *data, size_t n_bytes,
                               size_t maximum, char **out, size_t *n_out);
kata_status kata__zip_read(kata_context *context, const void *data, size_t n_bytes, size_t maximum,
                           kata_status (*entry)(void *user, const char *name, const void *data,
                                                size_t n_bytes),
                           void *user);
kata_status kata__png_decode(kata_picture *out, kata_context *context, const void *data,
                             size_t n_bytes);
kata_status kata__jpeg_decode(kata_picture *out, kata_context *context, const void *data,
                              size_t n_bytes);

/* zlib takes its memory from the context. */
void kata__zlib_use(z_stream *stream, kata_context *context);

#endif
