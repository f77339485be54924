/* Runs the cases of the operator table (tests/op/cases.h says what is checked). Included by the op
 * tests; the entry is test_cases_main(). */
#ifndef TESTS_OP_HARNESS_H
#define TESTS_OP_HARNESS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <kata/exec.h>
#include <kata/pass.h>
#include "op/cases.h"

enum { TEST_LEVELS = 3, TEST_THREADS = 3, TEST_SAMPLES = 40 };
static const char *const test_levels[TEST_LEVELS] = {"portable", "avx2", "avx512"};
static const int test_threads[TEST_THREADS] = {1, 2, 5};

static kata_context *test_contexts[TEST_LEVELS][TEST_THREADS];
static double test_worst_gradient;
static char test_worst_label[160];

/* One row's graph, bound and ready to run. */
typedef struct test_run {
    const kata_test_case *c;
    kata_graph *graph, *bound;
    kata_session *session;
    kata_value loss;
    int n_inputs, n_outputs, n_gradients;
    int wrt[TEST_MAX_INPUTS];             /* the input of gradient k */
    int gradient_output[TEST_MAX_INPUTS]; /* the graph output that holds it; -1: it is zero */
} test_run;

#define TEST_OK(expression)                                                                        \
    do {                                                                                           \
        kata_status test_status = (expression);                                                    \
        if (test_status != KATA_OK) {                                                              \
            fail_msg("%s: %s", kata_status_name(test_status), kata_error_message());               \
        }                                                                                          \
    } while (0)

static inline kata_context *test_context(int level, int threads) {
    kata_context **context = &test_contexts[level][threads];
    if (*context == NULL) {
        TEST_OK(
            kata_context_new(context, &(kata_context_options){.kernels = test_levels[level],
                                                              .threads = test_threads[threads]}));
    }
    return *context;
}

/* --- values ---------------------------------------------------------------------------------- */

static inline int test_n_inputs(const kata_test_case *c) {
    int n = c->n_inputs;
    for (int i = 0; n == 0 && i < TEST_MAX_INPUTS; i++) {
        const kata_test_input *in = &c->inputs[TEST_MAX_INPUTS - 1 - i];
        if (in->dtype != KATA_NO_DTYPE || in->shape.rank > 0 || in->low != in->high ||
            in->values != NULL || in->kind != TEST_INPUT) {
            n = TEST_MAX_INPUTS - i;
        }
    }
    return n;
}

static inline int test_n_attributes(const kata_test_case *c) {
    int n = 0;
    while (n < TEST_MAX_ATTRIBUTES && c->attributes[n].name != NULL) {
        n++;
    }
    return n;
}

static inline kata_dtype test_dtype(const kata_test_input *in, kata_dtype real) {
    return in->dtype == KATA_NO_DTYPE ? real : in->dtype;
}

/* Element k of input i: a function of both; exact in float32. */
static inline double test_number(const kata_test_case *c, int i, int64_t k) {
    const kata_test_input *in = &c->inputs[i];
    if (in->values != NULL) {
        return in->values[k % in->n_values];
    }
    bool is_float = in->dtype == KATA_NO_DTYPE || kata_dtype_is_float(in->dtype);
    double low = in->low, high = in->high;
    if (low == 0 && high == 0) {
        low = is_float ? -1 : 0;
        high = is_float ? 1 : 2;
    }
    double u = kata_random_uniform(20, (uint32_t)i, 0, (uint64_t)k);
    double value = low + (high - low) * u;
    return is_float ? (double)(float)value : floor(value);
}

static inline double test_weight(int output, int64_t k) {
    return 2 * (double)kata_random_uniform(21, (uint32_t)output, 0, (uint64_t)k) - 1;
}

static inline void test_fill(const kata_test_case *c, int i, const kata_tensor *tensor) {
    for (int64_t k = 0, n = kata_tensor_count(tensor); k < n; k++) {
        kata_store(tensor->dtype, tensor->data, k, test_number(c, i, k));
    }
}

/* --- graphs ---------------------------------------------------------------------------------- */

/* The graph of one row; `unknown`: with unknown batch sizes. */
static inline kata_graph *test_build(const kata_test_case *c, kata_context *context,
                                     kata_dtype real, bool unknown) {
    kata_graph *graph;
    kata_value values[TEST_MAX_INPUTS], outputs[KATA_MAX_OUTPUTS];
    int n_inputs = test_n_inputs(c), n_outputs = c->n_outputs == 0 ? 1 : c->n_outputs;
    TEST_OK(kata_graph_new(&graph, context, c->op));
    for (int i = 0; i < n_inputs; i++) {
        const kata_test_input *in = &c->inputs[i];
        char name[16];
        snprintf(name, sizeof name, "x%d", i);
        kata_dtype dtype = test_dtype(in, real);
        kata_shape shape = in->shape;
        if (in->kind == TEST_ABSENT) {
            values[i] = KATA_NONE;
        } else if (in->kind == TEST_VARIABLE) {
            values[i] = kata_graph_variable(graph, name, dtype, &shape, true, NULL);
        } else if (in->kind == TEST_CONSTANT) {
            kata_tensor tensor;
            TEST_OK(kata_tensor_new(&tensor, context, dtype, &shape));
            test_fill(c, i, &tensor);
            values[i] = kata_graph_constant(graph, name, &tensor);
            kata_tensor_release(&tensor);
        } else {
            shape.dim[0] = unknown && c->batched >> i & 1 ? KATA_UNKNOWN_DIM : shape.dim[0];
            values[i] = kata_graph_input(graph, name, dtype, &shape);
        }
    }
    kata_graph_node_outputs(graph, NULL, c->op, values, n_inputs, c->attributes,
                            test_n_attributes(c), outputs, n_outputs);
    for (int k = 0; k < n_outputs && kata_graph_status(graph) == KATA_OK; k++) {
        kata_graph_output(graph, NULL, outputs[k]);
    }
    return graph;
}

static inline bool test_output_counts(const test_run *run, int k) {
    kata_value value = kata_graph_output_at(run->bound, k);
    return !(run->c->skip_outputs >> k & 1) &&
           kata_dtype_is_float(kata_value_dtype(run->bound, value));
}

/* loss = sum over outputs and elements of output * weight. */
static inline void test_add_loss(test_run *run) {
    kata_graph *graph = run->bound;
    for (int k = 0; k < run->n_outputs; k++) {
        kata_value y = kata_graph_output_at(graph, k);
        if (!test_output_counts(run, k)) {
            continue;
        }
        kata_shape shape = kata_value_shape(graph, y);
        kata_tensor weights;
        TEST_OK(kata_tensor_new(&weights, kata_graph_context(graph), kata_value_dtype(graph, y),
                                &shape));
        for (int64_t j = 0, n = kata_tensor_count(&weights); j < n; j++) {
            kata_store(weights.dtype, weights.data, j, test_weight(k, j));
        }
        kata_value w = kata_graph_constant(graph, NULL, &weights);
        kata_tensor_release(&weights);
        kata_value sum = KATA_NODE(graph, "Mul", KATA_INPUTS(y, w));
        sum = KATA_NODE_WITH(graph, "ReduceSum", KATA_INPUTS(sum), KATA_INT("keepdims", 0));
        run->loss = run->loss.id == 0 ? sum : KATA_NODE(graph, "Add", KATA_INPUTS(run->loss, sum));
    }
}

/* Adds the gradients by every float input as further outputs. */
static inline void test_add_gradients(test_run *run, kata_dtype real) {
    const kata_test_case *c = run->c;
    kata_value wrt[TEST_MAX_INPUTS], gradients[TEST_MAX_INPUTS];
    for (int i = 0; i < run->n_inputs; i++) {
        const kata_test_input *in = &c->inputs[i];
        char name[16];
        snprintf(name, sizeof name, "x%d", i);
        bool wanted = (in->kind == TEST_INPUT || in->kind == TEST_VARIABLE) && !in->no_gradient &&
                      test_dtype(in, real) == real;
        if (wanted) {
            wrt[run->n_gradients] = kata_graph_find_value(run->bound, name);
            run->wrt[run->n_gradients++] = i;
        }
    }
    if (run->n_gradients == 0) {
        return;
    }
    test_add_loss(run);
    TEST_OK(kata_graph_status(run->bound));
    if (run->loss.id == 0) {
        run->n_gradients = 0;
        return;
    }
    TEST_OK(kata_graph_differentiate(run->bound, run->loss, wrt, run->n_gradients, gradients));
    for (int k = 0; k < run->n_gradients; k++) {
        run->gradient_output[k] = -1;
        if (gradients[k].id != 0) {
            run->gradient_output[k] = kata_graph_n_outputs(run->bound);
            TEST_OK(kata_graph_output(run->bound, NULL, gradients[k]));
        }
    }
}

static inline int64_t test_batch(const kata_test_case *c) {
    for (int i = 0; i < TEST_MAX_INPUTS; i++) {
        if (c->batched >> i & 1) {
            return c->inputs[i].shape.dim[0];
        }
    }
    return 1;
}

/* batch -1: sizes as the case says; else the graph with an unknown batch, bound to it. */
static inline test_run test_start(const kata_test_case *c, kata_context *context, kata_dtype real,
                                  int64_t batch, bool gradients, bool reference) {
    test_run run = {
        .c = c, .n_inputs = test_n_inputs(c), .n_outputs = c->n_outputs == 0 ? 1 : c->n_outputs};
    run.graph = test_build(c, context, real, batch >= 0);
    TEST_OK(kata_graph_status(run.graph));
    TEST_OK(kata_graph_bind(&run.bound, run.graph, KATA_SIZES({"N", batch >= 0 ? batch : 1}),
                            c->training));
    if (gradients) {
        test_add_gradients(&run, real);
    }
    TEST_OK(
        kata_session_new(&run.session, run.bound, &(kata_session_options){.reference = reference}));
    return run;
}

/* The memory of input i: the session's or the variable's. */
static inline kata_tensor test_input_tensor(const test_run *run, int i) {
    int place = 0;
    for (int k = 0; k < i; k++) {
        place += run->c->inputs[k].kind == TEST_INPUT;
    }
    if (run->c->inputs[i].kind == TEST_VARIABLE) {
        char name[16];
        snprintf(name, sizeof name, "x%d", i);
        return kata_graph_find_variable(run->graph, name)->tensor;
    }
    return kata_session_input(run->session, place);
}

static inline void test_fill_inputs(const test_run *run) {
    for (int i = 0; i < run->n_inputs; i++) {
        kata_test_kind kind = run->c->inputs[i].kind;
        if (kind == TEST_INPUT || kind == TEST_VARIABLE) {
            kata_tensor tensor = test_input_tensor(run, i);
            test_fill(run->c, i, &tensor);
        }
    }
}

static inline void test_execute(const test_run *run) {
    test_fill_inputs(run);
    TEST_OK(kata_session_run(run->session, 7, 3));
}

static inline void test_end(test_run *run) {
    kata_session_free(run->session);
    kata_graph_free(run->bound);
    kata_graph_free(run->graph);
}

/* --- comparisons ----------------------------------------------------------------------------- */

static inline double *test_copy(const kata_tensor *tensor) {
    int64_t n = kata_tensor_count(tensor);
    double *copy = malloc((size_t)(n + 1) * sizeof *copy);
    assert_non_null(copy);
    for (int64_t k = 0; k < n; k++) {
        copy[k] = kata_load(tensor->dtype, tensor->data, k);
    }
    return copy;
}

/* |got - want| <= tolerance (|want| + mean |want|), infinities and NaN alike. */
static inline void test_compare(const char *what, const kata_tensor *got, const double *want,
                                double tolerance) {
    double mean = 0;
    int64_t n = kata_tensor_count(got);
    for (int64_t k = 0; k < n; k++) {
        mean += isfinite(want[k]) ? fabs(want[k]) / (double)n : 0;
    }
    for (int64_t k = 0; k < n; k++) {
        double x = kata_load(got->dtype, got->data, k), y = want[k];
        bool same =
            x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= tolerance * (fabs(y) + mean) + 1e-37;
        if (!same) {
            fail_msg("%s: element %lld is %.9g, expected %.9g within %g", what, (long long)k, x, y,
                     tolerance);
        }
    }
}

static inline void test_same_bits(const char *what, const test_run *a, const test_run *b) {
    for (int k = 0; k < kata_graph_n_outputs(a->bound); k++) {
        kata_tensor x = kata_session_output(a->session, k), y = kata_session_output(b->session, k);
        assert_true(kata_shape_equal(&x.shape, &y.shape));
        size_t n = kata_tensor_bytes(&x);
        if (n > 0 && memcmp(x.data, y.data, n) != 0) {
            fail_msg("%s: output %d has other bits", what, k);
        }
    }
}

static inline double test_loss(const test_run *run) {
    double loss = 0;
    for (int k = 0; k < run->n_outputs; k++) {
        if (!test_output_counts(run, k)) {
            continue;
        }
        kata_tensor y = kata_session_output(run->session, k);
        for (int64_t j = 0, n = kata_tensor_count(&y); j < n; j++) {
            loss += kata_load(y.dtype, y.data, j) * test_weight(k, j);
        }
    }
    return loss;
}

/* --- the checks ------------------------------------------------------------------------------ */

/* Central differences of the reference session against the gradient nodes, run fast and plain. */
static inline void test_gradient(const kata_test_case *c, const char *label) {
    kata_context *context = test_context(TEST_LEVELS - 1, 0);
    test_run forward = test_start(c, context, KATA_F64, -1, false, true);
    test_run runs[2] = {test_start(c, context, KATA_F64, -1, true, false),
                        test_start(c, context, KATA_F64, -1, true, true)};
    double tolerance = c->gradient_tolerance > 0 ? c->gradient_tolerance : 1e-6;
    test_execute(&runs[0]);
    test_execute(&runs[1]);
    test_fill_inputs(&forward);
    for (int g = 0; g < runs[0].n_gradients; g++) {
        kata_tensor x = test_input_tensor(&forward, runs[0].wrt[g]);
        int64_t n = kata_tensor_count(&x), step = n > TEST_SAMPLES ? n / TEST_SAMPLES : 1;
        double *numeric = calloc((size_t)n + 1, sizeof *numeric), scale = 1e-3;
        assert_non_null(numeric);
        double *elements = x.data;
        for (int64_t k = 0; k < n; k += step) {
            double old = elements[k], h = (c->h > 0 ? c->h : 1e-5) * fmax(1, fabs(old)), loss[2];
            for (int side = 0; side < 2; side++) {
                test_fill_inputs(&forward);
                elements[k] = side == 0 ? old + h : old - h;
                TEST_OK(kata_session_run(forward.session, 7, 3));
                loss[side] = test_loss(&forward);
            }
            test_fill_inputs(&forward);
            numeric[k] = (loss[0] - loss[1]) / (2 * h);
            scale = fmax(scale, fabs(numeric[k]));
        }
        for (int r = 0; r < 2; r++) {
            int output = runs[r].gradient_output[g];
            kata_tensor dx =
                output < 0 ? (kata_tensor){0} : kata_session_output(runs[r].session, output);
            for (int64_t k = 0; k < n; k += step) {
                double got = output < 0 ? 0 : kata_load(dx.dtype, dx.data, k);
                double error = fabs(got - numeric[k]) / scale;
                if (!(error <= tolerance)) {
                    fail_msg("gradient by input %d, element %lld (%s kernels): got %.9g, "
                             "difference quotient %.9g",
                             runs[r].wrt[g], (long long)k, r == 0 ? "fast" : "plain", got,
                             numeric[k]);
                }
                if (error > test_worst_gradient) {
                    test_worst_gradient = error;
                    snprintf(test_worst_label, sizeof test_worst_label, "%s", label);
                }
            }
        }
        free(numeric);
    }
    test_end(&forward);
    test_end(&runs[0]);
    test_end(&runs[1]);
}

/* Float32 on every instruction set and number of threads against the float64 reference. */
static inline void test_kernels(const kata_test_case *c, const kata_op *row, bool gradients) {
    test_run wanted = test_start(c, test_context(0, 0), KATA_F64, -1, gradients, true);
    test_execute(&wanted);
    int n = kata_graph_n_outputs(wanted.bound);
    if (c->expect != NULL) {
        kata_tensor y = kata_session_output(wanted.session, 0);
        assert_int_equal(kata_tensor_count(&y), c->n_expect);
        test_compare("expected", &y, c->expect,
                     c->expect_tolerance > 0 ? c->expect_tolerance : 1e-6);
    }
    for (int level = 0; level < TEST_LEVELS; level++) {
        kata_context *context = test_context(level, 0);
        if (strcmp(kata_context_kernels(context), test_levels[level]) != 0) {
            continue; /* this processor has no such instructions */
        }
        test_run first = test_start(c, context, KATA_F32, -1, gradients, false);
        test_execute(&first);
        for (int k = 0; k < n; k++) {
            kata_tensor y = kata_session_output(wanted.session, k);
            kata_tensor got = kata_session_output(first.session, k);
            if (k < wanted.n_outputs && c->skip_outputs >> k & 1) {
                continue;
            }
            assert_true(kata_shape_equal(&y.shape, &got.shape));
            char what[64];
            snprintf(what, sizeof what, "%s, output %d", test_levels[level], k);
            double *want = test_copy(&y);
            double tolerance = c->tolerance > 0 ? c->tolerance : row->tolerance;
            test_compare(what, &got, want, k < wanted.n_outputs ? tolerance : 1e-3);
            free(want);
        }
        for (int threads = 1; threads < TEST_THREADS; threads++) {
            test_run other =
                test_start(c, test_context(level, threads), KATA_F32, -1, gradients, false);
            test_execute(&other);
            char what[64];
            snprintf(what, sizeof what, "%s, %d threads", test_levels[level],
                     test_threads[threads]);
            test_same_bits(what, &first, &other);
            test_end(&other);
        }
        test_end(&first);
    }
    test_end(&wanted);
}

static inline void test_batches(const kata_test_case *c, bool gradients) {
    kata_context *context = test_context(TEST_LEVELS - 1, 0);
    test_run fixed = test_start(c, context, KATA_F32, -1, gradients, false);
    test_run bound = test_start(c, context, KATA_F32, test_batch(c), gradients, false);
    test_execute(&fixed);
    test_execute(&bound);
    test_same_bits("bound to its batch", &fixed, &bound);
    test_end(&fixed);
    test_end(&bound);
    for (int reference = 0; reference < 2; reference++) {
        test_run empty = test_start(c, context, KATA_F32, 0, gradients, reference == 1);
        test_execute(&empty);
        test_end(&empty);
    }
}

static inline void test_failure(const kata_test_case *c) {
    kata_context *context = test_context(TEST_LEVELS - 1, 0);
    const char *message;
    kata_status status;
    kata_graph *graph = NULL;
    if (c->at_run) {
        test_run run = test_start(c, context, KATA_F32, -1, false, false);
        test_fill_inputs(&run);
        status = kata_session_run(run.session, 7, 3);
        test_end(&run);
        message = kata_error_message();
    } else {
        graph = test_build(c, context, KATA_F32, false);
        status = kata_graph_status(graph);
        message = kata_graph_message(graph);
    }
    if (status != c->status || strstr(message, c->message) == NULL) {
        fail_msg("got %s: \"%s\"; expected %s: \"%s\"", kata_status_name(status), message,
                 kata_status_name(c->status), c->message);
    }
    kata_graph_free(graph);
}

static inline void test_one(void **state) {
    const kata_test_case *c = *state;
    const kata_op *row = kata_op_find(NULL, c->op);
    if (row == NULL) {
        fail_msg("there is no operator %s", c->op);
        return;
    }
    if (c->status != KATA_OK) {
        test_failure(c);
        return;
    }
    bool gradients = row->gradient != NULL && !c->forward_only && !(row->flags & KATA_OP_UPDATE);
    test_kernels(c, row, gradients);
    if (gradients) {
        test_gradient(c, c->op);
    }
    if (c->batched != 0) {
        test_batches(c, gradients);
    }
}

/* "Add (2,3) (3,)". */
static inline void test_name(const kata_test_case *c, char *name, size_t size) {
    int length = snprintf(name, size, "%s", c->op);
    for (int i = 0; i < test_n_inputs(c) && (size_t)length < size; i++) {
        char text[KATA_SHAPE_TEXT_SIZE];
        length += snprintf(name + length, size - (size_t)length, " %s",
                           kata_shape_text(&c->inputs[i].shape, text));
    }
    if (c->status != KATA_OK && (size_t)length < size) {
        snprintf(name + length, size - (size_t)length, ": %s", kata_status_name(c->status));
    }
}

/* Runs the cases as one cmocka group; KATA_TEST_OP in the environment picks one operator. */
static inline int test_cases_main(const char *group, const kata_test_case *cases, size_t n) {
    enum { NAME = 96 };
    struct CMUnitTest *tests = calloc(n + 1, sizeof *tests);
    char(*names)[NAME] = calloc(n + 1, sizeof *names);
    const char *only = getenv("KATA_TEST_OP");
    size_t count = 0;
    for (size_t i = 0; tests != NULL && names != NULL && i < n; i++) {
        if (only != NULL && strcmp(only, cases[i].op) != 0) {
            continue;
        }
        test_name(&cases[i], names[count], NAME);
        tests[count].name = names[count];
        tests[count].test_func = test_one;
        tests[count++].initial_state = (void *)(uintptr_t)&cases[i];
    }
    int failed = _cmocka_run_group_tests(group, tests, count, NULL, NULL);
    for (int level = 0; level < TEST_LEVELS; level++) {
        for (int threads = 0; threads < TEST_THREADS; threads++) {
            kata_context_free(test_contexts[level][threads]);
        }
    }
    if (test_worst_gradient > 0) {
        printf("worst gradient error: %.2g (%s)\n", test_worst_gradient, test_worst_label);
    }
    free(tests);
    free(names);
    return failed;
}

#endif
