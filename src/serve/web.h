/* The pages of web/, embedded when the program is built (cmake/web.cmake). */
#ifndef KATA_SERVE_WEB_H
#define KATA_SERVE_WEB_H

#include <stddef.h>

typedef struct kata__web_file {
    const char *path; /* "/index.html" */
    const char *type; /* "text/html; charset=utf-8" */
    const unsigned char *data;
    size_t n_bytes;
} kata__web_file;

extern const kata__web_file kata__web_files[]; /* generated; ends with a NULL path */

/* The file of this path, NULL if there is none. */
const kata__web_file *kata__web_find(const char *path);

#endif
