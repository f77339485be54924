/* Files: read whole; write to a temporary name, sync, rename. */
#include "base/file.h"
#include "base/check.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef PATH_MAX
#define PATH_MAX 4096
#endif

enum { READ_FIRST = 1 << 16, IO_LARGEST = 1 << 30 };

/* GNU's strerror_r returns the text, POSIX's a number and fills the buffer. */
const char *kata__system_error(int error, char text[KATA__SYSTEM_ERROR_SIZE]) {
    text[0] = '\0';
    return _Generic(strerror_r(error, text, KATA__SYSTEM_ERROR_SIZE),
        char *: strerror_r(error, text, KATA__SYSTEM_ERROR_SIZE),
        int: (strerror_r(error, text, KATA__SYSTEM_ERROR_SIZE), text));
}

static kata_status fail_read(const char *path, int error) {
    char reason[KATA__SYSTEM_ERROR_SIZE];
    return kata_fail(error == ENOENT ? KATA_NOT_FOUND : KATA_IO, "cannot read %s: %s", path,
                     kata__system_error(error, reason));
}

static int open_file(const char *path, int flags, mode_t mode) {
    int fd;
    do {
        fd = open(path, flags | O_CLOEXEC, mode);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

/* Reads to the end of `fd`; a file's stated size is a hint only (pipes and /proc have none, and a
 * file may grow meanwhile). */
static kata_status read_all(kata_context *context, const char *path, int fd, size_t hint,
                            size_t maximum, char **data, size_t *n_bytes) {
    if (maximum > PTRDIFF_MAX - 1) {
        maximum = PTRDIFF_MAX - 1;
    }
    size_t room = hint > maximum ? maximum : hint, size = 0;
    char *bytes = kata__alloc(context, room + 1, 1);
    if (bytes == NULL) {
        return kata_fail_in(KATA_OUT_OF_MEMORY, "%s", path);
    }
    for (;;) {
        /* One byte more than the room tells a full buffer from a longer file. */
        size_t want = room + 1 - size;
        want = want > IO_LARGEST ? IO_LARGEST : want;
        ssize_t got = read(fd, bytes + size, want);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            int error = errno;
            kata__free(context, bytes);
            return fail_read(path, error);
        }
        if (got == 0) {
            break;
        }
        size += (size_t)got;
        if (size <= room) {
            continue;
        }
        if (room >= maximum) {
            kata__free(context, bytes);
            return kata_fail(KATA_LIMIT, "cannot read %s: it has more than the %zu bytes allowed",
                             path, maximum);
        }
        room = room > maximum / 2 ? maximum : room * 2;
        room = room < READ_FIRST ? (READ_FIRST > maximum ? maximum : READ_FIRST) : room;
        char *grown = kata__alloc(context, room + 1, 1);
        if (grown == NULL) {
            kata__free(context, bytes);
            return kata_fail_in(KATA_OUT_OF_MEMORY, "%s", path);
        }
        memcpy(grown, bytes, size);
        kata__free(context, bytes);
        bytes = grown;
    }
    bytes[size] = '\0';
    *data = bytes;
    *n_bytes = size;
    return KATA_OK;
}

kata_status kata__file_read(kata_context *context, const char *path, size_t maximum, char **data,
                            size_t *n_bytes) {
    int fd = open_file(path, O_RDONLY, 0);
    if (fd < 0) {
        return fail_read(path, errno);
    }
    struct stat info;
    kata_status status;
    if (fstat(fd, &info) != 0) {
        status = fail_read(path, errno);
    } else if (S_ISDIR(info.st_mode)) {
        status = fail_read(path, EISDIR);
    } else if (S_ISREG(info.st_mode) && info.st_size > 0 && (uint64_t)info.st_size > maximum) {
        status =
            kata_fail(KATA_LIMIT, "cannot read %s: it has %lld bytes, more than the %zu allowed",
                      path, (long long)info.st_size, maximum);
    } else {
        size_t hint = S_ISREG(info.st_mode) && info.st_size > 0 ? (size_t)info.st_size : READ_FIRST;
        status = read_all(context, path, fd, hint, maximum, data, n_bytes);
    }
    close(fd);
    return status;
}

/* 0, or the errno of the first write that failed. */
static int write_all(int fd, const char *data, size_t n_bytes) {
    while (n_bytes > 0) {
        ssize_t put = write(fd, data, n_bytes > IO_LARGEST ? IO_LARGEST : n_bytes);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return put < 0 ? errno : EIO;
        }
        data += put;
        n_bytes -= (size_t)put;
    }
    return 0;
}

static int sync_file(int fd) {
    while (fsync(fd) != 0) {
        if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

/* Makes the rename itself last. Folders of some file systems cannot be synced: only a failing disk
 * is an error. */
static int sync_folder_of(char *path) {
    char *slash = strrchr(path, '/');
    const char *folder = ".";
    if (slash == path) {
        folder = "/";
    } else if (slash != NULL) {
        *slash = '\0';
        folder = path;
    }
    int fd = open_file(folder, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) {
        return 0;
    }
    int error = sync_file(fd);
    close(fd);
    return error == EIO || error == ENOSPC || error == EDQUOT ? error : 0;
}

static kata_status fail_write(const char *path, int error, bool existed) {
    char reason[KATA__SYSTEM_ERROR_SIZE];
    return kata_fail(KATA_IO, "cannot write %s: %s; %s", path, kata__system_error(error, reason),
                     existed ? "the file that was there is unchanged" : "no file was left there");
}

/* A device or a pipe (/dev/stdout) is written to, not replaced. */
static kata_status write_in_place(const char *path, const char *data, size_t n_bytes) {
    int fd = open_file(path, O_WRONLY, 0);
    int error = fd < 0 ? errno : write_all(fd, data, n_bytes);
    if (fd >= 0 && close(fd) != 0 && error == 0 && errno != EINTR) {
        error = errno;
    }
    char reason[KATA__SYSTEM_ERROR_SIZE];
    return error == 0
               ? KATA_OK
               : kata_fail(KATA_IO, "cannot write %s: %s", path, kata__system_error(error, reason));
}

/* Writes and syncs the new file `temporary`; 0 or an errno. */
static int write_temporary(const char *temporary, const char *data, size_t n_bytes,
                           const mode_t *mode) {
    int fd = open_file(temporary, O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (fd < 0 && errno == EEXIST) { /* left by a process of this number that died */
        unlink(temporary);
        fd = open_file(temporary, O_WRONLY | O_CREAT | O_EXCL, 0666);
    }
    if (fd < 0) {
        return errno;
    }
    int error = write_all(fd, data, n_bytes);
    if (error == 0 && mode != NULL && fchmod(fd, *mode & 07777) != 0) {
        error = errno == EPERM ? 0 : errno;
    }
    if (error == 0) {
        error = sync_file(fd);
    }
    if (close(fd) != 0 && error == 0 && errno != EINTR) {
        error = errno;
    }
    return error;
}

kata_status kata__file_write(kata_context *context, const char *path, const void *data,
                             size_t n_bytes) {
    struct stat info;
    bool existed = stat(path, &info) == 0;
    if (existed && S_ISDIR(info.st_mode)) {
        return fail_write(path, EISDIR, true);
    }
    if (existed && !S_ISREG(info.st_mode)) {
        return write_in_place(path, data, n_bytes);
    }
    /* A link stays a link: the file that it leads to is replaced. */
    char real[PATH_MAX];
    const char *target = existed && realpath(path, real) != NULL ? real : path;

    static atomic_uint n_written; /* so that two threads never share a temporary name */
    size_t size = strlen(target) + 64;
    char *temporary = kata__alloc(context, size, 2); /* and behind it a copy of target to cut */
    if (temporary == NULL) {
        return kata_fail_in(KATA_OUT_OF_MEMORY, "%s", path);
    }
    snprintf(temporary, size, "%s.tmp-%ld-%u", target, (long)getpid(),
             atomic_fetch_add(&n_written, 1));
    int error = write_temporary(temporary, data, n_bytes, existed ? &info.st_mode : NULL);
    if (error == 0 && rename(temporary, target) != 0) {
        error = errno;
    }
    kata_status status = KATA_OK;
    if (error != 0) {
        unlink(temporary);
        status = fail_write(path, error, existed);
    } else {
        char *copy = temporary + size;
        memcpy(copy, target, strlen(target) + 1);
        error = sync_folder_of(copy);
        if (error != 0) {
            char reason[KATA__SYSTEM_ERROR_SIZE];
            status = kata_fail(KATA_IO,
                               "%s is written, but its folder could not be synced: %s; check the "
                               "disk",
                               path, kata__system_error(error, reason));
        }
    }
    kata__free(context, temporary);
    return status;
}

kata_status kata__directory_make(const char *path) {
    char part[PATH_MAX];
    size_t length = strlen(path);
    if (length == 0) {
        return kata_fail(KATA_INVALID, "cannot make a directory without a name");
    }
    if (length >= sizeof part) {
        return kata_fail(KATA_INVALID,
                         "cannot make a directory: its path has %zu bytes, at most "
                         "%zu are possible",
                         length, sizeof part - 1);
    }
    memcpy(part, path, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (part[i] != '/' && part[i] != '\0') {
            continue;
        }
        part[i] = '\0';
        if (mkdir(part, 0777) != 0) {
            int error = errno;
            if (!kata__directory_exists(part)) {
                char reason[KATA__SYSTEM_ERROR_SIZE];
                error = error == EEXIST ? ENOTDIR : error;
                return kata_fail(KATA_IO, "cannot make the directory %s: %s", part,
                                 kata__system_error(error, reason));
            }
        }
        part[i] = path[i];
    }
    return KATA_OK;
}

bool kata__file_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && !S_ISDIR(info.st_mode);
}

bool kata__directory_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}
