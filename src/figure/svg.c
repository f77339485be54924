/* Plots as SVG. Colours are CSS variables with a dark set, so that a plot reads on any page. */
#include "figure/svg.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "figure/html.h"

/* In units of the view box; a page scales it. */
enum { WIDTH = 480, HEIGHT = 300, TOP = 58, BOTTOM = 46, LEFT = 58, RIGHT = 16, FONT = 13 };

typedef struct axis {
    double low, high, first, step;
    int n_ticks;
    double from, to; /* pixels */
} axis;

static double at(const axis *a, double value) {
    return a->from + (a->to - a->from) * (value - a->low) / (a->high - a->low);
}

double kata__nice_ticks(double low, double high, int most, double *first, int *n) {
    double rough = (high - low) / (most > 1 ? most - 1 : 1);
    if (!(rough > 0) || !isfinite(rough)) {
        *first = low;
        *n = 1;
        return 1;
    }
    double power = pow(10, floor(log10(rough)));
    double part = rough / power;
    double step = power * (part <= 1 + 1e-9 ? 1 : part <= 2 + 1e-9 ? 2 : part <= 5 + 1e-9 ? 5 : 10);
    *first = ceil(low / step - 1e-9) * step;
    *n = (int)floor((high - *first) / step + 1e-9) + 1;
    *n = *n < 0 ? 0 : *n;
    return step;
}

/* --- the frame ----------------------------------------------------------------------------------
 */

static void begin(kata__buffer *out, const char *title, int width, int height) {
    kata__buffer_printf(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"kata-plot\" viewBox=\"0 0 %d %d\" "
        "role=\"img\" font-family=\"system-ui,sans-serif\" font-size=\"%d\">\n",
        width, height, FONT);
    kata__buffer_text(out, "<title>");
    kata__html_text(out, title);
    kata__buffer_text(
        out,
        "</title>\n<style>"
        ".kata-plot{--ink:#1f2933;--soft:#5f6b7a;--line:#d5dbe3;--c0:#2563eb;--c1:#d9480f;"
        "--c2:#2b8a3e;--c3:#9c36b5;--c4:#0b7285;--c5:#c2255c}"
        "@media (prefers-color-scheme:dark){.kata-plot{--ink:#e6eaf0;--soft:#9aa7b8;--line:#3a4454;"
        "--c0:#74a9ff;--c1:#ff9f5a;--c2:#69db7c;--c3:#e599f7;--c4:#66d9e8;--c5:#faa2c1}}"
        ".kata-plot text{fill:var(--soft)}.kata-plot .t{fill:var(--ink);font-weight:600;"
        "font-size:15px}.kata-plot .g{stroke:var(--line);stroke-width:1}"
        ".kata-plot .s{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}"
        "</style>\n");
    kata__buffer_text(out, "<text class=\"t\" x=\"0\" y=\"16\">");
    kata__html_text(out, title);
    kata__buffer_text(out, "</text>\n");
}

static void end(kata__buffer *out) {
    kata__buffer_text(out, "</svg>\n");
}

static void text(kata__buffer *out, double x, double y, const char *anchor, const char *what) {
    kata__buffer_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    kata__html_text(out, what);
    kata__buffer_text(out, "</text>\n");
}

static void upright_label(kata__buffer *out, double x, double y, const char *what) {
    kata__buffer_printf(out,
                        "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" transform=\"rotate(-90 "
                        "%.1f %.1f)\">",
                        x, y, x, y);
    kata__html_text(out, what);
    kata__buffer_text(out, "</text>\n");
}

/* A tick's number with as many places as its step needs; "1k", "2M" where numbers are long. */
static void tick_text(char *label, size_t n_bytes, double value, double step, bool percent) {
    if (percent) {
        value *= 100;
        step *= 100;
    }
    const char *unit = "";
    if (step >= 1e6) {
        value /= 1e6;
        step /= 1e6;
        unit = "M";
    } else if (step >= 1e3) {
        value /= 1e3;
        step /= 1e3;
        unit = "k";
    }
    int places = step > 0 && step < 1 ? (int)ceil(-log10(step) - 1e-9) : 0;
    if (places > 5) {
        snprintf(label, n_bytes, "%.1e", value);
    } else {
        double shown = fabs(value) < step * 1e-6 ? 0 : value;
        snprintf(label, n_bytes, "%.*f%s%s", places, shown, unit, percent ? " %" : "");
    }
}

static void draw_axes(kata__buffer *out, const axis *x, const axis *y, const char *x_label,
                      const char *y_label, bool percent) {
    char label[48];
    for (int i = 0; i < y->n_ticks; i++) {
        double value = y->first + i * y->step, py = at(y, value);
        kata__buffer_printf(out,
                            "<line class=\"g\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
                            x->from, py, x->to, py);
        tick_text(label, sizeof label, value, y->step, percent);
        text(out, x->from - 6, py + 4.5, "end", label);
    }
    for (int i = 0; i < x->n_ticks; i++) {
        double value = x->first + i * x->step;
        tick_text(label, sizeof label, value, x->step, false);
        text(out, at(x, value), y->from + 18, "middle", label);
    }
    kata__buffer_printf(out,
                        "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" "
                        "stroke=\"var(--soft)\"/>\n",
                        x->from, y->from, x->to, y->from);
    if (x_label != NULL) {
        text(out, (x->from + x->to) / 2, y->from + 38, "middle", x_label);
    }
    if (y_label != NULL) {
        upright_label(out, 12, (y->from + y->to) / 2, y_label);
    }
}

/* --- lines --------------------------------------------------------------------------------------
 */

static void range(const kata__chart *chart, bool of_y, double *low, double *high) {
    *low = INFINITY;
    *high = -INFINITY;
    for (int s = 0; s < chart->n_series; s++) {
        const kata__series *series = &chart->series[s];
        for (int64_t i = 0; i < series->n; i++) {
            double value = of_y ? series->y[i] : series->x[i];
            if (isfinite(value) && isfinite(series->y[i])) {
                *low = fmin(*low, value);
                *high = fmax(*high, value);
            }
        }
    }
    if (!(*low <= *high)) {
        *low = 0;
        *high = 1;
    }
}

static axis make_axis(double low, double high, double from, double to, int most) {
    axis a = {.from = from, .to = to};
    if (high - low < 1e-12 * fmax(1, fabs(high))) {
        double margin = fabs(high) > 0 ? fabs(high) * 0.1 : 1;
        low -= margin;
        high += margin;
    }
    a.step = kata__nice_ticks(low, high, most, &a.first, &a.n_ticks);
    a.low = low;
    a.high = high;
    return a;
}

/* The axis grown to whole steps, so that it begins and ends at a tick. */
static axis round_axis(axis a, double lowest, double highest) {
    double low = floor(a.low / a.step + 1e-9) * a.step;
    double high = ceil(a.high / a.step - 1e-9) * a.step;
    a.low = fmax(low, lowest);
    a.high = fmin(high, highest);
    a.first = ceil(a.low / a.step - 1e-9) * a.step;
    a.n_ticks = (int)floor((a.high - a.first) / a.step + 1e-9) + 1;
    return a;
}

static void draw_series(kata__buffer *out, const kata__series *s, const axis *x, const axis *y) {
    int points = 0;
    bool broken = true;
    kata__buffer_printf(out, "<path class=\"s\" stroke=\"var(--c%d)\"%s d=\"", s->colour % 6,
                        s->dashed ? " stroke-dasharray=\"6 5\"" : "");
    for (int64_t i = 0; i < s->n; i++) {
        if (!isfinite(s->y[i]) || !isfinite(s->x[i])) {
            broken = true;
            continue;
        }
        kata__buffer_printf(out, "%c%.1f %.1f", broken ? 'M' : 'L', at(x, s->x[i]), at(y, s->y[i]));
        broken = false;
        points++;
    }
    kata__buffer_text(out, "\"/>\n");
    /* Few points are shown as such; one alone would be invisible. */
    for (int64_t i = 0; i < s->n && points <= 12; i++) {
        if (isfinite(s->y[i]) && isfinite(s->x[i])) {
            kata__buffer_printf(out,
                                "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"var(--c%d)\"/>\n",
                                at(x, s->x[i]), at(y, s->y[i]), s->colour % 6);
        }
    }
}

static void draw_legend(kata__buffer *out, const kata__chart *chart) {
    double x = LEFT;
    for (int i = 0; i < chart->n_series && chart->n_series > 1; i++) {
        const kata__series *s = &chart->series[i];
        kata__buffer_printf(out,
                            "<line class=\"s\" x1=\"%.1f\" y1=\"36\" x2=\"%.1f\" y2=\"36\" "
                            "stroke=\"var(--c%d)\"%s/>\n",
                            x, x + 26, s->colour % 6, s->dashed ? " stroke-dasharray=\"6 5\"" : "");
        text(out, x + 33, 40.5, "start", s->name);
        x += 33 + 7.2 * (double)strlen(s->name) + 22;
    }
}

kata_status kata__svg_lines(kata__buffer *out, const kata__chart *chart) {
    double low, high;
    range(chart, false, &low, &high);
    axis x = make_axis(low, high, LEFT, WIDTH - RIGHT, 7);
    if (chart->whole_x && x.step < 1) {
        x.step = 1;
        x.first = ceil(x.low - 1e-9);
        x.n_ticks = (int)floor(x.high - x.first + 1e-9) + 1;
    }
    range(chart, true, &low, &high);
    if (chart->zero_y) {
        low = fmin(low, 0);
    }
    int top = chart->n_series > 1 ? TOP : TOP - 24;
    axis y = make_axis(low, high, HEIGHT - BOTTOM, top, 6);
    y = round_axis(y, -INFINITY, chart->percent && high <= 1 ? 1 : INFINITY);
    begin(out, chart->title, WIDTH, HEIGHT);
    draw_axes(out, &x, &y, chart->x_label, chart->y_label, chart->percent);
    for (int i = 0; i < chart->n_series; i++) {
        draw_series(out, &chart->series[i], &x, &y);
    }
    draw_legend(out, chart);
    end(out);
    return out->status;
}

/* --- bars ---------------------------------------------------------------------------------------
 */

kata_status kata__svg_bars(kata__buffer *out, const kata__bars *bars) {
    double high = 0;
    for (int i = 0; i < bars->n; i++) {
        high = isfinite(bars->values[i]) ? fmax(high, bars->values[i]) : high;
    }
    axis x = {.low = 0, .high = fmax(bars->n, 1), .from = LEFT, .to = WIDTH - RIGHT};
    axis y =
        round_axis(make_axis(0, high > 0 ? high : 1, HEIGHT - BOTTOM, TOP - 24, 6), 0, INFINITY);
    begin(out, bars->title, WIDTH, HEIGHT);
    draw_axes(out, &x, &y, NULL, bars->y_label, false);
    double room = (x.to - x.from) / x.high;
    int every = 1 + (int)(34 / room);
    for (int i = 0; i < bars->n; i++) {
        double value = isfinite(bars->values[i]) ? bars->values[i] : 0;
        double top = at(&y, value), left = at(&x, i) + room * 0.12;
        kata__buffer_printf(out,
                            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
                            "fill=\"var(--c0)\"/>\n",
                            left, top, room * 0.76, y.from - top);
        if (bars->labels != NULL && (i % every == 0 || room >= 34)) {
            text(out, at(&x, i + 0.5), y.from + 18, "middle", bars->labels[i]);
        }
    }
    end(out);
    return out->status;
}

kata_status kata__svg_histogram(kata__buffer *out, const char *title, const char *x_label,
                                const double *values, int64_t n, int n_bins) {
    double low = INFINITY, high = -INFINITY, counts[200] = {0}, most = 0;
    n_bins = n_bins < 1 ? 1 : n_bins > 200 ? 200 : n_bins;
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(values[i])) {
            low = fmin(low, values[i]);
            high = fmax(high, values[i]);
        }
    }
    if (!(low <= high)) {
        low = 0;
        high = 1;
    }
    axis x = make_axis(low, high, LEFT, WIDTH - RIGHT, 7);
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(values[i])) {
            int bin = (int)((values[i] - x.low) / (x.high - x.low) * n_bins);
            bin = bin >= n_bins ? n_bins - 1 : bin < 0 ? 0 : bin;
            counts[bin]++;
            most = fmax(most, counts[bin]);
        }
    }
    axis y =
        round_axis(make_axis(0, most > 0 ? most : 1, HEIGHT - BOTTOM, TOP - 24, 6), 0, INFINITY);
    begin(out, title, WIDTH, HEIGHT);
    draw_axes(out, &x, &y, x_label, "count", false);
    double room = (x.to - x.from) / n_bins;
    for (int i = 0; i < n_bins; i++) {
        double top = at(&y, counts[i]);
        kata__buffer_printf(out,
                            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
                            "fill=\"var(--c0)\"/>\n",
                            x.from + room * i, top, fmax(room - 0.6, 0.6), y.from - top);
    }
    end(out);
    return out->status;
}

/* --- matrix -------------------------------------------------------------------------------------
 */

/* A label cut to so many characters of UTF-8. */
static void short_label(char *to, size_t n_bytes, const char *from, int most) {
    size_t n = 0;
    int characters = 0;
    for (; from[n] != '\0' && n + 4 < n_bytes; n++) {
        if (((unsigned char)from[n] & 0xc0) != 0x80 && ++characters > most) {
            break;
        }
    }
    memcpy(to, from, n);
    to[n] = '\0';
    if (from[n] != '\0') {
        snprintf(to + n, n_bytes - n, "…");
    }
}

kata_status kata__svg_matrix(kata__buffer *out, const kata__matrix *m) {
    enum { SIDE = 480, MARGIN_LEFT = 86, MARGIN_TOP = 66 };
    int n = m->n;
    if (n < 1 || n > KATA__MATRIX_MOST) {
        return kata_fail(KATA_LIMIT, "a matrix of %d classes is not drawn; at most %d", n,
                         KATA__MATRIX_MOST);
    }
    double cell = (double)(SIDE - MARGIN_LEFT - 4) / n;
    int height = MARGIN_TOP + SIDE - MARGIN_LEFT;
    char label[64];
    begin(out, m->title, SIDE, height);
    text(out, MARGIN_LEFT + cell * n / 2, 38, "middle", m->column_label);
    upright_label(out, 12, MARGIN_TOP + cell * n / 2, m->row_label);
    bool numbers = n <= 16;
    int every = cell >= 15 ? 1 : (int)ceil(15 / cell);
    int column_room = (int)(cell / 8) > 1 ? (int)(cell / 8) : 1;
    for (int row = 0; row < n; row++) {
        int64_t total = 0;
        for (int column = 0; column < n; column++) {
            total += m->counts[(int64_t)row * n + column];
        }
        double y = MARGIN_TOP + cell * row;
        if (row % every == 0) {
            short_label(label, sizeof label, m->labels[row], 8);
            text(out, MARGIN_LEFT - 7, y + cell / 2 + 4.5, "end", label);
            short_label(label, sizeof label, m->labels[row], column_room > 3 ? column_room : 3);
            text(out, MARGIN_LEFT + cell * (row + 0.5), MARGIN_TOP - 8, "middle", label);
        }
        for (int column = 0; column < n; column++) {
            int64_t count = m->counts[(int64_t)row * n + column];
            double share = total > 0 ? (double)count / (double)total : 0;
            /* Mistakes are rare: the root makes one in a hundred visible. */
            double shade = row == column ? 0.15 + 0.6 * share : 0.9 * sqrt(share);
            double x = MARGIN_LEFT + cell * column;
            kata__buffer_printf(out,
                                "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
                                "fill=\"var(--c%d)\" fill-opacity=\"%.3f\"><title>",
                                x, y, cell - 1, cell - 1, row == column ? 0 : 1,
                                count > 0 ? shade : 0.03);
            kata__html_text(out, m->labels[row]);
            kata__buffer_text(out, " → ");
            kata__html_text(out, m->labels[column]);
            kata__buffer_printf(out, ": %" PRId64 "</title></rect>\n", count);
            if (numbers && count > 0) {
                int size = cell >= 30 ? 12 : cell >= 24 ? 10 : 8;
                kata__buffer_printf(out,
                                    "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" "
                                    "font-size=\"%d\" style=\"fill:var(--ink)\">%" PRId64
                                    "</text>\n",
                                    x + cell / 2 - 0.5, y + cell / 2 + 4, size, count);
            }
        }
    }
    end(out);
    return out->status;
}
