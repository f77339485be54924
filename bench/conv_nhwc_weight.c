/* Speed of the gradients of NHWC convolutions by their weights, and of NHWC
 * pooling, beside the processor's own peak of multiply-adds measured in the same run.
 *
 *   bench_conv_nhwc_weight [--threads N] [--kernels portable|avx2|avx512] [--ms N] [filter ...]
 *
 * Prints for each convolution the time of a call, GFLOP/s and the share of the peak of N threads;
 * taps on padding do not count as operations, nor do the sums of the bias. A "pooled" gradient
 * counts as many operations as the whole one. Pooling is given as GB/s of what it must move. */
#include "kernel/conv_nhwc.h"
#include "measure.h"

struct conv_case {
    kata__conv g;
    float *x, *dy, *dw, *db;
    uint8_t *index;
    kata__workspace workspace;
};

static void run_weight(void *argument) {
    struct conv_case *c = argument;
    kata__conv_nhwc_weight(context, &c->g, KATA__CONV_DIRECT, c->x, c->dy, c->index, false, c->dw,
                           c->db, &c->workspace);
}

/* Pairs of an output place and a tap that falls inside, of one direction. */
static int64_t pairs(int64_t size, int64_t k, int64_t pad, int64_t stride, int64_t out) {
    int64_t n = 0;
    for (int64_t o = 0; o < out; o++) {
        for (int64_t t = 0; t < k; t++) {
            const int64_t at = o * stride + t - pad;
            n += at >= 0 && at < size;
        }
    }
    return n;
}

static void bench_conv(int64_t n, int64_t c, int64_t size, int64_t f, int64_t k, int64_t pad,
                       int64_t stride, int64_t groups, bool pooled) {
    char name[96];
    snprintf(name, sizeof name, "weight %lldx%lldx%lld->%lld k%lld p%lld s%lld g%lld%s",
             (long long)n, (long long)c, (long long)size, (long long)f, (long long)k,
             (long long)pad, (long long)stride, (long long)groups, pooled ? " pooled" : "");
    if (!wanted(name)) {
        return;
    }
    const int64_t out = (size + 2 * pad - k) / stride + 1;
    struct conv_case one = {.g = {.n = n,
                                  .c = c,
                                  .h = size,
                                  .w = size,
                                  .f = f,
                                  .kh = k,
                                  .kw = k,
                                  .oh = out,
                                  .ow = out,
                                  .stride_h = stride,
                                  .stride_w = stride,
                                  .dilation_h = 1,
                                  .dilation_w = 1,
                                  .pad_top = pad,
                                  .pad_left = pad,
                                  .groups = groups}};
    const int64_t dy_count = n * f * (pooled ? (out / 2) * (out / 2) : out * out);
    one.x = numbers(n * c * size * size);
    one.dy = numbers(dy_count);
    one.dw = numbers(f * c / groups * k * k);
    one.db = numbers(f);
    if (pooled) {
        one.index = bytes((size_t)dy_count);
        for (int64_t i = 0; i < dy_count; i++) {
            one.index[i] = (uint8_t)(i * 7919 % 2003 % 4);
        }
    }
    one.workspace =
        workspace_of(kata__conv_nhwc_weight_workspace(context, &one.g, 0, pooled, false));
    const int64_t inside = pairs(size, k, pad, stride, out);
    report(name, 2.0 * (double)(n * f * (c / groups)) * (double)(inside * inside),
           measure(run_weight, &one));
    free(one.x);
    free(one.dy);
    free(one.dw);
    free(one.db);
    free(one.index);
    free(one.workspace.shared);
}

struct pool_case {
    kata__conv g;
    float *x, *y;
    uint8_t *index;
};

static void run_max(void *argument) {
    struct pool_case *c = argument;
    kata__max_pool_nhwc(context, &c->g, c->x, c->y, c->index);
}

static void run_max_gradient(void *argument) {
    struct pool_case *c = argument;
    kata__max_pool_nhwc_gradient(context, &c->g, c->y, c->index, c->x);
}

static void run_average(void *argument) {
    struct pool_case *c = argument;
    kata__average_pool_nhwc(context, &c->g, false, c->x, c->y);
}

static void run_average_gradient(void *argument) {
    struct pool_case *c = argument;
    kata__average_pool_nhwc_gradient(context, &c->g, false, c->y, c->x);
}

static void bench_pool(int64_t n, int64_t c, int64_t size, int64_t k, int64_t stride, int64_t pad) {
    static const char *const names[] = {"max", "max gradient", "average", "average gradient"};
    static const work runs[] = {run_max, run_max_gradient, run_average, run_average_gradient};
    const int64_t out = (size + 2 * pad - k) / stride + 1;
    struct pool_case one = {.g = {.n = n,
                                  .c = c,
                                  .h = size,
                                  .w = size,
                                  .f = c,
                                  .kh = k,
                                  .kw = k,
                                  .oh = out,
                                  .ow = out,
                                  .stride_h = stride,
                                  .stride_w = stride,
                                  .dilation_h = 1,
                                  .dilation_w = 1,
                                  .pad_top = pad,
                                  .pad_left = pad,
                                  .groups = 1}};
    const int64_t x_count = n * c * size * size, y_count = n * c * out * out;
    one.x = numbers(x_count);
    one.y = numbers(y_count);
    const bool with_index = k * k < KATA__POOL_NONE;
    one.index = with_index ? bytes((size_t)y_count) : NULL;
    run_max(&one);
    for (int pass = 0; pass < 4; pass++) {
        char name[96];
        snprintf(name, sizeof name, "pool %lldx%lldx%lld k%lld s%lld p%lld %s", (long long)n,
                 (long long)c, (long long)size, (long long)k, (long long)stride, (long long)pad,
                 names[pass]);
        if (!wanted(name) || (!one.index && pass < 2)) {
            continue;
        }
        const double seconds = measure(runs[pass], &one).seconds;
        const double moved = 4.0 * (double)(x_count + y_count) + (pass < 2 ? (double)y_count : 0.0);
        printf("%-46s %10.1f us %8.1f GB/s\n", name, seconds * 1e6, moved / seconds * 1e-9);
    }
    free(one.x);
    free(one.y);
    free(one.index);
}

int main(int argc, char **argv) {
    if (!begin(argc, argv)) {
        return 2;
    }
    bench_conv(100, 1, 28, 30, 5, 0, 1, 1, true);
    bench_conv(100, 1, 28, 30, 5, 0, 1, 1, false);
    bench_conv(100, 1, 28, 16, 3, 1, 1, 1, false);
    bench_conv(100, 3, 32, 32, 3, 1, 1, 1, false);
    bench_conv(100, 16, 28, 16, 3, 1, 1, 1, false);
    bench_conv(100, 16, 28, 16, 3, 1, 1, 1, true);
    bench_conv(100, 16, 14, 32, 3, 1, 1, 1, false);
    bench_conv(100, 32, 14, 32, 3, 2, 1, 1, false);
    bench_conv(100, 32, 14, 32, 3, 2, 1, 1, true);
    bench_conv(100, 32, 8, 64, 3, 1, 1, 1, false);
    bench_conv(100, 64, 8, 64, 3, 1, 1, 1, false);
    bench_conv(100, 64, 8, 64, 3, 1, 1, 1, true);
    bench_conv(10, 3, 224, 64, 7, 3, 2, 1, false);
    bench_conv(10, 64, 56, 256, 1, 0, 1, 1, false);
    bench_conv(10, 256, 56, 64, 1, 0, 1, 1, false);
    bench_conv(10, 64, 56, 64, 3, 1, 1, 1, false);
    bench_conv(10, 256, 14, 256, 3, 1, 1, 1, false);
    bench_conv(10, 128, 56, 128, 3, 1, 2, 1, false);
    bench_conv(20, 32, 112, 32, 3, 1, 1, 32, false);
    bench_conv(20, 96, 112, 96, 3, 1, 2, 96, false);
    bench_conv(20, 144, 56, 144, 3, 1, 1, 144, false);
    bench_conv(20, 384, 14, 384, 3, 1, 1, 384, false);
    bench_conv(20, 960, 7, 960, 3, 1, 1, 960, false);

    bench_pool(100, 30, 24, 2, 2, 0);
    bench_pool(100, 16, 28, 2, 2, 0);
    bench_pool(100, 64, 8, 2, 2, 0);
    bench_pool(20, 64, 112, 3, 2, 1);
    bench_pool(20, 1280, 7, 7, 1, 0);
    kata_context_free(context);
    return 0;
}
