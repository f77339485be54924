/* What a data argument can be: generated sets, known names and where they are looked for. */
#include "data/files.h"
#include "data/digits.h"
#include "data/known.h"

static kata_context *context;

static void check_fails(const char *argument, kata_status expected, const char *part,
                        const char *file, int line) {
    kata_data data = {.train = NULL};
    check_failure(kata_data_open(&data, context, argument, NULL), expected, part, file, line);
    assert_null(data.train);
}
#define assert_open_fails(argument, expected, part)                                                \
    check_fails(argument, expected, part, __FILE__, __LINE__)

static void test_make_digits(void **state) {
    (void)state;
    kata_data data, again;
    kata_data_options options = {.limit_train = 200, .limit_test = 100, .seed = 7};
    assert_ok(kata_data_open(&data, context, "make:digits", &options));
    kata_shape shape = KATA_SHAPE_OF(200, 1, 28, 28);
    assert_true(kata_shape_equal(&data.train->inputs[0].shape, &shape));
    assert_int_equal(data.test->n, 100);
    assert_int_equal(data.train->n_classes, 10);
    uint8_t image[784];
    for (int i = 0; i < 200; i++) {
        assert_int_equal(((int64_t *)data.train->targets[0].data)[i],
                         kata__digits_draw(7, (uint64_t)i, image));
        assert_memory_equal((uint8_t *)data.train->inputs[0].data + 784 * i, image, 784);
    }
    /* No training picture is a test picture. */
    for (int i = 0; i < 200; i++) {
        for (int k = 0; k < 100; k++) {
            assert_memory_not_equal((uint8_t *)data.train->inputs[0].data + 784 * i,
                                    (uint8_t *)data.test->inputs[0].data + 784 * k, 784);
        }
    }
    /* More samples begin with the same ones. */
    options.limit_train = 300;
    assert_ok(kata_data_open(&again, context, "make:digits", &options));
    assert_memory_equal(again.train->inputs[0].data, data.train->inputs[0].data, 200 * 784);
    kata_data_close(&again);
    kata_data_close(&data);
    assert_open_fails("make:digit", KATA_NOT_FOUND,
                      "make:digit: there is no generator of this name; the one there is is "
                      "make:digits");
}

static void test_arguments(void **state) {
    (void)state;
    kata_data data;
    assert_open_fails("", KATA_INVALID, "the data argument is empty");
    assert_failure(kata_data_open(&data, context, NULL, NULL), KATA_INVALID, "is empty");
    assert_failure(kata_data_open(&data, NULL, "mnist", NULL), KATA_INVALID, "a context");
    assert_failure(kata_data_open(&data, context, "mnist", &(kata_data_options){.limit_test = -2}),
                   KATA_INVALID, "a limit of -2 samples");
    file_put("table.csv", "a,b\n", 4);
    assert_open_fails(in_folder("table.csv"), KATA_UNSUPPORTED, "must be an .npz");
    file_put("x.npz", "PK", 2);
    assert_open_fails(in_folder("x.npz"), KATA_UNSUPPORTED, "built without the npz reader");
    assert_open_fails(in_folder("none"), KATA_NOT_FOUND, "there is no such file or folder");
    file_put("cat/1.png", "x", 1);
    assert_open_fails(test_folder, KATA_FORMAT, "cat/1.png: the picture is neither PNG nor JPEG");
}

static void test_unknown_name(void **state) {
    (void)state;
    assert_open_fails("mnits", KATA_NOT_FOUND,
                      "no data named mnits: there is no such file or folder, and the known names "
                      "are make:digits, mnist; did you mean mnist?");
    assert_open_fails("imagenet-22k", KATA_NOT_FOUND, "the known names are");
    assert_null(strstr(kata_error_message(), "did you mean"));
}

/* KATA_DATA first, then the cache of XDG_CACHE_HOME, then ~/.cache. */
static void test_known_places(void **state) {
    (void)state;
    char *folder;
    setenv("KATA_DATA", in_folder("data"), 1);
    setenv("XDG_CACHE_HOME", in_folder("cache"), 1);
    setenv("HOME", in_folder("home"), 1);
    assert_open_fails("mnist", KATA_NOT_FOUND,
                      "the data set mnist is not on this machine: looked "
                      "for ");
    assert_non_null(strstr(kata_error_message(), "/data/mnist, looked for "));
    assert_non_null(strstr(kata_error_message(), "/cache/kata/mnist; get it with 'kata data get "
                                                 "mnist', or set KATA_DATA"));
    unsetenv("KATA_DATA");
    assert_open_fails("mnist", KATA_NOT_FOUND, "KATA_DATA is not set, looked for ");
    setenv("XDG_CACHE_HOME", "relative", 1); /* to be ignored by the specification */
    assert_open_fails("mnist", KATA_NOT_FOUND, "/home/.cache/kata/mnist");
    unsetenv("HOME");
    assert_open_fails("mnist", KATA_NOT_FOUND, "and there is no cache folder (HOME is not set)");
    assert_failure(kata__known_cache_folder(&folder, context, "mnist"), KATA_NOT_FOUND,
                   "neither XDG_CACHE_HOME nor HOME is set");
    /* Found in the cache, then in KATA_DATA. */
    char root[512];
    snprintf(root, sizeof root, "%s", test_folder);
    idx_put_set(3, 0);
    kata_data data;
    mkdir(in_folder("home"), 0777);
    mkdir(in_folder("home/.cache"), 0777);
    mkdir(in_folder("home/.cache/kata"), 0777);
    assert_int_equal(symlink(root, in_folder("home/.cache/kata/mnist")), 0);
    setenv("HOME", in_folder("home"), 1);
    assert_ok(kata_data_open(&data, context, "mnist", NULL));
    assert_int_equal(data.train->n, 3);
    kata_data_close(&data);
    mkdir(in_folder("data"), 0777);
    mkdir(in_folder("data/mnist"), 0777);
    setenv("KATA_DATA", in_folder("data"), 1);
    assert_open_fails("mnist", KATA_NOT_FOUND, "data/mnist: the folder is empty");
}

static void test_table(void **state) {
    (void)state;
    int n;
    const kata__known_set *sets = kata__known_sets(&n);
    for (int i = 0; i < n; i++) {
        assert_ptr_equal(kata__known_find(sets[i].name), &sets[i]);
        assert_true(sets[i].n_files > 0 && sets[i].n_files <= KATA__KNOWN_FILES);
        assert_true(sets[i].n_mirrors > 0 && sets[i].n_mirrors <= KATA__KNOWN_MIRRORS);
        for (int k = 0; k < sets[i].n_files; k++) {
            assert_int_equal(strlen(sets[i].files[k].sha256), 64);
            assert_true(sets[i].files[k].n_bytes > 0);
        }
        for (int k = 0; k < sets[i].n_mirrors; k++) {
            assert_int_equal(sets[i].mirrors[k][strlen(sets[i].mirrors[k]) - 1], '/');
        }
    }
    assert_null(kata__known_find("none"));
    /* MNIST: a header of 16 or 8 bytes, then a byte for each pixel or label */
    static const int64_t mnist[] = {16 + 60000 * 784, 8 + 60000, 16 + 10000 * 784, 8 + 10000};
    const kata__known_set *set = kata__known_find("mnist");
    assert_int_equal(set->n_files, 4);
    for (int k = 0; k < 4; k++) {
        assert_int_equal(set->files[k].n_bytes, mnist[k]);
    }
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

#define TEST(function) cmocka_unit_test_setup_teardown(function, folder_setup, folder_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_make_digits),  TEST(test_arguments), TEST(test_unknown_name),
        TEST(test_known_places), TEST(test_table),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
