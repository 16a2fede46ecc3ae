/*
 * The HTTP side of a daemon: K loops, each a thread that owns one libmicrohttpd daemon
 * (external epoll), an eventfd and its client descriptors. docs/http.md has the design.
 *
 * Main thread: http_server_start(), http_server_drain() when the shutdown begins,
 * http_server_stop(), which returns when the loops have ended. Threads that have news for
 * exchanges may call http_kick() at any time.
 */
#ifndef ORCD_HTTP_SERVER_H
#define ORCD_HTTP_SERVER_H

#include "http/service.h"

struct http_server;

struct http_params {
    const char *listen;       /* host:port, [v6]:port, unix:/path; port 0: any */
    uint32_t socket_mode;     /* of a unix socket: 0 to 0777 */
    const char *socket_group; /* its group by name; NULL: as it comes */
    unsigned threads;
    const char *api_keys; /* the text of a file of keys (keys.h); copied. NULL: none are configured */
    size_t api_keys_bytes;
    const char *api_keys_path;   /* for messages */
    uint32_t wrong_key_delay_ms; /* the longest; guess.h */
    bool allow_unauthenticated;
    const char *cors_origins; /* cors.h; NULL: off */
    uint32_t keep_alive_ms, write_stall_ms, ping_ms, request_read_ms;
    uint32_t max_body_kb, max_connections;
    uint32_t max_connections_per_peer; /* of one address; 0: no limit but the one above */
    uint32_t buffer_mb;                /* for large bodies and answers that wait for clients; share.h */
    uint32_t deadline_default_ms, deadline_max_ms, deadline_min_remaining_ms;
};

/* Binds, listens and starts the loops, which answer at once. PERMISSION: an address that
 * other machines reach, without keys; BUSY: port in use (also by another process of the
 * same user); INVALID: address or key; IO, NOMEM. */
int http_server_start(struct http_server **out, const struct http_params *params,
    const struct http_service *service, struct orcd_error *err);
/* The actual address: "http://127.0.0.1:8001" or "unix:/run/x.sock". */
const char *http_server_url(const struct http_server *s);

/* Wakes the loops that have something in their lists; must be called after a batch of
 * exchange_notify(). Any thread, also after http_server_stop(). */
void http_kick(void *hub);
void *http_server_hub(const struct http_server *s);

/* Replaces the API keys of a server that has some by those of a file's text; requests that are under way
 * go on. On failure (INVALID, NOMEM) the keys stay as they were. Main thread. */
int http_server_set_keys(struct http_server *s, const char *text, size_t bytes, struct orcd_error *err);

/* True if each loop has gone round since the last call; also wakes them, so that idle ones can before the
 * next one. One thread calls it. */
bool http_server_turned(struct http_server *s);

/* From now on new work is refused with SHUTTING_DOWN; everything else goes on. */
void http_server_drain(struct http_server *s);
/* Sends pending terminal events and closes all connections, within timeout_ms. Frees s. */
void http_server_stop(struct http_server *s, uint64_t timeout_ms);

#endif
