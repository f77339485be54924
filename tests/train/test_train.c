/* Training: learns, the same bits for any thread count, exact resume, no allocation in the steady
 * state, clean failure of each allocation, early stopping, non-finite values, options. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <kata/train.h>

#include "support/counting_allocator.h"

static char folder[] = "/tmp/kata-test-train-XXXXXX";

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static const char *path_in_folder(const char *name) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static kata_data digits(kata_context *context, int64_t train, int64_t test) {
    kata_data data = {0};
    kata_data_options options = {.limit_train = train, .limit_test = test};
    assert_int_equal(kata_data_open(&data, context, "make:digits", &options), KATA_OK);
    return data;
}

static kata_model *network(kata_context *context, const char *name) {
    kata_model *m = NULL;
    kata_ready_options options = {.rescale = 1 / 255.0};
    assert_int_equal(kata_model_ready(&m, context, name, &options), KATA_OK);
    return m;
}

/* --- it learns -------------------------------------------------------------------------------- */

static void test_every_optimizer_learns(void **state) {
    (void)state;
    kata_context *context = kata_context_default();
    kata_data data = digits(context, 2000, 500);
    const double rates[] = {0.1, 0.02, 0.02, 0.02, 0.001, 0.002, 0.002};
    for (int i = 0; kata_optimizer_at(i) != NULL; i++) {
        kata_model *m = network(context, "mlp");
        kata_optimizer optimizer = {.rule = kata_optimizer_at(i), .lr = rates[i]};
        kata_history_row rows[4];
        assert_int_equal(
            kata_compile(m, .loss = KATA_SOFTMAX_CROSS_ENTROPY, .optimizer = optimizer, .seed = 1),
            KATA_OK);
        assert_int_equal(kata_fit(m, data.train, .epochs = 4, .batch = 50, .validation = data.test,
                                  .rows = rows, .n_rows = 4),
                         KATA_OK);
        if (!(rows[3].loss < 0.6 * rows[0].loss && rows[3].val_accuracy > 0.7)) {
            fail_msg("%s: loss %g to %g, accuracy %g", optimizer.rule->name, rows[0].loss,
                     rows[3].loss, rows[3].val_accuracy);
        }
        kata_model_free(m);
    }
    kata_data_close(&data);
}

/* A rescaling layer is applied while the batch is put together: the same bits as data that were
 * scaled before, and as the layer itself where the input has a second use. */
static void test_rescaled_input(void **state) {
    (void)state;
    kata_context *context = kata_context_default();
    kata_data data = digits(context, 300, 100);
    const kata_tensor *pixels = &data.train->inputs[0];
    kata_tensor scaled;
    kata_dataset *floats;
    assert_int_equal(kata_tensor_new(&scaled, context, KATA_F32, &pixels->shape), KATA_OK);
    for (int64_t i = 0; i < kata_tensor_count(pixels); i++) {
        ((float *)scaled.data)[i] = (float)((const uint8_t *)pixels->data)[i] * (float)(1 / 255.0);
    }
    assert_int_equal(kata_dataset_new(&floats, context, "scaled"), KATA_OK);
    assert_int_equal(kata_dataset_add_input(floats, &scaled), KATA_OK);
    assert_int_equal(kata_dataset_add_target(floats, &data.train->targets[0]), KATA_OK);
    assert_int_equal(kata_dataset_set_classes(floats, 10, NULL), KATA_OK);
    uint64_t hash[3];
    double loss[3];
    for (int which = 0; which < 3; which++) {
        kata_model *m;
        assert_int_equal(kata_model_new_in(&m, context, "m"), KATA_OK);
        kata_value x = kata_input(m, KATA_F32, 1, 28, 28), y = x;
        if (which > 0) {
            y = kata_rescale(m, x, .scale = 1 / 255.0);
        }
        if (which == 2) { /* y + 0 x */
            kata_graph *graph = kata_model_graph(m);
            kata_value none =
                KATA_NODE(graph, "Mul", KATA_INPUTS(x, kata_graph_scalar(graph, KATA_F32, 0)));
            y = KATA_NODE(graph, "Add", KATA_INPUTS(y, none));
        }
        kata_output(m, kata_dense(m, kata_flatten(m, y), .units = 10));
        assert_int_equal(kata_compile(m, .loss = KATA_SOFTMAX_CROSS_ENTROPY,
                                      .optimizer = kata_sgd(.lr = 0.1), .seed = 4),
                         KATA_OK);
        kata_history_row row;
        assert_int_equal(kata_fit(m, which == 0 ? floats : data.train, .epochs = 1, .batch = 70,
                                  .validation = which == 0 ? floats : data.train, .rows = &row,
                                  .n_rows = 1),
                         KATA_OK);
        hash[which] = kata_model_hash(m);
        loss[which] = row.val_loss;
        kata_model_free(m);
    }
    assert_true(hash[0] == hash[1] && hash[0] == hash[2]);
    assert_true(loss[0] == loss[1] && loss[0] == loss[2]);
    kata_tensor_release(&scaled);
    kata_dataset_free(floats);
    kata_data_close(&data);
}

/* y = x^3 of the course (course-and-tagging-article.md, "Supervised learning"): (1,1) (2,8) (3,27)
 * (4,64). */
static void test_regression_losses(void **state) {
    (void)state;
    const kata_loss *const losses[] = {KATA_MEAN_SQUARED_ERROR, KATA_MEAN_ABSOLUTE_ERROR,
                                       KATA_HUBER};
    float x[4] = {0.25F, 0.5F, 0.75F, 1}, y[4] = {1 / 64.0F, 8 / 64.0F, 27 / 64.0F, 1};
    kata_context *context = kata_context_default();
    kata_dataset *d;
    assert_int_equal(kata_dataset_new(&d, context, "cubes"), KATA_OK);
    kata_tensor tx = kata_tensor_view(x, KATA_F32, &KATA_SHAPE_OF(4, 1));
    kata_tensor ty = kata_tensor_view(y, KATA_F32, &KATA_SHAPE_OF(4, 1));
    assert_int_equal(kata_dataset_add_input(d, &tx), KATA_OK);
    assert_int_equal(kata_dataset_add_target(d, &ty), KATA_OK);
    for (int i = 0; i < 3; i++) {
        kata_model *m = kata_model_new("cubes");
        kata_value v =
            kata_dense(m, kata_input(m, KATA_F32, 1), .units = 16, .activation = KATA_TANH);
        kata_output(m, kata_dense(m, v, .units = 1));
        assert_int_equal(
            kata_compile(m, .loss = losses[i], .optimizer = kata_adam(.lr = 0.05), .seed = 3),
            KATA_OK);
        assert_int_equal(kata_fit(m, d, .epochs = 2000, .batch = 4,
                                  .schedule = {.kind = KATA_SCHEDULE_COSINE, .final = 0.01}),
                         KATA_OK);
        kata_evaluation e;
        assert_int_equal(kata_evaluate(m, d, &e), KATA_OK);
        if (kata_regression_mean_absolute_error(&e.regression) > 0.02) {
            fail_msg("%s leaves an error of %g", losses[i]->name,
                     kata_regression_mean_absolute_error(&e.regression));
        }
        kata_evaluation_free(&e);
        kata_model_free(m);
    }
    kata_dataset_free(d);
}

/* Multi-label: label 0 is x0 > 0, label 1 is x1 > 0; both, one or none at a time. */
static void test_multi_label(void **state) {
    (void)state;
    enum { N = 400 };
    static float x[N][2], t[N][2];
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < 2; k++) {
            x[i][k] = (float)kata_random_normal(5, (uint32_t)k, 0, (uint64_t)i);
            t[i][k] = x[i][k] > 0;
        }
    }
    kata_dataset *d;
    assert_int_equal(kata_dataset_new(&d, kata_context_default(), "signs"), KATA_OK);
    kata_tensor tx = kata_tensor_view(x, KATA_F32, &KATA_SHAPE_OF(N, 2));
    kata_tensor tt = kata_tensor_view(t, KATA_F32, &KATA_SHAPE_OF(N, 2));
    assert_int_equal(kata_dataset_add_input(d, &tx), KATA_OK);
    assert_int_equal(kata_dataset_add_target(d, &tt), KATA_OK);
    kata_model *m = kata_model_new("signs");
    kata_output(m, kata_dense(m, kata_input(m, KATA_F32, 2), .units = 2));
    assert_int_equal(
        kata_compile(m, .loss = KATA_SIGMOID_CROSS_ENTROPY, .optimizer = kata_adam(.lr = 0.05)),
        KATA_OK);
    assert_int_equal(kata_fit(m, d, .epochs = 20, .batch = 20), KATA_OK);
    kata_evaluation e;
    assert_int_equal(kata_evaluate(m, d, &e), KATA_OK);
    assert_true(kata_multi_label_micro(&e.multi_label).f1 > 0.97);
    kata_evaluation_free(&e);
    kata_model_free(m);
    kata_dataset_free(d);
}

/* 60,040 classes: what is measured takes memory by the class and by the sample, not by the square
 * of either. */
static void test_many_classes(void **state) {
    (void)state;
    enum { CLASSES = 60040, SAMPLES = 300 };
    static float x[SAMPLES];
    static int64_t t[SAMPLES];
    for (int i = 0; i < SAMPLES; i++) {
        x[i] = (float)i / SAMPLES;
        t[i] = (int64_t)i * 200;
    }
    kata_context *context = kata_context_default();
    kata_dataset *d;
    kata_tensor tx = kata_tensor_view(x, KATA_F32, &KATA_SHAPE_OF(SAMPLES, 1));
    kata_tensor tt = kata_tensor_view(t, KATA_I64, &KATA_SHAPE_OF(SAMPLES));
    assert_int_equal(kata_dataset_new(&d, context, "many"), KATA_OK);
    assert_int_equal(kata_dataset_add_input(d, &tx), KATA_OK);
    assert_int_equal(kata_dataset_add_target(d, &tt), KATA_OK);
    assert_int_equal(kata_dataset_set_classes(d, CLASSES, NULL), KATA_OK);
    kata_model *m = kata_model_new("many");
    kata_output(m, kata_dense(m, kata_input(m, KATA_F32, 1), .units = CLASSES));
    assert_int_equal(kata_compile(m, .optimizer = kata_sgd(.lr = 0.1)), KATA_OK);
    kata_evaluation e;
    assert_int_equal(kata_evaluate(m, d, &e), KATA_OK); /* plans the session */
    kata_evaluation_free(&e);
    const size_t before = kata_context_bytes(context);
    assert_int_equal(kata_evaluate(m, d, &e), KATA_OK);
    assert_true(kata_context_bytes(context) - before < 2 * 1024 * 1024);
    assert_int_equal(e.n, SAMPLES);
    assert_int_equal(e.answers[299].truth, 59800);
    kata_evaluation_free(&e);
    assert_int_equal(kata_context_bytes(context), before);
    kata_model_free(m);
    kata_dataset_free(d);
}

/* Labels are found one by one, however many there are; those of metadata that is set by hand too.
 */
static void test_many_labels(void **state) {
    (void)state;
    enum { LABELS = 60040 };
    static char texts[LABELS][16];
    static const char *labels[LABELS];
    for (int i = 0; i < LABELS; i++) {
        snprintf(texts[i], sizeof texts[i], i == 7 ? "\"7\",\n[" : "label %d", i);
        labels[i] = texts[i];
    }
    char text[32];
    kata_model *m = kata_model_new("many");
    assert_false(kata_model_label(m, 0, text, sizeof text));
    assert_int_equal(kata_model_set_labels(m, labels, LABELS), KATA_OK);
    assert_int_equal(kata_model_n_labels(m), LABELS);
    for (int i = 0; i < LABELS; i++) {
        assert_true(kata_model_label(m, i, text, sizeof text));
        assert_string_equal(text, texts[i]);
    }
    assert_false(kata_model_label(m, LABELS, text, sizeof text));
    assert_false(kata_model_label(m, -1, text, sizeof text));
    assert_int_equal(kata_graph_set_metadata(kata_model_graph(m), "kata.labels", "[\"a\",\"b\"]"),
                     KATA_OK);
    assert_int_equal(kata_model_n_labels(m), 2);
    assert_true(kata_model_label(m, 1, text, sizeof text));
    assert_string_equal(text, "b");
    assert_false(kata_model_label(m, 2, text, sizeof text));
    kata_model_free(m);
}

/* One-hot targets and class numbers are the same loss, to rounding; smoothing and weights are not.
 */
static void test_target_forms(void **state) {
    (void)state;
    kata_context *context = kata_context_default();
    kata_data data = digits(context, 300, 100);
    kata_dataset *hot;
    static float one_hot[300][10];
    for (int i = 0; i < 300; i++) {
        one_hot[i][((const int64_t *)data.train->targets[0].data)[i]] = 1;
    }
    assert_int_equal(kata_dataset_new(&hot, context, "one-hot"), KATA_OK);
    kata_tensor targets = kata_tensor_view(one_hot, KATA_F32, &KATA_SHAPE_OF(300, 10));
    assert_int_equal(kata_dataset_add_input(hot, &data.train->inputs[0]), KATA_OK);
    assert_int_equal(kata_dataset_add_target(hot, &targets), KATA_OK);
    const float weights[10] = {1, 1, 1, 1, 1, 2, 2, 2, 2, 2};
    double loss[2][3];
    for (int form = 0; form < 2; form++) {
        for (int variant = 0; variant < 3; variant++) {
            kata_model *m = network(context, "logistic");
            kata_history_row row;
            assert_int_equal(kata_compile(m, .optimizer = kata_sgd(.lr = 0.1), .seed = 2,
                                          .label_smoothing = variant == 1 ? 0.1 : 0,
                                          .class_weights = weights,
                                          .n_class_weights = variant == 2 ? 10 : 0),
                             KATA_OK);
            assert_int_equal(
                kata_fit(m, form == 0 ? data.train : hot, .epochs = 1, .rows = &row, .n_rows = 1),
                KATA_OK);
            loss[form][variant] = row.loss;
            kata_model_free(m);
        }
    }
    for (int variant = 0; variant < 3; variant++) {
        assert_true(fabs(loss[0][variant] - loss[1][variant]) < 1e-5);
    }
    assert_true(fabs(loss[0][0] - loss[0][1]) > 1e-4);
    assert_true(fabs(loss[0][0] - loss[0][2]) > 1e-6);
    kata_dataset_free(hot);
    kata_data_close(&data);
}

/* scratch-book-2 L5086-5088: loss_with - loss_without = l2/2 sum w^2; clipping bounds the step. */
static void test_penalty_and_clipping(void **state) {
    (void)state;
    kata_context *context = kata_context_default();
    kata_data data = digits(context, 100, 10);
    double loss[2];
    double squares = 0;
    for (int with = 0; with < 2; with++) {
        kata_model *m = kata_model_new("penalty");
        kata_value x = kata_rescale(m, kata_input(m, KATA_F32, 1, 28, 28), .scale = 1 / 255.0);
        kata_output(m, kata_dense(m, x, .units = 10, .l2 = with * 0.1));
        const kata_variable *w = kata_graph_find_variable(kata_model_graph(m), "dense_1.weight");
        kata_history_row row;
        assert_int_equal(kata_compile(m, .optimizer = kata_sgd(.lr = 1e-6)), KATA_OK);
        squares = 0;
        for (int64_t i = 0; i < kata_tensor_count(&w->tensor); i++) {
            double v = kata_load(KATA_F32, w->tensor.data, i);
            squares += v * v;
        }
        assert_int_equal(kata_fit(m, data.train, .batch = 100, .rows = &row, .n_rows = 1), KATA_OK);
        loss[with] = row.loss;
        kata_model_free(m);
    }
    assert_true(fabs(loss[1] - loss[0] - 0.05 * squares) < 1e-5);

    kata_model *m = network(context, "logistic");
    kata_model_initialize(m, 0);
    assert_int_equal(kata_compile(m, .optimizer = kata_sgd(.lr = 1), .clip_norm = 1e-3), KATA_OK);
    const kata_variable *w = kata_graph_find_variable(kata_model_graph(m), "dense_1.weight");
    float before[7840];
    memcpy(before, w->tensor.data, sizeof before);
    assert_int_equal(kata_fit(m, data.train, .batch = 100), KATA_OK);
    double moved = 0;
    for (int i = 0; i < 7840; i++) {
        double d = kata_load(KATA_F32, w->tensor.data, i) - (double)before[i];
        moved += d * d;
    }
    assert_true(sqrt(moved) <= 1.01e-3 && sqrt(moved) > 0.5e-3);
    kata_model_free(m);
    kata_data_close(&data);
}

/* --- the same bits ---------------------------------------------------------------------------- */

static uint64_t hash_with_threads(int threads, const char *name) {
    kata_context *context;
    kata_context_options options = {.threads = threads};
    assert_int_equal(kata_context_new(&context, &options), KATA_OK);
    kata_data data = digits(context, 430, 100);
    kata_model *m = network(context, name);
    assert_int_equal(kata_compile(m, .optimizer = kata_adam(), .seed = 9), KATA_OK);
    assert_int_equal(kata_fit(m, data.train, .epochs = 2, .validation = data.test,
                              .augment = {.shift = 2, .rotate = 10, .elastic = 3}),
                     KATA_OK);
    uint64_t hash = kata_model_hash(m);
    kata_model_free(m);
    kata_data_close(&data);
    kata_context_free(context);
    return hash;
}

static void test_same_bits_for_any_thread_count(void **state) {
    (void)state;
    const char *const names[] = {"two-layer", "simple-convnet", "deep-convnet"};
    for (int i = 0; i < 3; i++) {
        uint64_t one = hash_with_threads(1, names[i]);
        assert_true(one == hash_with_threads(2, names[i]));
        assert_true(one == hash_with_threads(5, names[i]));
    }
}

/* --- stop and resume -------------------------------------------------------------------------- */

typedef struct stopper {
    volatile int stop;
    int64_t at, steps;
} stopper;

static void count_steps(void *user, const kata_progress *progress) {
    stopper *s = user;
    if (progress->row == NULL && ++s->steps == s->at) {
        s->stop = 1;
    }
}

/* Trains for 3 epochs; if stop_at > 0, stops after so many steps. */
static kata_status train_run(kata_context *context, const kata_data *data, const char *checkpoint,
                             bool resume, int64_t stop_at, uint64_t *hash) {
    kata_model *m = network(context, "deep-convnet");
    stopper s = {.at = stop_at};
    assert_int_equal(kata_compile(m, .optimizer = kata_adam(), .seed = 4), KATA_OK);
    kata_status status =
        kata_fit(m, data->train, .epochs = 3, .batch = 32, .validation = data->test,
                 .schedule = {.kind = KATA_SCHEDULE_ONE_CYCLE}, .augment = {.shift = 2},
                 .early_stopping = {.patience = 2}, .checkpoint = checkpoint, .checkpoint_every = 2,
                 .resume = resume, .stop = &s.stop, .callback = count_steps, .callback_user = &s);
    *hash = kata_model_hash(m);
    kata_model_free(m);
    return status;
}

static void test_resume_is_exact(void **state) {
    (void)state;
    kata_context *context = kata_context_default();
    kata_data data = digits(context, 150, 50); /* 5 batches an epoch, the last of 22 */
    char path[256];
    uint64_t whole, part;
    snprintf(path, sizeof path, "%s", path_in_folder("whole.safetensors"));
    assert_int_equal(train_run(context, &data, path, false, 0, &whole), KATA_OK);
    for (int64_t stop_at = 1; stop_at < 15; stop_at += 3) {
        snprintf(path, sizeof path, "%s", path_in_folder("part.safetensors"));
        remove(path);
        assert_int_equal(train_run(context, &data, path, false, stop_at, &part), KATA_INTERRUPTED);
        assert_true(part != whole);
        assert_int_equal(train_run(context, &data, path, true, 0, &part), KATA_OK);
        assert_true(part == whole);
    }
    kata_data_close(&data);
}

static void test_checkpoint_of_another_run_is_refused(void **state) {
    (void)state;
    kata_context *context = kata_context_default();
    kata_data data = digits(context, 100, 50);
    char path[256];
    snprintf(path, sizeof path, "%s", path_in_folder("other.safetensors"));
    for (int i = 0; i < 3; i++) {
        kata_model *m = network(context, i == 2 ? "mlp" : "logistic");
        assert_int_equal(kata_compile(m, .optimizer = kata_sgd(.lr = i == 1 ? 0.2 : 0.1)), KATA_OK);
        uint64_t before = kata_model_hash(m);
        kata_status status =
            kata_fit(m, data.train, .epochs = 2, .checkpoint = path, .resume = i > 0);
        if (i == 0) {
            assert_int_equal(status, KATA_OK);
        } else {
            assert_int_not_equal(status, KATA_OK);
            assert_non_null(strstr(kata_error_message(), i == 1 ? "lr=" : "dense_1.weight"));
            assert_true(kata_model_hash(m) == before); /* nothing was changed */
        }
        kata_model_free(m);
    }
    FILE *file = fopen(path, "wb");
    fputs("not a checkpoint", file);
    fclose(file);
    kata_model *m = network(context, "logistic");
    assert_int_equal(kata_compile(m, .optimizer = kata_sgd()), KATA_OK);
    assert_int_not_equal(kata_fit(m, data.train, .checkpoint = path, .resume = true), KATA_OK);
    assert_non_null(strstr(kata_error_message(), "other.safetensors"));
    kata_model_free(m);
    kata_data_close(&data);
}

static void test_early_stopping_keeps_the_best(void **state) {
    (void)state;
    kata_context *context = kata_context_default();
    kata_data data = digits(context, 60, 200); /* few samples: it over-fits */
    kata_model *m = network(context, "mlp");
    kata_history_row rows[60] = {{0}};
    assert_int_equal(kata_compile(m, .optimizer = kata_adam(.lr = 0.01), .seed = 1), KATA_OK);
    assert_int_equal(kata_fit(m, data.train, .epochs = 60, .batch = 20, .validation = data.test,
                              .early_stopping = {.patience = 3}, .rows = rows, .n_rows = 60),
                     KATA_OK);
    int last = 0, best = 0;
    while (last < 60 && rows[last].epoch > 0) {
        best = rows[last].val_loss < rows[best].val_loss ? last : best;
        last++;
    }
    assert_true(last < 60);
    assert_int_equal(last - 1 - best, 3);
    assert_true(kata_model_hash(m) == rows[best].weights_hash);
    kata_model_free(m);
    kata_data_close(&data);
}

/* --- faults ----------------------------------------------------------------------------------- */

static void test_non_finite_is_named(void **state) {
    (void)state;
    kata_context *context = kata_context_default();
    kata_data data = digits(context, 200, 50);
    kata_model *m =
        kata_model_new("explodes"); /* no ReLU that could die: the weights grow for ever */
    kata_value x = kata_dense(m, kata_input(m, KATA_F32, 1, 28, 28), .units = 20);
    kata_output(m, kata_dense(m, x, .units = 10));
    assert_int_equal(kata_compile(m, .optimizer = kata_sgd(.lr = 1e6)), KATA_OK);
    assert_int_equal(kata_fit(m, data.train, .epochs = 50, .batch = 10), KATA_NON_FINITE);
    assert_non_null(strstr(kata_error_message(), "epoch "));
    assert_non_null(strstr(kata_error_message(), "batch "));
    assert_non_null(strstr(kata_error_message(), "first non-finite value"));
    const kata_variable *w = kata_graph_find_variable(kata_model_graph(m), "dense_1.weight");
    for (int64_t i = 0; i < kata_tensor_count(&w->tensor); i++) {
        assert_true(isfinite(kata_load(KATA_F32, w->tensor.data, i)));
    }
    kata_model_free(m);
    kata_data_close(&data);
}

static void test_bad_options_and_data(void **state) {
    (void)state;
    kata_context *context = kata_context_default();
    kata_data data = digits(context, 100, 50);
    kata_model *m = network(context, "logistic");
    assert_int_equal(kata_fit(m, data.train, .epochs = 1), KATA_INVALID);
    assert_non_null(strstr(kata_error_message(), "not compiled"));
    assert_int_equal(kata_compile(m, .optimizer = kata_sgd(.lr = NAN)), KATA_INVALID);
    assert_non_null(strstr(kata_error_message(), "learning rate"));
    assert_int_equal(kata_compile(m, .optimizer = kata_sgd(.lr = -1)), KATA_INVALID);
    assert_int_equal(kata_compile(m, .clip_norm = -1), KATA_INVALID);
    assert_int_equal(kata_compile(m, .optimizer = kata_sgd()), KATA_OK);
    assert_int_equal(kata_fit(m, data.train, .epochs = -1), KATA_INVALID);
    assert_int_equal(kata_fit(m, NULL, .epochs = 1), KATA_INVALID);
    ((int64_t *)data.train->targets[0].data)[17] = 10;
    assert_int_equal(kata_fit(m, data.train, .epochs = 1), KATA_INVALID);
    assert_non_null(
        strstr(kata_error_message(), "the label of sample 17 is 10; labels must be 0 to 9"));
    kata_model_free(m);

    kata_ready_options small = {.input = KATA_SHAPE_OF(1, 20, 20)};
    assert_int_equal(kata_model_ready(&m, context, "two-layer", &small), KATA_OK);
    assert_int_equal(kata_compile(m, .optimizer = kata_sgd()), KATA_OK);
    assert_int_equal(kata_fit(m, data.test, .epochs = 1), KATA_SHAPE);
    assert_non_null(strstr(kata_error_message(), "(?,1,20,20)"));
    assert_non_null(strstr(kata_error_message(), "(?,1,28,28)"));
    kata_model_free(m);
    kata_data_close(&data);
}

/* --- memory ----------------------------------------------------------------------------------- */

typedef struct step_counter {
    kata_test_allocator *allocator;
    int64_t calls_at_start, steps;
    bool clean;
} step_counter;

static void check_steps(void *user, const kata_progress *progress) {
    step_counter *c = user;
    if (progress->row != NULL) {
        return;
    }
    if (++c->steps == 1) {
        c->calls_at_start = c->allocator->n_calls;
    } else if (c->allocator->n_calls != c->calls_at_start) {
        c->clean = false;
    }
}

static void test_no_allocation_in_the_steady_state(void **state) {
    (void)state;
    kata_test_allocator allocator;
    kata_test_allocator_init(&allocator);
    kata_context *context = kata_test_context(&allocator, 2);
    const char *const names[] = {"two-layer", "simple-convnet", "deep-convnet"};
    kata_data data = digits(context, 100, 50);
    for (int i = 0; i < 3; i++) {
        kata_model *m = network(context, names[i]);
        step_counter counter = {.allocator = &allocator, .clean = true};
        assert_int_equal(kata_compile(m, .optimizer = kata_adam(), .clip_norm = 1), KATA_OK);
        assert_int_equal(kata_fit(m, data.train, .batch = 10, .callback = check_steps,
                                  .callback_user = &counter, .augment = {.shift = 1, .elastic = 2}),
                         KATA_OK);
        assert_int_equal(counter.steps, 10);
        assert_true(counter.clean);

        float x[3 * 784] = {0}, y[3 * 10];
        kata_tensor input = kata_tensor_view(x, KATA_F32, &KATA_SHAPE_OF(3, 1, 28, 28));
        kata_tensor output = kata_tensor_view(y, KATA_F32, &KATA_SHAPE_OF(3, 10));
        assert_int_equal(kata_predict(m, &input, &output), KATA_OK);
        int64_t calls = allocator.n_calls;
        for (int k = 0; k < 5; k++) {
            assert_int_equal(kata_predict(m, &input, &output), KATA_OK);
        }
        assert_int_equal(allocator.n_calls, calls);
        kata_model_free(m);
    }
    kata_data_close(&data);
    kata_context_free(context);
    assert_int_equal(allocator.n_live, 0);
}

/* Data, model, compile, one training step, save, load, predict. */
static kata_status whole_life(kata_context *context, const char *path) {
    kata_data data = {0};
    kata_data_options options = {.limit_train = 10, .limit_test = 5};
    kata_model *m = NULL, *loaded = NULL;
    float x[784] = {0}, y[10];
    kata_tensor input = kata_tensor_view(x, KATA_F32, &KATA_SHAPE_OF(1, 1, 28, 28));
    kata_tensor output = kata_tensor_view(y, KATA_F32, &KATA_SHAPE_OF(1, 10));
    kata_status status = kata_data_open(&data, context, "make:digits", &options);
    if (status == KATA_OK) {
        status = kata_model_ready(&m, context, "two-layer", NULL);
    }
    if (status == KATA_OK) {
        status = kata_compile(m, .optimizer = kata_adam(), .clip_norm = 1);
    }
    if (status == KATA_OK) {
        status = kata_fit(m, data.train, .batch = 10, .validation = data.test,
                          .early_stopping = {.patience = 1}, .checkpoint = path);
    }
    if (status == KATA_OK) {
        status = kata_save(m, path_in_folder("life.onnx"));
    }
    if (status == KATA_OK) {
        status = kata_model_load(&loaded, context, path_in_folder("life.onnx"));
    }
    if (status == KATA_OK) {
        status = kata_predict(loaded, &input, &output);
    }
    kata_model_free(loaded);
    kata_model_free(m);
    kata_data_close(&data);
    return status;
}

static void test_each_allocation_fails_cleanly(void **state) {
    (void)state;
    kata_test_allocator allocator;
    kata_test_allocator_init(&allocator);
    char path[256];
    snprintf(path, sizeof path, "%s", path_in_folder("life.safetensors"));
    kata_context *context = kata_test_context(&allocator, 1);
    int64_t live = allocator.n_live;
    kata_test_allocator_reset(&allocator, 0);
    assert_int_equal(whole_life(context, path), KATA_OK);
    int64_t n_calls = allocator.n_calls;
    assert_true(n_calls > 100);
    for (int64_t k = 1; k <= n_calls; k++) {
        kata_test_allocator_reset(&allocator, k);
        kata_status status = whole_life(context, path);
        if (status != KATA_OUT_OF_MEMORY) {
            fail_msg("allocation %lld of %lld failed, but the status is %s: %s", (long long)k,
                     (long long)n_calls, kata_status_name(status), kata_error_message());
        }
        assert_int_equal(allocator.n_live, live);
    }
    kata_test_allocator_reset(&allocator, 0);
    kata_context_free(context);
    assert_int_equal(allocator.n_live, 0);
}

/* --- saved models ----------------------------------------------------------------------------- */

static void test_save_load_evaluate(void **state) {
    (void)state;
    kata_context *context = kata_context_default();
    kata_data data = digits(context, 1000, 300);
    kata_model *m = network(context, "simple-convnet"), *loaded;
    const char *const labels[] = {"zero", "one \"1\"", "två", "3", "4", "5", "6", "7", "8", "九"};
    assert_int_equal(kata_compile(m, .optimizer = kata_adam(), .seed = 6), KATA_OK);
    assert_int_equal(kata_model_set_labels(m, labels, 10), KATA_OK);
    assert_int_equal(kata_fit(m, data.train, .epochs = 2), KATA_OK);
    assert_int_equal(kata_save(m, path_in_folder("model.onnx")), KATA_OK);
    assert_int_equal(kata_model_load(&loaded, context, path_in_folder("model.onnx")), KATA_OK);
    assert_true(kata_model_hash(m) == kata_model_hash(loaded));
    assert_int_equal(kata_model_n_labels(loaded), 10);
    for (int i = 0; i < 10; i++) {
        char text[32];
        assert_true(kata_model_label(loaded, i, text, sizeof text));
        assert_string_equal(text, labels[i]);
    }
    char text[8];
    assert_false(kata_model_label(loaded, 10, text, sizeof text));
    kata_evaluation a, b;
    assert_int_equal(kata_evaluate(m, data.test, &a), KATA_OK);
    assert_int_equal(kata_evaluate(loaded, data.test, &b), KATA_OK);
    assert_true(a.loss == b.loss);
    assert_memory_equal(a.answers, b.answers, 300 * sizeof *a.answers);
    int64_t right = 0;
    for (int i = 0; i < 300; i++) {
        const kata_answer *said = &a.answers[i];
        assert_true(said->p >= said->p_truth && said->p <= 1 && said->p_truth >= 0);
        right += said->answer == said->truth;
    }
    assert_int_equal(right, a.classification.n_right);
    kata_evaluation_free(&a);
    kata_evaluation_free(&b);
    /* a loaded model goes on learning, from its weights */
    uint64_t before = kata_model_hash(loaded);
    assert_int_equal(kata_compile(loaded, .optimizer = kata_adam(), .seed = 1), KATA_OK);
    assert_true(kata_model_hash(loaded) == before);
    assert_int_equal(kata_model_freeze(loaded, "conv2d_1.", true), 2);
    float conv[750];
    memcpy(conv, kata_graph_find_variable(kata_model_graph(loaded), "conv2d_1.weight")->tensor.data,
           sizeof conv);
    assert_int_equal(kata_fit(loaded, data.train, .epochs = 1), KATA_OK);
    assert_memory_equal(
        conv, kata_graph_find_variable(kata_model_graph(loaded), "conv2d_1.weight")->tensor.data,
        sizeof conv);
    assert_true(kata_model_hash(loaded) != before);
    kata_model_free(m);
    kata_model_free(loaded);
    kata_data_close(&data);
}

/* A new head on a trained body: the old outputs go, the body's weights stay. */
static void test_new_head(void **state) {
    (void)state;
    kata_context *context = kata_context_default();
    kata_data data = digits(context, 500, 100);
    kata_model *m = network(context, "mlp"), *copy = network(context, "mlp");
    assert_int_equal(kata_compile(m, .optimizer = kata_adam(), .seed = 1), KATA_OK);
    assert_int_equal(kata_fit(m, data.train, .epochs = 2), KATA_OK);
    assert_int_equal(kata_model_copy_weights(copy, m, "dense_1."), 2);
    assert_int_equal(kata_compile(copy, .optimizer = kata_adam(), .seed = 2), KATA_OK);
    const kata_variable *from = kata_graph_find_variable(kata_model_graph(m), "dense_1.weight");
    const kata_variable *to = kata_graph_find_variable(kata_model_graph(copy), "dense_1.weight");
    assert_memory_equal(from->tensor.data, to->tensor.data, kata_tensor_bytes(&from->tensor));
    kata_model_free(copy);

    kata_value body = KATA_NONE;
    kata_graph *graph = kata_model_graph(m);
    assert_int_equal(kata_model_remove_outputs(m), KATA_OK);
    assert_int_equal(kata_graph_n_outputs(graph), 0);
    for (int i = 1; body.id == 0; i++) { /* the hidden layer's output */
        kata_value v = {i};
        kata_shape shape = kata_value_shape(graph, v);
        if (strstr(kata_value_name(graph, v), "Relu") != NULL && shape.rank == 2) {
            body = v;
        }
    }
    kata_model_freeze(m, "", true);
    assert_int_equal(kata_output(m, kata_dense(m, body, .units = 10, .name = "head")), KATA_OK);
    assert_int_equal(kata_compile(m, .optimizer = kata_adam(.lr = 0.01), .seed = 3), KATA_OK);
    assert_int_equal(kata_fit(m, data.train, .epochs = 3), KATA_OK);
    kata_evaluation e;
    assert_int_equal(kata_evaluate(m, data.test, &e), KATA_OK);
    assert_true(kata_classification_accuracy(&e.classification) > 0.5);
    kata_evaluation_free(&e);
    assert_int_equal(kata_save(m, path_in_folder("head.onnx")), KATA_OK);
    kata_model_free(m);
    kata_data_close(&data);
}

/* A program that looks at the last status alone must not end with an untrained model. */
static void test_a_failed_fit_is_not_saved(void **state) {
    (void)state;
    kata_context *context = kata_context_default();
    kata_data data = digits(context, 100, 10);
    kata_model *m = network(context, "logistic");
    assert_int_equal(kata_compile(m, .optimizer = kata_sgd(.lr = -1)), KATA_INVALID);
    assert_int_equal(kata_save(m, path_in_folder("failed.onnx")), KATA_INVALID);
    assert_non_null(strstr(kata_error_message(), "learning rate"));
    assert_int_not_equal(access(path_in_folder("failed.onnx"), F_OK), 0);
    assert_int_equal(kata_compile(m, .optimizer = kata_sgd()), KATA_OK);
    assert_int_equal(kata_fit(m, data.train, .epochs = 1), KATA_OK);
    assert_int_equal(kata_save(m, path_in_folder("failed.onnx")), KATA_OK);
    kata_model_free(m);
    kata_data_close(&data);
}

static void test_schedules(void **state) {
    (void)state;
    kata_schedule s = {.kind = KATA_SCHEDULE_STEP, .every = 2};
    assert_true(fabs(kata_schedule_rate(&s, 1, 0, 10, 6) - 1) < 1e-12);
    assert_true(fabs(kata_schedule_rate(&s, 1, 19, 10, 6) - 1) < 1e-12);
    assert_true(fabs(kata_schedule_rate(&s, 1, 20, 10, 6) - 0.1) < 1e-12);
    assert_true(fabs(kata_schedule_rate(&s, 1, 40, 10, 6) - 0.01) < 1e-12);
    s = (kata_schedule){.kind = KATA_SCHEDULE_EXPONENTIAL, .factor = 0.5};
    assert_true(fabs(kata_schedule_rate(&s, 1, 10, 10, 6) - 0.5) < 1e-12);
    s = (kata_schedule){.kind = KATA_SCHEDULE_COSINE};
    assert_true(fabs(kata_schedule_rate(&s, 1, 0, 10, 6) - 1) < 1e-12);
    assert_true(kata_schedule_rate(&s, 1, 59, 10, 6) < 1e-12);
    s = (kata_schedule){.kind = KATA_SCHEDULE_ONE_CYCLE};
    assert_true(fabs(kata_schedule_rate(&s, 1, 0, 10, 6) - 0.1) < 1e-12);
    double top = 0;
    for (int64_t i = 0; i < 60; i++) {
        top = fmax(top, kata_schedule_rate(&s, 1, i, 10, 6));
    }
    assert_true(top > 0.99 && top <= 1);
    assert_true(kata_schedule_rate(&s, 1, 59, 10, 6) < 1e-12);
    s = (kata_schedule){.kind = KATA_SCHEDULE_CONSTANT, .warmup = 1};
    assert_true(fabs(kata_schedule_rate(&s, 1, 0, 9, 6) - 0.1) < 1e-12);
    assert_true(fabs(kata_schedule_rate(&s, 1, 9, 9, 6) - 1) < 1e-12);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_optimizer_learns),
        cmocka_unit_test(test_regression_losses),
        cmocka_unit_test(test_multi_label),
        cmocka_unit_test(test_target_forms),
        cmocka_unit_test(test_penalty_and_clipping),
        cmocka_unit_test(test_same_bits_for_any_thread_count),
        cmocka_unit_test(test_resume_is_exact),
        cmocka_unit_test(test_checkpoint_of_another_run_is_refused),
        cmocka_unit_test(test_early_stopping_keeps_the_best),
        cmocka_unit_test(test_non_finite_is_named),
        cmocka_unit_test(test_bad_options_and_data),
        cmocka_unit_test(test_no_allocation_in_the_steady_state),
        cmocka_unit_test(test_each_allocation_fails_cleanly),
        cmocka_unit_test(test_save_load_evaluate),
        cmocka_unit_test(test_new_head),
        cmocka_unit_test(test_rescaled_input),
        cmocka_unit_test(test_a_failed_fit_is_not_saved),
        cmocka_unit_test(test_many_classes),
        cmocka_unit_test(test_many_labels),
        cmocka_unit_test(test_schedules),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
