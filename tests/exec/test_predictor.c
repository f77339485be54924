/* Predictors: any number of samples for models with a fixed first axis, no byte beyond what the
 * caller gave, many callers with the bits of one, and their memory. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <kata/exec.h>
#include <kata/predict.h>

#include "base/check.h"
#include "support/assert_ok.h"
#include "support/counting_allocator.h"

/* Memory whose end is the end of a page that may be touched. */
typedef struct guarded {
    void *map;
    size_t n_map;
    float *data;
} guarded;

static guarded guard(size_t n_floats) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), n = n_floats * sizeof(float);
    const size_t n_pages = (n + page - 1) / page;
    guarded g = {.n_map = (n_pages + 1) * page};
    g.map = mmap(NULL, g.n_map, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(g.map != MAP_FAILED);
    assert_int_equal(mprotect((char *)g.map + n_pages * page, page, PROT_NONE), 0);
    g.data = (float *)(void *)((char *)g.map + n_pages * page - n);
    return g;
}

static void unguard(guarded *g) {
    munmap(g->map, g->n_map);
}

static kata_value weight(kata_graph *g, int64_t rows, int64_t columns) {
    kata_variable *made = NULL;
    kata_value value =
        kata_graph_variable(g, NULL, KATA_F32, &KATA_SHAPE_OF(rows, columns), true, &made);
    assert_non_null(made);
    for (int64_t i = 0; i < rows * columns; i++) {
        ((float *)made->tensor.data)[i] =
            kata_random_uniform(1, (uint32_t)columns, 0, (uint64_t)i) - 0.5F;
    }
    kata_variable_changed(made);
    return value;
}

static kata_graph *graph_of(kata_context *context) {
    kata_graph *graph = NULL;
    assert_ok(kata_graph_new(&graph, context, "model"));
    return graph;
}

/* y = x (1,2;3,4) + (10,20), x of `first` rows. */
static kata_graph *affine(int64_t first) {
    static const float w[] = {1, 2, 3, 4}, b[] = {10, 20};
    kata_graph *g = graph_of(kata_context_default());
    const kata_tensor w_view =
        kata_tensor_view((void *)(uintptr_t)w, KATA_F32, &KATA_SHAPE_OF(2, 2));
    const kata_tensor b_view = kata_tensor_view((void *)(uintptr_t)b, KATA_F32, &KATA_SHAPE_OF(2));
    kata_value x = kata_graph_input(g, "x", KATA_F32, &KATA_SHAPE_OF(first, 2));
    kata_value y = KATA_NODE(g, "Gemm",
                             KATA_INPUTS(x, kata_graph_constant(g, NULL, &w_view),
                                         kata_graph_constant(g, NULL, &b_view)));
    kata_graph_output(g, "y", y);
    assert_ok(kata_graph_status(g));
    return g;
}

/* For n samples in memory that ends where they end. */
static kata_status ask(kata_predictor *predictor, int64_t n, int64_t in_width, int64_t out_width) {
    guarded in = guard((size_t)(n * in_width)), out = guard((size_t)(n * out_width));
    for (int64_t i = 0; i < n * in_width; i++) {
        in.data[i] = (float)i;
    }
    for (int64_t i = 0; i < n * out_width; i++) {
        out.data[i] = NAN;
    }
    kata_named_tensor x = {"x", kata_tensor_view(in.data, KATA_F32, &KATA_SHAPE_OF(n, in_width))};
    kata_named_tensor y = {"y", kata_tensor_view(out.data, KATA_F32, &KATA_SHAPE_OF(n, out_width))};
    const kata_status status = kata_predictor_run(predictor, &x, 1, &y, 1);
    for (int64_t i = 0; i < n && status == KATA_OK && in_width == 2; i++) {
        const float a = (float)(2 * i), b = (float)(2 * i + 1);
        assert_true(out.data[2 * i] == a + 3 * b + 10);
        assert_true(out.data[2 * i + 1] == 2 * a + 4 * b + 20);
    }
    unguard(&in);
    unguard(&out);
    return status;
}

static void any_number_of_samples(void **state) {
    (void)state;
    static const int64_t firsts[] = {KATA_UNKNOWN_DIM, 1, 2, 3, 7, 256, 100000};
    static const int64_t counts[] = {0, 1, 2, 3, 4, 5, 7, 13, 256, 257, 301};
    for (size_t i = 0; i < KATA__COUNT(firsts); i++) {
        kata_graph *graph = affine(firsts[i]);
        kata_predictor *predictor;
        assert_ok(kata_predictor_new(&predictor, graph, NULL));
        kata_graph_free(graph); /* the predictor holds it */
        for (size_t k = 0; k < KATA__COUNT(counts); k++) {
            assert_ok(ask(predictor, counts[k], 2, 2));
        }
        kata_predictor_free(predictor);
    }
}

typedef kata_value (*builder)(kata_graph *g, kata_value x);
#define BUILD(name, ...)                                                                           \
    static kata_value name(kata_graph *g, kata_value x) {                                          \
        return __VA_ARGS__;                                                                        \
    }
BUILD(sum_all, KATA_NODE_WITH(g, "ReduceSum", KATA_INPUTS(x), KATA_INT("keepdims", 0)))
BUILD(sum_all_kept, KATA_NODE(g, "ReduceSum", KATA_INPUTS(x)))
BUILD(moved,
      KATA_NODE(g, "Reshape", KATA_INPUTS(x, kata_graph_int64s(g, (const int64_t[]){2, 4}, 2))))
BUILD(flat, KATA_NODE_WITH(g, "Flatten", KATA_INPUTS(x), KATA_INT("axis", 0)))
BUILD(first_row, KATA_NODE(g, "Slice",
                           KATA_INPUTS(x, kata_graph_int64s(g, (const int64_t[]){0}, 1),
                                       kata_graph_int64s(g, (const int64_t[]){1}, 1),
                                       kata_graph_int64s(g, (const int64_t[]){0}, 1))))
BUILD(arg_max, KATA_NODE_WITH(g, "ArgMax", KATA_INPUTS(x), KATA_INT("axis", 0)))
BUILD(transposed, KATA_NODE(g, "Transpose", KATA_INPUTS(x)))
BUILD(gram, KATA_NODE(g, "MatMul", KATA_INPUTS(x, transposed(g, x))))
BUILD(over_samples, KATA_NODE_WITH(g, "Softmax", KATA_INPUTS(x), KATA_INT("axis", 0)))
BUILD(centred, KATA_NODE(g, "Sub",
                         KATA_INPUTS(x, KATA_NODE_WITH(g, "ReduceMean", KATA_INPUTS(x),
                                                       KATA_INTS("axes", 0)))))

/* Samples that are computed together cannot be taken apart: one sentence, no byte written. */
static void samples_that_mix(void **state) {
    (void)state;
    static const builder builders[] = {sum_all, sum_all_kept, moved,        flat, first_row,
                                       arg_max, transposed,   over_samples, gram, centred};
    for (size_t i = 0; i < KATA__COUNT(builders); i++) {
        static const int64_t counts[] = {0, 1, 3, 5, 8, 300};
        kata_graph *graph = graph_of(kata_context_default());
        kata_value x = kata_graph_input(graph, "x", KATA_F32, &KATA_SHAPE_OF(4, 2));
        kata_graph_output(graph, "y", builders[i](graph, x));
        assert_ok(kata_graph_status(graph));
        const kata_shape y = kata_value_shape(graph, kata_graph_output_at(graph, 0));
        kata_predictor *predictor;
        assert_ok(kata_predictor_new(&predictor, graph, NULL));
        for (size_t k = 0; k < KATA__COUNT(counts); k++) {
            kata_named_tensor out = {.name = "y"};
            float numbers[600] = {0};
            kata_named_tensor in = {
                "x", kata_tensor_view(numbers, KATA_F32, &KATA_SHAPE_OF(counts[k], 2))};
            assert_int_equal(kata_predictor_run(predictor, &in, 1, &out, 1), KATA_SHAPE);
            assert_non_null(strstr(kata_error_message(), "exactly 4 samples"));
            assert_null(out.tensor.data);
        }
        /* As many as it was made for are answered as the file says. */
        float four[8] = {1, 2, 3, 4, 5, 6, 7, 8};
        kata_named_tensor in = {"x", kata_tensor_view(four, KATA_F32, &KATA_SHAPE_OF(4, 2))};
        kata_named_tensor out = {.name = "y"};
        assert_ok(kata_predictor_run(predictor, &in, 1, &out, 1));
        assert_true(kata_shape_equal(&out.tensor.shape, &y));
        kata_tensor_release(&out.tensor);
        kata_predictor_free(predictor);
        kata_graph_free(graph);
    }
}

/* An open model that mixes samples runs whole, however many there are. */
static void an_open_model_that_mixes_runs_whole(void **state) {
    (void)state;
    enum { N = 700 };
    kata_graph *graph = graph_of(kata_context_default());
    kata_value x = kata_graph_input(graph, "x", KATA_F32, &KATA_SHAPE_OF(KATA_UNKNOWN_DIM, 2));
    kata_graph_output(graph, "y", over_samples(graph, x));
    kata_predictor *predictor;
    assert_ok(kata_predictor_new(&predictor, graph, NULL));
    static float numbers[2 * N], result[2 * N];
    kata_named_tensor in = {"x", kata_tensor_view(numbers, KATA_F32, &KATA_SHAPE_OF(N, 2))};
    kata_named_tensor out = {"y", kata_tensor_view(result, KATA_F32, &KATA_SHAPE_OF(N, 2))};
    assert_ok(kata_predictor_run(predictor, &in, 1, &out, 1));
    for (int i = 0; i < 2 * N; i++) {
        assert_true(fabsf(result[i] - 1.0F / N) < 1e-6F);
    }
    kata_predictor_free(predictor);
    kata_graph_free(graph);
}

/* Inputs that do not agree, are missing, or have another width. */
static void inputs_that_do_not_fit(void **state) {
    (void)state;
    kata_graph *graph = graph_of(kata_context_default());
    kata_value a = kata_graph_input(graph, "a", KATA_F32, &KATA_SHAPE_OF(2, 3));
    kata_value b = kata_graph_input(graph, "b", KATA_I64, &KATA_SHAPE_OF(2, 1));
    kata_value f = KATA_NODE_WITH(graph, "Cast", KATA_INPUTS(b), KATA_INT("to", 1));
    kata_graph_output(graph, "sum", KATA_NODE(graph, "Add", KATA_INPUTS(a, f)));
    kata_graph_output(graph, "twice", KATA_NODE(graph, "Add", KATA_INPUTS(b, b)));
    assert_ok(kata_graph_status(graph));
    kata_predictor *predictor;
    assert_ok(kata_predictor_new(&predictor, graph, NULL));
    float numbers[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    uint8_t bytes[] = {10, 20, 30}; /* converted */
    kata_named_tensor in[] = {{"b", kata_tensor_view(bytes, KATA_U8, &KATA_SHAPE_OF(3, 1))},
                              {"a", kata_tensor_view(numbers, KATA_F32, &KATA_SHAPE_OF(3, 3))}};
    kata_named_tensor out[] = {{.name = "twice"}, {.name = "sum"}};
    assert_ok(kata_predictor_run(predictor, in, 2, out, 2));
    assert_int_equal(out[0].tensor.dtype, KATA_I64);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(((int64_t *)out[0].tensor.data)[i], 20 * (i + 1));
        for (int j = 0; j < 3; j++) {
            assert_true(((float *)out[1].tensor.data)[3 * i + j] ==
                        numbers[3 * i + j] + 10.0F * (float)(i + 1));
        }
    }
    kata_tensor_release(&out[0].tensor);
    kata_tensor_release(&out[1].tensor);
    out[0].tensor = out[1].tensor = (kata_tensor){0};

    in[0].tensor.shape.dim[0] = 2; /* two of b, three of a */
    assert_int_equal(kata_predictor_run(predictor, in, 2, out, 2), KATA_SHAPE);
    assert_non_null(
        strstr(kata_error_message(), "input b of model model is given 2 samples, input a 3"));
    assert_int_equal(kata_predictor_run(predictor, in, 1, out, 2), KATA_INVALID);
    assert_non_null(strstr(kata_error_message(), "input a"));
    in[0].tensor = kata_tensor_view(bytes, KATA_U8, &KATA_SHAPE_OF(1, 3));
    assert_int_equal(kata_predictor_run(predictor, in, 2, out, 2), KATA_SHAPE);
    in[0].name = "c";
    assert_int_equal(kata_predictor_run(predictor, in, 2, out, 2), KATA_NOT_FOUND);
    assert_null(out[0].tensor.data);
    kata_predictor_free(predictor);
    kata_graph_free(graph);
}

/* Inputs that were fixed to different numbers of samples have no samples in common. */
static void fixed_sizes_that_differ(void **state) {
    (void)state;
    kata_graph *graph = graph_of(kata_context_default());
    kata_value a = kata_graph_input(graph, "a", KATA_F32, &KATA_SHAPE_OF(2, 3));
    kata_value b = kata_graph_input(graph, "b", KATA_F32, &KATA_SHAPE_OF(1, 3));
    kata_graph_output(graph, "y", KATA_NODE(graph, "Add", KATA_INPUTS(a, b)));
    kata_predictor *predictor;
    assert_ok(kata_predictor_new(&predictor, graph, NULL));
    float numbers[12] = {0};
    kata_named_tensor in[] = {{"a", kata_tensor_view(numbers, KATA_F32, &KATA_SHAPE_OF(2, 3))},
                              {"b", kata_tensor_view(numbers, KATA_F32, &KATA_SHAPE_OF(1, 3))}};
    kata_named_tensor out = {.name = "y"};
    assert_ok(kata_predictor_run(predictor, in, 2, &out, 1));
    kata_tensor_release(&out.tensor);
    out.tensor = (kata_tensor){0};
    in[0].tensor = in[1].tensor = kata_tensor_view(numbers, KATA_F32, &KATA_SHAPE_OF(4, 3));
    assert_int_equal(kata_predictor_run(predictor, in, 2, &out, 1), KATA_SHAPE);
    assert_non_null(strstr(kata_error_message(), "input a of model model has the shape (2,3)"));
    kata_predictor_free(predictor);
    kata_graph_free(graph);
}

/* --- many callers ----------------------------------------------------------------------------- */

enum { CALLERS = 8, ROUNDS = 40, IN = 96, HIDDEN = 64, OUT = 10 };

/* A convolution, whose weights are prepared, and two products. */
static kata_graph *network(kata_context *context) {
    kata_graph *g = graph_of(context);
    kata_value x = kata_graph_input(g, "x", KATA_F32, &KATA_SHAPE_OF(KATA_UNKNOWN_DIM, IN));
    kata_value to_picture = kata_graph_int64s(g, (const int64_t[]){-1, 1, 8, 12}, 4);
    kata_value to_filters = kata_graph_int64s(g, (const int64_t[]){8, 1, 3, 3}, 4);
    kata_value filters = KATA_NODE(g, "Reshape", KATA_INPUTS(weight(g, 8, 9), to_filters));
    kata_value picture = KATA_NODE(g, "Reshape", KATA_INPUTS(x, to_picture));
    picture =
        KATA_NODE_WITH(g, "Conv", KATA_INPUTS(picture, filters), KATA_INTS("pads", 1, 1, 1, 1));
    kata_value flat =
        KATA_NODE(g, "Flatten", KATA_INPUTS(KATA_NODE(g, "Relu", KATA_INPUTS(picture))));
    kata_value h = KATA_NODE(
        g, "Relu", KATA_INPUTS(KATA_NODE(g, "Gemm", KATA_INPUTS(flat, weight(g, 8 * IN, HIDDEN)))));
    kata_value y = KATA_NODE(
        g, "Softmax", KATA_INPUTS(KATA_NODE(g, "Gemm", KATA_INPUTS(h, weight(g, HIDDEN, OUT)))));
    kata_graph_output(g, "h", h);
    kata_graph_output(g, "y", y);
    assert_ok(kata_graph_status(g));
    return g;
}

typedef struct caller {
    kata_predictor *predictor;
    const float *samples;
    int number, n_failed;
    bool one_size;
    pthread_barrier_t *start;
    uint64_t hash; /* of all answers */
} caller;

static uint64_t fnv1a(uint64_t hash, const void *data, size_t n_bytes) {
    for (size_t i = 0; i < n_bytes; i++) {
        hash = (hash ^ ((const uint8_t *)data)[i]) * UINT64_C(1099511628211);
    }
    return hash;
}

static void *call(void *argument) {
    static const int64_t counts[] = {1, 5, 1, 8, 300, 1, 2, 3, 4, 6, 7, 9};
    caller *c = argument;
    float y[300 * OUT];
    pthread_barrier_wait(c->start);
    for (int round = 0; round < ROUNDS; round++) {
        const int64_t n = c->one_size ? 1 : counts[(round + c->number) % (int)KATA__COUNT(counts)];
        const int64_t first = (c->number * 7 + round) % 50;
        void *from = (void *)(uintptr_t)(c->samples + first * IN);
        kata_named_tensor in = {"x", kata_tensor_view(from, KATA_F32, &KATA_SHAPE_OF(n, IN))};
        kata_named_tensor out = {"y", kata_tensor_view(y, KATA_F32, &KATA_SHAPE_OF(n, OUT))};
        c->n_failed += kata_predictor_run(c->predictor, &in, 1, &out, 1) != KATA_OK;
        c->hash = fnv1a(c->hash, y, (size_t)(n * OUT) * sizeof *y);
    }
    return NULL;
}

/* Callers first .. first + n - 1, together. */
static void call_together(kata_predictor *predictor, const float *samples, int first, int n,
                          bool one_size, uint64_t *hashes) {
    pthread_t threads[CALLERS];
    caller callers[CALLERS];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, (unsigned)n);
    for (int i = 0; i < n; i++) {
        callers[i] = (caller){predictor, samples, first + i, 0, one_size, &start, 1};
        assert_int_equal(pthread_create(&threads[i], NULL, call, &callers[i]), 0);
    }
    for (int i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(callers[i].n_failed, 0);
        hashes[i] = callers[i].hash;
    }
    pthread_barrier_destroy(&start);
}

/* Eight at a time get the bits that one gets, allocate nothing more once their sizes are known, and
 * take the memory of eight sessions. */
static void many_callers(void **state) {
    (void)state;
    enum { N = 350 };
    static float samples[N * IN];
    kata_test_allocator allocator;
    kata_test_allocator_init(&allocator);
    kata_context *context = kata_test_context(&allocator, 2);
    assert_non_null(context);
    kata_graph *graph = network(context);
    for (int i = 0; i < N * IN; i++) {
        samples[i] = kata_random_uniform(2, 0, 0, (uint64_t)i);
    }
    for (int one_size = 1; one_size >= 0; one_size--) {
        uint64_t alone[CALLERS], together[CALLERS];
        kata_predictor *predictor;
        assert_ok(kata_predictor_new(&predictor, graph, NULL));
        for (int i = 0; i < CALLERS; i++) {
            call_together(predictor, samples, i, 1, one_size != 0, &alone[i]);
        }
        const kata_predictor_memory one = kata_predictor_memory_of(predictor);
        call_together(predictor, samples, 0, CALLERS, one_size != 0, together);
        assert_memory_equal(alone, together, sizeof alone);
        const kata_predictor_memory all = kata_predictor_memory_of(predictor);
        assert_true(one.prepared > 0);
        assert_int_equal(all.prepared, one.prepared); /* one block, whatever the batch */
        if (one_size != 0) {
            assert_int_equal(one.n_sessions, 1); /* one caller at a time, each in a new thread */
            assert_true(all.n_sessions >= 1 && all.n_sessions <= CALLERS);
            assert_int_equal(all.activations, one.activations * (size_t)all.n_sessions);
            kata_test_allocator_reset(&allocator, 0); /* the steady state */
            call_together(predictor, samples, 0, 1, true, together);
            assert_int_equal(allocator.n_calls, 0);
        }
        kata_predictor_free(predictor);
    }
    kata_graph_free(graph);
    kata_context_free(context);
    assert_int_equal(allocator.n_live, 0);
}

/* Weights that change are prepared again, once for all. */
static void changed_weights(void **state) {
    (void)state;
    kata_graph *graph = network(kata_context_default());
    kata_predictor *predictor;
    float x[IN], before[OUT], after[OUT];
    assert_ok(kata_predictor_new(&predictor, graph, NULL));
    for (int i = 0; i < IN; i++) {
        x[i] = (float)(i % 5);
    }
    kata_named_tensor in = {"x", kata_tensor_view(x, KATA_F32, &KATA_SHAPE_OF(1, IN))};
    kata_named_tensor out = {"y", kata_tensor_view(before, KATA_F32, &KATA_SHAPE_OF(1, OUT))};
    assert_ok(kata_predictor_run(predictor, &in, 1, &out, 1));
    kata_variable *w = kata_graph_variable_at(graph, 2);
    for (int64_t i = 0; i < HIDDEN * OUT; i++) {
        ((float *)w->tensor.data)[i] = 0;
    }
    kata_variable_changed(w);
    out.tensor.data = after;
    assert_ok(kata_predictor_run(predictor, &in, 1, &out, 1));
    assert_memory_not_equal(before, after, sizeof before);
    for (int i = 0; i < OUT; i++) {
        assert_true(fabsf(after[i] - 0.1F) < 1e-6F);
    }
    kata_predictor_free(predictor);
    kata_graph_free(graph);
}

/* Every allocation may fail; what was made is given back, and the next call succeeds. */
static void short_of_memory(void **state) {
    (void)state;
    kata_test_allocator allocator;
    kata_test_allocator_init(&allocator);
    kata_context *context = kata_test_context(&allocator, 1);
    kata_graph *graph = network(context);
    float x[3 * IN] = {1};
    kata_named_tensor in = {"x", kata_tensor_view(x, KATA_F32, &KATA_SHAPE_OF(3, IN))};
    kata_status status = KATA_OUT_OF_MEMORY;
    for (int64_t k = 1; status != KATA_OK; k++) {
        kata_named_tensor out[] = {{.name = "y"}, {.name = "h"}};
        kata_predictor *predictor = NULL;
        assert_true(k < 10000);
        kata_test_allocator_reset(&allocator, k);
        status = kata_predictor_new(&predictor, graph, NULL);
        if (status == KATA_OK) {
            status = kata_predictor_run(predictor, &in, 1, out, 2);
            kata_test_allocator_reset(&allocator, 0);
            if (status != KATA_OK) {
                assert_null(out[0].tensor.data);
                assert_ok(kata_predictor_run(predictor, &in, 1, out, 2));
            }
            kata_tensor_release(&out[0].tensor);
            kata_tensor_release(&out[1].tensor);
        }
        kata_predictor_free(predictor);
    }
    kata_graph_free(graph);
    kata_context_free(context);
    assert_int_equal(allocator.n_live, 0);
}

/* An output has as many rows as the data give; a tensor of the caller's must have these. */
static void rows_that_depend_on_data(void **state) {
    (void)state;
    kata_context *context = kata_context_default();
    kata_graph *g = NULL;
    kata_predictor *p = NULL;
    const float x[] = {0, 1, 0, 2, 3, 0};
    int64_t room[4];
    assert_ok(kata_graph_new(&g, context, "open"));
    kata_value in = kata_graph_input(g, "x", KATA_F32, &KATA_SHAPE_OF(KATA_UNKNOWN_DIM, 2));
    kata_value at = KATA_NODE(g, "NonZero", KATA_INPUTS(in));
    kata_graph_output(g, "y", KATA_NODE(g, "Transpose", KATA_INPUTS(at)));
    assert_ok(kata_graph_status(g));
    assert_ok(kata_predictor_new(&p, g, NULL));
    kata_named_tensor input = {
        "x", kata_tensor_view((void *)(uintptr_t)x, KATA_F32, &KATA_SHAPE_OF(3, 2))};
    kata_named_tensor output = {.name = "y"};
    assert_ok(kata_predictor_run(p, &input, 1, &output, 1));
    assert_true(kata_shape_equal(&output.tensor.shape, &KATA_SHAPE_OF(3, 2)));
    assert_memory_equal(output.tensor.data, ((int64_t[]){0, 1, 1, 1, 2, 0}), 6 * sizeof(int64_t));
    kata_tensor_release(&output.tensor);
    output.tensor = kata_tensor_view(room, KATA_I64, &KATA_SHAPE_OF(2, 2));
    assert_int_equal(kata_predictor_run(p, &input, 1, &output, 1), KATA_SHAPE);
    assert_non_null(strstr(kata_error_message(), "has the shape (3,2) for these data"));
    kata_predictor_free(p);
    kata_graph_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_that_depend_on_data),
        cmocka_unit_test(any_number_of_samples),
        cmocka_unit_test(samples_that_mix),
        cmocka_unit_test(an_open_model_that_mixes_runs_whole),
        cmocka_unit_test(inputs_that_do_not_fit),
        cmocka_unit_test(fixed_sizes_that_differ),
        cmocka_unit_test(many_callers),
        cmocka_unit_test(changed_weights),
        cmocka_unit_test(short_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
