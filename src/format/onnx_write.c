/* Graph -> ONNX file. Bytes are a function of the graph alone. The graph is the last field of the
 * file, so that no file that was cut off is a model. */
#include "format/onnx.h"
#include "base/check.h"
#include "base/file.h"
#include "format/names.h"
#include "graph/graph.h"
#include "tensor/dtype.h"

#include <stdio.h>
#include <string.h>

typedef struct writer {
    const kata_graph *graph;
    kata__buffer *out;
    kata__arena arena;
    int64_t opset; /* of ai.onnx */
    bool *is_used; /* of each value: it stands in the file */
} writer;

/* --- versions -------------------------------------------------------------------------------- */

/* A row takes a node in the form of any operator set; a file has to keep to one of them. */

static bool is_standard(const kata_op *op) {
    return op->domain[0] == '\0';
}

static const kata_attribute_value *attribute_of(const kata__node *node, const char *name) {
    int i = name != NULL ? kata__op_attribute(node->op, name) : -1;
    return i >= 0 && node->attributes[i].is_set ? &node->attributes[i] : NULL;
}

/* The k-th of the graphs that a node holds, NULL behind the last. */
static const kata_graph *subgraph_of(const kata__node *node, int k) {
    for (int i = 0; node->has_subgraphs && !node->removed && node->op->attributes[i].name != NULL;
         i++) {
        if (node->op->attributes[i].type == KATA_ATTRIBUTE_GRAPH &&
            node->attributes[i].graph != NULL && k-- == 0) {
            return node->attributes[i].graph;
        }
    }
    return NULL;
}

/* A value of the graph around has the name in the file that it has there. */
static const char *name_of(const kata_graph *graph, kata_value value) {
    const kata__value_info *info = kata__graph_info(graph, value);
    while (info != NULL && info->kind == KATA__VALUE_CAPTURE) {
        value = kata__graph_captured(graph, info);
        graph = graph->outer;
        info = kata__graph_info(graph, value);
    }
    return info != NULL ? info->name : "";
}

static bool has_input(const kata__node *node, int i) {
    return i < node->n_inputs - node->n_captured && node->inputs[i].id != 0;
}

/* The next of a row's changes of one kind, from change `*i` on; NULL: there is no more. */
static const kata_op_change *next_change(const kata_op *op, kata_change_kind kind, int *i) {
    for (; op->changes != NULL && op->changes[*i].kind != KATA_CHANGE_END; (*i)++) {
        if (op->changes[*i].kind == kind) {
            return &op->changes[(*i)++];
        }
    }
    return NULL;
}

/* The attribute is given, but says what it would say if it were not. */
static bool is_default(const kata_attribute_spec *spec, const kata_attribute_value *value) {
    switch (spec->type) {
    case KATA_ATTRIBUTE_INT:
        return value->i == spec->default_int;
    case KATA_ATTRIBUTE_FLOAT:
        return value->f == (double)(float)spec->default_float;
    case KATA_ATTRIBUTE_STRING:
        return value->s != NULL && spec->default_string != NULL &&
               strcmp(value->s, spec->default_string) == 0;
    case KATA_ATTRIBUTE_INTS:
        for (int i = 0; i < value->n; i++) {
            if (value->ints[i] != spec->default_int) {
                return false;
            }
        }
        return true;
    default:
        return false;
    }
}

/* The first operator set that has what the change brought, if the node uses it; else 0. */
static int opset_of_change(const kata_graph *graph, const kata__node *node,
                           const kata_op_change *change) {
    const kata_attribute_value *value = attribute_of(node, change->attribute);
    bool is_needed = false;
    if (change->kind == KATA_ATTRIBUTE_ADDED) {
        is_needed =
            value != NULL && !is_default(&node->op->attributes[value - node->attributes], value);
    } else if (change->kind == KATA_INPUT_ADDED) {
        is_needed = has_input(node, change->input);
    } else if (change->kind == KATA_STRINGS_ADDED) {
        is_needed = kata_value_dtype(graph, node->inputs[change->input]) == KATA_STRING;
    } else if (change->kind == KATA_ATTRIBUTE_TO_INPUT) { /* a constant can be an attribute */
        is_needed = has_input(node, change->input) &&
                    (kata__op_attribute(node->op, change->attribute) < 0 ||
                     kata__graph_constant_of(graph, node->inputs[change->input]) == NULL);
    }
    return is_needed ? change->opset : 0;
}

static int64_t opset_of(const kata_graph *graph, int64_t least) {
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const kata__node *node = &graph->nodes[i];
        for (int k = 0; subgraph_of(node, k) != NULL; k++) {
            least = opset_of(subgraph_of(node, k), least);
        }
        if (node->removed || !is_standard(node->op)) {
            continue;
        }
        least = node->op->since > least ? node->op->since : least;
        for (int k = 0; node->op->changes != NULL && node->op->changes[k].kind != KATA_CHANGE_END;
             k++) {
            int opset = opset_of_change(graph, node, &node->op->changes[k]);
            least = opset > least ? opset : least;
        }
    }
    return least;
}

/* The attribute that is to become an input of the node in this file, or the input that is to become
 * an attribute: of rows that take both forms. */
static const kata_op_change *moved(const writer *w, const kata__node *node, bool to_input) {
    int i = 0;
    const kata_op_change *change = NULL;
    while (is_standard(node->op) &&
           (change = next_change(node->op, KATA_ATTRIBUTE_TO_INPUT, &i)) != NULL) {
        bool is_attribute = attribute_of(node, change->attribute) != NULL;
        bool is_input = has_input(node, change->input);
        if (kata__op_attribute(node->op, change->attribute) >= 0 &&
            (w->opset >= change->opset) == to_input &&
            (to_input ? is_attribute && !is_input : is_input)) {
            return change;
        }
    }
    return NULL;
}

/* The name of the constant that such an attribute becomes: "OUTPUT/kata.ATTRIBUTE". */
static const char *moved_name(writer *w, const kata__node *node, const kata_op_change *change) {
    const char *output = kata_value_name(w->graph, node->outputs[0]);
    size_t size = strlen(output) + strlen(change->attribute) + sizeof "/kata.";
    char *name = kata__arena_alloc(&w->arena, size, 1);
    if (name != NULL) {
        snprintf(name, size, "%s/kata.%s", output, change->attribute);
    }
    return name;
}

/* How many of the node's own inputs stand in the file. */
static int inputs_in_file(const writer *w, const kata__node *node) {
    const kata_op_change *out = moved(w, node, false), *in = moved(w, node, true);
    const int n = node->n_inputs - node->n_captured;
    return out != NULL ? out->input : in != NULL && in->input < n ? in->input : n;
}

/* --- checks ---------------------------------------------------------------------------------- */

static kata_status check_name(const char *what, const char *name) {
    size_t length = strlen(name);
    if (length == 0 || length > KATA__ONNX_MAX_NAME || !kata__format_is_text(name, length)) {
        return kata_fail(KATA_INVALID, "%s \"%.200s\" must be UTF-8 text of 1 to %d bytes", what,
                         name, KATA__ONNX_MAX_NAME);
    }
    return KATA_OK;
}

/* Inputs, variables, nodes' results, and those constants that something needs. */
static kata_status mark_used(writer *w) {
    const kata_graph *graph = w->graph;
    w->is_used = kata__arena_alloc(&w->arena, graph->n_values, sizeof *w->is_used);
    if (w->is_used == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    for (size_t i = 1; i < graph->n_values; i++) {
        kata__value_kind kind = graph->values[i].kind;
        w->is_used[i] = kind == KATA__VALUE_INPUT || kind == KATA__VALUE_VARIABLE;
    }
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const kata__node *node = &graph->nodes[i];
        if (node->removed) {
            continue;
        }
        for (int k = 0; k < inputs_in_file(w, node); k++) {
            w->is_used[node->inputs[k].id] = true;
        }
        for (int k = node->n_inputs - node->n_captured; k < node->n_inputs; k++) {
            w->is_used[node->inputs[k].id] = true;
        }
        for (int k = 0; k < node->n_outputs; k++) {
            w->is_used[node->outputs[k].id] = true;
        }
    }
    for (size_t i = 0; i < graph->n_outputs; i++) {
        w->is_used[graph->outputs[i].id] = true;
    }
    w->is_used[0] = false; /* absent inputs */
    return KATA_OK;
}

static kata_status check_values(writer *w) {
    const kata_graph *graph = w->graph;
    size_t n_most = graph->n_values + graph->n_nodes;
    const char **names = kata__arena_alloc(&w->arena, n_most, sizeof *names);
    uint32_t *order = kata__arena_alloc(&w->arena, n_most, sizeof *order);
    if (names == NULL || order == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    size_t n = 0;
    for (size_t i = 1; i < graph->n_values; i++) {
        if (w->is_used[i]) {
            const char *name = name_of(graph, (kata_value){(int32_t)i});
            KATA__TRY(check_name("the name of a value", name));
            names[n++] = name;
        }
    }
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const kata_op_change *in =
            graph->nodes[i].removed ? NULL : moved(w, &graph->nodes[i], true);
        if (in != NULL && (names[n++] = moved_name(w, &graph->nodes[i], in)) == NULL) {
            return KATA_OUT_OF_MEMORY;
        }
    }
    kata__names_sort(order, n, names);
    size_t twice = kata__names_twice(order, n, names);
    if (twice < n) {
        return kata_fail(KATA_INVALID, "two values have the name %.200s; rename one", names[twice]);
    }
    if (graph->n_outputs == 0) {
        return kata_fail(KATA_INVALID, "the graph has no output");
    }
    for (size_t i = 0; i < graph->n_outputs; i++) {
        for (size_t k = 0; k < i; k++) {
            if (graph->outputs[i].id == graph->outputs[k].id) {
                return kata_fail(KATA_INVALID,
                                 "%.200s is an output twice, which ONNX does not allow; put an "
                                 "Identity between",
                                 graph->values[graph->outputs[i].id].name);
            }
        }
    }
    return KATA_OK;
}

static kata_status check_nodes(const writer *w) {
    for (size_t i = 0; i < w->graph->n_nodes; i++) {
        const kata__node *node = &w->graph->nodes[i];
        if (node->removed) {
            continue;
        }
        KATA__TRY(check_name("the name of a node", node->name));
        if ((node->op->flags & KATA_OP_INTERNAL) != 0) {
            return kata_fail(KATA_UNSUPPORTED,
                             "node %.200s is of the operator %s, which has no place in a file: "
                             "write the model's graph, not one made for training",
                             node->name, node->op->name);
        }
    }
    return KATA_OK;
}

static kata_status check_metadata(const kata_graph *graph) {
    for (size_t i = 0; i < graph->n_metadata; i++) {
        const char *key = graph->metadata[2 * i], *value = graph->metadata[2 * i + 1];
        KATA__TRY(check_name("the metadata key", key));
        if (!kata__format_is_text(value, strlen(value))) {
            return kata_fail(KATA_INVALID, "the metadata value of %.200s is not UTF-8", key);
        }
    }
    if (graph->n_metadata + 3 > KATA__ONNX_MAX_METADATA) {
        return kata_fail(KATA_LIMIT, "the graph has %zu metadata entries; at most %d are possible",
                         graph->n_metadata, KATA__ONNX_MAX_METADATA - 3);
    }
    return KATA_OK;
}

/* --- parts ----------------------------------------------------------------------------------- */

static void put_elements(kata__buffer *out, const kata_tensor *tensor) {
    const int64_t count = kata_tensor_count(tensor);
    if (tensor->dtype == KATA_STRING) {
        const kata_string *elements = tensor->data;
        for (int64_t i = 0; i < count; i++) {
            kata__proto_put_bytes(out, KATA__TENSOR_STRING_DATA, elements[i].data,
                                  (size_t)elements[i].n_bytes);
        }
    } else if (tensor->dtype == KATA_I4 || tensor->dtype == KATA_U4) {
        const uint8_t *elements = tensor->data; /* two to a byte, the first in the lower half */
        size_t begun = kata__proto_begin(out, KATA__TENSOR_RAW_DATA);
        for (int64_t i = 0; i < count; i += 2) {
            int high = i + 1 < count ? elements[i + 1] & 15 : 0;
            uint8_t byte = (uint8_t)((elements[i] & 15) | high << 4);
            kata__buffer_append(out, &byte, 1);
        }
        kata__proto_end(out, begun);
    } else {
        kata__proto_put_bytes(out, KATA__TENSOR_RAW_DATA, tensor->data, kata_tensor_bytes(tensor));
    }
}

static void put_tensor(kata__buffer *out, uint32_t field, const char *name,
                       const kata_tensor *tensor) {
    size_t begun = kata__proto_begin(out, field);
    for (int i = 0; i < tensor->shape.rank; i++) {
        kata__proto_put_varint(out, KATA__TENSOR_DIMS, (uint64_t)tensor->shape.dim[i]);
    }
    kata__proto_put_varint(out, KATA__TENSOR_DATA_TYPE, (uint64_t)kata__dtype_code(tensor->dtype));
    if (name != NULL) {
        kata__proto_put_text(out, KATA__TENSOR_NAME, name);
    }
    put_elements(out, tensor);
    kata__proto_end(out, begun);
}

/* A tensor, or the scores of a sequence of maps: one number each. */
static void put_tensor_type(kata__buffer *out, const kata_graph *graph,
                            const kata__value_info *info) {
    size_t tensor = kata__proto_begin(out, KATA__TYPE_TENSOR);
    kata__proto_put_varint(out, KATA__TENSOR_TYPE_ELEMENT,
                           (uint64_t)kata__dtype_code(info->type.dtype));
    const bool is_map =
        info->type.kind == KATA_KIND_MAPS_OF_STRINGS || info->type.kind == KATA_KIND_MAPS_OF_INTS;
    if (info->type.shape.rank < 0) { /* elements of different ranks */
        kata__proto_end(out, tensor);
        return;
    }
    size_t shape = kata__proto_begin(out, KATA__TENSOR_TYPE_SHAPE);
    for (int i = 0; i < info->type.shape.rank && !is_map; i++) {
        size_t dim = kata__proto_begin(out, KATA__SHAPE_DIM);
        const char *size = kata_graph_size_name(graph, info->type.shape.dim[i]);
        if (size != NULL) {
            kata__proto_put_text(out, KATA__DIM_PARAM, size);
        } else if (info->type.shape.dim[i] >= 0) {
            kata__proto_put_varint(out, KATA__DIM_VALUE, (uint64_t)info->type.shape.dim[i]);
        }
        kata__proto_end(out, dim);
    }
    kata__proto_end(out, shape);
    kata__proto_end(out, tensor);
}

/* The fields around the tensor's type, from the outside: a sequence, an optional, a map. */
static void put_value(kata__buffer *out, uint32_t field, const kata_graph *graph,
                      kata_value value) {
    const kata__value_info *info = kata__graph_info(graph, value);
    static const struct {
        uint32_t fields[3];
        int n;
    } around[] = {[KATA_KIND_SEQUENCE] = {{KATA__TYPE_SEQUENCE}, 1},
                  [KATA_KIND_OPTIONAL] = {{KATA__TYPE_OPTIONAL}, 1},
                  [KATA_KIND_OPTIONAL_SEQUENCE] = {{KATA__TYPE_OPTIONAL, KATA__TYPE_SEQUENCE}, 2},
                  [KATA_KIND_MAPS_OF_STRINGS] = {{KATA__TYPE_SEQUENCE, KATA__TYPE_MAP}, 2},
                  [KATA_KIND_MAPS_OF_INTS] = {{KATA__TYPE_SEQUENCE, KATA__TYPE_MAP}, 2}};
    size_t begun[8], n = 0;
    const kata_kind kind = info->type.kind;
    begun[n++] = kata__proto_begin(out, field);
    kata__proto_put_text(out, KATA__VALUE_NAME, name_of(graph, value));
    begun[n++] = kata__proto_begin(out, KATA__VALUE_TYPE);
    for (int i = 0; i < around[kind].n; i++) {
        const bool is_map = around[kind].fields[i] == KATA__TYPE_MAP;
        begun[n++] = kata__proto_begin(out, around[kind].fields[i]);
        if (is_map) {
            kata__proto_put_varint(out, KATA__MAP_KEY,
                                   (uint64_t)kata__dtype_code(
                                       kind == KATA_KIND_MAPS_OF_STRINGS ? KATA_STRING : KATA_I64));
        }
        begun[n++] = kata__proto_begin(out, is_map ? KATA__MAP_VALUE : KATA__ELEMENT_TYPE);
    }
    put_tensor_type(out, graph, info);
    while (n > 0) {
        kata__proto_end(out, begun[--n]);
    }
}

static void put_ints(kata__buffer *out, const char *name, const int64_t *values, size_t n) {
    size_t begun = kata__proto_begin(out, KATA__NODE_ATTRIBUTE);
    kata__proto_put_text(out, KATA__ATTRIBUTE_NAME, name);
    for (size_t i = 0; i < n; i++) {
        kata__proto_put_varint(out, KATA__ATTRIBUTE_INTS, (uint64_t)values[i]);
    }
    kata__proto_put_varint(out, KATA__ATTRIBUTE_TYPE, KATA__ONNX_INTS);
    kata__proto_end(out, begun);
}

static void put_int(kata__buffer *out, const char *name, int64_t value) {
    size_t begun = kata__proto_begin(out, KATA__NODE_ATTRIBUTE);
    kata__proto_put_text(out, KATA__ATTRIBUTE_NAME, name);
    kata__proto_put_varint(out, KATA__ATTRIBUTE_I, (uint64_t)value);
    kata__proto_put_varint(out, KATA__ATTRIBUTE_TYPE, KATA__ONNX_INT);
    kata__proto_end(out, begun);
}

static void put_attribute(kata__buffer *out, const kata_attribute_spec *spec,
                          const kata_attribute_value *value) {
    if (spec->type == KATA_ATTRIBUTE_INT) {
        put_int(out, spec->name, value->i);
        return;
    }
    if (spec->type == KATA_ATTRIBUTE_INTS) {
        put_ints(out, spec->name, value->ints, (size_t)value->n);
        return;
    }
    size_t begun = kata__proto_begin(out, KATA__NODE_ATTRIBUTE);
    enum kata__onnx_attribute_type type = KATA__ONNX_FLOAT;
    kata__proto_put_text(out, KATA__ATTRIBUTE_NAME, spec->name);
    if (spec->type == KATA_ATTRIBUTE_FLOAT) {
        kata__proto_put_float(out, KATA__ATTRIBUTE_F, (float)value->f);
    } else if (spec->type == KATA_ATTRIBUTE_STRING) {
        type = KATA__ONNX_STRING;
        kata__proto_put_text(out, KATA__ATTRIBUTE_S, value->s != NULL ? value->s : "");
    } else if (spec->type == KATA_ATTRIBUTE_FLOATS) {
        type = KATA__ONNX_FLOATS;
        for (int i = 0; i < value->n; i++) {
            kata__proto_put_float(out, KATA__ATTRIBUTE_FLOATS, (float)value->floats[i]);
        }
    } else if (spec->type == KATA_ATTRIBUTE_STRINGS) {
        type = KATA__ONNX_STRINGS;
        for (int i = 0; i < value->n; i++) {
            kata__proto_put_text(out, KATA__ATTRIBUTE_STRINGS, value->strings[i]);
        }
    } else {
        type = KATA__ONNX_TENSOR;
        put_tensor(out, KATA__ATTRIBUTE_T, NULL, value->tensor);
    }
    kata__proto_put_varint(out, KATA__ATTRIBUTE_TYPE, (uint64_t)type);
    kata__proto_end(out, begun);
}

/* The elements of a constant list, int64 or int32, as an attribute. */
static void put_constant_ints(kata__buffer *out, const char *name, const kata_tensor *list) {
    int64_t values[KATA_MAX_RANK];
    size_t n = 0;
    for (int64_t i = 0; i < kata_tensor_count(list) && n < KATA_MAX_RANK; i++) {
        values[n++] = list->dtype == KATA_I64 ? ((const int64_t *)list->data)[i]
                                              : (int64_t)kata_load(list->dtype, list->data, i);
    }
    put_ints(out, name, values, n);
}

/* An attribute that the file's operator set does not have yet, and that says nothing. */
static bool is_too_new(const writer *w, const kata_op *op, const char *name) {
    const kata_op_change *change = NULL;
    int i = 0;
    while (is_standard(op) && (change = next_change(op, KATA_ATTRIBUTE_ADDED, &i)) != NULL) {
        if (w->opset < change->opset && strcmp(change->attribute, name) == 0) {
            return true;
        }
    }
    return false;
}

static void put_subgraph(const writer *w, const char *name, const kata_graph *graph);

/* Attributes in the order of the row's list, but for what the operator set has in another form. */
static void put_attributes(const writer *w, const kata__node *node) {
    const kata_attribute_spec *specs = node->op->attributes;
    const kata_op_change *in = moved(w, node, true), *out = moved(w, node, false), *counted;
    for (int i = 0; specs != NULL && specs[i].name != NULL; i++) {
        const kata_attribute_value *value = &node->attributes[i];
        if (out != NULL && strcmp(specs[i].name, out->attribute) == 0) {
            put_constant_ints(w->out, out->attribute,
                              kata__graph_constant_of(w->graph, node->inputs[out->input]));
        } else if (value->is_set && !(in != NULL && strcmp(specs[i].name, in->attribute) == 0) &&
                   !(specs[i].type == KATA_ATTRIBUTE_TENSOR && value->tensor == NULL) &&
                   !is_too_new(w, node->op, specs[i].name)) {
            if (specs[i].type == KATA_ATTRIBUTE_GRAPH) {
                put_subgraph(w, specs[i].name, value->graph);
            } else {
                put_attribute(w->out, &specs[i], value);
            }
        }
    }
    int i = 0;
    while (is_standard(node->op) &&
           (counted = next_change(node->op, KATA_OUTPUTS_COUNTED, &i)) != NULL) {
        if (w->opset >= counted->opset && !has_input(node, counted->input) &&
            attribute_of(node, counted->attribute) == NULL) {
            put_int(w->out, counted->attribute, node->n_outputs);
        }
    }
}

static void put_node(writer *w, const kata__node *node) {
    kata__buffer *out = w->out;
    size_t begun = kata__proto_begin(out, KATA__GRAPH_NODE);
    const kata_op_change *in = moved(w, node, true);
    int n_inputs = inputs_in_file(w, node);
    while (n_inputs > 0 && node->inputs[n_inputs - 1].id == 0) {
        n_inputs--; /* absent ones at the end need no empty name */
    }
    for (int i = 0; i < n_inputs; i++) {
        kata__proto_put_text(out, KATA__NODE_INPUT, name_of(w->graph, node->inputs[i]));
    }
    if (in != NULL) {
        for (int i = n_inputs; i < in->input; i++) {
            kata__proto_put_text(out, KATA__NODE_INPUT, "");
        }
        const char *name = moved_name(w, node, in);
        if (name == NULL) {
            out->status = KATA_OUT_OF_MEMORY;
            return;
        }
        kata__proto_put_text(out, KATA__NODE_INPUT, name);
    }
    for (int i = 0; i < node->n_outputs; i++) {
        kata__proto_put_text(out, KATA__NODE_OUTPUT, kata_value_name(w->graph, node->outputs[i]));
    }
    kata__proto_put_text(out, KATA__NODE_NAME, node->name);
    kata__proto_put_text(out, KATA__NODE_OP_TYPE, node->op->name);
    put_attributes(w, node);
    if (node->op->domain != NULL && node->op->domain[0] != '\0') {
        kata__proto_put_text(out, KATA__NODE_DOMAIN, node->op->domain);
    }
    kata__proto_end(out, begun);
}

/* Attributes that became inputs of their nodes. */
static void put_moved(writer *w) {
    for (size_t i = 0; i < w->graph->n_nodes && w->out->status == KATA_OK; i++) {
        const kata__node *node = &w->graph->nodes[i];
        const kata_op_change *in = node->removed ? NULL : moved(w, node, true);
        if (in == NULL) {
            continue;
        }
        const kata_attribute_value *list = attribute_of(node, in->attribute);
        kata_shape shape = {.rank = 1, .dim = {list->n}};
        kata_tensor tensor = kata_tensor_view((void *)(uintptr_t)list->ints, KATA_I64, &shape);
        const char *name = moved_name(w, node, in);
        if (name == NULL) {
            w->out->status = KATA_OUT_OF_MEMORY;
            return;
        }
        put_tensor(w->out, KATA__GRAPH_INITIALIZER, name, &tensor);
    }
}

static void put_opset(kata__buffer *out, const char *domain, int64_t version) {
    size_t begun = kata__proto_begin(out, KATA__MODEL_OPSET_IMPORT);
    kata__proto_put_text(out, KATA__OPSET_DOMAIN, domain);
    kata__proto_put_varint(out, KATA__OPSET_VERSION, (uint64_t)version);
    kata__proto_end(out, begun);
}

/* Domains and the versions that their newest operators need. */
typedef struct opsets {
    const char *domains[KATA__ONNX_MAX_OPSETS];
    int64_t versions[KATA__ONNX_MAX_OPSETS];
    int n;
} opsets;

static kata_status add_opsets(opsets *sets, const kata_graph *graph) {
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const kata__node *node = &graph->nodes[i];
        const char *domain = node->op->domain != NULL ? node->op->domain : "";
        if (node->removed) {
            continue;
        }
        int k = 0;
        while (k < sets->n && strcmp(sets->domains[k], domain) != 0) {
            k++;
        }
        if (k == KATA__ONNX_MAX_OPSETS) {
            return kata_fail(KATA_LIMIT, "operators of more than %d domains",
                             KATA__ONNX_MAX_OPSETS);
        }
        if (k == sets->n) {
            sets->domains[k] = domain;
            sets->versions[k] = 1;
            sets->n++;
        }
        sets->versions[k] =
            node->op->since > sets->versions[k] ? node->op->since : sets->versions[k];
        for (int m = 0; subgraph_of(node, m) != NULL; m++) {
            KATA__TRY(add_opsets(sets, subgraph_of(node, m)));
        }
    }
    return KATA_OK;
}

/* ai.onnx first, then the other domains as they come up. */
static kata_status put_opsets(const writer *w) {
    opsets sets = {.domains = {""}, .versions = {w->opset}, .n = 1};
    KATA__TRY(add_opsets(&sets, w->graph));
    for (int k = 0; k < sets.n; k++) {
        put_opset(w->out, sets.domains[k], sets.versions[k]);
    }
    return KATA_OK;
}

static void put_entry(kata__buffer *out, const char *key, const char *value) {
    size_t begun = kata__proto_begin(out, KATA__MODEL_METADATA);
    kata__proto_put_text(out, KATA__ENTRY_KEY, key);
    kata__proto_put_text(out, KATA__ENTRY_VALUE, value);
    kata__proto_end(out, begun);
}

static bool is_listed(const char *key, const kata__value_info *info) {
    const kata_variable *variable = info->variable;
    if (strcmp(key, KATA__ONNX_CONSTANT) == 0) {
        return info->kind == KATA__VALUE_CONSTANT && kata_dtype_is_float(info->type.dtype);
    }
    if (info->kind != KATA__VALUE_VARIABLE) {
        return false;
    }
    bool is_state = !variable->trainable || !kata_dtype_is_float(info->type.dtype);
    return strcmp(key, KATA__ONNX_STATE) == 0 ? is_state : !is_state && variable->frozen;
}

/* A JSON list of the names of the values that belong under the key; nothing if there are none. */
static kata_status put_list(const writer *w, const char *key) {
    kata__buffer text;
    kata__buffer_init(&text, w->graph->context, KATA__PROTO_MAXIMUM);
    bool any = false;
    for (size_t i = 1; i < w->graph->n_values; i++) {
        const kata__value_info *info = &w->graph->values[i];
        if (w->is_used[i] && is_listed(key, info)) {
            kata__buffer_text(&text, any ? "," : "[");
            kata__buffer_json_string(&text, info->name);
            any = true;
        }
    }
    kata__buffer_text(&text, "]");
    kata_status status = text.status;
    if (status == KATA_OK && any) {
        put_entry(w->out, key, text.data);
    }
    kata__buffer_free(&text);
    return status;
}

static kata_status put_metadata(const writer *w) {
    const kata_graph *graph = w->graph;
    static const char *const ours[] = {KATA__ONNX_STATE, KATA__ONNX_FROZEN, KATA__ONNX_CONSTANT};
    for (size_t i = 0; i < graph->n_metadata; i++) {
        const char *key = graph->metadata[2 * i];
        bool is_ours = false;
        for (size_t k = 0; k < KATA__COUNT(ours); k++) {
            is_ours = is_ours || strcmp(key, ours[k]) == 0;
        }
        if (!is_ours) {
            put_entry(w->out, key, graph->metadata[2 * i + 1]);
        }
    }
    for (size_t k = 0; k < KATA__COUNT(ours); k++) {
        KATA__TRY(put_list(w, ours[k]));
    }
    return KATA_OK;
}

static void put_graph(writer *w, uint32_t field) {
    const kata_graph *graph = w->graph;
    kata__buffer *out = w->out;
    size_t begun = kata__proto_begin(out, field);
    for (size_t i = 0; i < graph->n_nodes; i++) {
        if (!graph->nodes[i].removed) {
            put_node(w, &graph->nodes[i]);
        }
    }
    kata__proto_put_text(out, KATA__GRAPH_NAME, graph->name[0] != '\0' ? graph->name : "model");
    for (size_t i = 1; i < graph->n_values && out->status == KATA_OK; i++) {
        const kata__value_info *info = &graph->values[i];
        if (w->is_used[i] && info->kind == KATA__VALUE_VARIABLE) {
            put_tensor(out, KATA__GRAPH_INITIALIZER, info->name, &info->variable->tensor);
        } else if (w->is_used[i] && info->kind == KATA__VALUE_CONSTANT) {
            put_tensor(out, KATA__GRAPH_INITIALIZER, info->name, &info->constant);
        }
    }
    put_moved(w);
    for (size_t i = 0; i < graph->n_inputs; i++) {
        put_value(out, KATA__GRAPH_INPUT, graph, graph->inputs[i]);
    }
    for (size_t i = 0; i < graph->n_outputs; i++) {
        put_value(out, KATA__GRAPH_OUTPUT, graph, graph->outputs[i]);
    }
    kata__proto_end(out, begun);
}

/* Marks what is used of a graph within and checks it; its arena is to be freed in any case. */
static kata_status begin_within(writer *inner, const kata_graph *graph, const writer *around) {
    *inner = (writer){.graph = graph,
                      .out = around->out,
                      .arena = {.context = graph->context},
                      .opset = around->opset};
    KATA__TRY(mark_used(inner));
    KATA__TRY(check_values(inner));
    return check_nodes(inner);
}

static void put_subgraph(const writer *w, const char *name, const kata_graph *graph) {
    writer inner;
    kata_status status = begin_within(&inner, graph, w);
    if (status == KATA_OK) {
        size_t begun = kata__proto_begin(w->out, KATA__NODE_ATTRIBUTE);
        kata__proto_put_text(w->out, KATA__ATTRIBUTE_NAME, name);
        put_graph(&inner, KATA__ATTRIBUTE_G);
        kata__proto_put_varint(w->out, KATA__ATTRIBUTE_TYPE, KATA__ONNX_GRAPH);
        kata__proto_end(w->out, begun);
    } else if (w->out->status == KATA_OK) {
        w->out->status = status;
    }
    kata__arena_free(&inner.arena);
}

/* --- the whole ------------------------------------------------------------------------------- */

static kata_status encode(writer *w) {
    const kata_graph *graph = w->graph;
    if (graph->status != KATA_OK) {
        return kata_fail(graph->status, "%s", kata_graph_message(graph));
    }
    w->opset = opset_of(graph, KATA__ONNX_OPSET);
    KATA__TRY(mark_used(w));
    KATA__TRY(check_values(w));
    KATA__TRY(check_nodes(w));
    KATA__TRY(check_metadata(graph));
    if (graph->name[0] != '\0') {
        KATA__TRY(check_name("the graph's name", graph->name));
    }
    kata__proto_put_varint(w->out, KATA__MODEL_IR_VERSION, KATA__ONNX_IR_VERSION);
    kata__proto_put_text(w->out, KATA__MODEL_PRODUCER_NAME, "kata");
    kata__proto_put_text(w->out, KATA__MODEL_PRODUCER_VERSION, KATA_VERSION);
    KATA__TRY(put_opsets(w));
    KATA__TRY(put_metadata(w));
    put_graph(w, KATA__MODEL_GRAPH);
    if (w->out->status == KATA_LIMIT) {
        return kata_fail(
            KATA_LIMIT,
            "the model needs more than %zu bytes, the most that an ONNX file can have; "
            "store its weights in a smaller data type",
            w->out->maximum);
    }
    return w->out->status;
}

kata_status kata__onnx_encode(kata__buffer *out, const kata_graph *graph) {
    writer w = {.graph = graph, .out = out, .arena = {.context = graph->context}};
    kata_status status = encode(&w);
    kata__arena_free(&w.arena);
    return status;
}

kata_status kata_onnx_write(const kata_graph *graph, const char *path) {
    kata__buffer out;
    kata__buffer_init(&out, graph->context, KATA__PROTO_MAXIMUM);
    kata_status status = kata__onnx_encode(&out, graph);
    if (status != KATA_OK) {
        kata_fail_in(status, "cannot write ONNX model %s", path);
    } else {
        status = kata__file_write(graph->context, path, out.data, out.size);
    }
    kata__buffer_free(&out);
    return status;
}
