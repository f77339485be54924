/* LayerScale (Touvron et al. 2021) as a layer of one's own: each channel of a residual branch is
 * multiplied by a weight that begins near 0,
 *
 *     y = x + gamma * branch(x),   gamma = 0.1 at first
 *
 * so that a deep network begins as the identity and takes its branches in as it learns. The program
 * trains a small network of such blocks on drawn digits. */
#include <stdio.h>
#include <stdlib.h>

#include <kata/kata.h>

/* x (N, ..., C) times C weights that begin at `begin`. */
static kata_value layer_scale(kata_model *m, kata_value x, const char *name, double begin) {
    kata_graph *g = kata_model_graph(m);
    kata_shape shape = kata_value_shape(g, x);
    char weight[96];
    snprintf(weight, sizeof weight, "%s.gamma", name);
    kata_value gamma = kata_parameter(m, weight, (kata_initializer){KATA_INIT_CONSTANT, begin},
                                      &KATA_SHAPE_OF(shape.dim[shape.rank - 1]));
    kata_graph_set_scope(g, name);
    kata_value y = KATA_NODE(g, "Mul", KATA_INPUTS(x, gamma)); /* broadcast over all other axes */
    kata_graph_set_scope(g, NULL);
    return y;
}

static int fail(void) {
    fprintf(stderr, "layer_scale: %s\n", kata_error_message());
    return EXIT_FAILURE;
}

int main(int argc, char **argv) {
    const kata_data_options few = {.limit_train = 3000, .limit_test = 500};
    kata_data data;
    kata_evaluation e;
    kata_model *m = kata_model_new("layer-scale");
    if (kata_data_open(&data, kata_context_default(), argc > 1 ? argv[1] : "make:digits", &few) !=
        KATA_OK) {
        return fail();
    }
    kata_value x = kata_rescale(m, kata_input(m, KATA_F32, 1, 28, 28), .scale = 1 / 255.0);
    x = kata_dense(m, kata_flatten(m, x), .units = 64, .activation = KATA_RELU);
    for (int i = 0; i < 4; i++) {
        char name[32];
        snprintf(name, sizeof name, "scale_%d", i + 1);
        kata_value branch = kata_dense(m, x, .units = 64, .activation = KATA_RELU);
        x = kata_add(m, x, layer_scale(m, branch, name, 0.1));
    }
    kata_output(m, kata_dense(m, x, .units = 10));
    if (kata_compile(m, .loss = KATA_SOFTMAX_CROSS_ENTROPY, .optimizer = kata_adam(.lr = 3e-3)) !=
            KATA_OK ||
        kata_fit(m, data.train, .epochs = 8, .batch = 50) != KATA_OK ||
        kata_evaluate(m, data.test, &e) != KATA_OK) {
        return fail();
    }
    double accuracy = kata_classification_accuracy(&e.classification);
    const kata_variable *gamma = kata_graph_find_variable(kata_model_graph(m), "scale_1.gamma");
    printf("accuracy %.1f %%, the first weight of the first scale went from 0.1 to %.3f\n",
           100 * accuracy, kata_tensor_get(&gamma->tensor, (const int64_t[]){0}));
    kata_evaluation_free(&e);
    kata_model_free(m);
    kata_data_close(&data);
    return accuracy > 0.8 ? EXIT_SUCCESS : EXIT_FAILURE;
}
