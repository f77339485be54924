/* The wire format of protocol buffers: fields of a message one after the other, read from memory
 * that is not trusted and written into a growing buffer. Nothing here recurses: who reads a nested
 * message opens a reader of its own on it, as deep as its own code goes and no deeper. */
#ifndef KATA_FORMAT_PROTOBUF_H
#define KATA_FORMAT_PROTOBUF_H

#include "base/buffer.h"
#include "base/memory.h"

/* Raw tensors in all three formats are little-endian, and are copied as they are. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "Kata needs a little-endian processor");

#define KATA__PROTO_MAXIMUM ((size_t)INT32_MAX) /* protobuf's own limit of a message: 2 GiB - 1 */

typedef enum kata__wire_type {
    KATA__WIRE_VARINT = 0,
    KATA__WIRE_FIXED64 = 1,
    KATA__WIRE_BYTES = 2,
    KATA__WIRE_FIXED32 = 5
} kata__wire_type;

/* --- reading --------------------------------------------------------------------------------- */

typedef struct kata__proto_reader {
    const uint8_t *at, *end;
    const uint8_t *file; /* where the file begins: messages say at which byte of it */
} kata__proto_reader;

typedef struct kata__proto_field {
    uint32_t number;
    kata__wire_type type;
    uint64_t value;       /* VARINT, FIXED32, FIXED64 */
    const uint8_t *bytes; /* BYTES */
    size_t n_bytes;
    size_t place; /* of the field's tag in the file */
    const uint8_t *file;
} kata__proto_field;

kata__proto_reader kata__proto_reader_of(const void *data, size_t n_bytes);
/* A reader of a nested message; KATA_FORMAT unless the field holds bytes. `what` names it. */
kata_status kata__proto_open(kata__proto_reader *out, const kata__proto_field *field,
                             const char *what);
/* The next field; *more is false at the end. Groups and other wire types are KATA_FORMAT. */
kata_status kata__proto_next(kata__proto_reader *reader, kata__proto_field *field, bool *more);

/* One number or text of a field; KATA_FORMAT with `what` and the place if the wire type is wrong.
 */
kata_status kata__proto_int64(int64_t *out, const kata__proto_field *field, const char *what);
kata_status kata__proto_float(float *out, const kata__proto_field *field, const char *what);
/* A copy in the arena of a text of at most `maximum` bytes: valid UTF-8 without a NUL. */
kata_status kata__proto_text(const char **out, const kata__proto_field *field, const char *what,
                             kata__arena *arena, size_t maximum);

/* The numbers of a repeated field, which a writer may give one a field or packed, as raw values in
 * the width of `type` (VARINT, FIXED32 or FIXED64). */
typedef struct kata__proto_list {
    kata__proto_reader reader;
    uint64_t single;
    kata__wire_type type;
    bool is_single;
} kata__proto_list;
kata_status kata__proto_list_open(kata__proto_list *out, const kata__proto_field *field,
                                  kata__wire_type type, const char *what);
kata_status kata__proto_list_next(kata__proto_list *list, uint64_t *value, bool *more);
/* How many numbers are left; KATA_FORMAT if the last one is cut off. */
kata_status kata__proto_list_count(const kata__proto_list *list, size_t *n);

/* --- writing: all failures stick in the buffer's status -------------------------------------- */

void kata__proto_put_varint(kata__buffer *out, uint32_t number, uint64_t value);
void kata__proto_put_float(kata__buffer *out, uint32_t number, float value);
void kata__proto_put_bytes(kata__buffer *out, uint32_t number, const void *bytes, size_t n_bytes);
void kata__proto_put_text(kata__buffer *out, uint32_t number, const char *text);
/* What is written between begin and end becomes the content of field `number`. */
size_t kata__proto_begin(kata__buffer *out, uint32_t number);
void kata__proto_end(kata__buffer *out, size_t begun);

#endif
