/* A folder of pictures by class: CLASS/NAME, or train/CLASS/NAME with test/CLASS/NAME and
 * val/CLASS/NAME. Classes and files come in the order of their names' bytes, so that a folder is
 * the same data set on every machine. */
#include "base/check.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "data/entries.h"
#include "data/load.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILES_MOST = 1 << 28, SIDE_MOST = 65535 };

/* The names in a folder, sorted; of the arena. */
struct names {
    char **name;
    size_t n, capacity;
};

struct file {
    const char *path;
    int64_t label;
};

struct tree {
    kata_context *context;
    kata__arena arena;
    struct names classes;
    struct file *files; /* class by class */
    size_t n_files, capacity;
    kata__passed *passed;
};

struct size {
    int channels, height, width;
};

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *join_in_arena(struct tree *tree, const char *folder, const char *name) {
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = kata__arena_alloc(&tree->arena, size, 1);
    if (path != NULL) {
        snprintf(path, size, "%s/%s", folder, name);
    }
    return path;
}

/* Folders of classes, in the order of their names. Files beside them are passed over. */
static kata_status list_folders(struct tree *tree, const char *folder, struct names *names) {
    kata__entries entries;
    kata_status status = kata__entries_list(&entries, &tree->arena, folder, tree->passed);
    for (size_t i = 0; status == KATA_OK && i < entries.n; i++) {
        const kata__entry *entry = &entries.entry[i];
        if (!entry->is_folder) {
            kata__passed_add(tree->passed, entry->path);
            continue;
        }
        status = kata__grow(tree->context, (void **)&names->name, &names->capacity, names->n + 1,
                            sizeof *names->name, KATA__CLASSES_MOST);
        if (status == KATA_LIMIT) {
            kata_fail_in(status, "%s: too many folders for classes", folder);
        } else if (status == KATA_OK) {
            names->name[names->n++] = (char *)(uintptr_t)entry->name;
        }
    }
    kata__entries_free(&entries);
    return status;
}

static kata_status add_file(struct tree *tree, const kata__entry *entry, int64_t label) {
    if (entry->is_folder) {
        return kata_fail(KATA_FORMAT,
                         "%s is a folder inside the folder of a class; pictures lie directly in "
                         "CLASS/, or in train/CLASS/, test/CLASS/ and val/CLASS/",
                         entry->path);
    }
    if (!kata__is_picture_file(entry->path)) {
        kata__passed_add(tree->passed, entry->path);
        return KATA_OK;
    }
    KATA__TRY(kata__grow(tree->context, (void **)&tree->files, &tree->capacity, tree->n_files + 1,
                         sizeof *tree->files, FILES_MOST));
    tree->files[tree->n_files++] = (struct file){entry->path, label};
    return KATA_OK;
}

/* The pictures of one class, sorted behind those that are listed. */
static kata_status list_files(struct tree *tree, const char *folder, int64_t label) {
    size_t first = tree->n_files;
    kata__entries entries;
    kata_status status = kata__entries_list(&entries, &tree->arena, folder, tree->passed);
    for (size_t i = 0; status == KATA_OK && i < entries.n; i++) {
        status = add_file(tree, &entries.entry[i], label);
    }
    kata__entries_free(&entries);
    KATA__TRY(status);
    return tree->n_files > first
               ? KATA_OK
               : kata_fail(KATA_FORMAT,
                           "the class folder %s holds no picture; put pictures into it or remove "
                           "it",
                           folder);
}

static void free_tree(struct tree *tree) {
    kata__free(tree->context, tree->classes.name);
    kata__free(tree->context, tree->files);
    kata__arena_free(&tree->arena);
}

/* The number of files whose place in their class is below `depth`. */
static int64_t n_shallower(const struct tree *tree, size_t depth) {
    int64_t n = 0;
    size_t place = 0;
    for (size_t i = 0; i < tree->n_files; i++) {
        place = i > 0 && tree->files[i].label == tree->files[i - 1].label ? place + 1 : 0;
        n += place < depth;
    }
    return n;
}

/* Keeps `limit` files: the first of each class, then the second of each, ..., so that few samples
 * still show every class. The order stays. */
static void limit_files(struct tree *tree, int64_t limit) {
    if (limit <= 0 || (uint64_t)limit >= tree->n_files) {
        return;
    }
    /* Files whose place in their class is below `depth`, the greatest that is not too much; and of
     * those at `depth` the first `rest`. */
    size_t depth = 0, above = tree->n_files, kept = 0;
    while (above - depth > 1) {
        size_t middle = depth + (above - depth) / 2;
        if (n_shallower(tree, middle) <= limit) {
            depth = middle;
        } else {
            above = middle;
        }
    }
    int64_t rest = limit - n_shallower(tree, depth);
    size_t place = 0;
    int64_t label = -1;
    for (size_t i = 0; i < tree->n_files; i++) {
        place = tree->files[i].label == label ? place + 1 : 0;
        label = tree->files[i].label;
        if (place < depth || (place == depth && rest-- > 0)) {
            tree->files[kept++] = tree->files[i];
        }
    }
    tree->n_files = kept;
}

/* Decoding all pictures: one picture a chunk. A failure in a worker is kept as a number only (error
 * sentences belong to a thread); the first failing file is then read again for its sentence. */
struct job {
    const struct tree *tree;
    struct size size;
    uint8_t *pixels;
    _Atomic int64_t first_failed;
};

static kata_status load_picture(const struct job *job, int64_t i) {
    const struct size *size = &job->size;
    kata_picture picture;
    KATA__TRY(kata_picture_read(&picture, job->tree->context, job->tree->files[i].path));
    size_t n = (size_t)size->channels * (size_t)size->height * (size_t)size->width;
    kata_status status = kata_picture_to_planes(&picture, size->channels, size->height, size->width,
                                                job->pixels + (size_t)i * n);
    kata_picture_free(&picture);
    return status;
}

static void load_chunk(void *argument, int64_t chunk, int worker) {
    (void)worker;
    struct job *job = argument;
    int64_t first = atomic_load(&job->first_failed);
    if (chunk > first || load_picture(job, chunk) == KATA_OK) {
        return;
    }
    while (chunk < first && !atomic_compare_exchange_weak(&job->first_failed, &first, chunk)) {
    }
}

static kata_status load_all(struct job *job) {
    int64_t n = (int64_t)job->tree->n_files;
    atomic_store(&job->first_failed, n);
    kata__parallel(job->tree->context, n, load_chunk, job);
    /* Memory may have been short for a moment only: go on where reading again works. */
    for (int64_t i = atomic_load(&job->first_failed); i < n; i++) {
        KATA__TRY(load_picture(job, i));
    }
    return KATA_OK;
}

static kata_status first_size(struct size *size, const struct tree *tree,
                              const kata_data_options *options) {
    *size = (struct size){options->channels, options->height, options->width};
    if (size->channels > 0 && size->height > 0 && size->width > 0) {
        return KATA_OK;
    }
    kata_picture picture;
    KATA__TRY(kata_picture_read(&picture, tree->context, tree->files[0].path));
    size->channels = size->channels > 0 ? size->channels : picture.channels;
    size->height = size->height > 0 ? size->height : picture.height;
    size->width = size->width > 0 ? size->width : picture.width;
    kata_picture_free(&picture);
    return KATA_OK;
}

static kata_status load_tree(kata_dataset **out, struct tree *tree, const char *folder,
                             const char *part, const struct size *size) {
    kata_tensor input = {.dtype = KATA_NO_DTYPE}, target = {.dtype = KATA_NO_DTYPE};
    int64_t n = (int64_t)tree->n_files;
    kata_shape shape = KATA_SHAPE_OF(n, size->channels, size->height, size->width);
    kata_shape flat = KATA_SHAPE_OF(n);
    kata_status status = kata_tensor_new(&input, tree->context, KATA_U8, &shape);
    if (status == KATA_OK) {
        status = kata_tensor_new(&target, tree->context, KATA_I64, &flat);
    }
    if (status != KATA_OK) {
        kata_fail_in(status, "%s", folder);
    } else {
        for (int64_t i = 0; i < n; i++) {
            ((int64_t *)target.data)[i] = tree->files[i].label;
        }
        struct job job = {.tree = tree, .size = *size, .pixels = input.data};
        status = load_all(&job);
    }
    if (status == KATA_OK) {
        status = kata__dataset_of(out, tree->context, folder, part, &input, &target);
    }
    kata_tensor_release(&input);
    kata_tensor_release(&target);
    return status;
}

/* The label of a class of the test folder: its place among the training classes. */
static kata_status find_class(int64_t *label, const struct names *classes, const char *name,
                              const char *folder) {
    char *const *found = classes->n == 0 ? NULL
                                         : bsearch(&name, classes->name, classes->n,
                                                   sizeof *classes->name, by_bytes);
    if (found == NULL) {
        return kata_fail(KATA_FORMAT,
                         "%s/%s: there is no class %s among the training pictures; the classes of "
                         "all parts must be among those of train/",
                         folder, name, name);
    }
    *label = found - classes->name;
    return KATA_OK;
}

/* Lists the pictures of a folder whose sub-folders are classes. `known` are the training classes,
 * NULL if this folder says which classes there are. */
static kata_status list_tree(struct tree *tree, const char *folder, const struct names *known) {
    KATA__TRY(list_folders(tree, folder, &tree->classes));
    if (tree->classes.n == 0) {
        return kata_fail(KATA_FORMAT, "%s: holds no class folders; put pictures into CLASS/",
                         folder);
    }
    for (size_t i = 0; i < tree->classes.n; i++) {
        const char *name = tree->classes.name[i];
        int64_t label = (int64_t)i;
        if (known != NULL) {
            KATA__TRY(find_class(&label, known, name, folder));
        }
        const char *path = join_in_arena(tree, folder, name);
        KATA__TRY(path == NULL ? KATA_OUT_OF_MEMORY : list_files(tree, path, label));
    }
    return KATA_OK;
}

static kata_status open_half(kata_dataset **out, struct tree *tree, const char *folder,
                             const char *part, const struct names *known, struct size *size,
                             int64_t limit, const kata_data_options *options) {
    KATA__TRY(list_tree(tree, folder, known));
    limit_files(tree, limit);
    if (size->channels == 0) {
        KATA__TRY(first_size(size, tree, options));
    }
    KATA__TRY(load_tree(out, tree, folder, part, size));
    const struct names *classes = known == NULL ? &tree->classes : known;
    return kata_dataset_set_classes(*out, (int)classes->n, (const char *const *)classes->name);
}

/* The folder of each part, NULL where there is none. There are parts if the folder train/ holds
 * folders; else it is a class, and so are the others. */
struct parts {
    const char *folder[KATA__PARTS];
};

static kata_status has_folders(bool *found, struct tree *scratch, const char *folder) {
    kata__entries entries;
    kata__passed ignored = {.root = folder};
    kata_status status = kata__entries_list(&entries, &scratch->arena, folder, &ignored);
    *found = false;
    for (size_t i = 0; status == KATA_OK && i < entries.n && !*found; i++) {
        *found = entries.entry[i].is_folder;
    }
    kata__entries_free(&entries);
    return status;
}

static kata_status add_part(struct parts *parts, int part, const char *path) {
    static const char *const words[KATA__PARTS] = {"training", "test", "validation"};
    if (parts->folder[part] != NULL) {
        return kata_fail(KATA_FORMAT,
                         "%s and %s both say that they hold the %s pictures; keep one of them",
                         parts->folder[part], path, words[part]);
    }
    parts->folder[part] = path;
    return KATA_OK;
}

/* Whether there are parts; *other: folders that would be parts if there were a train/. */
static kata_status look_for_parts(bool *found, bool *other, struct tree *scratch,
                                  const kata__entries *entries) {
    *found = *other = false;
    for (size_t i = 0; i < entries->n; i++) {
        const kata__entry *entry = &entries->entry[i];
        int part = entry->is_folder ? kata__part_of(entry->name, strlen(entry->name)) : -1;
        if (part >= 0) {
            bool holds_folders;
            KATA__TRY(has_folders(&holds_folders, scratch, entry->path));
            *found = *found || (part == KATA__PART_TRAIN && holds_folders);
            *other = *other || (part != KATA__PART_TRAIN && holds_folders);
        }
    }
    return KATA_OK;
}

static kata_status sort_parts(struct parts *parts, struct tree *scratch, const char *folder,
                              const kata__entries *entries) {
    bool found, other;
    KATA__TRY(look_for_parts(&found, &other, scratch, entries));
    if (!found) {
        return !other ? KATA_OK
                      : kata_fail(KATA_NOT_FOUND,
                                  "%s: there are pictures to test or validate with, but no folder "
                                  "train/ with the training pictures by class",
                                  folder);
    }
    for (size_t i = 0; i < entries->n; i++) {
        const kata__entry *entry = &entries->entry[i];
        int part = entry->is_folder ? kata__part_of(entry->name, strlen(entry->name)) : -1;
        if (part >= 0) {
            KATA__TRY(add_part(parts, part, entry->path));
        } else {
            kata__passed_add(scratch->passed, entry->path);
        }
    }
    return KATA_OK;
}

static kata_status find_parts(struct parts *parts, struct tree *scratch, const char *folder) {
    kata__entries entries;
    kata__passed *passed = scratch->passed, before = *passed;
    *parts = (struct parts){{NULL}};
    kata_status status = kata__entries_list(&entries, &scratch->arena, folder, passed);
    if (status == KATA_OK) {
        status = sort_parts(parts, scratch, folder, &entries);
    }
    if (parts->folder[KATA__PART_TRAIN] == NULL) {
        *passed = before; /* the folder is listed again for its classes */
    }
    kata__entries_free(&entries);
    return status;
}

static void warn_of_one_class(const kata_data *data, const char *folder) {
    if (data->train->n_classes == 1) {
        kata_log(data->train->context, KATA_LOG_WARNING,
                 "%s: all pictures belong to one class, %s: there is nothing to tell apart; give "
                 "each class a folder of its own",
                 folder, data->train->class_names[0]);
    }
}

static kata_status open_folder(kata_data *data, struct tree tree[KATA__PARTS + 1],
                               const char *folder, const kata_data_options *options) {
    struct size size = {0, 0, 0};
    struct parts parts;
    KATA__TRY(find_parts(&parts, &tree[KATA__PARTS], folder));
    const char *train = parts.folder[KATA__PART_TRAIN];
    KATA__TRY(open_half(&data->train, &tree[0], train != NULL ? train : folder, NULL, NULL, &size,
                        options->limit_train, options));
    if (parts.folder[KATA__PART_TEST] != NULL) {
        KATA__TRY(open_half(&data->test, &tree[1], parts.folder[KATA__PART_TEST], NULL,
                            &tree[0].classes, &size, options->limit_test, options));
    }
    if (parts.folder[KATA__PART_VALIDATION] != NULL) {
        KATA__TRY(open_half(&data->validation, &tree[2], parts.folder[KATA__PART_VALIDATION], NULL,
                            &tree[0].classes, &size, options->limit_test, options));
        kata_log(tree[0].context, KATA_LOG_INFO, "%s: %" PRId64 " pictures to validate with",
                 parts.folder[KATA__PART_VALIDATION], data->validation->n);
    }
    warn_of_one_class(data, folder);
    return KATA_OK;
}

static kata_status check_options(const kata_data_options *options) {
    if (options->channels != 0 && options->channels != 1 && options->channels != 3) {
        return kata_fail(KATA_INVALID, "pictures with %d channels: give 1 (grey) or 3 (colour)",
                         options->channels);
    }
    if (options->height < 0 || options->height > SIDE_MOST || options->width < 0 ||
        options->width > SIDE_MOST) {
        return kata_fail(KATA_INVALID, "pictures of %dx%d pixels: give sides of 1 to %d, or 0",
                         options->width, options->height, SIDE_MOST);
    }
    return KATA_OK;
}

kata_status kata__folder_open(kata_data *out, kata_context *context, const char *folder,
                              const kata_data_options *options) {
    KATA__TRY(check_options(options));
    struct tree tree[KATA__PARTS + 1]; /* of each part, and for scratch */
    kata__passed passed = {.root = folder};
    for (int i = 0; i <= KATA__PARTS; i++) {
        tree[i] =
            (struct tree){.context = context, .arena = {.context = context}, .passed = &passed};
    }
    kata_data data = {.train = NULL};
    kata_status status = open_folder(&data, tree, folder, options);
    for (int i = 0; i <= KATA__PARTS; i++) {
        free_tree(&tree[i]);
    }
    if (status != KATA_OK) {
        kata_data_close(&data);
        return status;
    }
    kata__passed_log(&passed, context);
    *out = data;
    return KATA_OK;
}
