/* Data arguments and model arguments: opening them, and words about them. */
#include "tool/source.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <kata/readers.h>

#include "base/file.h"
#include "data/known.h"
#include "data/load.h"

kata__source_kind kata__source_kind_of(kata_context *context, const char *argument) {
    bool idx = false;
    if (strncmp(argument, "make:", 5) == 0) {
        return KATA__SOURCE_IDX;
    }
    if (kata__directory_exists(argument)) {
        return kata__idx_present(&idx, context, argument) == KATA_OK && idx ? KATA__SOURCE_IDX
                                                                            : KATA__SOURCE_FOLDER;
    }
    if (kata__file_exists(argument)) {
        return KATA__SOURCE_NPZ;
    }
    char *folder = NULL;
    if (kata__known_locate(&folder, context, argument) != KATA_OK) {
        kata_error_clear();
        return KATA__SOURCE_OTHER;
    }
    bool is_idx = kata__idx_present(&idx, context, folder) == KATA_OK && idx;
    kata__free(context, folder);
    return is_idx ? KATA__SOURCE_IDX : KATA__SOURCE_FOLDER;
}

bool kata__source_is_network(const char *argument) {
    for (const kata_ready_entry *e = kata_model_ready_list(); e->name != NULL; e++) {
        if (strcmp(e->name, argument) == 0) {
            return true;
        }
    }
    return false;
}

kata_status kata__source_model(kata__tool *tool, kata_model **out, const char *argument) {
    const char *path = kata__tool_model_path(tool, argument);
    if (path == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    if (!kata__file_exists(path)) {
        if (path != argument) {
            return kata_fail(KATA_NOT_FOUND,
                             "the folder %s holds no model.onnx: it is no run, or its training was "
                             "stopped before the first epoch ended",
                             argument);
        }
        if (kata__source_is_network(argument)) {
            return kata_fail(KATA_INVALID,
                             "%s names a network that is not trained; give an .onnx file or a RUN "
                             "folder that 'kata train --model %s' made",
                             argument, argument);
        }
    }
    return kata_model_load(out, tool->context, path);
}

kata_shape kata__source_input(kata_model *model) {
    const kata_graph *graph = kata_model_graph(model);
    kata_shape sample = {.rank = 0};
    if (kata_graph_n_inputs(graph) > 0) {
        kata_shape shape = kata_value_shape(graph, kata_graph_input_at(graph, 0));
        sample.rank = shape.rank > 0 ? shape.rank - 1 : 0;
        memcpy(sample.dim, shape.dim + 1, (size_t)sample.rank * sizeof sample.dim[0]);
    }
    return sample;
}

bool kata__source_is_picture(const kata_shape *sample) {
    return sample->rank == 3 && (sample->dim[0] == 1 || sample->dim[0] == 3) &&
           sample->dim[1] >= 2 && sample->dim[2] >= 2 && sample->dim[1] <= 65535 &&
           sample->dim[2] <= 65535;
}

kata_status kata__source_data(kata__tool *tool, kata_data *out, const char *argument,
                              const kata_data_options *options, kata_model *model) {
    kata_data_options all = *options;
    if (model != NULL && all.height == 0) {
        kata_shape sample = kata__source_input(model);
        if (kata__source_is_picture(&sample)) {
            all.channels = (int)sample.dim[0];
            all.height = (int)sample.dim[1];
            all.width = (int)sample.dim[2];
        }
    }
    return kata_data_open(out, tool->context, argument, &all);
}

const char *kata__source_words(const kata_dataset *dataset, char text[160]) {
    char count[KATA__TERMINAL_TEXT], shape_text[KATA_SHAPE_TEXT_SIZE];
    kata_shape sample = {.rank = dataset->inputs[0].shape.rank - 1};
    memcpy(sample.dim, dataset->inputs[0].shape.dim + 1,
           (size_t)sample.rank * sizeof sample.dim[0]);
    kata__count_text(dataset->n, count);
    if (kata__source_is_picture(&sample)) {
        snprintf(text, 160, "%s pictures of %dx%dx%d", count, (int)sample.dim[0],
                 (int)sample.dim[1], (int)sample.dim[2]);
    } else {
        snprintf(text, 160, "%s samples of %s", count, kata_shape_text(&sample, shape_text));
    }
    return text;
}

void kata__float_json(kata__buffer *out, float value) {
    char text[40];
    if (!isfinite(value)) {
        kata__buffer_text(out, "null");
        return;
    }
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value) {
            break;
        }
    }
    kata__buffer_text(out, text);
}

/* n / (classes * count), as scikit-learn's "balanced": a class of double size counts half a sample.
 */
static kata_status balanced(const kata_dataset *dataset, kata__numbers *out) {
    int64_t *counts = kata__alloc_zero(dataset->context, (size_t)out->n, sizeof *counts);
    if (counts == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    const kata_tensor *target = &dataset->targets[0];
    for (int64_t i = 0; i < dataset->n; i++) {
        double label = kata_load(target->dtype, target->data, i);
        if (label >= 0 && label < out->n) {
            counts[(int)label]++;
        }
    }
    for (int i = 0; i < out->n; i++) {
        out->values[i] =
            counts[i] > 0 ? (float)((double)dataset->n / ((double)out->n * (double)counts[i])) : 1;
    }
    kata__free(dataset->context, counts);
    return KATA_OK;
}

kata_status kata__class_weights(kata__tool *tool, const char *text, const kata_dataset *dataset,
                                kata__numbers *out) {
    *out = (kata__numbers){.n = 0};
    if (text == NULL) {
        return KATA_OK;
    }
    if (strcmp(text, "balanced") != 0) {
        static const kata__option row = {
            .name = "class-weights", .type = KATA__OPTION_NUMBERS, .minimum = 0, .maximum = 1e9};
        return kata__option_set(&row, out, &tool->arena, "class weights", text);
    }
    if (dataset->n_classes < 1 || kata_dtype_is_float(dataset->targets[0].dtype)) {
        return kata_fail(KATA_INVALID, "balanced class weights need data with classes; %s has none",
                         dataset->name);
    }
    out->n = dataset->n_classes;
    out->values = kata__arena_alloc(&tool->arena, (size_t)out->n, sizeof *out->values);
    return out->values == NULL ? KATA_OUT_OF_MEMORY : balanced(dataset, out);
}
