/* Speed of products, convolutions and pooling, beside the processor's own peak of multiply-adds
 * measured in the same run.
 *
 *   bench_kernels [--threads N] [--kernels portable|avx2|avx512] [--f64] [--ms N] [filter ...]
 *
 * Prints for each case the time of a call, GFLOP/s, and the share of the peak of N threads at the
 * same moment. Taps on zero padding count as operations, but not in the rows "last" (convolution of
 * NHWC tensors). */
#include "kernel/conv_nhwc.h"
#include "kernel/gemm.h"
#include "measure.h"

struct gemm_case {
    kata__gemm g;
    kata__workspace workspace;
};

static void run_gemm(void *argument) {
    struct gemm_case *c = argument;
    kata__gemm_run(context, dtype, &c->g, &c->workspace);
}

static void bench_gemm(int64_t m, int64_t n, int64_t k, bool transpose_a, bool transpose_b) {
    char name[96];
    snprintf(name, sizeof name, "gemm %lldx%lldx%lld%s%s", (long long)m, (long long)n, (long long)k,
             transpose_a ? " A^T" : "", transpose_b ? " B^T" : "");
    if (!wanted(name)) {
        return;
    }
    void *a = numbers(m * k), *b = numbers(k * n), *c = numbers(m * n);
    struct gemm_case one = {.g = {.m = m,
                                  .n = n,
                                  .k = k,
                                  .a = a,
                                  .b = b,
                                  .c = c,
                                  .lda = transpose_a ? m : k,
                                  .ldb = transpose_b ? k : n,
                                  .ldc = n,
                                  .transpose_a = transpose_a,
                                  .transpose_b = transpose_b,
                                  .alpha = 1}};
    one.workspace = workspace_of(kata__gemm_workspace(context, dtype, &one.g));
    report(name, 2.0 * (double)m * (double)n * (double)k, measure(run_gemm, &one));
    free(one.workspace.shared);
    free(a);
    free(b);
    free(c);
}

struct conv_case {
    kata__conv g;
    void *x, *weight, *y, *bias, *workspace;
    int32_t *index;
};

static void run_forward(void *argument) {
    struct conv_case *c = argument;
    kata__conv_forward(context, dtype, &c->g, c->x, c->weight, c->bias, true, c->y, c->workspace);
}

static void run_input(void *argument) {
    struct conv_case *c = argument;
    kata__conv_input(context, dtype, &c->g, c->y, c->weight, c->x, c->workspace);
}

static void run_weight(void *argument) {
    struct conv_case *c = argument;
    kata__conv_weight(context, dtype, &c->g, c->x, c->y, c->weight, c->workspace);
}

static void bench_conv(int64_t n, int64_t channels, int64_t size, int64_t f, int64_t k, int64_t pad,
                       int64_t stride, int64_t groups) {
    static const char *const passes[] = {"forward", "input", "weight"};
    static const work runs[] = {run_forward, run_input, run_weight};
    for (int pass = 0; pass < 3; pass++) {
        char name[96];
        snprintf(name, sizeof name, "conv %lldx%lldx%lld->%lld k%lld p%lld s%lld g%lld %s",
                 (long long)n, (long long)channels, (long long)size, (long long)f, (long long)k,
                 (long long)pad, (long long)stride, (long long)groups, passes[pass]);
        if (!wanted(name)) {
            continue;
        }
        const int64_t out = (size + 2 * pad - k) / stride + 1;
        struct conv_case one = {.g = {.n = n,
                                      .c = channels,
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
        one.x = numbers(n * channels * size * size);
        one.weight = numbers(f * channels / groups * k * k);
        one.bias = numbers(f);
        one.y = numbers(n * f * out * out);
        one.workspace = bytes(kata__conv_workspace(context, dtype, &one.g, (kata__conv_what)pass));
        const double flops =
            2.0 * (double)(n * f * out * out) * (double)(channels / groups * k * k);
        report(name, flops, measure(runs[pass], &one));
        free(one.x);
        free(one.weight);
        free(one.bias);
        free(one.y);
        free(one.workspace);
    }
}

static void run_pool(void *argument) {
    struct conv_case *c = argument;
    kata__max_pool(context, dtype, &c->g, c->x, c->y, c->index);
}

static void run_pool_gradient(void *argument) {
    struct conv_case *c = argument;
    kata__max_pool_gradient(context, dtype, &c->g, c->y, c->index, c->x);
}

static void run_bias(void *argument) {
    struct conv_case *c = argument;
    kata__conv_bias(context, dtype, &c->g, c->x, c->bias);
}

/* Bandwidth instead of operations: bytes of input and output. */
static void bench_pool(int64_t n, int64_t channels, int64_t size) {
    const int64_t count = n * channels * size * size;
    struct conv_case one = {.g = {.n = n,
                                  .c = channels,
                                  .h = size,
                                  .w = size,
                                  .f = channels,
                                  .kh = 2,
                                  .kw = 2,
                                  .oh = size / 2,
                                  .ow = size / 2,
                                  .stride_h = 2,
                                  .stride_w = 2,
                                  .dilation_h = 1,
                                  .dilation_w = 1,
                                  .groups = 1}};
    static const char *const passes[] = {"max pool", "max pool gradient", "conv bias gradient"};
    static const work runs[] = {run_pool, run_pool_gradient, run_bias};
    one.x = numbers(count);
    one.y = numbers(count / 4);
    one.bias = numbers(channels);
    one.index = bytes((size_t)count * sizeof(int32_t));
    run_pool(&one);
    for (int pass = 0; pass < 3; pass++) {
        char name[96];
        snprintf(name, sizeof name, "%s %lldx%lldx%lld", passes[pass], (long long)n,
                 (long long)channels, (long long)size);
        if (!wanted(name)) {
            continue;
        }
        kata__conv planes = one.g;
        if (pass == 2) {
            one.g.oh = one.g.h;
            one.g.ow = one.g.w;
        }
        const double seconds = measure(runs[pass], &one).seconds;
        one.g = planes;
        const double moved =
            (double)count * (double)kata_dtype_size(dtype) * (pass == 2 ? 1.0 : 1.25) +
            (pass == 2 ? 0 : (double)count);
        printf("%-46s %10.1f us %8.1f GB/s\n", name, seconds * 1e6, moved / seconds * 1e-9);
    }
    free(one.x);
    free(one.y);
    free(one.bias);
    free(one.index);
}

/* ---- NHWC ---- */

struct last_case {
    kata__conv g;
    kata__conv_store store;
    float *x, *weight, *packed, *y, *bias;
    uint8_t *index;
    kata__workspace workspace;
};

static void run_last(void *argument) {
    struct last_case *c = argument;
    kata__conv_nhwc(context, &c->g, KATA__CONV_DIRECT, c->x, c->packed, &c->store, c->y,
                    &c->workspace);
}

/* Taps inside the picture of all output columns (or rows). */
static double taps_inside(int64_t in, int64_t out, int64_t k, int64_t stride, int64_t pad) {
    double taps = 0;
    for (int64_t o = 0; o < out; o++) {
        for (int64_t i = 0; i < k; i++) {
            const int64_t at = o * stride + i - pad;
            taps += at >= 0 && at < in;
        }
    }
    return taps;
}

static void bench_last(int64_t n, int64_t channels, int64_t size, int64_t f, int64_t k, int64_t pad,
                       int64_t stride, int64_t groups, bool pool) {
    char name[96];
    snprintf(name, sizeof name, "last %lldx%lldx%lld->%lld k%lld p%lld s%lld g%lld%s", (long long)n,
             (long long)channels, (long long)size, (long long)f, (long long)k, (long long)pad,
             (long long)stride, (long long)groups, pool ? " pool" : "");
    if (!wanted(name) || dtype != KATA_F32) {
        return;
    }
    const int64_t out = (size + 2 * pad - k) / stride + 1;
    struct last_case one = {.g = {.n = n,
                                  .c = channels,
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
    one.x = numbers(n * channels * size * size);
    one.weight = numbers(f * channels / groups * k * k);
    one.packed = numbers(kata__conv_nhwc_packed(context, &one.g, KATA__CONV_DIRECT));
    kata__conv_nhwc_pack(context, &one.g, KATA__CONV_DIRECT, false, one.weight, one.packed);
    one.bias = numbers(f);
    one.y = numbers(n * f * out * out);
    one.index = bytes((size_t)(n * f * out * out));
    one.store = (kata__conv_store){
        .bias = one.bias, .relu = true, .pool = pool, .index = pool ? one.index : NULL};
    one.workspace =
        workspace_of(kata__conv_nhwc_workspace(context, &one.g, KATA__CONV_DIRECT, &one.store));
    const double taps = taps_inside(size, out, k, stride, pad);
    report(name, 2.0 * (double)(n * f * channels / groups) * taps * taps, measure(run_last, &one));
    free(one.x);
    free(one.weight);
    free(one.packed);
    free(one.bias);
    free(one.y);
    free(one.index);
    free(one.workspace.shared);
}

static void bench_all_last(void) {
    static const int64_t batches[] = {100, 1};
    for (int i = 0; i < 2; i++) {
        const int64_t n = batches[i];
        bench_last(n, 1, 28, 30, 5, 0, 1, 1, true);
        bench_last(n, 1, 28, 16, 3, 1, 1, 1, false);
        bench_last(n, 16, 28, 16, 3, 1, 1, 1, false);
        bench_last(n, 16, 28, 16, 3, 1, 1, 1, true);
        bench_last(n, 16, 14, 32, 3, 1, 1, 1, false);
        bench_last(n, 32, 14, 32, 3, 2, 1, 1, false);
        bench_last(n, 32, 14, 32, 3, 2, 1, 1, true);
        bench_last(n, 32, 8, 64, 3, 1, 1, 1, false);
        bench_last(n, 64, 8, 64, 3, 1, 1, 1, false);
        bench_last(n, 64, 8, 64, 3, 1, 1, 1, true);
    }
    bench_last(1, 3, 224, 64, 3, 1, 1, 1, false);
    bench_last(1, 3, 224, 64, 3, 1, 1, 1, true);
    bench_last(1, 64, 224, 64, 3, 1, 1, 1, true);
    bench_last(1, 256, 56, 256, 3, 1, 1, 1, false);
    bench_last(1, 512, 14, 512, 3, 1, 1, 1, false);
    bench_last(1, 3, 224, 64, 7, 3, 2, 1, false);
    bench_last(1, 64, 56, 256, 1, 0, 1, 1, false);
    bench_last(1, 256, 56, 64, 1, 0, 1, 1, false);
    bench_last(1, 256, 56, 512, 1, 0, 2, 1, false);
    bench_last(1, 1024, 14, 256, 1, 0, 1, 1, false);
    bench_last(1, 128, 28, 128, 3, 1, 1, 1, false);
    bench_last(1, 512, 7, 512, 3, 1, 1, 1, false);
    bench_last(1, 32, 112, 32, 3, 1, 1, 32, false);
    bench_last(1, 96, 112, 96, 3, 1, 2, 96, false);
    bench_last(1, 144, 56, 144, 3, 1, 1, 144, false);
    bench_last(1, 960, 7, 960, 3, 1, 1, 960, false);
    bench_last(1, 24, 56, 144, 1, 0, 1, 1, false);
    bench_last(1, 144, 56, 24, 1, 0, 1, 1, false);
}

int main(int argc, char **argv) {
    if (!begin(argc, argv)) {
        return 2;
    }

    bench_gemm(512, 512, 512, false, false);
    bench_gemm(512, 512, 512, true, false);
    bench_gemm(512, 512, 512, false, true);
    bench_gemm(768, 768, 768, false, false);
    bench_gemm(1024, 1024, 1024, false, false);
    bench_gemm(1024, 1024, 1024, true, true);
    bench_gemm(100, 50, 784, false, false);
    bench_gemm(784, 50, 100, true, false);
    bench_gemm(100, 784, 50, false, true);
    bench_gemm(100, 10, 50, false, false);
    bench_gemm(57600, 30, 25, false, false);
    bench_gemm(100, 100, 4320, false, false);
    bench_gemm(4320, 100, 100, true, false);
    bench_gemm(100, 4320, 100, false, true);
    bench_gemm(20, 800, 200, false, false);
    bench_gemm(700, 10000, 200, false, false);
    bench_gemm(1, 50, 784, false, false);
    bench_gemm(1, 100, 4320, false, false);
    bench_gemm(1, 1000, 1000, false, false);
    bench_gemm(1, 1000, 1000, false, true);
    bench_gemm(1000, 1, 1000, false, false);
    bench_gemm(8, 8, 8, false, false);
    bench_gemm(32, 32, 32, false, false);

    static const int64_t batches[] = {100, 1};
    for (int i = 0; i < 2; i++) {
        const int64_t n = batches[i];
        bench_conv(n, 1, 28, 30, 5, 0, 1, 1);
        bench_conv(n, 1, 28, 16, 3, 1, 1, 1);
        bench_conv(n, 16, 28, 16, 3, 1, 1, 1);
        bench_conv(n, 16, 14, 32, 3, 1, 1, 1);
        bench_conv(n, 32, 14, 32, 3, 2, 1, 1);
        bench_conv(n, 32, 8, 64, 3, 1, 1, 1);
        bench_conv(n, 64, 8, 64, 3, 1, 1, 1);
    }
    bench_conv(16, 64, 56, 64, 3, 1, 2, 1);
    bench_conv(16, 64, 28, 128, 1, 0, 1, 1);
    bench_conv(16, 64, 56, 64, 3, 1, 1, 64);

    bench_all_last();

    bench_pool(100, 30, 24);
    bench_pool(100, 16, 28);
    kata_context_free(context);
    return 0;
}
