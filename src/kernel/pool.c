/* Pooling: planes are handed out in groups; the loops are in body/pool.h. */
#include "base/parallel.h"
#include "kernel/conv.h"
#include "kernel/table.h"

enum { CHUNK_READS = 65536 }; /* about as many taps as a chunk should read */

enum way { MAXIMUM, MAXIMUM_GRADIENT, AVERAGE, AVERAGE_GRADIENT };

struct job {
    const kata__gemm_table *table;
    const kata__conv *g;
    enum way way;
    bool count_include_pad;
    size_t size;
    int64_t planes, chunk_planes;
    const char *in; /* x, or dy */
    char *out;
    int32_t *index;
    const int32_t *from_index;
};

static void pool_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const struct job *job = argument;
    const kata__conv *g = job->g;
    const size_t plane = (size_t)(g->h * g->w), pooled = (size_t)(g->oh * g->ow);
    int64_t last = (chunk + 1) * job->chunk_planes;
    if (last > job->planes) {
        last = job->planes;
    }
    for (int64_t i = chunk * job->chunk_planes; i < last; i++) {
        const size_t n = (size_t)i;
        const bool gradient = job->way == MAXIMUM_GRADIENT || job->way == AVERAGE_GRADIENT;
        const void *in = job->in + n * (gradient ? pooled : plane) * job->size;
        void *out = job->out + n * (gradient ? plane : pooled) * job->size;
        switch (job->way) {
        case MAXIMUM:
            job->table->max_pool(g, in, out, job->index ? job->index + n * pooled : NULL);
            break;
        case MAXIMUM_GRADIENT:
            job->table->max_pool_gradient(g, in, job->from_index + n * pooled, out);
            break;
        case AVERAGE:
            job->table->average_pool(g, job->count_include_pad, in, out);
            break;
        case AVERAGE_GRADIENT:
            job->table->average_pool_gradient(g, job->count_include_pad, in, out);
            break;
        }
    }
}

static void run(kata_context *context, kata_dtype dtype, const kata__conv *pool, struct job job) {
    job.table = kata__kernels(context)->gemm[kata__kernel_type(dtype)];
    job.g = pool;
    job.size = kata_dtype_size(dtype);
    job.planes = pool->n * pool->c;
    const int64_t reads = pool->oh * pool->ow * pool->kh * pool->kw + pool->h * pool->w;
    job.chunk_planes = reads > 0 && reads < CHUNK_READS ? CHUNK_READS / reads : 1;
    kata__parallel(context, (job.planes + job.chunk_planes - 1) / job.chunk_planes, pool_chunk,
                   &job);
}

void kata__max_pool(kata_context *context, kata_dtype dtype, const kata__conv *pool, const void *x,
                    void *y, int32_t *index) {
    run(context, dtype, pool, (struct job){.way = MAXIMUM, .in = x, .out = y, .index = index});
}

void kata__max_pool_gradient(kata_context *context, kata_dtype dtype, const kata__conv *pool,
                             const void *dy, const int32_t *index, void *dx) {
    run(context, dtype, pool,
        (struct job){.way = MAXIMUM_GRADIENT, .in = dy, .out = dx, .from_index = index});
}

void kata__average_pool(kata_context *context, kata_dtype dtype, const kata__conv *pool,
                        bool count_include_pad, const void *x, void *y) {
    run(context, dtype, pool,
        (struct job){.way = AVERAGE, .in = x, .out = y, .count_include_pad = count_include_pad});
}

void kata__average_pool_gradient(kata_context *context, kata_dtype dtype, const kata__conv *pool,
                                 bool count_include_pad, const void *dy, void *dx) {
    run(context, dtype, pool,
        (struct job){
            .way = AVERAGE_GRADIENT, .in = dy, .out = dx, .count_include_pad = count_include_pad});
}
