/* A growable byte buffer, born with its maximum. `data` is always NUL-terminated once non-NULL. */
#ifndef KATA_BASE_BUFFER_H
#define KATA_BASE_BUFFER_H

#include <kata/base.h>

typedef struct kata__buffer {
    kata_context *context;
    char *data;
    size_t size, capacity, maximum;
    kata_status status; /* sticky: the first failure; later appends do nothing and return it */
} kata__buffer;

void kata__buffer_init(kata__buffer *buffer, kata_context *context, size_t maximum);
void kata__buffer_free(kata__buffer *buffer);
void kata__buffer_clear(kata__buffer *buffer); /* size 0, keeps the memory, forgets the status */
kata_status kata__buffer_append(kata__buffer *buffer, const void *data, size_t n_bytes);
kata_status kata__buffer_text(kata__buffer *buffer, const char *text);
kata_status kata__buffer_printf(kata__buffer *buffer, const char *format, ...) KATA_PRINTF(2, 3);
/* JSON string with quotes and escapes; invalid UTF-8 becomes U+FFFD. */
kata_status kata__buffer_json_string(kata__buffer *buffer, const char *text);
/* JSON number that reads back to the same double ("%.17g" shortened); null if not finite. */
kata_status kata__buffer_json_number(kata__buffer *buffer, double value);
/* The same for a float32 ("%.9g"). */
kata_status kata__buffer_json_float(kata__buffer *buffer, float value);

#endif
