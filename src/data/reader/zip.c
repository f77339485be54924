/* Zip files (PKWARE's APPNOTE 6.3), as far as .npz needs them: stored and deflated members, ZIP64.
 * Only the central directory is believed, and each of its numbers only after it is checked against
 * the bytes that are there; each member must have the size and CRC that it claims, and all together
 * at most a maximum. */
#include "base/check.h"
#include "base/memory.h"
#include "data/reader/reader.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum {
    END_SIGNATURE = 0x06054b50,
    END_BYTES = 22,
    END64_SIGNATURE = 0x06064b50,
    END64_BYTES = 56,
    LOCATOR_SIGNATURE = 0x07064b50,
    LOCATOR_BYTES = 20,
    ENTRY_SIGNATURE = 0x02014b50,
    ENTRY_BYTES = 46,
    LOCAL_SIGNATURE = 0x04034b50,
    LOCAL_BYTES = 30,
    STORED = 0,
    DEFLATED = 8,
    NAME_MOST = 255,
    LARGEST_RATIO = 1032
};

struct zip {
    kata_context *context;
    const uint8_t *data;
    size_t n_bytes;
    uint64_t directory, directory_bytes, n_entries;
    size_t maximum; /* left for the members to come */
};

struct member {
    char name[NAME_MOST + 1];
    unsigned flags, method;
    uint32_t crc;
    uint64_t packed, unpacked, local; /* sizes, and where the local header is */
};

static unsigned read16(const uint8_t *p) {
    return (unsigned)p[0] | (unsigned)p[1] << 8;
}

static uint32_t read32(const uint8_t *p) {
    return (uint32_t)read16(p) | (uint32_t)read16(p + 2) << 16;
}

static uint64_t read64(const uint8_t *p) {
    return (uint64_t)read32(p) | (uint64_t)read32(p + 4) << 32;
}

/* Are the bytes [at, at + n) all in the file? */
static bool inside(const struct zip *zip, uint64_t at, uint64_t n) {
    return at <= zip->n_bytes && n <= zip->n_bytes - at;
}

static kata_status fail_damaged(const char *what) {
    return kata_fail(KATA_FORMAT, "the zip file is damaged: %s; get the file again", what);
}

/* The end record lies at the end, behind it a comment of at most 65535 bytes. */
static const uint8_t *find_end(const struct zip *zip) {
    for (size_t back = END_BYTES; back <= zip->n_bytes && back <= END_BYTES + 65535; back++) {
        const uint8_t *at = zip->data + zip->n_bytes - back;
        if (read32(at) == END_SIGNATURE && read16(at + 20) == back - END_BYTES) {
            return at;
        }
    }
    return NULL;
}

static kata_status read_end64(struct zip *zip, const uint8_t *end) {
    size_t at = (size_t)(end - zip->data);
    if (at < LOCATOR_BYTES || read32(end - LOCATOR_BYTES) != LOCATOR_SIGNATURE) {
        return fail_damaged("its ZIP64 end record is missing");
    }
    uint64_t where = read64(end - LOCATOR_BYTES + 8);
    if (!inside(zip, where, END64_BYTES) || read32(zip->data + where) != END64_SIGNATURE) {
        return fail_damaged("its ZIP64 end record is not where it should be");
    }
    const uint8_t *record = zip->data + where;
    zip->n_entries = read64(record + 32);
    zip->directory_bytes = read64(record + 40);
    zip->directory = read64(record + 48);
    return KATA_OK;
}

static kata_status find_directory(struct zip *zip) {
    if (zip->n_bytes < 4 || read32(zip->data) != LOCAL_SIGNATURE) {
        bool empty = zip->n_bytes >= END_BYTES && read32(zip->data) == END_SIGNATURE;
        if (!empty) {
            return kata_fail(KATA_FORMAT,
                             "not a zip file: it has %zu bytes and does not begin with PK 03 04",
                             zip->n_bytes);
        }
    }
    const uint8_t *end = find_end(zip);
    if (end == NULL) {
        return fail_damaged("its end record is missing, so it is truncated");
    }
    zip->n_entries = read16(end + 10);
    zip->directory_bytes = read32(end + 12);
    zip->directory = read32(end + 16);
    if (zip->n_entries == 0xffff || zip->directory_bytes == 0xffffffff ||
        zip->directory == 0xffffffff) {
        KATA__TRY(read_end64(zip, end));
    }
    if (!inside(zip, zip->directory, zip->directory_bytes) ||
        zip->n_entries > zip->directory_bytes / ENTRY_BYTES) {
        return fail_damaged("its directory does not lie within the file");
    }
    return KATA_OK;
}

/* ZIP64: sizes that are all ones stand in the extra field of number 1, in this order. */
static kata_status read_extra(struct member *member, const uint8_t *extra, size_t n_bytes) {
    while (n_bytes >= 4) {
        unsigned kind = read16(extra);
        size_t size = read16(extra + 2);
        if (size > n_bytes - 4) {
            return fail_damaged("an extra field is longer than its entry");
        }
        if (kind == 1) {
            uint64_t *field[3] = {&member->unpacked, &member->packed, &member->local};
            const uint8_t *at = extra + 4;
            for (int i = 0; i < 3; i++) {
                if (*field[i] != 0xffffffff) {
                    continue;
                }
                if (size < 8) {
                    return fail_damaged("a ZIP64 extra field is too short");
                }
                *field[i] = read64(at);
                at += 8;
                size -= 8;
            }
            return KATA_OK;
        }
        extra += 4 + size;
        n_bytes -= 4 + size;
    }
    return KATA_OK;
}

/* Reads the directory entry at *at (an offset within the directory) and moves on. */
static kata_status read_entry(struct member *member, const struct zip *zip, uint64_t *at) {
    const uint8_t *entry = zip->data + zip->directory + *at;
    uint64_t left = zip->directory_bytes - *at;
    if (left < ENTRY_BYTES || read32(entry) != ENTRY_SIGNATURE) {
        return fail_damaged("an entry of its directory is not where it should be");
    }
    size_t n_name = read16(entry + 28), n_extra = read16(entry + 30),
           n_comment = read16(entry + 32);
    size_t whole = ENTRY_BYTES + n_name + n_extra + n_comment;
    if (whole > left) {
        return fail_damaged("an entry of its directory is longer than the directory");
    }
    if (n_name == 0 || n_name > NAME_MOST || memchr(entry + ENTRY_BYTES, 0, n_name) != NULL) {
        return fail_damaged("a member's name is empty, too long or holds a NUL");
    }
    memcpy(member->name, entry + ENTRY_BYTES, n_name);
    member->name[n_name] = '\0';
    member->flags = read16(entry + 8);
    member->method = read16(entry + 10);
    member->crc = read32(entry + 16);
    member->packed = read32(entry + 20);
    member->unpacked = read32(entry + 24);
    member->local = read32(entry + 42);
    *at += whole;
    return read_extra(member, entry + ENTRY_BYTES + n_name, n_extra);
}

/* Where a member's bytes begin; the lengths of name and extra field in the local header are its
 * own. */
static kata_status find_bytes(const uint8_t **bytes, const struct zip *zip,
                              const struct member *member) {
    if (!inside(zip, member->local, LOCAL_BYTES) ||
        read32(zip->data + member->local) != LOCAL_SIGNATURE) {
        return fail_damaged("a member's header is not where the directory says");
    }
    const uint8_t *local = zip->data + member->local;
    uint64_t skip = LOCAL_BYTES + (uint64_t)read16(local + 26) + read16(local + 28);
    if (!inside(zip, member->local + skip, member->packed)) {
        return fail_damaged("a member is longer than the file");
    }
    *bytes = local + skip;
    return KATA_OK;
}

static kata_status inflate_member(uint8_t *out, kata_context *context, const uint8_t *bytes,
                                  const struct member *member) {
    z_stream stream;
    kata__zlib_use(&stream, context);
    if (inflateInit2(&stream, -15) != Z_OK) {
        return kata_fail(KATA_OUT_OF_MEMORY, "out of memory: zlib cannot start");
    }
    uint64_t in_left = member->packed, out_left = member->unpacked;
    uint8_t none;
    stream.next_in = (Bytef *)(uintptr_t)bytes;
    stream.next_out = out;
    int code = Z_OK;
    while (code == Z_OK) {
        if (stream.avail_in == 0) {
            stream.avail_in = in_left > UINT_MAX ? UINT_MAX : (uInt)in_left;
            in_left -= stream.avail_in;
        }
        if (stream.avail_out == 0) {
            stream.avail_out = out_left > UINT_MAX ? UINT_MAX : (uInt)out_left;
            out_left -= stream.avail_out;
        }
        /* Without room left zlib must still read the end mark of the last block. */
        bool full = stream.avail_out == 0;
        if (full) {
            stream.next_out = &none;
            stream.avail_out = 1;
        }
        code = inflate(&stream, Z_NO_FLUSH);
        if (full && stream.avail_out == 0) {
            code = Z_DATA_ERROR; /* more than it claims */
        } else if (full) {
            stream.avail_out = 0;
        }
        if (code == Z_OK && full && stream.avail_in == 0 && in_left == 0) {
            code = Z_BUF_ERROR;
        }
    }
    bool whole = code == Z_STREAM_END && stream.avail_out == 0 && out_left == 0;
    inflateEnd(&stream);
    if (code == Z_MEM_ERROR) {
        return KATA_OUT_OF_MEMORY;
    }
    return whole ? KATA_OK : fail_damaged("a member does not unpack to the size it claims");
}

static kata_status check_member(const struct zip *zip, const struct member *member) {
    if ((member->flags & 1) != 0) {
        return kata_fail(KATA_UNSUPPORTED, "it is encrypted; store the archive without a password");
    }
    if (member->method != STORED && member->method != DEFLATED) {
        return kata_fail(KATA_UNSUPPORTED,
                         "its compression method %u is not read here, only stored (0) and deflated "
                         "(8)",
                         member->method);
    }
    if (member->method == STORED && member->packed != member->unpacked) {
        return fail_damaged("a stored member has two different sizes");
    }
    if (member->unpacked / LARGEST_RATIO > member->packed) {
        return fail_damaged("a member claims to unpack to more than is possible");
    }
    if (member->unpacked > zip->maximum) {
        return kata_fail(KATA_LIMIT,
                         "it claims %" PRIu64 " bytes unpacked, more than the %zu that are left of "
                         "what is allowed",
                         member->unpacked, zip->maximum);
    }
    return KATA_OK;
}

static kata_status check_crc(const uint8_t *data, const struct member *member) {
    uLong crc = crc32(0, NULL, 0);
    for (uint64_t at = 0; at < member->unpacked;) {
        uint64_t left = member->unpacked - at;
        uInt part = left > UINT_MAX ? UINT_MAX : (uInt)left;
        crc = crc32(crc, data + at, part);
        at += part;
    }
    return crc == member->crc ? KATA_OK : fail_damaged("a member's checksum is wrong");
}

/* Unpacks a member; *owned is NULL for a stored one, which is lent from the file's bytes. */
static kata_status unpack(const uint8_t **data, uint8_t **owned, const struct zip *zip,
                          const struct member *member) {
    const uint8_t *bytes = NULL;
    *owned = NULL;
    KATA__TRY(check_member(zip, member));
    KATA__TRY(find_bytes(&bytes, zip, member));
    if (member->method == DEFLATED) {
        *owned = kata__alloc(zip->context, (size_t)member->unpacked, 1);
        if (*owned == NULL) {
            return KATA_OUT_OF_MEMORY;
        }
        kata_status status = inflate_member(*owned, zip->context, bytes, member);
        if (status != KATA_OK) {
            return status;
        }
        bytes = *owned;
    }
    *data = bytes;
    return check_crc(bytes, member);
}

kata_status kata__zip_read(kata_context *context, const void *data, size_t n_bytes, size_t maximum,
                           kata_status (*entry)(void *user, const char *name, const void *data,
                                                size_t n_bytes),
                           void *user) {
    struct zip zip = {.context = context, .data = data, .n_bytes = n_bytes, .maximum = maximum};
    KATA__TRY(find_directory(&zip));
    uint64_t at = 0;
    for (uint64_t i = 0; i < zip.n_entries; i++) {
        struct member member;
        KATA__TRY(read_entry(&member, &zip, &at));
        const uint8_t *unpacked;
        uint8_t *owned;
        kata_status status = unpack(&unpacked, &owned, &zip, &member);
        if (status == KATA_OK) {
            zip.maximum -= (size_t)member.unpacked;
            status = entry(user, member.name, unpacked, (size_t)member.unpacked);
        }
        kata__free(context, owned);
        if (status != KATA_OK) {
            /* The name is the file's: shown without what could confuse a terminal. */
            for (char *p = member.name; *p != '\0'; p++) {
                *p = (unsigned char)*p < 32 || *p == 127 ? '?' : *p;
            }
            return kata_fail_in(status, "member %s", member.name);
        }
    }
    return KATA_OK;
}
