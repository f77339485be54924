/* Inside the data room: one augmented sample. */
#ifndef KATA_DATA_AUGMENT_H
#define KATA_DATA_AUGMENT_H

#include <kata/data.h>

/* Does it change anything? NULL and all zeros do not. */
bool kata__augment_is_on(const kata_augment *augment);

/* Writes sample number `sample`, a picture (channels, height, width) of dtype `from_dtype`, changed
 * at random, to `to` of dtype `to_dtype`. The changes are a function of (seed, epoch, sample).
 * Allocates nothing. What comes in from outside the picture is 0. */
void kata__augment_sample(const kata_augment *augment, uint64_t seed, uint64_t epoch,
                          int64_t sample, int channels, int height, int width, const void *from,
                          kata_dtype from_dtype, void *to, kata_dtype to_dtype);

#endif
