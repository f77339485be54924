/* Copies: every pair of data types, every kind of stride. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <kata/tensor.h>

#include "base/check.h"
#include "tensor/dtype.h"
#include "support/counting_allocator.h"

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

static const kata_dtype all[] = {
#define X(name, text, bytes, onnx) KATA_##name,
    KATA_DTYPE_LIST(X)
#undef X
};

/* Types that hold 0 to 7 exactly, but not 0 to 119. */
static bool is_narrow(kata_dtype dtype) {
    return dtype == KATA_I4 || dtype == KATA_U4 || kata__dtype_is_f8(dtype);
}

static kata_tensor make(kata_dtype dtype, kata_shape shape) {
    kata_tensor tensor;
    assert_int_equal(kata_tensor_new(&tensor, context, dtype, &shape), KATA_OK);
    return tensor;
}

/* A view of `base` with turned axes, every second element, backwards: by `kind`. */
static kata_tensor view_of(const kata_tensor *base, int kind) {
    kata_tensor view = *base;
    view.owner = NULL;
    if (kind & 1) {
        assert_int_equal(kata_tensor_slice(&view, &view, 2, -1, -100, -2), KATA_OK);
    } else {
        assert_int_equal(kata_tensor_slice(&view, &view, 2, 0, 100, 2), KATA_OK);
    }
    if (kind & 2) {
        assert_int_equal(kata_tensor_slice(&view, &view, 1, 1, 4, 1), KATA_OK);
    } else {
        assert_int_equal(kata_tensor_slice(&view, &view, 1, -1, -4, -1), KATA_OK);
    }
    return view;
}

static void every_pair_and_stride(void **state) {
    (void)state;
    for (size_t a = 0; a < KATA__COUNT(all); a++) {
        for (size_t b = 0; b < KATA__COUNT(all); b++) {
            int64_t n_values = is_narrow(all[a]) || is_narrow(all[b]) ? 8 : 120;
            bool strings = all[a] == KATA_STRING || all[b] == KATA_STRING;
            for (int kind = 0; kind < 16 && !strings; kind++) {
                kata_tensor from = make(all[a], KATA_SHAPE_OF(3, 4, 10));
                kata_tensor to = make(all[b], KATA_SHAPE_OF(3, 4, 10));
                for (int64_t i = 0; i < 120; i++) {
                    kata_store(all[a], from.data, i, (double)(i % n_values));
                    kata_store(all[b], to.data, i, 1);
                }
                kata_tensor source = view_of(&from, kind & 3), target = view_of(&to, kind >> 2);
                assert_int_equal(kata_tensor_copy(&target, &source), KATA_OK);
                int64_t n_ones = 0;
                for (int64_t i = 0; i < 3 * 3 * 5; i++) {
                    int64_t index[] = {i / 15, i / 5 % 3, i % 5};
                    double value = kata_tensor_get(&source, index);
                    double expected = all[b] == KATA_BOOL ? value != 0 : value;
                    assert_true(kata_tensor_get(&target, index) == expected);
                    n_ones += expected == 1;
                }
                for (int64_t i = 0; i < 120; i++) { /* and nothing else was written */
                    n_ones -= kata_load(all[b], to.data, i) == 1;
                }
                assert_int_equal(n_ones, -(120 - 45));
                kata_tensor_release(&from);
                kata_tensor_release(&to);
            }
        }
    }
}

/* Rows longer than the block that conversions work on. */
static void long_rows(void **state) {
    (void)state;
    kata_tensor from = make(KATA_I32, KATA_SHAPE_OF(2, 5000)), to = make(KATA_F32, from.shape);
    for (int64_t i = 0; i < 10000; i++) {
        kata_store(KATA_I32, from.data, i, (double)(i * 7 - 5));
    }
    assert_int_equal(kata_tensor_copy(&to, &from), KATA_OK);
    for (int64_t i = 0; i < 10000; i++) {
        assert_true(kata_load(KATA_F32, to.data, i) == (double)(i * 7 - 5));
    }
    kata_tensor_release(&from);
    kata_tensor_release(&to);
}

static void integers_are_exact(void **state) {
    (void)state;
    int64_t a[] = {INT64_MAX, INT64_MIN, 9007199254740993, -9007199254740993}, b[8] = {0};
    kata_shape four = KATA_SHAPE_OF(4), two_by_two = KATA_SHAPE_OF(2, 2), eight = KATA_SHAPE_OF(8);
    kata_tensor from = kata_tensor_view(a, KATA_I64, &four),
                to = kata_tensor_view(b, KATA_I64, &four);
    assert_int_equal(kata_tensor_copy(&to, &from), KATA_OK);
    assert_memory_equal(a, b, sizeof a);
    kata_tensor spread = kata_tensor_view(b, KATA_I64, &eight);
    memset(b, 0, sizeof b);
    assert_int_equal(kata_tensor_slice(&spread, &spread, 0, 0, 8, 2), KATA_OK);
    assert_int_equal(kata_tensor_copy(&spread, &from), KATA_OK);
    for (int i = 0; i < 4; i++) {
        assert_true(b[2 * i] == a[i] && b[2 * i + 1] == 0);
    }
    /* Transposed. */
    from = kata_tensor_view(a, KATA_I64, &two_by_two);
    to = kata_tensor_view(b, KATA_I64, &two_by_two);
    assert_int_equal(kata_tensor_transpose(&from, &from, NULL), KATA_OK);
    assert_int_equal(kata_tensor_copy(&to, &from), KATA_OK);
    assert_true(b[0] == a[0] && b[1] == a[2] && b[2] == a[1] && b[3] == a[3]);
}

/* ONNX Cast. */
static void conversions(void **state) {
    (void)state;
    kata_shape n = KATA_SHAPE_OF(6);
    float f[] = {1.9f, -1.9f, 300, -300, NAN, INFINITY};
    int8_t i8[6];
    uint8_t u8[6], truth[6];
    int64_t i64[6];
    kata_tensor from = kata_tensor_view(f, KATA_F32, &n);
    kata_tensor to = kata_tensor_view(i8, KATA_I8, &n);
    assert_int_equal(kata_tensor_copy(&to, &from), KATA_OK);
    assert_memory_equal(i8, ((int8_t[]){1, -1, 127, -128, 0, 127}), 6);
    to = kata_tensor_view(u8, KATA_U8, &n);
    assert_int_equal(kata_tensor_copy(&to, &from), KATA_OK);
    assert_memory_equal(u8, ((uint8_t[]){1, 0, 255, 0, 0, 255}), 6);
    to = kata_tensor_view(truth, KATA_BOOL, &n);
    assert_int_equal(kata_tensor_copy(&to, &from), KATA_OK);
    assert_memory_equal(truth, ((uint8_t[]){1, 1, 1, 1, 1, 1}), 6); /* NaN is true */
    to = kata_tensor_view(i64, KATA_I64, &n);
    assert_int_equal(kata_tensor_copy(&to, &from), KATA_OK);
    assert_memory_equal(i64, ((int64_t[]){1, -1, 300, -300, 0, INT64_MAX}), sizeof i64);
    /* Integers keep their low bits: the example of the ONNX text is 200 to -56. */
    int32_t i32[] = {200, -1, 256, 127, -129, 0};
    from = kata_tensor_view(i32, KATA_I32, &n);
    to = kata_tensor_view(i8, KATA_I8, &n);
    assert_int_equal(kata_tensor_copy(&to, &from), KATA_OK);
    assert_memory_equal(i8, ((int8_t[]){-56, -1, 0, 127, 127, 0}), 6);
    to = kata_tensor_view(truth, KATA_BOOL, &n);
    assert_int_equal(kata_tensor_copy(&to, &from), KATA_OK);
    assert_memory_equal(truth, ((uint8_t[]){1, 1, 1, 1, 1, 0}), 6);
    /* Large integers round once: by way of double this one would become 2^60. */
    int64_t large[] = {((int64_t)1 << 60) + ((int64_t)1 << 36) + 1, 0, 0, 0, 0, 0};
    from = kata_tensor_view(large, KATA_I64, &n);
    to = kata_tensor_view(f, KATA_F32, &n);
    assert_int_equal(kata_tensor_copy(&to, &from), KATA_OK);
    assert_true(f[0] == 0x1p60f + 0x1p37f);
    /* Doubles to float16 round once. */
    double d[] = {1 + 0x1p-11 + 0x1p-40, 0, 0, 0, 0, 0};
    uint16_t half[6];
    from = kata_tensor_view(d, KATA_F64, &n);
    to = kata_tensor_view(half, KATA_F16, &n);
    assert_int_equal(kata_tensor_copy(&to, &from), KATA_OK);
    assert_int_equal(half[0], 0x3C01);
}

/* What fits no more: integers keep their low bits, floats take the nearest end (4-bit integers keep
 * low bits of these too). */
static void narrow_and_unsigned(void **state) {
    (void)state;
    kata_shape n = KATA_SHAPE_OF(4);
    int64_t i64[] = {9, -9, 255, -1};
    double f64[] = {9.7, -9.7, 1e30, 0x1p63};
    uint64_t u64[] = {UINT64_MAX, 0x8000000000000001u, 1, 0}, got64[4];
    int8_t i4[4];
    uint8_t u4[4];
    float f32[4];
    kata_tensor from = kata_tensor_view(i64, KATA_I64, &n), to = kata_tensor_view(i4, KATA_I4, &n);
    assert_int_equal(kata_tensor_copy(&to, &from), KATA_OK);
    assert_memory_equal(i4, ((int8_t[]){-7, 7, -1, -1}), 4);
    to = kata_tensor_view(u4, KATA_U4, &n);
    assert_int_equal(kata_tensor_copy(&to, &from), KATA_OK);
    assert_memory_equal(u4, ((uint8_t[]){9, 7, 15, 15}), 4);
    to = kata_tensor_view(got64, KATA_U64, &n);
    assert_int_equal(kata_tensor_copy(&to, &from), KATA_OK);
    assert_true(got64[1] == UINT64_MAX - 8 && got64[3] == UINT64_MAX);
    from = kata_tensor_view(f64, KATA_F64, &n);
    assert_int_equal(kata_tensor_copy(&to, &from), KATA_OK);
    assert_true(got64[0] == 9 && got64[1] == 0 && got64[2] == UINT64_MAX &&
                got64[3] == 0x8000000000000000u);
    to = kata_tensor_view(i4, KATA_I4, &n);
    assert_int_equal(kata_tensor_copy(&to, &from), KATA_OK);
    assert_memory_equal(i4, ((int8_t[]){-7, 7, -1, -1}), 4);
    from = kata_tensor_view(u64, KATA_U64, &n);
    to = kata_tensor_view(f32, KATA_F32, &n);
    assert_int_equal(kata_tensor_copy(&to, &from), KATA_OK);
    assert_true(f32[0] == 0x1p64f && f32[1] == 0x1p63f && f32[2] == 1);
}

static void strings(void **state) {
    (void)state;
    char first[] = "eins", second[] = "\xe6\x97\xa5";
    kata_string elements[] = {{first, 4}, {NULL, 0}, {second, 3}, {second, 3}};
    kata_tensor from = kata_tensor_view(elements, KATA_STRING, &KATA_SHAPE_OF(2, 2)), copy;
    assert_int_equal(kata_tensor_transpose(&from, &from, NULL), KATA_OK);
    assert_int_equal(kata_tensor_clone(&copy, context, &from), KATA_OK);
    first[0] = 'k'; /* the bytes are the copy's own */
    const kata_string *got = copy.data;
    assert_true(got[0].n_bytes == 4 && memcmp(got[0].data, "eins", 4) == 0);
    assert_true(got[1].n_bytes == 3 && memcmp(got[1].data, second, 3) == 0);
    assert_true(got[2].n_bytes == 0 && got[3].n_bytes == 3);
    float number;
    kata_tensor scalar = kata_tensor_view(&number, KATA_F32, &KATA_SHAPE_OF(1, 1));
    assert_int_equal(kata_tensor_slice(&from, &copy, 0, 0, 1, 1), KATA_OK);
    assert_int_equal(kata_tensor_slice(&from, &from, 1, 0, 1, 1), KATA_OK);
    assert_int_equal(kata_tensor_copy(&scalar, &from), KATA_DTYPE);
    assert_string_equal(kata_error_message(),
                        "copy: string elements do not fit a tensor of float32");
    kata_tensor_release(&copy);
    elements[1] = (kata_string){"\xff", 1};
    from = kata_tensor_view(elements, KATA_STRING, &KATA_SHAPE_OF(4));
    assert_int_equal(kata_tensor_clone(&copy, context, &from), KATA_FORMAT);
    assert_string_equal(kata_error_message(), "element 1 is no UTF-8 text");
    elements[1] = (kata_string){"x", -1};
    assert_int_equal(kata_tensor_clone(&copy, context, &from), KATA_FORMAT);
}

static void scalars_empties_and_broadcasts(void **state) {
    (void)state;
    kata_shape scalar = kata_shape_make(0, NULL);
    float a = 3.5f;
    double b = 0;
    kata_tensor from = kata_tensor_view(&a, KATA_F32, &scalar);
    kata_tensor to = kata_tensor_view(&b, KATA_F64, &scalar);
    assert_int_equal(kata_tensor_copy(&to, &from), KATA_OK);
    assert_true(b == 3.5);
    kata_shape empty = KATA_SHAPE_OF(3, 0, 2);
    from = kata_tensor_view(NULL, KATA_F32, &empty);
    to = kata_tensor_view(NULL, KATA_F64, &empty);
    assert_int_equal(kata_tensor_copy(&to, &from), KATA_OK);
    to.dtype = KATA_F32;
    assert_int_equal(kata_tensor_copy(&to, &from), KATA_OK);

    float row[] = {10, 20}, square[4];
    kata_shape two = KATA_SHAPE_OF(2), two_by_two = KATA_SHAPE_OF(2, 2);
    kata_tensor narrow = kata_tensor_view(row, KATA_F32, &two), wide;
    assert_int_equal(kata_tensor_broadcast(&wide, &narrow, &two_by_two), KATA_OK);
    to = kata_tensor_view(square, KATA_F32, &two_by_two);
    assert_int_equal(kata_tensor_copy(&to, &wide), KATA_OK);
    assert_memory_equal(square, ((float[]){10, 20, 10, 20}), sizeof square);
    assert_int_equal(kata_tensor_copy(&wide, &to), KATA_INVALID);
    assert_string_equal(kata_error_message(), "copy: the destination of shape (2,2) is a broadcast "
                                              "view at axis 0; its elements share one place");
}

static void errors(void **state) {
    (void)state;
    float data[6] = {0};
    kata_shape a = KATA_SHAPE_OF(2, 3), b = KATA_SHAPE_OF(3, 2), huge = KATA_SHAPE_OF(INT64_MAX, 2);
    kata_tensor to = kata_tensor_view(data, KATA_F32, &a);
    kata_tensor from = kata_tensor_view(data, KATA_F32, &b);
    assert_int_equal(kata_tensor_copy(&to, &from), KATA_SHAPE);
    assert_string_equal(kata_error_message(),
                        "copy: a tensor of shape (3,2) does not fit one of shape (2,3)");
    from = kata_tensor_view(data, KATA_NO_DTYPE, &a);
    assert_int_equal(kata_tensor_copy(&to, &from), KATA_DTYPE);
    assert_int_equal(kata_tensor_copy(&from, &to), KATA_DTYPE);
    to = kata_tensor_view(data, KATA_F32, &huge);
    assert_int_equal(kata_tensor_copy(&to, &to), KATA_LIMIT);
    to.shape.dim[0] = -1;
    assert_int_equal(kata_tensor_copy(&to, &to), KATA_SHAPE);
    to.shape.rank = 9;
    assert_int_equal(kata_tensor_copy(&to, &to), KATA_SHAPE);
}

/* The same memory shifted: contiguous copies may overlap. */
static void overlap(void **state) {
    (void)state;
    float data[6] = {0, 1, 2, 3, 4, 5};
    kata_shape five = KATA_SHAPE_OF(5);
    kata_tensor from = kata_tensor_view(data, KATA_F32, &five);
    kata_tensor to = kata_tensor_view(data + 1, KATA_F32, &five);
    assert_int_equal(kata_tensor_copy(&to, &from), KATA_OK);
    assert_memory_equal(data, ((float[]){0, 0, 1, 2, 3, 4}), sizeof data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_pair_and_stride, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_rows, set_up, tear_down),
        cmocka_unit_test(integers_are_exact),
        cmocka_unit_test(conversions),
        cmocka_unit_test(narrow_and_unsigned),
        cmocka_unit_test_setup_teardown(strings, set_up, tear_down),
        cmocka_unit_test(scalars_empties_and_broadcasts),
        cmocka_unit_test(errors),
        cmocka_unit_test(overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
