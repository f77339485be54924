/* kata train: from data, a model's name and settings to a folder with the trained model. */
#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "tool/job.h"
#include "tool/measure.h"

/* What may be given beside --resume: how to run, not what. */
static const char *const with_resume[] = {"resume", "epochs", "steps",  "threads",
                                          "quiet",  "json",   "profile"};

static kata_status check_resume(const kata__parsed *parsed) {
    if (parsed->n_positional > 0) {
        return kata_fail(KATA_INVALID,
                         "--resume takes all settings from the run's own project; leave out %s",
                         parsed->positional[0]);
    }
    for (int i = 0; kata__train_options[i].name != NULL; i++) {
        bool allowed = false;
        for (size_t k = 0; k < KATA__COUNT(with_resume); k++) {
            allowed = allowed || strcmp(kata__train_options[i].name, with_resume[k]) == 0;
        }
        if (parsed->set[i] && !allowed) {
            return kata_fail(KATA_INVALID,
                             "--%s cannot be given with --resume: a resumed run keeps its settings "
                             "(only --epochs, --steps, --threads, --quiet, --json and --profile "
                             "may change)",
                             kata__train_options[i].name);
        }
    }
    return KATA_OK;
}

/* Flags over the project file over the model's defaults; the file may name the model. */
static kata_status read_settings(kata__job *job, int argc, char **argv) {
    kata__settings flags = kata__train_defaults;
    kata__arena *arena = &job->tool->arena;
    kata__parsed parsed;
    job->settings = kata__train_defaults;
    KATA__TRY(kata__options_parse(kata__train_options, &flags, arena, argc, argv, &parsed));
    const char *project = parsed.n_positional > 0 ? parsed.positional[0] : NULL;
    if (parsed.n_positional > 1) {
        return kata_fail(KATA_INVALID, "one project file is enough, got %s and %s",
                         parsed.positional[0], parsed.positional[1]);
    }
    if (flags.resume != NULL) {
        KATA__TRY(check_resume(&parsed));
        KATA__TRY(kata__run_open(job->tool, &job->run, flags.resume));
        job->resume = true;
        project = job->run.project;
    } else if (project == NULL && flags.data == NULL && kata__file_exists("kata.yaml")) {
        project = "kata.yaml";
    }
    if (project != NULL) {
        if (kata__directory_exists(project)) {
            project = kata__tool_text(job->tool, "%s/kata.yaml", project);
        }
        if (project == NULL) {
            return KATA_OUT_OF_MEMORY;
        }
        KATA__TRY(kata__project_read(&job->settings, arena, project));
    }
    job->settings = kata__settings_for(flags.model != NULL ? flags.model : job->settings.model);
    if (project != NULL) {
        KATA__TRY(kata__project_read(&job->settings, arena, project));
        if (flags.model != NULL) { /* a name replaces the file's list of layers */
            job->settings.n_layers = 0;
        }
    }
    job->normalize_given = kata__option_given(kata__train_options, &parsed, "normalize");
    job->extend = job->resume && (kata__option_given(kata__train_options, &parsed, "epochs") ||
                                  kata__option_given(kata__train_options, &parsed, "steps"));
    if (job->extend) { /* the end that is not given is not the old one */
        job->settings.epochs = job->settings.steps = 0;
    }
    return kata__options_parse(kata__train_options, &job->settings, arena, argc, argv, &parsed);
}

static kata_status prepare(kata__job *job, int argc, char **argv) {
    KATA__TRY(read_settings(job, argc, argv));
    job->tool->quiet = job->settings.quiet;
    KATA__TRY(kata__tool_start(job->tool, job->settings.threads));
    KATA__TRY(kata__job_prepare(job));
    return kata__job_open(job);
}

static int interrupted(const kata__job *job) {
    const kata__tool *tool = job->tool;
    kata_status saved = kata_save(job->model, job->run.model);
    if (saved != KATA_OK) {
        kata__tool_failed(tool);
    }
    fprintf(stderr, "%s: stopped; nothing is lost. Go on with:\n  kata train --resume %s\n",
            tool->name, job->run.path);
    return KATA__EXIT_INTERRUPTED;
}

static int failed(const kata__job *job, kata_status status) {
    const kata__tool *tool = job->tool;
    int code = kata__tool_status(tool, status);
    if (status == KATA_IO && kata__file_exists(job->run.checkpoint)) {
        fprintf(stderr,
                "The last checkpoint is whole; when the cause is gone, go on with:\n"
                "  kata train --resume %s\n",
                job->run.path);
    }
    return code;
}

static int print_result(const kata__job *job) {
    kata__buffer out;
    const kata_evaluation *e = &job->evaluation;
    char figure[40], count[KATA__TERMINAL_TEXT], time[KATA__TERMINAL_TEXT];
    kata__buffer_init(&out, job->tool->context, (size_t)1 << 20);
    if (job->settings.json) {
        kata__buffer_text(&out, "{");
        kata__evaluation_json(&out, e, job->model, job->measured, false);
        kata__buffer_printf(&out,
                            ",\"measured_on\":\"%s\",\"seconds\":%.3f,\"parameters\":%" PRId64
                            ",\"weights_hash\":\"%016" PRIx64 "\",\"run\":",
                            job->measured_name, job->seconds,
                            kata_graph_n_parameters(kata_model_graph(job->model)),
                            kata_model_hash(job->model));
        kata__buffer_json_string(&out, job->run.path);
        kata__buffer_text(&out, ",\"model\":");
        kata__buffer_json_string(&out, job->run.model);
        kata__buffer_text(&out, ",\"report\":");
        kata__buffer_json_string(&out, job->run.report);
        kata__buffer_text(&out, "}\n");
    } else {
        kata__buffer_printf(
            &out, "%s %s on %s %s samples, after %s\n", kata__main_figure_name(job->loss->task),
            kata__main_figure_text(job->loss->task, kata__main_figure(e), figure),
            kata__count_text(e->n, count), job->measured_name, kata__time_text(job->seconds, time));
        kata__buffer_printf(&out, "model   %s\nreport  %s\n", job->run.model, job->run.report);
        kata__buffer_printf(&out, "weights %016" PRIx64 "\n", kata_model_hash(job->model));
    }
    return kata__tool_print(job->tool, &out);
}

static int train(kata__job *job, int argc, char **argv) {
    kata_status status = prepare(job, argc, argv);
    if (status != KATA_OK) {
        return status == KATA_INVALID ? kata__tool_usage(job->tool)
                                      : kata__tool_status(job->tool, status);
    }
    kata__job_introduce(job);
    status = kata__job_train(job);
    if (status == KATA_INTERRUPTED) {
        return interrupted(job);
    }
    if (status == KATA_OK) {
        status = kata__job_finish(job);
    }
    return status == KATA_OK ? print_result(job) : failed(job, status);
}

static int run(kata__tool *tool, int argc, char **argv) {
    kata__job job = {.tool = tool, .run = {.lock = -1}};
    int status = train(&job, argc, argv);
    kata__job_free(&job);
    return status;
}

const kata__command kata__command_train = {
    .name = "train",
    .about = "train a model on data",
    .usage = "kata train --data ARG [--model NAME|FILE.onnx] [--out RUN] [options]\n"
             "  kata train kata.yaml [options]\n"
             "  kata train --resume RUN [--epochs N]",
    .examples = "kata train --data make:digits --limit-train 10000 --epochs 3\n"
                "kata train --data mnist --model two-layer --optimizer sgd --lr 0.1 --steps 10000\n"
                "kata train --data mnist --model deep-convnet --epochs 12 --schedule one-cycle \\\n"
                "           --augment shift=2,rotate=10,scale=0.1\n"
                "kata train --data pictures/ --validation-split 0.1 --early-stopping 5\n"
                "kata train --data new/ --model runs/simple-convnet-1 --lr 0.0001\n"
                "kata train --resume runs/simple-convnet-1\n"
                "kata train --resume runs/simple-convnet-1 --epochs 20\n",
    .text =
        "A project file (YAML) has the keys project, data, model and train. Every option above "
        "but\n"
        "those of one call (--out, --resume, --threads, --profile, --quiet, --json) is a key:\n"
        "--early-stopping 5 is 'early_stopping: 5' under 'train'; flags win over the file.\n"
        "\n"
        "  project: digits\n"
        "  data: mnist                       # or {source: mnist, limit_train: 1000}\n"
        "  model:                            # or a name: simple-convnet\n"
        "    layers:\n"
        "      - {type: conv2d, filters: 30, kernel: [5, 5], activation: relu}\n"
        "      - {type: max-pool2d, size: [2, 2]}\n"
        "      - flatten\n"
        "      - {type: dense, units: 100, activation: relu}\n"
        "      - {type: dense, units: 10}\n"
        "  train: {epochs: 20, optimizer: adam, lr: 0.001, augment: {shift: 2}}\n"
        "\n"
        "The folder RUN gets model.onnx, checkpoint.safetensors, history.jsonl, report.html and\n"
        "kata.yaml. The first Ctrl-C finishes the batch and saves, the second stops at once.\n",
    .options = kata__train_options,
    .defaults = &kata__train_defaults,
    .run = run};
