/* Convolution (cross-correlation), transposed convolution and their gradients. */
#include "op/batch.h"
#include "op/gradient.h"
#include "op/infer.h"

#include "base/check.h"
#include "kernel/conv.h"
#include "kernel/elementwise.h"
#include "op/problem.h"
#include "op/rules.h"
#include "op/window.h"

/* ---- Plain loops, on the kernels' description. One spatial axis is a height of 1. ---- */

typedef struct plain {
    kata_dtype dtype;
    const void *a, *b, *bias; /* bias may be NULL */
    void *out;
} plain;

/* y[n,f,oy,ox] = bias[f] + sum over c of the group, ky, kx of
 *                x[n, c, oy stride - pad + ky dilation, ...] w[f, c, ky, kx]; outside x is 0. */
static void plain_forward(const plain *p, const kata__conv *v) {
    int64_t group_c = v->c / v->groups, group_f = v->f / v->groups, at = 0;
    for (int64_t n = 0; n < v->n; n++) {
        for (int64_t f = 0; f < v->f; f++) {
            int64_t first_c = f / group_f * group_c;
            for (int64_t oy = 0; oy < v->oh; oy++) {
                for (int64_t ox = 0; ox < v->ow; ox++) {
                    double sum = p->bias == NULL ? 0 : kata_load(p->dtype, p->bias, f);
                    for (int64_t c = 0; c < group_c; c++) {
                        for (int64_t ky = 0; ky < v->kh; ky++) {
                            int64_t iy = oy * v->stride_h - v->pad_top + ky * v->dilation_h;
                            for (int64_t kx = 0; kx < v->kw; kx++) {
                                int64_t ix = ox * v->stride_w - v->pad_left + kx * v->dilation_w;
                                if (iy < 0 || iy >= v->h || ix < 0 || ix >= v->w) {
                                    continue;
                                }
                                int64_t in_x = ((n * v->c + first_c + c) * v->h + iy) * v->w + ix;
                                int64_t in_w = ((f * group_c + c) * v->kh + ky) * v->kw + kx;
                                sum += kata_load(p->dtype, p->a, in_x) *
                                       kata_load(p->dtype, p->b, in_w);
                            }
                        }
                    }
                    kata_store(p->dtype, p->out, at++, sum);
                }
            }
        }
    }
}

/* The output position whose tap k lies at input position i; -1 if there is none. */
static int64_t window_at(int64_t i, int64_t k, int64_t pad, int64_t stride, int64_t dilation,
                         int64_t out) {
    int64_t at = i + pad - k * dilation;
    return at >= 0 && at % stride == 0 && at / stride < out ? at / stride : -1;
}

/* dx[n,c,iy,ix] = sum over f of the group and the taps (ky,kx) that lie at (iy,ix) of
 *                 dy[n, f, oy, ox] w[f, c, ky, kx] (+ bias[c], for ConvTranspose) */
static void plain_input(const plain *p, const kata__conv *v) {
    int64_t group_c = v->c / v->groups, group_f = v->f / v->groups, at = 0;
    for (int64_t n = 0; n < v->n; n++) {
        for (int64_t c = 0; c < v->c; c++) {
            int64_t first_f = c / group_c * group_f;
            for (int64_t iy = 0; iy < v->h; iy++) {
                for (int64_t ix = 0; ix < v->w; ix++) {
                    double sum = p->bias == NULL ? 0 : kata_load(p->dtype, p->bias, c);
                    for (int64_t f = first_f; f < first_f + group_f; f++) {
                        for (int64_t ky = 0; ky < v->kh; ky++) {
                            int64_t oy =
                                window_at(iy, ky, v->pad_top, v->stride_h, v->dilation_h, v->oh);
                            for (int64_t kx = 0; kx < v->kw; kx++) {
                                int64_t ox = window_at(ix, kx, v->pad_left, v->stride_w,
                                                       v->dilation_w, v->ow);
                                if (oy < 0 || ox < 0) {
                                    continue;
                                }
                                int64_t in_y = ((n * v->f + f) * v->oh + oy) * v->ow + ox;
                                int64_t in_w =
                                    ((f * group_c + c % group_c) * v->kh + ky) * v->kw + kx;
                                sum += kata_load(p->dtype, p->a, in_y) *
                                       kata_load(p->dtype, p->b, in_w);
                            }
                        }
                    }
                    kata_store(p->dtype, p->out, at++, sum);
                }
            }
        }
    }
}

/* dw[f,c,ky,kx] = sum over n, oy, ox of x[n, c, iy, ix] dy[n, f, oy, ox], (iy,ix) as in the forward
 * pass. */
static void plain_weight(const plain *p, const kata__conv *v) {
    int64_t group_c = v->c / v->groups, group_f = v->f / v->groups, at = 0;
    for (int64_t f = 0; f < v->f; f++) {
        for (int64_t c = f / group_f * group_c; c < (f / group_f + 1) * group_c; c++) {
            for (int64_t ky = 0; ky < v->kh; ky++) {
                for (int64_t kx = 0; kx < v->kw; kx++) {
                    double sum = 0;
                    for (int64_t n = 0; n < v->n; n++) {
                        for (int64_t oy = 0; oy < v->oh; oy++) {
                            int64_t iy = oy * v->stride_h - v->pad_top + ky * v->dilation_h;
                            for (int64_t ox = 0; ox < v->ow; ox++) {
                                int64_t ix = ox * v->stride_w - v->pad_left + kx * v->dilation_w;
                                if (iy < 0 || iy >= v->h || ix < 0 || ix >= v->w) {
                                    continue;
                                }
                                sum += kata_load(p->dtype, p->a,
                                                 ((n * v->c + c) * v->h + iy) * v->w + ix) *
                                       kata_load(p->dtype, p->b,
                                                 ((n * v->f + f) * v->oh + oy) * v->ow + ox);
                            }
                        }
                    }
                    kata_store(p->dtype, p->out, at++, sum);
                }
            }
        }
    }
}

static plain plain_of(const kata_call *call) {
    return (plain){.dtype = call->outputs[0].dtype,
                   .a = call->inputs[0].data,
                   .b = call->n_inputs > 1 ? call->inputs[1].data : NULL,
                   .bias = kata__call_has(call, 2) ? call->inputs[2].data : NULL,
                   .out = call->outputs[0].data};
}

/* The kernels want float32 or float64 and no empty axis. */
static bool is_fast(const kata_call *call, const kata__conv *v) {
    return kata__is_fast(call->outputs[0].dtype) && v->n > 0 && v->c > 0 && v->f > 0 && v->h > 0 &&
           v->w > 0 && v->oh > 0 && v->ow > 0;
}

static size_t workspace(const kata_call *call, const kata__conv *v, kata__conv_what what) {
    return is_fast(call, v) ? kata__conv_workspace(call->context, call->outputs[0].dtype, v, what)
                            : 0;
}

/* Multiply-adds are two operations; taps on the padding are not counted. */
static double flops(const kata__conv *v) {
    return 2.0 * (double)v->n * (double)v->f * (double)(v->c / v->groups) * kata__window_taps(v);
}

/* "(2,4,5,5)" of input i of a rule. */
static const char *input_text(const kata_infer *infer, int i, char text[KATA_SHAPE_TEXT_SIZE]) {
    return kata_shape_text(&infer->inputs[i].shape, text);
}

static kata_status check_groups(const kata_infer *infer, int64_t groups, int64_t size,
                                const char *what) {
    if (groups < 1) {
        return kata_fail(KATA_INVALID, "%s: group is %lld, expected 1 or more", infer->op->name,
                         (long long)groups);
    }
    if (size >= 0 && size % groups != 0) {
        return kata_fail(KATA_SHAPE, "%s: %lld %s do not divide into %lld groups", infer->op->name,
                         (long long)size, what, (long long)groups);
    }
    return KATA_OK;
}

/* ---- Conv ---- */

enum { CONV_AUTO_PAD, CONV_DILATIONS, CONV_GROUP, CONV_KERNEL, CONV_PADS, CONV_STRIDES };
static const kata_attribute_spec conv_attributes[] = {
    {.name = "auto_pad",
     .type = KATA_ATTRIBUTE_STRING,
     .default_string = "NOTSET",
     .doc =
         "NOTSET: pads; SAME_UPPER, SAME_LOWER: output size ceil(input / stride), the odd pad at "
         "the end or begin; VALID: none"},
    {.name = "dilations", .type = KATA_ATTRIBUTE_INTS, .doc = "distance of the taps; 1s"},
    {.name = "group",
     .type = KATA_ATTRIBUTE_INT,
     .default_int = 1,
     .doc =
         "channels in so many groups that do not see each other; as many as channels: depth-wise"},
    {.name = "kernel_shape", .type = KATA_ATTRIBUTE_INTS, .doc = "window; the weight's sizes"},
    {.name = "pads",
     .type = KATA_ATTRIBUTE_INTS,
     .doc = "zeros before each spatial axis, then behind each; 0s"},
    {.name = "strides", .type = KATA_ATTRIBUTE_INTS, .doc = "step of the window; 1s"},
    {0}};

static kata__window_attributes conv_window_attributes(const kata_attribute_value *attributes) {
    return (kata__window_attributes){.auto_pad = &attributes[CONV_AUTO_PAD],
                                     .kernel_shape = &attributes[CONV_KERNEL],
                                     .strides = &attributes[CONV_STRIDES],
                                     .dilations = &attributes[CONV_DILATIONS],
                                     .pads = &attributes[CONV_PADS]};
}

static kata_status check_weight_rank(const kata_infer *infer) {
    if (infer->inputs[1].shape.rank != infer->inputs[0].shape.rank) {
        char x[KATA_SHAPE_TEXT_SIZE], w[KATA_SHAPE_TEXT_SIZE];
        return kata_fail(KATA_SHAPE,
                         "%s: the input %s has rank %d, but the weight %s has rank %d, expected "
                         "the same",
                         infer->op->name, input_text(infer, 0, x), infer->inputs[0].shape.rank,
                         input_text(infer, 1, w), infer->inputs[1].shape.rank);
    }
    return KATA_OK;
}

static kata_status conv_infer(kata_infer *infer) {
    const kata_shape *x = &infer->inputs[0].shape, *w = &infer->inputs[1].shape;
    int64_t groups = infer->attributes[CONV_GROUP].i;
    KATA__TRY(kata__infer_float(infer, 0, true));
    KATA__TRY(kata__rule_same_dtype(infer, 1, 2));
    KATA__TRY(kata__rule_rank(infer, 0, 3, 0, "(N,C,W) or (N,C,H,W)"));
    KATA__TRY(check_weight_rank(infer));
    KATA__TRY(check_groups(infer, groups, x->dim[1], "channels of the input"));
    KATA__TRY(check_groups(infer, groups, w->dim[0], "filters of the weight"));
    if (w->dim[1] >= 0 && x->dim[1] >= 0 && x->dim[1] / groups != w->dim[1]) {
        char text_x[KATA_SHAPE_TEXT_SIZE], text_w[KATA_SHAPE_TEXT_SIZE];
        return kata_fail(KATA_SHAPE,
                         "Conv: the input %s has %lld channels in %lld group%s, but the weight %s "
                         "has %lld channels, expected %lld",
                         input_text(infer, 0, text_x), (long long)x->dim[1], (long long)groups,
                         groups == 1 ? "" : "s", input_text(infer, 1, text_w), (long long)w->dim[1],
                         (long long)(x->dim[1] / groups));
    }
    KATA__TRY(kata__rule_vector(infer, 2, "bias", w->dim[0], "filter"));
    kata__window window;
    kata__window_attributes attributes = conv_window_attributes(infer->attributes);
    KATA__TRY(kata__window_of(&window, infer->op, &attributes, x, w));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    infer->outputs[0].shape = kata__window_shape(&window, x->dim[0], w->dim[0], window.out);
    return kata__infer_fits(infer);
}

static kata__conv conv_of(const kata_call *call) {
    const kata_shape *x = &call->inputs[0].shape, *w = &call->inputs[1].shape;
    kata__window_attributes attributes = conv_window_attributes(call->attributes);
    kata__window window = {0}; /* the shape rule has checked that this cannot fail */
    (void)kata__window_of(&window, call->op, &attributes, x, w);
    return kata__window_conv(&window, x->dim[0], x->dim[1], w->dim[0],
                             call->attributes[CONV_GROUP].i);
}

static kata_status conv_reference(const kata_call *call) {
    kata__conv v = conv_of(call);
    plain p = plain_of(call);
    plain_forward(&p, &v);
    return KATA_OK;
}

static size_t conv_workspace(const kata_call *call) {
    kata__conv v = conv_of(call);
    return workspace(call, &v, KATA__CONV_FORWARD);
}

static kata_status conv_fast(const kata_call *call) {
    kata__conv v = conv_of(call);
    kata__conv_forward(call->context, call->outputs[0].dtype, &v, call->inputs[0].data,
                       call->inputs[1].data, kata__call_has(call, 2) ? call->inputs[2].data : NULL,
                       false, call->outputs[0].data, call->workspace);
    return KATA_OK;
}

static kata_kernel conv_choose(const kata_call *call) {
    kata__conv v = conv_of(call);
    return is_fast(call, &v) ? conv_fast : NULL;
}

static double conv_flops(const kata_call *call) {
    kata__conv v = conv_of(call);
    return flops(&v);
}

/* ---- The gradients' nodes ---- */

/* Attributes of all internal rows: the geometry with nothing left to work out. */
enum { GRAD_DILATIONS, GRAD_GROUP, GRAD_PADS, GRAD_SIZES, GRAD_STRIDES };
static const kata_attribute_spec grad_attributes[] = {
    {.name = "dilations", .type = KATA_ATTRIBUTE_INTS, .doc = "as the convolution's"},
    {.name = "group", .type = KATA_ATTRIBUTE_INT, .default_int = 1, .doc = "as the convolution's"},
    {.name = "pads", .type = KATA_ATTRIBUTE_INTS, .doc = "as the convolution's"},
    {.name = "sizes",
     .type = KATA_ATTRIBUTE_INTS,
     .required = true,
     .doc = "spatial sizes of the output"},
    {.name = "strides", .type = KATA_ATTRIBUTE_INTS, .doc = "as the convolution's"},
    {0}};

/* A node of an internal row. */
static kata_value grad_node(kata_graph *graph, const char *op, kata_value a, kata_value b,
                            const kata__window *window, int64_t groups, const int64_t sizes[2]) {
    int rank = window->rank, skip = 2 - rank;
    int64_t pads[4];
    for (int i = 0; i < rank; i++) {
        pads[i] = window->pad_begin[skip + i];
        pads[rank + i] = window->pad_end[skip + i];
    }
    return KATA_NODE_WITH(graph, op, KATA_INPUTS(a, b),
                          KATA_INTS_OF("dilations", window->dilation + skip, rank),
                          KATA_INT("group", groups), KATA_INTS_OF("pads", pads, 2 * rank),
                          KATA_INTS_OF("sizes", sizes + skip, rank),
                          KATA_INTS_OF("strides", window->stride + skip, rank));
}

/* dx = kata:ConvGradInput(dy, w), dw = kata:ConvGradWeight(x, dy), db = kata:ConvGradBias(dy).
 * (Book, the layer's backward: L5639-5683.) */
static kata_status conv_gradient(kata_gradient *g) {
    kata_graph *graph = g->graph;
    kata_value dy = g->output_gradients[0];
    kata_shape x = kata_value_shape(graph, g->inputs[0]), w = kata_value_shape(graph, g->inputs[1]);
    int64_t groups = g->attributes[CONV_GROUP].i;
    kata__window window;
    kata__window_attributes attributes = conv_window_attributes(g->attributes);
    KATA__TRY(kata__window_of(&window, g->op, &attributes, &x, &w));
    if (g->needed[0]) {
        g->input_gradients[0] =
            grad_node(graph, "kata:ConvGradInput", dy, g->inputs[1], &window, groups, window.in);
    }
    if (g->needed[1]) {
        g->input_gradients[1] = grad_node(graph, "kata:ConvGradWeight", g->inputs[0], dy, &window,
                                          groups, window.kernel);
    }
    if (g->n_inputs > 2 && g->needed[2]) {
        g->input_gradients[2] = KATA_NODE(graph, "kata:ConvGradBias", KATA_INPUTS(dy));
    }
    return kata_graph_status(graph);
}

const kata_op kata__op_Conv = {
    .name = "Conv",
    .domain = "",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 3,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = conv_attributes,
    .infer = conv_infer,
    .batch = kata__batch_first,
    .workspace = conv_workspace,
    .reference = conv_reference,
    .choose = conv_choose,
    .gradient = conv_gradient,
    .flops = conv_flops,
    .tolerance = 1e-5,
    .doc = "Convolution: x (N,C,H,W) or (N,C,W), weight (F,C/group,kh,kw), bias (F); "
           "output size floor((in + pads - ((kernel-1) dilation + 1)) / stride) + 1.",
};

/* Reads an internal row's attributes; the sizes go into `sizes`. */
static kata_status grad_window(kata__window *window, int64_t sizes[2], const kata_op *op,
                               const kata_attribute_value *attributes, const kata_shape *first) {
    kata__window_attributes list = {.strides = &attributes[GRAD_STRIDES],
                                    .dilations = &attributes[GRAD_DILATIONS],
                                    .pads = &attributes[GRAD_PADS]};
    bool same_upper, same_lower;
    KATA__TRY(kata__window_read(window, &same_upper, &same_lower, op, &list, first, NULL));
    if (attributes[GRAD_SIZES].n != window->rank) {
        return kata_fail(KATA_INVALID, "%s: sizes has %d numbers, expected %d", op->name,
                         attributes[GRAD_SIZES].n, window->rank);
    }
    sizes[0] = 1;
    for (int i = 0; i < window->rank; i++) {
        int64_t size = attributes[GRAD_SIZES].ints[i];
        if (size < 1 || size > INT32_MAX) {
            return kata_fail(KATA_INVALID, "%s: sizes[%d] is %lld, expected 1 or more", op->name, i,
                             (long long)size);
        }
        sizes[2 - window->rank + i] = size;
    }
    return KATA_OK;
}

static void spatial(int64_t to[2], const kata_shape *shape) {
    to[0] = shape->rank == 4 ? shape->dim[2] : 1;
    to[1] = shape->dim[shape->rank - 1];
}

static kata_status grad_check(const kata_infer *infer) {
    KATA__TRY(kata__infer_float(infer, 0, true));
    KATA__TRY(kata__rule_same_dtype(infer, 1, 1));
    KATA__TRY(kata__rule_rank(infer, 0, 3, 4, "(N,C,W) or (N,C,H,W)"));
    KATA__TRY(check_weight_rank(infer));
    return check_groups(infer, infer->attributes[GRAD_GROUP].i, KATA_UNKNOWN_DIM, "");
}

/* ---- kata:ConvGradInput (dy, w) -> dx ---- */

static kata_status grad_input_infer(kata_infer *infer) {
    kata__window window;
    int64_t sizes[2];
    const kata_shape *dy = &infer->inputs[0].shape, *w = &infer->inputs[1].shape;
    KATA__TRY(grad_check(infer));
    KATA__TRY(grad_window(&window, sizes, infer->op, infer->attributes, dy));
    int64_t c = w->dim[1], groups = infer->attributes[GRAD_GROUP].i;
    if (c < 0) {
        c = groups == 1 ? c : KATA_UNKNOWN_DIM;
    } else if (__builtin_mul_overflow(c, groups, &c)) {
        return kata_fail(KATA_LIMIT, "%s: group %lld is too large", infer->op->name,
                         (long long)groups);
    }
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    infer->outputs[0].shape = kata__window_shape(&window, dy->dim[0], c, sizes);
    return kata__infer_fits(infer);
}

static kata__conv grad_input_of(const kata_call *call) {
    const kata_shape *dy = &call->inputs[0].shape, *w = &call->inputs[1].shape;
    int64_t groups = call->attributes[GRAD_GROUP].i;
    kata__window window = {0};
    (void)grad_window(&window, window.in, call->op, call->attributes, dy);
    spatial(window.in, &call->outputs[0].shape);
    spatial(window.out, dy);
    spatial(window.kernel, w);
    return kata__window_conv(&window, dy->dim[0], w->dim[1] * groups, w->dim[0], groups);
}

static kata_status grad_input_reference(const kata_call *call) {
    kata__conv v = grad_input_of(call);
    plain p = plain_of(call);
    plain_input(&p, &v);
    return KATA_OK;
}

static size_t grad_input_workspace(const kata_call *call) {
    kata__conv v = grad_input_of(call);
    return workspace(call, &v, KATA__CONV_INPUT);
}

static kata_status grad_input_fast(const kata_call *call) {
    kata__conv v = grad_input_of(call);
    kata__conv_input(call->context, call->outputs[0].dtype, &v, call->inputs[0].data,
                     call->inputs[1].data, call->outputs[0].data, call->workspace);
    return KATA_OK;
}

static kata_kernel grad_input_choose(const kata_call *call) {
    kata__conv v = grad_input_of(call);
    return is_fast(call, &v) ? grad_input_fast : NULL;
}

static double grad_input_flops(const kata_call *call) {
    kata__conv v = grad_input_of(call);
    return flops(&v);
}

const kata_op kata__op_kata_ConvGradInput = {
    .name = "ConvGradInput",
    .domain = "kata",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = grad_attributes,
    .infer = grad_input_infer,
    .workspace = grad_input_workspace,
    .reference = grad_input_reference,
    .choose = grad_input_choose,
    .flops = grad_input_flops,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 1e-5,
    .doc = "(dy, weight) -> dx: the gradient of Conv by its input, of the given spatial sizes.",
};

/* ---- kata:ConvGradWeight (x, dy) -> dw ---- */

static kata_status grad_weight_infer(kata_infer *infer) {
    kata__window window;
    int64_t sizes[2];
    const kata_shape *x = &infer->inputs[0].shape, *dy = &infer->inputs[1].shape;
    KATA__TRY(grad_check(infer));
    KATA__TRY(grad_window(&window, sizes, infer->op, infer->attributes, x));
    int64_t groups = infer->attributes[GRAD_GROUP].i;
    KATA__TRY(check_groups(infer, groups, x->dim[1], "channels of the input"));
    KATA__TRY(check_groups(infer, groups, dy->dim[1], "filters"));
    if (!kata__size_agrees(x->dim[0], dy->dim[0])) {
        char text_x[KATA_SHAPE_TEXT_SIZE], text_y[KATA_SHAPE_TEXT_SIZE];
        return kata_fail(KATA_SHAPE, "%s: x %s and dy %s differ in the batch", infer->op->name,
                         input_text(infer, 0, text_x), input_text(infer, 1, text_y));
    }
    int64_t c = x->dim[1] >= 0 ? x->dim[1] / groups : groups == 1 ? x->dim[1] : KATA_UNKNOWN_DIM;
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    infer->outputs[0].shape = kata__window_shape(&window, dy->dim[1], c, sizes);
    return kata__infer_fits(infer);
}

static kata__conv grad_weight_of(const kata_call *call) {
    const kata_shape *x = &call->inputs[0].shape, *dy = &call->inputs[1].shape;
    kata__window window = {0};
    (void)grad_window(&window, window.kernel, call->op, call->attributes, x);
    spatial(window.in, x);
    spatial(window.out, dy);
    spatial(window.kernel, &call->outputs[0].shape);
    return kata__window_conv(&window, x->dim[0], x->dim[1], dy->dim[1],
                             call->attributes[GRAD_GROUP].i);
}

static kata_status grad_weight_reference(const kata_call *call) {
    kata__conv v = grad_weight_of(call);
    plain p = plain_of(call);
    plain_weight(&p, &v);
    return KATA_OK;
}

static size_t grad_weight_workspace(const kata_call *call) {
    kata__conv v = grad_weight_of(call);
    return workspace(call, &v, KATA__CONV_WEIGHT);
}

static kata_status grad_weight_fast(const kata_call *call) {
    kata__conv v = grad_weight_of(call);
    kata__conv_weight(call->context, call->outputs[0].dtype, &v, call->inputs[0].data,
                      call->inputs[1].data, call->outputs[0].data, call->workspace);
    return KATA_OK;
}

static kata_kernel grad_weight_choose(const kata_call *call) {
    kata__conv v = grad_weight_of(call);
    return is_fast(call, &v) ? grad_weight_fast : NULL;
}

static double grad_weight_flops(const kata_call *call) {
    kata__conv v = grad_weight_of(call);
    return flops(&v);
}

const kata_op kata__op_kata_ConvGradWeight = {
    .name = "ConvGradWeight",
    .domain = "kata",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = grad_attributes,
    .infer = grad_weight_infer,
    .workspace = grad_weight_workspace,
    .reference = grad_weight_reference,
    .choose = grad_weight_choose,
    .flops = grad_weight_flops,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 1e-5,
    .doc = "(x, dy) -> dw: the gradient of Conv by its weight, summed over the batch.",
};

kata__conv kata__conv_problem(const kata_call *call) {
    if (call->op == &kata__op_kata_ConvGradInput) {
        return grad_input_of(call);
    }
    return call->op == &kata__op_kata_ConvGradWeight ? grad_weight_of(call) : conv_of(call);
}

/* ---- kata:ConvGradBias (dy) -> db ---- */

static kata_status grad_bias_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_float(infer, 0, true));
    KATA__TRY(kata__rule_rank(infer, 0, 2, 0, "(N,F,...)"));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    infer->outputs[0].shape = KATA_SHAPE_OF(infer->inputs[0].shape.dim[1]);
    return KATA_OK;
}

static kata__conv grad_bias_of(const kata_call *call) {
    const kata_shape *dy = &call->inputs[0].shape;
    return (kata__conv){.n = dy->dim[0],
                        .f = dy->dim[1],
                        .c = dy->dim[1],
                        .oh = 1,
                        .ow = kata__product(dy, 2, dy->rank),
                        .h = 1,
                        .w = 1,
                        .kh = 1,
                        .kw = 1,
                        .stride_h = 1,
                        .stride_w = 1,
                        .dilation_h = 1,
                        .dilation_w = 1,
                        .groups = 1};
}

/* db[f] = sum over n and the positions of dy[n,f,..] */
static kata_status grad_bias_reference(const kata_call *call) {
    kata__conv v = grad_bias_of(call);
    kata_dtype dtype = call->outputs[0].dtype;
    for (int64_t f = 0; f < v.f; f++) {
        double sum = 0;
        for (int64_t n = 0; n < v.n; n++) {
            for (int64_t i = 0; i < v.ow; i++) {
                sum += kata_load(dtype, call->inputs[0].data, (n * v.f + f) * v.ow + i);
            }
        }
        kata_store(dtype, call->outputs[0].data, f, sum);
    }
    return KATA_OK;
}

static kata_status grad_bias_fast(const kata_call *call) {
    kata__conv v = grad_bias_of(call);
    kata__conv_bias(call->context, call->outputs[0].dtype, &v, call->inputs[0].data,
                    call->outputs[0].data);
    return KATA_OK;
}

static kata_kernel grad_bias_choose(const kata_call *call) {
    kata__conv v = grad_bias_of(call);
    return is_fast(call, &v) ? grad_bias_fast : NULL;
}

static double grad_bias_flops(const kata_call *call) {
    return (double)kata_tensor_count(&call->inputs[0]);
}

const kata_op kata__op_kata_ConvGradBias = {
    .name = "ConvGradBias",
    .domain = "kata",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = grad_bias_infer,
    .reference = grad_bias_reference,
    .choose = grad_bias_choose,
    .flops = grad_bias_flops,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 1e-5,
    .doc = "dy (N,F,...) -> db (F): the sum over all axes but the second.",
};

/* ---- ConvTranspose: the gradient of a convolution as an operator of its own ---- */

enum {
    UP_AUTO_PAD,
    UP_DILATIONS,
    UP_GROUP,
    UP_KERNEL,
    UP_OUTPUT_PADDING,
    UP_OUTPUT_SHAPE,
    UP_PADS,
    UP_STRIDES
};
static const kata_attribute_spec up_attributes[] = {
    {.name = "auto_pad",
     .type = KATA_ATTRIBUTE_STRING,
     .default_string = "NOTSET",
     .doc = "NOTSET: pads or output_shape; SAME_UPPER, SAME_LOWER: output size input * stride; "
            "VALID: no pads"},
    {.name = "dilations", .type = KATA_ATTRIBUTE_INTS, .doc = "distance of the taps; 1s"},
    {.name = "group", .type = KATA_ATTRIBUTE_INT, .default_int = 1, .doc = "groups of channels"},
    {.name = "kernel_shape", .type = KATA_ATTRIBUTE_INTS, .doc = "window; the weight's sizes"},
    {.name = "output_padding",
     .type = KATA_ATTRIBUTE_INTS,
     .doc = "rows and columns more at the end of the output; 0s"},
    {.name = "output_shape",
     .type = KATA_ATTRIBUTE_INTS,
     .doc = "spatial sizes of the output; the pads follow from them"},
    {.name = "pads", .type = KATA_ATTRIBUTE_INTS, .doc = "cut off the output; 0s"},
    {.name = "strides", .type = KATA_ATTRIBUTE_INTS, .doc = "step of the window; 1s"},
    {0}};

/* Seen from the convolution of which this is the gradient: `in` is ConvTranspose's output and `out`
 * its input. out = stride (in - 1) + output_padding + ((kernel-1) dilation + 1) - pads. */
static kata_status up_window(kata__window *window, const kata_op *op,
                             const kata_attribute_value *attributes, const kata_shape *x,
                             const kata_shape *w) {
    kata__window_attributes list = {.auto_pad = &attributes[UP_AUTO_PAD],
                                    .kernel_shape = &attributes[UP_KERNEL],
                                    .strides = &attributes[UP_STRIDES],
                                    .dilations = &attributes[UP_DILATIONS],
                                    .pads = &attributes[UP_PADS]};
    const kata_attribute_value *more = &attributes[UP_OUTPUT_PADDING];
    const kata_attribute_value *wanted = &attributes[UP_OUTPUT_SHAPE];
    bool same_upper, same_lower;
    KATA__TRY(kata__window_read(window, &same_upper, &same_lower, op, &list, x, w));
    int rank = window->rank;
    if (more->n != 0 && more->n != rank) {
        return kata_fail(KATA_INVALID, "%s: output_padding has %d numbers, expected %d", op->name,
                         more->n, rank);
    }
    if (wanted->n != 0 && wanted->n != rank) {
        return kata_fail(KATA_INVALID,
                         "%s: output_shape has %d numbers, expected %d: the spatial sizes",
                         op->name, wanted->n, rank);
    }
    for (int i = 0; i < wanted->n; i++) {
        if (wanted->ints[i] < 1 || wanted->ints[i] > INT32_MAX) {
            return kata_fail(KATA_INVALID, "%s: output_shape[%d] is %lld, expected 1 or more",
                             op->name, i, (long long)wanted->ints[i]);
        }
    }
    spatial(window->out, x);
    for (int i = 2 - rank; i < 2; i++) {
        int64_t stride = window->stride[i], size = window->out[i];
        int64_t extent = (window->kernel[i] - 1) * window->dilation[i] + 1;
        int64_t extra = more->n == 0 ? 0 : more->ints[i - 2 + rank];
        if (extra < 0 || (extra >= stride && extra >= window->dilation[i])) {
            return kata_fail(KATA_INVALID,
                             "%s: output_padding[%d] is %lld, expected 0 or more and less than the "
                             "stride %lld or the dilation %lld",
                             op->name, i - 2 + rank, (long long)extra, (long long)stride,
                             (long long)window->dilation[i]);
        }
        if (size < 0) {
            window->in[i] = KATA_UNKNOWN_DIM;
            continue;
        }
        if (size > INT32_MAX) {
            return kata_fail(KATA_LIMIT, "%s: a spatial size is %lld, above %d", op->name,
                             (long long)size, INT32_MAX);
        }
        int64_t full = stride * (size - 1) + extra + extent;
        if (wanted->n == 0 && !same_upper && !same_lower) {
            window->in[i] = full - window->pad_begin[i] - window->pad_end[i];
        } else {
            window->in[i] = wanted->n != 0 ? wanted->ints[i - 2 + rank] : size * stride;
            int64_t pads = full - window->in[i];
            pads = pads > 0 ? pads : 0;
            window->pad_begin[i] = same_upper ? pads / 2 : pads - pads / 2;
            window->pad_end[i] = pads - window->pad_begin[i];
        }
        if (window->in[i] < 1) {
            char text[KATA_SHAPE_TEXT_SIZE];
            return kata_fail(KATA_SHAPE,
                             "%s: the %s of the output is %lld (input %s, window %lld, pads %lld "
                             "and %lld), expected 1 or more",
                             op->name, i == 0 ? "height" : "width", (long long)window->in[i],
                             kata_shape_text(x, text), (long long)extent,
                             (long long)window->pad_begin[i], (long long)window->pad_end[i]);
        }
    }
    return KATA_OK;
}

static kata_status up_infer(kata_infer *infer) {
    const kata_shape *x = &infer->inputs[0].shape, *w = &infer->inputs[1].shape;
    int64_t groups = infer->attributes[UP_GROUP].i;
    KATA__TRY(kata__infer_float(infer, 0, true));
    KATA__TRY(kata__rule_same_dtype(infer, 1, 2));
    KATA__TRY(kata__rule_rank(infer, 0, 3, 0, "(N,C,W) or (N,C,H,W)"));
    KATA__TRY(check_weight_rank(infer));
    KATA__TRY(check_groups(infer, groups, x->dim[1], "channels of the input"));
    if (!kata__size_agrees(x->dim[1], w->dim[0])) {
        char text_x[KATA_SHAPE_TEXT_SIZE], text_w[KATA_SHAPE_TEXT_SIZE];
        return kata_fail(KATA_SHAPE,
                         "ConvTranspose: the input %s has %lld channels, but the weight %s has "
                         "%lld at its axis 0, expected the same",
                         input_text(infer, 0, text_x), (long long)x->dim[1],
                         input_text(infer, 1, text_w), (long long)w->dim[0]);
    }
    int64_t maps = w->dim[1];
    if (maps < 0) {
        maps = groups == 1 ? maps : KATA_UNKNOWN_DIM;
    } else if (__builtin_mul_overflow(maps, groups, &maps)) {
        return kata_fail(KATA_LIMIT, "ConvTranspose: group %lld is too large", (long long)groups);
    }
    KATA__TRY(kata__rule_vector(infer, 2, "bias", maps, "output channel"));
    kata__window window;
    KATA__TRY(up_window(&window, infer->op, infer->attributes, x, w));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    infer->outputs[0].shape = kata__window_shape(&window, x->dim[0], maps, window.in);
    return kata__infer_fits(infer);
}

static kata__conv up_of(const kata_call *call) {
    const kata_shape *x = &call->inputs[0].shape, *w = &call->inputs[1].shape;
    int64_t groups = call->attributes[UP_GROUP].i;
    kata__window window = {0};
    (void)up_window(&window, call->op, call->attributes, x, w);
    return kata__window_conv(&window, x->dim[0], w->dim[1] * groups, w->dim[0], groups);
}

static kata_status up_reference(const kata_call *call) {
    kata__conv v = up_of(call);
    plain p = plain_of(call);
    plain_input(&p, &v);
    return KATA_OK;
}

static size_t up_workspace(const kata_call *call) {
    kata__conv v = up_of(call);
    return workspace(call, &v, KATA__CONV_INPUT);
}

static kata_status up_fast(const kata_call *call) {
    kata__conv v = up_of(call);
    kata_tensor *y = &call->outputs[0];
    kata__conv_input(call->context, y->dtype, &v, call->inputs[0].data, call->inputs[1].data,
                     y->data, call->workspace);
    if (kata__call_has(call, 2)) {
        kata_shape shape = KATA_SHAPE_OF(v.n, v.c, v.h * v.w);
        const int64_t y_stride[] = {v.c * v.h * v.w, v.h * v.w, 1}, bias_stride[] = {0, 1, 0};
        kata__binary_run(call->context, y->dtype, KATA__ADD, &shape, y->data, y_stride,
                         call->inputs[2].data, bias_stride, y->data);
    }
    return KATA_OK;
}

static kata_kernel up_choose(const kata_call *call) {
    kata__conv v = up_of(call);
    return is_fast(call, &v) ? up_fast : NULL;
}

static double up_flops(const kata_call *call) {
    kata__conv v = up_of(call);
    return flops(&v);
}

/* dx is the convolution itself, of dy with the weight; dw is the convolution's weight gradient with
 * dy as its input and x as its output's gradient. */
static kata_status up_gradient(kata_gradient *g) {
    kata_graph *graph = g->graph;
    kata_value dy = g->output_gradients[0];
    kata_shape x = kata_value_shape(graph, g->inputs[0]), w = kata_value_shape(graph, g->inputs[1]);
    int64_t groups = g->attributes[UP_GROUP].i;
    kata__window window;
    KATA__TRY(up_window(&window, g->op, g->attributes, &x, &w));
    if (g->needed[0]) {
        g->input_gradients[0] = grad_node(graph, "kata:ConvTransposeGradInput", dy, g->inputs[1],
                                          &window, groups, window.out);
    }
    if (g->needed[1]) {
        g->input_gradients[1] = grad_node(graph, "kata:ConvGradWeight", dy, g->inputs[0], &window,
                                          groups, window.kernel);
    }
    if (g->n_inputs > 2 && g->needed[2]) {
        g->input_gradients[2] = KATA_NODE(graph, "kata:ConvGradBias", KATA_INPUTS(dy));
    }
    return kata_graph_status(graph);
}

const kata_op kata__op_ConvTranspose = {
    .name = "ConvTranspose",
    .domain = "",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 3,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = up_attributes,
    .infer = up_infer,
    .batch = kata__batch_first,
    .workspace = up_workspace,
    .reference = up_reference,
    .choose = up_choose,
    .gradient = up_gradient,
    .flops = up_flops,
    .tolerance = 1e-5,
    .doc = "Transposed convolution (up-sampling): x (N,C,H,W) or (N,C,W), weight "
           "(C,F/group,kh,kw), bias (F); output size stride (in-1) + output_padding + "
           "((kernel-1) dilation + 1) - pads.",
};

/* ---- kata:ConvTransposeGradInput (dy, w) -> dx ---- */

static kata_status up_grad_infer(kata_infer *infer) {
    kata__window window;
    int64_t sizes[2];
    const kata_shape *dy = &infer->inputs[0].shape, *w = &infer->inputs[1].shape;
    KATA__TRY(grad_check(infer));
    KATA__TRY(grad_window(&window, sizes, infer->op, infer->attributes, dy));
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    infer->outputs[0].shape = kata__window_shape(&window, dy->dim[0], w->dim[0], sizes);
    return kata__infer_fits(infer);
}

static kata__conv up_grad_of(const kata_call *call) {
    const kata_shape *dy = &call->inputs[0].shape, *w = &call->inputs[1].shape;
    kata__window window = {0};
    (void)grad_window(&window, window.out, call->op, call->attributes, dy);
    spatial(window.in, dy);
    spatial(window.out, &call->outputs[0].shape);
    spatial(window.kernel, w);
    return kata__window_conv(&window, dy->dim[0], dy->dim[1], w->dim[0],
                             call->attributes[GRAD_GROUP].i);
}

static kata_status up_grad_reference(const kata_call *call) {
    kata__conv v = up_grad_of(call);
    plain p = plain_of(call);
    plain_forward(&p, &v);
    return KATA_OK;
}

static size_t up_grad_workspace(const kata_call *call) {
    kata__conv v = up_grad_of(call);
    return workspace(call, &v, KATA__CONV_FORWARD);
}

static kata_status up_grad_fast(const kata_call *call) {
    kata__conv v = up_grad_of(call);
    kata__conv_forward(call->context, call->outputs[0].dtype, &v, call->inputs[0].data,
                       call->inputs[1].data, NULL, false, call->outputs[0].data, call->workspace);
    return KATA_OK;
}

static kata_kernel up_grad_choose(const kata_call *call) {
    kata__conv v = up_grad_of(call);
    return is_fast(call, &v) ? up_grad_fast : NULL;
}

static double up_grad_flops(const kata_call *call) {
    kata__conv v = up_grad_of(call);
    return flops(&v);
}

const kata_op kata__op_kata_ConvTransposeGradInput = {
    .name = "ConvTransposeGradInput",
    .domain = "kata",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = grad_attributes,
    .infer = up_grad_infer,
    .workspace = up_grad_workspace,
    .reference = up_grad_reference,
    .choose = up_grad_choose,
    .flops = up_grad_flops,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 1e-5,
    .doc = "(dy, weight) -> dx: the gradient of ConvTranspose by its input, a convolution of the "
           "given spatial sizes.",
};
