/* Putting batches together: gathers samples by index and converts them. Chunks hold whole samples
 * and are cut by the samples' size alone. */
#include "base/check.h"
#include "base/parallel.h"
#include "data/augment.h"
#include "data/data.h"
#include "kernel/elementwise.h"

#include <assert.h>
#include <string.h>

enum { CHUNK_ELEMENTS = 1 << 14, CACHE_LINE = 64, PREFETCH_BYTES = 4096, PREFETCH_ROWS = 2 };

struct job {
    kata_context *context;
    const kata_tensor *from, *to;
    const int64_t *order;
    int64_t first, n, chunk_samples;
    int64_t count; /* elements of a sample; of the target: of a row of `to` */
    const kata_augment *augment;
    uint64_t seed, epoch;
    double scale;
};

static int64_t sample_of(const struct job *job, int64_t i) {
    return job->order == NULL ? job->first + i : job->order[job->first + i];
}

static const void *row_of(const kata_tensor *tensor, int64_t row, int64_t count) {
    return (const char *)tensor->data + (size_t)(row * count) * kata_dtype_size(tensor->dtype);
}

static void scale_row(const struct job *job, void *row) {
    if (job->scale != 1) {
        kata__scaled(job->context, job->to->dtype, job->count, row, job->scale, row);
    }
}

static void convert_row(const struct job *job, int64_t i, int64_t sample) {
    const void *from = row_of(job->from, sample, job->count);
    void *to = (void *)(uintptr_t)row_of(job->to, i, job->count);
    kata_dtype from_dtype = job->from->dtype, to_dtype = job->to->dtype;
    bool real = to_dtype == KATA_F32 || to_dtype == KATA_F64;
    if (from_dtype == KATA_U8 && real) {
        kata__bytes_scaled(job->context, to_dtype, job->count, from, job->scale, to);
        return;
    }
    if (from_dtype == to_dtype) {
        memcpy(to, from, (size_t)job->count * kata_dtype_size(to_dtype));
    } else {
        for (int64_t j = 0; j < job->count; j++) {
            kata_store(to_dtype, to, j, kata_load(from_dtype, from, j));
        }
    }
    scale_row(job, to);
}

static void augment_row(const struct job *job, int64_t i, int64_t sample) {
    const int64_t *dim = job->from->shape.dim;
    kata__augment_sample(job->augment, job->seed, job->epoch, sample, (int)dim[1], (int)dim[2],
                         (int)dim[3], row_of(job->from, sample, job->count), job->from->dtype,
                         (void *)(uintptr_t)row_of(job->to, i, job->count), job->to->dtype);
    scale_row(job, (void *)(uintptr_t)row_of(job->to, i, job->count));
}

/* Shuffled samples come from anywhere in memory: the next rows are asked for while this one is
 * converted. */
static void prefetch_row(const struct job *job, int64_t i) {
    if (i < job->n) {
        const char *row = row_of(job->from, sample_of(job, i), job->count);
        int64_t n_bytes = job->count * (int64_t)kata_dtype_size(job->from->dtype);
        for (int64_t at = 0; at < n_bytes && at < PREFETCH_BYTES; at += CACHE_LINE) {
            __builtin_prefetch(row + at);
        }
    }
}

static void input_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const struct job *job = argument;
    int64_t end = (chunk + 1) * job->chunk_samples;
    for (int64_t i = chunk * job->chunk_samples; i < job->n && i < end; i++) {
        int64_t sample = sample_of(job, i);
        prefetch_row(job, i + PREFETCH_ROWS);
        if (job->augment != NULL) {
            augment_row(job, i, sample);
        } else {
            convert_row(job, i, sample);
        }
    }
}

void kata__batch_input(const kata_dataset *dataset, int k, const int64_t *order, int64_t first,
                       int64_t n, const kata_augment *augment, uint64_t seed, uint64_t epoch,
                       double scale, const kata_tensor *out) {
    if (n <= 0) {
        return;
    }
    struct job job = {.context = dataset->context,
                      .from = &dataset->inputs[k],
                      .to = out,
                      .order = order,
                      .first = first,
                      .n = n,
                      .augment = augment,
                      .seed = seed,
                      .epoch = epoch,
                      .scale = scale};
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
    struct job job = {.context = dataset->context,
                      .from = &dataset->targets[k],
                      .to = out,
                      .order = order,
                      .first = first,
                      .n = n,
                      .count = kata_tensor_count(out) / n,
                      .scale = 1};
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
