/* Augmented batches, splits and resized pictures, bit for bit, against hashes
 * that are written down: whoever changes a constant, the order of a sum or of
 * the draws sees it here. They are sums in float32 and float64 without
 * contraction, the same for every compiler on x86-64. After a change that is
 * meant, take over the numbers that the failing test prints, and say why in the
 * commit. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <kata/data.h>

#include "data/data.h"
#include "support/assert_ok.h"

enum { N = 12 };

static uint64_t fnv1a(uint64_t hash, const void *data, size_t n_bytes) {
    const uint8_t *bytes = data;
    for (size_t i = 0; i < n_bytes; i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
    }
    return hash;
}

static const uint64_t first_hash = UINT64_C(14695981039346656037);

static void assert_hash(const char *what, int i, uint64_t hash, uint64_t expected) {
#if defined(__x86_64__)
    if (hash != expected) {
        print_error("%s %d: 0x%016" PRIx64 ", written down is 0x%016" PRIx64 "\n", what, i, hash,
                    expected);
        fail();
    }
#else
    print_message("%s %d is not compared: the hashes are of x86-64\n", what, i);
#endif
}

/* Pictures of N samples, bytes or float32, with edges in them; labels i % 3. */
static kata_dataset *pictures(kata_dtype dtype, int64_t channels, int64_t height, int64_t width) {
    kata_context *context = kata_context_default();
    kata_tensor x, t;
    kata_dataset *data;
    assert_ok(kata_tensor_new(&x, context, dtype, &KATA_SHAPE_OF(N, channels, height, width)));
    for (int64_t i = 0; i < kata_tensor_count(&x); i++) {
        int64_t row = i / width % height, column = i % width;
        double ink = (double)((row * 7 + column * 13 + i / (width * height) * 29) % 64) +
                     (row / 5 % 2 == column / 6 % 2 ? 150 : 0);
        kata_store(dtype, x.data, i, dtype == KATA_U8 ? ink : ink / 256);
    }
    assert_ok(kata_tensor_new(&t, context, KATA_I64, &KATA_SHAPE_OF(N)));
    for (int i = 0; i < N; i++) {
        kata_store(KATA_I64, t.data, i, i % 3);
    }
    assert_ok(kata_dataset_new(&data, context, "pictures"));
    assert_ok(kata_dataset_add_input(data, &x));
    assert_ok(kata_dataset_add_target(data, &t));
    assert_ok(kata_dataset_set_classes(data, 3, NULL));
    kata_tensor_release(&x);
    kata_tensor_release(&t);
    return data;
}

static void test_augmented(void **state) {
    (void)state;
    static const kata_augment all = {.shift = 2,
                                     .rotate = 15,
                                     .scale = 0.1,
                                     .shear = 0.1,
                                     .elastic = 1.5,
                                     .flip = true,
                                     .crop = 2,
                                     .brightness = 0.2,
                                     .cut_out = 5};
    static const struct {
        kata_augment augment;
        kata_dtype from, to;
        int64_t channels, height, width;
        uint64_t hash;
    } cases[] = {
        {all, KATA_U8, KATA_F32, 1, 28, 28, 0x156a4c4fcbb10f09},
        {all, KATA_U8, KATA_U8, 1, 28, 28, 0xad7d4799df0ea373},
        {all, KATA_F32, KATA_F32, 3, 37, 70, 0x7e0179a004b7d392}, /* a row of more than a piece */
        {all, KATA_F32, KATA_U8, 1, 5, 3, 0x898efda51d5748b0},
        {{.shift = 3}, KATA_U8, KATA_F32, 1, 20, 31, 0x69097bd7dc33c8b9},
        {{.rotate = 30}, KATA_U8, KATA_F32, 2, 20, 31, 0x669afc234de0c8cc},
        {{.scale = 0.3}, KATA_U8, KATA_F32, 1, 20, 31, 0xcbb77979f8e5ae5f},
        {{.shear = 0.3}, KATA_U8, KATA_F32, 1, 20, 31, 0x201174d84d00240d},
        {{.elastic = 3}, KATA_U8, KATA_F32, 1, 20, 31, 0xb85f705b5aa5a411},
        {{.elastic = 2, .elastic_sigma = 2}, KATA_U8, KATA_F32, 1, 31, 20, 0x733e661312a0472e},
        {{.flip = true}, KATA_U8, KATA_U8, 3, 4, 9, 0x1156eaa737ade2ed},
        {{.crop = 4}, KATA_U8, KATA_F32, 2, 9, 66, 0xb63be649d86ee747},
        {{.brightness = 0.9}, KATA_U8, KATA_F32, 1, 9, 9, 0x6f3f857b25358874},
        {{.brightness = 0.9}, KATA_F32, KATA_F32, 1, 9, 9, 0xfb224a6a7891c4f9},
        {{.cut_out = 4}, KATA_U8, KATA_F32, 1, 9, 70, 0xc3de075ab8c5d9ae},
        {{.flip = false}, KATA_U8, KATA_F32, 1, 9, 9, 0x22fe11c04a376287},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kata_dataset *data =
            pictures(cases[i].from, cases[i].channels, cases[i].height, cases[i].width);
        kata_tensor out;
        uint64_t hash = first_hash;
        assert_ok(
            kata_tensor_new(&out, kata_context_default(), cases[i].to, &data->inputs[0].shape));
        for (uint64_t epoch = 0; epoch < 3; epoch++) {
            kata__batch_input(data, 0, NULL, 0, N, &cases[i].augment, 5, epoch,
                              cases[i].to == KATA_F32 ? 0.5 : 1, &out);
            hash = fnv1a(hash, out.data, kata_tensor_bytes(&out));
        }
        kata_tensor_release(&out);
        kata_dataset_free(data);
        assert_hash("augmented", (int)i, hash, cases[i].hash);
    }
}

static void test_split(void **state) {
    (void)state;
    static const struct {
        double fraction;
        bool stratified;
        uint64_t hash;
    } cases[] = {{0.25, false, 0x3ffe93156ffe215d},
                 {0.25, true, 0x5f0ca4848da536ae},
                 {0.5, true, 0xa74e8923172bc1cd},
                 {0.1, false, 0xa598608af393283c}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kata_dataset *data = pictures(KATA_U8, 1, 4, 4), *first, *second;
        assert_ok(
            kata_dataset_split(&first, &second, data, cases[i].fraction, 3, cases[i].stratified));
        uint64_t hash =
            fnv1a(first_hash, first->inputs[0].data, kata_tensor_bytes(&first->inputs[0]));
        hash = fnv1a(hash, second->inputs[0].data, kata_tensor_bytes(&second->inputs[0]));
        hash = fnv1a(hash, second->targets[0].data, kata_tensor_bytes(&second->targets[0]));
        kata_dataset_free(first);
        kata_dataset_free(second);
        kata_dataset_free(data);
        assert_hash("split", (int)i, hash, cases[i].hash);
    }
}

static void test_resized(void **state) {
    (void)state;
    static const struct {
        int width, height, channels, to_channels, to_height, to_width;
        uint64_t hash;
    } cases[] = {
        {31, 17, 1, 1, 8, 8, 0x84a90f3572fb45a9},   {31, 17, 3, 3, 40, 50, 0xad5866c245c2d018},
        {7, 90, 3, 1, 28, 28, 0x98a1ba39010f8721},  {90, 7, 1, 3, 28, 28, 0x5b9f1d9c23ce9cfd},
        {28, 28, 1, 1, 28, 28, 0x70ab2ccdb31f3faf}, {1, 1, 3, 3, 5, 4, 0x8eda8112ebfdd9b1},
        {16, 16, 3, 3, 1, 1, 0xa32735196f09ec47},
    };
    static uint8_t pixels[90 * 90 * 3], out[3 * 50 * 50];
    for (size_t i = 0; i < sizeof pixels; i++) {
        pixels[i] = (uint8_t)(i * 37 % 251 + (i / 40 % 2 != 0 ? 4 : 0));
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kata_picture picture = {.width = cases[i].width,
                                .height = cases[i].height,
                                .channels = cases[i].channels,
                                .pixels = pixels,
                                .context = kata_context_default()};
        assert_ok(kata_picture_to_planes(&picture, cases[i].to_channels, cases[i].to_height,
                                         cases[i].to_width, out));
        assert_hash("resized", (int)i,
                    fnv1a(first_hash, out,
                          (size_t)(cases[i].to_channels * cases[i].to_height * cases[i].to_width)),
                    cases[i].hash);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_augmented),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_resized),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
