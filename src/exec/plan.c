/* The memory plan. A value lives from the node that makes it to the last node that reads it; two
 * values whose lives do not meet may share a place. */
#include "exec/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define ALIGNMENT ((size_t)64)

/* A block to be placed: a root value, or the workspace of a node. */
typedef struct block {
    size_t bytes, offset;
    int32_t first, last; /* node indices, both inclusive */
    int32_t value;       /* root value id, or -1 - node index for workspace */
} block;

typedef struct planner {
    const kata_graph *graph;
    kata__plan *plan;
    int32_t *first, *last; /* life of each root, by value id */
    block *blocks;
    size_t n_blocks;
    bool keep, apart;
} planner;

static size_t bytes_of(const kata_graph *graph, int32_t id) {
    const kata_type *type = &graph->values[id].type;
    int64_t count = kata_shape_count(&type->shape);
    return count > 0 ? (size_t)count * kata_dtype_size(type->dtype) : 0;
}

static size_t align(size_t n_bytes) {
    return (n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* True if output 0 of node `index` may be written over input k: the input's memory belongs to the
 * arena, is not read later, has the same size and type, and no other input reads it with another
 * shape. */
static bool can_overwrite(const planner *p, size_t index, int k) {
    const kata__node *node = &p->graph->nodes[index];
    int32_t input = node->inputs[k].id, output = node->outputs[0].id;
    int32_t root = p->plan->places[input].root;
    if (p->keep || (node->op->in_place >> k & 1) == 0 || input == 0 ||
        p->graph->values[root].kind != KATA__VALUE_NODE || p->last[root] != (int32_t)index ||
        p->graph->values[input].type.dtype != p->graph->values[output].type.dtype ||
        bytes_of(p->graph, input) != bytes_of(p->graph, output) ||
        bytes_of(p->graph, root) != bytes_of(p->graph, output)) {
        return false;
    }
    for (int i = 0; i < node->n_inputs; i++) {
        if (i != k && node->inputs[i].id != 0 && p->plan->places[node->inputs[i].id].root == root &&
            !kata_shape_equal(&p->graph->values[node->inputs[i].id].type.shape,
                              &p->graph->values[input].type.shape)) {
            return false;
        }
    }
    return true;
}

/* Of the part that is not planned: it reads planned values at the end, and its own have no place.
 */
static bool is_dynamic(const planner *p, size_t node) {
    return p->plan->is_dynamic != NULL && p->plan->is_dynamic[node];
}

/* Roots of views and updates, which must share memory. */
static void share_forced(planner *p) {
    const kata_graph *graph = p->graph;
    for (size_t i = 0; i < graph->n_values; i++) {
        p->plan->places[i].root = (int32_t)i;
    }
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const kata__node *node = &graph->nodes[i];
        if (node->removed || is_dynamic(p, i)) {
            continue;
        }
        if ((node->op->flags & KATA_OP_VIEW) != 0) {
            p->plan->places[node->outputs[0].id].root = p->plan->places[node->inputs[0].id].root;
        } else if ((node->op->flags & KATA_OP_UPDATE) != 0) {
            for (int k = 0; k < node->n_outputs; k++) {
                p->plan->places[node->outputs[k].id].root =
                    p->plan->places[node->inputs[k].id].root;
            }
        }
    }
}

bool kata__plan_prepares(const kata__plan *plan, const kata_graph *graph, const kata__node *node) {
    if (!graph->prepares || node->removed ||
        (plan->is_dynamic != NULL && plan->is_dynamic[node - graph->nodes]) ||
        (node->op->flags & (KATA_OP_RANDOM | KATA_OP_UPDATE)) != 0) {
        return false;
    }
    for (int k = 0; k < node->n_inputs; k++) {
        const kata__value_info *info = kata__graph_info(graph, node->inputs[k]);
        if (info != NULL && info->kind != KATA__VALUE_VARIABLE &&
            info->kind != KATA__VALUE_CONSTANT && !plan->prepared[node->inputs[k].id]) {
            return false;
        }
    }
    return true;
}

static void find_prepared(planner *p) {
    for (size_t i = 0; i < p->graph->n_nodes; i++) {
        const kata__node *node = &p->graph->nodes[i];
        bool prepares = kata__plan_prepares(p->plan, p->graph, node);
        for (int k = 0; k < node->n_outputs && prepares; k++) {
            p->plan->prepared[node->outputs[k].id] = true;
        }
    }
}

static void find_lives(planner *p) {
    const kata_graph *graph = p->graph;
    int32_t end = (int32_t)graph->n_nodes;
    for (size_t i = 0; i < graph->n_values; i++) {
        p->first[i] = end;
        p->last[i] = -1;
    }
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const kata__node *node = &graph->nodes[i];
        for (int k = 0; !node->removed && k < node->n_inputs; k++) {
            int32_t root = p->plan->places[node->inputs[k].id].root;
            p->last[root] = is_dynamic(p, i) || p->last[root] == end ? end : (int32_t)i;
        }
        for (int k = 0; !node->removed && !is_dynamic(p, i) && k < node->n_outputs; k++) {
            int32_t root = p->plan->places[node->outputs[k].id].root;
            p->first[root] = p->first[root] < (int32_t)i ? p->first[root] : (int32_t)i;
            p->last[root] = p->last[root] > (int32_t)i ? p->last[root] : (int32_t)i;
        }
    }
    for (size_t i = 0; i < graph->n_values; i++) {
        if (p->plan->prepared[i]) {
            int32_t root = p->plan->places[i].root;
            p->first[root] = 0;
            p->last[root] = end;
        }
    }
    for (size_t i = 0; i < graph->n_inputs; i++) {
        int32_t root = p->plan->places[graph->inputs[i].id].root;
        p->first[root] = 0;
        p->last[root] = end;
    }
    for (size_t i = 0; i < graph->n_outputs; i++) {
        p->last[p->plan->places[graph->outputs[i].id].root] = end;
    }
}

/* In-place results, in node order: the output takes over the input's memory and prolongs its life.
 */
static void share_in_place(planner *p) {
    const kata_graph *graph = p->graph;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const kata__node *node = &graph->nodes[i];
        if (node->removed || is_dynamic(p, i) || node->op->in_place == 0 ||
            (node->op->flags & (KATA_OP_VIEW | KATA_OP_UPDATE)) != 0) {
            continue;
        }
        int32_t output = node->outputs[0].id;
        for (int k = 0; k < node->n_inputs && k < 32; k++) {
            if (!can_overwrite(p, i, k)) {
                continue;
            }
            int32_t root = p->plan->places[node->inputs[k].id].root;
            for (size_t v = (size_t)output; v < graph->n_values; v++) {
                if (p->plan->places[v].root == output) { /* the output and the views of it */
                    p->plan->places[v].root = root;
                }
            }
            p->last[root] = p->last[output];
            break;
        }
    }
}

static bool is_used(const planner *p, int32_t id) {
    return p->last[id] >= 0 && p->plan->places[id].root == id;
}

/* Scratch of a node, from its row, and *per_thread of each worker; the call has types but no data
 * yet. */
static size_t workspace_of(const kata_graph *graph, const kata__node *node, size_t *per_thread) {
    const kata_op *op = node->op;
    *per_thread = 0;
    if ((op->workspace == NULL && op->per_thread_workspace == NULL) || node->removed) {
        return 0;
    }
    kata_tensor inputs[KATA_MAX_INPUTS] = {{0}}, outputs[KATA_MAX_OUTPUTS] = {{0}};
    for (int k = 0; k < node->n_inputs; k++) {
        const kata__value_info *info = kata__graph_info(graph, node->inputs[k]);
        if (info != NULL) {
            inputs[k] = kata_tensor_view(NULL, info->type.dtype, &info->type.shape);
        }
    }
    for (int k = 0; k < node->n_outputs; k++) {
        const kata__value_info *info = kata__graph_info(graph, node->outputs[k]);
        outputs[k] = kata_tensor_view(NULL, info->type.dtype, &info->type.shape);
    }
    kata_call call = {.op = op,
                      .context = graph->context,
                      .attributes = node->attributes,
                      .n_inputs = node->n_inputs,
                      .n_captured = node->n_captured,
                      .n_outputs = node->n_outputs,
                      .inputs = inputs,
                      .outputs = outputs};
    *per_thread = op->per_thread_workspace != NULL ? op->per_thread_workspace(&call) : 0;
    return op->workspace != NULL ? op->workspace(&call) : 0;
}

static void collect_blocks(planner *p) {
    const kata_graph *graph = p->graph;
    int32_t end = (int32_t)graph->n_nodes;
    for (size_t i = 1; i < graph->n_values; i++) {
        kata__value_kind kind = graph->values[i].kind;
        if (kind == KATA__VALUE_NODE && is_dynamic(p, (size_t)graph->values[i].node)) {
            continue;
        }
        if ((kind == KATA__VALUE_NODE || kind == KATA__VALUE_INPUT) && is_used(p, (int32_t)i) &&
            !(p->apart && p->plan->prepared[i])) {
            p->plan->places[i].in_arena = true;
            p->blocks[p->n_blocks++] = (block){.bytes = align(bytes_of(graph, (int32_t)i)),
                                               .first = p->keep ? 0 : p->first[i],
                                               .last = p->keep ? end : p->last[i],
                                               .value = (int32_t)i};
        }
    }
    for (size_t i = 0; i < graph->n_nodes; i++) {
        size_t per_thread, bytes = workspace_of(graph, &graph->nodes[i], &per_thread);
        p->plan->workspace_bytes[i] = bytes;
        p->plan->per_thread_step = align(per_thread) > p->plan->per_thread_step
                                       ? align(per_thread)
                                       : p->plan->per_thread_step;
        if (bytes > 0) {
            p->blocks[p->n_blocks++] = (block){.bytes = align(bytes),
                                               .first = (int32_t)i,
                                               .last = (int32_t)i,
                                               .value = -1 - (int32_t)i};
        }
    }
}

static int larger_first(const void *left, const void *right) {
    const block *a = left, *b = right;
    if (a->bytes != b->bytes) {
        return a->bytes > b->bytes ? -1 : 1;
    }
    return a->value < b->value ? -1 : a->value > b->value;
}

/* The lowest offset at which blocks[index] meets none of the placed blocks that live when it does.
 * placed[] is sorted by offset. */
static size_t lowest_gap(const block *blocks, size_t index, const size_t *placed, size_t n_placed) {
    const block *wanted = &blocks[index];
    size_t offset = 0;
    for (size_t i = 0; i < n_placed; i++) {
        const block *other = &blocks[placed[i]];
        if (other->last < wanted->first || other->first > wanted->last) {
            continue;
        }
        if (other->offset >= offset + wanted->bytes) {
            break;
        }
        if (other->offset + other->bytes > offset) {
            offset = other->offset + other->bytes;
        }
    }
    return offset;
}

static void place_blocks(planner *p, size_t *placed) {
    qsort(p->blocks, p->n_blocks, sizeof *p->blocks, larger_first);
    for (size_t i = 0; i < p->n_blocks; i++) {
        block *b = &p->blocks[i];
        b->offset = lowest_gap(p->blocks, i, placed, i);
        size_t at = i;
        while (at > 0 && p->blocks[placed[at - 1]].offset > b->offset) {
            placed[at] = placed[at - 1];
            at--;
        }
        placed[at] = i;
        if (b->offset + b->bytes > p->plan->arena_bytes) {
            p->plan->arena_bytes = b->offset + b->bytes;
        }
        if (b->value >= 0) {
            p->plan->places[b->value].offset = b->offset;
        } else {
            p->plan->workspace_offset[-1 - b->value] = b->offset;
        }
    }
    p->plan->per_thread_offset = p->plan->arena_bytes;
    p->plan->arena_bytes +=
        p->plan->per_thread_step * (size_t)kata_context_threads(p->graph->context);
}

kata_status kata__plan_make(kata__plan *plan, const kata_graph *graph, bool keep, bool apart,
                            const bool *is_dynamic_node) {
    kata_context *context = graph->context;
    size_t n_values = graph->n_values, n_nodes = graph->n_nodes;
    *plan = (kata__plan){.is_dynamic = is_dynamic_node};
    plan->places = kata__alloc_zero(context, n_values, sizeof *plan->places);
    plan->workspace_offset = kata__alloc_zero(context, n_nodes + 1, sizeof *plan->workspace_offset);
    plan->workspace_bytes = kata__alloc_zero(context, n_nodes + 1, sizeof *plan->workspace_bytes);
    plan->prepared = kata__alloc_zero(context, n_values, sizeof *plan->prepared);
    planner p = {.graph = graph, .plan = plan, .keep = keep, .apart = apart};
    p.first = kata__alloc(context, n_values, sizeof *p.first);
    p.last = kata__alloc(context, n_values, sizeof *p.last);
    p.blocks = kata__alloc(context, n_values + n_nodes, sizeof *p.blocks);
    size_t *placed = kata__alloc(context, n_values + n_nodes, sizeof *placed);
    kata_status status = KATA_OUT_OF_MEMORY;
    if (plan->places != NULL && plan->workspace_offset != NULL && plan->workspace_bytes != NULL &&
        plan->prepared != NULL && p.first != NULL && p.last != NULL && p.blocks != NULL &&
        placed != NULL) {
        find_prepared(&p);
        share_forced(&p);
        find_lives(&p);
        share_in_place(&p);
        collect_blocks(&p);
        place_blocks(&p, placed);
        status = KATA_OK;
    }
    kata__free(context, p.first);
    kata__free(context, p.last);
    kata__free(context, p.blocks);
    kata__free(context, placed);
    if (status != KATA_OK) {
        kata__plan_free(plan, context);
    }
    return status;
}

void kata__plan_free(kata__plan *plan, kata_context *context) {
    kata__free(context, plan->places);
    kata__free(context, plan->workspace_offset);
    kata__free(context, plan->workspace_bytes);
    kata__free(context, plan->prepared);
    *plan = (kata__plan){0};
}

kata_status kata__plan_arena_bytes(size_t *n_bytes, const kata_graph *graph) {
    kata__plan plan;
    KATA__TRY(kata__plan_make(&plan, graph, false, false, NULL));
    *n_bytes = plan.arena_bytes;
    kata__plan_free(&plan, graph->context);
    return KATA_OK;
}
