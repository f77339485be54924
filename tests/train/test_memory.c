/* The memory of training is what the plan says, to the byte: everything that the allocator gave
 * between compiling and the steady state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <kata/kata.h>

#include "support/counting_allocator.h"

enum { N = 250, BATCH = 100 };

static void ok(kata_status status) {
    if (status != KATA_OK) {
        fail_msg("%s", kata_error_message());
    }
}

static kata_dataset *samples(kata_context *context) {
    kata_tensor x, y;
    kata_dataset *dataset;
    ok(kata_tensor_new(&x, context, KATA_F32, &KATA_SHAPE_OF(N, 1, 28, 28)));
    ok(kata_tensor_new(&y, context, KATA_I64, &KATA_SHAPE_OF(N)));
    for (int64_t i = 0; i < N * 784; i++) {
        ((float *)x.data)[i] = kata_random_uniform(1, 0, 0, (uint64_t)i);
    }
    for (int64_t i = 0; i < N; i++) {
        ((int64_t *)y.data)[i] = i % 10;
    }
    ok(kata_dataset_new(&dataset, context, "samples"));
    ok(kata_dataset_add_input(dataset, &x));
    ok(kata_dataset_add_target(dataset, &y));
    ok(kata_dataset_set_classes(dataset, 10, NULL));
    kata_tensor_release(&x);
    kata_tensor_release(&y);
    return dataset;
}

typedef struct watch {
    kata_test_allocator *allocator;
    int64_t live[2], calls[2]; /* after the first and the second step */
    int64_t peak;              /* of the second */
} watch;

static void after_step(void *user, const kata_progress *progress) {
    watch *w = user;
    if (progress->row == NULL && progress->batch <= 2) {
        w->live[progress->batch - 1] = w->allocator->n_live_bytes;
        w->calls[progress->batch - 1] = w->allocator->n_calls;
        w->peak = w->allocator->n_peak_bytes;
        if (progress->batch == 1) {
            kata_test_allocator_reset(w->allocator, 0);
            w->calls[0] = 0;
        }
    }
}

static void check(const char *network, kata_optimizer optimizer, int n_states, int threads,
                  bool recompute) {
    kata_test_allocator allocator;
    kata_test_allocator_init(&allocator);
    kata_context *context = kata_test_context(&allocator, threads);
    kata_dataset *dataset = samples(context);
    kata_model *model;
    ok(kata_model_ready(&model, context, network, NULL));
    ok(kata_compile(model, .loss = KATA_SOFTMAX_CROSS_ENTROPY, .optimizer = optimizer,
                    .recompute = recompute));

    int64_t compiled = allocator.n_live_bytes;
    size_t in_context = kata_context_bytes(context);
    kata_memory memory;
    ok(kata_training_memory(&memory, model, BATCH));
    int64_t planned = allocator.n_live_bytes;
    assert_int_equal(planned - compiled, memory.arena + memory.structure);
    assert_int_equal(kata_context_bytes(context) - in_context, memory.arena + memory.structure);
    assert_true(memory.structure < (512 << 10));
    assert_int_equal(memory.weights, 4 * kata_graph_n_parameters(kata_model_graph(model)));
    assert_int_equal(memory.state, (size_t)n_states * memory.weights);

    /* Training uses that very plan: beside it there is the order of the samples. */
    watch w = {.allocator = &allocator};
    ok(kata_fit(model, dataset, .batch = BATCH, .callback = after_step, .callback_user = &w));
    const int64_t order = N * (int64_t)sizeof(int64_t) + 64; /* and the block's header */
    assert_int_equal(w.live[0], planned + order);
    assert_int_equal(w.live[1], w.live[0]);
    assert_int_equal(w.peak, w.live[0]); /* nothing for a moment either */
    assert_int_equal(w.calls[1], 0);

    const kata_session *session = kata_training_session(model);
    assert_int_equal(kata_session_arena_bytes(session), memory.arena);
    assert_int_equal(kata_session_variable_bytes(session), memory.weights + memory.state);

    kata_model_free(model);
    kata_dataset_free(dataset);
    kata_context_free(context);
    assert_int_equal(allocator.n_live_bytes, 0);
}

static void networks(void **state) {
    (void)state;
    for (int threads = 1; threads <= 3; threads += 2) {
        for (int recompute = 0; recompute < 2; recompute++) {
            check("two-layer", kata_sgd(.lr = 0.1), 0, threads, recompute);
            check("two-layer", kata_momentum(.lr = 0.1), 1, threads, recompute);
            check("simple-convnet", kata_adam(.lr = 1e-3), 2, threads, recompute);
            check("deep-convnet", kata_adam(.lr = 1e-3), 2, threads, recompute);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(networks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
