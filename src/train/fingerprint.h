/* What decides the bits of a training, as text: a checkpoint may only be resumed where it agrees.
 */
#ifndef KATA_TRAIN_FINGERPRINT_H
#define KATA_TRAIN_FINGERPRINT_H

#include "train/run.h"

/* Words NAME=VALUE with a blank between. */
kata_status kata__fingerprint(const kata__run *run, kata__buffer *out);

#endif
