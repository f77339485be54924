/* Resize: interpolation along each axis on its own. An output place along an axis is a few taps of
 * the input, each an index and a weight; the axes are worked off one after the other. The gradient
 * is the same taps read the other way. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "op/batch.h"
#include "op/adapt.h"
#include "op/gradient.h"
#include "op/infer.h"
#include "op/loops.h"

enum {
    MODE,
    TRANSFORMATION,
    NEAREST,
    CUBIC,
    EXCLUDE,
    EXTRAPOLATION,
    ANTIALIAS,
    AXES,
    POLICY,
    SHAPE /* of the gradient's output alone */
};
enum { X, ROI, SCALES, SIZES };

/* --- what the attributes and inputs say, axis by axis ------------------------------------------
 */

typedef struct axis_plan {
    int64_t in, out;
    double scale, start, end; /* start, end: the region of tf_crop_and_resize */
} axis_plan;

static const char *const modes[] = {"nearest", "linear", "cubic"};
static const char *const transformations[] = {
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel",  "align_corners",
    "asymmetric", "tf_crop_and_resize",   "tf_half_pixel_for_nn"};
static const char *const nearest_modes[] = {"round_prefer_floor", "round_prefer_ceil", "floor",
                                            "ceil"};
static const char *const policies[] = {"stretch", "not_larger", "not_smaller"};

static bool is_one_of(const char *text, const char *const *list, size_t n) {
    bool found = false;
    for (size_t i = 0; i < n; i++) {
        found = found || strcmp(text, list[i]) == 0;
    }
    return found;
}

static kata_status check_word(const kata_infer *infer, int attribute, const char *const *list,
                              size_t n) {
    const char *text = infer->attributes[attribute].s;
    return is_one_of(text, list, n)
               ? KATA_OK
               : kata_fail(KATA_UNSUPPORTED, "%s: %s \"%.60s\" is not known", infer->op->name,
                           infer->op->attributes[attribute].name, text);
}

static kata_status check_words(const kata_infer *infer) {
    KATA__TRY(check_word(infer, MODE, modes, KATA__COUNT(modes)));
    KATA__TRY(check_word(infer, TRANSFORMATION, transformations, KATA__COUNT(transformations)));
    KATA__TRY(check_word(infer, NEAREST, nearest_modes, KATA__COUNT(nearest_modes)));
    return check_word(infer, POLICY, policies, KATA__COUNT(policies));
}

/* The axes that are resized, in the order in which scales, sizes and roi have them. */
static int resized_axes(const kata_attribute_value *attributes, int rank, int axes[KATA_MAX_RANK]) {
    const kata_attribute_value *given = &attributes[AXES];
    int n = given->n > 0 ? given->n : rank;
    for (int i = 0; i < n; i++) {
        int64_t axis = given->n > 0 ? given->ints[i] : i;
        axes[i] = (int)(axis < 0 ? axis + rank : axis);
    }
    return n;
}

/* The input's region is cut out by roi before it is resized. */
static bool crops(const kata_attribute_value *attributes) {
    return strcmp(attributes[TRANSFORMATION].s, "tf_crop_and_resize") == 0;
}

static bool is_there(const kata_tensor *tensor) {
    return tensor != NULL && tensor->dtype != KATA_NO_DTYPE && kata_tensor_count(tensor) > 0;
}

/* Sizes and scales of all axes from the values of roi, scales and sizes (NULL or without elements:
 * absent); `n` axes are resized. */
static void plan_axes(axis_plan plan[KATA_MAX_RANK], const kata_shape *x,
                      const kata_attribute_value *attributes, const kata_tensor *roi,
                      const kata_tensor *scales, const kata_tensor *sizes) {
    int axes[KATA_MAX_RANK], n = resized_axes(attributes, x->rank, axes);
    for (int i = 0; i < x->rank; i++) {
        plan[i] = (axis_plan){x->dim[i], x->dim[i], 1, 0, 1};
    }
    for (int i = 0; i < n; i++) {
        axis_plan *p = &plan[axes[i]];
        if (crops(attributes) && is_there(roi)) {
            p->start = kata_load(roi->dtype, roi->data, i);
            p->end = kata_load(roi->dtype, roi->data, n + i);
        }
        if (is_there(scales)) {
            p->scale = kata_load(scales->dtype, scales->data, i);
            double region = crops(attributes) ? p->end - p->start : 1;
            p->out = (int64_t)floor((double)p->in * region * p->scale);
        } else {
            p->out = kata__load_int(KATA_I64, sizes->data, i);
            p->scale = p->in > 0 ? (double)p->out / (double)p->in : 1;
        }
    }
    bool smaller = strcmp(attributes[POLICY].s, "not_larger") == 0;
    if (is_there(scales) || n == 0 || strcmp(attributes[POLICY].s, "stretch") == 0) {
        return;
    }
    double scale = plan[axes[0]].scale;
    for (int i = 1; i < n; i++) {
        double other = plan[axes[i]].scale;
        scale = (smaller ? other < scale : other > scale) ? other : scale;
    }
    for (int i = 0; i < n; i++) {
        plan[axes[i]].scale = scale;
        plan[axes[i]].out = (int64_t)floor(scale * (double)plan[axes[i]].in + 0.5);
    }
}

/* KATA_SHAPE unless input i has `wanted` numbers, where that is known. */
static kata_status check_count(const kata_infer *infer, int i, int64_t wanted) {
    char text[KATA_SHAPE_TEXT_SIZE];
    int64_t count = kata__infer_has(infer, i) ? kata_shape_count(&infer->inputs[i].shape) : 0;
    if (count > 0 && count != wanted) {
        return kata_fail(KATA_SHAPE, "%s: input %d must have %" PRId64 " numbers, got shape %s",
                         infer->op->name, i, wanted,
                         kata_shape_text(&infer->inputs[i].shape, text));
    }
    return KATA_OK;
}

static kata_status check_axes(const kata_infer *infer) {
    const kata_shape *x = &infer->inputs[X].shape;
    int axes[KATA_MAX_RANK];
    bool flags[KATA_MAX_RANK];
    const kata_attribute_value *given = &infer->attributes[AXES];
    if (given->n > x->rank) {
        return kata_fail(KATA_INVALID, "%s: %d axes are named, the input has %d", infer->op->name,
                         given->n, x->rank);
    }
    KATA__TRY(kata__infer_axes(infer, given->ints, given->n, x->rank, flags));
    int n = resized_axes(infer->attributes, x->rank, axes);
    KATA__TRY(check_count(infer, SCALES, n));
    KATA__TRY(check_count(infer, SIZES, n));
    return check_count(infer, ROI, 2 * n);
}

static bool has_numbers(const kata_infer *infer, int i) {
    return kata__infer_has(infer, i) && kata_shape_count(&infer->inputs[i].shape) != 0;
}

static const kata_tensor *constant_of(const kata_infer *infer, int i) {
    return has_numbers(infer, i) ? infer->constants[i] : NULL;
}

static kata_status check_plan(const kata_infer *infer, const axis_plan *plan, int rank) {
    for (int i = 0; i < rank; i++) {
        if (!(plan[i].scale > 0 && plan[i].scale < 1e9) || plan[i].out < 0 ||
            plan[i].out > (int64_t)1 << 40 || (plan[i].in == 0 && plan[i].out > 0) ||
            !(fabs(plan[i].start) < 1e6 && fabs(plan[i].end) < 1e6)) {
            return kata_fail(KATA_INVALID,
                             "%s: axis %d of size %" PRId64 " cannot be resized by the factor %g "
                             "to %" PRId64,
                             infer->op->name, i, plan[i].in, plan[i].scale, plan[i].out);
        }
    }
    return KATA_OK;
}

static kata_status Resize_infer(kata_infer *infer) {
    const kata_shape *x = &infer->inputs[X].shape;
    axis_plan plan[KATA_MAX_RANK];
    KATA__TRY(kata__infer_dtype(infer, X, KATA__NUMBERS));
    KATA__TRY(check_words(infer));
    KATA__TRY(check_axes(infer));
    if (has_numbers(infer, SCALES) == has_numbers(infer, SIZES)) {
        return kata_fail(KATA_INVALID,
                         "%s: exactly one of scales (input 2) and sizes (input 3) "
                         "must be given",
                         infer->op->name);
    }
    if (crops(infer->attributes) && !has_numbers(infer, ROI)) {
        return kata_fail(KATA_INVALID, "%s: tf_crop_and_resize needs roi (input 1)",
                         infer->op->name);
    }
    if (crops(infer->attributes) && infer->attributes[ANTIALIAS].i != 0) {
        return kata_fail(KATA_UNSUPPORTED, "%s: tf_crop_and_resize goes without antialias",
                         infer->op->name);
    }
    if (has_numbers(infer, SCALES)) {
        KATA__TRY(kata__infer_dtype(infer, SCALES, KATA__DTYPE(F32)));
    } else {
        KATA__TRY(kata__infer_dtype(infer, SIZES, KATA__DTYPE(I64)));
    }
    infer->outputs[0] = infer->inputs[X];
    int given = has_numbers(infer, SCALES) ? SCALES : SIZES;
    bool known = infer->constants[given] != NULL &&
                 (!crops(infer->attributes) || constant_of(infer, ROI) != NULL);
    if (known) {
        kata_shape probe = *x;
        for (int i = 0; i < x->rank; i++) {
            probe.dim[i] = x->dim[i] < 0 ? 1 : x->dim[i];
        }
        plan_axes(plan, &probe, infer->attributes, constant_of(infer, ROI),
                  constant_of(infer, SCALES), constant_of(infer, SIZES));
        KATA__TRY(check_plan(infer, plan, x->rank));
    }
    for (int i = 0; i < x->rank; i++) {
        bool same = known && plan[i].scale == 1 && plan[i].out == plan[i].in;
        infer->outputs[0].shape.dim[i] = same                      ? x->dim[i]
                                         : !known || x->dim[i] < 0 ? KATA_UNKNOWN_DIM
                                                                   : plan[i].out;
    }
    return kata__infer_fits(infer);
}

/* --- taps ------------------------------------------------------------------------------------ */

typedef struct tap {
    int64_t index;
    double weight;
} tap;

/* Where output place o lies in the input. */
static double place_of(const char *how, const axis_plan *p, int64_t o) {
    /* The output's size before floor() has cut it, as ONNX's own tests have it. */
    double x = (double)o, in = (double)p->in, out = p->scale * in;
    if (strcmp(how, "asymmetric") == 0) {
        return x / p->scale;
    }
    if (strcmp(how, "align_corners") == 0) {
        return p->out == 1 ? 0 : x * (in - 1) / (out - 1);
    }
    if (strcmp(how, "tf_crop_and_resize") == 0) {
        return p->out > 1
                   ? p->start * (in - 1) + x * (p->end - p->start) * (in - 1) / ((double)p->out - 1)
                   : 0.5 * (p->start + p->end) * (in - 1);
    }
    if (strcmp(how, "tf_half_pixel_for_nn") == 0) {
        return (x + 0.5) / p->scale;
    }
    if (strcmp(how, "pytorch_half_pixel") == 0 && p->out <= 1) {
        return 0;
    }
    double place = (x + 0.5) / p->scale - 0.5;
    if (strcmp(how, "half_pixel_symmetric") == 0) { /* centres what floor() has cut off */
        place += in / 2 * (1 - (double)p->out / out);
    }
    return place;
}

static double nearest_place(const char *how, double x) {
    if (strcmp(how, "floor") == 0) {
        return floor(x);
    }
    if (strcmp(how, "ceil") == 0) {
        return ceil(x);
    }
    return strcmp(how, "round_prefer_ceil") == 0 ? floor(x + 0.5) : ceil(x - 0.5);
}

/* The interpolating kernels at distance t: a triangle, and Keys's cubic (1981). */
static double kernel_at(bool cubic, double a, double t) {
    t = fabs(t);
    if (!cubic) {
        return t < 1 ? 1 - t : 0;
    }
    return t <= 1  ? ((a + 2) * t - (a + 3)) * t * t + 1
           : t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
                   : 0;
}

/* Fills the taps of output place o and returns how many; indices are clamped to the input's edge,
 * or with exclude_outside those beyond it do not count. */
static int64_t taps_of(const kata_attribute_value *attributes, const axis_plan *p, int64_t o,
                       tap *taps) {
    double x = place_of(attributes[TRANSFORMATION].s, p, o), sum = 0;
    if (strcmp(attributes[MODE].s, "nearest") == 0) {
        double at = nearest_place(attributes[NEAREST].s, x);
        at = at < 0 ? 0 : at > (double)(p->in - 1) ? (double)(p->in - 1) : at;
        taps[0] = (tap){(int64_t)at, 1};
        return 1;
    }
    bool cubic = strcmp(attributes[MODE].s, "cubic") == 0;
    bool widens = attributes[ANTIALIAS].i != 0 && p->scale < 1;
    double narrow = widens ? p->scale : 1, reach = (cubic ? 2 : 1) / narrow;
    int64_t n = 0, first = (int64_t)floor(x - reach) + 1, last = (int64_t)ceil(x + reach) - 1;
    for (int64_t i = first; i <= last; i++) {
        double weight = kernel_at(cubic, attributes[CUBIC].f, ((double)i - x) * narrow);
        bool outside = i < 0 || i >= p->in;
        if (weight == 0 || (outside && attributes[EXCLUDE].i != 0)) {
            continue; /* also keeps an infinity at weight 0 out of the sum */
        }
        taps[n++] = (tap){i < 0 ? 0 : i >= p->in ? p->in - 1 : i, weight};
        sum += weight;
    }
    for (int64_t i = 0; i < n && (widens || attributes[EXCLUDE].i != 0); i++) {
        taps[i].weight /= sum;
    }
    return n;
}

/* --- kernels --------------------------------------------------------------------------------- */

/* Workspace: two arrays of doubles that the axes are worked off between, and one place's taps. */
typedef struct room {
    int64_t n_values, n_taps;
} room;

static void call_plan(const kata_call *call, const kata_shape *x, axis_plan *plan) {
    const kata_tensor *in[4] = {NULL};
    for (int i = ROI; i < call->n_inputs; i++) {
        in[i] = &call->inputs[i];
    }
    plan_axes(plan, x, call->attributes, in[ROI], in[SCALES], in[SIZES]);
}

/* A bound from the shapes alone, since the values of scales and sizes are not known yet: a size b
 * comes from a by a factor of at least (b - 1/2) / a, so a place has at most 2 (2 a / (b - 1/2) +
 * 2) taps. */
static room room_of(const kata_shape *from, const kata_shape *to) {
    room r = {.n_values = 1, .n_taps = 4};
    for (int i = 0; i < from->rank; i++) {
        int64_t a = from->dim[i], b = to->dim[i];
        int64_t n_taps = 8 * (a / (b > 0 ? b : 1) + 2);
        r.n_values *= a > b ? a : b;
        r.n_taps = n_taps > r.n_taps ? n_taps : r.n_taps;
    }
    return r;
}

static size_t room_bytes(room r) {
    return (size_t)(2 * r.n_values) * sizeof(double) + (size_t)r.n_taps * sizeof(tap);
}

static size_t Resize_workspace(const kata_call *call) {
    return room_bytes(room_of(&call->inputs[X].shape, &call->outputs[0].shape));
}

/* The taps of all places of the axes that change, made once where roi, scales and sizes are known:
 * those of place o of an axis are taps[first[axis][o] .. first[axis][o + 1]). */
typedef struct tables {
    int64_t *first[KATA_MAX_RANK]; /* NULL: the axis stays as it is */
    tap *taps;
} tables;

static bool stays(const axis_plan *p) {
    return p->in == p->out && p->scale == 1 && p->start == 0 && p->end == 1;
}

/* Counts the taps of all places, and writes them if `t` has room for them. */
static int64_t fill_tables(tables *t, const kata_attribute_value *attributes, const axis_plan *plan,
                           int rank, tap *scratch) {
    int64_t n = 0;
    for (int axis = 0; axis < rank; axis++) {
        for (int64_t o = 0; o < plan[axis].out && !stays(&plan[axis]); o++) {
            int64_t n_here = taps_of(attributes, &plan[axis], o, scratch);
            if (t->taps != NULL) {
                memcpy(t->taps + n, scratch, (size_t)n_here * sizeof *scratch);
                t->first[axis][o] = n;
                t->first[axis][o + 1] = n + n_here;
            }
            n += n_here;
        }
    }
    return n;
}

static kata_status make_tables(const kata_call *call, const kata_shape *from, const kata_shape *to,
                               void **state) {
    axis_plan plan[KATA_MAX_RANK];
    int64_t n_first = 0;
    for (int i = ROI; i < call->n_inputs; i++) {
        if (is_there(&call->inputs[i]) && call->inputs[i].data == NULL) {
            return KATA_OK; /* known at run time only */
        }
    }
    call_plan(call, from, plan);
    for (int i = 0; i < from->rank; i++) {
        if (plan[i].out != to->dim[i] || plan[i].in == 0) {
            return KATA_OK; /* the kernel says so */
        }
        n_first += stays(&plan[i]) ? 0 : plan[i].out + 1;
    }
    tap *scratch = kata__alloc(call->context, (size_t)room_of(from, to).n_taps, sizeof *scratch);
    if (scratch == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    tables counted = {.taps = NULL};
    int64_t n = fill_tables(&counted, call->attributes, plan, from->rank, scratch);
    tables *t = kata__alloc_zero(call->context, 1,
                                 sizeof *t + (size_t)n * sizeof *t->taps +
                                     (size_t)n_first * sizeof *t->first[0]);
    if (t != NULL) {
        t->taps = (tap *)(t + 1);
        int64_t *first = (int64_t *)(t->taps + n);
        for (int i = 0; i < from->rank; i++) {
            t->first[i] = stays(&plan[i]) ? NULL : first;
            first += stays(&plan[i]) ? 0 : plan[i].out + 1;
        }
        (void)fill_tables(t, call->attributes, plan, from->rank, scratch);
    }
    kata__free(call->context, scratch);
    *state = t;
    return t != NULL ? KATA_OK : KATA_OUT_OF_MEMORY;
}

static kata_status Resize_prepare(const kata_call *call, void **state) {
    return make_tables(call, &call->inputs[X].shape, &call->outputs[0].shape, state);
}

static kata_status ResizeGrad_prepare(const kata_call *call, void **state) {
    return make_tables(call, &call->outputs[0].shape, &call->inputs[0].shape, state);
}

/* The taps of place o: those of the tables, else made in `scratch`. */
static const tap *find_taps(const kata_call *call, const axis_plan *plan, int axis, int64_t o,
                            tap *scratch, int64_t *n) {
    const tables *t = call->state;
    if (t == NULL) {
        *n = taps_of(call->attributes, &plan[axis], o, scratch);
        return scratch;
    }
    *n = t->first[axis][o + 1] - t->first[axis][o];
    return t->taps + t->first[axis][o];
}

/* One axis of (outer, n, inner): forward to[o] = sum of taps of from; backward the other way. */
static void resize_axis(const kata_call *call, const axis_plan *plan, int axis, int64_t outer,
                        int64_t inner, const double *from, double *to, tap *scratch,
                        bool backward) {
    const axis_plan *p = &plan[axis];
    for (int64_t i = 0; i < outer * (backward ? p->in : p->out) * inner; i++) {
        to[i] = 0;
    }
    for (int64_t o = 0; o < p->out; o++) {
        int64_t n;
        const tap *taps = find_taps(call, plan, axis, o, scratch, &n);
        for (int64_t b = 0; b < outer; b++) {
            int64_t at_out = (b * p->out + o) * inner;
            for (int64_t t = 0; t < n; t++) {
                int64_t at_in = (b * p->in + taps[t].index) * inner;
                double *y = to + (backward ? at_in : at_out);
                const double *x = from + (backward ? at_out : at_in);
                for (int64_t k = 0; k < inner; k++) {
                    y[k] += taps[t].weight * x[k];
                }
            }
        }
    }
}

/* Works off the axes that change; returns where the result lies. */
static double *resize_all(const kata_call *call, const axis_plan *plan, int rank, double *from,
                          double *to, tap *taps, bool backward) {
    for (int axis = 0; axis < rank; axis++) {
        if (stays(&plan[axis])) {
            continue;
        }
        int64_t outer = 1, inner = 1;
        for (int i = 0; i < rank; i++) {
            bool done = i < axis;
            int64_t size = done == backward ? plan[i].in : plan[i].out;
            outer *= i < axis ? size : 1;
            inner *= i > axis ? size : 1;
        }
        resize_axis(call, plan, axis, outer, inner, from, to, taps, backward);
        double *kept = from;
        from = to;
        to = kept;
    }
    return from;
}

/* Whether an output element lies outside the region that tf_crop_and_resize has numbers for. */
static bool element_outside(const kata_call *call, const axis_plan *plan, int rank, int64_t i) {
    bool outside = false;
    for (int axis = rank - 1; axis >= 0 && crops(call->attributes); axis--) {
        double x = place_of(call->attributes[TRANSFORMATION].s, &plan[axis], i % plan[axis].out);
        outside = outside || x < 0 || x > (double)(plan[axis].in - 1);
        i /= plan[axis].out;
    }
    return outside;
}

static double *load_all(const kata_tensor *tensor, double *to) {
    for (int64_t i = 0, n = kata_tensor_count(tensor); i < n; i++) {
        to[i] = kata_load(tensor->dtype, tensor->data, i);
    }
    return to;
}

static kata_status Resize_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[X], *y = &call->outputs[0];
    axis_plan plan[KATA_MAX_RANK];
    int rank = x->shape.rank;
    call_plan(call, &x->shape, plan);
    for (int i = 0; i < rank; i++) {
        if (plan[i].out != y->shape.dim[i]) {
            return kata_fail(KATA_SHAPE, "Resize: axis %d becomes %" PRId64 ", not %" PRId64, i,
                             plan[i].out, y->shape.dim[i]);
        }
    }
    room r = room_of(&x->shape, &y->shape);
    double *first = call->workspace, *second = first + r.n_values;
    tap *taps = (tap *)(second + r.n_values);
    if (kata_tensor_count(y) == 0) {
        return KATA_OK;
    }
    double *result = resize_all(call, plan, rank, load_all(x, first), second, taps, false);
    for (int64_t i = 0, n = kata_tensor_count(y); i < n; i++) {
        bool outside = element_outside(call, plan, rank, i);
        kata_store(y->dtype, y->data, i, outside ? call->attributes[EXTRAPOLATION].f : result[i]);
    }
    return KATA_OK;
}

static size_t ResizeGrad_workspace(const kata_call *call) {
    return room_bytes(room_of(&call->outputs[0].shape, &call->inputs[0].shape));
}

static kata_status ResizeGrad_reference(const kata_call *call) {
    const kata_tensor *dy = &call->inputs[0], *dx = &call->outputs[0];
    axis_plan plan[KATA_MAX_RANK];
    int rank = dx->shape.rank;
    call_plan(call, &dx->shape, plan);
    room r = room_of(&dx->shape, &dy->shape);
    double *first = call->workspace, *second = first + r.n_values;
    tap *taps = (tap *)(second + r.n_values);
    if (kata_tensor_count(dx) == 0) {
        return KATA_OK;
    }
    load_all(dy, first);
    for (int64_t i = 0, n = kata_tensor_count(dy); i < n; i++) {
        first[i] = element_outside(call, plan, rank, i) ? 0 : first[i];
    }
    double *result = resize_all(call, plan, rank, first, second, taps, true);
    for (int64_t i = 0, n = kata_tensor_count(dx); i < n; i++) {
        kata_store(dx->dtype, dx->data, i, result[i]);
    }
    return KATA_OK;
}

/* The gradient node has the operator's attributes and inputs, dy in x's place, and x's shape. */
static kata_status Resize_gradient(kata_gradient *g) {
    kata_shape shape = kata_value_shape(g->graph, g->inputs[X]);
    kata_attribute attributes[SHAPE + 1];
    kata_value inputs[4] = {g->output_gradients[0]};
    int n = kata_attributes_given(g->op, g->attributes, attributes);
    attributes[n++] = (kata_attribute)KATA_INTS_OF("shape", shape.dim, shape.rank);
    for (int i = ROI; i < g->n_inputs; i++) {
        inputs[i] = g->inputs[i];
    }
    g->input_gradients[X] =
        kata_graph_node(g->graph, "kata:ResizeGrad", inputs, g->n_inputs, attributes, n);
    return kata_graph_status(g->graph);
}

static kata_status ResizeGrad_infer(kata_infer *infer) {
    const kata_attribute_value *shape = &infer->attributes[SHAPE];
    kata_type inputs[4] = {infer->inputs[0]}, resized;
    char text[KATA_SHAPE_TEXT_SIZE];
    KATA__TRY(kata__infer_float(infer, 0, true));
    if (shape->n != infer->inputs[0].shape.rank) {
        return kata_fail(KATA_INVALID, "%s: the shape has %d sizes, dy the shape %s",
                         infer->op->name, shape->n, kata_shape_text(&infer->inputs[0].shape, text));
    }
    memcpy(inputs + 1, infer->inputs + 1, (size_t)(infer->n_inputs - 1) * sizeof *inputs);
    inputs[0].shape = kata_shape_make(shape->n, shape->ints);
    kata_infer forward = *infer;
    forward.inputs = inputs;
    forward.outputs = &resized;
    KATA__TRY(Resize_infer(&forward));
    if (!kata_shape_equal(&resized.shape, &infer->inputs[0].shape)) {
        return kata_fail(KATA_SHAPE, "%s: dy has the shape %s, which that of x does not become",
                         infer->op->name, kata_shape_text(&infer->inputs[0].shape, text));
    }
    infer->outputs[0] = inputs[0];
    return KATA_OK;
}

#define ATTRIBUTES                                                                                 \
    [MODE] = {.name = "mode",                                                                      \
              .type = KATA_ATTRIBUTE_STRING,                                                       \
              .default_string = "nearest",                                                         \
              .doc = "nearest, linear or cubic"},                                                  \
    [TRANSFORMATION] = {.name = "coordinate_transformation_mode",                                  \
                        .type = KATA_ATTRIBUTE_STRING,                                             \
                        .default_string = "half_pixel",                                            \
                        .doc = "where an output place lies in the input"},                         \
    [NEAREST] = {.name = "nearest_mode",                                                           \
                 .type = KATA_ATTRIBUTE_STRING,                                                    \
                 .default_string = "round_prefer_floor",                                           \
                 .doc = "round_prefer_floor, round_prefer_ceil, floor or ceil"},                   \
    [CUBIC] = {.name = "cubic_coeff_a",                                                            \
               .type = KATA_ATTRIBUTE_FLOAT,                                                       \
               .default_float = -0.75,                                                             \
               .doc = "the cubic's parameter"},                                                    \
    [EXCLUDE] = {.name = "exclude_outside",                                                        \
                 .type = KATA_ATTRIBUTE_INT,                                                       \
                 .doc = "1: weights beyond the edge are 0, the others scaled up"},                 \
    [EXTRAPOLATION] = {.name = "extrapolation_value",                                              \
                       .type = KATA_ATTRIBUTE_FLOAT,                                               \
                       .doc = "what is beyond the input with tf_crop_and_resize"},                 \
    [ANTIALIAS] = {.name = "antialias",                                                            \
                   .type = KATA_ATTRIBUTE_INT,                                                     \
                   .doc = "1: the kernel grows as the picture shrinks"},                           \
    [AXES] = {.name = "axes", .type = KATA_ATTRIBUTE_INTS, .doc = "the axes; none: all"},          \
    [POLICY] = {.name = "keep_aspect_ratio_policy",                                                \
                .type = KATA_ATTRIBUTE_STRING,                                                     \
                .default_string = "stretch",                                                       \
                .doc = "stretch, not_larger or not_smaller than sizes"}

const kata_op kata__op_Resize = {
    .name = "Resize",
    .domain = "",
    .since = 10,
    .min_inputs = 1,
    .max_inputs = 4,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = (const kata_attribute_spec[]){ATTRIBUTES, {.name = NULL}},
    .infer = Resize_infer,
    .batch = kata__batch_Resize,
    .workspace = Resize_workspace,
    .reference = Resize_reference,
    .gradient = Resize_gradient,
    .tolerance = 1e-6,
    .doc = "x interpolated to other sizes: scales (input 2) or sizes (input 3).",
    .prepare = Resize_prepare,
    .free = kata__state_free,
    .constant_inputs = 1 << ROI | 1 << SCALES | 1 << SIZES,
    .adapt = kata__adapt_resize,
    .adapt_before = 11,
};

const kata_op kata__op_kata_ResizeGrad = {
    .name = "ResizeGrad",
    .domain = "kata",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 4,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = (const kata_attribute_spec[]){ATTRIBUTES,
                                                [SHAPE] = {.name = "shape",
                                                           .type = KATA_ATTRIBUTE_INTS,
                                                           .required = true,
                                                           .doc = "the shape of the output"},
                                                {.name = NULL}},
    .infer = ResizeGrad_infer,
    .workspace = ResizeGrad_workspace,
    .reference = ResizeGrad_reference,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 1e-6,
    .doc = "Gradient of Resize from (dy, roi, scales, sizes).",
    .prepare = ResizeGrad_prepare,
    .free = kata__state_free,
};
