/* Measures the limits of the processor; the loops are in body/peak.h. */
#include "kernel/peak.h"

#include <string.h>

#include "base/clock.h"
#include "base/context.h"
#include "base/parallel.h"
#include "kernel/table.h"

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* Pieces a thread and a call of the pool: the last one to finish leaves the others idle for a
 * part of a piece only. */
enum { PIECES = 8 };

static volatile double kept; /* what loops return, so that none is dropped */

/* --- multiply-adds ---------------------------------------------------------------------------- */

#if defined(__x86_64__) && defined(__linux__)

/* Dot products of pairs of bfloat16, added to 16 float32 lanes: 64 operations an instruction. */
__attribute__((target("avx512f"))) static double dot_pairs(int64_t rounds, double *value) {
    for (int64_t i = 0; i < rounds; i++) {
        __asm__ volatile(
            "vdpbf16ps %%zmm30, %%zmm31, %%zmm0\n\tvdpbf16ps %%zmm30, %%zmm31, %%zmm1\n\t"
            "vdpbf16ps %%zmm30, %%zmm31, %%zmm2\n\tvdpbf16ps %%zmm30, %%zmm31, %%zmm3\n\t"
            "vdpbf16ps %%zmm30, %%zmm31, %%zmm4\n\tvdpbf16ps %%zmm30, %%zmm31, %%zmm5\n\t"
            "vdpbf16ps %%zmm30, %%zmm31, %%zmm6\n\tvdpbf16ps %%zmm30, %%zmm31, %%zmm7\n\t"
            "vdpbf16ps %%zmm30, %%zmm31, %%zmm8\n\tvdpbf16ps %%zmm30, %%zmm31, %%zmm9\n\t"
            "vdpbf16ps %%zmm30, %%zmm31, %%zmm10\n\tvdpbf16ps %%zmm30, %%zmm31, %%zmm11"
            :
            :
            : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
              "xmm10", "xmm11");
    }
    *value = 0;
    return 12 * 64.0 * (double)rounds;
}

/* Products of 16x32 by 32x16 bfloat16 tiles into six accumulators: 16,384 operations each. The
 * tiles begin as zero. */
static double tile_products(int64_t rounds, double *value) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t column_bytes[16];
        uint8_t rows[16];
    } shape = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        shape.column_bytes[i] = 64;
        shape.rows[i] = 16;
    }
    __asm__ volatile("ldtilecfg %0" : : "m"(shape));
    __asm__ volatile("tilezero %tmm0\n\ttilezero %tmm1\n\ttilezero %tmm2\n\ttilezero %tmm3\n\t"
                     "tilezero %tmm4\n\ttilezero %tmm5\n\ttilezero %tmm6\n\ttilezero %tmm7");
    for (int64_t i = 0; i < rounds; i++) {
        __asm__ volatile("tdpbf16ps %tmm7, %tmm6, %tmm0\n\ttdpbf16ps %tmm7, %tmm6, %tmm1\n\t"
                         "tdpbf16ps %tmm7, %tmm6, %tmm2\n\ttdpbf16ps %tmm7, %tmm6, %tmm3\n\t"
                         "tdpbf16ps %tmm7, %tmm6, %tmm4\n\ttdpbf16ps %tmm7, %tmm6, %tmm5");
    }
    __asm__ volatile("tilerelease");
    *value = 0;
    return 6 * 16384.0 * (double)rounds;
}

/* Linux lets a process use the tile registers once it has asked. */
static bool tiles_allowed(void) {
    enum { REQUEST = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
}

#endif

typedef double (*chain)(int64_t rounds, double *value);

static bool has_feature(const char *name) {
    size_t length = strlen(name);
    for (const char *at = kata__cpu_features(); (at = strstr(at, name)) != NULL; at += length) {
        if (at[length] == ' ' || at[length] == '\0') {
            return true;
        }
    }
    return false;
}

static chain chain_of(const kata_context *context, kata__peak_kind kind) {
    const kata__kernel_table *table = kata__kernels(context);
    switch (kind) {
    case KATA__PEAK_F32:
        return table->peak[0]->multiply_add;
    case KATA__PEAK_F64:
        return table->peak[1]->multiply_add;
#if defined(__x86_64__) && defined(__linux__)
    case KATA__PEAK_BF16_DOT:
        return has_feature("avx512_bf16") ? dot_pairs : NULL;
    case KATA__PEAK_BF16_TILE:
        return has_feature("amx_bf16") && tiles_allowed() ? tile_products : NULL;
#endif
    default:
        return NULL;
    }
}

typedef struct chains {
    chain run;
    int64_t rounds;
} chains;

static void run_chains(void *argument, int64_t chunk, int worker) {
    const chains *c = argument;
    double value;
    (void)chunk;
    (void)worker;
    c->run(c->rounds, &value);
    kept = value;
}

double kata__peak_flops(kata_context *context, kata__peak_kind kind, double seconds) {
    chains c = {.run = chain_of(context, kind), .rounds = 2000};
    if (c.run == NULL) {
        return 0;
    }
    /* A piece of some 50 microseconds; the first call also brings the clock to where it will be. */
    double value, flops = c.run(c.rounds, &value);
    uint64_t start = kata__clock_ns();
    c.run(c.rounds, &value);
    double piece = 1e-9 * (double)(kata__clock_ns() - start);
    c.rounds = 1 + (int64_t)(2000 * 50e-6 / (piece > 1e-9 ? piece : 1e-9));
    flops *= (double)c.rounds / 2000;
    const int threads = kata_context_threads(context);
    const int64_t n = threads > 1 ? (int64_t)PIECES * threads : PIECES;
    double best = 0;
    const uint64_t end = kata__clock_ns() + (uint64_t)(1e9 * seconds);
    do {
        start = kata__clock_ns();
        kata__parallel(context, n, run_chains, &c);
        double rate = flops * (double)n * 1e9 / (double)(kata__clock_ns() - start);
        best = rate > best ? rate : best;
    } while (kata__clock_ns() < end);
    return best;
}

/* --- bandwidth -------------------------------------------------------------------------------- */

typedef struct pass {
    const kata__peak_table *table;
    kata__stream stream;
    char *memory;
    int64_t n; /* float32 numbers of one array of one part */
    int64_t times;
} pass;

static int arrays_of(kata__stream stream) {
    return stream == KATA__STREAM_TRIAD ? 3 : stream == KATA__STREAM_COPY ? 2 : 1;
}

static void run_pass(void *argument, int64_t chunk, int worker) {
    const pass *p = argument;
    float *x = (float *)(void *)p->memory + chunk * p->n * arrays_of(p->stream);
    double sum = 0;
    (void)worker;
    for (int64_t i = 0; i < p->times; i++) {
        switch (p->stream) {
        case KATA__STREAM_READ:
            sum += p->table->read(p->n, x);
            break;
        case KATA__STREAM_WRITE:
            p->table->write(p->n, 1, x);
            break;
        case KATA__STREAM_COPY:
            p->table->triad(p->n, x, NULL, 0, x + p->n);
            break;
        default:
            p->table->triad(p->n, x, x + p->n, 0.5, x + 2 * p->n);
            break;
        }
    }
    kept = sum;
}

double kata__peak_bandwidth(kata_context *context, kata__stream stream, void *memory,
                            size_t n_bytes, double seconds) {
    const int threads = kata_context_threads(context);
    pass p = {.table = kata__kernels(context)->peak[0], .stream = stream, .memory = memory};
    p.n = (int64_t)(n_bytes / sizeof(float)) / (threads * arrays_of(stream)) / 128 * 128;
    if (p.n == 0) {
        return 0;
    }
    const double bytes = (double)p.n * sizeof(float) * arrays_of(stream) * threads;
    p.times = 1 + (int64_t)(2e6 / (bytes / threads)); /* a call moves 2 MB or more a thread */
    double best = 0;
    int calls = 0;
    const uint64_t end = kata__clock_ns() + (uint64_t)(1e9 * seconds);
    do {
        uint64_t start = kata__clock_ns();
        kata__parallel(context, threads, run_pass, &p);
        double rate = bytes * (double)p.times * 1e9 / (double)(kata__clock_ns() - start);
        best = calls > 0 && rate > best ? rate : best; /* the first one fills the cache */
        calls++;
    } while (calls < 3 || kata__clock_ns() < end);
    return best;
}

/* --- clock ------------------------------------------------------------------------------------ */

enum { ADDS = 16 };

/* So many rounds of ADDS additions, each of which waits for the one before; the sum. */
static uint64_t add(int64_t rounds) {
    uint64_t x = 1, y = 3;
    (void)y; /* of processors whose additions are not written down here */
    for (int64_t i = 0; i < rounds; i++) {
        /* Register to register: newer processors add constants without a cycle. */
#if defined(__x86_64__)
        __asm__ volatile("add %1, %0\n\tadd %1, %0\n\tadd %1, %0\n\tadd %1, %0\n\t"
                         "add %1, %0\n\tadd %1, %0\n\tadd %1, %0\n\tadd %1, %0\n\t"
                         "add %1, %0\n\tadd %1, %0\n\tadd %1, %0\n\tadd %1, %0\n\t"
                         "add %1, %0\n\tadd %1, %0\n\tadd %1, %0\n\tadd %1, %0"
                         : "+r"(x)
                         : "r"(y));
#elif defined(__aarch64__)
        __asm__ volatile("add %0, %0, %1\n\tadd %0, %0, %1\n\tadd %0, %0, %1\n\tadd %0, %0, %1\n\t"
                         "add %0, %0, %1\n\tadd %0, %0, %1\n\tadd %0, %0, %1\n\tadd %0, %0, %1\n\t"
                         "add %0, %0, %1\n\tadd %0, %0, %1\n\tadd %0, %0, %1\n\tadd %0, %0, %1\n\t"
                         "add %0, %0, %1\n\tadd %0, %0, %1\n\tadd %0, %0, %1\n\tadd %0, %0, %1"
                         : "+r"(x)
                         : "r"(y));
#endif
    }
    return x;
}

double kata__peak_clock(double seconds) {
#if defined(__x86_64__) || defined(__aarch64__)
    enum { ROUNDS = 2000 };
    double best = 0;
    const uint64_t end = kata__clock_ns() + (uint64_t)(1e9 * seconds);
    do {
        uint64_t start = kata__clock_ns();
        kept = (double)add(ROUNDS);
        double rate = (double)ROUNDS * ADDS * 1e9 / (double)(kata__clock_ns() - start);
        best = rate > best ? rate : best;
    } while (kata__clock_ns() < end);
    return best;
#else
    (void)seconds;
    return 0;
#endif
}

void kata__peak_cycles(int64_t n) {
    kept = (double)add(n / ADDS);
}
