/* Elements picked and put by tensors of indices: GatherElements, GatherND, ScatterElements,
 * ScatterND. Picking moves elements of any data type; putting with a reduction also computes. All
 * go through the indices in order on one thread: the same bits always, and where an index comes
 * twice the later update wins, or both are reduced in that order. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "op/batch.h"
#include "op/gradient.h"
#include "op/infer.h"
#include "op/loops.h"

static const kata_attribute_spec axis_list[] = {
    {.name = "axis", .type = KATA_ATTRIBUTE_INT, .doc = "the axis that the indices count along"},
    {.name = NULL}};
static const kata_attribute_spec batch_list[] = {
    {.name = "batch_dims", .type = KATA_ATTRIBUTE_INT, .doc = "leading axes that go together"},
    {.name = NULL}};
#define REDUCTION                                                                                  \
    {                                                                                              \
        .name = "reduction", .type = KATA_ATTRIBUTE_STRING, .default_string = "none",              \
        .doc = "what an update does to the element: none (replaces it), add, mul, max, min"        \
    }
static const kata_attribute_spec axis_reduction_list[] = {
    {.name = "axis", .type = KATA_ATTRIBUTE_INT, .doc = "the axis that the indices count along"},
    REDUCTION,
    {.name = NULL}};
static const kata_attribute_spec reduction_list[] = {REDUCTION, {.name = NULL}};

static kata_status fail_index(const kata_call *call, int64_t index, int64_t element, int64_t size) {
    return kata_fail(KATA_INVALID,
                     "%s: index %" PRId64 " (element %" PRId64
                     " of the indices) is out of range for an axis of size %" PRId64,
                     call->op->name, index, element, size);
}

/* Index `element` of input 1, not negative; KATA_INVALID unless it is in [-size, size). */
static kata_status index_at(const kata_call *call, int64_t element, int64_t size, int64_t *out) {
    const kata_tensor *indices = &call->inputs[1];
    int64_t index = kata__load_int(indices->dtype, indices->data, element);
    if (index < -size || index >= size) {
        return fail_index(call, index, element, size);
    }
    *out = index < 0 ? index + size : index;
    return KATA_OK;
}

/* --- reductions ------------------------------------------------------------------------------ */

typedef enum reduction { NONE, ADD, MUL, MAX, MIN, REDUCTIONS } reduction;
static const char *const reductions[REDUCTIONS] = {"none", "add", "mul", "max", "min"};

static reduction reduction_of(const char *name) {
    int i = 0;
    while (i < REDUCTIONS && strcmp(reductions[i], name) != 0) {
        i++;
    }
    return (reduction)i;
}

static kata_status infer_reduction(const kata_infer *infer, const kata_attribute_value *attribute) {
    if (reduction_of(attribute->s) == REDUCTIONS) {
        return kata_fail(KATA_INVALID,
                         "%s: the reduction must be none, add, mul, max or min, got \"%.40s\"",
                         infer->op->name, attribute->s);
    }
    return reduction_of(attribute->s) == NONE ? KATA_OK
                                              : kata__infer_dtype(infer, 0, KATA__NUMBERS);
}

static double reduce_real(reduction how, double a, double b) {
    switch (how) {
    case ADD:
        return a + b;
    case MUL:
        return a * b;
    case MAX: /* a NaN on either side stays */
        return a > b || isnan(a) ? a : b;
    case MIN:
        return a < b || isnan(a) ? a : b;
    default:
        return b;
    }
}

static int64_t reduce_int(reduction how, int64_t a, int64_t b) {
    switch (how) {
    case ADD:
        return kata__wrap_add(a, b);
    case MUL:
        return kata__wrap_mul(a, b);
    case MAX:
        return a > b ? a : b;
    case MIN:
        return a < b ? a : b;
    default:
        return b;
    }
}

/* to[at..at+n) = reduction of it and from[0..n), from element `first` on. float32 sums are added in
 * float32, as a chain of Add nodes would. */
static void put(const kata_tensor *to, int64_t at, const kata_tensor *from, int64_t first,
                int64_t n, reduction how) {
    size_t size = kata_dtype_size(to->dtype);
    if (how == NONE) {
        if (n > 0) {
            memcpy((char *)to->data + (size_t)at * size,
                   (const char *)from->data + (size_t)first * size, (size_t)n * size);
        }
        return;
    }
    for (int64_t k = 0; k < n; k++) {
        if (kata_dtype_is_float(to->dtype)) {
            double y = reduce_real(how, kata_load(to->dtype, to->data, at + k),
                                   kata_load(from->dtype, from->data, first + k));
            kata_store(to->dtype, to->data, at + k, y);
        } else {
            int64_t y = reduce_int(how, kata__load_int(to->dtype, to->data, at + k),
                                   kata__load_int(from->dtype, from->data, first + k));
            kata__store_int(to->dtype, to->data, at + k, y);
        }
    }
}

/* dy to the data and to the updates of a Scatter: `gather` picks what the updates met. */
typedef struct scatter_gradient {
    const char *scatter, *gather;
    const kata_attribute *attributes; /* of both, without the reduction */
    int n_attributes;
} scatter_gradient;

static kata_value scatter(kata_gradient *g, const scatter_gradient *s, kata_value data,
                          kata_value updates, const char *how) {
    kata_attribute attributes[2] = {KATA_STRING("reduction", how)};
    for (int i = 0; i < s->n_attributes; i++) {
        attributes[1 + i] = s->attributes[i];
    }
    return kata_graph_node(g->graph, s->scatter, KATA_INPUTS(data, g->inputs[1], updates),
                           attributes, 1 + s->n_attributes);
}

static kata_value gather(kata_gradient *g, const scatter_gradient *s, kata_value from) {
    return kata_graph_node(g->graph, s->gather, KATA_INPUTS(from, g->inputs[1]), s->attributes,
                           s->n_attributes);
}

static kata_value where_equal(kata_gradient *g, kata_value a, kata_value b, kata_value dy) {
    kata_value same = KATA_NODE(g->graph, "Equal", KATA_INPUTS(a, b));
    return kata__mul(g->graph, dy, kata__cast_like(g->graph, same, dy));
}

/* none: what was replaced has no gradient. add: both have dy. max, min: whoever is the result. mul
 * would divide by an update, which may be 0. */
static kata_status scatter_gradients(kata_gradient *g, const scatter_gradient *s, const char *how) {
    kata_value dy = g->output_gradients[0], data = dy;
    switch (reduction_of(how)) {
    case NONE:
        data = scatter(g, s, dy, kata__zeros_like(g->graph, g->inputs[2]), "none");
        break;
    case ADD:
        break;
    case MAX:
    case MIN:
        data = where_equal(g, g->inputs[0], g->outputs[0], dy);
        break;
    default:
        return kata_fail(KATA_UNSUPPORTED, "%s with the reduction mul has no gradient",
                         g->op->name);
    }
    if (g->needed[0]) {
        g->input_gradients[0] = data;
    }
    if (g->needed[2]) {
        kata_value updates = gather(g, s, dy);
        bool chooses = reduction_of(how) == MAX || reduction_of(how) == MIN;
        g->input_gradients[2] =
            chooses ? where_equal(g, g->inputs[2], gather(g, s, g->outputs[0]), updates) : updates;
    }
    return kata_graph_status(g->graph);
}

/* --- GatherElements, ScatterElements --------------------------------------------------------- */

/* Indices and data have one rank; but for the axis no size of the indices exceeds the data's. */
static kata_status infer_elements(const kata_infer *infer, int64_t given) {
    const kata_shape *data = &infer->inputs[0].shape, *indices = &infer->inputs[1].shape;
    char a[KATA_SHAPE_TEXT_SIZE], b[KATA_SHAPE_TEXT_SIZE];
    int axis;
    KATA__TRY(kata__infer_dtype(infer, 1, KATA__INDICES));
    KATA__TRY(kata__infer_axis(infer, given, data->rank, &axis));
    bool fits = indices->rank == data->rank;
    for (int i = 0; fits && i < data->rank; i++) {
        fits = i == axis || data->dim[i] < 0 || indices->dim[i] <= data->dim[i];
    }
    return fits ? KATA_OK
                : kata_fail(KATA_SHAPE,
                            "%s: the indices have the shape %s, which does not fit into data of "
                            "shape %s along axis %d",
                            infer->op->name, kata_shape_text(indices, a), kata_shape_text(data, b),
                            axis);
}

/* The walk over the indices: at[0] counts elements of the data whose index along the axis is 0. */
static void start_elements(kata__walk *walk, const kata_shape *data, const kata_shape *indices,
                           int axis, int64_t *axis_stride) {
    int64_t stride[KATA_MAX_RANK], own[KATA_MAX_RANK];
    kata__strides(data, stride);
    kata__strides(indices, own);
    *axis_stride = stride[axis];
    stride[axis] = 0;
    kata__walk_start(walk, indices->rank, indices->dim, 2, (const int64_t *const[]){stride, own});
}

static int elements_axis(const kata_call *call) {
    int64_t axis = call->attributes[0].i;
    return (int)(axis < 0 ? axis + call->inputs[0].shape.rank : axis);
}

static kata_status GatherElements_infer(kata_infer *infer) {
    KATA__TRY(infer_elements(infer, infer->attributes[0].i));
    infer->outputs[0] = (kata_type){infer->inputs[0].dtype, infer->inputs[1].shape};
    return kata__infer_fits(infer);
}

static kata_status GatherElements_reference(const kata_call *call) {
    const kata_tensor *data = &call->inputs[0], *out = &call->outputs[0];
    int axis = elements_axis(call);
    int64_t axis_stride, index;
    kata__walk walk;
    if (kata_tensor_count(out) == 0) {
        return KATA_OK;
    }
    start_elements(&walk, &data->shape, &out->shape, axis, &axis_stride);
    for (; walk.rows > 0; kata__walk_next(&walk)) {
        for (int64_t j = 0; j < walk.n; j++) {
            int64_t k = walk.at[1] + j * walk.step[1];
            KATA__TRY(index_at(call, k, data->shape.dim[axis], &index));
            put(out, k, data, walk.at[0] + j * walk.step[0] + index * axis_stride, 1, NONE);
        }
    }
    return KATA_OK;
}

static kata_status GatherElements_gradient(kata_gradient *g) {
    g->input_gradients[0] = KATA_NODE_WITH(
        g->graph, "ScatterElements",
        KATA_INPUTS(kata__zeros_like(g->graph, g->inputs[0]), g->inputs[1], g->output_gradients[0]),
        KATA_INT("axis", g->attributes[0].i), KATA_STRING("reduction", "add"));
    return kata_graph_status(g->graph);
}

static kata_status ScatterElements_infer(kata_infer *infer) {
    const kata_shape *indices = &infer->inputs[1].shape, *updates = &infer->inputs[2].shape;
    char a[KATA_SHAPE_TEXT_SIZE], b[KATA_SHAPE_TEXT_SIZE];
    KATA__TRY(infer_elements(infer, infer->attributes[0].i));
    KATA__TRY(kata__infer_one_dtype(infer, 0, 2));
    KATA__TRY(infer_reduction(infer, &infer->attributes[1]));
    bool same = indices->rank == updates->rank;
    for (int i = 0; same && i < indices->rank; i++) {
        same = kata__size_agrees(indices->dim[i], updates->dim[i]);
    }
    if (!same) {
        return kata_fail(KATA_SHAPE, "%s: the indices have the shape %s and the updates %s",
                         infer->op->name, kata_shape_text(indices, a), kata_shape_text(updates, b));
    }
    return kata__infer_same(infer);
}

static void copy_data(const kata_call *call) {
    const kata_tensor *data = &call->inputs[0], *out = &call->outputs[0];
    if (out->data != data->data && kata_tensor_count(out) > 0) {
        memcpy(out->data, data->data, kata_tensor_bytes(out));
    }
}

static kata_status ScatterElements_reference(const kata_call *call) {
    const kata_tensor *indices = &call->inputs[1], *out = &call->outputs[0];
    reduction how = reduction_of(call->attributes[1].s);
    int axis = elements_axis(call);
    int64_t axis_stride, index;
    kata__walk walk;
    copy_data(call);
    if (kata_tensor_count(indices) == 0) {
        return KATA_OK;
    }
    start_elements(&walk, &out->shape, &indices->shape, axis, &axis_stride);
    for (; walk.rows > 0; kata__walk_next(&walk)) {
        for (int64_t j = 0; j < walk.n; j++) {
            int64_t k = walk.at[1] + j * walk.step[1];
            KATA__TRY(index_at(call, k, out->shape.dim[axis], &index));
            put(out, walk.at[0] + j * walk.step[0] + index * axis_stride, &call->inputs[2], k, 1,
                how);
        }
    }
    return KATA_OK;
}

static kata_status ScatterElements_gradient(kata_gradient *g) {
    const kata_attribute axis = KATA_INT("axis", g->attributes[0].i);
    const scatter_gradient s = {"ScatterElements", "GatherElements", &axis, 1};
    return scatter_gradients(g, &s, g->attributes[1].s);
}

/* --- GatherND, ScatterND --------------------------------------------------------------------- */

/* How an index tuple finds a run in the data: shared by both. */
typedef struct tuples {
    int batch, length; /* leading axes that go together, numbers of a tuple */
    int64_t n_tuples;  /* in all */
    int64_t n_each;    /* of one batch element */
    int64_t run;       /* elements that a tuple picks */
    int64_t stride[KATA_MAX_RANK];
    int64_t batch_stride; /* elements of the data of one batch element */
} tuples;

static kata_status infer_tuples(const kata_infer *infer, int64_t batch, int64_t *length) {
    const kata_shape *data = &infer->inputs[0].shape, *indices = &infer->inputs[1].shape;
    char a[KATA_SHAPE_TEXT_SIZE], b[KATA_SHAPE_TEXT_SIZE];
    KATA__TRY(kata__infer_dtype(infer, 1, KATA__DTYPE(I64)));
    if (data->rank < 1 || indices->rank < 1 || batch < 0 ||
        batch >= (data->rank < indices->rank ? data->rank : indices->rank)) {
        return kata_fail(KATA_SHAPE,
                         "%s: data of shape %s and indices of shape %s do not go with batch_dims "
                         "%" PRId64,
                         infer->op->name, kata_shape_text(data, a), kata_shape_text(indices, b),
                         batch);
    }
    *length = indices->dim[indices->rank - 1];
    if (*length < 0) {
        return kata_fail(KATA_UNSUPPORTED, "%s: the last size of the indices must be known",
                         infer->op->name);
    }
    if (*length < 1 || *length > data->rank - batch) {
        return kata_fail(KATA_SHAPE,
                         "%s: indices of shape %s have tuples of %" PRId64
                         " numbers; data of shape %s has %d axes for them",
                         infer->op->name, kata_shape_text(indices, a), *length,
                         kata_shape_text(data, b), data->rank - (int)batch);
    }
    for (int i = 0; i < batch; i++) {
        if (!kata__size_agrees(data->dim[i], indices->dim[i])) {
            return kata_fail(KATA_SHAPE, "%s: axis %d of data %s and of indices %s must be equal",
                             infer->op->name, i, kata_shape_text(data, a),
                             kata_shape_text(indices, b));
        }
    }
    return KATA_OK;
}

/* The shape of what the tuples pick. */
static kata_status picked_shape(const kata_infer *infer, int64_t batch, kata_shape *out) {
    const kata_shape *data = &infer->inputs[0].shape, *indices = &infer->inputs[1].shape;
    int64_t length;
    KATA__TRY(infer_tuples(infer, batch, &length));
    int rest = data->rank - (int)(batch + length);
    if (indices->rank - 1 + rest > KATA_MAX_RANK) {
        return kata_fail(KATA_LIMIT, "%s: the picked elements would have %d axes, at most %d",
                         infer->op->name, indices->rank - 1 + rest, KATA_MAX_RANK);
    }
    *out = kata_shape_make(indices->rank - 1, indices->dim);
    for (int i = 0; i < rest; i++) {
        out->dim[out->rank++] = data->dim[batch + length + i];
    }
    return KATA_OK;
}

static tuples tuples_of(const kata_shape *data, const kata_shape *indices, int64_t batch) {
    tuples t = {.batch = (int)batch, .length = (int)indices->dim[indices->rank - 1]};
    kata__strides(data, t.stride);
    t.run = kata__size_after(data, t.batch + t.length - 1);
    t.n_tuples = kata__size_before(indices, indices->rank - 1);
    t.n_each = 1;
    for (int i = t.batch; i < indices->rank - 1; i++) {
        t.n_each *= indices->dim[i];
    }
    t.batch_stride = kata__size_after(data, t.batch - 1);
    return t;
}

/* The first element that tuple i picks. */
static kata_status tuple_at(const kata_call *call, const tuples *t, const kata_shape *data,
                            int64_t i, int64_t *out) {
    int64_t at = i / t->n_each * t->batch_stride, index;
    for (int k = 0; k < t->length; k++) {
        KATA__TRY(index_at(call, i * t->length + k, data->dim[t->batch + k], &index));
        at += index * t->stride[t->batch + k];
    }
    *out = at;
    return KATA_OK;
}

static kata_status GatherND_infer(kata_infer *infer) {
    kata_shape shape;
    KATA__TRY(picked_shape(infer, infer->attributes[0].i, &shape));
    infer->outputs[0] = (kata_type){infer->inputs[0].dtype, shape};
    return kata__infer_fits(infer);
}

static kata_status GatherND_reference(const kata_call *call) {
    const kata_tensor *data = &call->inputs[0];
    int64_t at, n = kata_tensor_count(&call->outputs[0]);
    tuples t = tuples_of(&data->shape, &call->inputs[1].shape, call->attributes[0].i);
    for (int64_t i = 0; n > 0 && i < t.n_tuples; i++) {
        KATA__TRY(tuple_at(call, &t, &data->shape, i, &at));
        put(&call->outputs[0], i * t.run, data, at, t.run, NONE);
    }
    return KATA_OK;
}

static kata_status GatherND_gradient(kata_gradient *g) {
    kata_shape shape = kata_value_shape(g->graph, g->inputs[0]);
    g->input_gradients[0] = KATA_NODE_WITH(
        g->graph, "kata:GatherNDGrad", KATA_INPUTS(g->output_gradients[0], g->inputs[1]),
        KATA_INTS_OF("shape", shape.dim, shape.rank), KATA_INT("batch_dims", g->attributes[0].i));
    return kata_graph_status(g->graph);
}

static kata_status GatherNDGrad_infer(kata_infer *infer) {
    const kata_attribute_value *dims = &infer->attributes[0];
    kata_type inputs[2] = {{.dtype = infer->inputs[0].dtype}, infer->inputs[1]};
    kata_infer picks = {.op = infer->op, .n_inputs = 2, .inputs = inputs};
    kata_shape picked;
    char text[KATA_SHAPE_TEXT_SIZE];
    KATA__TRY(kata__infer_float(infer, 0, true));
    bool fits = dims->n <= KATA_MAX_RANK;
    for (int i = 0; fits && i < dims->n; i++) {
        fits = dims->ints[i] >= 0;
    }
    if (fits) {
        inputs[0].shape = kata_shape_make(dims->n, dims->ints);
        KATA__TRY(picked_shape(&picks, infer->attributes[1].i, &picked));
        fits = kata_shape_equal(&picked, &infer->inputs[0].shape);
    }
    if (!fits) {
        return kata_fail(KATA_INVALID, "%s: the attributes do not go with dy of shape %s",
                         infer->op->name, kata_shape_text(&infer->inputs[0].shape, text));
    }
    infer->outputs[0] = inputs[0];
    return kata__infer_fits(infer);
}

static kata_status GatherNDGrad_reference(const kata_call *call) {
    const kata_tensor *dx = &call->outputs[0];
    int64_t at, n = kata_tensor_count(&call->inputs[0]);
    tuples t = tuples_of(&dx->shape, &call->inputs[1].shape, call->attributes[1].i);
    if (kata_tensor_count(dx) > 0) {
        memset(dx->data, 0, kata_tensor_bytes(dx));
    }
    for (int64_t i = 0; n > 0 && i < t.n_tuples; i++) {
        KATA__TRY(tuple_at(call, &t, &dx->shape, i, &at));
        put(dx, at, &call->inputs[0], i * t.run, t.run, ADD);
    }
    return KATA_OK;
}

static kata_status ScatterND_infer(kata_infer *infer) {
    const kata_shape *updates = &infer->inputs[2].shape;
    char a[KATA_SHAPE_TEXT_SIZE], b[KATA_SHAPE_TEXT_SIZE];
    kata_shape picked;
    KATA__TRY(picked_shape(infer, 0, &picked));
    KATA__TRY(kata__infer_one_dtype(infer, 0, 2));
    KATA__TRY(infer_reduction(infer, &infer->attributes[0]));
    bool same = picked.rank == updates->rank;
    for (int i = 0; same && i < picked.rank; i++) {
        same = kata__size_agrees(picked.dim[i], updates->dim[i]);
    }
    if (!same) {
        return kata_fail(KATA_SHAPE, "%s: the updates must have the shape %s, got %s",
                         infer->op->name, kata_shape_text(&picked, a), kata_shape_text(updates, b));
    }
    return kata__infer_same(infer);
}

static kata_status ScatterND_reference(const kata_call *call) {
    const kata_tensor *out = &call->outputs[0];
    reduction how = reduction_of(call->attributes[0].s);
    int64_t at, n = kata_tensor_count(&call->inputs[2]);
    tuples t = tuples_of(&out->shape, &call->inputs[1].shape, 0);
    copy_data(call);
    for (int64_t i = 0; n > 0 && i < t.n_tuples; i++) {
        KATA__TRY(tuple_at(call, &t, &out->shape, i, &at));
        put(out, at, &call->inputs[2], i * t.run, t.run, how);
    }
    return KATA_OK;
}

static kata_status ScatterND_gradient(kata_gradient *g) {
    const scatter_gradient s = {"ScatterND", "GatherND", NULL, 0};
    return scatter_gradients(g, &s, g->attributes[0].s);
}

/* After the documentation: further members. */
#define ROW_INDEX(NAME, SINCE, INPUTS, LIST, ...)                                                  \
    const kata_op kata__op_##NAME = {.name = #NAME,                                                \
                                     .domain = "",                                                 \
                                     .since = SINCE,                                               \
                                     .min_inputs = INPUTS,                                         \
                                     .max_inputs = INPUTS,                                         \
                                     .min_outputs = 1,                                             \
                                     .max_outputs = 1,                                             \
                                     .attributes = LIST,                                           \
                                     .infer = NAME##_infer,                                        \
                                     .batch = kata__batch_##NAME,                                  \
                                     .reference = NAME##_reference,                                \
                                     .gradient = NAME##_gradient,                                  \
                                     .flops = kata__flops_none,                                    \
                                     .doc = __VA_ARGS__};

/* From 16 on with add and mul, from 18 on with max and min. */
static const kata_op_change reduction_changes[] = {{KATA_ATTRIBUTE_ADDED, 18, "reduction", 0}, {0}};

ROW_INDEX(GatherElements, 11, 2, axis_list,
          "Element i of the output is that of x whose index along the axis is indices[i].")
ROW_INDEX(GatherND, 11, 2, batch_list,
          "Parts of x by tuples of indices (the last axis of input 1).")
ROW_INDEX(ScatterElements, 11, 3, axis_reduction_list,
          "x with update i (input 2) put where its index along the axis is indices[i] (input 1).",
          .changes = reduction_changes)
ROW_INDEX(ScatterND, 11, 3, reduction_list,
          "x with the updates (input 2) put at tuples of indices (the last axis of input 1).",
          .changes = reduction_changes)

const kata_op kata__op_kata_GatherNDGrad = {
    .name = "GatherNDGrad",
    .domain = "kata",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes =
        (const kata_attribute_spec[]){
            {.name = "shape", .type = KATA_ATTRIBUTE_INTS, .doc = "the shape of the output"},
            {.name = "batch_dims",
             .type = KATA_ATTRIBUTE_INT,
             .doc = "leading axes that go together"},
            {.name = NULL}},
    .infer = GatherNDGrad_infer,
    .reference = GatherNDGrad_reference,
    .flops = kata__flops_input,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 1e-6,
    .doc = "Gradient of GatherND from (dy, indices): dy added at its places in zeros."};
