/* Penalties, gradients, clipping and updates: what follows the loss in a training step. */
#include <stdio.h>

#include "base/check.h"
#include "pass/pass.h"
#include "train/step.h"

kata_value kata__step_penalties(kata_graph *graph, kata_value loss) {
    for (size_t i = 0; i < graph->n_variables; i++) {
        kata_variable *v = graph->variables[i];
        if (!v->trainable || v->frozen || (v->l1 == 0 && v->l2 == 0)) {
            continue;
        }
        kata_value w = kata_graph_use_variable(graph, v);
        if (v->l2 != 0) {
            kata_value p = kata__step_reduce(graph, "ReduceSumSquare", w);
            p = KATA_NODE(graph, "Mul",
                          KATA_INPUTS(p, kata__step_scalar(graph, 0.5 * (double)v->l2)));
            loss = KATA_NODE(graph, "Add", KATA_INPUTS(loss, p));
        }
        if (v->l1 != 0) {
            kata_value p =
                kata__step_reduce(graph, "ReduceSum", KATA_NODE(graph, "Abs", KATA_INPUTS(w)));
            p = KATA_NODE(graph, "Mul", KATA_INPUTS(p, kata__step_scalar(graph, (double)v->l1)));
            loss = KATA_NODE(graph, "Add", KATA_INPUTS(loss, p));
        }
    }
    return loss;
}

/* g * min(1, c / ||all g||). */
static void clip_norm(kata_graph *graph, kata_value *gradients, int n, double limit) {
    kata_value total = KATA_NONE;
    for (int i = 0; i < n; i++) {
        if (gradients[i].id != 0) {
            kata_value s = kata__step_reduce(graph, "ReduceSumSquare", gradients[i]);
            total = total.id == 0 ? s : KATA_NODE(graph, "Add", KATA_INPUTS(total, s));
        }
    }
    if (total.id == 0) {
        return;
    }
    kata_value norm = KATA_NODE(graph, "Sqrt", KATA_INPUTS(total));
    norm = KATA_NODE(graph, "Max", KATA_INPUTS(norm, kata__step_scalar(graph, limit)));
    kata_value factor = KATA_NODE(graph, "Div", KATA_INPUTS(kata__step_scalar(graph, limit), norm));
    for (int i = 0; i < n; i++) {
        if (gradients[i].id != 0) {
            gradients[i] = KATA_NODE(graph, "Mul", KATA_INPUTS(gradients[i], factor));
        }
    }
}

/* One node of the rule's operator. */
static void add_operator(const struct kata__trainer *trainer, kata_graph *graph, kata__slot *slot,
                         kata_value g, kata_value lr, kata_value t) {
    const kata__rule *rule = &trainer->rule;
    const kata_optimizer *o = &trainer->options.optimizer;
    kata_value inputs[KATA_MAX_STATES + 4], outputs[KATA_MAX_STATES + 1];
    kata_attribute attributes[KATA_MAX_NUMBERS + 1];
    int n_inputs = 0, n_attributes = 0;
    char name[256];
    inputs[n_inputs++] = kata_graph_use_variable(graph, slot->variable);
    for (int k = 0; k < rule->n_states; k++) {
        inputs[n_inputs++] = kata_graph_use_variable(graph, slot->state[k]);
    }
    inputs[n_inputs++] = g;
    inputs[n_inputs++] = lr;
    if (rule->takes_step) {
        inputs[n_inputs++] = t;
    }
    for (int k = 0; rule->numbers != NULL && rule->numbers[k].name != NULL; k++) {
        attributes[n_attributes++] =
            (kata_attribute)KATA_FLOAT(rule->numbers[k].name, trainer->rule_numbers[k]);
    }
    if (o->weight_decay > 0 && slot->variable->decay) {
        attributes[n_attributes++] = (kata_attribute)KATA_FLOAT("weight_decay", o->weight_decay);
    }
    snprintf(name, sizeof name, "update/%.200s", slot->variable->name);
    kata_graph_node_outputs(graph, name, o->rule->op, inputs, n_inputs, attributes, n_attributes,
                            outputs, 1 + rule->n_states);
}

/* The nodes of a rule's own; made[] gets the new weight and states. */
static void add_own(const struct kata__trainer *trainer, kata_graph *graph, kata__slot *slot,
                    kata_value g, kata_value lr, kata_value t, kata_value *made) {
    const kata_optimizer *o = &trainer->options.optimizer;
    kata_value states[KATA_MAX_STATES];
    char name[256];
    for (int k = 0; k < trainer->rule.n_states; k++) {
        states[k] = kata_graph_use_variable(graph, slot->state[k]);
        made[1 + k] = states[k];
    }
    snprintf(name, sizeof name, "update/%.200s", slot->variable->name);
    kata_graph_set_scope(graph, name);
    made[0] = o->rule->build(
        &(kata_update){.graph = graph,
                       .weight = kata_graph_use_variable(graph, slot->variable),
                       .gradient = g,
                       .states = states,
                       .lr = lr,
                       .step = t,
                       .weight_decay = slot->variable->decay ? o->weight_decay + 0.0 : 0,
                       .numbers = trainer->rule_numbers,
                       .new_states = made + 1});
    kata_graph_set_scope(graph, NULL);
}

/* All new values are computed before the first is written, since nodes may read several. */
static kata_status add_updates(const struct kata__trainer *trainer, kata_graph *graph,
                               kata__slot *const *slots, const kata_value *gradients, int n,
                               kata_value lr, kata_value t) {
    const int step = KATA_MAX_STATES + 1;
    kata_value *made = NULL;
    if (trainer->options.optimizer.rule->op == NULL) {
        made = kata__alloc_zero(graph->context, (size_t)(n * step), sizeof *made);
        if (made == NULL) {
            return KATA_OUT_OF_MEMORY;
        }
    }
    for (int i = 0; i < n; i++) {
        if (gradients[i].id != 0 && made == NULL) {
            add_operator(trainer, graph, slots[i], gradients[i], lr, t);
        } else if (gradients[i].id != 0) {
            add_own(trainer, graph, slots[i], gradients[i], lr, t, made + i * step);
        }
    }
    for (int i = 0; i < n && made != NULL; i++) {
        for (int k = 0; k <= trainer->rule.n_states && gradients[i].id != 0; k++) {
            kata_variable *variable = k == 0 ? slots[i]->variable : slots[i]->state[k - 1];
            kata_value old = kata_graph_use_variable(graph, variable);
            KATA_NODE(graph, "kata:Assign", KATA_INPUTS(old, made[i * step + k]));
        }
    }
    kata__free(graph->context, made);
    return KATA_OK;
}

static kata_status add_training(struct kata__trainer *trainer, kata_graph *graph, kata_value loss,
                                kata_value *wrt, kata_value *gradients, kata__slot **slots) {
    const kata_compile_options *options = &trainer->options;
    int n = 0;
    kata_value lr = kata_graph_input(graph, "kata.lr", KATA_F32, &(kata_shape){.rank = 0});
    kata_value t = kata_graph_input(graph, "kata.t", KATA_F32, &(kata_shape){.rank = 0});
    for (int i = 0; i < trainer->n_slots; i++) {
        if (!trainer->slots[i].variable->frozen) {
            wrt[n] = kata_graph_use_variable(graph, trainer->slots[i].variable);
            slots[n++] = &trainer->slots[i];
        }
    }
    if (graph->status != KATA_OK) {
        return kata_fail(graph->status, "%s", kata_graph_message(graph));
    }
    if (n == 0) {
        return kata_fail(KATA_INVALID, "model %s has no weight to train: all are frozen",
                         trainer->model->graph->name);
    }
    KATA__TRY(kata_graph_differentiate(graph, loss, wrt, n, gradients));
    for (int i = 0; i < n && options->clip_value > 0; i++) {
        if (gradients[i].id != 0) {
            gradients[i] =
                KATA_NODE(graph, "Clip",
                          KATA_INPUTS(gradients[i], kata__step_scalar(graph, -options->clip_value),
                                      kata__step_scalar(graph, options->clip_value)));
        }
    }
    if (options->clip_norm > 0) {
        clip_norm(graph, gradients, n, options->clip_norm);
    }
    KATA__TRY(add_updates(trainer, graph, slots, gradients, n, lr, t));
    return graph->status == KATA_OK ? KATA_OK
                                    : kata_fail(graph->status, "%s", kata_graph_message(graph));
}

kata_status kata__step_update(struct kata__trainer *trainer, kata_graph *graph, kata_value loss) {
    size_t n = (size_t)trainer->n_slots + 1;
    kata_value *wrt = kata__alloc_zero(graph->context, 2 * n, sizeof *wrt);
    kata__slot **slots = kata__alloc_zero(graph->context, n, sizeof *slots);
    kata_status status = wrt == NULL || slots == NULL
                             ? KATA_OUT_OF_MEMORY
                             : add_training(trainer, graph, loss, wrt, wrt + n, slots);
    kata__free(graph->context, wrt);
    kata__free(graph->context, slots);
    return status;
}
