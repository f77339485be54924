/* Status, error sentence, log, clock. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <kata/base.h>

#include "base/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static void names(void **state) {
    (void)state;
    assert_string_equal(kata_status_name(KATA_OK), "ok");
    assert_string_equal(kata_status_name(KATA_SHAPE), "shape mismatch");
    assert_string_equal(kata_status_name(KATA_INTERRUPTED), "interrupted");
    assert_string_equal(kata_status_name((kata_status)999), "unknown status");
    assert_string_equal(kata_status_name((kata_status)-1), "unknown status");
}

static void sentence(void **state) {
    (void)state;
    kata_error_clear();
    assert_string_equal(kata_error_message(), "");
    assert_int_equal(kata_fail(KATA_SHAPE, "axis %d is %s", 3, "wrong"), KATA_SHAPE);
    assert_string_equal(kata_error_message(), "axis 3 is wrong");
    assert_int_equal(kata_fail_in(KATA_SHAPE, "layer %s", "conv1"), KATA_SHAPE);
    assert_string_equal(kata_error_message(), "layer conv1: axis 3 is wrong");
    /* The present sentence as an argument of the next. */
    kata_fail(KATA_IO, "outer (%s)", kata_error_message());
    assert_string_equal(kata_error_message(), "outer (layer conv1: axis 3 is wrong)");
    kata_fail_in(KATA_IO, "%s", kata_error_message());
    assert_string_equal(kata_error_message(), "outer (layer conv1: axis 3 is wrong): outer (layer "
                                              "conv1: axis 3 is wrong)");
    kata_error_clear();
    kata_fail_in(KATA_NOT_FOUND, "file");
    assert_string_equal(kata_error_message(), "file: not found");
}

static void long_sentences_are_cut(void **state) {
    (void)state;
    char text[3000];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    kata_fail(KATA_INVALID, "%s", text);
    assert_int_equal(strlen(kata_error_message()), 1023);
    assert_string_equal(kata_error_message() + 1020, "...");
    kata_fail_in(KATA_INVALID, "where");
    assert_int_equal(strlen(kata_error_message()), 1023);
    assert_memory_equal(kata_error_message(), "where: aaa", 10);
    kata_fail(KATA_INVALID, "x");
    kata_fail_in(KATA_INVALID, "%s", text);
    assert_string_equal(kata_error_message() + 1020, "...");

    /* Never in the middle of a character: all of three bytes, cut at each remainder. */
    for (size_t shift = 0; shift < 3; shift++) {
        memset(text, 'b', shift);
        size_t at = shift;
        for (; at + 3 < sizeof text; at += 3) {
            memcpy(text + at, "\xE2\x82\xAC", 3);
        }
        text[at] = '\0';
        kata_fail(KATA_INVALID, "%s", text);
        size_t length = strlen(kata_error_message());
        assert_string_equal(kata_error_message() + length - 3, "...");
        assert_int_equal((length - 3 - shift) % 3, 0);
        assert_true(length >= 1020);
    }
    /* Exactly as long as fits: not cut. */
    memset(text, 'c', 1023);
    text[1023] = '\0';
    kata_fail(KATA_INVALID, "%s", text);
    assert_string_equal(kata_error_message(), text);
}

static void *fail_elsewhere(void *argument) {
    if (kata_error_message()[0] != '\0') {
        return argument;
    }
    kata_fail(KATA_IO, "%s", (char *)argument);
    return NULL;
}

static void each_thread_has_its_own(void **state) {
    (void)state;
    kata_fail(KATA_IO, "here");
    pthread_t thread;
    char name[] = "the other";
    void *result;
    assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, name), 0);
    pthread_join(thread, &result);
    assert_null(result);
    assert_string_equal(kata_error_message(), "here");
}

static struct {
    int n;
    kata_log_level level;
    char line[4096];
} logged;

static void keep_line(void *user, kata_log_level level, const char *line) {
    assert_ptr_equal(user, &logged);
    logged.n++;
    logged.level = level;
    snprintf(logged.line, sizeof logged.line, "%s", line);
}

static void log_lines(void **state) {
    (void)state;
    kata_context *context;
    kata_context_options options = {.threads = 1, .log = keep_line, .log_user = &logged};
    assert_int_equal(kata_context_new(&context, &options), KATA_OK);
    logged.n = 0;
    kata_log(context, KATA_LOG_WARNING, "epoch %d", 7);
    assert_int_equal(logged.n, 1);
    assert_int_equal(logged.level, KATA_LOG_WARNING);
    assert_string_equal(logged.line, "epoch 7");
    char text[5000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    kata_log(context, KATA_LOG_ERROR, "%s", text);
    assert_int_equal(strlen(logged.line), 2047);
    kata_context_free(context);
    kata_log(NULL, KATA_LOG_INFO, "without a context to stderr: fine");
}

static void clocks(void **state) {
    (void)state;
    uint64_t before = kata__clock_ns();
    assert_true(kata__clock_ns() >= before);
    assert_true(kata__clock_unix_ms() > INT64_C(1700000000000));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(sentence),
        cmocka_unit_test(long_sentences_are_cut),
        cmocka_unit_test(each_thread_has_its_own),
        cmocka_unit_test(log_lines),
        cmocka_unit_test(clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
