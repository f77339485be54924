/* The strict JSON reader: what RFC 8259 allows, what it does not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "format/json.h"

#include <stdlib.h>
#include <string.h>

/* The tokens' kinds as letters, from a block of exactly the text's size; "!" at an error. */
static const char *letters(const char *text, size_t size, char out[512]) {
    static const char letter[] = ".{}[]ksntf0";
    char *copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    memcpy(copy, text, size);
    kata__json json;
    kata__json_token token;
    kata__json_init(&json, copy, size);
    size_t n = 0;
    for (;;) {
        assert_true(n < 510);
        if (kata__json_next(&json, &token) != KATA_OK) {
            out[n++] = '!';
            break;
        }
        out[n++] = letter[token.kind];
        if (token.kind == KATA__JSON_END) {
            break;
        }
    }
    out[n] = '\0';
    free(copy);
    return out;
}

static void valid_texts(void **state) {
    (void)state;
    static const struct {
        const char *text, *letters;
    } cases[] = {
        {"{}", "{}."},
        {" [ ] ", "[]."},
        {"null", "0."},
        {"\"x\"", "s."},
        {"-0.5e+10", "n."},
        {"[1,2,[true,false,null]]", "[nn[tf0]]."},
        {"{\"a\":1,\"b\":{\"c\":[]}}", "{knk{k[]}}."},
        {"\t\r\n{ \"a\" : \"b\" , \"c\" : -1 }\n", "{kskn}."},
        {"[0,10,0.0,1E5,1e-5]", "[nnnnn]."},
    };
    char out[512];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(letters(cases[i].text, strlen(cases[i].text), out), cases[i].letters);
    }
}

static void invalid_texts(void **state) {
    (void)state;
    static const char *const cases[] = {
        "",
        " ",
        "{",
        "}",
        "[",
        "]",
        "{]",
        "[}",
        "[1,]",
        "{\"a\":1,}",
        "[,1]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{'a':1}",
        "{\"a\" 1}",
        "[1 2]",
        "01",
        "-",
        "-01",
        "1.",
        ".5",
        "+1",
        "1e",
        "1e+",
        "0x10",
        "NaN",
        "Infinity",
        "-Infinity",
        "tru",
        "nul",
        "True",
        "\"",
        "\"a",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u123g\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\\ud800\\ud800\"",
        "\"\n\"",
        "\"\t\"",
        "\"\xff\"",
        "\"\xc0\x80\"",
        "{} {}",
        "1 2",
        "// x\n1",
        "/* */1",
        "[1]x",
        "\xef\xbb\xbf{}",
        "{1:2}",
        "{null:1}",
        "\"a\" : 1",
        "[\"a\":1]",
    };
    char out[512];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        letters(cases[i], strlen(cases[i]), out);
        if (strchr(out, '!') == NULL) {
            fail_msg("\"%s\" is taken as %s", cases[i], out);
        }
        assert_non_null(strstr(kata_error_message(), "JSON"));
    }
    assert_non_null(strchr(letters("\"a\0b\"", 5, out), '!'));
    assert_non_null(strchr(letters("{}\0", 3, out), '!'));
}

static void escapes(void **state) {
    (void)state;
    char text[] = "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u672c\\ud83d\\ude00z\"";
    kata__json json;
    kata__json_token token;
    kata__json_init(&json, text, strlen(text));
    assert_int_equal(kata__json_next(&json, &token), KATA_OK);
    assert_int_equal(token.kind, KATA__JSON_STRING);
    assert_string_equal(token.text, "\"\\/\b\f\n\r\tA\xc3\xa9\xe6\x9c\xac\xf0\x9f\x98\x80z");
    assert_int_equal(token.length, strlen(token.text));
    assert_int_equal(token.place, 0);
    assert_int_equal(kata__json_next(&json, &token), KATA_OK);
    assert_int_equal(token.kind, KATA__JSON_END);
}

static void depth_is_bounded(void **state) {
    (void)state;
    char text[200000], out[512];
    memset(text, '[', sizeof text);
    letters(text, sizeof text, out);
    assert_int_equal(strlen(out), KATA__JSON_MAX_DEPTH + 1);
    assert_non_null(strstr(kata_error_message(), "nested"));
    memset(text, '[', KATA__JSON_MAX_DEPTH);
    memset(text + KATA__JSON_MAX_DEPTH, ']', KATA__JSON_MAX_DEPTH);
    assert_null(strchr(letters(text, 2 * KATA__JSON_MAX_DEPTH, out), '!'));
}

static kata_status size_of(const char *text, int64_t *out) {
    char copy[64];
    strcpy(copy, text);
    kata__json json;
    kata__json_token token;
    kata__json_init(&json, copy, strlen(copy));
    kata_status status = kata__json_next(&json, &token);
    return status == KATA_OK ? kata__json_size(out, &token) : status;
}

static void sizes(void **state) {
    (void)state;
    int64_t value = -1;
    assert_int_equal(size_of("0", &value), KATA_OK);
    assert_int_equal(value, 0);
    assert_int_equal(size_of("9223372036854775807", &value), KATA_OK);
    assert_true(value == INT64_MAX);
    static const char *const bad[] = {
        "9223372036854775808", "18446744073709551616", "-1", "1.0", "1e3", "\"1\"", "null", "-0"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        value = 77;
        assert_int_equal(size_of(bad[i], &value), KATA_FORMAT);
        assert_int_equal(value, 77);
    }
}

/* Every byte of a text replaced by every other: never a step outside, always an end. */
static void every_byte(void **state) {
    (void)state;
    static const char text[] = "{\"a\\u0041\":[1.5e3,\"\\ud83d\\ude00\",true],\"b\":null}";
    char changed[sizeof text], out[512];
    for (size_t at = 0; at + 1 < sizeof text; at++) {
        for (int byte = 0; byte < 256; byte++) {
            memcpy(changed, text, sizeof text);
            changed[at] = (char)byte;
            letters(changed, sizeof text - 1, out);
        }
        letters(text, at, out);
        assert_non_null(strchr(out, '!'));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_texts), cmocka_unit_test(invalid_texts),
        cmocka_unit_test(escapes),     cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(sizes),       cmocka_unit_test(every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
