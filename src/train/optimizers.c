/* The rows of the optimisers, and what an optimiser's numbers are. The rules themselves are the
 * update operators of src/op/update.c (scratch-book-2 section 6.1). */
#include "train/optimizers.h"

#include <stddef.h>
#include <string.h>

#include "base/check.h"

#define RULE(symbol, text, operator, rate, decay, about)                                           \
    const kata_optimizer_rule kata_rule_##symbol = {.size = sizeof(kata_optimizer_rule),           \
                                                    .name = text,                                  \
                                                    .op = operator,                                \
                                                    .lr = rate,                                    \
                                                    .weight_decay = decay,                         \
                                                    .doc = about}
RULE(sgd, "sgd", "kata:SGD", 0.01, 0, "the gradient, times the learning rate");
RULE(momentum, "momentum", "kata:Momentum", 0.01, 0, "a ball that keeps rolling");
RULE(nesterov, "nesterov", "kata:Nesterov", 0.01, 0, "momentum that looks ahead");
RULE(adagrad, "adagrad", "kata:AdaGrad", 0.01, 0, "smaller steps where gradients were large");
RULE(rmsprop, "rmsprop", "kata:RMSProp", 0.01, 0, "AdaGrad that forgets");
RULE(adam, "adam", "kata:Adam", 0.001, 0, "momentum and RMSProp together (Kingma and Ba 2015)");
RULE(adamw, "adamw", "kata:Adam", 0.001, 0.01, "Adam with decoupled weight decay");

static const kata_optimizer_rule *const rows[] = {
#define X(name) &kata_rule_##name,
    KATA_OPTIMIZER_LIST(X)
#undef X
};

const kata_optimizer_rule *kata_optimizer_at(int i) {
    return i >= 0 && (size_t)i < KATA__COUNT(rows) ? rows[i] : NULL;
}

const kata_optimizer_rule *kata_optimizer_find(const char *name) {
    for (size_t i = 0; i < KATA__COUNT(rows); i++) {
        if (strcmp(rows[i]->name, name) == 0) {
            return rows[i];
        }
    }
    return NULL;
}

/* The numbers that have a member of their own. */
static const struct member {
    const char *name;
    size_t offset;
} members[] = {{"momentum", offsetof(kata_optimizer, momentum)},
               {"beta1", offsetof(kata_optimizer, beta1)},
               {"beta2", offsetof(kata_optimizer, beta2)},
               {"decay", offsetof(kata_optimizer, decay)},
               {"epsilon", offsetof(kata_optimizer, epsilon)}};

static double *member_of(kata_optimizer *optimizer, size_t i) {
    return (double *)((char *)optimizer + members[i].offset);
}

/* An update operator's numbers are its attributes but for weight_decay, each a share: 0 to 1. */
static kata_status numbers_of_operator(const kata_context *context, const kata_optimizer_rule *rule,
                                       kata__rule *out) {
    const kata_op *op = kata_op_find(context, rule->op);
    if (op == NULL) {
        return kata_fail(KATA_INVALID,
                         "the optimizer %s updates with the operator %s, which there is not; "
                         "kata_op_register adds it",
                         rule->name, rule->op);
    }
    int n = 0;
    for (int i = 0; op->attributes != NULL && op->attributes[i].name != NULL; i++) {
        const kata_attribute_spec *a = &op->attributes[i];
        if (strcmp(a->name, "weight_decay") == 0) {
            out->decays = true;
        } else if (a->type == KATA_ATTRIBUTE_FLOAT && n < KATA_MAX_NUMBERS) {
            out->own[n++] = (kata_number_spec){a->name, a->default_float, 0, 1, a->doc};
        }
    }
    out->numbers = out->own;
    out->n_states = op->min_outputs - 1;
    out->takes_step = op->max_inputs > out->n_states + 3;
    return KATA_OK;
}

kata_status kata__rule_get(const kata_context *context, const kata_optimizer_rule *rule,
                           kata__rule *out) {
    *out = (kata__rule){.n_states = rule->n_states, .numbers = rule->numbers, .decays = true};
    if (rule->size < sizeof *rule || rule->name == NULL ||
        (rule->op == NULL) == (rule->build == NULL)) {
        return kata_fail(KATA_INVALID,
                         "an optimizer's row needs its size (sizeof(kata_optimizer_rule)), a name, "
                         "and either an update operator or `build`");
    }
    if (rule->op != NULL) {
        out->decays = false;
        KATA__TRY(numbers_of_operator(context, rule, out));
    }
    if (out->n_states < 0 || out->n_states > KATA_MAX_STATES) {
        return kata_fail(KATA_LIMIT, "the optimizer %s has %d states; there can be 0 to %d",
                         rule->name, out->n_states, KATA_MAX_STATES);
    }
    return KATA_OK;
}

bool kata_optimizer_has(const kata_context *context, const kata_optimizer_rule *rule,
                        const char *number) {
    kata__rule row;
    if (kata__rule_get(context, rule, &row) != KATA_OK) {
        kata_error_clear();
        return false;
    }
    return kata__number_index(row.numbers, number) >= 0;
}

kata_status kata__optimizer_numbers(const kata_optimizer *optimizer, const kata__rule *rule,
                                    double out[KATA_MAX_NUMBERS]) {
    const char *name = optimizer->rule->name;
    kata_optimizer copy = *optimizer;
    KATA__TRY(kata__numbers_default(rule->numbers, name, out));
    for (size_t i = 0; i < KATA__COUNT(members); i++) {
        const double value = *member_of(&copy, i);
        if (kata__is_given(value)) {
            KATA__TRY(kata__number_set(rule->numbers, name, members[i].name, value, out));
        }
    }
    return kata__numbers_set(rule->numbers, name, optimizer->numbers, out);
}

kata_status kata_optimizer_resolve(const kata_context *context, kata_optimizer *optimizer) {
    kata_optimizer o = *optimizer;
    kata__rule rule;
    double numbers[KATA_MAX_NUMBERS];
    o.rule = o.rule != NULL ? o.rule : &kata_rule_sgd;
    KATA__TRY(kata__rule_get(context, o.rule, &rule));
    KATA__TRY(kata__number_check("the learning rate", o.lr, 0, 1e6));
    KATA__TRY(kata__number_check("weight_decay", o.weight_decay, 0, 1e6));
    KATA__TRY(kata__optimizer_numbers(&o, &rule, numbers));
    o.lr = kata__given_or(o.lr, o.rule->lr);
    o.weight_decay = kata__given_or(o.weight_decay, o.rule->weight_decay);
    if (o.weight_decay > 0 && !rule.decays) {
        return kata_fail(KATA_INVALID, "the optimizer %s has no weight decay", o.rule->name);
    }
    /* What is 0 is written as KATA_ZERO: resolving once more changes nothing. */
    o.lr = o.lr == 0 ? KATA_ZERO : o.lr;
    o.weight_decay = o.weight_decay == 0 ? KATA_ZERO : o.weight_decay;
    int n = 0;
    memset(o.numbers, 0, sizeof o.numbers);
    for (size_t i = 0; i < KATA__COUNT(members); i++) {
        *member_of(&o, i) = 0;
    }
    for (int k = 0; rule.numbers != NULL && rule.numbers[k].name != NULL; k++) {
        double *to = NULL;
        for (size_t i = 0; i < KATA__COUNT(members); i++) {
            to = strcmp(members[i].name, rule.numbers[k].name) == 0 ? member_of(&o, i) : to;
        }
        if (to == NULL) {
            o.numbers[n].name = rule.numbers[k].name;
            to = &o.numbers[n++].value;
        }
        *to = numbers[k] == 0 ? KATA_ZERO : numbers[k];
    }
    *optimizer = o;
    return KATA_OK;
}
