/* What the sub-commands of the program share: the table of commands, exit codes, messages.
 *
 * A sub-command is one file and one kata__command: usage, examples, one table of options; help,
 * parsing and errors are made from it. `run` returns the exit status. Data goes to stdout, messages
 * to stderr.
 */
#ifndef KATA_TOOL_TOOL_H
#define KATA_TOOL_TOOL_H

#include <kata/kata.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/memory.h"
#include "tool/option.h"
#include "tool/terminal.h"

enum {
    KATA__EXIT_OK = 0,
    KATA__EXIT_FAILED = 1,
    KATA__EXIT_USAGE = 2,
    KATA__EXIT_INTERRUPTED = 130 /* as a shell reports SIGINT */
};

struct kata__tool;

typedef struct kata__command {
    const char *name, *about;    /* "train", one line */
    const char *usage;           /* "kata train --data ARG ..." */
    const char *examples;        /* lines "kata ...\n" */
    const char *text;            /* more help behind the options; NULL: none */
    const kata__option *options; /* NULL: none */
    const void *defaults;        /* of the options, for the help; NULL: all zero */
    int (*run)(struct kata__tool *tool, int argc, char **argv); /* argv[0] is the command's name */
    const struct kata__command *const *children; /* `kata data get`: ends with NULL */
} kata__command;

extern const kata__command kata__command_train, kata__command_evaluate, kata__command_predict,
    kata__command_show, kata__command_data, kata__command_demo, kata__command_info,
    kata__command_bench;
/* In src/tool/serve.c, with src/serve. A build without it has KATA__WITH_SERVE undefined. */
#ifdef KATA__WITH_SERVE
extern const kata__command kata__command_serve;
#endif

/* One call of the program. */
typedef struct kata__tool {
    const kata__command *command;
    char name[64];         /* "kata data get" */
    kata_context *small;   /* one thread; for texts */
    kata__arena arena;     /* texts of settings, freed at the end */
    kata_context *context; /* NULL before kata__tool_start; freed at the end */
    bool quiet;
} kata__tool;

/* Makes tool->context with so many threads (0: the library's choice). */
kata_status kata__tool_start(kata__tool *tool, int threads);

/* Print the current error sentence; return the exit status. */
int kata__tool_usage(const kata__tool *tool);  /* 2, and where help is */
int kata__tool_failed(const kata__tool *tool); /* 1 */
/* 1, or 2 if `status` is KATA_INVALID: what was asked for makes no sense. */
int kata__tool_status(const kata__tool *tool, kata_status status);
/* A line on stderr unless --quiet. */
void kata__tool_say(const kata__tool *tool, const char *format, ...) KATA_PRINTF(2, 3);
/* Writes out a buffer on stdout and frees it; KATA__EXIT_FAILED if stdout cannot be written. */
int kata__tool_print(const kata__tool *tool, kata__buffer *text);
/* stdout flushed, and full disks noticed. */
int kata__tool_flush(const kata__tool *tool);

/* The text of printf in the arena; NULL when memory is short. */
char *kata__tool_text(kata__tool *tool, const char *format, ...) KATA_PRINTF(2, 3);

/* What convolutions and large products of --precision bf16 are computed in. */
const char *kata__tool_bf16_words(const kata__tool *tool);
/* The path of a model argument: a RUN folder means its model.onnx. NULL when memory is short. */
const char *kata__tool_model_path(kata__tool *tool, const char *argument);

/* Common rows of option tables. `s` is the settings struct with a member of that name. */
#define KATA__OPTION_THREADS(s)                                                                    \
    {                                                                                              \
        .name = "threads", .type = KATA__OPTION_INT, .offset = offsetof(s, threads), .value = "N", \
        .minimum = 1, .maximum = 1024, .zero = "all processors",                                   \
        .help = "threads to use; results do not depend on it"                                      \
    }
const char *kata__precision_choice(int i);
#define KATA__OPTION_PRECISION(s)                                                                  \
    {                                                                                              \
        .name = "precision", .type = KATA__OPTION_CHOICE, .offset = offsetof(s, precision),        \
        .value = "NAME", .choice = kata__precision_choice,                                         \
        .help = "what convolutions and large products compute in; bf16: see kata info"             \
    }
#define KATA__OPTION_QUIET(s)                                                                      \
    {                                                                                              \
        .name = "quiet", .type = KATA__OPTION_FLAG, .offset = offsetof(s, quiet),                  \
        .help = "no messages but warnings and errors"                                              \
    }
#define KATA__OPTION_JSON(s)                                                                       \
    {                                                                                              \
        .name = "json", .type = KATA__OPTION_FLAG, .offset = offsetof(s, json),                    \
        .help = "the result as JSON on stdout"                                                     \
    }

#endif
