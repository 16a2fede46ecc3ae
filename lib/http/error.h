/*
 * An error of an API as clients see it: a code, a message, details, and the shape in which
 * a family of paths reports it. A plain value; any thread. Begin with {.code = API_OK}. Only
 * the first http_error_set() has an effect, so code that checks several things reports the
 * first problem. Set details right after the error that they belong to.
 */
#ifndef ORCD_HTTP_ERROR_H
#define ORCD_HTTP_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "json/out.h"
#include "http/codes.h"

struct http_error;
typedef void (*error_header_fn)(void *arg, const char *name, const char *value);

/* How errors are written on paths that begin with prefix. */
struct error_shape {
    const char *prefix;
    void (*write)(struct json_out *o, const struct http_error *e, const char *correlation_id);
    /* Additional headers of every answer on such a path; NULL: none. */
    void (*headers)(const struct http_error *e, const char *correlation_id, error_header_fn add, void *arg);
    const char *not_found; /* the message of 404 */
};

struct http_error {
    enum api_code code; /* API_OK: none */
    char message[256];
    char details[256]; /* a JSON object, or "" */
    char param[64];    /* the name of the wrong field, or "" */
    uint32_t retry_after_s;
    const struct error_shape *shape; /* NULL: the native one, {"error":{"code","message",..}} */
};

void http_error_set(struct http_error *e, enum api_code code, const char *fmt, ...) ORCD_PRINTF(3, 4);
/* details: {"field":"params.top_p"} */
void http_error_detail_field(struct http_error *e, const char *path, const char *field);
/* details: {"a":1,"b":2}; names are plain. */
void http_error_detail_numbers(
    struct http_error *e, const char *a, uint64_t a_value, const char *b, uint64_t b_value);
/* ,"details":{..} within an object, or nothing for "". */
void http_error_put_details(struct json_out *o, const char *details);
/* The body, malloc'ed; NULL: out of memory. */
char *http_error_body(const struct http_error *e, const char *correlation_id, size_t *n);

#endif
