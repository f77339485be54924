/* Pooling of NHWC rows: vectors go along the channels. Float32 only. */

typedef uint8_t kata__pool_bytes __attribute__((vector_size(LANES)));

/* The taps of a window that lie inside, rows [i0,i1) by columns [j0,j1), and where tap (0,0) is. */
typedef struct kata__pool_window {
    int64_t y, x;
    int64_t i0, i1, j0, j1;
} kata__pool_window;

/* Taps k with 0 <= start + k dilation < size. */
KATA__LOCAL void kata__pool_inside(int64_t start, int64_t dilation, int64_t taps, int64_t size,
                                   int64_t *first, int64_t *last) {
    if (start >= 0 && start + (taps - 1) * dilation < size) {
        *first = 0;
        *last = taps;
        return;
    }
    *first = start >= 0 ? 0 : (-start + dilation - 1) / dilation;
    *last = start >= size ? 0 : (size - start + dilation - 1) / dilation;
    *last = *last < taps ? *last : taps;
}

KATA__LOCAL kata__pool_bytes kata__pool_load_bytes(const uint8_t *p, int count) {
    kata__pool_bytes bytes;
    if (count == LANES) {
        memcpy(&bytes, p, sizeof bytes);
    } else {
        memset(&bytes, 0, sizeof bytes);
        for (int i = 0; i < count; i++) {
            bytes[i] = p[i];
        }
    }
    return bytes;
}

KATA__LOCAL void kata__pool_store_bytes(uint8_t *p, kata__pool_bytes bytes, int count) {
    if (count == LANES) {
        memcpy(p, &bytes, sizeof bytes);
    } else {
        for (int i = 0; i < count; i++) {
            p[i] = bytes[i];
        }
    }
}

KATA__LOCAL VEC kata__pool_load(const float *p, int count) {
    return count == LANES ? NAME(load)(p) : NAME(load_first)(p, count);
}

KATA__LOCAL void kata__pool_store(float *p, VEC v, int count) {
    if (count == LANES) {
        NAME(store)(p, v);
    } else {
        NAME(store_first)(p, v, count);
    }
}

/* ---- maximum ---- */

/* Lanes in which a NaN was seen. Not KATA__MARKS: GCC carries a mask from window to window through
 * other registers. */
KATA__LOCAL IVEC kata__pool_mark(IVEC nan, VEC a, VEC b) {
#if KATA__VECTOR_BYTES == 64
    return (IVEC)_mm512_mask_mov_epi32((__m512i)nan, NAME(unordered)(a, b), _mm512_set1_epi32(-1));
#else
    return nan | NAME(unordered)(a, b);
#endif
}

KATA__LOCAL bool kata__pool_any(IVEC nan) {
#if KATA__VECTOR_BYTES == 64
    return NAME(any)(_mm512_movepi32_mask((__m512i)nan));
#else
    return NAME(any)(nan);
#endif
}

/* A window's maximum in `count` channels, and its place; x points to tap (0,0). The window has
 * n_kh x n_kw taps that are all inside, and its NaNs are marked in `nan`, or, if n_kh is 0, those
 * of `w`. */
KATA__LOCAL void kata__pool_maximum_one(const kata__conv *g, const kata__pool_window *w,
                                        const float *x, int64_t row, int64_t column, float *y,
                                        uint8_t *index, int count, const int n_kh, const int n_kw,
                                        IVEC *nan) {
    VEC best;
    IVEC place = {0};
    if (LANES == 16 && n_kh == 2) { /* here exact steps cost less than marks */
        const VEC window[4] = {kata__pool_load(x, count), kata__pool_load(x + column, count),
                               kata__pool_load(x + row, count),
                               kata__pool_load(x + row + column, count)};
        best = NAME(window_of_four)(window, index ? &place : NULL);
    } else if (n_kh > 0) {
        VEC before = best = kata__pool_load(x, count);
        place = (IVEC){0};
        KATA__UNROLL
        for (int t = 1; t < n_kh * n_kw; t++) {
            const VEC v = kata__pool_load(x + t / n_kw * row + t % n_kw * column, count);
            if (t % 2 != 0 || t == n_kh * n_kw - 1) {
                *nan = kata__pool_mark(*nan, before, v);
            }
            before = v;
            NAME(window_next)(v, t, &best, index ? &place : NULL);
        }
    } else {
        best = kata__pool_load(x + (w->i1 - 1) * row + (w->j1 - 1) * column, count);
        place = (int32_t)((w->i1 - 1) * g->kw + w->j1 - 1) - (IVEC){0};
        for (int64_t i = w->i1 - 1; i >= w->i0; i--) {
            for (int64_t j = w->j1 - 1; j >= w->j0; j--) {
                const VEC v = kata__pool_load(x + i * row + j * column, count);
                NAME(window_back)(v, (int32_t)(i * g->kw + j), &best, &place);
            }
        }
    }
    kata__pool_store(y, best, count);
    if (index) {
        kata__pool_store_bytes(index, __builtin_convertvector(place, kata__pool_bytes), count);
    }
}

KATA__LOCAL void kata__pool_maximum_channels(const kata__conv *g, const kata__pool_window *w,
                                             const float *x, float *y, uint8_t *index,
                                             const int n_kh, const int n_kw, IVEC *nan) {
    const int64_t row = g->dilation_h * g->w * g->c, column = g->dilation_w * g->c;
    int64_t c = 0;
    for (; c + LANES <= g->c; c += LANES) {
        kata__pool_maximum_one(g, w, x + c, row, column, y + c, index ? index + c : NULL, LANES,
                               n_kh, n_kw, nan);
    }
    if (c < g->c) {
        kata__pool_maximum_one(g, w, x + c, row, column, y + c, index ? index + c : NULL,
                               (int)(g->c - c), n_kh, n_kw, nan);
    }
}

/* Whether a NaN may be lost; not with `exact`, which goes the general way everywhere. */
KATA__LOCAL bool kata__pool_maximum_row(const kata__conv *g, const float *x, int64_t oy, float *y,
                                        uint8_t *index, const bool exact) {
    IVEC nan = {0};
    kata__pool_window w = {.y = oy * g->stride_h - g->pad_top};
    kata__pool_inside(w.y, g->dilation_h, g->kh, g->h, &w.i0, &w.i1);
    for (int64_t ox = 0; ox < g->ow; ox++, y += g->c, index = index ? index + g->c : NULL) {
        w.x = ox * g->stride_w - g->pad_left;
        kata__pool_inside(w.x, g->dilation_w, g->kw, g->w, &w.j0, &w.j1);
        const float *from = x + (w.y * g->w + w.x) * g->c;
        const bool whole = !exact && w.i1 - w.i0 == g->kh && w.j1 - w.j0 == g->kw;
        if (w.i0 >= w.i1 || w.j0 >= w.j1) { /* all of it is padding */
            for (int64_t c = 0; c < g->c; c++) {
                y[c] = -__builtin_inff();
                if (index) {
                    index[c] = KATA__POOL_NONE;
                }
            }
        } else if (whole && g->kh == 2 && g->kw == 2) {
            kata__pool_maximum_channels(g, &w, from, y, index, 2, 2, &nan);
        } else if (whole && g->kh == 3 && g->kw == 3) {
            kata__pool_maximum_channels(g, &w, from, y, index, 3, 3, &nan);
        } else {
            kata__pool_maximum_channels(g, &w, from, y, index, 0, 0, &nan);
        }
    }
    return kata__pool_any(nan);
}

static void kata__pool_maximum(const kata__conv *g, const float *x, int64_t oy, float *y,
                               uint8_t *index) {
    if (kata__pool_maximum_row(g, x, oy, y, index, false)) {
        kata__pool_maximum_row(g, x, oy, y, index, true);
    }
}

/* ---- gradients: each pixel of dx gathers from the windows that it lies in, in their order ---- */

/* The windows [*first, *last] in one direction that may hold place `at` (counted with the padding):
 * those with 0 <= at - o stride <= reach. For growing `at` from 0 on they only grow. */
KATA__LOCAL void kata__pool_windows(int64_t at, int64_t stride, int64_t reach, int64_t count,
                                    int64_t *first, int64_t *last) {
    while (*first < count && *first * stride + reach < at) {
        ++*first;
    }
    while (*last + 1 < count && (*last + 1) * stride <= at) {
        ++*last;
    }
}

/* The tap of window o that lies on place `at`, or -1. */
KATA__LOCAL int64_t kata__pool_tap(int64_t at, int64_t o, int64_t stride, int64_t dilation) {
    const int64_t distance = at - o * stride;
    if (dilation == 1) {
        return distance;
    }
    return distance % dilation == 0 ? distance / dilation : -1;
}

/* d in the lanes whose byte is `place`, 0 in the others. */
KATA__LOCAL VEC kata__pool_where(kata__pool_bytes bytes, int64_t place, VEC d) {
#if KATA__VECTOR_BYTES == 64
    return (VEC)_mm512_maskz_mov_ps(_mm_cmpeq_epi8_mask((__m128i)bytes, _mm_set1_epi8((char)place)),
                                    (__m512)d);
#else
    return NAME(select)(__builtin_convertvector(bytes, IVEC) == (int32_t)place, d, (VEC){0});
#endif
}

/* Windows without overlap, two by two, at the even places of dx: one load of dy and index serves
 * two neighbours of a row. */
static void kata__pool_maximum_gradient_2x2(const kata__conv *g, const float *dy,
                                            const uint8_t *index, int64_t iy, float *dx) {
    const int64_t oy = iy / 2, place = iy % 2 * 2, c_last = g->c / LANES * LANES;
    const int rest = (int)(g->c - c_last);
    int64_t pixels = 0;
    if (oy < g->oh) {
        pixels = g->ow;
        dy += oy * g->ow * g->c;
        index += oy * g->ow * g->c;
        for (int64_t ox = 0; ox < pixels; ox++, dy += g->c, index += g->c, dx += 2 * g->c) {
            for (int64_t c = 0; c < c_last; c += LANES) {
                const VEC d = NAME(load)(dy + c);
                const kata__pool_bytes bytes = kata__pool_load_bytes(index + c, LANES);
                NAME(store)(dx + c, kata__pool_where(bytes, place, d));
                NAME(store)(dx + g->c + c, kata__pool_where(bytes, place + 1, d));
            }
            if (rest > 0) {
                const VEC d = NAME(load_first)(dy + c_last, rest);
                const kata__pool_bytes bytes = kata__pool_load_bytes(index + c_last, rest);
                NAME(store_first)(dx + c_last, kata__pool_where(bytes, place, d), rest);
                NAME(store_first)
                (dx + g->c + c_last, kata__pool_where(bytes, place + 1, d), rest);
            }
        }
    }
    memset(dx, 0, (size_t)((g->w - 2 * pixels) * g->c) * sizeof(float));
}

/* A pixel of dx, and the windows that may hold it. */
typedef struct kata__pool_pixel {
    int64_t y, x; /* counted with the padding */
    int64_t oy0, oy1, ox0, ox1;
} kata__pool_pixel;

/* The windows that do hold a pixel: where each one is in dy, and the pixel's place in it. */
typedef struct kata__pool_holders {
    int n;
    int64_t at[KATA__POOL_NONE];
    uint8_t place[KATA__POOL_NONE];
} kata__pool_holders;

KATA__LOCAL VEC kata__pool_gather_maximum(const kata__pool_holders *h, const float *dy,
                                          const uint8_t *index, int count) {
    VEC sum = {0};
    for (int i = 0; i < h->n; i++) {
        sum += kata__pool_where(kata__pool_load_bytes(index + h->at[i], count), h->place[i],
                                kata__pool_load(dy + h->at[i], count));
    }
    return sum;
}

static void kata__pool_maximum_gradient(const kata__conv *g, const float *dy, const uint8_t *index,
                                        int64_t iy, float *dx) {
    if (g->kh == 2 && g->kw == 2 && g->stride_h == 2 && g->stride_w == 2 && g->dilation_h == 1 &&
        g->dilation_w == 1 && g->pad_top == 0 && g->pad_left == 0 && 2 * g->oh <= g->h &&
        2 * g->ow <= g->w) {
        kata__pool_maximum_gradient_2x2(g, dy, index, iy, dx);
        return;
    }
    kata__pool_pixel p = {.y = iy + g->pad_top, .oy1 = -1, .ox1 = -1};
    kata__pool_windows(p.y, g->stride_h, (g->kh - 1) * g->dilation_h, g->oh, &p.oy0, &p.oy1);
    for (int64_t x = 0; x < g->w; x++, dx += g->c) {
        p.x = x + g->pad_left;
        kata__pool_windows(p.x, g->stride_w, (g->kw - 1) * g->dilation_w, g->ow, &p.ox0, &p.ox1);
        kata__pool_holders h;
        h.n = 0;
        for (int64_t oy = p.oy0; oy <= p.oy1; oy++) {
            const int64_t i = kata__pool_tap(p.y, oy, g->stride_h, g->dilation_h);
            for (int64_t ox = p.ox0; i >= 0 && ox <= p.ox1; ox++) {
                const int64_t j = kata__pool_tap(p.x, ox, g->stride_w, g->dilation_w);
                if (j >= 0) {
                    h.at[h.n] = (oy * g->ow + ox) * g->c;
                    h.place[h.n++] = (uint8_t)(i * g->kw + j);
                }
            }
        }
        int64_t c = 0;
        for (; c + LANES <= g->c; c += LANES) {
            NAME(store)(dx + c, kata__pool_gather_maximum(&h, dy + c, index + c, LANES));
        }
        if (c < g->c) {
            const int rest = (int)(g->c - c);
            NAME(store_first)(dx + c, kata__pool_gather_maximum(&h, dy + c, index + c, rest), rest);
        }
    }
}

/* ---- average ---- */

/* `vectors` neighbouring vectors of channels at once: their lines lie together. */
KATA__LOCAL void kata__pool_average_some(const kata__conv *g, const kata__pool_window *w,
                                         const float *x, float count, float *y, int lanes,
                                         const int vectors) {
    const int64_t row = g->dilation_h * g->w * g->c, column = g->dilation_w * g->c;
    VEC sum[4];
    KATA__UNROLL
    for (int v = 0; v < vectors; v++) {
        sum[v] = (VEC){0};
    }
    for (int64_t i = w->i0; i < w->i1; i++) {
        for (int64_t j = w->j0; j < w->j1; j++) {
            const float *from = x + i * row + j * column;
            KATA__UNROLL
            for (int v = 0; v < vectors; v++) {
                sum[v] += kata__pool_load(from + v * LANES, lanes);
            }
        }
    }
    KATA__UNROLL
    for (int v = 0; v < vectors; v++) {
        kata__pool_store(y + v * LANES, sum[v] / NAME(splat)(count), lanes);
    }
}

static void kata__pool_average(const kata__conv *g, bool count_include_pad, const float *x,
                               int64_t oy, float *y) {
    kata__pool_window w = {.y = oy * g->stride_h - g->pad_top};
    kata__pool_inside(w.y, g->dilation_h, g->kh, g->h, &w.i0, &w.i1);
    for (int64_t ox = 0; ox < g->ow; ox++, y += g->c) {
        w.x = ox * g->stride_w - g->pad_left;
        kata__pool_inside(w.x, g->dilation_w, g->kw, g->w, &w.j0, &w.j1);
        const int64_t inside = (w.i1 > w.i0 ? w.i1 - w.i0 : 0) * (w.j1 > w.j0 ? w.j1 - w.j0 : 0);
        const int64_t count = count_include_pad ? g->kh * g->kw : inside;
        if (inside == 0) {
            memset(y, 0, (size_t)g->c * sizeof(float));
            continue;
        }
        const float *from = x + (w.y * g->w + w.x) * g->c;
        int64_t c = 0;
        for (; c + 4 * LANES <= g->c; c += 4 * LANES) {
            kata__pool_average_some(g, &w, from + c, (float)count, y + c, LANES, 4);
        }
        for (; c + LANES <= g->c; c += LANES) {
            kata__pool_average_some(g, &w, from + c, (float)count, y + c, LANES, 1);
        }
        if (c < g->c) {
            kata__pool_average_some(g, &w, from + c, (float)count, y + c, (int)(g->c - c), 1);
        }
    }
}

/* dx (a row) += dy[oy][ox] share. */
static void kata__pool_average_add(const kata__conv *g, const float *dy, float share, bool first,
                                   float *dx) {
    const VEC s = NAME(splat)(share);
    int64_t c = 0;
    for (; c + LANES <= g->c; c += LANES) {
        const VEC d = NAME(load)(dy + c) * s;
        NAME(store)(dx + c, first ? d : NAME(load)(dx + c) + d);
    }
    if (c < g->c) {
        const int rest = (int)(g->c - c);
        const VEC d = NAME(load_first)(dy + c, rest) * s;
        NAME(store_first)(dx + c, first ? d : NAME(load_first)(dx + c, rest) + d, rest);
    }
}

static void kata__pool_average_gradient(const kata__conv *g, bool count_include_pad,
                                        const float *dy, int64_t iy, float *dx) {
    kata__pool_pixel p = {.y = iy + g->pad_top, .oy1 = -1, .ox1 = -1};
    kata__pool_windows(p.y, g->stride_h, (g->kh - 1) * g->dilation_h, g->oh, &p.oy0, &p.oy1);
    for (int64_t x = 0; x < g->w; x++, dx += g->c) {
        p.x = x + g->pad_left;
        kata__pool_windows(p.x, g->stride_w, (g->kw - 1) * g->dilation_w, g->ow, &p.ox0, &p.ox1);
        bool first = true;
        for (int64_t oy = p.oy0; oy <= p.oy1; oy++) {
            if (kata__pool_tap(p.y, oy, g->stride_h, g->dilation_h) < 0) {
                continue;
            }
            int64_t i0, i1;
            kata__pool_inside(oy * g->stride_h - g->pad_top, g->dilation_h, g->kh, g->h, &i0, &i1);
            for (int64_t ox = p.ox0; ox <= p.ox1; ox++) {
                if (kata__pool_tap(p.x, ox, g->stride_w, g->dilation_w) < 0) {
                    continue;
                }
                int64_t j0, j1;
                kata__pool_inside(ox * g->stride_w - g->pad_left, g->dilation_w, g->kw, g->w, &j0,
                                  &j1);
                const int64_t count = count_include_pad ? g->kh * g->kw : (i1 - i0) * (j1 - j0);
                kata__pool_average_add(g, dy + (oy * g->ow + ox) * g->c, 1.0f / (float)count, first,
                                       dx);
                first = false;
            }
        }
        if (first) {
            memset(dx, 0, (size_t)g->c * sizeof(float));
        }
    }
}

static const kata__pool_nhwc_table kata__pool_nhwc = {
    .maximum = kata__pool_maximum,
    .maximum_gradient = kata__pool_maximum_gradient,
    .average = kata__pool_average,
    .average_gradient = kata__pool_average_gradient,
};
