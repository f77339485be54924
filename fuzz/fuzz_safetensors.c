/* Fuzzes the safetensors reader; each element of what it gives is read. */
#include "base/memory.h"
#include "format/safetensors.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    kata_context *context = kata_context_default();
    char *copy = context != NULL ? kata__alloc(context, n_bytes, 1) : NULL;
    if (copy == NULL) {
        return 0;
    }
    if (n_bytes > 0) {
        memcpy(copy, data, n_bytes);
    }
    kata_safetensors file = {0};
    if (kata__safetensors_take(&file, context, copy, n_bytes, "fuzz") != KATA_OK) {
        return 0;
    }
    volatile double sum = 0;
    for (int i = 0; i < file.n_tensors; i++) {
        const kata_tensor *tensor = &file.tensors[i].tensor;
        for (int64_t k = 0; k < kata_tensor_count(tensor); k++) {
            sum = sum + kata_load(tensor->dtype, tensor->data, k);
        }
        kata_safetensors_find(&file, file.tensors[i].name);
    }
    for (int i = 0; i < file.n_metadata; i++) {
        sum = sum + (double)strlen(file.metadata[i].key) + (double)strlen(file.metadata[i].value);
    }
    kata_safetensors_free(&file);
    return 0;
}
