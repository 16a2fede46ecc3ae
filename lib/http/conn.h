/*
 * One client connection: the events of its descriptor, and its timers. The library opens and
 * closes it (conn_notify); in between the loop passes on epoll's events (conn_on_epoll) and
 * has its timers checked (conn_timers). Loop thread only. It is freed when the library closes
 * the connection, which is after its exchange has completed.
 */
#ifndef ORCD_HTTP_CONN_H
#define ORCD_HTTP_CONN_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

struct exchange;
struct loop;

struct conn {
    struct loop *loop;
    struct MHD_Connection *mhd;
    struct conn *next, *prev;
    int fd;
    struct exchange *x;        /* NULL: between requests */
    uint64_t read_deadline_ns; /* of a head and body that has begun; 0: none */
    struct share *share;       /* of the peer's address */
    uint64_t idle_ns;          /* since when it has had no whole request */
    uint64_t accepted;         /* changes while the client accepts bytes */
    uint64_t accepted_ns;      /* when that was seen last */
    bool spare;                /* beyond http.max_connections: only for /health and holders of keys */
    bool evicted;              /* it is being closed to make room */
    bool bytes_waiting;        /* input arrived while an exchange was active */
    bool half_closed;          /* the peer has closed its sending side */
};

/* The library's callback: cls is the loop. */
void conn_notify(
    void *cls, struct MHD_Connection *mhd, void **socket_context, enum MHD_ConnectionNotificationCode code);
/* events: epoll's, read at now. */
void conn_on_epoll(struct conn *c, uint32_t events, uint64_t now);
/* Handles the timers that are due; returns when the next one is (monotonic ns; UINT64_MAX:
 * never). */
uint64_t conn_timers(struct conn *c, uint64_t now);
/* Closes the connection that has had no whole request for the longest, and from which nothing is to be read.
 * False: there is none. */
bool conn_evict_idle(struct loop *l);
/* how: EPOLL_CTL_ADD or EPOLL_CTL_MOD. */
void conn_watch_events(struct conn *c, int how, uint32_t events);

#endif
