/* A trained model in another program: load the .onnx file, ask it, print the probabilities. libkata
 * alone (libc, libm, pthread) is enough for this.
 *
 *     predict MODEL.onnx [INPUT.npy]
 *
 * Without INPUT.npy a digit is drawn and shown. examples/digits.c makes such a model. */
#include <stdio.h>
#include <stdlib.h>

#include <kata/kata.h>

static int fail(void) {
    fprintf(stderr, "predict: %s\n", kata_error_message());
    return EXIT_FAILURE;
}

static void show_picture(const uint8_t *pixels) {
    for (int y = 0; y < 28; y += 2) { /* a character is about twice as high as wide */
        for (int x = 0; x < 28; x++) {
            int mean = (pixels[y * 28 + x] + pixels[(y + 1) * 28 + x]) / 2;
            putchar(" .:+#@"[mean * 6 / 256]);
        }
        putchar('\n');
    }
}

/* One sample (1,1,28,28), the test digit number 4 of the generator. */
static kata_status draw_digit(kata_tensor *out, kata_context *context) {
    const kata_data_options options = {.limit_train = 1, .limit_test = 5};
    kata_data data;
    kata_status status = kata_data_open(&data, context, "make:digits", &options);
    if (status != KATA_OK) {
        return status;
    }
    kata_tensor one;
    status = kata_tensor_slice(&one, &data.test->inputs[0], 0, 4, 5, 1);
    if (status == KATA_OK && (status = kata_tensor_new(out, context, KATA_U8, &one.shape)) == 0) {
        status = kata_tensor_copy(out, &one);
        show_picture(out->data);
    }
    kata_data_close(&data);
    return status;
}

int main(int argc, char **argv) {
    kata_context *context = kata_context_default();
    kata_model *model;
    kata_tensor input, output;
    if (argc < 2) {
        fprintf(stderr, "usage: predict MODEL.onnx [INPUT.npy]\n");
        return 2;
    }
    if (kata_model_load(&model, context, argv[1]) != KATA_OK) {
        return fail();
    }
    kata_status status =
        argc > 2 ? kata_npy_read(&input, context, argv[2]) : draw_digit(&input, context);
    if (status != KATA_OK) {
        return fail();
    }
    /* Output 0 of a classifier that Kata trained is its probabilities, (n, classes). */
    kata_graph *graph = kata_model_graph(model);
    kata_shape shape = kata_value_shape(graph, kata_graph_output_at(graph, 0));
    shape.dim[0] = input.shape.dim[0];
    if (kata_tensor_new(&output, context, KATA_F32, &shape) != KATA_OK ||
        kata_predict(model, &input, &output) != KATA_OK) {
        return fail();
    }
    const float *p = output.data;
    int64_t n = shape.dim[0], classes = kata_tensor_count(&output) / (n > 0 ? n : 1);
    for (int64_t i = 0; i < n; i++, p += classes) {
        int best = 0;
        for (int k = 0; k < classes; k++) {
            printf("%d %.4f%s", k, p[k], k + 1 < classes ? "  " : "\n");
            best = p[k] > p[best] ? k : best;
        }
        printf("class %d\n", best);
    }
    kata_tensor_release(&output);
    kata_tensor_release(&input);
    kata_model_free(model);
    return EXIT_SUCCESS;
}
