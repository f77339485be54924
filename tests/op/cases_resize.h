/* Cases of resize.c. The numbers are those of the operator's own tests or counted by hand. */
#ifndef TESTS_OP_CASES_RESIZE_H
#define TESTS_OP_CASES_RESIZE_H

#include "op/cases.h"

#define NONE                                                                                       \
    { .kind = TEST_ABSENT }
#define SCALES(...)                                                                                \
    {                                                                                              \
        .dtype = KATA_F32, .kind = TEST_CONSTANT, .no_gradient = true,                             \
        .shape = {1, {(int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double))}},               \
        VALUES(__VA_ARGS__)                                                                        \
    }
#define MODE(mode) KATA_STRING("mode", mode)
#define PLACES(mode) KATA_STRING("coordinate_transformation_mode", mode)

/* clang-format off */
static const kata_test_case cases_resize[] = {
    {"Resize", .inputs = {{F(1, 1, 2, 2), VALUES(1, 2, 3, 4)}, NONE, SCALES(1, 1, 2, 3)},
     EXPECT(1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 3, 3, 3, 4, 4, 4)},
    {"Resize", .inputs = {{F(1, 1, 2, 4), VALUES(1, 2, 3, 4, 5, 6, 7, 8)}, NONE,
                          SCALES(1, 1, 0.6, 0.6)}, EXPECT(1, 3)},
    {"Resize", .inputs = {{F(1, 4), VALUES(1, 2, 3, 4)}, NONE, NONE, INTS(1, 8)},
     .attributes = {MODE("linear")}, EXPECT(1, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75, 4)},
    {"Resize", .inputs = {{F(1, 4), VALUES(1, 2, 3, 4)}, NONE, SCALES(1, 2)},
     .attributes = {MODE("linear"), PLACES("asymmetric")},
     EXPECT(1, 1.5, 2, 2.5, 3, 3.5, 4, 4)},
    {"Resize", .inputs = {{F(1, 4), VALUES(1, 2, 3, 4)}, NONE, SCALES(1, 2)},
     .attributes = {MODE("linear"), PLACES("align_corners")}, .expect_tolerance = 1e-6,
     EXPECT(1, 1.42857143, 1.85714286, 2.28571429, 2.71428571, 3.14285714, 3.57142857, 4)},
    {"Resize", .inputs = {{F(1, 1, 4, 4), VALUES(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
                                                 16)}, NONE, SCALES(1, 1, 0.8, 0.8)},
     .attributes = {MODE("cubic")}, .expect_tolerance = 1e-6,
     EXPECT(1.47119141, 2.78125, 4.08251953, 6.71142578, 8.02148438, 9.32275391, 11.91650391,
            13.2265625, 14.52783203)},
    {"Resize", .inputs = {{F(1, 1, 4, 4), VALUES(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
                                                 16)}, NONE, SCALES(1, 1, 0.6, 0.6)},
     .attributes = {MODE("linear"), KATA_INT("antialias", 1)}, .expect_tolerance = 1e-6,
     EXPECT(2.875, 4.5, 9.375, 11)},
    {"Resize", .inputs = {{F(1, 1, 4, 4), VALUES(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
                                                 16)}, SCALES(0, 0, 0.4, 0.6, 1, 1, 1.2, 1.7), NONE,
                          INTS(1, 1, 3, 3)},
     .attributes = {MODE("linear"), PLACES("tf_crop_and_resize"),
                    KATA_FLOAT("extrapolation_value", 10)}, .expect_tolerance = 1e-6,
     EXPECT(7.6, 10, 10, 12.4, 10, 10, 10, 10, 10)},
    {"Resize", .inputs = {{F(2, 3, 5, 4)}, NONE, NONE, INTS(7, 3)}, .batched = 1,
     .attributes = {MODE("linear"), KATA_INTS("axes", 2, -1)}},
    {"Resize", .inputs = {{F(1, 2, 5, 4)}, NONE, SCALES(1, 1, 1.7, 0.6)},
     .attributes = {MODE("cubic"), KATA_INT("exclude_outside", 1)}},
    {"Resize", .inputs = {{F(1, 2, 9, 7)}, NONE, SCALES(1, 1, 0.3, 0.4)},
     .attributes = {MODE("cubic"), KATA_INT("antialias", 1)}},
    {"Resize", .inputs = {{F(1, 2, 5, 4)}, NONE, SCALES(1, 1, 2, 2)},
     .attributes = {PLACES("asymmetric"), KATA_STRING("nearest_mode", "floor")}},
    {"Resize", .inputs = {{F(1, 5)}, NONE, NONE, INTS(0)}, .attributes = {KATA_INTS("axes", 1)},
     .status = KATA_INVALID,
     .message = "Resize: axis 1 of size 5 cannot be resized by the factor 0 to 0"},
    {"Resize", .inputs = {{F(2, 4)}, NONE, NONE, INTS(7, 8)}, EXPECT(1, 1, 2, 2, 3, 3, 4, 4, 1, 1, 2,
     2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 5, 5, 6, 6, 7, 7, 8, 8),
     .inputs[0].values = (const double[]){1, 2, 3, 4, 5, 6, 7, 8}, .inputs[0].n_values = 8,
     .attributes = {KATA_STRING("keep_aspect_ratio_policy", "not_larger")}},
    {"Resize", .inputs = {{F(1, 4)}, NONE, SCALES(1, 2), INTS(1, 8)}, .status = KATA_INVALID,
     .message = "Resize: exactly one of scales (input 2) and sizes (input 3) must be given"},
    {"Resize", .inputs = {{F(1, 4)}, NONE, SCALES(2)}, .status = KATA_SHAPE,
     .message = "Resize: input 2 must have 2 numbers, got shape (1,)"},
    {"Resize", .inputs = {{F(1, 4)}, NONE, SCALES(1, -2)}, .status = KATA_INVALID,
     .message = "Resize: axis 1 of size 4 cannot be resized by the factor -2 to -8"},
    {"Resize", .inputs = {{F(1, 4)}, NONE, SCALES(1, NAN)}, .status = KATA_INVALID,
     .message = "Resize: axis 1 of size 4 cannot be resized by the factor"},
    {"Resize", .inputs = {{F(1, 4)}, NONE, SCALES(1, 2)}, .attributes = {MODE("bicubic")},
     .status = KATA_UNSUPPORTED, .message = "Resize: mode \"bicubic\" is not known"},
    {"Resize", .inputs = {{F(1, 4)}, NONE, SCALES(1, 2)},
     .attributes = {PLACES("tf_crop_and_resize")}, .status = KATA_INVALID,
     .message = "Resize: tf_crop_and_resize needs roi (input 1)"},
    {"kata:ResizeGrad", .inputs = {{F(1, 4), VALUES(1, 2, 3, 4)}, NONE, SCALES(1, 2)},
     .attributes = {KATA_INTS("shape", 1, 2)}, .forward_only = true, EXPECT(3, 7)},
    {"kata:ResizeGrad", .inputs = {{F(1, 4)}, NONE, SCALES(1, 2)},
     .attributes = {KATA_INTS("shape", 1, 3)}, .status = KATA_SHAPE,
     .message = "ResizeGrad: dy has the shape (1,4), which that of x does not become"},
};
/* clang-format on */

#endif
