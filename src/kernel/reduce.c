/* Reductions over any set of axes, without a transposed copy.
 *
 * Axes of size 1 are dropped and neighbours of one kind merged, so that kept (K) and reduced (R)
 * axes alternate. The last two are one call of the table: "... K R" reduces rows, "... R K" adds up
 * columns. The axes before them are loops. A call's results go into doubles on the stack, the
 * reduced loops run in order for each of them.
 *
 * Threads: kept indices are independent. If there are too few of them, the first reduced axis is
 * cut into parts, whose partial results are combined as a tree. Parts follow from the shape. */
#include "kernel/elementwise.h"
#include "kernel/chunks.h"
#include "base/number.h"

#include <math.h>

enum { MAX_PARTS = 64, ENOUGH_UNITS = 16 };

typedef struct reduce_job {
    void (*call)(int64_t count, int64_t stride, int64_t n, const void *x, double *sum);
    kata__reduce op;
    kata_dtype dtype;
    size_t size;
    const char *x;
    void *y;
    bool rows; /* the last axis is reduced */

    int n_kept; /* outer kept axes */
    int64_t kept_dim[KATA_MAX_RANK], kept_stride[KATA_MAX_RANK];
    int n_reduced; /* outer reduced axes */
    int64_t reduced_dim[KATA_MAX_RANK], reduced_stride[KATA_MAX_RANK];

    int64_t results; /* of the last kept axis: what a call gives */
    int64_t result_stride;
    int64_t depth; /* size of the last reduced axis */
    int64_t depth_stride;

    int64_t tile;                    /* results of a unit */
    int64_t n_tiles, n_outer;        /* units: outer kept indices x tiles */
    int64_t units_in_chunk, n_units; /* without parts */
    int64_t n_parts, part_size, part_axis_dim;
    int64_t n_results; /* of all */
    double *partial;   /* (n_parts, n_results) if n_parts > 1 */
} reduce_job;

static double combine(kata__reduce op, double a, double b) {
    switch (op) {
    case KATA__REDUCE_MAX:
        return a > b ? a : (a != a ? a : b);
    case KATA__REDUCE_MIN:
        return a < b ? a : (a != a ? a : b);
    default:
        return a + b;
    }
}

static double empty_value(kata__reduce op) {
    return op == KATA__REDUCE_MAX ? -INFINITY : op == KATA__REDUCE_MIN ? INFINITY : 0.0;
}

/* Results [first, first + n) of outer kept index `outer`, over part [from, to) of the first reduced
 * axis, into sum. */
static void reduce_unit(const reduce_job *job, int64_t outer, int64_t first, int64_t n,
                        int64_t from, int64_t to, double *sum) {
    for (int64_t i = 0; i < n; i++) {
        sum[i] = empty_value(job->op);
    }
    int64_t at = first * job->result_stride, rest = outer;
    for (int i = job->n_kept - 1; i >= 0; i--) {
        at += rest % job->kept_dim[i] * job->kept_stride[i];
        rest /= job->kept_dim[i];
    }
    int64_t depth = job->depth, loops = 1;
    int64_t index[KATA_MAX_RANK] = {0};
    if (job->n_reduced == 0) {
        at += from * job->depth_stride;
        depth = to - from;
    } else {
        at += from * job->reduced_stride[0];
        loops = to - from;
        for (int i = 1; i < job->n_reduced; i++) {
            loops *= job->reduced_dim[i];
        }
    }
    for (; loops > 0; loops--) {
        const char *x = job->x + at * (int64_t)job->size;
        if (job->rows) {
            job->call(n, job->result_stride, depth, x, sum);
        } else {
            job->call(depth, job->depth_stride, n, x, sum);
        }
        for (int i = job->n_reduced - 1; i >= 0; i--) {
            at += job->reduced_stride[i];
            if (i == 0 || ++index[i] < job->reduced_dim[i]) {
                break;
            }
            at -= index[i] * job->reduced_stride[i];
            index[i] = 0;
        }
    }
}

static void store(const reduce_job *job, int64_t at, int64_t n, const double *sum) {
    if (job->dtype == KATA_F32) {
        float *y = (float *)job->y + at;
        for (int64_t i = 0; i < n; i++) {
            y[i] = (float)sum[i];
        }
    } else {
        double *y = (double *)job->y + at;
        for (int64_t i = 0; i < n; i++) {
            y[i] = sum[i];
        }
    }
}

static void reduce_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const reduce_job *job = argument;
    double sum[KATA__TILE];
    int64_t unit, n_units = kata__chunk_of(chunk, job->n_units, job->units_in_chunk, &unit);
    for (const int64_t end = unit + n_units; unit < end; unit++) {
        const int64_t outer = unit / job->n_tiles, first = unit % job->n_tiles * job->tile;
        const int64_t n = job->results - first < job->tile ? job->results - first : job->tile;
        reduce_unit(job, outer, first, n, 0, job->part_axis_dim, sum);
        store(job, outer * job->results + first, n, sum);
    }
}

static void reduce_part(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const reduce_job *job = argument;
    const int64_t part = chunk % job->n_parts, unit = chunk / job->n_parts;
    const int64_t outer = unit / job->n_tiles, first = unit % job->n_tiles * job->tile;
    const int64_t n = job->results - first < job->tile ? job->results - first : job->tile;
    int64_t from, size = kata__chunk_of(part, job->part_axis_dim, job->part_size, &from);
    reduce_unit(job, outer, first, n, from, from + size,
                job->partial + part * job->n_results + outer * job->results + first);
}

/* Sorts the axes into the job; false if nothing is reduced in the end and x is just read. */
static void sort_axes(reduce_job *job, const kata_shape *shape, const bool *reduce) {
    int64_t dim[KATA_MAX_RANK + 1], stride[KATA_MAX_RANK + 1];
    bool reduced[KATA_MAX_RANK + 1];
    int rank = 0;
    int64_t step = 1;
    /* From the last axis to the first, so that entry 0 is the innermost. */
    for (int i = shape->rank - 1; i >= 0; i--) {
        if (shape->dim[i] == 1) {
            continue;
        }
        if (rank > 0 && reduced[rank - 1] == reduce[i]) {
            dim[rank - 1] *= shape->dim[i];
        } else {
            dim[rank] = shape->dim[i];
            stride[rank] = step;
            reduced[rank] = reduce[i];
            rank++;
        }
        step *= shape->dim[i];
    }
    job->rows = rank > 0 && reduced[0];
    job->results = job->depth = 1;
    job->result_stride = job->depth_stride = 1;
    for (int i = 0; i < 2 && i < rank; i++) {
        if (reduced[i]) {
            job->depth = dim[i];
            job->depth_stride = stride[i];
        } else {
            job->results = dim[i];
            job->result_stride = stride[i];
        }
    }
    for (int i = rank - 1; i >= 2; i--) {
        if (reduced[i]) {
            job->reduced_dim[job->n_reduced] = dim[i];
            job->reduced_stride[job->n_reduced++] = stride[i];
        } else {
            job->kept_dim[job->n_kept] = dim[i];
            job->kept_stride[job->n_kept++] = stride[i];
        }
    }
}

void kata__reduce_run(kata_context *context, kata_dtype dtype, kata__reduce op,
                      const kata_shape *shape, const bool *reduce, const void *x, void *y) {
    const kata__elementwise_table *table = kata__elementwise_of(context, dtype);
    reduce_job job = {
        .op = op, .dtype = dtype, .size = kata_dtype_size(dtype), .x = x, .y = y, .n_outer = 1};
    const int64_t total = kata_shape_count(shape);
    job.n_results = 1;
    for (int i = 0; i < shape->rank; i++) {
        job.n_results *= reduce[i] ? 1 : shape->dim[i];
    }
    if (job.n_results <= 0) {
        return;
    }
    if (total == 0) {
        const double empty = empty_value(op);
        for (int64_t i = 0; i < job.n_results; i++) {
            store(&job, i, 1, &empty);
        }
        return;
    }
    sort_axes(&job, shape, reduce);
    job.call = job.rows ? table->reduce_rows[op] : table->reduce_columns[op];
    for (int i = 0; i < job.n_kept; i++) {
        job.n_outer *= job.kept_dim[i];
    }
    job.part_axis_dim = job.n_reduced > 0 ? job.reduced_dim[0] : job.depth;

    /* A unit is a tile of results; rows: as many as make a chunk, columns: wide ones. */
    const int64_t per_result = total / job.n_results;
    job.tile = kata__minimum(job.rows ? kata__chunk_size(per_result) : KATA__TILE, KATA__TILE);
    job.n_tiles = kata__chunk_count(job.results, job.tile);
    job.n_units = job.n_outer * job.n_tiles;
    job.units_in_chunk = kata__chunk_size(per_result * kata__minimum(job.tile, job.results));

    job.n_parts = 1;
    if (job.n_units < ENOUGH_UNITS && job.n_results <= KATA__PARTIALS / 2) {
        job.n_parts =
            kata__minimum(kata__minimum(job.part_axis_dim, MAX_PARTS),
                          kata__minimum(KATA__PARTIALS / job.n_results, total / KATA__CHUNK));
    }
    if (job.n_parts < 2) {
        kata__run_chunks(context, kata__chunk_count(job.n_units, job.units_in_chunk), reduce_chunk,
                         &job);
        return;
    }
    double partial[KATA__PARTIALS];
    job.partial = partial;
    job.part_size = (job.part_axis_dim - 1) / job.n_parts + 1;
    job.n_parts = kata__chunk_count(job.part_axis_dim, job.part_size);
    kata__run_chunks(context, job.n_units * job.n_parts, reduce_part, &job);
    for (int64_t width = 1; width < job.n_parts; width *= 2) {
        for (int64_t part = 0; part + width < job.n_parts; part += 2 * width) {
            double *left = partial + part * job.n_results;
            const double *right = left + width * job.n_results;
            for (int64_t i = 0; i < job.n_results; i++) {
                left[i] = combine(op, left[i], right[i]);
            }
        }
    }
    store(&job, 0, job.n_results, partial);
}
