/* Drivers of channels-last bfloat16 convolution. Both directions are products (body/bfloat16.h):
 *
 * Forward: rows are pixels, k runs over the taps and channels. A picture is copied once into a
 * frame of zeros, with rows of `pitch` pixels. At stride 1 the numbers under a row of taps are then
 * neighbours in memory, kw c of them, for every pixel, and pixels follow each other c numbers
 * apart, across the ends of rows too: the product reads the frame itself, and what it makes of the
 * pixels between two rows is dropped. Otherwise, and where kw c is odd, patches are copied side by
 * side.
 *
 * By weight: rows are the taps' channels, k runs over the pixels of several pictures. x is
 * transposed to (c, pixels of the frames), where a tap is an offset; dy, laid out over the same
 * pixels with zeros between the rows, is the packed right factor. */
#include "kernel/conv_last_bf16.h"

#include <string.h>

#include "base/context.h"
#include "kernel/chunks.h"
#include "kernel/table_bfloat16.h"

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

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
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
    const int64_t x0 = greatest(0, -v->pad_left), x1 = least(v->w, g->pitch - v->pad_left);
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
    for (int64_t y = greatest(0, -v->pad_top); y < least(v->h, g->rows - v->pad_top); y++) {
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

int64_t kata__conv_bf16_packed(const kata__conv *v) {
    const frame g = frame_of(v);
    return v->groups * group_packed(&g);
}

typedef struct packing {
    const kata__conv *v;
    frame g;
    bool turned;
    const float *weight;
    uint16_t *packed;
} packing;

/* The weight of filter f, channel c of its group, at a tap. */
static float weight_at(const packing *p, int64_t group, int64_t f, int64_t c, int64_t tap) {
    if (p->turned) { /* (c, f/groups, kh, kw) of the other convolution, taps reversed */
        return p->weight[((group * p->g.cg + c) * p->g.fg + f) * p->g.taps + p->g.taps - 1 - tap];
    }
    return p->weight[((group * p->g.fg + f) * p->g.cg + c) * p->g.taps + tap];
}

/* A chunk is a block of 16 filters of a group: [k/2][16][2], k running over taps, then channels. */
static void pack_chunk(void *argument, int64_t chunk, int worker) {
    const packing *p = argument;
    const frame *g = &p->g;
    const int64_t blocks = (g->fg + BLOCK - 1) / BLOCK, group = chunk / blocks;
    const int64_t f0 = chunk % blocks * BLOCK, n = least(g->fg - f0, BLOCK);
    const int64_t terms = g->taps * g->cg, pairs = (terms + 1) / 2;
    uint16_t *to = p->packed + chunk * pairs * 2 * BLOCK;
    (void)worker;
    if (n < BLOCK || terms % 2 != 0) {
        memset(to, 0, (size_t)(pairs * 2 * BLOCK) * sizeof *to);
    }
    for (int64_t k = 0; k < terms; k++) {
        const int64_t tap = k / g->cg, c = k % g->cg;
        for (int64_t f = 0; f < n; f++) {
            to[(k / 2 * BLOCK + f) * 2 + k % 2] =
                kata_f32_to_bf16(weight_at(p, group, f0 + f, c, tap));
        }
    }
}

void kata__conv_bf16_pack(kata_context *context, const kata__conv *v, bool turned,
                          const float *weight, uint16_t *packed) {
    packing p = {v, frame_of(v), turned, weight, packed};
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
    char *scratch; /* for each worker */
} forward;

/* The rows of a band: an even number, of which products of 16 pixels waste least. */
static int64_t band_of(int64_t oh, int64_t ow, int64_t pitch) {
    int64_t best = 0;
    double best_share = 0;
    for (int64_t rows = 2; rows < oh + 2; rows += 2) {
        const int64_t real = least(rows, oh), pixels = (real - 1) * pitch + ow;
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
    p.pixels = (least(p.band, v->oh) - 1) * p.pitch + v->ow;
    p.terms = round_up(p.g.taps * p.g.cg, 2);
    p.blocks = least((p.g.fg + BLOCK - 1) / BLOCK, MAX_BLOCKS);
    const int64_t work = p.g.rows * p.g.pitch * v->c;
    p.pictures = work >= CHUNK_WORK ? 1 : greatest(1, CHUNK_WORK / greatest(work, 1));
    p.pictures = least(p.pictures, 4);
    p.frame_bytes = room(p.g.rows * p.g.pitch * v->c, sizeof(uint16_t));
    p.patch_bytes = p.g.in_place ? 0 : room(p.pixels * round_up(p.terms, 32), sizeof(uint16_t));
    p.sum_bytes = room(p.pixels * p.blocks * BLOCK, sizeof(float));
    return p;
}

size_t kata__conv_bf16_workspace(kata_context *context, const kata__conv *v) {
    const forward p = plan_forward(v);
    return (size_t)context->threads * (p.frame_bytes + p.patch_bytes + p.sum_bytes);
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

/* Patches of rows [y0,y0+rows) of the output side by side: (pixel, tap, channel). */
static void copy_patches(const forward *p, const uint16_t *from, int64_t group, int64_t y0,
                         int64_t rows, uint16_t *to) {
    const kata__conv *v = p->v;
    const frame *g = &p->g;
    const int64_t step = round_up(p->terms, 32), real = g->taps * g->cg;
    const bool joined = v->groups == 1 && (v->dilation_w == 1 || v->kw == 1);
    for (int64_t y = y0; y < y0 + rows; y++) {
        const uint16_t *line = from + y * v->stride_h * g->pitch * v->c + group * g->cg;
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
                            float *sums) {
    const kata__conv *v = p->v;
    const frame *g = &p->g;
    fill_frame(p->table, v, g, p->input, picture, from);
    for (int64_t group = 0; group < v->groups; group++) {
        const uint16_t *packed = p->packed + group * group_packed(g);
        for (int64_t y = 0; y < v->oh; y += p->band) {
            const int64_t rows = least(p->band, v->oh - y);
            kata__bfloat16_product product = {.m = (rows - 1) * p->pitch + v->ow,
                                              .parts = 1,
                                              .b_block = p->terms * BLOCK,
                                              .c = sums};
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
                const int64_t n = least(g->fg - f, p->blocks * BLOCK);
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
    char *scratch = p->scratch + (size_t)worker * (p->frame_bytes + p->patch_bytes + p->sum_bytes);
    int64_t first, count = kata__chunk_of(chunk, p->v->n, p->pictures, &first);
    memset(scratch, 0, p->frame_bytes);
    for (int64_t picture = first; picture < first + count; picture++) {
        forward_picture(p, picture, (uint16_t *)scratch, (uint16_t *)(scratch + p->frame_bytes),
                        (float *)(scratch + p->frame_bytes + p->patch_bytes));
    }
}

void kata__conv_bf16(kata_context *context, const kata__conv *v, const kata__conv_bf16_input *input,
                     const uint16_t *packed, const kata__conv_bf16_store *store, uint16_t *y,
                     void *workspace) {
    forward p = plan_forward(v);
    p.table = kata__bfloat16_kernels(context);
    p.input = input;
    p.packed = packed;
    p.store = store;
    p.y = y;
    p.scratch = workspace;
    kata__run_chunks(context, kata__chunk_count(v->n, p.pictures), forward_chunk, &p);
}

/* ---- by weight ---- */

enum { MAX_TAPS = 128, WEIGHT_PIXELS = 1024 };

typedef struct by_weight {
    const kata__bfloat16_table *table;
    const kata__conv *v;
    frame g;
    bool rows_by_tap; /* x's transposed rows serve all taps, by offsets */
    int64_t pictures; /* of a chunk */
    int64_t per;      /* pixels of a picture in the product */
    int64_t pixels;   /* of a chunk, a multiple of 32 */
    int64_t pitch;    /* numbers of a transposed row, with the taps' reach */
    int64_t terms;    /* rows of the product: taps cg */
    int64_t fp;       /* filters of a group, rounded up */
    int64_t n_chunks;
    int64_t partial; /* numbers that a chunk makes */
    size_t frame_bytes, plane_bytes, rows_bytes, packed_bytes;
    const kata__conv_bf16_input *input;
    kata__conv_bf16_input dy;
    float *partials, *dw, *db;
    char *scratch;
} by_weight;

static by_weight plan_weight(const kata__conv *v) {
    by_weight p = {.v = v, .g = frame_of(v)};
    const frame *g = &p.g;
    p.per = g->flat ? g->rows * g->pitch : v->oh * round_up(v->ow, 2);
    p.pictures = greatest(1, WEIGHT_PIXELS / greatest(p.per, 1));
    p.pictures = least(p.pictures, greatest(v->n, 1));
    p.pixels = round_up(p.pictures * p.per, 32);
    p.terms = g->taps * g->cg;
    p.rows_by_tap = g->flat && g->cg >= 12 && g->taps <= MAX_TAPS;
    const int64_t reach =
        g->flat ? (v->kh - 1) * v->dilation_h * g->pitch + (v->kw - 1) * v->dilation_w : 0;
    p.pitch = round_up(p.pixels + reach, 32);
    p.pitch += p.pitch / 32 % 2 == 0 ? 32 : 0; /* rows a multiple of 4 KiB apart would collide */
    p.fp = round_up(g->fg, BLOCK);
    p.n_chunks = kata__chunk_count(v->n, p.pictures);
    p.partial = (p.terms + 1) * p.fp * v->groups;
    /* The frames of a chunk, one after the other, as far as the taps reach. */
    p.frame_bytes =
        room(g->flat ? greatest(p.pitch, p.pictures * p.per) * v->c : g->rows * g->pitch * v->c,
             sizeof(uint16_t));
    p.plane_bytes = room(p.pixels * v->f, sizeof(uint16_t));
    const int64_t plane_rows = g->flat ? v->c : 0, tap_rows = p.rows_by_tap ? 0 : p.terms;
    p.rows_bytes = room((plane_rows + tap_rows + 1) * p.pitch, sizeof(uint16_t));
    p.packed_bytes = room(p.pixels * p.fp, sizeof(uint16_t));
    return p;
}

static size_t weight_scratch(const by_weight *p) {
    return p->frame_bytes + p->plane_bytes + p->rows_bytes + p->packed_bytes;
}

size_t kata__conv_bf16_weight_workspace(kata_context *context, const kata__conv *v) {
    const by_weight p = plan_weight(v);
    return room(p.n_chunks * p.partial, sizeof(float)) +
           (size_t)context->threads * weight_scratch(&p);
}

/* dy's pictures over the pixels of the product: rows of the frame's pitch, zeros between them. */
static void fill_plane(const by_weight *p, int64_t first, int64_t count, uint16_t *plane) {
    const kata__conv *v = p->v;
    const int64_t pitch = p->g.flat ? p->g.pitch : round_up(v->ow, 2);
    const kata__conv out = {.c = v->f, .h = v->oh, .w = v->ow};
    const frame g = {.rows = v->oh, .pitch = pitch};
    memset(plane, 0, (size_t)(p->pixels * v->f) * sizeof *plane);
    for (int64_t i = 0; i < count; i++) {
        fill_frame(p->table, &out, &g, &p->dy, first + i, plane + i * p->per * v->f);
    }
}

/* The rows of the product for one group: (terms, pixels). */
static void tap_rows(const by_weight *p, const uint16_t *frames, const uint16_t *planes,
                     int64_t group, int64_t picture, uint16_t *to) {
    const kata__conv *v = p->v;
    const frame *g = &p->g;
    for (int64_t tap = 0; tap < g->taps; tap++) {
        const int64_t i = tap / v->kw * v->dilation_h, j = tap % v->kw * v->dilation_w;
        for (int64_t c = 0; c < g->cg; c++, to += p->pitch) {
            if (g->flat) {
                memcpy(to, planes + c * p->pitch + i * g->pitch + j,
                       (size_t)p->pixels * sizeof *to);
                continue;
            }
            uint16_t *at = to + picture * p->per;
            const uint16_t *from = frames + (i * g->pitch + j) * v->c + group * g->cg + c;
            for (int64_t y = 0; y < v->oh; y++) {
                const uint16_t *line = from + y * v->stride_h * g->pitch * v->c;
                for (int64_t x = 0; x < v->ow; x++) {
                    *at++ = line[x * v->stride_w * v->c];
                }
                at += v->ow % 2;
            }
        }
    }
}

static void weight_group(const by_weight *p, int64_t group, const uint16_t *rows,
                         const uint16_t *ones, const uint16_t *plane, uint16_t *packed,
                         float *partial) {
    const kata__conv *v = p->v;
    const frame *g = &p->g;
    int64_t offset[MAX_TAPS];
    p->table->pair(p->pixels, g->fg, plane + group * g->fg, v->f, packed, p->pixels * BLOCK);
    kata__bfloat16_product product = {.m = p->rows_by_tap ? g->cg : p->terms,
                                      .n_blocks = p->fp / BLOCK,
                                      .parts = 1,
                                      .a = rows,
                                      .a_row = p->pitch,
                                      .runs = 1,
                                      .k = p->pixels,
                                      .b = packed,
                                      .b_block = p->pixels * BLOCK,
                                      .c = partial,
                                      .ldc = p->fp};
    if (p->rows_by_tap) {
        for (int64_t tap = 0; tap < g->taps; tap++) {
            offset[tap] = tap / v->kw * v->dilation_h * g->pitch + tap % v->kw * v->dilation_w;
        }
        product.parts = g->taps;
        product.part_offset = offset;
        product.c_part = g->cg * p->fp;
    }
    p->table->product(&product);
    if (p->db != NULL) {
        product.m = product.parts = 1;
        product.part_offset = NULL;
        product.a = ones;
        product.c = partial + p->terms * p->fp;
        p->table->product(&product);
    }
}

static void weight_chunk(void *argument, int64_t chunk, int worker) {
    const by_weight *p = argument;
    const kata__conv *v = p->v;
    const frame *g = &p->g;
    char *scratch = p->scratch + (size_t)worker * weight_scratch(p);
    uint16_t *frames = (uint16_t *)scratch, *plane = (uint16_t *)(scratch + p->frame_bytes);
    uint16_t *rows = (uint16_t *)(scratch + p->frame_bytes + p->plane_bytes);
    uint16_t *packed = (uint16_t *)(scratch + p->frame_bytes + p->plane_bytes + p->rows_bytes);
    uint16_t *ones = rows, *of_taps = rows + (g->flat ? v->c + 1 : 1) * p->pitch;
    float *partial = p->partials + chunk * p->partial;
    int64_t first, count = kata__chunk_of(chunk, v->n, p->pictures, &first);
    for (int64_t i = 0; i < p->pitch; i++) {
        ones[i] = 0x3F80; /* 1 */
    }
    memset(frames, 0, p->frame_bytes);
    fill_plane(p, first, count, plane);
    if (!g->flat && v->groups == 1) { /* one set of rows for the whole chunk */
        memset(of_taps, 0, (size_t)(p->terms * p->pitch) * sizeof *of_taps);
        for (int64_t i = 0; i < count; i++) {
            fill_frame(p->table, v, g, p->input, first + i, frames);
            tap_rows(p, frames, NULL, 0, i, of_taps);
        }
        weight_group(p, 0, of_taps, ones, plane, packed, partial);
        return;
    }
    if (!g->flat) {
        for (int64_t group = 0; group < v->groups; group++) {
            memset(of_taps, 0, (size_t)(p->terms * p->pitch) * sizeof *of_taps);
            for (int64_t i = 0; i < count; i++) {
                fill_frame(p->table, v, g, p->input, first + i, frames);
                tap_rows(p, frames, NULL, group, i, of_taps);
            }
            weight_group(p, group, of_taps, ones, plane, packed,
                         partial + group * (p->terms + 1) * p->fp);
        }
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        fill_frame(p->table, v, g, p->input, first + i, frames + i * p->per * v->c);
    }
    uint16_t *planes = rows + p->pitch;
    p->table->transpose(p->pitch, v->c, frames, v->c, planes, p->pitch);
    if (p->rows_by_tap) {
        weight_group(p, 0, planes, ones, plane, packed, partial);
    } else {
        tap_rows(p, frames, planes, 0, 0, of_taps);
        weight_group(p, 0, of_taps, ones, plane, packed, partial);
    }
}

/* Adds the chunks' numbers in their order. A chunk here is one row of the sums: a tap's channel of
 * a group, or the row of db. */
static void reduce_chunk(void *argument, int64_t chunk, int worker) {
    const by_weight *p = argument;
    const frame *g = &p->g;
    const int64_t group = chunk / (p->terms + 1), row = chunk % (p->terms + 1);
    const float *from = p->partials + chunk * p->fp;
    (void)worker;
    if (row == p->terms && p->db == NULL) {
        return;
    }
    for (int64_t f0 = 0; f0 < g->fg; f0 += BLOCK, from += BLOCK) {
        float sum[BLOCK] = {0};
        for (int64_t i = 0; i < p->n_chunks; i++) {
            for (int64_t l = 0; l < BLOCK; l++) {
                sum[l] += from[i * p->partial + l];
            }
        }
        for (int64_t l = 0; l < least(BLOCK, g->fg - f0); l++) {
            const int64_t f = group * g->fg + f0 + l;
            if (row == p->terms) {
                p->db[f] = sum[l];
            } else {
                p->dw[(f * g->cg + row % g->cg) * g->taps + row / g->cg] = sum[l];
            }
        }
    }
}

void kata__conv_bf16_weight(kata_context *context, const kata__conv *v,
                            const kata__conv_bf16_input *input, const uint16_t *dy,
                            const uint8_t *index, float *dw, float *db, void *workspace) {
    by_weight p = plan_weight(v);
    p.table = kata__bfloat16_kernels(context);
    p.input = input;
    p.dy = (kata__conv_bf16_input){KATA_BF16, dy, index};
    p.dw = dw;
    p.db = db;
    p.partials = workspace;
    p.scratch = (char *)workspace + room(p.n_chunks * p.partial, sizeof(float));
    kata__run_chunks(context, p.n_chunks, weight_chunk, &p);
    kata__run_chunks(context, v->groups * (p.terms + 1), reduce_chunk, &p);
}
