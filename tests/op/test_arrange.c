/* DepthToSpace, SpaceToDepth, Trilu, ReverseSequence, CenterCropPad. */
#include "op/harness.h"
#include "op/cases_arrange.h"

int main(void) {
    return test_cases_main("op_arrange", cases_arrange,
                           sizeof cases_arrange / sizeof cases_arrange[0]);
}
