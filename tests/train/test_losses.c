/* Losses and optimisers as rows: models that end in their loss's activation, outputs with losses of
 * their own, rules made of nodes, numbers that are refused or 0, and what a resumed run must agree
 * in. */
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

#include <kata/format.h>
#include <kata/train.h>

#include "support/assert_ok.h"

enum { N = 8, WIDTH = 3, CLASSES = 4 };

static void assert_said(const char *text) {
    if (strstr(kata_error_message(), text) == NULL) {
        fail_msg("'%s' is not in: %s", text, kata_error_message());
    }
}

static float x_at(int64_t i) {
    return (float)((i * 7 + 3) % 11) / 5 - 1;
}

static kata_dataset *table(kata_dtype dtype, const kata_shape *shape, int period) {
    kata_context *context = kata_context_default();
    kata_dataset *data;
    kata_tensor x, t;
    assert_ok(kata_dataset_new(&data, context, "table"));
    assert_ok(kata_tensor_new(&x, context, KATA_F32, &KATA_SHAPE_OF(N, WIDTH)));
    assert_ok(kata_tensor_new(&t, context, dtype, shape));
    for (int64_t i = 0; i < N * WIDTH; i++) {
        ((float *)x.data)[i] = x_at(i);
    }
    for (int64_t i = 0; i < kata_tensor_count(&t); i++) {
        kata_store(dtype, t.data, i, (double)(i % period));
    }
    assert_ok(kata_dataset_add_input(data, &x));
    assert_ok(kata_dataset_add_target(data, &t));
    kata_tensor_release(&x);
    kata_tensor_release(&t);
    return data;
}

static int count_nodes(const kata_model *m, const char *op) {
    char *text;
    int n = 0;
    assert_ok(kata_graph_text(&text, kata_model_graph((kata_model *)(uintptr_t)m)));
    for (const char *at = text; (at = strstr(at, op)) != NULL; at += strlen(op)) {
        n++;
    }
    kata_text_free(kata_model_context(m), text);
    return n;
}

/* --- models that end in an activation --------------------------------------------------------- */

typedef enum tail { NO_TAIL, IDENTITY, CAST, RESHAPE, SQUEEZE, FLATTEN, TAILS } tail;

/* Softmax or Sigmoid behind y (n, k), then nodes that only pass it on. */
static kata_value ending(kata_graph *g, kata_value y, const char *op, int64_t k, tail t) {
    const bool softmax = strcmp(op, "Softmax") == 0;
    kata_value shape = kata_graph_int64s(g, (const int64_t[]){0, k, 1}, 3);
    if (t == SQUEEZE || t == FLATTEN) {
        y = KATA_NODE(g, "Reshape", KATA_INPUTS(y, shape));
    }
    y = softmax ? KATA_NODE_WITH(g, op, KATA_INPUTS(y), KATA_INT("axis", 1))
                : KATA_NODE(g, op, KATA_INPUTS(y));
    switch (t) {
    case IDENTITY:
        return KATA_NODE(g, "Identity", KATA_INPUTS(y));
    case CAST:
        return KATA_NODE_WITH(g, "Cast", KATA_INPUTS(y), KATA_INT("to", 11)); /* float64 */
    case RESHAPE:
        return KATA_NODE(g, "Reshape",
                         KATA_INPUTS(y, kata_graph_int64s(g, (const int64_t[]){-1, k}, 2)));
    case SQUEEZE:
        return KATA_NODE(g, "Squeeze",
                         KATA_INPUTS(y, kata_graph_int64s(g, (const int64_t[]){2}, 1)));
    case FLATTEN:
        return KATA_NODE(g, "Flatten", KATA_INPUTS(y));
    default:
        return y;
    }
}

/* The model, its logits known by hand: W is a fixed matrix, b is 0. */
static kata_model *foreign(const char *op, int64_t k, tail t) {
    kata_model *m = kata_model_new("foreign");
    kata_value y = kata_dense(m, kata_input(m, KATA_F32, WIDTH), .units = k);
    kata_variable *w = kata_graph_find_variable(kata_model_graph(m), "dense_1.weight");
    for (int64_t i = 0; i < WIDTH * k; i++) {
        ((float *)w->tensor.data)[i] = (float)(i % 5) - 2;
    }
    kata_variable_changed(w);
    kata_output(m, ending(kata_model_graph(m), y, op, k, t));
    /* As a file of another tool: nothing is drawn anew. */
    char path[] = "/tmp/kata-test-losses-XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    assert_ok(kata_save(m, path));
    kata_model_free(m);
    assert_ok(kata_model_load(&m, kata_context_default(), path));
    unlink(path);
    return m;
}

static double logit(int64_t sample, int64_t j, int64_t k) {
    double sum = 0;
    for (int64_t i = 0; i < WIDTH; i++) {
        sum += (double)x_at(sample * WIDTH + i) * (double)((i * k + j) % 5 - 2);
    }
    return sum;
}

static void test_a_model_keeps_the_activation_that_it_ends_in(void **state) {
    (void)state;
    for (int t = 0; t < TAILS; t++) {
        /* softmax: -log p of the label, by hand */
        kata_model *m = foreign("Softmax", CLASSES, (tail)t);
        kata_dataset *data = table(KATA_I64, &KATA_SHAPE_OF(N), CLASSES);
        kata_evaluation e;
        double loss = 0;
        for (int64_t i = 0; i < N; i++) {
            double sum = 0;
            for (int64_t j = 0; j < CLASSES; j++) {
                sum += exp(logit(i, j, CLASSES));
            }
            loss += log(sum) - logit(i, i % CLASSES, CLASSES);
        }
        assert_ptr_equal(kata_loss_for(m, data), KATA_SOFTMAX_CROSS_ENTROPY);
        assert_ok(kata_compile(m, .loss = KATA_SOFTMAX_CROSS_ENTROPY));
        assert_ok(kata_evaluate(m, data, &e));
        assert_float_equal(e.loss, loss / N, 1e-5);
        assert_int_equal(e.answers[1].truth, 1);
        assert_float_equal(e.answers[0].p_truth,
                           exp(logit(0, 0, CLASSES)) /
                               (exp(logit(0, 0, CLASSES)) + exp(logit(0, 1, CLASSES)) +
                                exp(logit(0, 2, CLASSES)) + exp(logit(0, 3, CLASSES))),
                           1e-5);
        kata_evaluation_free(&e);
        assert_ok(kata_fit(m, data, .epochs = 2, .batch = 3));
        assert_int_equal(count_nodes(m, "Softmax("), 1);
        assert_string_equal(
            kata_value_name(kata_model_graph(m), kata_graph_output_at(kata_model_graph(m), 0)),
            "output");
        kata_dataset_free(data);
        kata_model_free(m);

        /* sigmoid: softplus(y) - y t */
        m = foreign("Sigmoid", 1, (tail)t);
        data = table(KATA_F32, &KATA_SHAPE_OF(N, 1), 2);
        loss = 0;
        for (int64_t i = 0; i < N; i++) {
            loss += log1p(exp(logit(i, 0, 1))) - logit(i, 0, 1) * (double)(i % 2);
        }
        assert_ptr_equal(kata_loss_for(m, data), KATA_SIGMOID_CROSS_ENTROPY);
        assert_ok(kata_compile(m, .loss = KATA_SIGMOID_CROSS_ENTROPY));
        assert_ok(kata_evaluate(m, data, &e));
        assert_float_equal(e.loss, loss / N, 1e-5);
        kata_evaluation_free(&e);
        assert_ok(kata_fit(m, data, .epochs = 2, .batch = 3));
        assert_int_equal(count_nodes(m, "Sigmoid("), 1);
        kata_dataset_free(data);
        kata_model_free(m);
    }
}

static void test_softmax_over_another_axis_is_refused(void **state) {
    (void)state;
    kata_model *m = kata_model_new("axis");
    kata_graph *g = kata_model_graph(m);
    kata_value y = kata_dense(m, kata_input(m, KATA_F32, WIDTH), .units = 6);
    y = KATA_NODE(g, "Reshape",
                  KATA_INPUTS(y, kata_graph_int64s(g, (const int64_t[]){0, 2, 3}, 3)));
    y = KATA_NODE_WITH(g, "Softmax", KATA_INPUTS(y), KATA_INT("axis", 1));
    kata_output(m, KATA_NODE(g, "Flatten", KATA_INPUTS(y)));
    assert_int_equal(kata_compile(m, .loss = KATA_SOFTMAX_CROSS_ENTROPY), KATA_UNSUPPORTED);
    assert_said("Softmax over axis 1 of (?,2,3)");
    kata_model_free(m);
}

/* --- several outputs -------------------------------------------------------------------------- */

static void test_each_output_has_its_loss_and_weight(void **state) {
    (void)state;
    kata_context *context = kata_context_default();
    double loss[4];
    for (int run = 0; run < 4; run++) {
        kata_model *m = kata_model_new("two");
        kata_value x = kata_input(m, KATA_F32, WIDTH);
        kata_output(m, kata_dense(m, x, .units = 1));
        kata_output(m, kata_dense(m, x, .units = CLASSES));
        kata_dataset *data = table(KATA_F32, &KATA_SHAPE_OF(N, 1), 5);
        kata_tensor t;
        assert_ok(kata_tensor_new(&t, context, KATA_I64, &KATA_SHAPE_OF(N)));
        for (int64_t i = 0; i < N; i++) {
            ((int64_t *)t.data)[i] = i % CLASSES;
        }
        assert_ok(kata_dataset_add_target(data, &t));
        kata_tensor_release(&t);
        /* run 0: both; 1: the first alone; 2: the second alone; 3: 2 and 0.5 of them */
        const double a = run == 2 ? KATA_ZERO : run == 3 ? 2 : 1;
        const double b = run == 1 ? KATA_ZERO : run == 3 ? 0.5 : 1;
        assert_ok(
            kata_compile(m, .seed = 3,
                         .outputs = {{.loss = KATA_HUBER, .weight = a, .numbers = {{"delta", 0.5}}},
                                     {.loss = KATA_SOFTMAX_CROSS_ENTROPY, .weight = b}}));
        kata_evaluation e;
        assert_ok(kata_evaluate(m, data, &e));
        loss[run] = e.loss;
        assert_int_equal(e.task, KATA_TASK_NUMBERS);
        assert_int_equal(e.n_outputs, 1);
        kata_evaluation_free(&e);
        assert_ok(kata_fit(m, data, .epochs = 2, .batch = 4));
        /* The file says which loss is whose. */
        char path[] = "/tmp/kata-test-losses-XXXXXX";
        close(mkstemp(path));
        assert_ok(kata_evaluate(m, data, &e));
        const double before = e.loss;
        kata_evaluation_free(&e);
        assert_ok(kata_save(m, path));
        kata_model_free(m);
        assert_ok(kata_model_load(&m, context, path));
        unlink(path);
        assert_ptr_equal(kata_model_loss(m, 0), KATA_HUBER);
        assert_ptr_equal(kata_model_loss(m, 1), KATA_SOFTMAX_CROSS_ENTROPY);
        if (run == 0) { /* weights and numbers are the training's, not the file's */
            assert_ok(kata_compile(m, .outputs = {{.numbers = {{"delta", 0.5}}}}));
            assert_ok(kata_evaluate(m, data, &e));
            assert_float_equal(e.loss, before, 1e-6);
            kata_evaluation_free(&e);
        }
        kata_dataset_free(data);
        kata_model_free(m);
    }
    assert_float_equal(loss[0], loss[1] + loss[2], 1e-6);
    assert_float_equal(loss[3], 2 * loss[1] + 0.5 * loss[2], 1e-6);
}

/* --- optimisers ------------------------------------------------------------------------------- */

/* Momentum made of nodes: v = m v - lr g; w = w + v. */
static kata_value momentum_of_nodes(kata_update *u) {
    kata_graph *g = u->graph;
    kata_value m = kata_graph_scalar(g, KATA_F32, u->numbers[0]);
    kata_value step = KATA_NODE(g, "Mul", KATA_INPUTS(u->gradient, u->lr));
    kata_value v = KATA_NODE(g, "Mul", KATA_INPUTS(u->states[0], m));
    u->new_states[0] = KATA_NODE(g, "Sub", KATA_INPUTS(v, step));
    return KATA_NODE(g, "Add", KATA_INPUTS(u->weight, u->new_states[0]));
}

static const kata_number_spec node_numbers[] = {{"pull", 0.9, 0, 1, "how much is kept"},
                                                {.name = NULL}};
static const kata_optimizer_rule of_nodes = {.size = sizeof(kata_optimizer_rule),
                                             .name = "of-nodes",
                                             .lr = 0.01,
                                             .n_states = 1,
                                             .numbers = node_numbers,
                                             .build = momentum_of_nodes,
                                             .doc = "momentum"};

static void trained(kata_optimizer optimizer, float out[WIDTH + 1]) {
    kata_model *m = kata_model_new("line");
    kata_output(m, kata_dense(m, kata_input(m, KATA_F32, WIDTH), .units = 1));
    kata_dataset *data = table(KATA_F32, &KATA_SHAPE_OF(N, 1), 5);
    assert_ok(kata_compile(m, .loss = KATA_MEAN_SQUARED_ERROR, .optimizer = optimizer, .seed = 4));
    assert_ok(kata_fit(m, data, .epochs = 5, .batch = 3));
    const kata_graph *g = kata_model_graph(m);
    memcpy(out, kata_graph_find_variable(g, "dense_1.weight")->tensor.data, WIDTH * sizeof *out);
    memcpy(out + WIDTH, kata_graph_find_variable(g, "dense_1.bias")->tensor.data, sizeof *out);
    kata_dataset_free(data);
    kata_model_free(m);
}

static void assert_same_weights(const float a[WIDTH + 1], const float b[WIDTH + 1]) {
    for (int i = 0; i <= WIDTH; i++) {
        assert_float_equal(a[i], b[i], 1e-5);
    }
}

static void test_a_rule_of_nodes_is_the_operator(void **state) {
    (void)state;
    float a[WIDTH + 1], b[WIDTH + 1];
    trained(kata_momentum(.lr = 0.05), a);
    trained((kata_optimizer){.rule = &of_nodes, .lr = 0.05}, b);
    assert_same_weights(a, b);
    trained(kata_momentum(.lr = 0.05, .momentum = 0.5), a);
    trained((kata_optimizer){.rule = &of_nodes, .lr = 0.05, .numbers = {{"pull", 0.5}}}, b);
    assert_same_weights(a, b);
}

static void test_zero_can_be_said(void **state) {
    (void)state;
    float a[WIDTH + 1], b[WIDTH + 1], c[WIDTH + 1];
    trained(kata_sgd(.lr = 0.05), a);
    trained(kata_momentum(.lr = 0.05, .momentum = KATA_ZERO), b);
    trained(kata_momentum(.lr = 0.05), c);
    assert_same_weights(a, b);
    assert_true(fabs((double)(a[0] - c[0])) > 1e-3);
    trained(kata_adam(.lr = 0.05), a);
    trained(kata_adamw(.lr = 0.05, .weight_decay = KATA_ZERO), b);
    trained(kata_adamw(.lr = 0.05, .weight_decay = 0.5), c);
    assert_same_weights(a, b);
    assert_true(fabs((double)(a[0] - c[0])) > 1e-3);

    /* LeakyRelu whose slope is 0 is Relu; not given it is 0.01. */
    const double slopes[] = {KATA_ZERO, 0};
    for (int i = 0; i < 2; i++) {
        kata_model *m = kata_model_new("leaky");
        kata_value x = kata_input(m, KATA_F32, 2);
        kata_output(m, kata_layer_add(m, x,
                                      &(kata_layer){.type = KATA_LAYER_ACTIVATION,
                                                    .activation = KATA_LEAKY_RELU,
                                                    .alpha = slopes[i]}));
        float in[2] = {-100, 3}, out[2];
        kata_tensor from = kata_tensor_view(in, KATA_F32, &KATA_SHAPE_OF(1, 2));
        kata_tensor to = kata_tensor_view(out, KATA_F32, &KATA_SHAPE_OF(1, 2));
        assert_ok(kata_predict(m, &from, &to));
        assert_float_equal(out[0], i == 0 ? 0 : -1, 1e-6);
        assert_float_equal(out[1], 3, 0);
        kata_model_free(m);
    }
}

static void test_rows_and_numbers_are_checked(void **state) {
    (void)state;
    kata_model *m = kata_model_new("line");
    kata_output(m, kata_dense(m, kata_input(m, KATA_F32, WIDTH), .units = 2));
    kata_optimizer_rule bad = of_nodes;
    kata_loss bad_loss = kata_loss_huber;
    assert_int_equal(kata_compile(m, .optimizer = kata_sgd(.momentum = 0.9)), KATA_INVALID);
    assert_said("sgd has no number momentum; it has none");
    assert_int_equal(kata_compile(m, .optimizer = kata_adam(.beta1 = 1.5)), KATA_INVALID);
    assert_said("beta1 must be a number from 0 to 1, got 1.5");
    assert_int_equal(kata_compile(m, .optimizer = {.rule = &of_nodes, .numbers = {{"push", 0.5}}}),
                     KATA_INVALID);
    assert_said("of-nodes has no number push; it has pull");
    bad.size = 8;
    assert_int_equal(kata_compile(m, .optimizer = {.rule = &bad}), KATA_INVALID);
    bad = of_nodes;
    bad.n_states = KATA_MAX_STATES + 1;
    assert_int_equal(kata_compile(m, .optimizer = {.rule = &bad}), KATA_LIMIT);
    bad = of_nodes;
    bad.build = NULL;
    bad.op = "kata:NoSuchRule";
    assert_int_equal(kata_compile(m, .optimizer = {.rule = &bad}), KATA_INVALID);
    assert_said("kata:NoSuchRule");
    bad_loss.build = NULL;
    assert_int_equal(kata_compile(m, .loss = &bad_loss), KATA_INVALID);
    assert_int_equal(kata_compile(m, .loss = KATA_HUBER, .loss_numbers = {{"gamma", 2}}),
                     KATA_INVALID);
    assert_said("huber has no number gamma; it has delta");
    assert_int_equal(kata_compile(m, .loss = KATA_HUBER, .label_smoothing = 0.1), KATA_INVALID);
    assert_int_equal(kata_compile(m, .outputs = {{.loss = NULL}, {.loss = KATA_HUBER}}),
                     KATA_INVALID);
    assert_said("a loss is given for output 1");

    /* A loss that is not the library's is not taken for another one. */
    kata_dataset *data = table(KATA_I64, &KATA_SHAPE_OF(N), 2);
    kata_evaluation e;
    assert_ok(kata_graph_set_metadata(kata_model_graph(m), "kata.loss", "mine"));
    assert_ok(kata_graph_set_metadata(kata_model_graph(m), "kata.outputs", "1"));
    assert_int_equal(kata_evaluate(m, data, &e), KATA_INVALID);
    assert_said("mine");
    assert_null(kata_model_loss(m, 0));
    assert_int_equal(kata_compile(m, .optimizer = kata_sgd()), KATA_INVALID);
    assert_said("has the loss mine, which is not the library's");
    assert_ok(kata_compile(m, .loss = KATA_SOFTMAX_CROSS_ENTROPY));
    kata_dataset_free(data);
    kata_model_free(m);
}

/* --- resuming --------------------------------------------------------------------------------- */

static char checkpoint[] = "/tmp/kata-test-losses-XXXXXX";

static kata_status run(kata_compile_options *compile, kata_fit_options *fit, float l2,
                       uint64_t *hash) {
    kata_model *m = kata_model_new("run");
    kata_value x = kata_input(m, KATA_F32, WIDTH);
    kata_output(m, kata_dense(m, x, .units = CLASSES, .l2 = (double)l2));
    kata_dataset *data = table(KATA_I64, &KATA_SHAPE_OF(N), CLASSES);
    kata_status status = kata_compile_with(m, compile);
    fit->checkpoint = checkpoint;
    status = status == KATA_OK ? kata_fit_with(m, data, fit) : status;
    *hash = kata_model_hash(m);
    kata_dataset_free(data);
    kata_model_free(m);
    return status;
}

/* One run each that differs in one thing from {.lr = 0.1, .epochs = 2, .batch = 3}. */
static void test_a_resumed_run_agrees_in_everything(void **state) {
    (void)state;
    static const float ones[CLASSES] = {1, 1, 1, 1}, others[CLASSES] = {1, 1, 2, 1};
    const kata_compile_options plain = {
        .optimizer = kata_sgd(.lr = 0.1), .class_weights = ones, .n_class_weights = CLASSES};
    const kata_fit_options fit = {.epochs = 2, .batch = 3};
    kata_compile_options c[32];
    kata_fit_options f[32];
    float l2[32] = {0};
    int n = 0;
#define CASE(...)                                                                                  \
    c[n] = plain;                                                                                  \
    f[n] = fit;                                                                                    \
    __VA_ARGS__;                                                                                   \
    n++
    CASE(c[n].optimizer.lr = 0.2);
    CASE(c[n].optimizer.weight_decay = 0.1);
    CASE(c[n].optimizer = kata_momentum(.lr = 0.1));
    CASE(c[n].class_weights = others);
    CASE(c[n].label_smoothing = 0.1);
    CASE(c[n].clip_value = 1);
    CASE(c[n].clip_norm = 1);
    CASE(c[n].seed = 1);
    CASE(c[n].precision = KATA_PRECISION_BF16);
    CASE(c[n].outputs[0].weight = 2);
    CASE(c[n].loss = KATA_SIGMOID_CROSS_ENTROPY);
    CASE(l2[n] = 0.5F);
    CASE(f[n].batch = 4);
    CASE(f[n].no_shuffle = true);
    CASE(f[n].validation_split = 0.25);
    CASE(f[n].schedule.kind = KATA_SCHEDULE_STEP);
    CASE(f[n].schedule.factor = 0.3);
    CASE(f[n].schedule.every = 3);
    CASE(f[n].schedule.final = 0.3);
    CASE(f[n].schedule.initial = 0.3);
    CASE(f[n].schedule.warmup = 1);
    CASE(f[n].schedule.patience = 3);
    CASE(f[n].augment.shift = 1);
    CASE(f[n].augment.elastic_sigma = 3);
    CASE(f[n].early_stopping.patience = 3);
    CASE(f[n].early_stopping.min_delta = 0.1);
    CASE(f[n].early_stopping.keep_last = true);
#undef CASE
    uint64_t first, again;
    close(mkstemp(checkpoint));
    kata_compile_options compile = plain;
    kata_fit_options options = fit;
    assert_ok(run(&compile, &options, 0, &first));
    options.resume = true;
    assert_ok(run(&compile, &options, 0, &again));
    assert_true(first == again);
    for (int i = 0; i < n; i++) {
        f[i].resume = true;
        if (run(&c[i], &f[i], l2[i], &again) != KATA_INVALID) {
            fail_msg("a resume that differs in thing %d is taken", i);
        }
        assert_said("the checkpoint was made with");
    }
    unlink(checkpoint);
    assert_int_equal(run(&compile, &options, 0, &again), KATA_NOT_FOUND);
    assert_said("to go on from");
}

static void test_a_finished_run_goes_on(void **state) {
    (void)state;
    const kata_schedule_kind kinds[] = {KATA_SCHEDULE_CONSTANT, KATA_SCHEDULE_STEP,
                                        KATA_SCHEDULE_PLATEAU, KATA_SCHEDULE_COSINE};
    for (int k = 0; k < 4; k++) {
        kata_compile_options compile = {.optimizer = kata_adam(.lr = 0.05)};
        kata_fit_options fit = {
            .epochs = 5, .batch = 3, .schedule = {.kind = kinds[k], .every = 2, .patience = 1}};
        uint64_t whole, parts;
        memcpy(checkpoint + sizeof checkpoint - 7, "XXXXXX", 6);
        close(mkstemp(checkpoint));
        assert_ok(run(&compile, &fit, 0, &whole));
        fit.epochs = 2;
        assert_ok(run(&compile, &fit, 0, &parts));
        assert_true(whole != parts);
        fit.epochs = 5;
        fit.resume = true;
        if (kinds[k] == KATA_SCHEDULE_COSINE) {
            assert_int_equal(run(&compile, &fit, 0, &parts), KATA_INVALID);
            assert_said("the schedule cosine goes by the end");
            fit.extend = true;
            assert_ok(run(&compile, &fit, 0, &parts));
        } else {
            assert_ok(run(&compile, &fit, 0, &parts));
            assert_true(whole == parts);
        }
        unlink(checkpoint);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_model_keeps_the_activation_that_it_ends_in),
        cmocka_unit_test(test_softmax_over_another_axis_is_refused),
        cmocka_unit_test(test_each_output_has_its_loss_and_weight),
        cmocka_unit_test(test_a_rule_of_nodes_is_the_operator),
        cmocka_unit_test(test_zero_can_be_said),
        cmocka_unit_test(test_rows_and_numbers_are_checked),
        cmocka_unit_test(test_a_resumed_run_agrees_in_everything),
        cmocka_unit_test(test_a_finished_run_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
