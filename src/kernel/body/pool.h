/* Pooling of one plane. */

/* The rows or columns of a window that lie inside: taps [*first, *last) of `count`. */
KATA__LOCAL void NAME(pool_range)(int64_t start, int64_t dilation, int64_t count, int64_t size,
                                  int64_t *first, int64_t *last) {
    *first = start >= 0 ? 0 : (-start + dilation - 1) / dilation;
    *last = start >= size ? 0 : (size - start + dilation - 1) / dilation;
    *last = *last < count ? *last : count;
}

/* Whether one of two rows of n numbers has a NaN. */
KATA__LOCAL bool NAME(pool_has_nan)(const REAL *a, const REAL *b, int64_t n) {
    IVEC nan = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const VEC u = NAME(load)(a + i), v = NAME(load)(b + i);
        nan |= (u != u) | (v != v);
    }
    int found = 0;
    for (; i < n; i++) {
        found |= (a[i] != a[i]) | (b[i] != b[i]);
    }
    for (int k = 0; k < LANES; k++) {
        found |= nan[k] != 0;
    }
    return found != 0;
}

/* One row of 2x2 windows that have no NaN. */
static void NAME(max_pool_2x2)(const kata__conv *g, const REAL *x, int64_t oy, REAL *y,
                               int32_t *index) {
    const REAL *a = x + 2 * oy * g->w, *b = a + g->w;
    REAL *to = y + oy * g->ow;
    if (!index) {
        for (int64_t ox = 0; ox < g->ow; ox++) {
            REAL top = a[2 * ox + 1] > a[2 * ox] ? a[2 * ox + 1] : a[2 * ox];
            REAL low = b[2 * ox + 1] > b[2 * ox] ? b[2 * ox + 1] : b[2 * ox];
            to[ox] = low > top ? low : top;
        }
        return;
    }
    int32_t *where = index + oy * g->ow;
    const int32_t at = (int32_t)(2 * oy * g->w), w = (int32_t)g->w, ow = (int32_t)g->ow;
    for (int32_t ox = 0; ox < ow; ox++) {
        const REAL a0 = a[2 * ox], a1 = a[2 * ox + 1], b0 = b[2 * ox], b1 = b[2 * ox + 1];
        const REAL top = a1 > a0 ? a1 : a0, low = b1 > b0 ? b1 : b0;
        const int32_t top_at = a1 > a0, low_at = w + (b1 > b0);
        to[ox] = low > top ? low : top;
        where[ox] = at + 2 * ox + (low > top ? low_at : top_at);
    }
}

static void NAME(max_pool)(const kata__conv *g, const void *x_data, void *y_data, int32_t *index) {
    const REAL *x = x_data;
    REAL *y = y_data;
    const bool is_2x2 = g->kh == 2 && g->kw == 2 && g->stride_h == 2 && g->stride_w == 2 &&
                        g->dilation_h == 1 && g->dilation_w == 1 && g->pad_top == 0 &&
                        g->pad_left == 0 && 2 * g->oh <= g->h && 2 * g->ow <= g->w;
    for (int64_t oy = 0; oy < g->oh; oy++) {
        const REAL *rows = x + 2 * oy * g->w;
        if (is_2x2 && !NAME(pool_has_nan)(rows, rows + g->w, 2 * g->ow)) {
            NAME(max_pool_2x2)(g, x, oy, y, index);
            continue;
        }
        const int64_t y0 = oy * g->stride_h - g->pad_top;
        int64_t i0, i1;
        NAME(pool_range)(y0, g->dilation_h, g->kh, g->h, &i0, &i1);
        for (int64_t ox = 0; ox < g->ow; ox++) {
            const int64_t x0 = ox * g->stride_w - g->pad_left;
            int64_t j0, j1;
            NAME(pool_range)(x0, g->dilation_w, g->kw, g->w, &j0, &j1);
            REAL best = (REAL)-__builtin_inf();
            int64_t place = -1;
            for (int64_t i = i0; i < i1; i++) {
                const int64_t row = (y0 + i * g->dilation_h) * g->w + x0;
                for (int64_t j = j0; j < j1; j++) {
                    const int64_t at = row + j * g->dilation_w;
                    /* greater, or one of the two is a NaN, of which the first stays */
                    if (place < 0 || (!(x[at] <= best) && best == best)) {
                        best = x[at];
                        place = at;
                    }
                }
            }
            y[oy * g->ow + ox] = best;
            if (index) {
                index[oy * g->ow + ox] = (int32_t)place; /* -1: the window lies in the padding */
            }
        }
    }
}

static void NAME(max_pool_gradient)(const kata__conv *g, const void *dy_data, const int32_t *index,
                                    void *dx_data) {
    const REAL *dy = dy_data;
    REAL *dx = dx_data;
    memset(dx, 0, (size_t)(g->h * g->w) * sizeof(REAL));
    for (int64_t i = 0; i < g->oh * g->ow; i++) {
        if (index[i] >= 0) {
            dx[index[i]] += dy[i];
        }
    }
}

static void NAME(average_pool)(const kata__conv *g, bool count_include_pad, const void *x_data,
                               void *y_data) {
    const REAL *x = x_data;
    REAL *y = y_data;
    for (int64_t oy = 0; oy < g->oh; oy++) {
        const int64_t y0 = oy * g->stride_h - g->pad_top;
        int64_t i0, i1;
        NAME(pool_range)(y0, g->dilation_h, g->kh, g->h, &i0, &i1);
        for (int64_t ox = 0; ox < g->ow; ox++) {
            const int64_t x0 = ox * g->stride_w - g->pad_left;
            int64_t j0, j1;
            NAME(pool_range)(x0, g->dilation_w, g->kw, g->w, &j0, &j1);
            REAL sum = 0;
            for (int64_t i = i0; i < i1; i++) {
                const REAL *row = x + (y0 + i * g->dilation_h) * g->w + x0;
                for (int64_t j = j0; j < j1; j++) {
                    sum += row[j * g->dilation_w];
                }
            }
            const int64_t inside = (i1 > i0 ? i1 - i0 : 0) * (j1 > j0 ? j1 - j0 : 0);
            const int64_t count = count_include_pad ? g->kh * g->kw : inside;
            y[oy * g->ow + ox] = count > 0 ? sum / (REAL)count : 0;
        }
    }
}

static void NAME(average_pool_gradient)(const kata__conv *g, bool count_include_pad,
                                        const void *dy_data, void *dx_data) {
    const REAL *dy = dy_data;
    REAL *dx = dx_data;
    memset(dx, 0, (size_t)(g->h * g->w) * sizeof(REAL));
    for (int64_t oy = 0; oy < g->oh; oy++) {
        const int64_t y0 = oy * g->stride_h - g->pad_top;
        int64_t i0, i1;
        NAME(pool_range)(y0, g->dilation_h, g->kh, g->h, &i0, &i1);
        for (int64_t ox = 0; ox < g->ow; ox++) {
            const int64_t x0 = ox * g->stride_w - g->pad_left;
            int64_t j0, j1;
            NAME(pool_range)(x0, g->dilation_w, g->kw, g->w, &j0, &j1);
            const int64_t inside = (i1 > i0 ? i1 - i0 : 0) * (j1 > j0 ? j1 - j0 : 0);
            const int64_t count = count_include_pad ? g->kh * g->kw : inside;
            if (count == 0) {
                continue;
            }
            const REAL share = dy[oy * g->ow + ox] / (REAL)count;
            for (int64_t i = i0; i < i1; i++) {
                REAL *row = dx + (y0 + i * g->dilation_h) * g->w + x0;
                for (int64_t j = j0; j < j1; j++) {
                    row[j * g->dilation_w] += share;
                }
            }
        }
    }
}
