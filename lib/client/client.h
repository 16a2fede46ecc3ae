/*
 * An HTTP client for talking to workers and daemons: http://HOST:PORT/PREFIX, https:// with the system's
 * certificates, unix:/PATH; on libcurl, one request at a time. Names are asked for through the proxies of
 * the environment (http_proxy, https_proxy, no_proxy), this machine never is.
 *
 * Life cycle: client_open, any number of requests, client_close. Nothing is connected before the first
 * request; the next one uses the same connection if the body before it was read to its end.
 *
 * Threads: a client belongs to one thread at a time and its calls block; clients of several threads know
 * nothing of each other.
 *
 * Order of calls for a request: client_send, which returns with the head of the answer, and
 * client_content_type; then client_read until it returns 0, or client_read_all once.
 *
 * Bounds: the head of an answer 64 KB, a body read whole what the caller says, unread bytes 16 KB; no
 * redirects, cookies, .netrc or HTTP/0.9. Messages hold no token.
 */
#ifndef ORCD_CLIENT_CLIENT_H
#define ORCD_CLIENT_CLIENT_H

#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

struct client;

/* Loads libcurl, which else the first client_open does: for whoever has time now or measures it later.
 * 0 or UNSUPPORTED. */
int client_prepare(struct orcd_error *err);

/* Errors: INVALID (address), UNSUPPORTED (no libcurl). To connect may take connect_ms. */
int client_open(struct client **out, const char *url, int connect_ms, struct orcd_error *err);
void client_close(struct client *c); /* takes NULL */

/* While waiting, client calls return CLIENT_WOKEN when fd becomes readable. -1: none. The reader of fd is
 * the caller. After it, client_read may be called again, client_send not continued. */
void client_set_wake(struct client *c, int fd);
/* ORCD_E_IO when, after the request was sent, the head takes longer than this to come, or a byte of a body
 * does, or the whole body of client_read_all; -1: wait for ever. */
void client_set_timeout(struct client *c, int timeout_ms);
#define CLIENT_WOKEN 1

struct client_request {
    const char *method, *path; /* the path goes after the address's prefix */
    const char *body;          /* application/json; NULL: none */
    size_t n_body;
    const char *bearer;         /* API key; NULL: none */
    const char *const *headers; /* further ones, "Name: value", up to a NULL; NULL: none */
};

/* Sends a request and reads the head of the answer. 0: *status is set. Errors: INVALID (no HTTP, too
 * long), NOT_FOUND (no such host), IO (unreachable, not trusted, cut, too slow). */
int client_send(struct client *c, const struct client_request *r, int *status, struct orcd_error *err);
/* A header of the answer, "" when it is absent. */
const char *client_content_type(const struct client *c);
/* Reads body bytes: > 0 many, 0 at its end. On failure *rc says why (negative or
 * CLIENT_WOKEN) and -1 is returned. */
ssize_t client_read(struct client *c, char *buf, size_t size, int *rc, struct orcd_error *err);
/* The whole body, at most max bytes, malloc'ed and NUL-terminated. */
int client_read_all(struct client *c, size_t max, char **body, size_t *n, struct orcd_error *err);

#endif
