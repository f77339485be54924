/* A model's outputs: which are raw (what a loss takes), and the probabilities that are shown.
 *
 * A model that ends in its loss's own activation (Softmax for softmax cross-entropy), perhaps with
 * nodes behind it that only pass the numbers on, keeps it: what goes into the activation is the raw
 * output then. Nothing is ever given an activation twice.
 *
 * In the file: the outputs that are shown stand first, one a loss; outputs that no loss can have
 * (labels as whole numbers) follow; last come the raw outputs that are not shown themselves.
 * "kata.outputs" says how many losses there are, "kata.raw" which outputs are raw where these are
 * not simply the last. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "train/trainer.h"

enum { CHAIN_MOST = 16 };

/* --- what a model ends in --------------------------------------------------------------------- */

typedef struct ending {
    const kata__node *activation; /* NULL: none that is known */
    int32_t chain[CHAIN_MOST];    /* nodes behind it, from the last to the first */
    int n;
} ending;

static bool is_named(const kata__node *node, const char *name) {
    return node->op->domain[0] == '\0' && strcmp(node->op->name, name) == 0;
}

/* Numbers go through as they are: views, and a Cast from float to float. */
static bool passes_on(const kata_graph *graph, const kata__node *node) {
    return (node->op->flags & KATA_OP_VIEW) != 0 ||
           (is_named(node, "Cast") &&
            kata_dtype_is_float(graph->values[node->inputs[0].id].type.dtype) &&
            kata_dtype_is_float(graph->values[node->outputs[0].id].type.dtype));
}

/* Looks for an activation of this name that makes a value. */
static ending find_ending(const kata_graph *graph, kata_value value, const char *name) {
    ending found = {.activation = NULL};
    const kata__value_info *info = &graph->values[value.id];
    while (info->kind == KATA__VALUE_NODE && info->output == 0) {
        const kata__node *node = &graph->nodes[info->node];
        if (is_named(node, name)) {
            found.activation = node;
            return found;
        }
        if (!passes_on(graph, node) || found.n == CHAIN_MOST) {
            return found;
        }
        found.chain[found.n++] = info->node;
        info = &graph->values[node->inputs[0].id];
    }
    return found;
}

static const kata_loss *loss_of_ending(const kata_graph *graph, kata_value value) {
    for (int i = 0; kata_loss_at(i) != NULL; i++) {
        const char *name = kata_loss_at(i)->activation;
        if (name != NULL && find_ending(graph, value, name).activation != NULL) {
            return kata_loss_at(i);
        }
    }
    return NULL;
}

/* The loss takes the activation over the last axis. A Softmax over another one is of the same
 * groups of numbers only if every axis behind it has one place. */
static kata_status check_axis(const kata_graph *graph, const kata__node *node, kata_value output) {
    const int at = kata__op_attribute(node->op, "axis");
    if (at < 0) {
        return KATA_OK;
    }
    const kata_shape *in = &graph->values[node->inputs[0].id].type.shape;
    const kata_shape *out = &graph->values[output.id].type.shape;
    const int axis = (int)(node->attributes[at].i + (node->attributes[at].i < 0 ? in->rank : 0));
    bool same = out->rank > 0 && axis < in->rank && in->dim[axis] == out->dim[out->rank - 1];
    for (int i = axis + 1; i < in->rank; i++) {
        same = same && in->dim[i] == 1;
    }
    if (!same) {
        char in_text[KATA_SHAPE_TEXT_SIZE], out_text[KATA_SHAPE_TEXT_SIZE];
        return kata_fail(KATA_UNSUPPORTED,
                         "output %s %s of model %s is a %s over axis %d of %s, but a loss takes it "
                         "over the output's last axis; take the layer off the model (the loss has "
                         "it itself), or put the classes last",
                         kata_value_name(graph, output), kata_shape_text(out, out_text),
                         graph->name, node->op->name, axis, kata_shape_text(in, in_text));
    }
    return KATA_OK;
}

/* The nodes of a chain once more, behind another value. */
static kata_value repeat_chain(kata_graph *graph, const ending *end, kata_value value) {
    for (int i = end->n - 1; i >= 0; i--) {
        const kata__node node = graph->nodes[end->chain[i]];
        kata_value inputs[KATA_MAX_INPUTS], outputs[KATA_MAX_OUTPUTS];
        memcpy(inputs, node.inputs, (size_t)node.n_inputs * sizeof *inputs);
        inputs[0] = value;
        if (kata__node_add_like(graph, NULL, &node, inputs, NULL, outputs) != KATA_OK) {
            return KATA_NONE;
        }
        value = outputs[0];
    }
    return value;
}

static kata_status rename_value(kata_graph *graph, kata_value value, const char *name) {
    if (kata_graph_find_value(graph, name).id != 0 ||
        graph->values[value.id].kind != KATA__VALUE_NODE) {
        return KATA_OK;
    }
    return kata__graph_name_value(graph, value, name, true);
}

/* What is shown and what is raw of one output. */
static kata_status split_output(kata_graph *graph, const kata_loss *loss, int k, kata_value output,
                                kata_value *shown, kata_value *raw) {
    char name[48];
    *shown = *raw = output;
    const kata_loss *other = loss_of_ending(graph, output);
    if (other != NULL &&
        (loss->activation == NULL || strcmp(other->activation, loss->activation) != 0)) {
        kata_log(graph->context, KATA_LOG_WARNING,
                 "output %s of model %s ends in %s, which goes with the loss %s, not with %s: its "
                 "numbers are taken as they are",
                 kata_value_name(graph, output), graph->name, other->activation, other->name,
                 loss->name);
    }
    if (loss->activation == NULL) {
        return KATA_OK;
    }
    const ending end = find_ending(graph, output, loss->activation);
    if (end.activation != NULL) {
        KATA__TRY(check_axis(graph, end.activation, output));
        *raw = repeat_chain(graph, &end, end.activation->inputs[0]);
    } else {
        snprintf(name, sizeof name, k == 0 ? "probabilities" : "probabilities_%d", k);
        kata_graph_set_scope(graph, name);
        const bool has_axis =
            kata__op_attribute(kata_op_find(graph->context, loss->activation), "axis") >= 0;
        *shown = has_axis ? KATA_NODE_WITH(graph, loss->activation, KATA_INPUTS(output),
                                           KATA_INT("axis", -1))
                          : KATA_NODE(graph, loss->activation, KATA_INPUTS(output));
        kata_graph_set_scope(graph, NULL);
    }
    if (graph->status != KATA_OK) {
        return kata_fail(graph->status, "%s", kata_graph_message(graph));
    }
    snprintf(name, sizeof name, k == 0 ? "logits" : "logits_%d", k);
    return rename_value(graph, *raw, name);
}

/* --- metadata --------------------------------------------------------------------------------- */

/* Number i of "2,1,3", -1 if there is none. */
static int listed(const char *text, int i) {
    while (text != NULL && i-- > 0) {
        text = strchr(text, ',');
        text = text != NULL ? text + 1 : NULL;
    }
    return text != NULL ? atoi(text) : -1;
}

/* Name i of "a,b"; a single name stands for all. */
static const kata_loss *listed_loss(const char *text, int i) {
    char name[128];
    const char *comma;
    while (i-- > 0 && (comma = strchr(text, ',')) != NULL) {
        text = comma + 1;
    }
    snprintf(name, sizeof name, "%.*s", (int)strcspn(text, ","), text);
    return kata_loss_find(name);
}

const kata_loss *kata_model_loss(const kata_model *model, int k) {
    const char *text = kata_graph_metadata(model->graph, "kata.loss");
    if (model->trainer != NULL && k >= 0 && k < model->trainer->n_raw) {
        return model->trainer->outputs[k].loss;
    }
    return text != NULL && k >= 0 ? listed_loss(text, k) : NULL;
}

const kata_loss *kata_loss_for(kata_model *model, const kata_dataset *dataset) {
    const kata_loss *loss = kata_model_loss(model, 0);
    for (size_t i = 0; i < model->graph->n_outputs && loss == NULL; i++) {
        loss = loss_of_ending(model->graph, model->graph->outputs[i]);
    }
    if (loss != NULL) {
        return loss;
    }
    return dataset->n_classes > 0 ? KATA_SOFTMAX_CROSS_ENTROPY : KATA_MEAN_SQUARED_ERROR;
}

kata_status kata__outputs_read(struct kata__trainer *trainer) {
    const kata_graph *graph = trainer->model->graph;
    const char *count = kata_graph_metadata(graph, "kata.outputs");
    const char *raw = kata_graph_metadata(graph, "kata.raw");
    const char *loss = kata_graph_metadata(graph, "kata.loss");
    const int n_outputs = (int)graph->n_outputs;
    int n = count != NULL ? atoi(count) : 0;
    n = n > 0 && n <= n_outputs && n <= KATA_MAX_LOSSES ? n : 0;
    trainer->n_raw = 0;
    for (int k = 0; k < n; k++) {
        const int at = raw != NULL ? listed(raw, k) : n_outputs - n + k;
        if (at >= 0 && at < n_outputs) {
            trainer->outputs[trainer->n_raw++] = (kata__output){.weight = 1, .raw = at, .shown = k};
        }
    }
    for (int i = 0; i < n_outputs && n == 0; i++) { /* a model of another tool */
        if (!kata_dtype_is_float(graph->values[graph->outputs[i].id].type.dtype)) {
            continue;
        }
        if (trainer->n_raw == KATA_MAX_LOSSES) {
            trainer->n_raw = 0; /* more than can be trained */
            break;
        }
        trainer->outputs[trainer->n_raw++] = (kata__output){.weight = 1, .raw = i, .shown = i};
    }
    for (int k = 0; k < trainer->n_raw && loss != NULL; k++) {
        trainer->outputs[k].loss = listed_loss(loss, k);
        if (trainer->outputs[k].loss != NULL) {
            KATA__TRY(kata__numbers_default(trainer->outputs[k].loss->numbers,
                                            trainer->outputs[k].loss->name,
                                            trainer->outputs[k].numbers));
        }
    }
    return KATA_OK;
}

static kata_status write_metadata(const struct kata__trainer *trainer, bool simple) {
    kata_graph *graph = trainer->model->graph;
    char losses[KATA_MAX_LOSSES * 64] = "", raw[KATA_MAX_LOSSES * 12] = "", count[16];
    bool one = true;
    for (int k = 0; k < trainer->n_raw; k++) {
        const size_t a = strlen(losses), b = strlen(raw);
        snprintf(losses + a, sizeof losses - a, "%s%.60s", k > 0 ? "," : "",
                 trainer->outputs[k].loss->name);
        snprintf(raw + b, sizeof raw - b, "%s%d", k > 0 ? "," : "", trainer->outputs[k].raw);
        one = one && trainer->outputs[k].loss == trainer->outputs[0].loss;
    }
    snprintf(count, sizeof count, "%d", trainer->n_raw);
    KATA__TRY(kata_graph_set_metadata(graph, "kata.outputs", count));
    KATA__TRY(kata_graph_set_metadata(graph, "kata.raw", simple ? NULL : raw));
    return kata_graph_set_metadata(graph, "kata.loss",
                                   one ? trainer->outputs[0].loss->name : losses);
}

/* --- setting them ----------------------------------------------------------------------------- */

/* Outputs that are neither shown nor raw. */
static bool is_other(const struct kata__trainer *trainer, int i) {
    for (int k = 0; k < trainer->n_raw; k++) {
        if (trainer->outputs[k].raw == i || trainer->outputs[k].shown == i) {
            return false;
        }
    }
    return true;
}

kata_status kata__outputs_set(struct kata__trainer *trainer) {
    kata_graph *graph = trainer->model->graph;
    const int n = trainer->n_raw, n_before = (int)graph->n_outputs;
    kata_value shown[KATA_MAX_LOSSES], raw[KATA_MAX_LOSSES], others[KATA_MAX_LOSSES];
    int n_others = 0, n_activated = 0;
    bool as_before = kata_graph_metadata(graph, "kata.outputs") != NULL;
    for (int k = 0; k < n; k++) {
        const kata_loss *before = kata_graph_metadata(graph, "kata.loss") != NULL
                                      ? listed_loss(kata_graph_metadata(graph, "kata.loss"), k)
                                      : NULL;
        as_before = as_before && before == trainer->outputs[k].loss;
    }
    if (as_before) {
        return KATA_OK;
    }
    for (int i = 0; i < n_before; i++) {
        if (is_other(trainer, i) && n_others < KATA_MAX_LOSSES) {
            others[n_others++] = graph->outputs[i];
        }
    }
    for (int k = 0; k < n; k++) {
        KATA__TRY(split_output(graph, trainer->outputs[k].loss, k,
                               graph->outputs[trainer->outputs[k].raw], &shown[k], &raw[k]));
        n_activated += shown[k].id != raw[k].id;
    }
    graph->n_outputs = 0;
    for (int k = 0; k < n; k++) {
        char name[48];
        snprintf(name, sizeof name, k == 0 ? "probabilities" : "probabilities_%d", k);
        trainer->outputs[k].shown = k;
        const bool made = shown[k].id != raw[k].id && !graph->values[shown[k].id].named;
        KATA__TRY(kata_graph_output(graph, made ? name : NULL, shown[k]));
    }
    for (int i = 0; i < n_others; i++) {
        KATA__TRY(kata_graph_output(graph, NULL, others[i]));
    }
    for (int k = 0; k < n; k++) {
        trainer->outputs[k].raw = k;
        if (shown[k].id != raw[k].id) {
            trainer->outputs[k].raw = (int)graph->n_outputs;
            KATA__TRY(kata_graph_output(graph, NULL, raw[k]));
        }
    }
    const bool simple = n_activated == n || (n_activated == 0 && n_others == 0);
    return write_metadata(trainer, simple);
}
