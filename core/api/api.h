/*
 * The worker's API for its HTTP server: the routes, and what their handlers use besides the
 * request. Created before the server, freed after the server and the engine. Handlers run on
 * HTTP loops and intake threads; any thread may call api_set_model(), once.
 */
#ifndef ORCD_API_API_H
#define ORCD_API_API_H

#include "chat/chat.h"
#include "engine/engine.h"
#include "health.h"
#include "http/exchange.h"

struct api_model {
    const struct tokenizer *tokenizer;
    const struct chat_template *chat;
    const char *name, *ref, *quant_kind, *arch; /* copied, as is plugin */
    uint32_t n_ctx;                             /* tokens of a sequence */
    uint32_t n_vocab;
    uint64_t weight_bytes;
    const char *plugin;   /* its name and version */
    int64_t since_s;      /* Unix time; set by api_set_model, as is the next */
    char fingerprint[24]; /* changes with what may change answers: version, model, plugin */
};

struct api_params {
    struct engine *engine; /* borrowed, as health is */
    struct health *health;
    uint32_t metrics_event_ms;   /* minimum interval of metrics events on a stream; 0: none */
    void (*shutdown)(void *arg); /* an authorized POST /v2/shutdown; NULL: 404 */
    void *shutdown_arg;
};

struct api {
    struct api_params params;
    _Atomic(struct api_model *) model; /* NULL: still loading */
    struct http_service service;
};

/* NOMEM. */
int api_new(struct api **out, const struct api_params *params, struct orcd_error *err);
void api_free(struct api *a); /* a may be NULL */
/* The model is loaded: from now on requests for work are accepted. Later calls have no effect. */
void api_set_model(struct api *a, const struct api_model *model);

/* route-table.c: what the HTTP server is started with; valid until api_free(). */
const struct http_service *api_service(struct api *a);

/* The one that the exchange's server was started with; valid while the server runs. */
struct api *api_of(const struct exchange *x);
/* NULL: the model is still loading, and x->error is set. */
const struct api_model *api_model(struct exchange *x);

#endif
