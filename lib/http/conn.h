/*
 * One client connection: what its descriptor tells, and its timers. The library opens and
 * closes it (conn_notify); in between the loop passes on what epoll says (conn_on_epoll) and
 * asks now and then what is due (conn_timers). Loop thread only; freed when the library
 * closes the connection, after its exchange has completed.
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
    bool bytes_waiting;        /* came while an exchange was on */
    bool half_closed;          /* the peer sends no more */
};

/* The library's callback: cls is the loop. */
void conn_notify(
    void *cls, struct MHD_Connection *mhd, void **socket_context, enum MHD_ConnectionNotificationCode code);
/* events: epoll's, read at now. */
void conn_on_epoll(struct conn *c, uint32_t events, uint64_t now);
/* Does what is due; returns when something will be (monotonic ns; UINT64_MAX: never). */
uint64_t conn_timers(struct conn *c, uint64_t now);
/* how: EPOLL_CTL_ADD or EPOLL_CTL_MOD. */
void conn_watch_events(struct conn *c, int how, uint32_t events);

#endif
