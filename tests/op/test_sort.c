/* TopK: values, gradients, and which of equal elements is taken. */
#include "op/harness.h"
#include "op/cases_sort.h"

int main(void) {
    return test_cases_main("op_sort", cases_sort, sizeof cases_sort / sizeof cases_sort[0]);
}
