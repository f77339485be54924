/* NumPy's .npz as a data set: a zip file of .npy arrays, x_train, y_train, x_test, y_test (as Keras
 * stores its sets) or x, y. Whole numbers of shape (n) or (n,1) are classes; other targets become
 * float32 (n,k). */
#include "base/check.h"
#include "base/file.h"
#include "base/memory.h"
#include "data/data.h"
#include "data/load.h"

#include <kata/format.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const size_t largest_file = (size_t)1 << 31, largest_unpacked = (size_t)1 << 33;

enum { X_TRAIN, Y_TRAIN, X_TEST, Y_TEST, N_ARRAYS };
static const char *const array_names[N_ARRAYS][2] = {
    {"x_train", "x"}, {"y_train", "y"}, {"x_test", "x_test"}, {"y_test", "y_test"}};

struct archive {
    kata_context *context;
    kata_tensor array[N_ARRAYS];
    char seen[200]; /* the names of the members, for a message */
};

static void note_name(struct archive *archive, const char *name) {
    size_t length = strlen(archive->seen);
    if (length + strlen(name) + 8 < sizeof archive->seen) {
        snprintf(archive->seen + length, sizeof archive->seen - length, "%s%s",
                 length > 0 ? ", " : "", name);
    }
}

/* One member of the zip file: read if its name is one of ours. */
static kata_status take_member(void *user, const char *name, const void *data, size_t n_bytes) {
    struct archive *archive = user;
    size_t length = strlen(name);
    note_name(archive, name);
    if (length < 4 || strcmp(name + length - 4, ".npy") != 0) {
        return KATA_OK;
    }
    length -= 4;
    for (int i = 0; i < N_ARRAYS; i++) {
        for (int form = 0; form < 2; form++) {
            const char *wanted = array_names[i][form];
            if (strlen(wanted) != length || strncmp(wanted, name, length) != 0) {
                continue;
            }
            if (archive->array[i].dtype != KATA_NO_DTYPE) {
                return kata_fail(KATA_FORMAT, "there are two arrays for %s; keep one",
                                 array_names[i][0]);
            }
            return kata_npy_read_memory(&archive->array[i], archive->context, data, n_bytes, name);
        }
    }
    return KATA_OK;
}

static kata_status copy_to(kata_tensor *array, kata_context *context, kata_dtype dtype,
                           const kata_tensor *from, const kata_shape *shape) {
    kata_tensor copy;
    KATA__TRY(kata_tensor_new(&copy, context, dtype, &from->shape));
    kata_status status = kata_tensor_copy(&copy, from);
    if (status != KATA_OK) {
        kata_tensor_release(&copy);
        return status;
    }
    kata_context *owner = copy.owner;
    copy = kata_tensor_view(copy.data, dtype, shape);
    copy.owner = owner;
    kata_tensor_release(array);
    *array = copy;
    return KATA_OK;
}

/* Pictures as (n, channels, height, width): grey ones may come as (n,h,w), colour ones with the
 * channels last. Other inputs stay as they are. */
static kata_status arrange_input(kata_tensor *x, kata_context *context) {
    const kata_shape *shape = &x->shape;
    if (x->dtype != KATA_U8) {
        return KATA_OK;
    }
    if (shape->rank == 3) {
        kata_context *owner = x->owner;
        kata_shape planes = KATA_SHAPE_OF(shape->dim[0], 1, shape->dim[1], shape->dim[2]);
        *x = kata_tensor_view(x->data, x->dtype, &planes);
        x->owner = owner;
        return KATA_OK;
    }
    bool last = shape->rank == 4 && (shape->dim[3] == 1 || shape->dim[3] == 3) &&
                shape->dim[1] != 1 && shape->dim[1] != 3;
    if (last) {
        kata_tensor planes;
        KATA__TRY(kata_tensor_transpose(&planes, x, (const int[]){0, 3, 1, 2}));
        return copy_to(x, context, KATA_U8, &planes, &planes.shape);
    }
    return KATA_OK;
}

static kata_status arrange_target(kata_tensor *y, kata_context *context, const char *name) {
    kata_shape shape = y->shape;
    bool single = shape.rank == 1 || (shape.rank == 2 && shape.dim[1] == 1);
    if (single && !kata_dtype_is_float(y->dtype)) {
        shape = KATA_SHAPE_OF(shape.dim[0]);
        KATA__TRY(copy_to(y, context, KATA_I64, y, &shape));
        for (int64_t i = 0; i < shape.dim[0]; i++) {
            int64_t label = ((const int64_t *)y->data)[i];
            if (label < 0 || label >= KATA__CLASSES_MOST) {
                return kata_fail(KATA_FORMAT,
                                 "%s: sample %" PRId64 " has the label %" PRId64
                                 "; whole numbers are classes, 0 to %d; store numbers to predict "
                                 "as float32",
                                 name, i, label, KATA__CLASSES_MOST - 1);
            }
        }
        return KATA_OK;
    }
    if (shape.rank == 1) {
        shape = KATA_SHAPE_OF(shape.dim[0], 1);
    }
    return copy_to(y, context, KATA_F32, y, &shape);
}

/* The first `limit` samples. */
static kata_status limit_samples(kata_dataset **dataset, int64_t limit) {
    if (limit <= 0 || *dataset == NULL || limit >= (*dataset)->n) {
        return KATA_OK;
    }
    kata_context *context = (*dataset)->context;
    int64_t *index = kata__alloc(context, (size_t)limit, sizeof *index);
    if (index == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    for (int64_t i = 0; i < limit; i++) {
        index[i] = i;
    }
    kata_dataset *taken;
    kata_status status = kata_dataset_take(&taken, *dataset, index, limit);
    kata__free(context, index);
    KATA__TRY(status);
    kata_dataset_free(*dataset);
    *dataset = taken;
    return KATA_OK;
}

static kata_status make_half(kata_dataset **out, struct archive *archive, const char *path, int x,
                             const char *part) {
    kata_tensor *input = &archive->array[x], *target = &archive->array[x + 1];
    char text[KATA_SHAPE_TEXT_SIZE];
    for (int i = 0; i < 2; i++) {
        const kata_tensor *array = &archive->array[x + i];
        const char *name = array_names[x + i][0];
        if (array->dtype == KATA_NO_DTYPE) {
            return kata_fail(KATA_NOT_FOUND, "the array %s is missing; the file has %s", name,
                             archive->seen[0] != '\0' ? archive->seen : "no arrays");
        }
        if (array->shape.rank < 1 || array->shape.dim[0] < 1) {
            return kata_fail(KATA_SHAPE, "%s has the shape %s; it holds no samples", name,
                             kata_shape_text(&array->shape, text));
        }
    }
    if (input->shape.dim[0] != target->shape.dim[0]) {
        return kata_fail(
            KATA_SHAPE,
            "%s has %" PRId64 " samples, but %s has %" PRId64 "; there must be one target a sample",
            array_names[x][0], input->shape.dim[0], array_names[x + 1][0], target->shape.dim[0]);
    }
    KATA__TRY(arrange_input(input, archive->context));
    KATA__TRY(arrange_target(target, archive->context, array_names[x + 1][0]));
    return kata__dataset_of(out, archive->context, path, part, input, target);
}

/* Training and test samples must be of one kind. */
static kata_status check_halves(const kata_data *data) {
    if (data->test == NULL) {
        return KATA_OK;
    }
    const kata_tensor *pairs[2][2] = {{&data->train->inputs[0], &data->test->inputs[0]},
                                      {&data->train->targets[0], &data->test->targets[0]}};
    for (int i = 0; i < 2; i++) {
        kata_shape a = pairs[i][0]->shape, b = pairs[i][1]->shape;
        char text_a[KATA_SHAPE_TEXT_SIZE], text_b[KATA_SHAPE_TEXT_SIZE];
        kata_shape_text(&a, text_a);
        kata_shape_text(&b, text_b);
        a.dim[0] = b.dim[0];
        if (!kata_shape_equal(&a, &b) || pairs[i][0]->dtype != pairs[i][1]->dtype) {
            return kata_fail(KATA_SHAPE,
                             "%s is %s of shape %s, but %s is %s of shape %s; but for the number "
                             "of samples they must be alike",
                             array_names[i][0], kata_dtype_name(pairs[i][0]->dtype), text_a,
                             array_names[i + 2][0], kata_dtype_name(pairs[i][1]->dtype), text_b);
        }
    }
    return KATA_OK;
}

static kata_status finish(kata_data *data, const kata_data_options *options) {
    KATA__TRY(check_halves(data));
    KATA__TRY(limit_samples(&data->train, options->limit_train));
    KATA__TRY(limit_samples(&data->test, options->limit_test));
    int64_t train = kata__dataset_class_count(data->train);
    int64_t test = kata__dataset_class_count(data->test);
    int n_classes = (int)(train > test ? train : test);
    if (n_classes > 0) {
        KATA__TRY(kata_dataset_set_classes(data->train, n_classes, NULL));
        if (data->test != NULL) {
            KATA__TRY(kata_dataset_set_classes(data->test, n_classes, NULL));
        }
    }
    return KATA_OK;
}

static kata_status read_archive(kata_data *data, struct archive *archive, const char *path,
                                const kata_data_options *options) {
    if (kata__reader_hooks.unzip == NULL) {
        return kata_fail(KATA_UNSUPPORTED,
                         "this program is built without the npz reader; link kata-readers, or "
                         "store the data as idx files");
    }
    char *bytes;
    size_t n_bytes;
    KATA__TRY(kata__file_read(archive->context, path, largest_file, &bytes, &n_bytes));
    kata_status status = kata__reader_hooks.unzip(archive->context, bytes, n_bytes,
                                                  largest_unpacked, take_member, archive);
    kata__free(archive->context, bytes);
    KATA__TRY(status);
    bool has_test = archive->array[X_TEST].dtype != KATA_NO_DTYPE ||
                    archive->array[Y_TEST].dtype != KATA_NO_DTYPE;
    KATA__TRY(make_half(&data->train, archive, path, X_TRAIN, has_test ? "train" : NULL));
    if (has_test) {
        KATA__TRY(make_half(&data->test, archive, path, X_TEST, "test"));
    }
    return finish(data, options);
}

kata_status kata__npz_open(kata_data *out, kata_context *context, const char *path,
                           const kata_data_options *options) {
    struct archive archive = {.context = context};
    kata_data data = {.train = NULL};
    kata_status status = read_archive(&data, &archive, path, options);
    for (int i = 0; i < N_ARRAYS; i++) {
        kata_tensor_release(&archive.array[i]);
    }
    if (status != KATA_OK) {
        kata_data_close(&data);
        return strstr(kata_error_message(), path) != NULL ? status
                                                          : kata_fail_in(status, "%s", path);
    }
    *out = data;
    return KATA_OK;
}
