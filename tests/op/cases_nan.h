/* NaNs and empty batches. A NaN among numbers is their maximum and their minimum, wherever it
 * stands, and of several the first; a function of a NaN is one. The reference kernels give the
 * numbers, and the harness compares every instruction set with them. The patterns of values repeat
 * with a period that is prime to the sizes, so that NaNs come at every place of a window. */
#ifndef TESTS_OP_CASES_NAN_H
#define TESTS_OP_CASES_NAN_H

#include <math.h>

#include "op/cases.h"

#define NAN_LIST(...) .attributes = {__VA_ARGS__}
#define NAN_PATTERN VALUES(0.5, -2, NAN, 1, 3, -1, 0.25, -0.5, 2, -3, 0.125)
#define NAN_RARE                                                                                   \
    VALUES(0.5, -2, 1, 3, -1, 0.25, -0.5, 2, -3, 0.125, 1.5, -0.25, 0.75, -1.5, 2.5, NAN, 4, -4,   \
           0.0625)
#define NAN_POOL(...) KATA_INTS("kernel_shape", __VA_ARGS__)
#define NAN_ONLY .forward_only = true

static const kata_test_case cases_nan[] = {
    /* --- pools --- */
    {"GlobalMaxPool", .inputs = {{F(1, 1, 3), VALUES(1, NAN, 2)}}, EXPECT(NAN), NAN_ONLY},
    {"GlobalMaxPool", .inputs = {{F(1, 2, 3), VALUES(1, 2, NAN, -2, -1, -3)}}, EXPECT(NAN, -1),
     NAN_ONLY},
    {"GlobalMaxPool", .inputs = {{F(3, 5, 9, 13), NAN_RARE}}, NAN_ONLY},
    {"GlobalMaxPool", .inputs = {{F(1, 2, 2), VALUES(-INFINITY, -INFINITY, -INFINITY, 1)}},
     EXPECT(-INFINITY, 1), NAN_ONLY},
    {"MaxPool",
     .inputs = {{F(1, 1, 2, 8), VALUES(NAN, 1, 2, NAN, 1, 2, 3, 4, 5, 6, 7, 8, NAN, 1, 2, NAN)}},
     NAN_LIST(NAN_POOL(2, 2), KATA_INTS("strides", 2, 2)), EXPECT(NAN, NAN, NAN, NAN), NAN_ONLY},
    {"MaxPool", .inputs = {{F(1, 1, 2, 4), VALUES(1, 2, 3, 4, 8, 7, 6, 5)}},
     NAN_LIST(NAN_POOL(2, 2), KATA_INTS("strides", 2, 2)), EXPECT(8, 6)},
    {"MaxPool", .inputs = {{F(2, 3, 14, 38), NAN_PATTERN}},
     NAN_LIST(NAN_POOL(2, 2), KATA_INTS("strides", 2, 2)), .n_outputs = 2, NAN_ONLY},
    {"MaxPool", .inputs = {{F(2, 3, 15, 39), NAN_RARE}},
     NAN_LIST(NAN_POOL(2, 2), KATA_INTS("strides", 2, 2)), NAN_ONLY},
    {"MaxPool", .inputs = {{F(2, 3, 15, 17), NAN_RARE}},
     NAN_LIST(NAN_POOL(3, 3), KATA_INTS("strides", 2, 2), KATA_INTS("pads", 1, 1, 1, 1)),
     .n_outputs = 2, NAN_ONLY},
    {"MaxPool", .inputs = {{F(2, 3, 40), NAN_PATTERN}}, NAN_LIST(NAN_POOL(5)), NAN_ONLY},
    {"kata:MaxPoolGrad",
     .inputs = {{F(1, 1, 2, 8), VALUES(NAN, 1, 2, NAN, 1, 2, 3, 4, 5, 6, 7, 8, NAN, 1, 2, 9)},
                {F(1, 1, 1, 4), VALUES(NAN, NAN, NAN, 9)},
                {F(1, 1, 1, 4), VALUES(1, 2, 3, 4)}},
     NAN_LIST(NAN_POOL(2, 2), KATA_INTS("strides", 2, 2)),
     EXPECT(1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 4), NAN_ONLY},
    {"kata:MaxPoolNhwc", .inputs = {{F(2, 14, 6, 19), NAN_PATTERN}},
     NAN_LIST(NAN_POOL(2, 2), KATA_INTS("strides", 2, 2), KATA_INTS("sizes", 7, 3)), .n_outputs = 2,
     NAN_ONLY},
    {"kata:MaxPoolNhwc", .inputs = {{F(2, 9, 7, 35), NAN_RARE}},
     NAN_LIST(NAN_POOL(3, 3), KATA_INTS("sizes", 9, 7), KATA_INTS("pads", 1, 1)), .n_outputs = 2,
     NAN_ONLY},
    {"kata:ConvNhwc", .inputs = {{F(2, 8, 6, 1), NAN_RARE}, {F(19, 1, 1, 1)}, {F(19)}},
     NAN_LIST(KATA_INTS("sizes", 8, 6), KATA_INT("pool", 1), KATA_INT("relu", 1)), .n_outputs = 2,
     NAN_ONLY},
    {"kata:ConvNhwc", .inputs = {{F(2, 8, 6, 3), NAN_RARE}, {F(34, 3, 3, 3)}, {F(34)}},
     NAN_LIST(KATA_INTS("sizes", 8, 6), KATA_INTS("pads", 1, 1), KATA_INT("pool", 1)),
     .n_outputs = 2, NAN_ONLY},
    {"kata:ConvNhwc", .inputs = {{F(2, 8, 6, 3), NAN_RARE}, {F(34, 3, 3, 3)}, {F(34)}},
     NAN_LIST(KATA_INTS("sizes", 8, 6), KATA_INTS("pads", 1, 1), KATA_INT("relu", 1)), NAN_ONLY},

    /* --- reductions --- */
    {"ReduceMax", .inputs = {{F(3), VALUES(1, NAN, 2)}}, EXPECT(NAN), NAN_ONLY},
    {"ReduceMin", .inputs = {{F(3), VALUES(1, NAN, 2)}}, EXPECT(NAN), NAN_ONLY},
    {"ReduceMax", .inputs = {{F(7, 230), NAN_RARE}}, NAN_LIST(KATA_INTS("axes", 1)), NAN_ONLY},
    {"ReduceMin", .inputs = {{F(7, 230), NAN_RARE}}, NAN_LIST(KATA_INTS("axes", 0)), NAN_ONLY},
    {"ReduceMax", .inputs = {{F(7, 11, 23), NAN_RARE}}, NAN_LIST(KATA_INTS("axes", 0, 2)),
     NAN_ONLY},
    {"ReduceMin", .inputs = {{F(7, 11, 23), NAN_RARE}}, NAN_LIST(KATA_INTS("axes", 1)), NAN_ONLY},
    {"ArgMax", .inputs = {{F(4), VALUES(1, NAN, 3, NAN)}}, EXPECT(1), NAN_ONLY},
    {"ArgMin", .inputs = {{F(4), VALUES(1, NAN, 0, NAN)}}, EXPECT(1), NAN_ONLY},
    {"ArgMax", .inputs = {{F(4), VALUES(1, NAN, 3, NAN)}},
     NAN_LIST(KATA_INT("select_last_index", 1)), EXPECT(3), NAN_ONLY},
    {"ArgMin", .inputs = {{F(5, 70), NAN_RARE}}, NAN_LIST(KATA_INT("axis", 1)), NAN_ONLY},
    {"TopK", .inputs = {{F(3), VALUES(1, NAN, 2)}, {I64(1), VALUES(2), CONSTANT}}, EXPECT(NAN, 2),
     .n_outputs = 2, NAN_ONLY},

    /* --- element by element --- */
    {"Max", .inputs = {{F(3), VALUES(1, NAN, 2)}, {F(3), VALUES(NAN, 1, 1)}}, EXPECT(NAN, NAN, 2),
     NAN_ONLY},
    {"Min", .inputs = {{F(3), VALUES(1, NAN, 2)}, {F(3), VALUES(NAN, 1, 1)}}, EXPECT(NAN, NAN, 1),
     NAN_ONLY},
    {"Max", .inputs = {{F(5, 83), NAN_PATTERN}, {F(83), NAN_RARE}}, NAN_ONLY},
    {"Min", .inputs = {{F(5, 83), NAN_PATTERN}, {F(83), NAN_RARE}}, NAN_ONLY},
    {"Clip", .inputs = {{F(3), VALUES(-1, NAN, 2)}, {F0, VALUES(0)}, {F0, VALUES(1.5)}},
     EXPECT(0, NAN, 1.5), NAN_ONLY},
    {"Clip", .inputs = {{F(83), NAN_PATTERN}, {F0, VALUES(0)}, {F0, VALUES(1.5)}}, NAN_ONLY},
    {"Relu", .inputs = {{F(83), NAN_PATTERN}}, NAN_ONLY},
    {"Relu", .inputs = {{F(3), VALUES(-1, NAN, 2)}}, EXPECT(0, NAN, 2), NAN_ONLY},
    {"LeakyRelu", .inputs = {{F(3), VALUES(-1, NAN, 2)}}, NAN_LIST(KATA_FLOAT("alpha", 0.5)),
     EXPECT(-0.5, NAN, 2), NAN_ONLY},
    {"Elu", .inputs = {{F(3), VALUES(0, NAN, 2)}}, EXPECT(0, NAN, 2), NAN_ONLY},
    {"Selu", .inputs = {{F(2), VALUES(0, NAN)}}, EXPECT(0, NAN), NAN_ONLY},
    {"HardSigmoid", .inputs = {{F(4), VALUES(-9, NAN, 0, 9)}}, EXPECT(0, NAN, 0.5, 1), NAN_ONLY},
    {"HardSwish", .inputs = {{F(4), VALUES(-9, NAN, 0, 9)}}, EXPECT(0, NAN, 0, 9), NAN_ONLY},
    {"HardSigmoid", .inputs = {{F(83), NAN_PATTERN}}, NAN_ONLY},
    {"HardSwish", .inputs = {{F(83), NAN_PATTERN}}, NAN_ONLY},
    {"Sigmoid", .inputs = {{F(83), NAN_PATTERN}}, NAN_ONLY},
    {"Tanh", .inputs = {{F(83), NAN_PATTERN}}, NAN_ONLY},
    {"Softplus", .inputs = {{F(83), NAN_PATTERN}}, NAN_ONLY},
    {"Exp", .inputs = {{F(83), NAN_PATTERN}}, NAN_ONLY},
    {"Gelu", .inputs = {{F(83), NAN_PATTERN}}, NAN_ONLY},
    {"Sign", .inputs = {{F(3), VALUES(-2, NAN, 2)}}, EXPECT(-1, NAN, 1), NAN_ONLY},

    /* --- a NaN spoils its row and no other --- */
    {"Softmax", .inputs = {{F(2, 3), VALUES(1, NAN, 2, 0, 0, 0)}},
     EXPECT(NAN, NAN, NAN, 1.0 / 3, 1.0 / 3, 1.0 / 3), NAN_ONLY},
    {"Softmax", .inputs = {{F(13, 10), NAN_RARE}}, NAN_ONLY},
    {"Softmax", .inputs = {{F(5, 170), NAN_RARE}}, NAN_ONLY},
    {"LogSoftmax", .inputs = {{F(13, 10), NAN_RARE}}, NAN_ONLY},
    {"LogSoftmax", .inputs = {{F(5, 90), NAN_RARE}}, NAN_ONLY},
    {"Softmax", .inputs = {{F(3, 7, 40), NAN_RARE}}, NAN_LIST(KATA_INT("axis", 1)), NAN_ONLY},
    {"SoftmaxCrossEntropyLoss",
     .inputs = {{F(2, 3), VALUES(1, NAN, 2, 0, 0, 0)}, {I64(2), VALUES(0, 1)}},
     NAN_LIST(KATA_STRING("reduction", "none")), EXPECT(NAN, 1.0986122886681098), NAN_ONLY},

    /* --- of nothing --- */
    {"ReduceMax", .inputs = {{F(0, 2)}}, NAN_LIST(KATA_INTS("axes", 0)),
     EXPECT(-INFINITY, -INFINITY), NAN_ONLY},
    {"ReduceMin", .inputs = {{F(0, 2)}}, NAN_LIST(KATA_INTS("axes", 0)), EXPECT(INFINITY, INFINITY),
     NAN_ONLY},
    {"ReduceSum", .inputs = {{F(0, 2)}}, EXPECT(0), NAN_ONLY},
    {"ReduceMean", .inputs = {{F(0, 2)}}, EXPECT(NAN), NAN_ONLY},
    {"ReduceProd", .inputs = {{F(0, 2)}}, EXPECT(1), NAN_ONLY},
    {"ReduceL2", .inputs = {{F(0, 2)}}, EXPECT(0), NAN_ONLY},
    {"ReduceSumSquare", .inputs = {{F(0, 2)}}, EXPECT(0), NAN_ONLY},
    {"MatMul", .inputs = {{F(2, 0)}, {F(0, 2)}}, EXPECT(0, 0, 0, 0), NAN_ONLY},
    {"Gemm", .inputs = {{F(2, 0)}, {F(0, 2)}, {F(2), VALUES(3, 4)}}, EXPECT(3, 4, 3, 4), NAN_ONLY},
    {"kata:ConvNhwcGradWeight", .inputs = {{F(0, 4, 4, 1)}, {F(0, 3, 3, 2)}},
     NAN_LIST(KATA_INTS("sizes", 3, 3), KATA_INTS("kernel", 2, 2)), .n_outputs = 2,
     EXPECT(0, 0, 0, 0, 0, 0, 0, 0), NAN_ONLY},
    {"SoftmaxCrossEntropyLoss", .inputs = {{F(0, 3)}, {I64(0)}}, EXPECT(0), NAN_ONLY},
    {"SoftmaxCrossEntropyLoss", .inputs = {{F(0, 3)}, {I64(0)}},
     NAN_LIST(KATA_STRING("reduction", "sum")), EXPECT(0), NAN_ONLY},
    {"NegativeLogLikelihoodLoss", .inputs = {{F(0, 3)}, {I64(0)}}, EXPECT(0), NAN_ONLY},
    {"Softmax", .inputs = {{F(0, 3)}}, NAN_ONLY},
    {"GlobalMaxPool", .inputs = {{F(0, 3, 4, 4)}}, NAN_ONLY},
};

#endif
