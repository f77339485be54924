/* What the program prints with --json is JSON, one value a line, with the members that are
 * promised. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];

static int run(const char *arguments, char *out, size_t n_bytes) {
    char command[1024];
    const char *program = getenv("KATA_PROGRAM");
    snprintf(command, sizeof command, "cd %s && %s %s 2>/dev/null", folder,
             program != NULL ? program : KATA_PROGRAM, arguments);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t n = fread(out, 1, n_bytes - 1, pipe);
    out[n] = '\0';
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static json_t *object_of(const char *arguments) {
    static char out[1 << 20];
    json_error_t error;
    assert_int_equal(run(arguments, out, sizeof out), 0);
    json_t *value = json_loads(out, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(value)) {
        fail_msg("kata %s: %s in %s", arguments, error.text, out);
    }
    return value;
}

static double number(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static int set_up(void **state) {
    (void)state;
    char out[4096];
    snprintf(folder, sizeof folder, "/tmp/kata-json-%d", (int)getpid());
    if (mkdir(folder, 0700) != 0) {
        return 1;
    }
    return run("train --data make:digits --limit-train 1500 --limit-test 200 --model two-layer "
               "--epochs 2 --out run --quiet",
               out, sizeof out);
}

static int tear_down(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void train(void **state) {
    (void)state;
    json_t *o = object_of("train --data make:digits --limit-train 200 --limit-test 100 --epochs 1 "
                          "--model logistic --json");
    assert_true(number(o, "accuracy") >= 0 && number(o, "accuracy") <= 1);
    assert_true(number(o, "n") == 100 && number(o, "parameters") == 7850);
    assert_int_equal(strlen(json_string_value(json_object_get(o, "weights_hash"))), 16);
    assert_string_equal(json_string_value(json_object_get(o, "run")), "runs/logistic-1");
    json_decref(o);
}

static void history(void **state) {
    (void)state;
    char path[128], line[4096];
    int n = 0;
    snprintf(path, sizeof path, "%s/run/history.jsonl", folder);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        json_t *o = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        assert_true(json_is_object(o));
        assert_true(number(o, "epoch") == ++n);
        assert_true(number(o, "loss") > 0 && number(o, "val_loss") > 0);
        assert_true(number(o, "accuracy") > 0 && number(o, "val_accuracy") > 0);
        assert_int_equal(strlen(json_string_value(json_object_get(o, "weights_hash"))), 16);
        json_decref(o);
    }
    fclose(file);
    assert_int_equal(n, 2);
}

static void evaluate(void **state) {
    (void)state;
    json_t *o = object_of("evaluate run --data make:digits --limit 300 --json");
    const json_t *classes = json_object_get(o, "classes"),
                 *confusion = json_object_get(o, "confusion");
    assert_true(number(o, "n") == 300 && number(o, "loss") > 0 && number(o, "accuracy") > 0.1);
    assert_int_equal(json_array_size(classes), 10);
    assert_int_equal(json_array_size(confusion), 10);
    double total = 0, right = 0;
    for (size_t t = 0; t < 10; t++) {
        double row = 0;
        for (size_t p = 0; p < 10; p++) {
            double count = json_number_value(json_array_get(json_array_get(confusion, t), p));
            row += count;
            right += t == p ? count : 0;
        }
        total += row;
        assert_true(number(json_array_get(classes, t), "support") == row);
        number(json_array_get(classes, t), "precision");
        number(json_array_get(classes, t), "recall");
        number(json_array_get(classes, t), "f1");
    }
    assert_true(total == 300 && fabs(right / total - number(o, "accuracy")) < 1e-12);
    json_decref(o);
}

static void predict(void **state) {
    (void)state;
    static char out[1 << 16];
    assert_int_equal(run("data make digits --out idx --count 1 --test 5 --quiet", out, sizeof out),
                     0);
    assert_int_equal(run("predict run idx/t10k-images-idx3-ubyte --json --top 2", out, sizeof out),
                     0);
    char *rest = NULL;
    int n = 0;
    for (char *line = strtok_r(out, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        json_t *o = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        assert_true(json_is_object(o));
        const json_t *p = json_object_get(o, "probabilities");
        assert_int_equal(json_array_size(p), 10);
        double sum = 0, most = 0;
        for (size_t i = 0; i < 10; i++) {
            sum += json_number_value(json_array_get(p, i));
            most = fmax(most, json_number_value(json_array_get(p, i)));
        }
        assert_true(fabs(sum - 1) < 1e-5);
        int class = (int)number(o, "class");
        assert_true(json_number_value(json_array_get(p, (size_t) class)) == most);
        assert_true(number(o, "index") == n++);
        assert_int_equal(json_array_size(json_object_get(o, "top")), 2);
        json_decref(o);
    }
    assert_int_equal(n, 5);
}

static void the_others(void **state) {
    (void)state;
    json_t *o = object_of("show run --json");
    assert_true(number(o, "parameters") == 39760);
    assert_true(number(json_object_get(o, "training"), "activation_bytes") > 0);
    const json_t *metadata = json_object_get(o, "metadata");
    assert_string_equal(json_string_value(json_object_get(metadata, "kata.picture")), "digit");
    json_t *manifest =
        json_loads(json_string_value(json_object_get(metadata, "kata.manifest")), 0, NULL);
    assert_true(number(manifest, "epochs") == 2 && number(manifest, "seed") == 0);
    number(manifest, "accuracy");
    json_decref(manifest);
    json_decref(o);
    o = object_of("info --json");
    assert_true(number(o, "operators") > 50 && number(o, "threads") >= 1);
    json_decref(o);
    o = object_of("data show make:digits --json");
    assert_true(number(json_object_get(o, "train"), "n") == 60000);
    json_decref(o);
}

/* Pictures of any size, by name and on stdin. */
static void pictures(void **state) {
    (void)state;
    static char out[1 << 16];
    assert_int_equal(run("data show make:digits --sheet sheet.png", out, sizeof out), 0);
    assert_int_equal(run("predict run sheet.png --json", out, sizeof out), 0);
    json_t *o = json_loads(out, JSON_REJECT_DUPLICATES, NULL);
    assert_string_equal(json_string_value(json_object_get(o, "file")), "sheet.png");
    json_decref(o);
    assert_int_equal(run("predict run - --json <sheet.png", out, sizeof out), 0);
    o = json_loads(out, JSON_REJECT_DUPLICATES, NULL);
    assert_string_equal(json_string_value(json_object_get(o, "file")), "stdin");
    json_decref(o);
    /* One bad file does not hide the answer of the next, but shows in the status. */
    assert_int_equal(run("predict run missing.png sheet.png --json", out, sizeof out), 1);
    assert_non_null(strstr(out, "sheet.png"));
}

/* Each line of `kata bench` is an object with the same members. */
static void bench(void **state) {
    (void)state;
    static const char *const keys[] = {"workload", "threads",    "batch",  "gflops",
                                       "share",    "per_second", "p50_us", "p99_us"};
    static char out[1 << 16];
    char *rest = NULL;
    int n = 0;
    assert_int_equal(run("bench machine/peak gemm/512 train/two-layer predict/logistic --json "
                         "--threads 1 --seconds 0.01",
                         out, sizeof out),
                     0);
    for (char *line = strtok_r(out, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest), n++) {
        json_t *o = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        assert_true(json_is_object(o));
        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
            assert_non_null(json_object_get(o, keys[i]));
        }
        const char *workload = json_string_value(json_object_get(o, "workload"));
        assert_true(number(o, "threads") == 1 && number(o, "per_second") > 0);
        if (strcmp(workload, "train/two-layer") == 0) {
            /* forward and two gradients of 50x10, forward and one of 784x50; two operations each */
            double step = 2.0 * 100 * (2 * 784 * 50 + 3 * 50 * 10);
            double rate = number(o, "per_second") / 100;
            assert_true(fabs(number(o, "gflops") * 1e9 / (step * rate) - 1) < 1e-3);
            assert_true(number(o, "batch") == 100 && number(o, "share") > 0);
            assert_true(number(o, "p99_us") >= number(o, "p50_us"));
        }
        json_decref(o);
    }
    assert_true(n >= 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(train),    cmocka_unit_test(history),
                                       cmocka_unit_test(evaluate), cmocka_unit_test(predict),
                                       cmocka_unit_test(pictures), cmocka_unit_test(the_others),
                                       cmocka_unit_test(bench)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
