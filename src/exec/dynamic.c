/* The dynamic part of a session, and the runs of subgraphs. */
#include "exec/dynamic.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"

/* All that a run may take for values whose size depends on data. */
#define MAXIMUM ((size_t)1 << 32)
#define FIRST_CHUNK ((size_t)1 << 16)
#define ALIGNMENT ((size_t)64)
enum { MAX_CHUNKS = 64, MAX_BUFFERS = 128 };

typedef struct chunk {
    char *bytes;
    size_t size;
} chunk;

/* Memory is a stack over a few chunks, each at least as large as all before it. A run that needed
 * more than one leaves one of their common size to the next run, so that equal runs allocate
 * nothing. */
struct kata__dynamic {
    kata_run run; /* first: a kata_run is the kata__dynamic it is part of */
    kata_context *context;
    const kata_graph *graph;
    kata__dynamic_options options;
    kata_call_random now;
    chunk chunks[MAX_CHUNKS];
    size_t n_chunks, at, used; /* the chunk in use, and of it */
    chunk buffers[MAX_BUFFERS];
    size_t n_bytes; /* of chunks and buffers */
};

static kata__dynamic *of(kata_run *run) {
    return (kata__dynamic *)run;
}

static size_t align(size_t n_bytes) {
    return (n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static kata_status check_room(const kata__dynamic *d, size_t n_bytes) {
    if (n_bytes > MAXIMUM || d->n_bytes > MAXIMUM - n_bytes) {
        return kata_fail(KATA_LIMIT,
                         "values whose size depends on the data need more than %zu MiB; use "
                         "smaller inputs",
                         MAXIMUM >> 20);
    }
    return KATA_OK;
}

static kata_status add_chunk(kata__dynamic *d, size_t n_bytes) {
    size_t size = d->n_chunks > 0 ? 2 * d->chunks[d->n_chunks - 1].size : FIRST_CHUNK;
    size = size < n_bytes ? align(n_bytes) : size;
    if (check_room(d, size) != KATA_OK) {
        size = n_bytes; /* what is wanted, if not room for more */
        KATA__TRY(check_room(d, size));
    }
    if (d->n_chunks == MAX_CHUNKS) {
        return kata_fail(KATA_LIMIT,
                         "values whose size depends on the data are in too many pieces");
    }
    char *bytes = kata__alloc(d->context, size, 1);
    if (bytes == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    d->chunks[d->n_chunks++] = (chunk){bytes, size};
    d->n_bytes += size;
    return KATA_OK;
}

static void *memory(kata_run *run, size_t n_bytes) {
    kata__dynamic *d = of(run);
    if (n_bytes > MAXIMUM) {
        run->status = check_room(d, n_bytes);
        return NULL;
    }
    n_bytes = align(n_bytes);
    while (d->at < d->n_chunks && d->chunks[d->at].size - d->used < n_bytes) {
        d->at++;
        d->used = 0;
    }
    if (d->at == d->n_chunks && (run->status = add_chunk(d, n_bytes)) != KATA_OK) {
        return NULL;
    }
    void *taken = d->chunks[d->at].bytes + d->used;
    d->used += n_bytes;
    return taken;
}

static kata__run_mark mark(kata_run *run) {
    return (kata__run_mark){of(run)->at, of(run)->used};
}

static void release(kata_run *run, kata__run_mark place) {
    of(run)->at = place.chunk;
    of(run)->used = place.used;
}

static void *buffer(kata_run *run, int i, size_t n_bytes) {
    kata__dynamic *d = of(run);
    if (i >= MAX_BUFFERS) {
        run->status =
            kata_fail(KATA_LIMIT, "loops within loops collect more than %d outputs", MAX_BUFFERS);
        return NULL;
    }
    chunk *b = &d->buffers[i];
    if (b->size >= n_bytes && b->bytes != NULL) {
        return b->bytes;
    }
    size_t size = n_bytes < MAXIMUM / 2 ? 2 * n_bytes + ALIGNMENT : n_bytes;
    d->n_bytes -= b->size;
    char *bytes = NULL;
    run->status = check_room(d, size);
    if (run->status != KATA_OK) {
        run->status = check_room(d, size = n_bytes);
    }
    if (run->status == KATA_OK) {
        bytes = kata__alloc(d->context, size, 1);
        run->status = bytes == NULL ? KATA_OUT_OF_MEMORY : KATA_OK;
    }
    d->n_bytes += b->size;
    if (bytes == NULL) {
        return NULL;
    }
    if (b->size > 0) {
        memcpy(bytes, b->bytes, b->size);
    }
    kata__free(d->context, b->bytes);
    d->n_bytes += size - b->size;
    *b = (chunk){bytes, size};
    return bytes;
}

/* --- keeping values over a release -------------------------------------------------------------
 */

static size_t deep_bytes(const kata_tensor *tensor) {
    const int64_t count = tensor->dtype != KATA_NO_DTYPE ? kata_tensor_count(tensor) : 0;
    size_t n_bytes = 0;
    if (tensor->dtype == KATA_TENSORS) {
        n_bytes = align((size_t)count * sizeof(kata_tensor));
        for (int64_t i = 0; i < count; i++) {
            n_bytes += deep_bytes(&kata__sequence_elements(tensor)[i]);
        }
        return n_bytes;
    }
    n_bytes = tensor->dtype != KATA_NO_DTYPE ? kata_tensor_bytes(tensor) : 0;
    for (int64_t i = 0; tensor->dtype == KATA_STRING && i < count; i++) {
        n_bytes += (size_t)((const kata_string *)tensor->data)[i].n_bytes;
    }
    return align(n_bytes);
}

/* Copies what a tensor holds to *to and moves *to on. */
static void deep_copy(kata_tensor *tensor, char **to) {
    const int64_t count = tensor->dtype != KATA_NO_DTYPE ? kata_tensor_count(tensor) : 0;
    const size_t whole = deep_bytes(tensor);
    char *begin = *to;
    if (tensor->dtype == KATA_TENSORS) {
        kata_tensor *elements = (kata_tensor *)(void *)begin;
        const size_t n_bytes = (size_t)count * sizeof *elements;
        if (n_bytes > 0) {
            memcpy(elements, tensor->data, n_bytes);
        }
        *to += align(n_bytes);
        for (int64_t i = 0; i < count; i++) {
            deep_copy(&elements[i], to);
        }
        tensor->data = elements;
        return;
    }
    const size_t n_bytes = tensor->dtype != KATA_NO_DTYPE ? kata_tensor_bytes(tensor) : 0;
    if (n_bytes > 0) {
        memcpy(begin, tensor->data, n_bytes);
    }
    char *bytes = begin + n_bytes;
    kata_string *strings = (kata_string *)(void *)begin;
    for (int64_t i = 0; tensor->dtype == KATA_STRING && i < count; i++) {
        if (strings[i].n_bytes > 0) {
            memcpy(bytes, strings[i].data, (size_t)strings[i].n_bytes);
        }
        strings[i].data = bytes;
        bytes += strings[i].n_bytes;
    }
    tensor->data = begin;
    *to += whole;
}

static kata_status keep(kata_run *run, kata__run_mark place, kata_tensor *tensors, int n) {
    size_t n_bytes = 0;
    for (int i = 0; i < n; i++) {
        n_bytes += deep_bytes(&tensors[i]);
    }
    char *aside = buffer(run, run->n_buffers, n_bytes), *at = aside;
    if (aside == NULL) {
        return run->status;
    }
    for (int i = 0; i < n; i++) {
        deep_copy(&tensors[i], &at);
    }
    release(run, place);
    at = memory(run, n_bytes);
    if (at == NULL) {
        return run->status;
    }
    for (int i = 0; i < n; i++) {
        deep_copy(&tensors[i], &at);
    }
    return KATA_OK;
}

/* --- nodes -------------------------------------------------------------------------------------
 */

typedef struct operands {
    kata_tensor inputs[KATA_MAX_INPUTS], outputs[KATA_MAX_OUTPUTS];
    kata_type in[KATA_MAX_INPUTS], out[KATA_MAX_OUTPUTS];
    const kata_tensor *constants[KATA_MAX_INPUTS];
} operands;

/* The inputs, and their types: the sizes that they have now, the kinds that the graph says. */
static void gather(const kata_graph *graph, const kata__node *node, const kata_tensor *tensors,
                   operands *o) {
    for (int k = 0; k < node->n_inputs; k++) {
        const kata__value_info *info = kata__graph_info(graph, node->inputs[k]);
        o->inputs[k] = info != NULL ? tensors[node->inputs[k].id] : (kata_tensor){0};
        o->in[k] = info != NULL ? info->type : (kata_type){0};
        o->constants[k] = NULL;
        if (info != NULL && info->type.kind == KATA_KIND_TENSOR) {
            o->in[k].shape = o->inputs[k].shape;
            o->constants[k] = &o->inputs[k];
        }
    }
}

static kata_status infer(const kata__node *node, operands *o) {
    kata_infer rule = {.op = node->op,
                       .attributes = node->attributes,
                       .n_inputs = node->n_inputs,
                       .n_outputs = node->n_outputs,
                       .inputs = o->in,
                       .constants = o->constants,
                       .outputs = o->out,
                       .n_captured = node->n_captured};
    for (int k = 0; k < node->n_outputs; k++) {
        o->out[k] = (kata_type){.dtype = KATA_NO_DTYPE};
    }
    return node->op->infer(&rule);
}

/* Memory for the outputs and for the kernel's scratch, then the kernel. */
static kata_status compute(kata__dynamic *d, const kata__node *node, kata_call *call, operands *o) {
    const kata_op *op = node->op;
    char text[KATA_SHAPE_TEXT_SIZE];
    for (int k = 0; k < node->n_outputs; k++) {
        if (kata_shape_count(&o->out[k].shape) < 0) {
            return kata_fail(KATA_SHAPE,
                             "output %d has the shape %s even now that all inputs are known", k,
                             kata_shape_text(&o->out[k].shape, text));
        }
        KATA__TRY(kata_call_output(call, k, o->out[k].dtype, &o->out[k].shape));
    }
    if (op->workspace != NULL) {
        call->workspace_bytes = op->workspace(call);
        call->workspace = memory(&d->run, call->workspace_bytes);
    }
    if (op->per_thread_workspace != NULL) {
        call->per_thread_step = align(op->per_thread_workspace(call));
        call->per_thread_workspace =
            memory(&d->run, call->per_thread_step * (size_t)kata_context_threads(d->context));
    }
    if ((op->workspace != NULL && call->workspace == NULL) ||
        (op->per_thread_workspace != NULL && call->per_thread_workspace == NULL)) {
        return d->run.status;
    }
    kata_kernel fast = !d->options.reference && op->choose != NULL ? op->choose(call) : NULL;
    return (fast != NULL ? fast : op->reference)(call);
}

static kata_status check_finite(const kata_graph *graph, const kata__node *node,
                                const kata_tensor *outputs) {
    for (int k = 0; k < node->n_outputs; k++) {
        const kata_tensor *t = &outputs[k];
        for (int64_t i = 0; kata_dtype_is_float(t->dtype) && i < kata_tensor_count(t); i++) {
            double x = kata_load(t->dtype, t->data, i);
            if (!isfinite(x)) {
                return kata_fail(KATA_NON_FINITE,
                                 "made the first non-finite value: %s[%" PRId64 "] is %g",
                                 kata_value_name(graph, node->outputs[k]), i, x);
            }
        }
    }
    return KATA_OK;
}

static kata_status run_operator(kata__dynamic *d, const kata__node *node, operands *o) {
    kata_call_random random = d->now;
    random.stream = node->stream;
    kata_call call = {.op = node->op,
                      .context = d->context,
                      .attributes = node->attributes,
                      .n_inputs = node->n_inputs,
                      .n_outputs = node->n_outputs,
                      .inputs = o->inputs,
                      .outputs = o->outputs,
                      .random = &random,
                      .n_captured = node->n_captured,
                      .run = &d->run};
    KATA__TRY(infer(node, o));
    if ((node->op->flags & KATA_OP_VIEW) != 0) {
        o->outputs[0] = kata_tensor_view(o->inputs[0].data, o->out[0].dtype, &o->out[0].shape);
        if (o->inputs[0].dtype == KATA_TENSORS || o->inputs[0].dtype == KATA_NO_DTYPE) {
            o->outputs[0] = o->inputs[0]; /* Identity of a sequence */
        }
        return KATA_OK;
    }
    return (node->op->flags & KATA_OP_DYNAMIC) != 0 ? node->op->reference(&call)
                                                    : compute(d, node, &call, o);
}

static kata_status run_node(kata__dynamic *d, const kata_graph *graph, const kata__node *node,
                            kata_tensor *tensors) {
    operands o;
    gather(graph, node, tensors, &o);
    memset(o.outputs, 0, (size_t)node->n_outputs * sizeof o.outputs[0]);
    kata_status status = run_operator(d, node, &o);
    if (status == KATA_OK && d->options.check_finite) {
        status = check_finite(graph, node, o.outputs);
    }
    if (status != KATA_OK) {
        return kata_fail_in(status, "%s", node->name);
    }
    for (int k = 0; k < node->n_outputs; k++) {
        tensors[node->outputs[k].id] = o.outputs[k];
    }
    return KATA_OK;
}

static kata_status run_nodes(kata__dynamic *d, const kata_graph *graph, const bool *is_wanted,
                             kata_tensor *tensors) {
    for (size_t i = 0; i < graph->n_nodes; i++) {
        if (!graph->nodes[i].removed && (is_wanted == NULL || is_wanted[i])) {
            KATA__TRY(run_node(d, graph, &graph->nodes[i], tensors));
        }
    }
    return KATA_OK;
}

static kata_status subgraph(kata_run *run, const kata_call *call, int attribute,
                            const kata_tensor *inputs, int n_inputs, kata_tensor *outputs) {
    const kata_graph *graph = call->attributes[attribute].graph;
    kata_tensor *tensors = memory(run, graph->n_values * sizeof *tensors);
    if (tensors == NULL) {
        return run->status;
    }
    if (n_inputs != kata_graph_n_inputs(graph)) {
        return kata_fail(KATA_INVALID, "the subgraph %s has %d inputs, %d are given", graph->name,
                         kata_graph_n_inputs(graph), n_inputs);
    }
    for (size_t i = 0; i < graph->n_values; i++) {
        const kata__value_info *info = &graph->values[i];
        tensors[i] =
            i > 0 && info->kind == KATA__VALUE_CONSTANT ? info->constant : (kata_tensor){0};
    }
    for (int i = 0; i < n_inputs; i++) {
        tensors[kata_graph_input_at(graph, i).id] = inputs[i];
    }
    for (int i = 0; i < kata_graph_n_captures(graph); i++) {
        kata_value inside;
        int k = kata_graph_capture_at(graph, i, &inside);
        tensors[inside.id] = call->inputs[k];
    }
    KATA__TRY(run_nodes(of(run), graph, NULL, tensors));
    for (int i = 0; i < kata_graph_n_outputs(graph); i++) {
        outputs[i] = tensors[kata_graph_output_at(graph, i).id];
    }
    return KATA_OK;
}

/* --- the part as a whole -----------------------------------------------------------------------
 */

static bool is_open(const kata_graph *graph, kata_value value, const bool *is_dynamic) {
    const kata__value_info *info = kata__graph_info(graph, value);
    return info != NULL && info->kind == KATA__VALUE_NODE && is_dynamic[info->node];
}

void kata__dynamic_find(const kata_graph *graph, bool *is_dynamic, size_t *n) {
    *n = 0;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const kata__node *node = &graph->nodes[i];
        bool found = (node->op->flags & KATA_OP_DYNAMIC) != 0;
        if ((node->op->flags & KATA_OP_MAKES_STRINGS) != 0) {
            found = found || kata_value_dtype(graph, node->outputs[0]) == KATA_STRING;
        }
        for (int k = 0; k < node->n_inputs && !found; k++) {
            found = is_open(graph, node->inputs[k], is_dynamic);
        }
        for (int k = 0; k < node->n_outputs && !found; k++) {
            const kata__value_info *info = kata__graph_info(graph, node->outputs[k]);
            for (int axis = 0; axis < info->type.shape.rank; axis++) {
                found = found || info->type.shape.dim[axis] < 0;
            }
        }
        is_dynamic[i] = found && !node->removed;
        *n += is_dynamic[i];
    }
}

kata_status kata__dynamic_new(kata__dynamic **out, const kata_graph *graph,
                              const kata__dynamic_options *options) {
    kata__dynamic *d = kata__alloc_zero(graph->context, 1, sizeof *d);
    if (d == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    d->run = (kata_run){.memory = memory,
                        .mark = mark,
                        .release = release,
                        .keep = keep,
                        .buffer = buffer,
                        .subgraph = subgraph};
    d->context = graph->context;
    d->graph = graph;
    d->options = *options;
    *out = d;
    return KATA_OK;
}

static void free_chunks(kata__dynamic *d) {
    for (size_t i = 0; i < d->n_chunks; i++) {
        d->n_bytes -= d->chunks[i].size;
        kata__free(d->context, d->chunks[i].bytes);
    }
    d->n_chunks = 0;
}

void kata__dynamic_free(kata__dynamic *d) {
    if (d == NULL) {
        return;
    }
    free_chunks(d);
    for (int i = 0; i < MAX_BUFFERS; i++) {
        kata__free(d->context, d->buffers[i].bytes);
    }
    kata__free(d->context, d);
}

kata_status kata__dynamic_run(kata__dynamic *d, const bool *is_dynamic, kata_tensor *tensors,
                              kata_call_random now) {
    if (d->n_chunks > 1) {
        size_t whole = 0;
        for (size_t i = 0; i < d->n_chunks; i++) {
            whole += d->chunks[i].size;
        }
        free_chunks(d);
        KATA__TRY(add_chunk(d, whole));
    }
    d->at = d->used = 0;
    d->run.n_buffers = 0;
    d->now = now;
    return run_nodes(d, d->graph, is_dynamic, tensors);
}

size_t kata__dynamic_bytes(const kata__dynamic *d) {
    return d->n_bytes;
}
