/* Drivers of softmax and the normalisations: chunks and threads. The loops are body/rows.h. */
#include "kernel/rows.h"
#include "kernel/chunks.h"
#include "base/number.h"

#include <math.h>
#include <string.h>

/* ---- softmax ---- */

typedef struct softmax_job {
    const kata__elementwise_table *table;
    bool log;
    size_t size;
    int64_t outer, n_axis, inner;
    int64_t rows_in_chunk, tile, n_tiles;
    const char *x, *dy; /* x: y in the gradient */
    char *y;            /* dx in the gradient */
} softmax_job;

/* inner == 1 */
static void softmax_rows_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const softmax_job *job = argument;
    int64_t start, rows = kata__chunk_of(chunk, job->outer, job->rows_in_chunk, &start);
    const size_t at = (size_t)(start * job->n_axis) * job->size;
    if (job->dy == NULL) {
        job->table->softmax_rows(job->log, rows, job->n_axis, job->x + at, job->y + at);
    } else {
        job->table->softmax_gradient_rows(job->log, rows, job->n_axis, job->x + at, job->dy + at,
                                          job->y + at);
    }
}

/* A chunk is a number of units (outer index, tile of inner). */
static void softmax_columns_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const softmax_job *job = argument;
    int64_t unit, n = kata__chunk_of(chunk, job->outer * job->n_tiles, job->rows_in_chunk, &unit);
    for (const int64_t end = unit + n; unit < end; unit++) {
        const int64_t first = unit % job->n_tiles * job->tile;
        const int64_t width = kata__minimum(job->tile, job->inner - first);
        const size_t at =
            (size_t)(unit / job->n_tiles * job->n_axis * job->inner + first) * job->size;
        if (job->dy == NULL) {
            job->table->softmax_columns(job->log, job->n_axis, job->inner, width, job->x + at,
                                        job->y + at);
        } else {
            job->table->softmax_gradient_columns(job->log, job->n_axis, job->inner, width,
                                                 job->x + at, job->dy + at, job->y + at);
        }
    }
}

static void softmax_run(kata_context *context, kata_dtype dtype, softmax_job *job) {
    if (job->outer <= 0 || job->n_axis <= 0 || job->inner <= 0) {
        return;
    }
    job->table = kata__elementwise_of(context, dtype);
    job->size = kata_dtype_size(dtype);
    if (job->inner == 1) {
        job->rows_in_chunk = kata__chunk_size(job->n_axis);
        kata__run_chunks(context, kata__chunk_count(job->outer, job->rows_in_chunk),
                         softmax_rows_chunk, job);
        return;
    }
    job->tile = KATA__TILE;
    job->n_tiles = kata__chunk_count(job->inner, job->tile);
    job->rows_in_chunk = kata__chunk_size(job->n_axis * kata__minimum(job->tile, job->inner));
    kata__run_chunks(context, kata__chunk_count(job->outer * job->n_tiles, job->rows_in_chunk),
                     softmax_columns_chunk, job);
}

void kata__softmax(kata_context *context, kata_dtype dtype, bool log, int64_t outer, int64_t n_axis,
                   int64_t inner, const void *x, void *y) {
    softmax_job job = {
        .log = log, .outer = outer, .n_axis = n_axis, .inner = inner, .x = x, .y = y};
    softmax_run(context, dtype, &job);
}

void kata__softmax_gradient(kata_context *context, kata_dtype dtype, bool log, int64_t outer,
                            int64_t n_axis, int64_t inner, const void *y, const void *dy,
                            void *dx) {
    softmax_job job = {
        .log = log, .outer = outer, .n_axis = n_axis, .inner = inner, .x = y, .dy = dy, .y = dx};
    softmax_run(context, dtype, &job);
}

/* ---- batch normalisation ----
 *
 * A chunk is a group of neighbouring channels with all their planes: statistics and result in one
 * visit. */

typedef enum batch_norm_what { TRAIN, APPLY, GRADIENT } batch_norm_what;

typedef struct batch_norm_job {
    const kata__elementwise_table *table;
    batch_norm_what what;
    kata_dtype dtype;
    size_t size;
    int64_t n, c, d, group;
    const char *x, *dy;
    const void *scale, *bias;
    const void *mean_in, *second_in; /* APPLY: variance; GRADIENT: inverse */
    double epsilon;
    char *y;                                     /* dx */
    void *mean_out, *inverse_out, *variance_out; /* GRADIENT: -, dscale, dbias */
} batch_norm_job;

enum { MOST_CHANNELS = 64 };

static void batch_norm_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const batch_norm_job *job = argument;
    const kata__elementwise_table *table = job->table;
    const kata_dtype dtype = job->dtype;
    int64_t first, channels = kata__chunk_of(chunk, job->c, job->group, &first);
    const int64_t n = job->n, d = job->d, stride = job->c * d;
    const size_t at = (size_t)(first * d) * job->size;
    double mean[MOST_CHANNELS] = {0}, second[MOST_CHANNELS] = {0};
    double k[MOST_CHANNELS], p[MOST_CHANNELS];
    double q[MOST_CHANNELS];
    if (job->what == GRADIENT) {
        double sum_dy[MOST_CHANNELS], sum_dot[MOST_CHANNELS];
        for (int64_t i = 0; i < channels; i++) {
            mean[i] = kata_load(dtype, job->mean_in, first + i);
        }
        table->batch_norm_dots(n, stride, channels, d, job->x + at, job->dy + at, mean, sum_dy,
                               sum_dot);
        const double count = (double)n * (double)d, factor = count > 0 ? 1.0 / count : 0.0;
        for (int64_t i = 0; i < channels; i++) {
            const double inverse = kata_load(dtype, job->second_in, first + i);
            k[i] = kata_load(dtype, job->scale, first + i) * inverse;
            p[i] = -k[i] * inverse * inverse * sum_dot[i] * factor;
            q[i] = -k[i] * sum_dy[i] * factor;
            kata_store(dtype, job->inverse_out, first + i, sum_dot[i] * inverse);
            kata_store(dtype, job->variance_out, first + i, sum_dy[i]);
        }
        table->batch_norm_gradient(n, stride, channels, d, job->x + at, job->dy + at, mean, k, p, q,
                                   job->y + at);
        return;
    }
    if (job->what == TRAIN) {
        table->batch_norm_moments(n, stride, channels, d, job->x + at, mean, second);
    } else {
        for (int64_t i = 0; i < channels; i++) {
            mean[i] = kata_load(dtype, job->mean_in, first + i);
            second[i] = kata_load(dtype, job->second_in, first + i);
        }
    }
    for (int64_t i = 0; i < channels; i++) {
        const double inverse = 1.0 / sqrt(second[i] + job->epsilon);
        k[i] = kata_load(dtype, job->scale, first + i) * inverse;
        q[i] = kata_load(dtype, job->bias, first + i);
        if (job->what == TRAIN) {
            kata_store(dtype, job->mean_out, first + i, mean[i]);
            kata_store(dtype, job->inverse_out, first + i, inverse);
            kata_store(dtype, job->variance_out, first + i, second[i]);
        }
    }
    table->batch_norm_apply(n, stride, channels, d, job->x + at, mean, k, q, job->y + at);
}

static void batch_norm_run(kata_context *context, batch_norm_job *job) {
    if (job->c <= 0) {
        return;
    }
    job->table = kata__elementwise_of(context, job->dtype);
    job->size = kata_dtype_size(job->dtype);
    if (job->d < KATA__PLANE) {
        /* Columns: one to four cache lines of float32, at most a tile. */
        const int64_t lines = job->c / 128 < 1 ? 1 : kata__minimum(job->c / 128, 4);
        job->group = kata__minimum(16 * lines, KATA__TILE / (job->d > 0 ? job->d : 1));
    } else {
        job->group = kata__minimum(kata__chunk_size(job->n * job->d), MOST_CHANNELS);
    }
    kata__run_chunks(context, kata__chunk_count(job->c, job->group), batch_norm_chunk, job);
}

void kata__batch_norm_train(kata_context *context, kata_dtype dtype, int64_t n, int64_t c,
                            int64_t d, const void *x, const void *scale, const void *bias,
                            double epsilon, void *y, void *saved_mean, void *saved_inverse,
                            void *saved_variance) {
    batch_norm_job job = {.what = TRAIN,
                          .dtype = dtype,
                          .n = n,
                          .c = c,
                          .d = d,
                          .x = x,
                          .scale = scale,
                          .bias = bias,
                          .epsilon = epsilon,
                          .y = y,
                          .mean_out = saved_mean,
                          .inverse_out = saved_inverse,
                          .variance_out = saved_variance};
    batch_norm_run(context, &job);
}

void kata__batch_norm_apply(kata_context *context, kata_dtype dtype, int64_t n, int64_t c,
                            int64_t d, const void *x, const void *scale, const void *bias,
                            const void *mean, const void *variance, double epsilon, void *y) {
    batch_norm_job job = {.what = APPLY,
                          .dtype = dtype,
                          .n = n,
                          .c = c,
                          .d = d,
                          .x = x,
                          .scale = scale,
                          .bias = bias,
                          .mean_in = mean,
                          .second_in = variance,
                          .epsilon = epsilon,
                          .y = y};
    batch_norm_run(context, &job);
}

void kata__batch_norm_gradient(kata_context *context, kata_dtype dtype, int64_t n, int64_t c,
                               int64_t d, const void *x, const void *dy, const void *scale,
                               const void *saved_mean, const void *saved_inverse, void *dx,
                               void *dscale, void *dbias) {
    batch_norm_job job = {.what = GRADIENT,
                          .dtype = dtype,
                          .n = n,
                          .c = c,
                          .d = d,
                          .x = x,
                          .dy = dy,
                          .scale = scale,
                          .mean_in = saved_mean,
                          .second_in = saved_inverse,
                          .y = dx,
                          .inverse_out = dscale,
                          .variance_out = dbias};
    batch_norm_run(context, &job);
}

/* ---- layer normalisation ---- */

typedef struct layer_norm_job {
    const kata__elementwise_table *table;
    size_t size;
    int64_t rows, d, rows_in_chunk;
    const char *x, *dy;
    const void *scale, *bias;
    double epsilon;
    char *y; /* dx */
    char *mean, *inverse;
    double *partial; /* (chunks, 2, d): dscale, dbias */
} layer_norm_job;

static void layer_norm_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const layer_norm_job *job = argument;
    int64_t start, rows = kata__chunk_of(chunk, job->rows, job->rows_in_chunk, &start);
    const size_t at = (size_t)(start * job->d) * job->size, row = (size_t)start * job->size;
    job->table->layer_norm_rows(rows, job->d, job->x + at, job->scale, job->bias, job->epsilon,
                                job->y + at, job->mean + row, job->inverse + row);
}

void kata__layer_norm(kata_context *context, kata_dtype dtype, int64_t rows, int64_t d,
                      const void *x, const void *scale, const void *bias, double epsilon, void *y,
                      void *mean, void *inverse) {
    layer_norm_job job = {.table = kata__elementwise_of(context, dtype),
                          .size = kata_dtype_size(dtype),
                          .rows = rows,
                          .d = d,
                          .rows_in_chunk = kata__chunk_size(d),
                          .x = x,
                          .scale = scale,
                          .bias = bias,
                          .epsilon = epsilon,
                          .y = y,
                          .mean = mean,
                          .inverse = inverse};
    kata__run_chunks(context, kata__chunk_count(rows, job.rows_in_chunk), layer_norm_chunk, &job);
}

/* Rows of a chunk: at most 32 chunks, whose dscale and dbias are added in order. */
static int64_t layer_norm_gradient_rows(int64_t rows, int64_t d) {
    const int64_t by_count = (rows - 1) / 32 + 1, by_size = kata__chunk_size(d);
    return by_count > by_size ? by_count : by_size;
}

static void layer_norm_gradient_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const layer_norm_job *job = argument;
    int64_t start, rows = kata__chunk_of(chunk, job->rows, job->rows_in_chunk, &start);
    const size_t at = (size_t)(start * job->d) * job->size, row = (size_t)start * job->size;
    double *sum = job->partial + chunk * 2 * job->d;
    memset(sum, 0, (size_t)(2 * job->d) * sizeof *sum);
    job->table->layer_norm_gradient_rows(rows, job->d, job->x + at, job->dy + at, job->scale,
                                         job->mean + row, job->inverse + row, job->y + at, sum,
                                         sum + job->d);
}

void kata__layer_norm_gradient(kata_context *context, kata_dtype dtype, int64_t rows, int64_t d,
                               const void *x, const void *dy, const void *scale, const void *mean,
                               const void *inverse, void *dx, void *dscale, void *dbias,
                               void *workspace) {
    if (d <= 0) {
        return;
    }
    layer_norm_job job = {.table = kata__elementwise_of(context, dtype),
                          .size = kata_dtype_size(dtype),
                          .rows = rows,
                          .d = d,
                          .rows_in_chunk = layer_norm_gradient_rows(rows, d),
                          .x = x,
                          .dy = dy,
                          .scale = scale,
                          .y = dx,
                          .mean = (char *)mean,
                          .inverse = (char *)inverse,
                          .partial = workspace};
    const int64_t n_chunks = kata__chunk_count(rows, job.rows_in_chunk);
    kata__run_chunks(context, n_chunks, layer_norm_gradient_chunk, &job);
    for (int64_t j = 0; j < d; j++) {
        double scale_sum = 0, bias_sum = 0;
        for (int64_t chunk = 0; chunk < n_chunks; chunk++) {
            scale_sum += job.partial[chunk * 2 * d + j];
            bias_sum += job.partial[chunk * 2 * d + d + j];
        }
        kata_store(dtype, dscale, j, scale_sum);
        if (dbias != NULL) {
            kata_store(dtype, dbias, j, bias_sum);
        }
    }
}

size_t kata__layer_norm_gradient_workspace(kata_context *context, kata_dtype dtype, int64_t rows,
                                           int64_t d) {
    (void)context;
    (void)dtype;
    if (rows <= 0 || d <= 0) {
        return 0;
    }
    const int64_t n_chunks = kata__chunk_count(rows, layer_norm_gradient_rows(rows, d));
    return (size_t)(n_chunks * 2 * d) * sizeof(double);
}
