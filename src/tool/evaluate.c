/* kata evaluate: how good a model is on data. */
#include "tool/measure.h"
#include "tool/source.h"
#include "train/trainer.h"

typedef struct settings {
    const char *data;
    int64_t limit, data_seed;
    int part, loss, threads, precision;
    bool json, quiet;
} settings;

static const char *part_choice(int i) {
    static const char *const names[] = {"test", "train", "validation"};
    return i >= 0 && i < 3 ? names[i] : NULL;
}

static const char *loss_choice(int i) {
    const kata_loss *loss = kata_loss_at(i - 1);
    return i == 0 ? "auto" : loss != NULL ? loss->name : NULL;
}

static const kata__option options[] = {
    {.name = "data",
     .type = KATA__OPTION_TEXT,
     .offset = offsetof(settings, data),
     .value = "ARG",
     .letter = 'd',
     .help = "a folder with idx files, a folder of pictures by class, an .npz, make:digits, or a "
             "known name such as mnist"},
    {.name = "part",
     .type = KATA__OPTION_CHOICE,
     .offset = offsetof(settings, part),
     .value = "PART",
     .choice = part_choice,
     .help = "which part of the data"},
    {.name = "limit",
     .type = KATA__OPTION_INTEGER,
     .offset = offsetof(settings, limit),
     .value = "N",
     .minimum = 1,
     .maximum = 1e12,
     .zero = "all",
     .help = "the first N samples only"},
    {.name = "data-seed",
     .type = KATA__OPTION_INTEGER,
     .offset = offsetof(settings, data_seed),
     .value = "SEED",
     .minimum = 0,
     .maximum = 9e15,
     .help = "of generated data"},
    {.name = "loss",
     .type = KATA__OPTION_CHOICE,
     .offset = offsetof(settings, loss),
     .value = "NAME",
     .choice = loss_choice,
     .zero = "auto: the model's own, else by the data",
     .help = "for a model that Kata did not train"},
    KATA__OPTION_PRECISION(settings),
    KATA__OPTION_THREADS(settings),
    KATA__OPTION_QUIET(settings),
    KATA__OPTION_JSON(settings),
    {.name = NULL}};
static const settings defaults = {.data = NULL};

/* A model of another tool does not say what its loss is. */
static kata_status choose_loss(const kata__tool *tool, const settings *s, kata_model *model,
                               kata_data *data, const kata_dataset *dataset) {
    const kata_loss *loss = s->loss > 0 ? kata_loss_at(s->loss - 1) : kata_loss_for(model, dataset);
    const bool known = kata_model_loss(model, 0) != NULL;
    KATA__TRY(kata__source_targets(tool, data, loss, s->loss > 0));
    if (known && s->loss == 0) {
        return KATA_OK;
    }
    if (s->loss == 0) {
        kata__tool_say(tool,
                       "the model does not say what its loss is; taking %s (--loss says "
                       "otherwise)",
                       loss->name);
    }
    return kata_compile_with(model, &(kata_compile_options){.loss = loss});
}

static kata_status evaluate(kata__tool *tool, const settings *s, const char *argument,
                            kata_model **model, kata_data *data, kata_evaluation *e,
                            const kata_dataset **dataset) {
    KATA__TRY(kata__tool_start(tool, s->threads));
    KATA__TRY(kata__source_model(tool, model, argument));
    bool train = s->part == 1;
    kata_data_options open = {.limit_train = train ? s->limit : 0,
                              .limit_test = train ? 0 : s->limit,
                              .seed = (uint64_t)s->data_seed};
    KATA__TRY(kata__source_data(tool, data, s->data, &open, *model));
    *dataset = train ? data->train : s->part == 2 ? data->validation : data->test;
    if (*dataset == NULL) {
        if (s->part != 0) {
            return kata_fail(KATA_INVALID, "%s has no %s part", s->data,
                             train ? "training" : "validation");
        }
        *dataset = data->train;
        kata__tool_say(tool, "%s has no test part; measuring on all of it", s->data);
    }
    KATA__TRY(choose_loss(tool, s, *model, data, *dataset));
    KATA__TRY(kata_set_precision(*model, (kata_precision)s->precision));
    return kata_evaluate(*model, *dataset, e);
}

static int run(kata__tool *tool, int argc, char **argv) {
    settings s = defaults;
    kata__parsed parsed;
    if (kata__options_parse(options, &s, &tool->arena, argc, argv, &parsed) != KATA_OK) {
        return kata__tool_usage(tool);
    }
    if (parsed.n_positional != 1 || s.data == NULL) {
        kata_fail(KATA_INVALID, parsed.n_positional == 0 ? "a MODEL is missing"
                                : parsed.n_positional > 1
                                    ? "one MODEL at a time"
                                    : "--data is missing: what to measure on");
        return kata__tool_usage(tool);
    }
    tool->quiet = s.quiet;
    kata_model *model = NULL;
    kata_data data = {.train = NULL};
    kata_evaluation e = {.context = NULL};
    const kata_dataset *dataset = NULL;
    kata_status status = evaluate(tool, &s, parsed.positional[0], &model, &data, &e, &dataset);
    int code;
    if (status != KATA_OK) {
        code = kata__tool_status(tool, status);
    } else {
        kata__buffer out;
        kata__buffer_init(&out, tool->context, (size_t)64 << 20);
        if (s.json) {
            kata__buffer_text(&out, "{");
            kata__evaluation_json(&out, &e, model, dataset, true);
            kata__buffer_text(&out, "}\n");
        } else {
            kata__evaluation_text(&out, &e, model, dataset);
        }
        code = kata__tool_print(tool, &out);
    }
    kata_evaluation_free(&e);
    kata_data_close(&data);
    kata_model_free(model);
    return code;
}

const kata__command kata__command_evaluate = {
    .name = "evaluate",
    .about = "measure a model on data",
    .usage = "kata evaluate MODEL.onnx|RUN --data ARG [options]",
    .examples = "kata evaluate runs/simple-convnet-1 --data mnist\n"
                "kata evaluate digits.onnx --data mnist --json\n"
                "kata evaluate digits.onnx --data mnist --part train --limit 10000\n",
    .options = options,
    .defaults = &defaults,
    .run = run};
