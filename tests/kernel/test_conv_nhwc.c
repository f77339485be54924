/* The convolution of NHWC tensors, with all that may happen to its sums, against plain
 * loops in double: every instruction set, the same bits for every number of threads, nothing
 * written outside the output. */
#include "kernel/reference_gemm.h"
#include "kernel/conv_nhwc.h"

enum { GUARD = 64 };

/* What is asked of kata__conv_store; also that the weight is given flipped. */
enum {
    BIAS = 1,
    RESIDUAL = 2,
    RELU = 4,
    MASK = 8,
    POOL = 16,
    INDEX = 32, /* with POOL */
    FLIPPED = 64,
    EXACT = 128, /* small whole numbers: every sum is exact, many are equal */
    OPTIONS = 256,
    NANS = 512 /* some numbers are NaNs */
};

static float *some_numbers(int64_t count, int options) {
    float *x = reference_numbers(KATA_F32, count);
    for (int64_t i = 0; options & EXACT && i < count; i++) {
        x[i] = (float)reference_range(-2, 2);
        if (options & NANS && reference_bits() % 20 == 0) {
            x[i] = NAN;
        }
    }
    return x;
}

/* y (n,oh,ow,f) before pooling, in double. */
static double *reference(const kata__conv *g, const kata__conv_store *store, const float *x,
                         const float *weight) {
    const int64_t cg = g->c / g->groups, fg = g->f / g->groups;
    double *y = calloc((size_t)(g->n * g->oh * g->ow * g->f) + 1, sizeof(double));
    assert_non_null(y);
    for (int64_t at = 0; at < g->n * g->oh * g->ow * g->f; at++) {
        const int64_t f = at % g->f, ox = at / g->f % g->ow, oy = at / g->f / g->ow % g->oh;
        const int64_t n = at / g->f / g->ow / g->oh;
        double sum = store->bias ? store->bias[f] : 0;
        for (int64_t i = 0; i < g->kh; i++) {
            for (int64_t j = 0; j < g->kw; j++) {
                const int64_t iy = oy * g->stride_h + i * g->dilation_h - g->pad_top;
                const int64_t ix = ox * g->stride_w + j * g->dilation_w - g->pad_left;
                if (iy < 0 || iy >= g->h || ix < 0 || ix >= g->w) {
                    continue;
                }
                const float *from = x + ((n * g->h + iy) * g->w + ix) * g->c + f / fg * cg;
                for (int64_t c = 0; c < cg; c++) {
                    sum += (double)from[c] * weight[((f * cg + c) * g->kh + i) * g->kw + j];
                }
            }
        }
        sum += store->residual ? store->residual[at] : 0;
        sum = store->relu && sum < 0 ? 0 : sum;
        y[at] = store->mask && store->mask[at] <= 0 ? 0 : sum;
    }
    return y;
}

/* Where the window's element (row, column) = (k / 2, k % 2) of pooled element `at` lies in y. */
static int64_t of_window(const kata__conv *g, int64_t at, int k) {
    const int64_t f = at % g->f, px = at / g->f % (g->ow / 2);
    const int64_t py = at / g->f / (g->ow / 2) % (g->oh / 2);
    const int64_t n = at / g->f / (g->ow / 2) / (g->oh / 2);
    return ((n * g->oh + 2 * py + k / 2) * g->ow + 2 * px + k % 2) * g->f + f;
}

static void compare(const char *what, const kata__conv *g, const kata__conv_store *store,
                    int options, const double *expected, const float *y, int64_t count) {
    const double tolerance =
        options & EXACT ? 0 : reference_tolerance(KATA_F32, g->c / g->groups * g->kh * g->kw);
    if (!store->pool) {
        reference_compare(what, KATA_F32, y, expected, count, tolerance);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        int best = 0;
        for (int k = 1; k < 4; k++) {
            const double other = expected[of_window(g, i, k)];
            const double most = expected[of_window(g, i, best)];
            best = other > most || (isnan(other) && !isnan(most)) ? k : best;
        }
        const double value = expected[of_window(g, i, best)];
        const double allowed = tolerance * (1 + fabs(value));
        if (!(fabs(y[i] - value) <= allowed) && !(isnan(y[i]) && isnan(value))) {
            fail_msg("%s: pooled number %lld is %.9g, expected %.17g", what, (long long)i, y[i],
                     value);
        }
        if (!store->index) {
            continue;
        }
        const int place = store->index[i];
        if (options & EXACT) {
            const int right = store->relu && value <= 0 ? KATA__POOL_NONE : best;
            if (place != right) {
                fail_msg("%s: index %lld is %d, expected %d", what, (long long)i, place, right);
            }
        } else if (place == KATA__POOL_NONE) {
            if (!store->relu || y[i] != 0) {
                fail_msg("%s: index %lld is none", what, (long long)i);
            }
        } else if (place > 3 || !(fabs(expected[of_window(g, i, place)] - value) <= 2 * allowed) ||
                   (store->relu && !(y[i] > 0))) {
            fail_msg("%s: index %lld is %d", what, (long long)i, place);
        }
    }
}

static void *guarded(size_t n_bytes) {
    return reference_buffer(n_bytes + 2 * GUARD);
}

static void check_guards(const char *what, const unsigned char *block, size_t n_bytes) {
    for (size_t i = 0; i < GUARD; i++) {
        if (block[i] != 0xA5 || block[GUARD + n_bytes + i] != 0xA5) {
            fail_msg("%s: wrote outside the output", what);
        }
    }
}

/* f, c/groups, kh, kw; or that of the convolution whose gradient this is: c, f/groups, taps
 * reversed. */
static float *turn(const kata__conv *g, const float *weight) {
    const int64_t cg = g->c / g->groups, fg = g->f / g->groups, taps = g->kh * g->kw;
    float *flipped = reference_buffer((size_t)(g->f * cg * taps) * sizeof(float));
    for (int64_t f = 0; f < g->f; f++) {
        for (int64_t c = 0; c < cg; c++) {
            for (int64_t t = 0; t < taps; t++) {
                flipped[((f / fg * cg + c) * fg + f % fg) * taps + taps - 1 - t] =
                    weight[(f * cg + c) * taps + t];
            }
        }
    }
    return flipped;
}

static void check(const kata__conv *g, int options) {
    const bool pool = options & POOL && g->oh > 1 && g->ow > 1;
    const int64_t full = g->n * g->oh * g->ow * g->f;
    const int64_t count = pool ? g->n * (g->oh / 2) * (g->ow / 2) * g->f : full;
    float *x = some_numbers(g->n * g->h * g->w * g->c, options);
    float *weight = some_numbers(g->f * (g->c / g->groups) * g->kh * g->kw, options & ~NANS);
    float *bias = some_numbers(g->f, options & ~NANS), *residual = some_numbers(full, options);
    float *mask = some_numbers(full, options), *flipped = turn(g, weight);
    kata__conv_store store = {.bias = options & BIAS ? bias : NULL,
                              .residual = options & RESIDUAL ? residual : NULL,
                              .relu = options & RELU,
                              .mask = options & MASK ? mask : NULL,
                              .pool = pool};
    double *expected = reference(g, &store, x, weight);
    const bool indexed = pool && options & INDEX;
    const size_t y_bytes = (size_t)count * sizeof(float), index_bytes = (size_t)count;

    for (int level = 0; level < REFERENCE_LEVELS; level++) {
        char what[320];
        snprintf(what, sizeof what,
                 "%s options %d n %lld c %lld h %lld w %lld f %lld k %lldx%lld o %lldx%lld "
                 "stride %lld %lld dilation %lld %lld pad %lld %lld groups %lld",
                 reference_levels[level], options, (long long)g->n, (long long)g->c,
                 (long long)g->h, (long long)g->w, (long long)g->f, (long long)g->kh,
                 (long long)g->kw, (long long)g->oh, (long long)g->ow, (long long)g->stride_h,
                 (long long)g->stride_w, (long long)g->dilation_h, (long long)g->dilation_w,
                 (long long)g->pad_top, (long long)g->pad_left, (long long)g->groups);
        unsigned char *first = NULL, *first_index = NULL;
        for (int t = 0; t < REFERENCE_THREADS; t++) {
            kata_context *context = reference_contexts[level][t];
            if (!context) {
                continue;
            }
            float *packed = reference_buffer(
                (size_t)kata__conv_nhwc_packed(context, g, KATA__CONV_DIRECT) * sizeof(float));
            kata__conv_nhwc_pack(context, g, KATA__CONV_DIRECT, options & FLIPPED,
                                 options & FLIPPED ? flipped : weight, packed);
            kata__workspace workspace = reference_workspace(
                context, kata__conv_nhwc_workspace(context, g, KATA__CONV_DIRECT, &store));
            unsigned char *y = guarded(y_bytes), *index = guarded(index_bytes);
            store.index = indexed ? index + GUARD : NULL;
            kata__conv_nhwc(context, g, KATA__CONV_DIRECT, x, packed, &store, (float *)(y + GUARD),
                            &workspace);
            check_guards(what, y, y_bytes);
            check_guards(what, index, index_bytes);
            free(packed);
            free(workspace.shared);
            if (first) {
                assert_memory_equal(y, first, y_bytes + 2 * GUARD);
                assert_memory_equal(index, first_index, index_bytes + 2 * GUARD);
                free(y);
                free(index);
                continue;
            }
            compare(what, g, &store, options, expected, (float *)(y + GUARD), count);
            first = y;
            first_index = index;
        }
        free(first);
        free(first_index);
    }
    free(x);
    free(weight);
    free(flipped);
    free(bias);
    free(residual);
    free(mask);
    free(expected);
}

/* Sets oh and ow for the pads at the end; false if the output would be empty. */
static bool close_shape(kata__conv *g, int64_t pad_bottom, int64_t pad_right) {
    const int64_t y = g->h + g->pad_top + pad_bottom - (g->kh - 1) * g->dilation_h - 1;
    const int64_t x = g->w + g->pad_left + pad_right - (g->kw - 1) * g->dilation_w - 1;
    g->oh = y >= 0 ? y / g->stride_h + 1 : 0;
    g->ow = x >= 0 ? x / g->stride_w + 1 : 0;
    return g->oh > 0 && g->ow > 0;
}

static kata__conv plain(int64_t n, int64_t c, int64_t size, int64_t f, int64_t k, int64_t pad,
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

static void test_random(void **state) {
    (void)state;
    for (int round = 0; round < 1500;) {
        const int64_t groups = reference_bits() % 4 ? 1 : reference_range(1, 40);
        const bool depthwise = reference_bits() % 2;
        const int64_t most = groups > 8 ? 3 : 40;
        kata__conv g = {.n = reference_range(1, 3),
                        .c = groups * reference_range(1, reference_bits() % 4 ? 4 : most),
                        .h = reference_range(1, 13),
                        .w = reference_range(1, reference_bits() % 4 ? 13 : 40),
                        .f = groups * reference_range(1, reference_bits() % 2 ? 6 : most),
                        .kh = reference_range(1, 4),
                        .kw = reference_range(1, 5),
                        .stride_h = reference_bits() % 2 ? 1 : reference_range(1, 4),
                        .stride_w = reference_bits() % 2 ? 1 : reference_range(1, 4),
                        .dilation_h = reference_bits() % 3 ? 1 : reference_range(1, 3),
                        .dilation_w = reference_bits() % 3 ? 1 : reference_range(1, 3),
                        .pad_top = reference_bits() % 2 ? 0 : reference_range(0, 4),
                        .pad_left = reference_bits() % 2 ? 0 : reference_range(0, 4),
                        .groups = groups};
        if (groups > 1 && depthwise) {
            g.c = g.f = groups;
        }
        const bool even = reference_bits() % 2;
        if (!close_shape(&g, even ? g.pad_top : reference_range(0, 4),
                         even ? g.pad_left : reference_range(0, 4))) {
            continue;
        }
        check(&g, (int)(reference_bits() % OPTIONS));
        round++;
    }
}

/* Every combination, at sizes with full tiles, parts of tiles and padding. */
static void test_options(void **state) {
    (void)state;
    const kata__conv shapes[] = {
        plain(2, 5, 9, 47, 3, 1, 1, 1),
        plain(1, 16, 14, 16, 3, 1, 1, 1),
        plain(2, 19, 12, 19, 3, 1, 2, 19),
    };
    for (int s = 0; s < 3; s++) {
        for (int options = 0; options < OPTIONS; options++) {
            check(&shapes[s], options);
        }
    }
}

/* The networks' layers with fewer pictures, and enough work for many chunks. */
static void test_layers(void **state) {
    (void)state;
    static const int64_t layers[][8] = {
        /* n, c, size, f, k, pad, stride, groups */
        {7, 1, 28, 30, 5, 0, 1, 1},    {5, 1, 28, 16, 3, 1, 1, 1},   {3, 16, 28, 16, 3, 1, 1, 1},
        {3, 16, 14, 32, 3, 1, 1, 1},   {3, 32, 14, 32, 3, 2, 1, 1},  {4, 32, 8, 64, 3, 1, 1, 1},
        {4, 64, 8, 64, 3, 1, 1, 1},    {1, 64, 8, 64, 3, 1, 1, 1},   {1, 40, 9, 33, 3, 1, 1, 1},
        {2, 3, 33, 8, 7, 3, 2, 1},     {1, 3, 56, 64, 7, 3, 2, 1},   {4, 20, 7, 20, 1, 0, 1, 1},
        {1, 64, 28, 70, 1, 0, 2, 1},   {2, 256, 4, 40, 3, 1, 1, 1},  {1, 40, 60, 8, 3, 1, 1, 1},
        {1, 5, 70, 5, 3, 1, 3, 1},     {2, 40, 15, 40, 3, 1, 1, 40}, {2, 96, 15, 96, 3, 1, 2, 96},
        {1, 32, 56, 32, 3, 1, 1, 32},  {2, 24, 19, 72, 3, 1, 1, 24}, {2, 64, 9, 96, 3, 1, 1, 4},
        {1, 300, 10, 129, 1, 0, 1, 1}, {1, 1, 300, 3, 3, 1, 2, 1},   {1, 12, 90, 17, 3, 1, 1, 1},
    };
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
        const int64_t *l = layers[i];
        const kata__conv g = plain(l[0], l[1], l[2], l[3], l[4], l[5], l[6], l[7]);
        check(&g, BIAS | RELU);
        check(&g, BIAS | RELU | POOL | INDEX);
        check(&g, BIAS | RELU | POOL | INDEX | EXACT);
        check(&g, FLIPPED | MASK | EXACT);
        check(&g, RESIDUAL | RELU);
    }
}

static void test_odd_places(void **state) {
    (void)state;
    kata__conv g = plain(2, 3, 2, 20, 5, 2, 1, 1); /* the kernel is larger than the picture */
    check(&g, BIAS | RELU);
    g = plain(0, 3, 8, 4, 3, 1, 1, 1); /* no pictures */
    check(&g, BIAS);
    g = plain(2, 3, 9, 4, 3, 4, 1, 1); /* more padding than kernel: places without any tap */
    check(&g, BIAS | RELU);
    check(&g, BIAS | POOL | INDEX | EXACT);
    g = plain(1, 6, 13, 5, 3, 0, 1, 1); /* the stride skips rows, and is above the kernel */
    g.stride_h = 4;
    g.stride_w = 5;
    close_shape(&g, 0, 0);
    check(&g, 0);
    g = plain(1, 4, 12, 5, 3, 0, 1, 1); /* negative padding: the picture is cut */
    g.pad_top = -2;
    g.pad_left = -1;
    close_shape(&g, -1, -3);
    check(&g, 0);
    g.stride_h = 2;
    g.stride_w = 3;
    close_shape(&g, -1, -3);
    check(&g, RELU);
    g = plain(3, 5, 1, 9, 1, 0, 1, 1); /* one dimension, causal padding, dilation */
    g.w = 100;
    g.kw = 3;
    g.dilation_w = 4;
    g.pad_left = 8;
    close_shape(&g, 0, 0);
    check(&g, BIAS);
}

/* An infinity or a NaN changes only what it meets: not neighbours, not other channels. */
static void test_not_finite(void **state) {
    (void)state;
    const kata__conv g = plain(1, 3, 9, 19, 3, 1, 1, 1);
    const int64_t count = g.oh * g.ow * g.f;
    float *x = some_numbers(g.h * g.w * g.c, 0), *weight = some_numbers(g.f * g.c * 9, 0);
    x[(4 * g.w + 4) * g.c + 1] = NAN;
    x[(0 * g.w + 8) * g.c + 2] = INFINITY;
    const kata__conv_store store = {.relu = true};
    for (int level = 0; level < REFERENCE_LEVELS; level++) {
        kata_context *context = reference_contexts[level][0];
        if (!context) {
            continue;
        }
        float *packed = reference_buffer(
            (size_t)kata__conv_nhwc_packed(context, &g, KATA__CONV_DIRECT) * sizeof(float));
        float *y = reference_buffer((size_t)count * sizeof(float));
        kata__conv_nhwc_pack(context, &g, KATA__CONV_DIRECT, false, weight, packed);
        kata__workspace workspace = reference_workspace(
            context, kata__conv_nhwc_workspace(context, &g, KATA__CONV_DIRECT, &store));
        kata__conv_nhwc(context, &g, KATA__CONV_DIRECT, x, packed, &store, y, &workspace);
        for (int64_t i = 0; i < count; i++) {
            const int64_t ox = i / g.f % g.ow, oy = i / g.f / g.ow;
            const bool nan = llabs(oy - 4) <= 1 && llabs(ox - 4) <= 1;
            const bool infinite = oy <= 1 && ox >= 7;
            assert_true(nan ? isnan(y[i]) : infinite ? isinf(y[i]) || y[i] == 0 : isfinite(y[i]));
        }
        free(packed);
        free(y);
        free(workspace.shared);
    }
    free(x);
    free(weight);
}

/* The first NaN of a pooled window, wherever it stands, in every kind of tile. */
static void test_nan_in_window(void **state) {
    (void)state;
    static const int stores[] = {0, BIAS | RELU, RESIDUAL, BIAS | RELU | RESIDUAL, RELU | MASK};
    for (size_t i = 0; i < sizeof stores / sizeof *stores; i++) {
        for (int indexed = 0; indexed <= INDEX; indexed += INDEX) {
            const int options = stores[i] | POOL | EXACT | NANS | indexed;
            kata__conv kinds[] = {
                plain(2, 1, 12, 30, 1, 0, 1, 1),  plain(2, 1, 12, 19, 3, 1, 1, 1),
                plain(2, 1, 12, 30, 5, 0, 1, 1),  plain(2, 2, 12, 3, 1, 0, 1, 1),
                plain(1, 3, 12, 40, 3, 1, 1, 1),  plain(2, 2, 13, 16, 2, 1, 1, 1),
                plain(1, 20, 9, 20, 2, 0, 1, 20), plain(1, 2, 12, 64, 1, 0, 2, 1)};
            for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
                check(&kinds[k], options);
            }
        }
    }
}

/* Every algorithm is reached through the same functions, and the choice does not depend on n. */
static void test_algorithms(void **state) {
    (void)state;
    kata__conv g = plain(3, 32, 14, 48, 3, 1, 1, 1);
    const kata__conv_algorithm chosen = kata__conv_nhwc_algorithm(&g);
    g.n = 1;
    assert_int_equal(kata__conv_nhwc_algorithm(&g), chosen);
    const kata__conv strided = plain(1, 32, 14, 48, 3, 1, 2, 1);
    assert_int_equal(kata__conv_nhwc_algorithm(&strided), KATA__CONV_DIRECT);
    const int64_t count = g.oh * g.ow * g.f;
    float *x = some_numbers(g.h * g.w * g.c, 0), *weight = some_numbers(g.f * g.c * 9, 0);
    float *bias = some_numbers(g.f, 0);
    const kata__conv_store store = {.bias = bias, .relu = true};
    double *expected = reference(&g, &store, x, weight);
    for (int level = 0; level < REFERENCE_LEVELS; level++) {
        kata_context *context = reference_contexts[level][0];
        for (int a = KATA__CONV_DIRECT; context && a <= KATA__CONV_WINOGRAD_4; a++) {
            const kata__conv_algorithm algorithm = (kata__conv_algorithm)a;
            float *packed = reference_buffer(
                (size_t)kata__conv_nhwc_packed(context, &g, algorithm) * sizeof(float));
            float *y = reference_buffer((size_t)count * sizeof(float));
            kata__workspace workspace = reference_workspace(
                context, kata__conv_nhwc_workspace(context, &g, algorithm, &store));
            kata__conv_nhwc_pack(context, &g, algorithm, false, weight, packed);
            kata__conv_nhwc(context, &g, algorithm, x, packed, &store, y, &workspace);
            reference_compare(reference_levels[level], KATA_F32, y, expected, count, 1e-3);
            free(packed);
            free(y);
            free(workspace.shared);
        }
    }
    free(x);
    free(weight);
    free(bias);
    free(expected);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),     cmocka_unit_test(test_options),
        cmocka_unit_test(test_layers),     cmocka_unit_test(test_odd_places),
        cmocka_unit_test(test_not_finite), cmocka_unit_test(test_nan_in_window),
        cmocka_unit_test(test_algorithms),
    };
    return cmocka_run_group_tests_name("kernel/conv_nhwc", tests, reference_setup,
                                       reference_teardown);
}
