/* Separable resampling of pictures. Rows are resampled across as they are needed and added up, so
 * that no intermediate picture is kept, whatever the sizes. */
#include "data/resample.h"
#include "base/check.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")
#endif

void kata__axis_free(kata__axis *axis) {
    if (axis->context != NULL) {
        kata__free(axis->context, axis->start);
        kata__free(axis->context, axis->count);
        kata__free(axis->context, axis->weight);
    }
    *axis = (kata__axis){.context = NULL};
}

/* Position i covers [i, i+1) * scale: each source position counts by how much of it is covered. */
static void by_area(kata__axis *axis, int begin, int length, double scale) {
    for (int i = 0; i < axis->n_out; i++) {
        double from = i * scale, to = (i + 1) * scale;
        int first = (int)from, last = (int)ceil(to - 1e-9);
        first = first < length ? first : length - 1;
        last = last > length ? length : last > first ? last : first + 1;
        float *weight = axis->weight + (size_t)i * (size_t)axis->most;
        double sum = 0;
        for (int k = first; k < last; k++) {
            double low = k > from ? k : from, high = k + 1 < to ? k + 1 : to;
            weight[k - first] = high > low ? (float)(high - low) : 0;
            sum += weight[k - first];
        }
        for (int k = 0; k < last - first; k++) {
            weight[k] = (float)(weight[k] / sum);
        }
        axis->start[i] = begin + first;
        axis->count[i] = last - first;
    }
}

/* Position i is read at its centre (i + 1/2) * scale - 1/2; beyond the edge the edge goes on. */
static void by_line(kata__axis *axis, int begin, int length, double scale) {
    for (int i = 0; i < axis->n_out; i++) {
        double at = (i + 0.5) * scale - 0.5;
        at = at < 0 ? 0 : at > length - 1 ? length - 1 : at;
        int first = (int)at;
        float right = (float)(at - first);
        float *weight = axis->weight + (size_t)i * (size_t)axis->most;
        weight[0] = 1 - right;
        weight[1] = right;
        axis->start[i] = begin + first;
        axis->count[i] = right > 0 ? 2 : 1;
    }
}

kata_status kata__axis_new(kata__axis *out, kata_context *context, int begin, int length,
                           int n_out) {
    double scale = (double)length / n_out;
    kata__axis axis = {.context = context, .n_out = n_out, .most = (int)scale + 3};
    axis.start = kata__alloc(context, (size_t)n_out, sizeof *axis.start);
    axis.count = kata__alloc(context, (size_t)n_out, sizeof *axis.count);
    axis.weight = kata__alloc(context, (size_t)n_out, (size_t)axis.most * sizeof *axis.weight);
    if (axis.start == NULL || axis.count == NULL || axis.weight == NULL) {
        kata__axis_free(&axis);
        return KATA_OUT_OF_MEMORY;
    }
    if (scale > 1) {
        by_area(&axis, begin, length, scale);
    } else {
        by_line(&axis, begin, length, scale);
    }
    *out = axis;
    return KATA_OK;
}

/* Where rows come from: a picture or a float plane. */
struct source {
    const kata_picture *picture;
    const float *plane;
    int stride, left, width; /* of the area */
    int channels;            /* wanted */
    float *row;              /* channels x width, for a picture */
};

/* Row y of the area as floats, one channel behind the other. */
static const float *fetch_row(const struct source *source, int y) {
    if (source->plane != NULL) {
        return source->plane + (size_t)y * (size_t)source->stride + source->left;
    }
    int had = source->picture->channels, n = source->width;
    const uint8_t *pixels =
        source->picture->pixels +
        ((size_t)y * (size_t)source->picture->width + (size_t)source->left) * (size_t)had;
    float *row = source->row;
    if (had == 1) {
        for (int x = 0; x < n; x++) {
            row[x] = (float)pixels[x];
        }
        for (int c = 1; c < source->channels; c++) {
            memcpy(row + (size_t)c * (size_t)n, row, (size_t)n * sizeof *row);
        }
    } else if (source->channels == 1) {
        for (int x = 0; x < n; x++) {
            /* The weights of ITU-R BT.601 over 1000: grey stays exactly what it was. */
            row[x] =
                (float)(299 * pixels[3 * x] + 587 * pixels[3 * x + 1] + 114 * pixels[3 * x + 2]) /
                1000.0f;
        }
    } else {
        for (int x = 0; x < n; x++) {
            row[x] = (float)pixels[3 * x];
            row[n + x] = (float)pixels[3 * x + 1];
            row[2 * n + x] = (float)pixels[3 * x + 2];
        }
    }
    return row;
}

/* Row y of the source, resampled across: (channels, n_out). */
static void make_row(float *out, const struct source *source, const kata__axis *across, int y) {
    const float *row = fetch_row(source, y);
    for (int c = 0; c < source->channels; c++) {
        const float *from = row + (size_t)c * (size_t)source->width;
        for (int i = 0; i < across->n_out; i++) {
            const float *weight = across->weight + (size_t)i * (size_t)across->most;
            const float *at = from + across->start[i];
            float sum = 0;
            for (int k = 0; k < across->count[i]; k++) {
                sum += weight[k] * at[k];
            }
            *out++ = sum;
        }
    }
}

/* Two rows are kept, by the parity of their number: neighbours share them. */
static void run(float *out, const struct source *source, const kata__axis *down,
                const kata__axis *across, float *rows) {
    size_t width = (size_t)across->n_out, n = width * (size_t)source->channels;
    size_t plane = width * (size_t)down->n_out;
    int kept[2] = {-1, -1};
    memset(out, 0, plane * (size_t)source->channels * sizeof *out);
    for (int i = 0; i < down->n_out; i++) {
        for (int k = 0; k < down->count[i]; k++) {
            int y = down->start[i] + k;
            float *row = rows + (size_t)(y % 2) * n;
            if (kept[y % 2] != y) {
                make_row(row, source, across, y);
                kept[y % 2] = y;
            }
            float weight = down->weight[(size_t)i * (size_t)down->most + (size_t)k];
            for (int c = 0; c < source->channels; c++) {
                float *to = out + (size_t)c * plane + (size_t)i * width;
                const float *from = row + (size_t)c * width;
                for (size_t x = 0; x < width; x++) {
                    to[x] += weight * from[x];
                }
            }
        }
    }
}

static kata_status resample(float *out, kata_context *context, struct source *source,
                            const kata__area *area, int height, int width) {
    kata__axis down = {.context = NULL}, across = {.context = NULL};
    size_t n_channels = (size_t)source->channels;
    source->left = area->left;
    source->width = area->width;
    source->row = kata__alloc(context, n_channels * (size_t)area->width, sizeof *source->row);
    float *rows = kata__alloc(context, 2 * n_channels, (size_t)width * sizeof *rows);
    kata_status status = source->row == NULL || rows == NULL ? KATA_OUT_OF_MEMORY : KATA_OK;
    if (status == KATA_OK) {
        status = kata__axis_new(&down, context, area->top, area->height, height);
    }
    if (status == KATA_OK) {
        status = kata__axis_new(&across, context, 0, area->width, width);
    }
    if (status == KATA_OK) {
        run(out, source, &down, &across, rows);
    }
    kata__axis_free(&down);
    kata__axis_free(&across);
    kata__free(context, rows);
    kata__free(context, source->row);
    return status;
}

kata_status kata__resample_picture(float *out, const kata_picture *picture, const kata__area *area,
                                   int channels, int height, int width) {
    struct source source = {.picture = picture, .channels = channels};
    return resample(out, picture->context, &source, area, height, width);
}

kata_status kata__resample_plane(float *out, kata_context *context, const float *plane, int stride,
                                 const kata__area *area, int height, int width) {
    struct source source = {.plane = plane, .stride = stride, .channels = 1};
    return resample(out, context, &source, area, height, width);
}
