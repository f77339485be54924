/* Rows of strings: UTF-8 in, UTF-8 out. Bytes that a row makes lie in the memory of the run, those
 * that it only passes on stay where they are. */
#include "op/strings.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "op/infer.h"
#include "op/loops.h"
#include "op/run.h"

#define ATTRIBUTES(...) ((const kata_attribute_spec[]){__VA_ARGS__, {.name = NULL}})

/* --- Cast --------------------------------------------------------------------------------------
 */

enum { NUMBER_BYTES = 32 };

static kata_status fail_number(const kata_call *call, kata_string text) {
    return kata_fail(KATA_INVALID, "Cast: \"%.*s\" is no number of %s",
                     (int)(text.n_bytes < 60 ? text.n_bytes : 60),
                     text.n_bytes > 0 ? text.data : "", kata_dtype_name(call->outputs[0].dtype));
}

/* Whole numbers as such, so that all 64 bits count; others by way of double. */
static kata_status store_number(const kata_call *call, kata_string text, int64_t i) {
    const kata_tensor *to = &call->outputs[0];
    char copy[400], *end;
    if (text.n_bytes == 0 || text.n_bytes >= (int64_t)sizeof copy ||
        memchr(text.data, 0, (size_t)text.n_bytes) != NULL || strchr("xX", text.data[0]) != NULL) {
        return fail_number(call, text);
    }
    memcpy(copy, text.data, (size_t)text.n_bytes);
    copy[text.n_bytes] = '\0';
    if (strpbrk(copy, "xXpP(") != NULL) { /* hexadecimal and nan(...): C's, not ONNX's */
        return fail_number(call, text);
    }
    if (!kata_dtype_is_float(to->dtype) && strpbrk(copy, ".eEnN") == NULL) {
        long long whole = strtoll(copy, &end, 10);
        if (to->dtype == KATA_U64 && copy[0] != '-') {
            whole = (long long)strtoull(copy, &end, 10);
        }
        kata__store_int(to->dtype, to->data, i, whole);
    } else {
        kata_store(to->dtype, to->data, i, strtod(copy, &end));
    }
    return *end == '\0' ? KATA_OK : fail_number(call, text);
}

kata_status kata__strings_to_numbers(const kata_call *call) {
    const kata_string *x = call->inputs[0].data;
    for (int64_t i = 0; i < kata_tensor_count(&call->inputs[0]); i++) {
        KATA__TRY(store_number(call, x[i], i));
    }
    return KATA_OK;
}

static int print_number(char *text, const kata_tensor *x, int64_t i) {
    if (!kata_dtype_is_float(x->dtype)) {
        const int64_t value = kata__load_int(x->dtype, x->data, i);
        return x->dtype == KATA_U64 ? snprintf(text, NUMBER_BYTES, "%" PRIu64, (uint64_t)value)
                                    : snprintf(text, NUMBER_BYTES, "%" PRId64, value);
    }
    const double value = kata_load(x->dtype, x->data, i);
    if (!isfinite(value)) {
        return snprintf(text, NUMBER_BYTES, "%s",
                        isnan(value) ? "NaN"
                        : value > 0  ? "INF"
                                     : "-INF");
    }
    return snprintf(text, NUMBER_BYTES, x->dtype == KATA_F64 ? "%.17g" : "%.8g", value);
}

kata_status kata__numbers_to_strings(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0];
    const int64_t count = kata_tensor_count(x);
    kata_string *y = call->outputs[0].data;
    char *bytes = kata_call_memory(call, (size_t)count * NUMBER_BYTES);
    if (bytes == NULL) {
        return kata__run_fault(call);
    }
    for (int64_t i = 0; i < count; i++) {
        y[i] = (kata_string){bytes, print_number(bytes, x, i)};
        bytes += NUMBER_BYTES;
    }
    return KATA_OK;
}

/* --- StringNormalizer --------------------------------------------------------------------------
 */

enum { CASE_ACTION, CASE_SENSITIVE, LOCALE, STOPWORDS };
enum { KEEP, LOWER, UPPER };

/* The code point's other case, where both have one code point each: Latin, Greek, Cyrillic,
 * Armenian. No locale changes it. */
static uint32_t change_case(uint32_t c, int action) {
    static const struct {
        uint32_t first, last; /* upper case letters */
        int32_t step;         /* to the lower case; 1: upper and lower in turns, upper is even; -1:
                                 upper is odd */
    } ranges[] = {{'A', 'Z', 32},     {0xC0, 0xD6, 32},   {0xD8, 0xDE, 32},    {0x100, 0x12F, 1},
                  {0x132, 0x137, 1},  {0x139, 0x148, -1}, {0x14A, 0x177, 1},   {0x178, 0x178, -121},
                  {0x179, 0x17E, -1}, {0x386, 0x386, 38}, {0x388, 0x38A, 37},  {0x38C, 0x38C, 64},
                  {0x38E, 0x38F, 63}, {0x391, 0x3A1, 32}, {0x3A3, 0x3AB, 32},  {0x400, 0x40F, 80},
                  {0x410, 0x42F, 32}, {0x460, 0x481, 1},  {0x48A, 0x4BF, 1},   {0x4C1, 0x4CE, -1},
                  {0x4D0, 0x52F, 1},  {0x531, 0x556, 48}, {0x1E00, 0x1E95, 1}, {0x1EA0, 0x1EFF, 1}};
    for (size_t i = 0; i < KATA__COUNT(ranges); i++) {
        const uint32_t first = ranges[i].first, last = ranges[i].last;
        const int32_t step = ranges[i].step;
        if (step == 1 || step == -1) {
            const uint32_t is_upper = step == 1 ? (c & 1) == 0 : (c & 1) == 1;
            if (c >= first && c <= last) {
                return action == LOWER ? c + is_upper : c - !is_upper;
            }
        } else if (action == LOWER && c >= first && c <= last) {
            return (uint32_t)((int32_t)c + step);
        } else if (action == UPPER && c >= (uint32_t)((int32_t)first + step) &&
                   c <= (uint32_t)((int32_t)last + step)) {
            return (uint32_t)((int32_t)c - step);
        }
    }
    return c;
}

/* Valid UTF-8 with its letters changed; all pairs above keep at most 4 bytes a letter, and none
 * grows (0xFF and 0x178 both have two). Returns the number of bytes written. */
static int64_t write_case(char *out, kata_string text, int action) {
    const uint8_t *at = (const uint8_t *)text.data, *end = at + text.n_bytes;
    char *begin = out;
    while (at < end) {
        const int n = *at < 0x80 ? 1 : *at < 0xE0 ? 2 : *at < 0xF0 ? 3 : 4;
        uint32_t c = n == 1 ? *at : *at & (0xFFu >> (n + 1));
        for (int i = 1; i < n; i++) {
            c = c << 6 | (at[i] & 0x3Fu);
        }
        c = change_case(c, action);
        for (int i = n - 1; i > 0; i--) {
            out[i] = (char)(0x80 | (c & 0x3F));
            c >>= 6;
        }
        out[0] = (char)(n == 1 ? c : (0xF00u >> n & 0xFF) | c);
        at += n;
        out += n;
    }
    return out - begin;
}

static kata_status case_action(const kata_infer *infer, const char *name) {
    if (name == NULL || strcmp(name, "NONE") == 0 || strcmp(name, "LOWER") == 0 ||
        strcmp(name, "UPPER") == 0) {
        return KATA_OK;
    }
    return kata_fail(KATA_INVALID, "%s: case_change_action is %s, expected NONE, LOWER or UPPER",
                     infer->op->name, name);
}

static kata_status normalizer_infer(kata_infer *infer) {
    const kata_shape *in = &infer->inputs[0].shape;
    char text[KATA_SHAPE_TEXT_SIZE];
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__STRINGS));
    KATA__TRY(case_action(infer, infer->attributes[CASE_ACTION].s));
    if (in->rank != 1 && !(in->rank == 2 && kata__size_agrees(in->dim[0], 1))) {
        return kata_fail(KATA_SHAPE,
                         "StringNormalizer: input 0 has shape %s, expected (C,) or (1,C)",
                         kata_shape_text(in, text));
    }
    infer->outputs[0] = infer->inputs[0];
    infer->outputs[0].shape.dim[in->rank - 1] = KATA_UNKNOWN_DIM;
    if (in->rank == 2) {
        infer->outputs[0].shape.dim[0] = 1;
    }
    return KATA_OK;
}

/* Whether a text is one of the words; `scratch` has room for it and for the longest word. */
static bool is_stopword(const kata_call *call, kata_string text, char *scratch) {
    const kata_attribute_value *words = &call->attributes[STOPWORDS];
    const bool sensitive = call->attributes[CASE_SENSITIVE].i != 0;
    char *other = scratch + text.n_bytes;
    kata_string lower = text;
    if (!sensitive) {
        lower = (kata_string){scratch, write_case(scratch, text, LOWER)};
    }
    for (int i = 0; i < words->n; i++) {
        kata_string word = kata__string_of(words->strings[i]);
        if (!sensitive) {
            word = (kata_string){other, write_case(other, word, LOWER)};
        }
        if (kata__string_compare(lower, word) == 0) {
            return true;
        }
    }
    return false;
}

static kata_status normalizer_reference(const kata_call *call) {
    const kata_tensor *in = &call->inputs[0];
    const kata_string *x = in->data;
    const int64_t count = kata_tensor_count(in);
    const char *name = call->attributes[CASE_ACTION].s;
    const int action = name == NULL || name[0] == 'N' ? KEEP : name[0] == 'L' ? LOWER : UPPER;
    size_t longest = 0, longest_word = 0, whole = 0;
    for (int64_t i = 0; i < count; i++) {
        const size_t n = (size_t)x[i].n_bytes;
        longest = n > longest ? n : longest;
        whole += n;
    }
    for (int i = 0; i < call->attributes[STOPWORDS].n; i++) {
        const size_t n = strlen(call->attributes[STOPWORDS].strings[i]);
        longest_word = n > longest_word ? n : longest_word;
    }
    char *scratch = kata_call_memory(call, longest + longest_word + 1);
    kata_string *kept = kata_call_memory(call, (size_t)(count + 1) * sizeof *kept);
    char *bytes = kata_call_memory(call, whole + 1);
    if (scratch == NULL || kept == NULL || bytes == NULL) {
        return kata__run_fault(call);
    }
    int64_t n = 0;
    for (int64_t i = 0; i < count; i++) {
        if (is_stopword(call, x[i], scratch)) {
            continue;
        }
        kept[n] = x[i];
        if (action != KEEP) {
            kept[n] = (kata_string){bytes, write_case(bytes, x[i], action)};
            bytes += kept[n].n_bytes;
        }
        n++;
    }
    if (n == 0) { /* ONNX: one empty string */
        kept[n++] = (kata_string){NULL, 0};
    }
    kata_shape shape = in->shape;
    shape.dim[shape.rank - 1] = n;
    if (shape.rank == 2) {
        shape.dim[0] = 1;
    }
    KATA__TRY(kata_call_output(call, 0, KATA_STRING, &shape));
    memcpy(call->outputs[0].data, kept, (size_t)n * sizeof *kept);
    return KATA_OK;
}

const kata_op kata__op_StringNormalizer = {
    .name = "StringNormalizer",
    .domain = "",
    .since = 10,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = ATTRIBUTES(
        {.name = "case_change_action",
         .type = KATA_ATTRIBUTE_STRING,
         .default_string = "NONE",
         .doc = "LOWER, UPPER or NONE"},
        {.name = "is_case_sensitive",
         .type = KATA_ATTRIBUTE_INT,
         .doc = "0: stopwords are found in any case"},
        {.name = "locale",
         .type = KATA_ATTRIBUTE_STRING,
         .doc = "kept; letters change the same way in all"},
        {.name = "stopwords", .type = KATA_ATTRIBUTE_STRINGS, .doc = "texts to leave out"}),
    .infer = normalizer_infer,
    .reference = normalizer_reference,
    .flags = KATA_OP_DYNAMIC,
    .flops = kata__flops_none,
    .doc = "The texts of x without the stopwords, in lower or upper case (Latin, Greek, Cyrillic "
           "and Armenian letters); one empty text if none is left.",
};

/* --- StringConcat ------------------------------------------------------------------------------
 */

static kata_status concat_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__STRINGS));
    return kata__infer_broadcast(infer);
}

static kata_status concat_reference(const kata_call *call) {
    const kata_string *a = call->inputs[0].data, *b = call->inputs[1].data;
    kata_string *y = call->outputs[0].data;
    kata__walk walk;
    kata__walk_call(&walk, call, 0, 2);
    for (; walk.rows > 0; kata__walk_next(&walk)) {
        for (int64_t i = 0; i < walk.n; i++) {
            const kata_string left = a[walk.at[1] + i * walk.step[1]];
            const kata_string right = b[walk.at[2] + i * walk.step[2]];
            const size_t n_left = (size_t)left.n_bytes, n_right = (size_t)right.n_bytes;
            char *bytes = kata_call_memory(call, n_left + n_right);
            if (bytes == NULL) {
                return kata__run_fault(call);
            }
            if (n_left > 0) {
                memcpy(bytes, left.data, n_left);
            }
            if (n_right > 0) {
                memcpy(bytes + n_left, right.data, n_right);
            }
            y[walk.at[0] + i * walk.step[0]] = (kata_string){bytes, left.n_bytes + right.n_bytes};
        }
    }
    return KATA_OK;
}

const kata_op kata__op_StringConcat = {
    .name = "StringConcat",
    .domain = "",
    .since = 20,
    .min_inputs = 2,
    .max_inputs = 2,
    .min_outputs = 1,
    .max_outputs = 1,
    .infer = concat_infer,
    .reference = concat_reference,
    .flags = KATA_OP_MAKES_STRINGS,
    .flops = kata__flops_none,
    .doc = "The text of input 0 with that of input 1 behind it; broadcast.",
};

/* --- StringSplit -------------------------------------------------------------------------------
 */

enum { DELIMITER, MAXSPLIT };

static kata_status split_infer(kata_infer *infer) {
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__STRINGS));
    infer->outputs[0] = infer->inputs[0];
    if (infer->inputs[0].shape.rank == KATA_MAX_RANK) {
        return kata_fail(KATA_LIMIT,
                         "StringSplit: input 0 has %d axes and the output one more, "
                         "which is too many",
                         KATA_MAX_RANK);
    }
    infer->outputs[0].shape.dim[infer->outputs[0].shape.rank++] = KATA_UNKNOWN_DIM;
    if (infer->n_outputs > 1) {
        infer->outputs[1] = (kata_type){KATA_I64, infer->inputs[0].shape};
    }
    return KATA_OK;
}

static bool is_blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Takes the next part from the front of *rest; false if there is none. `last`: take all of it. */
static bool next_part(kata_string *rest, const char *delimiter, bool last, kata_string *part) {
    const char *at = rest->data, *end = at + rest->n_bytes;
    const int64_t n = (int64_t)strlen(delimiter);
    if (n == 0) {
        while (at < end && is_blank(*at)) {
            at++;
        }
        while (last && end > at && is_blank(end[-1])) {
            end--;
        }
        const char *begin = at;
        while (at < end && (last || !is_blank(*at))) {
            at++;
        }
        *part = (kata_string){begin, at - begin};
        *rest = (kata_string){at, end - at};
        return at > begin;
    }
    if (rest->n_bytes < 0) {
        return false;
    }
    const char *begin = at;
    while (end - at >= n && (last || memcmp(at, delimiter, (size_t)n) != 0)) {
        at++;
    }
    const bool found = end - at >= n && !last;
    *part = (kata_string){begin, found ? at - begin : end - begin};
    *rest = found ? (kata_string){at + n, end - at - n} : (kata_string){end, -1};
    return true;
}

/* Parts of a text; written to `out` unless it is NULL. Returns how many. */
static int64_t split(const kata_call *call, kata_string text, kata_string *out) {
    const char *delimiter =
        call->attributes[DELIMITER].s != NULL ? call->attributes[DELIMITER].s : "";
    const kata_attribute_value *maximum = &call->attributes[MAXSPLIT];
    kata_string part;
    int64_t n = 0;
    if (text.n_bytes == 0) { /* an empty text has no parts */
        return 0;
    }
    while (next_part(&text, delimiter, maximum->is_set && n >= maximum->i, &part)) {
        if (out != NULL) {
            out[n] = part;
        }
        n++;
    }
    return n;
}

static kata_status split_reference(const kata_call *call) {
    const kata_tensor *in = &call->inputs[0];
    const kata_string *x = in->data;
    const int64_t count = kata_tensor_count(in);
    int64_t most = 0;
    for (int64_t i = 0; i < count; i++) {
        const int64_t n = split(call, x[i], NULL);
        most = n > most ? n : most;
    }
    kata_shape shape = in->shape;
    shape.dim[shape.rank++] = most;
    KATA__TRY(kata_call_output(call, 0, KATA_STRING, &shape));
    if (call->n_outputs > 1) {
        KATA__TRY(kata_call_output(call, 1, KATA_I64, &in->shape));
    }
    kata_string *y = call->outputs[0].data;
    for (int64_t i = 0; i < count; i++, y += most) {
        const int64_t n = split(call, x[i], y);
        for (int64_t k = n; k < most; k++) {
            y[k] = (kata_string){NULL, 0};
        }
        if (call->n_outputs > 1) {
            ((int64_t *)call->outputs[1].data)[i] = n;
        }
    }
    return KATA_OK;
}

const kata_op kata__op_StringSplit = {
    .name = "StringSplit",
    .domain = "",
    .since = 20,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 2,
    .attributes = ATTRIBUTES({.name = "delimiter",
                              .type = KATA_ATTRIBUTE_STRING,
                              .doc = "what parts the text; absent or empty: blanks"},
                             {.name = "maxsplit",
                              .type = KATA_ATTRIBUTE_INT,
                              .doc = "at most so many cuts; absent: no bound"}),
    .infer = split_infer,
    .reference = split_reference,
    .flags = KATA_OP_DYNAMIC,
    .flops = kata__flops_none,
    .doc =
        "Each text in parts along a new last axis, filled up with empty ones; and how many there "
        "are.",
};
