/*
 * What a daemon supplies to its HTTP server: its routes, the shapes of its errors, who
 * counts what was refused; and, for each request that takes its time, the work behind it.
 * The server knows nothing else of it.
 *
 * A service is constant from http_server_start() to http_server_stop(); the server keeps a
 * pointer. Exchanges that outlive the server do not look at it.
 */
#ifndef ORCD_HTTP_SERVICE_H
#define ORCD_HTTP_SERVICE_H

#include "http/error.h"
#include "http/routes.h"

struct http_service {
    const char *name; /* of the daemon, in messages: "the worker is shutting down" */
    const struct route *routes;
    size_t n_routes;
    /* Of errors on paths with a prefix; the native one of http/error.h elsewhere. */
    const struct error_shape *shapes;
    size_t n_shapes;
    /* Loop thread: a request on a ROUTE_WORK route gets x->error and will not be worked on.
     * Once a request. NULL: nobody counts. */
    void (*refused)(const struct exchange *x);
    void *arg; /* the daemon's own: x->daemon */
};

/*
 * The work behind an exchange: what answers it later, in one piece or as a stream of
 * events. A handler attaches it (exchange_attach) and, once it is under way, says so
 * (exchange_wait). From then on:
 *
 *   has_outcome ... begin -+- x->answer or x->error is set: sent, done
 *                          +- a stream: (has_news .. format, taken .. handed)* until
 *                             x->out.closed is set
 *   drop when the response is through or the connection gone; free with the last reference
 *
 * Whoever makes has_outcome or has_news true calls exchange_notify() afterwards (direct.h).
 * Those that look are called by the loop thread; format, format_all, taken and handed by
 * whoever has the exchange (wake.h), which may be the thread that called exchange_notify().
 * None may block. NULL where it says so.
 */
struct http_work {
    /* Would begin() answer or begin a stream now? */
    bool (*has_outcome)(const struct exchange *x);
    /* Loop thread. There is an outcome, or the server is about to stop. True: the head of
     * an event stream goes out. False: x->answer or x->error is set. */
    bool (*begin)(struct exchange *x);

    /* Is there something that format() would write? */
    bool (*has_news)(const struct exchange *x);
    /* Writes the next event that is due, whole; false: none is. It counts once taken() is
     * called: an event that did not fit is asked for again. */
    bool (*format)(struct exchange *x, struct json_out *o, uint64_t now);
    /* Writes all that is due, of what may be sent by any thread. False: there is something
     * else to tell, which is the loop's. NULL: always so. */
    bool (*format_all)(struct exchange *x, struct json_out *o);
    /* What the last of the two wrote is on its way. */
    void (*taken)(struct exchange *x, uint64_t now);
    /* All that was taken is in the kernel. NULL: nobody asks. */
    void (*handed)(struct exchange *x, uint64_t now);

    /* Loop thread: nobody reads any more, which was noticed at noticed_ns. May come more
     * than once. NULL: the work goes on. */
    void (*gone)(struct exchange *x, uint64_t noticed_ns);
    /* Loop thread: the server stops; has_outcome should become true soon. NULL: it does. */
    void (*drain)(struct exchange *x);
    /* Loop thread: the connection is done with it. whole: its answer went out in one piece.
     * The last call but free(). NULL: nothing to do. */
    void (*drop)(struct exchange *x, bool whole);
    /* Any thread: the last reference is gone. NULL: nothing to free. */
    void (*free)(void *work);
};

#endif
