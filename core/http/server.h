/*
 * The HTTP side of a worker: K loops, each owning one libmicrohttpd daemon (external
 * epoll), an eventfd and its client descriptors. docs/http.md has the design.
 */
#ifndef ORCD_HTTP_SERVER_H
#define ORCD_HTTP_SERVER_H

#include "chat/chat.h"
#include "engine/engine.h"
#include "health.h"

struct http_server;

struct http_params {
    const char *listen; /* host:port, [v6]:port, unix:/path; port 0: any */
    unsigned threads;
    const char *const *api_keys; /* copied */
    size_t n_api_keys;
    bool allow_unauthenticated;
    uint32_t keep_alive_ms, write_stall_ms, ping_ms, metrics_event_ms, request_read_ms;
    uint32_t max_body_kb, max_connections;
    uint32_t deadline_default_ms, deadline_max_ms, deadline_min_remaining_ms;
    void (*shutdown)(void *arg); /* an authorized POST /v2/shutdown; NULL: 404 */
    void *shutdown_arg;
};

/* Binds, listens and starts the loops; answers with MODEL_LOADING until
 * http_server_set_model. PERMISSION: bind without a key beyond loopback;
 * BUSY: port in use (also by another worker of the same user); INVALID: address. */
int http_server_start(struct http_server **out, const struct http_params *params, struct engine *engine,
    struct health *health, struct orcd_error *err);
/* "http://127.0.0.1:8001" or "unix:/run/x.sock": where it really listens. */
const char *http_server_url(const struct http_server *s);

struct http_model {
    const struct tokenizer *tokenizer;
    const struct chat_template *chat;
    const char *name, *ref, *quant_kind, *arch; /* copied */
    uint32_t n_ctx;                             /* tokens of a sequence */
    uint32_t n_vocab;
    uint64_t weight_bytes;
    int64_t since_s; /* Unix time; told by http_server_set_model */
};
void http_server_set_model(struct http_server *s, const struct http_model *model);

/* New jobs get SHUTTING_DOWN; health and metrics go on. */
void http_server_drain(struct http_server *s);
/* Flushes terminal events, closes; bounded by timeout_ms. Frees s. */
void http_server_stop(struct http_server *s, uint64_t timeout_ms);

#endif
