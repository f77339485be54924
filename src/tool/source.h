/* Data arguments and model arguments: opening them, and words about them. */
#ifndef KATA_TOOL_SOURCE_H
#define KATA_TOOL_SOURCE_H

#include "tool/settings.h"
#include "tool/tool.h"

typedef enum kata__source_kind {
    KATA__SOURCE_OTHER,
    KATA__SOURCE_IDX, /* idx or other array files, or make:digits */
    KATA__SOURCE_FOLDER,
    KATA__SOURCE_NPZ
} kata__source_kind;
kata__source_kind kata__source_kind_of(kata_context *context, const char *argument);

/* A model argument: an .onnx file or a RUN folder. */
kata_status kata__source_model(kata__tool *tool, kata_model **out, const char *argument);
/* Is it the name of a ready network? Such a name wins over a file or folder of that name. */
bool kata__source_is_network(const char *argument);
/* The shape of the model's first input without the batch. */
kata_shape kata__source_input(kata_model *model);
/* If samples of this shape are pictures (1 or 3 channels, at least 2x2). */
bool kata__source_is_picture(const kata_shape *sample);

/* Opens data for a model (NULL: any): a folder's pictures get the model's size, and classes whose
 * names the model knows its numbers. On failure *out is to be closed as well. */
kata_status kata__source_data(kata__tool *tool, kata_data *out, const char *argument,
                              const kata_data_options *options, kata_model *model);

/* Makes the targets what the loss takes: whole numbers become classes for a loss of classes, class
 * numbers become quantities for a loss of numbers. Where nobody has said the loss (`said` false)
 * and it could be meant otherwise, a line tells so. */
kata_status kata__source_targets(const kata__tool *tool, kata_data *data, const kata_loss *loss,
                                 bool said);

/* "60,000 pictures of 1x28x28" or "150 samples of (4)". Returns `text`. */
const char *kata__source_words(const kata_dataset *dataset, char text[160]);

/* "0.9931" with as many digits as a float32 needs. */
void kata__float_json(kata__buffer *out, float value);

/* Parses the numbers of --class-weights. */
kata_status kata__class_weights(kata__tool *tool, const char *text, const kata_dataset *dataset,
                                kata__numbers *out);

#endif
