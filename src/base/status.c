/* Status codes and the calling thread's error sentence. The sentence lives in a fixed thread-local
 * buffer, so that reporting that memory is short needs no memory. */
#include <kata/base.h>

#include <stdio.h>
#include <string.h>

enum { MESSAGE_SIZE = 1024 };

static _Thread_local char error_message[MESSAGE_SIZE];

const char *kata_status_name(kata_status status) {
    switch (status) {
#define X(name, text)                                                                              \
    case KATA_##name:                                                                              \
        return text;
        KATA_STATUS_LIST(X)
#undef X
    }
    return "unknown status";
}

const char *kata_error_message(void) {
    return error_message;
}

void kata_error_clear(void) {
    error_message[0] = '\0';
}

/* A sentence cut at the buffer's end closes with "..." and never inside a UTF-8 sequence. */
static void mark_cut(char text[MESSAGE_SIZE]) {
    size_t end = MESSAGE_SIZE - sizeof "...";
    while (end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80) {
        end--;
    }
    memcpy(text + end, "...", sizeof "...");
}

kata_status kata_fail(kata_status status, const char *format, ...) {
    /* Written beside the present sentence first: it may be one of the arguments. */
    char text[MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0) {
        snprintf(text, sizeof text, "%s", kata_status_name(status));
    } else if (length >= MESSAGE_SIZE) {
        mark_cut(text);
    }
    memcpy(error_message, text, strlen(text) + 1);
    return status;
}

kata_status kata_fail_in(kata_status status, const char *format, ...) {
    char text[MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0) {
        return status;
    }
    const char *rest = error_message[0] != '\0' ? error_message : kata_status_name(status);
    if (length < MESSAGE_SIZE) {
        length += snprintf(text + length, sizeof text - (size_t)length, ": %s", rest);
    }
    if (length >= MESSAGE_SIZE) {
        mark_cut(text);
    }
    memcpy(error_message, text, strlen(text) + 1);
    return status;
}
