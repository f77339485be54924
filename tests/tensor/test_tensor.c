/* Tensors, their views and copies. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <kata/tensor.h>

#include "base/check.h"
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

/* Shape and elements in row-major order. */
static void tensor_is(const kata_tensor *tensor, kata_shape shape, const double *expected) {
    assert_true(kata_shape_equal(&tensor->shape, &shape));
    int64_t index[KATA_MAX_RANK] = {0}, count = kata_shape_count(&shape);
    for (int64_t i = 0; i < count; i++) {
        double value = kata_tensor_get(tensor, index);
        if (value != expected[i]) {
            fail_msg("element %d is %g, not %g", (int)i, value, expected[i]);
        }
        for (int axis = shape.rank - 1; axis >= 0 && ++index[axis] == shape.dim[axis]; axis--) {
            index[axis] = 0;
        }
    }
}

#define NUMBERS(...)                                                                               \
    (const double[]) {                                                                             \
        __VA_ARGS__                                                                                \
    }

static kata_tensor arange(kata_dtype dtype, kata_shape shape) {
    kata_tensor tensor;
    assert_int_equal(kata_tensor_new(&tensor, context, dtype, &shape), KATA_OK);
    for (int64_t i = 0; i < kata_tensor_count(&tensor); i++) {
        kata_store(dtype, tensor.data, i, (double)i);
    }
    return tensor;
}

static void new_tensors(void **state) {
    (void)state;
    kata_shape shape = KATA_SHAPE_OF(3, 5);
    kata_tensor tensor;
    assert_int_equal(kata_tensor_new(&tensor, context, KATA_F32, &shape), KATA_OK);
    assert_int_equal((uintptr_t)tensor.data % 64, 0);
    assert_int_equal(kata_tensor_count(&tensor), 15);
    assert_int_equal(kata_tensor_bytes(&tensor), 60);
    assert_true(kata_tensor_is_contiguous(&tensor));
    assert_ptr_equal(tensor.owner, context);
    for (int i = 0; i < 15; i++) {
        assert_true(((float *)tensor.data)[i] == 0);
    }
    kata_tensor_release(&tensor);
    assert_null(tensor.data);
    kata_tensor_release(&tensor);
    kata_tensor_release(NULL);

    kata_shape scalar = kata_shape_make(0, NULL), empty = KATA_SHAPE_OF(0, 3);
    assert_int_equal(kata_tensor_new(&tensor, context, KATA_I64, &scalar), KATA_OK);
    kata_tensor_set(&tensor, NULL, 7);
    assert_true(kata_tensor_get(&tensor, NULL) == 7);
    kata_tensor_release(&tensor);
    assert_int_equal(kata_tensor_new(&tensor, context, KATA_I64, &empty), KATA_OK);
    assert_int_equal(kata_tensor_bytes(&tensor), 0);
    assert_true(kata_tensor_is_contiguous(&tensor));
    kata_tensor_release(&tensor);
}

static void new_fails(kata_dtype dtype, kata_shape shape, kata_status status, const char *message) {
    kata_tensor tensor = {.data = &allocator};
    assert_int_equal(kata_tensor_new(&tensor, context, dtype, &shape), status);
    assert_string_equal(kata_error_message(), message);
    assert_ptr_equal(tensor.data, &allocator);
}

static void new_tensor_errors(void **state) {
    (void)state;
    int64_t nine[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    new_fails(KATA_NO_DTYPE, KATA_SHAPE_OF(2), KATA_DTYPE, "new tensor: 0 is not a data type");
    new_fails((kata_dtype)77, KATA_SHAPE_OF(2), KATA_DTYPE, "new tensor: 77 is not a data type");
    new_fails(KATA_F32, KATA_SHAPE_OF(-1, 2), KATA_SHAPE,
              "new tensor: shape (?,2) has an unknown size at axis 0");
    new_fails(KATA_F32, KATA_SHAPE_OF(1, -9), KATA_SHAPE,
              "new tensor: shape (1,?) has the negative size -9 at axis 1");
    new_fails(KATA_F32, kata_shape_make(9, nine), KATA_SHAPE,
              "new tensor: the rank must be in 0 to 8");
    new_fails(KATA_F64, KATA_SHAPE_OF((int64_t)1 << 60, 2), KATA_LIMIT,
              "a new tensor of shape (1152921504606846976,2) would have more bytes than can be "
              "addressed");
    new_fails(KATA_U8, KATA_SHAPE_OF((int64_t)1 << 40, (int64_t)1 << 40), KATA_LIMIT,
              "a new tensor of shape (1099511627776,1099511627776) would have more bytes than can "
              "be addressed");
    kata_test_allocator_reset(&allocator, 1);
    new_fails(KATA_F32, KATA_SHAPE_OF(2, 3), KATA_OUT_OF_MEMORY,
              "new tensor of shape (2,3): out of memory: cannot get 24 bytes");
    kata_shape shape = KATA_SHAPE_OF(1);
    kata_tensor tensor;
    assert_int_equal(kata_tensor_new(&tensor, NULL, KATA_F32, &shape), KATA_INVALID);
}

/* Book 1 L896: the row [10,20] over [[1,2],[3,4]] gives [[10,40],[30,80]]. */
static void book_broadcast(void **state) {
    (void)state;
    float a[] = {1, 2, 3, 4}, b[] = {10, 20};
    kata_shape square = KATA_SHAPE_OF(2, 2), row = KATA_SHAPE_OF(2), both;
    kata_tensor x = kata_tensor_view(a, KATA_F32, &square), y = kata_tensor_view(b, KATA_F32, &row);
    assert_int_equal(kata_shape_broadcast(&both, &x.shape, &y.shape), KATA_OK);
    kata_tensor wide;
    assert_int_equal(kata_tensor_broadcast(&wide, &y, &both), KATA_OK);
    tensor_is(&wide, KATA_SHAPE_OF(2, 2), NUMBERS(10, 20, 10, 20));
    double product[4];
    for (int64_t i = 0; i < 4; i++) {
        int64_t index[] = {i / 2, i % 2};
        product[i] = kata_tensor_get(&x, index) * kata_tensor_get(&wide, index);
    }
    assert_memory_equal(product, NUMBERS(10, 40, 30, 80), sizeof product);
    assert_null(wide.owner);
    assert_false(kata_tensor_is_contiguous(&wide));

    /* A number over anything (L834, L875), and onto more axes. */
    kata_shape scalar = kata_shape_make(0, NULL), cube = KATA_SHAPE_OF(2, 1, 3);
    kata_tensor number = kata_tensor_view(b, KATA_F32, &scalar);
    assert_int_equal(kata_tensor_broadcast(&wide, &number, &cube), KATA_OK);
    tensor_is(&wide, cube, NUMBERS(10, 10, 10, 10, 10, 10));

    /* Sizes that do not go together: L827. */
    kata_shape three = KATA_SHAPE_OF(2, 3), one = KATA_SHAPE_OF(1), unknown = KATA_SHAPE_OF(-1, 2);
    assert_int_equal(kata_tensor_broadcast(&wide, &x, &three), KATA_SHAPE);
    assert_string_equal(kata_error_message(),
                        "shapes (2,2) and (2,3) cannot be broadcast: 2 and 3 differ at axis 1");
    assert_int_equal(kata_tensor_broadcast(&wide, &x, &one), KATA_SHAPE);
    assert_string_equal(kata_error_message(),
                        "shape (2,2) cannot be broadcast to (1,): it has the larger size");
    assert_int_equal(kata_tensor_broadcast(&wide, &y, &unknown), KATA_SHAPE);
    tensor_is(&wide, cube, NUMBERS(10, 10, 10, 10, 10, 10)); /* untouched */
}

/* Book 1 L917-944: X = [[51,55],[14,19],[0,4]]. */
static void book_indexing(void **state) {
    (void)state;
    int64_t data[] = {51, 55, 14, 19, 0, 4};
    kata_shape shape = KATA_SHAPE_OF(3, 2), flat = KATA_SHAPE_OF(-1);
    kata_tensor x = kata_tensor_view(data, KATA_I64, &shape), row, view;
    for (int64_t i = 0; i < 3; i++) { /* rows: L931 */
        assert_int_equal(kata_tensor_slice(&row, &x, 0, i, i + 1, 1), KATA_OK);
        tensor_is(&row, KATA_SHAPE_OF(1, 2), NUMBERS((double)data[2 * i], (double)data[2 * i + 1]));
        assert_true(kata_tensor_is_contiguous(&row));
    }
    assert_true(kata_tensor_get(&x, (const int64_t[]){0, 1}) == 55);  /* X[0][1]: L925 */
    assert_int_equal(kata_tensor_reshape(&view, &x, &flat), KATA_OK); /* flatten: L942 */
    tensor_is(&view, KATA_SHAPE_OF(6), NUMBERS(51, 55, 14, 19, 0, 4));
    assert_int_equal(kata_tensor_slice(&row, &view, 0, 0, 5, 2), KATA_OK); /* X[[0,2,4]]: L945 */
    tensor_is(&row, KATA_SHAPE_OF(3), NUMBERS(51, 14, 0));
    kata_tensor_set(&row, (const int64_t[]){1}, -3);
    assert_int_equal(data[2], -3); /* a view */
}

/* Against Python's rules, spelled out by brute force. */
static void slices(void **state) {
    (void)state;
    for (int64_t size = 0; size <= 5; size++) {
        kata_tensor x = arange(KATA_I32, KATA_SHAPE_OF(size)), view;
        for (int64_t start = -8; start <= 8; start++) {
            for (int64_t stop = -8; stop <= 8; stop++) {
                for (int64_t step = -3; step <= 3; step++) {
                    if (step == 0) {
                        continue;
                    }
                    double expected[8];
                    int64_t n = 0, from = start < 0 ? start + size : start;
                    int64_t to = stop < 0 ? stop + size : stop;
                    if (step > 0) {
                        for (int64_t i = from < 0 ? 0 : from; i < to && i < size; i += step) {
                            expected[n++] = (double)i;
                        }
                    } else {
                        for (int64_t i = from >= size ? size - 1 : from; i > to && i >= 0;
                             i += step) {
                            expected[n++] = (double)i;
                        }
                    }
                    assert_int_equal(kata_tensor_slice(&view, &x, 0, start, stop, step), KATA_OK);
                    tensor_is(&view, KATA_SHAPE_OF(n), expected);
                }
            }
        }
        static const int64_t ends[] = {INT64_MIN, INT64_MIN + 1, -1,       0,
                                       1,         INT64_MAX - 1, INT64_MAX};
        for (size_t a = 0; a < KATA__COUNT(ends); a++) {
            for (size_t b = 0; b < KATA__COUNT(ends); b++) {
                for (size_t c = 0; c < KATA__COUNT(ends); c++) {
                    kata_status status = kata_tensor_slice(&view, &x, 0, ends[a], ends[b], ends[c]);
                    assert_int_equal(status, ends[c] == 0 ? KATA_INVALID : KATA_OK);
                    assert_true(status != KATA_OK || view.shape.dim[0] <= size);
                }
            }
        }
        kata_tensor_release(&x);
    }
    kata_tensor x = arange(KATA_F32, KATA_SHAPE_OF(2, 3, 4)), view;
    assert_int_equal(kata_tensor_slice(&view, &x, -1, -1, -5, -2), KATA_OK);
    tensor_is(&view, KATA_SHAPE_OF(2, 3, 2), NUMBERS(3, 1, 7, 5, 11, 9, 15, 13, 19, 17, 23, 21));
    assert_int_equal(kata_tensor_slice(&view, &view, 1, 2, 3, 1), KATA_OK); /* onto itself */
    tensor_is(&view, KATA_SHAPE_OF(2, 1, 2), NUMBERS(11, 9, 23, 21));
    assert_int_equal(kata_tensor_slice(&view, &x, 3, 0, 1, 1), KATA_INVALID);
    assert_string_equal(kata_error_message(), "shape (2,3,4) has no axis 3");
    assert_int_equal(kata_tensor_slice(&view, &x, 0, 0, 1, 0), KATA_INVALID);
    assert_string_equal(kata_error_message(), "slice: the step must not be 0");
    kata_tensor_release(&x);
}

static void transposes(void **state) {
    (void)state;
    kata_tensor x = arange(KATA_F64, KATA_SHAPE_OF(2, 3)), view;
    assert_int_equal(kata_tensor_transpose(&view, &x, NULL), KATA_OK);
    tensor_is(&view, KATA_SHAPE_OF(3, 2), NUMBERS(0, 3, 1, 4, 2, 5));
    assert_false(kata_tensor_is_contiguous(&view));
    assert_null(view.owner);
    kata_tensor_release(&x);
    /* Picture blocks as the book's im2col turns them: (N, OH, OW, C) to (N, C, OH, OW). */
    x = arange(KATA_F32, KATA_SHAPE_OF(1, 2, 2, 3));
    assert_int_equal(kata_tensor_transpose(&view, &x, (const int[]){0, 3, 1, 2}), KATA_OK);
    tensor_is(&view, KATA_SHAPE_OF(1, 3, 2, 2), NUMBERS(0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11));
    static const int bad[][4] = {{0, 1, 2, 4}, {0, 1, 2, 2}, {-1, 0, 1, 2}};
    for (size_t i = 0; i < KATA__COUNT(bad); i++) {
        assert_int_equal(kata_tensor_transpose(&view, &x, bad[i]), KATA_INVALID);
    }
    assert_string_equal(kata_error_message(),
                        "transpose of shape (1,2,2,3): the axes must be each of 0 to 3 once, but "
                        "number 0 is -1");
    kata_tensor_release(&x);
}

static void reshapes(void **state) {
    (void)state;
    kata_tensor x = arange(KATA_F32, KATA_SHAPE_OF(10, 3, 5, 5)), view, turned;
    kata_shape to = KATA_SHAPE_OF(10, -1), wrong = KATA_SHAPE_OF(7, -1);
    assert_int_equal(kata_tensor_reshape(&view, &x, &to), KATA_OK);
    assert_int_equal(view.shape.dim[1], 75); /* 750 elements, reshape(10,-1): book 1 L5672 */
    assert_ptr_equal(view.data, x.data);
    assert_null(view.owner);
    assert_int_equal(kata_tensor_reshape(&view, &x, &wrong), KATA_SHAPE);
    assert_string_equal(
        kata_error_message(),
        "shape (10,3,5,5) cannot become (7,?): 750 elements cannot be shared out over 7");
    assert_int_equal(kata_tensor_transpose(&turned, &x, NULL), KATA_OK);
    assert_int_equal(kata_tensor_reshape(&view, &turned, &to), KATA_INVALID);
    assert_string_equal(kata_error_message(), "shape (5,5,3,10) cannot become (10,75): the tensor "
                                              "is not contiguous; copy it first");
    kata_tensor_release(&x);
}

static void contiguity(void **state) {
    (void)state;
    kata_tensor x = arange(KATA_F32, KATA_SHAPE_OF(3, 1, 4)), view;
    x.stride[1] = 999; /* of a size of 1: means nothing */
    assert_true(kata_tensor_is_contiguous(&x));
    kata_tensor_slice(&view, &x, 2, 0, 3, 1);
    assert_false(kata_tensor_is_contiguous(&view));
    kata_tensor_slice(&view, &x, 0, 1, 3, 1);
    assert_true(kata_tensor_is_contiguous(&view));
    kata_tensor_slice(&view, &x, 0, 2, -4, -1);
    assert_false(kata_tensor_is_contiguous(&view));
    kata_tensor bad = {.dtype = KATA_F32, .shape = {.rank = 99}};
    assert_false(kata_tensor_is_contiguous(&bad));
    assert_int_equal(kata_tensor_bytes(&bad), 0);
    kata_tensor_release(&x);
}

static void elements_outside(void **state) {
    (void)state;
    kata_tensor x = arange(KATA_F32, KATA_SHAPE_OF(2, 3));
    assert_true(isnan(kata_tensor_get(&x, (const int64_t[]){2, 0})));
    assert_string_equal(kata_error_message(), "index 2 at axis 0 is outside shape (2,3)");
    assert_true(isnan(kata_tensor_get(&x, (const int64_t[]){0, -1})));
    kata_tensor_set(&x, (const int64_t[]){0, 3}, 99);
    tensor_is(&x, KATA_SHAPE_OF(2, 3), NUMBERS(0, 1, 2, 3, 4, 5));
    kata_tensor bad = {.dtype = KATA_F32, .shape = {.rank = 99}};
    assert_true(isnan(kata_tensor_get(&bad, (const int64_t[]){0})));
    kata_tensor_release(&x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(new_tensors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(new_tensor_errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(book_broadcast, set_up, tear_down),
        cmocka_unit_test_setup_teardown(book_indexing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(slices, set_up, tear_down),
        cmocka_unit_test_setup_teardown(transposes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reshapes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(contiguity, set_up, tear_down),
        cmocka_unit_test_setup_teardown(elements_outside, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
