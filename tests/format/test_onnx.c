/* ONNX: what is written can be read, and is the same when written again; what others write is
 * understood. */
#include "format/mangle.h"

#include <kata/exec.h>
#include <kata/pass.h>

#include "base/file.h"
#include "base/memory.h"
#include "format/craft.h"
#include "graph/graph.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

static kata_test_allocator allocator;
static kata_context *context;
static char path[64];

/* An operator of a domain of its own with attributes of every kind. */
static kata_status copy_infer(kata_infer *infer) {
    for (int i = 0; i < infer->n_outputs; i++) {
        infer->outputs[i] = infer->inputs[0];
    }
    return KATA_OK;
}
static kata_status copy_reference(const kata_call *call) {
    (void)call;
    return KATA_OK;
}
static const kata_attribute_spec every_attribute[] = {
    {.name = "i", .type = KATA_ATTRIBUTE_INT, .default_int = 7},
    {.name = "f", .type = KATA_ATTRIBUTE_FLOAT, .default_float = 0.5},
    {.name = "s", .type = KATA_ATTRIBUTE_STRING},
    {.name = "ints", .type = KATA_ATTRIBUTE_INTS},
    {.name = "floats", .type = KATA_ATTRIBUTE_FLOATS},
    {.name = "t", .type = KATA_ATTRIBUTE_TENSOR},
    {.name = NULL}};
static const kata_op every = {.name = "Every",
                              .domain = "test.domain",
                              .since = 3,
                              .min_inputs = 1,
                              .max_inputs = 4,
                              .min_outputs = 1,
                              .max_outputs = 3,
                              .attributes = every_attribute,
                              .infer = copy_infer,
                              .reference = copy_reference};

static int set_up(void **state) {
    (void)state;
    snprintf(path, sizeof path, "/tmp/kata-test-%ld.onnx", (long)getpid());
    kata_test_allocator_init(&allocator);
    context = kata_test_context(&allocator, 1);
    return context == NULL || kata_op_register(context, &every) != KATA_OK;
}

static int tear_down(void **state) {
    (void)state;
    unlink(path);
    kata_context_free(context);
    return atomic_load(&allocator.n_live) != 0;
}

static void fill(kata_variable *variable, uint32_t stream) {
    float *data = variable->tensor.data;
    for (int64_t i = 0; i < kata_tensor_count(&variable->tensor); i++) {
        data[i] = (float)kata_random_normal(1, stream, 0, (uint64_t)i) * 0.3f;
    }
}

/* Conv, BatchNormalization, Relu, MaxPool, Flatten, Gemm: weights, state, a frozen one. */
static kata_graph *picture_model(void) {
    kata_graph *graph = NULL;
    kata_variable *v[8];
    assert_int_equal(kata_graph_new(&graph, context, "picture"), KATA_OK);
    kata_value x =
        kata_graph_input(graph, "x", KATA_F32, &KATA_SHAPE_OF(KATA_UNKNOWN_DIM, 1, 8, 8));
    kata_value w = kata_graph_variable(graph, "conv/weight", KATA_F32, &KATA_SHAPE_OF(3, 1, 3, 3),
                                       true, &v[0]);
    kata_value b =
        kata_graph_variable(graph, "conv/bias", KATA_F32, &KATA_SHAPE_OF(3), true, &v[1]);
    kata_value y = KATA_NODE_WITH(graph, "Conv", KATA_INPUTS(x, w, b),
                                  KATA_INTS("kernel_shape", 3, 3), KATA_INTS("pads", 1, 1, 1, 1));
    kata_value scale =
        kata_graph_variable(graph, "norm/scale", KATA_F32, &KATA_SHAPE_OF(3), true, &v[2]);
    kata_value shift =
        kata_graph_variable(graph, "norm/shift", KATA_F32, &KATA_SHAPE_OF(3), true, &v[3]);
    kata_value mean =
        kata_graph_variable(graph, "norm/mean", KATA_F32, &KATA_SHAPE_OF(3), false, &v[4]);
    kata_value variance =
        kata_graph_variable(graph, "norm/variance", KATA_F32, &KATA_SHAPE_OF(3), false, &v[5]);
    y = KATA_NODE_WITH(graph, "BatchNormalization", KATA_INPUTS(y, scale, shift, mean, variance),
                       KATA_FLOAT("epsilon", 1e-3));
    y = KATA_NODE(graph, "Relu", KATA_INPUTS(y));
    y = KATA_NODE_WITH(graph, "MaxPool", KATA_INPUTS(y), KATA_INTS("kernel_shape", 2, 2),
                       KATA_INTS("strides", 2, 2));
    y = KATA_NODE(graph, "Flatten", KATA_INPUTS(y));
    kata_value w2 =
        kata_graph_variable(graph, "dense/weight", KATA_F32, &KATA_SHAPE_OF(48, 5), true, &v[6]);
    kata_value b2 =
        kata_graph_variable(graph, "dense/bias", KATA_F32, &KATA_SHAPE_OF(5), true, &v[7]);
    y = KATA_NODE(graph, "Gemm", KATA_INPUTS(y, w2, b2));
    y = KATA_NODE(graph, "Mul", KATA_INPUTS(y, kata_graph_scalar(graph, KATA_F32, 0.5)));
    kata_graph_output(graph, "y", y);
    kata_graph_set_metadata(graph, "kata.labels", "[\"a\",\"\xc3\xa9\"]");
    kata_graph_set_metadata(graph, "note", "");
    if (kata_graph_status(graph) != KATA_OK) {
        fail_msg("%s", kata_graph_message(graph));
    }
    for (uint32_t i = 0; i < 8; i++) {
        fill(v[i], i);
    }
    for (int64_t i = 0; i < 3; i++) {
        ((float *)v[5]->tensor.data)[i] = 1 + 0.1f * (float)i;
    }
    v[0]->frozen = true;
    return graph;
}

static void encode(kata__buffer *out, const kata_graph *graph) {
    kata__buffer_init(out, context, KATA__PROTO_MAXIMUM);
    if (kata__onnx_encode(out, graph) != KATA_OK) {
        fail_msg("%s", kata_error_message());
    }
}

static kata_graph *read_back(const kata__buffer *bytes) {
    kata_graph *graph = NULL;
    if (kata_onnx_read_memory(&graph, context, bytes->data, bytes->size, "test.onnx") != KATA_OK) {
        fail_msg("%s", kata_error_message());
    }
    return graph;
}

/* Written, read, written again: the same bytes. The graph that was read is the caller's. */
static kata_graph *check_fixed_point(const kata_graph *graph) {
    kata__buffer first, second;
    encode(&first, graph);
    kata_graph *read = read_back(&first);
    encode(&second, read);
    assert_int_equal(first.size, second.size);
    assert_memory_equal(first.data, second.data, first.size);
    kata__buffer_free(&first);
    kata__buffer_free(&second);
    return read;
}

/* Open sizes come back under their names, on any axis, and the file stays as it is. */
static void names_of_sizes(void **state) {
    (void)state;
    kata_graph *graph = NULL;
    assert_int_equal(kata_graph_new(&graph, context, "text"), KATA_OK);
    const int64_t n = kata_graph_size(graph, "batch"),
                  t = kata_graph_size(graph, "sequence length");
    kata_value x = kata_graph_input(graph, "x", KATA_F32, &KATA_SHAPE_OF(n, t, 3));
    kata_value y = kata_graph_input(graph, "y", KATA_F32, &KATA_SHAPE_OF(KATA_UNKNOWN_DIM, t));
    kata_graph_output(graph, "u", KATA_NODE(graph, "Relu", KATA_INPUTS(x)));
    kata_graph_output(graph, "v",
                      KATA_NODE_WITH(graph, "Concat", KATA_INPUTS(y, y), KATA_INT("axis", 1)));
    kata_graph *read = check_fixed_point(graph);
    char *before = NULL, *after = NULL;
    assert_int_equal(kata_graph_text(&before, graph), KATA_OK);
    assert_int_equal(kata_graph_text(&after, read), KATA_OK);
    assert_string_equal(before, after);
    assert_non_null(strstr(after, "x float32(batch,sequence length,3)"));
    assert_non_null(strstr(after, "y float32(N,sequence length)"));
    assert_non_null(strstr(after, "v float32(N,?)"));
    kata_text_free(context, before);
    kata_text_free(context, after);
    kata_graph_free(read);
    kata_graph_free(graph);
}

static void run_model(const kata_graph *graph, float *out, size_t n) {
    kata_graph *bound = NULL;
    kata_session *session = NULL;
    if (kata_graph_bind(&bound, graph, KATA_SIZES({"N", 2}), false) != KATA_OK ||
        kata_session_new(&session, bound, NULL) != KATA_OK) {
        fail_msg("%s", kata_error_message());
    }
    kata_tensor x = kata_session_input(session, 0);
    for (int64_t i = 0; i < kata_tensor_count(&x); i++) {
        ((float *)x.data)[i] = kata_random_uniform(9, 0, 0, (uint64_t)i);
    }
    assert_int_equal(kata_session_run(session, 0, 0), KATA_OK);
    kata_tensor y = kata_session_output(session, 0);
    assert_int_equal(kata_tensor_count(&y), n);
    memcpy(out, y.data, n * sizeof *out);
    kata_session_free(session);
    kata_graph_free(bound);
}

static void picture_round_trip(void **state) {
    (void)state;
    kata_graph *graph = picture_model();
    assert_int_equal(kata_onnx_write(graph, path), KATA_OK);
    kata_graph *read = NULL;
    assert_int_equal(kata_onnx_read(&read, context, path), KATA_OK);
    kata_graph_free(read);
    read = check_fixed_point(graph);
    assert_string_equal(kata_graph_name(read), "picture");
    assert_int_equal(kata_graph_n_variables(read), 8);
    for (int i = 0; i < 8; i++) {
        const kata_variable *a = kata_graph_variable_at(graph, i);
        const kata_variable *b = kata_graph_find_variable(read, a->name);
        assert_non_null(b);
        assert_int_equal(a->trainable, b->trainable);
        assert_int_equal(a->frozen, b->frozen);
        assert_int_equal(a->decay, b->decay);
        assert_true(kata_shape_equal(&a->tensor.shape, &b->tensor.shape));
        assert_memory_equal(a->tensor.data, b->tensor.data, kata_tensor_bytes(&a->tensor));
    }
    assert_int_equal(kata_graph_n_metadata(read), 2); /* the lists of names are gone again */
    assert_string_equal(kata_graph_metadata(read, "kata.labels"), "[\"a\",\"\xc3\xa9\"]");
    assert_string_equal(kata_graph_metadata(read, "note"), "");
    kata_shape shape = kata_value_shape(read, kata_graph_input_at(read, 0));
    assert_true(kata_shape_equal(&shape, &KATA_SHAPE_OF(kata_graph_size(read, "N"), 1, 8, 8)));
    assert_string_equal(kata_value_name(read, kata_graph_output_at(read, 0)), "y");
    float a[10], b[10];
    run_model(graph, a, 10);
    run_model(read, b, 10);
    assert_memory_equal(a, b, sizeof a);
    kata_graph_free(read);
    kata_graph_free(graph);
}

/* Values of every dtype with all their bits, as constants and as variables. */
static void every_dtype(void **state) {
    (void)state;
    static const uint64_t bits[] = {0x7FC00001FFC00002u, 0x8000000000000000u, 1,
                                    0x8000000180000001u, 0x7FF8000000000001u, 0xFFFFFFFFFFFFFFFFu,
                                    0x0102030405060708u};
    kata_graph *graph = NULL;
    assert_int_equal(kata_graph_new(&graph, context, ""), KATA_OK);
    kata_value values[2 * KATA_DTYPE_COUNT];
    int n = 0;
    for (int dtype = KATA_NO_DTYPE + 1; dtype < KATA_DTYPE_COUNT; dtype++) {
        uint8_t bytes[sizeof bits];
        memcpy(bytes, bits, sizeof bits);
        for (size_t i = 0; dtype == KATA_BOOL && i < sizeof bytes; i++) {
            bytes[i] &= 1;
        }
        if (dtype == KATA_STRING) {
            continue; /* strings_and_halves */
        }
        for (size_t i = 0; (dtype == KATA_I4 || dtype == KATA_U4) && i < sizeof bytes; i++) {
            bytes[i] = dtype == KATA_U4 ? bytes[i] & 15 : (uint8_t)(((bytes[i] & 15) ^ 8) - 8);
        }
        int64_t count = (int64_t)(sizeof bits / kata_dtype_size((kata_dtype)dtype));
        kata_tensor tensor = kata_tensor_view(bytes, (kata_dtype)dtype, &KATA_SHAPE_OF(1, count));
        values[n++] = kata_graph_constant(graph, NULL, &tensor);
        kata_variable *variable = NULL;
        values[n++] =
            kata_graph_variable(graph, NULL, (kata_dtype)dtype, &tensor.shape, false, &variable);
        memcpy(variable->tensor.data, bytes, sizeof bytes);
    }
    for (int i = 0; i < n; i++) {
        kata_graph_output(graph, NULL, values[i]);
    }
    assert_int_equal(kata_graph_status(graph), KATA_OK);
    kata_graph *read = check_fixed_point(graph);
    for (int i = 0; i < n; i++) {
        const kata__value_info *a = kata__graph_info(graph, kata_graph_output_at(graph, i));
        const kata__value_info *b = kata__graph_info(read, kata_graph_output_at(read, i));
        assert_int_equal(a->kind, b->kind);
        assert_int_equal(a->type.dtype, b->type.dtype);
        const kata_tensor *from =
            a->kind == KATA__VALUE_CONSTANT ? &a->constant : &a->variable->tensor;
        const kata_tensor *to =
            b->kind == KATA__VALUE_CONSTANT ? &b->constant : &b->variable->tensor;
        assert_int_equal(kata_tensor_bytes(from), kata_tensor_bytes(to));
        assert_memory_equal(from->data, to->data, kata_tensor_bytes(from));
    }
    kata_graph_free(read);
    kata_graph_free(graph);
}

/* Strings are elements of a field of their own; an odd number of 4-bit integers ends in a half
 * byte. */
static void strings_and_halves(void **state) {
    (void)state;
    kata_string texts[] = {{"eins", 4}, {NULL, 0}, {"\xe6\x97\xa5", 3}};
    int8_t halves[] = {-8, 7, -1};
    kata_graph *graph = NULL;
    assert_int_equal(kata_graph_new(&graph, context, "strings"), KATA_OK);
    kata_tensor a = kata_tensor_view(texts, KATA_STRING, &KATA_SHAPE_OF(3, 1));
    kata_tensor b = kata_tensor_view(halves, KATA_I4, &KATA_SHAPE_OF(3));
    kata_graph_output(graph, NULL, kata_graph_constant(graph, "texts", &a));
    kata_graph_output(graph, NULL, kata_graph_constant(graph, "halves", &b));
    assert_int_equal(kata_graph_status(graph), KATA_OK);
    kata_graph *read = check_fixed_point(graph);
    const kata_tensor *got = kata__graph_constant_of(read, kata_graph_output_at(read, 0));
    const kata_string *elements = got->data;
    assert_true(kata_shape_equal(&got->shape, &a.shape));
    assert_true(elements[0].n_bytes == 4 && memcmp(elements[0].data, "eins", 4) == 0);
    assert_true(elements[1].n_bytes == 0 && elements[2].n_bytes == 3);
    got = kata__graph_constant_of(read, kata_graph_output_at(read, 1));
    assert_memory_equal(got->data, halves, sizeof halves);
    kata_variable *variable = NULL;
    kata_graph_variable(graph, NULL, KATA_STRING, &a.shape, false, &variable);
    assert_int_equal(kata_graph_status(graph), KATA_DTYPE);
    kata_graph_free(read);
    kata_graph_free(graph);
}

/* Graphs within graphs, with what they capture over two levels, lists of texts, sizes that depend
 * on data, and a sequence of maps: written, read and written again they are the same bytes. */
static void graphs_within(void **state) {
    (void)state;
    const kata_shape none = {.rank = 0};
    const char *const labels[] = {"a", "\xc3\xa4"};
    kata_graph *graph = NULL, *body, *yes, *no;
    assert_int_equal(kata_graph_new(&graph, context, "outer"), KATA_OK);
    kata_value x = kata_graph_input(graph, "x", KATA_F32, &KATA_SHAPE_OF(3, 2));
    kata_value n = kata_graph_input(graph, "n", KATA_I64, &none);
    float half = 0.5f;
    kata_tensor number = kata_tensor_view(&half, KATA_F32, &none);
    kata_value factor = kata_graph_constant(graph, "factor", &number);
    assert_int_equal(kata_graph_subgraph(&body, graph, "body"), KATA_OK);
    kata_graph_input(body, "i", KATA_I64, &none);
    kata_value go = kata_graph_input(body, "go", KATA_BOOL, &none);
    kata_value v = kata_graph_input(body, "v", KATA_F32, &KATA_SHAPE_OF(3, 2));
    kata_value scaled = KATA_NODE(body, "Mul", KATA_INPUTS(v, kata_graph_capture(body, factor)));
    kata_value sum =
        KATA_NODE_WITH(body, "ReduceSum", KATA_INPUTS(scaled), KATA_INT("keepdims", 0));
    kata_value is = KATA_NODE(body, "Less", KATA_INPUTS(sum, kata_graph_scalar(body, KATA_F32, 0)));
    assert_int_equal(kata_graph_subgraph(&yes, body, "yes"), KATA_OK);
    assert_int_equal(kata_graph_subgraph(&no, body, "no"), KATA_OK);
    kata_graph_output(yes, "negated",
                      KATA_NODE(yes, "Neg", KATA_INPUTS(kata_graph_capture(yes, scaled))));
    kata_value inner_x = kata_graph_capture(no, kata_graph_capture(body, x));
    kata_graph_output(no, "added",
                      KATA_NODE(no, "Add", KATA_INPUTS(kata_graph_capture(no, scaled), inner_x)));
    kata_value next = KATA_NODE_WITH(body, "If", KATA_INPUTS(is), KATA_GRAPH("then_branch", yes),
                                     KATA_GRAPH("else_branch", no));
    kata_graph_output(body, "goes_on", KATA_NODE(body, "Identity", KATA_INPUTS(go)));
    kata_graph_output(body, "next", next);
    kata_value last =
        KATA_NODE_WITH(graph, "Loop", KATA_INPUTS(n, KATA_NONE, x), KATA_GRAPH("body", body));
    kata_graph_output(graph, "last", last);
    kata_graph_output(graph, "where", KATA_NODE(graph, "NonZero", KATA_INPUTS(last)));
    kata_graph_output(graph, "maps",
                      KATA_NODE_WITH(graph, "ai.onnx.ml:ZipMap", KATA_INPUTS(x),
                                     KATA_STRINGS_OF("classlabels_strings", labels, 2)));
    assert_int_equal(kata_graph_status(graph), KATA_OK);
    kata_graph *read = check_fixed_point(graph);
    assert_int_equal(kata_value_type(read, kata_graph_output_at(read, 2)).kind,
                     KATA_KIND_MAPS_OF_STRINGS);
    kata_graph *both[] = {graph, read};
    for (int k = 0; k < 2; k++) { /* x/2, then added to x, twice */
        kata_session *session = NULL;
        assert_int_equal(kata_session_new(&session, both[k], NULL), KATA_OK);
        float *numbers = kata_session_input(session, 0).data;
        for (int i = 0; i < 6; i++) {
            numbers[i] = (float)i;
        }
        *(int64_t *)kata_session_input(session, 1).data = 2;
        assert_int_equal(kata_session_run(session, 0, 0), KATA_OK);
        const float *got = kata_session_output(session, 0).data;
        for (int i = 0; i < 6; i++) {
            assert_true(got[i] == 1.75f * (float)i);
        }
        assert_int_equal(kata_session_output(session, 1).shape.dim[1], 5);
        kata_session_free(session);
    }
    kata_graph_free(read);
    kata_graph_free(graph);
}

static void attributes_and_absent_inputs(void **state) {
    (void)state;
    kata_graph *graph = NULL;
    assert_int_equal(kata_graph_new(&graph, context, "attributes"), KATA_OK);
    kata_value x = kata_graph_input(graph, "x", KATA_F32, &KATA_SHAPE_OF(2, 3));
    float numbers[] = {1.5f, -0.0f, NAN};
    kata_tensor tensor = kata_tensor_view(numbers, KATA_F32, &KATA_SHAPE_OF(3, 1));
    const double floats[] = {0.25, -1e-40, INFINITY};
    const kata_attribute attributes[] = {
        KATA_INT("i", INT64_MIN),
        KATA_FLOAT("f", -0.0),
        KATA_STRING("s", "a\"\\\n\xe6\x9c\xac"),
        KATA_INTS("ints", -1, 0, INT64_MAX),
        {.name = "floats", .type = KATA_ATTRIBUTE_FLOATS, .floats = floats, .n = 3},
        {.name = "t", .type = KATA_ATTRIBUTE_TENSOR, .tensor = &tensor},
    };
    kata_value outputs[3];
    const kata_value inputs[] = {x, KATA_NONE, x, KATA_NONE};
    kata_graph_node_outputs(graph, "first", "test.domain:Every", inputs, 4, attributes, 6, outputs,
                            3);
    kata_value y = KATA_NODE(graph, "test.domain:Every", KATA_INPUTS(outputs[2]));
    kata_graph_output(graph, "y", y);
    kata_graph_output(graph, "z", outputs[0]);
    assert_int_equal(kata_graph_status(graph), KATA_OK);
    kata_graph *read = check_fixed_point(graph);
    assert_int_equal(read->n_nodes, 2);
    const kata__node *node = &read->nodes[0];
    assert_string_equal(node->name, "first");
    assert_int_equal(node->n_inputs, 3); /* the absent one at the end is left out */
    assert_int_equal(node->inputs[1].id, 0);
    assert_int_equal(node->inputs[2].id, node->inputs[0].id);
    assert_int_equal(node->n_outputs, 3);
    const kata_attribute_value *a = node->attributes;
    assert_true(a[0].is_set && a[0].i == INT64_MIN);
    assert_true(a[1].is_set && a[1].f == 0 && signbit(a[1].f));
    assert_true(a[2].is_set);
    assert_string_equal(a[2].s, "a\"\\\n\xe6\x9c\xac");
    assert_true(a[3].n == 3 && a[3].ints[0] == -1 && a[3].ints[2] == INT64_MAX);
    assert_true(a[4].n == 3 && a[4].floats[0] == 0.25 && a[4].floats[1] == (double)-1e-40f &&
                isinf(a[4].floats[2]));
    assert_true(kata_shape_equal(&a[5].tensor->shape, &tensor.shape));
    assert_memory_equal(a[5].tensor->data, numbers, sizeof numbers);
    const kata_attribute_value *none = read->nodes[1].attributes;
    assert_false(none[0].is_set || none[1].is_set || none[2].is_set || none[5].is_set);
    assert_true(none[0].i == 7 && none[1].f == 0.5); /* the row's defaults */
    kata_graph_free(read);
    kata_graph_free(graph);
}

/* The metadata that ONNX has no place for, as others see it. */
static void imports_and_metadata(void **state) {
    (void)state;
    kata_graph *graph = picture_model();
    kata_value y =
        KATA_NODE(graph, "test.domain:Every", KATA_INPUTS(kata_graph_output_at(graph, 0)));
    kata_graph_output(graph, "every", y);
    kata__buffer bytes;
    encode(&bytes, graph);
    kata__onnx_model model = {.arena = {.context = context}};
    assert_int_equal(kata__onnx_parse(&model, bytes.data, bytes.size), KATA_OK);
    assert_string_equal(model.producer, "kata");
    assert_int_equal(model.n_opsets, 2);
    assert_int_equal(kata__onnx_opset_of(&model, ""), 17);
    assert_int_equal(kata__onnx_opset_of(&model, "test.domain"), 3);
    assert_int_equal(kata__onnx_opset_of(&model, "kata"), 0);
    static const char *const expected[][2] = {
        {"kata.labels", "[\"a\",\"\xc3\xa9\"]"},
        {"note", ""},
        {"kata.state", "[\"norm/mean\",\"norm/variance\"]"},
        {"kata.frozen", "[\"conv/weight\"]"},
    };
    assert_int_equal(model.n_metadata, 5);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(model.metadata[i].key, expected[i][0]);
        assert_string_equal(model.metadata[i].value, expected[i][1]);
    }
    assert_string_equal(model.metadata[4].key, "kata.constant");
    assert_memory_equal(bytes.data, "\x08\x08\x12\x04kata\x1a\x05" KATA_VERSION, 15);
    kata__arena_free(&model.arena);
    kata__buffer_free(&bytes);
    kata_graph_free(graph);
}

/* One file keeps to one operator set, whatever forms its nodes came in. */
static void reductions_in_either_form(void **state) {
    (void)state;
    for (int newer = 0; newer < 2; newer++) {
        kata_graph *graph = NULL;
        assert_int_equal(kata_graph_new(&graph, context, "reduce"), KATA_OK);
        kata_value x =
            kata_graph_input(graph, "x", KATA_F32, &KATA_SHAPE_OF(KATA_UNKNOWN_DIM, 3, 4));
        kata_value axes = kata_graph_int64s(graph, (const int64_t[]){1}, 1);
        kata_value a = KATA_NODE(graph, "ReduceMean", KATA_INPUTS(x, axes));
        kata_value b = KATA_NODE_WITH(graph, "ReduceMean", KATA_INPUTS(x), KATA_INTS("axes", 1));
        kata_value c = KATA_NODE_WITH(graph, "ReduceSum", KATA_INPUTS(x), KATA_INTS("axes", 1));
        kata_value d = KATA_NODE(graph, "ReduceSum", KATA_INPUTS(x, axes));
        kata_value y = KATA_NODE(graph, "Sum", KATA_INPUTS(a, b, c, d));
        y = newer != 0 ? KATA_NODE(graph, "Gelu", KATA_INPUTS(y)) : y;
        kata_graph_output(graph, "y", y);
        if (kata_graph_status(graph) != KATA_OK) {
            fail_msg("%s", kata_graph_message(graph));
        }
        kata_graph *read = check_fixed_point(graph);
        kata__buffer bytes;
        encode(&bytes, graph);
        kata__onnx_model model = {.arena = {.context = context}};
        assert_int_equal(kata__onnx_parse(&model, bytes.data, bytes.size), KATA_OK);
        assert_int_equal(kata__onnx_opset_of(&model, ""), newer != 0 ? 20 : 17);
        for (size_t i = 0; i < 4; i++) {
            bool is_input = newer != 0 || i > 1;
            assert_int_equal(model.nodes[i].n_inputs, is_input ? 2 : 1);
            assert_int_equal(model.nodes[i].n_attributes, is_input ? 0 : 1);
        }
        kata__arena_free(&model.arena);
        kata__buffer_free(&bytes);
        float p[8], q[8];
        run_model(graph, p, 8);
        run_model(read, q, 8);
        assert_memory_equal(p, q, sizeof p);
        kata_graph_free(read);
        kata_graph_free(graph);
    }
}

static void refused_graphs(void **state) {
    (void)state;
    kata_graph *graph = NULL;
    kata__buffer bytes;
    kata__buffer_init(&bytes, context, KATA__PROTO_MAXIMUM);
    assert_int_equal(kata_graph_new(&graph, context, "g"), KATA_OK);
    kata_value x = kata_graph_input(graph, "x", KATA_F32, &KATA_SHAPE_OF(2));
    assert_int_equal(kata__onnx_encode(&bytes, graph), KATA_INVALID); /* no output */
    kata_graph_output(graph, NULL, x);
    kata_graph_output(graph, NULL, x);
    assert_int_equal(kata__onnx_encode(&bytes, graph), KATA_INVALID);
    assert_non_null(strstr(kata_error_message(), "output twice"));
    kata_graph_free(graph);

    assert_int_equal(kata_graph_new(&graph, context, "g"), KATA_OK);
    kata_graph_output(graph, NULL, kata_graph_input(graph, "\xff", KATA_F32, &KATA_SHAPE_OF(2)));
    assert_int_equal(kata__onnx_encode(&bytes, graph), KATA_INVALID);
    assert_non_null(strstr(kata_error_message(), "UTF-8"));
    kata_graph_free(graph);

    assert_int_equal(kata_graph_new(&graph, context, "g"), KATA_OK);
    x = kata_graph_input(graph, "x", KATA_F32, &KATA_SHAPE_OF(2));
    kata_graph_output(graph, NULL, KATA_NODE(graph, "kata:ReluGrad", KATA_INPUTS(x, x)));
    if (kata_graph_status(graph) == KATA_OK) {
        assert_int_equal(kata__onnx_encode(&bytes, graph), KATA_UNSUPPORTED);
        assert_non_null(strstr(kata_error_message(), "ReluGrad"));
    }
    kata_graph_free(graph);

    /* A graph with a fault says its fault. */
    assert_int_equal(kata_graph_new(&graph, context, "g"), KATA_OK);
    KATA_NODE(graph, "NoSuchOperator", KATA_INPUTS(KATA_NONE));
    assert_int_equal(kata_onnx_write(graph, path), KATA_NOT_FOUND);
    assert_non_null(strstr(kata_error_message(), "NoSuchOperator"));
    kata_graph_free(graph);
    kata__buffer_free(&bytes);
}

/* The limit of a file is 2 GiB - 1; here a smaller one. */
static void size_limit(void **state) {
    (void)state;
    kata_graph *graph = picture_model();
    kata__buffer whole, bytes;
    encode(&whole, graph);
    for (size_t maximum = 0; maximum < whole.size; maximum += 37) {
        kata__buffer_init(&bytes, context, maximum);
        assert_int_equal(kata__onnx_encode(&bytes, graph), KATA_LIMIT);
        assert_non_null(strstr(kata_error_message(), "ONNX file"));
        kata__buffer_free(&bytes);
    }
    kata__buffer_init(&bytes, context, whole.size);
    assert_int_equal(kata__onnx_encode(&bytes, graph), KATA_OK);
    assert_memory_equal(bytes.data, whole.data, whole.size);
    kata__buffer_free(&bytes);
    kata__buffer_free(&whole);
    /* A failing write leaves the old file. */
    assert_int_equal(kata_onnx_write(graph, path), KATA_OK);
    kata_graph_output(graph, NULL, kata_graph_output_at(graph, 0));
    assert_int_equal(kata_onnx_write(graph, path), KATA_INVALID);
    kata_graph *read = NULL;
    assert_int_equal(kata_onnx_read(&read, context, path), KATA_OK);
    kata_graph_free(read);
    kata_graph_free(graph);
}

/* Constants that nothing needs are left out; variables never are. */
static void unused_values(void **state) {
    (void)state;
    kata_graph *graph = NULL;
    assert_int_equal(kata_graph_new(&graph, context, "g"), KATA_OK);
    kata_value x = kata_graph_input(graph, "x", KATA_F32, &KATA_SHAPE_OF(2));
    kata_graph_scalar(graph, KATA_F32, 1);
    kata_graph_variable(graph, "spare", KATA_F32, &KATA_SHAPE_OF(2), true, NULL);
    kata_graph_variable(graph, "step", KATA_I64, &KATA_SHAPE_OF(1), false, NULL);
    kata_graph_output(graph, "y", KATA_NODE(graph, "Relu", KATA_INPUTS(x)));
    kata_graph *read = check_fixed_point(graph);
    assert_int_equal(kata_graph_n_variables(read), 2);
    assert_false(kata_graph_find_variable(read, "step")->trainable);
    assert_int_equal(read->n_values, 1 + 1 + 2 + 1);
    kata_graph_free(read);
    kata_graph_free(graph);
}

/* --- models of others ------------------------------------------------------------------------ */

static kata__buffer graph_bytes, model_bytes;

static void craft_begin(void) {
    kata__buffer_init(&graph_bytes, context, KATA__PROTO_MAXIMUM);
    kata__buffer_init(&model_bytes, context, KATA__PROTO_MAXIMUM);
}

static kata_graph *craft_read(int64_t ir_version, int64_t opset) {
    craft_model(&model_bytes, &graph_bytes, ir_version, opset);
    kata_graph *graph = read_back(&model_bytes);
    kata__buffer_free(&graph_bytes);
    kata__buffer_free(&model_bytes);
    return graph;
}

/* Each dtype in the field that TensorProto has for it, packed and one by one. */
static void typed_data(void **state) {
    (void)state;
    craft_begin();
    kata__buffer *g = &graph_bytes;
    const float f[] = {1.5f, -0.0f};
    const double d[] = {2.5, 1e300};
    size_t begun = craft_tensor_open(g, KATA__GRAPH_INITIALIZER, "f32", 1, CRAFT_DIMS(2));
    kata__proto_put_bytes(g, KATA__TENSOR_FLOAT_DATA, f, sizeof f);
    kata__proto_end(g, begun);
    begun = craft_tensor_open(g, KATA__GRAPH_INITIALIZER, "f32b", 1, CRAFT_DIMS(2));
    kata__proto_put_float(g, KATA__TENSOR_FLOAT_DATA, f[0]);
    kata__proto_put_float(g, KATA__TENSOR_FLOAT_DATA, f[1]);
    kata__proto_end(g, begun);
    begun = craft_tensor_open(g, KATA__GRAPH_INITIALIZER, "f64", 11, CRAFT_DIMS(2));
    kata__proto_put_bytes(g, KATA__TENSOR_DOUBLE_DATA, d, sizeof d);
    kata__proto_end(g, begun);
    begun = craft_tensor_open(g, KATA__GRAPH_INITIALIZER, "i64", 7, CRAFT_DIMS(1, 2));
    kata__proto_put_varint(g, KATA__TENSOR_INT64_DATA, (uint64_t)INT64_MIN);
    kata__proto_put_varint(g, KATA__TENSOR_INT64_DATA, 5);
    kata__proto_end(g, begun);
    static const struct {
        const char *name;
        int code;
        int64_t a, b;
    } small[] = {{"i32", 6, INT32_MIN, INT32_MAX},
                 {"i8", 3, -128, 127},
                 {"u8", 2, 0, 255},
                 {"bool", 9, 1, 0},
                 {"f16", 10, 0x3C00, 0x8000},
                 {"bf16", 16, 0x3F80, 0xFFFF}};
    for (size_t i = 0; i < 6; i++) {
        begun = craft_tensor_open(g, KATA__GRAPH_INITIALIZER, small[i].name, small[i].code,
                                  CRAFT_DIMS(2));
        kata__proto_put_varint(g, KATA__TENSOR_INT32_DATA, (uint64_t)small[i].a);
        kata__proto_put_varint(g, KATA__TENSOR_INT32_DATA, (uint64_t)small[i].b);
        kata__proto_end(g, begun);
    }
    begun = craft_tensor_open(g, KATA__GRAPH_INITIALIZER, "none", 1, CRAFT_DIMS(0, 5));
    kata__proto_end(g, begun);
    craft_raw(g, "bools", 9, CRAFT_DIMS(3), "\x00\x01\x02", 3);
    craft_value(g, KATA__GRAPH_INPUT, "x", 1, CRAFT_DIMS(2));
    craft_value(g, KATA__GRAPH_OUTPUT, "x", 1, CRAFT_DIMS(2));
    kata_graph *graph = craft_read(8, 17);
    static const struct {
        const char *name;
        bool is_variable;
        double a, b;
    } expected[] = {{"f32", true, 1.5, 0},
                    {"f32b", true, 1.5, 0},
                    {"f64", true, 2.5, 1e300},
                    {"i64", false, (double)INT64_MIN, 5},
                    {"i32", false, INT32_MIN, INT32_MAX},
                    {"i8", false, -128, 127},
                    {"u8", false, 0, 255},
                    {"bool", false, 1, 0},
                    {"f16", true, 1, 0},
                    {"bools", false, 0, 1}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        const kata__value_info *info =
            kata__graph_info(graph, kata_graph_find_value(graph, expected[i].name));
        assert_non_null(info);
        assert_int_equal(info->kind == KATA__VALUE_VARIABLE, expected[i].is_variable);
        const kata_tensor *tensor =
            expected[i].is_variable ? &info->variable->tensor : &info->constant;
        assert_true(kata_load(tensor->dtype, tensor->data, 0) == expected[i].a);
        assert_true(kata_load(tensor->dtype, tensor->data, 1) == expected[i].b);
    }
    const uint16_t *bf16 = kata_graph_find_variable(graph, "bf16")->tensor.data;
    assert_true(bf16[0] == 0x3F80 && bf16[1] == 0xFFFF);
    assert_int_equal(kata_tensor_count(&kata_graph_find_variable(graph, "none")->tensor), 0);
    kata_graph_free(graph);
}

/* Nodes out of order, a value without a name between outputs, IR 3's initialised inputs, unknown
 * fields, the batch without a symbol. */
static void foreign_order(void **state) {
    (void)state;
    craft_begin();
    kata__buffer *g = &graph_bytes;
    kata__proto_put_text(g, 10, "doc string");
    craft_value(g, KATA__GRAPH_OUTPUT, "y", 1, CRAFT_DIMS(-3, 2));
    craft_node(g, "Add", "last", "b,w", "y");
    craft_node(g, "Relu", "", "a", "b");
    craft_node(g, "Neg", "first", "x", "a");
    craft_raw(g, "w", 1, CRAFT_DIMS(2), "\0\0\x80\x3f\0\0\0\x40", 8);
    craft_value(g, KATA__GRAPH_INPUT, "x", 1, CRAFT_DIMS(-3, 2));
    craft_value(g, KATA__GRAPH_INPUT, "w", 1, CRAFT_DIMS(-2, -2));
    kata__proto_put_varint(g, 1000, 5);
    kata__proto_put_float(g, 1001, 5);
    kata_graph *graph = craft_read(3, 13);
    assert_int_equal(kata_graph_n_inputs(graph), 1);
    assert_int_equal(graph->n_nodes, 3);
    assert_string_equal(graph->nodes[0].name, "first");
    assert_string_equal(graph->nodes[2].name, "last");
    assert_string_equal(kata_graph_name(graph), "model");
    kata_shape shape = kata_value_shape(graph, kata_graph_output_at(graph, 0));
    assert_true(kata_shape_equal(&shape, &KATA_SHAPE_OF(kata_graph_size(graph, "N"), 2)));
    kata_graph_free(check_fixed_point(graph));
    kata_graph_free(graph);
}

static void put_constant(kata__buffer *g, const char *output, const void *bytes, size_t n,
                         int64_t count) {
    size_t node = craft_node_open(g, "Constant", "", "", output);
    size_t attribute = kata__proto_begin(g, KATA__NODE_ATTRIBUTE);
    kata__proto_put_text(g, KATA__ATTRIBUTE_NAME, "value");
    size_t tensor = craft_tensor_open(g, KATA__ATTRIBUTE_T, "", 7, 1, &count);
    kata__proto_put_bytes(g, KATA__TENSOR_RAW_DATA, bytes, n);
    kata__proto_end(g, tensor);
    kata__proto_end(g, attribute); /* without a type, as old writers leave it */
    kata__proto_end(g, node);
}

/* Constant nodes are known to shape rules; float initialisers are sorted into weights and others.
 */
static void roles(void **state) {
    (void)state;
    craft_begin();
    kata__buffer *g = &graph_bytes;
    const int64_t shape[] = {0, -1};
    const float four[] = {1, 1, 1, 1};
    craft_value(g, KATA__GRAPH_INPUT, "x", 1, CRAFT_DIMS(-1, 4, 2, 2));
    static const char *const names[] = {"scale", "bias", "mean", "var"};
    for (int i = 0; i < 4; i++) {
        craft_raw(g, names[i], 1, CRAFT_DIMS(4), four, sizeof four);
    }
    craft_raw(g, "low", 1, 0, NULL, four, 4);
    craft_raw(g, "half", 1, 0, NULL, four, 4);
    craft_raw(g, "offset", 1, CRAFT_DIMS(1), four, 4);
    craft_node(g, "BatchNormalization", "bn", "x,scale,bias,mean,var", "n");
    craft_node(g, "Clip", "clip", "n,low,", "c");
    put_constant(g, "shape", shape, sizeof shape, 2);
    craft_node(g, "Reshape", "reshape", "c,shape", "r");
    craft_node(g, "Mul", "", "r,half", "m");
    craft_node(g, "Add", "", "m,offset", "y");
    craft_value(g, KATA__GRAPH_OUTPUT, "y", 1, CRAFT_DIMS(-1, 16));
    kata_graph *graph = craft_read(8, 17);
    assert_int_equal(kata_graph_n_variables(graph), 5);
    assert_true(kata_graph_find_variable(graph, "scale")->trainable);
    assert_true(kata_graph_find_variable(graph, "offset")->trainable);
    assert_false(kata_graph_find_variable(graph, "mean")->trainable);
    assert_false(kata_graph_find_variable(graph, "var")->trainable);
    assert_non_null(kata__graph_constant_of(graph, kata_graph_find_value(graph, "half")));
    assert_non_null(kata__graph_constant_of(graph, kata_graph_find_value(graph, "low")));
    assert_non_null(kata__graph_constant_of(graph, kata_graph_find_value(graph, "shape")));
    kata_graph *read = check_fixed_point(graph);
    assert_int_equal(kata_graph_n_variables(read), 5);
    assert_false(kata_graph_find_variable(read, "mean")->trainable);
    kata_graph_free(read);
    kata_graph_free(graph);
}

/* Attributes of older operator sets that are inputs today. */
static void older_forms(void **state) {
    (void)state;
    craft_begin();
    kata__buffer *g = &graph_bytes;
    craft_value(g, KATA__GRAPH_INPUT, "x", 1, CRAFT_DIMS(-1, 4));
    size_t node = craft_node_open(g, "Clip", "relu6", "x", "c");
    craft_float(g, "min", 0);
    craft_float(g, "max", 6);
    kata__proto_end(g, node);
    node = craft_node_open(g, "Unsqueeze", "", "c", "u");
    craft_ints(g, "axes", (const int64_t[]){1, 3}, 2, true);
    kata__proto_end(g, node);
    node = craft_node_open(g, "ReduceSum", "", "u", "y");
    craft_ints(g, "axes", (const int64_t[]){1}, 1, false);
    kata__proto_end(g, node);
    craft_value(g, KATA__GRAPH_OUTPUT, "y", 1, CRAFT_DIMS(-1, 1, 4, 1));
    kata_graph *graph = craft_read(4, 9);
    kata_shape shape = kata_value_shape(graph, kata_graph_output_at(graph, 0));
    assert_true(kata_shape_equal(&shape, &KATA_SHAPE_OF(kata_graph_size(graph, "N"), 1, 4, 1)));
    const kata_tensor *six =
        kata__graph_constant_of(graph, kata_graph_find_value(graph, "c/kata.max"));
    assert_non_null(six);
    assert_true(*(const float *)six->data == 6);
    kata_graph_free(check_fixed_point(graph));
    kata_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(picture_round_trip),   cmocka_unit_test(names_of_sizes),
        cmocka_unit_test(every_dtype),          cmocka_unit_test(strings_and_halves),
        cmocka_unit_test(graphs_within),        cmocka_unit_test(attributes_and_absent_inputs),
        cmocka_unit_test(imports_and_metadata), cmocka_unit_test(reductions_in_either_form),
        cmocka_unit_test(refused_graphs),       cmocka_unit_test(size_limit),
        cmocka_unit_test(unused_values),        cmocka_unit_test(typed_data),
        cmocka_unit_test(foreign_order),        cmocka_unit_test(roles),
        cmocka_unit_test(older_forms),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
