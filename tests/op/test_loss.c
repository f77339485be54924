/* Softmax, its losses and the optimisers' paths against the books. "L..." are lines of the book,
 * [D] numbers derived from it (scratch-book-2-backprop-to-deep.md, sections 1, 2 and 5). */
#include "op/oracle.h"

static const double scores[3] = {0.3, 2.9, 4.0};

/* 5.6.3 [D], the course's 4, 8, 2 and the article's 0.4, 0.1 (course-and-tagging-article). */
static void test_softmax(void **state) {
    (void)state;
    oracle o = oracle_begin();
    oracle_output(
        &o, KATA_NODE(o.graph, "Softmax", KATA_INPUTS(oracle_input(&o, KATA_SHAPE_OF(3), scores))));
    oracle_output(
        &o, KATA_NODE(o.graph, "Softmax",
                      KATA_INPUTS(oracle_input(&o, KATA_SHAPE_OF(3), NUMBERS(1010, 1000, 990)))));
    oracle_output(&o, KATA_NODE(o.graph, "Softmax",
                                KATA_INPUTS(oracle_input(&o, KATA_SHAPE_OF(3), NUMBERS(4, 8, 2)))));
    oracle_output(&o,
                  KATA_NODE(o.graph, "Softmax",
                            KATA_INPUTS(oracle_input(&o, KATA_SHAPE_OF(2), NUMBERS(0.4, 0.1)))));
    oracle_output(&o,
                  KATA_NODE(o.graph, "Softmax",
                            KATA_INPUTS(oracle_input(&o, KATA_SHAPE_OF(2), NUMBERS(5.3, 10.1)))));
    oracle_forward(&o);
    EXPECT_OUTPUT(&o, 0, 1e-14, 0.0182112732955475, 0.245191812935074, 0.736596913769379);
    EXPECT_OUTPUT(&o, 1, 1e-14, 0.999954600070331, 4.53978686088667e-05, 2.06106004620906e-09);
    EXPECT_OUTPUT(&o, 2, 5e-4, 0.018, 0.980, 0.002);
    EXPECT_OUTPUT(&o, 3, 5e-4, 0.574, 0.426);
    /* Figure 5-28: 0.991 and 0.008 of ten (L4186): 0.991 exp(5.3 - 10.1) = 0.0081557 [D] */
    kata_tensor y = oracle_value(&o, 4);
    oracle_close("figure 5-28", 0,
                 0.991 * ((const double *)y.data)[0] / ((const double *)y.data)[1], 0.0081557,
                 5e-8);
    oracle_end(&o);
}

/* A loss node with or without its second output; x float64, labels int64. */
static void cross_entropy(oracle *o, kata_shape shape, const double *x, const double *labels,
                          bool log_prob) {
    kata_shape of_labels = KATA_SHAPE_OF(shape.dim[0]);
    kata_value in[2] = {oracle_input(o, shape, x), oracle_typed(o, KATA_I64, of_labels, labels)};
    kata_value y[2];
    kata_graph_node_outputs(o->graph, NULL, "SoftmaxCrossEntropyLoss", in, 2, NULL, 0, y,
                            log_prob ? 2 : 1);
    oracle_output(o, y[0]);
}

/* Loss and y - t: [D] of 5.6.3, and the pairs of L4218 and L4220. The guard 1e-7 of the book's log
 * is not here. */
static void test_softmax_with_loss(void **state) {
    (void)state;
    for (int log_prob = 0; log_prob < 2; log_prob++) {
        oracle o = oracle_begin();
        cross_entropy(&o, KATA_SHAPE_OF(1, 3), scores, NUMBERS(1), log_prob == 1);
        oracle_backward(&o, NULL);
        EXPECT_OUTPUT(&o, 0, 1e-13, 1.40571446481245);
        EXPECT_OUTPUT(&o, 1, 1e-14, 0.0182112732955475, -0.754808187064926, 0.736596913769379);
        oracle_end(&o);

        o = oracle_begin();
        cross_entropy(&o, KATA_SHAPE_OF(1, 3), NUMBERS(log(0.3), log(0.2), log(0.5)), NUMBERS(1),
                      log_prob == 1);
        oracle_backward(&o, NULL);
        EXPECT_OUTPUT(&o, 0, 1e-14, 1.6094379124341003);
        EXPECT_OUTPUT(&o, 1, 1e-14, 0.3, -0.8, 0.5);
        oracle_end(&o);

        o = oracle_begin();
        cross_entropy(&o, KATA_SHAPE_OF(1, 3), NUMBERS(log(0.01), log(0.99), (double)-INFINITY),
                      NUMBERS(1), log_prob == 1);
        oracle_backward(&o, NULL);
        EXPECT_OUTPUT(&o, 0, 1e-14, 0.01005033585350145);
        EXPECT_OUTPUT(&o, 1, 1e-14, 0.01, -0.01, 0);
        oracle_end(&o);

        /* the mean over the batch: (y - t) / N (L4247) */
        o = oracle_begin();
        cross_entropy(&o, KATA_SHAPE_OF(2, 3),
                      NUMBERS(log(0.3), log(0.2), log(0.5), log(0.01), log(0.99), -1000),
                      NUMBERS(1, 1), log_prob == 1);
        oracle_backward(&o, NULL);
        EXPECT_OUTPUT(&o, 0, 1e-14, (1.6094379124341003 + 0.01005033585350145) / 2);
        EXPECT_OUTPUT(&o, 1, 1e-14, 0.15, -0.4, 0.25, 0.005, -0.005, 0);
        oracle_end(&o);
    }
}

/* The article's probabilities 0.2 and 0.8 with the natural logarithm: 1.609 and 0.223; a net that
 * knows nothing has the loss ln 10 (6.2.4 [D]). */
static void test_known_losses(void **state) {
    (void)state;
    oracle o = oracle_begin();
    kata_value in[2] = {
        oracle_input(&o, KATA_SHAPE_OF(2, 2), NUMBERS(log(0.2), log(0.8), log(0.2), log(0.8))),
        oracle_typed(&o, KATA_I64, KATA_SHAPE_OF(2), NUMBERS(0, 1))};
    oracle_output(&o, KATA_NODE_WITH(o.graph, "NegativeLogLikelihoodLoss",
                                     KATA_INPUTS(in[0], in[1]), KATA_STRING("reduction", "none")));
    oracle_forward(&o);
    EXPECT_OUTPUT(&o, 0, 5e-4, 1.609, 0.223);
    oracle_end(&o);
    double zeros[30] = {0};
    o = oracle_begin();
    cross_entropy(&o, KATA_SHAPE_OF(3, 10), zeros, NUMBERS(0, 4, 9), false);
    oracle_forward(&o);
    EXPECT_OUTPUT(&o, 0, 1e-14, 2.302585092994046);
    oracle_end(&o);
}

/* mean with weights: the divisor is the sum of the used labels' weights; ignored rows get nothing.
 */
static void test_weights_and_ignored(void **state) {
    (void)state;
    oracle o = oracle_begin();
    kata_value in[3] = {oracle_input(&o, KATA_SHAPE_OF(3, 2),
                                     NUMBERS(log(0.5), log(0.5), log(0.25), log(0.75), 7, 8)),
                        oracle_typed(&o, KATA_I64, KATA_SHAPE_OF(3), NUMBERS(0, 1, -100)),
                        oracle_constant(&o, KATA_SHAPE_OF(2), NUMBERS(1, 3))};
    oracle_output(&o,
                  KATA_NODE_WITH(o.graph, "SoftmaxCrossEntropyLoss",
                                 KATA_INPUTS(in[0], in[1], in[2]), KATA_INT("ignore_index", -100)));
    oracle_backward(&o, NULL);
    EXPECT_OUTPUT(&o, 0, 1e-14, (log(2) + 3 * log(4.0 / 3)) / 4);
    EXPECT_OUTPUT(&o, 1, 1e-14, -0.5 / 4, 0.5 / 4, 0.25 * 3 / 4, -0.25 * 3 / 4, 0, 0);
    oracle_end(&o);
}

/* Appendix A, the graph A-5 node by node (L6475-6603), with the numbers of the [D] trace. */
static void test_appendix_a(void **state) {
    (void)state;
    oracle o = oracle_begin();
    kata_graph *graph = o.graph;
    kata_value a = oracle_input(&o, KATA_SHAPE_OF(3), scores);
    kata_value t = oracle_constant(&o, KATA_SHAPE_OF(3), NUMBERS(0, 1, 0));
    kata_value e = KATA_NODE(graph, "Exp", KATA_INPUTS(a));
    kata_value s = KATA_NODE_WITH(graph, "ReduceSum", KATA_INPUTS(e), KATA_INT("keepdims", 0));
    kata_value r = KATA_NODE(graph, "Reciprocal", KATA_INPUTS(s));
    kata_value y = KATA_NODE(graph, "Mul", KATA_INPUTS(e, r));
    kata_value terms =
        KATA_NODE(graph, "Mul", KATA_INPUTS(t, KATA_NODE(graph, "Log", KATA_INPUTS(y))));
    kata_value sum =
        KATA_NODE_WITH(graph, "ReduceSum", KATA_INPUTS(terms), KATA_INT("keepdims", 0));
    kata_value loss = KATA_NODE(graph, "Neg", KATA_INPUTS(sum));
    const kata_value watched[5] = {loss, e, s, r, y};
    for (int i = 0; i < 5; i++) {
        oracle_output(&o, watched[i]);
    }
    oracle_bind(&o, false);
    kata_value wrt[5] = {kata_graph_input_at(o.bound, 0)}, gradients[5];
    for (int i = 1; i < 5; i++) {
        wrt[i] = kata_graph_output_at(o.bound, i);
    }
    ORACLE_OK(
        kata_graph_differentiate(o.bound, kata_graph_output_at(o.bound, 0), wrt, 5, gradients));
    for (int i = 0; i < 5; i++) {
        ORACLE_OK(kata_graph_output(o.bound, NULL, gradients[i]));
    }
    oracle_run(&o, 1, 0);
    double big = 74.1221542101633; /* S */
    EXPECT_OUTPUT(&o, 0, 1e-13, 1.40571446481245);
    EXPECT_OUTPUT(&o, 1, 1e-14, 1.3498588075760032, 18.174145369443060, 54.598150033144236);
    EXPECT_OUTPUT(&o, 2, 1e-14, big);
    /* step 6: y - t; steps 4 and 5 summed: 1/S - t/exp(a); step 3: 1/S; step 2 summed: -S; step 1:
     * -t/y */
    EXPECT_OUTPUT(&o, 5, 1e-13, 0.0182112732955475, -0.754808187064926, 0.736596913769379);
    EXPECT_OUTPUT(&o, 6, 1e-13, 1 / big, 1 / big - 1 / 18.174145369443060, 1 / big);
    EXPECT_OUTPUT(&o, 7, 1e-13, 1 / big);
    EXPECT_OUTPUT(&o, 8, 1e-13, -big);
    EXPECT_OUTPUT(&o, 9, 1e-5, 0, -4.07844, 0);
    oracle_end(&o);
}

/* --- 6.1: the optimisers' paths on f = x^2/20 + y^2 from (-7, 2) (L4598-4619), values [D] --- */

typedef struct path {
    const char *op;
    int n_states;
    double lr;
    bool has_step;
    double at[4][3]; /* k, x, y */
} path;

static const path paths[] = {
    {"kata:SGD",
     0,
     0.95,
     false,
     {{1, -6.335, -1.8},
      {3, -5.188523375, -1.458},
      {10, -2.57978689383, 0.6973568802},
      {30, -0.350392995752, 0.0847823165504}}},
    {"kata:Momentum",
     1,
     0.1,
     false,
     {{1, -6.93, 1.6},
      {3, -6.610653, 0.124},
      {10, -4.34755378729, 0.0087997412},
      {30, 0.896413858494, 0.0880856017151}}},
    {"kata:AdaGrad",
     1,
     1.5,
     false,
     {{1, -5.50000021429, 0.5000000375},
      {3, -3.88784233897, 0.0373145704965},
      {10, -1.48938552938, 4.33778039617e-06},
      {30, -0.120162322314, 2.48638989398e-17}}},
    {"kata:Adam",
     2,
     0.3,
     true,
     {{1, -6.70000135526, 1.70000023717},
      {3, -6.10154900698, 1.10891203943},
      {10, -4.0594185726, -0.491846287476},
      {30, 0.136006852395, 0.318245375537}}},
    {"kata:RMSProp",
     1,
     0.1,
     false,
     {{1, -6.00000142857, 1.00000025}, {30, -0.697420309681, 1.48346215083e-08}}},
};

/* The whole step as one graph: forward, backward, update. */
static void test_path(void **state) {
    const path *p = *state;
    oracle o = oracle_begin();
    kata_shape two = KATA_SHAPE_OF(2);
    kata_variable *w_variable, *states[2];
    kata_value w = kata_graph_variable(o.graph, "w", KATA_F64, &two, true, &w_variable);
    ((double *)w_variable->tensor.data)[0] = -7;
    ((double *)w_variable->tensor.data)[1] = 2;
    kata_value square = KATA_NODE(o.graph, "Mul", KATA_INPUTS(w, w));
    kata_value terms =
        KATA_NODE(o.graph, "Mul", KATA_INPUTS(square, oracle_constant(&o, two, NUMBERS(0.05, 1))));
    oracle_output(
        &o, KATA_NODE_WITH(o.graph, "ReduceSum", KATA_INPUTS(terms), KATA_INT("keepdims", 0)));
    for (int i = 0; i < p->n_states; i++) {
        kata_graph_variable(o.graph, i == 0 ? "first" : "second", KATA_F64, &two, false,
                            &states[i]);
    }
    oracle_bind(&o, false);
    kata_value inputs[6], outputs[3], gradient;
    int n = 0;
    inputs[n++] = kata_graph_use_variable(o.bound, w_variable);
    ORACLE_OK(
        kata_graph_differentiate(o.bound, kata_graph_output_at(o.bound, 0), inputs, 1, &gradient));
    for (int i = 0; i < p->n_states; i++) {
        inputs[n++] = kata_graph_use_variable(o.bound, states[i]);
    }
    inputs[n++] = gradient;
    inputs[n++] = kata_graph_scalar(o.bound, KATA_F64, p->lr);
    if (p->has_step) {
        kata_shape scalar = {.rank = 0};
        inputs[n++] = kata_graph_input(o.bound, "t", KATA_I64, &scalar);
    }
    ORACLE_OK(kata_graph_node_outputs(o.bound, NULL, p->op, inputs, n, NULL, 0, outputs,
                                      1 + p->n_states));
    int row = 0;
    double t = 0;
    if (p->has_step) {
        o.data[o.n_inputs++] = &t;
    }
    for (int k = 1; k <= 30; k++) {
        t = k;
        oracle_run(&o, 1, (uint64_t)k);
        if (row < 4 && (int)p->at[row][0] == k) {
            const double *at = w_variable->tensor.data;
            oracle_close(p->op, 0, at[0], p->at[row][1], 1e-11);
            oracle_close(p->op, 1, at[1], p->at[row][2], 1e-11);
            row++;
        }
    }
    assert_true(row == 4 || p->at[row][0] == 0);
    oracle_end(&o);
}

/* Nesterov's first two steps by hand, and decoupled weight decay: w -= lr decay w before the step.
 */
static void test_nesterov_and_decay(void **state) {
    (void)state;
    for (int decay = 0; decay < 2; decay++) {
        oracle o = oracle_begin();
        kata_shape one = KATA_SHAPE_OF(1);
        kata_variable *w, *v;
        kata_value vw = kata_graph_variable(o.graph, "w", KATA_F64, &one, true, &w);
        kata_value vv = kata_graph_variable(o.graph, "v", KATA_F64, &one, false, &v);
        *(double *)w->tensor.data = 2;
        kata_value y[2], in[4] = {vw, vv, oracle_input(&o, one, NUMBERS(3)),
                                  kata_graph_scalar(o.graph, KATA_F64, 0.1)};
        kata_graph_node_outputs(o.graph, NULL, "kata:Nesterov", in, 4,
                                (const kata_attribute[]){KATA_FLOAT("momentum", 0.5),
                                                         KATA_FLOAT("weight_decay", decay * 0.25)},
                                2, y, 2);
        oracle_bind(&o, false);
        double expected = 2, velocity = 0;
        for (int k = 0; k < 2; k++) {
            oracle_run(&o, 1, 0);
            expected -= 0.1 * decay * 0.25 * expected;
            expected += 0.25 * velocity - 1.5 * 0.1 * 3;
            velocity = 0.5 * velocity - 0.1 * 3;
            oracle_close("w", k, *(const double *)w->tensor.data, expected, 1e-15);
            oracle_close("v", k, *(const double *)v->tensor.data, velocity, 1e-15);
        }
        oracle_end(&o);
    }
}

#define PATH(i)                                                                                    \
    {                                                                                              \
        .name = "test_path " #i, .test_func = test_path,                                           \
        .initial_state = (void *)(uintptr_t)&paths[i]                                              \
    }
static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_softmax),
    cmocka_unit_test(test_softmax_with_loss),
    cmocka_unit_test(test_known_losses),
    cmocka_unit_test(test_weights_and_ignored),
    cmocka_unit_test(test_appendix_a),
    PATH(0),
    PATH(1),
    PATH(2),
    PATH(3),
    PATH(4),
    cmocka_unit_test(test_nesterov_and_decay),
};
ORACLES("op_loss", tests)
