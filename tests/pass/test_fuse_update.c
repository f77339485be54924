/* kata__graph_fuse_updates: updates that are one node with the product that is their gradient leave
 * the bits of updates by themselves, take less memory, and are made only where that is right. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <kata/exec.h>

#include "exec/plan.h"
#include "pass/pass.h"
#include "support/assert_ok.h"

enum { BATCH = 20, IN = 260, HIDDEN = 300, OUT = 220, STEPS = 3 };

typedef enum variety {
    PLAIN,   /* x W0, relu, h W1 */
    SHARED,  /* W1 twice: its gradient is a sum */
    READ,    /* the updated W1 is the graph's output */
    CLIPPED, /* the gradients are clipped */
    DESCENT, /* by plain SGD */
    SMALL,   /* W1 has 3 columns; then the arena would grow */
    VARIETIES
} variety;

static const int expected_fused[VARIETIES] = {2, 1, 1, 0, 2, 0};

typedef struct training {
    kata_graph *graph;
    int n_variables;
    kata_variable *variables[16];
} training;

static kata_value variable(training *t, bool trainable, int64_t rows, int64_t columns) {
    char name[16];
    snprintf(name, sizeof name, "w%d", t->n_variables);
    kata_variable *made = NULL;
    kata_value value = kata_graph_variable(t->graph, name, KATA_F32, &KATA_SHAPE_OF(rows, columns),
                                           trainable, &made);
    for (int64_t i = 0; made != NULL && trainable && i < rows * columns; i++) {
        double u = kata_random_uniform(3, (uint32_t)t->n_variables, 0, (uint64_t)i);
        ((float *)made->tensor.data)[i] = (float)(u - 0.5) * 0.2F;
    }
    t->variables[t->n_variables++] = made;
    return value;
}

/* The mean square of what the network gives, its gradients, a step of Adam. */
static training build(variety v) {
    training t = {0};
    assert_ok(kata_graph_new(&t.graph, kata_context_default(), "training"));
    kata_graph *g = t.graph;
    const int64_t out = v == SMALL ? 3 : v == SHARED ? HIDDEN : OUT;
    kata_value x = kata_graph_input(g, "x", KATA_F32, &KATA_SHAPE_OF(BATCH, IN));
    kata_value weights[2], gradients[2];
    weights[0] = variable(&t, true, IN, HIDDEN);
    weights[1] = variable(&t, true, HIDDEN, out);
    kata_value h =
        KATA_NODE(g, "Relu", KATA_INPUTS(KATA_NODE(g, "Gemm", KATA_INPUTS(x, weights[0]))));
    kata_value y = KATA_NODE(g, "Gemm", KATA_INPUTS(h, weights[1]));
    if (v == SHARED) {
        y = KATA_NODE(g, "Gemm", KATA_INPUTS(y, weights[1]));
    }
    kata_value loss =
        KATA_NODE_WITH(g, "ReduceMean", KATA_INPUTS(KATA_NODE(g, "Mul", KATA_INPUTS(y, y))),
                       KATA_INT("keepdims", 0));
    assert_ok(kata_graph_differentiate(g, loss, weights, 2, gradients));
    assert_ok(kata_graph_output(g, "loss", loss));
    for (int i = 0; i < 2; i++) {
        kata_shape shape = kata_value_shape(g, weights[i]);
        kata_value m = variable(&t, false, shape.dim[0], shape.dim[1]);
        kata_value s = variable(&t, false, shape.dim[0], shape.dim[1]), outputs[3];
        if (v == CLIPPED) {
            gradients[i] = KATA_NODE(g, "Clip",
                                     KATA_INPUTS(gradients[i], kata_graph_scalar(g, KATA_F32, -1),
                                                 kata_graph_scalar(g, KATA_F32, 1)));
        }
        if (v == DESCENT) {
            kata_graph_node(
                g, "kata:SGD",
                KATA_INPUTS(weights[i], gradients[i], kata_graph_scalar(g, KATA_F32, 0.01)), NULL,
                0);
            continue;
        }
        const kata_value inputs[] = {weights[i],
                                     m,
                                     s,
                                     gradients[i],
                                     kata_graph_scalar(g, KATA_F32, 0.01),
                                     kata_graph_scalar(g, KATA_F32, 2)};
        const kata_attribute decay = KATA_FLOAT("weight_decay", 0.1);
        assert_ok(kata_graph_node_outputs(g, NULL, "kata:Adam", inputs, 6, &decay, 1, outputs, 3));
        if (v == READ && i == 1) {
            assert_ok(kata_graph_output(g, "updated", outputs[0]));
        }
    }
    return t;
}

static int count(const kata_graph *graph, const char *op) {
    int n = 0;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        n += !graph->nodes[i].removed && strcmp(graph->nodes[i].op->name, op) == 0;
    }
    return n;
}

static void fill(kata_session *session, float factor) {
    kata_tensor x = kata_session_input(session, 0);
    for (int64_t i = 0; i < kata_tensor_count(&x); i++) {
        ((float *)x.data)[i] = factor * (float)kata_random_uniform(5, 0, 0, (uint64_t)i);
    }
}

static void test_same_bits(void **state) {
    (void)state;
    for (int v = 0; v < VARIETIES; v++) {
        training apart = build((variety)v), fused = build((variety)v);
        size_t bytes[2];
        assert_ok(kata__graph_fuse_updates(fused.graph, kata__plan_arena_bytes));
        assert_int_equal(count(fused.graph, "GemmUpdate"), expected_fused[v]);
        assert_int_equal(count(fused.graph, v == DESCENT ? "SGD" : "Adam"), 2 - expected_fused[v]);
        assert_ok(kata__plan_arena_bytes(&bytes[0], apart.graph));
        assert_ok(kata__plan_arena_bytes(&bytes[1], fused.graph));
        assert_true(bytes[1] < bytes[0] || (bytes[1] == bytes[0] && expected_fused[v] == 0));
        kata_session *sessions[2];
        assert_ok(kata_session_new(&sessions[0], apart.graph, NULL));
        assert_ok(kata_session_new(&sessions[1], fused.graph, NULL));
        for (int step = 0; step < STEPS; step++) {
            for (int k = 0; k < 2; k++) {
                fill(sessions[k], (float)(step + 1));
                assert_ok(kata_session_run(sessions[k], 1, (uint64_t)step));
            }
        }
        for (int i = 0; i < apart.n_variables; i++) {
            assert_memory_equal(apart.variables[i]->tensor.data, fused.variables[i]->tensor.data,
                                kata_tensor_bytes(&apart.variables[i]->tensor));
        }
        for (int k = 0; k < 2; k++) {
            kata_session_free(sessions[k]);
        }
        kata_graph_free(apart.graph);
        kata_graph_free(fused.graph);
    }
}

/* What is known before the first update stops all of them; what a product itself makes stops there,
 * and no parameter ever gets it. */
static void check_not_finite(variety v) {
    training t = build(v);
    assert_ok(kata__graph_fuse_updates(t.graph, kata__plan_arena_bytes));
    kata_session *session;
    assert_ok(kata_session_new(&session, t.graph, NULL));
    fill(session, 1);
    float *w = t.variables[1]->tensor.data, *first = t.variables[0]->tensor.data;
    const float old = w[5], old_first = first[0];
    w[5] = NAN;
    assert_int_equal(kata_session_run(session, 1, 1), KATA_NON_FINITE);
    assert_non_null(strstr(kata_error_message(), "Gemm_"));
    assert_true(first[0] == old_first);
    w[5] = old;
    /* x' dy overflows where all of dy is finite */
    float *x = kata_session_input(session, 0).data;
    for (int64_t i = 0; i < BATCH; i++) {
        x[i * IN + 7] = 1e38F;
    }
    memset(first + (size_t)7 * HIDDEN, 0, HIDDEN * sizeof *first); /* and nobody sees it */
    for (int i = 0; i < HIDDEN * OUT; i++) {
        w[i] *= 1e4F;
    }
    assert_int_equal(kata_session_run(session, 1, 1), KATA_NON_FINITE);
    assert_non_null(strstr(kata_error_message(), "the first non-finite value is element (7,"));
    for (int k = 0; k < t.n_variables; k++) {
        const kata_tensor *tensor = &t.variables[k]->tensor;
        for (int64_t i = 0; i < kata_tensor_count(tensor); i++) {
            assert_true(isfinite(((const float *)tensor->data)[i]));
        }
    }
    kata_session_free(session);
    kata_graph_free(t.graph);
}

static void test_not_finite(void **state) {
    (void)state;
    check_not_finite(PLAIN);
    check_not_finite(DESCENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
