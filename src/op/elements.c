/* Elements of short integer tensors that are known while a graph is made: see elements.h. An
 * element that is an open size of the graph (the batch) stays that size, as long as it is only
 * moved; what is computed from it is an open size without a name. */
#include "op/elements.h"

#include <string.h>

#include "op/loops.h"

/* How many elements a type has, -1 if that is open or more than a list of sizes has. */
static int short_count(const kata_type *type) {
    int64_t n = kata_shape_count(&type->shape);
    return type->shape.rank <= 1 && n >= 0 && n <= KATA_MAX_RANK ? (int)n : -1;
}

static bool is_integer(kata_dtype dtype) {
    return dtype == KATA_I64 || dtype == KATA_I32 || dtype == KATA_BOOL;
}

static bool load_elements(const kata_tensor *tensor, kata_elements *out) {
    const kata_type type = {tensor->dtype, tensor->shape};
    *out = (kata_elements){.n = short_count(&type)};
    for (int k = 0; k < out->n; k++) {
        out->value[k] = tensor->dtype == KATA_BOOL ? ((const uint8_t *)tensor->data)[k] != 0
                                                   : kata__load_int(tensor->dtype, tensor->data, k);
    }
    return out->n >= 0;
}

bool kata__infer_elements(const kata_infer *infer, int i, kata_elements *out) {
    if (!kata__infer_has(infer, i) || !is_integer(infer->inputs[i].dtype)) {
        return false;
    }
    if (infer->constants != NULL && infer->constants[i] != NULL) {
        return load_elements(infer->constants[i], out);
    }
    if (infer->elements == NULL || infer->elements[i] == NULL) {
        return false;
    }
    *out = *infer->elements[i];
    return true;
}

static void set_size(kata_elements *e, int k, int64_t size) {
    e->value[k] = size;
    e->is_open[k] = size < 0;
}

/* --- what is made of types -------------------------------------------------------------------- */

bool kata__elements_Shape(const kata_infer *infer, int start, int end, kata_elements *out) {
    *out = (kata_elements){.n = end - start};
    for (int k = 0; k < out->n; k++) {
        set_size(out, k, infer->inputs[0].shape.dim[start + k]);
    }
    return true;
}

bool kata__elements_Size(const kata_infer *infer, kata_elements *out) {
    const kata_shape *shape = &infer->inputs[0].shape;
    int64_t count = kata_shape_count(shape);
    *out = (kata_elements){.n = 1};
    set_size(out, 0, count);
    return count >= 0;
}

/* --- what is moved ---------------------------------------------------------------------------- */

bool kata__elements_same(const kata_infer *infer, kata_elements *out) {
    return is_integer(infer->outputs[0].dtype) && kata__infer_elements(infer, 0, out) &&
           short_count(&infer->outputs[0]) == out->n;
}

bool kata__elements_Constant(const kata_infer *infer, kata_elements *out) {
    const kata_op *op = infer->op;
    for (int i = 0; op->attributes[i].name != NULL; i++) {
        const kata_attribute_value *value = &infer->attributes[i];
        if (!value->is_set) {
            continue;
        }
        if (op->attributes[i].type == KATA_ATTRIBUTE_TENSOR && value->tensor != NULL) {
            return is_integer(value->tensor->dtype) && load_elements(value->tensor, out);
        }
        if (op->attributes[i].type == KATA_ATTRIBUTE_INT) {
            *out = (kata_elements){.n = 1, .value = {value->i}};
            return true;
        }
        if (op->attributes[i].type == KATA_ATTRIBUTE_INTS && value->n <= KATA_MAX_RANK) {
            *out = (kata_elements){.n = value->n};
            for (int k = 0; k < value->n; k++) {
                out->value[k] = value->ints[k];
            }
            return true;
        }
    }
    return false;
}

bool kata__elements_ConstantOfShape(const kata_infer *infer, kata_elements *out) {
    const kata_tensor *value = infer->attributes[0].tensor;
    int n = short_count(&infer->outputs[0]);
    if (n < 0 || value == NULL || !is_integer(value->dtype)) {
        return false;
    }
    *out = (kata_elements){.n = n};
    for (int k = 0; k < n; k++) {
        out->value[k] = value->dtype == KATA_BOOL ? ((const uint8_t *)value->data)[0] != 0
                                                  : kata__load_int(value->dtype, value->data, 0);
    }
    return true;
}

bool kata__elements_Concat(const kata_infer *infer, kata_elements *out) {
    *out = (kata_elements){.n = 0};
    for (int i = 0; i < infer->n_inputs; i++) {
        kata_elements part;
        if (!kata__infer_elements(infer, i, &part) || out->n + part.n > KATA_MAX_RANK) {
            return false;
        }
        for (int k = 0; k < part.n; k++) {
            out->is_open[out->n] = part.is_open[k];
            out->value[out->n++] = part.value[k];
        }
    }
    return true;
}

/* All known as numbers. */
static bool numbers_of(const kata_infer *infer, int i, kata_elements *out) {
    if (!kata__infer_elements(infer, i, out)) {
        return false;
    }
    for (int k = 0; k < out->n; k++) {
        if (out->is_open[k]) {
            return false;
        }
    }
    return true;
}

bool kata__elements_Gather(const kata_infer *infer, kata_elements *out) {
    kata_elements from, index;
    if (infer->inputs[0].shape.rank != 1 || !kata__infer_elements(infer, 0, &from) ||
        !numbers_of(infer, 1, &index) || short_count(&infer->outputs[0]) != index.n) {
        return false;
    }
    *out = (kata_elements){.n = index.n};
    for (int k = 0; k < index.n; k++) {
        int64_t at = index.value[k] < 0 ? index.value[k] + from.n : index.value[k];
        if (at < 0 || at >= from.n) {
            return false;
        }
        out->value[k] = from.value[at];
        out->is_open[k] = from.is_open[at];
    }
    return true;
}

/* Of a list: one start, one end, one step. */
bool kata__elements_Slice(const kata_infer *infer, kata_elements *out) {
    kata_elements from, start, end, step = {.n = 1, .value = {1}};
    if (infer->inputs[0].shape.rank != 1 || !kata__infer_elements(infer, 0, &from) ||
        !numbers_of(infer, 1, &start) || !numbers_of(infer, 2, &end) || start.n != 1 ||
        end.n != 1 ||
        (kata__infer_has(infer, 4) && (!numbers_of(infer, 4, &step) || step.n != 1)) ||
        step.value[0] == 0) {
        return false;
    }
    int64_t n = from.n, by = step.value[0], low = by > 0 ? 0 : -1, high = by > 0 ? n : n - 1;
    int64_t a = start.value[0] < 0 ? start.value[0] + n : start.value[0];
    int64_t b = end.value[0] < 0 ? end.value[0] + n : end.value[0];
    a = a < low ? low : a > high ? high : a;
    b = b < low ? low : b > high ? high : b;
    *out = (kata_elements){.n = 0};
    for (int64_t k = a; by > 0 ? k < b : k > b; k += by) {
        out->value[out->n] = from.value[k];
        out->is_open[out->n++] = from.is_open[k];
        if (by > n || by < -n) {
            break;
        }
    }
    return out->n == short_count(&infer->outputs[0]);
}

/* --- what is computed ------------------------------------------------------------------------- */

/* Sets element k of `out` from a and b, which are numbers. False: there is no result. */
typedef bool (*of_numbers)(int64_t a, int64_t b, int64_t *z);

/* Element by element; `neutral` beside an open size leaves it (on the right alone if
 * `right_only`). */
static bool each(const kata_infer *infer, of_numbers f, int64_t neutral, bool right_only,
                 kata_elements *out) {
    kata_elements a, b;
    int n = short_count(&infer->outputs[0]);
    if (n < 0 || !is_integer(infer->outputs[0].dtype) || !kata__infer_elements(infer, 0, &a) ||
        !kata__infer_elements(infer, 1, &b)) {
        return false;
    }
    *out = (kata_elements){.n = n};
    for (int k = 0; k < n; k++) {
        int i = a.n == 1 ? 0 : k, j = b.n == 1 ? 0 : k;
        bool open_a = a.is_open[i], open_b = b.is_open[j];
        if (!open_a && !open_b) {
            if (!f(a.value[i], b.value[j], &out->value[k])) {
                return false;
            }
        } else if (open_a && !open_b && b.value[j] == neutral) {
            set_size(out, k, a.value[i]);
        } else if (!right_only && open_b && !open_a && a.value[i] == neutral) {
            set_size(out, k, b.value[j]);
        } else {
            set_size(out, k, KATA_UNKNOWN_DIM);
        }
    }
    return true;
}

static bool add(int64_t a, int64_t b, int64_t *z) {
    *z = kata__wrap_add(a, b);
    return true;
}
static bool subtract(int64_t a, int64_t b, int64_t *z) {
    *z = kata__wrap_sub(a, b);
    return true;
}
static bool multiply(int64_t a, int64_t b, int64_t *z) {
    *z = kata__wrap_mul(a, b);
    return true;
}
static bool divide(int64_t a, int64_t b, int64_t *z) {
    if (b == 0 || (b == -1 && a == INT64_MIN)) {
        return false;
    }
    *z = a / b;
    return true;
}

bool kata__elements_Add(const kata_infer *infer, kata_elements *out) {
    return each(infer, add, 0, false, out);
}
bool kata__elements_Sub(const kata_infer *infer, kata_elements *out) {
    return each(infer, subtract, 0, true, out);
}
bool kata__elements_Mul(const kata_infer *infer, kata_elements *out) {
    return each(infer, multiply, 1, false, out);
}
bool kata__elements_Div(const kata_infer *infer, kata_elements *out) {
    return each(infer, divide, 1, true, out);
}

/* An open size equals no negative number, and itself if it has a name; what else it equals is not
 * known. */
bool kata__elements_Equal(const kata_infer *infer, kata_elements *out) {
    kata_elements a, b;
    int n = short_count(&infer->outputs[0]);
    if (n < 0 || !kata__infer_elements(infer, 0, &a) || !kata__infer_elements(infer, 1, &b)) {
        return false;
    }
    *out = (kata_elements){.n = n};
    for (int k = 0; k < n; k++) {
        int i = a.n == 1 ? 0 : k, j = b.n == 1 ? 0 : k;
        if (a.is_open[i] && b.is_open[j]) {
            if (a.value[i] != b.value[j] || a.value[i] == KATA_UNKNOWN_DIM) {
                return false;
            }
            out->value[k] = 1;
        } else if (a.is_open[i] != b.is_open[j]) {
            if ((a.is_open[i] ? b.value[j] : a.value[i]) >= 0) {
                return false;
            }
        } else {
            out->value[k] = a.value[i] == b.value[j];
        }
    }
    return true;
}

bool kata__elements_Where(const kata_infer *infer, kata_elements *out) {
    kata_elements condition, a, b;
    int n = short_count(&infer->outputs[0]);
    if (n < 0 || !numbers_of(infer, 0, &condition) || !kata__infer_elements(infer, 1, &a) ||
        !kata__infer_elements(infer, 2, &b)) {
        return false;
    }
    *out = (kata_elements){.n = n};
    for (int k = 0; k < n; k++) {
        const kata_elements *from = condition.value[condition.n == 1 ? 0 : k] != 0 ? &a : &b;
        int i = from->n == 1 ? 0 : k;
        out->value[k] = from->value[i];
        out->is_open[k] = from->is_open[i];
    }
    return true;
}
