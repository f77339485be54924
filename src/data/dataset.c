/* A data set in memory: tensors whose first axis is the sample, with names of the classes. */
#include "base/check.h"
#include "base/memory.h"
#include "data/load.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

kata_status kata_dataset_new(kata_dataset **out, kata_context *context, const char *name) {
    if (context == NULL) {
        return kata_fail(KATA_INVALID, "kata_dataset_new: a data set needs a context (it is NULL)");
    }
    kata_dataset *dataset = kata__alloc_zero(context, 1, sizeof *dataset);
    if (dataset == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    dataset->context = context;
    dataset->name = kata__strdup(context, name == NULL ? "data" : name);
    if (dataset->name == NULL) {
        kata__free(context, dataset);
        return KATA_OUT_OF_MEMORY;
    }
    *out = dataset;
    return KATA_OK;
}

void kata__dataset_clear_classes(kata_dataset *dataset) {
    if (dataset->class_names != NULL) {
        for (int i = 0; i < dataset->n_classes; i++) {
            kata__free(dataset->context, dataset->class_names[i]);
        }
    }
    kata__free(dataset->context, dataset->class_names);
    dataset->class_names = NULL;
    dataset->n_classes = 0;
}

void kata_dataset_free(kata_dataset *dataset) {
    if (dataset == NULL) {
        return;
    }
    for (int k = 0; k < dataset->n_inputs; k++) {
        kata_tensor_release(&dataset->inputs[k]);
    }
    for (int k = 0; k < dataset->n_targets; k++) {
        kata_tensor_release(&dataset->targets[k]);
    }
    kata_tensor_release(&dataset->weights);
    kata__dataset_clear_classes(dataset);
    kata__free(dataset->context, dataset->name);
    kata__free(dataset->context, dataset);
}

static bool is_class_target(const kata_tensor *tensor) {
    return tensor->dtype == KATA_I64 && tensor->shape.rank == 1;
}

/* A label outside 0..n_classes-1 would index past the end of a softmax row much later. */
static kata_status check_labels(const char *name, const kata_tensor *target, int n_classes) {
    int64_t n = target->shape.dim[0];
    for (int64_t i = 0; i < n; i++) {
        int64_t at[1] = {i};
        int64_t label = (int64_t)kata_tensor_get(target, at);
        if (label < 0 || label >= n_classes) {
            return kata_fail(KATA_INVALID,
                             "%s: sample %" PRId64 " has the label %" PRId64
                             ", but with %d classes a label is 0 to %d; correct the labels or the "
                             "number of classes",
                             name, i, label, n_classes, n_classes - 1);
        }
    }
    return KATA_OK;
}

static bool is_empty(const kata_dataset *dataset) {
    return dataset->n_inputs == 0 && dataset->n_targets == 0 &&
           dataset->weights.dtype == KATA_NO_DTYPE;
}

static kata_status check_first_size(const kata_dataset *dataset, const kata_tensor *tensor,
                                    const char *what, int number) {
    char text[KATA_SHAPE_TEXT_SIZE];
    if (tensor->dtype == KATA_NO_DTYPE) {
        return kata_fail(KATA_INVALID, "%s: %s %d is an empty tensor without a dtype",
                         dataset->name, what, number);
    }
    if (tensor->shape.rank < 1) {
        return kata_fail(KATA_SHAPE,
                         "%s: %s %d has the shape (), but its first axis must be the sample",
                         dataset->name, what, number);
    }
    if (!is_empty(dataset) && tensor->shape.dim[0] != dataset->n) {
        return kata_fail(KATA_SHAPE,
                         "%s: %s %d has the shape %s, but the data set has %" PRId64
                         " samples; the first size must be %" PRId64,
                         dataset->name, what, number, kata_shape_text(&tensor->shape, text),
                         dataset->n, dataset->n);
    }
    return KATA_OK;
}

static kata_status check_room(const kata_dataset *dataset, const char *what, int number) {
    return number < KATA_DATASET_TENSORS
               ? KATA_OK
               : kata_fail(KATA_LIMIT, "%s: a data set has at most %d %ss", dataset->name,
                           KATA_DATASET_TENSORS, what);
}

static kata_status copy_of(kata_tensor *out, const kata_dataset *dataset, kata_dtype dtype,
                           const kata_tensor *tensor) {
    kata_tensor copy;
    KATA__TRY(kata_tensor_new(&copy, dataset->context, dtype, &tensor->shape));
    kata_status status = kata_tensor_copy(&copy, tensor);
    if (status != KATA_OK) {
        kata_tensor_release(&copy);
        return status;
    }
    *out = copy;
    return KATA_OK;
}

static kata_status check_input(const kata_dataset *dataset, const kata_tensor *tensor) {
    KATA__TRY(check_room(dataset, "input", dataset->n_inputs));
    return check_first_size(dataset, tensor, "input", dataset->n_inputs);
}

static kata_status check_target(const kata_dataset *dataset, const kata_tensor *tensor) {
    KATA__TRY(check_room(dataset, "target", dataset->n_targets));
    KATA__TRY(check_first_size(dataset, tensor, "target", dataset->n_targets));
    if (dataset->n_targets == 0 && dataset->n_classes > 0 && is_class_target(tensor)) {
        return check_labels(dataset->name, tensor, dataset->n_classes);
    }
    return KATA_OK;
}

static void put_input(kata_dataset *dataset, const kata_tensor *tensor) {
    dataset->inputs[dataset->n_inputs++] = *tensor;
    dataset->n = tensor->shape.dim[0];
}

static void put_target(kata_dataset *dataset, const kata_tensor *tensor) {
    dataset->targets[dataset->n_targets++] = *tensor;
    dataset->n = tensor->shape.dim[0];
}

kata_status kata_dataset_add_input(kata_dataset *dataset, const kata_tensor *tensor) {
    kata_tensor copy;
    KATA__TRY(check_input(dataset, tensor));
    KATA__TRY(copy_of(&copy, dataset, tensor->dtype, tensor));
    put_input(dataset, &copy);
    return KATA_OK;
}

kata_status kata_dataset_add_target(kata_dataset *dataset, const kata_tensor *tensor) {
    kata_tensor copy;
    KATA__TRY(check_target(dataset, tensor));
    KATA__TRY(copy_of(&copy, dataset, tensor->dtype, tensor));
    put_target(dataset, &copy);
    return KATA_OK;
}

kata_status kata__dataset_adopt_input(kata_dataset *dataset, kata_tensor *tensor) {
    KATA__TRY(check_input(dataset, tensor));
    put_input(dataset, tensor);
    *tensor = (kata_tensor){.dtype = KATA_NO_DTYPE};
    return KATA_OK;
}

kata_status kata__dataset_adopt_target(kata_dataset *dataset, kata_tensor *tensor) {
    KATA__TRY(check_target(dataset, tensor));
    put_target(dataset, tensor);
    *tensor = (kata_tensor){.dtype = KATA_NO_DTYPE};
    return KATA_OK;
}

kata_status kata_dataset_set_weights(kata_dataset *dataset, const kata_tensor *weights) {
    char text[KATA_SHAPE_TEXT_SIZE];
    if (!kata_dtype_is_float(weights->dtype)) {
        return kata_fail(KATA_DTYPE, "%s: sample weights are %s, expected float32", dataset->name,
                         kata_dtype_name(weights->dtype));
    }
    if (weights->shape.rank != 1) {
        return kata_fail(KATA_SHAPE,
                         "%s: sample weights have the shape %s, expected one number a sample",
                         dataset->name, kata_shape_text(&weights->shape, text));
    }
    if ((dataset->n_inputs > 0 || dataset->n_targets > 0) && weights->shape.dim[0] != dataset->n) {
        return kata_fail(
            KATA_SHAPE, "%s: %" PRId64 " sample weights for %" PRId64 " samples; give one a sample",
            dataset->name, weights->shape.dim[0], dataset->n);
    }
    for (int64_t i = 0; i < weights->shape.dim[0]; i++) {
        double weight = kata_tensor_get(weights, &i);
        if (!(weight >= 0 && weight <= 3.4e38)) {
            return kata_fail(KATA_INVALID,
                             "%s: sample %" PRId64
                             " has the weight %g; a weight is finite and not negative",
                             dataset->name, i, weight);
        }
    }
    kata_tensor copy;
    KATA__TRY(copy_of(&copy, dataset, KATA_F32, weights));
    kata_tensor_release(&dataset->weights);
    dataset->weights = copy;
    dataset->n = copy.shape.dim[0];
    return KATA_OK;
}

kata_status kata_dataset_set_classes(kata_dataset *dataset, int n_classes,
                                     const char *const *names) {
    if (n_classes < 1 || n_classes > KATA__CLASSES_MOST) {
        return kata_fail(KATA_INVALID, "%s: %d classes; there must be 1 to %d", dataset->name,
                         n_classes, KATA__CLASSES_MOST);
    }
    if (dataset->n_targets > 0 && is_class_target(&dataset->targets[0])) {
        KATA__TRY(check_labels(dataset->name, &dataset->targets[0], n_classes));
    }
    char **copies = kata__alloc_zero(dataset->context, (size_t)n_classes, sizeof *copies);
    if (copies == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    for (int i = 0; i < n_classes; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        copies[i] = kata__strdup(dataset->context, names == NULL ? number : names[i]);
        if (copies[i] == NULL) {
            while (i-- > 0) {
                kata__free(dataset->context, copies[i]);
            }
            kata__free(dataset->context, copies);
            return KATA_OUT_OF_MEMORY;
        }
    }
    kata__dataset_clear_classes(dataset);
    dataset->class_names = copies;
    dataset->n_classes = n_classes;
    return KATA_OK;
}

kata_status kata__dataset_of(kata_dataset **out, kata_context *context, const char *argument,
                             const char *part, kata_tensor *input, kata_tensor *target) {
    kata_dataset *dataset;
    size_t size = strlen(argument) + 32;
    char *name = kata__alloc(context, size, 1);
    if (name == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    snprintf(name, size, part == NULL ? "%s" : "%s (%.20s)", argument, part);
    kata_status status = kata_dataset_new(&dataset, context, name);
    kata__free(context, name);
    KATA__TRY(status);
    status = kata__dataset_adopt_input(dataset, input);
    if (status == KATA_OK) {
        status = kata__dataset_adopt_target(dataset, target);
    }
    if (status != KATA_OK) {
        kata_dataset_free(dataset);
        return status;
    }
    *out = dataset;
    return KATA_OK;
}

/* The rows index[0..n) of `from`, a contiguous tensor. */
static kata_status take_rows(kata_tensor *out, kata_context *context, const kata_tensor *from,
                             const int64_t *index, int64_t n) {
    kata_shape shape = from->shape;
    shape.dim[0] = n;
    KATA__TRY(kata_tensor_new(out, context, from->dtype, &shape));
    size_t row = from->shape.dim[0] > 0 ? kata_tensor_bytes(from) / (size_t)from->shape.dim[0] : 0;
    if (row > 0) {
        char *to = out->data;
        for (int64_t i = 0; i < n; i++) {
            memcpy(to + (size_t)i * row, (const char *)from->data + (size_t)index[i] * row, row);
        }
    }
    return KATA_OK;
}

static kata_status take_into(kata_dataset *taken, const kata_dataset *dataset, const int64_t *index,
                             int64_t n) {
    kata_context *context = dataset->context;
    taken->n = n;
    for (int k = 0; k < dataset->n_inputs; k++) {
        KATA__TRY(take_rows(&taken->inputs[k], context, &dataset->inputs[k], index, n));
        taken->n_inputs++;
    }
    for (int k = 0; k < dataset->n_targets; k++) {
        KATA__TRY(take_rows(&taken->targets[k], context, &dataset->targets[k], index, n));
        taken->n_targets++;
    }
    if (dataset->weights.dtype != KATA_NO_DTYPE) {
        KATA__TRY(take_rows(&taken->weights, context, &dataset->weights, index, n));
    }
    if (dataset->n_classes > 0) {
        KATA__TRY(kata_dataset_set_classes(taken, dataset->n_classes,
                                           (const char *const *)dataset->class_names));
    }
    return KATA_OK;
}

kata_status kata_dataset_take(kata_dataset **out, const kata_dataset *dataset, const int64_t *index,
                              int64_t n) {
    if (n < 0) {
        return kata_fail(KATA_INVALID, "%s: cannot take %" PRId64 " samples", dataset->name, n);
    }
    for (int64_t i = 0; i < n; i++) {
        if (index[i] < 0 || index[i] >= dataset->n) {
            return kata_fail(KATA_INVALID,
                             "%s: cannot take sample %" PRId64 ": there are %" PRId64
                             " samples, counted from 0",
                             dataset->name, index[i], dataset->n);
        }
    }
    kata_dataset *taken;
    KATA__TRY(kata_dataset_new(&taken, dataset->context, dataset->name));
    kata_status status = take_into(taken, dataset, index, n);
    if (status != KATA_OK) {
        kata_dataset_free(taken);
        return status;
    }
    *out = taken;
    return KATA_OK;
}
