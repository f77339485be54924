/* Shared by the rows of ai.onnx.ml: what becomes of a row of scores, and labels. */
#ifndef KATA_OP_ML_H
#define KATA_OP_ML_H

#include "op/infer.h"

/* Values of the attribute post_transform. */
typedef enum kata__transform {
    KATA__TRANSFORM_NONE,
    KATA__TRANSFORM_SOFTMAX,
    KATA__TRANSFORM_LOGISTIC,
    KATA__TRANSFORM_SOFTMAX_ZERO, /* softmax of the scores that are not 0 */
    KATA__TRANSFORM_PROBIT,
    KATA__TRANSFORMS
} kata__transform;
#define KATA__POST_TRANSFORM                                                                       \
    {                                                                                              \
        .name = "post_transform", .type = KATA_ATTRIBUTE_STRING, .default_string = "NONE",         \
        .doc = "NONE, SOFTMAX, LOGISTIC, SOFTMAX_ZERO or PROBIT: what becomes of the scores"       \
    }

kata__transform kata__transform_of(const char *name); /* KATA__TRANSFORMS if unknown */
/* KATA_UNSUPPORTED unless the attribute names a transform. */
kata_status kata__infer_transform(const kata_infer *infer, const char *name);
void kata__transform_run(kata__transform transform, double *scores, int64_t n);
double kata__logistic(double x);

/* Types that a model of ai.onnx.ml takes: float32, float64, int32, int64. */
#define KATA__ML_NUMBERS (KATA__FLOATS | KATA__INDICES)
/* Input 0 is (N, C) or (C): *n rows of *columns numbers, each KATA_UNKNOWN_DIM if it is. */
kata_status kata__infer_rows(const kata_infer *infer, int64_t *n, int64_t *columns);

/* Labels of classes are attribute `integers` (INTS) or `texts` (STRINGS), one of them: their data
 * type, int64 or string, and how many there are. */
kata_status kata__infer_labels(const kata_infer *infer, int integers, int texts, kata_dtype *dtype,
                               int64_t *n);
/* Element i of `out` becomes label k; a text is shown where the attribute has it. */
void kata__label_store(const kata_attribute_value *attributes, int integers, int texts, int64_t k,
                       const kata_tensor *out, int64_t i);

#endif
