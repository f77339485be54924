/* Other shapes of the same memory (views, which no session executes), sizes as numbers, and
 * variables written by a node. */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "op/elements.h"
#include "op/gradient.h"
#include "op/infer.h"
#include "op/loops.h"

#define ATTRIBUTES(...) ((const kata_attribute_spec[]){__VA_ARGS__, {.name = NULL}})

/* A view of input 0. */
#define ROW_VIEW(SYMBOL, NAME, DOMAIN, SINCE, MIN_INPUTS, MAX_INPUTS, LIST, INFER, GRADIENT, MORE, \
                 ...)                                                                              \
    const kata_op kata__op_##SYMBOL = {.name = NAME,                                               \
                                       .domain = DOMAIN,                                           \
                                       .since = SINCE,                                             \
                                       .min_inputs = MIN_INPUTS,                                   \
                                       .max_inputs = MAX_INPUTS,                                   \
                                       .min_outputs = 1,                                           \
                                       .max_outputs = 1,                                           \
                                       .attributes = LIST,                                         \
                                       .infer = INFER,                                             \
                                       .gradient = GRADIENT,                                       \
                                       .flags = KATA_OP_VIEW | KATA_OP_MOVE | (MORE),              \
                                       .doc = __VA_ARGS__};

/* All sizes unknown: what a rule says when a shape or axes are no constant yet. */
static kata_status unknown_shape(kata_infer *infer, int rank) {
    kata_type *out = &infer->outputs[0];
    if (rank < 0 || rank > KATA_MAX_RANK) {
        return kata_fail(KATA_UNSUPPORTED, "%s: input 1 must be a constant", infer->op->name);
    }
    *out = (kata_type){.dtype = infer->inputs[0].dtype, .shape = {.rank = rank}};
    for (int i = 0; i < rank; i++) {
        out->shape.dim[i] = KATA_UNKNOWN_DIM;
    }
    return KATA_OK;
}

/* --- the same shape -------------------------------------------------------------------------- */

ROW_VIEW(Identity, "Identity", "", 1, 1, 1, NULL, kata__infer_same, kata__gradient_pass,
         KATA_OP_IDENTITY, "x.", .elements = kata__elements_same)

ROW_VIEW(kata_StopGradient, "StopGradient", "kata", 1, 1, 1, NULL, kata__infer_same,
         kata__gradient_zero, 0, "x, but no gradient flows back to it.")

/* --- Flatten, Reshape ------------------------------------------------------------------------ */

/* Product of sizes from..to-1; unknown if one is, but for an open size times ones. */
static int64_t product(const kata_shape *shape, int from, int to) {
    kata_shape part = {0};
    for (int i = from; i < to; i++) {
        if (shape->dim[i] != 1) {
            part.dim[part.rank++] = shape->dim[i];
        }
    }
    return part.rank == 1 ? part.dim[0] : kata_shape_count(&part);
}

static kata_status flatten_infer(kata_infer *infer) {
    const kata_shape *shape = &infer->inputs[0].shape;
    int64_t axis = infer->attributes[0].i;
    if (axis < -shape->rank || axis > shape->rank) { /* one more than an axis: (all, 1) */
        char text[KATA_SHAPE_TEXT_SIZE];
        return kata_fail(KATA_INVALID,
                         "Flatten: axis %" PRId64 " is outside %d..%d; input 0 has shape %s", axis,
                         -shape->rank, shape->rank, kata_shape_text(shape, text));
    }
    int split = (int)(axis < 0 ? axis + shape->rank : axis);
    infer->outputs[0] =
        (kata_type){infer->inputs[0].dtype,
                    {2, {product(shape, 0, split), product(shape, split, shape->rank)}}};
    return KATA_OK;
}

ROW_VIEW(Flatten, "Flatten", "", 1, 1, 1,
         ATTRIBUTES({.name = "axis",
                     .type = KATA_ATTRIBUTE_INT,
                     .default_int = 1,
                     .doc = "axes before it become rows, the others columns"}),
         flatten_infer, kata__gradient_reshape, 0, "x as a matrix.")

/* Sizes on one side of a Reshape: the product of those that are known, and those that are open. */
typedef struct side {
    int64_t known, open[KATA_MAX_RANK];
    int n_open;
} side;

static void put_size(side *s, int64_t size) {
    if (size < 0) {
        s->open[s->n_open++] = size;
    } else {
        s->known = kata__wrap_mul(s->known, size);
    }
}

/* An open size with a name that is on both sides goes from both. */
static void cancel(side *a, side *b) {
    for (int i = a->n_open - 1; i >= 0; i--) {
        int k = b->n_open - 1;
        while (k >= 0 && (b->open[k] != a->open[i] || a->open[i] == KATA_UNKNOWN_DIM)) {
            k--;
        }
        if (k >= 0) {
            b->open[k] = b->open[--b->n_open];
            a->open[i] = a->open[--a->n_open];
        }
    }
}

/* Reshape to sizes of which some are open. What does not fit is found when they are bound. */
static void reshape_open(kata_infer *infer, const kata_elements *wanted, bool allow_zero) {
    const kata_shape *in = &infer->inputs[0].shape;
    kata_shape out = {.rank = wanted->n};
    side has = {.known = 1}, takes = {.known = 1};
    bool copied[KATA_MAX_RANK] = {false};
    int left = -1;
    for (int i = 0; i < wanted->n; i++) {
        const int64_t size = wanted->value[i];
        if (!wanted->is_open[i] && size == 0 && !allow_zero && i < in->rank) {
            copied[i] = true;
            out.dim[i] = in->dim[i];
        } else if (!wanted->is_open[i] && size < 0) {
            left = i;
        } else {
            out.dim[i] = size;
            put_size(&takes, size);
        }
    }
    for (int i = 0; i < in->rank; i++) {
        if (!copied[i]) {
            put_size(&has, in->dim[i]);
        }
    }
    cancel(&has, &takes);
    if (left >= 0) {
        const bool is_whole = takes.n_open == 0 && takes.known > 0 && has.known % takes.known == 0;
        out.dim[left] = is_whole && has.n_open == 0 ? has.known / takes.known
                        : is_whole && has.n_open == 1 && has.known == takes.known
                            ? has.open[0]
                            : KATA_UNKNOWN_DIM;
    }
    infer->outputs[0] = (kata_type){infer->inputs[0].dtype, out};
}

/* A size of 0 is the input's (unless allowzero), one -1 is what is left. Sizes that are copied by 0
 * are left out on both sides, so that (?,4,4) and (0,4,4) reshaped to [0,-1] are (?,16) and (0,16).
 */
static kata_status reshape_infer(kata_infer *infer) {
    const kata_shape *in = &infer->inputs[0].shape;
    bool allow_zero = infer->attributes[0].i != 0, known;
    int64_t wanted[KATA_MAX_RANK];
    int n, left = -1;
    KATA__TRY(kata__infer_int64s(infer, 1, wanted, KATA_MAX_RANK, &n, &known));
    kata_elements given;
    if (!known && kata__infer_elements(infer, 1, &given)) {
        reshape_open(infer, &given, allow_zero);
        return KATA_OK;
    }
    if (!known) {
        return unknown_shape(infer, n);
    }
    kata_shape asked = {.rank = n}, rest = *in, out = {.rank = n};
    memcpy(asked.dim, wanted, (size_t)n * sizeof wanted[0]);
    char from[KATA_SHAPE_TEXT_SIZE], to[KATA_SHAPE_TEXT_SIZE];
    kata_shape_text(in, from);
    kata_shape_text(&asked, to);
    for (int i = 0; i < n; i++) {
        bool copied = wanted[i] == 0 && !allow_zero;
        if (copied && i >= in->rank) {
            return kata_fail(KATA_SHAPE,
                             "Reshape: size %d of %s is 0, the input's own, but the input %s has "
                             "only %d axes",
                             i, to, from, in->rank);
        }
        if (wanted[i] == -1 && left >= 0) {
            return kata_fail(KATA_SHAPE, "Reshape: only one size may be -1, sizes %d and %d are",
                             left, i);
        }
        if (wanted[i] < -1) {
            return kata_fail(KATA_SHAPE, "Reshape: size %d is %" PRId64 "; expected -1, 0 or more",
                             i, wanted[i]);
        }
        left = wanted[i] == -1 ? i : left;
        out.dim[i] = copied ? in->dim[i] : wanted[i];
        if (copied || wanted[i] == -1) {
            asked.dim[i] = 1;
        }
        if (copied) {
            rest.dim[i] = 1;
        }
    }
    bool exact = true; /* else open sizes are left, and the others say too little */
    int64_t open = 1;  /* the one that is left; KATA_UNKNOWN_DIM if there are several */
    for (int i = 0; i < in->rank; i++) {
        if (rest.dim[i] < 0) {
            open = exact ? rest.dim[i] : KATA_UNKNOWN_DIM;
            exact = false;
            rest.dim[i] = 1;
        }
    }
    int64_t has = kata_shape_count(&rest), takes = kata_shape_count(&asked);
    if (has < 0 || takes < 0) {
        return kata_fail(KATA_LIMIT, "Reshape: %s or %s has too many elements", from, to);
    }
    if (exact && left >= 0 && (takes == 0 || has % takes != 0)) {
        return kata_fail(KATA_SHAPE,
                         "Reshape: the %" PRId64 " elements of %s do not divide into %s", has, from,
                         to);
    }
    if (exact && left < 0 && has != takes) {
        return kata_fail(KATA_SHAPE,
                         "Reshape: %s has %" PRId64 " elements, %s asked for has %" PRId64, from,
                         has, to, takes);
    }
    if (left >= 0) {
        out.dim[left] = exact ? has / takes : has == takes && has > 0 ? open : KATA_UNKNOWN_DIM;
    }
    infer->outputs[0] = (kata_type){infer->inputs[0].dtype, out};
    return KATA_OK;
}

ROW_VIEW(Reshape, "Reshape", "", 1, 2, 2,
         ATTRIBUTES({.name = "allowzero",
                     .type = KATA_ATTRIBUTE_INT,
                     .doc = "1: a size of 0 is 0, not the input's size"}),
         reshape_infer, kata__gradient_reshape, 0,
         "x with the shape of input 1; 0 keeps a size, one -1 takes what is left.",
         .elements = kata__elements_same,
         .changes = (const kata_op_change[]){{KATA_ATTRIBUTE_TO_INPUT, 5, "shape", 1}, {0}})

/* --- Squeeze, Unsqueeze ---------------------------------------------------------------------- */

static const kata_op_change axes_changes[] = {{KATA_ATTRIBUTE_TO_INPUT, 13, "axes", 1}, {0}};

static kata_status squeeze_infer(kata_infer *infer) {
    const kata_shape *in = &infer->inputs[0].shape;
    int64_t axes[KATA_MAX_RANK];
    bool flags[KATA_MAX_RANK], known = true, all = !kata__infer_has(infer, 1);
    int n = 0;
    if (!all) {
        KATA__TRY(kata__infer_int64s(infer, 1, axes, KATA_MAX_RANK, &n, &known));
        if (!known) {
            return unknown_shape(infer, n < 0 ? -1 : in->rank - n);
        }
    }
    KATA__TRY(kata__infer_axes(infer, axes, n, in->rank, flags));
    kata_shape out = {.rank = 0};
    for (int i = 0; i < in->rank; i++) {
        if (flags[i] && !kata__size_agrees(in->dim[i], 1)) {
            char text[KATA_SHAPE_TEXT_SIZE];
            return kata_fail(KATA_SHAPE,
                             "Squeeze: axis %d of %s has size %" PRId64
                             "; only axes of size 1 can go",
                             i, kata_shape_text(in, text), in->dim[i]);
        }
        if (all ? in->dim[i] != 1 : !flags[i]) {
            out.dim[out.rank++] = in->dim[i];
        }
    }
    infer->outputs[0] = (kata_type){infer->inputs[0].dtype, out};
    return KATA_OK;
}

ROW_VIEW(Squeeze, "Squeeze", "", 1, 1, 2, NULL, squeeze_infer, kata__gradient_reshape, 0,
         "x without the axes of input 1, whose sizes are 1; without input 1: all such axes.",
         .changes = axes_changes, .elements = kata__elements_same)

static kata_status unsqueeze_infer(kata_infer *infer) {
    const kata_shape *in = &infer->inputs[0].shape;
    int64_t axes[KATA_MAX_RANK];
    bool flags[KATA_MAX_RANK], known;
    int n;
    KATA__TRY(kata__infer_int64s(infer, 1, axes, KATA_MAX_RANK, &n, &known));
    if (!known) {
        return unknown_shape(infer, n < 0 ? -1 : in->rank + n);
    }
    kata_shape out = {.rank = in->rank + n};
    if (out.rank > KATA_MAX_RANK) {
        return kata_fail(KATA_LIMIT,
                         "Unsqueeze: the output would have %d axes, at most %d are "
                         "possible",
                         out.rank, KATA_MAX_RANK);
    }
    KATA__TRY(kata__infer_axes(infer, axes, n, out.rank, flags));
    for (int i = 0, from = 0; i < out.rank; i++) {
        out.dim[i] = flags[i] ? 1 : in->dim[from++];
    }
    infer->outputs[0] = (kata_type){infer->inputs[0].dtype, out};
    return KATA_OK;
}

ROW_VIEW(Unsqueeze, "Unsqueeze", "", 1, 2, 2, NULL, unsqueeze_infer, kata__gradient_reshape, 0,
         "x with new axes of size 1 at the places of input 1, counted in the output.",
         .changes = axes_changes, .elements = kata__elements_same)

/* --- Shape, Size: numbers about a type ------------------------------------------------------- */

/* Axes [start, end) of the rank, as Python slices a list. */
static void shape_range(const kata_attribute_value *attributes, int rank, int *start, int *end) {
    int64_t from = attributes[0].i, to = attributes[1].is_set ? attributes[1].i : rank;
    from = from < 0 ? from + rank : from;
    to = to < 0 ? to + rank : to;
    *start = (int)(from < 0 ? 0 : from > rank ? rank : from);
    *end = (int)(to < 0 ? 0 : to > rank ? rank : to);
    *end = *end < *start ? *start : *end;
}

static kata_status shape_infer(kata_infer *infer) {
    int start, end;
    shape_range(infer->attributes, infer->inputs[0].shape.rank, &start, &end);
    infer->outputs[0] = (kata_type){KATA_I64, {1, {end - start}}};
    return KATA_OK;
}

static kata_status shape_reference(const kata_call *call) {
    int start, end;
    int64_t *to = call->outputs[0].data;
    shape_range(call->attributes, call->inputs[0].shape.rank, &start, &end);
    for (int i = start; i < end; i++) {
        *to++ = call->inputs[0].shape.dim[i];
    }
    return KATA_OK;
}

static bool shape_elements(const kata_infer *infer, kata_elements *out) {
    int start, end;
    shape_range(infer->attributes, infer->inputs[0].shape.rank, &start, &end);
    return kata__elements_Shape(infer, start, end, out);
}

const kata_op kata__op_Shape = {
    .name = "Shape",
    .domain = "",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = ATTRIBUTES({.name = "start", .type = KATA_ATTRIBUTE_INT, .doc = "first axis"},
                             {.name = "end",
                              .type = KATA_ATTRIBUTE_INT,
                              .doc = "axis after the last one; absent: the rank"}),
    .infer = shape_infer,
    .reference = shape_reference,
    .flags = KATA_OP_TYPE_ONLY,
    .gradient = kata__gradient_zero,
    .flops = kata__flops_none,
    .doc = "The sizes of x as int64; reads no element of x.",
    .elements = shape_elements,
};

static kata_status size_infer(kata_infer *infer) {
    infer->outputs[0] = (kata_type){KATA_I64, {.rank = 0}};
    return KATA_OK;
}

static kata_status size_reference(const kata_call *call) {
    *(int64_t *)call->outputs[0].data = kata_tensor_count(&call->inputs[0]);
    return KATA_OK;
}

const kata_op kata__op_Size = {
    .name = "Size",
    .domain = "",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = size_infer,
    .reference = size_reference,
    .flags = KATA_OP_TYPE_ONLY,
    .gradient = kata__gradient_zero,
    .flops = kata__flops_none,
    .doc = "The number of elements of x as int64; reads no element of x.",
    .elements = kata__elements_Size,
};

/* --- kata:Assign ----------------------------------------------------------------------------- */

static kata_status assign_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_one_dtype(infer, 0, 1));
    const kata_shape *variable = &infer->inputs[0].shape, *value = &infer->inputs[1].shape;
    bool agree = variable->rank == value->rank;
    for (int i = 0; agree && i < variable->rank; i++) {
        agree = kata__size_agrees(variable->dim[i], value->dim[i]);
    }
    if (!agree) {
        char a[KATA_SHAPE_TEXT_SIZE], b[KATA_SHAPE_TEXT_SIZE];
        return kata_fail(KATA_SHAPE, "Assign: the variable has shape %s, the value %s",
                         kata_shape_text(variable, a), kata_shape_text(value, b));
    }
    return kata__infer_same(infer);
}

static kata_status assign_reference(const kata_call *call) {
    const kata_tensor *value = &call->inputs[1];
    if (call->outputs[0].data != value->data && kata_tensor_bytes(value) > 0) {
        memcpy(call->outputs[0].data, value->data, kata_tensor_bytes(value));
    }
    return KATA_OK;
}

const kata_op kata__op_kata_Assign = {
    .name = "Assign",
    .domain = "kata",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = assign_infer,
    .reference = assign_reference,
    .flops = kata__flops_none,
    .flags = KATA_OP_UPDATE,
    .doc = "Writes input 1 into the variable that is input 0; output 0 is its new value.",
};
