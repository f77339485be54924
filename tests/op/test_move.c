/* Transpose, Concat, Split, Slice, Gather, Pad, Expand, Tile. */
#include "op/harness.h"
#include "op/cases_a.h"

int main(void) {
    return test_cases_main("op_move", cases_move, sizeof cases_move / sizeof cases_move[0]);
}
