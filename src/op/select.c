/* Rows whose outputs are as large as the data say: what is not zero, what is chosen, what differs,
 * which boxes stay. They run in a session's dynamic part and make their outputs themselves. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "op/infer.h"
#include "op/loops.h"
#include "op/rules.h"
#include "op/run.h"
#include "op/strings.h"

#define ATTRIBUTES(...) ((const kata_attribute_spec[]){__VA_ARGS__, {.name = NULL}})

#define ROW_SELECT(NAME, SINCE, MIN_INPUTS, MAX_INPUTS, MAX_OUTPUTS, LIST, DOC)                    \
    const kata_op kata__op_##NAME = {.name = #NAME,                                                \
                                     .domain = "",                                                 \
                                     .since = SINCE,                                               \
                                     .min_inputs = MIN_INPUTS,                                     \
                                     .max_inputs = MAX_INPUTS,                                     \
                                     .min_outputs = 1,                                             \
                                     .max_outputs = MAX_OUTPUTS,                                   \
                                     .attributes = LIST,                                           \
                                     .infer = NAME##_infer,                                        \
                                     .reference = NAME##_reference,                                \
                                     .flags = KATA_OP_DYNAMIC,                                     \
                                     .flops = kata__flops_none,                                    \
                                     .doc = DOC};

static kata_type open_vector(kata_dtype dtype) {
    return (kata_type){.dtype = dtype, .shape = {.rank = 1, .dim = {KATA_UNKNOWN_DIM}}};
}

/* --- NonZero -----------------------------------------------------------------------------------
 */

static kata_status NonZero_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__ANY));
    int rank = infer->inputs[0].shape.rank;
    infer->outputs[0] = (kata_type){KATA_I64, {2, {rank > 0 ? rank : 1, KATA_UNKNOWN_DIM}}};
    return KATA_OK;
}

static kata_status NonZero_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0];
    const int64_t count = kata_tensor_count(x);
    const int rank = x->shape.rank > 0 ? x->shape.rank : 1;
    int64_t n = 0;
    for (int64_t i = 0; i < count; i++) {
        n += kata_load(x->dtype, x->data, i) != 0;
    }
    KATA__TRY(kata_call_output(call, 0, KATA_I64, &KATA_SHAPE_OF(rank, n)));
    int64_t *y = call->outputs[0].data;
    for (int64_t i = 0, k = 0; i < count; i++) {
        if (kata_load(x->dtype, x->data, i) != 0) {
            int64_t rest = i;
            for (int axis = rank - 1; axis >= 0; axis--) {
                const int64_t size = x->shape.rank > 0 ? x->shape.dim[axis] : 1;
                y[axis * n + k] = rest % size;
                rest /= size;
            }
            k++;
        }
    }
    return KATA_OK;
}

ROW_SELECT(NonZero, 13, 1, 1, 1, NULL,
           "The indices of the elements that are not 0, a column each, in row-major order.")

/* --- Compress ----------------------------------------------------------------------------------
 */

static kata_status Compress_infer(kata_infer *infer) {
    const kata_type *in = &infer->inputs[0];
    KATA__TRY(kata__infer_dtype(infer, 1, KATA__BOOLS));
    KATA__TRY(kata__infer_rank(infer, 1, 1));
    if (!infer->attributes[0].is_set) {
        infer->outputs[0] = open_vector(in->dtype);
        return KATA_OK;
    }
    int axis;
    KATA__TRY(kata__infer_axis(infer, infer->attributes[0].i, in->shape.rank, &axis));
    infer->outputs[0] = *in;
    infer->outputs[0].shape.dim[axis] = KATA_UNKNOWN_DIM;
    return KATA_OK;
}

static kata_status Compress_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0], *condition = &call->inputs[1];
    const uint8_t *is = condition->data;
    const int rank = x->shape.rank;
    const bool flat = !call->attributes[0].is_set;
    const int64_t given = call->attributes[0].i;
    const int axis = flat ? 0 : (int)(given < 0 ? given + rank : given);
    const int64_t size = flat ? kata_tensor_count(x) : x->shape.dim[axis];
    const int64_t before = flat ? 1 : kata__size_before(&x->shape, axis);
    const size_t run =
        kata_dtype_size(x->dtype) * (size_t)(flat ? 1 : kata__size_after(&x->shape, axis));
    int64_t n = condition->shape.dim[0], n_chosen = 0;
    for (int64_t i = 0; i < n; i++) {
        if (is[i] != 0 && i >= size) {
            return kata_fail(KATA_INVALID,
                             "Compress: condition %" PRId64 " is true, but there are only %" PRId64
                             " elements to choose from",
                             i, size);
        }
        n_chosen += is[i] != 0;
    }
    n = n < size ? n : size;
    kata_shape shape = flat ? KATA_SHAPE_OF(n_chosen) : x->shape;
    shape.dim[axis] = n_chosen;
    KATA__TRY(kata_call_output(call, 0, x->dtype, &shape));
    char *to = call->outputs[0].data;
    for (int64_t b = 0; b < before && run > 0; b++) {
        for (int64_t i = 0; i < n; i++) {
            if (is[i] != 0) {
                memcpy(to, (const char *)x->data + (size_t)(b * size + i) * run, run);
                to += run;
            }
        }
    }
    return KATA_OK;
}

ROW_SELECT(Compress, 11, 2, 2, 1,
           ATTRIBUTES({.name = "axis",
                       .type = KATA_ATTRIBUTE_INT,
                       .doc = "the axis to choose along; absent: x as one list"}),
           "The elements of x, or slices along an axis, where the condition (input 1) is true.")

/* --- Unique ------------------------------------------------------------------------------------
 */

enum { UNIQUE_AXIS, UNIQUE_SORTED };

static kata_status Unique_infer(kata_infer *infer) {
    const kata_type *in = &infer->inputs[0];
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__ANY | KATA__STRINGS));
    infer->outputs[0] = open_vector(in->dtype);
    if (infer->attributes[UNIQUE_AXIS].is_set) {
        int axis;
        KATA__TRY(kata__infer_axis(infer, infer->attributes[UNIQUE_AXIS].i, in->shape.rank, &axis));
        infer->outputs[0] = *in;
        infer->outputs[0].shape.dim[axis] = KATA_UNKNOWN_DIM;
    }
    for (int k = 1; k < infer->n_outputs; k++) {
        infer->outputs[k] = open_vector(KATA_I64);
    }
    return KATA_OK;
}

/* x as (before, size, after): what is compared are its slices along the middle axis. */
typedef struct slices {
    const kata_tensor *x;
    int64_t before, size, after;
} slices;

static int compare_elements(const kata_tensor *x, int64_t i, int64_t j) {
    if (x->dtype == KATA_STRING) {
        return kata__string_compare(((const kata_string *)x->data)[i],
                                    ((const kata_string *)x->data)[j]);
    }
    if (!kata_dtype_is_float(x->dtype)) {
        int64_t a = kata__load_int(x->dtype, x->data, i), b = kata__load_int(x->dtype, x->data, j);
        if (x->dtype == KATA_U64) {
            return (uint64_t)a < (uint64_t)b ? -1 : a != b;
        }
        return a < b ? -1 : a > b;
    }
    double a = kata_load(x->dtype, x->data, i), b = kata_load(x->dtype, x->data, j);
    if (isnan(a) || isnan(b)) { /* NaN are equal and come last */
        return isnan(a) - isnan(b);
    }
    return a < b ? -1 : a > b;
}

static int compare_slices(const slices *s, int64_t i, int64_t j) {
    int order = 0;
    for (int64_t b = 0; b < s->before && order == 0; b++) {
        for (int64_t a = 0; a < s->after && order == 0; a++) {
            order = compare_elements(s->x, (b * s->size + i) * s->after + a,
                                     (b * s->size + j) * s->after + a);
        }
    }
    return order;
}

/* Sorts order[0..n) stably, by merging; `other` has as much room. */
static void sort_slices(const slices *s, int64_t *order, int64_t *other, int64_t n) {
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t start = 0; start < n; start += 2 * width) {
            int64_t middle = start + width < n ? start + width : n;
            int64_t end = middle + width < n ? middle + width : n;
            for (int64_t i = start, j = middle, k = start; k < end; k++) {
                bool left = i < middle && (j == end || compare_slices(s, order[i], order[j]) <= 0);
                other[k] = left ? order[i++] : order[j++];
            }
        }
        memcpy(order, other, (size_t)n * sizeof *order);
    }
}

/* The groups of equal slices in the order asked for: first[g] is the first slice of group g,
 * group[i] the group of slice i. Returns their number. */
static int64_t find_groups(const slices *s, bool sorted, int64_t *order, int64_t *group,
                           int64_t *first) {
    int64_t n = 0;
    for (int64_t k = 0; k < s->size; k++) {
        if (k == 0 || compare_slices(s, order[k - 1], order[k]) != 0) {
            first[n++] = order[k]; /* stable: the first of its group */
        }
        group[order[k]] = n - 1;
    }
    if (!sorted) { /* in order of first appearance; `order` is free now: sorted group -> new one */
        int64_t next = 0;
        for (int64_t i = 0; i < s->size; i++) {
            if (first[group[i]] == i) {
                order[group[i]] = next++;
            }
        }
        for (int64_t i = 0; i < s->size; i++) {
            group[i] = order[group[i]];
        }
        for (int64_t i = s->size; i-- > 0;) {
            first[group[i]] = i;
        }
    }
    return n;
}

static kata_status Unique_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0];
    const bool flat = !call->attributes[UNIQUE_AXIS].is_set;
    const int64_t given = call->attributes[UNIQUE_AXIS].i;
    const int axis = flat ? 0 : (int)(given < 0 ? given + x->shape.rank : given);
    slices s = {x, 1, kata_tensor_count(x), 1};
    if (!flat) {
        s = (slices){x, kata__size_before(&x->shape, axis), x->shape.dim[axis],
                     kata__size_after(&x->shape, axis)};
    }
    int64_t *order = kata_call_memory(call, (size_t)(4 * s.size + 1) * sizeof *order);
    if (order == NULL) {
        return kata__run_fault(call);
    }
    int64_t *group = order + s.size, *first = group + s.size, *other = first + s.size;
    for (int64_t i = 0; i < s.size; i++) {
        order[i] = i;
    }
    sort_slices(&s, order, other, s.size);
    const int64_t n = find_groups(&s, call->attributes[UNIQUE_SORTED].i != 0, order, group, first);
    kata_shape shape = flat ? KATA_SHAPE_OF(n) : x->shape;
    shape.dim[axis] = n;
    KATA__TRY(kata_call_output(call, 0, x->dtype, &shape));
    const size_t run = kata_dtype_size(x->dtype) * (size_t)s.after;
    char *to = call->outputs[0].data;
    for (int64_t b = 0; b < s.before && run > 0; b++) {
        for (int64_t g = 0; g < n; g++, to += run) {
            memcpy(to, (const char *)x->data + (size_t)(b * s.size + first[g]) * run, run);
        }
    }
    const int64_t lengths[] = {0, n, s.size, n};
    for (int k = 1; k < call->n_outputs; k++) {
        KATA__TRY(kata_call_output(call, k, KATA_I64, &KATA_SHAPE_OF(lengths[k])));
        int64_t *y = call->outputs[k].data;
        if (k == 1 && n > 0) {
            memcpy(y, first, (size_t)n * sizeof *y);
        } else if (k == 2 && s.size > 0) {
            memcpy(y, group, (size_t)s.size * sizeof *y);
        } else if (k == 3) {
            memset(y, 0, (size_t)n * sizeof *y);
            for (int64_t i = 0; i < s.size; i++) {
                y[group[i]]++;
            }
        }
    }
    return KATA_OK;
}

ROW_SELECT(Unique, 11, 1, 1, 4,
           ATTRIBUTES({.name = "axis",
                       .type = KATA_ATTRIBUTE_INT,
                       .doc = "slices along this axis are compared; absent: x as one list"},
                      {.name = "sorted",
                       .type = KATA_ATTRIBUTE_INT,
                       .default_int = 1,
                       .doc = "0: in order of first appearance"}),
           "The different elements of x; where each is first, which of them each of x is, and how "
           "often each comes. NaN are equal.")

/* --- NonMaxSuppression -------------------------------------------------------------------------
 */

enum { BOXES, SCORES, MAX_BOXES, IOU_THRESHOLD, SCORE_THRESHOLD };

static kata_status NonMaxSuppression_infer(kata_infer *infer) {
    char boxes[KATA_SHAPE_TEXT_SIZE], scores[KATA_SHAPE_TEXT_SIZE];
    KATA__TRY(kata__infer_dtype(infer, BOXES, KATA__DTYPE(F32)));
    KATA__TRY(kata__infer_dtype(infer, SCORES, KATA__DTYPE(F32)));
    const kata_shape *b = &infer->inputs[BOXES].shape, *s = &infer->inputs[SCORES].shape;
    if (b->rank != 3 || s->rank != 3 || !kata__size_agrees(b->dim[2], 4) ||
        !kata__size_agrees(b->dim[0], s->dim[0]) || !kata__size_agrees(b->dim[1], s->dim[2])) {
        return kata_fail(KATA_SHAPE,
                         "NonMaxSuppression: boxes of shape %s and scores of shape %s; expected "
                         "(batches,boxes,4) and (batches,classes,boxes)",
                         kata_shape_text(b, boxes), kata_shape_text(s, scores));
    }
    KATA__TRY(kata__rule_scalar(infer, MAX_BOXES, "largest number of boxes"));
    KATA__TRY(kata__rule_scalar(infer, IOU_THRESHOLD, "threshold of the overlap"));
    KATA__TRY(kata__rule_scalar(infer, SCORE_THRESHOLD, "threshold of the score"));
    infer->outputs[0] = (kata_type){KATA_I64, {2, {KATA_UNKNOWN_DIM, 3}}};
    return KATA_OK;
}

typedef struct corners {
    float top, left, bottom, right;
} corners;

static corners corners_of(const float *box, bool is_center) {
    if (is_center) { /* x, y, width, height */
        return (corners){box[1] - box[3] / 2, box[0] - box[2] / 2, box[1] + box[3] / 2,
                         box[0] + box[2] / 2};
    }
    return (corners){fminf(box[0], box[2]), fminf(box[1], box[3]), fmaxf(box[0], box[2]),
                     fmaxf(box[1], box[3])};
}

/* Intersection over union. */
static float overlap(const corners *a, const corners *b) {
    float height = fminf(a->bottom, b->bottom) - fmaxf(a->top, b->top);
    float width = fminf(a->right, b->right) - fmaxf(a->left, b->left);
    float area_a = (a->bottom - a->top) * (a->right - a->left);
    float area_b = (b->bottom - b->top) * (b->right - b->left);
    float both = height > 0 && width > 0 ? height * width : 0;
    return both > 0 ? both / (area_a + area_b - both) : 0;
}

static double number_of(const kata_call *call, int i, double absent) {
    const bool is_there = kata__call_has(call, i) && kata_tensor_count(&call->inputs[i]) > 0;
    return is_there ? kata_load(call->inputs[i].dtype, call->inputs[i].data, 0) : absent;
}

/* Lets order[root] sink in the heap order[0..n), the lowest score (of equal ones the later box) at
 * the top. */
static void sink(const float *scores, int64_t *order, int64_t root, int64_t n) {
    for (int64_t child = 2 * root + 1; child < n; child = 2 * root + 1) {
#define BEHIND(a, b) (scores[a] < scores[b] || (!(scores[a] > scores[b]) && (a) > (b)))
        child += child + 1 < n && BEHIND(order[child + 1], order[child]);
        if (!BEHIND(order[child], order[root])) {
            break;
        }
#undef BEHIND
        int64_t moved = order[root];
        order[root] = order[child];
        order[child] = moved;
        root = child;
    }
}

static void best_first(const float *scores, int64_t *order, int64_t n) {
    for (int64_t root = n / 2; root-- > 0;) {
        sink(scores, order, root, n);
    }
    for (int64_t end = n; end-- > 1;) {
        int64_t moved = order[0];
        order[0] = order[end];
        order[end] = moved;
        sink(scores, order, 0, end);
    }
}

static kata_status NonMaxSuppression_reference(const kata_call *call) {
    const kata_shape *shape = &call->inputs[SCORES].shape;
    const int64_t batches = shape->dim[0], classes = shape->dim[1], n = shape->dim[2];
    const float *boxes = call->inputs[BOXES].data, *scores = call->inputs[SCORES].data;
    const bool is_center = call->attributes[0].i != 0,
               by_score = kata__call_has(call, SCORE_THRESHOLD);
    const double score_threshold = number_of(call, SCORE_THRESHOLD, 0);
    const float threshold = (float)number_of(call, IOU_THRESHOLD, 0);
    const double asked = number_of(call, MAX_BOXES, 0);
    const int64_t most = asked < 0 ? 0 : asked < (double)n ? (int64_t)asked : n;
    if (!(threshold >= 0 && threshold <= 1)) {
        return kata_fail(KATA_INVALID,
                         "NonMaxSuppression: the threshold of the overlap is %g, expected 0 to 1",
                         (double)threshold);
    }
    int64_t *chosen = kata_call_memory(
        call, (size_t)(3 * kata_tensor_count(&call->inputs[SCORES]) + n + 1) * sizeof *chosen);
    if (chosen == NULL) {
        return kata__run_fault(call);
    }
    int64_t *order = chosen + 3 * kata_tensor_count(&call->inputs[SCORES]), n_chosen = 0;
    for (int64_t k = 0; k < batches * classes && most > 0; k++) {
        const float *score = scores + k * n, *box = boxes + k / classes * n * 4;
        const int64_t first = n_chosen;
        int64_t n_left = 0;
        for (int64_t i = 0; i < n; i++) {
            if (!by_score || (double)score[i] > score_threshold) {
                order[n_left++] = i;
            }
        }
        best_first(score, order, n_left);
        for (int64_t i = 0; i < n_left && n_chosen - first < most; i++) {
            const corners mine = corners_of(box + 4 * order[i], is_center);
            bool stays = true;
            for (int64_t j = first; j < n_chosen && stays; j++) {
                const corners other = corners_of(box + 4 * chosen[3 * j + 2], is_center);
                stays = !(overlap(&mine, &other) > threshold);
            }
            if (stays) {
                int64_t *to = chosen + 3 * n_chosen++;
                to[0] = k / classes;
                to[1] = k % classes;
                to[2] = order[i];
            }
        }
    }
    KATA__TRY(kata_call_output(call, 0, KATA_I64, &KATA_SHAPE_OF(n_chosen, 3)));
    if (n_chosen > 0) {
        memcpy(call->outputs[0].data, chosen, (size_t)(3 * n_chosen) * sizeof *chosen);
    }
    return KATA_OK;
}

ROW_SELECT(
    NonMaxSuppression, 11, 2, 5, 1,
    ATTRIBUTES({.name = "center_point_box",
                .type = KATA_ATTRIBUTE_INT,
                .doc = "1: boxes are (x, y, width, height) of their middle, not two corners"}),
    "Of boxes that overlap by more than a threshold, those with the best score: (batch, class, "
    "box) each.")
