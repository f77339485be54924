/* Drivers of move.h: chunks and threads. The loops are body/move.h. */
#include "kernel/move.h"
#include "kernel/chunks.h"

/* Rows of a block that one chunk takes of a large matrix: a multiple of every vector. */
enum { ROWS = 64 };

typedef struct transpose_job {
    const kata__elementwise_table *table;
    int64_t rows, columns, blocks; /* of ROWS rows in a matrix */
    int64_t n_blocks, together;    /* of all matrices; in a chunk */
    size_t size;
    const char *x;
    char *y;
} transpose_job;

static void transpose_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const transpose_job *job = argument;
    int64_t block, n = kata__chunk_of(chunk, job->n_blocks, job->together, &block);
    for (const int64_t end = block + n; block < end; block++) {
        const int64_t matrix = block / job->blocks, first = block % job->blocks * ROWS;
        const int64_t rows = job->rows - first < ROWS ? job->rows - first : ROWS;
        const int64_t at = matrix * job->rows * job->columns;
        job->table->transpose(rows, job->columns,
                              job->x + (size_t)(at + first * job->columns) * job->size,
                              job->columns, job->y + (size_t)(at + first) * job->size, job->rows);
    }
}

void kata__transpose(kata_context *context, kata_dtype dtype, int64_t n, int64_t rows,
                     int64_t columns, const void *x, void *y) {
    if (n <= 0 || rows <= 0 || columns <= 0) {
        return;
    }
    transpose_job job = {.table = kata__elementwise_of(context, dtype),
                         .rows = rows,
                         .columns = columns,
                         .blocks = kata__chunk_count(rows, ROWS),
                         .size = kata_dtype_size(dtype),
                         .x = x,
                         .y = y};
    job.n_blocks = n * job.blocks;
    job.together =
        kata__chunk_share(job.n_blocks, kata__chunk_size((rows < ROWS ? rows : ROWS) * columns));
    kata__run_chunks(context, kata__chunk_count(job.n_blocks, job.together), transpose_chunk, &job);
}
