/* kata serve: answers pictures and numbers over HTTP. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <kata/readers.h>

#include "serve/serve.h"
#include "tool/tool.h"

typedef struct settings {
    const char *host, *name;
    kata__texts routes;
    int port, threads, precision;
    bool log, quiet;
} settings;

static const kata__option options[] = {
    {.name = "port",
     .type = KATA__OPTION_INT,
     .offset = offsetof(settings, port),
     .value = "PORT",
     .minimum = 0,
     .maximum = 65535,
     .help = "port to listen on; 0: any free one"},
    {.name = "host",
     .type = KATA__OPTION_TEXT,
     .offset = offsetof(settings, host),
     .value = "ADDRESS",
     .help = "address to listen on; 0.0.0.0 makes the server reachable from other machines"},
    {.name = "route",
     .type = KATA__OPTION_TEXTS,
     .offset = offsetof(settings, routes),
     .value = "PATH",
     .help = "a further path that takes pictures, e.g. /mnist; may be given several times"},
    {.name = "name",
     .type = KATA__OPTION_TEXT,
     .offset = offsetof(settings, name),
     .value = "NAME",
     .zero = "the file's name",
     .help = "the model's name in the paths"},
    {.name = "log",
     .type = KATA__OPTION_FLAG,
     .offset = offsetof(settings, log),
     .help = "a line on stderr for each request"},
    KATA__OPTION_PRECISION(settings),
    KATA__OPTION_THREADS(settings),
    KATA__OPTION_QUIET(settings),
    {.name = NULL}};

static const settings defaults = {.host = "127.0.0.1", .port = 8080};

/* "runs/a/digits.onnx" -> "digits"; of a run folder the model's own name. */
static const char *name_of(kata__tool *tool, const char *argument, const char *path,
                           kata_model *model) {
    if (strcmp(argument, path) != 0) {
        return kata_graph_name(kata_model_graph(model));
    }
    const char *slash = strrchr(path, '/'), *base = slash != NULL ? slash + 1 : path;
    const char *dot = strrchr(base, '.');
    return kata__tool_text(tool, "%.*s",
                           (int)(dot != NULL && dot > base ? dot - base : (ptrdiff_t)strlen(base)),
                           base);
}

static int wait_for_end(const kata__tool *tool, const sigset_t *signals) {
    int number = 0;
    sigwait(signals, &number);
    kata__tool_say(tool, "stopping");
    return number == SIGINT ? KATA__EXIT_INTERRUPTED : KATA__EXIT_OK;
}

static int serve(kata__tool *tool, const settings *s, const char *argument, const char *path) {
    kata_model *model = NULL;
    kata__server *server = NULL;
    sigset_t signals;
    kata_readers_install();
    /* Blocked before any thread starts, so that only sigwait sees them. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    kata_status status = kata__tool_start(tool, s->threads);
    if (status == KATA_OK) {
        status = kata_model_load(&model, tool->context, path);
    }
    if (status == KATA_OK) {
        status = kata_set_precision(model, (kata_precision)s->precision);
    }
    if (status == KATA_OK) {
        const char *name = s->name != NULL ? s->name : name_of(tool, argument, path, model);
        const kata__server_options server_options = {.host = s->host,
                                                     .port = s->port,
                                                     .routes = s->routes.values,
                                                     .n_routes = s->routes.n,
                                                     .log = s->log};
        status = name == NULL ? KATA_OUT_OF_MEMORY
                              : kata__server_start(&server, model, name, &server_options);
        if (status == KATA_OK) {
            kata__tool_say(tool, "serving %s on http://%s:%d/  (Ctrl-C ends it)", name, s->host,
                           kata__server_port(server));
            kata__tool_say(tool, "  curl -F image=@digit.png http://%s:%d/%s", s->host,
                           kata__server_port(server), name);
        }
    }
    int exit_status =
        status == KATA_OK ? wait_for_end(tool, &signals) : kata__tool_status(tool, status);
    kata__server_stop(server);
    kata_model_free(model);
    return exit_status;
}

static int run(kata__tool *tool, int argc, char **argv) {
    settings s = defaults;
    kata__parsed parsed;
    if (kata__options_parse(options, &s, &tool->arena, argc, argv, &parsed) != KATA_OK) {
        return kata__tool_usage(tool);
    }
    tool->quiet = s.quiet;
    if (parsed.n_positional != 1) {
        kata_fail(KATA_INVALID, "kata serve takes one model, got %d", parsed.n_positional);
        return kata__tool_usage(tool);
    }
    const char *path = kata__tool_model_path(tool, parsed.positional[0]);
    if (path == NULL) {
        return kata__tool_failed(tool);
    }
    return serve(tool, &s, parsed.positional[0], path);
}

const kata__command kata__command_serve = {
    .name = "serve",
    .about = "answer pictures and numbers over HTTP",
    .usage = "kata serve MODEL [--port PORT] [--route PATH]",
    .examples = "kata serve digits.onnx --port 8080\n"
                "kata serve runs/demo --route /mnist\n"
                "curl -F image=@seven.png http://127.0.0.1:8080/digits\n",
    .text = "POST /NAME            a picture, as a form's file or as the body -> {\"class\":7}; "
            "?detail=1: probabilities\n"
            "POST /v1/models/NAME:predict   {\"instances\": [[...], ...]} -> {\"predictions\": "
            "[[...], ...]}\n"
            "GET  /v1/models, /v1/models/NAME, /healthz, /   (a page to draw on)\n",
    .options = options,
    .defaults = &defaults,
    .run = run};
