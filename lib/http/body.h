/*
 * The JSON body of a request, gathered and checked piece by piece: body_take() for each
 * piece, body_end() after the last, then text and n may be read; body_free() as soon as it
 * was parsed, while the server lives, and body_release() with the exchange. Loop thread;
 * an intake thread reads it while it has the exchange.
 */
#ifndef ORCD_HTTP_BODY_H
#define ORCD_HTTP_BODY_H

#include <stdbool.h>
#include <stddef.h>

#include "http/error.h"
#include "json/scan.h"

struct http_server;

struct body {
    struct json_scan scan;
    bool scanning;
    char *text; /* malloc'ed, sound JSON once the end was there; no NUL behind it */
    size_t n, cap;
};

/* False: error says why; no more pieces are wanted. */
bool body_take(struct body *b, struct http_server *s, const char *data, size_t n, struct http_error *error);
void body_end(struct body *b, struct http_error *error);
/* Gives the memory back to the server's budget. */
void body_free(struct body *b, struct http_server *s);
void body_release(struct body *b);

#endif
