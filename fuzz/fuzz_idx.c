/* Fuzzes the idx reader. The first two bytes say how many of the rest are the file of pictures
 * (little-endian); what follows is the file of labels. */
#include <kata/data.h>
#include <kata/readers.h>

#include "file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    kata_context *context = kata_context_default();
    if (context == NULL || n_bytes < 2) {
        return 0;
    }
    size_t n_pictures = data[0] | (size_t)data[1] << 8;
    data += 2;
    n_bytes -= 2;
    n_pictures = n_pictures < n_bytes ? n_pictures : n_bytes;
    kata_readers_install();
    fuzz_file("train-images-idx3-ubyte", data, n_pictures);
    fuzz_file("train-labels-idx1-ubyte", data + n_pictures, n_bytes - n_pictures);
    kata_data read = {0};
    kata_data_options options = {0};
    if (kata_data_open(&read, context, fuzz_folder, &options) == KATA_OK) {
        volatile double sum = 0;
        const kata_dataset *train = read.train;
        for (int64_t i = 0; i < kata_tensor_count(&train->inputs[0]); i++) {
            sum = sum + kata_load(train->inputs[0].dtype, train->inputs[0].data, i);
        }
        for (int64_t i = 0; i < kata_tensor_count(&train->targets[0]); i++) {
            sum = sum + kata_load(train->targets[0].dtype, train->targets[0].data, i);
        }
        kata_data_close(&read);
    }
    return 0;
}
