/* Which nodes are computed together: found here, made by layout.c. */
#ifndef KATA_PASS_FUSE_H
#define KATA_PASS_FUSE_H

#include "kernel/conv.h"
#include "pass/pass.h"

/* A convolution, a gradient of one by its input, or a Gemm, with what happens to its result before
 * it is stored. Values are those of the graph that is read. */
typedef struct kata__group {
    int32_t core;        /* the node that all is about */
    int32_t last;        /* the node in whose place the group is computed */
    kata_value residual; /* is added, or none */
    bool relu;
    kata_value mask;   /* the result is 0 where this is not above 0, or none */
    int32_t pool;      /* MaxPool 2x2 at steps of 2, or -1 */
    kata_value result; /* what the group gives */
    /* With `pool`: the gradient by what is pooled (before relu, if there is one) is `from`, the
     * gradient by the result, spread by the index of the maxima. Both none: not needed. */
    kata_value gradient, from;
} kata__group;

typedef struct kata__fusion {
    kata__group *groups;
    size_t n_groups;
    int32_t *group_of;  /* by node: its group, -1: none */
    int32_t *spread_of; /* by value: the group whose `gradient` it is, -1: none */
    int32_t *first_use; /* by value: uses[first_use[v] .. first_use[v + 1]) are nodes that read v */
    int32_t *uses;
    bool *is_output; /* by value: of the graph */
} kata__fusion;

kata_status kata__fusion_find(kata__fusion *fusion, const kata_graph *graph);
void kata__fusion_free(kata__fusion *fusion, kata_context *context);

/* The call of a node of a graph, with types and no data; the arrays hold KATA_MAX_INPUTS and
 * KATA_MAX_OUTPUTS tensors. */
kata_call kata__node_call(const kata_graph *graph, const kata__node *node, kata_tensor *inputs,
                          kata_tensor *outputs);
/* A float32 convolution or gradient of pictures, none of whose sizes is 0. */
bool kata__is_picture_conv(const kata_graph *graph, const kata__node *node, kata__conv *conv);
/* Its gradient by the input is a convolution too: stride 1 and no negative pads. */
bool kata__flips(const kata__conv *conv, kata__conv *flipped);

#endif
