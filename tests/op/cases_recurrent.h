/* Cases of recurrent.c: RNN, GRU and LSTM. The numbers are worked by hand from the operators'
 * formulas; one unit each where nothing else is said. */
#ifndef TESTS_OP_CASES_RECURRENT_H
#define TESTS_OP_CASES_RECURRENT_H

#include "op/cases.h"

#define NOTHING                                                                                    \
    { .kind = TEST_ABSENT }
#define LENGTHS(...)                                                                               \
    {                                                                                              \
        .dtype = KATA_I32,                                                                         \
        .shape = {1, {(int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double))}},               \
        VALUES(__VA_ARGS__)                                                                        \
    }
#define DIRECTION(name) KATA_STRING("direction", name)
#define ACTIVATIONS(...)                                                                           \
    KATA_STRINGS_OF("activations", ((const char *const[]){__VA_ARGS__}),                           \
                    (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)))

/* clang-format off */
static const kata_test_case cases_recurrent[] = {
    /* h = tanh(x + h / 2): tanh 1 = 0.761594156, tanh(1 + 0.380797078) = 0.881129628 */
    {"RNN", .inputs = {{F(2, 1, 1), VALUES(1)}, {F(1, 1, 1), VALUES(1)}, {F(1, 1, 1), VALUES(0.5)}},
     .n_outputs = 2, EXPECT(0.761594156, 0.881129628)},
    /* The new h must not be read before all units are done: R swaps them. */
    {"RNN", .inputs = {{F(1, 1, 1)}, {F(1, 2, 1), VALUES(0)}, {F(1, 2, 2), VALUES(0, 1, 1, 0)},
                       NOTHING, NOTHING, {F(1, 1, 2), VALUES(1, 2)}},
     .attributes = {ACTIVATIONS("Relu")}, .n_outputs = 2, EXPECT(2, 1), .forward_only = true},
    {"RNN", .inputs = {{F(4, 3, 2)}, {F(1, 5, 2)}, {F(1, 5, 5)}, {F(1, 10)}}, .n_outputs = 2},
    {"RNN", .inputs = {{F(4, 3, 2)}, {F(2, 5, 2)}, {F(2, 5, 5)}, {F(2, 10)}, LENGTHS(4, 0, 2),
                       {F(2, 3, 5)}}, .attributes = {DIRECTION("bidirectional")}, .n_outputs = 2},
    {"RNN", .inputs = {{F(3, 4, 2)}, {F(1, 2, 2)}, {F(1, 2, 2)}, NOTHING, NOTHING, {F(3, 1, 2)}},
     .attributes = {KATA_INT("layout", 1), DIRECTION("reverse")}, .n_outputs = 2, .batched = 33},
    {"RNN", .inputs = {{F(3, 2, 2)}, {F(1, 4, 2)}, {F(1, 4, 4)}},
     .attributes = {ACTIVATIONS("softsign")}, .n_outputs = 2},
    {"RNN", .inputs = {{F(3, 2, 2)}, {F(1, 4, 2)}, {F(1, 4, 4)}},
     .attributes = {ACTIVATIONS("Softplus")}, .n_outputs = 2},
    {"RNN", .inputs = {{F(3, 2, 2)}, {F(1, 4, 2)}, {F(1, 4, 4)}},
     .attributes = {ACTIVATIONS("ScaledTanh"),
                    {.name = "activation_alpha", .type = KATA_ATTRIBUTE_FLOATS,
                     .floats = (const double[]){1.5}, .n = 1},
                    {.name = "activation_beta", .type = KATA_ATTRIBUTE_FLOATS,
                     .floats = (const double[]){0.5}, .n = 1}}, .n_outputs = 2},
    {"RNN", .inputs = {{F(3, 2, 2)}, {F(1, 4, 2)}, {F(1, 4, 4)}},
     .attributes = {ACTIVATIONS("LeakyRelu")}, .n_outputs = 2},
    {"RNN", .inputs = {{F(3, 2, 2)}, {F(1, 4, 2)}, {F(1, 4, 4)}},
     .attributes = {ACTIVATIONS("Elu")}, .n_outputs = 2},
    {"RNN", .inputs = {{F(3, 2, 2)}, {F(1, 4, 2)}, {F(1, 4, 4)}},
     .attributes = {ACTIVATIONS("HardSigmoid")}, .n_outputs = 2},
    {"RNN", .inputs = {{F(3, 2, 2)}, {F(1, 4, 2)}, {F(1, 4, 4)}},
     .attributes = {ACTIVATIONS("Affine")}, .n_outputs = 2},
    /* At x = alpha ThresholdedRelu is on in the recurrent operators. */
    {"RNN", .inputs = {{F(1, 1, 1), VALUES(1)}, {F(1, 1, 1), VALUES(1)}, {F(1, 1, 1), VALUES(0)}},
     .attributes = {ACTIVATIONS("ThresholdedRelu")}, .n_outputs = 2, EXPECT(1),
     .forward_only = true},
    {"RNN", .inputs = {{F(50, 1, 1)}, {F(1, 2, 1)}, {F(1, 2, 2), RANGE(-0.7, 0.7)}, {F(1, 4)}},
     .n_outputs = 2},
    {"RNN", .inputs = {{F(0, 2, 2)}, {F(1, 4, 2)}, {F(1, 4, 4)}}, .n_outputs = 2},
    {"RNN", .inputs = {{F(4, 3, 2)}, {F(1, 5, 3)}, {F(1, 5, 5)}}, .status = KATA_SHAPE,
     .message = "RNN: input 1 (W) must have the shape (1,5,2), got (1,5,3)"},
    {"RNN", .inputs = {{F(4, 3, 2)}, {F(1, 5, 2)}, {F(1, 5, 5)}}, .status = KATA_SHAPE,
     .attributes = {KATA_INT("hidden_size", 4)},
     .message = "RNN: hidden_size is 4, but R has the shape (1,5,5)"},
    {"RNN", .inputs = {{F(4, 3, 2)}, {F(1, 5, 2)}, {F(1, 5, 5)}}, .status = KATA_INVALID,
     .attributes = {DIRECTION("both")},
     .message = "RNN: the direction must be forward, reverse or bidirectional, got \"both\""},
    {"RNN", .inputs = {{F(4, 3, 2)}, {F(1, 5, 2)}, {F(1, 5, 5)}}, .status = KATA_UNSUPPORTED,
     .attributes = {ACTIVATIONS("Swish")}, .message = "RNN: activation \"Swish\" is not known"},
    {"RNN", .inputs = {{F(4, 3, 2)}, {F(1, 5, 2)}, {F(1, 5, 5)}}, .status = KATA_INVALID,
     .attributes = {ACTIVATIONS("Tanh", "Tanh")}, .message = "RNN: 1 activations are needed, got 2"},
    {"RNN", .inputs = {{F(2, 1, 1)}, {F(1, 1, 1)}, {F(1, 1, 1)}, NOTHING, LENGTHS(3)},
     .n_outputs = 2, .at_run = true, .status = KATA_INVALID,
     .message = "RNN: length 3 (element 0 of sequence_lens) is outside 0..2"},
    {"RNN", .inputs = {{F(2, 3, 1)}, {F(1, 1, 1)}, {F(1, 1, 1)}, NOTHING, LENGTHS(2)},
     .status = KATA_SHAPE,
     .message = "RNN: input 4 (sequence_lens) must have the shape (3,), got (1,)"},
    {"RNN", .inputs = {{F(2, 3, 1)}, {F(1, 1, 1)}, {F(1, 1, 1)}, NOTHING, NOTHING, {F(1, 1, 1)}},
     .status = KATA_SHAPE, .message = "RNN: input 5 (initial_h) must have the shape (1,3,1)"},

    {"GRU", .inputs = {{F(4, 3, 2)}, {F(1, 15, 2)}, {F(1, 15, 5)}, {F(1, 30)}}, .n_outputs = 2},
    {"GRU", .inputs = {{F(4, 3, 2)}, {F(2, 15, 2)}, {F(2, 15, 5)}, {F(2, 30)}, LENGTHS(1, 4, 3),
                       {F(2, 3, 5)}}, .n_outputs = 2,
     .attributes = {DIRECTION("bidirectional"), KATA_INT("linear_before_reset", 1)}},
    {"GRU", .inputs = {{F(4, 3, 2)}, {F(1, 15, 2)}, {F(1, 15, 5)}, {F(1, 30)}}, .n_outputs = 2,
     .attributes = {DIRECTION("reverse"), KATA_FLOAT("clip", 0.4)}},
    {"GRU", .inputs = {{F(2, 3, 2)}, {F(1, 6, 2)}, {F(1, 6, 2)}, {F(1, 12)}}, .n_outputs = 2,
     .attributes = {KATA_INT("layout", 1), KATA_INT("linear_before_reset", 1)}, .batched = 1},

    /* Gates are in the order i o f c; peepholes i o f; the output gate sees the new cell. */
    {"LSTM", .inputs = {{F(2, 1, 1), VALUES(1)}, {F(1, 4, 1), VALUES(1, 2, 3, 4)},
                        {F(1, 4, 1), VALUES(0)}}, .n_outputs = 3, .expect_tolerance = 1e-5,
     EXPECT(0.54910, 0.78474)},
    {"LSTM", .inputs = {{F(2, 1, 1), VALUES(1)}, {F(1, 4, 1), VALUES(1, 2, 3, 4)},
                        {F(1, 4, 1), VALUES(0)}, NOTHING, NOTHING, NOTHING, NOTHING,
                        {F(1, 3), VALUES(1, 2, 3)}}, .n_outputs = 3, .expect_tolerance = 1e-5,
     EXPECT(0.60444, 0.91260)},
    /* The bound holds for what goes into h(c) too. */
    {"LSTM", .inputs = {{F(1, 1, 1), VALUES(1)}, {F(1, 4, 1), VALUES(1, 2, 3, 4)},
                        {F(1, 4, 1), VALUES(0)}, NOTHING, NOTHING, NOTHING, {F(1, 1, 1), VALUES(3)}},
     .attributes = {KATA_FLOAT("clip", 0.5)}, .n_outputs = 3, .expect_tolerance = 1e-4,
     EXPECT(0.28765)},
    /* A sequence without a step gives 0, not its initial state. */
    {"LSTM", .inputs = {{F(1, 1, 1), VALUES(1)}, {F(1, 4, 1)}, {F(1, 4, 1)}, NOTHING, LENGTHS(0),
                        {F(1, 1, 1), VALUES(5)}}, .n_outputs = 3, EXPECT(0)},
    {"LSTM", .inputs = {{F(4, 3, 2)}, {F(1, 20, 2)}, {F(1, 20, 5)}, {F(1, 40)}}, .n_outputs = 3},
    {"LSTM", .inputs = {{F(4, 3, 2)}, {F(2, 20, 2)}, {F(2, 20, 5)}, {F(2, 40)}, LENGTHS(2, 4, 0),
                        {F(2, 3, 5)}, {F(2, 3, 5)}, {F(2, 15)}}, .n_outputs = 3,
     .attributes = {DIRECTION("bidirectional")}},
    {"LSTM", .inputs = {{F(3, 2, 2)}, {F(1, 8, 2)}, {F(1, 8, 2)}, {F(1, 16)}}, .n_outputs = 3,
     .attributes = {DIRECTION("reverse"), KATA_INT("layout", 1), KATA_INT("input_forget", 1)},
     .batched = 1},
    {"LSTM", .inputs = {{F(3, 2, 2)}, {F(1, 8, 2)}, {F(1, 8, 2)}, {F(1, 16)}}, .n_outputs = 3,
     .attributes = {KATA_FLOAT("clip", 0.3)}},
    {"LSTM", .inputs = {{F(3, 2, 2)}, {F(1, 8, 2)}, {F(1, 8, 2)}, {F(1, 16)}}, .n_outputs = 3,
     .attributes = {ACTIVATIONS("HardSigmoid", "Elu", "Softsign")}},
    {"LSTM", .inputs = {{F(50, 1, 1)}, {F(1, 8, 1)}, {F(1, 8, 2)}, {F(1, 16)}}, .n_outputs = 3},
    {"LSTM", .inputs = {{F(3, 2, 2)}, {F(1, 8, 2)}, {F(1, 8, 2)}, {F(1, 8)}}, .status = KATA_SHAPE,
     .message = "LSTM: input 3 (B) must have the shape (1,16), got (1,8)"},
    {"LSTM", .inputs = {{F(3, 2)}, {F(1, 8, 2)}, {F(1, 8, 2)}}, .status = KATA_SHAPE,
     .message = "LSTM: input 0 must have 3 axes, got shape (3,2)"},
    {"LSTM", .inputs = {{F(3, 2, 2)}, {F(1, 8, 2)}, {F(1, 8, 2)}}, .status = KATA_INVALID,
     .attributes = {KATA_INT("layout", 2)}, .message = "LSTM: the layout must be 0 or 1, got 2"},

    {"kata:RNNGrad", .inputs = {{F(1, 1, 1), VALUES(3)}, {F(1, 1, 1), VALUES(2)},
                                {F(1, 1, 1), VALUES(0)}, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING,
                                {F(1, 1, 1, 1), VALUES(1)}}, .n_outputs = 5, .forward_only = true,
     .attributes = {ACTIVATIONS("Affine")}, EXPECT(2)},
    {"kata:GRUGrad", .inputs = {{F(1, 1, 1)}, {F(1, 3, 1)}, {F(1, 3, 1)}, NOTHING, NOTHING, NOTHING,
                                NOTHING, NOTHING, {F(1, 1, 1, 1), VALUES(0)}}, .n_outputs = 5,
     .forward_only = true, EXPECT(0)},
    {"kata:LSTMGrad", .inputs = {{F(1, 1, 1)}, {F(1, 4, 1)}, {F(1, 4, 1)}, NOTHING, NOTHING, NOTHING,
                                 NOTHING, NOTHING, {F(1, 1, 1, 1), VALUES(0)}}, .n_outputs = 7,
     .forward_only = true, EXPECT(0)},
    {"kata:LSTMGrad", .inputs = {{F(1, 1, 1)}, {F(1, 4, 1)}, {F(1, 4, 1)}, NOTHING, NOTHING, NOTHING,
                                 NOTHING, NOTHING, {F(1, 2, 1, 1)}}, .n_outputs = 7,
     .status = KATA_SHAPE, .message = "LSTMGrad: input 8 (dY) must have the shape (1,1,1,1)"},
};
/* clang-format on */

#endif
