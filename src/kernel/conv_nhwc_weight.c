/* The gradient of an NHWC convolution by its weight: the cut into chunks, the workspace.
 * The loops are in body/conv_nhwc_weight.h.
 *
 * The work is items, an item being a band of rows of one image, or several whole images; bands are
 * so small that what is read of x and dy stays in the second-level cache while all taps pass over
 * it. The items are cut into parts. A part adds up its own dw, as (groups; ky, kx, c; f) with f
 * padded to whole vectors, and its own db; the parts are then added in order and transposed into
 * (f, c, ky, kx). Where dw is large there are fewer parts and each is shared by chunks that have
 * some of the output channels, or of the input channels.
 *
 * Four ways to run over the taps:
 *   per tap     a tile's rows are input channels at one tap; taps outside x are left out.
 *   merged      few input channels: a tile's rows are the (kx,c) of a row of taps, neighbours in x,
 *               which is copied with zero columns for the padding, if there is any.
 *   depth-wise  vectors go along the channels of both.
 *
 *   pooled      one input channel and an index: see body/conv_nhwc_weight.h.
 *
 * With an index, dy is otherwise spread into scratch, a band at a time. An NCHW dy is transposed to
 * NHWC: where one pass reads it (pooled) a band at a time, which then is near, else whole.
 * Chunks are functions of the sizes and the instruction set alone. */
#include "kernel/chunks.h"
#include "kernel/conv_nhwc.h"
#include "kernel/move.h"
#include "kernel/table.h"
#include "kernel/winograd.h"
#include "base/number.h"

#include <assert.h>
#include <string.h>

enum {
    CHUNK_FLOPS = 1000000,
    WANTED_CHUNKS = 16,
    MOST_PARTS = 20,
    PARTS_BYTES = 2 << 20, /* of all parts' dw, beyond which there are fewer of them */
    BAND_BYTES = 192 << 10,
    MERGED_BAND_BYTES = 64 << 10,
    MERGED_CHANNELS = 8, /* with fewer, a row of taps is merged */
    SHARE_CHANNELS = 16, /* the fewest input channels that a chunk has */
    SUM_NUMBERS = 16384, /* of dw, for a chunk of the sum */
    LINE = 16            /* numbers in a cache line */
};

enum way { PER_TAP, MERGED, DEPTHWISE, POOLED };

struct plan {
    const kata__conv_nhwc_weight_table *table;
    kata__conv g; /* pooled: oh and ow without what pooling drops */
    enum way way;
    bool pooled, nchw, padded; /* padded: x is copied */
    int64_t cg, fg, taps; /* of a group; taps = kh kw. Depth-wise counts as one group, cg = 1 */
    int64_t groups;
    int64_t lanes, vectors, ld; /* of a group: vectors of output channels, ld = vectors lanes */
    int64_t run, tap_rows;
    /* Rows are those of the band's definition in table_conv_nhwc_weight.h. */
    int64_t rows, band_rows, bands, images; /* images: of an item, 1 if there are several bands */
    int64_t n_items, parts, f_units, f_chunks, c_chunks;
    int64_t sum_numbers, part_numbers; /* of a part: dw; dw and db */
    int64_t x_columns, x_rows, x_numbers;
    int64_t dy_rows, dy_numbers;
    int64_t transposed_numbers; /* of all of an NCHW dy */
};

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static int64_t lines(int64_t numbers) {
    return (numbers + LINE - 1) / LINE * LINE;
}

/* The largest number of parts, `limit` or somewhat less, that leaves them equal; else `limit`. */
static int64_t equal_parts(int64_t items, int64_t limit) {
    for (int64_t parts = limit; 2 * parts > limit; parts--) {
        if (items % parts == 0) {
            return parts;
        }
    }
    return limit;
}

/* Rows of dy that a band of `rows` meets beyond its own. */
static int64_t reach_of(const struct plan *p) {
    return p->tap_rows > 1 ? (p->g.kh - 1) * p->g.dilation_h : 0;
}

/* Pixels of dy. */
static int64_t plane_of(const struct plan *p) {
    return p->pooled ? (p->g.oh / 2) * (p->g.ow / 2) : p->g.oh * p->g.ow;
}

static struct plan make_plan(kata_context *context, const kata__conv *conv, bool pooled,
                             bool nchw) {
    struct plan p = {.table = kata__kernels(context)->conv_nhwc_weight,
                     .g = *conv,
                     .pooled = pooled,
                     .nchw = nchw,
                     .f_chunks = 1,
                     .c_chunks = 1,
                     .images = 1};
    kata__conv *g = &p.g;
    g->groups = kata__maximum(g->groups, 1);
    if (pooled) {
        g->oh = g->oh / 2 * 2;
        g->ow = g->ow / 2 * 2;
    }
    p.lanes = p.table->lanes;
    p.taps = g->kh * g->kw;
    p.groups = g->groups;
    p.cg = g->c / g->groups;
    p.fg = g->f / g->groups;
    p.run = p.cg;
    if (g->groups > 1 && p.cg == 1 && p.fg == 1) {
        p.way = DEPTHWISE;
        p.groups = 1;
        p.fg = g->f;
    } else if (pooled && p.table->pooled && kata__conv_weight_pooled_fits(g)) {
        p.way = POOLED;
    } else if (g->groups == 1 && g->c < MERGED_CHANNELS && g->kw > 1 && g->dilation_w == 1) {
        p.way = MERGED;
        p.run = g->kw * g->c;
        p.x_columns = kata__maximum((g->ow - 1) * g->stride_w + g->kw, 0);
        p.padded = g->pad_left != 0 || p.x_columns > g->w;
    }
    p.vectors = ceil_div(kata__maximum(p.fg, 1), p.lanes);
    p.ld = p.vectors * p.lanes;
    p.tap_rows = p.way == DEPTHWISE || p.way == POOLED ? 1 : p.table->tap_rows(g, p.run, p.vectors);
    p.rows = g->oh + reach_of(&p);
    p.sum_numbers = lines(p.groups * p.taps * p.cg * p.ld);
    p.part_numbers = p.sum_numbers + lines(p.groups * p.ld);

    const double total = 2.0 * (double)(g->n * g->oh * g->ow) * (double)(g->f * p.cg * p.taps);
    const int64_t want =
        kata__maximum(1, (int64_t)(total < (double)WANTED_CHUNKS * CHUNK_FLOPS ? total / CHUNK_FLOPS
                                                                               : WANTED_CHUNKS));
    const int64_t dw_bytes = p.sum_numbers * (int64_t)sizeof(float);
    const int64_t most_parts =
        kata__maximum(1, kata__minimum(want < WANTED_CHUNKS ? want : MOST_PARTS,
                                       PARTS_BYTES / kata__maximum(dw_bytes, 1)));

    /* Shares of the channels, if there are too few images for enough parts. */
    const int64_t first_parts =
        kata__maximum(1, kata__minimum(most_parts, g->n * kata__maximum(1, p.rows / 4)));
    p.f_units = p.groups > 1 ? p.groups : p.way == DEPTHWISE ? p.vectors : ceil_div(p.vectors, 2);
    p.f_chunks = kata__minimum(p.f_units, ceil_div(want, first_parts));
    if (p.way == PER_TAP) {
        p.c_chunks = kata__maximum(
            1, kata__minimum(p.cg / SHARE_CHANNELS, ceil_div(want, first_parts * p.f_chunks)));
    }

    /* Bands: of what a chunk reads of x and dy. Of at least four rows where they only serve to have
     * enough parts. */
    const int64_t budget = (p.way == MERGED ? MERGED_BAND_BYTES : BAND_BYTES) / (int)sizeof(float);
    const int64_t image_numbers =
        g->h * g->w * g->c / p.c_chunks / (p.groups > 1 || p.way == DEPTHWISE ? p.f_chunks : 1) +
        g->oh * g->ow * p.groups * p.ld / p.f_chunks;
    p.bands = kata__maximum(1, kata__minimum(p.rows, ceil_div(image_numbers, budget)));
    p.bands = kata__maximum(
        p.bands, kata__minimum(ceil_div(first_parts, kata__maximum(g->n, 1)), p.rows / 4));
    p.band_rows = kata__maximum(1, ceil_div(p.rows, p.bands));
    if (pooled) {
        p.band_rows += p.band_rows % 2;
    }
    p.bands = kata__maximum(1, ceil_div(p.rows, p.band_rows));
    p.n_items = g->n * p.bands;
    p.parts = kata__maximum(1, kata__minimum(most_parts, p.n_items));
    if (p.parts < p.n_items) {
        p.parts = equal_parts(p.n_items, p.parts);
    }
    if (p.bands == 1) {
        p.images = kata__maximum(
            1, kata__minimum(ceil_div(g->n, p.parts), budget / kata__maximum(image_numbers, 1)));
    }

    if (p.way == POOLED) {
        p.images = 1;
        p.x_numbers = lines(kata__conv_weight_pooled_numbers(g, p.band_rows / 2));
        p.dy_numbers = nchw ? lines(p.band_rows / 2 * (g->ow / 2) * g->f) : 0;
        return p;
    }
    p.transposed_numbers = nchw ? lines(g->n * plane_of(&p) * g->f) : 0;
    if (p.padded) {
        p.x_rows = kata__minimum(g->h, p.tap_rows > 1 ? p.band_rows
                                                      : (p.band_rows - 1) * g->stride_h +
                                                            (g->kh - 1) * g->dilation_h + 1);
        p.x_numbers = lines(p.images * p.x_rows * p.x_columns * g->c);
    }
    p.dy_rows = kata__minimum(g->oh, p.band_rows + reach_of(&p) + (pooled ? 1 : 0));
    p.dy_rows += p.dy_rows % 2;
    if (pooled) {
        const int64_t units = ceil_div(p.f_units, p.f_chunks);
        const int64_t numbers =
            p.groups > 1 ? units * p.fg + p.lanes
                         : kata__minimum(p.ld, units * p.lanes * (p.way == DEPTHWISE ? 1 : 2));
        p.dy_numbers =
            lines(p.images * p.dy_rows * g->ow * ceil_div(numbers, p.lanes) * p.lanes + p.lanes);
    } else if (p.way != DEPTHWISE && p.fg % p.lanes != 0) {
        p.dy_numbers = lines(p.images * p.dy_rows * g->ow * g->f + p.lanes);
    }
    return p;
}

kata__workspace_size kata__conv_nhwc_weight_workspace(kata_context *context, const kata__conv *conv,
                                                      kata__conv_algorithm algorithm, bool pooled,
                                                      bool nchw) {
    if (algorithm != KATA__CONV_DIRECT) {
        return kata__winograd_weight_workspace(context, conv, algorithm, pooled);
    }
    const struct plan p = make_plan(context, conv, pooled, nchw);
    return (kata__workspace_size){
        .shared = (size_t)(p.parts * p.part_numbers + p.transposed_numbers) * sizeof(float),
        .per_thread = (size_t)(p.x_numbers + p.dy_numbers) * sizeof(float)};
}

struct job {
    const kata_context *context;
    const struct plan *plan;
    int64_t n_chunks;
    const float *x, *dy;
    const uint8_t *index;
    float *dw, *db;
    float *parts;
    const kata__workspace *workspace;
    void (*transpose)(int64_t rows, int64_t columns, const void *x, int64_t x_step, void *y,
                      int64_t y_step);
};

/* The output channels that a chunk has: vectors of one group, or whole groups. */
struct share {
    int64_t first_group, last_group;
    int64_t vector, vectors; /* of each group */
    int64_t f, channels;     /* of all */
    int64_t c, run;
};

static struct share share_of(const struct plan *p, int64_t f_chunk, int64_t c_chunk) {
    const int64_t first = p->f_units * f_chunk / p->f_chunks;
    const int64_t last = p->f_units * (f_chunk + 1) / p->f_chunks;
    struct share s = {.last_group = 1, .vectors = p->vectors, .run = p->run};
    if (p->groups > 1) {
        s.first_group = first;
        s.last_group = last;
        s.f = first * p->fg;
        s.channels = (last - first) * p->fg;
    } else {
        const int64_t unit = p->way == DEPTHWISE ? 1 : 2;
        s.vector = first * unit;
        s.vectors = kata__minimum(last * unit, p->vectors) - s.vector;
        s.f = s.vector * p->lanes;
        s.channels = kata__minimum(p->fg - s.f, s.vectors * p->lanes);
    }
    if (p->way == PER_TAP) {
        s.c = p->cg * c_chunk / p->c_chunks;
        s.run = p->cg * (c_chunk + 1) / p->c_chunks - s.c;
    } else if (p->way == DEPTHWISE) {
        s.c = s.f;
        s.run = s.channels;
    }
    return s;
}

/* Copies the rows of x that a band reads, with zero columns for the padding. */
static void pad_x(const struct plan *p, const float *x, float *to, kata__conv_weight_band *b) {
    const kata__conv *g = &p->g;
    int64_t top, end; /* of x */
    if (p->tap_rows > 1) {
        top = b->first - g->pad_top;
        end = b->last - g->pad_top;
    } else {
        top = b->first * g->stride_h - g->pad_top;
        end = (b->last - 1) * g->stride_h + (g->kh - 1) * g->dilation_h - g->pad_top + 1;
    }
    top = kata__maximum(top, 0);
    end = kata__minimum(end, g->h);
    /* Column j of the copy is column j - pad_left of x. */
    const int64_t first = kata__minimum(kata__maximum(g->pad_left, 0), p->x_columns);
    const int64_t last = kata__maximum(first, kata__minimum(p->x_columns, g->w + g->pad_left));
    const size_t before = (size_t)(first * g->c), inside = (size_t)((last - first) * g->c);
    const size_t behind = (size_t)((p->x_columns - last) * g->c);
    b->x = to;
    b->ahead[0].lines = 0;
    b->x_top = top;
    b->x_row = p->x_columns * g->c;
    b->x_image = p->x_rows * b->x_row;
    for (int64_t image = 0; image < b->images; image++) {
        float *row = to + image * b->x_image;
        for (int64_t y = top; y < end; y++, row += b->x_row) {
            memset(row, 0, before * sizeof(float));
            if (inside > 0) {
                memcpy(row + before, x + ((image * g->h + y) * g->w + first - g->pad_left) * g->c,
                       inside * sizeof(float));
            }
            memset(row + before + inside, 0, behind * sizeof(float));
        }
    }
}

/* Rows of dy that a band reads. */
static void dy_rows_of(const struct plan *p, const kata__conv_weight_band *b, int64_t *first,
                       int64_t *last) {
    *first = kata__maximum(0, b->first - reach_of(p));
    *last = kata__minimum(p->g.oh, b->last);
}

/* Spreads the rows of dy that a band reads; adds those that are the band's own to bias. */
static void spread_dy(const struct job *job, const struct share *s, int64_t image, float *to,
                      float *bias, kata__conv_weight_band *b) {
    const struct plan *p = job->plan;
    const kata__conv *g = &p->g;
    const int64_t height = g->oh / 2, width = g->ow / 2;
    int64_t first, last;
    dy_rows_of(p, b, &first, &last);
    first -= first % 2;
    b->dy = to;
    b->dy_top = first;
    b->dy_pixel = ceil_div(s->channels, p->lanes) * p->lanes;
    b->dy_row = g->ow * b->dy_pixel;
    b->dy_image = p->dy_rows * b->dy_row;
    for (int64_t i = 0; i < b->images; i++) {
        for (int64_t y = first; y < last; y += 2) {
            const int64_t from = ((image + i) * height + y / 2) * width * g->f + s->f;
            p->table->spread(job->dy + from, job->index + from, width, s->channels, g->f,
                             g->n * height * width * g->f - from,
                             to + i * b->dy_image + (y - first) * b->dy_row, b->dy_pixel, b->dy_row,
                             y >= b->first ? bias : NULL);
        }
    }
}

/* Whether the vectors of the pixels up to `row` of an image reach behind the tensor. */
static bool reads_behind(const struct plan *p, int64_t image, int64_t row) {
    const kata__conv *g = &p->g;
    const int64_t left = ((g->n - image) * g->oh - row) * g->ow * g->f;
    return left < p->ld - p->fg;
}

/* The bands at the end of the tensor, where vectors would read behind it, are copied. */
static void copy_dy(const struct job *job, int64_t image, float *to, kata__conv_weight_band *b) {
    const struct plan *p = job->plan;
    const kata__conv *g = &p->g;
    int64_t first, last;
    dy_rows_of(p, b, &first, &last);
    b->dy_top = first;
    b->dy_image = p->dy_rows * b->dy_row;
    for (int64_t i = 0; i < b->images && first < last; i++) {
        memcpy(to + i * b->dy_image, job->dy + ((image + i) * g->oh + first) * b->dy_row,
               (size_t)((last - first) * b->dy_row) * sizeof(float));
    }
    b->dy = to;
}

/* The row at which an item begins, of all images' rows, h each, that are taken `step` at a time. */
static int64_t first_row(const struct plan *p, int64_t item, int64_t h, int64_t step) {
    return item / p->bands * h + item % p->bands * p->band_rows * step;
}

/* What this thread probably works on after an item; images is 0 if nothing follows. */
struct next {
    int64_t item, images;
};

/* All of the rows, though a chunk may have a share of the channels only: memory gives lines in
 * order more than twice as fast as pieces of them. */
static void fetch_next(const struct job *job, const struct next *next, kata__conv_weight_band *b) {
    const struct plan *p = job->plan;
    const kata__conv *g = &p->g;
    const int64_t rows = p->bands == 1 ? next->images * p->rows : p->band_rows;
    const int64_t x_row = g->w * g->c, x_first = first_row(p, next->item, g->h, g->stride_h);
    const int64_t x_rows = kata__minimum(rows * g->stride_h, g->n * g->h - x_first);
    /* Of a pooled dy there is a row for every two. */
    const int64_t scale = p->pooled ? 2 : 1, dy_row = g->ow / scale * g->f;
    const int64_t dy_first = first_row(p, next->item, g->oh, 1) / scale;
    const int64_t dy_rows = kata__minimum(rows / scale, g->n * g->oh / scale - dy_first);
    b->ahead[0] = (kata__conv_weight_ahead){job->x + x_first * x_row, x_rows * x_row / LINE};
    b->ahead[1] = (kata__conv_weight_ahead){job->dy + dy_first * dy_row, dy_rows * dy_row / LINE};
}

/* An item, or `images` neighbouring ones: adds its share to the part's dw and db. */
static void run_item(const struct job *job, const struct share *s, int64_t item, int64_t images,
                     const struct next *next, bool bias, float *part, float *scratch) {
    const struct plan *p = job->plan;
    const kata__conv *g = &p->g;
    const int64_t image = item / p->bands, band = item % p->bands;
    const float *x = job->x + image * g->h * g->w * g->c;
    float *dy_scratch = scratch + p->x_numbers;
    float *db = bias ? part + p->sum_numbers + s->first_group * p->ld + s->vector * p->lanes : NULL;
    kata__conv_weight_band b = {
        .g = g,
        .tap_rows = p->tap_rows,
        .columns_merged = p->way == MERGED,
        .first = band * p->band_rows,
        .last = kata__minimum(p->rows, (band + 1) * p->band_rows),
        .images = images,
        .x = x,
        .x_image = g->h * g->w * g->c,
        .x_row = g->w * g->c,
        .x_pixel = g->c,
        .dy = job->dy + image * g->oh * g->ow * g->f,
        .dy_image = g->oh * g->ow * g->f,
        .dy_row = g->ow * g->f,
        .dy_pixel = g->f,
        .run = s->run,
        .vectors = s->vectors,
        .tap_step = p->cg * p->ld,
        .ld = p->ld,
    };
    if (next->images > 0) {
        fetch_next(job, next, &b);
    }
    int64_t f = s->f; /* of dy's channels, where the share begins */
    if (p->padded) {
        pad_x(p, x, scratch, &b);
    }
    if (p->pooled) {
        spread_dy(job, s, image, dy_scratch, p->groups > 1 ? NULL : db, &b);
        f = 0;
    } else if (p->way != DEPTHWISE &&
               reads_behind(p, image + images - 1, kata__minimum(b.last, g->oh))) {
        copy_dy(job, image, dy_scratch, &b);
    }
    const float *all_x = b.x + (p->way == MERGED ? 0 : s->c), *all_dy = b.dy + f;
    for (int64_t group = s->first_group; group < s->last_group; group++) {
        const int64_t in = group - s->first_group;
        b.x = all_x + group * (p->groups > 1 ? p->cg : 0);
        b.dy = all_dy + in * p->fg;
        b.sum = part + (group * p->taps * p->cg + (p->way == PER_TAP ? s->c : 0)) * p->ld +
                s->vector * p->lanes;
        const bool counted = p->pooled && p->groups == 1; /* while dy was spread */
        if (p->way == DEPTHWISE) {
            b.bias = counted ? NULL : db;
            p->table->depthwise(&b);
            continue;
        }
        if (db && !counted) {
            p->table->bias(&b, b.first, kata__minimum(b.last, g->oh), db + in * p->ld);
        }
        p->table->band(&b);
    }
}

/* The same for one input channel and a pooled output. */
static void run_pooled_item(const struct job *job, const struct share *s, int64_t item, bool bias,
                            float *part, float *scratch) {
    const struct plan *p = job->plan;
    const kata__conv *g = &p->g;
    const int64_t image = item / p->bands, first = item % p->bands * p->band_rows / 2;
    const int64_t last = kata__minimum(g->oh / 2, first + p->band_rows / 2);
    const int64_t plane = plane_of(p), pixel = first * (g->ow / 2);
    const int64_t from = (image * plane + pixel) * g->f + s->f;
    float *transposed = scratch + p->x_numbers;
    if (p->nchw) {
        job->transpose(s->channels, (last - first) * (g->ow / 2),
                       job->dy + (image * g->f + s->f) * plane + pixel, plane, transposed, g->f);
    }
    const bool more = p->bands == 1 && image + 1 < g->n;
    const kata__conv_weight_pooled w = {
        .g = g,
        .first = first,
        .last = last,
        .x = job->x + image * g->h * g->w,
        .dy = p->nchw ? transposed : job->dy + from,
        .index = job->index + from,
        .channels = s->channels,
        .sum = part + s->f,
        .bias = bias ? part + p->sum_numbers + s->f : NULL,
        .scratch = scratch,
        .ld = p->ld,
        .ahead = more ? job->dy + (image + 1) * plane * g->f : scratch,
        .ahead_step = more ? LINE : 0,
    };
    p->table->pooled(&w);
}

/* The first item of a chunk, to be fetched ahead. */
static struct next first_of(const struct plan *p, int64_t chunk) {
    struct next next = {.images = 0};
    const int64_t rest = chunk / p->c_chunks, part = rest / p->f_chunks;
    if (part < p->parts) {
        const int64_t end = p->n_items * (part + 1) / p->parts;
        next.item = p->n_items * part / p->parts;
        next.images = kata__minimum(p->images, end - next.item);
    }
    return next;
}

static void part_chunk(void *argument, int64_t chunk, int worker) {
    const struct job *job = argument;
    const struct plan *p = job->plan;
    const int64_t c_chunk = chunk % p->c_chunks, rest = chunk / p->c_chunks;
    const int64_t f_chunk = rest % p->f_chunks, part_number = rest / p->f_chunks;
    const struct share s = share_of(p, f_chunk, c_chunk);
    const struct next next_chunk = kata__parallel_follows(job->context, job->n_chunks, chunk)
                                       ? first_of(p, chunk + 1)
                                       : (struct next){.images = 0};
    float *part = job->parts + part_number * p->part_numbers;
    float *scratch = kata__per_thread(job->workspace, worker);
    const bool bias = job->db && c_chunk == 0;
    const int64_t c = p->way == PER_TAP ? s.c : 0, c_last = p->way == PER_TAP ? s.c + s.run : p->cg;
    for (int64_t group = s.first_group; group < s.last_group; group++) {
        const size_t row = (size_t)(s.vectors * p->lanes) * sizeof(float);
        float *sum = part + group * p->taps * p->cg * p->ld + s.vector * p->lanes;
        for (int64_t t = 0; t < p->taps; t++) {
            for (int64_t i = c; i < c_last; i++) {
                memset(sum + (t * p->cg + i) * p->ld, 0, row);
            }
        }
        if (bias) {
            memset(part + p->sum_numbers + group * p->ld + s.vector * p->lanes, 0, row);
        }
    }
    const int64_t end = p->n_items * (part_number + 1) / p->parts;
    for (int64_t item = p->n_items * part_number / p->parts; item < end;) {
        const int64_t images = kata__minimum(p->images, end - item);
        if (p->way == POOLED) {
            run_pooled_item(job, &s, item, bias, part, scratch);
        } else {
            const struct next more = {.item = item + images,
                                      .images = kata__minimum(p->images, end - item - images)};
            run_item(job, &s, item, images, more.images > 0 ? &more : &next_chunk, bias, part,
                     scratch);
        }
        item += images;
    }
}

/* Chunks of the sum: some input channels of a group; the last one has the bias. */
static int64_t sum_channels(const struct plan *p) {
    return kata__maximum(1, kata__minimum(p->cg, SUM_NUMBERS / kata__maximum(1, p->fg * p->taps)));
}

static void sum_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const struct job *job = argument;
    const struct plan *p = job->plan;
    const int64_t channels = sum_channels(p), group_chunks = ceil_div(p->cg, channels);
    const int64_t group = chunk / group_chunks;
    if (group == p->groups) {
        for (int64_t i = 0; i < p->groups; i++) {
            p->table->sum(p->fg, 1, 1, 0, 1, job->parts + p->sum_numbers + i * p->ld, p->ld,
                          p->parts, p->part_numbers, job->db + i * p->fg);
        }
        return;
    }
    const int64_t first = chunk % group_chunks * channels;
    p->table->sum(p->fg, p->cg, p->taps, first, kata__minimum(first + channels, p->cg),
                  job->parts + group * p->taps * p->cg * p->ld, p->ld, p->parts, p->part_numbers,
                  job->dw + group * p->fg * p->cg * p->taps);
}

void kata__conv_nhwc_weight(kata_context *context, const kata__conv *conv,
                            kata__conv_algorithm algorithm, const float *x, const float *dy,
                            const uint8_t *index, bool nchw, float *dw, float *db,
                            const kata__workspace *workspace) {
    if (algorithm != KATA__CONV_DIRECT) {
        assert(!nchw);
        kata__winograd_weight(context, conv, algorithm, x, dy, index, dw, db, workspace);
        return;
    }
    if (conv->f <= 0 || conv->c <= 0 || conv->kh <= 0 || conv->kw <= 0) {
        return;
    }
    const struct plan p = make_plan(context, conv, index != NULL, nchw);
    struct job job = {.context = context,
                      .plan = &p,
                      .n_chunks = p.parts * p.f_chunks * p.c_chunks,
                      .x = x,
                      .dy = dy,
                      .index = index,
                      .dw = dw,
                      .db = db,
                      .parts = (float *)workspace->shared,
                      .workspace = workspace,
                      .transpose = kata__kernels(context)->elementwise[0]->transpose};
    if (nchw && p.way != POOLED) {
        float *transposed = job.parts + p.parts * p.part_numbers;
        kata__transpose(context, KATA_F32, conv->n, conv->f, plane_of(&p), dy, transposed);
        job.dy = transposed;
    }
    kata__run_chunks(context, job.n_chunks, part_chunk, &job);
    kata__run_chunks(context, p.groups * ceil_div(p.cg, sum_channels(&p)) + (db != NULL ? 1 : 0),
                     sum_chunk, &job);
}
