/* kata_compile_options.recompute: the weights, the running statistics and the optimiser's state
 * that training ends with are those of training without it, to the bit, in float32 and bfloat16,
 * for any number of threads; the planned memory is never larger and for deep networks much smaller.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <kata/kata.h>

#include "support/assert_ok.h"

enum { N = 110, BATCH = 40, EPOCHS = 2 }; /* the last batch of an epoch is a short one */

/* Two residual blocks with batch normalisation, dropout on pictures, pooling, and a branch. */
static kata_value normalised(kata_model *m, kata_value x) {
    x = kata_conv2d(m, x, .filters = 8, .kernel = {3, 3}, .pad = {1, 1}, .no_bias = true);
    x = kata_activate(m, kata_batch_norm(m, x, .epsilon = 1e-5), KATA_RELU);
    for (int i = 0; i < 2; i++) {
        kata_value y =
            kata_conv2d(m, x, .filters = 8, .kernel = {3, 3}, .pad = {1, 1}, .no_bias = true);
        y = kata_activate(m, kata_batch_norm(m, y, .epsilon = 1e-5), KATA_RELU);
        y = kata_dropout(m, y, .rate = 0.25);
        y = kata_conv2d(m, y, .filters = 8, .kernel = {3, 3}, .pad = {1, 1});
        x = kata_activate(m, kata_add(m, x, kata_batch_norm(m, y, .epsilon = 1e-5)), KATA_RELU);
        x = kata_max_pool2d(m, x, .size = {2, 2});
    }
    kata_value a = kata_global_average_pool(m, x);
    kata_value b = kata_dense(m, kata_flatten(m, x), .units = 24, .activation = KATA_TANH);
    x = kata_concat(m, 1, kata_flatten(m, a), kata_dropout(m, b, .rate = 0.5));
    return kata_dense(m, kata_batch_norm(m, x, .epsilon = 1e-5), .units = 10);
}

static kata_value convolutions(kata_model *m, kata_value x) {
    x = kata_max_pool2d(m, x, .size = {2, 2});
    for (int i = 0; i < 24; i++) {
        x = kata_conv2d(m, x, .filters = 16, .kernel = {3, 3}, .pad = {1, 1},
                        .activation = KATA_RELU);
    }
    return kata_dense(m, kata_flatten(m, kata_max_pool2d(m, x, .size = {2, 2})), .units = 10);
}

static kata_value dropouts(kata_model *m, kata_value x) {
    x = kata_flatten(m, kata_max_pool2d(m, x, .size = {7, 7}));
    for (int i = 0; i < 16; i++) {
        x = kata_dense(m, x, .units = 16, .activation = i % 2 == 0 ? KATA_TANH : KATA_SIGMOID);
        x = kata_dropout(m, x, .rate = 0.1);
    }
    return kata_dense(m, x, .units = 10);
}

static const struct {
    const char *name;
    kata_value (*build)(kata_model *, kata_value); /* NULL: a ready network */
    double most; /* of the arena without, at batch 100; 1: none need be saved */
} networks[] = {{"two-layer", NULL, 1},
                {"mlp", NULL, 1},
                {"logistic", NULL, 1},
                {"simple-convnet", NULL, 1},
                {"deep-convnet", NULL, 0.95},
                {"mnist-sprint", NULL, 1},
                {"normalised", normalised, 0.85},
                {"convolutions", convolutions, 0.55},
                {"dropouts", dropouts, 0.75}};
enum { NORMALISED = 6, N_NETWORKS = sizeof networks / sizeof networks[0] };

static kata_model *model_of(kata_context *context, int which, kata_compile_options options) {
    kata_model *m;
    if (networks[which].build == NULL) {
        kata_ready_options ready = {.rescale = 1 / 255.0};
        assert_ok(kata_model_ready(&m, context, networks[which].name, &ready));
    } else {
        assert_ok(kata_model_new_in(&m, context, networks[which].name));
        kata_value x = kata_rescale(m, kata_input(m, KATA_F32, 1, 28, 28), .scale = 1 / 255.0);
        assert_ok(kata_output(m, networks[which].build(m, x)));
    }
    options.loss = KATA_SOFTMAX_CROSS_ENTROPY;
    options.optimizer = kata_adam(.lr = 1e-3);
    options.seed = 3;
    assert_ok(kata_compile_with(m, &options));
    return m;
}

/* Two models have the same variables, bit for bit: weights and running statistics. */
static void assert_same(const char *what, kata_model *a, kata_model *b) {
    const kata_graph *x = kata_model_graph(a), *y = kata_model_graph(b);
    assert_int_equal(kata_graph_n_variables(x), kata_graph_n_variables(y));
    for (int i = 0; i < kata_graph_n_variables(x); i++) {
        const kata_variable *v = kata_graph_variable_at(x, i), *w = kata_graph_variable_at(y, i);
        if (memcmp(v->tensor.data, w->tensor.data, kata_tensor_bytes(&v->tensor)) != 0) {
            fail_msg("%s: %s differs", what, v->name);
        }
    }
    assert_true(kata_model_hash(a) == kata_model_hash(b));
}

static void test_same_bits(void **state) {
    (void)state;
    for (int precision = 0; precision < KATA_PRECISION_COUNT; precision++) {
        for (int i = 0; i < N_NETWORKS; i++) {
            kata_model *first = NULL;
            kata_context *contexts[4] = {NULL};
            kata_history_row rows[4][EPOCHS];
            for (int k = 0; k < 4; k++) { /* without; with, on 1, 2 and 3 threads */
                assert_ok(kata_context_new(&contexts[k],
                                           &(kata_context_options){.threads = k == 0 ? 2 : k}));
                kata_data data = {0};
                kata_data_options limits = {.limit_train = N, .limit_test = 10};
                assert_ok(kata_data_open(&data, contexts[k], "make:digits", &limits));
                kata_model *m =
                    model_of(contexts[k], i,
                             (kata_compile_options){.precision = (kata_precision)precision,
                                                    .recompute = k > 0});
                assert_ok(kata_fit(m, data.train, .epochs = EPOCHS, .batch = BATCH,
                                   .validation = data.test, .rows = rows[k], .n_rows = EPOCHS));
                kata_data_close(&data);
                if (k == 0) {
                    first = m;
                    continue;
                }
                assert_same(networks[i].name, first, m);
                for (int e = 0; e < EPOCHS; e++) {
                    assert_memory_equal(&rows[k][e].loss, &rows[0][e].loss, sizeof(double));
                    assert_memory_equal(&rows[k][e].val_loss, &rows[0][e].val_loss, sizeof(double));
                }
                kata_model_free(m);
                kata_context_free(contexts[k]);
            }
            kata_model_free(first);
            kata_context_free(contexts[0]);
        }
    }
}

static void test_planned_memory(void **state) {
    (void)state;
    static const int64_t batches[] = {1, BATCH, 100};
    for (int precision = 0; precision < KATA_PRECISION_COUNT; precision++) {
        for (int i = 0; i < N_NETWORKS; i++) {
            for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++) {
                int64_t batch = batches[b];
                kata_memory memory[2]; /* without, with */
                for (int k = 0; k < 2; k++) {
                    kata_model *m =
                        model_of(kata_context_default(), i,
                                 (kata_compile_options){.precision = (kata_precision)precision,
                                                        .recompute = k > 0});
                    assert_ok(kata_training_memory(&memory[k], m, batch));
                    kata_model_free(m);
                }
                double share = (double)memory[1].arena / (double)memory[0].arena;
                assert_true(memory[1].arena <= memory[0].arena);
                assert_true(batch < 100 || share <= networks[i].most);
                assert_true(batch < BATCH || share < 1 || networks[i].most == 1);
            }
        }
    }
}

/* A weight that is no number: the message names the same node. A variance that is infinite, while
 * all gradients are finite, stops neither. */
static void test_not_finite(void **state) {
    (void)state;
    static const float weights[] = {NAN, 1e38F};
    static const kata_status expected[] = {KATA_NON_FINITE, KATA_OK};
    for (int i = 0; i < 2; i++) {
        char messages[2][512] = {"", ""};
        kata_model *models[2];
        for (int k = 0; k < 2; k++) {
            kata_data data = {0};
            kata_data_options limits = {.limit_train = N, .limit_test = 10};
            assert_ok(kata_data_open(&data, kata_context_default(), "make:digits", &limits));
            models[k] = model_of(kata_context_default(), NORMALISED,
                                 (kata_compile_options){.recompute = k > 0});
            kata_variable *w = kata_graph_variable_at(kata_model_graph(models[k]), 0);
            ((float *)w->tensor.data)[0] = weights[i];
            kata_variable_changed(w);
            kata_status status = kata_fit(models[k], data.train, .epochs = 1, .batch = BATCH);
            assert_int_equal(status, expected[i]);
            if (status != KATA_OK) {
                snprintf(messages[k], sizeof messages[k], "%s", kata_error_message());
            }
            kata_data_close(&data);
        }
        assert_string_equal(messages[0], messages[1]);
        if (expected[i] == KATA_OK) {
            assert_same("an infinite variance", models[0], models[1]);
        }
        kata_model_free(models[0]);
        kata_model_free(models[1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_planned_memory),
        cmocka_unit_test(test_not_finite),
    };
    return cmocka_run_group_tests_name("train_recompute", tests, NULL, NULL);
}
