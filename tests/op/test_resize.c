/* Resize and its gradient. */
#include "op/harness.h"
#include "op/cases_resize.h"

int main(void) {
    return test_cases_main("op_resize", cases_resize, sizeof cases_resize / sizeof cases_resize[0]);
}
