/* Winograd convolution: the cut into chunks, the workspace. The loops are in body/winograd.h.
 *
 *   forward  a chunk is a run of tiles (of one image or of several) and a share of the output
 *            channels: transforms its patches of x, multiplies, transforms back into y.
 *   weight   a chunk is a part of all tiles, a block of the input and a block of the output
 *            channels: adds up its products over the tiles, a few at a time, and transforms the sum
 *            back into its place among the parts, which are then added in order: those of each half
 *            of the tiles, then the two halves.
 *
 * Forward, an element's bits do not depend on the cut, so that a sample's result does not depend on
 * its batch. */
#include "kernel/winograd.h"
#include "base/context.h"
#include "base/number.h"
#include "kernel/chunks.h"
#include "kernel/table_bfloat16.h"

#include <string.h>

enum {
    CHUNK_FLOPS = 250000, /* of products */
    MOST_CHUNKS = 64,
    ENOUGH_CHUNKS = 16,
    LEAST_TILES = 8,      /* of a chunk, if it is cut for the sake of the threads alone */
    NEAR_BYTES = 1 << 17, /* of a packed weight that is quickly read again */
    WEIGHT_CHANNELS = 64,
    WEIGHT_TILES = 28, /* by weight, at a time: so many for each time that the sums are read, */
    MOST_WEIGHT_TILES = 48,
    WEIGHT_BYTES = 640 << 10, /* but no more bytes than these if that leaves enough */
    MOST_PARTS = 32,
    PART_TILES = 64, /* the least that are worth a sum of their own */
    PARTS_BYTES = 16 << 20,
    PACK_NUMBERS = 2304, /* of weight, to a chunk */
    LINE = 64
};

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static size_t lines(size_t n_bytes) {
    return (n_bytes + LINE - 1) / LINE * LINE;
}

/* The distance between the points of `numbers` words each: an odd count of lines, so that what is
 * written for all points of a tile does not fall into few sets of the cache. */
static int64_t point_step(int64_t numbers) {
    const int64_t line = LINE / (int64_t)sizeof(float);
    return (ceil_div(numbers, line) | 1) * line;
}

/* Distances of transforms are in words: see table_winograd.h. */
struct plan {
    const kata__winograd_table *table;
    int size, points;
    int64_t pair;                 /* numbers of a word */
    int64_t rows, columns, tiles; /* of an image; of all */
    int64_t c_pitch, f_vectors;
    int64_t run;            /* most tiles at a time */
    bool in_place;          /* forward: a run's products lie over its patches */
    int64_t blocks;         /* forward: runs; weight: parts */
    int64_t f_parts;        /* forward: shares of the output channels; weight: blocks */
    int64_t c_parts;        /* weight: blocks of the input channels */
    int64_t c_part, f_part; /* the most channels of a share, whole vectors */
    int64_t v_step, m_step; /* distance of the points of a run's transforms */
    int64_t u_step;         /* weight: and of their products */
    int64_t sum_pitch, part_numbers;
    size_t parts_bytes, db_bytes;
    size_t v_bytes, m_bytes, u_bytes; /* of a worker */
};

bool kata__winograd_fits(const kata__conv *conv) {
    return conv->kh == 3 && conv->kw == 3 && conv->stride_h == 1 && conv->stride_w == 1 &&
           conv->dilation_h == 1 && conv->dilation_w == 1 && conv->groups <= 1;
}

static struct plan plan_tiles(const kata__winograd_table *table, const kata__conv *conv,
                              kata__conv_algorithm algorithm, bool pool) {
    struct plan p = {
        .table = table, .size = algorithm == KATA__CONV_WINOGRAD_2 ? 2 : 4, .pair = table->pair};
    p.points = (p.size + 2) * (p.size + 2);
    p.rows = ceil_div(pool ? conv->oh / 2 * 2 : conv->oh, p.size);
    p.columns = ceil_div(pool ? conv->ow / 2 * 2 : conv->ow, p.size);
    p.tiles = conv->n * p.rows * p.columns;
    p.c_pitch = ceil_div(conv->c, p.table->lanes) * p.table->lanes;
    p.f_vectors = ceil_div(conv->f, p.table->lanes);
    return p;
}

static const kata__winograd_table *float_table(const kata_context *context) {
    return kata__kernels(context)->winograd;
}

static const kata__winograd_table *bf16_table(const kata_context *context) {
    return kata__bfloat16_kernels(context)->winograd;
}

/* ---- packed weights ---- */

int64_t kata__winograd_packed(kata_context *context, const kata__conv *conv,
                              kata__conv_algorithm algorithm) {
    const struct plan p = plan_tiles(float_table(context), conv, algorithm, false);
    return p.points * p.f_vectors * conv->c * p.table->lanes;
}

int64_t kata__winograd_bf16_packed(kata_context *context, const kata__conv *conv,
                                   kata__conv_algorithm algorithm) {
    const struct plan p = plan_tiles(bf16_table(context), conv, algorithm, false);
    const int64_t words = p.points * p.f_vectors * ceil_div(conv->c, p.pair) * p.table->lanes;
    return words * 2; /* numbers of 2 bytes in a word */
}

struct pack_job {
    const kata__winograd_table *table;
    const kata__conv *conv;
    int size;
    bool flipped;
    const float *weight;
    void *packed;
    int64_t vectors, chunk;
};

static void pack_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const struct pack_job *job = argument;
    int64_t first;
    const int64_t count = kata__chunk_of(chunk, job->vectors, job->chunk, &first);
    job->table->pack(job->conv, job->size, job->flipped, job->weight, first, first + count,
                     job->packed);
}

static void pack(kata_context *context, const kata__winograd_table *table, const kata__conv *conv,
                 kata__conv_algorithm algorithm, bool flipped, const float *weight, void *packed) {
    const struct plan p = plan_tiles(table, conv, algorithm, false);
    struct pack_job job = {.table = p.table,
                           .conv = conv,
                           .size = p.size,
                           .flipped = flipped,
                           .weight = weight,
                           .packed = packed,
                           .vectors = p.f_vectors};
    job.chunk = kata__maximum(1, PACK_NUMBERS / (9 * p.table->lanes * kata__maximum(conv->c, 1)));
    kata__run_chunks(context, kata__chunk_count(job.vectors, job.chunk), pack_chunk, &job);
}

void kata__winograd_pack(kata_context *context, const kata__conv *conv,
                         kata__conv_algorithm algorithm, bool flipped, const float *weight,
                         float *packed) {
    pack(context, float_table(context), conv, algorithm, flipped, weight, packed);
}

void kata__winograd_bf16_pack(kata_context *context, const kata__conv *conv,
                              kata__conv_algorithm algorithm, bool flipped, const float *weight,
                              uint16_t *packed) {
    pack(context, bf16_table(context), conv, algorithm, flipped, weight, packed);
}

/* ---- forward ---- */

/* Tiles at a time: few, so that what is transformed stays in the caches, but the more the larger
 * the packed weight is, which is read once for all of them. */
static int64_t run_tiles(const struct plan *p, int64_t weight_bytes) {
    const int64_t tiles = weight_bytes > NEAR_BYTES ? 28 : 14;
    return ceil_div(tiles, p->table->rows) * p->table->rows;
}

static struct plan plan_forward(const kata__winograd_table *table, const kata__conv *conv,
                                kata__conv_algorithm algorithm, bool pool) {
    struct plan p = plan_tiles(table, conv, algorithm, pool);
    const int64_t f_pitch = p.f_vectors * p.table->lanes;
    const int64_t weight_words = p.points * ceil_div(conv->c, p.pair) * f_pitch;
    const double flops = 2.0 * (double)weight_words * (double)p.tiles;
    /* A few chunks are a power of two, so that two or four threads share them evenly. */
    const int64_t enough =
        kata__maximum(1, kata__minimum(MOST_CHUNKS, (int64_t)(flops / CHUNK_FLOPS)));
    int64_t want = 1;
    while (want < enough) {
        want *= 2;
    }
    const int64_t run = run_tiles(&p, weight_words * (int64_t)sizeof(float));
    p.blocks = kata__maximum(1, kata__minimum(want, ceil_div(p.tiles, run)));
    p.blocks = kata__maximum(
        p.blocks, kata__minimum(kata__minimum(want, ENOUGH_CHUNKS), p.tiles / LEAST_TILES));
    p.run = ceil_div(p.tiles, p.blocks);
    p.run = ceil_div(p.run, kata__maximum(1, ceil_div(p.run, run)));
    /* A share reads and transforms its tiles anew: not for less than two vectors. */
    p.f_parts = kata__maximum(
        1, kata__minimum(kata__minimum(want, ENOUGH_CHUNKS) / p.blocks, p.f_vectors / 2));
    p.f_part = ceil_div(p.f_vectors, p.f_parts) * p.table->lanes;
    p.v_step = point_step(p.run * p.c_pitch / p.pair);
    p.m_step = point_step(p.run * p.f_part);
    p.v_bytes = lines((size_t)(p.points * p.v_step) * sizeof(float));
    p.m_bytes = lines((size_t)(p.points * p.m_step) * sizeof(float));
    p.in_place = p.pair == 1 && p.f_part <= p.c_pitch && p.f_part <= 2 * p.table->lanes;
    if (p.in_place) {
        p.m_step = p.v_step;
        p.m_bytes = 0;
    }
    return p;
}

static kata__workspace_size forward_workspace(const struct plan *p) {
    return (kata__workspace_size){.per_thread = p->v_bytes + p->m_bytes};
}

kata__workspace_size kata__winograd_workspace(kata_context *context, const kata__conv *conv,
                                              kata__conv_algorithm algorithm,
                                              const kata__conv_store *store) {
    const struct plan p = plan_forward(float_table(context), conv, algorithm, store->pool);
    return forward_workspace(&p);
}

kata__workspace_size kata__winograd_bf16_workspace(kata_context *context, const kata__conv *conv,
                                                   kata__conv_algorithm algorithm, bool pool) {
    const struct plan p = plan_forward(bf16_table(context), conv, algorithm, pool);
    return forward_workspace(&p);
}

struct forward_job {
    const struct plan *plan;
    const kata__conv *conv;
    const void *store, *x;
    const uint8_t *index; /* of x, if it is to be spread */
    const char *packed;
    void *y;
    const kata__workspace *workspace;
};

static void forward_chunk(void *argument, int64_t chunk, int worker) {
    const struct forward_job *job = argument;
    const struct plan *p = job->plan;
    const kata__conv *g = job->conv;
    const int64_t block = chunk / p->f_parts, share = chunk % p->f_parts;
    const int64_t lanes = p->table->lanes, words = ceil_div(g->c, p->pair);
    char *scratch = kata__per_thread(job->workspace, worker);
    float *v = (float *)scratch, *m = p->in_place ? v : (float *)(scratch + p->v_bytes);
    const int64_t f_first = p->f_vectors * share / p->f_parts;
    const int64_t f_last = p->f_vectors * (share + 1) / p->f_parts;
    const int64_t last = p->tiles * (block + 1) / p->blocks;
    for (int64_t first = p->tiles * block / p->blocks; first < last; first += p->run) {
        kata__winograd_piece piece = {.conv = g,
                                      .size = p->size,
                                      .rows = p->rows,
                                      .columns = p->columns,
                                      .first = first,
                                      .count = kata__minimum(p->run, last - first),
                                      .channels = g->c,
                                      .block = p->run * lanes / p->pair,
                                      .step = p->v_step};
        p->table->input(&piece, job->x, job->index, v);
        const kata__winograd_product product = {.points = p->points,
                                                .m = piece.count,
                                                .k = words,
                                                .vectors = f_last - f_first,
                                                .a = v,
                                                .a_step = p->v_step,
                                                .a_block = p->run * lanes / p->pair,
                                                .b = job->packed + f_first * words * lanes * 4,
                                                .b_step = p->f_vectors * words * lanes,
                                                .b_block = words * lanes,
                                                .c = m,
                                                .c_step = p->m_step,
                                                .c_block = p->run * lanes};
        p->table->product(&product);
        piece.channel = f_first * lanes;
        piece.channels = kata__minimum(f_last * lanes, g->f) - piece.channel;
        piece.block = p->run * lanes;
        piece.step = p->m_step;
        p->table->output(&piece, m, job->store, job->y);
    }
}

static void run_forward(kata_context *context, struct forward_job *job) {
    const struct plan *p = job->plan;
    if (p->tiles > 0 && job->conv->f > 0) {
        kata__run_chunks(context, p->blocks * p->f_parts, forward_chunk, job);
    }
}

void kata__winograd_run(kata_context *context, const kata__conv *conv,
                        kata__conv_algorithm algorithm, const float *x, const float *packed,
                        const kata__conv_store *store, float *y, const kata__workspace *workspace) {
    const struct plan p = plan_forward(float_table(context), conv, algorithm, store->pool);
    struct forward_job job = {.plan = &p,
                              .conv = conv,
                              .store = store,
                              .x = x,
                              .packed = (const char *)packed,
                              .y = y,
                              .workspace = workspace};
    run_forward(context, &job);
}

void kata__winograd_bf16_run(kata_context *context, const kata__conv *conv,
                             kata__conv_algorithm algorithm, const kata__conv_bf16_input *input,
                             const uint16_t *packed, const kata__conv_bf16_store *store,
                             uint16_t *y, const kata__workspace *workspace) {
    const struct plan p = plan_forward(bf16_table(context), conv, algorithm, store->pool);
    struct forward_job job = {.plan = &p,
                              .conv = conv,
                              .store = store,
                              .x = input->x,
                              .index = input->index,
                              .packed = (const char *)packed,
                              .y = y,
                              .workspace = workspace};
    run_forward(context, &job);
}

/* ---- by weight ---- */

static struct plan plan_weight(const kata__winograd_table *table, const kata__conv *conv,
                               kata__conv_algorithm algorithm, bool pooled) {
    struct plan p = plan_tiles(table, conv, algorithm, pooled);
    const int64_t lanes = p.table->lanes, f_pitch = p.f_vectors * lanes;
    const double flops = 2.0 * p.points * (double)p.tiles * (double)conv->c * (double)f_pitch;
    p.c_parts = kata__maximum(1, ceil_div(conv->c, WEIGHT_CHANNELS));
    p.c_part = ceil_div(ceil_div(conv->c, lanes), p.c_parts) * lanes;
    p.f_parts = kata__maximum(1, ceil_div(f_pitch, WEIGHT_CHANNELS));
    p.f_part = ceil_div(p.f_vectors, p.f_parts) * lanes;

    p.sum_pitch = f_pitch;
    p.part_numbers = 9 * conv->c * p.sum_pitch;
    const int64_t part_bytes = kata__maximum(p.part_numbers * (int64_t)sizeof(float), 1);
    const int64_t want =
        kata__maximum(1, kata__minimum(MOST_PARTS, (int64_t)(flops / CHUNK_FLOPS)));
    p.blocks = ceil_div(want, p.c_parts * p.f_parts);
    p.blocks = kata__minimum(p.blocks, kata__maximum(PARTS_BYTES / part_bytes, 1));
    p.blocks = kata__maximum(1, kata__minimum(p.blocks, p.tiles / PART_TILES));
    p.blocks -= p.blocks > 1 ? p.blocks % 2 : 0; /* two threads have the same to do */
    const int64_t word_bytes = p.points * (p.c_part + p.f_part) * (int64_t)sizeof(float);
    int64_t words =
        kata__maximum(WEIGHT_TILES, kata__minimum(WEIGHT_BYTES / word_bytes, MOST_WEIGHT_TILES));
    words = kata__maximum(1, kata__minimum(words, ceil_div(ceil_div(p.tiles, p.blocks), p.pair)));
    p.run = words * p.pair;

    p.v_step = point_step(words * p.c_part);
    p.m_step = point_step(words * p.f_part);
    p.u_step = point_step(p.c_part * p.f_part);
    p.v_bytes = lines((size_t)(p.points * p.v_step) * sizeof(float));
    p.m_bytes = lines((size_t)(p.points * p.m_step) * sizeof(float));
    p.u_bytes = lines((size_t)(p.points * p.u_step) * sizeof(float));
    p.parts_bytes = lines((size_t)(p.blocks * p.part_numbers) * sizeof(float));
    p.db_bytes = lines((size_t)(p.blocks * p.sum_pitch) * sizeof(float));
    return p;
}

static kata__workspace_size weight_workspace(const struct plan *p) {
    return (kata__workspace_size){.shared = p->parts_bytes + p->db_bytes,
                                  .per_thread = p->v_bytes + p->m_bytes + p->u_bytes};
}

kata__workspace_size kata__winograd_weight_workspace(kata_context *context, const kata__conv *conv,
                                                     kata__conv_algorithm algorithm, bool pooled) {
    const struct plan p = plan_weight(float_table(context), conv, algorithm, pooled);
    return weight_workspace(&p);
}

kata__workspace_size kata__winograd_bf16_weight_workspace(kata_context *context,
                                                          const kata__conv *conv,
                                                          kata__conv_algorithm algorithm,
                                                          bool pooled) {
    const struct plan p = plan_weight(bf16_table(context), conv, algorithm, pooled);
    return weight_workspace(&p);
}

struct weight_job {
    const struct plan *plan;
    const kata__conv *conv;
    const void *x, *dy;
    const uint8_t *index;
    float *dw;
    bool with_db;
    float *parts, *db_parts;
    void (*add)(int64_t n, const void *a, int a_step, const void *b, int b_step, void *c);
    const kata__workspace *workspace;
};

static void weight_chunk(void *argument, int64_t chunk, int worker) {
    const struct weight_job *job = argument;
    const struct plan *p = job->plan;
    const kata__conv *g = job->conv;
    const int64_t lanes = p->table->lanes, c_vectors = p->c_pitch / lanes;
    const int64_t vector_words = p->run / p->pair * lanes;
    const int64_t block = chunk / (p->c_parts * p->f_parts);
    const int64_t c_share = chunk / p->f_parts % p->c_parts, f_share = chunk % p->f_parts;
    const int64_t c = c_vectors * c_share / p->c_parts * lanes;
    const int64_t c_end = kata__minimum(c_vectors * (c_share + 1) / p->c_parts * lanes, g->c);
    const int64_t f_first = p->f_vectors * f_share / p->f_parts;
    const int64_t f_last = p->f_vectors * (f_share + 1) / p->f_parts;
    char *scratch = kata__per_thread(job->workspace, worker);
    float *v = (float *)scratch, *d = (float *)(scratch + p->v_bytes);
    float *u = (float *)(scratch + p->v_bytes + p->m_bytes);
    float *db = NULL;
    if (job->with_db && c_share == 0) {
        db = job->db_parts + block * p->sum_pitch + f_first * lanes;
        memset(db, 0, (size_t)((f_last - f_first) * lanes) * sizeof(float));
    }

    const kata__winograd_product product = {.points = p->points,
                                            .m = ceil_div(c_end - c, lanes) * lanes,
                                            .vectors = f_last - f_first,
                                            .a = v,
                                            .a_step = p->v_step,
                                            .a_block = vector_words,
                                            .b = d,
                                            .b_step = p->m_step,
                                            .b_block = vector_words,
                                            .c = u,
                                            .c_step = p->u_step,
                                            .c_block = p->f_part};
    const int64_t first_of_all = p->tiles * block / p->blocks;
    const int64_t last = p->tiles * (block + 1) / p->blocks;
    for (int64_t first = first_of_all; first < last; first += p->run) {
        kata__winograd_piece piece = {.conv = g,
                                      .size = p->size,
                                      .rows = p->rows,
                                      .columns = p->columns,
                                      .first = first,
                                      .count = kata__minimum(p->run, last - first),
                                      .channel = c,
                                      .channels = c_end - c,
                                      .block = vector_words,
                                      .step = p->v_step};
        p->table->input_weight(&piece, job->x, NULL, v);
        piece.channel = f_first * lanes;
        piece.channels = kata__minimum(f_last * lanes, g->f) - piece.channel;
        piece.step = p->m_step;
        p->table->gradient(&piece, job->dy, job->index, d, db);
        kata__winograd_product some = product;
        some.k = ceil_div(piece.count, p->pair);
        some.fresh = first == first_of_all;
        p->table->product_weight(&some);
    }
    p->table->weight_end(p->size, c_end - c, f_last - f_first, u, p->f_part, p->u_step,
                         job->parts + block * p->part_numbers + 9 * c * p->sum_pitch +
                             f_first * lanes,
                         p->sum_pitch);
}

/* The parts of each half of the blocks are added to its first one: mostly by the worker that has
 * made them, so that of each half one part goes to another core. */
static bool has_halves(const struct plan *p) {
    return p->blocks >= 4 && p->blocks % 2 == 0;
}

enum { HALF_SHARES = 4 };

static void weight_half_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const struct weight_job *job = argument;
    const struct plan *p = job->plan;
    const int64_t n = p->blocks / 2, half = chunk / HALF_SHARES, share = chunk % HALF_SHARES;
    const int64_t first = p->part_numbers * share / HALF_SHARES;
    const int64_t count = p->part_numbers * (share + 1) / HALF_SHARES - first;
    float *sum = job->parts + half * n * p->part_numbers + first;
    for (int64_t i = 1; i < n; i++) {
        job->add(count, sum, 1, sum + i * p->part_numbers, 1, sum);
    }
}

/* Vectors of output channels to a chunk of the last sum. */
static int64_t sum_vectors(const struct plan *p, const kata__conv *conv) {
    return kata__chunk_size(9 * conv->c * p->table->lanes * p->blocks);
}

static void weight_sum_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const struct weight_job *job = argument;
    const struct plan *p = job->plan;
    int64_t first;
    const int64_t count = kata__chunk_of(chunk, p->f_vectors, sum_vectors(p, job->conv), &first);
    const bool halves = has_halves(p);
    p->table->weight_sum(job->conv, first, first + count, job->parts, p->sum_pitch,
                         halves ? 2 : p->blocks,
                         halves ? p->blocks / 2 * p->part_numbers : p->part_numbers, job->dw);
}

static void run_weight(kata_context *context, const struct plan *p, struct weight_job *job,
                       float *db, const kata__workspace *workspace) {
    const kata__conv *conv = job->conv;
    if (conv->f <= 0) {
        return;
    }
    if (p->tiles <= 0 || conv->c <= 0) {
        memset(job->dw, 0, (size_t)(conv->f * conv->c * 9) * sizeof(float));
        if (db) {
            memset(db, 0, (size_t)conv->f * sizeof(float));
        }
        return;
    }
    job->plan = p;
    job->with_db = db != NULL;
    job->parts = (float *)workspace->shared;
    job->db_parts = (float *)(workspace->shared + p->parts_bytes);
    job->workspace = workspace;
    job->add = kata__kernels(context)->elementwise[0]->binary[KATA__ADD];
    kata__run_chunks(context, p->blocks * p->c_parts * p->f_parts, weight_chunk, job);
    if (has_halves(p)) {
        kata__run_chunks(context, 2 * HALF_SHARES, weight_half_chunk, job);
    }
    kata__run_chunks(context, kata__chunk_count(p->f_vectors, sum_vectors(p, conv)),
                     weight_sum_chunk, job);
    for (int64_t f = 0; db && f < conv->f; f++) {
        float sum = 0;
        for (int64_t block = 0; block < p->blocks; block++) {
            sum += job->db_parts[block * p->sum_pitch + f];
        }
        db[f] = sum;
    }
}

void kata__winograd_weight(kata_context *context, const kata__conv *conv,
                           kata__conv_algorithm algorithm, const float *x, const float *dy,
                           const uint8_t *index, float *dw, float *db,
                           const kata__workspace *workspace) {
    const struct plan p = plan_weight(float_table(context), conv, algorithm, index != NULL);
    struct weight_job job = {.conv = conv, .x = x, .dy = dy, .index = index, .dw = dw};
    run_weight(context, &p, &job, db, workspace);
}

void kata__winograd_bf16_weight(kata_context *context, const kata__conv *conv,
                                kata__conv_algorithm algorithm, const uint16_t *x,
                                const uint16_t *dy, const uint8_t *index, float *dw, float *db,
                                const kata__workspace *workspace) {
    const struct plan p = plan_weight(bf16_table(context), conv, algorithm, index != NULL);
    struct weight_job job = {.conv = conv, .x = x, .dy = dy, .index = index, .dw = dw};
    run_weight(context, &p, &job, db, workspace);
}

/* ---- the choice ---- */

/* Taps that fall inside, in one direction. */
static double taps_inside(int64_t in, int64_t out, int64_t pad) {
    double count = 0;
    for (int64_t tap = 0; tap < 3; tap++) {
        const int64_t first = kata__maximum(pad - tap, 0),
                      last = kata__minimum(in + pad - tap, out);
        count += (double)kata__maximum(last - first, 0);
    }
    return count;
}

/* Processor cycles of an image, by vectors of 16 numbers and two multiply-adds a cycle: a rough
 * model of what bench_winograd measures. With other vectors both sides grow alike. */
static double winograd_cycles(const kata__conv *conv, int size, kata__conv_what what) {
    const double tiles = (double)(ceil_div(conv->oh, size) * ceil_div(conv->ow, size));
    const double c = (double)conv->c, c_vectors = (double)ceil_div(conv->c, 16);
    const double f_vectors = (double)ceil_div(conv->f, 16);
    const double points = (size + 2) * (size + 2);
    const double share = size == 2 ? 0.5 : 1; /* of the transforms' costs */
    if (what == KATA__CONV_WEIGHT) {
        return tiles * (points * c_vectors * 16 * f_vectors / 2 * 1.2 +
                        240 * share * (c_vectors + f_vectors));
    }
    return tiles * (points * c * f_vectors / 2 * 1.1 + share * (200 * c_vectors + 130 * f_vectors));
}

/* Whether a sample alone would wait for the packed weight, several times the size of the weight. */
static bool waits_for_weight(const kata__conv *conv, kata__conv_what what, double packed_bytes) {
    enum { FEW_TILES = 8, MOST_PACKED_BYTES = 16 << 20 };
    return what != KATA__CONV_WEIGHT && packed_bytes > MOST_PACKED_BYTES &&
           ceil_div(conv->oh, 4) * ceil_div(conv->ow, 4) < FEW_TILES;
}

kata__conv_algorithm kata__winograd_pays(const kata__conv *conv, kata__conv_what what) {
    if (!kata__winograd_fits(conv) || conv->c <= 0 || conv->f <= 0) {
        return KATA__CONV_DIRECT;
    }
    if (waits_for_weight(conv, what, 36.0 * (double)conv->c * (double)conv->f * sizeof(float))) {
        return KATA__CONV_DIRECT;
    }
    const double direct = taps_inside(conv->h, conv->oh, conv->pad_top) *
                          taps_inside(conv->w, conv->ow, conv->pad_left) * (double)conv->c *
                          (double)ceil_div(conv->f, 16) / 2 * 1.2;
    const double two = winograd_cycles(conv, 2, what), four = winograd_cycles(conv, 4, what);
    if ((two < four ? two : four) > 0.9 * direct) {
        return KATA__CONV_DIRECT;
    }
    return four <= two ? KATA__CONV_WINOGRAD_4 : KATA__CONV_WINOGRAD_2;
}

/* The same by products of pairs, or of float32 numbers where there are none. */
static double bf16_cycles(const kata__conv *conv, int size, bool pairs, kata__conv_what what) {
    const double tiles = (double)(ceil_div(conv->oh, size) * ceil_div(conv->ow, size));
    const double c_vectors = (double)ceil_div(conv->c, 16);
    const double f_vectors = (double)ceil_div(conv->f, 16);
    const double points = (size + 2) * (size + 2), share = size == 2 ? 0.35 : 1;
    const double c = what == KATA__CONV_WEIGHT ? 16 * c_vectors : (double)conv->c;
    return tiles * (points * c * f_vectors / (pairs ? 2 : 1) * 1.15 +
                    share * (250 * c_vectors + 180 * f_vectors));
}

kata__conv_algorithm kata__conv_bf16_algorithm(const kata_context *context, const kata__conv *conv,
                                               kata_dtype dtype, kata__conv_what what) {
    const bool pairs = context->bfloat16_level == KATA__BFLOAT16_AVX512;
    /* Tiles multiply directly faster than Winograd could transform. */
    if (context->bfloat16_level == KATA__BFLOAT16_AMX || dtype != KATA_BF16 ||
        !kata__winograd_fits(conv) || conv->c <= 0 || conv->f <= 0 ||
        waits_for_weight(conv, what, 36.0 * (double)conv->c * (double)conv->f * (pairs ? 2 : 4))) {
        return KATA__CONV_DIRECT;
    }
    const double direct = taps_inside(conv->h, conv->oh, conv->pad_top) *
                          taps_inside(conv->w, conv->ow, conv->pad_left) * (double)conv->c *
                          (double)ceil_div(conv->f, 16) * (pairs ? 0.5 : 2) *
                          (what == KATA__CONV_WEIGHT ? 2 : 1.5);
    const double two = bf16_cycles(conv, 2, pairs, what), four = bf16_cycles(conv, 4, pairs, what);
    if ((two < four ? two : four) > 0.9 * direct) {
        return KATA__CONV_DIRECT;
    }
    return four <= two ? KATA__CONV_WINOGRAD_4 : KATA__CONV_WINOGRAD_2;
}
