/* Layers and ready networks: shapes, weights, messages. Line numbers are of scratch-book-2. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <kata/exec.h>
#include <kata/nn.h>
#include <kata/pass.h>

static void assert_shape(kata_model *m, kata_value v, const char *expected) {
    char text[KATA_SHAPE_TEXT_SIZE];
    kata_shape shape = kata_value_shape(kata_model_graph(m), v);
    assert_string_equal(kata_graph_shape_text(kata_model_graph(m), &shape, text), expected);
}

static void assert_fault(kata_model *m, kata_status status, const char *part) {
    assert_int_equal(kata_model_status(m), status);
    const char *message = kata_graph_message(kata_model_graph(m));
    if (strstr(message, part) == NULL) {
        fail_msg("\"%s\" does not contain \"%s\"", message, part);
    }
    kata_model_free(m);
}

static void test_example_of_the_design(void **state) {
    (void)state;
    kata_model *m = kata_model_new("digits");
    kata_value x = kata_input(m, KATA_F32, 1, 28, 28);
    x = kata_conv2d(m, x, .filters = 30, .kernel = {5, 5}, .activation = KATA_RELU);
    assert_shape(m, x, "(N,30,24,24)");
    x = kata_max_pool2d(m, x, .size = {2, 2});
    assert_shape(m, x, "(N,30,12,12)");
    x = kata_dense(m, kata_flatten(m, x), .units = 100, .activation = KATA_RELU);
    assert_int_equal(kata_output(m, kata_dense(m, x, .units = 10)), KATA_OK);
    assert_int_equal(kata_model_status(m), KATA_OK);
    assert_int_equal(kata_graph_n_parameters(kata_model_graph(m)), 433890); /* L5812 */
    kata_model_free(m);
}

static void test_ready_networks(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int64_t parameters;
    } expected[] = {{"two-layer", 39760},                                 /* L4310 */
                    {"simple-convnet", 433890}, {"deep-convnet", 123552}, /* L6026 */
                    {"mnist-sprint", 215194},   {"mlp", 79510},           {"logistic", 7850}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        kata_model *m;
        assert_int_equal(kata_model_ready(&m, kata_context_default(), expected[i].name, NULL),
                         KATA_OK);
        assert_int_equal(kata_graph_n_parameters(kata_model_graph(m)), expected[i].parameters);
        assert_shape(m, kata_graph_output_at(kata_model_graph(m), 0), "(N,10)");
        char *text = NULL;
        assert_int_equal(kata_model_summary(&text, m), KATA_OK);
        assert_non_null(strstr(text, "parameters"));
        kata_text_free(kata_context_default(), text);
        kata_model_free(m);
    }
    kata_model *m = NULL;
    assert_int_equal(kata_model_ready(&m, kata_context_default(), "simple-convnte", NULL),
                     KATA_NOT_FOUND);
    assert_non_null(strstr(kata_error_message(), "did you mean simple-convnet?"));
    assert_null(m);
}

/* Shapes of DeepConvNet (L6010-6016): pad 2 of the fourth convolution makes 14 to 16. */
static void test_deep_convnet_shapes(void **state) {
    (void)state;
    kata_model *m;
    assert_int_equal(kata_model_ready(&m, kata_context_default(), "deep-convnet", NULL), KATA_OK);
    char *text = NULL;
    assert_int_equal(kata_graph_text(&text, kata_model_graph(m)), KATA_OK);
    const char *const shapes[] = {"(N,16,28,28)", "(N,16,14,14)", "(N,32,16,16)",
                                  "(N,32,8,8)",   "(N,64,4,4)",   "(N,1024)"};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        assert_non_null(strstr(text, shapes[i]));
    }
    kata_text_free(kata_context_default(), text);
    /* He standard deviations by fan-in (L6016): first 3x3x1 layer 0.471405, the 1024-50 layer
     * 0.0441942 */
    static const struct {
        const char *name;
        double std;
    } weights[] = {{"conv2d_2.weight", 0.117851}, {"dense_1.weight", 0.0441942}};
    for (size_t i = 0; i < 2; i++) {
        const kata_variable *v = kata_graph_find_variable(kata_model_graph(m), weights[i].name);
        assert_non_null(v);
        int64_t n = kata_tensor_count(&v->tensor);
        double sum = 0, squares = 0;
        for (int64_t k = 0; k < n; k++) {
            double w = kata_load(KATA_F32, v->tensor.data, k);
            sum += w;
            squares += w * w;
        }
        double std = sqrt(squares / (double)n - sum / (double)n * sum / (double)n);
        assert_true(fabs(std / weights[i].std - 1) < 4 / sqrt(2.0 * (double)n));
    }
    kata_model_free(m);
}

/* L5400-5426: output sizes; windows that do not fit exactly are an error unless floor is set. */
static void test_output_sizes(void **state) {
    (void)state;
    static const struct {
        int64_t h, w, kernel, pad, stride;
        const char *shape;
    } cases[] = {{4, 4, 3, 0, 1, "(N,1,2,2)"},      /* L5348 */
                 {4, 4, 3, 1, 1, "(N,1,4,4)"},      /* L5406 */
                 {7, 7, 3, 0, 2, "(N,1,3,3)"},      /* L5412 */
                 {28, 31, 5, 2, 3, "(N,1,10,11)"}}; /* L5420 */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kata_model *m = kata_model_new("sizes");
        kata_value x = kata_input(m, KATA_F32, 1, cases[i].h, cases[i].w);
        x = kata_conv2d(m, x, .filters = 1, .kernel = {cases[i].kernel}, .pad = {cases[i].pad},
                        .stride = {cases[i].stride});
        assert_shape(m, x, cases[i].shape);
        kata_model_free(m);
    }
    kata_model *m = kata_model_new("sizes");
    kata_value x = kata_input(m, KATA_F32, 1, 8, 8);
    kata_conv2d(m, x, .filters = 1, .kernel = {3, 3}, .stride = {2, 2});
    assert_fault(m, KATA_SHAPE, "do not fit exactly into 8");
    m = kata_model_new("sizes");
    x = kata_input(m, KATA_F32, 1, 8, 8);
    assert_shape(m,
                 kata_conv2d(m, x, .filters = 1, .kernel = {3, 3}, .stride = {2, 2}, .floor = true),
                 "(N,1,3,3)");
    assert_shape(m,
                 kata_conv2d(m, x, .filters = 2, .kernel = {3, 3}, .stride = {2, 2}, .same = true),
                 "(N,2,4,4)");
    kata_model_free(m);
}

static void test_faults_are_sticky_and_clear(void **state) {
    (void)state;
    kata_model *m = kata_model_new("faults");
    kata_value x = kata_input(m, KATA_F32, 1, 28, 28);
    x = kata_conv2d(m, x, .filters = 8, .kernel = {40, 40}, .name = "big");
    x = kata_dense(m, kata_flatten(m, x), .units = 10); /* does nothing */
    assert_int_equal(x.id, 0);
    assert_fault(m, KATA_SHAPE, "layer big: a window of height 40 does not fit into 28");

    m = kata_model_new("faults");
    kata_dense(m, kata_input(m, KATA_F32, 4), .units = 0);
    assert_fault(m, KATA_INVALID, "units must be at least 1, got 0");

    m = kata_model_new("faults");
    kata_max_pool2d(m, kata_input(m, KATA_F32, 4), .size = {2, 2});
    assert_fault(m, KATA_SHAPE, "(batch, channels, height, width), got shape (?,4)");

    m = kata_model_new("faults");
    kata_dropout(m, kata_input(m, KATA_F32, 4), .rate = 1);
    assert_fault(m, KATA_INVALID, "rate must be in [0, 1), got 1");

    m = kata_model_new("faults");
    kata_dense(m, kata_input(m, KATA_F32, 4), .units = 3, .weights_of = "nobody");
    assert_fault(m, KATA_NOT_FOUND, "there is no weight nobody.weight");
}

/* Functional: several inputs and outputs, shared layers, skip connection, concatenation. */
static void test_functional(void **state) {
    (void)state;
    kata_model *m = kata_model_new("functional");
    kata_value a = kata_input(m, KATA_F32, 3), b = kata_input(m, KATA_F32, 3);
    kata_value ya = kata_dense(m, a, .units = 3, .name = "shared", .activation = KATA_TANH);
    kata_value yb = kata_dense(m, b, .units = 3, .weights_of = "shared", .activation = KATA_TANH);
    kata_value skip = kata_add(m, ya, a);
    kata_value both = kata_concat(m, 1, skip, yb);
    assert_shape(m, both, "(N,6)");
    kata_output(m, kata_dense(m, both, .units = 2));
    kata_output(m, kata_multiply(m, ya, yb));
    assert_int_equal(kata_model_status(m), KATA_OK);
    assert_int_equal(kata_graph_n_parameters(kata_model_graph(m)), 3 * 3 + 3 + 6 * 2 + 2);
    assert_int_equal(kata_graph_n_outputs(kata_model_graph(m)), 2);

    /* equal inputs through the shared layer give equal outputs: output 1 is tanh(xW+b)^2 */
    kata_graph *bound;
    kata_session *session;
    assert_int_equal(kata_graph_bind(&bound, kata_model_graph(m), KATA_SIZES({"N", 2}), false),
                     KATA_OK);
    assert_int_equal(kata_session_new(&session, bound, NULL), KATA_OK);
    for (int k = 0; k < 2; k++) {
        kata_tensor input = kata_session_input(session, k);
        for (int i = 0; i < 6; i++) {
            kata_store(KATA_F32, input.data, i, 0.3 * i - 0.7);
        }
    }
    assert_int_equal(kata_session_run(session, 0, 0), KATA_OK);
    kata_tensor out = kata_session_output(session, 1);
    for (int i = 0; i < 6; i++) {
        assert_true(kata_load(KATA_F32, out.data, i) >= 0);
    }
    kata_session_free(session);
    kata_graph_free(bound);
    kata_model_free(m);
}

/* An own layer: y = x * w with a weight of one number a feature, from graph nodes alone. */
static kata_value scale_layer(kata_model *m, kata_value x, const char *name) {
    kata_graph *graph = kata_model_graph(m);
    kata_shape shape = kata_value_shape(graph, x);
    kata_value w = kata_parameter(m, name, (kata_initializer){KATA_INIT_CONSTANT, 2},
                                  &KATA_SHAPE_OF(shape.dim[1]));
    return KATA_NODE(graph, "Mul", KATA_INPUTS(x, w));
}

static void test_own_layer(void **state) {
    (void)state;
    kata_model *m = kata_model_new("own");
    kata_value x = kata_input(m, KATA_F32, 4);
    kata_output(m, scale_layer(m, x, "factor"));
    assert_int_equal(kata_graph_n_parameters(kata_model_graph(m)), 4);
    const kata_variable *w = kata_graph_find_variable(kata_model_graph(m), "factor");
    assert_true(kata_load(KATA_F32, w->tensor.data, 3) == 2);
    kata_model_free(m);
}

static void test_sequential_and_all_types(void **state) {
    (void)state;
    const kata_layer layers[] = {
        {.type = KATA_LAYER_RESCALE, .scale = 0.5, .offset = -1},
        {.type = KATA_LAYER_CONV2D,
         .filters = 4,
         .kernel = {3},
         .pad = {1},
         .groups = 2,
         .l2 = 0.1},
        {.type = KATA_LAYER_BATCH_NORM},
        {.type = KATA_LAYER_ACTIVATION, .activation = KATA_GELU},
        {.type = KATA_LAYER_LOCAL_RESPONSE_NORM},
        {.type = KATA_LAYER_AVERAGE_POOL2D, .size = {2, 2}},
        {.type = KATA_LAYER_CONV_TRANSPOSE2D, .filters = 3, .kernel = {2}, .stride = {2}},
        {.type = KATA_LAYER_GLOBAL_AVERAGE_POOL},
        {.type = KATA_LAYER_LAYER_NORM},
        {.type = KATA_LAYER_RESHAPE, .shape = {3, 1}},
        {.type = KATA_LAYER_CONV1D, .filters = 2, .kernel = {1}, .activation = KATA_LEAKY_RELU},
        {.type = KATA_LAYER_FLATTEN},
        {.type = KATA_LAYER_DROPOUT, .rate = 0.2},
        {.type = KATA_LAYER_DENSE, .units = 5, .no_bias = true, .activation = KATA_SOFTMAX}};
    kata_model *m = kata_model_new("all");
    kata_value x = kata_input(m, KATA_F32, 2, 8, 8);
    x = kata_sequential(m, x, layers, (int)(sizeof layers / sizeof layers[0]));
    if (kata_model_status(m) != KATA_OK) {
        fail_msg("%s", kata_graph_message(kata_model_graph(m)));
    }
    assert_shape(m, x, "(N,5)");
    kata_output(m, x);
    assert_true(kata_graph_find_variable(kata_model_graph(m), "conv2d_1.weight")->l2 > 0);
    assert_true(kata_graph_find_variable(kata_model_graph(m), "conv2d_1.bias")->l2 == 0);
    kata_graph *bound;
    kata_session *session;
    assert_int_equal(kata_graph_bind(&bound, kata_model_graph(m), KATA_SIZES({"N", 3}), false),
                     KATA_OK);
    assert_int_equal(kata_session_new(&session, bound, NULL), KATA_OK);
    assert_int_equal(kata_session_run(session, 0, 0), KATA_OK);
    kata_tensor y = kata_session_output(session, 0);
    for (int row = 0; row < 3; row++) {
        double sum = 0;
        for (int i = 0; i < 5; i++) {
            sum += kata_load(KATA_F32, y.data, row * 5 + i);
        }
        assert_true(fabs(sum - 1) < 1e-5);
    }
    kata_session_free(session);
    kata_graph_free(bound);
    kata_model_free(m);
}

static void test_seeds_hash_freeze(void **state) {
    (void)state;
    kata_model *a, *b;
    assert_int_equal(kata_model_ready(&a, kata_context_default(), "mlp", NULL), KATA_OK);
    assert_int_equal(kata_model_ready(&b, kata_context_default(), "mlp", NULL), KATA_OK);
    assert_true(kata_model_hash(a) == kata_model_hash(b));
    kata_model_initialize(a, 7);
    assert_true(kata_model_hash(a) != kata_model_hash(b));
    kata_model_initialize(b, 7);
    assert_true(kata_model_hash(a) == kata_model_hash(b));
    assert_int_equal(kata_model_freeze(a, "dense_1.", true), 2);
    assert_true(kata_graph_find_variable(kata_model_graph(a), "dense_1.bias")->frozen);
    kata_model_free(a);
    kata_model_free(b);
}

static void test_names(void **state) {
    (void)state;
    kata_activation activation;
    kata_layer_type type;
    assert_string_equal(kata_activation_name(KATA_HARD_SWISH), "hard-swish");
    assert_true(kata_activation_parse("gelu", &activation) && activation == KATA_GELU);
    assert_true(kata_activation_parse("mish", &activation) && activation == KATA_MISH);
    assert_false(kata_activation_parse("rleu", &activation));
    assert_true(kata_layer_parse("conv2d", &type) && type == KATA_LAYER_CONV2D);
    assert_false(kata_layer_parse("", &type));
    assert_null(kata_layer_name(KATA_LAYER_COUNT));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example_of_the_design),
        cmocka_unit_test(test_ready_networks),
        cmocka_unit_test(test_deep_convnet_shapes),
        cmocka_unit_test(test_output_sizes),
        cmocka_unit_test(test_faults_are_sticky_and_clear),
        cmocka_unit_test(test_functional),
        cmocka_unit_test(test_own_layer),
        cmocka_unit_test(test_sequential_and_all_types),
        cmocka_unit_test(test_seeds_hash_freeze),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
