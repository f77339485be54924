/* Remainders and bits. */
#include "op/harness.h"
#include "op/cases_integer.h"

int main(void) {
    return test_cases_main("op_integer", cases_integer,
                           sizeof cases_integer / sizeof cases_integer[0]);
}
