/* Cases of arrange.c: DepthToSpace, SpaceToDepth, Trilu, ReverseSequence, CenterCropPad. */
#ifndef TESTS_OP_CASES_ARRANGE_H
#define TESTS_OP_CASES_ARRANGE_H

#include "op/cases.h"

#define BLOCK(n) KATA_INT("blocksize", n)
#define COUNT8 VALUES(0, 1, 2, 3, 4, 5, 6, 7)

/* clang-format off */
static const kata_test_case cases_arrange[] = {
    {"DepthToSpace", .inputs = {{F(1, 8, 1, 1), COUNT8}}, .attributes = {BLOCK(2)},
     EXPECT(0, 2, 4, 6, 1, 3, 5, 7)},
    {"DepthToSpace", .inputs = {{F(1, 8, 1, 1), COUNT8}},
     .attributes = {BLOCK(2), KATA_STRING("mode", "CRD")}, EXPECT(0, 1, 2, 3, 4, 5, 6, 7)},
    {"DepthToSpace", .inputs = {{F(2, 12, 3, 2)}}, .attributes = {BLOCK(2)}, .batched = 1},
    {"DepthToSpace", .inputs = {{F(2, 18, 2, 3)}}, .batched = 1,
     .attributes = {BLOCK(3), KATA_STRING("mode", "CRD")}},
    {"DepthToSpace", .inputs = {{F(2, 6, 2, 3)}}, .attributes = {BLOCK(2)}, .status = KATA_SHAPE,
     .message = "DepthToSpace: (2,6,2,3) cannot be divided into blocks of 2"},
    {"DepthToSpace", .inputs = {{F(2, 8, 2, 3)}}, .attributes = {BLOCK(0)}, .status = KATA_INVALID,
     .message = "DepthToSpace: the block size must be at least 1, got 0"},
    {"DepthToSpace", .inputs = {{F(1, 4, 1, 1)}}, .status = KATA_INVALID,
     .attributes = {BLOCK(2), KATA_STRING("mode", "dcr")},
     .message = "DepthToSpace: the mode must be DCR or CRD, got \"dcr\""},
    {"SpaceToDepth", .inputs = {{F(1, 2, 2, 2), COUNT8}}, .attributes = {BLOCK(2)},
     EXPECT(0, 4, 1, 5, 2, 6, 3, 7)},
    {"SpaceToDepth", .inputs = {{F(2, 2, 4, 6)}}, .attributes = {BLOCK(2)}, .batched = 1},
    {"SpaceToDepth", .inputs = {{F(1, 1, 3, 4)}}, .attributes = {BLOCK(2)}, .status = KATA_SHAPE,
     .message = "SpaceToDepth: (1,1,3,4) cannot be divided into blocks of 2"},
    {"SpaceToDepth", .inputs = {{F(3, 4)}}, .attributes = {BLOCK(2)}, .status = KATA_SHAPE,
     .message = "SpaceToDepth: input 0 must be (N,C,H,W), got (3,4)"},
    {"kata:DepthToSpaceGrad", .inputs = {{F(1, 2, 2, 2), COUNT8}}, .forward_only = true,
     .attributes = {BLOCK(2), KATA_STRING("mode", "CRD")}, EXPECT(0, 1, 2, 3, 4, 5, 6, 7)},

    {"Trilu", .inputs = {{F(2, 3), VALUES(1, 2, 3, 4, 5, 6)}}, EXPECT(1, 2, 3, 0, 5, 6)},
    {"Trilu", .inputs = {{F(2, 3), VALUES(1, 2, 3, 4, 5, 6)}},
     .attributes = {KATA_INT("upper", 0)}, EXPECT(1, 0, 0, 4, 5, 0)},
    {"Trilu", .inputs = {{I64(3, 3), VALUES(1, 2, 3, 4, 5, 6, 7, 8, 9)},
                         {SCALAR(I64), VALUES(-1), CONSTANT}},
     .attributes = {KATA_INT("upper", 0)}, EXPECT(0, 0, 0, 4, 0, 0, 7, 8, 0)},
    {"Trilu", .inputs = {{F(4, 3, 5)}, {SCALAR(I64), VALUES(2)}}, .batched = 1},
    {"Trilu", .inputs = {{F(2, 2), VALUES(1, 2, 3, 4)}, {SCALAR(I64), VALUES(-9e18)}},
     EXPECT(1, 2, 3, 4)},
    {"Trilu", .inputs = {{F(2, 2), VALUES(1, 2, 3, 4)}, {SCALAR(I64), VALUES(9e18)}},
     EXPECT(0, 0, 0, 0)},
    {"Trilu", .inputs = {{F(3)}}, .status = KATA_SHAPE,
     .message = "Trilu: input 0 must have at least 2 axes, got (3,)"},

    {"ReverseSequence", .inputs = {{F(4, 2), COUNT8}, {I64(2), VALUES(4, 3)}},
     EXPECT(6, 5, 4, 3, 2, 1, 0, 7)},
    {"ReverseSequence", .inputs = {{F(2, 4), COUNT8}, {I64(2), VALUES(1, 3)}},
     .attributes = {KATA_INT("batch_axis", 0), KATA_INT("time_axis", 1)},
     EXPECT(0, 1, 2, 3, 6, 5, 4, 7)},
    {"ReverseSequence", .inputs = {{F(5, 3, 2)}, {I64(3), VALUES(0, 5, 2)}}},
    {"ReverseSequence", .inputs = {{F(4, 2)}, {I64(2), VALUES(4, 5)}}, .at_run = true,
     .status = KATA_INVALID,
     .message = "ReverseSequence: length 5 (element 1) is outside 0..4"},
    {"ReverseSequence", .inputs = {{F(4, 2)}, {I64(3)}}, .status = KATA_SHAPE,
     .message = "ReverseSequence: input 0 of shape (4,2) needs one length for each of axis 1, got "
                "shape (3,)"},
    {"ReverseSequence", .inputs = {{F(4, 2)}, {I64(2)}}, .status = KATA_INVALID,
     .attributes = {KATA_INT("batch_axis", 1), KATA_INT("time_axis", 1)},
     .message = "ReverseSequence: batch_axis and time_axis must be 0 and 1 or 1 and 0"},

    {"CenterCropPad", .inputs = {{F(5), VALUES(1, 2, 3, 4, 5)}, INTS(2)}, EXPECT(2, 3)},
    {"CenterCropPad", .inputs = {{F(2), VALUES(1, 2)}, INTS(5)}, EXPECT(0, 1, 2, 0, 0)},
    {"CenterCropPad", .inputs = {{F(5, 4, 3)}, INTS(2, 6)},
     .attributes = {KATA_INTS("axes", -1, 0)}},
    {"CenterCropPad", .inputs = {{F(5, 4)}, INTS(8, 0)}},
    {"CenterCropPad", .inputs = {{F(5, 4)}, INTS(8)}, .status = KATA_SHAPE,
     .message = "CenterCropPad: input 1 must have 2 sizes, got 1"},
    {"CenterCropPad", .inputs = {{F(5)}, INTS(-1)}, .status = KATA_INVALID,
     .message = "CenterCropPad: size 0 is -1"},
};
/* clang-format on */

#endif
