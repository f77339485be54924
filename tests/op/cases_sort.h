/* Cases of sort.c: TopK. */
#ifndef TESTS_OP_CASES_SORT_H
#define TESTS_OP_CASES_SORT_H

#include "op/cases.h"

#define K(k) INTS(k)

/* clang-format off */
static const kata_test_case cases_sort[] = {
    {"TopK", .inputs = {{F(3, 4), VALUES(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)}, K(3)},
     .n_outputs = 2, EXPECT(3, 2, 1, 7, 6, 5, 11, 10, 9)},
    {"TopK", .inputs = {{F(3, 4), VALUES(0, 1, 2, 3, 4, 5, 6, 7, 11, 10, 9, 8)}, K(3)},
     .attributes = {KATA_INT("largest", 0), KATA_INT("axis", 1)}, .n_outputs = 2,
     EXPECT(0, 1, 2, 4, 5, 6, 8, 9, 10)},
    {"TopK", .inputs = {{F(5, 3), VALUES(3, 14, 1, 9, 2, 12, 7, 10, 5, 15, 4, 8, 6, 11, 13)}, K(2)},
     .attributes = {KATA_INT("axis", 0)}, .n_outputs = 2, EXPECT(15, 14, 13, 9, 11, 12)},
    {"TopK", .inputs = {{F(2, 7, 3), RANGE(-9, 9)}, K(7)}, .attributes = {KATA_INT("axis", -2)},
     .n_outputs = 2, .batched = 1},
    {"TopK", .inputs = {{I64(4), VALUES(2, 7, 7, 1)}, K(2)}, .n_outputs = 2, EXPECT(7, 7)},
    {"TopK", .inputs = {{F(4), VALUES(2, NAN, 7, NAN)}, K(3)}, .forward_only = true, .n_outputs = 2,
     EXPECT(NAN, NAN, 7)},
    {"TopK", .inputs = {{F(4), VALUES(2, NAN, 7, 1)}, K(3)}, .forward_only = true, .n_outputs = 2,
     .attributes = {KATA_INT("largest", 0)}, EXPECT(1, 2, 7)},
    {"TopK", .inputs = {{F(2, 3)}, K(0)}, .n_outputs = 2},
    {"TopK", .inputs = {{F(2, 3)}, K(4)}, .status = KATA_INVALID, .n_outputs = 2,
     .message = "TopK: k is 4, but axis 1 of (2,3) has not so many"},
    {"TopK", .inputs = {{F(2, 3)}, K(-1)}, .status = KATA_INVALID, .n_outputs = 2,
     .message = "TopK: k is -1"},
    {"TopK", .inputs = {{F(2, 3)}, INTS(1, 2)}, .status = KATA_SHAPE, .n_outputs = 2,
     .message = "TopK: input 1 has 2 numbers, at most 1 fit"},
};
/* clang-format on */

#endif
