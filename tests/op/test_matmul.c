/* Products against the books' figures: the Affine layer, one unit, shapes that fit and that do not.
 * "L..." are lines of the book, [D] numbers derived from it (scratch-book-2-backprop-to-deep.md).
 */
#include "op/oracle.h"

/* Affine on one sample: X (2,) W (2,3) + B (3,) -> (3,) (L4041-4053); its gradients have the shapes
 * of X, W and B (L4091). */
static void test_affine_single(void **state) {
    (void)state;
    oracle o = oracle_begin();
    kata_value x = oracle_input(&o, KATA_SHAPE_OF(2), NUMBERS(1, 2));
    kata_value w = oracle_input(&o, KATA_SHAPE_OF(2, 3), NUMBERS(1, 3, 5, 2, 4, 6));
    kata_value b = oracle_input(&o, KATA_SHAPE_OF(3), NUMBERS(10, 20, 30));
    kata_value product = KATA_NODE(o.graph, "MatMul", KATA_INPUTS(x, w));
    oracle_output(&o, KATA_NODE(o.graph, "Add", KATA_INPUTS(product, b)));
    oracle_backward(&o, NUMBERS(1, 2, 3));
    EXPECT_OUTPUT(&o, 0, 0, 15, 31, 47);
    EXPECT_OUTPUT(&o, 1, 0, 22, 28); /* dY W^T (5.13, L4074) */
    EXPECT_OUTPUT(&o, 2, 0, 1, 2, 3, 2, 4, 6);
    EXPECT_OUTPUT(&o, 3, 0, 1, 2, 3);
    oracle_shape(&o, 1, KATA_SHAPE_OF(2));
    oracle_shape(&o, 2, KATA_SHAPE_OF(2, 3));
    oracle_end(&o);
}

/* X W = [[0,0,0],[10,10,10]] + [1,2,3] = [[1,2,3],[11,12,13]] (L4120-4128); the bias gets the
 * column sums [5,7,9] of [[1,2,3],[4,5,6]] (L4134-4141). */
static void test_bias_is_added_to_every_row(void **state) {
    (void)state;
    oracle o = oracle_begin();
    kata_value x = oracle_input(&o, KATA_SHAPE_OF(2, 1), NUMBERS(0, 10));
    kata_value w = oracle_input(&o, KATA_SHAPE_OF(1, 3), NUMBERS(1, 1, 1));
    kata_value b = oracle_input(&o, KATA_SHAPE_OF(3), NUMBERS(1, 2, 3));
    oracle_output(&o, KATA_NODE(o.graph, "Gemm", KATA_INPUTS(x, w, b)));
    oracle_backward(&o, NUMBERS(1, 2, 3, 4, 5, 6));
    EXPECT_OUTPUT(&o, 0, 0, 1, 2, 3, 11, 12, 13);
    EXPECT_OUTPUT(&o, 3, 0, 5, 7, 9);
    oracle_end(&o);
}

/* The whole Affine layer, batch version (section 1, 5.6.2 [D]), as Gemm and as MatMul + Add. */
static void test_affine_batch(void **state) {
    (void)state;
    for (int way = 0; way < 2; way++) {
        oracle o = oracle_begin();
        kata_value x = oracle_input(&o, KATA_SHAPE_OF(2, 2), NUMBERS(1, 2, 3, 4));
        kata_value w = oracle_input(&o, KATA_SHAPE_OF(2, 3), NUMBERS(1, 0, -1, 2, 1, 0));
        kata_value b = oracle_input(&o, KATA_SHAPE_OF(3), NUMBERS(0.5, 0, -0.5));
        kata_value product = KATA_NODE(o.graph, "MatMul", KATA_INPUTS(x, w));
        oracle_output(&o, way == 0 ? KATA_NODE(o.graph, "Gemm", KATA_INPUTS(x, w, b))
                                   : KATA_NODE(o.graph, "Add", KATA_INPUTS(product, b)));
        oracle_backward(&o, NUMBERS(1, 2, 3, 4, 5, 6));
        EXPECT_OUTPUT(&o, 0, 0, 5.5, 2, -1.5, 11.5, 4, -3.5);
        EXPECT_OUTPUT(&o, 1, 0, -2, 4, -2, 13);
        EXPECT_OUTPUT(&o, 2, 0, 13, 17, 21, 18, 24, 30);
        EXPECT_OUTPUT(&o, 3, 0, 5, 7, 9);
        oracle_end(&o);
    }
}

/* Gemm with transposed operands is the same layer (5.14, L4082). */
static void test_affine_transposed(void **state) {
    (void)state;
    oracle o = oracle_begin();
    kata_value x = oracle_input(&o, KATA_SHAPE_OF(2, 2), NUMBERS(1, 3, 2, 4));
    kata_value w = oracle_input(&o, KATA_SHAPE_OF(3, 2), NUMBERS(1, 2, 0, 1, -1, 0));
    kata_value b = oracle_input(&o, KATA_SHAPE_OF(1, 3), NUMBERS(0.25, 0, -0.25));
    oracle_output(&o, KATA_NODE_WITH(o.graph, "Gemm", KATA_INPUTS(x, w, b), KATA_INT("transA", 1),
                                     KATA_INT("transB", 1), KATA_FLOAT("beta", 2)));
    oracle_backward(&o, NUMBERS(1, 2, 3, 4, 5, 6));
    EXPECT_OUTPUT(&o, 0, 0, 5.5, 2, -1.5, 11.5, 4, -3.5);
    EXPECT_OUTPUT(&o, 1, 0, -2, -2, 4, 13);
    EXPECT_OUTPUT(&o, 2, 0, 13, 18, 17, 24, 21, 30);
    EXPECT_OUTPUT(&o, 3, 0, 10, 14, 18);
    oracle_end(&o);
}

/* The article's unit (B): x = [3,-1], w = [1,-2], b = -2: A = x w = 5, B = A + b = 3,
 * C = sigmoid(3) = 0.952574, dC/dB = C (1-C) = 0.045177 = db, dw = [0.135530, -0.045177]. */
static void test_one_unit(void **state) {
    (void)state;
    oracle o = oracle_begin();
    kata_value x = oracle_input(&o, KATA_SHAPE_OF(2), NUMBERS(3, -1));
    kata_value w = oracle_input(&o, KATA_SHAPE_OF(2), NUMBERS(1, -2));
    kata_value b = oracle_input(&o, KATA_SHAPE_OF(1), NUMBERS(-2));
    kata_value a_value = KATA_NODE(o.graph, "MatMul", KATA_INPUTS(x, w));
    kata_value b_value = KATA_NODE(o.graph, "Add", KATA_INPUTS(a_value, b));
    oracle_output(&o, KATA_NODE(o.graph, "Sigmoid", KATA_INPUTS(b_value)));
    oracle_output(&o, a_value);
    oracle_output(&o, b_value);
    oracle_backward(&o, NULL);
    EXPECT_OUTPUT(&o, 0, 5e-7, 0.952574);
    EXPECT_OUTPUT(&o, 1, 0, 5);
    EXPECT_OUTPUT(&o, 2, 0, 3);
    EXPECT_OUTPUT(&o, 3, 5e-7, 0.045177, -0.090353);
    EXPECT_OUTPUT(&o, 4, 5e-7, 0.135530, -0.045177);
    EXPECT_OUTPUT(&o, 5, 5e-7, 0.045177);
    oracle_end(&o);
}

/* Shapes of the course and the article: (1,3)(3,2), (1,3)(3,4), (2,3)(3,4), (3,4)(4) fit;
 * (3,4)(2,3) does not and says so. */
static void test_shapes(void **state) {
    (void)state;
    static const struct {
        kata_shape a, b, y;
    } fits[] = {{{2, {1, 3}}, {2, {3, 2}}, {2, {1, 2}}},
                {{2, {1, 3}}, {2, {3, 4}}, {2, {1, 4}}},
                {{2, {2, 3}}, {2, {3, 4}}, {2, {2, 4}}},
                {{2, {3, 4}}, {1, {4}}, {1, {3}}},
                {{3, {-1, 3, 4}}, {2, {4, -1}}, {3, {-1, 3, -1}}}};
    kata_graph *graph;
    ORACLE_OK(kata_graph_new(&graph, kata_context_default(), "shapes"));
    for (size_t i = 0; i < sizeof fits / sizeof fits[0]; i++) {
        kata_value a = kata_graph_input(graph, NULL, KATA_F32, &fits[i].a);
        kata_value b = kata_graph_input(graph, NULL, KATA_F32, &fits[i].b);
        kata_shape y = kata_value_shape(graph, KATA_NODE(graph, "MatMul", KATA_INPUTS(a, b)));
        for (int axis = 0; axis < y.rank; axis++) { /* under whatever name */
            y.dim[axis] = y.dim[axis] < 0 ? KATA_UNKNOWN_DIM : y.dim[axis];
        }
        assert_true(kata_shape_equal(&y, &fits[i].y));
    }
    kata_shape left = KATA_SHAPE_OF(3, 4), right = KATA_SHAPE_OF(2, 3);
    kata_value a = kata_graph_input(graph, NULL, KATA_F32, &left);
    kata_value b = kata_graph_input(graph, NULL, KATA_F32, &right);
    assert_int_equal(KATA_NODE(graph, "MatMul", KATA_INPUTS(a, b)).id, 0);
    assert_int_equal(kata_graph_status(graph), KATA_SHAPE);
    assert_non_null(strstr(kata_graph_message(graph),
                           "shapes (3,4) and (2,3) not aligned: 4 (dim 1) != 2 (dim 0)"));
    kata_graph_free(graph);
}

/* A batch of products is the products one by one. */
static void test_batched_is_one_by_one(void **state) {
    (void)state;
    enum { B = 3, M = 5, K = 7, N = 4 };
    double a[B * M * K], b[B * K * N];
    oracle_fill(a, B * M * K, 1);
    oracle_fill(b, B * K * N, 2);
    oracle all = oracle_begin();
    kata_value x = oracle_input(&all, KATA_SHAPE_OF(B, M, K), a);
    kata_value y = oracle_input(&all, KATA_SHAPE_OF(B, K, N), b);
    oracle_output(&all, KATA_NODE(all.graph, "MatMul", KATA_INPUTS(x, y)));
    oracle_forward(&all);
    for (int i = 0; i < B; i++) {
        oracle one = oracle_begin();
        x = oracle_input(&one, KATA_SHAPE_OF(M, K), a + i * M * K);
        y = oracle_input(&one, KATA_SHAPE_OF(K, N), b + i * K * N);
        oracle_output(&one, KATA_NODE(one.graph, "MatMul", KATA_INPUTS(x, y)));
        oracle_forward(&one);
        kata_tensor product = oracle_value(&all, 0);
        oracle_expect(&one, 0, (const double *)product.data + i * M * N, M * N, 1e-14);
        oracle_end(&one);
    }
    oracle_end(&all);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_affine_single),
    cmocka_unit_test(test_bias_is_added_to_every_row),
    cmocka_unit_test(test_affine_batch),
    cmocka_unit_test(test_affine_transposed),
    cmocka_unit_test(test_one_unit),
    cmocka_unit_test(test_shapes),
    cmocka_unit_test(test_batched_is_one_by_one),
};
ORACLES("op_matmul", tests)
