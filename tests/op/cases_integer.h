/* Cases of integer.c: remainders and bits. The numbers are Python's, counted by hand. */
#ifndef TESTS_OP_CASES_INTEGER_H
#define TESTS_OP_CASES_INTEGER_H

#include "op/cases.h"

/* clang-format off */
static const kata_test_case cases_integer[] = {
    {"Mod", .inputs = {{I64(6), VALUES(-4, 7, 5, 4, -7, 8)}, {I64(6), VALUES(2, -3, 8, -2, 3, 5)}},
     EXPECT(0, -2, 5, 0, 2, 3)},
    {"Mod", .inputs = {{I32(6), VALUES(-4, 7, 5, 4, -7, 8)}, {I32(6), VALUES(2, -3, 8, -2, 3, 5)}},
     .attributes = {KATA_INT("fmod", 1)}, EXPECT(0, 1, 5, 0, -1, 3)},
    {"Mod", .inputs = {{I64(4), VALUES(7, -7, 5, 0)}, {I64(4), VALUES(0, -1, 0, 3)}},
     EXPECT(0, 0, 0, 0)},
    {"Mod", .inputs = {{U8(2, 2), VALUES(250, 7, 9, 8)}, {U8(2), VALUES(7, 4)}},
     EXPECT(5, 3, 2, 0)},
    {"Mod", .inputs = {{F(3), VALUES(-4.5, 7.25, 5)}, {F(3), VALUES(2, -3, 8)}},
     .attributes = {KATA_INT("fmod", 1)}, EXPECT(-0.5, 1.25, 5)},
    {"Mod", .inputs = {{F(4, 3), RANGE(2.1, 2.9)}, {F(3), RANGE(0.75, 0.95)}}, .batched = 1,
     .attributes = {KATA_INT("fmod", 1)}},
    {"Mod", .inputs = {{F(3)}, {F(3)}}, .status = KATA_INVALID,
     .message = "Mod: of float32 numbers fmod must be 1"},
    {"Mod", .inputs = {{I64(3)}, {I64(3)}}, .attributes = {KATA_INT("fmod", 2)},
     .status = KATA_INVALID, .message = "Mod: fmod must be 0 or 1, got 2"},
    {"BitShift", .inputs = {{U8(4), VALUES(16, 4, 1, 255)}, {U8(4), VALUES(1, 2, 3, 8)}},
     .attributes = {KATA_STRING("direction", "RIGHT")}, EXPECT(8, 1, 0, 0)},
    {"BitShift", .inputs = {{U8(4), VALUES(16, 4, 1, 255)}, {U8(4), VALUES(1, 2, 3, 200)}},
     .attributes = {KATA_STRING("direction", "LEFT")}, EXPECT(32, 16, 8, 0)},
    {"BitShift", .inputs = {{U8(1)}, {U8(1)}}, .attributes = {KATA_STRING("direction", "left")},
     .status = KATA_INVALID,
     .message = "BitShift: the direction must be LEFT or RIGHT, got \"left\""},
    {"BitwiseAnd", .inputs = {{I32(2, 2), VALUES(12, -1, 5, 6)}, {I32(2), VALUES(10, 7)}},
     EXPECT(8, 7, 0, 6), .batched = 1},
    {"BitwiseOr", .inputs = {{I64(2), VALUES(12, -8)}, {I64(2), VALUES(10, 7)}}, EXPECT(14, -1)},
    {"BitwiseXor", .inputs = {{TYPED(I8, 2), VALUES(12, -8)}, {TYPED(I8, 2), VALUES(10, 7)}},
     EXPECT(6, -1)},
    {"BitwiseNot", .inputs = {{TYPED(I8, 3), VALUES(0, -1, 5)}}, EXPECT(-1, 0, -6)},
    {"BitwiseNot", .inputs = {{U8(3), VALUES(0, 255, 5)}}, EXPECT(255, 0, 250)},
    {"BitwiseNot", .inputs = {{F(3)}}, .status = KATA_DTYPE, .message = "BitwiseNot: input 0"},
    {"Xor", .inputs = {{BOOLS(4), VALUES(0, 0, 1, 1)}, {BOOLS(4), VALUES(0, 1, 0, 1)}},
     EXPECT(0, 1, 1, 0), .batched = 3},
    {"Xor", .inputs = {{I64(4)}, {I64(4)}}, .status = KATA_DTYPE, .message = "Xor: input 0"},
};
/* clang-format on */

#endif
