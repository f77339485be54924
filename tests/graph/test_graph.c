/* The builder, names, attributes and the copier, with no operators but those of the tests. */
#include "graph/rows.h"

#include "support/counting_allocator.h"

/* --- builder ---------------------------------------------------------------------------------- */

static void test_sticky_fault(void **state) {
    (void)state;
    kata_graph *g = new_graph();
    kata_value x = input_of(g, "x", KATA_SHAPE_OF(2));
    kata_value none = KATA_NODE(g, "Rleu", KATA_INPUTS(x));
    assert_int_equal(none.id, 0);
    const size_t n_nodes = g->n_nodes, n_values = g->n_values;
    assert_int_equal(KATA_NODE(g, "Relu", KATA_INPUTS(none)).id, 0);
    assert_int_equal(input_of(g, "late", KATA_SHAPE_OF(2)).id, 0);
    assert_int_equal(kata_graph_output(g, "y", x), KATA_NOT_FOUND);
    kata_graph *body = NULL;
    assert_int_equal(kata_graph_subgraph(&body, g, "body"), KATA_NOT_FOUND);
    assert_null(body);
    assert_int_equal(g->n_nodes, n_nodes);
    assert_int_equal(g->n_values, n_values);
    assert_fault(g, KATA_NOT_FOUND, "there is no operator Rleu");
    kata__copier copier = {.from = g};
    assert_int_equal(kata__copy_graph(&copier), KATA_NOT_FOUND);
    assert_null(copier.to);
    kata_graph_free(g);
}

static void test_names(void **state) {
    (void)state;
    kata_graph *g = new_graph();
    kata_value x = input_of(g, "Relu_2", KATA_SHAPE_OF(2)); /* what the next one would be called */
    kata_value a = KATA_NODE(g, "Relu", KATA_INPUTS(x));
    assert_string_not_equal(kata_value_name(g, a), "Relu_2");
    assert_int_equal(kata_graph_find_value(g, kata_value_name(g, a)).id, a.id);
    /* a made-up name gives way to an output's; a user's stays, and an Identity has the new one */
    assert_ok(kata_graph_output(g, "y", a));
    assert_string_equal(kata_value_name(g, a), "y");
    assert_ok(kata_graph_output(g, "z", a));
    assert_int_equal(g->n_nodes, 2);
    assert_string_equal(g->nodes[1].op->name, "Identity");
    assert_int_equal(kata_graph_find_value(g, "Relu_9").id, 0);
    assert_int_equal(kata_graph_output(g, "Relu_2", a), KATA_INVALID);
    assert_fault(g, KATA_INVALID, "the name Relu_2 is taken");
    kata_graph_free(g);
    g = new_graph();
    kata_graph_set_scope(g, "layer");
    x = input_of(g, "x", KATA_SHAPE_OF(2));
    KATA_NODE(g, "Relu", KATA_INPUTS(x));
    assert_string_equal(g->nodes[0].name, "layer/Relu");
    kata_graph_free(g);
}

static void test_variables(void **state) {
    (void)state;
    kata_graph *g = new_graph(), *user = new_graph();
    kata_variable *v = NULL;
    kata_value w = kata_graph_variable(g, "w", KATA_F32, &KATA_SHAPE_OF(3, 4), true, &v);
    assert_int_equal(kata_graph_use_variable(g, v).id, w.id);
    kata_value there = kata_graph_use_variable(user, v);
    assert_int_equal(kata_graph_use_variable(user, v).id, there.id);
    assert_int_equal(kata_graph_n_variables(user), 1);
    assert_int_equal(kata_graph_n_parameters(user), 12);
    kata_graph_free(user); /* it does not own it */
    const uint64_t version = v->version;
    kata_variable_changed(v);
    assert_int_equal(v->version, version + 1);
    assert_true(v->decay);
    kata_graph_free(g);
}

/* --- attributes ------------------------------------------------------------------------------- */

static const kata_attribute_value *attribute(const kata__node *node, const char *name) {
    return &node->attributes[kata__op_attribute(node->op, name)];
}

/* Numbers are float32 in a file, so they are rounded before anything is computed with them. */
static void check_label(const kata__node *node) {
    assert_true(attribute(node, "scale")->f == (double)0.3f);
    assert_int_equal(attribute(node, "steps")->n, 2);
    assert_true(attribute(node, "steps")->floats[1] == (double)0.7f);
    assert_int_equal(attribute(node, "axes")->ints[2], -5);
    assert_int_equal(attribute(node, "classes")->n, 2);
    assert_string_equal(attribute(node, "classes")->strings[0], "cat");
    assert_string_equal(attribute(node, "classes")->strings[1], "dog, \"big\"");
    assert_string_equal(attribute(node, "mode")->s, "plain");
    assert_false(attribute(node, "mode")->is_set);
    assert_int_equal(attribute(node, "count")->i, 7);
    assert_int_equal(((const int64_t *)attribute(node, "table")->tensor->data)[1], 12);
}

static void test_attributes(void **state) {
    (void)state;
    kata_graph *g = new_graph();
    kata_value x = input_of(g, "x", KATA_SHAPE_OF(2));
    char first[] = "cat";
    const char *classes[] = {first, "dog, \"big\""};
    int64_t axes[] = {1, 2, -5}, numbers[] = {11, 12};
    double steps[] = {0.5, 0.7};
    kata_tensor table = kata_tensor_view(numbers, KATA_I64, &KATA_SHAPE_OF(2));
    const kata_attribute given[] = {
        KATA_STRINGS_OF("classes", classes, 2),
        KATA_FLOAT("scale", 0.3),
        KATA_INTS_OF("axes", axes, 3),
        {.name = "steps", .type = KATA_ATTRIBUTE_FLOATS, .floats = steps, .n = 2},
        {.name = "table", .type = KATA_ATTRIBUTE_TENSOR, .tensor = &table}};
    kata_graph_output(g, "y", kata_graph_node(g, "Label", KATA_INPUTS(x), given, 5));
    KATA_NODE(g, "Label", KATA_INPUTS(x));
    assert_true(attribute(&g->nodes[1], "scale")->f == (double)0.1f); /* the default too */
    first[0] = 'X';                                                   /* all is copied */
    axes[2] = 0;
    steps[1] = 0;
    numbers[1] = 0;
    check_label(&g->nodes[0]);
    kata_graph *copy = copy_of(g);
    static const char line[] = "y float32(2,) = Label(x) classes=\"cat\",\"dog, \\\"big\\\"\" "
                               "scale=0.3 axes=1,2,-5 steps=0.5,0.7 table=(tensor)\n";
    char *text = NULL;
    assert_ok(kata_graph_text(&text, copy));
    if (strstr(text, line) == NULL) {
        fail_msg("%s has no line %s", text, line);
    }
    kata_text_free(kata_context_default(), text);
    kata_graph_free(g);
    check_label(&copy->nodes[0]);
    kata_graph_free(copy);
    g = new_graph();
    x = input_of(g, "x", KATA_SHAPE_OF(2));
    KATA_NODE_WITH(g, "Label", KATA_INPUTS(x), KATA_STRING("classes", "cat"));
    assert_fault(g, KATA_INVALID, "classes of operator Label must be a list of texts, got a text");
    kata_graph_free(g);
}

/* --- copier ----------------------------------------------------------------------------------- */

static kata_graph *build(void) {
    kata_graph *g = new_graph();
    kata_value x = input_of(g, "x", KATA_SHAPE_OF(KATA_UNKNOWN_DIM));
    kata_graph_variable(g, "nobody reads it", KATA_F32, &KATA_SHAPE_OF(2), true, NULL);
    kata_value w = kata_graph_variable(g, "w", KATA_F32, &KATA_SHAPE_OF(2), true, NULL);
    kata_value c = kata_graph_scalar(g, KATA_F32, 3);
    kata_graph_scalar(g, KATA_F32, 4);
    kata_value a = KATA_NODE(g, "Relu", KATA_INPUTS(w, c)),
               b = KATA_NODE(g, "Noise", KATA_INPUTS(x));
    KATA_NODE(g, "Relu", KATA_INPUTS(b));
    g->nodes[2].removed = true;
    kata_value last = KATA_NODE(g, "Noise", KATA_INPUTS(b));
    kata_graph_output(g, "a", a);
    kata_graph_output(g, "last", last);
    g->prepares = true;
    return g;
}

static void test_copy(void **state) {
    (void)state;
    kata_graph *g = build(), *copy = copy_of(g);
    /* what is removed or read by nobody stays behind; streams, sizes and flags come along */
    assert_int_equal(copy->n_nodes, 3);
    assert_int_equal(kata_graph_n_variables(copy), 1);
    assert_ptr_equal(kata_graph_variable_at(copy, 0), kata_graph_find_variable(g, "w"));
    assert_int_equal(copy->nodes[1].stream, g->nodes[1].stream);
    assert_int_equal(copy->nodes[2].stream, g->nodes[3].stream);
    assert_true(copy->prepares);
    assert_string_equal(kata_graph_size_at(copy, 0), "N");
    size_t n_constants = 0;
    for (size_t i = 1; i < copy->n_values; i++) {
        n_constants += copy->values[i].kind == KATA__VALUE_CONSTANT;
    }
    assert_int_equal(n_constants, 1);
    kata_value c = copy->nodes[0].inputs[1];
    assert_string_equal(kata_value_name(copy, c), kata_value_name(g, g->nodes[0].inputs[1]));
    assert_true(((const float *)kata__graph_constant_of(copy, c)->data)[0] == 3);
    kata_graph_free(copy);
    kata_graph_free(g);
}

/* A pass that leaves out the first Noise until somebody asks for it, and doubles Relu. */
typedef struct lazy {
    kata__copier copy;
    int n_made;
} lazy;

static kata_status lazy_node(kata__copier *copier, size_t i) {
    const kata__node *node = &copier->from->nodes[i];
    if (i == 1) {
        return KATA_OK;
    }
    if (strcmp(node->op->name, "Relu") == 0) {
        kata_value inputs[2], once;
        KATA__TRY(kata__copy_value(copier, node->inputs[0], &inputs[0]));
        KATA__TRY(kata__copy_value(copier, node->inputs[1], &inputs[1]));
        KATA__TRY(kata__copy_node_on(copier, node, "again", inputs, &once));
        KATA__TRY(kata__copy_name(copier, node->outputs[0], once, "again"));
    }
    return kata__copy_node(copier, i);
}

static kata_status lazy_make(kata__copier *copier, kata_value old) {
    ((lazy *)copier)->n_made++;
    return kata__copy_node(copier, (size_t)copier->from->values[old.id].node);
}

static kata_status refuse(kata__copier *copier, size_t i) {
    (void)copier;
    return kata_fail(KATA_UNSUPPORTED, "node %zu is refused", i);
}

static void test_copy_with_a_visitor(void **state) {
    (void)state;
    kata_graph *g = build();
    lazy l = {.copy = {.from = g, .node = lazy_node, .make = lazy_make}};
    assert_ok(kata__copy_graph(&l.copy));
    assert_int_equal(l.n_made, 1);
    assert_int_equal(l.copy.to->n_nodes, 4);
    assert_string_equal(l.copy.to->nodes[0].name, "again");
    assert_int_not_equal(kata_graph_find_value(l.copy.to, "a/again").id, 0);
    assert_string_equal(kata_value_name(l.copy.to, kata_graph_output_at(l.copy.to, 1)), "last");
    kata_graph_free(l.copy.to);
    kata__copier copier = {.from = g, .node = refuse};
    assert_int_equal(kata__copy_graph(&copier), KATA_UNSUPPORTED);
    assert_null(copier.to);
    assert_null(copier.map);
    kata_graph_free(g);
}

/* --- memory ----------------------------------------------------------------------------------- */

static kata_status build_within(kata_context *context, kata_graph **out) {
    kata_graph *g = NULL, *body = NULL, *inner = NULL;
    KATA__TRY(kata_graph_new(&g, context, "test"));
    *out = g;
    kata_value x = kata_graph_input(g, NULL, KATA_F32, &KATA_SHAPE_OF(KATA_UNKNOWN_DIM, 4));
    KATA__TRY(kata_graph_subgraph(&body, g, "body"));
    kata_value i = kata_graph_capture(body, x);
    KATA__TRY(kata_graph_subgraph(&inner, body, "inner"));
    kata_graph_output(inner, "o",
                      KATA_NODE(inner, "Relu", KATA_INPUTS(kata_graph_capture(inner, i))));
    kata_graph_output(body, "p",
                      KATA_NODE_WITH(body, "Repeat", KATA_INPUTS(i), KATA_GRAPH("body", inner)));
    kata_graph_output(g, "y",
                      KATA_NODE_WITH(g, "Repeat", KATA_INPUTS(x), KATA_GRAPH("body", body)));
    KATA__TRY(kata_graph_status(g));
    kata__copier copier = {.from = g};
    KATA__TRY(kata__copy_graph(&copier));
    kata_graph_free(copier.to);
    return KATA_OK;
}

/* Each allocation fails once: the status says so, and nothing is lost. */
static void test_short_memory(void **state) {
    (void)state;
    kata_test_allocator allocator;
    kata_test_allocator_init(&allocator);
    kata_context *context = kata_test_context(&allocator, 1);
    assert_non_null(context);
    const int64_t live = atomic_load(&allocator.n_live);
    bool failed = true;
    for (int64_t at = 1; failed; at++) {
        kata_graph *g = NULL;
        kata_test_allocator_reset(&allocator, at);
        kata_status status = build_within(context, &g);
        failed = atomic_load(&allocator.n_calls) >= at;
        kata_test_allocator_reset(&allocator, 0);
        assert_int_equal(status, failed ? KATA_OUT_OF_MEMORY : KATA_OK);
        kata_graph_free(g);
        assert_int_equal(atomic_load(&allocator.n_live), live);
    }
    kata_context_free(context);
}

static void test_dot(void **state) {
    (void)state;
    kata_graph *g = new_graph();
    kata_value x = input_of(g, "a \"quoted\" name", KATA_SHAPE_OF(KATA_UNKNOWN_DIM, 2));
    kata_graph_output(g, "y", KATA_NODE(g, "Relu", KATA_INPUTS(x)));
    char *text = NULL;
    assert_ok(kata_graph_dot(&text, g));
    assert_non_null(strstr(text, "label=\"a \\\"quoted\\\" name\\n(N,2)\""));
    assert_non_null(strstr(text, "v1 -> n0;"));
    assert_non_null(strstr(text, "n0 -> o0;"));
    kata_text_free(kata_context_default(), text);
    kata_graph_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sticky_fault), cmocka_unit_test(test_names),
        cmocka_unit_test(test_variables),    cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_copy),         cmocka_unit_test(test_copy_with_a_visitor),
        cmocka_unit_test(test_short_memory), cmocka_unit_test(test_dot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
