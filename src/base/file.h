/* Files: read whole, write so that a crash leaves the old or the new one, never half. */
#ifndef KATA_BASE_FILE_H
#define KATA_BASE_FILE_H

#include <kata/base.h>

/* The system's reason for an errno, thread-safe. Returns `text` or a constant. */
#define KATA__SYSTEM_ERROR_SIZE 128
const char *kata__system_error(int error, char text[KATA__SYSTEM_ERROR_SIZE]);

/* Reads a whole file of at most `maximum` bytes into *data (one extra NUL byte; kata__free).
 * The message names the file and the system's reason. A missing file is KATA_NOT_FOUND, one above
 * the maximum KATA_LIMIT, a directory and the rest KATA_IO. Pipes are read to their end. */
kata_status kata__file_read(kata_context *context, const char *path, size_t maximum, char **data,
                            size_t *n_bytes);
/* Writes PATH.tmp-PID-NUMBER, fsync, rename, fsync of the folder. On failure the temporary file is
 * removed and what was at PATH stays as it was. An existing file's mode is kept, a link is
 * followed, a device or pipe (/dev/stdout) is written to in place. */
kata_status kata__file_write(kata_context *context, const char *path, const void *data,
                             size_t n_bytes);
/* mkdir -p. */
kata_status kata__directory_make(const char *path);
bool kata__file_exists(const char *path);
bool kata__directory_exists(const char *path);

#endif
