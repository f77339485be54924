/* Constants, ranges, one-hot codes, running sums. */
#include "op/harness.h"
#include "op/cases_a.h"

int main(void) {
    return test_cases_main("op_generate", cases_generate,
                           sizeof cases_generate / sizeof cases_generate[0]);
}
