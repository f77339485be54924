/* Runs files through a fuzzer's entry point: for compilers without libFuzzer, and to replay a
 * corpus.
 *
 *     replay_onnx FILE... */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

/* The file in a block of exactly its size, so that a sanitizer sees a step beyond its end. */
static int replay(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        if (file != NULL) {
            fclose(file);
        }
        return 1;
    }
    long size = ftell(file);
    uint8_t *data = size >= 0 ? malloc(size > 0 ? (size_t)size : 1) : NULL;
    rewind(file);
    int failed = data == NULL || fread(data, 1, (size_t)size, file) != (size_t)size;
    fclose(file);
    if (failed) {
        fprintf(stderr, "%s: cannot be read\n", path);
    } else {
        LLVMFuzzerTestOneInput(data, (size_t)size);
    }
    free(data);
    return failed;
}

int main(int argc, char **argv) {
    int failed = argc < 2;
    if (failed) {
        fprintf(stderr, "usage: %s FILE...\n", argv[0]);
    }
    for (int i = 1; i < argc; i++) {
        failed |= replay(argv[i]);
    }
    return failed;
}
