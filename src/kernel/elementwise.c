/* Element-wise drivers: chunks, threads and broadcasting. The loops are body/elementwise.h. */
#include "kernel/elementwise.h"
#include "kernel/chunks.h"
#include "base/random.h"

#include <stdatomic.h>
#include <string.h>

/* ---- unary ---- */

typedef struct unary_job {
    void (*function)(int64_t n, const void *x, void *y, double alpha, double beta);
    int64_t n, chunk;
    const char *x;
    char *y;
    double alpha, beta;
    size_t size;
} unary_job;

static void unary_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const unary_job *job = argument;
    int64_t start, n = kata__chunk_of(chunk, job->n, job->chunk, &start);
    const size_t at = (size_t)start * job->size;
    job->function(n, job->x + at, job->y + at, job->alpha, job->beta);
}

void kata__unary_run(kata_context *context, kata_dtype dtype, kata__unary op, int64_t n,
                     const void *x, void *y, double alpha, double beta) {
    if (n <= 0) {
        return;
    }
    unary_job job = {.function = kata__elementwise_of(context, dtype)->unary[op],
                     .n = n,
                     .chunk = kata__chunk_even(n, KATA__CHUNK),
                     .x = x,
                     .y = y,
                     .alpha = alpha,
                     .beta = beta,
                     .size = kata_dtype_size(dtype)};
    kata__run_chunks(context, kata__chunk_count(n, job.chunk), unary_chunk, &job);
}

/* ---- binary with broadcasting ----
 *
 * After merging, axes [0, rank) have sizes dim and each operand its strides; z is contiguous. The
 * last axis is the inner loop if it is long and both strides are 0 or 1. Otherwise ("gathered") z
 * is cut into blocks and an operand that is not contiguous there is copied into a buffer first; a
 * bias of (1, c) under (n, c) is copied once, several times over. */

enum { SHORT_INNER = 64, GATHER = 1024 };

typedef struct operand {
    const char *data;
    int64_t stride[KATA_MAX_RANK];
    bool contiguous; /* over all of z */
    int64_t period;  /* > 0: element i of z takes element i % period, contiguous */
} operand;

typedef struct binary_job {
    void (*function)(int64_t n, const void *a, int a_step, const void *b, int b_step, void *z);
    size_t size;
    int rank;
    int64_t dim[KATA_MAX_RANK];
    operand a, b;
    char *z;
    int64_t n, chunk, parts;
} binary_job;

/* Drops axes of size 1 and merges an axis with the next where both operands allow it. */
static void merge_axes(binary_job *job, const kata_shape *shape, const int64_t *a_stride,
                       const int64_t *b_stride) {
    int rank = 0;
    for (int i = 0; i < shape->rank; i++) {
        const int64_t dim = shape->dim[i];
        if (dim == 1) {
            continue;
        }
        if (rank > 0 && job->a.stride[rank - 1] == a_stride[i] * dim &&
            job->b.stride[rank - 1] == b_stride[i] * dim) {
            job->dim[rank - 1] *= dim;
            job->a.stride[rank - 1] = a_stride[i];
            job->b.stride[rank - 1] = b_stride[i];
            continue;
        }
        job->dim[rank] = dim;
        job->a.stride[rank] = a_stride[i];
        job->b.stride[rank] = b_stride[i];
        rank++;
    }
    if (rank == 0) {
        job->dim[0] = 1;
        job->a.stride[0] = job->b.stride[0] = 1;
        rank = 1;
    }
    job->rank = rank;
}

static void look_at(const binary_job *job, operand *x) {
    int64_t step = 1;
    int i = job->rank - 1;
    for (; i >= 0 && x->stride[i] == step; i--) {
        step *= job->dim[i];
    }
    x->contiguous = i < 0;
    x->period = step > 1 && i >= 0 ? step : 0;
    for (; i >= 0; i--) {
        if (x->stride[i] != 0) {
            x->period = 0;
        }
    }
}

/* Copies elements [start, start + n) of z's order from an operand into a buffer. */
static void gather(const binary_job *job, const operand *x, int64_t start, int64_t n, char *to) {
    const int last = job->rank - 1;
    int64_t index[KATA_MAX_RANK], rest = start, at = 0;
    for (int i = last; i >= 0; i--) {
        index[i] = rest % job->dim[i];
        rest /= job->dim[i];
        at += index[i] * x->stride[i];
    }
    const int64_t stride = x->stride[last];
    for (int64_t done = 0; done < n;) {
        int64_t run = job->dim[last] - index[last];
        run = run < n - done ? run : n - done;
        if (job->size == sizeof(float)) {
            const float *from = (const float *)x->data + at;
            float *out = (float *)to + done;
            for (int64_t j = 0; j < run; j++) {
                out[j] = from[j * stride];
            }
        } else {
            const double *from = (const double *)x->data + at;
            double *out = (double *)to + done;
            for (int64_t j = 0; j < run; j++) {
                out[j] = from[j * stride];
            }
        }
        done += run;
        /* On to the next row: carry through the axes. */
        at += run * stride;
        index[last] += run;
        for (int i = last; i > 0 && index[i] == job->dim[i]; i--) {
            at += x->stride[i - 1] - index[i] * x->stride[i];
            index[i] = 0;
            index[i - 1]++;
        }
    }
}

/* Fills a buffer with n elements of a periodic operand: one period, then twice as many, and on. */
static void repeat(const binary_job *job, const operand *x, int64_t n, char *to) {
    int64_t done = x->period < n ? x->period : n;
    memcpy(to, x->data, (size_t)done * job->size);
    while (done < n) {
        const int64_t more = done < n - done ? done : n - done;
        memcpy(to + (size_t)done * job->size, to, (size_t)more * job->size);
        done += more;
    }
}

/* Element-wise on z[start .. start + n) when both operands are contiguous or one number. */
static void binary_flat_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const binary_job *job = argument;
    int64_t start, n = kata__chunk_of(chunk, job->n, job->chunk, &start);
    const int a_step = (int)job->a.stride[0], b_step = (int)job->b.stride[0];
    job->function(n, job->a.data + (size_t)(start * a_step) * job->size, a_step,
                  job->b.data + (size_t)(start * b_step) * job->size, b_step,
                  job->z + (size_t)start * job->size);
}

/* A chunk is a number of whole inner rows, or a part of one if rows are long (job->parts > 1). */
static void binary_rows_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const binary_job *job = argument;
    const int last = job->rank - 1;
    const int64_t inner = job->dim[last], size = (int64_t)job->size;
    const int64_t a_step = job->a.stride[last], b_step = job->b.stride[last];
    int64_t start, rows = kata__chunk_of(chunk / job->parts, job->n / inner, job->chunk, &start);
    int64_t from = 0, n = inner;
    if (job->parts > 1) {
        n = kata__chunk_of(chunk % job->parts, inner, KATA__CHUNK, &from);
    }
    int64_t index[KATA_MAX_RANK], rest = start, a = from * a_step, b = from * b_step;
    for (int i = last - 1; i >= 0; i--) {
        index[i] = rest % job->dim[i];
        rest /= job->dim[i];
        a += index[i] * job->a.stride[i];
        b += index[i] * job->b.stride[i];
    }
    for (int64_t row = start; row < start + rows; row++) {
        job->function(n, job->a.data + a * size, (int)a_step, job->b.data + b * size, (int)b_step,
                      job->z + (row * inner + from) * size);
        for (int i = last - 1; i >= 0; i--) {
            a += job->a.stride[i];
            b += job->b.stride[i];
            if (++index[i] < job->dim[i]) {
                break;
            }
            a -= index[i] * job->a.stride[i];
            b -= index[i] * job->b.stride[i];
            index[i] = 0;
        }
    }
}

static void binary_gathered_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const binary_job *job = argument;
    _Alignas(64) char a_buffer[GATHER * sizeof(double)], b_buffer[GATHER * sizeof(double)];
    int64_t start, n = kata__chunk_of(chunk, job->n, job->chunk, &start);
    /* Blocks of a whole number of periods start on a period, as the chunk does. */
    int64_t block = GATHER;
    const int64_t a_period = job->a.period, b_period = job->b.period;
    const int64_t period = a_period > 0 ? a_period : b_period;
    const bool repeats = period > 0 && period <= GATHER && job->chunk % period == 0;
    if (repeats) {
        block = GATHER / period * period;
    }
    const bool keep_a = repeats && a_period == period, keep_b = repeats && b_period == period;
    for (int64_t i = start; i < start + n; i += block) {
        const int64_t m = start + n - i < block ? start + n - i : block;
        const size_t at = (size_t)i * job->size;
        const char *a = a_buffer, *b = b_buffer;
        if (job->a.contiguous) {
            a = job->a.data + at;
        } else if (!keep_a) {
            gather(job, &job->a, i, m, a_buffer);
        } else if (i == start) {
            repeat(job, &job->a, m, a_buffer);
        }
        if (job->b.contiguous) {
            b = job->b.data + at;
        } else if (!keep_b) {
            gather(job, &job->b, i, m, b_buffer);
        } else if (i == start) {
            repeat(job, &job->b, m, b_buffer);
        }
        job->function(m, a, 1, b, 1, job->z + at);
    }
}

static bool is_step(int64_t stride) {
    return stride == 0 || stride == 1;
}

void kata__binary_run(kata_context *context, kata_dtype dtype, kata__binary op,
                      const kata_shape *shape, const void *a, const int64_t *a_stride,
                      const void *b, const int64_t *b_stride, void *z) {
    const int64_t n = kata_shape_count(shape);
    if (n <= 0) {
        return;
    }
    binary_job job = {.function = kata__elementwise_of(context, dtype)->binary[op],
                      .size = kata_dtype_size(dtype),
                      .a.data = a,
                      .b.data = b,
                      .z = z,
                      .n = n,
                      .chunk = KATA__CHUNK};
    merge_axes(&job, shape, a_stride, b_stride);
    const int last = job.rank - 1;
    const bool steps = is_step(job.a.stride[last]) && is_step(job.b.stride[last]);
    if (job.rank == 1 && steps) {
        job.chunk = kata__chunk_even(n, KATA__CHUNK);
        kata__run_chunks(context, kata__chunk_count(n, job.chunk), binary_flat_chunk, &job);
        return;
    }
    const int64_t inner = job.dim[last];
    look_at(&job, &job.a);
    look_at(&job, &job.b);
    const int64_t period = job.a.period > 0 ? job.a.period : job.b.period;
    const bool repeats = period > 0 && period <= GATHER / 2 &&
                         (job.a.contiguous || job.b.contiguous) && n >= 4 * GATHER;
    if (steps && inner >= SHORT_INNER && !repeats) {
        job.chunk = kata__chunk_size(inner);
        job.parts = kata__chunk_count(inner, KATA__CHUNK);
        kata__run_chunks(context, kata__chunk_count(n / inner, job.chunk) * job.parts,
                         binary_rows_chunk, &job);
        return;
    }
    if (period > 0 && period <= GATHER) {
        job.chunk = KATA__CHUNK / period * period;
    }
    kata__run_chunks(context, kata__chunk_count(n, job.chunk), binary_gathered_chunk, &job);
}

/* ---- bytes, factors, finite numbers ---- */

void kata__bytes_scaled(kata_context *context, kata_dtype dtype, int64_t n, const uint8_t *x,
                        double scale, void *y) {
    kata__elementwise_of(context, dtype)->from_bytes(n, x, scale, y);
}

void kata__scaled(kata_context *context, kata_dtype dtype, int64_t n, const void *x, double scale,
                  void *y) {
    double factor[1]; /* of this dtype */
    kata_store(dtype, factor, 0, scale);
    kata__elementwise_of(context, dtype)->binary[KATA__MUL](n, x, 1, factor, 0, y);
}

typedef struct finite_job {
    const kata__elementwise_table *table;
    size_t size;
    int64_t n, chunk;
    const char *x;
    _Atomic bool found; /* one that is not */
} finite_job;

static void finite_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    finite_job *job = argument;
    int64_t start, n = kata__chunk_of(chunk, job->n, job->chunk, &start);
    if (!job->table->all_finite(n, job->x + (size_t)start * job->size)) {
        atomic_store_explicit(&job->found, true, memory_order_relaxed);
    }
}

bool kata__all_finite(kata_context *context, kata_dtype dtype, int64_t n, const void *x) {
    finite_job job = {.table = kata__elementwise_of(context, dtype),
                      .size = kata_dtype_size(dtype),
                      .n = n,
                      .chunk = kata__chunk_even(n, KATA__CHUNK),
                      .x = x};
    kata__run_chunks(context, kata__chunk_count(n, job.chunk), finite_chunk, &job);
    return !atomic_load_explicit(&job.found, memory_order_relaxed);
}

/* ---- dropout ---- */

typedef struct dropout_job {
    const kata__elementwise_table *table;
    size_t size;
    int64_t n, chunk;
    const char *x;
    char *y;
    uint8_t *mask;
    double ratio;
    uint64_t key, step;
} dropout_job;

static void dropout_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const dropout_job *job = argument;
    enum { BLOCK = 2048 };
    _Alignas(64) float u[BLOCK];
    int64_t start, n = kata__chunk_of(chunk, job->n, job->chunk, &start);
    for (int64_t i = start; i < start + n; i += BLOCK) {
        const int64_t m = start + n - i < BLOCK ? start + n - i : BLOCK;
        const size_t at = (size_t)i * job->size;
        job->table->uniform((m + 3) / 4, job->key, job->step, (uint64_t)i / 4, u);
        job->table->dropout(m, job->x + at, u, job->ratio, job->y + at, job->mask + i);
    }
}

void kata__dropout(kata_context *context, kata_dtype dtype, int64_t n, const void *x, double ratio,
                   uint64_t seed, uint32_t stream, uint64_t step, void *y, uint8_t *mask) {
    if (n <= 0) {
        return;
    }
    dropout_job job = {.table = kata__elementwise_of(context, dtype),
                       .size = kata_dtype_size(dtype),
                       .n = n,
                       .chunk = kata__chunk_even(n, KATA__CHUNK),
                       .x = x,
                       .y = y,
                       .mask = mask,
                       .ratio = ratio,
                       .key = kata__random_uniform_key(seed, stream),
                       .step = step};
    kata__run_chunks(context, kata__chunk_count(n, job.chunk), dropout_chunk, &job);
}

typedef struct dropout_gradient_job {
    const kata__elementwise_table *table;
    size_t size;
    int64_t n, chunk;
    const char *dy;
    const uint8_t *mask;
    char *dx;
    double ratio;
} dropout_gradient_job;

static void dropout_gradient_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const dropout_gradient_job *job = argument;
    int64_t start, n = kata__chunk_of(chunk, job->n, job->chunk, &start);
    const size_t at = (size_t)start * job->size;
    job->table->dropout_gradient(n, job->dy + at, job->mask + start, job->ratio, job->dx + at);
}

void kata__dropout_gradient(kata_context *context, kata_dtype dtype, int64_t n, const void *dy,
                            const uint8_t *mask, double ratio, void *dx) {
    if (n <= 0) {
        return;
    }
    dropout_gradient_job job = {.table = kata__elementwise_of(context, dtype),
                                .size = kata_dtype_size(dtype),
                                .n = n,
                                .chunk = kata__chunk_even(n, KATA__CHUNK),
                                .dy = dy,
                                .mask = mask,
                                .dx = dx,
                                .ratio = ratio};
    kata__run_chunks(context, kata__chunk_count(n, job.chunk), dropout_gradient_chunk, &job);
}
