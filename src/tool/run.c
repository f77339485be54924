/* The folder of a run. */
#include "tool/run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "format/json.h"

static kata_status paths(kata__tool *tool, kata__run_folder *out, const char *path) {
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') {
        length--;
    }
    *out = (kata__run_folder){.path = kata__tool_text(tool, "%.*s", (int)length, path), .lock = -1};
    if (out->path == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    out->model = kata__tool_text(tool, "%s/model.onnx", out->path);
    out->checkpoint = kata__tool_text(tool, "%s/checkpoint.safetensors", out->path);
    out->history = kata__tool_text(tool, "%s/history.jsonl", out->path);
    out->report = kata__tool_text(tool, "%s/report.html", out->path);
    out->project = kata__tool_text(tool, "%s/kata.yaml", out->path);
    return out->model == NULL || out->checkpoint == NULL || out->history == NULL ||
                   out->report == NULL || out->project == NULL
               ? KATA_OUT_OF_MEMORY
               : KATA_OK;
}

/* Empty but for hidden files and what a killed write left. */
static bool is_empty(const char *path) {
    DIR *folder = opendir(path);
    const struct dirent *entry;
    bool empty = true;
    while (folder != NULL && empty && (entry = readdir(folder)) != NULL) {
        empty = entry->d_name[0] == '.' || strstr(entry->d_name, ".tmp-") != NULL;
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return empty;
}

static kata_status create_given(kata__run_folder *run) {
    char reason[KATA__SYSTEM_ERROR_SIZE];
    if (kata__directory_exists(run->path) && !is_empty(run->path)) {
        return kata__file_exists(run->project)
                   ? kata_fail(KATA_INVALID,
                               "%s holds a run already; go on with it by 'kata train --resume %s', "
                               "or give another name to --out",
                               run->path, run->path)
                   : kata_fail(KATA_INVALID,
                               "%s holds other files; give --out the name of a new folder",
                               run->path);
    }
    KATA__TRY(kata__directory_make(run->path));
    if (access(run->path, W_OK | X_OK) != 0) {
        return kata_fail(KATA_IO, "cannot write into the folder %s: %s", run->path,
                         kata__system_error(errno, reason));
    }
    return KATA_OK;
}

static kata_status create_next(kata__tool *tool, kata__run_folder *run, const char *name) {
    char reason[KATA__SYSTEM_ERROR_SIZE], clean[64];
    size_t n = 0;
    for (const char *c = name; *c != '\0' && n + 1 < sizeof clean; c++) {
        bool good = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                    (*c >= '0' && *c <= '9') || *c == '-' || *c == '_';
        clean[n++] = good ? *c : '-';
    }
    clean[n] = '\0';
    KATA__TRY(kata__directory_make("runs"));
    for (int i = 1; i < 1000000; i++) {
        const char *path = kata__tool_text(tool, "runs/%s-%d", n > 0 ? clean : "run", i);
        if (path == NULL) {
            return KATA_OUT_OF_MEMORY;
        }
        if (mkdir(path, 0777) == 0) {
            return paths(tool, run, path);
        }
        if (errno != EEXIST) {
            return kata_fail(KATA_IO, "cannot make the folder %s: %s", path,
                             kata__system_error(errno, reason));
        }
    }
    return kata_fail(KATA_LIMIT, "the folder runs/ is full; give --out a name");
}

kata_status kata__run_create(kata__tool *tool, kata__run_folder *out, const char *given,
                             const char *name) {
    if (given == NULL) {
        KATA__TRY(create_next(tool, out, name));
    } else {
        KATA__TRY(paths(tool, out, given));
        KATA__TRY(create_given(out));
    }
    return kata__run_lock(out);
}

/* A killed program leaves the temporary file that it was writing. The folder is ours (locked), so
 * it may go. */
static void remove_leftovers(const kata__run_folder *run) {
    DIR *folder = opendir(run->path);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (strstr(entry->d_name, ".tmp-") != NULL) {
            unlinkat(dirfd(folder), entry->d_name, 0);
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
}

kata_status kata__run_open(kata__tool *tool, kata__run_folder *out, const char *path) {
    KATA__TRY(paths(tool, out, path));
    if (!kata__directory_exists(out->path)) {
        return kata_fail(KATA_NOT_FOUND, "there is no folder %s to resume", out->path);
    }
    if (!kata__file_exists(out->project)) {
        return kata_fail(KATA_NOT_FOUND,
                         "the folder %s is no run: it holds no kata.yaml; start anew with --out",
                         out->path);
    }
    KATA__TRY(kata__run_lock(out));
    remove_leftovers(out);
    return KATA_OK;
}

kata_status kata__run_lock(kata__run_folder *run) {
    run->lock = open(run->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (run->lock >= 0 && flock(run->lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        kata__run_close(run);
        return kata_fail(KATA_IO,
                         "another program is training in %s; wait for it, or give "
                         "another name to --out",
                         run->path);
    }
    return KATA_OK; /* a file system without locks is no reason to stop */
}

void kata__run_close(kata__run_folder *run) {
    if (run->lock >= 0) {
        close(run->lock);
    }
    run->lock = -1;
}

/* --- history ---------------------------------------------------------------------------------- */

static kata_status read_row(char *line, size_t length, kata__history_row *row) {
    kata__json json;
    kata__json_token token;
    *row = (kata__history_row){NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    kata__json_init(&json, line, length);
    KATA__TRY(kata__json_expect(&json, KATA__JSON_OBJECT_BEGIN, "an object", &token));
    double *to = NULL;
    for (;;) {
        KATA__TRY(kata__json_next(&json, &token));
        if (token.kind == KATA__JSON_OBJECT_END) {
            return KATA_OK;
        }
        if (token.kind == KATA__JSON_KEY) {
            const char *key = token.text;
            bool validation = strncmp(key, "val_", 4) == 0;
            key += validation ? 4 : 0;
            bool figure = strcmp(key, "accuracy") == 0 || strcmp(key, "label_accuracy") == 0 ||
                          strcmp(key, "mean_absolute_error") == 0;
            to = strcmp(key, "loss") == 0      ? (validation ? &row->val_loss : &row->loss)
                 : figure                      ? (validation ? &row->val_figure : &row->figure)
                 : strcmp(key, "epoch") == 0   ? &row->epoch
                 : strcmp(key, "lr") == 0      ? &row->lr
                 : strcmp(key, "seconds") == 0 ? &row->seconds
                                               : NULL;
        } else if (token.kind == KATA__JSON_NUMBER && to != NULL) {
            char number[40];
            snprintf(number, sizeof number, "%.*s", (int)(token.length < 39 ? token.length : 39),
                     token.text);
            *to = strtod(number, NULL);
        } else if (token.kind != KATA__JSON_STRING && token.kind != KATA__JSON_NULL &&
                   token.kind != KATA__JSON_NUMBER) {
            return kata_fail(KATA_FORMAT, "a line of the history is malformed");
        }
    }
}

kata_status kata__run_history(kata__tool *tool, const char *path, kata__history_row **rows,
                              int64_t *n_rows) {
    char *data;
    size_t n_bytes, n = 0;
    *rows = NULL;
    *n_rows = 0;
    if (!kata__file_exists(path)) {
        return KATA_OK;
    }
    KATA__TRY(kata__file_read(tool->small, path, (size_t)64 << 20, &data, &n_bytes));
    for (size_t i = 0; i < n_bytes; i++) {
        n += data[i] == '\n';
    }
    kata_status status = KATA_OK;
    *rows = kata__arena_alloc(&tool->arena, n + 1, sizeof **rows);
    if (*rows == NULL) {
        status = KATA_OUT_OF_MEMORY;
    }
    for (char *line = data; status == KATA_OK && line < data + n_bytes;) {
        size_t length = strcspn(line, "\n");
        if (length == 0 || line[length] == '\0') {
            break;
        }
        line[length] = '\0';
        status = read_row(line, length, &(*rows)[*n_rows]);
        *n_rows += status == KATA_OK;
        line += length + 1;
    }
    kata__free(tool->small, data);
    return status == KATA_OK ? KATA_OK : kata_fail_in(status, "%s", path);
}
