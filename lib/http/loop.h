/*
 * One loop: a thread with an epoll set of the library's own epoll descriptor, the wake
 * descriptor, the listener and every client descriptor. loop_start() starts the thread,
 * which owns the library's daemon, the connections and everything here but `wake`; it ends
 * when the server sets `stopping` and kicks it, at stop_by_ns at the latest, and frees
 * what it has. The server joins it.
 */
#ifndef ORCD_HTTP_LOOP_H
#define ORCD_HTTP_LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct MHD_Daemon;
struct conn;
struct exchange;
struct http_server;
struct wake;

struct loop {
    struct http_server *server;
    struct wake *wake;
    unsigned index;
    struct MHD_Daemon *mhd;
    int epoll_fd, listen_fd, mhd_fd;
    bool accept_paused, half_closed_seen;
    bool accepts_spare; /* the connection that is being passed on is beyond http.max_connections */
    pthread_t thread;
    bool has_thread;
    struct conn *conns;
    struct exchange *runnable, **runnable_tail;
    uint64_t next_timer_ns; /* no timer of a connection is due before */
    bool draining;          /* the server is stopping: suspend no connection any more */
    uint64_t stop_by_ns;
    uint64_t mhd_ran_ns;
    atomic_uint turns;   /* of the loop; only its thread writes */
    unsigned turns_seen; /* http_server_turned() */
};

int loop_start(struct loop *l, struct orcd_error *err);

/* Loop thread: a timer is due at ns. */
static inline void loop_timer_at(struct loop *l, uint64_t ns)
{
    if (ns < l->next_timer_ns)
        l->next_timer_ns = ns;
}

#endif
