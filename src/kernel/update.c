/* Optimiser steps: the scalars, once in double, and the chunks. The loops are body/update.h. */
#include "kernel/update.h"
#include "kernel/chunks.h"

#include <math.h>
#include <stdatomic.h>

typedef struct update_job {
    const kata__elementwise_table *table;
    kata__update rule;
    const kata__update_scalars *scalars;
    kata_dtype dtype;
    size_t size; /* of a number */
    int64_t n, chunk;
    char *w;
    const char *g;
    char *state1, *state2;
    _Atomic int64_t first_bad; /* where a product is not finite */
} update_job;

/* n numbers from number `start` on, with the gradient g. */
static void update_range(const update_job *job, int64_t start, int64_t n, const void *g) {
    const size_t at = (size_t)start * job->size;
    job->table->update[job->rule](n, job->w + at, g, job->state1 != NULL ? job->state1 + at : NULL,
                                  job->state2 != NULL ? job->state2 + at : NULL, job->scalars);
}

static void update_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const update_job *job = argument;
    int64_t start, n = kata__chunk_of(chunk, job->n, job->chunk, &start);
    update_range(job, start, n, job->g + (size_t)start * job->size);
}

static kata__update_scalars scalars_of(kata__update rule, const kata__update_options *options) {
    kata__update_scalars scalars = {.lr = options->lr,
                                    .shrink = options->lr * options->weight_decay,
                                    .momentum = options->momentum,
                                    .epsilon = options->epsilon};
    if (rule == KATA__ADAM) {
        scalars.lr *=
            sqrt(1.0 - pow(options->beta2, options->t)) / (1.0 - pow(options->beta1, options->t));
        scalars.decay1 = 1.0 - options->beta1;
        scalars.decay2 = 1.0 - options->beta2;
    } else {
        scalars.decay1 = options->decay;
        scalars.decay2 = 1.0 - options->decay;
    }
    return scalars;
}

static update_job job_of(kata_context *context, kata_dtype dtype, kata__update rule, void *w,
                         void *state1, void *state2, const kata__update_scalars *scalars) {
    assert(rule == KATA__SGD || state1 != NULL);
    assert(rule != KATA__ADAM || state2 != NULL);
    return (update_job){.table = kata__elementwise_of(context, dtype),
                        .rule = rule,
                        .scalars = scalars,
                        .dtype = dtype,
                        .size = kata_dtype_size(dtype),
                        .w = w,
                        .state1 = state1,
                        .state2 = state2,
                        .first_bad = INT64_MAX};
}

void kata__update_run(kata_context *context, kata_dtype dtype, kata__update rule, int64_t n,
                      void *w, const void *g, void *state1, void *state2,
                      const kata__update_options *options) {
    if (n <= 0) {
        return;
    }
    const kata__update_scalars scalars = scalars_of(rule, options);
    update_job job = job_of(context, dtype, rule, w, state1, state2, &scalars);
    job.n = n;
    /* Roots and divisions take long: of the other rules less is worth a chunk. */
    job.chunk = kata__chunk_even(n, rule == KATA__SGD ? KATA__CHUNK : KATA__CHUNK / 8);
    job.g = g;
    kata__run_chunks(context, kata__chunk_count(n, job.chunk), update_chunk, &job);
}

/* ---- by a product ---- */

/* Keeps the least place. */
static void note_bad(update_job *job, int64_t at, const void *g, int64_t n) {
    int64_t i = 0;
    while (i < n - 1 && isfinite(kata_load(job->dtype, g, i))) {
        i++;
    }
    int64_t least = atomic_load(&job->first_bad);
    while (at + i < least && !atomic_compare_exchange_weak(&job->first_bad, &least, at + i)) {
    }
}

static void take_part(void *argument, int64_t at, int64_t step, int64_t m, int64_t n,
                      const void *g) {
    update_job *job = argument;
    if (n == step) { /* one row */
        n *= m;
        m = 1;
    }
    const char *row = g;
    for (int64_t i = 0; i < m; i++, at += step, row += (size_t)n * job->size) {
        if (job->table->all_finite(n, row)) {
            update_range(job, at, n, row);
        } else {
            note_bad(job, at, row, n);
        }
    }
}

static kata__gemm taken_product(const kata__gemm *product) {
    return (kata__gemm){.m = product->m,
                        .n = product->n,
                        .k = product->k,
                        .transpose_a = product->transpose_a,
                        .transpose_b = product->transpose_b,
                        .a = product->a,
                        .b = product->b,
                        .lda = product->lda,
                        .ldb = product->ldb,
                        .ldc = product->n,
                        .alpha = product->alpha,
                        .take = take_part};
}

/* Plain SGD's step, w += factor A' B'. */
static kata__gemm added_product(const kata__gemm *product, void *w, double factor,
                                uintptr_t *not_finite) {
    kata__gemm gemm = taken_product(product);
    gemm.take = NULL;
    gemm.c = w;
    gemm.alpha = factor;
    gemm.not_finite = not_finite;
    return gemm;
}

static bool is_added(kata_context *context, kata_dtype dtype, kata__update rule,
                     const kata__gemm *product, double weight_decay) {
    const kata__gemm added = added_product(product, NULL, 1, NULL);
    return rule == KATA__SGD && weight_decay == 0 && product->alpha == 1 &&
           kata__gemm_adds(context, dtype, &added);
}

kata__workspace_size kata__update_by_product_workspace(kata_context *context, kata_dtype dtype,
                                                       kata__update rule, const kata__gemm *product,
                                                       double weight_decay) {
    const kata__gemm gemm = is_added(context, dtype, rule, product, weight_decay)
                                ? added_product(product, NULL, 1, NULL)
                                : taken_product(product);
    return kata__gemm_workspace(context, dtype, &gemm);
}

int64_t kata__update_by_product(kata_context *context, kata_dtype dtype, kata__update rule,
                                const kata__gemm *product, void *w, void *state1, void *state2,
                                const kata__update_options *options,
                                const kata__workspace *workspace) {
    if (is_added(context, dtype, rule, product, options->weight_decay)) {
        uintptr_t bad = UINTPTR_MAX;
        const kata__gemm gemm = added_product(product, w, -options->lr, &bad);
        kata__gemm_run(context, dtype, &gemm, workspace);
        return bad == UINTPTR_MAX ? -1 : (int64_t)((bad - (uintptr_t)w) / kata_dtype_size(dtype));
    }
    const kata__update_scalars scalars = scalars_of(rule, options);
    update_job job = job_of(context, dtype, rule, w, state1, state2, &scalars);
    kata__gemm gemm = taken_product(product);
    gemm.taker = &job;
    kata__gemm_run(context, dtype, &gemm, workspace);
    const int64_t bad = atomic_load(&job.first_bad);
    return bad == INT64_MAX ? -1 : bad;
}
