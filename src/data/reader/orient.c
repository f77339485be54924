/* EXIF's orientation, which cameras write in place of turning the pixels: JPEG has it in a segment,
 * PNG in the chunk eXIf. */
#include "base/memory.h"
#include "data/reader/reader.h"

static unsigned number(const uint8_t *p, int n_bytes, bool big) {
    unsigned value = 0;
    for (int i = 0; i < n_bytes; i++) {
        value = value << 8 | p[big ? i : n_bytes - 1 - i];
    }
    return value;
}

/* A TIFF header, then the entries of the first directory, 12 bytes each. */
int kata__exif_orientation(const uint8_t *tiff, size_t n) {
    if (n < 8) {
        return 1;
    }
    bool big = tiff[0] == 'M' && tiff[1] == 'M';
    if ((!big && (tiff[0] != 'I' || tiff[1] != 'I')) || number(tiff + 2, 2, big) != 42) {
        return 1;
    }
    size_t at = number(tiff + 4, 4, big);
    if (at > n || n - at < 2) {
        return 1;
    }
    unsigned n_entries = number(tiff + at, 2, big);
    at += 2;
    for (unsigned i = 0; i < n_entries && n - at >= 12; i++, at += 12) {
        if (number(tiff + at, 2, big) == 0x0112 && number(tiff + at + 2, 2, big) == 3) {
            unsigned value = number(tiff + at + 8, 2, big);
            return value >= 1 && value <= 8 ? (int)value : 1;
        }
    }
    return 1;
}

/* The picture as it is to be seen. Orientation: 2 mirrored left-right, 3 turned by 180 degrees, 4
 * mirrored top-bottom; 5 to 8 the same of the picture with rows and columns exchanged: 5
 * transposed, 6 to be turned right, 7 transposed across, 8 to be turned left (EXIF 2.3, 4.6.4 A).
 */
kata_status kata__picture_orient(kata_picture *picture, int orientation) {
    if (orientation == 1) {
        return KATA_OK;
    }
    int n = picture->channels, width = picture->width, height = picture->height;
    bool exchange = orientation >= 5;
    bool mirror_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    bool mirror_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    kata_picture turned = *picture;
    turned.width = exchange ? height : width;
    turned.height = exchange ? width : height;
    turned.pixels = kata__alloc(picture->context, (size_t)width * (size_t)height, (size_t)n);
    if (turned.pixels == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    uint8_t *to = turned.pixels;
    for (int y = 0; y < turned.height; y++) {
        for (int x = 0; x < turned.width; x++) {
            int from_x = exchange ? y : x, from_y = exchange ? x : y;
            from_x = mirror_x ? width - 1 - from_x : from_x;
            from_y = mirror_y ? height - 1 - from_y : from_y;
            const uint8_t *from =
                picture->pixels + ((size_t)from_y * (size_t)width + (size_t)from_x) * (size_t)n;
            for (int c = 0; c < n; c++) {
                *to++ = from[c];
            }
        }
    }
    kata_picture_free(picture);
    *picture = turned;
    return KATA_OK;
}
