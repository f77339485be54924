/* Checkpoints: weights, optimiser state, best weights, counters and history in one safetensors
 * file. Doubles are kept as hexadecimal texts, so that a resumed run goes on with the same bits. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kata/format.h>

#include "base/check.h"
#include "train/fingerprint.h"

enum { FINGERPRINT_MOST = 16 << 20 };

#define FORMAT_VERSION "2"

/* One number of the run by name; X(name) for integers, Y(name) for doubles. */
#define RUN_INTEGERS(X)                                                                            \
    X(epoch)                                                                                       \
    X(epochs)                                                                                      \
    X(last_step)                                                                                   \
    X(batch_done)                                                                                  \
    X(step)                                                                                        \
    X(seen)                                                                                        \
    X(since_best)                                                                                  \
    X(best_epoch)                                                                                  \
    X(plateau_since_best)
#define RUN_DOUBLES(Y)                                                                             \
    Y(loss_sum)                                                                                    \
    Y(hits)                                                                                        \
    Y(seconds)                                                                                     \
    Y(watched_best)                                                                                \
    Y(plateau_factor) Y(plateau_best) Y(metric[0]) Y(metric[1]) Y(metric[2]) Y(metric[3])

/* The first word in which two fingerprints differ. */
static void first_difference(const char *a, const char *b, char *word_a, char *word_b, size_t n) {
    while (*a != '\0' && *b != '\0') {
        size_t la = strcspn(a, " "), lb = strcspn(b, " ");
        if (la != lb || strncmp(a, b, la) != 0) {
            snprintf(word_a, n, "%.*s", la < 100 ? (int)la : 100, a);
            snprintf(word_b, n, "%.*s", lb < 100 ? (int)lb : 100, b);
            return;
        }
        a += la + (a[la] == ' ');
        b += lb + (b[lb] == ' ');
    }
    snprintf(word_a, n, "%.100s", a);
    snprintf(word_b, n, "%.100s", b);
}

/* --- writing ---------------------------------------------------------------------------------- */

typedef struct lists {
    kata_named_tensor *tensors;
    int n_tensors;
    kata__arena arena; /* of the names */
} lists;

static kata_status add(lists *l, const char *prefix, const char *name, const kata_tensor *tensor,
                       void *data) {
    char text[320];
    snprintf(text, sizeof text, "%s%s", prefix, name);
    const char *copy = kata__arena_strdup(&l->arena, text);
    if (copy == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    l->tensors[l->n_tensors++] = (kata_named_tensor){
        copy, kata_tensor_view(data != NULL ? data : tensor->data, tensor->dtype, &tensor->shape)};
    return KATA_OK;
}

static kata_status collect(const kata__run *run, lists *l) {
    const kata_graph *graph = run->trainer->model->graph;
    const kata_graph *state = run->trainer->state;
    for (size_t i = 0; i < graph->n_variables; i++) {
        kata_variable *v = graph->variables[i];
        KATA__TRY(add(l, "", v->name, &v->tensor, NULL));
        if (run->has_best) {
            KATA__TRY(add(l, "best.", v->name, &v->tensor, run->best[i]));
        }
    }
    for (size_t i = 0; i < state->n_variables; i++) {
        KATA__TRY(add(l, "", state->variables[i]->name, &state->variables[i]->tensor, NULL));
    }
    return KATA_OK;
}

static kata_status write(kata__run *run, lists *l, const char *print, const char *path) {
    enum { NUMBERS = 24 };
    char numbers[NUMBERS][40];
    kata_text_pair metadata[NUMBERS + 8];
    int n = 0;
    KATA__TRY(collect(run, l));
#define X(name)                                                                                    \
    snprintf(numbers[n], sizeof numbers[n], "%" PRId64, run->name);                                \
    metadata[n] = (kata_text_pair){#name, numbers[n]};                                             \
    n++;
#define Y(name)                                                                                    \
    snprintf(numbers[n], sizeof numbers[n], "%a", run->name);                                      \
    metadata[n] = (kata_text_pair){#name, numbers[n]};                                             \
    n++;
    RUN_INTEGERS(X)
    RUN_DOUBLES(Y)
#undef X
#undef Y
    metadata[n++] = (kata_text_pair){"kata.checkpoint", FORMAT_VERSION};
    metadata[n++] = (kata_text_pair){"settings", print};
    metadata[n++] = (kata_text_pair){"finished", run->finished ? "1" : "0"};
    metadata[n++] = (kata_text_pair){"history", run->history.data != NULL ? run->history.data : ""};
    return kata_safetensors_write(run->trainer->model->context, path, l->tensors, l->n_tensors,
                                  metadata, n);
}

kata_status kata__checkpoint_write(kata__run *run, const char *path) {
    kata_context *context = run->trainer->model->context;
    size_t n = 2 * run->trainer->model->graph->n_variables + run->trainer->state->n_variables;
    lists l = {.arena = {.context = context}};
    l.tensors = kata__alloc(context, n + 1, sizeof *l.tensors);
    kata__buffer print;
    kata__buffer_init(&print, context, FINGERPRINT_MOST);
    kata_status status = l.tensors == NULL ? KATA_OUT_OF_MEMORY : kata__fingerprint(run, &print);
    status = status == KATA_OK ? write(run, &l, print.data, path) : status;
    kata__buffer_free(&print);
    kata__free(context, l.tensors);
    kata__arena_free(&l.arena);
    return status;
}

/* --- reading ---------------------------------------------------------------------------------- */

static kata_status restore(const kata_safetensors *file, const char *prefix,
                           kata_variable *variable, void *data) {
    char name[320], have[KATA_SHAPE_TEXT_SIZE], want[KATA_SHAPE_TEXT_SIZE];
    snprintf(name, sizeof name, "%s%s", prefix, variable->name);
    const kata_tensor *tensor = kata_safetensors_find(file, name);
    if (tensor == NULL) {
        return kata_fail(KATA_FORMAT, "there is no tensor %s; the checkpoint is of another model",
                         name);
    }
    if (tensor->dtype != variable->tensor.dtype ||
        !kata_shape_equal(&tensor->shape, &variable->tensor.shape)) {
        return kata_fail(KATA_SHAPE, "%s is %s%s, the model has %s%s", name,
                         kata_dtype_name(tensor->dtype), kata_shape_text(&tensor->shape, have),
                         kata_dtype_name(variable->tensor.dtype),
                         kata_shape_text(&variable->tensor.shape, want));
    }
    if (data != NULL) {
        memcpy(data, tensor->data, kata_tensor_bytes(tensor));
        kata_variable_changed(variable);
    }
    return KATA_OK;
}

static kata_status number(const kata_safetensors *file, const char *name, const char **text) {
    *text = kata_safetensors_metadata(file, name);
    return *text != NULL ? KATA_OK : kata_fail(KATA_FORMAT, "the entry %s is missing", name);
}

/* With `apply` false everything is checked and nothing is changed. */
static kata_status restore_all(kata__run *run, const kata_safetensors *file, bool apply) {
    const kata_graph *graph = run->trainer->model->graph;
    const kata_graph *state = run->trainer->state;
    bool has_best = run->best != NULL && graph->n_variables > 0;
    if (has_best) {
        char name[320];
        snprintf(name, sizeof name, "best.%s", graph->variables[0]->name);
        has_best = kata_safetensors_find(file, name) != NULL;
    }
    for (size_t i = 0; i < graph->n_variables; i++) {
        kata_variable *v = graph->variables[i];
        KATA__TRY(restore(file, "", v, apply ? v->tensor.data : NULL));
        if (has_best) {
            KATA__TRY(restore(file, "best.", v, apply ? run->best[i] : NULL));
        }
    }
    for (size_t i = 0; i < state->n_variables; i++) {
        kata_variable *v = state->variables[i];
        KATA__TRY(restore(file, "", v, apply ? v->tensor.data : NULL));
    }
    run->has_best = apply ? has_best : run->has_best;
    return KATA_OK;
}

/* How far a run goes may change: it goes on as a longer run would have, where the schedule does not
 * look at its end. Called with the file's numbers in `run`. */
static kata_status set_end(kata__run *run, int64_t epochs, int64_t last_step) {
    const kata_schedule_kind kind = run->options->schedule.kind;
    const bool same = run->epochs == epochs && run->last_step == last_step;
    const bool longer = epochs > run->epochs ||
                        (last_step > run->last_step && run->last_step > 0) ||
                        (last_step == 0 && run->last_step > 0);
    if (!same && (kind == KATA_SCHEDULE_COSINE || kind == KATA_SCHEDULE_ONE_CYCLE) &&
        !run->options->extend) {
        return kata_fail(KATA_INVALID,
                         "the checkpoint was made for %" PRId64 " epochs, this run is for %" PRId64
                         ", and the schedule %s goes by the end: resume with the same settings, or "
                         "with `extend` to lay the schedule over the new number",
                         run->epochs, epochs, kata_schedule_name(kind));
    }
    if (!same && run->options->extend &&
        (kind == KATA_SCHEDULE_COSINE || kind == KATA_SCHEDULE_ONE_CYCLE)) {
        kata_log(run->trainer->model->context, KATA_LOG_WARNING,
                 "the schedule %s is laid over %" PRId64 " epochs from here on instead of %" PRId64
                 ": this is not the run that so many epochs from the start would have been",
                 kata_schedule_name(kind), epochs, run->epochs);
    }
    if (longer && run->finished) {
        run->finished = false;
        run->since_best = 0;
    }
    run->epochs = epochs;
    run->last_step = last_step;
    return KATA_OK;
}

static kata_status restore_numbers(kata__run *run, const kata_safetensors *file) {
    const char *text;
    const int64_t epochs = run->epochs, last_step = run->last_step;
#define X(name)                                                                                    \
    KATA__TRY(number(file, #name, &text));                                                         \
    run->name = strtoll(text, NULL, 10);
#define Y(name)                                                                                    \
    KATA__TRY(number(file, #name, &text));                                                         \
    run->name = strtod(text, NULL);
    RUN_INTEGERS(X)
    RUN_DOUBLES(Y)
#undef X
#undef Y
    KATA__TRY(number(file, "finished", &text));
    run->finished = text[0] == '1';
    KATA__TRY(number(file, "history", &text));
    if (run->epoch < 0 || run->batch_done < 0 || run->batch_done > run->batches || run->step < 0) {
        return kata_fail(KATA_FORMAT, "its counters are out of range");
    }
    KATA__TRY(set_end(run, epochs, last_step));
    kata__buffer_clear(&run->history);
    return kata__buffer_text(&run->history, text);
}

static kata_status read_from(kata__run *run, const kata_safetensors *file) {
    char mine[128], theirs[128];
    const char *version = kata_safetensors_metadata(file, "kata.checkpoint");
    const char *settings = kata_safetensors_metadata(file, "settings");
    if (version == NULL || settings == NULL) {
        return kata_fail(KATA_FORMAT, "this is no checkpoint of Kata");
    }
    if (strcmp(version, FORMAT_VERSION) != 0) {
        return kata_fail(KATA_UNSUPPORTED, "the checkpoint has version %s, this program reads %s",
                         version, FORMAT_VERSION);
    }
    kata__buffer print;
    kata__buffer_init(&print, run->trainer->model->context, FINGERPRINT_MOST);
    kata_status status = kata__fingerprint(run, &print);
    if (status == KATA_OK && strcmp(print.data, settings) != 0) {
        first_difference(settings, print.data, theirs, mine, sizeof mine);
        status = kata_fail(KATA_INVALID,
                           "the checkpoint was made with %s, this run has %s; resume with the same "
                           "settings and data",
                           theirs, mine);
    }
    kata__buffer_free(&print);
    KATA__TRY(status);
    KATA__TRY(restore_all(run, file, false));
    KATA__TRY(restore_numbers(run, file));
    return restore_all(run, file, true);
}

kata_status kata__checkpoint_read(kata__run *run, const char *path) {
    kata_safetensors file;
    KATA__TRY(kata_safetensors_read(&file, run->trainer->model->context, path));
    kata_status status = read_from(run, &file);
    kata_safetensors_free(&file);
    if (status != KATA_OK) {
        return kata_fail_in(status, "%s", path);
    }
    run->trainer->model->fresh = false;
    return KATA_OK;
}
