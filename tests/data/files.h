/* Files for tests of the data room: a temporary folder that goes with the test, idx files, and the
 * check of an error's status and sentence. */
#ifndef KATA_TESTS_DATA_FILES_H
#define KATA_TESTS_DATA_FILES_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <kata/data.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char test_folder[512];

static inline void folder_make(void) {
    const char *root = getenv("TMPDIR");
    snprintf(test_folder, sizeof test_folder, "%s/kata-test-%s",
             root != NULL && root[0] != '\0' ? root : "/tmp",
             "XX" /* six for mkdtemp */ "XX"
             "XX");
    assert_non_null(mkdtemp(test_folder));
}

static inline int folder_remove_one(const char *path, const struct stat *info, int kind,
                                    struct FTW *where) {
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

static inline void folder_remove(void) {
    nftw(test_folder, folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline int folder_setup(void **state) {
    (void)state;
    folder_make();
    return 0;
}

static inline int folder_teardown(void **state) {
    (void)state;
    folder_remove();
    return 0;
}

/* "FOLDER/NAME"; four at a time. */
static inline const char *in_folder(const char *name) {
    static char path[4][1024];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", test_folder, name);
    return path[next];
}

static inline void file_put(const char *name, const void *data, size_t n_bytes) {
    char path[1024];
    snprintf(path, sizeof path, "%s", in_folder(name));
    for (char *slash = path + strlen(test_folder) + 1; (slash = strchr(slash, '/')) != NULL;
         slash++) {
        *slash = '\0';
        mkdir(path, 0777);
        *slash = '/';
    }
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, n_bytes, file), n_bytes);
    assert_int_equal(fclose(file), 0);
}

static inline void file_drop(const char *name) {
    assert_int_equal(unlink(in_folder(name)), 0);
}

static inline void put_big_endian(uint8_t *to, uint32_t value) {
    for (int i = 0; i < 4; i++) {
        to[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

/* An idx file of unsigned bytes: rank 3 (n, height, width) or rank 1 (n). Value i is (i * step) %
 * modulus. Returns its size; `out` has room. */
static inline size_t idx_make(uint8_t *out, int rank, uint32_t n, uint32_t height, uint32_t width,
                              unsigned step, unsigned modulus) {
    memcpy(out, "\0\0\x08", 3);
    out[3] = (uint8_t)rank;
    put_big_endian(out + 4, n);
    size_t header = 8, count = n;
    if (rank == 3) {
        put_big_endian(out + 8, height);
        put_big_endian(out + 12, width);
        header = 16;
        count = (size_t)n * height * width;
    }
    for (size_t i = 0; i < count; i++) {
        out[header + i] = (uint8_t)(i * step % modulus);
    }
    return header + count;
}

/* A small set like MNIST: n_train and n_test pictures of 4x3, labels 0, 1, 2, 0, ... */
static inline void idx_put_set(uint32_t n_train, uint32_t n_test) {
    static uint8_t bytes[1 << 16];
    file_put("train-images-idx3-ubyte", bytes, idx_make(bytes, 3, n_train, 4, 3, 7, 256));
    file_put("train-labels-idx1-ubyte", bytes, idx_make(bytes, 1, n_train, 0, 0, 1, 3));
    if (n_test > 0) {
        file_put("t10k-images-idx3-ubyte", bytes, idx_make(bytes, 3, n_test, 4, 3, 5, 256));
        file_put("t10k-labels-idx1-ubyte", bytes, idx_make(bytes, 1, n_test, 0, 0, 1, 3));
    }
}

/* What the library said in its log since log_clear; for kata_context_options.log. */
static char log_text[4096];

static inline void log_keep(void *user, kata_log_level level, const char *line) {
    size_t used = strlen(log_text);
    (void)user;
    snprintf(log_text + used, sizeof log_text - used, "%s%s\n",
             level == KATA_LOG_INFO ? "" : "warning: ", line);
}

static inline void check_log(const char *part, const char *file, int line) {
    if (strstr(log_text, part) == NULL) {
        print_error("log: %sexpected in it: %s\n", log_text, part);
        _fail(file, line);
    }
    log_text[0] = '\0';
}
/* A part of what was said since the last time; then it is forgotten. */
#define assert_log(part) check_log((part), __FILE__, __LINE__)

static inline void check_failure(kata_status status, kata_status expected, const char *part,
                                 const char *file, int line) {
    const char *message = kata_error_message();
    if (status != expected || strstr(message, part) == NULL) {
        print_error("status: %s, expected %s\nmessage: %s\nexpected in it: %s\n",
                    kata_status_name(status), kata_status_name(expected), message, part);
        _fail(file, line);
    }
}
/* The status, and a part of the sentence. */
#define assert_failure(call, expected, part)                                                       \
    check_failure((call), (expected), (part), __FILE__, __LINE__)

static inline void check_ok(kata_status status, const char *file, int line) {
    if (status != KATA_OK) {
        print_error("failed: %s\n", kata_error_message());
        _fail(file, line);
    }
}
#define assert_ok(call) check_ok((call), __FILE__, __LINE__)

#endif
