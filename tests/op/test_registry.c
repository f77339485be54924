/* Registering rows: what is refused, what is copied, and headers of other sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <kata/kata.h>

#include "graph/graph.h"
#include "support/assert_ok.h"
#include "support/counting_allocator.h"

static kata_test_allocator allocator;
static kata_context *context;

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

static kata_status same_infer(kata_infer *infer) {
    infer->outputs[0] = infer->inputs[0];
    return KATA_OK;
}

static kata_status copy_reference(const kata_call *call) {
    return kata_tensor_copy(&call->outputs[0], &call->inputs[0]);
}

static kata_status no_state(const kata_call *call, void **state) {
    (void)call;
    *state = NULL;
    return KATA_OK;
}

static kata_op good_row(void) {
    return (kata_op){.name = "Good",
                     .since = 1,
                     .min_inputs = 1,
                     .max_inputs = 2,
                     .min_outputs = 1,
                     .max_outputs = 1,
                     .infer = same_infer,
                     .reference = copy_reference};
}

static void refused(const kata_op *row, const char *message) {
    kata_status status = kata_op_register(context, row);
    assert_true(status == KATA_INVALID || status == KATA_LIMIT);
    if (strstr(kata_error_message(), message) == NULL) {
        fail_msg("expected \"%s\", got \"%s\"", message, kata_error_message());
    }
    assert_null(kata_op_find(context, "Good"));
}

#define REFUSED(message, ...)                                                                      \
    do {                                                                                           \
        kata_op row = good_row();                                                                  \
        __VA_ARGS__;                                                                               \
        refused(&row, message);                                                                    \
    } while (0)

static void test_members(void **state) {
    (void)state;
    assert_int_equal(kata_op_register(context, NULL), KATA_INVALID);
    REFUSED("needs a name", row.name = NULL);
    REFUSED("needs a name", row.name = "");
    REFUSED("needs a name", row.name = "a:b");
    REFUSED("needs a name", row.name = "a b");
    REFUSED("its domain is", row.domain = "x:y");
    REFUSED("its domain is", row.domain = "ai.onnx");
    REFUSED("since is 0", row.since = 0);
    REFUSED("-1 to 2 inputs", row.min_inputs = -1);
    REFUSED("3 to 2 inputs", row.min_inputs = 3);
    REFUSED("1 to 65 inputs", row.max_inputs = KATA_MAX_INPUTS + 1);
    REFUSED("0 to 1 outputs", row.min_outputs = 0);
    REFUSED("2 to 1 outputs", row.min_outputs = 2);
    REFUSED("1 to 65 outputs", row.max_outputs = KATA_MAX_OUTPUTS + 1);
    REFUSED("no shape rule", row.infer = NULL);
    REFUSED("no reference kernel", row.reference = NULL);
    REFUSED("prepare and free", row.prepare = no_state);
    REFUSED("tolerance is -1", row.tolerance = -1);
    REFUSED("tolerance is", row.tolerance = 0.0 / 0.0);
    REFUSED("flags 0x80000000", row.flags = 0x80000000u);
    REFUSED("exclude each other", row.flags = KATA_OP_VIEW | KATA_OP_UPDATE);
    REFUSED("has an input and one output", row.flags = KATA_OP_VIEW; row.min_inputs = 0);
    REFUSED("has an input and one output", row.flags = KATA_OP_MOVE; row.max_outputs = 2);
    REFUSED("output k of an update is input k", row.flags = KATA_OP_UPDATE; row.max_outputs = 2);
    REFUSED("in_place has a bit", row.in_place = 1 << 2);
    REFUSED("state_inputs has a bit", row.state_inputs = (uint64_t)1 << 40);
    REFUSED("constant_inputs has a bit", row.constant_inputs = 4);
    REFUSED("both in state_inputs and in", row.state_inputs = 2; row.constant_inputs = 3);
    kata_op row = good_row(); /* no domain is ai.onnx's */
    assert_ok(kata_op_register(context, &row));
    assert_string_equal(kata_op_find(context, "Good")->domain, "");
    assert_int_equal(kata_op_register(context, &row), KATA_INVALID);
    assert_non_null(strstr(kata_error_message(), "operator Good exists already"));
    row.name = "Conv";
    assert_int_equal(kata_op_register(context, &row), KATA_INVALID);
}

static void refused_attributes(const kata_attribute_spec *list, const char *message) {
    kata_op row = good_row();
    row.attributes = list;
    refused(&row, message);
}

#define LIST(...) ((const kata_attribute_spec[]){__VA_ARGS__, {0}})
#define INT(text) .name = text, .type = KATA_ATTRIBUTE_INT

static void test_attributes(void **state) {
    (void)state;
    kata_attribute_spec many[202] = {{0}};
    static char names[201][8];
    for (int i = 0; i < 201; i++) {
        snprintf(names[i], sizeof names[i], "a%d", i);
        many[i] = (kata_attribute_spec){INT(names[i])};
    }
    refused_attributes(many, "more than 64 attributes");
    refused_attributes(LIST({.type = KATA_ATTRIBUTE_INT}), "attribute 0 has no name");
    refused_attributes(LIST({INT("")}), "the name of attribute 0");
    refused_attributes(LIST({INT("a b")}), "the name of attribute 0");
    refused_attributes(LIST({INT("a")}, {INT("b")}, {INT("a")}), "the attribute a twice");
    refused_attributes(LIST({.name = "a"}), "of a kind that is not known (0)");
    refused_attributes(LIST({.name = "a", .type = (kata_attribute_type)99}), "not known (99)");
    refused_attributes(LIST({INT("a"), .default_float = 1}), "a default of another kind");
    refused_attributes(LIST({INT("a"), .default_string = "x"}), "a default of another kind");
    refused_attributes(LIST({.name = "a", .type = KATA_ATTRIBUTE_TENSOR, .default_int = 1}),
                       "a default of another kind");
    refused_attributes(LIST({.name = "a", .type = KATA_ATTRIBUTE_FLOAT, .default_float = 1e300}),
                       "no float32 number");
    refused_attributes(LIST({INT("a"), .required = true, .default_int = 1}),
                       "required and has a default");
    many[64] = (kata_attribute_spec){0}; /* as many as fit, and a node with all of them */
    kata_op row = good_row();
    row.attributes = many;
    assert_ok(kata_op_register(context, &row));
    kata_graph *graph, *bound;
    kata_attribute given[64];
    for (int i = 0; i < 64; i++) {
        given[i] = (kata_attribute)KATA_INT(names[i], i + 1);
    }
    assert_ok(kata_graph_new(&graph, context, "many"));
    kata_value x = kata_graph_input(graph, "x", KATA_F32, &KATA_SHAPE_OF(KATA_UNKNOWN_DIM));
    kata_graph_output(graph, "y", kata_graph_node(graph, "Good", KATA_INPUTS(x), given, 64));
    assert_ok(kata_graph_status(graph));
    assert_ok(kata_graph_bind(&bound, graph, KATA_SIZES({"N", 3}), true));
    kata_graph *fast;
    assert_ok(kata_graph_optimize(&fast, bound));
    assert_int_equal(fast->nodes[0].attributes[63].i, 64);
    kata_graph_free(fast);
    kata_graph_free(bound);
    kata_graph_free(graph);
}

static void refused_change(kata_op_change change) {
    kata_op row = good_row();
    const kata_op_change list[] = {change, {0}};
    row.attributes = LIST({INT("here")}, {.name = "list", .type = KATA_ATTRIBUTE_INTS});
    row.changes = list;
    refused(&row, "change 0");
}

static void test_changes(void **state) {
    (void)state;
    refused_change((kata_op_change){KATA_ATTRIBUTE_ADDED, 9, "gone", 0});
    refused_change((kata_op_change){KATA_ATTRIBUTE_ADDED, 1, "here", 0});
    refused_change((kata_op_change){KATA_ATTRIBUTE_ADDED, 9, NULL, 0});
    refused_change((kata_op_change){KATA_ATTRIBUTE_IGNORED, 0, "here", 0});
    refused_change((kata_op_change){KATA_ATTRIBUTE_TO_INPUT, 9, "axes", 2});
    refused_change((kata_op_change){KATA_ATTRIBUTE_TO_INPUT, 9, "axes", -1});
    refused_change((kata_op_change){KATA_ATTRIBUTE_TO_INPUT, 9, "here", 1}); /* no list */
    refused_change((kata_op_change){KATA_INPUT_ADDED, 9, NULL, 0});
    refused_change((kata_op_change){KATA_OUTPUTS_COUNTED, 9, "gone", 1});
    refused_change((kata_op_change){(kata_change_kind)77, 9, "here", 1});
    kata_op row = good_row();
    const kata_op_change fits[] = {{KATA_ATTRIBUTE_TO_INPUT, 9, "list", 1},
                                   {KATA_ATTRIBUTE_ADDED, 9, "here", 0},
                                   {KATA_ATTRIBUTE_IGNORED, 0, "gone", 0},
                                   {KATA_INPUT_ADDED, 9, NULL, 1},
                                   {0}};
    row.attributes = LIST({INT("here")}, {.name = "list", .type = KATA_ATTRIBUTE_INTS});
    row.changes = fits;
    assert_ok(kata_op_register(context, &row));
}

/* The row, its lists and its texts may go. */
static void test_copied(void **state) {
    (void)state;
    char name[] = "Good", attribute[] = "alpha", word[] = "left", old[] = "beta", doc[] = "Text.";
    kata_attribute_spec list[] = {
        {.name = attribute, .type = KATA_ATTRIBUTE_STRING, .default_string = word, .doc = doc},
        {0}};
    kata_op_change changes[] = {{KATA_ATTRIBUTE_IGNORED, 0, old, 0}, {0}};
    kata_op row = good_row();
    row.name = name;
    row.doc = doc;
    row.attributes = list;
    row.changes = changes;
    assert_ok(kata_op_register(context, &row));
    memset(name, 'x', 4);
    memset(attribute, 'x', 5);
    memset(word, 'x', 4);
    memset(old, 'x', 4);
    memset(doc, 'x', 5);
    memset(list, 0, sizeof list);
    memset(changes, 0, sizeof changes);
    memset(&row, 0, sizeof row);
    const kata_op *kept = kata_op_find(context, "Good");
    assert_non_null(kept);
    assert_string_equal(kept->doc, "Text.");
    assert_string_equal(kept->attributes[0].name, "alpha");
    assert_string_equal(kept->attributes[0].default_string, "left");
    assert_null(kept->attributes[1].name);
    assert_string_equal(kept->changes[0].attribute, "beta");
    assert_int_equal(kept->changes[1].kind, KATA_CHANGE_END);
}

/* A program that was compiled with an older header, or with a newer one. */
static void test_sizes(void **state) {
    (void)state;
    const size_t spec = sizeof(kata_attribute_spec), change = sizeof(kata_op_change);
    const size_t oldest = offsetof(kata_op, doc) + sizeof(const char *);
    struct {
        kata_op row;
        void *later;
    } newer = {.row = good_row()};
    kata_op row = good_row();
    row.name = "Older";
    row.domain = "test";
    row.constant_inputs = 2; /* what lies behind an older row is not the row's */
    assert_ok(kata_op_register_sized(context, &row, oldest, spec, change));
    assert_int_equal(kata_op_find(context, "test:Older")->constant_inputs, 0);
    assert_int_equal(kata_op_register_sized(context, &row, oldest - 1, spec, change), KATA_INVALID);
    assert_ok(kata_op_register_sized(context, &newer.row, sizeof newer, spec, change));
    newer.row.name = "Newer";
    newer.later = &newer;
    assert_int_equal(kata_op_register_sized(context, &newer.row, sizeof newer, spec, change),
                     KATA_UNSUPPORTED);
    assert_non_null(strstr(kata_error_message(), "newer libkata"));

    struct {
        kata_attribute_spec spec;
        void *later;
    } list[3] = {{.spec = {INT("first")}}, {.spec = {INT("second")}}};
    row.name = "Wide";
    row.attributes = &list[0].spec;
    assert_ok(kata_op_register_sized(context, &row, sizeof row, sizeof list[0], change));
    assert_string_equal(kata_op_find(context, "test:Wide")->attributes[1].name, "second");
    list[1].later = list;
    row.name = "Wider";
    assert_int_equal(kata_op_register_sized(context, &row, sizeof row, sizeof list[0], change),
                     KATA_UNSUPPORTED);
}

static void test_out_of_memory(void **state) {
    (void)state;
    kata_op row = good_row();
    for (int64_t n = 1; n <= 2; n++) {
        kata_test_allocator_reset(&allocator, n);
        assert_int_equal(kata_op_register(context, &row), KATA_OUT_OF_MEMORY);
        assert_null(kata_op_find(context, "Good"));
    }
    kata_test_allocator_reset(&allocator, 0);
    assert_ok(kata_op_register(context, &row));
}

static void test_own_table(void **state) {
    (void)state;
    for (int i = 0; i < kata_op_count(); i++) {
        assert_ok(kata__op_check(kata_op_at(i)));
    }
}

/* --- state that is made once for a plan ------------------------------------------------------- */

typedef struct witness {
    int made, chosen, called, freed;
    bool fails, saw_constant, saw_input, saw_variable;
} witness;
static witness seen;

/* y = x + the sum of a table (input 1), which is added up once. */
static kata_status sum_prepare(const kata_call *call, void **state) {
    static double sum;
    seen.saw_input = seen.saw_input || call->inputs[0].data != NULL;
    if (seen.fails) {
        return kata_fail(KATA_INVALID, "no table today");
    }
    if (call->inputs[1].data == NULL) {
        return KATA_OK;
    }
    seen.made++;
    sum = 0;
    for (int64_t i = 0; i < kata_tensor_count(&call->inputs[1]); i++) {
        sum += kata_load(call->inputs[1].dtype, call->inputs[1].data, i);
    }
    *state = &sum;
    return KATA_OK;
}

static void sum_free(kata_context *of, void *sum) {
    assert_ptr_equal(of, context);
    assert_non_null(sum);
    seen.freed++;
}

static kata_status sum_reference(const kata_call *call) {
    double sum = call->state != NULL ? *(const double *)call->state : -1000;
    seen.called += call->state != NULL;
    for (int64_t i = 0; i < kata_tensor_count(&call->outputs[0]); i++) {
        kata_store(call->outputs[0].dtype, call->outputs[0].data, i,
                   sum + kata_load(call->inputs[0].dtype, call->inputs[0].data, i));
    }
    return KATA_OK;
}

static kata_kernel sum_choose(const kata_call *call) {
    seen.chosen += call->state != NULL;
    return NULL;
}

static void register_sum(void) {
    kata_op row = good_row();
    row.min_inputs = 2;
    row.reference = sum_reference;
    row.choose = sum_choose;
    row.prepare = sum_prepare;
    row.free = sum_free;
    assert_ok(kata_op_register(context, &row));
    seen = (witness){0};
}

static kata_graph *sum_graph(bool x_is_constant, bool table_is_variable) {
    kata_graph *graph;
    float numbers[3] = {1, 2, 4};
    kata_tensor table = kata_tensor_view(numbers, KATA_F32, &KATA_SHAPE_OF(3));
    assert_ok(kata_graph_new(&graph, context, "sum"));
    kata_value x = x_is_constant ? kata_graph_constant(graph, "x", &table)
                                 : kata_graph_input(graph, "x", KATA_F32, &KATA_SHAPE_OF(3));
    kata_value t = table_is_variable
                       ? kata_graph_variable(graph, "t", KATA_F32, &KATA_SHAPE_OF(3), true, NULL)
                       : kata_graph_constant(graph, "t", &table);
    kata_graph_output(graph, "y", KATA_NODE(graph, "Good", KATA_INPUTS(x, t)));
    assert_ok(kata_graph_status(graph));
    return graph;
}

static void test_prepared_once(void **state) {
    (void)state;
    kata_session *session;
    register_sum();
    kata_graph *graph = sum_graph(false, false);
    assert_ok(kata_session_new(&session, graph, NULL));
    assert_int_equal(seen.made, 1);
    assert_int_equal(seen.chosen, 1);
    assert_false(seen.saw_input);
    for (int run = 0; run < 3; run++) {
        ((float *)kata_session_input(session, 0).data)[1] = (float)run;
        assert_ok(kata_session_run(session, 0, 0));
        assert_true(((float *)kata_session_output(session, 0).data)[1] == (float)run + 7);
    }
    assert_int_equal(seen.made, 1);
    assert_int_equal(seen.called, 3);
    assert_int_equal(seen.freed, 0);
    kata_session_free(session);
    assert_int_equal(seen.freed, 1);
    kata_graph_free(graph);
}

/* Weights change between runs: prepare must not read them. */
static void test_not_of_variables(void **state) {
    (void)state;
    kata_session *session;
    register_sum();
    kata_graph *graph = sum_graph(false, true);
    assert_ok(kata_session_new(&session, graph, NULL));
    assert_ok(kata_session_run(session, 0, 0));
    assert_true(((float *)kata_session_output(session, 0).data)[0] == -1000);
    assert_int_equal(seen.made, 0);
    kata_session_free(session);
    assert_int_equal(seen.freed, 0);
    kata_graph_free(graph);
}

static void test_folded(void **state) {
    (void)state;
    register_sum();
    kata_graph *graph = sum_graph(true, false);
    assert_ok(kata_graph_simplify(graph));
    const kata_tensor *y = kata__graph_constant_of(graph, kata_graph_output_at(graph, 0));
    assert_non_null(y);
    assert_true(((const float *)y->data)[2] == 11);
    assert_int_equal(seen.made, 1);
    assert_int_equal(seen.freed, 1);
    kata_graph_free(graph);
}

static void test_prepare_fails(void **state) {
    (void)state;
    kata_session *session = NULL;
    register_sum();
    seen.fails = true;
    kata_graph *graph = sum_graph(false, false);
    assert_int_equal(kata_session_new(&session, graph, NULL), KATA_INVALID);
    assert_non_null(strstr(kata_error_message(), "no table today"));
    assert_int_equal(seen.freed, 0);
    kata_graph_free(graph);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_members),   TEST(test_attributes),    TEST(test_changes),
        TEST(test_copied),    TEST(test_sizes),         TEST(test_out_of_memory),
        TEST(test_own_table), TEST(test_prepared_once), TEST(test_not_of_variables),
        TEST(test_folded),    TEST(test_prepare_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
