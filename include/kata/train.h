/* Kata, train room: compile, fit, evaluate, predict.
 *
 *     kata_compile(m, .loss = KATA_SOFTMAX_CROSS_ENTROPY, .optimizer = kata_adam(.lr = 1e-3));
 *     kata_fit(m, train, .epochs = 20, .batch = 100, .validation = test);
 *
 * One training step is one graph: forward, loss, backward, update. Its memory is placed before it
 * runs and it allocates nothing. The same seed gives the same bits for any number of threads, and a
 * run that was stopped and resumed ends on the same bits as one that was not.
 */
#ifndef KATA_TRAIN_H
#define KATA_TRAIN_H

#include <kata/data.h>
#include <kata/exec.h>
#include <kata/metric.h>
#include <kata/nn.h>
#include <kata/predict.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- numbers of losses and optimisers ----------------------------------------------------------
 *
 * A member that is 0 takes its default; KATA_ZERO (kata/nn.h) means 0 itself. */

#define KATA_MAX_NUMBERS 8

/* One number that a loss or an optimiser has. A list of them ends with a zeroed one. */
typedef struct kata_number_spec {
    const char *name; /* "delta" */
    double value;     /* the default */
    double minimum, maximum;
    const char *doc;
} kata_number_spec;

/* A number given by name; lists of them end with a zeroed one. */
typedef struct kata_number {
    const char *name;
    double value;
} kata_number;

/* --- losses ------------------------------------------------------------------------------------
 *
 * A loss is one row, the library's own like those of others: examples/own_loss.c has one. */

/* What the numbers of an output mean, and so which figures say how good they are. */
typedef enum kata_task {
    KATA_TASK_CLASSES, /* one class of several: accuracy, kata_classification */
    KATA_TASK_LABELS,  /* several labels, yes or no: share of right labels, kata_multi_label */
    KATA_TASK_NUMBERS  /* quantities: mean absolute error, kata_regression */
} kata_task;
/* "accuracy", "label_accuracy", "mean_absolute_error": its main figure's key in JSON. */
KATA_API const char *kata_task_figure(kata_task task);

/* What a loss is built from. The graph has one batch size. */
typedef struct kata_loss_call {
    kata_graph *graph;
    kata_value output; /* the raw output, float32 (n, ...) */
    kata_value target; /* class numbers int64 (n) if `classes`, else float32 of the output's
                          shape, smoothed where that is wanted */
    bool classes;
    kata_value class_weights;  /* float32, a number for each class or label; none: all 1 */
    kata_value sample_weights; /* float32 (n); none: all 1 */
    const double *numbers;     /* in the order of the row's list */
} kata_loss_call;

typedef struct kata_loss {
    size_t size;      /* sizeof(kata_loss): members that a later version adds are 0 then */
    const char *name; /* "huber" */
    kata_task task;
    const char *activation; /* the operator that makes probabilities of raw outputs ("Softmax",
                               "Sigmoid"); NULL: raw outputs are what is wanted */
    bool takes_classes;     /* build can do with class numbers (TASK_CLASSES) */
    const kata_number_spec *numbers; /* NULL: none */
    /* Adds nodes and returns the scalar that is made small: the mean over the batch. */
    kata_value (*build)(const kata_loss_call *call);
    const char *doc;
} kata_loss;
/* Mean over samples of the mean of e over all other axes, e float32 (n, ...), with the sample
 * weights: for `build`. */
KATA_API kata_value kata_loss_mean(const kata_loss_call *call, kata_value e);

/* X(name): the library's losses, one line each: kata_loss_NAME. */
#define KATA_LOSS_LIST(X)                                                                          \
    X(softmax_cross_entropy)                                                                       \
    X(sigmoid_cross_entropy)                                                                       \
    X(mean_squared_error)                                                                          \
    X(mean_absolute_error)                                                                         \
    X(huber)
#define X(name) KATA_API extern const kata_loss kata_loss_##name;
KATA_LOSS_LIST(X)
#undef X
#define KATA_SOFTMAX_CROSS_ENTROPY (&kata_loss_softmax_cross_entropy)
#define KATA_SIGMOID_CROSS_ENTROPY (&kata_loss_sigmoid_cross_entropy)
#define KATA_MEAN_SQUARED_ERROR (&kata_loss_mean_squared_error)
#define KATA_MEAN_ABSOLUTE_ERROR (&kata_loss_mean_absolute_error)
#define KATA_HUBER (&kata_loss_huber)
/* All of them, in the list's order; NULL beyond the last. And by name; NULL: there is none. */
KATA_API const kata_loss *kata_loss_at(int i);
KATA_API const kata_loss *kata_loss_find(const char *name);

/* --- optimisers --------------------------------------------------------------------------------
 *
 * A rule is one row too: examples/own_optimizer.c has one. */

/* What a step is built from, for one weight. */
typedef struct kata_update {
    kata_graph *graph;
    kata_value weight, gradient; /* of one shape */
    const kata_value *states;    /* as many as the rule has, of the weight's shape; 0 at first */
    kata_value lr, step;         /* float32 scalars: learning rate; number of the step, from 1 */
    double weight_decay;         /* 0 for biases and scales */
    const double *numbers;       /* in the order of the rule's list */
    kata_value *new_states;      /* to be set */
} kata_update;

#define KATA_MAX_STATES 4
typedef struct kata_optimizer_rule {
    size_t size;             /* sizeof(kata_optimizer_rule) */
    const char *name;        /* "adam" */
    double lr, weight_decay; /* the defaults */
    /* Either an update operator, which also says states (outputs beyond the first), numbers
     * (attributes) and their defaults: inputs w, states, gradient, lr and, if it has that many, the
     * number of the step; outputs w and states, in place. */
    const char *op; /* "kata:Adam" */
    /* Or nodes: `build` returns the new weight and sets new_states. */
    int n_states;
    const kata_number_spec *numbers;
    kata_value (*build)(kata_update *update);
    const char *doc;
} kata_optimizer_rule;

/* X(name): the library's rules, one line each: kata_rule_NAME, which is number
 * KATA_OPTIMIZER_AT_NAME. */
#define KATA_OPTIMIZER_LIST(X)                                                                     \
    X(sgd)                                                                                         \
    X(momentum)                                                                                    \
    X(nesterov)                                                                                    \
    X(adagrad)                                                                                     \
    X(rmsprop)                                                                                     \
    X(adam)                                                                                        \
    X(adamw)
#define X(name) KATA_API extern const kata_optimizer_rule kata_rule_##name;
KATA_OPTIMIZER_LIST(X)
#undef X
enum {
#define X(name) KATA_OPTIMIZER_AT_##name,
    KATA_OPTIMIZER_LIST(X)
#undef X
};
KATA_API const kata_optimizer_rule *kata_optimizer_at(int i);
KATA_API const kata_optimizer_rule *kata_optimizer_find(const char *name);

/* A rule and its numbers; 0 takes the rule's default, KATA_ZERO is 0. A number that the rule does
 * not have is refused. */
typedef struct kata_optimizer {
    const kata_optimizer_rule *rule; /* NULL: SGD */
    double lr;
    double momentum;     /* Momentum, Nesterov: 0.9 */
    double beta1, beta2; /* Adam, AdamW: 0.9, 0.999 */
    double decay;        /* RMSProp: 0.99 */
    double epsilon;      /* AdaGrad, RMSProp, Adam, AdamW: 1e-7 */
    double weight_decay; /* decoupled: w -= lr * weight_decay * w; not on biases */
    kata_number numbers[KATA_MAX_NUMBERS]; /* of other rules, by name */
} kata_optimizer;
#define kata_sgd(...) ((kata_optimizer){.rule = &kata_rule_sgd, __VA_ARGS__})
#define kata_momentum(...) ((kata_optimizer){.rule = &kata_rule_momentum, __VA_ARGS__})
#define kata_nesterov(...) ((kata_optimizer){.rule = &kata_rule_nesterov, __VA_ARGS__})
#define kata_adagrad(...) ((kata_optimizer){.rule = &kata_rule_adagrad, __VA_ARGS__})
#define kata_rmsprop(...) ((kata_optimizer){.rule = &kata_rule_rmsprop, __VA_ARGS__})
#define kata_adam(...) ((kata_optimizer){.rule = &kata_rule_adam, __VA_ARGS__})
#define kata_adamw(...) ((kata_optimizer){.rule = &kata_rule_adamw, __VA_ARGS__})
/* Does the rule of an optimiser have a number of this name ("beta1")? */
KATA_API bool kata_optimizer_has(const kata_context *context, const kata_optimizer_rule *rule,
                                 const char *number);
/* All numbers filled in. KATA_INVALID: one is out of range, or the rule does not have it. */
KATA_API kata_status kata_optimizer_resolve(const kata_context *context, kata_optimizer *optimizer);

/* The loss of one output of several. */
typedef struct kata_output_loss {
    const kata_loss *loss; /* NULL: that of the options, with its numbers */
    double weight;         /* its share in the sum; 0: 1 */
    kata_number numbers[KATA_MAX_NUMBERS];
} kata_output_loss;

#define KATA_MAX_LOSSES 8 /* outputs that are trained */
typedef struct kata_compile_options {
    const kata_loss *loss; /* of every output; NULL: that of the model's file, else softmax
                              cross-entropy */
    kata_number loss_numbers[KATA_MAX_NUMBERS]; /* {{"delta", 0.5}}; others have the default */
    kata_output_loss outputs[KATA_MAX_LOSSES];  /* where outputs differ */
    kata_optimizer optimizer;
    const float *class_weights; /* as many as classes (softmax) or labels (sigmoid); copied */
    int n_class_weights;
    double label_smoothing; /* target 1 becomes 1 - s + s/classes, 0 becomes s/classes */
    double clip_value;      /* each gradient number into [-v, v]; 0: off */
    double clip_norm;       /* all gradients together scaled to at most this L2 norm; 0: off */
    uint64_t seed;          /* initial weights (of a model that was not trained or loaded), dropout,
                               shuffling, augmentation */
    kata_precision precision; /* 0: float32 */
    bool recompute; /* less memory for more time: activations are computed a second time for the
                       backward pass where that makes the planned memory smaller (Chen et al.
                       2016). No bit of any result changes */
} kata_compile_options;
/* Finishes the model for training. A classifier's graph gets, before its raw output ("logits"), the
 * output "probabilities"; where the model already ends in the loss's own activation, that is the
 * output, under its name, and what goes into it is the raw one. */
#define kata_compile(model, ...) kata_compile_with((model), &(kata_compile_options){__VA_ARGS__})
KATA_API kata_status kata_compile_with(kata_model *model, const kata_compile_options *options);

/* The loss that output k of a model was compiled or saved with; NULL: it does not say, or says one
 * that is not the library's. */
KATA_API const kata_loss *kata_model_loss(const kata_model *model, int k);
/* The loss that fits where nobody says one: the model's own, else that of the activation that its
 * first output ends in, else by the targets: classes or numbers. */
KATA_API const kata_loss *kata_loss_for(kata_model *model, const kata_dataset *dataset);

/* The same choice for a model that is compiled or only predicts; plans that were made for another
 * are dropped. KATA_INVALID for a number that is no precision. */
KATA_API kata_status kata_set_precision(kata_model *model, kata_precision precision);

/* X(name, text): the learning rate as a function of the step. Total: epochs * steps an epoch. */
#define KATA_SCHEDULE_LIST(X)                                                                      \
    X(CONSTANT, "constant")                                                                        \
    X(STEP, "step")               /* lr * factor^floor(epoch / every) */                           \
    X(EXPONENTIAL, "exponential") /* lr * factor^epoch, smoothly by step */                        \
    X(COSINE, "cosine")           /* from lr to lr * final along half a cosine */                  \
    X(ONE_CYCLE, "one-cycle") /* up from lr * initial to lr over the first share `warmup`, then    \
                                 cosine down to lr * final (Smith 2018) */                         \
    X(PLATEAU, "plateau")     /* times factor when the loss watched has not improved for patience */
typedef enum kata_schedule_kind {
#define X(name, text) KATA_SCHEDULE_##name,
    KATA_SCHEDULE_LIST(X)
#undef X
        KATA_SCHEDULE_COUNT
} kata_schedule_kind;
typedef struct kata_schedule {
    kata_schedule_kind kind;
    double factor;  /* 0: step 0.1, exponential 0.95, plateau 0.1 */
    int every;      /* step: epochs; 0: 10 */
    double final;   /* cosine, one-cycle: share of lr at the end; 0 is 0 */
    double initial; /* one-cycle: share of lr at the start; 0: 0.1 */
    double warmup;  /* one-cycle: share of all steps; 0: 0.25. Others: linear warm-up over so many
                       epochs; 0: none */
    int patience;   /* plateau: epochs; 0: 5 */
} kata_schedule;
/* lr at a step (from 0) of a run of `steps_per_epoch` * `epochs` steps; plateau is held by
 * kata_fit. */
KATA_API double kata_schedule_rate(const kata_schedule *schedule, double lr, int64_t step,
                                   int64_t steps_per_epoch, int64_t epochs);

/* One epoch's figures. Members that a run does not have are NaN. `accuracy` is the share of right
 * answers with a softmax loss, of right labels with a sigmoid loss, and the mean absolute error
 * otherwise. */
#define KATA_MAX_METRICS 4
typedef struct kata_history_row {
    int64_t epoch, step; /* epochs and steps done */
    double loss, accuracy, val_loss, val_accuracy, lr, seconds;
    double metrics[KATA_MAX_METRICS]; /* means over the epoch of those of kata_fit_options */
    uint64_t weights_hash;
} kata_history_row;

typedef struct kata_progress {
    int64_t epoch, epochs, batch, batches; /* epoch from 1; batches done in this epoch */
    double loss, accuracy;                 /* means of this epoch so far */
    double seconds;                        /* of this epoch so far */
    double samples_per_second;
    const kata_history_row *row; /* not NULL at the end of an epoch */
} kata_progress;

/* A figure of one's own, told with each epoch beside loss and accuracy: a mean over samples. */
typedef struct kata_metric {
    const char *name; /* its key in the history */
    int output;       /* of which output */
    void *user;
    /* The sum over the batch's samples. `output` is raw, float32 (n, ...); `target` class numbers
     * int64 (n), or float32 of the output's shape. */
    double (*sum)(void *user, const kata_tensor *output, const kata_tensor *target);
} kata_metric;

typedef struct kata_early_stopping {
    int patience;     /* epochs without improvement; 0: off */
    double min_delta; /* what counts as an improvement of the loss watched */
    bool keep_last;   /* keep the last weights instead of the best */
} kata_early_stopping;

typedef struct kata_fit_options {
    int64_t epochs;                 /* 0: 1 */
    int64_t steps;                  /* stop after so many steps in all; 0: by epochs alone */
    int64_t batch;                  /* 0: 100 */
    const kata_dataset *validation; /* measured after each epoch */
    double validation_split;        /* or split this share off the training set (stratified) */
    bool no_shuffle;
    kata_schedule schedule;
    kata_augment augment;
    kata_early_stopping early_stopping; /* watches val_loss, or loss without validation */
    const char *checkpoint;   /* file, written at the start and after each epoch; NULL: none */
    int64_t checkpoint_every; /* and after every so many steps; 0: epochs only */
    bool resume; /* go on from the checkpoint file; KATA_NOT_FOUND if there is none, KATA_INVALID if
                    it was made with other settings. More epochs or steps than before go on with a
                    finished run, as if it had been that long from the start */
    bool extend; /* with resume: also where the schedule goes by the end of the run (cosine,
                    one-cycle), which is laid over the new number then */
    const char *history; /* JSON lines file, one object an epoch; NULL: none */
    void (*callback)(void *user, const kata_progress *progress); /* after each step and epoch */
    void *callback_user;
    const volatile int *stop;              /* not 0: finish the batch, save the checkpoint, return
                                              KATA_INTERRUPTED */
    bool profile;                          /* time each node: kata_training_session */
    kata_metric metrics[KATA_MAX_METRICS]; /* those with a name */
    kata_history_row *rows;                /* filled with the first n_rows epochs; may be NULL */
    int n_rows;
} kata_fit_options;
/* Trains. KATA_NON_FINITE names layer, tensor, epoch and batch, and the weights stay as they were
 * before that batch. */
#define kata_fit(model, dataset, ...)                                                              \
    kata_fit_with((model), (dataset), &(kata_fit_options){__VA_ARGS__})
KATA_API kata_status kata_fit_with(kata_model *model, const kata_dataset *dataset,
                                   const kata_fit_options *options);
/* The same with batches from a source. `validation_split` is of data sets alone. A schedule that
 * goes by epochs needs a source that knows how many samples one has. */
KATA_API kata_status kata_fit_source(kata_model *model, const kata_source *source,
                                     const kata_fit_options *options);

/* What a classifier said of a sample. */
typedef struct kata_answer {
    int truth, answer; /* classes */
    float p_truth, p;  /* the probabilities that it gave the two */
} kata_answer;

/* What a model does on a data set: the loss of all outputs, the other figures of the first.
 * classification is filled (and must be freed by kata_evaluation_free) for a softmax loss,
 * multi_label for a sigmoid loss, regression otherwise. The outputs themselves, which may be many
 * times the data, are kata_predict's. */
typedef struct kata_evaluation {
    int64_t n;
    double loss;
    kata_task task; /* of the first output */
    kata_classification classification;
    kata_multi_label multi_label;
    kata_regression regression;
    kata_answer *answers; /* (n), in the data set's order, for a softmax loss; else NULL */
    int64_t n_outputs;    /* numbers that the first output has for a sample */
    kata_context *context;
} kata_evaluation;
KATA_API kata_status kata_evaluate(kata_model *model, const kata_dataset *dataset,
                                   kata_evaluation *out);
KATA_API void kata_evaluation_free(kata_evaluation *evaluation);

/* Output 0 of a model with one input for samples (n, ...): `out` is a float32 tensor of the
 * caller's with a row for each, (n, outputs). A model with a fixed first axis takes any n too,
 * where it does the same to each sample by itself; KATA_SHAPE says so where not. KATA_NON_FINITE
 * names the sample whose numbers are none. From any number of threads at a time, as long as none
 * changes the model; after the first calls of a size nothing is allocated. More inputs and outputs:
 * kata/predict.h. */
KATA_API kata_status kata_predict(kata_model *model, const kata_tensor *input,
                                  const kata_tensor *out);

KATA_API const char *kata_schedule_name(kata_schedule_kind kind);
KATA_API const char *kata_precision_name(kata_precision precision);
KATA_API bool kata_schedule_parse(const char *text, kata_schedule_kind *out);

/* The memory of training at a batch size, in bytes: all that there is from the second step on,
 * beside the data set and what kata_fit keeps of a run (8 bytes a sample for the order, the
 * history). Nothing of it is a guess: a test compares it with what the allocator gave. */
typedef struct kata_memory {
    size_t arena;     /* activations, gradients, workspaces: one block, placed by the plan */
    size_t weights;   /* the model's variables */
    size_t state;     /* the optimiser's variables */
    size_t structure; /* the step's graph and plan: names, nodes, pointers */
} kata_memory;
/* Plans the step (with class numbers as targets where the loss takes them) if there is no plan yet.
 * KATA_INVALID if the model is not compiled; KATA_OUT_OF_MEMORY; `out` is written on success alone.
 */
KATA_API kata_status kata_training_memory(kata_memory *out, kata_model *model, int64_t batch);
/* The session of the last full-size training step (its profile with .profile); NULL if none. Lent.
 */
KATA_API const kata_session *kata_training_session(const kata_model *model);

#ifdef __cplusplus
}
#endif
#endif
