/* Open sizes and their names. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "graph/graph.h"

#define MAX_SIZES ((size_t)4096) /* of one graph and those within it */
#define FIRST (-2)               /* the number of size 0; the next ones are below */

static kata_status size_new(kata_graph *root, const char *name, int64_t *out) {
    KATA__TRY(kata__grow(root->context, (void **)&root->sizes, &root->sizes_capacity,
                         root->n_sizes + 1, sizeof *root->sizes, MAX_SIZES));
    const char *copy = kata__arena_strdup(&root->arena, name);
    if (copy == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    *out = FIRST - (int64_t)root->n_sizes;
    root->sizes[root->n_sizes++] = copy;
    return KATA_OK;
}

int64_t kata_graph_size(kata_graph *graph, const char *name) {
    kata_graph *root = kata__graph_root(graph);
    int64_t size = KATA_UNKNOWN_DIM;
    for (size_t i = 0; i < root->n_sizes; i++) {
        if (strcmp(root->sizes[i], name) == 0) {
            return FIRST - (int64_t)i;
        }
    }
    if (graph->status == KATA_OK) {
        kata__graph_fault(graph, name[0] == '\0'
                                     ? kata_fail(KATA_INVALID, "an open size needs a name")
                                     : size_new(root, name, &size));
    }
    return size;
}

const char *kata_graph_size_name(const kata_graph *graph, int64_t size) {
    return size <= FIRST && size >= -(int64_t)MAX_SIZES - 1
               ? kata_graph_size_at(graph, (int)(FIRST - size))
               : NULL;
}

int kata_graph_n_sizes(const kata_graph *graph) {
    return (int)kata__graph_root(graph)->n_sizes;
}

const char *kata_graph_size_at(const kata_graph *graph, int i) {
    const kata_graph *root = kata__graph_root(graph);
    return i >= 0 && (size_t)i < root->n_sizes ? root->sizes[i] : NULL;
}

kata_status kata__graph_copy_sizes(kata_graph *to, const kata_graph *from) {
    for (int i = 0; i < kata_graph_n_sizes(from); i++) {
        int64_t size;
        KATA__TRY(size_new(to, kata_graph_size_at(from, i), &size));
    }
    return KATA_OK;
}

const char *kata_graph_shape_text(const kata_graph *graph, const kata_shape *shape,
                                  char text[KATA_SHAPE_TEXT_SIZE]) {
    if (shape->rank < 0 || shape->rank > KATA_MAX_RANK) {
        return kata_shape_text(shape, text);
    }
    size_t used = 1;
    text[0] = '(';
    for (int i = 0; i < shape->rank; i++) { /* at most 8 * 21 + 3: it fits */
        const char *comma = i > 0 ? "," : "", *name = kata_graph_size_name(graph, shape->dim[i]);
        char *at = text + used;
        const size_t left = KATA_SHAPE_TEXT_SIZE - used;
        int put = shape->dim[i] >= 0 ? snprintf(at, left, "%s%" PRId64, comma, shape->dim[i])
                                     : snprintf(at, left, "%s%.20s", comma, name ? name : "?");
        used += (size_t)put;
    }
    memcpy(text + used, shape->rank == 1 ? ",)" : ")", shape->rank == 1 ? 3 : 2);
    return text;
}

/* --- sizes of a call -------------------------------------------------------------------------- */

/* Where a size was seen first. */
typedef struct sighting {
    int input, axis;
} sighting;

/* The first input and axis of the graph's inputs that has the size; there is one. */
static sighting first_of(const kata_graph *graph, int64_t size) {
    sighting s = {0};
    for (; s.input < (int)graph->n_inputs; s.input++) {
        const kata_shape *shape = &graph->values[graph->inputs[s.input].id].type.shape;
        for (s.axis = 0; s.axis < shape->rank; s.axis++) {
            if (shape->dim[s.axis] == size) {
                return s;
            }
        }
    }
    return s;
}

static kata_status take_size(const kata_graph *graph, const kata_shape *shapes, int input, int axis,
                             kata_size *sizes, int *n_sizes) {
    const kata__value_info *info = &graph->values[graph->inputs[input].id];
    const int64_t declared = info->type.shape.dim[axis], got = shapes[input].dim[axis];
    const char *name = kata_graph_size_name(graph, declared);
    const sighting first = first_of(graph, declared);
    if (got < 0 || name == NULL) {
        return kata_fail(KATA_SHAPE, "input %s has no size on axis %d", info->name, axis);
    }
    if (first.input == input && first.axis == axis) {
        sizes[(*n_sizes)++] = (kata_size){name, got};
        return KATA_OK;
    }
    const int64_t before = shapes[first.input].dim[first.axis];
    if (before == got) {
        return KATA_OK;
    }
    return kata_fail(KATA_SHAPE,
                     "input %s has %" PRId64 " on axis %d, but input %s has %" PRId64
                     " on axis %d: both are the size %s and must be equal",
                     info->name, got, axis, graph->values[graph->inputs[first.input].id].name,
                     before, first.axis, name);
}

static kata_status take_shape(const kata_graph *graph, const kata_shape *shapes, int input,
                              kata_size *sizes, int *n_sizes) {
    const kata__value_info *info = &graph->values[graph->inputs[input].id];
    const kata_shape *want = &info->type.shape, *got = &shapes[input];
    char want_text[KATA_SHAPE_TEXT_SIZE], got_text[KATA_SHAPE_TEXT_SIZE];
    bool fits = want->rank == got->rank;
    for (int axis = 0; fits && axis < want->rank; axis++) {
        fits = want->dim[axis] < 0 || want->dim[axis] == got->dim[axis];
    }
    if (!fits) {
        return kata_fail(KATA_SHAPE, "input %s of graph %s takes the shape %s, got %s", info->name,
                         graph->name, kata_graph_shape_text(graph, want, want_text),
                         kata_shape_text(got, got_text));
    }
    for (int axis = 0; axis < want->rank; axis++) {
        if (want->dim[axis] < 0) {
            KATA__TRY(take_size(graph, shapes, input, axis, sizes, n_sizes));
        }
    }
    return KATA_OK;
}

kata_status kata_graph_sizes_of(const kata_graph *graph, const kata_shape *shapes, int n_shapes,
                                kata_size *sizes, int *n_sizes) {
    *n_sizes = 0;
    if ((size_t)n_shapes != graph->n_inputs) {
        return kata_fail(KATA_SHAPE, "graph %s has %zu inputs, got the shapes of %d", graph->name,
                         graph->n_inputs, n_shapes);
    }
    for (int i = 0; i < n_shapes; i++) {
        KATA__TRY(take_shape(graph, shapes, i, sizes, n_sizes));
    }
    return KATA_OK;
}
