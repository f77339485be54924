/* What is not a number, and what is empty: cases_nan.h. */
#include "op/harness.h"
#include "op/cases_nan.h"

int main(void) {
    return test_cases_main("op_nan", cases_nan, sizeof cases_nan / sizeof cases_nan[0]);
}
