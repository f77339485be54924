/* Data arguments and model arguments: opening them, and words about them. */
#include "tool/source.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <kata/readers.h>

#include "base/file.h"
#include "data/known.h"
#include "data/load.h"

/* A folder, one set of a folder (FOLDER/SET) or the folder of a known name; NULL for what is none.
 */
static char *folder_of(kata_context *context, const char *argument) {
    const char *slash = strrchr(argument, '/');
    char *folder = NULL;
    if (kata__directory_exists(argument)) {
        return kata__strdup(context, argument);
    }
    if (slash != NULL && slash != argument) {
        folder = kata__strdup(context, argument);
        if (folder != NULL) {
            folder[slash - argument] = '\0';
        }
        return folder;
    }
    if (kata__known_locate(&folder, context, argument) != KATA_OK) {
        kata_error_clear();
        return NULL;
    }
    return folder;
}

kata__source_kind kata__source_kind_of(kata_context *context, const char *argument) {
    if (strncmp(argument, "make:", 5) == 0) {
        return KATA__SOURCE_IDX;
    }
    if (kata__file_exists(argument)) {
        return KATA__SOURCE_NPZ;
    }
    bool idx = false, named = false;
    char *folder = folder_of(context, argument);
    if (folder == NULL) {
        return KATA__SOURCE_OTHER;
    }
    bool is_idx = kata__files_present(&idx, &named, context, folder) == KATA_OK && idx;
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

/* More classes than this are not looked up by name: the labels are one text, read from its start.
 */
enum { NAMED_CLASSES_MOST = 4096, LABEL_BYTES = 128 };

/* The model's classes and what each of the data set's is among them. */
struct alignment {
    int n;                      /* the model's outputs */
    char (*label)[LABEL_BYTES]; /* n; the number where the model has no label */
    const char **name;          /* n, the same */
    int *to;                    /* of each class of the data set; -1: the model does not know it */
};

static void free_alignment(kata_context *context, struct alignment *a) {
    kata__free(context, a->label);
    kata__free(context, a->name);
    kata__free(context, a->to);
}

static kata_status find_alignment(struct alignment *a, const kata_dataset *dataset,
                                  const kata_model *model) {
    kata_context *context = dataset->context;
    a->label = kata__alloc(context, (size_t)a->n, sizeof *a->label);
    a->name = kata__alloc(context, (size_t)a->n, sizeof *a->name);
    a->to = kata__alloc(context, (size_t)dataset->n_classes, sizeof *a->to);
    if (a->label == NULL || a->name == NULL || a->to == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    for (int i = 0; i < a->n; i++) {
        if (!kata_model_label(model, i, a->label[i], LABEL_BYTES)) {
            snprintf(a->label[i], LABEL_BYTES, "%d", i);
        }
        a->name[i] = a->label[i];
    }
    for (int c = 0; c < dataset->n_classes; c++) {
        a->to[c] = -1;
        for (int i = 0; i < a->n && a->to[c] < 0; i++) {
            a->to[c] = strcmp(a->name[i], dataset->class_names[c]) == 0 ? i : -1;
        }
    }
    return KATA_OK;
}

/* A data set counts its classes by its own names, a folder with cat/ and dog/ as 0 and 1. For a
 * model that knows bird, cat and dog they are 1 and 2. Where the model does not know a name the
 * numbers stay. */
static kata_status align_classes(const kata__tool *tool, kata_dataset *dataset, kata_model *model) {
    const kata_graph *graph = kata_model_graph(model);
    if (dataset == NULL || dataset->n_classes < 1 || dataset->class_names == NULL ||
        dataset->targets[0].dtype != KATA_I64 || kata_graph_n_outputs(graph) < 1) {
        return KATA_OK;
    }
    char label[LABEL_BYTES];
    kata_shape out = kata_value_shape(graph, kata_graph_output_at(graph, 0));
    int64_t n_outputs = out.rank > 1 ? out.dim[out.rank - 1] : 0;
    bool has_labels = kata_model_label(model, 0, label, sizeof label);
    if (n_outputs < dataset->n_classes || n_outputs > NAMED_CLASSES_MOST ||
        (!has_labels && n_outputs == dataset->n_classes)) {
        return KATA_OK;
    }
    struct alignment a = {.n = (int)n_outputs};
    kata_status status = find_alignment(&a, dataset, model);
    bool same = n_outputs == dataset->n_classes, known = true;
    for (int c = 0; status == KATA_OK && c < dataset->n_classes; c++) {
        known = known && a.to[c] >= 0;
        same = same && a.to[c] == c;
    }
    if (status == KATA_OK && known && !same) {
        int64_t *labels = dataset->targets[0].data;
        bool moved = false;
        for (int64_t i = 0; i < dataset->n; i++) {
            moved = moved || labels[i] != a.to[labels[i]];
            labels[i] = a.to[labels[i]];
        }
        status = kata_dataset_set_classes(dataset, a.n, a.name);
        if (moved) {
            kata__tool_say(tool, "%s: classes are numbered as the model's, by their names",
                           dataset->name);
        }
    }
    free_alignment(dataset->context, &a);
    return status;
}

static kata_status open_data(kata_data *out, const kata__tool *tool, const char *argument,
                             const kata_data_options *options) {
    kata_status status = kata_data_open(out, tool->context, argument, options);
    if (status == KATA_INVALID) { /* it is the data that are not valid, not the command */
        char text[1024];
        snprintf(text, sizeof text, "%s", kata_error_message());
        status = kata_fail(KATA_FORMAT, "%s", text);
    }
    return status;
}

kata_status kata__source_data(kata__tool *tool, kata_data *out, const char *argument,
                              const kata_data_options *options, kata_model *model) {
    kata_data_options all = *options;
    if (model == NULL) {
        return open_data(out, tool, argument, &all);
    }
    kata_shape sample = kata__source_input(model);
    kata_picture_layout layout;
    if (all.height == 0 && kata_picture_layout_of(&layout, &sample)) {
        all.channels = layout.channels;
        all.height = layout.height;
        all.width = layout.width;
    }
    KATA__TRY(open_data(out, tool, argument, &all));
    kata_dataset *parts[] = {out->train, out->test, out->validation};
    bool any = false;
    for (int i = 0; i < 3; i++) {
        bool turned;
        KATA__TRY(align_classes(tool, parts[i], model));
        KATA__TRY(kata_dataset_match_layout(parts[i], &sample, &turned));
        any = any || turned;
    }
    if (any) {
        kata__tool_say(tool, "%s: pictures are turned to the model's layout, %s", argument,
                       layout.channels_last ? "channels last (NHWC)" : "channels first (NCHW)");
    }
    return KATA_OK;
}

static void say_both_ways(const kata__tool *tool, const kata_dataset *dataset) {
    const int n = kata_dataset_count_classes(dataset);
    const bool floats = dataset->n_targets > 0 && kata_dtype_is_float(dataset->targets[0].dtype);
    if (n > 1 && floats) {
        kata__tool_say(tool,
                       "%s: the targets are whole numbers, 0 to %d, stored as floating-point: "
                       "taken as quantities; --loss softmax-cross-entropy takes them as classes "
                       "(--loss mean-squared-error says that they are none)",
                       dataset->name, n - 1);
    }
}

kata_status kata__source_targets(const kata__tool *tool, kata_data *data, const kata_loss *loss,
                                 bool said) {
    kata_dataset *parts[] = {data->train, data->test, data->validation};
    int n = 0;
    for (int p = 0; p < 3 && loss->task == KATA_TASK_CLASSES; p++) {
        const int count = kata_dataset_count_classes(parts[p]);
        n = count > n ? count : n;
    }
    if (loss->task == KATA_TASK_NUMBERS && !said && data->train != NULL) {
        say_both_ways(tool, data->train);
    }
    for (int p = 0; p < 3; p++) {
        if (parts[p] == NULL || parts[p]->n_targets == 0) {
            continue;
        }
        const bool single = kata_tensor_count(&parts[p]->targets[0]) == parts[p]->n;
        if (loss->task == KATA_TASK_CLASSES && single && parts[p]->n > 0) {
            KATA__TRY(kata_dataset_targets_as_classes(parts[p], n));
        } else if (loss->task == KATA_TASK_NUMBERS) {
            KATA__TRY(kata_dataset_targets_as_numbers(parts[p]));
        }
    }
    return KATA_OK;
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
