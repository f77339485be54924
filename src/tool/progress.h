/* The progress line of a long job on stderr: a bar with rate and time left on a terminal; elsewhere
 * only the lines that stay. */
#ifndef KATA_TOOL_PROGRESS_H
#define KATA_TOOL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct kata__progress_bar {
    const char *left;    /* "epoch 3/20" */
    double share;        /* done, 0..1 */
    double rate;         /* per second; 0: unknown */
    const char *unit;    /* of the rate */
    double seconds_left; /* negative: unknown */
    const char *right;   /* "loss 0.123"; dropped first on a narrow terminal */
} kata__progress_bar;

/* Draws the bar if stderr is a terminal and the last drawing is 50 ms past, or `force`. */
void kata__progress_draw(const kata__progress_bar *bar, bool force);
/* Wipes the bar away before another line is printed. */
void kata__progress_clear(void);

#endif
