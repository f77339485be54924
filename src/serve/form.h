/* Pictures in HTML forms: multipart/form-data (RFC 7578). */
#ifndef KATA_SERVE_FORM_H
#define KATA_SERVE_FORM_H

#include <kata/base.h>

/* Whether a Content-Type is a form with parts. NULL: no. */
bool kata__form_is(const char *content_type);
/* The bytes of the first part that is a file (has a file name); where none is, of the only part.
 * *file points into `body`. KATA_FORMAT with a sentence: no boundary, no part, several parts and no
 * file, a part without an end. */
kata_status kata__form_file(const char *content_type, const char *body, size_t n_body,
                            const char **file, size_t *n_file);

#endif
