/* .npy: round trips, NumPy's own headers, hostile files. */
#include "format/mangle.h"

#include "base/file.h"
#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

static kata_test_allocator allocator;
static kata_context *context;
static char path[64];

static int set_up(void **state) {
    (void)state;
    snprintf(path, sizeof path, "/tmp/kata-test-%ld.npy", (long)getpid());
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

static void check_round_trip(const kata_tensor *tensor) {
    kata_tensor read = {0};
    assert_int_equal(kata_npy_write(context, path, tensor), KATA_OK);
    assert_int_equal(kata_npy_read(&read, context, path), KATA_OK);
    assert_int_equal(read.dtype, tensor->dtype);
    assert_true(kata_shape_equal(&read.shape, &tensor->shape));
    if (kata_tensor_bytes(&read) > 0) {
        assert_memory_equal(read.data, tensor->data, kata_tensor_bytes(&read));
    }
    kata_tensor_release(&read);
}

static void round_trip(void **state) {
    (void)state;
    float f32[] = {NAN, -0.0f, INFINITY, 1e-45f, -1e-40f, 1.5f};
    double f64[] = {(double)NAN, -0.0, 5e-324, 1e308};
    uint16_t f16[] = {0x7E01, 0x8000, 0x0001, 0xFC00};
    int8_t i8[] = {-128, 127, 0};
    int32_t i32[] = {INT32_MIN, INT32_MAX};
    int64_t i64[] = {INT64_MIN, INT64_MAX, -1};
    uint8_t u8[] = {0, 255, 128}, boolean[] = {0, 1, 1};
    const kata_tensor tensors[] = {
        kata_tensor_view(f32, KATA_F32, &KATA_SHAPE_OF(2, 3)),
        kata_tensor_view(f32, KATA_F32, &KATA_SHAPE_OF(1, 1, 1, 1, 1, 1, 1, 6)),
        kata_tensor_view(f32, KATA_F32, &(kata_shape){.rank = 0}),
        kata_tensor_view(NULL, KATA_F32, &KATA_SHAPE_OF(3, 0)),
        kata_tensor_view(f64, KATA_F64, &KATA_SHAPE_OF(4)),
        kata_tensor_view(f16, KATA_F16, &KATA_SHAPE_OF(2, 2)),
        kata_tensor_view(i8, KATA_I8, &KATA_SHAPE_OF(3)),
        kata_tensor_view(i32, KATA_I32, &KATA_SHAPE_OF(2)),
        kata_tensor_view(i64, KATA_I64, &KATA_SHAPE_OF(3, 1)),
        kata_tensor_view(u8, KATA_U8, &KATA_SHAPE_OF(3)),
        kata_tensor_view(boolean, KATA_BOOL, &KATA_SHAPE_OF(3)),
    };
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) {
        check_round_trip(&tensors[i]);
    }
    kata_tensor bf16 = kata_tensor_view(f16, KATA_BF16, &KATA_SHAPE_OF(4));
    assert_int_equal(kata_npy_write(context, path, &bf16), KATA_UNSUPPORTED);
    assert_non_null(strstr(kata_error_message(), "bfloat16"));
}

/* numpy.save of the float32 array [[1, 2]]. */
static void known_bytes(void **state) {
    (void)state;
    static const char header[] = "\x93NUMPY\x01\x00\x76\x00"
                                 "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }";
    float values[] = {1, 2};
    kata_tensor tensor = kata_tensor_view(values, KATA_F32, &KATA_SHAPE_OF(1, 2));
    assert_int_equal(kata_npy_write(context, path, &tensor), KATA_OK);
    char *data;
    size_t n_bytes;
    assert_int_equal(kata__file_read(context, path, 1 << 20, &data, &n_bytes), KATA_OK);
    assert_int_equal(n_bytes, 128 + 8);
    assert_memory_equal(data, header, sizeof header - 1);
    for (size_t i = sizeof header - 1; i < 127; i++) {
        assert_int_equal(data[i], ' ');
    }
    assert_int_equal(data[127], '\n');
    assert_memory_equal(data + 128, values, 8);
    kata__free(context, data);
}

/* A view with other strides is written as what it shows. */
static void strided_tensors(void **state) {
    (void)state;
    float values[] = {1, 2, 3, 4, 5, 6};
    kata_tensor tensor = kata_tensor_view(values, KATA_F32, &KATA_SHAPE_OF(2, 3)), turned,
                read = {0};
    assert_int_equal(kata_tensor_transpose(&turned, &tensor, NULL), KATA_OK);
    assert_int_equal(kata_npy_write(context, path, &turned), KATA_OK);
    assert_int_equal(kata_npy_read(&read, context, path), KATA_OK);
    assert_true(kata_shape_equal(&read.shape, &KATA_SHAPE_OF(3, 2)));
    assert_memory_equal(read.data, ((float[]){1, 4, 2, 5, 3, 6}), sizeof values);
    kata_tensor_release(&read);
}

/* A file of this version, header and data. */
static uint8_t *file_of(int major, const char *header, const void *elements, size_t n_elements,
                        size_t *n_bytes) {
    uint32_t length = (uint32_t)strlen(header);
    size_t width = major == 1 ? 2 : 4;
    *n_bytes = 8 + width + length + n_elements;
    uint8_t *file = malloc(*n_bytes);
    assert_non_null(file);
    memcpy(file, "\x93NUMPY", 6);
    file[6] = (uint8_t)major;
    file[7] = 0;
    memcpy(file + 8, &length, width);
    memcpy(file + 8 + width, header, length);
    if (n_elements > 0) {
        memcpy(file + 8 + width + length, elements, n_elements);
    }
    return file;
}

static kata_status read_file(kata_tensor *out, int major, const char *header, const void *elements,
                             size_t n_elements) {
    size_t n_bytes;
    uint8_t *file = file_of(major, header, elements, n_elements, &n_bytes);
    kata_status status = kata_npy_read_memory(out, context, file, n_bytes, "test.npy");
    free(file);
    return status;
}

static void foreign_headers(void **state) {
    (void)state;
    static const struct {
        int major;
        const char *header;
    } cases[] = {
        {1, "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }\n"},
        {2, "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }      \n"},
        {3, "{\"descr\": \"<i4\", \"fortran_order\": False, \"shape\": (2, 3)}"},
        {1, "{'shape':(2,3),'descr':'=i4','fortran_order':False}"},
        {1, " { 'fortran_order' : False , 'shape' : ( 2L , 3L , ) , 'descr' : 'i4' } "},
    };
    static const int32_t values[] = {1, 2, 3, 4, 5, -6};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kata_tensor read = {0};
        assert_int_equal(read_file(&read, cases[i].major, cases[i].header, values, sizeof values),
                         KATA_OK);
        assert_int_equal(read.dtype, KATA_I32);
        assert_true(kata_shape_equal(&read.shape, &KATA_SHAPE_OF(2, 3)));
        assert_memory_equal(read.data, values, sizeof values);
        kata_tensor_release(&read);
    }
}

static void fortran_order(void **state) {
    (void)state;
    static const int64_t values[] = {1, 2, 3, 4, 5, 6}; /* columns (1,2), (3,4), (5,6) */
    kata_tensor read = {0};
    assert_int_equal(read_file(&read, 1,
                               "{'descr': '<i8', 'fortran_order': True, 'shape': (2, 3), }", values,
                               sizeof values),
                     KATA_OK);
    assert_memory_equal(read.data, ((int64_t[]){1, 3, 5, 2, 4, 6}), sizeof values);
    assert_true(kata_tensor_is_contiguous(&read));
    kata_tensor_release(&read);
    assert_int_equal(read_file(&read, 1,
                               "{'descr': '<i8', 'fortran_order': True, 'shape': (3, 1, 2), }",
                               values, sizeof values),
                     KATA_OK);
    assert_memory_equal(read.data, ((int64_t[]){1, 4, 2, 5, 3, 6}), sizeof values);
    kata_tensor_release(&read);
    assert_int_equal(
        read_file(&read, 1, "{'descr': '<i8', 'fortran_order': True, 'shape': (0, 5), }", NULL, 0),
        KATA_OK);
    kata_tensor_release(&read);
}

static void big_endian(void **state) {
    (void)state;
    kata_tensor read = {0};
    assert_int_equal(read_file(&read, 1,
                               "{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }",
                               "\x3f\x80\x00\x00\xc0\x00\x00\x00", 8),
                     KATA_OK);
    assert_memory_equal(read.data, ((float[]){1, -2}), 8);
    kata_tensor_release(&read);
    assert_int_equal(read_file(&read, 1,
                               "{'descr': '>u1', 'fortran_order': False, 'shape': (2,), }",
                               "\x01\x02", 2),
                     KATA_OK);
    assert_memory_equal(read.data, "\x01\x02", 2);
    kata_tensor_release(&read);
    assert_int_equal(read_file(&read, 1,
                               "{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }",
                               "\x00\x07", 2),
                     KATA_OK);
    assert_memory_equal(read.data, "\x00\x01", 2);
    kata_tensor_release(&read);
}

#define HEADER(descr, shape) "{'descr': " descr ", 'fortran_order': False, 'shape': " shape ", }"

static void hostile_headers(void **state) {
    (void)state;
    static const struct {
        const char *name, *header;
        size_t n_elements;
        kata_status status;
        const char *says;
    } cases[] = {
        {"objects", HEADER("'|O'", "(1,)"), 8, KATA_UNSUPPORTED, "objects"},
        {"objects 2", HEADER("'O8'", "(1,)"), 8, KATA_UNSUPPORTED, "objects"},
        {"records", HEADER("[('a', '<f4')]", "(1,)"), 4, KATA_UNSUPPORTED, "records"},
        {"records with objects", HEADER("[('a', '|O')]", "(1,)"), 4, KATA_UNSUPPORTED, "records"},
        {"texts, too short", HEADER("'<U5'", "(1,)"), 16, KATA_FORMAT, "texts of 5"},
        {"texts of 0", HEADER("'<U0'", "(1,)"), 0, KATA_FORMAT, "texts of 0"},
        {"texts overflow", HEADER("'<U999999999'", "(9223372036,)"), 0, KATA_FORMAT, "texts of"},
        {"texts without a width", HEADER("'<U'", "(1,)"), 4, KATA_UNSUPPORTED, "'<U'"},
        {"float128", HEADER("'<f16'", "(1,)"), 16, KATA_UNSUPPORTED, "astype"},
        {"complex", HEADER("'<c8'", "(1,)"), 8, KATA_UNSUPPORTED, "<c8"},
        {"dates", HEADER("'<M8[ns]'", "(1,)"), 8, KATA_UNSUPPORTED, "M8"},
        {"no dtype", HEADER("''", "(1,)"), 4, KATA_UNSUPPORTED, "''"},
        {"too short", HEADER("'<f4'", "(3,)"), 8, KATA_FORMAT, "needs 12"},
        {"too long", HEADER("'<f4'", "(3,)"), 16, KATA_FORMAT, "needs 12"},
        {"claims gigabytes", HEADER("'<f4'", "(1073741824,)"), 64, KATA_FORMAT, "needs 4294967296"},
        {"size 2^63", HEADER("'<f4'", "(9223372036854775808,)"), 4, KATA_FORMAT, "2^63"},
        {"negative size", HEADER("'<f4'", "(-1,)"), 4, KATA_FORMAT, "size"},
        {"product overflows", HEADER("'<f4'", "(4294967296, 4294967296)"), 4, KATA_FORMAT,
         "counted"},
        {"bytes overflow", HEADER("'<f8'", "(4611686018427387904,)"), 8, KATA_FORMAT, "counted"},
        {"overflow beside 0", HEADER("'<f4'", "(0, 4294967296, 4294967296)"), 0, KATA_FORMAT,
         "counted"},
        {"9 axes", HEADER("'<f4'", "(1,1,1,1,1,1,1,1,1)"), 4, KATA_LIMIT, "8 axes"},
        {"shape is a number", HEADER("'<f4'", "1"), 4, KATA_FORMAT, "'('"},
        {"shape is (1)", HEADER("'<f4'", "(1)"), 4, KATA_FORMAT, "','"},
        {"shape (,)", HEADER("'<f4'", "(,)"), 4, KATA_FORMAT, "size"},
        {"shape with text", HEADER("'<f4'", "('1',)"), 4, KATA_FORMAT, "size"},
        {"code", "__import__('os').system('true')", 4, KATA_FORMAT, "'{'"},
        {"code as a size", HEADER("'<f4'", "(exit(),)"), 4, KATA_FORMAT, "size"},
        {"no dictionary", "", 4, KATA_FORMAT, "'{'"},
        {"cut", "{'descr': '<f4', ", 4, KATA_FORMAT, "expected"},
        {"cut text", "{'descr': '<f", 4, KATA_FORMAT, "end"},
        {"lacks shape", "{'descr': '<f4', 'fortran_order': False}", 4, KATA_FORMAT, "lacks shape"},
        {"lacks descr", "{'shape': (1,), 'fortran_order': False}", 4, KATA_FORMAT, "lacks descr"},
        {"lacks order", "{'descr': '<f4', 'shape': (1,)}", 4, KATA_FORMAT, "lacks fortran"},
        {"a key twice", "{'shape': (1,), 'shape': (1,)}", 4, KATA_FORMAT, "twice"},
        {"unknown key", "{'x': 1}", 4, KATA_FORMAT, "unknown"},
        {"order is a number", "{'fortran_order': 1}", 4, KATA_FORMAT, "True"},
        {"something behind", HEADER("'<f4'", "(1,)") " x", 4, KATA_FORMAT, "the end"},
        {"escape in a text", "{'des\\143r': '<f4'}", 4, KATA_FORMAT, "plain"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t elements[64] = {0};
        kata_tensor read = {0};
        kata_test_allocator_reset(&allocator, 0);
        int64_t live = atomic_load(&allocator.n_live_bytes);
        kata_status status = read_file(&read, 1, cases[i].header, elements, cases[i].n_elements);
        if (status != cases[i].status || strstr(kata_error_message(), cases[i].says) == NULL) {
            fail_msg("%s: %s, %s", cases[i].name, kata_status_name(status), kata_error_message());
        }
        assert_true(atomic_load(&allocator.n_peak_bytes) - live < 65536);
        assert_int_equal(read.dtype, KATA_NO_DTYPE); /* untouched */
    }
}

static void hostile_lengths(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        kata_status status;
    } cases[] = {
        {"", 0, KATA_FORMAT},
        {"\x93NUMPY", 6, KATA_FORMAT},
        {"\x93NUMPX\x01\x00\x02\x00{}", 12, KATA_FORMAT},
        {"\x93NUMPY\x00\x00\x02\x00{}", 12, KATA_UNSUPPORTED},
        {"\x93NUMPY\x04\x00\x02\x00{}", 12, KATA_UNSUPPORTED},
        {"\x93NUMPY\x01\x01\x02\x00{}", 12, KATA_UNSUPPORTED},
        {"\x93NUMPY\x01\x00\x03\x00{}", 12, KATA_FORMAT},
        {"\x93NUMPY\x01\x00\xff\xff{}", 12, KATA_FORMAT},
        {"\x93NUMPY\x02\x00\x02\x00", 10, KATA_FORMAT},
        {"\x93NUMPY\x02\x00\xff\xff\xff\xff{}", 14, KATA_FORMAT},
        {"\x93NUMPY\x03\x00\x00\x00\x00\x80{}", 14, KATA_FORMAT},
        {"PK\x03\x04 an npz", 10, KATA_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kata_tensor read = {0};
        assert_int_equal(
            kata_npy_read_memory(&read, context, cases[i].bytes, cases[i].n, "test.npy"),
            cases[i].status);
        assert_non_null(strstr(kata_error_message(), "test.npy"));
    }
    kata_tensor read = {0};
    assert_int_equal(kata_npy_read(&read, context, "/nonexistent.npy"), KATA_NOT_FOUND);
}

static kata_status read_mangled(kata_context *c, const uint8_t *data, size_t n_bytes) {
    kata_tensor read = {0};
    kata_status status = kata_npy_read_memory(&read, c, data, n_bytes, NULL);
    kata_tensor_release(&read);
    return status;
}

static void mangled_files(void **state) {
    (void)state;
    static const int16_t values[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    static const char *const headers[] = {
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }        \n",
        "{'descr': '>f8', 'fortran_order': True, 'shape': (1, 3), }\n",
    };
    const mangle m = {read_mangled, context, &allocator, 65536};
    for (int i = 0; i < 2; i++) {
        size_t n_bytes;
        uint8_t *file = file_of(i + 1, headers[i], values, sizeof values, &n_bytes);
        mangle_truncate(&m, file, n_bytes);
        assert_true(mangle_flip(&m, file, n_bytes, 20000, (uint64_t)i) > 0);
        mangle_starve(&m, file, n_bytes);
        free(file);
    }
}

static kata_status write_starved(kata_context *c, const uint8_t *data, size_t n_bytes) {
    (void)data;
    (void)n_bytes;
    float f[] = {1, 2};
    kata_tensor tensor = kata_tensor_view(f, KATA_F32, &KATA_SHAPE_OF(2));
    return kata_npy_write(c, path, &tensor);
}

static void starved_writer(void **state) {
    (void)state;
    const mangle m = {write_starved, context, &allocator, 0};
    mangle_starve(&m, NULL, 0);
}

#define TEXT(text)                                                                                 \
    { text, sizeof text - 1 }

static void check_texts(const kata_tensor *read, const kata_string *expected, int64_t n) {
    const kata_string *texts = read->data;
    assert_int_equal(read->dtype, KATA_STRING);
    assert_int_equal(kata_tensor_count(read), n);
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal(texts[i].n_bytes, expected[i].n_bytes);
        assert_memory_equal(texts[i].data, expected[i].data, (size_t)expected[i].n_bytes);
    }
}

/* As UTF-32 of the longest text's length, which is how NumPy has them. */
static void texts(void **state) {
    (void)state;
    kata_string all[] = {TEXT("a"),
                         TEXT(""),
                         TEXT("\xc3\xa9t\xc3\xa9"),
                         TEXT("\xe6\xbc\xa2\xe5\xad\x97"),
                         TEXT("\xf0\x9f\x98\x80"),
                         TEXT("a\0b")};
    kata_tensor tensor = kata_tensor_view(all, KATA_STRING, &KATA_SHAPE_OF(2, 3)), read = {0};
    kata_tensor columns;
    assert_int_equal(kata_npy_write(context, path, &tensor), KATA_OK);
    assert_int_equal(kata_npy_read(&read, context, path), KATA_OK);
    check_texts(&read, all, 6);
    kata_tensor_release(&read);
    assert_int_equal(kata_tensor_transpose(&columns, &tensor, NULL), KATA_OK);
    assert_int_equal(kata_npy_write(context, path, &columns), KATA_OK);
    assert_int_equal(kata_npy_read(&read, context, path), KATA_OK);
    check_texts(&read, (kata_string[]){all[0], all[3], all[1], all[4], all[2], all[5]}, 6);
    kata_tensor_release(&read);
    all[1] = (kata_string)TEXT("\xff");
    assert_int_equal(kata_npy_write(context, path, &tensor), KATA_FORMAT);
}

static void foreign_texts(void **state) {
    (void)state;
    kata_tensor read = {0};
    const kata_string two[] = {TEXT("\xc3\xa9"), TEXT("bc")};
    assert_int_equal(
        read_file(&read, 1, HEADER("'>U2'", "(2,)"), "\0\0\0\xe9\0\0\0\0\0\0\0b\0\0\0c", 16),
        KATA_OK);
    check_texts(&read, two, 2);
    kata_tensor_release(&read);
    const kata_string bytes[] = {TEXT("ab"), TEXT("c"), TEXT(""), TEXT("d")};
    assert_int_equal(read_file(&read, 1,
                               "{'descr': '|S2', 'fortran_order': True, 'shape': (2, 2), }",
                               "ab\0\0c\0d\0", 8),
                     KATA_OK);
    check_texts(&read, bytes, 4);
    kata_tensor_release(&read);
    assert_int_equal(read_file(&read, 1, HEADER("'<U1'", "(1,)"), "\0\xd8\0\0", 4), KATA_FORMAT);
    assert_non_null(strstr(kata_error_message(), "55296, which is no character"));
    assert_int_equal(read_file(&read, 1, HEADER("'|S1'", "(1,)"), "\xff", 1), KATA_FORMAT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),           cmocka_unit_test(foreign_texts),
        cmocka_unit_test(round_trip),      cmocka_unit_test(known_bytes),
        cmocka_unit_test(strided_tensors), cmocka_unit_test(foreign_headers),
        cmocka_unit_test(fortran_order),   cmocka_unit_test(big_endian),
        cmocka_unit_test(hostile_headers), cmocka_unit_test(hostile_lengths),
        cmocka_unit_test(mangled_files),   cmocka_unit_test(starved_writer),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
