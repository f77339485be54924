/* What must hold before memory is written over, attributes are kept, places are
 * computed: each test is a graph that is just within, and one that is just
 * beyond. */
#include "support/small_graph.h"

#include <string.h>

#include "exec/plan.h"
#include "graph/graph.h"

static kata_value unary(kata_graph *g, const char *op, kata_value x) {
    return KATA_NODE(g, op, KATA_INPUTS(x));
}

/* --- a result may be written over an input
 * ---------------------------------------------------- */

static bool shares(const kata_graph *g, kata_value a, kata_value b, bool keep) {
    kata__plan plan;
    assert_ok(kata__plan_make(&plan, g, keep, false, NULL));
    bool same = plan.places[a.id].root == plan.places[b.id].root;
    kata__plan_free(&plan, kata_context_default());
    return same;
}

/* x, then a = Tanh(x), then `second` of a; the caller adds what follows. */
static kata_graph *begin(kata_value *x, kata_value *a) {
    kata_graph *g = small_graph();
    *x = kata_graph_input(g, "x", KATA_F64, &KATA_SHAPE_OF(4));
    *a = unary(g, "Tanh", *x);
    return g;
}

static void test_in_place(void **state) {
    (void)state;
    kata_value x, a, b, c;
    kata_graph *g = begin(&x, &a); /* the last use: over a, never over the input */
    b = unary(g, "Relu", a);
    assert_ok(kata_graph_output(g, "b", b));
    assert_true(shares(g, a, b, false));
    assert_false(shares(g, x, a, false));
    assert_false(shares(g, a, b, true)); /* every value is kept */
    kata_graph_free(g);

    g = begin(&x, &a); /* a is read after b */
    b = unary(g, "Relu", a);
    c = KATA_NODE(g, "Mul", KATA_INPUTS(b, a));
    assert_ok(kata_graph_output(g, "c", c));
    assert_false(shares(g, a, b, false));
    assert_true(shares(g, b, c, false) || shares(g, a, c, false));
    kata_graph_free(g);

    g = begin(&x, &a); /* a is read after b through a view of it */
    c = KATA_NODE(g, "Reshape", KATA_INPUTS(a, kata_graph_int64s(g, (const int64_t[]){2, 2}, 2)));
    b = unary(g, "Relu", a);
    assert_ok(kata_graph_output(g, "b", b));
    assert_ok(kata_graph_output(g, "d", unary(g, "Exp", c)));
    assert_true(shares(g, a, c, false));
    assert_false(shares(g, a, b, false));
    kata_graph_free(g);

    g = begin(&x, &a); /* a is an output itself */
    b = unary(g, "Relu", a);
    assert_ok(kata_graph_output(g, "a", a));
    assert_ok(kata_graph_output(g, "b", b));
    assert_false(shares(g, a, b, false));
    kata_graph_free(g);

    g = small_graph(); /* variables, constants and views of inputs are no memory
                          of the plan's */
    x = kata_graph_input(g, "x", KATA_F64, &KATA_SHAPE_OF(4));
    c = KATA_NODE(g, "Reshape", KATA_INPUTS(x, kata_graph_int64s(g, (const int64_t[]){2, 2}, 2)));
    const kata_value roots[] = {c, variable64(g, "v", F64(1, 2, 3, 4), KATA_SHAPE_OF(4)),
                                constant64(g, F64(1, 2, 3, 4), KATA_SHAPE_OF(4))};
    for (int i = 0; i < 3; i++) {
        b = unary(g, "Relu", roots[i]);
        assert_ok(kata_graph_output(g, (const char *[]){"p", "q", "r"}[i], b));
        assert_false(shares(g, roots[i], b, false));
    }
    kata_graph_free(g);

    g = begin(&x, &a); /* broadcast: b is larger than a */
    c = constant64(g, F64(1, 2, 3, 4, 5, 6, 7, 8), KATA_SHAPE_OF(2, 4));
    b = KATA_NODE(g, "Add", KATA_INPUTS(a, c));
    assert_ok(kata_graph_output(g, "b", b));
    assert_false(shares(g, a, b, false));
    kata_graph_free(g);
}

/* The numbers are those of a run in which nothing is written over anything. */
static void test_in_place_numbers(void **state) {
    (void)state;
    double y[2][4];
    for (int keep = 0; keep < 2; keep++) {
        kata_value x, a;
        kata_graph *g = begin(&x, &a);
        kata_value b = KATA_NODE(g, "Sub", KATA_INPUTS(a, unary(g, "Neg", a)));
        kata_value c = KATA_NODE(g, "Mul", KATA_INPUTS(a, KATA_NODE(g, "Add", KATA_INPUTS(b, b))));
        assert_ok(kata_graph_output(g, "y", KATA_NODE(g, "Sub", KATA_INPUTS(b, c))));
        kata_session *s;
        assert_ok(kata_session_new(&s, g, &(kata_session_options){.keep_values = keep != 0}));
        for (int run = 0; run < 2; run++) {
            for (int i = 0; i < 4; i++) {
                kata_store(KATA_F64, kata_session_input(s, 0).data, i, 0.3 * i - 0.5);
            }
            assert_ok(kata_session_run(s, 0, 0));
        }
        for (int i = 0; i < 4; i++) {
            const double t = tanh(0.3 * i - 0.5);
            y[keep][i] = read_at(s, kata_graph_output_at(g, 0), i);
            assert_close(y[keep][i], 2 * t - 4 * t * t, 1e-12);
        }
        kata_session_free(s);
        kata_graph_free(g);
    }
    assert_memory_equal(y[0], y[1], sizeof y[0]);
}

/* --- attributes are what a file keeps
 * --------------------------------------------------------- */

static void test_attributes_are_float32(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    kata_value x = variable64(g, "x", F64(-1, 2), KATA_SHAPE_OF(2));
    kata_value y = KATA_NODE_WITH(g, "LeakyRelu", KATA_INPUTS(x), KATA_FLOAT("alpha", 0.1));
    kata_session *s = run_kept(g);
    assert_values(s, y, F64(-(double)0.1F, 2), 2, 0);
    kata_session_free(s);
    kata_graph_free(g);
}

/* --- steps at their limits
 * -------------------------------------------------------------------- */

static void test_slice_steps(void **state) {
    (void)state;
    static const struct {
        int64_t start, end, step;
        int n;
        double first;
    } cases[] = {
        {2, INT64_MIN, INT64_MIN, 1, 30},
        {INT64_MIN, INT64_MAX, INT64_MAX, 1, 10},
        {INT64_MAX, INT64_MIN, -1, 3, 30},
        {INT64_MIN, INT64_MAX, 1, 3, 10},
        {INT64_MAX, INT64_MIN, INT64_MIN, 1, 30},
        {0, INT64_MIN, INT64_MAX, 0, 0},
        {0, 3, 2, 2, 10},
        {-1, -4, -2, 2, 30},
        {-3, 3, 3, 1, 10},
        {2, 0, -1, 2, 30},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kata_graph *g = small_graph();
        kata_value x = variable64(g, "x", F64(10, 20, 30), KATA_SHAPE_OF(3));
        kata_value starts = kata_graph_int64s(g, &cases[i].start, 1);
        kata_value ends = kata_graph_int64s(g, &cases[i].end, 1);
        kata_value axes = kata_graph_int64s(g, (const int64_t[]){0}, 1);
        kata_value steps = kata_graph_int64s(g, &cases[i].step, 1);
        kata_value y = KATA_NODE(g, "Slice", KATA_INPUTS(x, starts, ends, axes, steps));
        kata_session *s = run_kept(g);
        assert_int_equal(kata_value_shape(g, y).dim[0], cases[i].n);
        if (cases[i].n > 0) {
            assert_close(read_at(s, y, 0), cases[i].first, 0);
        }
        kata_session_free(s);
        kata_graph_free(g);
    }
}

/* dy of n numbers put back to start, start + step, ... of 10: all of them must
 * lie within. */
static void test_slice_gradient_steps(void **state) {
    (void)state;
    static const struct {
        int64_t n, start, step;
        bool right;
    } cases[] = {
        {4, 0, 3, true},          {4, 1, 3, false},         {4, 9, -3, true},
        {4, 8, -3, false},        {2, 9, -9, true},         {2, 9, -10, false},
        {2, 0, 9, true},          {2, 0, 10, false},        {1, 9, INT64_MIN, true},
        {1, 0, INT64_MAX, true},  {2, 9, INT64_MIN, false}, {2, 0, INT64_MAX, false},
        {10, 0, 1, true},         {11, 0, 1, false},        {10, 9, -1, true},
        {1, 10, 1, false},        {1, -1, 1, false},        {1, 0, 0, false},
        {3, 0, INT64_MAX, false}, {3, 9, INT64_MIN, false}, {0, 10, 1, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kata_graph *g = small_graph();
        kata_value dy = kata_graph_input(g, "dy", KATA_F64, &KATA_SHAPE_OF(cases[i].n));
        kata_value dx = KATA_NODE_WITH(g, "kata:SliceGrad", KATA_INPUTS(dy), KATA_INTS("shape", 10),
                                       KATA_INTS_OF("starts", &cases[i].start, 1),
                                       KATA_INTS_OF("steps", &cases[i].step, 1));
        if ((kata_graph_status(g) == KATA_OK) != cases[i].right) {
            fail_msg("n %d, start %lld, step %lld: %s", (int)cases[i].n, (long long)cases[i].start,
                     (long long)cases[i].step, kata_graph_message(g));
        }
        if (cases[i].right) {
            kata_session *s;
            assert_ok(kata_graph_output(g, "dx", dx));
            assert_ok(kata_session_new(&s, g, NULL));
            for (int64_t k = 0; k < cases[i].n; k++) {
                kata_store(KATA_F64, kata_session_input(s, 0).data, k, (double)(k + 1));
            }
            assert_ok(kata_session_run(s, 0, 0));
            for (int64_t at = 0; at < 10; at++) {
                double expected = 0;
                for (int64_t k = 0; k < cases[i].n; k++) {
                    const int64_t place =
                        k == 0 ? cases[i].start : cases[i].start + k * cases[i].step;
                    expected = place == at ? (double)(k + 1) : expected;
                }
                assert_close(kata_load(KATA_F64, kata_session_output(s, 0).data, at), expected, 0);
            }
            kata_session_free(s);
        }
        kata_graph_free(g);
    }
}

/* --- empty batches
 * ----------------------------------------------------------------------------
 */

/* Training on no samples changes no statistic and gives no number that is none.
 */
static void test_batch_norm_of_nothing(void **state) {
    (void)state;
    kata_graph *g = small_graph(), *bound;
    kata_variable *mean, *variance;
    kata_shape two = KATA_SHAPE_OF(2);
    kata_value x = kata_graph_input(g, "x", KATA_F64, &KATA_SHAPE_OF(KATA_UNKNOWN_DIM, 2));
    kata_value scale = variable64(g, "scale", F64(1, 1), two);
    kata_value bias = variable64(g, "bias", F64(0, 0), two);
    kata_value m = kata_graph_variable(g, "mean", KATA_F64, &two, false, &mean);
    kata_value v = kata_graph_variable(g, "variance", KATA_F64, &two, false, &variance);
    assert_ok(kata_graph_output(
        g, "y", KATA_NODE(g, "BatchNormalization", KATA_INPUTS(x, scale, bias, m, v))));
    for (int i = 0; i < 2; i++) {
        kata_store(KATA_F64, mean->tensor.data, i, 0.25 + i);
        kata_store(KATA_F64, variance->tensor.data, i, 3 + i);
    }
    for (int training = 0; training < 2; training++) {
        kata_session *s;
        assert_ok(kata_graph_bind(&bound, g, KATA_SIZES({"N", 0}), training != 0));
        assert_ok(kata_session_new(&s, bound, NULL));
        assert_ok(kata_session_run(s, 0, 0));
        assert_int_equal(kata_session_output(s, 0).shape.dim[0], 0);
        for (int i = 0; i < 2; i++) {
            assert_close(kata_load(KATA_F64, mean->tensor.data, i), 0.25 + i, 0);
            assert_close(kata_load(KATA_F64, variance->tensor.data, i), 3 + i, 0);
        }
        kata_session_free(s);
        kata_graph_free(bound);
    }
    kata_graph_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_place),
        cmocka_unit_test(test_in_place_numbers),
        cmocka_unit_test(test_attributes_are_float32),
        cmocka_unit_test(test_slice_steps),
        cmocka_unit_test(test_slice_gradient_steps),
        cmocka_unit_test(test_batch_norm_of_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
