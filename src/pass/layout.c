/* The fast form of a concrete graph: nodes that fuse.c found are computed in one sweep, and what
 * flows between convolutions and pools is NHWC, (N,H,W,C).
 *
 * The graph is copied node by node. Each value of the graph that is read may have two twins in the
 * new one, NCHW and NHWC; a node asks for the twin that it reads, and the one
 * that is missing is made then, by a Transpose or, where one of C and H*W is 1, by a Reshape that
 * costs nothing. So conversions stand at the borders only. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "graph/copy.h"
#include "kernel/winograd.h"
#include "op/problem.h"
#include "pass/fuse.h"

/* Beside the NCHW one, which is the copier's. */
typedef struct twins {
    kata_value nhwc;
    kata_value index; /* of a pool's result: the places of the maxima */
} twins;

typedef struct layout {
    kata__copier copy;
    kata__fusion fusion;
    twins *twins;   /* by value of `from` */
    bool *deferred; /* by node: made only if somebody asks for its result */
    bool updates;   /* the graph trains: weights change with every run */
} layout;

static const kata_type *type_of(const layout *l, kata_value old) {
    return &l->copy.from->values[old.id].type;
}

/* --- adding nodes ---------------------------------------------------------------------------- */

static kata_status add(layout *l, const char *name, const char *op, const kata_value *inputs,
                       int n_inputs, const kata_attribute *attributes, int n_attributes,
                       kata_value *outputs, int n_outputs) {
    return kata_graph_node_outputs(l->copy.to, name, op, inputs, n_inputs, attributes, n_attributes,
                                   outputs, n_outputs);
}

static kata_status set_nchw(layout *l, kata_value old, kata_value value) {
    return kata__copy_set(&l->copy, old, value);
}

static kata_status set_nhwc(layout *l, kata_value old, kata_value value) {
    l->twins[old.id].nhwc = value;
    return kata__copy_name(&l->copy, old, value, "nhwc");
}

static kata_shape nhwc_shape(const kata_shape *nchw) {
    return KATA_SHAPE_OF(nchw->dim[0], nchw->dim[2], nchw->dim[3], nchw->dim[1]);
}

static kata_status reshape(layout *l, const char *name, kata_value value, const kata_shape *shape,
                           kata_value *out) {
    kata_value sizes = kata_graph_int64s(l->copy.to, shape->dim, shape->rank);
    return add(l, name, "Reshape", (kata_value[]){value, sizes}, 2, NULL, 0, out, 1);
}

/* The other twin of `value`. */
static kata_status convert(layout *l, kata_value old, bool to_nhwc, kata_value value,
                           kata_value *out) {
    static const int64_t perms[2][4] = {{0, 3, 1, 2}, {0, 2, 3, 1}};
    const kata_shape *nchw = &type_of(l, old)->shape;
    kata_shape shape = to_nhwc ? nhwc_shape(nchw) : *nchw;
    char name[256];
    snprintf(name, sizeof name, "%.200s/layout", l->copy.from->values[old.id].name);
    if (nchw->dim[1] == 1 || nchw->dim[2] * nchw->dim[3] == 1) {
        return reshape(l, name, value, &shape, out);
    }
    const kata_attribute perm = KATA_INTS_OF("perm", perms[to_nhwc], 4);
    return add(l, name, "Transpose", &value, 1, &perm, 1, out, 1);
}

static kata_status as_nchw(layout *l, kata_value old, kata_value *out);
static kata_status as_nhwc(layout *l, kata_value old, kata_value *out);

/* Attributes of a pool. */
typedef struct pool_attributes {
    int64_t dilations[2], kernel[2], pads[2], sizes[2], strides[2];
    kata_attribute list[6];
    int n;
} pool_attributes;

/* sizes: of the result, or, for a gradient, of the pool's input. */
static void set_pool(pool_attributes *a, const kata__conv *v, bool is_gradient) {
    *a = (pool_attributes){.dilations = {v->dilation_h, v->dilation_w},
                           .kernel = {v->kh, v->kw},
                           .pads = {v->pad_top, v->pad_left},
                           .sizes = {is_gradient ? v->h : v->oh, is_gradient ? v->w : v->ow},
                           .strides = {v->stride_h, v->stride_w}};
    a->list[a->n++] = (kata_attribute)KATA_INTS_OF("dilations", a->dilations, 2);
    a->list[a->n++] = (kata_attribute)KATA_INTS_OF("kernel_shape", a->kernel, 2);
    a->list[a->n++] = (kata_attribute)KATA_INTS_OF("pads", a->pads, 2);
    a->list[a->n++] = (kata_attribute)KATA_INTS_OF("sizes", a->sizes, 2);
    a->list[a->n++] = (kata_attribute)KATA_INTS_OF("strides", a->strides, 2);
}

/* The gradient that a group with pooling left out, made after all: spread over the windows. */
static kata_status spread(layout *l, kata_value old, kata_value *out) {
    const kata__group *group = &l->fusion.groups[l->fusion.spread_of[old.id]];
    const kata_shape *shape = &type_of(l, old)->shape;
    kata_value inputs[2];
    kata__conv v = {.h = shape->dim[2],
                    .w = shape->dim[3],
                    .kh = 2,
                    .kw = 2,
                    .stride_h = 2,
                    .stride_w = 2,
                    .dilation_h = 1,
                    .dilation_w = 1};
    pool_attributes a;
    set_pool(&a, &v, true);
    KATA__TRY(as_nhwc(l, group->from, &inputs[0]));
    inputs[1] = l->twins[group->result.id].index;
    char name[256];
    snprintf(name, sizeof name, "%.160s/gradient/MaxPool", l->copy.from->nodes[group->pool].name);
    KATA__TRY(add(l, name, "kata:MaxPoolNhwcGrad", inputs, 2, a.list, a.n, out, 1));
    return set_nhwc(l, old, *out);
}

/* The NHWC twin. */
static kata_status as_nhwc(layout *l, kata_value old, kata_value *out) {
    twins *t = &l->twins[old.id];
    if (t->nhwc.id != 0) {
        *out = t->nhwc;
        return KATA_OK;
    }
    if (l->fusion.spread_of[old.id] >= 0) {
        return spread(l, old, out);
    }
    kata_value value;
    KATA__TRY(as_nchw(l, old, &value));
    KATA__TRY(convert(l, old, true, value, out));
    return set_nhwc(l, old, *out);
}

static kata_status copy_nchw(layout *l, const kata__node *node);

/* The NCHW twin; none for none. */
static kata_status as_nchw(layout *l, kata_value old, kata_value *out) {
    return kata__copy_value(&l->copy, old, out);
}

/* An NCHW twin that is not there yet. */
static kata_status make_nchw(kata__copier *copier, kata_value old) {
    layout *l = (layout *)copier;
    const kata__value_info *info = &copier->from->values[old.id];
    if (info->kind == KATA__VALUE_NODE && l->deferred[info->node]) {
        return copy_nchw(l, &copier->from->nodes[info->node]);
    }
    kata_value value;
    KATA__TRY(as_nhwc(l, old, &value));
    KATA__TRY(convert(l, old, false, value, &value));
    return set_nchw(l, old, value);
}

/* --- convolutions ---------------------------------------------------------------------------- */

typedef struct conv_attributes {
    int64_t dilations[2], kernel[2], pads[2], sizes[2], strides[2], weight[4], input[4];
    kata_attribute list[16];
    int n;
} conv_attributes;

static void set_conv(conv_attributes *a, const kata__conv *v, kata__conv_algorithm algorithm) {
    *a = (conv_attributes){.dilations = {v->dilation_h, v->dilation_w},
                           .kernel = {v->kh, v->kw},
                           .pads = {v->pad_top, v->pad_left},
                           .sizes = {v->oh, v->ow},
                           .strides = {v->stride_h, v->stride_w},
                           .weight = {v->f, v->c / v->groups, v->kh, v->kw},
                           .input = {v->n, v->h, v->w, v->c}};
    a->list[a->n++] = (kata_attribute)KATA_INT("algorithm", algorithm);
    a->list[a->n++] = (kata_attribute)KATA_INTS_OF("dilations", a->dilations, 2);
    a->list[a->n++] = (kata_attribute)KATA_INT("group", v->groups);
    a->list[a->n++] = (kata_attribute)KATA_INTS_OF("pads", a->pads, 2);
    a->list[a->n++] = (kata_attribute)KATA_INTS_OF("sizes", a->sizes, 2);
    a->list[a->n++] = (kata_attribute)KATA_INTS_OF("strides", a->strides, 2);
}

/* The weight as ConvNhwc reads it: where nothing trains, it is packed once, by a node of its own.
 */
static kata_status packed_weight(layout *l, const kata__node *core, kata_value old,
                                 const kata__conv *v, kata__conv_algorithm algorithm, bool flipped,
                                 kata_value *out) {
    kata_value weight;
    KATA__TRY(as_nchw(l, old, &weight));
    kata__value_kind kind = l->copy.from->values[old.id].kind;
    if (l->updates || (kind != KATA__VALUE_VARIABLE && kind != KATA__VALUE_CONSTANT)) {
        *out = weight;
        return KATA_OK;
    }
    int64_t packed = kata__conv_nhwc_numbers(l->copy.to->context, v, algorithm);
    conv_attributes a;
    set_conv(&a, v, algorithm);
    a.list[a.n++] = (kata_attribute)KATA_INTS_OF("input", a.input, 4);
    a.list[a.n++] = (kata_attribute)KATA_INT("packed", packed);
    a.list[a.n++] = (kata_attribute)KATA_INT("flipped", flipped);
    char name[256];
    snprintf(name, sizeof name, "%.200s/weight", core->name);
    return add(l, name, "kata:ConvNhwcPrepack", &weight, 1, a.list, a.n, out, 1);
}

/* All that read the result want it NCHW: dense layers, through a view, or the graph's caller. */
static bool is_wanted_nchw(const layout *l, const kata__group *group,
                           kata__conv_algorithm algorithm) {
    const kata__fusion *f = &l->fusion;
    int32_t v = group->result.id;
    const kata_shape *shape = &type_of(l, group->result)->shape;
    bool wanted =
        algorithm == KATA__CONV_DIRECT && shape->dim[1] > 1 && shape->dim[2] * shape->dim[3] > 1;
    for (int32_t i = f->first_use[v]; i < f->first_use[v + 1]; i++) {
        const kata_op *op = l->copy.from->nodes[f->uses[i]].op;
        bool view =
            (op == &kata__op_Flatten || op == &kata__op_Reshape) && !l->deferred[f->uses[i]];
        bool gradient = f->group_of[f->uses[i]] >= 0 && group->pool >= 0 &&
                        &f->groups[f->group_of[f->uses[i]]] == group;
        wanted = wanted && (view || gradient);
    }
    return wanted;
}

/* Conv, or the gradient of one by its input, with all that its group does before it stores. */
static kata_status copy_conv(layout *l, const kata__group *group) {
    const kata__node *core = &l->copy.from->nodes[group->core];
    kata_value inputs[5] = {KATA_NONE}, outputs[2];
    kata__conv v, conv;
    (void)kata__is_picture_conv(l->copy.from, core, &conv);
    bool flipped = core->op == &kata__op_kata_ConvGradInput;
    v = conv;
    if (flipped) {
        (void)kata__flips(&conv, &v);
    }
    kata__conv_algorithm algorithm =
        kata__winograd_pays(&v, flipped ? KATA__CONV_INPUT : KATA__CONV_FORWARD);
    KATA__TRY(as_nhwc(l, core->inputs[0], &inputs[0]));
    KATA__TRY(packed_weight(l, core, core->inputs[1], &v, algorithm, flipped, &inputs[1]));
    KATA__TRY(as_nchw(l, core->n_inputs > 2 ? core->inputs[2] : KATA_NONE, &inputs[2]));
    if (group->residual.id != 0) {
        KATA__TRY(as_nhwc(l, group->residual, &inputs[3]));
    }
    if (group->mask.id != 0) {
        KATA__TRY(as_nhwc(l, group->mask, &inputs[4]));
    }
    int n_inputs = 5;
    while (inputs[n_inputs - 1].id == 0) {
        n_inputs--;
    }
    conv_attributes a;
    set_conv(&a, &v, algorithm);
    bool to_nchw = is_wanted_nchw(l, group, algorithm);
    a.list[a.n++] = (kata_attribute)KATA_INT("nchw", to_nchw);
    a.list[a.n++] = (kata_attribute)KATA_INT("pool", group->pool >= 0);
    a.list[a.n++] = (kata_attribute)KATA_INT("relu", group->relu);
    a.list[a.n++] = (kata_attribute)KATA_INT("flipped", flipped);
    a.list[a.n++] = (kata_attribute)KATA_INTS_OF("weight", a.weight, 4);
    int n_outputs = group->gradient.id != 0 ? 2 : 1;
    KATA__TRY(
        add(l, core->name, "kata:ConvNhwc", inputs, n_inputs, a.list, a.n, outputs, n_outputs));
    if (n_outputs > 1) {
        l->twins[group->result.id].index = outputs[1];
        KATA__TRY(kata__copy_name(&l->copy, group->result, outputs[1], "index"));
    }
    return to_nchw ? set_nchw(l, group->result, outputs[0])
                   : set_nhwc(l, group->result, outputs[0]);
}

/* The gradient by the bias of the same dy; NULL if there is none. */
static const kata__node *bias_gradient(const layout *l, kata_value dy) {
    const kata__fusion *f = &l->fusion;
    for (int32_t i = f->first_use[dy.id]; i < f->first_use[dy.id + 1]; i++) {
        const kata__node *node = &l->copy.from->nodes[f->uses[i]];
        if (node->op == &kata__op_kata_ConvGradBias && l->copy.map[node->outputs[0].id].id == 0) {
            return node;
        }
    }
    return NULL;
}

/* A pooled gradient that came NCHW and that nothing but the gradients by weight and bias reads is
 * transposed by their kernel. */
static bool is_read_nchw(const layout *l, kata_value dy, const kata__group *group,
                         kata__conv_algorithm algorithm, int n_readers) {
    const kata__fusion *f = &l->fusion;
    const kata_shape *shape = &type_of(l, group->from)->shape;
    return algorithm == KATA__CONV_DIRECT && shape->dim[1] > 1 &&
           shape->dim[2] * shape->dim[3] > 1 && l->copy.map[group->from.id].id != 0 &&
           l->twins[group->from.id].nhwc.id == 0 &&
           f->first_use[group->from.id + 1] - f->first_use[group->from.id] == 1 &&
           f->first_use[dy.id + 1] - f->first_use[dy.id] == n_readers;
}

static kata_status copy_weight_gradient(layout *l, const kata__node *node, const kata__conv *v) {
    kata_value x = node->inputs[0], dy = node->inputs[1], inputs[3], outputs[2];
    const kata__node *bias = bias_gradient(l, dy);
    int32_t pooled = l->fusion.spread_of[dy.id];
    kata__conv_algorithm algorithm = kata__winograd_pays(v, KATA__CONV_WEIGHT);
    bool is_nchw = false;
    int n_inputs = 2;
    KATA__TRY(as_nhwc(l, x, &inputs[0]));
    if (pooled >= 0 && l->twins[dy.id].nhwc.id == 0) {
        const kata__group *group = &l->fusion.groups[pooled];
        is_nchw = is_read_nchw(l, dy, group, algorithm, bias != NULL ? 2 : 1);
        KATA__TRY(is_nchw ? as_nchw(l, group->from, &inputs[1])
                          : as_nhwc(l, group->from, &inputs[1]));
        inputs[n_inputs++] = l->twins[group->result.id].index;
    } else {
        KATA__TRY(as_nhwc(l, dy, &inputs[1]));
    }
    conv_attributes a;
    set_conv(&a, v, algorithm);
    a.list[a.n++] = (kata_attribute)KATA_INTS_OF("kernel", a.kernel, 2);
    a.list[a.n++] = (kata_attribute)KATA_INT("nchw", is_nchw);
    KATA__TRY(add(l, node->name, "kata:ConvNhwcGradWeight", inputs, n_inputs, a.list, a.n, outputs,
                  bias != NULL ? 2 : 1));
    if (bias != NULL) {
        KATA__TRY(set_nchw(l, bias->outputs[0], outputs[1]));
    }
    return set_nchw(l, node->outputs[0], outputs[0]);
}

/* Has a twin that is NHWC already, and no NCHW one. */
static bool is_nhwc(const layout *l, kata_value old) {
    const twins *t = &l->twins[old.id];
    return l->copy.map[old.id].id == 0 &&
           (t->nhwc.id != 0 || (old.id != 0 && l->fusion.spread_of[old.id] >= 0));
}

/* --- products -------------------------------------------------------------------------------- */

static int32_t sole_use(const layout *l, kata_value value) {
    const kata__fusion *f = &l->fusion;
    int32_t first = f->first_use[value.id];
    return f->first_use[value.id + 1] - first == 1 && !f->is_output[value.id] ? f->uses[first] : -1;
}

/* What leads to a product's operand A by shape and factor alone: `base` is A before that. */
typedef struct source {
    kata_value base;
    double factor;
} source;

/* Goes one step up from `value` if its node only reshapes or multiplies by a number, for this one
 * use. */
static const kata__node *step_up(const layout *l, kata_value value, source *s) {
    const kata__value_info *info = &l->copy.from->values[value.id];
    const kata__node *node =
        info->kind == KATA__VALUE_NODE ? &l->copy.from->nodes[info->node] : NULL;
    if (node == NULL || sole_use(l, value) < 0 || info->type.dtype != KATA_F32) {
        return NULL;
    }
    if (node->op == &kata__op_Flatten || node->op == &kata__op_Reshape) {
        s->base = node->inputs[0];
        return node;
    }
    double factor = 1;
    int k = 0;
    while (k < node->n_inputs && !kata__node_scale(l->copy.from, node, k, &factor)) {
        k++;
    }
    if (k == node->n_inputs) {
        return NULL;
    }
    s->base = node->inputs[k];
    s->factor *= factor;
    return node;
}

/* Where weights stand still, shape and factor go into the product; in training they would have to
 * go into the gradients too. */
static source source_of(layout *l, const kata__node *gemm, bool defer) {
    source s = {.base = gemm->inputs[0], .factor = 1};
    const kata__node *node;
    while (!l->updates && (node = step_up(l, s.base, &s)) != NULL) {
        if (defer) {
            l->deferred[node - l->copy.from->nodes] = true;
        }
    }
    return s;
}

/* The weight of a product with its rows, in the order of (C,H,W), in the order of (H,W,C): so that
 * NHWC features need not be transposed. With transB these are its columns. */
static kata_status nhwc_rows(layout *l, const kata__node *gemm, const kata_shape *picture,
                             bool swap_b, kata_value *weight) {
    static const int64_t rows_perm[3] = {1, 0, 2}, columns_perm[3] = {0, 2, 1};
    const kata_shape *shape = &type_of(l, gemm->inputs[1])->shape;
    int64_t c = picture->dim[1], plane = picture->dim[2] * picture->dim[3];
    int64_t other = shape->dim[swap_b ? 0 : 1];
    kata_shape split = swap_b ? KATA_SHAPE_OF(other, c, plane) : KATA_SHAPE_OF(c, plane, other);
    const kata_attribute perm = KATA_INTS_OF("perm", swap_b ? columns_perm : rows_perm, 3);
    char name[256];
    snprintf(name, sizeof name, "%.200s/weight", gemm->name);
    KATA__TRY(as_nchw(l, gemm->inputs[1], weight));
    kata_value parts, transposed;
    KATA__TRY(reshape(l, name, *weight, &split, &parts));
    KATA__TRY(add(l, name, "Transpose", &parts, 1, &perm, 1, &transposed, 1));
    return reshape(l, name, transposed, shape, weight);
}

/* Operand A of a product, and its weight if that must follow. */
static kata_status product_operands(layout *l, const kata__node *gemm, const source *s, bool swap_a,
                                    bool swap_b, kata_value *inputs) {
    const kata_shape *a = &type_of(l, gemm->inputs[0])->shape;
    const kata_shape *base = &type_of(l, s->base)->shape;
    kata__value_kind kind = l->copy.from->values[gemm->inputs[1].id].kind;
    bool stands = kind == KATA__VALUE_VARIABLE || kind == KATA__VALUE_CONSTANT;
    bool features = base->rank == 4 && a->dim[0] == base->dim[0] && !swap_a;
    if (stands && features && !l->updates && is_nhwc(l, s->base)) {
        KATA__TRY(as_nhwc(l, s->base, &inputs[0]));
        KATA__TRY(reshape(l, gemm->name, inputs[0], a, &inputs[0]));
        return nhwc_rows(l, gemm, base, swap_b, &inputs[1]);
    }
    KATA__TRY(as_nchw(l, s->base, &inputs[0]));
    if (!kata_shape_equal(base, a)) {
        KATA__TRY(reshape(l, gemm->name, inputs[0], a, &inputs[0]));
    }
    return as_nchw(l, gemm->inputs[1], &inputs[1]);
}

static kata_status copy_gemm(layout *l, const kata__group *group) {
    const kata__node *core = &l->copy.from->nodes[group->core];
    kata_value inputs[4] = {KATA_NONE}, out;
    kata_attribute list[KATA_MAX_ATTRIBUTES + 2];
    int n_inputs = 2, n = 0, n_given = kata_attributes_given(core->op, core->attributes, list);
    double alpha = 1;
    bool swap_a = false, swap_b = false;
    for (int i = 0; i < n_given; i++) {
        swap_a = swap_a || (strcmp(list[i].name, "transA") == 0 && list[i].i != 0);
        swap_b = swap_b || (strcmp(list[i].name, "transB") == 0 && list[i].i != 0);
        if (strcmp(list[i].name, "alpha") == 0) {
            alpha = list[i].f;
        } else {
            list[n++] = list[i];
        }
    }
    source s = source_of(l, core, false);
    KATA__TRY(product_operands(l, core, &s, swap_a, swap_b, inputs));
    if (core->n_inputs > 2) {
        KATA__TRY(as_nchw(l, core->inputs[2], &inputs[2]));
        n_inputs = 3;
    }
    alpha *= s.factor;
    list[n++] = (kata_attribute)KATA_FLOAT("alpha", alpha);
    if (!group->relu && group->mask.id == 0 && s.factor == 1) {
        KATA__TRY(add(l, core->name, "Gemm", inputs, n_inputs, list, n, &out, 1));
        return set_nchw(l, group->result, out);
    }
    list[n++] = (kata_attribute)KATA_INT("relu", group->relu);
    if (group->mask.id != 0) {
        KATA__TRY(as_nchw(l, group->mask, &inputs[3]));
        n_inputs = 4;
    }
    KATA__TRY(add(l, core->name, "kata:GemmFused", inputs, n_inputs, list, n, &out, 1));
    return set_nchw(l, group->result, out);
}

/* --- pools ----------------------------------------------------------------------------------- */

static bool is_max_gradient_of(const kata__node *gradient, const kata__node *pool) {
    return gradient->op == &kata__op_kata_MaxPoolGrad &&
           gradient->inputs[0].id == pool->inputs[0].id &&
           gradient->inputs[1].id == pool->outputs[0].id;
}

static kata_status copy_max_pool(layout *l, const kata__node *node, const kata__conv *v) {
    const kata__fusion *f = &l->fusion;
    int32_t result = node->outputs[0].id;
    bool has_gradient = false;
    for (int32_t i = f->first_use[result]; i < f->first_use[result + 1]; i++) {
        has_gradient = has_gradient || is_max_gradient_of(&l->copy.from->nodes[f->uses[i]], node);
    }
    kata_value x, outputs[2];
    pool_attributes a;
    set_pool(&a, v, false);
    KATA__TRY(as_nhwc(l, node->inputs[0], &x));
    KATA__TRY(
        add(l, node->name, "kata:MaxPoolNhwc", &x, 1, a.list, a.n, outputs, has_gradient ? 2 : 1));
    if (has_gradient) {
        l->twins[result].index = outputs[1];
        KATA__TRY(kata__copy_name(&l->copy, node->outputs[0], outputs[1], "index"));
    }
    return set_nhwc(l, node->outputs[0], outputs[0]);
}

static kata_status copy_pool(layout *l, const kata__node *node, const char *op, kata_value index,
                             kata_value dy, const kata__conv *v, bool is_gradient,
                             const bool *count_pad) {
    kata_value inputs[2] = {KATA_NONE, index}, out;
    pool_attributes a;
    set_pool(&a, v, is_gradient);
    if (count_pad != NULL) {
        a.list[a.n++] = (kata_attribute)KATA_INT("count_include_pad", *count_pad);
    }
    KATA__TRY(as_nhwc(l, dy, &inputs[0]));
    KATA__TRY(add(l, node->name, op, inputs, index.id != 0 ? 2 : 1, a.list, a.n, &out, 1));
    return set_nhwc(l, node->outputs[0], out);
}

/* Pools of what is NHWC, and their gradients. *done: the node was such a one. */
static kata_status try_pool(layout *l, const kata__node *node, bool *done) {
    kata_tensor inputs[KATA_MAX_INPUTS], outputs[KATA_MAX_OUTPUTS];
    kata__conv v;
    bool count_pad, is_max = node->op == &kata__op_MaxPool;
    bool is_average = node->op == &kata__op_AveragePool;
    bool is_max_gradient = node->op == &kata__op_kata_MaxPoolGrad;
    bool is_average_gradient = node->op == &kata__op_kata_AveragePoolGrad;
    const kata_type *type = type_of(l, node->inputs[0]);
    if ((!is_max && !is_average && !is_max_gradient && !is_average_gradient) ||
        type->dtype != KATA_F32 || type->shape.rank != 4 || node->n_outputs != 1) {
        return KATA_OK;
    }
    kata_call call = kata__node_call(l->copy.from, node, inputs, outputs);
    if (!kata__pool_problem(&call, &v, &count_pad) || v.kh * v.kw > 255) {
        return KATA_OK;
    }
    if (is_max_gradient) {
        kata_value index = l->twins[node->inputs[1].id].index;
        *done = index.id != 0;
        return *done ? copy_pool(l, node, "kata:MaxPoolNhwcGrad", index, node->inputs[2], &v, true,
                                 NULL)
                     : KATA_OK;
    }
    *done = is_nhwc(l, node->inputs[0]);
    if (!*done) {
        return KATA_OK;
    }
    return is_max ? copy_max_pool(l, node, &v)
                  : copy_pool(l, node,
                              is_average ? "kata:AveragePoolNhwc" : "kata:AveragePoolNhwcGrad",
                              KATA_NONE, node->inputs[0], &v, is_average_gradient, &count_pad);
}

/* The mean of each plane is a pool with one window; its result, one number a channel, is the same
 * in both layouts. */
static kata_status copy_global_pool(layout *l, const kata__node *node) {
    const kata_shape *x = &type_of(l, node->inputs[0])->shape;
    kata__conv v = {.h = x->dim[2],
                    .w = x->dim[3],
                    .kh = x->dim[2],
                    .kw = x->dim[3],
                    .oh = 1,
                    .ow = 1,
                    .stride_h = 1,
                    .stride_w = 1,
                    .dilation_h = 1,
                    .dilation_w = 1};
    bool count_pad = false;
    return copy_pool(l, node, "kata:AveragePoolNhwc", KATA_NONE, node->inputs[0], &v, false,
                     &count_pad);
}

/* --- everything else ------------------------------------------------------------------------- */

/* The node itself, on the twins that `inputs` holds. */
static kata_status add_same(layout *l, const kata__node *node, const kata_value *inputs,
                            kata_value *outputs) {
    return kata__copy_node_on(&l->copy, node, node->name, inputs, outputs);
}

static kata_status copy_nchw(layout *l, const kata__node *node) {
    kata_value inputs[KATA_MAX_INPUTS], outputs[KATA_MAX_OUTPUTS];
    for (int k = 0; k < node->n_inputs; k++) {
        KATA__TRY(as_nchw(l, node->inputs[k], &inputs[k]));
    }
    KATA__TRY(add_same(l, node, inputs, outputs));
    for (int k = 0; k < node->n_outputs; k++) {
        KATA__TRY(set_nchw(l, node->outputs[k], outputs[k]));
    }
    return KATA_OK;
}

/* Element by element, and of one shape but for single numbers: any order of the elements will do.
 * It is done in the order of an input that is NHWC. */
static bool runs_nhwc(const layout *l, const kata__node *node) {
    const kata_shape *shape = &type_of(l, node->outputs[0])->shape;
    bool any = false;
    if ((node->op->flags & KATA_OP_ELEMENTWISE) == 0 ||
        (node->op->flags & (KATA_OP_RANDOM | KATA_OP_UPDATE)) != 0 || node->n_outputs != 1 ||
        shape->rank != 4 || kata_shape_count(shape) == 0) {
        return false;
    }
    for (int k = 0; k < node->n_inputs; k++) {
        if (node->inputs[k].id == 0) {
            continue;
        }
        const kata_shape *in = &type_of(l, node->inputs[k])->shape;
        if (kata_shape_equal(in, shape)) {
            any = any || is_nhwc(l, node->inputs[k]);
        } else if (kata_shape_count(in) != 1) {
            return false;
        }
    }
    return any;
}

static kata_status copy_nhwc(layout *l, const kata__node *node) {
    const kata_shape *shape = &type_of(l, node->outputs[0])->shape;
    kata_value inputs[KATA_MAX_INPUTS], out;
    for (int k = 0; k < node->n_inputs; k++) {
        bool is_full =
            node->inputs[k].id != 0 && kata_shape_equal(&type_of(l, node->inputs[k])->shape, shape);
        KATA__TRY(is_full ? as_nhwc(l, node->inputs[k], &inputs[k])
                          : as_nchw(l, node->inputs[k], &inputs[k]));
    }
    KATA__TRY(add_same(l, node, inputs, &out));
    return set_nhwc(l, node->outputs[0], out);
}

/* Batch normalisation looks at a value (N,H,W,C) as rows of C numbers, (N H W, C). Its inputs 0
 * and, in the gradient, of the same shape, and its output 0 are NHWC; the others are
 * vectors. */
static bool is_batch_norm(const layout *l, const kata__node *node) {
    const kata_type *type = type_of(l, node->outputs[0]);
    return (node->op == &kata__op_BatchNormalization || node->op == &kata__op_kata_BatchNormGrad) &&
           type->shape.rank == 4 && kata_shape_count(&type->shape) > 0 &&
           (is_nhwc(l, node->inputs[0]) || is_nhwc(l, node->inputs[1]));
}

static kata_status copy_batch_norm(layout *l, const kata__node *node) {
    const kata_shape *shape = &type_of(l, node->outputs[0])->shape;
    kata_shape rows = KATA_SHAPE_OF(shape->dim[0] * shape->dim[2] * shape->dim[3], shape->dim[1]);
    kata_shape whole = nhwc_shape(shape);
    kata_value inputs[KATA_MAX_INPUTS], outputs[KATA_MAX_OUTPUTS];
    for (int k = 0; k < node->n_inputs; k++) {
        if (node->inputs[k].id != 0 &&
            kata_shape_equal(&type_of(l, node->inputs[k])->shape, shape)) {
            KATA__TRY(as_nhwc(l, node->inputs[k], &inputs[k]));
            KATA__TRY(reshape(l, node->name, inputs[k], &rows, &inputs[k]));
        } else {
            KATA__TRY(as_nchw(l, node->inputs[k], &inputs[k]));
        }
    }
    KATA__TRY(add_same(l, node, inputs, outputs));
    for (int k = 1; k < node->n_outputs; k++) {
        KATA__TRY(set_nchw(l, node->outputs[k], outputs[k]));
    }
    kata_value y;
    KATA__TRY(reshape(l, node->name, outputs[0], &whole, &y));
    return set_nhwc(l, node->outputs[0], y);
}

static kata_status copy_node(kata__copier *copier, size_t at) {
    layout *l = (layout *)copier;
    const int32_t i = (int32_t)at;
    const kata__node *node = &l->copy.from->nodes[i];
    kata__conv conv;
    bool done = false;
    int32_t g = l->fusion.group_of[i];
    if (g >= 0) {
        const kata__group *group = &l->fusion.groups[g];
        bool is_gemm = l->copy.from->nodes[group->core].op == &kata__op_Gemm;
        return group->last != i ? KATA_OK : is_gemm ? copy_gemm(l, group) : copy_conv(l, group);
    }
    if (l->deferred[i]) {
        return KATA_OK;
    }
    if (node->op == &kata__op_kata_ConvGradWeight &&
        kata__is_picture_conv(l->copy.from, node, &conv)) {
        return copy_weight_gradient(l, node, &conv);
    }
    if (node->op == &kata__op_kata_ConvGradBias && l->copy.map[node->outputs[0].id].id != 0) {
        return KATA_OK;
    }
    KATA__TRY(try_pool(l, node, &done));
    if (done) {
        return KATA_OK;
    }
    if (node->op == &kata__op_GlobalAveragePool && is_nhwc(l, node->inputs[0]) &&
        type_of(l, node->inputs[0])->dtype == KATA_F32) {
        return copy_global_pool(l, node);
    }
    if (is_batch_norm(l, node)) {
        return copy_batch_norm(l, node);
    }
    return runs_nhwc(l, node) ? copy_nhwc(l, node) : copy_nchw(l, node);
}

/* What is known before anything is copied. */
static void look(layout *l) {
    const kata_graph *from = l->copy.from;
    for (size_t i = 0; i < from->n_nodes; i++) {
        const kata__node *node = &from->nodes[i];
        l->updates = l->updates || (!node->removed && (node->op->flags & KATA_OP_UPDATE) != 0);
    }
    for (size_t i = 0; i < l->fusion.n_groups; i++) {
        const kata__node *core = &from->nodes[l->fusion.groups[i].core];
        if (core->op == &kata__op_Gemm) {
            (void)source_of(l, core, true);
        }
    }
}

kata_status kata_graph_optimize(kata_graph **out, const kata_graph *graph) {
    if (graph->status != KATA_OK) {
        return kata_fail(graph->status, "%s", kata_graph_message(graph));
    }
    layout l = {.copy = {.from = graph, .node = copy_node, .make = make_nchw}};
    l.twins = kata__alloc_zero(graph->context, graph->n_values, sizeof *l.twins);
    l.deferred = kata__alloc_zero(graph->context, graph->n_nodes + 1, sizeof *l.deferred);
    kata_status status = l.twins == NULL || l.deferred == NULL
                             ? KATA_OUT_OF_MEMORY
                             : kata__fusion_find(&l.fusion, graph);
    if (status == KATA_OK) {
        look(&l);
        status = kata__copy_graph(&l.copy);
        kata__fusion_free(&l.fusion, graph->context);
    }
    kata__free(graph->context, l.twins);
    kata__free(graph->context, l.deferred);
    if (status == KATA_OK) {
        l.copy.to->prepares = !l.updates;
        *out = l.copy.to;
    }
    return status;
}
