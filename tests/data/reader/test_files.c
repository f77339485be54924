/* Folders of array files under the names that they are met with. */
#include "data/reader/pack.h"

#include <kata/readers.h>

static kata_context *context;

static void put_gz(const char *name, const void *data, size_t n) {
    bytes file = {.data = NULL};
    pack_deflate(&file, data, n, 31);
    file_put(name, file.data, file.n);
    bytes_free(&file);
}

/* A pair of idx files named by two patterns; `first` is the first label. */
static void put_pair(const char *images, const char *labels, uint32_t n, int first) {
    uint8_t data[4096];
    size_t size = idx_make(data, 3, n, 4, 3, 7, 256);
    (strstr(images, ".gz") != NULL || strstr(images, ".GZ") != NULL ? put_gz
                                                                    : file_put)(images, data, size);
    size = idx_make(data, 1, n, 0, 0, 1, 3);
    for (uint32_t i = 0; i < n; i++) {
        data[8 + i] = (uint8_t)(data[8 + i] + first);
    }
    (strstr(labels, ".gz") != NULL || strstr(labels, ".GZ") != NULL ? put_gz
                                                                    : file_put)(labels, data, size);
}

static void put_npy(const char *name, const char *type, const char *shape, const void *data,
                    size_t n, const char *member) {
    bytes npy = {.data = NULL}, file = {.data = NULL};
    pack_npy(&npy, type, shape, data, n);
    if (member == NULL) {
        file_put(name, npy.data, npy.n);
    } else {
        const zip_member m = {member, npy.data, npy.n, true, false};
        pack_zip(&file, &m, 1);
        file_put(name, file.data, file.n);
    }
    bytes_free(&file);
    bytes_free(&npy);
}

static void clear(void) {
    folder_remove();
    mkdir(test_folder, 0777);
    log_text[0] = '\0';
}

static void check_open(const char *argument, int n_train, int n_test, int n_validation) {
    kata_data data = {.train = NULL};
    assert_ok(kata_data_open(&data, context, argument, NULL));
    kata_shape shape = KATA_SHAPE_OF(n_train, 1, 4, 3);
    assert_true(kata_shape_equal(&data.train->inputs[0].shape, &shape));
    for (int i = 0; i < n_train * 12; i++) {
        assert_int_equal(((uint8_t *)data.train->inputs[0].data)[i], i * 7 % 256);
    }
    for (int i = 0; i < n_train; i++) {
        assert_int_equal(((int64_t *)data.train->targets[0].data)[i], i % 3);
    }
    assert_int_equal(data.test == NULL ? 0 : data.test->n, n_test);
    assert_int_equal(data.validation == NULL ? 0 : data.validation->n, n_validation);
    kata_data_close(&data);
}

static void test_prefixes(void **state) {
    (void)state;
    static const char *const names[][4] = {
        {"ardis-train-images-idx3-ubyte.gz", "ardis-train-labels-idx1-ubyte.gz",
         "ardis-test-images-idx3-ubyte.gz", "ardis-test-labels-idx1-ubyte.gz"},
        {"emnist-letters-train-images-idx3-ubyte", "emnist-letters-train-labels-idx1-ubyte.gz",
         "emnist-letters-test-images-idx3-ubyte.gz", "emnist-letters-test-labels-idx1-ubyte"},
        {"TRAIN-IMAGES-IDX3-UBYTE.GZ", "TRAIN-LABELS-IDX1-UBYTE.GZ", "T10K-IMAGES-IDX3-UBYTE.GZ",
         "T10K-LABELS-IDX1-UBYTE.GZ"},
        {"train-images.idx3-ubyte", "train-labels.idx1-ubyte", "t10k-images.idx3-ubyte",
         "t10k-labels.idx1-ubyte"},
        {"usps_train_images.idx", "usps_train_labels.idx", "usps_test_images.idx3",
         "usps_test_labels.idx1"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        clear();
        put_pair(names[i][0], names[i][1], 9, 0);
        put_pair(names[i][2], names[i][3], 5, 0);
        check_open(test_folder, 9, 5, 0);
        assert_string_equal(log_text, "");
    }
    put_pair("usps-val-images-idx3-ubyte", "usps-val-labels-idx1-ubyte", 4, 0);
    check_open(test_folder, 9, 5, 4);
}

/* KMNIST: each array in an .npz of its own, named arr_0; and .npy files. */
static void test_separate_arrays(void **state) {
    (void)state;
    uint8_t pixels[12 * 9], labels[9];
    for (int i = 0; i < 12 * 9; i++) {
        pixels[i] = (uint8_t)(i * 7);
    }
    for (int i = 0; i < 9; i++) {
        labels[i] = (uint8_t)(i % 3);
    }
    clear();
    put_npy("kmnist-train-imgs.npz", "|u1", "(9, 4, 3)", pixels, 108, "arr_0.npy");
    put_npy("kmnist-train-labels.npz", "|u1", "(9,)", labels, 9, "arr_0.npy");
    put_npy("kmnist-test-imgs.NPZ", "|u1", "(6, 4, 3)", pixels, 72, "arr_0.npy");
    put_npy("kmnist-test-labels.NPZ", "|u1", "(6,)", labels, 6, "arr_0.npy");
    file_put("kmnist_classmap.csv", "x", 1);
    check_open(test_folder, 9, 6, 0);
    assert_log(": passed over 1 name that is no data: kmnist_classmap.csv\n");
    clear();
    put_npy("x_train.npy", "|u1", "(9, 4, 3)", pixels, 108, NULL);
    put_npy("y_train.npy", "|u1", "(9,)", labels, 9, NULL);
    check_open(test_folder, 9, 0, 0);
    put_npy("y_train.npz", "|u1", "(9,)", labels, 9, "arr_0.npy"); /* twice: one is passed over */
    check_open(test_folder, 9, 0, 0);
    assert_log("passed over 1 name that is no data: y_train.npz");
    kata_data data = {.train = NULL};
    file_drop("y_train.npy");
    const zip_member none = {"notes.txt", "x", 1, false, false};
    bytes file = {.data = NULL};
    pack_zip(&file, &none, 1);
    file_put("y_train.npz", file.data, file.n);
    bytes_free(&file);
    assert_failure(kata_data_open(&data, context, test_folder, NULL), KATA_FORMAT,
                   "/y_train.npz: it holds no array");
    file_put("x_train.npy", "x", 1);
    assert_failure(kata_data_open(&data, context, test_folder, NULL), KATA_FORMAT, "/x_train.npy");
    /* A stray array beside folders of pictures is no data set. */
    file_put("cat/1.png", "x", 1);
    file_drop("y_train.npz");
    assert_failure(kata_data_open(&data, context, test_folder, NULL), KATA_FORMAT,
                   "/cat/1.png: the picture is neither PNG nor JPEG");
}

/* EMNIST's archive holds six sets in one folder. */
static void test_several_sets(void **state) {
    (void)state;
    clear();
    put_pair("emnist-letters-train-images-idx3-ubyte.gz",
             "emnist-letters-train-labels-idx1-ubyte.gz", 9, 1);
    put_pair("emnist-digits-train-images-idx3-ubyte.gz", "emnist-digits-train-labels-idx1-ubyte.gz",
             6, 0);
    kata_data data = {.train = NULL};
    assert_failure(kata_data_open(&data, context, test_folder, NULL), KATA_NOT_FOUND,
                   "/NAME with one of these names: emnist-digits, emnist-letters");
    check_open(in_folder("emnist-digits"), 6, 0, 0);
    check_open(in_folder("emnist-letters"), 9, 0, 0);
    assert_log(": the labels go from 1 to 3: 3 classes, counted from 0 and named by their labels");
    assert_failure(kata_data_open(&data, context, in_folder("emnist-leters"), NULL), KATA_NOT_FOUND,
                   ": holds no data set emnist-leters; there is: emnist-digits, emnist-letters");
    file_drop("emnist-letters-train-labels-idx1-ubyte.gz");
    assert_failure(kata_data_open(&data, context, in_folder("emnist-letters"), NULL),
                   KATA_NOT_FOUND, "there is no label file of the training samples");
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
        TEST(test_prefixes),
        TEST(test_separate_arrays),
        TEST(test_several_sets),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
