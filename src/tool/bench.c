/* kata bench: how fast this machine is, and how much of that Kata uses. */
#include "tool/bench.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/context.h"
#include "base/file.h"
#include "base/text.h"
#include "format/json.h"
#include "tool/interrupt.h"
#include "tool/progress.h"

typedef struct settings {
    int threads;
    double seconds;
    const char *compare;
    bool json, quiet;
} settings;

static const kata__option options[] = {
    {.name = "seconds",
     .type = KATA__OPTION_NUMBER,
     .offset = offsetof(settings, seconds),
     .value = "SECONDS",
     .minimum = 0.001,
     .maximum = 600,
     .help = "time for each workload"},
    {.name = "compare",
     .type = KATA__OPTION_TEXT,
     .offset = offsetof(settings, compare),
     .value = "OLD.json",
     .help = "what an earlier --json printed: adds how many times faster each workload is now"},
    KATA__OPTION_THREADS(settings),
    {.name = "json",
     .type = KATA__OPTION_FLAG,
     .offset = offsetof(settings, json),
     .help = "one JSON object a line on stdout"},
    KATA__OPTION_QUIET(settings),
    {.name = NULL}};
static const settings defaults = {.seconds = 0.4};

/* --- the list of workloads -------------------------------------------------------------------- */

void kata__bench_add(kata__bench_list *list, const char *group, const char *name,
                     kata__bench_function run, int index, bool is_usual) {
    if (list->n < KATA__BENCH_ENTRIES) {
        kata__bench_entry *entry = &list->entries[list->n++];
        *entry = (kata__bench_entry){.run = run, .index = index, .is_usual = is_usual};
        snprintf(entry->name, sizeof entry->name, "%s/%s", group, name);
    }
}

static kata_status unknown_name(const kata__bench_list *list, const char *name) {
    /* What could have been meant: a workload or the part of its name before a '/'. */
    const char *names[2 * KATA__BENCH_ENTRIES];
    char groups[KATA__BENCH_ENTRIES][KATA__BENCH_NAME], all[400] = "";
    size_t n = 0, n_groups = 0, used = 0;
    for (size_t i = 0; i < list->n; i++) {
        names[n++] = list->entries[i].name;
        int length = (int)strcspn(list->entries[i].name, "/");
        char group[KATA__BENCH_NAME];
        snprintf(group, sizeof group, "%.*s", length, list->entries[i].name);
        if (n_groups == 0 || strcmp(groups[n_groups - 1], group) != 0) {
            memcpy(groups[n_groups], group, sizeof group);
            names[n++] = groups[n_groups++];
            if (used < sizeof all) {
                used += (size_t)snprintf(all + used, sizeof all - used, "%s, ", group);
            }
        }
    }
    const char *nearest = kata__text_nearest(name, names, n);
    return kata_fail(KATA_INVALID, "no workload begins with %.60s%s%s%s (%sall)", name,
                     nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
                     nearest != NULL ? "?" : "", all);
}

/* Marks the workloads of a name: the one that is called so, else all that begin so. */
static kata_status choose(const kata__bench_list *list, const char *name, bool *chosen) {
    bool any = false;
    for (size_t i = 0; i < list->n; i++) {
        if (strcmp(list->entries[i].name, name) == 0) {
            chosen[i] = true;
            return KATA_OK;
        }
    }
    for (size_t i = 0; i < list->n; i++) {
        if (strcmp(name, "all") == 0 || strncmp(list->entries[i].name, name, strlen(name)) == 0) {
            chosen[i] = any = true;
        }
    }
    return any ? KATA_OK : unknown_name(list, name);
}

/* --- an earlier run --------------------------------------------------------------------------- */

static kata_status read_old_line(kata__bench *bench, char *line, size_t size, bool *is_row) {
    kata__json json;
    kata__json_token token;
    kata__bench_old old = {.threads = 1, .per_second = NAN, .p50_us = NAN};
    kata__json_init(&json, line, size);
    KATA__TRY(kata__json_expect(&json, KATA__JSON_OBJECT_BEGIN, "an object", &token));
    int depth = 1;
    while (depth > 0) {
        KATA__TRY(kata__json_next(&json, &token));
        if (token.kind == KATA__JSON_OBJECT_BEGIN || token.kind == KATA__JSON_ARRAY_BEGIN) {
            depth++;
        } else if (token.kind == KATA__JSON_OBJECT_END || token.kind == KATA__JSON_ARRAY_END) {
            depth--;
        }
        if (token.kind != KATA__JSON_KEY || depth > 1) {
            continue;
        }
        char key[16];
        snprintf(key, sizeof key, "%s", token.text);
        KATA__TRY(kata__json_next(&json, &token));
        double number = NAN;
        if (token.kind == KATA__JSON_OBJECT_BEGIN || token.kind == KATA__JSON_ARRAY_BEGIN) {
            depth++;
        } else if (token.kind == KATA__JSON_STRING && strcmp(key, "workload") == 0) {
            snprintf(old.workload, sizeof old.workload, "%s", token.text);
        } else if (token.kind == KATA__JSON_NUMBER) {
            char text[40];
            snprintf(text, sizeof text, "%.*s", (int)(token.length < 39 ? token.length : 39),
                     token.text);
            (void)kata__parse_number(text, &number);
        }
        if (strcmp(key, "threads") == 0 && number >= 1 && number <= 1e6) {
            old.threads = (int)number;
        } else if (strcmp(key, "batch") == 0 && number >= 0 && number <= 1e15) {
            old.batch = (int64_t)number;
        } else if (strcmp(key, "per_second") == 0) {
            old.per_second = number;
        } else if (strcmp(key, "p50_us") == 0) {
            old.p50_us = number;
        }
    }
    KATA__TRY(kata__json_expect(&json, KATA__JSON_END, "the end of the line", &token));
    *is_row = old.workload[0] != '\0';
    bench->old[bench->n_old] = old;
    return KATA_OK;
}

/* One object a line. */
static kata_status read_old(kata__bench *bench, const char *path) {
    char *data;
    size_t n_bytes, n_lines = 1, number = 0;
    KATA__TRY(kata__file_read(bench->tool->small, path, (size_t)64 << 20, &data, &n_bytes));
    for (size_t i = 0; i < n_bytes; i++) {
        n_lines += data[i] == '\n';
    }
    bench->old = kata__arena_alloc(&bench->tool->arena, n_lines, sizeof *bench->old);
    kata_status status = bench->old == NULL ? KATA_OUT_OF_MEMORY : KATA_OK;
    for (char *line = data, *end = data + n_bytes; line < end && status == KATA_OK;) {
        char *newline = memchr(line, '\n', (size_t)(end - line));
        size_t size = (size_t)((newline != NULL ? newline : end) - line);
        bool is_row = false;
        number++;
        if (size > 0) {
            status = read_old_line(bench, line, size, &is_row);
        }
        bench->n_old += is_row;
        line += size + 1;
    }
    kata__free(bench->tool->small, data);
    if (status != KATA_OK) {
        return kata_fail_in(status, "%s, line %zu", path, number);
    }
    if (bench->n_old == 0) {
        return kata_fail(KATA_FORMAT, "%s holds no line of 'kata bench --json'", path);
    }
    return KATA_OK;
}

static const kata__bench_old *find_old(const kata__bench *bench, const kata__bench_row *row) {
    for (size_t i = 0; i < bench->n_old; i++) {
        const kata__bench_old *old = &bench->old[i];
        if (strcmp(old->workload, row->workload) == 0 && old->batch == row->batch &&
            old->threads == bench->threads) {
            return old;
        }
    }
    return NULL;
}

/* --- output ----------------------------------------------------------------------------------- */

enum { CELL = 24 };

/* Three figures and a power of 1000: "4.05", "48.1", "312k", "1.58M". */
static const char *short_number(double value, char text[CELL]) {
    static const char units[] = " kMGTP";
    int unit = 0;
    if (!isfinite(value)) {
        return "";
    }
    while (fabs(value) >= 999.5 && units[unit + 1] != '\0') {
        value /= 1000;
        unit++;
    }
    double size = fabs(value);
    int decimals = size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
    snprintf(text, CELL, "%.*f", decimals, value);
    if (unit > 0) {
        size_t length = strlen(text);
        text[length] = units[unit];
        text[length + 1] = '\0';
    }
    return text;
}

static void json_number(kata__buffer *out, const char *key, double value) {
    kata__buffer_printf(out, ",\"%s\":", key);
    if (isfinite(value)) {
        kata__buffer_printf(out, "%.6g", value);
    } else {
        kata__buffer_text(out, "null");
    }
}

static void write_json(kata__buffer *out, const kata__bench *bench, const kata__bench_row *row,
                       const kata__bench_old *old) {
    kata__buffer_text(out, "{\"workload\":");
    kata__buffer_json_string(out, row->workload);
    kata__buffer_printf(out, ",\"threads\":%d,\"batch\":", bench->threads);
    if (row->batch > 0) {
        kata__buffer_printf(out, "%" PRId64, row->batch);
    } else {
        kata__buffer_text(out, "null");
    }
    json_number(out, "gflops", row->gflops);
    json_number(out, "share", row->share);
    json_number(out, "per_second", row->per_second);
    json_number(out, "p50_us", row->p50_us);
    json_number(out, "p99_us", row->p99_us);
    json_number(out, "bytes", row->bytes);
    json_number(out, "spread", row->spread);
    kata__buffer_text(out, ",\"limit\":");
    if (row->limit != NULL) {
        kata__buffer_json_string(out, row->limit);
    } else {
        kata__buffer_text(out, "null");
    }
    kata__buffer_printf(out, ",\"unit\":\"%s\",\"kernels\":\"%s\"", row->unit,
                        kata_context_kernels(bench->context));
    if (bench->compare) {
        json_number(out, "times", old != NULL ? row->per_second / old->per_second : NAN);
        json_number(out, "p50_times", old != NULL ? old->p50_us / row->p50_us : NAN);
    }
    kata__buffer_text(out, row->more != NULL ? row->more : "");
    kata__buffer_text(out, "}\n");
}

static void write_header(kata__buffer *out, const kata__bench *bench) {
    const char *name = kata__cpu_name();
    kata__buffer_printf(out, "%s, %s kernels, %d thread%s\n\n",
                        name[0] != '\0' ? name : "processor", kata_context_kernels(bench->context),
                        bench->threads, bench->threads == 1 ? "" : "s");
    kata__buffer_printf(out, "%-24s %5s %6s %6s %8s", "workload", "batch", "per s", "GFLOP", "of");
    kata__buffer_text(out, bench->compare ? "  p50 us  p99 us  times\n"
                                          : " bytes p50 us p99 us spread\n");
}

static void write_text(kata__buffer *out, const kata__bench_row *row, const kata__bench_old *old,
                       bool compare) {
    char rate[CELL], gflops[CELL], p50[CELL], p99[CELL], bytes[CELL],
        share[CELL] = "", batch[CELL] = "", last[CELL] = "";
    if (isfinite(row->share)) {
        snprintf(share, sizeof share, "%.0f%% %s", 100 * row->share,
                 strcmp(row->limit, "memory") == 0 ? "mem" : row->limit);
    }
    if (row->batch > 0) {
        snprintf(batch, sizeof batch, "%" PRId64, row->batch);
    }
    /* The long names are those without a batch: they may have its column too. */
    if (row->batch > 0) {
        kata__buffer_printf(out, "%-24s %5s", row->workload, batch);
    } else {
        kata__buffer_printf(out, "%-30s", row->workload);
    }
    kata__buffer_printf(out, " %6s %6s %8s", short_number(row->per_second, rate),
                        short_number(row->gflops, gflops), share);
    if (compare) {
        if (old != NULL && isfinite(row->per_second / old->per_second)) {
            snprintf(last, sizeof last, "%.2f", row->per_second / old->per_second);
        }
        kata__buffer_printf(out, " %7s %7s %6s\n", short_number(row->p50_us, p50),
                            short_number(row->p99_us, p99), last);
        return;
    }
    if (isfinite(row->spread)) {
        snprintf(last, sizeof last, "%.1f%%", 100 * row->spread);
    }
    kata__buffer_printf(out, " %5s %6s %6s %6s\n", short_number(row->bytes, bytes),
                        short_number(row->p50_us, p50), short_number(row->p99_us, p99), last);
}

kata_status kata__bench_print(kata__bench *bench, const kata__bench_row *row) {
    kata__buffer out;
    const kata__bench_old *old = find_old(bench, row);
    kata__buffer_init(&out, bench->tool->small, 4096);
    if (bench->json) {
        write_json(&out, bench, row, old);
    } else {
        if (!bench->header_done) {
            write_header(&out, bench);
            bench->header_done = true;
        }
        write_text(&out, row, old, bench->compare);
    }
    kata_status status = out.status;
    if (status == KATA_OK) {
        fwrite(out.data, 1, out.size, stdout);
        status = fflush(stdout) == 0 ? KATA_OK : kata_fail(KATA_IO, "cannot write to stdout");
    }
    kata__buffer_free(&out);
    return status;
}

/* --- the command ------------------------------------------------------------------------------ */

static void remove_folder(kata__bench *bench) {
    static const char *const names[] = {"model.onnx",
                                        "digit.png",
                                        "idx/train-images-idx3-ubyte",
                                        "idx/train-labels-idx1-ubyte",
                                        "idx/t10k-images-idx3-ubyte",
                                        "idx/t10k-labels-idx1-ubyte"};
    char path[128];
    if (bench->folder[0] == '\0') {
        return;
    }
    for (size_t i = 0; i < KATA__COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", bench->folder, names[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/idx", bench->folder);
    rmdir(path);
    rmdir(bench->folder);
}

static kata_status run_chosen(kata__bench *bench, const kata__bench_list *list,
                              const bool *chosen) {
    size_t n = 0, done = 0;
    for (size_t i = 0; i < list->n; i++) {
        n += chosen[i];
    }
    for (size_t i = 0; i < list->n; i++) {
        if (!chosen[i]) {
            continue;
        }
        kata__progress_draw(&(kata__progress_bar){.left = list->entries[i].name,
                                                  .share = (double)done++ / (double)n,
                                                  .seconds_left = -1},
                            true);
        kata_status status = list->entries[i].run(bench, &list->entries[i]);
        kata__progress_clear();
        if (status != KATA_OK) {
            return status == KATA_INTERRUPTED ? status
                                              : kata_fail_in(status, "%s", list->entries[i].name);
        }
    }
    return KATA_OK;
}

static int run_bench(kata__tool *tool, const settings *s, const kata__bench_list *list,
                     const bool *chosen) {
    kata__bench bench = {.tool = tool,
                         .context = tool->context,
                         .threads = kata_context_threads(tool->context),
                         .seconds = s->seconds,
                         .json = s->json,
                         .compare = s->compare != NULL};
    if (s->compare != NULL && read_old(&bench, s->compare) != KATA_OK) {
        return kata__tool_failed(tool);
    }
    bench.stop = kata__interrupt_begin();
    kata_status status = run_chosen(&bench, list, chosen);
    kata__interrupt_end();
    remove_folder(&bench);
    kata__free(tool->context, bench.times);
    if (status == KATA_INTERRUPTED) {
        kata__tool_failed(tool);
        return KATA__EXIT_INTERRUPTED;
    }
    return status == KATA_OK ? kata__tool_flush(tool) : kata__tool_failed(tool);
}

static int run(kata__tool *tool, int argc, char **argv) {
    settings s = defaults;
    kata__parsed parsed;
    if (kata__options_parse(options, &s, &tool->arena, argc, argv, &parsed) != KATA_OK) {
        return kata__tool_usage(tool);
    }
    kata__bench_list *list = kata__arena_alloc(&tool->arena, 1, sizeof *list);
    bool *chosen = kata__arena_alloc(&tool->arena, KATA__BENCH_ENTRIES, sizeof *chosen);
    if (list == NULL || chosen == NULL) {
        return kata__tool_failed(tool);
    }
    kata__bench_add_start(list);
    kata__bench_add_machine(list);
    kata__bench_add_kernels(list);
    kata__bench_add_networks(list);
    kata__bench_add_data(list);
    for (int i = 0; i < parsed.n_positional; i++) {
        if (choose(list, parsed.positional[i], chosen) != KATA_OK) {
            return kata__tool_usage(tool);
        }
    }
    for (size_t i = 0; i < list->n && parsed.n_positional == 0; i++) {
        chosen[i] = list->entries[i].is_usual;
    }
    tool->quiet = s.quiet;
    if (kata__tool_start(tool, s.threads) != KATA_OK) {
        return kata__tool_failed(tool);
    }
    return run_bench(tool, &s, list, chosen);
}

const kata__command kata__command_bench = {
    .name = "bench",
    .about = "speed, as a share of what this machine can do",
    .usage = "kata bench [NAME...] [options]",
    .examples = "kata bench                                   the machine and the usual workloads\n"
                "kata bench train predict/two-layer           those that begin so\n"
                "kata bench all --json >bench.json\n"
                "kata bench gemm/1024 --threads 1 --seconds 2\n"
                "kata bench train --compare bench.json        how many times faster than then\n",
    .text =
        "Workloads\n"
        "  start      this program, from its start to the class of one digit\n"
        "  machine    peak by instruction set and type, clock, bandwidth of caches and memory;\n"
        "             steady: additions in registers for so many microseconds, whose p99 is the\n"
        "             machine's own; interruptions: how often a second and how long a loop\n"
        "             stands still\n"
        "  gemm       products; the numbers are rows, columns, terms\n"
        "  conv       convolutions of the books' networks, VGG-16, ResNet-50, MobileNetV2\n"
        "  optimizer  a step on a million parameters\n"
        "  train      a training step of a ready network, batch 100\n"
        "  fit        the same by kata_fit: with shuffling and gathering of batches\n"
        "  predict    a ready network, batch 1, 8, 100\n"
        "  train-bf16, predict-bf16  the same with --precision bf16\n"
        "  data       reading idx files, filling batches, augmentation\n"
        "\n"
        "'of' is the share of what is possible: of the peak of float32 multiply-adds of these\n"
        "threads (FMA), measured between the repetitions, or, where moving the bytes takes longer\n"
        "than the operations, of the bandwidth of the cache (or memory) that holds the data.\n"
        "GFLOP (a second) counts products and convolutions without taps on zero padding; bytes\n"
        "are what a call must move at least; spread is the distance of the quartiles of nine\n"
        "repetitions over their median.\n",
    .options = options,
    .defaults = &defaults,
    .run = run};
