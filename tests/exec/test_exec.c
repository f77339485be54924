/* Memory plan and sessions: results do not depend on reuse of memory, the peak is known before,
 * in-place and views are right, faults name the node, the graph's builder, binding, differentiation
 * and simplification. */
#include "support/small_graph.h"

#include <string.h>

#include "exec/plan.h"
#include "exec/session.h"

static kata_value unary(kata_graph *g, const char *op, kata_value x) {
    return KATA_NODE(g, op, KATA_INPUTS(x));
}

/* --- the builder ------------------------------------------------------------------------------ */

static void assert_message(const kata_graph *g, const char *part) {
    if (strstr(kata_graph_message(g), part) == NULL) {
        fail_msg("\"%s\" does not contain \"%s\"", kata_graph_message(g), part);
    }
}

static void test_builder_faults(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    kata_value x = kata_graph_input(g, "x", KATA_F32, &KATA_SHAPE_OF(2, 3));
    kata_value bad = KATA_NODE(g, "Rleu", KATA_INPUTS(x));
    assert_int_equal(bad.id, 0);
    assert_int_equal(kata_graph_status(g), KATA_NOT_FOUND);
    assert_message(g, "there is no operator Rleu");
    KATA_NODE(g, "Relu", KATA_INPUTS(x)); /* sticky: the first fault stays */
    assert_message(g, "there is no operator Rleu");
    kata_graph_free(g);

    g = small_graph();
    x = kata_graph_input(g, "x", KATA_F32, &KATA_SHAPE_OF(2, 3));
    kata_graph_input(g, "x", KATA_F32, &KATA_SHAPE_OF(2, 3));
    assert_message(g, "the name x is taken");
    kata_graph_free(g);

    g = small_graph();
    x = kata_graph_input(g, "x", KATA_F32, &KATA_SHAPE_OF(2, 3));
    KATA_NODE_WITH(g, "LeakyRelu", KATA_INPUTS(x), KATA_FLOAT("alhpa", 0.1));
    assert_message(g, "LeakyRelu has no attribute alhpa");
    kata_graph_free(g);

    g = small_graph();
    x = kata_graph_input(g, "x", KATA_F32, &KATA_SHAPE_OF(2, 3));
    KATA_NODE_WITH(g, "LeakyRelu", KATA_INPUTS(x), KATA_INT("alpha", 1));
    assert_message(g, "alpha of operator LeakyRelu must be a number, got an integer");
    kata_graph_free(g);

    g = small_graph();
    x = kata_graph_input(g, "x", KATA_F32, &KATA_SHAPE_OF(2, 3));
    KATA_NODE(g, "Add", KATA_INPUTS(x));
    assert_message(g, "Add takes 2 to 2 inputs, got 1");
    kata_graph_free(g);

    g = small_graph();
    kata_graph_input(g, "x", KATA_F32, &(kata_shape){.rank = 9});
    assert_message(g, "input x has 9 axes");
    kata_graph_free(g);

    g = small_graph();
    KATA_NODE(g, "Relu", KATA_INPUTS((kata_value){77}));
    assert_message(g, "is no value of graph test");
    kata_graph_free(g);
}

static void test_names_outputs_metadata_dumps(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    kata_value x = kata_graph_input(g, "x", KATA_F32, &KATA_SHAPE_OF(KATA_UNKNOWN_DIM, 3));
    kata_graph_set_scope(g, "layer");
    kata_value y = KATA_NODE_WITH(g, "Softmax", KATA_INPUTS(x), KATA_INT("axis", -1));
    kata_graph_set_scope(g, NULL);
    assert_ok(kata_graph_output(g, "p", y));
    assert_ok(kata_graph_output(g, "again", y)); /* a second name: through an Identity */
    assert_string_equal(kata_value_name(g, kata_graph_output_at(g, 0)), "p");
    assert_string_equal(kata_value_name(g, kata_graph_output_at(g, 1)), "again");
    assert_int_equal(kata_graph_find_value(g, "p").id, y.id);
    assert_int_equal(kata_graph_find_value(g, "nobody").id, 0);
    char *text = NULL;
    assert_ok(kata_graph_text(&text, g));
    assert_non_null(strstr(text, "p float32(N,3) = Softmax(x) axis=-1"));
    kata_text_free(kata_context_default(), text);
    assert_ok(kata_graph_dot(&text, g));
    assert_true(strncmp(text, "digraph \"test\" {", 16) == 0);
    assert_non_null(strstr(text, "label=\"Softmax\""));
    kata_text_free(kata_context_default(), text);

    assert_ok(kata_graph_set_metadata(g, "kata.a", "1"));
    assert_ok(kata_graph_set_metadata(g, "kata.b", "2"));
    assert_ok(kata_graph_set_metadata(g, "kata.a", "3"));
    assert_int_equal(kata_graph_n_metadata(g), 2);
    assert_string_equal(kata_graph_metadata(g, "kata.a"), "3");
    assert_ok(kata_graph_set_metadata(g, "kata.a", NULL));
    assert_null(kata_graph_metadata(g, "kata.a"));
    assert_string_equal(kata_graph_metadata(g, "kata.b"), "2");
    kata_graph_free(g);
    kata_graph_free(NULL);
}

/* --- an operator from outside (subclassing) -----------------------------------------------------
 */

static kata_status cube_infer(kata_infer *infer) {
    infer->outputs[0] = infer->inputs[0];
    return KATA_OK;
}

static kata_status cube_run(const kata_call *call) {
    int64_t n = kata_tensor_count(&call->outputs[0]);
    for (int64_t i = 0; i < n; i++) {
        double x = kata_load(call->inputs[0].dtype, call->inputs[0].data, i);
        kata_store(call->outputs[0].dtype, call->outputs[0].data, i, x * x * x);
    }
    return KATA_OK;
}

static kata_status cube_gradient(kata_gradient *r) { /* 3 x^2 dy */
    kata_graph *g = r->graph;
    kata_value three = kata_graph_scalar(g, kata_value_dtype(g, r->inputs[0]), 3);
    kata_value x2 = KATA_NODE(g, "Mul", KATA_INPUTS(r->inputs[0], r->inputs[0]));
    kata_value d = KATA_NODE(g, "Mul", KATA_INPUTS(three, x2));
    r->input_gradients[0] = KATA_NODE(g, "Mul", KATA_INPUTS(d, r->output_gradients[0]));
    return KATA_OK;
}

static const kata_op cube_row = {.name = "Cube",
                                 .domain = "example",
                                 .since = 1,
                                 .min_inputs = 1,
                                 .max_inputs = 1,
                                 .min_outputs = 1,
                                 .max_outputs = 1,
                                 .infer = cube_infer,
                                 .reference = cube_run,
                                 .gradient = cube_gradient,
                                 .doc = "x^3"};

static void test_own_operator(void **state) {
    (void)state;
    kata_context *context;
    assert_ok(kata_context_new(&context, NULL));
    assert_ok(kata_op_register(context, &cube_row));
    assert_int_equal(kata_op_register(context, &cube_row), KATA_INVALID);
    assert_non_null(strstr(kata_error_message(), "example:Cube exists already"));
    assert_string_equal(kata_op_find(context, "example:Cube")->doc, "x^3");
    assert_null(kata_op_find(context, "Cube"));
    assert_null(kata_op_find(kata_context_default(), "example:Cube"));
    kata_op broken = cube_row;
    broken.name = "Broken";
    broken.infer = NULL;
    assert_int_equal(kata_op_register(context, &broken), KATA_INVALID);

    kata_graph *g;
    assert_ok(kata_graph_new(&g, context, "own"));
    kata_value x = variable64(g, "x", F64(2, -1), KATA_SHAPE_OF(2)), dx;
    kata_value y = KATA_NODE(g, "example:Cube", KATA_INPUTS(x));
    kata_value sum = KATA_NODE_WITH(g, "ReduceSum", KATA_INPUTS(y), KATA_INT("keepdims", 0));
    assert_ok(kata_graph_differentiate(g, sum, &x, 1, &dx));
    kata_session *s = run_kept(g);
    assert_values(s, y, F64(8, -1), 2, 0);
    assert_values(s, dx, F64(12, 3), 2, 0);
    kata_session_free(s);
    kata_graph_free(g);
    kata_context_free(context);
}

/* --- passes
 * --------------------------------------------------------------------------------------- */

static void test_bind(void **state) {
    (void)state;
    kata_graph *g = small_graph(), *bound;
    kata_value x = kata_graph_input(g, "x", KATA_F32, &KATA_SHAPE_OF(KATA_UNKNOWN_DIM, 4));
    kata_value y = KATA_NODE(g, "Dropout", KATA_INPUTS(x));
    /* shape arithmetic of constants is folded: reshape to (Shape(x)[0], 2, 2) */
    kata_value n = KATA_NODE_WITH(g, "Shape", KATA_INPUTS(x), KATA_INT("end", 1));
    kata_value sizes = KATA_NODE_WITH(
        g, "Concat", KATA_INPUTS(n, kata_graph_int64s(g, (const int64_t[]){2, 2}, 2)),
        KATA_INT("axis", 0));
    (void)sizes;
    assert_ok(kata_graph_output(g, "y", unary(g, "Relu", y)));
    assert_int_equal(kata_graph_bind(&bound, g, KATA_SIZES({"N", -2}), false), KATA_INVALID);
    for (int training = 0; training < 2; training++) {
        assert_ok(kata_graph_bind(&bound, g, KATA_SIZES({"N", 5}), training != 0));
        char text[KATA_SHAPE_TEXT_SIZE];
        kata_shape shape = kata_value_shape(bound, kata_graph_output_at(bound, 0));
        assert_string_equal(kata_shape_text(&shape, text), "(5,4)");
        assert_string_equal(kata_value_name(bound, kata_graph_output_at(bound, 0)), "y");
        char *dump = NULL;
        assert_ok(kata_graph_text(&dump, bound));
        assert_true((strstr(dump, "Dropout") != NULL) == (training != 0));
        assert_null(strstr(dump, "= Concat"));
        kata_text_free(kata_context_default(), dump);
        kata_graph_free(bound);
    }
    kata_session *s;
    assert_int_equal(kata_session_new(&s, g, NULL), KATA_SHAPE); /* not bound */
    assert_non_null(strstr(kata_error_message(), "kata_graph_bind"));
    kata_graph_free(g);
}

/* Two open sizes: the plan is made for both; what is not given is said. Shape rules carry names. */
static void test_bind_two_sizes(void **state) {
    (void)state;
    kata_graph *g = small_graph(), *bound = NULL;
    const int64_t n = kata_graph_size(g, "N"), t = kata_graph_size(g, "T");
    kata_value x = kata_graph_input(g, "x", KATA_F64, &KATA_SHAPE_OF(n, t, 2));
    kata_value y = kata_graph_input(g, "y", KATA_F64, &KATA_SHAPE_OF(t, 2));
    kata_value sum = KATA_NODE(g, "Add", KATA_INPUTS(x, y));
    kata_value flat = KATA_NODE(
        g, "Reshape", KATA_INPUTS(sum, kata_graph_int64s(g, (const int64_t[]){0, -1, 1, 2}, 4)));
    kata_value back =
        KATA_NODE_WITH(g, "Transpose", KATA_INPUTS(flat), KATA_INTS("perm", 1, 0, 3, 2));
    assert_ok(kata_graph_output(g, "sum", sum));
    assert_ok(kata_graph_output(g, "back", back));
    kata_shape shape = kata_value_shape(g, sum);
    assert_true(kata_shape_equal(&shape, &KATA_SHAPE_OF(n, t, 2)));
    shape = kata_value_shape(g, back);
    assert_true(kata_shape_equal(&shape, &KATA_SHAPE_OF(t, n, 2, 1)));

    assert_int_equal(kata_graph_bind(&bound, g, KATA_SIZES({"N", 2}), false), KATA_INVALID);
    assert_string_equal(kata_error_message(),
                        "the size T of graph test (input x, axis 1) is open; give it a number");
    assert_int_equal(kata_graph_bind(&bound, g, KATA_SIZES({"N", 2}, {"T", -1}), false),
                     KATA_INVALID);
    assert_string_equal(kata_error_message(), "the size T must not be negative, got -1");
    assert_null(bound);
    assert_ok(kata_graph_bind(&bound, g, KATA_SIZES({"T", 3}, {"unheard", 9}, {"N", 1}), false));
    kata_session *s;
    assert_ok(kata_session_new(&s, bound, NULL));
    kata_tensor a = kata_session_input(s, 0), b = kata_session_input(s, 1);
    assert_true(kata_shape_equal(&a.shape, &KATA_SHAPE_OF(1, 3, 2)));
    assert_true(kata_shape_equal(&b.shape, &KATA_SHAPE_OF(3, 2)));
    memcpy(a.data, F64(1, 2, 3, 4, 5, 6), 6 * sizeof(double));
    memcpy(b.data, F64(10, 20, 30, 40, 50, 60), 6 * sizeof(double));
    assert_ok(kata_session_run(s, 0, 0));
    kata_tensor out = kata_session_output(s, 1);
    assert_true(kata_shape_equal(&out.shape, &KATA_SHAPE_OF(3, 1, 2, 1)));
    assert_memory_equal(out.data, F64(11, 22, 33, 44, 55, 66), 6 * sizeof(double));
    kata_session_free(s);
    kata_graph_free(bound);
    kata_graph_free(g);
}

/* What rules know of open sizes: they keep a name where the size stays, and drop it where not. */
static void test_names_of_sizes(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    const int64_t n = kata_graph_size(g, "N"), t = kata_graph_size(g, "T"), u = KATA_UNKNOWN_DIM;
    kata_value x = kata_graph_input(g, "x", KATA_F64, &KATA_SHAPE_OF(n, t));
    kata_value z = kata_graph_input(g, "z", KATA_F64, &KATA_SHAPE_OF(n, 1, t, t));
    kata_value w = kata_graph_input(g, "w", KATA_F64, &KATA_SHAPE_OF(1, 1, 3, 3));
    kata_value index = kata_graph_input(g, "index", KATA_I64, &KATA_SHAPE_OF(t));
    const int64_t zero[] = {0}, one[] = {1}, most[] = {INT64_MAX}, pads[] = {0, 1, 0, 0},
                  r[] = {1, 2};
    const int64_t ones[] = {0, 2, -1}, all[] = {-1};
    kata_value from0 = kata_graph_int64s(g, zero, 1), from1 = kata_graph_int64s(g, one, 1);
    kata_value end = kata_graph_int64s(g, most, 1);
    const struct {
        kata_value value;
        kata_shape shape;
    } cases[] = {
        {KATA_NODE_WITH(g, "Concat", KATA_INPUTS(x, x), KATA_INT("axis", 1)), {2, {n, u}}},
        {KATA_NODE_WITH(g, "Gather", KATA_INPUTS(x, index), KATA_INT("axis", 0)), {2, {t, t}}},
        {KATA_NODE(g, "Slice", KATA_INPUTS(x, from0, end, from1)), {2, {n, t}}},
        {KATA_NODE(g, "Slice", KATA_INPUTS(x, from1, end, from1)), {2, {n, u}}},
        {KATA_NODE(g, "Slice", KATA_INPUTS(x, from0, from1, from1)), {2, {n, u}}},
        {KATA_NODE(g, "Pad", KATA_INPUTS(x, kata_graph_int64s(g, pads, 4))), {2, {n, u}}},
        {KATA_NODE(g, "Tile", KATA_INPUTS(x, kata_graph_int64s(g, r, 2))), {2, {n, u}}},
        {KATA_NODE(g, "Reshape", KATA_INPUTS(z, kata_graph_int64s(g, ones, 3))), {3, {n, 2, u}}},
        {KATA_NODE(g, "Reshape", KATA_INPUTS(index, kata_graph_int64s(g, all, 1))), {1, {t}}},
        {KATA_NODE_WITH(g, "Flatten", KATA_INPUTS(z), KATA_INT("axis", 2)), {2, {n, u}}},
        {KATA_NODE_WITH(g, "Conv", KATA_INPUTS(z, w), KATA_INTS("pads", 1, 1, 1, 1)),
         {4, {n, 1, t, t}}},
        {KATA_NODE(g, "Conv", KATA_INPUTS(z, w)), {4, {n, 1, u, u}}},
        {KATA_NODE_WITH(g, "ReduceMean", KATA_INPUTS(x, from1), KATA_INT("keepdims", 0)), {1, {n}}},
        {KATA_NODE(g, "MatMul", KATA_INPUTS(z, z)), {4, {n, 1, t, t}}},
        {KATA_NODE_WITH(g, "Split", KATA_INPUTS(x), KATA_INT("axis", 1)), {2, {n, t}}},
    };
    assert_ok(kata_graph_status(g));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kata_shape shape = kata_value_shape(g, cases[i].value);
        if (!kata_shape_equal(&shape, &cases[i].shape)) {
            char got[KATA_SHAPE_TEXT_SIZE], want[KATA_SHAPE_TEXT_SIZE];
            fail_msg("case %zu: %s, expected %s", i, kata_graph_shape_text(g, &shape, got),
                     kata_graph_shape_text(g, &cases[i].shape, want));
        }
    }
    kata_graph_free(g);
}

/* Running statistics (L4971 [C]): r = 0.9 r + 0.1 batch, written to the variables while training
 * only. */
static void test_batch_norm_statistics(void **state) {
    (void)state;
    kata_graph *g = small_graph(), *bound;
    kata_variable *mean, *variance;
    kata_shape one = KATA_SHAPE_OF(1);
    kata_value x = kata_graph_input(g, "x", KATA_F64, &KATA_SHAPE_OF(KATA_UNKNOWN_DIM, 1));
    kata_value scale = variable64(g, "scale", F64(1), one),
               bias = variable64(g, "bias", F64(0), one);
    kata_value m = kata_graph_variable(g, "mean", KATA_F64, &one, false, &mean);
    kata_value v = kata_graph_variable(g, "variance", KATA_F64, &one, false, &variance);
    assert_ok(kata_graph_output(
        g, "y", KATA_NODE(g, "BatchNormalization", KATA_INPUTS(x, scale, bias, m, v))));
    kata_store(KATA_F64, variance->tensor.data, 0, 1);
    for (int training = 1; training >= 0; training--) {
        kata_session *s;
        assert_ok(kata_graph_bind(&bound, g, KATA_SIZES({"N", 4}), training != 0));
        assert_ok(kata_session_new(&s, bound, NULL));
        kata_tensor input = kata_session_input(s, 0);
        for (int i = 0; i < 4; i++) {
            kata_store(KATA_F64, input.data, i, F64(1, 2, 3, 6)[i]);
        }
        assert_ok(kata_session_run(s, 0, 0));
        assert_close(kata_load(KATA_F64, mean->tensor.data, 0), 0.3, 1e-6); /* 0.1 * 3 */
        assert_close(kata_load(KATA_F64, variance->tensor.data, 0), 0.9 + 0.35,
                     1e-6); /* 0.1 * 3.5 */
        double y0 = kata_load(KATA_F64, kata_session_output(s, 0).data, 0);
        assert_close(y0, training ? (1 - 3) / sqrt(3.5 + 1e-5) : (1 - 0.3) / sqrt(1.25 + 1e-5),
                     1e-6);
        kata_session_free(s);
        kata_graph_free(bound);
    }
    kata_graph_free(g);
}

static void test_differentiate_faults_and_fan_out(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    kata_value x = variable64(g, "x", F64(0.5, 2), KATA_SHAPE_OF(2)), other, d[2];
    other = variable64(g, "other", F64(1), KATA_SHAPE_OF(1));
    kata_value y = unary(g, "Exp", x);
    assert_int_equal(kata_graph_differentiate(g, y, &x, 1, d), KATA_SHAPE);
    assert_non_null(strstr(kata_error_message(), "only a float value of one element"));
    /* x used four times: the gradients add (appendix A, L6569) */
    kata_value sum = KATA_NODE(g, "Add", KATA_INPUTS(y, KATA_NODE(g, "Mul", KATA_INPUTS(x, x))));
    sum = KATA_NODE(g, "Sub", KATA_INPUTS(sum, x));
    kata_value loss = KATA_NODE_WITH(g, "ReduceSum", KATA_INPUTS(sum), KATA_INT("keepdims", 0));
    kata_value wrt[] = {x, other};
    assert_ok(kata_graph_differentiate(g, loss, wrt, 2, d));
    assert_int_equal(d[1].id, 0); /* the loss does not depend on it */
    kata_session *s = run_kept(g);
    assert_values(s, d[0], F64(exp(0.5) + 2 * 0.5 - 1, exp(2) + 4 - 1), 2, 1e-12);
    kata_session_free(s);
    kata_graph_free(g);

    g = small_graph(); /* stop_gradient: the left factor counts as a constant */
    x = variable64(g, "x", F64(3), KATA_SHAPE_OF(1));
    kata_value stopped = unary(g, "kata:StopGradient", x);
    loss = KATA_NODE(g, "Mul", KATA_INPUTS(stopped, x));
    assert_ok(kata_graph_differentiate(g, loss, &x, 1, d));
    s = run_kept(g);
    assert_values(s, loss, F64(9), 1, 0);
    assert_values(s, d[0], F64(3), 1, 0);
    kata_session_free(s);
    kata_graph_free(g);
}

static void test_simplify(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    kata_value x = variable64(g, "x", F64(4), KATA_SHAPE_OF(1));
    kata_value c = unary(g, "Sqrt", constant64(g, F64(9), KATA_SHAPE_OF(1))); /* folds to 3 */
    unary(g, "Exp", x);                                                       /* reaches nothing */
    kata_value y = KATA_NODE(g, "Mul", KATA_INPUTS(unary(g, "Identity", x), c));
    assert_ok(kata_graph_output(g, "y", y));
    assert_ok(kata_graph_simplify(g));
    char *text = NULL;
    assert_ok(kata_graph_text(&text, g));
    assert_null(strstr(text, "= Exp"));
    assert_null(strstr(text, "= Sqrt"));
    assert_null(strstr(text, "= Identity"));
    assert_non_null(strstr(text, "= Mul"));
    kata_text_free(kata_context_default(), text);
    kata_session *s = run_kept(g);
    assert_values(s, y, F64(12), 1, 0);
    kata_session_free(s);
    kata_graph_free(g);
}

/* --- plan and session
 * ------------------------------------------------------------------------------ */

/* A net of element-wise nodes, views, branches and reductions; the same for every call. */
static kata_value tangle(kata_graph *g, kata_value x) {
    kata_value a = unary(g, "Tanh", x), b = unary(g, "Sigmoid", x);
    kata_value c = KATA_NODE(g, "Add", KATA_INPUTS(a, b));
    kata_value d =
        KATA_NODE(g, "Reshape", KATA_INPUTS(c, kata_graph_int64s(g, (const int64_t[]){6, 2}, 2)));
    kata_value e = KATA_NODE(g, "Transpose", KATA_INPUTS(d));
    kata_value f = unary(g, "Relu", e);
    kata_value h = KATA_NODE_WITH(g, "ReduceMean", KATA_INPUTS(f), KATA_INTS("axes", 0),
                                  KATA_INT("keepdims", 1));
    kata_value i = KATA_NODE(g, "Sub", KATA_INPUTS(f, h));
    kata_value j = KATA_NODE(g, "Mul", KATA_INPUTS(i, i));
    kata_value k =
        KATA_NODE(g, "Reshape", KATA_INPUTS(j, kata_graph_int64s(g, (const int64_t[]){3, 4}, 2)));
    return KATA_NODE(g, "Add", KATA_INPUTS(k, KATA_NODE(g, "Mul", KATA_INPUTS(c, a))));
}

static void test_reuse_of_memory_changes_nothing(void **state) {
    (void)state;
    double data[12], results[2][24];
    size_t arena[2];
    for (int i = 0; i < 12; i++) {
        data[i] = 0.37 * i - 2;
    }
    for (int keep = 0; keep < 2; keep++) {
        kata_graph *g = small_graph();
        kata_value x = variable64(g, "x", data, KATA_SHAPE_OF(3, 4)), dx;
        kata_value y = tangle(g, x);
        kata_value loss = KATA_NODE_WITH(g, "ReduceSum", KATA_INPUTS(y), KATA_INT("keepdims", 0));
        assert_ok(kata_graph_differentiate(g, loss, &x, 1, &dx));
        assert_ok(kata_graph_output(g, "y", y));
        assert_ok(kata_graph_output(g, "dx", dx));
        kata_session *s;
        assert_ok(kata_session_new(&s, g, &(kata_session_options){.keep_values = keep != 0}));
        for (int run = 0; run < 3; run++) { /* and running again changes nothing */
            assert_ok(kata_session_run(s, 0, 0));
        }
        for (int i = 0; i < 12; i++) {
            results[keep][i] = kata_load(KATA_F64, kata_session_output(s, 0).data, i);
            results[keep][12 + i] = kata_load(KATA_F64, kata_session_output(s, 1).data, i);
        }
        arena[keep] = kata_session_arena_bytes(s);
        assert_int_equal(kata_session_variable_bytes(s), 12 * sizeof(double));
        kata_session_free(s);
        kata_graph_free(g);
    }
    assert_memory_equal(results[0], results[1], sizeof results[0]);
    assert_true(arena[0] < arena[1]);
}

/* No two values that live at the same time share bytes, and every value is inside the arena. */
static void test_plan_never_overlaps(void **state) {
    (void)state;
    double data[12] = {0};
    kata_graph *g = small_graph();
    kata_value x = variable64(g, "x", data, KATA_SHAPE_OF(3, 4)), dx;
    kata_value loss =
        KATA_NODE_WITH(g, "ReduceSum", KATA_INPUTS(tangle(g, x)), KATA_INT("keepdims", 0));
    assert_ok(kata_graph_differentiate(g, loss, &x, 1, &dx));
    assert_ok(kata_graph_output(g, "dx", dx));
    kata__plan plan;
    assert_ok(kata__plan_make(&plan, g, false, false, NULL));
    size_t n = g->n_values;
    int first[256], last[256];
    assert_true(n < 256);
    for (size_t v = 0; v < n; v++) {
        first[v] = (int)g->n_nodes;
        last[v] = -1;
    }
    for (size_t i = 0; i < g->n_nodes; i++) {
        const kata__node *node = &g->nodes[i];
        for (int k = 0; k < node->n_inputs; k++) {
            last[plan.places[node->inputs[k].id].root] = (int)i;
        }
        for (int k = 0; k < node->n_outputs; k++) {
            int root = plan.places[node->outputs[k].id].root;
            first[root] = first[root] < (int)i ? first[root] : (int)i;
            last[root] = last[root] > (int)i ? last[root] : (int)i;
        }
    }
    last[plan.places[dx.id].root] = (int)g->n_nodes;
    for (size_t a = 1; a < n; a++) {
        size_t a_bytes = (size_t)kata_shape_count(&g->values[a].type.shape) * 8;
        if (!plan.places[a].in_arena || last[a] < 0) {
            continue;
        }
        assert_true(plan.places[a].offset + a_bytes <= plan.arena_bytes);
        assert_int_equal(plan.places[a].offset % 64, 0);
        for (size_t b = a + 1; b < n; b++) {
            size_t b_bytes = (size_t)kata_shape_count(&g->values[b].type.shape) * 8;
            bool alive_together = first[a] <= last[b] && first[b] <= last[a];
            bool apart = plan.places[a].offset + a_bytes <= plan.places[b].offset ||
                         plan.places[b].offset + b_bytes <= plan.places[a].offset;
            assert_true(!plan.places[b].in_arena || last[b] < 0 || !alive_together || apart);
        }
    }
    kata__plan_free(&plan, kata_context_default());
    kata_graph_free(g);
}

static void test_faults_at_run_time(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    kata_value x = kata_graph_input(g, "x", KATA_F64, &KATA_SHAPE_OF(3));
    kata_value i = kata_graph_input(g, "i", KATA_I64, &KATA_SHAPE_OF(1));
    kata_graph_set_scope(g, "pick");
    assert_ok(
        kata_graph_output(g, "y", KATA_NODE(g, "Gather", KATA_INPUTS(unary(g, "Log", x), i))));
    kata_session *s;
    assert_ok(
        kata_session_new(&s, g, &(kata_session_options){.check_finite = true, .profile = true}));
    for (int k = 0; k < 3; k++) {
        kata_store(KATA_F64, kata_session_input(s, 0).data, k, 1);
    }
    kata_store(KATA_I64, kata_session_input(s, 1).data, 0, 3);
    assert_int_equal(kata_session_run(s, 0, 0), KATA_INVALID); /* index 3 of 3 */
    assert_non_null(strstr(kata_error_message(), "pick/Gather"));
    kata_store(KATA_I64, kata_session_input(s, 1).data, 0, 2);
    assert_ok(kata_session_run(s, 0, 0));
    kata_store(KATA_F64, kata_session_input(s, 0).data, 1, 0);
    assert_int_equal(kata_session_run(s, 0, 0), KATA_NON_FINITE); /* log 0 */
    assert_non_null(strstr(kata_error_message(), "pick/Log made the first non-finite value"));
    assert_int_equal(kata_session_n_profile(s), 2);
    assert_true(kata_session_profile(s, 0).calls > 0);
    assert_string_equal(kata_session_profile(s, 1).op, "Gather");
    kata_session_free(s);
    kata_session_free(NULL);
    kata_graph_free(g);
}

/* An input that is read where it is: by a node, by a view of it, as an output; only while it is
 * lent, and never written, though Relu may overwrite what it reads. */
static void test_borrowed_input(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    kata_value a = kata_graph_input(g, "a", KATA_F32, &KATA_SHAPE_OF(2, 3));
    kata_value b = kata_graph_input(g, "b", KATA_F32, &KATA_SHAPE_OF(6));
    kata_value flat = KATA_NODE_WITH(g, "Flatten", KATA_INPUTS(a), KATA_INT("axis", 0));
    assert_ok(kata_graph_output(g, "relu", unary(g, "Relu", flat)));
    assert_ok(kata_graph_output(g, "sum", KATA_NODE(g, "Add", KATA_INPUTS(flat, b))));
    assert_ok(kata_graph_output(g, "same", flat));
    kata_session *s;
    assert_ok(kata_session_new(&s, g, NULL));
    float *own_a = kata_session_input(s, 0).data, *own_b = kata_session_input(s, 1).data;
    const float lent[6] = {-1, 2, -3, 4, -5, 6};
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 6; i++) {
            own_a[i] = 10;
            own_b[i] = 100;
        }
        const bool borrows = round == 1;
        kata__session_borrow(s, 0, borrows ? lent : NULL);
        assert_ok(kata_session_run(s, 0, 0));
        for (int i = 0; i < 6; i++) {
            const float x = borrows ? lent[i] : 10;
            assert_true(((float *)kata_session_output(s, 0).data)[i] == (x > 0 ? x : 0));
            assert_true(((float *)kata_session_output(s, 1).data)[i] == x + 100);
            assert_true(((float *)kata_session_output(s, 2).data)[i] == x);
            assert_true(own_a[i] == 10 && own_b[i] == 100);
            assert_true(lent[i] == (float)((i + 1) * (i % 2 != 0 ? 1 : -1)));
        }
        assert_true(kata_session_input(s, 0).data == (borrows ? (const void *)lent : own_a));
        assert_true(kata_session_input(s, 1).data == own_b);
    }
    kata_session_free(s);
    kata_graph_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builder_faults),
        cmocka_unit_test(test_names_outputs_metadata_dumps),
        cmocka_unit_test(test_own_operator),
        cmocka_unit_test(test_bind),
        cmocka_unit_test(test_bind_two_sizes),
        cmocka_unit_test(test_names_of_sizes),
        cmocka_unit_test(test_batch_norm_statistics),
        cmocka_unit_test(test_differentiate_faults_and_fan_out),
        cmocka_unit_test(test_simplify),
        cmocka_unit_test(test_reuse_of_memory_changes_nothing),
        cmocka_unit_test(test_plan_never_overlaps),
        cmocka_unit_test(test_faults_at_run_time),
        cmocka_unit_test(test_borrowed_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
