/* Linked into every test: what is still taken of the default context when the program ends has
 * been leaked by the library or by the test, and the test fails. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <kata/base.h>

static kata_context *watched;
static size_t bytes_at_start;

static void check_at_exit(void) {
    size_t n_bytes = kata_context_bytes(watched);
    if (n_bytes != bytes_at_start) {
        fprintf(stderr, "leaked: %zu bytes of the default context are still taken\n",
                n_bytes - bytes_at_start);
        fflush(NULL);
        _exit(1);
    }
}

/* The context is made first, so that its own end comes after the check. */
__attribute__((constructor)) static void watch(void) {
    watched = kata_context_default();
    if (watched != NULL) {
        bytes_at_start = kata_context_bytes(watched);
        atexit(check_at_exit);
    }
}
