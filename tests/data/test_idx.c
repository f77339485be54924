/* idx files: what is read, and one sentence for each way in which they can be wrong. */
#include "data/files.h"
#include "data/load.h"
#include "support/counting_allocator.h"

static kata_context *context;

static kata_status open_folder(kata_data *out, const kata_data_options *options) {
    return kata_data_open(out, context, test_folder, options);
}

static void check_fails(kata_status expected, const char *part, const char *file, int line) {
    kata_data data = {.train = NULL};
    check_failure(open_folder(&data, NULL), expected, part, file, line);
    assert_null(data.train); /* untouched */
}
#define assert_open_fails(expected, part) check_fails(expected, part, __FILE__, __LINE__)

static void test_open(void **state) {
    (void)state;
    idx_put_set(10, 4);
    kata_data data;
    assert_ok(open_folder(&data, NULL));
    assert_int_equal(data.train->n, 10);
    assert_int_equal(data.test->n, 4);
    kata_shape shape = KATA_SHAPE_OF(10, 1, 4, 3);
    assert_true(kata_shape_equal(&data.train->inputs[0].shape, &shape));
    assert_int_equal(data.train->inputs[0].dtype, KATA_U8);
    assert_int_equal(data.train->targets[0].dtype, KATA_I64);
    assert_int_equal(data.train->n_classes, 3);
    assert_int_equal(data.test->n_classes, 3);
    assert_string_equal(data.test->class_names[2], "2");
    for (int i = 0; i < 120; i++) {
        assert_int_equal(((uint8_t *)data.train->inputs[0].data)[i], i * 7 % 256);
    }
    for (int i = 0; i < 10; i++) {
        assert_int_equal(((int64_t *)data.train->targets[0].data)[i], i % 3);
    }
    kata_data_close(&data);
    assert_null(data.train);
    kata_data_close(&data);
    kata_data_close(NULL);
    assert_ok(open_folder(&data, &(kata_data_options){.limit_train = 3, .limit_test = 99}));
    assert_int_equal(data.train->n, 3);
    assert_int_equal(data.test->n, 4);
    assert_int_equal(((uint8_t *)data.train->inputs[0].data)[35], 35 * 7 % 256);
    kata_data_close(&data);
}

/* The classes are those of both files: a label that only the test has counts, too. */
static void test_classes(void **state) {
    (void)state;
    idx_put_set(2, 3);
    kata_data data;
    assert_ok(open_folder(&data, NULL));
    assert_int_equal(data.train->n_classes, 3);
    kata_data_close(&data);
}

static void test_no_test_files(void **state) {
    (void)state;
    idx_put_set(5, 0);
    kata_data data;
    assert_ok(open_folder(&data, NULL));
    assert_null(data.test);
    kata_data_close(&data);
}

static void test_dotted_names(void **state) {
    (void)state;
    idx_put_set(5, 0);
    assert_int_equal(
        rename(in_folder("train-images-idx3-ubyte"), in_folder("train-images.idx3-ubyte")), 0);
    kata_data data;
    assert_ok(open_folder(&data, NULL));
    assert_int_equal(data.train->n, 5);
    kata_data_close(&data);
}

static void test_missing(void **state) {
    (void)state;
    assert_open_fails(KATA_NOT_FOUND, "the folder is empty; a data folder holds idx files");
    file_put("notes.txt", "x", 1);
    assert_open_fails(KATA_NOT_FOUND, "the folder holds neither idx files nor folders");
    idx_put_set(5, 2);
    file_drop("train-labels-idx1-ubyte");
    assert_open_fails(KATA_NOT_FOUND, "no label file of the training samples, such as "
                                      "train-labels-idx1-ubyte, plain or .gz; put it beside ");
    idx_put_set(5, 2);
    file_drop("train-images-idx3-ubyte");
    assert_open_fails(KATA_NOT_FOUND,
                      "no picture file of the training samples, such as train-images-idx3-ubyte");
    idx_put_set(5, 2);
    file_drop("t10k-images-idx3-ubyte");
    assert_open_fails(KATA_NOT_FOUND,
                      "no picture file of the test samples, such as t10k-images-idx3-ubyte");
    idx_put_set(5, 2);
    file_drop("t10k-labels-idx1-ubyte");
    assert_open_fails(KATA_NOT_FOUND,
                      "no label file of the test samples, such as t10k-labels-idx1-ubyte");
}

static void test_header(void **state) {
    (void)state;
    static const struct {
        int at, value;
        kata_status status;
        const char *part;
    } cases[] = {
        {0, 1, KATA_FORMAT,
         "not an idx file: it begins with the bytes 01 00 08 03, expected 00 00 "
         "08 03"},
        {1, 7, KATA_FORMAT, "not an idx file"},
        {2, 0x0D, KATA_UNSUPPORTED,
         "the idx type 0x0d (32-bit floats) is not read here, expected "
         "0x08"},
        {2, 0x33, KATA_UNSUPPORTED, "0x33 (no known type)"},
        {3, 1, KATA_FORMAT, "holds data of 1 sizes, expected 3 (pictures: number, height, width)"},
        {7, 0, KATA_FORMAT, "size 1 of 3 is 0; the file holds no data"},
        {11, 0, KATA_FORMAT, "size 2 of 3 is 0"},
        {7, 6, KATA_FORMAT,
         "truncated: the header says 6 pictures, 88 bytes expected, got 76 bytes"},
        {7, 4, KATA_FORMAT,
         "bytes behind the end: the header says 4 pictures, 64 bytes expected, "
         "got 76 bytes"},
        {4, 255, KATA_FORMAT, "truncated: the header says 4278190085 pictures"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[256];
        idx_put_set(5, 0);
        size_t n = idx_make(bytes, 3, 5, 4, 3, 7, 256);
        bytes[cases[i].at] = (uint8_t)cases[i].value;
        file_put("train-images-idx3-ubyte", bytes, n);
        assert_open_fails(cases[i].status, cases[i].part);
        assert_non_null(strstr(kata_error_message(), "train-images-idx3-ubyte: "));
    }
    uint8_t huge[16] = {0, 0, 8, 3};
    memset(huge + 4, 0xff, 12);
    file_put("train-images-idx3-ubyte", huge, 16);
    assert_open_fails(KATA_FORMAT, "more than can be addressed");
    file_put("train-images-idx3-ubyte", huge, 0);
    assert_open_fails(KATA_FORMAT, "truncated: an idx header of 16 bytes expected, got 0 bytes");
    file_put("train-images-idx3-ubyte", "\x1f\x8b\x08", 3);
    assert_open_fails(KATA_FORMAT, "is compressed by gzip; give its name the ending .gz");
}

static void test_mismatch(void **state) {
    (void)state;
    uint8_t bytes[256];
    idx_put_set(5, 2);
    file_put("train-labels-idx1-ubyte", bytes, idx_make(bytes, 1, 4, 0, 0, 1, 3));
    assert_open_fails(KATA_SHAPE, ": train-images-idx3-ubyte has 5 samples, but "
                                  "train-labels-idx1-ubyte has 4; there must be one target");
    /* Found although only fewer samples are wanted. */
    kata_data data;
    assert_failure(open_folder(&data, &(kata_data_options){.limit_train = 2}), KATA_SHAPE,
                   "train-labels-idx1-ubyte has 4;");
    idx_put_set(5, 2);
    file_put("t10k-images-idx3-ubyte", bytes, idx_make(bytes, 3, 2, 3, 4, 1, 9));
    assert_open_fails(KATA_SHAPE, "train-images-idx3-ubyte is uint8 of shape (5,1,4,3), but "
                                  "t10k-images-idx3-ubyte is uint8 of shape (2,1,3,4)");
    idx_put_set(5, 2);
    file_put("train-labels-idx1-ubyte", bytes, idx_make(bytes, 3, 1, 1, 1, 1, 3));
    assert_open_fails(KATA_FORMAT, "holds data of 3 sizes, expected 1 (labels)");
}

static void test_gz_without_readers(void **state) {
    (void)state;
    uint8_t bytes[64];
    idx_put_set(5, 0);
    file_drop("train-labels-idx1-ubyte");
    file_put("train-labels-idx1-ubyte.gz", bytes, idx_make(bytes, 1, 5, 0, 0, 1, 3));
    assert_open_fails(KATA_UNSUPPORTED, "built without the gz reader; unpack the file with gunzip");
}

/* Cut off at every byte, and every byte changed: an error or a data set, never more. */
static void test_hostile(void **state) {
    (void)state;
    uint8_t bytes[128];
    for (int rank = 1; rank <= 3; rank += 2) {
        size_t n = idx_make(bytes, rank, 6, 4, 3, 1, 200);
        kata_tensor tensor;
        int64_t whole;
        for (size_t cut = 0; cut < n; cut++) {
            uint8_t *part = malloc(cut + 1);
            memcpy(part, bytes, cut);
            assert_int_equal(kata__idx_parse(&tensor, &whole, context, "f", part, cut, rank, 0),
                             KATA_FORMAT);
            free(part);
        }
        uint32_t random = 1;
        for (int i = 0; i < 20000; i++) {
            uint8_t changed[128];
            memcpy(changed, bytes, n);
            for (int k = 0; k < 3; k++) {
                random = random * 1664525u + 1013904223u;
                changed[(random >> 8) % n % (k == 0 ? 16 : n)] ^= (uint8_t)(random >> 24);
            }
            if (kata__idx_parse(&tensor, &whole, context, "f", changed, n, rank, 0) == KATA_OK) {
                kata_tensor_release(&tensor);
            }
        }
    }
}

static void test_allocations(void **state) {
    (void)state;
    kata_test_allocator counting;
    kata_test_allocator_init(&counting);
    kata_context *own = kata_test_context(&counting, 1);
    assert_non_null(own);
    idx_put_set(20, 8);
    int64_t live = counting.n_live, failed = 0;
    for (int64_t k = 1;; k++) {
        kata_test_allocator_reset(&counting, k);
        kata_data data = {.train = NULL};
        kata_status status = kata_data_open(&data, own, test_folder, NULL);
        bool reached = counting.n_calls >= k;
        kata_data_close(&data);
        assert_int_equal(counting.n_live, live);
        if (!reached) {
            assert_int_equal(status, KATA_OK);
            break;
        }
        assert_int_equal(status, KATA_OUT_OF_MEMORY);
        failed++;
    }
    assert_true(failed > 15);
    kata_context_free(own);
}

/* A set of 28x28 pictures: the book's loader, its options, and what it refuses. */
static void test_load_mnist(void **state) {
    (void)state;
    static uint8_t bytes[1 << 14];
    file_put("train-images-idx3-ubyte", bytes, idx_make(bytes, 3, 10, 28, 28, 3, 256));
    file_put("train-labels-idx1-ubyte", bytes, idx_make(bytes, 1, 10, 0, 0, 3, 10));
    kata_data data;
    assert_ok(kata_data_load_mnist(&data, context, test_folder, NULL));
    kata_shape flat = KATA_SHAPE_OF(10, 784), image = KATA_SHAPE_OF(10, 1, 28, 28);
    assert_true(kata_shape_equal(&data.train->inputs[0].shape, &flat));
    assert_true(((float *)data.train->inputs[0].data)[85] == 255 / 255.0f);
    assert_true(((float *)data.train->inputs[0].data)[1] == 3 / 255.0f);
    assert_int_equal(data.train->n_classes, 10);
    kata_data_close(&data);
    kata_mnist_options options = {.raw = true, .keep_image = true, .one_hot = true};
    assert_ok(kata_data_load_mnist(&data, context, test_folder, &options));
    assert_true(kata_shape_equal(&data.train->inputs[0].shape, &image));
    assert_true(((float *)data.train->inputs[0].data)[85] == 255);
    kata_shape one_hot = KATA_SHAPE_OF(10, 10);
    assert_true(kata_shape_equal(&data.train->targets[0].shape, &one_hot));
    for (int i = 0; i < 100; i++) {
        assert_true(((float *)data.train->targets[0].data)[i] == (i % 10 == i / 10 * 3 % 10));
    }
    kata_data_close(&data);
    file_put("train-labels-idx1-ubyte", bytes, idx_make(bytes, 1, 10, 0, 0, 2, 12));
    assert_failure(kata_data_load_mnist(&data, context, test_folder, NULL), KATA_FORMAT,
                   "sample 5 has the label 10, expected a digit 0 to 9");
    const size_t n_bytes = idx_make(bytes, 1, 10, 0, 0, 3, 10);
    bytes[8] = 10; /* the first of them */
    bytes[9] = 0;
    file_put("train-labels-idx1-ubyte", bytes, n_bytes);
    assert_failure(kata_data_load_mnist(&data, context, test_folder, NULL), KATA_FORMAT,
                   "sample 0 has the label 10, expected a digit 0 to 9");
    idx_put_set(5, 0);
    assert_failure(kata_data_load_mnist(&data, context, test_folder, NULL), KATA_SHAPE,
                   "the shape (5,1,4,3), expected 28x28 pixels");
    assert_failure(kata_data_load_mnist(&data, context, in_folder("no"), NULL), KATA_NOT_FOUND,
                   "there is no such folder");
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
        TEST(test_open),          TEST(test_classes),
        TEST(test_no_test_files), TEST(test_dotted_names),
        TEST(test_missing),       TEST(test_header),
        TEST(test_mismatch),      TEST(test_gz_without_readers),
        TEST(test_hostile),       TEST(test_allocations),
        TEST(test_load_mnist),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
