/* Reductions over axes, and the place of the largest and smallest element.
 *
 * Axes are the attribute `axes` or, as ReduceSum has it since opset 13 and all of them since 18,
 * the optional input 1; every row takes both forms. Plain kernels add in double, in index order. */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "kernel/elementwise.h"
#include "op/batch.h"
#include "op/gradient.h"
#include "op/infer.h"
#include "op/loops.h"

enum { AXES, KEEPDIMS, NOOP };
static const kata_attribute_spec reduce_attributes[] = {
    [AXES] = {.name = "axes",
              .type = KATA_ATTRIBUTE_INTS,
              .doc = "axes to reduce, negative ones from the last; none: all"},
    [KEEPDIMS] = {.name = "keepdims",
                  .type = KATA_ATTRIBUTE_INT,
                  .default_int = 1,
                  .doc = "1: a reduced axis stays as an axis of size 1"},
    [NOOP] = {.name = "noop_with_empty_axes",
              .type = KATA_ATTRIBUTE_INT,
              .doc = "1: no axes means that nothing is reduced"},
    {.name = NULL}};

/* --- axes ------------------------------------------------------------------------------------ */

/* flags[axis] of the axes, known to be right. */
static void set_flags(bool flags[KATA_MAX_RANK], const int64_t *axes, int n, int rank, bool noop) {
    for (int i = 0; i < KATA_MAX_RANK; i++) {
        flags[i] = n == 0 && !noop && i < rank;
    }
    for (int i = 0; i < n; i++) {
        flags[axes[i] < 0 ? axes[i] + rank : axes[i]] = true;
    }
}

static void flags_from(bool flags[KATA_MAX_RANK], const kata_attribute_value *attributes, int rank,
                       const kata_tensor *input) {
    int64_t axes[KATA_MAX_RANK];
    int n = attributes[AXES].n;
    if (n > 0) {
        memcpy(axes, attributes[AXES].ints, (size_t)n * sizeof axes[0]);
    }
    if (input != NULL && input->dtype != KATA_NO_DTYPE) {
        n = (int)kata_tensor_count(input);
        for (int i = 0; i < n; i++) {
            axes[i] = kata__load_int(input->dtype, input->data, i);
        }
    }
    set_flags(flags, axes, n, rank, attributes[NOOP].i != 0);
}

static void call_flags(bool flags[KATA_MAX_RANK], const kata_call *call) {
    flags_from(flags, call->attributes, call->inputs[0].shape.rank,
               call->n_inputs > 1 ? &call->inputs[1] : NULL);
}

/* `kept` walks the output (operand 0) beside the input (operand 1), `reduced` the input within one
 * output element. */
static void reduce_walks(const kata_shape *shape, const bool *flags, kata__walk *kept,
                         kata__walk *reduced) {
    int64_t stride[KATA_MAX_RANK], dim[2][KATA_MAX_RANK], in[2][KATA_MAX_RANK], out[KATA_MAX_RANK];
    int n[2] = {0, 0};
    kata__strides(shape, stride);
    for (int i = 0; i < shape->rank; i++) {
        int which = flags[i];
        dim[which][n[which]] = shape->dim[i];
        in[which][n[which]++] = stride[i];
    }
    int64_t step = 1;
    for (int i = n[0] - 1; i >= 0; i--) {
        out[i] = step;
        step *= dim[0][i];
    }
    kata__walk_start(kept, n[0], dim[0], 2, (const int64_t *[]){out, in[0]});
    kata__walk_start(reduced, n[1], dim[1], 1, (const int64_t *[]){in[1]});
}

static kata_status reduce_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__NUMBERS));
    const kata_attribute_value *attributes = infer->attributes;
    const kata_shape *shape = &infer->inputs[0].shape;
    int64_t axes[KATA_MAX_RANK];
    int n = attributes[AXES].n;
    bool known = true, flags[KATA_MAX_RANK];
    if (n > KATA_MAX_RANK) {
        return kata_fail(KATA_INVALID, "%s: %d axes are given, at most %d are possible",
                         infer->op->name, n, KATA_MAX_RANK);
    }
    if (n > 0) {
        memcpy(axes, attributes[AXES].ints, (size_t)n * sizeof axes[0]);
    }
    if (kata__infer_has(infer, 1)) {
        if (n > 0) {
            return kata_fail(KATA_INVALID, "%s: axes are given both as attribute and as input 1",
                             infer->op->name);
        }
        KATA__TRY(kata__infer_int64s(infer, 1, axes, KATA_MAX_RANK, &n, &known));
    }
    kata_shape out = {.rank = 0};
    if (!known) {
        /* Which axes is not known yet, only how many: all sizes are unknown. */
        if (n < 0 || (!attributes[KEEPDIMS].i && n > shape->rank)) {
            return kata_fail(KATA_UNSUPPORTED, "%s: the axes (input 1) must be a constant",
                             infer->op->name);
        }
        out.rank = attributes[KEEPDIMS].i ? shape->rank : shape->rank - n;
        for (int i = 0; i < out.rank; i++) {
            out.dim[i] = KATA_UNKNOWN_DIM;
        }
    } else {
        KATA__TRY(kata__infer_axes(infer, axes, n, shape->rank, flags));
        set_flags(flags, axes, n, shape->rank, attributes[NOOP].i != 0);
        for (int i = 0; i < shape->rank; i++) {
            if (!flags[i]) {
                out.dim[out.rank++] = shape->dim[i];
            } else if (attributes[KEEPDIMS].i) {
                out.dim[out.rank++] = 1;
            }
        }
    }
    infer->outputs[0] = (kata_type){infer->inputs[0].dtype, out};
    return KATA_OK;
}

/* --- what rows are made of ------------------------------------------------------------------- */

/* The least and the largest integer of a dtype. */
static int64_t integer_limit(kata_dtype dtype, bool largest) {
    switch (dtype) {
    case KATA_U8:
        return largest ? UINT8_MAX : 0;
    case KATA_I8:
        return largest ? INT8_MAX : INT8_MIN;
    case KATA_I32:
        return largest ? INT32_MAX : INT32_MIN;
    default:
        return largest ? INT64_MAX : INT64_MIN;
    }
}

static kata_status run_fast(const kata_call *call, kata__reduce kernel) {
    bool flags[KATA_MAX_RANK];
    call_flags(flags, call);
    const kata_tensor *in = &call->inputs[0];
    kata__reduce_run(call->context, in->dtype, kernel, &in->shape, flags, in->data,
                     call->outputs[0].data);
    return KATA_OK;
}

/* How many elements make one of the output. */
static double reduced_count(const kata_call *call) {
    int64_t out = kata_tensor_count(&call->outputs[0]);
    return out == 0 ? 1 : (double)(kata_tensor_count(&call->inputs[0]) / out);
}

static bool is_fast(const kata_call *call) {
    kata_dtype dtype = call->inputs[0].dtype;
    return (dtype == KATA_F32 || dtype == KATA_F64) && kata_tensor_count(&call->inputs[0]) > 0;
}

/* Reduces with `s` the value so far, `x` the next element and `n` their number: START, NEXT, END.
 */
#define REDUCE_LOOP(type, load, store, START, NEXT, END)                                           \
    for (; kept.rows > 0; kata__walk_next(&kept)) {                                                \
        for (int64_t j = 0; j < kept.n; j++) {                                                     \
            int64_t base = kept.at[1] + j * kept.step[1], n = 0;                                   \
            kata__walk rest = reduced;                                                             \
            type s = START;                                                                        \
            for (; rest.rows > 0; kata__walk_next(&rest)) {                                        \
                for (int64_t k = 0; k < rest.n; k++, n++) {                                        \
                    type x = load(in->dtype, in->data, base + rest.at[0] + k * rest.step[0]);      \
                    s = NEXT;                                                                      \
                }                                                                                  \
            }                                                                                      \
            (void)n;                                                                               \
            store(out->dtype, out->data, kept.at[0] + j * kept.step[0], END);                      \
        }                                                                                          \
    }

#define REFERENCE(NAME, START, NEXT, END, INTEGER_START, INTEGER_NEXT, INTEGER_END)                \
    static kata_status NAME##_reference(const kata_call *call) {                                   \
        const kata_tensor *in = &call->inputs[0], *out = &call->outputs[0];                        \
        bool flags[KATA_MAX_RANK];                                                                 \
        kata__walk kept, reduced;                                                                  \
        call_flags(flags, call);                                                                   \
        reduce_walks(&in->shape, flags, &kept, &reduced);                                          \
        if (kata_dtype_is_float(in->dtype)) {                                                      \
            REDUCE_LOOP(double, kata_load, kata_store, START, NEXT, END)                           \
        } else {                                                                                   \
            REDUCE_LOOP(int64_t, kata__load_int, kata__store_int, INTEGER_START, INTEGER_NEXT,     \
                        INTEGER_END)                                                               \
        }                                                                                          \
        return KATA_OK;                                                                            \
    }

/* A fast kernel: the library's reduction and what remains to be done in place. */
#define FAST(NAME, KERNEL, FINISH)                                                                 \
    static kata_status NAME##_fast(const kata_call *call) {                                        \
        KATA__TRY(run_fast(call, KERNEL));                                                         \
        FINISH;                                                                                    \
        return KATA_OK;                                                                            \
    }                                                                                              \
    static kata_kernel NAME##_choose(const kata_call *call) {                                      \
        return is_fast(call) ? NAME##_fast : NULL;                                                 \
    }

/* In a rule, y and dy have x's rank, with size 1 for each reduced axis; n elements make one. */
typedef struct rule {
    kata_graph *graph;
    kata_value x, y, dy, axes; /* axes: a constant */
    kata_shape shape;          /* of x */
    double n;
} rule;

static rule rule_start(const kata_gradient *g) {
    kata_graph *graph = g->graph;
    rule r = {.graph = graph, .x = g->inputs[0], .shape = kata_value_shape(graph, g->inputs[0])};
    const kata_tensor *input =
        g->n_inputs > 1 ? kata__graph_constant_of(graph, g->inputs[1]) : NULL;
    bool flags[KATA_MAX_RANK];
    flags_from(flags, g->attributes, r.shape.rank, input);
    kata_shape kept = r.shape;
    int64_t axes[KATA_MAX_RANK];
    int n = 0;
    r.n = 1;
    for (int i = 0; i < r.shape.rank; i++) {
        if (flags[i]) {
            axes[n++] = i;
            r.n *= (double)kept.dim[i];
            kept.dim[i] = 1;
        }
    }
    r.y = kata__reshape_to(graph, g->outputs[0], &kept);
    r.dy = kata__reshape_to(graph, g->output_gradients[0], &kept);
    r.axes = kata_graph_int64s(graph, axes, n);
    return r;
}

#define NODE(op, ...) KATA_NODE(r.graph, op, KATA_INPUTS(__VA_ARGS__))

/* AXES: since which operator set the axes are an input. */
#define ROW(NAME, AXES, CHOOSE, TOLERANCE, DOC, DX)                                                \
    static kata_status NAME##_gradient(kata_gradient *g) {                                         \
        rule r = rule_start(g);                                                                    \
        g->input_gradients[0] = DX;                                                                \
        return kata_graph_status(r.graph);                                                         \
    }                                                                                              \
    const kata_op kata__op_##NAME = {.name = #NAME,                                                \
                                     .domain = "",                                                 \
                                     .since = 1,                                                   \
                                     .min_inputs = 1,                                              \
                                     .max_inputs = 2,                                              \
                                     .min_outputs = 1,                                             \
                                     .max_outputs = 1,                                             \
                                     .attributes = reduce_attributes,                              \
                                     .infer = reduce_infer,                                        \
                                     .batch = kata__batch_Reduce,                                  \
                                     .reference = NAME##_reference,                                \
                                     .choose = CHOOSE,                                             \
                                     .gradient = NAME##_gradient,                                  \
                                     .flops = kata__flops_input,                                   \
                                     .tolerance = TOLERANCE,                                       \
                                     .doc = DOC,                                                   \
                                     .changes = (const kata_op_change[]){                          \
                                         {KATA_ATTRIBUTE_TO_INPUT, AXES, "axes", 1},               \
                                         {KATA_ATTRIBUTE_ADDED, AXES, "noop_with_empty_axes", 0},  \
                                         {0}}};

/* --- sums ------------------------------------------------------------------------------------ */

REFERENCE(ReduceSum, 0, s + x, s, 0, kata__wrap_add(s, x), s)
FAST(ReduceSum, KATA__REDUCE_SUM, )
ROW(ReduceSum, 13, ReduceSum_choose, 1e-6, "Sum over axes; of nothing: 0.",
    kata__expand_to(r.graph, r.dy, &r.shape))

REFERENCE(ReduceMean, 0, s + x, s / (double)n, 0, kata__wrap_add(s, x), n == 0 ? 0 : s / n)
FAST(ReduceMean, KATA__REDUCE_SUM, kata__divide_output(call, reduced_count(call)))
ROW(ReduceMean, 18, ReduceMean_choose, 1e-6, "Mean over axes; of nothing: NaN.",
    kata__expand_to(r.graph, kata__scale(r.graph, r.dy, 1 / r.n), &r.shape))

REFERENCE(ReduceSumSquare, 0, s + x * x, s, 0, kata__wrap_add(s, kata__wrap_mul(x, x)), s)
FAST(ReduceSumSquare, KATA__REDUCE_SUM_SQUARE, )
ROW(ReduceSumSquare, 18, ReduceSumSquare_choose, 1e-6, "Sum of squares over axes.",
    kata__mul(r.graph, r.x, kata__scale(r.graph, r.dy, 2)))

static void sqrt_output(const kata_call *call) {
    const kata_tensor *out = &call->outputs[0];
    kata__unary_run(call->context, out->dtype, KATA__SQRT, kata_tensor_count(out), out->data,
                    out->data, 0, 0);
}

/* dx = x dy / y; at x = 0, where there is no derivative, 0. */
static kata_value l2_gradient(const rule *r) {
    kata_value zero = kata__scalar_like(r->graph, 0, r->x);
    kata_value is_zero = KATA_NODE(r->graph, "Equal", KATA_INPUTS(r->y, zero));
    kata_value slope = kata__where(r->graph, is_zero, zero, kata__div(r->graph, r->dy, r->y));
    return kata__mul(r->graph, r->x, slope);
}

REFERENCE(ReduceL2, 0, s + x * x, sqrt(s), 0, kata__wrap_add(s, kata__wrap_mul(x, x)),
          (int64_t)sqrt((double)s))
FAST(ReduceL2, KATA__REDUCE_SUM_SQUARE, sqrt_output(call))
ROW(ReduceL2, 18, ReduceL2_choose, 1e-6, "Euclidean norm over axes; its gradient at 0 is 0.",
    l2_gradient(&r))

/* --- extremes -------------------------------------------------------------------------------- */

/* Equal elements that are all the extreme share dy equally. */
static kata_value extreme_gradient(const rule *r) {
    kata_value is_extreme =
        kata__cast_like(r->graph, KATA_NODE(r->graph, "Equal", KATA_INPUTS(r->x, r->y)), r->x);
    kata_value count = KATA_NODE_WITH(r->graph, "ReduceSum", KATA_INPUTS(is_extreme, r->axes),
                                      KATA_INT("noop_with_empty_axes", 1));
    return kata__mul(r->graph, is_extreme, kata__div(r->graph, r->dy, count));
}

REFERENCE(ReduceMax, -INFINITY, x > s || isnan(x) ? x : s, s, integer_limit(in->dtype, false),
          x > s ? x : s, s)
FAST(ReduceMax, KATA__REDUCE_MAX, )
ROW(ReduceMax, 18, ReduceMax_choose, 1e-7,
    "Largest element over axes; equal ones share the gradient. Of nothing: -inf.",
    extreme_gradient(&r))

REFERENCE(ReduceMin, INFINITY, x < s || isnan(x) ? x : s, s, integer_limit(in->dtype, true),
          x < s ? x : s, s)
FAST(ReduceMin, KATA__REDUCE_MIN, )
ROW(ReduceMin, 18, ReduceMin_choose, 1e-7,
    "Smallest element over axes; equal ones share the gradient. Of nothing: inf.",
    extreme_gradient(&r))

/* --- product --------------------------------------------------------------------------------- */

static kata_value product_gradient(const rule *r) {
    const kata_tensor *axes = kata__graph_constant_of(r->graph, r->axes);
    if (axes == NULL) { /* the graph holds a fault */
        return KATA_NONE;
    }
    return KATA_NODE_WITH(r->graph, "kata:ReduceProdGrad", KATA_INPUTS(r->dy, r->x),
                          KATA_INTS_OF("axes", axes->data, (int)kata_tensor_count(axes)));
}

REFERENCE(ReduceProd, 1, s *x, s, 1, kata__wrap_mul(s, x), s)
ROW(ReduceProd, 18, NULL, 1e-6, "Product over axes; of nothing: 1.", product_gradient(&r))

static kata_status product_gradient_infer(kata_infer *infer) {
    bool flags[KATA_MAX_RANK];
    KATA__TRY(kata__infer_float(infer, 0, true));
    KATA__TRY(kata__infer_one_dtype(infer, 0, 1));
    KATA__TRY(kata__infer_axes(infer, infer->attributes[0].ints, infer->attributes[0].n,
                               infer->inputs[1].shape.rank, flags));
    int64_t kept = 1, count = kata_shape_count(&infer->inputs[0].shape);
    for (int i = 0; i < infer->inputs[1].shape.rank; i++) {
        kept *= flags[i] ? 1 : infer->inputs[1].shape.dim[i];
    }
    if (count != kept) {
        char dy[KATA_SHAPE_TEXT_SIZE], x[KATA_SHAPE_TEXT_SIZE];
        return kata_fail(KATA_SHAPE, "ReduceProdGrad: dy %s is no reduction of x %s",
                         kata_shape_text(&infer->inputs[0].shape, dy),
                         kata_shape_text(&infer->inputs[1].shape, x));
    }
    infer->outputs[0] = infer->inputs[1];
    return KATA_OK;
}

/* dx[i] = dy times the product of the other elements, without dividing by zero: the product p of
 * the elements that are not zero gives p / x[i] if there is no zero; with one zero, p at it and 0
 * beside it; with more, 0. */
static kata_status product_gradient_reference(const kata_call *call) {
    const kata_tensor *dy = &call->inputs[0], *x = &call->inputs[1], *dx = &call->outputs[0];
    bool flags[KATA_MAX_RANK];
    kata__walk kept, reduced;
    set_flags(flags, call->attributes[0].ints, call->attributes[0].n, x->shape.rank, true);
    reduce_walks(&x->shape, flags, &kept, &reduced);
    for (; kept.rows > 0; kata__walk_next(&kept)) {
        for (int64_t j = 0; j < kept.n; j++) {
            int64_t base = kept.at[1] + j * kept.step[1], zeros = 0;
            double p = kata_load(dy->dtype, dy->data, kept.at[0] + j * kept.step[0]);
            for (kata__walk rest = reduced; rest.rows > 0; kata__walk_next(&rest)) {
                for (int64_t k = 0; k < rest.n; k++) {
                    double value =
                        kata_load(x->dtype, x->data, base + rest.at[0] + k * rest.step[0]);
                    zeros += value == 0;
                    p *= value == 0 ? 1 : value;
                }
            }
            for (kata__walk rest = reduced; rest.rows > 0; kata__walk_next(&rest)) {
                for (int64_t k = 0; k < rest.n; k++) {
                    int64_t at = base + rest.at[0] + k * rest.step[0];
                    double value = kata_load(x->dtype, x->data, at);
                    double others = zeros == 0 ? p / value : zeros == 1 && value == 0 ? p : 0;
                    kata_store(dx->dtype, dx->data, at, others);
                }
            }
        }
    }
    return KATA_OK;
}

const kata_op kata__op_kata_ReduceProdGrad = {
    .name = "ReduceProdGrad",
    .domain = "kata",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes =
        (const kata_attribute_spec[]){
            {.name = "axes", .type = KATA_ATTRIBUTE_INTS, .doc = "the axes that were reduced"},
            {.name = NULL}},
    .infer = product_gradient_infer,
    .reference = product_gradient_reference,
    .flops = kata__flops_input,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 1e-6,
    .doc = "Gradient of ReduceProd from (dy, x): dy times the product of the other elements.",
};

/* --- ArgMax, ArgMin -------------------------------------------------------------------------- */

enum { ARG_AXIS, ARG_KEEPDIMS, ARG_LAST };
static const kata_attribute_spec arg_attributes[] = {
    [ARG_AXIS] = {.name = "axis",
                  .type = KATA_ATTRIBUTE_INT,
                  .doc = "the axis; negative: from the last"},
    [ARG_KEEPDIMS] = {.name = "keepdims",
                      .type = KATA_ATTRIBUTE_INT,
                      .default_int = 1,
                      .doc = "1: the axis stays as an axis of size 1"},
    [ARG_LAST] = {.name = "select_last_index",
                  .type = KATA_ATTRIBUTE_INT,
                  .doc = "1: of equal elements the last, else the first"},
    {.name = NULL}};

static kata_status arg_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__NUMBERS));
    const kata_shape *shape = &infer->inputs[0].shape;
    char text[KATA_SHAPE_TEXT_SIZE];
    int axis;
    KATA__TRY(kata__infer_axis(infer, infer->attributes[ARG_AXIS].i, shape->rank, &axis));
    if (shape->dim[axis] == 0) {
        return kata_fail(KATA_SHAPE, "%s: axis %d of %s is empty and has no largest element",
                         infer->op->name, axis, kata_shape_text(shape, text));
    }
    kata_shape out = {.rank = 0};
    for (int i = 0; i < shape->rank; i++) {
        if (i != axis) {
            out.dim[out.rank++] = shape->dim[i];
        } else if (infer->attributes[ARG_KEEPDIMS].i) {
            out.dim[out.rank++] = 1;
        }
    }
    infer->outputs[0] = (kata_type){KATA_I64, out};
    return KATA_OK;
}

/* x beats best: larger by `sign`, equal if the last counts, or a NaN: the first, or the last. */
#define ARG_LOOP(type, load)                                                                       \
    for (int64_t o = 0; o < outer; o++) {                                                          \
        for (int64_t i = 0; i < inner; i++) {                                                      \
            int64_t base = o * n * inner + i, best_at = 0;                                         \
            type best = load(base);                                                                \
            for (int64_t k = 1; k < n; k++) {                                                      \
                type x = load(base + k * inner);                                                   \
                if ((sign > 0 ? x > best : x < best) || (last && x == best) ||                     \
                    (x != x && (last || best == best))) {                                          \
                    best = x;                                                                      \
                    best_at = k;                                                                   \
                }                                                                                  \
            }                                                                                      \
            to[o * inner + i] = best_at;                                                           \
        }                                                                                          \
    }

static kata_status arg_reference(const kata_call *call, int sign) {
    const kata_tensor *in = &call->inputs[0];
    int64_t given = call->attributes[ARG_AXIS].i, *to = call->outputs[0].data;
    int axis = (int)(given < 0 ? given + in->shape.rank : given);
    bool last = call->attributes[ARG_LAST].i != 0;
    int64_t outer = kata__size_before(&in->shape, axis), n = in->shape.dim[axis];
    int64_t inner = kata__size_after(&in->shape, axis);
    if (in->dtype == KATA_F32) {
        const float *x_data = in->data;
#define LOAD(i) x_data[i]
        ARG_LOOP(float, LOAD)
#undef LOAD
    } else if (kata_dtype_is_float(in->dtype)) {
#define LOAD(i) kata_load(in->dtype, in->data, i)
        ARG_LOOP(double, LOAD)
#undef LOAD
    } else {
#define LOAD(i) kata__load_int(in->dtype, in->data, i)
        ARG_LOOP(int64_t, LOAD)
#undef LOAD
    }
    return KATA_OK;
}

#define ROW_ARG(NAME, SIGN, DOC)                                                                   \
    static kata_status NAME##_reference(const kata_call *call) {                                   \
        return arg_reference(call, SIGN);                                                          \
    }                                                                                              \
    const kata_op kata__op_##NAME = {.name = #NAME,                                                \
                                     .domain = "",                                                 \
                                     .since = 1,                                                   \
                                     .min_inputs = 1,                                              \
                                     .max_inputs = 1,                                              \
                                     .min_outputs = 1,                                             \
                                     .max_outputs = 1,                                             \
                                     .attributes = arg_attributes,                                 \
                                     .infer = arg_infer,                                           \
                                     .batch = kata__batch_Arg,                                     \
                                     .reference = NAME##_reference,                                \
                                     .gradient = kata__gradient_zero,                              \
                                     .flops = kata__flops_input,                                   \
                                     .doc = DOC};

ROW_ARG(ArgMax, 1, "Index of the largest element along an axis, int64; a NaN is the largest.")
ROW_ARG(ArgMin, -1, "Index of the smallest element along an axis, int64; a NaN is the smallest.")
