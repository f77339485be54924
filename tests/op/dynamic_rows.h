/* Rows of strings, sequences, subgraphs and of outputs whose size depends on data: test_dynamic.c
 * runs each of them, and fails if it has not. */
#ifndef TESTS_OP_DYNAMIC_ROWS_H
#define TESTS_OP_DYNAMIC_ROWS_H

static const char *const dynamic_rows[] = {"NonZero",
                                           "Compress",
                                           "Unique",
                                           "NonMaxSuppression",
                                           "StringNormalizer",
                                           "StringConcat",
                                           "StringSplit",
                                           "SequenceEmpty",
                                           "SequenceConstruct",
                                           "SequenceLength",
                                           "SequenceAt",
                                           "SequenceInsert",
                                           "SequenceErase",
                                           "SplitToSequence",
                                           "ConcatFromSequence",
                                           "Optional",
                                           "OptionalGetElement",
                                           "OptionalHasElement",
                                           "If",
                                           "Loop",
                                           "Scan",
                                           "ai.onnx.ml:LabelEncoder",
                                           "ai.onnx.ml:OneHotEncoder",
                                           "ai.onnx.ml:Scaler",
                                           "ai.onnx.ml:ZipMap"};

#endif
