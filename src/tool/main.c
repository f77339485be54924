/* The program: finds the sub-command, prints help, says what was meant. */
#include <signal.h>
#include <string.h>

#include "base/text.h"
#include "tool/tool.h"

static const kata__command *const commands[] = {&kata__command_demo,
                                                &kata__command_train,
                                                &kata__command_evaluate,
                                                &kata__command_predict,
#ifdef KATA__WITH_SERVE
                                                &kata__command_serve,
#endif
                                                &kata__command_show,
                                                &kata__command_data,
                                                &kata__command_bench,
                                                &kata__command_info,
                                                NULL};

static void print_overview(FILE *file) {
    fputs(
        "Kata: deep learning in one program.\n"
        "\n"
        "Examples\n"
        "  kata demo                                    digits end to end: train, measure, serve\n"
        "  kata train --data mnist --model simple-convnet --epochs 20\n"
        "  kata evaluate runs/simple-convnet-1 --data mnist\n"
        "  kata predict runs/simple-convnet-1 seven.png\n"
        "\n"
        "Commands\n",
        file);
    for (int i = 0; commands[i] != NULL; i++) {
        fprintf(file, "  %-10s %s\n", commands[i]->name, commands[i]->about);
    }
    fputs("  help       this page, or the help of a command\n"
          "\n"
          "'kata COMMAND -h' shows a command's options, examples first. Data goes to stdout,\n"
          "messages to stderr. Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.\n",
          file);
}

static void print_examples(const char *examples, FILE *file) {
    fputs("\nExamples\n", file);
    while (*examples != '\0') {
        int length = (int)strcspn(examples, "\n");
        fprintf(file, "  %.*s\n", length, examples);
        examples += length + (examples[length] == '\n');
    }
}

static void print_help(const kata__tool *tool, FILE *file) {
    const kata__command *command = tool->command;
    fprintf(file, "%s: %s\n", tool->name, command->about);
    print_examples(command->examples, file);
    fprintf(file, "\nUsage\n  %s\n", command->usage);
    if (command->children != NULL) {
        fputs("\nCommands\n", file);
        for (int i = 0; command->children[i] != NULL; i++) {
            fprintf(file, "  %-10s %s\n", command->children[i]->name, command->children[i]->about);
        }
    }
    if (command->options != NULL && command->options->name != NULL) {
        kata__options_help(command->options, command->defaults, tool->small, file);
    }
    if (command->text != NULL) {
        fprintf(file, "\n%s", command->text);
    }
}

/* The command of a name in a list; NULL and an error sentence with the nearest one. */
static const kata__command *find(const kata__command *const *list, const char *name,
                                 const char *parent) {
    const char *names[32];
    size_t n = 0;
    for (; list[n] != NULL && n < KATA__COUNT(names) - 2; n++) {
        if (strcmp(list[n]->name, name) == 0) {
            return list[n];
        }
        names[n] = list[n]->name;
    }
    if (list == commands) {
        names[n++] = "help";
    }
    const char *nearest = kata__text_nearest(name, names, n);
    kata_fail(KATA_INVALID, "there is no command '%s %.60s'%s%s%s%s%s", parent, name,
              nearest != NULL ? "; did you mean '" : "", nearest != NULL ? parent : "",
              nearest != NULL ? " " : "", nearest != NULL ? nearest : "",
              nearest != NULL ? "'?" : "");
    return NULL;
}

static bool is_help(const char *argument) {
    return strcmp(argument, "-h") == 0 || strcmp(argument, "--help") == 0;
}

static void enter(kata__tool *tool, const kata__command *command) {
    size_t used = strlen(tool->name);
    snprintf(tool->name + used, sizeof tool->name - used, " %s", command->name);
    tool->command = command;
}

/* `kata help train`, `kata help data get`. */
static int help_of(kata__tool *tool, int argc, char **argv) {
    const kata__command *const *list = commands;
    for (int i = 0; i < argc && !is_help(argv[i]); i++) {
        const kata__command *command = list != NULL ? find(list, argv[i], tool->name) : NULL;
        if (command == NULL) {
            if (list == NULL) {
                kata_fail(KATA_INVALID, "'%s' has no command %.60s", tool->name, argv[i]);
            }
            return kata__tool_usage(tool);
        }
        enter(tool, command);
        list = command->children;
    }
    if (tool->command == NULL) {
        print_overview(stdout);
    } else {
        print_help(tool, stdout);
    }
    return kata__tool_flush(tool);
}

static int dispatch(kata__tool *tool, int argc, char **argv) {
    if (argc < 2) {
        print_overview(stderr);
        return KATA__EXIT_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        puts("kata " KATA_VERSION);
        return kata__tool_flush(tool);
    }
    if (strcmp(argv[1], "help") == 0 || is_help(argv[1])) {
        return help_of(tool, argc - 2, argv + 2);
    }
    if (argv[1][0] == '-') {
        kata_fail(KATA_INVALID, "the first argument is a command, got %.60s", argv[1]);
        return kata__tool_usage(tool);
    }
    const kata__command *const *list = commands;
    argc--;
    argv++;
    for (;;) {
        const kata__command *command = find(list, argv[0], tool->name);
        if (command == NULL) {
            return kata__tool_usage(tool);
        }
        enter(tool, command);
        if (command->children == NULL) {
            break;
        }
        list = command->children;
        if (argc < 2 || is_help(argv[1])) {
            print_help(tool, argc < 2 ? stderr : stdout);
            return argc < 2 ? KATA__EXIT_USAGE : kata__tool_flush(tool);
        }
        argc--;
        argv++;
    }
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (is_help(argv[i])) {
            print_help(tool, stdout);
            return kata__tool_flush(tool);
        }
    }
    return tool->command->run(tool, argc, argv);
}

int main(int argc, char **argv) {
    kata__tool tool = {.name = "kata"};
    /* A reader that goes away (`kata predict ... | head`) is an error of write, not a death. */
    signal(SIGPIPE, SIG_IGN);
    if (kata_context_new(&tool.small, &(kata_context_options){.threads = 1}) != KATA_OK) {
        return kata__tool_failed(&tool);
    }
    tool.arena = (kata__arena){.context = tool.small};
    int status = dispatch(&tool, argc, argv);
    kata_context_free(tool.context);
    kata__arena_free(&tool.arena);
    kata_context_free(tool.small);
    return status;
}
