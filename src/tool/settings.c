/* The table of training options, and the effective project that is written from it. */
#include "tool/settings.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "tool/tool.h"

_Static_assert(sizeof(kata_schedule_kind) == sizeof(int), "a CHOICE is an int");

static const char *loss_choice(int i) {
    const kata_loss *loss = kata_loss_at(i - 1);
    return i == 0 ? "auto" : loss != NULL ? loss->name : NULL;
}

static const char *optimizer_choice(int i) {
    const kata_optimizer_rule *rule = kata_optimizer_at(i);
    return rule != NULL ? rule->name : NULL;
}

static const char *schedule_choice(int i) {
    return kata_schedule_name((kata_schedule_kind)i);
}

static const char *picture_choice(int i) {
    static const char *const names[] = {"auto", "digit", "plain"};
    return i >= 0 && i < 3 ? names[i] : NULL;
}

const char *kata__precision_choice(int i) {
    return kata_precision_name((kata_precision)i);
}

const kata__settings kata__train_defaults = {
    .normalize = true, .shuffle = true, .batch = 100, .rule = KATA_OPTIMIZER_AT_adam};

kata__settings kata__settings_for(const char *model) {
    kata__settings s = kata__train_defaults;
    if (model != NULL && strcmp(model, "mnist-sprint") == 0) {
        s.epochs = 2;
        s.optimizer.lr = 0.003;
        s.schedule.kind = KATA_SCHEDULE_ONE_CYCLE;
    }
    return s;
}

#define AUGMENT(member, kind, text, top, about)                                                    \
    {                                                                                              \
        .name = #member, .type = KATA__OPTION_##kind, .offset = offsetof(kata_augment, member),    \
        .value = (text), .maximum = (top), .zero = "", .help = (about)                             \
    }
static const kata__option augment_options[] = {
    AUGMENT(shift, NUMBER, "PIXELS", 1000, "move"),
    AUGMENT(rotate, NUMBER, "DEGREES", 180, "turn"),
    AUGMENT(scale, NUMBER, "SHARE", 0.9, "grow or shrink"),
    AUGMENT(shear, NUMBER, "SHARE", 2, "slant"),
    AUGMENT(elastic, NUMBER, "PIXELS", 1000, "bend"),
    AUGMENT(elastic_sigma, NUMBER, "PIXELS", 1000, "smoothness of bending"),
    AUGMENT(flip, FLAG, "", 0, "mirror"),
    AUGMENT(crop, INT, "PIXELS", 1000, "pad and cut out"),
    AUGMENT(brightness, NUMBER, "SHARE", 1, "lighter or darker"),
    AUGMENT(cut_out, INT, "PIXELS", 1000, "blank a square"),
    {.name = NULL}};

#define AT(member) .offset = offsetof(kata__settings, member)
const kata__option kata__train_options[] = {
    {.heading = "What to learn from",
     .name = "data",
     .type = KATA__OPTION_TEXT,
     AT(data),
     .section = "data",
     .key = "source",
     .value = "ARG",
     .letter = 'd',
     .help = "a folder with idx files, a folder of pictures by class, an .npz, make:digits, or a "
             "known name such as mnist"},
    {.name = "limit-train",
     .type = KATA__OPTION_INTEGER,
     AT(limit_train),
     .section = "data",
     .value = "N",
     .minimum = 1,
     .maximum = 1e12,
     .zero = "all",
     .help = "take only the first N training samples; make:digits: draw N"},
    {.name = "limit-test",
     .type = KATA__OPTION_INTEGER,
     AT(limit_test),
     .section = "data",
     .value = "N",
     .minimum = 1,
     .maximum = 1e12,
     .zero = "all",
     .help = "take only the first N test samples"},
    {.name = "data-seed",
     .type = KATA__OPTION_INTEGER,
     AT(data_seed),
     .section = "data",
     .key = "seed",
     .value = "SEED",
     .minimum = 0,
     .maximum = 9e15,
     .help = "of generated data"},
    {.name = "validation-split",
     .type = KATA__OPTION_NUMBER,
     AT(validation_split),
     .section = "data",
     .value = "SHARE",
     .minimum = 0,
     .maximum = 0.99,
     .above = true,
     .zero = "the test data",
     .help = "measure after each epoch on this share of the training data, held back"},
    {.name = "normalize",
     .type = KATA__OPTION_FLAG,
     AT(normalize),
     .section = "data",
     .help = "leave bytes at 0..255 instead of 0..1; --normalize also divides other numbers by the "
             "largest"},
    {.name = "rescale",
     .type = KATA__OPTION_NUMBER,
     AT(rescale),
     .section = "data",
     .value = "FACTOR",
     .minimum = 0,
     .maximum = 1e6,
     .above = true,
     .zero = "1/255 for bytes",
     .help = "multiply the inputs by this"},
    {.name = "picture",
     .type = KATA__OPTION_CHOICE,
     AT(picture),
     .section = "data",
     .value = "KIND",
     .choice = picture_choice,
     .zero = "digit for 28x28 idx files",
     .help = "how the model reads pictures later"},
    {.name = "picture-size",
     .type = KATA__OPTION_INTEGERS,
     AT(picture_size),
     .section = "data",
     .value = "HEIGHT,WIDTH",
     .minimum = 1,
     .maximum = 16384,
     .limit = 2,
     .zero = "as the first picture",
     .help = "resize a folder's pictures"},
    {.name = "picture-channels",
     .type = KATA__OPTION_INT,
     AT(picture_channels),
     .section = "data",
     .value = "1|3",
     .minimum = 1,
     .maximum = 3,
     .zero = "as the first picture",
     .help = "grey or colour"},

    {.heading = "What learns",
     .name = "model",
     .type = KATA__OPTION_TEXT,
     AT(model),
     .section = "model",
     .key = "name",
     .value = "NAME|FILE",
     .letter = 'm',
     .help = "two-layer, simple-convnet, deep-convnet, mnist-sprint, mlp, logistic, an .onnx file "
             "or a RUN (simple-convnet for pictures, else mlp)"},
    {.name = "hidden",
     .type = KATA__OPTION_INTEGERS,
     AT(hidden),
     .section = "model",
     .value = "N,N,...",
     .minimum = 1,
     .maximum = 1e6,
     .limit = KATA__HIDDEN_MOST,
     .zero = "mlp 100, two-layer 50",
     .help = "sizes of the hidden layers of mlp or two-layer"},

    {.heading = "How it learns",
     .name = "epochs",
     .type = KATA__OPTION_INTEGER,
     AT(epochs),
     .section = "train",
     .value = "N",
     .letter = 'e',
     .minimum = 1,
     .maximum = 1e9,
     .zero = "10, or what --steps needs",
     .help = "times through the training data"},
    {.name = "steps",
     .type = KATA__OPTION_INTEGER,
     AT(steps),
     .section = "train",
     .value = "N",
     .minimum = 1,
     .maximum = 1e12,
     .zero = "by epochs alone",
     .help = "stop after N batches in all"},
    {.name = "batch",
     .type = KATA__OPTION_INTEGER,
     AT(batch),
     .section = "train",
     .value = "N",
     .letter = 'b',
     .minimum = 1,
     .maximum = 1e6,
     .help = "samples in one step"},
    {.name = "lr",
     .type = KATA__OPTION_NUMBER,
     AT(optimizer.lr),
     .section = "train",
     .value = "RATE",
     .minimum = 0,
     .maximum = 1000,
     .above = true,
     .zero = "0.001 for adam and adamw, else 0.01",
     .help = "learning rate"},
    {.name = "optimizer",
     .type = KATA__OPTION_CHOICE,
     AT(rule),
     .section = "train",
     .value = "NAME",
     .choice = optimizer_choice,
     .help = "update rule"},
    {.name = "momentum",
     .type = KATA__OPTION_NUMBER,
     AT(optimizer.momentum),
     .section = "train",
     .value = "M",
     .minimum = 0,
     .maximum = 1,
     .zero = "0.9",
     .help = "of momentum and nesterov"},
    {.name = "beta1",
     .type = KATA__OPTION_NUMBER,
     AT(optimizer.beta1),
     .section = "train",
     .value = "B",
     .minimum = 0,
     .maximum = 1,
     .zero = "0.9",
     .help = "of adam and adamw"},
    {.name = "beta2",
     .type = KATA__OPTION_NUMBER,
     AT(optimizer.beta2),
     .section = "train",
     .value = "B",
     .minimum = 0,
     .maximum = 1,
     .zero = "0.999",
     .help = "of adam and adamw"},
    {.name = "decay",
     .type = KATA__OPTION_NUMBER,
     AT(optimizer.decay),
     .section = "train",
     .value = "D",
     .minimum = 0,
     .maximum = 1,
     .zero = "0.99",
     .help = "of rmsprop's running mean"},
    {.name = "epsilon",
     .type = KATA__OPTION_NUMBER,
     AT(optimizer.epsilon),
     .section = "train",
     .value = "E",
     .minimum = 0,
     .maximum = 1,
     .zero = "1e-7",
     .help = "of adagrad, rmsprop, adam and adamw"},
    {.name = "schedule",
     .type = KATA__OPTION_CHOICE,
     AT(schedule.kind),
     .section = "train",
     .value = "NAME",
     .choice = schedule_choice,
     .help = "how the learning rate moves"},
    {.name = "schedule-factor",
     .type = KATA__OPTION_NUMBER,
     AT(schedule.factor),
     .section = "train",
     .value = "F",
     .minimum = 0,
     .maximum = 1,
     .above = true,
     .zero = "0.1, exponential 0.95",
     .help = "of step, exponential and plateau"},
    {.name = "schedule-every",
     .type = KATA__OPTION_INT,
     AT(schedule.every),
     .section = "train",
     .value = "EPOCHS",
     .minimum = 1,
     .maximum = 1e9,
     .zero = "10",
     .help = "of step"},
    {.name = "schedule-final",
     .type = KATA__OPTION_NUMBER,
     AT(schedule.final),
     .section = "train",
     .value = "SHARE",
     .minimum = 0,
     .maximum = 1,
     .zero = "0",
     .help = "share of the learning rate that cosine and one-cycle end with"},
    {.name = "schedule-initial",
     .type = KATA__OPTION_NUMBER,
     AT(schedule.initial),
     .section = "train",
     .value = "SHARE",
     .minimum = 0,
     .maximum = 1,
     .zero = "0.1",
     .help = "share of the learning rate that one-cycle begins with"},
    {.name = "schedule-patience",
     .type = KATA__OPTION_INT,
     AT(schedule.patience),
     .section = "train",
     .value = "EPOCHS",
     .minimum = 1,
     .maximum = 1e9,
     .zero = "5",
     .help = "of plateau"},
    {.name = "warmup",
     .type = KATA__OPTION_NUMBER,
     AT(schedule.warmup),
     .section = "train",
     .value = "EPOCHS",
     .minimum = 0,
     .maximum = 1e6,
     .zero = "none; one-cycle 0.25",
     .help = "raise the learning rate slowly at first; one-cycle: a share of all steps"},
    {.name = "loss",
     .type = KATA__OPTION_CHOICE,
     AT(loss),
     .section = "train",
     .value = "NAME",
     .choice = loss_choice,
     .zero = "auto: by the data",
     .help = "what is made small"},
    {.name = "huber-delta",
     .type = KATA__OPTION_NUMBER,
     AT(huber_delta),
     .section = "train",
     .value = "D",
     .minimum = 0,
     .maximum = 1e9,
     .above = true,
     .zero = "1",
     .help = "where huber turns from square to straight"},
    {.name = "seed",
     .type = KATA__OPTION_INTEGER,
     AT(seed),
     .section = "train",
     .value = "SEED",
     .minimum = 0,
     .maximum = 9e15,
     .help = "of weights, shuffling, dropout and augmentation"},
    {.name = "shuffle",
     .type = KATA__OPTION_FLAG,
     AT(shuffle),
     .section = "train",
     .help = "take the samples in the order of the data"},

    {.heading = "Against overfitting",
     .name = "weight-decay",
     .type = KATA__OPTION_NUMBER,
     AT(optimizer.weight_decay),
     .section = "train",
     .value = "W",
     .minimum = 0,
     .maximum = 1000,
     .zero = "none; adamw 0.01",
     .help = "decoupled from the gradient"},
    {.name = "l2",
     .type = KATA__OPTION_NUMBER,
     AT(l2),
     .section = "train",
     .value = "L",
     .minimum = 0,
     .maximum = 1000,
     .zero = "none",
     .help = "adds L/2 times the sum of squared weights to the loss"},
    {.name = "l1",
     .type = KATA__OPTION_NUMBER,
     AT(l1),
     .section = "train",
     .value = "L",
     .minimum = 0,
     .maximum = 1000,
     .zero = "none",
     .help = "adds L times the sum of absolute weights to the loss"},
    {.name = "label-smoothing",
     .type = KATA__OPTION_NUMBER,
     AT(label_smoothing),
     .section = "train",
     .value = "S",
     .minimum = 0,
     .maximum = 0.999,
     .zero = "none",
     .help = "share of a target that is spread over all classes"},
    {.name = "augment",
     .type = KATA__OPTION_GROUP,
     AT(augment),
     .section = "train",
     .value = "LIST",
     .members = augment_options,
     .zero = "none",
     .help = "change pictures at random, as in shift=2,rotate=10,scale=0.1: shift, rotate, scale, "
             "shear, elastic, elastic_sigma, flip, crop, brightness, cut_out"},
    {.name = "class-weights",
     .type = KATA__OPTION_TEXT,
     AT(class_weights),
     .section = "train",
     .value = "LIST",
     .zero = "all 1",
     .help = "balanced, or a number for each class: 1,2.5"},
    {.name = "clip-norm",
     .type = KATA__OPTION_NUMBER,
     AT(clip_norm),
     .section = "train",
     .value = "NORM",
     .minimum = 0,
     .maximum = 1e9,
     .zero = "off",
     .help = "scale all gradients together to at most this L2 norm"},
    {.name = "clip-value",
     .type = KATA__OPTION_NUMBER,
     AT(clip_value),
     .section = "train",
     .value = "V",
     .minimum = 0,
     .maximum = 1e9,
     .zero = "off",
     .help = "keep each gradient number within -V..V"},
    {.name = "precision",
     .type = KATA__OPTION_CHOICE,
     AT(precision),
     .section = "train",
     .value = "NAME",
     .choice = kata__precision_choice,
     .help = "what convolutions and large products compute in: bfloat16 with weights and sums "
             "in float32, where that is faster on this processor (kata info), or float32"},
    {.name = "recompute",
     .type = KATA__OPTION_FLAG,
     AT(recompute),
     .section = "train",
     .zero = "",
     .help = "take less memory and more time: compute activations a second time instead of keeping "
             "them; the same bits (kata show --recompute says how much less)"},
    {.name = "early-stopping",
     .type = KATA__OPTION_INT,
     AT(early_stopping.patience),
     .section = "train",
     .value = "EPOCHS",
     .minimum = 1,
     .maximum = 1e9,
     .zero = "off",
     .help = "stop when the validation loss has not improved for so long; keep the best weights"},
    {.name = "min-delta",
     .type = KATA__OPTION_NUMBER,
     AT(early_stopping.min_delta),
     .section = "train",
     .value = "D",
     .minimum = 0,
     .maximum = 1e9,
     .zero = "0",
     .help = "what early stopping counts as an improvement"},
    {.name = "keep-last",
     .type = KATA__OPTION_FLAG,
     AT(early_stopping.keep_last),
     .section = "train",
     .zero = "",
     .help = "early stopping keeps the last weights instead of the best"},

    {.heading = "The run",
     .name = "out",
     .type = KATA__OPTION_TEXT,
     AT(out),
     .value = "RUN",
     .letter = 'o',
     .zero = "runs/MODEL-N",
     .help = "folder for the model, checkpoint, history and report"},
    {.name = "resume",
     .type = KATA__OPTION_TEXT,
     AT(resume),
     .value = "RUN",
     .help = "go on with a run that was stopped; all settings are the run's own"},
    {.name = "project",
     .type = KATA__OPTION_TEXT,
     AT(project),
     .section = "",
     .value = "NAME",
     .help = "a name for reports and for the run's folder"},
    {.name = "checkpoint-every",
     .type = KATA__OPTION_INTEGER,
     AT(checkpoint_every),
     .section = "train",
     .value = "STEPS",
     .minimum = 1,
     .maximum = 1e12,
     .zero = "at each epoch",
     .help = "save the state of training also after so many batches"},
    KATA__OPTION_THREADS(kata__settings),
    {.name = "profile",
     .type = KATA__OPTION_FLAG,
     AT(profile),
     .help = "print how long each operator took"},
    KATA__OPTION_QUIET(kata__settings),
    KATA__OPTION_JSON(kata__settings),
    {.name = NULL}};

kata_status kata__settings_check(const kata__settings *s) {
    if (s->schedule.kind == KATA_SCHEDULE_ONE_CYCLE && s->schedule.warmup >= 1) {
        return kata_fail(KATA_INVALID,
                         "warmup is a share of all steps for one-cycle: below 1, got %g",
                         s->schedule.warmup);
    }
    if (s->picture_channels == 2) {
        return kata_fail(KATA_INVALID, "picture channels must be 1 (grey) or 3 (colour), got 2");
    }
    if (s->picture_size[0] != 0 && s->picture_size[1] == 0) {
        return kata_fail(KATA_INVALID, "a picture size has two numbers: HEIGHT,WIDTH");
    }
    if (s->n_layers > 0 && s->hidden[0] != 0) {
        return kata_fail(KATA_INVALID, "hidden sizes are for the model mlp or two-layer; a list of "
                                       "layers says its own");
    }
    if (s->hidden[0] != 0 && s->model != NULL && strcmp(s->model, "mlp") != 0 &&
        strcmp(s->model, "two-layer") != 0) {
        return kata_fail(KATA_INVALID,
                         "hidden sizes are for the model mlp or two-layer; %s has its own",
                         s->model);
    }
    if (s->hidden[1] != 0 && s->model != NULL && strcmp(s->model, "two-layer") == 0) {
        return kata_fail(KATA_INVALID, "the model two-layer has one hidden layer; take mlp for "
                                       "several");
    }
    return KATA_OK;
}

/* --- the effective project -------------------------------------------------------------------- */

static void write_section(const kata__settings *s, const char *section, kata__buffer *out) {
    bool top = section[0] == '\0', any = false;
    for (const kata__option *o = kata__train_options; o->name != NULL; o++) {
        char key[64];
        if (o->section == NULL || strcmp(o->section, section) != 0) {
            continue;
        }
        kata__buffer value;
        kata__buffer_init(&value, out->context, (size_t)1 << 20);
        if (kata__option_write(o, s, &value) && value.status == KATA_OK) {
            if (!any && !top) {
                kata__buffer_printf(out, "%s:\n", section);
            }
            kata__buffer_printf(out, "%s%s: %s\n", top ? "" : "  ", kata__option_key(o, key),
                                value.data);
            any = true;
        }
        kata__buffer_free(&value);
    }
}

static void write_layers(const kata__settings *s, kata__buffer *out) {
    kata__buffer_text(out, "model:\n  layers:\n");
    for (int i = 0; i < s->n_layers; i++) {
        bool first = true;
        for (const kata__option *o = kata__layer_options; o->name != NULL; o++) {
            char key[64];
            kata__buffer value;
            kata__buffer_init(&value, out->context, (size_t)1 << 20);
            if (kata__option_write(o, &s->layers[i], &value) && value.status == KATA_OK) {
                kata__buffer_printf(out, "%s%s: %s", first ? "    - {" : ", ",
                                    kata__option_key(o, key), value.data);
                first = false;
            }
            kata__buffer_free(&value);
        }
        kata__buffer_text(out, "}\n");
    }
}

kata_status kata__project_write(const kata__settings *settings, kata__buffer *out) {
    write_section(settings, "", out);
    write_section(settings, "data", out);
    if (settings->n_layers > 0) {
        write_layers(settings, out);
    } else {
        write_section(settings, "model", out);
    }
    write_section(settings, "train", out);
    return out->status;
}
