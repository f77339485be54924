/* kata data: getting known sets, making generated ones, looking at any. */
#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "figure/html.h"
#include "tool/download.h"
#include "tool/measure.h"
#include "tool/source.h"

/* --- get ----------------------------------------------------------------------------------------
 */

typedef struct get_settings {
    const char *out;
    bool quiet;
} get_settings;

static const kata__option get_options[] = {{.name = "out",
                                            .type = KATA__OPTION_TEXT,
                                            .offset = offsetof(get_settings, out),
                                            .value = "DIR",
                                            .letter = 'o',
                                            .zero = "the user's cache, where --data NAME looks",
                                            .help = "folder to put the files into"},
                                           KATA__OPTION_QUIET(get_settings),
                                           {.name = NULL}};

static kata_status find_set(const kata__parsed *parsed, const kata__known_set **set) {
    int n;
    const kata__known_set *sets = kata__known_sets(&n);
    char list[256] = "";
    for (int i = 0; i < n; i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "", sets[i].name);
    }
    if (parsed->n_positional != 1) {
        return kata_fail(KATA_INVALID, "give the name of one data set: %s", list);
    }
    *set = kata__known_find(parsed->positional[0]);
    if (*set == NULL) {
        return kata_fail(KATA_INVALID, "no data set named %s can be downloaded; there is: %s",
                         parsed->positional[0], list);
    }
    return KATA_OK;
}

/* What to do by hand, with every file's name. */
static void advise(const kata__known_set *set, const char *folder) {
    fprintf(stderr,
            "If this machine has no network: fetch these files on another one and put them into\n"
            "  %s/\n",
            folder);
    for (int i = 0; i < set->n_files; i++) {
        fprintf(stderr, "    %s%s\n", set->mirrors[0], set->files[i].name);
    }
    fputs("(packed or not, both will do), or set KATA_DATA to a folder that holds them in mnist/.\n"
          "Without any download: --data make:digits draws digits.\n",
          stderr);
}

static int run_get(kata__tool *tool, int argc, char **argv) {
    get_settings s = {.out = NULL};
    kata__parsed parsed;
    const kata__known_set *set = NULL;
    char *cache = NULL;
    kata_status status = kata__options_parse(get_options, &s, &tool->arena, argc, argv, &parsed);
    if (status == KATA_OK) {
        status = find_set(&parsed, &set);
    }
    if (status != KATA_OK) {
        return kata__tool_usage(tool);
    }
    tool->quiet = s.quiet;
    status = kata__tool_start(tool, 1);
    if (status == KATA_OK && s.out == NULL) {
        status = kata__known_cache_folder(&cache, tool->context, set->name);
    }
    const char *folder = s.out != NULL ? s.out : cache;
    int code = KATA__EXIT_OK;
    if (status == KATA_OK) {
        kata__tool_say(tool, "%s; %s", set->title, set->terms);
        status = kata__download_set(tool, set, folder);
    }
    if (status != KATA_OK) {
        code = kata__tool_failed(tool);
        if (folder != NULL) {
            advise(set, folder);
        }
    } else {
        printf("%s\n", folder);
        code = kata__tool_flush(tool);
    }
    kata__free(tool->context, cache);
    return code;
}

static const kata__command command_get = {.name = "get",
                                          .about = "download a known data set, resumed and checked",
                                          .usage = "kata data get NAME [--out DIR]",
                                          .examples = "kata data get mnist\n"
                                                      "kata data get mnist --out data/mnist\n",
                                          .options = get_options,
                                          .run = run_get};

/* --- make ---------------------------------------------------------------------------------------
 */

typedef struct make_settings {
    const char *out;
    int64_t count, test, seed;
    int threads;
    bool quiet;
} make_settings;

static const kata__option make_options[] = {{.name = "out",
                                             .type = KATA__OPTION_TEXT,
                                             .offset = offsetof(make_settings, out),
                                             .value = "DIR",
                                             .letter = 'o',
                                             .help = "folder to write the idx files into"},
                                            {.name = "count",
                                             .type = KATA__OPTION_INTEGER,
                                             .offset = offsetof(make_settings, count),
                                             .value = "N",
                                             .minimum = 1,
                                             .maximum = 1e7,
                                             .help = "training samples"},
                                            {.name = "test",
                                             .type = KATA__OPTION_INTEGER,
                                             .offset = offsetof(make_settings, test),
                                             .value = "N",
                                             .minimum = 1,
                                             .maximum = 1e7,
                                             .help = "test samples"},
                                            {.name = "seed",
                                             .type = KATA__OPTION_INTEGER,
                                             .offset = offsetof(make_settings, seed),
                                             .value = "SEED",
                                             .minimum = 0,
                                             .maximum = 9e15,
                                             .help = "of the drawings"},
                                            KATA__OPTION_THREADS(make_settings),
                                            KATA__OPTION_QUIET(make_settings),
                                            {.name = NULL}};
static const make_settings make_defaults = {.count = 60000, .test = 10000};

static void put_u32(kata__buffer *out, int64_t value) {
    uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                        (uint8_t)value};
    kata__buffer_append(out, bytes, 4);
}

static kata_status write_idx(kata__tool *tool, const char *folder, const char *part,
                             const kata_dataset *d) {
    kata__buffer out;
    const kata_tensor *x = &d->inputs[0], *y = &d->targets[0];
    const char *path = kata__tool_text(tool, "%s/%s-images-idx3-ubyte", folder, part);
    const char *label_path = kata__tool_text(tool, "%s/%s-labels-idx1-ubyte", folder, part);
    if (path == NULL || label_path == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    kata__buffer_init(&out, tool->context, SIZE_MAX / 4);
    kata__buffer_append(&out, "\0\0\x08\x03", 4);
    put_u32(&out, d->n);
    put_u32(&out, x->shape.dim[2]);
    put_u32(&out, x->shape.dim[3]);
    kata_status status = kata__buffer_append(&out, x->data, kata_tensor_bytes(x));
    if (status == KATA_OK) {
        status = kata__file_write(tool->context, path, out.data, out.size);
    }
    kata__buffer_clear(&out);
    kata__buffer_append(&out, "\0\0\x08\x01", 4);
    put_u32(&out, d->n);
    for (int64_t i = 0; i < d->n && status == KATA_OK; i++) {
        uint8_t label = (uint8_t)kata_load(y->dtype, y->data, i);
        status = kata__buffer_append(&out, &label, 1);
    }
    if (status == KATA_OK) {
        status = kata__file_write(tool->context, label_path, out.data, out.size);
    }
    kata__buffer_free(&out);
    return status;
}

static kata_status make(kata__tool *tool, const make_settings *s) {
    bool there = false;
    kata_data data = {.train = NULL};
    KATA__TRY(kata__tool_start(tool, s->threads));
    KATA__TRY(kata__directory_make(s->out));
    for (int i = 0; i < 2 && !there; i++) {
        const char *path =
            kata__tool_text(tool, "%s/%s-images-idx3-ubyte", s->out, i == 0 ? "train" : "t10k");
        const char *gz = path != NULL ? kata__tool_text(tool, "%s.gz", path) : NULL;
        if (gz == NULL) {
            return KATA_OUT_OF_MEMORY;
        }
        there = kata__file_exists(path) || kata__file_exists(gz);
    }
    if (there) {
        return kata_fail(KATA_INVALID, "%s holds idx files already; give --out a new folder",
                         s->out);
    }
    kata_data_options options = {
        .limit_train = s->count, .limit_test = s->test, .seed = (uint64_t)s->seed};
    KATA__TRY(kata_data_open(&data, tool->context, "make:digits", &options));
    kata_status status = write_idx(tool, s->out, "train", data.train);
    if (status == KATA_OK) {
        status = write_idx(tool, s->out, "t10k", data.test);
    }
    kata_data_close(&data);
    return status;
}

static int run_make(kata__tool *tool, int argc, char **argv) {
    make_settings s = make_defaults;
    kata__parsed parsed;
    kata_status status = kata__options_parse(make_options, &s, &tool->arena, argc, argv, &parsed);
    if (status == KATA_OK &&
        (parsed.n_positional != 1 || strcmp(parsed.positional[0], "digits") != 0)) {
        status = kata_fail(KATA_INVALID, "give the name of one generated set; there is: digits");
    } else if (status == KATA_OK && s.out == NULL) {
        status = kata_fail(KATA_INVALID, "--out is missing: the folder to write into");
    }
    if (status != KATA_OK) {
        return kata__tool_usage(tool);
    }
    tool->quiet = s.quiet;
    status = make(tool, &s);
    if (status != KATA_OK) {
        return kata__tool_status(tool, status);
    }
    kata__tool_say(tool, "%" PRId64 " + %" PRId64 " digits, seed %" PRId64, s.count, s.test,
                   s.seed);
    printf("%s\n", s.out);
    return kata__tool_flush(tool);
}

static const kata__command command_make = {
    .name = "make",
    .about = "write a generated data set as idx files",
    .usage = "kata data make digits --out DIR [options]",
    .examples = "kata data make digits --out digits\n"
                "kata data make digits --out small --count 1000 --test 200 --seed 7\n",
    .text =
        "To train on drawn digits no file is needed: --data make:digits draws them in memory.\n",
    .options = make_options,
    .defaults = &make_defaults,
    .run = run_make};

/* --- show ---------------------------------------------------------------------------------------
 */

typedef struct show_settings {
    const char *sheet;
    int64_t data_seed;
    bool json;
} show_settings;

static const kata__option show_options[] = {
    {.name = "sheet",
     .type = KATA__OPTION_TEXT,
     .offset = offsetof(show_settings, sheet),
     .value = "FILE.png",
     .help = "write a sheet of the first pictures, ten a row, a class after the other"},
    {.name = "data-seed",
     .type = KATA__OPTION_INTEGER,
     .offset = offsetof(show_settings, data_seed),
     .value = "SEED",
     .minimum = 0,
     .maximum = 9e15,
     .help = "of generated data"},
    KATA__OPTION_JSON(show_settings),
    {.name = NULL}};

static kata_shape sample_of(const kata_dataset *d) {
    kata_shape sample = {.rank = d->inputs[0].shape.rank - 1};
    memcpy(sample.dim, d->inputs[0].shape.dim + 1, (size_t)sample.rank * sizeof sample.dim[0]);
    return sample;
}

static bool has_pictures(const kata_dataset *d) {
    kata_shape sample = sample_of(d);
    return d->inputs[0].dtype == KATA_U8 && kata__source_is_picture(&sample);
}

static int64_t label_at(const kata_dataset *d, int64_t i) {
    const kata_tensor *t = &d->targets[0];
    return d->n_classes > 0 && !kata_dtype_is_float(t->dtype)
               ? (int64_t)kata_load(t->dtype, t->data, i)
               : -1;
}

static int64_t count_of(const kata_dataset *d, int64_t label) {
    int64_t n = 0;
    for (int64_t i = 0; i < d->n; i++) {
        n += label_at(d, i) == label;
    }
    return n;
}

/* The number-th sample of a class; -1 if there are not so many. Without classes: sample `number`.
 */
static int64_t find_sample(const kata_dataset *d, int64_t label, int64_t number) {
    for (int64_t i = 0; i < d->n; i++) {
        if ((d->n_classes == 0 || label_at(d, i) == label) && number-- == 0) {
            return i;
        }
    }
    return -1;
}

static kata_status write_sheet(kata__tool *tool, const kata_dataset *d, const char *path) {
    enum { COLUMNS = 10, GAP = 2, MOST_ROWS = 40 };
    kata_shape sample = sample_of(d);
    if (!has_pictures(d)) {
        return kata_fail(KATA_INVALID, "%s holds no pictures; --sheet needs some", d->name);
    }
    int c = (int)sample.dim[0], h = (int)sample.dim[1], w = (int)sample.dim[2];
    int rows = d->n_classes > 0 ? (d->n_classes < MOST_ROWS ? d->n_classes : MOST_ROWS) : COLUMNS;
    int width = COLUMNS * (w + GAP) + GAP, height = rows * (h + GAP) + GAP;
    uint8_t *sheet = kata__alloc(tool->context, (size_t)width * (size_t)height, (size_t)c);
    kata__buffer png;
    kata__buffer_init(&png, tool->context, (size_t)1 << 30);
    if (sheet == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    memset(sheet, 96, (size_t)width * (size_t)height * (size_t)c);
    for (int row = 0; row < rows; row++) {
        for (int column = 0; column < COLUMNS; column++) {
            int64_t i = d->n_classes > 0 ? find_sample(d, row, column)
                                         : find_sample(d, 0, row * COLUMNS + column);
            const uint8_t *planes =
                (const uint8_t *)d->inputs[0].data + (i < 0 ? 0 : i) * c * h * w;
            for (int64_t at = 0; i >= 0 && at < (int64_t)c * h * w; at++) {
                int plane = (int)(at / (h * w)), y = (int)(at / w % h), x = (int)(at % w);
                int64_t to =
                    ((int64_t)(GAP + row * (h + GAP) + y) * width + GAP + column * (w + GAP) + x) *
                        c +
                    plane;
                sheet[to] = planes[at];
            }
        }
    }
    kata_status status = kata__png_write(&png, sheet, c, height, width);
    if (status == KATA_OK) {
        status = kata__file_write(tool->context, path, png.data, png.size);
    }
    kata__buffer_free(&png);
    kata__free(tool->context, sheet);
    return status;
}

/* A row of pictures as characters, a character for 1x2 pixels: one sample of each of the first
 * classes. */
static void draw_characters(kata__buffer *out, const kata_dataset *d, int columns) {
    static const char ramp[] = " .:-=+*#%@";
    kata_shape sample = sample_of(d);
    int c = (int)sample.dim[0], h = (int)sample.dim[1], w = (int)sample.dim[2];
    int n = columns / (w + 1);
    n = d->n_classes > 0 && n > d->n_classes ? d->n_classes : n;
    for (int y = 0; n > 0 && y < h; y += 2) {
        char line[1024];
        size_t used = 0;
        for (int k = 0; k < n && used + (size_t)w + 2 < sizeof line; k++) {
            int64_t i = d->n_classes > 0 ? find_sample(d, k, 0) : find_sample(d, 0, k);
            const uint8_t *p = (const uint8_t *)d->inputs[0].data + (i < 0 ? 0 : i) * c * h * w;
            for (int x = 0; x < w; x++) {
                int sum = 0, count = 0;
                for (int plane = 0; plane < c; plane++) {
                    for (int dy = 0; dy < 2 && y + dy < h; dy++) {
                        sum += i < 0 ? 0 : p[(plane * h + y + dy) * w + x];
                        count++;
                    }
                }
                line[used++] = ramp[sum * 9 / (255 * count)];
            }
            line[used++] = ' ';
        }
        while (used > 0 && line[used - 1] == ' ') {
            used--;
        }
        kata__buffer_append(out, line, used);
        kata__buffer_text(out, "\n");
    }
}

static void describe(kata__buffer *out, const char *part, const kata_dataset *d, bool json) {
    char words[160], label[KATA__LABEL_TEXT], shape[KATA_SHAPE_TEXT_SIZE];
    if (!json) {
        kata__buffer_printf(out, "%-10s %s, %s\n", part, kata__source_words(d, words),
                            kata_dtype_name(d->inputs[0].dtype));
        if (d->n_classes == 0 && d->n_targets > 0) {
            kata__buffer_printf(out, "%-10s targets %s%s\n", "",
                                kata_dtype_name(d->targets[0].dtype),
                                kata_shape_text(&d->targets[0].shape, shape));
        }
        return;
    }
    kata__buffer_printf(out, ",\"%s\":{\"n\":%" PRId64 ",\"dtype\":\"%s\",\"shape\":[", part, d->n,
                        kata_dtype_name(d->inputs[0].dtype));
    for (int i = 1; i < d->inputs[0].shape.rank; i++) {
        kata__buffer_printf(out, "%s%" PRId64, i > 1 ? "," : "", d->inputs[0].shape.dim[i]);
    }
    kata__buffer_text(out, "],\"classes\":[");
    for (int i = 0; i < d->n_classes; i++) {
        kata__buffer_text(out, i > 0 ? ",{\"label\":" : "{\"label\":");
        kata__buffer_json_string(out, kata__label_text(NULL, d, i, label));
        kata__buffer_printf(out, ",\"n\":%" PRId64 "}", count_of(d, i));
    }
    kata__buffer_text(out, "]}");
}

static void class_table(kata__buffer *out, const kata_data *data) {
    char label[KATA__LABEL_TEXT];
    const kata_dataset *parts[] = {data->train, data->test, data->validation};
    static const char *const names[] = {"training", "test", "validation"};
    kata__buffer_printf(out, "\n%-16s", "class");
    for (int p = 0; p < 3; p++) {
        if (parts[p] != NULL) {
            kata__buffer_printf(out, " %10s", names[p]);
        }
    }
    kata__buffer_text(out, "\n");
    for (int i = 0; i < data->train->n_classes; i++) {
        kata__padded(out, kata__label_text(NULL, data->train, i, label), 16);
        for (int p = 0; p < 3; p++) {
            if (parts[p] != NULL) {
                kata__buffer_printf(out, " %10" PRId64, count_of(parts[p], i));
            }
        }
        kata__buffer_text(out, "\n");
    }
}

static kata_status show(kata__tool *tool, const show_settings *s, const char *argument,
                        kata_data *data, kata__buffer *out) {
    KATA__TRY(kata__tool_start(tool, 0));
    kata__buffer_init(out, tool->context, (size_t)16 << 20);
    KATA__TRY(kata_data_open(data, tool->context, argument,
                             &(kata_data_options){.seed = (uint64_t)s->data_seed}));
    if (data->train == NULL) {
        return kata_fail(KATA_INVALID, "%s has no training samples", argument);
    }
    if (s->sheet != NULL) {
        KATA__TRY(write_sheet(tool, data->train, s->sheet));
        kata__tool_say(tool, "wrote %s", s->sheet);
    }
    if (s->json) {
        kata__buffer_text(out, "{\"name\":");
        kata__buffer_json_string(out, argument);
    }
    describe(out, "train", data->train, s->json);
    if (data->test != NULL) {
        describe(out, "test", data->test, s->json);
    }
    if (data->validation != NULL) {
        describe(out, "validation", data->validation, s->json);
    }
    if (s->json) {
        return kata__buffer_text(out, "}\n");
    }
    if (data->train->n_classes > 0) {
        class_table(out, data);
    }
    kata_shape sample = sample_of(data->train);
    if (kata__terminal_is(1) && has_pictures(data->train) && sample.dim[2] <= 64) {
        kata__buffer_text(out, "\n");
        draw_characters(out, data->train, kata__terminal_width(1));
    }
    return out->status;
}

static int run_show(kata__tool *tool, int argc, char **argv) {
    show_settings s = {.sheet = NULL};
    kata__parsed parsed;
    kata_data data = {.train = NULL};
    kata__buffer out = {.data = NULL};
    kata_status status = kata__options_parse(show_options, &s, &tool->arena, argc, argv, &parsed);
    if (status == KATA_OK && parsed.n_positional != 1) {
        status = kata_fail(KATA_INVALID, "give one data argument: a folder, a file or a name");
    }
    if (status != KATA_OK) {
        return kata__tool_usage(tool);
    }
    status = show(tool, &s, parsed.positional[0], &data, &out);
    int code = status == KATA_OK ? kata__tool_print(tool, &out) : kata__tool_status(tool, status);
    if (status != KATA_OK && out.context != NULL) {
        kata__buffer_free(&out);
    }
    kata_data_close(&data);
    return code;
}

static const kata__command command_show = {
    .name = "show",
    .about = "shapes, samples of each class, a sheet of pictures",
    .usage = "kata data show ARG [--sheet FILE.png] [--json]",
    .examples = "kata data show mnist\n"
                "kata data show make:digits --sheet digits.png\n"
                "kata data show pictures/ --json\n",
    .options = show_options,
    .run = run_show};

static const kata__command *const children[] = {&command_get, &command_make, &command_show, NULL};

const kata__command kata__command_data = {.name = "data",
                                          .about = "get, make and look at data sets",
                                          .usage = "kata data get|make|show ...",
                                          .examples = "kata data get mnist\n"
                                                      "kata data make digits --out digits\n"
                                                      "kata data show mnist\n",
                                          .children = children};
