/*
 * Which handler serves a request: a table that the daemon supplies. A path that is not in it
 * is 404, another method of a known path 405. Constant data; any thread.
 */
#ifndef ORCD_HTTP_ROUTES_H
#define ORCD_HTTP_ROUTES_H

#include "http/error.h"

struct exchange;
struct http_service;

enum route_flags {
    ROUTE_OPEN = 1,    /* needs no key */
    ROUTE_BODY = 2,    /* a JSON body */
    ROUTE_WORK = 4,    /* requests work: deadline headers are read, refusals are counted, and a
                        * client that has closed its sending side gets no answer */
    ROUTE_PREFIX = 8,  /* the last part of the path is a parameter */
    ROUTE_ADMIN = 16,  /* for admins' keys; exists only with configured keys */
    ROUTE_SLASHES = 32 /* the parameter may contain slashes */
};
struct route {
    const char *method, *path;
    unsigned flags;
    /* Loop thread, or for large bodies an intake thread: reads x->body and sets x->answer or
     * x->error, or attaches work. NULL: nothing to parse. */
    void (*parse)(struct exchange *x);
    /* Loop thread: answers, or leaves x waiting for an outcome. NULL: parse has answered. */
    void (*run)(struct exchange *x);
};

/* NULL: error is set to NOT_FOUND or METHOD_NOT_ALLOWED (then allow is filled in).
 * parameter: where the last part of a PREFIX route begins in path. */
const struct route *route_find(const struct http_service *service, const char *method, const char *path,
    const char **parameter, char *allow, size_t allow_size, struct http_error *error);
/* True if requests of this path need no key, whatever the method. */
bool route_path_is_open(const struct http_service *service, const char *path);

#endif
