/* Products, convolution, pooling, normalisation, losses, optimiser updates: every row of cases_b.h.
 */
#include "op/harness.h"
#include "op/cases_b.h"

int main(void) {
    return test_cases_main("op_rows_b", cases_b, sizeof cases_b / sizeof cases_b[0]);
}
