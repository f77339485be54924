/* Forward convolution of NHWC tensors: the choice of an algorithm, packing of weights, the
 * cut of the direct one into chunks. The loops are in body/conv_nhwc.h.
 *
 * A direct chunk is some images, or a band of one image's rows and a share of its panels of output
 * channels. Chunks are functions of the sizes and the instruction set alone; and an element's bits
 * do not depend on the chunk that computes it. */
#include "kernel/conv_nhwc.h"
#include "base/context.h"
#include "base/number.h"
#include "base/parallel.h"
#include "kernel/table.h"
#include "kernel/winograd.h"

#include <assert.h>

enum {
    CHUNK_FLOPS = 500000,
    MOST_CHUNKS = 64,
    BAND_PIXELS = 48,        /* a band has at least so many: a few tiles */
    BAND_BYTES = 512 * 1024, /* of its input: what stays in the second-level cache */
    WEIGHT_BYTES = 1024 * 1024
};

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

kata__conv_algorithm kata__conv_nhwc_algorithm(const kata__conv *conv) {
    return kata__winograd_pays(conv, KATA__CONV_FORWARD);
}

/* How the weight and the work are cut. */
struct plan {
    const kata__conv_nhwc_table *table;
    bool depthwise;
    int64_t groups, fg, cg; /* output and input channels of a group; depth-wise all are one */
    int64_t taps;           /* rows of a panel: kh kw cg */
    int64_t rounded;        /* fg in whole vectors */
    int64_t panel, panels;  /* channels of a panel; panels of a group */
    int64_t rows;           /* of y */
    int64_t images, bands, panel_chunks; /* images of a chunk, or bands and shares of one */
    int64_t n_chunks;
};

static struct plan make_plan(kata_context *context, const kata__conv *g, bool pool) {
    struct plan p = {.table = kata__kernels(context)->conv_nhwc};
    p.depthwise = g->groups > 1 && g->groups == g->c && g->groups == g->f;
    p.groups = p.depthwise ? 1 : g->groups;
    p.fg = g->f / p.groups;
    p.cg = g->c / g->groups;
    p.taps = g->kh * g->kw * p.cg;
    p.rounded = ceil_div(p.fg, p.table->lanes) * p.table->lanes;
    p.panel = p.depthwise ? p.table->lanes : p.table->panel;
    p.panels = ceil_div(p.fg, p.panel);
    p.rows = pool ? g->oh / 2 : g->oh;

    const double image = 2.0 * (double)(g->f * p.taps) * (double)(g->oh * g->ow) + 1;
    const double chunk = kata__maximum(CHUNK_FLOPS, (int64_t)(image * (double)g->n / MOST_CHUNKS));
    p.images = p.bands = p.panel_chunks = 1;
    if (image > 1.5 * chunk) {
        const int64_t want = (int64_t)(image / chunk + 0.5);
        const int64_t panels = p.panels * p.groups;
        const int64_t cache_bands = g->h * g->w * g->c * 4 / BAND_BYTES;
        const int64_t most_bands =
            kata__maximum(1, kata__minimum(p.rows, g->oh * g->ow / BAND_PIXELS));
        if (g->f * p.taps * 4 > WEIGHT_BYTES) { /* each band reads all weights: few bands */
            p.panel_chunks = kata__minimum(want, panels);
            p.bands = kata__minimum(most_bands,
                                    kata__maximum(ceil_div(want, p.panel_chunks), cache_bands));
        } else {
            p.bands = kata__minimum(most_bands, kata__maximum(want, cache_bands));
            p.panel_chunks = kata__minimum(panels, ceil_div(want, p.bands));
        }
    } else {
        p.images = kata__maximum(1, kata__minimum(g->n, (int64_t)(chunk / image)));
    }
    p.n_chunks = ceil_div(g->n, p.images) * p.bands * p.panel_chunks;
    return p;
}

int64_t kata__conv_nhwc_packed(kata_context *context, const kata__conv *conv,
                               kata__conv_algorithm algorithm) {
    if (algorithm != KATA__CONV_DIRECT) {
        return kata__winograd_packed(context, conv, algorithm);
    }
    const struct plan p = make_plan(context, conv, false);
    return p.groups * p.taps * p.rounded;
}

struct pack {
    const struct plan *plan;
    const kata__conv *conv;
    bool flipped;
    const float *weight;
    float *packed;
};

/* A panel: row (i kw + j) cg + c has the weights of its channels for tap (i,j) of channel c. */
static void pack_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const struct pack *job = argument;
    const struct plan *p = job->plan;
    const kata__conv *g = job->conv;
    const int64_t group = chunk / p->panels, first = chunk % p->panels * p->panel;
    const int64_t width = kata__minimum(p->rounded - first, p->panel);
    const int64_t kernel = g->kh * g->kw, fg = g->f / g->groups;
    float *to = job->packed + p->taps * (group * p->rounded + first);
    for (int64_t k = 0; k < width; k++) {
        const int64_t in_group = first + k;
        if (in_group >= p->fg) {
            for (int64_t row = 0; row < p->taps; row++) {
                to[row * width + k] = 0;
            }
            continue;
        }
        /* Depth-wise, each channel is a group of its own. */
        const int64_t f = group * p->fg + in_group, own = f / fg;
        for (int64_t c = 0; c < p->cg; c++) {
            const float *from =
                job->weight +
                (job->flipped ? (own * p->cg + c) * fg + f % fg : f * p->cg + c) * kernel;
            for (int64_t tap = 0; tap < kernel; tap++) {
                to[(tap * p->cg + c) * width + k] = from[job->flipped ? kernel - 1 - tap : tap];
            }
        }
    }
}

void kata__conv_nhwc_pack(kata_context *context, const kata__conv *conv,
                          kata__conv_algorithm algorithm, bool flipped, const float *weight,
                          float *packed) {
    if (algorithm != KATA__CONV_DIRECT) {
        kata__winograd_pack(context, conv, algorithm, flipped, weight, packed);
        return;
    }
    const struct plan p = make_plan(context, conv, false);
    struct pack job = {&p, conv, flipped, weight, packed};
    kata__parallel(context, p.groups * p.panels, pack_chunk, &job);
}

static size_t lines(size_t n_bytes) {
    return (n_bytes + 63) / 64 * 64;
}

/* Of a piece. */
static size_t scratch_bytes(const kata__conv *g) {
    return lines((size_t)kata__conv_nhwc_scratch(g) * sizeof(int64_t));
}

/* Of an image's output. */
static size_t image_bytes(const kata__conv *g, bool pool) {
    const int64_t pixels = pool ? (g->oh / 2) * (g->ow / 2) : g->oh * g->ow;
    return lines((size_t)(pixels * g->f) * sizeof(float));
}

kata__workspace_size kata__conv_nhwc_workspace(kata_context *context, const kata__conv *conv,
                                               kata__conv_algorithm algorithm,
                                               const kata__conv_store *store) {
    if (algorithm != KATA__CONV_DIRECT) {
        return kata__winograd_workspace(context, conv, algorithm, store);
    }
    return (kata__workspace_size){.per_thread = scratch_bytes(conv) +
                                                (store->nchw ? image_bytes(conv, store->pool) : 0)};
}

struct job {
    const struct plan *plan;
    const kata__conv *conv;
    const kata__conv_store *store;
    const float *x, *packed;
    float *y;
    const kata__workspace *workspace; /* of a worker: a piece's scratch and, with store->nchw, an
                                         image, */
    void (*transpose)(int64_t rows, int64_t columns, const void *x, int64_t x_step, void *y,
                      int64_t y_step);
};

/* The first output channel of a panel, counted over all groups. */
static int64_t panel_channel(const struct plan *p, int64_t panel) {
    return panel / p->panels * p->fg + kata__minimum(panel % p->panels * p->table->panel, p->fg);
}

/* Puts a piece's NHWC rows into the NCHW y, (f, plane), of its image. */
static void to_nchw(const struct job *job, const kata__conv_nhwc_piece *piece, float *y) {
    const struct plan *p = job->plan;
    const kata__conv *g = job->conv;
    const int64_t columns = job->store->pool ? g->ow / 2 : g->ow, plane = p->rows * columns;
    const int64_t first = panel_channel(p, piece->first_panel);
    const int64_t last = panel_channel(p, piece->last_panel), pixel = piece->first_row * columns;
    job->transpose((piece->last_row - piece->first_row) * columns, last - first,
                   piece->y + pixel * g->f + first, g->f, y + first * plane + pixel, plane);
}

static void direct_chunk(void *argument, int64_t chunk, int worker) {
    const struct job *job = argument;
    const struct plan *p = job->plan;
    const kata__conv *g = job->conv;
    const kata__conv_store *store = job->store;
    const int64_t share = chunk % p->panel_chunks, rest = chunk / p->panel_chunks;
    const int64_t band = rest % p->bands, first = rest / p->bands * p->images;
    const int64_t panels = p->panels * p->groups;
    const int64_t y_image = p->rows * (store->pool ? g->ow / 2 : g->ow) * g->f;
    kata__conv_nhwc_piece piece = {.conv = g,
                                   .store = store,
                                   .weight = job->packed,
                                   .first_row = p->rows * band / p->bands,
                                   .last_row = p->rows * (band + 1) / p->bands,
                                   .first_panel = panels * share / p->panel_chunks,
                                   .last_panel = panels * (share + 1) / p->panel_chunks,
                                   .scratch = kata__per_thread(job->workspace, worker)};
    for (int64_t n = first; n < kata__minimum(first + p->images, g->n); n++) {
        const int64_t full = n * g->oh * g->ow * g->f;
        piece.x = job->x + n * g->h * g->w * g->c;
        piece.y = store->nchw ? (float *)((char *)piece.scratch + scratch_bytes(g))
                              : job->y + n * y_image;
        piece.index = store->pool && store->index ? store->index + n * y_image : NULL;
        piece.residual = store->residual ? store->residual + full : NULL;
        piece.mask = store->mask ? store->mask + full : NULL;
        piece.soon = store->nchw && p->bands * p->panel_chunks == 1
                         ? (const char *)(job->y + n * y_image)
                         : NULL;
        (p->depthwise ? p->table->depthwise : p->table->piece)(&piece);
        if (store->nchw) {
            to_nchw(job, &piece, job->y + n * y_image);
        }
    }
}

void kata__conv_nhwc(kata_context *context, const kata__conv *conv, kata__conv_algorithm algorithm,
                     const float *x, const float *packed, const kata__conv_store *store, float *y,
                     const kata__workspace *workspace) {
    if (algorithm != KATA__CONV_DIRECT) {
        assert(!store->nchw);
        kata__winograd_run(context, conv, algorithm, x, packed, store, y, workspace);
        return;
    }
    const int64_t window = store->pool ? 2 : 1;
    if (conv->n <= 0 || conv->f <= 0 || conv->oh < window || conv->ow < window) {
        return;
    }
    const struct plan p = make_plan(context, conv, store->pool);
    struct job job = {.plan = &p,
                      .conv = conv,
                      .store = store,
                      .x = x,
                      .packed = packed,
                      .y = y,
                      .workspace = workspace,
                      .transpose = kata__kernels(context)->elementwise[0]->transpose};
    kata__parallel(context, p.n_chunks, direct_chunk, &job);
}
