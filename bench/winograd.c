/* Speed and error of Winograd convolution, beside the processor's own peak of multiply-adds
 * measured in the same run.
 *
 *   bench_winograd [--threads N] [--kernels portable|avx2|avx512] [--ms N] [--sizes 24] [filter
 * ...]
 *
 * Prints for each case, F(2x2) and F(4x4): the time of a call; GFLOP/s of the direct sum's
 * operations, taps on zero padding not counted; that rate over the peak of N threads at the same
 * moment; and the largest difference from a sum in double over a sample of outputs, relative to the
 * largest output. */
#include <kata/base.h>
#include "base/clock.h"
#include "base/parallel.h"
#include "kernel/winograd.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static kata_context *context;
static double budget_ms = 60;
static const char *sizes = "24";
static char **filters;
static int n_filters;

static uint64_t now(void) {
    if (kata_context_threads(context) > 1) {
        return kata__clock_ns();
    }
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* ---- the peak: independent chains of multiply-adds ---- */

enum { CHAINS = 12, ROUNDS = 20000 };

#define CHAIN(c) __asm__ volatile("vfmadd213ps %2, %1, %0" : "+v"(x[c]) : "v"(a), "v"(b));
#define EACH_CHAIN                                                                                 \
    CHAIN(0)                                                                                       \
    CHAIN(1)                                                                                       \
    CHAIN(2) CHAIN(3) CHAIN(4) CHAIN(5) CHAIN(6) CHAIN(7) CHAIN(8) CHAIN(9) CHAIN(10) CHAIN(11)

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static double chains_512(void) {
    __m512 x[CHAINS] = {{0}}, a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(0.001f);
    for (int i = 0; i < ROUNDS; i++) {
        EACH_CHAIN
    }
    return 2.0 * 16 * CHAINS * ROUNDS;
}

__attribute__((target("avx2,fma"))) static double chains_256(void) {
    __m256 x[CHAINS] = {{0}}, a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(0.001f);
    for (int i = 0; i < ROUNDS; i++) {
        EACH_CHAIN
    }
    return 2.0 * 8 * CHAINS * ROUNDS;
}
#endif

/* Without fused instructions: a vector of 4 multiplied and added. */
static double chains_128(void) {
    typedef float vector __attribute__((vector_size(16)));
    vector x[CHAINS] = {{0}}, a = {0.999f, 0.999f, 0.999f, 0.999f}, b = {0.001f, 0, 0, 0};
    for (int i = 0; i < ROUNDS; i++) {
        for (int c = 0; c < CHAINS; c++) {
            x[c] = x[c] * a + b;
        }
    }
    static volatile float sink;
    for (int c = 0; c < CHAINS; c++) {
        sink = sink + x[c][0];
    }
    return 2.0 * 4 * CHAINS * ROUNDS;
}

static double (*chains)(void) = chains_128;
static double chain_flops;

static void run_chains(void *argument, int64_t chunk, int worker) {
    (void)argument;
    (void)chunk;
    (void)worker;
    chains();
}

static double measure_peak(void) {
    const int threads = kata_context_threads(context);
    double best = 0;
    for (int i = 0; i < 2; i++) {
        const uint64_t start = now();
        kata__parallel(context, threads, run_chains, NULL);
        best = fmax(best, chain_flops * threads / (double)(now() - start));
    }
    return best;
}

/* ---- cases ---- */

typedef void (*work)(void *argument);

enum { MOST_REPETITIONS = 400 };

struct time {
    double seconds; /* a call */
    double peak;    /* GFLOP/s beside it */
};

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Repetitions of at least 0.3 ms, each beside a measurement of the peak; the faster quarter's end
 * of both. */
static struct time measure(work run, void *argument) {
    static double times[MOST_REPETITIONS], peaks[MOST_REPETITIONS];
    run(argument);
    uint64_t start = now();
    run(argument);
    const double once = (double)(now() - start) + 1;
    const int calls = (int)(3e5 / once) + 1;
    int n = 0;
    const uint64_t begin = now();
    do {
        start = now();
        for (int i = 0; i < calls; i++) {
            run(argument);
        }
        times[n] = (double)(now() - start) / calls;
        peaks[n++] = measure_peak();
    } while ((double)(now() - begin) < budget_ms * 1e6 && n < MOST_REPETITIONS);
    qsort(times, (size_t)n, sizeof times[0], compare);
    qsort(peaks, (size_t)n, sizeof peaks[0], compare);
    return (struct time){times[n / 4] * 1e-9, peaks[n - 1 - n / 4]};
}

static void *bytes(size_t n_bytes) {
    void *block = NULL;
    if (posix_memalign(&block, 64, n_bytes + 64) != 0) {
        fprintf(stderr, "bench_winograd: out of memory\n");
        exit(1);
    }
    memset(block, 0, n_bytes + 64);
    return block;
}

static float *numbers(int64_t count) {
    static uint32_t state = 1;
    float *x = bytes((size_t)count * sizeof *x);
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 8) / 8388608.0f - 1;
    }
    return x;
}

struct one {
    kata__conv g;
    kata__conv_algorithm algorithm;
    kata__conv_store store;
    float *x, *weight, *packed, *y, *dy, *dw, *db;
    uint8_t *index;
    void *workspace;
    int64_t n_y;
};

static void run_forward(void *argument) {
    struct one *o = argument;
    kata__winograd_run(context, &o->g, o->algorithm, o->x, o->packed, &o->store, o->y,
                       o->workspace);
}

static void run_pack(void *argument) {
    struct one *o = argument;
    kata__winograd_pack(context, &o->g, o->algorithm, false, o->weight, o->packed);
}

static void run_weight(void *argument) {
    struct one *o = argument;
    kata__winograd_weight(context, &o->g, o->algorithm, o->x, o->dy, o->index, o->dw, o->db,
                          o->workspace);
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
    o->store = (kata__conv_store){0};
    void *workspace = o->workspace;
    o->workspace = bytes(kata__winograd_workspace(context, g, o->algorithm, &o->store));
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
        worst = fmax(worst, fabs(o->y[i] - sum));
        most = fmax(most, fabs(sum));
    }
    free(o->workspace);
    o->workspace = workspace;
    o->store = all;
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

static bool wanted(const char *name) {
    for (int i = 0; i < n_filters; i++) {
        if (strstr(name, filters[i])) {
            return true;
        }
    }
    return n_filters == 0;
}

static void report(const char *name, int size, double flops, struct time time, double error) {
    const double rate = flops / time.seconds * 1e-9;
    printf("%-40s F(%d) %10.1f us %8.1f GFLOP/s, peak %6.1f: %5.2f x   error %.1e\n", name, size,
           time.seconds * 1e6, rate, time.peak, rate / time.peak, error);
    fflush(stdout);
}

static void bench(int64_t n, int64_t c, int64_t side, int64_t f, int64_t pad, bool pool,
                  const char *passes) {
    for (; *passes; passes++) {
        const bool weight = *passes == 'w';
        for (const char *s = sizes; *s; s++) {
            char name[96];
            snprintf(name, sizeof name, "%s %lldx%lldx%lld->%lld p%lld%s",
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
                            .algorithm = *s == '2' ? KATA__CONV_WINOGRAD_2 : KATA__CONV_WINOGRAD_4};
            o.n_y = n * out * out * f;
            o.x = numbers(n * side * side * c);
            o.weight = numbers(f * c * 9);
            o.packed = bytes((size_t)kata__winograd_packed(context, &o.g, o.algorithm) * 4);
            o.y = numbers(o.n_y);
            o.dy = o.y;
            o.dw = numbers(f * c * 9);
            o.db = numbers(f);
            uint8_t *index = pool ? bytes((size_t)o.n_y) : NULL;
            for (int64_t i = 0; pool && i < o.n_y; i++) {
                index[i] = i % 7 % 5 < 4 ? (uint8_t)(i % 7 % 5) : KATA__POOL_NONE;
            }
            o.index = index;
            o.store = (kata__conv_store){.bias = o.db, .relu = true, .pool = pool, .index = index};
            o.workspace =
                bytes(weight ? kata__winograd_weight_workspace(context, &o.g, o.algorithm, pool)
                             : kata__winograd_workspace(context, &o.g, o.algorithm, &o.store));
            const double taps = (double)inside(side, out, pad);
            const double flops = 2.0 * (double)(n * c * f) * taps * taps;
            kata__winograd_pack(context, &o.g, o.algorithm, false, o.weight, o.packed);
            if (weight) {
                const struct time time = measure(run_weight, &o);
                report(name, *s - '0', flops, time, weight_error(&o));
            } else if (*passes == 'p') {
                report(name, *s - '0', 0, measure(run_pack, &o), 0);
            } else {
                const double error = forward_error(&o);
                report(name, *s - '0', flops, measure(run_forward, &o), error);
            }
            free(o.x);
            free(o.weight);
            free(o.packed);
            free(o.y);
            free(o.dw);
            free(o.db);
            free(index);
            free(o.workspace);
        }
    }
}

int main(int argc, char **argv) {
    kata_context_options options = {.threads = 1};
    int i = 1;
    for (; i + 1 < argc && !strncmp(argv[i], "--", 2); i += 2) {
        if (!strcmp(argv[i], "--threads")) {
            options.threads = atoi(argv[i + 1]);
        } else if (!strcmp(argv[i], "--kernels")) {
            options.kernels = argv[i + 1];
        } else if (!strcmp(argv[i], "--ms")) {
            budget_ms = atof(argv[i + 1]);
        } else if (!strcmp(argv[i], "--sizes")) {
            sizes = argv[i + 1];
        } else {
            fprintf(stderr, "bench_winograd: what is %s?\n", argv[i]);
            return 2;
        }
    }
    filters = argv + i;
    n_filters = argc - i;
    if (kata_context_new(&context, &options) != KATA_OK) {
        fprintf(stderr, "bench_winograd: %s\n", kata_error_message());
        return 1;
    }
#if defined(__x86_64__)
    if (!strcmp(kata_context_kernels(context), "avx512")) {
        chains = chains_512;
    } else if (!strcmp(kata_context_kernels(context), "avx2")) {
        chains = chains_256;
    }
#endif
    chain_flops = chains();
    printf("%s, %d threads, peak %.0f GFLOP/s\n", kata_context_kernels(context),
           kata_context_threads(context), measure_peak());

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
