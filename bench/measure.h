/* What the benchmarks of kernels share: numbers, timing, and the processor's own peak of
 * multiply-adds, measured beside each repetition of a case. Included once by a benchmark's only
 * source file. */
#ifndef KATA_BENCH_MEASURE_H
#define KATA_BENCH_MEASURE_H

#include <kata/base.h>
#include <kata/tensor.h>
#include "base/clock.h"
#include "base/parallel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static kata_context *context;
static kata_dtype dtype = KATA_F32;
static double chain_flops; /* of one call of the peak's chains */
static double budget_ms = 60;
static char **filters;
static int n_filters;

/* Nanoseconds: with one thread those that this thread ran, so that other programs do not count. */
static uint64_t now(void) {
    if (kata_context_threads(context) > 1) {
        return kata__clock_ns();
    }
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* ---- the peak: independent chains of multiply-adds that the compiler can neither drop nor join
 * ---- */

enum { CHAINS = 12, ROUNDS = 20000 };

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static double chains_512(void) {
    __m512 x[CHAINS], a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(0.001f);
    for (int c = 0; c < CHAINS; c++) {
        x[c] = _mm512_set1_ps((float)c);
    }
    for (int i = 0; i < ROUNDS; i++) {
        __asm__ volatile("vfmadd213ps %13, %12, %0\n\tvfmadd213ps %13, %12, %1\n\t"
                         "vfmadd213ps %13, %12, %2\n\tvfmadd213ps %13, %12, %3\n\t"
                         "vfmadd213ps %13, %12, %4\n\tvfmadd213ps %13, %12, %5\n\t"
                         "vfmadd213ps %13, %12, %6\n\tvfmadd213ps %13, %12, %7\n\t"
                         "vfmadd213ps %13, %12, %8\n\tvfmadd213ps %13, %12, %9\n\t"
                         "vfmadd213ps %13, %12, %10\n\tvfmadd213ps %13, %12, %11"
                         : "+v"(x[0]), "+v"(x[1]), "+v"(x[2]), "+v"(x[3]), "+v"(x[4]), "+v"(x[5]),
                           "+v"(x[6]), "+v"(x[7]), "+v"(x[8]), "+v"(x[9]), "+v"(x[10]), "+v"(x[11])
                         : "v"(a), "v"(b));
    }
    return 2.0 * 16 * CHAINS * ROUNDS;
}

__attribute__((target("avx2,fma"))) static double chains_256(void) {
    __m256 x[CHAINS], a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(0.001f);
    for (int c = 0; c < CHAINS; c++) {
        x[c] = _mm256_set1_ps((float)c);
    }
    for (int i = 0; i < ROUNDS; i++) {
        __asm__ volatile("vfmadd213ps %13, %12, %0\n\tvfmadd213ps %13, %12, %1\n\t"
                         "vfmadd213ps %13, %12, %2\n\tvfmadd213ps %13, %12, %3\n\t"
                         "vfmadd213ps %13, %12, %4\n\tvfmadd213ps %13, %12, %5\n\t"
                         "vfmadd213ps %13, %12, %6\n\tvfmadd213ps %13, %12, %7\n\t"
                         "vfmadd213ps %13, %12, %8\n\tvfmadd213ps %13, %12, %9\n\t"
                         "vfmadd213ps %13, %12, %10\n\tvfmadd213ps %13, %12, %11"
                         : "+x"(x[0]), "+x"(x[1]), "+x"(x[2]), "+x"(x[3]), "+x"(x[4]), "+x"(x[5]),
                           "+x"(x[6]), "+x"(x[7]), "+x"(x[8]), "+x"(x[9]), "+x"(x[10]), "+x"(x[11])
                         : "x"(a), "x"(b));
    }
    return 2.0 * 8 * CHAINS * ROUNDS;
}
#endif

/* Without fused instructions: a vector of 4 multiplied and added. */
static double chains_128(void) {
    typedef float vector __attribute__((vector_size(16)));
    vector x[CHAINS], a = {0.999f, 0.999f, 0.999f, 0.999f}, b = {0.001f, 0.001f, 0.001f, 0.001f};
    for (int c = 0; c < CHAINS; c++) {
        x[c] = b * (float)c;
    }
    for (int i = 0; i < ROUNDS; i++) {
#define STEP(c) x[c] = x[c] * a + b;
        STEP(0)
        STEP(1) STEP(2) STEP(3) STEP(4) STEP(5) STEP(6) STEP(7) STEP(8) STEP(9) STEP(10) STEP(11)
#undef STEP
    }
    float sum = 0;
    for (int c = 0; c < CHAINS; c++) {
        sum += x[c][0] + x[c][3];
    }
    static volatile float sink;
    sink = sum;
    (void)sink;
    return 2.0 * 4 * CHAINS * ROUNDS;
}

static double (*chains)(void) = chains_128;

static void run_chains(void *argument, int64_t chunk, int worker) {
    (void)argument;
    (void)chunk;
    (void)worker;
    chains();
}

/* GFLOP/s of all threads, the better of two runs. It changes with the clock, which falls when wide
 * vectors are busy: so it is measured again beside every repetition of a case. */
static double measure_peak(void) {
    const int threads = kata_context_threads(context);
    double best = 0;
    for (int i = 0; i < 2; i++) {
        const uint64_t start = now();
        kata__parallel(context, threads, run_chains, NULL);
        const double rate = chain_flops * threads / (double)(now() - start);
        best = rate > best ? rate : best;
    }
    return best * (dtype == KATA_F64 ? 0.5 : 1);
}

static void choose_chains(void) {
#if defined(__x86_64__)
    if (!strcmp(kata_context_kernels(context), "avx512")) {
        chains = chains_512;
    } else if (!strcmp(kata_context_kernels(context), "avx2")) {
        chains = chains_256;
    }
#endif
    chain_flops = chains();
}

/* ---- cases ---- */

static bool wanted(const char *name) {
    for (int i = 0; i < n_filters; i++) {
        if (strstr(name, filters[i])) {
            return true;
        }
    }
    return n_filters == 0;
}

static void *numbers(int64_t count) {
    void *block = NULL;
    if (posix_memalign(&block, 64, (size_t)(count + 1) * kata_dtype_size(dtype)) != 0) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    for (int64_t i = 0; i < count; i++) {
        kata_store(dtype, block, i, (double)(i * 7919 % 2003) / 1001.5 - 1);
    }
    return block;
}

static void *bytes(size_t n_bytes) {
    return numbers((int64_t)(n_bytes / kata_dtype_size(dtype)) + 1);
}

#ifdef KATA_KERNEL_WORKSPACE_H /* in a block that begins with what is shared */
static kata__workspace workspace_of(kata__workspace_size size) {
    return kata__workspace_in(bytes(kata__workspace_bytes(context, size)), size);
}
#endif

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

/* Repetitions of at least 0.3 ms, each between two measurements of the peak, until the budget is
 * used. The time is the faster quarter's end: what other programs take away does not count. The
 * peak is the one that gives the median share of the peak beside: the clock changes from moment to
 * moment. */
static struct time measure(work run, void *argument) {
    static double times[MOST_REPETITIONS], shares[MOST_REPETITIONS];
    run(argument);
    uint64_t start = now();
    run(argument);
    const double once = (double)(now() - start) + 1;
    const int calls = (int)(3e5 / once) + 1;
    int n = 0;
    const uint64_t begin = now();
    double before = measure_peak();
    do {
        start = now();
        for (int i = 0; i < calls; i++) {
            run(argument);
        }
        times[n] = (double)(now() - start) / calls;
        const double after = measure_peak();
        shares[n] = 2 / (times[n] * (before + after));
        before = after;
        n++;
    } while ((double)(now() - begin) < budget_ms * 1e6 && n < MOST_REPETITIONS);
    qsort(times, (size_t)n, sizeof times[0], compare);
    qsort(shares, (size_t)n, sizeof shares[0], compare);
    const double time = times[n / 4];
    return (struct time){time * 1e-9, 1 / (time * shares[n / 2])};
}

__attribute__((unused)) static void report(const char *name, double flops, struct time time) {
    const double rate = flops / time.seconds * 1e-9;
    printf("%-46s %10.1f us %8.1f GFLOP/s %5.1f %%\n", name, time.seconds * 1e6, rate,
           100 * rate / time.peak);
    fflush(stdout);
}

/* Reads the options, makes the context, prints the machine's peak. False: a sentence was printed.
 */
static bool begin(int argc, char **argv) {
    kata_context_options options = {.threads = 1};
    int at = 1;
    for (; at < argc && argv[at][0] == '-'; at++) {
        if (!strcmp(argv[at], "--threads") && at + 1 < argc) {
            options.threads = atoi(argv[++at]);
        } else if (!strcmp(argv[at], "--kernels") && at + 1 < argc) {
            options.kernels = argv[++at];
        } else if (!strcmp(argv[at], "--ms") && at + 1 < argc) {
            budget_ms = atof(argv[++at]);
        } else if (!strcmp(argv[at], "--f64")) {
            dtype = KATA_F64;
        } else {
            fprintf(stderr,
                    "usage: %s [--threads N] [--kernels portable|avx2|avx512] [--f64] [--ms N] "
                    "[filter ...]\n",
                    argv[0]);
            return false;
        }
    }
    filters = argv + at;
    n_filters = argc - at;
    if (kata_context_new(&context, &options) != KATA_OK) {
        fprintf(stderr, "%s: %s\n", argv[0], kata_error_message());
        return false;
    }
    choose_chains();
    printf("%s, %d thread%s, %s: peak %.1f GFLOP/s\n", kata_context_kernels(context),
           kata_context_threads(context), kata_context_threads(context) == 1 ? "" : "s",
           kata_dtype_name(dtype), measure_peak());
    return true;
}

#endif
