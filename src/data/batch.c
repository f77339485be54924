/* Putting batches together: gathers samples by index and converts them. Chunks hold whole samples
 * and are cut by the samples' size alone. */
#include "base/check.h"
#include "base/parallel.h"
#include "data/augment.h"
#include "data/data.h"

#include <assert.h>
#include <string.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")
#endif

enum { CHUNK_ELEMENTS = 1 << 15 };

struct job {
    const kata_tensor *from, *to;
    const int64_t *order;
    int64_t first, n, chunk_samples;
    int64_t count; /* elements of a sample; of the target: of a row of `to` */
    const kata_augment *augment;
    uint64_t seed, epoch;
};

static int64_t sample_of(const struct job *job, int64_t i) {
    return job->order == NULL ? job->first + i : job->order[job->first + i];
}

static const void *row_of(const kata_tensor *tensor, int64_t row, int64_t count) {
    return (const char *)tensor->data + (size_t)(row * count) * kata_dtype_size(tensor->dtype);
}

static void bytes_to_floats(float *restrict to, const uint8_t *restrict from, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        to[i] = (float)from[i];
    }
}

static void convert_row(const struct job *job, int64_t i, int64_t sample) {
    const void *from = row_of(job->from, sample, job->count);
    void *to = (void *)(uintptr_t)row_of(job->to, i, job->count);
    kata_dtype from_dtype = job->from->dtype, to_dtype = job->to->dtype;
    if (from_dtype == to_dtype) {
        memcpy(to, from, (size_t)job->count * kata_dtype_size(to_dtype));
    } else if (from_dtype == KATA_U8 && to_dtype == KATA_F32) {
        bytes_to_floats(to, from, job->count);
    } else {
        for (int64_t j = 0; j < job->count; j++) {
            kata_store(to_dtype, to, j, kata_load(from_dtype, from, j));
        }
    }
}

static void augment_row(const struct job *job, int64_t i, int64_t sample) {
    const int64_t *dim = job->from->shape.dim;
    kata__augment_sample(job->augment, job->seed, job->epoch, sample, (int)dim[1], (int)dim[2],
                         (int)dim[3], row_of(job->from, sample, job->count), job->from->dtype,
                         (void *)(uintptr_t)row_of(job->to, i, job->count), job->to->dtype);
}

static void input_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const struct job *job = argument;
    int64_t end = (chunk + 1) * job->chunk_samples;
    for (int64_t i = chunk * job->chunk_samples; i < job->n && i < end; i++) {
        int64_t sample = sample_of(job, i);
        if (job->augment != NULL) {
            augment_row(job, i, sample);
        } else {
            convert_row(job, i, sample);
        }
    }
}

void kata__batch_input(const kata_dataset *dataset, int k, const int64_t *order, int64_t first,
                       int64_t n, const kata_augment *augment, uint64_t seed, uint64_t epoch,
                       const kata_tensor *out) {
    if (n <= 0) {
        return;
    }
    struct job job = {&dataset->inputs[k], out, order, first, n, 1, 0, augment, seed, epoch};
    job.count = kata_tensor_count(job.from) / dataset->n;
    assert(job.count * n == kata_tensor_count(out));
    bool picture =
        job.from->shape.rank == 4 && (job.from->dtype == KATA_U8 || job.from->dtype == KATA_F32);
    if (!picture || !kata__augment_is_on(augment)) {
        job.augment = NULL;
    }
    if (job.count == 0) {
        return;
    }
    /* An augmented pixel costs some thirty times a copied one. */
    int64_t elements = job.augment != NULL ? CHUNK_ELEMENTS / 8 : CHUNK_ELEMENTS;
    job.chunk_samples = job.count < elements ? elements / job.count : 1;
    kata__parallel(dataset->context, (n + job.chunk_samples - 1) / job.chunk_samples, input_chunk,
                   &job);
}

/* Row i of a one-hot target: 1 at the label, 0 elsewhere; a label outside leaves zeros. */
static void one_hot_row(const struct job *job, int64_t i, int64_t label) {
    int64_t base = i * job->count;
    size_t size = kata_dtype_size(job->to->dtype);
    memset((char *)job->to->data + (size_t)base * size, 0, (size_t)job->count * size);
    if (label >= 0 && label < job->count) {
        kata_store(job->to->dtype, job->to->data, base + label, 1);
    }
}

void kata__batch_target(const kata_dataset *dataset, int k, const int64_t *order, int64_t first,
                        int64_t n, const kata_tensor *out) {
    if (n <= 0) {
        return;
    }
    struct job job = {.from = &dataset->targets[k],
                      .to = out,
                      .order = order,
                      .first = first,
                      .n = n,
                      .count = kata_tensor_count(out) / n};
    int64_t count = kata_tensor_count(job.from) / dataset->n;
    bool one_hot = count == 1 && job.count > 1;
    assert(one_hot || job.count == count);
    for (int64_t i = 0; i < n; i++) {
        int64_t sample = sample_of(&job, i);
        if (one_hot) {
            one_hot_row(&job, i, (int64_t)kata_load(job.from->dtype, job.from->data, sample));
        } else {
            convert_row(&job, i, sample);
        }
    }
}
