/* kata_graph_optimize: the optimised graph computes what the graph it was made of computes, forward
 * and backward, on all instruction sets; the same bits for any number of threads; the nodes that
 * it should put together are together; weights are prepared again when they change. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <kata/exec.h>
#include <kata/pass.h>

#include "support/assert_ok.h"

enum { MAX_VARIABLES = 24 };

/* --- networks -------------------------------------------------------------------------------- */

typedef struct network {
    kata_graph *graph;
    int n_variables;
} network;

static kata_value variable(network *net, kata_shape shape) {
    char name[16];
    kata_variable *made = NULL;
    snprintf(name, sizeof name, "w%d", net->n_variables++);
    kata_value value = kata_graph_variable(net->graph, name, KATA_F32, &shape, true, &made);
    assert_non_null(made);
    double fan_in = 1;
    for (int i = 1; i < shape.rank; i++) {
        fan_in *= (double)shape.dim[i];
    }
    for (int64_t i = 0; i < kata_tensor_count(&made->tensor); i++) {
        double u = kata_random_uniform(3, (uint32_t)net->n_variables, 0, (uint64_t)i);
        ((float *)made->tensor.data)[i] = (float)((2 * u - 1) * sqrt(3 / fan_in));
    }
    return value;
}

typedef struct conv_options {
    int64_t filters, kernel, pad, stride, dilation, groups;
    bool no_bias;
} conv_options;

static kata_value conv(network *net, kata_value x, conv_options o) {
    kata_shape shape = kata_value_shape(net->graph, x);
    int64_t stride = o.stride > 0 ? o.stride : 1, dilation = o.dilation > 0 ? o.dilation : 1;
    int64_t groups = o.groups > 0 ? o.groups : 1;
    kata_value w =
        variable(net, KATA_SHAPE_OF(o.filters, shape.dim[1] / groups, o.kernel, o.kernel));
    kata_value b = o.no_bias ? KATA_NONE : variable(net, KATA_SHAPE_OF(o.filters));
    return KATA_NODE_WITH(net->graph, "Conv", KATA_INPUTS(x, w, b),
                          KATA_INTS("pads", o.pad, o.pad, o.pad, o.pad),
                          KATA_INTS("strides", stride, stride),
                          KATA_INTS("dilations", dilation, dilation), KATA_INT("group", groups));
}

static kata_value node(network *net, const char *op, kata_value x) {
    return KATA_NODE(net->graph, op, KATA_INPUTS(x));
}

static kata_value pool(network *net, const char *op, kata_value x, int64_t size, int64_t stride,
                       int64_t pad) {
    return KATA_NODE_WITH(net->graph, op, KATA_INPUTS(x), KATA_INTS("kernel_shape", size, size),
                          KATA_INTS("strides", stride, stride),
                          KATA_INTS("pads", pad, pad, pad, pad));
}

static kata_value dense(network *net, kata_value x, int64_t units) {
    x = node(net, "Flatten", x);
    int64_t features = kata_value_shape(net->graph, x).dim[1];
    kata_value w = variable(net, KATA_SHAPE_OF(features, units));
    return KATA_NODE(net->graph, "Gemm", KATA_INPUTS(x, w, variable(net, KATA_SHAPE_OF(units))));
}

static kata_value simple(network *net, kata_value x) {
    x = node(net, "Relu", conv(net, x, (conv_options){.filters = 7, .kernel = 5}));
    x = pool(net, "MaxPool", x, 2, 2, 0);
    x = node(net, "Relu", dense(net, x, 9));
    return dense(net, x, 4);
}

/* Two convolutions before each pool, one with pads of 2, as deep-convnet. */
static kata_value deep(network *net, kata_value x) {
    static const int64_t filters[] = {5, 6, 18, 20}, pads[] = {1, 1, 2, 1};
    for (int i = 0; i < 4; i++) {
        x = conv(net, x, (conv_options){.filters = filters[i], .kernel = 3, .pad = pads[i]});
        x = node(net, "Relu", x);
        x = i % 2 == 1 ? pool(net, "MaxPool", x, 2, 2, 0) : x;
    }
    return dense(net, node(net, "Relu", dense(net, x, 11)), 4);
}

/* Residual blocks, one of them with a projection of stride 2; mean of the planes. */
static kata_value residual(network *net, kata_value x) {
    x = node(net, "Relu", conv(net, x, (conv_options){.filters = 8, .kernel = 3, .pad = 1}));
    kata_value y =
        node(net, "Relu", conv(net, x, (conv_options){.filters = 8, .kernel = 3, .pad = 1}));
    y = conv(net, y, (conv_options){.filters = 8, .kernel = 3, .pad = 1});
    x = node(net, "Relu", KATA_NODE(net->graph, "Add", KATA_INPUTS(y, x)));
    y = conv(net, x, (conv_options){.filters = 17, .kernel = 3, .pad = 1, .stride = 2});
    y = conv(net, node(net, "Relu", y), (conv_options){.filters = 17, .kernel = 3, .pad = 1});
    kata_value shortcut =
        conv(net, x, (conv_options){.filters = 17, .kernel = 1, .stride = 2, .no_bias = true});
    x = node(net, "Relu", KATA_NODE(net->graph, "Add", KATA_INPUTS(shortcut, y)));
    return dense(net, node(net, "GlobalAveragePool", x), 4);
}

/* Pools of other kinds, groups, dilation, activations that are no relu. */
static kata_value various(network *net, kata_value x) {
    x = conv(net, x, (conv_options){.filters = 6, .kernel = 3, .pad = 1});
    x = pool(net, "AveragePool", node(net, "Sigmoid", x), 2, 2, 0);
    x = conv(net, x, (conv_options){.filters = 6, .kernel = 3, .pad = 1, .groups = 6});
    x = pool(net, "MaxPool", node(net, "Relu", x), 3, 2, 1);
    x = conv(net, x,
             (conv_options){.filters = 8, .kernel = 3, .pad = 2, .dilation = 2, .groups = 2});
    x = pool(net, "AveragePool", node(net, "Tanh", x), 3, 1, 1);
    return dense(net, node(net, "Neg", x), 4);
}

/* Pooling before relu; a value that is pooled and used besides; sizes that do not halve. */
static kata_value shared(network *net, kata_value x) {
    x = conv(net, x, (conv_options){.filters = 5, .kernel = 4});
    x = node(net, "Relu", pool(net, "MaxPool", x, 2, 2, 0));
    kata_value y =
        node(net, "Relu", conv(net, x, (conv_options){.filters = 5, .kernel = 3, .pad = 1}));
    kata_value small = pool(net, "MaxPool", y, 2, 2, 0);
    kata_value large = KATA_NODE(net->graph, "Mul", KATA_INPUTS(y, x));
    kata_value a = dense(net, small, 4), b = dense(net, large, 4);
    return KATA_NODE(net->graph, "Add", KATA_INPUTS(a, b));
}

/* A transpose, a concatenation and a normalisation between convolutions. */
static kata_value borders(network *net, kata_value x) {
    kata_value a = node(net, "Relu", conv(net, x, (conv_options){.filters = 4, .kernel = 3}));
    kata_value b = conv(net, x, (conv_options){.filters = 3, .kernel = 3, .no_bias = true});
    x = KATA_NODE_WITH(net->graph, "Concat", KATA_INPUTS(a, b), KATA_INT("axis", 1));
    x = KATA_NODE_WITH(net->graph, "Transpose", KATA_INPUTS(x), KATA_INTS("perm", 0, 1, 3, 2));
    x = conv(net, x, (conv_options){.filters = 4, .kernel = 1, .no_bias = true});
    kata_value scale = variable(net, KATA_SHAPE_OF(4)), shift = variable(net, KATA_SHAPE_OF(4));
    x = KATA_NODE(net->graph, "InstanceNormalization", KATA_INPUTS(x, scale, shift));
    x = node(net, "Relu", conv(net, x, (conv_options){.filters = 6, .kernel = 3}));
    return dense(net, x, 4);
}

typedef kata_value (*builder)(network *, kata_value);

static kata_value constant(network *net, int64_t n, double value) {
    kata_tensor tensor;
    assert_ok(
        kata_tensor_new(&tensor, kata_graph_context(net->graph), KATA_F32, &KATA_SHAPE_OF(n)));
    for (int64_t i = 0; i < n; i++) {
        ((float *)tensor.data)[i] = (float)value;
    }
    kata_value made = kata_graph_constant(net->graph, NULL, &tensor);
    kata_tensor_release(&tensor);
    return made;
}

/* Batch normalisation by the batch and by running statistics; a rescaled input; transposed weights.
 */
static kata_value normalised(network *net, kata_value x) {
    x = KATA_NODE(net->graph, "Mul", KATA_INPUTS(x, kata_graph_scalar(net->graph, KATA_F32, 0.25)));
    x = conv(net, x, (conv_options){.filters = 6, .kernel = 3, .pad = 1, .no_bias = true});
    kata_value scale = variable(net, KATA_SHAPE_OF(6)), shift = variable(net, KATA_SHAPE_OF(6));
    kata_value outputs[5];
    assert_ok(kata_graph_node_outputs(
        net->graph, NULL, "BatchNormalization",
        (kata_value[]){x, scale, shift, constant(net, 6, 0.1), constant(net, 6, 0.9)}, 5,
        (const kata_attribute[]){KATA_INT("training_mode", 1)}, 1, outputs, 5));
    x = conv(net, node(net, "Relu", outputs[0]), (conv_options){.filters = 5, .kernel = 3});
    scale = variable(net, KATA_SHAPE_OF(5));
    shift = variable(net, KATA_SHAPE_OF(5));
    x = KATA_NODE(net->graph, "BatchNormalization",
                  KATA_INPUTS(x, scale, shift, constant(net, 5, 0.2), constant(net, 5, 1.1)));
    x = node(net, "Flatten", node(net, "Relu", x));
    int64_t features = kata_value_shape(net->graph, x).dim[1];
    return KATA_NODE_WITH(net->graph, "Gemm",
                          KATA_INPUTS(x, variable(net, KATA_SHAPE_OF(4, features))),
                          KATA_INT("transB", 1), KATA_FLOAT("alpha", 0.5));
}

/* No convolution: products, relu, a rescaled input. */
static kata_value perceptron(network *net, kata_value x) {
    x = KATA_NODE(net->graph, "Mul", KATA_INPUTS(kata_graph_scalar(net->graph, KATA_F32, 0.5), x));
    x = node(net, "Relu", dense(net, x, 33));
    return dense(net, node(net, "Relu", dense(net, x, 7)), 4);
}

static const struct {
    const char *name;
    builder build;
    int64_t n, c, h, w;
} networks[] = {
    {"simple", simple, 5, 1, 12, 12},       {"simple, colour", simple, 3, 3, 14, 10},
    {"deep", deep, 4, 1, 12, 12},           {"deep, one sample", deep, 1, 1, 28, 28},
    {"residual", residual, 3, 3, 8, 10},    {"various", various, 3, 4, 12, 14},
    {"shared", shared, 4, 2, 14, 11},       {"borders", borders, 2, 3, 9, 8},
    {"flat", simple, 6, 2, 6, 6},           {"normalised", normalised, 4, 2, 9, 8},
    {"perceptron", perceptron, 5, 1, 6, 6},
};
enum { N_NETWORKS = sizeof networks / sizeof networks[0] };

/* --- running --------------------------------------------------------------------------------- */

typedef enum form { FORWARD, BACKWARD, TRAINING } form;

/* A network's graph: its result; with BACKWARD also the gradients of sum(result * weights) by each
 * variable and the input; with TRAINING an update of each variable. */
static network build(kata_context *context, int which, form f) {
    network net = {0};
    assert_ok(kata_graph_new(&net.graph, context, networks[which].name));
    kata_graph *graph = net.graph;
    kata_value x = kata_graph_input(
        graph, "x", KATA_F32,
        &KATA_SHAPE_OF(networks[which].n, networks[which].c, networks[which].h, networks[which].w));
    kata_value y = networks[which].build(&net, x);
    assert_ok(kata_graph_output(graph, "y", y));
    if (f == FORWARD) {
        return net;
    }
    kata_shape shape = kata_value_shape(graph, y);
    kata_tensor weights;
    assert_ok(kata_tensor_new(&weights, context, KATA_F32, &shape));
    for (int64_t i = 0; i < kata_tensor_count(&weights); i++) {
        ((float *)weights.data)[i] = (float)kata_random_uniform(5, 0, 0, (uint64_t)i) - 0.5f;
    }
    kata_value loss =
        KATA_NODE(graph, "Mul", KATA_INPUTS(y, kata_graph_constant(graph, NULL, &weights)));
    kata_tensor_release(&weights);
    loss = KATA_NODE_WITH(graph, "ReduceSum", KATA_INPUTS(loss), KATA_INT("keepdims", 0));
    kata_value wrt[MAX_VARIABLES + 1], gradients[MAX_VARIABLES + 1];
    int n = 0;
    for (; n < net.n_variables; n++) {
        assert_true(n < MAX_VARIABLES);
        wrt[n] = kata_graph_use_variable(graph, kata_graph_variable_at(graph, n));
    }
    if (f == BACKWARD) {
        wrt[n++] = x;
    }
    assert_ok(kata_graph_differentiate(graph, loss, wrt, n, gradients));
    for (int i = 0; i < n; i++) {
        assert_int_not_equal(gradients[i].id, 0);
        assert_ok(kata_graph_output(graph, NULL, gradients[i]));
        if (f == TRAINING) {
            KATA_NODE(graph, "kata:SGD",
                      KATA_INPUTS(wrt[i], gradients[i], kata_graph_scalar(graph, KATA_F32, 0.1)));
        }
    }
    assert_ok(kata_graph_simplify(graph));
    return net;
}

static void fill_input(kata_session *session) {
    kata_tensor x = kata_session_input(session, 0);
    for (int64_t i = 0; i < kata_tensor_count(&x); i++) {
        ((float *)x.data)[i] = (float)(2 * kata_random_uniform(4, 0, 0, (uint64_t)i) - 1);
    }
}

static kata_session *run(const kata_graph *graph, bool reference) {
    kata_session *session;
    assert_ok(kata_session_new(&session, graph, &(kata_session_options){.reference = reference}));
    fill_input(session);
    assert_ok(kata_session_run(session, 1, 1));
    return session;
}

/* |got - want| <= tolerance (|want| + mean |want|), for all outputs. */
static void compare(const char *what, const kata_graph *graph, kata_session *got,
                    kata_session *want, double tolerance) {
    for (int k = 0; k < kata_graph_n_outputs(graph); k++) {
        kata_tensor a = kata_session_output(got, k), b = kata_session_output(want, k);
        assert_true(kata_shape_equal(&a.shape, &b.shape));
        const float *x = a.data, *y = b.data;
        double mean = 0;
        int64_t n = kata_tensor_count(&a);
        for (int64_t i = 0; i < n; i++) {
            mean += fabs((double)y[i]) / (double)n;
        }
        for (int64_t i = 0; i < n; i++) {
            if (!(fabs((double)x[i] - (double)y[i]) <= tolerance * (fabs((double)y[i]) + mean))) {
                fail_msg("%s: output %d (%s), element %lld is %.9g, expected %.9g", what, k,
                         kata_value_name(graph, kata_graph_output_at(graph, k)), (long long)i,
                         (double)x[i], (double)y[i]);
            }
        }
    }
}

static void same_bits(const char *what, kata_session *a, kata_session *b, int n_outputs) {
    for (int k = 0; k < n_outputs; k++) {
        kata_tensor x = kata_session_output(a, k), y = kata_session_output(b, k);
        if (memcmp(x.data, y.data, kata_tensor_bytes(&x)) != 0) {
            fail_msg("%s: output %d has other bits", what, k);
        }
    }
}

/* --- tests ----------------------------------------------------------------------------------- */

static const char *const levels[] = {"portable", "avx2", "avx512"};

static void test_same_numbers(void **state) {
    (void)state;
    for (int level = 0; level < 3; level++) {
        kata_context *context;
        assert_ok(kata_context_new(
            &context, &(kata_context_options){.kernels = levels[level], .threads = 1}));
        for (int i = 0; i < N_NETWORKS; i++) {
            for (form f = FORWARD; f <= TRAINING; f++) {
                char what[96];
                snprintf(what, sizeof what, "%s, %s, form %d", networks[i].name, levels[level], f);
                network net = build(context, i, f), again = build(context, i, f);
                kata_graph *fast;
                assert_ok(kata_graph_optimize(&fast, net.graph));
                kata_session *want = run(again.graph, true), *got = run(fast, false);
                compare(what, fast, got, want, 2e-4);
                kata_session_free(got);
                if (level == 0 &&
                    f != TRAINING) { /* the plain rows, with the plain packed weight */
                    got = run(fast, true);
                    compare(what, fast, got, want, 1e-4);
                    kata_session_free(got);
                }
                if (f == TRAINING) {
                    for (int v = 0; v < net.n_variables; v++) {
                        const kata_variable *a = kata_graph_variable_at(net.graph, v);
                        const kata_variable *b = kata_graph_variable_at(again.graph, v);
                        for (int64_t j = 0; j < kata_tensor_count(&a->tensor); j++) {
                            double x = (double)((float *)a->tensor.data)[j];
                            double y = (double)((float *)b->tensor.data)[j];
                            assert_true(fabs(x - y) <= 1e-3 * (fabs(y) + 0.1));
                        }
                    }
                }
                kata_session_free(want);
                kata_graph_free(fast);
                kata_graph_free(net.graph);
                kata_graph_free(again.graph);
            }
        }
        kata_context_free(context);
    }
}

static void test_same_bits_for_any_threads(void **state) {
    (void)state;
    static const int threads[] = {1, 2, 5};
    for (int i = 0; i < N_NETWORKS; i++) {
        kata_context *contexts[3];
        network nets[3];
        kata_graph *fast[3];
        kata_session *sessions[3];
        for (int t = 0; t < 3; t++) {
            assert_ok(
                kata_context_new(&contexts[t], &(kata_context_options){.threads = threads[t]}));
            nets[t] = build(contexts[t], i, BACKWARD);
            assert_ok(kata_graph_optimize(&fast[t], nets[t].graph));
            sessions[t] = run(fast[t], false);
        }
        for (int t = 0; t < 3; t++) {
            same_bits(networks[i].name, sessions[0], sessions[t], kata_graph_n_outputs(fast[0]));
        }
        for (int t = 0; t < 3; t++) {
            kata_session_free(sessions[t]);
            kata_graph_free(fast[t]);
            kata_graph_free(nets[t].graph);
            kata_context_free(contexts[t]);
        }
    }
}

static int count(kata_session *session, const char *op) {
    int n = 0;
    for (int i = 0; i < kata_session_n_profile(session); i++) {
        n += strcmp(kata_session_profile(session, i).op, op) == 0;
    }
    return n;
}

/* What a step consists of. */
static void test_what_is_put_together(void **state) {
    (void)state;
    static const struct {
        int network;
        const char *op;
        int n[3]; /* in each form */
    } expected[] = {
        {0, "Conv", {0, 0, 0}},
        {0, "ConvNhwc", {1, 2, 1}},
        {0, "ConvNhwcPrepack", {1, 2, 0}},
        {0, "MaxPool", {0, 0, 0}},
        {0, "MaxPoolNhwc", {0, 0, 0}},
        {0, "MaxPoolNhwcGrad", {0, 1, 0}},
        {0, "ConvGradBias", {0, 0, 0}},
        {0, "ConvNhwcGradWeight", {0, 1, 1}},
        {0, "Transpose", {1, 1, 0}},
        {2, "ConvNhwc", {4, 8, 7}},
        {2, "MaxPoolNhwcGrad", {0, 2, 2}},
        {2, "ConvGradBias", {0, 0, 0}},
        {2, "ReluGrad", {0, 0, 0}},
        {2, "Relu", {0, 0, 0}},
        {2, "Transpose", {1, 2, 2}},
        {4, "ConvNhwc", {6, 10, 9}},
        {4, "ConvGradInput", {0, 2, 2}},
        {4, "Add", {0, 1, 1}},

        {9, "Mul", {1, 2, 1}},
        {10, "Mul", {0, 2, 1}},
        {10, "GemmFused", {2, 4, 4}},
        {10, "Relu", {0, 0, 0}},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        for (form f = FORWARD; f <= TRAINING; f++) {
            network net = build(kata_context_default(), expected[i].network, f);
            kata_graph *fast;
            assert_ok(kata_graph_optimize(&fast, net.graph));
            kata_session *session = run(fast, false);
            int n = count(session, expected[i].op);
            if (n != expected[i].n[f]) {
                fail_msg("%s, form %d: %d %s, expected %d", networks[expected[i].network].name, f,
                         n, expected[i].op, expected[i].n[f]);
            }
            kata_session_free(session);
            kata_graph_free(fast);
            kata_graph_free(net.graph);
        }
    }
}

/* Weights are packed at the first run and when they have changed, and stay where they are. */
static void test_prepared_weights(void **state) {
    (void)state;
    network net = build(kata_context_default(), 2, FORWARD), training = {0};
    kata_graph *fast;
    assert_ok(kata_graph_optimize(&fast, net.graph));
    kata_session *session = run(fast, false), *plain = run(net.graph, false);
    kata_session *again = run(fast, false);
    for (int i = 0; i < 3; i++) {
        fill_input(session);
        assert_ok(kata_session_run(session, 1, 1));
        same_bits("run again", session, again, 1);
    }
    for (int i = 0; i < kata_session_n_profile(session); i++) {
        kata_profile_row row = kata_session_profile(session, i);
        assert_int_equal(
            row.calls,
            strcmp(row.op, "ConvNhwcPrepack") == 0 || strcmp(row.op, "Transpose") == 0 ? 1 : 4);
    }

    kata_variable *weight = kata_graph_find_variable(net.graph, "w2");
    ((float *)weight->tensor.data)[3] += 1;
    kata_variable_changed(weight);
    assert_ok(kata_session_run(session, 1, 1));
    assert_ok(kata_session_run(plain, 1, 1));
    compare("changed by hand", fast, session, plain, 1e-4);

    /* A training session writes the same variables. */
    assert_ok(kata_graph_new(&training.graph, kata_context_default(), "training"));
    kata_value w = kata_graph_use_variable(training.graph, weight);
    kata_value moved = KATA_NODE(training.graph, "kata:SGD",
                                 KATA_INPUTS(w, KATA_NODE(training.graph, "Neg", KATA_INPUTS(w)),
                                             kata_graph_scalar(training.graph, KATA_F32, 0.5)));
    assert_ok(kata_graph_output(training.graph, NULL, moved));
    kata_session *step;
    assert_ok(kata_session_new(&step, training.graph, NULL));
    assert_ok(kata_session_run(step, 1, 1));
    assert_ok(kata_session_run(session, 1, 1));
    assert_ok(kata_session_run(plain, 1, 1));
    compare("trained", fast, session, plain, 1e-4);
    kata_session_free(step);
    kata_session_free(session);
    kata_session_free(plain);
    kata_session_free(again);
    kata_graph_free(training.graph);
    kata_graph_free(fast);
    kata_graph_free(net.graph);
}

/* A fault is told by the node's own name, and nothing is trained. */
static void test_non_finite_names_the_node(void **state) {
    (void)state;
    network net = build(kata_context_default(), 0, TRAINING);
    kata_graph *fast;
    assert_ok(kata_graph_optimize(&fast, net.graph));
    kata_session *session;
    assert_ok(kata_session_new(&session, fast, NULL));
    fill_input(session);
    float *weight = kata_graph_find_variable(net.graph, "w0")->tensor.data, old = weight[0];
    weight[0] = INFINITY;
    assert_int_equal(kata_session_run(session, 1, 1), KATA_NON_FINITE);
    assert_non_null(strstr(kata_error_message(), "Conv_"));
    assert_true(isinf(weight[0]));
    weight[0] = old;
    assert_ok(kata_session_run(session, 1, 1));
    kata_session_free(session);
    kata_graph_free(fast);
    kata_graph_free(net.graph);
}

/* Names of inputs and outputs stay; a batch of 0 and a graph without convolutions are copied. */
static void test_what_stays(void **state) {
    (void)state;
    kata_context *context = kata_context_default();
    kata_graph *graph, *bound, *fast;
    assert_ok(kata_graph_new(&graph, context, "stays"));
    network net = {.graph = graph};
    kata_value x =
        kata_graph_input(graph, "picture", KATA_F32, &KATA_SHAPE_OF(KATA_UNKNOWN_DIM, 1, 8, 8));
    kata_value y = node(&net, "Relu", conv(&net, x, (conv_options){.filters = 3, .kernel = 3}));
    assert_ok(kata_graph_output(graph, "features", y));
    assert_ok(kata_graph_output(graph, "scores", dense(&net, y, 2)));
    for (int64_t batch = 0; batch < 3; batch++) {
        assert_ok(kata_graph_bind(&bound, graph, KATA_SIZES({"N", batch}), false));
        assert_ok(kata_graph_optimize(&fast, bound));
        assert_string_equal(kata_value_name(fast, kata_graph_input_at(fast, 0)), "picture");
        assert_string_equal(kata_value_name(fast, kata_graph_output_at(fast, 0)), "features");
        assert_string_equal(kata_value_name(fast, kata_graph_output_at(fast, 1)), "scores");
        kata_session *a = run(fast, false), *b = run(bound, false);
        compare("stays", fast, a, b, 1e-4);
        assert_int_equal(count(a, "Conv"), batch == 0);
        kata_session_free(a);
        kata_session_free(b);
        kata_graph_free(fast);
        kata_graph_free(bound);
    }
    kata_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_numbers),
        cmocka_unit_test(test_same_bits_for_any_threads),
        cmocka_unit_test(test_what_is_put_together),
        cmocka_unit_test(test_prepared_weights),
        cmocka_unit_test(test_non_finite_names_the_node),
        cmocka_unit_test(test_what_stays),
    };
    return cmocka_run_group_tests_name("pass_optimize", tests, NULL, NULL);
}
