/* Drivers of NHWC bfloat16 convolution, the direct one; Winograd's are in winograd.c. Both
 * directions are products (body/bfloat16.h):
 *
 * Forward: rows are pixels, k runs over the taps and channels. A picture is copied once into a
 * frame of zeros, with rows of `pitch` pixels. At stride 1 the numbers under a row of taps are then
 * neighbours in memory, kw c of them, for every pixel, and pixels follow each other c numbers
 * apart, across the ends of rows too: the product reads the frame itself, and what it makes of the
 * pixels between two rows is dropped. Otherwise, and where kw c is odd, patches are copied side by
 * side.
 *
 * By weight: rows are the filters, columns the taps' channels, k runs over the pixels of several
 * pictures. dy is transposed to (f, pixels of the frames), with zeros between the pictures' rows;
 * the frames are packed as the right factor, where a tap is an offset. That way round no row of a
 * tile crosses a cache line. */
#include "kernel/conv_nhwc_bf16.h"

#include <string.h>

#include "base/context.h"
#include "base/number.h"
#include "kernel/chunks.h"
#include "kernel/table_bfloat16.h"
#include "kernel/winograd.h"

enum {
    BLOCK = KATA__BFLOAT16_BLOCK,
    MAX_BLOCKS = 4,    /* blocks of filters in one go */
    BAND_PIXELS = 160, /* pixels of a band aimed at */
    SLACK = 64,        /* numbers that may be read behind a buffer */
    CHUNK_WORK = 1 << 15
};

static int64_t round_up(int64_t n, int64_t unit) {
    return (n + unit - 1) / unit * unit;
}

static int64_t greatest(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* Bytes, so that what follows is aligned. */
static size_t room(int64_t count, size_t size) {
    return ((size_t)(count + SLACK) * size + 63) / 64 * 64;
}

/* ---- the frame ---- */

typedef struct frame {
    int64_t rows, pitch; /* pixels */
    int64_t taps;        /* kh kw */
    int64_t cg, fg;      /* channels and filters of a group */
    bool flat;           /* stride 1 and one group: offsets over the frame do for taps */
    bool in_place;       /* the forward product reads the frame itself */
} frame;

static frame frame_of(const kata__conv *v) {
    frame g;
    g.rows = (v->oh - 1) * v->stride_h + (v->kh - 1) * v->dilation_h + 1;
    g.pitch = round_up((v->ow - 1) * v->stride_w + (v->kw - 1) * v->dilation_w + 1, 2);
    g.taps = v->kh * v->kw;
    g.cg = v->c / v->groups;
    g.fg = v->f / v->groups;
    g.flat = v->stride_h == 1 && v->stride_w == 1 && v->groups == 1;
    g.in_place = g.flat && (v->dilation_w == 1 || v->kw == 1) && v->kw * v->c % 2 == 0;
    /* Few channels make short runs: a product likes 32 numbers. */
    if (g.in_place && v->kw * v->c < 16 && v->kh > 1) {
        g.in_place = false;
    }
    return g;
}

/* Copies a picture (h,w,c) into a frame whose borders are zeros already; or spreads a pooled one.
 */
static void fill_frame(const kata__bfloat16_table *table, const kata__conv *v, const frame *g,
                       const kata__conv_bf16_input *input, int64_t picture, uint16_t *to) {
    const int64_t c = v->c;
    const int64_t x0 = greatest(0, -v->pad_left), x1 = kata__minimum(v->w, g->pitch - v->pad_left);
    if (input->index != NULL) { /* it fits: see kata__conv_bf16_input */
        const int64_t ph = v->h / 2, pw = v->w / 2;
        const uint16_t *x = (const uint16_t *)input->x + picture * ph * pw * c;
        const uint8_t *index = input->index + picture * ph * pw * c;
        for (int64_t y = 0; y < ph; y++, x += pw * c, index += pw * c) {
            uint16_t *row = to + ((2 * y + v->pad_top) * g->pitch + v->pad_left) * c;
            uint16_t *const rows[2] = {row, row + g->pitch * c};
            table->spread(pw, c, x, index, rows);
        }
        return;
    }
    if (x0 >= x1) {
        return;
    }
    for (int64_t y = greatest(0, -v->pad_top); y < kata__minimum(v->h, g->rows - v->pad_top); y++) {
        uint16_t *row = to + ((y + v->pad_top) * g->pitch + v->pad_left + x0) * c;
        const int64_t at = ((picture * v->h + y) * v->w + x0) * c, count = (x1 - x0) * c;
        if (input->dtype == KATA_F32) {
            table->from_float(count, (const float *)input->x + at, row);
        } else {
            memcpy(row, (const uint16_t *)input->x + at, (size_t)count * sizeof *row);
        }
    }
}

/* ---- packing ---- */

static int64_t group_packed(const frame *g) {
    return round_up(g->taps * g->cg, 2) * round_up(g->fg, BLOCK);
}

int64_t kata__conv_bf16_packed(kata_context *context, const kata__conv *v,
                               kata__conv_algorithm algorithm) {
    if (algorithm != KATA__CONV_DIRECT) {
        return kata__winograd_bf16_packed(context, v, algorithm);
    }
    const frame g = frame_of(v);
    return v->groups * group_packed(&g);
}

typedef struct packing {
    const kata__bfloat16_table *table;
    const kata__conv *v;
    frame g;
    bool flipped;
    const float *weight;
    uint16_t *packed;
} packing;

enum { PACK_TAPS = 32 };

/* A chunk is a block of 16 filters of a group: [k/2][16][2], k running over taps, then channels. */
static void pack_chunk(void *argument, int64_t chunk, int worker) {
    const packing *p = argument;
    const frame *g = &p->g;
    const int64_t blocks = (g->fg + BLOCK - 1) / BLOCK, group = chunk / blocks;
    const int64_t f0 = chunk % blocks * BLOCK, n = kata__minimum(g->fg - f0, BLOCK);
    const int64_t pairs = (g->taps * g->cg + 1) / 2;
    uint16_t *to = p->packed + chunk * pairs * 2 * BLOCK;
    (void)worker;
    if (g->taps * g->cg % 2 != 0) {
        memset(to, 0, (size_t)(pairs * 2 * BLOCK) * sizeof *to);
    }
    for (int64_t c = 0; c < g->cg; c++) {
        /* Of the other convolution if flipped, (c, f/groups, kh, kw), taps reversed. */
        const float *from = p->flipped ? p->weight + ((group * g->cg + c) * g->fg + f0) * g->taps
                                       : p->weight + ((group * g->fg + f0) * g->cg + c) * g->taps;
        const int64_t step = p->flipped ? g->taps : g->cg * g->taps;
        float columns[PACK_TAPS * BLOCK];
        for (int64_t t0 = 0; t0 < g->taps; t0 += PACK_TAPS) {
            const int64_t count = kata__minimum(PACK_TAPS, g->taps - t0);
            p->table->transpose_float(n, count, from + t0, step, columns, BLOCK);
            for (int64_t t = 0; t < count; t++) {
                const int64_t tap = p->flipped ? g->taps - 1 - t0 - t : t0 + t;
                const int64_t k = tap * g->cg + c;
                p->table->place(columns + t * BLOCK, to + k / 2 * 2 * BLOCK, (int)(k % 2));
            }
        }
    }
}

void kata__conv_bf16_pack(kata_context *context, const kata__conv *v,
                          kata__conv_algorithm algorithm, bool flipped, const float *weight,
                          uint16_t *packed) {
    if (algorithm != KATA__CONV_DIRECT) {
        kata__winograd_bf16_pack(context, v, algorithm, flipped, weight, packed);
        return;
    }
    packing p = {kata__bfloat16_kernels(context), v, frame_of(v), flipped, weight, packed};
    kata__run_chunks(context, v->groups * kata__chunk_count(p.g.fg, BLOCK), pack_chunk, &p);
}

/* ---- forward ---- */

typedef struct forward {
    const kata__bfloat16_table *table;
    const kata__conv *v;
    frame g;
    int64_t band;   /* rows of the output in a band */
    int64_t pitch;  /* pixels from a row of sums to the next */
    int64_t pixels; /* of a band */
    int64_t terms;  /* numbers of a copied patch, even */
    int64_t blocks; /* of filters in one go */
    int64_t pictures;
    size_t frame_bytes, patch_bytes, sum_bytes;
    const kata__conv_bf16_input *input;
    const uint16_t *packed;
    const kata__conv_bf16_store *store;
    uint16_t *y;
    const kata__workspace *workspace;
} forward;

/* The rows of a band: an even number, of which products of 16 pixels waste least. */
static int64_t band_of(int64_t oh, int64_t ow, int64_t pitch) {
    int64_t best = 0;
    double best_share = 0;
    for (int64_t rows = 2; rows < oh + 2; rows += 2) {
        const int64_t real = kata__minimum(rows, oh), pixels = (real - 1) * pitch + ow;
        const double share = (double)(real * ow) / (double)round_up(pixels, 16);
        if (best > 0 && pixels > BAND_PIXELS) {
            break;
        }
        if (share >= best_share) {
            best = rows;
            best_share = share;
        }
    }
    return best;
}

static forward plan_forward(const kata__conv *v) {
    forward p = {.v = v, .g = frame_of(v)};
    p.pitch = p.g.in_place ? p.g.pitch : v->ow;
    p.band = band_of(v->oh, v->ow, p.pitch);
    p.pixels = (kata__minimum(p.band, v->oh) - 1) * p.pitch + v->ow;
    p.terms = round_up(p.g.taps * p.g.cg, 2);
    p.blocks = kata__minimum((p.g.fg + BLOCK - 1) / BLOCK, MAX_BLOCKS);
    const int64_t work = p.g.rows * p.g.pitch * v->c;
    p.pictures = work >= CHUNK_WORK ? 1 : greatest(1, CHUNK_WORK / greatest(work, 1));
    p.pictures = kata__minimum(p.pictures, 4);
    /* Products of whole tiles read and write up to 15 pixels more. */
    p.frame_bytes = room((p.g.rows * p.g.pitch + 15) * v->c, sizeof(uint16_t));
    p.patch_bytes =
        p.g.in_place ? 0 : room((p.pixels + 15) * round_up(p.terms, 32), sizeof(uint16_t));
    p.sum_bytes = room((p.pixels + 15) * p.blocks * BLOCK, sizeof(float));
    return p;
}

kata__workspace_size kata__conv_bf16_workspace(kata_context *context, const kata__conv *v,
                                               kata__conv_algorithm algorithm, bool pool) {
    if (algorithm != KATA__CONV_DIRECT) {
        return kata__winograd_bf16_workspace(context, v, algorithm, pool);
    }
    const forward p = plan_forward(v);
    return (kata__workspace_size){.per_thread = p.frame_bytes + p.patch_bytes + p.sum_bytes};
}

/* Copies `count` numbers; up to 32 in one piece, with what lies behind them (the buffers have
 * slack, and what is written behind is written again after). */
static void copy_run(uint16_t *to, const uint16_t *from, int64_t count) {
    if (count <= 8) {
        memcpy(to, from, 8 * sizeof *to);
    } else if (count <= 16) {
        memcpy(to, from, 16 * sizeof *to);
    } else if (count <= 32) {
        memcpy(to, from, 32 * sizeof *to);
    } else {
        memcpy(to, from, (size_t)count * sizeof *to);
    }
}

/* One row of patches whose taps are joined, up to 8 numbers in a run. */
static void copy_short_patches(const uint16_t *line, int64_t next_line, int64_t pixels,
                               int64_t next_pixel, int64_t lines, int64_t run, int64_t step,
                               uint16_t *to) {
    for (int64_t x = 0; x < pixels; x++, line += next_pixel, to += step) {
        const uint16_t *from = line;
        uint16_t *at = to;
        for (int64_t i = 0; i < lines; i++, from += next_line, at += run) {
            memcpy(at, from, 8 * sizeof *at);
        }
        if (lines * run % 2 != 0) {
            to[lines * run] = 0;
        }
    }
}

/* Patches of rows [y0,y0+rows) of the output side by side: (pixel, tap, channel). */
static void copy_patches(const forward *p, const uint16_t *from, int64_t group, int64_t y0,
                         int64_t rows, uint16_t *to) {
    const kata__conv *v = p->v;
    const frame *g = &p->g;
    const int64_t step = round_up(p->terms, 32), real = g->taps * g->cg;
    const bool joined = v->groups == 1 && (v->dilation_w == 1 || v->kw == 1);
    for (int64_t y = y0; y < y0 + rows; y++) {
        const uint16_t *line = from + y * v->stride_h * g->pitch * v->c + group * g->cg;
        if (joined && v->kw * v->c <= 8) {
            copy_short_patches(line, v->dilation_h * g->pitch * v->c, v->ow, v->stride_w * v->c,
                               v->kh, v->kw * v->c, step, to);
            to += v->ow * step;
            continue;
        }
        for (int64_t x = 0; x < v->ow; x++, to += step) {
            const uint16_t *pixel = line + x * v->stride_w * v->c;
            uint16_t *at = to;
            for (int64_t i = 0; i < v->kh; i++) {
                const uint16_t *tap = pixel + i * v->dilation_h * g->pitch * v->c;
                if (joined) {
                    copy_run(at, tap, v->kw * v->c);
                    at += v->kw * v->c;
                    continue;
                }
                for (int64_t j = 0; j < v->kw; j++, at += g->cg) {
                    copy_run(at, tap + j * v->dilation_w * v->c, g->cg);
                }
            }
            if (p->terms > real) {
                to[real] = 0;
            }
        }
    }
}

/* Stores a band of sums: `blocks` blocks of filters from f0 on, rows [y0,y0+rows) of a picture. */
static void store_band(const forward *p, int64_t picture, int64_t f0, int64_t n, int64_t y0,
                       int64_t rows, const float *sums, int64_t ldc) {
    const kata__conv *v = p->v;
    const kata__conv_bf16_store *s = p->store;
    float bias[MAX_BLOCKS * BLOCK] = {0};
    for (int64_t l = 0; l < n && s->bias != NULL; l++) {
        bias[l] = s->bias[f0 + l];
    }
    const kata__bfloat16_store store = {n, bias, s->relu, v->f};
    for (int64_t y = y0; y < y0 + rows; y++, sums += p->pitch * ldc) {
        const int64_t at = ((picture * v->oh + y) * v->ow) * v->f + f0;
        if (!s->pool) {
            p->table->store(&store, v->ow, sums, ldc, s->residual != NULL ? s->residual + at : NULL,
                            s->mask != NULL ? s->mask + at : NULL, p->y + at);
            continue;
        }
        if (y % 2 != 0 || y + 1 >= v->oh) {
            continue;
        }
        const int64_t pooled = ((picture * (v->oh / 2) + y / 2) * (v->ow / 2)) * v->f + f0;
        const float *const c[2] = {sums, sums + p->pitch * ldc};
        const uint16_t *residual[2] = {NULL, NULL};
        if (s->residual != NULL) {
            residual[0] = s->residual + at;
            residual[1] = residual[0] + v->ow * v->f;
        }
        p->table->store_pool(&store, v->ow / 2, c, ldc, residual, p->y + pooled,
                             s->index != NULL ? s->index + pooled : NULL);
    }
}

static void forward_picture(const forward *p, int64_t picture, uint16_t *from, uint16_t *patches,
                            float *sums, uint32_t *kept) {
    const kata__conv *v = p->v;
    const frame *g = &p->g;
    fill_frame(p->table, v, g, p->input, picture, from);
    for (int64_t group = 0; group < v->groups; group++) {
        const uint16_t *packed = p->packed + group * group_packed(g);
        for (int64_t y = 0; y < v->oh; y += p->band) {
            const int64_t rows = kata__minimum(p->band, v->oh - y);
            kata__bfloat16_product product = {.m = (rows - 1) * p->pitch + v->ow,
                                              .b_block = p->terms * BLOCK,
                                              .c = sums,
                                              .whole = true,
                                              .kept = kept};
            if (g->in_place) {
                product.a = from + y * g->pitch * v->c;
                product.a_row = v->c;
                product.runs = v->kh;
                product.a_run = v->dilation_h * g->pitch * v->c;
                product.k = v->kw * v->c;
            } else {
                copy_patches(p, from, group, y, rows, patches);
                product.a = patches;
                product.a_row = round_up(p->terms, 32);
                product.runs = 1;
                product.k = p->terms;
            }
            for (int64_t f = 0; f < g->fg; f += p->blocks * BLOCK) {
                const int64_t n = kata__minimum(g->fg - f, p->blocks * BLOCK);
                product.n_blocks = (n + BLOCK - 1) / BLOCK;
                product.ldc = product.n_blocks * BLOCK;
                product.b = packed + f * p->terms;
                p->table->product(&product);
                store_band(p, picture, group * g->fg + f, n, y, rows, sums, product.ldc);
            }
        }
    }
}

static void forward_chunk(void *argument, int64_t chunk, int worker) {
    const forward *p = argument;
    char *scratch = kata__per_thread(p->workspace, worker);
    int64_t first, count = kata__chunk_of(chunk, p->v->n, p->pictures, &first);
    uint32_t kept = 0;
    memset(scratch, 0, p->frame_bytes);
    for (int64_t picture = first; picture < first + count; picture++) {
        forward_picture(p, picture, (uint16_t *)scratch, (uint16_t *)(scratch + p->frame_bytes),
                        (float *)(scratch + p->frame_bytes + p->patch_bytes), &kept);
    }
    p->table->finish(&kept);
}

void kata__conv_bf16(kata_context *context, const kata__conv *v, kata__conv_algorithm algorithm,
                     const kata__conv_bf16_input *input, const uint16_t *packed,
                     const kata__conv_bf16_store *store, uint16_t *y,
                     const kata__workspace *workspace) {
    if (algorithm != KATA__CONV_DIRECT) {
        kata__winograd_bf16_run(context, v, algorithm, input, packed, store, y, workspace);
        return;
    }
    forward p = plan_forward(v);
    p.table = kata__bfloat16_kernels(context);
    p.input = input;
    p.packed = packed;
    p.store = store;
    p.y = y;
    p.workspace = workspace;
    kata__run_chunks(context, kata__chunk_count(v->n, p.pictures), forward_chunk, &p);
}

/* ---- by weight ---- */

enum {
    MAX_COLUMNS = 1024,
    WEIGHT_PIXELS = 1024,
    /* So many pixels and filters at once that they stay in the first-level cache, with a block of
     * channels, for all taps of that block. */
    SOME_PIXELS = 320,
    SOME_FILTERS = 32,
    ROW_PITCH = SOME_PIXELS + 32 /* an odd number of 64 bytes: rows 4 KiB apart would collide */
};

typedef struct by_weight {
    const kata__bfloat16_table *table;
    const kata__conv *v;
    frame g;
    forward patches;  /* only for copying patches */
    bool by_offset;   /* the taps are offsets into the packed frames; else patches are packed */
    int64_t pictures; /* of a chunk */
    int64_t per;      /* pixels of a picture in the product */
    int64_t line;     /* pixels from a row to the next */
    int64_t pixels;   /* of a chunk, a multiple of 32 */
    int64_t reach;    /* pixels packed: with what the taps reach behind the last */
    int64_t columns;  /* of the product: taps times channels, in blocks; and one block for db */
    int64_t n_chunks;
    int64_t partial; /* numbers that a chunk makes */
    size_t frame_bytes, plane_bytes, rows_bytes, packed_bytes, ones_bytes;
    const kata__conv_bf16_input *input;
    kata__conv_bf16_input dy;
    float *partials, *dw, *db;
    const kata__workspace *workspace;
} by_weight;

static by_weight plan_weight(const kata__conv *v) {
    by_weight p = {.v = v, .g = frame_of(v), .patches = plan_forward(v)};
    const frame *g = &p.g;
    const int64_t blocks = (g->cg + BLOCK - 1) / BLOCK;
    p.by_offset = g->flat && g->cg >= 12 && g->taps * blocks < MAX_COLUMNS / BLOCK;
    p.line = p.by_offset ? g->pitch : v->ow;
    p.per = p.by_offset ? g->rows * g->pitch : v->oh * v->ow;
    p.pictures = greatest(1, WEIGHT_PIXELS / greatest(p.per, 1));
    p.pictures = kata__minimum(p.pictures, greatest(v->n, 1));
    p.pixels = round_up(p.pictures * p.per, 32);
    p.reach = p.pixels;
    if (p.by_offset) {
        p.reach += (v->kh - 1) * v->dilation_h * g->pitch + (v->kw - 1) * v->dilation_w + 1;
        p.reach = round_up(p.reach, 2);
    }
    p.columns = (p.by_offset ? g->taps * blocks : (p.patches.terms + BLOCK - 1) / BLOCK) * BLOCK;
    p.columns += BLOCK;
    p.n_chunks = kata__chunk_count(v->n, p.pictures);
    p.partial = p.columns * round_up(g->fg, BLOCK) * v->groups;
    p.frame_bytes =
        room(p.by_offset ? (p.reach + 1) * v->c : g->rows * g->pitch * v->c, sizeof(uint16_t));
    p.plane_bytes = room(p.pixels * v->f, sizeof(uint16_t));
    p.rows_bytes = room(g->fg * ROW_PITCH, sizeof(uint16_t));
    const int64_t patch = p.pixels * round_up(p.patches.terms, 32);
    p.packed_bytes = p.by_offset ? room(2 * p.reach * blocks * BLOCK, sizeof(uint16_t))
                                 : room(patch + SOME_PIXELS * p.columns, sizeof(uint16_t));
    p.ones_bytes = room(SOME_PIXELS * BLOCK, sizeof(uint16_t));
    return p;
}

static size_t weight_scratch(const by_weight *p) {
    return p->frame_bytes + p->plane_bytes + p->rows_bytes + p->packed_bytes + p->ones_bytes;
}

kata__workspace_size kata__conv_bf16_weight_workspace(kata_context *context, const kata__conv *v,
                                                      kata__conv_algorithm algorithm, bool pooled) {
    if (algorithm != KATA__CONV_DIRECT) {
        return kata__winograd_bf16_weight_workspace(context, v, algorithm, pooled);
    }
    const by_weight p = plan_weight(v);
    return (kata__workspace_size){.shared = room(p.n_chunks * p.partial, sizeof(float)),
                                  .per_thread = weight_scratch(&p)};
}

/* dy's pictures over the pixels of the product, zeros between their rows: (pixels, f). */
static void fill_plane(const by_weight *p, int64_t first, int64_t count, uint16_t *plane) {
    const kata__conv *v = p->v;
    const kata__conv out = {.c = v->f, .h = v->oh, .w = v->ow};
    const frame g = {.rows = v->oh, .pitch = p->line};
    const bool gaps = p->line != v->ow || p->per != v->oh * v->ow || p->dy.index != NULL ||
                      p->pixels != count * p->per;
    if (gaps) {
        memset(plane, 0, (size_t)(p->pixels * v->f) * sizeof *plane);
    }
    for (int64_t i = 0; i < count; i++) {
        fill_frame(p->table, &out, &g, &p->dy, first + i, plane + i * p->per * v->f);
    }
}

/* The product of some pixels: sums (fg, columns) of rows (fg, ROW_PITCH). */
static void multiply(const by_weight *p, kata__bfloat16_product *product, const uint16_t *rows,
                     float *sums) {
    product->a_row = ROW_PITCH;
    product->runs = 1;
    product->ldc = p->columns;
    for (int64_t f = 0; f < p->g.fg; f += SOME_FILTERS) {
        product->m = kata__minimum(SOME_FILTERS, p->g.fg - f);
        product->a = rows + f * ROW_PITCH;
        product->c = sums + f * p->columns;
        p->table->product(product);
    }
}

/* Taps as offsets: pixel q of a tap (ky,kx) is pixel q + ky dilation_h pitch + kx dilation_w of the
 * frames. Pairs that begin at odd pixels are packed as well as those that begin at even ones. What
 * some pixels need is made just before they are multiplied, while it is in the first-level cache.
 */
static void multiply_frames(const by_weight *p, int64_t first, int64_t count, uint16_t *frames,
                            const uint16_t *plane, uint16_t *rows, uint16_t *packed,
                            const uint16_t *ones, float *partial) {
    const kata__conv *v = p->v;
    const int64_t c = v->c, blocks = (c + BLOCK - 1) / BLOCK, block = p->reach * BLOCK;
    const int64_t n_blocks = p->columns / BLOCK;
    int64_t offset[MAX_COLUMNS / BLOCK + 1], ready = 0;
    uint32_t kept = 0;
    kata__bfloat16_product product = {.n_blocks = n_blocks, .b_offset = offset, .kept = &kept};
    memset(frames, 0, p->frame_bytes);
    for (int64_t i = 0; i < count; i++) {
        fill_frame(p->table, v, &p->g, p->input, first + i, frames + i * p->per * c);
    }
    for (int64_t tap = 0; tap < p->g.taps; tap++) {
        const int64_t q = tap / v->kw * v->dilation_h * p->g.pitch + tap % v->kw * v->dilation_w;
        for (int64_t j = 0; j < blocks; j++) {
            offset[j * p->g.taps + tap] = (q % 2 * blocks + j) * block + q / 2 * 2 * BLOCK;
        }
    }
    for (int64_t at = 0; at < p->pixels; at += SOME_PIXELS) {
        product.k = kata__minimum(SOME_PIXELS, p->pixels - at);
        const int64_t end = at + product.k == p->pixels
                                ? p->reach
                                : kata__minimum(p->reach, at + product.k + p->reach - p->pixels);
        const uint16_t *from = frames + ready * c;
        p->table->pair(end - ready, c, from, c, packed + ready * BLOCK, block);
        p->table->pair(end - ready, c, from + c, c, packed + blocks * block + ready * BLOCK, block);
        ready = end;
        p->table->transpose(product.k, v->f, plane + at * v->f, v->f, rows, ROW_PITCH);
        product.b = packed + at * BLOCK;
        product.accumulate = at > 0;
        offset[n_blocks - 1] = ones - product.b;
        multiply(p, &product, rows, partial);
    }
    p->table->finish(&kept);
}

/* Patches side by side, packed. */
static void multiply_patches(const by_weight *p, int64_t first, int64_t count, uint16_t *one_frame,
                             const uint16_t *plane, uint16_t *rows, uint16_t *packed,
                             const uint16_t *ones, float *partial) {
    const kata__conv *v = p->v;
    const int64_t step = round_up(p->patches.terms, 32), n = p->columns / BLOCK, fg = p->g.fg;
    uint16_t *patches = packed + SOME_PIXELS * p->columns;
    uint32_t kept = 0;
    memset(one_frame, 0, p->frame_bytes);
    for (int64_t group = 0; group < v->groups; group++) {
        float *sums = partial + group * fg * p->columns;
        for (int64_t i = 0; i < count; i++) {
            if (group == 0 || count > 1) {
                fill_frame(p->table, v, &p->g, p->input, first + i, one_frame);
            }
            copy_patches(&p->patches, one_frame, group, 0, v->oh, patches + i * p->per * step);
        }
        for (int64_t i = count * p->per; i < p->pixels; i++) {
            memset(patches + i * step, 0, (size_t)step * sizeof *patches);
        }
        for (int64_t at = 0; at < p->pixels; at += SOME_PIXELS) {
            const int64_t k = kata__minimum(SOME_PIXELS, p->pixels - at);
            p->table->pair(k, p->g.taps * p->g.cg, patches + at * step, step, packed, k * BLOCK);
            p->table->transpose(k, fg, plane + at * v->f + group * fg, v->f, rows, ROW_PITCH);
            kata__bfloat16_product product = {.n_blocks = n - 1,
                                              .k = k,
                                              .b = packed,
                                              .b_block = k * BLOCK,
                                              .accumulate = at > 0,
                                              .kept = &kept};
            multiply(p, &product, rows, sums);
            product.n_blocks = 1;
            product.b = ones;
            multiply(p, &product, rows, sums + (n - 1) * BLOCK);
        }
    }
    p->table->finish(&kept);
}

static void weight_chunk(void *argument, int64_t chunk, int worker) {
    const by_weight *p = argument;
    char *at = kata__per_thread(p->workspace, worker);
    uint16_t *frames = (uint16_t *)at;
    uint16_t *plane = (uint16_t *)(at += p->frame_bytes);
    uint16_t *rows = (uint16_t *)(at += p->plane_bytes);
    uint16_t *packed = (uint16_t *)(at += p->rows_bytes);
    uint16_t *ones = (uint16_t *)(at + p->packed_bytes);
    float *partial = p->partials + chunk * p->partial;
    int64_t first, count = kata__chunk_of(chunk, p->v->n, p->pictures, &first);
    for (int64_t i = 0; i < SOME_PIXELS * BLOCK; i++) {
        ones[i] = 0x3F80; /* 1 */
    }
    fill_plane(p, first, count, plane);
    if (p->by_offset) {
        multiply_frames(p, first, count, frames, plane, rows, packed, ones, partial);
    } else {
        multiply_patches(p, first, count, frames, plane, rows, packed, ones, partial);
    }
}

/* Adds the chunks' numbers in their order: one filter's row of sums. */
static void reduce_chunk(void *argument, int64_t f, int worker) {
    const by_weight *p = argument;
    const frame *g = &p->g;
    const float *from = p->partials + f * p->columns;
    float sum[BLOCK];
    (void)worker;
    for (int64_t column = 0; column < p->columns; column += BLOCK) {
        p->table->sum_rows(p->n_chunks, p->partial, BLOCK, from + column, sum);
        if (column == p->columns - BLOCK) {
            if (p->db != NULL) {
                p->db[f] = sum[0];
            }
            break;
        }
        for (int64_t l = column; l < column + BLOCK; l++) {
            /* Frames: blocks of channels, in each the taps; patches: taps, in each the channels. */
            const int64_t block = column / BLOCK;
            const int64_t tap = p->by_offset ? block % g->taps : l / g->cg;
            const int64_t c = p->by_offset ? block / g->taps * BLOCK + l % BLOCK : l % g->cg;
            if (tap < g->taps && c < g->cg) {
                p->dw[(f * g->cg + c) * g->taps + tap] = sum[l - column];
            }
        }
    }
}

void kata__conv_bf16_weight(kata_context *context, const kata__conv *v,
                            kata__conv_algorithm algorithm, const kata__conv_bf16_input *input,
                            const uint16_t *dy, const uint8_t *index, float *dw, float *db,
                            const kata__workspace *workspace) {
    if (algorithm != KATA__CONV_DIRECT) {
        kata__winograd_bf16_weight(context, v, algorithm, input->x, dy, index, dw, db, workspace);
        return;
    }
    by_weight p = plan_weight(v);
    p.table = kata__bfloat16_kernels(context);
    p.input = input;
    p.dy = (kata__conv_bf16_input){KATA_BF16, dy, index};
    p.dw = dw;
    p.db = db;
    p.partials = (float *)workspace->shared;
    p.workspace = workspace;
    kata__run_chunks(context, p.n_chunks, weight_chunk, &p);
    kata__run_chunks(context, v->f, reduce_chunk, &p);
}
