/* Convolution and pooling against the book's figures. "L..." are lines of the book, [D] numbers
 * derived from it, [F] the contents of its pictures (scratch-book-2-backprop-to-deep.md, section
 * 3). */
#include "op/oracle.h"

#include <stdlib.h>

/* Figures 7-3 to 7-7 [F]. */
static const double book_i[16] = {1, 2, 3, 0, 0, 1, 2, 3, 3, 0, 1, 2, 2, 3, 0, 1};
static const double book_k[9] = {2, 0, 1, 0, 1, 2, 1, 0, 2};

static void test_figure_7_4(void **state) {
    (void)state;
    oracle o = oracle_begin();
    kata_value x = oracle_input(&o, KATA_SHAPE_OF(1, 1, 4, 4), book_i);
    kata_value w = oracle_input(&o, KATA_SHAPE_OF(1, 1, 3, 3), book_k);
    oracle_output(&o, KATA_NODE(o.graph, "Conv", KATA_INPUTS(x, w)));
    oracle_backward(&o, NULL);
    EXPECT_OUTPUT(&o, 0, 0, 15, 16, 6, 15);
    /* [D] upstream ones: dI and dK */
    EXPECT_OUTPUT(&o, 1, 0, 2, 2, 1, 1, 2, 3, 4, 3, 1, 2, 5, 4, 1, 1, 2, 2);
    EXPECT_OUTPUT(&o, 2, 0, 4, 8, 8, 4, 4, 8, 8, 4, 4);
    oracle_end(&o);
}

/* Figure 7-5: + bias 3; [D] db = 4. */
static void test_figure_7_5_bias(void **state) {
    (void)state;
    oracle o = oracle_begin();
    kata_value x = oracle_input(&o, KATA_SHAPE_OF(1, 1, 4, 4), book_i);
    kata_value w = oracle_input(&o, KATA_SHAPE_OF(1, 1, 3, 3), book_k);
    kata_value b = oracle_input(&o, KATA_SHAPE_OF(1), NUMBERS(3));
    oracle_output(&o, KATA_NODE(o.graph, "Conv", KATA_INPUTS(x, w, b)));
    oracle_backward(&o, NULL);
    EXPECT_OUTPUT(&o, 0, 0, 18, 19, 9, 18);
    EXPECT_OUTPUT(&o, 3, 0, 4);
    oracle_end(&o);
}

/* Figure 7-6: padding 1 keeps the size (4,4) (L5372-5379). */
static void test_figure_7_6_padding(void **state) {
    (void)state;
    oracle o = oracle_begin();
    kata_value x = oracle_input(&o, KATA_SHAPE_OF(1, 1, 4, 4), book_i);
    kata_value w = oracle_input(&o, KATA_SHAPE_OF(1, 1, 3, 3), book_k);
    oracle_output(
        &o, KATA_NODE_WITH(o.graph, "Conv", KATA_INPUTS(x, w), KATA_INTS("pads", 1, 1, 1, 1)));
    oracle_forward(&o);
    EXPECT_OUTPUT(&o, 0, 0, 7, 12, 10, 2, 4, 15, 16, 10, 10, 6, 15, 6, 8, 10, 4, 3);
    oracle_end(&o);
}

/* Figure 7-7: 7x7 of the pattern repeated, stride 2 -> (3,3) (L5389). */
static void test_figure_7_7_stride(void **state) {
    (void)state;
    double pattern[49];
    for (int i = 0; i < 49; i++) {
        pattern[i] = book_i[i / 7 % 4 * 4 + i % 7 % 4];
    }
    oracle o = oracle_begin();
    kata_value x = oracle_input(&o, KATA_SHAPE_OF(1, 1, 7, 7), pattern);
    kata_value w = oracle_input(&o, KATA_SHAPE_OF(1, 1, 3, 3), book_k);
    oracle_output(&o,
                  KATA_NODE_WITH(o.graph, "Conv", KATA_INPUTS(x, w), KATA_INTS("strides", 2, 2)));
    oracle_forward(&o);
    EXPECT_OUTPUT(&o, 0, 0, 15, 17, 15, 17, 15, 17, 15, 17, 15);
    oracle_end(&o);
}

/* Output sizes (7.1, L5400): the table of section 3, channels and filters (L5464-5485), the
 * SimpleConvNet's 28 -> 24 -> 12 (L5790), im2col's 9 and 90 positions (L5628-5634), padding that
 * shrinks nothing (L5379), DeepConvNet's 14 -> 16 [C]. */
static void test_sizes(void **state) {
    (void)state;
    static const struct {
        kata_shape x, w, y;
        int64_t pad, stride;
    } rows[] = {{{4, {1, 1, 4, 4}}, {4, {1, 1, 3, 3}}, {4, {1, 1, 2, 2}}, 0, 1},
                {{4, {1, 1, 4, 4}}, {4, {1, 1, 3, 3}}, {4, {1, 1, 4, 4}}, 1, 1},
                {{4, {1, 1, 7, 7}}, {4, {1, 1, 3, 3}}, {4, {1, 1, 3, 3}}, 0, 2},
                {{4, {1, 1, 28, 31}}, {4, {1, 1, 5, 5}}, {4, {1, 1, 10, 11}}, 2, 3},
                {{4, {1, 1, 4, 4}}, {4, {1, 1, 1, 1}}, {4, {1, 1, 8, 8}}, 2, 1},
                {{4, {1, 1, 4, 4}}, {4, {1, 1, 1, 1}}, {4, {1, 1, 10, 10}}, 3, 1},
                {{4, {-1, 3, 12, 12}}, {4, {20, 3, 5, 5}}, {4, {-1, 20, 8, 8}}, 0, 1},
                {{4, {1, 3, 7, 7}}, {4, {1, 3, 5, 5}}, {4, {1, 1, 3, 3}}, 0, 1},
                {{4, {10, 3, 7, 7}}, {4, {1, 3, 5, 5}}, {4, {10, 1, 3, 3}}, 0, 1},
                {{4, {-1, 1, 28, 28}}, {4, {30, 1, 5, 5}}, {4, {-1, 30, 24, 24}}, 0, 1},
                {{4, {-1, 32, 14, 14}}, {4, {32, 32, 3, 3}}, {4, {-1, 32, 16, 16}}, 2, 1},
                {{4, {-1, 3, -1, -1}}, {4, {8, 3, 3, 3}}, {4, {-1, 8, -1, -1}}, 1, 1},
                {{4, {-1, 3, 9, -1}}, {4, {8, 3, 3, 3}}, {4, {-1, 8, 7, -1}}, 0, 1}};
    kata_graph *graph;
    ORACLE_OK(kata_graph_new(&graph, kata_context_default(), "sizes"));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        kata_value x = kata_graph_input(graph, NULL, KATA_F32, &rows[i].x);
        kata_value w = kata_graph_input(graph, NULL, KATA_F32, &rows[i].w);
        int64_t p = rows[i].pad, s = rows[i].stride;
        kata_shape y = kata_value_shape(graph, KATA_NODE_WITH(graph, "Conv", KATA_INPUTS(x, w),
                                                              KATA_INTS("pads", p, p, p, p),
                                                              KATA_INTS("strides", s, s)));
        for (int axis = 0; axis < y.rank; axis++) { /* under whatever name */
            y.dim[axis] = y.dim[axis] < 0 ? KATA_UNKNOWN_DIM : y.dim[axis];
        }
        assert_true(kata_shape_equal(&y, &rows[i].y));
    }
    assert_int_equal(kata_graph_status(graph), KATA_OK);
    kata_graph_free(graph);
}

/* im2col of (10,3,7,7) with 5x5: 90 positions of 75 taps (L5628-5637): the multiply-adds of one
 * filter. With padding 1 on (1,1,4,4), 3x3, the taps on the zeros do not count: 100 of 144. */
static void test_operations(void **state) {
    (void)state;
    const kata_op *row = kata_op_find(NULL, "Conv");
    kata_shape shapes[2][3] = {
        {KATA_SHAPE_OF(10, 3, 7, 7), KATA_SHAPE_OF(1, 3, 5, 5), KATA_SHAPE_OF(10, 1, 3, 3)},
        {KATA_SHAPE_OF(1, 1, 4, 4), KATA_SHAPE_OF(1, 1, 3, 3), KATA_SHAPE_OF(1, 1, 4, 4)}};
    const double want[2] = {2 * 90 * 75, 2 * 100};
    const int64_t pads[4] = {1, 1, 1, 1};
    for (int i = 0; i < 2; i++) {
        kata_tensor tensors[3];
        for (int k = 0; k < 3; k++) {
            tensors[k] = kata_tensor_view(NULL, KATA_F32, &shapes[i][k]);
        }
        kata_attribute_value attributes[6] = {[0] = {.s = "NOTSET"}, [2] = {.i = 1}};
        if (i == 1) {
            attributes[4] = (kata_attribute_value){.is_set = true, .n = 4, .ints = pads};
        }
        kata_call call = {.op = row,
                          .context = kata_context_default(),
                          .attributes = attributes,
                          .n_inputs = 2,
                          .n_outputs = 1,
                          .inputs = tensors,
                          .outputs = tensors + 2};
        assert_true(row->flops(&call) == want[i]);
    }
}

/* How many windows cover each pixel: the gradient of a filter of ones [D, col2im(im2col(1))]. */
static void test_coverage(void **state) {
    (void)state;
    oracle o = oracle_begin();
    kata_value x = oracle_input(&o, KATA_SHAPE_OF(1, 1, 4, 4), book_i);
    kata_value w =
        oracle_constant(&o, KATA_SHAPE_OF(1, 1, 3, 3), NUMBERS(1, 1, 1, 1, 1, 1, 1, 1, 1));
    oracle_output(&o, KATA_NODE(o.graph, "Conv", KATA_INPUTS(x, w)));
    oracle_backward(&o, NULL);
    EXPECT_OUTPUT(&o, 1, 0, 1, 2, 2, 1, 2, 4, 4, 2, 2, 4, 4, 2, 1, 2, 2, 1);
    oracle_end(&o);
}

/* <conv(x), c> = <x, gradient by x of c> [D]: with strides, dilation, groups and odd pads. */
static void test_adjoint(void **state) {
    (void)state;
    enum { X = 2 * 4 * 9 * 8, W = 6 * 2 * 3 * 2, Y = 2 * 6 * 5 * 7 };
    double x[X], w[W], c[Y], left = 0, right = 0, weight = 0;
    oracle_fill(x, X, 1);
    oracle_fill(w, W, 2);
    oracle_fill(c, Y, 3);
    oracle o = oracle_begin();
    kata_value vx = oracle_input(&o, KATA_SHAPE_OF(2, 4, 9, 8), x);
    kata_value vw = oracle_input(&o, KATA_SHAPE_OF(6, 2, 3, 2), w);
    oracle_output(&o, KATA_NODE_WITH(o.graph, "Conv", KATA_INPUTS(vx, vw), KATA_INT("group", 2),
                                     KATA_INTS("strides", 2, 1), KATA_INTS("dilations", 1, 3),
                                     KATA_INTS("pads", 1, 0, 2, 2)));
    oracle_backward(&o, c);
    kata_tensor y = oracle_value(&o, 0), dx = oracle_value(&o, 1), dw = oracle_value(&o, 2);
    assert_int_equal(kata_tensor_count(&y), Y);
    for (int i = 0; i < Y; i++) {
        left += ((const double *)y.data)[i] * c[i];
    }
    for (int i = 0; i < X; i++) {
        right += ((const double *)dx.data)[i] * x[i];
    }
    for (int i = 0; i < W; i++) {
        weight += ((const double *)dw.data)[i] * w[i];
    }
    oracle_close("by the input", 0, right, left, 1e-12);
    oracle_close("by the weight", 0, weight, left, 1e-12);
    oracle_end(&o);
}

/* The course's filter: vertical stripes answer 8, horizontal ones 0 (course-and-tagging-article A).
 */
static void test_stripes(void **state) {
    (void)state;
    double x[2][16], filter[16];
    for (int i = 0; i < 16; i++) {
        x[0][i] = i % 4 % 2 == 0;
        x[1][i] = i / 4 % 2 == 0;
        filter[i] = i % 4 % 2 == 0 ? 1 : -1;
    }
    oracle o = oracle_begin();
    kata_value vx = oracle_input(&o, KATA_SHAPE_OF(2, 1, 4, 4), x[0]);
    kata_value vw = oracle_input(&o, KATA_SHAPE_OF(1, 1, 4, 4), filter);
    oracle_output(&o, KATA_NODE(o.graph, "Conv", KATA_INPUTS(vx, vw)));
    oracle_forward(&o);
    EXPECT_OUTPUT(&o, 0, 0, 8, 0);
    oracle_end(&o);
}

/* A fully connected layer on 32x10x10 with 100 outputs is a convolution with 100 filters of that
 * size (L6345). */
static void test_fully_connected_is_convolution(void **state) {
    (void)state;
    enum { IN = 3200, OUT = 100, N = 2 };
    double *x = malloc(sizeof(double) * N * IN), *w = malloc(sizeof(double) * OUT * IN);
    assert_non_null(x);
    assert_non_null(w);
    oracle_fill(x, N * IN, 1);
    oracle_fill(w, OUT * IN, 2);
    oracle o = oracle_begin();
    kata_value vx = oracle_input(&o, KATA_SHAPE_OF(N, 32, 10, 10), x);
    kata_value vw = oracle_input(&o, KATA_SHAPE_OF(OUT, 32, 10, 10), w);
    kata_value conv = KATA_NODE(o.graph, "Conv", KATA_INPUTS(vx, vw));
    kata_value rows = KATA_NODE(o.graph, "Flatten", KATA_INPUTS(vx));
    kata_value columns = KATA_NODE(o.graph, "Flatten", KATA_INPUTS(vw));
    kata_value dense =
        KATA_NODE_WITH(o.graph, "Gemm", KATA_INPUTS(rows, columns), KATA_INT("transB", 1));
    oracle_output(&o, conv);
    oracle_output(&o, dense);
    oracle_forward(&o);
    kata_tensor y = oracle_value(&o, 1);
    oracle_shape(&o, 0, KATA_SHAPE_OF(N, OUT, 1, 1));
    oracle_expect(&o, 0, y.data, N * OUT, 1e-12);
    oracle_end(&o);
    free(x);
    free(w);
}

/* y = F(x) + x with F = 0 passes the gradient on unchanged, at a depth of 150 (L6195 [D]). */
static void test_skip_connection(void **state) {
    (void)state;
    double x[18], upstream[18];
    oracle_fill(x, 18, 1);
    oracle_fill(upstream, 18, 2);
    oracle o = oracle_begin();
    kata_shape shape = KATA_SHAPE_OF(2, 2, 3, 3);
    kata_value start = oracle_input(&o, KATA_SHAPE_OF(1, 2, 3, 3), x), y = start;
    kata_value w = kata_graph_variable(o.graph, "w", KATA_F64, &shape, true, NULL);
    for (int i = 0; i < 150; i++) {
        kata_value f =
            KATA_NODE_WITH(o.graph, "Conv", KATA_INPUTS(y, w), KATA_INTS("pads", 1, 1, 1, 1));
        y = KATA_NODE(o.graph, "Add", KATA_INPUTS(f, y));
    }
    oracle_output(&o, y);
    oracle_backward(&o, upstream);
    oracle_expect(&o, 0, x, 18, 0);
    oracle_expect(&o, 1, upstream, 18, 0);
    oracle_end(&o);
}

/* Two 3x3 see as much as one 5x5, three as one 7x7 (L6085). */
static void test_receptive_field(void **state) {
    (void)state;
    double x[49] = {0}, ones[9];
    for (int i = 0; i < 9; i++) {
        ones[i] = 1;
    }
    for (int layers = 2; layers <= 3; layers++) {
        int size = 2 * layers + 1;
        oracle o = oracle_begin();
        kata_value y = oracle_input(&o, KATA_SHAPE_OF(1, 1, size, size), x);
        kata_value w = oracle_constant(&o, KATA_SHAPE_OF(1, 1, 3, 3), ones);
        for (int i = 0; i < layers; i++) {
            y = KATA_NODE(o.graph, "Conv", KATA_INPUTS(y, w));
        }
        oracle_output(&o, y);
        oracle_backward(&o, NULL);
        oracle_shape(&o, 0, KATA_SHAPE_OF(1, 1, 1, 1));
        kata_tensor dx = oracle_value(&o, 1);
        for (int i = 0; i < size * size; i++) {
            assert_true(((const double *)dx.data)[i] > 0);
        }
        oracle_end(&o);
    }
}

/* Bilinear up-sampling is a transposed convolution (L6319-6345): factor 2 has the filter
 * .25 .75 .75 .25 [D]; the middle of a ramp stays a ramp of half the step. */
static void test_bilinear(void **state) {
    (void)state;
    static const double line[4] = {0.25, 0.75, 0.75, 0.25};
    double x[25], w[16];
    for (int i = 0; i < 25; i++) {
        x[i] = i % 5;
    }
    for (int i = 0; i < 16; i++) {
        w[i] = line[i / 4] * line[i % 4];
    }
    oracle o = oracle_begin();
    kata_value vx = oracle_input(&o, KATA_SHAPE_OF(1, 1, 5, 5), x);
    kata_value vw = oracle_input(&o, KATA_SHAPE_OF(1, 1, 4, 4), w);
    oracle_output(&o, KATA_NODE_WITH(o.graph, "ConvTranspose", KATA_INPUTS(vx, vw),
                                     KATA_INTS("strides", 2, 2), KATA_INTS("pads", 1, 1, 1, 1)));
    oracle_forward(&o);
    oracle_shape(&o, 0, KATA_SHAPE_OF(1, 1, 10, 10));
    kata_tensor y = oracle_value(&o, 0);
    for (int i = 1; i < 9; i++) {
        for (int j = 1; j < 9; j++) {
            oracle_close("ramp", i * 10 + j, ((const double *)y.data)[i * 10 + j], (j - 0.5) / 2,
                         1e-15);
        }
    }
    oracle_end(&o);
}

/* Figure 7-14 [F]: max pooling 2x2, stride 2; the gradient goes to the maxima. */
static void test_figure_7_14(void **state) {
    (void)state;
    static const double x[16] = {1, 2, 1, 0, 0, 1, 2, 3, 3, 0, 1, 2, 2, 4, 0, 1};
    oracle o = oracle_begin();
    kata_value vx = oracle_input(&o, KATA_SHAPE_OF(1, 1, 4, 4), x);
    oracle_output(&o, KATA_NODE_WITH(o.graph, "MaxPool", KATA_INPUTS(vx),
                                     KATA_INTS("kernel_shape", 2, 2), KATA_INTS("strides", 2, 2)));
    oracle_backward(&o, NUMBERS(10, 20, 30, 40));
    EXPECT_OUTPUT(&o, 0, 0, 2, 3, 4, 2);
    EXPECT_OUTPUT(&o, 1, 0, 0, 10, 0, 0, 0, 0, 0, 20, 0, 0, 0, 40, 0, 30, 0, 0);
    oracle_end(&o);
}

/* Of equal numbers the first, in row-major order, gets the gradient (5.5 of the notes on L5696). */
static void test_ties_go_to_the_first(void **state) {
    (void)state;
    double x[36] = {0};
    for (int64_t stride = 1; stride <= 3; stride++) {
        oracle o = oracle_begin();
        kata_value vx = oracle_input(&o, KATA_SHAPE_OF(1, 1, 6, 6), x);
        oracle_output(&o, KATA_NODE_WITH(o.graph, "MaxPool", KATA_INPUTS(vx),
                                         KATA_INTS("kernel_shape", 2, 2),
                                         KATA_INTS("strides", stride, stride)));
        oracle_backward(&o, NULL);
        kata_tensor y = oracle_value(&o, 0), dx = oracle_value(&o, 1);
        for (int i = 0; i < 36; i++) {
            int64_t row = i / 6, column = i % 6;
            bool first = row % stride == 0 && column % stride == 0 &&
                         row / stride < y.shape.dim[2] && column / stride < y.shape.dim[3];
            assert_true(((const double *)dx.data)[i] == (first ? 1 : 0));
        }
        oracle_end(&o);
    }
}

/* Pads are no zeros: the maximum of negative numbers stays negative (errata E8). */
static void test_pads_are_never_the_maximum(void **state) {
    (void)state;
    oracle o = oracle_begin();
    kata_value x = oracle_input(&o, KATA_SHAPE_OF(1, 1, 2, 2), NUMBERS(-1, -2, -3, -4));
    oracle_output(&o, KATA_NODE_WITH(o.graph, "MaxPool", KATA_INPUTS(x),
                                     KATA_INTS("kernel_shape", 2, 2), KATA_INTS("strides", 2, 2),
                                     KATA_INTS("pads", 1, 1, 1, 1)));
    oracle_forward(&o);
    EXPECT_OUTPUT(&o, 0, 0, -1, -2, -3, -4);
    oracle_end(&o);
}

/* Where the maxima were, in the whole tensor, by rows and by columns (ONNX MaxPool). */
static void test_indices(void **state) {
    (void)state;
    for (int order = 0; order < 2; order++) {
        oracle o = oracle_begin();
        kata_value x = oracle_input(&o, KATA_SHAPE_OF(2, 1, 2, 3),
                                    NUMBERS(1, 5, 3, 2, 0, 4, 9, 0, 0, 0, 0, 8));
        kata_value y[2];
        kata_graph_node_outputs(o.graph, NULL, "MaxPool", &x, 1,
                                (const kata_attribute[]){KATA_INTS("kernel_shape", 2, 2),
                                                         KATA_INT("storage_order", order)},
                                2, y, 2);
        oracle_output(&o, y[1]);
        oracle_forward(&o);
        if (order == 0) {
            EXPECT_OUTPUT(&o, 0, 0, 1, 1, 6, 11);
        } else {
            EXPECT_OUTPUT(&o, 0, 0, 2, 2, 6, 11);
        }
        oracle_end(&o);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_figure_7_4),
    cmocka_unit_test(test_figure_7_5_bias),
    cmocka_unit_test(test_figure_7_6_padding),
    cmocka_unit_test(test_figure_7_7_stride),
    cmocka_unit_test(test_sizes),
    cmocka_unit_test(test_operations),
    cmocka_unit_test(test_coverage),
    cmocka_unit_test(test_adjoint),
    cmocka_unit_test(test_stripes),
    cmocka_unit_test(test_fully_connected_is_convolution),
    cmocka_unit_test(test_skip_connection),
    cmocka_unit_test(test_receptive_field),
    cmocka_unit_test(test_bilinear),
    cmocka_unit_test(test_figure_7_14),
    cmocka_unit_test(test_ties_go_to_the_first),
    cmocka_unit_test(test_pads_are_never_the_maximum),
    cmocka_unit_test(test_indices),
};
ORACLES("op_conv", tests)
