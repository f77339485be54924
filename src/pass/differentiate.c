/* Reverse-mode differentiation, graph -> graph: nodes are visited from the last to the first, each
 * row's gradient rule adds the nodes of its inputs' gradients (scratch-book-2 section 1: local
 * derivatives, one backward sweep; a value that is used more than once gets the sum of its uses'
 * gradients). */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "pass/pass.h"

/* The gradients that a value's uses have contributed, latest use first. */
typedef struct contributions {
    kata_value *list;
    size_t n, capacity;
} contributions;

typedef struct differentiation {
    kata_graph *graph;
    size_t n_values, n_nodes; /* of the forward graph */
    bool *wanted;             /* wanted[id]: the value depends on one of wrt */
    contributions *gradients; /* gradients[id] */
} differentiation;

static bool is_float(const kata_graph *graph, kata_value value) {
    return kata_dtype_is_float(kata_value_dtype(graph, value));
}

static kata_status contribute(differentiation *d, kata_value value, kata_value gradient) {
    contributions *c = &d->gradients[value.id];
    KATA__TRY(kata__grow(d->graph->context, (void **)&c->list, &c->capacity, c->n + 1,
                         sizeof *c->list, KATA__MAX_VALUES));
    c->list[c->n++] = gradient;
    return KATA_OK;
}

/* The sum of a value's contributions in the order of its uses; afterwards it has one contribution.
 */
static kata_value total(differentiation *d, kata_value value) {
    contributions *c = &d->gradients[value.id];
    if (value.id == 0 || c->n == 0) {
        return KATA_NONE;
    }
    kata_value sum = c->list[c->n - 1];
    for (size_t i = c->n - 1; i > 0; i--) {
        sum = KATA_NODE(d->graph, "Add", KATA_INPUTS(sum, c->list[i - 1]));
    }
    c->list[0] = sum;
    c->n = 1;
    return sum;
}

static void mark_wanted(differentiation *d, const kata_value *wrt, int n) {
    for (int i = 0; i < n; i++) {
        d->wanted[wrt[i].id] = true;
    }
    for (size_t i = 0; i < d->n_nodes; i++) {
        const kata__node *node = &d->graph->nodes[i];
        bool any = false;
        for (int k = 0; k < node->n_inputs && !node->removed; k++) {
            any = any || d->wanted[node->inputs[k].id];
        }
        for (int k = 0; k < node->n_outputs && any; k++) {
            d->wanted[node->outputs[k].id] |= is_float(d->graph, node->outputs[k]);
        }
    }
    d->wanted[0] = false;
}

/* Names the nodes that a rule added after the node whose gradient they compute. */
static kata_status name_nodes(kata_graph *graph, size_t first, const char *node_name) {
    for (size_t i = first; i < graph->n_nodes; i++) {
        char name[256];
        snprintf(name, sizeof name, "%.160s/gradient/%.60s", node_name, graph->nodes[i].op->name);
        graph->nodes[i].name = kata__arena_strdup(&graph->arena, name);
        if (graph->nodes[i].name == NULL) {
            return KATA_OUT_OF_MEMORY;
        }
    }
    return KATA_OK;
}

static kata_status apply_rule(differentiation *d, size_t index) {
    kata_graph *graph = d->graph;
    kata__node node = graph->nodes[index]; /* a copy: rules move the array */
    kata_value output_gradients[KATA_MAX_OUTPUTS], input_gradients[KATA_MAX_INPUTS];
    bool needed[KATA_MAX_INPUTS];
    bool reached = false, any_needed = false;
    for (int k = 0; k < node.n_outputs; k++) {
        reached = reached || d->gradients[node.outputs[k].id].n > 0;
    }
    for (int k = 0; k < node.n_inputs; k++) {
        needed[k] = node.inputs[k].id != 0 && d->wanted[node.inputs[k].id];
        any_needed = any_needed || needed[k];
        input_gradients[k] = KATA_NONE;
    }
    if (!reached || !any_needed) {
        return KATA_OK;
    }
    if (node.op->gradient == NULL) {
        return kata_fail(KATA_UNSUPPORTED,
                         "operator %s (node %s) has no gradient; put kata:StopGradient before it "
                         "or train without it",
                         node.op->name, node.name);
    }
    size_t first = graph->n_nodes;
    for (int k = 0; k < node.n_outputs; k++) {
        output_gradients[k] = total(d, node.outputs[k]);
    }
    kata_gradient gradient = {.graph = graph,
                              .op = node.op,
                              .attributes = node.attributes,
                              .n_captured = node.n_captured,
                              .n_inputs = node.n_inputs,
                              .n_outputs = node.n_outputs,
                              .inputs = node.inputs,
                              .outputs = node.outputs,
                              .output_gradients = output_gradients,
                              .needed = needed,
                              .input_gradients = input_gradients};
    kata_status status = node.op->gradient(&gradient);
    status = status == KATA_OK ? graph->status : status;
    if (status != KATA_OK) {
        return kata_fail_in(status, "gradient of %s", node.name);
    }
    KATA__TRY(name_nodes(graph, first, node.name));
    for (int k = 0; k < node.n_inputs; k++) {
        if (needed[k] && input_gradients[k].id != 0) {
            kata_shape have = kata_value_shape(graph, input_gradients[k]);
            kata_shape want = kata_value_shape(graph, node.inputs[k]);
            if (!kata_shape_equal(&have, &want)) {
                char a[KATA_SHAPE_TEXT_SIZE], b[KATA_SHAPE_TEXT_SIZE];
                return kata_fail(
                    KATA_SHAPE, "the gradient rule of %s gave shape %s for input %d of shape %s",
                    node.op->name, kata_shape_text(&have, a), k, kata_shape_text(&want, b));
            }
            KATA__TRY(contribute(d, node.inputs[k], input_gradients[k]));
        }
    }
    return KATA_OK;
}

/* d loss / d loss = 1 in the loss's own shape. */
static kata_value one_like(kata_graph *graph, kata_value loss) {
    uint8_t bytes[8] = {0};
    kata_shape shape = kata_value_shape(graph, loss);
    kata_dtype dtype = kata_value_dtype(graph, loss);
    kata_store(dtype, bytes, 0, 1.0);
    kata_tensor one = kata_tensor_view(bytes, dtype, &shape);
    return kata_graph_constant(graph, NULL, &one);
}

static kata_status differentiate(differentiation *d, kata_value loss, const kata_value *wrt, int n,
                                 kata_value *gradients) {
    kata_value one = one_like(d->graph, loss);
    if (d->graph->status != KATA_OK) {
        return d->graph->status;
    }
    mark_wanted(d, wrt, n);
    KATA__TRY(contribute(d, loss, one));
    for (size_t i = d->n_nodes; i > 0; i--) {
        if (!d->graph->nodes[i - 1].removed) {
            KATA__TRY(apply_rule(d, i - 1));
        }
    }
    for (int i = 0; i < n; i++) {
        gradients[i] = total(d, wrt[i]);
    }
    return d->graph->status;
}

kata_status kata_graph_differentiate(kata_graph *graph, kata_value loss, const kata_value *wrt,
                                     int n, kata_value *gradients) {
    if (graph->status != KATA_OK) {
        return kata_fail(graph->status, "%s", kata_graph_message(graph));
    }
    kata_shape shape = kata_value_shape(graph, loss);
    char text[KATA_SHAPE_TEXT_SIZE];
    if (kata__graph_info(graph, loss) == NULL || kata_shape_count(&shape) != 1 ||
        !is_float(graph, loss)) {
        return kata_fail(KATA_SHAPE,
                         "only a float value of one element can be differentiated; %s has shape %s",
                         kata_value_name(graph, loss), kata_shape_text(&shape, text));
    }
    for (int i = 0; i < n; i++) {
        if (kata__graph_info(graph, wrt[i]) == NULL || !is_float(graph, wrt[i])) {
            return kata_fail(KATA_INVALID, "gradient %d is asked for by no float value", i);
        }
    }
    differentiation d = {.graph = graph, .n_values = graph->n_values, .n_nodes = graph->n_nodes};
    d.wanted = kata__alloc_zero(graph->context, d.n_values, sizeof *d.wanted);
    d.gradients = kata__alloc_zero(graph->context, d.n_values, sizeof *d.gradients);
    kata_status status = d.wanted == NULL || d.gradients == NULL
                             ? KATA_OUT_OF_MEMORY
                             : differentiate(&d, loss, wrt, n, gradients);
    for (size_t i = 0; d.gradients != NULL && i < d.n_values; i++) {
        kata__free(graph->context, d.gradients[i].list);
    }
    kata__free(graph->context, d.gradients);
    kata__free(graph->context, d.wanted);
    return status;
}
