/* The real MNIST, found through KATA_DATA: what the book says of it (scratch-book-1 section 9), the
 * table of known sets, and digits recovered from pictures. Skipped, saying so, where KATA_DATA is
 * not set. */
#include "data/reader/pack.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "data/data.h"
#include "data/known.h"

#include <kata/readers.h>

#include <math.h>

static kata_context *context;
static char folder[1024];

static bool skipped(void) {
    if (folder[0] != '\0') {
        return false;
    }
    print_message("skipped: KATA_DATA is not set to a folder with mnist/\n");
    return true;
}

/* L2264-2267, L2686-2687, L2278, L2304, L2245-2246. */
static void test_book(void **state) {
    (void)state;
    if (skipped()) {
        skip();
    }
    static const int first[20] = {7, 2, 1, 0, 4, 1, 4, 9, 5, 9, 0, 6, 9, 0, 1, 5, 9, 7, 3, 4};
    kata_data data, raw;
    assert_ok(kata_data_load_mnist(&data, context, folder, NULL));
    kata_shape train = KATA_SHAPE_OF(60000, 784), test = KATA_SHAPE_OF(10000, 784);
    kata_shape train_labels = KATA_SHAPE_OF(60000), test_labels = KATA_SHAPE_OF(10000);
    assert_true(kata_shape_equal(&data.train->inputs[0].shape, &train)); /* L2264 */
    assert_true(kata_shape_equal(&data.train->targets[0].shape, &train_labels));
    assert_true(kata_shape_equal(&data.test->inputs[0].shape, &test));
    assert_true(kata_shape_equal(&data.test->targets[0].shape, &test_labels));
    assert_int_equal(((int64_t *)data.train->targets[0].data)[0], 5); /* L2304 */
    for (int i = 0; i < 20; i++) {                                    /* Fig 3-24, L2245 */
        assert_int_equal(((int64_t *)data.test->targets[0].data)[i], first[i]);
    }
    const float *x = data.train->inputs[0].data;
    float least = 1, most = 0;
    double sum = 0;
    for (int64_t i = 0; i < 60000 * 784; i++) {
        least = x[i] < least ? x[i] : least;
        most = x[i] > most ? x[i] : most;
        sum += (double)x[i];
    }
    assert_true(least == 0 && most == 1); /* L2278 */
    assert_true(fabs(sum / (60000.0 * 784) - 0.1306604) < 1e-6);
    kata_mnist_options options = {.raw = true, .keep_image = true, .one_hot = true};
    assert_ok(kata_data_load_mnist(&raw, context, folder, &options));
    kata_shape image = KATA_SHAPE_OF(60000, 1, 28, 28), one_hot = KATA_SHAPE_OF(60000, 10);
    assert_true(kata_shape_equal(&raw.train->inputs[0].shape, &image));    /* L2278 */
    assert_true(kata_shape_equal(&raw.train->targets[0].shape, &one_hot)); /* L2686 */
    for (int i = 0; i < 10; i++) {
        assert_true(((float *)raw.train->targets[0].data)[i] == (i == 5));
    }
    for (int i = 0; i < 7840; i++) {
        assert_true(((float *)raw.train->inputs[0].data)[i] / 255.0f == x[i]);
    }
    kata_data_close(&raw);
    kata_data_close(&data);
}

static void test_by_name(void **state) {
    (void)state;
    if (skipped()) {
        skip();
    }
    kata_data data, none;
    assert_ok(kata_data_open(&data, context, "mnist",
                             &(kata_data_options){.limit_train = 100, .limit_test = 50}));
    kata_shape shape = KATA_SHAPE_OF(100, 1, 28, 28);
    assert_true(kata_shape_equal(&data.train->inputs[0].shape, &shape));
    assert_int_equal(data.test->n, 50);
    assert_int_equal(data.train->n_classes, 10);
    kata_data_close(&data);
    assert_ok(kata_data_load_mnist(&none, context, NULL, NULL));
    assert_int_equal(none.train->n, 60000);
    kata_data_close(&none);
}

static void test_sums(void **state) {
    (void)state;
    if (skipped()) {
        skip();
    }
    const kata__known_set *set = kata__known_find("mnist");
    for (int i = 0; i < set->n_files; i++) {
        char path[1200], *packed, *data, text[KATA__SHA256_TEXT_SIZE];
        size_t n_packed, n;
        snprintf(path, sizeof path, "%s/%s", folder, set->files[i].name);
        assert_ok(kata__file_read(context, path, 1 << 28, &packed, &n_packed));
        assert_ok(kata__reader_hooks.gunzip(context, packed, n_packed, 1 << 28, &data, &n));
        assert_int_equal(n, set->files[i].n_bytes);
        assert_string_equal(kata__sha256_text(data, n, text), set->files[i].sha256);
        kata__free(context, packed);
        kata__free(context, data);
    }
}

/* A digit enlarged on white paper with a shadow, stored as JPEG, comes back as it was. */
static void test_recovers(void **state) {
    (void)state;
    if (skipped()) {
        skip();
    }
    kata_data data;
    assert_ok(kata_data_open(&data, context, "mnist", &(kata_data_options){.limit_test = 200}));
    double sum = 0, ink = 0;
    for (int i = 0; i < 200; i++) {
        const uint8_t *image = (const uint8_t *)data.test->inputs[0].data + 784 * i;
        int scale = 3 + i % 6, side = 28 * scale, width = side + 20 + i % 50, height = side + 60;
        int left = i % 20, top = i % 45;
        kata_picture small = {28, 28, 1, (uint8_t *)(uintptr_t)image, context}, picture;
        uint8_t *large = malloc((size_t)(side * side));
        uint8_t *page = malloc((size_t)(width * height) * 3);
        assert_ok(kata_picture_to_planes(&small, 1, side, side, large));
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                int u = x - left, v = y - top;
                double part =
                    u >= 0 && v >= 0 && u < side && v < side ? large[v * side + u] / 255.0 : 0;
                double light = 235 - 50.0 * x / width - 30.0 * y / height;
                for (int c = 0; c < 3; c++) {
                    page[3 * (y * width + x) + c] =
                        (uint8_t)(light * (1 - part) + (c == 2 ? 120 : 30) * part);
                }
            }
        }
        bytes file = {.data = NULL};
        pack_jpeg(&file, width, height, 3, page, i % 2 == 0, NULL, 0);
        assert_ok(kata_picture_decode(&picture, context, file.data, file.n));
        uint8_t found[784];
        assert_ok(kata_picture_to_digit(&picture, found));
        double least = 1e9;
        for (int shift = 0; shift < 9; shift++) { /* a rounded centre of mass may fall either way */
            double here = 0;
            for (int k = 0; k < 784; k++) {
                int u = k % 28 + shift % 3 - 1, v = k / 28 + shift / 3 - 1;
                int other = u >= 0 && v >= 0 && u < 28 && v < 28 ? found[v * 28 + u] : 0;
                here += abs(image[k] - other) / 784.0;
            }
            least = here < least ? here : least;
        }
        sum += least / 200;
        for (int k = 0; k < 784; k++) {
            ink += image[k] / (784.0 * 200);
        }
        kata_picture_free(&picture);
        bytes_free(&file);
        free(large);
        free(page);
    }
    print_message("mean difference %.2f of 255, mean ink %.2f\n", sum, ink);
    assert_true(sum < 9);
    kata_data_close(&data);
}

static int setup(void **state) {
    (void)state;
    const char *root = getenv("KATA_DATA");
    if (root != NULL && root[0] != '\0') {
        snprintf(folder, sizeof folder, "%s/mnist", root);
        if (!kata__directory_exists(folder)) {
            folder[0] = '\0';
        }
    }
    kata_readers_install();
    return kata_context_new(&context, NULL) == KATA_OK ? 0 : 1;
}

static int teardown(void **state) {
    (void)state;
    kata_context_free(context);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_book),
        cmocka_unit_test(test_by_name),
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_recovers),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
