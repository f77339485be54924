/* The log: one line at a time, to the context's function or to stderr. */
#include "base/context.h"

#include <stdio.h>

enum { LINE_SIZE = 2048 };

static void log_to_stderr(kata_log_level level, const char *line) {
    static const char *const prefix[] = {"", "warning: ", "error: "};
    unsigned known = (unsigned)level <= KATA_LOG_ERROR ? (unsigned)level : KATA_LOG_ERROR;
    fprintf(stderr, "kata: %s%s\n", prefix[known], line);
}

void kata_log(kata_context *context, kata_log_level level, const char *format, ...) {
    char line[LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length < 0) {
        return;
    }
    if (context != NULL && context->log != NULL) {
        context->log(context->log_user, level, line);
    } else {
        log_to_stderr(level, line);
    }
}
