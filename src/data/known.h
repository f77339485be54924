/* The data sets that Kata knows by name: what their files are called, how long they are, what
 * SHA-256 they have and where they can be had. Lengths and sums are those of the unpacked bytes:
 * mirrors have packed the same files anew, so that the .gz differ while the data are the same.
 * `kata data get NAME` (tool room) downloads by this table. */
#ifndef KATA_DATA_KNOWN_H
#define KATA_DATA_KNOWN_H

#include <kata/base.h>

#define KATA__KNOWN_FILES 8
#define KATA__KNOWN_MIRRORS 4

typedef struct kata__known_file {
    const char *name;   /* in the set's folder and behind a mirror's address */
    uint64_t n_bytes;   /* unpacked */
    const char *sha256; /* of the unpacked bytes, 64 hexadecimal digits */
} kata__known_file;

typedef struct kata__known_set {
    const char *name, *title;
    const char *terms; /* in one phrase, shown before a download */
    int n_files, n_mirrors;
    kata__known_file files[KATA__KNOWN_FILES];
    const char *mirrors[KATA__KNOWN_MIRRORS]; /* addresses that end in "/", tried in this order */
} kata__known_set;

/* The table; *n sets. */
const kata__known_set *kata__known_sets(int *n);
/* NULL if there is none of that name. */
const kata__known_set *kata__known_find(const char *name);

/* The folder of the user's cache for a set: $XDG_CACHE_HOME/kata/NAME or ~/.cache/kata/NAME
 * (kata__free). KATA_NOT_FOUND if neither variable is set to an absolute path. */
kata_status kata__known_cache_folder(char **folder, kata_context *context, const char *name);

/* The folder that holds a set: $KATA_DATA/NAME, else the cache (kata__free). KATA_NOT_FOUND says
 * where it was looked for and how to get it, and for an unknown name what names there are. */
kata_status kata__known_locate(char **folder, kata_context *context, const char *name);

#endif
