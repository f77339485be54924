/* Optimiser steps: the scalars, once in double, and the chunks. The loops are body/update.h. */
#include "kernel/update.h"
#include "kernel/chunks.h"

#include <math.h>

typedef struct update_job {
    void (*function)(int64_t n, void *w, const void *g, void *state1, void *state2,
                     const kata__update_scalars *scalars);
    const kata__update_scalars *scalars;
    size_t size;
    int64_t n, chunk;
    char *w;
    const char *g;
    char *state1, *state2;
} update_job;

static void update_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const update_job *job = argument;
    int64_t start, n = kata__chunk_of(chunk, job->n, job->chunk, &start);
    const size_t at = (size_t)start * job->size;
    job->function(n, job->w + at, job->g + at, job->state1 != NULL ? job->state1 + at : NULL,
                  job->state2 != NULL ? job->state2 + at : NULL, job->scalars);
}

void kata__update_run(kata_context *context, kata_dtype dtype, kata__update rule, int64_t n,
                      void *w, const void *g, void *state1, void *state2,
                      const kata__update_options *options) {
    if (n <= 0) {
        return;
    }
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
    assert(rule == KATA__SGD || state1 != NULL);
    assert(rule != KATA__ADAM || state2 != NULL);
    update_job job = {.function = kata__elementwise_of(context, dtype)->update[rule],
                      .scalars = &scalars,
                      .size = kata_dtype_size(dtype),
                      .n = n,
                      .chunk = kata__chunk_even(n),
                      .w = w,
                      .g = g,
                      .state1 = state1,
                      .state2 = state2};
    kata__run_chunks(context, kata__chunk_count(n, job.chunk), update_chunk, &job);
}
