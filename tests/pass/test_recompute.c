/* kata__graph_recompute: the graph that runs nodes a second time computes the same bits, needs less
 * memory, grows as the square root of a chain's length, and updates nothing twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <kata/exec.h>

#include "exec/plan.h"
#include "pass/pass.h"
#include "support/assert_ok.h"
#include "support/counting_allocator.h"

enum { MAX_VARIABLES = 256, RUNS = 3 };

typedef struct network {
    kata_graph *graph;
    int n_variables;
    int64_t size; /* layers */
} network;

static kata_value variable(network *net, bool trainable, double low, double high,
                           kata_shape shape) {
    char name[16];
    kata_variable *made = NULL;
    snprintf(name, sizeof name, "w%d", net->n_variables++);
    kata_value value = kata_graph_variable(net->graph, name, KATA_F32, &shape, trainable, &made);
    for (int64_t i = 0; made != NULL && i < kata_tensor_count(&made->tensor); i++) {
        double u = kata_random_uniform(3, (uint32_t)net->n_variables, 0, (uint64_t)i);
        ((float *)made->tensor.data)[i] = (float)(low + u * (high - low));
    }
    return value;
}

static kata_value node(network *net, const char *op, kata_value x) {
    return KATA_NODE(net->graph, op, KATA_INPUTS(x));
}

static kata_value dense(network *net, kata_value x, int64_t units) {
    kata_shape shape = kata_value_shape(net->graph, x);
    kata_value w = variable(net, true, -0.5, 0.5, KATA_SHAPE_OF(shape.dim[1], units));
    kata_value b = variable(net, true, -0.1, 0.1, KATA_SHAPE_OF(units));
    return KATA_NODE(net->graph, "Gemm", KATA_INPUTS(x, w, b));
}

static kata_value conv(network *net, kata_value x, int64_t filters) {
    int64_t channels = kata_value_shape(net->graph, x).dim[1];
    kata_value w = variable(net, true, -0.4, 0.4, KATA_SHAPE_OF(filters, channels, 3, 3));
    kata_value b = variable(net, true, -0.1, 0.1, KATA_SHAPE_OF(filters));
    return KATA_NODE_WITH(net->graph, "Conv", KATA_INPUTS(x, w, b), KATA_INTS("pads", 1, 1, 1, 1));
}

static kata_value dropout(network *net, kata_value x) {
    kata_value ratio = kata_graph_scalar(net->graph, KATA_F32, 0.25);
    return KATA_NODE(net->graph, "Dropout", KATA_INPUTS(x, ratio));
}

/* The running statistics are *mean and *variance, made if they are none. */
static kata_value normalise(network *net, kata_value x, kata_value *mean, kata_value *variance) {
    kata_shape shape = KATA_SHAPE_OF(kata_value_shape(net->graph, x).dim[1]);
    kata_value scale = variable(net, true, 0.5, 1.5, shape);
    kata_value shift = variable(net, true, -0.5, 0.5, shape);
    if (mean->id == 0) {
        *mean = variable(net, false, 0, 0, shape);
        *variance = variable(net, false, 1, 1, shape);
    }
    return KATA_NODE(net->graph, "BatchNormalization",
                     KATA_INPUTS(x, scale, shift, *mean, *variance));
}

/* --- networks: the input is (n, 8, 8, 8), for a chain (n, 16) -------------------------------- */

static kata_value chain(network *net, kata_value x) {
    for (int64_t i = 0; i < net->size; i++) {
        x = node(net, "Tanh", dense(net, x, 16));
    }
    return x;
}

static kata_value normalised(network *net, kata_value x) {
    for (int64_t i = 0; i < net->size; i++) {
        kata_value mean = KATA_NONE, variance = KATA_NONE;
        x = normalise(net, conv(net, x, 8), &mean, &variance);
        x = dropout(net, node(net, "Relu", x));
    }
    return x;
}

/* The second normalisation reads the statistics that the first has updated. */
static kata_value shared(network *net, kata_value x) {
    for (int64_t i = 0; i < net->size; i++) {
        kata_value mean = KATA_NONE, variance = KATA_NONE;
        x = node(net, "Tanh", normalise(net, node(net, "Tanh", x), &mean, &variance));
        x = node(net, "Sigmoid", normalise(net, node(net, "Softplus", x), &mean, &variance));
    }
    return x;
}

/* Residuals across segments, views in the middle, pooling, which keeps places, and Split, which has
 * several outputs. */
static kata_value tangle(network *net, kata_value x) {
    kata_graph *graph = net->graph;
    kata_value flat = kata_graph_int64s(graph, (const int64_t[]){-1, 8 * 64}, 2);
    kata_value picture = kata_graph_int64s(graph, (const int64_t[]){-1, 8, 8, 8}, 4);
    for (int64_t i = 0; i < net->size; i++) {
        kata_value y = node(net, "Relu", conv(net, x, 8)), halves[2];
        y = KATA_NODE(graph, "Reshape", KATA_INPUTS(y, flat));
        y = dropout(net, node(net, "Tanh", y));
        y = KATA_NODE(graph, "Reshape", KATA_INPUTS(y, picture));
        const kata_attribute axis = KATA_INT("axis", 1);
        kata_graph_node_outputs(graph, NULL, "Split", &y, 1, &axis, 1, halves, 2);
        y = KATA_NODE_WITH(graph, "Concat", KATA_INPUTS(node(net, "Sigmoid", halves[1]), halves[0]),
                           axis);
        x = KATA_NODE(graph, "Add", KATA_INPUTS(x, y));
    }
    x = KATA_NODE_WITH(graph, "MaxPool", KATA_INPUTS(x), KATA_INTS("kernel_shape", 2, 2),
                       KATA_INTS("strides", 2, 2));
    return node(net, "Relu", conv(net, x, 8));
}

typedef kata_value (*builder)(network *, kata_value);

/* The training graph of a network with the loss mean(y^2), and in *model the graph that owns the
 * variables. The result is an output too. optimised: fused and NHWC. */
static kata_graph *training(kata_context *context, builder build, int64_t size, int64_t batch,
                            bool optimised, kata_graph **model) {
    network net = {.size = size};
    kata_graph *graph, *fast;
    assert_ok(kata_graph_new(&net.graph, context, "network"));
    *model = net.graph;
    kata_shape shape = build == chain ? KATA_SHAPE_OF(KATA_UNKNOWN_DIM, 16)
                                      : KATA_SHAPE_OF(KATA_UNKNOWN_DIM, 8, 8, 8);
    kata_value x = kata_graph_input(net.graph, "x", KATA_F32, &shape);
    assert_ok(kata_graph_output(net.graph, "y", build(&net, x)));
    assert_ok(kata_graph_bind(&graph, net.graph, KATA_SIZES({"N", batch}), true));

    kata_value y = kata_graph_output_at(graph, 0), wrt[MAX_VARIABLES], gradients[MAX_VARIABLES];
    kata_value loss =
        KATA_NODE_WITH(graph, "ReduceMean", KATA_INPUTS(KATA_NODE(graph, "Mul", KATA_INPUTS(y, y))),
                       KATA_INT("keepdims", 0));
    int n = 0;
    for (int i = 0; i < kata_graph_n_variables(net.graph); i++) {
        kata_variable *v = kata_graph_variable_at(net.graph, i);
        if (v->trainable) {
            wrt[n++] = kata_graph_use_variable(graph, v);
        }
    }
    assert_ok(kata_graph_differentiate(graph, loss, wrt, n, gradients));
    for (int i = 0; i < n; i++) {
        KATA_NODE(graph, "kata:SGD",
                  KATA_INPUTS(wrt[i], gradients[i], kata_graph_scalar(graph, KATA_F32, 0.1)));
    }
    graph->n_outputs = 0;
    assert_ok(kata_graph_output(graph, NULL, loss));
    assert_ok(kata_graph_output(graph, NULL, y));
    assert_ok(kata_graph_simplify(graph));
    if (optimised) {
        assert_ok(kata_graph_optimize(&fast, graph));
        kata_graph_free(graph);
        graph = fast;
    }
    return graph;
}

static size_t arena_of(const kata_graph *graph) {
    size_t bytes;
    assert_ok(kata__plan_arena_bytes(&bytes, graph));
    return bytes;
}

/* How often a node of this operator stands in the graph. */
static int count(const kata_graph *graph, const char *op) {
    int n = 0;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        n += !graph->nodes[i].removed && strcmp(graph->nodes[i].op->name, op) == 0;
    }
    return n;
}

static kata_session *run(const kata_graph *graph) {
    kata_session *session;
    assert_ok(kata_session_new(&session, graph, NULL));
    kata_tensor x = kata_session_input(session, 0);
    for (uint64_t step = 0; step < RUNS; step++) {
        for (int64_t i = 0; i < kata_tensor_count(&x); i++) {
            ((float *)x.data)[i] =
                (float)kata_random_uniform(4, 0, (uint32_t)step, (uint64_t)i) - 0.4F;
        }
        assert_ok(kata_session_run(session, 1, step));
    }
    return session;
}

/* Trains a network with and without; returns the share of memory that recomputation needs. *again:
 * how many nodes of operator `op` run again. */
static double compare(builder build, int64_t size, int64_t batch, bool optimised, const char *op,
                      int *again) {
    kata_graph *models[2], *graphs[2];
    kata_session *sessions[2];
    double bytes[2];
    for (int k = 0; k < 2; k++) {
        graphs[k] = training(kata_context_default(), build, size, batch, optimised, &models[k]);
    }
    assert_ok(kata__graph_recompute(&graphs[1], kata__plan_arena_bytes));
    for (int k = 0; k < 2; k++) {
        bytes[k] = (double)arena_of(graphs[k]);
        sessions[k] = run(graphs[k]);
        assert_true(kata_session_arena_bytes(sessions[k]) == (size_t)bytes[k]);
    }
    for (int k = 0; k < kata_graph_n_outputs(graphs[0]); k++) {
        kata_tensor a = kata_session_output(sessions[0], k);
        kata_tensor b = kata_session_output(sessions[1], k);
        assert_memory_equal(a.data, b.data, kata_tensor_bytes(&a));
    }
    for (int i = 0; i < kata_graph_n_variables(models[0]); i++) {
        const kata_variable *v = kata_graph_variable_at(models[0], i);
        const kata_variable *w = kata_graph_variable_at(models[1], i);
        if (memcmp(v->tensor.data, w->tensor.data, kata_tensor_bytes(&v->tensor)) != 0) {
            fail_msg("%s differs", v->name);
        }
        assert_true(v->version == w->version); /* updated as often */
    }
    assert_int_equal(count(graphs[1], "Assign"), count(graphs[0], "Assign"));
    assert_int_equal(count(graphs[1], "SGD"), count(graphs[0], "SGD"));
    *again = count(graphs[1], op) - count(graphs[0], op);
    assert_true(bytes[1] <= bytes[0]);
    for (int k = 0; k < 2; k++) {
        kata_session_free(sessions[k]);
        kata_graph_free(graphs[k]);
        kata_graph_free(models[k]);
    }
    return bytes[1] / bytes[0];
}

static void test_chain_grows_as_the_root(void **state) {
    (void)state;
    static const int64_t sizes[] = {16, 32, 64};
    static const double most[] = {0.5, 0.35, 0.25};
    double bytes[3][2];
    for (int i = 0; i < 3; i++) {
        int again;
        double share = compare(chain, sizes[i], 2000, false, "Tanh", &again);
        if (share > most[i]) {
            fail_msg("%d layers take %.1f %%", (int)sizes[i], 100 * share);
        }
        assert_in_range(again, 1, sizes[i]); /* at most one forward pass more */
        kata_graph *model,
            *graph = training(kata_context_default(), chain, sizes[i], 2000, false, &model);
        bytes[i][0] = (double)arena_of(graph);
        bytes[i][1] = share * bytes[i][0];
        kata_graph_free(graph);
        kata_graph_free(model);
    }
    assert_true(bytes[2][0] / bytes[0][0] > 3.3); /* n: 4 but for what is not of the layers */
    assert_true(bytes[2][1] / bytes[0][1] < 2);   /* sqrt n */
}

static void test_statistics_and_dropout(void **state) {
    (void)state;
    for (int optimised = 0; optimised < 2; optimised++) {
        int again;
        double share = compare(normalised, 8, 20, optimised, "Dropout", &again);
        assert_true(share < 0.7);
        compare(normalised, 8, 20, optimised, "BatchNormalization", &again);
        assert_true(again > 0);
    }
}

static void test_statistics_read_after_update(void **state) {
    (void)state;
    int again;
    assert_true(compare(shared, 4, 20, false, "BatchNormalization", &again) < 1);
    assert_int_equal(again, 0);
    compare(shared, 4, 20, false, "Softplus", &again);
    assert_true(again > 0);
}

static void test_views_places_and_several_outputs(void **state) {
    (void)state;
    for (int optimised = 0; optimised < 2; optimised++) {
        for (int64_t size = 1; size <= 12; size += 1) {
            int again;
            double share = compare(tangle, size, 10, optimised, "Dropout", &again);
            assert_true(size < 8 || (share < 0.75 && again > 0));
        }
    }
}

/* Where nothing is gained the graph is the one that was given. */
static void test_nothing_to_gain(void **state) {
    (void)state;
    kata_graph *model, *graph = training(kata_context_default(), chain, 1, 20, true, &model);
    kata_graph *before = graph, *bound;
    assert_ok(kata__graph_recompute(&graph, kata__plan_arena_bytes));
    assert_ptr_equal(graph, before);
    assert_ok(kata_graph_bind(&bound, model, KATA_SIZES({"N", 20}), false)); /* no backward pass */
    before = bound;
    assert_ok(kata__graph_recompute(&bound, kata__plan_arena_bytes));
    assert_ptr_equal(bound, before);
    kata_graph_free(bound);
    kata_graph_free(graph);
    kata_graph_free(model);

    assert_ok(kata_graph_new(&graph, kata_context_default(), "empty"));
    before = graph;
    assert_ok(kata__graph_recompute(&graph, kata__plan_arena_bytes));
    assert_ptr_equal(graph, before);
    kata_graph_free(graph);
}

/* Each allocation failed once: the graph stays, and nothing leaks. */
static void test_short_of_memory(void **state) {
    (void)state;
    kata_test_allocator allocator;
    kata_test_allocator_init(&allocator);
    kata_context *context = kata_test_context(&allocator, 1);
    kata_graph *model, *graph = training(context, chain, 8, 2000, false, &model), *before = graph;
    int64_t live = allocator.n_live;
    kata_status status = KATA_OUT_OF_MEMORY;
    for (int64_t fail_at = 1; status != KATA_OK; fail_at += 1 + fail_at / 16) {
        kata_test_allocator_reset(&allocator, fail_at);
        status = kata__graph_recompute(&graph, kata__plan_arena_bytes);
        assert_true(status == KATA_OK || status == KATA_OUT_OF_MEMORY);
        assert_true(status == KATA_OK || (graph == before && allocator.n_live == live));
    }
    assert_true(graph != before);
    kata_test_allocator_reset(&allocator, 0);
    kata_graph_free(graph);
    kata_graph_free(model);
    kata_context_free(context);
    assert_int_equal(allocator.n_live, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain_grows_as_the_root),
        cmocka_unit_test(test_statistics_and_dropout),
        cmocka_unit_test(test_statistics_read_after_update),
        cmocka_unit_test(test_views_places_and_several_outputs),
        cmocka_unit_test(test_nothing_to_gain),
        cmocka_unit_test(test_short_of_memory),
    };
    return cmocka_run_group_tests_name("pass_recompute", tests, NULL, NULL);
}
