/* Fuzzes the reader of a request's numbers, {"instances": ...}. The first byte says how many
 * numbers an instance has. */
#include <string.h>

#include "base/memory.h"
#include "serve/instances.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    kata_context *context = kata_context_default();
    kata__instances instances = {0};
    if (context == NULL || n_bytes < 1) {
        return 0;
    }
    int64_t width = 1 + data[0] % 16;
    char *text = kata__alloc(context, n_bytes, 1); /* the body and the zero byte behind it */
    if (text == NULL) {
        return 0;
    }
    memcpy(text, data + 1, n_bytes - 1);
    text[n_bytes - 1] = '\0';
    kata_status status = kata__instances_read(&instances, context, text, n_bytes - 1, width);
    kata__free(context, text);
    if (status != KATA_OK) {
        return 0;
    }
    volatile double sum = 0;
    for (int64_t i = 0; i < instances.n * width; i++) {
        sum = sum + (double)instances.numbers[i];
    }
    kata__free(context, instances.numbers);
    return 0;
}
