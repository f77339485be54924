/* What a compiled model knows, and its planned programs. */
#ifndef KATA_TRAIN_TRAINER_H
#define KATA_TRAIN_TRAINER_H

#include <kata/train.h>
#include "nn/model.h"
#include "train/optimizers.h"

#define KATA__MAX_SIZES 64 /* open sizes of a model that is run */

typedef enum kata__program_kind {
    KATA__PROGRAM_NONE,
    KATA__PROGRAM_TRAIN,
    KATA__PROGRAM_EVALUATE
} kata__program_kind;

/* How the targets of output k come in: class numbers or one float for each output number. */
typedef struct kata__target_form {
    bool classes; /* int64 (n); else float32 of the output's own shape */
} kata__target_form;

/* A bound graph with its session. Inputs in order: the model's (train), or its raw outputs in
 * float32 (evaluate); the targets; sample weights if `weighted`; lr and t (train). Outputs: loss,
 * then the raw outputs (train), one for each loss. */
typedef struct kata__program {
    kata__program_kind kind;
    int64_t batch;
    int64_t sizes[KATA__MAX_SIZES]; /* of the model's open sizes, in the graph's order */
    int n_sizes;
    bool weighted, profile;
    kata__target_form targets[KATA_MAX_LOSSES];
    double
        scale[KATA_DATASET_TENSORS]; /* what an input's numbers are multiplied by on the way in */
    kata_graph *graph;
    kata_session *session;
    size_t structure_bytes; /* what graph and session take beside the planned block */
    uint64_t used;          /* for replacing the least recently used one */
} kata__program;

#define KATA__PROGRAMS 8

/* One optimiser state of one variable. */
typedef struct kata__slot {
    kata_variable *variable, *state[KATA_MAX_STATES];
} kata__slot;

/* An output that has a loss. */
typedef struct kata__output {
    const kata_loss *loss; /* NULL: not known (a model that is not compiled) */
    double weight;
    double numbers[KATA_MAX_NUMBERS]; /* of the loss */
    int raw, shown;                   /* which outputs of the model: what the loss takes, and what
                                         people see; the same where there is no activation */
} kata__output;

struct kata__trainer {
    kata_model *model;
    kata_compile_options options; /* class_weights is a copy of ours */
    bool compiled;
    int n_raw; /* outputs that have a loss */
    kata__output outputs[KATA_MAX_LOSSES];
    kata__rule rule; /* of the optimiser */
    double rule_numbers[KATA_MAX_NUMBERS];
    kata_graph *state; /* owns the optimiser's variables */
    kata__slot *slots; /* for each trainable variable of the model */
    int n_slots;
    kata__program programs[KATA__PROGRAMS];
    uint64_t clock;
    kata__program *last_train;
};

/* The trainer of a model, made if there is none yet; knows loss and raw outputs from the metadata.
 */
kata_status kata__trainer_get(struct kata__trainer **out, kata_model *model);
/* Outputs and their losses as the model's metadata say (outputs.c). */
kata_status kata__outputs_read(struct kata__trainer *trainer);
/* Puts the model's outputs in the order for the losses of trainer->outputs, and says so in its
 * metadata. */
kata_status kata__outputs_set(struct kata__trainer *trainer);

/* The program of this kind and size, planned if there is none yet. `dataset` gives the targets'
 * form and the open sizes but for that of axis 0, which is the batch. */
kata_status kata__program_get(struct kata__trainer *trainer, kata__program_kind kind, int64_t batch,
                              const kata_dataset *dataset, bool profile, kata__program **out);
void kata__programs_free(struct kata__trainer *trainer);
/* Writes samples order[first..first+batch) into the program's inputs (train), targets and
 * weights. */
void kata__program_fill(const kata__program *program, const kata_dataset *dataset,
                        const int64_t *order, int64_t first, const kata_augment *augment,
                        uint64_t seed, uint64_t epoch);
/* Whether target k is a class number a sample: whole numbers of any dtype, where the loss wants
 * classes. */
bool kata__target_is_class(const struct kata__trainer *trainer, const kata_dataset *dataset, int k);
/* KATA_SHAPE etc. with a clear sentence if the data set does not fit the model. */
kata_status kata__check_dataset(struct kata__trainer *trainer, const kata_dataset *dataset);

#endif
