/* Gradients where a choice was made (ties, kinks, zeros), and the book's worked examples. */
#include "op/harness.h"

enum { MAX_IN = 4 };

/* loss = sum(dy * op(inputs)); the gradient by input i comes out in dx[i]. */
typedef struct check {
    const char *op;
    int n_inputs, n; /* elements of each input (rank 1) */
    double x[MAX_IN][6], dy[6], dx[MAX_IN][6];
    int n_out;
} check;

static void run_check(const check *c) {
    kata_context *context = kata_context_default();
    kata_graph *graph, *bound;
    kata_session *session;
    kata_value x[MAX_IN], gradients[MAX_IN], wrt[MAX_IN];
    kata_shape shape = KATA_SHAPE_OF(c->n), out = KATA_SHAPE_OF(c->n_out > 0 ? c->n_out : c->n);
    TEST_OK(kata_graph_new(&graph, context, "check"));
    char name[16];
    for (int i = 0; i < c->n_inputs; i++) {
        snprintf(name, sizeof name, "x%d", i);
        x[i] = kata_graph_input(graph, name, KATA_F64, &shape);
    }
    kata_value y = kata_graph_node(graph, c->op, x, c->n_inputs, NULL, 0);
    kata_tensor dy = kata_tensor_view((void *)(uintptr_t)c->dy, KATA_F64, &out);
    y = KATA_NODE(graph, "Mul", KATA_INPUTS(y, kata_graph_constant(graph, NULL, &dy)));
    y = KATA_NODE_WITH(graph, "ReduceSum", KATA_INPUTS(y), KATA_INT("keepdims", 0));
    TEST_OK(kata_graph_output(graph, "loss", y));
    TEST_OK(kata_graph_bind(&bound, graph, KATA_SIZES({"N", 1}), true));
    for (int i = 0; i < c->n_inputs; i++) {
        snprintf(name, sizeof name, "x%d", i);
        wrt[i] = kata_graph_find_value(bound, name);
    }
    TEST_OK(kata_graph_differentiate(bound, kata_graph_output_at(bound, 0), wrt, c->n_inputs,
                                     gradients));
    for (int i = 0; i < c->n_inputs; i++) {
        TEST_OK(kata_graph_output(bound, NULL, gradients[i]));
    }
    TEST_OK(kata_session_new(&session, bound, NULL));
    for (int i = 0; i < c->n_inputs; i++) {
        memcpy(kata_session_input(session, i).data, c->x[i], (size_t)c->n * sizeof(double));
    }
    TEST_OK(kata_session_run(session, 0, 0));
    for (int i = 0; i < c->n_inputs; i++) {
        kata_tensor dx = kata_session_output(session, 1 + i);
        char what[64];
        snprintf(what, sizeof what, "%s, gradient by input %d", c->op, i);
        test_compare(what, &dx, c->dx[i], 1e-12);
    }
    kata_session_free(session);
    kata_graph_free(bound);
    kata_graph_free(graph);
}

static void test_choices(void **state) {
    (void)state;
    const check checks[] = {
        /* The derivative of Relu and Abs at 0 is 0 (book 5.8). */
        {.op = "Relu", 1, 3, {{-1, 0, 2}}, {1, 1, 1}, {{0, 0, 1}}},
        {.op = "Abs", 1, 3, {{-1, 0, 2}}, {1, 1, 1}, {{-1, 0, 1}}},
        /* Of equal operands the first gets the gradient. */
        {.op = "Max", 2, 3, {{1, 2, 5}, {1, 3, 4}}, {7, 8, 9}, {{7, 0, 9}, {0, 8, 0}}},
        {.op = "Min", 3, 2, {{2, 1}, {1, 4}, {1, 1}}, {7, 8}, {{0, 8}, {7, 0}, {0, 0}}},
        /* Equal elements share it. */
        {.op = "ReduceMax", 1, 4, {{3, 1, 3, 2}}, {8}, {{4, 0, 4, 0}}, 1},
        {.op = "ReduceMin", 1, 4, {{3, 1, 1, 1}}, {9}, {{0, 3, 3, 3}}, 1},
        /* The norm of a zero vector has gradient 0; a product with zeros is exact. */
        {.op = "ReduceL2", 1, 3, {{0, 0, 0}}, {5}, {{0, 0, 0}}, 1},
        {.op = "ReduceProd", 1, 3, {{2, 0, 3}}, {5}, {{0, 30, 0}}, 1},
        {.op = "ReduceProd", 1, 3, {{2, 0, 0}}, {5}, {{0, 0, 0}}, 1},
        /* IEEE: infinite slopes are infinite. */
        {.op = "Sqrt", 1, 1, {{0}}, {1}, {{INFINITY}}},
        {.op = "Log", 1, 1, {{0}}, {1}, {{INFINITY}}},
        /* 0^2: no slope by the base, none by the exponent. */
        {.op = "Pow", 2, 2, {{0, 2}, {2, 3}}, {1, 1}, {{0, 12}, {0, 5.545177444479562}}},
    };
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        run_check(&checks[i]);
    }
}

/* Clip passes the gradient inside [min, max], both ends included. */
static void test_clip_ends(void **state) {
    (void)state;
    kata_graph *graph, *bound;
    kata_session *session;
    TEST_OK(kata_graph_new(&graph, kata_context_default(), "clip"));
    kata_value x = kata_graph_input(graph, "x", KATA_F32, &KATA_SHAPE_OF(5));
    kata_value y = KATA_NODE(graph, "Clip",
                             KATA_INPUTS(x, kata_graph_scalar(graph, KATA_F32, -1),
                                         kata_graph_scalar(graph, KATA_F32, 1)));
    y = KATA_NODE_WITH(graph, "ReduceSum", KATA_INPUTS(y), KATA_INT("keepdims", 0));
    kata_graph_output(graph, "loss", y);
    TEST_OK(kata_graph_bind(&bound, graph, KATA_SIZES({"N", 1}), true));
    kata_value dx, wrt = kata_graph_find_value(bound, "x");
    TEST_OK(kata_graph_differentiate(bound, kata_graph_output_at(bound, 0), &wrt, 1, &dx));
    TEST_OK(kata_graph_output(bound, "dx", dx));
    TEST_OK(kata_session_new(&session, bound, NULL));
    const float values[5] = {-2, -1, 0, 1, 2};
    memcpy(kata_session_input(session, 0).data, values, sizeof values);
    TEST_OK(kata_session_run(session, 0, 0));
    kata_tensor got = kata_session_output(session, 1);
    test_compare("Clip", &got, (const double[]){0, 1, 1, 1, 0}, 0);
    kata_session_free(session);
    kata_graph_free(bound);
    kata_graph_free(graph);
}

/* Book 5.4.2, "buy apples and oranges": the price and what each number is worth, from the graph. */
static void test_apples_and_oranges(void **state) {
    (void)state;
    static const char *const names[] = {"apple", "apples", "orange", "oranges", "tax"};
    const double values[] = {100, 2, 150, 3, 1.1}, slopes[] = {2.2, 110, 3.3, 165, 650};
    kata_graph *graph, *bound;
    kata_session *session;
    kata_value v[5], wrt[5], gradients[5];
    kata_shape scalar = {.rank = 0};
    TEST_OK(kata_graph_new(&graph, kata_context_default(), "fruit"));
    for (int i = 0; i < 5; i++) {
        v[i] = kata_graph_input(graph, names[i], KATA_F64, &scalar);
    }
    kata_value sum = KATA_NODE(graph, "Add",
                               KATA_INPUTS(KATA_NODE(graph, "Mul", KATA_INPUTS(v[0], v[1])),
                                           KATA_NODE(graph, "Mul", KATA_INPUTS(v[2], v[3]))));
    kata_graph_output(graph, "price", KATA_NODE(graph, "Mul", KATA_INPUTS(sum, v[4])));
    TEST_OK(kata_graph_bind(&bound, graph, KATA_SIZES({"N", 1}), true));
    for (int i = 0; i < 5; i++) {
        wrt[i] = kata_graph_find_value(bound, names[i]);
    }
    TEST_OK(kata_graph_differentiate(bound, kata_graph_output_at(bound, 0), wrt, 5, gradients));
    for (int i = 0; i < 5; i++) {
        TEST_OK(kata_graph_output(bound, NULL, gradients[i]));
    }
    TEST_OK(kata_session_new(&session, bound, NULL));
    for (int i = 0; i < 5; i++) {
        *(double *)kata_session_input(session, i).data = values[i];
    }
    TEST_OK(kata_session_run(session, 0, 0));
    kata_tensor price = kata_session_output(session, 0);
    test_compare("price", &price, (const double[]){715}, 1e-12);
    for (int i = 0; i < 5; i++) {
        kata_tensor slope = kata_session_output(session, 1 + i);
        test_compare(names[i], &slope, &slopes[i], 1e-12);
    }
    kata_session_free(session);
    kata_graph_free(bound);
    kata_graph_free(graph);
}

/* What kata:StopGradient cuts has no gradient; what does not reach the loss has none either. */
static void test_stop_gradient(void **state) {
    (void)state;
    kata_graph *graph, *bound;
    TEST_OK(kata_graph_new(&graph, kata_context_default(), "stop"));
    kata_value x = kata_graph_input(graph, "x", KATA_F32, &KATA_SHAPE_OF(3));
    kata_value y = KATA_NODE(graph, "kata:StopGradient", KATA_INPUTS(x));
    y = KATA_NODE_WITH(graph, "ReduceSum", KATA_INPUTS(y), KATA_INT("keepdims", 0));
    kata_graph_output(graph, "loss", y);
    TEST_OK(kata_graph_bind(&bound, graph, KATA_SIZES({"N", 1}), true));
    kata_value dx = {-1}, wrt = kata_graph_find_value(bound, "x");
    TEST_OK(kata_graph_differentiate(bound, kata_graph_output_at(bound, 0), &wrt, 1, &dx));
    assert_int_equal(dx.id, 0);
    kata_graph_free(bound);
    kata_graph_free(graph);
}

/* Unknown sizes pass through the shape rules: (?,4,4) -> [0,-1] is (?,16), and so on. */
static void test_unknown_sizes(void **state) {
    (void)state;
    kata_graph *graph;
    TEST_OK(kata_graph_new(&graph, kata_context_default(), "unknown"));
    kata_value x = kata_graph_input(graph, "x", KATA_F32, &KATA_SHAPE_OF(KATA_UNKNOWN_DIM, 4, 4));
    const int64_t keep[] = {0, -1}, first[] = {0}, second[] = {1}, two[] = {2, 1, 1};
    const kata_value sizes = KATA_NODE(graph, "Shape", KATA_INPUTS(x));
    const kata_value zero = kata_graph_int64s(graph, (const int64_t[]){0}, 1);
    const kata_value one = kata_graph_int64s(graph, (const int64_t[]){1}, 1);
    const kata_value fifty = kata_graph_int64s(graph, (const int64_t[]){50}, 1);
    const kata_value seventeen = kata_graph_int64s(graph, (const int64_t[]){17}, 1);
    const struct {
        kata_value value;
        const char *shape;
    } cases[] = {
        {KATA_NODE(graph, "Reshape", KATA_INPUTS(x, kata_graph_int64s(graph, keep, 2))), "(?,16)"},
        {KATA_NODE(graph, "Flatten", KATA_INPUTS(x)), "(?,16)"},
        {KATA_NODE(graph, "Transpose", KATA_INPUTS(x)), "(4,4,?)"},
        {KATA_NODE(graph, "Add", KATA_INPUTS(x, kata_graph_scalar(graph, KATA_F32, 1))), "(?,4,4)"},
        {KATA_NODE(graph, "ReduceMean", KATA_INPUTS(x, kata_graph_int64s(graph, second, 1))),
         "(?,1,4)"},
        {KATA_NODE(graph, "ReduceMax", KATA_INPUTS(x, kata_graph_int64s(graph, first, 1))),
         "(1,4,4)"},
        {KATA_NODE(graph, "Unsqueeze", KATA_INPUTS(x, kata_graph_int64s(graph, second, 1))),
         "(?,1,4,4)"},
        {KATA_NODE(graph, "Tile", KATA_INPUTS(x, kata_graph_int64s(graph, two, 3))), "(?,4,4)"},
        {KATA_NODE_WITH(graph, "Concat", KATA_INPUTS(x, x), KATA_INT("axis", 2)), "(?,4,8)"},
        {KATA_NODE_WITH(graph, "Concat", KATA_INPUTS(x, x), KATA_INT("axis", 0)), "(?,4,4)"},
        {KATA_NODE_WITH(graph, "ArgMax", KATA_INPUTS(x), KATA_INT("axis", 1),
                        KATA_INT("keepdims", 0)),
         "(?,4)"},
        {KATA_NODE(graph, "Shape", KATA_INPUTS(x)), "(3,)"},
        {KATA_NODE(graph, "Reshape", KATA_INPUTS(x, KATA_NODE(graph, "Shape", KATA_INPUTS(x)))),
         "(?,4,4)"},
        /* 50 mod 17 = 16 is computed by Mod's own kernel, the batch is only moved. */
        {KATA_NODE(graph, "Reshape",
                   KATA_INPUTS(
                       x, KATA_NODE_WITH(
                              graph, "Concat",
                              KATA_INPUTS(KATA_NODE(graph, "Slice", KATA_INPUTS(sizes, zero, one)),
                                          KATA_NODE(graph, "Mod", KATA_INPUTS(fifty, seventeen))),
                              KATA_INT("axis", 0)))),
         "(?,16)"},
        {KATA_NODE(graph, "ConstantOfShape",
                   KATA_INPUTS(KATA_NODE(graph, "Shape", KATA_INPUTS(x)))),
         "(?,4,4)"},
    };
    TEST_OK(kata_graph_status(graph));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[KATA_SHAPE_TEXT_SIZE];
        kata_shape shape = kata_value_shape(graph, cases[i].value);
        assert_string_equal(kata_shape_text(&shape, text), cases[i].shape);
    }
    kata_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choices),       cmocka_unit_test(test_clip_ends),
        cmocka_unit_test(test_unknown_sizes), cmocka_unit_test(test_apples_and_oranges),
        cmocka_unit_test(test_stop_gradient),
    };
    return cmocka_run_group_tests_name("op_conventions", tests, NULL, NULL);
}
