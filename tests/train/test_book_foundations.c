/* The numbers of the book's chapters 2 to 4 and the start of 5 (scratch-book-1-foundations.md).
 * Line numbers L... are the book's, T... the traps of that file. */
#include "support/small_graph.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#include <kata/data.h>

/* --- chapter 2: perceptrons ------------------------------------------------------------------- */

/* y = 1 if b + w1 x1 + w2 x2 > 0 (eq. 2.2, L1185), for the four inputs at once. */
static void assert_gate(double w1, double w2, double b, const double *expected) {
    kata_graph *g = small_graph();
    kata_value x = constant64(g, F64(0, 0, 1, 0, 0, 1, 1, 1), KATA_SHAPE_OF(4, 2));
    kata_value w = constant64(g, F64(w1, w2), KATA_SHAPE_OF(2, 1));
    kata_value a = KATA_NODE(g, "Add",
                             KATA_INPUTS(KATA_NODE(g, "MatMul", KATA_INPUTS(x, w)),
                                         constant64(g, F64(b), KATA_SHAPE_OF(1))));
    kata_value y = KATA_NODE(g, "Greater", KATA_INPUTS(a, constant64(g, F64(0), KATA_SHAPE_OF(1))));
    kata_session *s = run_kept(g);
    assert_values(s, y, expected, 4, 0);
    kata_session_free(s);
    kata_graph_free(g);
}

static void test_gates(void **state) {
    (void)state;
    const double *and_table = F64(0, 0, 0, 1), *nand = F64(1, 1, 1, 0), *or_table = F64(0, 1, 1, 1);
    assert_gate(0.5, 0.5, -0.7, and_table); /* L1116, L1211 */
    assert_gate(0.5, 0.5, -0.8, and_table);
    assert_gate(1.0, 1.0, -1.0, and_table);
    assert_gate(-0.5, -0.5, 0.7, nand);    /* L1133, L1231 */
    assert_gate(0.5, 0.5, -0.2, or_table); /* L1241 */
    assert_gate(1.0, 1.0, -0.5, or_table); /* L1278 */
}

/* Fires only above the bias (L1220): b = -0.1 and -20. */
static void test_bias_is_the_ease_of_firing(void **state) {
    (void)state;
    assert_gate(0.05, 0.06, -0.1, F64(0, 0, 0, 1));
    assert_gate(20, 0.5, -20, F64(0, 0, 0, 1)); /* exactly at the threshold it does not fire */
}

static kata_value step(kata_graph *g, kata_value x) {
    kata_value zero = constant64(g, F64(0), KATA_SHAPE_OF(1));
    return KATA_NODE_WITH(g, "Cast", KATA_INPUTS(KATA_NODE(g, "Greater", KATA_INPUTS(x, zero))),
                          KATA_INT("to", 11));
}

static kata_value gate(kata_graph *g, kata_value x, double w1, double w2, double b) {
    kata_value w = constant64(g, F64(w1, w2), KATA_SHAPE_OF(2, 1));
    kata_value a = KATA_NODE(g, "MatMul", KATA_INPUTS(x, w));
    return step(g, KATA_NODE(g, "Add", KATA_INPUTS(a, constant64(g, F64(b), KATA_SHAPE_OF(1)))));
}

/* XOR = AND(NAND, OR), a perceptron of two layers (L1344-1371). */
static void test_xor(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    kata_value x = constant64(g, F64(0, 0, 1, 0, 0, 1, 1, 1), KATA_SHAPE_OF(4, 2));
    kata_value s1 = gate(g, x, -0.5, -0.5, 0.7), s2 = gate(g, x, 0.5, 0.5, -0.2);
    kata_value both = KATA_NODE_WITH(g, "Concat", KATA_INPUTS(s1, s2), KATA_INT("axis", 1));
    kata_value y = gate(g, both, 0.5, 0.5, -0.7);
    kata_session *s = run_kept(g);
    assert_values(s, s1, F64(1, 1, 1, 0), 4, 0);
    assert_values(s, s2, F64(0, 1, 1, 1), 4, 0);
    assert_values(s, y, F64(0, 1, 1, 0), 4, 0);
    kata_session_free(s);
    kata_graph_free(g);
}

/* L1194-1199 (T1): w*x, its sum, and the sum plus b. */
static void test_weighted_sum(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    kata_value x = constant64(g, F64(0, 1), KATA_SHAPE_OF(2));
    kata_value w = constant64(g, F64(0.5, 0.5), KATA_SHAPE_OF(2));
    kata_value wx = KATA_NODE(g, "Mul", KATA_INPUTS(w, x));
    kata_value sum = KATA_NODE_WITH(g, "ReduceSum", KATA_INPUTS(wx), KATA_INT("keepdims", 0));
    kata_value a =
        KATA_NODE(g, "Add", KATA_INPUTS(sum, constant64(g, F64(-0.7), KATA_SHAPE_OF(1))));
    kata_session *s = run_kept(g);
    assert_values(s, wx, F64(0, 0.5), 2, 0);
    assert_values(s, sum, F64(0.5), 1, 0);
    assert_values(s, a, F64(-0.19999999999999996), 1, 0);
    kata_session_free(s);
    kata_graph_free(g);
}

/* Rosenblatt's rule, w += (t - y) x: ends on a separable gate, never on XOR (L2512). */
static int perceptron_errors(const double *targets, int rounds) {
    static const double x[4][3] = {{1, 0, 0}, {1, 1, 0}, {1, 0, 1}, {1, 1, 1}};
    double w[3] = {0, 0, 0};
    int errors = 0;
    for (int round = 0; round < rounds; round++) {
        errors = 0;
        for (int i = 0; i < 4; i++) {
            double y = w[0] * x[i][0] + w[1] * x[i][1] + w[2] * x[i][2] > 0;
            errors += y != targets[i];
            for (int k = 0; k < 3; k++) {
                w[k] += (targets[i] - y) * x[i][k];
            }
        }
    }
    return errors;
}

static void test_perceptron_convergence(void **state) {
    (void)state;
    assert_int_equal(perceptron_errors(F64(0, 0, 0, 1), 30), 0);
    assert_int_equal(perceptron_errors(F64(1, 1, 1, 0), 30), 0);
    assert_int_equal(perceptron_errors(F64(0, 1, 1, 1), 30), 0);
    assert_true(perceptron_errors(F64(0, 1, 1, 0), 1000) > 0);
}

/* --- chapter 3: forward ----------------------------------------------------------------------- */

static void test_activation_functions(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    kata_value x = constant64(g, F64(-1, 1, 2, 0), KATA_SHAPE_OF(4));
    kata_value y = KATA_NODE(g, "Sigmoid", KATA_INPUTS(x));
    kata_value r = KATA_NODE(g, "Relu", KATA_INPUTS(x));
    kata_value t = step(g, x);
    kata_session *s = run_kept(g);
    /* L1632-1634, L1543 */
    assert_values(s, y, F64(0.2689414213699951, 0.7310585786300049, 0.8807970779778823, 0.5), 4,
                  1e-15);
    assert_values(s, r, F64(0, 1, 2, 0), 4, 0);
    assert_values(s, t, F64(0, 1, 1, 0), 4, 0); /* L1573-1588; 0 at 0 */
    kata_session_free(s);
    kata_graph_free(g);
}

/* Matrix products of 4.3 (L1784-1885); shapes that do not fit are an error (L1822-1825). */
static void test_products(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    kata_value a = constant64(g, F64(1, 2, 3, 4), KATA_SHAPE_OF(2, 2));
    kata_value b = constant64(g, F64(5, 6, 7, 8), KATA_SHAPE_OF(2, 2));
    kata_value c = constant64(g, F64(1, 2, 3, 4, 5, 6), KATA_SHAPE_OF(2, 3));
    kata_value d = constant64(g, F64(1, 2, 3, 4, 5, 6), KATA_SHAPE_OF(3, 2));
    kata_value v = constant64(g, F64(7, 8), KATA_SHAPE_OF(2));
    kata_value x = constant64(g, F64(1, 2), KATA_SHAPE_OF(2));
    kata_value w = constant64(g, F64(1, 3, 5, 2, 4, 6), KATA_SHAPE_OF(2, 3));
    kata_value ab = KATA_NODE(g, "MatMul", KATA_INPUTS(a, b));
    kata_value cd = KATA_NODE(g, "MatMul", KATA_INPUTS(c, d));
    kata_value dv = KATA_NODE(g, "MatMul", KATA_INPUTS(d, v));
    kata_value xw = KATA_NODE(g, "MatMul", KATA_INPUTS(x, w));
    kata_session *s = run_kept(g);
    assert_values(s, ab, F64(19, 22, 43, 50), 4, 0);
    assert_values(s, cd, F64(22, 28, 49, 64), 4, 0);
    assert_values(s, dv, F64(23, 53, 83), 3, 0);
    assert_values(s, xw, F64(5, 11, 17), 3, 0);
    kata_session_free(s);
    KATA_NODE(g, "MatMul", KATA_INPUTS(c, a));
    assert_int_equal(kata_graph_status(g), KATA_SHAPE);
    assert_non_null(strstr(kata_graph_message(g),
                           "shapes (2,3) and (2,2) not aligned: 3 (dim 1) != 2 (dim 0)"));
    kata_graph_free(g);
}

static kata_value affine(kata_graph *g, kata_value x, const double *w, const double *b, int64_t in,
                         int64_t out) {
    kata_value product =
        KATA_NODE(g, "MatMul", KATA_INPUTS(x, constant64(g, w, KATA_SHAPE_OF(in, out))));
    return KATA_NODE(g, "Add", KATA_INPUTS(product, constant64(g, b, KATA_SHAPE_OF(out))));
}

/* The network 2-3-2-2 of L1946-2061. */
static void test_three_layer_network(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    kata_value x = constant64(g, F64(1.0, 0.5), KATA_SHAPE_OF(2));
    kata_value a1 = affine(g, x, F64(0.1, 0.3, 0.5, 0.2, 0.4, 0.6), F64(0.1, 0.2, 0.3), 2, 3);
    kata_value z1 = KATA_NODE(g, "Sigmoid", KATA_INPUTS(a1));
    kata_value a2 = affine(g, z1, F64(0.1, 0.4, 0.2, 0.5, 0.3, 0.6), F64(0.1, 0.2), 3, 2);
    kata_value z2 = KATA_NODE(g, "Sigmoid", KATA_INPUTS(a2));
    kata_value y = affine(g, z2, F64(0.1, 0.3, 0.2, 0.4), F64(0.1, 0.2), 2, 2);
    kata_session *s = run_kept(g);
    assert_values(s, a1, F64(0.3, 0.7, 1.1), 3, 1e-12);                          /* L1973 */
    assert_values(s, z1, F64(0.57444252, 0.66818777, 0.75026011), 3, 1e-8);      /* L1974 */
    assert_values(s, a2, F64(0.5161598377933344, 1.2140269561658172), 2, 1e-12); /* L1996 [D] */
    assert_values(s, z2, F64(0.6262493703990729, 0.7710106968556123), 2, 1e-12);
    assert_values(s, y, F64(0.31682708, 0.69627909), 2, 1e-8); /* L2061 */
    kata_session_free(s);
    kata_graph_free(g);
}

/* L1697: with linear activations three layers are one: y = c^3 x. */
static void test_linear_layers_collapse(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    kata_value x = constant64(g, F64(-2, 0.5, 3), KATA_SHAPE_OF(3)), y = x;
    kata_value c = constant64(g, F64(0.7), KATA_SHAPE_OF(1));
    for (int i = 0; i < 3; i++) {
        y = KATA_NODE(g, "Mul", KATA_INPUTS(c, y));
    }
    kata_session *s = run_kept(g);
    assert_values(s, y, F64(-2 * 0.343, 0.5 * 0.343, 3 * 0.343), 3, 1e-15);
    kata_session_free(s);
    kata_graph_free(g);
}

static void assert_softmax(const double *a, int64_t n, const double *expected, double tolerance) {
    kata_graph *g = small_graph();
    kata_value y = KATA_NODE(g, "Softmax", KATA_INPUTS(constant64(g, a, KATA_SHAPE_OF(1, n))));
    kata_session *s = run_kept(g);
    double sum = 0;
    assert_values(s, y, expected, (int)n, tolerance);
    for (int64_t i = 0; i < n; i++) {
        double p = read_at(s, y, i);
        assert_true(p >= 0 && p <= 1); /* L2204 */
        sum += p;
    }
    assert_close(sum, 1, 1e-15);
    kata_session_free(s);
    kata_graph_free(g);
}

static void test_softmax(void **state) {
    (void)state;
    /* L2105-2121 */
    assert_softmax(F64(0.3, 2.9, 4.0), 3,
                   F64(0.018211273295547534, 0.2451918129350739, 0.7365969137693785), 1e-15);
    /* L2157-2166: must not overflow */
    assert_softmax(F64(1010, 1000, 990), 3,
                   F64(0.999954600070331, 4.539786860886666e-05, 2.061060046209062e-09), 1e-15);
    /* L2145: shift-invariant */
    assert_softmax(F64(0.3 + 100, 2.9 + 100, 4.0 + 100), 3,
                   F64(0.018211273295547534, 0.2451918129350739, 0.7365969137693785), 1e-13);
    /* L4186 of part 2: 5.3 and 10.1 have the ratio e^-4.8 = 0.0082297 */
    assert_softmax(F64(5.3, 10.1), 2, F64(0.008162571, 0.991837429), 1e-8);
    /* course-and-tagging-article.md: 4, 8, 2 and 0.4, 0.1 */
    assert_softmax(F64(4, 8, 2), 3, F64(0.018, 0.980, 0.002), 1e-3);
    assert_softmax(F64(0.4, 0.1), 2, F64(0.574442517, 0.425557483), 1e-9);
}

/* L2466-2484: argmax by row, and the count of equal labels. */
static void test_argmax_and_count(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    kata_value x = constant64(g, F64(0.1, 0.8, 0.1, 0.3, 0.1, 0.6, 0.2, 0.5, 0.3, 0.8, 0.1, 0.1),
                              KATA_SHAPE_OF(4, 3));
    kata_value y =
        KATA_NODE_WITH(g, "ArgMax", KATA_INPUTS(x), KATA_INT("axis", 1), KATA_INT("keepdims", 0));
    kata_value t = kata_graph_int64s(g, (const int64_t[]){1, 2, 0, 0}, 4);
    kata_value equal = KATA_NODE_WITH(
        g, "Cast", KATA_INPUTS(KATA_NODE(g, "Equal", KATA_INPUTS(y, t))), KATA_INT("to", 11));
    kata_value count = KATA_NODE(g, "ReduceSum", KATA_INPUTS(equal));
    kata_session *s = run_kept(g);
    assert_values(s, y, F64(1, 2, 1, 0), 4, 0);
    assert_values(s, count, F64(3), 1, 0);
    kata_session_free(s);
    kata_graph_free(g);
}

/* --- chapter 4: losses ------------------------------------------------------------------------ */

/* -sum t log(y + delta) / n, as the book writes it (L2641, L2723). */
static kata_value cross_entropy(kata_graph *g, kata_value y, kata_value t, double delta, double n) {
    kata_value guarded =
        KATA_NODE(g, "Add", KATA_INPUTS(y, constant64(g, &delta, KATA_SHAPE_OF(1))));
    kata_value e = KATA_NODE(g, "Mul", KATA_INPUTS(t, KATA_NODE(g, "Log", KATA_INPUTS(guarded))));
    kata_value sum = KATA_NODE_WITH(g, "ReduceSum", KATA_INPUTS(e), KATA_INT("keepdims", 0));
    double factor = -1 / n;
    return KATA_NODE(g, "Mul", KATA_INPUTS(sum, constant64(g, &factor, (kata_shape){.rank = 0})));
}

static kata_value half_squares(kata_graph *g, kata_value y, kata_value t) {
    kata_value e =
        KATA_NODE(g, "ReduceSumSquare", KATA_INPUTS(KATA_NODE(g, "Sub", KATA_INPUTS(y, t))));
    return KATA_NODE(g, "Mul", KATA_INPUTS(e, constant64(g, F64(0.5), KATA_SHAPE_OF(1))));
}

static void test_losses(void **state) {
    (void)state;
    const double *ya = F64(0.1, 0.05, 0.6, 0.0, 0.05, 0.1, 0.0, 0.1, 0.0, 0.0); /* L2587 */
    const double *yb = F64(0.1, 0.05, 0.1, 0.0, 0.05, 0.1, 0.0, 0.6, 0.0, 0.0); /* L2612 */
    const double *tt = F64(0, 0, 1, 0, 0, 0, 0, 0, 0, 0);
    double both[20], t2[20];
    memcpy(both, ya, 10 * sizeof *both);
    memcpy(both + 10, yb, 10 * sizeof *both);
    memcpy(t2, tt, 10 * sizeof *t2);
    memcpy(t2 + 10, tt, 10 * sizeof *t2);
    kata_graph *g = small_graph();
    kata_value a = constant64(g, ya, KATA_SHAPE_OF(1, 10)),
               b = constant64(g, yb, KATA_SHAPE_OF(1, 10));
    kata_value t = constant64(g, tt, KATA_SHAPE_OF(1, 10));
    kata_value sse_a = half_squares(g, a, t), sse_b = half_squares(g, b, t);
    kata_value cee_a = cross_entropy(g, a, t, 1e-7, 1), cee_b = cross_entropy(g, b, t, 1e-7, 1);
    kata_value batch = cross_entropy(g, constant64(g, both, KATA_SHAPE_OF(2, 10)),
                                     constant64(g, t2, KATA_SHAPE_OF(2, 10)), 1e-7, 2);
    kata_value zero = constant64(g, F64(0), KATA_SHAPE_OF(1, 1)),
               one = constant64(g, F64(1), KATA_SHAPE_OF(1, 1));
    kata_value worst = cross_entropy(g, zero, one, 1e-7, 1);
    kata_value best = cross_entropy(g, one, one, 1e-7, 1);
    kata_session *s = run_kept(g);
    assert_values(s, sse_a, F64(0.0975), 1, 1e-12);                /* L2609 (T2) */
    assert_values(s, sse_b, F64(0.5975), 1, 1e-12);                /* L2614 */
    assert_values(s, cee_a, F64(0.51082545709933802), 1, 1e-12);   /* L2652 */
    assert_values(s, cee_b, F64(2.3025840929945458), 1, 1e-12);    /* L2656 */
    assert_values(s, batch, F64(1.406704775046942), 1, 1e-12);     /* L2723 [D] */
    assert_values(s, worst, F64(16.11809565095832), 1, 1e-12);     /* T19 */
    assert_values(s, best, F64(-9.999999505838704e-08), 1, 1e-15); /* T19 */
    kata_session_free(s);
    /* T6: a target of 9 elements is a shape error */
    kata_value nine = constant64(g, tt, KATA_SHAPE_OF(1, 9));
    half_squares(g, a, nine);
    assert_int_equal(kata_graph_status(g), KATA_SHAPE);
    assert_non_null(strstr(kata_graph_message(g), "(1,10) and (1,9)"));
    kata_graph_free(g);
}

/* Labels and one-hot give the same loss (L2737-2743); -ln 0.2 and -ln 0.8 of the article. */
static void test_label_form(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    kata_value a = constant64(g, F64(0.3, 2.9, 4.0, 1, 0, -1), KATA_SHAPE_OF(2, 3));
    kata_value loss = KATA_NODE(g, "SoftmaxCrossEntropyLoss",
                                KATA_INPUTS(a, kata_graph_int64s(g, (const int64_t[]){1, 0}, 2)));
    kata_value y = KATA_NODE(g, "Softmax", KATA_INPUTS(a));
    kata_value hot =
        cross_entropy(g, y, constant64(g, F64(0, 1, 0, 1, 0, 0), KATA_SHAPE_OF(2, 3)), 0, 2);
    kata_value p = constant64(g, F64(0.2, 0.8), KATA_SHAPE_OF(2));
    kata_value logs = KATA_NODE(g, "Neg", KATA_INPUTS(KATA_NODE(g, "Log", KATA_INPUTS(p))));
    kata_session *s = run_kept(g);
    assert_close(read_at(s, loss, 0), read_at(s, hot, 0), 1e-12);
    assert_values(s, logs, F64(1.609, 0.223), 2, 5e-4);
    kata_session_free(s);
    kata_graph_free(g);
}

/* --- chapter 4: numerical differentiation ----------------------------------------------------- */

static double function_1(double x) {
    return 0.01 * (x * x) + 0.1 * x; /* T4: in this order */
}

static double numerical_diff(double (*f)(double), double x, double h) {
    return (f(x + h) - f(x - h)) / (2 * h);
}

static double partial_0(double x0) {
    return x0 * x0 + 4.0 * 4.0;
}

static double partial_1(double x1) {
    return 3.0 * 3.0 + x1 * x1;
}

static double square(double x) {
    return x * x;
}

static double line(double x) {
    return 2 * x + 10;
}

static void test_numerical_differentiation(void **state) {
    (void)state;
    assert_close(numerical_diff(function_1, 5, 1e-4), 0.1999999999990898, 1e-9);  /* L2867 */
    assert_close(numerical_diff(function_1, 10, 1e-4), 0.2999999999986347, 1e-9); /* L2869 */
    assert_close(numerical_diff(partial_0, 3, 1e-4), 6.00000000000378, 1e-9);     /* L2922 */
    assert_close(numerical_diff(partial_1, 4, 1e-4), 7.999999999999119, 1e-9);    /* L2932 */
    assert_close(numerical_diff(square, 2, 1e-4), 4, 1e-9);                       /* L2834 */
    assert_close(numerical_diff(line, 7, 1e-4), 2, 1e-9);                         /* the article */
    /* the bad way (L2797-2808): h = 1e-50 vanishes beside x, and is 0 in float32 */
    volatile double x = 5;
    assert_true((function_1(x + 1e-50) - function_1(x)) / 1e-50 == 0);
    volatile float tiny = (float)1e-50;
    assert_true(tiny == 0);
    double forward = (function_1(x + 1e-4) - function_1(x)) / 1e-4;
    assert_close(forward, 0.20000099999917254, 1e-9);
}

/* Our graph's gradient of f(x) = x0^2 + x1^2 is exact where the book's numerical one is near
 * (O-4.11). */
static void gradient_of_squares(const double *at, double *gradient) {
    kata_graph *g = small_graph();
    kata_value x = variable64(g, "x", at, KATA_SHAPE_OF(2)), dx;
    kata_value f = KATA_NODE_WITH(g, "ReduceSumSquare", KATA_INPUTS(x), KATA_INT("keepdims", 0));
    assert_ok(kata_graph_differentiate(g, f, &x, 1, &dx));
    kata_session *s = run_kept(g);
    gradient[0] = read_at(s, dx, 0);
    gradient[1] = read_at(s, dx, 1);
    kata_session_free(s);
    kata_graph_free(g);
}

static void test_gradients_of_squares(void **state) {
    (void)state;
    double d[2];
    gradient_of_squares(F64(3, 4), d); /* L2971 */
    assert_close(d[0], 6, 1e-12);
    assert_close(d[1], 8, 1e-12);
    gradient_of_squares(F64(0, 2), d); /* L2973 */
    assert_close(d[0], 0, 1e-12);
    assert_close(d[1], 4, 1e-12);
    gradient_of_squares(F64(3, 0), d); /* L2975 */
    assert_close(d[0], 6, 1e-12);
    assert_close(d[1], 0, 1e-12);
}

/* gradient_descent of L3025 with the book's numerical gradient (h = 1e-4). */
static void descend(double *x, double lr, int steps) {
    for (int k = 0; k < steps; k++) {
        double gradient[2];
        for (int i = 0; i < 2; i++) {
            double kept = x[i];
            x[i] = kept + 1e-4;
            double above = x[0] * x[0] + x[1] * x[1];
            x[i] = kept - 1e-4;
            double below = x[0] * x[0] + x[1] * x[1];
            x[i] = kept; /* T13: every element is put back */
            gradient[i] = (above - below) / (2 * 1e-4);
        }
        for (int i = 0; i < 2; i++) {
            x[i] -= lr * gradient[i];
        }
    }
}

/* The same path as a graph: x' = x - lr df/dx, an SGD node. */
static void descend_as_graph(double *x, double lr, int steps) {
    kata_graph *g = small_graph();
    kata_value v = variable64(g, "x", x, KATA_SHAPE_OF(2)), dx;
    kata_value f = KATA_NODE_WITH(g, "ReduceSumSquare", KATA_INPUTS(v), KATA_INT("keepdims", 0));
    assert_ok(kata_graph_differentiate(g, f, &v, 1, &dx));
    KATA_NODE(g, "kata:SGD", KATA_INPUTS(v, dx, kata_graph_scalar(g, KATA_F64, lr)));
    kata_session *s = run_kept(g); /* the first step */
    for (int k = 1; k < steps; k++) {
        assert_ok(kata_session_run(s, 0, (uint64_t)k));
    }
    x[0] = read_at(s, v, 0);
    x[1] = read_at(s, v, 1);
    kata_session_free(s);
    kata_graph_free(g);
}

static void test_descent_paths(void **state) {
    (void)state;
    double x[2] = {-3, 4};
    descend(x, 0.1, 100); /* L3051 */
    assert_close(x[0], -6.111107928998789e-10, 1e-18);
    assert_close(x[1], 8.148143905314271e-10, 1e-18);
    double y[2] = {-3, 4};
    descend(y, 10, 100); /* L3064: diverges; T11: exactly so without FMA */
    assert_close(y[0] / -25898374737328.363, 1, 1e-12);
    assert_close(y[1] / -1295248616896.5398, 1, 1e-12);
    double z[2] = {-3, 4};
    descend(z, 1e-10, 100); /* L3078: hardly moves */
    assert_close(z[0], -2.999999939999995, 1e-12);
    assert_close(z[1], 3.9999999199999934, 1e-12);
    double exact[2] = {-3, 4};
    descend_as_graph(exact, 0.1, 100); /* closed form: -3 0.8^100 */
    assert_close(exact[0] / (-3 * pow(0.8, 100)), 1, 1e-12);
    assert_close(exact[1] / (4 * pow(0.8, 100)), 1, 1e-12);
    double small[2] = {-3, 4};
    descend_as_graph(small, 1e-10, 100);
    assert_close(small[0], -2.99999994, 1e-8);
}

/* simpleNet (L3110-3156): W (2,3), loss and its gradient. */
static void test_simple_net(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    kata_value x = constant64(g, F64(0.6, 0.9), KATA_SHAPE_OF(1, 2)), dw;
    kata_value w = variable64(
        g, "W", F64(0.47355232, 0.9977393, 0.84668094, 0.85557411, 0.03563661, 0.69422093),
        KATA_SHAPE_OF(2, 3));
    kata_value p = KATA_NODE(g, "MatMul", KATA_INPUTS(x, w));
    kata_value best = KATA_NODE_WITH(g, "ArgMax", KATA_INPUTS(p), KATA_INT("axis", 1));
    kata_value loss = KATA_NODE(g, "SoftmaxCrossEntropyLoss",
                                KATA_INPUTS(p, kata_graph_int64s(g, (const int64_t[]){2}, 1)));
    assert_ok(kata_graph_differentiate(g, loss, &w, 1, &dw));
    kata_session *s = run_kept(g);
    assert_values(s, p, F64(1.054148091, 0.630716529, 1.132807401), 3, 1e-9); /* L3138 */
    assert_values(s, best, F64(2), 1, 0);
    assert_values(s, loss, F64(0.9280685387482351), 1, 1e-12); /* L3144, T10 */
    assert_values(s, loss, F64(0.92806853663411326), 1, 1e-8);
    assert_values(s, dw,
                  F64(0.2192476266788698, 0.14356246612192342, -0.3628100928007932,
                      0.3288714400183047, 0.21534369918288512, -0.5442151392011898),
                  6, 1e-12); /* L3155 [D] */
    assert_values(s, dw,
                  F64(0.21924763, 0.14356247, -0.36281009, 0.32887144, 0.2153437, -0.54421514), 6,
                  1e-8);
    kata_session_free(s);
    kata_graph_free(g);
}

/* --- chapter 5, start: computation graphs ------------------------------------------------------
 */

/* Buying fruit: L3502-3574, and the solution in part 2, L3717-3862. */
static void test_buy_apple_and_orange(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    const kata_shape scalar = {.rank = 0};
    kata_value apple = variable64(g, "apple", F64(100), scalar);
    kata_value apples = variable64(g, "apples", F64(2), scalar);
    kata_value orange = variable64(g, "orange", F64(150), scalar);
    kata_value oranges = variable64(g, "oranges", F64(3), scalar);
    kata_value tax = variable64(g, "tax", F64(1.1), scalar);
    kata_value apple_price = KATA_NODE(g, "Mul", KATA_INPUTS(apple, apples));
    kata_value orange_price = KATA_NODE(g, "Mul", KATA_INPUTS(orange, oranges));
    kata_value all = KATA_NODE(g, "Add", KATA_INPUTS(apple_price, orange_price));
    kata_value price = KATA_NODE(g, "Mul", KATA_INPUTS(all, tax));
    kata_value wrt[] = {apples, apple, orange, oranges, tax, apple_price, orange_price}, d[7];
    const double *expected = F64(110, 2.2, 3.3, 165, 650, 1.1, 1.1); /* L3862 */
    assert_ok(kata_graph_differentiate(g, price, wrt, 7, d));
    kata_session *s = run_kept(g);
    assert_values(s, all, F64(650), 1, 1e-12);
    assert_values(s, price, F64(715), 1, 1e-12); /* L3531, L3861 */
    for (int i = 0; i < 7; i++) {
        assert_close(read_at(s, d[i], 0), expected[i], 1e-12);
    }
    kata_session_free(s);
    kata_graph_free(g);

    g = small_graph(); /* L3511, L3574, L3717: one kind of fruit */
    apple = variable64(g, "apple", F64(100), scalar);
    apples = variable64(g, "apples", F64(2), scalar);
    tax = variable64(g, "tax", F64(1.1), scalar);
    price = KATA_NODE(g, "Mul", KATA_INPUTS(KATA_NODE(g, "Mul", KATA_INPUTS(apple, apples)), tax));
    kata_value three[] = {apple, apples, tax};
    assert_ok(kata_graph_differentiate(g, price, three, 3, d));
    s = run_kept(g);
    assert_values(s, price, F64(220), 1, 1e-12);
    assert_values(s, d[0], F64(2.2), 1, 1e-12);
    assert_values(s, d[1], F64(110), 1, 1e-12);
    assert_values(s, d[2], F64(200), 1, 1e-12);
    kata_session_free(s);
    kata_graph_free(g);
}

/* z = (x + y)^2: dz/dx = dz/dy = 2 (x + y) (L3601-3641); x = 3, y = 4 gives 49 and 14. */
static void test_chain_rule(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    const kata_shape scalar = {.rank = 0};
    kata_value x = variable64(g, "x", F64(3), scalar), y = variable64(g, "y", F64(4), scalar);
    kata_value t = KATA_NODE(g, "Add", KATA_INPUTS(x, y));
    kata_value z = KATA_NODE(g, "Mul", KATA_INPUTS(t, t));
    kata_value wrt[] = {x, y}, d[2];
    assert_ok(kata_graph_differentiate(g, z, wrt, 2, d));
    kata_session *s = run_kept(g);
    assert_values(s, z, F64(49), 1, 0);
    assert_values(s, d[0], F64(14), 1, 0);
    assert_values(s, d[1], F64(14), 1, 0);
    kata_session_free(s);
    kata_graph_free(g);
}

/* Upstream 1.3 through an addition and a multiplication (part 2, L3676-3702). */
static void test_add_and_multiply_nodes(void **state) {
    (void)state;
    kata_graph *g = small_graph();
    const kata_shape scalar = {.rank = 0};
    kata_value x = variable64(g, "x", F64(10), scalar), y = variable64(g, "y", F64(5), scalar);
    kata_value upstream = constant64(g, F64(1.3), scalar);
    kata_value sum = KATA_NODE(g, "Add", KATA_INPUTS(x, y));
    kata_value product = KATA_NODE(g, "Mul", KATA_INPUTS(x, y));
    kata_value wrt[] = {x, y}, da[2], dm[2];
    assert_ok(
        kata_graph_differentiate(g, KATA_NODE(g, "Mul", KATA_INPUTS(sum, upstream)), wrt, 2, da));
    assert_ok(kata_graph_differentiate(g, KATA_NODE(g, "Mul", KATA_INPUTS(product, upstream)), wrt,
                                       2, dm));
    kata_session *s = run_kept(g);
    assert_values(s, da[0], F64(1.3), 1, 0);
    assert_values(s, da[1], F64(1.3), 1, 0);
    assert_values(s, dm[0], F64(6.5), 1, 1e-15);
    assert_values(s, dm[1], F64(13), 1, 1e-15);
    kata_session_free(s);
    kata_graph_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gates),
        cmocka_unit_test(test_bias_is_the_ease_of_firing),
        cmocka_unit_test(test_xor),
        cmocka_unit_test(test_weighted_sum),
        cmocka_unit_test(test_perceptron_convergence),
        cmocka_unit_test(test_activation_functions),
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_three_layer_network),
        cmocka_unit_test(test_linear_layers_collapse),
        cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_argmax_and_count),
        cmocka_unit_test(test_losses),
        cmocka_unit_test(test_label_form),
        cmocka_unit_test(test_numerical_differentiation),
        cmocka_unit_test(test_gradients_of_squares),
        cmocka_unit_test(test_descent_paths),
        cmocka_unit_test(test_simple_net),
        cmocka_unit_test(test_buy_apple_and_orange),
        cmocka_unit_test(test_chain_rule),
        cmocka_unit_test(test_add_and_multiply_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
