/* The context: allocator, threads, choice of kernels, log. */
#include "base/context.h"
#include "base/memory.h"
#include "base/parallel.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGNMENT = 64 };

/* Blocks from here on ask for huge pages: a batch's samples and a step's values lie far apart, and
 * with small pages each of them costs a walk through the page tables. */
enum { HUGE_PAGE = 2 << 20, HUGE_FROM = 4 << 20 };

static const char *const level_name[KATA__LEVELS] = {"portable", "avx2", "avx512"};

static const char *const bfloat16_name[KATA__BFLOAT16_LEVELS] = {"float32", "plain", "avx512_bf16",
                                                                 "amx"};

#define ACCEPTED_KERNELS "portable, avx2, avx512"
#define ACCEPTED_BFLOAT16 "float32, plain, avx512_bf16, amx"

static void *default_allocate(void *user, size_t n_bytes) {
    (void)user;
    if (n_bytes > SIZE_MAX - HUGE_PAGE) {
        return NULL;
    }
#if defined(MADV_HUGEPAGE)
    if (n_bytes >= HUGE_FROM) {
        const size_t whole = (n_bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
        void *block = aligned_alloc(HUGE_PAGE, whole);
        if (block != NULL) {
            (void)madvise(block, whole, MADV_HUGEPAGE); /* small pages do as well, slower */
        }
        return block;
    }
#endif
    return aligned_alloc(ALIGNMENT, (n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
}

static void default_release(void *user, void *block, size_t n_bytes) {
    (void)user;
    (void)n_bytes;
    free(block);
}

static bool parse_level(const char *name, kata__kernel_level *level) {
    for (int i = 0; i < KATA__LEVELS; i++) {
        if (strcmp(name, level_name[i]) == 0) {
            *level = (kata__kernel_level)i;
            return true;
        }
    }
    return false;
}

static bool parse_threads(const char *text, int *threads) {
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || value < 1 || value > KATA__MAX_THREADS) {
        return false;
    }
    *threads = (int)value;
    return true;
}

/* An environment variable that is set to something. */
static const char *environment(const char *name) {
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static kata_status choose_kernels(kata_context *context, const char *asked) {
    kata__kernel_level best = kata__cpu_level(), level = best;
    if (asked != NULL) {
        if (!parse_level(asked, &level)) {
            return kata_fail(KATA_INVALID,
                             "options.kernels is \"%s\"; accepted are " ACCEPTED_KERNELS, asked);
        }
    } else if ((asked = environment("KATA_KERNELS")) != NULL && !parse_level(asked, &level)) {
        kata_log(context, KATA_LOG_WARNING,
                 "KATA_KERNELS is \"%s\"; accepted are " ACCEPTED_KERNELS "; using %s", asked,
                 level_name[best]);
    }
    if (level > best) {
        kata_log(context, KATA_LOG_WARNING, "this processor has no %s; using the %s kernels",
                 level_name[level], level_name[best]);
        level = best;
    }
    context->kernel_level = level;
    return KATA_OK;
}

static bool parse_bfloat16(const char *name, kata__bfloat16_level *level) {
    for (int i = 0; i < KATA__BFLOAT16_LEVELS; i++) {
        if (strcmp(name, bfloat16_name[i]) == 0) {
            *level = (kata__bfloat16_level)i;
            return true;
        }
    }
    return false;
}

/* After choose_kernels. */
static kata_status choose_bfloat16(kata_context *context, const char *asked) {
    const bool is_widest = context->kernel_level == KATA__AVX512;
    const kata__bfloat16_level there =
        is_widest ? kata__cpu_bfloat16_level() : KATA__BFLOAT16_PLAIN;
    const kata__bfloat16_level best = is_widest ? kata__cpu_bfloat16_choice() : KATA__BFLOAT16_NONE;
    kata__bfloat16_level level = best;
    if (asked != NULL) {
        if (!parse_bfloat16(asked, &level)) {
            return kata_fail(KATA_INVALID,
                             "options.bfloat16 is \"%s\"; accepted are " ACCEPTED_BFLOAT16, asked);
        }
    } else if ((asked = environment("KATA_BFLOAT16")) != NULL && !parse_bfloat16(asked, &level)) {
        kata_log(context, KATA_LOG_WARNING,
                 "KATA_BFLOAT16 is \"%s\"; accepted are " ACCEPTED_BFLOAT16 "; using %s", asked,
                 bfloat16_name[best]);
    }
    if (level > there) {
        kata_log(context, KATA_LOG_WARNING,
                 "there is no %s with the %s kernels of this processor; using %s for bfloat16",
                 bfloat16_name[level], level_name[context->kernel_level], bfloat16_name[best]);
        level = best;
    }
    context->bfloat16_level = level;
    return KATA_OK;
}

static kata_status choose_threads(kata_context *context, int asked) {
    if (asked < 0 || asked > KATA__MAX_THREADS) {
        return kata_fail(KATA_INVALID,
                         "options.threads is %d; accepted are 1 to %d, or 0 for the default", asked,
                         KATA__MAX_THREADS);
    }
    context->threads = asked;
    const char *text = environment("KATA_THREADS");
    if (asked == 0 && (text == NULL || !parse_threads(text, &context->threads))) {
        context->threads = kata__cpu_count();
        if (text != NULL) {
            kata_log(context, KATA_LOG_WARNING,
                     "KATA_THREADS is \"%s\"; accepted are 1 to %d; using %d", text,
                     KATA__MAX_THREADS, context->threads);
        }
    }
    return KATA_OK;
}

static kata_status start_threads(kata_context *context) {
    if (context->threads == 1) {
        return KATA_OK;
    }
    int n_started = 0;
    kata_status status = kata__pool_new(&context->pool, context, context->threads - 1, &n_started);
    if (status != KATA_OK) {
        return status;
    }
    if (n_started < context->threads - 1) {
        kata_log(context, KATA_LOG_WARNING,
                 "the system gave %d of %d threads; the results are the same, later", n_started + 1,
                 context->threads);
        context->threads = n_started + 1;
    }
    if (n_started == 0) {
        kata__pool_free(context, context->pool);
        context->pool = NULL;
    }
    return KATA_OK;
}

kata_status kata_context_new(kata_context **out, const kata_context_options *options) {
    static const kata_context_options defaults;
    static const kata_allocator default_allocator = {default_allocate, default_release, NULL};
    if (out == NULL) {
        return kata_fail(KATA_INVALID, "kata_context_new: there is no place for the context (out "
                                       "is NULL)");
    }
    if (options == NULL) {
        options = &defaults;
    }
    const kata_allocator *allocator =
        options->allocator != NULL ? options->allocator : &default_allocator;
    if (allocator->allocate == NULL || allocator->release == NULL) {
        return kata_fail(KATA_INVALID, "options.allocator needs both functions, allocate and "
                                       "release");
    }
    kata_context *context =
        kata__alloc_zero(&(kata_context){.allocator = *allocator}, 1, sizeof *context);
    if (context == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    context->allocator = *allocator;
    context->log = options->log;
    context->log_user = options->log_user;

    kata_status status = choose_kernels(context, options->kernels);
    if (status == KATA_OK) {
        status = choose_bfloat16(context, options->bfloat16);
    }
    if (status == KATA_OK) {
        status = choose_threads(context, options->threads);
    }
    if (status == KATA_OK) {
        status = start_threads(context);
    }
    if (status != KATA_OK) {
        kata_context_free(context);
        return status;
    }
    *out = context;
    return KATA_OK;
}

void kata_context_free(kata_context *context) {
    if (context == NULL) {
        return;
    }
    kata__pool_free(context, context->pool);
    for (int i = 0; i < context->n_registered_operators; i++) {
        kata__free(context, (void *)context->registered_operators[i]);
    }
    kata__free(context, (void *)context->registered_operators);
    kata_context last = *context; /* the allocator outlives the context that holds it */
    kata__free(&last, context);
}

static _Atomic(kata_context *) default_context;
static pthread_mutex_t default_mutex = PTHREAD_MUTEX_INITIALIZER;

static void free_default(void) {
    kata_context_free(atomic_exchange(&default_context, NULL));
}

kata_context *kata_context_default(void) {
    kata_context *context = atomic_load_explicit(&default_context, memory_order_acquire);
    if (context != NULL) {
        return context;
    }
    /* Not pthread_once: a try that failed for want of memory must not be the last. */
    pthread_mutex_lock(&default_mutex);
    context = atomic_load(&default_context);
    if (context == NULL && kata_context_new(&context, NULL) == KATA_OK) {
        static bool registered;
        if (!registered) {
            registered = atexit(free_default) == 0;
        }
        atomic_store(&default_context, context);
    }
    pthread_mutex_unlock(&default_mutex);
    return context;
}

int kata_context_threads(const kata_context *context) {
    return context->threads;
}

const char *kata_context_kernels(const kata_context *context) {
    return level_name[context->kernel_level];
}

const char *kata_context_bfloat16(const kata_context *context) {
    return bfloat16_name[context->bfloat16_level];
}
