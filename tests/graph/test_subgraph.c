/* Graphs within graphs: what they capture, whose they are, their text, their copies, and what is
 * refused. */
#include "graph/rows.h"

static const char two_branches[] =
    "graph test\n"
    "  input    x float32(2,3)\n"
    "  variable w float32(2,3)\n"
    "  y float32(2,3) = Branch(x) then_branch=then else_branch=else\n"
    "    then_branch: graph then\n"
    "      capture  x float32(2,3)\n"
    "      capture  w float32(2,3)\n"
    "      a float32(2,3) = Add(x, w)\n"
    "      output   a float32(2,3)\n"
    "    else_branch: graph else\n"
    "      capture  w float32(2,3)\n"
    "      else/Relu_2 float32(2,3) = Relu(w)\n"
    "      output   else/Relu_2 float32(2,3)\n"
    "  output   y float32(2,3)\n";

static kata_graph *build_two_branches(void) {
    kata_graph *g = new_graph();
    kata_value x = input_of(g, "x", KATA_SHAPE_OF(2, 3));
    kata_value w = kata_graph_variable(g, "w", KATA_F32, &KATA_SHAPE_OF(2, 3), true, NULL);
    kata_graph *then = new_subgraph(g, "then"), *otherwise = new_subgraph(g, "else");
    kata_value inside[2] = {kata_graph_capture(then, x), kata_graph_capture(then, w)};
    assert_int_equal(kata_graph_capture(then, x).id, inside[0].id);
    kata_graph_output(then, "a", KATA_NODE(then, "Add", KATA_INPUTS(inside[0], inside[1])));
    kata_value other = kata_graph_capture(otherwise, w);
    kata_graph_output(otherwise, NULL, KATA_NODE(otherwise, "Relu", KATA_INPUTS(other)));
    kata_value y = KATA_NODE_WITH(g, "Branch", KATA_INPUTS(x), KATA_GRAPH("then_branch", then),
                                  KATA_GRAPH("else_branch", otherwise));
    assert_ok(kata_graph_output(g, "y", y));
    return g;
}

/* The node lists what its subgraphs read, once, behind its own inputs. */
static void assert_two_branches(const kata_graph *g) {
    assert_text(g, two_branches);
    const kata__node *node = &g->nodes[g->n_nodes - 1];
    assert_int_equal(node->n_inputs, 3);
    assert_int_equal(node->n_captured, 2);
    assert_string_equal(kata_value_name(g, node->inputs[1]), "x");
    assert_string_equal(kata_value_name(g, node->inputs[2]), "w");
    const kata_graph *then = node->attributes[0].graph, *otherwise = node->attributes[1].graph;
    kata_value inside;
    assert_int_equal(kata_graph_n_captures(then), 2);
    assert_int_equal(kata_graph_capture_at(then, 1, &inside), 2);
    assert_string_equal(kata_value_name(then, inside), "w");
    assert_int_equal(kata_graph_n_captures(otherwise), 1);
    assert_int_equal(kata_graph_capture_at(otherwise, 0, &inside), 2);
    assert_int_equal(kata_graph_capture_at(otherwise, 1, &inside), -1);
    assert_int_equal(inside.id, 0);
}

static void test_two_branches(void **state) {
    (void)state;
    kata_graph *g = build_two_branches();
    assert_two_branches(g);
    kata_graph *copy = copy_of(g);
    assert_ptr_not_equal(g->nodes[0].attributes[0].graph, copy->nodes[0].attributes[0].graph);
    kata_graph_free(g); /* the copy has its own; only w was the other's */
    const kata__node *node = &copy->nodes[0];
    assert_int_equal(node->n_captured, 2);
    kata_graph_free(copy);
    g = build_two_branches();
    copy = copy_of(g);
    assert_two_branches(copy);
    kata_graph_free(copy);
    kata_graph_free(g);
}

/* Two levels; what the inner one reads of the outermost goes through the one between. */
static void test_nested(void **state) {
    (void)state;
    kata_graph *g = new_graph();
    kata_value x = input_of(g, "x", KATA_SHAPE_OF(4));
    kata_graph *body = new_subgraph(g, "body");
    kata_value i = input_of(body, "i", KATA_SHAPE_OF(4));
    kata_value between = kata_graph_capture(body, x);
    kata_graph *inner = new_subgraph(body, "inner");
    kata_value deep = kata_graph_capture(inner, between), j = kata_graph_capture(inner, i);
    kata_graph_output(inner, "o", KATA_NODE(inner, "Add", KATA_INPUTS(deep, j)));
    kata_value r = KATA_NODE_WITH(body, "Repeat", KATA_INPUTS(i), KATA_GRAPH("body", inner));
    kata_graph_output(body, "r", r);
    kata_value y = KATA_NODE_WITH(g, "Repeat", KATA_INPUTS(x), KATA_GRAPH("body", body));
    assert_ok(kata_graph_output(g, "y", y));
    static const char text[] = "graph test\n"
                               "  input    x float32(4,)\n"
                               "  y float32(4,) = Repeat(x) body=body\n"
                               "    body: graph body\n"
                               "      input    i float32(4,)\n"
                               "      capture  x float32(4,)\n"
                               "      r float32(4,) = Repeat(i) body=inner\n"
                               "        body: graph inner\n"
                               "          capture  x float32(4,)\n"
                               "          capture  i float32(4,)\n"
                               "          o float32(4,) = Add(x, i)\n"
                               "          output   o float32(4,)\n"
                               "      output   r float32(4,)\n"
                               "  output   y float32(4,)\n";
    assert_text(g, text);
    kata_graph *copy = copy_of(g);
    assert_text(copy, text);
    kata_graph_free(copy);
    kata_graph_free(g);
}

/* A pass may give a node other inputs: what its subgraphs capture follows. */
static void test_captures_follow_the_node(void **state) {
    (void)state;
    kata_graph *g = build_two_branches();
    const float two = 2;
    const kata_tensor view =
        kata_tensor_view((void *)(uintptr_t)&two, KATA_F32, &(kata_shape){.rank = 0});
    kata_value c = kata_graph_constant(g, "c", &view);
    const kata_graph *then = g->nodes[0].attributes[0].graph;
    kata_value w = kata_graph_find_value(then, "w");
    assert_null(kata__graph_constant_of(then, w));
    g->nodes[0].inputs[2] = c;
    assert_non_null(kata__graph_constant_of(then, w));
    assert_int_equal(*(const float *)kata__graph_constant_of(then, w)->data, 2);
    kata_graph_free(g);
}

/* The body's input takes the type that the node's has in the copy. */
static kata_status make_longer(kata__copier *copier, kata_value old, kata_type *type) {
    (void)copier;
    (void)old;
    type->shape.dim[0] = 9;
    return KATA_OK;
}

static void test_types_of_a_body(void **state) {
    (void)state;
    kata_graph *g = new_graph();
    kata_value x = input_of(g, "x", KATA_SHAPE_OF(4));
    kata_graph *body = new_subgraph(g, "body");
    kata_value i = input_of(body, "i", KATA_SHAPE_OF(4));
    kata_graph_output(body, "o",
                      KATA_NODE(body, "Add", KATA_INPUTS(i, kata_graph_capture(body, x))));
    kata_value y = KATA_NODE_WITH(g, "Repeat", KATA_INPUTS(x), KATA_GRAPH("body", body));
    assert_ok(kata_graph_output(g, "y", y));
    kata__copier copier = {.from = g, .input = make_longer};
    assert_ok(kata__copy_graph(&copier));
    assert_text(copier.to, "graph test\n"
                           "  input    x float32(9,)\n"
                           "  y float32(9,) = Repeat(x) body=body\n"
                           "    body: graph body\n"
                           "      input    i float32(9,)\n"
                           "      capture  x float32(9,)\n"
                           "      o float32(9,) = Add(i, x)\n"
                           "      output   o float32(9,)\n"
                           "  output   y float32(9,)\n");
    kata_graph_free(copier.to);
    kata_graph_free(g);
}

/* Random nodes draw from streams of their own, wherever they stand, and keep them in copies. */
static void test_streams(void **state) {
    (void)state;
    kata_graph *g = new_graph();
    kata_value x = input_of(g, "x", KATA_SHAPE_OF(4));
    kata_value first = KATA_NODE(g, "Noise", KATA_INPUTS(x));
    kata_graph *body = new_subgraph(g, "body");
    kata_value inside = kata_graph_capture(body, first);
    kata_graph_output(body, "o", KATA_NODE(body, "Noise", KATA_INPUTS(inside)));
    kata_value y = KATA_NODE_WITH(g, "Repeat", KATA_INPUTS(x), KATA_GRAPH("body", body));
    assert_ok(kata_graph_output(g, "y", KATA_NODE(g, "Noise", KATA_INPUTS(y))));
    const uint32_t outer[2] = {g->nodes[0].stream, g->nodes[2].stream};
    const uint32_t within = g->nodes[1].attributes[0].graph->nodes[0].stream;
    assert_int_not_equal(outer[0], outer[1]);
    assert_int_not_equal(outer[0], within);
    assert_int_not_equal(outer[1], within);
    kata_graph *copy = copy_of(g);
    assert_int_equal(copy->nodes[0].stream, outer[0]);
    assert_int_equal(copy->nodes[2].stream, outer[1]);
    assert_int_equal(copy->nodes[1].attributes[0].graph->nodes[0].stream, within);
    kata_graph_free(copy);
    kata_graph_free(g);
}

/* --- what is refused -------------------------------------------------------------------------- */

static kata_value repeat(kata_graph *g, kata_value x, kata_graph *body) {
    return KATA_NODE_WITH(g, "Repeat", KATA_INPUTS(x), KATA_GRAPH("body", body));
}

static void test_faults_within(void **state) {
    (void)state;
    kata_graph *g = new_graph();
    kata_value x = input_of(g, "x", KATA_SHAPE_OF(4));
    kata_graph *body = new_subgraph(g, "body");
    KATA_NODE(body, "Rleu", KATA_INPUTS(kata_graph_capture(body, x)));
    assert_ok(kata_graph_status(g)); /* until a node takes it */
    repeat(g, x, body);
    assert_fault(g, KATA_NOT_FOUND, "there is no operator Rleu");
    kata_graph_free(g);

    g = new_graph();
    body = new_subgraph(g, "body");
    kata_graph_variable(body, "w", KATA_F32, &KATA_SHAPE_OF(2), true, NULL);
    assert_fault(body, KATA_INVALID, "subgraph body has no variables of its own");
    kata_graph_free(g);
}

static void test_captures_that_cannot_be(void **state) {
    (void)state;
    kata_graph *g = new_graph();
    kata_value x = input_of(g, "x", KATA_SHAPE_OF(4));
    kata_graph *body = new_subgraph(g, "body");
    kata_graph_capture(body, (kata_value){99});
    assert_fault(body, KATA_INVALID, "what subgraph body captures is no value");
    kata_graph_capture(g, x);
    assert_fault(g, KATA_INVALID, "is no value of a graph around it");
    kata_graph_free(g);

    g = new_graph();
    x = input_of(g, "x", KATA_SHAPE_OF(4));
    kata_value w = input_of(g, "w", KATA_SHAPE_OF(4));
    body = new_subgraph(g, "body");
    kata_graph_output(body, "o", KATA_NODE(body, "Relu", KATA_INPUTS(kata_graph_capture(body, x))));
    repeat(g, x, body);
    kata_graph_capture(body, w);
    assert_fault(body, KATA_INVALID, "belongs to a node and can capture no more");
    kata_graph_free(g);
}

static void test_whose_subgraph(void **state) {
    (void)state;
    kata_graph *g = new_graph(), *other = new_graph();
    kata_value x = input_of(g, "x", KATA_SHAPE_OF(4)), z = input_of(other, "z", KATA_SHAPE_OF(4));
    kata_graph *body = new_subgraph(g, "body");
    kata_graph_output(body, "o", KATA_NODE(body, "Relu", KATA_INPUTS(kata_graph_capture(body, x))));
    repeat(other, z, body);
    assert_fault(other, KATA_INVALID, "body of Repeat is no subgraph of the graph");
    repeat(g, x, body);
    assert_ok(kata_graph_status(g));
    repeat(g, x, body);
    assert_fault(g, KATA_INVALID, "body of Repeat is the subgraph of another attribute already");
    kata_graph_free(g);
    kata_graph_free(other);

    g = new_graph();
    x = input_of(g, "x", KATA_SHAPE_OF(4));
    body = new_subgraph(g, "body");
    kata_graph_output(body, "o", KATA_NODE(body, "Relu", KATA_INPUTS(kata_graph_capture(body, x))));
    KATA_NODE_WITH(g, "Branch", KATA_INPUTS(x), KATA_GRAPH("then_branch", body),
                   KATA_GRAPH("else_branch", body));
    assert_fault(g, KATA_INVALID, "else_branch of Branch is the subgraph of another attribute");
    kata_graph_free(g);

    g = new_graph();
    x = input_of(g, "x", KATA_SHAPE_OF(4));
    KATA_NODE(g, "Repeat", KATA_INPUTS(x));
    assert_fault(g, KATA_INVALID, "Repeat needs the attribute body");
    kata_graph_free(g);
    g = new_graph();
    x = input_of(g, "x", KATA_SHAPE_OF(4));
    repeat(g, x, NULL);
    assert_fault(g, KATA_INVALID, "Repeat needs the attribute body");
    kata_graph_free(g);
}

static void test_limits(void **state) {
    (void)state;
    kata_graph *g = new_graph(), *at = g, *next = NULL;
    for (int depth = 1; depth < KATA_MAX_DEPTH; depth++) {
        assert_ok(kata_graph_subgraph(&next, at, NULL));
        at = next;
    }
    assert_int_equal(kata_graph_subgraph(&next, at, "deep"), KATA_LIMIT);
    assert_fault(at, KATA_LIMIT, "graph deep is within 16 others; at most 15 are possible");
    kata_graph_free(g);

    /* nodes are counted over all graphs */
    g = new_graph();
    kata_value x = input_of(g, "x", KATA_SHAPE_OF(4));
    kata_graph *body = new_subgraph(g, "body");
    kata_value inside = kata_graph_capture(body, x);
    KATA_NODE(body, "Relu", KATA_INPUTS(inside));
    assert_int_equal(g->n_all_nodes, 1);
    g->n_all_nodes = KATA__MAX_NODES;
    KATA_NODE(body, "Relu", KATA_INPUTS(inside));
    assert_fault(body, KATA_LIMIT, "have 1048576 nodes; that is the most");
    kata_graph_free(g);

    /* and captured values with the node's own inputs */
    g = new_graph();
    x = input_of(g, "x", KATA_SHAPE_OF(4));
    body = new_subgraph(g, "body");
    for (int i = 0; i < KATA_MAX_INPUTS; i++) {
        kata_value value = KATA_NODE(g, "Relu", KATA_INPUTS(x));
        kata_graph_capture(body, value);
    }
    assert_ok(kata_graph_status(body));
    kata_graph_output(body, "o", KATA_NODE(body, "Relu", KATA_INPUTS((kata_value){1})));
    repeat(g, x, body);
    assert_fault(g, KATA_LIMIT, "Repeat and its subgraphs read more than");
    kata_graph_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_branches),
        cmocka_unit_test(test_nested),
        cmocka_unit_test(test_captures_follow_the_node),
        cmocka_unit_test(test_types_of_a_body),
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_faults_within),
        cmocka_unit_test(test_captures_that_cannot_be),
        cmocka_unit_test(test_whose_subgraph),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
