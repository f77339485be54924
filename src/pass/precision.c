/* bfloat16 where it pays: convolutions, their gradients and large matrix products of an optimised
 * graph (kata_graph_optimize) become their bfloat16 rows; everything else stays float32.
 *
 * The graph is copied node by node. Each value of the graph that is read may have two twins in the
 * new one, of float32 and of bfloat16; a node asks for the twin that it reads, and the one that is
 * missing is made then, by a Cast. Weights stay float32 and are rounded and packed by nodes of
 * their own. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "graph/copy.h"
#include "kernel/conv_nhwc_bf16.h"
#include "op/problem.h"
#include "pass/pass.h"
#include "tensor/dtype.h"

/* A product of fewer numbers on its largest side is not worth the conversions. */
#define LARGE_MATRIX ((int64_t)16384)

/* Beside the one of the type that the value has in the graph that is read, which is the copier's.
 */
typedef struct twins {
    kata_value half;
    int32_t spread; /* the MaxPoolNhwcGrad that makes it, and no twin yet, + 1; or 0 */
} twins;

typedef struct lowering {
    kata__copier copy;
    twins *twins;     /* by value of `from` */
    bool *wants_half; /* by value: some node reads its bfloat16 twin */
    bool *wants_full; /* some node reads the float32 twin */
} lowering;

/* --- looking at nodes ------------------------------------------------------------------------ */

static const kata_attribute_value *attribute(const kata__node *node, const char *name) {
    int i = kata__op_attribute(node->op, name);
    return i >= 0 ? &node->attributes[i] : NULL;
}

static int64_t integer(const kata__node *node, const char *name, int64_t otherwise) {
    const kata_attribute_value *value = attribute(node, name);
    return value != NULL ? value->i : otherwise;
}

static const kata_type *type_of(const lowering *l, kata_value old) {
    return &l->copy.from->values[old.id].type;
}

static const kata__node *maker(const lowering *l, kata_value old) {
    const kata__value_info *info = &l->copy.from->values[old.id];
    return info->kind == KATA__VALUE_NODE ? &l->copy.from->nodes[info->node] : NULL;
}

static bool is_float(const lowering *l, kata_value old) {
    return old.id != 0 && type_of(l, old)->dtype == KATA_F32;
}

static bool is_conv(const lowering *l, const kata__node *node) {
    return node->op == &kata__op_kata_ConvNhwc && is_float(l, node->outputs[0]);
}

static bool is_conv_gradient(const lowering *l, const kata__node *node) {
    return node->op == &kata__op_kata_ConvNhwcGradWeight && is_float(l, node->outputs[0]);
}

/* alpha A' B' + C, with C one row or none. */
static bool is_large_product(const lowering *l, const kata__node *node) {
    if ((node->op != &kata__op_Gemm && node->op != &kata__op_kata_GemmFused) ||
        !is_float(l, node->outputs[0])) {
        return false;
    }
    const kata_attribute_value *alpha = attribute(node, "alpha"), *beta = attribute(node, "beta");
    const int64_t *a = type_of(l, node->inputs[0])->shape.dim;
    const kata_shape *y = &type_of(l, node->outputs[0])->shape;
    bool has_c = node->n_inputs > 2 && node->inputs[2].id != 0;
    if (alpha->f != 1 || (has_c && beta->f != 1)) {
        return false;
    }
    if (has_c) {
        const kata_shape *c = &type_of(l, node->inputs[2])->shape;
        if (c->rank != 1 || c->dim[0] != y->dim[1]) {
            return false;
        }
    }
    int64_t m = y->dim[0], n = y->dim[1], k = a[integer(node, "transA", 0) != 0 ? 0 : 1];
    return m > 0 && (m * k >= LARGE_MATRIX || k * n >= LARGE_MATRIX || m * n >= LARGE_MATRIX);
}

/* Computes nothing: done in the type that is there. */
static bool only_moves(const kata__node *node) {
    return (node->op->flags & KATA_OP_MOVE) != 0;
}

static bool are(const kata__node *node, const char *name, int64_t want) {
    const kata_attribute_value *value = attribute(node, name);
    for (int i = 0; i < value->n; i++) {
        if (value->ints[i] != want) {
            return false;
        }
    }
    return true;
}

/* The gradient of a pooling by 2x2, which a convolution may do on the way. */
static bool is_spread(const kata__node *node) {
    return node->op == &kata__op_kata_MaxPoolNhwcGrad && attribute(node, "kernel_shape")->n == 2 &&
           attribute(node, "strides")->n == 2 && are(node, "kernel_shape", 2) &&
           are(node, "strides", 2) && are(node, "pads", 0) && are(node, "dilations", 1);
}

/* --- what is read ---------------------------------------------------------------------------- */

/* The inputs that the bfloat16 row of a node reads as bfloat16, as bits; 0: the node stays. */
static unsigned half_inputs(const lowering *l, const kata__node *node) {
    if (is_conv(l, node)) { /* x, residual, mask */
        return 1 | 8 | 16;
    }
    if (is_conv_gradient(l, node)) { /* x, dy */
        return 1 | 2;
    }
    return is_large_product(l, node) ? 1 | 8 : 0; /* A, mask */
}

static void find_uses(lowering *l) {
    for (size_t i = 0; i < l->copy.from->n_outputs; i++) {
        l->wants_full[l->copy.from->outputs[i].id] = true;
    }
    for (size_t i = l->copy.from->n_nodes; i > 0; i--) {
        const kata__node *node = &l->copy.from->nodes[i - 1];
        unsigned half = node->removed ? 0 : half_inputs(l, node);
        for (int k = 0; k < node->n_inputs && !node->removed; k++) {
            int32_t id = node->inputs[k].id;
            if (k == 0 && only_moves(node)) {
                l->wants_half[id] |= l->wants_half[node->outputs[0].id];
                l->wants_full[id] |= l->wants_full[node->outputs[0].id];
            } else if (half >> k & 1) {
                l->wants_half[id] = true;
            } else if (!(is_large_product(l, node) && k == 1)) { /* packed from either */
                l->wants_full[id] = true;
            }
        }
    }
}

/* --- twins ----------------------------------------------------------------------------------- */

static kata_status add(lowering *l, const char *name, const char *op, const kata_value *inputs,
                       int n_inputs, const kata_attribute *attributes, int n_attributes,
                       kata_value *outputs, int n_outputs) {
    return kata_graph_node_outputs(l->copy.to, name, op, inputs, n_inputs, attributes, n_attributes,
                                   outputs, n_outputs);
}

static kata_status set_full(lowering *l, kata_value old, kata_value value) {
    return kata__copy_set(&l->copy, old, value);
}

static kata_status set_half(lowering *l, kata_value old, kata_value value) {
    l->twins[old.id].half = value;
    return kata__copy_name(&l->copy, old, value, "bfloat16");
}

static kata_status cast(lowering *l, kata_value old, kata_value value, kata_dtype to,
                        kata_value *out) {
    char name[256];
    snprintf(name, sizeof name, "%.200s/cast", l->copy.from->values[old.id].name);
    const kata_attribute attribute_to = KATA_INT("to", kata__dtype_code(to));
    return add(l, name, "Cast", &value, 1, &attribute_to, 1, out, 1);
}

static kata_status copy_node(lowering *l, const kata__node *node);

/* The twin of the type that the value has; none for none. */
static kata_status full(lowering *l, kata_value old, kata_value *out) {
    return kata__copy_value(&l->copy, old, out);
}

/* One that is not there yet. */
static kata_status make_full(kata__copier *copier, kata_value old) {
    lowering *l = (lowering *)copier;
    twins *t = &l->twins[old.id];
    if (t->spread != 0) {
        const kata__node *node = &copier->from->nodes[t->spread - 1];
        t->spread = 0;
        return copy_node(l, node);
    }
    kata_value value;
    KATA__TRY(cast(l, old, t->half, KATA_F32, &value));
    return set_full(l, old, value);
}

static kata_status half(lowering *l, kata_value old, kata_value *out) {
    *out = KATA_NONE;
    if (old.id == 0) {
        return KATA_OK;
    }
    twins *t = &l->twins[old.id];
    if (t->half.id == 0) {
        kata_value value;
        KATA__TRY(full(l, old, &value));
        KATA__TRY(cast(l, old, value, KATA_BF16, &value));
        KATA__TRY(set_half(l, old, value));
    }
    *out = t->half;
    return KATA_OK;
}

/* --- convolutions ---------------------------------------------------------------------------- */

static int64_t entry(const kata__node *node, const char *name, int i, int64_t otherwise) {
    const kata_attribute_value *value = attribute(node, name);
    return i < value->n ? value->ints[i] : otherwise;
}

/* The problem of a convolution, or of its gradient by the weight. */
static kata__conv problem_of(const lowering *l, const kata__node *node, const int64_t weight[4]) {
    const int64_t *x = type_of(l, node->inputs[0])->shape.dim;
    return (kata__conv){.n = x[0],
                        .h = x[1],
                        .w = x[2],
                        .c = x[3],
                        .f = weight[0],
                        .kh = weight[2],
                        .kw = weight[3],
                        .oh = entry(node, "sizes", 0, 1),
                        .ow = entry(node, "sizes", 1, 1),
                        .stride_h = entry(node, "strides", 0, 1),
                        .stride_w = entry(node, "strides", 1, 1),
                        .dilation_h = entry(node, "dilations", 0, 1),
                        .dilation_w = entry(node, "dilations", 1, 1),
                        .pad_top = entry(node, "pads", 0, 0),
                        .pad_left = entry(node, "pads", 1, 0),
                        .groups = integer(node, "group", 1)};
}

/* The attributes that all rows of convolutions share; `weight` as the convolution reads it. */
static int conv_attributes(const kata__node *node, const int64_t weight[4],
                           kata__conv_algorithm algorithm, kata_attribute *list) {
    static const char *const lists[] = {"dilations", "pads", "sizes", "strides"};
    int n = 0;
    list[n++] = (kata_attribute)KATA_INT("algorithm", algorithm);
    for (int i = 0; i < 4; i++) {
        const kata_attribute_value *value = attribute(node, lists[i]);
        if (value->n > 0) {
            list[n++] = (kata_attribute)KATA_INTS_OF(lists[i], value->ints, value->n);
        }
    }
    list[n++] = (kata_attribute)KATA_INT("group", integer(node, "group", 1));
    list[n++] = (kata_attribute)KATA_INTS_OF("weight", weight, 4);
    return n;
}

/* x as it is read: a network's input with few channels stays float32, its conversion is part of the
 * convolution; what a pooling's gradient would spread comes with the index in *index. */
static kata_status conv_input(lowering *l, kata_value old, bool may_spread, kata_value *x,
                              kata_value *index) {
    const twins *t = &l->twins[old.id];
    *index = KATA_NONE;
    if (t->spread != 0 && may_spread && l->copy.map[old.id].id == 0) {
        const kata__node *node = &l->copy.from->nodes[t->spread - 1];
        KATA__TRY(half(l, node->inputs[0], x));
        return full(l, node->inputs[1], index);
    }
    if (t->half.id == 0 && type_of(l, old)->shape.dim[3] < 8) {
        return full(l, old, x);
    }
    return half(l, old, x);
}

/* The taps reach every number of x, which a spread one needs: no pad behind it is negative. */
static bool reaches_all(const kata__node *node, const kata_shape *x, const int64_t weight[4]) {
    bool all = true;
    for (int i = 0; i < 2; i++) {
        int64_t reach = (entry(node, "sizes", i, 1) - 1) * entry(node, "strides", i, 1) +
                        (weight[2 + i] - 1) * entry(node, "dilations", i, 1) + 1;
        all = all && x->dim[1 + i] + entry(node, "pads", i, 0) <= reach;
    }
    return all;
}

static kata_status lower_conv(lowering *l, const kata__node *node) {
    kata_value weight = node->inputs[1], inputs[6] = {KATA_NONE}, outputs[2], packed;
    const kata__node *packer = maker(l, weight);
    bool flipped = integer(node, "flipped", 0) != 0;
    if (type_of(l, weight)->shape.rank == 1) { /* packed already: begin with what was */
        flipped = integer(packer, "flipped", 0) != 0;
        weight = packer->inputs[0];
    }
    const int64_t *w = type_of(l, weight)->shape.dim;
    int64_t group = integer(node, "group", 1);
    const int64_t read[4] = {flipped ? w[1] * group : w[0], flipped ? w[0] / group : w[1], w[2],
                             w[3]};
    const kata_shape *x = &type_of(l, node->inputs[0])->shape;

    KATA__TRY(conv_input(l, node->inputs[0], reaches_all(node, x, read), &inputs[0], &inputs[5]));
    const kata__conv conv = problem_of(l, node, read);
    kata__conv_algorithm algorithm = kata__conv_bf16_algorithm(
        l->copy.to->context, &conv, kata__graph_info(l->copy.to, inputs[0])->type.dtype,
        flipped ? KATA__CONV_INPUT : KATA__CONV_FORWARD);
    kata_attribute list[16];
    int n = conv_attributes(node, read, algorithm, list);
    list[n] = (kata_attribute)KATA_INTS_OF("input", x->dim, 4);
    list[n + 1] = (kata_attribute)KATA_INT("flipped", flipped);
    list[n + 2] = (kata_attribute)KATA_INT(
        "packed", kata__conv_bf16_numbers(l->copy.to->context, &conv, algorithm));
    char name[256];
    snprintf(name, sizeof name, "%.200s/weight", node->name);
    KATA__TRY(full(l, weight, &inputs[1]));
    KATA__TRY(add(l, name, "kata:ConvBfloat16Prepack", &inputs[1], 1, list, n + 3, &packed, 1));

    inputs[1] = packed;
    KATA__TRY(full(l, node->n_inputs > 2 ? node->inputs[2] : KATA_NONE, &inputs[2]));
    for (int k = 3; k < 5 && k < node->n_inputs; k++) {
        KATA__TRY(half(l, node->inputs[k], &inputs[k]));
    }
    if (inputs[5].id != 0) {
        list[n++] = (kata_attribute)KATA_INTS_OF("input", x->dim + 1, 2);
    }
    list[n++] = (kata_attribute)KATA_INT("pool", integer(node, "pool", 0));
    list[n++] = (kata_attribute)KATA_INT("relu", integer(node, "relu", 0));
    int n_inputs = 6;
    while (inputs[n_inputs - 1].id == 0) {
        n_inputs--;
    }
    KATA__TRY(add(l, node->name, "kata:ConvBfloat16", inputs, n_inputs, list, n, outputs,
                  node->n_outputs));
    if (node->n_outputs > 1) {
        KATA__TRY(set_full(l, node->outputs[1], outputs[1]));
    }
    if (integer(node, "nchw", 0) != 0) { /* the bfloat16 kernel stores channels last */
        const kata_attribute perm = KATA_INTS("perm", 0, 3, 1, 2);
        snprintf(name, sizeof name, "%.200s/layout", node->name);
        kata_value last = outputs[0];
        KATA__TRY(add(l, name, "Transpose", &last, 1, &perm, 1, outputs, 1));
    }
    return set_half(l, node->outputs[0], outputs[0]);
}

static kata_status lower_conv_gradient(lowering *l, const kata__node *node) {
    const int64_t *dw = type_of(l, node->outputs[0])->shape.dim;
    kata_value inputs[3] = {KATA_NONE}, outputs[2], none;
    KATA__TRY(conv_input(l, node->inputs[0], false, &inputs[0], &none));
    const kata__conv conv = problem_of(l, node, dw);
    kata__conv_algorithm algorithm = kata__conv_bf16_algorithm(
        l->copy.to->context, &conv, kata__graph_info(l->copy.to, inputs[0])->type.dtype,
        KATA__CONV_WEIGHT);
    kata_attribute list[16];
    int n = conv_attributes(node, dw, algorithm, list);
    KATA__TRY(half(l, node->inputs[1], &inputs[1]));
    if (integer(node, "nchw", 0) != 0) {
        const kata_attribute perm = KATA_INTS("perm", 0, 2, 3, 1);
        char name[256];
        snprintf(name, sizeof name, "%.200s/layout", node->name);
        const kata_value dy = inputs[1];
        KATA__TRY(add(l, name, "Transpose", &dy, 1, &perm, 1, &inputs[1], 1));
    }
    if (node->n_inputs > 2 && node->inputs[2].id != 0) {
        KATA__TRY(full(l, node->inputs[2], &inputs[2]));
    }
    KATA__TRY(add(l, node->name, "kata:ConvBfloat16GradWeight", inputs, inputs[2].id != 0 ? 3 : 2,
                  list, n, outputs, node->n_outputs));
    for (int k = 0; k < node->n_outputs; k++) {
        KATA__TRY(set_full(l, node->outputs[k], outputs[k]));
    }
    return KATA_OK;
}

/* --- products -------------------------------------------------------------------------------- */

static kata_status lower_product(lowering *l, const kata__node *node) {
    kata_value inputs[4] = {KATA_NONE}, b, out;
    const kata_attribute swap = KATA_INT("transB", integer(node, "transB", 0));
    char name[256];
    snprintf(name, sizeof name, "%.200s/weight", node->name);
    if (l->twins[node->inputs[1].id].half.id != 0) {
        KATA__TRY(half(l, node->inputs[1], &b));
    } else {
        KATA__TRY(full(l, node->inputs[1], &b));
    }
    KATA__TRY(add(l, name, "kata:GemmBfloat16Prepack", &b, 1, &swap, 1, &inputs[1], 1));
    KATA__TRY(half(l, node->inputs[0], &inputs[0]));
    KATA__TRY(full(l, node->n_inputs > 2 ? node->inputs[2] : KATA_NONE, &inputs[2]));
    KATA__TRY(half(l, node->n_inputs > 3 ? node->inputs[3] : KATA_NONE, &inputs[3]));
    int32_t id = node->outputs[0].id;
    bool to_half = inputs[3].id != 0 || (l->wants_half[id] && !l->wants_full[id]);
    int n_inputs = inputs[3].id != 0 ? 4 : inputs[2].id != 0 ? 3 : 2;
    const kata_attribute list[] = {KATA_INT("columns", type_of(l, node->outputs[0])->shape.dim[1]),
                                   KATA_INT("relu", integer(node, "relu", 0)),
                                   KATA_INT("to", kata__dtype_code(to_half ? KATA_BF16 : KATA_F32)),
                                   KATA_INT("transA", integer(node, "transA", 0))};
    KATA__TRY(add(l, node->name, "kata:GemmBfloat16", inputs, n_inputs, list, 4, &out, 1));
    return to_half ? set_half(l, node->outputs[0], out) : set_full(l, node->outputs[0], out);
}

/* --- everything else ------------------------------------------------------------------------- */

static kata_status copy_node(lowering *l, const kata__node *node) {
    kata_value inputs[KATA_MAX_INPUTS], outputs[KATA_MAX_OUTPUTS];
    bool is_half = only_moves(node) && l->twins[node->inputs[0].id].half.id != 0 &&
                   l->copy.map[node->inputs[0].id].id == 0;
    for (int k = 0; k < node->n_inputs; k++) {
        KATA__TRY(k == 0 && is_half ? half(l, node->inputs[k], &inputs[k])
                                    : full(l, node->inputs[k], &inputs[k]));
    }
    KATA__TRY(kata__copy_node_on(&l->copy, node, node->name, inputs, outputs));
    for (int k = 0; k < node->n_outputs; k++) {
        KATA__TRY(is_half ? set_half(l, node->outputs[k], outputs[k])
                          : set_full(l, node->outputs[k], outputs[k]));
    }
    return KATA_OK;
}

static kata_status lower_node(kata__copier *copier, size_t i) {
    lowering *l = (lowering *)copier;
    const kata__node *node = &copier->from->nodes[i];
    if (is_conv(l, node)) {
        return lower_conv(l, node);
    }
    if (is_conv_gradient(l, node)) {
        return lower_conv_gradient(l, node);
    }
    if (is_large_product(l, node)) {
        return lower_product(l, node);
    }
    if (node->op == &kata__op_kata_ConvNhwcPrepack) { /* float32 convolutions are gone */
        return KATA_OK;
    }
    if (is_spread(node) && is_float(l, node->outputs[0]) &&
        !l->wants_full[node->outputs[0].id]) { /* made when a node asks for it */
        l->twins[node->outputs[0].id].spread = (int32_t)i + 1;
        return KATA_OK;
    }
    return copy_node(l, node);
}

kata_status kata_graph_lower_precision(kata_graph **out, const kata_graph *graph) {
    lowering l = {.copy = {.from = graph, .node = lower_node, .make = make_full}};
    l.twins = kata__alloc_zero(graph->context, graph->n_values, sizeof *l.twins);
    l.wants_half = kata__alloc_zero(graph->context, graph->n_values, sizeof *l.wants_half);
    l.wants_full = kata__alloc_zero(graph->context, graph->n_values, sizeof *l.wants_full);
    kata_status status = KATA_OUT_OF_MEMORY;
    if (l.twins != NULL && l.wants_half != NULL && l.wants_full != NULL) {
        find_uses(&l);
        status = kata__copy_graph(&l.copy);
    }
    kata__free(graph->context, l.twins);
    kata__free(graph->context, l.wants_half);
    kata__free(graph->context, l.wants_full);
    if (status == KATA_OK) {
        *out = l.copy.to;
    }
    return status;
}
