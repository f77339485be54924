/* Einsum and its gradient. */
#include "op/harness.h"
#include "op/cases_einsum.h"

int main(void) {
    return test_cases_main("op_einsum", cases_einsum, sizeof cases_einsum / sizeof cases_einsum[0]);
}
