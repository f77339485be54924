/* Plots as SVG: the same numbers give the same bytes; readable on light and dark pages. */
#ifndef KATA_FIGURE_SVG_H
#define KATA_FIGURE_SVG_H

#include "base/buffer.h"

/* One line of a chart. A NaN breaks it. */
typedef struct kata__series {
    const char *name;
    const double *x, *y;
    int64_t n;
    int colour; /* 0..5 of the palette */
    bool dashed;
} kata__series;

typedef struct kata__chart {
    const char *title, *x_label, *y_label;
    const kata__series *series;
    int n_series;
    bool whole_x; /* ticks at whole numbers only: epochs */
    bool percent; /* y is a share, shown in percent */
    bool zero_y;  /* the y axis begins at 0 */
} kata__chart;
kata_status kata__svg_lines(kata__buffer *out, const kata__chart *chart);

/* Counts or numbers, a bar each, with labels below. */
typedef struct kata__bars {
    const char *title, *y_label;
    const char *const *labels;
    const double *values; /* not negative */
    int n;
} kata__bars;
kata_status kata__svg_bars(kata__buffer *out, const kata__bars *bars);

/* How values lie: n_bins equal parts from the least to the greatest. */
kata_status kata__svg_histogram(kata__buffer *out, const char *title, const char *x_label,
                                const double *values, int64_t n, int n_bins);

/* A confusion matrix: counts[row * n + column]; right answers on the diagonal in one colour,
 * mistakes in another, both by their share of the row. */
typedef struct kata__matrix {
    const char *title, *row_label, *column_label;
    const char *const *labels;
    const int64_t *counts;
    int n; /* at most KATA__MATRIX_MOST */
} kata__matrix;
enum { KATA__MATRIX_MOST = 64 };
kata_status kata__svg_matrix(kata__buffer *out, const kata__matrix *matrix);

/* Ticks at 1, 2 or 5 times a power of ten: at most `most` from the first one >= low on. Returns the
 * distance; *first and *n say where and how many. */
double kata__nice_ticks(double low, double high, int most, double *first, int *n);

#endif
