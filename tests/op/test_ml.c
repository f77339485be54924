/* The rows of ai.onnx.ml: their cases, and the scores of LinearClassifier (its second output). */
#include "op/harness.h"
#include "op/cases_ml.h"

int main(void) {
    return test_cases_main("op_ml", cases_ml, sizeof cases_ml / sizeof cases_ml[0]);
}
