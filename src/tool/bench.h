/* Inside `kata bench`: what the files of the sub-command share. A workload is a call that is made
 * again and again; bench.c chooses and prints, bench_measure.c measures, the others say what the
 * calls are. */
#ifndef KATA_TOOL_BENCH_H
#define KATA_TOOL_BENCH_H

#include "tool/tool.h"

enum {
    KATA__BENCH_L1,
    KATA__BENCH_L2,
    KATA__BENCH_L3,
    KATA__BENCH_MEMORY,
    KATA__BENCH_LEVELS,
    KATA__BENCH_NAME = 40,    /* bytes of a workload's name */
    KATA__BENCH_ENTRIES = 256 /* workloads at most */
};

/* One line of output. Numbers that a workload does not have are NaN. */
typedef struct kata__bench_row {
    const char *workload;
    int64_t batch; /* 0: none */
    double gflops, share, per_second, p50_us, p99_us;
    double bytes;      /* that a call must move at least; per_second of memory workloads is bytes */
    double spread;     /* (third - first quartile) / median of the repetitions' rates */
    const char *limit; /* what `share` is a share of: "FMA", "L1".."L3", "memory"; NULL: none */
    const char *unit;  /* of per_second: "sample", "call", "byte", "cycle" */
    const char *more;  /* further JSON members: ",\"x\":1"; NULL: none */
} kata__bench_row;

typedef struct kata__bench_old {
    char workload[KATA__BENCH_NAME];
    int64_t batch;
    int threads;
    double per_second, p50_us;
} kata__bench_old;

typedef struct kata__bench {
    kata__tool *tool;
    kata_context *context;
    int threads;
    double seconds; /* for a workload */
    bool json;
    const volatile int *stop;
    double bandwidth[KATA__BENCH_LEVELS]; /* bytes a second, all threads; 0: not measured yet */
    char folder[64];                      /* for files; "": not made yet */
    kata__bench_old *old;                 /* of --compare */
    size_t n_old;
    bool compare, header_done;
    double *times; /* seconds of single calls */
} kata__bench;

/* Calls of a workload. */
typedef struct kata__bench_work {
    kata_status (*call)(void *user);
    void *user;
    double flops;     /* floating-point operations of a call: products only, no taps on padding */
    double bytes;     /* that a call must move at least */
    double footprint; /* bytes it works on again and again: decides whose bandwidth is the limit */
    double items;     /* per_second counts so many for a call */
    const char *unit; /* of an item */
    int64_t batch;
    const char *more; /* as in the row */
} kata__bench_work;

struct kata__bench_entry;
typedef kata_status (*kata__bench_function)(kata__bench *bench,
                                            const struct kata__bench_entry *entry);
typedef struct kata__bench_entry {
    char name[KATA__BENCH_NAME];
    kata__bench_function run;
    int index;     /* into the file's own table */
    bool is_usual; /* part of `kata bench` without a name */
} kata__bench_entry;

typedef struct kata__bench_list {
    kata__bench_entry entries[KATA__BENCH_ENTRIES];
    size_t n;
} kata__bench_list;

void kata__bench_add(kata__bench_list *list, const char *group, const char *name,
                     kata__bench_function run, int index, bool is_usual);
void kata__bench_add_start(kata__bench_list *list);    /* bench_start.c */
void kata__bench_add_machine(kata__bench_list *list);  /* bench_machine.c */
void kata__bench_add_kernels(kata__bench_list *list);  /* bench_kernels.c */
void kata__bench_add_networks(kata__bench_list *list); /* bench_networks.c */
void kata__bench_add_data(kata__bench_list *list);     /* bench_data.c */

/* Prints a row. */
kata_status kata__bench_print(kata__bench *bench, const kata__bench_row *row);
/* Repeats the call for bench->seconds, with the peak measured between the repetitions, and prints
 * its row. */
kata_status kata__bench_measure(kata__bench *bench, const char *workload,
                                const kata__bench_work *work);

/* For qsort: doubles, the smallest first. */
int kata__bench_by_size(const void *a, const void *b);

/* Bytes of a cache of one core (L1, L2) or of all (L3); memory: what a measurement goes over. */
size_t kata__bench_level_bytes(int level);
const char *kata__bench_level_name(int level);
/* Bytes a second of all threads at a level, measured at first use: the best of reading, copying and
 * triad. */
double kata__bench_bandwidth(kata__bench *bench, int level);
/* What a measurement at a level goes over: half the cache, so that nothing else pushes it out. */
size_t kata__bench_stream_bytes(const kata__bench *bench, int level);
/* The level that holds so many bytes, shared out over the threads. */
int kata__bench_level_of(const kata__bench *bench, double n_bytes);

/* The path of a file in the folder of this run, made at first use; of the tool's arena. NULL and
 * the error set if there is none. */
const char *kata__bench_path(kata__bench *bench, const char *name);

/* A ready network with an optimiser as the book trains it: Adam where there are convolutions, else
 * SGD. */
kata_status kata__bench_network(kata_model **out, kata__bench *bench, const char *name);
/* n samples of 28x28 random pixels with random classes: uint8, or float32 in [0,1). */
kata_status kata__bench_samples(kata_dataset **out, kata__bench *bench, int64_t n,
                                kata_dtype dtype);
/* Operations of the products and convolutions of one run. */
double kata__bench_session_flops(const kata_session *session);

#endif
