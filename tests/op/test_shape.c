/* Views, sizes, kata:Assign. */
#include "op/harness.h"
#include "op/cases_a.h"

int main(void) {
    return test_cases_main("op_shape", cases_shape, sizeof cases_shape / sizeof cases_shape[0]);
}
