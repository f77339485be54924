/* What kata_fit decides between epochs, on a model whose losses are known beforehand: one weight,
 * the mean absolute error, plain gradient descent. Every step moves the weight by the learning rate
 * towards the target, so that the loss falls by it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <kata/train.h>

#include "support/assert_ok.h"

enum { MOST = 40 };

/* n samples of x = 1, t = target. */
static kata_dataset *ones(int n, float target) {
    static float x[512], t[512];
    kata_dataset *data;
    for (int i = 0; i < n; i++) {
        x[i] = 1;
        t[i] = target;
    }
    kata_tensor tx = kata_tensor_view(x, KATA_F32, &KATA_SHAPE_OF(n, 1));
    kata_tensor tt = kata_tensor_view(t, KATA_F32, &KATA_SHAPE_OF(n, 1));
    assert_ok(kata_dataset_new(&data, kata_context_default(), "ones"));
    assert_ok(kata_dataset_add_input(data, &tx));
    assert_ok(kata_dataset_add_target(data, &tt));
    return data;
}

/* y = w x with w = 0. */
static kata_model *one_weight(double lr) {
    kata_model *m = kata_model_new("one");
    kata_value x = kata_input(m, KATA_F32, 1);
    kata_output(
        m, kata_dense(m, x, .units = 1, .no_bias = true, .initializer = {.kind = KATA_INIT_ZEROS}));
    assert_ok(kata_compile(m, .loss = KATA_MEAN_ABSOLUTE_ERROR, .optimizer = kata_sgd(.lr = lr)));
    return m;
}

static float weight_of(kata_model *m) {
    return ((const float *)kata_graph_variable_at(kata_model_graph(m), 0)->tensor.data)[0];
}

/* Rows of a run of at most MOST epochs of one step; returns how many there were. */
static int fit_rows(kata_model *m, const kata_dataset *data, kata_fit_options options,
                    kata_history_row rows[MOST]) {
    int n = 0;
    memset(rows, 0, MOST * sizeof *rows);
    options.rows = rows;
    options.n_rows = MOST;
    assert_ok(kata_fit_with(m, data, &options));
    while (n < MOST && rows[n].epoch > 0) {
        assert_int_equal(rows[n].epoch, n + 1);
        n++;
    }
    return n;
}

/* --- what counts as an improvement ------------------------------------------------------------ */

/* Losses 1, 0.9, 0.8, ...: with min_delta 0.25 only every third is an improvement, so that a
 * patience of 2 is used up and one of 3 never. */
static void test_min_delta(void **state) {
    (void)state;
    kata_history_row rows[MOST];
    kata_dataset *data = ones(4, 1);
    static const struct {
        int patience;
        double min_delta;
        int epochs;
    } cases[] = {{1, 0, 9}, {1, 0.05, 9}, {1, 0.15, 2}, {2, 0.25, 3}, {3, 0.25, 9}, {0, 5, 9}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kata_model *m = one_weight(0.1);
        int n = fit_rows(m, data,
                         (kata_fit_options){.epochs = 9,
                                            .early_stopping = {.patience = cases[i].patience,
                                                               .min_delta = cases[i].min_delta}},
                         rows);
        if (n != cases[i].epochs) {
            fail_msg("patience %d, min_delta %g: %d epochs, expected %d", cases[i].patience,
                     cases[i].min_delta, n, cases[i].epochs);
        }
        for (int k = 0; k < n; k++) {
            assert_true(fabs(rows[k].loss - (1 - 0.1 * k)) < 1e-6);
        }
        kata_model_free(m);
    }
    kata_dataset_free(data);
}

/* The validation set wants 0.35: the weight goes 0.1, 0.2, 0.3, 0.4, ..., the best is that after
 * the third epoch or, of the last, what keep_last keeps. */
static void test_best_and_last_weights(void **state) {
    (void)state;
    kata_history_row rows[MOST];
    kata_dataset *data = ones(4, 1), *validation = ones(3, 0.32F);
    for (int keep_last = 0; keep_last < 2; keep_last++) {
        kata_model *m = one_weight(0.1);
        int n = fit_rows(
            m, data,
            (kata_fit_options){.epochs = 20,
                               .validation = validation,
                               .early_stopping = {.patience = 3, .keep_last = keep_last != 0}},
            rows);
        assert_int_equal(n, 6);
        for (int k = 0; k < n; k++) {
            assert_true(fabs(rows[k].val_loss - fabs(0.1 * (k + 1) - 0.32)) < 1e-6);
        }
        assert_true(fabs((double)weight_of(m) - (keep_last ? 0.6 : 0.3)) < 1e-6);
        kata_model_free(m);
    }
    kata_dataset_free(data);
    kata_dataset_free(validation);
}

/* --- the plateau schedule --------------------------------------------------------------------- */

/* The rate is 3/8: the weight jumps over the target 1 and back. Each second epoch in a row without
 * an improvement makes the rate a quarter; an equal loss is none. */
static void test_plateau(void **state) {
    (void)state;
    kata_history_row rows[MOST];
    kata_dataset *data = ones(4, 1);
    kata_model *m = one_weight(0.375);
    kata_schedule schedule = {.kind = KATA_SCHEDULE_PLATEAU, .factor = 0.25, .patience = 2};
    int n = fit_rows(m, data, (kata_fit_options){.epochs = 9, .schedule = schedule}, rows);
    static const double loss[] = {1, 0.625, 0.25, 0.125, 0.25, 0.125, 0.25, 0.15625, 0.0625};
    static const double rate[] = {0.375, 0.375,   0.375,   0.375,    0.375,
                                  0.375, 0.09375, 0.09375, 0.0234375};
    assert_int_equal(n, 9);
    for (int k = 0; k < n; k++) {
        if (fabs(rows[k].loss - loss[k]) > 1e-12 || fabs(rows[k].lr - rate[k]) > 1e-9) {
            fail_msg("epoch %d: loss %g, rate %g", k + 1, rows[k].loss, rows[k].lr);
        }
    }
    kata_model_free(m);
    /* of the validation loss, if there is one: it falls all the time */
    kata_dataset *validation = ones(4, 5);
    m = one_weight(0.375);
    n = fit_rows(m, data,
                 (kata_fit_options){.epochs = 3,
                                    .schedule = {.kind = KATA_SCHEDULE_PLATEAU, .patience = 1},
                                    .validation = validation},
                 rows);
    assert_int_equal(n, 3);
    assert_true(rows[2].lr == 0.375);
    kata_model_free(m);
    kata_dataset_free(validation);
    kata_dataset_free(data);
}

/* --- epochs, steps, batches ------------------------------------------------------------------- */

typedef struct seen {
    int64_t steps, epochs, last_batch, batches;
} seen;

static void count(void *user, const kata_progress *progress) {
    seen *s = user;
    s->batches = progress->batches;
    if (progress->row != NULL) {
        s->epochs++;
        assert_int_equal(progress->batch, progress->batches);
        assert_int_equal(progress->epoch, s->epochs);
        assert_true(progress->loss == progress->row->loss);
    } else {
        s->steps++;
        s->last_batch = progress->batch;
        assert_int_equal(progress->batch, 1 + (s->steps - 1) % progress->batches);
        assert_int_equal(progress->epoch, 1 + (s->steps - 1) / progress->batches);
    }
}

static void test_epochs_and_steps(void **state) {
    (void)state;
    kata_dataset *data = ones(25, 1000);
    static const struct {
        int64_t epochs, steps, batch, done, batches;
    } cases[] = {
        {0, 0, 0, 1, 1},  /* one epoch of one batch of all 25 */
        {2, 0, 10, 6, 3}, /* the last batch is short */
        {0, 7, 10, 7, 3}, /* by steps alone: into the third epoch */
        {0, 6, 10, 6, 3}, /* exactly two epochs */
        {2, 7, 10, 6, 3}, /* the epochs end first */
        {3, 7, 10, 7, 3}, /* the steps end first */
        {1, 0, 25, 1, 1}, {1, 0, 24, 2, 2}, {1, 0, 26, 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kata_model *m = one_weight(0.5);
        seen s = {0};
        assert_ok(kata_fit(m, data, .epochs = cases[i].epochs, .steps = cases[i].steps,
                           .batch = cases[i].batch, .callback = count, .callback_user = &s));
        assert_int_equal(s.steps, cases[i].done);
        assert_int_equal(s.batches, cases[i].batches);
        assert_int_equal(s.epochs, (cases[i].done + cases[i].batches - 1) / cases[i].batches);
        assert_true(fabs((double)weight_of(m) - 0.5 * (double)cases[i].done) < 1e-6);
        kata_model_free(m);
    }
    kata_dataset_free(data);
}

/* The loss of a data set is the mean over its samples, also where the last batch is short: 100
 * samples of loss 1 and 30 of loss 4, in batches of 100 or of any size. */
static void test_mean_over_samples(void **state) {
    (void)state;
    enum { N = 130 };
    static float x[N], t[N];
    for (int i = 0; i < N; i++) {
        x[i] = 1;
        t[i] = i < 100 ? 1 : 4;
    }
    kata_tensor tx = kata_tensor_view(x, KATA_F32, &KATA_SHAPE_OF(N, 1));
    kata_tensor tt = kata_tensor_view(t, KATA_F32, &KATA_SHAPE_OF(N, 1));
    kata_dataset *data;
    assert_ok(kata_dataset_new(&data, kata_context_default(), "two kinds"));
    assert_ok(kata_dataset_add_input(data, &tx));
    assert_ok(kata_dataset_add_target(data, &tt));
    const double mean = (100 * 1 + 30 * 4) / 130.0;
    kata_model *m = one_weight(1e-12);
    kata_evaluation e;
    assert_ok(kata_evaluate(m, data, &e));
    assert_int_equal(e.n, N);
    assert_int_equal(e.n_outputs, 1);
    assert_true(fabs(e.loss - mean) < 1e-6);
    assert_true(fabs(kata_regression_mean_absolute_error(&e.regression) - mean) < 1e-6);
    kata_evaluation_free(&e);
    for (int batch = 7; batch < 200; batch += 31) {
        kata_history_row row;
        assert_ok(kata_fit(m, data, .batch = batch, .validation = data, .rows = &row, .n_rows = 1));
        assert_true(fabs(row.loss - mean) < 1e-5);
        assert_true(fabs(row.accuracy - mean) < 1e-5);
        assert_true(fabs(row.val_loss - mean) < 1e-6);
        assert_true(fabs(row.val_accuracy - mean) < 1e-6);
    }
    kata_model_free(m);
    kata_dataset_free(data);
}

/* A prediction of any number of samples is that of each alone: at the borders of what runs as one
 * batch. */
static void test_predict_any_number(void **state) {
    (void)state;
    enum { N = 420 };
    static float x[N], y[N];
    kata_model *m = one_weight(1);
    kata_dataset *data = ones(1, 3);
    assert_ok(kata_fit(m, data, .epochs = 2)); /* w = 2 */
    static const int counts[] = {0, 1, 99, 100, 101, 255, 256, 257, 300, 420};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        for (int k = 0; k < N; k++) {
            x[k] = (float)k;
            y[k] = -1;
        }
        kata_tensor in = kata_tensor_view(x, KATA_F32, &KATA_SHAPE_OF(counts[i], 1));
        kata_tensor out = kata_tensor_view(y, KATA_F32, &KATA_SHAPE_OF(counts[i], 1));
        assert_ok(kata_predict(m, &in, &out));
        for (int k = 0; k < N; k++) {
            assert_true(y[k] == (k < counts[i] ? 2 * (float)k : -1));
        }
    }
    kata_dataset_free(data);
    kata_model_free(m);
}

/* Weights that are copied into a model that has predicted are those that it predicts with, also
 * where a plan has prepared (packed) weights of its own. */
static void test_copied_weights_are_used(void **state) {
    (void)state;
    static float x[64], y[2][10];
    kata_model *m[2];
    for (int i = 0; i < 64; i++) {
        x[i] = (float)(i % 7) / 7;
    }
    kata_tensor in = kata_tensor_view(x, KATA_F32, &KATA_SHAPE_OF(1, 1, 8, 8));
    for (int precision = 0; precision < KATA_PRECISION_COUNT; precision++) {
        for (int k = 0; k < 2; k++) {
            m[k] = kata_model_new("copies");
            kata_value v = kata_input(m[k], KATA_F32, 1, 8, 8);
            v = kata_conv2d(m[k], v, .filters = 16, .kernel = {3, 3}, .same = true,
                            .activation = KATA_RELU);
            v = kata_conv2d(m[k], v, .filters = 16, .kernel = {3, 3}, .same = true);
            kata_output(m[k], kata_dense(m[k], kata_flatten(m[k], v), .units = 10));
            assert_ok(kata_model_initialize(m[k], (uint64_t)k));
            assert_ok(kata_set_precision(m[k], (kata_precision)precision));
            kata_tensor out = kata_tensor_view(y[k], KATA_F32, &KATA_SHAPE_OF(1, 10));
            assert_ok(kata_predict(m[k], &in, &out));
        }
        assert_memory_not_equal(y[0], y[1], sizeof y[0]);
        assert_int_equal(kata_model_copy_weights(m[1], m[0], ""), 6);
        kata_tensor out = kata_tensor_view(y[1], KATA_F32, &KATA_SHAPE_OF(1, 10));
        assert_ok(kata_predict(m[1], &in, &out));
        assert_memory_equal(y[0], y[1], sizeof y[0]);
        kata_model_free(m[0]);
        kata_model_free(m[1]);
    }
}

/* --- schedules, with their numbers ------------------------------------------------------------ */

static void test_rates(void **state) {
    (void)state;
    static const struct {
        kata_schedule schedule;
        int64_t step;
        double rate; /* of lr 2, 10 steps an epoch, 4 epochs */
    } cases[] = {
        {{.kind = KATA_SCHEDULE_CONSTANT}, 39, 2},
        {{.kind = KATA_SCHEDULE_STEP}, 39, 2}, /* every 10 epochs */
        {{.kind = KATA_SCHEDULE_STEP, .every = 3}, 29, 2},
        {{.kind = KATA_SCHEDULE_STEP, .every = 3}, 30, 0.2},
        {{.kind = KATA_SCHEDULE_STEP, .every = 1, .factor = 0.5}, 39, 0.25},
        {{.kind = KATA_SCHEDULE_EXPONENTIAL}, 10, 1.9},
        {{.kind = KATA_SCHEDULE_EXPONENTIAL, .factor = 0.25}, 5, 1},
        {{.kind = KATA_SCHEDULE_COSINE, .final = 0.5}, 0, 2},
        {{.kind = KATA_SCHEDULE_COSINE, .final = 0.5}, 39, 1},
        {{.kind = KATA_SCHEDULE_ONE_CYCLE}, 0, 0.2},
        {{.kind = KATA_SCHEDULE_ONE_CYCLE, .initial = 0.5}, 0, 1},
        {{.kind = KATA_SCHEDULE_ONE_CYCLE, .final = 0.25}, 39, 0.5},
        {{.kind = KATA_SCHEDULE_CONSTANT, .warmup = 2}, 0, 2 / 21.0},
        {{.kind = KATA_SCHEDULE_CONSTANT, .warmup = 2}, 9, 20 / 21.0},
        {{.kind = KATA_SCHEDULE_CONSTANT, .warmup = 2}, 19, 40 / 21.0},
        {{.kind = KATA_SCHEDULE_CONSTANT, .warmup = 2}, 20, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double rate = kata_schedule_rate(&cases[i].schedule, 2, cases[i].step, 10, 4);
        if (fabs(rate - cases[i].rate) > 1e-9) {
            fail_msg("case %zu: rate %.12g, expected %.12g", i, rate, cases[i].rate);
        }
    }
    /* one-cycle has its top where the warm-up ends and falls behind it */
    kata_schedule s = {.kind = KATA_SCHEDULE_ONE_CYCLE, .warmup = 0.5};
    int64_t top = 0;
    for (int64_t i = 0; i < 40; i++) {
        top = kata_schedule_rate(&s, 1, i, 10, 4) > kata_schedule_rate(&s, 1, top, 10, 4) ? i : top;
    }
    assert_true(top >= 19 && top <= 21);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_min_delta),
        cmocka_unit_test(test_best_and_last_weights),
        cmocka_unit_test(test_plateau),
        cmocka_unit_test(test_epochs_and_steps),
        cmocka_unit_test(test_mean_over_samples),
        cmocka_unit_test(test_predict_any_number),
        cmocka_unit_test(test_copied_weights_are_used),
        cmocka_unit_test(test_rates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
