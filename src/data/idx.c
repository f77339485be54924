/* The idx format of MNIST (yann.lecun.com/exdb/mnist): big-endian numbers; 0, 0, a type, the number
 * of sizes; the sizes, the first counts the samples; the data. Nothing in a file is believed before
 * it is checked against the bytes that are there. */
#include "base/check.h"
#include "data/load.h"

#include <inttypes.h>
#include <string.h>

enum { UNSIGNED_BYTE = 0x08 };

static uint32_t big_endian(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static const char *type_name(int type) {
    switch (type) {
    case 0x08:
        return "unsigned bytes";
    case 0x09:
        return "signed bytes";
    case 0x0B:
        return "16-bit integers";
    case 0x0C:
        return "32-bit integers";
    case 0x0D:
        return "32-bit floats";
    case 0x0E:
        return "64-bit floats";
    }
    return "no known type";
}

static kata_status check_header(const char *path, const uint8_t *bytes, size_t n_bytes, int rank) {
    size_t header = 4 + 4 * (size_t)rank;
    if (n_bytes >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b) {
        return kata_fail(KATA_FORMAT, "%s: is compressed by gzip; give its name the ending .gz",
                         path);
    }
    if (n_bytes >= 4 && (bytes[0] != 0 || bytes[1] != 0)) {
        return kata_fail(KATA_FORMAT,
                         "%s: not an idx file: it begins with the bytes %02x %02x %02x %02x, "
                         "expected 00 00 08 %02x",
                         path, bytes[0], bytes[1], bytes[2], bytes[3], (unsigned)rank);
    }
    if (n_bytes >= 4 && bytes[2] != UNSIGNED_BYTE) {
        return kata_fail(KATA_UNSUPPORTED,
                         "%s: the idx type 0x%02x (%s) is not read here, expected 0x08 (unsigned "
                         "bytes)",
                         path, bytes[2], type_name(bytes[2]));
    }
    if (n_bytes >= 4 && bytes[3] != rank) {
        return kata_fail(KATA_FORMAT,
                         "%s: holds data of %d sizes, expected %d (%s); is it in the place of "
                         "another file?",
                         path, bytes[3], rank,
                         rank == 1 ? "labels" : "pictures: number, height, width");
    }
    if (n_bytes < header) {
        return kata_fail(KATA_FORMAT,
                         "%s: truncated: an idx header of %zu bytes expected, got %zu bytes; get "
                         "the file again",
                         path, header, n_bytes);
    }
    return KATA_OK;
}

kata_status kata__idx_parse(kata_tensor *out, int64_t *n_whole, kata_context *context,
                            const char *path, const void *data, size_t n_bytes, int rank,
                            int64_t limit) {
    const uint8_t *bytes = data;
    KATA__TRY(check_header(path, bytes, n_bytes, rank));
    size_t header = 4 + 4 * (size_t)rank, row = 1, whole;
    uint32_t size[3] = {0, 1, 1};
    for (int i = 0; i < rank; i++) {
        size[i] = big_endian(bytes + 4 + 4 * i);
        if (size[i] == 0) {
            return kata_fail(KATA_FORMAT, "%s: size %d of %d is 0; the file holds no data", path,
                             i + 1, rank);
        }
    }
    if (__builtin_mul_overflow((size_t)size[1], (size_t)size[2], &row) ||
        __builtin_mul_overflow(row, (size_t)size[0], &whole) || whole > PTRDIFF_MAX - header) {
        return kata_fail(KATA_FORMAT,
                         "%s: the header claims %" PRIu32 " pictures of %" PRIu32 "x%" PRIu32
                         ", more than can be addressed; the header is damaged",
                         path, size[0], size[1], size[2]);
    }
    if (n_bytes != header + whole) {
        bool less = n_bytes < header + whole;
        return kata_fail(KATA_FORMAT,
                         "%s: %s: the header says %" PRIu32 " %s, %zu bytes expected, got %zu "
                         "bytes; get the file again",
                         path, less ? "truncated" : "bytes behind the end", size[0],
                         rank == 1 ? "labels" : "pictures", header + whole, n_bytes);
    }
    int64_t n = limit > 0 && limit < size[0] ? limit : size[0];
    kata_shape shape = rank == 1 ? KATA_SHAPE_OF(n) : KATA_SHAPE_OF(n, 1, size[1], size[2]);
    kata_tensor tensor;
    kata_status status = kata_tensor_new(&tensor, context, KATA_U8, &shape);
    if (status != KATA_OK) {
        return kata_fail_in(status, "%s", path);
    }
    memcpy(tensor.data, bytes + header, kata_tensor_bytes(&tensor));
    *out = tensor;
    *n_whole = size[0];
    return KATA_OK;
}
