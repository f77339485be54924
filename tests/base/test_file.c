/* Files: whole reads, writes that replace at once, directories; disks that are full. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "support/counting_allocator.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static kata_test_allocator allocator;
static kata_context *context;
static char folder[64];

static int set_up(void **state) {
    (void)state;
    kata_test_allocator_init(&allocator);
    context = kata_test_context(&allocator, 1);
    snprintf(folder, sizeof folder, "/tmp/kata-file-XXXXXX");
    return context == NULL || mkdtemp(folder) == NULL;
}

static int tear_down(void **state) {
    (void)state;
    kata_context_free(context);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return atomic_load(&allocator.n_live) != 0 || system(command) != 0;
}

static const char *in_folder(const char *name) {
    static char path[4][256];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static int entries(void) {
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    int n = 0;
    while (readdir(directory) != NULL) {
        n++;
    }
    closedir(directory);
    return n - 2;
}

static void holds(const char *path, const char *text) {
    char *data;
    size_t n_bytes;
    assert_int_equal(kata__file_read(context, path, 1 << 20, &data, &n_bytes), KATA_OK);
    assert_int_equal(n_bytes, strlen(text));
    assert_string_equal(data, text);
    kata__free(context, data);
}

static void round_trip(void **state) {
    (void)state;
    const char *path = in_folder("a");
    assert_int_equal(kata__file_write(context, path, "first", 5), KATA_OK);
    holds(path, "first");
    assert_int_equal(kata__file_write(context, path, "the second", 10), KATA_OK);
    holds(path, "the second");
    assert_int_equal(kata__file_write(context, path, NULL, 0), KATA_OK);
    holds(path, "");
    assert_int_equal(entries(), 1);
    assert_true(kata__file_exists(path));
    assert_false(kata__file_exists(folder));
    assert_false(kata__file_exists(in_folder("none")));

    /* Beside a name without a folder. */
    char before[1024];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(folder), 0);
    kata_status status = kata__file_write(context, "plain", "x", 1);
    assert_int_equal(chdir(before), 0);
    assert_int_equal(status, KATA_OK);
    holds(in_folder("plain"), "x");

    size_t size = 3000000;
    char *large = kata__alloc(context, size, 1), *back;
    for (size_t i = 0; i < size; i++) {
        large[i] = (char)(i * 31 % 251);
    }
    assert_int_equal(kata__file_write(context, path, large, size), KATA_OK);
    size_t n_bytes;
    assert_int_equal(kata__file_read(context, path, size, &back, &n_bytes), KATA_OK);
    assert_int_equal(n_bytes, size);
    assert_memory_equal(back, large, size);
    assert_int_equal(back[size], 0);
    kata__free(context, back);
    kata__free(context, large);
}

static void modes_and_links(void **state) {
    (void)state;
    const char *path = in_folder("a"), *link = in_folder("link");
    assert_int_equal(kata__file_write(context, path, "1", 1), KATA_OK);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(symlink("a", link), 0);
    assert_int_equal(kata__file_write(context, link, "22", 2), KATA_OK);
    holds(path, "22");
    struct stat info;
    assert_int_equal(lstat(link, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);
}

static void read_errors(void **state) {
    (void)state;
    char *data = (char *)folder;
    size_t n_bytes = 77;
    assert_int_equal(kata__file_read(context, in_folder("none"), 10, &data, &n_bytes),
                     KATA_NOT_FOUND);
    assert_non_null(strstr(kata_error_message(), "/none: No such file or directory"));
    assert_int_equal(kata__file_read(context, folder, 10, &data, &n_bytes), KATA_IO);
    assert_non_null(strstr(kata_error_message(), "Is a directory"));
    const char *path = in_folder("a");
    assert_int_equal(kata__file_write(context, path, "12345", 5), KATA_OK);
    assert_int_equal(kata__file_read(context, path, 4, &data, &n_bytes), KATA_LIMIT);
    assert_non_null(strstr(kata_error_message(), "it has 5 bytes, more than the 4 allowed"));
    assert_int_equal(kata__file_read(context, "/dev/zero", 100000, &data, &n_bytes), KATA_LIMIT);
    assert_int_equal(kata__file_read(context, "/dev/zero", 0, &data, &n_bytes), KATA_LIMIT);
    for (int64_t k = 1; k <= 3; k++) { /* /dev/zero grows the buffer twice */
        kata_test_allocator_reset(&allocator, k);
        assert_int_equal(kata__file_read(context, "/dev/zero", 150000, &data, &n_bytes),
                         KATA_OUT_OF_MEMORY);
        assert_non_null(strstr(kata_error_message(), "/dev/zero: out of memory"));
    }
    assert_ptr_equal(data, folder); /* untouched by failures */
    assert_int_equal(n_bytes, 77);
    assert_int_equal(kata__file_read(context, path, 5, &data, &n_bytes), KATA_OK);
    kata__free(context, data);
    /* A file of no stated size. */
    assert_int_equal(kata__file_read(context, "/proc/self/status", 1 << 20, &data, &n_bytes),
                     KATA_OK);
    assert_true(n_bytes > 100);
    kata__free(context, data);
}

static void *feed_pipe(void *path) {
    FILE *pipe = fopen(path, "w");
    for (int i = 0; i < 40000; i++) {
        fprintf(pipe, "%05d", i);
    }
    fclose(pipe);
    return NULL;
}

static void *drain_pipe(void *path) {
    char *data;
    size_t n_bytes;
    if (kata__file_read(context, path, 1000, &data, &n_bytes) == KATA_OK) {
        kata__free(context, data);
        return n_bytes == 3 ? path : NULL;
    }
    return NULL;
}

static void pipes(void **state) {
    (void)state;
    const char *path = in_folder("pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, feed_pipe, (void *)path), 0);
    char *data;
    size_t n_bytes;
    assert_int_equal(kata__file_read(context, path, 200000, &data, &n_bytes), KATA_OK);
    pthread_join(thread, NULL);
    assert_int_equal(n_bytes, 200000);
    assert_memory_equal(data + 199995, "39999", 6);
    kata__free(context, data);

    /* Written in place, not replaced by a file. */
    assert_int_equal(pthread_create(&thread, NULL, drain_pipe, (void *)path), 0);
    assert_int_equal(kata__file_write(context, path, "abc", 3), KATA_OK);
    void *result;
    pthread_join(thread, &result);
    assert_non_null(result);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_true(S_ISFIFO(info.st_mode));
}

static void write_errors(void **state) {
    (void)state;
    assert_int_equal(kata__file_write(context, folder, "x", 1), KATA_IO);
    assert_non_null(strstr(kata_error_message(), "Is a directory"));
    assert_int_equal(kata__file_write(context, in_folder("no/such"), "x", 1), KATA_IO);
    assert_non_null(strstr(kata_error_message(), "No such file or directory; no file was left"));
    assert_int_equal(kata__file_write(context, "", "x", 1), KATA_IO);
    kata_test_allocator_reset(&allocator, 1);
    assert_int_equal(kata__file_write(context, in_folder("a"), "x", 1), KATA_OUT_OF_MEMORY);
    assert_int_equal(entries(), 0);
    if (access("/dev/full", W_OK) == 0) {
        assert_int_equal(kata__file_write(context, "/dev/full", "x", 1), KATA_IO);
        assert_non_null(strstr(kata_error_message(), "No space left on device"));
    }
}

/* A disk that is full after some bytes: a limit on file sizes makes a short write, then an error.
 */
static void full_disk(void **state) {
    (void)state;
    const char *path = in_folder("a"), *fresh = in_folder("fresh");
    assert_int_equal(kata__file_write(context, path, "old", 3), KATA_OK);
    static char large[100000];
    struct rlimit before, limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 60001;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    kata_status over_old = kata__file_write(context, path, large, sizeof large);
    char message[1024];
    snprintf(message, sizeof message, "%s", kata_error_message());
    kata_status over_none = kata__file_write(context, fresh, large, sizeof large);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(over_old, KATA_IO);
    assert_non_null(strstr(message, "File too large; the file that was there is unchanged"));
    assert_int_equal(over_none, KATA_IO);
    assert_non_null(strstr(kata_error_message(), "no file was left there"));
    holds(path, "old");
    assert_int_equal(entries(), 1);
}

static void stale_temporary(void **state) {
    (void)state;
    /* Names that a dead process of this number may have left do not stand in the way. */
    char path[256];
    for (int i = 0; i < 200; i++) {
        snprintf(path, sizeof path, "%s/a.tmp-%ld-%d", folder, (long)getpid(), i);
        int fd = open(path, O_WRONLY | O_CREAT, 0600);
        assert_true(fd >= 0);
        close(fd);
    }
    assert_int_equal(kata__file_write(context, in_folder("a"), "x", 1), KATA_OK);
    holds(in_folder("a"), "x");
}

static void *write_often(void *path) {
    char text[2001];
    memset(text, 'a' + (int)((uintptr_t)&text / 4096 % 20), 2000);
    text[2000] = '\0';
    for (int i = 0; i < 30; i++) {
        if (kata__file_write(context, path, text, 2000) != KATA_OK) {
            return path;
        }
    }
    return NULL;
}

static void many_writers(void **state) {
    (void)state;
    const char *path = in_folder("a");
    pthread_t thread[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, write_often, (void *)path), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(thread[i], &failed);
        assert_null(failed);
    }
    char *data;
    size_t n_bytes;
    assert_int_equal(kata__file_read(context, path, 2000, &data, &n_bytes), KATA_OK);
    assert_int_equal(n_bytes, 2000);
    assert_int_equal(strspn(data, (char[]){data[0], 0}), 2000); /* of one writer */
    kata__free(context, data);
    assert_int_equal(entries(), 1);
}

static void directories(void **state) {
    (void)state;
    const char *deep = in_folder("x/y//z/");
    assert_int_equal(kata__directory_make(deep), KATA_OK);
    assert_int_equal(kata__directory_make(deep), KATA_OK);
    assert_true(kata__directory_exists(in_folder("x/y/z")));
    assert_int_equal(kata__directory_make("/"), KATA_OK);
    assert_int_equal(kata__directory_make(""), KATA_INVALID);
    assert_int_equal(kata__file_write(context, in_folder("x/file"), "", 0), KATA_OK);
    assert_false(kata__directory_exists(in_folder("x/file")));
    assert_int_equal(kata__directory_make(in_folder("x/file/deeper")), KATA_IO);
    assert_non_null(strstr(kata_error_message(), "x/file: Not a directory"));
    assert_int_equal(kata__directory_make(in_folder("x/file")), KATA_IO);
    assert_int_equal(kata__directory_make("/proc/kata/none"), KATA_IO);
    char *endless = kata__alloc(context, 10000, 1);
    memset(endless, 'a', 9999);
    endless[9999] = '\0';
    assert_int_equal(kata__directory_make(endless), KATA_INVALID);
    kata__free(context, endless);
}

static void system_errors(void **state) {
    (void)state;
    char text[KATA__SYSTEM_ERROR_SIZE];
    assert_string_equal(kata__system_error(ENOSPC, text), "No space left on device");
    assert_non_null(kata__system_error(123456, text));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(modes_and_links, set_up, tear_down),
        cmocka_unit_test_setup_teardown(read_errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pipes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(write_errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stale_temporary, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_writers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(directories, set_up, tear_down),
        cmocka_unit_test(system_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
