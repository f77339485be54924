/* kata__graph_batch_axes: where the samples of a batch are. What a row says is compared with the
 * numbers too: each sample's block of the output must be the same wherever the sample stands and
 * whatever the others are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <kata/exec.h>

#include "base/check.h"
#include "pass/pass.h"
#include "support/assert_ok.h"

enum { SIZE = 4, FEATURES = 6, MIXED = KATA_BATCH_MIXED, NONE = KATA_BATCH_NONE };

typedef kata_value (*builder)(kata_graph *g, kata_value x);

#define SHAPE(...)                                                                                 \
    kata_graph_int64s(g, (const int64_t[]){__VA_ARGS__},                                           \
                      (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))
#define BUILD(name, ...)                                                                           \
    static kata_value name(kata_graph *g, kata_value x) {                                          \
        (void)g, (void)x;                                                                          \
        return __VA_ARGS__;                                                                        \
    }

/* A weight of uneven numbers. */
static kata_value weight(kata_graph *g, kata_shape shape) {
    kata_variable *made = NULL;
    kata_value value = kata_graph_variable(g, NULL, KATA_F32, &shape, true, &made);
    assert_non_null(made);
    for (int64_t i = 0; i < kata_shape_count(&shape); i++) {
        ((float *)made->tensor.data)[i] = (float)(i * 7 % 11) * 0.125F - 0.5F;
    }
    return value;
}

/* A constant (SIZE, FEATURES) whose rows are equal, or not. */
static kata_value table(kata_graph *g, bool equal) {
    float numbers[SIZE * FEATURES];
    for (int i = 0; i < SIZE * FEATURES; i++) {
        numbers[i] = (float)(i % FEATURES) + (equal ? 0 : (float)i);
    }
    const kata_tensor view = kata_tensor_view(numbers, KATA_F32, &KATA_SHAPE_OF(SIZE, FEATURES));
    return kata_graph_constant(g, NULL, &view);
}

static kata_value reshape(kata_graph *g, kata_value x, kata_value shape) {
    return KATA_NODE(g, "Reshape", KATA_INPUTS(x, shape));
}

static kata_value planes(kata_graph *g, kata_value x) { /* (SIZE,1,2,3) */
    return reshape(g, x, SHAPE(SIZE, 1, 2, 3));
}

static kata_value transpose(kata_graph *g, kata_value x) {
    return KATA_NODE(g, "Transpose", KATA_INPUTS(x));
}

static kata_value batch_norm(kata_graph *g, kata_value x, int64_t training) {
    kata_value outputs[1], one = weight(g, KATA_SHAPE_OF(FEATURES));
    kata_value variance = KATA_NODE(g, "Abs", KATA_INPUTS(one));
    const kata_value inputs[] = {x, one, one, one, variance};
    const kata_attribute mode = KATA_INT("training_mode", training);
    assert_ok(
        kata_graph_node_outputs(g, NULL, "BatchNormalization", inputs, 5, &mode, 1, outputs, 1));
    return outputs[0];
}

static kata_value slice(kata_graph *g, kata_value x, int64_t start, int64_t end, int64_t axis,
                        int64_t step) {
    return KATA_NODE(g, "Slice",
                     KATA_INPUTS(x, SHAPE(start), SHAPE(end), SHAPE(axis), SHAPE(step)));
}

static kata_value second_output(kata_graph *g, const char *op, kata_value a, kata_value b,
                                kata_attribute attribute) {
    kata_value outputs[2], inputs[2] = {a, b};
    assert_ok(
        kata_graph_node_outputs(g, NULL, op, inputs, b.id != 0 ? 2 : 1, &attribute, 1, outputs, 2));
    return outputs[1];
}

static kata_value indices(kata_graph *g, kata_value x) { /* (SIZE,FEATURES) of 0 and 1 */
    return KATA_NODE_WITH(
        g, "Cast",
        KATA_INPUTS(KATA_NODE(g, "Greater", KATA_INPUTS(x, kata_graph_scalar(g, KATA_F32, 0)))),
        KATA_INT("to", 7));
}

/* Products. */
BUILD(gemm,
      KATA_NODE(g, "Gemm",
                KATA_INPUTS(x, weight(g, KATA_SHAPE_OF(FEATURES, 3)), weight(g, KATA_SHAPE_OF(3)))))
BUILD(gemm_rows_of_c, KATA_NODE(g, "Gemm",
                                KATA_INPUTS(x, weight(g, KATA_SHAPE_OF(FEATURES, 3)),
                                            weight(g, KATA_SHAPE_OF(SIZE, 3)))))
BUILD(gemm_columns, KATA_NODE_WITH(g, "Gemm", KATA_INPUTS(weight(g, KATA_SHAPE_OF(3, FEATURES)), x),
                                   KATA_INT("transB", 1)))
BUILD(gemm_inner, KATA_NODE_WITH(g, "Gemm", KATA_INPUTS(x, weight(g, KATA_SHAPE_OF(SIZE, 3))),
                                 KATA_INT("transA", 1)))
BUILD(by_itself, KATA_NODE(g, "MatMul", KATA_INPUTS(x, transpose(g, x))))
BUILD(matmul, KATA_NODE(g, "MatMul", KATA_INPUTS(x, weight(g, KATA_SHAPE_OF(FEATURES, 5)))))
BUILD(matmul_vector, KATA_NODE(g, "MatMul", KATA_INPUTS(x, weight(g, KATA_SHAPE_OF(FEATURES)))))
BUILD(matmul_of_columns,
      transpose(g, KATA_NODE(g, "MatMul",
                             KATA_INPUTS(weight(g, KATA_SHAPE_OF(5, FEATURES)), transpose(g, x)))))
BUILD(matmul_stack,
      KATA_NODE(g, "MatMul",
                KATA_INPUTS(reshape(g, x, SHAPE(SIZE, 2, 3)), reshape(g, x, SHAPE(SIZE, 3, 2)))))
BUILD(matmul_many_weights, KATA_NODE(g, "MatMul",
                                     KATA_INPUTS(reshape(g, x, SHAPE(SIZE, 2, 3)),
                                                 weight(g, KATA_SHAPE_OF(SIZE, 3, 2)))))
BUILD(einsum, KATA_NODE_WITH(g, "Einsum", KATA_INPUTS(x, weight(g, KATA_SHAPE_OF(FEATURES, 3))),
                             KATA_STRING("equation", "ni,ij->nj")))
BUILD(normalizer, KATA_NODE(g, "ai.onnx.ml:Normalizer", KATA_INPUTS(x)))
BUILD(normalizer_turned, KATA_NODE(g, "ai.onnx.ml:Normalizer", KATA_INPUTS(transpose(g, x))))
BUILD(einsum_sum, KATA_NODE_WITH(g, "Einsum", KATA_INPUTS(x), KATA_STRING("equation", "ni->i")))
BUILD(einsum_gram,
      KATA_NODE_WITH(g, "Einsum", KATA_INPUTS(x, x), KATA_STRING("equation", "ni,mi->nm")))

/* Element by element. */
BUILD(scaled, KATA_NODE(g, "Mul", KATA_INPUTS(x, weight(g, KATA_SHAPE_OF(FEATURES)))))
BUILD(equal_rows, KATA_NODE(g, "Add", KATA_INPUTS(x, table(g, true))))
BUILD(own_rows, KATA_NODE(g, "Add", KATA_INPUTS(x, table(g, false))))
BUILD(both, KATA_NODE(g, "Add", KATA_INPUTS(x, KATA_NODE(g, "Relu", KATA_INPUTS(x)))))
BUILD(outer, KATA_NODE(g, "Mul",
                       KATA_INPUTS(reshape(g, x, SHAPE(SIZE, 1, FEATURES)),
                                   reshape(g, x, SHAPE(1, SIZE, FEATURES)))))
BUILD(centred, KATA_NODE(g, "Sub",
                         KATA_INPUTS(x, KATA_NODE_WITH(g, "ReduceMean", KATA_INPUTS(x),
                                                       KATA_INTS("axes", 0)))))
BUILD(clipped, KATA_NODE(g, "Clip",
                         KATA_INPUTS(x, kata_graph_scalar(g, KATA_F32, 0),
                                     kata_graph_scalar(g, KATA_F32, 1))))

/* Sums and the like. */
BUILD(sum_all, KATA_NODE(g, "ReduceSum", KATA_INPUTS(x)))
BUILD(sum_rows, KATA_NODE_WITH(g, "ReduceSum", KATA_INPUTS(x, SHAPE(1)), KATA_INT("keepdims", 0)))
BUILD(sum_batch, KATA_NODE_WITH(g, "ReduceSum", KATA_INPUTS(x, SHAPE(0)), KATA_INT("keepdims", 1)))
BUILD(sum_moved, KATA_NODE_WITH(g, "ReduceMax", KATA_INPUTS(transpose(g, x)), KATA_INTS("axes", 0),
                                KATA_INT("keepdims", 0)))
BUILD(arg_max, KATA_NODE_WITH(g, "ArgMax", KATA_INPUTS(x), KATA_INT("axis", -1)))
BUILD(arg_max_batch, KATA_NODE_WITH(g, "ArgMax", KATA_INPUTS(x), KATA_INT("axis", 0)))
BUILD(softmax, KATA_NODE_WITH(g, "Softmax", KATA_INPUTS(x), KATA_INT("axis", 1)))
BUILD(softmax_batch, KATA_NODE_WITH(g, "Softmax", KATA_INPUTS(x), KATA_INT("axis", 0)))
BUILD(cum_sum, KATA_NODE(g, "CumSum", KATA_INPUTS(x, SHAPE(1))))
BUILD(cum_sum_batch, KATA_NODE(g, "CumSum", KATA_INPUTS(x, SHAPE(0))))
BUILD(top, second_output(g, "TopK", x, SHAPE(2), (kata_attribute)KATA_INT("axis", 1)))
BUILD(top_batch, second_output(g, "TopK", x, SHAPE(2), (kata_attribute)KATA_INT("axis", 0)))

/* Shapes and places. */
BUILD(flat, KATA_NODE_WITH(g, "Flatten", KATA_INPUTS(planes(g, x)), KATA_INT("axis", 1)))
BUILD(flat_all, KATA_NODE_WITH(g, "Flatten", KATA_INPUTS(x), KATA_INT("axis", 0)))
BUILD(rows_moved, reshape(g, x, SHAPE(FEATURES, SIZE)))
BUILD(rows_cut, reshape(g, x, SHAPE(2 * SIZE, 3)))
BUILD(rows_cut_and_joined,
      reshape(g,
              KATA_NODE(g, "MatMul", KATA_INPUTS(rows_cut(g, x), weight(g, KATA_SHAPE_OF(3, 5)))),
              SHAPE(SIZE, 10)))
BUILD(rows_joined, reshape(g, x, SHAPE(SIZE / 2, 2 * FEATURES)))
BUILD(unsqueezed, KATA_NODE(g, "Unsqueeze", KATA_INPUTS(x, SHAPE(0))))
BUILD(there_and_back, KATA_NODE(g, "Squeeze", KATA_INPUTS(unsqueezed(g, x), SHAPE(0))))
BUILD(twice_transposed, transpose(g, KATA_NODE(g, "Relu", KATA_INPUTS(transpose(g, x)))))
BUILD(concat, KATA_NODE_WITH(g, "Concat", KATA_INPUTS(x, x, table(g, true)), KATA_INT("axis", 1)))
BUILD(concat_own, KATA_NODE_WITH(g, "Concat", KATA_INPUTS(x, table(g, false)), KATA_INT("axis", 1)))
BUILD(concat_batch, KATA_NODE_WITH(g, "Concat", KATA_INPUTS(x, x), KATA_INT("axis", 0)))
BUILD(split, second_output(g, "Split", x, KATA_NONE, (kata_attribute)KATA_INT("axis", 1)))
BUILD(split_batch, second_output(g, "Split", x, KATA_NONE, (kata_attribute)KATA_INT("axis", 0)))
BUILD(slice_columns, slice(g, x, 1, 5, 1, 2))
BUILD(slice_whole, slice(g, x, 0, INT64_MAX, 0, 1))
BUILD(slice_first_row, slice(g, x, 0, 1, 0, 1))
BUILD(slice_backwards, slice(g, x, -1, INT64_MIN, 0, -1))
BUILD(gather_columns, KATA_NODE_WITH(g, "Gather", KATA_INPUTS(x, SHAPE(2, 0)), KATA_INT("axis", 1)))
BUILD(gather_rows,
      KATA_NODE_WITH(g, "Gather", KATA_INPUTS(x, SHAPE(0, 1, 2, 3)), KATA_INT("axis", 0)))
BUILD(embedding, KATA_NODE(g, "Gather", KATA_INPUTS(weight(g, KATA_SHAPE_OF(2, 3)), indices(g, x))))
BUILD(gather_elements,
      KATA_NODE_WITH(g, "GatherElements", KATA_INPUTS(x, indices(g, x)), KATA_INT("axis", 1)))
BUILD(gather_elements_batch,
      KATA_NODE_WITH(g, "GatherElements", KATA_INPUTS(x, indices(g, x)), KATA_INT("axis", 0)))
BUILD(gather_nd, KATA_NODE_WITH(g, "GatherND", KATA_INPUTS(x, slice(g, indices(g, x), 0, 1, 1, 1)),
                                KATA_INT("batch_dims", 1)))
BUILD(gather_nd_table,
      KATA_NODE(g, "GatherND",
                KATA_INPUTS(weight(g, KATA_SHAPE_OF(2, 3)), slice(g, indices(g, x), 0, 2, 1, 1))))
BUILD(scatter_elements,
      KATA_NODE_WITH(g, "ScatterElements",
                     KATA_INPUTS(x, slice(g, indices(g, x), 0, 1, 1, 1), slice(g, x, 3, 4, 1, 1)),
                     KATA_INT("axis", 1)))
BUILD(pad, KATA_NODE(g, "Pad", KATA_INPUTS(x, SHAPE(0, 1, 0, 2))))
BUILD(pad_shift, KATA_NODE(g, "Pad", KATA_INPUTS(x, SHAPE(1, 0, -1, 0))))
BUILD(expand,
      KATA_NODE(g, "Expand",
                KATA_INPUTS(reshape(g, x, SHAPE(SIZE, 1, FEATURES)), SHAPE(SIZE, 3, FEATURES))))
BUILD(tile, KATA_NODE(g, "Tile", KATA_INPUTS(x, SHAPE(1, 2))))
BUILD(tile_batch, KATA_NODE(g, "Tile", KATA_INPUTS(x, SHAPE(2, 1))))
BUILD(triangle, KATA_NODE(g, "Trilu", KATA_INPUTS(planes(g, x))))
BUILD(triangle_batch, KATA_NODE(g, "Trilu", KATA_INPUTS(x)))
BUILD(one_hot, KATA_NODE(g, "OneHot", KATA_INPUTS(indices(g, x), SHAPE(2), SHAPE(0, 1))))
BUILD(one_hot_first, KATA_NODE_WITH(g, "OneHot", KATA_INPUTS(indices(g, x), SHAPE(2), SHAPE(0, 1)),
                                    KATA_INT("axis", 0)))
BUILD(crop, KATA_NODE_WITH(g, "CenterCropPad", KATA_INPUTS(x, SHAPE(4)), KATA_INTS("axes", 1)))
BUILD(reverse, KATA_NODE_WITH(g, "ReverseSequence", KATA_INPUTS(x, SHAPE(3, 3, 3, 3)),
                              KATA_INT("batch_axis", 0), KATA_INT("time_axis", 1)))
BUILD(reverse_own, KATA_NODE_WITH(g, "ReverseSequence", KATA_INPUTS(x, SHAPE(1, 2, 3, 4)),
                                  KATA_INT("batch_axis", 0), KATA_INT("time_axis", 1)))
BUILD(reverse_batch, KATA_NODE_WITH(g, "ReverseSequence", KATA_INPUTS(x, SHAPE(2, 2, 2, 2, 2, 2)),
                                    KATA_INT("batch_axis", 1), KATA_INT("time_axis", 0)))
BUILD(depth, KATA_NODE_WITH(g, "SpaceToDepth", KATA_INPUTS(reshape(g, x, SHAPE(SIZE, 3, 1, 2))),
                            KATA_INT("blocksize", 1)))

/* Pictures. */
BUILD(conv, KATA_NODE(g, "Conv", KATA_INPUTS(planes(g, x), weight(g, KATA_SHAPE_OF(3, 1, 2, 2)))))
BUILD(conv_by_sample,
      KATA_NODE(g, "Conv",
                KATA_INPUTS(reshape(g, weight(g, KATA_SHAPE_OF(2, FEATURES)), SHAPE(2, 1, 2, 3)),
                            planes(g, x))))
BUILD(max_pool,
      KATA_NODE_WITH(g, "MaxPool", KATA_INPUTS(planes(g, x)), KATA_INTS("kernel_shape", 2, 2)))
BUILD(max_pool_places, second_output(g, "MaxPool", planes(g, x), KATA_NONE,
                                     (kata_attribute)KATA_INTS("kernel_shape", 2, 2)))
BUILD(resize,
      KATA_NODE(g, "Resize", KATA_INPUTS(planes(g, x), KATA_NONE, KATA_NONE, SHAPE(SIZE, 1, 4, 6))))
BUILD(layer_norm,
      KATA_NODE(g, "LayerNormalization", KATA_INPUTS(x, weight(g, KATA_SHAPE_OF(FEATURES)))))
BUILD(layer_norm_all,
      KATA_NODE_WITH(g, "LayerNormalization",
                     KATA_INPUTS(x, weight(g, KATA_SHAPE_OF(SIZE, FEATURES))), KATA_INT("axis", 0)))
BUILD(running, batch_norm(g, x, 0))
BUILD(of_the_batch, batch_norm(g, x, 1))

/* Others. */
BUILD(constant, KATA_NODE(g, "Relu", KATA_INPUTS(weight(g, KATA_SHAPE_OF(SIZE, FEATURES)))))
BUILD(scatter_nd,
      KATA_NODE(g, "ScatterND",
                KATA_INPUTS(x, reshape(g, SHAPE(0), SHAPE(1, 1)),
                            reshape(g, weight(g, KATA_SHAPE_OF(FEATURES)), SHAPE(1, FEATURES)))))
BUILD(identity, KATA_NODE(g, "Identity", KATA_INPUTS(x)))

typedef struct example {
    const char *name;
    builder build;
    int axis; /* expected */
} example;
#define E(name, axis)                                                                              \
    { #name, name, axis }
static const example examples[] = {
    E(gemm, 0),
    E(gemm_rows_of_c, MIXED),
    E(gemm_columns, 1),
    E(gemm_inner, MIXED),
    E(by_itself, MIXED),
    E(matmul, 0),
    E(matmul_vector, 0),
    E(matmul_of_columns, 0),
    E(matmul_stack, 0),
    E(matmul_many_weights, MIXED),
    E(einsum, 0),
    E(normalizer, 0),
    E(normalizer_turned, MIXED),
    E(einsum_sum, MIXED),
    E(einsum_gram, MIXED),
    E(scaled, 0),
    E(equal_rows, 0),
    E(own_rows, MIXED),
    E(both, 0),
    E(outer, MIXED),
    E(centred, MIXED),
    E(clipped, 0),
    E(sum_all, MIXED),
    E(sum_rows, 0),
    E(sum_batch, MIXED),
    E(sum_moved, 0),
    E(arg_max, 0),
    E(arg_max_batch, MIXED),
    E(softmax, 0),
    E(softmax_batch, MIXED),
    E(cum_sum, 0),
    E(cum_sum_batch, MIXED),
    E(top, 0),
    E(top_batch, MIXED),
    E(flat, 0),
    E(flat_all, 1),
    E(rows_moved, MIXED),
    E(rows_cut, 0),
    E(rows_cut_and_joined, 0),
    E(rows_joined, MIXED),
    E(unsqueezed, 1),
    E(there_and_back, 0),
    E(twice_transposed, 0),
    E(concat, 0),
    E(concat_own, MIXED),
    E(concat_batch, MIXED),
    E(split, 0),
    E(split_batch, MIXED),
    E(slice_columns, 0),
    E(slice_whole, 0),
    E(slice_first_row, MIXED),
    E(slice_backwards, MIXED),
    E(gather_columns, 0),
    E(gather_rows, MIXED),
    E(embedding, 0),
    E(gather_elements, 0),
    E(gather_elements_batch, MIXED),
    E(gather_nd, 0),
    E(gather_nd_table, 0),
    E(scatter_elements, 0),
    E(scatter_nd, MIXED),
    E(pad, 0),
    E(pad_shift, MIXED),
    E(expand, 0),
    E(tile, 0),
    E(tile_batch, MIXED),
    E(triangle, 0),
    E(triangle_batch, MIXED),
    E(one_hot, 0),
    E(one_hot_first, 1),
    E(crop, 0),
    E(reverse, 0),
    E(reverse_own, MIXED),
    E(reverse_batch, MIXED),
    E(depth, 0),
    E(conv, 0),
    E(conv_by_sample, MIXED),
    E(max_pool, 0),
    E(max_pool_places, MIXED),
    E(resize, 0),
    E(layer_norm, 0),
    E(layer_norm_all, MIXED),
    E(running, 0),
    E(of_the_batch, MIXED),
    E(constant, NONE),
    E(identity, 0),
};

/* Sample `order[i]` in place i; the numbers of a sample are its own. */
static void run_ordered(kata_session *session, const int *order, double *out, int64_t n_out) {
    kata_tensor x = kata_session_input(session, 0), y = kata_session_output(session, 0);
    for (int i = 0; i < SIZE; i++) {
        for (int j = 0; j < FEATURES; j++) {
            ((float *)x.data)[i * FEATURES + j] =
                (float)((order[i] * 13 + j * 5 + order[i] * j) % 17) * 0.25F - 2;
        }
    }
    assert_ok(kata_session_run(session, 0, 0));
    assert_int_equal(kata_tensor_count(&y), n_out);
    for (int64_t k = 0; k < n_out; k++) {
        out[k] = kata_load(y.dtype, y.data, k);
    }
}

/* Block `i` of the samples' axis of `a` equals block `j` of `b`. */
static bool same_block(const double *a, int i, const double *b, int j, const kata_shape *shape,
                       int axis) {
    int64_t before = 1, block = shape->dim[axis] / SIZE;
    for (int k = 0; k < axis; k++) {
        before *= shape->dim[k];
    }
    for (int k = axis + 1; k < shape->rank; k++) {
        block *= shape->dim[k];
    }
    for (int64_t o = 0; o < before; o++) {
        if (memcmp(a + (o * SIZE + i) * block, b + (o * SIZE + j) * block,
                   (size_t)block * sizeof *a) != 0) {
            return false;
        }
    }
    return true;
}

static void each_example_is_where_it_should_be(void **state) {
    (void)state;
    static const int orders[][SIZE] = {{0, 1, 2, 3}, {3, 0, 4, 1}, {5, 3, 3, 3}};
    for (size_t i = 0; i < KATA__COUNT(examples); i++) {
        kata_graph *graph = NULL;
        kata_session *session = NULL;
        int axis = 99;
        assert_ok(kata_graph_new(&graph, kata_context_default(), examples[i].name));
        kata_value x = kata_graph_input(graph, "x", KATA_F32, &KATA_SHAPE_OF(SIZE, FEATURES));
        kata_graph_output(graph, "y", examples[i].build(graph, x));
        if (kata_graph_status(graph) != KATA_OK) {
            fail_msg("%s: %s", examples[i].name, kata_graph_message(graph));
        }
        assert_ok(kata__graph_batch_axes(graph, SIZE, &axis));
        if (axis != examples[i].axis) {
            fail_msg("%s: axis %d, expected %d", examples[i].name, axis, examples[i].axis);
        }
        assert_ok(kata_session_new(&session, graph, NULL));
        const kata_tensor y = kata_session_output(session, 0);
        double out[KATA__COUNT(orders)][512];
        const int64_t n = kata_tensor_count(&y);
        assert_true(n <= 512);
        bool same = axis >= 0;
        for (size_t k = 0; k < KATA__COUNT(orders); k++) {
            run_ordered(session, orders[k], out[k], n);
        }
        for (size_t k = 1; k < KATA__COUNT(orders) && axis >= 0; k++) {
            for (int a = 0; a < SIZE; a++) {
                for (int b = 0; b < SIZE; b++) {
                    same = same && (orders[0][a] != orders[k][b] ||
                                    same_block(out[0], a, out[k], b, &y.shape, axis));
                }
            }
        }
        if (axis >= 0 && !same) {
            fail_msg("%s: a sample's numbers depend on the others or on its place",
                     examples[i].name);
        }
        kata_session_free(session);
        kata_graph_free(graph);
    }
}

/* A second input without samples, or with others: nothing is known. */
static void inputs_must_agree(void **state) {
    (void)state;
    kata_graph *graph = NULL;
    int axes[2];
    assert_ok(kata_graph_new(&graph, kata_context_default(), "two"));
    kata_value x = kata_graph_input(graph, "x", KATA_F32, &KATA_SHAPE_OF(SIZE, 3));
    kata_value s = kata_graph_input(graph, "s", KATA_F32, &KATA_SHAPE_OF(1, 3));
    kata_graph_output(graph, "y", KATA_NODE(graph, "Add", KATA_INPUTS(x, s)));
    kata_graph_output(graph, "z", KATA_NODE(graph, "Relu", KATA_INPUTS(x)));
    assert_ok(kata__graph_batch_axes(graph, SIZE, axes));
    assert_int_equal(axes[0], MIXED);
    assert_int_equal(axes[1], 0);
    kata_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_example_is_where_it_should_be),
                                       cmocka_unit_test(inputs_must_agree)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
