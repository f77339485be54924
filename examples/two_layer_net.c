/* The book's two-layer network (784-50-10) and its training loop (scratch-book-2, section 5.7.4):
 * draw a mini-batch of 100, take the gradient by back-propagation, step down it with learning rate
 * 0.1, and print both accuracies after each epoch.
 *
 *     two_layer_net [DATA]
 */
#include <stdio.h>
#include <stdlib.h>

#include <kata/kata.h>

static void show(void *user, const kata_progress *progress) {
    (void)user;
    const kata_history_row *row = progress->row;
    if (row != NULL) {
        printf("%5d  %.4f  %6.3f  %6.3f\n", (int)row->epoch, row->loss, row->accuracy,
               row->val_accuracy);
    }
}

static int fail(void) {
    fprintf(stderr, "two_layer_net: %s\n", kata_error_message());
    return EXIT_FAILURE;
}

int main(int argc, char **argv) {
    const char *argument = argc > 1 ? argv[1] : "make:digits";
    const kata_data_options few = {.limit_train = 5000, .limit_test = 1000};
    kata_data data;
    if (kata_data_open(&data, kata_context_default(), argument, &few) != KATA_OK) {
        return fail();
    }
    /* weight_init_std = 0.01; biases begin at 0. */
    const kata_initializer small = {KATA_INIT_NORMAL, 0.01};
    kata_model *m = kata_model_new("two-layer");
    kata_value x = kata_rescale(m, kata_input(m, KATA_F32, 1, 28, 28), .scale = 1 / 255.0);
    x = kata_dense(m, kata_flatten(m, x), .units = 50, .activation = KATA_RELU,
                   .initializer = small, .name = "affine1");
    x = kata_dense(m, x, .units = 10, .initializer = small, .name = "affine2");
    kata_output(m, x);

    printf("epoch    loss   train    test\n");
    if (kata_compile(m, .loss = KATA_SOFTMAX_CROSS_ENTROPY, .optimizer = kata_sgd(.lr = 0.1)) ||
        kata_fit(m, data.train, .epochs = 20, .batch = 100, .validation = data.test,
                 .callback = show)) {
        return fail();
    }
    printf("%d parameters, weights %016llx\n", (int)kata_graph_n_parameters(kata_model_graph(m)),
           (unsigned long long)kata_model_hash(m));
    kata_model_free(m);
    kata_data_close(&data);
    return EXIT_SUCCESS;
}
