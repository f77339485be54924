/* ONNX, first step of reading: the bytes of a ModelProto -> kata__onnx_model. The nesting of the
 * messages is the nesting of these functions' calls, so that its depth has a bound. What is made
 * is bounded by the bytes that are there: each element is parsed before room for the next is made.
 */
#include "format/onnx.h"
#include "base/check.h"
#include "base/text.h"
#include "format/names.h"
#include "graph/graph.h"
#include "tensor/dtype.h"

#include <stdio.h>
#include <string.h>

const char *kata__onnx_code_name(int64_t code, char text[32]) {
    static const char *const names[] = {
        "undefined",      "float32",  "uint8",        "int8",           "uint16",
        "int16",          "int32",    "int64",        "string",         "bool",
        "float16",        "float64",  "uint32",       "uint64",         "complex64",
        "complex128",     "bfloat16", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2",
        "float8e5m2fnuz", "uint4",    "int4",         "float4e2m1",     "float8e8m0",
        "uint2",          "int2"};
    if (code >= 0 && code < (int64_t)KATA__COUNT(names)) {
        return names[code];
    }
    snprintf(text, 32, "type %lld", (long long)code);
    return text;
}

void *kata__onnx_with_room(kata__arena *arena, void *array, size_t n, size_t element_size) {
    if (n > 0 && (n < 8 || (n & (n - 1)) != 0)) {
        return array;
    }
    void *grown = kata__arena_alloc(arena, n == 0 ? 8 : 2 * n, element_size);
    if (grown != NULL && n > 0) {
        memcpy(grown, array, n * element_size);
    }
    return grown;
}

#define APPEND(model, array, n, maximum, what)                                                     \
    do {                                                                                           \
        if ((n) >= (maximum)) {                                                                    \
            return kata_fail(KATA_LIMIT, "more than %zu %s; that is the most", (size_t)(maximum),  \
                             (what));                                                              \
        }                                                                                          \
        void *room = kata__onnx_with_room(&(model)->arena, (array), (n), sizeof *(array));         \
        if (room == NULL) {                                                                        \
            return KATA_OUT_OF_MEMORY;                                                             \
        }                                                                                          \
        (array) = room;                                                                            \
        (n)++;                                                                                     \
    } while (0)

static kata_status fail_twice(const kata__proto_field *field, const char *what) {
    return kata_fail(KATA_FORMAT, "a second %s at byte %zu", what, field->place);
}

static kata_status read_name(kata__onnx_model *model, const kata__proto_field *field,
                             const char *what, const char **out) {
    return kata__proto_text(out, field, what, &model->arena, KATA__ONNX_MAX_NAME);
}

/* --- tensors --------------------------------------------------------------------------------- */

/* Where TensorProto keeps the elements of a dtype if not in raw_data, and how they are written. */
static uint32_t data_field_of(kata_dtype dtype, kata__wire_type *type) {
    *type = KATA__WIRE_VARINT;
    switch (dtype) {
    case KATA_F32:
        *type = KATA__WIRE_FIXED32;
        return KATA__TENSOR_FLOAT_DATA;
    case KATA_F64:
        *type = KATA__WIRE_FIXED64;
        return KATA__TENSOR_DOUBLE_DATA;
    case KATA_I64:
        return KATA__TENSOR_INT64_DATA;
    case KATA_U32:
    case KATA_U64:
        return KATA__TENSOR_UINT64_DATA;
    case KATA_STRING:
        *type = KATA__WIRE_BYTES;
        return KATA__TENSOR_STRING_DATA;
    default:
        return KATA__TENSOR_INT32_DATA;
    }
}

static bool is_data_field(uint32_t number) {
    return number == KATA__TENSOR_FLOAT_DATA || number == KATA__TENSOR_INT32_DATA ||
           number == KATA__TENSOR_STRING_DATA || number == KATA__TENSOR_INT64_DATA ||
           number == KATA__TENSOR_DOUBLE_DATA || number == KATA__TENSOR_UINT64_DATA;
}

static kata_status read_dims(kata__onnx_tensor *tensor, const kata__proto_field *field) {
    kata__proto_list list;
    KATA__TRY(kata__proto_list_open(&list, field, KATA__WIRE_VARINT, "the shape of a tensor"));
    for (;;) {
        uint64_t value;
        bool more;
        KATA__TRY(kata__proto_list_next(&list, &value, &more));
        if (!more) {
            return KATA_OK;
        }
        if (tensor->shape.rank == KATA_MAX_RANK) {
            return kata_fail(KATA_LIMIT, "it has more than %d axes", KATA_MAX_RANK);
        }
        if (value > INT64_MAX) {
            return kata_fail(KATA_FORMAT, "it has the negative size %lld", (long long)value);
        }
        tensor->shape.dim[tensor->shape.rank++] = (int64_t)value;
    }
}

/* Two elements of these share a byte in a file, the first of them in its lower half. */
static bool is_packed(kata_dtype dtype) {
    return dtype == KATA_I4 || dtype == KATA_U4;
}

/* One element of a string tensor's field; *n_bytes grows by its length. */
static kata_status count_string(const kata__proto_field *field, size_t *n, size_t *n_bytes) {
    if (field->type != KATA__WIRE_BYTES || !kata__text_is_utf8(field->bytes, field->n_bytes)) {
        return kata_fail(KATA_FORMAT, "element %zu is no UTF-8 text", *n);
    }
    *n += 1;
    *n_bytes += field->n_bytes;
    return KATA_OK;
}

/* The number of elements in the typed field; another one with data is an error. The bytes of
 * strings are added to tensor->n_bytes. */
static kata_status count_elements(kata__onnx_tensor *tensor, uint32_t number, kata__wire_type type,
                                  size_t *n) {
    kata__proto_reader reader = tensor->fields;
    kata__proto_field field;
    bool more;
    *n = 0;
    for (;;) {
        KATA__TRY(kata__proto_next(&reader, &field, &more));
        if (!more) {
            return KATA_OK;
        }
        if (field.number == number && tensor->dtype == KATA_STRING) {
            KATA__TRY(count_string(&field, n, &tensor->n_bytes));
        } else if (field.number == number) {
            kata__proto_list list;
            size_t n_more;
            KATA__TRY(kata__proto_list_open(&list, &field, type, "the data of a tensor"));
            KATA__TRY(kata__proto_list_count(&list, &n_more));
            *n += n_more;
        } else if (is_data_field(field.number) &&
                   (field.type != KATA__WIRE_BYTES || field.n_bytes > 0)) {
            return kata_fail(KATA_FORMAT, "its data are in field %u, which is not that of %s",
                             (unsigned)field.number, kata_dtype_name(tensor->dtype));
        }
    }
}

/* What the fields say together: the data are as many as the shape says, in one place. */
static kata_status check_tensor(kata__onnx_tensor *tensor, int64_t code, size_t n_raw) {
    char text[KATA_SHAPE_TEXT_SIZE], code_text[32];
    tensor->dtype = kata__dtype_of_code(code);
    if (tensor->dtype == KATA_NO_DTYPE) {
        return kata_fail(code > 0 ? KATA_UNSUPPORTED : KATA_FORMAT,
                         "its data type %s is not supported; convert it, e.g. to float32 or int64",
                         kata__onnx_code_name(code, code_text));
    }
    int64_t count = kata_shape_count(&tensor->shape), n_bytes;
    if (count < 0 ||
        __builtin_mul_overflow(count, (int64_t)kata_dtype_size(tensor->dtype), &n_bytes)) {
        return kata_fail(KATA_FORMAT, "its shape %s has more elements than can be counted",
                         kata_shape_text(&tensor->shape, text));
    }
    tensor->n_bytes = (size_t)n_bytes;
    kata__wire_type type;
    uint32_t number = data_field_of(tensor->dtype, &type);
    size_t n_typed;
    KATA__TRY(count_elements(tensor, number, type, &n_typed));
    if (tensor->raw != NULL && n_typed > 0) {
        return kata_fail(KATA_FORMAT, "it has its data twice, raw and typed");
    }
    if (tensor->raw != NULL && tensor->dtype == KATA_STRING) {
        return kata_fail(KATA_FORMAT, "its strings are raw data, which ONNX does not allow");
    }
    if (is_packed(tensor->dtype)) {
        count = n_bytes = count / 2 + count % 2;
    }
    if (tensor->raw != NULL ? n_raw != (uint64_t)n_bytes : n_typed != (uint64_t)count) {
        return kata_fail(KATA_FORMAT, "its shape %s of %s needs %lld %s, but %zu are there",
                         kata_shape_text(&tensor->shape, text), kata_dtype_name(tensor->dtype),
                         (long long)(tensor->raw != NULL ? n_bytes : count),
                         tensor->raw != NULL ? "bytes" : "elements",
                         tensor->raw != NULL ? n_raw : n_typed);
    }
    tensor->data_field = tensor->raw == NULL && count > 0 ? number : 0;
    return KATA_OK;
}

static kata_status read_tensor_fields(kata__onnx_model *model, kata__onnx_tensor *tensor) {
    kata__proto_reader reader = tensor->fields;
    kata__proto_field field;
    int64_t code = 0, location = 0;
    size_t n_raw = 0;
    bool more;
    for (;;) {
        KATA__TRY(kata__proto_next(&reader, &field, &more));
        if (!more) {
            break;
        }
        switch (field.number) {
        case KATA__TENSOR_NAME:
            KATA__TRY(read_name(model, &field, "the name of a tensor", &tensor->name));
            break;
        case KATA__TENSOR_DIMS:
            KATA__TRY(read_dims(tensor, &field));
            break;
        case KATA__TENSOR_DATA_TYPE:
            KATA__TRY(kata__proto_int64(&code, &field, "the data type of a tensor"));
            break;
        case KATA__TENSOR_SEGMENT:
            return kata_fail(KATA_UNSUPPORTED, "it is cut into segments, which are not supported");
        case KATA__TENSOR_RAW_DATA:
            if (field.type != KATA__WIRE_BYTES || tensor->raw != NULL) {
                return kata_fail(KATA_FORMAT, "bad raw data at byte %zu", field.place);
            }
            tensor->raw = field.bytes;
            n_raw = field.n_bytes;
            break;
        case KATA__TENSOR_DATA_LOCATION:
            KATA__TRY(kata__proto_int64(&location, &field, "the data location of a tensor"));
            break;
        case KATA__TENSOR_EXTERNAL_DATA:
            location = 1;
            break;
        default:
            break;
        }
    }
    if (location != 0) {
        return kata_fail(KATA_UNSUPPORTED, "its data are in another file, which Kata never opens; "
                                           "save the model as one file");
    }
    return check_tensor(tensor, code, n_raw);
}

static kata_status read_tensor(kata__onnx_model *model, const kata__proto_field *field,
                               kata__onnx_tensor *tensor) {
    *tensor = (kata__onnx_tensor){.name = ""};
    KATA__TRY(kata__proto_open(&tensor->fields, field, "a tensor"));
    kata_status status = read_tensor_fields(model, tensor);
    if (status != KATA_OK) {
        return tensor->name[0] != '\0' ? kata_fail_in(status, "tensor %.200s", tensor->name)
                                       : kata_fail_in(status, "tensor at byte %zu", field->place);
    }
    return KATA_OK;
}

kata_status kata__onnx_parse_tensor(kata__onnx_model *model, const void *data, size_t n_bytes,
                                    kata__onnx_tensor *tensor) {
    const kata__proto_field whole = {
        .type = KATA__WIRE_BYTES, .bytes = data, .n_bytes = n_bytes, .file = data};
    return read_tensor(model, &whole, tensor);
}

/* Element i from its raw value; false if it does not fit. */
static bool store_element(kata_dtype dtype, void *out, size_t i, uint64_t value) {
    int64_t number = (int64_t)value;
    uint32_t bits32 = (uint32_t)value;
    switch (dtype) {
    case KATA_F32:
        memcpy((float *)out + i, &bits32, sizeof bits32);
        return true;
    case KATA_F64:
    case KATA_I64:
    case KATA_U64:
        memcpy((uint64_t *)out + i, &value, sizeof value);
        return true;
    case KATA_I32:
        ((int32_t *)out)[i] = (int32_t)number;
        return number >= INT32_MIN && number <= INT32_MAX;
    case KATA_I8:
        ((int8_t *)out)[i] = (int8_t)number;
        return number >= INT8_MIN && number <= INT8_MAX;
    case KATA_U8:
        ((uint8_t *)out)[i] = (uint8_t)number;
        return number >= 0 && number <= UINT8_MAX;
    case KATA_BOOL:
        ((uint8_t *)out)[i] = number != 0;
        return number == 0 || number == 1;
    case KATA_I16:
        ((int16_t *)out)[i] = (int16_t)number;
        return number >= INT16_MIN && number <= INT16_MAX;
    case KATA_U32:
        ((uint32_t *)out)[i] = bits32;
        return value <= UINT32_MAX;
    case KATA_I4: /* two elements each; they are taken apart at the end */
    case KATA_U4:
    case KATA_F8E4M3FN:
    case KATA_F8E4M3FNUZ:
    case KATA_F8E5M2:
    case KATA_F8E5M2FNUZ:
        ((uint8_t *)out)[i] = (uint8_t)number;
        return number >= (is_packed(dtype) ? INT8_MIN : 0) && number <= UINT8_MAX;
    default: /* U16; F16, BF16: their bits */
        ((uint16_t *)out)[i] = (uint16_t)number;
        return number >= 0 && number <= UINT16_MAX;
    }
}

/* Two elements a byte to one a byte, in place: from the end, so that none is overwritten. */
static void unpack(kata_dtype dtype, uint8_t *bytes, size_t count) {
    for (size_t i = count; i-- > 0;) {
        const uint8_t half = bytes[i / 2] >> (i % 2 * 4) & 15;
        bytes[i] = dtype == KATA_U4 ? half : (uint8_t)((half ^ 8) - 8);
    }
}

static kata_status decode_strings(const kata__onnx_tensor *tensor, kata_string *out) {
    kata__proto_reader reader = tensor->fields;
    kata__proto_field field;
    bool more = true;
    const int64_t count = kata_shape_count(&tensor->shape);
    char *bytes = (char *)(out + count);
    for (int64_t n = 0; n < count;) {
        KATA__TRY(kata__proto_next(&reader, &field, &more));
        if (!more) {
            break; /* not possible: they were counted */
        }
        if (field.number == tensor->data_field) {
            out[n++] = (kata_string){bytes, (int64_t)field.n_bytes};
            if (field.n_bytes > 0) {
                memcpy(bytes, field.bytes, field.n_bytes);
                bytes += field.n_bytes;
            }
        }
    }
    return KATA_OK;
}

kata_status kata__onnx_tensor_new(kata_tensor *out, kata_context *context,
                                  const kata__onnx_tensor *tensor) {
    void *block = kata__alloc(context, tensor->n_bytes, 1);
    if (block == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    kata_status status = kata__onnx_tensor_decode(tensor, block);
    if (status != KATA_OK) {
        kata__free(context, block);
        return status;
    }
    *out = kata_tensor_view(block, tensor->dtype, &tensor->shape);
    out->owner = context;
    return KATA_OK;
}

kata_status kata__onnx_tensor_decode(const kata__onnx_tensor *tensor, void *out) {
    size_t count = (size_t)kata_shape_count(&tensor->shape);
    if (tensor->dtype == KATA_STRING) {
        return decode_strings(tensor, out);
    }
    if (tensor->raw != NULL) {
        if (tensor->n_bytes > 0) {
            memcpy(out, tensor->raw,
                   is_packed(tensor->dtype) ? tensor->n_bytes - count / 2 : tensor->n_bytes);
        }
        if (is_packed(tensor->dtype)) {
            unpack(tensor->dtype, out, count);
        }
        for (size_t i = 0; tensor->dtype == KATA_BOOL && i < tensor->n_bytes; i++) {
            ((uint8_t *)out)[i] = ((uint8_t *)out)[i] != 0;
        }
        return KATA_OK;
    }
    kata__proto_reader reader = tensor->fields;
    kata__proto_field field;
    kata__wire_type type;
    data_field_of(tensor->dtype, &type);
    const size_t n_elements = count;
    count = is_packed(tensor->dtype) ? count - count / 2 : count;
    size_t n = 0;
    bool more = true;
    while (n < count) {
        KATA__TRY(kata__proto_next(&reader, &field, &more));
        if (!more || field.number != tensor->data_field) {
            if (!more) {
                break; /* not possible: they were counted */
            }
            continue;
        }
        kata__proto_list list;
        KATA__TRY(kata__proto_list_open(&list, &field, type, "the data of a tensor"));
        for (;;) {
            uint64_t value;
            KATA__TRY(kata__proto_list_next(&list, &value, &more));
            if (!more || n == count) {
                break;
            }
            if (!store_element(tensor->dtype, out, n, value)) {
                return kata_fail(KATA_FORMAT, "tensor %.200s: element %zu is %lld, which is no %s",
                                 tensor->name, n, (long long)value, kata_dtype_name(tensor->dtype));
            }
            n++;
        }
    }
    if (is_packed(tensor->dtype)) {
        unpack(tensor->dtype, out, n_elements);
    }
    return KATA_OK;
}

/* --- nodes ----------------------------------------------------------------------------------- */

/* Fills attribute->ints or ->floats from the fields `number`; n is known. */
static kata_status read_numbers(kata__proto_reader reader, uint32_t number,
                                kata__onnx_attribute *attribute) {
    kata__wire_type type = attribute->floats != NULL ? KATA__WIRE_FIXED32 : KATA__WIRE_VARINT;
    kata__proto_field field;
    bool more;
    int n = 0;
    for (;;) {
        KATA__TRY(kata__proto_next(&reader, &field, &more));
        if (!more) {
            return KATA_OK;
        }
        if (field.number != number) {
            continue;
        }
        kata__proto_list list;
        KATA__TRY(kata__proto_list_open(&list, &field, type, "a list of numbers"));
        for (;;) {
            uint64_t value;
            KATA__TRY(kata__proto_list_next(&list, &value, &more));
            if (!more) {
                break;
            }
            if (attribute->floats != NULL) {
                uint32_t bits = (uint32_t)value;
                float f;
                memcpy(&f, &bits, sizeof f);
                attribute->floats[n++] = (double)f;
            } else {
                attribute->ints[n++] = (int64_t)value;
            }
        }
    }
}

static kata_status count_numbers(const kata__proto_field *field, kata__wire_type type, size_t *n) {
    kata__proto_list list;
    size_t n_more;
    KATA__TRY(kata__proto_list_open(&list, field, type, "a list of numbers"));
    KATA__TRY(kata__proto_list_count(&list, &n_more));
    *n += n_more;
    return *n <= INT32_MAX / 2 ? KATA_OK : kata_fail(KATA_LIMIT, "a list of %zu numbers", *n);
}

/* The list that the attribute's type asks for. */
static kata_status read_list(kata__onnx_model *model, kata__proto_reader reader, size_t n,
                             uint32_t number, kata__onnx_attribute *attribute) {
    attribute->n = (int)n;
    if (number == KATA__ATTRIBUTE_FLOATS) {
        attribute->floats = kata__arena_alloc(&model->arena, n, sizeof *attribute->floats);
    } else {
        attribute->ints = kata__arena_alloc(&model->arena, n, sizeof *attribute->ints);
    }
    if (attribute->floats == NULL && attribute->ints == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    return read_numbers(reader, number, attribute);
}

/* Old writers leave the type out: it is that of the one value that is there. */
static enum kata__onnx_attribute_type type_of_field(uint32_t number) {
    switch (number) {
    case KATA__ATTRIBUTE_F:
        return KATA__ONNX_FLOAT;
    case KATA__ATTRIBUTE_I:
        return KATA__ONNX_INT;
    case KATA__ATTRIBUTE_S:
        return KATA__ONNX_STRING;
    case KATA__ATTRIBUTE_T:
        return KATA__ONNX_TENSOR;
    case KATA__ATTRIBUTE_G:
        return KATA__ONNX_GRAPH;
    case KATA__ATTRIBUTE_FLOATS:
        return KATA__ONNX_FLOATS;
    case KATA__ATTRIBUTE_INTS:
        return KATA__ONNX_INTS;
    case KATA__ATTRIBUTE_STRINGS:
        return KATA__ONNX_STRINGS;
    default:
        return 0;
    }
}

static kata_status read_subgraph(kata__onnx_model *model, const kata__proto_field *outer,
                                 kata__onnx_graph **out);
static kata_status read_string(kata__onnx_model *model, const kata__proto_field *field,
                               kata__onnx_attribute *attribute) {
    attribute->strings = kata__onnx_with_room(&model->arena, attribute->strings,
                                              (size_t)attribute->n_strings, sizeof(char *));
    if (attribute->strings == NULL || attribute->n_strings == INT32_MAX) {
        return KATA_OUT_OF_MEMORY;
    }
    return kata__proto_text(&attribute->strings[attribute->n_strings++], field,
                            "a text of an attribute", &model->arena, KATA__PROTO_MAXIMUM);
}

static kata_status read_attribute(kata__onnx_model *model, const kata__proto_field *outer,
                                  kata__onnx_attribute *attribute) {
    kata__proto_reader reader, all;
    KATA__TRY(kata__proto_open(&reader, outer, "an attribute"));
    all = reader;
    *attribute = (kata__onnx_attribute){.name = "", .s = ""};
    kata__proto_field field;
    size_t n_ints = 0, n_floats = 0;
    int64_t type = 0;
    enum kata__onnx_attribute_type seen = 0;
    bool more;
    for (;;) {
        KATA__TRY(kata__proto_next(&reader, &field, &more));
        if (!more) {
            break;
        }
        seen = type_of_field(field.number) != 0 ? type_of_field(field.number) : seen;
        switch (field.number) {
        case KATA__ATTRIBUTE_NAME:
            KATA__TRY(read_name(model, &field, "the name of an attribute", &attribute->name));
            break;
        case KATA__ATTRIBUTE_TYPE:
            KATA__TRY(kata__proto_int64(&type, &field, "the type of an attribute"));
            break;
        case KATA__ATTRIBUTE_F:
            KATA__TRY(kata__proto_float(&attribute->f, &field, "the number of an attribute"));
            break;
        case KATA__ATTRIBUTE_I:
            KATA__TRY(kata__proto_int64(&attribute->i, &field, "the integer of an attribute"));
            break;
        case KATA__ATTRIBUTE_S:
            KATA__TRY(kata__proto_text(&attribute->s, &field, "the text of an attribute",
                                       &model->arena, KATA__PROTO_MAXIMUM));
            break;
        case KATA__ATTRIBUTE_T:
            if (attribute->tensor != NULL) {
                return fail_twice(&field, "tensor of an attribute");
            }
            attribute->tensor = kata__arena_alloc(&model->arena, 1, sizeof *attribute->tensor);
            if (attribute->tensor == NULL) {
                return KATA_OUT_OF_MEMORY;
            }
            KATA__TRY(read_tensor(model, &field, attribute->tensor));
            break;
        case KATA__ATTRIBUTE_FLOATS:
            KATA__TRY(count_numbers(&field, KATA__WIRE_FIXED32, &n_floats));
            break;
        case KATA__ATTRIBUTE_INTS:
            KATA__TRY(count_numbers(&field, KATA__WIRE_VARINT, &n_ints));
            break;
        case KATA__ATTRIBUTE_STRINGS:
            KATA__TRY(read_string(model, &field, attribute));
            break;
        case KATA__ATTRIBUTE_G:
            if (attribute->graph != NULL) {
                return fail_twice(&field, "graph of an attribute");
            }
            KATA__TRY(read_subgraph(model, &field, &attribute->graph));
            break;
        case KATA__ATTRIBUTE_GRAPHS:
            return kata_fail(KATA_UNSUPPORTED,
                             "attribute %.200s is a list of graphs, which is not "
                             "supported",
                             attribute->name);
        case KATA__ATTRIBUTE_REFERENCE:
            return kata_fail(KATA_UNSUPPORTED, "attribute %.200s refers to one of a model function",
                             attribute->name);
        default:
            break;
        }
    }
    attribute->type = type != 0 ? (enum kata__onnx_attribute_type)type : seen;
    if (attribute->name[0] == '\0') {
        return kata_fail(KATA_FORMAT, "an attribute at byte %zu has no name", outer->place);
    }
    switch (type != 0 ? type : (int64_t)seen) {
    case KATA__ONNX_FLOAT:
    case KATA__ONNX_INT:
    case KATA__ONNX_STRING:
        return KATA_OK;
    case KATA__ONNX_FLOATS:
        return read_list(model, all, n_floats, KATA__ATTRIBUTE_FLOATS, attribute);
    case KATA__ONNX_INTS:
        return read_list(model, all, n_ints, KATA__ATTRIBUTE_INTS, attribute);
    case KATA__ONNX_GRAPH:
        return attribute->graph != NULL
                   ? KATA_OK
                   : kata_fail(KATA_FORMAT, "attribute %.200s has no graph", attribute->name);
    case KATA__ONNX_STRINGS:
        attribute->n = attribute->n_strings;
        return KATA_OK;
    case KATA__ONNX_TENSOR:
        return attribute->tensor != NULL
                   ? KATA_OK
                   : kata_fail(KATA_FORMAT, "attribute %.200s has no tensor", attribute->name);
    default:
        return kata_fail(type >= 0 && type <= 14 ? KATA_UNSUPPORTED : KATA_FORMAT,
                         "attribute %.200s is of the ONNX attribute type %lld, which is not "
                         "supported",
                         attribute->name, (long long)type);
    }
}

/* A list of names into the arena; trailing absent ones are dropped. */
static kata_status keep_names(kata__onnx_model *model, const char *const *names, int *n,
                              const char ***out) {
    while (*n > 0 && names[*n - 1][0] == '\0') {
        (*n)--;
    }
    *out = kata__arena_alloc(&model->arena, (size_t)*n, sizeof **out);
    if (*out == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    if (*n > 0) {
        memcpy((void *)*out, (const void *)names, (size_t)*n * sizeof **out);
    }
    return KATA_OK;
}

static kata_status read_node_fields(kata__onnx_model *model, kata__proto_reader reader,
                                    kata__onnx_node *node) {
    const char *inputs[KATA_MAX_INPUTS], *outputs[KATA_MAX_OUTPUTS];
    size_t n_attributes = 0;
    kata__proto_field field;
    bool more;
    for (;;) {
        KATA__TRY(kata__proto_next(&reader, &field, &more));
        if (!more) {
            break;
        }
        switch (field.number) {
        case KATA__NODE_INPUT:
            if (node->n_inputs == KATA_MAX_INPUTS) {
                return kata_fail(KATA_LIMIT, "it has more than %d inputs", KATA_MAX_INPUTS);
            }
            KATA__TRY(read_name(model, &field, "an input's name", &inputs[node->n_inputs]));
            node->n_inputs++;
            break;
        case KATA__NODE_OUTPUT:
            if (node->n_outputs == KATA_MAX_OUTPUTS) {
                return kata_fail(KATA_LIMIT, "it has more than %d outputs", KATA_MAX_OUTPUTS);
            }
            KATA__TRY(read_name(model, &field, "an output's name", &outputs[node->n_outputs]));
            node->n_outputs++;
            break;
        case KATA__NODE_NAME:
            KATA__TRY(read_name(model, &field, "a node's name", &node->name));
            break;
        case KATA__NODE_OP_TYPE:
            KATA__TRY(read_name(model, &field, "an operator's name", &node->op));
            break;
        case KATA__NODE_DOMAIN:
            KATA__TRY(read_name(model, &field, "an operator's domain", &node->domain));
            break;
        case KATA__NODE_ATTRIBUTE:
            APPEND(model, node->attributes, n_attributes, KATA__ONNX_MAX_ATTRIBUTES, "attributes");
            node->n_attributes = (int)n_attributes;
            KATA__TRY(read_attribute(model, &field, &node->attributes[n_attributes - 1]));
            break;
        default:
            break;
        }
    }
    node->domain = strcmp(node->domain, "ai.onnx") == 0 ? "" : node->domain;
    KATA__TRY(keep_names(model, inputs, &node->n_inputs, &node->inputs));
    KATA__TRY(keep_names(model, outputs, &node->n_outputs, &node->outputs));
    if (node->op[0] == '\0' || node->n_outputs == 0) {
        return kata_fail(KATA_FORMAT, "it has no %s", node->op[0] == '\0' ? "operator" : "output");
    }
    for (int i = 0; i < node->n_attributes; i++) {
        for (int k = 0; k < i; k++) {
            if (strcmp(node->attributes[i].name, node->attributes[k].name) == 0) {
                return kata_fail(KATA_FORMAT, "attribute %.200s is there twice",
                                 node->attributes[i].name);
            }
        }
    }
    return KATA_OK;
}

static kata_status read_node(kata__onnx_model *model, const kata__proto_field *field) {
    kata__proto_reader reader;
    KATA__TRY(kata__proto_open(&reader, field, "a node"));
    if (model->n_all_nodes++ >= KATA__MAX_NODES) {
        return kata_fail(KATA_LIMIT, "more than %zu nodes; that is the most", KATA__MAX_NODES);
    }
    kata__onnx_node node = {.name = "", .op = "", .domain = ""};
    kata_status status = read_node_fields(model, reader, &node);
    if (status != KATA_OK) {
        return kata_fail_in(status, "node %.200s (%.200s, number %zu)",
                            node.name[0] != '\0' ? node.name : "without a name", node.op,
                            model->n_nodes + 1);
    }
    APPEND(model, model->nodes, model->n_nodes, KATA__MAX_NODES, "nodes");
    model->nodes[model->n_nodes - 1] = node;
    return KATA_OK;
}

/* --- inputs and outputs ---------------------------------------------------------------------- */

static kata_status read_dim(kata__onnx_model *model, kata__onnx_value *value,
                            const kata__proto_field *outer) {
    kata__proto_reader reader;
    KATA__TRY(kata__proto_open(&reader, outer, "a size"));
    kata__proto_field field;
    bool more;
    if (value->shape.rank == KATA_MAX_RANK) {
        return kata_fail(KATA_LIMIT, "it has more than %d axes", KATA_MAX_RANK);
    }
    int64_t size = KATA_UNKNOWN_DIM;
    for (;;) {
        KATA__TRY(kata__proto_next(&reader, &field, &more));
        if (!more) {
            break;
        }
        if (field.number == KATA__DIM_VALUE) {
            KATA__TRY(kata__proto_int64(&size, &field, "a size"));
            if (size < 0) {
                return kata_fail(KATA_FORMAT,
                                 "it has the negative size %lld on axis %d; a size "
                                 "that is not known has a name (dim_param)",
                                 (long long)size, value->shape.rank);
            }
        } else if (field.number == KATA__DIM_PARAM) {
            const char *symbol = "";
            KATA__TRY(read_name(model, &field, "a symbolic size", &symbol));
            size = KATA_UNKNOWN_DIM;
            value->size_names[value->shape.rank] = symbol[0] != '\0' ? symbol : NULL;
        }
    }
    value->shape.dim[value->shape.rank++] = size;
    return KATA_OK;
}

static kata_status read_shape(kata__onnx_model *model, kata__onnx_value *value,
                              const kata__proto_field *outer) {
    kata__proto_reader reader;
    kata__proto_field field;
    bool more;
    if (value->has_shape) {
        return fail_twice(outer, "shape");
    }
    value->has_shape = true;
    KATA__TRY(kata__proto_open(&reader, outer, "a shape"));
    for (;;) {
        KATA__TRY(kata__proto_next(&reader, &field, &more));
        if (!more) {
            break;
        }
        if (field.number == KATA__SHAPE_DIM) {
            KATA__TRY(read_dim(model, value, &field));
        }
    }
    kata_shape known = value->shape; /* the sizes that are known must have a product */
    for (int i = 0; i < known.rank; i++) {
        known.dim[i] = known.dim[i] < 0 ? 1 : known.dim[i];
    }
    char text[KATA_SHAPE_TEXT_SIZE];
    if (kata_shape_count(&known) < 0) {
        return kata_fail(KATA_FORMAT, "its shape %s has more elements than can be counted",
                         kata_shape_text(&value->shape, text));
    }
    return KATA_OK;
}

static kata_status read_tensor_type(kata__onnx_model *model, kata__onnx_value *value,
                                    const kata__proto_field *outer) {
    kata__proto_reader reader;
    kata__proto_field field;
    bool more;
    int64_t code = 0;
    KATA__TRY(kata__proto_open(&reader, outer, "a tensor type"));
    for (;;) {
        KATA__TRY(kata__proto_next(&reader, &field, &more));
        if (!more) {
            break;
        }
        if (field.number == KATA__TENSOR_TYPE_ELEMENT) {
            KATA__TRY(kata__proto_int64(&code, &field, "a data type"));
        } else if (field.number == KATA__TENSOR_TYPE_SHAPE) {
            KATA__TRY(read_shape(model, value, &field));
        }
    }
    char text[32];
    value->dtype = kata__dtype_of_code(code);
    if (value->dtype == KATA_NO_DTYPE && code != 0) {
        return kata_fail(KATA_UNSUPPORTED, "its data type %s is not supported",
                         kata__onnx_code_name(code, text));
    }
    return KATA_OK;
}

static kata_status fail_kind(void) {
    return kata_fail(KATA_UNSUPPORTED,
                     "it is neither a tensor nor a sequence, an optional or a sequence of maps of "
                     "such, and is not supported");
}

static kata_status read_type(kata__onnx_model *model, kata__onnx_value *value,
                             const kata__proto_field *outer, int depth);

/* A map from text or whole numbers to float32; it is one of a sequence. */
static kata_status read_map(kata__onnx_model *model, kata__onnx_value *value,
                            const kata__proto_field *outer, int depth) {
    kata__proto_reader reader;
    kata__proto_field field;
    int64_t key = 0;
    bool more;
    KATA__TRY(kata__proto_open(&reader, outer, "the type of a map"));
    for (;;) {
        KATA__TRY(kata__proto_next(&reader, &field, &more));
        if (!more) {
            break;
        }
        if (field.number == KATA__MAP_KEY) {
            KATA__TRY(kata__proto_int64(&key, &field, "the key of a map"));
        } else if (field.number == KATA__MAP_VALUE) {
            KATA__TRY(read_type(model, value, &field, depth));
        }
    }
    const kata_dtype dtype = kata__dtype_of_code(key);
    if (value->kind != KATA_KIND_TENSOR || value->dtype != KATA_F32 ||
        (dtype != KATA_STRING && dtype != KATA_I64)) {
        return fail_kind();
    }
    value->kind = dtype == KATA_STRING ? KATA_KIND_MAPS_OF_STRINGS : KATA_KIND_MAPS_OF_INTS;
    return KATA_OK;
}

/* A sequence or an optional: its message has one field, the type of what it holds. */
static kata_status read_element(kata__onnx_model *model, kata__onnx_value *value,
                                const kata__proto_field *outer, int depth) {
    kata__proto_reader reader;
    kata__proto_field field;
    bool more, is_map = false;
    KATA__TRY(kata__proto_open(&reader, outer, "the type of elements"));
    for (;;) {
        KATA__TRY(kata__proto_next(&reader, &field, &more));
        if (!more) {
            break;
        }
        if (field.number == KATA__ELEMENT_TYPE) {
            KATA__TRY(read_type(model, value, &field, depth));
        }
    }
    is_map = value->kind == KATA_KIND_MAPS_OF_STRINGS || value->kind == KATA_KIND_MAPS_OF_INTS;
    if (outer->number == KATA__TYPE_SEQUENCE && value->kind == KATA_KIND_TENSOR) {
        value->kind = KATA_KIND_SEQUENCE;
    } else if (outer->number == KATA__TYPE_OPTIONAL && value->kind == KATA_KIND_TENSOR) {
        value->kind = KATA_KIND_OPTIONAL;
    } else if (outer->number == KATA__TYPE_OPTIONAL && value->kind == KATA_KIND_SEQUENCE) {
        value->kind = KATA_KIND_OPTIONAL_SEQUENCE;
    } else if (outer->number != KATA__TYPE_SEQUENCE || !is_map) {
        return fail_kind();
    }
    return KATA_OK;
}

static kata_status read_type(kata__onnx_model *model, kata__onnx_value *value,
                             const kata__proto_field *outer, int depth) {
    kata__proto_reader reader;
    kata__proto_field field;
    bool more, found = false;
    KATA__TRY(kata__proto_open(&reader, outer, "a type"));
    for (;;) {
        KATA__TRY(kata__proto_next(&reader, &field, &more));
        if (!more) {
            return KATA_OK;
        }
        if (field.number > KATA__TYPE_OPTIONAL || field.number == 6 ||
            (field.number > KATA__TYPE_TENSOR && field.number < KATA__TYPE_SEQUENCE)) {
            continue;
        }
        if (found) {
            return fail_twice(&field, "type");
        }
        found = true;
        if (field.number == KATA__TYPE_TENSOR) {
            KATA__TRY(read_tensor_type(model, value, &field));
        } else if (depth == 3 || field.number == 7 || field.number == 8) {
            return fail_kind();
        } else if (field.number == KATA__TYPE_MAP) {
            if (depth == 0) {
                return fail_kind();
            }
            KATA__TRY(read_map(model, value, &field, depth + 1));
        } else {
            KATA__TRY(read_element(model, value, &field, depth + 1));
        }
    }
}

static kata_status read_value(kata__onnx_model *model, const kata__proto_field *outer,
                              kata__onnx_value *value) {
    kata__proto_reader reader;
    kata__proto_field field;
    bool more, has_type = false;
    *value = (kata__onnx_value){.name = "", .place = outer->place};
    KATA__TRY(kata__proto_open(&reader, outer, "an input or output"));
    kata_status status = KATA_OK;
    while (status == KATA_OK) {
        status = kata__proto_next(&reader, &field, &more);
        if (status != KATA_OK || !more) {
            break;
        }
        if (field.number == KATA__VALUE_NAME) {
            status = read_name(model, &field, "the name of an input or output", &value->name);
        } else if (field.number == KATA__VALUE_TYPE) {
            status = has_type ? fail_twice(&field, "type") : read_type(model, value, &field, 0);
            has_type = true;
        }
    }
    if (status == KATA_OK && value->name[0] == '\0') {
        status = kata_fail(KATA_FORMAT, "it has no name");
    }
    if (status != KATA_OK) {
        return kata_fail_in(status, "input or output %.200s (byte %zu)", value->name, outer->place);
    }
    return KATA_OK;
}

/* --- graph and model ------------------------------------------------------------------------- */

static kata_status read_initializer(kata__onnx_model *model, const kata__proto_field *field) {
    APPEND(model, model->initializers, model->n_initializers, KATA__MAX_VALUES, "initialisers");
    kata__onnx_tensor *tensor = &model->initializers[model->n_initializers - 1];
    KATA__TRY(read_tensor(model, field, tensor));
    return tensor->name[0] != '\0'
               ? KATA_OK
               : kata_fail(KATA_FORMAT, "the initialiser at byte %zu has no name", field->place);
}

static kata_status read_graph(kata__onnx_model *model, kata__proto_reader reader) {
    kata__proto_field field;
    bool more;
    for (;;) {
        KATA__TRY(kata__proto_next(&reader, &field, &more));
        if (!more) {
            return KATA_OK;
        }
        switch (field.number) {
        case KATA__GRAPH_NAME:
            KATA__TRY(read_name(model, &field, "the graph's name", &model->name));
            break;
        case KATA__GRAPH_NODE:
            KATA__TRY(read_node(model, &field));
            break;
        case KATA__GRAPH_INITIALIZER:
            KATA__TRY(read_initializer(model, &field));
            break;
        case KATA__GRAPH_INPUT:
            APPEND(model, model->inputs, model->n_inputs, KATA__MAX_VALUES, "inputs");
            KATA__TRY(read_value(model, &field, &model->inputs[model->n_inputs - 1]));
            break;
        case KATA__GRAPH_OUTPUT:
            APPEND(model, model->outputs, model->n_outputs, KATA__MAX_VALUES, "outputs");
            KATA__TRY(read_value(model, &field, &model->outputs[model->n_outputs - 1]));
            break;
        case KATA__GRAPH_SPARSE_INITIALIZER:
            return kata_fail(KATA_UNSUPPORTED, "sparse initialisers are not supported (byte %zu)",
                             field.place);
        default:
            break;
        }
    }
}

/* --- graphs within ---------------------------------------------------------------------------- */

void kata__onnx_swap_graph(kata__onnx_model *model, kata__onnx_graph *graph) {
    const kata__onnx_graph other = *graph;
    graph->name = model->name;
    graph->nodes = model->nodes;
    graph->initializers = model->initializers;
    graph->inputs = model->inputs;
    graph->outputs = model->outputs;
    graph->n_nodes = model->n_nodes;
    graph->n_initializers = model->n_initializers;
    graph->n_inputs = model->n_inputs;
    graph->n_outputs = model->n_outputs;
    model->name = other.name;
    model->nodes = other.nodes;
    model->initializers = other.initializers;
    model->inputs = other.inputs;
    model->outputs = other.outputs;
    model->n_nodes = other.n_nodes;
    model->n_initializers = other.n_initializers;
    model->n_inputs = other.n_inputs;
    model->n_outputs = other.n_outputs;
}

/* The names that a graph gives to values itself, sorted by `order`. */
typedef struct own_names {
    const char **names;
    uint32_t *order;
    size_t n;
} own_names;

static kata_status find_own_names(kata__onnx_model *model, const kata__onnx_graph *graph,
                                  own_names *own) {
    size_t n = graph->n_inputs + graph->n_initializers;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        n += (size_t)graph->nodes[i].n_outputs;
    }
    own->names = kata__arena_alloc(&model->arena, n, sizeof *own->names);
    own->order = kata__arena_alloc(&model->arena, n, sizeof *own->order);
    if (own->names == NULL || own->order == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    for (size_t i = 0; i < graph->n_inputs; i++) {
        own->names[own->n++] = graph->inputs[i].name;
    }
    for (size_t i = 0; i < graph->n_initializers; i++) {
        own->names[own->n++] = graph->initializers[i].name;
    }
    for (size_t i = 0; i < graph->n_nodes; i++) {
        for (int k = 0; k < graph->nodes[i].n_outputs; k++) {
            own->names[own->n++] = graph->nodes[i].outputs[k];
        }
    }
    kata__names_sort(own->order, own->n, own->names);
    return KATA_OK;
}

static kata_status add_outer_name(kata__onnx_model *model, kata__onnx_graph *graph,
                                  const own_names *own, const char *name) {
    if (name[0] == '\0' || kata__names_find(own->order, own->n, own->names, name) < own->n) {
        return KATA_OK;
    }
    for (size_t i = 0; i < graph->n_outer_names; i++) {
        if (strcmp(graph->outer_names[i], name) == 0) {
            return KATA_OK;
        }
    }
    APPEND(model, graph->outer_names, graph->n_outer_names, KATA_MAX_INPUTS,
           "values of the graph around in a graph within");
    graph->outer_names[graph->n_outer_names - 1] = name;
    return KATA_OK;
}

static kata_status find_outer_names(kata__onnx_model *model, kata__onnx_graph *graph) {
    own_names own = {0};
    KATA__TRY(find_own_names(model, graph, &own));
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const kata__onnx_node *node = &graph->nodes[i];
        for (int k = 0; k < node->n_inputs; k++) {
            KATA__TRY(add_outer_name(model, graph, &own, node->inputs[k]));
        }
        for (int k = 0; k < node->n_attributes; k++) {
            const kata__onnx_graph *inner = node->attributes[k].graph;
            for (size_t m = 0; inner != NULL && m < inner->n_outer_names; m++) {
                KATA__TRY(add_outer_name(model, graph, &own, inner->outer_names[m]));
            }
        }
    }
    for (size_t i = 0; i < graph->n_outputs; i++) {
        KATA__TRY(add_outer_name(model, graph, &own, graph->outputs[i].name));
    }
    return KATA_OK;
}

static kata_status read_subgraph(kata__onnx_model *model, const kata__proto_field *outer,
                                 kata__onnx_graph **out) {
    kata__proto_reader reader;
    KATA__TRY(kata__proto_open(&reader, outer, "a graph within"));
    if (model->depth + 1 >= KATA_MAX_DEPTH) {
        return kata_fail(KATA_LIMIT, "graphs are within one another more than %d deep",
                         KATA_MAX_DEPTH - 1);
    }
    kata__onnx_graph *graph = kata__arena_alloc(&model->arena, 1, sizeof *graph);
    if (graph == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    graph->name = "";
    kata__onnx_swap_graph(model, graph);
    model->depth++;
    kata_status status = read_graph(model, reader);
    model->depth--;
    kata__onnx_swap_graph(model, graph);
    *out = graph;
    return status == KATA_OK ? find_outer_names(model, graph) : status;
}

static kata_status read_opset(kata__onnx_model *model, const kata__proto_field *outer) {
    kata__proto_reader reader;
    kata__proto_field field;
    bool more;
    if (model->n_opsets == KATA__ONNX_MAX_OPSETS) {
        return kata_fail(KATA_LIMIT, "more than %d operator sets", KATA__ONNX_MAX_OPSETS);
    }
    kata__onnx_opset *opset = &model->opsets[model->n_opsets];
    *opset = (kata__onnx_opset){.domain = ""};
    KATA__TRY(kata__proto_open(&reader, outer, "an operator set"));
    for (;;) {
        KATA__TRY(kata__proto_next(&reader, &field, &more));
        if (!more) {
            break;
        }
        if (field.number == KATA__OPSET_DOMAIN) {
            KATA__TRY(read_name(model, &field, "an operator set's domain", &opset->domain));
        } else if (field.number == KATA__OPSET_VERSION) {
            KATA__TRY(kata__proto_int64(&opset->version, &field, "an operator set's version"));
        }
    }
    opset->domain = strcmp(opset->domain, "ai.onnx") == 0 ? "" : opset->domain;
    if (opset->version < 1) {
        return kata_fail(KATA_FORMAT, "operator set \"%.200s\" has the impossible version %lld",
                         opset->domain, (long long)opset->version);
    }
    int64_t before = kata__onnx_opset_of(model, opset->domain);
    if (before != 0 && before != opset->version) {
        return kata_fail(
            KATA_FORMAT,
            "operator set \"%.200s\" is imported twice, with the versions %lld and %lld",
            opset->domain, (long long)before, (long long)opset->version);
    }
    model->n_opsets += before == 0; /* some exporters say the same one twice */
    return KATA_OK;
}

int64_t kata__onnx_opset_of(const kata__onnx_model *model, const char *domain) {
    for (int i = 0; i < model->n_opsets; i++) {
        if (strcmp(model->opsets[i].domain, domain) == 0) {
            return model->opsets[i].version;
        }
    }
    return 0;
}

static kata_status read_metadata(kata__onnx_model *model, const kata__proto_field *outer) {
    kata__proto_reader reader;
    kata__proto_field field;
    bool more;
    APPEND(model, model->metadata, model->n_metadata, KATA__ONNX_MAX_METADATA, "metadata entries");
    kata_text_pair *pair = &model->metadata[model->n_metadata - 1];
    *pair = (kata_text_pair){"", ""};
    KATA__TRY(kata__proto_open(&reader, outer, "a metadata entry"));
    for (;;) {
        KATA__TRY(kata__proto_next(&reader, &field, &more));
        if (!more) {
            break;
        }
        if (field.number == KATA__ENTRY_KEY) {
            KATA__TRY(read_name(model, &field, "a metadata key", &pair->key));
        } else if (field.number == KATA__ENTRY_VALUE) {
            KATA__TRY(kata__proto_text(&pair->value, &field, "a metadata value", &model->arena,
                                       KATA__PROTO_MAXIMUM));
        }
    }
    for (size_t i = 0; i + 1 < model->n_metadata; i++) {
        if (strcmp(model->metadata[i].key, pair->key) == 0) {
            return kata_fail(KATA_FORMAT, "the metadata key %.200s is there twice", pair->key);
        }
    }
    return KATA_OK;
}

static kata_status check_versions(const kata__onnx_model *model, int64_t ir_version) {
    int64_t opset = kata__onnx_opset_of(model, "");
    if (ir_version == 0) {
        return kata_fail(KATA_FORMAT, "it has no ONNX format version: is it an ONNX model?");
    }
    if (ir_version < KATA__ONNX_IR_OLDEST || ir_version > KATA__ONNX_IR_NEWEST) {
        return kata_fail(KATA_UNSUPPORTED,
                         "it is of ONNX format version %lld; %d to %d are supported",
                         (long long)ir_version, KATA__ONNX_IR_OLDEST, KATA__ONNX_IR_NEWEST);
    }
    if (opset == 0 && model->n_opsets == 0) {
        return kata_fail(KATA_FORMAT, "it does not say of which operator set it is");
    }
    if (opset != 0 && (opset < KATA__ONNX_OPSET_OLDEST || opset > KATA__ONNX_OPSET_NEWEST)) {
        return kata_fail(KATA_UNSUPPORTED,
                         "it is of operator set %lld; %d to %d are supported; convert it with "
                         "onnx.version_converter",
                         (long long)opset, KATA__ONNX_OPSET_OLDEST, KATA__ONNX_OPSET_NEWEST);
    }
    return KATA_OK;
}

kata_status kata__onnx_parse(kata__onnx_model *model, const void *data, size_t n_bytes) {
    if (n_bytes == 0) {
        return kata_fail(KATA_FORMAT, "the file is empty");
    }
    if (n_bytes > KATA__PROTO_MAXIMUM) {
        return kata_fail(KATA_LIMIT, "the model has %zu bytes; at most %zu are possible", n_bytes,
                         KATA__PROTO_MAXIMUM);
    }
    kata__proto_reader reader = kata__proto_reader_of(data, n_bytes), graph;
    kata__proto_field field;
    int64_t ir_version = 0;
    bool more, has_graph = false;
    model->producer = model->name = "";
    for (;;) {
        KATA__TRY(kata__proto_next(&reader, &field, &more));
        if (!more) {
            break;
        }
        switch (field.number) {
        case KATA__MODEL_IR_VERSION:
            KATA__TRY(kata__proto_int64(&ir_version, &field, "the format version"));
            break;
        case KATA__MODEL_PRODUCER_NAME:
            KATA__TRY(read_name(model, &field, "the producer's name", &model->producer));
            break;
        case KATA__MODEL_OPSET_IMPORT:
            KATA__TRY(read_opset(model, &field));
            break;
        case KATA__MODEL_METADATA:
            KATA__TRY(read_metadata(model, &field));
            break;
        case KATA__MODEL_GRAPH:
            if (has_graph) {
                return fail_twice(&field, "graph");
            }
            has_graph = true;
            KATA__TRY(kata__proto_open(&graph, &field, "the graph"));
            break;
        default:
            break;
        }
    }
    KATA__TRY(check_versions(model, ir_version));
    if (!has_graph) {
        return kata_fail(KATA_FORMAT, "it holds no graph");
    }
    return read_graph(model, graph);
}
