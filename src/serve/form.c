/* Multipart forms, read from a whole body. */
#include "serve/form.h"

#include <string.h>
#include <strings.h>

#include "base/check.h"

enum { BOUNDARY_MOST = 70 }; /* RFC 2046 */

bool kata__form_is(const char *content_type) {
    static const char name[] = "multipart/form-data";
    return content_type != NULL && strncasecmp(content_type, name, sizeof name - 1) == 0 &&
           strchr("; \t", content_type[sizeof name - 1]) != NULL;
}

/* Parameter `name` of a header, without its quotes; any case, among others. Returns its length, 0
 * if it is not there. */
static size_t parameter(const char *header, size_t n, const char *name, const char **value) {
    const size_t n_name = strlen(name);
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        quoted = quoted != (header[i] == '"');
        if (quoted || header[i] != ';') {
            continue;
        }
        size_t at = i + 1;
        while (at < n && (header[at] == ' ' || header[at] == '\t')) {
            at++;
        }
        if (n - at <= n_name || strncasecmp(header + at, name, n_name) != 0 ||
            header[at + n_name] != '=') {
            continue;
        }
        at += n_name + 1;
        const bool has_quotes = at < n && header[at] == '"';
        at += has_quotes;
        size_t end = at;
        while (end < n &&
               (has_quotes ? header[end] != '"' : strchr("; \t\r", header[end]) == NULL)) {
            end++;
        }
        *value = header + at;
        return end - at;
    }
    return 0;
}

/* A line of dashes and the boundary: where it begins from `at` on; NULL: not there. */
static const char *delimiter(const char *at, const char *end, const char *boundary, size_t n) {
    for (; end - at >= (ptrdiff_t)n + 2; at++) {
        at = memchr(at, '-', (size_t)(end - at));
        if (at == NULL || end - at < (ptrdiff_t)n + 2) {
            return NULL;
        }
        if (at[1] == '-' && memcmp(at + 2, boundary, n) == 0) {
            return at;
        }
    }
    return NULL;
}

/* Whether one of a part's header lines names a file. */
static bool names_a_file(const char *headers, size_t n) {
    static const char name[] = "content-disposition:";
    const char *value;
    for (size_t at = 0; at < n;) {
        const char *line_end = memchr(headers + at, '\n', n - at);
        const size_t length = line_end != NULL ? (size_t)(line_end - headers) - at : n - at;
        if (length >= sizeof name - 1 && strncasecmp(headers + at, name, sizeof name - 1) == 0) {
            return parameter(headers + at, length, "filename", &value) > 0;
        }
        at += length + 1;
    }
    return false;
}

/* The blank line after a part's headers; *data is what comes behind it. */
static const char *headers_end(const char *at, const char *end, const char **data) {
    for (; at < end; at++) {
        if (*at == '\n' && end - at > 1 && at[1] == '\n') {
            *data = at + 2;
            return at;
        }
        if (*at == '\n' && end - at > 2 && at[1] == '\r' && at[2] == '\n') {
            *data = at + 3;
            return at;
        }
    }
    return NULL;
}

kata_status kata__form_file(const char *content_type, const char *body, size_t n_body,
                            const char **file, size_t *n_file) {
    const char *boundary, *end = body + n_body, *data;
    const size_t n = parameter(content_type, strlen(content_type), "boundary", &boundary);
    int n_parts = 0;
    if (n == 0 || n > BOUNDARY_MOST) {
        return kata_fail(KATA_FORMAT,
                         "the form's Content-Type has no boundary of 1 to %d characters; expected "
                         "multipart/form-data; boundary=...",
                         BOUNDARY_MOST);
    }
    const char *at = delimiter(body, end, boundary, n);
    while (at != NULL) {
        at += n + 2;
        if (end - at >= 2 && at[0] == '-' && at[1] == '-') {
            break;
        }
        const char *next = delimiter(at, end, boundary, n);
        const char *headers = headers_end(at, next != NULL ? next : end, &data);
        if (next == NULL || headers == NULL) {
            return kata_fail(KATA_FORMAT, "part %d of the form has no end", n_parts + 1);
        }
        const char *data_end = next; /* the line's end before the boundary is the boundary's */
        data_end -= data_end > data && data_end[-1] == '\n';
        data_end -= data_end > data && data_end[-1] == '\r';
        const bool is_file = names_a_file(at, (size_t)(headers - at));
        if (is_file || n_parts++ == 0) {
            *file = data;
            *n_file = (size_t)(data_end - data);
        }
        if (is_file) {
            return KATA_OK;
        }
        at = next;
    }
    return n_parts == 1 ? KATA_OK
                        : kata_fail(KATA_FORMAT,
                                    "the form has no file%s; send a picture, e.g. curl -F "
                                    "image=@digit.png",
                                    n_parts == 0 ? "" : " among its fields");
}
