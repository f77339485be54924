/* safetensors: round trips, the rules of the format, hostile files. */
#include "format/mangle.h"

#include "base/memory.h"
#include "base/file.h"
#include "format/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

static kata_test_allocator allocator;
static kata_context *context;
static char path[64];

static int set_up(void **state) {
    (void)state;
    snprintf(path, sizeof path, "/tmp/kata-test-%ld.safetensors", (long)getpid());
    kata_test_allocator_init(&allocator);
    context = kata_test_context(&allocator, 1);
    return context == NULL;
}

static int tear_down(void **state) {
    (void)state;
    unlink(path);
    kata_context_free(context);
    return atomic_load(&allocator.n_live) != 0;
}

static kata_status take(kata_safetensors *out, const void *data, size_t n_bytes) {
    char *copy = kata__alloc(context, n_bytes, 1);
    if (copy == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    if (n_bytes > 0) {
        memcpy(copy, data, n_bytes);
    }
    return kata__safetensors_take(out, context, copy, n_bytes, "test");
}

/* A file of this header and n_data zero bytes; *n_bytes is its size. */
static uint8_t *file_of(const char *header, size_t n_data, size_t *n_bytes) {
    uint64_t length = strlen(header);
    *n_bytes = 8 + length + n_data;
    uint8_t *file = calloc(*n_bytes, 1);
    assert_non_null(file);
    memcpy(file, &length, 8);
    memcpy(file + 8, header, length);
    return file;
}

static kata_status read_header(const char *header, size_t n_data) {
    size_t n_bytes;
    uint8_t *file = file_of(header, n_data, &n_bytes);
    kata_safetensors read = {0};
    kata_status status = take(&read, file, n_bytes);
    kata_safetensors_free(&read);
    free(file);
    return status;
}

static void round_trip(void **state) {
    (void)state;
    float f32[] = {NAN, -0.0f, INFINITY, -INFINITY, 1e-45f, -1e-40f, 3.4e38f, 1.5f};
    double f64[] = {(double)NAN, -0.0, 5e-324, 1.7976931348623157e308};
    uint16_t f16[] = {0x7E01, 0x8000, 0x0001, 0xFC00}, bf16[] = {0x7FC1, 0x8000, 0x0001};
    int8_t i8[] = {-128, 127, 0};
    int32_t i32[] = {INT32_MIN, INT32_MAX};
    int64_t i64[] = {INT64_MIN, INT64_MAX, -1};
    uint8_t u8[] = {0, 255, 128}, boolean[] = {0, 1, 1, 0, 1};
    const kata_named_tensor tensors[] = {
        {"u8", kata_tensor_view(u8, KATA_U8, &KATA_SHAPE_OF(3))},
        {"f32", kata_tensor_view(f32, KATA_F32, &KATA_SHAPE_OF(2, 4))},
        {"bool", kata_tensor_view(boolean, KATA_BOOL, &KATA_SHAPE_OF(5, 1))},
        {"f64 \"quoted\"\n", kata_tensor_view(f64, KATA_F64, &KATA_SHAPE_OF(2, 1, 2))},
        {"i8", kata_tensor_view(i8, KATA_I8, &KATA_SHAPE_OF(3))},
        {"f16", kata_tensor_view(f16, KATA_F16, &KATA_SHAPE_OF(4))},
        {"\xe6\x9c\xac", kata_tensor_view(bf16, KATA_BF16, &KATA_SHAPE_OF(3))},
        {"i64", kata_tensor_view(i64, KATA_I64, &KATA_SHAPE_OF(3))},
        {"i32", kata_tensor_view(i32, KATA_I32, &KATA_SHAPE_OF(1, 2))},
        {"scalar", kata_tensor_view(f32, KATA_F32, &(kata_shape){.rank = 0})},
        {"empty", kata_tensor_view(NULL, KATA_F32, &KATA_SHAPE_OF(0, 7))},
        {"", kata_tensor_view(i32, KATA_I32, &KATA_SHAPE_OF(1))},
    };
    enum { N = sizeof tensors / sizeof tensors[0] };
    const kata_text_pair metadata[] = {{"format", "kata"}, {"b", "x\"\\\t\xc3\xa9"}, {"", ""}};
    assert_int_equal(kata_safetensors_write(context, path, tensors, N, metadata, 3), KATA_OK);
    kata_safetensors read = {0};
    assert_int_equal(kata_safetensors_read(&read, context, path), KATA_OK);
    assert_int_equal(read.n_tensors, N);
    assert_int_equal(read.n_metadata, 3);
    for (int i = 0; i < N; i++) {
        const kata_tensor *tensor = kata_safetensors_find(&read, tensors[i].name);
        assert_non_null(tensor);
        assert_int_equal(tensor->dtype, tensors[i].tensor.dtype);
        assert_true(kata_shape_equal(&tensor->shape, &tensors[i].tensor.shape));
        size_t n_bytes = kata_tensor_bytes(tensor);
        assert_true((uintptr_t)tensor->data % kata_dtype_size(tensor->dtype) == 0);
        if (n_bytes > 0) {
            assert_memory_equal(tensor->data, tensors[i].tensor.data, n_bytes);
        }
    }
    for (int i = 0; i < 3; i++) {
        assert_string_equal(kata_safetensors_metadata(&read, metadata[i].key), metadata[i].value);
    }
    assert_null(kata_safetensors_find(&read, "f33"));
    assert_null(kata_safetensors_metadata(&read, "no"));
    kata_safetensors_free(&read);
    kata_safetensors_free(&read);
    kata_safetensors_free(NULL);
}

/* Bytes worked out by hand; the same whenever written; the header padded to a multiple of 8. */
static void known_bytes(void **state) {
    (void)state;
    float ab[] = {1, 2};
    uint8_t c[] = {7};
    const kata_named_tensor tensors[] = {{"c", kata_tensor_view(c, KATA_U8, &KATA_SHAPE_OF(1))},
                                         {"ab", kata_tensor_view(ab, KATA_F32, &KATA_SHAPE_OF(2))}};
    static const char header[] = "{\"__metadata__\":{\"k\":\"v\"},"
                                 "\"ab\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                                 "\"c\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[8,9]}}";
    size_t padded = (sizeof header - 1 + 7) / 8 * 8;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(
            kata_safetensors_write(context, path, tensors, 2, &(kata_text_pair){"k", "v"}, 1),
            KATA_OK);
        char *data;
        size_t n_bytes;
        assert_int_equal(kata__file_read(context, path, 1 << 20, &data, &n_bytes), KATA_OK);
        uint64_t length;
        memcpy(&length, data, 8);
        assert_int_equal(length, padded);
        assert_int_equal(n_bytes, 8 + padded + 9);
        assert_memory_equal(data + 8, header, sizeof header - 1);
        for (size_t i = sizeof header - 1; i < padded; i++) {
            assert_int_equal(data[8 + i], ' ');
        }
        assert_memory_equal(data + 8 + padded, "\0\0\x80\x3f\0\0\0\x40\x07", 9);
        kata__free(context, data);
    }
    assert_int_equal(kata_safetensors_write(context, path, NULL, 0, NULL, 0), KATA_OK);
    kata_safetensors read = {0};
    assert_int_equal(kata_safetensors_read(&read, context, path), KATA_OK);
    assert_int_equal(read.n_tensors, 0);
    kata_safetensors_free(&read);
}

/* What others write: other orders, gaps in alignment, spaces. */
static void foreign_files(void **state) {
    (void)state;
    size_t n_bytes;
    uint8_t *file = file_of("{ \"b\" : {\"shape\":[2],\"data_offsets\":[3,11],\"dtype\":\"F32\"},\n"
                            "\"a\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[0,3]}}   ",
                            11, &n_bytes);
    float values[] = {1.5f, -2.5f};
    memcpy(file + n_bytes - 8, values, 8);
    memcpy(file + n_bytes - 11, "\x00\x01\xff", 3);
    kata_safetensors read = {0};
    assert_int_equal(take(&read, file, n_bytes), KATA_OK);
    free(file);
    assert_int_equal(read.n_tensors, 2);
    assert_string_equal(read.tensors[0].name, "b"); /* in the header's order */
    const kata_tensor *b = kata_safetensors_find(&read, "b");
    assert_true((uintptr_t)b->data % 4 == 0); /* although its place in the file is odd */
    assert_memory_equal(b->data, values, 8);
    assert_memory_equal(kata_safetensors_find(&read, "a")->data, "\x00\x01\x01", 3);
    kata_safetensors_free(&read);
}

static void bad_arguments(void **state) {
    (void)state;
    float values[6] = {0};
    kata_named_tensor a = {"a", kata_tensor_view(values, KATA_F32, &KATA_SHAPE_OF(2, 3))};
    kata_named_tensor twice[] = {a, a};
    kata_text_pair pairs[] = {{"k", "1"}, {"k", "2"}};
    unlink(path);
    assert_int_equal(kata_safetensors_write(context, path, twice, 2, NULL, 0), KATA_INVALID);
    assert_non_null(strstr(kata_error_message(), "a is there twice"));
    assert_int_equal(kata_safetensors_write(context, path, &a, 1, pairs, 2), KATA_INVALID);
    kata_named_tensor bad = a;
    bad.name = "__metadata__";
    assert_int_equal(kata_safetensors_write(context, path, &bad, 1, NULL, 0), KATA_INVALID);
    bad.name = "\xff";
    assert_int_equal(kata_safetensors_write(context, path, &bad, 1, NULL, 0), KATA_INVALID);
    bad = a;
    assert_int_equal(kata_tensor_transpose(&bad.tensor, &a.tensor, NULL), KATA_OK);
    assert_int_equal(kata_safetensors_write(context, path, &bad, 1, NULL, 0), KATA_INVALID);
    bad = a;
    bad.tensor.dtype = KATA_NO_DTYPE;
    assert_int_equal(kata_safetensors_write(context, path, &bad, 1, NULL, 0), KATA_INVALID);
    assert_int_equal(
        kata_safetensors_write(context, path, &a, 1, &(kata_text_pair){"k", "\x80"}, 1),
        KATA_INVALID);
    assert_false(kata__file_exists(path));
    kata_safetensors read = {0};
    assert_int_equal(kata_safetensors_read(&read, context, path), KATA_NOT_FOUND);
    assert_int_equal(kata_safetensors_write(context, "/nonexistent/x", &a, 1, NULL, 0), KATA_IO);
}

#define ENTRY(dtype, shape, begin, end)                                                            \
    "{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" begin "," end "]}"

static void hostile_headers(void **state) {
    (void)state;
    static const struct {
        const char *name, *header;
        size_t n_data;
        kata_status status;
        const char *says;
    } cases[] = {
        {"not an object", "[]", 0, KATA_FORMAT, "begin with '{'"},
        {"a space first", " {}", 0, KATA_FORMAT, "begin with '{'"},
        {"cut JSON", "{\"a\":", 0, KATA_FORMAT, "JSON"},
        {"something behind", "{}x", 0, KATA_FORMAT, "JSON"},
        {"a tensor twice",
         "{\"a\":" ENTRY("U8", "1", "0", "1") ",\"a\":" ENTRY("U8", "1", "1", "2") "}", 2,
         KATA_FORMAT, "a is there twice"},
        {"a name twice by escapes",
         "{\"a\":" ENTRY("U8", "1", "0", "1") ",\"\\u0061\":" ENTRY("U8", "1", "1", "2") "}", 2,
         KATA_FORMAT, "a is there twice"},
        {"metadata twice", "{\"__metadata__\":{},\"__metadata__\":{}}", 0, KATA_FORMAT, "twice"},
        {"a metadata key twice", "{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, KATA_FORMAT,
         "k is there twice"},
        {"metadata of numbers", "{\"__metadata__\":{\"k\":1}}", 0, KATA_FORMAT, "text"},
        {"metadata no object", "{\"__metadata__\":[]}", 0, KATA_FORMAT, "object"},
        {"nested metadata", "{\"__metadata__\":{\"k\":{}}}", 0, KATA_FORMAT, "text"},
        {"unknown dtype", "{\"a\":" ENTRY("X9", "1", "0", "1") "}", 1, KATA_FORMAT, "X9"},
        {"foreign dtype", "{\"a\":" ENTRY("C64", "1", "0", "8") "}", 8, KATA_UNSUPPORTED, "C64"},
        {"dtype is a number", "{\"a\":{\"dtype\":1,\"shape\":[],\"data_offsets\":[0,4]}}", 4,
         KATA_FORMAT, "data type"},
        {"size negative", "{\"a\":" ENTRY("U8", "-1", "0", "1") "}", 1, KATA_FORMAT,
         "whole number"},
        {"size 2^63", "{\"a\":" ENTRY("U8", "9223372036854775808", "0", "1") "}", 1, KATA_FORMAT,
         "whole number"},
        {"size a fraction", "{\"a\":" ENTRY("U8", "1.0", "0", "1") "}", 1, KATA_FORMAT,
         "whole number"},
        {"product overflows", "{\"a\":" ENTRY("F32", "4294967296,4294967296", "0", "4") "}", 4,
         KATA_FORMAT, "counted"},
        {"bytes overflow", "{\"a\":" ENTRY("F64", "4611686018427387904", "0", "8") "}", 8,
         KATA_FORMAT, "counted"},
        {"product overflows beside 0",
         "{\"a\":" ENTRY("F32", "0,4294967296,4294967296", "0", "0") "}", 0, KATA_FORMAT,
         "counted"},
        {"llama.cpp 18674: 2^42 + 1",
         "{\"a\":" ENTRY("F32", "4398046511105,4398046511105", "0", "4") "}", 4, KATA_FORMAT,
         "counted"},
        {"9 axes", "{\"a\":" ENTRY("U8", "1,1,1,1,1,1,1,1,1", "0", "1") "}", 1, KATA_LIMIT,
         "at most 8"},
        {"offsets backwards", "{\"a\":" ENTRY("U8", "1", "1", "0") "}", 1, KATA_FORMAT, "offsets"},
        {"offsets past the end", "{\"a\":" ENTRY("U8", "2", "0", "2") "}", 1, KATA_FORMAT,
         "offsets"},
        {"offset 2^63 - 1",
         "{\"a\":" ENTRY("U8", "1", "9223372036854775806", "9223372036854775807") "}", 1,
         KATA_FORMAT, "offsets"},
        {"offsets do not fit the shape", "{\"a\":" ENTRY("F32", "2", "0", "4") "}", 4, KATA_FORMAT,
         "needs 8"},
        {"three offsets", "{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1,1]}}", 1,
         KATA_LIMIT, "offsets"},
        {"one offset", "{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0]}}", 1,
         KATA_FORMAT, "two"},
        {"overlap", "{\"a\":" ENTRY("U8", "2", "0", "2") ",\"b\":" ENTRY("U8", "2", "1", "3") "}",
         3, KATA_FORMAT, "begins at"},
        {"hole", "{\"a\":" ENTRY("U8", "1", "0", "1") ",\"b\":" ENTRY("U8", "1", "2", "3") "}", 3,
         KATA_FORMAT, "begins at"},
        {"hole at the beginning", "{\"a\":" ENTRY("U8", "1", "1", "2") "}", 2, KATA_FORMAT,
         "begins at"},
        {"hole at the end", "{\"a\":" ENTRY("U8", "1", "0", "1") "}", 2, KATA_FORMAT, "end at"},
        {"data without tensors", "{}", 1, KATA_FORMAT, "end at"},
        {"lacks dtype", "{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, KATA_FORMAT, "dtype"},
        {"lacks shape", "{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, KATA_FORMAT,
         "shape"},
        {"lacks offsets", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, KATA_FORMAT, "offsets"},
        {"unknown key", "{\"a\":{\"dtype\":\"U8\",\"x\":1}}", 1, KATA_FORMAT, "x"},
        {"a key twice", "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}", 1, KATA_FORMAT, "dtype"},
        {"entry is a number", "{\"a\":1}", 0, KATA_FORMAT, "object"},
        {"deep nesting", "{\"a\":{\"dtype\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 0,
         KATA_FORMAT, "data type"},
        {"NUL in a name", "{\"a\\u0000\":" ENTRY("U8", "1", "0", "1") "}", 1, KATA_FORMAT, "NUL"},
        {"invalid UTF-8 in a name", "{\"a\xff\":" ENTRY("U8", "1", "0", "1") "}", 1, KATA_FORMAT,
         "UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kata_status status = read_header(cases[i].header, cases[i].n_data);
        if (status != cases[i].status || strstr(kata_error_message(), cases[i].says) == NULL) {
            fail_msg("%s: %s, %s", cases[i].name, kata_status_name(status), kata_error_message());
        }
    }
    /* A path is only a name here. */
    assert_int_equal(read_header("{\"../../etc/passwd\":" ENTRY("U8", "1", "0", "1") "}", 1),
                     KATA_OK);
}

static void hostile_lengths(void **state) {
    (void)state;
    static const uint64_t lengths[] = {0,
                                       3,
                                       100000001,
                                       (uint64_t)1 << 31,
                                       (uint64_t)1 << 32,
                                       (uint64_t)1 << 63,
                                       UINT64_MAX,
                                       UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint8_t file[160] = {0};
        memcpy(file, &lengths[i], 8);
        memcpy(file + 8, "{}", 2);
        kata_safetensors read = {0};
        kata_test_allocator_reset(&allocator, 0);
        int64_t live = atomic_load(&allocator.n_live_bytes);
        assert_int_equal(take(&read, file, sizeof file), KATA_FORMAT);
        assert_true(atomic_load(&allocator.n_peak_bytes) - live < 65536);
    }
}

/* 160 bytes that claim gigabytes of tensors (ggml 1516). */
static void small_file_claims_gigabytes(void **state) {
    (void)state;
    kata_test_allocator_reset(&allocator, 0);
    int64_t live = atomic_load(&allocator.n_live_bytes);
    assert_int_equal(read_header("{\"a\":" ENTRY("F32", "1073741824", "0", "4294967296") "}", 64),
                     KATA_FORMAT);
    assert_true(atomic_load(&allocator.n_peak_bytes) - live < 65536);
}

/* A name of 1 MB is long, but a name. */
static void long_name(void **state) {
    (void)state;
    size_t n = (size_t)1 << 20;
    char *name = malloc(n + 1);
    assert_non_null(name);
    memset(name, 'x', n);
    name[n] = '\0';
    float value = 1;
    kata_named_tensor tensor = {name, kata_tensor_view(&value, KATA_F32, &KATA_SHAPE_OF(1))};
    assert_int_equal(kata_safetensors_write(context, path, &tensor, 1, NULL, 0), KATA_OK);
    kata_safetensors read = {0};
    assert_int_equal(kata_safetensors_read(&read, context, path), KATA_OK);
    assert_non_null(kata_safetensors_find(&read, name));
    kata_safetensors_free(&read);
    free(name);
}

static kata_status read_mangled(kata_context *c, const uint8_t *data, size_t n_bytes) {
    (void)c;
    kata_safetensors read = {0};
    kata_status status = take(&read, data, n_bytes);
    volatile double sum = 0; /* every element can be read */
    for (int i = 0; status == KATA_OK && i < read.n_tensors; i++) {
        const kata_tensor *tensor = &read.tensors[i].tensor;
        for (int64_t k = 0; k < kata_tensor_count(tensor); k++) {
            sum = sum + kata_load(tensor->dtype, tensor->data, k);
        }
    }
    kata_safetensors_free(&read);
    return status;
}

static void mangled_files(void **state) {
    (void)state;
    float f[] = {1, 2, 3, 4, 5, 6};
    int64_t i[] = {1, 2};
    uint8_t b[] = {1, 0, 1};
    const kata_named_tensor tensors[] = {{"w", kata_tensor_view(f, KATA_F32, &KATA_SHAPE_OF(2, 3))},
                                         {"i", kata_tensor_view(i, KATA_I64, &KATA_SHAPE_OF(2))},
                                         {"b", kata_tensor_view(b, KATA_BOOL, &KATA_SHAPE_OF(3))}};
    assert_int_equal(
        kata_safetensors_write(context, path, tensors, 3, &(kata_text_pair){"step", "12"}, 1),
        KATA_OK);
    char *data;
    size_t n_bytes;
    assert_int_equal(kata__file_read(context, path, 1 << 20, &data, &n_bytes), KATA_OK);
    const mangle m = {read_mangled, context, &allocator, 65536};
    mangle_truncate(&m, (uint8_t *)data, n_bytes);
    assert_true(mangle_flip(&m, (uint8_t *)data, n_bytes, 20000, 1) > 0);
    mangle_starve(&m, (uint8_t *)data, n_bytes);
    kata__free(context, data);
}

static kata_status write_starved(kata_context *c, const uint8_t *data, size_t n_bytes) {
    (void)data;
    (void)n_bytes;
    float f[] = {1, 2};
    kata_named_tensor tensor = {"w", kata_tensor_view(f, KATA_F32, &KATA_SHAPE_OF(2))};
    return kata_safetensors_write(c, path, &tensor, 1, &(kata_text_pair){"k", "v"}, 1);
}

static void starved_writer(void **state) {
    (void)state;
    const mangle m = {write_starved, context, &allocator, 0};
    mangle_starve(&m, NULL, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(known_bytes),
        cmocka_unit_test(foreign_files),
        cmocka_unit_test(bad_arguments),
        cmocka_unit_test(hostile_headers),
        cmocka_unit_test(hostile_lengths),
        cmocka_unit_test(small_file_claims_gigabytes),
        cmocka_unit_test(long_name),
        cmocka_unit_test(mangled_files),
        cmocka_unit_test(starved_writer),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
