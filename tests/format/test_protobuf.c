/* The wire format of protocol buffers, and names: against bytes worked out by hand from the
 * protocol buffers' encoding guide. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "format/names.h"
#include "format/protobuf.h"
#include "support/counting_allocator.h"

#include <math.h>
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

/* The guide's own examples: 150 as field 1, "testing" as field 2. */
static void known_bytes(void **state) {
    (void)state;
    kata__buffer out;
    kata__buffer_init(&out, context, 1000);
    kata__proto_put_varint(&out, 1, 150);
    assert_int_equal(out.size, 3);
    assert_memory_equal(out.data, "\x08\x96\x01", 3);
    kata__buffer_clear(&out);
    kata__proto_put_text(&out, 2, "testing");
    assert_memory_equal(out.data, "\x12\x07testing", 9);
    kata__buffer_clear(&out);
    size_t begun = kata__proto_begin(&out, 3);
    kata__proto_put_varint(&out, 1, 150);
    kata__proto_end(&out, begun);
    assert_memory_equal(out.data, "\x1a\x03\x08\x96\x01", 5);
    kata__buffer_clear(&out);
    kata__proto_put_float(&out, 1, 1.0f);
    assert_memory_equal(out.data, "\x0d\x00\x00\x80\x3f", 5);
    kata__buffer_clear(&out);
    kata__proto_put_varint(&out, 20, UINT64_MAX);
    assert_memory_equal(out.data, "\xa0\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12);
    kata__buffer_free(&out);
}

/* Contents around the sizes at which the length takes a byte more. */
static void nested_lengths(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 126, 127, 128, 129, 16383, 16384, 16385, 2097152};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        kata__buffer out;
        kata__buffer_init(&out, context, KATA__PROTO_MAXIMUM);
        size_t outer = kata__proto_begin(&out, 1), inner = kata__proto_begin(&out, 2);
        for (size_t k = 0; k < sizes[i]; k++) {
            kata__buffer_append(&out, &(char){(char)k}, 1);
        }
        kata__proto_end(&out, inner);
        kata__proto_end(&out, outer);
        assert_int_equal(out.status, KATA_OK);
        kata__proto_reader reader = kata__proto_reader_of(out.data, out.size), nested;
        kata__proto_field field;
        bool more;
        assert_int_equal(kata__proto_next(&reader, &field, &more), KATA_OK);
        assert_true(more && field.number == 1);
        assert_int_equal(kata__proto_open(&nested, &field, "outer"), KATA_OK);
        assert_int_equal(kata__proto_next(&nested, &field, &more), KATA_OK);
        assert_true(more && field.number == 2);
        assert_int_equal(field.n_bytes, sizes[i]);
        for (size_t k = 0; k < sizes[i]; k++) {
            assert_true(field.bytes[k] == (uint8_t)k);
        }
        assert_int_equal(kata__proto_next(&nested, &field, &more), KATA_OK);
        assert_false(more);
        assert_int_equal(kata__proto_next(&reader, &field, &more), KATA_OK);
        assert_false(more);
        kata__buffer_free(&out);
    }
}

static kata_status read_one(const void *bytes, size_t n, kata__proto_field *field) {
    kata__proto_reader reader = kata__proto_reader_of(bytes, n);
    bool more;
    return kata__proto_next(&reader, field, &more);
}

static void malformed_wire(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
    } bad[] = {
        {"\x08", 1},                                              /* no value */
        {"\x08\x96", 2},                                          /* half a number */
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11},     /* 65 bits */
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12}, /* 11 bytes */
        {"\x00\x01", 2},                                          /* field 0 */
        {"\x0b\x01", 2},                                          /* a group */
        {"\x0c\x01", 2},                                          /* the end of a group */
        {"\x0e\x01", 2},                                          /* wire type 6 */
        {"\x0f\x01", 2},                                          /* wire type 7 */
        {"\x0d\x00\x00\x80", 4},                                  /* 3 of 4 bytes */
        {"\x09\x00\x00\x00\x00\x00\x00\x00", 8},                  /* 7 of 8 bytes */
        {"\x12\x02t", 3},                                         /* one of 2 bytes */
        {"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01t", 12},    /* 2^64 - 1 of 1 byte */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01", 11},     /* field 2^61 - 1 */
    };
    kata__proto_field field;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(read_one(bad[i].bytes, bad[i].n, &field), KATA_FORMAT);
        assert_non_null(strstr(kata_error_message(), "byte"));
    }
}

static void wrong_wire_types(void **state) {
    (void)state;
    kata__arena arena = {.context = context};
    kata__proto_field text, number;
    kata__proto_reader reader;
    kata__proto_list list;
    const char *name = NULL;
    int64_t i;
    float f;
    assert_int_equal(read_one("\x12\x01x", 3, &text), KATA_OK);
    assert_int_equal(read_one("\x08\x01", 2, &number), KATA_OK);
    assert_int_equal(kata__proto_int64(&i, &text, "a number"), KATA_FORMAT);
    assert_int_equal(kata__proto_float(&f, &number, "a number"), KATA_FORMAT);
    assert_int_equal(kata__proto_open(&reader, &number, "a message"), KATA_FORMAT);
    assert_int_equal(kata__proto_text(&name, &number, "a name", &arena, 10), KATA_FORMAT);
    assert_int_equal(kata__proto_text(&name, &text, "a name", &arena, 0), KATA_LIMIT);
    assert_int_equal(kata__proto_list_open(&list, &number, KATA__WIRE_FIXED32, "a list"),
                     KATA_FORMAT);
    assert_int_equal(kata__proto_text(&name, &text, "a name", &arena, 1), KATA_OK);
    assert_string_equal(name, "x");
    kata__arena_free(&arena);
}

static void lists(void **state) {
    (void)state;
    kata__proto_field field;
    kata__proto_list list;
    size_t n;
    uint64_t value;
    bool more;
    /* The guide's packed example: field 6 holds 3, 270, 86942. */
    assert_int_equal(read_one("\x32\x06\x03\x8e\x02\x9e\xa7\x05", 8, &field), KATA_OK);
    assert_int_equal(kata__proto_list_open(&list, &field, KATA__WIRE_VARINT, "a list"), KATA_OK);
    assert_int_equal(kata__proto_list_count(&list, &n), KATA_OK);
    assert_int_equal(n, 3);
    static const uint64_t expected[] = {3, 270, 86942};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(kata__proto_list_next(&list, &value, &more), KATA_OK);
        assert_true(more && value == expected[i]);
    }
    assert_int_equal(kata__proto_list_next(&list, &value, &more), KATA_OK);
    assert_false(more);
    /* One that is not packed. */
    assert_int_equal(read_one("\x30\x07", 2, &field), KATA_OK);
    assert_int_equal(kata__proto_list_open(&list, &field, KATA__WIRE_VARINT, "a list"), KATA_OK);
    assert_int_equal(kata__proto_list_count(&list, &n), KATA_OK);
    assert_int_equal(n, 1);
    assert_int_equal(kata__proto_list_next(&list, &value, &more), KATA_OK);
    assert_true(more && value == 7);
    assert_int_equal(kata__proto_list_next(&list, &value, &more), KATA_OK);
    assert_false(more);
    /* Cut off. */
    assert_int_equal(read_one("\x32\x02\x03\x8e", 4, &field), KATA_OK);
    assert_int_equal(kata__proto_list_open(&list, &field, KATA__WIRE_VARINT, "a list"), KATA_OK);
    assert_int_equal(kata__proto_list_count(&list, &n), KATA_FORMAT);
    assert_int_equal(kata__proto_list_open(&list, &field, KATA__WIRE_FIXED64, "a list"), KATA_OK);
    assert_int_equal(kata__proto_list_count(&list, &n), KATA_FORMAT);
}

static void texts(void **state) {
    (void)state;
    static const char *const good[] = {"",
                                       "a",
                                       "\x7f",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "\xe6\x9c\xac/..\n"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "a\xe6\x9c",
                                      "\xc2"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(kata__format_is_text(good[i], strlen(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(kata__format_is_text(bad[i], strlen(bad[i])));
    }
    assert_false(kata__format_is_text("a\0b", 3));
}

static void sorting(void **state) {
    (void)state;
    static const char *const names[] = {"b", "a", "", "b", "c", "a", "aa"};
    static const uint32_t expected[] = {2, 1, 5, 6, 0, 3, 4};
    uint32_t order[7];
    kata__names_sort(order, 7, names);
    assert_memory_equal(order, expected, sizeof order);
    assert_int_equal(kata__names_twice(order, 7, names), 5);
    assert_int_equal(kata__names_find(order, 7, names, "b"), 0);
    assert_int_equal(kata__names_find(order, 7, names, "c"), 4);
    assert_int_equal(kata__names_find(order, 7, names, "d"), 7);
    assert_int_equal(kata__names_find(order, 7, names, "ab"), 7);
    assert_int_equal(kata__names_twice(order, 1, names), 1);
    kata__names_sort(order, 0, NULL);
    assert_int_equal(kata__names_find(order, 0, NULL, "a"), 0);
}

/* Against insertion, for many lengths. */
static int compare_numbers(const void *user, uint32_t a, uint32_t b) {
    const uint32_t *numbers = user;
    return numbers[a] < numbers[b] ? -1 : numbers[a] > numbers[b];
}

static void sorting_many(void **state) {
    (void)state;
    uint32_t numbers[300], order[300];
    for (uint32_t n = 0; n < 300; n++) {
        for (uint32_t i = 0; i < n; i++) {
            numbers[i] = kata_random_bits(7, 0, n, i) % (n / 2 + 1);
        }
        kata__format_sort(order, n, compare_numbers, numbers);
        bool seen[300] = {false};
        for (uint32_t i = 0; i < n; i++) {
            assert_true(order[i] < n && !seen[order[i]]);
            seen[order[i]] = true;
            assert_true(i == 0 || numbers[order[i - 1]] < numbers[order[i]] ||
                        (numbers[order[i - 1]] == numbers[order[i]] && order[i - 1] < order[i]));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_bytes),    cmocka_unit_test(nested_lengths),
        cmocka_unit_test(malformed_wire), cmocka_unit_test(wrong_wire_types),
        cmocka_unit_test(lists),          cmocka_unit_test(texts),
        cmocka_unit_test(sorting),        cmocka_unit_test(sorting_many),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
