/* Measures against counts made by hand (course-and-tagging-article.md, part B, Evaluation). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <kata/metric.h>

#define CLOSE(a, b) assert_true(fabs((a) - (b)) < 1e-12)

/* Scores whose first maximum is class p. */
static void add(kata_classification *c, int p, int label) {
    float scores[3] = {0.1F, 0.1F, 0.1F};
    scores[p] = 0.9F;
    kata_classification_add(c, scores, label);
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
        cmocka_unit_test(test_multi_label), cmocka_unit_test(test_regression)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
