/* Direct convolution of NHWC tensors: a tile of pixels by one or two vectors of output
 * channels stays in registers while the taps and input channels run; a pixel's number is broadcast.
 *
 * A tile's pixels are any: each has the address of its window's first tap, which may lie on the
 * padding and is then not read. The terms come in segments, runs of numbers that are neighbours in
 * x and in the packed weight; a segment's mask says which of the tile's pixels have its taps inside
 * the picture. So padding costs nothing. The usual masks, a row's or two rows' ends missing, have
 * loops of their own.
 *
 * With one vector, so many broadcasts would take longer than the multiply-adds. Where the stride is
 * 1, the taps of a row share them: a tile is `columns` neighbours of a row, the input pixel i is
 * broadcast once and added to the outputs i - kw + 1 .. i; masks are of input pixels.
 *
 * An element is one chain of multiply-adds over its taps inside the picture, in an order that
 * depends on its panel, its column (shared taps: a row is always cut alike) and the problem alone.
 * With pool a tile is two rows of columns, window j being columns 2 j and 2 j + 1. */

#if KATA__VECTOR_BYTES == 64
#define KATA__CONV_PIXELS 28 /* the most of a tile */
#elif KATA__VECTOR_BYTES == 32
#define KATA__CONV_PIXELS 12
#else
#define KATA__CONV_PIXELS 8
#endif

#define KATA__CONV_WEIGHTS (512 * 1024)
/* A larger image of outputs is not expected in the second-level cache: it is asked for early. */
#define KATA__CONV_NEAR (256 * 1024)
#define KATA__CONV_MOVED 16 /* at least the pixels of a tile without shared taps */

/* Shorter runs go by a list of offsets, one for each term. */
#define KATA__CONV_SHORT_RUN 16

/* UNIT: as BROADCAST, pixels are neighbouring numbers: one channel, stride 1. */
enum { KATA__CONV_BROADCAST, KATA__CONV_UNIT, KATA__CONV_DEPTHWISE };

typedef struct NAME(conv_segment) {
    int64_t x;      /* from a pixel's address */
    int64_t weight; /* row */
    int32_t length;
    uint32_t mask;
} NAME(conv_segment);

typedef struct NAME(conv_tile) {
    const REAL *x[32]; /* of pixels, or input pixels */
    int64_t shift;     /* added to all of them: the panel's channel of x */
    const REAL *weight;
    const NAME(conv_segment) *segments;
    int64_t n_segments;
    const int64_t *offset; /* instead of segments, where runs are short: of each term */
    int64_t terms;
    int64_t strip;    /* UNIT with offset: so many tiles, side by side */
    int64_t channels; /* of a tap */
    int last;         /* channels in the last vector */
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

/* The first `last` numbers of a tail, else a whole vector. */
KATA__LOCAL VEC NAME(conv_load)(const REAL *p, bool tail, int last) {
    return tail ? NAME(load_first)(p, last) : NAME(load)(p);
}

/* The ends of the rows missing: columns first .. width - last - 1 of one or two rows. */
KATA__LOCAL uint32_t NAME(conv_ends)(const int width, const int rows, const int first,
                                     const int last) {
    const uint32_t row = ((1u << (width - last)) - 1) & ~((1u << first) - 1);
    return rows == 2 ? row | row << width : row;
}

/* The maximum of a window's four numbers, in row-major order, goes to y, its place to index unless
 * that is NULL; of a tail the first `last`. Exact, or returns those of the marks `numbers` where
 * there are no NaNs, for the caller to see to the others. */
KATA__LOCAL KATA__MARKS NAME(conv_pool_store)(REAL *y, uint8_t *index, bool relu, const VEC *window,
                                              const bool tail, int last, const bool exact,
                                              KATA__MARKS numbers) {
    VEC best;
    KATA__PLACES places;
    if (exact) {
        IVEC place = 3 - (IVEC){0};
        best = window[3];
        for (int k = 2; k >= 0; k--) {
            NAME(window_back)(window[k], k, &best, &place);
        }
        places = NAME(window_places)(place);
    } else {
        best = NAME(window_of_numbers)(window, &places);
        numbers = NAME(ordered)(numbers, window[0], window[1]);
        numbers = NAME(ordered)(numbers, window[2], window[3]);
    }
    if (!index) {
        best = relu ? NAME(maximum)(best, (VEC){0}) : best;
    } else {
        if (relu) {
            NAME(window_relu)(&best, &places);
        }
        NAME(window_store_places)(index, places, tail ? last : LANES);
    }
    if (tail) {
        NAME(store_first)(y, best, last);
    } else {
        NAME(store)(y, best);
    }
    return numbers;
}

/* What follows the sums, of any kind: out is (pixels, vectors). Not for the usual cases. */
static
    __attribute__((noinline)) void NAME(conv_finish)(const NAME(conv_tile) *t, int64_t to, VEC *out,
                                                     int pixels, int vectors, bool pool) {
    const int last = t->last;
    for (int i = 0; i < pixels * vectors; i++) {
        const int v = i % vectors;
        const bool tail = last < LANES && v == vectors - 1;
        VEC value = out[i];
        if (t->residual_at) {
            const int64_t at = t->residual_at[i / vectors] + v * LANES;
            if (t->residual) {
                value += NAME(conv_load)(t->residual + at, tail, last);
            }
            if (t->relu_mask) {
                const VEC mask = NAME(conv_load)(t->relu_mask + at, tail, last);
                value = t->relu ? NAME(maximum)(value, (VEC){0}) : value;
                value = NAME(select)(mask <= 0, (VEC){0}, value);
            }
        }
        if (pool) {
            out[i] = value;
            continue;
        }
        REAL *y = t->y + to + i / vectors * t->y_step + v * LANES;
        value = t->relu ? NAME(maximum)(value, (VEC){0}) : value;
        if (tail) {
            NAME(store_first)(y, value, last);
        } else {
            NAME(store)(y, value);
        }
    }
    for (int j = 0; pool && j < pixels / 4; j++) {
        for (int v = 0; v < vectors; v++) {
            const int a = 2 * j * vectors + v, b = a + pixels / 2 * vectors;
            const VEC window[4] = {out[a], out[a + vectors], out[b], out[b + vectors]};
            const int64_t at = to + j * t->y_step + v * LANES;
            NAME(conv_pool_store)
            (t->y + at, t->index ? t->index + at : NULL, t->relu, window,
             last < LANES && v == vectors - 1, last, true, KATA__ALL_MARKS);
        }
    }
}

/* Of a tile whose y and index begin `to` behind those of t. */
KATA__LOCAL void NAME(conv_store)(const NAME(conv_tile) *t, int64_t to,
                                  VEC acc[KATA__CONV_PIXELS][2], const int pixels,
                                  const int vectors, const bool pool) {
    const int last = t->last;
    REAL *y = t->y + to;
    bool unusual = t->residual_at || (LANES < 16 && last < LANES);
    if (pool && !unusual) {
        KATA__MARKS numbers = KATA__ALL_MARKS;
        uint8_t *index = t->index ? t->index + to : NULL;
        const int64_t step = t->y_step;
        const bool relu = t->relu;
        KATA__UNROLL
        for (int j = 0; j < pixels / 4; j++) {
            KATA__CONV_EACH_VECTOR {
                const VEC window[4] = {acc[2 * j][v], acc[2 * j + 1][v], acc[pixels / 2 + 2 * j][v],
                                       acc[pixels / 2 + 2 * j + 1][v]};
                numbers = NAME(conv_pool_store)(y + v * LANES, index ? index + v * LANES : NULL,
                                                relu, window, LANES == 16 && v == vectors - 1, last,
                                                false, numbers);
            }
            y += step;
            index = index ? index + step : NULL;
        }
        unusual = !NAME(all)(numbers);
        if (__builtin_expect(!unusual, 1)) {
            return;
        }
    }
    if (unusual) {
        VEC out[KATA__CONV_PIXELS * 2];
        KATA__UNROLL
        for (int i = 0; i < pixels; i++) {
            KATA__CONV_EACH_VECTOR {
                out[i * vectors + v] = acc[i][v];
            }
        }
        NAME(conv_finish)(t, to, out, pixels, vectors, pool);
        return;
    }
    if (t->relu) {
        KATA__UNROLL
        for (int i = 0; i < pixels; i++) {
            KATA__CONV_EACH_VECTOR {
                acc[i][v] = NAME(maximum)(acc[i][v], (VEC){0});
            }
        }
    }
    KATA__UNROLL
    for (int i = 0; i < pixels; i++) {
        KATA__CONV_EACH_VECTOR {
            if (LANES == 16 && v == vectors - 1) {
                NAME(store_first)(y + v * LANES, acc[i][v], last);
            } else {
                NAME(store)(y + v * LANES, acc[i][v]);
            }
        }
        y += t->y_step;
    }
}

KATA__LOCAL void NAME(conv_start)(const NAME(conv_tile) *t, VEC acc[KATA__CONV_PIXELS][2],
                                  const int pixels, const int vectors) {
    KATA__CONV_EACH_VECTOR {
        const VEC bias = t->bias ? NAME(conv_load)(t->bias + v * LANES,
                                                   t->last < LANES && v == vectors - 1, t->last)
                                 : (VEC){0};
        KATA__UNROLL
        for (int i = 0; i < pixels; i++) {
            acc[i][v] = bias;
        }
    }
}

/* One term: number `at` of the pixels for which `test`, row w of the weight. */
#define KATA__CONV_TERM(test)                                                                      \
    do {                                                                                           \
        VEC wv[2];                                                                                 \
        KATA__CONV_EACH_VECTOR {                                                                   \
            wv[v] = NAME(load)(w + v * LANES);                                                     \
        }                                                                                          \
        KATA__UNROLL                                                                               \
        for (int i = 0; i < pixels; i++) {                                                         \
            if (!(test)) {                                                                         \
                continue;                                                                          \
            }                                                                                      \
            KATA__CONV_EACH_VECTOR {                                                               \
                if (mode == KATA__CONV_DEPTHWISE) {                                                \
                    acc[i][v] += wv[v] * NAME(conv_load)(x[i] + at + v * LANES,                    \
                                                         tail && v == vectors - 1, last);          \
                } else {                                                                           \
                    acc[i][v] += NAME(splat)(x[i][at]) * wv[v];                                    \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    } while (0)

#define KATA__CONV_LOOP(test)                                                                      \
    for (; at < stop; at++, w += vectors * LANES) {                                                \
        KATA__CONV_TERM(test);                                                                     \
    }

/* Tiles of neighbouring numbers, side by side, none of them on padding. They have few terms, so a
 * call for each, with its constants and addresses, would weigh much. */
KATA__LOCAL void NAME(conv_strip)(const NAME(conv_tile) *t, const int pixels, const int width,
                                  const int vectors, const bool pool) {
    VEC acc[KATA__CONV_PIXELS][2];
    const REAL *upper = t->x[0] + t->shift, *lower = t->x[pixels - width] + t->shift;
    const int64_t *const end = t->offset + t->terms;
    int64_t to = 0;
    for (int64_t left = t->strip; left > 0; left--) {
        const REAL *w = t->weight;
        NAME(conv_start)(t, acc, pixels, vectors);
        for (const int64_t *offset = t->offset; offset < end; offset++, w += vectors * LANES) {
            const REAL *const row[2] = {upper + *offset, lower + *offset};
            VEC wv[2];
            KATA__CONV_EACH_VECTOR {
                wv[v] = NAME(load)(w + v * LANES);
            }
            KATA__UNROLL
            for (int i = 0; i < pixels; i++) {
                const VEC number = NAME(splat)(row[i / width][i % width]);
                KATA__CONV_EACH_VECTOR {
                    acc[i][v] += number * wv[v];
                }
            }
        }
        NAME(conv_store)(t, to, acc, pixels, vectors, pool);
        upper += width;
        lower += width;
        to += pixels / (pool ? 4 : 1) * t->y_step;
    }
}

/* width: columns of a row, where a tile is often two rows; else `pixels`. */
KATA__LOCAL void NAME(conv_tile_body)(const NAME(conv_tile) *t, const int pixels, const int width,
                                      const int vectors, const int mode, const bool pool) {
    VEC acc[KATA__CONV_PIXELS][2];
    const REAL *x[KATA__CONV_PIXELS];
    const int last = t->last;
    const bool tail = last < LANES;
    const int rows = pixels / width;
    const int64_t shift = t->shift;
    if (mode == KATA__CONV_UNIT && t->offset) {
        NAME(conv_strip)(t, pixels, width, vectors, pool);
        return;
    }
    KATA__UNROLL
    for (int i = 0; i < pixels; i++) {
        x[i] = mode == KATA__CONV_UNIT ? t->x[i / width * width] + i % width : t->x[i];
    }
    NAME(conv_start)(t, acc, pixels, vectors);

    const REAL *w = t->weight;
    if (t->offset) {
        const int64_t *offset = t->offset;
        for (int64_t n = t->terms; n > 0; n--, offset++, w += vectors * LANES) {
            const int64_t at = *offset + shift;
            KATA__CONV_TERM(true);
        }
    } else {
        const NAME(conv_segment) *s = t->segments, *const end = s + t->n_segments;
        for (; s < end; s++) {
            int64_t at = s->x + shift;
            const int64_t stop = at + s->length;
            const uint32_t mask = s->mask;
            w = t->weight + s->weight * (vectors * LANES);
            if (mask == NAME(conv_ends)(width, rows, 0, 0)) {
                KATA__CONV_LOOP(true)
            } else if (width > 2 && mask == NAME(conv_ends)(width, rows, 1, 0)) {
                KATA__CONV_LOOP(i % width > 0)
            } else if (width > 2 && mask == NAME(conv_ends)(width, rows, 0, 1)) {
                KATA__CONV_LOOP(i % width < width - 1)
            } else if (width > 5 && mask == NAME(conv_ends)(width, rows, 2, 0)) {
                KATA__CONV_LOOP(i % width > 1)
            } else if (width > 5 && mask == NAME(conv_ends)(width, rows, 0, 2)) {
                KATA__CONV_LOOP(i % width < width - 2)
            } else if (rows == 2 && mask == NAME(conv_ends)(width, 1, 0, 0)) {
                KATA__CONV_LOOP(i < width)
            } else if (rows == 2 && mask == NAME(conv_ends)(width, 1, 0, 0) << width) {
                KATA__CONV_LOOP(i >= width)
            } else if (rows == 2 && !pool && mask == NAME(conv_ends)(pixels, 1, 1, 0)) {
                KATA__CONV_LOOP(i > 0)
            } else if (rows == 2 && !pool && mask == NAME(conv_ends)(pixels, 1, 0, 1)) {
                KATA__CONV_LOOP(i < pixels - 1)
            } else {
                for (; at < stop; at++, w += vectors * LANES) {
                    uint32_t m = mask;
                    KATA__OPAQUE(m);
                    KATA__CONV_TERM(m >> i & 1);
                }
            }
        }
    }
    NAME(conv_store)(t, 0, acc, pixels, vectors, pool);
}

/* Number `at` of the input pixels for which `test`, each for kw taps. Every fourth pixel in turn: a
 * sum is not added to again before it is there. */
#define KATA__CONV_SHARED_TERM(test)                                                               \
    do {                                                                                           \
        VEC wv[5];                                                                                 \
        KATA__UNROLL                                                                               \
        for (int k = 0; k < kw; k++) {                                                             \
            wv[k] = NAME(load)(w + k * tap);                                                       \
        }                                                                                          \
        KATA__UNROLL                                                                               \
        for (int turn = 0; turn < 4; turn++) {                                                     \
            KATA__UNROLL                                                                           \
            for (int i = turn; i < rows * inputs; i += 4) {                                        \
                if (test) {                                                                        \
                    const VEC number = NAME(splat)(x[i][at]);                                      \
                    KATA__UNROLL                                                                   \
                    for (int k = 0; k < kw; k++) {                                                 \
                        const int column = i % inputs - k;                                         \
                        if (column >= 0 && column < columns) {                                     \
                            acc[i / inputs * columns + column][0] += number * wv[k];               \
                        }                                                                          \
                    }                                                                              \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    } while (0)

#define KATA__CONV_SHARED_LOOP(test)                                                               \
    for (; at < stop; at++, w += LANES) {                                                          \
        KATA__CONV_SHARED_TERM(test);                                                              \
    }

/* A segment is a row of kw taps. */
KATA__LOCAL void NAME(conv_shared_body)(const NAME(conv_tile) *t, const int columns, const int kw,
                                        const bool unit, const bool pool) {
    VEC acc[KATA__CONV_PIXELS][2];
    const REAL *x[32];
    const int rows = pool ? 2 : 1, inputs = columns + kw - 1;
    const int64_t tap = t->channels * LANES, shift = t->shift;
    KATA__UNROLL
    for (int i = 0; i < rows * inputs; i++) {
        x[i] = unit ? t->x[i / inputs * inputs] + i % inputs : t->x[i];
    }
    NAME(conv_start)(t, acc, rows * columns, 1);
    const NAME(conv_segment) *s = t->segments, *const end = s + t->n_segments;
    for (; s < end; s++) {
        int64_t at = s->x + shift;
        const int64_t stop = at + s->length;
        const uint32_t mask = s->mask;
        const REAL *w = t->weight + s->weight * LANES;
        if (mask == NAME(conv_ends)(inputs, rows, 0, 0)) {
            KATA__CONV_SHARED_LOOP(true)
        } else if (mask == NAME(conv_ends)(inputs, rows, 1, 0)) {
            KATA__CONV_SHARED_LOOP(i % inputs > 0)
        } else if (mask == NAME(conv_ends)(inputs, rows, 0, 1)) {
            KATA__CONV_SHARED_LOOP(i % inputs < inputs - 1)
        } else if (mask == NAME(conv_ends)(inputs, rows, 1, 1)) {
            KATA__CONV_SHARED_LOOP(i % inputs > 0 && i % inputs < inputs - 1)
        } else {
            for (; at < stop; at++, w += LANES) {
                uint32_t m = mask;
                KATA__OPAQUE(m);
                KATA__CONV_SHARED_TERM(m >> i & 1);
            }
        }
    }
    NAME(conv_store)(t, 0, acc, rows * columns, 1, pool);
}

typedef void (*NAME(conv_tile_function))(const NAME(conv_tile) *t);

/* The tiles of one kind, largest first, down to a pixel or a window. */
typedef struct NAME(conv_tiles) {
    int n;
    int pixels[16];
    NAME(conv_tile_function) function[16];
} NAME(conv_tiles);

/* T(pixels, width, ...); for shared taps T(pixels, columns, ...). */
#if KATA__VECTOR_BYTES == 64
#define KATA__CONV_PAIRS(T, ...)                                                                   \
    T(14, 7, __VA_ARGS__)                                                                          \
    T(12, 12, __VA_ARGS__)                                                                         \
    T(10, 10, __VA_ARGS__)                                                                         \
    T(8, 8, __VA_ARGS__)                                                                           \
    T(7, 7, __VA_ARGS__)                                                                           \
    T(6, 6, __VA_ARGS__)                                                                           \
    T(5, 5, __VA_ARGS__)                                                                           \
    T(4, 4, __VA_ARGS__) T(3, 3, __VA_ARGS__) T(2, 2, __VA_ARGS__) T(1, 1, __VA_ARGS__)
#define KATA__CONV_SINGLES(T, ...)                                                                 \
    T(16, 16, __VA_ARGS__)                                                                         \
    T(14, 14, __VA_ARGS__)                                                                         \
    T(12, 12, __VA_ARGS__)                                                                         \
    T(8, 8, __VA_ARGS__)                                                                           \
    T(7, 7, __VA_ARGS__) T(4, 4, __VA_ARGS__) T(2, 2, __VA_ARGS__) T(1, 1, __VA_ARGS__)
#define KATA__CONV_POOL_PAIRS(T, ...)                                                              \
    T(12, 6, __VA_ARGS__) T(8, 4, __VA_ARGS__) T(4, 2, __VA_ARGS__)
#define KATA__CONV_POOL_SINGLES(T, ...)                                                            \
    T(16, 8, __VA_ARGS__) T(8, 4, __VA_ARGS__) T(4, 2, __VA_ARGS__)
#define KATA__CONV_SHARED(T, ...)                                                                  \
    T(24, 24, __VA_ARGS__)                                                                         \
    T(20, 20, __VA_ARGS__)                                                                         \
    T(16, 16, __VA_ARGS__)                                                                         \
    T(14, 14, __VA_ARGS__)                                                                         \
    T(12, 12, __VA_ARGS__)                                                                         \
    T(10, 10, __VA_ARGS__)                                                                         \
    T(8, 8, __VA_ARGS__)                                                                           \
    T(7, 7, __VA_ARGS__)                                                                           \
    T(4, 4, __VA_ARGS__) T(3, 3, __VA_ARGS__) T(2, 2, __VA_ARGS__) T(1, 1, __VA_ARGS__)
#define KATA__CONV_POOL_SHARED(T, ...)                                                             \
    T(24, 12, __VA_ARGS__)                                                                         \
    T(20, 10, __VA_ARGS__)                                                                         \
    T(16, 8, __VA_ARGS__) T(12, 6, __VA_ARGS__) T(8, 4, __VA_ARGS__) T(4, 2, __VA_ARGS__)
#elif KATA__VECTOR_BYTES == 32
#define KATA__CONV_PAIRS(T, ...)                                                                   \
    T(6, 6, __VA_ARGS__)                                                                           \
    T(5, 5, __VA_ARGS__)                                                                           \
    T(4, 4, __VA_ARGS__) T(3, 3, __VA_ARGS__) T(2, 2, __VA_ARGS__) T(1, 1, __VA_ARGS__)
#define KATA__CONV_SINGLES(T, ...)                                                                 \
    T(12, 12, __VA_ARGS__)                                                                         \
    T(8, 8, __VA_ARGS__)                                                                           \
    T(7, 7, __VA_ARGS__) T(4, 4, __VA_ARGS__) T(2, 2, __VA_ARGS__) T(1, 1, __VA_ARGS__)
#define KATA__CONV_POOL_PAIRS(T, ...) T(4, 2, __VA_ARGS__)
#define KATA__CONV_POOL_SINGLES(T, ...)                                                            \
    T(12, 6, __VA_ARGS__) T(8, 4, __VA_ARGS__) T(4, 2, __VA_ARGS__)
#define KATA__CONV_SHARED(T, ...)                                                                  \
    T(10, 10, __VA_ARGS__)                                                                         \
    T(8, 8, __VA_ARGS__)                                                                           \
    T(7, 7, __VA_ARGS__)                                                                           \
    T(4, 4, __VA_ARGS__) T(3, 3, __VA_ARGS__) T(2, 2, __VA_ARGS__) T(1, 1, __VA_ARGS__)
#define KATA__CONV_POOL_SHARED(T, ...)                                                             \
    T(12, 6, __VA_ARGS__) T(8, 4, __VA_ARGS__) T(4, 2, __VA_ARGS__)
#else
#define KATA__CONV_PAIRS(T, ...)                                                                   \
    T(4, 4, __VA_ARGS__) T(3, 3, __VA_ARGS__) T(2, 2, __VA_ARGS__) T(1, 1, __VA_ARGS__)
#define KATA__CONV_SINGLES(T, ...)                                                                 \
    T(8, 8, __VA_ARGS__) T(4, 4, __VA_ARGS__) T(2, 2, __VA_ARGS__) T(1, 1, __VA_ARGS__)
#define KATA__CONV_POOL_PAIRS(T, ...) T(4, 2, __VA_ARGS__)
#define KATA__CONV_POOL_SINGLES(T, ...) T(8, 4, __VA_ARGS__) T(4, 2, __VA_ARGS__)
#define KATA__CONV_SHARED(T, ...)                                                                  \
    T(8, 8, __VA_ARGS__)                                                                           \
    T(7, 7, __VA_ARGS__)                                                                           \
    T(4, 4, __VA_ARGS__) T(3, 3, __VA_ARGS__) T(2, 2, __VA_ARGS__) T(1, 1, __VA_ARGS__)
#define KATA__CONV_POOL_SHARED(T, ...) T(8, 4, __VA_ARGS__) T(4, 2, __VA_ARGS__)
#endif

/* With 3 taps to a row there are registers for more. */
#if KATA__VECTOR_BYTES == 64
#define KATA__CONV_UNIT_PAIRS(T, ...)                                                              \
    T(14, 14, __VA_ARGS__)                                                                         \
    T(12, 12, __VA_ARGS__)                                                                         \
    T(10, 10, __VA_ARGS__)                                                                         \
    T(8, 8, __VA_ARGS__)                                                                           \
    T(7, 7, __VA_ARGS__)                                                                           \
    T(4, 4, __VA_ARGS__) T(3, 3, __VA_ARGS__) T(2, 2, __VA_ARGS__) T(1, 1, __VA_ARGS__)
#define KATA__CONV_SHARED_3(T, ...) T(28, 28, __VA_ARGS__) KATA__CONV_SHARED(T, __VA_ARGS__)
#define KATA__CONV_POOL_SHARED_3(T, ...)                                                           \
    T(28, 14, __VA_ARGS__) KATA__CONV_POOL_SHARED(T, __VA_ARGS__)
#else
#define KATA__CONV_UNIT_PAIRS KATA__CONV_PAIRS
#define KATA__CONV_SHARED_3 KATA__CONV_SHARED
#define KATA__CONV_POOL_SHARED_3 KATA__CONV_POOL_SHARED
#endif

#define KATA__CONV_TILE_NAME(name, pixels) NAME(conv_tile_##name##_##pixels)
#define KATA__CONV_TILE(pixels, width, name, vectors, mode, pool)                                  \
    static void KATA__CONV_TILE_NAME(name, pixels)(const NAME(conv_tile) *t) {                     \
        NAME(conv_tile_body)(t, pixels, width, vectors, mode, pool);                               \
    }
#define KATA__CONV_SHARED_TILE(pixels, columns, name, kw, unit, pool)                              \
    static void KATA__CONV_TILE_NAME(name, pixels)(const NAME(conv_tile) *t) {                     \
        NAME(conv_shared_body)(t, columns, kw, unit, pool);                                        \
    }
#define KATA__CONV_ONE(pixels, width, name) +1
#define KATA__CONV_TILE_PIXELS(pixels, width, name) pixels,
#define KATA__CONV_TILE_ENTRY(pixels, width, name) KATA__CONV_TILE_NAME(name, pixels),
#define KATA__CONV_TILES(list, name)                                                               \
    static const NAME(conv_tiles) NAME(conv_tiles_##name) = {0 list(KATA__CONV_ONE, name),         \
                                                             {list(KATA__CONV_TILE_PIXELS, name)}, \
                                                             {list(KATA__CONV_TILE_ENTRY, name)}};

KATA__CONV_PAIRS(KATA__CONV_TILE, two, 2, KATA__CONV_BROADCAST, false)
KATA__CONV_UNIT_PAIRS(KATA__CONV_TILE, unit_two, 2, KATA__CONV_UNIT, false)
KATA__CONV_POOL_PAIRS(KATA__CONV_TILE, unit_pool_two, 2, KATA__CONV_UNIT, true)
KATA__CONV_SINGLES(KATA__CONV_TILE, one, 1, KATA__CONV_BROADCAST, false)
KATA__CONV_SINGLES(KATA__CONV_TILE, depthwise, 1, KATA__CONV_DEPTHWISE, false)
KATA__CONV_POOL_PAIRS(KATA__CONV_TILE, pool_two, 2, KATA__CONV_BROADCAST, true)
KATA__CONV_POOL_SINGLES(KATA__CONV_TILE, pool_one, 1, KATA__CONV_BROADCAST, true)
KATA__CONV_POOL_SINGLES(KATA__CONV_TILE, pool_depthwise, 1, KATA__CONV_DEPTHWISE, true)
KATA__CONV_SHARED_3(KATA__CONV_SHARED_TILE, shared_3, 3, false, false)
KATA__CONV_SHARED_3(KATA__CONV_SHARED_TILE, unit_shared_3, 3, true, false)
KATA__CONV_SHARED(KATA__CONV_SHARED_TILE, shared_5, 5, false, false)
KATA__CONV_SHARED(KATA__CONV_SHARED_TILE, unit_shared_5, 5, true, false)
KATA__CONV_POOL_SHARED_3(KATA__CONV_SHARED_TILE, pool_shared_3, 3, false, true)
KATA__CONV_POOL_SHARED_3(KATA__CONV_SHARED_TILE, unit_pool_shared_3, 3, true, true)
KATA__CONV_POOL_SHARED(KATA__CONV_SHARED_TILE, pool_shared_5, 5, false, true)
KATA__CONV_POOL_SHARED(KATA__CONV_SHARED_TILE, unit_pool_shared_5, 5, true, true)
KATA__CONV_TILES(KATA__CONV_PAIRS, two)
KATA__CONV_TILES(KATA__CONV_UNIT_PAIRS, unit_two)
KATA__CONV_TILES(KATA__CONV_POOL_PAIRS, unit_pool_two)
KATA__CONV_TILES(KATA__CONV_SINGLES, one)
KATA__CONV_TILES(KATA__CONV_SINGLES, depthwise)
KATA__CONV_TILES(KATA__CONV_POOL_PAIRS, pool_two)
KATA__CONV_TILES(KATA__CONV_POOL_SINGLES, pool_one)
KATA__CONV_TILES(KATA__CONV_POOL_SINGLES, pool_depthwise)
KATA__CONV_TILES(KATA__CONV_SHARED_3, shared_3)
KATA__CONV_TILES(KATA__CONV_SHARED_3, unit_shared_3)
KATA__CONV_TILES(KATA__CONV_SHARED, shared_5)
KATA__CONV_TILES(KATA__CONV_SHARED, unit_shared_5)
KATA__CONV_TILES(KATA__CONV_POOL_SHARED_3, pool_shared_3)
KATA__CONV_TILES(KATA__CONV_POOL_SHARED_3, unit_pool_shared_3)
KATA__CONV_TILES(KATA__CONV_POOL_SHARED, pool_shared_5)
KATA__CONV_TILES(KATA__CONV_POOL_SHARED, unit_pool_shared_5)

/* Which tile is next where `left` units (pixels or windows of four) remain: parts as even as the
 * sizes allow. */
static int NAME(conv_pick)(const NAME(conv_tiles) *tiles, int64_t left, int unit) {
    const int64_t largest = tiles->pixels[0] / unit, parts = (left + largest - 1) / largest;
    int64_t wanted = (left + parts - 1) / parts * unit;
    for (;;) {
        for (int i = 0; i < tiles->n; i++) {
            if (tiles->pixels[i] == wanted) {
                return i;
            }
        }
        wanted = (wanted / unit + 1) / 2 * unit;
    }
}

/* A walk over the tiles of a piece. The taps of column kx lie inside the picture for the output
 * columns low[kx] .. high[kx] - 1. */
typedef struct NAME(conv_walk) {
    const kata__conv *conv;
    const REAL *x;    /* the image's first channel of the group */
    bool merge;       /* the taps of a row are neighbours in x */
    bool inside;      /* no tap of the tile's is on padding */
    int64_t oy, next; /* where the last tile was, and the column behind it */
    int pixels;
    int64_t *low, *high;
    uint32_t *row_mask, *column_mask;
    NAME(conv_segment) *whole, *part;
    int64_t n_whole;
    int64_t *offset;
    NAME(conv_tile) tile;
    int64_t residual_at[KATA__CONV_PIXELS];
} NAME(conv_walk);

/* Pixels bit, bit + 1, ... of the tile are `count` neighbours of output row oy from column ox on.
 */
KATA__LOCAL void NAME(conv_add_run)(NAME(conv_walk) *walk, int bit, int64_t count, int64_t oy,
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
KATA__LOCAL void NAME(conv_mask_run)(NAME(conv_walk) *walk, int bit, int64_t count, int64_t oy,
                                     int64_t ox) {
    const kata__conv *g = walk->conv;
    const int64_t y = oy * g->stride_h - g->pad_top;
    const uint32_t all = ((1u << count) - 1) << bit;
    for (int64_t i = 0; i < g->kh; i++) {
        const int64_t row = y + i * g->dilation_h;
        walk->row_mask[i] |= row >= 0 && row < g->h ? all : 0;
    }
    for (int64_t j = 0; j < g->kw; j++) {
        const int64_t low = walk->low[j] > ox ? walk->low[j] - ox : 0;
        const int64_t high = walk->high[j] - ox < count ? walk->high[j] - ox : count;
        if (low < high) {
            walk->column_mask[j] |= ((1u << (high - low)) - 1) << (bit + low);
        }
    }
}

/* The runs of a tile: `count` pixels from column ox of row oy on, or windows; their masks, or else
 * their addresses. */
KATA__LOCAL void NAME(conv_runs)(NAME(conv_walk) *walk, const bool masks, int64_t count,
                                 int64_t width, int64_t oy, int64_t ox, int pixels, bool pool) {
    for (int64_t done = 0; done < count;) {
        const int64_t n = width - ox < count - done ? width - ox : count - done;
        for (int row = 0; row < (pool ? 2 : 1); row++) {
            const int bit = pool ? row * pixels / 2 + (int)(2 * done) : (int)done;
            const int64_t y = pool ? 2 * oy + row : oy, x = pool ? 2 * ox : ox;
            if (masks) {
                NAME(conv_mask_run)(walk, bit, pool ? 2 * n : n, y, x);
            } else {
                NAME(conv_add_run)(walk, bit, pool ? 2 * n : n, y, x);
            }
        }
        done += n;
        ox = 0;
        oy++;
    }
}

/* Segments for a tile that reaches over the border. */
static void NAME(conv_part_segments)(NAME(conv_walk) *walk) {
    const kata__conv *g = walk->conv;
    NAME(conv_segment) *s = walk->part;
    const int64_t channels = walk->tile.channels;
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

/* Sets the tile's addresses and segments: `count` pixels or windows from column ox of row oy on. */
static void NAME(conv_place)(NAME(conv_walk) *walk, int64_t count, int64_t width, int64_t oy,
                             int64_t ox, int pixels, bool pool) {
    NAME(conv_tile) *t = &walk->tile;
    const kata__conv *g = walk->conv;
    /* The neighbour of a tile inside the picture, if it is inside too, is that tile moved. */
    const bool neighbour = walk->inside && walk->pixels == pixels && walk->oy == oy &&
                           walk->next == ox && ox + count <= width && !t->residual_at;
    walk->pixels = pixels;
    walk->oy = oy;
    walk->next = ox + count;
    if (neighbour && (walk->next * (pool ? 2 : 1) - 1) * g->stride_w - g->pad_left +
                             (g->kw - 1) * g->dilation_w <
                         g->w) {
        const int64_t moved = count * (pool ? 2 : 1) * g->stride_w * g->c;
        for (int i = 0; i < KATA__CONV_MOVED; i++) {
            t->x[i] += moved;
        }
        return;
    }
    walk->inside = true;
    NAME(conv_runs)(walk, false, count, width, oy, ox, pixels, pool);
    if (walk->inside) {
        t->offset = walk->offset;
        t->segments = walk->whole;
        t->n_segments = walk->n_whole;
        for (int64_t s = 0; s < walk->n_whole; s++) {
            walk->whole[s].mask = (1u << pixels) - 1;
        }
    } else {
        memset(walk->row_mask, 0, (size_t)(g->kh + g->kw) * sizeof(uint32_t));
        NAME(conv_runs)(walk, true, count, width, oy, ox, pixels, pool);
        NAME(conv_part_segments)(walk);
    }
}

/* The same for shared taps: input pixels and their masks, `columns` of row oy (pool: and of the
 * next). */
static void NAME(conv_place_shared)(NAME(conv_walk) *walk, int64_t columns, int64_t oy, int64_t ox,
                                    bool pool) {
    const kata__conv *g = walk->conv;
    NAME(conv_tile) *t = &walk->tile;
    const int64_t inputs = columns + g->kw - 1, y = oy - g->pad_top, x = ox - g->pad_left;
    const int64_t low = x < 0 ? (-x < inputs ? -x : inputs) : 0;
    const int64_t high = g->w - x < inputs ? (g->w - x > low ? g->w - x : low) : inputs;
    const uint32_t mask = (uint32_t)((((uint64_t)1 << (high - low)) - 1) << low);
    const int rows = pool ? 2 : 1;
    for (int row = 0; row < rows; row++) {
        const REAL *at = walk->x + ((y + row * g->stride_h) * g->w + x) * g->c;
        for (int64_t i = 0; i < inputs; i++) {
            t->x[row * inputs + i] = at + i * g->c;
        }
        for (int64_t i = 0; t->residual_at && i < columns; i++) {
            walk->residual_at[row * columns + i] = ((oy + row) * g->ow + ox + i) * g->f;
        }
    }
    NAME(conv_segment) *s = walk->part;
    for (int64_t i = 0; i < g->kh; i++) {
        const int64_t from = y + i * g->dilation_h;
        const uint32_t first = from >= 0 && from < g->h ? mask : 0;
        const uint32_t second =
            pool && from + 1 >= 0 && from + 1 < g->h ? (uint32_t)((uint64_t)mask << inputs) : 0;
        if (first | second) {
            *s++ = (NAME(conv_segment)){.x = i * g->dilation_h * g->w * g->c,
                                        .weight = i * g->kw * t->channels,
                                        .length = (int32_t)t->channels,
                                        .mask = first | second};
        }
    }
    t->segments = walk->part;
    t->n_segments = s - walk->part;
}

/* What does not depend on the tile: limits of the columns, segments or offsets of a tile inside. */
static void NAME(conv_walk_begin)(NAME(conv_walk) *walk, bool depthwise, int64_t *scratch) {
    const kata__conv *g = walk->conv;
    const int64_t taps = g->kh * g->kw, channels = depthwise ? 1 : g->c / g->groups;
    walk->tile.channels = channels;
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
    const int64_t run = walk->merge ? g->kw * channels : channels;
    walk->offset = NULL;
    if (run < KATA__CONV_SHORT_RUN) {
        walk->offset = offset;
        for (int64_t t = 0; t < taps; t++) {
            const int64_t at =
                (t / g->kw * g->dilation_h * g->w + t % g->kw * g->dilation_w) * g->c;
            for (int64_t c = 0; c < channels; c++) {
                *offset++ = at + c;
            }
        }
    }
    NAME(conv_segment) *s = walk->whole;
    for (int64_t i = 0; i < g->kh; i++) {
        for (int64_t j = 0; j < (walk->merge ? 1 : g->kw); j++) {
            *s++ = (NAME(conv_segment)){
                .x = (i * g->dilation_h * g->w + j * g->dilation_w) * g->c,
                .weight = (i * g->kw + j) * channels,
                .length = (int32_t)run,
            };
        }
    }
    walk->n_whole = s - walk->whole;
    walk->tile.terms = taps * channels;
}

/* Vectors of panel p, counted over all groups. */
static int NAME(conv_vectors)(int64_t fg, int64_t most, int64_t panels, int64_t p) {
    return most > LANES && fg - p % panels * most > LANES ? 2 : 1;
}

static void NAME(conv_nhwc_rows)(const kata__conv_nhwc_piece *piece, const bool depthwise) {
    const kata__conv *g = piece->conv;
    const kata__conv_store *store = piece->store;
    const int64_t groups = depthwise ? 1 : g->groups, fg = g->f / groups, cg = g->c / g->groups;
    const int64_t most = depthwise ? LANES : 2 * LANES, panels = (fg + most - 1) / most;
    const int64_t rounded = (fg + LANES - 1) / LANES * LANES;
    const bool pool = store->pool;
    const int unit = pool ? 4 : 1;
    const int64_t width = pool ? g->ow / 2 : g->ow;
    const bool far = g->oh * width * g->f * (int64_t)sizeof(REAL) > KATA__CONV_NEAR;
    /* The column behind the last that has all taps inside. */
    const int64_t reach = (g->kw - 1) * g->dilation_w - g->pad_left;
    const int64_t all_inside = (g->w - reach) / (pool ? 2 : 1);
    const int64_t inside = all_inside < width ? all_inside : width;
    const bool padded = g->pad_left > 0 || (g->ow - 1) * g->stride_w + reach >= g->w;
    const bool shareable = !depthwise && (g->kw == 3 || g->kw == 5) && g->stride_h == 1 &&
                           g->stride_w == 1 && g->dilation_w == 1;
    const bool unit_step = g->c == 1 && g->stride_w == 1;
    NAME(conv_walk) walk = {.conv = g};
    NAME(conv_tile) *t = &walk.tile;
    NAME(conv_walk_begin)(&walk, depthwise, piece->scratch);
    t->y_step = g->f;
    t->relu = store->relu;
    if (store->residual || store->mask) {
        t->residual_at = walk.residual_at;
    }

    const int64_t panel_bytes = t->terms * most * (int64_t)sizeof(REAL);
    const int64_t together =
        panel_bytes < KATA__CONV_WEIGHTS ? KATA__CONV_WEIGHTS / panel_bytes : 1;
    walk.x = piece->x;
    const char *soon = piece->soon;
    for (int64_t p = piece->first_panel, end; p < piece->last_panel; p = end) {
        /* Panels of as many vectors whose weights stay in the second-level cache go together: all
         * of them for a tile, then the next tile. */
        const int vectors = NAME(conv_vectors)(fg, most, panels, p);
        for (end = p + 1; end < piece->last_panel && end < p + together &&
                          NAME(conv_vectors)(fg, most, panels, end) == vectors;) {
            end++;
        }
        const NAME(conv_tiles) *tiles;
        const bool shared = shareable && vectors == 1;
        if (depthwise) {
            tiles = pool ? &NAME(conv_tiles_pool_depthwise) : &NAME(conv_tiles_depthwise);
        } else if (shared && g->kw == 3) {
            tiles = unit_step
                        ? (pool ? &NAME(conv_tiles_unit_pool_shared_3)
                                : &NAME(conv_tiles_unit_shared_3))
                        : (pool ? &NAME(conv_tiles_pool_shared_3) : &NAME(conv_tiles_shared_3));
        } else if (shared) {
            tiles = unit_step
                        ? (pool ? &NAME(conv_tiles_unit_pool_shared_5)
                                : &NAME(conv_tiles_unit_shared_5))
                        : (pool ? &NAME(conv_tiles_pool_shared_5) : &NAME(conv_tiles_shared_5));
        } else if (vectors == 2 && unit_step) {
            tiles = pool ? &NAME(conv_tiles_unit_pool_two) : &NAME(conv_tiles_unit_two);
        } else if (vectors == 2) {
            tiles = pool ? &NAME(conv_tiles_pool_two) : &NAME(conv_tiles_two);
        } else {
            tiles = pool ? &NAME(conv_tiles_pool_one) : &NAME(conv_tiles_one);
        }
        /* Tiles that reach around a row's end have masks that are slow, but for two narrow rows. */
        const bool in_row = shared || unit_step ||
                            (padded && 2 * width * unit != tiles->pixels[0] &&
                             width * unit >= tiles->pixels[0] / 2);
        const bool strips = vectors == 2 && unit_step && walk.offset && !t->residual_at;
        walk.inside = false;
        int64_t oy = piece->first_row, ox = 0;
        int size = 0;
        bool even = false; /* tiles of this size fill the row */
        while (width > 0 && oy < piece->last_row) {
            const int64_t left = in_row ? width - ox : (piece->last_row - oy) * width - ox;
            if (!even || left < tiles->pixels[size] / unit) {
                size = NAME(conv_pick)(tiles, left, unit);
                even = left % (tiles->pixels[size] / unit) == 0;
            }
            const int pixels = tiles->pixels[size];
            const int64_t to = (oy * width + ox) * g->f;
            int64_t count = pixels / unit;
            if (shared) {
                NAME(conv_place_shared)
                (&walk, pool ? 2 * count : count, pool ? 2 * oy : oy, pool ? 2 * ox : ox, pool);
            } else {
                NAME(conv_place)(&walk, count, width, oy, ox, pixels, pool);
            }
            t->strip = 1;
            if (strips && even && walk.inside) {
                t->strip = (inside - ox) / count;
                count *= t->strip;
            }
            if (soon != NULL) {
                const char *here = piece->soon + (to + count * g->f) * (int64_t)sizeof(REAL);
                for (; soon < here; soon += 64) {
                    KATA__PREFETCH_WRITE(soon);
                }
            }
            for (int64_t q = p; q < end; q++) {
                const int64_t group = q / panels, in_group = q % panels * most;
                const int64_t f = group * fg + in_group;
                const int64_t channels = fg - in_group < most ? fg - in_group : most;
                t->shift = depthwise ? f : group * cg;
                t->weight = piece->weight + t->terms * (group * rounded + in_group);
                t->last = (int)channels - (vectors - 1) * LANES;
                t->bias = store->bias ? store->bias + f : NULL;
                t->residual = piece->residual ? piece->residual + f : NULL;
                t->relu_mask = piece->mask ? piece->mask + f : NULL;
                t->y = piece->y + to + f;
                t->index = piece->index ? piece->index + to + f : NULL;
                if (far) {
                    for (int64_t i = 0; i < count; i++) {
                        for (int v = 0; v < vectors; v++) {
                            __builtin_prefetch(t->y + i * g->f + v * LANES, 1, 2);
                        }
                    }
                }
                tiles->function[size](t);
            }
            ox += count;
            while (ox >= width) {
                ox -= width;
                oy++;
                even = false;
            }
        }
    }
}

static void NAME(conv_nhwc_piece)(const kata__conv_nhwc_piece *piece) {
    NAME(conv_nhwc_rows)(piece, false);
}

static void NAME(conv_nhwc_depthwise)(const kata__conv_nhwc_piece *piece) {
    NAME(conv_nhwc_rows)(piece, true);
}

static const kata__conv_nhwc_table NAME(kata__conv_nhwc) = {
    .lanes = LANES,
    .panel = 2 * LANES,
    .piece = NAME(conv_nhwc_piece),
    .depthwise = NAME(conv_nhwc_depthwise),
};
