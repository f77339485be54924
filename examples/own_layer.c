/* A layer of one's own: a function that takes a value and returns a value. It adds nodes (ONNX
 * operators) to the model's graph and asks for weights by kata_parameter; differentiation, saving
 * and serving need nothing more. Here: the highway layer of Srivastava et al. 2015,
 *
 *     y = t * h(x) + (1 - t) * x,   h(x) = relu(x W + b),   t = sigmoid(x V + c)
 *
 * whose gate t decides for each number whether it is transformed or carried on unchanged. */
#include <stdio.h>
#include <stdlib.h>

#include <kata/kata.h>

/* A weight of the layer, named LAYER.NAME as the library's own are. */
static kata_value parameter(kata_model *m, const char *layer, const char *name,
                            kata_initializer initializer, const kata_shape *shape) {
    char full[96];
    snprintf(full, sizeof full, "%s.%s", layer, name);
    return kata_parameter(m, full, initializer, shape);
}

static kata_value highway(kata_model *m, kata_value x, const char *name) {
    kata_graph *g = kata_model_graph(m);
    kata_shape shape = kata_value_shape(g, x); /* (?, n) */
    int64_t n = shape.dim[1];
    const kata_initializer he = {.kind = KATA_INIT_HE}, zero = {.kind = KATA_INIT_ZEROS};
    /* A gate that begins nearly shut (sigmoid(-2) = 0.12) lets deep stacks learn. */
    const kata_initializer shut = {KATA_INIT_CONSTANT, -2};
    kata_value W = parameter(m, name, "weight", he, &KATA_SHAPE_OF(n, n));
    kata_value b = parameter(m, name, "bias", zero, &KATA_SHAPE_OF(n));
    kata_value V = parameter(m, name, "gate_weight", he, &KATA_SHAPE_OF(n, n));
    kata_value c = parameter(m, name, "gate_bias", shut, &KATA_SHAPE_OF(n));

    kata_graph_set_scope(g, name); /* the nodes are named after the layer */
    kata_value h = KATA_NODE(g, "Relu", KATA_INPUTS(KATA_NODE(g, "Gemm", KATA_INPUTS(x, W, b))));
    kata_value t = KATA_NODE(g, "Sigmoid", KATA_INPUTS(KATA_NODE(g, "Gemm", KATA_INPUTS(x, V, c))));
    /* t h + (1 - t) x = x + t (h - x) */
    kata_value change = KATA_NODE(g, "Mul", KATA_INPUTS(t, KATA_NODE(g, "Sub", KATA_INPUTS(h, x))));
    kata_value y = KATA_NODE(g, "Add", KATA_INPUTS(x, change));
    kata_graph_set_scope(g, NULL);
    return y;
}

static int fail(void) {
    fprintf(stderr, "own_layer: %s\n", kata_error_message());
    return EXIT_FAILURE;
}

int main(int argc, char **argv) {
    const char *argument = argc > 1 ? argv[1] : "make:digits";
    const kata_data_options few = {.limit_train = 3000, .limit_test = 500};
    kata_data data;
    if (kata_data_open(&data, kata_context_default(), argument, &few) != KATA_OK) {
        return fail();
    }
    kata_model *m = kata_model_new("highway");
    kata_value x = kata_rescale(m, kata_input(m, KATA_F32, 1, 28, 28), .scale = 1 / 255.0);
    x = kata_dense(m, kata_flatten(m, x), .units = 40, .activation = KATA_RELU);
    for (int i = 0; i < 8; i++) {
        char name[16];
        snprintf(name, sizeof name, "highway_%d", i + 1);
        x = highway(m, x, name);
    }
    kata_output(m, kata_dense(m, x, .units = 10));
    kata_evaluation e;
    if (kata_compile(m, .loss = KATA_SOFTMAX_CROSS_ENTROPY, .optimizer = kata_adam(.lr = 2e-3)) ||
        kata_fit(m, data.train, .epochs = 8, .batch = 50) || kata_evaluate(m, data.test, &e)) {
        return fail();
    }
    printf("ten layers, %d parameters: test accuracy %.1f %%\n",
           (int)kata_graph_n_parameters(kata_model_graph(m)),
           100 * kata_classification_accuracy(&e.classification));
    kata_evaluation_free(&e);
    kata_model_free(m);
    kata_data_close(&data);
    return EXIT_SUCCESS;
}
