/* Cases of einsum.c. */
#ifndef TESTS_OP_CASES_EINSUM_H
#define TESTS_OP_CASES_EINSUM_H

#include "op/cases.h"

#define EQUATION(text) .attributes = {KATA_STRING("equation", text)}

/* clang-format off */
static const kata_test_case cases_einsum[] = {
    {"Einsum", .inputs = {{F(2, 3), VALUES(1, 2, 3, 4, 5, 6)}}, EQUATION("ij->ji"),
     EXPECT(1, 4, 2, 5, 3, 6)},
    {"Einsum", .inputs = {{F(2, 3), VALUES(1, 2, 3, 4, 5, 6)}}, EQUATION("ij->i"), EXPECT(6, 15)},
    {"Einsum", .inputs = {{F(2, 3), VALUES(1, 2, 3, 4, 5, 6)}}, EQUATION("ij->"), EXPECT(21)},
    {"Einsum", .inputs = {{F(2, 2), VALUES(1, 2, 3, 4)}}, EQUATION("ii->i"), EXPECT(1, 4)},
    {"Einsum", .inputs = {{F(2, 2), VALUES(1, 2, 3, 4)}}, EQUATION("ii"), EXPECT(5)},
    {"Einsum", .inputs = {{F(2, 2), VALUES(1, 2, 3, 4)}, {F(2, 2), VALUES(5, 6, 7, 8)}},
     EQUATION("ij,jk"), EXPECT(19, 22, 43, 50)},
    {"Einsum", .inputs = {{I64(2), VALUES(3, 4)}, {I64(2), VALUES(5, -6)}}, EQUATION("i, i -> "),
     EXPECT(-9)},
    {"Einsum", .inputs = {{F(4, 2, 3)}, {F(4, 3, 5)}}, EQUATION("bij,bjk->bik"), .batched = 3},
    {"Einsum", .inputs = {{F(2, 3, 4)}, {F(5, 4)}}, EQUATION("...j,kj->...k"), .batched = 1},
    {"Einsum", .inputs = {{F(2, 3, 4)}, {F(3, 4)}}, EQUATION("...,...->...")},
    {"Einsum", .inputs = {{F(3, 3, 2)}, {F(3)}}, EQUATION("iij,i->j")},
    {"Einsum", .inputs = {{F(2, 3)}, {F(3, 4)}, {F(4, 2)}}, EQUATION("ij,jk,ki->ik")},
    {"Einsum", .inputs = {{F(1, 3)}, {F(4, 3)}}, EQUATION("ij,ij->i")},
    {"Einsum", .inputs = {{F(2, 0)}, {F(0, 3)}}, EQUATION("ij,jk->ik")},
    {"Einsum", .inputs = {{F(2, 3)}, {F(4, 3)}}, EQUATION("ij,jk->ik"), .status = KATA_SHAPE,
     .message = "Einsum: \"ij,jk->ik\": axis 0 of operand 1 has the size 4, its index has 3 "
                "elsewhere"},
    {"Einsum", .inputs = {{F(2, 3)}}, EQUATION("ijk->i"), .status = KATA_INVALID,
     .message = "Einsum: the equation \"ijk->i\" does not go with the operands' ranks"},
    {"Einsum", .inputs = {{F(2, 3)}}, EQUATION("ij->k"), .status = KATA_INVALID,
     .message = "has an index in the output that is in no operand"},
    {"Einsum", .inputs = {{F(2, 3)}}, EQUATION("ij->ii"), .status = KATA_INVALID,
     .message = "has an index twice in the output"},
    {"Einsum", .inputs = {{F(2, 3)}}, EQUATION("ij,ij->i"), .status = KATA_INVALID,
     .message = "has more terms than operands"},
    {"Einsum", .inputs = {{F(2, 3)}, {F(2, 3)}}, EQUATION("ij->i"), .status = KATA_INVALID,
     .message = "has fewer terms than operands"},
    {"Einsum", .inputs = {{F(2, 3)}}, EQUATION("i1->i"), .status = KATA_INVALID,
     .message = "has a character that is no letter"},
    {"Einsum", .inputs = {{F(2, 3)}}, EQUATION(".. .j"), .status = KATA_INVALID,
     .message = "has a character that is no letter"},
    {"Einsum", .inputs = {{F(2, 3)}}, EQUATION("...ijk"), .status = KATA_INVALID,
     .message = "does not go with the operands' ranks"},
    {"Einsum", .inputs = {{F(2, 3)}}, EQUATION(""), .status = KATA_INVALID,
     .message = "does not go with the operands' ranks"},
    {"kata:EinsumGrad", .inputs = {{F(2), VALUES(2, 3)}, {F(2, 3)}}, .forward_only = true,
     EQUATION("ij->i"), EXPECT(2, 2, 2, 3, 3, 3)},
    {"kata:EinsumGrad", .inputs = {{F(2)}, {F(3, 3)}}, EQUATION("ij->i"), .status = KATA_SHAPE,
     .message = "EinsumGrad: dy of operand 0 must be (3,), got (2,)"},
};
/* clang-format on */

#endif
