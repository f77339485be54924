/* The gradient of an NHWC convolution by its weight. Float32 only.
 *
 * dw is a product over the pixels: (taps and input channels; pixels) (pixels; output channels). A
 * tile keeps a few rows of it by one to four vectors in registers. Its rows are numbers that lie
 * together in x (channels of a pixel, or of neighbouring pixels where the taps of a row are taken
 * together) and are broadcast; its vectors are those of dy: neighbouring vectors of output
 * channels, and the same vector at the pixels that other taps ky pair with the same x. */

/* A tile takes `taps` neighbouring ky by `each` vectors of output channels. The most rows that it
 * then has, [taps][each]: the accumulators, the vectors and a broadcast fit the registers (32 with
 * AVX-512, else 16; without FMA one more holds the product). */
#define KATA__WEIGHT_TAPS 3
#if KATA__VECTOR_BYTES == 64
#define KATA__WEIGHT_EACH 4
#define KATA__WEIGHT_ROWS 14
static const int kata__weight_rows[4][5] = {{0}, {0, 14, 14, 0, 6}, {0, 14, 6}, {0, 9}};
#elif KATA__VECTOR_BYTES == 32
#define KATA__WEIGHT_EACH 2
#define KATA__WEIGHT_ROWS 10
static const int kata__weight_rows[4][3] = {{0}, {0, 10, 6}, {0, 6}, {0, 4}};
#else
#define KATA__WEIGHT_EACH 2
#define KATA__WEIGHT_ROWS 8
static const int kata__weight_rows[4][3] = {{0}, {0, 8, 4}, {0, 4}, {0, 3}};
#endif

enum {
    KATA__WEIGHT_FEW = 6, /* rows for which four vectors are better */
    KATA__WEIGHT_STRETCHES = 2 * KATA__WEIGHT_TAPS - 1,
    KATA__WEIGHT_LINE = 16 /* numbers in a cache line */
};

/* One tile. Its rows of pixels come in stretches: one at which only the first tap has a row of dy,
 * then the first two, ..., all, ..., only the last; rows[s] of them. Pixels lie x_pixel apart, rows
 * x_row, images x_image, and from a row's last pixel on to the next row it is x_gap; dy likewise.
 * Vector v of tap k is v LANES - k dy_tap behind the first of dy, its sums are at sum + k sum_tap +
 * v LANES, rows ld apart.
 *
 * With each pixel a cache line is fetched that the next band reads: at `ahead`, then ahead_step
 * further on. */
typedef struct kata__weight_tile {
    int64_t pixels, rows[KATA__WEIGHT_STRETCHES], images;
    const float *x;
    int64_t x_pixel, x_row, x_gap, x_image;
    const float *dy;
    int64_t dy_pixel, dy_row, dy_gap, dy_image, dy_tap;
    float *sum;
    int64_t sum_tap, ld;
    const float *ahead;
    int64_t ahead_step;
} kata__weight_tile;

/* Keeps a vector that several products use in a register; the compiler would read it from memory
 * for each of them. */
#if defined(__x86_64__) && KATA__VECTOR_BYTES == 64
#define KATA__WEIGHT_KEEP(vector) __asm__("" : "+v"(vector))
#elif defined(__x86_64__)
#define KATA__WEIGHT_KEEP(vector) __asm__("" : "+x"(vector))
#else
#define KATA__WEIGHT_KEEP(vector) (void)0
#endif

/* Keeps the compiler from computing where a pointer will be at the end of a row, and from keeping
 * what is read through it: with too few registers it would keep such numbers in vector registers,
 * and the next row's addresses would wait for the multiply-adds. */
#define KATA__WEIGHT_HIDE(pointer) __asm__("" : "+r"(pointer))

/* A pixel: acc[set][i][v] += x[i] dy_v for the vectors first <= v < last. */
#define KATA__WEIGHT_PIXEL(set)                                                                    \
    do {                                                                                           \
        VEC d[KATA__WEIGHT_VECTORS];                                                               \
        KATA__UNROLL                                                                               \
        for (int v = first; v < last; v++) {                                                       \
            d[v] = NAME(load)(dy + step[v]);                                                       \
            KATA__WEIGHT_KEEP(d[v]);                                                               \
        }                                                                                          \
        __builtin_prefetch(ahead, 0, 2);                                                           \
        KATA__UNROLL                                                                               \
        for (int i = 0; i < rows; i++) {                                                           \
            const VEC a = NAME(splat)(x[i]);                                                       \
            KATA__UNROLL                                                                           \
            for (int v = first; v < last; v++) {                                                   \
                acc[set][i][v] += a * d[v];                                                        \
            }                                                                                      \
        }                                                                                          \
        ahead += ahead_step;                                                                       \
        x += x_pixel;                                                                              \
        dy += dy_pixel;                                                                            \
        KATA__WEIGHT_HIDE(x);                                                                      \
        KATA__WEIGHT_HIDE(dy);                                                                     \
        KATA__WEIGHT_HIDE(ahead);                                                                  \
    } while (0)

#define KATA__WEIGHT_VECTORS 4 /* taps * each is never more */

KATA__LOCAL void kata__weight_tile_body(const kata__weight_tile *t, const int rows, const int taps,
                                        const int each) {
    /* So few sums that the next pixel would wait for them are kept twice. */
    const bool twice = rows * taps * each <= 10;
    const int vectors = taps * each;
    VEC acc[2][KATA__WEIGHT_ROWS][KATA__WEIGHT_VECTORS];
    int64_t step[KATA__WEIGHT_VECTORS];
    const int64_t x_pixel = t->x_pixel, dy_pixel = t->dy_pixel;
    const int64_t ahead_step = t->ahead_step;
    KATA__UNROLL
    for (int v = 0; v < vectors; v++) {
        step[v] = v == 0 ? 0 : v % each * LANES - v / each * t->dy_tap;
        KATA__UNROLL
        for (int i = 0; i < rows; i++) {
            acc[0][i][v] = (VEC){0};
            acc[1][i][v] = (VEC){0};
        }
    }
    const float *x = t->x, *dy = t->dy, *ahead = t->ahead;
    KATA__UNROLL
    for (int s = 0; s < 2 * taps - 1; s++) {
        const int first = (s < taps ? 0 : s - taps + 1) * each;
        const int last = (s < taps ? s + 1 : taps) * each;
        if (t->rows[s] == 0) {
            continue;
        }
        for (int64_t image = t->images; image > 0; image--) {
            for (int64_t row = t->rows[s]; row > 0; row--) {
                int64_t p = t->pixels;
                if (twice) {
                    for (; p >= 2; p -= 2) {
                        KATA__WEIGHT_PIXEL(0);
                        KATA__WEIGHT_PIXEL(1);
                    }
                }
                for (; p > 0; p--) {
                    KATA__WEIGHT_PIXEL(0);
                }
                KATA__WEIGHT_HIDE(t);
                x += t->x_gap;
                dy += t->dy_gap;
            }
            x += t->x_image - t->rows[s] * t->x_row;
            dy += t->dy_image - t->rows[s] * t->dy_row;
        }
        x += t->rows[s] * t->x_row - t->images * t->x_image;
        dy += t->rows[s] * t->dy_row - t->images * t->dy_image;
    }
    const int64_t ld = t->ld, sum_tap = t->sum_tap;
    float *sum = t->sum;
    KATA__UNROLL
    for (int i = 0; i < rows; i++, sum += ld) {
        KATA__UNROLL
        for (int v = 0; v < vectors; v++) {
            float *to = sum + v / each * sum_tap + v % each * LANES;
            const VEC got = twice ? acc[0][i][v] + acc[1][i][v] : acc[0][i][v];
            NAME(store)(to, NAME(load)(to) + got);
        }
    }
}

#define KATA__WEIGHT_FUNCTION(rows, taps, each)                                                    \
    static void kata__weight_tile_##rows##_##taps##_##each(const kata__weight_tile *t) {           \
        kata__weight_tile_body(t, rows, taps, each);                                               \
    }
/* F(rows, taps, each) for all tiles. */
#define KATA__WEIGHT_SMALL(F)                                                                      \
    F(1, 1, 1)                                                                                     \
    F(2, 1, 1)                                                                                     \
    F(3, 1, 1)                                                                                     \
    F(4, 1, 1)                                                                                     \
    F(5, 1, 1)                                                                                     \
    F(6, 1, 1)                                                                                     \
    F(7, 1, 1)                                                                                     \
    F(8, 1, 1)                                                                                     \
    F(1, 1, 2)                                                                                     \
    F(2, 1, 2)                                                                                     \
    F(3, 1, 2)                                                                                     \
    F(4, 1, 2)                                                                                     \
    F(1, 2, 1)                                                                                     \
    F(2, 2, 1)                                                                                     \
    F(3, 2, 1)                                                                                     \
    F(4, 2, 1)                                                                                     \
    F(1, 3, 1)                                                                                     \
    F(2, 3, 1)                                                                                     \
    F(3, 3, 1)
#define KATA__WEIGHT_MEDIUM(F)                                                                     \
    F(9, 1, 1)                                                                                     \
    F(10, 1, 1)                                                                                    \
    F(5, 1, 2)                                                                                     \
    F(6, 1, 2)                                                                                     \
    F(5, 2, 1)                                                                                     \
    F(6, 2, 1)                                                                                     \
    F(4, 3, 1)
#define KATA__WEIGHT_LARGE(F)                                                                      \
    F(11, 1, 1)                                                                                    \
    F(12, 1, 1)                                                                                    \
    F(13, 1, 1)                                                                                    \
    F(14, 1, 1)                                                                                    \
    F(7, 1, 2)                                                                                     \
    F(8, 1, 2)                                                                                     \
    F(9, 1, 2)                                                                                     \
    F(10, 1, 2)                                                                                    \
    F(11, 1, 2)                                                                                    \
    F(12, 1, 2)                                                                                    \
    F(13, 1, 2)                                                                                    \
    F(14, 1, 2)                                                                                    \
    F(1, 1, 4)                                                                                     \
    F(2, 1, 4)                                                                                     \
    F(3, 1, 4)                                                                                     \
    F(4, 1, 4)                                                                                     \
    F(5, 1, 4)                                                                                     \
    F(6, 1, 4)                                                                                     \
    F(7, 2, 1)                                                                                     \
    F(8, 2, 1)                                                                                     \
    F(9, 2, 1)                                                                                     \
    F(10, 2, 1)                                                                                    \
    F(11, 2, 1)                                                                                    \
    F(12, 2, 1)                                                                                    \
    F(13, 2, 1)                                                                                    \
    F(14, 2, 1)                                                                                    \
    F(1, 2, 2)                                                                                     \
    F(2, 2, 2)                                                                                     \
    F(3, 2, 2)                                                                                     \
    F(4, 2, 2)                                                                                     \
    F(5, 2, 2)                                                                                     \
    F(6, 2, 2)                                                                                     \
    F(5, 3, 1)                                                                                     \
    F(6, 3, 1)                                                                                     \
    F(7, 3, 1)                                                                                     \
    F(8, 3, 1)                                                                                     \
    F(9, 3, 1)
#if KATA__VECTOR_BYTES == 64
#define KATA__WEIGHT_ALL(F) KATA__WEIGHT_SMALL(F) KATA__WEIGHT_MEDIUM(F) KATA__WEIGHT_LARGE(F)
#elif KATA__VECTOR_BYTES == 32
#define KATA__WEIGHT_ALL(F) KATA__WEIGHT_SMALL(F) KATA__WEIGHT_MEDIUM(F)
#else
#define KATA__WEIGHT_ALL(F) KATA__WEIGHT_SMALL(F)
#endif
KATA__WEIGHT_ALL(KATA__WEIGHT_FUNCTION)

typedef void (*kata__weight_tile_function)(const kata__weight_tile *t);
#define KATA__WEIGHT_ENTRY(rows, taps, each)                                                       \
    [taps][each][rows] = kata__weight_tile_##rows##_##taps##_##each,
static const kata__weight_tile_function
    kata__weight_tile_functions[KATA__WEIGHT_TAPS + 1][KATA__WEIGHT_EACH + 1]
                               [KATA__WEIGHT_ROWS + 1] = {KATA__WEIGHT_ALL(KATA__WEIGHT_ENTRY)};

/* ---- from a band to tiles ---- */

static int64_t kata__weight_tap_rows(const kata__conv *g, int64_t run, int64_t vectors) {
    if (g->stride_h != 1) {
        return 1;
    }
    if (vectors > 1 && run <= KATA__WEIGHT_FEW && KATA__WEIGHT_EACH >= 4) {
        return vectors <= 2 && g->kh > 1 ? 2 : 1;
    }
    return g->kh < KATA__WEIGHT_TAPS ? g->kh : KATA__WEIGHT_TAPS;
}

/* How many of the `left` vectors of output channels the next tile takes. */
static int kata__weight_vectors(int64_t tap_rows, int64_t run, int64_t left) {
    if (tap_rows > 1) {
        return tap_rows == 2 && run <= KATA__WEIGHT_FEW && left > 1 && KATA__WEIGHT_EACH >= 4 ? 2
                                                                                              : 1;
    }
    return left >= 4 && run <= KATA__WEIGHT_FEW && KATA__WEIGHT_EACH >= 4 ? 4 : left > 1 ? 2 : 1;
}

/* Where the next `lines` cache lines that the next band reads begin, in steps of *step; any place
 * again and again if there is no more to be fetched. */
static const float *kata__weight_fetch(kata__conv_weight_band *b, int64_t lines, int64_t *step) {
    for (int i = 0; i < 2; i++) {
        kata__conv_weight_ahead *a = &b->ahead[i];
        if (a->lines > 0) {
            const float *at = a->at;
            *step = KATA__WEIGHT_LINE;
            a->lines -= lines;
            a->at += lines * KATA__WEIGHT_LINE;
            return at;
        }
    }
    *step = 0;
    return b->sum;
}

/* Which vectors and taps some tiles are for: ky .. ky + taps - 1, of which `each` vectors from
 * `vector` on; the first row of x, the row of dy that the first tap pairs with it (it may lie
 * outside if the tap has none there), and how many rows each stretch has. */
typedef struct kata__weight_rows_of_taps {
    int64_t ky;
    int taps;
    int64_t vector;
    int each;
    int64_t x_row, dy_row;
    int64_t rows[KATA__WEIGHT_STRETCHES];
} kata__weight_rows_of_taps;

static void kata__weight_tiles(kata__conv_weight_band *b, const kata__weight_rows_of_taps *r) {
    const kata__conv *g = b->g;
    const int most = kata__weight_rows[r->taps][r->each];
    const int64_t tiles = (b->run + most - 1) / most;
    const int64_t columns = b->columns_merged ? 1 : g->kw;
    int64_t rows = 0;
    for (int s = 0; s < KATA__WEIGHT_STRETCHES; s++) {
        rows += r->rows[s];
    }
    const float *x_first = b->x + (r->x_row - b->x_top) * b->x_row;
    const float *dy_first = b->dy + (r->dy_row - b->dy_top) * b->dy_row + r->vector * LANES;
    kata__weight_tile t = {.x_pixel = g->stride_w * b->x_pixel,
                           .dy_pixel = b->dy_pixel,
                           .dy_tap = g->dilation_h * b->dy_row,
                           .sum_tap = g->kw * b->tap_step,
                           .ld = b->ld};
    for (int64_t kx = 0; kx < columns; kx++) {
        const int64_t offset = kx * g->dilation_w - g->pad_left;
        int64_t first = 0, last = g->ow, column = 0;
        if (!b->columns_merged) {
            kata__conv_inside(offset, g->stride_w, g->w, g->ow, &first, &last);
            column = first * g->stride_w + offset;
        }
        if (first >= last) {
            continue;
        }
        t.pixels = last - first;
        memcpy(t.rows, r->rows, sizeof t.rows);
        t.images = b->images;
        t.x_row = g->stride_h * b->x_row;
        t.x_image = b->x_image;
        t.dy_row = b->dy_row;
        t.dy_image = b->dy_image;
        int64_t n_rows = rows;
        if (r->taps == 1 &&
            (rows == 1 || (t.pixels * t.x_pixel == t.x_row && t.pixels * t.dy_pixel == t.dy_row))) {
            /* One row, or rows without a gap. */
            t.x_row = t.x_image;
            t.dy_row = t.dy_image;
            t.pixels *= rows;
            n_rows = t.rows[0] = t.images;
            t.images = 1;
        }
        t.x_gap = t.x_row - t.pixels * t.x_pixel;
        t.dy_gap = t.dy_row - t.pixels * t.dy_pixel;
        t.dy = dy_first + first * b->dy_pixel;
        for (int64_t tile = 0; tile < tiles; tile++) {
            const int64_t c = b->run * tile / tiles;
            t.x = x_first + column * b->x_pixel + c;
            t.sum = b->sum + (r->ky * g->kw + kx) * b->tap_step + c * b->ld + r->vector * LANES;
            t.ahead = kata__weight_fetch(b, t.pixels * n_rows * t.images, &t.ahead_step);
            kata__weight_tile_functions[r->taps][r->each][b->run * (tile + 1) / tiles - c](&t);
        }
    }
}

/* Taps that each go alone. */
static void kata__weight_single_taps(kata__conv_weight_band *b, int64_t vector, int each) {
    const kata__conv *g = b->g;
    for (int64_t ky = 0; ky < g->kh; ky++) {
        const int64_t offset = ky * g->dilation_h - g->pad_top;
        int64_t first, last;
        kata__conv_inside(offset, g->stride_h, g->h, g->oh, &first, &last);
        first = kata__maximum(first, b->first);
        last = kata__minimum(last, b->last);
        if (first < last) {
            const kata__weight_rows_of_taps r = {.ky = ky,
                                                 .taps = 1,
                                                 .vector = vector,
                                                 .each = each,
                                                 .x_row = first * g->stride_h + offset,
                                                 .dy_row = first,
                                                 .rows = {last - first}};
            kata__weight_tiles(b, &r);
        }
    }
}

/* The taps k0 .. k1 - 1: row u of the padded x meets row u - ky dilation of dy. Which of the taps
 * have such a row changes only where one of them begins or ends; where that is not the order of a
 * tile's stretches, a stretch gets tiles of its own. */
static void kata__weight_group(kata__conv_weight_band *b, int64_t vector, int each, int64_t k0,
                               int64_t k1) {
    const kata__conv *g = b->g;
    const int taps = (int)(k1 - k0);
    const int64_t end = kata__minimum(b->last, g->pad_top + g->h);
    kata__weight_rows_of_taps all = {.ky = k0, .taps = taps, .vector = vector, .each = each};
    int stretch = -1; /* the last one of `all`, -1: none */
    for (int64_t u = kata__maximum(b->first, g->pad_top), next; u < end; u = next) {
        int64_t first = k1, last = k0;
        next = end;
        for (int64_t ky = k0; ky < k1; ky++) {
            const int64_t from = ky * g->dilation_h, to = from + g->oh;
            if (from > u) {
                next = kata__minimum(next, from);
            } else if (to > u) {
                next = kata__minimum(next, to);
                first = kata__minimum(first, ky);
                last = ky + 1;
            }
        }
        const int this = first == k0 ? (int)(last - k0) - 1 : (int)(first - k0) + taps - 1;
        const bool fits = first < last && (first == k0 || last == k1);
        if (stretch >= 0 && (!fits || this <= stretch)) {
            kata__weight_tiles(b, &all);
            memset(all.rows, 0, sizeof all.rows);
            stretch = -1;
        }
        if (fits) {
            if (stretch < 0) {
                all.x_row = u - g->pad_top;
                all.dy_row = u - k0 * g->dilation_h;
            }
            all.rows[this] = next - u;
            stretch = this;
        } else if (first < last) {
            kata__weight_rows_of_taps own = {.ky = first,
                                             .taps = (int)(last - first),
                                             .vector = vector,
                                             .each = each,
                                             .x_row = u - g->pad_top,
                                             .dy_row = u - first * g->dilation_h};
            own.rows[last - first - 1] = next - u;
            kata__weight_tiles(b, &own);
        }
    }
    if (stretch >= 0) {
        kata__weight_tiles(b, &all);
    }
}

static void kata__weight_band(kata__conv_weight_band *b) {
    const int64_t kh = b->g->kh, groups = (kh + b->tap_rows - 1) / b->tap_rows;
    for (int64_t vector = 0; vector < b->vectors;) {
        const int each = kata__weight_vectors(b->tap_rows, b->run, b->vectors - vector);
        if (b->tap_rows == 1) {
            kata__weight_single_taps(b, vector, each);
        } else {
            for (int64_t group = 0; group < groups; group++) {
                kata__weight_group(b, vector, each, kh * group / groups, kh * (group + 1) / groups);
            }
        }
        vector += each;
    }
}

/* ---- depth-wise ---- */

/* A rectangle of output pixels at which the same taps fall inside. */
typedef struct kata__weight_area {
    int64_t ky, kx; /* the first tap of the tile */
    int64_t y, rows, x, columns;
    bool bias; /* to be added too */
} kata__weight_area;

/* Channels [c, c + LANES) of the band, or fewer if tail. */
KATA__LOCAL void kata__weight_depthwise_body(kata__conv_weight_band *b,
                                             const kata__weight_area *area, int64_t c,
                                             const int n_ky, const int n_kx, const bool tail) {
    const kata__conv *g = b->g;
    const int count = (int)(b->run - c);
    /* As many lines are fetched for the next band as are read. */
    const int lines = g->stride_h * g->stride_w > 1 ? 5 : 2;
    int64_t ahead_step;
    const float *ahead =
        kata__weight_fetch(b, lines * area->columns * area->rows * b->images, &ahead_step);
    const int64_t tap_row = g->dilation_h * b->x_row, tap_column = g->dilation_w * b->x_pixel;
    const int64_t x_step = g->stride_w * b->x_pixel, dy_step = b->dy_pixel;
    const int64_t row = area->y * g->stride_h + area->ky * g->dilation_h - g->pad_top - b->x_top;
    const int64_t column = area->x * g->stride_w + area->kx * g->dilation_w - g->pad_left;
    const float *x_first = b->x + row * b->x_row + column * b->x_pixel + c;
    const float *dy_first = b->dy + (area->y - b->dy_top) * b->dy_row + area->x * b->dy_pixel + c;
    VEC acc[3][5], bias = {0};
    KATA__UNROLL
    for (int i = 0; i < n_ky; i++) {
        KATA__UNROLL
        for (int j = 0; j < n_kx; j++) {
            acc[i][j] = (VEC){0};
        }
    }
    for (int64_t image = 0; image < b->images; image++) {
        for (int64_t y = 0; y < area->rows; y++) {
            const float *dy = dy_first + image * b->dy_image + y * b->dy_row;
            const float *x = x_first + image * b->x_image + y * g->stride_h * b->x_row;
            for (int64_t p = area->columns; p > 0; p--, x += x_step, dy += dy_step) {
                const VEC d = tail ? NAME(load_first)(dy, count) : NAME(load)(dy);
                bias += d;
                __builtin_prefetch(ahead, 0, 2);
                __builtin_prefetch(ahead + ahead_step, 0, 2);
                if (lines == 5) {
                    __builtin_prefetch(ahead + 2 * ahead_step, 0, 2);
                    __builtin_prefetch(ahead + 3 * ahead_step, 0, 2);
                    __builtin_prefetch(ahead + 4 * ahead_step, 0, 2);
                }
                ahead += lines * ahead_step;
                KATA__UNROLL
                for (int i = 0; i < n_ky; i++) {
                    KATA__UNROLL
                    for (int j = 0; j < n_kx; j++) {
                        const float *at = x + i * tap_row + j * tap_column;
                        acc[i][j] += d * (tail ? NAME(load_first)(at, count) : NAME(load)(at));
                    }
                }
            }
        }
    }
    if (area->bias) {
        NAME(store)(b->bias + c, NAME(load)(b->bias + c) + bias);
    }
    float *sum = b->sum + (area->ky * g->kw + area->kx) * b->tap_step + c;
    KATA__UNROLL
    for (int i = 0; i < n_ky; i++) {
        KATA__UNROLL
        for (int j = 0; j < n_kx; j++) {
            float *to = sum + (i * g->kw + j) * b->tap_step;
            NAME(store)(to, NAME(load)(to) + acc[i][j]);
        }
    }
}

#define KATA__DEPTHWISE_FUNCTION(n_ky, n_kx)                                                       \
    static void kata__weight_depthwise_##n_ky##_##n_kx(kata__conv_weight_band *b,                  \
                                                       kata__weight_area *area, int64_t c) {       \
        if (b->run - c >= LANES) {                                                                 \
            kata__weight_depthwise_body(b, area, c, n_ky, n_kx, false);                            \
        } else {                                                                                   \
            kata__weight_depthwise_body(b, area, c, n_ky, n_kx, true);                             \
        }                                                                                          \
        area->bias = false;                                                                        \
    }
KATA__DEPTHWISE_FUNCTION(0, 0)
KATA__DEPTHWISE_FUNCTION(1, 1)
KATA__DEPTHWISE_FUNCTION(1, 2)
KATA__DEPTHWISE_FUNCTION(1, 3)
KATA__DEPTHWISE_FUNCTION(1, 5)
KATA__DEPTHWISE_FUNCTION(2, 2)
KATA__DEPTHWISE_FUNCTION(2, 3)
KATA__DEPTHWISE_FUNCTION(3, 2)
KATA__DEPTHWISE_FUNCTION(3, 3)

/* The taps [y0,y1) x [x0,x1) of an area. */
static void kata__weight_depthwise_taps(kata__conv_weight_band *b, kata__weight_area *area,
                                        int64_t c, int64_t y0, int64_t y1, int64_t x0, int64_t x1) {
    area->ky = y0;
    area->kx = x0;
    const int64_t n_ky = y1 - y0, n_kx = x1 - x0;
    if (n_ky == 3 && n_kx == 3) {
        kata__weight_depthwise_3_3(b, area, c);
        return;
    }
    if (n_ky == 3 && n_kx == 2) {
        kata__weight_depthwise_3_2(b, area, c);
        return;
    }
    if (n_ky == 2 && n_kx == 3) {
        kata__weight_depthwise_2_3(b, area, c);
        return;
    }
    if (n_ky == 2 && n_kx == 2) {
        kata__weight_depthwise_2_2(b, area, c);
        return;
    }
    for (; area->ky < y1; area->ky++) {
        for (area->kx = x0; area->kx < x1;) {
            const int64_t left = x1 - area->kx;
            if (left >= 5) {
                kata__weight_depthwise_1_5(b, area, c);
                area->kx += 5;
            } else if (left >= 3) {
                kata__weight_depthwise_1_3(b, area, c);
                area->kx += 3;
            } else if (left == 2) {
                kata__weight_depthwise_1_2(b, area, c);
                area->kx += 2;
            } else {
                kata__weight_depthwise_1_1(b, area, c);
                area->kx++;
            }
        }
    }
}

/* From place `at` on, the taps [*k0,*k1) fall inside, up to the place that is returned. */
static int64_t kata__weight_stretch(int64_t at, int64_t end, int64_t taps, int64_t dilation,
                                    int64_t pad, int64_t stride, int64_t size, int64_t count,
                                    int64_t *k0, int64_t *k1) {
    int64_t next = end;
    *k0 = taps;
    *k1 = 0;
    for (int64_t k = 0; k < taps; k++) {
        int64_t first, last;
        kata__conv_inside(k * dilation - pad, stride, size, count, &first, &last);
        if (first >= last || last <= at) {
            continue;
        }
        if (first > at) {
            next = kata__minimum(next, first);
        } else {
            next = kata__minimum(next, last);
            *k0 = kata__minimum(*k0, k);
            *k1 = k + 1;
        }
    }
    return next;
}

static void kata__weight_depthwise(kata__conv_weight_band *b) {
    const kata__conv *g = b->g;
    for (int64_t y = b->first, next_y; y < b->last; y = next_y) {
        int64_t y0, y1;
        next_y = kata__weight_stretch(y, b->last, g->kh, g->dilation_h, g->pad_top, g->stride_h,
                                      g->h, g->oh, &y0, &y1);
        for (int64_t c = 0; c < b->run; c += LANES) {
            for (int64_t x = 0, next_x; x < g->ow; x = next_x) {
                int64_t x0, x1;
                next_x = kata__weight_stretch(x, g->ow, g->kw, g->dilation_w, g->pad_left,
                                              g->stride_w, g->w, g->ow, &x0, &x1);
                kata__weight_area area = {
                    .y = y, .rows = next_y - y, .x = x, .columns = next_x - x, .bias = b->bias};
                if (y0 < y1 && x0 < x1) {
                    kata__weight_depthwise_taps(b, &area, c, y0, y1, x0, x1);
                } else if (b->bias) {
                    kata__weight_depthwise_0_0(b, &area, c);
                }
            }
        }
    }
}

/* ---- one input channel, pooled output ---- */

#if KATA__VECTOR_BYTES == 64
/* A lane of dy belongs to one of the four pixels of its window, so of the 2x2 pixels that a tap
 * sees in x only one counts for it. The two rows that the taps of a row see fill one vector (8
 * columns each: kw + 1 are needed); a permutation by index, moved on by kx, gives each lane its
 * pixel. So a pooled pixel costs kh kw permutations and multiply-adds instead of 4 kh kw
 * multiply-adds. */
KATA__LOCAL void kata__weight_pooled_body(const kata__conv_weight_pooled *w, const int k) {
    const kata__conv *g = w->g;
    const int64_t width = g->ow / 2, rows = 2 * (w->last - w->first) + k - 2;
    const int64_t columns = g->ow + 32; /* of a padded row: whole vectors are read */
    float *line[2] = {w->scratch, w->scratch + columns}, *patch = w->scratch + 2 * columns;
    const int64_t first = kata__maximum(g->pad_left, 0);
    const int64_t last = kata__maximum(first, kata__minimum(columns, g->w + g->pad_left));
    for (int64_t r = 0; r <= rows; r++) {
        float *to = line[r % 2];
        const int64_t y = 2 * w->first + r - g->pad_top;
        memset(to, 0, (size_t)columns * sizeof(float));
        if (y >= 0 && y < g->h && first < last) {
            memcpy(to + first, w->x + y * g->w + first - g->pad_left,
                   (size_t)(last - first) * sizeof(float));
        }
        for (int64_t x = 0; r > 0 && x < width; x++) {
            float *p = patch + ((r - 1) * width + x) * 16;
            _mm256_storeu_ps(p, _mm256_loadu_ps(line[(r + 1) % 2] + 2 * x));
            _mm256_storeu_ps(p + 8, _mm256_loadu_ps(to + 2 * x));
        }
    }
    const __m512i places = _mm512_setr_epi32(0, 1, 8, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m512i one = _mm512_set1_epi32(1), four = _mm512_set1_epi32(4);
    const float *ahead = w->ahead;
    for (int64_t f = 0; f < w->channels; f += 16) {
        const int64_t left = w->channels - f;
        const __mmask16 lanes = left < 16 ? (__mmask16)((1u << left) - 1) : (__mmask16)-1;
        VEC acc[25], bias = {0};
        KATA__UNROLL
        for (int t = 0; t < k * k; t++) {
            acc[t] = (VEC){0};
        }
        const float *dy = w->dy + f;
        const uint8_t *index = w->index + f;
        for (int64_t y = 0; y < w->last - w->first; y++) {
            const float *p = patch + 2 * y * width * 16;
            for (int64_t x = width; x > 0; x--, p += 16, dy += g->f, index += g->f) {
                __builtin_prefetch(ahead, 0, 2);
                ahead += w->ahead_step;
                const __m512i place = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(lanes, index));
                const VEC d = (VEC)_mm512_maskz_loadu_ps(
                    _mm512_mask_cmplt_epu32_mask(lanes, place, four), dy);
                __m512i from = _mm512_permutexvar_epi32(place, places);
                bias += d;
                KATA__UNROLL
                for (int kx = 0; kx < k; kx++) {
                    KATA__UNROLL
                    for (int ky = 0; ky < k; ky++) {
                        acc[ky * k + kx] += d * (VEC)_mm512_permutexvar_ps(
                                                    from, _mm512_loadu_ps(p + ky * width * 16));
                    }
                    from = _mm512_add_epi32(from, one);
                }
            }
        }
        KATA__UNROLL
        for (int t = 0; t < k * k; t++) {
            float *to = w->sum + t * w->ld + f;
            NAME(store)(to, NAME(load)(to) + acc[t]);
        }
        if (w->bias) {
            NAME(store)(w->bias + f, NAME(load)(w->bias + f) + bias);
        }
    }
}

static void kata__weight_pooled(const kata__conv_weight_pooled *w) {
    if (w->g->kh == 5) {
        kata__weight_pooled_body(w, 5);
    } else {
        kata__weight_pooled_body(w, 3);
    }
}
#endif

/* ---- bias, spreading, the sum of the parts ---- */

static void kata__weight_bias(const kata__conv_weight_band *b, int64_t first, int64_t last,
                              float *sum) {
    const int64_t pixel = b->dy_pixel;
    for (int64_t vector = 0; vector < b->vectors; vector++) {
        VEC acc[4] = {{0}, {0}, {0}, {0}};
        for (int64_t image = 0; image < b->images; image++) {
            for (int64_t row = first; row < last; row++) {
                const float *dy =
                    b->dy + image * b->dy_image + (row - b->dy_top) * b->dy_row + vector * LANES;
                int64_t p = b->g->ow;
                for (; p >= 4; p -= 4, dy += 4 * pixel) {
                    KATA__UNROLL
                    for (int i = 0; i < 4; i++) {
                        acc[i] += NAME(load)(dy + i * pixel);
                    }
                }
                for (; p > 0; p--, dy += pixel) {
                    acc[0] += NAME(load)(dy);
                }
            }
        }
        float *to = sum + vector * LANES;
        NAME(store)(to, NAME(load)(to) + ((acc[0] + acc[1]) + (acc[2] + acc[3])));
    }
}

typedef uint8_t kata__weight_bytes __attribute__((vector_size(LANES)));

/* d in the lanes whose byte is `place`, or less than it; 0 in the others. */
KATA__LOCAL VEC kata__weight_at(kata__weight_bytes bytes, int place, VEC d) {
#if KATA__VECTOR_BYTES == 64
    return (VEC)_mm512_maskz_mov_ps(_mm_cmpeq_epi8_mask((__m128i)bytes, _mm_set1_epi8((char)place)),
                                    (__m512)d);
#else
    return NAME(select)(__builtin_convertvector(bytes, IVEC) == place, d, (VEC){0});
#endif
}

KATA__LOCAL VEC kata__weight_below(kata__weight_bytes bytes, int place, VEC d) {
#if KATA__VECTOR_BYTES == 64
    return (VEC)_mm512_maskz_mov_ps(_mm_cmplt_epu8_mask((__m128i)bytes, _mm_set1_epi8((char)place)),
                                    (__m512)d);
#else
    return NAME(select)(__builtin_convertvector(bytes, IVEC) < place, d, (VEC){0});
#endif
}

static void kata__weight_spread(const float *dy, const uint8_t *index, int64_t pixels,
                                int64_t channels, int64_t step, int64_t readable, float *to,
                                int64_t to_pixel, int64_t to_row, float *bias) {
    for (int64_t c = 0; c < channels; c += LANES) {
        VEC sum = {0};
        const int count = channels - c < LANES ? (int)(channels - c) : LANES;
        for (int64_t p = 0; p < pixels; p++) {
            kata__weight_bytes bytes;
            VEC d;
            if (p * step + c + LANES > readable) {
                memset(&bytes, 0, sizeof bytes);
                memcpy(&bytes, index + p * step + c, (size_t)count);
                d = NAME(load_first)(dy + p * step + c, count);
            } else {
                memcpy(&bytes, index + p * step + c, sizeof bytes);
                d = NAME(load)(dy + p * step + c);
            }
            float *out = to + 2 * p * to_pixel + c;
            NAME(store)(out, kata__weight_at(bytes, 0, d));
            NAME(store)(out + to_pixel, kata__weight_at(bytes, 1, d));
            NAME(store)(out + to_row, kata__weight_at(bytes, 2, d));
            NAME(store)(out + to_row + to_pixel, kata__weight_at(bytes, 3, d));
            sum += kata__weight_below(bytes, 4, d);
        }
        if (bias) {
            NAME(store)(bias + c, NAME(load)(bias + c) + sum);
        }
    }
}

enum { KATA__WEIGHT_TURN = 64 };

/* Blocks of up to KATA__WEIGHT_TURN neighbours of a row of dw by a vector of its rows are added up
 * and then turned, so that dw is written row by row. */
static void kata__weight_sum(int64_t m, int64_t channels, int64_t taps, int64_t first, int64_t last,
                             const float *part, int64_t ld, int64_t n_parts, int64_t part_step,
                             float *dw) {
    float block[KATA__WEIGHT_TURN][LANES];
    for (int64_t f = 0; f < m; f += LANES) {
        const int rows = m - f < LANES ? (int)(m - f) : LANES;
        int64_t c = first, t = 0;
        for (int64_t at = first * taps; at < last * taps; at += KATA__WEIGHT_TURN) {
            const int64_t left = last * taps - at;
            const int columns = left < KATA__WEIGHT_TURN ? (int)left : KATA__WEIGHT_TURN;
            for (int j = 0; j < columns; j++) {
                const float *from = part + (t * channels + c) * ld + f;
                VEC x = NAME(load)(from);
                for (int64_t s = 1; s < n_parts; s++) {
                    x += NAME(load)(from + s * part_step);
                }
                NAME(store)(block[j], x);
                if (++t == taps) {
                    t = 0;
                    c++;
                }
            }
            for (int i = 0; i < rows; i++) {
                float *to = dw + (f + i) * channels * taps + at;
                for (int j = 0; j < columns; j++) {
                    to[j] = block[j][i];
                }
            }
        }
    }
}

static const kata__conv_nhwc_weight_table kata__conv_nhwc_weight_f32 = {
    .lanes = LANES,
    .tap_rows = kata__weight_tap_rows,
    .band = kata__weight_band,
    .depthwise = kata__weight_depthwise,
#if KATA__VECTOR_BYTES == 64
    .pooled = kata__weight_pooled,
#endif
    .bias = kata__weight_bias,
    .spread = kata__weight_spread,
    .sum = kata__weight_sum,
};
