/* The progress line: at most twenty times a second, never wider than the terminal. */
#include "tool/progress.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tool/terminal.h"

enum { LINE = 512, EVERY_MS = 50, BAR_LONGEST = 30, BAR_SHORTEST = 5 };

static bool drawn;
static uint64_t last_ns;

void kata__progress_clear(void) {
    if (drawn) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
        drawn = false;
    }
}

static void append(char *line, const char *text) {
    size_t used = strlen(line);
    snprintf(line + used, LINE - used, "%s", text);
}

/* Full cells, and the rest. */
static void append_bar(char *line, int width, double share, bool colour, bool utf8) {
    int full = (int)((double)width * share + 0.5);
    full = full < 0 ? 0 : full > width ? width : full;
    append(line, utf8 ? "" : "[");
    append(line, colour ? "\033[32m" : "");
    for (int i = 0; i < full; i++) {
        append(line, utf8 ? "━" : "=");
    }
    append(line, colour ? "\033[0m\033[2m" : "");
    for (int i = full; i < width; i++) {
        append(line, utf8 ? (colour ? "━" : "─") : "-");
    }
    append(line, colour ? "\033[0m" : "");
    append(line, utf8 ? "" : "]");
}

void kata__progress_draw(const kata__progress_bar *bar, bool force) {
    uint64_t now = kata__clock_ns();
    if (!kata__terminal_is(2) || (!force && now - last_ns < (uint64_t)EVERY_MS * 1000000)) {
        return;
    }
    last_ns = now;
    int width = kata__terminal_width(2) - 1;
    bool colour = kata__terminal_colour(2), utf8 = kata__terminal_utf8();
    char line[LINE] = "", percent[16], rate[96] = "", left[64] = "", count[KATA__TERMINAL_TEXT];
    snprintf(percent, sizeof percent, "%3.0f %%", 100 * bar->share);
    if (bar->rate > 0) {
        kata__count_text((int64_t)(bar->rate + 0.5), count);
        snprintf(rate, sizeof rate, "%s %s/s", count, bar->unit);
    }
    if (bar->seconds_left >= 0) {
        snprintf(left, sizeof left, "%s left", kata__time_text(bar->seconds_left, count));
    }
    /* What fits, in the order of worth: place, percent, time left, bar, figures, rate. */
    const char *parts[] = {percent, left, bar->right != NULL ? bar->right : "", rate};
    bool shown[4] = {false};
    int used = (int)strlen(bar->left), bar_width = 0;
    for (int i = 0; i < 4; i++) {
        int need = parts[i][0] != '\0' ? (int)strlen(parts[i]) + 2 : 0;
        shown[i] = need > 0 && used + need <= width;
        used += shown[i] ? need : 0;
        if (i == 1) {
            int room = width - used - 2 - (utf8 ? 0 : 2);
            bar_width = room > BAR_LONGEST ? BAR_LONGEST : room >= BAR_SHORTEST ? room : 0;
            int after = (int)strlen(parts[2]) + 2;
            if (bar_width > BAR_SHORTEST && bar_width + after > room) {
                int smaller = room - after;
                bar_width = smaller >= BAR_SHORTEST ? smaller : bar_width;
            }
            used += bar_width > 0 ? bar_width + 2 + (utf8 ? 0 : 2) : 0;
        }
    }
    snprintf(line, sizeof line, "%.*s", width > 0 ? width : 0, bar->left);
    if (bar_width > 0) {
        append(line, "  ");
        append_bar(line, bar_width, bar->share, colour, utf8);
    }
    static const int order[] = {0, 3, 1, 2};
    for (int i = 0; i < 4; i++) {
        if (shown[order[i]]) {
            append(line, "  ");
            append(line, parts[order[i]]);
        }
    }
    fprintf(stderr, "\r%s\033[K", line);
    fflush(stderr);
    drawn = true;
}
