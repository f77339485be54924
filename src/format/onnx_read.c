/* ONNX, third step of reading: kata__onnx_model -> graph. All names are sorted once; a node's
 * inputs are found by binary search, and nodes that are not in order are put in order. */
#include "format/onnx.h"
#include "base/check.h"
#include "base/file.h"
#include "base/text.h"
#include "format/json.h"
#include "format/names.h"
#include "graph/graph.h"

#include <stdio.h>
#include <string.h>

#define NO_SYMBOL UINT32_MAX

/* What an initialiser becomes. */
enum role { ROLE_WEIGHT, ROLE_FROZEN, ROLE_STATE, ROLE_CONSTANT };

/* A symbol is a name that stands for a value: the initialisers, then the inputs, then all nodes'
 * outputs. All arrays lie in the model's arena. */
typedef struct builder {
    kata__onnx_model *model;
    kata_context *context;
    kata_graph *graph;
    const kata_op **rows; /* of each node; NULL: Constant */
    const char **names;   /* of each symbol */
    uint32_t *order;      /* the symbols sorted by name */
    kata_value *values;   /* of each symbol, once it is made */
    uint32_t *makers;     /* of each symbol: the node, NO_SYMBOL if none */
    size_t n_symbols, first_output;
    const kata__onnx_value **inputs; /* those that are no initialisers */
    size_t n_inputs;
    uint32_t **node_inputs;         /* symbols of each node's inputs, NO_SYMBOL if absent */
    uint32_t *sequence;             /* the nodes in an order to run them */
    uint8_t *roles;                 /* enum role of each initialiser */
    struct builder *outer;          /* of a graph within: that of the graph around */
    const kata__onnx_graph *within; /* this graph, whose fields are the model's meanwhile */
    uint32_t *n_reads;              /* of each node: its inputs and what its subgraphs read */
    bool *is_used; /* by symbol: a node reads it, or it is an output of the model */
} builder;

static kata_status fail_node(const builder *b, kata_status status, size_t i) {
    const kata__onnx_node *node = &b->model->nodes[i];
    return node->name[0] != '\0'
               ? kata_fail_in(status, "node %.200s (%.200s)", node->name, node->op)
               : kata_fail_in(status, "node number %zu (%.200s)", i + 1, node->op);
}

#define ARENA(b, pointer, count)                                                                   \
    do {                                                                                           \
        (pointer) = kata__arena_alloc(&(b)->model->arena, (count), sizeof *(pointer));             \
        if ((pointer) == NULL) {                                                                   \
            return KATA_OUT_OF_MEMORY;                                                             \
        }                                                                                          \
    } while (0)

/* Written by Kata, which says more than ONNX does. */
static bool is_ours(const builder *b) {
    return strcmp(b->model->producer, "kata") == 0;
}

/* --- operators ------------------------------------------------------------------------------- */

static kata_status fail_unknown(builder *b, const kata__onnx_node *node) {
    char number[32];
    snprintf(number, sizeof number, "number %zu", (size_t)(node - b->model->nodes) + 1);
    const char **names;
    size_t n = 0;
    ARENA(b, names, (size_t)kata_op_count());
    for (int i = 0; i < kata_op_count(); i++) {
        const kata_op *row = kata_op_at(i);
        if (strcmp(row->domain, node->domain) == 0 && (row->flags & KATA_OP_INTERNAL) == 0) {
            names[n++] = row->name;
        }
    }
    const char *nearest = kata__text_nearest(node->op, names, n);
    return kata_fail(KATA_NOT_FOUND, "operator %.200s%s%.200s (node %.200s) is not known%s%s",
                     node->domain, node->domain[0] != '\0' ? ":" : "", node->op,
                     node->name[0] != '\0' ? node->name : number,
                     nearest != NULL ? "; nearest: " : "", nearest != NULL ? nearest : "");
}

static kata_status find_row(builder *b, kata__onnx_node *node, const kata_op **row) {
    char name[256];
    int length = snprintf(name, sizeof name, "%s%s%s", node->domain,
                          node->domain[0] != '\0' ? ":" : "", node->op);
    *row = NULL;
    if (strcmp(name, "Constant") == 0 && !is_ours(b)) {
        return KATA_OK; /* a constant of the graph: shape rules need to know it */
    }
    if (length >= 0 && (size_t)length < sizeof name) {
        *row = kata_op_find(b->context, name);
    }
    if (*row == NULL) {
        return fail_unknown(b, node);
    }
    if (((*row)->flags & KATA_OP_INTERNAL) != 0) {
        return kata_fail(KATA_UNSUPPORTED,
                         "operator %s (node %.200s) is Kata's own and never in a "
                         "file",
                         name, node->name);
    }
    return KATA_OK;
}

static kata_status find_rows(builder *b) {
    kata__onnx_model *model = b->model;
    ARENA(b, b->rows, model->n_nodes);
    for (size_t i = 0; i < model->n_nodes; i++) {
        KATA__TRY(find_row(b, &model->nodes[i], &b->rows[i]));
    }
    for (size_t i = 0; i < model->n_nodes; i++) {
        if (b->rows[i] != NULL) {
            kata_status status = kata__onnx_adapt(model, &model->nodes[i], b->rows[i]);
            if (status != KATA_OK) {
                return fail_node(b, status, i);
            }
        }
    }
    return KATA_OK;
}

/* --- names ----------------------------------------------------------------------------------- */

/* Inputs that initialisers give a value to (as all of them were in IR 3) are no inputs. */
static kata_status collect_inputs(builder *b) {
    kata__onnx_model *model = b->model;
    const char **names;
    uint32_t *order;
    ARENA(b, names, model->n_initializers);
    ARENA(b, order, model->n_initializers);
    for (size_t i = 0; i < model->n_initializers; i++) {
        names[i] = model->initializers[i].name;
    }
    kata__names_sort(order, model->n_initializers, names);
    ARENA(b, b->inputs, model->n_inputs);
    for (size_t i = 0; i < model->n_inputs; i++) {
        if (kata__names_find(order, model->n_initializers, names, model->inputs[i].name) ==
            model->n_initializers) {
            b->inputs[b->n_inputs++] = &model->inputs[i];
        }
    }
    return KATA_OK;
}

static kata_status collect_symbols(builder *b) {
    kata__onnx_model *model = b->model;
    KATA__TRY(collect_inputs(b));
    const size_t n_outer = b->within != NULL ? b->within->n_outer_names : 0;
    b->first_output = model->n_initializers + b->n_inputs + n_outer;
    size_t n = b->first_output;
    for (size_t i = 0; i < model->n_nodes; i++) {
        n += (size_t)model->nodes[i].n_outputs;
    }
    if (n > KATA__MAX_VALUES) {
        return kata_fail(KATA_LIMIT, "the model has %zu values; at most %zu are possible", n,
                         (size_t)KATA__MAX_VALUES);
    }
    ARENA(b, b->names, n);
    ARENA(b, b->order, n);
    ARENA(b, b->values, n);
    ARENA(b, b->makers, n);
    n = 0;
    for (size_t i = 0; i < model->n_initializers; i++) {
        b->makers[n] = NO_SYMBOL;
        b->names[n++] = model->initializers[i].name;
    }
    for (size_t i = 0; i < b->n_inputs; i++) {
        b->makers[n] = NO_SYMBOL;
        b->names[n++] = b->inputs[i]->name;
    }
    for (size_t i = 0; i < n_outer; i++) {
        b->makers[n] = NO_SYMBOL;
        b->names[n++] = b->within->outer_names[i];
    }
    for (size_t i = 0; i < model->n_nodes; i++) {
        for (int k = 0; k < model->nodes[i].n_outputs; k++) {
            if (model->nodes[i].outputs[k][0] != '\0') {
                b->makers[n] = (uint32_t)i;
                b->names[n++] = model->nodes[i].outputs[k];
            }
        }
    }
    b->n_symbols = n;
    kata__names_sort(b->order, n, b->names);
    size_t twice = kata__names_twice(b->order, n, b->names);
    if (twice < n) {
        kata_status status =
            kata_fail(KATA_FORMAT, "the name %.200s is given to two values", b->names[twice]);
        return b->makers[twice] != NO_SYMBOL ? fail_node(b, status, b->makers[twice]) : status;
    }
    return KATA_OK;
}

/* The symbol of a name, NO_SYMBOL if there is none. */
static uint32_t find_symbol(const builder *b, const char *name) {
    size_t found = kata__names_find(b->order, b->n_symbols, b->names, name);
    return found < b->n_symbols ? (uint32_t)found : NO_SYMBOL;
}

/* What the subgraphs of a node read, behind its own inputs: it must be there before the node. */
static kata_status resolve_captures(builder *b, size_t i) {
    const kata__onnx_node *node = &b->model->nodes[i];
    for (int k = 0; k < node->n_attributes; k++) {
        const kata__onnx_graph *graph = node->attributes[k].graph;
        for (size_t m = 0; graph != NULL && m < graph->n_outer_names; m++) {
            uint32_t symbol = find_symbol(b, graph->outer_names[m]);
            if (symbol == NO_SYMBOL) {
                return kata_fail(KATA_FORMAT,
                                 "%.200s, which its attribute %.200s reads, is no input, "
                                 "initialiser or result of a node in any graph around",
                                 graph->outer_names[m], node->attributes[k].name);
            }
            b->node_inputs[i][b->n_reads[i]++] = symbol;
        }
    }
    return KATA_OK;
}

static kata_status find_used(builder *b) {
    const kata__onnx_model *model = b->model;
    ARENA(b, b->is_used, b->n_symbols);
    for (size_t i = 0; i < model->n_nodes; i++) {
        for (uint32_t k = 0; k < b->n_reads[i]; k++) {
            if (b->node_inputs[i][k] != NO_SYMBOL) {
                b->is_used[b->node_inputs[i][k]] = true;
            }
        }
    }
    for (size_t i = 0; i < model->n_outputs; i++) {
        uint32_t symbol = find_symbol(b, model->outputs[i].name);
        if (symbol != NO_SYMBOL) {
            b->is_used[symbol] = true;
        }
    }
    return KATA_OK;
}

static kata_status resolve_inputs(builder *b) {
    kata__onnx_model *model = b->model;
    ARENA(b, b->node_inputs, model->n_nodes);
    ARENA(b, b->n_reads, model->n_nodes);
    for (size_t i = 0; i < model->n_nodes; i++) {
        const kata__onnx_node *node = &model->nodes[i];
        size_t n = (size_t)node->n_inputs;
        for (int k = 0; k < node->n_attributes; k++) {
            n += node->attributes[k].graph != NULL ? node->attributes[k].graph->n_outer_names : 0;
        }
        ARENA(b, b->node_inputs[i], n);
        for (int k = 0; k < node->n_inputs; k++) {
            uint32_t symbol = NO_SYMBOL;
            if (node->inputs[k][0] != '\0') {
                symbol = find_symbol(b, node->inputs[k]);
                if (symbol == NO_SYMBOL) {
                    return fail_node(b,
                                     kata_fail(KATA_FORMAT,
                                               "its input %.200s is no input, initialiser or "
                                               "result of a node",
                                               node->inputs[k]),
                                     i);
                }
            }
            b->node_inputs[i][k] = symbol;
        }
        b->n_reads[i] = (uint32_t)node->n_inputs;
        kata_status status = resolve_captures(b, i);
        if (status != KATA_OK) {
            return fail_node(b, status, i);
        }
    }
    return find_used(b);
}

/* --- order ----------------------------------------------------------------------------------- */

/* Depth-first from each node in the file's order, inputs first: a file that is in order keeps it.
 * The stack is an array of n_nodes: no recursion. */
static kata_status put_in_order(builder *b) {
    enum { UNSEEN, OPEN, DONE };
    size_t n = b->model->n_nodes, n_done = 0;
    uint8_t *state;
    uint32_t *stack;
    uint32_t *next; /* of each open node: the input to look at */
    ARENA(b, b->sequence, n);
    ARENA(b, state, n);
    ARENA(b, stack, n);
    ARENA(b, next, n);
    for (size_t root = 0; root < n; root++) {
        size_t depth = 0;
        if (state[root] == UNSEEN) {
            state[root] = OPEN;
            stack[depth++] = (uint32_t)root;
        }
        while (depth > 0) {
            uint32_t i = stack[depth - 1];
            if (next[i] == b->n_reads[i]) {
                state[i] = DONE;
                b->sequence[n_done++] = i;
                depth--;
                continue;
            }
            uint32_t symbol = b->node_inputs[i][next[i]++];
            uint32_t maker = symbol != NO_SYMBOL ? b->makers[symbol] : NO_SYMBOL;
            if (maker == NO_SYMBOL || state[maker] == DONE) {
                continue;
            }
            if (state[maker] == OPEN) {
                return fail_node(b,
                                 kata_fail(KATA_FORMAT,
                                           "its input %.200s depends on its own result (a cycle)",
                                           b->names[symbol]),
                                 i);
            }
            state[maker] = OPEN;
            stack[depth++] = maker;
        }
    }
    return KATA_OK;
}

/* --- roles of initialisers ------------------------------------------------------------------- */

/* Gives `role` to the initialisers in the JSON list under a metadata key. Names that are none are
 * left out: another tool may have taken the initialiser away. */
static kata_status read_role_list(builder *b, const char *key, enum role role) {
    const char *text = NULL;
    for (size_t i = 0; i < b->model->n_metadata; i++) {
        if (strcmp(b->model->metadata[i].key, key) == 0) {
            text = b->model->metadata[i].value;
        }
    }
    if (text == NULL) {
        return KATA_OK;
    }
    char *copy = kata__arena_strdup(&b->model->arena, text);
    if (copy == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    kata__json json;
    kata__json_token token;
    kata__json_init(&json, copy, strlen(copy));
    kata_status status = kata__json_expect(&json, KATA__JSON_ARRAY_BEGIN, "a list", &token);
    while (status == KATA_OK) {
        status = kata__json_next(&json, &token);
        if (status != KATA_OK || token.kind == KATA__JSON_ARRAY_END) {
            break;
        }
        if (token.kind != KATA__JSON_STRING) {
            status = kata_fail(KATA_FORMAT, "a list of names holds something else at byte %zu",
                               token.place);
            break;
        }
        uint32_t symbol = find_symbol(b, token.text);
        if (symbol < b->model->n_initializers &&
            (role == ROLE_STATE || kata_dtype_is_float(b->model->initializers[symbol].dtype))) {
            b->roles[symbol] = (uint8_t)role;
        }
    }
    if (status == KATA_OK) {
        status = kata__json_expect(&json, KATA__JSON_END, "the end", &token);
    }
    return status == KATA_OK ? KATA_OK : kata_fail_in(status, "metadata %s", key);
}

/* What a float initialiser of another producer's model becomes if a node reads it there. */
static enum role role_of_input(const kata_op *row, int input) {
    if (row == NULL || input >= KATA_MAX_INPUTS) {
        return ROLE_WEIGHT;
    }
    return (row->state_inputs >> input & 1) != 0      ? ROLE_STATE
           : (row->constant_inputs >> input & 1) != 0 ? ROLE_CONSTANT
                                                      : ROLE_WEIGHT;
}

/* Integers are constants. Of floats, another producer's model does not say which are weights: all
 * but single numbers (a factor in a formula) and what certain inputs of operators need. */
static kata_status find_roles(builder *b) {
    kata__onnx_model *model = b->model;
    ARENA(b, b->roles, model->n_initializers);
    for (size_t i = 0; i < model->n_initializers; i++) {
        const kata__onnx_tensor *tensor = &model->initializers[i];
        if (!kata_dtype_is_float(tensor->dtype) || (!is_ours(b) && tensor->shape.rank == 0)) {
            b->roles[i] = ROLE_CONSTANT;
        }
    }
    for (size_t i = 0; !is_ours(b) && i < model->n_nodes; i++) {
        for (int k = 0; k < model->nodes[i].n_inputs; k++) {
            uint32_t symbol = b->node_inputs[i][k];
            enum role role = role_of_input(b->rows[i], k);
            if (symbol < model->n_initializers && role > (enum role)b->roles[symbol]) {
                b->roles[symbol] = (uint8_t)role;
            }
        }
    }
    if (b->outer != NULL) { /* variables are the outermost graph's */
        memset(b->roles, ROLE_CONSTANT, model->n_initializers);
        return KATA_OK;
    }
    KATA__TRY(read_role_list(b, KATA__ONNX_FROZEN, ROLE_FROZEN));
    KATA__TRY(read_role_list(b, KATA__ONNX_STATE, ROLE_STATE));
    return read_role_list(b, KATA__ONNX_CONSTANT, ROLE_CONSTANT);
}

/* --- building -------------------------------------------------------------------------------- */

/* The graph's sticky fault with its sentence. */
static kata_status graph_status(const builder *b) {
    kata_status status = kata_graph_status(b->graph);
    return status == KATA_OK ? KATA_OK : kata_fail(status, "%s", kata_graph_message(b->graph));
}

static kata_status add_constant(builder *b, const char *name, const kata__onnx_tensor *tensor,
                                kata_value *out) {
    kata_tensor decoded = {0};
    KATA__TRY(kata__onnx_tensor_new(&decoded, b->context, tensor));
    *out = kata_graph_constant(b->graph, name, &decoded);
    kata_tensor_release(&decoded);
    return graph_status(b);
}

static kata_status add_initializers(builder *b) {
    for (size_t i = 0; i < b->model->n_initializers; i++) {
        const kata__onnx_tensor *tensor = &b->model->initializers[i];
        if (b->roles[i] == ROLE_CONSTANT) {
            KATA__TRY(add_constant(b, tensor->name, tensor, &b->values[i]));
            continue;
        }
        kata_variable *variable = NULL;
        b->values[i] = kata_graph_variable(b->graph, tensor->name, tensor->dtype, &tensor->shape,
                                           b->roles[i] != ROLE_STATE, &variable);
        KATA__TRY(graph_status(b));
        variable->frozen = b->roles[i] == ROLE_FROZEN;
        KATA__TRY(kata__onnx_tensor_decode(tensor, variable->tensor.data));
    }
    return KATA_OK;
}

/* The shape with the names that the file gives to open sizes. */
static kata_shape named_shape(const builder *b, const kata__onnx_value *value) {
    kata_shape shape = value->shape;
    for (int i = 0; i < shape.rank; i++) {
        if (shape.dim[i] < 0 && value->size_names[i] != NULL) {
            shape.dim[i] = kata_graph_size(b->graph, value->size_names[i]);
        }
    }
    return shape;
}

static kata_status add_inputs(builder *b) {
    for (size_t i = 0; i < b->n_inputs; i++) {
        const kata__onnx_value *input = b->inputs[i];
        if (input->kind != KATA_KIND_TENSOR) {
            return kata_fail(KATA_UNSUPPORTED,
                             "input %.200s is of the kind %s; only tensors can be given to a model",
                             input->name, kata_kind_name(input->kind));
        }
        if (input->dtype == KATA_NO_DTYPE || !input->has_shape) {
            return kata_fail(KATA_UNSUPPORTED, "input %.200s has no %s; write it into the model",
                             input->name, input->dtype == KATA_NO_DTYPE ? "data type" : "shape");
        }
        const kata_shape shape = named_shape(b, input);
        b->values[b->model->n_initializers + i] =
            kata_graph_input(b->graph, input->name, input->dtype, &shape);
        KATA__TRY(graph_status(b));
    }
    return KATA_OK;
}

/* The inputs of a graph within, of types that the row of its node gives them. */
static kata_status add_inner_inputs(builder *b, const kata_type *types) {
    for (size_t i = 0; i < b->n_inputs; i++) {
        if (types[i].dtype == KATA_NO_DTYPE) {
            return kata_fail(KATA_UNSUPPORTED, "input %.200s of graph %.200s has no type",
                             b->inputs[i]->name, b->model->name);
        }
        b->values[b->model->n_initializers + i] =
            kata_graph_input(b->graph, b->inputs[i]->name, types[i].dtype, &types[i].shape);
        KATA__TRY(graph_status(b));
    }
    return KATA_OK;
}

static kata_status add_captures(builder *b) {
    for (size_t i = 0; i < b->within->n_outer_names; i++) {
        const uint32_t symbol = find_symbol(b->outer, b->within->outer_names[i]);
        b->values[b->model->n_initializers + b->n_inputs + i] =
            kata_graph_capture(b->graph, b->outer->values[symbol]);
        KATA__TRY(graph_status(b));
    }
    return KATA_OK;
}

/* A Constant node: its one attribute as a constant of the graph. */
static kata_status add_constant_node(builder *b, const kata__onnx_node *node, kata_value *out) {
    if (node->n_attributes != 1 || node->n_inputs != 0 || node->n_outputs != 1) {
        return kata_fail(KATA_FORMAT, "a constant has one attribute, no input and one output");
    }
    const kata__onnx_attribute *attribute = &node->attributes[0];
    if (attribute->type == KATA__ONNX_TENSOR && strcmp(attribute->name, "value") == 0) {
        return add_constant(b, node->outputs[0], attribute->tensor, out);
    }
    bool is_list = attribute->floats != NULL || attribute->ints != NULL;
    kata_shape shape = {.rank = is_list, .dim = {attribute->n}};
    kata_tensor tensor = {0};
    switch (attribute->type) {
    case KATA__ONNX_FLOAT:
    case KATA__ONNX_FLOATS:
        KATA__TRY(kata_tensor_new(&tensor, b->context, KATA_F32, &shape));
        for (int i = 0; i < attribute->n; i++) {
            ((float *)tensor.data)[i] = (float)attribute->floats[i];
        }
        if (!is_list) {
            ((float *)tensor.data)[0] = attribute->f;
        }
        break;
    case KATA__ONNX_INT:
    case KATA__ONNX_INTS:
        KATA__TRY(kata_tensor_new(&tensor, b->context, KATA_I64, &shape));
        for (int i = 0; i < attribute->n; i++) {
            ((int64_t *)tensor.data)[i] = attribute->ints[i];
        }
        if (!is_list) {
            ((int64_t *)tensor.data)[0] = attribute->i;
        }
        break;
    case KATA__ONNX_STRING:
    case KATA__ONNX_STRINGS:
        shape.rank = attribute->type == KATA__ONNX_STRINGS;
        KATA__TRY(kata_tensor_new(&tensor, b->context, KATA_STRING, &shape));
        for (int i = 0; i < (shape.rank == 0 ? 1 : attribute->n); i++) {
            const char *text = shape.rank == 0 ? attribute->s : attribute->strings[i];
            ((kata_string *)tensor.data)[i] = (kata_string){text, (int64_t)strlen(text)};
        }
        break;
    default:
        return kata_fail(KATA_UNSUPPORTED,
                         "a constant given by its attribute %.200s is not "
                         "supported",
                         attribute->name);
    }
    *out = kata_graph_constant(b->graph, node->outputs[0], &tensor);
    kata_tensor_release(&tensor);
    return graph_status(b);
}

/* Attributes as the builder wants them, but for graphs. */
static kata_status convert_attributes(builder *b, const kata__onnx_node *node,
                                      kata_attribute attributes[KATA_MAX_ATTRIBUTES], int *n) {
    if (node->n_attributes > KATA_MAX_ATTRIBUTES) {
        return kata_fail(KATA_LIMIT, "it has %d attributes; an operator has at most %d",
                         node->n_attributes, KATA_MAX_ATTRIBUTES);
    }
    *n = 0;
    for (int i = 0; i < node->n_attributes; i++) {
        const kata__onnx_attribute *from = &node->attributes[i];
        if (from->type == KATA__ONNX_GRAPH) {
            continue;
        }
        kata_attribute *to = &attributes[(*n)++];
        *to = (kata_attribute){.name = from->name, .n = from->n};
        switch (from->type) {
        case KATA__ONNX_FLOAT:
            to->type = KATA_ATTRIBUTE_FLOAT;
            to->f = (double)from->f;
            break;
        case KATA__ONNX_INT:
            to->type = KATA_ATTRIBUTE_INT;
            to->i = from->i;
            break;
        case KATA__ONNX_STRING:
            to->type = KATA_ATTRIBUTE_STRING;
            to->s = from->s;
            break;
        case KATA__ONNX_FLOATS:
            to->type = KATA_ATTRIBUTE_FLOATS;
            to->floats = from->floats;
            break;
        case KATA__ONNX_INTS:
            to->type = KATA_ATTRIBUTE_INTS;
            to->ints = from->ints;
            break;
        case KATA__ONNX_STRINGS:
            to->type = KATA_ATTRIBUTE_STRINGS;
            to->strings = from->strings;
            break;
        default: {
            kata_tensor *tensor;
            uint8_t *data;
            ARENA(b, tensor, 1);
            ARENA(b, data, from->tensor->n_bytes + 1);
            KATA__TRY(kata__onnx_tensor_decode(from->tensor, data));
            *tensor = kata_tensor_view(data, from->tensor->dtype, &from->tensor->shape);
            to->type = KATA_ATTRIBUTE_TENSOR;
            to->tensor = tensor;
            break;
        }
        }
    }
    return KATA_OK;
}

/* An output that the file leaves out between others still has a value: it gets a name of its own.
 */
static kata_status name_absent(builder *b, kata_value value, const char *first, int output) {
    size_t size = strlen(first) + 64;
    char *name;
    ARENA(b, name, size);
    int number = 0;
    do {
        snprintf(name, size, "%s/kata.unused_%d_%d", first, output, number++);
    } while (find_symbol(b, name) != NO_SYMBOL);
    return kata__graph_name_value(b->graph, value, name, true);
}

static kata_status build_within(builder *b, const kata_type *types);

/* Types that the file gives the inputs of a graph within, and the row of the node that holds it
 * makes of them. */
static kata_status inner_types(builder *b, size_t i, int attribute, const kata__onnx_graph *graph,
                               const kata_value *inputs, const kata_attribute *given, int n_given,
                               kata_type **out) {
    const kata_op *row = b->rows[i];
    kata_attribute_value *values;
    ARENA(b, *out, graph->n_inputs);
    for (size_t k = 0; k < graph->n_inputs; k++) {
        (*out)[k] = (kata_type){.dtype = graph->inputs[k].dtype,
                                .shape = named_shape(b, &graph->inputs[k])};
        if (!graph->inputs[k].has_shape && row->infer_subgraph == NULL) {
            return kata_fail(KATA_UNSUPPORTED, "input %.200s of graph %.200s has no shape",
                             graph->inputs[k].name, graph->name);
        }
    }
    KATA__TRY(kata__node_fill_attributes(b->graph, row, given, n_given, &values));
    return kata__node_infer_subgraph(b->graph, row, values, inputs, b->model->nodes[i].n_inputs,
                                     attribute, *out, (int)graph->n_inputs);
}

static kata_status add_subgraph(builder *b, size_t i, const kata__onnx_attribute *from,
                                const kata_value *inputs, const kata_attribute *given, int n_given,
                                kata_graph **out) {
    const int attribute = kata__op_attribute(b->rows[i], from->name);
    kata_type *types;
    if (attribute < 0 || b->rows[i]->attributes[attribute].type != KATA_ATTRIBUTE_GRAPH) {
        return kata_fail(KATA_INVALID, "operator %s takes no graph as its attribute %.200s",
                         b->rows[i]->name, from->name);
    }
    KATA__TRY(inner_types(b, i, attribute, from->graph, inputs, given, n_given, &types));
    builder inner = {.model = b->model, .context = b->context, .outer = b, .within = from->graph};
    kata_status status = kata_graph_subgraph(
        &inner.graph, b->graph, from->graph->name[0] != '\0' ? from->graph->name : from->name);
    if (status == KATA_OK) {
        kata__onnx_swap_graph(b->model, from->graph);
        status = build_within(&inner, types);
        kata__onnx_swap_graph(b->model, from->graph);
    }
    *out = inner.graph;
    return status == KATA_OK ? KATA_OK : kata_fail_in(status, "attribute %.200s", from->name);
}

/* Appends the graphs among the attributes of node i; there is room for them. */
static kata_status add_subgraphs(builder *b, size_t i, const kata_value *inputs,
                                 kata_attribute *attributes, int *n) {
    const kata__onnx_node *node = &b->model->nodes[i];
    const int n_given = *n;
    for (int k = 0; k < node->n_attributes; k++) {
        const kata__onnx_attribute *from = &node->attributes[k];
        if (from->type == KATA__ONNX_GRAPH) {
            kata_attribute *to = &attributes[(*n)++];
            *to = (kata_attribute){.name = from->name, .type = KATA_ATTRIBUTE_GRAPH};
            KATA__TRY(add_subgraph(b, i, from, inputs, attributes, n_given, &to->graph));
        }
    }
    return KATA_OK;
}

/* The node, as its row takes it. */
static kata_status build_node(builder *b, size_t i, const bool *is_named, const bool *is_used,
                              kata_value *inputs, kata_value *outputs) {
    const kata__onnx_node *node = &b->model->nodes[i];
    const kata_op *row = b->rows[i];
    kata_attribute attributes[KATA_MAX_ATTRIBUTES];
    int n_attributes = 0;
    KATA__TRY(convert_attributes(b, node, attributes, &n_attributes));
    KATA__TRY(add_subgraphs(b, i, inputs, attributes, &n_attributes));
    kata_adaptation a = {.graph = b->graph,
                         .op = row,
                         .opset = kata__onnx_opset_of(b->model, node->domain),
                         .name = node->outputs[0],
                         .n_inputs = node->n_inputs,
                         .n_outputs = node->n_outputs,
                         .n_attributes = n_attributes,
                         .inputs = inputs,
                         .outputs = outputs,
                         .attributes = attributes,
                         .is_named = is_named,
                         .is_used = is_used};
    if (row->adapt != NULL && a.opset < row->adapt_before) {
        KATA__TRY(row->adapt(&a));
        KATA__TRY(graph_status(b));
    }
    if (!a.is_done) {
        char name[256];
        snprintf(name, sizeof name, "%s%s%s", row->domain, row->domain[0] != '\0' ? ":" : "",
                 row->name);
        kata_graph_node_outputs(b->graph, NULL, name, inputs, a.n_inputs, attributes,
                                a.n_attributes, outputs, a.n_outputs);
    }
    return graph_status(b);
}

/* Nodes' outputs are the symbols from first_output on, in the file's order of nodes. */
static kata_status add_node(builder *b, size_t i, uint32_t symbol) {
    const kata__onnx_node *node = &b->model->nodes[i];
    const size_t before = b->graph->n_nodes;
    if (b->rows[i] == NULL) {
        return add_constant_node(b, node, &b->values[symbol]);
    }
    kata_value inputs[KATA_MAX_INPUTS] = {KATA_NONE}, outputs[KATA_MAX_OUTPUTS] = {KATA_NONE};
    bool is_named[KATA_MAX_OUTPUTS], is_used[KATA_MAX_OUTPUTS];
    uint32_t next = symbol;
    for (int k = 0; k < node->n_inputs; k++) {
        uint32_t from = b->node_inputs[i][k];
        inputs[k] = from != NO_SYMBOL ? b->values[from] : KATA_NONE;
    }
    for (int k = 0; k < node->n_outputs; k++) {
        is_named[k] = node->outputs[k][0] != '\0';
        is_used[k] = is_named[k] && b->is_used[next++];
    }
    KATA__TRY(build_node(b, i, is_named, is_used, inputs, outputs));
    if (node->name[0] != '\0' && b->graph->n_nodes > before) {
        char *copy = kata__arena_strdup(&b->graph->arena, node->name);
        if (copy == NULL) {
            return KATA_OUT_OF_MEMORY;
        }
        b->graph->nodes[b->graph->n_nodes - 1].name = copy;
    }
    for (int k = 0; k < node->n_outputs; k++) {
        if (outputs[k].id == 0 && is_used[k]) {
            return kata_fail(KATA_UNSUPPORTED, "its output %.200s is not made", node->outputs[k]);
        }
        if (node->outputs[k][0] == '\0') {
            if (outputs[k].id != 0) {
                KATA__TRY(name_absent(b, outputs[k], node->outputs[node->n_outputs - 1], k));
            }
            continue;
        }
        b->values[symbol++] = outputs[k];
        if (outputs[k].id != 0) {
            KATA__TRY(kata__graph_name_value(b->graph, outputs[k], node->outputs[k], true));
        }
    }
    return KATA_OK;
}

static kata_status add_nodes(builder *b) {
    size_t n = b->model->n_nodes;
    uint32_t *first; /* symbol of each node */
    ARENA(b, first, n + 1);
    for (size_t s = b->n_symbols; s > b->first_output; s--) {
        first[b->makers[s - 1]] = (uint32_t)(s - 1);
    }
    for (size_t i = 0; i < n; i++) {
        size_t node = b->sequence[i];
        kata_status status = add_node(b, node, first[node]);
        if (status != KATA_OK) {
            return fail_node(b, status, node);
        }
    }
    return KATA_OK;
}

/* The type that the file gives an output must not contradict what its operators make. */
static kata_status check_output(const builder *b, const kata__onnx_value *output,
                                kata_value value) {
    kata_dtype dtype = kata_value_dtype(b->graph, value);
    kata_shape shape = kata_value_shape(b->graph, value);
    char said[KATA_SHAPE_TEXT_SIZE], made[KATA_SHAPE_TEXT_SIZE];
    const kata_kind kind = kata_value_type(b->graph, value).kind;
    if (output->dtype != KATA_NO_DTYPE && output->kind != kind) {
        return kata_fail(KATA_DTYPE, "output %.200s is said to be a %s, but is a %s", output->name,
                         kata_kind_name(output->kind), kata_kind_name(kind));
    }
    if (output->dtype != KATA_NO_DTYPE && output->dtype != dtype) {
        return kata_fail(KATA_DTYPE, "output %.200s is said to be %s, but is %s", output->name,
                         kata_dtype_name(output->dtype), kata_dtype_name(dtype));
    }
    const bool says = output->has_shape && kind == KATA_KIND_TENSOR;
    bool agrees = !says || output->shape.rank == shape.rank;
    for (int i = 0; agrees && says && i < shape.rank; i++) {
        agrees =
            shape.dim[i] < 0 || output->shape.dim[i] < 0 || shape.dim[i] == output->shape.dim[i];
    }
    if (!agrees) {
        return kata_fail(KATA_SHAPE, "output %.200s is said to have the shape %s, but has %s",
                         output->name, kata_shape_text(&output->shape, said),
                         kata_shape_text(&shape, made));
    }
    return KATA_OK;
}

/* An open size of which the operators say nothing has the name that the file gives it. */
static void name_open_sizes(builder *b, const kata__onnx_value *output, kata_value value) {
    kata_shape *shape = &b->graph->values[value.id].type.shape;
    const kata_shape named = named_shape(b, output);
    for (int i = 0; i < shape->rank && output->has_shape; i++) {
        shape->dim[i] =
            shape->dim[i] == KATA_UNKNOWN_DIM && named.dim[i] < 0 ? named.dim[i] : shape->dim[i];
    }
}

static kata_status add_outputs(builder *b) {
    kata__onnx_model *model = b->model;
    const char **names;
    uint32_t *order;
    ARENA(b, names, model->n_outputs);
    ARENA(b, order, model->n_outputs);
    for (size_t i = 0; i < model->n_outputs; i++) {
        names[i] = model->outputs[i].name;
    }
    kata__names_sort(order, model->n_outputs, names);
    size_t twice = kata__names_twice(order, model->n_outputs, names);
    if (twice < model->n_outputs) {
        return kata_fail(KATA_FORMAT, "output %.200s is there twice", names[twice]);
    }
    if (model->n_outputs == 0) {
        return kata_fail(KATA_FORMAT, "the model has no output");
    }
    for (size_t i = 0; i < model->n_outputs; i++) {
        const kata__onnx_value *output = &model->outputs[i];
        uint32_t symbol = find_symbol(b, output->name);
        if (symbol == NO_SYMBOL) {
            return kata_fail(KATA_FORMAT,
                             "output %.200s is no input, initialiser or result of a node",
                             output->name);
        }
        KATA__TRY(check_output(b, output, b->values[symbol]));
        name_open_sizes(b, output, b->values[symbol]);
        kata_graph_output(b->graph, output->name, b->values[symbol]);
        KATA__TRY(graph_status(b));
    }
    return KATA_OK;
}

static kata_status add_metadata(builder *b) {
    for (size_t i = 0; i < b->model->n_metadata; i++) {
        const kata_text_pair *pair = &b->model->metadata[i];
        if (strcmp(pair->key, KATA__ONNX_STATE) != 0 && strcmp(pair->key, KATA__ONNX_FROZEN) != 0 &&
            strcmp(pair->key, KATA__ONNX_CONSTANT) != 0) {
            KATA__TRY(kata_graph_set_metadata(b->graph, pair->key, pair->value));
        }
    }
    return KATA_OK;
}

static kata_status prepare(builder *b) {
    KATA__TRY(find_rows(b));
    KATA__TRY(collect_symbols(b));
    KATA__TRY(resolve_inputs(b));
    KATA__TRY(put_in_order(b));
    return find_roles(b);
}

static kata_status build_within(builder *b, const kata_type *types) {
    KATA__TRY(prepare(b));
    if (b->n_inputs != b->model->n_inputs) {
        return kata_fail(KATA_UNSUPPORTED, "graph %.200s has an initialiser for one of its inputs",
                         b->model->name);
    }
    KATA__TRY(add_inner_inputs(b, types));
    KATA__TRY(add_captures(b));
    KATA__TRY(add_initializers(b));
    KATA__TRY(add_nodes(b));
    return add_outputs(b);
}

static kata_status build(builder *b) {
    KATA__TRY(prepare(b));
    KATA__TRY(kata_graph_new(&b->graph, b->context,
                             b->model->name[0] != '\0' ? b->model->name : "model"));
    KATA__TRY(add_inputs(b));
    KATA__TRY(add_initializers(b));
    KATA__TRY(add_nodes(b));
    KATA__TRY(add_outputs(b));
    return add_metadata(b);
}

kata_status kata_onnx_read_memory(kata_graph **out, kata_context *context, const void *data,
                                  size_t n_bytes, const char *name) {
    if (context == NULL) {
        return kata_fail(KATA_INVALID, "reading an ONNX model needs a context");
    }
    kata__onnx_model *model = kata__alloc_zero(context, 1, sizeof *model);
    if (model == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    model->arena.context = context;
    builder b = {.model = model, .context = context};
    kata_status status = kata__onnx_parse(model, data, n_bytes);
    if (status == KATA_OK) {
        status = build(&b);
    }
    kata__arena_free(&model->arena);
    kata__free(context, model);
    if (status != KATA_OK) {
        kata_graph_free(b.graph);
        return kata_fail_in(status, "cannot read ONNX model %s", name != NULL ? name : "in memory");
    }
    *out = b.graph;
    return KATA_OK;
}

kata_status kata_onnx_read(kata_graph **out, kata_context *context, const char *path) {
    char *data = NULL;
    size_t n_bytes = 0;
    if (context == NULL) {
        return kata_fail(KATA_INVALID, "reading an ONNX model needs a context");
    }
    KATA__TRY(kata__file_read(context, path, KATA__PROTO_MAXIMUM, &data, &n_bytes));
    kata_status status = kata_onnx_read_memory(out, context, data, n_bytes, path);
    kata__free(context, data);
    return status;
}
