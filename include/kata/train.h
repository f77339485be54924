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

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, text): losses, each the mean over the batch. y: the model's output, t: the target. */
#define KATA_LOSS_LIST(X)                                                                          \
    X(SOFTMAX_CROSS_ENTROPY,                                                                       \
      "softmax-cross-entropy") /* -sum t log softmax(y); t a class or (n,k) */                     \
    X(SIGMOID_CROSS_ENTROPY, "sigmoid-cross-entropy") /* several labels; mean over labels too */   \
    X(MEAN_SQUARED_ERROR, "mean-squared-error")                                                    \
    X(MEAN_ABSOLUTE_ERROR, "mean-absolute-error")                                                  \
    X(HUBER, "huber") /* e^2/2 for |e| <= d, d(|e| - d/2) beyond; d = huber_delta */
typedef enum kata_loss {
#define X(name, text) KATA_##name,
    KATA_LOSS_LIST(X)
#undef X
        KATA_LOSS_COUNT
} kata_loss;

/* X(name, text): optimisers; the rules are in src/kernel/update.h (scratch-book-2 section 6.1). */
#define KATA_OPTIMIZER_LIST(X)                                                                     \
    X(SGD, "sgd")                                                                                  \
    X(MOMENTUM, "momentum")                                                                        \
    X(NESTEROV, "nesterov")                                                                        \
    X(ADAGRAD, "adagrad")                                                                          \
    X(RMSPROP, "rmsprop")                                                                          \
    X(ADAM, "adam")                                                                                \
    X(ADAMW, "adamw")
typedef enum kata_optimizer_kind {
#define X(name, text) KATA_OPTIMIZER_##name,
    KATA_OPTIMIZER_LIST(X)
#undef X
        KATA_OPTIMIZER_COUNT
} kata_optimizer_kind;

/* Zero takes the book's default. */
typedef struct kata_optimizer {
    kata_optimizer_kind kind;
    double lr;           /* 0: 0.01; Adam, AdamW: 0.001 */
    double momentum;     /* 0: 0.9 */
    double beta1, beta2; /* 0: 0.9, 0.999 */
    double decay;        /* RMSProp; 0: 0.99 */
    double epsilon;      /* 0: 1e-7 */
    double weight_decay; /* decoupled: w -= lr * weight_decay * w; not on biases. AdamW 0: 0.01 */
} kata_optimizer;
#define kata_sgd(...) ((kata_optimizer){.kind = KATA_OPTIMIZER_SGD, __VA_ARGS__})
#define kata_momentum(...) ((kata_optimizer){.kind = KATA_OPTIMIZER_MOMENTUM, __VA_ARGS__})
#define kata_nesterov(...) ((kata_optimizer){.kind = KATA_OPTIMIZER_NESTEROV, __VA_ARGS__})
#define kata_adagrad(...) ((kata_optimizer){.kind = KATA_OPTIMIZER_ADAGRAD, __VA_ARGS__})
#define kata_rmsprop(...) ((kata_optimizer){.kind = KATA_OPTIMIZER_RMSPROP, __VA_ARGS__})
#define kata_adam(...) ((kata_optimizer){.kind = KATA_OPTIMIZER_ADAM, __VA_ARGS__})
#define kata_adamw(...) ((kata_optimizer){.kind = KATA_OPTIMIZER_ADAMW, __VA_ARGS__})

/* X(name, text): what convolutions and large matrix products compute in. bfloat16 has float32's
 * range and 8 bits of precision; sums, weights, optimiser, loss and statistics are float32 all the
 * same, and a model's file does not change. Fast where the processor multiplies bfloat16 (`kata
 * info`). */
#define KATA_PRECISION_LIST(X)                                                                     \
    X(F32, "f32")                                                                                  \
    X(BF16, "bf16")
typedef enum kata_precision {
#define X(name, text) KATA_PRECISION_##name,
    KATA_PRECISION_LIST(X)
#undef X
        KATA_PRECISION_COUNT
} kata_precision;

typedef struct kata_compile_options {
    kata_loss loss;
    kata_optimizer optimizer;
    const float *class_weights; /* as many as classes (softmax) or labels (sigmoid); copied */
    int n_class_weights;
    double label_smoothing; /* target 1 becomes 1 - s + s/classes, 0 becomes s/classes */
    double clip_value;      /* each gradient number into [-v, v]; 0: off */
    double clip_norm;       /* all gradients together scaled to at most this L2 norm; 0: off */
    double huber_delta;     /* 0: 1 */
    uint64_t seed;          /* initial weights (of a model that was not trained or loaded), dropout,
                               shuffling, augmentation */
    kata_precision precision; /* 0: float32 */
    bool recompute; /* less memory for more time: activations are computed a second time for the
                       backward pass where that makes the planned memory smaller (Chen et al.
                       2016). No bit of any result changes */
} kata_compile_options;
/* Finishes the model for training. A classifier's graph gets, before its raw output ("logits"), the
 * output "probabilities". */
#define kata_compile(model, ...) kata_compile_with((model), &(kata_compile_options){__VA_ARGS__})
KATA_API kata_status kata_compile_with(kata_model *model, const kata_compile_options *options);

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
typedef struct kata_history_row {
    int64_t epoch, step; /* epochs and steps done */
    double loss, accuracy, val_loss, val_accuracy, lr, seconds;
    uint64_t weights_hash;
} kata_history_row;

typedef struct kata_progress {
    int64_t epoch, epochs, batch, batches; /* epoch from 1; batches done in this epoch */
    double loss, accuracy;                 /* means of this epoch so far */
    double seconds;                        /* of this epoch so far */
    double samples_per_second;
    const kata_history_row *row; /* not NULL at the end of an epoch */
} kata_progress;

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
    const char *checkpoint;             /* file, written after each epoch; NULL: none */
    int64_t checkpoint_every;           /* and after every so many steps; 0: epochs only */
    bool resume;                        /* go on from the checkpoint file if it is there */
    const char *history;                /* JSON lines file, one object an epoch; NULL: none */
    void (*callback)(void *user, const kata_progress *progress); /* after each step and epoch */
    void *callback_user;
    const volatile int *stop; /* not 0: finish the batch, save the checkpoint, return
                                 KATA_INTERRUPTED */
    bool profile;             /* time each node: kata_training_session */
    kata_history_row *rows;   /* filled with the first n_rows epochs; may be NULL */
    int n_rows;
} kata_fit_options;
/* Trains. KATA_NON_FINITE names layer, tensor, epoch and batch, and the weights stay as they were
 * before that batch. */
#define kata_fit(model, dataset, ...)                                                              \
    kata_fit_with((model), (dataset), &(kata_fit_options){__VA_ARGS__})
KATA_API kata_status kata_fit_with(kata_model *model, const kata_dataset *dataset,
                                   const kata_fit_options *options);

/* What a model does on a data set: the loss of all outputs, the other figures of the first.
 * classification is filled (and must be freed by kata_evaluation_free) for a softmax loss,
 * multi_label for a sigmoid loss, regression otherwise.
 */
typedef struct kata_evaluation {
    int64_t n;
    double loss;
    kata_loss kind;
    kata_classification classification;
    kata_multi_label multi_label;
    kata_regression regression;
    float *outputs; /* (n, outputs): probabilities or numbers, in the data set's order */
    int64_t n_outputs;
    kata_context *context;
} kata_evaluation;
KATA_API kata_status kata_evaluate(kata_model *model, const kata_dataset *dataset,
                                   kata_evaluation *out);
KATA_API void kata_evaluation_free(kata_evaluation *evaluation);

/* Outputs of the model's output `k` = 0 for inputs (n, ...): `out` is a float32 tensor (n, outputs)
 * of the caller's. Sessions are kept: a second call with the same n allocates nothing. Not for two
 * threads at a time on one model. */
KATA_API kata_status kata_predict(kata_model *model, const kata_tensor *input,
                                  const kata_tensor *out);

/* The labels of a classifier (metadata "kata.labels", a JSON array): set by kata_compile's user or
 * the program; label `i` is copied to text. False if there is none. */
KATA_API kata_status kata_model_set_labels(kata_model *model, const char *const *labels, int n);
KATA_API int kata_model_n_labels(const kata_model *model);
KATA_API bool kata_model_label(const kata_model *model, int i, char *text, size_t n_bytes);

KATA_API const char *kata_loss_name(kata_loss loss);
KATA_API bool kata_loss_parse(const char *text, kata_loss *out);
KATA_API const char *kata_optimizer_name(kata_optimizer_kind kind);
KATA_API bool kata_optimizer_parse(const char *text, kata_optimizer_kind *out);
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
