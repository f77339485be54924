/* GatherElements, GatherND, ScatterElements, ScatterND. */
#include "op/harness.h"
#include "op/cases_index.h"

int main(void) {
    return test_cases_main("op_index", cases_index, sizeof cases_index / sizeof cases_index[0]);
}
