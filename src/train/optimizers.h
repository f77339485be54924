/* What an optimiser's row comes to in a context. */
#ifndef KATA_TRAIN_OPTIMIZERS_H
#define KATA_TRAIN_OPTIMIZERS_H

#include "train/numbers.h"

typedef struct kata__rule {
    int n_states;
    bool takes_step;                 /* the operator has an input for the step's number */
    bool decays;                     /* weight_decay has a meaning */
    const kata_number_spec *numbers; /* `own` or the row's; NULL: none */
    kata_number_spec own[KATA_MAX_NUMBERS + 1];
} kata__rule;

/* KATA_INVALID etc. if the row is not whole. `out` may not be moved: it points into itself. */
kata_status kata__rule_get(const kata_context *context, const kata_optimizer_rule *rule,
                           kata__rule *out);
/* The numbers of an optimiser in the order of the rule's list. */
kata_status kata__optimizer_numbers(const kata_optimizer *optimizer, const kata__rule *rule,
                                    double out[KATA_MAX_NUMBERS]);

#endif
