/* Blocks, arenas and growable arrays; each allocation failed once. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/memory.h"
#include "support/counting_allocator.h"

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
    return atomic_load(&allocator.n_live) != 0 || atomic_load(&allocator.n_live_bytes) != 0;
}

static void blocks(void **state) {
    (void)state;
    for (size_t n = 0; n < 300; n += 7) {
        char *block = kata__alloc(context, n, 1);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % 64, 0);
        memset(block, 1, n);
        char *zeros = kata__alloc_zero(context, n, 3);
        assert_int_equal((uintptr_t)zeros % 64, 0);
        for (size_t i = 0; i < 3 * n; i++) {
            assert_int_equal(zeros[i], 0);
        }
        kata__free(context, block);
        kata__free(context, zeros);
    }
    kata__free(context, NULL);
    char *copy = kata__strdup(context, "kata");
    assert_string_equal(copy, "kata");
    kata__free(context, copy);
}

static void overflow(void **state) {
    (void)state;
    int64_t calls = atomic_load(&allocator.n_calls);
    kata_error_clear();
    assert_null(kata__alloc(context, SIZE_MAX / 2, 3));
    assert_non_null(strstr(kata_error_message(), "out of memory"));
    assert_null(kata__alloc(context, SIZE_MAX, 1));
    assert_null(kata__alloc(context, SIZE_MAX - 32, 1));
    assert_null(kata__alloc_zero(context, (size_t)PTRDIFF_MAX, 1));
    assert_null(kata__alloc_zero(context, (size_t)1 << 33, (size_t)1 << 33));
    kata__arena arena = {.context = context};
    assert_null(kata__arena_alloc(&arena, SIZE_MAX / 2, 3));
    assert_null(kata__arena_alloc(&arena, SIZE_MAX - 3, 1));
    assert_int_equal(atomic_load(&allocator.n_calls), calls); /* the allocator was not asked */
}

static void out_of_memory(void **state) {
    (void)state;
    kata_test_allocator_reset(&allocator, 1);
    kata_error_clear();
    assert_null(kata__alloc(context, 1234, 2));
    assert_string_equal(kata_error_message(), "out of memory: cannot get 2468 bytes");
    kata_test_allocator_reset(&allocator, 1);
    assert_null(kata__alloc_zero(context, 5, 2));
    kata_test_allocator_reset(&allocator, 1);
    assert_null(kata__strdup(context, "text"));
    kata__arena arena = {.context = context};
    kata_test_allocator_reset(&allocator, 1);
    assert_null(kata__arena_alloc(&arena, 1, 8));
    kata_test_allocator_reset(&allocator, 1);
    assert_null(kata__arena_strdup(&arena, "text"));
    assert_null(arena.chunks);
    kata__arena_free(&arena);
}

static void arena_blocks(void **state) {
    (void)state;
    kata__arena arena = {.context = context};
    enum { N = 2000 };
    static unsigned char *block[N];
    static size_t size[N];
    for (size_t i = 0; i < N; i++) {
        size[i] = i % 100 == 99 ? 70000 + i : i * 7 % 61;
        block[i] = kata__arena_alloc(&arena, size[i], 1);
        assert_non_null(block[i]);
        assert_int_equal((uintptr_t)block[i] % 16, 0);
        for (size_t j = 0; j < size[i]; j++) {
            assert_int_equal(block[i][j], 0);
        }
        memset(block[i], (int)(i % 251) + 1, size[i]);
    }
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < size[i]; j++) {
            assert_int_equal(block[i][j], i % 251 + 1);
        }
    }
    /* Far fewer calls than blocks. */
    assert_true(atomic_load(&allocator.n_calls) < 100);
    assert_string_equal(kata__arena_strdup(&arena, "name"), "name");
    kata__arena_free(&arena);
    assert_null(arena.chunks);
    kata__arena_free(&arena);
    kata__arena_free(NULL);
}

static void growing(void **state) {
    (void)state;
    int32_t *array = NULL;
    size_t capacity = 0;
    for (size_t n = 0; n < 1000; n++) {
        assert_int_equal(
            kata__grow(context, (void **)&array, &capacity, n + 1, sizeof *array, 1000), KATA_OK);
        assert_true(capacity > n && capacity <= 1000);
        array[n] = (int32_t)n;
    }
    int32_t *before = array;
    assert_int_equal(kata__grow(context, (void **)&array, &capacity, 1001, sizeof *array, 1000),
                     KATA_LIMIT);
    assert_string_equal(kata_error_message(), "1001 elements are needed, at most 1000 are allowed");
    kata_test_allocator_reset(&allocator, 1);
    assert_int_equal(kata__grow(context, (void **)&array, &capacity, 1001, sizeof *array, 2000),
                     KATA_OUT_OF_MEMORY);
    assert_ptr_equal(array, before);
    assert_int_equal(capacity, 1000);
    assert_int_equal(
        kata__grow(context, (void **)&array, &capacity, SIZE_MAX / 2, sizeof *array, SIZE_MAX),
        KATA_OUT_OF_MEMORY);
    for (int32_t n = 0; n < 1000; n++) {
        assert_int_equal(array[n], n);
    }
    kata__free(context, array);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(blocks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(overflow, set_up, tear_down),
        cmocka_unit_test_setup_teardown(out_of_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(arena_blocks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(growing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
