/* A fused node computes where the last of its group stood. So no group may reach past a node that
 * writes a variable which an earlier member reads: itself, or through a view of it. */
#include "support/small_graph.h"

#include <string.h>

#include "graph/graph.h"

typedef enum written { NOTHING, OTHER, WEIGHT, BIAS, RESIDUAL, KINDS } written;
static const char *const names[] = {"nothing", "another", "the weight", "the bias", "the residual"};

static kata_value variable32(kata_graph *g, const char *name, kata_shape shape) {
    kata_variable *variable;
    kata_value value = kata_graph_variable(g, name, KATA_F32, &shape, true, &variable);
    assert_non_null(variable);
    for (int64_t i = 0; i < kata_tensor_count(&variable->tensor); i++) {
        double u = kata_random_uniform(1, (uint32_t)name[0], 0, (uint64_t)i);
        kata_store(KATA_F32, variable->tensor.data, i, u - 0.4);
    }
    return value;
}

static kata_value as(kata_graph *g, kata_value value, bool view) {
    kata_shape shape = kata_value_shape(g, value);
    return view ? KATA_NODE(g, "Reshape",
                            KATA_INPUTS(value, kata_graph_int64s(g, shape.dim, shape.rank)))
                : value;
}

/* relu(conv(x, w) + b + r), or relu(x w + b), the variable `what` negated right before the relu. */
static kata_graph *build(bool gemm, written what, bool view) {
    kata_graph *g = small_graph();
    kata_shape in = gemm ? KATA_SHAPE_OF(3, 8) : KATA_SHAPE_OF(2, 4, 6, 6);
    kata_value x = kata_graph_input(g, "x", KATA_F32, &in), y;
    kata_value v[KINDS] = {KATA_NONE, variable32(g, "o", KATA_SHAPE_OF(5))};
    v[WEIGHT] = variable32(g, "w", gemm ? KATA_SHAPE_OF(8, 5) : KATA_SHAPE_OF(5, 4, 3, 3));
    v[BIAS] = variable32(g, "b", KATA_SHAPE_OF(5));
    kata_value read[KINDS];
    for (int i = OTHER; i < RESIDUAL; i++) {
        read[i] = as(g, v[i], view);
    }
    if (gemm) {
        y = KATA_NODE(g, "Gemm", KATA_INPUTS(x, read[WEIGHT], read[BIAS]));
    } else {
        v[RESIDUAL] = variable32(g, "r", KATA_SHAPE_OF(2, 5, 6, 6));
        read[RESIDUAL] = as(g, v[RESIDUAL], view);
        y = KATA_NODE_WITH(g, "Conv", KATA_INPUTS(x, read[WEIGHT], read[BIAS]),
                           KATA_INTS("pads", 1, 1, 1, 1));
        y = KATA_NODE(g, "Add", KATA_INPUTS(y, read[RESIDUAL]));
    }
    if (what != NOTHING) {
        KATA_NODE(g, "kata:Assign",
                  KATA_INPUTS(v[what], KATA_NODE(g, "Neg", KATA_INPUTS(v[what]))));
    }
    y = KATA_NODE(g, "Relu", KATA_INPUTS(y));
    assert_ok(kata_graph_output(g, "y", y));
    return g;
}

static int count(const kata_graph *g, const char *op) {
    int n = 0;
    for (size_t i = 0; i < g->n_nodes; i++) {
        n += !g->nodes[i].removed && strcmp(g->nodes[i].op->name, op) == 0;
    }
    return n;
}

/* The outputs of the graph, or of what is made of it, at its first run. Returns whether Relu is
 * part of another node. */
static bool outputs_of(kata_graph *g, bool optimize, float y[400], int64_t *n) {
    kata_graph *fast = NULL;
    kata_session *s;
    if (optimize) {
        assert_ok(kata_graph_optimize(&fast, g));
    }
    assert_ok(kata_session_new(&s, optimize ? fast : g, NULL));
    kata_tensor x = kata_session_input(s, 0);
    for (int64_t i = 0; i < kata_tensor_count(&x); i++) {
        kata_store(KATA_F32, x.data, i, (double)(i % 11) / 8 - 0.6);
    }
    assert_ok(kata_session_run(s, 0, 0));
    kata_tensor out = kata_session_output(s, 0);
    *n = kata_tensor_count(&out);
    assert_true(*n <= 400);
    memcpy(y, out.data, (size_t)*n * sizeof *y);
    bool fused = optimize && count(fast, "Relu") == 0;
    kata_session_free(s);
    kata_graph_free(fast);
    kata_graph_free(g);
    return fused;
}

static void test_no_group_reaches_past_a_write(void **state) {
    (void)state;
    for (int gemm = 0; gemm < 2; gemm++) {
        for (int what = NOTHING; what < (gemm ? RESIDUAL : KINDS); what++) {
            for (int view = 0; view < 2; view++) {
                float plain[400], fast[400];
                int64_t n;
                outputs_of(build(gemm, (written)what, view), false, plain, &n);
                bool fused = outputs_of(build(gemm, (written)what, view), true, fast, &n);
                const char *how = view ? " through a view" : "";
                if (fused != (what <= OTHER)) {
                    fail_msg("%s, %s is written%s: the relu is%s part of it",
                             gemm ? "Gemm" : "Conv", names[what], how, fused ? "" : " not");
                }
                for (int64_t i = 0; i < n; i++) {
                    if (fabs((double)plain[i] - (double)fast[i]) > 1e-4) {
                        fail_msg("%s, %s is written%s: number %d is %g, expected %g",
                                 gemm ? "Gemm" : "Conv", names[what], how, (int)i, (double)fast[i],
                                 (double)plain[i]);
                    }
                }
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_group_reaches_past_a_write)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
