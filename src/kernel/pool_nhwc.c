/* Pooling of NHWC tensors: rows of the output are handed out; the loops are in
 * body/pool_nhwc.h. Gradients are gathered, so that each number of dx is written once. */
#include "kernel/chunks.h"
#include "kernel/conv_nhwc.h"
#include "kernel/table.h"

enum { CHUNK_NUMBERS = 65536 }; /* about as many as a chunk should read and write */

enum way { MAXIMUM, MAXIMUM_GRADIENT, AVERAGE, AVERAGE_GRADIENT };

struct job {
    const kata__pool_nhwc_table *table;
    const kata__conv *g;
    enum way way;
    bool count_include_pad;
    int64_t rows, chunk_rows; /* of the output of all images */
    const float *in;          /* x, or dy */
    float *out;
    uint8_t *index;
    const uint8_t *from_index;
};

static void pool_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const struct job *job = argument;
    const kata__conv *g = job->g;
    int64_t first;
    const int64_t rows = kata__chunk_of(chunk, job->rows, job->chunk_rows, &first);
    const bool gradient = job->way == MAXIMUM_GRADIENT || job->way == AVERAGE_GRADIENT;
    const int64_t image_rows = gradient ? g->h : g->oh;
    const int64_t out_row = (gradient ? g->w : g->ow) * g->c;
    const int64_t in_image = (gradient ? g->oh * g->ow : g->h * g->w) * g->c;
    for (int64_t i = first; i < first + rows; i++) {
        const int64_t image = i / image_rows, row = i % image_rows;
        const float *in = job->in + image * in_image;
        float *out = job->out + i * out_row;
        switch (job->way) {
        case MAXIMUM:
            job->table->maximum(g, in, row, out, job->index ? job->index + i * out_row : NULL);
            break;
        case MAXIMUM_GRADIENT:
            job->table->maximum_gradient(g, in, job->from_index + image * in_image, row, out);
            break;
        case AVERAGE:
            job->table->average(g, job->count_include_pad, in, row, out);
            break;
        case AVERAGE_GRADIENT:
            job->table->average_gradient(g, job->count_include_pad, in, row, out);
            break;
        }
    }
}

static void run(kata_context *context, const kata__conv *pool, struct job job) {
    const bool gradient = job.way == MAXIMUM_GRADIENT || job.way == AVERAGE_GRADIENT;
    job.table = kata__kernels(context)->pool_nhwc;
    job.g = pool;
    job.rows = pool->n * (gradient ? pool->h : pool->oh);
    const int64_t row_numbers =
        pool->c * (gradient ? pool->w + pool->ow * pool->kw : pool->ow * (1 + pool->kh * pool->kw));
    job.chunk_rows = kata__chunk_share(
        job.rows, row_numbers > 0 && row_numbers < CHUNK_NUMBERS ? CHUNK_NUMBERS / row_numbers : 1);
    if (pool->c > 0) {
        kata__run_chunks(context, kata__chunk_count(job.rows, job.chunk_rows), pool_chunk, &job);
    }
}

void kata__max_pool_nhwc(kata_context *context, const kata__conv *pool, const float *x, float *y,
                         uint8_t *index) {
    assert(!index || pool->kh * pool->kw <= KATA__POOL_NONE);
    run(context, pool, (struct job){.way = MAXIMUM, .in = x, .out = y, .index = index});
}

void kata__max_pool_nhwc_gradient(kata_context *context, const kata__conv *pool, const float *dy,
                                  const uint8_t *index, float *dx) {
    run(context, pool,
        (struct job){.way = MAXIMUM_GRADIENT, .in = dy, .out = dx, .from_index = index});
}

void kata__average_pool_nhwc(kata_context *context, const kata__conv *pool, bool count_include_pad,
                             const float *x, float *y) {
    run(context, pool,
        (struct job){.way = AVERAGE, .in = x, .out = y, .count_include_pad = count_include_pad});
}

void kata__average_pool_nhwc_gradient(kata_context *context, const kata__conv *pool,
                                      bool count_include_pad, const float *dy, float *dx) {
    run(context, pool,
        (struct job){
            .way = AVERAGE_GRADIENT, .in = dy, .out = dx, .count_include_pad = count_include_pad});
}
