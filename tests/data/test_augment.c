/* Batches and augmentation: what is written where, that it depends on (seed, epoch, sample) alone,
 * and that each change does what it says. */
#include "data/files.h"
#include "data/data.h"
#include "data/digits.h"
#include "support/counting_allocator.h"

#include <math.h>

enum { N = 40, SIDE = 28, PIXELS = SIDE * SIDE };

static kata_test_allocator counting;
static kata_context *context;

static kata_dataset *pictures(kata_context *of, int channels, int height, int width) {
    kata_dataset *set = NULL;
    kata_shape shape = KATA_SHAPE_OF(N, channels, height, width), flat = KATA_SHAPE_OF(N);
    kata_tensor x, y;
    assert_ok(kata_tensor_new(&x, of, KATA_U8, &shape));
    assert_ok(kata_tensor_new(&y, of, KATA_I64, &flat));
    for (int64_t i = 0; i < kata_tensor_count(&x); i++) {
        ((uint8_t *)x.data)[i] = (uint8_t)(i * 31 % 251 + 1);
    }
    for (int i = 0; i < N; i++) {
        ((int64_t *)y.data)[i] = i % 5;
    }
    assert_ok(kata_dataset_new(&set, of, "pictures"));
    assert_ok(kata_dataset_add_input(set, &x));
    assert_ok(kata_dataset_add_target(set, &y));
    assert_ok(kata_dataset_set_classes(set, 5, NULL));
    kata_tensor_release(&x);
    kata_tensor_release(&y);
    return set;
}

static kata_dataset *digits(kata_context *of) {
    kata_dataset *set = pictures(of, 1, SIDE, SIDE);
    for (int i = 0; i < N; i++) {
        kata__digits_draw(1, (uint64_t)i, (uint8_t *)set->inputs[0].data + i * PIXELS);
    }
    return set;
}

static void test_plain(void **state) {
    (void)state;
    kata_dataset *set = pictures(context, 2, 3, 5);
    static float floats[N * 30];
    static uint8_t bytes[N * 30];
    static double doubles[N * 30];
    kata_shape shape = KATA_SHAPE_OF(7, 30), whole = KATA_SHAPE_OF(7, 2, 3, 5);
    kata_tensor f = kata_tensor_view(floats, KATA_F32, &shape);
    kata_tensor b = kata_tensor_view(bytes, KATA_U8, &whole);
    kata_tensor d = kata_tensor_view(doubles, KATA_F64, &whole);
    const uint8_t *x = set->inputs[0].data;
    int64_t order[N];
    for (int i = 0; i < N; i++) {
        order[i] = (i * 7 + 3) % N;
    }
    kata__batch_input(set, 0, order, 11, 7, NULL, 0, 0, 1, &f);
    kata__batch_input(set, 0, order, 11, 7, NULL, 0, 0, 1, &b);
    kata__batch_input(set, 0, NULL, 11, 7, NULL, 0, 0, 1, &d);
    for (int i = 0; i < 7 * 30; i++) {
        int64_t sample = order[11 + i / 30];
        assert_true(floats[i] == x[sample * 30 + i % 30]);
        assert_int_equal(bytes[i], x[sample * 30 + i % 30]);
        assert_true(doubles[i] == x[11 * 30 + i]);
    }
    int64_t labels[7];
    float one_hot[35];
    kata_shape flat = KATA_SHAPE_OF(7), classes = KATA_SHAPE_OF(7, 5);
    kata_tensor l = kata_tensor_view(labels, KATA_I64, &flat);
    kata_tensor h = kata_tensor_view(one_hot, KATA_F32, &classes);
    kata__batch_target(set, 0, order, 11, 7, &l);
    kata__batch_target(set, 0, NULL, 11, 7, &h);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(labels[i], order[11 + i] % 5);
        for (int k = 0; k < 5; k++) {
            assert_true(one_hot[i * 5 + k] == (k == (11 + i) % 5));
        }
    }
    kata_dataset_free(set);
}

static const kata_augment everything = {.shift = 2,
                                        .rotate = 15,
                                        .scale = 0.1,
                                        .shear = 0.1,
                                        .elastic = 1.5,
                                        .flip = true,
                                        .crop = 2,
                                        .brightness = 0.2,
                                        .cut_out = 5};

static void batch(float *out, const kata_dataset *set, const kata_augment *augment,
                  const int64_t *order, int64_t first, int64_t n, uint64_t seed, uint64_t epoch) {
    kata_shape shape = set->inputs[0].shape;
    shape.dim[0] = n;
    kata_tensor view = kata_tensor_view(out, KATA_F32, &shape);
    kata__batch_input(set, 0, order, first, n, augment, seed, epoch, 1, &view);
}

/* Neither the order, nor the batch, nor the threads change a sample; seed and epoch do. */
static void test_function_of_sample(void **state) {
    (void)state;
    static float whole[N * PIXELS], part[N * PIXELS];
    kata_dataset *set = digits(context);
    batch(whole, set, &everything, NULL, 0, N, 3, 4);
    int64_t order[3] = {17, 2, 39};
    batch(part, set, &everything, order, 0, 3, 3, 4);
    for (int i = 0; i < 3; i++) {
        assert_memory_equal(part + i * PIXELS, whole + order[i] * PIXELS, PIXELS * sizeof *part);
    }
    batch(part, set, &everything, NULL, 0, N, 3, 5);
    assert_memory_not_equal(part, whole, sizeof part);
    batch(part, set, &everything, NULL, 0, N, 2, 4);
    assert_memory_not_equal(part, whole, sizeof part);
    kata_dataset_free(set);
    for (int threads = 1; threads <= 4; threads++) {
        kata_context *own;
        assert_ok(kata_context_new(&own, &(kata_context_options){.threads = threads}));
        set = digits(own);
        batch(part, set, &everything, NULL, 0, N, 3, 4);
        assert_memory_equal(part, whole, sizeof part);
        kata_dataset_free(set);
        kata_context_free(own);
    }
}

static void test_no_allocation(void **state) {
    (void)state;
    static float out[N * PIXELS];
    kata_dataset *set = digits(context);
    kata_test_allocator_reset(&counting, 0);
    batch(out, set, &everything, NULL, 0, N, 3, 4);
    batch(out, set, NULL, NULL, 0, N, 3, 4);
    assert_int_equal(counting.n_calls, 0);
    kata_dataset_free(set);
}

/* All zero: the picture itself, to the bit; and a float picture changes as the byte one does. */
static void test_identity_and_types(void **state) {
    (void)state;
    static float a[N * PIXELS], b[N * PIXELS];
    kata_dataset *set = digits(context), *floats;
    kata_augment none = {.shift = 0};
    batch(a, set, &none, NULL, 0, N, 1, 1);
    batch(b, set, NULL, NULL, 0, N, 1, 1);
    assert_memory_equal(a, b, sizeof a);
    kata_tensor view = kata_tensor_view(b, KATA_F32, &set->inputs[0].shape);
    assert_ok(kata_dataset_new(&floats, context, "floats"));
    assert_ok(kata_dataset_add_input(floats, &view));
    kata_augment warp = everything;
    warp.brightness = 0;
    batch(a, set, &warp, NULL, 0, N, 1, 1);
    batch(b, floats, &warp, NULL, 0, N, 1, 1);
    assert_memory_equal(a, b, sizeof a);
    kata_dataset_free(floats);
    kata_dataset_free(set);
}

static void test_flip_and_crop(void **state) {
    (void)state;
    static float out[N * 2 * 6 * 9];
    kata_dataset *set = pictures(context, 2, 6, 9);
    const uint8_t *x = set->inputs[0].data;
    kata_augment flip = {.flip = true}, crop = {.crop = 3};
    int flipped = 0;
    batch(out, set, &flip, NULL, 0, N, 1, 1);
    for (int i = 0; i < N; i++) {
        bool is = out[i * 108] != x[i * 108];
        flipped += is;
        for (int k = 0; k < 108; k++) {
            int from = is ? k / 9 * 9 + 8 - k % 9 : k;
            assert_true(out[i * 108 + k] == x[i * 108 + from]);
        }
    }
    assert_true(flipped > 8 && flipped < 32);
    /* One offset each sample of both channels, between -3 and 3, zeros around. */
    bool seen[7] = {false};
    batch(out, set, &crop, NULL, 0, N, 1, 1);
    for (int i = 0; i < N; i++) {
        int matches = 0;
        for (int dy = -3; dy <= 3; dy++) {
            for (int dx = -3; dx <= 3; dx++) {
                bool same = true;
                for (int k = 0; same && k < 108; k++) {
                    int v = k / 9 % 6 + dy, u = k % 9 + dx;
                    float expected = v >= 0 && v < 6 && u >= 0 && u < 9
                                         ? x[i * 108 + k / 54 * 54 + v * 9 + u]
                                         : 0;
                    same = out[i * 108 + k] == expected;
                }
                matches += same;
                seen[dx + 3] |= same;
            }
        }
        assert_int_equal(matches, 1);
    }
    assert_true(seen[0] && seen[3] && seen[6]);
    kata_dataset_free(set);
}

static void test_brightness_and_cut_out(void **state) {
    (void)state;
    static float out[N * 10 * 12];
    kata_dataset *set = pictures(context, 1, 10, 12);
    const uint8_t *x = set->inputs[0].data;
    kata_augment bright = {.brightness = 0.5}, cut = {.cut_out = 4};
    float least = 9, most = 0;
    batch(out, set, &bright, NULL, 0, N, 1, 1);
    for (int i = 0; i < N; i++) {
        float factor = out[i * 120] / x[i * 120]; /* the first pixels are small: not limited */
        for (int k = 0; k < 120; k++) {
            float expected = fminf(x[i * 120 + k] * factor, 255);
            if (x[i * 120] * 1.5f < 255) {
                assert_true(fabsf(out[i * 120 + k] - expected) < 0.01f);
            }
            assert_true(out[i * 120 + k] <= 255);
        }
        least = fminf(least, factor);
        most = fmaxf(most, factor);
    }
    assert_true(least >= 0.5f && least < 0.65f && most <= 1.5f && most > 1.3f);
    batch(out, set, &cut, NULL, 0, N, 1, 1);
    int zeros = 0;
    for (int i = 0; i < N; i++) {
        int here = 0;
        for (int k = 0; k < 120; k++) {
            assert_true(out[i * 120 + k] == 0 || out[i * 120 + k] == x[i * 120 + k]);
            here += out[i * 120 + k] == 0;
        }
        assert_true(here >= 4 && here <= 16);
        zeros += here;
    }
    assert_true(zeros > N * 8);
    kata_dataset_free(set);
}

static void centre_of_mass(double *x, double *y, double *mass, const float *image) {
    *x = *y = *mass = 0;
    for (int k = 0; k < PIXELS; k++) {
        *mass += (double)image[k];
        *x += (double)image[k] * (k % SIDE);
        *y += (double)image[k] * (k / SIDE);
    }
    *x /= *mass;
    *y /= *mass;
}

/* A shift moves the centre of mass by as much, each way, and keeps the mass; a scale changes the
 * mass by its square; the bounds hold. */
static void test_affine(void **state) {
    (void)state;
    static float plain[N * PIXELS], out[N * PIXELS];
    kata_dataset *set = digits(context);
    batch(plain, set, NULL, NULL, 0, N, 1, 1);
    double least = 9, most = -9;
    for (int kind = 0; kind < 3; kind++) {
        kata_augment augment = {
            .shift = kind == 0 ? 2 : 0, .rotate = kind == 1 ? 20 : 0, .scale = kind == 2 ? 0.2 : 0};
        batch(out, set, &augment, NULL, 0, N, 1, 1);
        for (int i = 0; i < N; i++) {
            double x0, y0, m0, x1, y1, m1;
            centre_of_mass(&x0, &y0, &m0, plain + i * PIXELS);
            centre_of_mass(&x1, &y1, &m1, out + i * PIXELS);
            if (kind == 0) {
                assert_true(fabs(m1 / m0 - 1) < 0.1);
                assert_true(fabs(x1 - x0) < 2.2 && fabs(y1 - y0) < 2.2);
                least = fmin(least, x1 - x0);
                most = fmax(most, x1 - x0);
            } else if (kind == 1) {
                assert_true(fabs(m1 / m0 - 1) < 0.05);
                assert_true(fabs(x1 - x0) < 0.6 && fabs(y1 - y0) < 0.6);
            } else {
                assert_true(m1 / m0 > 0.6 && m1 / m0 < 1.5);
            }
        }
    }
    assert_true(least < -1.3 && most > 1.3);
    kata_dataset_free(set);
}

/* The displacement: its spread is what was asked for. Measured on ramps, whose values are the
 * coordinates of where they are read. */
static void test_elastic_amplitude(void **state) {
    (void)state;
    enum { WIDTH = 64 };
    static float ramp[N * 2 * WIDTH * WIDTH], out[N * 2 * WIDTH * WIDTH];
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < WIDTH * WIDTH; k++) {
            ramp[(i * 2) * WIDTH * WIDTH + k] = (float)(k % WIDTH);
            ramp[(i * 2 + 1) * WIDTH * WIDTH + k] = (float)(k / WIDTH);
        }
    }
    kata_dataset *set;
    kata_shape shape = KATA_SHAPE_OF(N, 2, WIDTH, WIDTH);
    kata_tensor view = kata_tensor_view(ramp, KATA_F32, &shape);
    assert_ok(kata_dataset_new(&set, context, "ramps"));
    assert_ok(kata_dataset_add_input(set, &view));
    kata_augment augment = {.elastic = 1.5, .elastic_sigma = 4};
    batch(out, set, &augment, NULL, 0, N, 1, 1);
    double sum = 0, square = 0, rough = 0;
    int64_t n = 0;
    for (int i = 0; i < 2 * N; i++) {
        for (int y = 10; y < WIDTH - 10; y++) {
            for (int x = 10; x < WIDTH - 10; x++) {
                int64_t at = (int64_t)i * WIDTH * WIDTH + y * WIDTH + x;
                double d = (double)out[at] - (double)ramp[at];
                double right = (double)out[at + 1] - (double)ramp[at + 1];
                sum += d;
                square += d * d;
                rough += (right - d) * (right - d);
                n++;
            }
        }
    }
    assert_true(fabs(sum / (double)n) < 0.15);
    assert_true(fabs(sqrt(square / (double)n) - 1.5) < 0.1);
    /* Smooth: neighbours move together. Noise blurred by a Gaussian of sigma differs from one pixel
     * to the next by amplitude / (sqrt(2) sigma). */
    assert_true(fabs(sqrt(rough / (double)n) - 1.5 / (sqrt(2.0) * 4)) < 0.05);
    kata_dataset_free(set);
}

/* Nothing that a project file can say makes it read or write outside. */
static void test_extremes(void **state) {
    (void)state;
    static float out[N * 3 * 5 * 70];
    kata_dataset *set = pictures(context, 3, 5, 70);
    static const kata_augment cases[] = {
        {.shift = 1e30},
        {.shift = INFINITY},
        {.rotate = NAN},
        {.scale = 5},
        {.scale = -3},
        {.shear = 1e20},
        {.elastic = 1e10},
        {.elastic = 3, .elastic_sigma = 1e-9},
        {.elastic = 3, .elastic_sigma = 1e9},
        {.crop = 100},
        {.crop = 2147483647},
        {.cut_out = 2147483647},
        {.brightness = 1e30},
        {.brightness = NAN},
        {.crop = -4},
        {.shift = 3, .crop = 69, .flip = true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        batch(out, set, &cases[i], NULL, 0, N, 1, i);
    }
    kata_dataset_free(set);
}

static int setup(void **state) {
    (void)state;
    kata_test_allocator_init(&counting);
    context = kata_test_context(&counting, 2);
    return context != NULL ? 0 : 1;
}

static int teardown(void **state) {
    (void)state;
    kata_context_free(context);
    return counting.n_live == 0 ? 0 : 1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),         cmocka_unit_test(test_function_of_sample),
        cmocka_unit_test(test_no_allocation), cmocka_unit_test(test_identity_and_types),
        cmocka_unit_test(test_flip_and_crop), cmocka_unit_test(test_brightness_and_cut_out),
        cmocka_unit_test(test_affine),        cmocka_unit_test(test_elastic_amplitude),
        cmocka_unit_test(test_extremes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
