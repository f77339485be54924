/* Adding nodes: arity, attributes with their defaults, shape inference. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/random.h"
#include "graph/graph.h"
#include "tensor/dtype.h"

static const char *const attribute_type_names[] = {[KATA_ATTRIBUTE_INT] = "an integer",
                                                   [KATA_ATTRIBUTE_FLOAT] = "a number",
                                                   [KATA_ATTRIBUTE_STRING] = "a text",
                                                   [KATA_ATTRIBUTE_INTS] = "a list of integers",
                                                   [KATA_ATTRIBUTE_FLOATS] = "a list of numbers",
                                                   [KATA_ATTRIBUTE_TENSOR] = "a tensor",
                                                   [KATA_ATTRIBUTE_STRINGS] = "a list of texts",
                                                   [KATA_ATTRIBUTE_GRAPH] = "a graph"};

const char *kata__attribute_type_name(kata_attribute_type type) {
    return (unsigned)type < KATA__COUNT(attribute_type_names) ? attribute_type_names[type] : NULL;
}

static int count_attributes(const kata_op *op) {
    int n = 0;
    while (op->attributes != NULL && op->attributes[n].name != NULL) {
        n++;
    }
    return n;
}

/* ONNX keeps attribute numbers in float32. They are rounded here already, so that a model that is
 * saved and loaded again computes the same bits. Internal rows are never saved. */
static double attribute_number(const kata_op *op, double number) {
    return (op->flags & KATA_OP_INTERNAL) == 0 ? (double)(float)number : number;
}

/* Copies one given attribute of that type into the arena. */
static kata_status copy_attribute(kata_graph *graph, const kata_op *op, kata_attribute_type type,
                                  const kata_attribute_value *given, kata_attribute_value *value) {
    *value = (kata_attribute_value){
        .is_set = true, .i = given->i, .f = attribute_number(op, given->f), .n = given->n};
    if (type == KATA_ATTRIBUTE_STRING && given->s != NULL) {
        value->s = kata__arena_strdup(&graph->arena, given->s);
        return value->s == NULL ? KATA_OUT_OF_MEMORY : KATA_OK;
    }
    if (type == KATA_ATTRIBUTE_INTS) {
        int64_t *ints = kata__arena_alloc(&graph->arena, (size_t)given->n + 1, sizeof *ints);
        if (ints == NULL) {
            return KATA_OUT_OF_MEMORY;
        }
        if (given->n > 0) {
            memcpy(ints, given->ints, (size_t)given->n * sizeof *ints);
        }
        value->ints = ints;
    } else if (type == KATA_ATTRIBUTE_FLOATS) {
        double *floats = kata__arena_alloc(&graph->arena, (size_t)given->n + 1, sizeof *floats);
        if (floats == NULL) {
            return KATA_OUT_OF_MEMORY;
        }
        for (int i = 0; i < given->n; i++) {
            floats[i] = attribute_number(op, given->floats[i]);
        }
        value->floats = floats;
    } else if (type == KATA_ATTRIBUTE_TENSOR && given->tensor != NULL) {
        kata_tensor *tensor = kata__arena_alloc(&graph->arena, 1, sizeof *tensor);
        size_t n_bytes;
        KATA__TRY(kata__tensor_packed_bytes(&n_bytes, given->tensor));
        void *data = kata__arena_alloc(&graph->arena, n_bytes + 1, 1);
        if (tensor == NULL || data == NULL) {
            return KATA_OUT_OF_MEMORY;
        }
        value->tensor = tensor;
        return kata__tensor_pack(tensor, data, given->tensor);
    } else if (type == KATA_ATTRIBUTE_STRINGS) {
        const char **strings =
            kata__arena_alloc(&graph->arena, (size_t)given->n + 1, sizeof *strings);
        for (int i = 0; strings != NULL && i < given->n; i++) {
            strings[i] = kata__arena_strdup(&graph->arena, given->strings[i]);
            if (strings[i] == NULL) {
                return KATA_OUT_OF_MEMORY;
            }
        }
        value->strings = strings;
        return strings == NULL ? KATA_OUT_OF_MEMORY : KATA_OK;
    } else if (type == KATA_ATTRIBUTE_GRAPH) {
        value->graph = given->graph;
        value->is_set = given->graph != NULL;
    }
    return KATA_OK;
}

kata_status kata__node_fill_attributes(kata_graph *graph, const kata_op *op,
                                       const kata_attribute *given, int n_given,
                                       kata_attribute_value **out) {
    int n = count_attributes(op);
    kata_attribute_value *values = kata__arena_alloc(&graph->arena, (size_t)n + 1, sizeof *values);
    if (values == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    for (int i = 0; i < n; i++) {
        const kata_attribute_spec *spec = &op->attributes[i];
        values[i] = (kata_attribute_value){.i = spec->default_int,
                                           .f = attribute_number(op, spec->default_float),
                                           .s = spec->default_string};
    }
    for (int i = 0; i < n_given; i++) {
        int k = kata__op_attribute(op, given[i].name);
        if (k < 0) {
            return kata_fail(KATA_INVALID, "operator %s has no attribute %s", op->name,
                             given[i].name);
        }
        if (op->attributes[k].type != given[i].type) {
            return kata_fail(KATA_INVALID, "attribute %s of operator %s must be %s, got %s",
                             given[i].name, op->name, attribute_type_names[op->attributes[k].type],
                             attribute_type_names[given[i].type]);
        }
        const kata_attribute_value value = {.i = given[i].i,
                                            .f = given[i].f,
                                            .s = given[i].s,
                                            .n = given[i].n,
                                            .ints = given[i].ints,
                                            .floats = given[i].floats,
                                            .tensor = given[i].tensor,
                                            .strings = given[i].strings,
                                            .graph = given[i].graph};
        KATA__TRY(copy_attribute(graph, op, given[i].type, &value, &values[k]));
    }
    *out = values;
    return KATA_OK;
}

/* Types of inputs and, where they are known, what is in them. */
static void look_at_inputs(const kata_graph *graph, const kata_value *inputs, int n_inputs,
                           kata_type *types, const kata_tensor **constants,
                           const kata_elements **elements) {
    for (int i = 0; i < n_inputs; i++) {
        const kata__value_info *info = kata__graph_info(graph, inputs[i]);
        types[i] = info != NULL ? info->type : (kata_type){.dtype = KATA_NO_DTYPE};
        constants[i] = kata__graph_constant_of(graph, inputs[i]);
        elements[i] = info != NULL ? info->elements : NULL;
    }
}

/* What a rule of the row sees of a node; the arrays are as long as it has inputs and outputs. */
static kata_infer infer_of(const kata_graph *graph, const kata_op *op,
                           const kata_attribute_value *attributes, const kata_value *inputs,
                           int n_inputs, int n_captured, kata_type *types,
                           const kata_tensor **constants, const kata_elements **elements,
                           kata_type *outputs, int n_outputs) {
    look_at_inputs(graph, inputs, n_inputs, types, constants, elements);
    for (int i = 0; i < n_outputs; i++) {
        outputs[i] = (kata_type){.dtype = KATA_NO_DTYPE};
    }
    return (kata_infer){.op = op,
                        .attributes = attributes,
                        .n_inputs = n_inputs,
                        .n_outputs = n_outputs,
                        .inputs = types,
                        .constants = constants,
                        .outputs = outputs,
                        .n_captured = n_captured,
                        .elements = elements};
}

kata_status kata__node_infer(const kata_graph *graph, const kata_op *op,
                             const kata_attribute_value *attributes, const kata_value *inputs,
                             int n_inputs, int n_captured, kata_type *outputs, int n_outputs) {
    kata_type types[KATA_MAX_INPUTS];
    const kata_tensor *constants[KATA_MAX_INPUTS];
    const kata_elements *elements[KATA_MAX_INPUTS];
    kata_infer infer = infer_of(graph, op, attributes, inputs, n_inputs, n_captured, types,
                                constants, elements, outputs, n_outputs);
    for (int i = 0; i < n_inputs && (op->flags & KATA_OP_ANY_KIND) == 0; i++) {
        if (types[i].kind != KATA_KIND_TENSOR) {
            return kata_fail(KATA_DTYPE, "%s: input %d must be a tensor, got a %s", op->name, i,
                             kata_kind_name(types[i].kind));
        }
    }
    return op->infer(&infer);
}

kata_status kata__node_infer_subgraph(const kata_graph *graph, const kata_op *op,
                                      const kata_attribute_value *attributes,
                                      const kata_value *inputs, int n_inputs, int attribute,
                                      kata_type *types, int n) {
    kata_type input_types[KATA_MAX_INPUTS];
    const kata_tensor *constants[KATA_MAX_INPUTS];
    const kata_elements *elements[KATA_MAX_INPUTS];
    if (op->infer_subgraph == NULL) {
        return KATA_OK;
    }
    look_at_inputs(graph, inputs, n_inputs, input_types, constants, elements);
    kata_infer infer = {.op = op,
                        .attributes = attributes,
                        .n_inputs = n_inputs,
                        .n_outputs = n,
                        .inputs = input_types,
                        .constants = constants,
                        .outputs = types,
                        .elements = elements};
    return op->infer_subgraph(&infer, attribute);
}

static kata_status check_inputs(const kata_graph *graph, const kata_op *op,
                                const kata_value *inputs, int n_inputs, int n_outputs) {
    if (n_inputs < op->min_inputs || n_inputs > op->max_inputs) {
        return kata_fail(KATA_INVALID, "operator %s takes %d to %d inputs, got %d", op->name,
                         op->min_inputs, op->max_inputs, n_inputs);
    }
    if (n_outputs < op->min_outputs || n_outputs > op->max_outputs) {
        return kata_fail(KATA_INVALID, "operator %s has %d to %d outputs, %d are asked for",
                         op->name, op->min_outputs, op->max_outputs, n_outputs);
    }
    for (int i = 0; i < n_inputs; i++) {
        if (inputs[i].id != 0 && kata__graph_info(graph, inputs[i]) == NULL) {
            return kata_fail(KATA_INVALID, "input %d of operator %s is no value of graph %s", i,
                             op->name, graph->name);
        }
        if (inputs[i].id == 0 && i < op->min_inputs) {
            return kata_fail(KATA_INVALID, "input %d of operator %s is missing", i, op->name);
        }
    }
    return KATA_OK;
}

/* --- known elements ---------------------------------------------------------------------------
 *
 * Exporters compute sizes in the graph: the elements of short integer tensors are followed, so that
 * shape rules know them. */

typedef union few_elements {
    int64_t i64[KATA_MAX_RANK];
    int32_t i32[KATA_MAX_RANK];
    uint8_t bytes[KATA_MAX_RANK * sizeof(int64_t)];
} few_elements;

static bool is_short(const kata_type *type) {
    const int64_t n = kata_shape_count(&type->shape);
    return type->kind == KATA_KIND_TENSOR && type->shape.rank <= 1 && n >= 0 &&
           n <= KATA_MAX_RANK &&
           (type->dtype == KATA_I64 || type->dtype == KATA_I32 || type->dtype == KATA_BOOL);
}

/* A tensor of known elements; false if one is open. */
static bool put_elements(const kata_elements *from, const kata_type *type, few_elements *to,
                         kata_tensor *out) {
    bool known = is_short(type);
    for (int k = 0; known && k < from->n; k++) {
        known = !from->is_open[k];
        if (type->dtype == KATA_I64) {
            to->i64[k] = from->value[k];
        } else if (type->dtype == KATA_I32) {
            to->i32[k] = (int32_t)from->value[k];
        } else {
            to->bytes[k] = from->value[k] != 0;
        }
    }
    *out = kata_tensor_view(to, type->dtype, &type->shape);
    return known;
}

/* What the node makes, where all that it reads is known: its own kernel says it. */
static bool compute_elements(const kata_graph *graph, const kata__node *node,
                             const kata_infer *infer, kata_elements *out) {
    enum { MOST = 4 };
    const uint32_t unfit = KATA_OP_RANDOM | KATA_OP_UPDATE | KATA_OP_DYNAMIC | KATA_OP_VIEW;
    few_elements in[MOST], results[MOST];
    kata_tensor inputs[MOST] = {{0}}, outputs[MOST] = {{0}};
    const kata_op *op = node->op;
    if ((op->flags & unfit) != 0 || node->has_subgraphs || op->workspace != NULL ||
        op->per_thread_workspace != NULL || op->prepare != NULL || node->n_inputs < 1 ||
        node->n_inputs > MOST || node->n_outputs > MOST) {
        return false;
    }
    for (int i = 0; i < node->n_inputs; i++) {
        if (infer->constants[i] != NULL && kata_tensor_count(infer->constants[i]) <= 64) {
            inputs[i] = *infer->constants[i];
        } else if (node->inputs[i].id != 0 &&
                   (infer->elements[i] == NULL ||
                    !put_elements(infer->elements[i], &infer->inputs[i], &in[i], &inputs[i]))) {
            return false;
        }
    }
    for (int i = 0; i < node->n_outputs; i++) {
        if (!is_short(&infer->outputs[i])) {
            return false;
        }
        outputs[i] =
            kata_tensor_view(&results[i], infer->outputs[i].dtype, &infer->outputs[i].shape);
    }
    const kata_call call = {.op = op,
                            .context = graph->context,
                            .attributes = node->attributes,
                            .n_inputs = node->n_inputs,
                            .n_outputs = node->n_outputs,
                            .inputs = inputs,
                            .outputs = outputs};
    if (op->reference(&call) != KATA_OK) {
        return false; /* it fails when it runs */
    }
    *out = (kata_elements){.n = (int)kata_tensor_count(&outputs[0])};
    for (int k = 0; k < out->n; k++) {
        out->value[k] = outputs[0].dtype == KATA_I64   ? results[0].i64[k]
                        : outputs[0].dtype == KATA_I32 ? results[0].i32[k]
                                                       : results[0].bytes[k];
    }
    return true;
}

/* What the row knows of the elements of output 0, in the graph's arena. */
static kata_status find_elements(kata_graph *graph, const kata__node *node, const kata_type *types,
                                 const kata_elements **out) {
    kata_type input_types[KATA_MAX_INPUTS], outputs[KATA_MAX_OUTPUTS];
    const kata_tensor *constants[KATA_MAX_INPUTS];
    const kata_elements *elements[KATA_MAX_INPUTS];
    kata_elements found;
    *out = NULL;
    if (!is_short(&types[0])) {
        return KATA_OK;
    }
    kata_infer infer =
        infer_of(graph, node->op, node->attributes, node->inputs, node->n_inputs, node->n_captured,
                 input_types, constants, elements, outputs, node->n_outputs);
    memcpy(outputs, types, (size_t)node->n_outputs * sizeof *types);
    bool known = (node->op->elements != NULL && node->op->elements(&infer, &found)) ||
                 compute_elements(graph, node, &infer, &found);
    if (!known || found.n < 0 || found.n > KATA_MAX_RANK) {
        return KATA_OK;
    }
    kata_elements *kept = kata__arena_alloc(&graph->arena, 1, sizeof *kept);
    if (kept == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    *kept = found;
    *out = kept;
    return KATA_OK;
}

/* Appends the node; `attributes` lie in the graph's arena. */
static kata_status node_add(kata_graph *graph, const char *name, const kata_op *op,
                            const kata_value *own_inputs, int n_own,
                            kata_attribute_value *attributes, kata_value *outputs, int n_outputs) {
    kata__node node = {.op = op, .n_outputs = n_outputs, .attributes = attributes};
    kata_graph *root = kata__graph_root(graph);
    kata_type types[KATA_MAX_OUTPUTS];
    kata_value inputs[KATA_MAX_INPUTS];
    int n_inputs = n_own;
    if (root->n_all_nodes >= KATA__MAX_NODES) {
        return kata_fail(KATA_LIMIT,
                         "graph %s and those within it have %zu nodes; that is the most",
                         root->name, root->n_all_nodes);
    }
    if (n_own > 0) {
        memcpy(inputs, own_inputs, (size_t)n_own * sizeof *inputs);
    }
    for (int i = 0; i < count_attributes(op); i++) {
        node.has_subgraphs |= op->attributes[i].type == KATA_ATTRIBUTE_GRAPH;
    }
    if (node.has_subgraphs) {
        KATA__TRY(kata__graph_hold(graph, op, attributes, inputs, &n_inputs));
    }
    node.n_inputs = n_inputs;
    node.n_captured = n_inputs - n_own;
    KATA__TRY(kata__node_infer(graph, op, node.attributes, inputs, n_inputs, node.n_captured, types,
                               n_outputs));

    KATA__TRY(kata__grow(graph->context, (void **)&graph->nodes, &graph->nodes_capacity,
                         graph->n_nodes + 1, sizeof *graph->nodes, KATA__MAX_NODES));
    char made_up[192];
    if (graph->scope != NULL) {
        snprintf(made_up, sizeof made_up, "%.120s/%.40s", graph->scope, op->name);
    } else {
        snprintf(made_up, sizeof made_up, "%.40s_%zu", op->name, graph->n_nodes);
    }
    node.name = kata__arena_strdup(&graph->arena, name != NULL ? name : made_up);
    node.inputs = kata__arena_alloc(&graph->arena, (size_t)n_inputs + 1, sizeof *node.inputs);
    node.outputs = kata__arena_alloc(&graph->arena, (size_t)n_outputs + 1, sizeof *node.outputs);
    if (node.name == NULL || node.inputs == NULL || node.outputs == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    if (n_inputs > 0) {
        memcpy(node.inputs, inputs, (size_t)n_inputs * sizeof *inputs);
    }
    node.stream = KATA__STREAM_DROPOUT + (uint32_t)root->n_all_nodes;
    for (int i = 0; i < n_outputs; i++) {
        KATA__TRY(kata__graph_node_value(graph, op->name, (int32_t)graph->n_nodes, i, types[i],
                                         &node.outputs[i]));
        outputs[i] = node.outputs[i];
    }
    KATA__TRY(find_elements(graph, &node, types, &graph->values[outputs[0].id].elements));
    for (int i = 0; i < count_attributes(op); i++) {
        if (node.has_subgraphs && attributes[i].graph != NULL) {
            ((kata_graph *)(uintptr_t)attributes[i].graph)->holder = (int32_t)graph->n_nodes;
        }
    }
    graph->nodes[graph->n_nodes++] = node;
    root->n_all_nodes++;
    return KATA_OK;
}

static kata_status node_new(kata_graph *graph, const char *name, const char *op_name,
                            const kata_value *inputs, int n_inputs, const kata_attribute *given,
                            int n_given, kata_value *outputs, int n_outputs) {
    kata_attribute_value *attributes = NULL;
    const kata_op *op = kata_op_find(graph->context, op_name);
    if (op == NULL) {
        return kata_fail(KATA_NOT_FOUND, "there is no operator %s", op_name);
    }
    KATA__TRY(check_inputs(graph, op, inputs, n_inputs, n_outputs));
    KATA__TRY(kata__node_fill_attributes(graph, op, given, n_given, &attributes));
    for (int i = 0; i < count_attributes(op); i++) {
        if (op->attributes[i].required && !attributes[i].is_set) {
            return kata_fail(KATA_INVALID, "operator %s needs the attribute %s", op->name,
                             op->attributes[i].name);
        }
    }
    return node_add(graph, name, op, inputs, n_inputs, attributes, outputs, n_outputs);
}

static kata_status node_like(kata_graph *graph, const char *name, const kata__node *like,
                             const kata_value *inputs, kata_graph *const *subgraphs,
                             kata_value *outputs) {
    const int n = count_attributes(like->op), n_own = like->n_inputs - like->n_captured;
    KATA__TRY(check_inputs(graph, like->op, inputs, n_own, like->n_outputs));
    kata_attribute_value *attributes =
        kata__arena_alloc(&graph->arena, (size_t)n + 1, sizeof *attributes);
    if (attributes == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    for (int i = 0; i < n; i++) {
        attributes[i] = like->attributes[i];
        if (attributes[i].is_set) {
            KATA__TRY(copy_attribute(graph, like->op, like->op->attributes[i].type,
                                     &like->attributes[i], &attributes[i]));
        }
        attributes[i].graph = subgraphs != NULL ? subgraphs[i] : NULL;
    }
    return node_add(graph, name, like->op, inputs, n_own, attributes, outputs, like->n_outputs);
}

/* A node was added or not: no half-made outputs, and the graph's sticky fault. */
static kata_status node_end(kata_graph *graph, const char *name, kata_status status,
                            kata_value *outputs, int n_outputs) {
    if (status == KATA_OK) {
        return KATA_OK;
    }
    for (int i = 0; i < n_outputs; i++) {
        outputs[i] = KATA_NONE;
    }
    if (name != NULL || graph->scope != NULL) {
        kata_fail_in(status, "%s", name != NULL ? name : graph->scope);
    }
    return kata__graph_fault(graph, status);
}

kata_status kata_graph_node_outputs(kata_graph *graph, const char *name, const char *op,
                                    const kata_value *inputs, int n_inputs,
                                    const kata_attribute *attributes, int n_attributes,
                                    kata_value *outputs, int n_outputs) {
    for (int i = 0; i < n_outputs; i++) {
        outputs[i] = KATA_NONE;
    }
    if (graph->status != KATA_OK) {
        return graph->status;
    }
    kata_status status =
        node_new(graph, name, op, inputs, n_inputs, attributes, n_attributes, outputs, n_outputs);
    return node_end(graph, name, status, outputs, n_outputs);
}

kata_status kata__node_add_like(kata_graph *graph, const char *name, const kata__node *like,
                                const kata_value *inputs, kata_graph *const *subgraphs,
                                kata_value *outputs) {
    if (graph->status != KATA_OK) {
        return graph->status;
    }
    kata_status status = node_like(graph, name, like, inputs, subgraphs, outputs);
    return node_end(graph, name, status, outputs, like->n_outputs);
}

kata_value kata_graph_node(kata_graph *graph, const char *op, const kata_value *inputs,
                           int n_inputs, const kata_attribute *attributes, int n_attributes) {
    kata_value outputs[KATA_MAX_OUTPUTS] = {KATA_NONE};
    const kata_op *row = kata_op_find(graph->context, op);
    int n_outputs = row != NULL && row->min_outputs > 1 ? row->min_outputs : 1;
    kata_graph_node_outputs(graph, NULL, op, inputs, n_inputs, attributes, n_attributes, outputs,
                            n_outputs);
    return outputs[0];
}

int kata_attributes_given(const kata_op *op, const kata_attribute_value *values,
                          kata_attribute *attributes) {
    int n = 0;
    for (int i = 0; i < count_attributes(op); i++) {
        const kata_attribute_value *value = &values[i];
        if (value->is_set) {
            attributes[n++] = (kata_attribute){.name = op->attributes[i].name,
                                               .type = op->attributes[i].type,
                                               .i = value->i,
                                               .f = value->f,
                                               .s = value->s,
                                               .ints = value->ints,
                                               .floats = value->floats,
                                               .n = value->n,
                                               .tensor = value->tensor,
                                               .strings = value->strings,
                                               .graph = (kata_graph *)(uintptr_t)value->graph};
        }
    }
    return n;
}

bool kata__node_scale(const kata_graph *graph, const kata__node *node, int i, double *factor) {
    if (node->op->scale == NULL) {
        return false;
    }
    kata_type types[KATA_MAX_INPUTS], outputs[KATA_MAX_OUTPUTS];
    const kata_tensor *constants[KATA_MAX_INPUTS];
    const kata_elements *elements[KATA_MAX_INPUTS];
    kata_infer infer =
        infer_of(graph, node->op, node->attributes, node->inputs, node->n_inputs, node->n_captured,
                 types, constants, elements, outputs, node->n_outputs);
    for (int k = 0; k < node->n_outputs; k++) {
        outputs[k] = kata__graph_info(graph, node->outputs[k])->type;
    }
    return node->op->scale(&infer, i, factor);
}
