/* Training on a source of batches instead of a data set, and metrics of one's own. */
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

#include "support/assert_ok.h"

enum { N = 23, WIDTH = 3, BATCH = 5, CLASSES = 4 };

/* Gives the rows of a data set in order, as a file would be read. */
typedef struct stream {
    kata_dataset *all, *batch;
    int64_t at, end, extra; /* extra: so many more at a time than were asked for */
} stream;

static kata_status begin(void *user, uint64_t seed, int64_t epoch, bool shuffle, int64_t skip) {
    (void)seed, (void)epoch, (void)shuffle;
    ((stream *)user)->at = skip;
    return KATA_OK;
}

static kata_status next(void *user, int64_t n, const kata_dataset **batch) {
    stream *s = user;
    int64_t rows[N];
    kata_dataset_free(s->batch);
    *batch = s->batch = NULL;
    n += s->extra;
    n = s->end - s->at < n ? s->end - s->at : n;
    if (n <= 0) {
        return KATA_OK;
    }
    for (int64_t i = 0; i < n; i++) {
        rows[i] = s->at++;
    }
    kata_status status = kata_dataset_take(&s->batch, s->all, rows, n);
    *batch = s->batch;
    return status;
}

static kata_dataset *table(void) {
    kata_context *context = kata_context_default();
    kata_dataset *data;
    kata_tensor x, t;
    assert_ok(kata_dataset_new(&data, context, "table"));
    assert_ok(kata_tensor_new(&x, context, KATA_F32, &KATA_SHAPE_OF(N, WIDTH)));
    assert_ok(kata_tensor_new(&t, context, KATA_I64, &KATA_SHAPE_OF(N)));
    for (int64_t i = 0; i < N * WIDTH; i++) {
        ((float *)x.data)[i] = (float)((i * 7 + 3) % 11) / 5 - 1;
    }
    for (int64_t i = 0; i < N; i++) {
        ((int64_t *)t.data)[i] = i % CLASSES;
    }
    assert_ok(kata_dataset_add_input(data, &x));
    assert_ok(kata_dataset_add_target(data, &t));
    kata_tensor_release(&x);
    kata_tensor_release(&t);
    return data;
}

static kata_model *network(void) {
    kata_model *m = kata_model_new("network");
    kata_value x =
        kata_dense(m, kata_input(m, KATA_F32, WIDTH), .units = 6, .activation = KATA_RELU);
    kata_output(m, kata_dense(m, kata_dropout(m, x, .rate = 0.2), .units = CLASSES));
    assert_ok(kata_compile(m, .optimizer = kata_adam(.lr = 0.05), .seed = 2));
    return m;
}

static kata_source source_of(stream *s, int64_t n) {
    return (kata_source){.size = sizeof(kata_source),
                         .name = "stream",
                         .n = n,
                         .user = s,
                         .begin = begin,
                         .next = next};
}

static void test_a_source_is_a_data_set(void **state) {
    (void)state;
    kata_dataset *data = table();
    kata_history_row rows[2][3];
    uint64_t hash[3];
    for (int k = 0; k < 3;
         k++) { /* the data set, a source that knows its size, one that does not */
        kata_model *m = network();
        stream s = {.all = data, .end = N};
        kata_source source = source_of(&s, k == 1 ? N : 0);
        kata_fit_options options = {.epochs = 3,
                                    .batch = BATCH,
                                    .no_shuffle = true,
                                    .validation = data,
                                    .rows = rows[k > 0],
                                    .n_rows = 3};
        assert_ok(k == 0 ? kata_fit_with(m, data, &options)
                         : kata_fit_source(m, &source, &options));
        hash[k] = kata_model_hash(m);
        kata_dataset_free(s.batch);
        kata_model_free(m);
        for (int e = 0; e < 3 && k > 0; e++) {
            assert_int_equal(rows[1][e].step, rows[0][e].step);
            assert_true(rows[1][e].loss == rows[0][e].loss);
            assert_true(rows[1][e].accuracy == rows[0][e].accuracy);
            assert_true(rows[1][e].val_loss == rows[0][e].val_loss);
        }
    }
    assert_true(hash[1] == hash[0]);
    assert_true(hash[2] == hash[0]);
    kata_dataset_free(data);
}

static int steps_left;
static volatile int stop;

static void count_down(void *user, const kata_progress *progress) {
    (void)user;
    stop = progress->row == NULL && --steps_left == 0 ? 1 : stop;
}

static void test_a_stopped_stream_goes_on_where_it_was(void **state) {
    (void)state;
    kata_dataset *data = table();
    for (int known = 0; known < 2; known++) {
        char path[] = "/tmp/kata-test-source-XXXXXX";
        close(mkstemp(path));
        stream s = {.all = data, .end = N};
        kata_source source = source_of(&s, known ? N : 0);
        kata_fit_options options = {.epochs = 3, .batch = BATCH, .checkpoint = path};
        kata_model *m = network();
        assert_ok(kata_fit_source(m, &source, &options));
        const uint64_t whole = kata_model_hash(m);
        kata_model_free(m);

        m = network();
        steps_left = 8; /* in the second epoch */
        stop = 0;
        options.callback = count_down;
        options.stop = &stop;
        assert_int_equal(kata_fit_source(m, &source, &options), KATA_INTERRUPTED);
        assert_true(kata_model_hash(m) != whole);
        kata_model_free(m);
        m = network();
        stop = 0;
        options.resume = true;
        assert_ok(kata_fit_source(m, &source, &options));
        assert_true(kata_model_hash(m) == whole);
        kata_model_free(m);
        kata_dataset_free(s.batch);
        unlink(path);
    }
    kata_dataset_free(data);
}

static void assert_fails(stream *s, int64_t n, kata_schedule_kind kind, kata_status status,
                         const char *text) {
    kata_model *m = network();
    kata_source source = source_of(s, n);
    assert_int_equal(
        kata_fit_source(m, &source,
                        &(kata_fit_options){.epochs = 2, .batch = BATCH, .schedule.kind = kind}),
        status);
    if (strstr(kata_error_message(), text) == NULL) {
        fail_msg("'%s' is not in: %s", text, kata_error_message());
    }
    kata_dataset_free(s->batch);
    s->batch = NULL;
    kata_model_free(m);
}

static void test_a_source_that_does_not_keep_its_word(void **state) {
    (void)state;
    kata_dataset *data = table();
    const kata_schedule_kind constant = KATA_SCHEDULE_CONSTANT;
    assert_fails(&(stream){.all = data, .end = N - 6}, N, constant, KATA_INVALID,
                 "source stream gave 17 samples in epoch 1");
    assert_fails(&(stream){.all = data, .end = 0}, 0, constant, KATA_INVALID,
                 "source stream gave 0 samples in epoch 1");
    assert_fails(&(stream){.all = data, .end = N, .extra = 1}, 0, constant, KATA_INVALID,
                 "gave 6 samples where at most 5 were asked for");
    assert_fails(&(stream){.all = data, .end = N}, 0, KATA_SCHEDULE_COSINE, KATA_INVALID,
                 "does not say how many samples an epoch has");
    ((float *)data->inputs[0].data)[7 * WIDTH + 1] = NAN; /* row 2 of the second batch */
    assert_fails(&(stream){.all = data, .end = N}, 0, constant, KATA_NON_FINITE,
                 "sample 2, column 1 is nan");
    ((float *)data->inputs[0].data)[7 * WIDTH + 1] = 0;
    ((int64_t *)data->targets[0].data)[12] = CLASSES;
    assert_fails(&(stream){.all = data, .end = N}, 0, constant, KATA_INVALID,
                 "labels must be 0 to 3");
    kata_dataset_free(data);
}

/* Right answers, as the library counts them. */
static double right_answers(void *user, const kata_tensor *output, const kata_tensor *target) {
    double sum = 0;
    ++*(int *)user;
    for (int64_t i = 0; i < output->shape.dim[0]; i++) {
        const float *y = (const float *)output->data + i * CLASSES;
        int best = 0;
        for (int j = 1; j < CLASSES; j++) {
            best = y[j] > y[best] ? j : best;
        }
        sum += best == ((const int64_t *)target->data)[i];
    }
    return sum;
}

static void test_a_metric_of_ones_own(void **state) {
    (void)state;
    kata_dataset *data = table();
    kata_model *m = network();
    kata_history_row rows[2];
    char path[] = "/tmp/kata-test-source-XXXXXX", text[4096] = "";
    int calls = 0;
    close(mkstemp(path));
    const kata_metric mine = {.name = "right", .user = &calls, .sum = right_answers};
    assert_ok(kata_fit(m, data, .epochs = 2, .batch = BATCH, .rows = rows, .n_rows = 2,
                       .metrics = {mine}, .history = path));
    assert_int_equal(calls, 10);
    assert_true(rows[0].metrics[0] == rows[0].accuracy && rows[1].metrics[0] == rows[1].accuracy);
    assert_true(isnan(rows[0].metrics[1]));
    FILE *file = fopen(path, "r");
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    fclose(file);
    assert_non_null(strstr(text, "\"right\":0."));
    const kata_metric bad = {.name = "second", .output = 1, .sum = right_answers};
    assert_int_equal(kata_fit(m, data, .epochs = 1, .metrics = {bad}), KATA_INVALID);
    unlink(path);
    kata_dataset_free(data);
    kata_model_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_source_is_a_data_set),
        cmocka_unit_test(test_a_stopped_stream_goes_on_where_it_was),
        cmocka_unit_test(test_a_source_that_does_not_keep_its_word),
        cmocka_unit_test(test_a_metric_of_ones_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
