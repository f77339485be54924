/* Elements in other places, by a rule that is not an index: DepthToSpace, SpaceToDepth, Trilu,
 * ReverseSequence, CenterCropPad. Nothing is computed; all data types. */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "op/batch.h"
#include "op/gradient.h"
#include "op/infer.h"
#include "op/loops.h"

static size_t element_size(const kata_call *call) {
    return kata_dtype_size(call->outputs[0].dtype);
}

static void clear_output(const kata_call *call) {
    size_t n_bytes = kata_tensor_bytes(&call->outputs[0]);
    if (n_bytes > 0) {
        memset(call->outputs[0].data, 0, n_bytes);
    }
}

/* --- DepthToSpace, SpaceToDepth -------------------------------------------------------------- */

enum { BLOCK, DEPTH_MODE };

static bool is_crd(const kata_attribute_value *attributes) {
    return strcmp(attributes[DEPTH_MODE].s, "CRD") == 0;
}

static kata_status infer_blocks(kata_infer *infer, bool to_space) {
    const kata_shape *x = &infer->inputs[0].shape;
    char text[KATA_SHAPE_TEXT_SIZE];
    int64_t b = infer->attributes[BLOCK].i;
    const char *mode = infer->attributes[DEPTH_MODE].s;
    if (x->rank != 4) {
        return kata_fail(KATA_SHAPE, "%s: input 0 must be (N,C,H,W), got %s", infer->op->name,
                         kata_shape_text(x, text));
    }
    if (strcmp(mode, "DCR") != 0 && strcmp(mode, "CRD") != 0) {
        return kata_fail(KATA_INVALID, "%s: the mode must be DCR or CRD, got \"%.40s\"",
                         infer->op->name, mode);
    }
    if (b < 1 || b > 1 << 15) {
        return kata_fail(KATA_INVALID, "%s: the block size must be at least 1, got %" PRId64,
                         infer->op->name, b);
    }
    bool fits =
        to_space ? x->dim[1] < 0 || x->dim[1] % (b * b) == 0
                 : (x->dim[2] < 0 || x->dim[2] % b == 0) && (x->dim[3] < 0 || x->dim[3] % b == 0);
    if (!fits) {
        return kata_fail(KATA_SHAPE, "%s: %s cannot be divided into blocks of %" PRId64,
                         infer->op->name, kata_shape_text(x, text), b);
    }
    infer->outputs[0] = infer->inputs[0];
    int64_t *y = infer->outputs[0].shape.dim;
    if (y[1] >= 0) {
        y[1] = to_space ? y[1] / (b * b) : y[1] * b * b;
    }
    for (int i = 2; i < 4; i++) {
        if (y[i] >= 0) {
            y[i] = to_space ? y[i] * b : y[i] / b;
        }
    }
    return kata__infer_fits(infer);
}

static kata_status DepthToSpace_infer(kata_infer *infer) {
    return infer_blocks(infer, true);
}

static kata_status SpaceToDepth_infer(kata_infer *infer) {
    return infer_blocks(infer, false);
}

/* Walks (N, C, H, b, W, b) of the spaced-out tensor; the depth one has the blocks' places among its
 * channels: (N, b, b, C, H, W) in mode DCR, (N, C, b, b, H, W) in mode CRD. */
static kata_status move_blocks(const kata_call *call, const kata_tensor *space,
                               const kata_tensor *depth) {
    int64_t b = call->attributes[BLOCK].i, c = space->shape.dim[1];
    int64_t h = depth->shape.dim[2], w = depth->shape.dim[3];
    const int64_t dim[] = {space->shape.dim[0], c, h, b, w, b};
    const int64_t plane = h * w, row = w * b;
    const int64_t in_space[] = {c * h * b * row, h * b * row, b * row, row, b, 1};
    const bool crd = is_crd(call->attributes);
    const int64_t step = crd ? plane : c * plane; /* between neighbours of a block's row */
    const int64_t in_depth[] = {
        c * b * b * plane, crd ? b * b * plane : plane, w, b * step, 1, step};
    bool to_space = space == &call->outputs[0];
    if (kata_tensor_count(space) > 0) {
        kata__copy_strided(call->context, element_size(call), 6, dim, call->outputs[0].data,
                           to_space ? in_space : in_depth, call->inputs[0].data,
                           to_space ? in_depth : in_space);
    }
    return KATA_OK;
}

static kata_status DepthToSpace_reference(const kata_call *call) {
    return move_blocks(call, &call->outputs[0], &call->inputs[0]);
}

static kata_status SpaceToDepth_reference(const kata_call *call) {
    return move_blocks(call, &call->inputs[0], &call->outputs[0]);
}

/* Each is the other's inverse. SpaceToDepth of ONNX has the mode DCR alone; the gradient of CRD
 * uses Kata's own row, which has both. */
static kata_status blocks_gradient(kata_gradient *g, const char *inverse) {
    g->input_gradients[0] = KATA_NODE_WITH(g->graph, inverse, KATA_INPUTS(g->output_gradients[0]),
                                           KATA_INT("blocksize", g->attributes[BLOCK].i),
                                           KATA_STRING("mode", g->attributes[DEPTH_MODE].s));
    return kata_graph_status(g->graph);
}

static kata_status DepthToSpace_gradient(kata_gradient *g) {
    return blocks_gradient(g, "kata:DepthToSpaceGrad");
}

static kata_status SpaceToDepth_gradient(kata_gradient *g) {
    g->input_gradients[0] =
        KATA_NODE_WITH(g->graph, "DepthToSpace", KATA_INPUTS(g->output_gradients[0]),
                       KATA_INT("blocksize", g->attributes[BLOCK].i));
    return kata_graph_status(g->graph);
}

/* SpaceToDepth has no attribute "mode": its list ends before it, and its one mode is DCR. */
static kata_status SpaceToDepth_only(kata_infer *infer) {
    const kata_attribute_value both[] = {infer->attributes[BLOCK], {.s = "DCR"}};
    kata_infer with_mode = *infer;
    with_mode.attributes = both;
    return infer_blocks(&with_mode, false);
}

static kata_status SpaceToDepth_run(const kata_call *call) {
    const kata_attribute_value both[] = {call->attributes[BLOCK], {.s = "DCR"}};
    kata_call with_mode = *call;
    with_mode.attributes = both;
    with_mode.outputs = call->outputs;
    return SpaceToDepth_reference(&with_mode);
}

/* --- Trilu ----------------------------------------------------------------------------------- */

static kata_status Trilu_infer(kata_infer *infer) {
    char text[KATA_SHAPE_TEXT_SIZE];
    int64_t k;
    int n;
    bool known;
    if (infer->inputs[0].shape.rank < 2) {
        return kata_fail(KATA_SHAPE, "Trilu: input 0 must have at least 2 axes, got %s",
                         kata_shape_text(&infer->inputs[0].shape, text));
    }
    if (kata__infer_has(infer, 1)) {
        KATA__TRY(kata__infer_dtype(infer, 1, KATA__DTYPE(I64)));
        KATA__TRY(kata__infer_int64s(infer, 1, &k, 1, &n, &known));
        if (n >= 0 && n != 1) {
            return kata_fail(KATA_SHAPE, "Trilu: k (input 1) must be one number");
        }
    }
    return kata__infer_same(infer);
}

/* Element (i, j) stays if j >= i + k (upper) or j <= i + k (lower). */
static kata_status Trilu_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0], *y = &call->outputs[0];
    const int rank = x->shape.rank;
    const int64_t rows = x->shape.dim[rank - 2], columns = x->shape.dim[rank - 1];
    const int64_t matrices = kata__size_before(&x->shape, rank - 2);
    const bool upper = call->attributes[0].i != 0;
    const size_t size = element_size(call);
    int64_t k = 0;
    if (call->n_inputs > 1 && call->inputs[1].dtype != KATA_NO_DTYPE) {
        k = kata__load_int(KATA_I64, call->inputs[1].data, 0);
        k = k < -rows ? -rows : k > columns ? columns : k;
    }
    clear_output(call);
    for (int64_t m = 0; m < matrices; m++) {
        for (int64_t i = 0; i < rows; i++) {
            int64_t edge = i + k + (upper ? 0 : 1);
            edge = edge < 0 ? 0 : edge > columns ? columns : edge;
            int64_t first = upper ? edge : 0, last = upper ? columns : edge;
            size_t at = (size_t)((m * rows + i) * columns + first) * size;
            if (last > first) {
                memcpy((char *)y->data + at, (const char *)x->data + at,
                       (size_t)(last - first) * size);
            }
        }
    }
    return KATA_OK;
}

static kata_status Trilu_gradient(kata_gradient *g) {
    kata_value inputs[] = {g->output_gradients[0], g->n_inputs > 1 ? g->inputs[1] : KATA_NONE};
    const kata_attribute upper = KATA_INT("upper", g->attributes[0].i);
    g->input_gradients[0] = kata_graph_node(g->graph, "Trilu", inputs, g->n_inputs, &upper, 1);
    return kata_graph_status(g->graph);
}

/* --- ReverseSequence ------------------------------------------------------------------------- */

enum { BATCH_AXIS, TIME_AXIS };

static kata_status ReverseSequence_infer(kata_infer *infer) {
    const kata_shape *x = &infer->inputs[0].shape, *lengths = &infer->inputs[1].shape;
    int64_t batch = infer->attributes[BATCH_AXIS].i, time = infer->attributes[TIME_AXIS].i;
    char a[KATA_SHAPE_TEXT_SIZE], b[KATA_SHAPE_TEXT_SIZE];
    KATA__TRY(kata__infer_dtype(infer, 1, KATA__DTYPE(I64)));
    if (batch + time != 1 || batch * time != 0) {
        return kata_fail(
            KATA_INVALID,
            "ReverseSequence: batch_axis and time_axis must be 0 and 1 or 1 and 0, got "
            "%" PRId64 " and %" PRId64,
            batch, time);
    }
    if (x->rank < 2 || lengths->rank != 1 || !kata__size_agrees(lengths->dim[0], x->dim[batch])) {
        return kata_fail(KATA_SHAPE,
                         "ReverseSequence: input 0 of shape %s needs one length for each of axis "
                         "%d, got shape %s",
                         kata_shape_text(x, a), (int)batch, kata_shape_text(lengths, b));
    }
    return kata__infer_same(infer);
}

static kata_status ReverseSequence_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0], *y = &call->outputs[0];
    const int batch = (int)call->attributes[BATCH_AXIS].i;
    const int64_t n = x->shape.dim[batch], steps = x->shape.dim[1 - batch];
    const size_t run = (size_t)kata__size_after(&x->shape, 1) * element_size(call);
    for (int64_t i = 0; i < n; i++) {
        int64_t length = kata__load_int(KATA_I64, call->inputs[1].data, i);
        if (length < 0 || length > steps) {
            return kata_fail(KATA_INVALID,
                             "ReverseSequence: length %" PRId64 " (element %" PRId64
                             ") is outside 0..%" PRId64,
                             length, i, steps);
        }
        for (int64_t t = 0; t < steps && run > 0; t++) {
            int64_t from = t < length ? length - 1 - t : t;
            size_t to_row = (size_t)(batch == 0 ? i * steps + t : t * n + i);
            size_t from_row = (size_t)(batch == 0 ? i * steps + from : from * n + i);
            memcpy((char *)y->data + to_row * run, (const char *)x->data + from_row * run, run);
        }
    }
    return KATA_OK;
}

static kata_status ReverseSequence_gradient(kata_gradient *g) {
    g->input_gradients[0] = KATA_NODE_WITH(g->graph, "ReverseSequence",
                                           KATA_INPUTS(g->output_gradients[0], g->inputs[1]),
                                           KATA_INT("batch_axis", g->attributes[BATCH_AXIS].i),
                                           KATA_INT("time_axis", g->attributes[TIME_AXIS].i));
    return kata_graph_status(g->graph);
}

/* --- CenterCropPad --------------------------------------------------------------------------- */

static kata_status CenterCropPad_infer(kata_infer *infer) {
    const kata_attribute_value *axes = &infer->attributes[0];
    kata_shape *out = &infer->outputs[0].shape;
    int64_t sizes[KATA_MAX_RANK];
    bool flags[KATA_MAX_RANK], known;
    int n, rank = infer->inputs[0].shape.rank;
    KATA__TRY(kata__infer_dtype(infer, 1, KATA__INDICES));
    KATA__TRY(kata__infer_axes(infer, axes->ints, axes->n, rank, flags));
    KATA__TRY(kata__infer_int64s(infer, 1, sizes, KATA_MAX_RANK, &n, &known));
    int wanted = axes->n > 0 ? axes->n : rank;
    if (n >= 0 && n != wanted) {
        return kata_fail(KATA_SHAPE, "CenterCropPad: input 1 must have %d sizes, got %d", wanted,
                         n);
    }
    infer->outputs[0] = infer->inputs[0];
    for (int i = 0; i < wanted; i++) {
        int64_t axis = axes->n > 0 ? axes->ints[i] : i;
        if (known && sizes[i] < 0) {
            return kata_fail(KATA_INVALID, "CenterCropPad: size %d is %" PRId64, i, sizes[i]);
        }
        out->dim[axis < 0 ? axis + rank : axis] = known ? sizes[i] : KATA_UNKNOWN_DIM;
    }
    return kata__infer_fits(infer);
}

/* Of an odd difference the smaller half is before. */
static kata_status CenterCropPad_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0], *y = &call->outputs[0];
    int64_t dim[KATA_MAX_RANK], from[KATA_MAX_RANK], to[KATA_MAX_RANK], at_x = 0, at_y = 0;
    int64_t count = 1;
    kata__strides(&x->shape, from);
    kata__strides(&y->shape, to);
    for (int i = 0; i < x->shape.rank; i++) {
        int64_t a = x->shape.dim[i], b = y->shape.dim[i];
        dim[i] = a < b ? a : b;
        at_x += a > b ? (a - b) / 2 * from[i] : 0;
        at_y += b > a ? (b - a) / 2 * to[i] : 0;
        count *= dim[i];
    }
    clear_output(call);
    if (count > 0) {
        kata__copy_strided(call->context, element_size(call), x->shape.rank, dim,
                           (char *)y->data + (size_t)at_y * element_size(call), to,
                           (const char *)x->data + (size_t)at_x * element_size(call), from);
    }
    return KATA_OK;
}

/* Back to x's sizes: what was cut off is 0, what was added is cut off. */
static kata_status CenterCropPad_gradient(kata_gradient *g) {
    kata_shape shape = kata_value_shape(g->graph, g->inputs[0]);
    g->input_gradients[0] = KATA_NODE(
        g->graph, "CenterCropPad",
        KATA_INPUTS(g->output_gradients[0], kata_graph_int64s(g->graph, shape.dim, shape.rank)));
    return kata_graph_status(g->graph);
}

/* --- rows ------------------------------------------------------------------------------------ */

#define ROW(SYMBOL, NAME, DOMAIN, SINCE, MIN_INPUTS, MAX_INPUTS, LIST, INFER, BATCH, REFERENCE,    \
            GRADIENT, FLAGS, DOC)                                                                  \
    const kata_op kata__op_##SYMBOL = {.name = NAME,                                               \
                                       .domain = DOMAIN,                                           \
                                       .since = SINCE,                                             \
                                       .min_inputs = MIN_INPUTS,                                   \
                                       .max_inputs = MAX_INPUTS,                                   \
                                       .min_outputs = 1,                                           \
                                       .max_outputs = 1,                                           \
                                       .attributes = LIST,                                         \
                                       .infer = INFER,                                             \
                                       .batch = BATCH,                                             \
                                       .reference = REFERENCE,                                     \
                                       .gradient = GRADIENT,                                       \
                                       .flops = kata__flops_none,                                  \
                                       .flags = FLAGS,                                             \
                                       .doc = DOC};
#define BLOCK_ATTRIBUTE                                                                            \
    { .name = "blocksize", .type = KATA_ATTRIBUTE_INT, .required = true, .doc = "side of a block" }

static const kata_attribute_spec block_list[] = {BLOCK_ATTRIBUTE, {.name = NULL}};
static const kata_attribute_spec block_mode_list[] = {
    BLOCK_ATTRIBUTE,
    {.name = "mode",
     .type = KATA_ATTRIBUTE_STRING,
     .default_string = "DCR",
     .doc = "DCR: a block's places are the outer part of the channels; CRD: the inner"},
    {.name = NULL}};
static const kata_attribute_spec upper_list[] = {
    {.name = "upper", .type = KATA_ATTRIBUTE_INT, .default_int = 1, .doc = "1: upper; 0: lower"},
    {.name = NULL}};
static const kata_attribute_spec sequence_list[] = {
    {.name = "batch_axis",
     .type = KATA_ATTRIBUTE_INT,
     .default_int = 1,
     .doc = "the axis of the sequences, 0 or 1"},
    {.name = "time_axis", .type = KATA_ATTRIBUTE_INT, .doc = "the axis of the steps, 0 or 1"},
    {.name = NULL}};
static const kata_attribute_spec crop_list[] = {
    {.name = "axes", .type = KATA_ATTRIBUTE_INTS, .doc = "the axes; none: all"}, {.name = NULL}};

ROW(DepthToSpace, "DepthToSpace", "", 1, 1, 1, block_mode_list, DepthToSpace_infer,
    kata__batch_first, DepthToSpace_reference, DepthToSpace_gradient, 0,
    "Blocks of channels spread over the picture.")
ROW(SpaceToDepth, "SpaceToDepth", "", 1, 1, 1, block_list, SpaceToDepth_only, kata__batch_first,
    SpaceToDepth_run, SpaceToDepth_gradient, 0, "Blocks of the picture as channels.")
ROW(kata_DepthToSpaceGrad, "DepthToSpaceGrad", "kata", 1, 1, 1, block_mode_list, SpaceToDepth_infer,
    NULL, SpaceToDepth_reference, NULL, KATA_OP_INTERNAL, "Gradient of DepthToSpace: the way back.")
ROW(Trilu, "Trilu", "", 14, 1, 2, upper_list, Trilu_infer, kata__batch_Trilu, Trilu_reference,
    Trilu_gradient, 0,
    "The upper or lower triangle of matrices from diagonal k (input 1) on, 0 elsewhere.")
ROW(ReverseSequence, "ReverseSequence", "", 10, 2, 2, sequence_list, ReverseSequence_infer,
    kata__batch_ReverseSequence, ReverseSequence_reference, ReverseSequence_gradient, 0,
    "The first steps of each sequence, as many as input 1 says, in reverse order.")
ROW(CenterCropPad, "CenterCropPad", "", 18, 2, 2, crop_list, CenterCropPad_infer,
    kata__batch_CenterCropPad, CenterCropPad_reference, CenterCropPad_gradient, 0,
    "x cut or padded with 0 to the sizes of input 1, its centre in the centre.")
