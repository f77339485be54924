/* Cases of the element-wise, reduction and shape rows. One list a family; test_table.c sees them
 * all. */
#ifndef TESTS_OP_CASES_A_H
#define TESTS_OP_CASES_A_H

#include "op/cases.h"

/* An empty constant list; a float constant of one element. */
#define NO_INTS                                                                                    \
    { .dtype = KATA_I64, .kind = TEST_CONSTANT, .shape = {1, {0}}, .high = 1 }
#define NUMBER(...)                                                                                \
    { CONSTANT, NO_DIMS, VALUES(__VA_ARGS__) }
#define INT0(value)                                                                                \
    { SCALAR(I64), CONSTANT, VALUES(value) }

/* The shapes that every function of one number is tried with: a vector, more dimensions than one
 * loop, a scalar, nothing at all, a batch, and enough for several threads. */
#define UNARY_CASES(NAME, LOW, HIGH) UNARY_CASES_WITH(NAME, LOW, HIGH, {.name = NULL})
#define UNARY_CASES_WITH(NAME, LOW, HIGH, ...)                                                     \
    {NAME, .inputs = {{F(37), RANGE(LOW, HIGH)}}, .attributes = {__VA_ARGS__}},                    \
        {NAME, .inputs = {{F(2, 3, 5), RANGE(LOW, HIGH)}}, .attributes = {__VA_ARGS__},            \
         .batched = 1},                                                                            \
        {NAME, .inputs = {{NO_DIMS, RANGE(LOW, HIGH)}}, .attributes = {__VA_ARGS__}},              \
        {NAME, .inputs = {{F(3, 0, 2), RANGE(LOW, HIGH)}}, .attributes = {__VA_ARGS__}}, {         \
        NAME, .inputs = {{F(7, 19013), RANGE(LOW, HIGH)}}, .attributes = {__VA_ARGS__},            \
              .forward_only = true                                                                 \
    }

static const kata_test_case cases_math[] = {
    UNARY_CASES("Relu", -2, 2),
    {"Relu", .inputs = {{F(2, 2), VALUES(1, -0.5, -2, 3)}}, EXPECT(1, 0, 0, 3)}, /* book 5.5 */
    {"Relu", .inputs = {{I32(4), VALUES(-3, 0, 5, 2147483647)}}, EXPECT(0, 0, 5, 2147483647)},
    {"Relu", .inputs = {{TYPED(F16, 3), VALUES(-1, 0.5, 2)}}, EXPECT(0, 0.5, 2)},
    {"Relu", .inputs = {{F(3), VALUES(NAN, INFINITY, -INFINITY)}}, .forward_only = true},
    {"Relu", .inputs = {{U8(2)}}, .status = KATA_DTYPE,
     .message = "Relu: input 0 must be float32, float64, float16, bfloat16, int8, int32 or int64, "
                "got uint8"},
    UNARY_CASES("LeakyRelu", -2, 2),
    UNARY_CASES_WITH("LeakyRelu", -2, 2, KATA_FLOAT("alpha", -0.7)),
    {"LeakyRelu", .inputs = {{F(3), VALUES(-1, 0, 2)}}, .attributes = {KATA_FLOAT("alpha", 0.1)},
     EXPECT(-0.1, 0, 2), .forward_only = true},
    UNARY_CASES("Elu", -3, 3),
    UNARY_CASES_WITH("Elu", -3, 3, KATA_FLOAT("alpha", 2)),
    {"Elu", .inputs = {{F(3), VALUES(-1, 0, 1)}}, .attributes = {KATA_FLOAT("alpha", 2)},
     EXPECT(-1.2642411, 0, 1), .forward_only = true}, /* onnx/backend/test elu_example */
    UNARY_CASES("Selu", -3, 3),
    {"Selu", .inputs = {{F(3), VALUES(-1, 0, 1)}},
     .attributes = {KATA_FLOAT("alpha", 2), KATA_FLOAT("gamma", 3)}, EXPECT(-3.79272318, 0, 3),
     .forward_only = true}, /* onnx/backend/test selu_example */
    UNARY_CASES("Gelu", -3, 3),
    UNARY_CASES_WITH("Gelu", -3, 3, KATA_STRING("approximate", "tanh")),
    {"Gelu", .inputs = {{F(3), VALUES(-1, 0, 1)}}, EXPECT(-0.15865526, 0, 0.84134474)},
    {"Gelu", .inputs = {{F(3), VALUES(-1, 0, 1)}},
     .attributes = {KATA_STRING("approximate", "tanh")},
     EXPECT(-0.15880801, 0, 0.841192)}, /* onnx/backend/test gelu_tanh */
    {"Gelu", .inputs = {{F(2)}}, .attributes = {KATA_STRING("approximate", "erf")},
     .status = KATA_INVALID,
     .message = "Gelu: approximate must be \"none\" or \"tanh\", got \"erf\""},
    UNARY_CASES("HardSigmoid", -4, 4),
    {"HardSigmoid", .inputs = {{F(3), VALUES(-1, 0, 1)}},
     .attributes = {KATA_FLOAT("alpha", 0.5), KATA_FLOAT("beta", 0.6)}, EXPECT(0.1, 0.6, 1),
     .forward_only = true},
    UNARY_CASES("HardSwish", -5, 5),
    UNARY_CASES("Mish", -5, 5),
    {"Mish", .inputs = {{F(5), VALUES(-3, -1, 0, 1, 2)}}, .expect_tolerance = 1e-6,
     EXPECT(-0.14564734, -0.30340147, 0, 0.86509839, 1.94395896)},
    {"Mish", .inputs = {{F(2), VALUES(-1000, 1000)}}, EXPECT(0, 1000), .forward_only = true},
    {"Mish", .inputs = {{I64(2)}}, .status = KATA_DTYPE, .message = "Mish: input 0 must be"},
    {"HardSwish", .inputs = {{F(4), VALUES(-4, -1, 1, 4)}}, EXPECT(0, -1.0 / 3, 2.0 / 3, 4)},
    UNARY_CASES("Sigmoid", -6, 6),
    {"Sigmoid", .inputs = {{F(3), VALUES(-1, 1, 2)}},
     EXPECT(0.26894142, 0.73105858, 0.88079708)}, /* book L1632 */
    {"Sigmoid", .inputs = {{F(4), VALUES(-1000, -100, 100, 1000)}},
     EXPECT(0, 3.720075976e-44, 1, 1), .forward_only = true},
    UNARY_CASES("Tanh", -4, 4),
    {"Tanh", .inputs = {{F(3), VALUES(-1, 0, 1)}}, EXPECT(-0.76159416, 0, 0.76159416)},
    UNARY_CASES("Softplus", -5, 5),
    {"Softplus", .inputs = {{F(4), VALUES(-1, 0, 1, 800)}},
     EXPECT(0.31326166, 0.69314718, 1.31326163, 800), .forward_only = true},
    UNARY_CASES("Erf", -3, 3),
    UNARY_CASES("Exp", -4, 4),
    {"Exp", .inputs = {{F(2), VALUES(0, 1)}}, EXPECT(1, 2.718281828)},
    UNARY_CASES("Log", 0.1, 5),
    {"Log", .inputs = {{F(3), VALUES(1, 10, 0)}}, EXPECT(0, 2.302585093, -INFINITY),
     .forward_only = true},
    UNARY_CASES("Sqrt", 0.2, 5),
    UNARY_CASES("Reciprocal", 0.3, 3),
    UNARY_CASES("Reciprocal", -3, -0.3),
    UNARY_CASES("Sin", -4, 4),
    UNARY_CASES("Cos", -4, 4),
    UNARY_CASES("Neg", -4, 4),
    {"Neg", .inputs = {{I64(2), VALUES(5, -7)}}, EXPECT(-5, 7)},
    {"Neg", .inputs = {{TYPED(I8, 2), VALUES(-128, 1)}}, EXPECT(-128, -1)},
    UNARY_CASES("Abs", -4, 4),
    {"Abs", .inputs = {{I32(2), VALUES(5, -7)}}, EXPECT(5, 7)},
    UNARY_CASES("Sign", -4, 4),
    {"Sign", .inputs = {{I64(3), VALUES(5, 0, -7)}}, EXPECT(1, 0, -1)},
    UNARY_CASES("Floor", -4, 4),
    UNARY_CASES("Ceil", -4, 4),
    {"Ceil", .inputs = {{F(2), VALUES(-1.5, 1.2)}}, EXPECT(-1, 2)},
};

/* Broadcasting in all directions, empty and scalar operands, enough for several threads. */
#define BINARY_CASES(NAME, LOW, HIGH, LOW_B, HIGH_B)                                               \
    {NAME, .inputs = {{F(3, 4), RANGE(LOW, HIGH)}, {F(3, 4), RANGE(LOW_B, HIGH_B)}},               \
     .batched = 3},                                                                                \
        {NAME, .inputs = {{F(2, 3, 4), RANGE(LOW, HIGH)}, {F(4), RANGE(LOW_B, HIGH_B)}},           \
         .batched = 1},                                                                            \
        {NAME, .inputs = {{F(4), RANGE(LOW, HIGH)}, {F(2, 3, 4), RANGE(LOW_B, HIGH_B)}}},          \
        {NAME, .inputs = {{F(2, 1, 4), RANGE(LOW, HIGH)}, {F(3, 1), RANGE(LOW_B, HIGH_B)}}},       \
        {NAME, .inputs = {{F(5), RANGE(LOW, HIGH)}, {NO_DIMS, RANGE(LOW_B, HIGH_B)}}},             \
        {NAME, .inputs = {{NO_DIMS, RANGE(LOW, HIGH)}, {NO_DIMS, RANGE(LOW_B, HIGH_B)}}},          \
        {NAME, .inputs = {{F(1, 1, 1), RANGE(LOW, HIGH)}, {F(2), RANGE(LOW_B, HIGH_B)}}},          \
        {NAME, .inputs = {{F(0, 3), RANGE(LOW, HIGH)}, {F(1, 3), RANGE(LOW_B, HIGH_B)}}},          \
        {NAME, .inputs = {{F(13, 1, 523), RANGE(LOW, HIGH)}, {F(17, 1), RANGE(LOW_B, HIGH_B)}},    \
         .forward_only = true},                                                                    \
    {                                                                                              \
        NAME, .inputs = {{F(123457), RANGE(LOW, HIGH)}, {F(123457), RANGE(LOW_B, HIGH_B)}},        \
              .forward_only = true                                                                 \
    }

static const kata_test_case cases_arithmetic[] = {
    BINARY_CASES("Add", -2, 2, -2, 2),
    {"Add", .inputs = {{F(3), VALUES(1, 2, 3)}, {NO_DIMS, VALUES(1)}}, EXPECT(2, 3, 4)}, /* L1640 */
    {"Add", .inputs = {{I64(2), VALUES(4000, -1)}, {SCALAR(I64), VALUES(200)}}, EXPECT(4200, 199)},
    {"Add", .inputs = {{U8(2), VALUES(250, 1)}, {U8(2), VALUES(10, 1)}}, EXPECT(4, 2)},
    {"Add", .inputs = {{F(2, 3)}, {F(4)}}, .status = KATA_SHAPE, .message = "Add: "},
    {"Add", .inputs = {{F(2, 3)}, {I64(3)}}, .status = KATA_DTYPE,
     .message = "Add: inputs 0 and 1 must have one data type, got float32 and int64; add a Cast to "
                "one of them"},
    BINARY_CASES("Sub", -2, 2, -2, 2),
    {"Sub", .inputs = {{I32(2), VALUES(-2147483648.0, 5)}, {I32(2), VALUES(1, 7)}},
     EXPECT(2147483647, -2)},
    BINARY_CASES("Mul", -2, 2, -2, 2),
    {"Mul", .inputs = {{F(1), VALUES(10)}, {F(1), VALUES(5)}}, EXPECT(50)}, /* book fig. 5-12 */
    {"Mul", .inputs = {{I64(2), VALUES(-3, 1099511627776.0)}, {SCALAR(I64), VALUES(2)}},
     EXPECT(-6, 2199023255552.0)},
    BINARY_CASES("Div", -2, 2, 0.5, 2),
    {"Div", .inputs = {{NO_DIMS, VALUES(1)}, {F(3), VALUES(1, 2, 3)}},
     EXPECT(1, 0.5, 0.33333333)}, /* book L1643 */
    {"Div", .inputs = {{I32(3), VALUES(7, -7, 5)}, {I32(3), VALUES(2, 2, -1)}}, EXPECT(3, -3, -5)},
    {"Div", .inputs = {{I32(2), VALUES(7, 1)}, {I32(2), VALUES(2, 0)}}, .status = KATA_INVALID,
     .at_run = true, .message = "Div: division of an integer by zero at element 1"},
    BINARY_CASES("Pow", 0.3, 2, -2, 3),
    {"Pow", .inputs = {{F(5), RANGE(-2, 2)}, {NO_DIMS, CONSTANT, VALUES(2)}}},
    {"Pow", .inputs = {{F(5), RANGE(-2, 2)}, {NO_DIMS, CONSTANT, VALUES(3)}}},
    {"Pow", .inputs = {{F(5), RANGE(-2, 2)}, {NO_DIMS, CONSTANT, VALUES(1)}}},
    {"Pow", .inputs = {{F(5), RANGE(-2, 2)}, {NO_DIMS, CONSTANT, VALUES(0)}}},
    {"Pow", .inputs = {{F(2, 5), RANGE(1, 2)}, {F(1, 1), CONSTANT, VALUES(0.5)}}},
    {"Pow", .inputs = {{F(4), RANGE(1, 2)}, {I64(4), RANGE(-1, 4)}}},
    {"Pow", .inputs = {{F(3), VALUES(0, 0, 2)}, {F(3), NO_GRADIENT, VALUES(1, 2, -1)}},
     EXPECT(0, 0, 0.5)},
    {"Pow", .inputs = {{I64(4), VALUES(3, -2, -1, 2)}, {I64(4), VALUES(4, 3, -3, -1)}},
     EXPECT(81, -8, -1, 0)},
    {"Pow", .inputs = {{F(2)}, {F(3)}}, .status = KATA_SHAPE, .message = "Pow: "},

    {"PRelu", .inputs = {{F(3, 4), RANGE(-2, 2)}, {F(4), RANGE(-1, 1)}}, .batched = 1},
    {"PRelu", .inputs = {{F(2, 3, 4, 2), RANGE(-2, 2)}, {F(3, 1, 1)}}},
    {"PRelu", .inputs = {{F(2, 3), RANGE(-2, 2)}, {F0}}},
    {"PRelu", .inputs = {{F(2, 3), RANGE(-2, 2)}, {F(2, 3)}}},
    {"PRelu", .inputs = {{F(0, 3)}, {F(3)}}},
    {"PRelu", .inputs = {{I32(2), VALUES(-3, 4)}, {I32(1), VALUES(2)}}, EXPECT(-6, 4)},
    {"PRelu", .inputs = {{F(3)}, {F(2, 3)}}, .status = KATA_SHAPE,
     .message = "PRelu: the slope (2,3) does not broadcast to x (3,)"},

    BINARY_CASES("Max", -2, 2, -2, 2),
    {"Max", .inputs = {{F(3)}}},
    {"Max", .inputs = {{F(2, 3)}, {F(3)}, {F(2, 1)}, {F0}}, .batched = 5},
    {"Max", .inputs = {{I64(3), VALUES(1, 5, 2)}, {I64(3), VALUES(4, 3, 2)}}, EXPECT(4, 5, 2)},
    {"Max", .inputs = {{F(2, 3)}, {F(3)}, {F(4)}}, .status = KATA_SHAPE,
     .message = "Max: input 2: "},
    BINARY_CASES("Min", -2, 2, -2, 2),
    {"Min", .inputs = {{F(2, 3)}, {F(3)}, {F(2, 1)}, {F0}}},
    {"Min", .inputs = {{TYPED(I8, 2), VALUES(-3, 4)}, {TYPED(I8, 2), VALUES(2, -9)}},
     EXPECT(-3, -9)},
    BINARY_CASES("Sum", -2, 2, -2, 2),
    {"Sum", .inputs = {{F(4)}}},
    {"Sum", .inputs = {{F(2, 3)}, {F(3)}, {F(2, 1)}, {F0}, {F(1, 3)}}},
    {"Sum", .inputs = {{TYPED(BF16, 2), VALUES(1, 2)}, {TYPED(BF16, 2), VALUES(3, 0.5)}},
     EXPECT(4, 2.5)},
    BINARY_CASES("Mean", -2, 2, -2, 2),
    {"Mean", .inputs = {{F(4)}}},
    {"Mean", .inputs = {{F(2, 3)}, {F(3)}, {F(2, 1)}}},
    {"Mean", .inputs = {{F(3), VALUES(3, 0, 2)}, {F(3), VALUES(1, 3, 4)}, {F(3), VALUES(2, 6, 6)}},
     EXPECT(2, 3, 4)},

    {"Clip", .inputs = {{F(4, 5), RANGE(-2, 2)}, NUMBER(-1), NUMBER(0.5)}, .batched = 1},
    {"Clip",
     .inputs = {{F(20), RANGE(-2, 2)}, {NO_DIMS, RANGE(-1, -0.5)}, {NO_DIMS, RANGE(0.5, 1)}}},
    {"Clip", .inputs = {{F(9), RANGE(-2, 2)}, {ABSENT}, NUMBER(0.5)}},
    {"Clip", .inputs = {{F(9), RANGE(-2, 2)}, NUMBER(0)}},
    {"Clip", .inputs = {{F(9), RANGE(-2, 2)}}},
    {"Clip", .inputs = {{F(9), RANGE(-2, 2)}, NUMBER(1), NUMBER(-1)}},
    {"Clip", .inputs = {{NO_DIMS, RANGE(-2, 2)}, NUMBER(-1), NUMBER(1)}},
    {"Clip", .inputs = {{F(0, 2)}, NUMBER(-1), NUMBER(1)}},
    {"Clip", .inputs = {{F(100003), RANGE(-2, 2)}, NUMBER(-1), NUMBER(1)}, .forward_only = true},
    {"Clip", .inputs = {{I64(4), VALUES(-9, 0, 3, 9)}, INT0(-1), INT0(5)}, EXPECT(-1, 0, 3, 5)},
    {"Clip", .inputs = {{F(3)}, {F(2)}}, .status = KATA_SHAPE,
     .message = "Clip: min must be one number, got shape (2,)"},

    {"kata:ReluGrad", .inputs = {{F(3, 7)}, {F(3, 7)}}, .batched = 3},
    {"kata:ReluGrad", .inputs = {{F(3), VALUES(1, 2, 3)}, {F(3), VALUES(0, -1, 5)}},
     EXPECT(0, 0, 3)},
    {"kata:SigmoidGrad", .inputs = {{F(3, 7)}, {F(3, 7), RANGE(0, 1)}}, .batched = 3},
    {"kata:SigmoidGrad", .inputs = {{F(1), VALUES(1)}, {F(1), VALUES(0.5)}}, EXPECT(0.25)},
    {"kata:TanhGrad", .inputs = {{F(3, 7)}, {F(3, 7)}}, .batched = 3},
};

#define COMPARE_CASES(NAME)                                                                        \
    {NAME, .inputs = {{F(3, 4)}, {F(4)}}, .batched = 1},                                           \
        {NAME, .inputs = {{F(2, 1), VALUES(1, 2)}, {F(1, 3), VALUES(0, 1, 2)}}},                   \
        {NAME, .inputs = {{I64(5), RANGE(0, 3)}, {I64(5), RANGE(0, 3)}}},                          \
        {NAME, .inputs = {{TYPED(F16, 5), RANGE(0, 3)}, {TYPED(F16, 5), RANGE(0, 3)}}},            \
        {NAME, .inputs = {{F(0)}, {F0}}}, {                                                        \
        NAME, .inputs = {{F(2)}, {F(3)}}, .status = KATA_SHAPE, .message = NAME ": "               \
    }

static const kata_test_case cases_logic[] = {
    COMPARE_CASES("Equal"),
    {"Equal", .inputs = {{F(3), VALUES(1, NAN, 2)}, {F(3), VALUES(1, NAN, 3)}}, EXPECT(1, 0, 0)},
    {"Equal", .inputs = {{BOOLS(2), VALUES(1, 0)}, {BOOLS(2), VALUES(1, 1)}}, EXPECT(1, 0)},
    COMPARE_CASES("Greater"),
    {"Greater", .inputs = {{F(3), VALUES(-1, 1, 2)}, {F0, VALUES(0)}}, EXPECT(0, 1, 1)}, /* L1573 */
    COMPARE_CASES("GreaterOrEqual"),
    COMPARE_CASES("Less"),
    COMPARE_CASES("LessOrEqual"),
    {"LessOrEqual", .inputs = {{I64(3), VALUES(1, 2, 3)}, {I64(1), VALUES(2)}}, EXPECT(1, 1, 0)},
    {"And", .inputs = {{BOOLS(2, 1), VALUES(0, 1)}, {BOOLS(2), VALUES(0, 1)}}, EXPECT(0, 0, 0, 1)},
    {"And", .inputs = {{BOOLS(3, 4)}, {BOOLS(4)}}, .batched = 1},
    {"And", .inputs = {{BOOLS(2)}, {F(2)}}, .status = KATA_DTYPE,
     .message = "And: inputs 0 and 1 must have one data type, got bool and float32"},
    {"Or", .inputs = {{BOOLS(2, 1), VALUES(0, 1)}, {BOOLS(2), VALUES(0, 1)}}, EXPECT(0, 1, 1, 1)},
    {"Or", .inputs = {{BOOLS(3, 4)}, {SCALAR(BOOL), RANGE(0, 2)}}},
    {"Not", .inputs = {{BOOLS(2), VALUES(0, 1)}}, EXPECT(1, 0)},
    {"Not", .inputs = {{BOOLS(3, 4)}}, .batched = 1},
    {"Not", .inputs = {{F(2)}}, .status = KATA_DTYPE,
     .message = "Not: input 0 must be bool, got float32; add a Cast before it"},
    {"IsNaN", .inputs = {{F(3), VALUES(NAN, 1, INFINITY)}}, EXPECT(1, 0, 0), .forward_only = true},
    {"IsNaN", .inputs = {{F(3, 4)}}, .batched = 1},
    {"Where", .inputs = {{BOOLS(3, 4)}, {F(3, 4)}, {F(3, 4)}}, .batched = 7},
    {"Where", .inputs = {{BOOLS(3, 1)}, {F(4)}, {F(2, 1, 1)}}},
    {"Where", .inputs = {{SCALAR(BOOL), RANGE(1, 2)}, {F(2)}, {F0}}},
    {"Where", .inputs = {{BOOLS(0)}, {F(1)}, {F0}}},
    {"Where", .inputs = {{BOOLS(2), VALUES(1, 0)}, {I64(2), VALUES(1, 2)}, {I64(2), VALUES(3, 4)}},
     EXPECT(1, 4)},
    {"Where", .inputs = {{BOOLS(2), VALUES(1, 0)}, {U8(2), VALUES(1, 2)}, {U8(2), VALUES(3, 4)}},
     EXPECT(1, 4)},
    {"Where", .inputs = {{BOOLS(401, 1)}, {F(401, 307)}, {F(307)}}, .forward_only = true},
    {"Where", .inputs = {{BOOLS(2)}, {F(2)}, {F(3)}}, .status = KATA_SHAPE, .message = "Where: "},
    {"Where", .inputs = {{F(2)}, {F(2)}, {F(2)}}, .status = KATA_DTYPE,
     .message = "Where: input 0 must be bool, got float32"},
    {"Cast", .inputs = {{F(3, 4)}}, .attributes = {KATA_INT("to", 11)}, .batched = 1},
    {"Cast", .inputs = {{F(5)}}, .attributes = {KATA_INT("to", 1)}, .gradient_tolerance = 0.05,
     .h = 1e-2},
    {"Cast", .inputs = {{F(4), VALUES(-1.7, 0, 2.9, 3)}}, .attributes = {KATA_INT("to", 7)},
     EXPECT(-1, 0, 2, 3), .forward_only = true},
    {"Cast", .inputs = {{F(4), VALUES(-1.7, 0, NAN, 3)}}, .attributes = {KATA_INT("to", 9)},
     EXPECT(1, 0, 1, 1), .forward_only = true},
    {"Cast", .inputs = {{F(2), VALUES(65504, 1)}}, .attributes = {KATA_INT("to", 10)},
     EXPECT(65504, 1), .forward_only = true},
    {"Cast", .inputs = {{U8(2), VALUES(255, 1)}}, .attributes = {KATA_INT("to", 1)},
     EXPECT(255, 1)},
    {"Cast", .inputs = {{I64(2), VALUES(300, 1)}}, .attributes = {KATA_INT("to", 11)},
     EXPECT(300, 1)},
    {"Cast", .inputs = {{BOOLS(2), VALUES(1, 0)}}, .attributes = {KATA_INT("to", 6)}, EXPECT(1, 0)},
    {"Cast", .inputs = {{F(2)}}, .attributes = {KATA_INT("to", 14)}, .status = KATA_UNSUPPORTED,
     .message = "Cast: the data type to = 14 is not supported"},
    {"Cast", .inputs = {{F(2)}}, .status = KATA_INVALID, .message = "Cast"},
};

#define KEEP(value) KATA_INT("keepdims", value)
#define REDUCE_CASES(NAME, LOW, HIGH)                                                              \
    {NAME, .inputs = {{F(3, 4, 5), RANGE(LOW, HIGH)}}, .attributes = {KATA_INTS("axes", 1)},       \
     .batched = 1},                                                                                \
        {NAME, .inputs = {{F(3, 4, 5), RANGE(LOW, HIGH)}},                                         \
         .attributes = {KATA_INTS("axes", 0, -1), KEEP(0)}},                                       \
        {NAME, .inputs = {{F(3, 4, 5), RANGE(LOW, HIGH)}}},                                        \
        {NAME, .inputs = {{F(3, 4, 5), RANGE(LOW, HIGH)}}, .attributes = {KEEP(0)}, .batched = 1}, \
        {NAME, .inputs = {{F(3, 4), RANGE(LOW, HIGH)}, INTS(-1)}, .attributes = {KEEP(0)},         \
         .batched = 1},                                                                            \
        {NAME, .inputs = {{F(2, 3, 2, 3), RANGE(LOW, HIGH)}, INTS(2, 0)}},                         \
        {NAME, .inputs = {{NO_DIMS, RANGE(LOW, HIGH)}}},                                           \
        {NAME, .inputs = {{F(2, 1, 3), RANGE(LOW, HIGH)}}, .attributes = {KATA_INTS("axes", 1)}},  \
        {NAME, .inputs = {{F(0, 3)}}, .attributes = {KATA_INTS("axes", 1)}},                       \
        {NAME, .inputs = {{F(2, 0)}}, .attributes = {KATA_INTS("axes", 1)}, .forward_only = true}, \
        {NAME, .inputs = {{I64(2, 3), VALUES(1, -2, 3, 4, 5, 6)}},                                 \
         .attributes = {KATA_INTS("axes", 0)}},                                                    \
        {NAME, .inputs = {{F(2, 3)}}, .attributes = {KATA_INTS("axes", 2)},                        \
         .status = KATA_INVALID,                                                                   \
         .message = NAME ": axis 2 is outside -2..1; input 0 has shape (2,3)"},                    \
    {                                                                                              \
        NAME, .inputs = {{F(2, 3)}}, .attributes = {KATA_INTS("axes", 0, -2)},                     \
              .status = KATA_INVALID, .message = NAME ": axis 0 comes twice among the axes"        \
    }
#define REDUCE_LARGE(NAME, LOW, HIGH)                                                              \
    {NAME, .inputs = {{F(7, 20011), RANGE(LOW, HIGH)}}, .attributes = {KATA_INTS("axes", 1)},      \
     .forward_only = true},                                                                        \
        {NAME, .inputs = {{F(1009, 131), RANGE(LOW, HIGH)}}, .attributes = {KATA_INTS("axes", 0)}, \
         .forward_only = true},                                                                    \
    {                                                                                              \
        NAME, .inputs = {{F(41, 57, 61), RANGE(LOW, HIGH)}},                                       \
              .attributes = {KATA_INTS("axes", 0, 2)}, .forward_only = true                        \
    }

static const kata_test_case cases_reduce[] = {
    REDUCE_CASES("ReduceSum", -2, 2),
    REDUCE_LARGE("ReduceSum", -1, 2),
    {"ReduceSum", .inputs = {{F(2, 3)}, NO_INTS},
     .attributes = {KATA_INT("noop_with_empty_axes", 1)}},
    {"ReduceSum", .inputs = {{F(2, 3)}, NO_INTS}},
    {"ReduceSum", .inputs = {{F(2, 3), VALUES(1, 2, 3, 4, 5, 6)}, INTS(0)}, .attributes = {KEEP(0)},
     EXPECT(5, 7, 9)}, /* book L4134 */
    {"ReduceSum", .inputs = {{F(2, 0)}, INTS(1)}, .attributes = {KEEP(0)}, EXPECT(0, 0)},
    {"ReduceSum", .inputs = {{F(2)}, {F(1)}}, .status = KATA_DTYPE,
     .message = "ReduceSum: input 1 must be int32 or int64, got float32"},
    REDUCE_CASES("ReduceMean", -2, 2),
    REDUCE_LARGE("ReduceMean", -1, 2),
    {"ReduceMean", .inputs = {{F(2, 2), VALUES(1, 2, 3, 5)}}, .attributes = {KEEP(0)},
     EXPECT(2.75)},
    REDUCE_CASES("ReduceSumSquare", -2, 2),
    REDUCE_LARGE("ReduceSumSquare", -2, 2),
    REDUCE_CASES("ReduceL2", -2, 2),
    REDUCE_LARGE("ReduceL2", -2, 2),
    {"ReduceL2", .inputs = {{F(2, 2), VALUES(3, 4, 0, 0)}},
     .attributes = {KATA_INTS("axes", 1), KEEP(0)}, EXPECT(5, 0), .forward_only = true},
    REDUCE_CASES("ReduceMax", -2, 2),
    REDUCE_LARGE("ReduceMax", -2, 2),
    {"ReduceMax", .inputs = {{F(1, 0)}}, .attributes = {KEEP(0)}, EXPECT(-INFINITY),
     .forward_only = true},
    REDUCE_CASES("ReduceMin", -2, 2),
    REDUCE_LARGE("ReduceMin", -2, 2),
    {"ReduceMin", .inputs = {{U8(3), VALUES(9, 4, 200)}}, .attributes = {KEEP(0)}, EXPECT(4)},
    REDUCE_CASES("ReduceProd", -2, 2),
    {"ReduceProd", .inputs = {{F(3, 3), VALUES(1, 2, 3, 0, 5, 6, 0, 0, 2)}},
     .attributes = {KATA_INTS("axes", 1)}, EXPECT(6, 0, 0)},
    {"kata:ReduceProdGrad",
     .inputs = {{F(2, 1), VALUES(1, 10)}, {F(2, 3), VALUES(2, 3, 4, 0, 5, 6)}},
     .attributes = {KATA_INTS("axes", 1)}, EXPECT(12, 8, 6, 300, 0, 0)},

    {"ArgMax", .inputs = {{F(4, 5)}}, .attributes = {KATA_INT("axis", 1), KEEP(0)}, .batched = 1},
    {"ArgMax", .inputs = {{F(2, 3, 4)}}, .attributes = {KATA_INT("axis", -2)}},
    {"ArgMax", .inputs = {{F(2, 3), VALUES(1, 3, 3, 2, 2, 1)}},
     .attributes = {KATA_INT("axis", 1), KEEP(0)}, EXPECT(1, 0)},
    {"ArgMax", .inputs = {{F(2, 3), VALUES(1, 3, 3, 2, 2, 1)}},
     .attributes = {KATA_INT("axis", 1), KEEP(0), KATA_INT("select_last_index", 1)}, EXPECT(2, 1)},
    {"ArgMax", .inputs = {{F(3), VALUES(1, NAN, 3)}}, EXPECT(1), .forward_only = true},
    {"ArgMax", .inputs = {{I64(3), VALUES(-1, -7, -3)}}, EXPECT(0)},
    {"ArgMax", .inputs = {{F(2, 0)}}, .attributes = {KATA_INT("axis", 1)}, .status = KATA_SHAPE,
     .message = "ArgMax: axis 1 of (2,0) is empty"},
    {"ArgMin", .inputs = {{F(4, 5)}}, .attributes = {KATA_INT("axis", 0)}},
    {"ArgMin", .inputs = {{I32(3), VALUES(4, 1, 1)}}, EXPECT(1)},
    {"ArgMin", .inputs = {{F0}}, .status = KATA_INVALID,
     .message = "ArgMin: axis 0 of a scalar, which has no axes"},
};

static const kata_test_case cases_shape[] = {
    {"Identity", .inputs = {{F(3, 2)}}, .batched = 1},
    {"Identity", .inputs = {{F0}}},
    {"kata:StopGradient", .inputs = {{F(3, 2)}}, .batched = 1, .forward_only = true},
    {"Flatten", .inputs = {{F(2, 3, 4)}}, .batched = 1},
    {"Flatten", .inputs = {{F(2, 3, 4)}}, .attributes = {KATA_INT("axis", 0)}},
    {"Flatten", .inputs = {{F(2, 3, 4)}}, .attributes = {KATA_INT("axis", 3)}},
    {"Flatten", .inputs = {{F(2, 3, 4)}}, .attributes = {KATA_INT("axis", -1)}},
    {"Flatten", .inputs = {{F0}}, .attributes = {KATA_INT("axis", 0)}},
    {"Flatten", .inputs = {{F(2, 3)}}, .attributes = {KATA_INT("axis", 3)}, .status = KATA_INVALID,
     .message = "Flatten: axis 3 is outside -2..2; input 0 has shape (2,3)"},
    {"Reshape", .inputs = {{F(2, 3, 4)}, INTS(4, 6)}},
    {"Reshape", .inputs = {{F(2, 3, 4)}, INTS(0, -1)}, .batched = 1},
    {"Reshape", .inputs = {{F(2, 3, 4)}, INTS(-1, 2, 0, 1)}},
    {"Reshape", .inputs = {{F(2, 3, 4)}, INTS(-1, 12)}, .batched = 1},
    {"Reshape", .inputs = {{F(1, 1)}, NO_INTS}},
    {"Reshape", .inputs = {{F(0, 3)}, INTS(3, 0)}, .attributes = {KATA_INT("allowzero", 1)}},
    {"Reshape", .inputs = {{F(2, 3)}, INTS(4, 2)}, .status = KATA_SHAPE,
     .message = "Reshape: (2,3) has 6 elements, (4,2) asked for has 8"},
    {"Reshape", .inputs = {{F(2, 3)}, INTS(4, -1)}, .status = KATA_SHAPE,
     .message = "Reshape: the 6 elements of (2,3) do not divide into (4,?)"},
    {"Reshape", .inputs = {{F(2, 3)}, INTS(-1, -1)}, .status = KATA_SHAPE,
     .message = "Reshape: only one size may be -1, sizes 0 and 1 are"},
    {"Reshape", .inputs = {{F(6)}, INTS(6, 0)}, .status = KATA_SHAPE,
     .message =
         "Reshape: size 1 of (6,0) is 0, the input's own, but the input (6,) has only 1 axes"},
    {"Reshape", .inputs = {{F(6)}, INTS(-3, -2)}, .status = KATA_SHAPE,
     .message = "Reshape: size 0 is -3; expected -1, 0 or more"},
    {"Squeeze", .inputs = {{F(2, 1, 3, 1)}, INTS(1)}, .batched = 1},
    {"Squeeze", .inputs = {{F(2, 1, 3, 1)}, INTS(-1, 1)}},
    {"Squeeze", .inputs = {{F(2, 1, 3, 1)}}},
    {"Squeeze", .inputs = {{F(2, 3)}, INTS(1)}, .status = KATA_SHAPE,
     .message = "Squeeze: axis 1 of (2,3) has size 3; only axes of size 1 can go"},
    {"Unsqueeze", .inputs = {{F(2, 3)}, INTS(0)}, .batched = 1},
    {"Unsqueeze", .inputs = {{F(2, 3)}, INTS(-1, 1)}},
    {"Unsqueeze", .inputs = {{F0}, INTS(0)}},
    {"Unsqueeze", .inputs = {{F(2, 3)}, INTS(3)}, .status = KATA_INVALID,
     .message = "Unsqueeze: axis 3 is outside -3..2"},
    {"Shape", .inputs = {{F(2, 3, 4)}}, EXPECT(2, 3, 4), .batched = 1},
    {"Shape", .inputs = {{F(2, 3, 4)}}, .attributes = {KATA_INT("start", -2)}, EXPECT(3, 4)},
    {"Shape", .inputs = {{F(2, 3, 4)}}, .attributes = {KATA_INT("start", 1), KATA_INT("end", -1)},
     EXPECT(3)},
    {"Shape", .inputs = {{F(2, 3)}}, .attributes = {KATA_INT("start", 5)}},
    {"Size", .inputs = {{F(2, 3, 4)}}, EXPECT(24), .batched = 1},
    {"kata:Assign", .inputs = {{F(2, 3), VARIABLE}, {F(2, 3)}}},
    {"kata:Assign", .inputs = {{F(2), VARIABLE, VALUES(1, 2)}, {F(2), VALUES(3, 4)}}, EXPECT(3, 4)},
    {"kata:Assign", .inputs = {{F(2, 3), VARIABLE}, {F(3, 2)}}, .status = KATA_SHAPE,
     .message = "Assign: the variable has shape (2,3), the value (3,2)"},
};

static const kata_test_case cases_move[] = {
    {"Transpose", .inputs = {{F(3, 4)}}},
    {"Transpose", .inputs = {{F(2, 3, 4)}}, .attributes = {KATA_INTS("perm", 0, 2, 1)},
     .batched = 1},
    {"Transpose", .inputs = {{F(2, 3, 4, 5)}}, .attributes = {KATA_INTS("perm", 3, 1, 0, 2)}},
    {"Transpose", .inputs = {{F(2, 3, 4, 5)}}, .attributes = {KATA_INTS("perm", 0, 3, 1, 2)}},
    {"Transpose", .inputs = {{F(5, 1, 3)}}, .attributes = {KATA_INTS("perm", 1, 0, 2)}},
    {"Transpose", .inputs = {{F0}}},
    {"Transpose", .inputs = {{F(2, 0, 3)}}},
    {"Transpose", .inputs = {{U8(2, 3), VALUES(1, 2, 3, 4, 5, 6)}}, EXPECT(1, 4, 2, 5, 3, 6)},
    {"Transpose", .inputs = {{TYPED(BF16, 2, 3), VALUES(1, 2, 3, 4, 5, 6)}},
     EXPECT(1, 4, 2, 5, 3, 6)},
    {"Transpose", .inputs = {{F(331, 409)}}, .forward_only = true},
    {"Transpose", .inputs = {{F(3, 17, 5, 9)}}, .attributes = {KATA_INTS("perm", 0, 2, 3, 1)}},
    {"Transpose", .inputs = {{F(3, 5, 9, 33)}}, .attributes = {KATA_INTS("perm", 0, 3, 1, 2)}},
    {"Transpose", .inputs = {{F(2, 3, 50, 70)}}, .attributes = {KATA_INTS("perm", 0, 2, 3, 1)}},
    {"Transpose", .inputs = {{F(2, 9, 16, 32)}}, .attributes = {KATA_INTS("perm", 0, 1, 3, 2)}},
    {"Transpose", .inputs = {{F(2, 3, 4, 5)}}, .attributes = {KATA_INTS("perm", 0, 1, 2, 3)}},
    {"Transpose", .inputs = {{F(2, 3, 4, 5)}}, .attributes = {KATA_INTS("perm", 1, 0, 3, 2)}},
    {"Transpose", .inputs = {{F(5, 61, 7, 67)}}, .attributes = {KATA_INTS("perm", 2, 3, 0, 1)},
     .forward_only = true},
    {"Transpose", .inputs = {{F(2, 3, 4)}}, .attributes = {KATA_INTS("perm", 0, 0, 1)},
     .status = KATA_INVALID,
     .message = "Transpose: perm (0,0,1) is no permutation of the 3 axes of (2,3,4)"},
    {"Concat", .inputs = {{F(2, 3)}, {F(2, 1)}, {F(2, 4)}}, .attributes = {KATA_INT("axis", 1)},
     .batched = 7},
    {"Concat", .inputs = {{F(2, 3)}, {F(1, 3)}}, .attributes = {KATA_INT("axis", -2)}},
    {"Concat", .inputs = {{F(2, 3)}}, .attributes = {KATA_INT("axis", 0)}},
    {"Concat", .inputs = {{F(2, 0)}, {F(2, 3)}}, .attributes = {KATA_INT("axis", 1)}},
    {"Concat", .inputs = {{I64(2), VALUES(1, 2)}, {I64(1), VALUES(3)}},
     .attributes = {KATA_INT("axis", 0)}, EXPECT(1, 2, 3)},
    {"Concat", .inputs = {{F(503, 97)}, {F(503, 151)}}, .attributes = {KATA_INT("axis", 1)},
     .forward_only = true},
    {"Concat", .inputs = {{F(2, 3)}, {F(3, 3)}}, .attributes = {KATA_INT("axis", 1)},
     .status = KATA_SHAPE,
     .message = "Concat: input 1 has shape (3,3), input 0 has (2,3); all sizes but that of axis 1 "
                "must agree"},
    {"Split", .inputs = {{F(2, 6)}}, .attributes = {KATA_INT("axis", 1)}, .n_outputs = 3,
     .batched = 1},
    {"Split", .inputs = {{F(5, 2)}, INTS(1, 0, 4)}, .n_outputs = 3},
    {"Split", .inputs = {{F(2, 7)}, INTS(3, 4)}, .attributes = {KATA_INT("axis", -1)},
     .n_outputs = 2, .skip_outputs = 1},
    {"Split", .inputs = {{F(7)}}, .attributes = {KATA_INT("num_outputs", 3)}, .n_outputs = 3},
    {"Split", .inputs = {{F(4)}}},
    {"Split", .inputs = {{F(5)}}, .n_outputs = 2, .status = KATA_SHAPE,
     .message = "Split: axis 0 of (5,) does not divide into 2 parts; give the sizes as input 1"},
    {"Split", .inputs = {{F(5)}, INTS(2, 2)}, .n_outputs = 2, .status = KATA_SHAPE,
     .message = "Split: the sizes add up to 4, axis 0 of (5,) has 5"},
    {"Slice", .inputs = {{F(5, 6)}, INTS(1), INTS(4)}},
    {"Slice", .inputs = {{F(5, 6)}, INTS(1, 0), INTS(4, -1), INTS(1, 0)}},
    {"Slice", .inputs = {{F(5, 6)}, INTS(0, 1), INTS(1000, 6), INTS(0, 1), INTS(2, 3)},
     .batched = 1},
    {"Slice", .inputs = {{F(5, 6)}, INTS(-1, 4), INTS(-1000, 0), INTS(0, 1), INTS(-1, -2)}},
    {"Slice", .inputs = {{F(5, 6)}, INTS(3), INTS(2), INTS(-1)}},
    {"Slice",
     .inputs = {{F(2, 4), VALUES(1, 2, 3, 4, 5, 6, 7, 8)},
                INTS(1, 0),
                INTS(2, 3),
                INTS(0, 1),
                INTS(1, 2)},
     EXPECT(5, 7)}, /* onnx/Operators.md Slice, example 1 */
    {"Slice", .inputs = {{F(2, 4), VALUES(1, 2, 3, 4, 5, 6, 7, 8)}, INTS(0, 1), INTS(-1, 1000)},
     EXPECT(2, 3, 4)}, /* example 2 */
    {"Slice", .inputs = {{F(3)}, INTS(0), INTS(9e18), INTS(0), INTS(9e18)}},
    {"Slice", .inputs = {{F(3)}, INTS(9e18), INTS(-9e18), INTS(0), INTS(-9e18)}},
    {"Slice", .inputs = {{F(3)}, INTS(0), INTS(2), INTS(0), INTS(0)}, .status = KATA_INVALID,
     .message = "Slice: step 0 is 0"},
    {"Slice", .inputs = {{F(3)}, INTS(0, 1), INTS(2)}, .status = KATA_SHAPE,
     .message = "Slice: ends has 1 numbers, starts has 2"},
    {"kata:SliceGrad", .inputs = {{F(2), VALUES(1, 2)}},
     .attributes = {KATA_INTS("shape", 5), KATA_INTS("starts", 4), KATA_INTS("steps", -2)},
     EXPECT(0, 0, 2, 0, 1)},
    {"kata:SliceGrad", .inputs = {{F(3)}},
     .attributes = {KATA_INTS("shape", 5), KATA_INTS("starts", 1), KATA_INTS("steps", 2)},
     .status = KATA_INVALID,
     .message = "SliceGrad: the attributes do not go with dy of shape (3,)"},
    {"Gather", .inputs = {{F(4, 3)}, {I64(2), VALUES(-1, 0)}}},
    {"Gather", .inputs = {{F(4, 3)}, {I64(2, 2), RANGE(-3, 3)}},
     .attributes = {KATA_INT("axis", 1)}, .batched = 1},
    {"Gather", .inputs = {{F(2, 5, 3)}, {I32(4), VALUES(1, 1, 1, 4)}},
     .attributes = {KATA_INT("axis", -2)}, .batched = 1},
    {"Gather", .inputs = {{F(4)}, INT0(2)}},
    {"Gather", .inputs = {{F(4, 2)}, NO_INTS}},
    {"Gather", .inputs = {{I64(3), VALUES(10, 20, 30)}, {I64(2), VALUES(-1, 1)}}, EXPECT(30, 20)},
    {"Gather", .inputs = {{F(4, 3)}, {I64(2), VALUES(1, 4)}}, .status = KATA_INVALID,
     .at_run = true,
     .message = "Gather: index 4 (element 1 of the indices) is out of range for an axis of size 4"},
    {"Gather", .inputs = {{F(4, 3)}, {F(2)}}, .status = KATA_DTYPE,
     .message = "Gather: input 1 must be int32 or int64, got float32"},
    {"kata:GatherGrad", .inputs = {{F(3), VALUES(1, 2, 4)}, {I64(3), VALUES(1, -1, 1)}},
     .attributes = {KATA_INTS("shape", 3), KATA_INT("axis", 0)}, EXPECT(0, 5, 2)},
    {"kata:GatherGrad", .inputs = {{F(3)}, {I64(2)}},
     .attributes = {KATA_INTS("shape", 3), KATA_INT("axis", 0)}, .status = KATA_INVALID,
     .message = "GatherGrad: the attributes do not go with dy of shape (3,)"},
    {"kata:GatherGrad", .inputs = {{TYPED(F16, 3), VALUES(1, 2, 4)}, {I64(3), VALUES(1, -1, 1)}},
     .attributes = {KATA_INTS("shape", 3), KATA_INT("axis", 0)}, EXPECT(0, 5, 2)},
    {"Pad", .inputs = {{F(2, 3)}, INTS(0, 1, 2, 0), {NO_DIMS, RANGE(1, 2)}}},
    {"Pad", .inputs = {{F(2, 3)}, INTS(0, 1, 0, 2)}, .batched = 1},
    {"Pad", .inputs = {{F(4, 5)}, INTS(-1, 2, 1, -3), {NO_DIMS, RANGE(1, 2)}}},
    {"Pad", .inputs = {{F(2, 4)}, INTS(-5, 0, 4, 0)}},
    {"Pad", .inputs = {{F(2, 3)}, INTS(1, 2), {ABSENT}, INTS(-1)}},
    {"Pad", .inputs = {{F(2, 4)}, INTS(0, 2, 1, 3)},
     .attributes = {KATA_STRING("mode", "reflect")}},
    {"Pad", .inputs = {{F(2, 3)}, INTS(0, 5, 0, 4)}, .attributes = {KATA_STRING("mode", "reflect")},
     .batched = 1},
    {"Pad", .inputs = {{F(3, 3)}, INTS(2, -1, 1, 2)}, .attributes = {KATA_STRING("mode", "edge")}},
    {"Pad", .inputs = {{F(3), VALUES(1, 2, 3)}, INTS(2, 1)},
     .attributes = {KATA_STRING("mode", "reflect")}, EXPECT(3, 2, 1, 2, 3, 2)},
    {"Pad", .inputs = {{U8(2), VALUES(1, 2)}, INTS(1, 1), {SCALAR(U8), VALUES(9)}},
     EXPECT(9, 1, 2, 9)},
    {"Pad", .inputs = {{F(2, 3)}, INTS(0, 1)}, .status = KATA_SHAPE,
     .message =
         "Pad: 2 pads are given for 2 axes of (2,3); expected one before and one after each"},
    {"Pad", .inputs = {{F(2, 3)}, INTS(0, 1, 0, -5)}, .status = KATA_SHAPE,
     .message = "Pad: axis 1 of (2,3) cannot be padded by 1 and -5"},
    {"Pad", .inputs = {{F(2)}, INTS(0, 1)}, .attributes = {KATA_STRING("mode", "wrap")},
     .status = KATA_UNSUPPORTED,
     .message = "Pad: mode must be constant, reflect or edge, got \"wrap\""},
    {"kata:PadGrad", .inputs = {{F(5), VALUES(1, 2, 3, 4, 5)}},
     .attributes = {KATA_INTS("shape", 3), KATA_INTS("before", 1), KATA_STRING("mode", "edge")},
     EXPECT(3, 3, 9)},
    {"kata:PadGrad", .inputs = {{F(5)}}, .attributes = {KATA_INTS("shape", 3)},
     .status = KATA_INVALID, .message = "PadGrad: the attributes do not go with dy of shape (5,)"},
    {"Expand", .inputs = {{F(3, 1)}, INTS(2, 3, 4)}},
    {"Expand", .inputs = {{F(2, 3)}, INTS(1, 1)}, .batched = 1},
    {"Expand", .inputs = {{F(3)}, INTS(2, 1)}},
    {"Expand", .inputs = {{F0}, INTS(2, 2)}},
    {"Expand", .inputs = {{F(1)}, INTS(0)}},
    {"Expand", .inputs = {{F(31, 1)}, INTS(17, 31, 211)}, .forward_only = true},
    {"Expand", .inputs = {{F(2, 3)}, INTS(2, 4)}, .status = KATA_SHAPE, .message = "Expand: "},
    {"Tile", .inputs = {{F(2, 3)}, INTS(2, 1)}},
    {"Tile", .inputs = {{F(2, 3, 2)}, INTS(2, 3, 2)}},
    {"Tile", .inputs = {{F(2, 3)}, INTS(1, 3)}, .batched = 1},
    {"Tile", .inputs = {{F(2, 3)}, INTS(0, 2)}},
    {"Tile", .inputs = {{F(2), VALUES(1, 2)}, INTS(2)}, EXPECT(1, 2, 1, 2)},
    {"Tile", .inputs = {{F(2, 3)}, INTS(2)}, .status = KATA_SHAPE,
     .message = "Tile: 1 repeats are given for the 2 axes of (2,3)"},
    {"Tile", .inputs = {{F(2)}, INTS(4e18)}, .status = KATA_LIMIT,
     .message = "Tile: repeat 0 is 4000000000000000000, which is too large"},
};

static int64_t test_three[] = {7};
static const kata_tensor test_value = {
    .dtype = KATA_I64, .shape = {1, {1}}, .stride = {1}, .data = test_three};

static const kata_test_case cases_generate[] = {
    {"Constant", .attributes = {KATA_FLOAT("value_float", 2.5)}, EXPECT(2.5)},
    {"Constant", .attributes = {KATA_INT("value_int", -4)}, EXPECT(-4)},
    {"Constant", .attributes = {KATA_INTS("value_ints", 1, 2, 3)}, EXPECT(1, 2, 3)},
    {"Constant",
     .attributes = {{.name = "value_floats",
                     .type = KATA_ATTRIBUTE_FLOATS,
                     .floats = (const double[]){0.5, 1.5},
                     .n = 2}},
     EXPECT(0.5, 1.5)},
    {"Constant",
     .attributes = {{.name = "value", .type = KATA_ATTRIBUTE_TENSOR, .tensor = &test_value}},
     EXPECT(7)},
    {"Constant", .status = KATA_INVALID, .message = "Constant: expected one of the attributes"},
    {"ConstantOfShape", .inputs = {INTS(2, 3)}, EXPECT(0, 0, 0, 0, 0, 0)},
    {"ConstantOfShape", .inputs = {INTS(2)},
     .attributes = {{.name = "value", .type = KATA_ATTRIBUTE_TENSOR, .tensor = &test_value}},
     EXPECT(7, 7)},
    {"ConstantOfShape", .inputs = {NO_INTS}, EXPECT(0)},
    {"ConstantOfShape", .inputs = {INTS(3, 0)}},
    {"ConstantOfShape", .inputs = {INTS(2, -1)}, .status = KATA_INVALID,
     .message = "ConstantOfShape: size 1 is -1"},
    {"ConstantOfShape", .inputs = {INTS(4e18, 4e18)}, .status = KATA_LIMIT,
     .message = "has too many elements"},
    {"Range", .inputs = {NUMBER(1), NUMBER(4.5), NUMBER(1)}, EXPECT(1, 2, 3, 4)},
    {"Range", .inputs = {INT0(10), INT0(4), INT0(-2)}, EXPECT(10, 8, 6)},
    {"Range", .inputs = {INT0(4), INT0(4), INT0(2)}},
    {"Range", .inputs = {INT0(4), INT0(9), INT0(0)}, .status = KATA_INVALID,
     .message = "Range: from 4 to 9 by 0 has no end"},
    {"OneHot", .inputs = {{I64(3), VALUES(0, -1, 7)}, INT0(3), {F(2), CONSTANT, VALUES(0, 1)}},
     EXPECT(1, 0, 0, 0, 0, 1, 0, 0, 0)},
    {"OneHot", .inputs = {{I64(2, 2), RANGE(0, 3)}, INT0(3), {F(2), CONSTANT, VALUES(-1, 2)}},
     .attributes = {KATA_INT("axis", 1)}, .batched = 1},
    {"OneHot",
     .inputs = {{F(3), NO_GRADIENT, VALUES(0, 1, 2)}, INT0(3), {I64(2), CONSTANT, VALUES(5, 6)}},
     .attributes = {KATA_INT("axis", 0)}, EXPECT(6, 5, 5, 5, 6, 5, 5, 5, 6)},
    {"OneHot", .inputs = {{I64(3)}, INT0(3), {F(3), CONSTANT}}, .status = KATA_SHAPE,
     .message = "OneHot: values (input 2) must be two numbers, off and on, got 3"},
    {"CumSum", .inputs = {{F(3, 4)}, INT0(1)}, .batched = 1},
    {"CumSum", .inputs = {{F(3, 4)}, INT0(0)}, .attributes = {KATA_INT("exclusive", 1)}},
    {"CumSum", .inputs = {{F(2, 3, 4)}, INT0(-2)}, .attributes = {KATA_INT("reverse", 1)}},
    {"CumSum", .inputs = {{F(5)}, INT0(0)},
     .attributes = {KATA_INT("reverse", 1), KATA_INT("exclusive", 1)}},
    {"CumSum", .inputs = {{I32(3), VALUES(1, 2, 3)}, INT0(0)}, EXPECT(1, 3, 6)},
    {"CumSum", .inputs = {{F(3)}, INT0(1)}, .status = KATA_INVALID,
     .message = "CumSum: axis 1 is outside -1..0"},
};

#endif
