/* The option tables: each key has a flag, what is written reads back the same, numbers are strict.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/file.h"
#include "support/counting_allocator.h"
#include "tool/settings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static kata_test_allocator allocator;
static kata_context *context;
static kata__arena arena;
static char path[64];

static int set_up(void **state) {
    (void)state;
    kata_test_allocator_init(&allocator);
    context = kata_test_context(&allocator, 1);
    arena = (kata__arena){.context = context};
    snprintf(path, sizeof path, "/tmp/kata-options-%d.yaml", (int)getpid());
    return context == NULL;
}

static int tear_down(void **state) {
    (void)state;
    unlink(path);
    kata__arena_free(&arena);
    kata_context_free(context);
    return atomic_load(&allocator.n_live) != 0;
}

static kata_status parse(kata__settings *s, const char *line) {
    char *copy = kata__arena_strdup(&arena, line), *argv[40], *rest = NULL;
    int argc = 0;
    kata__parsed parsed;
    static char command[] = "train";
    argv[argc++] = command;
    for (char *word = strtok_r(copy, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        argv[argc++] = word;
    }
    *s = kata__train_defaults;
    return kata__options_parse(kata__train_options, s, &arena, argc, argv, &parsed);
}

static kata_status read_text(kata__settings *s, const char *text) {
    assert_int_equal(kata__file_write(context, path, text, strlen(text)), KATA_OK);
    *s = kata__train_defaults;
    return kata__project_read(s, &arena, path);
}

static void names_are_unique(void **state) {
    (void)state;
    for (const kata__option *a = kata__train_options; a->name != NULL; a++) {
        assert_true(a - kata__train_options < KATA__OPTIONS_MOST);
        assert_non_null(a->help);
        assert_true(a->type == KATA__OPTION_FLAG || a->value != NULL);
        assert_true(a->type != KATA__OPTION_CHOICE || a->choice != NULL);
        assert_true(strncmp(a->name, "no-", 3) != 0);
        for (const kata__option *b = a + 1; b->name != NULL; b++) {
            assert_string_not_equal(a->name, b->name);
            assert_true(a->letter == '\0' || a->letter != b->letter);
        }
    }
}

static void numbers_are_strict(void **state) {
    (void)state;
    static const char *const bad[] = {"",    "nan", "NaN",  "inf", "-inf", "1e999", "0x10", "12abc",
                                      "1 2", "--1", "1..2", "1e",  " 1",   "1,5",   "+"};
    double number;
    int64_t integer;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(kata__parse_number(bad[i], &number));
        assert_false(kata__parse_integer(bad[i], &integer));
    }
    assert_true(kata__parse_number("1e-3", &number) && number == 1e-3);
    assert_true(kata__parse_number("-.5", &number) && number == -0.5);
    assert_true(kata__parse_integer("-12", &integer) && integer == -12);
    assert_true(kata__parse_integer("9223372036854775807", &integer) && integer == INT64_MAX);
    assert_false(kata__parse_integer("9223372036854775808", &integer));
    assert_false(kata__parse_integer("1.0", &integer));
}

static void flags_are_read(void **state) {
    (void)state;
    kata__settings s;
    assert_int_equal(parse(&s,
                           "--lr=0.5 -e 3 --no-shuffle --augment shift=2,flip,crop=4 --hidden 5,6 "
                           "--optimizer nesterov --early_stopping 2"),
                     KATA_OK);
    assert_true(s.optimizer.lr == 0.5 && s.epochs == 3 && !s.shuffle &&
                s.early_stopping.patience == 2);
    assert_true(s.augment.shift == 2 && s.augment.flip && s.augment.crop == 4);
    assert_true(s.hidden[0] == 5 && s.hidden[1] == 6 && s.hidden[2] == 0);
    assert_int_equal(s.rule, KATA_OPTIMIZER_AT_nesterov);
    static const char *const bad[] = {"--lr nan",
                                      "--lr",
                                      "--lr --quiet",
                                      "--batch 0",
                                      "--epochs -1",
                                      "--epochs 1.5",
                                      "--nothing 1",
                                      "-x",
                                      "--no-lr",
                                      "--no-shuffle=1",
                                      "--shuffle=maybe",
                                      "--hidden 1,,2",
                                      "--hidden ,",
                                      "--augment =2",
                                      "--augment shift",
                                      "--out=",
                                      "--hidden "
                                      "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(parse(&s, bad[i]), KATA_INVALID);
        assert_true(strlen(kata_error_message()) > 10);
    }
    assert_int_equal(parse(&s, "--epoch 3"), KATA_INVALID);
    assert_non_null(strstr(kata_error_message(), "--epochs?"));
}

static void what_is_written_reads_back(void **state) {
    (void)state;
    static const char *const lines[] = {
        "--data make:digits",
        "--data /a/b:c --model mlp --hidden 3,4 --lr 0.1234567890123456 --l2 1e-300 --seed 77",
        "--data nowhere --optimizer rmsprop --decay 0.3 --schedule one-cycle --schedule-final 0.01 "
        "--warmup 0.3",
        "--data nowhere --augment shift=2,rotate=10.5,flip,cut_out=3,elastic=1,elastic_sigma=2 "
        "--clip-norm 1 --recompute",
        "--data no --project yes --class-weights 1,2.5 --loss huber --huber-delta 2 --no-normalize",
        "--data 12 --limit-train 5 --validation-split 0.25 --picture plain --picture-size 32,16 "
        "--picture-channels 3 --early-stopping 4 --min-delta 0.1 --keep-last --checkpoint-every 9"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        kata__settings s, back;
        kata__buffer a, b;
        kata__buffer_init(&a, context, 1 << 16);
        kata__buffer_init(&b, context, 1 << 16);
        assert_int_equal(parse(&s, lines[i]), KATA_OK);
        assert_int_equal(kata__project_write(&s, &a), KATA_OK);
        assert_int_equal(read_text(&back, a.data), KATA_OK);
        assert_int_equal(kata__project_write(&back, &b), KATA_OK);
        assert_string_equal(a.data, b.data);
        assert_string_equal(s.data, back.data);
        assert_true(s.optimizer.lr == back.optimizer.lr && s.l2 == back.l2);
        assert_true(s.recompute == back.recompute);
        assert_memory_equal(&s.augment, &back.augment, sizeof s.augment);
        kata__buffer_free(&a);
        kata__buffer_free(&b);
    }
}

static void layers_are_read(void **state) {
    (void)state;
    kata__settings s, back;
    kata__buffer a;
    assert_int_equal(
        read_text(&s, "data: x\nmodel:\n  layers:\n"
                      "    - {type: conv2d, filters: 30, kernel: [5, 5], activation: relu}\n"
                      "    - {type: max-pool2d, size: 2}\n    - flatten\n"
                      "    - {type: dense, units: 10, initializer: normal, "
                      "initializer_value: 0.01, pad: [0, 1]}\n"),
        KATA_OK);
    assert_int_equal(s.n_layers, 4);
    assert_int_equal(s.layers[0].layer.type, KATA_LAYER_CONV2D);
    assert_int_equal(s.layers[0].layer.filters, 30);
    assert_int_equal(s.layers[0].layer.kernel[1], 5);
    assert_int_equal(s.layers[2].layer.type, KATA_LAYER_FLATTEN);
    assert_int_equal(s.layers[3].initializer, KATA_INIT_NORMAL);
    kata__buffer_init(&a, context, 1 << 16);
    assert_int_equal(kata__project_write(&s, &a), KATA_OK);
    assert_int_equal(read_text(&back, a.data), KATA_OK);
    assert_int_equal(back.n_layers, 4);
    assert_memory_equal(s.layers, back.layers, 4 * sizeof *s.layers);
    kata__buffer_free(&a);
}

static void bad_projects(void **state) {
    (void)state;
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"", "a project is a map"},
        {"- a\n- b\n", "a project is a map"},
        {"data: x\ntrain:\n  epoch: 3\n",
         "line 3: there is no key train.epoch; did you mean train.epochs?"},
        {"trian: {}\n", "line 1: there is no key trian; did you mean train?"},
        {"data: x\ndata: y\n", "line 2: the key data stands in line 1 already"},
        {"train: {lr: nan}\n", "line 1: train.lr must be a number above 0"},
        {"train: {lr: [1]}\n", "must be a value, got a list"},
        {"train: 3\n", "train must be a map"},
        {"train: {shuffle: yes}\n", "true or false"},
        {"train: {augment: {shfit: 2}}\n", "train.augment.shfit; did you mean shift?"},
        {"model: {layers: {}}\n", "layers must be a list"},
        {"model: [{units: 3}]\n", "no type"},
        {"model: [{type: dens, units: 3}]\n", "did you mean dense?"},
        {"model: [{type: dense, unit: 3}]\n", "did you mean units?"},
        {"model: [{type: dense, units: -3}]\n", "units must be a whole number"},
        {"model: {name: mlp, layers: [flatten]}\n", "take one"},
        {"data: {source: x\n", "line"},
        {"data: \"\\0\"\n", "zero byte"},
        {"data: &a [*a]\n", "must be a value"},
        {"train: &t {augment: *t}\n", "there is no key"},
        {"\x80\x81", "line"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kata__settings s;
        assert_int_equal(read_text(&s, cases[i].text), KATA_INVALID);
        if (strstr(kata_error_message(), cases[i].expected) == NULL) {
            fail_msg("case %zu: %s", i, kata_error_message());
        }
        assert_non_null(strstr(kata_error_message(), path));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_unique), cmocka_unit_test(numbers_are_strict),
        cmocka_unit_test(flags_are_read),   cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(layers_are_read),  cmocka_unit_test(bad_projects)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
