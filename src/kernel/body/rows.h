/* Bodies of softmax and the normalisations; see table_elementwise.h. Included after body/gemm.h and
 * body/elementwise.h. Sums are kept in double. */

/* ---- softmax ----
 *
 * Rows are taken several at a time, as many as fit in KATA__ROWS_BUFFER: the exponentials of all of
 * them are one loop, however short a row is. */
#ifndef KATA__ROWS_BUFFER
#define KATA__ROWS_BUFFER 1024
#define KATA__NARROW 16
#endif

static void NAME(softmax_short)(bool log_of_it, int64_t rows, int64_t n, const REAL *x, REAL *y) {
    REAL e[KATA__ROWS_BUFFER], shift[KATA__ROWS_BUFFER];
    const int64_t together = KATA__ROWS_BUFFER / n;
    for (int64_t row = 0; row < rows; row += together) {
        const int64_t m = rows - row < together ? rows - row : together;
        const REAL *xs = x + row * n;
        REAL *ys = y + row * n;
        for (int64_t i = 0; i < m; i++) {
            const REAL greatest = (REAL)NAME(reduce_max_row)(n, xs + i * n);
            for (int64_t j = 0; j < n; j++) {
                shift[i * n + j] = xs[i * n + j] - greatest;
            }
        }
        NAME(unary_exp)(m * n, shift, e, 0, 0);
        for (int64_t i = 0; i < m; i++) {
            const double sum = NAME(reduce_sum_row)(n, e + i * n);
            const REAL *from = log_of_it ? shift + i * n : e + i * n;
            const REAL factor = log_of_it ? 1 : (REAL)(1.0 / sum);
            const REAL offset = log_of_it ? (REAL)log(sum) : 0;
            if (log_of_it) {
                for (int64_t j = 0; j < n; j++) {
                    ys[i * n + j] = from[j] - offset;
                }
            } else {
                for (int64_t j = 0; j < n; j++) {
                    ys[i * n + j] = from[j] * factor;
                }
            }
        }
    }
}

static void NAME(softmax_long)(bool log_of_it, int64_t n, const REAL *x, REAL *y) {
    REAL e[KATA__ROWS_BUFFER];
    const REAL greatest = (REAL)NAME(reduce_max_row)(n, x);
    double sum = 0;
    for (int64_t i = 0; i < n; i += KATA__ROWS_BUFFER) {
        const int64_t m = n - i < KATA__ROWS_BUFFER ? n - i : KATA__ROWS_BUFFER;
        REAL *to = log_of_it ? e : y + i; /* softmax keeps the exponentials in y */
        KATA__VECTOR_LOOP
        for (int64_t j = 0; j < m; j++) {
            to[j] = x[i + j] - greatest;
        }
        NAME(unary_exp)(m, to, to, 0, 0);
        sum += NAME(reduce_sum_row)(m, to);
    }
    const REAL factor = (REAL)(1.0 / sum), offset = (REAL)log(sum);
    if (log_of_it) {
        KATA__VECTOR_LOOP
        for (int64_t j = 0; j < n; j++) {
            y[j] = (x[j] - greatest) - offset;
        }
    } else {
        KATA__VECTOR_LOOP
        for (int64_t j = 0; j < n; j++) {
            y[j] = y[j] * factor;
        }
    }
}

/* to[k LANES + i] = from[i n + k] for i < LANES, k < n; m rows are there, the others are the last
 * one again. Whole vectors are written. */
KATA__LOCAL void NAME(rows_to_lanes)(int64_t m, int64_t n, const REAL *from, REAL *to) {
    for (int64_t k = 0; k < n; k += LANES) {
        const int width = n - k < LANES ? (int)(n - k) : LANES;
        VEC r[LANES];
        KATA__UNROLL
        for (int i = 0; i < LANES; i++) {
            r[i] = NAME(load_first)(from + (i < m ? i : m - 1) * n + k, width);
        }
        NAME(transpose)(r);
        KATA__UNROLL
        for (int j = 0; j < LANES; j++) {
            NAME(store)(to + (k + j) * LANES, r[j]);
        }
    }
}

/* The other way. */
KATA__LOCAL void NAME(lanes_to_rows)(int64_t m, int64_t n, const REAL *from, REAL *to) {
    for (int64_t k = 0; k < n; k += LANES) {
        const int width = n - k < LANES ? (int)(n - k) : LANES;
        VEC r[LANES];
        KATA__UNROLL
        for (int j = 0; j < LANES; j++) {
            r[j] = NAME(load)(from + (k + j) * LANES);
        }
        NAME(transpose)(r);
        KATA__UNROLL
        for (int i = 0; i < LANES; i++) {
            if (i < m) {
                NAME(store_first)(to + i * n + k, r[i], width);
            }
        }
    }
}

typedef double NAME(wide) __attribute__((vector_size(LANES * sizeof(double))));

/* Up to LANES rows of few numbers, n <= KATA__NARROW: they are turned, so that each has a lane of
 * its own and nothing is added across lanes. e: their exponentials, turned; *greatest: the greatest
 * number of each, *sum: the sum of the exponentials. */
KATA__LOCAL void NAME(exp_of_rows)(int64_t rows, int64_t n, const REAL *x, REAL *e, VEC *greatest,
                                   NAME(wide) *sum) {
    NAME(rows_to_lanes)(rows, n, x, e);
    *greatest = NAME(load)(e);
    for (int64_t k = 1; k < n; k++) {
        *greatest = NAME(maximum)(*greatest, NAME(load)(e + k * LANES));
    }
    for (int64_t k = 0; k < n; k++) {
        REAL *to = e + k * LANES;
        NAME(store)(to, NAME(load)(to) - *greatest);
        KATA__VECTOR_LOOP
        for (int j = 0; j < LANES; j++) {
            to[j] = NAME(exp)(to[j]);
        }
    }
    *sum = (NAME(wide)){0};
    for (int64_t k = 0; k < n; k++) {
        *sum += __builtin_convertvector(NAME(load)(e + k * LANES), NAME(wide));
    }
}

/* n <= KATA__NARROW */
static void NAME(softmax_narrow)(int64_t rows, int64_t n, const REAL *x, REAL *y) {
    REAL e[KATA__NARROW * LANES];
    for (int64_t row = 0; row < rows; row += LANES) {
        const int64_t m = rows - row < LANES ? rows - row : LANES;
        VEC greatest;
        NAME(wide) sum;
        NAME(exp_of_rows)(m, n, x + row * n, e, &greatest, &sum);
        const VEC factor = __builtin_convertvector(1.0 / sum, VEC);
        for (int64_t k = 0; k < n; k++) {
            NAME(store)(e + k * LANES, NAME(load)(e + k * LANES) * factor);
        }
        NAME(lanes_to_rows)(m, n, e, y + row * n);
    }
}

/* The logarithms of many rows' sums are one loop. */
static void NAME(log_softmax_narrow)(int64_t rows, int64_t n, const REAL *x, REAL *y) {
    enum { TOGETHER = 8 * LANES };
    REAL e[KATA__NARROW * LANES], greatest[TOGETHER], sum[TOGETHER];
    for (int64_t row = 0; row < rows; row += TOGETHER, x += TOGETHER * n, y += TOGETHER * n) {
        const int64_t m = rows - row < TOGETHER ? rows - row : TOGETHER;
        for (int64_t i = 0; i < m; i += LANES) {
            VEC g;
            NAME(wide) s;
            NAME(exp_of_rows)(m - i < LANES ? m - i : LANES, n, x + i * n, e, &g, &s);
            NAME(store)(greatest + i, g);
            NAME(store)(sum + i, __builtin_convertvector(s, VEC));
        }
        KATA__VECTOR_LOOP
        for (int64_t i = 0; i < (m + LANES - 1) / LANES * LANES; i++) {
            sum[i] = NAME(log)(sum[i]);
        }
        for (int64_t i = 0; i < m; i++) {
            for (int64_t k = 0; k < n; k += LANES) {
                const int width = n - k < LANES ? (int)(n - k) : LANES;
                const VEC shifted = NAME(load_first)(x + i * n + k, width) - greatest[i];
                NAME(store_first)(y + i * n + k, shifted - sum[i], width);
            }
        }
    }
}

static void NAME(softmax_rows)(bool log_of_it, int64_t rows, int64_t n, const void *x, void *y) {
    if (n <= KATA__NARROW && rows >= KATA__NARROW) {
        (log_of_it ? NAME(log_softmax_narrow) : NAME(softmax_narrow))(rows, n, x, y);
        return;
    }
    if (n <= KATA__ROWS_BUFFER) {
        NAME(softmax_short)(log_of_it, rows, n, x, y);
        return;
    }
    for (int64_t i = 0; i < rows; i++) {
        NAME(softmax_long)(log_of_it, n, (const REAL *)x + i * n, (REAL *)y + i * n);
    }
}

/* sum of a b over a row. */
static double NAME(row_dot)(int64_t n, const REAL *a, const REAL *b) {
    double part[32] = {0}, last = 0;
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
        for (int j = 0; j < 32; j++) {
            part[j] = NAME(fma64)((double)a[i + j], (double)b[i + j], part[j]);
        }
    }
    for (int width = i > 0 ? 16 : 0; width > 0; width /= 2) {
        for (int j = 0; j < width; j++) {
            part[j] += part[j + width];
        }
    }
    for (; i < n; i++) {
        last = NAME(fma64)((double)a[i], (double)b[i], last);
    }
    return part[0] + last;
}

/* Log-softmax, in pieces that fit in the buffer: several rows, or a part of one. */
static void NAME(log_softmax_gradient_rows)(int64_t rows, int64_t n, const REAL *y, const REAL *dy,
                                            REAL *dx) {
    REAL e[KATA__ROWS_BUFFER];
    const int64_t together = n < KATA__ROWS_BUFFER ? KATA__ROWS_BUFFER / n : 1;
    for (int64_t row = 0; row < rows; row += together) {
        const int64_t m = rows - row < together ? rows - row : together;
        const int64_t first = row * n, end = first + m * n;
        double sum = 0;
        for (int64_t start = first; start < end; start += KATA__ROWS_BUFFER) {
            const int64_t size = end - start < KATA__ROWS_BUFFER ? end - start : KATA__ROWS_BUFFER;
            NAME(unary_exp)(size, y + start, e, 0, 0);
            for (int64_t at = 0; at < size; at += n) {
                const int64_t width = size - at < n ? size - at : n;
                if (start == first || m > 1) {
                    sum = NAME(reduce_sum_row)(n, dy + start + at);
                }
                const REAL rounded = (REAL)sum;
                KATA__VECTOR_LOOP
                for (int64_t j = at; j < at + width; j++) {
                    dx[start + j] = NAME(fma)(-e[j], rounded, dy[start + j]);
                }
            }
        }
    }
}

static void NAME(softmax_gradient_rows)(bool log_of_it, int64_t rows, int64_t n, const void *y_data,
                                        const void *dy_data, void *dx_data) {
    if (log_of_it) {
        NAME(log_softmax_gradient_rows)(rows, n, y_data, dy_data, dx_data);
        return;
    }
    for (int64_t i = 0; i < rows; i++) {
        const REAL *y = (const REAL *)y_data + i * n, *dy = (const REAL *)dy_data + i * n;
        REAL *dx = (REAL *)dx_data + i * n;
        const REAL sum = (REAL)NAME(row_dot)(n, dy, y);
        KATA__VECTOR_LOOP
        for (int64_t j = 0; j < n; j++) {
            dx[j] = y[j] * (dy[j] - sum);
        }
    }
}

/* `width` columns at once, in strips; the axis runs over `n` rows that are `inner` apart. */
static void NAME(softmax_columns)(bool log_of_it, int64_t n, int64_t inner, int64_t width,
                                  const void *x_data, void *y_data) {
    for (int64_t start = 0; start < width; start += KATA__STRIP) {
        const REAL *x = (const REAL *)x_data + start;
        REAL *y = (REAL *)y_data + start;
        const int m = (int)(width - start < KATA__STRIP ? width - start : KATA__STRIP);
        REAL greatest[KATA__STRIP], e[KATA__STRIP], factor[KATA__STRIP];
        double sum[KATA__STRIP];
        for (int j = 0; j < KATA__STRIP; j++) {
            greatest[j] = -(REAL)__builtin_inf();
            e[j] = 0;
            sum[j] = 0;
        }
        for (int64_t i = 0; i < n; i++) {
            for (int j = 0; j < m; j++) {
                const REAL v = x[i * inner + j];
                greatest[j] = v > greatest[j] ? v : greatest[j];
            }
        }
        for (int64_t i = 0; i < n; i++) {
            for (int j = 0; j < m; j++) {
                e[j] = x[i * inner + j] - greatest[j];
            }
            NAME(unary_exp)(KATA__STRIP, e, e, 0, 0);
            for (int j = 0; j < KATA__STRIP; j++) {
                sum[j] += (double)e[j];
            }
            for (int j = 0; j < m && !log_of_it; j++) {
                y[i * inner + j] = e[j];
            }
        }
        for (int j = 0; j < KATA__STRIP; j++) {
            factor[j] = (REAL)(log_of_it && j < m ? log(sum[j]) : 1.0 / sum[j]);
        }
        for (int64_t i = 0; i < n; i++) {
            if (log_of_it) {
                for (int j = 0; j < m; j++) {
                    y[i * inner + j] = (x[i * inner + j] - greatest[j]) - factor[j];
                }
            } else {
                for (int j = 0; j < m; j++) {
                    y[i * inner + j] *= factor[j];
                }
            }
        }
    }
}

static void NAME(softmax_gradient_columns)(bool log_of_it, int64_t n, int64_t inner, int64_t width,
                                           const void *y_data, const void *dy_data, void *dx_data) {
    for (int64_t start = 0; start < width; start += KATA__STRIP) {
        const REAL *y = (const REAL *)y_data + start, *dy = (const REAL *)dy_data + start;
        REAL *dx = (REAL *)dx_data + start;
        const int m = (int)(width - start < KATA__STRIP ? width - start : KATA__STRIP);
        REAL e[KATA__STRIP], rounded[KATA__STRIP];
        double sum[KATA__STRIP] = {0};
        for (int64_t i = 0; i < n; i++) {
            for (int j = 0; j < m; j++) {
                const double factor = log_of_it ? 1.0 : (double)y[i * inner + j];
                sum[j] = NAME(fma64)((double)dy[i * inner + j], factor, sum[j]);
            }
        }
        for (int j = 0; j < KATA__STRIP; j++) {
            rounded[j] = (REAL)sum[j];
            e[j] = 0;
        }
        for (int64_t i = 0; i < n; i++) {
            const REAL *ys = y + i * inner, *dys = dy + i * inner;
            REAL *dxs = dx + i * inner;
            if (log_of_it) {
                memcpy(e, ys, (size_t)m * sizeof(REAL));
                NAME(unary_exp)(KATA__STRIP, e, e, 0, 0);
                for (int j = 0; j < m; j++) {
                    dxs[j] = NAME(fma)(-e[j], rounded[j], dys[j]);
                }
            } else {
                for (int j = 0; j < m; j++) {
                    dxs[j] = ys[j] * (dys[j] - rounded[j]);
                }
            }
        }
    }
}

/* ---- batch normalisation ----
 *
 * x is (n, c, d). With d of at least KATA__PLANE a channel's planes are rows; with less (d is 1
 * after a dense layer) the c d numbers of a sample are columns, which are added up by channel at
 * the end. Statistics take two passes, so that a large mean costs no digits. */

/* sum of (x - mean)^2 of one row. */
static double NAME(centred_square)(int64_t n, const REAL *x, double mean) {
    double part[32] = {0}, last = 0;
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
        for (int j = 0; j < 32; j++) {
            const double v = (double)x[i + j] - mean;
            part[j] = NAME(fma64)(v, v, part[j]);
        }
    }
    for (int width = i > 0 ? 16 : 0; width > 0; width /= 2) {
        for (int j = 0; j < width; j++) {
            part[j] += part[j + width];
        }
    }
    for (; i < n; i++) {
        const double v = (double)x[i] - mean;
        last = NAME(fma64)(v, v, last);
    }
    return part[0] + last;
}

/* sum of dy (x - mean) and of dy, of one row. */
static void NAME(centred_dot)(int64_t n, const REAL *x, const REAL *dy, double mean, double *sum_dy,
                              double *sum_dot) {
    double dot[16] = {0}, sum[16] = {0}, last_dot = 0, last_sum = 0;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        for (int j = 0; j < 16; j++) {
            sum[j] += (double)dy[i + j];
            dot[j] = NAME(fma64)((double)x[i + j] - mean, (double)dy[i + j], dot[j]);
        }
    }
    for (int width = i > 0 ? 8 : 0; width > 0; width /= 2) {
        for (int j = 0; j < width; j++) {
            sum[j] += sum[j + width];
            dot[j] += dot[j + width];
        }
    }
    for (; i < n; i++) {
        last_sum += (double)dy[i];
        last_dot = NAME(fma64)((double)x[i] - mean, (double)dy[i], last_dot);
    }
    *sum_dy += sum[0] + last_sum;
    *sum_dot += dot[0] + last_dot;
}

/* The values of `channels` channels, each repeated d times. */
static void NAME(channel_spread)(int64_t channels, int64_t d, const double *value, double *column) {
    for (int64_t k = 0; k < channels; k++) {
        for (int64_t j = 0; j < d; j++) {
            column[k * d + j] = value[k];
        }
    }
}

static void NAME(channel_sums)(int64_t channels, int64_t d, const double *column, double *value) {
    for (int64_t k = 0; k < channels; k++) {
        value[k] = 0;
        for (int64_t j = 0; j < d; j++) {
            value[k] += column[k * d + j];
        }
    }
}

/* channels d <= KATA__TILE in the functions below when d < KATA__PLANE. */
static void NAME(batch_norm_moments)(int64_t n, int64_t stride, int64_t channels, int64_t d,
                                     const void *x_data, double *mean, double *variance) {
    const REAL *x = x_data;
    const double count = (double)n * (double)d;
    const double factor = count > 0 ? 1.0 / count : 0.0;
    if (d < KATA__PLANE) {
        double sum[KATA__TILE] = {0}, centre[KATA__TILE];
        const int64_t width = channels * d;
        NAME(reduce_sum_columns)(n, stride, width, x, sum);
        NAME(channel_sums)(channels, d, sum, mean);
        for (int64_t k = 0; k < channels; k++) {
            mean[k] *= factor;
        }
        NAME(channel_spread)(channels, d, mean, centre);
        memset(sum, 0, sizeof sum);
        for (int64_t i = 0; i < n; i++) {
            const REAL *xs = x + i * stride;
            KATA__VECTOR_LOOP
            for (int64_t j = 0; j < width; j++) {
                const double v = (double)xs[j] - centre[j];
                sum[j] = NAME(fma64)(v, v, sum[j]);
            }
        }
        NAME(channel_sums)(channels, d, sum, variance);
        for (int64_t k = 0; k < channels; k++) {
            variance[k] *= factor;
        }
        return;
    }
    for (int64_t k = 0; k < channels; k++) {
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < n; i++) {
            sum += NAME(reduce_sum_row)(d, x + i * stride + k * d);
        }
        mean[k] = sum * factor;
        for (int64_t i = 0; i < n; i++) {
            squares += NAME(centred_square)(d, x + i * stride + k * d, mean[k]);
        }
        variance[k] = squares * factor;
    }
}

static void NAME(batch_norm_apply)(int64_t n, int64_t stride, int64_t channels, int64_t d,
                                   const void *x_data, const double *mean, const double *factor,
                                   const double *bias, void *y_data) {
    const REAL *x = x_data;
    REAL *y = y_data;
    if (d < KATA__PLANE) {
        REAL m[KATA__TILE], f[KATA__TILE], b[KATA__TILE];
        for (int64_t j = 0; j < channels * d; j++) {
            m[j] = (REAL)mean[j / d];
            f[j] = (REAL)factor[j / d];
            b[j] = (REAL)bias[j / d];
        }
        for (int64_t i = 0; i < n; i++) {
            const REAL *xs = x + i * stride;
            REAL *ys = y + i * stride;
            KATA__VECTOR_LOOP
            for (int64_t j = 0; j < channels * d; j++) {
                ys[j] = NAME(fma)(xs[j] - m[j], f[j], b[j]);
            }
        }
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = 0; k < channels; k++) {
            const REAL *xs = x + i * stride + k * d;
            REAL *ys = y + i * stride + k * d;
            const REAL m = (REAL)mean[k], f = (REAL)factor[k], b = (REAL)bias[k];
            KATA__VECTOR_LOOP
            for (int64_t j = 0; j < d; j++) {
                ys[j] = NAME(fma)(xs[j] - m, f, b);
            }
        }
    }
}

static void NAME(batch_norm_dots)(int64_t n, int64_t stride, int64_t channels, int64_t d,
                                  const void *x_data, const void *dy_data, const double *mean,
                                  double *sum_dy, double *sum_dot) {
    const REAL *x = x_data, *dy = dy_data;
    if (d < KATA__PLANE) {
        double sum[KATA__TILE] = {0}, dot[KATA__TILE] = {0}, centre[KATA__TILE];
        NAME(channel_spread)(channels, d, mean, centre);
        for (int64_t i = 0; i < n; i++) {
            const REAL *xs = x + i * stride, *dys = dy + i * stride;
            KATA__VECTOR_LOOP
            for (int64_t j = 0; j < channels * d; j++) {
                const double g = (double)dys[j];
                sum[j] += g;
                dot[j] = NAME(fma64)((double)xs[j] - centre[j], g, dot[j]);
            }
        }
        NAME(channel_sums)(channels, d, sum, sum_dy);
        NAME(channel_sums)(channels, d, dot, sum_dot);
        return;
    }
    for (int64_t k = 0; k < channels; k++) {
        sum_dy[k] = sum_dot[k] = 0;
        for (int64_t i = 0; i < n; i++) {
            const int64_t at = i * stride + k * d;
            NAME(centred_dot)(d, x + at, dy + at, mean[k], &sum_dy[k], &sum_dot[k]);
        }
    }
}

static void NAME(batch_norm_gradient)(int64_t n, int64_t stride, int64_t channels, int64_t d,
                                      const void *x_data, const void *dy_data, const double *mean,
                                      const double *k_data, const double *p_data,
                                      const double *q_data, void *dx_data) {
    const REAL *x = x_data, *dy = dy_data;
    REAL *dx = dx_data;
    if (d < KATA__PLANE) {
        REAL m[KATA__TILE], k[KATA__TILE], p[KATA__TILE], q[KATA__TILE];
        for (int64_t j = 0; j < channels * d; j++) {
            m[j] = (REAL)mean[j / d];
            k[j] = (REAL)k_data[j / d];
            p[j] = (REAL)p_data[j / d];
            q[j] = (REAL)q_data[j / d];
        }
        for (int64_t i = 0; i < n; i++) {
            const REAL *xs = x + i * stride, *dys = dy + i * stride;
            REAL *dxs = dx + i * stride;
            KATA__VECTOR_LOOP
            for (int64_t j = 0; j < channels * d; j++) {
                dxs[j] = NAME(fma)(dys[j], k[j], NAME(fma)(xs[j] - m[j], p[j], q[j]));
            }
        }
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        for (int64_t channel = 0; channel < channels; channel++) {
            const int64_t at = i * stride + channel * d;
            const REAL *xs = x + at, *dys = dy + at;
            REAL *dxs = dx + at;
            const REAL m = (REAL)mean[channel], k = (REAL)k_data[channel];
            const REAL p = (REAL)p_data[channel], q = (REAL)q_data[channel];
            KATA__VECTOR_LOOP
            for (int64_t j = 0; j < d; j++) {
                dxs[j] = NAME(fma)(dys[j], k, NAME(fma)(xs[j] - m, p, q));
            }
        }
    }
}

/* ---- layer normalisation ---- */

static void NAME(layer_norm_rows)(int64_t rows, int64_t d, const void *x_data,
                                  const void *scale_data, const void *bias_data, double epsilon,
                                  void *y_data, void *mean_data, void *inverse_data) {
    const REAL *scale = scale_data, *bias = bias_data;
    REAL *mean_all = mean_data, *inverse_all = inverse_data;
    const double factor = d > 0 ? 1.0 / (double)d : 0.0;
    for (int64_t i = 0; i < rows; i++) {
        const REAL *x = (const REAL *)x_data + i * d;
        REAL *y = (REAL *)y_data + i * d;
        const double mean = NAME(reduce_sum_row)(d, x) * factor;
        const double variance = NAME(centred_square)(d, x, mean) * factor;
        const REAL m = (REAL)mean, inverse = (REAL)(1.0 / sqrt(variance + epsilon));
        mean_all[i] = m;
        inverse_all[i] = inverse;
        if (bias == NULL) {
            KATA__VECTOR_LOOP
            for (int64_t j = 0; j < d; j++) {
                y[j] = ((x[j] - m) * inverse) * scale[j];
            }
        } else {
            KATA__VECTOR_LOOP
            for (int64_t j = 0; j < d; j++) {
                y[j] = NAME(fma)((x[j] - m) * inverse, scale[j], bias[j]);
            }
        }
    }
}

/* With h = (x - mean) inverse and g = dy scale:
 *     dx = inverse (g - mean(g) - h mean(g h)),  dscale = sum of dy h,  dbias = sum of dy. */
static void NAME(layer_norm_gradient_rows)(int64_t rows, int64_t d, const void *x_data,
                                           const void *dy_data, const void *scale_data,
                                           const void *mean_data, const void *inverse_data,
                                           void *dx_data, double *sum_scale, double *sum_bias) {
    const REAL *scale = scale_data, *means = mean_data, *inverses = inverse_data;
    for (int64_t i = 0; i < rows; i++) {
        const REAL *x = (const REAL *)x_data + i * d, *dy = (const REAL *)dy_data + i * d;
        REAL *dx = (REAL *)dx_data + i * d;
        const REAL mean = means[i], inverse = inverses[i];
        double g_sum[16] = {0}, gh_sum[16] = {0};
        for (int64_t j = 0; j < d; j += 16) {
            const int m = d - j < 16 ? (int)(d - j) : 16;
            REAL h[16] = {0}, g[16] = {0};
            double dh[16] = {0};
            for (int l = 0; l < m; l++) {
                h[l] = (x[j + l] - mean) * inverse;
                g[l] = dy[j + l] * scale[j + l];
                dh[l] = (double)dy[j + l] * (double)h[l];
                sum_scale[j + l] += dh[l];
                sum_bias[j + l] += (double)dy[j + l];
            }
            for (int l = 0; l < 16; l++) {
                g_sum[l] = g_sum[l] + (double)g[l];
                gh_sum[l] = NAME(fma64)((double)g[l], (double)h[l], gh_sum[l]);
            }
        }
        for (int width = 8; width > 0; width /= 2) {
            for (int j = 0; j < width; j++) {
                g_sum[j] += g_sum[j + width];
                gh_sum[j] += gh_sum[j + width];
            }
        }
        const REAL a = (REAL)(g_sum[0] / (double)d), b = (REAL)(gh_sum[0] / (double)d);
        KATA__VECTOR_LOOP
        for (int64_t j = 0; j < d; j++) {
            const REAL h = (x[j] - mean) * inverse;
            dx[j] = inverse * (NAME(fma)(-h, b, dy[j] * scale[j]) - a);
        }
    }
}
