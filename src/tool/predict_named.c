/* kata predict --input NAME=FILE --output FOLDER: any network, by the names of its inputs and
 * outputs, on arrays as they are. */
#include "tool/predict_named.h"

#include <string.h>

#include <kata/predict.h>

#include "base/file.h"
#include "base/memory.h"

enum { MOST_OUTPUTS = 64 };

static bool ends_with(const char *text, const char *ending) {
    size_t n = strlen(text), k = strlen(ending);
    return n >= k && strcmp(text + n - k, ending) == 0;
}

/* NAME=FILE into its two halves; the name is of the arena. A name may hold a "=": the file is what
 * comes behind the last one. */
static kata_status read_argument(kata__tool *tool, const char *argument, const char **name,
                                 const char **file) {
    const char *equals = strrchr(argument, '=');
    if (equals == NULL || equals == argument || equals[1] == '\0') {
        return kata_fail(KATA_INVALID, "--input must be NAME=FILE, got \"%.200s\"", argument);
    }
    *name = kata__tool_text(tool, "%.*s", (int)(equals - argument), argument);
    *file = equals + 1;
    return *name != NULL ? KATA_OK : KATA_OUT_OF_MEMORY;
}

static kata_status read_tensor(kata__tool *tool, const char *file, kata_tensor *out) {
    return ends_with(file, ".pb") ? kata_onnx_tensor_read(out, tool->context, file)
                                  : kata_npy_read(out, tool->context, file);
}

static kata_status fail_input(const kata_graph *graph, const char *name) {
    char list[512] = "";
    for (int i = 0; i < kata_graph_n_inputs(graph); i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%.64s", i > 0 ? ", " : "",
                 kata_value_name(graph, kata_graph_input_at(graph, i)));
    }
    return kata_fail(KATA_INVALID, "the model has no input \"%.200s\"; it has: %s", name, list);
}

static bool has_input(const kata_graph *graph, const char *name) {
    bool found = false;
    for (int i = 0; i < kata_graph_n_inputs(graph); i++) {
        found = found || strcmp(kata_value_name(graph, kata_graph_input_at(graph, i)), name) == 0;
    }
    return found;
}

static kata_status read_inputs(kata__tool *tool, const kata_graph *graph, const kata__texts *given,
                               kata_named_tensor *inputs, int *n_inputs) {
    for (int i = 0; i < given->n; i++) {
        const char *file = NULL;
        kata_named_tensor *input = &inputs[i];
        KATA__TRY(read_argument(tool, given->values[i], &input->name, &file));
        if (!has_input(graph, input->name)) {
            return fail_input(graph, input->name);
        }
        KATA__TRY(read_tensor(tool, file, &input->tensor));
        *n_inputs = i + 1;
    }
    return KATA_OK;
}

/* FOLDER/NAME.npy, where what a file's name cannot hold becomes "_". */
static kata_status write_output(kata__tool *tool, const char *folder,
                                const kata_named_tensor *output) {
    char *path = kata__tool_text(tool, "%s/%s.npy", folder, output->name), shape[192];
    if (path == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    for (char *c = path + strlen(folder) + 1; *c != '\0'; c++) {
        *c = *c == '/' || *c == '\\' || (unsigned char)*c < 0x20 ? '_' : *c;
    }
    KATA__TRY(kata_npy_write(tool->context, path, &output->tensor));
    kata__tool_say(tool, "%s  %s%s", path, kata_dtype_name(output->tensor.dtype),
                   kata_shape_text(&output->tensor.shape, shape));
    return KATA_OK;
}

static kata_status run(kata__tool *tool, kata_model *model, const kata_predictor_options *options,
                       const kata_named_tensor *inputs, int n_inputs, const char *folder) {
    kata_graph *graph = kata_model_graph(model);
    kata_named_tensor outputs[MOST_OUTPUTS] = {{NULL}};
    kata_predictor *predictor = NULL;
    int n_outputs = kata_graph_n_outputs(graph);
    if (n_outputs > MOST_OUTPUTS) {
        return kata_fail(KATA_LIMIT, "the model has %d outputs; at most %d can be written",
                         n_outputs, MOST_OUTPUTS);
    }
    for (int i = 0; i < n_outputs; i++) {
        outputs[i].name = kata_value_name(graph, kata_graph_output_at(graph, i));
    }
    KATA__TRY(kata__directory_make(folder));
    KATA__TRY(kata_predictor_new(&predictor, graph, options));
    kata_status status = kata_predictor_run(predictor, inputs, n_inputs, outputs, n_outputs);
    for (int i = 0; i < n_outputs; i++) {
        if (status == KATA_OK) {
            status = write_output(tool, folder, &outputs[i]);
        }
        kata_tensor_release(&outputs[i].tensor);
    }
    kata_predictor_free(predictor);
    return status;
}

kata_status kata__predict_named(kata__tool *tool, kata_model *model,
                                const kata_predictor_options *options, const kata__texts *given,
                                const char *folder) {
    kata_named_tensor inputs[KATA__TEXTS_MOST] = {{NULL}};
    int n_inputs = 0;
    kata_status status = read_inputs(tool, kata_model_graph(model), given, inputs, &n_inputs);
    if (status == KATA_OK) {
        status = run(tool, model, options, inputs, n_inputs, folder);
    }
    for (int i = 0; i < n_inputs; i++) {
        kata_tensor_release(&inputs[i].tensor);
    }
    return status;
}
