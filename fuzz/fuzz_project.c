/* Fuzzes the reader of project files, and the writer with what was read: written, read and written
 * again it must be the same text. */
#include "tool/settings.h"

#include "file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void check_again(const kata__settings *settings, kata_context *context) {
    kata__arena arena = {.context = context};
    kata__buffer first, second;
    kata__buffer_init(&first, context, 1 << 22);
    kata__buffer_init(&second, context, 1 << 22);
    if (kata__project_write(settings, &first) == KATA_OK) {
        kata__settings again = kata__train_defaults;
        const char *path = fuzz_file("again.yaml", (const uint8_t *)first.data, first.size);
        if (kata__project_read(&again, &arena, path) != KATA_OK ||
            kata__project_write(&again, &second) != KATA_OK || first.size != second.size ||
            memcmp(first.data, second.data, first.size) != 0) {
            fprintf(stderr, "what was written is not read as it was: %s\n%.*s\n",
                    kata_error_message(), (int)first.size, first.data);
            abort();
        }
    }
    kata__buffer_free(&first);
    kata__buffer_free(&second);
    kata__arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    kata_context *context = kata_context_default();
    if (context == NULL) {
        return 0;
    }
    kata__arena arena = {.context = context};
    kata__settings settings = kata__train_defaults;
    const char *path = fuzz_file("project.yaml", data, n_bytes);
    if (kata__project_read(&settings, &arena, path) == KATA_OK &&
        kata__settings_check(&settings) == KATA_OK) {
        check_again(&settings, context);
    }
    kata__arena_free(&arena);
    return 0;
}
