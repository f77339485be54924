/* Where the batch axis goes through an operator (kata_batch in kata/op.h), by families of rows.
 *
 * A rule may write an axis only if block i of the output is the same function of block i of the
 * inputs for every i, whatever the numbers are. It leaves KATA_BATCH_MIXED where it does not know.
 * Inputs that are the same for all samples may have an axis of their own where the samples are (a
 * constant that was made for just this batch); then its blocks must be equal. */
#include "op/batch.h"

#include <string.h>

#include "graph/graph.h"
#include "op/loops.h"

enum { MOST_NUMBERS = 2 * KATA_MAX_RANK };

/* --- what rules ask --------------------------------------------------------------------------- */

static bool is_there(const kata_batch *b, int i) {
    return i < b->n_inputs && b->inputs[i].dtype != KATA_NO_DTYPE;
}

static bool carries(const kata_batch *b, int i) {
    return i < b->n_inputs && b->input_axes[i] >= 0;
}

static bool only_first_carries(const kata_batch *b) {
    for (int i = 1; i < b->n_inputs; i++) {
        if (carries(b, i)) {
            return false;
        }
    }
    return carries(b, 0);
}

static int64_t attribute(const kata_batch *b, const char *name) {
    const int k = kata__op_attribute(b->op, name);
    return k >= 0 ? b->attributes[k].i : 0;
}

static int axis_attribute(const kata_batch *b, int rank) {
    const int64_t axis = attribute(b, "axis");
    return (int)(axis < 0 ? axis + rank : axis);
}

/* The whole numbers of constant input i: how many, 0 if the input is absent, -1 if unknown. */
static int numbers_of(const kata_batch *b, int i, int64_t values[MOST_NUMBERS]) {
    if (!is_there(b, i)) {
        return 0;
    }
    const kata_tensor *tensor = b->constants[i];
    const int64_t n = tensor != NULL ? kata_tensor_count(tensor) : MOST_NUMBERS + 1;
    for (int64_t k = 0; k < n && n <= MOST_NUMBERS; k++) {
        values[k] = kata__load_int(tensor->dtype, tensor->data, k);
    }
    return n <= MOST_NUMBERS ? (int)n : -1;
}

/* Whether input i, which is the same for all samples, looks the same to each of them though it has
 * this axis: one element that is broadcast, or a constant whose blocks are equal. */
static bool is_uniform(const kata_batch *b, int i, int axis) {
    const kata_shape *shape = &b->inputs[i].shape;
    if (axis < 0 || shape->dim[axis] == 1) {
        return true;
    }
    const kata_tensor *tensor = b->constants[i];
    if (tensor == NULL || shape->dim[axis] % b->size != 0) {
        return false;
    }
    const size_t element = kata_dtype_size(tensor->dtype);
    size_t outer = 1, block = element * (size_t)(shape->dim[axis] / b->size);
    for (int k = 0; k < shape->rank; k++) {
        *(k < axis ? &outer : &block) *= k == axis ? 1 : (size_t)shape->dim[k];
    }
    const char *data = tensor->data;
    for (size_t o = 0; o < outer; o++) {
        const char *first = data + o * block * (size_t)b->size;
        if (memcmp(first, first + block, block * (size_t)(b->size - 1)) != 0) {
            return false;
        }
    }
    return true;
}

/* The samples of output k are on `axis`, which has as many blocks of as many elements as in input
 * 0 .. of the caller's choice (`size`). */
static void set(kata_batch *b, int k, int axis, int64_t size) {
    const kata_shape *out = &b->outputs[k].shape;
    if (axis >= 0 && axis < out->rank && out->dim[axis] == size) {
        b->output_axes[k] = axis;
    }
}

static int64_t size_at(const kata_batch *b, int i) {
    return b->inputs[i].shape.dim[b->input_axes[i]];
}

/* --- by flags --------------------------------------------------------------------------------- */

/* Inputs first.. are broadcast to output 0: all samples on the same of its axes. */
static void broadcast(kata_batch *b, int first) {
    const int rank = b->outputs[0].shape.rank;
    int axis = -1;
    for (int i = first; i < b->n_inputs; i++) {
        if (carries(b, i)) {
            const int here = b->input_axes[i] + rank - b->inputs[i].shape.rank;
            if ((axis >= 0 && axis != here) || here < 0 ||
                size_at(b, i) != b->outputs[0].shape.dim[here]) {
                return;
            }
            axis = here;
        }
    }
    for (int i = first; i < b->n_inputs; i++) {
        if (is_there(b, i) && !carries(b, i) &&
            !is_uniform(b, i, axis - (rank - b->inputs[i].shape.rank))) {
            return;
        }
    }
    for (int k = 0; k < b->n_outputs && axis >= 0; k++) {
        set(b, k, axis, b->outputs[0].shape.dim[axis]);
    }
}

/* Another shape of the same memory: the elements of a sample stay together, and as many are before
 * them, if an axis can be found that begins where theirs did. */
static void view(kata_batch *b) {
    const kata_shape *in = &b->inputs[0].shape, *out = &b->outputs[0].shape;
    int64_t outer = 1, sample, before = 1;
    if (!only_first_carries(b)) {
        return;
    }
    for (int k = 0; k < b->input_axes[0]; k++) {
        outer *= in->dim[k];
    }
    const int64_t all = kata_shape_count(in);
    if (all == 0) {
        return;
    }
    sample = all / outer / b->size;
    for (int axis = 0; axis < out->rank; before *= out->dim[axis++]) {
        if (before == outer && out->dim[axis] % b->size == 0 && all / before / b->size == sample) {
            b->output_axes[0] = axis;
            return;
        }
    }
}

void kata__batch_by_flags(kata_batch *batch) {
    if ((batch->op->flags & KATA_OP_ELEMENTWISE) != 0) {
        broadcast(batch, 0);
    } else if ((batch->op->flags & KATA_OP_VIEW) != 0) {
        view(batch);
    }
}

/* --- families --------------------------------------------------------------------------------- */

void kata__batch_first(kata_batch *batch) {
    if (only_first_carries(batch) && batch->input_axes[0] == 0) {
        set(batch, 0, 0, size_at(batch, 0));
    }
}

/* All outputs have the samples where input 0 has them, unless that is `axis`. */
static void beside(kata_batch *b, int axis) {
    for (int k = 0; k < b->n_outputs && only_first_carries(b) && b->input_axes[0] != axis; k++) {
        set(b, k, b->input_axes[0], size_at(b, 0));
    }
}

/* A table of rank 1 is one row. */
void kata__batch_rows(kata_batch *batch) {
    if (batch->inputs[0].shape.rank == 2 && batch->input_axes[0] == 0) {
        beside(batch, -1);
    }
}

void kata__batch_along(kata_batch *batch) {
    beside(batch, axis_attribute(batch, batch->inputs[0].shape.rank));
}

void kata__batch_CumSum(kata_batch *batch) {
    int64_t axis[MOST_NUMBERS];
    if (numbers_of(batch, 1, axis) == 1) {
        beside(batch, (int)(axis[0] < 0 ? axis[0] + batch->inputs[0].shape.rank : axis[0]));
    }
}

/* gone[axis] of the axes that are reduced. */
static void reduced(kata_batch *b, const bool gone[KATA_MAX_RANK]) {
    const int axis = b->input_axes[0];
    int before = 0;
    if (!only_first_carries(b) || gone[axis]) {
        return;
    }
    for (int k = 0; k < axis; k++) {
        before += gone[k];
    }
    set(b, 0, attribute(b, "keepdims") != 0 ? axis : axis - before, size_at(b, 0));
}

void kata__batch_Reduce(kata_batch *batch) {
    const int k = kata__op_attribute(batch->op, "axes"), rank = batch->inputs[0].shape.rank;
    int64_t axes[MOST_NUMBERS];
    bool gone[KATA_MAX_RANK] = {false};
    int n = is_there(batch, 1) ? numbers_of(batch, 1, axes) : batch->attributes[k].n;
    if (!is_there(batch, 1) && n > 0) {
        memcpy(axes, batch->attributes[k].ints, (size_t)n * sizeof axes[0]);
    }
    for (int i = 0; i < rank; i++) {
        gone[i] = n < 0 || (n == 0 && attribute(batch, "noop_with_empty_axes") == 0);
    }
    for (int i = 0; i < n; i++) {
        gone[axes[i] < 0 ? axes[i] + rank : axes[i]] = true;
    }
    reduced(batch, gone);
}

void kata__batch_Arg(kata_batch *batch) {
    bool gone[KATA_MAX_RANK] = {false};
    gone[axis_attribute(batch, batch->inputs[0].shape.rank)] = true;
    reduced(batch, gone);
}

/* --- places ----------------------------------------------------------------------------------- */

void kata__batch_Transpose(kata_batch *batch) {
    const kata_attribute_value *perm = &batch->attributes[kata__op_attribute(batch->op, "perm")];
    const int rank = batch->inputs[0].shape.rank;
    for (int i = 0; i < rank; i++) {
        if ((perm->n > 0 ? perm->ints[i] : rank - 1 - i) == batch->input_axes[0]) {
            set(batch, 0, i, size_at(batch, 0));
        }
    }
}

/* Inputs of one rank whose elements meet along `axis` alone: the samples are where the first that
 * has any has them, on another axis. Inputs from `first_free` on are numbers. */
static void together(kata_batch *b, int axis, int first_free) {
    int at = -1;
    for (int i = 0; i < b->n_inputs; i++) {
        if (carries(b, i) && (i >= first_free || (at >= 0 && at != b->input_axes[i]))) {
            return;
        }
        at = carries(b, i) ? b->input_axes[i] : at;
    }
    if (at < 0 || at == axis) {
        return;
    }
    const int64_t size = b->outputs[0].shape.dim[at];
    for (int i = 0; i < b->n_inputs && i < first_free; i++) {
        if (b->inputs[i].shape.dim[at] != size || (!carries(b, i) && !is_uniform(b, i, at))) {
            return;
        }
    }
    set(b, 0, at, size);
}

void kata__batch_Concat(kata_batch *batch) {
    together(batch, axis_attribute(batch, batch->outputs[0].shape.rank), KATA_MAX_INPUTS);
}

void kata__batch_GatherElements(kata_batch *batch) {
    together(batch, axis_attribute(batch, batch->inputs[0].shape.rank), KATA_MAX_INPUTS);
}

void kata__batch_ScatterElements(kata_batch *batch) {
    together(batch, axis_attribute(batch, batch->inputs[0].shape.rank), KATA_MAX_INPUTS);
}

/* The axis of the samples must be taken whole. */
void kata__batch_Slice(kata_batch *batch) {
    int64_t starts[MOST_NUMBERS], ends[MOST_NUMBERS], axes[MOST_NUMBERS], steps[MOST_NUMBERS];
    const int n = numbers_of(batch, 1, starts), n_axes = numbers_of(batch, 3, axes);
    const int n_steps = numbers_of(batch, 4, steps), rank = batch->inputs[0].shape.rank;
    if (!only_first_carries(batch) || n < 0 || numbers_of(batch, 2, ends) != n || n_axes < 0 ||
        n_steps < 0) {
        return;
    }
    const int64_t size = size_at(batch, 0);
    for (int k = 0; k < n; k++) {
        const int64_t axis = n_axes == 0 ? k : axes[k] < 0 ? axes[k] + rank : axes[k];
        const bool whole = (starts[k] == 0 || starts[k] <= -size) && ends[k] >= size &&
                           (n_steps == 0 || steps[k] == 1);
        if (axis == batch->input_axes[0] && !whole) {
            return;
        }
    }
    set(batch, 0, batch->input_axes[0], size);
}

/* Samples of x by indices that are the same for all, or one table by each sample's indices. */
void kata__batch_Gather(kata_batch *batch) {
    const int axis = axis_attribute(batch, batch->inputs[0].shape.rank);
    const int at = batch->input_axes[carries(batch, 0) ? 0 : 1];
    if (carries(batch, 0) && carries(batch, 1)) {
        return;
    }
    if (carries(batch, 1)) {
        set(batch, 0, axis + at, size_at(batch, 1));
    } else if (at != axis) {
        set(batch, 0, at < axis ? at : at - 1 + batch->inputs[1].shape.rank, size_at(batch, 0));
    }
}

/* A tuple is an element of the last axis of the indices. */
void kata__batch_GatherND(kata_batch *batch) {
    const int64_t dims = attribute(batch, "batch_dims");
    const int at = batch->input_axes[1], last = batch->inputs[1].shape.rank - 1;
    if (!carries(batch, 1) || at == last) {
        return;
    }
    if (carries(batch, 0)
            ? at < dims && batch->input_axes[0] == at && size_at(batch, 0) == size_at(batch, 1)
            : at >= dims || is_uniform(batch, 0, at)) {
        set(batch, 0, at, size_at(batch, 1));
    }
}

void kata__batch_ScatterND(kata_batch *batch) {
    const int at = batch->input_axes[0],
              n_tuple = (int)batch->inputs[1].shape.dim[batch->inputs[1].shape.rank - 1];
    const int whole = at - n_tuple; /* which axis of a part that is put */
    if (carries(batch, 0) && !carries(batch, 1) && whole >= 0) {
        const int in_updates = batch->inputs[1].shape.rank - 1 + whole;
        if (carries(batch, 2) ? batch->input_axes[2] == in_updates
                              : is_uniform(batch, 2, in_updates)) {
            set(batch, 0, at, size_at(batch, 0));
        }
    }
}

void kata__batch_Pad(kata_batch *batch) {
    int64_t pads[MOST_NUMBERS], axes[MOST_NUMBERS];
    const int n = numbers_of(batch, 1, pads), n_axes = numbers_of(batch, 3, axes);
    const int rank = batch->inputs[0].shape.rank, each = n / 2;
    if (!only_first_carries(batch) || n < 0 || n_axes < 0) {
        return;
    }
    for (int k = 0; k < each; k++) {
        const int64_t axis = n_axes == 0 ? k : axes[k] < 0 ? axes[k] + rank : axes[k];
        if (axis == batch->input_axes[0] && (pads[k] != 0 || pads[each + k] != 0)) {
            return;
        }
    }
    set(batch, 0, batch->input_axes[0], size_at(batch, 0));
}

/* x alone is broadcast; its axis of samples must stay as it is. */
void kata__batch_Expand(kata_batch *batch) {
    if (only_first_carries(batch)) {
        set(batch, 0,
            batch->input_axes[0] + batch->outputs[0].shape.rank - batch->inputs[0].shape.rank,
            size_at(batch, 0));
    }
}

/* As often as sizes say: once, where the size stays. */
void kata__batch_Tile(kata_batch *batch) {
    beside(batch, -1);
}

/* What is cut or added is the difference of the sizes. */
void kata__batch_CenterCropPad(kata_batch *batch) {
    beside(batch, -1);
}

/* An axis at scale 1 is copied, unless a region is cropped. */
void kata__batch_Resize(kata_batch *batch) {
    const int mode = kata__op_attribute(batch->op, "coordinate_transformation_mode");
    const int axes = kata__op_attribute(batch->op, "axes"), rank = batch->inputs[0].shape.rank;
    const kata_attribute_value *list = &batch->attributes[axes];
    if (!only_first_carries(batch) ||
        (batch->attributes[mode].s != NULL &&
         strcmp(batch->attributes[mode].s, "tf_crop_and_resize") == 0)) {
        return;
    }
    const int policy = kata__op_attribute(batch->op, "keep_aspect_ratio_policy");
    if (batch->attributes[policy].s != NULL &&
        strcmp(batch->attributes[policy].s, "stretch") != 0) {
        return; /* the sizes are not what decides */
    }
    if (is_there(batch, 2) && kata_shape_count(&batch->inputs[2].shape) > 0) {
        for (int k = 0; k < (list->n > 0 ? list->n : rank); k++) {
            const int64_t axis = list->n == 0        ? k
                                 : list->ints[k] < 0 ? list->ints[k] + rank
                                                     : list->ints[k];
            if (axis == batch->input_axes[0] &&
                (batch->constants[2] == NULL ||
                 kata_load(batch->constants[2]->dtype, batch->constants[2]->data, k) != 1)) {
                return;
            }
        }
    }
    beside(batch, -1);
}

void kata__batch_Trilu(kata_batch *batch) {
    if (carries(batch, 0) && batch->input_axes[0] < batch->inputs[0].shape.rank - 2) {
        beside(batch, -1);
    }
}

void kata__batch_ReverseSequence(kata_batch *batch) {
    const int64_t sequences = attribute(batch, "batch_axis");
    const int at = batch->input_axes[0];
    if (!carries(batch, 0) || at == attribute(batch, "time_axis")) {
        return;
    }
    if (carries(batch, 1) ? at == sequences : at != sequences || is_uniform(batch, 1, 0)) {
        set(batch, 0, at, size_at(batch, 0));
    }
}

void kata__batch_OneHot(kata_batch *batch) {
    const int axis = axis_attribute(batch, batch->outputs[0].shape.rank), at = batch->input_axes[0];
    if (only_first_carries(batch)) {
        set(batch, 0, at < axis ? at : at + 1, size_at(batch, 0));
    }
}

/* --- products --------------------------------------------------------------------------------- */

/* Y[..., i, j] = sum over k of A[..., i, k] B[..., k, j]: samples may be rows of A, columns of B,
 * or matrices. A vector is a row on the left and a column on the right, which Y does not have. */
void kata__batch_MatMul(kata_batch *batch) {
    const kata_shape *a = &batch->inputs[0].shape, *b = &batch->inputs[1].shape;
    const bool row = a->rank == 1, column = b->rank == 1;
    const int rank_a = row ? 2 : a->rank, rank_b = column ? 2 : b->rank;
    const int rank = rank_a > rank_b ? rank_a : rank_b; /* of Y with what it does not have */
    int at = -1, in_a = -1, in_b = -1;                  /* counted in Y so */
    if (carries(batch, 0)) {
        in_a = at = batch->input_axes[0] + (row ? 1 : 0) + rank - rank_a;
        if (in_a == rank - 1 || row) {
            return;
        }
    }
    if (carries(batch, 1)) {
        in_b = at = batch->input_axes[1] + rank - rank_b;
        if (in_b == rank - 2 || column) {
            return;
        }
    }
    if (carries(batch, 0) && carries(batch, 1) && (in_a != in_b || at >= rank - 2)) {
        return;
    }
    for (int i = 0; i < 2 && at < rank - 2; i++) {
        const int axis = at - (rank - (i == 0 ? rank_a : rank_b));
        if (!carries(batch, i) && !is_uniform(batch, i, axis)) {
            return;
        }
    }
    const int64_t size = size_at(batch, carries(batch, 0) ? 0 : 1);
    if (carries(batch, 0) && carries(batch, 1) && size_at(batch, 1) != size) {
        return;
    }
    set(batch, 0, row && at == rank - 1 ? at - 1 : at, size);
}

void kata__batch_Gemm(kata_batch *batch) {
    const bool rows = carries(batch, 0), columns = carries(batch, 1);
    const int a = attribute(batch, "transA") != 0, b = attribute(batch, "transB") == 0;
    if ((rows && columns) || (rows && batch->input_axes[0] != a) ||
        (columns && batch->input_axes[1] != b)) {
        return;
    }
    const int at = rows ? 0 : columns ? 1 : -1;
    if (is_there(batch, 2)) {
        const int axis = at - (2 - batch->inputs[2].shape.rank);
        if (at < 0) { /* C alone */
            return;
        }
        if (carries(batch, 2) ? batch->input_axes[2] != axis ||
                                    size_at(batch, 2) != batch->outputs[0].shape.dim[at]
                              : !is_uniform(batch, 2, axis)) {
            return;
        }
    }
    set(batch, 0, at, size_at(batch, rows ? 0 : 1));
}

/* --- normalisation ---------------------------------------------------------------------------- */

/* With the running statistics; the batch's own are of all samples together. */
void kata__batch_BatchNormalization(kata_batch *batch) {
    if (attribute(batch, "training_mode") == 0) {
        kata__batch_first(batch);
    }
}

void kata__batch_LayerNormalization(kata_batch *batch) {
    if (carries(batch, 0) &&
        batch->input_axes[0] < axis_attribute(batch, batch->inputs[0].shape.rank)) {
        beside(batch, -1);
    }
}

/* Nothing is dropped without training_mode. */
void kata__batch_Dropout(kata_batch *batch) {
    int64_t training[MOST_NUMBERS];
    if (!is_there(batch, 2) || (numbers_of(batch, 2, training) == 1 && training[0] == 0)) {
        beside(batch, -1);
    }
}
