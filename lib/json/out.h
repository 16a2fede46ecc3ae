/*
 * Writes JSON into a fixed buffer or one that grows. Strings are written as valid UTF-8,
 * whatever bytes they hold; the writer sets the commas.
 *
 * A struct json_out is a plain value that one thread uses: json_out_fixed() or
 * json_out_growing(), then the parts in the order of the text, then json_out_take(). The
 * caller need not check each call: when a part does not fit or memory runs out, `failed`
 * is set, and json_out_take() returns NULL.
 */
#ifndef ORCD_JSON_OUT_H
#define ORCD_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_out {
    char *s;
    size_t n, cap;
    bool grows;  /* s is malloc'ed; the caller of json_out_take() frees it */
    bool failed; /* the text did not fit or memory ran out: it is incomplete */
    bool comma;  /* a comma must be written before the next value */
};

void json_out_fixed(struct json_out *o, char *buf, size_t size);
void json_out_growing(struct json_out *o); /* s may be NULL afterwards: failed is set */
/* NUL-terminates the text and returns it; NULL if `failed` (a growing buffer is freed). */
char *json_out_take(struct json_out *o, size_t *n);

void json_out_raw(struct json_out *o, const char *s, size_t n); /* bytes as they are */
void json_out_open(struct json_out *o, const char *key, char bracket);
void json_out_close(struct json_out *o, char bracket);
/* key NULL: an element of an array, or the top. */
void json_out_text(struct json_out *o, const char *key, const char *s); /* NULL: null */
void json_out_text_n(struct json_out *o, const char *key, const char *s, size_t n);
void json_out_u64(struct json_out *o, const char *key, uint64_t v);
void json_out_i64(struct json_out *o, const char *key, int64_t v);
void json_out_f64(struct json_out *o, const char *key, double v, int decimals); /* not finite: null */
void json_out_bool(struct json_out *o, const char *key, bool v);
void json_out_null(struct json_out *o, const char *key);
void json_out_digits(struct json_out *o, uint64_t v); /* a number alone, without a comma before it */
/* The inside of a string: escaped, without quotes. */
void json_out_escaped(struct json_out *o, const char *s, size_t n);

#endif
