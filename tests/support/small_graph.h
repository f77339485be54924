/* Small float64 graphs for tests: build, run, read. Every fault fails the test with its sentence.
 */
#ifndef KATA_TESTS_SMALL_GRAPH_H
#define KATA_TESTS_SMALL_GRAPH_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <kata/exec.h>
#include <kata/pass.h>

#include "support/assert_ok.h"

#define F64(...) ((const double[]){__VA_ARGS__})
#define assert_close(a, b, tolerance)                                                              \
    do {                                                                                           \
        double close_a = (a), close_b = (b);                                                       \
        if (!(fabs(close_a - close_b) <= (tolerance))) {                                           \
            fail_msg("%s is %.17g, expected %.17g", #a, close_a, close_b);                         \
        }                                                                                          \
    } while (0)

static inline kata_graph *small_graph(void) {
    kata_graph *graph = NULL;
    assert_ok(kata_graph_new(&graph, kata_context_default(), "test"));
    return graph;
}

/* A float64 constant. */
static inline kata_value constant64(kata_graph *graph, const double *data, kata_shape shape) {
    kata_tensor view = kata_tensor_view((void *)(uintptr_t)data, KATA_F64, &shape);
    return kata_graph_constant(graph, NULL, &view);
}

/* A float64 variable with these numbers: what gradients are taken by. */
static inline kata_value variable64(kata_graph *graph, const char *name, const double *data,
                                    kata_shape shape) {
    kata_variable *variable = NULL;
    kata_value value = kata_graph_variable(graph, name, KATA_F64, &shape, true, &variable);
    assert_non_null(variable);
    for (int64_t i = 0; i < kata_shape_count(&shape); i++) {
        kata_store(KATA_F64, variable->tensor.data, i, data[i]);
    }
    return value;
}

/* Runs the graph with everything kept; the caller frees the session before the graph. */
static inline kata_session *run_kept(kata_graph *graph) {
    kata_session *session = NULL;
    if (kata_graph_status(graph) != KATA_OK) {
        fail_msg("%s", kata_graph_message(graph));
    }
    assert_ok(kata_session_new(&session, graph, &(kata_session_options){.keep_values = true}));
    assert_ok(kata_session_run(session, 0, 0));
    return session;
}

static inline double read_at(kata_session *session, kata_value value, int64_t i) {
    kata_tensor tensor = kata_session_value(session, value);
    assert_non_null(tensor.data);
    return kata_load(tensor.dtype, tensor.data, i);
}

static inline void assert_values(kata_session *session, kata_value value, const double *expected,
                                 int n, double tolerance) {
    kata_tensor tensor = kata_session_value(session, value);
    assert_int_equal(kata_tensor_count(&tensor), n);
    for (int i = 0; i < n; i++) {
        assert_close(read_at(session, value, i), expected[i], tolerance);
    }
}

#endif
