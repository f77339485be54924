/* Fuzzes the .npy reader; each element of what it gives is read. */
#include <kata/format.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    kata_context *context = kata_context_default();
    kata_tensor tensor = {0};
    if (context == NULL ||
        kata_npy_read_memory(&tensor, context, data, n_bytes, "fuzz") != KATA_OK) {
        return 0;
    }
    volatile double sum = 0;
    for (int64_t k = 0; k < kata_tensor_count(&tensor); k++) {
        sum = sum + kata_load(tensor.dtype, tensor.data, k);
    }
    kata_tensor_release(&tensor);
    return 0;
}
