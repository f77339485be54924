/* The gradient of an NHWC convolution by its weight against plain loops in double, for
 * every instruction set, with dy whole and with the gradient of a pooled output and its index; the
 * same bits for every number of threads. */
#include "kernel/conv_nhwc.h"
#include "kernel/guarded.h"

struct expected {
    double *dw, *db;
};

/* dy (n,oh,ow,f) in double. */
static void reference(const kata__conv *g, const float *x, const double *dy,
                      const struct expected *e) {
    const int64_t cg = g->c / g->groups, fg = g->f / g->groups, taps = g->kh * g->kw;
    memset(e->dw, 0, (size_t)(g->f * cg * taps) * sizeof(double));
    memset(e->db, 0, (size_t)g->f * sizeof(double));
    for (int64_t i = 0; i < g->n * g->oh * g->ow; i++) {
        const int64_t n = i / (g->oh * g->ow), oy = i / g->ow % g->oh, ox = i % g->ow;
        for (int64_t f = 0; f < g->f; f++) {
            e->db[f] += dy[i * g->f + f];
        }
        for (int64_t t = 0; t < taps; t++) {
            const int64_t y = oy * g->stride_h + t / g->kw * g->dilation_h - g->pad_top;
            const int64_t xx = ox * g->stride_w + t % g->kw * g->dilation_w - g->pad_left;
            if (y < 0 || y >= g->h || xx < 0 || xx >= g->w) {
                continue;
            }
            const float *from = x + ((n * g->h + y) * g->w + xx) * g->c;
            for (int64_t f = 0; f < g->f; f++) {
                for (int64_t c = 0; c < cg; c++) {
                    e->dw[(f * cg + c) * taps + t] +=
                        (double)from[f / fg * cg + c] * dy[i * g->f + f];
                }
            }
        }
    }
}

static void check(const kata__conv *g, bool pooled, bool bias) {
    const int64_t x_count = g->n * g->h * g->w * g->c, y_count = g->n * g->oh * g->ow * g->f;
    const int64_t ph = g->oh / 2, pw = g->ow / 2;
    const int64_t dy_count = pooled ? g->n * ph * pw * g->f : y_count;
    const int64_t dw_count = g->f * (g->c / g->groups) * g->kh * g->kw;
    const guarded x = guarded_numbers(x_count), dy = guarded_numbers(dy_count);
    const guarded index = guarded_new(pooled ? (size_t)dy_count : 0);
    double *whole = reference_buffer((size_t)y_count * sizeof(double));
    memset(whole, 0, (size_t)y_count * sizeof(double));
    for (int64_t i = 0; i < dy_count; i++) {
        const double d = (double)((const float *)dy.data)[i];
        if (!pooled) {
            whole[i] = d;
            continue;
        }
        const int64_t choice = reference_range(0, 4);
        ((uint8_t *)index.data)[i] = choice == 4 ? KATA__POOL_NONE : (uint8_t)choice;
        const int64_t f = i % g->f, px = i / g->f % pw, py = i / g->f / pw % ph;
        const int64_t n = i / g->f / pw / ph;
        if (choice < 4) {
            const int64_t y = 2 * py + choice / 2, xx = 2 * px + choice % 2;
            whole[((n * g->oh + y) * g->ow + xx) * g->f + f] = d;
        }
    }
    const struct expected e = {reference_buffer((size_t)dw_count * sizeof(double)),
                               reference_buffer((size_t)g->f * sizeof(double))};
    reference(g, x.data, whole, &e);
    char what[256];
    snprintf(what, sizeof what,
             "n %lld c %lld h %lld w %lld f %lld k %lldx%lld stride %lldx%lld dilation %lldx%lld "
             "pad %lld,%lld out %lldx%lld groups %lld%s",
             (long long)g->n, (long long)g->c, (long long)g->h, (long long)g->w, (long long)g->f,
             (long long)g->kh, (long long)g->kw, (long long)g->stride_h, (long long)g->stride_w,
             (long long)g->dilation_h, (long long)g->dilation_w, (long long)g->pad_top,
             (long long)g->pad_left, (long long)g->oh, (long long)g->ow, (long long)g->groups,
             pooled ? " pooled" : "");
    const double tolerance = reference_tolerance(KATA_F32, g->n * g->oh * g->ow);
    for (int level = 0; level < REFERENCE_LEVELS; level++) {
        guarded first = {0};
        for (int t = 0; t < REFERENCE_THREADS; t++) {
            kata_context *context = reference_contexts[level][t];
            if (!context) {
                continue;
            }
            /* The workspace begins on a cache line, as a plan's does, and ends at the guard. */
            const kata__workspace_size size =
                kata__conv_nhwc_weight_workspace(context, g, KATA__CONV_DIRECT, pooled, false);
            assert_int_equal(size.shared % 64 + size.per_thread % 64, 0);
            const guarded block = guarded_new(kata__workspace_bytes(context, size));
            const kata__workspace workspace = kata__workspace_in(block.data, size);
            const guarded out = guarded_new((size_t)(dw_count + g->f) * sizeof(float));
            float *dw = out.data, *db = dw + dw_count;
            kata__conv_nhwc_weight(context, g, KATA__CONV_DIRECT, x.data, dy.data,
                                   pooled ? index.data : NULL, false, dw, bias ? db : NULL,
                                   &workspace);
            guarded_free(block);
            reference_compare(what, KATA_F32, dw, e.dw, dw_count, tolerance);
            if (bias) {
                reference_compare(what, KATA_F32, db, e.db, g->f, tolerance);
            } else {
                for (size_t i = 0; i < (size_t)g->f * sizeof(float); i++) {
                    assert_int_equal(((unsigned char *)db)[i], 0xA5);
                }
            }
            if (first.data) {
                assert_memory_equal(dw, first.data, (size_t)(dw_count + g->f) * sizeof(float));
                guarded_free(out);
            } else {
                first = out;
            }
        }
        if (first.data) {
            guarded_free(first);
        }
    }
    guarded_free(x);
    guarded_free(dy);
    guarded_free(index);
    free(whole);
    free(e.dw);
    free(e.db);
}

static bool close_shape(kata__conv *g, int64_t pad_bottom, int64_t pad_right) {
    const int64_t y = g->h + g->pad_top + pad_bottom - (g->kh - 1) * g->dilation_h - 1;
    const int64_t x = g->w + g->pad_left + pad_right - (g->kw - 1) * g->dilation_w - 1;
    g->oh = y >= 0 ? y / g->stride_h + 1 : 0;
    g->ow = x >= 0 ? x / g->stride_w + 1 : 0;
    return g->oh > 0 && g->ow > 0;
}

static kata__conv square(int64_t n, int64_t c, int64_t size, int64_t f, int64_t k, int64_t pad,
                         int64_t stride, int64_t groups) {
    kata__conv g = {.n = n,
                    .c = c,
                    .h = size,
                    .w = size,
                    .f = f,
                    .kh = k,
                    .kw = k,
                    .stride_h = stride,
                    .stride_w = stride,
                    .dilation_h = 1,
                    .dilation_w = 1,
                    .pad_top = pad,
                    .pad_left = pad,
                    .groups = groups};
    close_shape(&g, pad, pad);
    return g;
}

/* Layers of well-known networks, so many images that there are several parts and items. */
static void test_layers(void **state) {
    (void)state;
    static const int64_t layers[][8] = {
        /* n, c, size, f, kernel, pad, stride, groups */
        {25, 1, 28, 30, 5, 0, 1, 1},  {21, 1, 28, 16, 3, 1, 1, 1},    {21, 16, 28, 16, 3, 1, 1, 1},
        {7, 16, 14, 32, 3, 1, 1, 1},  {23, 32, 14, 32, 3, 2, 1, 1},   {9, 32, 8, 64, 3, 1, 1, 1},
        {23, 64, 8, 64, 3, 1, 1, 1},  {2, 3, 60, 64, 7, 3, 2, 1},     {2, 64, 28, 256, 1, 0, 1, 1},
        {1, 40, 56, 100, 1, 0, 1, 1}, {1, 6, 100, 40, 3, 1, 1, 1},    {9, 32, 28, 32, 3, 1, 1, 32},
        {5, 40, 15, 40, 3, 1, 2, 40}, {3, 100, 9, 100, 5, 2, 1, 100}, {3, 12, 20, 24, 3, 1, 1, 12},
        {3, 32, 20, 64, 3, 1, 1, 4},  {40, 3, 10, 5, 3, 1, 1, 1},     {3, 1, 40, 35, 3, 2, 1, 1},
        {1, 1, 120, 16, 5, 2, 1, 1},  {5, 1, 9, 3, 5, 4, 1, 1},       {4, 1, 6, 20, 3, 0, 1, 1},
        {1, 128, 7, 192, 3, 1, 1, 1},
    };
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        const int64_t *l = layers[i];
        const kata__conv g = square(l[0], l[1], l[2], l[3], l[4], l[5], l[6], l[7]);
        check(&g, false, true);
        check(&g, true, true);
    }
}

static void test_random(void **state) {
    (void)state;
    for (int round = 0; round < 500;) {
        kata__conv g = {.n = reference_range(0, 5),
                        .h = reference_range(1, 20),
                        .w = reference_range(1, 24),
                        .kh = reference_range(1, 6),
                        .kw = reference_range(1, 6),
                        .stride_h = reference_bits() % 2 ? 1 : reference_range(1, 3),
                        .stride_w = reference_bits() % 2 ? 1 : reference_range(1, 3),
                        .dilation_h = reference_bits() % 3 ? 1 : 2,
                        .dilation_w = reference_bits() % 3 ? 1 : 2,
                        .groups = reference_bits() % 3 ? 1 : reference_range(1, 5)};
        const bool depthwise = g.groups > 1 && reference_bits() % 2;
        if (depthwise) {
            g.groups = reference_range(2, 40);
        }
        g.c = g.groups * (depthwise ? 1 : reference_range(1, g.groups > 1 ? 9 : 20));
        g.f = g.groups * (depthwise ? 1 : reference_range(1, g.groups > 1 ? 40 : 70));
        g.pad_top = reference_range(0, g.kh);
        g.pad_left = reference_range(0, g.kw);
        if (!close_shape(&g, reference_range(0, g.kh), reference_range(0, g.kw))) {
            continue;
        }
        check(&g, reference_bits() % 3 == 0, reference_bits() % 4 != 0);
        round++;
    }
}

/* What pads a vector or stands in a place that is left out must not reach a result: 0 times
 * infinity would. */
static void test_no_leak(void **state) {
    (void)state;
    const kata__conv g = square(2, 9, 12, 5, 3, 1, 1, 1);
    const int64_t x_count = 2 * 12 * 12 * 9, y_count = 2 * 12 * 12 * 5, dw_count = 5 * 9 * 9;
    const guarded x = guarded_numbers(x_count), dy = guarded_numbers(y_count);
    for (int64_t i = 0; i < y_count; i += 5) {
        ((float *)dy.data)[i + 1] = INFINITY; /* output channel 1, everywhere */
    }
    for (int level = 0; level < REFERENCE_LEVELS; level++) {
        kata_context *context = reference_contexts[level][1];
        if (!context) {
            continue;
        }
        const kata__workspace_size size =
            kata__conv_nhwc_weight_workspace(context, &g, KATA__CONV_DIRECT, false, false);
        const guarded block = guarded_new(kata__workspace_bytes(context, size));
        const kata__workspace workspace = kata__workspace_in(block.data, size);
        memset(block.data, 0xFF, kata__workspace_bytes(context, size)); /* no number is one */
        float dw[5 * 9 * 9], db[5];
        kata__conv_nhwc_weight(context, &g, KATA__CONV_DIRECT, x.data, dy.data, NULL, false, dw, db,
                               &workspace);
        for (int64_t i = 0; i < dw_count; i++) {
            assert_true(i / 81 == 1 || isfinite(dw[i]));
        }
        for (int i = 0; i < 5; i++) {
            assert_true(isfinite(db[i]) == (i != 1));
        }
        guarded_free(block);
    }
    guarded_free(x);
    guarded_free(dy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_no_leak),
    };
    return cmocka_run_group_tests(tests, reference_setup, reference_teardown);
}
