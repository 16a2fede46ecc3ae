/* What goes back to a client: an error of the API, or a body. */
#ifndef ORCD_HTTP_ERROR_H
#define ORCD_HTTP_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "json/out.h"
#include "http/codes.h"

struct http_error {
    enum api_code code; /* API_OK: none */
    char message[256];
    char details[256]; /* a JSON object, or "" */
    char param[64];    /* the field at fault, or "" */
    uint32_t retry_after_s;
    bool openai; /* told in the shape of OpenAI's API */
};

void http_error_set(struct http_error *e, enum api_code code, const char *fmt, ...) ORCD_PRINTF(3, 4);
/* details: {"field":"params.top_p"} */
void http_error_detail_field(struct http_error *e, const char *path, const char *field);
/* details: {"a":1,"b":2}; names are plain. */
void http_error_detail_numbers(
    struct http_error *e, const char *a, uint64_t a_value, const char *b, uint64_t b_value);
/* {"error": ...} in OpenAI's shape; param may be NULL or "". */
void http_error_openai(struct json_out *o, enum api_code code, const char *message, const char *param,
    const char *details, const char *correlation_id);
/* The body, malloc'ed; NULL: out of memory. */
char *http_error_body(const struct http_error *e, const char *correlation_id, size_t *n);

#endif
