/* Weights of small trainings, bit for bit, against hashes that are written down: whoever changes
 * the order of sums anywhere between a sample and a weight sees it here.
 *
 * What the hashes (golden.h) hold for: a training's bits are a function of its seed and of the
 * kernel table, never of the threads. They are a function of the compiler only where it may put a
 * product and a sum into one rounding, which is in the AVX2 and AVX-512 tables: those are compared
 * for GCC without sanitizers (whose builds are not optimised far enough to do it), the portable
 * table for every compiler on x86-64. What is not compared is said, and its threads are compared
 * with each other all the same.
 *
 * After a change that is meant to change bits, renew golden.h by
 *     KATA_GOLDEN=tests/train/golden.h build/train_golden
 * which keeps the rows of tables that the machine lacks: drop those, or run it on one that has
 * them. Say in the commit why the bits changed. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <kata/train.h>

#include "support/assert_ok.h"

enum {
    EPOCHS = 2,
    HASHES = EPOCHS + 1, /* weights after each epoch, what is predicted then */
    N = 50,
    BATCH = 20, /* the last of an epoch is 10 */
    SIDE = 28
};

typedef struct golden {
    const char *training, *kernels;
    uint64_t hash[HASHES];
} golden;

static const golden written[] = {
#include "golden.h"
    {"", "", {0}},
};

/* --- the data: noise with a square whose place is the class, made of whole numbers ------------ */

static kata_dataset *squares(kata_context *context, kata_dtype dtype, int64_t channels,
                             bool numbers) {
    kata_tensor x, t;
    kata_dataset *data;
    assert_ok(kata_tensor_new(&x, context, dtype, &KATA_SHAPE_OF(N, channels, SIDE, SIDE)));
    for (int64_t i = 0; i < kata_tensor_count(&x); i++) {
        int64_t sample = i / (channels * SIDE * SIDE), row = i / SIDE % SIDE, column = i % SIDE;
        int64_t top = sample % 5 * 5, left = sample % 10 / 5 * 14;
        bool inside = row >= top && row < top + 7 && column >= left && column < left + 9;
        uint32_t ink = kata_random_bits(1, 7, 0, (uint64_t)i) % 64 + (inside ? 192 : 0);
        kata_store(dtype, x.data, i, dtype == KATA_U8 ? ink : ink / 256.0);
    }
    assert_ok(kata_dataset_new(&data, context, "squares"));
    assert_ok(kata_dataset_add_input(data, &x));
    kata_tensor_release(&x);
    if (numbers) {
        assert_ok(kata_tensor_new(&t, context, KATA_F32, &KATA_SHAPE_OF(N, 3)));
        for (int i = 0; i < 3 * N; i++) {
            kata_store(KATA_F32, t.data, i, (double)((i / 3 * (i % 3 + 1)) % 10) / 8 - 0.5);
        }
        assert_ok(kata_dataset_add_target(data, &t));
    } else {
        assert_ok(kata_tensor_new(&t, context, KATA_I64, &KATA_SHAPE_OF(N)));
        for (int i = 0; i < N; i++) {
            kata_store(KATA_I64, t.data, i, i % 10);
        }
        assert_ok(kata_dataset_add_target(data, &t));
        assert_ok(kata_dataset_set_classes(data, 10, NULL));
    }
    kata_tensor_release(&t);
    return data;
}

/* --- the trainings ---------------------------------------------------------------------------- */

static kata_model *ready(kata_context *context, const char *name) {
    kata_model *m;
    assert_ok(kata_model_ready(&m, context, name, &(kata_ready_options){.rescale = 1 / 255.0}));
    return m;
}

static kata_model *two_layer(kata_context *context) {
    kata_model *m = ready(context, "two-layer");
    assert_ok(kata_compile(m, .optimizer = kata_sgd(.lr = 0.1), .seed = 1));
    return m;
}

static kata_model *simple_convnet(kata_context *context) {
    kata_model *m = ready(context, "simple-convnet");
    assert_ok(kata_compile(m, .optimizer = kata_adam(), .seed = 2, .clip_norm = 2));
    return m;
}

/* In bfloat16, computed a second time for the backward pass. */
static kata_model *deep_convnet_bf16(kata_context *context) {
    kata_model *m = ready(context, "deep-convnet");
    assert_ok(kata_compile(m, .optimizer = kata_rmsprop(.lr = 1e-3), .seed = 3,
                           .precision = KATA_PRECISION_BF16, .recompute = true));
    return m;
}

/* A residual network with batch normalisation, dropout and both poolings. */
static kata_model *residual(kata_context *context) {
    kata_model *m;
    assert_ok(kata_model_new_in(&m, context, "residual"));
    kata_value x =
        kata_rescale(m, kata_input(m, KATA_F32, 1, SIDE, SIDE), .scale = 1 / 255.0, .offset = -0.5);
    x = kata_conv2d(m, x, .filters = 8, .kernel = {3, 3}, .same = true, .no_bias = true);
    x = kata_activate(m, kata_batch_norm(m, x, .epsilon = 1e-5), KATA_RELU);
    kata_value y = kata_max_pool2d(m, x, .size = {2, 2});
    x = kata_conv2d(m, y, .filters = 8, .kernel = {3, 3}, .same = true, .l2 = 0.01);
    x = kata_activate(m, kata_add(m, kata_batch_norm(m, x, .epsilon = 1e-5), y), KATA_RELU);
    x = kata_conv2d(m, x, .filters = 16, .kernel = {5, 5}, .stride = {2, 2}, .groups = 2,
                    .floor = true, .activation = KATA_LEAKY_RELU);
    x = kata_dropout(m, kata_average_pool2d(m, x, .size = {2, 2}, .floor = true), .rate = 0.25);
    x = kata_dense(m, kata_flatten(m, x), .units = 20, .activation = KATA_RELU);
    kata_output(m, kata_dense(m, kata_dropout(m, x, .rate = 0.5), .units = 10));
    static const float weights[10] = {1, 1, 1, 1, 1, 2, 2, 2, 2, 2};
    assert_ok(kata_compile(m, .optimizer = kata_momentum(.lr = 0.05, .weight_decay = 0.01),
                           .seed = 4, .label_smoothing = 0.1, .class_weights = weights,
                           .n_class_weights = 10));
    return m;
}

/* Three channels and three numbers: transposed and one-dimensional convolution, normalisation of
 * layers and of channels, smooth activations, the Huber loss. */
static kata_model *smooth(kata_context *context) {
    kata_model *m;
    assert_ok(kata_model_new_in(&m, context, "smooth"));
    kata_value x = kata_input(m, KATA_F32, 3, SIDE, SIDE);
    x = kata_average_pool2d(m, x, .size = {4, 4});
    x = kata_conv_transpose2d(m, x, .filters = 6, .kernel = {3, 3}, .stride = {2, 2},
                              .activation = KATA_TANH);
    x = kata_layer_add(m, x, &(kata_layer){.type = KATA_LAYER_LOCAL_RESPONSE_NORM});
    x = kata_conv2d(m, x, .filters = 6, .kernel = {3, 3}, .dilation = {2, 2},
                    .activation = KATA_GELU);
    kata_value mean = kata_global_average_pool(m, x), best = kata_global_max_pool(m, x);
    x = kata_layer_add(m, x, &(kata_layer){.type = KATA_LAYER_RESHAPE, .shape = {6, -1}});
    x = kata_flatten(m, kata_conv1d(m, x, .filters = 4, .kernel = {3}, .stride = {3}, .floor = true,
                                    .activation = KATA_SIGMOID));
    x = kata_concat(m, 1, kata_flatten(m, mean), kata_flatten(m, best), x);
    x = kata_dense(m, x, .units = 17, .activation = KATA_SOFTPLUS, .l1 = 1e-3);
    x = kata_layer_norm(m, x, .epsilon = 1e-4);
    x = kata_multiply(m, x, kata_dense(m, x, .units = 17, .activation = KATA_ELU));
    kata_output(m, kata_dense(m, x, .units = 3));
    assert_ok(kata_compile(m, .loss = KATA_HUBER, .optimizer = kata_adamw(.lr = 0.01), .seed = 5,
                           .clip_value = 0.1, .loss_numbers = {{"delta", 0.25}}));
    return m;
}

static const struct training {
    const char *name;
    kata_model *(*make)(kata_context *context);
    int channels; /* 1: bytes and classes; 3: float32 and numbers */
} trainings[] = {
    {"two-layer", two_layer, 1},
    {"simple-convnet", simple_convnet, 1},
    {"deep-convnet-bf16", deep_convnet_bf16, 1},
    {"residual", residual, 1},
    {"smooth", smooth, 3},
};
enum { TRAININGS = (int)(sizeof trainings / sizeof trainings[0]) };

static void run(const struct training *training, const char *kernels, int threads,
                uint64_t hash[HASHES]) {
    kata_context *context;
    assert_ok(kata_context_new(
        &context,
        &(kata_context_options){.threads = threads, .kernels = kernels, .bfloat16 = "plain"}));
    kata_dataset *data = training->channels == 1 ? squares(context, KATA_U8, 1, false)
                                                 : squares(context, KATA_F32, 3, true);
    kata_model *m = training->make(context);
    kata_history_row rows[EPOCHS];
    float outputs[N * 10];
    const int64_t width = training->channels == 1 ? 10 : 3;
    const kata_tensor seen = kata_tensor_view(outputs, KATA_F32, &KATA_SHAPE_OF(N, width));
    assert_ok(kata_fit(m, data, .epochs = EPOCHS, .batch = BATCH, .rows = rows, .n_rows = EPOCHS,
                       .schedule = {.kind = KATA_SCHEDULE_STEP, .every = 1, .factor = 0.5}));
    assert_ok(kata_predict(m, &data->inputs[0], &seen));
    for (int i = 0; i < EPOCHS; i++) {
        hash[i] = rows[i].weights_hash;
    }
    uint64_t of_outputs = UINT64_C(14695981039346656037); /* FNV-1a, as of the weights */
    const uint8_t *bytes = (const uint8_t *)outputs;
    for (size_t i = 0; i < (size_t)(N * width) * sizeof(float); i++) {
        of_outputs = (of_outputs ^ bytes[i]) * UINT64_C(1099511628211);
    }
    hash[EPOCHS] = of_outputs;
    kata_model_free(m);
    kata_dataset_free(data);
    kata_context_free(context);
}

/* --- comparing and renewing ------------------------------------------------------------------- */

static const golden *find(const char *training, const char *kernels) {
    for (size_t i = 0; i < sizeof written / sizeof written[0]; i++) {
        if (strcmp(written[i].training, training) == 0 &&
            strcmp(written[i].kernels, kernels) == 0) {
            return &written[i];
        }
    }
    return NULL;
}

/* NULL, or why the table's hashes do not hold in this build. */
static const char *not_comparable(const char *kernels) {
#if !defined __x86_64__
    (void)kernels;
    return "the hashes are of x86-64";
#elif defined __clang__ || defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    return strcmp(kernels, "portable") != 0 ? "its hashes are of GCC without sanitizers" : NULL;
#else
    (void)kernels;
    return NULL;
#endif
}

static void check_table(const char *kernels) {
    kata_context *context;
    assert_ok(kata_context_new(&context, &(kata_context_options){.kernels = kernels}));
    bool there = strcmp(kata_context_kernels(context), kernels) == 0;
    kata_context_free(context);
    if (!there) {
        print_message("the %s table is not compared: this processor cannot run it\n", kernels);
        skip();
    }
    const char *why = not_comparable(kernels);
    int n_wrong = 0;
    for (int i = 0; i < TRAININGS; i++) {
        uint64_t one[HASHES], three[HASHES];
        run(&trainings[i], kernels, 1, one);
        run(&trainings[i], kernels, 3, three);
        if (memcmp(one, three, sizeof one) != 0) {
            fail_msg("%s, %s: the bits depend on the threads", trainings[i].name, kernels);
        }
        const golden *expected = find(trainings[i].name, kernels);
        for (int k = 0; k < HASHES && why == NULL; k++) {
            if (expected == NULL || one[k] != expected->hash[k]) {
                print_error("%s, %s: %s %d are %016" PRIx64 ", written down is %016" PRIx64 "\n",
                            trainings[i].name, kernels,
                            k < EPOCHS ? "the weights of epoch" : "the predictions after epoch",
                            k < EPOCHS ? k + 1 : EPOCHS, one[k],
                            expected != NULL ? expected->hash[k] : 0);
                n_wrong++;
                break; /* what follows differs by it */
            }
        }
    }
    if (n_wrong > 0) {
        fail_msg("%d trainings have other bits: if that is meant, say why in the commit and renew "
                 "tests/train/golden.h (KATA_GOLDEN, see test_golden.c)",
                 n_wrong);
    }
    if (why != NULL) {
        print_message("the %s table is compared by its threads alone: %s\n", kernels, why);
        skip();
    }
}

static void test_portable(void **state) {
    (void)state;
    check_table("portable");
}

static void test_avx2(void **state) {
    (void)state;
    check_table("avx2");
}

static void test_avx512(void **state) {
    (void)state;
    check_table("avx512");
}

static const char *const tables[] = {"portable", "avx2", "avx512"};

static int renew(const char *path) {
    kata_context *context;
    if (kata_context_new(&context, NULL) != KATA_OK) {
        return 1;
    }
    int best = 0;
    for (int k = 0; k < 3; k++) {
        best = strcmp(tables[k], kata_context_kernels(context)) == 0 ? k : best;
    }
    kata_context_free(context);
    golden rows[TRAININGS * 3];
    int n_rows = 0;
    for (int i = 0; i < TRAININGS; i++) {
        for (int k = 0; k < 3; k++) {
            const golden *old = find(trainings[i].name, tables[k]);
            golden row = {.training = trainings[i].name, .kernels = tables[k]};
            if (k <= best) {
                run(&trainings[i], tables[k], 1, row.hash);
                rows[n_rows++] = row;
            } else if (old != NULL) {
                rows[n_rows++] = *old;
            }
        }
    }
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    fprintf(file,
            "/* Written by test_golden.c: training, table, the weights after each epoch, the\n"
            " * predictions then. GCC, x86-64. */\n/* clang-format off */\n");
    for (int i = 0; i < n_rows; i++) {
        fprintf(file, "{\"%s\", \"%s\",\n    {", rows[i].training, rows[i].kernels);
        for (int h = 0; h < HASHES; h++) {
            fprintf(file, "%s0x%016" PRIx64, h > 0 ? ", " : "", rows[i].hash[h]);
        }
        fprintf(file, "}},\n");
    }
    return fclose(file) != 0;
}

int main(void) {
    const char *path = getenv("KATA_GOLDEN");
    if (path != NULL && path[0] != '\0') {
        return renew(path);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_portable),
        cmocka_unit_test(test_avx2),
        cmocka_unit_test(test_avx512),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
