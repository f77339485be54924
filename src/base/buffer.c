/* The growable byte buffer and its JSON writers. Numbers are written the same in every locale. */
#include "base/buffer.h"
#include "base/check.h"
#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 256 };

void kata__buffer_init(kata__buffer *buffer, kata_context *context, size_t maximum) {
    *buffer = (kata__buffer){.context = context, .maximum = maximum};
}

void kata__buffer_free(kata__buffer *buffer) {
    if (buffer == NULL) {
        return;
    }
    kata__free(buffer->context, buffer->data);
    buffer->data = NULL;
    buffer->size = buffer->capacity = 0;
    buffer->status = KATA_OK;
}

void kata__buffer_clear(kata__buffer *buffer) {
    buffer->size = 0;
    buffer->status = KATA_OK;
    if (buffer->data != NULL) {
        buffer->data[0] = '\0';
    }
}

/* Makes room for n_bytes more and the NUL. *old is what the caller frees when it has copied. */
static kata_status reserve(kata__buffer *buffer, size_t n_bytes, char **old) {
    *old = NULL;
    if (buffer->status != KATA_OK) {
        return buffer->status;
    }
    if (n_bytes > buffer->maximum - buffer->size) {
        return buffer->status = kata_fail(KATA_LIMIT,
                                          "a buffer of %zu bytes cannot grow by %zu: at most %zu "
                                          "are allowed",
                                          buffer->size, n_bytes, buffer->maximum);
    }
    size_t needed = buffer->size + n_bytes; /* at most `maximum`: no overflow */
    if (buffer->data != NULL && needed < buffer->capacity) {
        return KATA_OK;
    }
    size_t room = buffer->capacity > SIZE_MAX / 2 ? SIZE_MAX : buffer->capacity * 2;
    room = room < FIRST_CAPACITY ? FIRST_CAPACITY : room;
    room = room > buffer->maximum ? buffer->maximum : room;
    room = room < needed ? needed : room;
    if (room > SIZE_MAX - 1) {
        room = SIZE_MAX - 1;
    }
    char *grown = kata__alloc(buffer->context, room + 1, 1);
    if (grown == NULL) {
        return buffer->status = KATA_OUT_OF_MEMORY;
    }
    if (buffer->data != NULL) {
        memcpy(grown, buffer->data, buffer->size + 1);
    } else {
        grown[0] = '\0';
    }
    *old = buffer->data;
    buffer->data = grown;
    buffer->capacity = room + 1;
    return KATA_OK;
}

kata_status kata__buffer_append(kata__buffer *buffer, const void *data, size_t n_bytes) {
    char *old;
    KATA__TRY(reserve(buffer, n_bytes, &old));
    if (n_bytes > 0) {
        /* `data` may lie in the old block: it is freed only now. */
        memmove(buffer->data + buffer->size, data, n_bytes);
    }
    kata__free(buffer->context, old);
    buffer->size += n_bytes;
    buffer->data[buffer->size] = '\0';
    return KATA_OK;
}

kata_status kata__buffer_text(kata__buffer *buffer, const char *text) {
    return kata__buffer_append(buffer, text, strlen(text));
}

kata_status kata__buffer_printf(kata__buffer *buffer, const char *format, ...) {
    if (buffer->status != KATA_OK) {
        return buffer->status;
    }
    char local[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(local, sizeof local, format, arguments);
    va_end(arguments);
    if (length < 0) {
        return buffer->status =
                   kata_fail(KATA_INVALID, "a text cannot be formatted as \"%s\"", format);
    }
    if ((size_t)length < sizeof local) {
        return kata__buffer_append(buffer, local, (size_t)length);
    }
    char *old;
    KATA__TRY(reserve(buffer, (size_t)length, &old));
    va_start(arguments, format);
    vsnprintf(buffer->data + buffer->size, (size_t)length + 1, format, arguments);
    va_end(arguments);
    kata__free(buffer->context, old);
    buffer->size += (size_t)length;
    return KATA_OK;
}

/* Length of the well-formed UTF-8 sequence at `text` (Unicode 15, table 3-7), else 0 and in *skip
 * the length of its longest well-formed beginning, at least 1. */
static size_t utf8_sequence(const unsigned char *text, size_t *skip) {
    unsigned char lead = text[0], low = 0x80, high = 0xBF;
    size_t length;
    *skip = 1;
    if (lead < 0x80) {
        return 1;
    } else if (lead >= 0xC2 && lead <= 0xDF) {
        length = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        length = 3;
        low = lead == 0xE0 ? 0xA0 : low;   /* no overlong forms */
        high = lead == 0xED ? 0x9F : high; /* no surrogates */
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        length = 4;
        low = lead == 0xF0 ? 0x90 : low;
        high = lead == 0xF4 ? 0x8F : high; /* nothing above U+10FFFF */
    } else {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if (text[i] < low || text[i] > high) {
            *skip = i;
            return 0;
        }
        low = 0x80;
        high = 0xBF;
    }
    return length;
}

kata_status kata__buffer_json_string(kata__buffer *buffer, const char *text) {
    KATA__TRY(kata__buffer_append(buffer, "\"", 1));
    const unsigned char *at = (const unsigned char *)text;
    const unsigned char *plain = at; /* start of the run that needs no change */
    while (*at != '\0') {
        size_t skip, length = utf8_sequence(at, &skip);
        if (length > 1 || (length == 1 && *at >= 0x20 && *at != '"' && *at != '\\')) {
            at += length;
            continue;
        }
        KATA__TRY(kata__buffer_append(buffer, plain, (size_t)(at - plain)));
        if (length == 0) {
            KATA__TRY(kata__buffer_append(buffer, "\xEF\xBF\xBD", 3));
            at += skip;
        } else {
            static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
            const char *found = strchr(from, *at);
            if (found != NULL) {
                KATA__TRY(kata__buffer_append(buffer, (const char[]){'\\', to[found - from]}, 2));
            } else {
                KATA__TRY(kata__buffer_printf(buffer, "\\u%04x", *at));
            }
            at++;
        }
        plain = at;
    }
    KATA__TRY(kata__buffer_append(buffer, plain, (size_t)(at - plain)));
    return kata__buffer_append(buffer, "\"", 1);
}

kata_status kata__buffer_json_number(kata__buffer *buffer, double value) {
    if (!isfinite(value)) {
        return kata__buffer_append(buffer, "null", 4);
    }
    char text[64];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    /* Whatever the locale writes between the digits is one point in JSON. */
    size_t length = 0;
    for (const char *at = text; *at != '\0'; at++) {
        if (strchr("0123456789+-e", *at) != NULL) {
            text[length++] = *at;
        } else if (length == 0 || text[length - 1] != '.') {
            text[length++] = '.';
        }
    }
    return kata__buffer_append(buffer, text, length);
}

kata_status kata__buffer_json_float(kata__buffer *buffer, float value) {
    return isfinite(value) ? kata__buffer_printf(buffer, "%.9g", (double)value)
                           : kata__buffer_text(buffer, "null");
}
