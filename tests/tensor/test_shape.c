/* Shapes: text, count, broadcasting, reshaping, the shapes of matrix products. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <kata/tensor.h>

#include "base/check.h"
#include "tensor/shape.h"

#include <string.h>

static const char *text_of(kata_shape shape) {
    static char text[KATA_SHAPE_TEXT_SIZE];
    return kata_shape_text(&shape, text);
}

static void texts(void **state) {
    (void)state;
    assert_string_equal(text_of(KATA_SHAPE_OF(2, 3)), "(2,3)");
    assert_string_equal(text_of(KATA_SHAPE_OF(2)), "(2,)");
    assert_string_equal(text_of(kata_shape_make(0, NULL)), "()");
    assert_string_equal(text_of(KATA_SHAPE_OF(-1, 784)), "(?,784)");
    assert_string_equal(text_of(KATA_SHAPE_OF(-7)), "(?,)"); /* open, with a name */
    int64_t longest[8] = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX,
                          INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};
    assert_int_equal(strlen(text_of(kata_shape_make(8, longest))), 8 * 19 + 7 + 2);
    assert_string_equal(text_of(kata_shape_make(9, longest)), "(a shape of no valid rank)");
    assert_string_equal(text_of((kata_shape){.rank = 1000}), "(a shape of no valid rank)");
}

static int64_t count_of(kata_shape shape) {
    return kata_shape_count(&shape);
}

static void counts(void **state) {
    (void)state;
    assert_int_equal(count_of(kata_shape_make(0, NULL)), 1);
    assert_int_equal(count_of(KATA_SHAPE_OF(2, 3, 4)), 24);
    assert_int_equal(count_of(KATA_SHAPE_OF(2, 0, 4)), 0);
    assert_int_equal(count_of(KATA_SHAPE_OF(2, -1)), -1);
    assert_int_equal(count_of(KATA_SHAPE_OF(0, -1)), -1);
    assert_int_equal(count_of(KATA_SHAPE_OF((int64_t)1 << 32, (int64_t)1 << 31)), -1);
    assert_int_equal(count_of(KATA_SHAPE_OF((int64_t)1 << 31, (int64_t)1 << 31)), (int64_t)1 << 62);
    /* No strides could be made of this one. */
    assert_int_equal(count_of(KATA_SHAPE_OF(0, (int64_t)1 << 32, (int64_t)1 << 32)), -1);
    assert_int_equal(count_of(kata_shape_make(-3, NULL)), -1);
    assert_int_equal(count_of((kata_shape){.rank = 9}), -1);
}

static void equality(void **state) {
    (void)state;
    kata_shape a = KATA_SHAPE_OF(2, 3), b = KATA_SHAPE_OF(2, 3), c = KATA_SHAPE_OF(3, 2);
    kata_shape d = KATA_SHAPE_OF(2, 3, 1), none = kata_shape_make(-1, NULL);
    assert_true(kata_shape_equal(&a, &b));
    b.dim[5] = 77; /* beyond the rank: means nothing */
    assert_true(kata_shape_equal(&a, &b));
    assert_false(kata_shape_equal(&a, &c));
    assert_false(kata_shape_equal(&a, &d));
    assert_false(kata_shape_equal(&none, &none));
}

enum { U = KATA_UNKNOWN_DIM };

static void broadcast_is(kata_shape a, kata_shape b, const char *expected) {
    kata_shape out;
    assert_int_equal(kata_shape_broadcast(&out, &a, &b), KATA_OK);
    assert_string_equal(text_of(out), expected);
    assert_int_equal(kata_shape_broadcast(&out, &b, &a), KATA_OK);
    assert_string_equal(text_of(out), expected);
}

static void broadcast_fails(kata_shape a, kata_shape b, const char *message) {
    kata_shape out = KATA_SHAPE_OF(77);
    assert_int_equal(kata_shape_broadcast(&out, &a, &b), KATA_SHAPE);
    assert_string_equal(kata_error_message(), message);
    assert_string_equal(text_of(out), "(77,)");
}

static void broadcasts(void **state) {
    (void)state;
    kata_shape scalar = kata_shape_make(0, NULL);
    broadcast_is(scalar, scalar, "()");
    broadcast_is(KATA_SHAPE_OF(3), scalar, "(3,)");               /* book 1 L834 */
    broadcast_is(KATA_SHAPE_OF(2, 2), KATA_SHAPE_OF(1), "(2,2)"); /* book 1 L875 */
    broadcast_is(KATA_SHAPE_OF(2, 2), KATA_SHAPE_OF(2), "(2,2)"); /* book 1 L896 */
    broadcast_is(KATA_SHAPE_OF(3, 1), KATA_SHAPE_OF(1, 4), "(3,4)");
    broadcast_is(KATA_SHAPE_OF(5, 1, 7), KATA_SHAPE_OF(6, 1), "(5,6,7)");
    broadcast_is(KATA_SHAPE_OF(0), KATA_SHAPE_OF(1), "(0,)");
    broadcast_is(KATA_SHAPE_OF(U, 10), KATA_SHAPE_OF(10), "(?,10)");
    broadcast_is(KATA_SHAPE_OF(U), KATA_SHAPE_OF(1), "(?,)");
    broadcast_is(KATA_SHAPE_OF(U), KATA_SHAPE_OF(U), "(?,)");
    broadcast_is(KATA_SHAPE_OF(U), KATA_SHAPE_OF(5), "(5,)");
    /* Sizes that differ are an error: book 1 L827. */
    broadcast_fails(KATA_SHAPE_OF(3), KATA_SHAPE_OF(2),
                    "shapes (3,) and (2,) cannot be broadcast: 3 and 2 differ at axis 0");
    broadcast_fails(KATA_SHAPE_OF(2, 3), KATA_SHAPE_OF(2, 2),
                    "shapes (2,3) and (2,2) cannot be broadcast: 3 and 2 differ at axis 1");
    broadcast_fails(KATA_SHAPE_OF(4, 2, 3), KATA_SHAPE_OF(5, 3),
                    "shapes (4,2,3) and (5,3) cannot be broadcast: 2 and 5 differ at axis 1");
    broadcast_fails(KATA_SHAPE_OF(0), KATA_SHAPE_OF(2),
                    "shapes (0,) and (2,) cannot be broadcast: 0 and 2 differ at axis 0");
    /* Open sizes with names: equal ones stay, of two either may be 1. */
    kata_shape out, n = KATA_SHAPE_OF(-2, -3), t = KATA_SHAPE_OF(-3), one = KATA_SHAPE_OF(1, 1);
    assert_int_equal(kata_shape_broadcast(&out, &n, &n), KATA_OK);
    assert_true(kata_shape_equal(&out, &n));
    assert_int_equal(kata_shape_broadcast(&out, &n, &t), KATA_OK);
    assert_true(kata_shape_equal(&out, &n));
    assert_int_equal(kata_shape_broadcast(&out, &one, &n), KATA_OK);
    assert_true(kata_shape_equal(&out, &n));
    t.dim[0] = -2;
    assert_int_equal(kata_shape_broadcast(&out, &n, &t), KATA_OK);
    assert_true(kata_shape_equal(&out, &KATA_SHAPE_OF(-2, U)));
    t.dim[0] = 7;
    assert_int_equal(kata_shape_broadcast(&out, &n, &t), KATA_OK);
    assert_true(kata_shape_equal(&out, &KATA_SHAPE_OF(-2, 7)));
    broadcast_fails(KATA_SHAPE_OF(2), (kata_shape){.rank = 12},
                    "broadcast: the rank must be in 0 to 8");
}

static void product_is(kata_shape a, kata_shape b, const char *expected) {
    kata_shape out;
    assert_int_equal(kata__shape_matmul(&out, &a, &b), KATA_OK);
    assert_string_equal(text_of(out), expected);
}

static void product_fails(kata_shape a, kata_shape b, const char *message) {
    kata_shape out = KATA_SHAPE_OF(77);
    assert_int_equal(kata__shape_matmul(&out, &a, &b), KATA_SHAPE);
    assert_string_equal(kata_error_message(), message);
    assert_string_equal(text_of(out), "(77,)");
}

static void products(void **state) {
    (void)state;
    product_is(KATA_SHAPE_OF(2, 3), KATA_SHAPE_OF(3, 2), "(2,2)"); /* book 1 L1800 */
    product_is(KATA_SHAPE_OF(3, 2), KATA_SHAPE_OF(2, 4), "(3,4)"); /* book 1 L1835 */
    product_is(KATA_SHAPE_OF(3, 2), KATA_SHAPE_OF(2), "(3,)");     /* book 1 L1849 */
    product_is(KATA_SHAPE_OF(2), KATA_SHAPE_OF(2, 3), "(3,)");     /* book 1 L1866 */
    product_is(KATA_SHAPE_OF(4), KATA_SHAPE_OF(4), "()");          /* book 1 L1795 */
    product_is(KATA_SHAPE_OF(5, 2, 3), KATA_SHAPE_OF(3, 4), "(5,2,4)");
    product_is(KATA_SHAPE_OF(5, 1, 2, 3), KATA_SHAPE_OF(6, 3, 4), "(5,6,2,4)");
    product_is(KATA_SHAPE_OF(3), KATA_SHAPE_OF(6, 3, 4), "(6,4)");
    product_is(KATA_SHAPE_OF(6, 2, 3), KATA_SHAPE_OF(3), "(6,2)");
    product_is(KATA_SHAPE_OF(U, 784), KATA_SHAPE_OF(784, 50), "(?,50)");
    product_is(KATA_SHAPE_OF(2, U), KATA_SHAPE_OF(3, U), "(2,?)");
    product_is(KATA_SHAPE_OF(U, 2, 3), KATA_SHAPE_OF(1, 3, U), "(?,2,?)");
    product_is(KATA_SHAPE_OF(2, 0), KATA_SHAPE_OF(0, 3), "(2,3)");
    /* The book's own words, L1817. */
    product_fails(KATA_SHAPE_OF(2, 3), KATA_SHAPE_OF(2, 2),
                  "shapes (2,3) and (2,2) not aligned: 3 (dim 1) != 2 (dim 0)");
    product_fails(KATA_SHAPE_OF(3), KATA_SHAPE_OF(2),
                  "shapes (3,) and (2,) not aligned: 3 (dim 0) != 2 (dim 0)");
    product_fails(KATA_SHAPE_OF(7, 2, 3), KATA_SHAPE_OF(7, 2, 2),
                  "shapes (7,2,3) and (7,2,2) not aligned: 3 (dim 2) != 2 (dim 1)");
    product_fails(KATA_SHAPE_OF(5, 2, 3), KATA_SHAPE_OF(6, 3, 4),
                  "shapes (5,2,3) and (6,3,4) have no matrix product: 5 (dim 0) and 6 (dim 0) of "
                  "the batch cannot be broadcast");
    product_fails(kata_shape_make(0, NULL), KATA_SHAPE_OF(6),
                  "shapes () and (6,) have no matrix product: a single number has no axis to "
                  "multiply along");
    kata_shape out, a = KATA_SHAPE_OF(-2, -3, 4), b = KATA_SHAPE_OF(4, -5);
    assert_int_equal(kata__shape_matmul(&out, &a, &b), KATA_OK);
    assert_true(kata_shape_equal(&out, &KATA_SHAPE_OF(-2, -3, -5)));
}

static void reshape_fails(kata_shape from, kata_shape to, kata_status status, const char *message) {
    kata_shape out = KATA_SHAPE_OF(77);
    assert_int_equal(kata__shape_reshape(&out, &from, &to), status);
    assert_string_equal(kata_error_message(), message);
    assert_string_equal(text_of(out), "(77,)");
}

static void reshapes(void **state) {
    (void)state;
    kata_shape out, from = KATA_SHAPE_OF(10, 3, 5, 5), to = KATA_SHAPE_OF(10, -1);
    assert_int_equal(kata__shape_reshape(&out, &from, &to), KATA_OK);
    assert_string_equal(text_of(out), "(10,75)"); /* 750 elements: book 1 L5672 */
    from = KATA_SHAPE_OF(0, 4);
    to = KATA_SHAPE_OF(-1, 2);
    assert_int_equal(kata__shape_reshape(&out, &from, &to), KATA_OK);
    assert_string_equal(text_of(out), "(0,2)");
    from = kata_shape_make(0, NULL);
    to = KATA_SHAPE_OF(1, -1, 1);
    assert_int_equal(kata__shape_reshape(&out, &from, &to), KATA_OK);
    assert_string_equal(text_of(out), "(1,1,1)");

    reshape_fails(KATA_SHAPE_OF(2, 3), KATA_SHAPE_OF(4), KATA_SHAPE,
                  "shape (2,3) cannot become (4,): it has 6 elements, not 4");
    reshape_fails(KATA_SHAPE_OF(2, 3), KATA_SHAPE_OF(4, -1), KATA_SHAPE,
                  "shape (2,3) cannot become (4,?): 6 elements cannot be shared out over 4");
    reshape_fails(KATA_SHAPE_OF(0), KATA_SHAPE_OF(0, -1), KATA_SHAPE,
                  "shape (0,) cannot become (0,?): 0 elements cannot be shared out over 0");
    reshape_fails(KATA_SHAPE_OF(6), KATA_SHAPE_OF(-1, -1), KATA_SHAPE,
                  "shape (6,) cannot become (?,?): only one size may be worked out");
    reshape_fails(KATA_SHAPE_OF(6), KATA_SHAPE_OF(-2, 3), KATA_SHAPE,
                  "reshape: the size -2 at axis 0 is negative");
    reshape_fails(KATA_SHAPE_OF(-1), KATA_SHAPE_OF(3), KATA_SHAPE,
                  "reshape: shape (?,) has an unknown size at axis 0");
    reshape_fails(KATA_SHAPE_OF((int64_t)1 << 40, (int64_t)1 << 40), KATA_SHAPE_OF(-1), KATA_LIMIT,
                  "shape (1099511627776,1099511627776) has more elements than can be counted");
}

static void axes(void **state) {
    (void)state;
    kata_shape shape = KATA_SHAPE_OF(2, 3, 4), scalar = kata_shape_make(0, NULL);
    int axis = 99;
    for (int i = -3; i < 3; i++) {
        assert_int_equal(kata__shape_axis(&axis, &shape, i), KATA_OK);
        assert_int_equal(axis, (i + 3) % 3);
    }
    assert_int_equal(kata__shape_axis(&axis, &shape, 3), KATA_INVALID);
    assert_string_equal(kata_error_message(), "shape (2,3,4) has no axis 3");
    assert_int_equal(kata__shape_axis(&axis, &shape, -4), KATA_INVALID);
    assert_int_equal(kata__shape_axis(&axis, &scalar, 0), KATA_INVALID);
    int64_t stride[KATA_MAX_RANK];
    kata__shape_strides(&shape, stride);
    assert_int_equal(stride[0], 12);
    assert_int_equal(stride[1], 4);
    assert_int_equal(stride[2], 1);
    assert_int_equal(stride[3], 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),      cmocka_unit_test(counts),   cmocka_unit_test(equality),
        cmocka_unit_test(broadcasts), cmocka_unit_test(products), cmocka_unit_test(reshapes),
        cmocka_unit_test(axes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
