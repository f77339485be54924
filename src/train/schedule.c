/* The learning rate of a step; names of schedules and precisions. */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "train/trainer.h"

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
        double rise = kata__given_or(schedule->warmup, 0.25);
        double initial = kata__given_or(schedule->initial, 0.1);
        if (done < rise) {
            return lr * (initial + (1 - initial) * done / rise);
        }
        return lr * half_cosine((done - rise) / (1 - rise), schedule->final);
    }
    double factor = 1;
    switch (schedule->kind) {
    case KATA_SCHEDULE_STEP:
        factor = pow(kata__given_or(schedule->factor, 0.1),
                     floor(epoch / (schedule->every > 0 ? schedule->every : 10)));
        break;
    case KATA_SCHEDULE_EXPONENTIAL:
        factor = pow(kata__given_or(schedule->factor, 0.95), epoch);
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
