/* For readers that take a path: the bytes as a file in a folder of this process's own, which goes
 * when it ends. */
#ifndef KATA_FUZZ_FILE_H
#define KATA_FUZZ_FILE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char fuzz_folder[] = "/tmp/kata-fuzz-XXXXXX";
static char fuzz_names[4][300];
static int n_fuzz_names;

static inline void fuzz_remove(void) {
    for (int i = 0; i < n_fuzz_names; i++) {
        unlink(fuzz_names[i]);
    }
    rmdir(fuzz_folder);
}

/* FOLDER/NAME, at most four of them. */
static inline const char *fuzz_path(const char *name) {
    if (n_fuzz_names == 0) {
        if (mkdtemp(fuzz_folder) == NULL) {
            perror(fuzz_folder);
            exit(1);
        }
        atexit(fuzz_remove);
    }
    char path[300];
    snprintf(path, sizeof path, "%s/%s", fuzz_folder, name);
    for (int i = 0; i < n_fuzz_names; i++) {
        if (strcmp(fuzz_names[i], path) == 0) {
            return fuzz_names[i];
        }
    }
    snprintf(fuzz_names[n_fuzz_names], sizeof fuzz_names[0], "%s", path);
    return fuzz_names[n_fuzz_names++];
}

static inline const char *fuzz_file(const char *name, const uint8_t *data, size_t n_bytes) {
    const char *path = fuzz_path(name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(data, 1, n_bytes, file) != n_bytes || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
    return path;
}

#endif
