/*
 * One request and its answer. This is the header for code that handles requests.
 *
 * Life: the library announces a request on a connection, the gate checks its head, the
 * body arrives, then route->parse and route->run are called. They answer, set an error, or
 * attach work (service.h) and wait for its outcome. The connection drops the exchange when
 * the response was sent; its memory is freed with the last reference, which the work may
 * hold for longer.
 *
 * It consists of three parts, each with one owner at a time:
 *
 * | part                        | where               | owner                              |
 * |-----------------------------|---------------------|------------------------------------|
 * | request, answer, connection | struct exchange     | the loop thread; an intake thread  |
 * |                             |                     | while route->parse runs there      |
 * | outgoing bytes of a stream  | struct stream_out   | the thread that has the exchange   |
 * |                             |                     | (wake.h)                           |
 * | the work behind it          | x->work, a daemon's | the daemon; struct http_work says  |
 * |                             | (struct generation) | which thread makes which call      |
 *
 * Any thread may use refs, parked, next and out.sent_ns, by the rules in wake.h.
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
struct api_key;
struct conn;
struct http_server;

enum exchange_state {
    X_HEAD,      /* the library parses the head */
    X_BODY,      /* the body arrives, or is drained */
    X_COMPLETE,  /* all of it has arrived; the library will call once more */
    X_WORKING,   /* suspended while an intake thread parses it */
    X_DELAYED,   /* suspended until answer_ns */
    X_PARSED,    /* parsed */
    X_WAITING,   /* suspended until its work has an outcome */
    X_ANSWERED,  /* a response is queued */
    X_STREAMING, /* an event stream is queued */
};

/* An answer in one piece. */
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
    struct conn *conn; /* NULL once the connection has dropped the exchange */
    struct MHD_Connection *mhd;
    enum exchange_state state;

    /* the head; constant after gate_head() */
    const struct route *route;
    char *uri; /* raw, malloc'ed, NUL-terminated */
    size_t n_uri;
    const char *parameter; /* in uri, of ROUTE_PREFIX routes; see exchange_parameter() */
    char correlation_id[HTTP_CORRELATION_MAX + 1];
    uint64_t arrived_ns, deadline_ns; /* monotonic; 0: none */
    struct api_key *key;              /* keys.h; NULL: none are configured, or none is needed */
    uint32_t owner;                   /* the number of its client, from 1; 0: no key */
    uint64_t answer_ns;               /* a wrong key is not answered before; 0: at once */
    bool deadline_clamped;
    bool late;    /* the deadline left too little time at arrival */
    bool close;   /* close the connection after the answer */
    bool counted; /* was counted as refused */
    char allow[48];
    const char *origin; /* of another page, which may read the answer; in the library's memory; NULL: none */

    struct body body;
    size_t n_discarded;    /* bytes of a body that were read and discarded */
    size_t held;           /* bytes of the answer that are charged, */
    struct share *held_of; /* to whom: NULL: to all only */

    /* outcome */
    struct http_error error;
    struct answer answer;

    /* work */
    const struct http_work *ops; /* NULL: none */
    void *work;
    bool accepted; /* the work is under way: exchange_wait() was called */

    /* client */
    bool gone;         /* the client no longer reads */
    uint64_t rdhup_ns; /* when its disconnect was noticed, or its write stall timed out; 0: neither */

    struct stream_out out;
};

/* For route->parse and route->run: sets the answer. The exchange becomes the owner of body,
 * which is malloc'ed; NULL sets the error "out of memory". */
void exchange_answer(struct exchange *x, unsigned status, const char *type, char *body, size_t n);
/* The same with the text in o, a growing one, as application/json. */
void exchange_answer_json(struct exchange *x, unsigned status, struct json_out *o);
/* The parameter of the path, unescaped and NUL-terminated; false: it does not fit. */
bool exchange_parameter(const struct exchange *x, char *out, size_t size, size_t *n);
/* Open connections of its server, and the bytes that large bodies and answers hold (share.h). */
unsigned exchange_server_connections(const struct exchange *x);
size_t exchange_server_held(const struct exchange *x);
/* False: the daemon is shutting down, and x->error is set. */
bool exchange_takes_work(struct exchange *x);

/* For route->parse or route->run, at most once: attaches work, which ops->free frees when
 * the exchange is freed. */
void exchange_attach(struct exchange *x, const struct http_work *ops, void *work);
/* For route->run: the attached work is under way and will answer later. */
void exchange_wait(struct exchange *x);

/* Any thread. */
void exchange_ref(struct exchange *x);
void exchange_unref(struct exchange *x);

#endif
