/* Reductions over axes, ArgMax and ArgMin. */
#include "op/harness.h"
#include "op/cases_a.h"

int main(void) {
    return test_cases_main("op_reduce", cases_reduce, sizeof cases_reduce / sizeof cases_reduce[0]);
}
