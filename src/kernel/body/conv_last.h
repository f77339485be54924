/* Direct convolution of channels-last tensors: a tile of pixels by one or two vectors of output
 * channels stays in registers while the taps and input channels run; a pixel's number is broadcast.
 *
 * A tile's pixels are any: each has the address of its window's first tap, which may lie on the
 * padding and is then not read. The terms come in segments, runs of numbers that are neighbours in
 * x and in the packed weight; a segment's mask says which of the tile's pixels have its taps inside
 * the picture. So padding costs nothing, and an element is one chain of multiply-adds over its taps
 * inside the picture in order, whatever tile computes it.
 *
 * With pool the pixels are two rows of `pixels / 2`, window j being columns 2 j and 2 j + 1. */

#if KATA__VECTOR_BYTES == 64
#define KATA__CONV_PIXELS 28 /* the most of a tile */
#elif KATA__VECTOR_BYTES == 32
#define KATA__CONV_PIXELS 12
#else
#define KATA__CONV_PIXELS 8
#endif

/* Shorter runs go by a list of offsets, one for each term. */
#define KATA__CONV_SHORT_RUN 16

/* How the numbers of a term are read: of any pixels; of pixels in two halves, each `step` numbers
 * from pixel to pixel; of each lane's own channel. */
enum { KATA__CONV_ANY, KATA__CONV_HALVES, KATA__CONV_DEPTHWISE };

typedef struct NAME(conv_segment) {
    int64_t x;      /* from a pixel's address */
    int64_t weight; /* row */
    int32_t length;
    uint32_t mask;
} NAME(conv_segment);

typedef struct NAME(conv_tile) {
    const REAL *x[KATA__CONV_PIXELS];
    int64_t step;
    const REAL *weight;
    const NAME(conv_segment) *segments;
    int64_t n_segments;
    const int64_t *offset; /* instead of segments, where runs are short: of each term */
    int64_t terms;
    int count;
    int last; /* channels in the last vector */
    REAL *y;
    uint8_t *index;
    int64_t y_step; /* from pixel to pixel, or window to window */
    const REAL *bias;
    bool relu;
    /* Of the first channel; residual_at: where each pixel's are, or NULL if neither is asked for.
     */
    const REAL *residual, *relu_mask;
    const int64_t *residual_at;
} NAME(conv_tile);

#define KATA__CONV_EACH_VECTOR                                                                     \
    KATA__UNROLL                                                                                   \
    for (int v = 0; v < vectors; v++)

/* q steps of `odd` = {1, 3, 5, ...} steps, as an address can be formed of them. */
KATA__LOCAL int64_t NAME(conv_steps)(const int64_t *odd, const int q) {
    return q == 0       ? 0
           : q % 8 == 0 ? 8 * odd[q / 8 / 2]
           : q % 4 == 0 ? 4 * odd[q / 4 / 2]
           : q % 2 == 0 ? 2 * odd[q / 2 / 2]
                        : odd[q / 2];
}

/* One term: row `at` of x, row w of the weight. */
#define KATA__CONV_TERM(test)                                                                      \
    do {                                                                                           \
        VEC wv[2];                                                                                 \
        KATA__CONV_EACH_VECTOR {                                                                   \
            wv[v] = NAME(load)(w + v * LANES);                                                     \
        }                                                                                          \
        KATA__UNROLL                                                                               \
        for (int i = 0; i < pixels; i++) {                                                         \
            if (test) {                                                                            \
                if (mode == KATA__CONV_DEPTHWISE) {                                                \
                    KATA__CONV_EACH_VECTOR {                                                       \
                        acc[i][v] += wv[v] * (last < LANES && v == vectors - 1                     \
                                                  ? NAME(load_first)(x[i] + at + v * LANES, last)  \
                                                  : NAME(load)(x[i] + at + v * LANES));            \
                    }                                                                              \
                } else {                                                                           \
                    const REAL number =                                                            \
                        mode == KATA__CONV_HALVES                                                  \
                            ? (i < pixels / 2                                                      \
                                   ? x[0] + at                                                     \
                                   : x[1] + at)[NAME(conv_steps)(odd, i % (pixels / 2))]           \
                            : x[i][at];                                                            \
                    KATA__CONV_EACH_VECTOR {                                                       \
                        acc[i][v] += NAME(splat)(number) * wv[v];                                  \
                    }                                                                              \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    } while (0)

/* The first `last` numbers of a tail, else a whole vector. */
KATA__LOCAL VEC NAME(conv_load)(const REAL *p, bool tail, int last) {
    return tail ? NAME(load_first)(p, last) : NAME(load)(p);
}

/* max(0, .) and the place of the maximum of a window's four numbers, in row-major order. */
KATA__LOCAL void NAME(conv_pool_store)(const NAME(conv_tile) *t, const VEC *window, int64_t to,
                                       bool tail) {
    VEC best = window[0];
    if (!t->index) {
        for (int k = 1; k < 4; k++) {
            best = NAME(maximum)(best, window[k]);
        }
        best = t->relu ? NAME(maximum)(best, (VEC){0}) : best;
    } else {
#if KATA__VECTOR_BYTES == 64
        __m512i place = _mm512_setzero_si512();
        KATA__UNROLL
        for (int k = 1; k < 4; k++) {
            const __mmask16 more = _mm512_cmp_ps_mask((__m512)window[k], (__m512)best, _CMP_GT_OQ);
            best = (VEC)_mm512_mask_mov_ps((__m512)best, more, (__m512)window[k]);
            place = _mm512_mask_set1_epi32(place, more, k);
        }
        if (t->relu) {
            const __mmask16 none =
                _mm512_cmp_ps_mask((__m512)best, _mm512_setzero_ps(), _CMP_LE_OQ);
            best = (VEC)_mm512_mask_mov_ps((__m512)best, none, _mm512_setzero_ps());
            place = _mm512_mask_set1_epi32(place, none, KATA__POOL_NONE);
        }
        const __mmask16 lanes = (__mmask16)(tail ? (1u << t->last) - 1 : 0xffff);
        _mm512_mask_cvtepi32_storeu_epi8(t->index + to, lanes, place);
#else
        IVEC place = {0};
        KATA__UNROLL
        for (int k = 1; k < 4; k++) {
            const IVEC more = window[k] > best;
            best = NAME(select)(more, window[k], best);
            place = (more & k) | (~more & place);
        }
        if (t->relu) {
            const IVEC none = best <= 0;
            best = NAME(select)(none, (VEC){0}, best);
            place |= none & KATA__POOL_NONE;
        }
        for (int i = 0; i < (tail ? t->last : LANES); i++) {
            t->index[to + i] = (uint8_t)place[i];
        }
#endif
    }
    if (tail) {
        NAME(store_first)(t->y + to, best, t->last);
    } else {
        NAME(store)(t->y + to, best);
    }
}

KATA__LOCAL void NAME(conv_tile_body)(const NAME(conv_tile) *t, const int pixels, const int vectors,
                                      const int mode, const bool pool) {
    VEC acc[KATA__CONV_PIXELS][2];
    const REAL *x[KATA__CONV_PIXELS];
    int64_t odd[8];
    const int last = t->last;
    const bool tail = last < LANES;
    if (mode == KATA__CONV_HALVES) {
        x[0] = t->x[0];
        x[1] = t->x[pixels / 2];
        for (int i = 0; i < 8; i++) {
            odd[i] = (2 * i + 1) * t->step;
#if defined(__GNUC__) && !defined(__clang__)
            __asm__("" : "+r"(odd[i])); /* else each pixel gets a pointer, and they spill */
#endif
        }
    } else {
        KATA__UNROLL
        for (int i = 0; i < pixels; i++) {
            x[i] = t->x[i];
        }
    }
    KATA__CONV_EACH_VECTOR {
        const VEC bias = t->bias
                             ? NAME(conv_load)(t->bias + v * LANES, tail && v == vectors - 1, last)
                             : (VEC){0};
        KATA__UNROLL
        for (int i = 0; i < pixels; i++) {
            acc[i][v] = bias;
        }
    }

    const REAL *w = t->weight;
    if (t->offset) {
        const int64_t *offset = t->offset;
        for (int64_t n = t->terms; n > 0; n--, offset++, w += vectors * LANES) {
            const int64_t at = *offset;
            KATA__CONV_TERM(true);
        }
    } else {
        const NAME(conv_segment) *s = t->segments, *const end = s + t->n_segments;
        for (; s < end; s++) {
            int64_t at = s->x;
            const int64_t stop = at + s->length;
            const uint32_t mask = s->mask;
            w = t->weight + s->weight * (vectors * LANES);
            if (mask == (pixels == 32 ? ~0u : (1u << pixels) - 1)) {
                for (; at < stop; at++, w += vectors * LANES) {
                    KATA__CONV_TERM(true);
                }
            } else {
                for (; at < stop; at++, w += vectors * LANES) {
                    KATA__CONV_TERM(mask >> i & 1);
                }
            }
        }
    }

    if (t->residual_at) {
        KATA__UNROLL
        for (int i = 0; i < pixels; i++) {
            if (pool ? i % (pixels / 2) < t->count / 2 : i < t->count) {
                const int64_t at = t->residual_at[i];
                KATA__CONV_EACH_VECTOR {
                    const bool part = tail && v == vectors - 1;
                    VEC value = acc[i][v];
                    if (t->residual) {
                        value += NAME(conv_load)(t->residual + at + v * LANES, part, last);
                    }
                    if (t->relu_mask) {
                        const VEC m = NAME(conv_load)(t->relu_mask + at + v * LANES, part, last);
                        value = t->relu ? NAME(maximum)(value, (VEC){0}) : value;
                        value = NAME(select)(m <= 0, (VEC){0}, value);
                    }
                    acc[i][v] = value;
                }
            }
        }
    }
    if (pool) {
        KATA__UNROLL
        for (int j = 0; j < pixels / 4; j++) {
            if (4 * j < t->count) {
                KATA__CONV_EACH_VECTOR {
                    const VEC window[4] = {acc[2 * j][v], acc[2 * j + 1][v],
                                           acc[pixels / 2 + 2 * j][v],
                                           acc[pixels / 2 + 2 * j + 1][v]};
                    NAME(conv_pool_store)
                    (t, window, j * t->y_step + v * LANES, tail && v == vectors - 1);
                }
            }
        }
        return;
    }
    REAL *y = t->y;
    KATA__UNROLL
    for (int i = 0; i < pixels; i++) {
        if (i < t->count) {
            KATA__CONV_EACH_VECTOR {
                const VEC value = t->relu ? NAME(maximum)(acc[i][v], (VEC){0}) : acc[i][v];
                if (tail && v == vectors - 1) {
                    NAME(store_first)(y + v * LANES, value, last);
                } else {
                    NAME(store)(y + v * LANES, value);
                }
            }
            y += t->y_step;
        }
    }
}

typedef void (*NAME(conv_tile_function))(const NAME(conv_tile) *t);

/* The tiles of one kind, largest first: what is left over is computed by the smallest that holds
 * it, with masks that are empty behind the last pixel. */
#define KATA__CONV_SIZES 5
typedef struct NAME(conv_tiles) {
    int pixels[KATA__CONV_SIZES]; /* ends with 0 */
    NAME(conv_tile_function) function[KATA__CONV_SIZES];
} NAME(conv_tiles);

#if KATA__VECTOR_BYTES == 64
#define KATA__CONV_ANY_2(T, ...)                                                                   \
    T(14, __VA_ARGS__) T(10, __VA_ARGS__) T(6, __VA_ARGS__) T(2, __VA_ARGS__)
#define KATA__CONV_ANY_1(T, ...) T(16, __VA_ARGS__) T(8, __VA_ARGS__) T(2, __VA_ARGS__)
#define KATA__CONV_HALVES_1(T, ...)                                                                \
    T(28, __VA_ARGS__) T(24, __VA_ARGS__) T(16, __VA_ARGS__) T(8, __VA_ARGS__)
#define KATA__CONV_POOL_2(T, ...) T(12, __VA_ARGS__) T(8, __VA_ARGS__) T(4, __VA_ARGS__)
#define KATA__CONV_POOL_1(T, ...)                                                                  \
    T(28, __VA_ARGS__) T(24, __VA_ARGS__) T(16, __VA_ARGS__) T(8, __VA_ARGS__)
#elif KATA__VECTOR_BYTES == 32
#define KATA__CONV_ANY_2(T, ...) T(6, __VA_ARGS__) T(4, __VA_ARGS__) T(2, __VA_ARGS__)
#define KATA__CONV_ANY_1(T, ...) T(8, __VA_ARGS__) T(2, __VA_ARGS__)
#define KATA__CONV_HALVES_1(T, ...) T(12, __VA_ARGS__) T(8, __VA_ARGS__) T(4, __VA_ARGS__)
#define KATA__CONV_POOL_2(T, ...) T(4, __VA_ARGS__)
#define KATA__CONV_POOL_1(T, ...) T(12, __VA_ARGS__) T(8, __VA_ARGS__) T(4, __VA_ARGS__)
#else
#define KATA__CONV_ANY_2(T, ...) T(4, __VA_ARGS__) T(2, __VA_ARGS__)
#define KATA__CONV_ANY_1(T, ...) T(6, __VA_ARGS__) T(2, __VA_ARGS__)
#define KATA__CONV_HALVES_1(T, ...) T(8, __VA_ARGS__) T(4, __VA_ARGS__)
#define KATA__CONV_POOL_2(T, ...) T(4, __VA_ARGS__)
#define KATA__CONV_POOL_1(T, ...) T(8, __VA_ARGS__) T(4, __VA_ARGS__)
#endif

#define KATA__CONV_TILE_NAME(name, pixels) NAME(conv_tile_##name##_##pixels)
#define KATA__CONV_TILE(pixels, name, vectors, mode, pool)                                         \
    static void KATA__CONV_TILE_NAME(name, pixels)(const NAME(conv_tile) *t) {                     \
        NAME(conv_tile_body)(t, pixels, vectors, mode, pool);                                      \
    }
#define KATA__CONV_TILE_PIXELS(pixels, ...) pixels,
#define KATA__CONV_TILE_ENTRY(pixels, name, ...) KATA__CONV_TILE_NAME(name, pixels),
#define KATA__CONV_TILES(list, name, vectors, mode, pool)                                          \
    list(KATA__CONV_TILE, name, vectors, mode, pool) static const NAME(conv_tiles)                 \
        NAME(conv_tiles_##name) = {{list(KATA__CONV_TILE_PIXELS, name, )},                         \
                                   {list(KATA__CONV_TILE_ENTRY, name, )}};

KATA__CONV_TILES(KATA__CONV_ANY_2, any_2, 2, KATA__CONV_ANY, false)
KATA__CONV_TILES(KATA__CONV_ANY_1, any_1, 1, KATA__CONV_ANY, false)
KATA__CONV_TILES(KATA__CONV_HALVES_1, halves_1, 1, KATA__CONV_HALVES, false)
KATA__CONV_TILES(KATA__CONV_ANY_2, depthwise_2, 2, KATA__CONV_DEPTHWISE, false)
KATA__CONV_TILES(KATA__CONV_ANY_1, depthwise_1, 1, KATA__CONV_DEPTHWISE, false)
KATA__CONV_TILES(KATA__CONV_POOL_2, any_pool_2, 2, KATA__CONV_ANY, true)
KATA__CONV_TILES(KATA__CONV_POOL_1, halves_pool_1, 1, KATA__CONV_HALVES, true)
KATA__CONV_TILES(KATA__CONV_POOL_2, depthwise_pool_2, 2, KATA__CONV_DEPTHWISE, true)
KATA__CONV_TILES(KATA__CONV_POOL_1, depthwise_pool_1, 1, KATA__CONV_DEPTHWISE, true)

/* A walk over the tiles of a piece. The taps of column kx lie inside the picture for the output
 * columns low[kx] .. high[kx] - 1. */
typedef struct NAME(conv_walk) {
    const kata__conv *conv;
    const REAL *x; /* the image's first channel of the group */
    bool merge;    /* the taps of a row are neighbours in x */
    bool inside;   /* all runs so far are */
    uint32_t full; /* all pixels of the tile */
    int64_t *low, *high;
    uint32_t *row_mask, *column_mask;
    NAME(conv_segment) *whole, *part;
    int64_t n_whole;
    int64_t *offset;
    int64_t channels; /* in a segment for each tap */
    NAME(conv_tile) tile;
    int64_t residual_at[KATA__CONV_PIXELS];
} NAME(conv_walk);

/* Pixels bit, bit + 1, ... of the tile are `count` neighbours of output row oy from column ox on.
 */
static void NAME(conv_add_run)(NAME(conv_walk) *walk, int bit, int64_t count, int64_t oy,
                               int64_t ox) {
    const kata__conv *g = walk->conv;
    const int64_t y = oy * g->stride_h - g->pad_top, x = ox * g->stride_w - g->pad_left;
    const int64_t step = g->stride_w * g->c;
    const REAL *at = walk->x + (y * g->w + x) * g->c;
    for (int64_t i = 0; i < count; i++) {
        walk->tile.x[bit + i] = at + i * step;
    }
    if (walk->tile.residual_at) {
        for (int64_t i = 0; i < count; i++) {
            walk->residual_at[bit + i] = (oy * g->ow + ox + i) * g->f;
        }
    }
    walk->inside = walk->inside && y >= 0 && y + (g->kh - 1) * g->dilation_h < g->h && x >= 0 &&
                   x + (count - 1) * g->stride_w + (g->kw - 1) * g->dilation_w < g->w;
}

/* As above, the masks of it. */
static void NAME(conv_mask_run)(NAME(conv_walk) *walk, int bit, int64_t count, int64_t oy,
                                int64_t ox) {
    const kata__conv *g = walk->conv;
    const int64_t y = oy * g->stride_h - g->pad_top;
    const uint32_t all = (uint32_t)(((uint64_t)1 << count) - 1) << bit;
    for (int64_t i = 0; i < g->kh; i++) {
        const int64_t row = y + i * g->dilation_h;
        walk->row_mask[i] |= row >= 0 && row < g->h ? all : 0;
    }
    for (int64_t j = 0; j < g->kw; j++) {
        const int64_t low = walk->low[j] > ox ? walk->low[j] - ox : 0;
        const int64_t high = walk->high[j] - ox < count ? walk->high[j] - ox : count;
        if (low < high) {
            walk->column_mask[j] |= (uint32_t)((((uint64_t)1 << (high - low)) - 1) << (bit + low));
        }
    }
}

/* Calls add for the runs of a tile: `count` pixels from column ox of row oy on, or windows. */
static void NAME(conv_runs)(NAME(conv_walk) *walk,
                            void (*add)(NAME(conv_walk) *, int, int64_t, int64_t, int64_t),
                            int64_t count, int64_t width, int64_t oy, int64_t ox, int pixels,
                            bool pool) {
    for (int64_t done = 0; done < count;) {
        const int64_t n = width - ox < count - done ? width - ox : count - done;
        if (pool) {
            add(walk, (int)(2 * done), 2 * n, 2 * oy, 2 * ox);
            add(walk, pixels / 2 + (int)(2 * done), 2 * n, 2 * oy + 1, 2 * ox);
        } else {
            add(walk, (int)done, n, oy, ox);
        }
        done += n;
        ox = 0;
        oy++;
    }
}

/* Segments for a tile that reaches over the border or is not full. */
static void NAME(conv_part_segments)(NAME(conv_walk) *walk) {
    const kata__conv *g = walk->conv;
    NAME(conv_segment) *s = walk->part;
    const int64_t channels = walk->channels;
    for (int64_t i = 0; i < g->kh; i++) {
        const int64_t row = i * g->dilation_h * g->w * g->c;
        uint32_t last = 0;
        for (int64_t j = 0; j < g->kw; j++) {
            const uint32_t mask = walk->row_mask[i] & walk->column_mask[j];
            if (mask != 0 && mask == last && walk->merge) {
                s[-1].length += (int32_t)channels;
            } else if (mask != 0) {
                *s++ = (NAME(conv_segment)){.x = row + j * g->dilation_w * g->c,
                                            .weight = (i * g->kw + j) * channels,
                                            .length = (int32_t)channels,
                                            .mask = mask};
            }
            last = mask;
        }
    }
    walk->tile.segments = walk->part;
    walk->tile.n_segments = s - walk->part;
    walk->tile.offset = NULL;
}

/* What does not depend on the tile: limits of the columns, segments or offsets of a tile inside. */
static void NAME(conv_walk_begin)(NAME(conv_walk) *walk, bool depthwise, int64_t *scratch) {
    const kata__conv *g = walk->conv;
    const int64_t taps = g->kh * g->kw;
    walk->channels = depthwise ? 1 : g->c / g->groups;
    walk->merge = !depthwise && g->groups == 1 && g->dilation_w == 1;
    walk->low = scratch;
    walk->high = walk->low + g->kw;
    walk->row_mask = (uint32_t *)(walk->high + g->kw);
    walk->column_mask = walk->row_mask + g->kh;
    walk->whole = (NAME(conv_segment) *)(walk->high + g->kw + g->kh + g->kw);
    walk->part = walk->whole + taps;
    int64_t *offset = (int64_t *)(walk->part + taps);
    for (int64_t j = 0; j < g->kw; j++) {
        const int64_t x = j * g->dilation_w - g->pad_left; /* of output column 0 */
        walk->low[j] = x >= 0 ? 0 : (-x + g->stride_w - 1) / g->stride_w;
        walk->high[j] = x >= g->w ? 0 : (g->w - 1 - x) / g->stride_w + 1;
    }
    const int64_t run = walk->merge ? g->kw * walk->channels : walk->channels;
    walk->offset = NULL;
    if (run < KATA__CONV_SHORT_RUN) {
        walk->offset = offset;
        for (int64_t t = 0; t < taps; t++) {
            const int64_t at =
                (t / g->kw * g->dilation_h * g->w + t % g->kw * g->dilation_w) * g->c;
            for (int64_t c = 0; c < walk->channels; c++) {
                *offset++ = at + c;
            }
        }
    }
    NAME(conv_segment) *s = walk->whole;
    for (int64_t i = 0; i < g->kh; i++) {
        for (int64_t j = 0; j < (walk->merge ? 1 : g->kw); j++) {
            *s++ = (NAME(conv_segment)){
                .x = (i * g->dilation_h * g->w + j * g->dilation_w) * g->c,
                .weight = (i * g->kw + j) * walk->channels,
                .length = (int32_t)run,
            };
        }
    }
    walk->n_whole = s - walk->whole;
    walk->tile.terms = taps * walk->channels;
    walk->tile.step = g->stride_w * g->c;
}

static void NAME(conv_last_rows)(const kata__conv_last_piece *piece, const bool depthwise) {
    const kata__conv *g = piece->conv;
    const kata__conv_store *store = piece->store;
    const int64_t groups = depthwise ? 1 : g->groups, fg = g->f / groups, cg = g->c / groups;
    const int64_t panel_channels = 2 * LANES, panels = (fg + panel_channels - 1) / panel_channels;
    const int64_t rounded = (fg + LANES - 1) / LANES * LANES;
    const bool pool = store->pool;
    const int64_t width = pool ? g->ow / 2 : g->ow;
    NAME(conv_walk) walk = {.conv = g};
    NAME(conv_tile) *t = &walk.tile;
    NAME(conv_walk_begin)(&walk, depthwise, piece->scratch);
    t->y_step = g->f;
    t->relu = store->relu;
    if (store->residual || store->mask) {
        t->residual_at = walk.residual_at;
    }

    for (int64_t p = piece->first_panel; p < piece->last_panel; p++) {
        const int64_t group = p / panels, in_group = p % panels * panel_channels;
        const int64_t channels = fg - in_group < panel_channels ? fg - in_group : panel_channels;
        const int64_t f = group * fg + in_group;
        const int vectors = channels > LANES ? 2 : 1;
        walk.x = piece->x + (depthwise ? f : group * cg);
        t->weight = piece->weight + t->terms * (group * rounded + in_group);
        t->last = (int)channels - (vectors - 1) * LANES;
        t->bias = store->bias ? store->bias + f : NULL;
        t->residual = piece->residual ? piece->residual + f : NULL;
        t->relu_mask = piece->mask ? piece->mask + f : NULL;

        /* Halves want their pixels in a row, or rows that follow each other without a gap. */
        const bool gapless = !pool && g->stride_h * g->w == g->stride_w * g->ow;
        bool in_row = false;
        const NAME(conv_tiles) *tiles;
        if (depthwise) {
            tiles =
                vectors == 2
                    ? (pool ? &NAME(conv_tiles_depthwise_pool_2) : &NAME(conv_tiles_depthwise_2))
                    : (pool ? &NAME(conv_tiles_depthwise_pool_1) : &NAME(conv_tiles_depthwise_1));
        } else if (vectors == 2) {
            tiles = pool ? &NAME(conv_tiles_any_pool_2) : &NAME(conv_tiles_any_2);
        } else if (pool || gapless || width >= KATA__CONV_PIXELS / 4) {
            tiles = pool ? &NAME(conv_tiles_halves_pool_1) : &NAME(conv_tiles_halves_1);
            in_row = !gapless;
        } else {
            tiles = &NAME(conv_tiles_any_1);
        }
        const int64_t most = pool ? tiles->pixels[0] / 4 : tiles->pixels[0];
        const int64_t parts = (width + most - 1) / most, share = (width + parts - 1) / parts;

        int64_t oy = piece->first_row, ox = 0, left = (piece->last_row - oy) * width;
        while (left > 0) {
            int64_t count = left < most ? left : most;
            if (in_row) {
                count = width - ox < share ? width - ox : share;
            }
            const int64_t wanted = pool ? 4 * count : count;
            int size = 0;
            while (tiles->pixels[size + 1] >= wanted) {
                size++;
            }
            const int pixels = tiles->pixels[size];
            walk.full = (uint32_t)(((uint64_t)1 << pixels) - 1);
            walk.inside = pixels == wanted;
            NAME(conv_runs)
            (&walk, NAME(conv_add_run), count, width, oy, ox, pixels, pool);
            if (walk.inside) {
                t->offset = walk.offset;
                t->segments = walk.whole;
                t->n_segments = walk.n_whole;
                for (int64_t s = 0; s < walk.n_whole; s++) {
                    walk.whole[s].mask = walk.full;
                }
            } else {
                memset(walk.row_mask, 0, (size_t)(g->kh + g->kw) * sizeof(uint32_t));
                NAME(conv_runs)
                (&walk, NAME(conv_mask_run), count, width, oy, ox, pixels, pool);
                NAME(conv_part_segments)(&walk);
            }
            t->count = (int)wanted;
            t->y = piece->y + (oy * width + ox) * g->f + f;
            t->index = piece->index ? piece->index + (oy * width + ox) * g->f + f : NULL;
            tiles->function[size](t);
            left -= count;
            ox += count;
            while (ox >= width) {
                ox -= width;
                oy++;
            }
        }
    }
}

static void NAME(conv_last_piece)(const kata__conv_last_piece *piece) {
    NAME(conv_last_rows)(piece, false);
}

static void NAME(conv_last_depthwise)(const kata__conv_last_piece *piece) {
    NAME(conv_last_rows)(piece, true);
}

static const kata__conv_last_table NAME(kata__conv_last) = {
    .lanes = LANES,
    .panel = 2 * LANES,
    .piece = NAME(conv_last_piece),
    .depthwise = NAME(conv_last_depthwise),
};
