/* Transfer learning: a network that reads digits is saved; its layers, loaded from the file, then
 * learn another task from few samples. First the new head alone (the rest frozen), then all of it
 * at a lower rate. The task: does the digit have a closed loop (0, 4, 6, 8, 9) or not? */
#include <stdio.h>
#include <stdlib.h>

#include <kata/kata.h>

static int fail(void) {
    fprintf(stderr, "transfer: %s\n", kata_error_message());
    return EXIT_FAILURE;
}

/* The layers that both tasks share have names that begin with "body"; the head is the task's. */
static kata_model *make_model(const char *name, int64_t classes) {
    kata_model *m = kata_model_new(name);
    kata_value x = kata_rescale(m, kata_input(m, KATA_F32, 1, 28, 28), .scale = 1 / 255.0);
    x = kata_conv2d(m, x, .filters = 16, .kernel = {5, 5}, .activation = KATA_RELU,
                    .name = "body_conv");
    x = kata_max_pool2d(m, x, .size = {2, 2});
    x = kata_dense(m, kata_flatten(m, x), .units = 50, .activation = KATA_RELU,
                   .name = "body_dense");
    kata_output(m, kata_dense(m, x, .units = classes, .name = "head"));
    return m;
}

/* The same pictures with another question. */
static kata_status relabel(kata_dataset **out, const kata_dataset *digits) {
    static const int64_t has_loop[10] = {1, 0, 0, 0, 1, 0, 1, 0, 1, 1};
    static const char *const names[] = {"open", "loop"};
    kata_tensor target;
    kata_status status =
        kata_tensor_new(&target, digits->context, KATA_I64, &KATA_SHAPE_OF(digits->n));
    if (status != KATA_OK) {
        return status;
    }
    for (int64_t i = 0; i < digits->n; i++) {
        ((int64_t *)target.data)[i] = has_loop[((const int64_t *)digits->targets[0].data)[i]];
    }
    if ((status = kata_dataset_new(out, digits->context, "loops")) == KATA_OK &&
        (status = kata_dataset_add_input(*out, &digits->inputs[0])) == KATA_OK &&
        (status = kata_dataset_add_target(*out, &target)) == KATA_OK) {
        status = kata_dataset_set_classes(*out, 2, names);
    }
    kata_tensor_release(&target);
    return status;
}

/* Trains a compiled model and prints its accuracy on the test set. */
static kata_status train(kata_model *m, const char *what, const kata_dataset *data,
                         const kata_dataset *test, int64_t epochs) {
    kata_evaluation e;
    kata_status status = kata_fit(m, data, .epochs = epochs, .batch = 20);
    if (status == KATA_OK && (status = kata_evaluate(m, test, &e)) == KATA_OK) {
        printf("%-44s %5.1f %%\n", what, 100 * kata_classification_accuracy(&e.classification));
        kata_evaluation_free(&e);
    }
    return status;
}

int main(void) {
    kata_context *context = kata_context_default();
    kata_data many, few;
    kata_dataset *loops, *test;
    if (kata_data_open(&many, context, "make:digits",
                       &(kata_data_options){.limit_train = 5000, .limit_test = 1000}) ||
        kata_data_open(&few, context, "make:digits",
                       &(kata_data_options){.limit_train = 100, .limit_test = 1, .seed = 7}) ||
        relabel(&loops, few.train) || relabel(&test, many.test)) {
        return fail();
    }
    kata_model *digits = make_model("digits", 10), *old;
    if (kata_compile(digits, .optimizer = kata_adam(.lr = 1e-3)) ||
        train(digits, "ten digits, 5000 samples:", many.train, many.test, 3) ||
        kata_save(digits, "transfer.onnx") || kata_model_load(&old, context, "transfer.onnx")) {
        return fail();
    }
    kata_model *scratch = make_model("scratch", 2);
    if (kata_compile(scratch, .optimizer = kata_adam(.lr = 1e-3)) ||
        train(scratch, "loop or not, 100 samples, from scratch:", loops, test, 30)) {
        return fail();
    }
    kata_model *m = make_model("loops", 2);
    if (kata_model_copy_weights(m, old, "body") != 4) { /* two layers, weight and bias each */
        return fail();
    }
    kata_model_freeze(m, "body", true);
    if (kata_compile(m, .optimizer = kata_adam(.lr = 1e-2)) ||
        train(m, "loop or not, 100 samples, new head alone:", loops, test, 30)) {
        return fail();
    }
    /* What is frozen is settled when a model is compiled. A trained model keeps its weights. */
    kata_model_freeze(m, "body", false);
    if (kata_compile(m, .optimizer = kata_adam(.lr = 3e-5)) ||
        train(m, "  then all layers at a low rate:", loops, test, 30)) {
        return fail();
    }
    kata_model_free(m);
    kata_model_free(scratch);
    kata_model_free(old);
    kata_model_free(digits);
    kata_dataset_free(loops);
    kata_dataset_free(test);
    kata_data_close(&few);
    kata_data_close(&many);
    return EXIT_SUCCESS;
}
