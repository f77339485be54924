/* Cases of index.c: GatherElements, GatherND, ScatterElements, ScatterND. The numbers are those of
 * the operators' documentation or counted by hand. */
#ifndef TESTS_OP_CASES_INDEX_H
#define TESTS_OP_CASES_INDEX_H

#include "op/cases.h"

#define REDUCTION(name) KATA_STRING("reduction", name)

/* clang-format off */
static const kata_test_case cases_index[] = {
    {"GatherElements", .inputs = {{F(2, 2), VALUES(1, 2, 3, 4)}, {I64(2, 2), VALUES(0, 0, 1, 0)}},
     .attributes = {KATA_INT("axis", 1)}, EXPECT(1, 1, 4, 3)},
    {"GatherElements", .inputs = {{F(3, 3), VALUES(1, 2, 3, 4, 5, 6, 7, 8, 9)},
                                  {I64(2, 3), VALUES(1, 2, 0, 2, 0, 0)}}, EXPECT(4, 8, 3, 7, 2, 3)},
    {"GatherElements", .inputs = {{I32(3, 3), VALUES(1, 2, 3, 4, 5, 6, 7, 8, 9)},
                                  {I32(2, 3), VALUES(-1, -2, 0, -2, 0, 0)}},
     EXPECT(7, 5, 3, 4, 2, 3)},
    {"GatherElements", .inputs = {{F(2, 5, 3)}, {I64(1, 7, 2), RANGE(-5, 5)}},
     .attributes = {KATA_INT("axis", -2)}},
    {"GatherElements", .inputs = {{F(3, 4)}, {I64(3, 0)}}, .attributes = {KATA_INT("axis", 1)}},
    {"GatherElements", .inputs = {{F(4, 3)}, {I64(4, 2), RANGE(0, 3)}},
     .attributes = {KATA_INT("axis", 1)}, .batched = 3},
    {"GatherElements", .inputs = {{F(2, 2)}, {I64(1, 2), VALUES(0, 2)}}, .at_run = true,
     .status = KATA_INVALID, .message =
     "GatherElements: index 2 (element 1 of the indices) is out of range for an axis of size 2"},
    {"GatherElements", .inputs = {{F(2, 2)}, {I64(1, 3)}}, .status = KATA_SHAPE, .message =
     "GatherElements: the indices have the shape (1,3), which does not fit into data of shape (2,2) "
     "along axis 0"},
    {"GatherElements", .inputs = {{F(2, 2)}, {F(2, 2)}}, .status = KATA_DTYPE,
     .message = "GatherElements: input 1 must be int32 or int64, got float32"},

    {"ScatterElements", .inputs = {{F(3, 3), VALUES(0)}, {I64(2, 3), VALUES(1, 0, 2, 0, 2, 1)},
                                   {F(2, 3), VALUES(1, 1.125, 1.25, 2, 2.125, 2.25)}},
     EXPECT(2, 1.125, 0, 1, 0, 2.25, 0, 2.125, 1.25)},
    {"ScatterElements", .inputs = {{F(1, 5), VALUES(1, 2, 3, 4, 5)}, {I64(1, 2), VALUES(1, 3)},
                                   {F(1, 2), VALUES(1.125, 2.125)}},
     .attributes = {KATA_INT("axis", 1)}, EXPECT(1, 1.125, 3, 2.125, 5)},
    {"ScatterElements", .inputs = {{F(1, 5), VALUES(1, 2, 3, 4, 5)}, {I64(1, 2), VALUES(1, 1)},
                                   {F(1, 2), VALUES(1.125, 2.125)}},
     .attributes = {KATA_INT("axis", 1), REDUCTION("add")}, EXPECT(1, 5.25, 3, 4, 5)},
    {"ScatterElements", .inputs = {{F(1, 5), VALUES(1, 2, 3, 4, 5)}, {I64(1, 2), VALUES(1, -4)},
                                   {F(1, 2), VALUES(1.125, 2.125)}}, .forward_only = true,
     .attributes = {KATA_INT("axis", 1), REDUCTION("mul")}, EXPECT(1, 4.78125, 3, 4, 5)},
    {"ScatterElements", .inputs = {{F(1, 5), VALUES(1, 2, 3, 4, 5)}, {I64(1, 2), VALUES(1, 1)},
                                   {F(1, 2), VALUES(1.125, 2.125)}},
     .attributes = {KATA_INT("axis", 1), REDUCTION("max")}, EXPECT(1, 2.125, 3, 4, 5)},
    {"ScatterElements", .inputs = {{F(1, 5), VALUES(1, 2, 3, 4, 5)}, {I64(1, 2), VALUES(1, 3)},
                                   {F(1, 2), VALUES(1.125, 5.125)}},
     .attributes = {KATA_INT("axis", 1), REDUCTION("min")}, EXPECT(1, 1.125, 3, 4, 5)},
    {"ScatterElements", .inputs = {{F(1, 3), VALUES(1, 2, NAN)}, {I64(1, 2), VALUES(1, 2)},
                                   {F(1, 2), VALUES(NAN, 3)}}, .forward_only = true,
     .attributes = {KATA_INT("axis", 1), REDUCTION("max")}, EXPECT(1, NAN, NAN)},
    {"ScatterElements", .inputs = {{TYPED(U8, 4), VALUES(250, 1, 2, 3)}, {I64(2), VALUES(0, 0)},
                                   {U8(2), VALUES(4, 3)}}, .attributes = {REDUCTION("add")},
     EXPECT(1, 1, 2, 3)},
    {"ScatterElements", .inputs = {{F(2, 5, 3)}, {I64(1, 4, 2), VALUES(0, 4, 3, -2, -3, 0, 1, 1)},
                                   {F(1, 4, 2)}}, .attributes = {KATA_INT("axis", -2)}},
    {"ScatterElements", .inputs = {{F(2, 3)}, {I64(2, 0)}, {F(2, 0)}}},
    {"ScatterElements", .inputs = {{F(4, 3)}, {I64(4, 2), VALUES(0, 2)}, {F(4, 2)}},
     .attributes = {KATA_INT("axis", 1)}, .batched = 7},
    {"ScatterElements", .inputs = {{F(2)}, {I64(1), VALUES(-3)}, {F(1)}}, .at_run = true,
     .status = KATA_INVALID, .message =
     "ScatterElements: index -3 (element 0 of the indices) is out of range for an axis of size 2"},
    {"ScatterElements", .inputs = {{F(2)}, {I64(1)}, {F(2)}}, .status = KATA_SHAPE, .message =
     "ScatterElements: the indices have the shape (1,) and the updates (2,)"},
    {"ScatterElements", .inputs = {{F(2)}, {I64(1)}, {F(1)}}, .attributes = {REDUCTION("mean")},
     .status = KATA_INVALID, .message =
     "ScatterElements: the reduction must be none, add, mul, max or min, got \"mean\""},

    {"GatherND", .inputs = {{F(2, 2), VALUES(0, 1, 2, 3)}, {I64(2, 2), VALUES(0, 0, 1, 1)}},
     EXPECT(0, 3)},
    {"GatherND", .inputs = {{F(2, 2), VALUES(0, 1, 2, 3)}, {I64(2, 1), VALUES(1, 0)}},
     EXPECT(2, 3, 0, 1)},
    {"GatherND", .inputs = {{F(2, 2, 2), VALUES(0, 1, 2, 3, 4, 5, 6, 7)},
                            {I64(2, 1), VALUES(1, 0)}},
     .attributes = {KATA_INT("batch_dims", 1)}, EXPECT(2, 3, 4, 5)},
    {"GatherND", .inputs = {{F(2, 3, 4)}, {I64(2, 5, 2), RANGE(-3, 3)}},
     .attributes = {KATA_INT("batch_dims", 1)}, .batched = 3},
    {"GatherND", .inputs = {{F(2, 3, 4)}, {I64(5, 3), RANGE(-2, 2)}}},
    {"GatherND", .inputs = {{F(2, 3)}, {I64(0, 2)}}},
    {"GatherND", .inputs = {{F(2, 3)}, {I64(1, 2), VALUES(1, 3)}}, .at_run = true,
     .status = KATA_INVALID, .message =
     "GatherND: index 3 (element 1 of the indices) is out of range for an axis of size 3"},
    {"GatherND", .inputs = {{F(2, 3)}, {I64(1, 3)}}, .status = KATA_SHAPE, .message =
     "GatherND: indices of shape (1,3) have tuples of 3 numbers; data of shape (2,3) has 2 axes "
     "for them"},
    {"GatherND", .inputs = {{F(2, 3)}, {I64(2, 1)}}, .attributes = {KATA_INT("batch_dims", 2)},
     .status = KATA_SHAPE, .message = "do not go with batch_dims 2"},
    {"GatherND", .inputs = {{F(2, 3)}, {I64(3, 1)}}, .attributes = {KATA_INT("batch_dims", 1)},
     .status = KATA_SHAPE, .message = "axis 0 of data (2,3) and of indices (3,1) must be equal"},
    {"kata:GatherNDGrad", .inputs = {{F(3), VALUES(1, 2, 4)}, {I64(3, 1), VALUES(1, -1, 1)}},
     .attributes = {KATA_INTS("shape", 3)}, EXPECT(0, 5, 2), .forward_only = true},
    {"kata:GatherNDGrad", .inputs = {{F(3)}, {I64(2, 1)}}, .attributes = {KATA_INTS("shape", 3)},
     .status = KATA_INVALID,
     .message = "GatherNDGrad: the attributes do not go with dy of shape (3,)"},

    {"ScatterND", .inputs = {{F(8), VALUES(1, 2, 3, 4, 5, 6, 7, 8)},
                             {I64(4, 1), VALUES(4, 3, 1, 7)}, {F(4), VALUES(9, 10, 11, 12)}},
     EXPECT(1, 11, 3, 10, 9, 6, 7, 12)},
    {"ScatterND", .inputs = {{F(2, 2), VALUES(1, 2, 3, 4)}, {I64(1, 1), VALUES(-1)},
                             {F(1, 2), VALUES(5, 6)}}, EXPECT(1, 2, 5, 6)},
    {"ScatterND", .inputs = {{F(2, 2), VALUES(1, 2, 3, 4)}, {I64(2, 1), VALUES(1, 1)},
                             {F(2, 2), VALUES(5, 6, 7, 8)}}, .attributes = {REDUCTION("add")},
     EXPECT(1, 2, 15, 18)},
    {"ScatterND", .inputs = {{F(3), VALUES(1, 2, 3)}, {I64(2, 1), VALUES(0, 2)},
                             {F(2), VALUES(4, 0.5)}}, .attributes = {REDUCTION("max")},
     EXPECT(4, 2, 3)},
    {"ScatterND", .inputs = {{F(3), VALUES(1, 2, 3)}, {I64(2, 1), VALUES(0, 2)},
                             {F(2), VALUES(4, 0.5)}}, .attributes = {REDUCTION("min")},
     EXPECT(1, 2, 0.5)},
    {"ScatterND", .inputs = {{F(3), VALUES(1, 2, 3)}, {I64(2, 1), VALUES(0, 0)},
                             {F(2), VALUES(4, 0.5)}}, .attributes = {REDUCTION("mul")},
     .forward_only = true, EXPECT(2, 2, 3)},
    {"ScatterND", .inputs = {{F(4, 3)}, {I64(2, 1, 2), VALUES(0, 1, 2, 2)}, {F(2, 1)}}},
    {"ScatterND", .inputs = {{F(4, 3)}, {I64(0, 1)}, {F(0, 3)}}},
    {"ScatterND", .inputs = {{F(4, 3)}, {I64(2, 1)}, {F(2, 4)}}, .status = KATA_SHAPE,
     .message = "ScatterND: the updates must have the shape (2,3), got (2,4)"},
    {"ScatterND", .inputs = {{F(3)}, {I64(1, 1), VALUES(3)}, {F(1)}}, .at_run = true,
     .status = KATA_INVALID, .message =
     "ScatterND: index 3 (element 0 of the indices) is out of range for an axis of size 3"},
};
/* clang-format on */

#endif
