/* Embedded pages by path. */
#include "serve/web.h"

#include <string.h>

const kata__web_file *kata__web_find(const char *path) {
    for (const kata__web_file *file = kata__web_files; file->path != NULL; file++) {
        if (strcmp(file->path, path) == 0) {
            return file;
        }
    }
    return NULL;
}
