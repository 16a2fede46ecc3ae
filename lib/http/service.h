/*
 * What a daemon supplies to its HTTP server: its routes, the shapes of its errors, a function
 * that counts refused requests; and, for each request that takes time, the work behind it.
 * The server knows nothing else about the daemon.
 *
 * A service is constant from http_server_start() to http_server_stop(); the server keeps a
 * pointer to it. Exchanges that outlive the server do not use it.
 */
#ifndef ORCD_HTTP_SERVICE_H
#define ORCD_HTTP_SERVICE_H

#include "http/error.h"
#include "http/routes.h"

struct http_service {
    const char *name; /* of the daemon, in messages: "the worker is shutting down" */
    const struct route *routes;
    size_t n_routes;
    /* The shapes of errors on some paths; the others have the native one of http/error.h. */
    const struct error_shape *shapes;
    size_t n_shapes;
    /* Loop thread, at most once per request: a request on a ROUTE_WORK route was refused with
     * x->error, or its client left before it was accepted. NULL: not counted. */
    void (*refused)(const struct exchange *x);
    void *arg; /* the daemon's own: x->daemon */
};

/*
 * The work behind an exchange: it answers later, in one piece or as a stream of events. A
 * handler attaches it (exchange_attach) and, once it is under way, calls exchange_wait. From
 * then on the server makes these calls:
 *
 *   has_outcome ... begin -+- x->answer or x->error is set: sent, done
 *                          +- a stream: (has_news .. format, taken .. handed)* until
 *                             x->out.closed is set
 *   drop when the response was sent or the connection closed; free with the last reference
 *
 * The thread that makes has_outcome or has_news true calls exchange_notify() afterwards
 * (direct.h). The loop thread calls has_outcome, begin, has_news, gone, drain and drop. The
 * thread that has the exchange (wake.h) calls format, format_all, taken and handed: the loop
 * thread, or the one that called exchange_notify(). None of them may block. A member may be
 * NULL only where its comment says so.
 */
struct http_work {
    /* True if begin() would answer or begin a stream now. */
    bool (*has_outcome)(const struct exchange *x);
    /* There is an outcome, or the server is stopping. True: begin an event stream. False:
     * x->answer or x->error is set. */
    bool (*begin)(struct exchange *x);

    /* True if format() would write something. */
    bool (*has_news)(const struct exchange *x);
    /* Writes the next event that is due, whole; false: none is due. It counts as sent only
     * when taken() is called: an event that did not fit is requested again. */
    bool (*format)(struct exchange *x, struct json_out *o, uint64_t now);
    /* Writes all events that are due, if any thread may send them. False: some other event is
     * due, which only the loop may send. NULL: always false. */
    bool (*format_all)(struct exchange *x, struct json_out *o);
    /* What the last call of format() or format_all() wrote is on its way. */
    void (*taken)(struct exchange *x, uint64_t now);
    /* All bytes of which taken() was called are in the kernel. NULL: not needed. */
    void (*handed)(struct exchange *x, uint64_t now);

    /* The client no longer reads, which was noticed at noticed_ns. May be called more than
     * once. NULL: the work goes on. */
    void (*gone)(struct exchange *x, uint64_t noticed_ns);
    /* The server is stopping; has_outcome must become true soon. NULL: it does by itself. */
    void (*drain)(struct exchange *x);
    /* The connection has dropped the exchange; only free() is called after this. whole: the
     * answer was sent in one piece. NULL: nothing to do. */
    void (*drop)(struct exchange *x, bool whole);
    /* Any thread: the last reference was released. NULL: nothing to free. */
    void (*free)(void *work);
};

#endif
