/* What the numbers of a target mean: classes or quantities. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "data/load.h"

static bool is_single(const kata_dataset *dataset) {
    return dataset->n_targets > 0 && dataset->n > 0 &&
           kata_tensor_count(&dataset->targets[0]) == dataset->n;
}

int kata_dataset_count_classes(const kata_dataset *dataset) {
    if (dataset == NULL || !is_single(dataset)) {
        return 0;
    }
    const kata_tensor *target = &dataset->targets[0];
    double greatest = 0;
    for (int64_t i = 0; i < dataset->n; i++) {
        double x = kata_load(target->dtype, target->data, i);
        if (!(x >= 0 && x < KATA__CLASSES_MOST && x == floor(x))) {
            return 0;
        }
        greatest = fmax(greatest, x);
    }
    return (int)greatest + 1;
}

/* Puts a copy of another dtype and shape in the place of the first target. */
static kata_status convert(kata_dataset *dataset, kata_dtype dtype, const kata_shape *shape) {
    kata_tensor *target = &dataset->targets[0], copy;
    KATA__TRY(kata_tensor_new(&copy, dataset->context, dtype, shape));
    const kata_tensor same = kata_tensor_view(copy.data, dtype, &target->shape);
    const kata_status status = kata_tensor_copy(&same, target);
    if (status != KATA_OK) {
        kata_tensor_release(&copy);
        return status;
    }
    kata_tensor_release(target);
    *target = copy;
    return KATA_OK;
}

kata_status kata_dataset_targets_as_classes(kata_dataset *dataset, int n_classes) {
    const int n = kata_dataset_count_classes(dataset);
    if (n == 0) {
        return kata_fail(KATA_INVALID,
                         "%s: the targets are no classes: a class is one whole number a sample, 0 "
                         "to %d; for numbers take a loss such as mean-squared-error",
                         dataset->name, KATA__CLASSES_MOST - 1);
    }
    if (dataset->targets[0].dtype != KATA_I64 || dataset->targets[0].shape.rank != 1) {
        KATA__TRY(convert(dataset, KATA_I64, &KATA_SHAPE_OF(dataset->n)));
    }
    if (dataset->n_classes > 0 && n_classes <= dataset->n_classes) {
        return KATA_OK;
    }
    return kata_dataset_set_classes(dataset, n_classes > n ? n_classes : n, NULL);
}

/* The labels as they were: the loader counts labels that begin at 5 from 0 and names the classes
 * "5", "6", ... */
static void undo_label_offset(kata_dataset *dataset) {
    kata_tensor *target = &dataset->targets[0];
    char text[24];
    long first = dataset->n_classes > 0 && target->dtype == KATA_I64
                     ? strtol(dataset->class_names[0], NULL, 10)
                     : 0;
    for (int c = 0; first > 0 && c < dataset->n_classes; c++) {
        snprintf(text, sizeof text, "%ld", first + c);
        first = strcmp(dataset->class_names[c], text) == 0 ? first : 0;
    }
    for (int64_t i = 0; first > 0 && i < kata_tensor_count(target); i++) {
        ((int64_t *)target->data)[i] += first;
    }
}

kata_status kata_dataset_targets_as_numbers(kata_dataset *dataset) {
    if (dataset->n_targets > 0) {
        undo_label_offset(dataset);
    }
    if (dataset->n_targets > 0 && !kata_dtype_is_float(dataset->targets[0].dtype)) {
        kata_shape shape = dataset->targets[0].shape;
        if (shape.rank == 1) {
            shape = KATA_SHAPE_OF(dataset->n, 1);
        }
        KATA__TRY(convert(dataset, KATA_F32, &shape));
    }
    kata__dataset_clear_classes(dataset);
    return KATA_OK;
}
