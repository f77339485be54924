/* Distances of names, and the nearest name for a message. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/text.h"

#include <string.h>

static void test_distance(void **state) {
    (void)state;
    static const struct {
        const char *a, *b;
        int distance;
    } cases[] = {{"", "", 0},           {"", "abc", 3},           {"mnist", "mnist", 0},
                 {"mnist", "mnst", 1},  {"mnist", "minst", 1},    {"mnist", "mnits", 1},
                 {"mnist", "MNIST", 5}, {"kitten", "sitting", 3}, {"ca", "abc", 3},
                 {"ab", "ba", 1},       {"abcdef", "badcfe", 3},  {"flaw", "lawn", 2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(kata__text_distance(cases[i].a, cases[i].b), cases[i].distance);
        assert_int_equal(kata__text_distance(cases[i].b, cases[i].a), cases[i].distance);
    }
}

static void test_long(void **state) {
    (void)state;
    char a[300], b[300];
    memset(a, 'x', sizeof a);
    a[127] = '\0';
    memcpy(b, a, sizeof b);
    b[5] = 'y';
    assert_int_equal(kata__text_distance(a, b), 1);
    memset(a, 'x', sizeof a);
    a[299] = '\0';
    assert_int_equal(kata__text_distance(a, a), 0);
    assert_int_equal(kata__text_distance(a, "x"), 299);
    assert_int_equal(kata__text_distance("x", a), 299);
}

static void test_nearest(void **state) {
    (void)state;
    static const char *const names[] = {"make:digits", "mnist", "iris"};
    assert_string_equal(kata__text_nearest("mnits", names, 3), "mnist");
    assert_string_equal(kata__text_nearest("make:digit", names, 3), "make:digits");
    assert_string_equal(kata__text_nearest("digits:make", names, 3) == NULL ? "none" : "some",
                        "none");
    assert_null(kata__text_nearest("cifar10", names, 3));
    assert_null(kata__text_nearest("mnist", names, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distance),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
