/* The main job in ten lines: a convolutional network learns handwritten digits and becomes a file
 * that any ONNX tool opens.
 *
 *     digits [DATA]      make:digits (drawn on the spot, the default) or a folder with idx files
 */
#include <stdio.h>
#include <stdlib.h>

#include <kata/kata.h>

/* Called after each step and each epoch; `row` is there at the end of an epoch. */
static void show(void *user, const kata_progress *progress) {
    (void)user;
    if (progress->row != NULL) {
        printf("epoch %d: loss %.4f, test accuracy %.1f %%\n", (int)progress->epoch,
               progress->row->loss, 100 * progress->row->val_accuracy);
    }
}

static int fail(void) {
    fprintf(stderr, "digits: %s\n", kata_error_message());
    return EXIT_FAILURE;
}

int main(int argc, char **argv) {
    const char *argument = argc > 1 ? argv[1] : "make:digits";
    const kata_data_options few = {.limit_train = 3000, .limit_test = 500};
    kata_data data;
    if (kata_data_open(&data, kata_context_default(), argument, &few) != KATA_OK) {
        return fail();
    }
    /* No line needs an `if`: a fault is kept, the lines after it do nothing, kata_compile reports
     * it. Pixels come as bytes; the factor is part of the model, so that the file takes raw ones.
     */
    kata_model *m = kata_model_new("digits");
    kata_value x = kata_input(m, KATA_F32, 1, 28, 28);
    x = kata_rescale(m, x, .scale = 1 / 255.0);
    x = kata_conv2d(m, x, .filters = 30, .kernel = {5, 5}, .activation = KATA_RELU);
    x = kata_max_pool2d(m, x, .size = {2, 2});
    x = kata_dense(m, kata_flatten(m, x), .units = 100, .activation = KATA_RELU);
    kata_output(m, kata_dense(m, x, .units = 10));
    if (kata_compile(m, .loss = KATA_SOFTMAX_CROSS_ENTROPY, .optimizer = kata_adam(.lr = 1e-3)) ||
        kata_fit(m, data.train, .epochs = 3, .batch = 100, .validation = data.test,
                 .callback = show) ||
        kata_save(m, "digits.onnx")) {
        return fail();
    }
    printf("saved digits.onnx\n");
    kata_model_free(m);
    kata_data_close(&data);
    return EXIT_SUCCESS;
}
