/* Winograd convolution in bfloat16: which algorithm is chosen, how large its errors are, and that
 * what is not finite is seen in the result. That every store and way to multiply gives the right
 * numbers is checked in test_conv_nhwc_bf16.c. */
#include "kernel/reference_bfloat16.h"

#include "base/context.h"
#include "kernel/conv_nhwc_bf16.h"
#include "kernel/winograd.h"

static kata__conv layer(int64_t n, int64_t c, int64_t side, int64_t f, int64_t kernel,
                        int64_t pad) {
    return bfloat16_layer(n, c, side, side, f, kernel, pad, pad);
}

/* ---- the choice ---- */

/* The convolution that is a layer's gradient by the input. */
static kata__conv flipped(const kata__conv *g) {
    return layer(g->n, g->f, g->oh, g->c, g->kh, g->kh - 1 - g->pad_top);
}

/* A context is asked for its tables alone: here for those that this processor may not have. */
static kata_context tables(kata__kernel_level kernels, kata__bfloat16_level bfloat16, int threads) {
    return (kata_context){.kernel_level = kernels, .bfloat16_level = bfloat16, .threads = threads};
}

static const struct {
    kata__kernel_level kernels;
    kata__bfloat16_level bfloat16;
} levels[BFLOAT16_WAYS] = {{KATA__PORTABLE, KATA__BFLOAT16_PLAIN},
                           {KATA__AVX2, KATA__BFLOAT16_PLAIN},
                           {KATA__AVX512, KATA__BFLOAT16_PLAIN},
                           {KATA__AVX512, KATA__BFLOAT16_AVX512},
                           {KATA__AVX512, KATA__BFLOAT16_AMX}};

#define DIRECT KATA__CONV_DIRECT
#define FOUR KATA__CONV_WINOGRAD_4

/* The layers of the book's networks, of a faster one and of larger ones; what is chosen forward, by
 * the input and by the weight without AMX. */
static void test_choice(void **state) {
    (void)state;
    static const struct {
        int64_t c, side, f, kernel, pad;
        kata__conv_algorithm chosen[3];
    } layers[] = {
        {1, 28, 30, 5, 0, {DIRECT, DIRECT, DIRECT}}, /* simple-convnet */
        {16, 28, 16, 3, 1, {FOUR, FOUR, FOUR}},      /* deep-convnet, its second to sixth */
        {16, 14, 32, 3, 1, {FOUR, FOUR, FOUR}},       {32, 14, 32, 3, 2, {FOUR, FOUR, FOUR}},
        {32, 8, 64, 3, 1, {FOUR, FOUR, FOUR}},        {64, 8, 64, 3, 1, {FOUR, FOUR, FOUR}},
        {24, 12, 32, 3, 0, {FOUR, FOUR, FOUR}}, /* mnist-sprint, its second */
        {64, 56, 64, 3, 1, {FOUR, FOUR, FOUR}},       {512, 14, 512, 3, 1, {FOUR, FOUR, FOUR}},
        {512, 7, 512, 3, 1, {DIRECT, DIRECT, FOUR}}, /* would wait for the packed weight */
        {64, 56, 64, 1, 0, {DIRECT, DIRECT, DIRECT}},
    };
    static const int64_t batches[] = {1, 3, 100};
    static const int threads[] = {1, 2, 3, 64};
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        for (int way = 0; way < BFLOAT16_WAYS; way++) {
            for (int k = 0; k < 12; k++) {
                const kata_context context =
                    tables(levels[way].kernels, levels[way].bfloat16, threads[k % 4]);
                const kata__conv g = layer(batches[k / 4], layers[i].c, layers[i].side, layers[i].f,
                                           layers[i].kernel, layers[i].pad);
                const kata__conv back = flipped(&g);
                for (int what = 0; what < 3; what++) {
                    const kata__conv *problem = what == KATA__CONV_INPUT ? &back : &g;
                    const kata__conv_algorithm chosen = kata__conv_bf16_algorithm(
                        &context, problem, KATA_BF16, (kata__conv_what)what);
                    const kata__conv_algorithm expected = levels[way].bfloat16 == KATA__BFLOAT16_AMX
                                                              ? DIRECT
                                                              : layers[i].chosen[what];
                    if (chosen != expected) {
                        fail_msg("layer %zu, %s %s, what %d: algorithm %d, expected %d", i,
                                 bfloat16_ways[way][0], bfloat16_ways[way][1], what, (int)chosen,
                                 (int)expected);
                    }
                }
                /* The network's own input is float32, which Winograd does not read. */
                const kata__conv first = layer(batches[k / 4], 1, 28, 16, 3, 1);
                assert_int_equal(
                    kata__conv_bf16_algorithm(&context, &first, KATA_F32, KATA__CONV_FORWARD),
                    DIRECT);
                assert_int_equal(
                    kata__conv_bf16_algorithm(&context, &first, KATA_F32, KATA__CONV_WEIGHT),
                    DIRECT);
                assert_int_equal(
                    kata__conv_bf16_algorithm(&context, &g, KATA_F32, KATA__CONV_FORWARD), DIRECT);
                /* And what Winograd cannot do. */
                kata__conv strided = g, wide = g, grouped = g;
                strided.stride_h = 2;
                wide.dilation_w = 2;
                grouped.groups = 2;
                const kata__conv *never[] = {&strided, &wide, &grouped};
                for (int j = 0; j < 3; j++) {
                    assert_int_equal(kata__conv_bf16_algorithm(&context, never[j], KATA_BF16,
                                                               KATA__CONV_FORWARD),
                                     DIRECT);
                }
            }
        }
    }
}

/* What a real context says is what its tables say. */
static void test_choice_of_contexts(void **state) {
    (void)state;
    const kata__conv g = layer(2, 16, 28, 16, 3, 1);
    for (int way = 0; way < BFLOAT16_WAYS; way++) {
        const kata_context same = tables(levels[way].kernels, levels[way].bfloat16, 1);
        for (int t = 0; t < BFLOAT16_THREADS; t++) {
            const kata_context *context = bfloat16_contexts[way][t];
            for (int what = 0; context != NULL && what < 3; what++) {
                assert_int_equal(
                    kata__conv_bf16_algorithm(context, &g, KATA_BF16, (kata__conv_what)what),
                    kata__conv_bf16_algorithm(&same, &g, KATA_BF16, (kata__conv_what)what));
            }
        }
    }
}

/* ---- running ---- */

static void run_forward(kata_context *context, const kata__conv *g, kata__conv_algorithm algorithm,
                        const uint16_t *x, const float *weight, const kata__conv_bf16_store *store,
                        uint16_t *y) {
    const kata__conv_bf16_input input = {KATA_BF16, x, NULL};
    uint16_t *packed = reference_buffer((size_t)kata__conv_bf16_packed(context, g, algorithm) * 2);
    kata__workspace workspace =
        reference_workspace(context, kata__conv_bf16_workspace(context, g, algorithm, store->pool));
    kata__conv_bf16_pack(context, g, algorithm, false, weight, packed);
    kata__conv_bf16(context, g, algorithm, &input, packed, store, y, &workspace);
    free(packed);
    free(workspace.shared);
}

static void run_weight(kata_context *context, const kata__conv *g, kata__conv_algorithm algorithm,
                       const uint16_t *x, const uint16_t *dy, float *dw, float *db) {
    const kata__conv_bf16_input input = {KATA_BF16, x, NULL};
    kata__workspace workspace = reference_workspace(
        context, kata__conv_bf16_weight_workspace(context, g, algorithm, false));
    kata__conv_bf16_weight(context, g, algorithm, &input, dy, NULL, dw, db, &workspace);
    free(workspace.shared);
}

static float number(uint16_t x) {
    return kata_bf16_to_f32(x);
}

/* ---- errors ---- */

/* Largest, relative to the largest result, y's beyond its last rounding: of a way to multiply and
 * F(2x2) or F(4x4). */
static double worst_y[BFLOAT16_WAYS][2], worst_dw[BFLOAT16_WAYS][2];

/* y and dw by definition: x and dy as they are, weights rounded. */
static void exact_sums(const kata__conv *g, const uint16_t *x, const uint16_t *dy,
                       const float *weight, double *y, double *dw) {
    float *rounded = reference_buffer((size_t)(g->f * g->c * 9) * sizeof *rounded);
    for (int64_t i = 0; i < g->f * g->c * 9; i++) { /* (tap,f,c): neighbours in the sums */
        const int64_t tap = i / (g->f * g->c);
        rounded[i] = number(kata_f32_to_bf16(weight[i % (g->f * g->c) * 9 + tap]));
    }
    for (int64_t p = 0; p < g->n * g->oh * g->ow * 9; p++) {
        const int64_t tap = p % 9, n = p / 9 / g->ow / g->oh;
        const int64_t iy = p / 9 / g->ow % g->oh + tap / 3 - g->pad_top;
        const int64_t ix = p / 9 % g->ow + tap % 3 - g->pad_left;
        for (int64_t f = 0; f < g->f && iy >= 0 && iy < g->h && ix >= 0 && ix < g->w; f++) {
            const uint16_t *from = x + ((n * g->h + iy) * g->w + ix) * g->c;
            const float *w = rounded + (tap * g->f + f) * g->c;
            const double upstream = (double)number(dy[p / 9 * g->f + f]);
            for (int64_t c = 0; c < g->c; c++) {
                const double v = (double)number(from[c]);
                y[p / 9 * g->f + f] += v * (double)w[c];
                dw[(f * g->c + c) * 9 + tap] += v * upstream;
            }
        }
    }
    free(rounded);
}

/* positive: x as it is behind a relu, half of it 0. */
static void measure(int64_t channels, bool positive) {
    const kata__conv g = layer(2, channels, 12, channels, 3, 1);
    const int64_t n_x = g.n * g.h * g.w * g.c, n_y = g.n * g.oh * g.ow * g.f, n_w = g.f * g.c * 9;
    uint16_t *x = reference_numbers(KATA_BF16, n_x), *dy = reference_numbers(KATA_BF16, n_y);
    float *weight = reference_numbers(KATA_F32, n_w);
    double *y = calloc((size_t)n_y, sizeof *y), *dw = calloc((size_t)n_w, sizeof *dw);
    uint16_t *got = reference_buffer((size_t)n_y * 2);
    float *got_dw = reference_buffer((size_t)n_w * sizeof *got_dw);
    float *got_db = reference_buffer((size_t)g.f * sizeof *got_db);
    assert_true(y && dw);
    for (int64_t i = 0; positive && i < n_x; i++) {
        x[i] = number(x[i]) > 0 ? x[i] : 0;
    }
    exact_sums(&g, x, dy, weight, y, dw);
    for (int k = 0; k < 2 * BFLOAT16_WAYS; k++) {
        const int way = k / 2, which = k % 2;
        const kata__conv_algorithm algorithm = which ? FOUR : KATA__CONV_WINOGRAD_2;
        kata_context *context = bfloat16_contexts[way][0];
        if (context == NULL) {
            continue;
        }
        run_forward(context, &g, algorithm, x, weight, &(kata__conv_bf16_store){NULL}, got);
        run_weight(context, &g, algorithm, x, dy, got_dw, got_db);
        double error = 0, dw_error = 0;
        for (int64_t i = 0; i < n_y; i++) {
            error = fmax(error, fabs((double)number(got[i]) - y[i]) - fabs(y[i]) / 256);
        }
        for (int64_t i = 0; i < n_w; i++) {
            dw_error = fmax(dw_error, fabs((double)got_dw[i] - dw[i]));
        }
        worst_y[way][which] = fmax(worst_y[way][which], error / bfloat16_largest(y, n_y));
        worst_dw[way][which] = fmax(worst_dw[way][which], dw_error / bfloat16_largest(dw, n_w));
    }
    free(x);
    free(dy);
    free(weight);
    free(y);
    free(dw);
    free(got);
    free(got_dw);
    free(got_db);
}

static void test_errors(void **state) {
    (void)state;
    for (int64_t channels = 16; channels <= 128; channels *= 2) {
        for (int draw = 0; draw < 8; draw++) {
            measure(channels, draw % 2 != 0);
        }
    }
    for (int k = 0; k < 2 * BFLOAT16_WAYS; k++) {
        const int way = k / 2, which = k % 2;
        if (bfloat16_contexts[way][0] == NULL) {
            continue;
        }
        printf("%s %s F(%d): largest error over largest result: y %.2g, dw %.2g\n",
               bfloat16_ways[way][0], bfloat16_ways[way][1], which ? 4 : 2, worst_y[way][which],
               worst_dw[way][which]);
        assert_true(worst_y[way][which] <= bfloat16_winograd_bound(way, which + 1, false));
        assert_true(worst_dw[way][which] <= bfloat16_winograd_bound(way, which + 1, true));
    }
}

/* ---- what is not finite ---- */

enum { BIAS = 1, RELU = 2, RESIDUAL = 4, MASK = 8, POOL = 16 };

/* One number of x that is a NaN, or infinite: every result whose sum has it must not be finite
 * (behind a relu, minus infinity is 0), whatever the store does; the other picture's must be. A
 * window that has a NaN has the place of the first, so that the gradient goes there; Winograd's
 * tile may have one before. */
static void check_spot(int way, kata__conv_algorithm algorithm, const kata__conv *g, int options,
                       uint16_t *x, int64_t row, int64_t column, float what, const float *weight,
                       const float *bias, const uint16_t *residual, const uint16_t *mask) {
    const bool pool = options & POOL;
    const int64_t rows = pool ? g->oh / 2 : g->oh, columns = pool ? g->ow / 2 : g->ow;
    const int64_t count = g->n * rows * columns * g->f;
    uint16_t *y = reference_buffer((size_t)count * 2);
    uint8_t *index = reference_buffer((size_t)count);
    const kata__conv_bf16_store store = {options & BIAS ? bias : NULL,
                                         options & RESIDUAL ? residual : NULL,
                                         options & RELU,
                                         options & MASK ? mask : NULL,
                                         pool,
                                         pool ? index : NULL};
    uint16_t *spot = x + (row * g->w + column) * g->c + 1;
    const uint16_t old = *spot;
    *spot = kata_f32_to_bf16(what);
    run_forward(bfloat16_contexts[way][0], g, algorithm, x, weight, &store, y);
    *spot = old;
    for (int64_t i = 0; i < count; i++) {
        const int64_t ox = i / g->f % columns, oy = i / g->f / columns % rows;
        const int64_t n = i / g->f / columns / rows;
        int first = 4; /* the first of the pooled whose 3x3 hold the number; else 0 if it does */
        for (int k = 0; k < (pool ? 4 : 1); k++) {
            const int64_t top = (pool ? 2 * oy + k / 2 : oy) - g->pad_top;
            const int64_t left = (pool ? 2 * ox + k % 2 : ox) - g->pad_left;
            if (first == 4 && n == 0 && row >= top && row < top + 3 && column >= left &&
                column < left + 3) {
                first = k;
            }
        }
        const bool meets = first < 4;
        const float got = number(y[i]);
        const bool off = options & MASK && number(mask[i]) <= 0;
        bool right = n == 0 || isfinite(got);
        if (off) {
            right = got == 0;
        } else if (meets && isnan(what)) {
            right =
                isnan(got) &&
                (!pool || (algorithm == KATA__CONV_DIRECT ? index[i] == first : index[i] <= first));
        } else if (options & MASK && isnan(number(mask[i]))) {
            right = right && got != 0; /* a NaN in the mask stops nothing */
        } else if (meets) {
            right = !isfinite(got) || (options & RELU && got == 0) || pool;
        }
        if (!right) {
            fail_msg("%s %s algorithm %d options %d: x (%lld,%lld) is %g, but number %lld "
                     "(%lld,%lld) is %g, place %d",
                     bfloat16_ways[way][0], bfloat16_ways[way][1], (int)algorithm, options,
                     (long long)row, (long long)column, (double)what, (long long)i, (long long)oy,
                     (long long)ox, (double)got, pool ? index[i] : -1);
        }
    }
    free(y);
    free(index);
}

static void test_not_finite(void **state) {
    (void)state;
    const kata__conv g = {.n = 2,
                          .c = 5,
                          .h = 10,
                          .w = 9,
                          .f = 19,
                          .kh = 3,
                          .kw = 3,
                          .oh = 10,
                          .ow = 9,
                          .stride_h = 1,
                          .stride_w = 1,
                          .dilation_h = 1,
                          .dilation_w = 1,
                          .pad_top = 1,
                          .pad_left = 1,
                          .groups = 1};
    static const int options[] = {
        0,           BIAS | RELU,           BIAS | RELU | RESIDUAL, MASK, POOL, BIAS | RELU | POOL,
        BIAS | POOL, RELU | RESIDUAL | POOL};
    const int64_t n_y = g.n * g.oh * g.ow * g.f;
    uint16_t *x = reference_numbers(KATA_BF16, g.n * g.h * g.w * g.c);
    uint16_t *residual = reference_numbers(KATA_BF16, n_y);
    uint16_t *mask = reference_numbers(KATA_BF16, n_y);
    float *weight = reference_numbers(KATA_F32, g.f * g.c * 9);
    float *bias = reference_numbers(KATA_F32, g.f);
    for (int64_t i = 0; i < n_y; i += 37) {
        mask[i] = kata_f32_to_bf16(NAN);
    }
    for (int k = 0; k < 3 * BFLOAT16_WAYS; k++) {
        for (int64_t at = 0; bfloat16_contexts[k / 3][0] != NULL && at < g.h * g.w; at++) {
            for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
                check_spot(k / 3, (kata__conv_algorithm)(k % 3), &g, options[i], x, at / g.w,
                           at % g.w, NAN, weight, bias, residual, mask);
                check_spot(k / 3, (kata__conv_algorithm)(k % 3), &g, options[i], x, at / g.w,
                           at % g.w, i % 2 ? INFINITY : -INFINITY, weight, bias, residual, mask);
            }
        }
    }
    free(x);
    free(residual);
    free(mask);
    free(weight);
    free(bias);
}

/* A NaN in the weight reaches its filter's results and no other; in x its channel's gradients, in
 * dy its filter's, and no others. */
static void test_not_finite_gradient(void **state) {
    (void)state;
    const kata__conv g = layer(2, 18, 9, 19, 3, 1);
    const int64_t n_x = g.n * g.h * g.w * g.c, n_y = g.n * g.oh * g.ow * g.f, n_w = g.f * g.c * 9;
    enum { CHANNEL = 17, FILTER = 3 };
    uint16_t *x = reference_numbers(KATA_BF16, n_x), *dy = reference_numbers(KATA_BF16, n_y);
    float *weight = reference_numbers(KATA_F32, n_w), *bias = reference_numbers(KATA_F32, g.f);
    uint16_t *y = reference_buffer((size_t)n_y * 2);
    float *dw = reference_buffer((size_t)n_w * sizeof *dw);
    float *db = reference_buffer((size_t)g.f * sizeof *db);
    for (int k = 0; k < 3 * BFLOAT16_WAYS; k++) {
        kata_context *context = bfloat16_contexts[k / 3][0];
        const kata__conv_algorithm algorithm = (kata__conv_algorithm)(k % 3);
        const kata__conv_bf16_store store = {.bias = bias, .relu = true};
        for (int64_t tap = 0; context != NULL && tap < 9; tap++) {
            float *spot = weight + (FILTER * g.c + CHANNEL) * 9 + tap;
            const float old = *spot;
            *spot = NAN;
            run_forward(context, &g, algorithm, x, weight, &store, y);
            *spot = old;
            for (int64_t i = 0; i < n_y; i++) {
                const int64_t iy = i / g.f / g.ow % g.oh + tap / 3 - 1;
                const int64_t ix = i / g.f % g.ow + tap % 3 - 1;
                const bool meets = iy >= 0 && iy < g.h && ix >= 0 && ix < g.w;
                assert_true(i % g.f == FILTER ? !meets || isnan(number(y[i]))
                                              : isfinite(number(y[i])));
            }
        }
        for (int64_t at = 0; context != NULL && at < g.h * g.w; at++) {
            const bool inside = at / g.w % 8 != 0 && at % g.w % 8 != 0; /* then all taps meet it */
            uint16_t *spots[2] = {x + at * g.c + CHANNEL, dy + at * g.f + FILTER};
            for (int s = 0; s < 2; s++) {
                const uint16_t old = *spots[s];
                *spots[s] = kata_f32_to_bf16(NAN);
                run_weight(context, &g, algorithm, x, dy, dw, db);
                *spots[s] = old;
                for (int64_t i = 0; i < n_w; i++) {
                    const bool same = s ? i / 9 / g.c == FILTER : i / 9 % g.c == CHANNEL;
                    const bool middle = i % 9 == 4; /* which meets every place */
                    assert_true(same ? isnan(dw[i]) || !(inside || middle) : isfinite(dw[i]));
                }
                for (int64_t f = 0; f < g.f; f++) {
                    assert_true(s && f == FILTER ? isnan(db[f]) : isfinite(db[f]));
                }
            }
        }
    }
    free(x);
    free(dy);
    free(weight);
    free(bias);
    free(y);
    free(dw);
    free(db);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_choice_of_contexts),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_not_finite_gradient),
    };
    return cmocka_run_group_tests_name("kernel/winograd_bf16", tests, bfloat16_setup,
                                       bfloat16_teardown);
}
