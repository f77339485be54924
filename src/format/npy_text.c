/* Texts in .npy files: see npy_text.h. */
#include "format/npy_text.h"

#include <string.h>

#include "base/check.h"
#include "base/memory.h"

bool kata__npy_is_text(const char *code, int64_t *width) {
    size_t digits = strspn(code + (code[0] != '\0'), "0123456789");
    if ((code[0] != 'U' && code[0] != 'S') || digits > 9 || code[1 + digits] != '\0') {
        return false;
    }
    *width = 0;
    for (size_t i = 0; i < digits; i++) {
        *width = *width * 10 + (code[1 + i] - '0');
    }
    return digits > 0;
}

size_t kata__npy_text_size(const char *code, int64_t width) {
    return (size_t)width * (code[0] == 'U' ? sizeof(uint32_t) : 1);
}

/* Writes a code point as UTF-8 and returns how many bytes; 0 for a surrogate or beyond Unicode. */
static int put_utf8(uint32_t c, char *to) {
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (char)(0xC0 | c >> 6);
        to[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (char)(0xE0 | c >> 12);
        to[1] = (char)(0x80 | (c >> 6 & 63));
        to[2] = (char)(0x80 | (c & 63));
        return c >= 0xD800 && c < 0xE000 ? 0 : 3;
    }
    to[0] = (char)(0xF0 | c >> 18);
    to[1] = (char)(0x80 | (c >> 12 & 63));
    to[2] = (char)(0x80 | (c >> 6 & 63));
    to[3] = (char)(0x80 | (c & 63));
    return c > 0x10FFFF ? 0 : 4;
}

/* One element into `to`; the zeros at its end are no part of it. */
static kata_status read_one(const uint8_t *from, const char *code, int64_t width, bool swap,
                            char *to, kata_string *out) {
    *out = (kata_string){.data = to};
    if (code[0] == 'S') {
        int64_t n = width;
        while (n > 0 && from[n - 1] == 0) {
            n--;
        }
        memcpy(to, from, (size_t)n);
        out->n_bytes = n;
        return KATA_OK; /* whether it is UTF-8 is looked at when it is copied */
    }
    int64_t used = 0;
    for (int64_t i = 0; i < width; i++) {
        uint32_t c;
        memcpy(&c, from + 4 * i, sizeof c);
        c = swap ? __builtin_bswap32(c) : c;
        int n = put_utf8(c, to + used);
        if (n == 0) {
            return kata_fail(KATA_FORMAT, "a text holds the number %u, which is no character",
                             (unsigned)c);
        }
        used += n;
        out->n_bytes = c != 0 ? used : out->n_bytes;
    }
    return KATA_OK;
}

kata_status kata__npy_text_read(kata_tensor *out, kata_context *context, const char *code,
                                int64_t width, bool swap, const kata_tensor *view) {
    const int64_t n = kata_tensor_count(view);
    const size_t size = kata__npy_text_size(code, width);
    kata_string *texts = kata__alloc(context, (size_t)n, sizeof *texts);
    char *bytes = kata__alloc(context, (size_t)n, (size_t)width * 4);
    kata_status status = texts == NULL || bytes == NULL ? KATA_OUT_OF_MEMORY : KATA_OK;
    int64_t index[KATA_MAX_RANK] = {0};
    for (int64_t i = 0; i < n && status == KATA_OK; i++) {
        int64_t at = 0;
        for (int axis = 0; axis < view->shape.rank; axis++) {
            at += index[axis] * view->stride[axis];
        }
        status = read_one((const uint8_t *)view->data + (size_t)at * size, code, width, swap,
                          bytes + i * width * 4, &texts[i]);
        for (int axis = view->shape.rank - 1; axis >= 0 && ++index[axis] == view->shape.dim[axis];
             axis--) {
            index[axis] = 0;
        }
    }
    if (status == KATA_OK) {
        const kata_tensor all = kata_tensor_view(texts, KATA_STRING, &view->shape);
        status = kata_tensor_clone(out, context, &all);
    }
    kata__free(context, texts);
    kata__free(context, bytes);
    return status;
}

/* The bytes of the UTF-8 sequence that begins with this byte: 1 to 4. */
static int sequence_length(uint8_t first) {
    return first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

int64_t kata__npy_text_width(const kata_tensor *contiguous) {
    const kata_string *texts = contiguous->data;
    int64_t width = 1;
    for (int64_t i = 0, n = kata_tensor_count(contiguous); i < n; i++) {
        int64_t characters = 0;
        for (int64_t k = 0; k < texts[i].n_bytes; k++) {
            characters += ((uint8_t)texts[i].data[k] & 0xC0) != 0x80;
        }
        width = characters > width ? characters : width;
    }
    return width;
}

void kata__npy_text_write(const kata_tensor *contiguous, int64_t width, uint32_t *to) {
    const kata_string *texts = contiguous->data;
    const int64_t n = kata_tensor_count(contiguous);
    memset(to, 0, (size_t)(n * width) * sizeof *to);
    for (int64_t i = 0; i < n; i++) {
        uint32_t *character = to + i * width;
        for (int64_t k = 0; k < texts[i].n_bytes && character < to + (i + 1) * width;) {
            const uint8_t first = (uint8_t)texts[i].data[k];
            const int length = sequence_length(first);
            uint32_t c = length == 1 ? first : first & (0xFFu >> (length + 1));
            for (int j = 1; j < length && k + j < texts[i].n_bytes; j++) {
                c = c << 6 | ((uint8_t)texts[i].data[k + j] & 63);
            }
            *character++ = c;
            k += length;
        }
    }
}
