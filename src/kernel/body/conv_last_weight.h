/* The gradient of a channels-last convolution by its weight. Float32 only.
 *
 * dw is a product over the pixels: (taps and input channels; pixels) (pixels; output channels). A
 * tile keeps a few rows of it by one to four vectors in registers. Its rows are numbers that lie
 * together in x (channels of a pixel, or of neighbouring pixels where the taps of a row are taken
 * together) and are broadcast; its vectors are those of dy: neighbouring vectors of output
 * channels, and the same vector at the pixels that other taps ky pair with the same x. */

/* The most rows of a tile of 1, 2, 3, 4 vectors: the accumulators, the vectors and a broadcast fit
 * the registers (32 with AVX-512, else 16; without FMA one more holds the product). */
#if KATA__VECTOR_BYTES == 64
#define KATA__WEIGHT_VECTORS 4
#define KATA__WEIGHT_ROWS 14
static const int kata__weight_rows[] = {0, 14, 14, 9, 6};
#elif KATA__VECTOR_BYTES == 32
#define KATA__WEIGHT_VECTORS 3
#define KATA__WEIGHT_ROWS 10
static const int kata__weight_rows[] = {0, 10, 6, 4};
#else
#define KATA__WEIGHT_VECTORS 3
#define KATA__WEIGHT_ROWS 8
static const int kata__weight_rows[] = {0, 8, 4, 3};
#endif

/* Up to so many rows, four vectors make a better tile than two. */
enum { KATA__WEIGHT_FEW = 6 };

enum { KATA__WEIGHT_LINE = 16 }; /* numbers in a cache line */

/* One tile: rows of pixels that lie x_pixel and dy_pixel apart, of several images; from the last
 * pixel of a row to the first of the next it is x_row, from the last of an image to the next
 * x_image, dy likewise. Vector v of dy is dy_step[v] behind the first, its sums are at sum[v], a
 * row's ld apart. With each pixel a cache line is fetched that the next band reads: at `ahead`,
 * then ahead_step further on. */
typedef struct kata__weight_tile {
    int64_t pixels, rows, images;
    const float *x;
    int64_t x_pixel, x_row, x_image;
    const float *dy;
    int64_t dy_pixel, dy_row, dy_image;
    int64_t dy_step[KATA__WEIGHT_VECTORS];
    float *sum[KATA__WEIGHT_VECTORS];
    int64_t ld;
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

KATA__LOCAL void kata__weight_tile_body(const kata__weight_tile *t, const int rows,
                                        const int vectors) {
    VEC acc[KATA__WEIGHT_ROWS][KATA__WEIGHT_VECTORS];
    int64_t step[KATA__WEIGHT_VECTORS];
    const int64_t x_pixel = t->x_pixel, dy_pixel = t->dy_pixel, pixels = t->pixels;
    const int64_t x_row = t->x_row, dy_row = t->dy_row;
    const int64_t ahead_step = t->ahead_step;
    const float *x = t->x, *dy = t->dy, *ahead = t->ahead;
    KATA__UNROLL
    for (int v = 0; v < vectors; v++) {
        step[v] = v > 0 ? t->dy_step[v] : 0;
        KATA__UNROLL
        for (int i = 0; i < rows; i++) {
            acc[i][v] = (VEC){0};
        }
    }
    for (int64_t image = t->images; image > 0; image--) {
        for (int64_t row = t->rows; row > 0; row--) {
            for (int64_t p = pixels; p > 0; p--) {
                VEC d[KATA__WEIGHT_VECTORS];
                KATA__UNROLL
                for (int v = 0; v < vectors; v++) {
                    d[v] = NAME(load)(dy + step[v]);
                    KATA__WEIGHT_KEEP(d[v]);
                }
                __builtin_prefetch(ahead, 0, 2);
                ahead += ahead_step;
                KATA__UNROLL
                for (int i = 0; i < rows; i++) {
                    const VEC a = NAME(splat)(x[i]);
                    KATA__UNROLL
                    for (int v = 0; v < vectors; v++) {
                        acc[i][v] += a * d[v];
                    }
                }
                x += x_pixel;
                dy += dy_pixel;
            }
            x += x_row;
            dy += dy_row;
        }
        x += t->x_image;
        dy += t->dy_image;
    }
    const int64_t ld = t->ld;
    float *sum[KATA__WEIGHT_VECTORS];
    KATA__UNROLL
    for (int v = 0; v < vectors; v++) {
        sum[v] = t->sum[v];
    }
    KATA__UNROLL
    for (int i = 0; i < rows; i++) {
        KATA__UNROLL
        for (int v = 0; v < vectors; v++) {
            NAME(store)(sum[v], NAME(load)(sum[v]) + acc[i][v]);
            sum[v] += ld;
        }
    }
}

#define KATA__WEIGHT_FUNCTION(rows, vectors)                                                       \
    static void kata__weight_tile_##rows##_##vectors(const kata__weight_tile *t) {                 \
        kata__weight_tile_body(t, rows, vectors);                                                  \
    }
#define KATA__WEIGHT_FUNCTIONS(rows)                                                               \
    KATA__WEIGHT_FUNCTION(rows, 1)                                                                 \
    KATA__WEIGHT_FUNCTION(rows, 2)                                                                 \
    KATA__WEIGHT_FUNCTION(rows, 3)
KATA__WEIGHT_FUNCTIONS(1)
KATA__WEIGHT_FUNCTIONS(2)
KATA__WEIGHT_FUNCTIONS(3)
KATA__WEIGHT_FUNCTION(4, 1)
KATA__WEIGHT_FUNCTION(4, 2)
KATA__WEIGHT_FUNCTION(5, 1)
KATA__WEIGHT_FUNCTION(6, 1)
KATA__WEIGHT_FUNCTION(7, 1)
KATA__WEIGHT_FUNCTION(8, 1)
#if KATA__VECTOR_BYTES >= 32
KATA__WEIGHT_FUNCTION(4, 3)
KATA__WEIGHT_FUNCTION(5, 2)
KATA__WEIGHT_FUNCTION(6, 2)
KATA__WEIGHT_FUNCTION(9, 1)
KATA__WEIGHT_FUNCTION(10, 1)
#endif
#if KATA__VECTOR_BYTES == 64
KATA__WEIGHT_FUNCTION(1, 4)
KATA__WEIGHT_FUNCTION(2, 4)
KATA__WEIGHT_FUNCTION(3, 4)
KATA__WEIGHT_FUNCTION(4, 4)
KATA__WEIGHT_FUNCTION(5, 3)
KATA__WEIGHT_FUNCTION(5, 4)
KATA__WEIGHT_FUNCTION(6, 3)
KATA__WEIGHT_FUNCTION(6, 4)
KATA__WEIGHT_FUNCTION(7, 2)
KATA__WEIGHT_FUNCTION(7, 3)
KATA__WEIGHT_FUNCTION(8, 2)
KATA__WEIGHT_FUNCTION(8, 3)
KATA__WEIGHT_FUNCTION(9, 2)
KATA__WEIGHT_FUNCTION(9, 3)
KATA__WEIGHT_FUNCTION(10, 2)
KATA__WEIGHT_FUNCTION(11, 1)
KATA__WEIGHT_FUNCTION(11, 2)
KATA__WEIGHT_FUNCTION(12, 1)
KATA__WEIGHT_FUNCTION(12, 2)
KATA__WEIGHT_FUNCTION(13, 1)
KATA__WEIGHT_FUNCTION(13, 2)
KATA__WEIGHT_FUNCTION(14, 1)
KATA__WEIGHT_FUNCTION(14, 2)
#endif

typedef void (*kata__weight_tile_function)(const kata__weight_tile *t);
#define KATA__WEIGHT_ENTRY(rows, vectors) [vectors][rows] = kata__weight_tile_##rows##_##vectors
static const kata__weight_tile_function
    kata__weight_tile_functions[KATA__WEIGHT_VECTORS + 1][KATA__WEIGHT_ROWS + 1] = {
        KATA__WEIGHT_ENTRY(1, 1),  KATA__WEIGHT_ENTRY(2, 1),  KATA__WEIGHT_ENTRY(3, 1),
        KATA__WEIGHT_ENTRY(4, 1),  KATA__WEIGHT_ENTRY(5, 1),  KATA__WEIGHT_ENTRY(6, 1),
        KATA__WEIGHT_ENTRY(7, 1),  KATA__WEIGHT_ENTRY(8, 1),  KATA__WEIGHT_ENTRY(1, 2),
        KATA__WEIGHT_ENTRY(2, 2),  KATA__WEIGHT_ENTRY(3, 2),  KATA__WEIGHT_ENTRY(4, 2),
        KATA__WEIGHT_ENTRY(1, 3),  KATA__WEIGHT_ENTRY(2, 3),  KATA__WEIGHT_ENTRY(3, 3),
#if KATA__VECTOR_BYTES >= 32
        KATA__WEIGHT_ENTRY(9, 1),  KATA__WEIGHT_ENTRY(10, 1), KATA__WEIGHT_ENTRY(5, 2),
        KATA__WEIGHT_ENTRY(6, 2),  KATA__WEIGHT_ENTRY(4, 3),
#endif
#if KATA__VECTOR_BYTES == 64
        KATA__WEIGHT_ENTRY(11, 1), KATA__WEIGHT_ENTRY(12, 1), KATA__WEIGHT_ENTRY(13, 1),
        KATA__WEIGHT_ENTRY(14, 1), KATA__WEIGHT_ENTRY(7, 2),  KATA__WEIGHT_ENTRY(8, 2),
        KATA__WEIGHT_ENTRY(9, 2),  KATA__WEIGHT_ENTRY(10, 2), KATA__WEIGHT_ENTRY(11, 2),
        KATA__WEIGHT_ENTRY(12, 2), KATA__WEIGHT_ENTRY(13, 2), KATA__WEIGHT_ENTRY(14, 2),
        KATA__WEIGHT_ENTRY(5, 3),  KATA__WEIGHT_ENTRY(6, 3),  KATA__WEIGHT_ENTRY(7, 3),
        KATA__WEIGHT_ENTRY(8, 3),  KATA__WEIGHT_ENTRY(9, 3),  KATA__WEIGHT_ENTRY(1, 4),
        KATA__WEIGHT_ENTRY(2, 4),  KATA__WEIGHT_ENTRY(3, 4),  KATA__WEIGHT_ENTRY(4, 4),
        KATA__WEIGHT_ENTRY(5, 4),  KATA__WEIGHT_ENTRY(6, 4),
#endif
};

/* ---- from a band to tiles ---- */

static int64_t kata__weight_tap_rows(const kata__conv *g, int64_t run, int64_t vectors) {
    if (g->stride_h != 1 || g->kh == 1) {
        return 1;
    }
    if (vectors > 1 && run <= KATA__WEIGHT_FEW && KATA__WEIGHT_VECTORS >= 4) {
        return vectors == 2 ? 2 : 1;
    }
    return g->kh < 3 ? g->kh : 3;
}

/* How many of the `left` vectors of output channels the next tile takes. */
static int kata__weight_vectors(int64_t tap_rows, int64_t run, int64_t left) {
    if (tap_rows > 1) {
        return left > 1 && 2 * tap_rows <= KATA__WEIGHT_VECTORS ? 2 : 1;
    }
    if (left <= 3) {
        return (int)left;
    }
    return run <= KATA__WEIGHT_FEW && KATA__WEIGHT_VECTORS >= 4 ? 4 : 2;
}

/* Where the next `lines` cache lines that the next band reads begin, in steps of *step; any place
 * again and again if there is no more to be fetched. */
static const float *kata__weight_fetch(kata__conv_weight_band *b, int64_t lines, int64_t *step) {
    *step = KATA__WEIGHT_LINE;
    for (int i = 0; i < 2; i++) {
        if (b->ahead_lines[i] > 0) {
            const float *at = b->ahead[i];
            b->ahead_lines[i] -= lines;
            b->ahead[i] += lines * KATA__WEIGHT_LINE;
            return at;
        }
    }
    *step = 0;
    return b->sum;
}

/* All rows of tiles for the taps ky .. ky + n_ky - 1, the rows oy = first .. last - 1 (of ky), the
 * vectors from `vector` on. */
static void kata__weight_rows_of_tiles(kata__conv_weight_band *b, int64_t ky, int n_ky,
                                       int64_t first, int64_t last, int64_t vector, int n_vectors) {
    const kata__conv *g = b->g;
    const int vectors = n_ky * n_vectors;
    const int most = kata__weight_rows[vectors];
    const int64_t tiles = (b->run + most - 1) / most;
    const int64_t row = first * g->stride_h + ky * g->dilation_h - g->pad_top;
    const float *dy = b->dy + (first - b->dy_top) * b->dy_row + vector * LANES;
    const int64_t columns = b->columns_merged ? 1 : g->kw;
    kata__weight_tile t = {
        .ld = b->ld, .x_pixel = g->stride_w * b->x_pixel, .dy_pixel = b->dy_pixel};
    for (int64_t kx = 0; kx < columns; kx++) {
        const int64_t offset = kx * g->dilation_w - g->pad_left;
        int64_t x_first = 0, x_last = g->ow, column = 0;
        if (!b->columns_merged) {
            kata__conv_inside(offset, g->stride_w, g->w, g->ow, &x_first, &x_last);
            column = x_first * g->stride_w + offset;
        }
        if (x_first >= x_last) {
            continue;
        }
        t.pixels = x_last - x_first;
        t.rows = last - first;
        t.images = b->images;
        t.x_row = g->stride_h * b->x_row;
        t.x_image = b->x_image;
        t.dy_row = b->dy_row;
        t.dy_image = b->dy_image;
        if (t.rows == 1 || (t.pixels * t.x_pixel == t.x_row && t.pixels * t.dy_pixel == t.dy_row)) {
            /* One row, or rows without a gap. */
            t.x_row = t.x_image;
            t.dy_row = t.dy_image;
            t.pixels *= t.rows;
            t.rows = t.images;
            t.images = 1;
            t.x_image = 0;
            t.dy_image = 0;
        }
        t.x_image -= t.rows * t.x_row;
        t.dy_image -= t.rows * t.dy_row;
        t.x_row -= t.pixels * t.x_pixel;
        t.dy_row -= t.pixels * t.dy_pixel;
        const int64_t lines = t.pixels * t.rows * t.images;
        const float *x = b->x + (row - b->x_top) * b->x_row + column * b->x_pixel;
        t.dy = dy + x_first * b->dy_pixel;
        float *sum = b->sum + (ky * g->kw + kx) * b->tap_step + vector * LANES;
        for (int64_t tile = 0; tile < tiles; tile++) {
            const int64_t c = b->run * tile / tiles;
            t.x = x + c;
            for (int k = 0; k < n_ky; k++) {
                for (int v = 0; v < n_vectors; v++) {
                    t.dy_step[k * n_vectors + v] = v * LANES - k * g->dilation_h * b->dy_row;
                    t.sum[k * n_vectors + v] =
                        sum + k * g->kw * b->tap_step + c * b->ld + v * LANES;
                }
            }
            t.ahead = kata__weight_fetch(b, lines, &t.ahead_step);
            kata__weight_tile_functions[vectors][b->run * (tile + 1) / tiles - c](&t);
        }
    }
}

static int64_t kata__weight_larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static int64_t kata__weight_smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static void kata__weight_band(kata__conv_weight_band *b) {
    const kata__conv *g = b->g;
    for (int64_t vector = 0; vector < b->vectors;) {
        const int n_vectors = kata__weight_vectors(b->tap_rows, b->run, b->vectors - vector);
        if (b->tap_rows == 1) {
            for (int64_t ky = 0; ky < g->kh; ky++) {
                int64_t first, last;
                kata__conv_inside(ky * g->dilation_h - g->pad_top, g->stride_h, g->h, g->oh, &first,
                                  &last);
                first = kata__weight_larger(first, b->first);
                last = kata__weight_smaller(last, b->last);
                if (first < last) {
                    kata__weight_rows_of_tiles(b, ky, 1, first, last, vector, n_vectors);
                }
            }
            vector += n_vectors;
            continue;
        }
        /* Row u of the padded x meets row u - ky dilation of dy: the taps of a group that have such
         * a row change only where one of them begins or ends. */
        const int64_t groups = (g->kh + b->tap_rows - 1) / b->tap_rows;
        const int64_t begin = kata__weight_larger(b->first, g->pad_top);
        const int64_t end = kata__weight_smaller(b->last, g->pad_top + g->h);
        for (int64_t group = 0; group < groups; group++) {
            const int64_t k0 = g->kh * group / groups, k1 = g->kh * (group + 1) / groups;
            for (int64_t u = begin, next; u < end; u = next) {
                int64_t first = k1, last = k0;
                next = end;
                for (int64_t ky = k0; ky < k1; ky++) {
                    const int64_t from = ky * g->dilation_h, to = from + g->oh;
                    if (from > u) {
                        next = kata__weight_smaller(next, from);
                    } else if (to > u) {
                        next = kata__weight_smaller(next, to);
                        first = kata__weight_smaller(first, ky);
                        last = ky + 1;
                    }
                }
                if (first < last) {
                    const int64_t oy = u - first * g->dilation_h;
                    kata__weight_rows_of_tiles(b, first, (int)(last - first), oy, oy + next - u,
                                               vector, n_vectors);
                }
            }
        }
        vector += n_vectors;
    }
}

/* ---- depth-wise ---- */

/* A rectangle of output pixels at which the same taps fall inside. */
typedef struct kata__weight_area {
    int64_t ky, kx; /* the first tap of the tile */
    int64_t y, rows, x, columns;
} kata__weight_area;

/* Channels [c, c + LANES) of the band, or fewer if tail. */
KATA__LOCAL void kata__weight_depthwise_body(const kata__conv_weight_band *b,
                                             const kata__weight_area *area, int64_t c,
                                             const int n_ky, const int n_kx, const bool tail) {
    const kata__conv *g = b->g;
    const int count = (int)(b->run - c);
    const int64_t tap_row = g->dilation_h * b->x_row, tap_column = g->dilation_w * b->x_pixel;
    const int64_t x_step = g->stride_w * b->x_pixel, dy_step = b->dy_pixel;
    const int64_t row = area->y * g->stride_h + area->ky * g->dilation_h - g->pad_top - b->x_top;
    const int64_t column = area->x * g->stride_w + area->kx * g->dilation_w - g->pad_left;
    const float *x_first = b->x + row * b->x_row + column * b->x_pixel + c;
    const float *dy_first = b->dy + (area->y - b->dy_top) * b->dy_row + area->x * b->dy_pixel + c;
    VEC acc[3][5];
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
    static void kata__weight_depthwise_##n_ky##_##n_kx(const kata__conv_weight_band *b,            \
                                                       const kata__weight_area *area, int64_t c) { \
        if (b->run - c >= LANES) {                                                                 \
            kata__weight_depthwise_body(b, area, c, n_ky, n_kx, false);                            \
        } else {                                                                                   \
            kata__weight_depthwise_body(b, area, c, n_ky, n_kx, true);                             \
        }                                                                                          \
    }
KATA__DEPTHWISE_FUNCTION(1, 1)
KATA__DEPTHWISE_FUNCTION(1, 2)
KATA__DEPTHWISE_FUNCTION(1, 3)
KATA__DEPTHWISE_FUNCTION(1, 5)
KATA__DEPTHWISE_FUNCTION(2, 2)
KATA__DEPTHWISE_FUNCTION(2, 3)
KATA__DEPTHWISE_FUNCTION(3, 2)
KATA__DEPTHWISE_FUNCTION(3, 3)

/* The taps [y0,y1) x [x0,x1) of an area. */
static void kata__weight_depthwise_taps(const kata__conv_weight_band *b, kata__weight_area *area,
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
            next = kata__weight_smaller(next, first);
        } else {
            next = kata__weight_smaller(next, last);
            *k0 = kata__weight_smaller(*k0, k);
            *k1 = k + 1;
        }
    }
    return next;
}

static void kata__weight_depthwise(const kata__conv_weight_band *b) {
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
                    .y = y, .rows = next_y - y, .x = x, .columns = next_x - x};
                if (y0 < y1 && x0 < x1) {
                    kata__weight_depthwise_taps(b, &area, c, y0, y1, x0, x1);
                }
            }
        }
    }
}

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
            const IVEC place = __builtin_convertvector(bytes, IVEC);
            float *out = to + 2 * p * to_pixel + c;
            const VEC zero = {0};
            NAME(store)(out, NAME(select)(place == 0, d, zero));
            NAME(store)(out + to_pixel, NAME(select)(place == 1, d, zero));
            NAME(store)(out + to_row, NAME(select)(place == 2, d, zero));
            NAME(store)(out + to_row + to_pixel, NAME(select)(place == 3, d, zero));
            sum += NAME(select)(place < 4, d, zero);
        }
        if (bias) {
            NAME(store)(bias + c, NAME(load)(bias + c) + sum);
        }
    }
}

static void kata__weight_sum(int64_t m, int64_t channels, int64_t taps, int64_t first, int64_t last,
                             const float *part, int64_t ld, int64_t n_parts, int64_t part_step,
                             float *dw) {
    for (int64_t f = 0; f < m; f += LANES) {
        const int count = m - f < LANES ? (int)(m - f) : LANES;
        for (int64_t c = first; c < last; c++) {
            for (int64_t t = 0; t < taps; t++) {
                const float *from = part + (t * channels + c) * ld + f;
                VEC x = NAME(load)(from);
                for (int64_t s = 1; s < n_parts; s++) {
                    x += NAME(load)(from + s * part_step);
                }
                float *to = dw + (f * channels + c) * taps + t;
                for (int i = 0; i < count; i++) {
                    to[i * channels * taps] = x[i];
                }
            }
        }
    }
}

static const kata__conv_weight_last_table kata__conv_weight_last = {
    .lanes = LANES,
    .tap_rows = kata__weight_tap_rows,
    .band = kata__weight_band,
    .depthwise = kata__weight_depthwise,
    .bias = kata__weight_bias,
    .spread = kata__weight_spread,
    .sum = kata__weight_sum,
};
