/* What a data argument names, and the book's loader of MNIST. */
#include "base/check.h"
#include "base/file.h"
#include "base/memory.h"
#include "data/data.h"
#include "data/entries.h"
#include "data/known.h"
#include "data/load.h"

#include <inttypes.h>
#include <string.h>

kata__readers kata__reader_hooks;

void kata_data_close(kata_data *data) {
    if (data == NULL) {
        return;
    }
    kata_dataset_free(data->train);
    kata_dataset_free(data->test);
    kata_dataset_free(data->validation);
    *data = (kata_data){.train = NULL};
}

/* What a folder holds that is no data set, as the middle of a sentence. */
static kata_status fail_folder(const char *folder, const kata__entries *entries) {
    int n_pictures = 0;
    for (size_t i = 0; i < entries->n && i < 1000; i++) {
        n_pictures += kata__is_picture_file(entries->entry[i].path);
    }
    return kata_fail(KATA_NOT_FOUND,
                     "%s: %s; a data folder holds idx files (train-images-idx3-ubyte, "
                     "train-labels-idx1-ubyte, t10k-..., each plain or .gz) or a folder of "
                     "pictures for each class",
                     folder,
                     entries->n == 0 ? "the folder is empty"
                     : n_pictures > 0
                         ? "the folder holds pictures, but no folders that say their classes"
                         : "the folder holds neither idx files nor folders");
}

static kata_status open_folder(kata_data *out, kata_context *context, const char *folder,
                               const kata_data_options *options) {
    bool files, named;
    KATA__TRY(kata__files_present(&files, &named, context, folder));
    if (files) {
        return kata__files_open(out, context, folder, NULL, options);
    }
    kata__arena arena = {.context = context};
    kata__entries entries;
    kata__passed passed = {.root = folder};
    kata_status status = kata__entries_list(&entries, &arena, folder, &passed);
    bool classes = false;
    for (size_t i = 0; status == KATA_OK && i < entries.n; i++) {
        classes = classes || entries.entry[i].is_folder;
    }
    if (status == KATA_OK && !classes) {
        status = fail_folder(folder, &entries);
    }
    kata__entries_free(&entries);
    kata__arena_free(&arena);
    return status != KATA_OK ? status : kata__folder_open(out, context, folder, options);
}

/* FOLDER/SET: one of several sets of array files in a folder. */
static kata_status open_set(kata_data *out, bool *found, kata_context *context,
                            const char *argument, const kata_data_options *options) {
    const char *slash = strrchr(argument, '/');
    *found = false;
    if (slash == NULL || slash == argument || slash[1] == '\0') {
        return KATA_OK;
    }
    char *folder = kata__strdup(context, argument);
    if (folder == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    folder[slash - argument] = '\0';
    kata_status status = KATA_OK;
    if (kata__directory_exists(folder)) {
        bool present;
        status = kata__files_present(&present, found, context, folder);
        if (status == KATA_OK && *found) {
            status = kata__files_open(out, context, folder, slash + 1, options);
        }
    }
    kata__free(context, folder);
    return status;
}

static kata_status open_known(kata_data *out, kata_context *context, const char *name,
                              const kata_data_options *options) {
    char *folder;
    KATA__TRY(kata__known_locate(&folder, context, name));
    kata_status status = open_folder(out, context, folder, options);
    kata__free(context, folder);
    return status;
}

kata_status kata_data_open(kata_data *out, kata_context *context, const char *argument,
                           const kata_data_options *options) {
    static const kata_data_options none = {.limit_train = 0};
    options = options == NULL ? &none : options;
    if (context == NULL || argument == NULL || argument[0] == '\0') {
        return kata_fail(KATA_INVALID, "kata_data_open: %s",
                         context == NULL ? "a context is needed (it is NULL)"
                                         : "the data argument is empty; give a folder, a file or "
                                           "the name of a data set");
    }
    if (options->limit_train < 0 || options->limit_test < 0) {
        return kata_fail(
            KATA_INVALID, "%s: a limit of %" PRId64 " samples; a limit is positive, 0 means all",
            argument, options->limit_train < 0 ? options->limit_train : options->limit_test);
    }
    if (strncmp(argument, "make:", 5) == 0) {
        return kata__made_open(out, context, argument, options);
    }
    if (kata__directory_exists(argument)) {
        return open_folder(out, context, argument, options);
    }
    if (kata__file_exists(argument)) {
        return kata__name_ends(argument, ".npz")
                   ? kata__npz_open(out, context, argument, options)
                   : kata_fail(KATA_UNSUPPORTED,
                               "%s: a file of pictures or numbers must be an .npz; for idx files "
                               "and pictures give the folder that holds them",
                               argument);
    }
    bool found;
    KATA__TRY(open_set(out, &found, context, argument, options));
    return found ? KATA_OK : open_known(out, context, argument, options);
}

/* ------------------------------------------------------------------ the book's load_mnist */

enum { PIXELS = 28 * 28, DIGITS = 10 };

static kata_status check_mnist(const kata_dataset *dataset) {
    const kata_shape *shape = &dataset->inputs[0].shape;
    char text[KATA_SHAPE_TEXT_SIZE];
    if (shape->dim[2] != 28 || shape->dim[3] != 28) {
        return kata_fail(KATA_SHAPE, "%s: the pictures have the shape %s, expected 28x28 pixels",
                         dataset->name, kata_shape_text(shape, text));
    }
    const int64_t *labels = dataset->targets[0].data;
    for (int64_t i = 0; i < dataset->n; i++) {
        if (labels[i] < 0 || labels[i] >= DIGITS) {
            return kata_fail(KATA_FORMAT,
                             "%s: sample %" PRId64 " has the label %" PRId64
                             ", expected a digit 0 to 9; the label file is damaged",
                             dataset->name, i, labels[i]);
        }
    }
    return KATA_OK;
}

/* normalize: x / 255, the same float32 quotient as NumPy's (L2278, L2377). */
static kata_status mnist_input(kata_tensor *out, const kata_dataset *dataset,
                               const kata_mnist_options *options) {
    float value[256];
    for (int i = 0; i < 256; i++) {
        value[i] = options->raw ? (float)i : (float)i / 255.0f;
    }
    kata_shape flat = KATA_SHAPE_OF(dataset->n, PIXELS);
    kata_shape image = KATA_SHAPE_OF(dataset->n, 1, 28, 28);
    KATA__TRY(
        kata_tensor_new(out, dataset->context, KATA_F32, options->keep_image ? &image : &flat));
    const uint8_t *from = dataset->inputs[0].data;
    float *to = out->data;
    for (int64_t i = 0; i < dataset->n * PIXELS; i++) {
        to[i] = value[from[i]];
    }
    return KATA_OK;
}

static kata_status mnist_target(kata_tensor *out, const kata_dataset *dataset,
                                const kata_mnist_options *options) {
    kata_shape index = KATA_SHAPE_OF(dataset->n), one_hot = KATA_SHAPE_OF(dataset->n, DIGITS);
    kata_dtype dtype = options->one_hot ? KATA_F32 : KATA_I64;
    KATA__TRY(kata_tensor_new(out, dataset->context, dtype, options->one_hot ? &one_hot : &index));
    const int64_t *labels = dataset->targets[0].data;
    for (int64_t i = 0; i < dataset->n; i++) {
        if (options->one_hot) {
            ((float *)out->data)[i * DIGITS + labels[i]] = 1;
        } else {
            ((int64_t *)out->data)[i] = labels[i];
        }
    }
    return KATA_OK;
}

static kata_status as_mnist(kata_dataset **out, const kata_dataset *dataset,
                            const kata_mnist_options *options) {
    KATA__TRY(check_mnist(dataset));
    kata_tensor input = {.dtype = KATA_NO_DTYPE}, target = {.dtype = KATA_NO_DTYPE};
    kata_dataset *made = NULL;
    kata_status status = mnist_input(&input, dataset, options);
    if (status == KATA_OK) {
        status = mnist_target(&target, dataset, options);
    }
    if (status == KATA_OK) {
        status = kata__dataset_of(&made, dataset->context, dataset->name, NULL, &input, &target);
    }
    if (status == KATA_OK) {
        status = kata_dataset_set_classes(made, DIGITS, NULL);
    }
    kata_tensor_release(&input);
    kata_tensor_release(&target);
    if (status != KATA_OK) {
        kata_dataset_free(made);
        return status;
    }
    *out = made;
    return KATA_OK;
}

kata_status kata_data_load_mnist(kata_data *out, kata_context *context, const char *folder,
                                 const kata_mnist_options *options) {
    static const kata_mnist_options none = {.raw = false};
    static const kata_data_options all = {.limit_train = 0};
    options = options == NULL ? &none : options;
    if (context == NULL) {
        return kata_fail(KATA_INVALID, "kata_data_load_mnist: a context is needed (it is NULL)");
    }
    kata_data bytes = {.train = NULL}, made = {.train = NULL};
    kata_status status;
    if (folder == NULL) {
        status = open_known(&bytes, context, "mnist", &all);
    } else if (!kata__directory_exists(folder)) {
        status =
            kata_fail(KATA_NOT_FOUND,
                      "%s: there is no such folder; give the folder with the MNIST files", folder);
    } else {
        status = kata__files_open(&bytes, context, folder, NULL, &all);
    }
    if (status == KATA_OK) {
        status = as_mnist(&made.train, bytes.train, options);
    }
    if (status == KATA_OK && bytes.test != NULL) {
        status = as_mnist(&made.test, bytes.test, options);
    }
    kata_data_close(&bytes);
    if (status != KATA_OK) {
        kata_data_close(&made);
        return status;
    }
    *out = made;
    return KATA_OK;
}
