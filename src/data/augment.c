/* Random changes of a picture: one inverse affine map and a smooth displacement field (Simard,
 * Steinkraus, Platt 2003) read by bilinear interpolation, then mirror, crop, brightness and cut-out
 * (DeVries, Taylor 2017). All are put together into one read of the source for each pixel, in
 * pieces of a row that stay in registers and first-level cache.
 *
 * An output pixel (x, y) is cut out of the padded picture at (x + crop_x, y + crop_y), mirrored,
 * and mapped to the source: p = M^-1 (q - centre - shift) + centre + displacement(q),   M = scale *
 * rotate * shear.
 */
#include "data/augment.h"
#include "base/random.h"

#include <math.h>
#include <string.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")
#endif

enum { PIECE = 64, GRID_MOST = 1024, DRAWS = 16, PIXELS_MOST = 1 << 24 };

/* The displacement's control points are drawn in a stream of their own. */
enum { STREAM_FIELD = KATA__STREAM_AUGMENT + 1 };

/* A cubic B-spline of independent control points: as smooth as noise blurred by a Gaussian, since
 * the spline's own kernel has the standard deviation spacing / sqrt(3). Four rows of control points
 * and the row that is combined from them are all that is held at a time. */
struct field {
    float inverse_spacing, amplitude;
    int n_x, top; /* row[k % 4] holds row k of control points for k = top..top+3; -1: none yet */
    uint64_t seed, epoch, first;
    float row[2][4][GRID_MOST];
    float now[2][GRID_MOST];
};

struct change {
    double xx, xy, x0, yx, yy, y0; /* source x = xx x + xy y + x0, source y = yx x + yy y + y0 */
    bool warp, elastic, flip;
    int crop_x, crop_y;
    float brightness;
    int cut_left, cut_right, cut_top, cut_bottom; /* blank [left, right) x [top, bottom) */
};

bool kata__augment_is_on(const kata_augment *a) {
    return a != NULL &&
           (a->shift != 0 || a->rotate != 0 || a->scale != 0 || a->shear != 0 || a->elastic != 0 ||
            a->flip || a->crop > 0 || a->brightness != 0 || a->cut_out > 0);
}

/* u in [0,1) as a whole number in [0, n). */
static int pick(float u, int n) {
    int i = (int)(u * (float)n);
    return i < n ? i : n - 1;
}

static double each_way(float u, double most) {
    return (2.0 * (double)u - 1.0) * most;
}

static struct change draw_change(const kata_augment *augment, uint64_t seed, uint64_t epoch,
                                 int64_t sample, int height, int width) {
    float u[DRAWS];
    kata__random_fill_uniform(u, DRAWS, seed, KATA__STREAM_AUGMENT, epoch,
                              (uint64_t)sample * DRAWS);
    struct change change = {.brightness = 1, .elastic = augment->elastic != 0};
    change.warp = augment->shift != 0 || augment->rotate != 0 || augment->scale != 0 ||
                  augment->shear != 0 || change.elastic;
    change.flip = augment->flip && u[6] < 0.5f;
    if (change.warp) {
        double shift_x = each_way(u[0], augment->shift), shift_y = each_way(u[1], augment->shift);
        double angle = each_way(u[2], augment->rotate) * 3.14159265358979323846 / 180;
        double scale = 1 + each_way(u[3], augment->scale), shear = each_way(u[4], augment->shear);
        double c = cos(angle), s = sin(angle), inverse = 1 / (scale > 0.05 ? scale : 0.05);
        /* M^-1 = 1/scale [1 -shear; 0 1] [c s; -s c] */
        change.xx = inverse * (c + shear * s);
        change.xy = inverse * (s - shear * c);
        change.yx = inverse * -s;
        change.yy = inverse * c;
        double centre_x = (width - 1) / 2.0, centre_y = (height - 1) / 2.0;
        double from_x = -centre_x - shift_x, from_y = -centre_y - shift_y;
        change.x0 = change.xx * from_x + change.xy * from_y + centre_x;
        change.y0 = change.yx * from_x + change.yy * from_y + centre_y;
    }
    if (augment->crop > 0) {
        int crop = augment->crop < PIXELS_MOST ? augment->crop : PIXELS_MOST;
        change.crop_x = pick(u[7], 2 * crop + 1) - crop;
        change.crop_y = pick(u[8], 2 * crop + 1) - crop;
    }
    if (augment->brightness != 0) {
        double factor = 1 + each_way(u[9], augment->brightness);
        change.brightness = factor > 0 ? (float)factor : 0;
    }
    if (augment->cut_out > 0) { /* the centre lies anywhere in the picture */
        int side = augment->cut_out < PIXELS_MOST ? augment->cut_out : PIXELS_MOST;
        change.cut_left = pick(u[10], width) - side / 2;
        change.cut_top = pick(u[11], height) - side / 2;
        change.cut_right = change.cut_left + side;
        change.cut_bottom = change.cut_top + side;
    }
    return change;
}

/* ---------------------------------------------------------------- the displacement field */

static void field_init(struct field *field, const kata_augment *augment, uint64_t seed,
                       uint64_t epoch, int64_t sample, int height, int width) {
    double sigma = augment->elastic_sigma > 0 ? augment->elastic_sigma : 4;
    double spacing = sigma * 1.7320508;
    double least = (height > width ? height : width) / (double)(GRID_MOST - 8);
    spacing = spacing > least ? spacing : least;
    spacing = spacing > 1 ? spacing : 1;
    field->inverse_spacing = (float)(1 / spacing);
    /* Control points are uniform in +-a; the spline of unit-variance points has the variance
     * 0.479^2 on average over a cell, so that the displacement's standard deviation is `elastic`.
     */
    field->amplitude = (float)(augment->elastic * 1.7320508 / 0.479);
    field->n_x = (int)((width - 1) / spacing) + 4;
    field->top = -1;
    field->seed = seed;
    field->epoch = epoch;
    field->first = (uint64_t)sample << 21;
}

static void field_draw_row(struct field *field, int k) {
    for (int part = 0; part < 2; part++) {
        float *row = field->row[part][k % 4];
        kata__random_fill_uniform(row, field->n_x, field->seed, STREAM_FIELD, field->epoch,
                                  field->first + ((uint64_t)part << 20) + (uint64_t)k * GRID_MOST);
        for (int i = 0; i < field->n_x; i++) {
            row[i] = (2 * row[i] - 1) * field->amplitude;
        }
    }
}

/* The four cubic B-spline weights at 0 <= t < 1. */
static inline void spline_weights(float t, float weight[4]) {
    float s = 1 - t, t2 = t * t, s2 = s * s;
    weight[0] = s2 * s * (1 / 6.0f);
    weight[1] = (4 - 6 * t2 + 3 * t2 * t) * (1 / 6.0f);
    weight[2] = (4 - 6 * s2 + 3 * s2 * s) * (1 / 6.0f);
    weight[3] = t2 * t * (1 / 6.0f);
}

static void field_set_row(struct field *field, int y) {
    float at = (float)y * field->inverse_spacing, weight[4];
    int k = (int)at;
    if (field->top != k) {
        int drawn = field->top < 0 ? k : field->top + 4; /* rows come in rising order */
        for (int row = drawn > k ? drawn : k; row < k + 4; row++) {
            field_draw_row(field, row);
        }
        field->top = k;
    }
    spline_weights(at - (float)k, weight);
    for (int part = 0; part < 2; part++) {
        const float *a = field->row[part][k % 4], *b = field->row[part][(k + 1) % 4];
        const float *c = field->row[part][(k + 2) % 4], *d = field->row[part][(k + 3) % 4];
        for (int i = 0; i < field->n_x; i++) {
            field->now[part][i] =
                weight[0] * a[i] + weight[1] * b[i] + weight[2] * c[i] + weight[3] * d[i];
        }
    }
}

static void field_add(const struct field *field, int x, int n, float *source_x, float *source_y) {
    for (int j = 0; j < n; j++) {
        float at = (float)(x + j) * field->inverse_spacing, w[4];
        int i = (int)at;
        spline_weights(at - (float)i, w);
        const float *p = field->now[0] + i, *q = field->now[1] + i;
        source_x[j] += w[0] * p[0] + w[1] * p[1] + w[2] * p[2] + w[3] * p[3];
        source_y[j] += w[0] * q[0] + w[1] * q[1] + w[2] * q[2] + w[3] * q[3];
    }
}

/* ---------------------------------------------------------------- reading the source */

/* A piece of a row: where each pixel is read. */
struct piece {
    int n;
    int x[PIECE], y[PIECE];     /* the pixel left of and above the point */
    float fx[PIECE], fy[PIECE]; /* the point's distance from it, 0 to 1 */
    float value[PIECE];
};

static inline __attribute__((always_inline)) float load(const void *plane, int kind, int64_t i) {
    return kind == 0   ? (float)((const uint8_t *)plane)[i]
           : kind == 1 ? ((const float *)plane)[i]
                       : 0;
}

static inline __attribute__((always_inline)) void
read_piece_of(struct piece *piece, const void *plane, int kind, int height, int width) {
    for (int j = 0; j < piece->n; j++) {
        int x = piece->x[j], y = piece->y[j];
        float fx = piece->fx[j], fy = piece->fy[j], a = 0, b = 0, c = 0, d = 0;
        int64_t at = (int64_t)y * width + x;
        if (x >= 0 && x < width - 1 && y >= 0 && y < height - 1) {
            a = load(plane, kind, at);
            b = load(plane, kind, at + 1);
            c = load(plane, kind, at + width);
            d = load(plane, kind, at + width + 1);
        } else {
            bool left = x >= 0 && x < width, right = x + 1 >= 0 && x + 1 < width;
            bool above = y >= 0 && y < height, below = y + 1 >= 0 && y + 1 < height;
            a = left && above ? load(plane, kind, at) : 0;
            b = right && above ? load(plane, kind, at + 1) : 0;
            c = left && below ? load(plane, kind, at + width) : 0;
            d = right && below ? load(plane, kind, at + width + 1) : 0;
        }
        float upper = a + fx * (b - a), lower = c + fx * (d - c);
        piece->value[j] = upper + fy * (lower - upper);
    }
}

static void read_piece(struct piece *piece, const void *plane, kata_dtype dtype, int height,
                       int width) {
    if (dtype == KATA_U8) {
        read_piece_of(piece, plane, 0, height, width);
    } else {
        read_piece_of(piece, plane, 1, height, width);
    }
}

/* Points outside are pulled to one pixel beyond the edge, where everything is 0. Then the
 * truncation of a number above 0 is its floor. */
static void place_piece(struct piece *piece, const struct change *change, const struct field *field,
                        int x, int y, int first, int n, int height, int width) {
    float source_x[PIECE], source_y[PIECE];
    int column = change->flip ? width - 1 - x : x, step = change->flip ? -1 : 1;
    double x0 = change->xx * column + change->xy * y + change->x0, dx = change->xx * step;
    double y0 = change->yx * column + change->yy * y + change->y0, dy = change->yx * step;
    for (int j = 0; j < n; j++) {
        source_x[j] = (float)(x0 + dx * j);
        source_y[j] = (float)(y0 + dy * j);
    }
    if (change->elastic) {
        field_add(field, first, n, source_x, source_y);
    }
    float most_x = (float)width, most_y = (float)height;
    for (int j = 0; j < n; j++) {
        float at_x = source_x[j], at_y = source_y[j];
        at_x = at_x > -1 ? at_x : -1; /* so that a NaN is outside, too */
        at_y = at_y > -1 ? at_y : -1;
        at_x = at_x < most_x ? at_x : most_x;
        at_y = at_y < most_y ? at_y : most_y;
        int i_x = (int)(at_x + 1) - 1, i_y = (int)(at_y + 1) - 1;
        piece->x[j] = i_x;
        piece->y[j] = i_y;
        piece->fx[j] = at_x - (float)i_x;
        piece->fy[j] = at_y - (float)i_y;
    }
    piece->n = n;
}

static void copy_piece(struct piece *piece, const struct change *change, const void *plane,
                       kata_dtype dtype, int x, int y, int n, int width) {
    int64_t row = (int64_t)y * width;
    for (int j = 0; j < n; j++) {
        int64_t at = row + (change->flip ? width - 1 - x - j : x + j);
        piece->value[j] = dtype == KATA_U8 ? load(plane, 0, at) : load(plane, 1, at);
    }
    piece->n = n;
}

/* Brightness and cut-out of the pixels x.. of output row y. */
static void finish_piece(struct piece *piece, const struct change *change, kata_dtype dtype, int x,
                         int y) {
    if (change->brightness != 1) {
        float most = dtype == KATA_U8 ? 255.0f : INFINITY;
        for (int j = 0; j < piece->n; j++) {
            float value = piece->value[j] * change->brightness;
            piece->value[j] = value < most ? value : most;
        }
    }
    if (y >= change->cut_top && y < change->cut_bottom) {
        int left = change->cut_left - x, right = change->cut_right - x;
        left = left > 0 ? left : 0;
        right = right < piece->n ? right : piece->n;
        for (int j = left; j < right; j++) {
            piece->value[j] = 0;
        }
    }
}

static void store_piece(const float *value, int n, void *to, kata_dtype dtype, int64_t at) {
    if (dtype == KATA_F32) {
        memcpy((float *)to + at, value, (size_t)n * sizeof *value);
        return;
    }
    bool whole = !kata_dtype_is_float(dtype);
    for (int j = 0; j < n; j++) {
        kata_store(dtype, to, at + j, whole ? rintf(value[j]) : value[j]);
    }
}

static void zero_piece(int n, void *to, kata_dtype dtype, int64_t at) {
    size_t size = kata_dtype_size(dtype);
    memset((char *)to + (size_t)at * size, 0, (size_t)n * size);
}

static void change_row(const struct change *change, const struct field *field, int y, int channels,
                       int height, int width, const void *from, kata_dtype from_dtype, void *to,
                       kata_dtype to_dtype) {
    struct piece piece;
    int64_t plane = (int64_t)height * width, row = (int64_t)y * width;
    int source_y = y + change->crop_y;
    int begin = change->crop_x < 0 ? -change->crop_x : 0;
    int end = change->crop_x > 0 ? width - change->crop_x : width;
    if (source_y < 0 || source_y >= height || begin >= end) {
        begin = end = width; /* the row lies in the padding */
    }
    for (int c = 0; c < channels; c++) {
        zero_piece(begin, to, to_dtype, c * plane + row);
        zero_piece(width - end, to, to_dtype, c * plane + row + end);
    }
    for (int x = begin; x < end; x += PIECE) {
        int n = end - x < PIECE ? end - x : PIECE;
        if (change->warp) {
            place_piece(&piece, change, field, x + change->crop_x, source_y, x, n, height, width);
        }
        for (int c = 0; c < channels; c++) {
            size_t skip = (size_t)c * (size_t)plane * kata_dtype_size(from_dtype);
            const void *channel = (const char *)from + skip;
            if (change->warp) {
                read_piece(&piece, channel, from_dtype, height, width);
            } else {
                copy_piece(&piece, change, channel, from_dtype, x + change->crop_x, source_y, n,
                           width);
            }
            finish_piece(&piece, change, from_dtype, x, y);
            store_piece(piece.value, n, to, to_dtype, c * plane + row + x);
        }
    }
}

void kata__augment_sample(const kata_augment *augment, uint64_t seed, uint64_t epoch,
                          int64_t sample, int channels, int height, int width, const void *from,
                          kata_dtype from_dtype, void *to, kata_dtype to_dtype) {
    struct change change = draw_change(augment, seed, epoch, sample, height, width);
    struct field field;
    if (change.elastic) {
        field_init(&field, augment, seed, epoch, sample, height, width);
    }
    for (int y = 0; y < height; y++) {
        if (change.elastic) {
            field_set_row(&field, y);
        }
        change_row(&change, &field, y, channels, height, width, from, from_dtype, to, to_dtype);
    }
}
