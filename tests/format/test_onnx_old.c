/* Nodes of old operator sets, and shapes that a graph takes apart and puts together: models put
 * together by hand, with numbers by hand or by the rules of onnx/docs/Changelog.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <kata/kata.h>

#include "format/craft.h"
#include "graph/graph.h"
#include "support/assert_ok.h"
#include "support/counting_allocator.h"

enum { FLOAT = 1, INT32 = 6, INT64 = 7 };

static kata_test_allocator allocator;
static kata_context *context;
static kata__buffer graph_bytes, model_bytes;

static int set_up(void **state) {
    (void)state;
    kata_test_allocator_init(&allocator);
    context = kata_test_context(&allocator, 1);
    if (context == NULL) {
        return 1;
    }
    kata__buffer_init(&graph_bytes, context, KATA__PROTO_MAXIMUM);
    kata__buffer_init(&model_bytes, context, KATA__PROTO_MAXIMUM);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    kata__buffer_free(&graph_bytes);
    kata__buffer_free(&model_bytes);
    kata_context_free(context);
    return atomic_load(&allocator.n_live) != 0;
}

static kata_status try_read(kata_graph **graph, int64_t opset) {
    kata__buffer *g = &graph_bytes;
    craft_model(&model_bytes, g, 4, opset);
    kata_status status =
        kata_onnx_read_memory(graph, context, model_bytes.data, model_bytes.size, "crafted");
    kata__buffer_free(&graph_bytes);
    kata__buffer_free(&model_bytes);
    kata__buffer_init(&graph_bytes, context, KATA__PROTO_MAXIMUM);
    kata__buffer_init(&model_bytes, context, KATA__PROTO_MAXIMUM);
    return status;
}

static kata_graph *read_model(int64_t opset) {
    kata_graph *graph = NULL;
    assert_ok(try_read(&graph, opset));
    return graph;
}

/* --- parts of a model ------------------------------------------------------------------------- */

static void input(const char *name, int code, int rank, const int64_t *dims) {
    craft_value(&graph_bytes, KATA__GRAPH_INPUT, name, code, rank, dims);
}

static void output(const char *name, int code, int rank, const int64_t *dims) {
    craft_value(&graph_bytes, KATA__GRAPH_OUTPUT, name, code, rank, dims);
}

static void floats(const char *name, int n, const float *values) {
    craft_raw(&graph_bytes, name, FLOAT, CRAFT_DIMS(n), values, (size_t)n * sizeof *values);
}

static void ints(const char *name, int rank, int n, const int64_t *values) {
    const int64_t dims[1] = {n};
    craft_raw(&graph_bytes, name, INT64, rank, dims, values, (size_t)n * sizeof *values);
}
#define LIST(name, ...)                                                                            \
    ints(name, 1, (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),                       \
         (const int64_t[]){__VA_ARGS__})

static void node(const char *op, const char *inputs, const char *outputs) {
    craft_node(&graph_bytes, op, "", inputs, outputs);
}

/* Of the node that is open. */
static void attribute_int(const char *name, int64_t value) {
    size_t begun = kata__proto_begin(&graph_bytes, KATA__NODE_ATTRIBUTE);
    kata__proto_put_text(&graph_bytes, KATA__ATTRIBUTE_NAME, name);
    kata__proto_put_varint(&graph_bytes, KATA__ATTRIBUTE_I, (uint64_t)value);
    kata__proto_put_varint(&graph_bytes, KATA__ATTRIBUTE_TYPE, KATA__ONNX_INT);
    kata__proto_end(&graph_bytes, begun);
}

static void attribute_text(const char *name, const char *value) {
    size_t begun = kata__proto_begin(&graph_bytes, KATA__NODE_ATTRIBUTE);
    kata__proto_put_text(&graph_bytes, KATA__ATTRIBUTE_NAME, name);
    kata__proto_put_text(&graph_bytes, KATA__ATTRIBUTE_S, value);
    kata__proto_put_varint(&graph_bytes, KATA__ATTRIBUTE_TYPE, KATA__ONNX_STRING);
    kata__proto_end(&graph_bytes, begun);
}

/* A node with one or two integer attributes; a name NULL: none. */
static void node_with(const char *op, const char *inputs, const char *outputs, const char *first,
                      int64_t a, const char *second, int64_t b) {
    size_t begun = craft_node_open(&graph_bytes, op, "", inputs, outputs);
    attribute_int(first, a);
    if (second != NULL) {
        attribute_int(second, b);
    }
    kata__proto_end(&graph_bytes, begun);
}

/* --- running ---------------------------------------------------------------------------------- */

/* Binds N to `batch`, gives input 0 the numbers x and compares output `k`. */
static void runs(const kata_graph *graph, int64_t batch, const double *x, int k,
                 const double *expected, int n) {
    kata_graph *bound;
    kata_session *session;
    assert_ok(kata_graph_bind(&bound, graph, KATA_SIZES({"N", batch}), false));
    assert_ok(kata_session_new(&session, bound, NULL));
    kata_tensor in = kata_session_input(session, 0), out = kata_session_output(session, k);
    for (int64_t i = 0; i < kata_tensor_count(&in); i++) {
        kata_store(in.dtype, in.data, i, x[i]);
    }
    assert_ok(kata_session_run(session, 0, 0));
    assert_int_equal(kata_tensor_count(&out), n);
    for (int i = 0; i < n; i++) {
        double got = kata_load(out.dtype, out.data, i);
        if (!(got - expected[i] < 1e-6 && expected[i] - got < 1e-6)) {
            fail_msg("output %d: element %d is %.9g, expected %.9g", k, i, got, expected[i]);
        }
    }
    kata_session_free(session);
    kata_graph_free(bound);
}
#define NUMBERS(...)                                                                               \
    (const double[]) {                                                                             \
        __VA_ARGS__                                                                                \
    }
#define EXPECTED(...)                                                                              \
    (const double[]){__VA_ARGS__}, (int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double))

/* The shape of a value while N is open. */
static void has_shape(const kata_graph *graph, const char *name, int rank, const int64_t *dims) {
    kata_shape got = kata_value_shape(graph, kata_graph_find_value(graph, name));
    char text[KATA_SHAPE_TEXT_SIZE];
    for (int i = 0; i < rank; i++) {
        const char *size = got.rank == rank ? kata_graph_size_name(graph, got.dim[i]) : NULL;
        bool fits = dims[i] >= 0 ? got.rank == rank && got.dim[i] == dims[i]
                                 : size != NULL && strcmp(size, "N") == 0;
        if (!fits) {
            fail_msg("%s has the shape %s", name, kata_graph_shape_text(graph, &got, text));
        }
    }
}

/* --- softmax over the rest -------------------------------------------------------------------- */

/* x (N,2,2): from operator set 13 on along one axis, before over all axes from `axis` on. */
static void softmax_model(const char *op, bool has_axis, int64_t axis) {
    input("x", FLOAT, CRAFT_DIMS(-1, 2, 2));
    if (has_axis) {
        node_with(op, "x", "y", "axis", axis, NULL, 0);
    } else {
        node(op, "x", "y");
    }
    output("y", FLOAT, CRAFT_DIMS(-1, 2, 2));
}

static void test_softmax(void **state) {
    (void)state;
    const double x[] = {0, 0, 0, 1.0986122886681098}; /* log 1, 1, 1, 3 */
    const int64_t sets[] = {1, 6, 11, 12};
    for (int i = 0; i < 4; i++) {
        softmax_model("Softmax", false, 0);
        kata_graph *graph = read_model(sets[i]);
        has_shape(graph, "y", CRAFT_DIMS(-1, 2, 2));
        runs(graph, 1, x, 0, EXPECTED(1.0 / 6, 1.0 / 6, 1.0 / 6, 0.5));
        kata_graph_free(graph);
    }
    softmax_model("Softmax", true, 2); /* the last axis is one axis */
    kata_graph *graph = read_model(11);
    runs(graph, 1, x, 0, EXPECTED(0.5, 0.5, 0.25, 0.75));
    kata_graph_free(graph);
    softmax_model("Softmax", true, 0); /* the batch too */
    graph = read_model(11);
    runs(graph, 2, NUMBERS(0, 0, 0, 0, 0, 0, 0, 0), 0,
         EXPECTED(.125, .125, .125, .125, .125, .125, .125, .125));
    kata_graph_free(graph);
    softmax_model("Softmax", true, -2);
    graph = read_model(11);
    runs(graph, 1, x, 0, EXPECTED(1.0 / 6, 1.0 / 6, 1.0 / 6, 0.5));
    kata_graph_free(graph);
    softmax_model("Softmax", false, 0); /* today: the last axis */
    graph = read_model(13);
    runs(graph, 1, x, 0, EXPECTED(0.5, 0.5, 0.25, 0.75));
    kata_graph_free(graph);
    softmax_model("LogSoftmax", true, 1);
    graph = read_model(9);
    runs(graph, 1, NUMBERS(0, 0, 0, 0), 0,
         EXPECTED(-1.3862943611, -1.3862943611, -1.3862943611, -1.3862943611));
    kata_graph_free(graph);
    softmax_model("Hardmax", false, 0);
    graph = read_model(11);
    runs(graph, 2, NUMBERS(1, 7, 3, 7, 2, 1, 4, 3), 0, EXPECTED(0, 1, 0, 0, 0, 0, 1, 0));
    kata_graph_free(graph);
    softmax_model("Softmax", true, 4);
    assert_int_equal(try_read(&graph, 11), KATA_INVALID);
    assert_non_null(strstr(kata_error_message(), "its axis is 4"));
}

/* --- shapes ----------------------------------------------------------------------------------- */

static void test_shape_of_itself(void **state) {
    (void)state;
    input("x", FLOAT, CRAFT_DIMS(-1, 2, 3));
    node("Shape", "x", "s");
    node("Relu", "x", "r");
    node("Reshape", "r,s", "y");
    output("y", FLOAT, CRAFT_DIMS(-1, 2, 3));
    kata_graph *graph = read_model(13);
    has_shape(graph, "y", CRAFT_DIMS(-1, 2, 3));
    runs(graph, 1, NUMBERS(1, -1, 2, -2, 3, -3), 0, EXPECTED(1, 0, 2, 0, 3, 0));
    kata_graph_free(graph);
}

/* Reshape(x, Concat(Shape(x)[0:1], rest)), by Slice and by Gather. */
static kata_graph *joined(bool by_gather, int64_t rest) {
    input("x", FLOAT, CRAFT_DIMS(-1, 2, 3));
    node("Shape", "x", "s");
    LIST("zero", 0);
    LIST("one", 1);
    ints("first", 0, 1, (const int64_t[]){0});
    if (by_gather) {
        node("Gather", "s,first", "n");
        node("Unsqueeze", "n,zero", "n1");
    } else {
        node("Slice", "s,zero,one", "n1");
    }
    LIST("rest", rest);
    size_t begun = craft_node_open(&graph_bytes, "Concat", "", "n1,rest", "sizes");
    attribute_int("axis", 0);
    kata__proto_end(&graph_bytes, begun);
    node("Reshape", "x,sizes", "y");
    output("y", FLOAT, CRAFT_DIMS(-1, 6));
    return read_model(13);
}

static void test_joined_shape(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        kata_graph *graph = joined(i % 2 != 0, i < 2 ? 6 : -1);
        has_shape(graph, "y", CRAFT_DIMS(-1, 6));
        runs(graph, 2, NUMBERS(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11), 0,
             EXPECTED(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
        kata_graph_free(graph);
    }
}

/* [-1, C * H] by Mul, then a Gemm that must see 6 columns. */
static void test_computed_shape(void **state) {
    (void)state;
    const float weight[6] = {1, 1, 1, 1, 1, 1};
    input("x", FLOAT, CRAFT_DIMS(-1, 2, 3));
    node("Shape", "x", "s");
    ints("i1", 0, 1, (const int64_t[]){1});
    ints("i2", 0, 1, (const int64_t[]){-1});
    node("Gather", "s,i1", "c");
    node("Gather", "s,i2", "h");
    node("Mul", "c,h", "ch");
    LIST("zero", 0);
    node("Unsqueeze", "ch,zero", "ch1");
    LIST("open", -1);
    size_t begun = craft_node_open(&graph_bytes, "Concat", "", "open,ch1", "sizes");
    attribute_int("axis", 0);
    kata__proto_end(&graph_bytes, begun);
    node("Reshape", "x,sizes", "flat");
    craft_raw(&graph_bytes, "w", FLOAT, CRAFT_DIMS(6, 1), weight, sizeof weight);
    node("Gemm", "flat,w", "y");
    output("y", FLOAT, CRAFT_DIMS(-1, 1));
    kata_graph *graph = read_model(13);
    has_shape(graph, "flat", CRAFT_DIMS(-1, 6));
    runs(graph, 2, NUMBERS(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11), 0, EXPECTED(15, 51));
    kata_graph_free(graph);
}

/* Expand to [N, -1, 2], where -1 becomes 1: as exporters write `expand`. */
static void test_expanded(void **state) {
    (void)state;
    const float table[3] = {1, 2, 3};
    const int64_t ones[1] = {1};
    input("x", FLOAT, CRAFT_DIMS(-1, 4));
    node("Shape", "x", "s");
    LIST("zero", 0);
    LIST("one", 1);
    node("Slice", "s,zero,one", "n");
    LIST("keep", -1);
    LIST("two", 2);
    size_t begun = craft_node_open(&graph_bytes, "Concat", "", "n,keep,two", "sizes");
    attribute_int("axis", 0);
    kata__proto_end(&graph_bytes, begun);
    node("Shape", "sizes", "length");
    begun = craft_node_open(&graph_bytes, "ConstantOfShape", "", "length", "ones");
    size_t attribute = kata__proto_begin(&graph_bytes, KATA__NODE_ATTRIBUTE);
    kata__proto_put_text(&graph_bytes, KATA__ATTRIBUTE_NAME, "value");
    size_t tensor = craft_tensor_open(&graph_bytes, KATA__ATTRIBUTE_T, "", INT64, CRAFT_DIMS(1));
    kata__proto_put_bytes(&graph_bytes, KATA__TENSOR_RAW_DATA, ones, sizeof ones);
    kata__proto_end(&graph_bytes, tensor);
    kata__proto_put_varint(&graph_bytes, KATA__ATTRIBUTE_TYPE, KATA__ONNX_TENSOR);
    kata__proto_end(&graph_bytes, attribute);
    kata__proto_end(&graph_bytes, begun);
    node("Equal", "sizes,keep", "is_kept");
    node("Where", "is_kept,ones,sizes", "all");
    craft_raw(&graph_bytes, "table", FLOAT, CRAFT_DIMS(1, 3, 1), table, sizeof table);
    node("Expand", "table,all", "y");
    output("y", FLOAT, CRAFT_DIMS(-1, 3, 2));
    kata_graph *graph = read_model(13);
    has_shape(graph, "y", CRAFT_DIMS(-1, 3, 2));
    runs(graph, 1, NUMBERS(0, 0, 0, 0), 0, EXPECTED(1, 1, 2, 2, 3, 3));
    kata_graph_free(graph);
}

/* --- outputs of old forms --------------------------------------------------------------------- */

static void batch_norm(const char *outputs) {
    input("x", FLOAT, CRAFT_DIMS(-1, 1));
    floats("scale", 1, (const float[]){2});
    floats("bias", 1, (const float[]){1});
    floats("mean", 1, (const float[]){10});
    floats("var", 1, (const float[]){4});
    size_t begun =
        craft_node_open(&graph_bytes, "BatchNormalization", "", "x,scale,bias,mean,var", outputs);
    craft_float(&graph_bytes, "epsilon", 0);
    attribute_int("spatial", 1);
    kata__proto_end(&graph_bytes, begun);
    output("y", FLOAT, CRAFT_DIMS(-1, 1));
}

/* More outputs than Y say that the node normalises by the batch: 0 and 4 have the mean 2, the
 * variance 4. The last one is 1 / sqrt(variance), as onnxruntime has it. */
static void test_batch_norm(void **state) {
    (void)state;
    const double x[] = {0, 4};
    for (int64_t opset = 7; opset <= 8; opset++) {
        batch_norm("y");
        kata_graph *graph = read_model(opset);
        runs(graph, 2, x, 0, EXPECTED(-9, -5));
        kata_graph_free(graph);
        batch_norm("y,m,v,sm,sv");
        output("m", FLOAT, CRAFT_DIMS(1));
        output("v", FLOAT, CRAFT_DIMS(1));
        output("sm", FLOAT, CRAFT_DIMS(1));
        output("sv", FLOAT, CRAFT_DIMS(1));
        graph = read_model(opset);
        runs(graph, 2, x, 0, EXPECTED(-1, 3));
        runs(graph, 2, x, 1, EXPECTED(9.2)); /* 10 * 0.9 + 2 * 0.1 */
        runs(graph, 2, x, 2, EXPECTED(4));
        runs(graph, 2, x, 3, EXPECTED(2));
        runs(graph, 2, x, 4, EXPECTED(0.5));
        kata_graph_free(graph);
    }
}

static void test_dropout(void **state) {
    (void)state;
    for (int64_t opset = 6; opset <= 9; opset += 3) {
        input("x", FLOAT, CRAFT_DIMS(-1, 2));
        size_t begun = craft_node_open(&graph_bytes, "Dropout", "", "x", "d,mask");
        craft_float(&graph_bytes, "ratio", 0.3F);
        if (opset == 6) {
            attribute_int("is_test", 1);
        }
        kata__proto_end(&graph_bytes, begun);
        node("Mul", "d,mask", "y");
        output("y", FLOAT, CRAFT_DIMS(-1, 2));
        output("mask", FLOAT, CRAFT_DIMS(-1, 2));
        kata_graph *graph = read_model(opset);
        runs(graph, 1, NUMBERS(3, -5), 0, EXPECTED(3, -5));
        runs(graph, 1, NUMBERS(3, -5), 1, EXPECTED(1, 1));
        kata_graph_free(graph);
    }
    input("x", FLOAT, CRAFT_DIMS(-1, 2)); /* a mask that nobody reads is not made */
    node("Dropout", "x", "y,mask");
    output("y", FLOAT, CRAFT_DIMS(-1, 2));
    kata_graph *graph = read_model(7), *bound;
    assert_int_equal(graph->nodes[0].n_outputs, 1);
    assert_ok(kata_graph_bind(&bound, graph, KATA_SIZES({"N", 2}), false));
    assert_int_equal(bound->n_nodes, 0);
    kata_graph_free(bound);
    kata_graph_free(graph);
}

/* --- operator set 6 and before ---------------------------------------------------------------- */

static void test_broadcast(void **state) {
    (void)state;
    static const struct {
        const char *op;
        double y[8];
    } cases[] = {{"Add", {3, 4, 6, 7, 7, 8, 10, 11}},
                 {"Sub", {-1, 0, 0, 1, 3, 4, 4, 5}},
                 {"Mul", {2, 4, 9, 12, 10, 12, 21, 24}},
                 {"Div", {0.5, 1, 1, 4.0 / 3, 2.5, 3, 7.0 / 3, 8.0 / 3}},
                 {"Pow", {1, 4, 27, 64, 25, 36, 343, 512}}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        input("x", FLOAT, CRAFT_DIMS(-1, 2, 2));
        floats("b", 2, (const float[]){2, 3}); /* one for each row of the two */
        node_with(cases[i].op, "x,b", "y", "broadcast", 1, "axis", i % 2 == 0 ? 1 : -2);
        output("y", FLOAT, CRAFT_DIMS(-1, 2, 2));
        kata_graph *graph = read_model(6);
        runs(graph, 2, NUMBERS(1, 2, 3, 4, 5, 6, 7, 8), 0, cases[i].y, 8);
        kata_graph_free(graph);
    }
    input("x", FLOAT, CRAFT_DIMS(-1, 2)); /* without an axis: the last ones, as today */
    floats("b", 2, (const float[]){10, 20});
    node_with("Add", "x,b", "y", "broadcast", 1, NULL, 0);
    output("y", FLOAT, CRAFT_DIMS(-1, 2));
    kata_graph *graph = read_model(6);
    runs(graph, 2, NUMBERS(1, 2, 3, 4), 0, EXPECTED(11, 22, 13, 24));
    kata_graph_free(graph);
    input("x", FLOAT, CRAFT_DIMS(-1, 2));
    floats("b", 2, (const float[]){10, 20});
    node_with("Add", "x,b", "y", "broadcast", 1, "axis", 2);
    output("y", FLOAT, CRAFT_DIMS(-1, 2));
    assert_int_equal(try_read(&graph, 6), KATA_SHAPE);
    assert_non_null(strstr(kata_error_message(), "its axis is 2"));
}

/* What a framework wrote in place, a shape as an attribute, joining along axis 1, a type by name,
 * a slope for each channel. */
static void test_first_sets(void **state) {
    (void)state;
    const int64_t shape[2] = {0, -1}, in_place[1] = {0};
    input("x", FLOAT, CRAFT_DIMS(-1, 2, 1, 2));
    size_t begun = craft_node_open(&graph_bytes, "Neg", "", "x", "a");
    craft_ints(&graph_bytes, "consumed_inputs", in_place, 1, false);
    kata__proto_end(&graph_bytes, begun);
    floats("slope", 2, (const float[]){10, 100});
    node("PRelu", "a,slope", "b");
    begun = craft_node_open(&graph_bytes, "Reshape", "", "b", "c");
    craft_ints(&graph_bytes, "shape", shape, 2, false);
    kata__proto_end(&graph_bytes, begun);
    node("Concat", "c,c", "d");
    begun = craft_node_open(&graph_bytes, "Cast", "", "d", "y");
    attribute_text("to", "INT32");
    kata__proto_end(&graph_bytes, begun);
    output("y", INT32, CRAFT_DIMS(-1, 8));
    kata_graph *graph = read_model(3);
    has_shape(graph, "y", CRAFT_DIMS(-1, 8));
    runs(graph, 1, NUMBERS(1.5, -2.5, 3, -4), 0, EXPECTED(-15, 2, -300, 4, -15, 2, -300, 4));
    kata_graph_free(graph);
    input("x", FLOAT, CRAFT_DIMS(-1, 2));
    begun = craft_node_open(&graph_bytes, "Cast", "", "x", "y");
    attribute_text("to", "QUATERNION");
    kata__proto_end(&graph_bytes, begun);
    output("y", FLOAT, CRAFT_DIMS(-1, 2));
    assert_int_equal(try_read(&graph, 5), KATA_UNSUPPORTED);
    assert_non_null(strstr(kata_error_message(), "QUATERNION"));
}

/* Resize of operator set 10: x, scales; places count from 0, nearest is the one before. */
static void test_resize(void **state) {
    (void)state;
    input("x", FLOAT, CRAFT_DIMS(1, 4));
    floats("scales", 2, (const float[]){1, 2});
    size_t begun = craft_node_open(&graph_bytes, "Resize", "", "x,scales", "y");
    attribute_text("mode", "linear");
    kata__proto_end(&graph_bytes, begun);
    output("y", FLOAT, CRAFT_DIMS(1, 8));
    kata_graph *graph = read_model(10);
    runs(graph, 1, NUMBERS(1, 2, 3, 4), 0, EXPECTED(1, 1.5, 2, 2.5, 3, 3.5, 4, 4));
    kata_graph_free(graph);
    input("x", FLOAT, CRAFT_DIMS(1, 4));
    floats("scales", 2, (const float[]){1, 1.75F});
    node("Resize", "x,scales", "y");
    output("y", FLOAT, CRAFT_DIMS(1, 7));
    graph = read_model(10);
    runs(graph, 1, NUMBERS(1, 2, 3, 4), 0, EXPECTED(1, 1, 2, 2, 3, 3, 4));
    kata_graph_free(graph);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_softmax),        TEST(test_shape_of_itself), TEST(test_joined_shape),
        TEST(test_computed_shape), TEST(test_expanded),        TEST(test_batch_norm),
        TEST(test_dropout),        TEST(test_broadcast),       TEST(test_first_sets),
        TEST(test_resize),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
