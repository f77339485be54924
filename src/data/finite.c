/* Numbers that are none: the first NaN or infinity of a tensor of samples, named by its place. */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "data/data.h"
#include "kernel/elementwise.h"

/* What is out of float32's range becomes infinite in a batch. */
static bool is_number(double x) {
    return fabs(x) <= (double)FLT_MAX;
}

static int64_t first_bad(const kata_tensor *tensor) {
    const int64_t n = kata_tensor_count(tensor);
    int64_t i = 0;
    if (tensor->dtype == KATA_F64) {
        const double *x = tensor->data;
        while (i < n && is_number(x[i])) {
            i++;
        }
    } else {
        while (i < n && is_number(kata_load(tensor->dtype, tensor->data, i))) {
            i++;
        }
    }
    return i < n ? i : -1;
}

/* ", column 3" of a row of numbers, ", element (0,3,4)" of a sample of more axes. */
static void place_text(const kata_shape *shape, int64_t at, char text[KATA_SHAPE_TEXT_SIZE + 16]) {
    char index_text[KATA_SHAPE_TEXT_SIZE];
    text[0] = '\0';
    if (shape->rank == 2) {
        snprintf(text, KATA_SHAPE_TEXT_SIZE + 16, ", column %" PRId64, at);
    } else if (shape->rank > 2) {
        kata_shape index = {.rank = shape->rank - 1};
        for (int i = index.rank - 1; i >= 0; i--) {
            index.dim[i] = at % shape->dim[i + 1];
            at /= shape->dim[i + 1];
        }
        snprintf(text, KATA_SHAPE_TEXT_SIZE + 16, ", element %s",
                 kata_shape_text(&index, index_text));
    }
}

kata_status kata__check_finite(kata_context *context, const kata_tensor *tensor, const char *name,
                               const char *what, int number) {
    char place[KATA_SHAPE_TEXT_SIZE + 16];
    const int64_t n = kata_dtype_is_float(tensor->dtype) ? kata_tensor_count(tensor) : 0;
    if (n == 0 ||
        (tensor->dtype == KATA_F32 && kata__all_finite(context, KATA_F32, n, tensor->data))) {
        return KATA_OK;
    }
    const int64_t at = first_bad(tensor);
    if (at < 0) {
        return KATA_OK;
    }
    const int64_t width = tensor->shape.rank > 0 ? n / tensor->shape.dim[0] : 1;
    place_text(&tensor->shape, at % width, place);
    return kata_fail(KATA_NON_FINITE,
                     "%s: %s %d of sample %" PRId64 "%s is %g; all numbers must be finite in "
                     "float32: mend this number or leave the sample out",
                     name, what, number, at / width, place,
                     kata_load(tensor->dtype, tensor->data, at));
}

kata_status kata__dataset_check_finite(const kata_dataset *dataset) {
    for (int k = 0; k < dataset->n_inputs; k++) {
        KATA__TRY(
            kata__check_finite(dataset->context, &dataset->inputs[k], dataset->name, "input", k));
    }
    for (int k = 0; k < dataset->n_targets; k++) {
        KATA__TRY(
            kata__check_finite(dataset->context, &dataset->targets[k], dataset->name, "target", k));
    }
    return KATA_OK;
}
