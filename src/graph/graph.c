/* Graphs: life, values, variables, outputs, metadata. Nodes are added in node.c. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "graph/graph.h"

kata_status kata_graph_new(kata_graph **out, kata_context *context, const char *name) {
    if (context == NULL) {
        return kata_fail(KATA_INVALID, "kata_graph_new needs a context");
    }
    kata_graph *graph = kata__alloc_zero(context, 1, sizeof *graph);
    if (graph == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    graph->context = context;
    graph->holder = -1;
    graph->arena.context = context;
    graph->name = kata__arena_strdup(&graph->arena, name != NULL ? name : "graph");
    kata_status status = graph->name == NULL
                             ? KATA_OUT_OF_MEMORY
                             : kata__grow(context, (void **)&graph->values, &graph->values_capacity,
                                          1, sizeof *graph->values, KATA__MAX_VALUES);
    if (status != KATA_OK) {
        kata_graph_free(graph);
        return status;
    }
    graph->values[0] = (kata__value_info){.name = ""};
    graph->n_values = 1;
    *out = graph;
    return KATA_OK;
}

void kata__graph_share(kata_graph *graph) {
    atomic_fetch_add(&graph->n_more_holders, 1);
}

void kata_graph_free(kata_graph *graph) {
    if (graph == NULL || atomic_fetch_sub(&graph->n_more_holders, 1) > 0) {
        return;
    }
    kata_context *context = graph->context;
    for (size_t i = 0; i < graph->n_subgraphs; i++) {
        kata_graph_free(graph->subgraphs[i]);
    }
    for (size_t i = 0; i < graph->n_values; i++) {
        kata_tensor_release(&graph->values[i].constant);
    }
    for (size_t i = 0; i < graph->n_variables; i++) {
        if (graph->owned[i]) {
            kata_tensor_release(&graph->variables[i]->tensor);
            kata__free(context, (void *)(uintptr_t)graph->variables[i]->name);
            kata__free(context, graph->variables[i]);
        }
    }
    for (size_t i = 0; i < 2 * graph->n_metadata; i++) {
        kata__free(context, graph->metadata[i]);
    }
    kata__free(context, graph->metadata);
    kata__free(context, graph->variables);
    kata__free(context, graph->owned);
    kata__free(context, graph->sizes);
    kata__free(context, graph->subgraphs);
    kata__free(context, graph->captures);
    kata__free(context, graph->inputs);
    kata__free(context, graph->outputs);
    kata__free(context, graph->nodes);
    kata__free(context, graph->values);
    kata__free(context, graph->index);
    kata__free(context, graph->message);
    kata__arena_free(&graph->arena);
    kata__free(context, graph);
}

kata_status kata_graph_status(const kata_graph *graph) {
    return graph->status;
}

const char *kata_graph_message(const kata_graph *graph) {
    if (graph->status == KATA_OK) {
        return "";
    }
    return graph->message != NULL ? graph->message : kata_status_name(graph->status);
}

kata_context *kata_graph_context(const kata_graph *graph) {
    return graph->context;
}

const char *kata_graph_name(const kata_graph *graph) {
    return graph->name;
}

void kata_graph_set_scope(kata_graph *graph, const char *scope) {
    graph->scope = NULL;
    if (scope != NULL && graph->status == KATA_OK) {
        graph->scope = kata__arena_strdup(&graph->arena, scope);
        if (graph->scope == NULL) {
            kata__graph_fault(graph, KATA_OUT_OF_MEMORY);
        }
    }
}

kata_status kata__graph_fault(kata_graph *graph, kata_status status) {
    if (graph->status == KATA_OK && status != KATA_OK) {
        char text[1024];
        snprintf(text, sizeof text, "%s", kata_error_message());
        graph->status = status;
        graph->message = kata__strdup(graph->context, text); /* NULL: the status's name serves */
        if (graph->message != NULL) {
            kata_fail(status, "%s", text);
        }
    }
    return graph->status;
}

/* --- values ---------------------------------------------------------------------------------- */

const kata__value_info *kata__graph_info(const kata_graph *graph, kata_value value) {
    return value.id > 0 && (size_t)value.id < graph->n_values ? &graph->values[value.id] : NULL;
}

const kata_tensor *kata__graph_constant_of(const kata_graph *graph, kata_value value) {
    const kata__value_info *info = kata__graph_info(graph, value);
    while (info != NULL && info->kind == KATA__VALUE_CAPTURE) {
        value = kata__graph_captured(graph, info);
        graph = graph->outer;
        info = kata__graph_info(graph, value);
    }
    return info != NULL && info->kind == KATA__VALUE_CONSTANT ? &info->constant : NULL;
}

/* A made-up name hides none of the graphs around. */
static bool is_free_name(const kata_graph *graph, const char *name) {
    while (graph != NULL && kata_graph_find_value(graph, name).id == 0) {
        graph = graph->outer;
    }
    return graph == NULL;
}

/* Appends a value; the name, if the user's, must be new. */
static kata_status value_add(kata_graph *graph, kata__value_info info, const char *name,
                             const char *made_up, kata_value *out) {
    char text[192];
    if (name != NULL && name[0] != '\0') {
        if (kata_graph_find_value(graph, name).id != 0) {
            return kata_fail(KATA_INVALID, "the name %s is taken in graph %s", name, graph->name);
        }
        info.named = true;
    } else {
        size_t number = graph->n_values;
        do {
            snprintf(text, sizeof text, "%.64s%s%.64s_%zu", graph->outer != NULL ? graph->name : "",
                     graph->outer != NULL ? "/" : "", made_up, number++);
        } while (!is_free_name(graph, text));
        name = text;
    }
    KATA__TRY(kata__grow(graph->context, (void **)&graph->values, &graph->values_capacity,
                         graph->n_values + 1, sizeof *graph->values, KATA__MAX_VALUES));
    kata_value value = {(int32_t)graph->n_values};
    info.name = "";
    graph->values[value.id] = info;
    KATA__TRY(kata__graph_name_value(graph, value, name, info.named));
    graph->n_values++;
    *out = value;
    return KATA_OK;
}

kata_status kata__graph_add_value(kata_graph *graph, const kata__value_info *info, const char *name,
                                  const char *made_up, kata_value *out) {
    return value_add(graph, *info, name, made_up, out);
}

kata_status kata__graph_node_value(kata_graph *graph, const char *made_up, int32_t node, int output,
                                   kata_type type, kata_value *out) {
    return value_add(
        graph,
        (kata__value_info){.kind = KATA__VALUE_NODE, .type = type, .node = node, .output = output},
        NULL, made_up, out);
}

static kata_status check_type(const kata_graph *graph, const char *what, const char *name,
                              kata_dtype dtype, const kata_shape *shape, bool unknown_allowed) {
    char text[KATA_SHAPE_TEXT_SIZE];
    if (dtype <= KATA_NO_DTYPE || dtype >= KATA_DTYPE_COUNT) {
        return kata_fail(KATA_DTYPE, "%s %s has no valid data type", what, name);
    }
    if (shape->rank < 0 || shape->rank > KATA_MAX_RANK) {
        return kata_fail(KATA_SHAPE, "%s %s has %d axes; 0 to %d are possible", what, name,
                         shape->rank, KATA_MAX_RANK);
    }
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dim[i] < 0 &&
            !(unknown_allowed &&
              (shape->dim[i] == KATA_UNKNOWN_DIM || kata_graph_size_name(graph, shape->dim[i])))) {
            return kata_fail(KATA_SHAPE, "%s %s has a negative size in its shape %s", what, name,
                             kata_shape_text(shape, text));
        }
    }
    return KATA_OK;
}

/* Gives names to the open sizes of an input that have none. Those of a subgraph's inputs are what
 * the node that holds it makes of them. */
static void name_sizes(kata_graph *graph, kata__value_info *info) {
    for (int i = 0; i < info->type.shape.rank && graph->outer == NULL; i++) {
        char text[160];
        if (info->type.shape.dim[i] == KATA_UNKNOWN_DIM) {
            snprintf(text, sizeof text, "%.120s.%d", info->name, i);
            info->type.shape.dim[i] = kata_graph_size(graph, i == 0 ? "N" : text);
        }
    }
}

kata_value kata_graph_input(kata_graph *graph, const char *name, kata_dtype dtype,
                            const kata_shape *shape) {
    kata_value value = KATA_NONE;
    if (graph->status != KATA_OK) {
        return value;
    }
    kata_status status =
        check_type(graph, "input", name != NULL ? name : "(unnamed)", dtype, shape, true);
    if (status == KATA_OK) {
        status = kata__grow(graph->context, (void **)&graph->inputs, &graph->inputs_capacity,
                            graph->n_inputs + 1, sizeof *graph->inputs, KATA__MAX_VALUES);
    }
    if (status == KATA_OK) {
        kata__value_info info = {.kind = KATA__VALUE_INPUT, .type = {dtype, *shape}};
        status = value_add(graph, info, name, "input", &value);
    }
    if (status == KATA_OK) {
        name_sizes(graph, &graph->values[value.id]);
        status = graph->status;
    }
    if (status != KATA_OK) {
        kata__graph_fault(graph, status);
        return KATA_NONE;
    }
    graph->inputs[graph->n_inputs++] = value;
    return value;
}

/* Makes room for one more variable in both arrays. */
static kata_status variables_grow(kata_graph *graph) {
    if (graph->outer != NULL) {
        return kata_fail(KATA_INVALID,
                         "subgraph %s has no variables of its own; make it in the outermost graph "
                         "and capture it",
                         graph->name);
    }
    KATA__TRY(kata__grow(graph->context, (void **)&graph->variables, &graph->variables_capacity,
                         graph->n_variables + 1, sizeof *graph->variables, KATA__MAX_VALUES));
    return kata__grow(graph->context, (void **)&graph->owned, &graph->owned_capacity,
                      graph->n_variables + 1, sizeof *graph->owned, KATA__MAX_VALUES);
}

static kata_status variable_add(kata_graph *graph, const char *name, kata_dtype dtype,
                                const kata_shape *shape, bool trainable, kata_variable **out,
                                kata_value *value) {
    char made_up[64];
    if (name == NULL) {
        snprintf(made_up, sizeof made_up, "variable_%zu", graph->n_values);
        name = made_up;
    }
    KATA__TRY(check_type(graph, "variable", name, dtype, shape, false));
    if (dtype == KATA_STRING) {
        return kata_fail(KATA_DTYPE, "variable %s cannot hold strings; make it a constant", name);
    }
    KATA__TRY(variables_grow(graph));
    kata_variable *variable = kata__alloc_zero(graph->context, 1, sizeof *variable);
    if (variable == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    kata_status status = kata_tensor_new(&variable->tensor, graph->context, dtype, shape);
    if (status == KATA_OK) {
        variable->name = kata__strdup(graph->context, name);
        kata__value_info info = {
            .kind = KATA__VALUE_VARIABLE, .type = {dtype, *shape}, .variable = variable};
        status = variable->name == NULL ? KATA_OUT_OF_MEMORY
                                        : value_add(graph, info, name, "variable", value);
    }
    if (status != KATA_OK) {
        kata_tensor_release(&variable->tensor);
        kata__free(graph->context, (void *)(uintptr_t)variable->name);
        kata__free(graph->context, variable);
        return status;
    }
    variable->trainable = trainable;
    variable->decay = trainable && shape->rank >= 2;
    graph->owned[graph->n_variables] = true;
    graph->variables[graph->n_variables++] = variable;
    *out = variable;
    return KATA_OK;
}

kata_value kata_graph_variable(kata_graph *graph, const char *name, kata_dtype dtype,
                               const kata_shape *shape, bool trainable, kata_variable **variable) {
    kata_value value = KATA_NONE;
    kata_variable *made = NULL;
    if (graph->status != KATA_OK) {
        return value;
    }
    kata_status status = variable_add(graph, name, dtype, shape, trainable, &made, &value);
    if (status != KATA_OK) {
        kata__graph_fault(graph, status);
        return KATA_NONE;
    }
    if (variable != NULL) {
        *variable = made;
    }
    return value;
}

void kata_variable_changed(kata_variable *variable) {
    variable->version++;
}

kata_value kata_graph_use_variable(kata_graph *graph, kata_variable *variable) {
    kata_value value = KATA_NONE;
    if (graph->status != KATA_OK) {
        return value;
    }
    for (size_t i = 1; i < graph->n_values; i++) {
        if (graph->values[i].kind == KATA__VALUE_VARIABLE &&
            graph->values[i].variable == variable) {
            return (kata_value){(int32_t)i};
        }
    }
    kata_status status = variables_grow(graph);
    if (status == KATA_OK) {
        kata__value_info info = {.kind = KATA__VALUE_VARIABLE,
                                 .type = {variable->tensor.dtype, variable->tensor.shape},
                                 .variable = variable};
        status = value_add(graph, info, variable->name, "variable", &value);
    }
    if (status != KATA_OK) {
        kata__graph_fault(graph, status);
        return KATA_NONE;
    }
    graph->owned[graph->n_variables] = false;
    graph->variables[graph->n_variables++] = variable;
    return value;
}

kata_value kata_graph_constant(kata_graph *graph, const char *name, const kata_tensor *tensor) {
    kata_value value = KATA_NONE;
    if (graph->status != KATA_OK) {
        return value;
    }
    kata_tensor copy = {0};
    kata_status status = check_type(graph, "constant", name != NULL ? name : "(unnamed)",
                                    tensor->dtype, &tensor->shape, false);
    if (status == KATA_OK) {
        status = kata_tensor_clone(&copy, graph->context, tensor);
    }
    if (status == KATA_OK) {
        kata__value_info info = {
            .kind = KATA__VALUE_CONSTANT, .type = {tensor->dtype, tensor->shape}, .constant = copy};
        status = value_add(graph, info, name, "constant", &value);
    }
    if (status != KATA_OK) {
        kata_tensor_release(&copy);
        kata__graph_fault(graph, status);
        return KATA_NONE;
    }
    return value;
}

kata_value kata_graph_scalar(kata_graph *graph, kata_dtype dtype, double value) {
    kata_string element = {0}; /* the largest of all */
    kata_shape shape = {.rank = 0};
    if (graph->status != KATA_OK) {
        return KATA_NONE;
    }
    if (dtype <= KATA_NO_DTYPE || dtype >= KATA_DTYPE_COUNT) {
        kata__graph_fault(graph, kata_fail(KATA_DTYPE, "a scalar needs a data type"));
        return KATA_NONE;
    }
    kata_store(dtype, &element, 0, value);
    kata_tensor view = kata_tensor_view(&element, dtype, &shape);
    return kata_graph_constant(graph, NULL, &view);
}

kata_value kata_graph_int64s(kata_graph *graph, const int64_t *values, int n) {
    int64_t none = 0;
    kata_shape shape = {.rank = 1, .dim = {n}};
    kata_tensor view =
        kata_tensor_view(n > 0 ? (void *)(uintptr_t)values : &none, KATA_I64, &shape);
    return kata_graph_constant(graph, NULL, &view);
}

/* Gives a value its name as an output. A value that has another name of the user's gets an Identity
 * node, which costs nothing when run. */
static kata_status name_output(kata_graph *graph, const char *name, kata_value *value) {
    if (name == NULL || strcmp(graph->values[value->id].name, name) == 0) {
        return KATA_OK;
    }
    if (kata_graph_find_value(graph, name).id != 0) {
        return kata_fail(KATA_INVALID, "the name %s is taken in graph %s", name, graph->name);
    }
    if (graph->values[value->id].named) {
        const kata_value named = *value;
        KATA__TRY(kata_graph_node_outputs(graph, NULL, "Identity", &named, 1, NULL, 0, value, 1));
    }
    return kata__graph_name_value(graph, *value, name, true);
}

kata_status kata_graph_output(kata_graph *graph, const char *name, kata_value value) {
    if (graph->status != KATA_OK) {
        return graph->status;
    }
    if (kata__graph_info(graph, value) == NULL) {
        return kata__graph_fault(graph, kata_fail(KATA_INVALID, "output %s of graph %s is no value",
                                                  name != NULL ? name : "(unnamed)", graph->name));
    }
    kata_status status =
        kata__grow(graph->context, (void **)&graph->outputs, &graph->outputs_capacity,
                   graph->n_outputs + 1, sizeof *graph->outputs, KATA__MAX_VALUES);
    if (status == KATA_OK) {
        status = name_output(graph, name, &value);
    }
    if (status != KATA_OK) {
        return kata__graph_fault(graph, status);
    }
    graph->outputs[graph->n_outputs++] = value;
    return KATA_OK;
}

kata_dtype kata_value_dtype(const kata_graph *graph, kata_value value) {
    const kata__value_info *info = kata__graph_info(graph, value);
    return info != NULL ? info->type.dtype : KATA_NO_DTYPE;
}

kata_shape kata_value_shape(const kata_graph *graph, kata_value value) {
    const kata__value_info *info = kata__graph_info(graph, value);
    return info != NULL ? info->type.shape : (kata_shape){.rank = 0};
}

kata_type kata_value_type(const kata_graph *graph, kata_value value) {
    const kata__value_info *info = kata__graph_info(graph, value);
    return info != NULL ? info->type : (kata_type){.dtype = KATA_NO_DTYPE};
}

const char *kata_kind_name(kata_kind kind) {
    static const char *const names[] = {"tensor",           "sequence",
                                        "optional tensor",  "optional sequence",
                                        "sequence of maps", "sequence of maps"};
    return (unsigned)kind < KATA__COUNT(names) ? names[kind] : "?";
}

kata_value kata__graph_input_of_type(kata_graph *graph, const char *name, const kata_type *type) {
    const bool is_tensor = type->kind == KATA_KIND_TENSOR;
    const kata_shape none = {.rank = 0};
    kata_value value = kata_graph_input(graph, name, type->dtype, is_tensor ? &type->shape : &none);
    if (value.id != 0 && !is_tensor) {
        graph->values[value.id].type = *type;
    }
    return value;
}

const char *kata_value_name(const kata_graph *graph, kata_value value) {
    const kata__value_info *info = kata__graph_info(graph, value);
    return info != NULL ? info->name : "";
}

/* --- lists ----------------------------------------------------------------------------------- */

int kata_graph_n_inputs(const kata_graph *graph) {
    return (int)graph->n_inputs;
}

kata_value kata_graph_input_at(const kata_graph *graph, int i) {
    return i >= 0 && (size_t)i < graph->n_inputs ? graph->inputs[i] : KATA_NONE;
}

int kata_graph_n_outputs(const kata_graph *graph) {
    return (int)graph->n_outputs;
}

kata_value kata_graph_output_at(const kata_graph *graph, int i) {
    return i >= 0 && (size_t)i < graph->n_outputs ? graph->outputs[i] : KATA_NONE;
}

int kata_graph_n_variables(const kata_graph *graph) {
    return (int)graph->n_variables;
}

kata_variable *kata_graph_variable_at(const kata_graph *graph, int i) {
    return i >= 0 && (size_t)i < graph->n_variables ? graph->variables[i] : NULL;
}

kata_variable *kata_graph_find_variable(const kata_graph *graph, const char *name) {
    for (size_t i = 0; i < graph->n_variables; i++) {
        if (strcmp(graph->variables[i]->name, name) == 0) {
            return graph->variables[i];
        }
    }
    return NULL;
}

int64_t kata_graph_n_parameters(const kata_graph *graph) {
    int64_t n = 0;
    for (size_t i = 0; i < graph->n_variables; i++) {
        if (graph->variables[i]->trainable) {
            n += kata_tensor_count(&graph->variables[i]->tensor);
        }
    }
    return n;
}

/* --- metadata -------------------------------------------------------------------------------- */

static size_t metadata_find(const kata_graph *graph, const char *key) {
    size_t i = 0;
    while (i < graph->n_metadata && strcmp(graph->metadata[2 * i], key) != 0) {
        i++;
    }
    return i;
}

kata_status kata_graph_set_metadata(kata_graph *graph, const char *key, const char *value) {
    size_t i = metadata_find(graph, key);
    graph->metadata_version++;
    if (value == NULL) {
        if (i < graph->n_metadata) {
            kata__free(graph->context, graph->metadata[2 * i]);
            kata__free(graph->context, graph->metadata[2 * i + 1]);
            memmove(&graph->metadata[2 * i], &graph->metadata[2 * i + 2],
                    2 * (graph->n_metadata - i - 1) * sizeof *graph->metadata);
            graph->n_metadata--;
        }
        return KATA_OK;
    }
    char *value_copy = kata__strdup(graph->context, value);
    if (value_copy == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    if (i < graph->n_metadata) {
        kata__free(graph->context, graph->metadata[2 * i + 1]);
        graph->metadata[2 * i + 1] = value_copy;
        return KATA_OK;
    }
    char *key_copy = kata__strdup(graph->context, key);
    kata_status status = key_copy == NULL ? KATA_OUT_OF_MEMORY
                                          : kata__grow(graph->context, (void **)&graph->metadata,
                                                       &graph->metadata_capacity, 2 * (i + 1),
                                                       sizeof *graph->metadata, KATA__MAX_VALUES);
    if (status != KATA_OK) {
        kata__free(graph->context, key_copy);
        kata__free(graph->context, value_copy);
        return status;
    }
    graph->metadata[2 * i] = key_copy;
    graph->metadata[2 * i + 1] = value_copy;
    graph->n_metadata++;
    return KATA_OK;
}

const char *kata_graph_metadata(const kata_graph *graph, const char *key) {
    size_t i = metadata_find(graph, key);
    return i < graph->n_metadata ? graph->metadata[2 * i + 1] : NULL;
}

int kata_graph_n_metadata(const kata_graph *graph) {
    return (int)graph->n_metadata;
}

void kata_graph_metadata_at(const kata_graph *graph, int i, const char **key, const char **value) {
    bool valid = i >= 0 && (size_t)i < graph->n_metadata;
    *key = valid ? graph->metadata[2 * i] : NULL;
    *value = valid ? graph->metadata[2 * i + 1] : NULL;
}
