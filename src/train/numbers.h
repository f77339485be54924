/* Numbers by name: what a loss or an optimiser has, and what was given. */
#ifndef KATA_TRAIN_NUMBERS_H
#define KATA_TRAIN_NUMBERS_H

#include <kata/train.h>
#include "nn/model.h"

/* The place of a name in a list (NULL: an empty one), -1 if it is not there. */
int kata__number_index(const kata_number_spec *list, const char *name);
/* Defaults into out[]. KATA_LIMIT if the list is too long. */
kata_status kata__numbers_default(const kata_number_spec *list, const char *owner,
                                  double out[KATA_MAX_NUMBERS]);
/* One number given by name; KATA_INVALID: `owner` ("adam") does not have it, or out of range. */
kata_status kata__number_set(const kata_number_spec *list, const char *owner, const char *name,
                             double value, double out[KATA_MAX_NUMBERS]);
/* All of a list of given numbers. */
kata_status kata__numbers_set(const kata_number_spec *list, const char *owner,
                              const kata_number given[KATA_MAX_NUMBERS],
                              double out[KATA_MAX_NUMBERS]);
/* KATA_INVALID unless minimum <= value <= maximum. */
kata_status kata__number_check(const char *name, double value, double minimum, double maximum);

#endif
