/* The NHWC rows: every case of cases_nhwc.h. */
#include "op/harness.h"
#include "op/cases_nhwc.h"

int main(void) {
    return test_cases_main("op_nhwc", cases_nhwc, sizeof cases_nhwc / sizeof cases_nhwc[0]);
}
