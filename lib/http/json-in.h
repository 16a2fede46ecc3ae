/*
 * Typed access to parsed JSON; every value is checked for its type, its range and that it is
 * finite. The first problem is kept as an error of the API that names the field; later calls
 * do nothing, so code that reads fields needs no checks between them. It is here and not in
 * lib/json because it fills in a struct http_error.
 *
 * json_in_parse() after json_scan has accepted the text; then the accessors; at the end
 * json_object_put(). One thread at a time.
 */
#ifndef ORCD_HTTP_JSON_IN_H
#define ORCD_HTTP_JSON_IN_H

#include <json-c/json.h>

#include "http/error.h"

struct json_in {
    struct http_error *error;
    const char *path; /* "" or "params.": what field names are prefixed with */
};

/* Parses text that json_scan has accepted. NULL: error is set. Free with json_object_put. */
json_object *json_in_parse(const char *text, size_t n, struct http_error *error);

/* The error "PATH+FIELD TEXT": "params.top_k must be 0 to 512". */
void json_in_fail(struct json_in *in, const char *field, const char *fmt, ...) ORCD_PRINTF(3, 4);
/* The error "unknown field PATH+FIELD". */
void json_in_unknown(struct json_in *in, const char *field);

/* Integers must be written as integers ("1.0" is not one). */
bool json_in_u64(
    struct json_in *in, const char *field, json_object *v, uint64_t lo, uint64_t hi, uint64_t *out);
bool json_in_i64(struct json_in *in, const char *field, json_object *v, int64_t lo, int64_t hi, int64_t *out);
/* lo_open: lo itself is refused. */
bool json_in_f32(
    struct json_in *in, const char *field, json_object *v, double lo, double hi, bool lo_open, float *out);
bool json_in_bool(struct json_in *in, const char *field, json_object *v, bool *out);
bool json_in_text(struct json_in *in, const char *field, json_object *v, const char **s, size_t *n);
bool json_in_type(struct json_in *in, const char *field, json_object *v, json_type type, const char *what);

#endif
