/* The terminal: width, colour, and texts that are fit to print. */
#ifndef KATA_TOOL_TERMINAL_H
#define KATA_TOOL_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Columns of the terminal behind a descriptor: what it says, else COLUMNS, else 80. */
int kata__terminal_width(int descriptor);
bool kata__terminal_is(int descriptor); /* a terminal that moves its cursor */
/* Colour is wanted: a terminal, NO_COLOR not set, TERM not "dumb". */
bool kata__terminal_colour(int descriptor);
bool kata__terminal_utf8(void); /* by LC_ALL, LC_CTYPE, LANG */

/* Prints a text that came from outside: control characters become '?', so that a label or a file
 * name cannot steer the terminal. Newlines stay. */
void kata__terminal_print(FILE *file, const char *text);

/* Columns that a UTF-8 text takes: East Asian wide characters two, combining marks none. */
int kata__text_columns(const char *text);

/* "12,345"; "1.5 MiB"; "1:02:03", "4:05", "0:07". Return `text`. */
#define KATA__TERMINAL_TEXT 40
const char *kata__count_text(int64_t n, char text[KATA__TERMINAL_TEXT]);
const char *kata__bytes_text(double n_bytes, char text[KATA__TERMINAL_TEXT]);
const char *kata__time_text(double seconds, char text[KATA__TERMINAL_TEXT]);

#endif
