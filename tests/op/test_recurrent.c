/* RNN, GRU and LSTM: numbers, gradients through up to 50 steps, lengths, directions, layouts. */
#include "op/harness.h"
#include "op/cases_recurrent.h"

int main(void) {
    return test_cases_main("op_recurrent", cases_recurrent,
                           sizeof cases_recurrent / sizeof cases_recurrent[0]);
}
