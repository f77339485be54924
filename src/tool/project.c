/* Reading a project file (YAML, by libyaml): every key is a row of the option tables. */
#include "tool/settings.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/check.h"
#include "base/file.h"
#include "base/text.h"
#include "tool/source.h"

static const size_t largest_file = (size_t)1 << 20;

typedef struct reader {
    kata__settings *settings;
    kata__arena *arena;
    const char *path;
    yaml_document_t *document;
} reader;

static int line_of(const yaml_node_t *node) {
    return (int)node->start_mark.line + 1;
}

/* Puts "PATH, line N: " before the error sentence. */
static kata_status at_line(const reader *r, const yaml_node_t *node, kata_status status) {
    return kata_fail_in(status, "%s, line %d", r->path, line_of(node));
}

static const char *kind_name(const yaml_node_t *node) {
    return node->type == YAML_SCALAR_NODE     ? "a value"
           : node->type == YAML_SEQUENCE_NODE ? "a list"
                                              : "a map";
}

/* A scalar's text, of the arena; NULL with an error if it is none. */
static const char *scalar(const reader *r, const yaml_node_t *node, const char *shown) {
    if (node->type != YAML_SCALAR_NODE) {
        at_line(r, node,
                kata_fail(KATA_INVALID, "%s must be a value, got %s", shown, kind_name(node)));
        return NULL;
    }
    const char *text = (const char *)node->data.scalar.value;
    if (strlen(text) != node->data.scalar.length) {
        at_line(r, node, kata_fail(KATA_INVALID, "%s has a zero byte", shown));
        return NULL;
    }
    return kata__arena_strdup(r->arena, text);
}

/* A list of scalars as "a,b,c". */
static const char *joined(const reader *r, const yaml_node_t *node, const char *shown) {
    kata__buffer text;
    kata__buffer_init(&text, r->arena->context, largest_file);
    for (yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top;
         i++) {
        const char *part = scalar(r, yaml_document_get_node(r->document, *i), shown);
        if (part == NULL) {
            kata__buffer_free(&text);
            return NULL;
        }
        kata__buffer_printf(&text, "%s%s", text.size > 0 ? "," : "", part);
    }
    const char *copy = text.status == KATA_OK
                           ? kata__arena_strdup(r->arena, text.data != NULL ? text.data : "")
                           : NULL;
    kata__buffer_free(&text);
    return copy;
}

/* Calls `take` for each key of a map; a key that stands twice is an error. */
static kata_status each_key(reader *r, const yaml_node_t *map, void *user,
                            kata_status (*take)(reader *r, void *user, const char *key,
                                                const yaml_node_t *key_node,
                                                const yaml_node_t *value)) {
    yaml_node_pair_t *start = map->data.mapping.pairs.start, *top = map->data.mapping.pairs.top;
    for (yaml_node_pair_t *pair = start; pair < top; pair++) {
        const yaml_node_t *key_node = yaml_document_get_node(r->document, pair->key);
        const char *key = scalar(r, key_node, "a key");
        if (key == NULL) {
            return KATA_INVALID;
        }
        for (yaml_node_pair_t *before = start; before < pair; before++) {
            const yaml_node_t *other = yaml_document_get_node(r->document, before->key);
            if (other->type == YAML_SCALAR_NODE &&
                strcmp((const char *)other->data.scalar.value, key) == 0) {
                return at_line(r, key_node,
                               kata_fail(KATA_INVALID, "the key %s stands in line %d already", key,
                                         line_of(other)));
            }
        }
        KATA__TRY(take(r, user, key, key_node, yaml_document_get_node(r->document, pair->value)));
    }
    return KATA_OK;
}

/* --- one value -------------------------------------------------------------------------------- */

static kata_status set_value(reader *r, const kata__option *option, void *settings,
                             const char *shown, const yaml_node_t *value);

typedef struct group {
    const kata__option *option;
    void *settings;
    const char *shown;
} group;

static kata_status take_member(reader *r, void *user, const char *key, const yaml_node_t *key_node,
                               const yaml_node_t *value) {
    const group *g = user;
    const kata__option *member = kata__option_find(g->option->members, key);
    char shown[160], nearest[160];
    snprintf(shown, sizeof shown, "%s.%.60s", g->shown, key);
    if (member == NULL) {
        return at_line(r, key_node,
                       kata_fail(KATA_INVALID, "there is no key %s%s", shown,
                                 kata__option_nearest(g->option->members, "", key, NULL, nearest)));
    }
    return set_value(r, member, g->settings, shown, value);
}

static kata_status set_value(reader *r, const kata__option *option, void *settings,
                             const char *shown, const yaml_node_t *value) {
    if (option->type == KATA__OPTION_GROUP && value->type == YAML_MAPPING_NODE) {
        group g = {option, (char *)settings + option->offset, shown};
        return each_key(r, value, &g, take_member);
    }
    bool list = option->type == KATA__OPTION_INTEGERS || option->type == KATA__OPTION_NUMBERS ||
                strcmp(option->name, "class-weights") == 0;
    const char *text = list && value->type == YAML_SEQUENCE_NODE ? joined(r, value, shown)
                                                                 : scalar(r, value, shown);
    if (text == NULL) {
        return KATA_INVALID;
    }
    kata_status status = kata__option_set(option, settings, r->arena, shown, text);
    return status == KATA_OK ? KATA_OK : at_line(r, value, status);
}

/* --- layers ----------------------------------------------------------------------------------- */

static kata_status take_layer_key(reader *r, void *user, const char *key,
                                  const yaml_node_t *key_node, const yaml_node_t *value) {
    kata__layer_entry *entry = user;
    const kata__option *option = kata__option_find_key(kata__layer_options, "", key);
    char nearest[160];
    if (option == NULL) {
        return at_line(r, key_node,
                       kata_fail(KATA_INVALID, "a layer has no key %s%s", key,
                                 kata__option_nearest(kata__layer_options, "", key, "", nearest)));
    }
    return set_value(r, option, entry, key, value);
}

static kata_status read_layer(reader *r, const yaml_node_t *node, kata__layer_entry *entry) {
    /* `- flatten` is short for `- {type: flatten}`. */
    const kata__option *type = kata__option_find_key(kata__layer_options, "", "type");
    if (node->type == YAML_SCALAR_NODE) {
        return set_value(r, type, entry, "the type of a layer", node);
    }
    if (node->type != YAML_MAPPING_NODE) {
        return at_line(r, node,
                       kata_fail(KATA_INVALID,
                                 "a layer must be a map such as {type: dense, units: "
                                 "10}, got %s",
                                 kind_name(node)));
    }
    entry->layer.type = KATA_LAYER_COUNT;
    KATA__TRY(each_key(r, node, entry, take_layer_key));
    if (entry->layer.type == KATA_LAYER_COUNT) {
        return at_line(r, node,
                       kata_fail(KATA_INVALID, "the layer has no type, such as "
                                               "{type: dense, units: 10}"));
    }
    return KATA_OK;
}

static kata_status read_layers(reader *r, const yaml_node_t *node) {
    if (node->type != YAML_SEQUENCE_NODE) {
        return at_line(r, node,
                       kata_fail(KATA_INVALID, "layers must be a list, got %s", kind_name(node)));
    }
    int64_t n = node->data.sequence.items.top - node->data.sequence.items.start;
    if (n < 1 || n > KATA__LAYERS_MOST) {
        return at_line(r, node,
                       kata_fail(KATA_INVALID, "layers must list 1 to %d layers, got %d",
                                 KATA__LAYERS_MOST, (int)(n < 1000000 ? n : 1000000)));
    }
    kata__layer_entry *layers = kata__arena_alloc(r->arena, (size_t)n, sizeof *layers);
    if (layers == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    for (int64_t i = 0; i < n; i++) {
        yaml_node_item_t item = node->data.sequence.items.start[i];
        KATA__TRY(read_layer(r, yaml_document_get_node(r->document, item), &layers[i]));
    }
    r->settings->layers = layers;
    r->settings->n_layers = (int)n;
    return KATA_OK;
}

/* --- sections --------------------------------------------------------------------------------- */

static kata_status take_section_key(reader *r, void *user, const char *key,
                                    const yaml_node_t *key_node, const yaml_node_t *value) {
    const char *section = user;
    char shown[160], nearest[160];
    if (strcmp(section, "model") == 0 && strcmp(key, "layers") == 0) {
        return read_layers(r, value);
    }
    const kata__option *option = kata__option_find_key(kata__train_options, section, key);
    snprintf(shown, sizeof shown, "%s.%.60s", section, key);
    if (option == NULL) {
        char prefix[16];
        snprintf(prefix, sizeof prefix, "%s.", section);
        return at_line(
            r, key_node,
            kata_fail(KATA_INVALID, "there is no key %s%s", shown,
                      kata__option_nearest(kata__train_options, prefix, key, section, nearest)));
    }
    return set_value(r, option, r->settings, shown, value);
}

/* `data: mnist` is short for `data: {source: mnist}`, `model: NAME` for `model: {name: NAME}`,
 * `model: [...]` for `model: {layers: [...]}`. */
static kata_status take_section(reader *r, void *user, const char *key, const yaml_node_t *key_node,
                                const yaml_node_t *value) {
    static const char *const sections[] = {"project", "data", "model", "train"};
    (void)user;
    for (size_t i = 1; i < KATA__COUNT(sections); i++) {
        if (strcmp(key, sections[i]) == 0 && value->type == YAML_MAPPING_NODE) {
            return each_key(r, value, (void *)(uintptr_t)sections[i], take_section_key);
        }
    }
    if (strcmp(key, "model") == 0 && value->type == YAML_SEQUENCE_NODE) {
        return read_layers(r, value);
    }
    if (strcmp(key, "train") == 0) {
        return at_line(r, value,
                       kata_fail(KATA_INVALID,
                                 "train must be a map of settings, such as "
                                 "{epochs: 20}, got %s",
                                 kind_name(value)));
    }
    const kata__option *option =
        strcmp(key, "data") == 0    ? kata__option_find_key(kata__train_options, "data", "source")
        : strcmp(key, "model") == 0 ? kata__option_find_key(kata__train_options, "model", "name")
                                    : kata__option_find_key(kata__train_options, "", key);
    if (option == NULL) {
        const char *nearest = kata__text_nearest(key, sections, KATA__COUNT(sections));
        return at_line(r, key_node,
                       kata_fail(KATA_INVALID,
                                 "there is no key %s%s%s%s (project, data, model, train)", key,
                                 nearest != NULL ? "; did you mean " : "",
                                 nearest != NULL ? nearest : "", nearest != NULL ? "?" : ""));
    }
    return set_value(r, option, r->settings, key, value);
}

/* A relative path that exists beside the project file is meant so. */
static kata_status beside(reader *r, const char **path) {
    const char *slash = strrchr(r->path, '/');
    if (*path == NULL || (*path)[0] == '/' || slash == NULL) {
        return KATA_OK;
    }
    size_t size = (size_t)(slash - r->path) + strlen(*path) + 2;
    char *joined_path = kata__arena_alloc(r->arena, size, 1);
    if (joined_path == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    snprintf(joined_path, size, "%.*s/%s", (int)(slash - r->path), r->path, *path);
    if (kata__file_exists(joined_path) || kata__directory_exists(joined_path)) {
        *path = joined_path;
    }
    return KATA_OK;
}

static kata_status read_document(reader *r) {
    const yaml_node_t *root = yaml_document_get_root_node(r->document);
    if (root == NULL || root->type != YAML_MAPPING_NODE) {
        return kata_fail(KATA_INVALID,
                         "%s: a project is a map with the keys project, data, model and train",
                         r->path);
    }
    KATA__TRY(each_key(r, root, NULL, take_section));
    KATA__TRY(beside(r, &r->settings->data));
    if (r->settings->model != NULL && !kata__source_is_network(r->settings->model)) {
        KATA__TRY(beside(r, &r->settings->model));
    }
    if (r->settings->n_layers > 0 && r->settings->model != NULL) {
        return kata_fail(KATA_INVALID, "%s: model has a name and a list of layers; take one",
                         r->path);
    }
    return KATA_OK;
}

kata_status kata__project_read(kata__settings *settings, kata__arena *arena, const char *path) {
    char *data;
    size_t n_bytes;
    yaml_parser_t parser;
    yaml_document_t document;
    KATA__TRY(kata__file_read(arena->context, path, largest_file, &data, &n_bytes));
    if (!yaml_parser_initialize(&parser)) {
        kata__free(arena->context, data);
        return kata_fail(KATA_OUT_OF_MEMORY, "%s: there is not enough memory", path);
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)data, n_bytes);
    kata_status status;
    if (!yaml_parser_load(&parser, &document)) {
        status = kata_fail(KATA_INVALID, "%s, line %d: %s%s%s", path,
                           (int)(parser.problem != NULL ? parser.problem_mark.line : 0) + 1,
                           parser.context != NULL ? parser.context : "",
                           parser.context != NULL ? ", " : "",
                           parser.problem != NULL ? parser.problem : "this is no YAML");
    } else {
        reader r = {settings, arena, path, &document};
        status = read_document(&r);
        yaml_document_delete(&document);
    }
    yaml_parser_delete(&parser);
    kata__free(arena->context, data);
    return status;
}
