/* Putting a batch into a program: its inputs, targets and sample weights. */
#include "base/check.h"
#include "data/data.h"
#include "train/trainer.h"

void kata__program_fill(const kata__program *program, const kata_dataset *dataset,
                        const int64_t *order, int64_t first, const kata_augment *augment,
                        uint64_t seed, uint64_t epoch) {
    const bool training = program->kind == KATA__PROGRAM_TRAIN;
    int at = training ? 0 : dataset->n_targets; /* an evaluation has raw outputs there */
    for (int k = 0; k < dataset->n_inputs && training; k++) {
        kata_tensor input = kata_session_input(program->session, at++);
        kata__batch_input(dataset, k, order, first, program->batch, augment, seed, epoch,
                          program->scale[k], &input);
    }
    for (int k = 0; k < dataset->n_targets; k++) {
        kata_tensor target = kata_session_input(program->session, at++);
        kata__batch_target(dataset, k, order, first, program->batch, &target);
    }
    if (program->weighted) {
        kata_tensor weights = kata_session_input(program->session, at++);
        const float *all = dataset->weights.data;
        float *mine = weights.data;
        for (int64_t i = 0; i < program->batch; i++) {
            mine[i] = all[order != NULL ? order[first + i] : first + i];
        }
    }
}
