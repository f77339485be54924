/* The state of a training run: all that a checkpoint must hold beside the weights. */
#ifndef KATA_TRAIN_RUN_H
#define KATA_TRAIN_RUN_H

#include "base/buffer.h"
#include "train/trainer.h"

typedef struct kata__run {
    struct kata__trainer *trainer;
    const kata_fit_options *options;
    const kata_dataset *train, *validation;
    const kata_source *source;      /* instead of `train`, which is NULL then */
    int64_t n;                      /* samples an epoch; 0: not known yet */
    int64_t batch, batches, epochs; /* batches INT64_MAX: not known yet */
    int64_t last_step;              /* stop after so many; 0: by epochs alone */
    int64_t epoch;                  /* epochs done */
    int64_t batch_done;             /* batches done of the epoch under way */
    int64_t step;                   /* steps done in all */
    double loss_sum,
        hits; /* of the epoch under way: sum of loss * samples; of right answers etc. */
    double metric[KATA_MAX_METRICS]; /* sums of the epoch under way */
    int64_t seen;
    double seconds;      /* of the epoch under way, in earlier sittings */
    double watched_best; /* early stopping and plateau: the best watched loss; infinity: none yet */
    int64_t since_best, plateau_since_best;
    int64_t best_epoch; /* of the best weights; 0: none yet */
    double plateau_factor, plateau_best;
    bool finished; /* nothing left to do: all epochs, or stopped early */
    void **best;   /* the best weights, one block a variable; NULL without early stopping */
    bool has_best;
    bool warned_constant;
    kata__buffer history; /* the JSON lines so far */
} kata__run;

/* Writes the whole state as safetensors, atomically. */
kata_status kata__checkpoint_write(kata__run *run, const char *path);
/* Reads it back into the model and the run; every mismatch is an error that says what differs. */
kata_status kata__checkpoint_read(kata__run *run, const char *path);

/* Before training (warn.c): KATA_INVALID for what cannot learn, else a line in the log for what is
 * likely a mistake. */
kata_status kata__check_batch_norm(const kata__run *run);
void kata__warn_unscaled(const kata__run *run);
void kata__warn_one_class(const kata__run *run);
/* After an epoch with this loss. */
void kata__warn_constant(const kata__run *run, double loss);

#endif
