/* kata predict by the names of a network's inputs and outputs. */
#ifndef KATA_TOOL_PREDICT_NAMED_H
#define KATA_TOOL_PREDICT_NAMED_H

#include <kata/predict.h>

#include "tool/option.h"
#include "tool/tool.h"

/* Reads the inputs (`given`: NAME=FILE, a NumPy array or an ONNX tensor), runs the model and writes
 * each output as FOLDER/NAME.npy; a line for each on stderr. */
kata_status kata__predict_named(kata__tool *tool, kata_model *model,
                                const kata_predictor_options *options, const kata__texts *given,
                                const char *folder);

#endif
