/* What the loops share. server.c creates and frees it; while the loops run it is constant,
 * except for the atomics and reserve_fd, which reserve_lock guards. */
#ifndef ORCD_HTTP_SERVER_INTERNAL_H
#define ORCD_HTTP_SERVER_INTERNAL_H

#include <stdatomic.h>

#include "base/clock.h"
#include "http/conn.h"
#include "http/cors.h"
#include "http/guess.h"
#include "http/keys.h"
#include "http/limits.h"
#include "http/loop.h"
#include "http/server.h"
#include "http/share.h"

struct hub;
struct intake;

struct http_server {
    struct http_params params; /* its pointers are owned by the server or not used after start */
    bool has_keys;
    struct keys keys;
    struct guesses guesses;
    bool check_host, strict_head, loopback;
    char own_host[64]; /* literal address that it listens on, "" if none */
    const struct http_service *service;
    atomic_bool draining, stopping;
    atomic_uint n_connections;
    struct cors cors;
    struct shares shares; /* what bodies and answers hold */
    char url[300];
    char unix_path[108]; /* to unlink; "" */
    struct loop loops[HTTP_MAX_LOOPS];
    unsigned n_loops;
    struct hub *hub;
    int reserve_fd; /* closed to accept and refuse when descriptors run out */
    pthread_mutex_t reserve_lock;
    struct intake *intake;
};

/* Loop thread: the connection was opened, or the first bytes of a request have arrived.
 * Starts the time in which the whole request must arrive. */
static inline void conn_reading(struct conn *c, uint64_t now)
{
    c->read_deadline_ns = now + c->loop->server->params.request_read_ms * NS_PER_MS;
    loop_timer_at(c->loop, c->read_deadline_ns);
}

#endif
