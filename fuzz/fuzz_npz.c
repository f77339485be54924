/* Fuzzes the npz reader: zip, deflate, npy, and the making of a data set of it. */
#include <kata/data.h>
#include <kata/readers.h>

#include "file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    kata_context *context = kata_context_default();
    if (context == NULL) {
        return 0;
    }
    kata_readers_install();
    kata_data read = {0};
    kata_data_options options = {0};
    const char *path = fuzz_file("data.npz", data, n_bytes);
    if (kata_data_open(&read, context, path, &options) == KATA_OK) {
        volatile double sum = 0;
        const kata_dataset *train = read.train;
        for (int k = 0; k < train->n_inputs; k++) {
            for (int64_t i = 0; i < kata_tensor_count(&train->inputs[k]); i++) {
                sum = sum + kata_load(train->inputs[k].dtype, train->inputs[k].data, i);
            }
        }
        for (int k = 0; k < train->n_targets; k++) {
            for (int64_t i = 0; i < kata_tensor_count(&train->targets[k]); i++) {
                sum = sum + kata_load(train->targets[k].dtype, train->targets[k].data, i);
            }
        }
        kata_data_close(&read);
    }
    return 0;
}
