/* Several labels at once: each answer of the network is a yes or no of its own (sigmoid), not one
 * class of many (softmax). Points of the plane are "left", "upper" and "inner", any number of them
 * together; "inner" is rare, so its errors weigh more. */
#include <stdio.h>
#include <stdlib.h>

#include <kata/kata.h>

enum { LEFT, UPPER, INNER, LABELS, SAMPLES = 2000 };
static const char *const names[LABELS] = {"left", "upper", "inner"};
static float points[SAMPLES][2], labels[SAMPLES][LABELS];

static int fail(void) {
    fprintf(stderr, "multi_label: %s\n", kata_error_message());
    return EXIT_FAILURE;
}

int main(void) {
    for (int i = 0; i < SAMPLES; i++) {
        float x = 2 * kata_random_uniform(1, 0, 0, (uint64_t)i) - 1;
        float y = 2 * kata_random_uniform(1, 1, 0, (uint64_t)i) - 1;
        points[i][0] = x, points[i][1] = y;
        labels[i][LEFT] = x < 0;
        labels[i][UPPER] = y > 0;
        labels[i][INNER] = x * x + y * y < 0.16F;
    }
    kata_tensor inputs = kata_tensor_view(points, KATA_F32, &KATA_SHAPE_OF(SAMPLES, 2));
    kata_tensor targets = kata_tensor_view(labels, KATA_F32, &KATA_SHAPE_OF(SAMPLES, LABELS));
    kata_dataset *all, *train, *test;
    if (kata_dataset_new(&all, kata_context_default(), "points") ||
        kata_dataset_add_input(all, &inputs) || kata_dataset_add_target(all, &targets) ||
        kata_dataset_split(&train, &test, all, 0.25, 1, false)) {
        return fail();
    }
    kata_model *m = kata_model_new("labels");
    kata_value v = kata_dense(m, kata_input(m, KATA_F32, 2), .units = 24, .activation = KATA_RELU);
    kata_output(m, kata_dense(m, v, .units = LABELS));
    const float weights[LABELS] = {1, 1, 3};
    kata_evaluation e;
    if (kata_model_set_labels(m, names, LABELS) ||
        kata_compile(m, .loss = KATA_SIGMOID_CROSS_ENTROPY, .optimizer = kata_adam(.lr = 1e-2),
                     .class_weights = weights, .n_class_weights = LABELS) ||
        kata_fit(m, train, .epochs = 60, .batch = 50) || kata_evaluate(m, test, &e)) {
        return fail();
    }
    printf("label  precision  recall     F1  samples\n");
    for (int i = 0; i < LABELS; i++) {
        kata_class_scores s = kata_multi_label_label(&e.multi_label, i);
        printf("%-5s  %9.3f  %6.3f  %5.3f  %7d\n", names[i], s.precision, s.recall, s.f1,
               (int)s.support);
    }
    printf("micro F1 %.3f, macro F1 %.3f, all labels right %.1f %%\n",
           kata_multi_label_micro(&e.multi_label).f1, kata_multi_label_macro(&e.multi_label).f1,
           100 * kata_multi_label_exact(&e.multi_label));

    float point[2] = {-0.2F, 0.1F}, answer[LABELS];
    kata_tensor in = kata_tensor_view(point, KATA_F32, &KATA_SHAPE_OF(1, 2));
    kata_tensor out = kata_tensor_view(answer, KATA_F32, &KATA_SHAPE_OF(1, LABELS));
    if (kata_predict(m, &in, &out) != KATA_OK) {
        return fail();
    }
    printf("(%.1f, %.1f):", point[0], point[1]);
    for (int i = 0; i < LABELS; i++) {
        printf(" %s %.2f", names[i], answer[i]);
    }
    printf("\n");
    kata_evaluation_free(&e);
    kata_model_free(m);
    kata_dataset_free(train);
    kata_dataset_free(test);
    kata_dataset_free(all);
    return EXIT_SUCCESS;
}
