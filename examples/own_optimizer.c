/* An optimiser of one's own: a row whose `build` adds the nodes of one step. Here: Lion (Chen et
 * al. 2023), which moves every weight by the learning rate, up or down:
 *
 *     c = beta1 m + (1 - beta1) g,   w -= lr (sign(c) + weight_decay w),   m = beta2 m + (1 -
 * beta2) g
 *
 * Its three steps on one weight are compared with these formulas first; then it learns digits. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <kata/kata.h>

static kata_value mixed(kata_graph *g, kata_value a, kata_value b, double share) {
    a = KATA_NODE(g, "Mul", KATA_INPUTS(a, kata_graph_scalar(g, KATA_F32, share)));
    b = KATA_NODE(g, "Mul", KATA_INPUTS(b, kata_graph_scalar(g, KATA_F32, 1 - share)));
    return KATA_NODE(g, "Add", KATA_INPUTS(a, b));
}

static kata_value build(kata_update *u) {
    kata_graph *g = u->graph;
    const double beta1 = u->numbers[0], beta2 = u->numbers[1];
    kata_value m = u->states[0];
    kata_value step = KATA_NODE(g, "Sign", KATA_INPUTS(mixed(g, m, u->gradient, beta1)));
    if (u->weight_decay > 0) {
        kata_value decay = kata_graph_scalar(g, KATA_F32, u->weight_decay);
        decay = KATA_NODE(g, "Mul", KATA_INPUTS(u->weight, decay));
        step = KATA_NODE(g, "Add", KATA_INPUTS(step, decay));
    }
    u->new_states[0] = mixed(g, m, u->gradient, beta2);
    step = KATA_NODE(g, "Mul", KATA_INPUTS(step, u->lr));
    return KATA_NODE(g, "Sub", KATA_INPUTS(u->weight, step));
}

static const kata_number_spec numbers[] = {
    {"beta1", 0.9, 0, 1, "how much of the mean the step takes"},
    {"beta2", 0.99, 0, 1, "how much of the mean is kept"},
    {.name = NULL},
};

static const kata_optimizer_rule lion = {
    .size = sizeof(kata_optimizer_rule),
    .name = "lion",
    .lr = 1e-4,
    .n_states = 1,
    .numbers = numbers,
    .build = build,
    .doc = "the sign of a mean of gradients (Chen et al. 2023)",
};

static int fail(void) {
    fprintf(stderr, "own_optimizer: %s\n", kata_error_message());
    return EXIT_FAILURE;
}

/* y = w x for x = 2, t = 1 from w = 0.3: the loss is (y - t)^2. */
static double three_steps(void) {
    enum { STEPS = 3 };
    const double lr = 0.1, decay = 0.5;
    double w = 0.3, m = 0;
    for (int i = 0; i < STEPS; i++) {
        const double gradient = 2 * (2 * w - 1) * 2, c = 0.9 * m + 0.1 * gradient;
        w -= lr * ((c > 0) - (c < 0) + decay * w);
        m = 0.99 * m + 0.01 * gradient;
    }
    kata_dataset *data = NULL;
    float x = 2, t = 1;
    const kata_tensor input = kata_tensor_view(&x, KATA_F32, &KATA_SHAPE_OF(1, 1));
    const kata_tensor target = kata_tensor_view(&t, KATA_F32, &KATA_SHAPE_OF(1, 1));
    kata_model *model = kata_model_new("line");
    kata_output(model, kata_dense(model, kata_input(model, KATA_F32, 1), .units = 1,
                                  .no_bias = true, .initializer = {KATA_INIT_CONSTANT, 0.3}));
    double difference = 1;
    if (kata_dataset_new(&data, kata_context_default(), "one") == KATA_OK &&
        kata_dataset_add_input(data, &input) == KATA_OK &&
        kata_dataset_add_target(data, &target) == KATA_OK &&
        kata_compile(model, .loss = KATA_MEAN_SQUARED_ERROR,
                     .optimizer = {.rule = &lion, .lr = lr, .weight_decay = decay}) == KATA_OK &&
        kata_fit(model, data, .epochs = STEPS) == KATA_OK) {
        const kata_variable *weight = kata_graph_variable_at(kata_model_graph(model), 0);
        difference = fabs((double)*(const float *)weight->tensor.data - w);
    }
    kata_dataset_free(data);
    kata_model_free(model);
    return difference;
}

int main(int argc, char **argv) {
    const char *argument = argc > 1 ? argv[1] : "make:digits";
    const kata_data_options few = {.limit_train = 3000, .limit_test = 500};
    kata_data data;
    if (three_steps() > 1e-6) {
        return fail();
    }
    printf("three steps are those of the formulas\n");
    if (kata_data_open(&data, kata_context_default(), argument, &few) != KATA_OK) {
        return fail();
    }
    kata_model *m = kata_model_new("digits");
    kata_value x = kata_rescale(m, kata_input(m, KATA_F32, 1, 28, 28), .scale = 1 / 255.0);
    x = kata_dense(m, kata_flatten(m, x), .units = 100, .activation = KATA_RELU);
    kata_output(m, kata_dense(m, x, .units = 10));
    kata_evaluation e;
    if (kata_compile(m, .loss = KATA_SOFTMAX_CROSS_ENTROPY,
                     .optimizer = {.rule = &lion, .lr = 1e-3, .beta1 = 0.95}) ||
        kata_fit(m, data.train, .epochs = 5, .batch = 50) || kata_evaluate(m, data.test, &e)) {
        return fail();
    }
    const double accuracy = kata_classification_accuracy(&e.classification);
    printf("digits with Lion: test accuracy %.1f %%\n", 100 * accuracy);
    kata_evaluation_free(&e);
    kata_model_free(m);
    kata_data_close(&data);
    return accuracy > 0.6 ? EXIT_SUCCESS : EXIT_FAILURE;
}
