/* The numbers of the book's chapters 5 and 6 that concern whole networks
 * (scratch-book-2-backprop-to-deep.md): gradient checks in float64, initial weights, activation
 * statistics. Line numbers L... are the book's. */
#include "support/small_graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kata/data.h>

/* --- layers ----------------------------------------------------------------------------------- */

static void test_relu_layer(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    kata_value x = variable64(g, "x", F64(1.0, -0.5, -2.0, 3.0), KATA_SHAPE_OF(2, 2)), dx;
    kata_value y = KATA_NODE(g, "Relu", KATA_INPUTS(x));
    kata_value sum = KATA_NODE_WITH(g, "ReduceSum", KATA_INPUTS(y), KATA_INT("keepdims", 0));
    assert_ok(kata_graph_differentiate(g, sum, &x, 1, &dx));
    kata_session *s = run_kept(g);
    assert_values(s, y, F64(1, 0, 0, 3), 4, 0);  /* L3917 */
    assert_values(s, dx, F64(1, 0, 0, 1), 4, 0); /* L3924 */
    kata_session_free(s);
    kata_graph_free(g);
}

/* L3933-4033 [D]: y and dy = y (1 - y). */
static void test_sigmoid_layer(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    kata_value x = variable64(g, "x", F64(-3, -1, 0, 0.5, 1, 3), KATA_SHAPE_OF(6)), dx;
    kata_value y = KATA_NODE(g, "Sigmoid", KATA_INPUTS(x));
    kata_value sum = KATA_NODE_WITH(g, "ReduceSum", KATA_INPUTS(y), KATA_INT("keepdims", 0));
    assert_ok(kata_graph_differentiate(g, sum, &x, 1, &dx));
    kata_session *s = run_kept(g);
    assert_values(s, y,
                  F64(0.0474258731775668, 0.268941421369995, 0.5, 0.622459331201855,
                      0.731058578630005, 0.952574126822433),
                  6, 1e-14);
    assert_values(s, dx,
                  F64(0.0451766597309121, 0.196611933241482, 0.25, 0.235003712201594,
                      0.196611933241482, 0.0451766597309121),
                  6, 1e-14);
    for (int i = 0; i < 6; i++) { /* y^2 e^-x is the same (L3999) */
        double yi = read_at(s, y, i), xi = F64(-3, -1, 0, 0.5, 1, 3)[i];
        assert_close(yi * yi * exp(-xi), read_at(s, dx, i), 1e-15);
    }
    kata_session_free(s);
    kata_graph_free(g);
}

/* --- gradient check (L4405-4455) ----------------------------------------------------------------
 */

/* A float64 weight drawn from N(0, std); std 0 makes zeros. */
static kata_value normal64(kata_graph *g, const char *name, kata_shape shape, double std,
                           uint64_t seed) {
    kata_variable *v = NULL;
    kata_value value = kata_graph_variable(g, name, KATA_F64, &shape, true, &v);
    assert_non_null(v);
    for (int64_t i = 0; i < kata_shape_count(&shape); i++) {
        kata_store(KATA_F64, v->tensor.data, i, std * kata_random_normal(seed, 1, 0, (uint64_t)i));
    }
    return value;
}

/* mean |backprop - numerical| for each variable, central difference with step h. */
static void gradient_check(kata_graph *g, kata_value loss, const kata_value *weights, int n,
                           double h, double limit) {
    kata_value gradients[16];
    assert_ok(kata_graph_differentiate(g, loss, weights, n, gradients));
    kata_graph_output(g, NULL, loss);
    kata_session *s = run_kept(g);
    for (int k = 0; k < n; k++) {
        assert_ok(kata_session_run(s, 0, 0)); /* gradients at the unchanged weights */
        kata_tensor w = kata_session_value(s, weights[k]);
        kata_tensor kept = kata_session_value(s, gradients[k]);
        int64_t count = kata_tensor_count(&w);
        double *analytic = malloc((size_t)count * sizeof *analytic), *data = w.data, sum = 0;
        memcpy(analytic, kept.data, (size_t)count * sizeof *analytic);
        for (int64_t i = 0; i < count; i++) {
            double before = data[i];
            data[i] = before + h;
            assert_ok(kata_session_run(s, 0, 0));
            double above = read_at(s, loss, 0);
            data[i] = before - h;
            assert_ok(kata_session_run(s, 0, 0));
            double below = read_at(s, loss, 0);
            data[i] = before;
            sum += fabs(analytic[i] - (above - below) / (2 * h));
        }
        free(analytic);
        printf("    %s: mean difference %.3g over %lld weights\n", kata_value_name(g, weights[k]),
               sum / (double)count, (long long)count);
        assert_true(sum / (double)count < limit);
    }
    kata_session_free(s);
}

/* The first three training pictures: of MNIST where KATA_DATA has it, else of make:digits. */
static void three_pictures(double *x, int64_t *labels) {
    kata_data data = {0};
    kata_data_options options = {.limit_train = 3, .limit_test = 1};
    if (kata_data_open(&data, kata_context_default(), "make:digits", &options) != KATA_OK) {
        fail_msg("%s", kata_error_message());
    }
    for (int i = 0; i < 3 * 784; i++) {
        x[i] = kata_load(KATA_U8, data.train->inputs[0].data, i) / 255;
    }
    memcpy(labels, data.train->targets[0].data, 3 * sizeof *labels);
    kata_data_close(&data);
}

static kata_value dense64(kata_graph *g, kata_value x, kata_value w, kata_value b) {
    return KATA_NODE(g, "Gemm", KATA_INPUTS(x, w, b));
}

/* TwoLayerNet 784-50-10 on three samples; the book prints 1e-10 to 1e-13 (L4445-4448). */
static void test_gradient_check_two_layer_net(void **state) {
    (void)state;
    double x[3 * 784];
    int64_t labels[3];
    three_pictures(x, labels);
    kata_graph *g = small_graph();
    kata_value w[] = {normal64(g, "W1", KATA_SHAPE_OF(784, 50), 0.01, 1),
                      normal64(g, "b1", KATA_SHAPE_OF(50), 0, 2),
                      normal64(g, "W2", KATA_SHAPE_OF(50, 10), 0.01, 3),
                      normal64(g, "b2", KATA_SHAPE_OF(10), 0, 4)};
    kata_value h = dense64(g, constant64(g, x, KATA_SHAPE_OF(3, 784)), w[0], w[1]);
    kata_value y = dense64(g, KATA_NODE(g, "Relu", KATA_INPUTS(h)), w[2], w[3]);
    kata_value loss =
        KATA_NODE(g, "SoftmaxCrossEntropyLoss", KATA_INPUTS(y, kata_graph_int64s(g, labels, 3)));
    gradient_check(g, loss, w, 4, 1e-4, 1e-9);
    kata_graph_free(g);
}

/* Part 1, L3311-3335: numerical_gradient and gradient agree for the sigmoid network, with an L2
 * penalty (L5086-5088) on both sides. */
static void test_gradient_check_sigmoid_with_weight_decay(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    kata_value w[] = {normal64(g, "W1", KATA_SHAPE_OF(20, 7), 0.5, 1),
                      normal64(g, "b1", KATA_SHAPE_OF(7), 0.1, 2),
                      normal64(g, "W2", KATA_SHAPE_OF(7, 4), 0.5, 3),
                      normal64(g, "b2", KATA_SHAPE_OF(4), 0.1, 4)};
    kata_value x = normal64(g, "x", KATA_SHAPE_OF(5, 20), 1, 5);
    kata_value h = dense64(g, x, w[0], w[1]);
    kata_value y = dense64(g, KATA_NODE(g, "Sigmoid", KATA_INPUTS(h)), w[2], w[3]);
    kata_value labels = kata_graph_int64s(g, (const int64_t[]){0, 3, 2, 1, 1}, 5);
    kata_value loss = KATA_NODE(g, "SoftmaxCrossEntropyLoss", KATA_INPUTS(y, labels));
    for (int k = 0; k < 4; k += 2) {
        kata_value p =
            KATA_NODE_WITH(g, "ReduceSumSquare", KATA_INPUTS(w[k]), KATA_INT("keepdims", 0));
        p = KATA_NODE(g, "Mul", KATA_INPUTS(p, kata_graph_scalar(g, KATA_F64, 0.05)));
        loss = KATA_NODE(g, "Add", KATA_INPUTS(loss, p));
    }
    gradient_check(g, loss, w, 4, 1e-4, 1e-9);
    kata_graph_free(g);
}

/* SimpleConvNet for (1,10,10) with 10 filters 3x3, hidden 10, one picture of class 1 (section
 * 3, 7.5 [C]). */
static void test_gradient_check_simple_conv_net(void **state) {
    (void)state;
    double x[100];
    for (int i = 0; i < 100; i++) {
        x[i] = (double)kata_random_uniform(11, 1, 0, (uint64_t)i);
    }
    kata_graph *g = small_graph();
    kata_value w[] = {normal64(g, "W1", KATA_SHAPE_OF(10, 1, 3, 3), 0.01, 1),
                      normal64(g, "b1", KATA_SHAPE_OF(10), 0, 2),
                      normal64(g, "W2", KATA_SHAPE_OF(160, 10), 0.01, 3),
                      normal64(g, "b2", KATA_SHAPE_OF(10), 0, 4),
                      normal64(g, "W3", KATA_SHAPE_OF(10, 10), 0.01, 5),
                      normal64(g, "b3", KATA_SHAPE_OF(10), 0, 6)};
    kata_value c = KATA_NODE(
        g, "Conv", KATA_INPUTS(constant64(g, x, KATA_SHAPE_OF(1, 1, 10, 10)), w[0], w[1]));
    c = KATA_NODE_WITH(g, "MaxPool", KATA_INPUTS(KATA_NODE(g, "Relu", KATA_INPUTS(c))),
                       KATA_INTS("kernel_shape", 2, 2), KATA_INTS("strides", 2, 2));
    c = KATA_NODE(g, "Flatten", KATA_INPUTS(c));
    kata_value h = KATA_NODE(g, "Relu", KATA_INPUTS(dense64(g, c, w[2], w[3])));
    kata_value y = dense64(g, h, w[4], w[5]);
    kata_value label = kata_graph_int64s(g, (const int64_t[]){1}, 1);
    gradient_check(g, KATA_NODE(g, "SoftmaxCrossEntropyLoss", KATA_INPUTS(y, label)), w, 6, 1e-6,
                   1e-9);
    kata_graph_free(g);
}

/* Batch normalisation inside a network, a batch of 4 (section 2, 6.3 [C]; a batch of 1 says
 * nothing). */
static void test_gradient_check_batch_norm(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    kata_value x = normal64(g, "x", KATA_SHAPE_OF(4, 9), 1, 7);
    kata_value w[] = {normal64(g, "W1", KATA_SHAPE_OF(9, 6), 0.5, 1),
                      normal64(g, "gamma", KATA_SHAPE_OF(6), 1, 2),
                      normal64(g, "beta", KATA_SHAPE_OF(6), 1, 3),
                      normal64(g, "W2", KATA_SHAPE_OF(6, 3), 0.5, 4)};
    kata_value mean = constant64(g, (const double[6]){0}, KATA_SHAPE_OF(6));
    kata_value outputs[5];
    const kata_attribute attributes[] = {KATA_INT("training_mode", 1), KATA_FLOAT("epsilon", 1e-7)};
    const kata_value inputs[] = {KATA_NODE(g, "MatMul", KATA_INPUTS(x, w[0])), w[1], w[2], mean,
                                 mean};
    assert_ok(kata_graph_node_outputs(g, NULL, "BatchNormalization", inputs, 5, attributes, 2,
                                      outputs, 5));
    kata_value h = KATA_NODE(g, "Tanh", KATA_INPUTS(outputs[0]));
    kata_value y = KATA_NODE(g, "MatMul", KATA_INPUTS(h, w[3]));
    kata_value labels = kata_graph_int64s(g, (const int64_t[]){0, 2, 1, 1}, 4);
    gradient_check(g, KATA_NODE(g, "SoftmaxCrossEntropyLoss", KATA_INPUTS(y, labels)), w, 4, 1e-4,
                   1e-7);
    kata_graph_free(g);
}

/* A chain of 150 blocks y = F(x) + x with F = 0 passes the gradient unchanged (section 4, ResNet
 * [D]). */
static void test_skip_connections(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    kata_value x = variable64(g, "x", F64(0.5, -2, 3), KATA_SHAPE_OF(1, 3)), y = x, dx;
    kata_value zero = normal64(g, "W", KATA_SHAPE_OF(3, 3), 0, 1);
    for (int i = 0; i < 150; i++) {
        kata_value f =
            KATA_NODE(g, "Relu", KATA_INPUTS(KATA_NODE(g, "MatMul", KATA_INPUTS(y, zero))));
        y = KATA_NODE(g, "Add", KATA_INPUTS(f, y));
    }
    kata_value upstream = constant64(g, F64(1, -2, 4), KATA_SHAPE_OF(1, 3));
    kata_value loss =
        KATA_NODE_WITH(g, "ReduceSum", KATA_INPUTS(KATA_NODE(g, "Mul", KATA_INPUTS(y, upstream))),
                       KATA_INT("keepdims", 0));
    assert_ok(kata_graph_differentiate(g, loss, &x, 1, &dx));
    kata_session *s = run_kept(g);
    assert_values(s, dx, F64(1, -2, 4), 3, 0);
    kata_session_free(s);
    kata_graph_free(g);
}

/* --- initial weights
 * ------------------------------------------------------------------------------ */

/* L4791-4795: with W1 = W2 = 0 and sigmoid all hidden units stay the same for ever. */
static void test_zero_weights_never_differ(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    kata_value x = normal64(g, "x", KATA_SHAPE_OF(6, 5), 1, 1);
    kata_value w[] = {normal64(g, "W1", KATA_SHAPE_OF(5, 4), 0, 0),
                      normal64(g, "W2", KATA_SHAPE_OF(4, 3), 0, 0)};
    kata_value h =
        KATA_NODE(g, "Sigmoid", KATA_INPUTS(KATA_NODE(g, "MatMul", KATA_INPUTS(x, w[0]))));
    kata_value y = KATA_NODE(g, "MatMul", KATA_INPUTS(h, w[1])), d[2];
    kata_value labels = kata_graph_int64s(g, (const int64_t[]){0, 1, 2, 0, 1, 0}, 6);
    kata_value loss = KATA_NODE(g, "SoftmaxCrossEntropyLoss", KATA_INPUTS(y, labels));
    assert_ok(kata_graph_differentiate(g, loss, w, 2, d));
    for (int i = 0; i < 2; i++) {
        KATA_NODE(g, "kata:SGD", KATA_INPUTS(w[i], d[i], kata_graph_scalar(g, KATA_F64, 0.5)));
    }
    kata_session *s = run_kept(g);
    for (int step = 0; step < 20; step++) {
        assert_ok(kata_session_run(s, 0, (uint64_t)step));
    }
    for (int i = 0; i < 5; i++) { /* all columns of W1 are one, all rows of W2 are one */
        for (int j = 1; j < 4; j++) {
            assert_true(read_at(s, w[0], i * 4 + j) == read_at(s, w[0], i * 4));
        }
    }
    for (int j = 0; j < 3; j++) {
        assert_true(read_at(s, w[1], 3 + j) == read_at(s, w[1], j));
        assert_true(read_at(s, w[1], j) != 0);
    }
    kata_session_free(s);
    kata_graph_free(g);
}

typedef struct layer_statistics {
    double mean, std, first_bin, last_bin; /* shares of the 30 bins on [0,1] */
} layer_statistics;

/* L4810-4842: x = randn(1000,100), five layers a = f(x w) of 100 units, w = randn(100,100) std. */
static void activation_experiment(const char *activation, double std, layer_statistics out[5]) {
    kata_graph *g = small_graph();
    kata_value z = normal64(g, "x", KATA_SHAPE_OF(1000, 100), 1, 100), layers[5];
    for (int i = 0; i < 5; i++) {
        char name[16];
        snprintf(name, sizeof name, "W%d", i + 1);
        kata_value w = normal64(g, name, KATA_SHAPE_OF(100, 100), std, (uint64_t)i + 1);
        z = KATA_NODE(g, activation, KATA_INPUTS(KATA_NODE(g, "MatMul", KATA_INPUTS(z, w))));
        layers[i] = z;
    }
    kata_session *s = run_kept(g);
    for (int i = 0; i < 5; i++) {
        double sum = 0, squares = 0, first = 0, last = 0;
        const int n = 100000;
        const double *a = kata_session_value(s, layers[i]).data;
        for (int k = 0; k < n; k++) {
            sum += a[k];
            squares += a[k] * a[k];
            first += a[k] >= 0 && a[k] < 1 / 30.0;
            last += a[k] >= 29 / 30.0 && a[k] <= 1;
        }
        out[i] = (layer_statistics){sum / n, sqrt(squares / n - sum / n * (sum / n)), first / n,
                                    last / n};
    }
    kata_session_free(s);
    kata_graph_free(g);
}

static void assert_near(double value, double expected, double relative) {
    if (!(fabs(value - expected) <= relative * expected)) {
        fail_msg("%g is not within %g %% of %g", value, 100 * relative, expected);
    }
}

static void test_activation_statistics(void **state) {
    (void)state;
    layer_statistics l[5];
    /* the footnote L4924: means with ReLU and std 0.01; bands of the [D] simulation */
    const double relu_means[] = {0.0396, 0.00290, 0.000197, 1.32e-5, 9.46e-7};
    activation_experiment("Relu", 0.01, l);
    for (int i = 0; i < 5; i++) {
        assert_near(l[i].mean, relu_means[i], i == 0 ? 0.03 : 0.4);
    }
    assert_near(l[0].first_bin, 0.631, 0.03);
    assert_true(l[4].first_bin == 1);
    /* L4848: sigmoid, std 1: the mass is at 0 and 1 */
    activation_experiment("Sigmoid", 1, l);
    for (int i = 0; i < 5; i++) {
        assert_near(l[i].std, i == 0 ? 0.459 : 0.436, 0.03);
        assert_near(l[i].first_bin, i == 0 ? 0.367 : 0.307, 0.25);
        assert_near(l[i].last_bin, i == 0 ? 0.367 : 0.307, 0.25);
    }
    /* L4869: sigmoid, std 0.01: all about 0.5 */
    activation_experiment("Sigmoid", 0.01, l);
    for (int i = 0; i < 5; i++) {
        assert_close(l[i].mean, 0.5, 0.006);
        assert_near(l[i].std, i == 0 ? 0.0249 : 0.0125, i == 0 ? 0.05 : 0.3);
        assert_true(l[i].first_bin == 0 && l[i].last_bin == 0);
    }
    /* L4898: sigmoid, Xavier */
    const double xavier_stds[] = {0.208, 0.127, 0.121, 0.120, 0.121};
    activation_experiment("Sigmoid", 0.1, l);
    for (int i = 0; i < 5; i++) {
        assert_close(l[i].mean, 0.5, 0.05);
        assert_near(l[i].std, xavier_stds[i], 0.25);
    }
    /* L4904: tanh, Xavier: bells around 0 */
    const double tanh_stds[] = {0.626, 0.485, 0.407, 0.357, 0.320};
    activation_experiment("Tanh", 0.1, l);
    for (int i = 0; i < 5; i++) {
        assert_close(l[i].mean, 0, 0.01);
        assert_near(l[i].std, tanh_stds[i], 0.05);
    }
    /* L4929: ReLU, Xavier sinks with depth; He stays */
    const double relu_xavier[] = {0.398, 0.281, 0.202, 0.141, 0.0995};
    activation_experiment("Relu", 0.1, l);
    for (int i = 0; i < 5; i++) {
        assert_near(l[i].mean, relu_xavier[i], 0.3);
    }
    activation_experiment("Relu", sqrt(2 / 100.0), l);
    for (int i = 0; i < 5; i++) {
        assert_near(l[i].mean, 0.565, 0.25);
        assert_near(l[i].std, 0.838, 0.2);
    }
}

/* --- dropout (L5105-5134)
 * ---------------------------------------------------------------------------- */

static void test_dropout_properties(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    enum { N = 20000 };
    static double ones[N];
    for (int i = 0; i < N; i++) {
        ones[i] = 1;
    }
    kata_value x = variable64(g, "x", ones, KATA_SHAPE_OF(N)), outputs[2], dx;
    const kata_value inputs[] = {x, kata_graph_scalar(g, KATA_F64, 0.3),
                                 kata_graph_scalar(g, KATA_BOOL, 1)};
    assert_ok(kata_graph_node_outputs(g, NULL, "Dropout", inputs, 3, NULL, 0, outputs, 2));
    kata_value sum =
        KATA_NODE_WITH(g, "ReduceSum", KATA_INPUTS(outputs[0]), KATA_INT("keepdims", 0));
    assert_ok(kata_graph_differentiate(g, sum, &x, 1, &dx));
    kata_session *s = run_kept(g);
    int kept = 0;
    for (int i = 0; i < N; i++) {
        double y = read_at(s, outputs[0], i);
        assert_true(y == 0 || fabs(y - 1 / 0.7) < 1e-12);
        assert_true(read_at(s, dx, i) == y); /* zero exactly where the mask is */
        kept += y != 0;
    }
    assert_close(kept / (double)N, 0.7, 0.013); /* E[mask] = 1 - ratio: 4 standard errors */
    double before = read_at(s, sum, 0);
    assert_ok(kata_session_run(s, 0, 0));
    assert_true(read_at(s, sum, 0) == before); /* the same (seed, step): the same mask */
    assert_ok(kata_session_run(s, 0, 1));
    assert_true(read_at(s, sum, 0) != before); /* redrawn at every step (L5137) */
    kata_session_free(s);
    kata_graph_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relu_layer),
        cmocka_unit_test(test_sigmoid_layer),
        cmocka_unit_test(test_gradient_check_two_layer_net),
        cmocka_unit_test(test_gradient_check_sigmoid_with_weight_decay),
        cmocka_unit_test(test_gradient_check_simple_conv_net),
        cmocka_unit_test(test_gradient_check_batch_norm),
        cmocka_unit_test(test_skip_connections),
        cmocka_unit_test(test_zero_weights_never_differ),
        cmocka_unit_test(test_activation_statistics),
        cmocka_unit_test(test_dropout_properties),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
