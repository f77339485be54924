/* HTML pages that stand alone: nothing is loaded, no script, one style for light and dark. */
#ifndef KATA_FIGURE_HTML_H
#define KATA_FIGURE_HTML_H

#include "base/buffer.h"

/* Text with &, <, >, " and ' escaped; control characters become U+FFFD. */
kata_status kata__html_text(kata__buffer *out, const char *text);
kata_status kata__html_begin(kata__buffer *out, const char *title);
kata_status kata__html_end(kata__buffer *out);

/* <img> with the picture as a data: address. pixels: 1 (grey) or 3 (RGB) channels, interleaved.
 * `css` is its class, `alternative` its text. */
kata_status kata__html_picture(kata__buffer *out, const uint8_t *pixels, int channels, int height,
                               int width, const char *css, const char *alternative);

/* A PNG of 8 bits a channel, 1 or 3 channels interleaved; not compressed, so that no library is
 * needed: for small pictures. */
kata_status kata__png_write(kata__buffer *out, const uint8_t *pixels, int channels, int height,
                            int width);

#endif
