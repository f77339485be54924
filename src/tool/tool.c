/* Messages, exit codes, contexts: what every sub-command needs. */
#include "tool/tool.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include <kata/readers.h>

#include "base/file.h"
#include "tool/progress.h"

static void log_line(void *user, kata_log_level level, const char *line) {
    const kata__tool *tool = user;
    if (level == KATA_LOG_INFO && tool->quiet) {
        return;
    }
    kata__progress_clear();
    fprintf(stderr, "%s: %s", tool->name, level == KATA_LOG_INFO ? "" : "warning: ");
    kata__terminal_print(stderr, line);
    fputc('\n', stderr);
}

kata_status kata__tool_start(kata__tool *tool, int threads) {
    kata_readers_install();
    return kata_context_new(
        &tool->context,
        &(kata_context_options){.threads = threads, .log = log_line, .log_user = tool});
}

static void print_error(const kata__tool *tool) {
    kata__progress_clear();
    fflush(stdout);
    fprintf(stderr, "%s: ", tool->name);
    kata__terminal_print(stderr, kata_error_message());
    fputc('\n', stderr);
}

int kata__tool_usage(const kata__tool *tool) {
    print_error(tool);
    fprintf(stderr, "Try '%s -h'.\n", tool->name);
    return KATA__EXIT_USAGE;
}

int kata__tool_failed(const kata__tool *tool) {
    print_error(tool);
    return KATA__EXIT_FAILED;
}

int kata__tool_status(const kata__tool *tool, kata_status status) {
    print_error(tool);
    return status == KATA_INVALID ? KATA__EXIT_USAGE : KATA__EXIT_FAILED;
}

void kata__tool_say(const kata__tool *tool, const char *format, ...) {
    if (tool->quiet) {
        return;
    }
    char line[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    kata__progress_clear();
    kata__terminal_print(stderr, line);
    fputc('\n', stderr);
}

/* The reader of a pipe went away: `kata predict ... | head`. */
static bool reader_is_gone(void) {
    struct pollfd out = {.fd = 1, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0;
}

int kata__tool_flush(const kata__tool *tool) {
    char reason[KATA__SYSTEM_ERROR_SIZE];
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (reader_is_gone()) {
            return KATA__EXIT_FAILED; /* nobody to tell */
        }
        kata_fail(KATA_IO, "cannot write to stdout: %s",
                  kata__system_error(errno != 0 ? errno : EIO, reason));
        return kata__tool_failed(tool);
    }
    return KATA__EXIT_OK;
}

int kata__tool_print(const kata__tool *tool, kata__buffer *text) {
    int status = KATA__EXIT_OK;
    if (text->status != KATA_OK) {
        status = kata__tool_failed(tool);
    } else if (text->size > 0) {
        fwrite(text->data, 1, text->size, stdout);
        status = kata__tool_flush(tool);
    }
    kata__buffer_free(text);
    return status;
}

char *kata__tool_text(kata__tool *tool, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = kata__arena_alloc(&tool->arena, (size_t)(length < 0 ? 0 : length) + 1, 1);
    if (text != NULL) {
        va_start(arguments, format);
        vsnprintf(text, (size_t)length + 1, format, arguments);
        va_end(arguments);
    }
    return text;
}

const char *kata__tool_bf16_words(const kata__tool *tool) {
    static const char *const words[][2] = {
        {"amx", "bfloat16 by AMX tiles"},
        {"avx512_bf16", "bfloat16 by AVX512_BF16"},
        {"plain", "bfloat16 widened to float32, as KATA_BFLOAT16 asks; float32 is faster"},
        {"float32", "float32: this processor is not known to multiply bfloat16 faster "
                    "(KATA_BFLOAT16=plain or avx512_bf16 asks for it all the same)"}};
    const char *level = kata_context_bfloat16(tool->context);
    size_t i = 0;
    while (i + 1 < KATA__COUNT(words) && strcmp(words[i][0], level) != 0) {
        i++;
    }
    return words[i][1];
}

const char *kata__tool_model_path(kata__tool *tool, const char *argument) {
    if (!kata__directory_exists(argument)) {
        return argument;
    }
    size_t length = strlen(argument);
    return kata__tool_text(tool, "%s%smodel.onnx", argument,
                           length > 0 && argument[length - 1] == '/' ? "" : "/");
}
