/* Linear models of ai.onnx.ml: LinearRegressor, LinearClassifier. */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "op/batch.h"
#include "op/gradient.h"
#include "op/loops.h"
#include "op/ml.h"

/* The score of target t for row i: w[t] . x[i] + b[t]. */
static double score(const kata_tensor *x, int64_t i, int64_t columns, const double *w, double b) {
    double sum = b;
    for (int64_t j = 0; j < columns; j++) {
        sum += w[j] * kata_load(x->dtype, x->data, i * columns + j);
    }
    return sum;
}

static kata_status check_weights(const kata_infer *infer, int coefficients, int intercepts,
                                 int64_t targets, int64_t columns) {
    int n = infer->attributes[coefficients].n, n_b = infer->attributes[intercepts].n;
    if (targets < 1 || (columns >= 0 && (int64_t)n != targets * columns) ||
        (n_b != 0 && n_b != targets)) {
        return kata_fail(KATA_SHAPE,
                         "%s: %d coefficients and %d intercepts do not go with %" PRId64
                         " targets and %" PRId64 " columns",
                         infer->op->name, n, n_b, targets, columns);
    }
    return KATA_OK;
}

/* --- LinearRegressor ------------------------------------------------------------------------- */

enum { R_COEFFICIENTS, R_INTERCEPTS, R_TRANSFORM, R_TARGETS };

static kata_status LinearRegressor_infer(kata_infer *infer) {
    int64_t n, columns, targets = infer->attributes[R_TARGETS].i;
    KATA__TRY(kata__infer_rows(infer, &n, &columns));
    KATA__TRY(kata__infer_transform(infer, infer->attributes[R_TRANSFORM].s));
    KATA__TRY(check_weights(infer, R_COEFFICIENTS, R_INTERCEPTS, targets, columns));
    infer->outputs[0] = (kata_type){KATA_F32, KATA_SHAPE_OF(n, targets)};
    return kata__infer_fits(infer);
}

static size_t LinearRegressor_workspace(const kata_call *call) {
    return (size_t)call->outputs[0].shape.dim[1] * sizeof(double);
}

static kata_status LinearRegressor_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0];
    const kata_attribute_value *a = call->attributes;
    int64_t n = call->outputs[0].shape.dim[0], targets = call->outputs[0].shape.dim[1];
    int64_t columns = x->shape.dim[x->shape.rank - 1];
    float *y = call->outputs[0].data;
    double *scores = call->workspace;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t t = 0; t < targets; t++) {
            scores[t] = score(x, i, columns, a[R_COEFFICIENTS].floats + t * columns,
                              a[R_INTERCEPTS].n > 0 ? a[R_INTERCEPTS].floats[t] : 0);
        }
        kata__transform_run(kata__transform_of(a[R_TRANSFORM].s), scores, targets);
        for (int64_t t = 0; t < targets; t++) {
            y[i * targets + t] = (float)scores[t];
        }
    }
    return KATA_OK;
}

/* --- LinearClassifier ------------------------------------------------------------------------ */

enum { C_COEFFICIENTS, C_INTERCEPTS, C_LABELS, C_TEXT_LABELS, C_TRANSFORM, C_MULTI };

/* Rows of coefficients: one alone divides two classes. */
static int64_t n_scores(const kata_attribute_value *a, int64_t columns) {
    return a[C_INTERCEPTS].n > 0 ? a[C_INTERCEPTS].n
           : columns > 0         ? a[C_COEFFICIENTS].n / columns
                                 : a[C_LABELS].n + a[C_TEXT_LABELS].n;
}

static kata_status LinearClassifier_infer(kata_infer *infer) {
    const kata_attribute_value *a = infer->attributes;
    int64_t n, columns, labels;
    kata_dtype dtype;
    KATA__TRY(kata__infer_rows(infer, &n, &columns));
    KATA__TRY(kata__infer_transform(infer, a[C_TRANSFORM].s));
    KATA__TRY(kata__infer_labels(infer, C_LABELS, C_TEXT_LABELS, &dtype, &labels));
    int64_t scores = n_scores(a, columns);
    KATA__TRY(check_weights(infer, C_COEFFICIENTS, C_INTERCEPTS, scores, columns));
    if (scores == 1 ? labels != 2 : labels < scores) {
        return kata_fail(KATA_INVALID,
                         "LinearClassifier: %" PRId64 " rows of coefficients need %" PRId64
                         " labels, got %" PRId64,
                         scores, scores == 1 ? 2 : scores, labels);
    }
    infer->outputs[0] = (kata_type){dtype, KATA_SHAPE_OF(n)};
    if (infer->n_outputs > 1) {
        infer->outputs[1] = (kata_type){KATA_F32, KATA_SHAPE_OF(n, scores == 1 ? 2 : scores)};
    }
    return kata__infer_fits(infer);
}

static size_t LinearClassifier_workspace(const kata_call *call) {
    int64_t scores =
        n_scores(call->attributes, call->inputs[0].shape.dim[call->inputs[0].shape.rank - 1]);
    return (size_t)(scores < 2 ? 2 : scores) * sizeof(double);
}

/* One row of scores; returns the index of its label. A single score divides at 0, and class 0 has
 * what is left of it: 1 - s, or with LOGISTIC logistic(-s), which is the same. */
static int64_t classify(const kata_call *call, int64_t i, int64_t columns, int64_t n,
                        double *scores) {
    const kata_attribute_value *a = call->attributes;
    const kata__transform transform = kata__transform_of(a[C_TRANSFORM].s);
    int64_t best = 0;
    for (int64_t k = 0; k < n; k++) {
        scores[k] = score(&call->inputs[0], i, columns, a[C_COEFFICIENTS].floats + k * columns,
                          a[C_INTERCEPTS].n > 0 ? a[C_INTERCEPTS].floats[k] : 0);
        best = scores[k] > scores[best] ? k : best;
    }
    if (n > 1) {
        kata__transform_run(transform, scores, n);
        return best;
    }
    best = scores[0] > 0;
    scores[1] = scores[0];
    scores[0] = 1 - scores[1];
    if (transform == KATA__TRANSFORM_LOGISTIC) {
        scores[0] = kata__logistic(-scores[1]);
        scores[1] = kata__logistic(scores[1]);
    }
    return best;
}

static kata_status LinearClassifier_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0];
    int64_t n = call->outputs[0].shape.dim[0], columns = x->shape.dim[x->shape.rank - 1];
    int64_t scores = n_scores(call->attributes, columns), width = scores == 1 ? 2 : scores;
    for (int64_t i = 0; i < n; i++) {
        double *row = call->workspace;
        int64_t best = classify(call, i, columns, scores, row);
        kata__label_store(call->attributes, C_LABELS, C_TEXT_LABELS, best, &call->outputs[0], i);
        for (int64_t k = 0; k < width && call->n_outputs > 1; k++) {
            ((float *)call->outputs[1].data)[i * width + k] = (float)row[k];
        }
    }
    return KATA_OK;
}

/* --- rows ------------------------------------------------------------------------------------ */

#define FLOATS(NAME, REQUIRED, DOC)                                                                \
    { .name = NAME, .type = KATA_ATTRIBUTE_FLOATS, .required = REQUIRED, .doc = DOC }
#define ROW(NAME, OUTPUTS, DOC)                                                                    \
    const kata_op kata__op_ml_##NAME = {.name = #NAME,                                             \
                                        .domain = "ai.onnx.ml",                                    \
                                        .since = 1,                                                \
                                        .min_inputs = 1,                                           \
                                        .max_inputs = 1,                                           \
                                        .min_outputs = 1,                                          \
                                        .max_outputs = OUTPUTS,                                    \
                                        .attributes = NAME##_attributes,                           \
                                        .infer = NAME##_infer,                                     \
                                        .workspace = NAME##_workspace,                             \
                                        .reference = NAME##_reference,                             \
                                        .batch = kata__batch_rows,                                 \
                                        .tolerance = 1e-5,                                         \
                                        .doc = DOC};

static const kata_attribute_spec LinearRegressor_attributes[] = {
    [R_COEFFICIENTS] = FLOATS("coefficients", true, "(targets, C)"),
    [R_INTERCEPTS] = FLOATS("intercepts", false, "one a target; none: 0"),
    [R_TRANSFORM] = KATA__POST_TRANSFORM,
    [R_TARGETS] = {.name = "targets",
                   .type = KATA_ATTRIBUTE_INT,
                   .default_int = 1,
                   .doc = "how many numbers a row has"},
    {.name = NULL}};
ROW(LinearRegressor, 1, "x W + b with the weights in attributes.")

static const kata_attribute_spec LinearClassifier_attributes[] = {
    [C_COEFFICIENTS] = FLOATS("coefficients", true, "(scores, C)"),
    [C_INTERCEPTS] = FLOATS("intercepts", false, "one a score; none: 0"),
    [C_LABELS] = {.name = "classlabels_ints",
                  .type = KATA_ATTRIBUTE_INTS,
                  .doc = "the labels, whole numbers"},
    [C_TEXT_LABELS] = {.name = "classlabels_strings",
                       .type = KATA_ATTRIBUTE_STRINGS,
                       .doc = "the labels, texts"},
    [C_TRANSFORM] = KATA__POST_TRANSFORM,
    [C_MULTI] = {.name = "multi_class", .type = KATA_ATTRIBUTE_INT, .doc = "says nothing to a run"},
    {.name = NULL}};
ROW(LinearClassifier, 2, "The label of the largest of x W + b, and the scores.")
