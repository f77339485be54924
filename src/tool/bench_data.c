/* kata bench data, start: files and batches; the program as a whole. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/ptrace.h>
#endif
#include <sys/wait.h>
#include <unistd.h>

#include <png.h>

#include "base/file.h"
#include "data/data.h"
#include "tool/bench.h"

enum { N_SAMPLES = 10000, BATCH = 100 };

const char *kata__bench_path(kata__bench *bench, const char *name) {
    if (bench->folder[0] == '\0') {
        const char *parent = getenv("TMPDIR");
        if (parent == NULL || parent[0] == '\0' || strlen(parent) > 40) {
            parent = "/tmp";
        }
        snprintf(bench->folder, sizeof bench->folder, "%s/kata-bench-XXXXXX", parent);
        if (mkdtemp(bench->folder) == NULL) {
            char reason[KATA__SYSTEM_ERROR_SIZE];
            kata_fail(KATA_IO, "cannot make a folder for temporary files in %s: %s", parent,
                      kata__system_error(errno, reason));
            bench->folder[0] = '\0';
            return NULL;
        }
    }
    return kata__tool_text(bench->tool, "%s/%s", bench->folder, name);
}

/* --- data ------------------------------------------------------------------------------------- */

typedef struct loading {
    kata__bench *bench;
    kata_dataset *dataset;
    kata_tensor batch;
    const kata_augment *augment;
    const char *folder;
    int64_t order[N_SAMPLES];
    int64_t first;
    uint64_t epoch;
} loading;

static kata_status fill_batch(void *user) {
    loading *l = user;
    kata__batch_input(l->dataset, 0, l->order, l->first, BATCH, l->augment, 1, l->epoch, 1.0 / 255,
                      &l->batch);
    l->first += BATCH;
    if (l->first == N_SAMPLES) {
        l->first = 0;
        l->epoch++;
    }
    return KATA_OK;
}

static kata_status open_idx(void *user) {
    loading *l = user;
    kata_data data = {.train = NULL};
    KATA__TRY(kata_data_open(&data, l->bench->context, l->folder, NULL));
    kata_data_close(&data);
    return KATA_OK;
}

static void put_u32(kata__buffer *out, int64_t value) {
    const uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                              (uint8_t)value};
    kata__buffer_append(out, bytes, sizeof bytes);
}

static kata_status write_file(kata__bench *bench, const char *name, kata__buffer *out) {
    const char *path = kata__bench_path(bench, name);
    kata_status status = out->status;
    if (status == KATA_OK) {
        status =
            path == NULL ? KATA_IO : kata__file_write(bench->context, path, out->data, out->size);
    }
    kata__buffer_clear(out);
    return status;
}

/* Training and test files, as MNIST has them. */
static kata_status write_idx(kata__bench *bench, const kata_dataset *dataset) {
    kata__buffer out;
    const char *folder = kata__bench_path(bench, "idx");
    KATA__TRY(folder == NULL ? KATA_OUT_OF_MEMORY : kata__directory_make(folder));
    kata__buffer_init(&out, bench->context, (size_t)64 << 20);
    kata_status status = KATA_OK;
    for (int part = 0; part < 2 && status == KATA_OK; part++) {
        int64_t n = part == 0 ? dataset->n : 1;
        kata__buffer_append(&out, "\0\0\x08\x03", 4);
        put_u32(&out, n);
        put_u32(&out, 28);
        put_u32(&out, 28);
        kata__buffer_append(&out, dataset->inputs[0].data, (size_t)n * 784);
        status = write_file(
            bench, part == 0 ? "idx/train-images-idx3-ubyte" : "idx/t10k-images-idx3-ubyte", &out);
        kata__buffer_append(&out, "\0\0\x08\x01", 4);
        put_u32(&out, n);
        for (int64_t i = 0; i < n; i++) {
            uint8_t label = (uint8_t)((const int64_t *)dataset->targets[0].data)[i];
            kata__buffer_append(&out, &label, 1);
        }
        if (status == KATA_OK) {
            status = write_file(
                bench, part == 0 ? "idx/train-labels-idx1-ubyte" : "idx/t10k-labels-idx1-ubyte",
                &out);
        }
    }
    kata__buffer_free(&out);
    return status;
}

static const kata_augment moved = {.shift = 2, .rotate = 10, .scale = 0.1};
static const kata_augment elastic = {.elastic = 2};
static const struct {
    const char *name;
    const kata_augment *augment;
    bool is_file;
} loadings[] = {
    {"idx", NULL, true},          /* open idx files, 10,000 pictures */
    {"batch", NULL, false},       /* gather 100 pictures and convert them to float32 */
    {"augment", &moved, false},   /* and shift, turn, scale them */
    {"elastic", &elastic, false}, /* and bend them */
};

static kata_status measure_loading(kata__bench *bench, const kata__bench_entry *entry, loading *l) {
    bool is_file = loadings[entry->index].is_file;
    KATA__TRY(kata__bench_samples(&l->dataset, bench, N_SAMPLES, KATA_U8));
    KATA__TRY(
        kata_tensor_new(&l->batch, bench->context, KATA_F32, &KATA_SHAPE_OF(BATCH, 1, 28, 28)));
    for (int64_t i = 0; i < N_SAMPLES; i++) {
        l->order[i] = i * 7919 % N_SAMPLES; /* 7919 is prime: each once */
    }
    if (is_file) {
        KATA__TRY(write_idx(bench, l->dataset));
        l->folder = kata__bench_path(bench, "idx");
    }
    kata__bench_work work = {.call = is_file ? open_idx : fill_batch,
                             .user = l,
                             .items = is_file ? N_SAMPLES : BATCH,
                             .unit = "sample",
                             .bytes = is_file ? 2.0 * N_SAMPLES * 784 : 5.0 * BATCH * 784,
                             .footprint = 1.0 * N_SAMPLES * 784,
                             .batch = is_file ? 0 : BATCH};
    return kata__bench_measure(bench, entry->name, &work);
}

static kata_status run_loading(kata__bench *bench, const kata__bench_entry *entry) {
    loading *l = kata__alloc_zero(bench->context, 1, sizeof *l);
    if (l == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    l->bench = bench;
    l->augment = loadings[entry->index].augment;
    kata_status status = measure_loading(bench, entry, l);
    kata_tensor_release(&l->batch);
    kata_dataset_free(l->dataset);
    kata__free(bench->context, l);
    return status;
}

void kata__bench_add_data(kata__bench_list *list) {
    for (int i = 0; i < (int)KATA__COUNT(loadings); i++) {
        kata__bench_add(list, "data", loadings[i].name, run_loading, i, true);
    }
}

/* --- start: this program, from nothing to one digit's class ----------------------------------- */

typedef struct start {
    const char *model, *picture, *threads;
} start;

static kata_status run_program(void *user) {
    start *s = user;
    const char *const arguments[] = {"kata",     "predict", "--json",   "--threads",
                                     s->threads, s->model,  s->picture, NULL};
    extern char **environ;
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int ended = 0;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    int error = posix_spawn(&pid, "/proc/self/exe", &actions, NULL,
                            (char *const *)(uintptr_t)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
        char reason[KATA__SYSTEM_ERROR_SIZE];
        return kata_fail(KATA_IO, "cannot start the program again: %s",
                         kata__system_error(error, reason));
    }
    while (waitpid(pid, &ended, 0) < 0 && errno == EINTR) {
    }
    if (!WIFEXITED(ended) || WEXITSTATUS(ended) != 0) {
        return kata_fail(KATA_IO, "the program that was started to predict a digit failed");
    }
    return KATA_OK;
}

#if defined(__linux__)
static double resident_peak(pid_t pid) {
    char path[40], line[128];
    long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *status = fopen(path, "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL &&
           sscanf(line, "VmHWM: %ld", &kib) != 1) {
    }
    if (status != NULL) {
        fclose(status);
    }
    return 1024.0 * (double)kib;
}
#endif

/* The most resident memory of one call, 0 if it cannot be told. getrusage would not do: a process
 * begins with what its parent held. A traced process stops at its end and can be asked. */
static double peak_of_program(const start *s) {
    double bytes = 0;
#if defined(__linux__)
    const char *const arguments[] = {"kata",     "predict", "--json",   "--threads",
                                     s->threads, s->model,  s->picture, NULL};
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        if (null >= 0 && dup2(null, 1) == 1 && dup2(null, 2) == 2 &&
            ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0) {
            execv("/proc/self/exe", (char *const *)(uintptr_t)arguments);
        }
        _exit(127);
    }
    int ended = 0;
    bool is_first = true;
    while (pid > 0 && (waitpid(pid, &ended, 0) == pid || errno == EINTR)) {
        if (!WIFSTOPPED(ended)) {
            break;
        }
        int signal = WSTOPSIG(ended) == SIGTRAP ? 0 : WSTOPSIG(ended);
        if (is_first) {
            ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(uintptr_t)PTRACE_O_TRACEEXIT);
            is_first = false;
        } else if (ended >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8)) {
            bytes = resident_peak(pid);
        }
        ptrace(PTRACE_CONT, pid, NULL, (void *)(uintptr_t)signal);
    }
#else
    (void)s;
#endif
    return bytes;
}

/* A 28x28 picture with a stroke in it. */
static kata_status write_picture(const char *path) {
    uint8_t pixels[28 * 28] = {0};
    for (int y = 4; y < 24; y++) {
        memset(pixels + 28 * y + 12, 255, 4);
    }
    png_image image = {
        .version = PNG_IMAGE_VERSION, .width = 28, .height = 28, .format = PNG_FORMAT_GRAY};
    if (!png_image_write_to_file(&image, path, 0, pixels, 28, NULL)) {
        return kata_fail(KATA_IO, "cannot write %s: %s", path, image.message);
    }
    return KATA_OK;
}

static kata_status write_model(kata__bench *bench, const char *name, const char *path) {
    kata_model *model;
    KATA__TRY(kata__bench_network(&model, bench, name));
    kata_status status = kata_graph_set_metadata(kata_model_graph(model), "kata.picture", "digit");
    if (status == KATA_OK) {
        status = kata_save(model, path);
    }
    kata_model_free(model);
    return status;
}

static kata_status run_start(kata__bench *bench, const kata__bench_entry *entry) {
    const char *name = kata_model_ready_list()[entry->index].name;
    start s = {.model = kata__bench_path(bench, "model.onnx"),
               .picture = kata__bench_path(bench, "digit.png"),
               .threads = kata__tool_text(bench->tool, "%d", bench->threads)};
    if (s.model == NULL || s.picture == NULL || s.threads == NULL) {
        return KATA_IO;
    }
    KATA__TRY(write_picture(s.picture));
    KATA__TRY(write_model(bench, name, s.model));
    KATA__TRY(run_program(&s));
    char more[64];
    double bytes = peak_of_program(&s);
    snprintf(more, sizeof more, bytes > 0 ? ",\"memory_bytes\":%.0f" : ",\"memory_bytes\":null",
             bytes);
    kata__bench_work work = {
        .call = run_program, .user = &s, .items = 1, .unit = "start", .batch = 1, .more = more};
    return kata__bench_measure(bench, entry->name, &work);
}

void kata__bench_add_start(kata__bench_list *list) {
    static const char *const networks[] = {"two-layer", "simple-convnet", "deep-convnet"};
    const kata_ready_entry *ready = kata_model_ready_list();
    for (int i = 0; ready[i].name != NULL; i++) {
        for (size_t k = 0; k < KATA__COUNT(networks); k++) {
            if (strcmp(ready[i].name, networks[k]) == 0) {
                kata__bench_add(list, "start", networks[k], run_start, i, true);
            }
        }
    }
}
