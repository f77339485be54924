/* Names of losses, optimisers and schedules; the learning rate of a step. */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "train/trainer.h"

static const char *const loss_names[] = {
#define X(name, text) text,
    KATA_LOSS_LIST(X)
#undef X
};
static const char *const optimizer_names[] = {
#define X(name, text) text,
    KATA_OPTIMIZER_LIST(X)
#undef X
};
static const char *const schedule_names[] = {
#define X(name, text) text,
    KATA_SCHEDULE_LIST(X)
#undef X
};

static const char *const precision_names[] = {
#define X(name, text) text,
    KATA_PRECISION_LIST(X)
#undef X
};

static int find(const char *text, const char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(text, names[i]) == 0) {
            return (int)i;
        }
    }
    return -1;
}

const char *kata_loss_name(kata_loss loss) {
    return (size_t)loss < KATA__COUNT(loss_names) ? loss_names[loss] : NULL;
}

bool kata_loss_parse(const char *text, kata_loss *out) {
    int i = find(text, loss_names, KATA__COUNT(loss_names));
    *out = i >= 0 ? (kata_loss)i : *out;
    return i >= 0;
}

const char *kata_optimizer_name(kata_optimizer_kind kind) {
    return (size_t)kind < KATA__COUNT(optimizer_names) ? optimizer_names[kind] : NULL;
}

bool kata_optimizer_parse(const char *text, kata_optimizer_kind *out) {
    int i = find(text, optimizer_names, KATA__COUNT(optimizer_names));
    *out = i >= 0 ? (kata_optimizer_kind)i : *out;
    return i >= 0;
}

const char *kata_precision_name(kata_precision precision) {
    return (size_t)precision < KATA__COUNT(precision_names) ? precision_names[precision] : NULL;
}

const char *kata_schedule_name(kata_schedule_kind kind) {
    return (size_t)kind < KATA__COUNT(schedule_names) ? schedule_names[kind] : NULL;
}

bool kata_schedule_parse(const char *text, kata_schedule_kind *out) {
    int i = find(text, schedule_names, KATA__COUNT(schedule_names));
    *out = i >= 0 ? (kata_schedule_kind)i : *out;
    return i >= 0;
}

static double or_default(double value, double otherwise) {
    return value != 0 ? value : otherwise;
}

/* From 1 at x = 0 down to `final` at x = 1 along half a cosine. */
static double half_cosine(double x, double final) {
    const double pi = 3.14159265358979323846;
    x = x < 0 ? 0 : x > 1 ? 1 : x;
    return final + (1 - final) * 0.5 * (1 + cos(pi * x));
}

double kata_schedule_rate(const kata_schedule *schedule, double lr, int64_t step,
                          int64_t steps_per_epoch, int64_t epochs) {
    double total = (double)steps_per_epoch * (double)epochs;
    double epoch = (double)step / (double)steps_per_epoch;
    double done = total > 1 ? (double)step / (total - 1) : 0;
    if (schedule->kind == KATA_SCHEDULE_ONE_CYCLE) {
        double rise = or_default(schedule->warmup, 0.25);
        double initial = or_default(schedule->initial, 0.1);
        if (done < rise) {
            return lr * (initial + (1 - initial) * done / rise);
        }
        return lr * half_cosine((done - rise) / (1 - rise), schedule->final);
    }
    double factor = 1;
    switch (schedule->kind) {
    case KATA_SCHEDULE_STEP:
        factor =
            pow(or_default(schedule->factor, 0.1), floor(epoch / or_default(schedule->every, 10)));
        break;
    case KATA_SCHEDULE_EXPONENTIAL:
        factor = pow(or_default(schedule->factor, 0.95), epoch);
        break;
    case KATA_SCHEDULE_COSINE:
        factor = half_cosine(done, schedule->final);
        break;
    default:
        break;
    }
    double warmup_steps = schedule->warmup * (double)steps_per_epoch;
    if ((double)step < warmup_steps) {
        factor *= ((double)step + 1) / (warmup_steps + 1);
    }
    return lr * factor;
}

/* --- optimisers ------------------------------------------------------------------------------- */

int kata__optimizer_states(kata_optimizer_kind kind) {
    switch (kind) {
    case KATA_OPTIMIZER_SGD:
        return 0;
    case KATA_OPTIMIZER_ADAM:
    case KATA_OPTIMIZER_ADAMW:
        return 2;
    default:
        return 1;
    }
}

const char *kata__optimizer_operator(kata_optimizer_kind kind) {
    static const char *const operators[] = {
        [KATA_OPTIMIZER_SGD] = "kata:SGD",           [KATA_OPTIMIZER_MOMENTUM] = "kata:Momentum",
        [KATA_OPTIMIZER_NESTEROV] = "kata:Nesterov", [KATA_OPTIMIZER_ADAGRAD] = "kata:AdaGrad",
        [KATA_OPTIMIZER_RMSPROP] = "kata:RMSProp",   [KATA_OPTIMIZER_ADAM] = "kata:Adam",
        [KATA_OPTIMIZER_ADAMW] = "kata:Adam"};
    return operators[kind];
}

kata_optimizer kata__optimizer_resolve(kata_optimizer o) {
    bool adam = o.kind == KATA_OPTIMIZER_ADAM || o.kind == KATA_OPTIMIZER_ADAMW;
    o.lr = or_default(o.lr, adam ? 0.001 : 0.01);
    o.momentum = or_default(o.momentum, 0.9);
    o.beta1 = or_default(o.beta1, 0.9);
    o.beta2 = or_default(o.beta2, 0.999);
    o.decay = or_default(o.decay, 0.99);
    o.epsilon = or_default(o.epsilon, 1e-7);
    if (o.kind == KATA_OPTIMIZER_ADAMW) {
        o.weight_decay = or_default(o.weight_decay, 0.01);
    }
    return o;
}
