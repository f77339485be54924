/* Prediction with onnxruntime's own C library, as `kata bench predict` measures ours.
 *
 *   ort LIBRARY MODEL.onnx OUTPUT THREADS BATCH SECONDS
 *
 * LIBRARY is libonnxruntime.so of the wheel that PyPI gives. The wheel has no headers; the
 * library's one exported function gives a table of functions whose order never changes, and the few
 * that are used are declared here by their places. Input and output are tensors on memory of the
 * program's own, made once, so that a call copies nothing. Prints one JSON object: microseconds of
 * a call (median, 99th of 100), samples a second. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    const void *(*get_api)(uint32_t version);
    const char *(*version)(void);
} api_base;

enum {
    GET_ERROR_MESSAGE = 2,
    CREATE_ENV = 3,
    CREATE_SESSION = 7,
    RUN = 9,
    CREATE_SESSION_OPTIONS = 10,
    SET_GRAPH_OPTIMIZATION = 23,
    SET_INTRA_OP_THREADS = 24,
    SET_INTER_OP_THREADS = 25,
    SESSION_INPUT_NAME = 36,
    CREATE_TENSOR_WITH_DATA = 49,
    CREATE_CPU_MEMORY_INFO = 69,
    GET_ALLOCATOR = 78,
    ALL_OPTIMIZATIONS = 99,
    FLOAT = 1,
    WARNING = 2
};

static void *const *api;

static void check(void *status) {
    if (status != NULL) {
        const char *(*message)(const void *) =
            (const char *(*)(const void *))api[GET_ERROR_MESSAGE];
        fprintf(stderr, "ort: %s\n", message(status));
        exit(1);
    }
}

#define CALL(place, types, ...) check(((void *(*)types)api[place])(__VA_ARGS__))

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc != 7) {
        fprintf(stderr, "usage: ort LIBRARY MODEL.onnx OUTPUT THREADS BATCH SECONDS\n");
        return 2;
    }
    const char *output_name = argv[3];
    int threads = atoi(argv[4]), batch = atoi(argv[5]);
    double seconds = atof(argv[6]);
    void *library = dlopen(argv[1], RTLD_NOW);
    if (library == NULL) {
        fprintf(stderr, "ort: %s\n", dlerror());
        return 1;
    }
    const api_base *(*get_base)(void) = (const api_base *(*)(void))dlsym(library, "OrtGetApiBase");
    const api_base *base = get_base();
    api = base->get_api(1);

    void *env, *options, *session, *info, *input, *output;
    CALL(CREATE_ENV, (int, const char *, void **), WARNING, "bench", &env);
    CALL(CREATE_SESSION_OPTIONS, (void **), &options);
    CALL(SET_GRAPH_OPTIMIZATION, (void *, int), options, ALL_OPTIMIZATIONS);
    CALL(SET_INTRA_OP_THREADS, (void *, int), options, threads);
    CALL(SET_INTER_OP_THREADS, (void *, int), options, 1);
    CALL(CREATE_SESSION, (void *, const char *, void *, void **), env, argv[2], options, &session);
    CALL(CREATE_CPU_MEMORY_INFO, (int, int, void **), 1, 0, &info);
    void *allocator;
    char *input_name;
    CALL(GET_ALLOCATOR, (void **), &allocator);
    CALL(SESSION_INPUT_NAME, (void *, size_t, void *, char **), session, 0, allocator, &input_name);

    size_t n = (size_t)batch * 784;
    float *x = aligned_alloc(64, (n * sizeof *x + 63) / 64 * 64);
    float *y = aligned_alloc(64, ((size_t)batch * 10 * sizeof *y + 63) / 64 * 64);
    uint32_t state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 8) / (float)(1 << 24);
    }
    const int64_t in_shape[] = {batch, 1, 28, 28}, out_shape[] = {batch, 10};
    CALL(CREATE_TENSOR_WITH_DATA, (void *, void *, size_t, const int64_t *, size_t, int, void **),
         info, x, n * sizeof *x, in_shape, 4, FLOAT, &input);
    CALL(CREATE_TENSOR_WITH_DATA, (void *, void *, size_t, const int64_t *, size_t, int, void **),
         info, y, (size_t)batch * 10 * sizeof *y, out_shape, 2, FLOAT, &output);

    enum { MOST = 400000 };
    double *times = malloc(MOST * sizeof *times);
    const char *inputs[] = {input_name}, *outputs[] = {output_name};
    const void *given[] = {input};
    void *results[] = {output};
    int count = 0;
    double start = 0, warm_until = now() + 0.2 * seconds;
    for (;;) {
        double from = now();
        if (start == 0 && from > warm_until) {
            start = from;
        }
        if ((start > 0 && from - start > seconds && count >= 100) || count == MOST) {
            break;
        }
        CALL(RUN,
             (void *, const void *, const char *const *, const void *const *, size_t,
              const char *const *, size_t, void **),
             session, NULL, inputs, given, 1, outputs, 1, results);
        if (start > 0) {
            times[count++] = now() - from;
        }
    }
    double sum = 0;
    for (int i = 0; i < count; i++) {
        sum += times[i];
    }
    qsort(times, (size_t)count, sizeof *times, by_size);
    printf(
        "{\"peer\":\"onnxruntime\",\"version\":\"%s\",\"batch\":%d,\"threads\":%d,\"p50_us\":%.3f,"
        "\"p99_us\":%.3f,\"per_second\":%.1f,\"calls\":%d,\"first\":%.6f}\n",
        base->version(), batch, threads, 1e6 * times[count / 2], 1e6 * times[(int)(0.99 * count)],
        batch * count / sum, count, (double)y[0]);
    return 0;
}
