/*
 * A reader of JSON text by pulling: the caller says what it expects next and nothing is
 * built in between, so that a file of 30 MB takes no memory besides its own. Strings are
 * unescaped in place: what was read once can't be read again; what was skipped can.
 * Why it exists beside scan and http/json-in: scan.h.
 *
 * A struct json_reader is a plain value of one thread; the caller owns the text, which must
 * be writable and outlive every json_text.
 *
 * The text is not trusted. Errors stick: after the first one every call fails, r->error
 * says why (static text) and r->p where. No recursion, nesting is bounded.
 */
#ifndef ORCD_JSON_READ_H
#define ORCD_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_READ_DEPTH 64

struct json_reader {
    char *p, *end;
    const char *error; /* NULL: none */
};

/* A string; it lies in the text, is valid UTF-8, and may hold NUL. */
struct json_text {
    char *p;
    size_t n;
};

/* The first byte of the next value: '{', '[', '"', 't', 'f', 'n', or a number's '-' or
 * digit (further bytes are not looked at). 0: error. */
char json_peek(struct json_reader *r);

/* Objects and arrays:
 *   json_open(r, '{');
 *   for (bool first = true; json_next(r, '}', &first);) {
 *       json_key(r, &key);
 *       ... exactly one value ...
 *   }
 * The loop ends at the closing bracket, and at an error. */
bool json_open(struct json_reader *r, char bracket);
bool json_next(struct json_reader *r, char close, bool *first);
bool json_key(struct json_reader *r, struct json_text *key);

bool json_string(struct json_reader *r, struct json_text *out);
bool json_bool(struct json_reader *r, bool *out);
/* An integer from 0 to 2^32-1 without fraction or exponent. */
bool json_u32(struct json_reader *r, uint32_t *out);
/* Takes a null if one is next. */
bool json_null(struct json_reader *r);
/* Any value, whose grammar is checked but for the insides of strings. */
bool json_skip(struct json_reader *r);
/* Only white space is left. */
bool json_end(struct json_reader *r);
bool json_fail(struct json_reader *r, const char *why); /* false */

static inline bool json_text_is(struct json_text t, const char *s)
{
    return __builtin_strlen(s) == t.n && !__builtin_memcmp(t.p, s, t.n);
}

#endif
