/* Generated sets: make:digits. Training sample i is drawing i of the seed, test sample i is drawing
 * 2^63 + i of the same seed: whatever the sizes and the seed, no drawing is in both. */
#include "base/check.h"
#include "base/parallel.h"
#include "data/digits.h"
#include "data/load.h"

#include <inttypes.h>
#include <string.h>

enum { SIDE = KATA__DIGITS_SIDE, DIGITS_TRAIN = 60000, DIGITS_TEST = 10000, CHUNK = 64 };

struct job {
    uint64_t seed, first;
    int64_t n;
    uint8_t *images;
    int64_t *labels;
};

static void draw_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const struct job *job = argument;
    for (int64_t i = chunk * CHUNK; i < job->n && i < (chunk + 1) * CHUNK; i++) {
        job->labels[i] = kata__digits_draw(job->seed, job->first + (uint64_t)i,
                                           job->images + (size_t)i * SIDE * SIDE);
    }
}

static kata_status draw_digits(kata_dataset **out, kata_context *context, const char *argument,
                               const char *part, uint64_t seed, uint64_t first, int64_t n) {
    kata_tensor images = {.dtype = KATA_NO_DTYPE}, labels = {.dtype = KATA_NO_DTYPE};
    kata_shape shape = KATA_SHAPE_OF(n, 1, SIDE, SIDE), flat = KATA_SHAPE_OF(n);
    kata_dataset *dataset = NULL;
    kata_status status = kata_tensor_new(&images, context, KATA_U8, &shape);
    if (status == KATA_OK) {
        status = kata_tensor_new(&labels, context, KATA_I64, &flat);
    }
    if (status == KATA_OK) {
        struct job job = {seed, first, n, images.data, labels.data};
        kata__parallel(context, (n + CHUNK - 1) / CHUNK, draw_chunk, &job);
        status = kata__dataset_of(&dataset, context, argument, part, &images, &labels);
    }
    if (status == KATA_OK) {
        status = kata_dataset_set_classes(dataset, 10, NULL);
    }
    kata_tensor_release(&images);
    kata_tensor_release(&labels);
    if (status != KATA_OK) {
        kata_dataset_free(dataset);
        return kata_fail_in(status, "%s", argument);
    }
    *out = dataset;
    return KATA_OK;
}

kata_status kata__made_open(kata_data *out, kata_context *context, const char *argument,
                            const kata_data_options *options) {
    if (strcmp(argument, "make:digits") != 0) {
        return kata_fail(KATA_NOT_FOUND,
                         "%s: there is no generator of this name; the one there is is make:digits",
                         argument);
    }
    kata_data data = {.train = NULL};
    int64_t n_train = options->limit_train > 0 ? options->limit_train : DIGITS_TRAIN;
    int64_t n_test = options->limit_test > 0 ? options->limit_test : DIGITS_TEST;
    KATA__TRY(draw_digits(&data.train, context, argument, "train", options->seed, 0, n_train));
    kata_status status = draw_digits(&data.test, context, argument, "test", options->seed,
                                     (uint64_t)1 << 63, n_test);
    if (status != KATA_OK) {
        kata_data_close(&data);
        return status;
    }
    *out = data;
    return KATA_OK;
}
