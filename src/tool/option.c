/* Options: parsing, help and writing, all from one table. */
#include "tool/option.h"

#include <kata/nn.h>

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"

static void *place(const kata__option *option, const void *settings) {
    return (char *)(uintptr_t)settings + option->offset;
}

static bool same_name(const char *a, const char *b) {
    for (; *a != '\0' || *b != '\0'; a++, b++) {
        if (*a != *b && !((*a == '-' || *a == '_') && (*b == '-' || *b == '_'))) {
            return false;
        }
    }
    return true;
}

const kata__option *kata__option_find(const kata__option *options, const char *name) {
    for (const kata__option *o = options; o != NULL && o->name != NULL; o++) {
        if (same_name(o->name, name)) {
            return o;
        }
    }
    return NULL;
}

const kata__option *kata__option_find_key(const kata__option *options, const char *section,
                                          const char *key) {
    char own[64];
    for (const kata__option *o = options; o != NULL && o->name != NULL; o++) {
        if (o->section != NULL && strcmp(o->section, section) == 0 &&
            same_name(kata__option_key(o, own), key)) {
            return o;
        }
    }
    return NULL;
}

bool kata__option_given(const kata__option *options, const kata__parsed *parsed, const char *name) {
    const kata__option *option = kata__option_find(options, name);
    return option != NULL && parsed->set[option - options];
}

const char *kata__option_key(const kata__option *option, char key[64]) {
    snprintf(key, 64, "%s", option->key != NULL ? option->key : option->name);
    for (char *c = key; *c != '\0'; c++) {
        *c = *c == '-' ? '_' : *c;
    }
    return key;
}

const char *kata__option_nearest(const kata__option *options, const char *prefix, const char *name,
                                 const char *section, char text[160]) {
    char keys[KATA__OPTIONS_MOST][64];
    const char *names[KATA__OPTIONS_MOST] = {NULL};
    size_t n = 0;
    for (const kata__option *o = options; o != NULL && o->name != NULL; o++) {
        if (section != NULL && (o->section == NULL || strcmp(o->section, section) != 0)) {
            continue;
        }
        names[n] = section != NULL ? kata__option_key(o, keys[n]) : o->name;
        n++;
    }
    const char *nearest = kata__text_nearest(name, names, n);
    /* A flag cut short is meant as well: --valid, --epoch. */
    for (size_t i = 0; i < n && nearest == NULL && strlen(name) > 2; i++) {
        nearest = strncmp(names[i], name, strlen(name)) == 0 ? names[i] : NULL;
    }
    text[0] = '\0';
    if (nearest != NULL) {
        snprintf(text, 160, "; did you mean %s%s?", prefix, nearest);
    }
    return text;
}

/* --- values ----------------------------------------------------------------------------------- */

bool kata__parse_number(const char *text, double *out) {
    char *end;
    if (text[0] == '\0' || text[strspn(text, "0123456789+-.eE")] != '\0') {
        return false;
    }
    errno = 0;
    double value = strtod(text, &end);
    if (*end != '\0' || !isfinite(value)) {
        return false;
    }
    *out = value;
    return true;
}

bool kata__parse_integer(const char *text, int64_t *out) {
    char *end;
    const char *digits = text[0] == '-' || text[0] == '+' ? text + 1 : text;
    if (digits[0] == '\0' || digits[strspn(digits, "0123456789")] != '\0') {
        return false;
    }
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0') {
        return false;
    }
    *out = value;
    return true;
}

/* "a number above 0 and at most 1000", "a whole number from 1 to 100" */
static const char *range_text(const kata__option *o, bool whole, char text[128]) {
    const char *kind = whole ? "a whole number" : "a number";
    bool endless = !(o->maximum < 9e15);
    if (o->minimum == 0 && o->maximum == 0) {
        snprintf(text, 128, "%s", kind);
    } else if (o->above && endless) {
        snprintf(text, 128, "%s above %.15g", kind, o->minimum);
    } else if (endless) {
        snprintf(text, 128, "%s, %.15g or more", kind, o->minimum);
    } else if (o->above) {
        snprintf(text, 128, "%s above %.15g, at most %.15g", kind, o->minimum, o->maximum);
    } else {
        snprintf(text, 128, "%s from %.15g to %.15g", kind, o->minimum, o->maximum);
    }
    return text;
}

static bool in_range(const kata__option *o, double value) {
    return (o->minimum == 0 && o->maximum == 0) ||
           ((o->above ? value > o->minimum : value >= o->minimum) && value <= o->maximum);
}

static kata_status fail_number(const kata__option *o, bool whole, const char *shown,
                               const char *text) {
    char range[128];
    return kata_fail(KATA_INVALID, "%s must be %s, got %s", shown, range_text(o, whole, range),
                     text[0] == '\0' ? "nothing" : text);
}

static kata_status read_integer(const kata__option *o, const char *shown, const char *text,
                                int64_t *out) {
    int64_t value;
    if (!kata__parse_integer(text, &value) || !in_range(o, (double)value)) {
        return fail_number(o, true, shown, text);
    }
    *out = value;
    return KATA_OK;
}

static kata_status read_number(const kata__option *o, const char *shown, const char *text,
                               double *out) {
    double value;
    if (!kata__parse_number(text, &value) || !in_range(o, value)) {
        return fail_number(o, false, shown, text);
    }
    /* Where 0 means "not given", a 0 that is given is KATA_ZERO. */
    *out = value == 0 && o->zero != NULL ? KATA_ZERO : value;
    return KATA_OK;
}

static kata_status read_choice(const kata__option *o, const char *shown, const char *text,
                               int *out) {
    const char *names[64] = {NULL};
    char list[512] = "";
    size_t n = 0, length = 0;
    for (; n < KATA__COUNT(names) && o->choice((int)n) != NULL; n++) {
        names[n] = o->choice((int)n);
        if (same_name(names[n], text)) {
            *out = (int)n;
            return KATA_OK;
        }
        length += (size_t)snprintf(list + length, sizeof list - length, "%s%s", n > 0 ? ", " : "",
                                   names[n]);
        length = length < sizeof list ? length : sizeof list - 1;
    }
    const char *nearest = kata__text_nearest(text, names, n);
    return kata_fail(KATA_INVALID, "%s knows no %s%s%s%s (%s)", shown,
                     text[0] == '\0' ? "empty name" : text,
                     nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
                     nearest != NULL ? "?" : "", list);
}

/* Calls `take` for each part of "a,b,c". */
static kata_status each_part(const char *shown, const char *text, void *user,
                             kata_status (*take)(void *user, int i, const char *part)) {
    char part[256];
    const char *at = text;
    for (int i = 0;; i++) {
        size_t length = strcspn(at, ",");
        if (length >= sizeof part) {
            return kata_fail(KATA_INVALID, "%s: a part of the list is too long", shown);
        }
        memcpy(part, at, length);
        part[length] = '\0';
        KATA__TRY(take(user, i, part));
        if (at[length] == '\0') {
            return KATA_OK;
        }
        at += length + 1;
    }
}

typedef struct parts {
    const kata__option *option;
    const char *shown;
    void *to;
    kata__arena *arena;
} parts;

static kata_status take_integer(void *user, int i, const char *part) {
    parts *p = user;
    if (i >= p->option->limit) {
        return kata_fail(KATA_INVALID, "%s takes at most %d numbers", p->shown, p->option->limit);
    }
    return read_integer(p->option, p->shown, part, (int64_t *)p->to + i);
}

static kata_status take_number(void *user, int i, const char *part) {
    parts *p = user;
    kata__numbers *list = p->to;
    double value;
    if (i >= KATA__NUMBERS_MOST) {
        return kata_fail(KATA_LIMIT, "%s takes at most %d numbers", p->shown, KATA__NUMBERS_MOST);
    }
    KATA__TRY(read_number(p->option, p->shown, part, &value));
    list->values[i] = (float)value;
    list->n = i + 1;
    return KATA_OK;
}

static kata_status take_member(void *user, int i, const char *part) {
    parts *p = user;
    (void)i;
    char name[64], shown[128], nearest[160];
    size_t length = strcspn(part, "=");
    snprintf(name, sizeof name, "%.*s", (int)length, part);
    const kata__option *member = kata__option_find(p->option->members, name);
    snprintf(shown, sizeof shown, "%s: %s", p->shown, name);
    if (member == NULL) {
        char list[400] = "";
        size_t used = 0;
        for (const kata__option *o = p->option->members; o->name != NULL && used < sizeof list;
             o++) {
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s",
                                     o == p->option->members ? "" : ", ", o->name);
        }
        return kata_fail(KATA_INVALID, "%s knows no %s%s (%s)", p->shown,
                         name[0] == '\0' ? "empty name" : name,
                         kata__option_nearest(p->option->members, "", name, NULL, nearest), list);
    }
    if (part[length] == '\0') {
        if (member->type != KATA__OPTION_FLAG) {
            return kata_fail(KATA_INVALID, "%s needs a value: %s=%s", shown, name, member->value);
        }
        return kata__option_set(member, p->to, p->arena, shown, "true");
    }
    return kata__option_set(member, p->to, p->arena, shown, part + length + 1);
}

static kata_status set_list(const kata__option *option, void *to, kata__arena *arena,
                            const char *shown, const char *text) {
    parts p = {option, shown, to, arena};
    if (option->type == KATA__OPTION_INTEGERS) {
        memset(to, 0, (size_t)option->limit * sizeof(int64_t));
        return each_part(shown, text, &p, take_integer);
    }
    if (option->type == KATA__OPTION_GROUP) {
        return each_part(shown, text, &p, take_member);
    }
    kata__numbers *list = to;
    size_t n = 1;
    for (const char *c = text; *c != '\0'; c++) {
        n += *c == ',';
    }
    *list = (kata__numbers){.values = kata__arena_alloc(arena, n, sizeof *list->values)};
    return list->values == NULL ? KATA_OUT_OF_MEMORY : each_part(shown, text, &p, take_number);
}

kata_status kata__option_set(const kata__option *option, void *settings, kata__arena *arena,
                             const char *shown, const char *text) {
    void *to = place(option, settings);
    int64_t integer = 0;
    switch (option->type) {
    case KATA__OPTION_FLAG:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
            return kata_fail(KATA_INVALID, "%s must be true or false, got %s", shown,
                             text[0] == '\0' ? "nothing" : text);
        }
        *(bool *)to = text[0] == 't';
        return KATA_OK;
    case KATA__OPTION_INT:
        KATA__TRY(read_integer(option, shown, text, &integer));
        if (integer < -INT32_MAX || integer > INT32_MAX) {
            return fail_number(option, true, shown, text);
        }
        *(int *)to = (int)integer;
        return KATA_OK;
    case KATA__OPTION_INTEGER:
        return read_integer(option, shown, text, to);
    case KATA__OPTION_NUMBER:
        return read_number(option, shown, text, to);
    case KATA__OPTION_TEXT:
        if (text[0] == '\0') {
            return kata_fail(KATA_INVALID, "%s is empty", shown);
        }
        *(const char **)to = text;
        return KATA_OK;
    case KATA__OPTION_TEXTS: {
        kata__texts *texts = to;
        if (texts->n >= KATA__TEXTS_MOST) {
            return kata_fail(KATA_LIMIT, "%s may be given at most %d times", shown,
                             KATA__TEXTS_MOST);
        }
        texts->values[texts->n++] = text;
        return KATA_OK;
    }
    case KATA__OPTION_CHOICE:
        return read_choice(option, shown, text, to);
    default:
        return set_list(option, to, arena, shown, text);
    }
}

/* --- the command line ------------------------------------------------------------------------- */

static const kata__option *find_letter(const kata__option *options, char letter) {
    for (const kata__option *o = options; o != NULL && o->name != NULL; o++) {
        if (o->letter != '\0' && o->letter == letter) {
            return o;
        }
    }
    return NULL;
}

static kata_status parse_flag(const kata__option *options, void *settings, kata__arena *arena,
                              int argc, char **argv, int *at, kata__parsed *parsed) {
    const char *given = argv[*at];
    char name[64], shown[80], nearest[160];
    const char *equals = strchr(given, '=');
    const kata__option *option = NULL;
    bool negated = false;
    if (given[1] == '-') {
        size_t length = equals != NULL ? (size_t)(equals - given) - 2 : strlen(given) - 2;
        snprintf(name, sizeof name, "%.*s", (int)(length < 63 ? length : 63), given + 2);
        snprintf(shown, sizeof shown, "--%s", name);
        option = kata__option_find(options, name);
        if (option == NULL && strncmp(name, "no-", 3) == 0) {
            const kata__option *positive = kata__option_find(options, name + 3);
            negated = positive != NULL && positive->type == KATA__OPTION_FLAG;
            option = negated ? positive : NULL;
        }
    } else {
        snprintf(name, sizeof name, "%.1s", given + 1);
        snprintf(shown, sizeof shown, "-%s", name);
        option = given[2] == '\0' ? find_letter(options, given[1]) : NULL;
        equals = NULL;
    }
    if (option == NULL) {
        return kata_fail(KATA_INVALID, "there is no option %.60s%s", given,
                         given[1] == '-' ? kata__option_nearest(options, "--", name, NULL, nearest)
                                         : "");
    }
    parsed->set[option - options] = true;
    if (option->type == KATA__OPTION_FLAG) {
        if (equals != NULL) {
            return negated ? kata_fail(KATA_INVALID, "%s takes no value", shown)
                           : kata__option_set(option, settings, arena, shown, equals + 1);
        }
        *(bool *)place(option, settings) = !negated;
        return KATA_OK;
    }
    if (equals != NULL) {
        return kata__option_set(option, settings, arena, shown, equals + 1);
    }
    if (*at + 1 >= argc || (argv[*at + 1][0] == '-' && argv[*at + 1][1] == '-')) {
        return kata_fail(KATA_INVALID, "%s needs a value: %s %s", shown, shown,
                         option->value != NULL ? option->value : "VALUE");
    }
    return kata__option_set(option, settings, arena, shown, argv[++*at]);
}

kata_status kata__options_parse(const kata__option *options, void *settings, kata__arena *arena,
                                int argc, char **argv, kata__parsed *parsed) {
    *parsed =
        (kata__parsed){.positional = kata__arena_alloc(arena, (size_t)argc + 1, sizeof(char *))};
    if (parsed->positional == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    bool only_positional = false;
    for (int i = 1; i < argc; i++) {
        if (!only_positional && strcmp(argv[i], "--") == 0) {
            only_positional = true;
        } else if (!only_positional && argv[i][0] == '-' && argv[i][1] != '\0') {
            KATA__TRY(parse_flag(options, settings, arena, argc, argv, &i, parsed));
        } else {
            parsed->positional[parsed->n_positional++] = argv[i];
        }
    }
    return KATA_OK;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* Words that YAML 1.1 reads as something else than a text. */
static bool is_yaml_word(const char *text) {
    static const char *const words[] = {"true", "false", "yes",  "no",   "on", "off",
                                        "y",    "n",     "null", "none", "~"};
    char lower[16];
    size_t n = strlen(text);
    if (n >= sizeof lower) {
        return false;
    }
    for (size_t i = 0; i <= n; i++) {
        lower[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 32) : text[i];
    }
    for (size_t i = 0; i < KATA__COUNT(words); i++) {
        if (strcmp(lower, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

void kata__yaml_text(kata__buffer *out, const char *text) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const char inside[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-+";
    size_t n = strlen(text);
    bool begins = strchr(letters, text[0]) != NULL || text[0] == '/' || text[0] == '.';
    /* "make:digits" is plain: a colon counts only before white space. */
    bool plain = n > 0 && begins && !is_yaml_word(text);
    double number;
    for (size_t i = 0; i < n && plain; i++) {
        plain = strchr(inside, text[i]) != NULL || (text[i] == ':' && i + 1 < n);
    }
    plain = plain && !kata__parse_number(text, &number);
    if (plain) {
        kata__buffer_text(out, text);
    } else {
        kata__buffer_json_string(out, text); /* a JSON string is a YAML string */
    }
}

static void write_number(kata__buffer *out, double value) {
    kata__buffer_json_number(out, value);
}

static bool write_integers(const kata__option *option, const int64_t *values, kata__buffer *out) {
    int n = option->limit;
    while (n > 0 && values[n - 1] == 0) {
        n--;
    }
    for (int i = 0; i < n; i++) {
        kata__buffer_printf(out, "%s%" PRId64, i > 0 ? ", " : "[", values[i]);
    }
    kata__buffer_text(out, n > 0 ? "]" : "");
    return n > 0;
}

static bool write_group(const kata__option *option, const void *group, kata__buffer *out) {
    bool any = false;
    for (const kata__option *member = option->members; member->name != NULL; member++) {
        char key[64], text[256];
        kata__buffer value;
        kata__buffer_init(&value, out->context, sizeof text);
        if (kata__option_write(member, group, &value) && value.status == KATA_OK) {
            kata__buffer_printf(out, "%s%s: %s", any ? ", " : "{", kata__option_key(member, key),
                                value.data);
            any = true;
        }
        kata__buffer_free(&value);
    }
    kata__buffer_text(out, any ? "}" : "");
    return any;
}

bool kata__option_write(const kata__option *option, const void *settings, kata__buffer *out) {
    const void *from = place(option, settings);
    bool has_zero = option->zero != NULL;
    switch (option->type) {
    case KATA__OPTION_FLAG: {
        bool value = *(const bool *)from;
        if (has_zero && !value) {
            return false;
        }
        kata__buffer_text(out, value ? "true" : "false");
        return true;
    }
    case KATA__OPTION_INT:
    case KATA__OPTION_INTEGER: {
        int64_t value =
            option->type == KATA__OPTION_INT ? *(const int *)from : *(const int64_t *)from;
        if (has_zero && value == 0) {
            return false;
        }
        kata__buffer_printf(out, "%" PRId64, value);
        return true;
    }
    case KATA__OPTION_NUMBER: {
        double value = *(const double *)from;
        if (has_zero && value == 0 && !signbit(value)) {
            return false;
        }
        write_number(out, value + 0.0);
        return true;
    }
    case KATA__OPTION_TEXT: {
        const char *text = *(const char *const *)from;
        if (text != NULL) {
            kata__yaml_text(out, text);
        }
        return text != NULL;
    }
    case KATA__OPTION_CHOICE: {
        int value = *(const int *)from;
        if (has_zero && value == 0) {
            return false;
        }
        kata__yaml_text(out, option->choice(value));
        return true;
    }
    case KATA__OPTION_INTEGERS:
        return write_integers(option, from, out);
    case KATA__OPTION_NUMBERS: {
        const kata__numbers *list = from;
        for (int i = 0; i < list->n; i++) {
            kata__buffer_printf(out, "%s%.9g", i > 0 ? ", " : "[", (double)list->values[i]);
        }
        kata__buffer_text(out, list->n > 0 ? "]" : "");
        return list->n > 0;
    }
    case KATA__OPTION_TEXTS: {
        const kata__texts *texts = from;
        for (int i = 0; i < texts->n; i++) {
            kata__buffer_text(out, i > 0 ? ", " : "[");
            kata__yaml_text(out, texts->values[i]);
        }
        kata__buffer_text(out, texts->n > 0 ? "]" : "");
        return texts->n > 0;
    }
    default:
        return write_group(option, from, out);
    }
}

/* --- help ------------------------------------------------------------------------------------- */

enum { HELP_INDENT = 33, HELP_WIDTH = 96 };

/* The help text broken at white space, continued under itself. */
static void print_wrapped(FILE *file, const char *text) {
    int column = HELP_INDENT;
    while (*text != '\0') {
        int length = (int)strcspn(text, " ");
        if (column > HELP_INDENT && column + 1 + length > HELP_WIDTH) {
            fprintf(file, "\n%*s", HELP_INDENT, "");
            column = HELP_INDENT;
        } else if (column > HELP_INDENT) {
            fputc(' ', file);
            column++;
        }
        fprintf(file, "%.*s", length, text);
        column += length;
        text += length + (text[length] == ' ');
    }
    fputc('\n', file);
}

static void add_text(char *text, size_t n_bytes, const char *more) {
    size_t used = strlen(text);
    snprintf(text + used, n_bytes - used, "%s", more);
}

void kata__options_help(const kata__option *options, const void *defaults, kata_context *context,
                        FILE *file) {
    for (const kata__option *o = options; o->name != NULL; o++) {
        char flag[128], text[1024], value[256] = "";
        if (o->heading != NULL) {
            fprintf(file, "\n%s\n", o->heading);
        } else if (o == options) {
            fprintf(file, "\nOptions\n");
        }
        bool is_flag = o->type == KATA__OPTION_FLAG;
        bool on = is_flag && defaults != NULL && *(const bool *)place(o, defaults);
        char letter[8] = "    ";
        if (o->letter != '\0') {
            snprintf(letter, sizeof letter, "-%c, ", o->letter);
        }
        snprintf(flag, sizeof flag, "  %s--%s%s%s%s", letter, on ? "no-" : "", o->name,
                 is_flag ? "" : " ", is_flag ? "" : o->value);
        snprintf(text, sizeof text, "%s", o->help);
        if (o->type == KATA__OPTION_CHOICE) {
            add_text(text, sizeof text, ":");
            for (int i = 0; o->choice(i) != NULL; i++) {
                add_text(text, sizeof text, i > 0 ? ", " : " ");
                add_text(text, sizeof text, o->choice(i));
            }
        }
        kata__buffer buffer;
        kata__buffer_init(&buffer, context, sizeof value);
        if (defaults != NULL && !is_flag && kata__option_write(o, defaults, &buffer) &&
            buffer.status == KATA_OK) {
            snprintf(value, sizeof value, " (%s)", buffer.data);
        } else if (o->zero != NULL && o->zero[0] != '\0') {
            snprintf(value, sizeof value, " (%s)", o->zero);
        }
        kata__buffer_free(&buffer);
        add_text(text, sizeof text, value);
        fprintf(file, "%-*s", HELP_INDENT - 1, flag);
        if (strlen(flag) >= HELP_INDENT) {
            fprintf(file, "\n%*s", HELP_INDENT - 1, "");
        }
        fputc(' ', file);
        print_wrapped(file, text);
    }
}
