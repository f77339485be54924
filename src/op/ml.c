/* Small rows of ai.onnx.ml: Normalizer, Binarizer, Imputer, ArrayFeatureExtractor,
 * FeatureVectorizer; and what its larger ones share (ml.h). */
#include "op/ml.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "op/batch.h"
#include "op/gradient.h"
#include "op/loops.h"

/* --- shared ---------------------------------------------------------------------------------- */

kata__transform kata__transform_of(const char *name) {
    static const char *const names[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"};
    int i = 0;
    while (i < KATA__TRANSFORMS && strcmp(names[i], name) != 0) {
        i++;
    }
    return (kata__transform)i;
}

kata_status kata__infer_transform(const kata_infer *infer, const char *name) {
    return kata__transform_of(name) != KATA__TRANSFORMS
               ? KATA_OK
               : kata_fail(KATA_UNSUPPORTED, "%s: post_transform \"%.60s\" is not known",
                           infer->op->name, name);
}

double kata__logistic(double x) {
    return 1 / (1 + exp(-x));
}

/* sqrt(2) erf^-1(2 x - 1), by Winitzki's approximation of the inverse (2008), as other runtimes
 * have it. */
static double probit(double x) {
    double y = 2 * x - 1, l = log((1 - y) * (1 + y)), a = 0.147;
    double p = 2 / (M_PI * a) + l / 2, root = sqrt(sqrt(p * p - l / a) - p);
    return M_SQRT2 * (y < 0 ? -root : root);
}

static void softmax(double *scores, int64_t n, bool keep_zeros) {
    double largest = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++) {
        largest = scores[i] > largest ? scores[i] : largest;
    }
    for (int64_t i = 0; i < n; i++) {
        bool stays = keep_zeros && fabs(scores[i]) <= 1e-7;
        scores[i] = stays ? 0 : exp(scores[i] - largest);
        sum += scores[i];
    }
    for (int64_t i = 0; i < n && sum > 0; i++) {
        scores[i] /= sum;
    }
}

void kata__transform_run(kata__transform transform, double *scores, int64_t n) {
    if (transform == KATA__TRANSFORM_SOFTMAX || transform == KATA__TRANSFORM_SOFTMAX_ZERO) {
        softmax(scores, n, transform == KATA__TRANSFORM_SOFTMAX_ZERO);
        return;
    }
    for (int64_t i = 0; i < n && transform != KATA__TRANSFORM_NONE; i++) {
        scores[i] =
            transform == KATA__TRANSFORM_LOGISTIC ? kata__logistic(scores[i]) : probit(scores[i]);
    }
}

kata_status kata__infer_rows(const kata_infer *infer, int64_t *n, int64_t *columns) {
    const kata_shape *x = &infer->inputs[0].shape;
    char text[KATA_SHAPE_TEXT_SIZE];
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__ML_NUMBERS));
    if (x->rank != 1 && x->rank != 2) {
        return kata_fail(KATA_SHAPE, "%s: input 0 must be (N,C) or (C), got %s", infer->op->name,
                         kata_shape_text(x, text));
    }
    *n = x->rank == 2 ? x->dim[0] : 1;
    *columns = x->dim[x->rank - 1];
    return KATA_OK;
}

kata_status kata__infer_labels(const kata_infer *infer, int integers, int texts, kata_dtype *dtype,
                               int64_t *n) {
    int n_integers = infer->attributes[integers].n, n_texts = infer->attributes[texts].n;
    if ((n_integers > 0) == (n_texts > 0)) {
        return kata_fail(KATA_INVALID, "%s: labels must be given as %s or as %s", infer->op->name,
                         infer->op->attributes[integers].name, infer->op->attributes[texts].name);
    }
    *dtype = n_texts > 0 ? KATA_STRING : KATA_I64;
    *n = n_integers + n_texts;
    return KATA_OK;
}

void kata__label_store(const kata_attribute_value *attributes, int integers, int texts, int64_t k,
                       const kata_tensor *out, int64_t i) {
    if (out->dtype == KATA_STRING) {
        const char *text = attributes[texts].strings[k];
        ((kata_string *)out->data)[i] = (kata_string){text, (int64_t)strlen(text)};
    } else {
        ((int64_t *)out->data)[i] = attributes[integers].ints[k];
    }
}

/* --- Normalizer ------------------------------------------------------------------------------ */

static kata_status Normalizer_infer(kata_infer *infer) {
    const char *norm = infer->attributes[0].s;
    int64_t n, columns;
    KATA__TRY(kata__infer_rows(infer, &n, &columns));
    if (strcmp(norm, "MAX") != 0 && strcmp(norm, "L1") != 0 && strcmp(norm, "L2") != 0) {
        return kata_fail(KATA_UNSUPPORTED, "Normalizer: norm \"%.40s\" is not known", norm);
    }
    infer->outputs[0] = (kata_type){KATA_F32, infer->inputs[0].shape};
    return KATA_OK;
}

static void rows_of(const kata_call *call, int64_t *n, int64_t *columns) {
    const kata_shape *x = &call->inputs[0].shape;
    *n = x->rank == 2 ? x->dim[0] : 1;
    *columns = x->dim[x->rank - 1];
}

/* Each row divided by its largest number, the sum of its magnitudes, or its length. */
static kata_status Normalizer_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0];
    const char kind = call->attributes[0].s[1]; /* MAX, L1, L2 */
    float *y = call->outputs[0].data;
    int64_t n, columns;
    rows_of(call, &n, &columns);
    for (int64_t i = 0; i < n; i++) {
        double norm = kind == 'A' ? -INFINITY : 0;
        for (int64_t j = 0; j < columns; j++) {
            double v = kata_load(x->dtype, x->data, i * columns + j);
            norm = kind == 'A'   ? (v > norm ? v : norm)
                   : kind == '1' ? norm + fabs(v)
                                 : norm + v * v;
        }
        norm = kind == '2' ? sqrt(norm) : norm;
        for (int64_t j = 0; j < columns; j++) {
            double v = kata_load(x->dtype, x->data, i * columns + j);
            y[i * columns + j] = (float)(norm != 0 ? v / norm : v);
        }
    }
    return KATA_OK;
}

/* --- Binarizer, Imputer ---------------------------------------------------------------------- */

static kata_status Binarizer_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__ML_NUMBERS));
    return kata__infer_same(infer);
}

static kata_status Binarizer_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0], *y = &call->outputs[0];
    for (int64_t i = 0, n = kata_tensor_count(x); i < n; i++) {
        bool above = kata_load(x->dtype, x->data, i) > call->attributes[0].f;
        kata_store(y->dtype, y->data, i, above ? 1 : 0);
    }
    return KATA_OK;
}

enum { IMPUTED_FLOATS, IMPUTED_INTS, REPLACED_FLOAT, REPLACED_INT };

static kata_status Imputer_infer(kata_infer *infer) {
    bool is_float = kata_dtype_is_float(infer->inputs[0].dtype);
    int n_values = infer->attributes[is_float ? IMPUTED_FLOATS : IMPUTED_INTS].n;
    int64_t n, columns;
    KATA__TRY(kata__infer_rows(infer, &n, &columns));
    if (n_values != 1 && (n_values < 1 || (columns >= 0 && n_values != columns))) {
        return kata_fail(
            KATA_SHAPE, "Imputer: one value for all or one for each of %" PRId64 " columns, got %d",
            columns, n_values);
    }
    return kata__infer_same(infer);
}

static kata_status Imputer_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0], *y = &call->outputs[0];
    const kata_attribute_value *a = call->attributes;
    bool is_float = kata_dtype_is_float(x->dtype);
    int n_values = a[is_float ? IMPUTED_FLOATS : IMPUTED_INTS].n;
    int64_t n, columns;
    rows_of(call, &n, &columns);
    for (int64_t i = 0; i < n * columns; i++) {
        int64_t k = n_values == 1 ? 0 : i % columns;
        if (is_float) {
            double v = kata_load(x->dtype, x->data, i), missing = a[REPLACED_FLOAT].f;
            bool is_missing = isnan(missing) ? isnan(v) : v == missing;
            kata_store(y->dtype, y->data, i, is_missing ? a[IMPUTED_FLOATS].floats[k] : v);
        } else {
            int64_t v = kata__load_int(x->dtype, x->data, i);
            bool is_missing = v == a[REPLACED_INT].i;
            kata__store_int(y->dtype, y->data, i, is_missing ? a[IMPUTED_INTS].ints[k] : v);
        }
    }
    return KATA_OK;
}

/* --- ArrayFeatureExtractor, FeatureVectorizer ------------------------------------------------ */

/* Columns of x by the indices of input 1; of one row there is still one row. */
static kata_status ArrayFeatureExtractor_infer(kata_infer *infer) {
    const kata_shape *x = &infer->inputs[0].shape;
    int64_t n = kata_shape_count(&infer->inputs[1].shape);
    KATA__TRY(kata__infer_dtype(infer, 1, KATA__DTYPE(I64)));
    if (x->rank < 1) {
        return kata_fail(KATA_SHAPE, "ArrayFeatureExtractor: input 0 must have an axis");
    }
    infer->outputs[0] = infer->inputs[0];
    if (x->rank == 1) {
        infer->outputs[0].shape = KATA_SHAPE_OF(1, n);
    } else {
        infer->outputs[0].shape.dim[x->rank - 1] = n < 0 ? KATA_UNKNOWN_DIM : n;
    }
    return kata__infer_fits(infer);
}

static kata_status ArrayFeatureExtractor_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0], *y = &call->outputs[0];
    const size_t size = kata_dtype_size(x->dtype);
    int64_t columns = x->shape.dim[x->shape.rank - 1], n = kata_tensor_count(&call->inputs[1]);
    int64_t rows = kata__size_before(&x->shape, x->shape.rank - 1);
    const int64_t *indices = call->inputs[1].data;
    for (int64_t j = 0; j < n; j++) {
        if (indices[j] < 0 || indices[j] >= columns) {
            return kata_fail(KATA_INVALID,
                             "ArrayFeatureExtractor: index %" PRId64 " is outside 0..%" PRId64,
                             indices[j], columns - 1);
        }
        for (int64_t i = 0; i < rows; i++) {
            memcpy((char *)y->data + (size_t)(i * n + j) * size,
                   (const char *)x->data + (size_t)(i * columns + indices[j]) * size, size);
        }
    }
    return KATA_OK;
}

static kata_status FeatureVectorizer_infer(kata_infer *infer) {
    const kata_attribute_value *wanted = &infer->attributes[0];
    int64_t rows = 1, columns = 0;
    if (wanted->n != infer->n_inputs) {
        return kata_fail(KATA_INVALID, "FeatureVectorizer: %d inputs, but %d inputdimensions",
                         infer->n_inputs, wanted->n);
    }
    for (int k = 0; k < infer->n_inputs; k++) {
        const kata_shape *x = &infer->inputs[k].shape;
        KATA__TRY(kata__infer_dtype(infer, k, KATA__ML_NUMBERS));
        int64_t own = x->rank == 2 ? x->dim[0] : 1;
        if (x->rank < 1 || x->rank > 2 || wanted->ints[k] < 0 ||
            (k > 0 && !kata__size_agrees(rows, own))) {
            char text[KATA_SHAPE_TEXT_SIZE];
            return kata_fail(KATA_SHAPE, "FeatureVectorizer: input %d has the shape %s", k,
                             kata_shape_text(x, text));
        }
        rows = k == 0 || rows < 0 ? own : rows;
        columns += wanted->ints[k];
    }
    infer->outputs[0] = (kata_type){KATA_F32, KATA_SHAPE_OF(rows, columns)};
    return kata__infer_fits(infer);
}

/* The inputs' columns one behind the other, each cut or filled with 0 to its wanted number. */
static kata_status FeatureVectorizer_reference(const kata_call *call) {
    float *y = call->outputs[0].data;
    int64_t rows = call->outputs[0].shape.dim[0], width = call->outputs[0].shape.dim[1], at = 0;
    for (int k = 0; k < call->n_inputs; k++) {
        const kata_tensor *x = &call->inputs[k];
        int64_t columns = x->shape.dim[x->shape.rank - 1], wanted = call->attributes[0].ints[k];
        for (int64_t i = 0; i < rows; i++) {
            for (int64_t j = 0; j < wanted; j++) {
                y[i * width + at + j] =
                    j < columns ? (float)kata_load(x->dtype, x->data, i * columns + j) : 0;
            }
        }
        at += wanted;
    }
    return KATA_OK;
}

/* --- rows ------------------------------------------------------------------------------------ */

/* They prepare data: nothing is learned through them. */
#define ROW(NAME, INPUTS, MOST_INPUTS, LIST, DOC)                                                  \
    const kata_op kata__op_ml_##NAME = {.name = #NAME,                                             \
                                        .domain = "ai.onnx.ml",                                    \
                                        .since = 1,                                                \
                                        .min_inputs = INPUTS,                                      \
                                        .max_inputs = MOST_INPUTS,                                 \
                                        .min_outputs = 1,                                          \
                                        .max_outputs = 1,                                          \
                                        .attributes = LIST,                                        \
                                        .infer = NAME##_infer,                                     \
                                        .reference = NAME##_reference,                             \
                                        .batch = kata__batch_rows,                                 \
                                        .gradient = kata__gradient_zero,                           \
                                        .tolerance = 1e-6,                                         \
                                        .doc = DOC};
#define ATTRIBUTES(...) ((const kata_attribute_spec[]){__VA_ARGS__, {.name = NULL}})

ROW(Normalizer, 1, 1,
    ATTRIBUTES({.name = "norm",
                .type = KATA_ATTRIBUTE_STRING,
                .default_string = "MAX",
                .doc = "MAX, L1 or L2"}),
    "Each row divided by its norm; a row of norm 0 stays.")
ROW(Binarizer, 1, 1,
    ATTRIBUTES({.name = "threshold", .type = KATA_ATTRIBUTE_FLOAT, .doc = "the last number of 0"}),
    "1 above the threshold, else 0.")
ROW(Imputer, 1, 1,
    ATTRIBUTES([IMPUTED_FLOATS] = {.name = "imputed_value_floats",
                                   .type = KATA_ATTRIBUTE_FLOATS,
                                   .doc = "what is put in, of floats: one, or one a column"},
               [IMPUTED_INTS] = {.name = "imputed_value_int64s",
                                 .type = KATA_ATTRIBUTE_INTS,
                                 .doc = "the same of integers"},
               [REPLACED_FLOAT] = {.name = "replaced_value_float",
                                   .type = KATA_ATTRIBUTE_FLOAT,
                                   .doc = "what counts as missing, of floats; may be NaN"},
               [REPLACED_INT] = {.name = "replaced_value_int64",
                                 .type = KATA_ATTRIBUTE_INT,
                                 .doc = "the same of integers"}),
    "Missing numbers replaced.")
ROW(ArrayFeatureExtractor, 2, 2, NULL, "Columns of x by their indices (input 1).")
ROW(FeatureVectorizer, 1, KATA_MAX_INPUTS,
    ATTRIBUTES({.name = "inputdimensions",
                .type = KATA_ATTRIBUTE_INTS,
                .doc = "columns to take of each input"}),
    "Columns of several inputs one behind the other, as float32.")
