/* Convolution: the geometry, the cut into chunks, the workspace. The loops are in body/conv.h.
 *
 * Every pass copies a band of its input into zero-padded planes (split by the column modulo the
 * stride, so that a tap's pixels are neighbours) and names each tap by its offset there; from then
 * on stride, dilation and padding are gone.
 *
 *   forward   band of x; taps (c,kh,kw); out = y.
 *   by input  for each residue of the place in dx modulo the stride, a correlation of dy with those
 *             taps of the weight that meet it (Dumoulin and Visin 2016, "A guide to convolution
 *             arithmetic", 4.6), the weight rearranged as (c; f,kh,kw) for each residue if there
 *             is more than one or the batch is large.
 *   by weight the batch is cut into a fixed number of parts; each adds up (c,kh,kw; f) in a place
 *             of its own; the parts are added in order.
 *
 * Chunks are functions of the sizes and the instruction set alone. */
#include "kernel/conv.h"
#include "base/context.h"
#include "base/number.h"
#include "base/parallel.h"
#include "kernel/table.h"

#include <string.h>

enum {
    CHUNK_FLOPS = 500000,
    MOST_CHUNKS = 64,
    MOST_PARTS = 16,
    PARTS_BYTES = 64 << 20, /* the most that partial weight gradients may take */
    PLANES_BYTES = 1 << 20, /* of a band */
    REARRANGE_IMAGES = 8,   /* by input: so many pay for giving the weights longer runs */
    LINE = 64
};

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* Bytes rounded up to whole cache lines. */
static size_t lines(size_t n_bytes) {
    return (n_bytes + LINE - 1) / LINE * LINE;
}

/* Taps of one residue of the places modulo the stride, in one direction. */
struct residue {
    int64_t first;           /* smallest place of this residue */
    int64_t count;           /* places */
    int64_t tap, taps, step; /* the taps tap, tap + step, ... that meet it */
    int64_t base;            /* (first + pad - a)/stride with a = tap * dilation modulo stride */
};

struct plan {
    const kata__gemm_table *table;
    kata__conv_what what;
    kata__conv g;
    size_t size;
    int64_t cg, fg, taps; /* of a group; taps = cg kh kw, by input fg kh kw */
    /* The padded planes of a band: `planes` of them, `phases` copies of plane_rows rows of pitch.
     */
    int64_t planes, phases, plane_rows, pitch;
    /* Chunks: units are (image, group) pairs; a chunk has `units` of them, or a band of one, and of
     * that a share of the output channels. */
    int64_t n_units, units, unit_chunks;
    int64_t rows, bands, band_rows; /* output rows, or by input rows of the residues' grid */
    int64_t m, m_chunks;            /* output channels of a group */
    int64_t parts, channel_chunks;  /* by weight */
    int64_t ld;                     /* by weight: m rounded up to whole vectors */
    /* Workspace, in bytes. */
    size_t offset_bytes, weight_bytes, source_bytes, panel_bytes, part_bytes;
};

/* Taps k = 0..size-1 whose k * dilation has residue `a` modulo stride, and the places i = 0..n-1
 * whose i + pad has it. */
static struct residue residue_of(int64_t a, int64_t stride, int64_t pad, int64_t n, int64_t size,
                                 int64_t dilation) {
    struct residue r = {0};
    r.first = ((a - pad) % stride + stride) % stride;
    r.count = r.first < n ? ceil_div(n - r.first, stride) : 0;
    r.base = (r.first + pad - a) / stride; /* exact; negative pads included */
    r.step = 1;
    r.tap = -1;
    for (int64_t k = 0; k < size; k++) {
        if (k * dilation % stride == a) {
            if (r.taps == 0) {
                r.tap = k;
            } else if (r.taps == 1) {
                r.step = k - r.tap;
            }
            r.taps++;
        }
    }
    return r;
}

static int64_t floor_div(int64_t a, int64_t b) {
    return a >= 0 ? a / b : -((-a + b - 1) / b);
}

static struct plan make_plan(kata_context *context, kata_dtype dtype, const kata__conv *conv,
                             kata__conv_what what) {
    struct plan p = {.table = kata__kernels(context)->gemm[kata__kernel_type(dtype)],
                     .what = what,
                     .g = *conv,
                     .size = kata_dtype_size(dtype),
                     .units = 1,
                     .bands = 1,
                     .m_chunks = 1,
                     .parts = 1,
                     .channel_chunks = 1};
    kata__conv *g = &p.g;
    g->groups = kata__maximum(g->groups, 1);
    p.cg = g->c / g->groups;
    p.fg = g->f / g->groups;
    const int64_t pixels = g->oh * g->ow, lanes = p.table->lanes;
    const double unit_flops =
        2.0 * (double)(p.cg * p.fg) * (double)(g->kh * g->kw) * (double)pixels;
    p.n_units = g->n * g->groups;
    const double total = unit_flops * (double)p.n_units;
    const double chunk = total / MOST_CHUNKS > CHUNK_FLOPS ? total / MOST_CHUNKS : CHUNK_FLOPS;

    if (what == KATA__CONV_WEIGHT) {
        p.m = p.fg;
        p.taps = p.cg * g->kh * g->kw;
        p.ld = ceil_div(kata__maximum(p.m, 1), lanes) * lanes;
        p.rows = g->oh;
        p.band_rows = g->oh;
        p.part_bytes = lines((size_t)(g->groups * p.taps * p.ld) * p.size);
        p.parts = kata__maximum(
            1, kata__minimum(kata__minimum(MOST_PARTS, g->n), (int64_t)(total / CHUNK_FLOPS)));
        p.parts = kata__maximum(
            1,
            kata__minimum(p.parts, PARTS_BYTES / (int64_t)kata__maximum((int64_t)p.part_bytes, 1)));
        const int64_t want =
            kata__maximum(1, kata__minimum(MOST_PARTS, (int64_t)(total / CHUNK_FLOPS)));
        p.channel_chunks =
            kata__maximum(1, kata__minimum(p.cg, ceil_div(want, p.parts * g->groups)));
        p.planes = ceil_div(p.cg, p.channel_chunks);
    } else {
        p.m = what == KATA__CONV_FORWARD ? p.fg : p.cg;
        p.planes = what == KATA__CONV_FORWARD ? p.cg : p.fg;
        p.taps = p.planes * g->kh * g->kw;
        p.rows = what == KATA__CONV_FORWARD ? g->oh : ceil_div(g->h, g->stride_h);
        const int64_t width = what == KATA__CONV_FORWARD ? g->ow : ceil_div(g->w, g->stride_w);
        /* Bands of at least a panel of pixels, so many that their padded planes stay in the
         * second-level cache; then shares of at least two tiles of channels. */
        const int64_t most_bands = p.rows / ceil_div(p.table->columns, kata__maximum(width, 1));
        const int64_t planes_bytes =
            p.planes * (what == KATA__CONV_FORWARD ? g->h * g->w : pixels) * (int64_t)p.size;
        const int64_t want = unit_flops > 1.5 * chunk ? (int64_t)(unit_flops / chunk + 0.5) : 1;
        p.bands = kata__maximum(
            1, kata__minimum(kata__maximum(want, planes_bytes / PLANES_BYTES), most_bands));
        if (want > 1) {
            p.m_chunks = kata__maximum(1, kata__minimum(want / p.bands, p.m / (2 * p.table->rows)));
        } else if (p.bands == 1) {
            p.units = kata__maximum(1, (int64_t)(chunk / kata__maximum((int64_t)unit_flops, 1)));
        }
        p.band_rows = ceil_div(p.rows, p.bands);
    }
    p.units = kata__minimum(p.units, kata__maximum(p.n_units, 1));
    p.unit_chunks = ceil_div(p.n_units, p.units);

    if (what == KATA__CONV_INPUT) {
        /* Rows of dy from g0 + lowest base - T on, T = ((kh-1) dilation)/stride; columns likewise.
         * The bases of the residues differ by at most 1. */
        p.phases = 1;
        p.plane_rows = p.band_rows + 1 + (g->kh - 1) * g->dilation_h / g->stride_h;
        p.pitch = ceil_div(g->w, g->stride_w) + 1 + (g->kw - 1) * g->dilation_w / g->stride_w;
        if (g->stride_h > 1 || g->stride_w > 1 || g->n >= REARRANGE_IMAGES) {
            p.weight_bytes = lines((size_t)(g->f * p.cg * g->kh * g->kw) * p.size);
        }
    } else {
        const int64_t reach = (g->kw - 1) * g->dilation_w;
        p.phases = kata__minimum(g->stride_w, reach + 1);
        p.plane_rows =
            kata__maximum(0, (p.band_rows - 1) * g->stride_h + (g->kh - 1) * g->dilation_h + 1);
        p.pitch = g->ow + reach / g->stride_w;
    }
    p.offset_bytes = lines((size_t)kata__maximum(p.taps, 1) * sizeof(int64_t));
    p.source_bytes =
        lines((size_t)(p.planes * p.phases * p.plane_rows * p.pitch + 2 * lanes) * p.size);
    p.panel_bytes =
        what == KATA__CONV_WEIGHT
            ? lines((size_t)(kata__conv_weight_rows(g->oh, g->ow) * g->ow * p.table->columns) *
                    p.size)
            : lines(p.table->conv_panel(p.taps) * p.size);
    return p;
}

size_t kata__conv_workspace(kata_context *context, kata_dtype dtype, const kata__conv *conv,
                            kata__conv_what what) {
    const struct plan p = make_plan(context, dtype, conv, what);
    const size_t scratch = (p.source_bytes + p.panel_bytes) * (size_t)kata_context_threads(context);
    const size_t parts = what == KATA__CONV_WEIGHT ? p.part_bytes * (size_t)p.parts : 0;
    return p.offset_bytes + p.weight_bytes + parts + scratch;
}

struct job {
    const struct plan *plan;
    const char *x, *weight, *bias; /* by input and by weight: x is what is padded, or dy */
    const char *dy;
    char *out;
    bool relu;
    int64_t *offset;
    char *rearranged; /* by input: the weight of each residue */
    char *parts;
    char *scratch; /* for each worker: padded planes, panel */
};

static const void *at(const struct plan *p, const char *base, int64_t index) {
    return base ? base + index * (int64_t)p->size : NULL;
}

static char *to(const struct plan *p, char *base, int64_t index) {
    return base + index * (int64_t)p->size;
}

/* Splits the workspace; `offset` first. */
static struct job make_job(const struct plan *p, void *workspace) {
    struct job job = {.plan = p, .offset = workspace};
    char *w = (char *)workspace + p->offset_bytes;
    job.rearranged = w;
    w += p->weight_bytes;
    job.parts = w;
    if (p->what == KATA__CONV_WEIGHT) {
        w += p->part_bytes * (size_t)p->parts;
    }
    job.scratch = w;
    return job;
}

static char *source_of(const struct job *job, int worker) {
    const struct plan *p = job->plan;
    return job->scratch + (size_t)worker * (p->source_bytes + p->panel_bytes);
}

/* Where tap (plane, kh, kw) of the forward correlation lies in the padded planes. */
static void forward_offsets(const struct plan *p, int64_t *offset) {
    const kata__conv *g = &p->g;
    for (int64_t c = 0; c < p->planes; c++) {
        for (int64_t i = 0; i < g->kh; i++) {
            for (int64_t j = 0; j < g->kw; j++) {
                const int64_t x = j * g->dilation_w;
                *offset++ =
                    ((c * p->phases + x % g->stride_w) * p->plane_rows + i * g->dilation_h) *
                        p->pitch +
                    x / g->stride_w;
            }
        }
    }
}

/* Pads `planes` planes of x (h,w) for output rows from `row` on. */
static void pad_planes(const struct plan *p, const char *x, int64_t planes, int64_t row,
                       char *source) {
    const kata__conv *g = &p->g;
    kata__conv_pad pad = {.h = g->h,
                          .w = g->w,
                          .top = row * g->stride_h - g->pad_top,
                          .left = -g->pad_left,
                          .rows = p->plane_rows,
                          .columns = p->pitch,
                          .stride = g->stride_w,
                          .phases = p->phases,
                          .phase_step = p->plane_rows * p->pitch,
                          .pitch = p->pitch};
    for (int64_t c = 0; c < planes; c++) {
        pad.from = at(p, x, c * g->h * g->w);
        pad.to = to(p, source, c * p->phases * pad.phase_step);
        p->table->conv_pad(&pad);
    }
}

/* What chunk `chunk` of forward and by input is. */
struct share {
    int64_t first, last; /* units */
    int64_t row, rows;
    int64_t channel, channels;
};

static struct share share_of(const struct plan *p, int64_t chunk) {
    const int64_t channel = chunk % p->m_chunks, rest = chunk / p->m_chunks;
    const int64_t band = rest % p->bands, unit = rest / p->bands;
    struct share s = {.first = unit * p->units,
                      .last = kata__minimum((unit + 1) * p->units, p->n_units),
                      .row = p->rows * band / p->bands,
                      .channel = p->m * channel / p->m_chunks};
    s.rows = p->rows * (band + 1) / p->bands - s.row;
    s.channels = p->m * (channel + 1) / p->m_chunks - s.channel;
    return s;
}

static void forward_chunk(void *argument, int64_t chunk, int worker) {
    const struct job *job = argument;
    const struct plan *p = job->plan;
    const kata__conv *g = &p->g;
    const struct share s = share_of(p, chunk);
    char *source = source_of(job, worker);
    for (int64_t unit = s.first; unit < s.last; unit++) {
        const int64_t image = unit / g->groups, group = unit % g->groups;
        const int64_t f = group * p->fg + s.channel;
        pad_planes(p, at(p, job->x, (image * g->c + group * p->cg) * g->h * g->w), p->cg, s.row,
                   source);
        const kata__conv_piece piece = {
            .m = s.channels,
            .taps = p->taps,
            .weight = at(p, job->weight, f * p->taps),
            .weight_row = p->taps,
            .run = p->taps,
            .source = source,
            .offset = job->offset,
            .row_step = g->stride_h * p->pitch,
            .rows = s.rows,
            .width = g->ow,
            .bias = at(p, job->bias, f),
            .relu = job->relu,
            .out = to(p, job->out, ((image * g->f + f) * g->oh + s.row) * g->ow),
            .out_plane = g->oh * g->ow,
            .out_row = g->ow,
            .out_pixel = 1,
            .panel = source + p->source_bytes,
        };
        p->table->conv_piece(&piece);
    }
}

void kata__conv_forward(kata_context *context, kata_dtype dtype, const kata__conv *conv,
                        const void *x, const void *weight, const void *bias, bool relu, void *y,
                        void *workspace) {
    if (conv->n <= 0 || conv->f <= 0 || conv->oh <= 0 || conv->ow <= 0) {
        return;
    }
    const struct plan p = make_plan(context, dtype, conv, KATA__CONV_FORWARD);
    struct job job = make_job(&p, workspace);
    job.x = x;
    job.weight = weight;
    job.bias = bias;
    job.relu = relu;
    job.out = y;
    forward_offsets(&p, job.offset);
    kata__parallel(context, p.unit_chunks * p.bands * p.m_chunks, forward_chunk, &job);
}

/* ---- by input ---- */

/* Calls of rearrange_chunk and input_chunk go through the residues in this order; the weight of a
 * residue, (groups, cg, fg taps), and its offsets, (fg taps), lie behind those of the ones before.
 */
static int64_t residues_taps(const struct residue *rows, const struct residue *columns) {
    return rows->taps * columns->taps;
}

/* weight (f, cg, kh, kw) to (group, c; f of the group, taps) for each residue. */
static void rearrange_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const struct job *job = argument;
    const struct plan *p = job->plan;
    const kata__conv *g = &p->g;
    const int64_t group = chunk / p->cg, c = chunk % p->cg, kernel = g->kh * g->kw;
    int64_t begin = 0; /* of the residue */
    for (int64_t a = 0; a < g->stride_h; a++) {
        const struct residue y = residue_of(a, g->stride_h, g->pad_top, g->h, g->kh, g->dilation_h);
        for (int64_t b = 0; b < g->stride_w; b++) {
            const struct residue x =
                residue_of(b, g->stride_w, g->pad_left, g->w, g->kw, g->dilation_w);
            const int64_t taps = residues_taps(&y, &x);
            char *out = to(p, job->rearranged, begin + (group * p->cg + c) * p->fg * taps);
            for (int64_t f = 0; f < p->fg; f++) {
                const char *from = at(p, job->weight, ((group * p->fg + f) * p->cg + c) * kernel);
                if (taps == kernel) {
                    memcpy(out, from, (size_t)kernel * p->size);
                    out += (size_t)kernel * p->size;
                    continue;
                }
                for (int64_t i = 0; i < y.taps; i++) {
                    for (int64_t j = 0; j < x.taps; j++, out += p->size) {
                        const int64_t tap = (y.tap + i * y.step) * g->kw + x.tap + j * x.step;
                        if (p->size == 4) {
                            memcpy(out, from + tap * 4, 4);
                        } else {
                            memcpy(out, from + tap * 8, 8);
                        }
                    }
                }
            }
            begin += g->groups * p->cg * p->fg * taps;
        }
    }
}

/* dy's row for place first + stride i of a residue and its tap number t is
 * i + base - (tap dilation - a)/stride. Padded row 0 is row `lowest` - reach of dy for i = 0. */
static void input_offsets(const struct plan *p, int64_t *offset, int64_t lowest_y,
                          int64_t lowest_x) {
    const kata__conv *g = &p->g;
    const int64_t reach_y = (g->kh - 1) * g->dilation_h / g->stride_h;
    const int64_t reach_x = (g->kw - 1) * g->dilation_w / g->stride_w;
    for (int64_t a = 0; a < g->stride_h; a++) {
        const struct residue y = residue_of(a, g->stride_h, g->pad_top, g->h, g->kh, g->dilation_h);
        for (int64_t b = 0; b < g->stride_w; b++) {
            const struct residue x =
                residue_of(b, g->stride_w, g->pad_left, g->w, g->kw, g->dilation_w);
            for (int64_t f = 0; f < p->fg; f++) {
                for (int64_t i = 0; i < y.taps; i++) {
                    const int64_t back_y = ((y.tap + i * y.step) * g->dilation_h - a) / g->stride_h;
                    for (int64_t j = 0; j < x.taps; j++) {
                        const int64_t back_x =
                            ((x.tap + j * x.step) * g->dilation_w - b) / g->stride_w;
                        *offset++ =
                            (f * p->plane_rows + y.base - lowest_y + reach_y - back_y) * p->pitch +
                            x.base - lowest_x + reach_x - back_x;
                    }
                }
            }
        }
    }
}

/* The smallest base of the residues: place 0 has it. */
static int64_t lowest_base(int64_t pad, int64_t stride) {
    return floor_div(pad, stride);
}

static void input_chunk(void *argument, int64_t chunk, int worker) {
    const struct job *job = argument;
    const struct plan *p = job->plan;
    const kata__conv *g = &p->g;
    const struct share s = share_of(p, chunk);
    const int64_t kernel = g->kh * g->kw;
    char *source = source_of(job, worker);
    kata__conv_pad pad = {.h = g->oh,
                          .w = g->ow,
                          .top = s.row + lowest_base(g->pad_top, g->stride_h) -
                                 (g->kh - 1) * g->dilation_h / g->stride_h,
                          .left = lowest_base(g->pad_left, g->stride_w) -
                                  (g->kw - 1) * g->dilation_w / g->stride_w,
                          .rows = p->plane_rows,
                          .columns = p->pitch,
                          .stride = 1,
                          .phases = 1,
                          .pitch = p->pitch};
    for (int64_t unit = s.first; unit < s.last; unit++) {
        const int64_t image = unit / g->groups, group = unit % g->groups;
        for (int64_t f = 0; f < p->fg; f++) {
            pad.from = at(p, job->dy, (image * g->f + group * p->fg + f) * g->oh * g->ow);
            pad.to = to(p, source, f * p->plane_rows * p->pitch);
            p->table->conv_pad(&pad);
        }
        const int64_t *offset = job->offset;
        int64_t begin = 0;
        const int64_t c = group * p->cg + s.channel;
        for (int64_t a = 0; a < g->stride_h; a++) {
            const struct residue y =
                residue_of(a, g->stride_h, g->pad_top, g->h, g->kh, g->dilation_h);
            for (int64_t b = 0; b < g->stride_w; b++) {
                const struct residue x =
                    residue_of(b, g->stride_w, g->pad_left, g->w, g->kw, g->dilation_w);
                const int64_t taps = p->fg * residues_taps(&y, &x);
                kata__conv_piece piece = {
                    .m = s.channels,
                    .taps = taps,
                    .weight = at(p, job->rearranged, begin + c * taps),
                    .weight_row = taps,
                    .run = taps,
                    .source = source,
                    .offset = offset,
                    .row_step = p->pitch,
                    .rows = kata__minimum(s.rows, y.count - s.row),
                    .width = x.count,
                    .out = to(p, job->out,
                              ((image * g->c + c) * g->h + y.first + s.row * g->stride_h) * g->w +
                                  x.first),
                    .out_plane = g->h * g->w,
                    .out_row = g->stride_h * g->w,
                    .out_pixel = g->stride_w,
                    .panel = source + p->source_bytes,
                };
                if (p->weight_bytes == 0) { /* read where it is: (f, c, taps) */
                    piece.weight = at(p, job->weight, (group * p->fg * p->cg + s.channel) * kernel);
                    piece.weight_row = kernel;
                    piece.run = kernel;
                    piece.run_step = p->cg * kernel;
                }
                if (piece.rows > 0 && piece.width > 0) {
                    p->table->conv_piece(&piece);
                }
                offset += taps;
                begin += g->groups * p->cg * taps;
            }
        }
    }
}

void kata__conv_input(kata_context *context, kata_dtype dtype, const kata__conv *conv,
                      const void *dy, const void *weight, void *dx, void *workspace) {
    if (conv->n <= 0 || conv->c <= 0 || conv->h <= 0 || conv->w <= 0) {
        return;
    }
    const struct plan p = make_plan(context, dtype, conv, KATA__CONV_INPUT);
    struct job job = make_job(&p, workspace);
    job.dy = dy;
    job.weight = weight;
    job.out = dx;
    input_offsets(&p, job.offset, lowest_base(p.g.pad_top, p.g.stride_h),
                  lowest_base(p.g.pad_left, p.g.stride_w));
    if (p.weight_bytes > 0) {
        kata__parallel(context, p.g.c, rearrange_chunk, &job);
    }
    kata__parallel(context, p.unit_chunks * p.bands * p.m_chunks, input_chunk, &job);
}

/* ---- by weight ---- */

static void weight_chunk(void *argument, int64_t chunk, int worker) {
    const struct job *job = argument;
    const struct plan *p = job->plan;
    const kata__conv *g = &p->g;
    const int64_t share = chunk % p->channel_chunks, rest = chunk / p->channel_chunks;
    const int64_t group = rest % g->groups, part = rest / g->groups;
    const int64_t c0 = p->cg * share / p->channel_chunks;
    const int64_t c1 = p->cg * (share + 1) / p->channel_chunks;
    const int64_t kernel = g->kh * g->kw;
    char *source = source_of(job, worker);
    char *sum = job->parts + p->part_bytes * (size_t)part +
                (size_t)((group * p->taps + c0 * kernel) * p->ld) * p->size;
    memset(sum, 0, (size_t)((c1 - c0) * kernel * p->ld) * p->size);
    for (int64_t image = g->n * part / p->parts; image < g->n * (part + 1) / p->parts; image++) {
        pad_planes(p, at(p, job->x, (image * g->c + group * p->cg + c0) * g->h * g->w), c1 - c0, 0,
                   source);
        const kata__conv_weight_piece piece = {
            .m = p->m,
            .taps = (c1 - c0) * kernel,
            .source = source,
            .offset = job->offset,
            .row_step = g->stride_h * p->pitch,
            .rows = g->oh,
            .width = g->ow,
            .dy = at(p, job->dy, (image * g->f + group * p->fg) * g->oh * g->ow),
            .dy_plane = g->oh * g->ow,
            .sum = sum,
            .ld = p->ld,
            .panel = source + p->source_bytes,
        };
        if (piece.rows > 0 && piece.width > 0) {
            p->table->conv_weight_piece(&piece);
        }
    }
}

enum { SUM_TAPS = 64 };

static void weight_sum_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    const struct job *job = argument;
    const struct plan *p = job->plan;
    const int64_t chunks = ceil_div(p->taps, SUM_TAPS);
    const int64_t group = chunk / chunks, first = chunk % chunks * SUM_TAPS;
    p->table->conv_weight_sum(p->m, p->taps, first, kata__minimum(first + SUM_TAPS, p->taps),
                              job->parts + (size_t)(group * p->taps * p->ld) * p->size, p->ld,
                              p->parts, (int64_t)(p->part_bytes / p->size),
                              to(p, job->out, group * p->fg * p->taps));
}

void kata__conv_weight(kata_context *context, kata_dtype dtype, const kata__conv *conv,
                       const void *x, const void *dy, void *dw, void *workspace) {
    if (conv->f <= 0 || conv->c <= 0 || conv->kh <= 0 || conv->kw <= 0) {
        return;
    }
    const struct plan p = make_plan(context, dtype, conv, KATA__CONV_WEIGHT);
    struct job job = make_job(&p, workspace);
    job.x = x;
    job.dy = dy;
    job.out = dw;
    forward_offsets(&p, job.offset);
    kata__parallel(context, p.parts * p.g.groups * p.channel_chunks, weight_chunk, &job);
    kata__parallel(context, p.g.groups * ceil_div(p.taps, SUM_TAPS), weight_sum_chunk, &job);
}

/* ---- bias ---- */

static void bias_chunk(void *argument, int64_t f, int worker) {
    (void)worker;
    const struct job *job = argument;
    const struct plan *p = job->plan;
    const kata__conv *g = &p->g;
    const int64_t pixels = g->oh * g->ow;
    const double sum =
        p->table->sum_planes(at(p, job->dy, f * pixels), pixels, g->n, g->f * pixels);
    if (p->size == 4) {
        ((float *)(void *)job->out)[f] = (float)sum;
    } else {
        ((double *)(void *)job->out)[f] = sum;
    }
}

void kata__conv_bias(kata_context *context, kata_dtype dtype, const kata__conv *conv,
                     const void *dy, void *db) {
    const struct plan p = {.table = kata__kernels(context)->gemm[kata__kernel_type(dtype)],
                           .g = *conv,
                           .size = kata_dtype_size(dtype)};
    struct job job = {.plan = &p, .dy = dy, .out = db};
    kata__parallel(context, conv->f, bias_chunk, &job);
}
