/* The idx format of MNIST (yann.lecun.com/exdb/mnist): big-endian numbers; 0, 0, a type, the number
 * of sizes; the sizes, the first counts the samples; the data. Nothing in a file is believed before
 * it is checked against the bytes that are there. */
#include "base/check.h"
#include "base/file.h"
#include "base/memory.h"
#include "data/data.h"
#include "data/load.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* MNIST's training pictures have 47 MB; what is larger is not kept in memory as bytes. */
static const size_t largest_file = (size_t)1 << 31;

enum { UNSIGNED_BYTE = 0x08 };

/* The same files are also met with a dot: train-images.idx3-ubyte. */
static const char *const stems[4][2] = {
    {"train-images-idx3-ubyte", "train-images.idx3-ubyte"},
    {"train-labels-idx1-ubyte", "train-labels.idx1-ubyte"},
    {"t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte"},
    {"t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte"},
};
enum file_number { TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS };

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

/* Which of the file's possible names is there: *path (kata__free), NULL if none. */
static kata_status find_file(char **path, bool *gz, kata_context *context, const char *folder,
                             enum file_number file) {
    *path = NULL;
    size_t size = strlen(folder) + 64;
    char *name = kata__alloc(context, size, 1);
    if (name == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    for (int form = 0; form < 4; form++) {
        *gz = form % 2 == 1;
        snprintf(name, size, "%s/%s%s", folder, stems[file][form / 2], *gz ? ".gz" : "");
        if (kata__file_exists(name)) {
            *path = name;
            return KATA_OK;
        }
    }
    kata__free(context, name);
    return KATA_OK;
}

/* Is any of files first to last there? */
static kata_status any_file(bool *found, kata_context *context, const char *folder,
                            enum file_number first, enum file_number last) {
    *found = false;
    for (enum file_number file = first; file <= last && !*found; file++) {
        char *path;
        bool gz;
        KATA__TRY(find_file(&path, &gz, context, folder, file));
        *found = path != NULL;
        kata__free(context, path);
    }
    return KATA_OK;
}

kata_status kata__idx_present(bool *present, kata_context *context, const char *folder) {
    return any_file(present, context, folder, TRAIN_IMAGES, TEST_LABELS);
}

static kata_status unpack(kata_context *context, const char *path, char **data, size_t *n_bytes) {
    if (kata__reader_hooks.gunzip == NULL) {
        return kata_fail(KATA_UNSUPPORTED,
                         "%s: this program is built without the gz reader; unpack the file with "
                         "gunzip, or link kata-readers",
                         path);
    }
    char *unpacked;
    size_t n_unpacked;
    kata_status status =
        kata__reader_hooks.gunzip(context, *data, *n_bytes, largest_file, &unpacked, &n_unpacked);
    if (status != KATA_OK) {
        return kata_fail_in(status, "%s", path);
    }
    kata__free(context, *data);
    *data = unpacked;
    *n_bytes = n_unpacked;
    return KATA_OK;
}

static kata_status read_found(kata_tensor *out, int64_t *n_whole, kata_context *context,
                              const char *path, bool gz, int rank, int64_t limit) {
    char *data;
    size_t n_bytes;
    KATA__TRY(kata__file_read(context, path, largest_file, &data, &n_bytes));
    kata_status status = gz ? unpack(context, path, &data, &n_bytes) : KATA_OK;
    if (status == KATA_OK) {
        status = kata__idx_parse(out, n_whole, context, path, data, n_bytes, rank, limit);
    }
    kata__free(context, data);
    return status;
}

/* Reads one of the four files; *path names what was read (kata__free), NULL on failure. */
static kata_status read_file(kata_tensor *out, int64_t *n_whole, char **path, kata_context *context,
                             const char *folder, enum file_number file, int64_t limit) {
    bool gz;
    KATA__TRY(find_file(path, &gz, context, folder, file));
    if (*path == NULL) {
        return kata_fail(KATA_NOT_FOUND,
                         "%s: no %s file: looked for %s and %s.gz; put it beside the other idx "
                         "files",
                         folder, file % 2 == 0 ? "picture" : "label", stems[file][0],
                         stems[file][0]);
    }
    int rank = file % 2 == 0 ? 3 : 1;
    kata_status status = read_found(out, n_whole, context, *path, gz, rank, limit);
    if (status != KATA_OK) {
        kata__free(context, *path);
        *path = NULL;
    }
    return status;
}

static kata_status labels_as_int64(kata_tensor *labels, kata_context *context) {
    kata_tensor wide;
    KATA__TRY(kata_tensor_new(&wide, context, KATA_I64, &labels->shape));
    for (int64_t i = 0; i < labels->shape.dim[0]; i++) {
        ((int64_t *)wide.data)[i] = ((const uint8_t *)labels->data)[i];
    }
    kata_tensor_release(labels);
    *labels = wide;
    return KATA_OK;
}

struct half { /* training or test samples while they are read */
    kata_tensor images, labels;
    char *images_path, *labels_path;
    int64_t n_images, n_labels;
};

static void free_half(kata_context *context, struct half *half) {
    kata_tensor_release(&half->images);
    kata_tensor_release(&half->labels);
    kata__free(context, half->images_path);
    kata__free(context, half->labels_path);
}

static kata_status read_half(struct half *half, kata_context *context, const char *folder,
                             enum file_number images, int64_t limit) {
    KATA__TRY(read_file(&half->images, &half->n_images, &half->images_path, context, folder, images,
                        limit));
    KATA__TRY(read_file(&half->labels, &half->n_labels, &half->labels_path, context, folder,
                        images + 1, limit));
    if (half->n_images != half->n_labels) {
        return kata_fail(KATA_FORMAT,
                         "%s has %" PRId64 " pictures, but %s has %" PRId64
                         " labels; the two files do not belong together",
                         half->images_path, half->n_images, half->labels_path, half->n_labels);
    }
    return labels_as_int64(&half->labels, context);
}

static kata_status open_half(kata_dataset **out, kata_context *context, const char *folder,
                             enum file_number images, const char *part, int64_t limit) {
    struct half half = {.n_images = 0};
    kata_status status = read_half(&half, context, folder, images, limit);
    if (status == KATA_OK) {
        status = kata__dataset_of(out, context, folder, part, &half.images, &half.labels);
    }
    free_half(context, &half);
    return status;
}

static kata_status set_classes(kata_data *data) {
    int64_t train = kata__dataset_class_count(data->train);
    int64_t test = kata__dataset_class_count(data->test);
    int n_classes = (int)(train > test ? train : test); /* at most 256: labels are bytes */
    KATA__TRY(kata_dataset_set_classes(data->train, n_classes, NULL));
    return data->test == NULL ? KATA_OK : kata_dataset_set_classes(data->test, n_classes, NULL);
}

static kata_status check_sizes(const kata_data *data, const char *folder) {
    const kata_shape *train = &data->train->inputs[0].shape;
    const kata_shape *test = data->test == NULL ? train : &data->test->inputs[0].shape;
    if (train->dim[2] == test->dim[2] && train->dim[3] == test->dim[3]) {
        return KATA_OK;
    }
    return kata_fail(KATA_FORMAT,
                     "%s: the training pictures have %" PRId64 "x%" PRId64
                     " pixels, the test pictures %" PRId64 "x%" PRId64
                     "; the files do not belong together",
                     folder, train->dim[3], train->dim[2], test->dim[3], test->dim[2]);
}

kata_status kata__idx_open(kata_data *out, kata_context *context, const char *folder,
                           const kata_data_options *options) {
    kata_data data = {.train = NULL};
    kata_status status =
        open_half(&data.train, context, folder, TRAIN_IMAGES, "train", options->limit_train);
    bool has_test = false;
    if (status == KATA_OK) {
        status = any_file(&has_test, context, folder, TEST_IMAGES, TEST_LABELS);
    }
    if (status == KATA_OK && has_test) {
        status = open_half(&data.test, context, folder, TEST_IMAGES, "test", options->limit_test);
    }
    if (status == KATA_OK) {
        status = check_sizes(&data, folder);
    }
    if (status == KATA_OK) {
        status = set_classes(&data);
    }
    if (status != KATA_OK) {
        kata_data_close(&data);
        return status;
    }
    *out = data;
    return KATA_OK;
}
