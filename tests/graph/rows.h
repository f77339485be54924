/* The tests of the graph room are linked without the op room: these rows are all that there are. */
#ifndef KATA_TESTS_GRAPH_ROWS_H
#define KATA_TESTS_GRAPH_ROWS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/check.h"
#include "graph/copy.h"
#include "support/assert_ok.h"

static kata_status never_run(const kata_call *call) {
    (void)call;
    return kata_fail(KATA_INVALID, "no kernel runs in these tests");
}

/* All outputs have the type of input 0. */
static kata_status like_first(kata_infer *infer) {
    for (int i = 0; i < infer->n_outputs; i++) {
        infer->outputs[i] = infer->inputs[0];
    }
    return KATA_OK;
}

static kata_status add_types(kata_infer *infer) {
    for (int i = 1; i < infer->n_inputs; i++) {
        if (!kata_shape_equal(&infer->inputs[0].shape, &infer->inputs[i].shape)) {
            char a[KATA_SHAPE_TEXT_SIZE], b[KATA_SHAPE_TEXT_SIZE];
            return kata_fail(KATA_SHAPE, "Add: %s and %s",
                             kata_shape_text(&infer->inputs[0].shape, a),
                             kata_shape_text(&infer->inputs[i].shape, b));
        }
    }
    return like_first(infer);
}

/* The outputs of the first subgraph. */
static kata_status branch_types(kata_infer *infer) {
    const kata_graph *graph = infer->attributes[0].graph;
    for (int i = 0; i < infer->n_outputs; i++) {
        kata_value value = kata_graph_output_at(graph, i);
        infer->outputs[i] =
            (kata_type){kata_value_dtype(graph, value), kata_value_shape(graph, value)};
    }
    return KATA_OK;
}

/* Input i of the body is input i of the node. */
static kata_status repeat_inputs(kata_infer *infer, int attribute) {
    (void)attribute;
    for (int i = 0; i < infer->n_outputs && i < infer->n_inputs; i++) {
        infer->outputs[i] = infer->inputs[i];
    }
    return KATA_OK;
}

static const kata_attribute_spec branch_attributes[] = {
    {.name = "then_branch", .type = KATA_ATTRIBUTE_GRAPH, .required = true},
    {.name = "else_branch", .type = KATA_ATTRIBUTE_GRAPH, .required = true},
    {0}};
static const kata_attribute_spec repeat_attributes[] = {
    {.name = "body", .type = KATA_ATTRIBUTE_GRAPH, .required = true}, {0}};
static const kata_attribute_spec label_attributes[] = {
    {.name = "classes", .type = KATA_ATTRIBUTE_STRINGS},
    {.name = "scale", .type = KATA_ATTRIBUTE_FLOAT, .default_float = 0.1},
    {.name = "axes", .type = KATA_ATTRIBUTE_INTS},
    {.name = "steps", .type = KATA_ATTRIBUTE_FLOATS},
    {.name = "mode", .type = KATA_ATTRIBUTE_STRING, .default_string = "plain"},
    {.name = "count", .type = KATA_ATTRIBUTE_INT, .default_int = 7},
    {.name = "table", .type = KATA_ATTRIBUTE_TENSOR},
    {0}};

#define TEST_ROW(row, ...)                                                                         \
    static const kata_op row = {.domain = "",                                                      \
                                .since = 1,                                                        \
                                .max_outputs = 2,                                                  \
                                .min_outputs = 1,                                                  \
                                .reference = never_run,                                            \
                                .doc = "a row of the tests",                                       \
                                __VA_ARGS__}
TEST_ROW(add_row, .name = "Add", .min_inputs = 2, .max_inputs = KATA_MAX_INPUTS,
         .infer = add_types);
TEST_ROW(relu_row, .name = "Relu", .min_inputs = 1, .max_inputs = 2, .infer = like_first);
TEST_ROW(noise_row, .name = "Noise", .min_inputs = 1, .max_inputs = 1, .infer = like_first,
         .flags = KATA_OP_RANDOM);
TEST_ROW(identity_row, .name = "Identity", .min_inputs = 1, .max_inputs = 1, .infer = like_first);
TEST_ROW(branch_row, .name = "Branch", .min_inputs = 1, .max_inputs = 1, .infer = branch_types,
         .attributes = branch_attributes);
TEST_ROW(repeat_row, .name = "Repeat", .min_inputs = 1, .max_inputs = 3, .infer = branch_types,
         .attributes = repeat_attributes, .infer_subgraph = repeat_inputs);
TEST_ROW(label_row, .name = "Label", .min_inputs = 1, .max_inputs = 1, .infer = like_first,
         .attributes = label_attributes);

const kata_op *const kata__standard_rows[] = {&add_row,    &relu_row,   &noise_row, &identity_row,
                                              &branch_row, &repeat_row, &label_row, NULL};

static inline kata_graph *new_graph(void) {
    kata_graph *graph = NULL;
    assert_ok(kata_graph_new(&graph, kata_context_default(), "test"));
    return graph;
}

static inline kata_graph *new_subgraph(kata_graph *graph, const char *name) {
    kata_graph *subgraph = NULL;
    assert_ok(kata_graph_subgraph(&subgraph, graph, name));
    return subgraph;
}

static inline kata_value input_of(kata_graph *graph, const char *name, kata_shape shape) {
    return kata_graph_input(graph, name, KATA_F32, &shape);
}

static inline void assert_fault(const kata_graph *graph, kata_status status, const char *part) {
    assert_int_equal(kata_graph_status(graph), status);
    if (strstr(kata_graph_message(graph), part) == NULL) {
        fail_msg("\"%s\" does not contain \"%s\"", kata_graph_message(graph), part);
    }
}

static inline void assert_text(const kata_graph *graph, const char *want) {
    char *text = NULL;
    assert_ok(kata_graph_text(&text, graph));
    assert_string_equal(text, want);
    kata_text_free(kata_graph_context(graph), text);
}

/* The graph copied as it is. */
static inline kata_graph *copy_of(const kata_graph *graph) {
    kata__copier copier = {.from = graph};
    assert_ok(kata__copy_graph(&copier));
    return copier.to;
}

#endif
