/* Trees: labels and scores of one stump under each post_transform, as onnxruntime 1.32 gives them;
 * comparisons, missing numbers, aggregates; lists that are no trees. */
#include "support/small_graph.h"

#include <string.h>

/* x[0] <= 0 ? leaf 1 : leaf 2. */
static const int64_t zeros[] = {0, 0, 0, 0}, ids[] = {0, 1, 2}, yes[] = {1, 0, 0}, no[] = {2, 0, 0};
static const double values[] = {0, 0, 0};
static const char *const modes[] = {"BRANCH_LEQ", "LEAF", "LEAF"};

/* The attributes of a stump, to be changed by a test. */
typedef struct stump {
    kata_attribute list[24];
    int n;
} stump;

static kata_attribute floats(const char *name, const double *list, int n) {
    return (kata_attribute){.name = name, .type = KATA_ATTRIBUTE_FLOATS, .floats = list, .n = n};
}

static void put(stump *s, kata_attribute attribute) {
    for (int i = 0; i < s->n; i++) {
        if (strcmp(s->list[i].name, attribute.name) == 0) {
            s->list[i] = attribute;
            return;
        }
    }
    s->list[s->n++] = attribute;
}

static stump make(bool classifies, const int64_t *leaves, const int64_t *targets,
                  const double *weights, int n) {
    stump s = {.n = 0};
    put(&s, (kata_attribute)KATA_INTS_OF("nodes_treeids", zeros, 3));
    put(&s, (kata_attribute)KATA_INTS_OF("nodes_nodeids", ids, 3));
    put(&s, (kata_attribute)KATA_INTS_OF("nodes_featureids", zeros, 3));
    put(&s, floats("nodes_values", values, 3));
    put(&s, (kata_attribute)KATA_STRINGS_OF("nodes_modes", modes, 3));
    put(&s, (kata_attribute)KATA_INTS_OF("nodes_truenodeids", yes, 3));
    put(&s, (kata_attribute)KATA_INTS_OF("nodes_falsenodeids", no, 3));
    put(&s,
        (kata_attribute)KATA_INTS_OF(classifies ? "class_treeids" : "target_treeids", zeros, n));
    put(&s,
        (kata_attribute)KATA_INTS_OF(classifies ? "class_nodeids" : "target_nodeids", leaves, n));
    put(&s, (kata_attribute)KATA_INTS_OF(classifies ? "class_ids" : "target_ids", targets, n));
    put(&s, floats(classifies ? "class_weights" : "target_weights", weights, n));
    return s;
}

/* Runs it on x (n,1); outputs are views of the session's memory. */
static kata_session *run(kata_graph *graph, const stump *s, bool classifies, const double *x, int n,
                         kata_tensor *first, kata_tensor *second) {
    const kata_value input = constant64(graph, x, KATA_SHAPE_OF(n, 1));
    kata_value outputs[2];
    assert_ok(kata_graph_node_outputs(graph, NULL,
                                      classifies ? "ai.onnx.ml:TreeEnsembleClassifier"
                                                 : "ai.onnx.ml:TreeEnsembleRegressor",
                                      &input, 1, s->list, s->n, outputs, classifies ? 2 : 1));
    kata_session *session = run_kept(graph);
    *first = kata_session_value(session, outputs[0]);
    *second = classifies ? kata_session_value(session, outputs[1]) : *first;
    return session;
}

typedef struct expected {
    const char *transform;
    int classes, n;
    int64_t leaves[4], targets[4];
    double weights[4];
    int64_t labels[2];
    double scores[6]; /* of x = -1, then of x = 1 */
} expected;

static const expected cases[] = {
    {"NONE", 2, 2, {1, 2}, {0, 0}, {.4, .7}, {0, 1}, {.6, .4, .3, .7}},
    {"LOGISTIC", 2, 2, {1, 2}, {0, 0}, {.4, .7}, {0, 1}, {.40131, .59869, .33181, .66819}},
    {"SOFTMAX", 2, 2, {1, 2}, {0, 0}, {.4, .7}, {0, 1}, {.6, .4, .3, .7}},
    {"NONE", 2, 2, {1, 2}, {1, 1}, {.4, .7}, {0, 1}, {0, .4, 0, .7}},
    {"LOGISTIC", 2, 2, {1, 2}, {1, 1}, {.4, .7}, {0, 1}, {.5, .59869, .5, .66819}},
    {"NONE", 2, 2, {1, 2}, {0, 0}, {-.4, .7}, {0, 1}, {.4, -.4, -.7, .7}},
    {"LOGISTIC", 2, 2, {1, 2}, {0, 0}, {-.4, .7}, {0, 1}, {.59869, .40131, .33181, .66819}},
    {"NONE", 2, 4, {1, 1, 2, 2}, {0, 1, 0, 1}, {.8, .2, .3, .7}, {1, 1}, {.8, .2, .3, .7}},
    {"SOFTMAX",
     2,
     4,
     {1, 1, 2, 2},
     {0, 1, 0, 1},
     {.8, .2, .3, .7},
     {1, 1},
     {.64566, .35434, .40131, .59869}},
    {"NONE", 2, 4, {1, 1, 2, 2}, {0, 1, 0, 1}, {.8, -.2, -.3, .7}, {0, 1}, {.8, -.2, -.3, .7}},
    {"NONE", 3, 3, {1, 1, 2}, {0, 2, 1}, {.5, .9, -.5}, {2, 1}, {.5, 0, .9, 0, -.5, 0}},
    {"SOFTMAX",
     3,
     3,
     {1, 1, 2},
     {0, 2, 1},
     {.5, .9, -.5},
     {2, 1},
     {.32275, .19576, .48149, .38365, .23270, .38365}},
    {"SOFTMAX_ZERO",
     3,
     3,
     {1, 1, 2},
     {0, 2, 1},
     {.5, .9, -.5},
     {2, 1},
     {.40131, 0, .59869, 0, 1, 0}},
};

static void check(const expected *e) {
    const double x[] = {-1, 1};
    kata_graph *graph = small_graph();
    kata_tensor label, score;
    stump s = make(true, e->leaves, e->targets, e->weights, e->n);
    put(&s, (kata_attribute)KATA_INTS_OF("classlabels_int64s", ids, e->classes));
    put(&s, (kata_attribute)KATA_STRING("post_transform", e->transform));
    kata_session *session = run(graph, &s, true, x, 2, &label, &score);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(((const int64_t *)label.data)[i], e->labels[i]);
    }
    for (int i = 0; i < 2 * e->classes; i++) {
        assert_close((double)((const float *)score.data)[i], e->scores[i], 1e-5);
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

/* base_values of three classes give each a score, so that any may be chosen. */
static void test_base_values_and_texts(void **state) {
    (void)state;
    static const char *const names[] = {"a", "b", "c"};
    const double x[] = {-1, 1}, base[] = {.1, .2, .3};
    const double expected_scores[] = {.6, .2, 1.2, .1, -.3, .3};
    kata_graph *graph = small_graph();
    kata_tensor label, score;
    stump s = make(true, (int64_t[]){1, 1, 2}, (int64_t[]){0, 2, 1}, (double[]){.5, .9, -.5}, 3);
    put(&s, (kata_attribute)KATA_STRINGS_OF("classlabels_strings", names, 3));
    put(&s, floats("base_values", base, 3));
    kata_session *session = run(graph, &s, true, x, 2, &label, &score);
    assert_int_equal(label.dtype, KATA_STRING);
    for (int i = 0; i < 2; i++) {
        const kata_string text = ((const kata_string *)label.data)[i];
        assert_int_equal(text.n_bytes, 1);
        assert_memory_equal(text.data, "c", 1);
    }
    for (int i = 0; i < 6; i++) {
        assert_close((double)((const float *)score.data)[i], expected_scores[i], 1e-6);
    }
    kata_session_free(session);
    kata_graph_free(graph);
}

/* Each comparison at, below and above the value, and where NaN goes. */
static void test_comparisons(void **state) {
    (void)state;
    static const char *const names[] = {"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE",
                                        "BRANCH_GT",  "BRANCH_EQ", "BRANCH_NEQ"};
    static const double expected_y[6][4] = {{1, 1, 2, 2}, {1, 2, 2, 2}, {2, 1, 1, 2},
                                            {2, 2, 1, 2}, {2, 1, 2, 2}, {1, 2, 1, 2}};
    const double x[] = {-1, 0, 1, (double)NAN};
    for (int m = 0; m < 12; m++) {
        const char *const changed[] = {names[m % 6], "LEAF", "LEAF"};
        const int64_t missing[] = {m / 6, 0, 0};
        kata_graph *graph = small_graph();
        kata_tensor y, unused;
        stump s = make(false, (int64_t[]){1, 2}, zeros, (double[]){1, 2}, 2);
        put(&s, (kata_attribute)KATA_STRINGS_OF("nodes_modes", changed, 3));
        put(&s, (kata_attribute)KATA_INTS_OF("nodes_missing_value_tracks_true", missing, 3));
        kata_session *session = run(graph, &s, false, x, 4, &y, &unused);
        for (int i = 0; i < 3; i++) {
            assert_close((double)((const float *)y.data)[i], expected_y[m % 6][i], 0);
        }
        assert_close((double)((const float *)y.data)[3], m < 6 ? 2 : 1, 0);
        kata_session_free(session);
        kata_graph_free(graph);
    }
}

/* Two stumps: leaves 1 and 2 of the first, 3 and 5 of the second. */
static void test_aggregates(void **state) {
    (void)state;
    static const struct {
        const char *name;
        double y[2];
    } all[] = {
        {"SUM", {4.5, 7.5}}, {"AVERAGE", {2.5, 4}}, {"MIN", {1.5, 2.5}}, {"MAX", {3.5, 5.5}}};
    const int64_t trees[] = {7, 7, 7, 8, 8, 8}, numbers[] = {0, 1, 2, 0, 1, 2};
    const int64_t to_yes[] = {1, 0, 0, 1, 0, 0}, to_no[] = {2, 0, 0, 2, 0, 0};
    const int64_t no_features[6] = {0}, weight_trees[] = {7, 7, 8, 8}, leaves[] = {1, 2, 1, 2};
    const double thresholds[6] = {0}, weights[] = {1, 2, 3, 5}, base[] = {0.5}, x[] = {-1, 1};
    const char *const kinds[] = {"BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"};
    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) {
        kata_graph *graph = small_graph();
        kata_tensor y, unused;
        stump s = make(false, leaves, zeros, weights, 4);
        put(&s, (kata_attribute)KATA_INTS_OF("nodes_treeids", trees, 6));
        put(&s, (kata_attribute)KATA_INTS_OF("nodes_nodeids", numbers, 6));
        put(&s, (kata_attribute)KATA_INTS_OF("nodes_featureids", no_features, 6));
        put(&s, floats("nodes_values", thresholds, 6));
        put(&s, (kata_attribute)KATA_STRINGS_OF("nodes_modes", kinds, 6));
        put(&s, (kata_attribute)KATA_INTS_OF("nodes_truenodeids", to_yes, 6));
        put(&s, (kata_attribute)KATA_INTS_OF("nodes_falsenodeids", to_no, 6));
        put(&s, (kata_attribute)KATA_INTS_OF("target_treeids", weight_trees, 4));
        put(&s, floats("base_values", base, 1));
        put(&s, (kata_attribute)KATA_STRING("aggregate_function", all[k].name));
        put(&s,
            (kata_attribute)KATA_STRING("post_transform", "LOGISTIC")); /* of one target: none */
        kata_session *session = run(graph, &s, false, x, 2, &y, &unused);
        assert_close((double)((const float *)y.data)[0], all[k].y[0], 1e-6);
        assert_close((double)((const float *)y.data)[1], all[k].y[1], 1e-6);
        kata_session_free(session);
        kata_graph_free(graph);
    }
}

static void expect_fault(const stump *s, const char *says) {
    kata_graph *graph = small_graph();
    kata_session *session = NULL;
    const double x[] = {0};
    const kata_value input = constant64(graph, x, KATA_SHAPE_OF(1, 1));
    kata_value output;
    kata_status status = kata_graph_node_outputs(graph, NULL, "ai.onnx.ml:TreeEnsembleRegressor",
                                                 &input, 1, s->list, s->n, &output, 1);
    if (status == KATA_OK) {
        assert_ok(kata_graph_output(graph, "y", output));
        status = kata_session_new(&session, graph, NULL);
    }
    assert_int_not_equal(status, KATA_OK);
    if (strstr(kata_error_message(), says) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", kata_error_message(), says);
    }
    kata_graph_free(graph);
}

static void test_no_trees(void **state) {
    (void)state;
    const stump good = make(false, (int64_t[]){1, 2}, zeros, (double[]){1, 2}, 2);
    stump s = good;
    put(&s, (kata_attribute)KATA_INTS("nodes_truenodeids", 9, 0, 0));
    expect_fault(&s, "node 0 of tree 0 leads to a node that is not there");
    s = good;
    put(&s, (kata_attribute)KATA_INTS("nodes_truenodeids", 2, 0, 0));
    expect_fault(&s, "node 0 of tree 0 leads to a node that has another way to it");
    s = good; /* in a circle */
    put(&s, (kata_attribute)KATA_STRINGS_OF(
                "nodes_modes", ((const char *const[]){"BRANCH_LEQ", "BRANCH_LEQ", "LEAF"}), 3));
    put(&s, (kata_attribute)KATA_INTS("nodes_truenodeids", 1, 0, 0));
    put(&s, (kata_attribute)KATA_INTS("nodes_falsenodeids", 2, 1, 0));
    expect_fault(&s, "leads to a node that has another way to it");
    s = good;
    put(&s, (kata_attribute)KATA_STRINGS_OF("nodes_modes",
                                            ((const char *const[]){"LEAF", "LEAF", "LEAF"}), 3));
    expect_fault(&s, "1 trees have 3 roots");
    s = good;
    put(&s, (kata_attribute)KATA_INTS("nodes_nodeids", 0, 0, 2));
    expect_fault(&s, "node 0 of tree 0 is there twice");
    s = good;
    put(&s, (kata_attribute)KATA_INTS("nodes_featureids", 3, 0, 0));
    expect_fault(&s, "its trees read 4 columns, the input has 1");
    s = good;
    put(&s, (kata_attribute)KATA_INTS("nodes_featureids", -1, 0, 0));
    expect_fault(&s, "node 0 of tree 0 reads a column that cannot be");
    s = good;
    put(&s, (kata_attribute)KATA_INTS("nodes_featureids", 0, 0));
    expect_fault(&s, "the lists of its 3 nodes differ in length");
    s = good;
    put(&s, (kata_attribute)KATA_INTS("target_ids", 0, 1));
    expect_fault(&s, "weight 1 is for target 1 of node 2 of tree 0, which is no leaf or no target");
    s = good;
    put(&s, (kata_attribute)KATA_INTS("target_nodeids", 0, 2));
    expect_fault(&s, "weight 0 is for target 0 of node 0 of tree 0");
    s = good;
    put(&s, (kata_attribute)KATA_STRINGS_OF("nodes_modes",
                                            ((const char *const[]){"IF", "LEAF", "LEAF"}), 3));
    expect_fault(&s, "node 0 of tree 0 has a mode that is not known");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scores),      cmocka_unit_test(test_base_values_and_texts),
        cmocka_unit_test(test_comparisons), cmocka_unit_test(test_aggregates),
        cmocka_unit_test(test_no_trees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
