/* What lies in a folder, without what nobody meant. */
#include "data/entries.h"
#include "base/check.h"
#include "base/file.h"
#include "data/data.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRIES_MOST = 1 << 28 };

/* ------------------------------------------------------------------ names */

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool kata__name_is(const char *name, size_t length, const char *wanted) {
    if (strlen(wanted) != length) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (lower(name[i]) != lower(wanted[i])) {
            return false;
        }
    }
    return true;
}

bool kata__name_ends(const char *name, const char *ending) {
    size_t n_name = strlen(name), n_ending = strlen(ending);
    return n_name >= n_ending && kata__name_is(name + n_name - n_ending, n_ending, ending);
}

static bool is_one_of(const char *name, const char *const *list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (kata__name_is(name, strlen(name), list[i])) {
            return true;
        }
    }
    return false;
}

/* Left behind by systems, archives and programs, not by people. */
static bool is_clutter(const char *name) {
    static const char *const names[] = {
        "__MACOSX",    "@eaDir",    "lost+found",  "$RECYCLE.BIN", "System Volume Information",
        "__pycache__", "Thumbs.db", "ehthumbs.db", "desktop.ini"};
    return name[0] == '.' || is_one_of(name, names, KATA__COUNT(names));
}

bool kata__is_picture_file(const char *path) {
    static const char *const endings[] = {
        ".png",  ".jpg",  ".jpeg", ".jpe",  ".jfif", ".apng", ".gif", ".bmp", ".webp", ".tif",
        ".tiff", ".heic", ".heif", ".avif", ".jp2",  ".ppm",  ".pgm", ".pbm", ".pnm",  ".svg"};
    for (size_t i = 0; i < KATA__COUNT(endings); i++) {
        if (kata__name_ends(path, endings[i])) {
            return true;
        }
    }
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return true; /* reading it says why it cannot be read */
    }
    uint8_t first[8];
    size_t n = fread(first, 1, sizeof first, file);
    fclose(file);
    return kata__is_png_or_jpeg(first, n);
}

/* ------------------------------------------------------------------ passed over */

void kata__passed_add(kata__passed *passed, const char *path) {
    size_t length = strlen(passed->root), used = strlen(passed->names);
    if (strncmp(path, passed->root, length) == 0) {
        path += length;
        path += strspn(path, "/");
    }
    if (used + strlen(path) + 8 < sizeof passed->names) {
        snprintf(passed->names + used, sizeof passed->names - used, "%s%s", used > 0 ? ", " : "",
                 path);
    } else if (used > 0 && passed->names[used - 1] != '.') {
        memcpy(passed->names + used, ", ...", 6);
    }
    passed->n++;
}

void kata__passed_log(const kata__passed *passed, kata_context *context) {
    if (passed->n > 0) {
        kata_log(context, KATA_LOG_INFO, "%s: passed over %" PRId64 " %s no data: %s", passed->root,
                 passed->n, passed->n == 1 ? "name that is" : "names that are", passed->names);
    }
}

/* ------------------------------------------------------------------ a folder */

static int by_name(const void *a, const void *b) {
    return strcmp(((const kata__entry *)a)->name, ((const kata__entry *)b)->name);
}

static kata_status add(kata__entries *out, kata__arena *arena, const char *folder,
                       const char *name) {
    size_t n_folder = strlen(folder), size = n_folder + strlen(name) + 2;
    bool slash = n_folder > 0 && folder[n_folder - 1] == '/';
    char *path = kata__arena_alloc(arena, size, 1);
    if (path == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    snprintf(path, size, "%s%s%s", folder, slash ? "" : "/", name);
    kata_status status = kata__grow(out->context, (void **)&out->entry, &out->capacity, out->n + 1,
                                    sizeof *out->entry, ENTRIES_MOST);
    if (status == KATA_LIMIT) {
        return kata_fail_in(status, "%s: too many files", folder);
    }
    KATA__TRY(status);
    out->entry[out->n++] =
        (kata__entry){path + n_folder + !slash, path, kata__directory_exists(path)};
    return KATA_OK;
}

static void drop_clutter(kata__entries *entries, kata__passed *passed) {
    size_t kept = 0;
    for (size_t i = 0; i < entries->n; i++) {
        if (is_clutter(entries->entry[i].name)) {
            kata__passed_add(passed, entries->entry[i].path);
        } else {
            entries->entry[kept++] = entries->entry[i];
        }
    }
    entries->n = kept;
}

kata_status kata__entries_list(kata__entries *out, kata__arena *arena, const char *folder,
                               kata__passed *passed) {
    DIR *directory = opendir(folder);
    char reason[KATA__SYSTEM_ERROR_SIZE];
    *out = (kata__entries){.context = arena->context};
    kata_status status = KATA_OK;
    int error = directory == NULL ? errno : 0;
    while (directory != NULL && status == KATA_OK) {
        errno = 0;
        const struct dirent *found = readdir(directory);
        if (found == NULL) {
            error = errno;
            break;
        }
        if (strcmp(found->d_name, ".") != 0 && strcmp(found->d_name, "..") != 0) {
            status = add(out, arena, folder, found->d_name);
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
    if (error != 0) {
        return kata_fail(KATA_IO, "cannot read the folder %s: %s", folder,
                         kata__system_error(error, reason));
    }
    if (out->n > 1) {
        qsort(out->entry, out->n, sizeof *out->entry, by_name);
    }
    drop_clutter(out, passed);
    return status;
}

void kata__entries_free(kata__entries *entries) {
    if (entries->context != NULL) {
        kata__free(entries->context, entries->entry);
    }
    *entries = (kata__entries){.context = NULL};
}
