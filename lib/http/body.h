/*
 * The JSON body of a request, collected and checked piece by piece: body_take() for each
 * piece, body_end() after the last one; then text and n may be read. body_free() as soon as
 * the body was parsed, before the server is freed; body_release() when the exchange is freed.
 * The loop thread makes these calls; an intake thread reads the body while it has the exchange.
 */
#ifndef ORCD_HTTP_BODY_H
#define ORCD_HTTP_BODY_H

#include <stdbool.h>
#include <stddef.h>

#include "http/error.h"
#include "json/scan.h"

struct http_server;
struct share;

struct body {
    struct json_scan scan;
    bool scanning;
    char *text; /* malloc'ed, without a NUL at its end; valid JSON once body_end() succeeded */
    size_t n, cap;
    struct share *of; /* who is charged */
};

/* of: the client's share. False: error is set, and the caller passes no more pieces. */
bool body_take(struct body *b, struct http_server *s, struct share *of, const char *data, size_t n,
    struct http_error *error);
void body_end(struct body *b, struct http_error *error);
/* Frees the text and returns its size to the server's budget. */
void body_free(struct body *b, struct http_server *s);
void body_release(struct body *b);

#endif
