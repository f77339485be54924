/* Hooks the readers into libkata, and picks the decoder of a picture by its first bytes. */
#include <kata/readers.h>

#include "data/reader/reader.h"

#include <inttypes.h>

static kata_status decode_picture(kata_picture *out, kata_context *context, const void *data,
                                  size_t n_bytes) {
    const uint8_t *bytes = data;
    if (n_bytes > 2 && bytes[0] == 0xff && bytes[1] == 0xd8) {
        return kata__jpeg_decode(out, context, data, n_bytes);
    }
    return kata__png_decode(out, context, data, n_bytes);
}

kata_status kata__picture_check_size(const char *format, uint64_t width, uint64_t height) {
    if (width == 0 || height == 0) {
        return kata_fail(KATA_FORMAT,
                         "%s: the picture claims %" PRIu64 "x%" PRIu64 " pixels; it is "
                         "empty or damaged",
                         format, width, height);
    }
    if (width > KATA__PIXELS_MOST / height) {
        return kata_fail(KATA_LIMIT,
                         "%s: the picture claims %" PRIu64 "x%" PRIu64
                         " pixels, at most %d million are read; reduce it first",
                         format, width, height, KATA__PIXELS_MOST / 1000000);
    }
    return KATA_OK;
}

void kata_readers_install(void) {
    kata__reader_hooks = (kata__readers){
        .gunzip = kata__gzip_inflate, .decode_picture = decode_picture, .unzip = kata__zip_read};
}
