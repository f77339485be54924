/* kata_compile: checks the options, gives a classifier its probabilities, makes the optimiser's
 * state. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "train/trainer.h"

static void trainer_free(struct kata__trainer *trainer) {
    kata_context *context = trainer->model->context;
    kata__programs_free(trainer);
    kata_graph_free(trainer->state);
    kata__free(context, trainer->slots);
    kata__free(context, (void *)(uintptr_t)trainer->options.class_weights);
    kata__free(context, trainer);
}

/* The raw outputs stand last among the model's outputs; "kata.outputs" says how many there are. */
static int count_raw(const kata_graph *graph) {
    const char *text = kata_graph_metadata(graph, "kata.outputs");
    int n = text != NULL ? atoi(text) : 0;
    return n > 0 && (size_t)n <= graph->n_outputs ? n : (int)graph->n_outputs;
}

kata_status kata__trainer_get(struct kata__trainer **out, kata_model *model) {
    if (model->graph->status != KATA_OK) {
        return kata_fail(model->graph->status, "%s", kata_graph_message(model->graph));
    }
    if (model->graph->n_outputs == 0 || model->graph->n_inputs == 0) {
        return kata_fail(KATA_INVALID,
                         "model %s has no input or no output; call kata_input and kata_output",
                         model->graph->name);
    }
    if (model->trainer == NULL) {
        struct kata__trainer *trainer = kata__alloc_zero(model->context, 1, sizeof *trainer);
        if (trainer == NULL) {
            return KATA_OUT_OF_MEMORY;
        }
        trainer->model = model;
        trainer->n_raw = count_raw(model->graph);
        const char *loss = kata_graph_metadata(model->graph, "kata.loss");
        if (loss != NULL) {
            kata_loss_parse(loss, &trainer->options.loss);
        }
        model->trainer = trainer;
        model->trainer_free = trainer_free;
    }
    *out = model->trainer;
    return KATA_OK;
}

/* --- options ---------------------------------------------------------------------------------- */

static kata_status check_number(const char *name, double value, double minimum, double maximum) {
    if (!(value >= minimum && value <= maximum)) {
        return kata_fail(KATA_INVALID, "%s must be a number from %g to %g, got %g", name, minimum,
                         maximum, value);
    }
    return KATA_OK;
}

static kata_status check_precision(kata_precision precision) {
    return (unsigned)precision < KATA_PRECISION_COUNT
               ? KATA_OK
               : kata_fail(KATA_INVALID, "there is no precision %d", (int)precision);
}

static kata_status check_options(const kata_compile_options *options) {
    const kata_optimizer *o = &options->optimizer;
    if ((unsigned)options->loss >= KATA_LOSS_COUNT || (unsigned)o->kind >= KATA_OPTIMIZER_COUNT) {
        return kata_fail(KATA_INVALID, "there is no such loss or optimizer");
    }
    KATA__TRY(check_precision(options->precision));
    KATA__TRY(check_number("the learning rate", o->lr, 0, 1e6));
    KATA__TRY(check_number("momentum", o->momentum, 0, 1));
    KATA__TRY(check_number("beta1", o->beta1, 0, 1));
    KATA__TRY(check_number("beta2", o->beta2, 0, 1));
    KATA__TRY(check_number("decay", o->decay, 0, 1));
    KATA__TRY(check_number("epsilon", o->epsilon, 0, 1));
    KATA__TRY(check_number("weight_decay", o->weight_decay, 0, 1e6));
    KATA__TRY(check_number("label_smoothing", options->label_smoothing, 0, 1));
    KATA__TRY(check_number("clip_value", options->clip_value, 0, INFINITY));
    KATA__TRY(check_number("clip_norm", options->clip_norm, 0, INFINITY));
    KATA__TRY(check_number("huber_delta", options->huber_delta, 0, INFINITY));
    for (int i = 0; i < options->n_class_weights; i++) {
        KATA__TRY(check_number("a class weight", (double)options->class_weights[i], 0, 1e9));
    }
    return KATA_OK;
}

/* --- outputs ---------------------------------------------------------------------------------- */

static const char *probability_operator(kata_loss loss) {
    return loss == KATA_SOFTMAX_CROSS_ENTROPY   ? "Softmax"
           : loss == KATA_SIGMOID_CROSS_ENTROPY ? "Sigmoid"
                                                : NULL;
}

static kata_status rename_value(kata_graph *graph, kata_value value, const char *name) {
    if (kata_graph_find_value(graph, name).id != 0) {
        return KATA_OK;
    }
    return kata__graph_name_value(graph, value, name, true);
}

/* Outputs become: a probability output for each raw output if the loss has one, then the raw
 * outputs. */
static kata_status set_outputs(struct kata__trainer *trainer, kata_loss loss) {
    kata_graph *graph = trainer->model->graph;
    const char *before = kata_graph_metadata(graph, "kata.loss");
    const char *op = probability_operator(loss);
    kata_value raw[KATA__MAX_OUTPUTS];
    char name[48];
    if (trainer->n_raw > KATA__MAX_OUTPUTS) {
        return kata_fail(KATA_LIMIT, "a model with more than %d outputs cannot be trained",
                         KATA__MAX_OUTPUTS);
    }
    if (before != NULL && strcmp(before, kata_loss_name(loss)) == 0) {
        return KATA_OK;
    }
    for (int i = 0; i < trainer->n_raw; i++) {
        raw[i] = graph->outputs[graph->n_outputs - (size_t)trainer->n_raw + (size_t)i];
        if (op != NULL) {
            snprintf(name, sizeof name, i == 0 ? "logits" : "logits_%d", i);
            KATA__TRY(rename_value(graph, raw[i], name));
        }
    }
    graph->n_outputs = 0;
    for (int i = 0; i < trainer->n_raw && op != NULL; i++) {
        snprintf(name, sizeof name, i == 0 ? "probabilities" : "probabilities_%d", i);
        kata_graph_set_scope(graph, name);
        kata_value p = strcmp(op, "Softmax") == 0
                           ? KATA_NODE_WITH(graph, op, KATA_INPUTS(raw[i]), KATA_INT("axis", -1))
                           : KATA_NODE(graph, op, KATA_INPUTS(raw[i]));
        kata_graph_set_scope(graph, NULL);
        KATA__TRY(kata_graph_output(graph, name, p));
    }
    for (int i = 0; i < trainer->n_raw; i++) {
        KATA__TRY(kata_graph_output(graph, NULL, raw[i]));
    }
    snprintf(name, sizeof name, "%d", trainer->n_raw);
    KATA__TRY(kata_graph_set_metadata(graph, "kata.outputs", name));
    return kata_graph_set_metadata(graph, "kata.loss", kata_loss_name(loss));
}

/* --- the optimiser's state -------------------------------------------------------------------- */

static kata_status make_state(struct kata__trainer *trainer) {
    kata_graph *graph = trainer->model->graph;
    int n_states = kata__optimizer_states(trainer->options.optimizer.kind);
    KATA__TRY(kata_graph_new(&trainer->state, graph->context, "optimizer"));
    trainer->slots =
        kata__alloc_zero(graph->context, graph->n_variables + 1, sizeof *trainer->slots);
    if (trainer->slots == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    for (size_t i = 0; i < graph->n_variables; i++) {
        kata_variable *variable = graph->variables[i];
        if (!variable->trainable) {
            continue;
        }
        kata__slot *slot = &trainer->slots[trainer->n_slots++];
        slot->variable = variable;
        for (int k = 0; k < n_states; k++) {
            char name[256];
            snprintf(name, sizeof name, "optimizer.%d.%.200s", k, variable->name);
            kata_graph_variable(trainer->state, name, variable->tensor.dtype,
                                &variable->tensor.shape, false, &slot->state[k]);
        }
    }
    if (trainer->state->status != KATA_OK) {
        return kata_fail(trainer->state->status, "%s", kata_graph_message(trainer->state));
    }
    return KATA_OK;
}

static kata_status compile(kata_model *model, const kata_compile_options *options) {
    struct kata__trainer *trainer;
    KATA__TRY(check_options(options));
    if (model->trainer != NULL) {
        model->trainer_free(model->trainer);
        model->trainer = NULL;
    }
    KATA__TRY(kata__trainer_get(&trainer, model));
    float *class_weights = NULL;
    if (options->n_class_weights > 0) {
        class_weights =
            kata__alloc(model->context, (size_t)options->n_class_weights, sizeof *class_weights);
        if (class_weights == NULL) {
            return KATA_OUT_OF_MEMORY;
        }
        memcpy(class_weights, options->class_weights,
               (size_t)options->n_class_weights * sizeof *class_weights);
    }
    trainer->options = *options;
    trainer->options.class_weights = class_weights;
    trainer->options.optimizer = kata__optimizer_resolve(options->optimizer);
    if (trainer->options.huber_delta == 0) {
        trainer->options.huber_delta = 1;
    }
    KATA__TRY(set_outputs(trainer, options->loss));
    KATA__TRY(make_state(trainer));
    if (model->fresh) {
        KATA__TRY(kata_model_initialize(model, options->seed));
    }
    trainer->compiled = true;
    return KATA_OK;
}

kata_status kata_compile_with(kata_model *model, const kata_compile_options *options) {
    return kata__model_ended(model, compile(model, options));
}

kata_status kata_set_precision(kata_model *model, kata_precision precision) {
    struct kata__trainer *trainer = NULL;
    KATA__TRY(check_precision(precision));
    KATA__TRY(kata__trainer_get(&trainer, model));
    if (trainer->options.precision != precision) {
        trainer->options.precision = precision;
        kata__programs_free(trainer);
    }
    return KATA_OK;
}

/* --- labels ----------------------------------------------------------------------------------- */

kata_status kata_model_set_labels(kata_model *model, const char *const *labels, int n) {
    kata__buffer text;
    kata__buffer_init(&text, model->context, (size_t)64 << 20);
    kata__buffer_text(&text, "[");
    for (int i = 0; i < n; i++) {
        kata__buffer_text(&text, i > 0 ? "," : "");
        kata__buffer_json_string(&text, labels[i]);
    }
    kata__buffer_text(&text, "]");
    kata_status status = text.status;
    if (status == KATA_OK) {
        status = kata_graph_set_metadata(model->graph, "kata.labels", text.data);
    }
    kata__buffer_free(&text);
    return status;
}

/* Moves over one JSON text of the array that kata_model_set_labels wrote; copies it to `text` if
 * that is not NULL. Returns the place behind it, NULL at the end or where the text is malformed. */
static const char *next_label(const char *at, char *text, size_t n_bytes) {
    size_t n = 0;
    while (*at == '[' || *at == ',' || *at == ' ') {
        at++;
    }
    if (*at++ != '"') {
        return NULL;
    }
    for (; *at != '"'; at++) {
        unsigned c = (unsigned char)*at;
        if (c == '\0') {
            return NULL;
        }
        if (c == '\\') {
            at++;
            c = (unsigned char)*at;
            if (c == 'u') { /* control characters only: others are written as they are */
                char digits[5] = {0};
                for (int i = 0; i < 4 && at[1 + i] != '\0'; i++) {
                    digits[i] = at[1 + i];
                }
                if (strlen(digits) != 4) {
                    return NULL;
                }
                c = (unsigned)strtoul(digits, NULL, 16) & 0x7F;
                at += 4;
            } else if (c == 'n' || c == 't' || c == 'r' || c == 'b' || c == 'f') {
                c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c == 'b' ? '\b' : '\f';
            } else if (c == '\0') {
                return NULL;
            }
        }
        if (text != NULL && n + 1 < n_bytes) {
            text[n++] = (char)c;
        }
    }
    if (text != NULL && n_bytes > 0) {
        text[n] = '\0';
    }
    return at + 1;
}

int kata_model_n_labels(const kata_model *model) {
    const char *at = kata_graph_metadata(model->graph, "kata.labels");
    int n = 0;
    while (at != NULL && (at = next_label(at, NULL, 0)) != NULL) {
        n++;
    }
    return n;
}

bool kata_model_label(const kata_model *model, int i, char *text, size_t n_bytes) {
    const char *at = kata_graph_metadata(model->graph, "kata.labels");
    for (int k = 0; at != NULL && k <= i; k++) {
        at = next_label(at, k == i ? text : NULL, n_bytes);
    }
    return at != NULL && i >= 0;
}
