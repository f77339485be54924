/* Inside the data room: what lies in a folder, without what nobody meant. */
#ifndef KATA_DATA_ENTRIES_H
#define KATA_DATA_ENTRIES_H

#include "base/memory.h"

/* Files and folders that are passed over: counted, and said in one line at the end. */
typedef struct kata__passed {
    const char *root; /* the data argument's folder; names are told from there */
    int64_t n;
    char names[120]; /* the first few */
} kata__passed;
void kata__passed_add(kata__passed *passed, const char *path);
/* "ROOT: 3 files passed over: Thumbs.db, ..."; nothing if there are none. */
void kata__passed_log(const kata__passed *passed, kata_context *context);

typedef struct kata__entry {
    const char *name, *path; /* of the arena; the path begins with the folder's */
    bool is_folder;
} kata__entry;

typedef struct kata__entries {
    kata_context *context;
    kata__entry *entry;
    size_t n, capacity;
} kata__entries;

/* What a folder holds, in the order of the names' bytes. Hidden names and what systems and archives
 * leave behind (__MACOSX, @eaDir, Thumbs.db, ...) go to `passed`. On failure *out is to be freed as
 * well. */
kata_status kata__entries_list(kata__entries *out, kata__arena *arena, const char *folder,
                               kata__passed *passed);
void kata__entries_free(kata__entries *entries);

/* ASCII letters alike in both cases. */
bool kata__name_is(const char *name, size_t length, const char *wanted);
bool kata__name_ends(const char *name, const char *ending);

/* By the name's ending (PNG, JPEG and the formats that are not read, so that one of these is
 * reported and not passed over), else by the first bytes of the file (PNG and JPEG). */
bool kata__is_picture_file(const char *path);

#endif
