/* Open sizes: names and numbers, what binding is told, and the one sentence where sizes of one name
 * disagree. */
#include "graph/rows.h"

static void test_names(void **state) {
    (void)state;
    kata_graph *g = new_graph();
    int64_t n = kata_graph_size(g, "batch"), t = kata_graph_size(g, "length");
    assert_true(n < KATA_UNKNOWN_DIM && t < KATA_UNKNOWN_DIM);
    assert_int_not_equal(n, t);
    assert_int_equal(kata_graph_size(g, "batch"), n);
    assert_int_equal(kata_graph_n_sizes(g), 2);
    assert_string_equal(kata_graph_size_at(g, 1), "length");
    assert_null(kata_graph_size_at(g, 2));
    assert_null(kata_graph_size_at(g, -1));
    assert_string_equal(kata_graph_size_name(g, t), "length");
    assert_null(kata_graph_size_name(g, KATA_UNKNOWN_DIM));
    assert_null(kata_graph_size_name(g, 3));
    assert_null(kata_graph_size_name(g, t - 1));
    assert_null(kata_graph_size_name(g, INT64_MIN));
    /* graphs within have the same */
    kata_graph *body = new_subgraph(g, "body");
    assert_int_equal(kata_graph_size(body, "length"), t);
    int64_t inner = kata_graph_size(body, "inner");
    assert_string_equal(kata_graph_size_name(g, inner), "inner");
    char text[KATA_SHAPE_TEXT_SIZE];
    assert_string_equal(
        kata_graph_shape_text(g, &KATA_SHAPE_OF(n, 3, t, KATA_UNKNOWN_DIM, 0), text),
        "(batch,3,length,?,0)");
    assert_string_equal(kata_graph_shape_text(g, &KATA_SHAPE_OF(n), text), "(batch,)");
    kata_graph_size(g, "");
    assert_fault(g, KATA_INVALID, "an open size needs a name");
    kata_graph_free(g);
}

/* Names of any length fit into the text. */
static void test_long_names(void **state) {
    (void)state;
    kata_graph *g = new_graph();
    char name[400];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    int64_t x = kata_graph_size(g, name);
    char text[KATA_SHAPE_TEXT_SIZE];
    kata_graph_shape_text(g, &KATA_SHAPE_OF(x, x, x, x, x, x, x, x), text);
    assert_int_equal(strlen(text), 8 * 20 + 7 + 2);
    kata_graph_free(g);
}

static void test_inputs_get_names(void **state) {
    (void)state;
    kata_graph *g = new_graph();
    const int64_t u = KATA_UNKNOWN_DIM, t = kata_graph_size(g, "T");
    kata_value x = input_of(g, "x", KATA_SHAPE_OF(u, t, u));
    kata_value y = input_of(g, "y", KATA_SHAPE_OF(u, 4));
    kata_graph_output(g, "z", KATA_NODE(g, "Add", KATA_INPUTS(x, x)));
    kata_graph_output(g, "r", KATA_NODE(g, "Relu", KATA_INPUTS(y)));
    static const char text[] = "graph test\n"
                               "  input    x float32(N,T,x.2)\n"
                               "  input    y float32(N,4)\n"
                               "  z float32(N,T,x.2) = Add(x, x)\n"
                               "  r float32(N,4) = Relu(y)\n"
                               "  output   z float32(N,T,x.2)\n"
                               "  output   r float32(N,4)\n";
    assert_text(g, text);
    kata_graph *copy = copy_of(g);
    assert_text(copy, text);
    kata_graph_free(copy);

    input_of(g, "w", KATA_SHAPE_OF(-99));
    assert_fault(g, KATA_SHAPE, "input w has a negative size");
    kata_graph_free(g);
    g = new_graph();
    kata_graph_variable(g, "w", KATA_F32, &KATA_SHAPE_OF(kata_graph_size(g, "T")), true, NULL);
    assert_fault(g, KATA_SHAPE, "variable w has a negative size");
    kata_graph_free(g);
}

static void test_sizes_of_a_call(void **state) {
    (void)state;
    kata_graph *g = new_graph();
    const int64_t n = kata_graph_size(g, "N"), t = kata_graph_size(g, "T");
    (void)kata_graph_size(g, "elsewhere"); /* in no input: nobody has to say it */
    input_of(g, "a", KATA_SHAPE_OF(n, t, 8));
    input_of(g, "b", KATA_SHAPE_OF(t, n));
    kata_size sizes[3];
    int n_sizes = 0;
    const kata_shape good[] = {KATA_SHAPE_OF(2, 5, 8), KATA_SHAPE_OF(5, 2)};
    assert_ok(kata_graph_sizes_of(g, good, 2, sizes, &n_sizes));
    assert_int_equal(n_sizes, 2);
    assert_string_equal(sizes[0].name, "N");
    assert_int_equal(sizes[0].value, 2);
    assert_string_equal(sizes[1].name, "T");
    assert_int_equal(sizes[1].value, 5);
    const kata_shape empty[] = {KATA_SHAPE_OF(0, 0, 8), KATA_SHAPE_OF(0, 0)};
    assert_ok(kata_graph_sizes_of(g, empty, 2, sizes, &n_sizes));

    static const struct {
        kata_shape shapes[2];
        const char *message;
    } bad[] = {
        {{{3, {2, 5, 8}}, {2, {7, 2}}},
         "input b has 7 on axis 0, but input a has 5 on axis 1: both are the size T and must be "
         "equal"},
        {{{3, {2, 5, 8}}, {2, {5, 3}}},
         "input b has 3 on axis 1, but input a has 2 on axis 0: both are the size N and must be "
         "equal"},
        {{{3, {2, 5, 9}}, {2, {5, 2}}},
         "input a of graph test takes the shape (N,T,8), got (2,5,9)"},
        {{{2, {2, 5}}, {2, {5, 2}}}, "input a of graph test takes the shape (N,T,8), got (2,5)"},
        {{{3, {2, -1, 8}}, {2, {5, 2}}}, "input a has no size on axis 1"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(kata_graph_sizes_of(g, bad[i].shapes, 2, sizes, &n_sizes), KATA_SHAPE);
        assert_string_equal(kata_error_message(), bad[i].message);
    }
    assert_int_equal(kata_graph_sizes_of(g, good, 1, sizes, &n_sizes), KATA_SHAPE);
    kata_graph_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_inputs_get_names),
        cmocka_unit_test(test_sizes_of_a_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
