/* kata show: what a model is made of. */
#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "tool/source.h"

typedef struct settings {
    int64_t input[KATA_MAX_RANK], hidden[15], outputs, batch;
    int graph;
    bool recompute, json;
} settings;

static const char *graph_choice(int i) {
    static const char *const names[] = {"none", "text", "dot"};
    return i >= 0 && i < 3 ? names[i] : NULL;
}

static const kata__option options[] = {{.name = "graph",
                                        .type = KATA__OPTION_CHOICE,
                                        .offset = offsetof(settings, graph),
                                        .value = "FORM",
                                        .choice = graph_choice,
                                        .help = "print the graph of operators instead"},
                                       {.name = "batch",
                                        .type = KATA__OPTION_INTEGER,
                                        .offset = offsetof(settings, batch),
                                        .value = "N",
                                        .minimum = 1,
                                        .maximum = 1e6,
                                        .help = "batch size that the memory of training is for"},
                                       {.name = "input",
                                        .type = KATA__OPTION_INTEGERS,
                                        .offset = offsetof(settings, input),
                                        .value = "N,N,...",
                                        .minimum = 1,
                                        .maximum = 1e6,
                                        .limit = KATA_MAX_RANK - 1,
                                        .zero = "1,28,28",
                                        .help = "shape of a sample, for a network by name"},
                                       {.name = "outputs",
                                        .type = KATA__OPTION_INTEGER,
                                        .offset = offsetof(settings, outputs),
                                        .value = "N",
                                        .minimum = 1,
                                        .maximum = 1e6,
                                        .zero = "10",
                                        .help = "outputs, for a network by name"},
                                       {.name = "hidden",
                                        .type = KATA__OPTION_INTEGERS,
                                        .offset = offsetof(settings, hidden),
                                        .value = "N,N,...",
                                        .minimum = 1,
                                        .maximum = 1e6,
                                        .limit = 15,
                                        .zero = "mlp 100, two-layer 50",
                                        .help = "hidden sizes of mlp or two-layer"},
                                       {.name = "recompute",
                                        .type = KATA__OPTION_FLAG,
                                        .offset = offsetof(settings, recompute),
                                        .help = "the memory of training with --recompute"},
                                       KATA__OPTION_JSON(settings),
                                       {.name = NULL}};
static const settings defaults = {.batch = 100};

/* A file or a RUN, else a network's name. */
static kata_status open_model(kata__tool *tool, const settings *s, const char *argument,
                              kata_model **out) {
    size_t length = strlen(argument);
    if (!kata__source_is_network(argument) &&
        (kata__file_exists(argument) || kata__directory_exists(argument) ||
         strchr(argument, '/') != NULL ||
         (length > 5 && strcmp(argument + length - 5, ".onnx") == 0))) {
        return kata__source_model(tool, out, argument);
    }
    kata_ready_options ready = {.outputs = s->outputs};
    memcpy(ready.hidden, s->hidden, sizeof s->hidden);
    while (ready.input.rank < KATA_MAX_RANK - 1 && s->input[ready.input.rank] > 0) {
        ready.input.dim[ready.input.rank] = s->input[ready.input.rank];
        ready.input.rank++;
    }
    return kata_model_ready(out, tool->context, argument, &ready);
}

/* Of a step with Adam. */
static kata_status training_memory(kata_memory *out, kata_model *model, const settings *s) {
    KATA__TRY(kata_compile_with(model, &(kata_compile_options){.loss = kata_model_loss(model, 0),
                                                               .optimizer = kata_adam(.lr = 0),
                                                               .recompute = s->recompute}));
    return kata_training_memory(out, model, s->batch);
}

static void json_value(kata__buffer *out, const kata_graph *graph, kata_value value, bool first) {
    kata_shape shape = kata_value_shape(graph, value);
    kata__buffer_text(out, first ? "{\"name\":" : ",{\"name\":");
    kata__buffer_json_string(out, kata_value_name(graph, value));
    kata__buffer_printf(out, ",\"dtype\":\"%s\",\"shape\":[",
                        kata_dtype_name(kata_value_dtype(graph, value)));
    for (int i = 0; i < shape.rank; i++) {
        const char *name = kata_graph_size_name(graph, shape.dim[i]);
        if (shape.dim[i] < 0 && name == NULL) {
            kata__buffer_text(out, i > 0 ? ",null" : "null");
        } else if (name != NULL) {
            kata__buffer_text(out, i > 0 ? "," : "");
            kata__buffer_json_string(out, name);
        } else {
            kata__buffer_printf(out, "%s%" PRId64, i > 0 ? "," : "", shape.dim[i]);
        }
    }
    kata__buffer_text(out, "]}");
}

static void write_json(kata__buffer *out, const kata_graph *graph) {
    kata__buffer_text(out, "{\"name\":");
    kata__buffer_json_string(out, kata_graph_name(graph));
    kata__buffer_printf(out, ",\"parameters\":%" PRId64 ",\"inputs\":[",
                        kata_graph_n_parameters(graph));
    for (int i = 0; i < kata_graph_n_inputs(graph); i++) {
        json_value(out, graph, kata_graph_input_at(graph, i), i == 0);
    }
    kata__buffer_text(out, "],\"outputs\":[");
    for (int i = 0; i < kata_graph_n_outputs(graph); i++) {
        json_value(out, graph, kata_graph_output_at(graph, i), i == 0);
    }
    kata__buffer_text(out, "],\"weights\":[");
    for (int i = 0; i < kata_graph_n_variables(graph); i++) {
        const kata_variable *v = kata_graph_variable_at(graph, i);
        kata__buffer_text(out, i > 0 ? ",{\"name\":" : "{\"name\":");
        kata__buffer_json_string(out, v->name);
        kata__buffer_printf(out, ",\"dtype\":\"%s\",\"trainable\":%s,\"shape\":[",
                            kata_dtype_name(v->tensor.dtype), v->trainable ? "true" : "false");
        for (int k = 0; k < v->tensor.shape.rank; k++) {
            kata__buffer_printf(out, "%s%" PRId64, k > 0 ? "," : "", v->tensor.shape.dim[k]);
        }
        kata__buffer_text(out, "]}");
    }
    kata__buffer_text(out, "],\"metadata\":{");
    for (int i = 0; i < kata_graph_n_metadata(graph); i++) {
        const char *key, *value;
        kata_graph_metadata_at(graph, i, &key, &value);
        kata__buffer_text(out, i > 0 ? "," : "");
        kata__buffer_json_string(out, key);
        kata__buffer_text(out, ":");
        kata__buffer_json_string(out, value);
    }
    kata__buffer_text(out, "}");
}

static void write_metadata(kata__buffer *out, const kata_graph *graph) {
    for (int i = 0; i < kata_graph_n_metadata(graph); i++) {
        const char *key, *value;
        kata_graph_metadata_at(graph, i, &key, &value);
        size_t length = strlen(value);
        kata__buffer_printf(out, "%-16s %.*s%s\n", key, (int)(length > 300 ? 300 : length), value,
                            length > 300 ? "..." : "");
    }
}

static kata_status print_graph(const kata_graph *graph, int form) {
    char *text;
    KATA__TRY(form == 1 ? kata_graph_text(&text, graph) : kata_graph_dot(&text, graph));
    fputs(text, stdout);
    kata_text_free(kata_graph_context(graph), text);
    return KATA_OK;
}

static void write_memory(kata__buffer *out, const kata_memory *m, const settings *s) {
    char text[5][KATA__TERMINAL_TEXT];
    size_t total = m->arena + m->weights + m->state + m->structure;
    if (s->json) {
        kata__buffer_printf(
            out,
            ",\"training\":{\"batch\":%" PRId64 ",\"activation_bytes\":%zu,\"variable_bytes\":%zu,"
            "\"weight_bytes\":%zu,\"state_bytes\":%zu,\"structure_bytes\":%zu,"
            "\"total_bytes\":%zu}",
            s->batch, m->arena, m->weights + m->state, m->weights, m->state, m->structure, total);
        return;
    }
    kata__buffer_printf(
        out,
        "training with Adam at batch %" PRId64 "%s takes %s: %s of activations, %s of weights, %s "
        "of optimizer state, %s of graph and plan\n",
        s->batch, s->recompute ? " and --recompute" : "", kata__bytes_text((double)total, text[0]),
        kata__bytes_text((double)m->arena, text[1]), kata__bytes_text((double)m->weights, text[2]),
        kata__bytes_text((double)m->state, text[3]),
        kata__bytes_text((double)m->structure, text[4]));
}

static kata_status show(kata_model *model, const settings *s, kata__buffer *out) {
    const kata_graph *graph = kata_model_graph(model);
    char *table;
    kata_memory memory;
    if (s->graph != 0) {
        return print_graph(graph, s->graph);
    }
    if (s->json) {
        write_json(out, graph);
    } else {
        KATA__TRY(kata_model_summary(&table, model));
        kata__buffer_text(out, table);
        kata_text_free(kata_model_context(model), table);
        write_metadata(out, graph);
    }
    /* Last: compiling adds the probabilities of a network that has none yet. */
    if (training_memory(&memory, model, s) == KATA_OK) {
        write_memory(out, &memory, s);
    } else if (!s->json) {
        kata__buffer_printf(out, "cannot be trained: %s\n", kata_error_message());
    }
    kata__buffer_text(out, s->json ? "}\n" : "");
    return out->status;
}

static int run(kata__tool *tool, int argc, char **argv) {
    settings s = defaults;
    kata__parsed parsed;
    if (kata__options_parse(options, &s, &tool->arena, argc, argv, &parsed) != KATA_OK) {
        return kata__tool_usage(tool);
    }
    if (parsed.n_positional != 1) {
        kata_fail(KATA_INVALID, parsed.n_positional == 0 ? "a MODEL or the NAME of a network is "
                                                           "missing"
                                                         : "one MODEL at a time");
        return kata__tool_usage(tool);
    }
    kata_model *model = NULL;
    kata_status status = kata__tool_start(tool, 1);
    if (status == KATA_OK) {
        status = open_model(tool, &s, parsed.positional[0], &model);
    }
    kata__buffer out;
    int code;
    if (status == KATA_OK) {
        kata__buffer_init(&out, tool->context, (size_t)64 << 20);
        status = show(model, &s, &out);
        code = status == KATA_OK ? kata__tool_print(tool, &out) : kata__tool_failed(tool);
        if (status != KATA_OK) {
            kata__buffer_free(&out);
        }
    } else {
        code = kata__tool_status(tool, status);
    }
    kata_model_free(model);
    return code;
}

const kata__command kata__command_show = {
    .name = "show",
    .about = "a model's layers, shapes, parameters, operations, memory",
    .usage = "kata show MODEL.onnx|RUN|NAME [options]",
    .examples = "kata show simple-convnet\n"
                "kata show runs/simple-convnet-1\n"
                "kata show digits.onnx --graph dot | dot -Tsvg > digits.svg\n"
                "kata show mlp --input 13 --hidden 64,64 --outputs 3\n",
    .options = options,
    .defaults = &defaults,
    .run = run};
