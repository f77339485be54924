/* The streaming reader of request numbers. Strict JSON (RFC 8259): no NaN, no hexadecimal, no
 * trailing comma, bounded depth, nothing after the end. */
#include "serve/instances.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"

typedef struct reader {
    kata_context *context;
    const char *start, *at, *end; /* *end is a NUL byte */
    int64_t width;
    kata__instances *out;
    size_t capacity;
    int64_t counts[KATA__INSTANCES_DEPTH]; /* elements of a list at this depth, -1: not seen yet */
} reader;

static kata_status malformed(const reader *r, const char *expected) {
    if (r->at >= r->end) {
        return kata_fail(KATA_FORMAT, "the JSON ends too early: expected %s", expected);
    }
    return kata_fail(KATA_FORMAT, "malformed JSON at byte %td: expected %s", r->at - r->start,
                     expected);
}

static void skip_blanks(reader *r) {
    while (r->at < r->end && strchr(" \t\r\n", *r->at) != NULL) {
        r->at++;
    }
}

static bool take(reader *r, char c) {
    skip_blanks(r);
    if (r->at < r->end && *r->at == c) {
        r->at++;
        return true;
    }
    return false;
}

static size_t digits(const char *at) {
    return strspn(at, "0123456789");
}

/* The grammar first, since strtod takes more than JSON does. */
static kata_status read_number(reader *r, double *value) {
    const char *p = r->at;
    p += *p == '-';
    size_t whole = digits(p);
    if (whole == 0 || (whole > 1 && *p == '0')) {
        return malformed(r, "a number");
    }
    p += whole;
    if (*p == '.') {
        size_t n = digits(++p);
        if (n == 0) {
            return malformed(r, "a number");
        }
        p += n;
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '+' || *p == '-';
        size_t n = digits(p);
        if (n == 0) {
            return malformed(r, "a number");
        }
        p += n;
    }
    *value = strtod(r->at, NULL);
    if (!isfinite((float)*value)) {
        return kata_fail(KATA_FORMAT, "the number at byte %td is too large for float32",
                         r->at - r->start);
    }
    r->at = p;
    return KATA_OK;
}

/* A text is only skipped (names of keys, signature_name). */
static kata_status read_text(reader *r, char *text, size_t n_bytes) {
    size_t n = 0;
    if (!take(r, '"')) {
        return malformed(r, "a text in double quotes");
    }
    while (r->at < r->end && *r->at != '"') {
        if ((unsigned char)*r->at < 0x20) {
            return malformed(r, "no control character in a text");
        }
        if (*r->at == '\\') {
            r->at++;
            if (r->at >= r->end) {
                break;
            }
        }
        if (n + 1 < n_bytes) {
            text[n++] = *r->at;
        }
        r->at++;
    }
    text[n] = '\0';
    return r->at < r->end ? (r->at++, KATA_OK) : malformed(r, "the end of a text");
}

static kata_status put(reader *r, double value, int64_t index_in_instance) {
    size_t n = (size_t)(r->out->n * r->width + index_in_instance);
    if (index_in_instance >= r->width) {
        return kata_fail(KATA_SHAPE,
                         "instance %" PRId64 " has more than %" PRId64
                         " numbers; the model takes %" PRId64,
                         r->out->n, r->width, r->width);
    }
    KATA__TRY(kata__grow(r->context, (void **)&r->out->numbers, &r->capacity, n + 1,
                         sizeof *r->out->numbers, (size_t)KATA__INSTANCES_MOST * (size_t)r->width));
    r->out->numbers[n] = (float)value;
    return KATA_OK;
}

/* A number, or a list of values; all lists of one depth must be equally long. */
static kata_status read_value(reader *r, int depth, int64_t *count) {
    double value = 0;
    skip_blanks(r);
    if (r->at < r->end && (*r->at == '{' || *r->at == '"')) {
        return kata_fail(KATA_FORMAT,
                         "instance %" PRId64
                         " is %s at byte %td; an instance is a list of numbers. "
                         "A picture is not given as base64 ({\"b64\": ...}) but as its own bytes, "
                         "by POST /NAME",
                         r->out->n, *r->at == '{' ? "an object" : "a text", r->at - r->start);
    }
    if (!take(r, '[')) {
        KATA__TRY(read_number(r, &value));
        return put(r, value, (*count)++);
    }
    if (depth >= KATA__INSTANCES_DEPTH) {
        return kata_fail(KATA_LIMIT, "instances are nested deeper than %d lists",
                         KATA__INSTANCES_DEPTH);
    }
    int64_t n = 0;
    if (!take(r, ']')) {
        do {
            KATA__TRY(read_value(r, depth + 1, count));
            n++;
        } while (take(r, ','));
        if (!take(r, ']')) {
            return malformed(r, "',' or ']'");
        }
    }
    if (r->counts[depth] >= 0 && r->counts[depth] != n) {
        return kata_fail(KATA_SHAPE,
                         "the lists are ragged: one of %" PRId64 " elements beside one of %" PRId64,
                         n, r->counts[depth]);
    }
    r->counts[depth] = n;
    return KATA_OK;
}

static kata_status read_list(reader *r) {
    if (!take(r, '[')) {
        return malformed(r, "a list of instances");
    }
    if (take(r, ']')) {
        return KATA_OK;
    }
    do {
        int64_t count = 0;
        if (r->out->n >= KATA__INSTANCES_MOST) {
            return kata_fail(KATA_LIMIT, "at most %d instances a request", KATA__INSTANCES_MOST);
        }
        KATA__TRY(read_value(r, 0, &count));
        if (count != r->width) {
            return kata_fail(KATA_SHAPE,
                             "instance %" PRId64 " has %" PRId64
                             " numbers; the model takes %" PRId64,
                             r->out->n, count, r->width);
        }
        r->out->n++;
    } while (take(r, ','));
    return take(r, ']') ? KATA_OK : malformed(r, "',' or ']'");
}

static kata_status read_object(reader *r) {
    char key[64], text[64];
    bool found = false;
    if (!take(r, '{')) {
        return malformed(r, "an object {\"instances\": [...]}");
    }
    if (!take(r, '}')) {
        do {
            KATA__TRY(read_text(r, key, sizeof key));
            if (!take(r, ':')) {
                return malformed(r, "':'");
            }
            if (strcmp(key, "instances") == 0 && !found) {
                found = true;
                KATA__TRY(read_list(r));
            } else if (strcmp(key, "signature_name") == 0) {
                KATA__TRY(read_text(r, text, sizeof text));
            } else {
                return kata_fail(KATA_FORMAT,
                                 found && strcmp(key, "instances") == 0
                                     ? "the key \"%s\" is there twice"
                                     : "the key \"%s\" is not known; expected \"instances\"",
                                 key);
            }
        } while (take(r, ','));
        if (!take(r, '}')) {
            return malformed(r, "',' or '}'");
        }
    }
    skip_blanks(r);
    if (r->at != r->end) {
        return malformed(r, "nothing after the object");
    }
    return found ? KATA_OK : kata_fail(KATA_FORMAT, "the key \"instances\" is missing");
}

kata_status kata__instances_read(kata__instances *out, kata_context *context, const char *text,
                                 size_t n_bytes, int64_t width) {
    kata__instances read = {0};
    reader r = {.context = context,
                .start = text,
                .at = text,
                .end = text + n_bytes,
                .width = width,
                .out = &read};
    for (int i = 0; i < KATA__INSTANCES_DEPTH; i++) {
        r.counts[i] = -1;
    }
    if (memchr(text, '\0', n_bytes) != NULL) {
        return kata_fail(KATA_FORMAT, "the JSON contains a NUL byte");
    }
    kata_status status = read_object(&r);
    if (status != KATA_OK) {
        kata__free(context, read.numbers);
        return status;
    }
    *out = read;
    return KATA_OK;
}
