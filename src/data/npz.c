/* NumPy's .npz as a data set: a zip file of .npy arrays, x_train, y_train, x_test, y_test (as Keras
 * stores its sets), train_images, train_labels, ... (as MedMNIST does), x and y, or the two arrays
 * of numpy.savez(file, x, y). Whole numbers of shape (n) or (n,1) are classes; other targets become
 * float32 (n,k). */
#include "base/check.h"
#include "base/file.h"
#include "base/memory.h"
#include "data/arrays.h"
#include "data/data.h"
#include "data/entries.h"

#include <kata/format.h>

#include <stdio.h>
#include <string.h>

static const size_t largest_unpacked = (size_t)1 << 33;

typedef kata_status take(void *user, const char *name, const void *data, size_t n_bytes);

static kata_status unzip(kata_context *context, const void *bytes, size_t n_bytes, take *member,
                         void *user) {
    if (kata__reader_hooks.unzip == NULL) {
        return kata_fail(KATA_UNSUPPORTED,
                         "this program is built without the npz reader; link kata-readers, or "
                         "store the data as idx files");
    }
    return kata__reader_hooks.unzip(context, bytes, n_bytes, largest_unpacked, member, user);
}

/* ------------------------------------------------------------------ a data set */

struct archive {
    kata__arrays arrays;
    kata_tensor numbered[2]; /* arr_0 and arr_1 */
    int n_members;
    char seen[200]; /* the names of the members, for a message */
};

static const char *const numbered_names[2] = {"arr_0", "arr_1"};

static void note_name(struct archive *archive, const char *name) {
    size_t length = strlen(archive->seen);
    if (length + strlen(name) + 8 < sizeof archive->seen) {
        snprintf(archive->seen + length, sizeof archive->seen - length, "%s%s",
                 length > 0 ? ", " : "", name);
    }
}

/* Where the member of that name goes; NULL if it is none of ours. */
static kata_tensor *place_of(struct archive *archive, const char *name, size_t length) {
    kata__part part;
    int kind;
    char set[KATA__SET_NAME];
    for (int i = 0; i < 2; i++) {
        if (kata__name_is(name, length, numbered_names[i])) {
            return &archive->numbered[i];
        }
    }
    if (!kata__array_name_parse(&part, &kind, set, name, length) || set[0] != '\0') {
        return NULL;
    }
    snprintf(archive->arrays.name[part][kind], sizeof archive->arrays.name[part][kind], "%.*s",
             (int)length, name);
    return &archive->arrays.array[part][kind];
}

/* One member of the zip file: read if its name is one of ours. */
static kata_status take_member(void *user, const char *name, const void *data, size_t n_bytes) {
    struct archive *archive = user;
    size_t length = strlen(name);
    note_name(archive, name);
    if (!kata__name_ends(name, ".npy")) {
        return KATA_OK;
    }
    archive->n_members++;
    kata_tensor *place = place_of(archive, name, length - 4);
    if (place == NULL) {
        return KATA_OK;
    }
    if (place->dtype != KATA_NO_DTYPE) {
        return kata_fail(KATA_FORMAT, "there are two arrays for %.*s; keep one", (int)length - 4,
                         name);
    }
    return kata_npy_read_memory(place, archive->arrays.context, data, n_bytes, name);
}

static kata_status check_members(struct archive *archive) {
    static const char *const names[KATA__PARTS][2] = {
        {"x_train", "y_train"}, {"x_test", "y_test"}, {"x_val", "y_val"}};
    kata__arrays *arrays = &archive->arrays;
    if (archive->n_members == 2 && archive->numbered[0].dtype != KATA_NO_DTYPE &&
        archive->numbered[1].dtype != KATA_NO_DTYPE) {
        for (int kind = 0; kind < 2; kind++) {
            arrays->array[KATA__PART_TRAIN][kind] = archive->numbered[kind];
            archive->numbered[kind] = (kata_tensor){.dtype = KATA_NO_DTYPE};
            snprintf(arrays->name[KATA__PART_TRAIN][kind], 80, "%s", numbered_names[kind]);
        }
    }
    for (int part = 0; part < KATA__PARTS; part++) {
        bool any = part == KATA__PART_TRAIN || arrays->array[part][0].dtype != KATA_NO_DTYPE ||
                   arrays->array[part][1].dtype != KATA_NO_DTYPE;
        for (int kind = 0; any && kind < 2; kind++) {
            if (arrays->array[part][kind].dtype == KATA_NO_DTYPE) {
                return kata_fail(KATA_NOT_FOUND, "the array %s is missing; the file has %s",
                                 names[part][kind],
                                 archive->seen[0] != '\0' ? archive->seen : "no arrays");
            }
        }
    }
    return KATA_OK;
}

static void free_archive(struct archive *archive) {
    kata__arrays_free(&archive->arrays);
    kata_tensor_release(&archive->numbered[0]);
    kata_tensor_release(&archive->numbered[1]);
}

kata_status kata__npz_open(kata_data *out, kata_context *context, const char *path,
                           const kata_data_options *options) {
    struct archive archive = {.arrays = {.context = context, .path = path}};
    char *bytes = NULL;
    size_t n_bytes;
    kata_status status = kata__file_read(context, path, KATA__ARRAY_BYTES_MOST, &bytes, &n_bytes);
    if (status == KATA_OK) {
        status = unzip(context, bytes, n_bytes, take_member, &archive);
    }
    kata__free(context, bytes);
    if (status == KATA_OK) {
        status = check_members(&archive);
    }
    if (status == KATA_OK) {
        status = kata__arrays_open(out, &archive.arrays, options);
    }
    free_archive(&archive);
    if (status != KATA_OK && strstr(kata_error_message(), path) == NULL) {
        return kata_fail_in(status, "%s", path);
    }
    return status;
}

/* ------------------------------------------------------------------ one array */

struct single {
    kata_context *context;
    kata_tensor array;
};

static kata_status take_single(void *user, const char *name, const void *data, size_t n_bytes) {
    struct single *single = user;
    if (!kata__name_ends(name, ".npy")) {
        return KATA_OK;
    }
    if (single->array.dtype != KATA_NO_DTYPE) {
        return kata_fail(KATA_FORMAT,
                         "it holds several arrays, where one is expected in a folder of array "
                         "files; to open it as a data set of its own, give the file");
    }
    return kata_npy_read_memory(&single->array, single->context, data, n_bytes, name);
}

kata_status kata__npz_read_one(kata_tensor *out, kata_context *context, const void *bytes,
                               size_t n_bytes) {
    struct single single = {.context = context};
    kata_status status = unzip(context, bytes, n_bytes, take_single, &single);
    if (status == KATA_OK && single.array.dtype == KATA_NO_DTYPE) {
        status = kata_fail(KATA_FORMAT, "it holds no array");
    }
    if (status != KATA_OK) {
        kata_tensor_release(&single.array);
        return status;
    }
    *out = single.array;
    return KATA_OK;
}
