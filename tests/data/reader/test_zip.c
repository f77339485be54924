/* Deflated members of a zip of every small size, byte for byte, at each level of packing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "data/reader/reader.h"
#include "support/assert_ok.h"

enum { MOST = 70000 };

static uint8_t *put(uint8_t *to, uint64_t value, int n_bytes) {
    for (int i = 0; i < n_bytes; i++) {
        *to++ = i < 8 ? (uint8_t)(value >> 8 * i) : 0;
    }
    return to;
}

/* The fields that both headers of a member have, from "version needed" to "extra length". */
static uint8_t *fields(uint8_t *to, uint32_t crc, size_t packed, size_t unpacked) {
    to = put(to, 20, 2); /* version */
    to = put(to, 0, 2);  /* flags */
    to = put(to, 8, 2);  /* deflated */
    to = put(to, 0, 4);  /* time, date */
    to = put(put(put(to, crc, 4), packed, 4), unpacked, 4);
    return put(put(to, 1, 2), 0, 2); /* length of the name "a", of extra */
}

static size_t zip_of(uint8_t *zip, const uint8_t *data, size_t n_bytes, int level) {
    static uint8_t packed[2 * MOST];
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)data,
                       .avail_in = (uInt)n_bytes,
                       .next_out = packed,
                       .avail_out = sizeof packed};
    assert_int_equal(deflateInit2(&stream, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    const size_t n_packed = sizeof packed - stream.avail_out;
    deflateEnd(&stream);
    const uint32_t crc = (uint32_t)crc32(0, data, (uInt)n_bytes);
    uint8_t *to = fields(put(zip, 0x04034B50, 4), crc, n_packed, n_bytes);
    *to++ = 'a';
    memcpy(to, packed, n_packed);
    to += n_packed;
    const size_t directory = (size_t)(to - zip);
    to = fields(put(put(to, 0x02014B50, 4), 20, 2), crc, n_packed, n_bytes);
    to = put(to, 0, 14); /* comment, disk, attributes, offset of the member */
    *to++ = 'a';
    const size_t size = (size_t)(to - zip) - directory;
    to = put(put(to, 0x06054B50, 4), 0, 4);
    to = put(put(put(put(to, 1, 2), 1, 2), size, 4), directory, 4);
    return (size_t)(put(to, 0, 2) - zip);
}

typedef struct expected {
    const uint8_t *data;
    size_t n_bytes;
    int n_seen;
} expected;

static kata_status look(void *user, const char *name, const void *data, size_t n_bytes) {
    expected *e = user;
    assert_string_equal(name, "a");
    assert_int_equal(n_bytes, e->n_bytes);
    assert_true(n_bytes == 0 || memcmp(data, e->data, n_bytes) == 0);
    e->n_seen++;
    return KATA_OK;
}

static void test_sizes(void **state) {
    (void)state;
    static uint8_t data[MOST], zip[3 * MOST];
    static const size_t sizes[] = {0, 1, 2, 3, 255, 256, 32768, 65535, 65536, MOST};
    for (size_t i = 0; i < MOST; i++) {
        data[i] = (uint8_t)(i * i / 7 % 251);
    }
    for (int level = 0; level <= 9; level += 3) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            expected e = {data, sizes[i], 0};
            const size_t n_bytes = zip_of(zip, data, sizes[i], level);
            assert_ok(kata__zip_read(kata_context_default(), zip, n_bytes, MOST, look, &e));
            assert_int_equal(e.n_seen, 1);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sizes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
