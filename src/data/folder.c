/* A folder of pictures by class: CLASS/NAME, or train/CLASS/NAME and test/CLASS/NAME. Classes and
 * files come in the order of their names' bytes, so that a folder is the same data set on every
 * machine. */
#include "base/check.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "data/load.h"

#include <dirent.h>
#include <errno.h>
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
};

struct size {
    int channels, height, width;
};

char *kata__path_join(kata_context *context, const char *folder, const char *name) {
    size_t n_folder = strlen(folder), size = n_folder + strlen(name) + 2;
    bool slash = n_folder > 0 && folder[n_folder - 1] == '/';
    char *path = kata__alloc(context, size, 1);
    if (path != NULL) {
        snprintf(path, size, "%s%s%s", folder, slash ? "" : "/", name);
    }
    return path;
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_path(const void *a, const void *b) {
    return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}

static char *join_in_arena(struct tree *tree, const char *folder, const char *name) {
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = kata__arena_alloc(&tree->arena, size, 1);
    if (path != NULL) {
        snprintf(path, size, "%s/%s", folder, name);
    }
    return path;
}

/* Calls entry() for each name in a folder that does not begin with a dot, in the system's order. */
static kata_status each_entry(struct tree *tree, const char *folder,
                              kata_status (*entry)(struct tree *tree, const char *name,
                                                   const char *path, void *user),
                              void *user) {
    DIR *directory = opendir(folder);
    char reason[KATA__SYSTEM_ERROR_SIZE];
    if (directory == NULL) {
        return kata_fail(KATA_IO, "cannot read the folder %s: %s", folder,
                         kata__system_error(errno, reason));
    }
    kata_status status = KATA_OK;
    while (status == KATA_OK) {
        errno = 0;
        const struct dirent *found = readdir(directory);
        if (found == NULL) {
            if (errno != 0) {
                status = kata_fail(KATA_IO, "cannot read the folder %s: %s", folder,
                                   kata__system_error(errno, reason));
            }
            break;
        }
        if (found->d_name[0] == '.') {
            continue;
        }
        const char *path = join_in_arena(tree, folder, found->d_name);
        status =
            path == NULL ? KATA_OUT_OF_MEMORY : entry(tree, path + strlen(folder) + 1, path, user);
    }
    closedir(directory);
    return status;
}

static kata_status add_folder_name(struct tree *tree, const char *name, const char *path,
                                   void *user) {
    struct names *names = user;
    if (!kata__directory_exists(path)) {
        return KATA_OK;
    }
    KATA__TRY(kata__grow(tree->context, (void **)&names->name, &names->capacity, names->n + 1,
                         sizeof *names->name, KATA__CLASSES_MOST));
    names->name[names->n++] = (char *)(uintptr_t)name;
    return KATA_OK;
}

static kata_status list_folders(struct tree *tree, const char *folder, struct names *names) {
    kata_status status = each_entry(tree, folder, add_folder_name, names);
    if (status == KATA_LIMIT) {
        return kata_fail_in(status, "%s: too many folders for classes", folder);
    }
    KATA__TRY(status);
    if (names->n > 1) {
        qsort(names->name, names->n, sizeof *names->name, by_bytes);
    }
    return KATA_OK;
}

static kata_status add_file(struct tree *tree, const char *name, const char *path, void *user) {
    (void)name;
    const int64_t *label = user;
    if (kata__directory_exists(path)) {
        return kata_fail(KATA_FORMAT,
                         "%s is a folder inside the folder of a class; pictures lie directly in "
                         "CLASS/, or in train/CLASS/ and test/CLASS/",
                         path);
    }
    KATA__TRY(kata__grow(tree->context, (void **)&tree->files, &tree->capacity, tree->n_files + 1,
                         sizeof *tree->files, FILES_MOST));
    tree->files[tree->n_files++] = (struct file){path, *label};
    return KATA_OK;
}

/* The files of one class, sorted behind those that are listed. */
static kata_status list_files(struct tree *tree, const char *folder, int64_t label) {
    size_t first = tree->n_files;
    KATA__TRY(each_entry(tree, folder, add_file, &label));
    if (tree->n_files == first) {
        return kata_fail(KATA_FORMAT,
                         "the class folder %s holds no picture; put pictures into it or remove it",
                         folder);
    }
    qsort(tree->files + first, tree->n_files - first, sizeof *tree->files, by_path);
    return KATA_OK;
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
                         "test/ must be among those of train/",
                         folder, name, name);
    }
    *label = found - classes->name;
    return KATA_OK;
}

/* Lists the pictures of a folder whose sub-folders are classes. `known` are the training classes,
 * NULL when this folder says which classes there are. */
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

static bool has_folders(struct tree *scratch, const char *folder, kata_status *status) {
    struct names names = {NULL, 0, 0};
    *status = kata__directory_exists(folder) ? list_folders(scratch, folder, &names) : KATA_OK;
    kata__free(scratch->context, names.name);
    return names.n > 0;
}

static kata_status open_folder(kata_data *data, struct tree tree[3], const char *folder,
                               const kata_data_options *options) {
    struct size size = {0, 0, 0};
    const char *train = join_in_arena(&tree[2], folder, "train");
    const char *test = join_in_arena(&tree[2], folder, "test");
    if (train == NULL || test == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    kata_status status;
    bool halves = has_folders(&tree[2], train, &status);
    KATA__TRY(status);
    if (!halves) {
        return open_half(&data->train, &tree[0], folder, NULL, NULL, &size, options->limit_train,
                         options);
    }
    KATA__TRY(
        open_half(&data->train, &tree[0], train, NULL, NULL, &size, options->limit_train, options));
    if (kata__directory_exists(test)) {
        KATA__TRY(open_half(&data->test, &tree[1], test, NULL, &tree[0].classes, &size,
                            options->limit_test, options));
    }
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
    struct tree tree[3]; /* training, test, scratch */
    for (int i = 0; i < 3; i++) {
        tree[i] = (struct tree){.context = context, .arena = {.context = context}};
    }
    kata_data data = {.train = NULL};
    kata_status status = open_folder(&data, tree, folder, options);
    for (int i = 0; i < 3; i++) {
        free_tree(&tree[i]);
    }
    if (status != KATA_OK) {
        kata_data_close(&data);
        return status;
    }
    *out = data;
    return KATA_OK;
}
