/* The context: options, environment, every failure on the way to it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/context.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "support/counting_allocator.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static struct {
    int n_warnings;
    char last[2048];
} seen;

static void keep_warning(void *user, kata_log_level level, const char *line) {
    (void)user;
    seen.n_warnings += level == KATA_LOG_WARNING;
    snprintf(seen.last, sizeof seen.last, "%s", line);
}

static int set_up(void **state) {
    (void)state;
    unsetenv("KATA_THREADS");
    unsetenv("KATA_KERNELS");
    memset(&seen, 0, sizeof seen);
    return 0;
}

static kata_context *make(int threads, const char *kernels) {
    kata_context *context = NULL;
    kata_context_options options = {.threads = threads, .kernels = kernels, .log = keep_warning};
    return kata_context_new(&context, &options) == KATA_OK ? context : NULL;
}

static void defaults(void **state) {
    (void)state;
    kata_context *context;
    assert_int_equal(kata_context_new(&context, NULL), KATA_OK);
    assert_int_equal(kata_context_threads(context), kata__cpu_count());
    static const char *const names[] = {"portable", "avx2", "avx512"};
    assert_string_equal(kata_context_kernels(context), names[kata__cpu_level()]);
    kata_context_free(context);
    kata_context_free(NULL);
    assert_true(kata__cpu_count() >= 1);
    assert_non_null(kata__cpu_name());
    if (kata__cpu_level() >= KATA__AVX2) {
        assert_non_null(strstr(kata__cpu_features(), "avx2 fma"));
        assert_true(strlen(kata__cpu_name()) > 0);
    }
    if (kata__cpu_level() >= KATA__AVX512) {
        assert_non_null(strstr(kata__cpu_features(), "avx512f"));
    }
}

static void bad_options(void **state) {
    (void)state;
    kata_context *context = (kata_context *)&seen;
    assert_int_equal(kata_context_new(NULL, NULL), KATA_INVALID);
    kata_context_options options = {.threads = -1};
    assert_int_equal(kata_context_new(&context, &options), KATA_INVALID);
    assert_string_equal(kata_error_message(),
                        "options.threads is -1; accepted are 1 to 1024, or 0 for the default");
    options = (kata_context_options){.threads = 1025};
    assert_int_equal(kata_context_new(&context, &options), KATA_INVALID);
    options = (kata_context_options){.kernels = "fast"};
    assert_int_equal(kata_context_new(&context, &options), KATA_INVALID);
    assert_string_equal(kata_error_message(),
                        "options.kernels is \"fast\"; accepted are portable, avx2, avx512");
    options = (kata_context_options){.bfloat16 = "fast"};
    assert_int_equal(kata_context_new(&context, &options), KATA_INVALID);
    assert_string_equal(kata_error_message(),
                        "options.bfloat16 is \"fast\"; accepted are float32, plain, "
                        "avx512_bf16, amx");
    kata_allocator half = {0};
    options = (kata_context_options){.allocator = &half};
    assert_int_equal(kata_context_new(&context, &options), KATA_INVALID);
    assert_ptr_equal(context, (kata_context *)&seen);
}

static void bfloat16(void **state) {
    (void)state;
    static const char *const names[] = {"float32", "plain", "avx512_bf16", "amx"};
    kata_context *context = make(1, NULL);
    assert_string_equal(kata_context_bfloat16(context), names[kata__cpu_bfloat16_choice()]);
    kata_context_free(context);
    context = make(1, "portable"); /* pairs and tiles come with avx512 only */
    assert_string_equal(kata_context_bfloat16(context), "float32");
    assert_int_equal(seen.n_warnings, 0);
    kata_context_free(context);
    setenv("KATA_BFLOAT16", "plain", 1);
    context = make(1, NULL);
    assert_string_equal(kata_context_bfloat16(context), "plain");
    assert_int_equal(seen.n_warnings, 0);
    kata_context_free(context);
    setenv("KATA_BFLOAT16", "tiles", 1);
    context = make(1, NULL);
    assert_int_equal(seen.n_warnings, 1);
    assert_non_null(strstr(seen.last, "KATA_BFLOAT16 is \"tiles\"; accepted are float32, plain, "
                                      "avx512_bf16, amx; using"));
    kata_context_free(context);
    setenv("KATA_BFLOAT16", "amx", 1);
    memset(&seen, 0, sizeof seen);
    context = make(1, "portable");
    assert_string_equal(kata_context_bfloat16(context), "float32");
    assert_int_equal(seen.n_warnings, 1);
    assert_non_null(strstr(seen.last, "there is no amx with the portable kernels"));
    kata_context_free(context);
    unsetenv("KATA_BFLOAT16");
}

/* The processors that were measured, and others, which compute in float32. */
static void bfloat16_choice(void **state) {
    (void)state;
    static const struct {
        const char *vendor;
        unsigned family;
        kata__bfloat16_level there, choice;
    } expected[] = {
        {"GenuineIntel", 6, KATA__BFLOAT16_AMX, KATA__BFLOAT16_AMX},
        {"GenuineIntel", 6, KATA__BFLOAT16_AVX512,
         KATA__BFLOAT16_NONE}, /* pairs at half the rate */
        {"GenuineIntel", 6, KATA__BFLOAT16_PLAIN, KATA__BFLOAT16_NONE},
        {"AuthenticAMD", 0x19, KATA__BFLOAT16_AVX512, KATA__BFLOAT16_AVX512}, /* Zen 4 */
        {"AuthenticAMD", 0x19, KATA__BFLOAT16_PLAIN, KATA__BFLOAT16_NONE},    /* Zen 3 */
        {"AuthenticAMD", 0x6, KATA__BFLOAT16_AVX512, KATA__BFLOAT16_NONE},
        {"HygonGenuine", 0x19, KATA__BFLOAT16_AVX512, KATA__BFLOAT16_NONE},
        {"", 0, KATA__BFLOAT16_PLAIN, KATA__BFLOAT16_NONE},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_int_equal(
            kata__bfloat16_choice(expected[i].vendor, expected[i].family, expected[i].there),
            expected[i].choice);
    }
    assert_true(kata__cpu_bfloat16_choice() <= kata__cpu_bfloat16_level());
}

static void kernels(void **state) {
    (void)state;
    kata_context *context = make(1, "portable");
    assert_string_equal(kata_context_kernels(context), "portable");
    kata_context_free(context);
    context = make(1, "avx512");
    if (kata__cpu_level() == KATA__AVX512) {
        assert_string_equal(kata_context_kernels(context), "avx512");
        assert_int_equal(seen.n_warnings, 0);
    } else {
        assert_int_equal(seen.n_warnings, 1);
        assert_non_null(strstr(seen.last, "this processor has no avx512"));
    }
    kata_context_free(context);

    memset(&seen, 0, sizeof seen);
    setenv("KATA_KERNELS", "portable", 1);
    context = make(1, NULL);
    assert_string_equal(kata_context_kernels(context), "portable");
    kata_context_free(context);
    setenv("KATA_KERNELS", "sse9", 1);
    context = make(1, NULL);
    assert_int_equal(seen.n_warnings, 1);
    assert_non_null(strstr(seen.last, "KATA_KERNELS is \"sse9\"; accepted are portable, avx2, "
                                      "avx512; using"));
    assert_int_equal(context->kernel_level, kata__cpu_level());
    kata_context_free(context);
    /* An option is stronger, and the environment is then not looked at. */
    context = make(1, "portable");
    assert_int_equal(seen.n_warnings, 1);
    kata_context_free(context);
    setenv("KATA_KERNELS", "", 1);
    context = make(1, NULL);
    assert_int_equal(seen.n_warnings, 1);
    kata_context_free(context);
}

static void threads(void **state) {
    (void)state;
    setenv("KATA_THREADS", "3", 1);
    kata_context *context = make(0, NULL);
    assert_int_equal(kata_context_threads(context), 3);
    kata_context_free(context);
    context = make(5, NULL);
    assert_int_equal(kata_context_threads(context), 5);
    kata_context_free(context);
    static const char *const bad[] = {"0", "-2", "many", "4x", "1025", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        seen.n_warnings = 0;
        setenv("KATA_THREADS", bad[i], 1);
        context = make(0, NULL);
        assert_int_equal(kata_context_threads(context), kata__cpu_count());
        assert_int_equal(seen.n_warnings, 1);
        assert_non_null(strstr(seen.last, "KATA_THREADS is \""));
        kata_context_free(context);
    }
}

static void failed_allocations(void **state) {
    (void)state;
    kata_test_allocator allocator;
    kata_test_allocator_init(&allocator);
    kata_context_options options = {.allocator = &allocator.allocator, .threads = 3};
    for (int64_t k = 1;; k++) {
        kata_context *context = (kata_context *)&seen;
        kata_test_allocator_reset(&allocator, k);
        kata_status status = kata_context_new(&context, &options);
        if (atomic_load(&allocator.fail_at) > 0) { /* fewer than k allocations */
            assert_int_equal(status, KATA_OK);
            assert_true(k > 2);
            kata_context_free(context);
            break;
        }
        assert_int_equal(status, KATA_OUT_OF_MEMORY);
        assert_ptr_equal(context, (kata_context *)&seen);
        assert_int_equal(atomic_load(&allocator.n_live), 0);
    }
    assert_int_equal(atomic_load(&allocator.n_live), 0);
    assert_int_equal(atomic_load(&allocator.n_live_bytes), 0);
}

static void registered_operators_are_freed(void **state) {
    (void)state;
    kata_test_allocator allocator;
    kata_test_allocator_init(&allocator);
    kata_context *context = kata_test_context(&allocator, 1);
    context->registered_operators = kata__alloc(context, 4, sizeof(void *));
    kata_context_free(context);
    assert_int_equal(atomic_load(&allocator.n_live), 0);
}

static void count_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    ((char *)argument)[chunk]++;
}

/* When the system gives no more threads the context has fewer, says so, and works. */
static void too_few_threads(void **state) {
    (void)state;
    if (SANITIZED) {
        skip(); /* the sanitizers' own memory is beyond any limit */
    }
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit limit = {(rlim_t)256 << 20, (rlim_t)256 << 20};
        if (setrlimit(RLIMIT_AS, &limit) != 0) {
            _exit(0);
        }
        kata_context *context = make(200, NULL); /* 200 stacks of 8 MiB */
        if (context == NULL) {
            _exit(2);
        }
        int n = kata_context_threads(context);
        char done[1000] = {0};
        kata__parallel(context, 1000, count_chunk, done);
        for (int i = 0; i < 1000; i++) {
            if (done[i] != 1) {
                _exit(3);
            }
        }
        kata_context_free(context);
        bool limited = n < 200 && seen.n_warnings == 1 && strstr(seen.last, "of 200 threads");
        _exit(n == 200 || limited ? 0 : 4);
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
}

static void *take_default(void *argument) {
    (void)argument;
    return kata_context_default();
}

static void the_default(void **state) {
    (void)state;
    pthread_t thread[8];
    for (int i = 0; i < 8; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, take_default, NULL), 0);
    }
    kata_context *context = kata_context_default();
    assert_non_null(context);
    for (int i = 0; i < 8; i++) {
        void *other;
        pthread_join(thread[i], &other);
        assert_ptr_equal(other, context);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(defaults, set_up),
        cmocka_unit_test_setup(bad_options, set_up),
        cmocka_unit_test_setup(kernels, set_up),
        cmocka_unit_test_setup(bfloat16, set_up),
        cmocka_unit_test_setup(bfloat16_choice, set_up),
        cmocka_unit_test_setup(threads, set_up),
        cmocka_unit_test_setup(failed_allocations, set_up),
        cmocka_unit_test_setup(registered_operators_are_freed, set_up),
        cmocka_unit_test_setup(too_few_threads, set_up),
        cmocka_unit_test_setup(the_default, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
