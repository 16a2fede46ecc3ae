/*
 * What a daemon supplies to its HTTP server: its routes, the shapes of its errors, and who
 * counts what was refused. The server knows nothing else of it.
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

#endif
