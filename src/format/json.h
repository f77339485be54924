/* A small strict JSON reader (RFC 8259): one token at a time, no tree, no recursion. */
#ifndef KATA_FORMAT_JSON_H
#define KATA_FORMAT_JSON_H

#include <kata/base.h>

enum { KATA__JSON_MAX_DEPTH = 32 };

typedef enum kata__json_kind {
    KATA__JSON_END, /* the one value is complete and only white space follows */
    KATA__JSON_OBJECT_BEGIN,
    KATA__JSON_OBJECT_END,
    KATA__JSON_ARRAY_BEGIN,
    KATA__JSON_ARRAY_END,
    KATA__JSON_KEY,
    KATA__JSON_STRING,
    KATA__JSON_NUMBER,
    KATA__JSON_TRUE,
    KATA__JSON_FALSE,
    KATA__JSON_NULL
} kata__json_kind;

typedef struct kata__json_token {
    kata__json_kind kind;
    const char *text; /* KEY, STRING: decoded, NUL-terminated; NUMBER: as it stands in the file */
    size_t length;
    size_t place; /* first byte */
} kata__json_token;

typedef struct kata__json {
    char *text;
    size_t size, at;
    int depth;
    bool is_object[KATA__JSON_MAX_DEPTH];
    int expects; /* private */
} kata__json;

/* `text` is changed: strings are decoded in place (a decoded string is never longer). It must live
 * as long as the tokens' texts are used. */
void kata__json_init(kata__json *json, char *text, size_t size);
/* The next token. KATA_FORMAT says at which byte and what was expected. Strings are UTF-8 without
 * NUL; at most KATA__JSON_MAX_DEPTH objects and arrays are open at a time. Duplicate keys are the
 * caller's to find. */
kata_status kata__json_next(kata__json *json, kata__json_token *token);
/* The same; KATA_FORMAT with `what` unless the token is of this kind. */
kata_status kata__json_expect(kata__json *json, kata__json_kind kind, const char *what,
                              kata__json_token *token);
/* A NUMBER that is a whole number in 0..2^63-1, without sign, point or exponent. */
kata_status kata__json_size(int64_t *out, const kata__json_token *token);

#endif
