/* Data sets that come as arrays: what their names mean, and what they become. */
#include "data/arrays.h"
#include "base/check.h"
#include "base/memory.h"
#include "data/entries.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const part_names[KATA__PARTS] = {"train", "test", "validation"};

/* ------------------------------------------------------------------ names */

static bool is_word_of(const char *word, size_t length, const char *const *list) {
    for (; *list != NULL; list++) {
        if (kata__name_is(word, length, *list)) {
            return true;
        }
    }
    return false;
}

int kata__part_of(const char *word, size_t length) {
    static const char *const words[KATA__PARTS][6] = {{"train", "training", NULL},
                                                      {"test", "testing", "t10k", NULL},
                                                      {"val", "valid", "validation", NULL}};
    for (int part = 0; part < KATA__PARTS; part++) {
        if (is_word_of(word, length, words[part])) {
            return part;
        }
    }
    return -1;
}

static int kind_of(const char *word, size_t length) {
    static const char *const inputs[] = {"x", "images", "image", "imgs", "img", "inputs", NULL};
    static const char *const targets[] = {"y", "labels", "label", "targets", "target", NULL};
    return is_word_of(word, length, inputs) ? 0 : is_word_of(word, length, targets) ? 1 : -1;
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Adds a word that says neither part nor kind to the set's name. */
static void add_to_set(char set[KATA__SET_NAME], const char *word, size_t length) {
    size_t used = strlen(set);
    if (used + length + 2 < KATA__SET_NAME) {
        snprintf(set + used, KATA__SET_NAME - used, "%s%.*s", used > 0 ? "-" : "", (int)length,
                 word);
    }
}

bool kata__array_name_parse(kata__part *part, int *kind, char set[KATA__SET_NAME], const char *name,
                            size_t length) {
    static const char *const format_words[] = {"idx", "idx1", "idx3", "ubyte", NULL};
    int found_part = -1, found_kind = -1;
    set[0] = '\0';
    for (size_t at = 0; at < length;) {
        size_t n = 0;
        while (at + n < length && is_letter(name[at + n])) {
            n++;
        }
        int p = kata__part_of(name + at, n), k = kind_of(name + at, n);
        if (p >= 0) {
            found_part = p;
        } else if (k >= 0) {
            found_kind = k;
        } else if (n > 0 && !is_word_of(name + at, n, format_words)) {
            add_to_set(set, name + at, n);
        }
        at += n + 1;
    }
    *part = found_part >= 0 ? (kata__part)found_part : KATA__PART_TRAIN;
    *kind = found_kind;
    return found_kind >= 0;
}

/* ------------------------------------------------------------------ forms */

/* *array becomes a copy of `from` with the same numbers as `dtype` and the shape `shape`. */
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

/* Pictures as (n, channels, height, width): grey ones may come as bytes (n,h,w), all of them with
 * the channels last. Other inputs stay as they are. */
static kata_status arrange_input(kata_tensor *x, kata_context *context, bool *moved) {
    const kata_shape *shape = &x->shape;
    if (shape->rank == 3 && x->dtype == KATA_U8) {
        kata_context *owner = x->owner;
        kata_shape planes = KATA_SHAPE_OF(shape->dim[0], 1, shape->dim[1], shape->dim[2]);
        *x = kata_tensor_view(x->data, x->dtype, &planes);
        x->owner = owner;
        return KATA_OK;
    }
    if (!kata__is_channels_last(shape)) {
        return KATA_OK;
    }
    *moved = true;
    kata_tensor planes;
    KATA__TRY(kata_tensor_transpose(&planes, x, (const int[]){0, 3, 1, 2}));
    return copy_to(x, context, x->dtype, &planes, &planes.shape);
}

bool kata__is_channels_last(const kata_shape *shape) {
    int64_t c = shape->dim[3];
    return shape->rank == 4 && (c == 1 || c == 3) && shape->dim[1] != 1 && shape->dim[1] != 3 &&
           shape->dim[2] > 1;
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

static kata_status arrange_part(kata__arrays *arrays, int part, bool *moved) {
    kata_tensor *array = arrays->array[part];
    const char *x = arrays->name[part][0], *y = arrays->name[part][1];
    char text[KATA_SHAPE_TEXT_SIZE];
    for (int kind = 0; kind < 2; kind++) {
        if (array[kind].shape.rank < 1 || array[kind].shape.dim[0] < 1) {
            return kata_fail(KATA_SHAPE, "%s has the shape %s; it holds no samples",
                             arrays->name[part][kind], kata_shape_text(&array[kind].shape, text));
        }
    }
    if (array[0].shape.dim[0] != array[1].shape.dim[0]) {
        return kata_fail(KATA_SHAPE,
                         "%s has %" PRId64 " samples, but %s has %" PRId64
                         "; there must be one target a sample",
                         x, array[0].shape.dim[0], y, array[1].shape.dim[0]);
    }
    KATA__TRY(arrange_input(&array[0], arrays->context, moved));
    return arrange_target(&array[1], arrays->context, y);
}

/* All parts must be of one kind. */
static kata_status check_alike(const kata__arrays *arrays) {
    for (int part = 1; part < KATA__PARTS; part++) {
        for (int kind = 0; kind < 2; kind++) {
            const kata_tensor *first = &arrays->array[KATA__PART_TRAIN][kind];
            const kata_tensor *other = &arrays->array[part][kind];
            kata_shape a = first->shape, b = other->shape;
            char text_a[KATA_SHAPE_TEXT_SIZE], text_b[KATA_SHAPE_TEXT_SIZE];
            kata_shape_text(&a, text_a);
            kata_shape_text(&b, text_b);
            a.dim[0] = b.dim[0];
            if (other->dtype != KATA_NO_DTYPE &&
                (!kata_shape_equal(&a, &b) || first->dtype != other->dtype)) {
                return kata_fail(KATA_SHAPE,
                                 "%s is %s of shape %s, but %s is %s of shape %s; but for the "
                                 "number of samples they must be alike",
                                 arrays->name[KATA__PART_TRAIN][kind],
                                 kata_dtype_name(first->dtype), text_a, arrays->name[part][kind],
                                 kata_dtype_name(other->dtype), text_b);
            }
        }
    }
    return KATA_OK;
}

/* ------------------------------------------------------------------ classes */

/* The classes that the labels of all parts name: `first` to first + n - 1. */
struct classes {
    int64_t first;
    int n; /* 0: no classes */
};

static bool is_class_target(const kata_tensor *y) {
    return y->dtype == KATA_I64;
}

/* Classes are 0 to the greatest label. Where the labels begin above 0 and none between is left out
 * (EMNIST's letters are 1 to 26), they are counted from the first: a class that nothing belongs to
 * would count in every mean over classes. */
static kata_status find_classes(struct classes *classes, kata__arrays *arrays) {
    *classes = (struct classes){0, 0};
    bool *seen = NULL;
    int64_t least = INT64_MAX, most = -1, n_seen = 0;
    for (int part = 0; part < KATA__PARTS; part++) {
        const kata_tensor *y = &arrays->array[part][1];
        for (int64_t i = 0; is_class_target(y) && i < y->shape.dim[0]; i++) {
            int64_t label = ((const int64_t *)y->data)[i];
            least = label < least ? label : least;
            most = label > most ? label : most;
        }
    }
    if (most < 0) {
        return KATA_OK;
    }
    seen = kata__alloc_zero(arrays->context, (size_t)most + 1, sizeof *seen);
    if (seen == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    for (int part = 0; part < KATA__PARTS; part++) {
        const kata_tensor *y = &arrays->array[part][1];
        for (int64_t i = 0; is_class_target(y) && i < y->shape.dim[0]; i++) {
            int64_t label = ((const int64_t *)y->data)[i];
            n_seen += !seen[label];
            seen[label] = true;
        }
    }
    kata__free(arrays->context, seen);
    bool shift = least > 0 && most > least && n_seen == most - least + 1;
    classes->first = shift ? least : 0;
    classes->n = (int)(most - classes->first) + 1;
    if (!shift) {
        return KATA_OK;
    }
    for (int part = 0; part < KATA__PARTS; part++) {
        const kata_tensor *y = &arrays->array[part][1];
        for (int64_t i = 0; is_class_target(y) && i < y->shape.dim[0]; i++) {
            ((int64_t *)y->data)[i] -= least;
        }
    }
    kata_log(arrays->context, KATA_LOG_INFO,
             "%s: the labels go from %" PRId64 " to %" PRId64
             ": %d classes, counted from 0 and named by their labels",
             arrays->path, least, most, classes->n);
    return KATA_OK;
}

static kata_status name_classes(kata_dataset *dataset, const struct classes *classes) {
    enum { NAME = 12 };
    if (dataset == NULL || classes->n == 0 || classes->first == 0) {
        return dataset == NULL || classes->n == 0
                   ? KATA_OK
                   : kata_dataset_set_classes(dataset, classes->n, NULL);
    }
    kata_context *context = dataset->context;
    char(*text)[NAME] = kata__alloc(context, (size_t)classes->n, sizeof *text);
    const char **names = kata__alloc(context, (size_t)classes->n, sizeof *names);
    kata_status status = text == NULL || names == NULL ? KATA_OUT_OF_MEMORY : KATA_OK;
    for (int i = 0; status == KATA_OK && i < classes->n; i++) {
        snprintf(text[i], NAME, "%d", (int)classes->first + i);
        names[i] = text[i];
    }
    if (status == KATA_OK) {
        status = kata_dataset_set_classes(dataset, classes->n, names);
    }
    kata__free(context, names);
    kata__free(context, text);
    return status;
}

/* ------------------------------------------------------------------ the data set */

/* The first `limit` samples of an array. */
static kata_status cut(kata_tensor *array, kata_context *context, int64_t limit) {
    if (limit <= 0 || limit >= array->shape.dim[0]) {
        return KATA_OK;
    }
    kata_tensor first;
    KATA__TRY(kata_tensor_slice(&first, array, 0, 0, limit, 1));
    return copy_to(array, context, array->dtype, &first, &first.shape);
}

static kata_status make_part(kata_data *data, kata__arrays *arrays, int part,
                             const struct classes *classes, const kata_data_options *options) {
    kata_dataset **out[KATA__PARTS] = {&data->train, &data->test, &data->validation};
    kata_tensor *array = arrays->array[part];
    bool alone = arrays->array[KATA__PART_TEST][0].dtype == KATA_NO_DTYPE &&
                 arrays->array[KATA__PART_VALIDATION][0].dtype == KATA_NO_DTYPE;
    for (int kind = 0; kind < 2; kind++) {
        KATA__TRY(cut(&array[kind], arrays->context,
                      part == KATA__PART_TRAIN ? options->limit_train : options->limit_test));
    }
    KATA__TRY(kata__dataset_of(out[part], arrays->context, arrays->path,
                               alone ? NULL : part_names[part], &array[0], &array[1]));
    return name_classes(*out[part], classes);
}

static kata_status make_parts(kata_data *data, kata__arrays *arrays,
                              const kata_data_options *options) {
    bool there[KATA__PARTS], moved = false;
    struct classes classes;
    for (int part = 0; part < KATA__PARTS; part++) {
        there[part] = arrays->array[part][0].dtype != KATA_NO_DTYPE;
        if (there[part]) {
            KATA__TRY(arrange_part(arrays, part, &moved));
        }
    }
    KATA__TRY(check_alike(arrays));
    KATA__TRY(find_classes(&classes, arrays));
    if (moved) {
        char text[KATA_SHAPE_TEXT_SIZE];
        kata_log(
            arrays->context, KATA_LOG_INFO,
            "%s: the pictures have their channels last; turned into (n,channels,height,width): "
            "%s",
            arrays->path, kata_shape_text(&arrays->array[KATA__PART_TRAIN][0].shape, text));
    }
    for (int part = 0; part < KATA__PARTS; part++) {
        if (there[part]) {
            KATA__TRY(make_part(data, arrays, part, &classes, options));
        }
    }
    return KATA_OK;
}

kata_status kata__arrays_open(kata_data *out, kata__arrays *arrays,
                              const kata_data_options *options) {
    kata_data data = {.train = NULL};
    kata_status status = make_parts(&data, arrays, options);
    if (status != KATA_OK) {
        kata_data_close(&data);
        return status;
    }
    *out = data;
    return KATA_OK;
}

void kata__arrays_free(kata__arrays *arrays) {
    for (int part = 0; part < KATA__PARTS; part++) {
        kata_tensor_release(&arrays->array[part][0]);
        kata_tensor_release(&arrays->array[part][1]);
    }
}
