/* Known data sets: the table, and where on this machine a set lies. */
#include "data/known.h"
#include "base/check.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const kata__known_set sets[] = {
    {.name = "mnist",
     .title = "MNIST: 60,000 + 10,000 handwritten digits, 28x28 grey (LeCun, Cortes, Burges)",
     .terms = "freely used for research; no terms are stated",
     .n_files = 4,
     .files = {{"train-images-idx3-ubyte.gz", 47040016,
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"},
               {"train-labels-idx1-ubyte.gz", 60008,
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"},
               {"t10k-images-idx3-ubyte.gz", 7840016,
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"},
               {"t10k-labels-idx1-ubyte.gz", 10008,
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"}},
     .n_mirrors = 3,
     .mirrors = {"https://ossci-datasets.s3.amazonaws.com/mnist/",
                 "https://storage.googleapis.com/cvdf-datasets/mnist/",
                 "http://yann.lecun.com/exdb/mnist/"}},
};

const kata__known_set *kata__known_sets(int *n) {
    *n = (int)KATA__COUNT(sets);
    return sets;
}

const kata__known_set *kata__known_find(const char *name) {
    for (size_t i = 0; i < KATA__COUNT(sets); i++) {
        if (strcmp(sets[i].name, name) == 0) {
            return &sets[i];
        }
    }
    return NULL;
}

static char *print(kata_context *context, const char *a, const char *b, const char *c) {
    size_t size = strlen(a) + strlen(b) + strlen(c) + 1;
    char *text = kata__alloc(context, size, 1);
    if (text != NULL) {
        snprintf(text, size, "%s%s%s", a, b, c);
    }
    return text;
}

kata_status kata__known_cache_folder(char **folder, kata_context *context, const char *name) {
    /* The XDG base directory specification: a relative path is to be ignored. */
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *path;
    if (cache != NULL && cache[0] == '/') {
        path = print(context, cache, "/kata/", name);
    } else if (home != NULL && home[0] == '/') {
        path = print(context, home, "/.cache/kata/", name);
    } else {
        return kata_fail(KATA_NOT_FOUND,
                         "there is no cache folder: neither XDG_CACHE_HOME nor HOME is set; set "
                         "KATA_DATA to the folder with the data sets");
    }
    *folder = path;
    return path == NULL ? KATA_OUT_OF_MEMORY : KATA_OK;
}

static kata_status fail_unknown(const char *name) {
    const char *names[KATA__COUNT(sets) + 1] = {"make:digits"};
    char list[256] = "make:digits";
    for (size_t i = 0; i < KATA__COUNT(sets); i++) {
        names[i + 1] = sets[i].name;
        size_t length = strlen(list);
        snprintf(list + length, sizeof list - length, ", %s", sets[i].name);
    }
    const char *nearest = kata__text_nearest(name, names, KATA__COUNT(names));
    return kata_fail(KATA_NOT_FOUND,
                     "no data named %s: there is no such file or folder, and the known names are "
                     "%s%s%s%s",
                     name, list, nearest == NULL ? "" : "; did you mean ",
                     nearest == NULL ? "" : nearest, nearest == NULL ? "" : "?");
}

kata_status kata__known_locate(char **folder, kata_context *context, const char *name) {
    if (kata__known_find(name) == NULL) {
        return fail_unknown(name);
    }
    const char *root = getenv("KATA_DATA");
    bool has_root = root != NULL && root[0] != '\0';
    if (has_root) {
        char *path = print(context, root, "/", name);
        if (path == NULL) {
            return KATA_OUT_OF_MEMORY;
        }
        if (kata__directory_exists(path)) {
            *folder = path;
            return KATA_OK;
        }
        kata__free(context, path);
    }
    char *cache = NULL;
    kata_status status = kata__known_cache_folder(&cache, context, name);
    if (status != KATA_OK && status != KATA_NOT_FOUND) {
        return status;
    }
    if (cache != NULL && kata__directory_exists(cache)) {
        *folder = cache;
        return KATA_OK;
    }
    status =
        kata_fail(KATA_NOT_FOUND,
                  "the data set %s is not on this machine: %s%s%s%s, %s%s; get it with 'kata "
                  "data get %s', or set KATA_DATA to the folder that holds %s/",
                  name, has_root ? "looked for " : "KATA_DATA is not set", has_root ? root : "",
                  has_root ? "/" : "", has_root ? name : "",
                  cache == NULL ? "and there is no cache folder (HOME is not set)" : "looked for ",
                  cache == NULL ? "" : cache, name, name);
    kata__free(context, cache);
    return status;
}
