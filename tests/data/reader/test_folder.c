/* A folder of pictures by class: order, sizes, train/ and test/, and what is refused. */
#include "data/reader/pack.h"
#include "support/counting_allocator.h"

#include <kata/readers.h>

static kata_context *context;

/* A picture of one grey level or colour. */
static void put_flat(const char *name, int width, int height, int channels, int value) {
    uint8_t *pixels = malloc((size_t)(width * height * channels));
    memset(pixels, value, (size_t)(width * height * channels));
    bytes file = {.data = NULL};
    if (strstr(name, ".jpg") != NULL) {
        pack_jpeg(&file, width, height, channels, pixels, false, NULL, 0);
    } else {
        pack_png_plain(&file, width, height, channels, pixels);
    }
    file_put(name, file.data, file.n);
    bytes_free(&file);
    free(pixels);
}

static kata_status open_folder(kata_data *data, const kata_data_options *options) {
    return kata_data_open(data, context, test_folder, options);
}

static void check_set(const kata_dataset *set, int n, const int *labels, const int *values) {
    assert_int_equal(set->n, n);
    size_t row = kata_tensor_bytes(&set->inputs[0]) / (size_t)n;
    for (int i = 0; i < n; i++) {
        assert_int_equal(((int64_t *)set->targets[0].data)[i], labels[i]);
        int value = ((uint8_t *)set->inputs[0].data)[(size_t)i * row];
        assert_true(abs(value - values[i]) <= 1);
    }
}

static void test_order(void **state) {
    (void)state;
    put_flat("dog/b.png", 6, 4, 1, 20);
    put_flat("dog/a.jpg", 6, 4, 1, 10);
    put_flat("cat/10.png", 6, 4, 1, 30);
    put_flat("cat/9.png", 6, 4, 1, 40);
    put_flat("cat/B.png", 6, 4, 1, 50);
    put_flat("Zebra/x", 6, 4, 1, 60); /* the bytes decide, not the name */
    file_put(".hidden/x.png", "x", 1);
    file_put("cat/.DS_Store", "x", 1);
    file_put("README.txt", "x", 1);
    kata_data data;
    log_text[0] = '\0';
    assert_ok(open_folder(&data, NULL));
    assert_log(": passed over 3 names that are no data: .hidden, README.txt, cat/.DS_Store\n");
    assert_null(data.test);
    assert_int_equal(data.train->n_classes, 3);
    assert_string_equal(data.train->class_names[0], "Zebra");
    assert_string_equal(data.train->class_names[1], "cat");
    assert_string_equal(data.train->class_names[2], "dog");
    check_set(data.train, 6, (const int[]){0, 1, 1, 1, 2, 2},
              (const int[]){60, 30, 40, 50, 10, 20});
    kata_shape shape = KATA_SHAPE_OF(6, 1, 4, 6);
    assert_true(kata_shape_equal(&data.train->inputs[0].shape, &shape));
    kata_data_close(&data);
    /* Few samples still show every class. */
    assert_ok(open_folder(&data, &(kata_data_options){.limit_train = 4}));
    check_set(data.train, 4, (const int[]){0, 1, 1, 2}, (const int[]){60, 30, 40, 10});
    kata_data_close(&data);
    assert_ok(open_folder(&data, &(kata_data_options){.limit_train = 2}));
    check_set(data.train, 2, (const int[]){0, 1}, (const int[]){60, 30});
    assert_int_equal(data.train->n_classes, 3);
    kata_data_close(&data);
    assert_ok(open_folder(&data, &(kata_data_options){.limit_train = 5}));
    check_set(data.train, 5, (const int[]){0, 1, 1, 2, 2}, (const int[]){60, 30, 40, 10, 20});
    kata_data_close(&data);
}

static void test_sizes(void **state) {
    (void)state;
    put_flat("a/1.png", 6, 4, 3, 100);
    put_flat("a/2.png", 60, 50, 1, 110);
    put_flat("b/3.jpg", 3, 2, 3, 120);
    kata_data data;
    assert_ok(open_folder(&data, NULL)); /* as the first picture */
    kata_shape first = KATA_SHAPE_OF(3, 3, 4, 6), chosen = KATA_SHAPE_OF(3, 1, 8, 6);
    assert_true(kata_shape_equal(&data.train->inputs[0].shape, &first));
    check_set(data.train, 3, (const int[]){0, 0, 1}, (const int[]){100, 110, 120});
    kata_data_close(&data);
    assert_ok(open_folder(&data, &(kata_data_options){.height = 8, .channels = 1}));
    assert_true(kata_shape_equal(&data.train->inputs[0].shape, &chosen));
    check_set(data.train, 3, (const int[]){0, 0, 1}, (const int[]){100, 110, 120});
    kata_data_close(&data);
    assert_failure(open_folder(&data, &(kata_data_options){.channels = 2}), KATA_INVALID,
                   "pictures with 2 channels: give 1 (grey) or 3 (colour)");
    assert_failure(open_folder(&data, &(kata_data_options){.height = -1}), KATA_INVALID,
                   "pictures of 0x-1 pixels");
}

static void test_halves(void **state) {
    (void)state;
    put_flat("train/no/1.png", 4, 4, 1, 10);
    put_flat("train/yes/1.png", 4, 4, 1, 20);
    put_flat("test/yes/1.png", 9, 9, 3, 30);
    kata_data data;
    assert_ok(open_folder(&data, NULL));
    check_set(data.train, 2, (const int[]){0, 1}, (const int[]){10, 20});
    check_set(data.test, 1, (const int[]){1}, (const int[]){30});
    assert_int_equal(data.test->n_classes, 2);
    kata_shape shape = KATA_SHAPE_OF(1, 1, 4, 4);
    assert_true(kata_shape_equal(&data.test->inputs[0].shape, &shape));
    kata_data_close(&data);
    put_flat("test/maybe/1.png", 4, 4, 1, 30);
    assert_failure(open_folder(&data, NULL), KATA_FORMAT,
                   "test/maybe: there is no class maybe among the training pictures");
}

/* The names that people give to parts, in any case. */
static void test_validation(void **state) {
    (void)state;
    static const char *const names[][3] = {{"train", "test", "val"},
                                           {"Train", "TEST", "valid"},
                                           {"training", "testing", "Validation"}};
    for (int i = 0; i < 3; i++) {
        char path[64];
        const char *const *name = names[i];
        static const int values[] = {10, 20, 30};
        for (int part = 0; part < 3; part++) {
            for (int c = 0; c < 2; c++) {
                snprintf(path, sizeof path, "%s/%s/1.png", name[part], c == 0 ? "cat" : "dog");
                put_flat(path, 4, 4, 1, values[part] + c);
            }
        }
        snprintf(path, sizeof path, "%s/dog/2.png", name[2]);
        put_flat(path, 4, 4, 1, 33);
        kata_data data;
        log_text[0] = '\0';
        assert_ok(open_folder(&data, NULL));
        check_set(data.train, 2, (const int[]){0, 1}, (const int[]){10, 11});
        check_set(data.test, 2, (const int[]){0, 1}, (const int[]){20, 21});
        check_set(data.validation, 3, (const int[]){0, 1, 1}, (const int[]){30, 31, 33});
        assert_int_equal(data.validation->n_classes, 2);
        snprintf(path, sizeof path, "/%s: 3 pictures to validate with\n", name[2]);
        assert_log(path);
        kata_data_close(&data);
        assert_null(data.validation);
        folder_remove();
        mkdir(test_folder, 0777);
    }
    /* One part under two names, and parts without training pictures. */
    kata_data data = {.train = NULL};
    put_flat("train/cat/1.png", 4, 4, 1, 10);
    put_flat("val/cat/1.png", 4, 4, 1, 10);
    put_flat("valid/cat/1.png", 4, 4, 1, 10);
    assert_failure(open_folder(&data, NULL), KATA_FORMAT,
                   "/valid both say that they hold the validation pictures; keep one");
    folder_remove();
    mkdir(test_folder, 0777);
    put_flat("val/cat/1.png", 4, 4, 1, 10);
    assert_failure(open_folder(&data, NULL), KATA_NOT_FOUND, "but no folder train/");
    /* "test" and "train" that hold pictures and no folders are classes. */
    folder_remove();
    mkdir(test_folder, 0777);
    put_flat("test/1.png", 4, 4, 1, 20);
    put_flat("train/1.png", 4, 4, 1, 10);
    assert_ok(open_folder(&data, NULL));
    assert_int_equal(data.train->n_classes, 2);
    check_set(data.train, 2, (const int[]){0, 1}, (const int[]){20, 10});
    kata_data_close(&data);
}

/* What systems, archives and people leave beside pictures is counted and named, never an error and
 * never silent. */
static void test_passed_over(void **state) {
    (void)state;
    static const char *const clutter[] = {
        "train/cat/Thumbs.db",  "train/cat/desktop.ini",  "train/dog/labels.txt",
        "train/dog/._1.png",    "train/dog/.DS_Store",    "train/__MACOSX/cat/._1.png",
        "train/README",         "train/cat/notes.csv",    "__MACOSX/train/cat/._1.png",
        "train/@eaDir/x/1.png", "annotations/labels.csv", "labels.csv"};
    put_flat("train/cat/1.PNG", 4, 4, 1, 10);
    put_flat("train/dog/1.JPEG.jpg", 4, 4, 1, 20);
    for (size_t i = 0; i < sizeof clutter / sizeof clutter[0]; i++) {
        file_put(clutter[i], "clutter", 7);
    }
    kata_data data = {.train = NULL};
    log_text[0] = '\0';
    assert_ok(open_folder(&data, NULL));
    check_set(data.train, 2, (const int[]){0, 1}, (const int[]){10, 20});
    assert_string_equal(data.train->class_names[1], "dog");
    assert_log(": passed over 12 names that are no data: __MACOSX, annotations, labels.csv, "
               "train/@eaDir, train/__MACOSX, train/README, train/cat/Thumbs.db, ...");
    kata_data_close(&data);
    /* A picture that cannot be read is no clutter: somebody meant it. */
    file_put("train/cat/2.gif", "GIF89a..", 8);
    assert_failure(open_folder(&data, NULL), KATA_FORMAT,
                   "/train/cat/2.gif: the picture is neither PNG nor JPEG");
    file_drop("train/cat/2.gif");
    /* Only clutter is no class. */
    file_put("train/eel/Thumbs.db", "x", 1);
    assert_failure(open_folder(&data, NULL), KATA_FORMAT, "/train/eel holds no picture");
}

/* One class and pictures without a class: said with what to do. */
static void test_one_class(void **state) {
    (void)state;
    kata_data data = {.train = NULL};
    put_flat("cat/1.png", 4, 4, 1, 10);
    log_text[0] = '\0';
    assert_ok(open_folder(&data, NULL));
    assert_log("warning: ");
    assert_ok((kata_data_close(&data), open_folder(&data, NULL)));
    assert_log("all pictures belong to one class, cat: there is nothing to tell apart; give each "
               "class a folder of its own");
    kata_data_close(&data);
    assert_failure(kata_data_open(&data, context, in_folder("cat"), NULL), KATA_NOT_FOUND,
                   "/cat: the folder holds pictures, but no folders that say their classes");
}

static void test_refusals(void **state) {
    (void)state;
    kata_data data = {.train = NULL};
    put_flat("cat/1.png", 4, 4, 1, 10);
    mkdir(in_folder("dog"), 0777);
    assert_failure(open_folder(&data, NULL), KATA_FORMAT, "/dog holds no picture");
    file_put("dog/1.png", "", 0);
    assert_failure(open_folder(&data, NULL), KATA_FORMAT,
                   "/dog/1.png: the picture is empty (0 bytes)");
    file_put("dog/1.png", "hello", 5);
    assert_failure(open_folder(&data, NULL), KATA_FORMAT,
                   "/dog/1.png: the picture is neither PNG nor JPEG");
    file_put("dog/1.png", "\x89PNG\r\n\x1a\n", 8);
    assert_failure(open_folder(&data, NULL), KATA_FORMAT, "/dog/1.png: PNG: truncated");
    file_drop("dog/1.png");
    put_flat("dog/deep/1.png", 4, 4, 1, 10);
    assert_failure(open_folder(&data, NULL), KATA_FORMAT,
                   "/dog/deep is a folder inside the folder of a class");
    mkdir(in_folder("test"), 0777);
    put_flat("train/cat/1.png", 4, 4, 1, 10);
    assert_failure(open_folder(&data, NULL), KATA_FORMAT, "/test: holds no class folders");
    assert_null(data.train);
}

/* With several threads the first bad file by name is the one that is reported. */
static void test_first_failure(void **state) {
    (void)state;
    for (int i = 0; i < 60; i++) {
        char name[32];
        snprintf(name, sizeof name, "c%d/%02d.png", i % 2, i);
        if (i == 37 || i == 13 || i == 58) {
            file_put(name, "bad", 3);
        } else {
            put_flat(name, 5, 5, 1, i);
        }
    }
    for (int threads = 1; threads <= 4; threads++) {
        kata_context *own;
        kata_data data;
        assert_ok(kata_context_new(&own, &(kata_context_options){.threads = threads}));
        assert_failure(kata_data_open(&data, own, test_folder, NULL), KATA_FORMAT, "/c0/58.png: ");
        kata_context_free(own);
    }
}

static void test_allocations(void **state) {
    (void)state;
    put_flat("train/a/1.png", 4, 4, 1, 10);
    put_flat("train/b/1.png", 5, 4, 1, 20);
    put_flat("train/b/2.png", 5, 4, 1, 20);
    put_flat("test/a/1.png", 4, 4, 1, 30);
    kata_test_allocator counting;
    kata_test_allocator_init(&counting);
    kata_context *own = kata_test_context(&counting, 1);
    int64_t live = counting.n_live;
    kata_data_options options = {.limit_train = 2};
    for (int64_t k = 1;; k++) {
        kata_test_allocator_reset(&counting, k);
        kata_data data = {.train = NULL};
        kata_status status = kata_data_open(&data, own, test_folder, &options);
        bool reached = counting.n_calls >= k;
        kata_data_close(&data);
        assert_int_equal(counting.n_live, live);
        if (!reached) {
            assert_int_equal(status, KATA_OK);
            break;
        }
        /* A picture that could not be read for lack of memory is read again, then memory is there.
         */
        assert_true(status == KATA_OUT_OF_MEMORY || status == KATA_OK);
    }
    kata_context_free(own);
}

static int setup(void **state) {
    (void)state;
    kata_readers_install();
    return kata_context_new(&context, &(kata_context_options){.log = log_keep}) == KATA_OK ? 0 : 1;
}

static int teardown(void **state) {
    (void)state;
    kata_context_free(context);
    return 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, folder_setup, folder_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_order),      TEST(test_sizes),         TEST(test_halves),
        TEST(test_validation), TEST(test_passed_over),   TEST(test_one_class),
        TEST(test_refusals),   TEST(test_first_failure), TEST(test_allocations),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
