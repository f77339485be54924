/* gzip (RFC 1952) through zlib: one or more members, each with its checksum; never more than a
 * maximum. */
#include "base/memory.h"
#include "data/reader/reader.h"

#include <limits.h>
#include <string.h>

/* Deflate makes at most 1032 bytes of one. */
enum { LARGEST_RATIO = 1032, FIRST_BYTES = 1 << 16 };

static voidpf take_memory(voidpf context, uInt count, uInt size) {
    return kata__alloc(context, count, size);
}

static void give_memory(voidpf context, voidpf block) {
    kata__free(context, block);
}

void kata__zlib_use(z_stream *stream, kata_context *context) {
    *stream = (z_stream){.zalloc = take_memory, .zfree = give_memory, .opaque = context};
}

struct inflation {
    kata_context *context;
    z_stream stream;
    const uint8_t *data;
    size_t n_bytes, taken; /* taken: given to zlib so far */
    char *out;
    size_t n_out, capacity, maximum;
};

static kata_status fail_gzip(const struct inflation *in, int code) {
    switch (code) {
    case Z_MEM_ERROR:
        return KATA_OUT_OF_MEMORY; /* the sentence is set */
    case Z_BUF_ERROR:
        return kata_fail(KATA_FORMAT,
                         "the gzip data is truncated: its %zu bytes end in the middle; get the "
                         "file again",
                         in->n_bytes);
    default:
        return kata_fail(KATA_FORMAT, "the gzip data is damaged (%s); get the file again",
                         in->stream.msg != NULL ? in->stream.msg : "unknown reason");
    }
}

static kata_status make_room(struct inflation *in) {
    if (in->n_out < in->capacity) {
        return KATA_OK;
    }
    if (in->capacity >= in->maximum) {
        return kata_fail(KATA_LIMIT,
                         "the gzip data unpacks to more than the %zu bytes allowed; is it the "
                         "right file?",
                         in->maximum);
    }
    size_t capacity = in->capacity > in->maximum / 2 ? in->maximum : in->capacity * 2;
    char *out = kata__alloc(in->context, capacity + 1, 1);
    if (out == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    memcpy(out, in->out, in->n_out);
    kata__free(in->context, in->out);
    in->out = out;
    in->capacity = capacity;
    return KATA_OK;
}

/* Unpacks one member; zlib checks its length and CRC. */
static kata_status inflate_member(struct inflation *in) {
    for (;;) {
        if (in->stream.avail_in == 0 && in->taken < in->n_bytes) {
            size_t left = in->n_bytes - in->taken;
            in->stream.next_in = (Bytef *)(uintptr_t)(in->data + in->taken);
            in->stream.avail_in = left > UINT_MAX ? UINT_MAX : (uInt)left;
            in->taken += in->stream.avail_in;
        }
        size_t room = in->capacity - in->n_out;
        /* With the room full a member of exactly this size still has its trailer to be read: zlib
         * gets one spare byte, which must stay unused. */
        in->stream.next_out = (Bytef *)in->out + in->n_out;
        in->stream.avail_out = room >= UINT_MAX ? UINT_MAX : (uInt)(room + 1);
        uInt had = in->stream.avail_out;
        int code = inflate(&in->stream, Z_NO_FLUSH);
        in->n_out += had - in->stream.avail_out;
        if (in->n_out > in->capacity) { /* the spare byte is used: more room, then go on */
            in->n_out = in->capacity;
            char spare = in->out[in->n_out];
            kata_status status = make_room(in);
            if (status != KATA_OK) {
                return status;
            }
            in->out[in->n_out++] = spare;
        }
        if (code == Z_STREAM_END) {
            return KATA_OK;
        }
        bool no_input = in->stream.avail_in == 0 && in->taken == in->n_bytes;
        if (code == Z_BUF_ERROR && !no_input) {
            code = Z_OK; /* only the output was full */
        }
        if (code != Z_OK || (no_input && in->stream.avail_out > 0)) {
            return fail_gzip(in, code == Z_OK ? Z_BUF_ERROR : code);
        }
    }
}

/* Bytes not yet unpacked. */
static size_t left_over(const struct inflation *in) {
    return in->n_bytes - in->taken + in->stream.avail_in;
}

static kata_status inflate_all(struct inflation *in) {
    for (;;) {
        kata_status status = inflate_member(in);
        if (status != KATA_OK) {
            return status;
        }
        size_t left = left_over(in);
        const uint8_t *next = in->data + in->n_bytes - left;
        while (left > 0 && *next == 0) { /* padding with zeros is allowed by gzip(1) */
            next++;
            left--;
        }
        if (left == 0) {
            return KATA_OK;
        }
        if (left < 2 || next[0] != 0x1f || next[1] != 0x8b) {
            return kata_fail(KATA_FORMAT,
                             "%zu bytes that are no gzip data follow the gzip data; get the file "
                             "again",
                             left);
        }
        in->taken = in->n_bytes - left;
        in->stream.avail_in = 0;
        if (inflateReset(&in->stream) != Z_OK) {
            return fail_gzip(in, Z_STREAM_ERROR);
        }
    }
}

/* The trailer's size of the (last) member, as far as it is possible at all. */
static size_t first_capacity(const uint8_t *data, size_t n_bytes, size_t maximum) {
    size_t claimed = (size_t)data[n_bytes - 4] | (size_t)data[n_bytes - 3] << 8 |
                     (size_t)data[n_bytes - 2] << 16 | (size_t)data[n_bytes - 1] << 24;
    size_t possible = n_bytes > SIZE_MAX / LARGEST_RATIO ? SIZE_MAX : n_bytes * LARGEST_RATIO;
    claimed = claimed < possible ? claimed : possible;
    claimed = claimed > FIRST_BYTES ? claimed : FIRST_BYTES;
    return claimed < maximum ? claimed : maximum;
}

kata_status kata__gzip_inflate(kata_context *context, const void *data, size_t n_bytes,
                               size_t maximum, char **out, size_t *n_out) {
    const uint8_t *bytes = data;
    if (n_bytes < 2 || bytes[0] != 0x1f || bytes[1] != 0x8b) {
        return kata_fail(KATA_FORMAT,
                         "not gzip data: it has %zu bytes and does not begin with 1f 8b", n_bytes);
    }
    if (n_bytes < 18) { /* the shortest header and trailer */
        return kata_fail(KATA_FORMAT,
                         "the gzip data is truncated: its %zu bytes end in the middle; get the "
                         "file again",
                         n_bytes);
    }
    maximum = maximum < PTRDIFF_MAX - 1 ? maximum : PTRDIFF_MAX - 1;
    struct inflation in = {.context = context,
                           .data = bytes,
                           .n_bytes = n_bytes,
                           .maximum = maximum,
                           .capacity = first_capacity(bytes, n_bytes, maximum)};
    kata__zlib_use(&in.stream, context);
    in.out = kata__alloc(context, in.capacity + 1, 1);
    if (in.out == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    int code = inflateInit2(&in.stream, 15 + 16);
    kata_status status = code == Z_OK ? inflate_all(&in) : fail_gzip(&in, code);
    if (code == Z_OK) {
        inflateEnd(&in.stream);
    }
    if (status != KATA_OK) {
        kata__free(context, in.out);
        return status;
    }
    in.out[in.n_out] = '\0';
    *out = in.out;
    *n_out = in.n_out;
    return KATA_OK;
}
