/*
 * A pull reader of JSON text: the caller requests the value that it expects next, and no
 * tree is built, so that a file of 30 MB needs no memory besides its own text. Strings are
 * unescaped in place: text that was read can't be read again, text that was skipped can.
 * scan.h says why three readers exist.
 *
 * A struct json_reader is a plain value that one thread uses; the caller owns the text,
 * which must be writable and outlive every json_text.
 *
 * The text is not trusted. Errors stick: after the first one every call fails, r->error is
 * the reason (static text) and r->p the position. There is no recursion; nesting is bounded.
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

/* A string: a part of the reader's text, valid UTF-8; it may contain NUL. */
struct json_text {
    char *p;
    size_t n;
};

/* The first byte of the next value: '{', '[', '"', 't', 'f', 'n', or '-' or a digit of a
 * number. Only this byte is checked. 0: error. */
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
/* Skips a null if one comes next. False: another value comes next, or an error. */
bool json_null(struct json_reader *r);
/* Skips any value; its grammar is checked, except the contents of strings. */
bool json_skip(struct json_reader *r);
/* Only white space is left. */
bool json_end(struct json_reader *r);
bool json_fail(struct json_reader *r, const char *why); /* false */

static inline bool json_text_is(struct json_text t, const char *s)
{
    return __builtin_strlen(s) == t.n && !__builtin_memcmp(t.p, s, t.n);
}

#endif
