/* Options: one table says all about them, and flags, project files, help and errors are made from
 * it.
 *
 * A row's value lies at `offset` of a settings struct. `--early-stopping 5` on the command line is
 * `early_stopping: 5` in the section of a project file.
 */
#ifndef KATA_TOOL_OPTION_H
#define KATA_TOOL_OPTION_H

#include <stddef.h>
#include <stdio.h>

#include "base/buffer.h"
#include "base/memory.h"

typedef enum kata__option_type {
    KATA__OPTION_FLAG,     /* bool; --name, --no-name; in a file true or false */
    KATA__OPTION_INT,      /* int */
    KATA__OPTION_INTEGER,  /* int64_t */
    KATA__OPTION_NUMBER,   /* double */
    KATA__OPTION_TEXT,     /* const char *, lent */
    KATA__OPTION_CHOICE,   /* int or an enum: the place in the list that `choice` gives */
    KATA__OPTION_INTEGERS, /* int64_t[limit]; "5,5"; ends with 0 if shorter */
    KATA__OPTION_NUMBERS,  /* kata__numbers: "0.5,1,2" */
    KATA__OPTION_TEXTS,    /* kata__texts; may be given several times */
    KATA__OPTION_GROUP     /* a struct with a table of its own: "shift=2,rotate=10" */
} kata__option_type;

enum { KATA__NUMBERS_MOST = 4096, KATA__TEXTS_MOST = 64, KATA__OPTIONS_MOST = 128 };

typedef struct kata__numbers {
    float *values; /* of the arena */
    int n;
} kata__numbers;

typedef struct kata__texts {
    const char *values[KATA__TEXTS_MOST];
    int n;
} kata__texts;

typedef struct kata__option {
    const char *name; /* "early-stopping"; NULL ends a table */
    kata__option_type type;
    size_t offset;
    const char *section;          /* of the project file: "train", "" for the top; NULL: no key */
    const char *key;              /* in that section; NULL: the name with '_' */
    const char *value;            /* what the help calls the value: "EPOCHS" */
    const char *help;             /* one line */
    const char *heading;          /* begins a new part of the help */
    const char *zero;             /* what a zero (empty) value means: not shown as 0, not written */
    const char *(*choice)(int i); /* CHOICE: NULL beyond the last */
    const struct kata__option *members; /* GROUP */
    double minimum, maximum;            /* numbers; both 0: any */
    bool above;                         /* the minimum itself is not allowed */
    int limit;                          /* INTEGERS: how many at most */
    char letter;                        /* -q */
} kata__option;

typedef struct kata__parsed {
    const char **positional;
    int n_positional;
    bool set[KATA__OPTIONS_MOST]; /* option i was given on the command line */
} kata__parsed;

/* Reads argv[1..] into `settings`. KATA_INVALID: one sentence, with the nearest flag if there is
 * one. Texts are lent from argv. */
kata_status kata__options_parse(const kata__option *options, void *settings, kata__arena *arena,
                                int argc, char **argv, kata__parsed *parsed);
/* One value from a text; `shown` is what messages call the option ("--lr", "train.lr"). */
kata_status kata__option_set(const kata__option *option, void *settings, kata__arena *arena,
                             const char *shown, const char *text);
/* The row of a flag's name ('-' and '_' are one), NULL if there is none. */
const kata__option *kata__option_find(const kata__option *options, const char *name);
/* The row of a key of a section. */
const kata__option *kata__option_find_key(const kata__option *options, const char *section,
                                          const char *key);
/* ", did you mean X?" or "" for a name that is none. `prefix` goes before the name ("--"). */
const char *kata__option_nearest(const kata__option *options, const char *prefix, const char *name,
                                 const char *section, char text[160]);
/* Was the option of this name given? */
bool kata__option_given(const kata__option *options, const kata__parsed *parsed, const char *name);

/* The value as it is written in a project file; nothing for a zero that means "not given". False
 * then.
 */
bool kata__option_write(const kata__option *option, const void *settings, kata__buffer *out);
/* A text as a YAML scalar, quoted where it must be. */
void kata__yaml_text(kata__buffer *out, const char *text);
/* "early_stopping" */
const char *kata__option_key(const kata__option *option, char key[64]);

/* The help of a table, a row a line. */
void kata__options_help(const kata__option *options, const void *defaults, kata_context *context,
                        FILE *file);

/* Strict numbers: the whole text, finite, no hexadecimal. */
bool kata__parse_number(const char *text, double *out);
bool kata__parse_integer(const char *text, int64_t *out);

#endif
