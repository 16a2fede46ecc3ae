/*
 * The HTTP side of a daemon: K loops, each a thread that owns one libmicrohttpd daemon
 * (external epoll), an eventfd and its client descriptors. docs/http.md has the design.
 *
 * Main thread: http_server_start(), http_server_drain() when the end is near,
 * http_server_stop(), which returns when the loops have ended. http_kick() is for the
 * threads that have news for exchanges, at any time.
 */
#ifndef ORCD_HTTP_SERVER_H
#define ORCD_HTTP_SERVER_H

#include "http/service.h"

struct http_server;

struct http_params {
    const char *listen; /* host:port, [v6]:port, unix:/path; port 0: any */
    unsigned threads;
    const char *const *api_keys; /* copied */
    size_t n_api_keys;
    bool allow_unauthenticated;
    uint32_t keep_alive_ms, write_stall_ms, ping_ms, request_read_ms;
    uint32_t max_body_kb, max_connections;
    uint32_t deadline_default_ms, deadline_max_ms, deadline_min_remaining_ms;
};

/* Binds, listens and starts the loops, which answer at once. PERMISSION: an address that
 * other machines reach, without keys; BUSY: port in use (also by another process of the
 * same user); INVALID: address or key; IO, NOMEM. */
int http_server_start(struct http_server **out, const struct http_params *params,
    const struct http_service *service, struct orcd_error *err);
/* "http://127.0.0.1:8001" or "unix:/run/x.sock": where it really listens. */
const char *http_server_url(const struct http_server *s);

/* Wakes the loops that have something in their lists: to be called after a batch of
 * exchange_notify(). Any thread, also when the server is gone. */
void http_kick(void *hub);
void *http_server_hub(const struct http_server *s);

/* New work is refused with SHUTTING_DOWN; everything else goes on. */
void http_server_drain(struct http_server *s);
/* Flushes terminal events, closes; bounded by timeout_ms. Frees s. */
void http_server_stop(struct http_server *s, uint64_t timeout_ms);

#endif
