/*
 * One request and its answer, for those who write handlers.
 *
 * Life: the library announces a request on a connection, the gate checks its head, the
 * body arrives, route->parse and route->run are called; they answer, set an error, or
 * attach work (service.h) and wait for it. The connection drops it when the response is
 * through; memory goes with the last reference, which work may hold for longer.
 *
 * It is three things, each with one owner:
 *
 * | part                        | where               | owner                              |
 * |-----------------------------|---------------------|------------------------------------|
 * | request, answer, connection | struct exchange     | the loop thread; an intake thread  |
 * |                             |                     | while route->parse runs there      |
 * | bytes on their way out      | struct stream_out   | who has the exchange (wake.h)      |
 * | the work behind it          | x->work, a daemon's | the daemon; calls as http_work has |
 * |                             | (struct generation) | them                               |
 *
 * refs, parked, next and out.sent_ns are for any thread, as wake.h says.
 */
#ifndef ORCD_HTTP_EXCHANGE_H
#define ORCD_HTTP_EXCHANGE_H

#include <stdatomic.h>

#include "http/body.h"
#include "http/error.h"
#include "http/limits.h"
#include "http/service.h"
#include "http/stream.h"
#include "http/wake.h"
#include "json/out.h"

struct MHD_Connection;
struct conn;
struct http_server;

enum exchange_state {
    X_HEAD,      /* the library parses the head */
    X_BODY,      /* the body arrives, or is drained */
    X_COMPLETE,  /* all of it is here; the library was told to wait */
    X_WORKING,   /* an intake thread parses it; suspended */
    X_PARSED,    /* parsed */
    X_WAITING,   /* for an outcome of its work; suspended */
    X_ANSWERED,  /* a response is queued */
    X_STREAMING, /* an event stream is queued */
};

/* A body to answer with. */
struct answer {
    unsigned status; /* 0: none yet */
    char *body;      /* malloc'ed */
    size_t n;
    const char *type;
};

struct exchange {
    atomic_int refs;
    atomic_int parked;     /* enum parked */
    struct exchange *next; /* in wake->head, runnable or the intake queue */
    struct wake *wake;
    struct http_server *server;
    void *daemon;      /* service.arg */
    struct conn *conn; /* NULL once the connection has dropped it */
    struct MHD_Connection *mhd;
    enum exchange_state state;

    /* head; constant once the gate has seen it */
    const struct route *route;
    char *uri; /* raw, malloc'ed, NUL-terminated */
    size_t n_uri;
    const char *parameter; /* in uri, of ROUTE_PREFIX routes; see exchange_parameter() */
    char correlation_id[HTTP_CORRELATION_MAX + 1];
    uint64_t arrived_ns, deadline_ns; /* monotonic; 0: none */
    uint32_t owner;                   /* the key's number, from 1; 0: none are configured */
    bool deadline_clamped;
    bool late;    /* the deadline left too little at arrival */
    bool close;   /* the connection may not go on */
    bool counted; /* as refused */
    char allow[48];

    struct body body;
    size_t n_discarded; /* bytes of a body that nobody wants */

    /* outcome */
    struct http_error error;
    struct answer answer;

    /* work */
    const struct http_work *ops; /* NULL: none */
    void *work;
    bool accepted; /* it is under way */

    /* client */
    bool gone;         /* nobody reads any more */
    uint64_t rdhup_ns; /* when the event was read, or a stall was due; 0: none */

    struct stream_out out;
};

/* route->parse and route->run: answers. Takes body over; NULL: out of memory. */
void exchange_answer(struct exchange *x, unsigned status, const char *type, char *body, size_t n);
/* application/json; takes what o has. */
void exchange_answer_json(struct exchange *x, unsigned status, struct json_out *o);
/* The parameter of its path with escapes undone and NUL-terminated; false: more than fits. */
bool exchange_parameter(const struct exchange *x, char *out, size_t size, size_t *n);
/* False: x->error says that the daemon is shutting down. */
bool exchange_takes_work(struct exchange *x);

/* route->parse or route->run, once: work is freed with the exchange. */
void exchange_attach(struct exchange *x, const struct http_work *ops, void *work);
/* route->run: the attached work is under way, and will answer. */
void exchange_wait(struct exchange *x);

/* Any thread. */
void exchange_ref(struct exchange *x);
void exchange_unref(struct exchange *x);

#endif
