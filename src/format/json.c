/* A small strict JSON reader. The state is what may come next, and for each open bracket whether it
 * is an object: a bit of memory that does not grow with the input. */
#include "format/json.h"
#include "format/names.h"
#include "base/check.h"

#include <string.h>

enum expectation {
    A_VALUE,          /* at the beginning, after ':' and after ',' in an array */
    A_VALUE_OR_CLOSE, /* after '[' */
    A_KEY,            /* after ',' in an object */
    A_KEY_OR_CLOSE,   /* after '{' */
    A_COMMA_OR_CLOSE, /* after a value within brackets */
    NOTHING           /* after the one value */
};

void kata__json_init(kata__json *json, char *text, size_t size) {
    *json = (kata__json){.text = text, .size = size, .expects = A_VALUE};
}

static kata_status fail_at(const kata__json *json, const char *expected) {
    if (json->at >= json->size) {
        return kata_fail(KATA_FORMAT, "not valid JSON: the text ends at byte %zu, expected %s",
                         json->at, expected);
    }
    return kata_fail(KATA_FORMAT, "not valid JSON at byte %zu: expected %s", json->at, expected);
}

static void skip_space(kata__json *json) {
    while (json->at < json->size && memchr(" \t\r\n", json->text[json->at], 4) != NULL) {
        json->at++;
    }
}

static bool hex4(const char *text, uint32_t *out) {
    *out = 0;
    for (int i = 0; i < 4; i++) {
        static const char digits[] = "0123456789abcdef0123456789ABCDEF";
        const char *found = memchr(digits, text[i], 32);
        if (found == NULL) {
            return false;
        }
        *out = *out << 4 | (uint32_t)((found - digits) & 15);
    }
    return true;
}

static size_t put_utf8(char *out, uint32_t code) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

/* An escape at json->at (the backslash): 6 bytes make at most 3, 12 make 4. */
static kata_status read_escape(kata__json *json, char *out, size_t *n) {
    const char *at = json->text + json->at;
    size_t left = json->size - json->at;
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *found = left >= 2 ? memchr(from, at[1], sizeof from - 1) : NULL;
    if (found != NULL) {
        *out = to[found - from];
        *n = 1;
        json->at += 2;
        return KATA_OK;
    }
    uint32_t code, low;
    if (left < 6 || at[1] != 'u' || !hex4(at + 2, &code)) {
        return fail_at(json, "a valid escape");
    }
    size_t length = 6;
    if (code >= 0xD800 && code <= 0xDBFF) {
        if (left < 12 || at[6] != '\\' || at[7] != 'u' || !hex4(at + 8, &low) || low < 0xDC00 ||
            low > 0xDFFF) {
            return fail_at(json, "the second half of a surrogate pair");
        }
        code = 0x10000 + ((code - 0xD800) << 10 | (low - 0xDC00));
        length = 12;
    } else if (code >= 0xDC00 && code <= 0xDFFF) {
        return fail_at(json, "no second half of a surrogate pair alone");
    } else if (code == 0) {
        return fail_at(json, "no NUL character");
    }
    *n = put_utf8(out, code);
    json->at += length;
    return KATA_OK;
}

/* A string at json->at (the quote), decoded in place. */
static kata_status read_string(kata__json *json, kata__json_token *token) {
    char *start = json->text + json->at + 1, *out = start;
    json->at++;
    for (;;) {
        if (json->at >= json->size) {
            return fail_at(json, "the end of a string");
        }
        char byte = json->text[json->at];
        if (byte == '"') {
            break;
        }
        if ((unsigned char)byte < 0x20) {
            return fail_at(json, "no control character in a string");
        }
        if (byte == '\\') {
            size_t n = 0;
            KATA__TRY(read_escape(json, out, &n));
            out += n;
        } else {
            *out++ = byte;
            json->at++;
        }
    }
    size_t length = (size_t)(out - start);
    if (!kata__format_is_text(start, length)) {
        return kata_fail(KATA_FORMAT, "not valid JSON: the string at byte %zu is not UTF-8",
                         token->place);
    }
    *out = '\0'; /* at the closing quote or before it */
    json->at++;
    token->text = start;
    token->length = length;
    return KATA_OK;
}

static size_t skip_digits(kata__json *json) {
    size_t first = json->at;
    while (json->at < json->size && json->text[json->at] >= '0' && json->text[json->at] <= '9') {
        json->at++;
    }
    return json->at - first;
}

static bool skip_one_of(kata__json *json, const char *set) {
    bool found = json->at < json->size && json->text[json->at] != '\0' &&
                 strchr(set, json->text[json->at]) != NULL;
    json->at += found;
    return found;
}

static kata_status read_number(kata__json *json, kata__json_token *token) {
    size_t first = json->at;
    skip_one_of(json, "-");
    bool zero = json->at < json->size && json->text[json->at] == '0';
    size_t n_digits = skip_digits(json);
    if (n_digits == 0 || (zero && n_digits > 1)) {
        return fail_at(json, "a number without a leading zero");
    }
    if (skip_one_of(json, ".") && skip_digits(json) == 0) {
        return fail_at(json, "a digit after the point");
    }
    if (skip_one_of(json, "eE")) {
        skip_one_of(json, "+-");
        if (skip_digits(json) == 0) {
            return fail_at(json, "a digit in the exponent");
        }
    }
    token->kind = KATA__JSON_NUMBER;
    token->text = json->text + first;
    token->length = json->at - first;
    return KATA_OK;
}

static kata_status open_bracket(kata__json *json, bool is_object, kata__json_token *token) {
    if (json->depth == KATA__JSON_MAX_DEPTH) {
        return kata_fail(KATA_LIMIT, "JSON at byte %zu is nested deeper than the %d levels allowed",
                         json->at, KATA__JSON_MAX_DEPTH);
    }
    json->is_object[json->depth++] = is_object;
    json->at++;
    json->expects = is_object ? A_KEY_OR_CLOSE : A_VALUE_OR_CLOSE;
    token->kind = is_object ? KATA__JSON_OBJECT_BEGIN : KATA__JSON_ARRAY_BEGIN;
    return KATA_OK;
}

static void close_bracket(kata__json *json, kata__json_token *token) {
    token->kind = json->is_object[--json->depth] ? KATA__JSON_OBJECT_END : KATA__JSON_ARRAY_END;
    json->at++;
    json->expects = json->depth > 0 ? A_COMMA_OR_CLOSE : NOTHING;
}

static kata_status read_value(kata__json *json, kata__json_token *token) {
    static const struct {
        const char *text;
        kata__json_kind kind;
    } words[] = {{"true", KATA__JSON_TRUE}, {"false", KATA__JSON_FALSE}, {"null", KATA__JSON_NULL}};
    char first = json->text[json->at];
    if (first == '{' || first == '[') {
        return open_bracket(json, first == '{', token);
    }
    json->expects = json->depth > 0 ? A_COMMA_OR_CLOSE : NOTHING;
    if (first == '"') {
        token->kind = KATA__JSON_STRING;
        return read_string(json, token);
    }
    if (first == '-' || (first >= '0' && first <= '9')) {
        return read_number(json, token);
    }
    for (size_t i = 0; i < KATA__COUNT(words); i++) {
        size_t length = strlen(words[i].text);
        if (json->size - json->at >= length &&
            memcmp(json->text + json->at, words[i].text, length) == 0) {
            token->kind = words[i].kind;
            json->at += length;
            return KATA_OK;
        }
    }
    return fail_at(json, "a value");
}

static kata_status read_key(kata__json *json, kata__json_token *token) {
    token->kind = KATA__JSON_KEY;
    KATA__TRY(read_string(json, token));
    skip_space(json);
    if (!skip_one_of(json, ":")) {
        return fail_at(json, "':'");
    }
    json->expects = A_VALUE;
    return KATA_OK;
}

kata_status kata__json_next(kata__json *json, kata__json_token *token) {
    skip_space(json);
    *token = (kata__json_token){.kind = KATA__JSON_END, .place = json->at};
    if (json->expects == NOTHING) {
        return json->at == json->size ? KATA_OK : fail_at(json, "the end");
    }
    bool in_object = json->depth > 0 && json->is_object[json->depth - 1];
    char close = in_object ? '}' : ']';
    char byte = json->at < json->size ? json->text[json->at] : '\0';
    if (json->expects == A_COMMA_OR_CLOSE) {
        if (byte == close) {
            close_bracket(json, token);
            return KATA_OK;
        }
        if (byte != ',') {
            return fail_at(json, in_object ? "',' or '}'" : "',' or ']'");
        }
        json->at++;
        skip_space(json);
        json->expects = in_object ? A_KEY : A_VALUE;
        token->place = json->at;
        byte = json->at < json->size ? json->text[json->at] : '\0';
    } else if ((json->expects == A_KEY_OR_CLOSE || json->expects == A_VALUE_OR_CLOSE) &&
               byte == close) {
        close_bracket(json, token);
        return KATA_OK;
    }
    if (json->expects == A_KEY || json->expects == A_KEY_OR_CLOSE) {
        return byte == '"' ? read_key(json, token) : fail_at(json, "a name in quotes");
    }
    return json->at < json->size ? read_value(json, token) : fail_at(json, "a value");
}

kata_status kata__json_expect(kata__json *json, kata__json_kind kind, const char *what,
                              kata__json_token *token) {
    KATA__TRY(kata__json_next(json, token));
    if (token->kind != kind) {
        return kata_fail(KATA_FORMAT, "JSON at byte %zu: expected %s", token->place, what);
    }
    return KATA_OK;
}

kata_status kata__json_size(int64_t *out, const kata__json_token *token) {
    int64_t value = 0;
    bool valid = token->kind == KATA__JSON_NUMBER && token->length > 0;
    for (size_t i = 0; valid && i < token->length; i++) {
        char digit = token->text[i];
        valid = digit >= '0' && digit <= '9' && !__builtin_mul_overflow(value, 10, &value) &&
                !__builtin_add_overflow(value, digit - '0', &value);
    }
    if (!valid) {
        return kata_fail(KATA_FORMAT,
                         "JSON at byte %zu: expected a whole number from 0 to 9223372036854775807",
                         token->place);
    }
    *out = value;
    return KATA_OK;
}
