/* Values by name. A model file chooses its names, so the table is keyed: nobody can choose names
 * that collide. A renamed value leaves its old entry behind; an entry counts only if its value
 * still has the name. */
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/random.h"
#include "graph/graph.h"

#define INDEX_MAXIMUM ((size_t)1 << 24)

/* A chain of Philox over the name's 8-byte words, under a key of this process. Only the place in
 * the table depends on it, never a result. */
static size_t hash_of(const char *name) {
    static uint64_t key;
    uint64_t current = __atomic_load_n(&key, __ATOMIC_RELAXED);
    if (current == 0) {
        uint64_t none = 0, made = kata__clock_ns() ^ (uint64_t)(uintptr_t)&key ^ 1;
        __atomic_compare_exchange_n(&key, &none, made, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
        current = none != 0 ? none : made;
    }
    uint64_t state = 0;
    size_t n = strlen(name);
    for (size_t i = 0; i <= n; i += 8) {
        uint64_t word = 0;
        uint32_t out[4];
        memcpy(&word, name + i, n - i < 8 ? n - i : 8);
        kata__philox(current, state, word, out);
        state = (uint64_t)out[0] << 32 | out[1];
    }
    return (size_t)state;
}

/* Puts a value into a table that has room. */
static void put(int32_t *index, size_t capacity, const char *name, int32_t id) {
    size_t at = hash_of(name) & (capacity - 1);
    while (index[at] != 0) {
        at = (at + 1) & (capacity - 1);
    }
    index[at] = id;
}

/* At most half of the places are taken. */
static kata_status make_room(kata_graph *graph) {
    if (2 * (graph->index_used + 1) <= graph->index_capacity) {
        return KATA_OK;
    }
    size_t capacity = graph->index_capacity > 0 ? 2 * graph->index_capacity : 64;
    if (capacity > INDEX_MAXIMUM) {
        return kata_fail(KATA_LIMIT, "graph %s has too many values", graph->name);
    }
    int32_t *index = kata__alloc_zero(graph->context, capacity, sizeof *index);
    if (index == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    graph->index_used = 0;
    for (size_t id = 1; id < graph->n_values; id++) {
        put(index, capacity, graph->values[id].name, (int32_t)id);
        graph->index_used++;
    }
    kata__free(graph->context, graph->index);
    graph->index = index;
    graph->index_capacity = capacity;
    return KATA_OK;
}

kata_value kata_graph_find_value(const kata_graph *graph, const char *name) {
    if (graph->index_capacity == 0) {
        return KATA_NONE;
    }
    size_t at = hash_of(name) & (graph->index_capacity - 1);
    for (; graph->index[at] != 0; at = (at + 1) & (graph->index_capacity - 1)) {
        if (strcmp(graph->values[graph->index[at]].name, name) == 0) {
            return (kata_value){graph->index[at]};
        }
    }
    return KATA_NONE;
}

kata_status kata__graph_name_value(kata_graph *graph, kata_value value, const char *name,
                                   bool by_user) {
    KATA__TRY(make_room(graph));
    const char *copy = kata__arena_strdup(&graph->arena, name);
    if (copy == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    graph->values[value.id].name = copy;
    graph->values[value.id].named = by_user;
    put(graph->index, graph->index_capacity, copy, value.id);
    graph->index_used++;
    return KATA_OK;
}
