/* Winograd convolution against plain loops in double: every instruction set, everything that a
 * store can do, the same bits for every number of threads, nothing written or read outside. */
#include "kernel/reference_gemm.h"
#include "kernel/winograd.h"

enum { GUARD = 64 };

/* Largest differences seen, relative to the largest result: F(2x2) and F(4x4). */
static double worst_forward[2], worst_weight[2], worst_db;

static const kata__conv_algorithm algorithms[2] = {KATA__CONV_WINOGRAD_2, KATA__CONV_WINOGRAD_4};

/* About 8 and 3 times what is measured. */
static const double forward_bound[2] = {3e-6, 1e-5}, weight_bound[2] = {3e-6, 1e-5};

static kata__conv shape(int64_t n, int64_t c, int64_t h, int64_t w, int64_t f, int64_t pad_top,
                        int64_t pad_left, int64_t pad_bottom, int64_t pad_right) {
    return (kata__conv){.n = n,
                        .c = c,
                        .h = h,
                        .w = w,
                        .f = f,
                        .kh = 3,
                        .kw = 3,
                        .oh = h + pad_top + pad_bottom - 2,
                        .ow = w + pad_left + pad_right - 2,
                        .stride_h = 1,
                        .stride_w = 1,
                        .dilation_h = 1,
                        .dilation_w = 1,
                        .pad_top = pad_top,
                        .pad_left = pad_left,
                        .groups = 1};
}

static void quiet(void *user, kata_log_level level, const char *line) {
    (void)user;
    (void)level;
    (void)line;
}

/* `count` numbers between two guards. */
static uint8_t *guarded(size_t n_bytes) {
    return (uint8_t *)reference_buffer(n_bytes + 2 * GUARD) + GUARD;
}

static void check_guards(const uint8_t *data, size_t n_bytes) {
    for (int i = 0; i < GUARD; i++) {
        assert_int_equal(data[-GUARD + i], 0xA5);
        assert_int_equal(data[n_bytes + (size_t)i], 0xA5);
    }
}

static void free_guarded(void *data) {
    if (data) {
        free((uint8_t *)data - GUARD);
    }
}

static double largest(const double *x, int64_t count) {
    double most = 1e-30;
    for (int64_t i = 0; i < count; i++) {
        most = fmax(most, fabs(x[i]));
    }
    return most;
}

static void name_case(char *what, size_t size, const char *level, int which, const kata__conv *g) {
    snprintf(what, size, "%s F(%d) n %lld c %lld h %lld w %lld f %lld o %lldx%lld pad %lld %lld",
             level, which ? 4 : 2, (long long)g->n, (long long)g->c, (long long)g->h,
             (long long)g->w, (long long)g->f, (long long)g->oh, (long long)g->ow,
             (long long)g->pad_top, (long long)g->pad_left);
}

/* sums[n,oh,ow,f] of x (n,h,w,c) and weight (f,c,3,3), or flipped (c,f,3,3) read the other way. */
static double *reference_sums(const kata__conv *g, const float *x, const float *weight,
                              bool flipped) {
    double *y = calloc((size_t)(g->n * g->oh * g->ow * g->f) + 1, sizeof *y);
    assert_non_null(y);
    for (int64_t n = 0; n < g->n; n++) {
        for (int64_t p = 0; p < g->oh * g->ow * 9; p++) {
            const int64_t tap = p % 9, oy = p / 9 / g->ow, ox = p / 9 % g->ow;
            const int64_t iy = oy + tap / 3 - g->pad_top, ix = ox + tap % 3 - g->pad_left;
            if (iy < 0 || iy >= g->h || ix < 0 || ix >= g->w) {
                continue;
            }
            const float *from = x + ((n * g->h + iy) * g->w + ix) * g->c;
            double *to = y + ((n * g->oh + oy) * g->ow + ox) * g->f;
            for (int64_t f = 0; f < g->f; f++) {
                for (int64_t c = 0; c < g->c; c++) {
                    to[f] += (double)from[c] * (flipped ? weight[(c * g->f + f) * 9 + 8 - tap]
                                                        : weight[(f * g->c + c) * 9 + tap]);
                }
            }
        }
    }
    return y;
}

/* Compares y and index with sums, by the definition of kata__conv_store. */
static void compare_forward(const char *what, const kata__conv *g, const kata__conv_store *store,
                            const double *sums, double tolerance, const float *y,
                            const uint8_t *index, double *worst) {
    const int64_t rows = store->pool ? g->oh / 2 : g->oh, columns = store->pool ? g->ow / 2 : g->ow;
    const int taps = store->pool ? 4 : 1;
    for (int64_t i = 0; i < g->n * rows * columns * g->f; i++) {
        const int64_t f = i % g->f, ox = i / g->f % columns, oy = i / g->f / columns % rows;
        const int64_t n = i / g->f / columns / rows;
        double value[4], best = -INFINITY;
        for (int tap = 0; tap < taps; tap++) {
            const int64_t row = store->pool ? 2 * oy + tap / 2 : oy;
            const int64_t column = store->pool ? 2 * ox + tap % 2 : ox;
            const int64_t at = ((n * g->oh + row) * g->ow + column) * g->f + f;
            double v = sums[at] + (store->bias ? store->bias[f] : 0) +
                       (store->residual ? store->residual[at] : 0);
            v = store->relu && v < 0 ? 0 : v;
            v = store->mask && store->mask[at] <= 0 ? 0 : v;
            value[tap] = v;
            best = v > best ? v : best;
        }
        const double error = fabs(y[i] - best);
        if (!(error <= tolerance)) {
            fail_msg("%s: number %lld is %.9g, expected %.9g", what, (long long)i, (double)y[i],
                     best);
        }
        *worst = fmax(*worst, error);
        if (index && index[i] == KATA__POOL_NONE) {
            assert_true(store->relu && y[i] == 0 && best <= tolerance);
        } else if (index) {
            /* The place of a maximum up to rounding; of exact zeros (a mask's) the first. */
            assert_true(index[i] < 4);
            assert_true(value[index[i]] >= best - 2 * tolerance);
            assert_false(store->relu && y[i] <= 0);
            for (int tap = 0; tap < index[i] && store->mask && y[i] == 0; tap++) {
                assert_true(value[tap] < 2 * tolerance);
            }
        }
    }
}

enum { BIAS = 1, RELU = 2, RESIDUAL = 4, MASK = 8, POOL = 16, INDEX = 32, FLIPPED = 64 };

static void check_forward(const kata__conv *g, int options) {
    const bool flipped = options & FLIPPED;
    const int64_t count = g->n * g->oh * g->ow * g->f;
    const size_t n_out = (size_t)(options & POOL ? g->n * (g->oh / 2) * (g->ow / 2) * g->f : count);
    float *x = reference_numbers(KATA_F32, g->n * g->h * g->w * g->c);
    float *weight = reference_numbers(KATA_F32, g->f * g->c * 9);
    float *bias = reference_numbers(KATA_F32, g->f);
    float *residual = reference_numbers(KATA_F32, count),
          *mask = reference_numbers(KATA_F32, count);
    for (int64_t i = 0; i < count; i++) {
        mask[i] = mask[i] > 0.5f ? 0 : mask[i];
    }
    double *sums = reference_sums(g, x, weight, flipped);
    const double scale = largest(sums, count) + 1;
    for (int which = 0; which < 2; which++) {
        for (int level = 0; level < REFERENCE_LEVELS; level++) {
            float *first = NULL;
            uint8_t *first_index = NULL;
            for (int t = 0; t < REFERENCE_THREADS; t++) {
                kata_context *context = reference_contexts[level][t];
                if (!context) {
                    continue;
                }
                float *y = (float *)(void *)guarded(n_out * sizeof *y);
                uint8_t *index = options & INDEX ? guarded(n_out) : NULL;
                const kata__conv_store store = {.bias = options & BIAS ? bias : NULL,
                                                .residual = options & RESIDUAL ? residual : NULL,
                                                .relu = options & RELU,
                                                .mask = options & MASK ? mask : NULL,
                                                .pool = options & POOL,
                                                .index = index};
                const size_t n_packed =
                    (size_t)kata__winograd_packed(context, g, algorithms[which]);
                float *packed = reference_buffer(n_packed * sizeof *packed);
                kata__workspace workspace = reference_workspace(
                    context, kata__winograd_workspace(context, g, algorithms[which], &store));
                kata__winograd_pack(context, g, algorithms[which], flipped, weight, packed);
                kata__winograd_run(context, g, algorithms[which], x, packed, &store, y, &workspace);
                free(packed);
                free(workspace.shared);
                check_guards((uint8_t *)y, n_out * sizeof *y);
                if (index) {
                    check_guards(index, n_out);
                }
                if (first) {
                    assert_memory_equal(y, first, n_out * sizeof *y);
                    if (index) {
                        assert_memory_equal(index, first_index, n_out);
                    }
                    free_guarded(y);
                    free_guarded(index);
                    continue;
                }
                first = y;
                first_index = index;
                char what[240];
                name_case(what, sizeof what, reference_levels[level], which, g);
                double worst = 0;
                compare_forward(what, g, &store, sums, forward_bound[which] * scale, y, index,
                                &worst);
                worst_forward[which] = fmax(worst_forward[which], worst / scale);
            }
            free_guarded(first);
            free_guarded(first_index);
        }
    }
    free(x);
    free(weight);
    free(bias);
    free(residual);
    free(mask);
    free(sums);
}

static void check_weight(const kata__conv *g, bool pooled, bool with_db) {
    const int64_t rows = pooled ? g->oh / 2 : g->oh, columns = pooled ? g->ow / 2 : g->ow;
    const int64_t n_dy = g->n * rows * columns * g->f, count = g->f * g->c * 9;
    float *x = reference_numbers(KATA_F32, g->n * g->h * g->w * g->c);
    float *dy = reference_numbers(KATA_F32, n_dy);
    uint8_t *index = pooled ? reference_buffer((size_t)n_dy) : NULL;
    double *dw = calloc((size_t)count + 1, sizeof *dw), *db = calloc((size_t)g->f + 1, sizeof *db);
    assert_true(dw && db);
    for (int64_t i = 0; i < n_dy; i++) {
        const int64_t f = i % g->f, n = i / g->f / columns / rows;
        int64_t ox = i / g->f % columns, oy = i / g->f / columns % rows;
        if (pooled) {
            const uint32_t place = reference_bits() % 5;
            index[i] = place < 4 ? (uint8_t)place : KATA__POOL_NONE;
            if (index[i] == KATA__POOL_NONE) {
                continue;
            }
            oy = 2 * oy + place / 2;
            ox = 2 * ox + place % 2;
        }
        db[f] += dy[i];
        for (int tap = 0; tap < 9; tap++) {
            const int64_t iy = oy + tap / 3 - g->pad_top, ix = ox + tap % 3 - g->pad_left;
            if (iy >= 0 && iy < g->h && ix >= 0 && ix < g->w) {
                const float *from = x + ((n * g->h + iy) * g->w + ix) * g->c;
                for (int64_t c = 0; c < g->c; c++) {
                    dw[(f * g->c + c) * 9 + tap] += (double)from[c] * dy[i];
                }
            }
        }
    }
    const double scale = largest(dw, count) + 1, db_scale = largest(db, g->f) + 1;
    for (int which = 0; which < 2; which++) {
        for (int level = 0; level < REFERENCE_LEVELS; level++) {
            float *first = NULL;
            for (int t = 0; t < REFERENCE_THREADS; t++) {
                kata_context *context = reference_contexts[level][t];
                if (!context) {
                    continue;
                }
                const size_t n_bytes = (size_t)(count + (with_db ? g->f : 0)) * sizeof(float);
                float *out = (float *)(void *)guarded(n_bytes);
                kata__workspace workspace = reference_workspace(
                    context,
                    kata__winograd_weight_workspace(context, g, algorithms[which], pooled));
                kata__winograd_weight(context, g, algorithms[which], x, dy, index, out,
                                      with_db ? out + count : NULL, &workspace);
                free(workspace.shared);
                check_guards((uint8_t *)out, n_bytes);
                if (first) {
                    assert_memory_equal(out, first, n_bytes);
                    free_guarded(out);
                    continue;
                }
                first = out;
                char what[240];
                name_case(what, sizeof what, reference_levels[level], which, g);
                for (int64_t i = 0; i < count; i++) {
                    const double error = fabs(out[i] - dw[i]) / scale;
                    if (!(error <= weight_bound[which])) {
                        fail_msg("%s: dw %lld is %.9g, expected %.9g", what, (long long)i,
                                 (double)out[i], dw[i]);
                    }
                    worst_weight[which] = fmax(worst_weight[which], error);
                }
                for (int64_t f = 0; with_db && f < g->f; f++) {
                    const double error = fabs(out[count + f] - db[f]) / db_scale;
                    if (!(error <= 3e-6)) {
                        fail_msg("%s: db %lld is %.9g, expected %.9g", what, (long long)f,
                                 (double)out[count + f], db[f]);
                    }
                    worst_db = fmax(worst_db, error);
                }
            }
            free_guarded(first);
        }
    }
    free(x);
    free(dy);
    free(index);
    free(dw);
    free(db);
}

static void test_random(void **state) {
    (void)state;
    static const int64_t channels[] = {1, 2, 3, 5, 8, 15, 16, 17, 30, 32, 33, 48};
    for (int round = 0; round < 160;) {
        const kata__conv g =
            shape(reference_range(1, 3), channels[reference_bits() % 12], reference_range(1, 12),
                  reference_range(1, reference_bits() % 4 ? 12 : 30),
                  channels[reference_bits() % 12], reference_range(0, 2), reference_range(0, 2),
                  reference_range(0, 2), reference_range(0, 2));
        if (g.oh <= 0 || g.ow <= 0) {
            continue;
        }
        int options = (int)(reference_bits() % 128);
        options = options & POOL ? options : options & ~INDEX;
        check_forward(&g, options);
        check_weight(&g, reference_bits() % 2, reference_bits() % 2);
        round++;
    }
}

/* Every option alone and all pairs of channel counts about a vector, on a size with half tiles. */
static void test_options(void **state) {
    (void)state;
    const kata__conv g = shape(2, 19, 11, 9, 21, 1, 1, 1, 1);
    for (int options = 0; options < 128; options++) {
        if (options & POOL || !(options & INDEX)) {
            check_forward(&g, options);
        }
    }
}

/* More tiles than a run, several shares of output channels, several blocks of channels and parts.
 */
static void test_blocks(void **state) {
    (void)state;
    const kata__conv several = shape(40, 16, 14, 14, 32, 1, 1, 1, 1);
    const kata__conv one = shape(1, 16, 28, 28, 16, 1, 1, 1, 1);
    const kata__conv deep = shape(1, 130, 7, 8, 200, 2, 2, 2, 2);
    check_forward(&several, BIAS | RELU | POOL | INDEX);
    check_weight(&several, true, true);
    check_forward(&one, BIAS | RELU);
    check_weight(&one, false, true);
    check_forward(&deep, FLIPPED | MASK);
    check_weight(&deep, false, true);
}

/* A gradient's pads: kernel - 1 - pad is negative where the convolution's own pads were large. */
static void test_negative_pads(void **state) {
    (void)state;
    const kata__conv g = shape(2, 16, 12, 11, 17, -1, -2, -1, 0);
    check_forward(&g, FLIPPED);
    check_weight(&g, false, true);
}

/* A sample's numbers do not depend on the batch that it is in. */
static void test_batch(void **state) {
    (void)state;
    enum { N = 23 };
    const kata__conv many = shape(N, 20, 9, 10, 40, 1, 1, 1, 1),
                     one = shape(1, 20, 9, 10, 40, 1, 1, 1, 1);
    const kata__conv_store store = {.relu = true};
    const size_t count = (size_t)(one.oh * one.ow * one.f);
    float *x = reference_numbers(KATA_F32, many.n * many.h * many.w * many.c);
    float *weight = reference_numbers(KATA_F32, many.f * many.c * 9);
    float *all = reference_buffer(N * count * sizeof *all),
          *alone = reference_buffer(count * sizeof *alone);
    for (int which = 0; which < 2; which++) {
        for (int level = 0; level < REFERENCE_LEVELS; level++) {
            kata_context *context = reference_contexts[level][1];
            if (!context) {
                continue;
            }
            const kata__conv_algorithm algorithm = algorithms[which];
            float *packed = reference_buffer(
                (size_t)kata__winograd_packed(context, &many, algorithm) * sizeof *packed);
            kata__winograd_pack(context, &many, algorithm, false, weight, packed);
            kata__workspace workspace = reference_workspace(
                context, kata__winograd_workspace(context, &many, algorithm, &store));
            kata__winograd_run(context, &many, algorithm, x, packed, &store, all, &workspace);
            free(workspace.shared);
            workspace = reference_workspace(
                context, kata__winograd_workspace(context, &one, algorithm, &store));
            for (int n = 0; n < N; n += 11) {
                kata__winograd_run(context, &one, algorithm, x + n * one.h * one.w * one.c, packed,
                                   &store, alone, &workspace);
                assert_memory_equal(alone, all + (size_t)n * count, count * sizeof *alone);
            }
            free(workspace.shared);
            free(packed);
        }
    }
    free(x);
    free(weight);
    free(all);
    free(alone);
}

/* What is not finite reaches no tile whose patch does not hold it, nor other images. */
static void test_not_finite(void **state) {
    (void)state;
    const kata__conv g = shape(2, 3, 16, 16, 5, 1, 1, 1, 1);
    const kata__conv_store store = {0};
    const int64_t n_x = g.n * g.h * g.w * g.c, n_y = g.n * g.oh * g.ow * g.f;
    float *x = reference_numbers(KATA_F32, n_x), *y = reference_buffer((size_t)n_y * sizeof *y);
    float *weight = reference_numbers(KATA_F32, g.f * g.c * 9);
    x[(5 * g.w + 5) * g.c + 1] = INFINITY;
    for (int which = 0; which < 2; which++) {
        for (int level = 0; level < REFERENCE_LEVELS; level++) {
            kata_context *context = reference_contexts[level][0];
            if (!context) {
                continue;
            }
            float *packed = reference_buffer(
                (size_t)kata__winograd_packed(context, &g, algorithms[which]) * sizeof *packed);
            kata__workspace workspace = reference_workspace(
                context, kata__winograd_workspace(context, &g, algorithms[which], &store));
            kata__winograd_pack(context, &g, algorithms[which], false, weight, packed);
            kata__winograd_run(context, &g, algorithms[which], x, packed, &store, y, &workspace);
            for (int64_t i = 0; i < n_y; i++) {
                const int64_t ox = i / g.f % g.ow, oy = i / g.f / g.ow;
                const bool near = oy < 8 && ox < 8; /* the tiles about (5,5) */
                const bool under = oy >= 4 && oy <= 6 && ox >= 4 && ox <= 6;
                assert_true(near || isfinite(y[i]));
                assert_false(under && isfinite(y[i]));
            }
            free(packed);
            free(workspace.shared);
        }
    }
    free(x);
    free(y);
    free(weight);
}

/* Fused pooling's places for 1, 2 and 3 threads, in float32 and in bfloat16: many tiles and few,
 * of equal numbers too. */
static void test_places(void **state) {
    (void)state;
    enum { CONTEXTS = 5, THREADS = 3 };
    static const char *const ways[CONTEXTS][2] = {{"portable", "plain"},
                                                  {"avx2", "plain"},
                                                  {"avx512", "plain"},
                                                  {"avx512", "avx512_bf16"},
                                                  {"avx512", "amx"}};
    const kata__conv problems[] = {shape(30, 16, 14, 14, 32, 1, 1, 1, 1),
                                   shape(1, 33, 11, 9, 40, 1, 1, 1, 1),
                                   shape(1, 64, 8, 8, 64, 1, 1, 1, 1)};
    for (int k = 0; k < 3 * CONTEXTS * 4; k++) {
        const kata__conv *g = &problems[k / CONTEXTS / 4];
        const int way = k / 4 % CONTEXTS;
        const kata__conv_algorithm algorithm = algorithms[k % 2];
        const bool equal = k / 2 % 2; /* numbers, so that windows inside are ties up to rounding */
        const int64_t n_x = g->n * g->h * g->w * g->c, n_weight = g->f * g->c * 9;
        const size_t n_y = (size_t)(g->n * (g->oh / 2) * (g->ow / 2) * g->f);
        float *x = reference_numbers(KATA_F32, n_x);
        float *weight = reference_numbers(KATA_F32, n_weight);
        uint16_t *x_half = reference_buffer((size_t)n_x * sizeof *x_half);
        for (int64_t i = 0; i < n_x; i++) {
            x[i] = equal ? 1 : x[i];
            x_half[i] = kata_f32_to_bf16(x[i]);
        }
        float *y = reference_buffer(n_y * sizeof *y);
        uint16_t *y_half = reference_buffer(n_y * sizeof *y_half);
        uint8_t *index[2][THREADS];
        for (int t = 0; t < THREADS; t++) {
            index[0][t] = guarded(n_y);
            index[1][t] = guarded(n_y);
            kata_context *context;
            const kata_context_options options = {
                .threads = t + 1, .kernels = ways[way][0], .bfloat16 = ways[way][1], .log = quiet};
            assert_int_equal(kata_context_new(&context, &options), KATA_OK);
            const kata__conv_store store = {.relu = true, .pool = true, .index = index[0][t]};
            float *packed = reference_buffer((size_t)kata__winograd_packed(context, g, algorithm) *
                                             sizeof *packed);
            kata__workspace workspace = reference_workspace(
                context, kata__winograd_workspace(context, g, algorithm, &store));
            kata__winograd_pack(context, g, algorithm, false, weight, packed);
            kata__winograd_run(context, g, algorithm, x, packed, &store, y, &workspace);
            free(packed);
            free(workspace.shared);
            const kata__conv_bf16_input input = {KATA_BF16, x_half, NULL};
            const kata__conv_bf16_store half = {.relu = true, .pool = true, .index = index[1][t]};
            uint16_t *packed_half = reference_buffer(
                (size_t)kata__winograd_bf16_packed(context, g, algorithm) * sizeof *packed_half);
            workspace = reference_workspace(
                context, kata__winograd_bf16_workspace(context, g, algorithm, true));
            kata__winograd_bf16_pack(context, g, algorithm, false, weight, packed_half);
            kata__winograd_bf16_run(context, g, algorithm, &input, packed_half, &half, y_half,
                                    &workspace);
            free(packed_half);
            free(workspace.shared);
            kata_context_free(context);
            for (int type = 0; type < 2; type++) {
                check_guards(index[type][t], n_y);
                assert_memory_equal(index[type][t], index[type][0], n_y);
                for (size_t i = 0; i < n_y; i++) {
                    assert_true(index[type][t][i] < 4 || index[type][t][i] == KATA__POOL_NONE);
                }
            }
        }
        for (int t = 0; t < THREADS; t++) {
            free_guarded(index[0][t]);
            free_guarded(index[1][t]);
        }
        free(x);
        free(x_half);
        free(weight);
        free(y);
        free(y_half);
    }
}

static void test_choice(void **state) {
    (void)state;
    const kata__conv first = shape(1, 1, 28, 28, 16, 1, 1, 1, 1);
    const kata__conv small = shape(100, 16, 28, 28, 16, 1, 1, 1, 1);
    const kata__conv pixel = shape(1, 64, 3, 3, 64, 0, 0, 0, 0);
    const kata__conv heavy = shape(1, 512, 7, 7, 512, 1, 1, 1, 1);
    kata__conv strided = small, wide = small, grouped = small, large = small;
    strided.stride_w = 2;
    wide.dilation_h = 2;
    grouped.groups = 2;
    large.kh = 5;
    const kata__conv *direct[] = {&first, &pixel, &heavy, &strided, &wide, &grouped, &large};
    for (size_t i = 0; i < sizeof direct / sizeof *direct; i++) {
        assert_int_equal(kata__winograd_pays(direct[i], KATA__CONV_FORWARD), KATA__CONV_DIRECT);
    }
    assert_false(kata__winograd_fits(&strided) || kata__winograd_fits(&wide) ||
                 kata__winograd_fits(&grouped) || kata__winograd_fits(&large));
    assert_int_equal(kata__winograd_pays(&small, KATA__CONV_FORWARD), KATA__CONV_WINOGRAD_4);
    assert_int_equal(kata__winograd_pays(&small, KATA__CONV_WEIGHT), KATA__CONV_WINOGRAD_4);
    kata__conv one = small;
    one.n = 1; /* a sample's numbers may not depend on its batch */
    assert_int_equal(kata__winograd_pays(&one, KATA__CONV_FORWARD), KATA__CONV_WINOGRAD_4);
}

static void test_errors(void **state) {
    (void)state;
    printf("largest differences, relative to the largest result + 1: forward F(2x2) %.2g, F(4x4) "
           "%.2g; by weight F(2x2) %.2g, F(4x4) %.2g; by bias %.2g\n",
           worst_forward[0], worst_forward[1], worst_weight[0], worst_weight[1], worst_db);
    for (int which = 0; which < 2; which++) {
        assert_true(worst_forward[which] < forward_bound[which]);
        assert_true(worst_weight[which] < weight_bound[which]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random), cmocka_unit_test(test_options),
        cmocka_unit_test(test_blocks), cmocka_unit_test(test_negative_pads),
        cmocka_unit_test(test_batch),  cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_places), cmocka_unit_test(test_choice),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, reference_setup, reference_teardown);
}
