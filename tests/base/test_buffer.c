/* The growable buffer and its JSON writers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "base/check.h"
#include "support/counting_allocator.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static kata_test_allocator allocator;
static kata_context *context;

static int set_up(void **state) {
    (void)state;
    kata_test_allocator_init(&allocator);
    context = kata_test_context(&allocator, 1);
    return context == NULL;
}

static int tear_down(void **state) {
    (void)state;
    kata_context_free(context);
    return atomic_load(&allocator.n_live) != 0;
}

static void appending(void **state) {
    (void)state;
    kata__buffer buffer;
    kata__buffer_init(&buffer, context, 100000);
    assert_null(buffer.data);
    assert_int_equal(kata__buffer_append(&buffer, NULL, 0), KATA_OK);
    assert_string_equal(buffer.data, "");
    assert_int_equal(kata__buffer_text(&buffer, "abc"), KATA_OK);
    assert_int_equal(kata__buffer_append(&buffer, "d\0e", 3), KATA_OK);
    assert_int_equal(buffer.size, 6);
    assert_memory_equal(buffer.data, "abcd\0e", 7);
    kata__buffer_clear(&buffer);
    assert_string_equal(buffer.data, "");
    assert_int_equal(kata__buffer_printf(&buffer, "%d-%s", 12, "x"), KATA_OK);
    assert_string_equal(buffer.data, "12-x");
    kata__buffer_clear(&buffer);
    assert_int_equal(kata__buffer_printf(&buffer, "%0900d", 7), KATA_OK);
    assert_int_equal(buffer.size, 900);
    assert_string_equal(buffer.data + 898, "07");
    /* Its own contents, through every growth. */
    kata__buffer_clear(&buffer);
    kata__buffer_text(&buffer, "ab");
    for (int i = 0; i < 14; i++) {
        assert_int_equal(kata__buffer_append(&buffer, buffer.data, buffer.size), KATA_OK);
    }
    assert_int_equal(buffer.size, 1 << 15);
    for (size_t i = 0; i < buffer.size; i += 2) {
        assert_memory_equal(buffer.data + i, "ab", 2);
    }
    kata__buffer_free(&buffer);
    kata__buffer_free(&buffer);
    kata__buffer_free(NULL);
}

/* What JSON has no number for is null. */
static void json_floats(void **state) {
    (void)state;
    static const float values[] = {0.1F, -3, 1e-40F, 16777217, NAN, INFINITY, -INFINITY};
    kata__buffer buffer;
    kata__buffer_init(&buffer, context, 1000);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        kata__buffer_text(&buffer, i > 0 ? "," : "");
        kata__buffer_json_float(&buffer, values[i]);
    }
    assert_string_equal(buffer.data, "0.100000001,-3,9.9999461e-41,16777216,null,null,null");
    kata__buffer_free(&buffer);
}

static void maximum(void **state) {
    (void)state;
    kata__buffer buffer;
    kata__buffer_init(&buffer, context, 10);
    assert_int_equal(kata__buffer_text(&buffer, "0123456789"), KATA_OK);
    assert_int_equal(kata__buffer_append(&buffer, NULL, 0), KATA_OK);
    assert_int_equal(kata__buffer_text(&buffer, "x"), KATA_LIMIT);
    assert_string_equal(kata_error_message(),
                        "a buffer of 10 bytes cannot grow by 1: at most 10 are allowed");
    /* Sticky. */
    assert_int_equal(buffer.status, KATA_LIMIT);
    assert_int_equal(kata__buffer_append(&buffer, "", 0), KATA_LIMIT);
    assert_int_equal(kata__buffer_printf(&buffer, "y"), KATA_LIMIT);
    assert_int_equal(kata__buffer_json_number(&buffer, 1), KATA_LIMIT);
    assert_int_equal(kata__buffer_json_string(&buffer, "z"), KATA_LIMIT);
    assert_string_equal(buffer.data, "0123456789");
    kata__buffer_clear(&buffer);
    assert_int_equal(kata__buffer_text(&buffer, "ok"), KATA_OK);
    assert_int_equal(kata__buffer_append(&buffer, "ok", SIZE_MAX), KATA_LIMIT);
    kata__buffer_free(&buffer);

    kata__buffer_init(&buffer, context, 1000);
    assert_int_equal(kata__buffer_printf(&buffer, "%0999d", 1), KATA_OK);
    assert_int_equal(kata__buffer_printf(&buffer, "%0999d", 1), KATA_LIMIT);
    assert_int_equal(buffer.size, 999);
    kata__buffer_free(&buffer);

    kata__buffer_init(&buffer, context, SIZE_MAX);
    kata_test_allocator_reset(&allocator, 1);
    assert_int_equal(kata__buffer_text(&buffer, "x"), KATA_OUT_OF_MEMORY);
    assert_int_equal(kata__buffer_text(&buffer, "x"), KATA_OUT_OF_MEMORY);
    kata__buffer_clear(&buffer);
    assert_int_equal(kata__buffer_text(&buffer, "x"), KATA_OK);
    kata_test_allocator_reset(&allocator, 1);
    assert_int_equal(kata__buffer_printf(&buffer, "%0999d", 1), KATA_OUT_OF_MEMORY);
    assert_string_equal(buffer.data, "x");
    kata__buffer_free(&buffer);
}

static void json_strings(void **state) {
    (void)state;
    static const struct {
        const char *text, *json;
    } cases[] = {
        {"", "\"\""},
        {"abc", "\"abc\""},
        {"a\"b\\c/d", "\"a\\\"b\\\\c/d\""},
        {"\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\""},
        {"\x01\x1f\x7f", "\"\\u0001\\u001f\x7f\""},
        {"caf\xC3\xA9 \xE5\x9E\x8B \xF0\x9F\x98\x80",
         "\"caf\xC3\xA9 \xE5\x9E\x8B \xF0\x9F\x98\x80\""},
        {"\xFF", "\"\xEF\xBF\xBD\""},
        {"a\x80z", "\"a\xEF\xBF\xBDz\""},
        {"\xC3", "\"\xEF\xBF\xBD\""},     /* cut short */
        {"\xE5\x9E", "\"\xEF\xBF\xBD\""}, /* one for the whole */
        {"\xE5\x9E!", "\"\xEF\xBF\xBD!\""},
        {"\xC0\xAF", "\"\xEF\xBF\xBD\xEF\xBF\xBD\""}, /* overlong */
        {"\xE0\x80\xAF", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"\xED\xA0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""}, /* a surrogate */
        {"\xF4\x90\x80\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"\xF4\x8F\xBF\xBF", "\"\xF4\x8F\xBF\xBF\""},
        {"\xF0\x9F\x98", "\"\xEF\xBF\xBD\""},
    };
    kata__buffer buffer;
    kata__buffer_init(&buffer, context, 1000);
    for (size_t i = 0; i < KATA__COUNT(cases); i++) {
        kata__buffer_clear(&buffer);
        assert_int_equal(kata__buffer_json_string(&buffer, cases[i].text), KATA_OK);
        assert_string_equal(buffer.data, cases[i].json);
    }
    kata__buffer_free(&buffer);
    /* Every place where it may not fit. */
    for (size_t room = 0; room < 12; room++) {
        kata__buffer_init(&buffer, context, room);
        assert_int_equal(kata__buffer_json_string(&buffer, "a\x01\n\xFF"), KATA_LIMIT);
        kata__buffer_free(&buffer);
    }
}

static void number_is(double value, const char *json) {
    kata__buffer buffer;
    kata__buffer_init(&buffer, context, 100);
    assert_int_equal(kata__buffer_json_number(&buffer, value), KATA_OK);
    assert_string_equal(buffer.data, json);
    kata__buffer_free(&buffer);
}

static void json_numbers(void **state) {
    (void)state;
    number_is(0, "0");
    number_is(-0.0, "-0");
    number_is(1, "1");
    number_is(0.1, "0.1");
    number_is(-2.5, "-2.5");
    number_is(1e100, "1e+100");
    number_is(100000, "100000");
    number_is(1.0 / 3, "0.3333333333333333");
    number_is(0.1 + 0.2, "0.30000000000000004");
    number_is((double)NAN, "null");
    number_is((double)INFINITY, "null");
    number_is(-(double)INFINITY, "null");

    kata__buffer buffer;
    kata__buffer_init(&buffer, context, 100);
    static const double edges[] = {
        DBL_MAX, -DBL_MAX, DBL_MIN, 0x1p-1074, 0x1.fffffffffffffp0, FLT_MAX, 9007199254740993.0};
    for (int i = 0; i < 20000; i++) {
        double value;
        if (i < (int)KATA__COUNT(edges)) {
            value = edges[i];
        } else {
            uint64_t bits = (uint64_t)kata_random_bits(1, 0, 0, 2 * (uint64_t)i) << 32 |
                            kata_random_bits(1, 0, 0, 2 * (uint64_t)i + 1);
            memcpy(&value, &bits, sizeof value);
            if (!isfinite(value)) {
                continue;
            }
        }
        kata__buffer_clear(&buffer);
        kata__buffer_json_number(&buffer, value);
        assert_true(strtod(buffer.data, NULL) == value);
        assert_true(buffer.data[strspn(buffer.data, "0123456789.+-e")] == '\0');
    }
    kata__buffer_free(&buffer);
    /* A locale with a decimal comma, where one is installed. */
    static const char *const locales[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "nl_NL.UTF-8"};
    for (size_t i = 0; i < KATA__COUNT(locales); i++) {
        if (setlocale(LC_ALL, locales[i]) != NULL) {
            number_is(1234.5, "1234.5");
        }
    }
    setlocale(LC_ALL, "C");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(appending, set_up, tear_down),
        cmocka_unit_test_setup_teardown(maximum, set_up, tear_down),
        cmocka_unit_test_setup_teardown(json_strings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(json_numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(json_floats, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
