/* ONNX files that are wrong, by accident or on purpose: each is refused in one sentence that says
 * what and where, nothing leaks and no memory is taken on a file's word. */
#include "format/mangle.h"

#include "base/file.h"
#include "base/memory.h"
#include "format/craft.h"
#include "graph/graph.h"

#include <stdio.h>
#include <unistd.h>

static kata_test_allocator allocator;
static kata_context *context;
static kata__buffer graph_bytes, model_bytes;
static kata__buffer *const g = &graph_bytes;

static int set_up(void **state) {
    (void)state;
    kata_test_allocator_init(&allocator);
    context = kata_test_context(&allocator, 1);
    return context == NULL;
}

static int tear_down(void **state) {
    (void)state;
    kata_context_free(context);
    return atomic_load(&allocator.n_live) != 0;
}

static void begin(void) {
    kata__buffer_init(&graph_bytes, context, KATA__PROTO_MAXIMUM);
    kata__buffer_init(&model_bytes, context, KATA__PROTO_MAXIMUM);
}

static void end(void) {
    kata__buffer_free(&graph_bytes);
    kata__buffer_free(&model_bytes);
}

static kata_status read_model(kata_context *c, const uint8_t *data, size_t n_bytes) {
    kata_graph *graph = NULL;
    kata_status status = kata_onnx_read_memory(&graph, c, data, n_bytes, "test.onnx");
    assert_true((status == KATA_OK) == (graph != NULL));
    kata_graph_free(graph);
    return status;
}

/* Reads what was crafted: this status, and a sentence with these words and the file's name. */
static void expect_model(kata_status status, const char *says) {
    const mangle m = {read_model, context, &allocator, (int64_t)1 << 20};
    kata_status got = mangle_read(&m, (uint8_t *)model_bytes.data, model_bytes.size);
    if (got != status ||
        (status != KATA_OK && (strstr(kata_error_message(), says) == NULL ||
                               strstr(kata_error_message(), "test.onnx") == NULL))) {
        fail_msg("expected %s with \"%s\", got %s: %s", kata_status_name(status), says,
                 kata_status_name(got), kata_error_message());
    }
    end();
}

static void expect(kata_status status, const char *says) {
    craft_model(&model_bytes, &graph_bytes, 8, 17);
    expect_model(status, says);
}

static void put_x(void) {
    begin();
    craft_value(g, KATA__GRAPH_INPUT, "x", 1, CRAFT_DIMS(-1, 4));
}

static void put_y(void) {
    craft_value(g, KATA__GRAPH_OUTPUT, "y", 1, CRAFT_DIMS(-1, 4));
}

/* x -> Add(x, w) -> y, where the caller has put w. */
static void put_add(void) {
    craft_node(g, "Add", "add", "x,w", "y");
    put_y();
}

static const float four[4] = {1, 2, 3, 4};

/* --- the file -------------------------------------------------------------------------------- */

static void no_model_at_all(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
    } cases[] = {{"", 0},
                 {"\0", 1},
                 {"<!DOCTYPE html><html>404 Not Found</html>", 41},
                 {"PK\x03\x04 keras", 10},
                 {"\x89HDF\r\n\x1a\n", 8},
                 {"version https://git-lfs.github.com/spec/v1\n", 43},
                 {"\x08\x08", 2},
                 {"\x80\x04\x95 pickle", 10},
                 {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin();
        kata__buffer_append(&model_bytes, cases[i].bytes, cases[i].n);
        expect_model(KATA_FORMAT, "cannot read");
    }
    kata_graph *graph = NULL;
    assert_int_equal(kata_onnx_read(&graph, context, "/nonexistent.onnx"), KATA_NOT_FOUND);
    assert_int_equal(kata_onnx_read(&graph, context, "/tmp"), KATA_IO);
    assert_int_equal(kata_onnx_read(&graph, NULL, "/tmp"), KATA_INVALID);
    assert_int_equal(kata_onnx_read_memory(&graph, NULL, "", 0, NULL), KATA_INVALID);
}

static void versions(void **state) {
    (void)state;
    static const struct {
        int64_t ir_version, opset;
        kata_status status;
        const char *says;
    } cases[] = {
        {0, 17, KATA_FORMAT, "format version"},
        {-1, 17, KATA_UNSUPPORTED, "-1"},
        {2, 17, KATA_UNSUPPORTED, "version 2"},
        {14, 17, KATA_UNSUPPORTED, "version 14"},
        {INT64_MAX, 17, KATA_UNSUPPORTED, "922337"},
        {3, 7, KATA_OK, ""},
        {13, 27, KATA_OK, ""},
        {3, 1, KATA_OK, ""},
        {8, 6, KATA_OK, ""},
        {8, 28, KATA_UNSUPPORTED, "set 28"},
        {8, 0, KATA_FORMAT, "version 0"},
        {8, -5, KATA_FORMAT, "version -5"},
        {8, INT64_MAX, KATA_UNSUPPORTED, "922337"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_x();
        craft_node(g, "Relu", "", "x", "y");
        put_y();
        craft_model(&model_bytes, g, cases[i].ir_version, cases[i].opset);
        expect_model(cases[i].status, cases[i].says);
    }
    /* The same domain twice, none, an operator of one that is not imported. */
    put_x();
    craft_model(&model_bytes, g, 8, 17);
    craft_opset(&model_bytes, "ai.onnx", 18);
    expect_model(KATA_FORMAT, "imported twice, with the versions 17 and 18");
    put_x();
    craft_node(g, "Relu", "", "x", "y");
    put_y();
    craft_model(&model_bytes, g, 8, 17);
    craft_opset(&model_bytes, "", 17); /* as skl2onnx writes */
    expect_model(KATA_OK, "");
    put_x();
    kata__proto_put_varint(&model_bytes, KATA__MODEL_IR_VERSION, 8);
    kata__proto_put_bytes(&model_bytes, KATA__MODEL_GRAPH, g->data, g->size);
    expect_model(KATA_FORMAT, "operator set");
    put_x();
    craft_node(g, "Relu", "r", "x", "y");
    put_y();
    kata__proto_put_varint(&model_bytes, KATA__MODEL_IR_VERSION, 8);
    kata__proto_put_bytes(&model_bytes, KATA__MODEL_GRAPH, g->data, g->size);
    craft_opset(&model_bytes, "other", 1);
    expect_model(KATA_FORMAT, "does not import");
    /* There was no Gelu before 20. */
    put_x();
    craft_node(g, "Gelu", "s", "x", "y");
    put_y();
    craft_model(&model_bytes, g, 8, 11);
    expect_model(KATA_UNSUPPORTED, "Gelu of operator set 11");
}

static void graph_twice(void **state) {
    (void)state;
    put_x();
    craft_node(g, "Relu", "", "x", "y");
    put_y();
    kata__proto_put_bytes(&model_bytes, KATA__MODEL_GRAPH, g->data, g->size);
    expect(KATA_FORMAT, "second graph");
}

static void metadata_twice(void **state) {
    (void)state;
    put_x();
    craft_node(g, "Relu", "", "x", "y");
    put_y();
    for (int i = 0; i < 2; i++) {
        size_t begun = kata__proto_begin(&model_bytes, KATA__MODEL_METADATA);
        kata__proto_put_text(&model_bytes, KATA__ENTRY_KEY, "key");
        kata__proto_end(&model_bytes, begun);
    }
    expect(KATA_FORMAT, "key is there twice");
}

/* Lists of names in metadata come from the file too. */
static void metadata_lists(void **state) {
    (void)state;
    static const struct {
        const char *value;
        kata_status status;
    } cases[] = {{"[\"w\"]", KATA_OK},      {"[\"gone\"]", KATA_OK},     {"[]", KATA_OK},
                 {"", KATA_FORMAT},         {"w", KATA_FORMAT},          {"[1]", KATA_FORMAT},
                 {"[\"w\"", KATA_FORMAT},   {"{}", KATA_FORMAT},         {"[\"w\"]]", KATA_FORMAT},
                 {"[\"w\",]", KATA_FORMAT}, {"[[[[[[\"w\"", KATA_FORMAT}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_x();
        craft_raw(g, "w", 1, CRAFT_DIMS(4), four, 16);
        put_add();
        size_t begun = kata__proto_begin(&model_bytes, KATA__MODEL_METADATA);
        kata__proto_put_text(&model_bytes, KATA__ENTRY_KEY, "kata.state");
        kata__proto_put_text(&model_bytes, KATA__ENTRY_VALUE, cases[i].value);
        kata__proto_end(&model_bytes, begun);
        expect(cases[i].status, "kata.state");
    }
}

/* --- names ----------------------------------------------------------------------------------- */

static void names(void **state) {
    (void)state;
    static const char *const odd[] = {"a/b",  "../../etc/passwd", "\n",
                                      "%s%n", "\xe6\x9c\xac",     "<0x-1>"};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) { /* only names */
        begin();
        craft_value(g, KATA__GRAPH_INPUT, odd[i], 1, CRAFT_DIMS(-1, 4));
        craft_node(g, "Relu", odd[i], odd[i], "y");
        put_y();
        expect(KATA_OK, "");
    }
    begin();
    craft_value(g, KATA__GRAPH_INPUT, "\xff", 1, CRAFT_DIMS(-1, 4));
    expect(KATA_FORMAT, "UTF-8");
    put_x();
    size_t node = craft_node_open(g, "Relu", "", "x", "y");
    kata__proto_put_bytes(g, KATA__NODE_NAME, "a\0b", 3);
    kata__proto_end(g, node);
    expect(KATA_FORMAT, "without NUL");
    begin();
    craft_value(g, KATA__GRAPH_INPUT, "", 1, CRAFT_DIMS(-1, 4));
    expect(KATA_FORMAT, "no name");
    /* 1 MB. */
    char *name = malloc((size_t)1 << 20);
    assert_non_null(name);
    memset(name, 'x', (size_t)1 << 20);
    put_x();
    kata__proto_put_bytes(g, KATA__GRAPH_NAME, name, (size_t)1 << 20);
    expect(KATA_LIMIT, "1048576 bytes");
    free(name);
}

static void duplicate_names(void **state) {
    (void)state;
    put_x();
    craft_raw(g, "w", 1, CRAFT_DIMS(4), four, 16);
    craft_raw(g, "w", 1, CRAFT_DIMS(4), four, 16);
    put_add();
    expect(KATA_FORMAT, "the name w is given to two values");
    put_x();
    craft_value(g, KATA__GRAPH_INPUT, "x", 1, CRAFT_DIMS(-1, 4));
    craft_node(g, "Relu", "", "x", "y");
    put_y();
    expect(KATA_FORMAT, "the name x is given to two values");
    put_x();
    craft_node(g, "Relu", "one", "x", "y");
    craft_node(g, "Neg", "two", "x", "y");
    put_y();
    expect(KATA_FORMAT, "two (Neg): the name y");
    put_x();
    craft_node(g, "Relu", "one", "x", "x");
    expect(KATA_FORMAT, "the name x");
    put_x();
    craft_node(g, "Relu", "", "x", "y");
    put_y();
    put_y();
    expect(KATA_FORMAT, "output y is there twice");
}

static void dangling_names(void **state) {
    (void)state;
    put_x();
    put_add();
    expect(KATA_FORMAT, "node add (Add): its input w");
    put_x();
    put_y();
    expect(KATA_FORMAT, "output y");
    put_x();
    craft_node(g, "Relu", "", "x", "y");
    expect(KATA_FORMAT, "no output");
    put_x();
    craft_node(g, "Relu", "r", "x", "");
    expect(KATA_FORMAT, "node r (Relu, number 1): it has no output");
    put_x();
    craft_node(g, "", "r", "x", "y");
    expect(KATA_FORMAT, "it has no operator");
}

static void cycles(void **state) {
    (void)state;
    put_x();
    craft_node(g, "Add", "self", "x,y", "y");
    put_y();
    expect(KATA_FORMAT, "node self (Add): its input y depends on its own result");
    put_x();
    craft_node(g, "Add", "one", "x,c", "a");
    craft_node(g, "Relu", "two", "a", "b");
    craft_node(g, "Relu", "three", "b", "c");
    craft_node(g, "Relu", "four", "c", "y");
    put_y();
    expect(KATA_FORMAT, "cycle");
}

/* A chain of 20,000 nodes, last one first: no recursion, no quadratic search. */
static void long_chain(void **state) {
    (void)state;
    put_x();
    char from[16], to[16];
    enum { N = 20000 };
    for (int i = N; i > 0; i--) {
        snprintf(from, sizeof from, "v%d", i - 1);
        snprintf(to, sizeof to, "v%d", i);
        craft_node(g, "Relu", "", i == 1 ? "x" : from, i == N ? "y" : to);
    }
    put_y();
    craft_model(&model_bytes, g, 8, 17);
    kata_graph *graph = NULL;
    assert_int_equal(
        kata_onnx_read_memory(&graph, context, model_bytes.data, model_bytes.size, NULL), KATA_OK);
    assert_int_equal(graph->n_nodes, N);
    kata_graph_free(graph);
    end();
}

/* --- operators ------------------------------------------------------------------------------- */

static void unknown_operators(void **state) {
    (void)state;
    put_x();
    craft_node(g, "Rellu", "act", "x", "y");
    put_y();
    expect(KATA_NOT_FOUND, "operator Rellu (node act) is not known; nearest: Relu");
    put_x();
    craft_node(g, "CompletelyUnheardOf", "", "x", "y");
    put_y();
    expect(KATA_NOT_FOUND, "operator CompletelyUnheardOf (node number 1) is not known");
    put_x();
    size_t node = craft_node_open(g, "Relu", "n", "x", "y");
    kata__proto_put_text(g, KATA__NODE_DOMAIN, "com.example");
    kata__proto_end(g, node);
    expect(KATA_NOT_FOUND, "operator com.example:Relu");
    put_x();
    node = craft_node_open(g, "ReluGrad", "n", "x,x", "y");
    kata__proto_put_text(g, KATA__NODE_DOMAIN, "kata");
    kata__proto_end(g, node);
    put_y();
    craft_opset(&model_bytes, "kata", 1);
    expect(KATA_UNSUPPORTED, "never in a file");
}

static void attributes(void **state) {
    (void)state;
    /* One that the operator has not (attribute injection), of the wrong type, twice, without a
     * name. */
    put_x();
    size_t node = craft_node_open(g, "Relu", "r", "x", "y");
    craft_float(g, "exec", 1);
    kata__proto_end(g, node);
    put_y();
    expect(KATA_INVALID, "no attribute exec");
    put_x();
    node = craft_node_open(g, "LeakyRelu", "r", "x", "y");
    craft_ints(g, "alpha", (const int64_t[]){1}, 1, false);
    kata__proto_end(g, node);
    put_y();
    expect(KATA_INVALID, "alpha");
    put_x();
    node = craft_node_open(g, "LeakyRelu", "r", "x", "y");
    craft_float(g, "alpha", 1);
    craft_float(g, "alpha", 2);
    kata__proto_end(g, node);
    put_y();
    expect(KATA_FORMAT, "alpha is there twice");
    put_x();
    node = craft_node_open(g, "LeakyRelu", "r", "x", "y");
    craft_float(g, "", 2);
    kata__proto_end(g, node);
    put_y();
    expect(KATA_FORMAT, "no name");
    /* Types out of range, references, graphs. */
    static const struct {
        int64_t type;
        kata_status status;
    } types[] = {{8, KATA_INVALID}, {5, KATA_FORMAT},         {99, KATA_FORMAT},
                 {-1, KATA_FORMAT}, {INT64_MIN, KATA_FORMAT}, {4, KATA_FORMAT}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        put_x();
        node = craft_node_open(g, "LeakyRelu", "r", "x", "y");
        size_t attribute = kata__proto_begin(g, KATA__NODE_ATTRIBUTE);
        kata__proto_put_text(g, KATA__ATTRIBUTE_NAME, "alpha");
        kata__proto_put_varint(g, KATA__ATTRIBUTE_TYPE, (uint64_t)types[i].type);
        kata__proto_end(g, attribute);
        kata__proto_end(g, node);
        put_y();
        expect(types[i].status, "alpha");
    }
    put_x();
    node = craft_node_open(g, "If", "branch", "x", "y");
    size_t attribute = kata__proto_begin(g, KATA__NODE_ATTRIBUTE);
    kata__proto_put_text(g, KATA__ATTRIBUTE_NAME, "then_branch");
    kata__proto_end(g, kata__proto_begin(g, KATA__ATTRIBUTE_G));
    kata__proto_end(g, attribute);
    kata__proto_end(g, node);
    put_y();
    expect(KATA_FORMAT, "node branch (If): attribute then_branch: the model has no output");
}

/* TF's CVE-2022-23591: a graph within a graph within ... 100,000 deep. */
static void deep_nesting(void **state) {
    (void)state;
    begin();
    for (int i = 0; i < 15; i++) {
        kata__buffer copy;
        kata__buffer_init(&copy, context, KATA__PROTO_MAXIMUM);
        kata__buffer_append(&copy, g->data, g->size);
        kata__buffer_clear(g);
        size_t node = kata__proto_begin(g, KATA__GRAPH_NODE);
        kata__proto_put_text(g, KATA__NODE_OP_TYPE, "If");
        size_t attribute = kata__proto_begin(g, KATA__NODE_ATTRIBUTE);
        kata__proto_put_text(g, KATA__ATTRIBUTE_NAME, "then_branch");
        kata__proto_put_bytes(g, KATA__ATTRIBUTE_G, copy.data, copy.size);
        kata__proto_put_bytes(g, KATA__ATTRIBUTE_G, copy.data, copy.size);
        kata__proto_end(g, attribute);
        kata__proto_end(g, node);
        kata__buffer_free(&copy);
    }
    expect(KATA_FORMAT, "a second graph of an attribute");
}

static void too_many(void **state) {
    (void)state;
    put_x();
    size_t node = craft_node_open(g, "Sum", "sum", "", "y");
    for (int i = 0; i < KATA_MAX_INPUTS + 1; i++) {
        kata__proto_put_text(g, KATA__NODE_INPUT, "x");
    }
    kata__proto_end(g, node);
    expect(KATA_LIMIT, "more than 64 inputs");
    put_x();
    node = craft_node_open(g, "Split", "split", "x", "");
    for (int i = 0; i < KATA_MAX_OUTPUTS + 1; i++) {
        kata__proto_put_text(g, KATA__NODE_OUTPUT, "o");
    }
    kata__proto_end(g, node);
    expect(KATA_LIMIT, "more than 64 outputs");
    put_x();
    node = craft_node_open(g, "Relu", "relu", "x", "y");
    for (int i = 0; i < KATA__ONNX_MAX_ATTRIBUTES + 1; i++) {
        char name[16];
        snprintf(name, sizeof name, "a%d", i);
        craft_float(g, name, 1);
    }
    kata__proto_end(g, node);
    expect(KATA_LIMIT, "attributes");
    put_x();
    for (int i = 0; i < KATA__ONNX_MAX_OPSETS + 1; i++) {
        char name[16];
        snprintf(name, sizeof name, "d%d", i);
        craft_opset(&model_bytes, name, 1);
    }
    expect(KATA_LIMIT, "operator sets");
    put_x();
    for (int i = 0; i < KATA__ONNX_MAX_METADATA + 1; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", i);
        size_t begun = kata__proto_begin(&model_bytes, KATA__MODEL_METADATA);
        kata__proto_put_text(&model_bytes, KATA__ENTRY_KEY, name);
        kata__proto_end(&model_bytes, begun);
    }
    expect(KATA_LIMIT, "metadata");
    /* Arity. */
    put_x();
    craft_node(g, "Relu", "relu", "x,x", "y");
    put_y();
    expect(KATA_INVALID, "node relu (Relu)");
    put_x();
    craft_node(g, "Relu", "relu", "", "y");
    put_y();
    expect(KATA_INVALID, "node relu (Relu)");
    put_x();
    craft_node(g, "Relu", "relu", "x", "y,z");
    put_y();
    expect(KATA_INVALID, "node relu (Relu)");
}

/* Each message is right, but they do not fit together. */
static void inconsistent_shapes(void **state) {
    (void)state;
    put_x();
    craft_raw(g, "w", 1, CRAFT_DIMS(3), four, 12);
    put_add();
    expect(KATA_SHAPE, "node add (Add)");
    put_x();
    craft_raw(g, "w", 11, CRAFT_DIMS(2), four, 16);
    put_add();
    expect(KATA_DTYPE, "node add (Add)");
    put_x();
    craft_node(g, "Relu", "", "x", "y");
    craft_value(g, KATA__GRAPH_OUTPUT, "y", 1, CRAFT_DIMS(-1, 5));
    expect(KATA_SHAPE, "output y is said to have the shape (?,5), but has (?,4)");
    put_x();
    craft_node(g, "Relu", "", "x", "y");
    craft_value(g, KATA__GRAPH_OUTPUT, "y", 1, CRAFT_DIMS(4));
    expect(KATA_SHAPE, "output y");
    put_x();
    craft_node(g, "Relu", "", "x", "y");
    craft_value(g, KATA__GRAPH_OUTPUT, "y", 7, CRAFT_DIMS(-1, 4));
    expect(KATA_DTYPE, "output y is said to be int64, but is float32");
}

/* --- inputs ---------------------------------------------------------------------------------- */

static void inputs(void **state) {
    (void)state;
    static const struct {
        int code;
        int rank;
        int64_t dims[9];
        kata_status status;
        const char *says;
    } cases[] = {
        {14, 1, {4}, KATA_UNSUPPORTED, "complex64"},
        {23, 1, {4}, KATA_UNSUPPORTED, "float4e2m1"},
        {14, 1, {4}, KATA_UNSUPPORTED, "complex64"},
        {99, 1, {4}, KATA_UNSUPPORTED, "type 99"},
        {0, 1, {4}, KATA_UNSUPPORTED, "no data type"},
        {1, 9, {1, 1, 1, 1, 1, 1, 1, 1, 1}, KATA_LIMIT, "8 axes"},
        {1, 3, {4398046511105, 4398046511105, 2}, KATA_FORMAT, "counted"},
        {1, 2, {INT64_MAX, 3}, KATA_FORMAT, "counted"},
        {1, 3, {0, INT64_MAX, 3}, KATA_FORMAT, "counted"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin();
        craft_value(g, KATA__GRAPH_INPUT, "x", cases[i].code, cases[i].rank, cases[i].dims);
        craft_value(g, KATA__GRAPH_OUTPUT, "x", cases[i].code, cases[i].rank, cases[i].dims);
        expect(cases[i].status, cases[i].says);
    }
    /* A negative size, no type, no shape, another kind of value, a shape twice. */
    static const struct {
        const char *type;
        size_t n;
        kata_status status;
        const char *says;
    } types[] = {
        {"\x0a\x11\x08\x01\x12\x0d\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 19,
         KATA_FORMAT, "negative size -1"},
        {"", 0, KATA_UNSUPPORTED, "no data type"},
        {"\x0a\x02\x08\x01", 4, KATA_UNSUPPORTED, "no shape"},
        {"\x22\x00", 2, KATA_UNSUPPORTED, "is of the kind sequence; only tensors"},
        {"\x4a\x00", 2, KATA_UNSUPPORTED, "of the kind optional tensor"},
        {"\x2a\x00", 2, KATA_UNSUPPORTED, "neither a tensor nor"},
        {"\x22\x06\x0a\x04\x22\x02\x0a\x00", 8, KATA_UNSUPPORTED, "neither a tensor nor"},
        {"\x0a\x06\x08\x01\x12\x00\x12\x00", 8, KATA_FORMAT, "second shape"},
        {"\x0a\x02\x08\x01\x0a\x02\x08\x01", 8, KATA_FORMAT, "second type"},
        {"\x0a\x04\x08\x01\x12\x7f", 6, KATA_FORMAT, "127 bytes"},
        {"\x0d\x00\x00\x00\x00", 5, KATA_FORMAT, "wire type"},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        begin();
        size_t begun = kata__proto_begin(g, KATA__GRAPH_INPUT);
        kata__proto_put_text(g, KATA__VALUE_NAME, "x");
        kata__proto_put_bytes(g, KATA__VALUE_TYPE, types[i].type, types[i].n);
        kata__proto_end(g, begun);
        craft_node(g, "Relu", "", "x", "y");
        put_y();
        expect(types[i].status, types[i].says);
    }
}

/* --- tensors --------------------------------------------------------------------------------- */

static void tensor_shapes(void **state) {
    (void)state;
    static const struct {
        int code;
        int rank;
        int64_t dims[9];
        size_t n_bytes;
        kata_status status;
        const char *says;
    } cases[] = {
        {1, 1, {4}, 16, KATA_OK, ""},
        {1, 1, {4}, 15, KATA_FORMAT, "tensor w: its shape (4,) of float32 needs 16 bytes, but 15"},
        {1, 1, {4}, 20, KATA_FORMAT, "but 20"},
        {1, 1, {4}, 0, KATA_FORMAT, "but 0"},
        {1, 1, {-1}, 16, KATA_FORMAT, "negative size -1"},
        {1, 1, {INT64_MIN}, 16, KATA_FORMAT, "negative size"},
        {1, 1, {(int64_t)1 << 31}, 16, KATA_FORMAT, "needs 8589934592 bytes"},
        {1, 1, {INT64_MAX}, 16, KATA_FORMAT, "counted"},
        {1, 2, {(int64_t)1 << 32, (int64_t)1 << 32}, 0, KATA_FORMAT, "counted"},
        {1, 2, {4398046511105, 4398046511105}, 4, KATA_FORMAT, "counted"},
        {11, 1, {(int64_t)1 << 60}, 0, KATA_FORMAT, "counted"},
        {1, 3, {0, (int64_t)1 << 62, 4}, 0, KATA_FORMAT, "counted"},
        {1, 9, {1, 1, 1, 1, 1, 1, 1, 1, 1}, 4, KATA_LIMIT, "8 axes"},
        {0, 1, {4}, 16, KATA_FORMAT, "undefined"},
        {8, 1, {4}, 16, KATA_FORMAT, "tensor w: its strings are raw data"},
        {14, 1, {1}, 8, KATA_UNSUPPORTED, "complex64"},
        {22, 1, {3}, 3, KATA_FORMAT, "needs 2 bytes, but 3 are there"},
        {99, 1, {4}, 16, KATA_UNSUPPORTED, "type 99"},
        {-1, 1, {4}, 16, KATA_FORMAT, "type -1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[64] = {0};
        put_x();
        craft_raw(g, "w", cases[i].code, cases[i].rank, cases[i].dims, bytes, cases[i].n_bytes);
        put_add();
        expect(cases[i].status, cases[i].says);
    }
}

/* 160 bytes that claim gigabytes (ggml 1516): nothing is allocated on their word. */
static void small_file_claims_gigabytes(void **state) {
    (void)state;
    static const int64_t dims[][2] = {{65536, 65536}, {1 << 30, 1}, {(int64_t)1 << 40, 1}};
    for (size_t i = 0; i < 3; i++) {
        put_x();
        craft_raw(g, "w", 1, 2, dims[i], four, 16);
        put_add();
        craft_model(&model_bytes, g, 8, 17);
        assert_true(model_bytes.size < 200);
        const mangle m = {read_model, context, &allocator, 65536};
        assert_int_equal(mangle_read(&m, (uint8_t *)model_bytes.data, model_bytes.size),
                         KATA_FORMAT);
        end();
    }
    /* An input may be as large as it likes: it is only a type. */
    begin();
    craft_value(g, KATA__GRAPH_INPUT, "x", 1, CRAFT_DIMS(1 << 20, 1 << 20));
    craft_node(g, "Relu", "", "x", "y");
    craft_value(g, KATA__GRAPH_OUTPUT, "y", 1, CRAFT_DIMS(1 << 20, 1 << 20));
    expect(KATA_OK, "");
}

static void tensor_data(void **state) {
    (void)state;
    /* Twice, in a field of another dtype, values that do not fit, one too many. */
    put_x();
    size_t begun = craft_tensor_open(g, KATA__GRAPH_INITIALIZER, "w", 1, CRAFT_DIMS(4));
    kata__proto_put_bytes(g, KATA__TENSOR_RAW_DATA, four, 16);
    kata__proto_put_bytes(g, KATA__TENSOR_FLOAT_DATA, four, 16);
    kata__proto_end(g, begun);
    put_add();
    expect(KATA_FORMAT, "data twice");
    put_x();
    begun = craft_tensor_open(g, KATA__GRAPH_INITIALIZER, "w", 1, CRAFT_DIMS(4));
    kata__proto_put_bytes(g, KATA__TENSOR_INT32_DATA, "\1\2\3\4", 4);
    kata__proto_end(g, begun);
    put_add();
    expect(KATA_FORMAT, "field 5");
    static const struct {
        int code;
        uint64_t value;
        const char *says;
    } cases[] = {{9, 2, "which is no bool"},
                 {3, 128, "which is no int8"},
                 {2, 256, "which is no uint8"},
                 {2, UINT64_MAX, "-1, which is no uint8"},
                 {6, (uint64_t)1 << 31, "which is no int32"},
                 {10, 65536, "which is no float16"},
                 {16, UINT64_MAX, "which is no bfloat16"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_x();
        begun = craft_tensor_open(g, KATA__GRAPH_INITIALIZER, "w", cases[i].code, CRAFT_DIMS(1));
        kata__proto_put_varint(g, KATA__TENSOR_INT32_DATA, cases[i].value);
        kata__proto_end(g, begun);
        put_add();
        expect(KATA_FORMAT, cases[i].says);
    }
    put_x();
    begun = craft_tensor_open(g, KATA__GRAPH_INITIALIZER, "w", 7, CRAFT_DIMS(2));
    kata__proto_put_bytes(g, KATA__TENSOR_INT64_DATA, "\1\2\3", 3);
    kata__proto_end(g, begun);
    put_add();
    expect(KATA_FORMAT, "needs 2 elements, but 3");
    put_x();
    begun = craft_tensor_open(g, KATA__GRAPH_INITIALIZER, "w", 1, CRAFT_DIMS(4));
    kata__proto_put_bytes(g, KATA__TENSOR_FLOAT_DATA, four, 15);
    kata__proto_end(g, begun);
    put_add();
    expect(KATA_FORMAT, "15 bytes");
    put_x();
    craft_raw(g, "", 1, CRAFT_DIMS(4), four, 16);
    put_add();
    expect(KATA_FORMAT, "no name");
    put_x();
    kata__proto_end(g, kata__proto_begin(g, KATA__GRAPH_SPARSE_INITIALIZER));
    expect(KATA_UNSUPPORTED, "sparse");
}

/* onnx 3991, 6959, CVE-2025-51480, CVE-2026-27489: Kata opens no other file, whatever it is called.
 */
static void external_data(void **state) {
    (void)state;
    static const char *const places[] = {"weights.bin", "../../etc/passwd", "/dev/zero", ""};
    for (int with_location = 0; with_location < 2; with_location++) {
        for (size_t i = 0; i < 4; i++) {
            put_x();
            size_t begun = craft_tensor_open(g, KATA__GRAPH_INITIALIZER, "w", 1, CRAFT_DIMS(4));
            size_t entry = kata__proto_begin(g, KATA__TENSOR_EXTERNAL_DATA);
            kata__proto_put_text(g, KATA__ENTRY_KEY, "location");
            kata__proto_put_text(g, KATA__ENTRY_VALUE, places[i]);
            kata__proto_end(g, entry);
            if (with_location != 0) {
                kata__proto_put_varint(g, KATA__TENSOR_DATA_LOCATION, 1);
            }
            kata__proto_end(g, begun);
            put_add();
            expect(KATA_UNSUPPORTED, "tensor w: its data are in another file");
        }
    }
    put_x();
    size_t begun = craft_tensor_open(g, KATA__GRAPH_INITIALIZER, "w", 1, CRAFT_DIMS(4));
    size_t segment = kata__proto_begin(g, KATA__TENSOR_SEGMENT);
    kata__proto_put_varint(g, 1, 1);
    kata__proto_end(g, segment);
    kata__proto_end(g, begun);
    put_add();
    expect(KATA_UNSUPPORTED, "segments");
}

/* NaN and infinite weights are weights: whoever trains or serves looks at values (check_finite). */
static void non_finite_weights(void **state) {
    (void)state;
    put_x();
    craft_raw(g, "w", 1, CRAFT_DIMS(4), "\0\0\xc0\x7f\0\0\x80\x7f\0\0\x80\xff\1\0\0\0", 16);
    put_add();
    expect(KATA_OK, "");
}

/* --- mangled files --------------------------------------------------------------------------- */

/* A small model with every kind of message, as Kata writes it. */
static void craft_small(kata__buffer *bytes) {
    kata_graph *graph = NULL;
    kata_variable *w = NULL, *mean = NULL;
    assert_int_equal(kata_graph_new(&graph, context, "small"), KATA_OK);
    kata_value x =
        kata_graph_input(graph, "x", KATA_F32, &KATA_SHAPE_OF(KATA_UNKNOWN_DIM, 1, 4, 4));
    kata_value y = kata_graph_variable(graph, "w", KATA_F32, &KATA_SHAPE_OF(2, 1, 3, 3), true, &w);
    kata_value m = kata_graph_variable(graph, "m", KATA_F32, &KATA_SHAPE_OF(2, 1, 1), false, &mean);
    y = KATA_NODE_WITH(graph, "Conv", KATA_INPUTS(x, y), KATA_INTS("pads", 1, 1, 1, 1),
                       KATA_STRING("auto_pad", "NOTSET"));
    y = KATA_NODE(graph, "Sub", KATA_INPUTS(y, m));
    y = KATA_NODE_WITH(graph, "LeakyRelu", KATA_INPUTS(y), KATA_FLOAT("alpha", 0.1));
    y = KATA_NODE(graph, "Clip", KATA_INPUTS(y, KATA_NONE, kata_graph_scalar(graph, KATA_F32, 6)));
    y = KATA_NODE(graph, "Reshape",
                  KATA_INPUTS(y, kata_graph_int64s(graph, (const int64_t[]){0, -1}, 2)));
    kata_graph_output(graph, "y", y);
    kata_graph_set_metadata(graph, "k", "v");
    if (kata_graph_status(graph) != KATA_OK) {
        fail_msg("%s", kata_graph_message(graph));
    }
    w->frozen = true;
    kata__buffer_init(bytes, context, KATA__PROTO_MAXIMUM);
    assert_int_equal(kata__onnx_encode(bytes, graph), KATA_OK);
    kata_graph_free(graph);
}

static const mangle *small_mangle(void) {
    static mangle m;
    m = (mangle){read_model, context, &allocator, (int64_t)1 << 20};
    return &m;
}

static void truncated_at_every_byte(void **state) {
    (void)state;
    kata__buffer bytes;
    craft_small(&bytes);
    mangle_truncate(small_mangle(), (uint8_t *)bytes.data, bytes.size);
    kata__buffer_free(&bytes);
}

static void random_changes(void **state) {
    (void)state;
    kata__buffer bytes;
    craft_small(&bytes);
    int n_read = mangle_flip(small_mangle(), (uint8_t *)bytes.data, bytes.size, 20000, 3);
    assert_true(n_read > 0 && n_read < 20000);
    kata__buffer_free(&bytes);
}

/* Each byte set to each of the values that end a varint or go on with it, and to its neighbours. */
static void every_byte_changed(void **state) {
    (void)state;
    kata__buffer bytes;
    craft_small(&bytes);
    uint8_t *data = (uint8_t *)bytes.data;
    for (size_t at = 0; at < bytes.size; at++) {
        uint8_t old = data[at];
        const uint8_t values[] = {0,
                                  1,
                                  0x7F,
                                  0x80,
                                  0xFF,
                                  (uint8_t)(old + 1),
                                  (uint8_t)(old - 1),
                                  (uint8_t)(old ^ 0x80),
                                  (uint8_t)(old + 8)};
        for (size_t k = 0; k < sizeof values; k++) {
            data[at] = values[k];
            mangle_read(small_mangle(), data, bytes.size);
        }
        data[at] = old;
    }
    kata__buffer_free(&bytes);
}

static void starved_reader(void **state) {
    (void)state;
    kata__buffer bytes;
    craft_small(&bytes);
    mangle_starve(small_mangle(), (uint8_t *)bytes.data, bytes.size);
    kata__buffer_free(&bytes);
}

static kata_graph *starved_graph;
static kata_status write_graph(kata_context *c, const uint8_t *data, size_t n_bytes) {
    (void)data;
    (void)n_bytes;
    kata__buffer out;
    kata__buffer_init(&out, c, KATA__PROTO_MAXIMUM);
    kata_status status = kata__onnx_encode(&out, starved_graph);
    kata__buffer_free(&out);
    return status;
}

static void starved_writer(void **state) {
    (void)state;
    kata__buffer bytes;
    craft_small(&bytes);
    assert_int_equal(kata_onnx_read_memory(&starved_graph, context, bytes.data, bytes.size, NULL),
                     KATA_OK);
    const mangle m = {write_graph, context, &allocator, (int64_t)1 << 20};
    mangle_starve(&m, NULL, 0);
    kata_graph_free(starved_graph);
    kata__buffer_free(&bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_model_at_all),
        cmocka_unit_test(versions),
        cmocka_unit_test(graph_twice),
        cmocka_unit_test(metadata_twice),
        cmocka_unit_test(metadata_lists),
        cmocka_unit_test(names),
        cmocka_unit_test(duplicate_names),
        cmocka_unit_test(dangling_names),
        cmocka_unit_test(cycles),
        cmocka_unit_test(long_chain),
        cmocka_unit_test(unknown_operators),
        cmocka_unit_test(attributes),
        cmocka_unit_test(deep_nesting),
        cmocka_unit_test(too_many),
        cmocka_unit_test(inconsistent_shapes),
        cmocka_unit_test(inputs),
        cmocka_unit_test(tensor_shapes),
        cmocka_unit_test(small_file_claims_gigabytes),
        cmocka_unit_test(tensor_data),
        cmocka_unit_test(external_data),
        cmocka_unit_test(non_finite_weights),
        cmocka_unit_test(truncated_at_every_byte),
        cmocka_unit_test(random_changes),
        cmocka_unit_test(every_byte_changed),
        cmocka_unit_test(starved_reader),
        cmocka_unit_test(starved_writer),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
