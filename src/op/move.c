/* Elements in other places: transpose, join, cut, pick, pad, repeat. Nothing is computed, so there
 * is one kernel for all data types, made of memcpy runs and blocked strided copies. */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "kernel/move.h"
#include "op/batch.h"
#include "op/adapt.h"
#include "op/elements.h"
#include "op/gradient.h"
#include "op/infer.h"
#include "op/loops.h"

#define ATTRIBUTES(...) ((const kata_attribute_spec[]){__VA_ARGS__, {.name = NULL}})

/* After the documentation: further members. */
#define ROW_MOVE(NAME, SINCE, MIN_INPUTS, MAX_INPUTS, LIST, ...)                                   \
    const kata_op kata__op_##NAME = {.name = #NAME,                                                \
                                     .domain = "",                                                 \
                                     .since = SINCE,                                               \
                                     .min_inputs = MIN_INPUTS,                                     \
                                     .max_inputs = MAX_INPUTS,                                     \
                                     .min_outputs = 1,                                             \
                                     .max_outputs = 1,                                             \
                                     .attributes = LIST,                                           \
                                     .infer = NAME##_infer,                                        \
                                     .batch = kata__batch_##NAME,                                  \
                                     .reference = NAME##_reference,                                \
                                     .gradient = NAME##_gradient,                                  \
                                     .flops = kata__flops_none,                                    \
                                     .doc = __VA_ARGS__};
#define CHANGES(...) ((const kata_op_change[]){__VA_ARGS__, {.kind = KATA_CHANGE_END}})

static size_t element_size(const kata_call *call) {
    return kata_dtype_size(call->outputs[0].dtype);
}

/* Sets each element of output 0 to the same number: the one at `value`, or 0 if it is NULL. */
static void fill(const kata_call *call, const void *value) {
    const kata_tensor *out = &call->outputs[0];
    int64_t none = 0, count = kata_tensor_count(out), one = 1;
    if (count == 0) {
        return;
    }
    if (value == NULL) {
        memset(out->data, 0, kata_tensor_bytes(out));
    } else {
        kata__copy_strided(call->context, element_size(call), 1, &count, out->data, &one, value,
                           &none);
    }
}

static kata_status all_unknown(kata_infer *infer, int rank) {
    kata_type *out = &infer->outputs[0];
    *out = (kata_type){.dtype = infer->inputs[0].dtype, .shape = {.rank = rank}};
    for (int i = 0; i < rank; i++) {
        out->shape.dim[i] = KATA_UNKNOWN_DIM;
    }
    return KATA_OK;
}

/* The numbers of an input at run time. */
static int numbers_of(const kata_call *call, int i, int64_t values[KATA_MAX_RANK]) {
    const kata_tensor *in = &call->inputs[i];
    if (i >= call->n_inputs || in->dtype == KATA_NO_DTYPE) {
        return -1;
    }
    int n = (int)kata_tensor_count(in);
    for (int k = 0; k < n; k++) {
        values[k] = kata__load_int(in->dtype, in->data, k);
    }
    return n;
}

/* --- Transpose ------------------------------------------------------------------------------- */

static void permutation(const kata_attribute_value *attributes, int rank, int perm[KATA_MAX_RANK]) {
    for (int i = 0; i < rank; i++) {
        perm[i] = attributes[0].n > 0 ? (int)attributes[0].ints[i] : rank - 1 - i;
    }
}

static kata_status Transpose_infer(kata_infer *infer) {
    const kata_shape *in = &infer->inputs[0].shape;
    const kata_attribute_value *given = &infer->attributes[0];
    bool is_permutation = given->n == 0 || given->n == in->rank, seen[KATA_MAX_RANK] = {false};
    for (int i = 0; is_permutation && i < given->n; i++) {
        int64_t axis = given->ints[i];
        is_permutation = axis >= 0 && axis < in->rank && !seen[axis];
        seen[is_permutation ? axis : 0] = true;
    }
    if (!is_permutation) {
        kata_shape perm = {.rank = given->n < KATA_MAX_RANK ? given->n : KATA_MAX_RANK};
        char text[KATA_SHAPE_TEXT_SIZE], shape[KATA_SHAPE_TEXT_SIZE];
        memcpy(perm.dim, given->ints, (size_t)perm.rank * sizeof perm.dim[0]);
        return kata_fail(KATA_INVALID, "Transpose: perm %s is no permutation of the %d axes of %s",
                         kata_shape_text(&perm, text), in->rank, kata_shape_text(in, shape));
    }
    int perm[KATA_MAX_RANK];
    permutation(given, in->rank, perm);
    infer->outputs[0] = infer->inputs[0];
    for (int i = 0; i < in->rank; i++) {
        infer->outputs[0].shape.dim[i] = in->dim[perm[i]];
    }
    return KATA_OK;
}

static kata_status Transpose_reference(const kata_call *call) {
    const kata_tensor *in = &call->inputs[0], *out = &call->outputs[0];
    int64_t stride[KATA_MAX_RANK], from[KATA_MAX_RANK], to[KATA_MAX_RANK];
    int perm[KATA_MAX_RANK];
    permutation(call->attributes, in->shape.rank, perm);
    kata__strides(&in->shape, stride);
    kata__strides(&out->shape, to);
    for (int i = 0; i < in->shape.rank; i++) {
        from[i] = stride[perm[i]];
    }
    kata__copy_strided(call->context, element_size(call), out->shape.rank, out->shape.dim,
                       out->data, to, in->data, from);
    return KATA_OK;
}

/* A transposition of matrices: perm leaves the first axes where they are and swaps the other axes
 * in two groups, rows and columns. */
static bool swaps_two(const kata_call *call, int64_t *n, int64_t *rows, int64_t *columns) {
    const kata_shape *in = &call->inputs[0].shape;
    int perm[KATA_MAX_RANK], rank = in->rank, first = 0;
    permutation(call->attributes, rank, perm);
    while (first < rank && perm[first] == first) {
        first++;
    }
    *n = *rows = *columns = 1;
    for (int i = 0; i < rank; i++) {
        int64_t *to = i < first ? n : i < perm[first < rank ? first : 0] ? rows : columns;
        *to *= in->dim[i];
    }
    for (int i = first; i < rank; i++) {
        int next = i + 1 < rank ? i + 1 : first;
        if (perm[next] != (perm[i] + 1 < rank ? perm[i] + 1 : first)) {
            return false;
        }
    }
    return first < rank;
}

static kata_status Transpose_fast(const kata_call *call) {
    int64_t n, rows, columns;
    (void)swaps_two(call, &n, &rows, &columns);
    kata__transpose(call->context, call->outputs[0].dtype, n, rows, columns, call->inputs[0].data,
                    call->outputs[0].data);
    return KATA_OK;
}

static kata_kernel Transpose_choose(const kata_call *call) {
    int64_t n, rows, columns;
    kata_dtype dtype = call->outputs[0].dtype;
    bool is_float = dtype == KATA_F32 || dtype == KATA_F64;
    return is_float && swaps_two(call, &n, &rows, &columns) ? Transpose_fast : NULL;
}

static kata_status Transpose_gradient(kata_gradient *g) {
    int rank = kata_value_shape(g->graph, g->inputs[0]).rank, perm[KATA_MAX_RANK];
    int64_t inverse[KATA_MAX_RANK];
    permutation(g->attributes, rank, perm);
    for (int i = 0; i < rank; i++) {
        inverse[perm[i]] = i;
    }
    g->input_gradients[0] =
        KATA_NODE_WITH(g->graph, "Transpose", KATA_INPUTS(g->output_gradients[0]),
                       KATA_INTS_OF("perm", inverse, rank));
    return kata_graph_status(g->graph);
}

const kata_op kata__op_Transpose = {
    .name = "Transpose",
    .domain = "",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes =
        ATTRIBUTES({.name = "perm",
                    .type = KATA_ATTRIBUTE_INTS,
                    .doc = "axis i of the output is axis perm[i] of x; absent: reversed"}),
    .infer = Transpose_infer,
    .batch = kata__batch_Transpose,
    .reference = Transpose_reference,
    .choose = Transpose_choose,
    .gradient = Transpose_gradient,
    .flops = kata__flops_none,
    .flags = KATA_OP_MOVE,
    .doc = "x with its axes in another order.",
};

/* --- Concat ---------------------------------------------------------------------------------- */

static int call_axis(const kata_call *call) {
    int64_t axis = call->attributes[0].i;
    return (int)(axis < 0 ? axis + call->inputs[0].shape.rank : axis);
}

static kata_status Concat_infer(kata_infer *infer) {
    kata_type out = infer->inputs[0];
    char first[KATA_SHAPE_TEXT_SIZE], other[KATA_SHAPE_TEXT_SIZE];
    kata_shape_text(&out.shape, first);
    int axis;
    KATA__TRY(kata__infer_axis(infer, infer->attributes[0].i, out.shape.rank, &axis));
    for (int k = 1; k < infer->n_inputs; k++) {
        const kata_shape *shape = &infer->inputs[k].shape;
        KATA__TRY(kata__infer_one_dtype(infer, 0, k));
        bool agree = shape->rank == out.shape.rank;
        for (int i = 0; agree && i < shape->rank; i++) {
            int64_t *size = &out.shape.dim[i];
            if (i == axis) {
                bool known = *size >= 0 && shape->dim[i] >= 0;
                if (known && *size > INT64_MAX - shape->dim[i]) {
                    return kata_fail(KATA_LIMIT, "Concat: the output has too many elements");
                }
                *size = known ? *size + shape->dim[i] : KATA_UNKNOWN_DIM;
            } else {
                agree = kata__size_agrees(*size, shape->dim[i]);
                *size = kata__size_meet(*size, shape->dim[i]);
            }
        }
        if (!agree) {
            return kata_fail(KATA_SHAPE,
                             "Concat: input %d has shape %s, input 0 has %s; all sizes but that of "
                             "axis %d must agree",
                             k, kata_shape_text(shape, other), first, axis);
        }
    }
    infer->outputs[0] = out;
    return kata__infer_fits(infer);
}

/* Copies between a whole tensor, whose axis has n_whole elements, and a part of it. */
static void copy_part(const kata_call *call, const kata_tensor *part, int axis, int64_t n_whole,
                      void *to, const void *from, bool into_whole) {
    int64_t inner = kata__size_after(&part->shape, axis), run = part->shape.dim[axis] * inner;
    int64_t dim[2] = {kata__size_before(&part->shape, axis), run};
    int64_t whole[2] = {n_whole * inner, 1}, tight[2] = {run, 1};
    kata__copy_strided(call->context, element_size(call), 2, dim, to, into_whole ? whole : tight,
                       from, into_whole ? tight : whole);
}

static kata_status Concat_reference(const kata_call *call) {
    const kata_tensor *out = &call->outputs[0];
    int axis = call_axis(call);
    int64_t inner = kata__size_after(&out->shape, axis), at = 0;
    for (int k = 0; k < call->n_inputs; k++) {
        const kata_tensor *in = &call->inputs[k];
        copy_part(call, in, axis, out->shape.dim[axis],
                  (char *)out->data + (size_t)(at * inner) * element_size(call), in->data, true);
        at += in->shape.dim[axis];
    }
    return KATA_OK;
}

/* One Split of dy. */
static kata_status Concat_gradient(kata_gradient *g) {
    kata_graph *graph = g->graph;
    int64_t sizes[KATA_MAX_INPUTS], axis = g->attributes[0].i;
    kata_value parts[KATA_MAX_OUTPUTS];
    for (int i = 0; i < g->n_inputs; i++) {
        kata_shape shape = kata_value_shape(graph, g->inputs[i]);
        sizes[i] = shape.dim[axis < 0 ? axis + shape.rank : axis];
    }
    kata_value inputs[2] = {g->output_gradients[0], kata_graph_int64s(graph, sizes, g->n_inputs)};
    KATA__TRY(kata_graph_node_outputs(graph, NULL, "Split", inputs, 2,
                                      &(kata_attribute)KATA_INT("axis", axis), 1, parts,
                                      g->n_inputs));
    for (int i = 0; i < g->n_inputs; i++) {
        g->input_gradients[i] = g->needed[i] ? parts[i] : KATA_NONE;
    }
    return KATA_OK;
}

ROW_MOVE(Concat, 1, 1, KATA_MAX_INPUTS,
         ATTRIBUTES({.name = "axis",
                     .type = KATA_ATTRIBUTE_INT,
                     .required = true,
                     .doc = "the axis along which the inputs are joined"}),
         "The inputs one after another along an axis.", .elements = kata__elements_Concat,
         .adapt = kata__adapt_concat, .adapt_before = 4)

/* --- Split ----------------------------------------------------------------------------------- */

static kata_status Split_infer(kata_infer *infer) {
    const kata_type *in = &infer->inputs[0];
    int64_t sizes[KATA_MAX_OUTPUTS], wanted = infer->attributes[1].i;
    int axis, n = infer->n_outputs;
    bool known = true;
    char text[KATA_SHAPE_TEXT_SIZE];
    kata_shape_text(&in->shape, text);
    KATA__TRY(kata__infer_axis(infer, infer->attributes[0].i, in->shape.rank, &axis));
    int64_t whole = in->shape.dim[axis], sum = 0;
    if (kata__infer_has(infer, 1)) {
        int count;
        KATA__TRY(kata__infer_int64s(infer, 1, sizes, KATA_MAX_OUTPUTS, &count, &known));
        if (known && count != n) {
            return kata_fail(KATA_SHAPE, "Split: %d sizes are given for %d outputs", count, n);
        }
        for (int k = 0; known && k < n; k++) {
            if (sizes[k] < 0 || sizes[k] > INT64_MAX / KATA_MAX_OUTPUTS) {
                return kata_fail(KATA_INVALID, "Split: size %d is %" PRId64 "; expected 0 or more",
                                 k, sizes[k]);
            }
            sum += sizes[k];
        }
        if (known && !kata__size_agrees(whole, sum)) {
            return kata_fail(KATA_SHAPE,
                             "Split: the sizes add up to %" PRId64 ", axis %d of %s has %" PRId64,
                             sum, axis, text, whole);
        }
    } else if (infer->attributes[1].is_set && wanted != n) {
        return kata_fail(KATA_INVALID, "Split: num_outputs is %" PRId64 ", the node has %d outputs",
                         wanted, n);
    } else {
        /* Equal parts; with num_outputs (opset 18) the last one may be smaller. */
        known = whole >= 0;
        int64_t part = known ? (whole + n - 1) / n : 0;
        if (known && (infer->attributes[1].is_set ? part * (n - 1) > whole : whole % n != 0)) {
            return kata_fail(
                KATA_SHAPE,
                "Split: axis %d of %s does not divide into %d parts; give the sizes as "
                "input 1",
                axis, text, n);
        }
        for (int k = 0; k < n; k++) {
            sizes[k] = k < n - 1 ? part : whole - part * (n - 1);
        }
    }
    for (int k = 0; k < n; k++) {
        infer->outputs[k] = *in;
        infer->outputs[k].shape.dim[axis] = known ? sizes[k] : n == 1 ? whole : KATA_UNKNOWN_DIM;
    }
    return KATA_OK;
}

static kata_status Split_reference(const kata_call *call) {
    const kata_tensor *in = &call->inputs[0];
    int axis = call_axis(call);
    int64_t inner = kata__size_after(&in->shape, axis), at = 0;
    for (int k = 0; k < call->n_outputs; k++) {
        const kata_tensor *out = &call->outputs[k];
        copy_part(call, out, axis, in->shape.dim[axis], out->data,
                  (const char *)in->data + (size_t)(at * inner) * element_size(call), false);
        at += out->shape.dim[axis];
    }
    return KATA_OK;
}

/* Outputs that do not reach the loss have a gradient of zeros. */
static kata_status Split_gradient(kata_gradient *g) {
    kata_value parts[KATA_MAX_OUTPUTS];
    for (int k = 0; k < g->n_outputs; k++) {
        parts[k] = g->output_gradients[k].id != 0 ? g->output_gradients[k]
                                                  : kata__zeros_like(g->graph, g->outputs[k]);
    }
    g->input_gradients[0] =
        kata_graph_node(g->graph, "Concat", parts, g->n_outputs,
                        &(kata_attribute)KATA_INT("axis", g->attributes[0].i), 1);
    return kata_graph_status(g->graph);
}

const kata_op kata__op_Split = {
    .name = "Split",
    .domain = "",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = KATA_MAX_OUTPUTS,
    .attributes =
        ATTRIBUTES({.name = "axis", .type = KATA_ATTRIBUTE_INT, .doc = "the axis that is cut"},
                   {.name = "num_outputs",
                    .type = KATA_ATTRIBUTE_INT,
                    .doc = "number of parts (opset 18); the last may be smaller"}),
    .infer = Split_infer,
    .batch = kata__batch_along,
    .reference = Split_reference,
    .gradient = Split_gradient,
    .flops = kata__flops_none,
    .doc = "Cuts x along an axis into the sizes of input 1, or into equal parts.",
    .changes = CHANGES({KATA_ATTRIBUTE_TO_INPUT, 13, "split", 1},
                       {KATA_ATTRIBUTE_ADDED, 18, "num_outputs", 0},
                       {KATA_OUTPUTS_COUNTED, 18, "num_outputs", 1}),
};

/* --- Slice ----------------------------------------------------------------------------------- */

/* For each axis of x: the first element, the step and the number of elements. */
typedef struct slice {
    int64_t start[KATA_MAX_RANK], step[KATA_MAX_RANK], n[KATA_MAX_RANK];
} slice;

static int64_t clamp(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : value > high ? high : value;
}

/* Python's rules: negative numbers count from the end, numbers beyond the ends are brought back. */
static void slice_axis(slice *s, int axis, int64_t size, int64_t start, int64_t end, int64_t step) {
    bool forward = step > 0;
    int64_t low = forward ? 0 : -1, high = forward ? size : size - 1;
    start = clamp(start < 0 ? start + size : start, low, high);
    end = clamp(end < 0 ? end + size : end, low, high);
    step = clamp(step, -size - 1, size + 1);
    int64_t span = forward ? end - start : start - end, length = forward ? step : -step;
    s->start[axis] = start;
    s->step[axis] = step;
    s->n[axis] = span <= 0 ? 0 : (span + length - 1) / length;
}

/* `axes` and `steps` may be NULL; axes are known to be right. */
static void slice_resolve(slice *s, const kata_shape *shape, int n, const int64_t *starts,
                          const int64_t *ends, const int64_t *axes, const int64_t *steps) {
    for (int i = 0; i < shape->rank; i++) {
        s->start[i] = 0;
        s->step[i] = 1;
        s->n[i] = shape->dim[i];
    }
    for (int k = 0; k < n; k++) {
        int64_t axis = axes == NULL ? k : axes[k] < 0 ? axes[k] + shape->rank : axes[k];
        int64_t step = steps == NULL ? 1 : steps[k];
        if (shape->dim[axis] >= 0) {
            slice_axis(s, (int)axis, shape->dim[axis], starts[k], ends[k], step);
        } else if (starts[k] != 0 || ends[k] < INT32_MAX || step != 1) { /* not all of it */
            s->n[axis] = KATA_UNKNOWN_DIM;
        }
    }
}

static kata_status Slice_infer(kata_infer *infer) {
    static const char *const names[] = {"x", "starts", "ends", "axes", "steps"};
    const kata_shape *in = &infer->inputs[0].shape;
    int64_t numbers[5][KATA_MAX_RANK];
    int n = -1;
    bool all_known = true, flags[KATA_MAX_RANK];
    for (int i = 1; i < infer->n_inputs; i++) {
        int count;
        bool known;
        if (!kata__infer_has(infer, i)) {
            continue;
        }
        KATA__TRY(kata__infer_int64s(infer, i, numbers[i], KATA_MAX_RANK, &count, &known));
        all_known = all_known && known;
        if (i > 1 && known && n >= 0 && count != n) {
            return kata_fail(KATA_SHAPE, "Slice: %s has %d numbers, starts has %d", names[i], count,
                             n);
        }
        n = i == 1 ? count : n;
    }
    if (!all_known) {
        return all_unknown(infer, in->rank);
    }
    if (kata__infer_has(infer, 3)) {
        KATA__TRY(kata__infer_axes(infer, numbers[3], n, in->rank, flags));
    } else if (n > in->rank) {
        char text[KATA_SHAPE_TEXT_SIZE];
        return kata_fail(KATA_SHAPE, "Slice: %d starts are given for the axes of %s", n,
                         kata_shape_text(in, text));
    }
    bool steps = kata__infer_has(infer, 4);
    for (int k = 0; steps && k < n; k++) {
        if (numbers[4][k] == 0) {
            return kata_fail(KATA_INVALID, "Slice: step %d is 0", k);
        }
    }
    slice s;
    slice_resolve(&s, in, n, numbers[1], numbers[2], kata__infer_has(infer, 3) ? numbers[3] : NULL,
                  steps ? numbers[4] : NULL);
    infer->outputs[0] = infer->inputs[0];
    memcpy(infer->outputs[0].shape.dim, s.n, (size_t)in->rank * sizeof s.n[0]);
    return KATA_OK;
}

static void call_slice(const kata_call *call, slice *s) {
    int64_t numbers[5][KATA_MAX_RANK];
    int n = numbers_of(call, 1, numbers[1]);
    numbers_of(call, 2, numbers[2]);
    bool axes = numbers_of(call, 3, numbers[3]) >= 0, steps = numbers_of(call, 4, numbers[4]) >= 0;
    slice_resolve(s, &call->inputs[0].shape, n, numbers[1], numbers[2], axes ? numbers[3] : NULL,
                  steps ? numbers[4] : NULL);
}

/* Where the first element of the slice is, and the strides of the slice in x. */
static int64_t slice_strides(const slice *s, const kata_shape *shape,
                             int64_t stride[KATA_MAX_RANK]) {
    int64_t first = 0;
    kata__strides(shape, stride);
    for (int i = 0; i < shape->rank; i++) {
        first += s->start[i] * stride[i];
        stride[i] *= s->step[i];
    }
    return first;
}

static kata_status Slice_reference(const kata_call *call) {
    const kata_tensor *in = &call->inputs[0], *out = &call->outputs[0];
    int64_t from[KATA_MAX_RANK], to[KATA_MAX_RANK];
    slice s;
    call_slice(call, &s);
    kata__strides(&out->shape, to);
    int64_t first = slice_strides(&s, &in->shape, from);
    if (kata_tensor_count(out) > 0) {
        kata__copy_strided(call->context, element_size(call), out->shape.rank, out->shape.dim,
                           out->data, to,
                           (const char *)in->data + first * (int64_t)element_size(call), from);
    }
    return KATA_OK;
}

static kata_status Slice_gradient(kata_gradient *g) {
    kata_graph *graph = g->graph;
    kata_shape shape = kata_value_shape(graph, g->inputs[0]);
    kata_tensor inputs[5] = {{0}};
    for (int i = 1; i < g->n_inputs; i++) {
        const kata_tensor *constant = kata__graph_constant_of(graph, g->inputs[i]);
        if (constant != NULL) {
            inputs[i] = *constant;
        }
    }
    inputs[0].shape = shape;
    slice s;
    call_slice(&(kata_call){.n_inputs = g->n_inputs, .inputs = inputs}, &s);
    g->input_gradients[0] = KATA_NODE_WITH(
        graph, "kata:SliceGrad", KATA_INPUTS(g->output_gradients[0]),
        KATA_INTS_OF("shape", shape.dim, shape.rank), KATA_INTS_OF("starts", s.start, shape.rank),
        KATA_INTS_OF("steps", s.step, shape.rank));
    return kata_graph_status(graph);
}

ROW_MOVE(Slice, 1, 3, 5, NULL,
         "x from input 1 (starts) to input 2 (ends) along input 3 (axes) by input 4 (steps), by "
         "Python's rules.",
         .changes = CHANGES({KATA_ATTRIBUTE_TO_INPUT, 10, "starts", 1},
                            {KATA_ATTRIBUTE_TO_INPUT, 10, "ends", 2},
                            {KATA_ATTRIBUTE_TO_INPUT, 10, "axes", 3}),
         .elements = kata__elements_Slice)

/* The rows of Kata's own that gradients use. Their attributes come from the rules here, but anybody
 * may add such a node, so they are checked like others. */
static kata_status grad_fault(const kata_infer *infer) {
    char text[KATA_SHAPE_TEXT_SIZE];
    return kata_fail(KATA_INVALID, "%s: the attributes do not go with dy of shape %s",
                     infer->op->name, kata_shape_text(&infer->inputs[0].shape, text));
}

/* The type of a gradient: dtype of dy, shape of attribute 0. */
static kata_status grad_infer(kata_infer *infer) {
    const kata_attribute_value *shape = &infer->attributes[0];
    KATA__TRY(kata__infer_float(infer, 0, true));
    for (int i = 0; i < shape->n; i++) {
        if (i >= KATA_MAX_RANK || shape->ints[i] < 0) {
            return grad_fault(infer);
        }
    }
    infer->outputs[0] = (kata_type){infer->inputs[0].dtype, kata_shape_make(shape->n, shape->ints)};
    return kata__infer_fits(infer);
}

/* Attribute i has a number for each axis of dy and dx. */
static bool grad_has(const kata_infer *infer, int i) {
    int rank = infer->outputs[0].shape.rank;
    return infer->attributes[i].n == rank && infer->inputs[0].shape.rank == rank;
}

static kata_status SliceGrad_infer(kata_infer *infer) {
    KATA__TRY(grad_infer(infer));
    if (!grad_has(infer, 1) || !grad_has(infer, 2)) {
        return grad_fault(infer);
    }
    for (int i = 0; i < infer->outputs[0].shape.rank; i++) {
        int64_t size = infer->outputs[0].shape.dim[i], n = infer->inputs[0].shape.dim[i];
        int64_t start = infer->attributes[1].ints[i], step = infer->attributes[2].ints[i];
        /* n places in a row of `size`, `step` apart: |step| (n - 1) < size, without overflow. */
        int64_t length = step < 0 ? -(step + 1) : step - 1;
        if (n > size || step == 0 || (n > 0 && (start < 0 || start >= size)) ||
            (n > 1 && length >= (step < 0 ? start : size - 1 - start) / (n - 1))) {
            return grad_fault(infer);
        }
    }
    return KATA_OK;
}

static kata_status SliceGrad_reference(const kata_call *call) {
    const kata_tensor *dy = &call->inputs[0], *dx = &call->outputs[0];
    int64_t from[KATA_MAX_RANK], to[KATA_MAX_RANK];
    slice s;
    int rank = dx->shape.rank;
    memcpy(s.start, call->attributes[1].ints, (size_t)rank * sizeof s.start[0]);
    memcpy(s.step, call->attributes[2].ints, (size_t)rank * sizeof s.step[0]);
    int64_t first = slice_strides(&s, &dx->shape, to);
    kata__strides(&dy->shape, from);
    fill(call, NULL);
    if (kata_tensor_count(dy) > 0) {
        kata__copy_strided(call->context, element_size(call), rank, dy->shape.dim,
                           (char *)dx->data + first * (int64_t)element_size(call), to, dy->data,
                           from);
    }
    return KATA_OK;
}

/* A row that only gradients use; its first attribute is the shape of the output. */
#define ROW_GRAD(NAME, N_INPUTS, DOC, ...)                                                         \
    const kata_op kata__op_kata_##NAME = {.name = #NAME,                                           \
                                          .domain = "kata",                                        \
                                          .since = 1,                                              \
                                          .min_inputs = N_INPUTS,                                  \
                                          .max_inputs = N_INPUTS,                                  \
                                          .min_outputs = 1,                                        \
                                          .max_outputs = 1,                                        \
                                          .attributes = ATTRIBUTES(SHAPE_ATTRIBUTE, __VA_ARGS__),  \
                                          .infer = NAME##_infer,                                   \
                                          .reference = NAME##_reference,                           \
                                          .flops = kata__flops_input,                              \
                                          .flags = KATA_OP_INTERNAL,                               \
                                          .tolerance = 1e-6,                                       \
                                          .doc = DOC};
#define INTS_ATTRIBUTE(NAME, DOC)                                                                  \
    { .name = NAME, .type = KATA_ATTRIBUTE_INTS, .doc = DOC }
#define SHAPE_ATTRIBUTE INTS_ATTRIBUTE("shape", "the shape of the output")

ROW_GRAD(SliceGrad, 1, "Gradient of Slice: dy at its places in zeros.",
         INTS_ATTRIBUTE("starts", "first element of each axis"),
         INTS_ATTRIBUTE("steps", "step of each axis"))

/* --- Gather ---------------------------------------------------------------------------------- */

static kata_status Gather_infer(kata_infer *infer) {
    const kata_shape *data = &infer->inputs[0].shape, *indices = &infer->inputs[1].shape;
    int axis;
    KATA__TRY(kata__infer_dtype(infer, 1, KATA__INDICES));
    KATA__TRY(kata__infer_axis(infer, infer->attributes[0].i, data->rank, &axis));
    kata_shape out = {.rank = data->rank - 1 + indices->rank};
    if (out.rank > KATA_MAX_RANK) {
        return kata_fail(KATA_LIMIT,
                         "Gather: the output would have %d axes, at most %d are possible", out.rank,
                         KATA_MAX_RANK);
    }
    int n = 0;
    for (int i = 0; i < data->rank; i++) {
        if (i != axis) {
            out.dim[n++] = data->dim[i];
            continue;
        }
        for (int k = 0; k < indices->rank; k++) {
            out.dim[n++] = indices->dim[k];
        }
    }
    infer->outputs[0] = (kata_type){infer->inputs[0].dtype, out};
    return kata__infer_fits(infer);
}

/* KATA_INVALID for an index outside [-size, size). */
static kata_status check_indices(const kata_call *call, const kata_tensor *indices, int64_t size) {
    for (int64_t k = 0, n = kata_tensor_count(indices); k < n; k++) {
        int64_t index = kata__load_int(indices->dtype, indices->data, k);
        if (index < -size || index >= size) {
            return kata_fail(KATA_INVALID,
                             "%s: index %" PRId64 " (element %" PRId64
                             " of the indices) is out of range for an axis of size %" PRId64,
                             call->op->name, index, k, size);
        }
    }
    return KATA_OK;
}

static kata_status Gather_reference(const kata_call *call) {
    const kata_tensor *data = &call->inputs[0], *indices = &call->inputs[1];
    int axis = call_axis(call);
    int64_t size = data->shape.dim[axis], outer = kata__size_before(&data->shape, axis);
    size_t run = (size_t)kata__size_after(&data->shape, axis) * element_size(call);
    int64_t n = kata_tensor_count(indices);
    KATA__TRY(check_indices(call, indices, size));
    char *to = call->outputs[0].data;
    for (int64_t o = 0; o < outer && run > 0; o++) {
        const char *from = (const char *)data->data + (size_t)(o * size) * run;
        for (int64_t k = 0; k < n; k++, to += run) {
            int64_t index = kata__load_int(indices->dtype, indices->data, k);
            memcpy(to, from + (size_t)(index < 0 ? index + size : index) * run, run);
        }
    }
    return KATA_OK;
}

static kata_status Gather_gradient(kata_gradient *g) {
    kata_shape shape = kata_value_shape(g->graph, g->inputs[0]);
    int64_t axis = g->attributes[0].i;
    g->input_gradients[0] = KATA_NODE_WITH(g->graph, "kata:GatherGrad",
                                           KATA_INPUTS(g->output_gradients[0], g->inputs[1]),
                                           KATA_INTS_OF("shape", shape.dim, shape.rank),
                                           KATA_INT("axis", axis < 0 ? axis + shape.rank : axis));
    return kata_graph_status(g->graph);
}

ROW_MOVE(Gather, 1, 2, 2,
         ATTRIBUTES({.name = "axis", .type = KATA_ATTRIBUTE_INT, .doc = "the axis picked from"}),
         "Elements of x along an axis by the indices of input 1; negative ones count from the end.",
         .flags = KATA_OP_SCALES, .elements = kata__elements_Gather)

/* dx[at + k] += dy[k], float32 and float64 in their own precision. */
static void add_run(kata_dtype dtype, void *dx, int64_t at, const void *dy, int64_t from,
                    int64_t n) {
    if (dtype == KATA_F32) {
        for (int64_t k = 0; k < n; k++) {
            ((float *)dx)[at + k] += ((const float *)dy)[from + k];
        }
    } else if (dtype == KATA_F64) {
        for (int64_t k = 0; k < n; k++) {
            ((double *)dx)[at + k] += ((const double *)dy)[from + k];
        }
    } else {
        for (int64_t k = 0; k < n; k++) {
            kata_store(dtype, dx, at + k,
                       kata_load(dtype, dx, at + k) + kata_load(dtype, dy, from + k));
        }
    }
}

static kata_status GatherGrad_infer(kata_infer *infer) {
    KATA__TRY(grad_infer(infer));
    kata_type dy = infer->inputs[0], dx = infer->outputs[0];
    int64_t axis = infer->attributes[1].i;
    if (axis < 0 || axis >= dx.shape.rank) {
        return grad_fault(infer);
    }
    /* The shape rule of Gather says what dy must be. */
    kata_type inputs[2] = {dx, infer->inputs[1]}, gathered;
    kata_attribute_value attribute = {.i = axis};
    kata_infer gather = {.op = infer->op,
                         .attributes = &attribute,
                         .n_inputs = 2,
                         .n_outputs = 1,
                         .inputs = inputs,
                         .outputs = &gathered};
    KATA__TRY(Gather_infer(&gather));
    return kata_shape_equal(&gathered.shape, &dy.shape) ? KATA_OK : grad_fault(infer);
}

/* In the order of the indices, on one thread: the same bits always. */
static kata_status GatherGrad_reference(const kata_call *call) {
    const kata_tensor *dy = &call->inputs[0], *indices = &call->inputs[1], *dx = &call->outputs[0];
    int axis = (int)call->attributes[1].i;
    int64_t size = dx->shape.dim[axis], outer = kata__size_before(&dx->shape, axis);
    int64_t inner = kata__size_after(&dx->shape, axis), n = kata_tensor_count(indices), from = 0;
    KATA__TRY(check_indices(call, indices, size));
    fill(call, NULL);
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t k = 0; k < n; k++, from += inner) {
            int64_t index = kata__load_int(indices->dtype, indices->data, k);
            index = index < 0 ? index + size : index;
            add_run(dx->dtype, dx->data, (o * size + index) * inner, dy->data, from, inner);
        }
    }
    return KATA_OK;
}

ROW_GRAD(GatherGrad, 2, "Gradient of Gather from (dy, indices): dy added at its places in zeros.",
         {.name = "axis", .type = KATA_ATTRIBUTE_INT, .doc = "the axis picked from"})

/* --- Pad ------------------------------------------------------------------------------------- */

typedef enum pad_mode { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_MODES } pad_mode;
static const char *const pad_modes[PAD_MODES] = {"constant", "reflect", "edge"};

static pad_mode pad_mode_of(const char *name) {
    pad_mode mode = PAD_CONSTANT;
    while (mode < PAD_MODES && strcmp(name, pad_modes[mode]) != 0) {
        mode++;
    }
    return mode;
}

/* pads of all axes: before[axis], after[axis]. `axes` may be NULL. */
static void pad_resolve(int rank, const int64_t *pads, int n, const int64_t *axes,
                        int64_t before[KATA_MAX_RANK], int64_t after[KATA_MAX_RANK]) {
    for (int i = 0; i < rank; i++) {
        before[i] = after[i] = 0;
    }
    for (int k = 0; k < n; k++) {
        int64_t axis = axes == NULL ? k : axes[k] < 0 ? axes[k] + rank : axes[k];
        before[axis] = pads[k];
        after[axis] = pads[n + k];
    }
}

static kata_status Pad_infer(kata_infer *infer) {
    const kata_shape *in = &infer->inputs[0].shape;
    int64_t pads[2 * KATA_MAX_RANK], axes[KATA_MAX_RANK];
    int64_t before[KATA_MAX_RANK], after[KATA_MAX_RANK];
    bool known, axes_known = true, flags[KATA_MAX_RANK], has_axes = kata__infer_has(infer, 3);
    int n, n_axes = in->rank;
    char text[KATA_SHAPE_TEXT_SIZE];
    kata_shape_text(in, text);
    const char *mode_name = infer->attributes[0].s != NULL ? infer->attributes[0].s : "";
    pad_mode mode = pad_mode_of(mode_name);
    if (mode == PAD_MODES) {
        return kata_fail(KATA_UNSUPPORTED,
                         "Pad: mode must be constant, reflect or edge, got \"%s\"", mode_name);
    }
    if (kata__infer_has(infer, 2)) {
        KATA__TRY(kata__infer_one_dtype(infer, 0, 2));
        if (kata_shape_count(&infer->inputs[2].shape) != 1) {
            return kata_fail(KATA_SHAPE, "Pad: the value (input 2) must be one number");
        }
    }
    KATA__TRY(kata__infer_int64s(infer, 1, pads, 2 * KATA_MAX_RANK, &n, &known));
    if (has_axes) {
        KATA__TRY(kata__infer_int64s(infer, 3, axes, KATA_MAX_RANK, &n_axes, &axes_known));
    }
    if (!known || !axes_known) {
        return all_unknown(infer, in->rank);
    }
    if (has_axes) {
        KATA__TRY(kata__infer_axes(infer, axes, n_axes, in->rank, flags));
    }
    if (n != 2 * n_axes) {
        return kata_fail(KATA_SHAPE,
                         "Pad: %d pads are given for %d axes of %s; expected one before and one "
                         "after each",
                         n, n_axes, text);
    }
    pad_resolve(in->rank, pads, n_axes, has_axes ? axes : NULL, before, after);
    infer->outputs[0] = infer->inputs[0];
    for (int i = 0; i < in->rank; i++) {
        const int64_t limit = INT64_MAX / 4;
        if (in->dim[i] < 0) {
            infer->outputs[0].shape.dim[i] =
                before[i] == 0 && after[i] == 0 ? in->dim[i] : KATA_UNKNOWN_DIM;
            continue;
        }
        if (before[i] > limit || before[i] < -limit || after[i] > limit || after[i] < -limit ||
            in->dim[i] + before[i] + after[i] < 0) {
            return kata_fail(KATA_SHAPE,
                             "Pad: axis %d of %s cannot be padded by %" PRId64 " and %" PRId64, i,
                             text, before[i], after[i]);
        }
        infer->outputs[0].shape.dim[i] = in->dim[i] + before[i] + after[i];
        if (mode != PAD_CONSTANT && in->dim[i] == 0 && infer->outputs[0].shape.dim[i] > 0) {
            return kata_fail(KATA_SHAPE, "Pad: axis %d of %s is empty and has nothing to %s", i,
                             text, pad_modes[mode]);
        }
    }
    return kata__infer_fits(infer);
}

/* Which element of an axis of n elements stands at place i, i < 0 and i >= n included. */
static int64_t pad_source(pad_mode mode, int64_t i, int64_t n) {
    if (mode == PAD_EDGE || n == 1) {
        return clamp(i, 0, n - 1);
    }
    int64_t period = 2 * (n - 1); /* 0 1 2 1 0 1 2 ... */
    i = i < 0 ? -i % period : i % period;
    return i < n ? i : period - i;
}

static void call_pads(const kata_call *call, int64_t before[KATA_MAX_RANK]) {
    int64_t pads[2 * KATA_MAX_RANK], axes[KATA_MAX_RANK], after[KATA_MAX_RANK];
    const kata_tensor *in = &call->inputs[1];
    int n = (int)kata_tensor_count(in);
    for (int k = 0; k < n; k++) {
        pads[k] = kata__load_int(in->dtype, in->data, k);
    }
    bool has_axes = numbers_of(call, 3, axes) >= 0;
    pad_resolve(call->inputs[0].shape.rank, pads, n / 2, has_axes ? axes : NULL, before, after);
}

/* Visits the elements of `wide` (the padded shape) in order: the element of `narrow` that stands
 * there. */
typedef struct pad_walk {
    pad_mode mode;
    const kata_shape *wide, *narrow;
    int64_t before[KATA_MAX_RANK], index[KATA_MAX_RANK], stride[KATA_MAX_RANK];
} pad_walk;

static int64_t pad_next(pad_walk *walk) {
    int64_t at = 0;
    for (int i = 0; i < walk->wide->rank; i++) {
        int64_t place = walk->index[i] - walk->before[i];
        at += walk->stride[i] * pad_source(walk->mode, place, walk->narrow->dim[i]);
    }
    for (int i = walk->wide->rank - 1; i >= 0; i--) {
        if (++walk->index[i] < walk->wide->dim[i]) {
            break;
        }
        walk->index[i] = 0;
    }
    return at;
}

static kata_status Pad_reference(const kata_call *call) {
    const kata_tensor *in = &call->inputs[0], *out = &call->outputs[0];
    pad_walk walk = {
        .mode = pad_mode_of(call->attributes[0].s), .wide = &out->shape, .narrow = &in->shape};
    size_t size = element_size(call);
    call_pads(call, walk.before);
    kata__strides(&in->shape, walk.stride);
    if (walk.mode != PAD_CONSTANT) {
        for (int64_t k = 0, n = kata_tensor_count(out); k < n; k++) {
            memcpy((char *)out->data + (size_t)k * size,
                   (const char *)in->data + (size_t)pad_next(&walk) * size, size);
        }
        return KATA_OK;
    }
    /* The value everywhere, then the part of x that is inside the output. */
    bool has_value = call->n_inputs > 2 && call->inputs[2].dtype != KATA_NO_DTYPE;
    fill(call, has_value ? call->inputs[2].data : NULL);
    int64_t dim[KATA_MAX_RANK], to[KATA_MAX_RANK], first = 0, target = 0;
    kata__strides(&out->shape, to);
    for (int i = 0; i < in->shape.rank; i++) {
        int64_t skip = walk.before[i] < 0 ? -walk.before[i] : 0;
        int64_t place = walk.before[i] > 0 ? walk.before[i] : 0;
        int64_t left = in->shape.dim[i] - skip, room = out->shape.dim[i] - place;
        dim[i] = left < room ? left : room;
        if (dim[i] <= 0) {
            return KATA_OK;
        }
        first += skip * walk.stride[i];
        target += place * to[i];
    }
    kata__copy_strided(call->context, size, in->shape.rank, dim,
                       (char *)out->data + (size_t)target * size, to,
                       (const char *)in->data + (size_t)first * size, walk.stride);
    return KATA_OK;
}

/* Constant: pads with the other sign, and the value gets the sum of what was padded. Other modes:
 * each dy is added to the element that it came from. */
static kata_status Pad_gradient(kata_gradient *g) {
    kata_graph *graph = g->graph;
    kata_value dy = g->output_gradients[0];
    kata_shape shape = kata_value_shape(graph, g->inputs[0]), wide = kata_value_shape(graph, dy);
    kata_tensor inputs[4] = {{.shape = shape}};
    for (int i = 1; i < g->n_inputs; i++) {
        const kata_tensor *constant = kata__graph_constant_of(graph, g->inputs[i]);
        if (constant != NULL) {
            inputs[i] = *constant;
        }
    }
    int64_t before[KATA_MAX_RANK], pads[2 * KATA_MAX_RANK];
    call_pads(&(kata_call){.n_inputs = g->n_inputs, .inputs = inputs}, before);
    if (pad_mode_of(g->attributes[0].s) != PAD_CONSTANT) {
        g->input_gradients[0] = KATA_NODE_WITH(
            graph, "kata:PadGrad", KATA_INPUTS(dy), KATA_INTS_OF("shape", shape.dim, shape.rank),
            KATA_INTS_OF("before", before, shape.rank), KATA_STRING("mode", g->attributes[0].s));
        return kata_graph_status(graph);
    }
    for (int i = 0; i < shape.rank; i++) {
        pads[i] = -before[i];
        pads[shape.rank + i] = -(wide.dim[i] - shape.dim[i] - before[i]);
    }
    kata_value back = kata_graph_int64s(graph, pads, 2 * shape.rank);
    kata_value dx = KATA_NODE(graph, "Pad", KATA_INPUTS(dy, back));
    g->input_gradients[0] = dx;
    if (g->n_inputs > 2 && g->needed[2]) {
        kata_value all = KATA_NODE(graph, "ReduceSum", KATA_INPUTS(dy));
        kata_value inside = KATA_NODE(graph, "ReduceSum", KATA_INPUTS(dx));
        kata_shape value = kata_value_shape(graph, g->inputs[2]), one = {.rank = 0};
        all = kata__reshape_to(graph, all, &one);
        inside = kata__reshape_to(graph, inside, &one);
        g->input_gradients[2] = kata__reshape_to(graph, kata__sub(graph, all, inside), &value);
    }
    return kata_graph_status(graph);
}

ROW_MOVE(Pad, 1, 2, 4,
         ATTRIBUTES({.name = "mode",
                     .type = KATA_ATTRIBUTE_STRING,
                     .default_string = "constant",
                     .doc = "constant: input 2, or 0; reflect: mirrored; edge: the last one"}),
         "x with input 1 (all before, then all after) more elements at the ends of its axes, or "
         "fewer where negative.",
         .constant_inputs = 1 << 1 | 1 << 2 | 1 << 3,
         .changes = CHANGES({KATA_ATTRIBUTE_TO_INPUT, 2, "paddings", 1},
                            {KATA_ATTRIBUTE_TO_INPUT, 11, "pads", 1},
                            {KATA_ATTRIBUTE_TO_INPUT, 11, "value", 2},
                            {KATA_INPUT_ADDED, 18, NULL, 3}))

static kata_status PadGrad_infer(kata_infer *infer) {
    KATA__TRY(grad_infer(infer));
    const char *mode = infer->attributes[2].s;
    bool known = mode != NULL && pad_mode_of(mode) != PAD_MODES && grad_has(infer, 1);
    for (int i = 0; known && i < infer->outputs[0].shape.rank; i++) {
        int64_t before = infer->attributes[1].ints[i];
        known = before > -INT64_MAX / 4 && before < INT64_MAX / 4 &&
                (infer->outputs[0].shape.dim[i] > 0 || infer->inputs[0].shape.dim[i] == 0);
    }
    return known ? KATA_OK : grad_fault(infer);
}

static kata_status PadGrad_reference(const kata_call *call) {
    const kata_tensor *dy = &call->inputs[0], *dx = &call->outputs[0];
    pad_walk walk = {
        .mode = pad_mode_of(call->attributes[2].s), .wide = &dy->shape, .narrow = &dx->shape};
    memcpy(walk.before, call->attributes[1].ints, (size_t)dx->shape.rank * sizeof walk.before[0]);
    kata__strides(&dx->shape, walk.stride);
    fill(call, NULL);
    for (int64_t k = 0, n = kata_tensor_count(dy); k < n; k++) {
        add_run(dx->dtype, dx->data, pad_next(&walk), dy->data, k, 1);
    }
    return KATA_OK;
}

ROW_GRAD(PadGrad, 1, "Gradient of Pad by reflection or edge: dy added to where it came from.",
         INTS_ATTRIBUTE("before", "pads before each axis"),
         {.name = "mode",
          .type = KATA_ATTRIBUTE_STRING,
          .default_string = "reflect",
          .doc = "reflect or edge"})

/* --- Expand ---------------------------------------------------------------------------------- */

static kata_status Expand_infer(kata_infer *infer) {
    const kata_shape *in = &infer->inputs[0].shape;
    kata_shape wanted;
    int n;
    bool known;
    kata_elements open = {.n = 0};
    KATA__TRY(kata__infer_int64s(infer, 1, wanted.dim, KATA_MAX_RANK, &n, &known));
    if (!known && !kata__infer_elements(infer, 1, &open)) {
        return n < 0 ? kata_fail(KATA_UNSUPPORTED, "Expand: the shape (input 1) must be a constant")
                     : all_unknown(infer, n > in->rank ? n : in->rank);
    }
    wanted.rank = n;
    for (int i = 0; i < n; i++) {
        wanted.dim[i] = known ? wanted.dim[i] : open.value[i];
        if (wanted.dim[i] < 0 && !open.is_open[i]) {
            return kata_fail(KATA_INVALID, "Expand: size %d of the shape is %" PRId64, i,
                             wanted.dim[i]);
        }
    }
    infer->outputs[0].dtype = infer->inputs[0].dtype;
    kata_status status = kata_shape_broadcast(&infer->outputs[0].shape, in, &wanted);
    if (status != KATA_OK) {
        return kata_fail_in(status, "Expand");
    }
    return kata__infer_fits(infer);
}

static kata_status Expand_reference(const kata_call *call) {
    const kata_tensor *in = &call->inputs[0], *out = &call->outputs[0];
    int64_t from[KATA_MAX_RANK], to[KATA_MAX_RANK];
    kata__broadcast_strides(&out->shape, &in->shape, from);
    kata__strides(&out->shape, to);
    kata__copy_strided(call->context, element_size(call), out->shape.rank, out->shape.dim,
                       out->data, to, in->data, from);
    return KATA_OK;
}

static kata_status Expand_gradient(kata_gradient *g) {
    g->input_gradients[0] = kata__sum_to(g->graph, g->output_gradients[0], g->inputs[0]);
    return kata_graph_status(g->graph);
}

ROW_MOVE(Expand, 8, 2, 2, NULL, "x broadcast with the shape of input 1.")

/* --- Tile ------------------------------------------------------------------------------------ */

static kata_status Tile_infer(kata_infer *infer) {
    const kata_shape *in = &infer->inputs[0].shape;
    int64_t repeats[KATA_MAX_RANK];
    int n;
    bool known;
    KATA__TRY(kata__infer_int64s(infer, 1, repeats, KATA_MAX_RANK, &n, &known));
    if (!known) {
        return all_unknown(infer, in->rank);
    }
    if (n != in->rank) {
        char text[KATA_SHAPE_TEXT_SIZE];
        return kata_fail(KATA_SHAPE, "Tile: %d repeats are given for the %d axes of %s", n,
                         in->rank, kata_shape_text(in, text));
    }
    infer->outputs[0] = infer->inputs[0];
    for (int i = 0; i < n; i++) {
        int64_t *size = &infer->outputs[0].shape.dim[i];
        if (repeats[i] < 0) {
            return kata_fail(KATA_INVALID, "Tile: repeat %d is %" PRId64 "; expected 0 or more", i,
                             repeats[i]);
        }
        if (*size < 0) {
            *size = repeats[i] == 1 ? *size : KATA_UNKNOWN_DIM;
            continue;
        }
        if (*size > 0 && repeats[i] > INT64_MAX / 16 / *size) {
            return kata_fail(KATA_LIMIT, "Tile: repeat %d is %" PRId64 ", which is too large", i,
                             repeats[i]);
        }
        *size *= repeats[i];
    }
    return kata__infer_fits(infer);
}

/* Each axis of the output is two: (repeats, size). */
static kata_status Tile_reference(const kata_call *call) {
    const kata_tensor *in = &call->inputs[0], *out = &call->outputs[0];
    int64_t dim[KATA__WALK_AXES], from[KATA__WALK_AXES], to[KATA__WALK_AXES];
    int64_t in_stride[KATA_MAX_RANK], out_stride[KATA_MAX_RANK];
    if (kata_tensor_count(out) == 0) {
        return KATA_OK;
    }
    kata__strides(&in->shape, in_stride);
    kata__strides(&out->shape, out_stride);
    for (int i = 0; i < in->shape.rank; i++) {
        int64_t size = in->shape.dim[i];
        dim[2 * i] = out->shape.dim[i] / size;
        dim[2 * i + 1] = size;
        from[2 * i] = 0;
        from[2 * i + 1] = in_stride[i];
        to[2 * i] = out_stride[i] * size;
        to[2 * i + 1] = out_stride[i];
    }
    kata__copy_strided(call->context, element_size(call), 2 * in->shape.rank, dim, out->data, to,
                       in->data, from);
    return KATA_OK;
}

/* For each repeated axis, from the first: dy as (before, repeats, rest), summed over the repeats.
 */
static kata_status Tile_gradient(kata_gradient *g) {
    kata_graph *graph = g->graph;
    kata_value dx = g->output_gradients[0];
    kata_shape shape = kata_value_shape(graph, g->inputs[0]), now = kata_value_shape(graph, dx);
    for (int i = 0; i < shape.rank; i++) {
        if (shape.dim[i] == 0 || now.dim[i] == shape.dim[i]) {
            continue;
        }
        int64_t repeats = now.dim[i] / shape.dim[i];
        int64_t split[3] = {kata__size_before(&now, i), repeats,
                            shape.dim[i] * kata__size_after(&now, i)};
        kata_shape three = kata_shape_make(3, split);
        int64_t axis = 1;
        dx = KATA_NODE_WITH(
            graph, "ReduceSum",
            KATA_INPUTS(kata__reshape_to(graph, dx, &three), kata_graph_int64s(graph, &axis, 1)),
            KATA_INT("keepdims", 0));
        now.dim[i] = shape.dim[i];
    }
    g->input_gradients[0] = kata__reshape_to(graph, dx, &shape);
    return kata_graph_status(graph);
}

ROW_MOVE(Tile, 6, 2, 2, NULL, "x repeated along each axis as often as input 1 says.")
