/* Everything that decides a training run: the settings, their one table of options, the project
 * file that says the same. */
#ifndef KATA_TOOL_SETTINGS_H
#define KATA_TOOL_SETTINGS_H

#include <kata/kata.h>

#include "tool/option.h"

/* How a picture from outside becomes an input: metadata "kata.picture". */
typedef enum kata__picture_kind {
    KATA__PICTURE_AUTO,
    KATA__PICTURE_DIGIT, /* kata_picture_to_digit */
    KATA__PICTURE_PLAIN  /* kata_picture_to_planes */
} kata__picture_kind;

/* A layer of a project's list. */
typedef struct kata__layer_entry {
    kata_layer layer;
    int initializer; /* kata_initializer_kind */
    double initializer_value;
} kata__layer_entry;

enum { KATA__LAYERS_MOST = 1000, KATA__HIDDEN_MOST = 15 };

typedef struct kata__settings {
    const char *project;
    const char *data;
    int64_t limit_train, limit_test, data_seed;
    bool normalize;
    double rescale; /* what inputs are multiplied by; 0: by `normalize` */
    int picture;    /* kata__picture_kind */
    int64_t picture_size[2];
    int picture_channels;
    const char *model;
    int64_t hidden[KATA__HIDDEN_MOST];
    kata__layer_entry *layers; /* instead of a model's name; of the arena */
    int n_layers;
    int64_t epochs, steps, batch, seed, checkpoint_every;
    int precision; /* kata_precision */
    bool recompute;
    int loss; /* 0: by the data; else 1 + its place in kata_loss_at */
    int rule; /* of kata_optimizer_at */
    kata_optimizer optimizer;
    kata_schedule schedule;
    double huber_delta, label_smoothing, clip_norm, clip_value, l1, l2, validation_split;
    const char *class_weights; /* "balanced" or numbers */
    kata_early_stopping early_stopping;
    kata_augment augment;
    bool shuffle;
    /* how to run, not what: no keys in a project file */
    const char *out, *resume;
    int threads;
    bool profile, quiet, json;
} kata__settings;

extern const kata__option kata__train_options[];
extern const kata__settings kata__train_defaults;
/* The defaults for a model: mnist-sprint brings its own schedule. Only members are set that a
 * project file always states, so that a saved project means the same when it is read over them. */
kata__settings kata__settings_for(const char *model);
/* The members of one layer in a project's list. */
extern const kata__option kata__layer_options[];

/* Checks that need more than one value. */
kata_status kata__settings_check(const kata__settings *settings);

/* Reads a project file over `settings`. Every fault names the file and the line. Relative paths
 * that exist beside the file are meant so. */
kata_status kata__project_read(kata__settings *settings, kata__arena *arena, const char *path);
/* The effective project: every setting that counts, as text. */
kata_status kata__project_write(const kata__settings *settings, kata__buffer *out);

/* Adds the list of layers to a model. */
kata_value kata__layers_add(kata_model *model, kata_value x, const kata__layer_entry *layers,
                            int n_layers);

#endif
