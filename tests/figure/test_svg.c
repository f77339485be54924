/* Plots: ticks, the same bytes for the same numbers, escaping, gaps, odd numbers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "figure/svg.h"
#include "support/counting_allocator.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static kata_test_allocator allocator;
static kata_context *context;

static int set_up(void **state) {
    (void)state;
    kata_test_allocator_init(&allocator);
    context = kata_test_context(&allocator, 1);
    return context == NULL;
}

static int tear_down(void **state) {
    (void)state;
    kata_context_free(context);
    return atomic_load(&allocator.n_live) != 0;
}

static void begin(kata__buffer *out) {
    kata__buffer_init(out, context, (size_t)1 << 24);
}

/* Tags that open and close; no raw number that is none. */
static void check_svg(const char *svg) {
    assert_non_null(svg);
    assert_int_equal(strncmp(svg, "<svg ", 5), 0);
    assert_string_equal(svg + strlen(svg) - 7, "</svg>\n");
    assert_null(strstr(svg, "nan"));
    assert_null(strstr(svg, "inf"));
    int depth = 0;
    for (const char *c = svg; (c = strchr(c, '<')) != NULL; c++) {
        const char *end = strchr(c, '>');
        assert_non_null(end);
        if (c[1] == '/') {
            depth--;
        } else if (end[-1] != '/') {
            depth++;
        }
        assert_true(depth >= 0);
    }
    assert_int_equal(depth, 0);
}

static void ticks_are_nice(void **state) {
    (void)state;
    double first;
    int n;
    assert_true(fabs(kata__nice_ticks(0, 1, 6, &first, &n) - 0.2) < 1e-12);
    assert_int_equal(n, 6);
    assert_true(fabs(kata__nice_ticks(0.07, 0.93, 6, &first, &n) - 0.2) < 1e-12);
    assert_true(fabs(first - 0.2) < 1e-12);
    assert_true(fabs(kata__nice_ticks(1, 20, 7, &first, &n) - 5) < 1e-12);
    assert_true(first == 5 && n == 4);
    assert_true(fabs(kata__nice_ticks(0, 0.002, 6, &first, &n) - 0.0005) < 1e-12);
    assert_true(kata__nice_ticks(3, 3, 6, &first, &n) == 1 && n == 1 && first == 3);
    assert_true(kata__nice_ticks(0, NAN, 6, &first, &n) == 1 && n == 1);
    for (int i = -8; i < 9; i++) { /* never more than asked for, whatever the size */
        for (double top = 1; top < 10; top += 0.37) {
            kata__nice_ticks(0, top * pow(10, i), 7, &first, &n);
            assert_in_range(n, 3, 7);
        }
    }
}

static void lines(void **state) {
    (void)state;
    double x[] = {1, 2, 3, 4, 5}, y[] = {0.9, 0.5, NAN, 0.2, 0.1},
           z[] = {0.8, 0.6, 0.4, INFINITY, 0.3};
    kata__series series[] = {
        {.name = "training", .x = x, .y = y, .n = 5},
        {.name = "<b>&\"", .x = x, .y = z, .n = 5, .colour = 1, .dashed = true}};
    kata__chart chart = {.title = "Loss & more",
                         .x_label = "epoch",
                         .y_label = "loss",
                         .series = series,
                         .n_series = 2,
                         .whole_x = true,
                         .zero_y = true};
    kata__buffer a, b;
    begin(&a);
    begin(&b);
    assert_int_equal(kata__svg_lines(&a, &chart), KATA_OK);
    assert_int_equal(kata__svg_lines(&b, &chart), KATA_OK);
    check_svg(a.data);
    assert_string_equal(a.data, b.data);
    assert_non_null(strstr(a.data, "Loss &amp; more"));
    assert_non_null(strstr(a.data, "&lt;b&gt;&amp;&quot;"));
    assert_null(strstr(a.data, "<b>"));
    assert_non_null(strstr(a.data, "stroke-dasharray"));
    /* The gap begins a new piece of the path. */
    const char *path = strstr(a.data, "d=\"M");
    assert_non_null(path);
    const char *second = strchr(path + 4, 'M');
    assert_true(second != NULL && second < strchr(path, '>'));
    kata__buffer_free(&a);
    kata__buffer_free(&b);
}

static void one_point_none_and_constant(void **state) {
    (void)state;
    double x[] = {1, 2}, y[] = {0.5, 0.5}, nothing[] = {NAN, NAN};
    kata__series series = {.name = "a", .x = x, .y = y, .n = 1};
    kata__chart chart = {.title = "one", .series = &series, .n_series = 1, .whole_x = true};
    kata__buffer out;
    begin(&out);
    assert_int_equal(kata__svg_lines(&out, &chart), KATA_OK);
    check_svg(out.data);
    assert_non_null(strstr(out.data, "<circle"));
    kata__buffer_clear(&out);
    series.n = 2;
    assert_int_equal(kata__svg_lines(&out, &chart), KATA_OK);
    check_svg(out.data);
    kata__buffer_clear(&out);
    series.y = nothing;
    assert_int_equal(kata__svg_lines(&out, &chart), KATA_OK);
    check_svg(out.data);
    kata__buffer_clear(&out);
    series.n = 0;
    assert_int_equal(kata__svg_lines(&out, &chart), KATA_OK);
    check_svg(out.data);
    kata__buffer_free(&out);
}

static void bars_and_histogram(void **state) {
    (void)state;
    const char *labels[] = {"a", "b<", "c"};
    double values[] = {3, 0, NAN}, many[] = {1, 1, 2, 3, 3, 3, NAN, 5}, flat[] = {2, 2};
    kata__buffer out;
    begin(&out);
    assert_int_equal(kata__svg_bars(&out, &(kata__bars){.title = "bars",
                                                        .y_label = "n",
                                                        .labels = labels,
                                                        .values = values,
                                                        .n = 3}),
                     KATA_OK);
    check_svg(out.data);
    kata__buffer_clear(&out);
    assert_int_equal(kata__svg_histogram(&out, "h", "x", many, 8, 4), KATA_OK);
    check_svg(out.data);
    kata__buffer_clear(&out);
    assert_int_equal(kata__svg_histogram(&out, "h", "x", flat, 2, 10), KATA_OK);
    check_svg(out.data);
    kata__buffer_clear(&out);
    assert_int_equal(kata__svg_histogram(&out, "h", "x", flat, 0, 10), KATA_OK);
    check_svg(out.data);
    kata__buffer_free(&out);
}

static void matrix(void **state) {
    (void)state;
    static int64_t counts[KATA__MATRIX_MOST * KATA__MATRIX_MOST];
    const char *labels[KATA__MATRIX_MOST];
    kata__buffer out;
    begin(&out);
    for (int i = 0; i < KATA__MATRIX_MOST; i++) {
        labels[i] = i % 2 == 0 ? "ねこ & <いぬ>" : "x";
    }
    for (int n = 1; n <= KATA__MATRIX_MOST; n += 7) {
        for (int i = 0; i < n * n; i++) {
            counts[i] = i % 5;
        }
        kata__buffer_clear(&out);
        assert_int_equal(kata__svg_matrix(&out, &(kata__matrix){.title = "m",
                                                                .row_label = "r",
                                                                .column_label = "c",
                                                                .labels = labels,
                                                                .counts = counts,
                                                                .n = n}),
                         KATA_OK);
        check_svg(out.data);
    }
    kata__matrix too_many = {.title = "m", .row_label = "", .column_label = "", .n = 65};
    assert_int_equal(kata__svg_matrix(&out, &too_many), KATA_LIMIT);
    kata__buffer_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(ticks_are_nice), cmocka_unit_test(lines),
                                       cmocka_unit_test(one_point_none_and_constant),
                                       cmocka_unit_test(bars_and_histogram),
                                       cmocka_unit_test(matrix)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
