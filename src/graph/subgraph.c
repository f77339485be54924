/* Graphs within graphs: how they are made, what they capture, and how a node comes to hold them. */
#include "base/check.h"
#include "graph/graph.h"

#define MAX_SUBGRAPHS ((size_t)1 << 16) /* of one graph */

kata_graph *kata__graph_root(const kata_graph *graph) {
    while (graph->outer != NULL) {
        graph = graph->outer;
    }
    return (kata_graph *)(uintptr_t)graph;
}

static kata_status subgraph_new(kata_graph **out, kata_graph *graph, const char *name) {
    if (graph->depth + 1 >= KATA_MAX_DEPTH) {
        return kata_fail(KATA_LIMIT, "graph %s is within %d others; at most %d are possible",
                         name != NULL ? name : "without a name", graph->depth + 1,
                         KATA_MAX_DEPTH - 1);
    }
    KATA__TRY(kata__grow(graph->context, (void **)&graph->subgraphs, &graph->subgraphs_capacity,
                         graph->n_subgraphs + 1, sizeof(kata_graph *), MAX_SUBGRAPHS));
    KATA__TRY(kata_graph_new(out, graph->context, name != NULL ? name : "subgraph"));
    (*out)->outer = graph;
    (*out)->depth = graph->depth + 1;
    graph->subgraphs[graph->n_subgraphs++] = *out;
    return KATA_OK;
}

kata_status kata_graph_subgraph(kata_graph **out, kata_graph *graph, const char *name) {
    if (graph->status != KATA_OK) {
        return kata_fail(graph->status, "%s", kata_graph_message(graph));
    }
    return kata__graph_fault(graph, subgraph_new(out, graph, name));
}

static kata_status capture(kata_graph *subgraph, kata_value outer, kata_value *inside) {
    const kata__value_info *info =
        subgraph->outer != NULL ? kata__graph_info(subgraph->outer, outer) : NULL;
    if (info == NULL || subgraph->holder >= 0) {
        return kata_fail(KATA_INVALID,
                         info == NULL ? "what subgraph %s captures is no value of a graph around it"
                                      : "subgraph %s belongs to a node and can capture no more",
                         subgraph->name);
    }
    for (size_t i = 0; i < subgraph->n_captures; i++) {
        if (subgraph->captures[i].outer.id == outer.id) {
            *inside = subgraph->captures[i].inside;
            return KATA_OK;
        }
    }
    KATA__TRY(kata__grow(subgraph->context, (void **)&subgraph->captures,
                         &subgraph->captures_capacity, subgraph->n_captures + 1,
                         sizeof *subgraph->captures, KATA_MAX_INPUTS));
    const kata__value_info copy = {
        .kind = KATA__VALUE_CAPTURE, .type = info->type, .capture = (int32_t)subgraph->n_captures};
    /* Under its own name where that is free: so it is known in the text of the graph. */
    bool is_free = kata_graph_find_value(subgraph, info->name).id == 0;
    KATA__TRY(
        kata__graph_add_value(subgraph, &copy, is_free ? info->name : NULL, "capture", inside));
    subgraph->captures[subgraph->n_captures++] =
        (kata__capture){.inside = *inside, .outer = outer, .input = -1};
    return KATA_OK;
}

kata_value kata_graph_capture(kata_graph *subgraph, kata_value outer) {
    kata_value inside = KATA_NONE;
    if (subgraph->status == KATA_OK &&
        kata__graph_fault(subgraph, capture(subgraph, outer, &inside)) != KATA_OK) {
        return KATA_NONE;
    }
    return inside;
}

int kata_graph_n_captures(const kata_graph *subgraph) {
    return (int)subgraph->n_captures;
}

int kata_graph_capture_at(const kata_graph *subgraph, int i, kata_value *inside) {
    const bool is_one = i >= 0 && (size_t)i < subgraph->n_captures;
    *inside = is_one ? subgraph->captures[i].inside : KATA_NONE;
    return is_one ? subgraph->captures[i].input : -1;
}

kata_value kata__graph_captured(const kata_graph *subgraph, const kata__value_info *info) {
    const kata__capture *found = &subgraph->captures[info->capture];
    return subgraph->holder < 0 ? found->outer
                                : subgraph->outer->nodes[subgraph->holder].inputs[found->input];
}

/* Where a captured value stands among the node's inputs, which n_own begin; appended if it is not
 * there yet. */
static kata_status place_of(const kata_op *op, kata_value outer, int n_own, kata_value *inputs,
                            int *n_inputs, int32_t *place) {
    int i = n_own;
    while (i < *n_inputs && inputs[i].id != outer.id) {
        i++;
    }
    if (i == *n_inputs) {
        if (i == KATA_MAX_INPUTS) {
            return kata_fail(KATA_LIMIT,
                             "%s and its subgraphs read more than %d values of the graph around",
                             op->name, KATA_MAX_INPUTS);
        }
        inputs[(*n_inputs)++] = outer;
    }
    *place = i;
    return KATA_OK;
}

kata_status kata__graph_hold(kata_graph *graph, const kata_op *op,
                             const kata_attribute_value *attributes, kata_value *inputs,
                             int *n_inputs) {
    const int n_own = *n_inputs;
    for (int k = 0; op->attributes[k].name != NULL; k++) {
        kata_graph *subgraph = (kata_graph *)(uintptr_t)attributes[k].graph;
        if (op->attributes[k].type != KATA_ATTRIBUTE_GRAPH || subgraph == NULL) {
            continue;
        }
        if (subgraph->status != KATA_OK) {
            return kata_fail(subgraph->status, "%s", kata_graph_message(subgraph));
        }
        bool is_taken = subgraph->holder >= 0;
        for (int j = 0; j < k; j++) {
            is_taken = is_taken || attributes[j].graph == subgraph;
        }
        if (subgraph->outer != graph || is_taken) {
            return kata_fail(KATA_INVALID,
                             is_taken ? "%s of %s is the subgraph of another attribute already"
                                      : "%s of %s is no subgraph of the graph that the node is in",
                             op->attributes[k].name, op->name);
        }
        for (size_t i = 0; i < subgraph->n_captures; i++) {
            KATA__TRY(place_of(op, subgraph->captures[i].outer, n_own, inputs, n_inputs,
                               &subgraph->captures[i].input));
        }
    }
    return KATA_OK;
}
