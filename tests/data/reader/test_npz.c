/* npz: zip files stored, deflated and ZIP64; what the arrays become; every way a file can be wrong.
 */
#include "data/reader/pack.h"
#include "data/reader/reader.h"
#include "support/counting_allocator.h"

#include <kata/readers.h>

static kata_context *context;

/* ------------------------------------------------------------------ zip */

struct seen {
    int n;
    char names[256];
    uint8_t data[4096];
    size_t n_bytes;
};

static kata_status note(void *user, const char *name, const void *data, size_t n_bytes) {
    struct seen *seen = user;
    seen->n++;
    snprintf(seen->names + strlen(seen->names), sizeof seen->names - strlen(seen->names), "%s;",
             name);
    if (n_bytes <= sizeof seen->data && n_bytes > 0) {
        memcpy(seen->data, data, n_bytes);
    }
    seen->n_bytes = n_bytes;
    return KATA_OK;
}

static kata_status unzip(const bytes *file, size_t maximum) {
    struct seen seen = {.n = 0};
    return kata__zip_read(context, file->data, file->n, maximum, note, &seen);
}

static void test_zip(void **state) {
    (void)state;
    static uint8_t data[4000];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i / 9);
    }
    for (int kind = 0; kind < 4; kind++) {
        const zip_member members[] = {{"first", "abc", 3, kind & 1, kind & 2},
                                      {"empty", "", 0, kind & 1, kind & 2},
                                      {"last", data, sizeof data, kind & 1, kind & 2}};
        bytes file = {.data = NULL};
        struct seen seen = {.n = 0};
        pack_zip(&file, members, 3);
        assert_ok(kata__zip_read(context, file.data, file.n, 1 << 20, note, &seen));
        assert_int_equal(seen.n, 3);
        assert_string_equal(seen.names, "first;empty;last;");
        assert_int_equal(seen.n_bytes, sizeof data);
        assert_memory_equal(seen.data, data, sizeof data);
        assert_ok(unzip(&file, 4003));
        assert_failure(unzip(&file, 4002), KATA_LIMIT,
                       "member last: it claims 4000 bytes unpacked, more than the 3999");
        bytes_add(&file, "xyz", 3); /* a comment, announced by the end record */
        file.data[file.n - 5] = 3;
        assert_ok(unzip(&file, 1 << 20));
        bytes_free(&file);
    }
    bytes none = {.data = NULL};
    pack_zip(&none, NULL, 0);
    assert_ok(unzip(&none, 100));
    bytes_free(&none);
}

/* Where the directory entry of the only member begins. */
static size_t entry_of(const bytes *file) {
    size_t at = file->n - 22 - 46 - 1;
    assert_memory_equal(file->data + at, "PK\1\2", 4);
    return at;
}

static void test_zip_refusals(void **state) {
    (void)state;
    static const struct {
        int at, value; /* in the directory entry */
        kata_status status;
        const char *part;
    } cases[] = {
        {8, 1, KATA_UNSUPPORTED, "member m: it is encrypted"},
        {10, 12, KATA_UNSUPPORTED, "compression method 12 is not read here"},
        {16, 0x99, KATA_FORMAT, "member m: the zip file is damaged: a member's checksum is wrong"},
        {20, 200, KATA_FORMAT, "a member is longer than the file"},
        {24, 99, KATA_FORMAT, "does not unpack to the size it claims"},
        {24, 101, KATA_FORMAT, "does not unpack to the size it claims"},
        {26, 255, KATA_FORMAT, "claims to unpack to more than is possible"},
        {42, 1, KATA_FORMAT, "header is not where the directory says"},
        {45, 200, KATA_FORMAT, "header is not where the directory says"},
        {28, 0, KATA_FORMAT, "name is empty, too long or holds a NUL"},
        {28, 200, KATA_FORMAT, "longer than the directory"},
        {0, 'X', KATA_FORMAT, "an entry of its directory is not where it should be"},
        {46, 0, KATA_FORMAT, "name is empty, too long or holds a NUL"},
        {46, 27, KATA_OK, ""},
    };
    uint8_t data[100];
    memset(data, 'a', sizeof data);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bytes file = {.data = NULL};
        const zip_member member = {"m", data, sizeof data, true, false};
        pack_zip(&file, &member, 1);
        file.data[entry_of(&file) + (size_t)cases[i].at] = (uint8_t)cases[i].value;
        check_failure(unzip(&file, 1 << 30), cases[i].status,
                      cases[i].status == KATA_OK ? "" : cases[i].part, __FILE__, __LINE__);
        bytes_free(&file);
    }
    bytes text = {.data = NULL};
    bytes_add(&text, "this is no zip file at all", 26);
    assert_failure(unzip(&text, 100), KATA_FORMAT, "not a zip file: it has 26 bytes");
    bytes_free(&text);
}

static void test_zip_damage(void **state) {
    (void)state;
    uint8_t data[300];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 7 % 50);
    }
    for (int kind = 0; kind < 4; kind++) {
        const zip_member members[] = {{"one.npy", data, 300, kind & 1, kind & 2},
                                      {"two.npy", data, 100, kind & 1, kind & 2}};
        bytes file = {.data = NULL};
        pack_zip(&file, members, 2);
        for (size_t n = 0; n < file.n; n++) {
            bytes part = {malloc(n + 1), n, n};
            memcpy(part.data, file.data, n);
            assert_failure(unzip(&part, 1 << 20), KATA_FORMAT, "");
            bytes_free(&part);
        }
        uint32_t random = (uint32_t)kind;
        for (int round = 0; round < 5000; round++) {
            bytes changed = {malloc(file.n), file.n, file.n};
            memcpy(changed.data, file.data, file.n);
            for (int k = 0; k <= round % 3; k++) {
                random = random * 1664525u + 1013904223u;
                changed.data[(random >> 8) % file.n] ^= (uint8_t)(random >> 20);
            }
            kata_status status = unzip(&changed, 1 << 20);
            assert_true(status != KATA_OUT_OF_MEMORY);
            bytes_free(&changed);
        }
        bytes_free(&file);
    }
}

/* ------------------------------------------------------------------ npz */

struct array {
    const char *name, *type, *shape;
    const void *data;
    size_t n;
};

static void put_npz(const struct array *arrays, int n, bool deflated) {
    bytes npy[8] = {{.data = NULL}}, file = {.data = NULL};
    zip_member members[8];
    for (int i = 0; i < n; i++) {
        pack_npy(&npy[i], arrays[i].type, arrays[i].shape, arrays[i].data, arrays[i].n);
        members[i] = (zip_member){arrays[i].name, npy[i].data, npy[i].n, deflated, !deflated};
    }
    pack_zip(&file, members, n);
    file_put("set.npz", file.data, file.n);
    bytes_free(&file);
    for (int i = 0; i < n; i++) {
        bytes_free(&npy[i]);
    }
}

static kata_status open_npz(kata_data *data, const kata_data_options *options) {
    return kata_data_open(data, context, in_folder("set.npz"), options);
}

static uint8_t pixels[4 * 5 * 6 * 3];
static const uint8_t small_labels[4] = {0, 2, 1, 2};
static const int64_t wide_labels[4] = {3, 0, 1, 1};
static const float numbers[8] = {0.5f, 1, 2, 3, 4, 5, 6, 7};

static void test_keras(void **state) {
    (void)state;
    const struct array arrays[] = {{"x_train.npy", "|u1", "(4, 5, 6)", pixels, 120},
                                   {"y_train.npy", "|u1", "(4,)", small_labels, 4},
                                   {"x_test.npy", "|u1", "(2, 5, 6)", pixels, 60},
                                   {"y_test.npy", "|u1", "(2,)", small_labels, 2}};
    for (int deflated = 0; deflated < 2; deflated++) {
        put_npz(arrays, 4, deflated);
        kata_data data;
        assert_ok(open_npz(&data, NULL));
        kata_shape shape = KATA_SHAPE_OF(4, 1, 5, 6);
        assert_true(kata_shape_equal(&data.train->inputs[0].shape, &shape));
        assert_memory_equal(data.train->inputs[0].data, pixels, 120);
        assert_int_equal(data.train->n_classes, 3);
        assert_int_equal(data.train->targets[0].dtype, KATA_I64);
        assert_int_equal(((int64_t *)data.train->targets[0].data)[1], 2);
        assert_int_equal(data.test->n, 2);
        kata_data_close(&data);
        assert_ok(open_npz(&data, &(kata_data_options){.limit_train = 2, .limit_test = 1}));
        assert_int_equal(data.train->n, 2);
        assert_int_equal(data.test->n, 1);
        kata_data_close(&data);
    }
}

/* Colour with the channels last, labels (n,1); and without the readers' names: x and y. */
static void test_colour(void **state) {
    (void)state;
    const struct array arrays[] = {{"x.npy", "|u1", "(4, 5, 6, 3)", pixels, 360},
                                   {"y.npy", "<i8", "(4, 1)", wide_labels, 32},
                                   {"notes.txt", "|u1", "(1,)", pixels, 1}};
    put_npz(arrays, 3, true);
    kata_data data;
    assert_ok(open_npz(&data, NULL));
    kata_shape shape = KATA_SHAPE_OF(4, 3, 5, 6), flat = KATA_SHAPE_OF(4);
    assert_true(kata_shape_equal(&data.train->inputs[0].shape, &shape));
    assert_true(kata_shape_equal(&data.train->targets[0].shape, &flat));
    assert_int_equal(data.train->n_classes, 4);
    assert_null(data.test);
    const uint8_t *x = data.train->inputs[0].data;
    for (int i = 0; i < 360; i++) {
        int n = i / 90, c = i / 30 % 3, at = i % 30;
        assert_int_equal(x[i], pixels[n * 90 + at * 3 + c]);
    }
    kata_data_close(&data);
}

static void test_numbers(void **state) {
    (void)state;
    struct array arrays[] = {{"x.npy", "<f4", "(4, 2)", numbers, 32},
                             {"y.npy", "<f4", "(4,)", numbers, 16}};
    kata_data data;
    put_npz(arrays, 2, true);
    assert_ok(open_npz(&data, NULL));
    kata_shape column = KATA_SHAPE_OF(4, 1), two = KATA_SHAPE_OF(4, 2);
    assert_true(kata_shape_equal(&data.train->targets[0].shape, &column));
    assert_int_equal(data.train->targets[0].dtype, KATA_F32);
    assert_int_equal(data.train->inputs[0].dtype, KATA_F32);
    assert_int_equal(data.train->n_classes, 0);
    kata_data_close(&data);
    arrays[1] = (struct array){"y.npy", "|u1", "(4, 2)", pixels, 8}; /* several labels */
    put_npz(arrays, 2, true);
    assert_ok(open_npz(&data, NULL));
    assert_true(kata_shape_equal(&data.train->targets[0].shape, &two));
    assert_int_equal(data.train->targets[0].dtype, KATA_F32);
    kata_data_close(&data);
}

/* The words that other collections use: MedMNIST's, capitals, numpy.savez without names. */
static void test_names(void **state) {
    (void)state;
    const struct array medical[] = {{"train_images.npy", "|u1", "(4, 5, 6)", pixels, 120},
                                    {"train_labels.npy", "|u1", "(4, 1)", small_labels, 4},
                                    {"val_images.npy", "|u1", "(3, 5, 6)", pixels, 90},
                                    {"val_labels.npy", "|u1", "(3, 1)", small_labels, 3},
                                    {"test_images.npy", "|u1", "(2, 5, 6)", pixels, 60},
                                    {"test_labels.npy", "|u1", "(2, 1)", small_labels, 2}};
    kata_data data;
    put_npz(medical, 6, true);
    assert_ok(open_npz(&data, NULL));
    assert_int_equal(data.train->n, 4);
    assert_int_equal(data.validation->n, 3);
    assert_int_equal(data.test->n, 2);
    assert_int_equal(data.validation->n_classes, 3);
    assert_memory_equal(data.validation->inputs[0].data, pixels, 90);
    kata_data_close(&data);
    const struct array keras[] = {{"X_train.npy", "|u1", "(4, 5, 6)", pixels, 120},
                                  {"Y_train.npy", "|u1", "(4,)", small_labels, 4},
                                  {"x_valid.npy", "|u1", "(2, 5, 6)", pixels, 60},
                                  {"y_valid.npy", "|u1", "(2,)", small_labels, 2}};
    put_npz(keras, 4, true);
    assert_int_equal(rename(in_folder("set.npz"), in_folder("SET.NPZ")), 0);
    assert_ok(kata_data_open(&data, context, in_folder("SET.NPZ"), NULL));
    assert_int_equal(data.train->n, 4);
    assert_int_equal(data.validation->n, 2);
    assert_null(data.test);
    kata_data_close(&data);
    const struct array numbered[] = {{"arr_0.npy", "|u1", "(4, 5, 6)", pixels, 120},
                                     {"arr_1.npy", "|u1", "(4,)", small_labels, 4},
                                     {"arr_2.npy", "|u1", "(4,)", small_labels, 4}};
    put_npz(numbered, 2, true);
    assert_ok(open_npz(&data, NULL));
    assert_int_equal(data.train->n, 4);
    assert_int_equal(((int64_t *)data.train->targets[0].data)[3], 2);
    kata_data_close(&data);
    put_npz(numbered, 3, true); /* which is which? */
    assert_failure(open_npz(&data, NULL), KATA_NOT_FOUND,
                   "x_train is missing; the file has arr_0.npy, arr_1.npy, arr_2.npy");
}

/* Pictures of any type with their channels last are turned, and it is said. */
static void test_channels_last(void **state) {
    (void)state;
    static float grey[4 * 5 * 6], colour[2 * 5 * 6 * 3];
    for (int i = 0; i < 180; i++) {
        colour[i] = (float)i / 7;
        grey[i % 120] = (float)i;
    }
    struct array arrays[] = {{"x.npy", "<f4", "(4, 5, 6, 1)", grey, sizeof grey},
                             {"y.npy", "|u1", "(4,)", small_labels, 4}};
    kata_data data;
    put_npz(arrays, 2, true);
    log_text[0] = '\0';
    assert_ok(open_npz(&data, NULL));
    assert_log("/set.npz: the pictures have their channels last; turned into "
               "(n,channels,height,width): (4,1,5,6)");
    kata_shape one = KATA_SHAPE_OF(4, 1, 5, 6), three = KATA_SHAPE_OF(2, 3, 5, 6);
    assert_true(kata_shape_equal(&data.train->inputs[0].shape, &one));
    assert_int_equal(data.train->inputs[0].dtype, KATA_F32);
    assert_memory_equal(data.train->inputs[0].data, grey, sizeof grey);
    kata_data_close(&data);
    arrays[0] = (struct array){"x.npy", "<f4", "(2, 5, 6, 3)", colour, sizeof colour};
    arrays[1] = (struct array){"y.npy", "|u1", "(2,)", small_labels, 2};
    put_npz(arrays, 2, true);
    assert_ok(open_npz(&data, NULL));
    assert_log("(2,3,5,6)");
    assert_true(kata_shape_equal(&data.train->inputs[0].shape, &three));
    const float *x = data.train->inputs[0].data;
    for (int i = 0; i < 180; i++) {
        int n = i / 90, c = i / 30 % 3, at = i % 30;
        assert_true(x[i] == colour[n * 90 + at * 3 + c]);
    }
    kata_data_close(&data);
    /* Channels first, and what is no picture, stay. */
    static const char *const shapes[] = {"(2, 3, 10, 3)", "(2, 1, 30, 3)", "(2, 30, 1, 3)",
                                         "(2, 30, 3)"};
    for (int i = 0; i < 4; i++) {
        arrays[0].shape = shapes[i];
        put_npz(arrays, 2, true);
        log_text[0] = '\0';
        assert_ok(open_npz(&data, NULL));
        assert_string_equal(log_text, "");
        assert_memory_equal(data.train->inputs[0].data, colour, sizeof colour);
        kata_data_close(&data);
    }
}

/* Labels that begin above 0 and leave none out are counted from 0, with their numbers as names. */
static void test_label_offset(void **state) {
    (void)state;
    static const int64_t offset[4] = {7, 5, 6, 8}, gap[4] = {7, 5, 8, 8}, single[4] = {5, 5, 5, 5};
    struct array arrays[] = {{"x.npy", "|u1", "(4, 5, 6)", pixels, 120},
                             {"y.npy", "<i8", "(4,)", offset, 32}};
    kata_data data;
    for (int limit = 0; limit < 3; limit += 2) {
        put_npz(arrays, 2, true);
        log_text[0] = '\0';
        assert_ok(open_npz(&data, &(kata_data_options){.limit_train = limit}));
        assert_log("/set.npz: the labels go from 5 to 8: 4 classes, counted from 0 and named by "
                   "their labels");
        assert_int_equal(data.train->n, limit == 0 ? 4 : 2);
        assert_int_equal(data.train->n_classes, 4); /* of all samples, not of the first */
        assert_string_equal(data.train->class_names[0], "5");
        assert_string_equal(data.train->class_names[3], "8");
        assert_int_equal(((int64_t *)data.train->targets[0].data)[0], 2);
        assert_int_equal(((int64_t *)data.train->targets[0].data)[1], 0);
        kata_data_close(&data);
    }
    /* As numbers they are what the file says. */
    assert_ok(open_npz(&data, NULL));
    assert_ok(kata_dataset_targets_as_numbers(data.train));
    for (int i = 0; i < 4; i++) {
        assert_true(((float *)data.train->targets[0].data)[i] == (float)offset[i]);
    }
    kata_data_close(&data);
    arrays[1].data = gap;
    put_npz(arrays, 2, true);
    assert_ok(open_npz(&data, NULL));
    assert_int_equal(data.train->n_classes, 9);
    assert_int_equal(((int64_t *)data.train->targets[0].data)[0], 7);
    kata_data_close(&data);
    arrays[1].data = single;
    put_npz(arrays, 2, true);
    assert_ok(open_npz(&data, NULL));
    assert_int_equal(data.train->n_classes, 6);
    kata_data_close(&data);
}

static void test_refusals(void **state) {
    (void)state;
    static const int64_t negative[4] = {0, -1, 2, 3}, large[4] = {0, 70000, 2, 3};
    const struct array x = {"x_train.npy", "|u1", "(4, 5, 6)", pixels, 120};
    const struct array y = {"y_train.npy", "|u1", "(4,)", small_labels, 4};
    const struct {
        struct array arrays[4];
        int n;
        kata_status status;
        const char *part;
    } cases[] = {
        {{x}, 1, KATA_NOT_FOUND, "the array y_train is missing; the file has x_train.npy"},
        {{y}, 1, KATA_NOT_FOUND, "the array x_train is missing; the file has y_train.npy"},
        {{x, {"y_train.npy", "|u1", "(3,)", small_labels, 3}},
         2,
         KATA_SHAPE,
         "x_train has 4 samples, but y_train has 3"},
        {{x, {"y_train.npy", "<i8", "(4,)", negative, 32}},
         2,
         KATA_FORMAT,
         "y_train: sample 1 has the label -1; whole numbers are classes"},
        {{x, {"y_train.npy", "<i8", "(4,)", large, 32}}, 2, KATA_FORMAT, "the label 70000"},
        {{x, y, x}, 3, KATA_FORMAT, "there are two arrays for x_train"},
        {{x, y, {"x_test.npy", "|u1", "(2, 5, 6)", pixels, 60}},
         3,
         KATA_NOT_FOUND,
         "the array y_test is missing"},
        {{x,
          y,
          {"x_test.npy", "|u1", "(2, 6, 5)", pixels, 60},
          {"y_test.npy", "|u1", "(2,)", small_labels, 2}},
         4,
         KATA_SHAPE,
         "x_train is uint8 of shape (4,1,5,6), but x_test is uint8 of shape (2,1,6,5)"},
        {{{"x_train.npy", "|u1", "(0, 5, 6)", pixels, 0}, y}, 2, KATA_SHAPE, "holds no samples"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_npz(cases[i].arrays, cases[i].n, true);
        kata_data data = {.train = NULL};
        assert_failure(open_npz(&data, NULL), cases[i].status, cases[i].part);
        assert_non_null(strstr(kata_error_message(), "/set.npz: "));
        assert_null(data.train);
    }
    kata_data data;
    file_put("set.npz", "no", 2);
    assert_failure(open_npz(&data, NULL), KATA_FORMAT, "set.npz: not a zip file: it has 2 bytes");
}

static void test_allocations(void **state) {
    (void)state;
    const struct array arrays[] = {{"x_train.npy", "|u1", "(4, 5, 6, 3)", pixels, 360},
                                   {"y_train.npy", "|u1", "(4,)", small_labels, 4},
                                   {"x_test.npy", "|u1", "(2, 5, 6, 3)", pixels, 180},
                                   {"y_test.npy", "|u1", "(2,)", small_labels, 2}};
    put_npz(arrays, 4, true);
    kata_test_allocator counting;
    kata_test_allocator_init(&counting);
    kata_context *own = kata_test_context(&counting, 1);
    int64_t live = counting.n_live;
    kata_data_options options = {.limit_train = 2};
    for (int64_t k = 1;; k++) {
        kata_test_allocator_reset(&counting, k);
        kata_data data = {.train = NULL};
        kata_status status = kata_data_open(&data, own, in_folder("set.npz"), &options);
        bool reached = counting.n_calls >= k;
        kata_data_close(&data);
        assert_int_equal(counting.n_live, live);
        if (!reached) {
            assert_int_equal(status, KATA_OK);
            break;
        }
        assert_int_equal(status, KATA_OUT_OF_MEMORY);
    }
    kata_context_free(own);
}

static int setup(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof pixels; i++) {
        pixels[i] = (uint8_t)(i * 7);
    }
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
        TEST(test_zip),      TEST(test_zip_refusals),  TEST(test_zip_damage),
        TEST(test_keras),    TEST(test_colour),        TEST(test_numbers),
        TEST(test_names),    TEST(test_channels_last), TEST(test_label_offset),
        TEST(test_refusals), TEST(test_allocations),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
