/* The wire format of protocol buffers. Every length is checked against the bytes that are there
 * before it is used, so that what a reader does is bounded by the size of its input. */
#include "format/protobuf.h"
#include "base/check.h"
#include "format/names.h"

#include <string.h>

enum { MAX_VARINT_BYTES = 10, MAX_FIELD_NUMBER = (1 << 29) - 1 };

/* --- reading --------------------------------------------------------------------------------- */

kata__proto_reader kata__proto_reader_of(const void *data, size_t n_bytes) {
    const uint8_t *bytes = data;
    return (kata__proto_reader){.at = bytes, .end = bytes + n_bytes, .file = bytes};
}

static size_t place_of(const kata__proto_reader *reader) {
    return (size_t)(reader->at - reader->file);
}

static size_t bytes_left(const kata__proto_reader *reader) {
    return (size_t)(reader->end - reader->at);
}

/* Little-endian groups of seven bits, the last one without the top bit. */
static kata_status read_varint(kata__proto_reader *reader, uint64_t *out) {
    uint64_t value = 0;
    for (int i = 0; i < MAX_VARINT_BYTES; i++) {
        if (reader->at + i == reader->end) {
            return kata_fail(KATA_FORMAT, "the data ends within a number at byte %zu",
                             place_of(reader));
        }
        uint8_t byte = reader->at[i];
        if (i == MAX_VARINT_BYTES - 1 && byte > 1) {
            break; /* more than 64 bits */
        }
        value |= (uint64_t)(byte & 0x7F) << (7 * i);
        if (byte < 0x80) {
            reader->at += i + 1;
            *out = value;
            return KATA_OK;
        }
    }
    return kata_fail(KATA_FORMAT, "a number of more than 64 bits at byte %zu", place_of(reader));
}

static kata_status read_fixed(kata__proto_reader *reader, size_t n_bytes, uint64_t *out) {
    if (bytes_left(reader) < n_bytes) {
        return kata_fail(KATA_FORMAT, "the data ends within a number at byte %zu",
                         place_of(reader));
    }
    *out = 0;
    memcpy(out, reader->at, n_bytes);
    reader->at += n_bytes;
    return KATA_OK;
}

kata_status kata__proto_next(kata__proto_reader *reader, kata__proto_field *field, bool *more) {
    *more = reader->at < reader->end;
    if (!*more) {
        return KATA_OK;
    }
    *field = (kata__proto_field){.place = place_of(reader), .file = reader->file};
    uint64_t tag, length;
    KATA__TRY(read_varint(reader, &tag));
    if (tag >> 3 == 0 || tag >> 3 > MAX_FIELD_NUMBER) {
        return kata_fail(KATA_FORMAT, "a field with the impossible number %llu at byte %zu",
                         (unsigned long long)(tag >> 3), field->place);
    }
    field->number = (uint32_t)(tag >> 3);
    field->type = (kata__wire_type)(tag & 7);
    switch (field->type) {
    case KATA__WIRE_VARINT:
        return read_varint(reader, &field->value);
    case KATA__WIRE_FIXED64:
        return read_fixed(reader, 8, &field->value);
    case KATA__WIRE_FIXED32:
        return read_fixed(reader, 4, &field->value);
    case KATA__WIRE_BYTES:
        KATA__TRY(read_varint(reader, &length));
        if (length > bytes_left(reader)) {
            return kata_fail(KATA_FORMAT,
                             "the field at byte %zu is said to have %llu bytes, but only %zu are "
                             "left",
                             field->place, (unsigned long long)length, bytes_left(reader));
        }
        field->bytes = reader->at;
        field->n_bytes = (size_t)length;
        reader->at += length;
        return KATA_OK;
    }
    return kata_fail(KATA_FORMAT, "a field of the impossible wire type %u at byte %zu",
                     (unsigned)(tag & 7), field->place);
}

static kata_status fail_type(const kata__proto_field *field, const char *what) {
    return kata_fail(KATA_FORMAT, "%s at byte %zu has the wrong wire type %d", what, field->place,
                     (int)field->type);
}

kata_status kata__proto_open(kata__proto_reader *out, const kata__proto_field *field,
                             const char *what) {
    if (field->type != KATA__WIRE_BYTES) {
        return fail_type(field, what);
    }
    *out = (kata__proto_reader){
        .at = field->bytes, .end = field->bytes + field->n_bytes, .file = field->file};
    return KATA_OK;
}

kata_status kata__proto_int64(int64_t *out, const kata__proto_field *field, const char *what) {
    if (field->type != KATA__WIRE_VARINT) {
        return fail_type(field, what);
    }
    *out = (int64_t)field->value;
    return KATA_OK;
}

kata_status kata__proto_float(float *out, const kata__proto_field *field, const char *what) {
    if (field->type != KATA__WIRE_FIXED32) {
        return fail_type(field, what);
    }
    uint32_t bits = (uint32_t)field->value;
    memcpy(out, &bits, sizeof bits);
    return KATA_OK;
}

kata_status kata__proto_text(const char **out, const kata__proto_field *field, const char *what,
                             kata__arena *arena, size_t maximum) {
    if (field->type != KATA__WIRE_BYTES) {
        return fail_type(field, what);
    }
    if (field->n_bytes > maximum) {
        return kata_fail(KATA_LIMIT, "%s at byte %zu has %zu bytes; at most %zu are allowed", what,
                         field->place, field->n_bytes, maximum);
    }
    if (!kata__format_is_text(field->bytes, field->n_bytes)) {
        return kata_fail(KATA_FORMAT, "%s at byte %zu is not UTF-8 text without NUL", what,
                         field->place);
    }
    char *copy = kata__arena_alloc(arena, field->n_bytes + 1, 1);
    if (copy == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    if (field->n_bytes > 0) {
        memcpy(copy, field->bytes, field->n_bytes);
    }
    copy[field->n_bytes] = '\0';
    *out = copy;
    return KATA_OK;
}

kata_status kata__proto_list_open(kata__proto_list *out, const kata__proto_field *field,
                                  kata__wire_type type, const char *what) {
    *out = (kata__proto_list){.type = type};
    if (field->type == type) {
        out->is_single = true;
        out->single = field->value;
        return KATA_OK;
    }
    return kata__proto_open(&out->reader, field, what);
}

kata_status kata__proto_list_next(kata__proto_list *list, uint64_t *value, bool *more) {
    if (list->is_single) {
        *value = list->single;
        *more = true;
        *list = (kata__proto_list){.type = list->type};
        return KATA_OK;
    }
    *more = list->reader.at < list->reader.end;
    if (!*more) {
        return KATA_OK;
    }
    switch (list->type) {
    case KATA__WIRE_VARINT:
        return read_varint(&list->reader, value);
    case KATA__WIRE_FIXED32:
        return read_fixed(&list->reader, 4, value);
    default:
        return read_fixed(&list->reader, 8, value);
    }
}

kata_status kata__proto_list_count(const kata__proto_list *list, size_t *n) {
    kata__proto_list rest = *list;
    uint64_t value;
    bool more;
    *n = 0;
    if (!rest.is_single && rest.type != KATA__WIRE_VARINT) {
        size_t width = rest.type == KATA__WIRE_FIXED32 ? 4 : 8;
        if (bytes_left(&rest.reader) % width != 0) {
            return kata_fail(KATA_FORMAT, "a list of %zu-byte numbers has %zu bytes at byte %zu",
                             width, bytes_left(&rest.reader), place_of(&rest.reader));
        }
        *n = bytes_left(&rest.reader) / width;
        return KATA_OK;
    }
    for (;;) {
        KATA__TRY(kata__proto_list_next(&rest, &value, &more));
        if (!more) {
            return KATA_OK;
        }
        (*n)++;
    }
}

/* --- writing --------------------------------------------------------------------------------- */

static size_t encode_varint(uint8_t bytes[MAX_VARINT_BYTES], uint64_t value) {
    size_t n = 0;
    while (value >= 0x80) {
        bytes[n++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    bytes[n++] = (uint8_t)value;
    return n;
}

static void append_varint(kata__buffer *out, uint64_t value) {
    uint8_t bytes[MAX_VARINT_BYTES];
    kata__buffer_append(out, bytes, encode_varint(bytes, value));
}

static void append_tag(kata__buffer *out, uint32_t number, kata__wire_type type) {
    append_varint(out, (uint64_t)number << 3 | (uint64_t)type);
}

void kata__proto_put_varint(kata__buffer *out, uint32_t number, uint64_t value) {
    append_tag(out, number, KATA__WIRE_VARINT);
    append_varint(out, value);
}

void kata__proto_put_float(kata__buffer *out, uint32_t number, float value) {
    append_tag(out, number, KATA__WIRE_FIXED32);
    kata__buffer_append(out, &value, sizeof value);
}

void kata__proto_put_bytes(kata__buffer *out, uint32_t number, const void *bytes, size_t n_bytes) {
    append_tag(out, number, KATA__WIRE_BYTES);
    append_varint(out, n_bytes);
    kata__buffer_append(out, bytes, n_bytes);
}

void kata__proto_put_text(kata__buffer *out, uint32_t number, const char *text) {
    kata__proto_put_bytes(out, number, text, strlen(text));
}

size_t kata__proto_begin(kata__buffer *out, uint32_t number) {
    append_tag(out, number, KATA__WIRE_BYTES);
    size_t begun = out->size;
    append_varint(out, 0); /* one byte held free; `end` makes room for more */
    return begun;
}

void kata__proto_end(kata__buffer *out, size_t begun) {
    if (out->status != KATA_OK) {
        return;
    }
    size_t n_content = out->size - begun - 1;
    uint8_t length[MAX_VARINT_BYTES];
    size_t n_length = encode_varint(length, n_content);
    if (n_length > 1) {
        static const uint8_t zeros[MAX_VARINT_BYTES];
        if (kata__buffer_append(out, zeros, n_length - 1) != KATA_OK) {
            return;
        }
        memmove(out->data + begun + n_length, out->data + begun + 1, n_content);
    }
    memcpy(out->data + begun, length, n_length);
}
