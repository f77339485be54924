/* Small graphs in float64 whose outputs and gradients are printed in the books: the tests of
 * products, convolution, normalisation and losses. Each test runs twice, on the plain and on the
 * fast kernels (ORACLES). */
#ifndef TESTS_OP_ORACLE_H
#define TESTS_OP_ORACLE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <kata/exec.h>
#include <kata/pass.h>

enum { ORACLE_INPUTS = 8 };

typedef struct oracle {
    kata_graph *graph, *bound;
    kata_session *session;
    const double *data[ORACLE_INPUTS];
    int n_inputs, n_outputs;
} oracle;

static bool oracle_reference; /* which kernels run */

#define ORACLE_OK(expression)                                                                      \
    do {                                                                                           \
        kata_status oracle_status = (expression);                                                  \
        if (oracle_status != KATA_OK) {                                                            \
            fail_msg("%s: %s", kata_status_name(oracle_status), kata_error_message());             \
        }                                                                                          \
    } while (0)

#define NUMBERS(...) ((const double[]){__VA_ARGS__})

static inline oracle oracle_begin(void) {
    oracle o = {0};
    ORACLE_OK(kata_graph_new(&o.graph, kata_context_default(), "oracle"));
    return o;
}

/* An input whose numbers are `data`, valid until the end. int64 inputs get them converted. */
static inline kata_value oracle_typed(oracle *o, kata_dtype dtype, kata_shape shape,
                                      const double *data) {
    assert_true(o->n_inputs < ORACLE_INPUTS);
    o->data[o->n_inputs++] = data;
    return kata_graph_input(o->graph, NULL, dtype, &shape);
}

static inline kata_value oracle_input(oracle *o, kata_shape shape, const double *data) {
    return oracle_typed(o, KATA_F64, shape, data);
}

static inline kata_value oracle_constant(oracle *o, kata_shape shape, const double *data) {
    kata_tensor tensor = kata_tensor_view((void *)(uintptr_t)data, KATA_F64, &shape);
    return kata_graph_constant(o->graph, NULL, &tensor);
}

static inline void oracle_output(oracle *o, kata_value value) {
    kata_graph_output(o->graph, NULL, value);
    o->n_outputs++;
}

static inline void oracle_bind(oracle *o, bool training) {
    if (kata_graph_status(o->graph) != KATA_OK) {
        fail_msg("%s", kata_graph_message(o->graph));
    }
    ORACLE_OK(kata_graph_bind(&o->bound, o->graph, KATA_SIZES({"N", 1}), training));
}

/* Adds the gradients of sum(output 0 * upstream) by all float64 inputs as further outputs, in their
 * order. upstream NULL: ones. Inputs that it does not depend on are left out. */
static inline void oracle_gradients(oracle *o, const double *upstream) {
    kata_graph *graph = o->bound;
    kata_value y = kata_graph_output_at(graph, 0), wrt[ORACLE_INPUTS], gradients[ORACLE_INPUTS];
    kata_value loss = y;
    if (upstream != NULL) {
        kata_shape shape = kata_value_shape(graph, y);
        kata_tensor tensor = kata_tensor_view((void *)(uintptr_t)upstream, KATA_F64, &shape);
        loss = KATA_NODE(graph, "Mul", KATA_INPUTS(y, kata_graph_constant(graph, NULL, &tensor)));
    }
    loss = KATA_NODE_WITH(graph, "ReduceSum", KATA_INPUTS(loss), KATA_INT("keepdims", 0));
    int n = 0;
    for (int i = 0; i < kata_graph_n_inputs(graph); i++) {
        kata_value input = kata_graph_input_at(graph, i);
        if (kata_value_dtype(graph, input) == KATA_F64) {
            wrt[n++] = input;
        }
    }
    ORACLE_OK(kata_graph_differentiate(graph, loss, wrt, n, gradients));
    for (int i = 0; i < n; i++) {
        if (gradients[i].id != 0) {
            ORACLE_OK(kata_graph_output(graph, NULL, gradients[i]));
        }
    }
}

static inline void oracle_run(oracle *o, uint64_t seed, uint64_t step) {
    if (o->session == NULL) {
        ORACLE_OK(kata_session_new(
            &o->session, o->bound,
            &(kata_session_options){.reference = oracle_reference, .keep_values = true}));
    }
    for (int i = 0; i < o->n_inputs; i++) {
        kata_tensor tensor = kata_session_input(o->session, i);
        for (int64_t k = 0; k < kata_tensor_count(&tensor); k++) {
            kata_store(tensor.dtype, tensor.data, k, o->data[i][k]);
        }
    }
    ORACLE_OK(kata_session_run(o->session, seed, step));
}

/* Forward, and backward with this upstream gradient (NULL: ones). */
static inline void oracle_forward(oracle *o) {
    oracle_bind(o, false);
    oracle_run(o, 1, 0);
}
static inline void oracle_backward(oracle *o, const double *upstream) {
    oracle_bind(o, false);
    oracle_gradients(o, upstream);
    oracle_run(o, 1, 0);
}

static inline kata_tensor oracle_value(const oracle *o, int output) {
    return kata_session_output(o->session, output);
}

/* |got - want| <= tolerance max(1, |want|) */
static inline void oracle_close(const char *what, int64_t i, double got, double want,
                                double tolerance) {
    if (!(fabs(got - want) <= tolerance * fmax(1, fabs(want)))) {
        fail_msg("%s, element %lld: got %.15g, expected %.15g", what, (long long)i, got, want);
    }
}

static inline void oracle_expect(const oracle *o, int output, const double *want, int64_t n,
                                 double tolerance) {
    kata_tensor y = oracle_value(o, output);
    char what[32];
    snprintf(what, sizeof what, "output %d", output);
    assert_int_equal(kata_tensor_count(&y), n);
    for (int64_t i = 0; i < n; i++) {
        oracle_close(what, i, kata_load(y.dtype, y.data, i), want[i], tolerance);
    }
}
#define EXPECT_OUTPUT(o, output, tolerance, ...)                                                   \
    oracle_expect((o), (output), NUMBERS(__VA_ARGS__),                                             \
                  (int64_t)(sizeof(NUMBERS(__VA_ARGS__)) / sizeof(double)), (tolerance))

static inline void oracle_shape(const oracle *o, int output, kata_shape want) {
    kata_tensor y = oracle_value(o, output);
    char a[KATA_SHAPE_TEXT_SIZE], b[KATA_SHAPE_TEXT_SIZE];
    assert_string_equal(kata_shape_text(&y.shape, a), kata_shape_text(&want, b));
}

static inline void oracle_end(oracle *o) {
    kata_session_free(o->session);
    kata_graph_free(o->bound);
    kata_graph_free(o->graph);
    *o = (oracle){0};
}

/* Numbers in [-1, 1) that a test only needs to be different. */
static inline void oracle_fill(double *to, int64_t n, uint32_t stream) {
    for (int64_t i = 0; i < n; i++) {
        to[i] = 2 * (double)kata_random_uniform(9, stream, 0, (uint64_t)i) - 1;
    }
}

/* main: the tests on the plain kernels, then on the fast ones. */
#define ORACLES(name, tests)                                                                       \
    int main(void) {                                                                               \
        oracle_reference = true;                                                                   \
        int failed = cmocka_run_group_tests_name(name " (plain)", tests, NULL, NULL);              \
        oracle_reference = false;                                                                  \
        return failed + cmocka_run_group_tests_name(name " (fast)", tests, NULL, NULL);            \
    }

#endif
