/* LinearClassifier: labels and scores under each post_transform, as onnxruntime 1.32 gives them. */
#include "support/small_graph.h"

typedef struct expected {
    const char *transform;
    int n; /* rows of coefficients */
    int64_t labels[2];
    double scores[6]; /* of x = -1, then of x = 1 */
} expected;

static const double coefficients[] = {0.4, -0.3, 0.2}, intercepts[] = {0.1, 0.2, 0};
static const int64_t class_labels[] = {5, 7, 9};

static const expected cases[] = {
    {"NONE", 1, {5, 7}, {1.3, -0.3, 0.5, 0.5}},
    {"LOGISTIC", 1, {5, 7}, {0.57444, 0.42556, 0.37754, 0.62246}},
    {"NONE", 2, {7, 5}, {-0.3, 0.5, 0.5, -0.1}},
    {"LOGISTIC", 2, {7, 5}, {0.42556, 0.62246, 0.62246, 0.47502}},
    {"SOFTMAX", 2, {7, 5}, {0.31003, 0.68997, 0.64566, 0.35434}},
    {"SOFTMAX", 3, {7, 5}, {0.23091, 0.51390, 0.25519, 0.43675, 0.23969, 0.32355}},
    {"SOFTMAX_ZERO", 3, {7, 5}, {0.23091, 0.51390, 0.25519, 0.43675, 0.23969, 0.32355}},
    {"PROBIT", 3, {7, 5}, {NAN, 0, NAN, 0, NAN, -0.84176}},
};

static void check(const expected *e) {
    kata_graph *graph = small_graph();
    const double x[] = {-1, 1};
    const int width = e->n == 1 ? 2 : e->n;
    const kata_value input = constant64(graph, x, KATA_SHAPE_OF(2, 1));
    const kata_attribute attributes[] = {
        {.name = "coefficients", .type = KATA_ATTRIBUTE_FLOATS, .floats = coefficients, .n = e->n},
        {.name = "intercepts", .type = KATA_ATTRIBUTE_FLOATS, .floats = intercepts, .n = e->n},
        KATA_INTS_OF("classlabels_ints", class_labels, width),
        KATA_STRING("post_transform", e->transform)};
    kata_value outputs[2];
    assert_ok(kata_graph_node_outputs(graph, NULL, "ai.onnx.ml:LinearClassifier", &input, 1,
                                      attributes, 4, outputs, 2));
    kata_session *session = run_kept(graph);
    const kata_tensor label = kata_session_value(session, outputs[0]);
    const kata_tensor score = kata_session_value(session, outputs[1]);
    assert_int_equal(label.dtype, KATA_I64);
    assert_int_equal(score.shape.dim[1], width);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(((const int64_t *)label.data)[i], e->labels[i]);
    }
    for (int i = 0; i < 2 * width; i++) {
        double got = (double)((const float *)score.data)[i];
        if (isnan(e->scores[i])) {
            assert_true(isnan(got));
        } else {
            assert_close(got, e->scores[i], 1e-5);
        }
    }
    kata_session_free(session);
    kata_graph_free(graph);
}

static void test_scores(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check(&cases[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_scores)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
