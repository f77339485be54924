/* Runs files, or all files of folders, through a fuzzer's entry point, and small changes of each:
 * for compilers without libFuzzer, and as a short test of a corpus. The changes are the same each
 * time.
 *
 *     replay_onnx [--changes N] FILE|FOLDER...        200 changes of each file, 0: none */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static int n_changes = 200;
static int64_t n_run;

/* The bytes in a block of exactly their size, so that a sanitizer sees a step beyond its end. */
static void run(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL) {
        abort();
    }
    if (size > 0) {
        memcpy(copy, data, size);
    }
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    n_run++;
}

static uint64_t next(uint64_t *state) { /* xorshift64 */
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* One to three of: a bit, a byte that stands at a border, bytes taken out, bytes said twice, the
 * end cut off. `data` has room for twice its size. */
static size_t change(uint8_t *data, size_t size, size_t room, uint64_t *state) {
    static const uint8_t borders[] = {0, 1, 0x7F, 0x80, 0xFF, '"', '-', '9'};
    for (uint64_t n = 1 + next(state) % 3; n > 0 && size > 0; n--) {
        size_t at = next(state) % size, left = size - at;
        size_t length = 1 + next(state) % (left < 16 ? left : 16);
        switch (next(state) % 8) {
        case 0:
        case 1:
        case 2:
            data[at] ^= (uint8_t)(1 << next(state) % 8);
            break;
        case 3:
        case 4:
            data[at] = borders[next(state) % sizeof borders];
            break;
        case 5:
            memmove(data + at, data + at + length, left - length);
            size -= length;
            break;
        case 6:
            if (size + length <= room) {
                memmove(data + at + length, data + at, left);
                size += length;
            }
            break;
        default:
            size = at;
        }
    }
    return size;
}

static int replay(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        if (file != NULL) {
            fclose(file);
        }
        return 1;
    }
    long end = ftell(file);
    size_t size = end > 0 ? (size_t)end : 0;
    uint8_t *data = malloc(size + 1), *changed = malloc(2 * size + 1);
    rewind(file);
    int failed = end < 0 || data == NULL || changed == NULL || fread(data, 1, size, file) != size;
    fclose(file);
    if (failed) {
        fprintf(stderr, "%s: cannot be read\n", path);
    } else {
        run(data, size);
        uint64_t state = 88172645463325252u;
        for (int i = 0; i < n_changes; i++) {
            memcpy(changed, data, size);
            run(changed, change(changed, size, 2 * size, &state));
        }
    }
    free(data);
    free(changed);
    return failed;
}

static int replay_folder(DIR *folder, const char *path) {
    int failed = 0, n_files = 0;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (entry->d_name[0] != '.') {
            char file[4096];
            snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
            failed |= replay(file);
            n_files++;
        }
    }
    if (n_files == 0) {
        fprintf(stderr, "%s: no files\n", path);
    }
    return failed || n_files == 0;
}

int main(int argc, char **argv) {
    int failed = 0, first = 1;
    if (argc > 2 && strcmp(argv[1], "--changes") == 0) {
        n_changes = atoi(argv[2]);
        first = 3;
    }
    if (first >= argc) {
        fprintf(stderr, "usage: %s [--changes N] FILE|FOLDER...\n", argv[0]);
        return 2;
    }
    for (int i = first; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        failed |= folder != NULL ? replay_folder(folder, argv[i]) : replay(argv[i]);
        if (folder != NULL) {
            closedir(folder);
        }
    }
    printf("%lld inputs\n", (long long)n_run);
    return failed;
}
