/* Nodes of older operator sets: see adapt.h. From onnx/docs/Changelog.md. */
#include "op/adapt.h"

#include <string.h>

#include "base/check.h"
#include "tensor/dtype.h"

const kata_attribute *kata__adapt_find(const kata_adaptation *a, const char *name) {
    for (int i = 0; i < a->n_attributes; i++) {
        if (strcmp(a->attributes[i].name, name) == 0) {
            return &a->attributes[i];
        }
    }
    return NULL;
}

void kata__adapt_drop(kata_adaptation *a, const char *name) {
    const kata_attribute *found = kata__adapt_find(a, name);
    if (found != NULL) {
        a->attributes[found - a->attributes] = a->attributes[--a->n_attributes];
    }
}

kata_status kata__adapt_default(kata_adaptation *a, kata_attribute attribute) {
    if (kata__adapt_find(a, attribute.name) != NULL) {
        return KATA_OK;
    }
    if (a->n_attributes == KATA_MAX_ATTRIBUTES) {
        return kata_fail(KATA_LIMIT, "it has more than %d attributes", KATA_MAX_ATTRIBUTES);
    }
    a->attributes[a->n_attributes++] = attribute;
    return KATA_OK;
}

/* An integer attribute. */
static kata_status read_int(const kata_adaptation *a, const char *name, int64_t otherwise,
                            int64_t *out) {
    const kata_attribute *found = kata__adapt_find(a, name);
    if (found != NULL && found->type != KATA_ATTRIBUTE_INT) {
        return kata_fail(KATA_FORMAT, "its attribute %s must be an integer", name);
    }
    *out = found != NULL ? found->i : otherwise;
    return KATA_OK;
}

/* Input i with n axes of size 1 behind its own. */
static void add_axes(kata_adaptation *a, int i, int n) {
    int64_t axes[KATA_MAX_RANK];
    kata_shape shape = kata_value_shape(a->graph, a->inputs[i]);
    for (int k = 0; k < n; k++) {
        axes[k] = shape.rank + k;
    }
    kata_value list = kata_graph_int64s(a->graph, axes, n);
    a->inputs[i] = KATA_NODE(a->graph, "Unsqueeze", KATA_INPUTS(a->inputs[i], list));
}

static bool has_inputs(const kata_adaptation *a, int n) {
    bool all = a->n_inputs >= n;
    for (int i = 0; all && i < n; i++) {
        all = a->inputs[i].id != 0;
    }
    return all;
}

kata_status kata__adapt_operands(kata_adaptation *a) {
    int64_t broadcast = 0, axis = INT64_MAX;
    KATA__TRY(read_int(a, "broadcast", 0, &broadcast));
    KATA__TRY(read_int(a, "axis", INT64_MAX, &axis));
    kata__adapt_drop(a, "broadcast");
    kata__adapt_drop(a, "axis");
    if (broadcast == 0 || axis == INT64_MAX || !has_inputs(a, 2)) {
        return KATA_OK;
    }
    int rank = kata_value_shape(a->graph, a->inputs[0]).rank;
    int own = kata_value_shape(a->graph, a->inputs[1]).rank;
    int64_t first = axis < 0 ? axis + rank : axis;
    if (first < 0 || first + own > rank) {
        return kata_fail(KATA_SHAPE,
                         "its axis is %lld, but input 1 with %d axes does not fit into the %d of "
                         "input 0 there",
                         (long long)axis, own, rank);
    }
    if (first + own < rank) {
        add_axes(a, 1, rank - own - (int)first);
    }
    return KATA_OK;
}

kata_status kata__adapt_slope(kata_adaptation *a) {
    if (has_inputs(a, 2)) {
        int rank = kata_value_shape(a->graph, a->inputs[0]).rank;
        kata_shape slope = kata_value_shape(a->graph, a->inputs[1]);
        if (slope.rank == 1 && slope.dim[0] != 1 && rank > 2) {
            add_axes(a, 1, rank - 2);
        }
    }
    return KATA_OK;
}

kata_status kata__adapt_flattened(kata_adaptation *a) {
    int64_t axis = 1;
    KATA__TRY(read_int(a, "axis", 1, &axis));
    if (!has_inputs(a, 1)) {
        return KATA_OK;
    }
    const kata_value x = a->inputs[0];
    const kata_shape shape = kata_value_shape(a->graph, x);
    const int64_t first = axis < 0 ? axis + shape.rank : axis;
    if (first < 0 || first > shape.rank) {
        return kata_fail(KATA_INVALID, "its axis is %lld, but x has %d axes", (long long)axis,
                         shape.rank);
    }
    kata__adapt_drop(a, "axis");
    bool is_last = first == shape.rank - 1;
    kata_attribute along = KATA_INT("axis", is_last ? first : 1);
    if (is_last) {
        return kata__adapt_default(a, along);
    }
    kata_value sizes = KATA_NODE(a->graph, "Shape", KATA_INPUTS(x));
    kata_value matrix =
        KATA_NODE_WITH(a->graph, "Flatten", KATA_INPUTS(x), KATA_INT("axis", first));
    kata_value y;
    KATA__TRY(kata_graph_node_outputs(a->graph, NULL, a->op->name, &matrix, 1, &along, 1, &y, 1));
    a->outputs[0] = KATA_NODE(a->graph, "Reshape", KATA_INPUTS(y, sizes));
    a->is_done = true;
    return KATA_OK;
}

kata_status kata__adapt_concat(kata_adaptation *a) {
    return kata__adapt_default(a, (kata_attribute)KATA_INT("axis", 1));
}

/* ONNX's own names of types. */
static const char *name_of_type(kata_dtype dtype) {
    static const struct {
        kata_dtype dtype;
        const char *name;
    } names[] = {{KATA_F32, "FLOAT"},     {KATA_F64, "DOUBLE"}, {KATA_F16, "FLOAT16"},
                 {KATA_BF16, "BFLOAT16"}, {KATA_I8, "INT8"},    {KATA_I32, "INT32"},
                 {KATA_I64, "INT64"},     {KATA_U8, "UINT8"},   {KATA_BOOL, "BOOL"}};
    for (size_t i = 0; i < KATA__COUNT(names); i++) {
        if (names[i].dtype == dtype) {
            return names[i].name;
        }
    }
    return "";
}

kata_status kata__adapt_cast(kata_adaptation *a) {
    const kata_attribute *to = kata__adapt_find(a, "to");
    if (to == NULL || to->type != KATA_ATTRIBUTE_STRING) {
        return KATA_OK;
    }
    for (int d = KATA_NO_DTYPE + 1; d < KATA_DTYPE_COUNT; d++) {
        if (strcmp(name_of_type((kata_dtype)d), to->s) == 0) {
            a->attributes[to - a->attributes] =
                (kata_attribute)KATA_INT("to", kata__dtype_code((kata_dtype)d));
            return KATA_OK;
        }
    }
    return kata_fail(KATA_UNSUPPORTED, "it casts to the type %.60s, which is not known", to->s);
}

kata_status kata__adapt_resize(kata_adaptation *a) {
    if (a->n_inputs == 2) { /* x, scales */
        a->inputs[2] = a->inputs[1];
        a->inputs[1] = KATA_NONE;
        a->n_inputs = 3;
    }
    KATA__TRY(kata__adapt_default(
        a, (kata_attribute)KATA_STRING("coordinate_transformation_mode", "asymmetric")));
    return kata__adapt_default(a, (kata_attribute)KATA_STRING("nearest_mode", "floor"));
}

kata_status kata__adapt_batch_norm(kata_adaptation *a) {
    int64_t spatial = 1;
    bool trains = false;
    KATA__TRY(read_int(a, "spatial", 1, &spatial));
    if (spatial != 1 && (!has_inputs(a, 1) || kata_value_shape(a->graph, a->inputs[0]).rank > 2)) {
        return kata_fail(KATA_UNSUPPORTED,
                         "spatial is %lld: statistics of each element of a picture are not "
                         "supported, only those of each channel (spatial 1)",
                         (long long)spatial);
    }
    kata__adapt_drop(a, "spatial");
    for (int k = 1; k < a->n_outputs; k++) {
        trains = trains || a->is_named[k];
    }
    if (!trains) {
        a->n_outputs = 1;
        return KATA_OK;
    }
    /* Outputs 3 and 4 are then the batch's mean and 1 / sqrt(variance + epsilon), as ours are. */
    return kata__adapt_default(a, (kata_attribute)KATA_INT("training_mode", 1));
}

kata_status kata__adapt_dropout(kata_adaptation *a) {
    if (a->n_outputs < 2 || !a->is_used[1]) {
        a->n_outputs = 1;
        return KATA_OK;
    }
    KATA__TRY(kata_graph_node_outputs(a->graph, NULL, a->op->name, a->inputs, a->n_inputs,
                                      a->attributes, a->n_attributes, a->outputs, 2));
    const int64_t to = kata__dtype_code(kata_value_dtype(a->graph, a->inputs[0]));
    a->outputs[1] =
        KATA_NODE_WITH(a->graph, "Cast", KATA_INPUTS(a->outputs[1]), KATA_INT("to", to));
    a->is_done = true;
    return KATA_OK;
}
