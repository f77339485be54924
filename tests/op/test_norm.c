/* Batch, layer and instance normalisation, LRN and dropout against the book. "L..." are lines of
 * the book, [D] numbers derived from it (scratch-book-2-backprop-to-deep.md, sections 6.3
 * and 6.4.3). */
#include "op/oracle.h"

static kata_value batch_norm(oracle *o, const kata_value *inputs, double epsilon,
                             kata_value all[5]) {
    kata_graph_node_outputs(
        o->graph, NULL, "BatchNormalization", inputs, 5,
        (const kata_attribute[]){KATA_FLOAT("epsilon", epsilon), KATA_INT("training_mode", 1)}, 2,
        all, 5);
    return all[0];
}

/* Section 6.3 [D]: epsilon 1e-7 (L4969). */
static void test_batch_norm(void **state) {
    (void)state;
    for (int saved = 0; saved < 2; saved++) {
        oracle o = oracle_begin();
        kata_value in[5] = {oracle_input(&o, KATA_SHAPE_OF(3, 2), NUMBERS(1, 2, 3, 4, 5, 9)),
                            oracle_input(&o, KATA_SHAPE_OF(2), NUMBERS(1, 2)),
                            oracle_input(&o, KATA_SHAPE_OF(2), NUMBERS(0, 0.5)),
                            oracle_constant(&o, KATA_SHAPE_OF(2), NUMBERS(10, 20)),
                            oracle_constant(&o, KATA_SHAPE_OF(2), NUMBERS(1, 2))};
        kata_value y[5];
        if (saved == 1) {
            batch_norm(&o, in, 1e-7, y);
        } else { /* without the saved statistics the gradient computes them again */
            y[0] = KATA_NODE_WITH(o.graph, "BatchNormalization",
                                  KATA_INPUTS(in[0], in[1], in[2], in[3], in[4]),
                                  KATA_FLOAT("epsilon", 1e-7), KATA_INT("training_mode", 1));
        }
        oracle_output(&o, y[0]);
        for (int i = 1; i < 5 && saved == 1; i++) {
            oracle_output(&o, y[i]);
        }
        oracle_backward(&o, NUMBERS(1, 0, 0, 1, 0, 0));
        EXPECT_OUTPUT(&o, 0, 1e-11, -1.22474484843, -1.53809864970, 0, -0.179366216567,
                      1.22474484843, 3.21746486627);
        int first = saved == 1 ? 5 : 1;
        EXPECT_OUTPUT(&o, first, 1e-11, 0.102062082184, -0.304843814222, -0.204124141405,
                      0.426781341478, 0.102062059220, -0.121937527257);
        EXPECT_OUTPUT(&o, first + 1, 1e-11, -1.22474484843, -0.339683108284);
        EXPECT_OUTPUT(&o, first + 2, 1e-12, 1, 1);
        if (saved == 1) {
            EXPECT_OUTPUT(&o, 1, 1e-7, 10 * 0.9 + 3 * 0.1, 20 * 0.9 + 5 * 0.1);
            EXPECT_OUTPUT(&o, 2, 1e-7, 0.9 + 8.0 / 3 * 0.1, 2 * 0.9 + 26.0 / 3 * 0.1);
            EXPECT_OUTPUT(&o, 3, 1e-14, 3, 5);
            EXPECT_OUTPUT(&o, 4, 1e-12, 1 / sqrt(8.0 / 3 + 1e-7), 1 / sqrt(26.0 / 3 + 1e-7));
        }
        oracle_end(&o);
    }
}

/* [D] With scale 1 and bias 0 each column has mean 0 and variance 1; the columns of dx sum to 0. */
static void test_batch_norm_properties(void **state) {
    (void)state;
    enum { N = 7, C = 3 };
    double x[N * C], upstream[N * C];
    oracle_fill(x, N * C, 1);
    oracle_fill(upstream, N * C, 2);
    oracle o = oracle_begin();
    kata_value in[5] = {oracle_input(&o, KATA_SHAPE_OF(N, C), x),
                        oracle_constant(&o, KATA_SHAPE_OF(C), NUMBERS(1, 1, 1)),
                        oracle_constant(&o, KATA_SHAPE_OF(C), NUMBERS(0, 0, 0)),
                        oracle_constant(&o, KATA_SHAPE_OF(C), NUMBERS(0, 0, 0)),
                        oracle_constant(&o, KATA_SHAPE_OF(C), NUMBERS(1, 1, 1))};
    kata_value y[5];
    oracle_output(&o, batch_norm(&o, in, 1e-9, y));
    oracle_backward(&o, upstream);
    kata_tensor out = oracle_value(&o, 0), dx = oracle_value(&o, 1);
    for (int c = 0; c < C; c++) {
        double mean = 0, square = 0, sum = 0;
        for (int n = 0; n < N; n++) {
            double value = ((const double *)out.data)[n * C + c];
            mean += value / N;
            square += value * value / N;
            sum += ((const double *)dx.data)[n * C + c];
        }
        oracle_close("mean", c, mean, 0, 1e-12);
        oracle_close("variance", c, square, 1, 1e-7);
        oracle_close("sum of dx", c, sum, 0, 1e-12);
    }
    oracle_end(&o);
}

/* [D] A batch of one is its own mean: y = bias, dx = 0. */
static void test_batch_of_one(void **state) {
    (void)state;
    oracle o = oracle_begin();
    kata_value in[5] = {oracle_input(&o, KATA_SHAPE_OF(1, 2), NUMBERS(3, -4)),
                        oracle_constant(&o, KATA_SHAPE_OF(2), NUMBERS(5, 6)),
                        oracle_constant(&o, KATA_SHAPE_OF(2), NUMBERS(0.25, 0.5)),
                        oracle_constant(&o, KATA_SHAPE_OF(2), NUMBERS(0, 0)),
                        oracle_constant(&o, KATA_SHAPE_OF(2), NUMBERS(1, 1))};
    kata_value y[5];
    oracle_output(&o, batch_norm(&o, in, 1e-7, y));
    oracle_backward(&o, NULL);
    EXPECT_OUTPUT(&o, 0, 0, 0.25, 0.5);
    EXPECT_OUTPUT(&o, 1, 1e-9, 0, 0);
    oracle_end(&o);
}

/* A model is the inference graph; bound for training, the running statistics follow the batch:
 * r = 0.9 r + 0.1 batch, from 0 ([C] of 6.3); 0.9 is an attribute, so it is the float32. */
static void test_running_statistics(void **state) {
    (void)state;
    oracle o = oracle_begin();
    kata_shape two = KATA_SHAPE_OF(2);
    kata_variable *variables[4];
    static const char *const names[] = {"scale", "bias", "mean", "variance"};
    kata_value in[5] = {oracle_input(&o, KATA_SHAPE_OF(3, 2), NUMBERS(1, 2, 3, 4, 5, 9))};
    for (int i = 0; i < 4; i++) {
        in[1 + i] = kata_graph_variable(o.graph, names[i], KATA_F64, &two, i < 2, &variables[i]);
    }
    ((double *)variables[0]->tensor.data)[0] = ((double *)variables[0]->tensor.data)[1] = 1;
    oracle_output(&o, KATA_NODE_WITH(o.graph, "BatchNormalization",
                                     KATA_INPUTS(in[0], in[1], in[2], in[3], in[4]),
                                     KATA_FLOAT("epsilon", 1e-7)));
    oracle_bind(&o, true);
    for (int step = 0; step < 2; step++) {
        oracle_run(&o, 1, (uint64_t)step);
    }
    const double *mean = variables[2]->tensor.data, *variance = variables[3]->tensor.data;
    oracle_close("mean", 0, mean[0], 3 * 0.19, 1e-6);
    oracle_close("mean", 1, mean[1], 5 * 0.19, 1e-6);
    oracle_close("variance", 0, variance[0], 8.0 / 3 * 0.19, 1e-6);
    oracle_close("variance", 1, variance[1], 26.0 / 3 * 0.19, 1e-6);
    EXPECT_OUTPUT(&o, 0, 1e-11, -1.22474484843, (-1.53809864970 - 0.5) / 2, 0,
                  (-0.179366216567 - 0.5) / 2, 1.22474484843, (3.21746486627 - 0.5) / 2);
    oracle_end(&o);
}

/* Layer normalisation of x is batch normalisation of x transposed; instance normalisation is that
 * of a batch of one. */
static void test_three_kinds_agree(void **state) {
    (void)state;
    enum { N = 3, D = 5 };
    double x[N * D], ones[N * D], zeros[N * D] = {0};
    oracle_fill(x, N * D, 1);
    for (int i = 0; i < N * D; i++) {
        ones[i] = 1;
    }
    oracle o = oracle_begin();
    kata_value vx = oracle_input(&o, KATA_SHAPE_OF(N, D), x);
    kata_value layer = KATA_NODE(o.graph, "LayerNormalization",
                                 KATA_INPUTS(vx, oracle_constant(&o, KATA_SHAPE_OF(D), ones)));
    kata_value n_ones = oracle_constant(&o, KATA_SHAPE_OF(N), ones);
    kata_value n_zeros = oracle_constant(&o, KATA_SHAPE_OF(N), zeros);
    kata_value turned = KATA_NODE(o.graph, "Transpose", KATA_INPUTS(vx));
    kata_value batch[5];
    batch_norm(&o, (const kata_value[]){turned, n_ones, n_zeros, n_zeros, n_ones}, 1e-5, batch);
    kata_value planes =
        KATA_NODE(o.graph, "Reshape",
                  KATA_INPUTS(vx, kata_graph_int64s(o.graph, (const int64_t[]){1, N, D}, 3)));
    kata_value instance =
        KATA_NODE(o.graph, "InstanceNormalization", KATA_INPUTS(planes, n_ones, n_zeros));
    oracle_output(&o, layer);
    oracle_output(&o, KATA_NODE(o.graph, "Transpose", KATA_INPUTS(batch[0])));
    oracle_output(&o, instance);
    oracle_forward(&o);
    kata_tensor y = oracle_value(&o, 0);
    oracle_expect(&o, 1, y.data, N * D, 1e-13);
    oracle_expect(&o, 2, y.data, N * D, 1e-13);
    oracle_end(&o);
}

/* AlexNet's numbers (7.7 [X]): k = 2, n = 5, alpha = 1e-4, beta = 0.75; ONNX divides alpha by n. On
 * ones, the channels in the middle see 5 channels, those at the ends 3 and 4. Attributes are
 * float32. */
static void test_lrn(void **state) {
    (void)state;
    double x[7];
    for (int i = 0; i < 7; i++) {
        x[i] = 1;
    }
    oracle o = oracle_begin();
    kata_value vx = oracle_input(&o, KATA_SHAPE_OF(1, 7, 1, 1), x);
    oracle_output(&o, KATA_NODE_WITH(o.graph, "LRN", KATA_INPUTS(vx), KATA_INT("size", 5),
                                     KATA_FLOAT("alpha", 5e-4), KATA_FLOAT("bias", 2)));
    oracle_forward(&o);
    double end = pow(2 + 3e-4, -0.75), next = pow(2 + 4e-4, -0.75), middle = pow(2 + 5e-4, -0.75);
    EXPECT_OUTPUT(&o, 0, 1e-11, end, next, middle, middle, middle, next, end);
    oracle_end(&o);
}

/* Inverted dropout (L5116-5118): kept numbers are divided by 1 - ratio, the gradient is 0 exactly
 * where the mask is [D], each step draws another mask (L5137), the share of kept numbers is
 * 1 - ratio [D], inference changes nothing. */
static void test_dropout(void **state) {
    (void)state;
    enum { N = 20000 };
    static double x[N], first[N];
    for (int i = 0; i < N; i++) {
        x[i] = 1 + i % 3;
    }
    oracle o = oracle_begin();
    kata_value vx = oracle_input(&o, KATA_SHAPE_OF(N), x);
    kata_value ratio = kata_graph_scalar(o.graph, KATA_F64, 0.15);
    kata_value y[2];
    kata_graph_node_outputs(o.graph, NULL, "Dropout", (const kata_value[]){vx, ratio}, 2, NULL, 0,
                            y, 2);
    oracle_output(&o, y[0]);
    oracle_output(&o, y[1]);
    oracle_bind(&o, true);
    oracle_gradients(&o, NULL);
    int differ = 0;
    for (uint64_t step = 0; step < 2; step++) {
        oracle_run(&o, 1, step);
        kata_tensor out = oracle_value(&o, 0), mask = oracle_value(&o, 1), dx = oracle_value(&o, 2);
        int kept = 0;
        for (int i = 0; i < N; i++) {
            double keep = ((const uint8_t *)mask.data)[i];
            kept += keep != 0;
            oracle_close("y", i, ((const double *)out.data)[i], keep * x[i] / 0.85, 1e-14);
            oracle_close("dx", i, ((const double *)dx.data)[i], keep / 0.85, 1e-14);
            differ += step == 1 && first[i] != keep;
            first[i] = keep;
        }
        /* five standard deviations of a binomial share */
        oracle_close("kept", 0, (double)kept / N, 0.85, 5 * sqrt(0.85 * 0.15 / N));
    }
    assert_true(differ > N / 10);
    oracle_end(&o);

    o = oracle_begin();
    vx = oracle_input(&o, KATA_SHAPE_OF(3), NUMBERS(1, 2, 3));
    oracle_output(&o, KATA_NODE(o.graph, "Dropout", KATA_INPUTS(vx)));
    oracle_forward(&o);
    EXPECT_OUTPUT(&o, 0, 0, 1, 2, 3);
    oracle_end(&o);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_batch_norm),        cmocka_unit_test(test_batch_norm_properties),
    cmocka_unit_test(test_batch_of_one),      cmocka_unit_test(test_running_statistics),
    cmocka_unit_test(test_three_kinds_agree), cmocka_unit_test(test_lrn),
    cmocka_unit_test(test_dropout),
};
ORACLES("op_norm", tests)
