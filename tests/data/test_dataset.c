/* Data sets in memory: adding, taking, splitting. */
#include "data/files.h"
#include "support/counting_allocator.h"

#include <math.h>

static kata_context *context;

static kata_tensor floats(float *data, int64_t n, int64_t k) {
    kata_shape shape = KATA_SHAPE_OF(n, k);
    return kata_tensor_view(data, KATA_F32, &shape);
}

static kata_tensor labels_of(int64_t *data, int64_t n) {
    kata_shape shape = KATA_SHAPE_OF(n);
    return kata_tensor_view(data, KATA_I64, &shape);
}

/* n samples, two numbers each; class i % 3 but every seventh is class 3. */
static kata_dataset *make(kata_context *of, int64_t n) {
    static float x[2000];
    static int64_t y[1000];
    kata_dataset *set = NULL;
    for (int64_t i = 0; i < n; i++) {
        x[2 * i] = (float)i;
        x[2 * i + 1] = (float)-i;
        y[i] = i % 7 == 6 ? 3 : i % 3;
    }
    kata_tensor input = floats(x, n, 2), target = labels_of(y, n);
    if (kata_dataset_new(&set, of, "numbers") != KATA_OK) {
        return NULL;
    }
    if (kata_dataset_add_input(set, &input) != KATA_OK ||
        kata_dataset_add_target(set, &target) != KATA_OK ||
        kata_dataset_set_classes(set, 4, NULL) != KATA_OK) {
        kata_dataset_free(set);
        return NULL;
    }
    return set;
}

static void test_add(void **state) {
    (void)state;
    kata_dataset *set = make(context, 10);
    assert_non_null(set);
    assert_int_equal(set->n, 10);
    assert_int_equal(set->n_inputs, 1);
    assert_string_equal(set->name, "numbers");
    assert_string_equal(set->class_names[3], "3");
    float x[6] = {0};
    kata_tensor wrong = floats(x, 3, 2);
    assert_failure(kata_dataset_add_input(set, &wrong), KATA_SHAPE,
                   "numbers: input 1 has the shape (3,2), but the data set has 10 samples");
    assert_failure(kata_dataset_add_target(set, &wrong), KATA_SHAPE, "target 1");
    kata_shape none = {.rank = 0};
    kata_tensor scalar = kata_tensor_view(x, KATA_F32, &none);
    assert_failure(kata_dataset_add_input(set, &scalar), KATA_SHAPE, "the shape ()");
    kata_tensor ok = set->inputs[0];
    for (int i = 1; i < KATA_DATASET_TENSORS; i++) {
        assert_ok(kata_dataset_add_input(set, &ok));
    }
    assert_failure(kata_dataset_add_input(set, &ok), KATA_LIMIT, "at most 8 inputs");
    while (set->n_targets < KATA_DATASET_TENSORS) {
        assert_ok(kata_dataset_add_target(set, &ok));
    }
    assert_failure(kata_dataset_add_target(set, &ok), KATA_LIMIT, "at most 8 targets");
    assert_int_equal(set->n_targets, KATA_DATASET_TENSORS);
    kata_dataset_free(set);
    kata_dataset_free(NULL);
}

/* A strided view is copied into a contiguous tensor. */
static void test_add_view(void **state) {
    (void)state;
    float x[6] = {1, 2, 3, 4, 5, 6};
    kata_tensor plain = floats(x, 2, 3), turned;
    assert_ok(kata_tensor_transpose(&turned, &plain, NULL));
    kata_dataset *set;
    assert_ok(kata_dataset_new(&set, context, NULL));
    assert_ok(kata_dataset_add_input(set, &turned));
    assert_int_equal(set->n, 3);
    assert_true(kata_tensor_is_contiguous(&set->inputs[0]));
    static const float expected[6] = {1, 4, 2, 5, 3, 6};
    assert_memory_equal(set->inputs[0].data, expected, sizeof expected);
    kata_dataset_free(set);
}

static void test_classes(void **state) {
    (void)state;
    kata_dataset *set = make(context, 10);
    assert_failure(kata_dataset_set_classes(set, 3, NULL), KATA_INVALID,
                   "sample 6 has the label 3, but with 3 classes a label is 0 to 2");
    assert_failure(kata_dataset_set_classes(set, 0, NULL), KATA_INVALID, "0 classes");
    assert_int_equal(set->n_classes, 4); /* unchanged */
    assert_ok(kata_dataset_set_classes(set, 4, (const char *const[]){"a", "b", "c", "d"}));
    assert_string_equal(set->class_names[2], "c");
    kata_dataset_free(set);
    int64_t y[2] = {0, -1};
    kata_tensor negative = labels_of(y, 2);
    assert_ok(kata_dataset_new(&set, context, "n"));
    assert_ok(kata_dataset_set_classes(set, 2, NULL));
    assert_failure(kata_dataset_add_target(set, &negative), KATA_INVALID, "the label -1");
    kata_dataset_free(set);
}

static void test_weights(void **state) {
    (void)state;
    kata_dataset *set = make(context, 3);
    double w[3] = {1, 0.5, 2}, bad[3] = {1, NAN, 1}, negative[3] = {1, 1, -1};
    kata_shape shape = KATA_SHAPE_OF(3), two = KATA_SHAPE_OF(2);
    kata_tensor weights = kata_tensor_view(w, KATA_F64, &shape);
    assert_ok(kata_dataset_set_weights(set, &weights));
    assert_int_equal(set->weights.dtype, KATA_F32);
    assert_true(((float *)set->weights.data)[1] == 0.5f);
    kata_tensor few = kata_tensor_view(w, KATA_F64, &two);
    assert_failure(kata_dataset_set_weights(set, &few), KATA_SHAPE, "2 sample weights for 3");
    kata_tensor nan = kata_tensor_view(bad, KATA_F64, &shape);
    assert_failure(kata_dataset_set_weights(set, &nan), KATA_INVALID, "sample 1 has the weight");
    kata_tensor below = kata_tensor_view(negative, KATA_F64, &shape);
    assert_failure(kata_dataset_set_weights(set, &below), KATA_INVALID, "the weight -1");
    assert_failure(kata_dataset_set_weights(set, &set->targets[0]), KATA_DTYPE, "int64");
    int64_t index[2] = {2, 1};
    kata_dataset *taken;
    assert_ok(kata_dataset_take(&taken, set, index, 2));
    assert_true(((float *)taken->weights.data)[0] == 2);
    kata_dataset_free(taken);
    kata_dataset_free(set);
}

static void test_take(void **state) {
    (void)state;
    kata_dataset *set = make(context, 10), *taken;
    int64_t index[4] = {9, 0, 9, 6};
    assert_ok(kata_dataset_take(&taken, set, index, 4));
    assert_int_equal(taken->n, 4);
    assert_int_equal(taken->n_classes, 4);
    for (int i = 0; i < 4; i++) {
        assert_true(((float *)taken->inputs[0].data)[2 * i] == (float)index[i]);
        assert_int_equal(((int64_t *)taken->targets[0].data)[i],
                         ((int64_t *)set->targets[0].data)[index[i]]);
    }
    kata_dataset_free(taken);
    assert_ok(kata_dataset_take(&taken, set, index, 0));
    assert_int_equal(taken->n, 0);
    kata_dataset_free(taken);
    index[1] = 10;
    assert_failure(kata_dataset_take(&taken, set, index, 4), KATA_INVALID,
                   "cannot take sample 10: there are 10 samples");
    index[1] = -1;
    assert_failure(kata_dataset_take(&taken, set, index, 4), KATA_INVALID, "sample -1");
    kata_dataset_free(set);
}

static void count_classes(int64_t count[4], const kata_dataset *set) {
    memset(count, 0, 4 * sizeof *count);
    for (int64_t i = 0; i < set->n; i++) {
        count[((int64_t *)set->targets[0].data)[i]]++;
    }
}

static void check_partition(const kata_dataset *whole, const kata_dataset *a,
                            const kata_dataset *b) {
    static bool seen[1000];
    memset(seen, 0, sizeof seen);
    const kata_dataset *parts[2] = {a, b};
    assert_int_equal(a->n + b->n, whole->n);
    for (int k = 0; k < 2; k++) {
        for (int64_t i = 0; i < parts[k]->n; i++) {
            int64_t value = (int64_t)((float *)parts[k]->inputs[0].data)[2 * i];
            assert_false(seen[value]);
            seen[value] = true;
        }
    }
}

static void test_split(void **state) {
    (void)state;
    kata_dataset *set = make(context, 1000), *a, *b, *c, *d;
    static const double fractions[] = {0.1, 0.2, 0.25, 0.333, 0.5, 0.9, 0.999};
    int64_t whole[4], part[4];
    count_classes(whole, set);
    for (size_t f = 0; f < sizeof fractions / sizeof fractions[0]; f++) {
        for (int stratified = 0; stratified < 2; stratified++) {
            assert_ok(kata_dataset_split(&a, &b, set, fractions[f], 5, stratified));
            assert_int_equal(b->n, llround(1000 * fractions[f]));
            check_partition(set, a, b);
            count_classes(part, b);
            for (int k = 0; stratified && k < 4; k++) {
                assert_true(fabs((double)part[k] - (double)whole[k] * fractions[f]) < 1);
            }
            assert_ok(kata_dataset_split(&c, &d, set, fractions[f], 5, stratified));
            assert_memory_equal(d->inputs[0].data, b->inputs[0].data,
                                kata_tensor_bytes(&b->inputs[0]));
            kata_dataset_free(c);
            kata_dataset_free(d);
            kata_dataset_free(a);
            kata_dataset_free(b);
        }
    }
    /* Another seed, another split; and it is shuffled. */
    assert_ok(kata_dataset_split(&a, &b, set, 0.5, 5, false));
    assert_ok(kata_dataset_split(&c, &d, set, 0.5, 6, false));
    assert_memory_not_equal(a->inputs[0].data, c->inputs[0].data, 4000);
    assert_memory_not_equal(a->inputs[0].data, set->inputs[0].data, 4000);
    kata_dataset_free(a);
    kata_dataset_free(b);
    kata_dataset_free(c);
    kata_dataset_free(d);
    kata_dataset_free(set);
}

static void test_split_errors(void **state) {
    (void)state;
    kata_dataset *set = make(context, 10), *a, *b;
    assert_failure(kata_dataset_split(&a, &b, set, 0, 1, false), KATA_INVALID, "fraction 0");
    assert_failure(kata_dataset_split(&a, &b, set, 1, 1, false), KATA_INVALID, "fraction 1");
    assert_failure(kata_dataset_split(&a, &b, set, NAN, 1, false), KATA_INVALID, "nan");
    assert_failure(kata_dataset_split(&a, &b, set, 0.01, 1, false), KATA_INVALID,
                   "leaves one part empty");
    kata_dataset_free(set);
    float x[4] = {0};
    kata_tensor numbers = floats(x, 4, 1);
    assert_ok(kata_dataset_new(&set, context, "prices"));
    assert_ok(kata_dataset_add_target(set, &numbers));
    assert_failure(kata_dataset_split(&a, &b, set, 0.5, 1, true), KATA_INVALID,
                   "prices: a stratified split needs");
    kata_dataset_free(set);
}

static void test_allocations(void **state) {
    (void)state;
    kata_test_allocator counting;
    kata_test_allocator_init(&counting);
    kata_context *own = kata_test_context(&counting, 1);
    assert_non_null(own);
    int64_t live = counting.n_live, failed = 0;
    for (int64_t k = 1;; k++) {
        kata_test_allocator_reset(&counting, k);
        kata_dataset *a = NULL, *b = NULL, *set = make(own, 50);
        kata_status status =
            set == NULL ? KATA_OUT_OF_MEMORY : kata_dataset_split(&a, &b, set, 0.3, 1, true);
        bool reached = counting.n_calls >= k;
        kata_test_allocator_reset(&counting, 0);
        kata_dataset_free(set);
        kata_dataset_free(a);
        kata_dataset_free(b);
        assert_int_equal(counting.n_live, live);
        if (!reached) {
            assert_int_equal(status, KATA_OK);
            break;
        }
        assert_int_equal(status, KATA_OUT_OF_MEMORY);
        failed++;
    }
    assert_true(failed > 20);
    kata_context_free(own);
}

static int setup(void **state) {
    (void)state;
    return kata_context_new(&context, NULL) == KATA_OK ? 0 : 1;
}

static int teardown(void **state) {
    (void)state;
    kata_context_free(context);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add),          cmocka_unit_test(test_add_view),
        cmocka_unit_test(test_classes),      cmocka_unit_test(test_weights),
        cmocka_unit_test(test_take),         cmocka_unit_test(test_split),
        cmocka_unit_test(test_split_errors), cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
