/* The channels-last rows: every case of cases_last.h. */
#include "op/harness.h"
#include "op/cases_last.h"

int main(void) {
    return test_cases_main("op_last", cases_last, sizeof cases_last / sizeof cases_last[0]);
}
