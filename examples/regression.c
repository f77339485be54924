/* Numbers instead of classes: a small network learns y = x^3 on [-2, 2] from 200 noisy samples. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <kata/kata.h>

enum { SAMPLES = 200 };
static float xs[SAMPLES], ys[SAMPLES];

static int fail(void) {
    fprintf(stderr, "regression: %s\n", kata_error_message());
    return EXIT_FAILURE;
}

int main(void) {
    for (int i = 0; i < SAMPLES; i++) {
        float x = 4 * kata_random_uniform(1, 0, 0, (uint64_t)i) - 2;
        xs[i] = x;
        ys[i] = x * x * x + 0.1F * (float)kata_random_normal(1, 1, 0, (uint64_t)i);
    }
    kata_tensor x = kata_tensor_view(xs, KATA_F32, &KATA_SHAPE_OF(SAMPLES, 1));
    kata_tensor y = kata_tensor_view(ys, KATA_F32, &KATA_SHAPE_OF(SAMPLES, 1));
    kata_dataset *cubes;
    if (kata_dataset_new(&cubes, kata_context_default(), "cubes") ||
        kata_dataset_add_input(cubes, &x) || kata_dataset_add_target(cubes, &y)) {
        return fail();
    }
    kata_model *m = kata_model_new("cubes");
    kata_value v = kata_input(m, KATA_F32, 1);
    v = kata_dense(m, v, .units = 32, .activation = KATA_TANH);
    v = kata_dense(m, v, .units = 32, .activation = KATA_TANH);
    kata_output(m, kata_dense(m, v, .units = 1));

    /* A quarter is set aside; training ends when it has not improved for 60 epochs, and the weights
     * of its best epoch stay. */
    kata_evaluation e;
    if (kata_compile(m, .loss = KATA_MEAN_SQUARED_ERROR, .optimizer = kata_adam(.lr = 5e-3)) ||
        kata_fit(m, cubes, .epochs = 600, .batch = 25, .validation_split = 0.25,
                 .early_stopping = {.patience = 60}) ||
        kata_evaluate(m, cubes, &e)) {
        return fail();
    }
    printf("R^2 %.4f, mean absolute error %.3f (the noise alone makes 0.080)\n",
           kata_regression_r2(&e.regression), kata_regression_mean_absolute_error(&e.regression));

    float points[] = {-1.5F, -1, -0.5F, 0, 0.5F, 1, 1.5F}, answers[7];
    kata_tensor in = kata_tensor_view(points, KATA_F32, &KATA_SHAPE_OF(7, 1));
    kata_tensor out = kata_tensor_view(answers, KATA_F32, &KATA_SHAPE_OF(7, 1));
    if (kata_predict(m, &in, &out) != KATA_OK) {
        return fail();
    }
    printf("    x     x^3  network\n");
    for (int i = 0; i < 7; i++) {
        printf("%5.1f  %6.3f  %7.3f\n", points[i], powf(points[i], 3), answers[i]);
    }
    kata_evaluation_free(&e);
    kata_model_free(m);
    kata_dataset_free(cubes);
    return EXIT_SUCCESS;
}
