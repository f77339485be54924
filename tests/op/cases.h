/* What one test case of the operator table says. The lists are cases_a.h (element-wise, reductions,
 * shapes) and cases_b.h (products, convolution, normalisation, losses, updates); harness.h runs
 * them.
 *
 *     {"Add", .inputs = {{F(2, 3)}, {F(3)}}},
 *     {"Gather", .inputs = {{F(4, 2)}, {I64(2), VALUES(0, -1)}}, .attributes = {KATA_INT("axis",
 * 0)}},
 *     {"Add", .inputs = {{F(2, 3)}, {F(4)}}, .status = KATA_SHAPE, .message = "Add: ..."},
 *
 * For each case without `status` the harness checks
 *   1. in float64: numeric gradients of sum(outputs * random weights) by every float input;
 *   2. in float32, on every instruction set: the outputs against the float64 reference session;
 *   3. the same bits for 1, 2 and 5 threads, outputs and gradients;
 *   4. with `batched`: the unknown batch bound to its size and to 0;
 *   5. with EXPECT: output 0 of the reference against the numbers given here. */
#ifndef TESTS_OP_CASES_H
#define TESTS_OP_CASES_H

#include <kata/graph.h>

typedef enum kata_test_kind {
    TEST_INPUT = 0, /* an input of the graph, filled before the run */
    TEST_CONSTANT,  /* a constant of the graph */
    TEST_VARIABLE,  /* a trainable variable: what UPDATE rows need */
    TEST_ABSENT     /* an absent optional input */
} kata_test_kind;

typedef struct kata_test_input {
    kata_dtype dtype; /* KATA_NO_DTYPE: the float of the run, float64 or float32 */
    kata_shape shape;
    kata_test_kind kind;
    double low, high; /* uniform random values in [low, high); integers low..high-1; both 0: -1..1
                         for floats, 0..1 for integers */
    const double *values; /* or these, `n_values` of them (repeated if there are fewer) */
    int n_values;
    bool no_gradient; /* a float input whose gradient is not checked */
} kata_test_input;

#define TEST_MAX_INPUTS 12
#define TEST_MAX_ATTRIBUTES 16

typedef struct kata_test_case {
    const char *op; /* "Conv", "kata:Assign" */
    kata_test_input inputs[TEST_MAX_INPUTS];
    kata_attribute attributes[TEST_MAX_ATTRIBUTES];
    int n_inputs;          /* 0: up to the last one given */
    int n_outputs;         /* 0: one */
    unsigned skip_outputs; /* bit k: output k is not compared and not in the gradient's loss */
    unsigned batched;      /* bit i: the first size of input i is the batch */
    bool training;         /* bind for training (Dropout, BatchNormalization) */
    bool forward_only;     /* no gradient check: not differentiable there, or just large */
    const double *expect;  /* numbers of output 0 of the reference session */
    int n_expect;
    double expect_tolerance;   /* 0: 1e-6 relative */
    double tolerance;          /* float32 against reference; 0: the row's */
    double gradient_tolerance; /* 0: 1e-6 */
    double h;                  /* step of the central difference; 0: 1e-5 */
    kata_status status; /* not OK: adding the node (or, with `at_run`, running it) fails so ... */
    bool at_run;
    const char *message; /* ... and the error sentence contains this */
} kata_test_case;

/* KATA_SHAPE_OF for static initialisers; NO_DIMS is rank 0. */
#define TEST_DIMS(...)                                                                             \
    {                                                                                              \
        (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), {                               \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define NO_DIMS .shape = {0, {0}}
/* The first words of an input: its dtype and sizes. F is the float of the run. */
#define F(...) .shape = TEST_DIMS(__VA_ARGS__)
#define F0 NO_DIMS, .low = -1, .high = 1
#define TYPED(type, ...) .dtype = KATA_##type, .shape = TEST_DIMS(__VA_ARGS__)
#define I64(...) TYPED(I64, __VA_ARGS__)
#define I32(...) TYPED(I32, __VA_ARGS__)
#define U8(...) TYPED(U8, __VA_ARGS__)
#define BOOLS(...) TYPED(BOOL, __VA_ARGS__), .high = 2
#define SCALAR(type) .dtype = KATA_##type, NO_DIMS
/* Then, if needed: */
#define RANGE(from, to) .low = (from), .high = (to)
#define VALUES(...)                                                                                \
    .values = (const double[]){__VA_ARGS__},                                                       \
    .n_values = (int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double))
#define CONSTANT .kind = TEST_CONSTANT
#define VARIABLE .kind = TEST_VARIABLE
#define ABSENT .kind = TEST_ABSENT
#define NO_GRADIENT .no_gradient = true
/* A constant rank-1 int64 input: axes, a shape, sizes. A whole input, with its braces. */
#define INTS(...)                                                                                  \
    {                                                                                              \
        .dtype = KATA_I64, .kind = TEST_CONSTANT,                                                  \
        .shape = {1, {(int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double))}},               \
        VALUES(__VA_ARGS__)                                                                        \
    }
#define EXPECT(...)                                                                                \
    .expect = (const double[]){__VA_ARGS__},                                                       \
    .n_expect = (int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double))

#endif
