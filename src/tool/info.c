/* kata info: what this program is and where it runs. */
#include <stdio.h>
#include <string.h>

#include <curl/curl.h>
#include <jpeglib.h>
#include <png.h>
#include <yaml.h>
#include <zlib.h>

#include "base/context.h"
#include "data/known.h"
#include "tool/tool.h"

typedef struct settings {
    int threads;
    bool json;
} settings;

static const kata__option options[] = {
    KATA__OPTION_THREADS(settings), KATA__OPTION_JSON(settings), {.name = NULL}};

/* Why these kernels and no others. */
static const char *reason(kata__tool *tool) {
    static const char *const lacks[KATA__LEVELS] = {
        [KATA__PORTABLE] = "portable: this processor or its system lacks AVX2, FMA, F16C or BMI2",
        [KATA__AVX2] = "avx2: this processor or its system lacks AVX-512 F, BW, DQ or VL",
        [KATA__AVX512] = "avx512: this processor has all that the kernels use"};
    const kata__kernel_level best = kata__cpu_level();
    if (tool->context->kernel_level != best) {
        return kata__tool_text(tool, "KATA_KERNELS asks for them; without it %s", lacks[best]);
    }
    return strchr(lacks[best], ':') + 2;
}

#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

typedef struct fact {
    const char *name, *value;
} fact;

/* Where named data sets are looked for. */
static const char *data_folder(kata__tool *tool, const char *name) {
    char *folder = NULL;
    if (kata__known_locate(&folder, tool->context, name) != KATA_OK) {
        return "not here; 'kata data get' fetches it";
    }
    const char *copy = kata__arena_strdup(&tool->arena, folder);
    kata__free(tool->context, folder);
    return copy != NULL ? copy : "";
}

static int print_facts(kata__tool *tool, bool json) {
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    const fact facts[] = {
        {"version", KATA_VERSION},
        {"processor", kata__cpu_name()[0] != '\0' ? kata__cpu_name() : "unknown"},
        {"features", kata__cpu_features()},
        {"kernels", kata_context_kernels(tool->context)},
        {"chosen", reason(tool)},
        {"bfloat16", kata_context_bfloat16(tool->context)},
        {"bf16", kata__tool_bf16_words(tool)},
        {"threads", kata__tool_text(tool, "%d", kata_context_threads(tool->context))},
        {"operators", kata__tool_text(tool, "%d", kata_op_count())},
        {"mnist", data_folder(tool, "mnist")},
        {"zlib", zlibVersion()},
        {"libpng", png_get_libpng_ver(NULL)},
        {"libjpeg", TEXT(JPEG_LIB_VERSION)},
        {"libyaml", yaml_get_version_string()},
        {"libcurl", curl->version},
#ifdef KATA__WITH_SERVE
        {"server", "yes"},
#else
        {"server", "no"},
#endif
        {"compiler", __VERSION__},
    };
    kata__buffer out;
    kata__buffer_init(&out, tool->context, (size_t)1 << 16);
    for (size_t i = 0; i < KATA__COUNT(facts); i++) {
        const char *value = facts[i].value != NULL ? facts[i].value : "";
        if (!json) {
            kata__buffer_printf(&out, "%-10s %s\n", facts[i].name, value);
            continue;
        }
        int64_t number;
        kata__buffer_text(&out, i == 0 ? "{" : ",");
        kata__buffer_json_string(&out, facts[i].name);
        kata__buffer_text(&out, ":");
        bool is_number =
            strcmp(facts[i].name, "threads") == 0 || strcmp(facts[i].name, "operators") == 0;
        if (is_number && kata__parse_integer(value, &number)) {
            kata__buffer_text(&out, value);
        } else {
            kata__buffer_json_string(&out, value);
        }
    }
    kata__buffer_text(&out, json ? "}\n" : "");
    return kata__tool_print(tool, &out);
}

static int run(kata__tool *tool, int argc, char **argv) {
    settings s = {.threads = 0};
    kata__parsed parsed;
    kata_status status = kata__options_parse(options, &s, &tool->arena, argc, argv, &parsed);
    if (status == KATA_OK && parsed.n_positional > 0) {
        status = kata_fail(KATA_INVALID, "'kata info' takes no %s", parsed.positional[0]);
    }
    if (status != KATA_OK) {
        return kata__tool_usage(tool);
    }
    if (kata__tool_start(tool, s.threads) != KATA_OK) {
        return kata__tool_failed(tool);
    }
    return print_facts(tool, s.json);
}

const kata__command kata__command_info = {.name = "info",
                                          .about = "version, processor, kernels, libraries",
                                          .usage = "kata info [--json]",
                                          .examples = "kata info\n"
                                                      "KATA_KERNELS=portable kata info --json\n",
                                          .options = options,
                                          .run = run};
