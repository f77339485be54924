/* Rows of the domain ai.onnx.ml that turn columns of a table into numbers and back: keys to values,
 * one-hot vectors, scaling, and scores with their labels. */
#include <inttypes.h>
#include <math.h>

#include "base/check.h"
#include "op/infer.h"
#include "op/loops.h"
#include "op/strings.h"

#define ATTRIBUTES(...) ((const kata_attribute_spec[]){__VA_ARGS__, {.name = NULL}})
#define STRINGS(NAME, DOC)                                                                         \
    { .name = NAME, .type = KATA_ATTRIBUTE_STRINGS, .doc = DOC }
#define INTS(NAME, DOC)                                                                            \
    { .name = NAME, .type = KATA_ATTRIBUTE_INTS, .doc = DOC }
#define FLOATS(NAME, DOC)                                                                          \
    { .name = NAME, .type = KATA_ATTRIBUTE_FLOATS, .doc = DOC }
#define TENSOR(NAME, DOC)                                                                          \
    { .name = NAME, .type = KATA_ATTRIBUTE_TENSOR, .doc = DOC }

#define ROW_FEATURE(NAME, SINCE, LIST, INFER, REFERENCE, WORKSPACE, DOC)                           \
    const kata_op kata__op_ml_##NAME = {.name = #NAME,                                             \
                                        .domain = "ai.onnx.ml",                                    \
                                        .since = SINCE,                                            \
                                        .min_inputs = 1,                                           \
                                        .max_inputs = 1,                                           \
                                        .min_outputs = 1,                                          \
                                        .max_outputs = 1,                                          \
                                        .attributes = LIST,                                        \
                                        .infer = INFER,                                            \
                                        .reference = REFERENCE,                                    \
                                        .workspace = WORKSPACE,                                    \
                                        .flops = kata__flops_none,                                 \
                                        .doc = DOC};

/* A list of texts, whole numbers or numbers, as an attribute has it; n is 0 if it is absent. */
typedef struct list {
    kata_dtype dtype;
    int64_t n;
    const kata_attribute_value *value;
} list;

static list list_of(const kata_attribute_value *strings, const kata_attribute_value *ints,
                    const kata_attribute_value *floats, const kata_attribute_value *tensor) {
    if (strings != NULL && strings->is_set) {
        return (list){KATA_STRING, strings->n, strings};
    }
    if (ints != NULL && ints->is_set) {
        return (list){KATA_I64, ints->n, ints};
    }
    if (floats != NULL && floats->is_set) {
        return (list){KATA_F32, floats->n, floats};
    }
    if (tensor != NULL && tensor->tensor != NULL) {
        return (list){tensor->tensor->dtype, kata_tensor_count(tensor->tensor), tensor};
    }
    return (list){KATA_NO_DTYPE, 0, NULL};
}

static kata_string string_at(const list *l, int64_t i) {
    return l->value->tensor != NULL ? ((const kata_string *)l->value->tensor->data)[i]
                                    : kata__string_of(l->value->strings[i]);
}

static int64_t int_at(const list *l, int64_t i) {
    return l->value->tensor != NULL ? kata__load_int(l->dtype, l->value->tensor->data, i)
                                    : l->value->ints[i];
}

static double float_at(const list *l, int64_t i) {
    return l->value->tensor != NULL ? kata_load(l->dtype, l->value->tensor->data, i)
                                    : l->value->floats[i];
}

/* --- keys --------------------------------------------------------------------------------------
 */

/* A key to look up, by the kind of the list. NaN is a key like others, above all. */
typedef union key {
    kata_string string;
    int64_t whole;
    double number;
} key;

static key key_at(const list *l, int64_t i) {
    return l->dtype == KATA_STRING         ? (key){.string = string_at(l, i)}
           : kata_dtype_is_float(l->dtype) ? (key){.number = float_at(l, i)}
                                           : (key){.whole = int_at(l, i)};
}

static key key_of(const kata_tensor *x, int64_t i) {
    return x->dtype == KATA_STRING         ? (key){.string = ((const kata_string *)x->data)[i]}
           : kata_dtype_is_float(x->dtype) ? (key){.number = kata_load(x->dtype, x->data, i)}
                                           : (key){.whole = kata__load_int(x->dtype, x->data, i)};
}

static int compare_keys(const list *l, key a, key b) {
    if (l->dtype == KATA_STRING) {
        return kata__string_compare(a.string, b.string);
    }
    if (kata_dtype_is_float(l->dtype)) {
        return isnan(a.number) || isnan(b.number) ? isnan(a.number) - isnan(b.number)
                                                  : (a.number > b.number) - (a.number < b.number);
    }
    return (a.whole > b.whole) - (a.whole < b.whole);
}

/* order[0..n) by key; of equal keys the last of the list counts, as in a dictionary. */
static void sort_keys(const list *l, int32_t *order, int32_t *other) {
    const int64_t n = l->n;
    for (int64_t i = 0; i < n; i++) {
        order[i] = (int32_t)i;
    }
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t start = 0; start < n; start += 2 * width) {
            const int64_t middle = start + width < n ? start + width : n;
            const int64_t end = middle + width < n ? middle + width : n;
            for (int64_t i = start, j = middle, k = start; k < end; k++) {
                const bool left =
                    i < middle &&
                    (j == end || compare_keys(l, key_at(l, order[i]), key_at(l, order[j])) <= 0);
                other[k] = left ? order[i++] : order[j++];
            }
        }
        memcpy(order, other, (size_t)n * sizeof *order);
    }
}

/* The place of a key in the list, -1 if it is not there. */
static int64_t find_key(const list *l, const int32_t *order, key wanted) {
    int64_t low = 0, high = l->n; /* order[0..low) is <= wanted, order[high..n) above */
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (compare_keys(l, key_at(l, order[middle]), wanted) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 && compare_keys(l, key_at(l, order[low - 1]), wanted) == 0 ? order[low - 1] : -1;
}

/* --- LabelEncoder ------------------------------------------------------------------------------
 */

enum {
    KEYS_STRINGS,
    KEYS_INT64S,
    KEYS_FLOATS,
    KEYS_TENSOR,
    VALUES_STRINGS,
    VALUES_INT64S,
    VALUES_FLOATS,
    VALUES_TENSOR,
    DEFAULT_STRING,
    DEFAULT_INT64,
    DEFAULT_FLOAT,
    DEFAULT_TENSOR
};

static list encoder_list(const kata_attribute_value *a, int first) {
    return list_of(&a[first], &a[first + 1], &a[first + 2], &a[first + 3]);
}

static kata_status encoder_infer(kata_infer *infer) {
    const list keys = encoder_list(infer->attributes, KEYS_STRINGS);
    const list values = encoder_list(infer->attributes, VALUES_STRINGS);
    const kata_attribute_value *missing = &infer->attributes[DEFAULT_TENSOR];
    if (keys.dtype == KATA_NO_DTYPE || values.dtype == KATA_NO_DTYPE || keys.n != values.n ||
        keys.n > INT32_MAX) {
        return kata_fail(KATA_INVALID,
                         "LabelEncoder: %" PRId64 " keys and %" PRId64
                         " values; as many of both are needed",
                         keys.n, values.n);
    }
    if (missing->tensor != NULL &&
        (missing->tensor->dtype != values.dtype || kata_tensor_count(missing->tensor) != 1)) {
        return kata_fail(KATA_INVALID, "LabelEncoder: default_tensor must be one %s, as the values",
                         kata_dtype_name(values.dtype));
    }
    KATA__TRY(kata__infer_dtype(infer, 0, 1u << keys.dtype));
    infer->outputs[0] = (kata_type){values.dtype, infer->inputs[0].shape};
    return KATA_OK;
}

static size_t encoder_workspace(const kata_call *call) {
    return 2 * (size_t)encoder_list(call->attributes, KEYS_STRINGS).n * sizeof(int32_t);
}

/* Values[at], or the default for -1, to element i. */
static void put_value(const kata_call *call, const list *values, int64_t at, int64_t i) {
    const kata_attribute_value *a = call->attributes;
    const kata_tensor *y = &call->outputs[0], *missing = a[DEFAULT_TENSOR].tensor;
    if (values->dtype == KATA_STRING) {
        ((kata_string *)y->data)[i] = at >= 0           ? string_at(values, at)
                                      : missing != NULL ? *(const kata_string *)missing->data
                                                        : kata__string_of(a[DEFAULT_STRING].s);
    } else if (kata_dtype_is_float(values->dtype)) {
        kata_store(y->dtype, y->data, i,
                   at >= 0           ? float_at(values, at)
                   : missing != NULL ? kata_load(missing->dtype, missing->data, 0)
                                     : a[DEFAULT_FLOAT].f);
    } else {
        kata__store_int(y->dtype, y->data, i,
                        at >= 0           ? int_at(values, at)
                        : missing != NULL ? kata__load_int(missing->dtype, missing->data, 0)
                                          : a[DEFAULT_INT64].i);
    }
}

static kata_status encoder_reference(const kata_call *call) {
    const list keys = encoder_list(call->attributes, KEYS_STRINGS);
    const list values = encoder_list(call->attributes, VALUES_STRINGS);
    int32_t *order = call->workspace;
    if (keys.n > 0) {
        sort_keys(&keys, order, order + keys.n);
    }
    for (int64_t i = 0; i < kata_tensor_count(&call->inputs[0]); i++) {
        put_value(call, &values, find_key(&keys, order, key_of(&call->inputs[0], i)), i);
    }
    return KATA_OK;
}

ROW_FEATURE(
    LabelEncoder, 2,
    ATTRIBUTES(
        STRINGS("keys_strings", "texts to look for"), INTS("keys_int64s", "or whole numbers"),
        FLOATS("keys_floats", "or numbers"), TENSOR("keys_tensor", "or a tensor of them"),
        STRINGS("values_strings", "what stands for each key: texts"),
        INTS("values_int64s", "or whole numbers"), FLOATS("values_floats", "or numbers"),
        TENSOR("values_tensor", "or a tensor of them"),
        {.name = "default_string",
         .type = KATA_ATTRIBUTE_STRING,
         .default_string = "_Unused",
         .doc = "for what is no key"},
        {.name = "default_int64", .type = KATA_ATTRIBUTE_INT, .default_int = -1, .doc = "the same"},
        {.name = "default_float",
         .type = KATA_ATTRIBUTE_FLOAT,
         .default_float = -0.0,
         .doc = "the same"},
        TENSOR("default_tensor", "the same")),
    encoder_infer, encoder_reference, encoder_workspace,
    "The value of each element's key; a default where it is no key. NaN can be a key.")

/* --- OneHotEncoder -----------------------------------------------------------------------------
 */

enum { CATS_INT64S, CATS_STRINGS, ZEROS };

static list categories(const kata_attribute_value *a) {
    return list_of(&a[CATS_STRINGS], &a[CATS_INT64S], NULL, NULL);
}

static kata_status one_hot_infer(kata_infer *infer) {
    const list cats = categories(infer->attributes);
    const kata_shape *in = &infer->inputs[0].shape;
    if (cats.dtype == KATA_NO_DTYPE || cats.n > INT32_MAX || in->rank == KATA_MAX_RANK) {
        return kata_fail(KATA_INVALID,
                         in->rank == KATA_MAX_RANK
                             ? "OneHotEncoder: the input has too many axes for one more"
                             : "OneHotEncoder: it needs categories");
    }
    KATA__TRY(kata__infer_dtype(
        infer, 0, cats.dtype == KATA_STRING ? KATA__STRINGS : KATA__INDICES | KATA__FLOATS));
    infer->outputs[0] = (kata_type){KATA_F32, *in};
    infer->outputs[0].shape.dim[infer->outputs[0].shape.rank++] = cats.n;
    return KATA_OK;
}

static size_t one_hot_workspace(const kata_call *call) {
    return 2 * (size_t)categories(call->attributes).n * sizeof(int32_t);
}

static kata_status one_hot_reference(const kata_call *call) {
    const list cats = categories(call->attributes);
    const kata_tensor *x = &call->inputs[0];
    int32_t *order = call->workspace;
    float *y = call->outputs[0].data;
    if (cats.n > 0) {
        sort_keys(&cats, order, order + cats.n);
    }
    for (int64_t i = 0; i < kata_tensor_count(x); i++, y += cats.n) {
        key wanted = key_of(x, i);
        if (kata_dtype_is_float(x->dtype)) { /* cut off, as runtimes do */
            wanted.whole = (int64_t)(fabs(wanted.number) < 0x1p62 ? wanted.number : 0x1p62);
        }
        const int64_t at = find_key(&cats, order, wanted);
        if (at < 0 && call->attributes[ZEROS].i == 0) {
            return kata_fail(KATA_INVALID,
                             "OneHotEncoder: element %" PRId64 " is none of the categories", i);
        }
        for (int64_t k = 0; k < cats.n; k++) {
            y[k] = k == at;
        }
    }
    return KATA_OK;
}

ROW_FEATURE(OneHotEncoder, 1,
            ATTRIBUTES(INTS("cats_int64s", "categories: whole numbers"),
                       STRINGS("cats_strings", "or texts"),
                       {.name = "zeros",
                        .type = KATA_ATTRIBUTE_INT,
                        .default_int = 1,
                        .doc = "1: zeros for what is no category; 0: that is a fault"}),
            one_hot_infer, one_hot_reference, one_hot_workspace,
            "Each element as a vector of zeros with a 1 at the place of its category.")

/* --- Scaler ------------------------------------------------------------------------------------
 */

enum { OFFSET, SCALE };

static kata_status scaler_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__FLOATS | KATA__INDICES));
    const kata_shape *in = &infer->inputs[0].shape;
    const int64_t width = in->rank > 0 ? in->dim[in->rank - 1] : 1;
    for (int k = OFFSET; k <= SCALE; k++) {
        const int n = infer->attributes[k].n;
        if (n == 0 || (n != 1 && !kata__size_agrees(n, width))) {
            char text[KATA_SHAPE_TEXT_SIZE];
            return kata_fail(KATA_SHAPE,
                             "Scaler: %s has %d numbers; expected 1 or one for each column of %s",
                             k == OFFSET ? "offset" : "scale", n, kata_shape_text(in, text));
        }
    }
    infer->outputs[0] = (kata_type){KATA_F32, *in};
    return KATA_OK;
}

static kata_status scaler_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0];
    const kata_attribute_value *offset = &call->attributes[OFFSET], *scale = offset + 1;
    const int64_t width = x->shape.rank > 0 ? x->shape.dim[x->shape.rank - 1] : 1;
    float *y = call->outputs[0].data;
    for (int64_t i = 0; i < kata_tensor_count(x); i++) {
        const int64_t c = i % width;
        y[i] = ((float)kata_load(x->dtype, x->data, i) -
                (float)offset->floats[offset->n == 1 ? 0 : c]) *
               (float)scale->floats[scale->n == 1 ? 0 : c];
    }
    return KATA_OK;
}

ROW_FEATURE(Scaler, 1,
            ATTRIBUTES({.name = "offset",
                        .type = KATA_ATTRIBUTE_FLOATS,
                        .required = true,
                        .doc = "of each column, or one for all"},
                       {.name = "scale",
                        .type = KATA_ATTRIBUTE_FLOATS,
                        .required = true,
                        .doc = "the same"}),
            scaler_infer, scaler_reference, NULL, "(x - offset) scale, as float32.")

/* --- ZipMap ------------------------------------------------------------------------------------
 */

static kata_status zip_infer(kata_infer *infer) {
    const kata_type *in = &infer->inputs[0];
    const list labels = list_of(&infer->attributes[0], &infer->attributes[1], NULL, NULL);
    char text[KATA_SHAPE_TEXT_SIZE];
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__DTYPE(F32)));
    if (labels.dtype == KATA_NO_DTYPE || in->shape.rank < 1 || in->shape.rank > 2 ||
        !kata__size_agrees(in->shape.dim[in->shape.rank - 1], labels.n)) {
        return kata_fail(KATA_SHAPE,
                         "ZipMap: %" PRId64 " labels for scores of shape %s; one for "
                         "each column is needed",
                         labels.n, kata_shape_text(&in->shape, text));
    }
    infer->outputs[0] = *in;
    infer->outputs[0].kind =
        labels.dtype == KATA_STRING ? KATA_KIND_MAPS_OF_STRINGS : KATA_KIND_MAPS_OF_INTS;
    return KATA_OK;
}

const kata_op kata__op_ml_ZipMap = {
    .name = "ZipMap",
    .domain = "ai.onnx.ml",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = ATTRIBUTES(STRINGS("classlabels_strings", "keys of the map: texts"),
                             INTS("classlabels_int64s", "or whole numbers")),
    .infer = zip_infer,
    .flags = KATA_OP_VIEW,
    .flops = kata__flops_none,
    .doc =
        "The scores of each row as a map from label to score; in memory they stay the tensor that "
        "they were.",
};
