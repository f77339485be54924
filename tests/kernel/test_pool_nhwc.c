/* Channels-last pooling and its gradients against plain loops, for every instruction set; the same
 * bits for every number of threads. */
#include "kernel/conv_nhwc.h"
#include "kernel/guarded.h"

/* What pooling should give, in double. */
struct expected {
    double *y, *dx;
    uint8_t *index;
};

/* The flat place in x of tap t of output pixel i (of all images), channel 0; -1 outside. */
static int64_t tap_place(const kata__conv *g, int64_t i, int64_t t) {
    const int64_t n = i / (g->oh * g->ow), oy = i / g->ow % g->oh, ox = i % g->ow;
    const int64_t y = oy * g->stride_h + t / g->kw * g->dilation_h - g->pad_top;
    const int64_t x = ox * g->stride_w + t % g->kw * g->dilation_w - g->pad_left;
    return y < 0 || y >= g->h || x < 0 || x >= g->w ? -1 : ((n * g->h + y) * g->w + x) * g->c;
}

static void reference_max(const kata__conv *g, const float *x, const float *dy,
                          const struct expected *e) {
    memset(e->dx, 0, (size_t)(g->n * g->c * g->h * g->w) * sizeof(double));
    for (int64_t i = 0; i < g->n * g->oh * g->ow; i++) {
        for (int64_t c = 0; c < g->c; c++) {
            double best = -INFINITY;
            int64_t place = -1, tap = KATA__POOL_NONE;
            for (int64_t t = 0; t < g->kh * g->kw; t++) {
                const int64_t at = tap_place(g, i, t);
                if (at >= 0 &&
                    (place < 0 || (double)x[at + c] > best || (isnan(x[at + c]) && !isnan(best)))) {
                    best = (double)x[at + c];
                    place = at + c;
                    tap = t;
                }
            }
            e->y[i * g->c + c] = best;
            e->index[i * g->c + c] = (uint8_t)tap;
            if (place >= 0) {
                e->dx[place] += (double)dy[i * g->c + c];
            }
        }
    }
}

static void reference_average(const kata__conv *g, bool include, const float *x, const float *dy,
                              const struct expected *e) {
    memset(e->dx, 0, (size_t)(g->n * g->c * g->h * g->w) * sizeof(double));
    for (int64_t i = 0; i < g->n * g->oh * g->ow; i++) {
        int64_t inside = 0;
        for (int64_t t = 0; t < g->kh * g->kw; t++) {
            inside += tap_place(g, i, t) >= 0;
        }
        const double count = include ? (double)(g->kh * g->kw) : (double)inside;
        for (int64_t c = 0; c < g->c; c++) {
            double sum = 0;
            for (int64_t t = 0; t < g->kh * g->kw; t++) {
                const int64_t at = tap_place(g, i, t);
                if (at >= 0) {
                    sum += (double)x[at + c];
                    e->dx[at + c] += (double)dy[i * g->c + c] / count;
                }
            }
            e->y[i * g->c + c] = count > 0 ? sum / count : 0;
        }
    }
}

/* One context's results; y and dx are compared with those of the first number of threads. */
static void check_context(kata_context *context, const kata__conv *g, int way, const float *x,
                          const float *dy, const struct expected *e, guarded first[2]) {
    const int64_t x_count = g->n * g->c * g->h * g->w, y_count = g->n * g->c * g->oh * g->ow;
    const guarded y = guarded_new((size_t)y_count * sizeof(float));
    const guarded dx = guarded_new((size_t)x_count * sizeof(float));
    if (way == 0) {
        const guarded index = guarded_new((size_t)y_count);
        kata__max_pool_nhwc(context, g, x, y.data, NULL);
        reference_compare("max pool without index", KATA_F32, y.data, e->y, y_count, 0);
        memset(y.data, 0xA5, (size_t)y_count * sizeof(float));
        kata__max_pool_nhwc(context, g, x, y.data, index.data);
        reference_compare("max pool", KATA_F32, y.data, e->y, y_count, 0);
        assert_memory_equal(index.data, e->index, (size_t)y_count);
        kata__max_pool_nhwc_gradient(context, g, dy, index.data, dx.data);
        reference_compare("max pool gradient", KATA_F32, dx.data, e->dx, x_count, 1e-6);
        guarded_free(index);
    } else {
        kata__average_pool_nhwc(context, g, way == 2, x, y.data);
        reference_compare("average pool", KATA_F32, y.data, e->y, y_count, 1e-5);
        kata__average_pool_nhwc_gradient(context, g, way == 2, dy, dx.data);
        reference_compare("average pool gradient", KATA_F32, dx.data, e->dx, x_count, 1e-5);
    }
    if (first[0].data) {
        assert_memory_equal(y.data, first[0].data, (size_t)y_count * sizeof(float));
        assert_memory_equal(dx.data, first[1].data, (size_t)x_count * sizeof(float));
        guarded_free(y);
        guarded_free(dx);
    } else {
        first[0] = y;
        first[1] = dx;
    }
}

/* Every n-th number a NaN, of either sign; 0: none. */
static void check(const kata__conv *g, bool ties, int64_t nans) {
    const int64_t x_count = g->n * g->c * g->h * g->w, y_count = g->n * g->c * g->oh * g->ow;
    const guarded x = guarded_numbers(x_count), dy = guarded_numbers(y_count);
    for (int64_t i = 0; ties && i < x_count; i++) { /* equal maxima: the first one counts */
        float *at = (float *)x.data + i;
        *at = floorf(3 * *at);
    }
    for (int64_t i = 0; nans > 0 && i < x_count; i++) {
        if (reference_bits() % (uint32_t)nans == 0) {
            ((float *)x.data)[i] = i % 2 ? NAN : -NAN;
        }
    }
    const struct expected e = {reference_buffer((size_t)y_count * sizeof(double)),
                               reference_buffer((size_t)x_count * sizeof(double)),
                               reference_buffer((size_t)y_count)};
    for (int way = 0; way < 3; way++) {
        if (way == 0) {
            reference_max(g, x.data, dy.data, &e);
        } else {
            reference_average(g, way == 2, x.data, dy.data, &e);
        }
        for (int level = 0; level < REFERENCE_LEVELS; level++) {
            guarded first[2] = {{0}, {0}};
            for (int t = 0; t < REFERENCE_THREADS; t++) {
                kata_context *context = reference_contexts[level][t];
                if (context) {
                    check_context(context, g, way, x.data, dy.data, &e, first);
                }
            }
            if (first[0].data) {
                guarded_free(first[0]);
                guarded_free(first[1]);
            }
        }
    }
    guarded_free(x);
    guarded_free(dy);
    free(e.y);
    free(e.dx);
    free(e.index);
}

static bool close_shape(kata__conv *g, int64_t pad_bottom, int64_t pad_right) {
    const int64_t y = g->h + g->pad_top + pad_bottom - (g->kh - 1) * g->dilation_h - 1;
    const int64_t x = g->w + g->pad_left + pad_right - (g->kw - 1) * g->dilation_w - 1;
    g->oh = y >= 0 ? y / g->stride_h + 1 : 0;
    g->ow = x >= 0 ? x / g->stride_w + 1 : 0;
    return g->oh > 0 && g->ow > 0;
}

static void test_random(void **state) {
    (void)state;
    for (int round = 0; round < 300;) {
        kata__conv g = {.n = reference_range(0, 3),
                        .c = reference_range(1, 40),
                        .h = reference_range(1, 16),
                        .w = reference_range(1, 20),
                        .kh = reference_range(1, 4),
                        .kw = reference_range(1, 4),
                        .stride_h = reference_range(1, 4),
                        .stride_w = reference_range(1, 4),
                        .dilation_h = reference_bits() % 3 ? 1 : 2,
                        .dilation_w = reference_bits() % 3 ? 1 : 2,
                        .groups = 1};
        g.f = g.c;
        g.pad_top = reference_range(0, g.kh); /* up to a window that is padding alone */
        g.pad_left = reference_range(0, g.kw);
        if (!close_shape(&g, reference_range(0, g.kh), reference_range(0, g.kw))) {
            continue;
        }
        check(&g, reference_bits() % 2, reference_bits() % 4 ? 0 : reference_range(2, 50));
        round++;
    }
}

/* The usual ones, large enough for several chunks; 2x2 has loops of its own; odd sizes; a window
 * over the whole input. */
static void test_usual(void **state) {
    (void)state;
    static const int64_t shapes[][7] = {
        /* n, c, h, w, kernel, stride, pad */
        {9, 30, 24, 24, 2, 2, 0}, {5, 16, 29, 27, 2, 2, 0}, {3, 64, 31, 30, 3, 2, 1},
        {3, 5, 30, 31, 3, 1, 1},  {7, 100, 7, 7, 7, 1, 0},  {4, 67, 15, 15, 15, 15, 0},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int64_t *s = shapes[i];
        kata__conv g = {.n = s[0],
                        .c = s[1],
                        .h = s[2],
                        .w = s[3],
                        .f = s[1],
                        .kh = s[4],
                        .kw = s[4],
                        .stride_h = s[5],
                        .stride_w = s[5],
                        .dilation_h = 1,
                        .dilation_w = 1,
                        .pad_top = s[6],
                        .pad_left = s[6],
                        .groups = 1};
        close_shape(&g, s[6], s[6]);
        check(&g, false, 0);
        check(&g, true, 0);
        check(&g, true, 9);
        check(&g, false, 100);
    }
}

/* The first NaN of a window is its maximum; windows whose index says that no element gets a
 * gradient give none. */
static void test_special(void **state) {
    (void)state;
    const kata__conv g = {.n = 1,
                          .c = 3,
                          .h = 2,
                          .w = 2,
                          .f = 3,
                          .kh = 2,
                          .kw = 2,
                          .oh = 1,
                          .ow = 1,
                          .stride_h = 2,
                          .stride_w = 2,
                          .dilation_h = 1,
                          .dilation_w = 1,
                          .groups = 1};
    const float x[12] = {NAN, 1, -INFINITY, 2, NAN, -INFINITY, 3, 0, -INFINITY, 4, 5, -INFINITY};
    const float dy[3] = {1, INFINITY, 2};
    const uint8_t none[3] = {KATA__POOL_NONE, KATA__POOL_NONE, 2};
    for (int level = 0; level < REFERENCE_LEVELS; level++) {
        kata_context *context = reference_contexts[level][0];
        if (!context) {
            continue;
        }
        float y[3], dx[12];
        uint8_t index[3];
        kata__max_pool_nhwc(context, &g, x, y, index);
        assert_true(isnan(y[0]) && index[0] == 0);
        assert_true(isnan(y[1]) && index[1] == 1);
        assert_true(y[2] == -INFINITY && index[2] == 0);
        kata__max_pool_nhwc_gradient(context, &g, dy, none, dx);
        for (int i = 0; i < 12; i++) {
            assert_true(dx[i] == (i == 2 * 3 + 2 ? 2.0f : 0.0f));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_usual),
        cmocka_unit_test(test_special),
    };
    return cmocka_run_group_tests(tests, reference_setup, reference_teardown);
}
