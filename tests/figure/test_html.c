/* Pages: escaping, and PNGs that a real decoder reads back. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <kata/data.h>
#include <kata/readers.h>

#include "figure/html.h"
#include "support/counting_allocator.h"

#include <string.h>

static kata_test_allocator allocator;
static kata_context *context;

static int set_up(void **state) {
    (void)state;
    kata_readers_install();
    kata_test_allocator_init(&allocator);
    context = kata_test_context(&allocator, 1);
    return context == NULL;
}

static int tear_down(void **state) {
    (void)state;
    kata_context_free(context);
    return atomic_load(&allocator.n_live) != 0;
}

static void escapes(void **state) {
    (void)state;
    kata__buffer out;
    kata__buffer_init(&out, context, 1 << 16);
    kata__html_text(&out, "<script>\"a\" & 'b'</script>\x1b[31mく");
    assert_string_equal(out.data, "&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/script&gt;"
                                  "\xef\xbf\xbd[31mく");
    kata__buffer_clear(&out);
    kata__html_text(&out, "");
    assert_int_equal(out.size, 0);
    kata__html_begin(&out, "</title><b>");
    kata__html_end(&out);
    assert_non_null(strstr(out.data, "<title>&lt;/title&gt;&lt;b&gt;</title>"));
    assert_null(strstr(out.data, "http://"));
    kata__buffer_free(&out);
}

static void png_reads_back(void **state) {
    (void)state;
    static uint8_t pixels[3 * 300 * 70];
    for (size_t i = 0; i < sizeof pixels; i++) {
        pixels[i] = (uint8_t)(i * 7 + i / 251);
    }
    const int sizes[][3] = {{1, 28, 28}, {3, 28, 28},  {1, 1, 1},
                            {3, 1, 300}, {1, 70, 300}, {3, 70, 300}};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        int c = sizes[k][0], h = sizes[k][1], w = sizes[k][2];
        kata__buffer out;
        kata_picture picture;
        kata__buffer_init(&out, context, 1 << 20);
        assert_int_equal(kata__png_write(&out, pixels, c, h, w), KATA_OK);
        assert_int_equal(kata_picture_decode(&picture, context, out.data, out.size), KATA_OK);
        assert_int_equal(picture.channels, c);
        assert_int_equal(picture.height, h);
        assert_int_equal(picture.width, w);
        assert_memory_equal(picture.pixels, pixels, (size_t)(c * h * w));
        kata_picture_free(&picture);
        kata__buffer_free(&out);
    }
    kata__buffer out;
    kata__buffer_init(&out, context, 1 << 20);
    assert_int_equal(kata__png_write(&out, pixels, 2, 4, 4), KATA_LIMIT);
    assert_int_equal(kata__png_write(&out, pixels, 1, 0, 4), KATA_LIMIT);
    assert_int_equal(kata__png_write(&out, pixels, 1, 1, 70000), KATA_LIMIT);
    kata__buffer_free(&out);
}

static void picture_is_a_data_address(void **state) {
    (void)state;
    uint8_t pixel[2] = {0, 255};
    kata__buffer out;
    kata__buffer_init(&out, context, 1 << 16);
    assert_int_equal(kata__html_picture(&out, pixel, 1, 1, 2, "pixels", "a \"b\""), KATA_OK);
    assert_int_equal(strncmp(out.data,
                             "<img class=\"pixels\" alt=\"a &quot;b&quot;\" "
                             "src=\"data:image/png;base64,iVBORw0KGgo",
                             79),
                     0);
    assert_string_equal(out.data + out.size - 2, "\">");
    kata__buffer_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(escapes), cmocka_unit_test(png_reads_back),
                                       cmocka_unit_test(picture_is_a_data_address)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
