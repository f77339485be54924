/* Speed and error of Winograd convolution in float32 and in bfloat16, beside the processor's own
 * peak of float32 multiply-adds measured in the same run.
 *
 *   bench_winograd [--threads N] [--kernels portable|avx2|avx512] [--ms N] [filter ...]
 *
 * KATA_BFLOAT16 in the environment picks the way to multiply bfloat16 numbers.
 *
 * Prints for each case, F(2x2) and F(4x4), in bfloat16 the direct sum as well: the time of a call;
 * GFLOP/s of the direct sum's operations, taps on zero padding not counted; that rate over the peak
 * of N threads at the same moment; and the largest difference from a sum in double over a sample of
 * outputs, relative to the largest output. */
#include "kernel/winograd.h"
#include "measure.h"

#include <math.h>

struct one {
    kata__conv g;
    kata__conv_algorithm algorithm;
    kata__conv_store store;
    bool is_half; /* x, packed, y and dy are bfloat16 */
    float *x, *weight, *packed, *y, *dy, *dw, *db;
    uint16_t *x_half, *packed_half, *y_half;
    kata__conv_bf16_store store_half;
    uint8_t *index;
    kata__workspace workspace;
    int64_t n_y;
};

static void run_forward(void *argument) {
    struct one *o = argument;
    if (o->is_half) {
        const kata__conv_bf16_input input = {KATA_BF16, o->x_half, NULL};
        kata__conv_bf16(context, &o->g, o->algorithm, &input, o->packed_half, &o->store_half,
                        o->y_half, &o->workspace);
        return;
    }
    kata__winograd_run(context, &o->g, o->algorithm, o->x, o->packed, &o->store, o->y,
                       &o->workspace);
}

static void run_pack(void *argument) {
    struct one *o = argument;
    if (o->is_half) {
        kata__conv_bf16_pack(context, &o->g, o->algorithm, false, o->weight, o->packed_half);
    } else {
        kata__winograd_pack(context, &o->g, o->algorithm, false, o->weight, o->packed);
    }
}

static void run_weight(void *argument) {
    struct one *o = argument;
    if (o->is_half) {
        const kata__conv_bf16_input input = {KATA_BF16, o->x_half, NULL};
        kata__conv_bf16_weight(context, &o->g, o->algorithm, &input, o->y_half, o->index, o->dw,
                               o->db, &o->workspace);
        return;
    }
    kata__winograd_weight(context, &o->g, o->algorithm, o->x, o->dy, o->index, o->dw, o->db,
                          &o->workspace);
}

static kata__workspace_size forward_workspace(const struct one *o) {
    return o->is_half ? kata__conv_bf16_workspace(context, &o->g, o->algorithm, o->store_half.pool)
                      : kata__winograd_workspace(context, &o->g, o->algorithm, &o->store);
}

static kata__workspace_size weight_workspace(const struct one *o) {
    const bool pooled = o->index != NULL;
    return o->is_half ? kata__conv_bf16_weight_workspace(context, &o->g, o->algorithm, pooled)
                      : kata__winograd_weight_workspace(context, &o->g, o->algorithm, pooled);
}

/* bfloat16 twins; the float32 numbers become those, so that errors are the convolution's own. */
static uint16_t *halve(float *x, int64_t count) {
    uint16_t *half = bytes((size_t)count * sizeof *half);
    for (int64_t i = 0; i < count; i++) {
        half[i] = kata_f32_to_bf16(x[i]);
        x[i] = kata_bf16_to_f32(half[i]);
    }
    return half;
}

/* Taps that fall inside, in one direction. */
static int64_t inside(int64_t in, int64_t out, int64_t pad) {
    int64_t count = 0;
    for (int64_t o = 0; o < out; o++) {
        for (int64_t t = 0; t < 3; t++) {
            count += o + t - pad >= 0 && o + t - pad < in;
        }
    }
    return count;
}

/* Over some outputs without pooling, bias and relu. */
static double forward_error(struct one *o) {
    const kata__conv *g = &o->g;
    double worst = 0, most = 0;
    const kata__conv_store all = o->store;
    const kata__conv_bf16_store all_half = o->store_half;
    o->store = (kata__conv_store){0};
    o->store_half = (kata__conv_bf16_store){0};
    const kata__workspace workspace = o->workspace;
    o->workspace = workspace_of(forward_workspace(o));
    run_forward(o);
    for (int64_t s = 0; s < 4000; s++) {
        const int64_t i = (s * 7919 + s * s * 31) % (g->oh * g->ow * g->f);
        const int64_t f = i % g->f, ox = i / g->f % g->ow, oy = i / g->f / g->ow;
        double sum = 0;
        for (int64_t tap = 0; tap < 9; tap++) {
            const int64_t iy = oy + tap / 3 - g->pad_top, ix = ox + tap % 3 - g->pad_left;
            if (iy >= 0 && iy < g->h && ix >= 0 && ix < g->w) {
                for (int64_t c = 0; c < g->c; c++) {
                    sum += (double)o->x[(iy * g->w + ix) * g->c + c] *
                           o->weight[(f * g->c + c) * 9 + tap];
                }
            }
        }
        const double y = (double)(o->is_half ? kata_bf16_to_f32(o->y_half[i]) : o->y[i]);
        worst = fmax(worst, fabs(y - sum));
        most = fmax(most, fabs(sum));
    }
    free(o->workspace.shared);
    o->workspace = workspace;
    o->store = all;
    o->store_half = all_half;
    return worst / most;
}

static double weight_error(const struct one *o) {
    const kata__conv *g = &o->g;
    const int64_t rows = o->index ? g->oh / 2 : g->oh, columns = o->index ? g->ow / 2 : g->ow;
    double worst = 0, most = 0;
    for (int64_t s = 0; s < 60; s++) {
        const int64_t at = (s * 7919 + s * s * 31) % (g->f * g->c * 9);
        const int64_t tap = at % 9, c = at / 9 % g->c, f = at / 9 / g->c;
        double sum = 0;
        for (int64_t n = 0; n < g->n; n++) {
            for (int64_t p = 0; p < rows * columns; p++) {
                const int64_t i = (n * rows * columns + p) * g->f + f;
                int64_t oy = p / columns, ox = p % columns;
                if (o->index) {
                    if (o->index[i] == KATA__POOL_NONE) {
                        continue;
                    }
                    oy = 2 * oy + o->index[i] / 2;
                    ox = 2 * ox + o->index[i] % 2;
                }
                const int64_t iy = oy + tap / 3 - g->pad_top, ix = ox + tap % 3 - g->pad_left;
                if (iy >= 0 && iy < g->h && ix >= 0 && ix < g->w) {
                    sum += (double)o->x[((n * g->h + iy) * g->w + ix) * g->c + c] * o->dy[i];
                }
            }
        }
        worst = fmax(worst, fabs(o->dw[at] - sum));
        most = fmax(most, fabs(sum));
    }
    return worst / most;
}

static void report_tile(const char *name, char size, double flops, struct time time, double error) {
    const double rate = flops / time.seconds * 1e-9;
    const char how[] = {'F', '(', size, ')', '\0'};
    printf("%-40s %-6s %10.1f us %8.1f GFLOP/s, peak %6.1f: %5.2f x   error %.1e\n", name,
           size == '0' ? "direct" : how, time.seconds * 1e6, rate, time.peak, rate / time.peak,
           error);
    fflush(stdout);
}

static void bench_type(int64_t n, int64_t c, int64_t side, int64_t f, int64_t pad, bool pool,
                       const char *passes, bool is_half) {
    for (; *passes; passes++) {
        const bool weight = *passes == 'w';
        for (const char *s = is_half ? "024" : "24"; *s; s++) {
            char name[96];
            snprintf(name, sizeof name, "%s%s %lldx%lldx%lld->%lld p%lld%s", is_half ? "bf16 " : "",
                     *passes == 'f'   ? "forward"
                     : *passes == 'w' ? "weight"
                                      : "pack",
                     (long long)n, (long long)c, (long long)side, (long long)f, (long long)pad,
                     pool && *passes != 'p' ? " pool" : "");
            if (!wanted(name)) {
                continue;
            }
            const int64_t out = side + 2 * pad - 2;
            struct one o = {.g = {.n = n,
                                  .c = c,
                                  .h = side,
                                  .w = side,
                                  .f = f,
                                  .kh = 3,
                                  .kw = 3,
                                  .oh = out,
                                  .ow = out,
                                  .stride_h = 1,
                                  .stride_w = 1,
                                  .dilation_h = 1,
                                  .dilation_w = 1,
                                  .pad_top = pad,
                                  .pad_left = pad,
                                  .groups = 1},
                            .is_half = is_half,
                            .algorithm = *s == '0'   ? KATA__CONV_DIRECT
                                         : *s == '2' ? KATA__CONV_WINOGRAD_2
                                                     : KATA__CONV_WINOGRAD_4};
            o.n_y = n * out * out * f;
            o.x = numbers(n * side * side * c);
            o.weight = numbers(f * c * 9);
            if (is_half) {
                o.packed_half =
                    bytes((size_t)kata__conv_bf16_packed(context, &o.g, o.algorithm) * 2);
            } else {
                o.packed = bytes((size_t)kata__winograd_packed(context, &o.g, o.algorithm) * 4);
            }
            o.y = numbers(o.n_y);
            o.dy = o.y;
            if (is_half) {
                o.x_half = halve(o.x, n * side * side * c);
                o.y_half = halve(o.y, o.n_y);
            }
            o.dw = numbers(f * c * 9);
            o.db = numbers(f);
            uint8_t *index = pool ? bytes((size_t)o.n_y) : NULL;
            for (int64_t i = 0; pool && i < o.n_y; i++) {
                index[i] = i % 7 % 5 < 4 ? (uint8_t)(i % 7 % 5) : KATA__POOL_NONE;
            }
            o.index = index;
            o.store = (kata__conv_store){.bias = o.db, .relu = true, .pool = pool, .index = index};
            o.store_half =
                (kata__conv_bf16_store){.bias = o.db, .relu = true, .pool = pool, .index = index};
            o.workspace = workspace_of(weight ? weight_workspace(&o) : forward_workspace(&o));
            const double taps = (double)inside(side, out, pad);
            const double flops = 2.0 * (double)(n * c * f) * taps * taps;
            run_pack(&o);
            if (weight) {
                const struct time time = measure(run_weight, &o);
                report_tile(name, *s, flops, time, weight_error(&o));
            } else if (*passes == 'p') {
                report_tile(name, *s, 0, measure(run_pack, &o), 0);
            } else {
                const double error = forward_error(&o);
                report_tile(name, *s, flops, measure(run_forward, &o), error);
            }
            free(o.x);
            free(o.weight);
            free(o.packed);
            free(o.y);
            free(o.x_half);
            free(o.packed_half);
            free(o.y_half);
            free(o.dw);
            free(o.db);
            free(index);
            free(o.workspace.shared);
        }
    }
}

static void bench(int64_t n, int64_t c, int64_t side, int64_t f, int64_t pad, bool pool,
                  const char *passes) {
    bench_type(n, c, side, f, pad, pool, passes, false);
    bench_type(n, c, side, f, pad, pool, passes, true);
}

int main(int argc, char **argv) {
    if (!begin(argc, argv)) {
        return 2;
    }
    printf("bf16: %s\n", kata_context_bfloat16(context));
    bench(100, 16, 28, 16, 1, false, "fwp");
    bench(100, 16, 28, 16, 1, true, "fw");
    bench(100, 16, 14, 32, 1, false, "fw");
    bench(100, 32, 14, 16, 1, false, "f"); /* the gradient by the input of the one before */
    bench(100, 32, 14, 32, 2, false, "fw");
    bench(100, 32, 14, 32, 2, true, "fw");
    bench(100, 32, 8, 64, 1, false, "fw");
    bench(100, 64, 8, 32, 1, false, "f");
    bench(100, 64, 8, 64, 1, false, "fwp");
    bench(100, 64, 8, 64, 1, true, "fw");
    bench(1, 16, 28, 16, 1, true, "f");
    bench(1, 16, 14, 32, 1, false, "f");
    bench(1, 32, 14, 32, 2, true, "f");
    bench(1, 32, 8, 64, 1, false, "f");
    bench(1, 64, 8, 64, 1, true, "f");
    bench(8, 64, 56, 64, 1, false, "fw");
    bench(16, 128, 28, 128, 1, false, "fw");
    bench(32, 256, 14, 256, 1, false, "fw");
    bench(32, 512, 14, 512, 1, false, "fw");
    bench(32, 512, 7, 512, 1, false, "fwp");
    bench(1, 64, 56, 64, 1, false, "f");
    bench(1, 128, 28, 128, 1, false, "f");
    bench(1, 256, 14, 256, 1, false, "f");
    bench(1, 512, 14, 512, 1, false, "f");
    bench(1, 512, 7, 512, 1, false, "f");
    kata_context_free(context);
    return 0;
}
