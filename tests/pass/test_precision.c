/* kata_graph_lower_precision: the lowered graph computes what the optimised one does, to within
 * bfloat16's rounding, forward and backward, with every way to multiply; the same bits for any
 * number of threads; what should be lowered is, and nothing else; weights are packed again when
 * they change.
 */
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
    double fan_in = shape.rank == 2 ? (double)shape.dim[0] : 1;
    for (int i = 1; i < shape.rank && shape.rank == 4; i++) {
        fan_in *= (double)shape.dim[i];
    }
    for (int64_t i = 0; i < kata_tensor_count(&made->tensor); i++) {
        double u = kata_random_uniform(3, (uint32_t)net->n_variables, 0, (uint64_t)i);
        ((float *)made->tensor.data)[i] = (float)((2 * u - 1) * sqrt(6 / fan_in));
    }
    return value;
}

static kata_value conv(network *net, kata_value x, int64_t filters, int64_t kernel, int64_t pad,
                       int64_t stride) {
    kata_shape shape = kata_value_shape(net->graph, x);
    kata_value w = variable(net, KATA_SHAPE_OF(filters, shape.dim[1], kernel, kernel));
    kata_value b = variable(net, KATA_SHAPE_OF(filters));
    return KATA_NODE_WITH(net->graph, "Conv", KATA_INPUTS(x, w, b),
                          KATA_INTS("pads", pad, pad, pad, pad),
                          KATA_INTS("strides", stride, stride));
}

static kata_value node(network *net, const char *op, kata_value x) {
    return KATA_NODE(net->graph, op, KATA_INPUTS(x));
}

static kata_value halve(network *net, kata_value x) {
    return KATA_NODE_WITH(net->graph, "MaxPool", KATA_INPUTS(x), KATA_INTS("kernel_shape", 2, 2),
                          KATA_INTS("strides", 2, 2));
}

static kata_value dense(network *net, kata_value x, int64_t units) {
    x = node(net, "Flatten", x);
    int64_t features = kata_value_shape(net->graph, x).dim[1];
    kata_value w = variable(net, KATA_SHAPE_OF(features, units));
    return KATA_NODE(net->graph, "Gemm", KATA_INPUTS(x, w, variable(net, KATA_SHAPE_OF(units))));
}

/* A large dense layer and a small one, which stays float32. */
static kata_value simple(network *net, kata_value x) {
    x = halve(net, node(net, "Relu", conv(net, x, 30, 5, 0, 1)));
    return dense(net, node(net, "Relu", dense(net, x, 100)), 4);
}

static kata_value deep(network *net, kata_value x) {
    static const int64_t filters[] = {16, 16, 32, 20}, pads[] = {1, 1, 2, 1};
    for (int i = 0; i < 4; i++) {
        x = node(net, "Relu", conv(net, x, filters[i], 3, pads[i], 1));
        x = i % 2 == 1 ? halve(net, x) : x;
    }
    return dense(net, x, 4);
}

/* Two convolutions in a row without an activation, a residual, a stride, a mean. */
static kata_value residual(network *net, kata_value x) {
    x = node(net, "Relu", conv(net, x, 8, 3, 1, 1));
    kata_value y = conv(net, node(net, "Relu", conv(net, x, 8, 3, 1, 1)), 8, 3, 1, 1);
    x = node(net, "Relu", KATA_NODE(net->graph, "Add", KATA_INPUTS(y, x)));
    x = node(net, "Relu", conv(net, x, 17, 3, 1, 2));
    return dense(net, node(net, "GlobalAveragePool", x), 4);
}

static const struct {
    const char *name;
    kata_value (*build)(network *, kata_value);
    int64_t n, c, h;
} networks[] = {
    {"simple", simple, 5, 1, 28}, {"deep", deep, 4, 1, 12}, {"residual", residual, 3, 3, 8}};
enum { N_NETWORKS = sizeof networks / sizeof networks[0] };

/* The optimised graph of a network: its result and, if it trains, the gradients of sum(result *
 * weights) by each variable and their updates. *plain is the graph that owns the variables. */
static kata_graph *build(kata_context *context, int which, bool trains, kata_graph **plain) {
    network net = {0};
    assert_ok(kata_graph_new(&net.graph, context, networks[which].name));
    kata_graph *graph = *plain = net.graph, *optimized;
    kata_value x = kata_graph_input(
        graph, "x", KATA_F32,
        &KATA_SHAPE_OF(networks[which].n, networks[which].c, networks[which].h, networks[which].h));
    kata_value y = networks[which].build(&net, x);
    assert_ok(kata_graph_output(graph, "y", y));
    if (trains) {
        kata_value wrt[MAX_VARIABLES], gradients[MAX_VARIABLES];
        kata_value loss = KATA_NODE(graph, "Mul", KATA_INPUTS(y, y));
        loss = KATA_NODE_WITH(graph, "ReduceSum", KATA_INPUTS(loss), KATA_INT("keepdims", 0));
        for (int i = 0; i < net.n_variables; i++) {
            wrt[i] = kata_graph_use_variable(graph, kata_graph_variable_at(graph, i));
        }
        assert_ok(kata_graph_differentiate(graph, loss, wrt, net.n_variables, gradients));
        for (int i = 0; i < net.n_variables; i++) {
            assert_ok(kata_graph_output(graph, NULL, gradients[i]));
            KATA_NODE(graph, "kata:SGD",
                      KATA_INPUTS(wrt[i], gradients[i], kata_graph_scalar(graph, KATA_F32, 0.01)));
        }
        assert_ok(kata_graph_simplify(graph));
    }
    assert_ok(kata_graph_optimize(&optimized, graph));
    return optimized;
}

static kata_session *run(const kata_graph *graph, bool reference) {
    kata_session *session;
    assert_ok(kata_session_new(&session, graph, &(kata_session_options){.reference = reference}));
    kata_tensor x = kata_session_input(session, 0);
    for (int64_t i = 0; i < kata_tensor_count(&x); i++) {
        ((float *)x.data)[i] = (float)kata_random_uniform(4, 0, 0, (uint64_t)i);
    }
    assert_ok(kata_session_run(session, 1, 1));
    return session;
}

/* ||got - want|| / ||want|| for each output. */
static void compare(const char *what, kata_session *got, kata_session *want, int n_outputs,
                    double tolerance) {
    for (int k = 0; k < n_outputs; k++) {
        kata_tensor a = kata_session_output(got, k), b = kata_session_output(want, k);
        assert_true(kata_shape_equal(&a.shape, &b.shape));
        assert_int_equal(a.dtype, KATA_F32);
        const float *x = a.data, *y = b.data;
        double error = 0, size = 0;
        for (int64_t i = 0; i < kata_tensor_count(&a); i++) {
            error += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
            size += (double)y[i] * (double)y[i];
        }
        if (!(sqrt(error) <= tolerance * sqrt(size) && size > 0)) {
            fail_msg("%s: output %d is off by %.3g of %.3g", what, k, sqrt(error), sqrt(size));
        }
    }
}

static const char *const ways[][2] = {{"portable", "plain"},
                                      {"avx2", "plain"},
                                      {"avx512", "plain"},
                                      {"avx512", "avx512_bf16"},
                                      {"avx512", "amx"}};

static void quiet(void *user, kata_log_level level, const char *line) {
    (void)user;
    (void)level;
    (void)line;
}

static void test_same_numbers(void **state) {
    (void)state;
    for (int way = 0; way < 5; way++) {
        kata_context *context;
        assert_ok(kata_context_new(&context, &(kata_context_options){.kernels = ways[way][0],
                                                                     .bfloat16 = ways[way][1],
                                                                     .threads = 1,
                                                                     .log = quiet}));
        for (int i = 0; i < N_NETWORKS; i++) {
            for (int trains = 0; trains < 2; trains++) {
                char what[96];
                snprintf(what, sizeof what, "%s, %s, trains %d", networks[i].name, ways[way][1],
                         trains);
                kata_graph *plain, *again, *half;
                kata_graph *fast = build(context, i, trains, &plain);
                kata_graph *other = build(context, i, trains, &again);
                assert_ok(kata_graph_lower_precision(&half, other));
                kata_session *want = run(fast, false), *got = run(half, false);
                int n = kata_graph_n_outputs(fast);
                compare(what, got, want, 1, 0.02);
                compare(what, got, want, n, 0.06);
                if (trains) {
                    for (int v = 0; v < kata_graph_n_variables(plain); v++) {
                        assert_int_equal(kata_graph_variable_at(again, v)->tensor.dtype, KATA_F32);
                    }
                }
                kata_session_free(got);
                if (way == 0 && !trains) { /* the plain rows */
                    got = run(half, true);
                    compare("reference", got, want, 1, 0.02);
                    kata_session_free(got);
                }
                kata_session_free(want);
                kata_graph_free(half);
                kata_graph_free(fast);
                kata_graph_free(other);
                kata_graph_free(plain);
                kata_graph_free(again);
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
        kata_graph *plain[3], *fast[3], *half[3];
        kata_session *sessions[3];
        for (int t = 0; t < 3; t++) {
            assert_ok(
                kata_context_new(&contexts[t], &(kata_context_options){.threads = threads[t]}));
            fast[t] = build(contexts[t], i, true, &plain[t]);
            assert_ok(kata_graph_lower_precision(&half[t], fast[t]));
            sessions[t] = run(half[t], false);
        }
        for (int t = 1; t < 3; t++) {
            for (int k = 0; k < kata_graph_n_outputs(half[0]); k++) {
                kata_tensor a = kata_session_output(sessions[0], k);
                kata_tensor b = kata_session_output(sessions[t], k);
                assert_memory_equal(a.data, b.data, kata_tensor_bytes(&a));
            }
        }
        for (int t = 0; t < 3; t++) {
            kata_session_free(sessions[t]);
            kata_graph_free(half[t]);
            kata_graph_free(fast[t]);
            kata_graph_free(plain[t]);
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

static void test_what_is_lowered(void **state) {
    (void)state;
    static const struct {
        int network;
        const char *op;
        int n[2]; /* predicting, training */
    } expected[] = {
        {0, "ConvNhwc", {0, 0}},
        {0, "ConvNhwcPrepack", {0, 0}},
        {0, "ConvBfloat16", {1, 1}},
        {0, "ConvBfloat16GradWeight", {0, 1}},
        {0, "GemmBfloat16", {1, 3}},
        {0, "MaxPoolNhwcGrad", {0, 0}},
        {1, "ConvNhwc", {0, 0}},
        {1, "ConvBfloat16", {4, 7}},
        {1, "ConvBfloat16Prepack", {4, 7}},
        {1, "MaxPoolNhwcGrad", {0, 0}},
        {1, "ConvNhwcGradWeight", {0, 0}},
        {1, "GemmBfloat16", {0, 0}},
        {2, "ConvNhwc", {0, 0}},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        for (int trains = 0; trains < 2; trains++) {
            kata_graph *plain, *half;
            kata_graph *fast = build(kata_context_default(), expected[i].network, trains, &plain);
            assert_ok(kata_graph_lower_precision(&half, fast));
            kata_session *session = run(half, false);
            int n = count(session, expected[i].op);
            if (n != expected[i].n[trains]) {
                fail_msg("%s, trains %d: %d %s, expected %d", networks[expected[i].network].name,
                         trains, n, expected[i].op, expected[i].n[trains]);
            }
            kata_session_free(session);
            kata_graph_free(half);
            kata_graph_free(fast);
            kata_graph_free(plain);
        }
    }
}

/* Weights are rounded and packed at the first run and when they have changed. */
static void test_prepared_weights(void **state) {
    (void)state;
    kata_graph *plain, *half;
    kata_graph *fast = build(kata_context_default(), 0, false, &plain);
    assert_ok(kata_graph_lower_precision(&half, fast));
    kata_session *session = run(half, false), *full;
    assert_ok(kata_session_run(session, 1, 1));
    for (int i = 0; i < kata_session_n_profile(session); i++) {
        kata_profile_row row = kata_session_profile(session, i);
        bool packs = strcmp(row.op, "ConvBfloat16Prepack") == 0 ||
                     strcmp(row.op, "GemmBfloat16Prepack") == 0;
        if (strcmp(row.op, "Transpose") != 0) { /* of pictures or of a weight */
            assert_int_equal(row.calls, packs ? 1 : 2);
        }
    }
    kata_variable *weight = kata_graph_find_variable(plain, "w0");
    for (int64_t i = 0; i < kata_tensor_count(&weight->tensor); i++) {
        ((float *)weight->tensor.data)[i] *= -3;
    }
    kata_variable_changed(weight);
    assert_ok(kata_session_run(session, 1, 1));
    full = run(fast, false);
    compare("changed", session, full, 1, 0.02);
    kata_session_free(full);
    kata_session_free(session);
    kata_graph_free(half);
    kata_graph_free(fast);
    kata_graph_free(plain);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_numbers),
        cmocka_unit_test(test_same_bits_for_any_threads),
        cmocka_unit_test(test_what_is_lowered),
        cmocka_unit_test(test_prepared_weights),
    };
    return cmocka_run_group_tests_name("pass_precision", tests, NULL, NULL);
}
