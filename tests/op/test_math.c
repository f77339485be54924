/* Functions of one number: gradients, kernels, threads, messages. */
#include "op/harness.h"
#include "op/cases_a.h"

int main(void) {
    return test_cases_main("op_math", cases_math, sizeof cases_math / sizeof cases_math[0]);
}
