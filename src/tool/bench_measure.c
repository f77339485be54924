/* How `kata bench` measures: repetitions with the processor's peak between them, because the clock
 * moves; medians, because other programs disturb. */
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "kernel/peak.h"
#include "tool/bench.h"

enum { REPETITIONS = 9, TIMES_MOST = 200000 };

static const double probe_seconds = 0.6e-3; /* one measurement of the peak */

/* --- bandwidth of the levels ------------------------------------------------------------------ */

size_t kata__bench_level_bytes(int level) {
    long n = 0;
#ifdef _SC_LEVEL1_DCACHE_SIZE
    static const int names[] = {_SC_LEVEL1_DCACHE_SIZE, _SC_LEVEL2_CACHE_SIZE,
                                _SC_LEVEL3_CACHE_SIZE};
    if (level < KATA__BENCH_MEMORY) {
        n = sysconf(names[level]);
    }
#endif
    if (level == KATA__BENCH_MEMORY) { /* 1 GiB, or an eighth of what there is */
        double all = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
        return all / 8 < (double)(1 << 30) && all > 0 ? (size_t)(all / 8) : (size_t)1 << 30;
    }
    static const long guess[] = {32 << 10, 1 << 20, 8 << 20};
    return (size_t)(n > 0 ? n : guess[level]);
}

const char *kata__bench_level_name(int level) {
    static const char *const names[] = {"L1", "L2", "L3", "memory"};
    return names[level];
}

int kata__bench_level_of(const kata__bench *bench, double n_bytes) {
    for (int level = 0; level < KATA__BENCH_MEMORY; level++) {
        double size = (double)kata__bench_level_bytes(level);
        if (n_bytes <= (level < KATA__BENCH_L3 ? size * bench->threads : size)) {
            return level;
        }
    }
    return KATA__BENCH_MEMORY;
}

double kata__bench_bandwidth(kata__bench *bench, int level) {
    static const kata__stream streams[] = {KATA__STREAM_READ, KATA__STREAM_COPY,
                                           KATA__STREAM_TRIAD};
    if (bench->bandwidth[level] > 0) {
        return bench->bandwidth[level];
    }
    double best = 0;
    size_t n_bytes = kata__bench_stream_bytes(bench, level);
    void *memory = kata__alloc_zero(bench->context, n_bytes, 1);
    for (size_t i = 0; memory != NULL && i < KATA__COUNT(streams); i++) {
        double rate = kata__peak_bandwidth(bench->context, streams[i], memory, n_bytes, 0.02);
        best = rate > best ? rate : best;
    }
    kata__free(bench->context, memory);
    bench->bandwidth[level] = best;
    return best;
}

/* --- one workload ----------------------------------------------------------------------------- */

int kata__bench_by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The value that the share q of the n sorted numbers does not exceed. */
static double quantile(const double *sorted, int n, double q) {
    int i = (int)ceil(q * n) - 1;
    return sorted[i < 0 ? 0 : i >= n ? n - 1 : i];
}

typedef struct repetition {
    double rate; /* calls a second */
    double peak; /* floating-point operations a second at that time */
} repetition;

static double seconds_since(uint64_t start) {
    return 1e-9 * (double)(kata__clock_ns() - start);
}

/* Calls for so long, one at least. */
static kata_status repeat(kata__bench *bench, const kata__bench_work *work, double seconds,
                          int *n_times, repetition *out) {
    const uint64_t start = kata__clock_ns();
    uint64_t before = start, now;
    int64_t calls = 0;
    do {
        KATA__TRY(work->call(work->user));
        now = kata__clock_ns();
        if (n_times != NULL && *n_times < TIMES_MOST) {
            bench->times[(*n_times)++] = 1e-9 * (double)(now - before);
        }
        before = now;
        calls++;
    } while (1e-9 * (double)(now - start) < seconds);
    out->rate = (double)calls / (1e-9 * (double)(now - start));
    return KATA_OK;
}

static kata_status repeat_all(kata__bench *bench, const kata__bench_work *work,
                              repetition all[REPETITIONS], int *n, int *n_times) {
    repetition warm;
    const uint64_t start = kata__clock_ns();
    KATA__TRY(repeat(bench, work, 0, NULL, &warm)); /* the first call makes plans */
    KATA__TRY(repeat(bench, work, 0.15 * bench->seconds, NULL, &warm));
    double before = kata__peak_flops(bench->context, KATA__PEAK_F32, probe_seconds);
    while (*n < REPETITIONS && (*n < 3 || seconds_since(start) < 2 * bench->seconds)) {
        if (bench->stop != NULL && *bench->stop != 0) {
            return kata_fail(KATA_INTERRUPTED, "interrupted");
        }
        KATA__TRY(repeat(bench, work, bench->seconds / REPETITIONS, n_times, &all[*n]));
        double after = kata__peak_flops(bench->context, KATA__PEAK_F32, probe_seconds);
        all[(*n)++].peak = 0.5 * (before + after);
        before = after;
    }
    return KATA_OK;
}

/* The time that the processor, or the memory that holds the footprint, needs at least, over the
 * time that it took. */
static void set_limit(kata__bench *bench, const kata__bench_work *work, const repetition *all,
                      int n, kata__bench_row *row) {
    double shares[REPETITIONS], compute[REPETITIONS], bandwidth = 0;
    int level = kata__bench_level_of(bench, work->footprint);
    if (work->bytes > 0) {
        bandwidth = kata__bench_bandwidth(bench, level);
    }
    double memory_time = bandwidth > 0 ? work->bytes / bandwidth : 0;
    for (int i = 0; i < n; i++) {
        compute[i] = work->flops / all[i].peak;
    }
    qsort(compute, (size_t)n, sizeof compute[0], kata__bench_by_size);
    bool is_compute = work->flops > 0 && quantile(compute, n, 0.5) >= memory_time;
    for (int i = 0; i < n; i++) {
        shares[i] = all[i].rate * (is_compute ? work->flops / all[i].peak : memory_time);
    }
    qsort(shares, (size_t)n, sizeof shares[0], kata__bench_by_size);
    if (is_compute || memory_time > 0) {
        row->share = quantile(shares, n, 0.5);
        row->limit = is_compute ? "FMA" : kata__bench_level_name(level);
    }
}

kata_status kata__bench_measure(kata__bench *bench, const char *workload,
                                const kata__bench_work *work) {
    repetition all[REPETITIONS];
    double rates[REPETITIONS];
    int n = 0, n_times = 0;
    if (bench->times == NULL) {
        bench->times = kata__alloc(bench->context, TIMES_MOST, sizeof *bench->times);
        if (bench->times == NULL) {
            return KATA_OUT_OF_MEMORY;
        }
    }
    KATA__TRY(repeat_all(bench, work, all, &n, &n_times));
    for (int i = 0; i < n; i++) {
        rates[i] = all[i].rate;
    }
    qsort(rates, (size_t)n, sizeof rates[0], kata__bench_by_size);
    qsort(bench->times, (size_t)n_times, sizeof *bench->times, kata__bench_by_size);
    double rate = quantile(rates, n, 0.5);
    kata__bench_row row = {.workload = workload,
                           .batch = work->batch,
                           .gflops = work->flops > 0 ? 1e-9 * work->flops * rate : NAN,
                           .share = NAN,
                           .per_second = work->items * rate,
                           .p50_us = 1e6 * quantile(bench->times, n_times, 0.5),
                           .p99_us = 1e6 * quantile(bench->times, n_times, 0.99),
                           .bytes = work->bytes > 0 ? work->bytes : NAN,
                           .spread = (quantile(rates, n, 0.75) - quantile(rates, n, 0.25)) / rate,
                           .unit = work->unit,
                           .more = work->more};
    set_limit(bench, work, all, n, &row);
    return kata__bench_print(bench, &row);
}
