/* Matrix products of Kata beside those of other libraries, in turns in one run.
 *
 *   bench_peers_gemm [--threads N] [--ms N] [--library NAME] [shape ...]
 *
 * A shape is MxNxK with nn, tn, nt or tt. Prints one JSON object a line for each shape and library:
 * workload, library, threads, us, gflops, share (of the peak of multiply-adds measured beside each
 * turn). Medians of the turns. Libraries are opened at run time, so that several that define the
 * same names can be in one process; one that is missing is named on stderr and left out. On two
 * threads give --library, a process for each: the threads of the others spin after their calls. */
#include <kata/base.h>
#include "base/clock.h"
#include "kernel/gemm.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static kata_context *context;
static int threads = 1, n_open; /* libraries */

/* ---- the peak ---- */

enum { CHAINS = 12, ROUNDS = 8000, TRIES = 3 };

#if defined(__x86_64__)
#define CHAINS_OF(name, features, type, set1)                                                      \
    __attribute__((target(features))) static double name(void) {                                   \
        type x[CHAINS], a = set1(0.999f), b = set1(0.001f);                                        \
        for (int c = 0; c < CHAINS; c++) {                                                         \
            x[c] = set1((float)c);                                                                 \
        }                                                                                          \
        for (int i = 0; i < ROUNDS; i++) {                                                         \
            __asm__ volatile("vfmadd213ps %13, %12, %0\n\tvfmadd213ps %13, %12, %1\n\t"            \
                             "vfmadd213ps %13, %12, %2\n\tvfmadd213ps %13, %12, %3\n\t"            \
                             "vfmadd213ps %13, %12, %4\n\tvfmadd213ps %13, %12, %5\n\t"            \
                             "vfmadd213ps %13, %12, %6\n\tvfmadd213ps %13, %12, %7\n\t"            \
                             "vfmadd213ps %13, %12, %8\n\tvfmadd213ps %13, %12, %9\n\t"            \
                             "vfmadd213ps %13, %12, %10\n\tvfmadd213ps %13, %12, %11"              \
                             : "+v"(x[0]), "+v"(x[1]), "+v"(x[2]), "+v"(x[3]), "+v"(x[4]),         \
                               "+v"(x[5]), "+v"(x[6]), "+v"(x[7]), "+v"(x[8]), "+v"(x[9]),         \
                               "+v"(x[10]), "+v"(x[11])                                            \
                             : "v"(a), "v"(b));                                                    \
        }                                                                                          \
        return 2.0 * (double)(sizeof(type) / sizeof(float)) * CHAINS * ROUNDS;                     \
    }
CHAINS_OF(chains_512, "avx512f", __m512, _mm512_set1_ps)
CHAINS_OF(chains_256, "avx2,fma", __m256, _mm256_set1_ps)
#endif

static double (*chains)(void);

/* GFLOP/s of all threads, the best of some short tries; 0 if this processor's peak is not known.
 * The calling thread's peak times the threads: the others may still spin after a library's call. */
static double measure_peak(void) {
    double best = 0;
    for (int i = 0; chains && i < TRIES; i++) {
        const uint64_t start = kata__clock_ns();
        const double flops = chains();
        const double rate = flops * threads / (double)(kata__clock_ns() - start);
        best = rate > best ? rate : best;
    }
    return best;
}

/* ---- the libraries ---- */

typedef void (*cblas_function)(int order, int transpose_a, int transpose_b, int m, int n, int k,
                               float alpha, const float *a, int lda, const float *b, int ldb,
                               float beta, float *c, int ldc);
typedef int (*dnnl_function)(char transpose_a, char transpose_b, int64_t m, int64_t n, int64_t k,
                             float alpha, const float *a, int64_t lda, const float *b, int64_t ldb,
                             float beta, float *c, int64_t ldc);
enum { ROW_MAJOR = 101, PLAIN = 111, TRANSPOSED = 112 };

typedef struct problem {
    kata__gemm g;
    kata__workspace workspace;
} problem;

struct library {
    const char *name;
    const char *files[4]; /* tried in turn */
    cblas_function cblas;
    dnnl_function dnnl;
    bool open;
};

static struct library libraries[] = {
    {.name = "kata"},
    {.name = "openblas",
     .files = {"/usr/lib/x86_64-linux-gnu/openblas-openmp/libopenblas.so.0", "libopenblas.so.0"}},
    {.name = "blis",
     .files = {"/usr/lib/x86_64-linux-gnu/blis-openmp/libblis.so.4", "libblis.so.4"}},
    {.name = "onednn", .files = {"libdnnl.so.3", "libdnnl.so.2"}},
};
enum { N_LIBRARIES = sizeof libraries / sizeof libraries[0], MOST_TURNS = 2000 };

static void *symbol(void *handle, const char *name) {
    return dlsym(handle, name);
}

/* Opens the library and tells it the number of threads. */
static void open_library(struct library *library) {
    void *handle = NULL;
    for (int i = 0; !handle && i < 4 && library->files[i]; i++) {
        handle = dlopen(library->files[i], RTLD_NOW | RTLD_LOCAL);
    }
    if (!handle) {
        library->open = !library->files[0]; /* Kata */
        if (!library->open) {
            fprintf(stderr, "bench_peers_gemm: %s is not installed: left out\n", library->name);
        }
        return;
    }
    void *function = symbol(handle, "cblas_sgemm"), *other = symbol(handle, "dnnl_sgemm");
    memcpy(&library->cblas, &function, sizeof function);
    memcpy(&library->dnnl, &other, sizeof other);
    library->open = function || other;
    static const char *const setters[] = {"openblas_set_num_threads", "bli_thread_set_num_threads",
                                          "omp_set_num_threads"};
    for (int i = 0; i < 3; i++) {
        void *setter = symbol(handle, setters[i]);
        if (setter && i == 1) {
            void (*set)(int64_t);
            memcpy(&set, &setter, sizeof setter);
            set(threads);
        } else if (setter) {
            void (*set)(int);
            memcpy(&set, &setter, sizeof setter);
            set(threads);
        }
    }
}

static void run(const struct library *library, const problem *p) {
    const kata__gemm *g = &p->g;
    if (library->cblas) {
        library->cblas(ROW_MAJOR, g->transpose_a ? TRANSPOSED : PLAIN,
                       g->transpose_b ? TRANSPOSED : PLAIN, (int)g->m, (int)g->n, (int)g->k, 1,
                       g->a, (int)g->lda, g->b, (int)g->ldb, 0, g->c, (int)g->ldc);
    } else if (library->dnnl) {
        library->dnnl(g->transpose_a ? 'T' : 'N', g->transpose_b ? 'T' : 'N', g->m, g->n, g->k, 1,
                      g->a, g->lda, g->b, g->ldb, 0, g->c, g->ldc);
    } else {
        kata__gemm_run(context, KATA_F32, g, &p->workspace);
    }
}

/* ---- a shape ---- */

static void *numbers(int64_t count) {
    void *block = NULL;
    if (posix_memalign(&block, 4096, (size_t)(count + 1) * sizeof(float)) != 0) {
        fprintf(stderr, "bench_peers_gemm: out of memory\n");
        exit(1);
    }
    for (int64_t i = 0; i < count; i++) {
        kata_store(KATA_F32, block, i, (double)(i * 7919 % 2003) / 1001.5 - 1);
    }
    return block;
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, int n) {
    qsort(x, (size_t)n, sizeof *x, compare);
    return x[n / 2];
}

static void bench(const char *shape, double budget_ms) {
    long long m, n, k;
    char letters[3] = "nn";
    if (sscanf(shape, "%lldx%lldx%lld%2[nt]", &m, &n, &k, letters) < 3) {
        fprintf(stderr, "bench_peers_gemm: %s is no shape; one is 100x50x784nn\n", shape);
        exit(2);
    }
    const bool transpose_a = letters[0] == 't', transpose_b = letters[1] == 't';
    problem p = {.g = {.m = m,
                       .n = n,
                       .k = k,
                       .transpose_a = transpose_a,
                       .transpose_b = transpose_b,
                       .lda = transpose_a ? m : k,
                       .ldb = transpose_b ? k : n,
                       .ldc = n,
                       .alpha = 1,
                       .a = numbers(m * k),
                       .b = numbers(k * n),
                       .c = numbers(m * n)}};
    const kata__workspace_size size = kata__gemm_workspace(context, KATA_F32, &p.g);
    p.workspace = kata__workspace_in(
        numbers((int64_t)(kata__workspace_bytes(context, size) / sizeof(float))), size);
    const double flops = 2.0 * (double)m * (double)n * (double)k;
    const int calls = (int)(2e5 * 100 / flops) + 1; /* about 0.1 ms */
    static double times[N_LIBRARIES][MOST_TURNS], shares[N_LIBRARIES][MOST_TURNS];
    int turns = 0;
    const uint64_t begin = kata__clock_ns();
    do {
        for (int l = 0; l < N_LIBRARIES; l++) {
            if (!libraries[l].open) {
                continue;
            }
            const double before = measure_peak();
            run(&libraries[l], &p); /* its threads awake, its buffers warm */
            const uint64_t start = kata__clock_ns();
            for (int i = 0; i < calls; i++) {
                run(&libraries[l], &p);
            }
            const double ns = (double)(kata__clock_ns() - start) / calls;
            const double peak = (before + measure_peak()) / 2;
            times[l][turns] = ns;
            shares[l][turns] = peak > 0 ? flops / ns / peak : 0;
        }
        turns++;
    } while ((double)(kata__clock_ns() - begin) < budget_ms * 1e6 * n_open && turns < MOST_TURNS);
    for (int l = 0; l < N_LIBRARIES; l++) {
        if (libraries[l].open) {
            const double ns = median(times[l], turns);
            printf(
                "{\"workload\": \"gemm/%s\", \"library\": \"%s\", \"threads\": %d, \"us\": %.2f, "
                "\"gflops\": %.1f, \"share\": %.3f}\n",
                shape, libraries[l].name, threads, ns * 1e-3, flops / ns, median(shares[l], turns));
        }
    }
    fflush(stdout);
    free((void *)(uintptr_t)p.g.a);
    free((void *)(uintptr_t)p.g.b);
    free(p.g.c);
    free(p.workspace.shared);
}

int main(int argc, char **argv) {
    static const char *const all[] = {
        "512x512x512nn",  "512x512x512tn",    "512x512x512nt",    "512x512x512tt",
        "768x768x768nn",  "1024x1024x1024nn", "2048x2048x2048nn", "100x50x784nn",
        "784x50x100tn",   "100x784x50nt",     "57600x30x25nn",    "576x30x25nn",
        "30x576x25nn",    "16x784x144nn",     "100x100x4320nn",   "4320x100x100tn",
        "100x4320x100nt", "20x800x200nn",     "700x10000x200nn",  "1x50x784nn",
        "1x100x4320nn",   "1x10x100nn",       "1x1000x1000nn",    "1x1000x1000nt",
        "8x1000x1000nn"};
    double budget_ms = 50;
    const char *only = NULL;
    int at = 1;
    for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
        if (!strcmp(argv[at], "--threads")) {
            threads = atoi(argv[at + 1]);
        } else if (!strcmp(argv[at], "--ms")) {
            budget_ms = atof(argv[at + 1]);
        } else if (!strcmp(argv[at], "--library")) {
            only = argv[at + 1];
        } else {
            fprintf(stderr, "usage: bench_peers_gemm [--threads N] [--ms N] [--library NAME] "
                            "[shape ...]\n");
            return 2;
        }
    }
    const kata_context_options options = {.threads = threads};
    if (kata_context_new(&context, &options) != KATA_OK) {
        fprintf(stderr, "bench_peers_gemm: %s\n", kata_error_message());
        return 1;
    }
#if defined(__x86_64__)
    if (!strcmp(kata_context_kernels(context), "avx512")) {
        chains = chains_512;
    } else if (!strcmp(kata_context_kernels(context), "avx2")) {
        chains = chains_256;
    }
#endif
    for (int l = 0; l < N_LIBRARIES; l++) {
        if (!only || !strcmp(only, libraries[l].name)) {
            open_library(&libraries[l]);
            n_open += libraries[l].open;
        }
    }
    if (n_open == 0) {
        return 1;
    }
    const char *const *shapes = at < argc ? (const char *const *)(argv + at) : all;
    const int n_shapes = at < argc ? argc - at : (int)(sizeof all / sizeof all[0]);
    for (int i = 0; i < n_shapes; i++) {
        bench(shapes[i], budget_ms);
    }
    kata_context_free(context);
    return 0;
}
