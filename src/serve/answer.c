/* Answers of a model. */
#include "serve/answer.h"

#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "graph/graph.h"
#include "serve/instances.h"
#include "serve/named.h"

kata_status kata__served_init(kata__served *served, kata_model *model, const char *name) {
    const kata_graph *graph = kata_model_graph(model);
    if (kata_graph_n_inputs(graph) < 1 || kata_graph_n_outputs(graph) < 1) {
        return kata_fail(KATA_UNSUPPORTED, "model %s has no input or no output",
                         kata_graph_name(graph));
    }
    const kata_value x = kata_graph_input_at(graph, 0), y = kata_graph_output_at(graph, 0);
    const kata_shape in = kata_value_shape(graph, x), out = kata_value_shape(graph, y);
    const bool is_one = kata_graph_n_inputs(graph) == 1 && in.rank > 0 && out.rank > 0;
    *served = (kata__served){.context = kata_model_context(model),
                             .model = model,
                             .name = name,
                             .n_inputs = is_one,
                             .n_outputs = is_one};
    for (int i = 1; i < in.rank && is_one; i++) {
        served->input.dim[served->input.rank++] = in.dim[i];
        served->n_inputs = in.dim[i] > 0 ? served->n_inputs * in.dim[i] : 0;
    }
    for (int i = 1; i < out.rank; i++) {
        served->n_outputs = out.dim[i] > 0 ? served->n_outputs * out.dim[i] : 0;
    }
    if (served->n_inputs < 1 || served->n_outputs < 1) {
        served->n_inputs = served->n_outputs = 0;
    }
    if (served->n_inputs == 0 || kata__n_answers(graph) > 1 ||
        kata_value_dtype(graph, x) != KATA_F32 || kata_value_dtype(graph, y) != KATA_F32) {
        KATA__TRY(kata_predictor_new(&served->predictor, kata_model_graph(model), NULL));
    }
    const char *picture = kata_graph_metadata(graph, "kata.picture");
    served->digit = served->n_inputs == 784 && (picture == NULL || strcmp(picture, "digit") == 0);
    return KATA_OK;
}

void kata__served_free(kata__served *served) {
    kata_predictor_free(served->predictor);
    served->predictor = NULL;
}

static kata_status predict(kata__served *served, const float *inputs, int64_t n, float *outputs) {
    kata_shape shape = {.rank = served->input.rank + 1, .dim = {n}};
    memcpy(&shape.dim[1], served->input.dim, (size_t)served->input.rank * sizeof shape.dim[0]);
    kata_tensor in = kata_tensor_view((void *)(uintptr_t)inputs, KATA_F32, &shape);
    kata_tensor out = kata_tensor_view(outputs, KATA_F32, &KATA_SHAPE_OF(n, served->n_outputs));
    return kata_predict(served->model, &in, &out);
}

static void write_numbers(kata__buffer *out, const float *numbers, int64_t n) {
    kata__buffer_text(out, "[");
    for (int64_t i = 0; i < n; i++) {
        kata__buffer_text(out, i > 0 ? "," : "");
        kata__buffer_json_float(out, numbers[i]);
    }
    kata__buffer_text(out, "]");
}

/* A label that is a whole number as people write it goes out as a number: {"class":7}. */
static bool is_number(const char *text) {
    size_t n = strspn(text, "0123456789");
    return n > 0 && n < 10 && text[n] == '\0' && (n == 1 || text[0] != '0');
}

static void write_class(const kata__served *served, kata__buffer *out, int64_t i) {
    char label[256];
    if (!kata_model_label(served->model, (int)i, label, sizeof label)) {
        kata__buffer_printf(out, "%lld", (long long)i);
    } else if (is_number(label)) {
        kata__buffer_text(out, label);
    } else {
        kata__buffer_json_string(out, label);
    }
}

static void write_answer(const kata__served *served, const float *outputs, bool detail,
                         kata__buffer *out) {
    const kata_loss *loss = kata_model_loss(served->model, 0);
    int64_t n = served->n_outputs, best = 0;
    const bool several = loss != NULL && loss->task == KATA_TASK_LABELS;
    const bool one = loss != NULL && loss->task == KATA_TASK_CLASSES;
    if (one) {
        for (int64_t i = 1; i < n; i++) {
            best = outputs[i] > outputs[best] ? i : best;
        }
        kata__buffer_text(out, "{\"class\":");
        write_class(served, out, best);
    } else if (several) {
        bool first = true;
        kata__buffer_text(out, "{\"classes\":[");
        for (int64_t i = 0; i < n; i++) {
            if (outputs[i] >= 0.5F) {
                kata__buffer_text(out, first ? "" : ",");
                write_class(served, out, i);
                first = false;
            }
        }
        kata__buffer_text(out, "]");
    } else {
        kata__buffer_text(out, "{\"output\":");
        write_numbers(out, outputs, n);
    }
    if (detail && (one || several)) {
        kata__buffer_text(out, ",\"labels\":[");
        for (int64_t i = 0; i < n; i++) {
            kata__buffer_text(out, i > 0 ? "," : "");
            write_class(served, out, i);
        }
        kata__buffer_text(out, "],\"probabilities\":");
        write_numbers(out, outputs, n);
    }
    kata__buffer_text(out, "}\n");
}

/* Decodes the picture into the model's input numbers, 0..255. */
static kata_status picture_input(const kata__served *served, const void *file, size_t n_bytes,
                                 uint8_t *pixels, float *input) {
    kata_picture picture;
    KATA__TRY(kata_picture_decode(&picture, served->context, file, n_bytes));
    kata_status status;
    if (served->digit) {
        status = kata_picture_to_digit(&picture, pixels);
    } else {
        status = kata_picture_to_sample(&picture, &served->input, pixels);
    }
    if (status == KATA_SHAPE) {
        char text[KATA_SHAPE_TEXT_SIZE];
        status = kata_fail(KATA_UNSUPPORTED, "model %s takes %s, which is no picture; use :predict",
                           served->name, kata_shape_text(&served->input, text));
    }
    kata_picture_free(&picture);
    for (int64_t i = 0; status == KATA_OK && i < served->n_inputs; i++) {
        input[i] = (float)pixels[i];
    }
    return status;
}

kata_status kata__answer_picture(kata__served *served, const void *file, size_t n_bytes,
                                 bool detail, kata__buffer *out) {
    kata_context *context = served->context;
    if (served->n_inputs == 0) {
        return kata_fail(KATA_UNSUPPORTED,
                         "model %s does not take one picture of a known size; use :predict",
                         served->name);
    }
    float *numbers =
        kata__alloc(context, (size_t)(served->n_inputs + served->n_outputs), sizeof *numbers);
    uint8_t *pixels = kata__alloc(context, (size_t)served->n_inputs, 1);
    kata_status status = numbers == NULL || pixels == NULL
                             ? KATA_OUT_OF_MEMORY
                             : picture_input(served, file, n_bytes, pixels, numbers);
    if (status == KATA_OK) {
        status = predict(served, numbers, 1, numbers + served->n_inputs);
    }
    if (status == KATA_OK) {
        write_answer(served, numbers + served->n_inputs, detail, out);
        status = out->status;
    }
    kata__free(context, numbers);
    kata__free(context, pixels);
    return status;
}

kata_status kata__answer_instances(kata__served *served, char *body, size_t n_bytes,
                                   kata__buffer *out) {
    if (served->predictor != NULL) {
        return kata__answer_named(served->predictor, kata_model_graph(served->model), body, n_bytes,
                                  out);
    }
    kata__instances instances;
    KATA__TRY(kata__instances_read(&instances, served->context, body, n_bytes, served->n_inputs));
    int64_t width = served->n_outputs;
    float *outputs = kata__alloc(served->context, (size_t)(instances.n * width), sizeof *outputs);
    kata_status status = outputs == NULL ? KATA_OUT_OF_MEMORY : KATA_OK;
    if (status == KATA_OK && instances.n > 0) {
        status = predict(served, instances.numbers, instances.n, outputs);
    }
    if (status == KATA_OK) {
        kata__buffer_text(out, "{\"predictions\":[");
        for (int64_t i = 0; i < instances.n; i++) {
            kata__buffer_text(out, i > 0 ? "," : "");
            write_numbers(out, outputs + i * width, width);
        }
        kata__buffer_text(out, "]}\n");
        status = out->status;
    }
    kata__free(served->context, outputs);
    kata__free(served->context, instances.numbers);
    return status;
}
