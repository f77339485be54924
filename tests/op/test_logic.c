/* Comparisons, logic, Where, Cast. */
#include "op/harness.h"
#include "op/cases_a.h"

int main(void) {
    return test_cases_main("op_logic", cases_logic, sizeof cases_logic / sizeof cases_logic[0]);
}
