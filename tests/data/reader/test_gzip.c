/* gzip: members, sizes around the buffer's edges, bombs, damage; idx files as .gz. */
#include "data/reader/pack.h"
#include "data/reader/reader.h"
#include "support/counting_allocator.h"

#include "base/memory.h"

#include <kata/readers.h>

static kata_context *context;

static void check_round_trip(const bytes *packed, const uint8_t *expected, size_t n,
                             size_t maximum) {
    char *out;
    size_t n_out;
    assert_ok(kata__gzip_inflate(context, packed->data, packed->n, maximum, &out, &n_out));
    assert_int_equal(n_out, n);
    assert_int_equal(memcmp(out, expected, n), 0);
    assert_int_equal(out[n], 0);
    kata__free(context, out);
}

static void test_sizes(void **state) {
    (void)state;
    static uint8_t data[300000];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 7 + i / 300);
    }
    static const size_t sizes[] = {0, 1, 100, 65535, 65536, 65537, 131072, 131073, 300000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        bytes packed = {.data = NULL};
        pack_deflate(&packed, data, sizes[i], 31);
        check_round_trip(&packed, data, sizes[i], 1 << 20);
        check_round_trip(&packed, data, sizes[i], sizes[i]); /* exactly as much as is allowed */
        /* A wrong size in the trailer does not matter for the room, and is found by zlib. */
        char *out;
        size_t n_out;
        packed.data[packed.n - 2] ^= 0x55;
        assert_failure(kata__gzip_inflate(context, packed.data, packed.n, 1 << 20, &out, &n_out),
                       KATA_FORMAT, "incorrect length check");
        bytes_free(&packed);
    }
}

static void test_members(void **state) {
    (void)state;
    bytes packed = {.data = NULL};
    static uint8_t zeros[70000];
    pack_deflate(&packed, "one ", 4, 31);
    pack_deflate(&packed, "two ", 4, 31);
    pack_deflate(&packed, "", 0, 31);
    pack_deflate(&packed, "three", 5, 31);
    check_round_trip(&packed, (const uint8_t *)"one two three", 13, 100);
    bytes_add(&packed, zeros, 10); /* padding */
    check_round_trip(&packed, (const uint8_t *)"one two three", 13, 100);
    bytes_free(&packed);
    pack_deflate(&packed, zeros, 70000, 31);
    pack_deflate(&packed, zeros, 10, 31);
    char *out;
    size_t n_out;
    assert_ok(kata__gzip_inflate(context, packed.data, packed.n, 1 << 20, &out, &n_out));
    assert_int_equal(n_out, 70010);
    kata__free(context, out);
    bytes_add(&packed, "tail", 4);
    assert_failure(kata__gzip_inflate(context, packed.data, packed.n, 1 << 20, &out, &n_out),
                   KATA_FORMAT, "4 bytes that are no gzip data follow");
    bytes_free(&packed);
}

static void test_bomb(void **state) {
    (void)state;
    bytes packed = {.data = NULL};
    uint8_t *zeros = calloc(1, 50 << 20);
    pack_deflate(&packed, zeros, 50 << 20, 31);
    free(zeros);
    assert_true(packed.n < 60000);
    kata_test_allocator counting;
    kata_test_allocator_init(&counting);
    kata_context *own = kata_test_context(&counting, 1);
    char *out;
    size_t n_out;
    assert_failure(kata__gzip_inflate(own, packed.data, packed.n, 1 << 20, &out, &n_out),
                   KATA_LIMIT, "unpacks to more than the 1048576 bytes allowed");
    assert_true(counting.n_peak_bytes < 4 << 20);
    assert_failure(kata__gzip_inflate(own, packed.data, packed.n, (50 << 20) - 1, &out, &n_out),
                   KATA_LIMIT, "more than");
    assert_ok(kata__gzip_inflate(own, packed.data, packed.n, 50 << 20, &out, &n_out));
    kata__free(own, out);
    /* A trailer that claims 4 GB makes it take no more than the data can hold. */
    bytes_free(&packed);
    pack_deflate(&packed, "small", 5, 31);
    memset(packed.data + packed.n - 4, 0xff, 4);
    kata_test_allocator_reset(&counting, 0);
    assert_failure(kata__gzip_inflate(own, packed.data, packed.n, SIZE_MAX, &out, &n_out),
                   KATA_FORMAT, "damaged");
    assert_true(counting.n_peak_bytes < 1 << 20);
    bytes_free(&packed);
    kata_context_free(own);
}

static void test_damage(void **state) {
    (void)state;
    static uint8_t data[3000];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * i / 11);
    }
    bytes packed = {.data = NULL};
    char *out = NULL;
    size_t n_out;
    pack_deflate(&packed, data, sizeof data, 31);
    for (size_t n = 0; n < packed.n; n++) {
        uint8_t *part = malloc(n + 1);
        memcpy(part, packed.data, n);
        assert_failure(kata__gzip_inflate(context, part, n, 1 << 20, &out, &n_out), KATA_FORMAT,
                       n < 2 ? "not gzip data" : "the gzip data is truncated");
        free(part);
    }
    uint32_t random = 5;
    int accepted = 0;
    for (int round = 0; round < 5000; round++) {
        uint8_t *changed = malloc(packed.n);
        memcpy(changed, packed.data, packed.n);
        random = random * 1664525u + 1013904223u;
        size_t at = (random >> 8) % packed.n;
        changed[at] ^= (uint8_t)(1 + (random >> 24) % 255);
        if (kata__gzip_inflate(context, changed, packed.n, 1 << 20, &out, &n_out) == KATA_OK) {
            accepted += at >= 10; /* the header's time and system are nobody's business */
            kata__free(context, out);
        }
        free(changed);
    }
    assert_int_equal(accepted, 0);
    bytes_free(&packed);
}

static void test_idx_gz(void **state) {
    (void)state;
    folder_make();
    uint8_t idx[256];
    bytes images = {.data = NULL}, labels = {.data = NULL};
    pack_deflate(&images, idx, idx_make(idx, 3, 6, 4, 3, 7, 256), 31);
    pack_deflate(&labels, idx, idx_make(idx, 1, 6, 0, 0, 1, 3), 31);
    file_put("train-images-idx3-ubyte.gz", images.data, images.n);
    file_put("train-labels-idx1-ubyte.gz", labels.data, labels.n);
    kata_data data;
    assert_ok(kata_data_open(&data, context, test_folder, NULL));
    assert_int_equal(data.train->n, 6);
    kata_data_close(&data);
    file_put("train-labels-idx1-ubyte.gz", labels.data, labels.n - 3);
    assert_failure(kata_data_open(&data, context, test_folder, NULL), KATA_FORMAT,
                   "train-labels-idx1-ubyte.gz: the gzip data is truncated");
    /* The plain file is taken where both are. */
    file_put("train-labels-idx1-ubyte", idx, idx_make(idx, 1, 6, 0, 0, 1, 2));
    assert_ok(kata_data_open(&data, context, test_folder, NULL));
    assert_int_equal(data.train->n_classes, 2);
    kata_data_close(&data);
    bytes_free(&images);
    bytes_free(&labels);
    folder_remove();
}

static void test_allocations(void **state) {
    (void)state;
    kata_test_allocator counting;
    kata_test_allocator_init(&counting);
    kata_context *own = kata_test_context(&counting, 1);
    bytes packed = {.data = NULL};
    static uint8_t zeros[200000];
    pack_deflate(&packed, zeros, 100000, 31);
    pack_deflate(&packed, zeros, sizeof zeros, 31);
    int64_t live = counting.n_live;
    for (int64_t k = 1;; k++) {
        kata_test_allocator_reset(&counting, k);
        char *out;
        size_t n_out;
        kata_status status = kata__gzip_inflate(own, packed.data, packed.n, 1 << 20, &out, &n_out);
        bool reached = counting.n_calls >= k;
        if (status == KATA_OK) {
            kata__free(own, out);
        }
        assert_int_equal(counting.n_live, live);
        if (!reached) {
            assert_int_equal(status, KATA_OK);
            break;
        }
        assert_int_equal(status, KATA_OUT_OF_MEMORY);
    }
    bytes_free(&packed);
    kata_context_free(own);
}

static int setup(void **state) {
    (void)state;
    kata_readers_install();
    return kata_context_new(&context, NULL) == KATA_OK ? 0 : 1;
}

static int teardown(void **state) {
    (void)state;
    kata_context_free(context);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),  cmocka_unit_test(test_members),
        cmocka_unit_test(test_bomb),   cmocka_unit_test(test_damage),
        cmocka_unit_test(test_idx_gz), cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
