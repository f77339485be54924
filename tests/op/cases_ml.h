/* Cases of ml.c and ml_linear.c. The numbers of LinearClassifier are those of onnxruntime 1.32. */
#ifndef TESTS_OP_CASES_ML_H
#define TESTS_OP_CASES_ML_H

#include "op/cases.h"

#define FLOATS(attribute, ...)                                                                     \
    {                                                                                              \
        .name = (attribute), .type = KATA_ATTRIBUTE_FLOATS,                                        \
        .floats = (const double[]){__VA_ARGS__},                                                   \
        .n = (int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double))                               \
    }
#define TRANSFORM(name) KATA_STRING("post_transform", name)

#define STUMP                                                                                      \
    KATA_INTS("nodes_treeids", 0, 0, 0), KATA_INTS("nodes_nodeids", 0, 1, 2),                      \
        KATA_INTS("nodes_featureids", 0, 0, 0), FLOATS("nodes_values", 0.5, 0, 0),                 \
        KATA_INTS("nodes_truenodeids", 1, 0, 0), KATA_INTS("nodes_falsenodeids", 2, 0, 0),         \
        KATA_STRINGS_OF("nodes_modes", stump_modes, 3)
#define TREE_LEAVES(what)                                                                          \
    KATA_INTS(what "_treeids", 0, 0), KATA_INTS(what "_nodeids", 1, 2),                            \
        KATA_INTS(what "_ids", 0, 0), FLOATS(what "_weights", 1, 2)
static const char *const stump_modes[] = {"BRANCH_LEQ", "LEAF", "LEAF"};

/* clang-format off */
static const kata_test_case cases_ml[] = {
    {"ai.onnx.ml:Normalizer", .inputs = {{TYPED(F32, 2, 2), VALUES(3, 4, 0, 0)}},
     .attributes = {KATA_STRING("norm", "L2")}, .expect_tolerance = 1e-6, EXPECT(0.6, 0.8, 0, 0),
     .forward_only = true},
    {"ai.onnx.ml:Normalizer", .inputs = {{I64(2, 2), VALUES(3, -5, 1, 3)}},
     .attributes = {KATA_STRING("norm", "L1")}, EXPECT(0.375, -0.625, 0.25, 0.75), .batched = 1},
    {"ai.onnx.ml:Normalizer", .inputs = {{TYPED(F32, 2), VALUES(2, 4)}}, EXPECT(0.5, 1),
     .forward_only = true},
    {"ai.onnx.ml:Normalizer", .inputs = {{F(2, 2)}}, .attributes = {KATA_STRING("norm", "L3")},
     .status = KATA_UNSUPPORTED, .message = "Normalizer: norm \"L3\" is not known"},
    {"ai.onnx.ml:Normalizer", .inputs = {{F(2, 2, 2)}}, .status = KATA_SHAPE,
     .message = "Normalizer: input 0 must be (N,C) or (C), got (2,2,2)"},
    {"ai.onnx.ml:Binarizer", .inputs = {{F(4), VALUES(-1, 0.5, 0.75, 2)}},
     .attributes = {KATA_FLOAT("threshold", 0.5)}, EXPECT(0, 0, 1, 1), .forward_only = true},
    {"ai.onnx.ml:Imputer", .inputs = {{F(2, 2), VALUES(1, NAN, NAN, 4)}}, .forward_only = true,
     .attributes = {FLOATS("imputed_value_floats", 7, 8), KATA_FLOAT("replaced_value_float", NAN)},
     EXPECT(1, 8, 7, 4)},
    {"ai.onnx.ml:Imputer", .inputs = {{I64(2, 2), VALUES(1, 0, 0, 4)}}, .batched = 1,
     .attributes = {KATA_INTS("imputed_value_int64s", 9)}, EXPECT(1, 9, 9, 4)},
    {"ai.onnx.ml:Imputer", .inputs = {{F(2, 2)}}, .status = KATA_SHAPE,
     .attributes = {FLOATS("imputed_value_floats", 7, 8, 9)},
     .message = "Imputer: one value for all or one for each of 2 columns, got 3"},
    {"ai.onnx.ml:ArrayFeatureExtractor", .inputs = {{F(2, 3), VALUES(1, 2, 3, 4, 5, 6)},
                                                    {I64(2), VALUES(2, 0)}},
     EXPECT(3, 1, 6, 4), .forward_only = true, .batched = 1},
    {"ai.onnx.ml:ArrayFeatureExtractor", .inputs = {{I64(3), VALUES(5, 6, 7)},
                                                    {I64(1, 1), VALUES(1)}}, EXPECT(6)},
    {"ai.onnx.ml:ArrayFeatureExtractor", .inputs = {{F(2, 3)}, {I64(1), VALUES(3)}}, .at_run = true,
     .status = KATA_INVALID, .message = "ArrayFeatureExtractor: index 3 is outside 0..2"},
    {"ai.onnx.ml:FeatureVectorizer", .inputs = {{F(2, 2), VALUES(1, 2, 3, 4)}, {I64(2, 1), VALUES(5, 6)}},
     .attributes = {KATA_INTS("inputdimensions", 1, 2)}, EXPECT(1, 5, 0, 3, 6, 0),
     .forward_only = true},
    {"ai.onnx.ml:FeatureVectorizer", .inputs = {{F(2, 2)}}, .status = KATA_INVALID,
     .attributes = {KATA_INTS("inputdimensions", 1, 2)},
     .message = "FeatureVectorizer: 1 inputs, but 2 inputdimensions"},

    {"ai.onnx.ml:LinearRegressor", .inputs = {{TYPED(F32, 2, 2), VALUES(1, 2, 3, 4)}},
     .attributes = {FLOATS("coefficients", 0.5, -1, 2, 0), FLOATS("intercepts", 1, 0.25),
                    KATA_INT("targets", 2)}, EXPECT(-0.5, 2.25, -1.5, 6.25), .forward_only = true},
    {"ai.onnx.ml:LinearRegressor", .inputs = {{I64(1, 2), VALUES(1, 2)}},
     .attributes = {FLOATS("coefficients", 0.5, -1)}, EXPECT(-1.5), .batched = 1},
    {"ai.onnx.ml:LinearRegressor", .inputs = {{F(2, 3)}}, .status = KATA_SHAPE,
     .attributes = {FLOATS("coefficients", 0.5, -1)}, .message = "LinearRegressor: 2 coefficients "
     "and 0 intercepts do not go with 1 targets and 3 columns"},
    {"ai.onnx.ml:LinearRegressor", .inputs = {{F(2, 1)}}, .status = KATA_UNSUPPORTED,
     .attributes = {FLOATS("coefficients", 0.5), TRANSFORM("SQUARE")},
     .message = "LinearRegressor: post_transform \"SQUARE\" is not known"},
    {"ai.onnx.ml:LinearClassifier", .inputs = {{TYPED(F32, 2, 1), VALUES(-1, 1)}}, .n_outputs = 2,
     .attributes = {FLOATS("coefficients", 0.4), FLOATS("intercepts", 0.1),
                    KATA_INTS("classlabels_ints", 5, 7), TRANSFORM("LOGISTIC")},
     EXPECT(5, 7), .forward_only = true},
    {"ai.onnx.ml:LinearClassifier", .inputs = {{TYPED(F32, 2, 1), VALUES(-1, 1)}}, .n_outputs = 2,
     .attributes = {FLOATS("coefficients", 0.4, -0.3, 0.2), FLOATS("intercepts", 0.1, 0.2, 0),
                    KATA_INTS("classlabels_ints", 5, 7, 9), TRANSFORM("SOFTMAX")}, EXPECT(7, 5),
     .forward_only = true},
    {"ai.onnx.ml:LinearClassifier", .inputs = {{F(2, 1)}}, .status = KATA_INVALID, .n_outputs = 2,
     .attributes = {FLOATS("coefficients", 0.4, -0.3, 0.2), KATA_INTS("classlabels_ints", 5, 7)},
     .message = "LinearClassifier: 3 rows of coefficients need 3 labels, got 2"},

    /* x <= 0.5 ? 1 : 2; more in test_ml_tree.c. */
    {"ai.onnx.ml:TreeEnsembleRegressor", .inputs = {{TYPED(F32, 3, 1), VALUES(0.25, 0.5, 0.75)}},
     .attributes = {STUMP, TREE_LEAVES("target")}, .forward_only = true, EXPECT(1, 1, 2)},
    {"ai.onnx.ml:TreeEnsembleClassifier", .inputs = {{TYPED(F32, 3, 1), VALUES(0.25, 0.5, 0.75)}},
     .attributes = {STUMP, TREE_LEAVES("class"), KATA_INTS("classlabels_int64s", 4, 9)},
     .n_outputs = 2, .forward_only = true, EXPECT(9, 9, 9)},
};
/* clang-format on */

#endif
