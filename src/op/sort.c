/* The largest or smallest elements along an axis: TopK. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "op/batch.h"
#include "op/gradient.h"
#include "op/infer.h"
#include "op/loops.h"

enum { AXIS, LARGEST, SORTED };

static kata_status TopK_infer(kata_infer *infer) {
    const kata_shape *x = &infer->inputs[0].shape;
    char text[KATA_SHAPE_TEXT_SIZE];
    int64_t k = KATA_UNKNOWN_DIM;
    int axis, n;
    bool known;
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__NUMBERS));
    KATA__TRY(kata__infer_dtype(infer, 1, KATA__DTYPE(I64)));
    KATA__TRY(kata__infer_axis(infer, infer->attributes[AXIS].i, x->rank, &axis));
    KATA__TRY(kata__infer_int64s(infer, 1, &k, 1, &n, &known));
    if (n >= 0 && n != 1) {
        return kata_fail(KATA_SHAPE, "TopK: k (input 1) must be one number, got shape %s",
                         kata_shape_text(&infer->inputs[1].shape, text));
    }
    if (known && (k < 0 || (x->dim[axis] >= 0 && k > x->dim[axis]))) {
        return kata_fail(KATA_INVALID, "TopK: k is %" PRId64 ", but axis %d of %s has not so many",
                         k, axis, kata_shape_text(x, text));
    }
    infer->outputs[0] = infer->inputs[0];
    infer->outputs[0].shape.dim[axis] = known ? k : KATA_UNKNOWN_DIM;
    if (infer->n_outputs > 1) {
        infer->outputs[1] = (kata_type){KATA_I64, infer->outputs[0].shape};
    }
    return KATA_OK;
}

/* The elements along the axis at one place of the others. */
typedef struct lane {
    const kata_tensor *x;
    int64_t first, step;
    bool largest;
} lane;

/* Whether element i comes before element j. A NaN counts as larger than any number; of equal ones
 * the lower index comes first. */
static bool before(const lane *l, int64_t i, int64_t j) {
    int64_t a = l->first + i * l->step, b = l->first + j * l->step;
    bool less, greater;
    if (kata_dtype_is_float(l->x->dtype)) {
        double p = kata_load(l->x->dtype, l->x->data, a), q = kata_load(l->x->dtype, l->x->data, b);
        less = p < q || (isnan(q) && !isnan(p));
        greater = p > q || (isnan(p) && !isnan(q));
    } else {
        int64_t p = kata__load_int(l->x->dtype, l->x->data, a);
        int64_t q = kata__load_int(l->x->dtype, l->x->data, b);
        less = p < q;
        greater = p > q;
    }
    return less || greater ? (l->largest ? greater : less) : i < j;
}

/* Restores the heap of n indices under place `at`: the one that comes last is on top. */
static void sift(const lane *l, int64_t *heap, int64_t n, int64_t at) {
    for (int64_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
        if (child + 1 < n && before(l, heap[child], heap[child + 1])) {
            child++;
        }
        if (!before(l, heap[at], heap[child])) {
            return;
        }
        int64_t kept = heap[at];
        heap[at] = heap[child];
        heap[child] = kept;
        at = child;
    }
}

/* The first k of n elements in their order: a heap of k, then a heap sort. */
static void select_first(const lane *l, int64_t *heap, int64_t n, int64_t k) {
    for (int64_t i = 0; i < k; i++) {
        heap[i] = i;
    }
    for (int64_t i = k / 2; i-- > 0;) {
        sift(l, heap, k, i);
    }
    for (int64_t i = k; i < n; i++) {
        if (before(l, i, heap[0])) {
            heap[0] = i;
            sift(l, heap, k, 0);
        }
    }
    for (int64_t left = k - 1; left > 0; left--) {
        int64_t last = heap[0];
        heap[0] = heap[left];
        heap[left] = last;
        sift(l, heap, left, 0);
    }
}

static int lane_axis(const kata_call *call) {
    int64_t axis = call->attributes[AXIS].i;
    return (int)(axis < 0 ? axis + call->inputs[0].shape.rank : axis);
}

static size_t TopK_workspace(const kata_call *call) {
    int64_t k = call->outputs[0].shape.dim[lane_axis(call)];
    return (size_t)(k > 0 ? k : 1) * sizeof(int64_t);
}

static kata_status TopK_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0], *values = &call->outputs[0];
    const int axis = lane_axis(call);
    const int64_t n = x->shape.dim[axis], k = values->shape.dim[axis];
    const int64_t inner = kata__size_after(&x->shape, axis);
    const int64_t outer = kata__size_before(&x->shape, axis);
    const size_t size = kata_dtype_size(x->dtype);
    int64_t *heap = call->workspace;
    for (int64_t o = 0; o < outer && k > 0; o++) {
        for (int64_t i = 0; i < inner; i++) {
            const lane l = {x, o * n * inner + i, inner, call->attributes[LARGEST].i != 0};
            select_first(&l, heap, n, k);
            for (int64_t j = 0; j < k; j++) {
                int64_t to = (o * k + j) * inner + i, from = l.first + heap[j] * l.step;
                memcpy((char *)values->data + (size_t)to * size,
                       (const char *)x->data + (size_t)from * size, size);
                if (call->n_outputs > 1) {
                    ((int64_t *)call->outputs[1].data)[to] = heap[j];
                }
            }
        }
    }
    return KATA_OK;
}

static kata_status TopK_gradient(kata_gradient *g) {
    if (g->n_outputs < 2) {
        return kata_fail(KATA_UNSUPPORTED, "TopK has a gradient only with its second output");
    }
    g->input_gradients[0] =
        KATA_NODE_WITH(g->graph, "ScatterElements",
                       KATA_INPUTS(kata__zeros_like(g->graph, g->inputs[0]), g->outputs[1],
                                   g->output_gradients[0]),
                       KATA_INT("axis", g->attributes[AXIS].i), KATA_STRING("reduction", "add"));
    return kata_graph_status(g->graph);
}

const kata_op kata__op_TopK = {
    .changes = (const kata_op_change[]){{KATA_ATTRIBUTE_TO_INPUT, 10, "k", 1}, {0}},
    .name = "TopK",
    .domain = "",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 2,
    .attributes =
        (const kata_attribute_spec[]){[AXIS] = {.name = "axis",
                                                .type = KATA_ATTRIBUTE_INT,
                                                .default_int = -1,
                                                .doc = "the axis they are taken along"},
                                      [LARGEST] = {.name = "largest",
                                                   .type = KATA_ATTRIBUTE_INT,
                                                   .default_int = 1,
                                                   .doc = "1: the largest; 0: the smallest"},
                                      [SORTED] = {.name = "sorted",
                                                  .type = KATA_ATTRIBUTE_INT,
                                                  .default_int = 1,
                                                  .doc = "they are in order with 0 too"},
                                      {.name = NULL}},
    .infer = TopK_infer,
    .batch = kata__batch_along,
    .workspace = TopK_workspace,
    .reference = TopK_reference,
    .gradient = TopK_gradient,
    .flops = kata__flops_input,
    .doc = "The k (input 1) largest elements along an axis, and their indices; of equal ones the "
           "lower index, a NaN counts as larger than any number.",
};
