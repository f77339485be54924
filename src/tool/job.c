/* Making a training ready: everything is checked before the first file is written. */
#include "tool/job.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/file.h"
#include "train/trainer.h"

/* --- data ------------------------------------------------------------------------------------- */

static kata_shape sample_shape(const kata_dataset *dataset) {
    kata_shape sample = {.rank = dataset->inputs[0].shape.rank - 1};
    memcpy(sample.dim, dataset->inputs[0].shape.dim + 1,
           (size_t)sample.rank * sizeof sample.dim[0]);
    return sample;
}

static kata_status open_data(kata__job *job) {
    kata__settings *s = &job->settings;
    kata_data_options options = {.limit_train = s->limit_train,
                                 .limit_test = s->limit_test,
                                 .seed = (uint64_t)s->data_seed,
                                 .height = (int)s->picture_size[0],
                                 .width = (int)s->picture_size[1],
                                 .channels = s->picture_channels};
    KATA__TRY(kata__source_data(job->tool, &job->data, s->data, &options, job->model));
    if (job->data.train == NULL || job->data.train->n_inputs < 1) {
        return kata_fail(KATA_FORMAT, "%s has no training samples", s->data);
    }
    job->loss = s->loss > 0                      ? kata_loss_at(s->loss - 1)
                : job->model != NULL             ? kata_loss_for(job->model, job->data.train)
                : job->data.train->n_classes > 0 ? KATA_SOFTMAX_CROSS_ENTROPY
                                                 : KATA_MEAN_SQUARED_ERROR;
    KATA__TRY(kata__source_targets(job->tool, &job->data, job->loss, s->loss > 0));
    job->train = job->data.train;
    job->validation = job->data.validation != NULL ? job->data.validation : job->data.test;
    job->measured = job->data.test != NULL    ? job->data.test
                    : job->validation != NULL ? job->validation
                                              : job->data.train;
    job->measured_name = job->data.test != NULL         ? "test"
                         : job->data.validation != NULL ? "validation"
                                                        : "training";
    if (s->validation_split > 0) {
        KATA__TRY(kata_dataset_split(&job->part, &job->held_back, job->data.train,
                                     s->validation_split, (uint64_t)s->seed,
                                     job->data.train->n_classes > 0));
        if (job->part->n == 0 || job->held_back->n == 0) {
            return kata_fail(KATA_INVALID,
                             "a validation split of %g leaves %" PRId64 " of %" PRId64
                             " samples for training and %" PRId64 " for validation",
                             s->validation_split, job->part->n, job->data.train->n,
                             job->held_back->n);
        }
        job->train = job->part;
        job->validation = job->held_back;
        if (job->data.validation != NULL) {
            kata__tool_say(job->tool,
                           "%s has samples to validate with; the validation split takes their "
                           "place",
                           s->data);
        }
        if (job->data.test == NULL) {
            job->measured = job->held_back;
            job->measured_name = "validation";
        }
    }
    char full[PATH_MAX];
    if ((kata__file_exists(s->data) || kata__directory_exists(s->data)) &&
        realpath(s->data, full) != NULL) {
        s->data = kata__arena_strdup(&job->tool->arena, full);
    }
    return s->data == NULL ? KATA_OUT_OF_MEMORY : KATA_OK;
}

/* A damaged label shows as classes that nothing belongs to: MNIST with one label 200 has "201
 * classes". */
static kata_status check_classes(const kata__job *job) {
    const kata_dataset *parts[] = {job->data.train, job->data.test, job->data.validation};
    int n = job->data.train->n_classes, filled = 0, first_empty = -1;
    if (n < 2 || kata_dtype_is_float(job->data.train->targets[0].dtype)) {
        return KATA_OK;
    }
    bool *seen = kata__alloc_zero(job->tool->context, (size_t)n, sizeof *seen);
    if (seen == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    for (int p = 0; p < 3; p++) {
        for (int64_t i = 0; parts[p] != NULL && i < parts[p]->n; i++) {
            double label = kata_load(parts[p]->targets[0].dtype, parts[p]->targets[0].data, i);
            if (label >= 0 && label < n) {
                seen[(int)label] = true;
            }
        }
    }
    for (int i = 0; i < n; i++) {
        filled += seen[i];
        first_empty = first_empty < 0 && !seen[i] ? i : first_empty;
    }
    kata__free(job->tool->context, seen);
    int64_t samples = job->data.train->n;
    if (n - filled > filled && samples >= 20 * (int64_t)filled) {
        return kata_fail(KATA_FORMAT,
                         "%s: the labels go up to %d, but %d of the %d classes have no sample "
                         "(class %d is the first): a label is out of range; mend the labels",
                         job->settings.data, n - 1, n - filled, n, first_empty);
    }
    if (filled < n && samples >= 5 * (int64_t)n) {
        kata_log(job->tool->context, KATA_LOG_WARNING,
                 "%s: %d of %d classes have no sample (class %d is the first); is a label wrong?",
                 job->settings.data, n - filled, n, first_empty);
    }
    return KATA_OK;
}

/* --- model ------------------------------------------------------------------------------------ */

static bool is_file_argument(const char *model) {
    size_t length = strlen(model);
    if (kata__source_is_network(model)) {
        return false;
    }
    return (length > 5 && strcmp(model + length - 5, ".onnx") == 0) || strchr(model, '/') != NULL ||
           kata__directory_exists(model);
}

/* A slip in the name is found before the data are read. */
static kata_status check_name(kata_context *context, const char *name) {
    kata_model *model = NULL;
    if (kata__source_is_network(name)) {
        return KATA_OK;
    }
    kata_status status = kata_model_ready(&model, context, name, NULL);
    kata_model_free(model);
    return status;
}

static int64_t output_count(const kata_dataset *dataset) {
    if (dataset->n_classes > 0) {
        return dataset->n_classes;
    }
    int64_t n = 1;
    for (int i = 1; dataset->n_targets > 0 && i < dataset->targets[0].shape.rank; i++) {
        n *= dataset->targets[0].shape.dim[i];
    }
    return n;
}

static kata_status build_layers(kata__job *job, const kata_shape *sample, double rescale) {
    const kata__settings *s = &job->settings;
    job->model_name = s->project != NULL ? s->project : "layers";
    KATA__TRY(kata_model_new_in(&job->model, job->tool->context, job->model_name));
    kata_value x = kata_input_shape(job->model, NULL, KATA_F32, sample);
    if (rescale != 0) {
        x = kata_rescale(job->model, x, .scale = rescale);
    }
    kata_output(job->model, kata__layers_add(job->model, x, s->layers, s->n_layers));
    kata_graph *graph = kata_model_graph(job->model);
    if (kata_graph_status(graph) != KATA_OK) {
        return kata_fail(kata_graph_status(graph), "%s", kata_graph_message(graph));
    }
    return KATA_OK;
}

/* What inputs are multiplied by. Bytes are 0..255 whatever their shape; numbers are only touched
 * where somebody asks, by the largest of them, which the run's project keeps. */
static double input_scale(kata__job *job) {
    kata__settings *s = &job->settings;
    const kata_tensor *x = &job->train->inputs[0];
    if (s->rescale > 0 || !s->normalize) {
        return s->rescale;
    }
    if (x->dtype == KATA_U8) {
        return 1.0 / 255;
    }
    double largest = 0;
    for (int64_t i = 0; i < kata_tensor_count(x) && job->normalize_given; i++) {
        largest = fmax(largest, fabs(kata_load(x->dtype, x->data, i)));
    }
    if (largest > 1 && isfinite(largest)) {
        s->rescale = 1 / largest;
        kata__tool_say(job->tool, "the inputs are multiplied by 1/%g, their largest number",
                       largest);
    }
    return s->rescale;
}

static kata_status build_model(kata__job *job) {
    kata__settings *s = &job->settings;
    kata_shape sample = sample_shape(job->train);
    const double rescale = input_scale(job);
    if (s->n_layers > 0) {
        return build_layers(job, &sample, rescale);
    }
    if (s->model == NULL) {
        bool convnet = kata__source_is_picture(&sample) && sample.dim[1] >= 8 &&
                       sample.dim[2] >= 8 && s->hidden[0] == 0;
        s->model = convnet ? "simple-convnet" : "mlp";
    }
    kata_ready_options options = {
        .input = sample, .outputs = output_count(job->train), .rescale = rescale};
    memcpy(options.hidden, s->hidden, sizeof s->hidden);
    job->model_name = s->model;
    return kata_model_ready(&job->model, job->tool->context, s->model, &options);
}

/* A model from a file keeps its weights; the run keeps the file's full path. */
static kata_status load_model(kata__job *job) {
    kata__settings *s = &job->settings;
    char full[PATH_MAX];
    KATA__TRY(kata__source_model(job->tool, &job->model, s->model));
    const char *path = kata__tool_model_path(job->tool, s->model);
    if (path != NULL && realpath(path, full) != NULL) {
        path = kata__arena_strdup(&job->tool->arena, full);
    }
    if (path == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    s->model = path;
    job->model_name = s->project != NULL ? s->project : "finetune";
    return KATA_OK;
}

/* --- compiling -------------------------------------------------------------------------------- */

static void set_penalties(kata__job *job) {
    const kata_graph *graph = kata_model_graph(job->model);
    for (int i = 0; i < kata_graph_n_variables(graph); i++) {
        kata_variable *variable = kata_graph_variable_at(graph, i);
        if (variable->trainable && variable->decay) {
            variable->l1 += (float)job->settings.l1;
            variable->l2 += (float)job->settings.l2;
        }
    }
}

static kata_status set_metadata(kata__job *job) {
    const kata__settings *s = &job->settings;
    kata_graph *graph = kata_model_graph(job->model);
    const kata_dataset *d = job->train;
    if (d->n_classes > 0 && d->class_names != NULL) {
        KATA__TRY(
            kata_model_set_labels(job->model, (const char *const *)d->class_names, d->n_classes));
    }
    kata_shape sample = sample_shape(d);
    if (!kata__source_is_picture(&sample)) {
        return KATA_OK;
    }
    bool digit = kata__source_kind_of(job->tool->context, s->data) == KATA__SOURCE_IDX &&
                 sample.dim[0] == 1 && sample.dim[1] == 28 && sample.dim[2] == 28 &&
                 d->n_classes == 10;
    if (s->picture == KATA__PICTURE_DIGIT &&
        (sample.dim[0] != 1 || sample.dim[1] != 28 || sample.dim[2] != 28)) {
        return kata_fail(KATA_INVALID, "pictures can be read as digits where the model takes "
                                       "1x28x28 pixels only; leave out --picture digit");
    }
    if (s->picture != KATA__PICTURE_AUTO) {
        digit = s->picture == KATA__PICTURE_DIGIT;
    }
    return kata_graph_set_metadata(graph, "kata.picture", digit ? "digit" : "plain");
}

static kata_status check_augment(const kata__job *job) {
    const kata_augment *a = &job->settings.augment;
    kata_shape sample = sample_shape(job->train);
    bool any = a->shift > 0 || a->rotate > 0 || a->scale > 0 || a->shear > 0 || a->elastic > 0 ||
               a->flip || a->crop > 0 || a->brightness > 0 || a->cut_out > 0;
    if (any && (sample.rank != 3 || job->train->inputs[0].dtype != KATA_U8)) {
        return kata_fail(KATA_INVALID,
                         "augmentation changes pictures of 0..255 (n,channels,height,width), but "
                         "%s has none",
                         job->train->name);
    }
    return KATA_OK;
}

/* Numbers of another update rule than the one chosen are named and dropped, not kept in silence. */
static kata_status resolve_optimizer(kata__job *job) {
    kata_optimizer *o = &job->settings.optimizer;
    const struct {
        const char *name;
        double *value;
    } numbers[] = {{"momentum", &o->momentum},
                   {"beta1", &o->beta1},
                   {"beta2", &o->beta2},
                   {"decay", &o->decay},
                   {"epsilon", &o->epsilon}};
    o->rule = kata_optimizer_at(job->settings.rule);
    for (size_t i = 0; i < KATA__COUNT(numbers); i++) {
        const bool given = *numbers[i].value != 0 || signbit(*numbers[i].value);
        if (given && !kata_optimizer_has(job->tool->context, o->rule, numbers[i].name)) {
            kata__tool_say(job->tool, "%s has no meaning for the optimizer %s and is left out",
                           numbers[i].name, o->rule->name);
            *numbers[i].value = 0;
        }
    }
    return kata_optimizer_resolve(job->tool->context, o);
}

static kata_status compile(kata__job *job) {
    kata__settings *s = &job->settings;
    kata__numbers weights;
    kata_number delta = {.name = job->loss == KATA_HUBER && s->huber_delta > 0 ? "delta" : NULL,
                         .value = s->huber_delta};
    for (s->loss = 1; kata_loss_at(s->loss - 1) != job->loss; s->loss++) {
    }
    KATA__TRY(resolve_optimizer(job));
    KATA__TRY(kata__class_weights(job->tool, s->class_weights, job->train, &weights));
    KATA__TRY(check_augment(job));
    set_penalties(job);
    KATA__TRY(kata_compile_with(job->model,
                                &(kata_compile_options){.loss = job->loss,
                                                        .precision = (kata_precision)s->precision,
                                                        .recompute = s->recompute,
                                                        .optimizer = s->optimizer,
                                                        .class_weights = weights.values,
                                                        .n_class_weights = weights.n,
                                                        .label_smoothing = s->label_smoothing,
                                                        .clip_value = s->clip_value,
                                                        .clip_norm = s->clip_norm,
                                                        .loss_numbers = {delta},
                                                        .seed = (uint64_t)s->seed}));
    struct kata__trainer *trainer;
    KATA__TRY(kata__trainer_get(&trainer, job->model));
    KATA__TRY(kata__check_dataset(trainer, job->train));
    if (job->validation != NULL) {
        KATA__TRY(kata__check_dataset(trainer, job->validation));
    }
    if (job->measured != job->train && job->measured != job->validation) {
        KATA__TRY(kata__check_dataset(trainer, job->measured));
    }
    return set_metadata(job);
}

/* As kata_fit counts them. */
static void count_steps(kata__job *job) {
    kata__settings *s = &job->settings;
    if (s->epochs == 0 && s->steps == 0) {
        s->epochs = 10;
    }
    int64_t batch = s->batch < job->train->n ? s->batch : job->train->n;
    job->batches = (job->train->n + batch - 1) / batch;
    job->epochs = s->epochs > 0 ? s->epochs : INT64_MAX;
    if (s->steps > 0) {
        int64_t needed = (s->steps + job->batches - 1) / job->batches;
        job->epochs = needed < job->epochs ? needed : job->epochs;
    }
    if (__builtin_mul_overflow(job->epochs, job->batches, &job->steps_total)) {
        job->steps_total = INT64_MAX;
    }
    if (s->steps > 0 && s->steps < job->steps_total) {
        job->steps_total = s->steps;
    }
}

kata_status kata__job_prepare(kata__job *job) {
    kata__settings *s = &job->settings;
    KATA__TRY(kata__settings_check(s));
    if (s->data == NULL) {
        return kata_fail(KATA_INVALID, "there is no data to learn from; give --data a folder, a "
                                       "file or a name such as mnist or make:digits");
    }
    if (s->n_layers == 0 && s->model != NULL && is_file_argument(s->model)) {
        KATA__TRY(load_model(job));
    } else if (s->n_layers == 0 && s->model != NULL) {
        KATA__TRY(check_name(job->tool->context, s->model));
    }
    KATA__TRY(open_data(job));
    KATA__TRY(check_classes(job));
    if (job->model == NULL) {
        kata_status status = build_model(job);
        if (status != KATA_OK && s->picture_size[0] == 0 &&
            kata__source_kind_of(job->tool->context, s->data) == KATA__SOURCE_FOLDER) {
            return kata_fail_in(status,
                                "pictures of %dx%d pixels (--picture-size 28,28 resizes "
                                "them to what each network takes)",
                                (int)sample_shape(job->train).dim[1],
                                (int)sample_shape(job->train).dim[2]);
        }
        KATA__TRY(status);
    }
    KATA__TRY(compile(job));
    count_steps(job);
    return KATA_OK;
}

static kata_status write_project(const kata__job *job) {
    kata__buffer text;
    kata__buffer_init(&text, job->tool->context, (size_t)4 << 20);
    kata__buffer_text(&text, "# The effective project of this run; 'kata train --resume' reads it, "
                             "'kata train kata.yaml' does it again.\n");
    kata_status status = kata__project_write(&job->settings, &text);
    if (status == KATA_OK) {
        status = kata__file_write(job->tool->context, job->run.project, text.data, text.size);
    }
    kata__buffer_free(&text);
    return status;
}

kata_status kata__job_open(kata__job *job) {
    const kata__settings *s = &job->settings;
    if (job->resume) { /* kata__run_open was first, and its project is what is done */
        return job->extend ? write_project(job) : KATA_OK;
    }
    KATA__TRY(kata__run_create(job->tool, &job->run, s->out,
                               s->project != NULL ? s->project : job->model_name));
    return write_project(job);
}

void kata__job_introduce(const kata__job *job) {
    const kata__settings *s = &job->settings;
    const kata__tool *tool = job->tool;
    char words[160], other[160], count[KATA__TERMINAL_TEXT], classes[48] = "";
    kata__tool_say(tool, "kata " KATA_VERSION ", %s, %s kernels, %d thread%s, seed %" PRId64,
                   kata__cpu_name()[0] != '\0' ? kata__cpu_name() : "unknown processor",
                   kata_context_kernels(tool->context), kata_context_threads(tool->context),
                   kata_context_threads(tool->context) == 1 ? "" : "s", s->seed);
    if (job->train->n_classes > 0) {
        snprintf(classes, sizeof classes, ", %d classes", job->train->n_classes);
    }
    kata__tool_say(tool, "data   %s: %s to learn from%s", s->data,
                   kata__source_words(job->train, words), classes);
    if (job->validation != NULL) {
        kata__tool_say(tool, "       %s to validate with (%s)",
                       kata__source_words(job->validation, other),
                       job->held_back != NULL ? "held back from the training data"
                       : job->validation == job->data.validation ? "the validation data"
                                                                 : "the test data");
    } else {
        kata__tool_say(tool, "       no test data: --validation-split 0.1 would hold some back");
    }
    kata__tool_say(tool, "model  %s, %s parameters", job->model_name,
                   kata__count_text(kata_graph_n_parameters(kata_model_graph(job->model)), count));
    kata__tool_say(tool,
                   "train  %" PRId64 " epoch%s of %" PRId64 " batches of %" PRId64
                   ", %s, %s, learning rate %g, %s",
                   job->epochs, job->epochs == 1 ? "" : "s", job->batches, s->batch,
                   job->loss->name, s->optimizer.rule->name, s->optimizer.lr,
                   kata_schedule_name(s->schedule.kind));
    if (s->precision == KATA_PRECISION_BF16) {
        kata__tool_say(tool, "bf16   convolutions and large products in %s",
                       kata__tool_bf16_words(tool));
    }
    kata__tool_say(tool, "run    %s", job->run.path);
}

void kata__job_free(kata__job *job) {
    kata_evaluation_free(&job->evaluation);
    kata_dataset_free(job->part);
    kata_dataset_free(job->held_back);
    kata_data_close(&job->data);
    kata_model_free(job->model);
    kata__run_close(&job->run);
}
