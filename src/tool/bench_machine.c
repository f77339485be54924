/* kata bench machine: the limits that everything else is a share of. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kernel/peak.h"
#include "tool/bench.h"

/* A peak by instruction set and type. "" is the context's own. */
static const struct {
    const char *name, *kernels;
    kata__peak_kind kind;
    bool own; /* with the context's own kernels, not those of a name */
} peaks[] = {
    {"", NULL, KATA__PEAK_F32, true},
    {"/portable", "portable", KATA__PEAK_F32, false},
    {"/avx2", "avx2", KATA__PEAK_F32, false},
    {"/avx512", "avx512", KATA__PEAK_F32, false},
    {"/float64", NULL, KATA__PEAK_F64, true},
    {"/avx512-bf16", NULL, KATA__PEAK_BF16_DOT, true},
    {"/amx-bf16", NULL, KATA__PEAK_BF16_TILE, true},
};

static double peak_of(kata__bench *bench, int i) {
    double seconds = bench->seconds / 4;
    if (peaks[i].own) {
        return kata__peak_flops(bench->context, peaks[i].kind, seconds);
    }
    kata_context *context;
    kata_context_options options = {.threads = bench->threads, .kernels = peaks[i].kernels};
    if (kata_context_new(&context, &options) != KATA_OK) {
        return 0;
    }
    double peak = 0;
    if (strcmp(kata_context_kernels(context), peaks[i].kernels) == 0) {
        peak = kata__peak_flops(context, peaks[i].kind, seconds);
    }
    kata_context_free(context);
    return peak;
}

static kata_status run_peak(kata__bench *bench, const kata__bench_entry *entry) {
    (void)entry;
    for (size_t i = 0; i < KATA__COUNT(peaks); i++) {
        double peak = peak_of(bench, (int)i);
        char name[KATA__BENCH_NAME];
        if (peak <= 0) {
            continue; /* not of this processor */
        }
        snprintf(name, sizeof name, "machine/peak%s", peaks[i].name);
        kata__bench_row row = {.workload = name,
                               .gflops = 1e-9 * peak,
                               .share = i == 0 ? 1 : NAN,
                               .per_second = peak,
                               .p50_us = NAN,
                               .p99_us = NAN,
                               .bytes = NAN,
                               .spread = NAN,
                               .limit = i == 0 ? "FMA" : NULL,
                               .unit = "flop"};
        KATA__TRY(kata__bench_print(bench, &row));
    }
    return KATA_OK;
}

static kata_status run_clock(kata__bench *bench, const kata__bench_entry *entry) {
    double clock = kata__peak_clock(bench->seconds / 8);
    kata__bench_row row = {.workload = entry->name,
                           .gflops = NAN,
                           .share = NAN,
                           .per_second = clock > 0 ? clock : NAN,
                           .p50_us = NAN,
                           .p99_us = NAN,
                           .bytes = NAN,
                           .spread = NAN,
                           .unit = "cycle"};
    return kata__bench_print(bench, &row);
}

/* Calls of a length that never varies by itself: how much longer the slowest of 100 takes is the
 * machine's doing (interrupts, neighbours), and no other call's 99th percentile can be better. */
static const int steady_us[] = {3, 30, 100};

static kata_status wait_cycles(void *user) {
    kata__peak_cycles(*(const int64_t *)user);
    return KATA_OK;
}

static kata_status run_steady(kata__bench *bench, const kata__bench_entry *entry) {
    double clock = kata__peak_clock(bench->seconds / 8);
    if (clock <= 0) {
        return KATA_OK; /* not known on this processor */
    }
    int64_t cycles = (int64_t)(1e-6 * clock * steady_us[entry->index]);
    kata__bench_work work = {.call = wait_cycles, .user = &cycles, .items = 1, .unit = "call"};
    return kata__bench_measure(bench, entry->name, &work);
}

/* How often, and for how long, a thread that only reads the clock stands still. */
static kata_status run_interruptions(kata__bench *bench, const kata__bench_entry *entry) {
    enum { SHORTEST_NS = 10000, MOST = 4096 };
    double gaps[MOST];
    int n = 0;
    const uint64_t start = kata__clock_ns(), end = start + (uint64_t)(1e9 * bench->seconds);
    uint64_t before = start, now = start;
    for (; now < end && n < MOST; before = now) {
        now = kata__clock_ns();
        if (now - before >= SHORTEST_NS) {
            gaps[n++] = 1e-3 * (double)(now - before);
        }
    }
    qsort(gaps, (size_t)n, sizeof gaps[0], kata__bench_by_size);
    kata__bench_row row = {.workload = entry->name,
                           .gflops = NAN,
                           .share = NAN,
                           .per_second = 1e9 * n / (double)(now - start),
                           .p50_us = n > 0 ? gaps[n / 2] : NAN,
                           .p99_us = n > 0 ? gaps[n * 99 / 100] : NAN,
                           .bytes = NAN,
                           .spread = NAN,
                           .unit = "interruption"};
    return kata__bench_print(bench, &row);
}

size_t kata__bench_stream_bytes(const kata__bench *bench, int level) {
    size_t n = kata__bench_level_bytes(level), threads = (size_t)bench->threads;
    if (level < KATA__BENCH_L3) {
        return n / 2 * threads;
    }
    if (level == KATA__BENCH_L3) { /* big third levels are shared with others */
        size_t some = 8 * kata__bench_level_bytes(KATA__BENCH_L2) * threads;
        return some < n / 2 ? some : n / 2;
    }
    return n;
}

static kata_status run_bandwidth(kata__bench *bench, const kata__bench_entry *entry) {
    static const char *const names[] = {"read", "write", "copy", "triad"};
    int level = entry->index;
    size_t n_bytes = kata__bench_stream_bytes(bench, level);
    void *memory = kata__alloc_zero(bench->context, n_bytes, 1);
    if (memory == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    double best = 0;
    kata_status status = KATA_OK;
    for (int i = 0; i < 4 && status == KATA_OK; i++) {
        double rate = kata__peak_bandwidth(bench->context, (kata__stream)i, memory, n_bytes,
                                           bench->seconds / 8);
        best = i != KATA__STREAM_WRITE && rate > best ? rate : best;
        char name[2 * KATA__BENCH_NAME];
        snprintf(name, sizeof name, "%s-%s", entry->name, names[i]);
        kata__bench_row row = {.workload = name,
                               .gflops = NAN,
                               .share = NAN,
                               .per_second = rate,
                               .p50_us = NAN,
                               .p99_us = NAN,
                               .bytes = (double)n_bytes,
                               .spread = NAN,
                               .unit = "byte"};
        status = kata__bench_print(bench, &row);
    }
    kata__free(bench->context, memory);
    bench->bandwidth[level] = best;
    return status;
}

void kata__bench_add_machine(kata__bench_list *list) {
    kata__bench_add(list, "machine", "peak", run_peak, 0, true);
    kata__bench_add(list, "machine", "clock", run_clock, 0, true);
    kata__bench_add(list, "machine", "interruptions", run_interruptions, 0, true);
    for (size_t i = 0; i < KATA__COUNT(steady_us); i++) {
        char name[KATA__BENCH_NAME];
        snprintf(name, sizeof name, "steady/%d", steady_us[i]);
        kata__bench_add(list, "machine", name, run_steady, (int)i, true);
    }
    for (int level = 0; level < KATA__BENCH_LEVELS; level++) {
        char name[KATA__BENCH_NAME];
        snprintf(name, sizeof name, "bandwidth/%s", kata__bench_level_name(level));
        kata__bench_add(list, "machine", name, run_bandwidth, level, true);
    }
}
