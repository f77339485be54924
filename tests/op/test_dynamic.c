/* Nodes whose outputs have sizes that depend on data, strings, sequences and subgraphs, run in
 * sessions. Expected numbers: by hand from ONNX's texts, and the same as onnxruntime 1.22 gives. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <kata/exec.h>
#include <kata/graph.h>
#include <kata/pass.h>

#include "graph/graph.h"
#include "op/dynamic_rows.h"
#include "support/assert_ok.h"
#include "support/counting_allocator.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static kata_test_allocator allocator;
static kata_context *context;
static kata_graph *graph;
static kata_session *session;
static bool was_run[sizeof dynamic_rows / sizeof dynamic_rows[0]];

static int set_up(void **state) {
    (void)state;
    kata_test_allocator_init(&allocator);
    context = kata_test_context(&allocator, 2);
    return context == NULL || kata_graph_new(&graph, context, "dynamic") != KATA_OK;
}

static int tear_down(void **state) {
    (void)state;
    kata_session_free(session);
    kata_graph_free(graph);
    kata_context_free(context);
    session = NULL;
    return atomic_load(&allocator.n_live) != 0;
}

static void note(const kata_graph *g) {
    for (size_t i = 0; i < g->n_nodes; i++) {
        const kata_op *op = g->nodes[i].op;
        char name[128];
        snprintf(name, sizeof name, "%s%s%s", op->domain, op->domain[0] != '\0' ? ":" : "",
                 op->name);
        for (size_t k = 0; k < sizeof dynamic_rows / sizeof dynamic_rows[0]; k++) {
            was_run[k] = was_run[k] || strcmp(dynamic_rows[k], name) == 0;
        }
    }
}

static kata_value floats(const float *values, kata_shape shape) {
    kata_tensor tensor = kata_tensor_view((void *)(uintptr_t)values, KATA_F32, &shape);
    return kata_graph_constant(graph, NULL, &tensor);
}

static kata_value ints(const int64_t *values, kata_shape shape) {
    kata_tensor tensor = kata_tensor_view((void *)(uintptr_t)values, KATA_I64, &shape);
    return kata_graph_constant(graph, NULL, &tensor);
}

static kata_string text_of(const char *text) {
    return (kata_string){text, (int64_t)strlen(text)};
}

static kata_value texts(int n, const char *const *values) {
    kata_string elements[16];
    for (int i = 0; i < n; i++) {
        elements[i] = text_of(values[i]);
    }
    kata_tensor tensor = kata_tensor_view(elements, KATA_STRING, &KATA_SHAPE_OF(n));
    return kata_graph_constant(graph, NULL, &tensor);
}
#define TEXTS(...)                                                                                 \
    texts((int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),                           \
          (const char *[]){__VA_ARGS__})

static kata_status try_run(void) {
    kata_status status = kata_graph_status(graph);
    note(graph);
    if (status == KATA_OK && session == NULL) {
        status = kata_session_new(&session, graph, NULL);
    }
    return status == KATA_OK ? kata_session_run(session, 1, 2) : status;
}

/* Output i after a run, of this shape. */
static kata_tensor output(int i, kata_shape shape) {
    kata_tensor got = kata_session_output(session, i);
    char have[KATA_SHAPE_TEXT_SIZE], want[KATA_SHAPE_TEXT_SIZE];
    assert_string_equal(kata_shape_text(&got.shape, have), kata_shape_text(&shape, want));
    return got;
}

static void expect_ints(int i, kata_shape shape, const int64_t *values) {
    kata_tensor got = output(i, shape);
    assert_int_equal(got.dtype, KATA_I64);
    for (int64_t k = 0; k < kata_tensor_count(&got); k++) {
        assert_int_equal(((const int64_t *)got.data)[k], values[k]);
    }
}
#define INTS_ARE(i, shape, ...) expect_ints(i, shape, (const int64_t[]){__VA_ARGS__})

static void expect_floats(int i, kata_shape shape, const float *values) {
    kata_tensor got = output(i, shape);
    assert_int_equal(got.dtype, KATA_F32);
    for (int64_t k = 0; k < kata_tensor_count(&got); k++) {
        const float x = ((const float *)got.data)[k];
        assert_true(x == values[k] || fabsf(x - values[k]) <= 1e-6f * fabsf(values[k]));
    }
}
#define FLOATS_ARE(i, shape, ...) expect_floats(i, shape, (const float[]){__VA_ARGS__})

static void expect_texts(int i, kata_shape shape, const char *const *values) {
    kata_tensor got = output(i, shape);
    assert_int_equal(got.dtype, KATA_STRING);
    for (int64_t k = 0; k < kata_tensor_count(&got); k++) {
        kata_string element = ((const kata_string *)got.data)[k], wanted = text_of(values[k]);
        assert_int_equal(element.n_bytes, wanted.n_bytes);
        if (wanted.n_bytes > 0) {
            assert_memory_equal(element.data, wanted.data, (size_t)wanted.n_bytes);
        }
    }
}
#define TEXTS_ARE(i, shape, ...) expect_texts(i, shape, (const char *const[]){__VA_ARGS__})

static void out(kata_value value) {
    kata_graph_output(graph, NULL, value);
}

/* --- selection ---------------------------------------------------------------------------------
 */

/* The tail goes on: the sum of what is not zero, from a planned part before it; two runs of other
 * sizes, and no allocation once both have been seen. */
static void non_zero_and_what_follows(void **state) {
    (void)state;
    kata_value x = kata_graph_input(graph, "x", KATA_F32, &KATA_SHAPE_OF(2, 3));
    kata_value doubled = KATA_NODE(graph, "Add", KATA_INPUTS(x, x));
    kata_value at = KATA_NODE(graph, "NonZero", KATA_INPUTS(doubled));
    kata_value turned = KATA_NODE(graph, "Transpose", KATA_INPUTS(at));
    kata_value picked = KATA_NODE(graph, "GatherND", KATA_INPUTS(doubled, turned));
    kata_value size = KATA_NODE(graph, "Shape", KATA_INPUTS(picked));
    out(at);
    out(KATA_NODE_WITH(graph, "ReduceSum", KATA_INPUTS(picked), KATA_INT("keepdims", 0)));
    out(KATA_NODE(graph, "ConstantOfShape", KATA_INPUTS(size)));
    out(doubled);
    assert_int_equal(kata_graph_status(graph), KATA_OK);
    assert_int_equal(kata_value_shape(graph, at).dim[1], KATA_UNKNOWN_DIM);
    assert_int_equal(kata_session_new(&session, graph, NULL), KATA_OK);
    kata_tensor input = kata_session_input(session, 0);
    size_t before = 0;
    for (int k = 0; k < 6; k++) {
        const float one[] = {1, 0, 3, 0, 0, 6}, other[] = {0, 0, 0, 0, -5, 0};
        before = k < 4 ? atomic_load(&allocator.n_calls) : before;
        memcpy(input.data, k % 2 == 0 ? one : other, sizeof one);
        assert_int_equal(try_run(), KATA_OK);
        if (k % 2 == 0) {
            INTS_ARE(0, KATA_SHAPE_OF(2, 3), 0, 0, 1, 0, 2, 2);
            FLOATS_ARE(1, (kata_shape){.rank = 0}, 20);
            FLOATS_ARE(2, KATA_SHAPE_OF(3), 0, 0, 0);
            FLOATS_ARE(3, KATA_SHAPE_OF(2, 3), 2, 0, 6, 0, 0, 12);
        } else {
            INTS_ARE(0, KATA_SHAPE_OF(2, 1), 1, 1);
            FLOATS_ARE(1, (kata_shape){.rank = 0}, -10);
        }
    }
    assert_int_equal(atomic_load(&allocator.n_calls), before);
    memset(input.data, 0, 6 * sizeof(float));
    assert_int_equal(try_run(), KATA_OK);
    INTS_ARE(0, KATA_SHAPE_OF(2, 0), 0);
    FLOATS_ARE(1, (kata_shape){.rank = 0}, 0);
}

static void compress(void **state) {
    (void)state;
    const float x[] = {1, 2, 3, 4, 5, 6};
    const uint8_t is[] = {0, 1, 1};
    kata_tensor condition = kata_tensor_view((void *)(uintptr_t)is, KATA_BOOL, &KATA_SHAPE_OF(3));
    kata_value c = kata_graph_constant(graph, NULL, &condition);
    kata_value data = floats(x, KATA_SHAPE_OF(3, 2));
    out(KATA_NODE_WITH(graph, "Compress", KATA_INPUTS(data, c), KATA_INT("axis", 0)));
    out(KATA_NODE(graph, "Compress", KATA_INPUTS(data, c)));
    assert_int_equal(try_run(), KATA_OK);
    FLOATS_ARE(0, KATA_SHAPE_OF(2, 2), 3, 4, 5, 6);
    FLOATS_ARE(1, KATA_SHAPE_OF(2), 2, 3);
    out(KATA_NODE_WITH(graph, "Compress", KATA_INPUTS(data, c), KATA_INT("axis", 1)));
    kata_session_free(session);
    session = NULL;
    assert_int_equal(try_run(), KATA_INVALID);
    assert_non_null(
        strstr(kata_error_message(), "Compress: condition 2 is true, but there are only 2"));
}

static void unique(void **state) {
    (void)state;
    const float x[] = {2, 1, 1, 3, 4, 3}, rows[] = {1, 0, 0, 1, 0, 0, 2, 3, 4};
    kata_value sorted[4], first[4], by_row[4], words[4];
    kata_value data = floats(x, KATA_SHAPE_OF(6)), table = floats(rows, KATA_SHAPE_OF(3, 3));
    kata_value names = TEXTS("b", "a", "b", "");
    const kata_attribute order[] = {KATA_INT("sorted", 0)}, axis[] = {KATA_INT("axis", 0)};
    kata_graph_node_outputs(graph, NULL, "Unique", &data, 1, NULL, 0, sorted, 4);
    kata_graph_node_outputs(graph, NULL, "Unique", &data, 1, order, 1, first, 4);
    kata_graph_node_outputs(graph, NULL, "Unique", &table, 1, axis, 1, by_row, 4);
    kata_graph_node_outputs(graph, NULL, "Unique", &names, 1, NULL, 0, words, 4);
    for (int i = 0; i < 16; i++) {
        out((i < 4 ? sorted : i < 8 ? first : i < 12 ? by_row : words)[i % 4]);
    }
    assert_int_equal(try_run(), KATA_OK);
    FLOATS_ARE(0, KATA_SHAPE_OF(4), 1, 2, 3, 4);
    INTS_ARE(1, KATA_SHAPE_OF(4), 1, 0, 3, 4);
    INTS_ARE(2, KATA_SHAPE_OF(6), 1, 0, 0, 2, 3, 2);
    INTS_ARE(3, KATA_SHAPE_OF(4), 2, 1, 2, 1);
    FLOATS_ARE(4, KATA_SHAPE_OF(4), 2, 1, 3, 4);
    INTS_ARE(5, KATA_SHAPE_OF(4), 0, 1, 3, 4);
    INTS_ARE(6, KATA_SHAPE_OF(6), 0, 1, 1, 2, 3, 2);
    INTS_ARE(7, KATA_SHAPE_OF(4), 1, 2, 2, 1);
    FLOATS_ARE(8, KATA_SHAPE_OF(2, 3), 1, 0, 0, 2, 3, 4);
    INTS_ARE(9, KATA_SHAPE_OF(2), 0, 2);
    INTS_ARE(10, KATA_SHAPE_OF(3), 0, 0, 1);
    INTS_ARE(11, KATA_SHAPE_OF(2), 2, 1);
    TEXTS_ARE(12, KATA_SHAPE_OF(3), "", "a", "b");
    INTS_ARE(15, KATA_SHAPE_OF(3), 1, 1, 2);
}

static void suppression(void **state) {
    (void)state;
    const float boxes[] = {0, 0, 1, 1, 0, 0.1f, 1, 1.1f, 0, 10, 1, 11},
                scores[] = {0.9f, 0.75f, 0.95f};
    const int64_t most = 3;
    const float overlap = 0.5f, least = 0.8f;
    kata_value b = floats(boxes, KATA_SHAPE_OF(1, 3, 4)),
               s = floats(scores, KATA_SHAPE_OF(1, 1, 3));
    kata_value n = ints(&most, KATA_SHAPE_OF(1)), o = floats(&overlap, KATA_SHAPE_OF(1));
    kata_value l = floats(&least, KATA_SHAPE_OF(1));
    out(KATA_NODE(graph, "NonMaxSuppression", KATA_INPUTS(b, s, n, o)));
    out(KATA_NODE(graph, "NonMaxSuppression", KATA_INPUTS(b, s, n, KATA_NONE, l)));
    out(KATA_NODE(graph, "NonMaxSuppression", KATA_INPUTS(b, s)));
    assert_int_equal(try_run(), KATA_OK);
    INTS_ARE(0, KATA_SHAPE_OF(2, 3), 0, 0, 2, 0, 0, 0);
    INTS_ARE(1, KATA_SHAPE_OF(2, 3), 0, 0, 2, 0, 0, 0);
    INTS_ARE(2, KATA_SHAPE_OF(0, 3), 0);
}

/* --- strings -----------------------------------------------------------------------------------
 */

static void strings(void **state) {
    (void)state;
    const char *const stop[] = {"MONDAY"};
    kata_value x = TEXTS("monday", "Dienstag", "\xc3\x84rger \xce\xa3 \xd0\xaf", "");
    kata_value y = KATA_NODE_WITH(graph, "StringNormalizer", KATA_INPUTS(x),
                                  KATA_STRINGS_OF("stopwords", stop, 1),
                                  KATA_STRING("case_change_action", "LOWER"));
    out(y);
    out(KATA_NODE_WITH(graph, "StringNormalizer", KATA_INPUTS(x),
                       KATA_STRING("case_change_action", "UPPER")));
    out(KATA_NODE(graph, "StringConcat", KATA_INPUTS(x, TEXTS("!"))));
    kata_value parts[2], sentence = TEXTS(" a  bc ", "x");
    kata_graph_node_outputs(graph, NULL, "StringSplit", &sentence, 1, NULL, 0, parts, 2);
    out(parts[0]);
    out(parts[1]);
    kata_value path = TEXTS("a,,b");
    out(KATA_NODE_WITH(graph, "StringSplit", KATA_INPUTS(path), KATA_STRING("delimiter", ","),
                       KATA_INT("maxsplit", 1)));
    out(KATA_NODE(graph, "Equal", KATA_INPUTS(x, TEXTS(""))));
    kata_value upper = KATA_NODE_WITH(graph, "StringNormalizer", KATA_INPUTS(TEXTS("Monday")),
                                      KATA_STRINGS_OF("stopwords", stop, 1));
    out(upper);
    assert_int_equal(try_run(), KATA_OK);
    TEXTS_ARE(0, KATA_SHAPE_OF(3), "dienstag", "\xc3\xa4rger \xcf\x83 \xd1\x8f", "");
    TEXTS_ARE(1, KATA_SHAPE_OF(4), "MONDAY", "DIENSTAG", "\xc3\x84RGER \xce\xa3 \xd0\xaf", "");
    TEXTS_ARE(2, KATA_SHAPE_OF(4), "monday!", "Dienstag!", "\xc3\x84rger \xce\xa3 \xd0\xaf!", "!");
    TEXTS_ARE(3, KATA_SHAPE_OF(2, 2), "a", "bc", "x", "");
    INTS_ARE(4, KATA_SHAPE_OF(2), 2, 1);
    TEXTS_ARE(5, KATA_SHAPE_OF(1, 2), "a", ",b");
    assert_memory_equal(kata_session_output(session, 6).data, ((uint8_t[]){0, 0, 0, 1}), 4);
    TEXTS_ARE(7, KATA_SHAPE_OF(1), "");
}

/* Texts to classes to a product of matrices: the sizes are those of the data. */
static void strings_to_numbers(void **state) {
    (void)state;
    const char *const stop[] = {"of"}, *const keys[] = {"red", "blue"};
    const double values[] = {2, 3};
    kata_value x = kata_graph_input(graph, "x", KATA_STRING, &KATA_SHAPE_OF(4));
    kata_value words = KATA_NODE_WITH(graph, "StringNormalizer", KATA_INPUTS(x),
                                      KATA_STRINGS_OF("stopwords", stop, 1),
                                      KATA_STRING("case_change_action", "LOWER"));
    kata_value numbers = KATA_NODE_WITH(
        graph, "ai.onnx.ml:LabelEncoder", KATA_INPUTS(words),
        KATA_STRINGS_OF("keys_strings", keys, 2),
        {.name = "values_floats", .type = KATA_ATTRIBUTE_FLOATS, .floats = values, .n = 2},
        KATA_FLOAT("default_float", -1));
    const int64_t column = 1;
    kata_value rows =
        KATA_NODE(graph, "Unsqueeze", KATA_INPUTS(numbers, ints(&column, KATA_SHAPE_OF(1))));
    const float w[] = {10, 100}, b[] = {0.5f, 0.25f};
    out(KATA_NODE(graph, "Gemm",
                  KATA_INPUTS(rows, floats(w, KATA_SHAPE_OF(1, 2)), floats(b, KATA_SHAPE_OF(2)))));
    assert_int_equal(kata_graph_status(graph), KATA_OK);
    assert_int_equal(kata_session_new(&session, graph, NULL), KATA_OK);
    kata_string *elements = kata_session_input(session, 0).data;
    const char *const first[] = {"Red", "OF", "BLUE", "?"}, *const second[] = {"of", "of", "of",
                                                                               "red"};
    for (int i = 0; i < 4; i++) {
        elements[i] = text_of(first[i]);
    }
    assert_int_equal(try_run(), KATA_OK);
    FLOATS_ARE(0, KATA_SHAPE_OF(3, 2), 20.5f, 200.25f, 30.5f, 300.25f, -9.5f, -99.75f);
    for (int i = 0; i < 4; i++) {
        elements[i] = text_of(second[i]);
    }
    assert_int_equal(try_run(), KATA_OK);
    FLOATS_ARE(0, KATA_SHAPE_OF(1, 2), 20.5f, 200.25f);
}

static void casts(void **state) {
    (void)state;
    const float f[] = {0.1f, -INFINITY, NAN, 1e10f};
    const int64_t i64[] = {INT64_MIN, 7, 0, -1};
    kata_value x = floats(f, KATA_SHAPE_OF(4)), n = ints(i64, KATA_SHAPE_OF(4));
    kata_value back = KATA_NODE_WITH(graph, "Cast", KATA_INPUTS(n), KATA_INT("to", 8));
    out(KATA_NODE_WITH(graph, "Cast", KATA_INPUTS(x), KATA_INT("to", 8)));
    out(back);
    out(KATA_NODE_WITH(graph, "Cast", KATA_INPUTS(back), KATA_INT("to", 7)));
    out(KATA_NODE_WITH(graph, "Cast", KATA_INPUTS(TEXTS("1e3", "-inf", "3.5", "12")),
                       KATA_INT("to", 1)));
    assert_int_equal(try_run(), KATA_OK);
    TEXTS_ARE(0, KATA_SHAPE_OF(4), "0.1", "-INF", "NaN", "1e+10");
    TEXTS_ARE(1, KATA_SHAPE_OF(4), "-9223372036854775808", "7", "0", "-1");
    INTS_ARE(2, KATA_SHAPE_OF(4), INT64_MIN, 7, 0, -1);
    FLOATS_ARE(3, KATA_SHAPE_OF(4), 1000, -INFINITY, 3.5f, 12);
    out(KATA_NODE_WITH(graph, "Cast", KATA_INPUTS(TEXTS("0x10")), KATA_INT("to", 1)));
    kata_session_free(session);
    session = NULL;
    assert_int_equal(try_run(), KATA_INVALID);
    assert_non_null(strstr(kata_error_message(), "\"0x10\" is no number of float32"));
}

static void columns(void **state) {
    (void)state;
    const int64_t n[] = {3, 1, 4};
    const char *const keys[] = {"a", "b"}, *const labels[] = {"no", "yes"};
    const float x[] = {1, 2, 3, 4};
    const double offset[] = {1, 2}, scale[] = {10};
    kata_value codes =
        KATA_NODE_WITH(graph, "ai.onnx.ml:LabelEncoder", KATA_INPUTS(ints(n, KATA_SHAPE_OF(3))),
                       KATA_INTS("keys_int64s", 1, 3), KATA_STRINGS_OF("values_strings", keys, 2));
    kata_value scores =
        KATA_NODE_WITH(graph, "ai.onnx.ml:Scaler", KATA_INPUTS(floats(x, KATA_SHAPE_OF(2, 2))),
                       {.name = "offset", .type = KATA_ATTRIBUTE_FLOATS, .floats = offset, .n = 2},
                       {.name = "scale", .type = KATA_ATTRIBUTE_FLOATS, .floats = scale, .n = 1});
    kata_value maps = KATA_NODE_WITH(graph, "ai.onnx.ml:ZipMap", KATA_INPUTS(scores),
                                     KATA_STRINGS_OF("classlabels_strings", labels, 2));
    out(codes);
    out(KATA_NODE_WITH(graph, "ai.onnx.ml:OneHotEncoder", KATA_INPUTS(codes),
                       KATA_STRINGS_OF("cats_strings", keys, 2)));
    out(maps);
    assert_int_equal(kata_value_type(graph, maps).kind, KATA_KIND_MAPS_OF_STRINGS);
    assert_int_equal(try_run(), KATA_OK);
    TEXTS_ARE(0, KATA_SHAPE_OF(3), "b", "a", "_Unused");
    FLOATS_ARE(1, KATA_SHAPE_OF(3, 2), 0, 1, 1, 0, 0, 0);
    FLOATS_ARE(2, KATA_SHAPE_OF(2, 2), 0, 0, 20, 20);
    out(KATA_NODE(graph, "Relu", KATA_INPUTS(maps)));
    assert_int_equal(kata_graph_status(graph), KATA_DTYPE);
    assert_non_null(strstr(kata_graph_message(graph), "must be a tensor, got a sequence of maps"));
}

/* --- sequences ---------------------------------------------------------------------------------
 */

static void sequences(void **state) {
    (void)state;
    const float x[] = {1, 2, 3, 4, 5, 6};
    const int64_t last = -1, first = 0, two = 2, far = 9;
    const kata_shape none = {.rank = 0};
    kata_value data = floats(x, KATA_SHAPE_OF(3, 2));
    kata_value rows = KATA_NODE(graph, "SplitToSequence", KATA_INPUTS(data));
    kata_value more =
        KATA_NODE(graph, "SequenceInsert", KATA_INPUTS(rows, data, ints(&first, none)));
    kata_value fewer = KATA_NODE(graph, "SequenceErase", KATA_INPUTS(more, ints(&last, none)));
    kata_value pair = KATA_NODE(graph, "SequenceConstruct", KATA_INPUTS(data, data));
    kata_value pieces = KATA_NODE(graph, "SplitToSequence", KATA_INPUTS(data, ints(&two, none)));
    kata_value empty = kata_graph_node(graph, "SequenceEmpty", NULL, 0, NULL, 0);
    out(KATA_NODE(graph, "SequenceLength", KATA_INPUTS(fewer)));
    out(KATA_NODE(graph, "SequenceAt", KATA_INPUTS(fewer, ints(&last, none))));
    out(KATA_NODE_WITH(graph, "ConcatFromSequence", KATA_INPUTS(fewer), KATA_INT("axis", 0)));
    out(KATA_NODE_WITH(graph, "ConcatFromSequence", KATA_INPUTS(pair), KATA_INT("axis", -1),
                       KATA_INT("new_axis", 1)));
    out(KATA_NODE(graph, "SequenceAt", KATA_INPUTS(pieces, ints(&last, none))));
    out(KATA_NODE(graph, "SequenceLength", KATA_INPUTS(empty)));
    kata_value maybe = KATA_NODE(graph, "Optional", KATA_INPUTS(data));
    out(KATA_NODE(graph, "OptionalGetElement", KATA_INPUTS(maybe)));
    out(KATA_NODE(graph, "OptionalHasElement", KATA_INPUTS(maybe)));
    out(KATA_NODE(graph, "OptionalHasElement", KATA_INPUTS(KATA_NONE)));
    assert_int_equal(try_run(), KATA_OK);
    INTS_ARE(0, none, 3);
    FLOATS_ARE(1, KATA_SHAPE_OF(1, 2), 3, 4);
    FLOATS_ARE(2, KATA_SHAPE_OF(5, 2), 1, 2, 3, 4, 5, 6, 1, 2, 3, 4);
    FLOATS_ARE(3, KATA_SHAPE_OF(3, 2, 2), 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6);
    FLOATS_ARE(4, KATA_SHAPE_OF(1, 2), 5, 6);
    INTS_ARE(5, none, 0);
    FLOATS_ARE(6, KATA_SHAPE_OF(3, 2), 1, 2, 3, 4, 5, 6);
    assert_int_equal(*(uint8_t *)kata_session_output(session, 7).data, 1);
    assert_int_equal(*(uint8_t *)kata_session_output(session, 8).data, 0);
    out(KATA_NODE(graph, "SequenceAt", KATA_INPUTS(rows, ints(&far, none))));
    kata_session_free(session);
    session = NULL;
    assert_int_equal(try_run(), KATA_INVALID);
    assert_non_null(strstr(kata_error_message(), "position 9 of a sequence of 3"));
}

/* --- subgraphs ---------------------------------------------------------------------------------
 */

static void if_with_captured_values(void **state) {
    (void)state;
    kata_value x = kata_graph_input(graph, "x", KATA_F32, &KATA_SHAPE_OF(3));
    kata_value sum = KATA_NODE_WITH(graph, "ReduceSum", KATA_INPUTS(x), KATA_INT("keepdims", 0));
    kata_value is =
        KATA_NODE(graph, "Greater", KATA_INPUTS(sum, kata_graph_scalar(graph, KATA_F32, 0)));
    kata_graph *yes, *no;
    assert_int_equal(kata_graph_subgraph(&yes, graph, "yes"), KATA_OK);
    assert_int_equal(kata_graph_subgraph(&no, graph, "no"), KATA_OK);
    kata_value inside = kata_graph_capture(yes, x);
    kata_graph_output(yes, NULL, KATA_NODE(yes, "Add", KATA_INPUTS(inside, inside)));
    inside = kata_graph_capture(no, x);
    kata_graph_output(no, NULL, KATA_NODE(no, "Concat", KATA_INPUTS(inside, inside)));
    assert_int_equal(kata_graph_status(no), KATA_INVALID); /* Concat needs its axis */
    kata_graph_free(graph);
    assert_int_equal(kata_graph_new(&graph, context, "again"), KATA_OK);
    x = kata_graph_input(graph, "x", KATA_F32, &KATA_SHAPE_OF(3));
    sum = KATA_NODE_WITH(graph, "ReduceSum", KATA_INPUTS(x), KATA_INT("keepdims", 0));
    is = KATA_NODE(graph, "Greater", KATA_INPUTS(sum, kata_graph_scalar(graph, KATA_F32, 0)));
    assert_int_equal(kata_graph_subgraph(&yes, graph, "yes"), KATA_OK);
    assert_int_equal(kata_graph_subgraph(&no, graph, "no"), KATA_OK);
    inside = kata_graph_capture(yes, x);
    kata_graph_output(yes, NULL, KATA_NODE(yes, "Add", KATA_INPUTS(inside, inside)));
    inside = kata_graph_capture(no, x);
    kata_graph_output(
        no, NULL, KATA_NODE_WITH(no, "Concat", KATA_INPUTS(inside, inside), KATA_INT("axis", 0)));
    out(KATA_NODE_WITH(graph, "If", KATA_INPUTS(is), KATA_GRAPH("then_branch", yes),
                       KATA_GRAPH("else_branch", no)));
    assert_int_equal(kata_graph_status(graph), KATA_OK);
    assert_int_equal(kata_session_new(&session, graph, NULL), KATA_OK);
    float *input = kata_session_input(session, 0).data;
    memcpy(input, (float[]){1, 2, 3}, 3 * sizeof *input);
    assert_int_equal(try_run(), KATA_OK);
    FLOATS_ARE(0, KATA_SHAPE_OF(3), 2, 4, 6);
    memcpy(input, (float[]){1, 2, -3}, 3 * sizeof *input);
    assert_int_equal(try_run(), KATA_OK);
    FLOATS_ARE(0, KATA_SHAPE_OF(6), 1, 2, -3, 1, 2, -3);
}

/* A loop whose body doubles its value, collects it and goes on while it is below a limit. `grows`:
 * the carried value is joined with itself instead. */
static kata_value doubling(kata_value count, kata_value start, kata_value limit, bool grows) {
    kata_graph *body;
    kata_value outputs[2], inputs[] = {count, kata_graph_scalar(graph, KATA_BOOL, 1), start};
    assert_int_equal(kata_graph_subgraph(&body, graph, "body"), KATA_OK);
    const kata_shape none = {.rank = 0};
    kata_graph_input(body, "i", KATA_I64, &none);
    kata_graph_input(body, "go", KATA_BOOL, &none);
    kata_value v = kata_graph_input(body, "v", KATA_F32, &KATA_SHAPE_OF(KATA_UNKNOWN_DIM));
    kata_value twice = grows
                           ? KATA_NODE_WITH(body, "Concat", KATA_INPUTS(v, v), KATA_INT("axis", 0))
                           : KATA_NODE(body, "Add", KATA_INPUTS(v, v));
    kata_value most =
        KATA_NODE_WITH(body, "ReduceMax", KATA_INPUTS(twice), KATA_INT("keepdims", 0));
    kata_graph_output(body, NULL,
                      KATA_NODE(body, "Less", KATA_INPUTS(most, kata_graph_capture(body, limit))));
    kata_graph_output(body, NULL, twice);
    kata_graph_output(body, NULL, KATA_NODE(body, "Identity", KATA_INPUTS(most)));
    const kata_attribute attributes[] = {KATA_GRAPH("body", body)};
    kata_graph_node_outputs(graph, NULL, "Loop", inputs, 3, attributes, 1, outputs, 2);
    out(outputs[0]);
    out(outputs[1]);
    return outputs[0];
}

static void loop(void **state) {
    (void)state;
    const float start[] = {1, -1};
    kata_value count = kata_graph_input(graph, "count", KATA_I64, &(kata_shape){.rank = 0});
    doubling(count, floats(start, KATA_SHAPE_OF(2)), kata_graph_scalar(graph, KATA_F32, 10), false);
    assert_int_equal(kata_graph_status(graph), KATA_OK);
    assert_int_equal(kata_session_new(&session, graph, NULL), KATA_OK);
    int64_t *n = kata_session_input(session, 0).data;
    size_t before = 0;
    for (int k = 0; k < 5; k++) {
        before = k < 3 ? atomic_load(&allocator.n_calls) : before;
        *n = INT64_MAX; /* ended by the condition */
        assert_int_equal(try_run(), KATA_OK);
        FLOATS_ARE(0, KATA_SHAPE_OF(2), 16, -16);
        FLOATS_ARE(1, KATA_SHAPE_OF(4), 2, 4, 8, 16);
    }
    assert_int_equal(atomic_load(&allocator.n_calls), before);
    *n = 2; /* ended by the number of rounds */
    assert_int_equal(try_run(), KATA_OK);
    FLOATS_ARE(0, KATA_SHAPE_OF(2), 4, -4);
    FLOATS_ARE(1, KATA_SHAPE_OF(2), 2, 4);
    *n = 0;
    assert_int_equal(try_run(), KATA_OK);
    FLOATS_ARE(0, KATA_SHAPE_OF(2), 1, -1);
    FLOATS_ARE(1, KATA_SHAPE_OF(0), 0);
}

/* A value that doubles its size in each round ends with the memory, in a sentence. */
static void loop_that_grows(void **state) {
    (void)state;
    const float start[] = {1, -1};
    const int64_t forever = INT64_MAX, rounds = 3;
    const kata_shape none = {.rank = 0};
    doubling(ints(&rounds, none), floats(start, KATA_SHAPE_OF(2)),
             kata_graph_scalar(graph, KATA_F32, 10), true);
    assert_int_equal(try_run(), KATA_OK);
    kata_tensor got = output(0, KATA_SHAPE_OF(16));
    assert_true(((float *)got.data)[15] == -1);
    kata_session_free(session);
    session = NULL;
    kata_graph_free(graph);
    assert_int_equal(kata_graph_new(&graph, context, "grows"), KATA_OK);
    doubling(ints(&forever, none), floats(start, KATA_SHAPE_OF(2)),
             kata_graph_scalar(graph, KATA_F32, 10), true);
    note(graph);
    assert_int_equal(kata_graph_status(graph), KATA_OK);
    assert_int_equal(kata_session_new(&session, graph, NULL), KATA_OK);
    kata_test_allocator_reset(&allocator, 12); /* memory is short some time */
    assert_int_equal(kata_session_run(session, 1, 2), KATA_OUT_OF_MEMORY);
    assert_non_null(strstr(kata_error_message(), "Loop"));
    kata_test_allocator_reset(&allocator, 0);
}

static void loop_without_end(void **state) {
    (void)state;
    kata_graph *body;
    const int64_t count = (int64_t)1 << 62;
    const kata_shape none = {.rank = 0};
    assert_int_equal(kata_graph_subgraph(&body, graph, "body"), KATA_OK);
    kata_graph_input(body, "i", KATA_I64, &none);
    kata_value go = kata_graph_input(body, "go", KATA_BOOL, &none);
    kata_value v = kata_graph_input(body, "v", KATA_F32, &KATA_SHAPE_OF(1));
    kata_graph_output(body, NULL, go);
    kata_graph_output(body, NULL, v);
    const float one = 1;
    out(KATA_NODE_WITH(graph, "Loop",
                       KATA_INPUTS(ints(&count, none), KATA_NONE, floats(&one, KATA_SHAPE_OF(1))),
                       KATA_GRAPH("body", body)));
    assert_int_equal(try_run(), KATA_LIMIT);
    assert_non_null(strstr(kata_error_message(), "Loop: 4611686018427387904 rounds; at most"));
}

/* The running sums of a table, from its last row to its first. */
static void scan(void **state) {
    (void)state;
    kata_graph *body;
    const float x[] = {1, 2, 3, 4, 5, 6}, zero[] = {0, 0};
    assert_int_equal(kata_graph_subgraph(&body, graph, "body"), KATA_OK);
    kata_value sum = kata_graph_input(body, "sum", KATA_F32, &KATA_SHAPE_OF(2));
    kata_value row = kata_graph_input(body, "row", KATA_F32, &KATA_SHAPE_OF(2));
    kata_value next = KATA_NODE(body, "Add", KATA_INPUTS(sum, row));
    kata_graph_output(body, NULL, next);
    kata_graph_output(body, NULL, KATA_NODE(body, "Identity", KATA_INPUTS(next)));
    kata_value inputs[] = {floats(zero, KATA_SHAPE_OF(2)), floats(x, KATA_SHAPE_OF(3, 2))},
               outputs[2];
    const kata_attribute attributes[] = {KATA_GRAPH("body", body), KATA_INT("num_scan_inputs", 1),
                                         KATA_INTS("scan_input_directions", 1),
                                         KATA_INTS("scan_output_axes", 1)};
    kata_graph_node_outputs(graph, NULL, "Scan", inputs, 2, attributes, 4, outputs, 2);
    out(outputs[0]);
    out(outputs[1]);
    assert_int_equal(try_run(), KATA_OK);
    FLOATS_ARE(0, KATA_SHAPE_OF(2), 9, 12);
    FLOATS_ARE(1, KATA_SHAPE_OF(2, 3), 5, 8, 9, 6, 10, 12);
}

static void every_row_was_run(void **state) {
    (void)state;
    for (size_t k = 0; k < sizeof dynamic_rows / sizeof dynamic_rows[0]; k++) {
        if (!was_run[k]) {
            fail_msg("%s was not run", dynamic_rows[k]);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(non_zero_and_what_follows),
        TEST(compress),
        TEST(unique),
        TEST(suppression),
        TEST(strings),
        TEST(strings_to_numbers),
        TEST(casts),
        TEST(columns),
        TEST(sequences),
        TEST(if_with_captured_values),
        TEST(loop),
        TEST(loop_that_grows),
        TEST(loop_without_end),
        TEST(scan),
        cmocka_unit_test(every_row_was_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
