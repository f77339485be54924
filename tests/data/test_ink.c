/* Ink on a plane: widening and the width of strokes, with their numbers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "data/ink.h"
#include "support/assert_ok.h"

/* One pixel becomes a disc, the same to all sides: full to a distance of radius - 1/2, then a
 * pixel's width of fading. A diagonal step counts 1.3507. */
static void test_widen(void **state) {
    (void)state;
    enum { SIDE = 11, MIDDLE = 5 };
    kata__plane plane;
    assert_ok(kata__plane_new(&plane, kata_context_default(), SIDE, SIDE));
    for (int i = 0; i < SIDE * SIDE; i++) {
        plane.value[i] = 0;
    }
    plane.value[MIDDLE * SIDE + MIDDLE] = 1;
    assert_ok(kata__ink_widen(&plane, 2.25));
    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < SIDE; x++) {
            const int dx = abs(x - MIDDLE), dy = abs(y - MIDDLE);
            const int slanted = dx < dy ? dx : dy, straight = (dx > dy ? dx : dy) - slanted;
            const double cover = 2.75 - straight - 1.3507 * slanted;
            const double expected = cover > 1 ? 1 : cover > 0 ? cover : 0;
            if (fabs((double)plane.value[y * SIDE + x] - expected) > 1e-5) {
                fail_msg("(%d,%d): %g, expected %g", x, y, (double)plane.value[y * SIDE + x],
                         expected);
            }
        }
    }
    kata__plane_free(&plane);
}

/* A bar of w by h pixels has 2 (w + h) edges; 2 area / (edges pi / 4). */
static void test_stroke_width(void **state) {
    (void)state;
    enum { SIDE = 20 };
    static const int sizes[][4] = {{3, 4, 2, 12}, {0, 0, 5, 20}, {17, 2, 3, 3}, {1, 19, 18, 1}};
    for (int k = 0; k < 4; k++) {
        const int *at = sizes[k], w = at[2], h = at[3];
        kata__plane plane;
        assert_ok(kata__plane_new(&plane, kata_context_default(), SIDE, SIDE));
        for (int i = 0; i < SIDE * SIDE; i++) {
            const int x = i % SIDE, y = i / SIDE;
            plane.value[i] = x >= at[0] && x < at[0] + w && y >= at[1] && y < at[1] + h;
        }
        const double expected = 2.0 * w * h / (2 * (w + h) * 0.785398163);
        assert_true(fabs(kata__ink_stroke_width(&plane) - expected) < 1e-6);
        kata__plane_free(&plane);
    }
    kata__plane blank;
    assert_ok(kata__plane_new(&blank, kata_context_default(), 3, 3));
    for (int i = 0; i < 9; i++) {
        blank.value[i] = 0;
    }
    assert_true(kata__ink_stroke_width(&blank) == 0);
    kata__plane_free(&blank);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_widen),
        cmocka_unit_test(test_stroke_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
