/*
 * A small HTTP/1.1 client for talking to workers: one connection, one request at a
 * time, over TCP ("http://host:port/prefix") or a unix socket ("unix:/path"). Bodies
 * may be of any length; heads and lines are bounded. Not thread safe.
 */
#ifndef ORCD_CLIENT_CLIENT_H
#define ORCD_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

struct client;

/* Connects. Errors: INVALID (address), NOT_FOUND (no such host), IO (unreachable). */
int client_open(struct client **out, const char *url, int timeout_ms, struct orcd_error *err);
void client_close(struct client *c); /* takes NULL */

/* While waiting for bytes, client calls return CLIENT_WOKEN when fd becomes readable.
 * -1: none. The reader of fd is the caller. */
void client_set_wake(struct client *c, int fd);
/* No byte for this long is ORCD_E_IO; -1: wait for ever. */
void client_set_timeout(struct client *c, int timeout_ms);
#define CLIENT_WOKEN 1

struct client_request {
    const char *method, *path;
    const char *body; /* NULL: none */
    size_t n_body;
    const char *bearer;  /* API key; NULL: none */
    const char *headers; /* further lines, each with \r\n; NULL: none */
};

/* Sends a request and reads the head of the answer. 0: *status is set. */
int client_send(struct client *c, const struct client_request *r, int *status, struct orcd_error *err);
/* A header of the answer, "" when it is absent. */
const char *client_content_type(const struct client *c);
/* Reads body bytes: > 0 many, 0 at its end. On failure *rc says why (negative or
 * CLIENT_WOKEN) and -1 is returned. */
ssize_t client_read(struct client *c, char *buf, size_t size, int *rc, struct orcd_error *err);
/* The whole body, at most max bytes, malloc'ed and NUL-terminated. */
int client_read_all(struct client *c, size_t max, char **body, size_t *n, struct orcd_error *err);

/* --- server-sent events: bytes in, events out --- */

#define SSE_EVENT_MAX (1u << 20)

struct sse {
    char name[64], id[64]; /* of the event being read */
    char *data;            /* NUL-terminated */
    size_t n_data, line_n;
    char *line;
    bool after_cr;
};

/* Called per event; non-zero ends sse_feed, which returns it. */
typedef int (*sse_fn)(const char *name, const char *id, const char *data, void *arg);
int sse_feed(struct sse *s, const char *p, size_t n, sse_fn fn, void *arg, struct orcd_error *err);
void sse_release(struct sse *s);

#endif
