/* Models: life, inputs and outputs, files, initial weights, hash, table. */
#include "nn/model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <kata/exec.h>
#include <kata/format.h>
#include <kata/pass.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/random.h"

kata_status kata_model_from_graph(kata_model **out, kata_graph *graph) {
    kata_model *model = kata__alloc_zero(graph->context, 1, sizeof *model);
    if (model == NULL) {
        kata_graph_free(graph);
        return KATA_OUT_OF_MEMORY;
    }
    model->context = graph->context;
    model->graph = graph;
    kata_status status = kata__model_index_labels(model);
    if (status != KATA_OK) {
        kata_model_free(model);
        return status;
    }
    *out = model;
    return KATA_OK;
}

kata_status kata_model_new_in(kata_model **out, kata_context *context, const char *name) {
    kata_graph *graph;
    KATA__TRY(kata_graph_new(&graph, context, name));
    KATA__TRY(kata_model_from_graph(out, graph));
    (*out)->fresh = true;
    return KATA_OK;
}

kata_model *kata_model_new(const char *name) {
    kata_model *model = NULL;
    kata_context *context = kata_context_default();
    if (context == NULL || kata_model_new_in(&model, context, name) != KATA_OK) {
        return NULL;
    }
    return model;
}

void kata_model_free(kata_model *model) {
    if (model == NULL) {
        return;
    }
    kata_predictor_free(model->predictor);
    if (model->trainer != NULL) {
        model->trainer_free(model->trainer);
    }
    kata_graph_free(model->graph);
    kata__free(model->context, model->initials);
    kata__free(model->context, model->failure_message);
    kata__free(model->context, model->label_offsets);
    kata__free(model->context, model);
}

kata_status kata_model_status(const kata_model *model) {
    return model->graph->status;
}

kata_graph *kata_model_graph(kata_model *model) {
    return model->graph;
}

kata_context *kata_model_context(const kata_model *model) {
    return model->context;
}

kata_status kata__model_ended(kata_model *model, kata_status status) {
    kata__free(model->context, model->failure_message);
    model->failure_message = NULL;
    model->failure = status == KATA_INTERRUPTED ? KATA_OK : status; /* what was learnt is kept */
    if (model->failure != KATA_OK) {
        char text[1024];
        snprintf(text, sizeof text, "%s", kata_error_message());
        model->failure_message = kata__strdup(model->context, text);
        kata_fail(status, "%s", text);
    }
    return status;
}

kata_status kata_save(kata_model *model, const char *path) {
    if (model->graph->status != KATA_OK) {
        return kata_fail(model->graph->status, "%s", kata_graph_message(model->graph));
    }
    if (model->failure != KATA_OK) {
        return kata_fail(model->failure, "model %s is not saved, since it was not made: %s",
                         model->graph->name,
                         model->failure_message != NULL ? model->failure_message
                                                        : kata_status_name(model->failure));
    }
    if (model->graph->n_outputs == 0) {
        return kata_fail(KATA_INVALID, "model %s has no output; call kata_output before kata_save",
                         model->graph->name);
    }
    return kata_onnx_write(model->graph, path);
}

kata_status kata_model_load(kata_model **out, kata_context *context, const char *path) {
    kata_graph *graph;
    kata_status status = kata_onnx_read(&graph, context, path);
    if (status == KATA_INVALID) { /* what is not valid is the file, not the caller's argument */
        char text[1024];
        snprintf(text, sizeof text, "%s", kata_error_message());
        return kata_fail(KATA_FORMAT, "%s", text);
    }
    KATA__TRY(status);
    return kata_model_from_graph(out, graph);
}

kata_value kata_input_shape(kata_model *model, const char *name, kata_dtype dtype,
                            const kata_shape *sample_shape) {
    kata_graph *graph = model->graph;
    if (sample_shape->rank >= KATA_MAX_RANK) {
        kata__graph_fault(graph,
                          kata_fail(KATA_SHAPE, "an input has at most %d axes beside the batch",
                                    KATA_MAX_RANK - 1));
        return KATA_NONE;
    }
    kata_shape shape = {.rank = sample_shape->rank + 1, .dim = {KATA_UNKNOWN_DIM}};
    memcpy(&shape.dim[1], sample_shape->dim, (size_t)sample_shape->rank * sizeof shape.dim[0]);
    char made_up[32];
    if (name == NULL) {
        snprintf(made_up, sizeof made_up, graph->n_inputs == 0 ? "input" : "input_%zu",
                 graph->n_inputs);
        name = made_up;
    }
    return kata_graph_input(graph, name, dtype, &shape);
}

kata_status kata_output(kata_model *model, kata_value value) {
    char name[32];
    kata_graph *graph = model->graph;
    snprintf(name, sizeof name, graph->n_outputs == 0 ? "output" : "output_%zu", graph->n_outputs);
    return kata_graph_output(graph, name, value);
}

kata_status kata_model_remove_outputs(kata_model *model) {
    kata_graph *graph = model->graph;
    if (graph->status != KATA_OK) {
        return kata_fail(graph->status, "%s", kata_graph_message(graph));
    }
    kata_predictor_free(model->predictor);
    model->predictor = NULL;
    if (model->trainer != NULL) {
        model->trainer_free(model->trainer);
        model->trainer = NULL;
    }
    for (size_t i = 0; i < graph->n_outputs; i++) { /* the names are free for the new outputs */
        char name[64];
        snprintf(name, sizeof name, "removed_output_%d", (int)graph->outputs[i].id);
        KATA__TRY(kata__graph_name_value(graph, graph->outputs[i], name, false));
    }
    graph->n_outputs = 0;
    KATA__TRY(kata_graph_set_metadata(graph, "kata.loss", NULL));
    KATA__TRY(kata_graph_set_metadata(graph, "kata.outputs", NULL));
    return kata_graph_set_metadata(graph, "kata.labels", NULL);
}

/* --- initial weights ------------------------------------------------------------------------- */

/* Variable number `index` gets its own stream of random numbers. */
static void draw(const kata__initial *initial, size_t index, uint64_t seed) {
    const kata_tensor *tensor = &initial->variable->tensor;
    int64_t n = kata_tensor_count(tensor);
    uint32_t stream = KATA__STREAM_INITIALISER + (uint32_t)index;
    double value = initial->initializer.value, fan_in = (double)initial->fan_in;
    kata_variable_changed(initial->variable);
    switch (initial->initializer.kind) {
    case KATA_INIT_XAVIER:
        value = 1 / sqrt(fan_in);
        break;
    case KATA_INIT_GLOROT:
        value = sqrt(2 / (fan_in + (double)initial->fan_out));
        break;
    case KATA_INIT_HE:
        value = sqrt(2 / fan_in);
        break;
    default:
        break;
    }
    for (int64_t i = 0; i < n; i++) {
        double x = 0;
        switch (initial->initializer.kind) {
        case KATA_INIT_DEFAULT:
        case KATA_INIT_ZEROS:
            break;
        case KATA_INIT_CONSTANT:
            x = value;
            break;
        case KATA_INIT_UNIFORM:
            x = value * (2 * (double)kata_random_uniform(seed, stream, 0, (uint64_t)i) - 1);
            break;
        default:
            x = value * kata_random_normal(seed, stream, 0, (uint64_t)i);
            break;
        }
        kata_store(tensor->dtype, tensor->data, i, x);
    }
}

kata_status kata_model_initialize(kata_model *model, uint64_t seed) {
    for (size_t i = 0; i < model->n_initials; i++) {
        draw(&model->initials[i], i, seed);
    }
    return KATA_OK;
}

kata_value kata__model_variable(kata_model *model, const char *name, const kata_shape *shape,
                                bool trainable, kata_initializer initializer, int64_t fan_in,
                                int64_t fan_out, kata_variable **variable) {
    kata_graph *graph = model->graph;
    kata_variable *made = NULL;
    if (graph->status != KATA_OK) {
        return KATA_NONE;
    }
    kata_status status =
        kata__grow(model->context, (void **)&model->initials, &model->initials_capacity,
                   model->n_initials + 1, sizeof *model->initials, KATA__MAX_VALUES);
    if (status != KATA_OK) {
        kata__graph_fault(graph, status);
        return KATA_NONE;
    }
    kata_value value = kata_graph_variable(graph, name, KATA_F32, shape, trainable, &made);
    if (made == NULL) {
        return KATA_NONE;
    }
    kata__initial *initial = &model->initials[model->n_initials];
    *initial = (kata__initial){made, initializer, fan_in > 0 ? fan_in : 1, fan_out};
    draw(initial, model->n_initials++, 0);
    if (variable != NULL) {
        *variable = made;
    }
    return value;
}

kata_value kata_parameter(kata_model *model, const char *name, kata_initializer initializer,
                          const kata_shape *shape) {
    int64_t count = kata_shape_count(shape);
    int64_t fan_out = shape->rank > 0 ? shape->dim[shape->rank - 1] : 1;
    if (initializer.kind == KATA_INIT_DEFAULT) {
        initializer.kind = KATA_INIT_XAVIER;
    }
    return kata__model_variable(model, name, shape, true, initializer,
                                fan_out > 0 ? count / fan_out : 1, fan_out, NULL);
}

/* --- what there is to know about a model ------------------------------------------------------ */

static uint64_t fnv1a(uint64_t hash, const void *data, size_t n_bytes) {
    const uint8_t *bytes = data;
    for (size_t i = 0; i < n_bytes; i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
    }
    return hash;
}

uint64_t kata_model_hash(const kata_model *model) {
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < model->graph->n_variables; i++) {
        const kata_variable *variable = model->graph->variables[i];
        hash = fnv1a(hash, variable->name, strlen(variable->name) + 1);
        hash = fnv1a(hash, variable->tensor.data, kata_tensor_bytes(&variable->tensor));
    }
    return hash;
}

int kata_model_freeze(kata_model *model, const char *prefix, bool frozen) {
    int n = 0;
    for (size_t i = 0; i < model->graph->n_variables; i++) {
        kata_variable *variable = model->graph->variables[i];
        if (variable->trainable && strncmp(variable->name, prefix, strlen(prefix)) == 0) {
            variable->frozen = frozen;
            n++;
        }
    }
    return n;
}

int kata_model_copy_weights(kata_model *to, const kata_model *from, const char *prefix) {
    int n = 0;
    for (size_t i = 0; i < from->graph->n_variables; i++) {
        const kata_variable *source = from->graph->variables[i];
        kata_variable *target = kata_graph_find_variable(to->graph, source->name);
        if (target != NULL && strncmp(source->name, prefix, strlen(prefix)) == 0 &&
            target->tensor.dtype == source->tensor.dtype &&
            kata_shape_equal(&target->tensor.shape, &source->tensor.shape)) {
            memcpy(target->tensor.data, source->tensor.data, kata_tensor_bytes(&source->tensor));
            kata_variable_changed(target);
            n++;
        }
    }
    to->fresh = to->fresh && n == 0;
    return n;
}

static bool is_open_input(const kata_graph *graph, int64_t size) {
    for (size_t i = 0; i < graph->n_inputs; i++) {
        const kata_shape *shape = &graph->values[graph->inputs[i].id].type.shape;
        for (int axis = 0; axis < shape->rank; axis++) {
            if (shape->dim[axis] == size) {
                return true;
            }
        }
    }
    return false;
}

/* Parameters that a node reads: elements of its trainable variables. */
static int64_t node_parameters(const kata_graph *graph, const kata__node *node) {
    int64_t n = 0;
    for (int k = 0; k < node->n_inputs; k++) {
        const kata__value_info *info = kata__graph_info(graph, node->inputs[k]);
        if (info != NULL && info->kind == KATA__VALUE_VARIABLE && info->variable->trainable) {
            n += kata_tensor_count(&info->variable->tensor);
        }
    }
    return n;
}

static double node_flops(const kata_session *session, const char *name, const char *op) {
    for (int i = 0; i < kata_session_n_profile(session); i++) {
        kata_profile_row row = kata_session_profile(session, i);
        if (strcmp(row.node, name) == 0 && strcmp(row.op, op) == 0) {
            return row.flops;
        }
    }
    return 0;
}

/* session: of one sample; NULL if the batch is not the only open size: then what depends on the
 * others is left out. */
static void write_rows(kata__buffer *out, kata_model *model, const kata_session *session) {
    const kata_graph *graph = model->graph;
    char shape_text[KATA_SHAPE_TEXT_SIZE], flops_text[32] = "";
    double total_flops = 0;
    kata__buffer_printf(out, "%-28s %-18s %-18s %12s %14s\n", "layer", "operator", "output",
                        "parameters", "FLOPs/sample");
    for (size_t i = 0; i < graph->n_inputs; i++) {
        kata_shape shape = kata_value_shape(graph, graph->inputs[i]);
        kata__buffer_printf(out, "%-28s %-18s %-18s\n", kata_value_name(graph, graph->inputs[i]),
                            "(input)", kata_graph_shape_text(graph, &shape, shape_text));
    }
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const kata__node *node = &graph->nodes[i];
        if (node->removed) {
            continue;
        }
        kata_shape shape = kata_value_shape(graph, node->outputs[0]);
        if (session != NULL) {
            double flops = node_flops(session, node->name, node->op->name);
            total_flops += flops;
            snprintf(flops_text, sizeof flops_text, "%.0f", flops);
        }
        kata__buffer_printf(out, "%-28s %-18s %-18s %12" PRId64 " %14s\n", node->name,
                            node->op->name, kata_graph_shape_text(graph, &shape, shape_text),
                            node_parameters(graph, node), flops_text);
    }
    kata__buffer_printf(out, "\n%" PRId64 " parameters", kata_graph_n_parameters(graph));
    if (session != NULL) {
        kata__buffer_printf(
            out, " (%.1f KiB), %.3f MFLOP a sample, %.1f KiB of activations for one sample\n",
            (double)kata_session_variable_bytes(session) / 1024, total_flops * 1e-6,
            (double)kata_session_arena_bytes(session) / 1024);
        return;
    }
    kata__buffer_text(out, "; how much is computed depends on the sizes of the input:");
    for (int i = 0; i < kata_graph_n_sizes(graph); i++) {
        if (is_open_input(graph, -2 - i)) {
            kata__buffer_printf(out, " %s", kata_graph_size_at(graph, i));
        }
    }
    kata__buffer_text(out, "\n");
}

kata_status kata_model_summary(char **text, kata_model *model) {
    kata_graph *bound = NULL;
    kata_session *session = NULL;
    kata_size one = {NULL, 1};
    kata_status status = KATA_OK;
    int n_open = 0;
    for (int i = 0; i < kata_graph_n_sizes(model->graph); i++) {
        if (is_open_input(model->graph, -2 - i)) {
            one.name = kata_graph_size_at(model->graph, i);
            n_open++;
        }
    }
    if (n_open <= 1) {
        KATA__TRY(kata_graph_bind(&bound, model->graph, &one, n_open, false));
        status = kata_session_new(&session, bound, NULL);
    }
    kata__buffer out;
    kata__buffer_init(&out, model->context, (size_t)64 << 20);
    if (status == KATA_OK) {
        write_rows(&out, model, session);
        status = out.status;
    }
    kata_session_free(session);
    kata_graph_free(bound);
    if (status != KATA_OK) {
        kata__buffer_free(&out);
        return status;
    }
    *text = out.data;
    return KATA_OK;
}
