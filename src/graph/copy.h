/* Copying a graph: the one way in which a pass makes a graph out of another. The copier brings over
 * inputs and variables, walks the nodes in their order, hands each to the pass, which copies it as
 * it is or adds others in its place, and ends with the outputs. Values keep their names. */
#ifndef KATA_GRAPH_COPY_H
#define KATA_GRAPH_COPY_H

#include "graph/graph.h"

typedef struct kata__copier kata__copier;

/* The first member of a pass's own struct, zeroed but for `from` and the functions. */
struct kata__copier {
    const kata_graph *from;
    kata_graph *to;
    kata_value *map; /* by value of `from`: its copy; none as long as there is none */
    /* The type that input `old` has in the copy; NULL: the same. */
    kata_status (*input)(kata__copier *copier, kata_value old, kata_type *type);
    /* Node i, which is not removed; NULL: kata__copy_node. */
    kata_status (*node)(kata__copier *copier, size_t i);
    /* Makes the copy of a node's value that has been asked for and is not there: sets map[old.id].
     * NULL: nodes are copied in order, so that it is always there. */
    kata_status (*make)(kata__copier *copier, kata_value old);
    /* Copies a subgraph of a node, for which `inner` is prepared, by kata__copy_within: with a
     * struct and functions of the pass's own; NULL: as it is. */
    kata_status (*within)(kata__copier *copier, kata__copier *inner);
    /* Of a subgraph: the node that is to hold the copy, and its inputs in the graph around it. */
    const kata__node *holder;
    int attribute; /* of the holder */
    const kata_value *inputs;
};

/* The whole copy. On success copier->to is the caller's; on failure it is freed and NULL. */
kata_status kata__copy_graph(kata__copier *copier);

/* The copy of a subgraph: to `to`, which is empty, with types of inputs that the holder's row gives
 * from those of the holder's inputs. */
kata_status kata__copy_within(kata__copier *inner);

/* The copy of a value, none for none. Constants are brought over at their first use. */
kata_status kata__copy_value(kata__copier *copier, kata_value old, kata_value *out);
/* Makes `value` the copy of `old`, with its name. */
kata_status kata__copy_set(kata__copier *copier, kata_value old, kata_value value);
/* Calls `value` "OLD/SUFFIX": a second value made of the same one. */
kata_status kata__copy_name(kata__copier *copier, kata_value old, kata_value value,
                            const char *suffix);
/* Node i as it is. */
kata_status kata__copy_node(kata__copier *copier, size_t i);
/* A node like `node` on other inputs, which are as many, and under another name; random nodes keep
 * their stream. outputs: as many as the node has. */
kata_status kata__copy_node_on(kata__copier *copier, const kata__node *node, const char *name,
                               const kata_value *inputs, kata_value *outputs);

#endif
