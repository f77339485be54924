/* Arithmetic of several operands: gradients, kernels, threads, messages. */
#include "op/harness.h"
#include "op/cases_a.h"

int main(void) {
    return test_cases_main("op_arithmetic", cases_arithmetic,
                           sizeof cases_arithmetic / sizeof cases_arithmetic[0]);
}
