/* Graphs within graphs in ONNX files: read with what they capture, written again byte for byte, and
 * hostile ones refused in one sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "craft.h"
#include "graph/graph.h"
#include "support/assert_ok.h"
#include "support/counting_allocator.h"

static kata_context *context;
static kata_test_allocator allocator;

/* Outputs as of the first subgraph. */
static kata_status hold_infer(kata_infer *infer) {
    const kata_graph *graph = infer->attributes[0].graph;
    for (int i = 0; i < infer->n_outputs; i++) {
        kata_value value = kata_graph_output_at(graph, i);
        infer->outputs[i].dtype = kata_value_dtype(graph, value);
        infer->outputs[i].shape = kata_value_shape(graph, value);
    }
    return KATA_OK;
}

/* Input i of the body has the type of input i of the node. */
static kata_status hold_inputs(kata_infer *infer, int attribute) {
    (void)attribute;
    for (int i = 0; i < infer->n_outputs && i < infer->n_inputs; i++) {
        infer->outputs[i] = infer->inputs[i];
    }
    return KATA_OK;
}

static kata_status never_run(const kata_call *call) {
    (void)call;
    return KATA_OK;
}

static const kata_attribute_spec hold_attributes[] = {
    {.name = "body", .type = KATA_ATTRIBUTE_GRAPH, .required = true},
    {.name = "other", .type = KATA_ATTRIBUTE_GRAPH},
    {.name = NULL}};
static const kata_op hold = {.name = "Hold",
                             .domain = "test.domain",
                             .since = 1,
                             .min_inputs = 1,
                             .max_inputs = 4,
                             .min_outputs = 1,
                             .max_outputs = 3,
                             .attributes = hold_attributes,
                             .infer = hold_infer,
                             .infer_subgraph = hold_inputs,
                             .reference = never_run};

static int set_up(void **state) {
    (void)state;
    kata_test_allocator_init(&allocator);
    context = kata_test_context(&allocator, 1);
    return context == NULL || kata_op_register(context, &hold) != KATA_OK;
}

static int tear_down(void **state) {
    (void)state;
    kata_context_free(context);
    return atomic_load(&allocator.n_live) != 0;
}

static kata_graph *read_back(const kata__buffer *bytes) {
    kata_graph *graph = NULL;
    assert_ok(kata_onnx_read_memory(&graph, context, bytes->data, bytes->size, "test.onnx"));
    return graph;
}

/* --- round trip ------------------------------------------------------------------------------- */

/* A body that uses an input, a weight and a constant of the graph around, has a constant of its own
 * and a body within, which reads through it; a second attribute that only hands a value on. */
static kata_graph *build(void) {
    kata_graph *g = NULL, *body = NULL, *inner = NULL, *other = NULL;
    assert_ok(kata_graph_new(&g, context, "outside"));
    const int64_t n = kata_graph_size(g, "batch");
    kata_value x = kata_graph_input(g, "x", KATA_F32, &KATA_SHAPE_OF(n, 3));
    kata_value w = kata_graph_variable(g, "w", KATA_F32, &KATA_SHAPE_OF(3), true, NULL);
    kata_value shape = kata_graph_constant(
        g, "shape",
        &(const kata_tensor){
            .data = (int64_t[]){0, 3, 1}, .dtype = KATA_I64, .shape = {1, {3}}, .stride = {1}});
    kata_value early = KATA_NODE(g, "Relu", KATA_INPUTS(x));

    assert_ok(kata_graph_subgraph(&body, g, "body"));
    kata_value i = kata_graph_input(body, "i", KATA_F32, &KATA_SHAPE_OF(n, 3));
    kata_value a = KATA_NODE(body, "Add", KATA_INPUTS(i, kata_graph_capture(body, w)));
    assert_ok(kata_graph_subgraph(&inner, body, "inner"));
    kata_value j = kata_graph_input(inner, "j", KATA_F32, &KATA_SHAPE_OF(n, 3));
    kata_value deep = kata_graph_capture(inner, kata_graph_capture(body, early));
    kata_value half = kata_graph_scalar(inner, KATA_F32, 0.5);
    kata_value m = KATA_NODE(inner, "Mul", KATA_INPUTS(j, half));
    kata_graph_output(inner, "inner result", KATA_NODE(inner, "Add", KATA_INPUTS(m, deep)));
    kata_value r =
        KATA_NODE_WITH(body, "test.domain:Hold", KATA_INPUTS(a), KATA_GRAPH("body", inner));
    kata_value s = KATA_NODE(body, "Reshape", KATA_INPUTS(r, kata_graph_capture(body, shape)));
    kata_graph_output(body, "result", s);

    assert_ok(kata_graph_subgraph(&other, g, "other"));
    kata_graph_output(other, NULL, kata_graph_capture(other, x));
    kata_value y = KATA_NODE_WITH(g, "test.domain:Hold", KATA_INPUTS(x), KATA_GRAPH("body", body),
                                  KATA_GRAPH("other", other));
    kata_graph_output(g, "y", y);
    if (kata_graph_status(g) != KATA_OK) {
        fail_msg("%s", kata_graph_message(g));
    }
    return g;
}

static void round_trip(void **state) {
    (void)state;
    kata_graph *g = build();
    kata__buffer first, second;
    kata__buffer_init(&first, context, KATA__PROTO_MAXIMUM);
    kata__buffer_init(&second, context, KATA__PROTO_MAXIMUM);
    assert_ok(kata__onnx_encode(&first, g));
    kata_graph *read = read_back(&first);
    assert_ok(kata__onnx_encode(&second, read));
    assert_int_equal(first.size, second.size);
    assert_memory_equal(first.data, second.data, first.size);
    char *before = NULL, *after = NULL;
    assert_ok(kata_graph_text(&before, g));
    assert_ok(kata_graph_text(&after, read));
    assert_string_equal(before, after);
    assert_non_null(strstr(after, "capture  w float32(3,)"));
    assert_non_null(strstr(after, "result float32(batch,3,1) = Reshape("));
    kata_text_free(context, before);
    kata_text_free(context, after);
    assert_int_equal(kata_graph_n_variables(read), 1);
    kata__buffer_free(&first);
    kata__buffer_free(&second);
    kata_graph_free(read);
    kata_graph_free(g);
}

/* Cut anywhere, or with any byte changed, the file is read or refused, and nothing else. */
static void damaged(void **state) {
    (void)state;
    kata_graph *g = build(), *read;
    kata__buffer bytes;
    kata__buffer_init(&bytes, context, KATA__PROTO_MAXIMUM);
    assert_ok(kata__onnx_encode(&bytes, g));
    for (size_t n = 0; n < bytes.size; n++) {
        read = NULL;
        assert_int_not_equal(kata_onnx_read_memory(&read, context, bytes.data, n, NULL), KATA_OK);
        assert_null(read);
    }
    for (size_t i = 0; i < bytes.size; i++) {
        for (int bit = 0; bit < 8; bit++) {
            bytes.data[i] = (char)(bytes.data[i] ^ 1 << bit);
            read = NULL;
            if (kata_onnx_read_memory(&read, context, bytes.data, bytes.size, NULL) == KATA_OK) {
                kata_graph_free(read);
            }
            bytes.data[i] = (char)(bytes.data[i] ^ 1 << bit);
        }
    }
    kata__buffer_free(&bytes);
    kata_graph_free(g);
}

/* Each allocation fails once: no leak, and the sentence is not lost. */
static void short_memory(void **state) {
    (void)state;
    kata_graph *g = build(), *read = NULL;
    kata__buffer bytes;
    kata__buffer_init(&bytes, context, KATA__PROTO_MAXIMUM);
    assert_ok(kata__onnx_encode(&bytes, g));
    for (int64_t at = 1;; at++) {
        int64_t live = atomic_load(&allocator.n_live);
        kata_test_allocator_reset(&allocator, at);
        kata_status status =
            kata_onnx_read_memory(&read, context, bytes.data, bytes.size, "test.onnx");
        bool failed = atomic_load(&allocator.n_calls) >= at;
        kata_test_allocator_reset(&allocator, 0);
        if (status == KATA_OK) {
            kata_graph_free(read);
        } else {
            assert_int_equal(status, KATA_OUT_OF_MEMORY);
        }
        assert_int_equal(atomic_load(&allocator.n_live), live);
        if (!failed) {
            break;
        }
    }
    kata__buffer_free(&bytes);
    kata_graph_free(g);
}

/* --- files by hand ---------------------------------------------------------------------------- */

/* A graph attribute of the node that is open, left open for the graph. */
static size_t open_body(kata__buffer *g, size_t *graph) {
    size_t begun = kata__proto_begin(g, KATA__NODE_ATTRIBUTE);
    kata__proto_put_text(g, KATA__ATTRIBUTE_NAME, "body");
    *graph = kata__proto_begin(g, KATA__ATTRIBUTE_G);
    return begun;
}

static size_t open_hold(kata__buffer *g, const char *inputs, const char *outputs) {
    size_t node = craft_node_open(g, "Hold", "", inputs, outputs);
    kata__proto_put_text(g, KATA__NODE_DOMAIN, "test.domain");
    return node;
}

static kata_status read_crafted(kata__buffer *g, kata_graph **out) {
    kata__buffer model;
    kata__buffer_init(&model, context, KATA__PROTO_MAXIMUM);
    craft_model(&model, g, 8, 17);
    craft_opset(&model, "test.domain", 1);
    kata_status status = kata_onnx_read_memory(out, context, model.data, model.size, "crafted");
    kata__buffer_free(&model);
    kata__buffer_free(g);
    return status;
}

static void refused(kata__buffer *g, kata_status status, const char *part) {
    kata_graph *read = NULL;
    assert_int_equal(read_crafted(g, &read), status);
    assert_null(read);
    if (strstr(kata_error_message(), part) == NULL) {
        fail_msg("\"%s\" does not contain \"%s\"", kata_error_message(), part);
    }
}

/* `depth` bodies within one another; the innermost reads x of the outermost graph. */
static void nest(kata__buffer *g, int depth) {
    char output[16], input[16];
    snprintf(output, sizeof output, "o%d", depth);
    snprintf(input, sizeof input, "i%d", depth);
    if (depth == 0) {
        craft_node(g, "Relu", "", "x", output);
    } else {
        size_t node = open_hold(g, "x", output), graph, attribute = open_body(g, &graph);
        nest(g, depth - 1);
        snprintf(output, sizeof output, "o%d", depth - 1);
        craft_value(g, KATA__GRAPH_OUTPUT, output, 1, CRAFT_DIMS(2));
        kata__proto_end(g, graph);
        kata__proto_end(g, attribute);
        kata__proto_end(g, node);
    }
}

static void depths(void **state) {
    (void)state;
    for (int depth = 1; depth <= 40; depth++) {
        kata__buffer g;
        char output[16];
        snprintf(output, sizeof output, "o%d", depth);
        kata__buffer_init(&g, context, KATA__PROTO_MAXIMUM);
        craft_value(&g, KATA__GRAPH_INPUT, "x", 1, CRAFT_DIMS(2));
        nest(&g, depth);
        craft_value(&g, KATA__GRAPH_OUTPUT, output, 1, CRAFT_DIMS(2));
        if (depth < KATA_MAX_DEPTH) {
            kata_graph *read = NULL;
            assert_ok(read_crafted(&g, &read));
            kata_graph_free(read);
        } else {
            refused(&g, KATA_LIMIT, "graphs are within one another more than 15 deep");
        }
    }
}

/* A graph with one node that holds a body of one Relu on `reads`. */
static void one_body(kata__buffer *g, const char *reads, const char *output) {
    kata__buffer_init(g, context, KATA__PROTO_MAXIMUM);
    craft_value(g, KATA__GRAPH_INPUT, "x", 1, CRAFT_DIMS(2));
    size_t node = open_hold(g, "x", "y"), graph, attribute = open_body(g, &graph);
    craft_node(g, "Relu", "", reads, "r");
    craft_value(g, KATA__GRAPH_OUTPUT, output, 1, CRAFT_DIMS(2));
    kata__proto_end(g, graph);
    kata__proto_end(g, attribute);
    kata__proto_end(g, node);
    craft_value(g, KATA__GRAPH_OUTPUT, "y", 1, CRAFT_DIMS(2));
}

static void captured_names(void **state) {
    (void)state;
    kata__buffer g;
    kata_graph *read = NULL;
    one_body(&g, "x", "r");
    assert_ok(read_crafted(&g, &read));
    assert_int_equal(read->nodes[0].n_captured, 1);
    kata_graph_free(read);
    one_body(&g, "nobody", "r");
    refused(&g, KATA_FORMAT, "nobody, which its attribute body reads, is no input");
    one_body(&g, "y", "r"); /* its own result */
    refused(&g, KATA_FORMAT, "its input y depends on its own result (a cycle)");
    one_body(&g, "x", "nobody");
    refused(&g, KATA_FORMAT, "nobody, which its attribute body reads");

    /* What a body captures may stand behind the node in the file. */
    kata__buffer_init(&g, context, KATA__PROTO_MAXIMUM);
    craft_value(&g, KATA__GRAPH_INPUT, "x", 1, CRAFT_DIMS(2));
    size_t node = open_hold(&g, "x", "y"), graph, attribute = open_body(&g, &graph);
    craft_node(&g, "Relu", "", "late", "r");
    craft_value(&g, KATA__GRAPH_OUTPUT, "r", 1, CRAFT_DIMS(2));
    kata__proto_end(&g, graph);
    kata__proto_end(&g, attribute);
    kata__proto_end(&g, node);
    craft_node(&g, "Neg", "", "x", "late");
    craft_value(&g, KATA__GRAPH_OUTPUT, "y", 1, CRAFT_DIMS(2));
    assert_ok(read_crafted(&g, &read));
    assert_string_equal(read->nodes[0].op->name, "Neg");
    kata_graph_free(read);
}

static void faults(void **state) {
    (void)state;
    kata__buffer g;
    size_t graph, attribute, node;
    /* an operator that takes no graph */
    kata__buffer_init(&g, context, KATA__PROTO_MAXIMUM);
    craft_value(&g, KATA__GRAPH_INPUT, "x", 1, CRAFT_DIMS(2));
    node = craft_node_open(&g, "Relu", "", "x", "y");
    attribute = open_body(&g, &graph);
    kata__proto_end(&g, graph);
    kata__proto_end(&g, attribute);
    kata__proto_end(&g, node);
    craft_value(&g, KATA__GRAPH_OUTPUT, "y", 1, CRAFT_DIMS(2));
    refused(&g, KATA_INVALID, "operator Relu takes no graph as its attribute body");
    /* a body without an output, one without a graph at all */
    kata__buffer_init(&g, context, KATA__PROTO_MAXIMUM);
    craft_value(&g, KATA__GRAPH_INPUT, "x", 1, CRAFT_DIMS(2));
    node = open_hold(&g, "x", "y");
    attribute = open_body(&g, &graph);
    kata__proto_end(&g, graph);
    kata__proto_end(&g, attribute);
    kata__proto_end(&g, node);
    craft_value(&g, KATA__GRAPH_OUTPUT, "y", 1, CRAFT_DIMS(2));
    refused(&g, KATA_FORMAT, "has no output");
    kata__buffer_init(&g, context, KATA__PROTO_MAXIMUM);
    craft_value(&g, KATA__GRAPH_INPUT, "x", 1, CRAFT_DIMS(2));
    kata__proto_end(&g, open_hold(&g, "x", "y"));
    craft_value(&g, KATA__GRAPH_OUTPUT, "y", 1, CRAFT_DIMS(2));
    refused(&g, KATA_INVALID, "Hold needs the attribute body");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip),     cmocka_unit_test(damaged),
                                       cmocka_unit_test(short_memory),   cmocka_unit_test(depths),
                                       cmocka_unit_test(captured_names), cmocka_unit_test(faults)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
