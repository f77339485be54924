/* Convolution and its gradients against plain loops in double, for every instruction set and type,
 * and the same bits for every number of threads. */
#include "kernel/reference_gemm.h"

struct walk {
    kata_dtype dtype;
    const void *x, *weight, *dy;
    double *y, *dx, *dw;
};

static void visit(void *argument, int64_t x, int64_t weight, int64_t y) {
    struct walk *w = argument;
    const double xv = kata_load(w->dtype, w->x, x);
    const double wv = kata_load(w->dtype, w->weight, weight);
    const double dv = kata_load(w->dtype, w->dy, y);
    w->y[y] += xv * wv;
    w->dx[x] += dv * wv;
    w->dw[weight] += dv * xv;
}

static void check(kata_dtype dtype, const kata__conv *g, bool with_bias, bool relu) {
    const int64_t x_count = g->n * g->c * g->h * g->w, y_count = g->n * g->f * g->oh * g->ow;
    const int64_t weight_count = g->f * (g->c / g->groups) * g->kh * g->kw;
    const size_t size = kata_dtype_size(dtype);
    void *x = reference_numbers(dtype, x_count), *weight = reference_numbers(dtype, weight_count);
    void *dy = reference_numbers(dtype, y_count), *bias = reference_numbers(dtype, g->f);
    struct walk w = {dtype, x, weight, dy, NULL, NULL, NULL};
    w.y = calloc((size_t)y_count + 1, sizeof(double));
    w.dx = calloc((size_t)x_count + 1, sizeof(double));
    w.dw = calloc((size_t)weight_count + 1, sizeof(double));
    double *db = calloc((size_t)g->f + 1, sizeof(double));
    assert_true(w.y && w.dx && w.dw && db);
    reference_conv_walk(g, visit, &w);
    for (int64_t i = 0; i < y_count; i++) {
        const int64_t f = i / (g->oh * g->ow) % g->f;
        w.y[i] += with_bias ? kata_load(dtype, bias, f) : 0;
        w.y[i] = relu && w.y[i] < 0 ? 0 : w.y[i];
        db[f] += kata_load(dtype, dy, i);
    }
    const int64_t kernel = g->kh * g->kw;
    const int64_t terms[4] = {g->c / g->groups * kernel, g->f / g->groups * kernel,
                              g->n * g->oh * g->ow, g->n * g->oh * g->ow};
    const int64_t counts[4] = {y_count, x_count, weight_count, g->f};
    const double *expected[4] = {w.y, w.dx, w.dw, db};
    static const char *const names[4] = {"forward", "by input", "by weight", "by bias"};

    for (int level = 0; level < REFERENCE_LEVELS; level++) {
        for (int pass = 0; pass < 4; pass++) {
            void *first = NULL;
            const size_t n_bytes = (size_t)counts[pass] * size;
            for (int t = 0; t < REFERENCE_THREADS; t++) {
                kata_context *context = reference_contexts[level][t];
                if (!context) {
                    continue;
                }
                void *out = reference_buffer(n_bytes), *workspace = NULL;
                if (pass < 3) {
                    workspace = reference_buffer(
                        kata__conv_workspace(context, dtype, g, (kata__conv_what)pass));
                }
                switch (pass) {
                case 0:
                    kata__conv_forward(context, dtype, g, x, weight, with_bias ? bias : NULL, relu,
                                       out, workspace);
                    break;
                case 1:
                    kata__conv_input(context, dtype, g, dy, weight, out, workspace);
                    break;
                case 2:
                    kata__conv_weight(context, dtype, g, x, dy, out, workspace);
                    break;
                default:
                    kata__conv_bias(context, dtype, g, dy, out);
                    break;
                }
                free(workspace);
                if (first) {
                    assert_memory_equal(out, first, n_bytes);
                    free(out);
                    continue;
                }
                first = out;
                char what[320];
                snprintf(what, sizeof what,
                         "%s %s %s n %lld c %lld h %lld w %lld f %lld k %lldx%lld o %lldx%lld "
                         "stride %lld %lld dilation %lld %lld pad %lld %lld groups %lld",
                         reference_levels[level], kata_dtype_name(dtype), names[pass],
                         (long long)g->n, (long long)g->c, (long long)g->h, (long long)g->w,
                         (long long)g->f, (long long)g->kh, (long long)g->kw, (long long)g->oh,
                         (long long)g->ow, (long long)g->stride_h, (long long)g->stride_w,
                         (long long)g->dilation_h, (long long)g->dilation_w, (long long)g->pad_top,
                         (long long)g->pad_left, (long long)g->groups);
                reference_compare(what, dtype, out, expected[pass], counts[pass],
                                  reference_tolerance(dtype, terms[pass]));
            }
            free(first);
        }
    }
    free(x);
    free(weight);
    free(dy);
    free(bias);
    free(w.y);
    free(w.dx);
    free(w.dw);
    free(db);
}

/* Sets oh and ow for the pads at the end; false if the output would be empty. */
static bool close_shape(kata__conv *g, int64_t pad_bottom, int64_t pad_right) {
    const int64_t y = g->h + g->pad_top + pad_bottom - (g->kh - 1) * g->dilation_h - 1;
    const int64_t x = g->w + g->pad_left + pad_right - (g->kw - 1) * g->dilation_w - 1;
    g->oh = y >= 0 ? y / g->stride_h + 1 : 0;
    g->ow = x >= 0 ? x / g->stride_w + 1 : 0;
    return g->oh > 0 && g->ow > 0;
}

static kata__conv plain(int64_t n, int64_t c, int64_t h, int64_t w, int64_t f, int64_t k,
                        int64_t pad) {
    kata__conv g = {.n = n,
                    .c = c,
                    .h = h,
                    .w = w,
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
    for (int round = 0; round < 400;) {
        const int64_t groups = reference_bits() % 3 ? 1 : reference_range(1, 5);
        kata__conv g = {.n = reference_range(1, 4),
                        .c = groups * reference_range(1, reference_bits() % 4 ? 4 : 20),
                        .h = reference_range(1, 13),
                        .w = reference_range(1, reference_bits() % 4 ? 13 : 40),
                        .f = groups * reference_range(1, reference_bits() % 4 ? 6 : 35),
                        .kh = reference_range(1, 4),
                        .kw = reference_range(1, 5),
                        .stride_h = reference_bits() % 2 ? 1 : reference_range(1, 4),
                        .stride_w = reference_bits() % 2 ? 1 : reference_range(1, 4),
                        .dilation_h = reference_bits() % 3 ? 1 : reference_range(1, 3),
                        .dilation_w = reference_bits() % 3 ? 1 : reference_range(1, 3),
                        .pad_top = reference_bits() % 2 ? 0 : reference_range(0, 4),
                        .pad_left = reference_bits() % 2 ? 0 : reference_range(0, 4),
                        .groups = groups};
        const bool even = reference_bits() % 2;
        if (!close_shape(&g, even ? g.pad_top : reference_range(0, 4),
                         even ? g.pad_left : reference_range(0, 4))) {
            continue;
        }
        check(round % 3 ? KATA_F32 : KATA_F64, &g, reference_bits() % 2, reference_bits() % 2);
        round++;
    }
}

/* The small networks' layers with fewer pictures, and enough work for many chunks. */
static void test_layers(void **state) {
    (void)state;
    static const int64_t layers[][6] = {
        /* c, h, f, k, pad, n */
        {1, 28, 30, 5, 0, 7},  {1, 28, 16, 3, 1, 5}, {16, 28, 16, 3, 1, 3}, {16, 14, 32, 3, 1, 3},
        {32, 14, 32, 3, 2, 3}, {32, 8, 64, 3, 1, 3}, {64, 8, 64, 3, 1, 1},  {64, 8, 64, 3, 1, 4},
        {40, 9, 33, 3, 1, 1},  {3, 33, 8, 7, 3, 2},  {20, 7, 20, 1, 0, 4},  {256, 4, 40, 3, 1, 2},
        {40, 90, 8, 3, 1, 1},  {5, 70, 5, 3, 1, 2},
    };
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
        const int64_t *l = layers[i];
        const kata__conv g = plain(l[5], l[0], l[1], l[1], l[2], l[3], l[4]);
        check(KATA_F32, &g, true, i % 2);
        check(KATA_F64, &g, i % 2, false);
    }
}

static void test_depthwise(void **state) {
    (void)state;
    for (int64_t per = 1; per <= 5; per++) {
        for (int64_t stride = 1; stride <= 2; stride++) {
            kata__conv g = plain(2, 24, 19, 35, 24 * per, 3, 1);
            g.groups = 24;
            g.stride_h = g.stride_w = stride;
            close_shape(&g, 1, 1);
            check(KATA_F32, &g, true, true);
            check(KATA_F64, &g, false, false);
        }
    }
}

/* h = 1; causal padding (all of it before), dilation. */
static void test_one_dimension(void **state) {
    (void)state;
    for (int64_t dilation = 1; dilation <= 8; dilation *= 2) {
        kata__conv g = plain(3, 5, 1, 100, 9, 1, 0);
        g.kw = 3;
        g.dilation_w = dilation;
        g.pad_left = 2 * dilation;
        close_shape(&g, 0, 0);
        assert_int_equal(g.ow, 100);
        check(KATA_F32, &g, true, false);
        check(KATA_F64, &g, false, false);
    }
}

static void test_odd_places(void **state) {
    (void)state;
    kata__conv g = plain(2, 3, 2, 3, 4, 5, 2); /* the kernel is larger than the picture */
    check(KATA_F32, &g, true, true);
    g = plain(0, 3, 8, 8, 4, 3, 1); /* no pictures: the gradients by weight and bias are 0 */
    check(KATA_F32, &g, true, true);
    g = plain(2, 3, 9, 9, 4, 3, 4); /* more padding than kernel */
    check(KATA_F64, &g, true, true);
    g = plain(1, 6, 11, 13, 5, 3,
              0); /* the stride skips rows at the end, and is above the kernel */
    g.stride_h = 4;
    g.stride_w = 5;
    close_shape(&g, 0, 0);
    check(KATA_F64, &g, false, false);
    g = plain(1, 4, 12, 12, 5, 3, 0); /* negative padding: the picture is cut */
    g.pad_top = -2;
    g.pad_left = -1;
    close_shape(&g, -1, -3);
    check(KATA_F64, &g, false, false);
    g.stride_h = 2;
    g.stride_w = 3;
    close_shape(&g, -1, -3);
    check(KATA_F64, &g, false, false);
    g = plain(2, 300, 3, 3, 7, 3,
              1); /* more terms than a block, output not in neighbours (stride) */
    g.stride_h = g.stride_w = 2;
    close_shape(&g, 1, 1);
    check(KATA_F32, &g, true, true);
    g = plain(1, 3, 3, 3, 300, 3, 1);
    g.stride_h = g.stride_w = 2;
    close_shape(&g, 1, 1);
    check(KATA_F32, &g, true, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),     cmocka_unit_test(test_layers),
        cmocka_unit_test(test_depthwise),  cmocka_unit_test(test_one_dimension),
        cmocka_unit_test(test_odd_places),
    };
    return cmocka_run_group_tests_name("kernel/conv", tests, reference_setup, reference_teardown);
}
