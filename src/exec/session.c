/* Sessions: the calls of a bound graph with all pointers set, run one after the other. */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/float_mode.h"
#include "exec/dynamic.h"
#include "exec/plan.h"
#include "exec/session.h"
#include "kernel/elementwise.h"

typedef struct step {
    kata_call call;
    kata_kernel kernel;
    const kata__node *node;
    kata_call_random random;
    int64_t calls;
    uint64_t nanoseconds;
} step;

struct kata_session {
    kata_context *context;
    const kata_graph *graph;
    kata_session_options options;
    kata__plan plan;
    char *arena;
    kata_tensor *tensors;  /* by value id */
    kata_tensor *operands; /* the calls' inputs and outputs, in order */
    kata_tensor **shown;   /* by input of the graph: what in these two has its memory */
    size_t *first_shown;   /* shown[first_shown[i] .. first_shown[i + 1]) is input i's */
    step *steps;
    size_t n_steps;
    size_t n_prepare;    /* the first steps: what depends on variables and constants alone */
    size_t first_update; /* steps from here on are all updates: optimiser and what follows it */
    bool is_prepared;
    uint64_t prepared_version;   /* sum of the variables' versions when the first steps ran */
    kata__prepared *prepared;    /* where the first steps' results are; NULL: in the arena */
    kata__prepared_value **held; /* by value id */
    kata_variable **changed;     /* what updates write */
    size_t n_changed;
    kata_call_random now; /* this run's seed and step */
    size_t variable_bytes;
    bool *is_dynamic; /* by node index; NULL, and `dynamic` too, if none is */
    kata__dynamic *dynamic;
};

static void set_tensors(kata_session *session) {
    const kata_graph *graph = session->graph;
    for (size_t i = 1; i < graph->n_values; i++) {
        const kata__value_info *info = &graph->values[i];
        const kata__place *place = &session->plan.places[i];
        const kata__value_info *root = &graph->values[place->root];
        void *data = NULL;
        if (root->kind == KATA__VALUE_VARIABLE) {
            data = root->variable->tensor.data;
        } else if (root->kind == KATA__VALUE_CONSTANT) {
            data = root->constant.data;
        } else if (session->plan.places[place->root].in_arena) {
            data = session->arena + session->plan.places[place->root].offset;
        } else if (session->held != NULL && session->held[place->root] != NULL) {
            data = session->held[place->root]->data;
        }
        session->tensors[i] = kata_tensor_view(data, info->type.dtype, &info->type.shape);
    }
}

static bool is_optimiser_step(const kata__node *node) {
    return (node->op->flags & KATA_OP_UPDATE) != 0;
}

/* The steps of the nodes that prepare, or of all others. */
static kata_tensor *add_steps(kata_session *session, kata_tensor *operand, bool prepare) {
    const kata_graph *graph = session->graph;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const kata__node *node = &graph->nodes[i];
        if (node->removed || (node->op->flags & KATA_OP_VIEW) != 0 ||
            (session->is_dynamic != NULL && session->is_dynamic[i]) ||
            kata__plan_prepares(&session->plan, graph, node) != prepare) {
            continue;
        }
        step *s = &session->steps[session->n_steps++];
        s->node = node;
        s->random.stream = node->stream;
        s->call =
            (kata_call){.op = node->op,
                        .context = session->context,
                        .attributes = node->attributes,
                        .n_captured = node->n_captured,
                        .n_inputs = node->n_inputs,
                        .n_outputs = node->n_outputs,
                        .inputs = operand,
                        .outputs = operand + node->n_inputs,
                        .workspace_bytes = session->plan.workspace_bytes[i],
                        .per_thread_workspace = session->arena + session->plan.per_thread_offset,
                        .per_thread_step = session->plan.per_thread_step,
                        .random = &s->random};
        if (s->call.workspace_bytes > 0) {
            s->call.workspace = session->arena + session->plan.workspace_offset[i];
        }
        for (int k = 0; k < node->n_inputs; k++) {
            *operand++ = session->tensors[node->inputs[k].id];
        }
        for (int k = 0; k < node->n_outputs; k++) {
            *operand++ = session->tensors[node->outputs[k].id];
        }
    }
    return operand;
}

/* The state of a step, made from constants alone: `prepare` does not see what else the inputs
 * hold, which other runs may change. */
static kata_status prepare_step(kata_session *session, step *s) {
    kata_tensor inputs[KATA_MAX_INPUTS];
    kata_call call = s->call;
    for (int k = 0; k < call.n_inputs; k++) {
        const kata__value_info *info = kata__graph_info(session->graph, s->node->inputs[k]);
        inputs[k] = call.inputs[k];
        inputs[k].data = info != NULL && info->kind == KATA__VALUE_CONSTANT ? inputs[k].data : NULL;
    }
    call.inputs = inputs;
    kata_status status = kata__call_prepare(&call);
    s->call.state = call.state;
    return status == KATA_OK ? KATA_OK : kata_fail_in(status, "%s", s->node->name);
}

static kata_status choose_kernels(kata_session *session) {
    for (size_t i = 0; i < session->n_steps; i++) {
        step *s = &session->steps[i];
        const kata_op *op = s->node->op;
        KATA__TRY(prepare_step(session, s));
        s->kernel = op->reference;
        if (!session->options.reference && op->choose != NULL) {
            kata_kernel fast = op->choose(&s->call);
            s->kernel = fast != NULL ? fast : s->kernel;
        }
    }
    return KATA_OK;
}

static kata_status set_steps(kata_session *session) {
    kata_tensor *operand = add_steps(session, session->operands, true);
    session->n_prepare = session->n_steps;
    add_steps(session, operand, false);
    session->first_update = session->n_steps;
    while (session->first_update > 0 &&
           is_optimiser_step(session->steps[session->first_update - 1].node)) {
        session->first_update--;
    }
    return choose_kernels(session);
}

static size_t note_shown(kata_tensor **shown, size_t n, kata_tensor *tensor) {
    if (shown != NULL) {
        shown[n] = tensor;
    }
    return n + 1;
}

/* Finds what shows the inputs' memory: how many there are, and which unless `shown` is NULL. */
static size_t find_shown(kata_session *session, kata_tensor **shown) {
    const kata_graph *graph = session->graph;
    const kata__place *places = session->plan.places;
    size_t n = 0;
    for (size_t i = 0; i < graph->n_inputs; i++) {
        const int32_t root = graph->inputs[i].id;
        session->first_shown[i] = n;
        for (size_t v = 1; v < graph->n_values; v++) {
            if (places[v].root == root) {
                n = note_shown(shown, n, &session->tensors[v]);
            }
        }
        for (size_t s = 0; s < session->n_steps; s++) {
            const kata__node *node = session->steps[s].node;
            for (int k = 0; k < node->n_inputs; k++) {
                if (places[node->inputs[k].id].root == root) {
                    n = note_shown(shown, n, (kata_tensor *)&session->steps[s].call.inputs[k]);
                }
            }
        }
    }
    session->first_shown[graph->n_inputs] = n;
    return n;
}

static void find_changed(kata_session *session) {
    const kata_graph *graph = session->graph;
    for (size_t i = 0; i < session->n_steps; i++) {
        const kata__node *node = session->steps[i].node;
        for (int k = 0; k < node->n_outputs && is_optimiser_step(node); k++) {
            const kata__place *place = &session->plan.places[node->outputs[k].id];
            if (graph->values[place->root].kind == KATA__VALUE_VARIABLE) {
                session->changed[session->n_changed++] = graph->values[place->root].variable;
            }
        }
    }
}

/* All sizes are known but those that depend on data. */
static kata_status check_bound(const kata_graph *graph, const bool *is_dynamic) {
    for (size_t i = 1; i < graph->n_values; i++) {
        const kata__value_info *info = &graph->values[i];
        if (info->kind == KATA__VALUE_NODE && is_dynamic != NULL && is_dynamic[info->node]) {
            continue;
        }
        if (kata_shape_count(&info->type.shape) < 0) {
            char text[KATA_SHAPE_TEXT_SIZE];
            return kata_fail(KATA_SHAPE,
                             "value %s has the shape %s; a session needs a graph whose sizes have "
                             "numbers (kata_graph_bind)",
                             info->name, kata_graph_shape_text(graph, &info->type.shape, text));
        }
    }
    return KATA_OK;
}

static kata_status find_dynamic(kata_session *session) {
    const kata_graph *graph = session->graph;
    size_t n = 0;
    session->is_dynamic =
        kata__alloc_zero(session->context, graph->n_nodes + 1, sizeof *session->is_dynamic);
    if (session->is_dynamic == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    kata__dynamic_find(graph, session->is_dynamic, &n);
    if (n == 0) {
        kata__free(session->context, session->is_dynamic);
        session->is_dynamic = NULL;
        return KATA_OK;
    }
    for (size_t i = 0; i < graph->n_nodes; i++) {
        if (session->is_dynamic[i] && (graph->nodes[i].op->flags & KATA_OP_UPDATE) != 0) {
            return kata_fail(KATA_UNSUPPORTED,
                             "%s writes a variable with what depends on values of open size",
                             graph->nodes[i].name);
        }
    }
    return kata__dynamic_new(
        &session->dynamic, graph,
        &(kata__dynamic_options){session->options.reference, session->options.check_finite});
}

static kata_status allocate(kata_session *session) {
    const kata_graph *graph = session->graph;
    size_t n_operands = 1;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        n_operands += (size_t)(graph->nodes[i].n_inputs + graph->nodes[i].n_outputs);
    }
    KATA__TRY(find_dynamic(session));
    KATA__TRY(check_bound(graph, session->is_dynamic));
    KATA__TRY(kata__plan_make(&session->plan, graph, session->options.keep_values,
                              session->prepared != NULL, session->is_dynamic));
    session->arena = kata__alloc_zero(session->context, session->plan.arena_bytes, 1);
    session->tensors =
        kata__alloc_zero(session->context, graph->n_values, sizeof *session->tensors);
    session->operands = kata__alloc_zero(session->context, n_operands, sizeof *session->operands);
    session->steps = kata__alloc_zero(session->context, graph->n_nodes + 1, sizeof *session->steps);
    session->first_shown =
        kata__alloc(session->context, graph->n_inputs + 1, sizeof *session->first_shown);
    session->changed = kata__alloc(session->context, n_operands, sizeof *session->changed);
    if (session->arena == NULL || session->tensors == NULL || session->operands == NULL ||
        session->steps == NULL || session->first_shown == NULL || session->changed == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    if (session->prepared == NULL) {
        return KATA_OK;
    }
    session->held = kata__alloc_zero(session->context, graph->n_values, sizeof *session->held);
    return session->held == NULL
               ? KATA_OUT_OF_MEMORY
               : kata__prepared_hold(session->prepared, graph, &session->plan, session->held);
}

kata_status kata_session_new(kata_session **out, const kata_graph *graph,
                             const kata_session_options *options) {
    return kata__session_new(out, graph, options, NULL);
}

kata_status kata__session_new(kata_session **out, const kata_graph *graph,
                              const kata_session_options *options, kata__prepared *prepared) {
    if (graph->status != KATA_OK) {
        return kata_fail(graph->status, "%s", kata_graph_message(graph));
    }
    kata_session *session = kata__alloc_zero(graph->context, 1, sizeof *session);
    if (session == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    session->context = graph->context;
    session->graph = graph;
    session->prepared = prepared;
    if (options != NULL) {
        session->options = *options;
    }
    kata_status status = allocate(session);
    if (status == KATA_OK) {
        set_tensors(session);
        status = set_steps(session);
    }
    if (status != KATA_OK) {
        kata_session_free(session);
        return status;
    }
    find_changed(session);
    session->shown =
        kata__alloc(session->context, find_shown(session, NULL) + 1, sizeof *session->shown);
    if (session->shown == NULL) {
        kata_session_free(session);
        return KATA_OUT_OF_MEMORY;
    }
    find_shown(session, session->shown);
    for (size_t i = 0; i < graph->n_variables; i++) {
        session->variable_bytes += kata_tensor_bytes(&graph->variables[i]->tensor);
    }
    *out = session;
    return KATA_OK;
}

void kata_session_free(kata_session *session) {
    if (session == NULL) {
        return;
    }
    for (size_t i = 0; i < session->n_steps; i++) {
        kata__call_release(&session->steps[i].call);
    }
    if (session->held != NULL) {
        kata__prepared_drop(session->prepared, session->held, session->graph->n_values);
        kata__free(session->context, session->held);
    }
    kata__plan_free(&session->plan, session->context);
    kata__dynamic_free(session->dynamic);
    kata__free(session->context, session->is_dynamic);
    kata__free(session->context, session->arena);
    kata__free(session->context, session->tensors);
    kata__free(session->context, session->operands);
    kata__free(session->context, session->steps);
    kata__free(session->context, session->shown);
    kata__free(session->context, session->first_shown);
    kata__free(session->context, session->changed);
    kata__free(session->context, session);
}

kata_tensor kata_session_value(kata_session *session, kata_value value) {
    if (kata__graph_info(session->graph, value) == NULL) {
        return (kata_tensor){.dtype = KATA_NO_DTYPE};
    }
    return session->tensors[value.id];
}

kata_tensor kata_session_input(kata_session *session, int i) {
    return kata_session_value(session, kata_graph_input_at(session->graph, i));
}

kata_tensor kata_session_output(kata_session *session, int i) {
    return kata_session_value(session, kata_graph_output_at(session->graph, i));
}

void kata__session_borrow(kata_session *session, int i, const void *data) {
    const kata__place *place = &session->plan.places[session->graph->inputs[i].id];
    void *memory = data != NULL ? (void *)(uintptr_t)data : session->arena + place->offset;
    for (size_t k = session->first_shown[i]; k < session->first_shown[i + 1]; k++) {
        session->shown[k]->data = memory;
    }
}

/* --- running --------------------------------------------------------------------------------- */

static bool all_finite(kata_context *context, const kata_tensor *tensor) {
    int64_t n = kata_tensor_count(tensor);
    if (tensor->dtype == KATA_F32 || tensor->dtype == KATA_F64) {
        return kata__all_finite(context, tensor->dtype, n, tensor->data);
    }
    for (int64_t i = 0; kata_dtype_is_float(tensor->dtype) && i < n; i++) {
        if (!isfinite(kata_load(tensor->dtype, tensor->data, i))) {
            return false;
        }
    }
    return true;
}

static kata_status fail_not_finite(const kata_session *session, const step *s,
                                   const kata_tensor *tensor, kata_value value) {
    int64_t i = 0;
    double x = 0;
    while (i < kata_tensor_count(tensor) &&
           isfinite(x = kata_load(tensor->dtype, tensor->data, i))) {
        i++;
    }
    return kata_fail(KATA_NON_FINITE, "%s made the first non-finite value: %s[%lld] is %g",
                     s->node->name, kata_value_name(session->graph, value), (long long)i, x);
}

static kata_status check_outputs(const kata_session *session, const step *s) {
    for (int k = 0; k < s->call.n_outputs; k++) {
        if (!all_finite(session->context, &s->call.outputs[k])) {
            return fail_not_finite(session, s, &s->call.outputs[k], s->node->outputs[k]);
        }
    }
    return KATA_OK;
}

static kata_status run_steps(kata_session *session, size_t from, size_t to, bool check) {
    for (size_t i = from; i < to; i++) {
        step *s = &session->steps[i];
        uint64_t start = session->options.profile ? kata__clock_ns() : 0;
        s->random.seed = session->now.seed;
        s->random.step = session->now.step;
        kata_status status = s->kernel(&s->call);
        if (status != KATA_OK) {
            return kata_fail_in(status, "%s", s->node->name);
        }
        if (check) {
            KATA__TRY(check_outputs(session, s));
        }
        s->calls++;
        if (session->options.profile) {
            s->nanoseconds += kata__clock_ns() - start;
        }
    }
    return KATA_OK;
}

/* Before the optimiser writes the parameters, every gradient must be finite, or what it is a
 * product of (kata:GemmUpdate, which looks at the gradient itself). If one is not, the steps run
 * again with a check after each: they are functions of the same inputs, so the same fault comes
 * back and the first node that makes it is named. */
static kata_status check_gradients(kata_session *session) {
    for (size_t i = session->first_update; i < session->n_steps; i++) {
        const step *s = &session->steps[i];
        for (int k = s->call.n_outputs; k < s->call.n_inputs; k++) {
            const kata_tensor *input = &s->call.inputs[k];
            const bool is_scalar = input->shape.rank == 0; /* learning rate, number of the step */
            if ((k == s->call.n_outputs || is_scalar) && !all_finite(session->context, input)) {
                KATA__TRY(run_steps(session, 0, session->first_update, true));
                return fail_not_finite(session, s, input, s->node->inputs[k]);
            }
        }
    }
    return KATA_OK;
}

/* Whether what a first step makes was made by another session. */
static bool is_made(const kata_session *session, const step *s, uint64_t version) {
    for (int k = 0; k < s->call.n_outputs && session->held != NULL; k++) {
        const kata__prepared_value *value = session->held[s->node->outputs[k].id];
        if (!value->is_made || value->version != version) {
            return false;
        }
    }
    return session->held != NULL;
}

static kata_status run_first_steps(kata_session *session, uint64_t version) {
    for (size_t i = 0; i < session->n_prepare; i++) {
        const step *s = &session->steps[i];
        if (is_made(session, s, version)) {
            continue;
        }
        KATA__TRY(run_steps(session, i, i + 1, session->options.check_finite));
        for (int k = 0; k < s->call.n_outputs && session->held != NULL; k++) {
            session->held[s->node->outputs[k].id]->is_made = true;
            session->held[s->node->outputs[k].id]->version = version;
        }
    }
    return KATA_OK;
}

/* Runs the first steps unless they have run on these very weights. Versions only grow, so their sum
 * tells any change. */
static kata_status prepare(kata_session *session) {
    const kata_graph *graph = session->graph;
    uint64_t version = 0;
    if (session->n_prepare == 0) {
        return KATA_OK;
    }
    if (session->prepared != NULL) {
        version = kata__prepared_version(session->prepared);
    } else {
        for (size_t i = 0; i < graph->n_variables; i++) {
            version += graph->variables[i]->version;
        }
    }
    if (session->is_prepared && version == session->prepared_version) {
        return KATA_OK;
    }
    session->is_prepared = false;
    if (session->prepared != NULL) {
        kata__prepared_lock(session->prepared);
    }
    const kata_status status = run_first_steps(session, version);
    if (session->prepared != NULL) {
        kata__prepared_unlock(session->prepared);
    }
    session->is_prepared = status == KATA_OK;
    session->prepared_version = version;
    return status;
}

static kata_status run_all(kata_session *session) {
    KATA__TRY(prepare(session));
    KATA__TRY(run_steps(session, session->n_prepare, session->first_update,
                        session->options.check_finite));
    KATA__TRY(check_gradients(session));
    KATA__TRY(run_steps(session, session->first_update, session->n_steps, false));
    return session->dynamic == NULL ? KATA_OK
                                    : kata__dynamic_run(session->dynamic, session->is_dynamic,
                                                        session->tensors, session->now);
}

kata_status kata_session_run(kata_session *session, uint64_t seed, uint64_t step_number) {
    session->now = (kata_call_random){.seed = seed, .step = step_number};
    uint64_t mode = kata__float_mode_flush();
    kata_status status = run_all(session);
    for (size_t i = 0; i < session->n_changed; i++) { /* whether or not all updates have run */
        kata_variable_changed(session->changed[i]);
    }
    kata__float_mode_set(mode);
    return status;
}

size_t kata_session_arena_bytes(const kata_session *session) {
    return session->plan.arena_bytes;
}

size_t kata_session_variable_bytes(const kata_session *session) {
    return session->variable_bytes;
}

int kata_session_n_profile(const kata_session *session) {
    return (int)session->n_steps;
}

kata_profile_row kata_session_profile(const kata_session *session, int i) {
    if (i < 0 || (size_t)i >= session->n_steps) {
        return (kata_profile_row){.node = ""};
    }
    const step *s = &session->steps[i];
    return (kata_profile_row){.node = s->node->name,
                              .op = s->node->op->name,
                              .kernel = s->kernel == s->node->op->reference ? "reference" : "fast",
                              .calls = s->calls,
                              .seconds = (double)s->nanoseconds * 1e-9,
                              .flops = s->node->op->flops != NULL
                                           ? s->node->op->flops(&s->call)
                                           : (double)kata_tensor_count(&s->call.outputs[0])};
}
