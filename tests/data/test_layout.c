/* NCHW and NHWC: which a shape is, pictures and data sets in either. */
#include "data/files.h"
#include "base/memory.h"

static void test_shapes(void **state) {
    (void)state;
    static const struct {
        kata_shape shape;
        bool is_picture, last;
        int channels, height, width;
    } cases[] = {
        {{3, {1, 28, 28}}, true, false, 1, 28, 28}, {{3, {28, 28, 1}}, true, true, 1, 28, 28},
        {{3, {3, 16, 12}}, true, false, 3, 16, 12}, {{3, {16, 12, 3}}, true, true, 3, 16, 12},
        {{3, {3, 16, 3}}, true, false, 3, 16, 3}, /* could be both */
        {{3, {4, 16, 12}}, false, false, 0, 0, 0},  {{2, {28, 28}}, false, false, 0, 0, 0},
        {{3, {16, -1, 3}}, false, false, 0, 0, 0},  {{3, {1, 70000, 2}}, false, false, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kata_picture_layout l = {0};
        assert_int_equal(kata_picture_layout_of(&l, &cases[i].shape), cases[i].is_picture);
        assert_int_equal(l.channels_last, cases[i].last);
        assert_int_equal(l.channels, cases[i].channels);
        assert_int_equal(l.height, cases[i].height);
        assert_int_equal(l.width, cases[i].width);
    }
}

/* A picture has its channels side by side, as NHWC has; NCHW has them one after the other. */
static void test_picture(void **state) {
    (void)state;
    kata_context *context = kata_context_default();
    kata_picture picture = {2, 1, 3, kata__alloc(context, 6, 1), context};
    uint8_t out[6];
    memcpy(picture.pixels, (uint8_t[]){1, 2, 3, 4, 5, 6}, 6);
    assert_ok(kata_picture_to_sample(&picture, &KATA_SHAPE_OF(3, 1, 2), out));
    assert_memory_equal(out, ((uint8_t[]){1, 4, 2, 5, 3, 6}), 6);
    uint8_t large[12];
    assert_ok(kata_picture_to_sample(&picture, &KATA_SHAPE_OF(2, 2, 3), large));
    for (int i = 0; i < 12; i++) { /* the one row twice */
        assert_int_equal(large[i], i % 6 + 1);
    }
    assert_int_equal(kata_picture_to_sample(&picture, &KATA_SHAPE_OF(4, 5), out), KATA_SHAPE);
    kata_picture_free(&picture);
}

static kata_dataset *set_of(kata_shape shape, uint8_t *numbers) {
    kata_dataset *set;
    kata_tensor tensor = kata_tensor_view(numbers, KATA_U8, &shape);
    assert_ok(kata_dataset_new(&set, kata_context_default(), "set"));
    assert_ok(kata_dataset_add_input(set, &tensor));
    return set;
}

static void test_data_sets(void **state) {
    (void)state;
    uint8_t numbers[24], turned_numbers[24];
    bool turned;
    for (int i = 0; i < 24; i++) { /* (2,3,2,2) to (2,2,2,3) */
        numbers[i] = (uint8_t)i;
        turned_numbers[i / 12 * 12 + i % 4 * 3 + i / 4 % 3] = (uint8_t)i;
    }
    kata_dataset *set = set_of(KATA_SHAPE_OF(2, 3, 2, 2), numbers);
    assert_ok(kata_dataset_match_layout(set, &KATA_SHAPE_OF(2, 2, 3), &turned));
    assert_true(turned);
    assert_true(kata_shape_equal(&set->inputs[0].shape, &KATA_SHAPE_OF(2, 2, 2, 3)));
    assert_memory_equal(set->inputs[0].data, turned_numbers, 24);
    assert_ok(kata_dataset_match_layout(set, &KATA_SHAPE_OF(2, 2, 3), &turned));
    assert_false(turned);
    assert_ok(kata_dataset_match_layout(set, &KATA_SHAPE_OF(3, 2, 2), &turned));
    assert_true(turned);
    assert_memory_equal(set->inputs[0].data, numbers, 24);
    assert_ok(kata_dataset_match_layout(set, &KATA_SHAPE_OF(12), &turned)); /* no picture */
    assert_false(turned);
    assert_ok(kata_dataset_match_layout(set, &KATA_SHAPE_OF(5, 5, 3), &turned)); /* another size */
    assert_false(turned);
    assert_ok(kata_dataset_match_layout(NULL, &KATA_SHAPE_OF(5, 5, 3), &turned));
    assert_false(turned);
    kata_dataset_free(set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_picture),
        cmocka_unit_test(test_data_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
