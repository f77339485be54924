/* The fingerprint of a training is made from lists of all members of the option structs. A member
 * that a list lacks does not compile: the struct is initialised from its list, in order, and a
 * member left over is an error (-Wmissing-field-initializers). */
#include "train/fingerprint.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"

/* X(kind, member). What is not written: PLAIN and NESTED members that change no bit of the result,
 * or are written by hand below. */
#define OPTIMIZER(X)                                                                               \
    X(PLAIN, rule) /* by name */                                                                   \
    X(DOUBLE, lr)                                                                                  \
    X(DOUBLE, momentum)                                                                            \
    X(DOUBLE, beta1)                                                                               \
    X(DOUBLE, beta2)                                                                               \
    X(DOUBLE, decay)                                                                               \
    X(DOUBLE, epsilon)                                                                             \
    X(DOUBLE, weight_decay)                                                                        \
    X(NESTED, numbers) /* by name */

#define COMPILE(X)                                                                                 \
    X(PLAIN, loss) /* losses are written for each output, as they were resolved */                 \
    X(NESTED, loss_numbers)                                                                        \
    X(NESTED, outputs)                                                                             \
    X(NESTED, optimizer)    /* OPTIMIZER */                                                        \
    X(PLAIN, class_weights) /* each number */                                                      \
    X(INT, n_class_weights)                                                                        \
    X(DOUBLE, label_smoothing)                                                                     \
    X(DOUBLE, clip_value)                                                                          \
    X(DOUBLE, clip_norm)                                                                           \
    X(UINT64, seed)                                                                                \
    X(PLAIN, precision) /* by name */                                                              \
    X(PLAIN, recompute) /* the same bits */

#define SCHEDULE(X)                                                                                \
    X(PLAIN, kind) /* by name */                                                                   \
    X(DOUBLE, factor)                                                                              \
    X(INT, every)                                                                                  \
    X(DOUBLE, final)                                                                               \
    X(DOUBLE, initial)                                                                             \
    X(DOUBLE, warmup)                                                                              \
    X(INT, patience)

#define AUGMENT(X)                                                                                 \
    X(DOUBLE, shift)                                                                               \
    X(DOUBLE, rotate)                                                                              \
    X(DOUBLE, scale)                                                                               \
    X(DOUBLE, shear)                                                                               \
    X(DOUBLE, elastic)                                                                             \
    X(DOUBLE, elastic_sigma)                                                                       \
    X(INT, flip)                                                                                   \
    X(INT, crop)                                                                                   \
    X(DOUBLE, brightness)                                                                          \
    X(INT, cut_out)

#define EARLY_STOPPING(X)                                                                          \
    X(INT, patience)                                                                               \
    X(DOUBLE, min_delta)                                                                           \
    X(INT, keep_last)

#define FIT(X)                                                                                     \
    X(PLAIN, epochs) /* how far to go: compared by kata__checkpoint_read */                        \
    X(PLAIN, steps)                                                                                \
    X(PLAIN, batch)      /* as it was resolved */                                                  \
    X(PLAIN, validation) /* how many samples */                                                    \
    X(DOUBLE, validation_split)                                                                    \
    X(INT, no_shuffle)                                                                             \
    X(NESTED, schedule)       /* SCHEDULE */                                                       \
    X(NESTED, augment)        /* AUGMENT */                                                        \
    X(NESTED, early_stopping) /* EARLY_STOPPING */                                                 \
    X(PLAIN, checkpoint)      /* where to and how often to save */                                 \
    X(PLAIN, checkpoint_every)                                                                     \
    X(PLAIN, resume)                                                                               \
    X(PLAIN, extend)                                                                               \
    X(PLAIN, history) /* what is told, and to whom */                                              \
    X(PLAIN, callback)                                                                             \
    X(PLAIN, callback_user)                                                                        \
    X(PLAIN, stop)                                                                                 \
    X(PLAIN, profile)                                                                              \
    X(NESTED, metrics)                                                                             \
    X(PLAIN, rows)                                                                                 \
    X(PLAIN, n_rows)

#define NONE_numbers {{.name = NULL}},
#define NONE_loss_numbers {{.name = NULL}},
#define NONE_outputs {{.loss = NULL}},
#define NONE_metrics {{.name = NULL}},
#define NONE_optimizer {.rule = NULL},
#define NONE_schedule {.kind = KATA_SCHEDULE_CONSTANT},
#define NONE_augment {.shift = 0},
#define NONE_early_stopping {.patience = 0},
#define ZERO_PLAIN(member) 0,
#define ZERO_INT(member) 0,
#define ZERO_UINT64(member) 0,
#define ZERO_DOUBLE(member) 0,
#define ZERO_NESTED(member) NONE_##member
#define ZERO(kind, member) ZERO_##kind(member)
#define WHOLE(type, LIST) __attribute__((unused)) static const type whole_##type = {LIST(ZERO)}
/* clang-format off */
WHOLE(kata_optimizer, OPTIMIZER);
WHOLE(kata_compile_options, COMPILE);
WHOLE(kata_schedule, SCHEDULE);
WHOLE(kata_augment, AUGMENT);
WHOLE(kata_early_stopping, EARLY_STOPPING);
WHOLE(kata_fit_options, FIT);
/* clang-format on */

#define WRITE_PLAIN(group, member)
#define WRITE_NESTED(group, member)
#define WRITE_INT(group, member)                                                                   \
    kata__buffer_printf(out, group "." #member "=%d ", (int)from->member);
#define WRITE_UINT64(group, member)                                                                \
    kata__buffer_printf(out, group "." #member "=%" PRIu64 " ", from->member);
#define WRITE_DOUBLE(group, member)                                                                \
    kata__buffer_printf(out, group "." #member "=%a ", from->member + 0.0);

static void write_optimizer(const kata_optimizer *from, kata__buffer *out) {
    kata__buffer_printf(out, "optimizer=%s ", from->rule->name);
#define X(kind, member) WRITE_##kind("optimizer", member)
    OPTIMIZER(X)
#undef X
    for (int i = 0; i < KATA_MAX_NUMBERS && from->numbers[i].name != NULL; i++) {
        kata__buffer_printf(out, "optimizer.%s=%a ", from->numbers[i].name,
                            from->numbers[i].value + 0.0);
    }
}

static void write_losses(const struct kata__trainer *trainer, kata__buffer *out) {
    for (int k = 0; k < trainer->n_raw; k++) {
        const kata__output *o = &trainer->outputs[k];
        kata__buffer_printf(out, "loss_%d=%s loss_%d.weight=%a ", k, o->loss->name, k, o->weight);
        for (int i = 0; o->loss->numbers != NULL && o->loss->numbers[i].name != NULL; i++) {
            kata__buffer_printf(out, "loss_%d.%s=%a ", k, o->loss->numbers[i].name, o->numbers[i]);
        }
    }
}

static void write_compile(const kata_compile_options *from, kata__buffer *out) {
    kata__buffer_printf(out, "precision=%s ", kata_precision_name(from->precision));
#define X(kind, member) WRITE_##kind("compile", member)
    COMPILE(X)
#undef X
    for (int i = 0; i < from->n_class_weights; i++) {
        kata__buffer_printf(out, "class_weight_%d=%a ", i, (double)from->class_weights[i]);
    }
}

static void write_schedule(const kata_schedule *from, kata__buffer *out) {
    kata__buffer_printf(out, "schedule=%s ", kata_schedule_name(from->kind));
#define X(kind, member) WRITE_##kind("schedule", member)
    SCHEDULE(X)
#undef X
}

static void write_augment(const kata_augment *from, kata__buffer *out) {
#define X(kind, member) WRITE_##kind("augment", member)
    AUGMENT(X)
#undef X
}

static void write_early_stopping(const kata_early_stopping *from, kata__buffer *out) {
#define X(kind, member) WRITE_##kind("early_stopping", member)
    EARLY_STOPPING(X)
#undef X
}

static void write_fit(const kata_fit_options *from, kata__buffer *out) {
#define X(kind, member) WRITE_##kind("fit", member)
    FIT(X)
#undef X
}

/* Penalties and what is frozen belong to the model's variables. */
static void write_variables(const kata_graph *graph, kata__buffer *out) {
    for (size_t i = 0; i < graph->n_variables; i++) {
        const kata_variable *v = graph->variables[i];
        if (v->trainable && (v->frozen || v->l1 != 0 || v->l2 != 0)) {
            kata__buffer_printf(out,
                                "variable_%zu.frozen=%d variable_%zu.l1=%a variable_%zu.l2=%a ", i,
                                v->frozen, i, (double)v->l1, i, (double)v->l2);
        }
    }
}

kata_status kata__fingerprint(const kata__run *run, kata__buffer *out) {
    const struct kata__trainer *trainer = run->trainer;
    write_losses(trainer, out);
    write_optimizer(&trainer->options.optimizer, out);
    write_compile(&trainer->options, out);
    write_fit(run->options, out);
    write_schedule(&run->options->schedule, out);
    write_augment(&run->options->augment, out);
    write_early_stopping(&run->options->early_stopping, out);
    write_variables(trainer->model->graph, out);
    return kata__buffer_printf(
        out, "batch=%" PRId64 " samples=%" PRId64 " validation_samples=%" PRId64, run->batch,
        run->n, run->validation != NULL ? run->validation->n : 0);
}
