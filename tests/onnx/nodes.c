/* Runs operator tests in the form that the ONNX project has them: a folder for each test with
 * model.onnx and test_data_set_*, each with input_K.pb and output_K.pb.
 *
 *     onnx_nodes FOLDER [NAME...]      all tests of the folder, or those whose names begin so
 *
 * Each test runs in a process of its own, so that one that crashes or hangs is counted and not the
 * end of all. A line for each test that does not pass, then the sums: passed, failed (a wrong
 * number or a crash), unsupported (refused with a reason). Exit status 1 if one failed. */
#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kata/exec.h>
#include <kata/format.h>
#include <kata/pass.h>

enum { PASSED, UNSUPPORTED, FAILED, MOST_VALUES = 64, SECONDS = 60 };

/* As the ONNX project's own runner compares: |got - expected| <= absolute + relative |expected|. */
static const double relative = 1e-3, absolute = 1e-7;

/* Their numbers come from NumPy's generator, so that nothing else can give them. */
static const char *const random_tests[] = {"test_training_dropout", "test_training_dropout_default",
                                           "test_training_dropout_default_mask",
                                           "test_training_dropout_mask"};

static bool agree(double got, double expected, kata_dtype dtype) {
    if (isnan(expected) || isinf(expected)) {
        return isnan(expected) ? isnan(got) : got == expected;
    }
    double loose = dtype == KATA_F16 || dtype == KATA_BF16 ? 1e-2 : relative;
    return kata_dtype_is_float(dtype) ? fabs(got - expected) <= absolute + loose * fabs(expected)
                                      : got == expected;
}

static int compare(const kata_tensor *got, const kata_tensor *expected, int k) {
    char have[KATA_SHAPE_TEXT_SIZE], want[KATA_SHAPE_TEXT_SIZE];
    if (got->dtype != expected->dtype || !kata_shape_equal(&got->shape, &expected->shape)) {
        printf("output %d is %s%s, expected %s%s", k, kata_dtype_name(got->dtype),
               kata_shape_text(&got->shape, have), kata_dtype_name(expected->dtype),
               kata_shape_text(&expected->shape, want));
        return FAILED;
    }
    for (int64_t i = 0; i < kata_tensor_count(expected) && expected->dtype == KATA_STRING; i++) {
        const kata_string a = ((const kata_string *)got->data)[i];
        const kata_string b = ((const kata_string *)expected->data)[i];
        if (a.n_bytes != b.n_bytes ||
            (a.n_bytes > 0 && memcmp(a.data, b.data, (size_t)a.n_bytes))) {
            printf("output %d: text %" PRId64 " is \"%.*s\", expected \"%.*s\"", k, i,
                   (int)a.n_bytes, a.data, (int)b.n_bytes, b.data);
            return FAILED;
        }
    }
    for (int64_t i = 0; i < kata_tensor_count(expected) && expected->dtype != KATA_STRING; i++) {
        double a = kata_load(got->dtype, got->data, i);
        double b = kata_load(expected->dtype, expected->data, i);
        if (!agree(a, b, expected->dtype)) {
            printf("output %d: element %" PRId64 " is %.9g, expected %.9g", k, i, a, b);
            return FAILED;
        }
    }
    return PASSED;
}

static int refused(void) {
    printf("%s", kata_error_message());
    return UNSUPPORTED;
}

/* Reads PREFIX_0.pb, PREFIX_1.pb, ... as long as they are there; -1 if one cannot be read. */
static int read_tensors(const char *folder, const char *prefix, kata_tensor *tensors) {
    int n = 0;
    for (; n < MOST_VALUES; n++) {
        char path[4096];
        snprintf(path, sizeof path, "%.4000s/%.40s_%d.pb", folder, prefix, n);
        if (access(path, R_OK) != 0) {
            break;
        }
        if (kata_onnx_tensor_read(&tensors[n], kata_context_default(), path) != KATA_OK) {
            return -1;
        }
    }
    return n;
}

static int run_set(const kata_graph *graph, const char *folder) {
    kata_tensor inputs[MOST_VALUES], outputs[MOST_VALUES];
    int n_inputs = read_tensors(folder, "input", inputs);
    int n_outputs = n_inputs < 0 ? -1 : read_tensors(folder, "output", outputs);
    kata_graph *bound = NULL;
    kata_session *session = NULL;
    if (n_outputs < 0 || kata_graph_bind(&bound, graph, KATA_SIZES({"N", 1}), false) != KATA_OK ||
        kata_session_new(&session, bound, NULL) != KATA_OK) {
        return refused();
    }
    if (n_inputs != kata_graph_n_inputs(graph) || n_outputs != kata_graph_n_outputs(graph)) {
        printf("%d inputs and %d outputs in the data, %d and %d in the model", n_inputs, n_outputs,
               kata_graph_n_inputs(graph), kata_graph_n_outputs(graph));
        return FAILED;
    }
    for (int k = 0; k < n_inputs; k++) {
        kata_tensor to = kata_session_input(session, k);
        if (to.dtype != inputs[k].dtype || kata_tensor_copy(&to, &inputs[k]) != KATA_OK) {
            return refused();
        }
    }
    if (kata_session_run(session, 0, 0) != KATA_OK) {
        return refused();
    }
    int result = PASSED;
    for (int k = 0; k < n_outputs && result == PASSED; k++) {
        const kata_tensor got = kata_session_output(session, k);
        result = compare(&got, &outputs[k], k);
    }
    kata_session_free(session);
    kata_graph_free(bound);
    for (int k = 0; k < n_inputs; k++) {
        kata_tensor_release(&inputs[k]);
    }
    for (int k = 0; k < n_outputs; k++) {
        kata_tensor_release(&outputs[k]);
    }
    return result;
}

static bool is_random(const char *folder) {
    const char *slash = strrchr(folder, '/');
    bool found = false;
    for (size_t i = 0; i < sizeof random_tests / sizeof *random_tests; i++) {
        found = found || strcmp(slash + 1, random_tests[i]) == 0;
    }
    return found;
}

static int run_test(const char *folder) {
    char path[4096];
    kata_graph *graph = NULL;
    int result = PASSED;
    if (is_random(folder)) {
        printf("its numbers come from NumPy's random generator");
        return UNSUPPORTED;
    }
    snprintf(path, sizeof path, "%.4000s/model.onnx", folder);
    if (kata_onnx_read(&graph, kata_context_default(), path) != KATA_OK) {
        return refused();
    }
    for (int set = 0; result == PASSED; set++) {
        snprintf(path, sizeof path, "%.4000s/test_data_set_%d", folder, set);
        if (access(path, R_OK) != 0) {
            break;
        }
        result = run_set(graph, path);
    }
    kata_graph_free(graph);
    return result;
}

/* In a process of its own; writes the test's line into `line`. */
static int run_apart(const char *folder, char *line, size_t n_bytes) {
    int pipe_ends[2], status = 0;
    if (pipe(pipe_ends) != 0) {
        return FAILED;
    }
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        dup2(pipe_ends[1], STDOUT_FILENO);
        close(pipe_ends[0]);
        close(pipe_ends[1]);
        alarm(SECONDS);
        exit(run_test(folder)); /* not _exit: a leak checker looks at the end */
    }
    close(pipe_ends[1]);
    size_t used = 0;
    for (ssize_t n = 1; n > 0 && used + 1 < n_bytes; used += n > 0 ? (size_t)n : 0) {
        n = read(pipe_ends[0], line + used, n_bytes - 1 - used);
    }
    line[used] = '\0';
    close(pipe_ends[0]);
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) <= FAILED) {
        return WEXITSTATUS(status);
    }
    snprintf(line, n_bytes, "%s", WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "it exited");
    return FAILED;
}

static int is_test(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

static bool is_wanted(const char *name, char **names, int n_names) {
    bool wanted = n_names == 0;
    for (int i = 0; i < n_names; i++) {
        wanted = wanted || strncmp(name, names[i], strlen(names[i])) == 0;
    }
    return wanted;
}

int main(int argc, char **argv) {
    static const char *const words[] = {"passed", "unsupported", "FAILED"};
    struct dirent **entries = NULL;
    int counts[FAILED + 1] = {0};
    int n = argc < 2 ? -1 : scandir(argv[1], &entries, is_test, alphasort);
    if (n < 0) {
        fprintf(stderr, "usage: onnx_nodes FOLDER [NAME...]\n");
        return 2;
    }
    for (int i = 0; i < n; i++) {
        char folder[4096], line[2048] = "";
        if (is_wanted(entries[i]->d_name, argv + 2, argc - 2)) {
            snprintf(folder, sizeof folder, "%.3000s/%.255s", argv[1], entries[i]->d_name);
            int result = run_apart(folder, line, sizeof line);
            counts[result]++;
            if (result != PASSED) {
                printf("%s %s: %s\n", words[result], entries[i]->d_name, line);
            }
        }
        free(entries[i]);
    }
    free(entries);
    printf("%d passed, %d failed, %d unsupported\n", counts[PASSED], counts[FAILED],
           counts[UNSUPPORTED]);
    return counts[FAILED] > 0;
}
