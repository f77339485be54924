/* Recomputation ("gradient checkpointing": Chen, Xu, Zhang, Guestrin, "Training Deep Nets with
 * Sublinear Memory Cost", 2016): what the backward pass reads of the forward pass is not all kept
 * from the one to the other. The forward nodes are divided into segments; kept is what crosses from
 * one segment into the next, and the rest of a segment is computed a second time, from what is
 * kept, right before the first backward node that reads any of it. Of n equal layers in a chain
 * about sqrt(2 n) are then alive at once instead of n, for at most one forward pass more.
 *
 * A second run gives the bits of the first: it has the same kernel, the same attributes and the
 * same stream of random numbers, and it reads the same numbers. For these to be the same, no
 * variable may change in between. Optimisers write last of all; an update that comes earlier, that
 * of running statistics, is put off to behind the last second run where nobody reads the variable
 * in the meantime, and where somebody does, the nodes that read it run once. No update runs twice.
 *
 * Only places in memory are at stake, so the memory plan is the judge: several divisions are
 * planned and the smallest is taken, if it is smaller than the graph as it is. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "graph/copy.h"
#include "pass/pass.h"

enum {
    LIMITS = 16,      /* are tried */
    WORTH = 128,      /* a plan must save this part of the best so far to take its place */
    NODE_BYTES = 1024 /* what graph and session take for one more node, about */
};

/* A node of the forward pass as the division sees it. A view belongs to the node whose memory it
 * shows. */
typedef struct part {
    size_t bytes;     /* of its outputs that some node reads */
    size_t saved;     /* of those that are read behind the loss */
    size_t small;     /* of small ones that are kept in any case */
    size_t last_read; /* the last forward node that reads any of its outputs */
    bool fixed;       /* runs once in any case */
} part;

typedef struct recompute {
    const kata_graph *graph;
    size_t n_forward;         /* nodes[0 .. n_forward): up to the one that makes the loss */
    size_t last;              /* the last node that is no update */
    int32_t *root;            /* by value: the value whose memory it is */
    bool *read, *read_behind; /* by root: by any node that is no update, by one behind the loss */
    bool *small;              /* by root: kept, though its node may run again for other outputs */
    bool *put_off;            /* by node: an update that waits for `last` */
    part *parts;              /* by forward node */
    size_t *best;             /* best[c]: the least that nodes[0 .. c) can keep within the limit */
    size_t *begin;            /* begin[c]: where the last of their segments then begins */
    int32_t *segment;         /* by node: the segment with which it runs again, 0: it runs once */
} recompute;

static bool is_update(const kata__node *node) {
    return (node->op->flags & KATA_OP_UPDATE) != 0;
}

static bool is_view(const kata__node *node) {
    return (node->op->flags & KATA_OP_VIEW) != 0;
}

static size_t bytes_of(const kata_graph *graph, int32_t id) {
    const kata_type *type = &graph->values[id].type;
    return (size_t)kata_shape_count(&type->shape) * kata_dtype_size(type->dtype);
}

/* The node that makes the memory of a value, -1 if it is no node's. */
static int32_t owner(const recompute *r, kata_value value) {
    const kata__value_info *info = &r->graph->values[r->root[value.id]];
    return value.id != 0 && info->kind == KATA__VALUE_NODE ? info->node : -1;
}

/* --- what may run again ---------------------------------------------------------------------- */

static void find_roots(recompute *r) {
    for (size_t i = 0; i < r->graph->n_values; i++) {
        r->root[i] = (int32_t)i;
    }
    for (size_t i = 0; i < r->graph->n_nodes; i++) {
        const kata__node *node = &r->graph->nodes[i];
        for (int k = 0; k < node->n_outputs && !node->removed; k++) {
            if (is_update(node) || (is_view(node) && k == 0)) {
                r->root[node->outputs[k].id] = r->root[node->inputs[k].id];
            }
        }
    }
}

/* True if update `i` may wait for node `last`: until there nobody else reads what it writes or
 * writes what it reads. */
static bool may_wait(const recompute *r, size_t i) {
    const kata__node *update = &r->graph->nodes[i];
    for (size_t j = i + 1; j <= r->last; j++) {
        const kata__node *node = &r->graph->nodes[j];
        for (int k = 0; k < node->n_inputs && !node->removed; k++) {
            int32_t root = r->root[node->inputs[k].id];
            bool writes = is_update(node) && k < node->n_outputs;
            for (int m = 0; m < update->n_inputs; m++) {
                bool concerns = m < update->n_outputs || writes;
                if (concerns && root != 0 && root == r->root[update->inputs[m].id]) {
                    return false;
                }
            }
        }
    }
    return true;
}

/* Puts updates off; what reads the variables of the others up to `last` runs once. changed: by
 * value, all false. */
static void order_updates(recompute *r, bool *changed) {
    const kata_graph *graph = r->graph;
    for (size_t i = 0; i < r->last; i++) {
        const kata__node *node = &graph->nodes[i];
        if (!node->removed && is_update(node)) {
            r->put_off[i] = may_wait(r, i);
            for (int k = 0; k < node->n_outputs && !r->put_off[i]; k++) {
                changed[r->root[node->inputs[k].id]] = true;
            }
        }
    }
    for (size_t i = 0; i < r->n_forward; i++) {
        const kata__node *node = &graph->nodes[i];
        r->parts[i].fixed = node->removed || is_update(node) || is_view(node);
        for (int k = 0; k < node->n_inputs; k++) {
            r->parts[i].fixed |= changed[r->root[node->inputs[k].id]];
        }
    }
}

/* Who reads what. Updates read what the first run made, so they ask for no second one; and what a
 * graph gives is alive to the end as it is. */
static void find_reads(recompute *r) {
    const kata_graph *graph = r->graph;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const kata__node *node = &graph->nodes[i];
        for (int k = 0; k < node->n_inputs && !node->removed && !is_update(node); k++) {
            int32_t made_by = owner(r, node->inputs[k]), root = r->root[node->inputs[k].id];
            if (made_by < 0 || (size_t)made_by >= r->n_forward) {
                continue;
            }
            r->read[root] = true;
            if (i >= r->n_forward) {
                r->read_behind[root] = true;
            } else {
                r->parts[made_by].last_read = i; /* i only grows */
            }
        }
    }
    for (size_t i = 0; i < graph->n_outputs; i++) {
        int32_t made_by = owner(r, graph->outputs[i]), root = r->root[graph->outputs[i].id];
        if (made_by >= 0 && (size_t)made_by < r->n_forward) {
            r->parts[made_by].fixed = true;
            r->read[root] = r->read_behind[root] = false;
        }
    }
}

/* What the parts weigh. With keep_small, an output of at most a quarter of its node's largest one
 * (the mask of Dropout, the places of maxima, the statistics of a batch) is kept: no node runs
 * again for its sake alone. */
static void weigh(recompute *r, bool keep_small) {
    for (size_t i = 0; i < r->n_forward; i++) {
        const kata__node *node = &r->graph->nodes[i];
        part *a = &r->parts[i];
        size_t largest = 0;
        a->bytes = a->saved = a->small = 0;
        for (int k = 0; k < node->n_outputs; k++) {
            size_t bytes = bytes_of(r->graph, node->outputs[k].id);
            largest = bytes > largest ? bytes : largest;
        }
        for (int k = 0; k < node->n_outputs; k++) {
            int32_t id = node->outputs[k].id;
            size_t bytes = bytes_of(r->graph, id);
            r->small[id] = keep_small && bytes <= largest / 4;
            a->small += r->small[id] && r->read_behind[id] ? bytes : 0;
            a->bytes += !r->small[id] && r->read[id] ? bytes : 0;
            a->saved += !r->small[id] && r->read_behind[id] ? bytes : 0;
        }
    }
}

/* --- dividing -------------------------------------------------------------------------------- */

/* Divides the forward nodes so that at the end of each segment what is kept of all so far and what
 * the segment has to make anew is at most `limit` bytes, and keeps the least then:
 *
 *     best[c] = min over p of best[p] + kept(p, c)
 *               where best[p] + kept(p, c) + anew(p, c) <= limit
 *
 * kept(p, c): what nodes[p .. c) make that forward nodes from c on read, and what of them cannot
 * run again; anew(p, c): what else of them is read behind the loss. False if there is no such
 * division. */
static bool divide(recompute *r, size_t limit) {
    r->best[0] = 0;
    for (size_t c = 1; c <= r->n_forward; c++) {
        size_t kept = 0, anew = 0;
        r->best[c] = SIZE_MAX;
        for (size_t p = c; p > 0 && kept + anew <= limit; p--) {
            const part *a = &r->parts[p - 1];
            kept += a->small + (a->last_read >= c ? a->bytes : a->fixed ? a->saved : 0);
            anew += a->last_read >= c || a->fixed ? 0 : a->saved;
            size_t before = r->best[p - 1];
            if (before < SIZE_MAX && before + kept + anew <= limit && before + kept < r->best[c]) {
                r->best[c] = before + kept;
                r->begin[c] = p - 1;
            }
        }
    }
    return r->best[r->n_forward] < SIZE_MAX;
}

/* The segments of the last division. The last one runs once: the backward pass begins with it. */
static void set_segments(const recompute *r, int32_t *segment) {
    int32_t number = 0;
    memset(segment, 0, r->graph->n_nodes * sizeof *segment);
    for (size_t c = r->begin[r->n_forward]; c > 0; c = r->begin[c]) {
        number++;
        for (size_t i = r->begin[c]; i < c; i++) {
            const part *a = &r->parts[i];
            segment[i] = !a->fixed && a->last_read < c ? number : 0;
        }
    }
}

/* The smallest limit that can be held, to a part in 2^20; `all` can be. */
static size_t least_limit(recompute *r, size_t all) {
    size_t low = 0, high = all;
    while (high - low > 1 + (all >> 20)) {
        size_t middle = low + (high - low) / 2;
        if (divide(r, middle)) {
            high = middle;
        } else {
            low = middle;
        }
    }
    return high;
}

/* --- the graph that runs nodes again --------------------------------------------------------- */

typedef struct copying {
    kata__copier copy; /* its map: what the first runs give */
    const recompute *r;
    const int32_t *segment;
    kata_value *second; /* by value: what its second run gives */
    bool *wanted;       /* by node: is about to run again */
} copying;

/* A view that the backward pass makes of a forward value is not made again. */
static bool runs_again(const copying *c, kata_value value) {
    int32_t made_by = owner(c->r, value);
    return made_by >= 0 && c->segment[made_by] != 0 && !c->r->small[c->r->root[value.id]] &&
           (size_t)c->r->graph->values[value.id].node < c->r->n_forward;
}

/* Adds node i, on second runs where there are some if it reads `second`; its own second run if
 * `again`. */
static kata_status add(copying *c, size_t i, bool second, bool again) {
    const kata__node *node = &c->r->graph->nodes[i];
    kata_value inputs[KATA_MAX_INPUTS], outputs[KATA_MAX_OUTPUTS];
    char name[256];
    snprintf(name, sizeof name, "%.240s/again", node->name);
    for (int k = 0; k < node->n_inputs; k++) {
        if (second && runs_again(c, node->inputs[k])) {
            inputs[k] = c->second[node->inputs[k].id];
        } else {
            KATA__TRY(kata__copy_value(&c->copy, node->inputs[k], &inputs[k]));
        }
    }
    KATA__TRY(kata__copy_node_on(&c->copy, node, again ? name : node->name, inputs, outputs));
    for (int k = 0; k < node->n_outputs; k++) {
        if (again) {
            c->second[node->outputs[k].id] = outputs[k];
        } else {
            KATA__TRY(kata__copy_set(&c->copy, node->outputs[k], outputs[k]));
        }
    }
    return KATA_OK;
}

/* Marks the nodes that have to run again before `node` can read; returns how many are new. */
static size_t want(copying *c, const kata__node *node) {
    size_t n = 0;
    for (int k = 0; k < node->n_inputs; k++) {
        kata_value value = node->inputs[k];
        if (runs_again(c, value) && c->second[value.id].id == 0) {
            bool *wanted = &c->wanted[c->r->graph->values[value.id].node];
            n += !*wanted;
            *wanted = true;
        }
    }
    return n;
}

/* Runs again what a backward node reads and what that needs, in the order of the forward pass. */
static kata_status run_again(copying *c, const kata__node *node) {
    size_t i = c->r->n_forward, waiting = want(c, node);
    while (waiting > 0) {
        i--;
        if (c->wanted[i]) {
            waiting += want(c, &c->r->graph->nodes[i]);
            waiting--;
        }
    }
    for (; i < c->r->n_forward; i++) {
        if (c->wanted[i]) {
            c->wanted[i] = false;
            KATA__TRY(add(c, i, true, true));
        }
    }
    return KATA_OK;
}

static kata_status copy_node(kata__copier *copier, size_t i) {
    copying *c = (copying *)copier;
    const recompute *r = c->r;
    const kata__node *node = &r->graph->nodes[i];
    bool behind = i >= r->n_forward && !is_update(node);
    if (r->put_off[i]) {
        return KATA_OK;
    }
    if (behind) {
        KATA__TRY(run_again(c, node));
    }
    for (size_t k = 0; k < i && i == r->last; k++) {
        if (r->put_off[k]) {
            KATA__TRY(add(c, k, false, false));
        }
    }
    return add(c, i, behind, false);
}

static kata_status copy(const recompute *r, const int32_t *segment, kata_graph **out) {
    kata_context *context = r->graph->context;
    copying c = {.copy = {.from = r->graph, .node = copy_node}, .r = r, .segment = segment};
    c.second = kata__alloc_zero(context, r->graph->n_values, sizeof *c.second);
    c.wanted = kata__alloc_zero(context, r->graph->n_nodes, sizeof *c.wanted);
    kata_status status =
        c.second == NULL || c.wanted == NULL ? KATA_OUT_OF_MEMORY : kata__copy_graph(&c.copy);
    kata__free(context, c.second);
    kata__free(context, c.wanted);
    if (status == KATA_OK) {
        *out = c.copy.to;
    }
    return status;
}

/* --- search ---------------------------------------------------------------------------------- */

typedef struct search {
    recompute *r;
    kata__arena_of arena_of;
    int32_t *segment; /* the division that is tried */
    size_t least;     /* what the best so far takes */
    bool keep_small;  /* of the best */
    kata_graph *graph;
} search;

static size_t count_nodes(const kata_graph *graph) {
    size_t n = 0;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        n += !graph->nodes[i].removed;
    }
    return n;
}

/* Plans the division; it becomes the best if it takes less than `limit` bytes. */
static kata_status try_segments(search *s, size_t limit) {
    kata_graph *graph;
    size_t bytes = 0;
    KATA__TRY(copy(s->r, s->segment, &graph));
    kata_status status = s->arena_of(&bytes, graph);
    bytes += status == KATA_OK ? NODE_BYTES * (graph->n_nodes - count_nodes(s->r->graph)) : 0;
    if (status != KATA_OK || bytes >= limit) {
        kata_graph_free(graph);
        return status;
    }
    kata_graph_free(s->graph);
    s->graph = graph;
    s->least = bytes;
    memcpy(s->r->segment, s->segment, s->r->graph->n_nodes * sizeof *s->segment);
    return KATA_OK;
}

/* From the roomiest limit, at which nearly nothing runs again, to the tightest. */
static kata_status try_limits(search *s, bool keep_small) {
    recompute *r = s->r;
    size_t all = 0;
    weigh(r, keep_small);
    for (size_t i = 0; i < r->n_forward; i++) {
        all += r->parts[i].bytes + r->parts[i].small;
    }
    size_t low = least_limit(r, all);
    for (size_t n = 1; n <= LIMITS; n++) {
        if (divide(r, all - (all - low) / LIMITS * n)) {
            size_t before = s->least;
            set_segments(r, s->segment);
            KATA__TRY(try_segments(s, before - before / WORTH));
            s->keep_small = s->least < before ? keep_small : s->keep_small;
        }
    }
    return KATA_OK;
}

/* Segments that run again for nothing, because the peak is elsewhere, run once. The first numbers
 * are those nearest to the loss. */
static kata_status drop_segments(search *s) {
    int32_t n_segments = 0;
    weigh(s->r, s->keep_small);
    for (size_t i = 0; i < s->r->n_forward; i++) {
        n_segments = s->r->segment[i] > n_segments ? s->r->segment[i] : n_segments;
    }
    for (int32_t number = 1; number <= n_segments; number++) {
        for (size_t i = 0; i < s->r->n_forward; i++) {
            s->segment[i] = s->r->segment[i] == number ? 0 : s->r->segment[i];
        }
        KATA__TRY(try_segments(s, s->least + 1));
    }
    return KATA_OK;
}

/* Looks at the graph; false if there is no backward pass that reads anything of the forward one.
 * changed: by value, all false. */
static bool look(recompute *r, bool *changed) {
    const kata_graph *graph = r->graph;
    find_roots(r);
    int32_t loss = graph->n_outputs > 0 ? owner(r, graph->outputs[0]) : -1;
    while (r->last > 0 && (graph->nodes[r->last].removed || is_update(&graph->nodes[r->last]))) {
        r->last--;
    }
    if (loss < 0 || (size_t)loss >= r->last) {
        return false;
    }
    r->n_forward = (size_t)loss + 1;
    order_updates(r, changed);
    find_reads(r);
    bool any = false;
    for (size_t i = 0; i < graph->n_values; i++) {
        any = any || r->read_behind[i];
    }
    return any;
}

static kata_status find_best(search *s, bool *changed) {
    if (!look(s->r, changed)) {
        return KATA_OK;
    }
    KATA__TRY(s->arena_of(&s->least, s->r->graph));
    KATA__TRY(try_limits(s, true));
    KATA__TRY(try_limits(s, false));
    return s->graph != NULL ? drop_segments(s) : KATA_OK;
}

/* Four flags a value: `changed` and those of the struct. */
static kata_status search_with(search *s, bool *flags) {
    recompute *r = s->r;
    if (r->root == NULL || r->put_off == NULL || r->parts == NULL || r->best == NULL ||
        r->begin == NULL || r->segment == NULL || s->segment == NULL || flags == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    size_t n = r->graph->n_values;
    r->read = flags + n;
    r->read_behind = flags + 2 * n;
    r->small = flags + 3 * n;
    return find_best(s, flags);
}

kata_status kata__graph_recompute(kata_graph **graph, kata__arena_of arena_of) {
    const kata_graph *from = *graph;
    if (from->status != KATA_OK) {
        return kata_fail(from->status, "%s", kata_graph_message(from));
    }
    kata_context *context = from->context;
    size_t n = from->n_nodes + 1;
    recompute r = {.graph = from,
                   .last = from->n_nodes > 0 ? from->n_nodes - 1 : 0,
                   .root = kata__alloc_zero(context, from->n_values, sizeof *r.root),
                   .put_off = kata__alloc_zero(context, n, sizeof *r.put_off),
                   .parts = kata__alloc_zero(context, n, sizeof *r.parts),
                   .best = kata__alloc_zero(context, n, sizeof *r.best),
                   .begin = kata__alloc_zero(context, n, sizeof *r.begin),
                   .segment = kata__alloc_zero(context, n, sizeof *r.segment)};
    search s = {
        .r = &r, .arena_of = arena_of, .segment = kata__alloc_zero(context, n, sizeof *s.segment)};
    bool *flags = kata__alloc_zero(context, from->n_values, 4 * sizeof *flags);
    kata_status status = search_with(&s, flags);
    kata__free(context, r.root);
    kata__free(context, r.put_off);
    kata__free(context, r.parts);
    kata__free(context, r.best);
    kata__free(context, r.begin);
    kata__free(context, r.segment);
    kata__free(context, s.segment);
    kata__free(context, flags);
    if (status != KATA_OK) {
        kata_graph_free(s.graph);
        return status;
    }
    if (s.graph != NULL) {
        kata_graph_free(*graph);
        *graph = s.graph;
    }
    return KATA_OK;
}
