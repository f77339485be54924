/* A loss of one's own: a row whose `build` adds the nodes behind a model's raw output. Here: the
 * focal loss (Lin et al. 2017), cross entropy in which samples that are right already count less:
 *
 *     -(1 - p)^gamma log p,   p = softmax(y) at the true class
 *
 * What it makes of a model that has learnt nothing and of one that has is compared with this
 * formula. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <kata/kata.h>

/* The target is one-hot, (n, classes), since the row does not say that it takes class numbers. */
static kata_value build(const kata_loss_call *call) {
    kata_graph *g = call->graph;
    const kata_value one = kata_graph_scalar(g, KATA_F32, 1);
    const kata_value gamma = kata_graph_scalar(g, KATA_F32, call->numbers[0]);
    const kata_value axis = kata_graph_int64s(g, (const int64_t[]){-1}, 1);
    kata_value log_p =
        KATA_NODE_WITH(g, "LogSoftmax", KATA_INPUTS(call->output), KATA_INT("axis", -1));
    log_p = KATA_NODE(g, "Mul", KATA_INPUTS(log_p, call->target));
    log_p = KATA_NODE_WITH(g, "ReduceSum", KATA_INPUTS(log_p, axis), KATA_INT("keepdims", 0));
    kata_value far = KATA_NODE(g, "Sub", KATA_INPUTS(one, KATA_NODE(g, "Exp", KATA_INPUTS(log_p))));
    far = KATA_NODE(g, "Pow", KATA_INPUTS(far, gamma));
    kata_value loss =
        KATA_NODE(g, "Mul", KATA_INPUTS(far, KATA_NODE(g, "Neg", KATA_INPUTS(log_p))));
    return kata_loss_mean(call, loss);
}

static const kata_number_spec numbers[] = {
    {"gamma", 2, 0, 10, "how much less a sample counts that is right already; 0: cross entropy"},
    {.name = NULL},
};

static const kata_loss focal = {
    .size = sizeof(kata_loss),
    .name = "focal",
    .task = KATA_TASK_CLASSES,
    .activation = "Softmax",
    .numbers = numbers,
    .build = build,
    .doc = "-(1 - p)^gamma log p, p = softmax(y) at the true class (Lin et al. 2017)",
};

static int fail(void) {
    fprintf(stderr, "own_loss: %s\n", kata_error_message());
    return EXIT_FAILURE;
}

/* The mean of the formula over what the model says. */
static double by_hand(const kata_evaluation *e, double gamma) {
    double sum = 0;
    for (int64_t i = 0; i < e->n; i++) {
        const double p = (double)e->answers[i].p_truth;
        sum -= pow(1 - p, gamma) * log(p);
    }
    return sum / (double)e->n;
}

int main(int argc, char **argv) {
    const char *argument = argc > 1 ? argv[1] : "make:digits";
    const kata_data_options few = {.limit_train = 3000, .limit_test = 500};
    kata_data data;
    if (kata_data_open(&data, kata_context_default(), argument, &few) != KATA_OK) {
        return fail();
    }
    kata_model *m = kata_model_new("digits");
    kata_value x = kata_rescale(m, kata_input(m, KATA_F32, 1, 28, 28), .scale = 1 / 255.0);
    x = kata_dense(m, kata_flatten(m, x), .units = 100, .activation = KATA_RELU);
    kata_output(m, kata_dense(m, x, .units = 10));
    kata_evaluation before, after;
    if (kata_compile(m, .loss = &focal, .loss_numbers = {{"gamma", 1.5}},
                     .optimizer = kata_adam(.lr = 2e-3)) ||
        kata_evaluate(m, data.test, &before) || kata_fit(m, data.train, .epochs = 5, .batch = 50) ||
        kata_evaluate(m, data.test, &after)) {
        return fail();
    }
    const double wrong =
        fabs(before.loss - by_hand(&before, 1.5)) + fabs(after.loss - by_hand(&after, 1.5));
    const double accuracy = kata_classification_accuracy(&after.classification);
    printf("focal loss %.4f, then %.4f; test accuracy %.1f %%\n", before.loss, after.loss,
           100 * accuracy);
    kata_evaluation_free(&before);
    kata_evaluation_free(&after);
    kata_model_free(m);
    kata_data_close(&data);
    return wrong < 1e-3 && accuracy > 0.6 ? EXIT_SUCCESS : EXIT_FAILURE;
}
