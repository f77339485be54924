/* Measures against counts made by hand (course-and-tagging-article.md, part B, Evaluation). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <kata/metric.h>

#define CLOSE(a, b) assert_true(fabs((a) - (b)) < 1e-12)

/* Scores whose first maximum is class p. */
static void add(kata_classification *c, int p, int label) {
    float scores[3] = {0.1F, 0.1F, 0.1F};
    scores[p] = 0.9F;
    assert_int_equal(kata_classification_add(c, scores, label), KATA_OK);
}

static void test_classification(void **state) {
    (void)state;
    kata_classification c;
    assert_int_equal(kata_classification_new(&c, kata_context_default(), 3, 2), KATA_OK);
    CLOSE(kata_classification_accuracy(&c), 0);
    /*          predicted 0 1 2
     * true 0             2 1 0
     * true 1             0 3 1
     * true 2             1 0 0 */
    add(&c, 0, 0), add(&c, 0, 0), add(&c, 1, 0);
    add(&c, 1, 1), add(&c, 1, 1), add(&c, 1, 1), add(&c, 2, 1);
    add(&c, 0, 2);
    CLOSE(kata_classification_accuracy(&c), 5.0 / 8);
    kata_class_scores zero = kata_classification_class(&c, 0);
    CLOSE(zero.precision, 2.0 / 3);
    CLOSE(zero.recall, 2.0 / 3);
    CLOSE(zero.f1, 2.0 / 3);
    assert_int_equal(zero.support, 3);
    kata_class_scores one = kata_classification_class(&c, 1);
    CLOSE(one.precision, 3.0 / 4);
    CLOSE(one.recall, 3.0 / 4);
    kata_class_scores two = kata_classification_class(&c, 2);
    CLOSE(two.precision, 0);
    CLOSE(two.recall, 0);
    CLOSE(two.f1, 0);
    kata_class_scores macro = kata_classification_macro(&c);
    CLOSE(macro.precision, (2.0 / 3 + 3.0 / 4) / 3);
    CLOSE(macro.f1, (2.0 / 3 + 3.0 / 4) / 3);
    kata_class_scores micro = kata_classification_micro(&c);
    CLOSE(micro.precision, 5.0 / 8);
    CLOSE(micro.f1, 5.0 / 8);
    assert_int_equal(micro.support, 8);
    kata_classification_clear(&c);
    assert_int_equal(c.n, 0);
    kata_classification_free(&c);
    assert_int_equal(kata_classification_new(&c, kata_context_default(), 0, 0), KATA_INVALID);
}

static void test_top_k_and_ties(void **state) {
    (void)state;
    kata_classification c;
    assert_int_equal(kata_classification_new(&c, kata_context_default(), 3, 2), KATA_OK);
    kata_classification_add(&c, (float[]){0.5F, 0.3F, 0.2F}, 1); /* second best: in the top 2 */
    kata_classification_add(&c, (float[]){0.5F, 0.3F, 0.2F}, 2); /* third: not */
    CLOSE(kata_classification_top_k(&c), 0.5);
    kata_classification_add(&c, (float[]){0.4F, 0.4F, 0.2F}, 0); /* the first of equals wins */
    CLOSE(kata_classification_accuracy(&c), 1.0 / 3);
    kata_classification_clear(&c);
    for (int label = 0; label < 3;
         label++) { /* a model that says nothing: 2 of 3 are in the top 2 */
        kata_classification_add(&c, (float[]){1, 1, 1}, label);
    }
    CLOSE(kata_classification_top_k(&c), 2.0 / 3);
    kata_classification_clear(&c);
    kata_classification_add(&c, (float[]){9, NAN, NAN},
                            0); /* a NaN is the largest, the first one */
    kata_classification_add(&c, (float[]){9, NAN, NAN}, 1);
    kata_classification_add(&c, (float[]){NAN, 1, 2}, 0);
    CLOSE(kata_classification_accuracy(&c), 2.0 / 3);
    CLOSE(kata_classification_top_k(&c), 2.0 / 3);
    kata_classification_add(&c, (float[]){1, 0, 0}, 3); /* a label outside is not counted */
    assert_int_equal(c.n, 3);
    kata_classification_free(&c);
}

static void test_multi_label(void **state) {
    (void)state;
    kata_multi_label m;
    assert_int_equal(kata_multi_label_new(&m, kata_context_default(), 3, 0.5), KATA_OK);
    kata_multi_label_add(&m, (float[]){0.9F, 0.8F, 0.1F}, (float[]){1, 0, 0});
    kata_multi_label_add(&m, (float[]){0.7F, 0.2F, 0.5F}, (float[]){1, 1, 1});
    kata_multi_label_add(&m, (float[]){0.2F, 0.9F, 0.3F}, (float[]){0, 1, 0});
    /* label 0: TP 2; label 1: TP 1, FP 1, FN 1; label 2: TP 1 */
    kata_class_scores one = kata_multi_label_label(&m, 1);
    CLOSE(one.precision, 0.5);
    CLOSE(one.recall, 0.5);
    kata_class_scores micro = kata_multi_label_micro(&m);
    CLOSE(micro.precision, 4.0 / 5);
    CLOSE(micro.recall, 4.0 / 5);
    kata_class_scores macro = kata_multi_label_macro(&m);
    CLOSE(macro.f1, (1 + 0.5 + 1) / 3);
    CLOSE(kata_multi_label_exact(&m), 1.0 / 3);
    CLOSE(kata_multi_label_hamming(&m), 2.0 / 9);
    kata_multi_label_free(&m);
}

/* scikit-learn 1.9: precision_recall_fscore_support(truth, answers, zero_division=0) with
 * average="macro" and "micro", accuracy_score. 10 classes, of which 0, 1, 2 are in the data and 7
 * is an answer. */
static void test_classes_that_occur(void **state) {
    (void)state;
    static const int truth[] = {0, 0, 0, 1, 1, 2, 2, 2, 2}, answer[] = {0, 0, 1, 1, 7, 2, 2, 2, 0};
    kata_classification c;
    assert_int_equal(kata_classification_new(&c, kata_context_default(), 10, 1), KATA_OK);
    CLOSE(kata_classification_macro(&c).f1, 0); /* of nothing */
    for (int i = 0; i < 4; i++) {
        float scores[10] = {[0] = 1};
        assert_int_equal(kata_classification_add(&c, scores, 0), KATA_OK);
    }
    CLOSE(kata_classification_macro(&c).f1, 1);
    CLOSE(kata_classification_macro(&c).precision, 1);
    kata_classification_clear(&c);
    for (int i = 0; i < 9; i++) {
        float scores[10] = {0};
        scores[answer[i]] = 1;
        assert_int_equal(kata_classification_add(&c, scores, truth[i]), KATA_OK);
    }
    kata_class_scores macro = kata_classification_macro(&c), micro = kata_classification_micro(&c);
    CLOSE(macro.precision, 0.54166666666666663);
    CLOSE(macro.recall, 0.47916666666666663);
    CLOSE(macro.f1, 0.50595238095238093);
    CLOSE(micro.f1, 0.66666666666666663);
    CLOSE(kata_classification_accuracy(&c), 0.66666666666666663);
    CLOSE(kata_classification_top_k(&c), 0.66666666666666663);
    CLOSE(kata_classification_class(&c, 2).f1, 0.8571428571428571);
    CLOSE(kata_classification_class(&c, 7).precision, 0);
    assert_int_equal(kata_classification_class(&c, 7).support, 0);
    assert_int_equal(macro.support, 9);
    kata_classification_free(&c);
}

/* 60,040 classes, one sample each, and mistakes of every kind: memory stays a few megabytes, and
 * the counts are right after the table has grown many times. */
static void test_many_classes(void **state) {
    (void)state;
    enum { CLASSES = 60040, EACH = 997 };
    kata_context *context;
    kata_classification c;
    assert_int_equal(kata_context_new(&context, NULL), KATA_OK);
    float *scores = calloc(CLASSES, sizeof *scores);
    const size_t before = kata_context_bytes(context);
    assert_int_equal(kata_classification_new(&c, context, CLASSES, 5), KATA_OK);
    int64_t n = 0;
    for (int label = 0; label < CLASSES; label += 60) { /* 1001 classes */
        int answer = label % EACH == 0 ? label : (label * 7 + 1) % CLASSES;
        scores[answer] = 1;
        assert_int_equal(kata_classification_add(&c, scores, label), KATA_OK);
        assert_int_equal(kata_classification_add(&c, scores, label), KATA_OK);
        scores[answer] = 0;
        n += 2;
    }
    scores[5] = 1;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kata_classification_add(&c, scores, 4), KATA_OK);
    }
    assert_int_equal(c.n, n + 3);
    assert_int_equal(c.n_mistakes, 1001 - 2 + 1); /* labels 0 and 59,820 are read right */
    assert_true(kata_context_bytes(context) - before < 2 * 1024 * 1024);
    assert_int_equal(kata_classification_count(&c, 4, 5), 3);
    assert_int_equal(kata_classification_count(&c, 120, 841), 2);
    assert_int_equal(kata_classification_count(&c, 59820, 59820), 2);
    assert_int_equal(kata_classification_count(&c, 841, 120), 0);
    assert_int_equal(kata_classification_count(&c, 841, CLASSES), 0);
    kata_confusion top[3];
    assert_int_equal(kata_classification_mistakes(&c, top, 3), 3);
    assert_true(top[0].count == 3 && top[0].truth == 4 && top[0].answer == 5);
    assert_true(top[1].count == 2 && top[1].truth == 60 && top[1].answer == 421);
    assert_true(top[2].count == 2 && top[2].truth == 120 && top[2].answer == 841);
    kata_classification_clear(&c);
    assert_int_equal(kata_classification_mistakes(&c, top, 3), 0);
    kata_classification_free(&c);
    assert_int_equal(kata_context_bytes(context), before);
    free(scores);
    kata_context_free(context);
}

/* scikit-learn 1.9, the same functions with 5 labels, of which the fourth never occurs:
 * labels=[0, 1, 2, 4] for macro; accuracy_score, hamming_loss. */
static void test_labels_that_occur(void **state) {
    (void)state;
    static const float truth[4][5] = {{1}, {1, 1, 1}, {0, 1}, {0, 0, 1}};
    static const float said[4][5] = {{1, 1}, {1, 0, 1, 0, 1}, {0, 1}, {0}};
    kata_multi_label m;
    assert_int_equal(kata_multi_label_new(&m, kata_context_default(), 5, 0.5), KATA_OK);
    CLOSE(kata_multi_label_macro(&m).f1, 0);
    for (int i = 0; i < 4; i++) {
        kata_multi_label_add(&m, said[i], truth[i]);
    }
    kata_class_scores macro = kata_multi_label_macro(&m), micro = kata_multi_label_micro(&m);
    CLOSE(macro.precision, 0.625);
    CLOSE(macro.recall, 0.5);
    CLOSE(macro.f1, 0.5416666666666666);
    CLOSE(micro.precision, 0.66666666666666663);
    CLOSE(micro.recall, 0.66666666666666663);
    CLOSE(kata_multi_label_label(&m, 2).f1, 0.66666666666666663);
    CLOSE(kata_multi_label_exact(&m), 0.25);
    CLOSE(kata_multi_label_hamming(&m), 0.2);
    kata_multi_label_free(&m);
}

static void test_regression(void **state) {
    (void)state;
    kata_regression r = {0};
    CLOSE(kata_regression_r2(&r), 0);
    /* y = x^3 of the course: targets 1, 8, 27, 64 */
    const double targets[] = {1, 8, 27, 64}, predicted[] = {2, 8, 26, 62};
    for (int i = 0; i < 4; i++) {
        kata_regression_add(&r, predicted[i], targets[i]);
    }
    CLOSE(kata_regression_mean_squared_error(&r), 6.0 / 4);
    CLOSE(kata_regression_mean_absolute_error(&r), 4.0 / 4);
    CLOSE(kata_regression_r2(&r), 1 - 6.0 / 2390); /* sum (t - 25)^2 = 576+289+4+1521 */
    kata_regression constant = {0};
    kata_regression_add(&constant, 1, 1e9);
    kata_regression_add(&constant, 1, 1e9);
    CLOSE(kata_regression_r2(&constant), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classification), cmocka_unit_test(test_top_k_and_ties),
        cmocka_unit_test(test_multi_label),    cmocka_unit_test(test_classes_that_occur),
        cmocka_unit_test(test_many_classes),   cmocka_unit_test(test_labels_that_occur),
        cmocka_unit_test(test_regression)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
