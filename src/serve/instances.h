/* A reader of {"instances": [[...], ...]} that puts the numbers straight into an array: a document
 * tree of 784 numbers would cost more than the model. */
#ifndef KATA_SERVE_INSTANCES_H
#define KATA_SERVE_INSTANCES_H

#include <kata/tensor.h>

enum { KATA__INSTANCES_MOST = 1024, KATA__INSTANCES_DEPTH = 8 };

typedef struct kata__instances {
    float *numbers; /* n * width, kata__free */
    int64_t n;
} kata__instances;

/* Each instance must have `width` numbers, nested in any regular way. KATA_FORMAT with the byte's
 * place for malformed JSON, KATA_SHAPE for wrong counts, KATA_LIMIT for too many instances. A zero
 * byte must follow the text, as it does in a kata__buffer. */
kata_status kata__instances_read(kata__instances *out, kata_context *context, const char *text,
                                 size_t n_bytes, int64_t width);

#endif
