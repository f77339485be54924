/* The graph's insides, for the graph, op, pass, exec, format and nn rooms. */
#ifndef KATA_GRAPH_GRAPH_H
#define KATA_GRAPH_GRAPH_H

#include <kata/graph.h>
#include "base/memory.h"

#define KATA__MAX_NODES ((size_t)1 << 20)
#define KATA__MAX_VALUES ((size_t)1 << 22)

typedef enum kata__value_kind {
    KATA__VALUE_INPUT,
    KATA__VALUE_VARIABLE,
    KATA__VALUE_CONSTANT,
    KATA__VALUE_NODE
} kata__value_kind;

typedef struct kata__value_info {
    kata__value_kind kind;
    const char *name;
    bool named; /* by the user: generated names may be replaced */
    kata_type type;
    kata_variable *variable; /* VARIABLE */
    kata_tensor constant;    /* CONSTANT; owned by the graph */
    int32_t node, output;    /* NODE: which output of which node */
} kata__value_info;

typedef struct kata__node {
    const kata_op *op;
    const char *name;
    int n_inputs, n_outputs;
    kata_value *inputs, *outputs;
    kata_attribute_value *attributes; /* as many as op->attributes lists */
    uint32_t
        stream; /* of random nodes: the number of the node in the model graph, kept by copies */
    bool removed;
} kata__node;

struct kata_graph {
    kata_context *context;
    kata__arena arena; /* names, nodes, attributes */
    const char *name;
    kata_status status;
    char *message;
    const char *scope;        /* prefix of the names of new nodes, NULL: none */
    kata__value_info *values; /* values[id]; 0 is unused */
    size_t n_values, values_capacity;
    int32_t *index; /* values by name: open addressing, 0 is a free place (names.c) */
    size_t index_capacity, index_used;
    kata__node *nodes; /* in an order in which every input comes before its use */
    size_t n_nodes, nodes_capacity;
    kata_value *inputs, *outputs;
    size_t n_inputs, inputs_capacity, n_outputs, outputs_capacity;
    kata_variable **variables; /* all that have a value here; `owned` says which to free */
    bool *owned;
    size_t n_variables, variables_capacity, owned_capacity;
    bool prepares; /* nodes that depend on variables and constants alone run when these change, not
                      with every run (kata_graph_optimize) */
    char **metadata; /* key, value, key, value, ... */
    size_t n_metadata, metadata_capacity;
};

/* Info of a value; NULL for none or a bad id. Adding values moves the array: do not keep it. */
const kata__value_info *kata__graph_info(const kata_graph *graph, kata_value value);
/* The constant tensor of a value, NULL if it is not a constant. */
const kata_tensor *kata__graph_constant_of(const kata_graph *graph, kata_value value);
/* Names (names.c). `name` is copied; the value keeps no trace of its old name. */
kata_status kata__graph_name_value(kata_graph *graph, kata_value value, const char *name,
                                   bool by_user);
/* Sets the sticky fault from kata_fail's message and returns the status. */
kata_status kata__graph_fault(kata_graph *graph, kata_status status);
/* Appends the value of a node's output, named MADE_UP_<id> (node.c). */
kata_status kata__graph_node_value(kata_graph *graph, const char *made_up, int32_t node, int output,
                                   kata_type type, kata_value *out);
/* The index of an attribute in the row's list, -1 if it has none of this name. */
int kata__op_attribute(const kata_op *op, const char *name);
/* Types and constants of a node's inputs, then the row's shape rule: fills outputs[0..n_outputs-1].
 */
kata_status kata__node_infer(const kata_graph *graph, const kata_op *op,
                             const kata_attribute_value *attributes, const kata_value *inputs,
                             int n_inputs, kata_type *outputs, int n_outputs);
/* Adds a node with the operator and the attributes of `like`, which may be another graph's, and
 * like->n_inputs inputs; fills like->n_outputs outputs. */
kata_status kata__node_add_like(kata_graph *graph, const char *name, const kata__node *like,
                                const kata_value *inputs, kata_value *outputs);
/* Copies a node's attributes into `attributes` for kata_graph_node_outputs (only those set).
 * Returns how many. `attributes` must hold as many as the row lists. */
int kata__node_attributes(const kata__node *node, kata_attribute *attributes);

/* The op room defines the rows; NULL ends the list. */
extern const kata_op *const kata__standard_rows[];

#endif
