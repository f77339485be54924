/* kata demo: the main job end to end: digits are learnt, measured, saved and served. */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "data/known.h"
#include "figure/html.h"
#include "tool/job.h"
#include "tool/measure.h"

typedef struct settings {
    const char *data, *out;
    int port, threads;
    int64_t seed, epochs;
    bool serve, quiet;
} settings;

static const kata__option options[] = {{.name = "data",
                                        .type = KATA__OPTION_TEXT,
                                        .offset = offsetof(settings, data),
                                        .value = "ARG",
                                        .letter = 'd',
                                        .zero = "mnist if it is here, else make:digits",
                                        .help = "what to learn from"},
                                       {.name = "serve",
                                        .type = KATA__OPTION_FLAG,
                                        .offset = offsetof(settings, serve),
                                        .help = "stop before the server starts"},
                                       {.name = "port",
                                        .type = KATA__OPTION_INT,
                                        .offset = offsetof(settings, port),
                                        .value = "PORT",
                                        .minimum = 1,
                                        .maximum = 65535,
                                        .help = "port of the server, on this machine only"},
                                       {.name = "out",
                                        .type = KATA__OPTION_TEXT,
                                        .offset = offsetof(settings, out),
                                        .value = "RUN",
                                        .letter = 'o',
                                        .zero = "runs/demo-N",
                                        .help = "folder for the model and the report"},
                                       {.name = "epochs",
                                        .type = KATA__OPTION_INTEGER,
                                        .offset = offsetof(settings, epochs),
                                        .value = "N",
                                        .letter = 'e',
                                        .minimum = 1,
                                        .maximum = 1e6,
                                        .help = "times through the training data"},
                                       {.name = "seed",
                                        .type = KATA__OPTION_INTEGER,
                                        .offset = offsetof(settings, seed),
                                        .value = "SEED",
                                        .minimum = 0,
                                        .maximum = 9e15,
                                        .help = "of the training"},
                                       KATA__OPTION_THREADS(settings),
                                       KATA__OPTION_QUIET(settings),
                                       {.name = NULL}};
static const settings defaults = {.port = 8080, .serve = true, .epochs = 6};

/* Real digits where there are some, else drawn ones. */
static const char *choose_data(kata__tool *tool) {
    char *folder = NULL;
    if (kata__known_locate(&folder, tool->small, "mnist") == KATA_OK) {
        kata__tool_say(tool, "real handwritten digits: MNIST from %s", folder);
        kata__free(tool->small, folder);
        return "mnist";
    }
    kata_error_clear();
    kata__tool_say(tool, "MNIST is not on this machine, so Kata draws digits of its own "
                         "(make:digits); 'kata data get mnist' fetches the real ones");
    return "make:digits";
}

static kata_status prepare(kata__job *job, const settings *s) {
    kata__tool *tool = job->tool;
    tool->quiet = s->quiet;
    KATA__TRY(kata__tool_start(tool, s->threads));
    job->settings = kata__train_defaults;
    job->settings.project = "demo";
    job->settings.data = s->data != NULL ? s->data : choose_data(tool);
    job->settings.out = s->out;
    job->settings.seed = s->seed;
    job->settings.epochs = s->epochs;
    job->settings.model = "simple-convnet";
    /* One cycle up and down gets the most out of few epochs (Smith 2018). */
    job->settings.schedule.kind = KATA_SCHEDULE_ONE_CYCLE;
    job->settings.optimizer.lr = 0.003;
    KATA__TRY(kata__job_prepare(job));
    return kata__job_open(job);
}

/* A sample that was not learnt from, as a picture file; *label is what it shows. */
static kata_status write_example(const kata__job *job, const char *path, int *label) {
    const kata_dataset *d = job->measured;
    const kata_tensor *x = &d->inputs[0], *y = &d->targets[0];
    if (x->dtype != KATA_U8 || x->shape.rank != 4 || x->shape.dim[1] != 1) {
        return kata_fail(KATA_INVALID, "%s has no grey pictures; the demo is about digits",
                         d->name);
    }
    kata__buffer png;
    kata__buffer_init(&png, job->tool->context, (size_t)1 << 28);
    kata_status status =
        kata__png_write(&png, x->data, 1, (int)x->shape.dim[2], (int)x->shape.dim[3]);
    if (status == KATA_OK) {
        status = kata__file_write(job->tool->context, path, png.data, png.size);
    }
    kata__buffer_free(&png);
    *label = (int)kata_load(y->dtype, y->data, 0);
    return status;
}

static kata_status train(kata__job *job, const settings *s, const char **example, int *label) {
    KATA__TRY(prepare(job, s));
    kata__job_introduce(job);
    KATA__TRY(kata__job_train(job));
    KATA__TRY(kata__job_finish(job));
    *example = kata__tool_text(job->tool, "%s/example.png", job->run.path);
    return *example == NULL ? KATA_OUT_OF_MEMORY : write_example(job, *example, label);
}

static int print_result(const kata__job *job, const settings *s, const char *example, int label) {
    char figure[40], count[KATA__TERMINAL_TEXT];
    printf("\n%s %s  %s on %s pictures that it has not seen\n", job->measured_name,
           kata__main_figure_name(job->loss->task),
           kata__main_figure_text(job->loss->task, kata__main_figure(&job->evaluation), figure),
           kata__count_text(job->evaluation.n, count));
    printf("model          %s\n", job->run.model);
    printf("report         %s\n", job->run.report);
    if (!s->serve) {
        printf("serve it       kata serve %s --name digits --port %d\n", job->run.model, s->port);
    }
    printf("ask it         curl -F image=@%s http://127.0.0.1:%d/digits\n", example, s->port);
    printf("               (the picture shows %d)\n", label);
    return kata__tool_flush(job->tool);
}

#ifdef KATA__WITH_SERVE
static int serve(kata__tool *tool, const settings *s, const char *model) {
    char *port = kata__tool_text(tool, "%d", s->port);
    char *path = kata__tool_text(tool, "%s", model);
    char name[] = "serve", option_port[] = "--port", option_name[] = "--name", digits[] = "digits",
         quiet[] = "--quiet";
    char *argv[] = {name, path, option_port, port, option_name, digits, quiet, NULL};
    if (port == NULL || path == NULL) {
        return kata__tool_failed(tool);
    }
    kata_context_free(tool->context);
    tool->context = NULL;
    tool->command = &kata__command_serve;
    snprintf(tool->name, sizeof tool->name, "kata serve");
    return kata__command_serve.run(tool, s->quiet ? 7 : 6, argv);
}
#else
static int serve(kata__tool *tool, const settings *s, const char *model) {
    (void)s;
    kata__tool_say(tool, "this build has no server; the model is %s", model);
    return KATA__EXIT_OK;
}
#endif

static int demo(kata__tool *tool, const settings *s, const char **model) {
    kata__job job = {.tool = tool, .run = {.lock = -1}};
    const char *example = NULL;
    int label = 0, code;
    kata_status status = train(&job, s, &example, &label);
    if (status == KATA_OK) {
        code = print_result(&job, s, example, label);
        *model = job.run.model;
    } else if (status == KATA_INTERRUPTED) {
        fprintf(stderr, "%s: stopped; go on with:\n  kata train --resume %s\n", tool->name,
                job.run.path);
        code = KATA__EXIT_INTERRUPTED;
    } else {
        code = kata__tool_status(tool, status);
    }
    kata__job_free(&job);
    return code;
}

static int run(kata__tool *tool, int argc, char **argv) {
    settings s = defaults;
    kata__parsed parsed;
    const char *model = NULL;
    kata_status status = kata__options_parse(options, &s, &tool->arena, argc, argv, &parsed);
    if (status == KATA_OK && parsed.n_positional > 0) {
        status = kata_fail(KATA_INVALID, "'kata demo' takes no %s", parsed.positional[0]);
    }
    if (status != KATA_OK) {
        return kata__tool_usage(tool);
    }
    int code = demo(tool, &s, &model);
    return code == KATA__EXIT_OK && s.serve ? serve(tool, &s, model) : code;
}

const kata__command kata__command_demo = {
    .name = "demo",
    .about = "digits end to end: train, measure, save, serve",
    .usage = "kata demo [--data ARG] [--no-serve] [--port PORT] [--out RUN]",
    .examples = "kata demo\n"
                "kata demo --no-serve\n"
                "KATA_DATA=data kata demo --port 9000\n",
    .text = "Trains simple-convnet in a minute or two, prints the test accuracy, the model's path\n"
            "and a curl line that asks it, then serves it until Ctrl-C.\n",
    .options = options,
    .defaults = &defaults,
    .run = run};
