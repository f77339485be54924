/* What a model answers to a picture or to numbers, as JSON. A number that is not finite is null:
 * JSON has no other word for it. */
#ifndef KATA_SERVE_ANSWER_H
#define KATA_SERVE_ANSWER_H

#include <kata/predict.h>
#include <kata/train.h>

#include "base/buffer.h"

typedef struct kata__served {
    kata_context *context;
    kata_model *model;
    const char *name;
    kata_predictor *predictor;   /* NULL: one float32 input and output of known sizes */
    int64_t n_inputs, n_outputs; /* numbers of a sample; 0: not one input, or of open size */
    kata_shape input;            /* of one sample */
    bool digit;                  /* pictures are made ready as MNIST has them */
} kata__served;

kata_status kata__served_init(kata__served *served, kata_model *model, const char *name);
void kata__served_free(kata__served *served);

/* {"class":7}; with detail also "label" and "probabilities"; {"output":[...]} of a model without
 * classes. */
kata_status kata__answer_picture(kata__served *served, const void *file, size_t n_bytes,
                                 bool detail, kata__buffer *out);
/* {"predictions":[...]} for {"instances":[...]} or {"inputs":{...}}; `body` may be changed. */
kata_status kata__answer_instances(kata__served *served, char *body, size_t n_bytes,
                                   kata__buffer *out);

#endif
