/* kata predict: what a model says about pictures, tensors, idx files. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include <kata/predict.h>

#include "base/file.h"
#include "data/data.h"
#include "data/load.h"
#include "tool/measure.h"
#include "tool/predict_named.h"
#include "tool/source.h"

typedef struct settings {
    kata__texts inputs;
    const char *output;
    int top, threads, precision;
    int64_t limit;
    bool json, quiet;
} settings;

static const kata__option options[] = {
    {.name = "top",
     .type = KATA__OPTION_INT,
     .offset = offsetof(settings, top),
     .value = "K",
     .letter = 'k',
     .minimum = 1,
     .maximum = 1000,
     .zero = "3 in the table",
     .help = "show the K likeliest classes"},
    {.name = "limit",
     .type = KATA__OPTION_INTEGER,
     .offset = offsetof(settings, limit),
     .value = "N",
     .minimum = 1,
     .maximum = 1e12,
     .zero = "all",
     .help = "only the first N samples of a tensor or an idx file"},
    {.name = "input",
     .type = KATA__OPTION_TEXTS,
     .offset = offsetof(settings, inputs),
     .value = "NAME=FILE",
     .help = "an input by its name: a NumPy array (.npy) or an ONNX tensor (.pb); once for each"},
    {.name = "output",
     .type = KATA__OPTION_TEXT,
     .offset = offsetof(settings, output),
     .value = "FOLDER",
     .help = "with --input: write each output there as NAME.npy"},
    KATA__OPTION_PRECISION(settings),
    KATA__OPTION_THREADS(settings),
    KATA__OPTION_QUIET(settings),
    {.name = "json",
     .type = KATA__OPTION_FLAG,
     .offset = offsetof(settings, json),
     .help = "one JSON object a line on stdout"},
    {.name = NULL}};
static const settings defaults = {.top = 0};

static const size_t largest_file = (size_t)1 << 31;

typedef enum answer_kind {
    ANSWER_CLASS,
    ANSWER_LABELS,
    ANSWER_NUMBERS,
    ANSWER_UNKNOWN
} answer_kind;

typedef struct predictor {
    kata__tool *tool;
    const settings *settings;
    kata_model *model;
    kata_shape sample; /* of the model's input */
    int64_t n_outputs;
    answer_kind kind;
    bool labels_matter, header_done;
    int name_width, label_width;
} predictor;

/* --- inputs -------------------------------------------------------------------------------------
 */

static bool is_npy(const uint8_t *d, size_t n) {
    return n >= 6 && memcmp(d, "\x93NUMPY", 6) == 0;
}

static bool is_idx(const uint8_t *d, size_t n) {
    return n >= 4 && d[0] == 0 && d[1] == 0 && d[2] == 8 && d[3] == 3;
}

static bool is_gzip(const uint8_t *d, size_t n) {
    return n >= 2 && d[0] == 0x1f && d[1] == 0x8b;
}

static kata_status read_picture(const predictor *p, const char *name, const void *data,
                                size_t n_bytes, kata_tensor *out) {
    char text[KATA_SHAPE_TEXT_SIZE];
    const kata_shape *s = &p->sample;
    kata_picture_layout layout;
    if (!kata_picture_layout_of(&layout, s)) {
        return kata_fail(KATA_SHAPE,
                         "%s: the model takes inputs of shape %s, not pictures; give "
                         "an .npy file",
                         name, kata_shape_text(s, text));
    }
    kata_picture picture = {.pixels = NULL};
    kata_status status = kata_picture_decode(&picture, p->tool->context, data, n_bytes);
    if (status != KATA_OK) {
        return kata_fail_in(status, "%s", name);
    }
    kata_shape shape = KATA_SHAPE_OF(1, s->dim[0], s->dim[1], s->dim[2]);
    status = kata_tensor_new(out, p->tool->context, KATA_U8, &shape);
    if (status == KATA_OK) {
        const char *kind = kata_graph_metadata(kata_model_graph(p->model), "kata.picture");
        bool digit = kind != NULL && strcmp(kind, "digit") == 0 && s->dim[0] == 1 &&
                     s->dim[1] == 28 && s->dim[2] == 28;
        status = digit ? kata_picture_to_digit(&picture, out->data)
                       : kata_picture_to_sample(&picture, s, out->data);
    }
    kata_picture_free(&picture);
    if (status != KATA_OK) {
        kata_tensor_release(out);
        return kata_fail_in(status, "%s", name);
    }
    return KATA_OK;
}

/* (n, sample) or one sample alone. */
static kata_status read_npy(const predictor *p, const char *name, const void *data, size_t n_bytes,
                            kata_tensor *out) {
    char want[KATA_SHAPE_TEXT_SIZE], have[KATA_SHAPE_TEXT_SIZE];
    KATA__TRY(kata_npy_read_memory(out, p->tool->context, data, n_bytes, name));
    int64_t width = kata_shape_count(&p->sample), count = kata_tensor_count(out);
    if (out->shape.rank > 0 && count > 0 && width > 0 && count == out->shape.dim[0] * width) {
        return KATA_OK;
    }
    if (count == width && count > 0) {
        kata_shape one = {.rank = 1, .dim = {1}};
        for (int i = 0; i < p->sample.rank; i++) {
            one.dim[one.rank++] = p->sample.dim[i];
        }
        kata_tensor view = kata_tensor_view(out->data, out->dtype, &one);
        view.owner = out->owner;
        *out = view;
        return KATA_OK;
    }
    kata_status status =
        kata_fail(KATA_SHAPE,
                  "%s: the model takes samples of shape %s, got a "
                  "tensor of shape %s",
                  name, kata_shape_text(&p->sample, want), kata_shape_text(&out->shape, have));
    kata_tensor_release(out);
    return status;
}

static kata_status read_idx(const predictor *p, const char *name, const void *data, size_t n_bytes,
                            kata_tensor *out) {
    char want[KATA_SHAPE_TEXT_SIZE];
    int64_t n_whole;
    KATA__TRY(kata__idx_parse(out, &n_whole, p->tool->context, name, data, n_bytes, 3,
                              p->settings->limit));
    if (kata_shape_count(&p->sample) != out->shape.dim[2] * out->shape.dim[3]) {
        kata_status status = kata_fail(
            KATA_SHAPE, "%s: the model takes samples of shape %s, the file has pictures of %dx%d",
            name, kata_shape_text(&p->sample, want), (int)out->shape.dim[2],
            (int)out->shape.dim[3]);
        kata_tensor_release(out);
        return status;
    }
    return KATA_OK;
}

static kata_status read_any(const predictor *p, const char *name, const void *data, size_t n_bytes,
                            kata_tensor *out) {
    if (is_npy(data, n_bytes)) {
        return read_npy(p, name, data, n_bytes, out);
    }
    if (is_idx(data, n_bytes)) {
        return read_idx(p, name, data, n_bytes, out);
    }
    if (!is_gzip(data, n_bytes)) {
        return read_picture(p, name, data, n_bytes, out);
    }
    char *plain;
    size_t n_plain;
    kata_status status =
        kata__reader_hooks.gunzip(p->tool->context, data, n_bytes, largest_file, &plain, &n_plain);
    if (status != KATA_OK) {
        return kata_fail_in(status, "%s", name);
    }
    status = is_idx((const uint8_t *)plain, n_plain) ? read_idx(p, name, plain, n_plain, out)
             : is_npy((const uint8_t *)plain, n_plain)
                 ? read_npy(p, name, plain, n_plain, out)
                 : kata_fail(KATA_FORMAT,
                             "%s: what is packed is neither an idx file of pictures "
                             "nor an .npy tensor",
                             name);
    kata__free(p->tool->context, plain);
    return status;
}

static kata_status read_input(const predictor *p, const char *argument, kata_tensor *out) {
    char *data;
    size_t n_bytes;
    bool from_stdin = strcmp(argument, "-") == 0;
    const char *name = from_stdin ? "stdin" : argument;
    KATA__TRY(kata__file_read(p->tool->context, from_stdin ? "/dev/stdin" : argument, largest_file,
                              &data, &n_bytes));
    kata_status status = read_any(p, name, data, n_bytes, out);
    kata__free(p->tool->context, data);
    return status;
}

/* --- answers ------------------------------------------------------------------------------------
 */

/* order[0..n) becomes the places of the n largest, the largest first. */
static void largest(const float *values, int64_t n_values, int64_t *order, int n) {
    for (int i = 0; i < n; i++) {
        int64_t best = -1;
        for (int64_t k = 0; k < n_values; k++) {
            bool taken = false;
            for (int j = 0; j < i; j++) {
                taken = taken || order[j] == k;
            }
            if (!taken && (best < 0 || values[k] > values[best])) {
                best = k;
            }
        }
        order[i] = best;
    }
}

static void json_floats(kata__buffer *out, const char *key, const float *values, int64_t n) {
    kata__buffer_printf(out, ",\"%s\":[", key);
    for (int64_t i = 0; i < n; i++) {
        kata__buffer_text(out, i > 0 ? "," : "");
        kata__float_json(out, values[i]);
    }
    kata__buffer_text(out, "]");
}

static void json_class(kata__buffer *out, const predictor *p, int64_t i) {
    char label[KATA__LABEL_TEXT];
    kata__buffer_printf(out, "\"class\":%" PRId64, i);
    if (p->labels_matter) {
        kata__buffer_text(out, ",\"label\":");
        kata__buffer_json_string(out, kata__label_text(p->model, NULL, i, label));
    }
}

static void write_json(kata__buffer *out, const predictor *p, const char *name, int64_t index,
                       int64_t n, const float *values) {
    enum { MOST = 1000 };
    int64_t order[MOST];
    int k = p->settings->top < p->n_outputs ? p->settings->top : (int)p->n_outputs;
    kata__buffer_text(out, "{\"file\":");
    kata__buffer_json_string(out, name);
    if (n > 1) {
        kata__buffer_printf(out, ",\"index\":%" PRId64, index);
    }
    if (p->kind == ANSWER_CLASS || p->kind == ANSWER_UNKNOWN) {
        largest(values, p->n_outputs, order, k > 1 ? k : 1);
        kata__buffer_text(out, ",");
        json_class(out, p, order[0]);
    }
    if (p->kind == ANSWER_CLASS && k > 0) {
        kata__buffer_text(out, ",\"top\":[");
        for (int i = 0; i < k; i++) {
            kata__buffer_text(out, i > 0 ? ",{" : "{");
            json_class(out, p, order[i]);
            kata__buffer_text(out, ",\"probability\":");
            kata__float_json(out, values[order[i]]);
            kata__buffer_text(out, "}");
        }
        kata__buffer_text(out, "]");
    }
    if (p->kind == ANSWER_LABELS) {
        char label[KATA__LABEL_TEXT];
        const char *comma = "";
        kata__buffer_text(out, ",\"labels\":[");
        for (int64_t i = 0; i < p->n_outputs; i++) {
            if (values[i] >= 0.5f) {
                kata__buffer_text(out, comma);
                kata__buffer_json_string(out, kata__label_text(p->model, NULL, i, label));
                comma = ",";
            }
        }
        kata__buffer_text(out, "]");
    }
    bool probabilities = p->kind == ANSWER_CLASS || p->kind == ANSWER_LABELS;
    json_floats(out, probabilities ? "probabilities" : "outputs", values, p->n_outputs);
    kata__buffer_text(out, "}\n");
}

static void write_row(kata__buffer *out, predictor *p, const char *name, const float *values) {
    enum { MOST = 1000 };
    int64_t order[MOST];
    char label[KATA__LABEL_TEXT];
    int k = p->settings->top > 0 ? p->settings->top : 3;
    k = k < p->n_outputs ? k : (int)p->n_outputs;
    bool classes = p->kind == ANSWER_CLASS || p->kind == ANSWER_UNKNOWN;
    if (!p->header_done) {
        kata__padded(out, "file", p->name_width + 2);
        kata__padded(out,
                     p->kind == ANSWER_CLASS    ? "class"
                     : p->kind == ANSWER_LABELS ? "labels"
                                                : "output",
                     p->kind == ANSWER_CLASS ? p->label_width : 0);
        kata__buffer_text(out, p->kind == ANSWER_CLASS ? "     sure  then\n" : "\n");
        p->header_done = true;
    }
    kata__padded(out, name, p->name_width);
    kata__buffer_text(out, "  ");
    if (p->kind == ANSWER_CLASS) {
        largest(values, p->n_outputs, order, k);
        kata__padded(out, kata__label_text(p->model, NULL, order[0], label), p->label_width);
        kata__buffer_printf(out, " %6.2f %%  ", 100 * (double)values[order[0]]);
        for (int i = 1; i < k; i++) {
            kata__buffer_printf(out, "%s%s %.2f %%", i > 1 ? ", " : "",
                                kata__label_text(p->model, NULL, order[i], label),
                                100 * (double)values[order[i]]);
        }
    } else if (p->kind == ANSWER_LABELS) {
        int n = 0;
        for (int64_t i = 0; i < p->n_outputs; i++) {
            if (values[i] >= 0.5f) {
                kata__buffer_printf(out, "%s%s %.2f %%", n++ > 0 ? ", " : "",
                                    kata__label_text(p->model, NULL, i, label),
                                    100 * (double)values[i]);
            }
        }
        kata__buffer_text(out, n == 0 ? "(none)" : "");
    } else {
        for (int64_t i = 0; i < p->n_outputs && i < 16; i++) {
            kata__buffer_printf(out, "%s%.6g", i > 0 ? " " : "", (double)values[i]);
        }
        kata__buffer_text(out, p->n_outputs > 16 ? " ..." : "");
        if (classes) {
            largest(values, p->n_outputs, order, 1);
            kata__buffer_printf(out, "  (largest: %" PRId64 ")", order[0]);
        }
    }
    kata__buffer_text(out, "\n");
}

/* The number of rows depends on the data (NonZero, texts without stopwords). */
static bool has_open_rows(const predictor *p) {
    const kata_graph *graph = kata_model_graph(p->model);
    const kata_shape in = kata_value_shape(graph, kata_graph_input_at(graph, 0));
    const kata_shape out = kata_value_shape(graph, kata_graph_output_at(graph, 0));
    return out.rank > 0 && out.dim[0] < 0 && (in.rank == 0 || out.dim[0] != in.dim[0]);
}

static kata_status write_rows(predictor *p, const char *name, const kata_tensor *rows,
                              kata__buffer *out) {
    const int64_t n = rows->shape.rank > 0 ? rows->shape.dim[0] : 1;
    kata_tensor row;
    if (rows->dtype == KATA_STRING || (n > 0 && kata_tensor_count(rows) != n * p->n_outputs)) {
        return kata_fail(KATA_UNSUPPORTED,
                         "the output is no table of numbers with %" PRId64 " columns",
                         p->n_outputs);
    }
    KATA__TRY(kata_tensor_new(&row, p->tool->context, KATA_F32, &KATA_SHAPE_OF(p->n_outputs)));
    for (int64_t i = 0; i < n && out->status == KATA_OK; i++) {
        char shown[512];
        snprintf(shown, sizeof shown, "%.400s[%" PRId64 "]", name, i);
        for (int64_t k = 0; k < p->n_outputs; k++) {
            ((float *)row.data)[k] =
                (float)kata_load(rows->dtype, rows->data, i * p->n_outputs + k);
        }
        if (p->settings->json) {
            write_json(out, p, name, i, n, row.data);
        } else {
            write_row(out, p, shown, row.data);
        }
    }
    kata_tensor_release(&row);
    return out->status;
}

/* All samples at once, as many rows as come. */
static kata_status answer_open(predictor *p, const char *name, const kata_tensor *input,
                               kata__buffer *out) {
    kata_graph *graph = kata_model_graph(p->model);
    kata_predictor *rows = NULL;
    kata_named_tensor in = {kata_value_name(graph, kata_graph_input_at(graph, 0)), *input};
    kata_named_tensor result = {.name = kata_value_name(graph, kata_graph_output_at(graph, 0))};
    const kata_predictor_options how = {.precision = (kata_precision)p->settings->precision};
    kata_status status = kata_predictor_new(&rows, graph, &how);
    if (status == KATA_OK) {
        status = kata_predictor_run(rows, &in, 1, &result, 1);
        kata_predictor_free(rows);
    }
    if (status == KATA_OK) {
        status = write_rows(p, name, &result.tensor, out);
        kata_tensor_release(&result.tensor);
    }
    if (status == KATA_OK && out->size > 0) {
        fwrite(out->data, 1, out->size, stdout);
        kata__buffer_clear(out);
    }
    return status == KATA_OK ? KATA_OK : kata_fail_in(status, "%s", name);
}

static kata_status answer(predictor *p, const char *name, const kata_tensor *input,
                          kata__buffer *out) {
    enum { CHUNK = 256 };
    if (has_open_rows(p)) {
        return answer_open(p, name, input, out);
    }
    int64_t n = input->shape.dim[0], limit = p->settings->limit;
    int64_t width = n > 0 ? kata_tensor_count(input) / n : 0;
    n = limit > 0 && limit < n ? limit : n;
    kata_tensor result;
    kata_shape shape = KATA_SHAPE_OF(CHUNK, p->n_outputs);
    KATA__TRY(kata_tensor_new(&result, p->tool->context, KATA_F32, &shape));
    kata_status status = KATA_OK;
    for (int64_t first = 0; first < n && status == KATA_OK; first += CHUNK) {
        int64_t some = n - first < CHUNK ? n - first : CHUNK;
        kata_shape in_shape = input->shape;
        in_shape.dim[0] = some;
        char *from = (char *)input->data + (size_t)(first * width) * kata_dtype_size(input->dtype);
        kata_tensor in = kata_tensor_view(from, input->dtype, &in_shape);
        kata_tensor values =
            kata_tensor_view(result.data, KATA_F32, &KATA_SHAPE_OF(some, p->n_outputs));
        status = kata_predict(p->model, &in, &values);
        for (int64_t i = 0; i < some && status == KATA_OK; i++) {
            const float *row = (const float *)result.data + i * p->n_outputs;
            char shown[512];
            snprintf(shown, sizeof shown, n > 1 ? "%.400s[%" PRId64 "]" : "%.400s", name,
                     first + i);
            if (p->settings->json) {
                write_json(out, p, name, first + i, n, row);
            } else {
                write_row(out, p, shown, row);
            }
            status = out->status;
        }
        /* Long files answer as they go. */
        if (status == KATA_OK && out->size > 0) {
            fwrite(out->data, 1, out->size, stdout);
            kata__buffer_clear(out);
        }
        if (ferror(stdout)) {
            break;
        }
    }
    kata_tensor_release(&result);
    return status == KATA_OK ? KATA_OK : kata_fail_in(status, "%s", name);
}

static kata_status open_model(predictor *p, const char *argument) {
    KATA__TRY(kata__source_model(p->tool, &p->model, argument));
    KATA__TRY(kata_set_precision(p->model, (kata_precision)p->settings->precision));
    const kata_graph *graph = kata_model_graph(p->model);
    if (kata_graph_n_inputs(graph) != 1 || kata_graph_n_outputs(graph) < 1) {
        return kata_fail(KATA_UNSUPPORTED, "%s has %d inputs; predict is for models with one",
                         argument, kata_graph_n_inputs(graph));
    }
    p->sample = kata__source_input(p->model);
    kata_shape out = kata_value_shape(graph, kata_graph_output_at(graph, 0));
    p->n_outputs = 1;
    for (int i = 1; i < out.rank; i++) {
        p->n_outputs *= out.dim[i];
    }
    if (kata_shape_count(&p->sample) < 1 || p->n_outputs < 1) {
        return kata_fail(KATA_UNSUPPORTED, "%s: the sizes of its input or output are not fixed",
                         argument);
    }
    const kata_loss *loss = kata_model_loss(p->model, 0);
    p->kind = loss == NULL                      ? ANSWER_UNKNOWN
              : loss->task == KATA_TASK_CLASSES ? ANSWER_CLASS
              : loss->task == KATA_TASK_LABELS  ? ANSWER_LABELS
                                                : ANSWER_NUMBERS;
    p->labels_matter = kata__labels_matter(p->model, NULL, p->n_outputs);
    p->label_width = 5;
    for (int64_t i = 0; i < p->n_outputs && i < 1000; i++) {
        char label[KATA__LABEL_TEXT];
        int columns = kata__text_columns(kata__label_text(p->model, NULL, i, label));
        p->label_width = columns > p->label_width && columns < 40 ? columns : p->label_width;
    }
    return KATA_OK;
}

static int predict(predictor *p, const kata__parsed *parsed) {
    kata_status status = kata__tool_start(p->tool, p->settings->threads);
    if (status == KATA_OK) {
        status = open_model(p, parsed->positional[0]);
    }
    if (status != KATA_OK) {
        return kata__tool_status(p->tool, status);
    }
    int code = KATA__EXIT_OK;
    p->name_width = 4;
    for (int i = 1; i < parsed->n_positional; i++) {
        const char *name = parsed->positional[i];
        int length = (int)strlen(name), columns = kata__text_columns(name);
        columns += length > 4 && strcmp(name + length - 4, ".png") != 0 ? 6 : 0;
        p->name_width = columns > p->name_width && columns <= 60 ? columns : p->name_width;
    }
    kata__buffer out;
    kata__buffer_init(&out, p->tool->context, (size_t)64 << 20);
    for (int i = 1; i < parsed->n_positional; i++) {
        const char *name =
            strcmp(parsed->positional[i], "-") == 0 ? "stdin" : parsed->positional[i];
        kata_tensor input = {.dtype = KATA_NO_DTYPE};
        status = read_input(p, parsed->positional[i], &input);
        if (status == KATA_OK) {
            status = answer(p, name, &input, &out);
        }
        kata_tensor_release(&input);
        if (status != KATA_OK) { /* the other files are still answered */
            code = kata__tool_failed(p->tool);
        }
    }
    kata__buffer_free(&out);
    int flushed = kata__tool_flush(p->tool);
    return code != KATA__EXIT_OK ? code : flushed;
}

/* By the names of inputs and outputs: any network. */
static int predict_named(kata__tool *tool, const settings *s, const kata__parsed *parsed) {
    kata_model *model = NULL;
    if (parsed->n_positional != 1 || s->output == NULL) {
        kata_fail(KATA_INVALID, s->output == NULL
                                    ? "--input needs --output FOLDER, where the answers go"
                                    : "with --input give one MODEL and nothing else");
        return kata__tool_usage(tool);
    }
    const kata_predictor_options precision = {.precision = (kata_precision)s->precision};
    kata_status status = kata__tool_start(tool, s->threads);
    if (status == KATA_OK) {
        status = kata__source_model(tool, &model, parsed->positional[0]);
    }
    if (status == KATA_OK) {
        status = kata__predict_named(tool, model, &precision, &s->inputs, s->output);
    }
    kata_model_free(model);
    return status == KATA_OK ? KATA__EXIT_OK : kata__tool_status(tool, status);
}

static int run(kata__tool *tool, int argc, char **argv) {
    settings s = defaults;
    kata__parsed parsed;
    if (kata__options_parse(options, &s, &tool->arena, argc, argv, &parsed) != KATA_OK) {
        return kata__tool_usage(tool);
    }
    tool->quiet = s.quiet;
    if (s.inputs.n > 0 || s.output != NULL) {
        return predict_named(tool, &s, &parsed);
    }
    if (parsed.n_positional < 2) {
        kata_fail(KATA_INVALID, parsed.n_positional == 0 ? "a MODEL and an INPUT are missing"
                                                         : "an INPUT is missing: a picture, an "
                                                           ".npy file, an idx file or -");
        return kata__tool_usage(tool);
    }
    tool->quiet = s.quiet;
    predictor p = {.tool = tool, .settings = &s};
    int code = predict(&p, &parsed);
    kata_model_free(p.model);
    return code;
}

const kata__command kata__command_predict = {
    .name = "predict",
    .about = "ask a model about pictures or numbers",
    .usage = "kata predict MODEL.onnx|RUN INPUT... [options]\n"
             "       kata predict MODEL.onnx|RUN --input NAME=FILE... --output FOLDER",
    .examples = "kata predict runs/simple-convnet-1 seven.png four.jpg\n"
                "kata predict digits.onnx photo.jpg --json\n"
                "kata predict digits.onnx t10k-images-idx3-ubyte.gz --limit 10\n"
                "curl -s https://example.org/7.png | kata predict digits.onnx -\n"
                "kata predict net.onnx --input x=x.npy --input mask=mask.npy --output answers\n",
    .text = "INPUT is a picture (PNG, JPEG; of any size, grey or colour), an .npy tensor of shape\n"
            "(n, ...), an idx file of pictures (also .gz), or - for one of these on stdin.\n",
    .options = options,
    .defaults = &defaults,
    .run = run};
