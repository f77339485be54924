/* Channels-last bfloat16 convolution against plain loops in double, for every way to multiply, and
 * the same bits for every number of threads. */
#include "kernel/conv_nhwc_bf16.h"
#include "kernel/reference_bfloat16.h"

struct walk {
    const uint16_t *x, *dy; /* (n,c,h,w) */
    const float *weight;
    double *y, *dw;
};

static double rounded(float v) {
    return (double)kata_bf16_to_f32(kata_f32_to_bf16(v));
}

static void visit(void *argument, int64_t x, int64_t weight, int64_t y) {
    struct walk *w = argument;
    const double xv = (double)kata_bf16_to_f32(w->x[x]);
    w->y[y] += xv * rounded(w->weight[weight]);
    w->dw[weight] += xv * (double)kata_bf16_to_f32(w->dy[y]);
}

/* (n,c,hw) from (n,hw,c), or back. */
static int64_t last(int64_t i, int64_t c, int64_t hw) {
    return (i / (c * hw) * hw + i % hw) * c + i / hw % c;
}

static uint16_t *to_last(const uint16_t *x, int64_t n, int64_t c, int64_t hw) {
    uint16_t *out = reference_buffer((size_t)(n * c * hw) * sizeof *out);
    for (int64_t i = 0; i < n * c * hw; i++) {
        out[last(i, c, hw)] = x[i];
    }
    return out;
}

typedef struct flags {
    bool bias, residual, relu, mask, pool, float_input;
} flags;

static void describe(char *what, size_t size, int way, const char *name, const kata__conv *g) {
    snprintf(what, size,
             "%s %s %s n %lld c %lld h %lld w %lld f %lld k %lldx%lld o %lldx%lld stride %lld %lld "
             "dilation %lld %lld pad %lld %lld groups %lld",
             bfloat16_ways[way][0], bfloat16_ways[way][1], name, (long long)g->n, (long long)g->c,
             (long long)g->h, (long long)g->w, (long long)g->f, (long long)g->kh, (long long)g->kw,
             (long long)g->oh, (long long)g->ow, (long long)g->stride_h, (long long)g->stride_w,
             (long long)g->dilation_h, (long long)g->dilation_w, (long long)g->pad_top,
             (long long)g->pad_left, (long long)g->groups);
}

/* The pooled numbers and places that `y` (n,f,oh,ow, before bias and relu) must give are checked
 * against the window: the number is its maximum to within rounding, and the place is one whose
 * number is the maximum. */
static void check_pool(const char *what, const kata__conv *g, const flags *o, const double *sums,
                       const float *bias, const uint16_t *y, const uint8_t *index,
                       double tolerance) {
    const int64_t ph = g->oh / 2, pw = g->ow / 2;
    for (int64_t i = 0; i < g->n * g->f * ph * pw; i++) {
        const int64_t px = i % pw, py = i / pw % ph, plane = i / (pw * ph), f = plane % g->f;
        const int64_t at = last(i, g->f, ph * pw);
        double best = -INFINITY;
        for (int k = 0; k < 4; k++) {
            const double v = sums[(plane * g->oh + 2 * py + k / 2) * g->ow + 2 * px + k % 2];
            best = v > best ? v : best;
        }
        const double biased = best + (o->bias ? (double)bias[f] : 0);
        const double expected = o->relu && biased < 0 ? 0 : biased;
        const double got = (double)kata_bf16_to_f32(y[at]);
        if (!(fabs(got - expected) <= tolerance * (1 + fabs(expected)))) {
            fail_msg("%s: pooled number %lld is %g, expected %g", what, (long long)i, got,
                     expected);
        }
        if (o->relu && biased < -1e-5) {
            assert_int_equal(index[at], KATA__POOL_NONE);
        } else if (biased > 1e-5) {
            assert_in_range(index[at], 0, 3);
            const double v =
                sums[(plane * g->oh + 2 * py + index[at] / 2) * g->ow + 2 * px + index[at] % 2];
            assert_true(fabs(v - best) < 1e-4);
        }
    }
}

static void check(const kata__conv *g, const flags *o) {
    const int64_t x_count = g->n * g->c * g->h * g->w, y_count = g->n * g->f * g->oh * g->ow;
    const int64_t weight_count = g->f * (g->c / g->groups) * g->kh * g->kw;
    const int64_t out_count = o->pool ? g->n * g->f * (g->oh / 2) * (g->ow / 2) : y_count;
    uint16_t *x = reference_numbers(KATA_BF16, x_count);
    uint16_t *dy = reference_numbers(KATA_BF16, y_count);
    uint16_t *residual = reference_numbers(KATA_BF16, y_count);
    uint16_t *mask = reference_numbers(KATA_BF16, y_count);
    float *weight = reference_numbers(KATA_F32, weight_count);
    float *bias = reference_numbers(KATA_F32, g->f);
    double *y = calloc((size_t)y_count + 1, sizeof *y), *db = calloc((size_t)g->f + 1, sizeof *db);
    double *dw = calloc((size_t)weight_count + 1, sizeof *dw);
    double *expected = calloc((size_t)y_count + 1, sizeof *y);
    assert_true(y && dw && db && expected);
    struct walk w = {x, dy, weight, y, dw};
    reference_conv_walk(g, visit, &w);
    for (int64_t i = 0; i < y_count; i++) {
        const int64_t f = i / (g->oh * g->ow) % g->f, at = last(i, g->f, g->oh * g->ow);
        y[i] += o->residual ? (double)kata_bf16_to_f32(residual[at]) : 0;
        double v = y[i] + (o->bias ? (double)bias[f] : 0);
        v = o->relu && v < 0 ? 0 : v;
        expected[at] = o->mask && kata_bf16_to_f32(mask[at]) <= 0 ? 0 : v;
        db[f] += (double)kata_bf16_to_f32(dy[i]);
    }
    uint16_t *x_last = to_last(x, g->n, g->c, g->h * g->w);
    uint16_t *dy_last = to_last(dy, g->n, g->f, g->oh * g->ow);
    float *x_float = reference_buffer((size_t)x_count * sizeof *x_float);
    for (int64_t i = 0; i < x_count; i++) {
        x_float[i] = kata_bf16_to_f32(x_last[i]);
    }
    const kata__conv_bf16_input input = {o->float_input ? KATA_F32 : KATA_BF16,
                                         o->float_input ? (void *)x_float : (void *)x_last, NULL};
    const int64_t terms = g->c / g->groups * g->kh * g->kw;
    const double tolerance = bfloat16_tolerance(KATA_BF16, terms);
    for (int way = 0; way < BFLOAT16_WAYS; way++) {
        uint16_t *first_y = NULL;
        uint8_t *first_index = NULL;
        float *first_dw = NULL, *first_db = NULL;
        for (int t = 0; t < BFLOAT16_THREADS; t++) {
            kata_context *context = bfloat16_contexts[way][t];
            if (context == NULL) {
                continue;
            }
            uint16_t *packed =
                reference_buffer((size_t)kata__conv_bf16_packed(context, g, KATA__CONV_DIRECT) * 2);
            kata__conv_bf16_pack(context, g, KATA__CONV_DIRECT, false, weight, packed);
            uint16_t *out = reference_buffer((size_t)out_count * 2);
            uint8_t *index = reference_buffer((size_t)out_count);
            const kata__conv_bf16_store store = {o->bias ? bias : NULL,
                                                 o->residual ? residual : NULL,
                                                 o->relu,
                                                 o->mask && !o->pool ? mask : NULL,
                                                 o->pool,
                                                 o->pool ? index : NULL};
            kata__workspace workspace = reference_workspace(
                context, kata__conv_bf16_workspace(context, g, KATA__CONV_DIRECT, o->pool));
            kata__conv_bf16(context, g, KATA__CONV_DIRECT, &input, packed, &store, out, &workspace);
            free(workspace.shared);
            free(packed);
            float *got_dw = reference_buffer((size_t)weight_count * sizeof *got_dw);
            float *got_db = reference_buffer((size_t)g->f * sizeof *got_db);
            workspace = reference_workspace(
                context, kata__conv_bf16_weight_workspace(context, g, KATA__CONV_DIRECT, false));
            kata__conv_bf16_weight(context, g, KATA__CONV_DIRECT, &input, dy_last, NULL, got_dw,
                                   got_db, &workspace);
            free(workspace.shared);
            if (first_y != NULL) {
                assert_memory_equal(out, first_y, (size_t)out_count * 2);
                assert_memory_equal(index, first_index, (size_t)out_count);
                assert_memory_equal(got_dw, first_dw, (size_t)weight_count * sizeof *got_dw);
                assert_memory_equal(got_db, first_db, (size_t)g->f * sizeof *got_db);
                free(out);
                free(index);
                free(got_dw);
                free(got_db);
                continue;
            }
            first_y = out;
            first_index = index;
            first_dw = got_dw;
            first_db = got_db;
            char what[360];
            describe(what, sizeof what, way, "forward", g);
            if (o->pool) {
                check_pool(what, g, o, y, bias, out, index, tolerance);
            } else {
                reference_compare(what, KATA_BF16, out, expected, y_count, tolerance);
            }
            const int64_t sums = g->n * g->oh * g->ow;
            describe(what, sizeof what, way, "by weight", g);
            reference_compare(what, KATA_F32, got_dw, dw, weight_count,
                              bfloat16_tolerance(KATA_F32, sums));
            describe(what, sizeof what, way, "by bias", g);
            reference_compare(what, KATA_F32, got_db, db, g->f, bfloat16_tolerance(KATA_F32, sums));
        }
        free(first_y);
        free(first_index);
        free(first_dw);
        free(first_db);
    }
    free(x);
    free(dy);
    free(residual);
    free(mask);
    free(weight);
    free(bias);
    free(y);
    free(db);
    free(dw);
    free(expected);
    free(x_last);
    free(dy_last);
    free(x_float);
}

static bool close_shape(kata__conv *g, int64_t pad_bottom, int64_t pad_right) {
    const int64_t y = g->h + g->pad_top + pad_bottom - (g->kh - 1) * g->dilation_h - 1;
    const int64_t x = g->w + g->pad_left + pad_right - (g->kw - 1) * g->dilation_w - 1;
    g->oh = y >= 0 ? y / g->stride_h + 1 : 0;
    g->ow = x >= 0 ? x / g->stride_w + 1 : 0;
    return g->oh > 0 && g->ow > 0;
}

static kata__conv plain(int64_t n, int64_t c, int64_t h, int64_t f, int64_t k, int64_t pad) {
    kata__conv g = {.n = n,
                    .c = c,
                    .h = h,
                    .w = h,
                    .f = f,
                    .kh = k,
                    .kw = k,
                    .stride_h = 1,
                    .stride_w = 1,
                    .dilation_h = 1,
                    .dilation_w = 1,
                    .pad_top = pad,
                    .pad_left = pad,
                    .groups = 1};
    close_shape(&g, pad, pad);
    return g;
}

static void test_random(void **state) {
    (void)state;
    for (int round = 0; round < 250;) {
        const int64_t groups = reference_bits() % 4 ? 1 : reference_range(1, 4);
        const bool simple = reference_bits() % 2;
        kata__conv g = {.n = reference_range(1, 4),
                        .c = groups * reference_range(1, reference_bits() % 3 ? 5 : 40),
                        .h = reference_range(1, 13),
                        .w = reference_range(1, reference_bits() % 4 ? 13 : 40),
                        .f = groups * reference_range(1, reference_bits() % 3 ? 6 : 80),
                        .kh = reference_range(1, 4),
                        .kw = reference_range(1, 5),
                        .stride_h = simple ? 1 : reference_range(1, 3),
                        .stride_w = simple ? 1 : reference_range(1, 3),
                        .dilation_h = simple ? 1 : reference_range(1, 3),
                        .dilation_w = simple ? 1 : reference_range(1, 3),
                        .pad_top = reference_range(-1, 3),
                        .pad_left = reference_range(-1, 3),
                        .groups = groups};
        const bool even = reference_bits() % 2;
        if (!close_shape(&g, even ? g.pad_top : reference_range(-1, 3),
                         even ? g.pad_left : reference_range(-1, 3))) {
            continue;
        }
        const uint32_t bits = reference_bits();
        const flags o = {bits & 1,
                         bits >> 1 & 1,
                         bits >> 2 & 1,
                         bits >> 3 & 1,
                         bits >> 4 & 1 && g.oh > 1 && g.ow > 1,
                         bits >> 5 & 1};
        check(&g, &o);
        round++;
    }
}

/* The small networks' layers with fewer pictures. */
static void test_layers(void **state) {
    (void)state;
    static const int64_t layers[][6] = {
        /* c, h, f, k, pad, n */
        {1, 28, 30, 5, 0, 7},  {1, 28, 16, 3, 1, 5}, {16, 28, 16, 3, 1, 3}, {16, 14, 32, 3, 1, 3},
        {32, 14, 32, 3, 2, 3}, {32, 8, 64, 3, 1, 3}, {64, 8, 64, 3, 1, 1},  {64, 8, 64, 3, 1, 25},
        {40, 9, 33, 3, 1, 1},  {3, 33, 8, 7, 3, 2},  {20, 7, 20, 1, 0, 4},  {130, 4, 140, 3, 1, 2},
    };
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
        const int64_t *l = layers[i];
        const kata__conv g = plain(l[5], l[0], l[1], l[2], l[3], l[4]);
        check(&g, &(flags){.bias = true, .relu = true, .pool = i % 2, .float_input = l[0] == 1});
        check(&g, &(flags){.mask = i % 2, .residual = i % 2 == 0});
    }
}

/* The gradient by the input is the convolution with the weight flipped; and what an index spreads
 * on the way is what a spread tensor gives. */
static void test_flipped_and_spread(void **state) {
    (void)state;
    for (int round = 0; round < 24; round++) {
        const kata__conv_algorithm algorithm = (kata__conv_algorithm)(round / 2 % 3);
        /* Forward: (n,c,h,h) -> (n,f,2p,2p) -> pooled (n,f,p,p). */
        const int64_t c = reference_range(1, 40), f = reference_range(1, 40);
        const int64_t pad = reference_range(0, 2);
        const kata__conv forward = plain(3, c, 14 + round % 2, f, 3, pad);
        kata__conv back = plain(3, f, forward.oh, c, 3, 2 - pad);
        const int64_t ph = forward.oh / 2, pooled_count = 3 * f * ph * ph;
        const int64_t plane = forward.oh * forward.ow;
        float *weight = reference_numbers(KATA_F32, f * c * 9);
        uint16_t *pooled = reference_numbers(KATA_BF16, pooled_count); /* channels last */
        uint8_t *index = reference_buffer((size_t)pooled_count);
        uint16_t *dy = reference_buffer((size_t)(3 * f * plane) * 2);
        memset(dy, 0, (size_t)(3 * f * plane) * 2);
        for (int64_t i = 0; i < pooled_count; i++) {
            const int64_t k = reference_range(0, 4), ch = i % f, px = i / f % ph;
            const int64_t py = i / f / ph % ph, n = i / f / ph / ph;
            index[i] = k == 4 ? KATA__POOL_NONE : (uint8_t)k;
            if (k < 4) {
                dy[((n * forward.oh + 2 * py + k / 2) * forward.ow + 2 * px + k % 2) * f + ch] =
                    pooled[i];
            }
        }
        const int64_t dx_count = 3 * c * back.oh * back.ow;
        double *dx = calloc((size_t)dx_count, sizeof *dx);
        for (int64_t n = 0; n < 3; n++) {
            for (int64_t i = 0; i < plane * f * 9 * c; i++) {
                const int64_t ci = i % c, tap = i / c % 9, fi = i / c / 9 % f, p = i / c / 9 / f;
                const int64_t y = p / forward.ow + tap / 3 - pad,
                              x = p % forward.ow + tap % 3 - pad;
                if (y >= 0 && x >= 0 && y < forward.h && x < forward.w) {
                    dx[((n * forward.h + y) * forward.w + x) * c + ci] +=
                        (double)kata_bf16_to_f32(dy[(n * plane + p) * f + fi]) *
                        rounded(weight[(fi * c + ci) * 9 + tap]);
                }
            }
        }
        assert_int_equal(back.oh, forward.h);
        double most = 1;
        for (int64_t i = 0; i < dx_count; i++) {
            most = fmax(most, fabs(dx[i]));
        }
        for (int way = 0; way < BFLOAT16_WAYS; way++) {
            kata_context *context = bfloat16_contexts[way][1];
            if (context == NULL) {
                continue;
            }
            uint16_t *packed =
                reference_buffer((size_t)kata__conv_bf16_packed(context, &back, algorithm) * 2);
            kata__conv_bf16_pack(context, &back, algorithm, true, weight, packed);
            uint16_t *got[2];
            float *dw[2], *db[2];
            uint16_t *x = reference_buffer((size_t)(3 * c * forward.h * forward.w) * 2);
            memset(x, 0x3D, (size_t)(3 * c * forward.h * forward.w) * 2);
            for (int k = 0; k < 2; k++) {
                const kata__conv_bf16_input input = {KATA_BF16, k ? pooled : dy, k ? index : NULL};
                const kata__conv_bf16_input x_input = {KATA_BF16, x, NULL};
                kata__workspace workspace = reference_workspace(
                    context, kata__conv_bf16_workspace(context, &back, algorithm, false));
                got[k] = reference_buffer((size_t)dx_count * 2);
                kata__conv_bf16(context, &back, algorithm, &input, packed,
                                &(kata__conv_bf16_store){NULL}, got[k], &workspace);
                free(workspace.shared);
                workspace = reference_workspace(context, kata__conv_bf16_weight_workspace(
                                                             context, &forward, algorithm, k == 1));
                dw[k] = reference_buffer((size_t)(f * c * 9) * sizeof(float));
                db[k] = reference_buffer((size_t)f * sizeof(float));
                kata__conv_bf16_weight(context, &forward, algorithm, &x_input, k ? pooled : dy,
                                       k ? index : NULL, dw[k], db[k], &workspace);
                free(workspace.shared);
            }
            if (algorithm == KATA__CONV_DIRECT) {
                reference_compare("flipped", KATA_BF16, got[0], dx, dx_count,
                                  bfloat16_tolerance(KATA_BF16, 9 * f));
            }
            for (int64_t i = 0; algorithm != KATA__CONV_DIRECT && i < dx_count; i++) {
                const double error = fabs((double)kata_bf16_to_f32(got[0][i]) - dx[i]);
                const double near = bfloat16_winograd_bound(way, (int)algorithm, false) * most;
                assert_true(error <= near + fabs(dx[i]) / 256);
            }
            assert_memory_equal(got[0], got[1], (size_t)dx_count * 2);
            if (algorithm == KATA__CONV_DIRECT || forward.oh % 2 == 0) { /* else other tiles */
                assert_memory_equal(dw[0], dw[1], (size_t)(f * c * 9) * sizeof(float));
            }
            if (algorithm == KATA__CONV_DIRECT || forward.oh % 2 == 0) {
                assert_memory_equal(db[0], db[1], (size_t)f * sizeof(float));
            }
            for (int k = 0; k < 2; k++) {
                free(got[k]);
                free(dw[k]);
                free(db[k]);
            }
            free(x);
            free(packed);
        }
        free(weight);
        free(pooled);
        free(index);
        free(dy);
        free(dx);
    }
}

/* Winograd against sums in double, for every way to multiply and every store; the same bits for
 * every number of threads. bfloat16_winograd_bound says how large its errors may be; y is rounded
 * once more. */
static void check_winograd(const kata__conv *g, const flags *o, kata__conv_algorithm algorithm) {
    const int64_t x_count = g->n * g->c * g->h * g->w, y_count = g->n * g->f * g->oh * g->ow;
    const int64_t weight_count = g->f * g->c * 9;
    const int64_t out_count = o->pool ? g->n * g->f * (g->oh / 2) * (g->ow / 2) : y_count;
    uint16_t *x = reference_numbers(KATA_BF16, x_count);
    uint16_t *dy = reference_numbers(KATA_BF16, y_count);
    uint16_t *residual = reference_numbers(KATA_BF16, y_count);
    uint16_t *mask = reference_numbers(KATA_BF16, y_count);
    float *weight = reference_numbers(KATA_F32, weight_count);
    float *bias = reference_numbers(KATA_F32, g->f);
    double *y = calloc((size_t)y_count + 1, sizeof *y), *dw = calloc((size_t)weight_count + 1, 8);
    double *db = calloc((size_t)g->f + 1, sizeof *db);
    double y_most = 1, dw_most = 1;
    assert_true(y && dw && db);
    struct walk w = {x, dy, weight, y, dw};
    reference_conv_walk(g, visit, &w);
    for (int64_t i = 0; i < y_count; i++) {
        y_most = fmax(y_most, fabs(y[i]));
        db[i / (g->oh * g->ow) % g->f] += (double)kata_bf16_to_f32(dy[i]);
    }
    for (int64_t i = 0; i < weight_count; i++) {
        dw_most = fmax(dw_most, fabs(dw[i]));
    }
    uint16_t *x_last = to_last(x, g->n, g->c, g->h * g->w);
    uint16_t *dy_last = to_last(dy, g->n, g->f, g->oh * g->ow);
    const kata__conv_bf16_input input = {KATA_BF16, x_last, NULL};
    for (int way = 0; way < BFLOAT16_WAYS; way++) {
        uint16_t *first_y = NULL;
        uint8_t *first_index = NULL;
        float *first_dw = NULL;
        const double enlarged = bfloat16_winograd_bound(way, (int)algorithm, false);
        const double bound = bfloat16_winograd_bound(way, (int)algorithm, true);
        for (int t = 0; t < BFLOAT16_THREADS; t++) {
            kata_context *context = bfloat16_contexts[way][t];
            if (context == NULL) {
                continue;
            }
            uint16_t *packed =
                reference_buffer((size_t)kata__conv_bf16_packed(context, g, algorithm) * 2);
            uint16_t *out = reference_buffer((size_t)out_count * 2);
            uint8_t *index = reference_buffer((size_t)out_count);
            float *got = reference_buffer((size_t)(weight_count + g->f) * sizeof *got);
            const kata__conv_bf16_store store = {o->bias ? bias : NULL,
                                                 o->residual ? residual : NULL,
                                                 o->relu,
                                                 o->mask && !o->pool ? mask : NULL,
                                                 o->pool,
                                                 o->pool ? index : NULL};
            kata__workspace space = reference_workspace(
                context, kata__conv_bf16_workspace(context, g, algorithm, o->pool));
            kata__conv_bf16_pack(context, g, algorithm, false, weight, packed);
            kata__conv_bf16(context, g, algorithm, &input, packed, &store, out, &space);
            free(space.shared);
            space = reference_workspace(
                context, kata__conv_bf16_weight_workspace(context, g, algorithm, false));
            kata__conv_bf16_weight(context, g, algorithm, &input, dy_last, NULL, got,
                                   got + weight_count, &space);
            free(space.shared);
            free(packed);
            if (first_y != NULL) {
                assert_memory_equal(out, first_y, (size_t)out_count * 2);
                assert_memory_equal(index, first_index, (size_t)out_count);
                assert_memory_equal(got, first_dw, (size_t)(weight_count + g->f) * sizeof *got);
                free(out);
                free(index);
                free(got);
                continue;
            }
            first_y = out;
            first_index = index;
            first_dw = got;
            char what[360];
            describe(what, sizeof what, way, algorithm == 1 ? "F(2x2)" : "F(4x4)", g);
            const int64_t ph = o->pool ? g->oh / 2 : g->oh, pw = o->pool ? g->ow / 2 : g->ow;
            for (int64_t i = 0; i < out_count; i++) {
                const int64_t plane = i / (ph * pw), py = i / pw % ph, px = i % pw;
                const int64_t at = last(i, g->f, ph * pw);
                double best = -INFINITY;
                double value[4] = {0};
                for (int k = 0; k < (o->pool ? 4 : 1); k++) {
                    const int64_t oy = o->pool ? 2 * py + k / 2 : py;
                    const int64_t ox = o->pool ? 2 * px + k % 2 : px;
                    const int64_t from = (plane * g->oh + oy) * g->ow + ox;
                    const int64_t full = last(from, g->f, g->oh * g->ow);
                    double v = y[from] + (o->bias ? (double)bias[plane % g->f] : 0) +
                               (o->residual ? (double)kata_bf16_to_f32(residual[full]) : 0);
                    v = o->relu && v < 0 ? 0 : v;
                    v = store.mask != NULL && kata_bf16_to_f32(mask[full]) <= 0 ? 0 : v;
                    value[k] = v;
                    best = v > best ? v : best;
                }
                const double near = enlarged * y_most, got_y = (double)kata_bf16_to_f32(out[at]);
                if (!(fabs(got_y - best) <= near + fabs(best) / 256)) {
                    fail_msg("%s: number %lld is %g, expected %g", what, (long long)i, got_y, best);
                }
                if (o->pool && index[at] == KATA__POOL_NONE) {
                    assert_true(o->relu && best <= near);
                } else if (o->pool) {
                    assert_in_range(index[at], 0, 3);
                    assert_true(value[index[at]] >= best - 2 * near);
                }
            }
            for (int64_t i = 0; i < weight_count; i++) {
                if (!(fabs(got[i] - dw[i]) <= bound * dw_most)) {
                    fail_msg("%s: dw %lld is %g, expected %g", what, (long long)i, (double)got[i],
                             dw[i]);
                }
            }
            reference_compare(what, KATA_F32, got + weight_count, db, g->f,
                              bfloat16_tolerance(KATA_F32, g->n * g->oh * g->ow));
        }
        free(first_y);
        free(first_index);
        free(first_dw);
    }
    free(x);
    free(dy);
    free(residual);
    free(mask);
    free(weight);
    free(bias);
    free(y);
    free(dw);
    free(db);
    free(x_last);
    free(dy_last);
}

static void test_winograd(void **state) {
    (void)state;
    static const int64_t channels[] = {1, 3, 8, 15, 16, 17, 32, 33, 48};
    for (int round = 0; round < 60;) {
        const int64_t pad = reference_range(0, 2);
        kata__conv g = plain(reference_range(1, 3), channels[reference_bits() % 9],
                             reference_range(2, 13), channels[reference_bits() % 9], 3, pad);
        g.w = reference_range(2, 30);
        if (!close_shape(&g, reference_range(0, 2), reference_range(0, 2))) {
            continue;
        }
        const uint32_t bits = reference_bits();
        const flags o = {bits & 1,
                         bits >> 1 & 1,
                         bits >> 2 & 1,
                         bits >> 3 & 1,
                         bits >> 4 & 1 && g.oh > 1 && g.ow > 1,
                         false};
        check_winograd(&g, &o, KATA__CONV_WINOGRAD_2);
        check_winograd(&g, &o, KATA__CONV_WINOGRAD_4);
        round++;
    }
    const kata__conv many = plain(40, 16, 14, 32, 3, 1), deep = plain(1, 130, 7, 200, 3, 2);
    check_winograd(&many, &(flags){.bias = true, .relu = true, .pool = true},
                   KATA__CONV_WINOGRAD_4);
    check_winograd(&deep, &(flags){.mask = true}, KATA__CONV_WINOGRAD_4);
}

static void test_no_pictures(void **state) {
    (void)state;
    const kata__conv g = plain(0, 3, 8, 4, 3, 1);
    check(&g, &(flags){.bias = true});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_flipped_and_spread),
        cmocka_unit_test(test_winograd),
        cmocka_unit_test(test_no_pictures),
    };
    return cmocka_run_group_tests_name("kernel/conv_nhwc_bf16", tests, bfloat16_setup,
                                       bfloat16_teardown);
}
