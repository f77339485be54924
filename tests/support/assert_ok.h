/* A call that must succeed: the test fails with its sentence. After <cmocka.h>. */
#ifndef KATA_TESTS_ASSERT_OK_H
#define KATA_TESTS_ASSERT_OK_H

#include <kata/base.h>

#define assert_ok(expression)                                                                      \
    do {                                                                                           \
        if ((expression) != KATA_OK) {                                                             \
            fail_msg("%s: %s", #expression, kata_error_message());                                 \
        }                                                                                          \
    } while (0)

#endif
