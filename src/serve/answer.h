/* What a model answers to a picture or to numbers, as JSON. A number that is not finite is null:
 * JSON has no other word for it. */
#ifndef KATA_SERVE_ANSWER_H
#define KATA_SERVE_ANSWER_H

#include <kata/train.h>

#include "base/buffer.h"

typedef struct kata__served {
    kata_context *context;
    kata_model *model;
    const char *name;
    int64_t n_inputs, n_outputs;
    kata_shape input; /* of one sample */
    bool digit;       /* pictures are made ready as MNIST has them */
} kata__served;

kata_status kata__served_init(kata__served *served, kata_model *model, const char *name);

/* {"class":7}; with detail also "label" and "probabilities"; {"output":[...]} of a model without
 * classes. */
kata_status kata__answer_picture(kata__served *served, const void *file, size_t n_bytes,
                                 bool detail, kata__buffer *out);
/* {"predictions":[[...],...]} for {"instances":[...]}. */
kata_status kata__answer_instances(kata__served *served, const char *body, size_t n_bytes,
                                   kata__buffer *out);

#endif
