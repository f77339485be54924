/* Pooling and its gradients against plain loops, for every instruction set and type, and the same
 * bits for every number of threads. */
#include "kernel/reference_gemm.h"

/* What pooling should give, in double. */
struct expected {
    double *y, *dx;
    int32_t *index;
};

static void reference_max(kata_dtype dtype, const kata__conv *g, const void *x, const void *dy,
                          struct expected *e) {
    memset(e->dx, 0, (size_t)(g->n * g->c * g->h * g->w) * sizeof(double));
    for (int64_t i = 0; i < g->n * g->c * g->oh * g->ow; i++) {
        const int64_t plane = i / (g->oh * g->ow), oy = i / g->ow % g->oh, ox = i % g->ow;
        double best = -INFINITY;
        int64_t where = -1;
        for (int64_t t = 0; t < g->kh * g->kw; t++) {
            const int64_t y = oy * g->stride_h + t / g->kw * g->dilation_h - g->pad_top;
            const int64_t xx = ox * g->stride_w + t % g->kw * g->dilation_w - g->pad_left;
            if (y < 0 || y >= g->h || xx < 0 || xx >= g->w) {
                continue;
            }
            const double v = kata_load(dtype, x, (plane * g->h + y) * g->w + xx);
            if (where < 0 || v > best || (isnan(v) && !isnan(best))) {
                best = v;
                where = y * g->w + xx;
            }
        }
        e->y[i] = best;
        e->index[i] = (int32_t)where;
        if (where >= 0) {
            e->dx[plane * g->h * g->w + where] += kata_load(dtype, dy, i);
        }
    }
}

static void reference_average(kata_dtype dtype, const kata__conv *g, bool include, const void *x,
                              const void *dy, struct expected *e) {
    memset(e->dx, 0, (size_t)(g->n * g->c * g->h * g->w) * sizeof(double));
    for (int64_t i = 0; i < g->n * g->c * g->oh * g->ow; i++) {
        const int64_t plane = i / (g->oh * g->ow), oy = i / g->ow % g->oh, ox = i % g->ow;
        for (int pass = 0; pass < 2; pass++) {
            static double sum;
            static int64_t count;
            if (pass == 0) {
                sum = 0;
                count = 0;
            }
            const double divisor = include ? (double)(g->kh * g->kw) : (double)count;
            for (int64_t t = 0; t < g->kh * g->kw; t++) {
                const int64_t y = oy * g->stride_h + t / g->kw * g->dilation_h - g->pad_top;
                const int64_t xx = ox * g->stride_w + t % g->kw * g->dilation_w - g->pad_left;
                if (y < 0 || y >= g->h || xx < 0 || xx >= g->w) {
                    continue;
                }
                const int64_t at = (plane * g->h + y) * g->w + xx;
                if (pass == 0) {
                    sum += kata_load(dtype, x, at);
                    count++;
                } else {
                    e->dx[at] += kata_load(dtype, dy, i) / divisor;
                }
            }
            if (pass == 0) {
                const int64_t all = include ? g->kh * g->kw : count;
                e->y[i] = all > 0 ? sum / (double)all : 0;
            }
        }
    }
}

/* Every n-th number or so is a NaN; 0: none. */
static void check(kata_dtype dtype, const kata__conv *g, bool ties, int64_t nans) {
    const int64_t x_count = g->n * g->c * g->h * g->w, y_count = g->n * g->c * g->oh * g->ow;
    const size_t size = kata_dtype_size(dtype);
    void *x = reference_numbers(dtype, x_count), *dy = reference_numbers(dtype, y_count);
    for (int64_t i = 0; ties && i < x_count; i++) { /* equal maxima: the first one counts */
        kata_store(dtype, x, i, floor(3 * kata_load(dtype, x, i)));
    }
    for (int64_t i = 0; nans > 0 && i < x_count; i++) {
        if (reference_bits() % (uint32_t)nans == 0) {
            kata_store(dtype, x, i, NAN);
        }
    }
    struct expected e = {reference_buffer((size_t)y_count * sizeof(double)),
                         reference_buffer((size_t)x_count * sizeof(double)),
                         reference_buffer((size_t)y_count * sizeof(int32_t))};
    for (int way = 0; way < 3; way++) {
        if (way == 0) {
            reference_max(dtype, g, x, dy, &e);
        } else {
            reference_average(dtype, g, way == 2, x, dy, &e);
        }
        for (int level = 0; level < REFERENCE_LEVELS; level++) {
            void *first_y = NULL, *first_dx = NULL;
            for (int t = 0; t < REFERENCE_THREADS; t++) {
                kata_context *context = reference_contexts[level][t];
                if (!context) {
                    continue;
                }
                void *y = reference_buffer((size_t)y_count * size);
                void *dx = reference_buffer((size_t)x_count * size);
                int32_t *index = reference_buffer((size_t)y_count * sizeof(int32_t));
                if (way == 0) {
                    kata__max_pool(context, dtype, g, x, y, NULL);
                    reference_compare("max pool without index", dtype, y, e.y, y_count, 0);
                    kata__max_pool(context, dtype, g, x, y, index);
                    assert_memory_equal(index, e.index, (size_t)y_count * sizeof(int32_t));
                    kata__max_pool_gradient(context, dtype, g, dy, index, dx);
                } else {
                    kata__average_pool(context, dtype, g, way == 2, x, y);
                    kata__average_pool_gradient(context, dtype, g, way == 2, dy, dx);
                }
                free(index);
                const double tolerance = dtype == KATA_F32 ? 1e-5 : 1e-13;
                reference_compare(way == 0 ? "max pool" : "average pool", dtype, y, e.y, y_count,
                                  way == 0 ? 0 : tolerance);
                reference_compare(way == 0 ? "max pool gradient" : "average pool gradient", dtype,
                                  dx, e.dx, x_count, tolerance);
                if (first_y) {
                    assert_memory_equal(y, first_y, (size_t)y_count * size);
                    assert_memory_equal(dx, first_dx, (size_t)x_count * size);
                    free(y);
                    free(dx);
                } else {
                    first_y = y;
                    first_dx = dx;
                }
            }
            free(first_y);
            free(first_dx);
        }
    }
    free(x);
    free(dy);
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
        kata__conv g = {.n = reference_range(0, 4),
                        .c = reference_range(1, 7),
                        .h = reference_range(1, 20),
                        .w = reference_range(1, 40),
                        .kh = reference_range(1, 4),
                        .kw = reference_range(1, 4),
                        .stride_h = reference_range(1, 4),
                        .stride_w = reference_range(1, 4),
                        .dilation_h = reference_bits() % 3 ? 1 : 2,
                        .dilation_w = reference_bits() % 3 ? 1 : 2,
                        .groups = 1};
        g.f = g.c;
        g.pad_top = reference_range(0, g.kh - 1);
        g.pad_left = reference_range(0, g.kw - 1);
        if (!close_shape(&g, reference_range(0, g.kh - 1), reference_range(0, g.kw - 1))) {
            continue;
        }
        const bool special = g.kh == 2 && g.kw == 2 && g.stride_h == 2 && g.stride_w == 2;
        check(round % 2 ? KATA_F32 : KATA_F64, &g, reference_bits() % 2,
              special || reference_bits() % 4 ? 0 : reference_range(2, 50));
        round++;
    }
}

/* 2x2, stride 2, the one that has loops of its own; odd sizes; enough planes for several chunks. */
static void test_two_by_two(void **state) {
    (void)state;
    for (int64_t size = 2; size < 40; size++) {
        kata__conv g = {.n = 3,
                        .c = 2,
                        .h = size,
                        .w = 41 - size,
                        .f = 2,
                        .kh = 2,
                        .kw = 2,
                        .stride_h = 2,
                        .stride_w = 2,
                        .dilation_h = 1,
                        .dilation_w = 1,
                        .groups = 1};
        close_shape(&g, 0, 0);
        check(KATA_F32, &g, false, 0);
        check(KATA_F32, &g, true, 0);
        check(KATA_F64, &g, true, 0);
    }
    kata__conv g = {.n = 30,
                    .c = 30,
                    .h = 24,
                    .w = 24,
                    .f = 30,
                    .kh = 2,
                    .kw = 2,
                    .stride_h = 2,
                    .stride_w = 2,
                    .dilation_h = 1,
                    .dilation_w = 1,
                    .groups = 1};
    close_shape(&g, 0, 0);
    check(KATA_F32, &g, true, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_two_by_two),
    };
    return cmocka_run_group_tests_name("kernel/pool", tests, reference_setup, reference_teardown);
}
