/* What is looked at before and while a model is trained: numbers that are none, targets that do not
 * mean what the loss takes them for, batches of which nothing can be learnt. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <kata/train.h>

#include "support/assert_ok.h"

enum { N = 8, WIDTH = 3 };

/* x: sample i, column j is (i + j) / 8; targets as they are given. */
static kata_dataset *table(kata_context *context, kata_dtype dtype, kata_dtype target_dtype,
                           const kata_shape *target_shape, const double *targets) {
    kata_dataset *data;
    kata_tensor x, t;
    assert_ok(kata_dataset_new(&data, context, "table"));
    assert_ok(kata_tensor_new(&x, context, dtype, &KATA_SHAPE_OF(N, WIDTH)));
    assert_ok(kata_tensor_new(&t, context, target_dtype, target_shape));
    for (int64_t i = 0; i < N * WIDTH; i++) {
        kata_store(dtype, x.data, i, (double)(i / WIDTH + i % WIDTH) / 8);
    }
    for (int64_t i = 0; i < kata_tensor_count(&t); i++) {
        kata_store(target_dtype, t.data, i, targets[i]);
    }
    assert_ok(kata_dataset_add_input(data, &x));
    assert_ok(kata_dataset_add_target(data, &t));
    kata_tensor_release(&x);
    kata_tensor_release(&t);
    return data;
}

static const double numbers[N] = {0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4};
static const double classes[N] = {0, 1, 2, 3, 0, 1, 2, 3};

static kata_dataset *numbers_table(kata_context *context) {
    return table(context, KATA_F32, KATA_F32, &KATA_SHAPE_OF(N, 1), numbers);
}

static kata_model *dense(int64_t width, int64_t outputs) {
    kata_model *m = kata_model_new("dense");
    kata_output(m, kata_dense(m, kata_input(m, KATA_F32, width), .units = outputs));
    return m;
}

static void assert_said(const char *text) {
    if (strstr(kata_error_message(), text) == NULL) {
        fail_msg("'%s' is not in: %s", text, kata_error_message());
    }
}

/* --- numbers that are none -------------------------------------------------------------------- */

static void test_a_number_that_is_none_is_named_with_its_place(void **state) {
    (void)state;
    kata_context *context = kata_context_default();
    const kata_dtype dtypes[] = {KATA_F32, KATA_F64, KATA_F16};
    const double bad[] = {NAN, INFINITY, -INFINITY};
    for (int d = 0; d < 3; d++) {
        for (int b = 0; b < 3; b++) {
            kata_model *m = dense(WIDTH, 1);
            kata_dataset *good = numbers_table(context);
            kata_dataset *data = table(context, dtypes[d], KATA_F32, &KATA_SHAPE_OF(N, 1), numbers);
            kata_store(dtypes[d], data->inputs[0].data, 5 * WIDTH + 2, bad[b]);
            assert_ok(kata_compile(m, .loss = KATA_MEAN_SQUARED_ERROR));
            const uint64_t before = kata_model_hash(m);
            assert_int_equal(kata_fit(m, data, .batch = 4), KATA_NON_FINITE);
            assert_said("table: input 0 of sample 5, column 2 is ");
            assert_null(strstr(kata_error_message(), "learning rate"));
            assert_int_equal(kata_fit(m, good, .batch = 4, .validation = data), KATA_NON_FINITE);
            assert_said("table: input 0 of sample 5, column 2 is ");
            assert_true(kata_model_hash(m) == before);
            kata_evaluation e;
            assert_int_equal(kata_evaluate(m, data, &e), KATA_NON_FINITE);
            assert_said("column 2 is ");
            kata_dataset_free(good);
            kata_dataset_free(data);
            kata_model_free(m);
        }
    }
    /* What is beyond float32 would be infinite in a batch. */
    kata_model *m = dense(WIDTH, 1);
    kata_dataset *data = table(context, KATA_F64, KATA_F32, &KATA_SHAPE_OF(N, 1), numbers);
    assert_ok(kata_compile(m, .loss = KATA_MEAN_SQUARED_ERROR));
    assert_ok(kata_fit(m, data, .batch = 4));
    kata_store(KATA_F64, data->inputs[0].data, 0, 1e39);
    assert_int_equal(kata_fit(m, data, .batch = 4), KATA_NON_FINITE);
    assert_said("sample 0, column 0 is 1e+39");
    kata_store(KATA_F64, data->inputs[0].data, 0, 0);
    kata_store(KATA_F32, data->targets[0].data, 7, NAN);
    assert_int_equal(kata_fit(m, data, .batch = 4), KATA_NON_FINITE);
    assert_said("target 0 of sample 7, column 0 is nan");
    kata_dataset_free(data);
    kata_model_free(m);
}

static void test_a_picture_names_its_element(void **state) {
    (void)state;
    kata_context *context = kata_context_default();
    kata_tensor x, t;
    kata_dataset *data;
    kata_model *m = kata_model_new("pictures");
    kata_output(m, kata_dense(m, kata_flatten(m, kata_input(m, KATA_F32, 2, 3, 4)), .units = 2));
    assert_ok(kata_dataset_new(&data, context, "pictures"));
    assert_ok(kata_tensor_new(&x, context, KATA_F32, &KATA_SHAPE_OF(4, 2, 3, 4)));
    assert_ok(kata_tensor_new(&t, context, KATA_I64, &KATA_SHAPE_OF(4)));
    kata_store(KATA_F32, x.data, 3 * 24 + 1 * 12 + 2 * 4 + 3, NAN);
    assert_ok(kata_dataset_add_input(data, &x));
    assert_ok(kata_dataset_add_target(data, &t));
    assert_ok(kata_compile(m, .loss = KATA_SOFTMAX_CROSS_ENTROPY));
    assert_int_equal(kata_fit(m, data, .epochs = 1), KATA_NON_FINITE);
    assert_said("pictures: input 0 of sample 3, element (1,2,3) is nan");
    kata_tensor_release(&x);
    kata_tensor_release(&t);
    kata_dataset_free(data);
    kata_model_free(m);
}

/* Finite numbers, but (1e30)^2 is not: the run may not end as if all were well. */
static void test_a_validation_loss_that_is_no_number_ends_the_run(void **state) {
    (void)state;
    kata_context *context = kata_context_default();
    kata_model *m = dense(WIDTH, 1);
    kata_dataset *data = numbers_table(context), *large = numbers_table(context);
    kata_store(KATA_F32, large->targets[0].data, 2, 1e30);
    assert_ok(kata_compile(m, .loss = KATA_MEAN_SQUARED_ERROR));
    assert_int_equal(kata_fit(m, data, .epochs = 9, .batch = 4, .validation = large,
                              .early_stopping = {.patience = 1}),
                     KATA_NON_FINITE);
    assert_said("epoch 1: the validation loss is inf although all data are finite");
    assert_int_equal(kata_fit(m, large, .batch = 4), KATA_NON_FINITE);
    kata_dataset_free(data);
    kata_dataset_free(large);
    kata_model_free(m);
}

/* --- targets ---------------------------------------------------------------------------------- */

static void test_softmax_over_one_output_is_refused(void **state) {
    (void)state;
    kata_context *context = kata_context_default();
    for (int d = 0; d < 2; d++) {
        kata_model *m = dense(WIDTH, 1);
        kata_evaluation e;
        kata_dataset *data =
            d == 0 ? table(context, KATA_F32, KATA_I64, &KATA_SHAPE_OF(N), classes)
                   : table(context, KATA_F32, KATA_F32, &KATA_SHAPE_OF(N, 1), classes);
        assert_ok(kata_compile(m, .loss = KATA_SOFTMAX_CROSS_ENTROPY));
        assert_int_equal(kata_fit(m, data, .epochs = 1), KATA_INVALID);
        assert_said("sigmoid-cross-entropy");
        assert_said("mean-squared-error");
        assert_int_equal(kata_evaluate(m, data, &e), KATA_INVALID);
        kata_dataset_free(data);
        kata_model_free(m);
    }
}

/* Whole numbers are class numbers for a loss that needs them, whatever their dtype and shape: the
 * same bits. */
static void test_class_numbers_of_any_dtype(void **state) {
    (void)state;
    kata_context *context = kata_context_default();
    const double smoothing[] = {0, 0.1};
    for (int s = 0; s < 2; s++) {
        uint64_t hash[4];
        for (int k = 0; k < 4; k++) {
            const kata_dtype dtypes[] = {KATA_I64, KATA_F32, KATA_F64, KATA_I32};
            const kata_shape shape = k == 1 ? KATA_SHAPE_OF(N, 1) : KATA_SHAPE_OF(N);
            kata_model *m = dense(WIDTH, 4);
            kata_dataset *data = table(context, KATA_F32, dtypes[k], &shape, classes);
            assert_ok(kata_compile(m, .loss = KATA_SOFTMAX_CROSS_ENTROPY,
                                   .label_smoothing = smoothing[s],
                                   .optimizer = kata_sgd(.lr = 0.1)));
            assert_ok(kata_fit(m, data, .epochs = 3, .batch = 3));
            hash[k] = kata_model_hash(m);
            assert_true(hash[k] == hash[0]);
            if (k == 1) {
                kata_store(KATA_F32, data->targets[0].data, 6, 1.5);
                assert_int_equal(kata_fit(m, data, .epochs = 1), KATA_INVALID);
                assert_said("the label of sample 6 is 1.5; labels must be 0 to 3");
                assert_said("mean-squared-error");
            }
            kata_dataset_free(data);
            kata_model_free(m);
        }
    }
}

static void test_what_targets_mean_can_be_changed(void **state) {
    (void)state;
    kata_context *context = kata_context_default();
    kata_dataset *data = table(context, KATA_F32, KATA_F32, &KATA_SHAPE_OF(N, 1), classes);
    assert_int_equal(kata_dataset_count_classes(data), 4);
    assert_ok(kata_dataset_targets_as_classes(data, 6));
    assert_int_equal(data->n_classes, 6);
    assert_string_equal(data->class_names[5], "5");
    assert_int_equal(data->targets[0].dtype, KATA_I64);
    assert_int_equal(data->targets[0].shape.rank, 1);
    assert_int_equal(((const int64_t *)data->targets[0].data)[3], 3);
    assert_ok(kata_dataset_targets_as_numbers(data));
    assert_int_equal(data->n_classes, 0);
    assert_int_equal(data->targets[0].dtype, KATA_F32);
    assert_int_equal(data->targets[0].shape.rank, 2);
    assert_true(kata_load(KATA_F32, data->targets[0].data, 3) == 3);
    kata_store(KATA_F32, data->targets[0].data, 3, -1);
    assert_int_equal(kata_dataset_count_classes(data), 0);
    assert_int_equal(kata_dataset_targets_as_classes(data, 0), KATA_INVALID);
    assert_said("the targets are no classes");
    kata_dataset_free(data);
}

/* --- warnings --------------------------------------------------------------------------------- */

typedef struct lines {
    char text[2000];
} lines;

static void keep_line(void *user, kata_log_level level, const char *line) {
    lines *l = user;
    size_t used = strlen(l->text);
    if (level == KATA_LOG_WARNING) {
        snprintf(l->text + used, sizeof l->text - used, "%s\n", line);
    }
}

static void test_one_class_is_said(void **state) {
    (void)state;
    lines said = {.text = ""};
    kata_context *context;
    const double same[N] = {2, 2, 2, 2, 2, 2, 2, 2};
    assert_ok(
        kata_context_new(&context, &(kata_context_options){.log = keep_line, .log_user = &said}));
    kata_model *m;
    assert_ok(kata_model_new_in(&m, context, "dense"));
    kata_output(m, kata_dense(m, kata_input(m, KATA_F32, WIDTH), .units = 4));
    kata_dataset *data = table(context, KATA_F32, KATA_I64, &KATA_SHAPE_OF(N), same);
    assert_ok(kata_dataset_set_classes(data, 4, NULL));
    assert_ok(kata_compile(m, .loss = KATA_SOFTMAX_CROSS_ENTROPY));
    assert_ok(kata_fit(m, data, .epochs = 1));
    assert_non_null(strstr(said.text, "all 8 samples have the label 2"));
    kata_dataset_free(data);
    kata_model_free(m);
    kata_context_free(context);
}

static void test_batch_normalization_of_one_sample(void **state) {
    (void)state;
    lines said = {.text = ""};
    kata_context *context;
    assert_ok(
        kata_context_new(&context, &(kata_context_options){.log = keep_line, .log_user = &said}));
    kata_model *m;
    assert_ok(kata_model_new_in(&m, context, "norm"));
    kata_value x = kata_dense(m, kata_input(m, KATA_F32, WIDTH), .units = 4);
    kata_output(m, kata_dense(m, kata_batch_norm(m, x, .name = "norm"), .units = 1));
    kata_dataset *data = numbers_table(context);
    assert_ok(kata_compile(m, .loss = KATA_MEAN_SQUARED_ERROR));
    const uint64_t before = kata_model_hash(m);
    assert_int_equal(kata_fit(m, data, .batch = 1), KATA_INVALID);
    assert_said("norm");
    assert_said("batches of 1");
    assert_true(kata_model_hash(m) == before);
    assert_ok(kata_fit(m, data, .batch = 4));
    assert_string_equal(said.text, "");
    assert_ok(kata_fit(m, data, .batch = 7)); /* the last batch is 1 */
    assert_non_null(strstr(said.text, "the last batch of each epoch has 1 of 8 samples"));
    kata_model_free(m);

    /* A picture gives many numbers a channel. */
    kata_tensor pictures, t;
    assert_ok(kata_tensor_new(&pictures, context, KATA_F32, &KATA_SHAPE_OF(2, 1, 4, 4)));
    assert_ok(kata_tensor_new(&t, context, KATA_I64, &KATA_SHAPE_OF(2)));
    ((float *)pictures.data)[3] = 1;
    kata_dataset_free(data);
    assert_ok(kata_dataset_new(&data, context, "pictures"));
    assert_ok(kata_dataset_add_input(data, &pictures));
    assert_ok(kata_dataset_add_target(data, &t));
    assert_ok(kata_model_new_in(&m, context, "pictures"));
    x = kata_conv2d(m, kata_input(m, KATA_F32, 1, 4, 4), .filters = 2, .kernel = {3, 3});
    x = kata_flatten(m, kata_batch_norm(m, x, .name = "norm"));
    kata_output(m, kata_dense(m, x, .units = 2));
    assert_ok(kata_compile(m, .loss = KATA_SOFTMAX_CROSS_ENTROPY));
    assert_ok(kata_fit(m, data, .batch = 1));
    kata_tensor_release(&pictures);
    kata_tensor_release(&t);
    kata_dataset_free(data);
    kata_model_free(m);
    kata_context_free(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_number_that_is_none_is_named_with_its_place),
        cmocka_unit_test(test_a_picture_names_its_element),
        cmocka_unit_test(test_a_validation_loss_that_is_no_number_ends_the_run),
        cmocka_unit_test(test_softmax_over_one_output_is_refused),
        cmocka_unit_test(test_class_numbers_of_any_dtype),
        cmocka_unit_test(test_what_targets_mean_can_be_changed),
        cmocka_unit_test(test_one_class_is_said),
        cmocka_unit_test(test_batch_normalization_of_one_sample),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
