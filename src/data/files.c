/* A folder of array files: MNIST's four (train-images-idx3-ubyte, ...) and whatever is called alike
 * (emnist-letters-train-images-idx3-ubyte.gz, kmnist-test-labels.npz, x_train.npy). */
#include "base/check.h"
#include "base/file.h"
#include "base/memory.h"
#include "data/arrays.h"
#include "data/data.h"
#include "data/entries.h"

#include <kata/format.h>

#include <stdio.h>
#include <string.h>

enum form { FORM_IDX, FORM_NPY, FORM_NPZ };

struct file {
    const char *path;
    kata__part part;
    int kind; /* 0 inputs, 1 targets */
    enum form form;
    bool gz;
    char set[KATA__SET_NAME];
};

struct folder {
    kata_context *context;
    const char *path;
    kata__arena arena;
    kata__entries entries;
    kata__passed passed;
    struct file *file; /* as many as there are entries */
    size_t n;
};

/* ------------------------------------------------------------------ names */

/* What a file's name says; false if it is no array file. */
static bool parse(struct file *file, const kata__entry *entry) {
    const char *name = entry->name;
    size_t length = strlen(name);
    *file = (struct file){.path = entry->path, .gz = kata__name_ends(name, ".gz")};
    length -= file->gz ? 3 : 0;
    static const struct {
        const char *ending;
        enum form form;
    } forms[] = {{".npy", FORM_NPY}, {".npz", FORM_NPZ},  {"-ubyte", FORM_IDX},
                 {".idx", FORM_IDX}, {".idx1", FORM_IDX}, {".idx3", FORM_IDX}};
    for (size_t i = 0; i < KATA__COUNT(forms); i++) {
        size_t n = strlen(forms[i].ending);
        if (length > n && kata__name_is(name + length - n, n, forms[i].ending)) {
            file->form = forms[i].form;
            /* idx3-ubyte stays with the words: they are known and said by it. */
            size_t stem = forms[i].form == FORM_IDX ? length : length - n;
            return kata__array_name_parse(&file->part, &file->kind, file->set, name, stem);
        }
    }
    return false;
}

static kata_status list(struct folder *folder) {
    KATA__TRY(kata__entries_list(&folder->entries, &folder->arena, folder->path, &folder->passed));
    folder->file = kata__arena_alloc(&folder->arena, folder->entries.n + 1, sizeof *folder->file);
    if (folder->file == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    for (size_t i = 0; i < folder->entries.n; i++) {
        const kata__entry *entry = &folder->entries.entry[i];
        if (!entry->is_folder && parse(&folder->file[folder->n], entry)) {
            folder->n++;
        } else {
            kata__passed_add(&folder->passed, entry->path);
        }
    }
    return KATA_OK;
}

static void start(struct folder *folder, kata_context *context, const char *path) {
    *folder = (struct folder){
        .context = context, .path = path, .arena = {.context = context}, .passed = {.root = path}};
}

static void finish(struct folder *folder) {
    kata__entries_free(&folder->entries);
    kata__arena_free(&folder->arena);
}

/* Two files of one set with the inputs and targets of the training samples? */
static bool has_pair(const struct folder *folder) {
    for (size_t i = 0; i < folder->n; i++) {
        for (size_t k = 0; k < folder->n; k++) {
            const struct file *a = &folder->file[i], *b = &folder->file[k];
            if (a->part == KATA__PART_TRAIN && b->part == KATA__PART_TRAIN && a->kind == 0 &&
                b->kind == 1 && strcmp(a->set, b->set) == 0) {
                return true;
            }
        }
    }
    return false;
}

kata_status kata__files_present(bool *present, bool *named, kata_context *context,
                                const char *folder_path) {
    struct folder folder;
    start(&folder, context, folder_path);
    kata_status status = list(&folder);
    *present = has_pair(&folder);
    *named = false;
    for (size_t i = 0; i < folder.n; i++) {
        *present = *present || folder.file[i].form == FORM_IDX;
        *named = *named || folder.file[i].set[0] != '\0';
    }
    finish(&folder);
    return status;
}

/* ------------------------------------------------------------------ one set */

/* The set that is meant: `wanted`, or the only one there is. */
static kata_status choose_set(const char **set, const struct folder *folder, const char *wanted) {
    char names[400] = "";
    const char *first = NULL;
    int n_sets = 0;
    for (size_t i = 0; i < folder->n; i++) {
        const char *name = folder->file[i].set;
        size_t k = 0, used = strlen(names);
        while (k < i && strcmp(folder->file[k].set, name) != 0) {
            k++;
        }
        if (k < i) {
            continue;
        }
        n_sets++;
        first = first == NULL ? name : first;
        snprintf(names + used, sizeof names - used, "%s%s", used > 0 ? ", " : "",
                 name[0] == '\0' ? "(no name)" : name);
        if (wanted != NULL && kata__name_is(name, strlen(name), wanted)) {
            *set = name;
            return KATA_OK;
        }
    }
    if (wanted != NULL || n_sets > 1) {
        return kata_fail(KATA_NOT_FOUND,
                         wanted != NULL ? "%s: holds no data set %s; there is: %s"
                                        : "%s: holds several data sets; give %s/NAME with one of "
                                          "these names: %s",
                         folder->path, wanted != NULL ? wanted : folder->path, names);
    }
    *set = first;
    return KATA_OK;
}

/* The file of each array. An unpacked file wins over a packed one beside it, which is passed over.
 */
static void choose_files(const struct file *chosen[KATA__PARTS][2], struct folder *folder,
                         const char *set) {
    memset(chosen, 0, sizeof(const struct file *) * KATA__PARTS * 2);
    for (size_t i = 0; i < folder->n; i++) {
        const struct file *file = &folder->file[i];
        const struct file **place = &chosen[file->part][file->kind];
        if (strcmp(file->set, set) != 0) {
            continue;
        }
        if (*place == NULL || ((*place)->gz && !file->gz)) {
            if (*place != NULL) {
                kata__passed_add(&folder->passed, (*place)->path);
            }
            *place = file;
        } else {
            kata__passed_add(&folder->passed, file->path);
        }
    }
}

static kata_status check_chosen(const struct file *chosen[KATA__PARTS][2], const char *path) {
    static const char *const names[KATA__PARTS][2] = {
        {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"},
        {"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"},
        {"val-images-idx3-ubyte", "val-labels-idx1-ubyte"}};
    static const char *const words[KATA__PARTS] = {"training", "test", "validation"};
    for (int part = 0; part < KATA__PARTS; part++) {
        bool any = part == KATA__PART_TRAIN || chosen[part][0] != NULL || chosen[part][1] != NULL;
        for (int kind = 0; any && kind < 2; kind++) {
            if (chosen[part][kind] == NULL) {
                const struct file *other = chosen[part][1 - kind];
                return kata_fail(KATA_NOT_FOUND,
                                 "%s: there is no %s file of the %s samples, such as %s, plain or "
                                 ".gz; put it beside %s",
                                 path, kind == 0 ? "picture" : "label", words[part],
                                 names[part][kind], other != NULL ? other->path : "the others");
            }
        }
    }
    return KATA_OK;
}

/* ------------------------------------------------------------------ reading */

kata_status kata__gunzip_file(kata_context *context, const char *path, char **data,
                              size_t *n_bytes) {
    if (kata__reader_hooks.gunzip == NULL) {
        return kata_fail(KATA_UNSUPPORTED,
                         "%s: this program is built without the gz reader; unpack the file with "
                         "gunzip, or link kata-readers",
                         path);
    }
    char *unpacked;
    size_t n_unpacked;
    kata_status status = kata__reader_hooks.gunzip(context, *data, *n_bytes, KATA__ARRAY_BYTES_MOST,
                                                   &unpacked, &n_unpacked);
    if (status != KATA_OK) {
        return kata_fail_in(status, "%s", path);
    }
    kata__free(context, *data);
    *data = unpacked;
    *n_bytes = n_unpacked;
    return KATA_OK;
}

static kata_status read_array(kata_tensor *out, kata_context *context, const struct file *file) {
    char *data;
    size_t n_bytes;
    int64_t n_whole;
    KATA__TRY(kata__file_read(context, file->path, KATA__ARRAY_BYTES_MOST, &data, &n_bytes));
    kata_status status =
        file->gz ? kata__gunzip_file(context, file->path, &data, &n_bytes) : KATA_OK;
    if (status == KATA_OK && file->form == FORM_IDX) {
        status = kata__idx_parse(out, &n_whole, context, file->path, data, n_bytes,
                                 file->kind == 0 ? 3 : 1, 0);
    } else if (status == KATA_OK && file->form == FORM_NPY) {
        status = kata_npy_read_memory(out, context, data, n_bytes, file->path);
    } else if (status == KATA_OK) {
        status = kata__npz_read_one(out, context, data, n_bytes);
        if (status != KATA_OK) {
            kata_fail_in(status, "%s", file->path);
        }
    }
    kata__free(context, data);
    return status;
}

static const char *name_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static kata_status open_set(kata_data *out, struct folder *folder, const char *wanted,
                            const kata_data_options *options) {
    const char *set = NULL;
    const struct file *chosen[KATA__PARTS][2];
    KATA__TRY(list(folder));
    KATA__TRY(choose_set(&set, folder, wanted));
    choose_files(chosen, folder, set);
    KATA__TRY(check_chosen(chosen, folder->path));
    kata__arrays arrays = {.context = folder->context, .path = folder->path};
    kata_status status = KATA_OK;
    for (int i = 0; status == KATA_OK && i < 2 * KATA__PARTS; i++) {
        const struct file *file = chosen[i / 2][i % 2];
        if (file != NULL) {
            snprintf(arrays.name[i / 2][i % 2], sizeof arrays.name[0][0], "%s",
                     name_of(file->path));
            status = read_array(&arrays.array[i / 2][i % 2], folder->context, file);
        }
    }
    if (status == KATA_OK) {
        status = kata__arrays_open(out, &arrays, options);
        if (status != KATA_OK && strstr(kata_error_message(), folder->path) == NULL) {
            kata_fail_in(status, "%s", folder->path);
        }
    }
    kata__arrays_free(&arrays);
    if (status == KATA_OK) {
        kata__passed_log(&folder->passed, folder->context);
    }
    return status;
}

kata_status kata__files_open(kata_data *out, kata_context *context, const char *folder_path,
                             const char *set, const kata_data_options *options) {
    struct folder folder;
    start(&folder, context, folder_path);
    kata_status status = open_set(out, &folder, set, options);
    finish(&folder);
    return status;
}
