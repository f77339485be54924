/* Finding nodes that one kernel computes in one sweep: convolution, + residual, relu, pooling; a
 * gradient by the input, + another use's gradient, gradient of relu; Gemm and relu.
 *
 * A value between two nodes of a group is never made. So it must have no other use, apart from
 * those of the backward pass that can do with less: the gradient of relu needs relu's output alone,
 * the gradient of pooling the places of the maxima alone, and of both together the places suffice,
 * where relu's zeros are marked as no place. */
#include "pass/fuse.h"

#include <string.h>

#include "base/check.h"
#include "op/problem.h"

/* --- what is read ---------------------------------------------------------------------------- */

kata_call kata__node_call(const kata_graph *graph, const kata__node *node, kata_tensor *inputs,
                          kata_tensor *outputs) {
    for (int k = 0; k < node->n_inputs; k++) {
        const kata__value_info *info = kata__graph_info(graph, node->inputs[k]);
        inputs[k] = info != NULL ? kata_tensor_view(NULL, info->type.dtype, &info->type.shape)
                                 : (kata_tensor){.dtype = KATA_NO_DTYPE};
    }
    for (int k = 0; k < node->n_outputs; k++) {
        const kata__value_info *info = kata__graph_info(graph, node->outputs[k]);
        outputs[k] = kata_tensor_view(NULL, info->type.dtype, &info->type.shape);
    }
    return (kata_call){.op = node->op,
                       .context = graph->context,
                       .attributes = node->attributes,
                       .n_inputs = node->n_inputs,
                       .n_captured = node->n_captured,
                       .n_outputs = node->n_outputs,
                       .inputs = inputs,
                       .outputs = outputs};
}

static const kata_shape *shape_of(const kata_graph *graph, kata_value value) {
    return &graph->values[value.id].type.shape;
}

bool kata__is_picture_conv(const kata_graph *graph, const kata__node *node, kata__conv *conv) {
    kata_tensor inputs[KATA_MAX_INPUTS], outputs[KATA_MAX_OUTPUTS];
    if (node->op != &kata__op_Conv && node->op != &kata__op_kata_ConvGradInput &&
        node->op != &kata__op_kata_ConvGradWeight) {
        return false;
    }
    kata_call call = kata__node_call(graph, node, inputs, outputs);
    for (int k = 0; k < node->n_inputs; k++) {
        if (inputs[k].dtype != KATA_NO_DTYPE &&
            (inputs[k].dtype != KATA_F32 || kata_tensor_count(&inputs[k]) == 0)) {
            return false;
        }
    }
    if (inputs[0].shape.rank != 4 || kata_tensor_count(&outputs[0]) == 0) {
        return false;
    }
    *conv = kata__conv_problem(&call);
    return true;
}

bool kata__flips(const kata__conv *conv, kata__conv *flipped) {
    *flipped = (kata__conv){.n = conv->n,
                            .c = conv->f,
                            .h = conv->oh,
                            .w = conv->ow,
                            .f = conv->c,
                            .kh = conv->kh,
                            .kw = conv->kw,
                            .oh = conv->h,
                            .ow = conv->w,
                            .stride_h = 1,
                            .stride_w = 1,
                            .dilation_h = conv->dilation_h,
                            .dilation_w = conv->dilation_w,
                            .pad_top = (conv->kh - 1) * conv->dilation_h - conv->pad_top,
                            .pad_left = (conv->kw - 1) * conv->dilation_w - conv->pad_left,
                            .groups = conv->groups};
    return conv->stride_h == 1 && conv->stride_w == 1 && flipped->pad_top >= 0 &&
           flipped->pad_left >= 0;
}

/* Lists of uses: counted, then filled in from the back, which turns each end into a begin. */
static void find_uses(kata__fusion *f, const kata_graph *graph) {
    int32_t *end = f->first_use + 1;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const kata__node *node = &graph->nodes[i];
        for (int k = 0; k < node->n_inputs && !node->removed; k++) {
            end[node->inputs[k].id] += node->inputs[k].id != 0;
        }
    }
    for (size_t v = 1; v < graph->n_values; v++) {
        end[v] += end[v - 1];
    }
    int32_t n = end[graph->n_values - 1];
    for (size_t i = graph->n_nodes; i > 0; i--) {
        const kata__node *node = &graph->nodes[i - 1];
        for (int k = node->n_inputs; k > 0 && !node->removed; k--) {
            if (node->inputs[k - 1].id != 0) {
                f->uses[--end[node->inputs[k - 1].id]] = (int32_t)i - 1;
            }
        }
    }
    memmove(f->first_use, end, graph->n_values * sizeof *end);
    f->first_use[graph->n_values] = n;
}

static int count_uses(const kata__fusion *f, kata_value value) {
    return f->first_use[value.id + 1] - f->first_use[value.id];
}

/* The only node that reads a value, once, that is no output of the graph; -1: there is no such. */
static int32_t sole_use(const kata__fusion *f, kata_value value) {
    return count_uses(f, value) == 1 && !f->is_output[value.id] ? f->uses[f->first_use[value.id]]
                                                                : -1;
}

/* --- groups ---------------------------------------------------------------------------------- */

typedef struct finder {
    const kata_graph *graph;
    kata__fusion *fusion;
} finder;

static bool is_free(const finder *d, int32_t node) {
    return node >= 0 && d->fusion->group_of[node] < 0;
}

static bool is_op(const finder *d, int32_t node, const kata_op *op) {
    return is_free(d, node) && d->graph->nodes[node].op == op;
}

kata_value kata__viewed(const kata_graph *graph, kata_value value) {
    const kata__value_info *info = &graph->values[value.id];
    while (info->kind == KATA__VALUE_NODE &&
           (graph->nodes[info->node].op->flags & KATA_OP_VIEW) != 0) {
        value = graph->nodes[info->node].inputs[0];
        info = &graph->values[value.id];
    }
    return value;
}

/* The value whose memory this one's is: what a view is of, what an update writes. */
static int32_t root_of(const kata_graph *graph, kata_value value) {
    value = kata__viewed(graph, value);
    const kata__value_info *info = &graph->values[value.id];
    while (info->kind == KATA__VALUE_NODE &&
           (graph->nodes[info->node].op->flags & KATA_OP_UPDATE) != 0) {
        const kata__node *node = &graph->nodes[info->node];
        int k = 0;
        while (node->outputs[k].id != value.id) {
            k++;
        }
        value = kata__viewed(graph, node->inputs[k]);
        info = &graph->values[value.id];
    }
    return value.id;
}

static bool writes(const kata_graph *graph, const kata__node *node, kata_value value) {
    bool found = false;
    for (int k = 0; k < node->n_outputs && value.id != 0; k++) {
        found = found || root_of(graph, node->inputs[k]) == root_of(graph, value);
    }
    return found;
}

/* Nothing that the group's nodes read is a variable written between its core and `node`. */
static bool may_wait(const finder *d, const kata__group *group, int32_t node) {
    const kata__node *core = &d->graph->nodes[group->core];
    for (int32_t i = group->core + 1; i < node; i++) {
        const kata__node *other = &d->graph->nodes[i];
        if (other->removed || (other->op->flags & KATA_OP_UPDATE) == 0) {
            continue;
        }
        for (int j = 0; j < core->n_inputs; j++) {
            if (writes(d->graph, other, core->inputs[j])) {
                return false;
            }
        }
        if (writes(d->graph, other, group->residual)) {
            return false;
        }
    }
    return true;
}

/* Takes a node into the group, which then gives that node's output. */
static bool take(finder *d, kata__group *group, int32_t node) {
    if (!may_wait(d, group, node)) {
        return false;
    }
    group->last = node;
    group->result = d->graph->nodes[node].outputs[0];
    d->fusion->group_of[node] = (int32_t)d->fusion->n_groups;
    return true;
}

static void take_residual(finder *d, kata__group *group) {
    int32_t j = sole_use(d->fusion, group->result);
    if (!is_op(d, j, &kata__op_Add)) {
        return;
    }
    const kata__node *add = &d->graph->nodes[j];
    kata_value other = add->inputs[add->inputs[0].id == group->result.id ? 1 : 0];
    if (kata_shape_equal(shape_of(d->graph, other), shape_of(d->graph, group->result)) &&
        take(d, group, j)) {
        group->residual = other;
    }
}

/* Relu, or the gradient of one by the mask of its output. */
static void take_activation(finder *d, kata__group *group) {
    int32_t j = sole_use(d->fusion, group->result);
    if (is_op(d, j, &kata__op_Relu)) {
        group->relu = take(d, group, j);
    } else if (is_op(d, j, &kata__op_kata_ReluGrad)) {
        const kata__node *gradient = &d->graph->nodes[j];
        kata_value y = gradient->inputs[1];
        if (gradient->inputs[0].id == group->result.id &&
            kata_shape_equal(shape_of(d->graph, y), shape_of(d->graph, group->result)) &&
            take(d, group, j)) {
            group->mask = y;
        }
    }
}

/* 2x2 at steps of 2 without pads, the rest dropped. */
static bool halves(const finder *d, const kata__node *node) {
    kata_tensor inputs[KATA_MAX_INPUTS], outputs[KATA_MAX_OUTPUTS];
    kata_call call = kata__node_call(d->graph, node, inputs, outputs);
    kata__conv v;
    bool count_pad;
    return node->n_outputs == 1 && kata__pool_problem(&call, &v, &count_pad) && v.kh == 2 &&
           v.kw == 2 && v.stride_h == 2 && v.stride_w == 2 && v.dilation_h == 1 &&
           v.dilation_w == 1 && v.pad_top == 0 && v.pad_left == 0 && v.oh == v.h / 2 &&
           v.ow == v.w / 2 && v.oh > 0 && v.ow > 0;
}

/* The uses of what is pooled: MaxPool itself; its gradient, if the backward pass needs it; and the
 * gradient of relu, of nothing but that. */
static void take_pool(finder *d, kata__group *group) {
    const kata_graph *graph = d->graph;
    kata__fusion *f = d->fusion;
    kata_value x = group->result;
    int32_t pool = -1, pool_gradient = -1, relu_gradient = -1;
    int n = count_uses(f, x);
    if (n > 3 || f->is_output[x.id]) {
        return;
    }
    for (int i = 0; i < n; i++) {
        int32_t use = f->uses[f->first_use[x.id] + i];
        if (is_op(d, use, &kata__op_MaxPool)) {
            pool = pool < 0 ? use : -1;
        } else if (is_op(d, use, &kata__op_kata_MaxPoolGrad)) {
            pool_gradient = use;
        } else if (is_op(d, use, &kata__op_kata_ReluGrad)) {
            relu_gradient = use;
        }
    }
    bool has_gradient = pool_gradient >= 0;
    if (pool < 0 || n != 1 + has_gradient + (has_gradient && group->relu) ||
        !halves(d, &graph->nodes[pool])) {
        return;
    }
    kata_value gradient = KATA_NONE, from = KATA_NONE;
    if (has_gradient) {
        const kata__node *node = &graph->nodes[pool_gradient];
        gradient = node->outputs[0];
        from = node->inputs[2];
        if (node->inputs[0].id != x.id || node->inputs[1].id != graph->nodes[pool].outputs[0].id) {
            return;
        }
    }
    if (has_gradient && group->relu) {
        if (relu_gradient < 0 || sole_use(f, gradient) != relu_gradient ||
            graph->nodes[relu_gradient].inputs[0].id != gradient.id ||
            graph->nodes[relu_gradient].inputs[1].id != x.id) {
            return;
        }
        gradient = graph->nodes[relu_gradient].outputs[0];
    }
    if (!take(d, group, pool)) {
        return;
    }
    group->pool = pool;
    group->gradient = gradient;
    group->from = from;
    if (has_gradient) {
        f->group_of[pool_gradient] = (int32_t)f->n_groups;
        f->spread_of[gradient.id] = (int32_t)f->n_groups;
    }
    if (has_gradient && group->relu) {
        f->group_of[relu_gradient] = (int32_t)f->n_groups;
    }
}

static void find_group(finder *d, int32_t i) {
    const kata__node *node = &d->graph->nodes[i];
    kata__conv conv, flipped;
    bool is_gemm =
        node->op == &kata__op_Gemm && d->graph->values[node->outputs[0].id].type.dtype == KATA_F32;
    bool is_conv = !is_gemm && kata__is_picture_conv(d->graph, node, &conv) &&
                   node->op != &kata__op_kata_ConvGradWeight &&
                   (node->op == &kata__op_Conv || kata__flips(&conv, &flipped));
    if (!is_free(d, i) || (!is_gemm && !is_conv)) {
        return;
    }
    kata__group group = {.core = i, .last = i, .pool = -1, .result = node->outputs[0]};
    d->fusion->group_of[i] = (int32_t)d->fusion->n_groups;
    if (is_conv) {
        take_residual(d, &group);
    }
    take_activation(d, &group);
    if (node->op == &kata__op_Conv && group.mask.id == 0) {
        take_pool(d, &group);
    }
    d->fusion->groups[d->fusion->n_groups++] = group;
}

kata_status kata__fusion_find(kata__fusion *fusion, const kata_graph *graph) {
    kata_context *context = graph->context;
    size_t n_inputs = 0;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        n_inputs += (size_t)graph->nodes[i].n_inputs;
    }
    *fusion = (kata__fusion){0};
    fusion->groups = kata__alloc(context, graph->n_nodes + 1, sizeof *fusion->groups);
    fusion->group_of = kata__alloc(context, graph->n_nodes + 1, sizeof *fusion->group_of);
    fusion->spread_of = kata__alloc(context, graph->n_values, sizeof *fusion->spread_of);
    fusion->first_use = kata__alloc_zero(context, graph->n_values + 1, sizeof *fusion->first_use);
    fusion->uses = kata__alloc(context, n_inputs + 1, sizeof *fusion->uses);
    fusion->is_output = kata__alloc_zero(context, graph->n_values, sizeof *fusion->is_output);
    if (fusion->groups == NULL || fusion->group_of == NULL || fusion->spread_of == NULL ||
        fusion->first_use == NULL || fusion->uses == NULL || fusion->is_output == NULL) {
        kata__fusion_free(fusion, context);
        return KATA_OUT_OF_MEMORY;
    }
    for (size_t i = 0; i < graph->n_nodes; i++) {
        fusion->group_of[i] = -1;
    }
    for (size_t i = 0; i < graph->n_values; i++) {
        fusion->spread_of[i] = -1;
    }
    for (size_t i = 0; i < graph->n_outputs; i++) {
        fusion->is_output[graph->outputs[i].id] = true;
    }
    find_uses(fusion, graph);
    finder d = {.graph = graph, .fusion = fusion};
    for (size_t i = 0; i < graph->n_nodes; i++) {
        if (!graph->nodes[i].removed) {
            find_group(&d, (int32_t)i);
        }
    }
    return KATA_OK;
}

void kata__fusion_free(kata__fusion *fusion, kata_context *context) {
    kata__free(context, fusion->groups);
    kata__free(context, fusion->group_of);
    kata__free(context, fusion->spread_of);
    kata__free(context, fusion->first_use);
    kata__free(context, fusion->uses);
    kata__free(context, fusion->is_output);
    *fusion = (kata__fusion){0};
}
