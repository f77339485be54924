/* Pictures: decoding through the optional readers, resizing to planes. */
#include "base/check.h"
#include "base/file.h"
#include "base/memory.h"
#include "data/data.h"
#include "data/resample.h"

#include <string.h>

static const size_t largest_file = (size_t)1 << 28;

void kata_picture_free(kata_picture *picture) {
    if (picture == NULL) {
        return;
    }
    if (picture->context != NULL) {
        kata__free(picture->context, picture->pixels);
    }
    *picture = (kata_picture){.pixels = NULL};
}

/* The first bytes decide, not the file's name. */
bool kata__is_png_or_jpeg(const uint8_t *bytes, size_t n_bytes) {
    static const uint8_t png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    return (n_bytes >= 8 && memcmp(bytes, png, 8) == 0) ||
           (n_bytes >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff);
}

kata_status kata_picture_decode(kata_picture *out, kata_context *context, const void *data,
                                size_t n_bytes) {
    const uint8_t *bytes = data;
    if (context == NULL) {
        return kata_fail(KATA_INVALID, "kata_picture_decode: a context is needed (it is NULL)");
    }
    if (n_bytes == 0) {
        return kata_fail(KATA_FORMAT, "the picture is empty (0 bytes)");
    }
    if (!kata__is_png_or_jpeg(bytes, n_bytes)) {
        uint8_t first[4] = {0};
        memcpy(first, bytes, n_bytes < 4 ? n_bytes : 4);
        return kata_fail(KATA_FORMAT,
                         "the picture is neither PNG nor JPEG: its %zu bytes begin with %02x %02x "
                         "%02x %02x; convert it to one of these",
                         n_bytes, first[0], first[1], first[2], first[3]);
    }
    if (kata__reader_hooks.decode_picture == NULL) {
        return kata_fail(KATA_UNSUPPORTED, "this program is built without the readers of PNG and "
                                           "JPEG; link kata-readers, or use idx files");
    }
    return kata__reader_hooks.decode_picture(out, context, data, n_bytes);
}

kata_status kata_picture_read(kata_picture *out, kata_context *context, const char *path) {
    if (context == NULL || path == NULL) {
        return kata_fail(KATA_INVALID, "kata_picture_read: a context and a path are needed");
    }
    char *data;
    size_t n_bytes;
    KATA__TRY(kata__file_read(context, path, largest_file, &data, &n_bytes));
    kata_status status = kata_picture_decode(out, context, data, n_bytes);
    kata__free(context, data);
    return status == KATA_OK ? KATA_OK : kata_fail_in(status, "%s", path);
}

static kata_status check_picture(const kata_picture *picture) {
    if (picture->pixels != NULL && picture->context != NULL && picture->width > 0 &&
        picture->height > 0 && (picture->channels == 1 || picture->channels == 3)) {
        return KATA_OK;
    }
    return kata_fail(KATA_INVALID,
                     "a picture of %dx%d pixels with %d channels cannot be used; it needs pixels, "
                     "a context, and 1 or 3 channels",
                     picture->width, picture->height, picture->channels);
}

kata_status kata_picture_to_planes(const kata_picture *picture, int channels, int height, int width,
                                   uint8_t *out) {
    KATA__TRY(check_picture(picture));
    if ((channels != 1 && channels != 3) || height < 1 || width < 1) {
        return kata_fail(KATA_INVALID,
                         "cannot resize a picture to %d channels of %dx%d pixels; a model's "
                         "picture has 1 or 3 channels and at least one pixel",
                         channels, width, height);
    }
    if (channels == 1 && picture->channels == 1 && height == picture->height &&
        width == picture->width) {
        memcpy(out, picture->pixels, (size_t)height * (size_t)width);
        return KATA_OK;
    }
    size_t n;
    if (__builtin_mul_overflow((size_t)height * (size_t)channels, (size_t)width, &n)) {
        return kata_fail(KATA_LIMIT, "a picture of %dx%d pixels is too large", width, height);
    }
    float *planes = kata__alloc(picture->context, n, sizeof *planes);
    if (planes == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    kata__area all = {0, 0, picture->width, picture->height};
    kata_status status = kata__resample_picture(planes, picture, &all, channels, height, width);
    for (size_t i = 0; status == KATA_OK && i < n; i++) {
        float value = planes[i] + 0.5f;
        out[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
    kata__free(picture->context, planes);
    return status;
}
