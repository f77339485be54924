/* safetensors: the length of a header (8 bytes), the header (JSON), the tensors' bytes one after
 * the other without holes. github.com/huggingface/safetensors says what a reader must refuse, so
 * that a file means one thing only: a header above 100 MB or that does not begin with '{', names
 * that are there twice, ranges that overlap, leave a hole or do not fit their shape. */
#include "format/safetensors.h"

#include "base/buffer.h"
#include "base/check.h"
#include "base/file.h"
#include "base/memory.h"
#include "format/json.h"
#include "format/names.h"

#include <stdio.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "Kata needs a little-endian processor");

#define HEADER_MAXIMUM ((size_t)100000000)
#define ENTRIES_MAXIMUM ((size_t)1 << 22)
#define METADATA_KEY "__metadata__"
enum { LENGTH_BYTES = 8, HEADER_ALIGNMENT = 8 };

static const struct {
    const char *text;
    kata_dtype dtype; /* KATA_NO_DTYPE: the format has it, Kata does not */
} dtype_names[] = {
    {"F32", KATA_F32},
    {"F64", KATA_F64},
    {"F16", KATA_F16},
    {"BF16", KATA_BF16},
    {"I8", KATA_I8},
    {"I32", KATA_I32},
    {"I64", KATA_I64},
    {"U8", KATA_U8},
    {"BOOL", KATA_BOOL},
    {"I16", KATA_I16},
    {"U16", KATA_U16},
    {"U32", KATA_U32},
    {"U64", KATA_U64},
    {"F8_E4M3", KATA_F8E4M3FN},
    {"F8_E5M2", KATA_F8E5M2},
    {"C64", KATA_NO_DTYPE},
    {"F8_E8M0", KATA_NO_DTYPE},
    {"F6_E2M3", KATA_NO_DTYPE},
    {"F6_E3M2", KATA_NO_DTYPE},
    {"F4", KATA_NO_DTYPE},
};

static const char *dtype_text(kata_dtype dtype) {
    for (size_t i = 0; i < KATA__COUNT(dtype_names); i++) {
        if (dtype_names[i].dtype == dtype) {
            return dtype_names[i].text;
        }
    }
    return NULL;
}

/* --- writing --------------------------------------------------------------------------------- */

static kata_status check_text(const char *what, const char *text) {
    if (text == NULL || !kata__format_is_text(text, strlen(text))) {
        return kata_fail(KATA_INVALID, "%s \"%.200s\" must be UTF-8 text", what,
                         text != NULL ? text : "(NULL)");
    }
    return KATA_OK;
}

static kata_status check_unique(kata__arena *arena, const char *const *names, size_t n,
                                kata_status status, const char *what) {
    uint32_t *order = kata__arena_alloc(arena, n, sizeof *order);
    if (order == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    kata__names_sort(order, n, names);
    size_t twice = kata__names_twice(order, n, names);
    return twice == n ? KATA_OK
                      : kata_fail(status, "the %s %.200s is there twice", what, names[twice]);
}

static kata_status check_entries(kata__arena *arena, const kata_named_tensor *tensors,
                                 size_t n_tensors, const kata_text_pair *metadata,
                                 size_t n_metadata) {
    size_t n = n_tensors > n_metadata ? n_tensors : n_metadata;
    const char **names = kata__arena_alloc(arena, n, sizeof *names);
    if (names == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    for (size_t i = 0; i < n_tensors; i++) {
        const kata_tensor *tensor = &tensors[i].tensor;
        KATA__TRY(check_text("the name of a tensor", tensors[i].name));
        if (strcmp(tensors[i].name, METADATA_KEY) == 0) {
            return kata_fail(KATA_INVALID, "no tensor can have the name " METADATA_KEY);
        }
        if (tensor->dtype <= KATA_NO_DTYPE || tensor->dtype >= KATA_DTYPE_COUNT ||
            kata_tensor_count(tensor) < 0 || !kata_tensor_is_contiguous(tensor) ||
            (tensor->data == NULL && kata_tensor_count(tensor) > 0)) {
            return kata_fail(KATA_INVALID, "tensor %.200s must be contiguous and have a data type",
                             tensors[i].name);
        }
        if (dtype_text(tensor->dtype) == NULL) {
            return kata_fail(KATA_UNSUPPORTED,
                             "tensor %.200s is %s, which safetensors has no name for",
                             tensors[i].name, kata_dtype_name(tensor->dtype));
        }
        names[i] = tensors[i].name;
    }
    KATA__TRY(check_unique(arena, names, n_tensors, KATA_INVALID, "tensor"));
    for (size_t i = 0; i < n_metadata; i++) {
        KATA__TRY(check_text("a metadata key", metadata[i].key));
        KATA__TRY(check_text("a metadata value", metadata[i].value));
        names[i] = metadata[i].key;
    }
    return check_unique(arena, names, n_metadata, KATA_INVALID, "metadata key");
}

static int compare_widths(const void *user, uint32_t a, uint32_t b) {
    const kata_named_tensor *tensors = user;
    int width_a = (int)kata_dtype_size(tensors[a].tensor.dtype);
    int width_b = (int)kata_dtype_size(tensors[b].tensor.dtype);
    return width_b - width_a;
}

/* The header, padded so that the data begin at a multiple of 8; *n_data is how long they are. */
static kata_status write_header(kata__buffer *out, const kata_named_tensor *tensors,
                                const uint32_t *order, size_t n_tensors,
                                const kata_text_pair *metadata, size_t n_metadata, size_t *n_data) {
    size_t offset = 0;
    bool first = true;
    kata__buffer_text(out, "{");
    if (n_metadata > 0) {
        kata__buffer_text(out, "\"" METADATA_KEY "\":{");
        for (size_t i = 0; i < n_metadata; i++) {
            kata__buffer_text(out, i > 0 ? "," : "");
            kata__buffer_json_string(out, metadata[i].key);
            kata__buffer_text(out, ":");
            kata__buffer_json_string(out, metadata[i].value);
        }
        kata__buffer_text(out, "}");
        first = false;
    }
    for (size_t i = 0; i < n_tensors; i++) {
        const kata_named_tensor *entry = &tensors[order[i]];
        const kata_shape *shape = &entry->tensor.shape;
        size_t end;
        if (__builtin_add_overflow(offset, kata_tensor_bytes(&entry->tensor), &end)) {
            return kata_fail(KATA_LIMIT, "the tensors have more bytes than can be counted");
        }
        kata__buffer_text(out, first ? "" : ",");
        first = false;
        kata__buffer_json_string(out, entry->name);
        kata__buffer_printf(out, ":{\"dtype\":\"%s\",\"shape\":[", dtype_text(entry->tensor.dtype));
        for (int axis = 0; axis < shape->rank; axis++) {
            kata__buffer_printf(out, "%s%lld", axis > 0 ? "," : "", (long long)shape->dim[axis]);
        }
        kata__buffer_printf(out, "],\"data_offsets\":[%zu,%zu]}", offset, end);
        offset = end;
    }
    kata__buffer_text(out, "}");
    while (out->status == KATA_OK && out->size % HEADER_ALIGNMENT != 0) {
        kata__buffer_text(out, " ");
    }
    *n_data = offset;
    if (out->status == KATA_LIMIT) {
        return kata_fail(KATA_LIMIT,
                         "the names and metadata need more than %zu bytes, the most "
                         "that the format allows",
                         HEADER_MAXIMUM);
    }
    return out->status;
}

static kata_status write_file(kata_context *context, const char *path, const kata__buffer *header,
                              const kata_named_tensor *tensors, const uint32_t *order,
                              size_t n_tensors, size_t n_data) {
    size_t size;
    if (__builtin_add_overflow(n_data, header->size + LENGTH_BYTES, &size)) {
        return kata_fail(KATA_LIMIT, "the file would have more bytes than can be counted");
    }
    char *bytes = kata__alloc(context, size, 1), *at = bytes;
    if (bytes == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    uint64_t length = header->size;
    memcpy(at, &length, LENGTH_BYTES);
    memcpy(at + LENGTH_BYTES, header->data, header->size);
    at += LENGTH_BYTES + header->size;
    for (size_t i = 0; i < n_tensors; i++) {
        const kata_tensor *tensor = &tensors[order[i]].tensor;
        size_t n_bytes = kata_tensor_bytes(tensor);
        if (n_bytes > 0) {
            memcpy(at, tensor->data, n_bytes);
        }
        at += n_bytes;
    }
    kata_status status = kata__file_write(context, path, bytes, size);
    kata__free(context, bytes);
    return status;
}

kata_status kata_safetensors_write(kata_context *context, const char *path,
                                   const kata_named_tensor *tensors, int n_tensors,
                                   const kata_text_pair *metadata, int n_metadata) {
    size_t n = n_tensors > 0 ? (size_t)n_tensors : 0, n_data = 0;
    size_t n_pairs = n_metadata > 0 ? (size_t)n_metadata : 0;
    kata__arena arena = {.context = context};
    kata__buffer header;
    kata__buffer_init(&header, context, HEADER_MAXIMUM);
    uint32_t *order = NULL;
    kata_status status = check_entries(&arena, tensors, n, metadata, n_pairs);
    if (status == KATA_OK) {
        order = kata__arena_alloc(&arena, n, sizeof *order);
        status = order == NULL ? KATA_OUT_OF_MEMORY : KATA_OK;
    }
    if (status == KATA_OK) {
        /* Wide elements first, as the format's own writer does: then each tensor is aligned. */
        kata__format_sort(order, n, compare_widths, tensors);
        status = write_header(&header, tensors, order, n, metadata, n_pairs, &n_data);
    }
    if (status == KATA_OK) {
        status = write_file(context, path, &header, tensors, order, n, n_data);
    } else {
        kata_fail_in(status, "cannot write %s", path);
    }
    kata__buffer_free(&header);
    kata__arena_free(&arena);
    return status;
}

/* --- reading --------------------------------------------------------------------------------- */

/* What kata_safetensors.memory points to. Names and metadata lie in `file`, in the header. */
struct memory {
    char *file;
    char *aligned; /* copies of those tensors whose place is no multiple of their element's size */
};

typedef struct range {
    int64_t begin, end; /* in the data */
} range;

typedef struct reader {
    kata_context *context;
    kata_safetensors *out;
    kata__json json;
    kata__arena arena; /* for the time of reading */
    range *ranges;     /* of each tensor */
    size_t n_tensors, tensors_capacity, ranges_capacity;
    size_t n_metadata, metadata_capacity;
    const char *data;
    size_t n_data;
} reader;

static kata_status read_metadata(reader *r) {
    kata__json_token token;
    KATA__TRY(kata__json_expect(&r->json, KATA__JSON_OBJECT_BEGIN,
                                "an object as the value of " METADATA_KEY, &token));
    for (;;) {
        KATA__TRY(kata__json_next(&r->json, &token));
        if (token.kind == KATA__JSON_OBJECT_END) {
            return KATA_OK;
        }
        kata_text_pair pair = {.key = token.text};
        KATA__TRY(
            kata__json_expect(&r->json, KATA__JSON_STRING, "a text as a metadata value", &token));
        pair.value = token.text;
        KATA__TRY(kata__grow(r->context, (void **)&r->out->metadata, &r->metadata_capacity,
                             r->n_metadata + 1, sizeof *r->out->metadata, ENTRIES_MAXIMUM));
        r->out->metadata[r->n_metadata++] = pair;
        r->out->n_metadata = (int)r->n_metadata;
    }
}

static kata_status read_dtype(kata__json *json, kata_dtype *out) {
    kata__json_token token;
    KATA__TRY(kata__json_expect(json, KATA__JSON_STRING, "a data type as a text", &token));
    for (size_t i = 0; i < KATA__COUNT(dtype_names); i++) {
        if (strcmp(token.text, dtype_names[i].text) == 0) {
            *out = dtype_names[i].dtype;
            return *out != KATA_NO_DTYPE
                       ? KATA_OK
                       : kata_fail(KATA_UNSUPPORTED, "its data type %s is not supported",
                                   token.text);
        }
    }
    return kata_fail(KATA_FORMAT, "its data type %.100s is none of the format's", token.text);
}

/* A list of at most `maximum` whole numbers. */
static kata_status read_sizes(kata__json *json, const char *what, int64_t *values, int maximum,
                              int *n) {
    kata__json_token token;
    KATA__TRY(kata__json_expect(json, KATA__JSON_ARRAY_BEGIN, what, &token));
    for (*n = 0;; (*n)++) {
        KATA__TRY(kata__json_next(json, &token));
        if (token.kind == KATA__JSON_ARRAY_END) {
            return KATA_OK;
        }
        if (*n == maximum) {
            return kata_fail(KATA_LIMIT, "expected %s, at most %d numbers", what, maximum);
        }
        KATA__TRY(kata__json_size(&values[*n], &token));
    }
}

/* The object that describes a tensor. */
static kata_status read_entry(kata__json *json, kata_dtype *dtype, kata_shape *shape,
                              range *place) {
    kata__json_token token;
    bool has_dtype = false, has_shape = false, has_offsets = false;
    KATA__TRY(kata__json_expect(json, KATA__JSON_OBJECT_BEGIN, "an object", &token));
    for (;;) {
        KATA__TRY(kata__json_next(json, &token));
        if (token.kind == KATA__JSON_OBJECT_END) {
            break;
        }
        if (strcmp(token.text, "dtype") == 0 && !has_dtype) {
            has_dtype = true;
            KATA__TRY(read_dtype(json, dtype));
        } else if (strcmp(token.text, "shape") == 0 && !has_shape) {
            has_shape = true;
            KATA__TRY(read_sizes(json, "a shape", shape->dim, KATA_MAX_RANK, &shape->rank));
        } else if (strcmp(token.text, "data_offsets") == 0 && !has_offsets) {
            int64_t offsets[2];
            int n;
            has_offsets = true;
            KATA__TRY(read_sizes(json, "two data_offsets", offsets, 2, &n));
            if (n != 2) {
                return kata_fail(KATA_FORMAT, "expected two data_offsets, got %d", n);
            }
            *place = (range){offsets[0], offsets[1]};
        } else {
            return kata_fail(KATA_FORMAT, "its entry has the key %.100s %s", token.text,
                             has_dtype || has_shape || has_offsets ? "twice, or it is unknown"
                                                                   : "that is unknown");
        }
    }
    if (!has_dtype || !has_shape || !has_offsets) {
        return kata_fail(KATA_FORMAT, "its entry lacks %s",
                         !has_dtype   ? "dtype"
                         : !has_shape ? "shape"
                                      : "data_offsets");
    }
    return KATA_OK;
}

static kata_status check_range(kata_dtype dtype, const kata_shape *shape, const range *place,
                               size_t n_data) {
    char text[KATA_SHAPE_TEXT_SIZE];
    int64_t count = kata_shape_count(shape), n_bytes;
    if (count < 0 || __builtin_mul_overflow(count, (int64_t)kata_dtype_size(dtype), &n_bytes)) {
        return kata_fail(KATA_FORMAT, "its shape %s has more elements than can be counted",
                         kata_shape_text(shape, text));
    }
    if (place->begin > place->end || (uint64_t)place->end > n_data) {
        return kata_fail(KATA_FORMAT,
                         "its data_offsets [%lld,%lld] are not within the %zu bytes of "
                         "data",
                         (long long)place->begin, (long long)place->end, n_data);
    }
    if (place->end - place->begin != n_bytes) {
        return kata_fail(KATA_FORMAT,
                         "its shape %s of %s needs %lld bytes, but its data_offsets "
                         "hold %lld",
                         kata_shape_text(shape, text), kata_dtype_name(dtype), (long long)n_bytes,
                         (long long)(place->end - place->begin));
    }
    return KATA_OK;
}

static kata_status read_tensor(reader *r, const char *name) {
    kata_dtype dtype = KATA_NO_DTYPE;
    kata_shape shape = {.rank = 0};
    range place = {0, 0};
    kata_status status = read_entry(&r->json, &dtype, &shape, &place);
    if (status == KATA_OK) {
        status = check_range(dtype, &shape, &place, r->n_data);
    }
    if (status != KATA_OK) {
        return kata_fail_in(status, "tensor %.200s", name);
    }
    KATA__TRY(kata__grow(r->context, (void **)&r->out->tensors, &r->tensors_capacity,
                         r->n_tensors + 1, sizeof *r->out->tensors, ENTRIES_MAXIMUM));
    KATA__TRY(kata__grow(r->context, (void **)&r->ranges, &r->ranges_capacity, r->n_tensors + 1,
                         sizeof *r->ranges, ENTRIES_MAXIMUM));
    /* The file's memory is ours: a view may write to it. */
    void *data = (void *)(uintptr_t)(r->data + place.begin);
    r->out->tensors[r->n_tensors] =
        (kata_named_tensor){name, kata_tensor_view(data, dtype, &shape)};
    r->ranges[r->n_tensors++] = place;
    r->out->n_tensors = (int)r->n_tensors;
    return KATA_OK;
}

static kata_status read_header(reader *r) {
    kata__json_token token;
    bool has_metadata = false;
    KATA__TRY(kata__json_expect(&r->json, KATA__JSON_OBJECT_BEGIN, "an object", &token));
    for (;;) {
        KATA__TRY(kata__json_next(&r->json, &token));
        if (token.kind == KATA__JSON_OBJECT_END) {
            return kata__json_expect(&r->json, KATA__JSON_END, "the end", &token);
        }
        if (strcmp(token.text, METADATA_KEY) != 0) {
            KATA__TRY(read_tensor(r, token.text));
        } else if (has_metadata) {
            return kata_fail(KATA_FORMAT, METADATA_KEY " is there twice");
        } else {
            has_metadata = true;
            KATA__TRY(read_metadata(r));
        }
    }
}

static int compare_ranges(const void *user, uint32_t a, uint32_t b) {
    const range *ranges = user;
    if (ranges[a].begin != ranges[b].begin) {
        return ranges[a].begin < ranges[b].begin ? -1 : 1;
    }
    return ranges[a].end == ranges[b].end ? 0 : ranges[a].end < ranges[b].end ? -1 : 1;
}

/* The ranges, in the order of their places, follow each other from the first byte to the last. */
static kata_status check_tiling(reader *r) {
    uint32_t *order = kata__arena_alloc(&r->arena, r->n_tensors, sizeof *order);
    if (order == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    kata__format_sort(order, r->n_tensors, compare_ranges, r->ranges);
    int64_t end = 0;
    for (size_t i = 0; i < r->n_tensors; i++) {
        const range *place = &r->ranges[order[i]];
        if (place->begin != end) {
            return kata_fail(KATA_FORMAT,
                             "tensor %.200s begins at byte %lld of the data; the one "
                             "before it ends at %lld",
                             r->out->tensors[order[i]].name, (long long)place->begin,
                             (long long)end);
        }
        end = place->end;
    }
    if ((uint64_t)end != r->n_data) {
        return kata_fail(KATA_FORMAT, "the tensors end at byte %lld of the data, but there are %zu",
                         (long long)end, r->n_data);
    }
    return KATA_OK;
}

static kata_status check_names(reader *r) {
    size_t n = r->n_tensors > r->n_metadata ? r->n_tensors : r->n_metadata;
    const char **names = kata__arena_alloc(&r->arena, n, sizeof *names);
    if (names == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    for (size_t i = 0; i < r->n_tensors; i++) {
        names[i] = r->out->tensors[i].name;
    }
    KATA__TRY(check_unique(&r->arena, names, r->n_tensors, KATA_FORMAT, "tensor"));
    for (size_t i = 0; i < r->n_metadata; i++) {
        names[i] = r->out->metadata[i].key;
    }
    return check_unique(&r->arena, names, r->n_metadata, KATA_FORMAT, "metadata key");
}

/* Copies the tensors that C may not read where they are, and makes every bool 0 or 1. */
static kata_status align_tensors(reader *r) {
    struct memory *memory = r->out->memory;
    size_t needed = 0;
    for (int pass = 0; pass < 2; pass++) {
        size_t used = 0;
        for (size_t i = 0; i < r->n_tensors; i++) {
            kata_tensor *tensor = &r->out->tensors[i].tensor;
            size_t width = kata_dtype_size(tensor->dtype), n_bytes = kata_tensor_bytes(tensor);
            if ((uintptr_t)tensor->data % width == 0) {
                continue;
            }
            if (pass == 1) {
                if (n_bytes > 0) {
                    memcpy(memory->aligned + used, tensor->data, n_bytes);
                }
                tensor->data = memory->aligned + used;
            }
            used += (n_bytes + HEADER_ALIGNMENT - 1) / HEADER_ALIGNMENT * HEADER_ALIGNMENT;
        }
        needed = used;
        if (pass == 0 && needed == 0) {
            break;
        }
        if (pass == 0) {
            memory->aligned = kata__alloc(r->context, needed, 1);
            if (memory->aligned == NULL) {
                return KATA_OUT_OF_MEMORY;
            }
        }
    }
    for (size_t i = 0; i < r->n_tensors; i++) {
        kata_tensor *tensor = &r->out->tensors[i].tensor;
        uint8_t *bytes = tensor->data;
        for (size_t k = 0; tensor->dtype == KATA_BOOL && k < kata_tensor_bytes(tensor); k++) {
            bytes[k] = bytes[k] != 0;
        }
    }
    return KATA_OK;
}

static kata_status read_all(reader *r, char *file, size_t n_bytes) {
    uint64_t length = 0;
    if (n_bytes < LENGTH_BYTES) {
        return kata_fail(KATA_FORMAT, "it has %zu bytes; a safetensors file has at least %d",
                         n_bytes, LENGTH_BYTES + 2);
    }
    memcpy(&length, file, LENGTH_BYTES);
    if (length > HEADER_MAXIMUM) {
        return kata_fail(KATA_FORMAT,
                         "its header is said to have %llu bytes; at most %zu are "
                         "possible: is it a safetensors file?",
                         (unsigned long long)length, HEADER_MAXIMUM);
    }
    if (length > n_bytes - LENGTH_BYTES) {
        return kata_fail(KATA_FORMAT,
                         "its header is said to have %llu bytes, but only %zu are left",
                         (unsigned long long)length, n_bytes - LENGTH_BYTES);
    }
    if (length == 0 || file[LENGTH_BYTES] != '{') {
        return kata_fail(KATA_FORMAT, "its header does not begin with '{'");
    }
    r->data = file + LENGTH_BYTES + length;
    r->n_data = n_bytes - LENGTH_BYTES - (size_t)length;
    kata__json_init(&r->json, file + LENGTH_BYTES, (size_t)length);
    kata_status status = read_header(r);
    if (status != KATA_OK) {
        return kata_fail_in(status, "header");
    }
    KATA__TRY(check_names(r));
    KATA__TRY(check_tiling(r));
    return align_tensors(r);
}

kata_status kata__safetensors_take(kata_safetensors *out, kata_context *context, char *data,
                                   size_t n_bytes, const char *name) {
    struct memory *memory = kata__alloc_zero(context, 1, sizeof *memory);
    if (memory == NULL) {
        kata__free(context, data);
        return KATA_OUT_OF_MEMORY;
    }
    memory->file = data;
    kata_safetensors made = {.context = context, .memory = memory};
    reader r = {.context = context, .out = &made, .arena = {.context = context}};
    kata_status status = read_all(&r, data, n_bytes);
    kata__arena_free(&r.arena);
    kata__free(context, r.ranges);
    if (status != KATA_OK) {
        kata_safetensors_free(&made);
        return kata_fail_in(status, "cannot read %s", name);
    }
    *out = made;
    return KATA_OK;
}

kata_status kata_safetensors_read(kata_safetensors *out, kata_context *context, const char *path) {
    char *data = NULL;
    size_t n_bytes = 0;
    KATA__TRY(kata__file_read(context, path, PTRDIFF_MAX, &data, &n_bytes));
    return kata__safetensors_take(out, context, data, n_bytes, path);
}

void kata_safetensors_free(kata_safetensors *file) {
    if (file == NULL || file->context == NULL) {
        return;
    }
    struct memory *memory = file->memory;
    if (memory != NULL) {
        kata__free(file->context, memory->file);
        kata__free(file->context, memory->aligned);
    }
    kata__free(file->context, memory);
    kata__free(file->context, file->tensors);
    kata__free(file->context, file->metadata);
    *file = (kata_safetensors){0};
}

const kata_tensor *kata_safetensors_find(const kata_safetensors *file, const char *name) {
    for (int i = 0; i < file->n_tensors; i++) {
        if (strcmp(file->tensors[i].name, name) == 0) {
            return &file->tensors[i].tensor;
        }
    }
    return NULL;
}

const char *kata_safetensors_metadata(const kata_safetensors *file, const char *key) {
    for (int i = 0; i < file->n_metadata; i++) {
        if (strcmp(file->metadata[i].key, key) == 0) {
            return file->metadata[i].value;
        }
    }
    return NULL;
}
