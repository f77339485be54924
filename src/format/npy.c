/* NumPy's .npy: magic, version, the length of a header, the header (a Python dictionary of three
 * entries), the elements. numpy/lib/format.py says what is in it. The dictionary is read by a
 * little parser of its own that knows those three entries and nothing else of Python. */
#include <kata/format.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/file.h"
#include "base/memory.h"
#include "format/npy_text.h"

#include <stdio.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "Kata needs a little-endian processor");

#define MAGIC "\x93NUMPY"
#define HEADER_MAXIMUM ((size_t)65536) /* NumPy itself refuses above 10000 */
enum { MAGIC_BYTES = 6, ALIGNMENT = 64 };

/* Type codes without their byte order. */
static const struct {
    const char *text;
    kata_dtype dtype;
} dtype_codes[] = {
    {"f4", KATA_F32}, {"f8", KATA_F64}, {"f2", KATA_F16}, {"i1", KATA_I8},
    {"i4", KATA_I32}, {"i8", KATA_I64}, {"u1", KATA_U8},  {"b1", KATA_BOOL},
    {"i2", KATA_I16}, {"u2", KATA_U16}, {"u4", KATA_U32}, {"u8", KATA_U64},
};

/* --- writing --------------------------------------------------------------------------------- */

static kata_status write_header(kata__buffer *out, const kata_tensor *tensor, int64_t text_width) {
    char text_code[24];
    const char *code = NULL;
    if (tensor->dtype == KATA_STRING) {
        snprintf(text_code, sizeof text_code, "U%lld", (long long)text_width);
        code = text_code;
    }
    for (size_t i = 0; i < KATA__COUNT(dtype_codes); i++) {
        if (dtype_codes[i].dtype == tensor->dtype) {
            code = dtype_codes[i].text;
        }
    }
    if (code == NULL) {
        return kata_fail(KATA_UNSUPPORTED, "NumPy has no %s; convert the tensor to float32 first",
                         kata_dtype_name(tensor->dtype));
    }
    kata__buffer text;
    kata__buffer_init(&text, out->context, HEADER_MAXIMUM);
    kata__buffer_printf(&text, "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
                        kata_dtype_size(tensor->dtype) == 1 ? '|' : '<', code);
    for (int axis = 0; axis < tensor->shape.rank; axis++) {
        kata__buffer_printf(&text, "%s%lld", axis > 0 ? ", " : "",
                            (long long)tensor->shape.dim[axis]);
    }
    kata__buffer_text(&text, tensor->shape.rank == 1 ? ",), }" : "), }");
    size_t before = MAGIC_BYTES + 2 + 2, used = before + text.size + 1;
    for (size_t i = used; i % ALIGNMENT != 0; i++) {
        kata__buffer_text(&text, " ");
    }
    kata__buffer_text(&text, "\n");
    if (text.status == KATA_OK) {
        uint16_t length = (uint16_t)text.size; /* of 8 sizes at most */
        kata__buffer_append(out, MAGIC "\x01\x00", MAGIC_BYTES + 2);
        kata__buffer_append(out, &length, sizeof length);
        kata__buffer_append(out, text.data, text.size);
    }
    kata_status status = text.status != KATA_OK ? text.status : out->status;
    kata__buffer_free(&text);
    return status;
}

/* The header and `n_bytes` of elements, which the caller fills in at *elements. */
static kata_status make_file(kata__buffer *header, const kata_tensor *tensor, int64_t text_width,
                             size_t n_bytes, char **file) {
    KATA__TRY(write_header(header, tensor, text_width));
    *file = kata__alloc(header->context, header->size + n_bytes, 1);
    if (*file == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    memcpy(*file, header->data, header->size); /* a multiple of 64: the elements are aligned */
    return KATA_OK;
}

static kata_status write_numbers(kata__buffer *header, const kata_tensor *tensor, char **file,
                                 size_t *size) {
    const size_t n_bytes = kata_tensor_bytes(tensor);
    KATA__TRY(make_file(header, tensor, 0, n_bytes, file));
    *size = header->size + n_bytes;
    kata_tensor to = kata_tensor_view(*file + header->size, tensor->dtype, &tensor->shape);
    if (!kata_tensor_is_contiguous(tensor)) {
        return kata_tensor_copy(&to, tensor);
    }
    if (n_bytes > 0) {
        memcpy(to.data, tensor->data, n_bytes); /* keeps every bit of a NaN */
    }
    return KATA_OK;
}

static kata_status write_texts(kata__buffer *header, const kata_tensor *tensor, char **file,
                               size_t *size) {
    kata_tensor texts; /* contiguous, and UTF-8 */
    KATA__TRY(kata_tensor_clone(&texts, header->context, tensor));
    const int64_t width = kata__npy_text_width(&texts), n = kata_tensor_count(&texts);
    int64_t n_bytes;
    kata_status status = __builtin_mul_overflow(n, width * 4, &n_bytes)
                             ? kata_fail(KATA_LIMIT, "its texts are too long for NumPy's form")
                             : make_file(header, tensor, width, (size_t)n_bytes, file);
    if (status == KATA_OK) {
        kata__npy_text_write(&texts, width, (uint32_t *)(void *)(*file + header->size));
        *size = header->size + (size_t)n_bytes;
    }
    kata_tensor_release(&texts);
    return status;
}

kata_status kata_npy_write(kata_context *context, const char *path, const kata_tensor *tensor) {
    kata__buffer header;
    char *file = NULL;
    size_t size = 0;
    kata_status status = KATA_OK;
    kata__buffer_init(&header, context, HEADER_MAXIMUM);
    if (kata_tensor_count(tensor) < 0 || (tensor->data == NULL && kata_tensor_count(tensor) > 0)) {
        status = kata_fail(KATA_INVALID, "the tensor has no elements to write");
    } else if (tensor->dtype == KATA_STRING) {
        status = write_texts(&header, tensor, &file, &size);
    } else {
        status = write_numbers(&header, tensor, &file, &size);
    }
    status = status == KATA_OK ? kata__file_write(context, path, file, size)
                               : kata_fail_in(status, "cannot write %s", path);
    kata__free(context, file);
    kata__buffer_free(&header);
    return status;
}

/* --- reading --------------------------------------------------------------------------------- */

typedef struct literal {
    const char *text;
    size_t size, at;
} literal;

typedef struct npy_header {
    char descr[32];
    bool fortran_order;
    kata_shape shape;
} npy_header;

static kata_status fail_header(const literal *l, const char *expected) {
    return kata_fail(KATA_FORMAT, "malformed header at byte %zu: expected %s", l->at, expected);
}

static char peek(literal *l) {
    while (l->at < l->size && memchr(" \t\r\n", l->text[l->at], 4) != NULL) {
        l->at++;
    }
    return l->at < l->size ? l->text[l->at] : '\0';
}

static bool accept(literal *l, char byte) {
    bool found = peek(l) == byte && l->at < l->size;
    l->at += found;
    return found;
}

/* A text in single or double quotes without escapes, cut to `size`. */
static kata_status read_quoted(literal *l, char *out, size_t size) {
    char quote = peek(l);
    if (quote != '\'' && quote != '"') {
        return fail_header(l, "a text in quotes");
    }
    size_t first = ++l->at;
    while (l->at < l->size && l->text[l->at] != quote) {
        if ((unsigned char)l->text[l->at] < 0x20 || l->text[l->at] == '\\') {
            return fail_header(l, "a plain text");
        }
        l->at++;
    }
    if (l->at == l->size) {
        return fail_header(l, "the end of a text");
    }
    size_t length = l->at - first;
    length = length < size ? length : size - 1;
    memcpy(out, l->text + first, length);
    out[length] = '\0';
    l->at++;
    return KATA_OK;
}

static kata_status read_bool(literal *l, bool *out) {
    peek(l);
    *out = l->size - l->at >= 4 && memcmp(l->text + l->at, "True", 4) == 0;
    if (!*out && !(l->size - l->at >= 5 && memcmp(l->text + l->at, "False", 5) == 0)) {
        return fail_header(l, "True or False");
    }
    l->at += *out ? 4 : 5;
    return KATA_OK;
}

static kata_status read_size(literal *l, int64_t *out) {
    int64_t value = 0;
    char digit = peek(l);
    if (digit < '0' || digit > '9') {
        return fail_header(l, "a size");
    }
    for (; l->at < l->size && l->text[l->at] >= '0' && l->text[l->at] <= '9'; l->at++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, l->text[l->at] - '0', &value)) {
            return fail_header(l, "a size below 2^63");
        }
    }
    if (l->at < l->size && l->text[l->at] == 'L') {
        l->at++; /* Python 2 */
    }
    *out = value;
    return KATA_OK;
}

static kata_status read_shape(literal *l, kata_shape *shape) {
    if (!accept(l, '(')) {
        return fail_header(l, "'('");
    }
    for (shape->rank = 0; !accept(l, ')'); shape->rank++) {
        if (shape->rank == KATA_MAX_RANK) {
            return kata_fail(KATA_LIMIT, "it has more than %d axes", KATA_MAX_RANK);
        }
        KATA__TRY(read_size(l, &shape->dim[shape->rank]));
        if (!accept(l, ',') && (shape->rank == 0 || peek(l) != ')')) {
            return fail_header(l, "','");
        }
    }
    return KATA_OK;
}

static kata_status read_dictionary(literal *l, npy_header *header) {
    enum { DESCR = 1, ORDER = 2, SHAPE = 4, ALL = 7 };
    int seen = 0;
    if (!accept(l, '{')) {
        return fail_header(l, "'{'");
    }
    while (!accept(l, '}')) {
        char key[32];
        KATA__TRY(read_quoted(l, key, sizeof key));
        int which = strcmp(key, "descr") == 0           ? DESCR
                    : strcmp(key, "fortran_order") == 0 ? ORDER
                    : strcmp(key, "shape") == 0         ? SHAPE
                                                        : 0;
        if (which == 0 || (seen & which) != 0) {
            return kata_fail(KATA_FORMAT, "malformed header: the key %s is %s", key,
                             which == 0 ? "unknown" : "there twice");
        }
        seen |= which;
        if (!accept(l, ':')) {
            return fail_header(l, "':'");
        }
        if (which == DESCR) {
            if (peek(l) == '[' || peek(l) == '(') {
                return kata_fail(KATA_UNSUPPORTED, "it holds records (a structured data type); "
                                                   "save each column as an array of its own");
            }
            KATA__TRY(read_quoted(l, header->descr, sizeof header->descr));
        } else if (which == ORDER) {
            KATA__TRY(read_bool(l, &header->fortran_order));
        } else {
            KATA__TRY(read_shape(l, &header->shape));
        }
        if (!accept(l, ',') && peek(l) != '}') {
            return fail_header(l, "',' or '}'");
        }
    }
    peek(l);
    if (l->at != l->size) {
        return fail_header(l, "the end");
    }
    if (seen != ALL) {
        return kata_fail(KATA_FORMAT, "malformed header: it lacks %s",
                         (seen & DESCR) == 0   ? "descr"
                         : (seen & ORDER) == 0 ? "fortran_order"
                                               : "shape");
    }
    return KATA_OK;
}

static kata_status read_dtype(const char *descr, kata_dtype *dtype, bool *swap) {
    size_t skip = strchr("<>|=", descr[0]) != NULL && descr[0] != '\0';
    const char *code = descr + skip;
    if (code[0] == 'O') {
        return kata_fail(KATA_UNSUPPORTED, "it holds Python objects, which are code and never "
                                           "loaded; save an array of numbers");
    }
    for (size_t i = 0; i < KATA__COUNT(dtype_codes); i++) {
        if (strcmp(code, dtype_codes[i].text) == 0) {
            *dtype = dtype_codes[i].dtype;
            *swap = descr[0] == '>' && kata_dtype_size(*dtype) > 1;
            return KATA_OK;
        }
    }
    return kata_fail(KATA_UNSUPPORTED,
                     "its data type '%s' is not supported; convert it with "
                     "astype, e.g. to float32 or int64",
                     descr);
}

/* Element of index (i, j, ..., k) lies at i + j*dim[0] + ... in Fortran's order. */
static kata_tensor fortran_view(void *data, kata_dtype dtype, const kata_shape *shape) {
    kata_tensor view = kata_tensor_view(data, dtype, shape);
    int64_t stride = 1;
    for (int axis = 0; axis < shape->rank; axis++) {
        view.stride[axis] = stride;
        stride *= shape->dim[axis] > 0 ? shape->dim[axis] : 1;
    }
    return view;
}

static void swap_bytes(uint8_t *bytes, size_t n_bytes, size_t width) {
    for (size_t first = 0; first < n_bytes; first += width) {
        for (size_t k = 0; k < width / 2; k++) {
            uint8_t byte = bytes[first + k];
            bytes[first + k] = bytes[first + width - 1 - k];
            bytes[first + width - 1 - k] = byte;
        }
    }
}

static kata_status read_texts(kata_tensor *out, kata_context *context, const npy_header *header,
                              const char *code, int64_t width, const uint8_t *data, size_t n_data) {
    char text[KATA_SHAPE_TEXT_SIZE];
    int64_t count = kata_shape_count(&header->shape), n_bytes, all;
    if (count < 0 || width < 1 || __builtin_mul_overflow(count, width * 4 + 64, &all) ||
        __builtin_mul_overflow(count, (int64_t)kata__npy_text_size(code, width), &n_bytes) ||
        (uint64_t)n_bytes != n_data) {
        return kata_fail(KATA_FORMAT,
                         "its shape %s of texts of %lld does not go with %zu bytes of data",
                         kata_shape_text(&header->shape, text), (long long)width, n_data);
    }
    /* The dtype says nothing here: only shape and strides are read. */
    kata_tensor view = kata_tensor_view((void *)(uintptr_t)data, KATA_U8, &header->shape);
    if (header->fortran_order) {
        view = fortran_view((void *)(uintptr_t)data, KATA_U8, &header->shape);
    }
    return kata__npy_text_read(out, context, code, width, header->descr[0] == '>', &view);
}

static kata_status read_elements(kata_tensor *out, kata_context *context, const npy_header *header,
                                 const uint8_t *data, size_t n_data) {
    const char *code =
        header->descr + (header->descr[0] != '\0' && strchr("<>|=", header->descr[0]) != NULL);
    int64_t width;
    if (kata__npy_is_text(code, &width)) {
        return read_texts(out, context, header, code, width, data, n_data);
    }
    kata_dtype dtype = KATA_NO_DTYPE;
    bool swap = false;
    KATA__TRY(read_dtype(header->descr, &dtype, &swap));
    char text[KATA_SHAPE_TEXT_SIZE];
    int64_t count = kata_shape_count(&header->shape), n_bytes;
    if (count < 0 || __builtin_mul_overflow(count, (int64_t)kata_dtype_size(dtype), &n_bytes)) {
        return kata_fail(KATA_FORMAT, "its shape %s has more elements than can be counted",
                         kata_shape_text(&header->shape, text));
    }
    if ((uint64_t)n_bytes != n_data) {
        return kata_fail(KATA_FORMAT, "its shape %s of %s needs %lld bytes, but %zu are there",
                         kata_shape_text(&header->shape, text), kata_dtype_name(dtype),
                         (long long)n_bytes, n_data);
    }
    kata_tensor tensor = {0}, copy = {0};
    KATA__TRY(kata_tensor_new(&tensor, context, dtype, &header->shape));
    if (n_data > 0) {
        memcpy(tensor.data, data, n_data);
    }
    if (swap) {
        swap_bytes(tensor.data, n_data, kata_dtype_size(dtype));
    }
    for (size_t i = 0; dtype == KATA_BOOL && i < n_data; i++) {
        ((uint8_t *)tensor.data)[i] = ((uint8_t *)tensor.data)[i] != 0;
    }
    kata_status status = KATA_OK;
    if (header->fortran_order && header->shape.rank > 1) {
        kata_tensor from = fortran_view(tensor.data, dtype, &header->shape);
        status = kata_tensor_new(&copy, context, dtype, &header->shape);
        if (status == KATA_OK) {
            status = kata_tensor_copy(&copy, &from);
        }
        kata_tensor_release(&tensor);
        tensor = copy;
    }
    if (status != KATA_OK) {
        kata_tensor_release(&tensor);
        return status;
    }
    *out = tensor;
    return KATA_OK;
}

static kata_status read_array(kata_tensor *out, kata_context *context, const uint8_t *bytes,
                              size_t n_bytes) {
    if (n_bytes < MAGIC_BYTES + 4 || memcmp(bytes, MAGIC, MAGIC_BYTES) != 0) {
        return kata_fail(KATA_FORMAT, "it is no NumPy array (.npy)");
    }
    unsigned major = bytes[MAGIC_BYTES], minor = bytes[MAGIC_BYTES + 1];
    if (major < 1 || major > 3 || minor != 0) {
        return kata_fail(KATA_UNSUPPORTED, "it is of .npy version %u.%u; 1.0 to 3.0 are supported",
                         major, minor);
    }
    size_t width = major == 1 ? 2 : 4, place = MAGIC_BYTES + 2;
    uint32_t length = 0;
    if (n_bytes < place + width) {
        return kata_fail(KATA_FORMAT, "it ends within the length of its header");
    }
    memcpy(&length, bytes + place, width);
    place += width;
    if (length > n_bytes - place || length > HEADER_MAXIMUM) {
        return kata_fail(KATA_FORMAT,
                         "its header is said to have %u bytes; %zu are left and at "
                         "most %zu are allowed",
                         (unsigned)length, n_bytes - place, HEADER_MAXIMUM);
    }
    literal l = {.text = (const char *)bytes + place, .size = length};
    npy_header header = {.descr = ""};
    KATA__TRY(read_dictionary(&l, &header));
    place += length;
    return read_elements(out, context, &header, bytes + place, n_bytes - place);
}

kata_status kata_npy_read_memory(kata_tensor *out, kata_context *context, const void *data,
                                 size_t n_bytes, const char *name) {
    kata_status status = read_array(out, context, data, n_bytes);
    return status == KATA_OK
               ? KATA_OK
               : kata_fail_in(status, "cannot read %s", name != NULL ? name : "NumPy array");
}

kata_status kata_npy_read(kata_tensor *out, kata_context *context, const char *path) {
    char *data = NULL;
    size_t n_bytes = 0;
    KATA__TRY(kata__file_read(context, path, PTRDIFF_MAX, &data, &n_bytes));
    kata_status status = kata_npy_read_memory(out, context, data, n_bytes, path);
    kata__free(context, data);
    return status;
}
