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
    KATA__VALUE_NODE,
    KATA__VALUE_CAPTURE /* of a subgraph: a value of the graph around it */
} kata__value_kind;

typedef struct kata__value_info {
    kata__value_kind kind;
    const char *name;
    bool named; /* by the user: generated names may be replaced */
    kata_type type;
    kata_variable *variable;       /* VARIABLE */
    kata_tensor constant;          /* CONSTANT; owned by the graph */
    const kata_elements *elements; /* what is known of them; NULL: nothing */
    int32_t node, output;          /* NODE: which output of which node */
    int32_t capture;               /* CAPTURE: which of the subgraph's captures */
} kata__value_info;

typedef struct kata__node {
    const kata_op *op;
    const char *name;
    int n_inputs, n_outputs;
    int n_captured; /* of the inputs, the last ones: captured by subgraphs among the attributes */
    bool has_subgraphs;
    kata_value *inputs, *outputs;
    kata_attribute_value *attributes; /* as many as op->attributes lists */
    uint32_t
        stream; /* of random nodes: the number of the node in the model graph, kept by copies */
    bool removed;
} kata__node;

/* A value of the graph around that a subgraph uses. */
typedef struct kata__capture {
    kata_value inside, outer; /* outer: as long as no node holds the subgraph */
    int32_t input;            /* then: which of the node's inputs it is */
} kata__capture;

struct kata_graph {
    kata_context *context;
    kata__arena arena;          /* names, nodes, attributes */
    _Atomic int n_more_holders; /* beside the one that made it */
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
    uint64_t metadata_version; /* raised by every change */
    size_t n_all_nodes;        /* of the outermost graph: nodes added to it and to all within it */
    const char **sizes;        /* of the outermost graph: sizes[i] is the name of the size -2 - i */
    size_t n_sizes, sizes_capacity;
    kata_graph **subgraphs; /* owned: graphs whose `outer` is this one */
    size_t n_subgraphs, subgraphs_capacity;
    kata_graph *outer;       /* the graph around a subgraph */
    int depth;               /* of a subgraph: how many graphs are around it */
    int32_t holder;          /* of a subgraph: the node of `outer` that holds it, -1: none yet */
    kata__capture *captures; /* subgraph.c */
    size_t n_captures, captures_capacity;
};

/* One more holder: the graph lives until each has called kata_graph_free. From any thread. */
void kata__graph_share(kata_graph *graph);
/* Info of a value; NULL for none or a bad id. Adding values moves the array: do not keep it. */
const kata__value_info *kata__graph_info(const kata_graph *graph, kata_value value);
/* The constant tensor of a value, NULL if it is not a constant. */
const kata_tensor *kata__graph_constant_of(const kata_graph *graph, kata_value value);
/* Names (names.c). `name` is copied; the value keeps no trace of its old name. */
kata_status kata__graph_name_value(kata_graph *graph, kata_value value, const char *name,
                                   bool by_user);
/* Sets the sticky fault from kata_fail's message and returns the status. */
kata_status kata__graph_fault(kata_graph *graph, kata_status status);
/* An input that may be no tensor. */
kata_value kata__graph_input_of_type(kata_graph *graph, const char *name, const kata_type *type);
/* Appends a value that is no node's, under a made-up name if `name` is NULL. */
kata_status kata__graph_add_value(kata_graph *graph, const kata__value_info *info, const char *name,
                                  const char *made_up, kata_value *out);
/* Appends the value of a node's output, named MADE_UP_<id> (node.c). */
kata_status kata__graph_node_value(kata_graph *graph, const char *made_up, int32_t node, int output,
                                   kata_type type, kata_value *out);
/* The index of an attribute in the row's list, -1 if it has none of this name. */
int kata__op_attribute(const kata_op *op, const char *name);
/* Types and constants of a node's inputs, then the row's shape rule: fills outputs[0..n_outputs-1].
 */
kata_status kata__node_infer(const kata_graph *graph, const kata_op *op,
                             const kata_attribute_value *attributes, const kata_value *inputs,
                             int n_inputs, int n_captured, kata_type *outputs, int n_outputs);
/* Adds a node with the operator and the attributes of `like`, which may be another graph's, and
 * its own inputs, without those captured; fills like->n_outputs outputs. subgraphs[k]: of `graph`,
 * the one for attribute k; NULL if `like` has none. */
kata_status kata__node_add_like(kata_graph *graph, const char *name, const kata__node *like,
                                const kata_value *inputs, kata_graph *const *subgraphs,
                                kata_value *outputs);
/* Attributes in the order of the row's list, in the graph's arena, with defaults for those that are
 * not given; required ones may be missing. */
kata_status kata__node_fill_attributes(kata_graph *graph, const kata_op *op,
                                       const kata_attribute *given, int n_given,
                                       kata_attribute_value **out);
/* The types of the inputs of a subgraph of a node that is to be added to `graph`: `types` are n,
 * as they are declared, and are replaced where the row says more. `attributes`: in the order of
 * the row's list. */
kata_status kata__node_infer_subgraph(const kata_graph *graph, const kata_op *op,
                                      const kata_attribute_value *attributes,
                                      const kata_value *inputs, int n_inputs, int attribute,
                                      kata_type *types, int n);
/* Gives `to`, which has none, the open sizes of `from`, by the same numbers. */
kata_status kata__graph_copy_sizes(kata_graph *to, const kata_graph *from);
/* The outermost graph around a graph, itself if it is no subgraph. */
kata_graph *kata__graph_root(const kata_graph *graph);
/* Looks at the subgraphs of a node that is about to be added, attributes in the order of the row's
 * list, and appends what they capture to its inputs. */
kata_status kata__graph_hold(kata_graph *graph, const kata_op *op,
                             const kata_attribute_value *attributes, kata_value *inputs,
                             int *n_inputs);
/* The value of the graph around that a captured value of a subgraph stands for. */
kata_value kata__graph_captured(const kata_graph *subgraph, const kata__value_info *info);
/* KATA_INVALID or KATA_LIMIT unless a row is in order: everything that other code relies on. */
kata_status kata__op_check(const kata_op *row);
/* "an integer", "a list of numbers", ...; NULL if there is no such kind. */
const char *kata__attribute_type_name(kata_attribute_type type);
/* row->scale of a node and its input i. */
bool kata__node_scale(const kata_graph *graph, const kata__node *node, int i, double *factor);
/* row->prepare and row->free: calls without state where the row has none. */
kata_status kata__call_prepare(kata_call *call);
void kata__call_release(kata_call *call);

/* The op room defines the rows; NULL ends the list. */
extern const kata_op *const kata__standard_rows[];

#endif
