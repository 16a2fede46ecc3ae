#include "http/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "http/exchange-internal.h"
#include "http/refuse.h"
#include "http/server-internal.h"

#define EVICT_TRIES 16

void conn_watch_events(struct conn *c, int how, uint32_t events)
{
    struct epoll_event ev = {.events = events | EPOLLET, .data.ptr = c};
    if (epoll_ctl(c->loop->epoll_fd, how, c->fd, &ev))
        log_warn("cannot watch a client's socket: %s", strerror(errno));
}

static void conn_opened(struct loop *l, struct MHD_Connection *mhd, void **socket_context)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct conn *c = calloc(1, sizeof(*c));
    *socket_context = c;
    const union MHD_ConnectionInfo *peer = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (!c || !info || !peer || !(c->share = share_of_peer(&l->server->shares, peer->client_addr))) {
        free(c);
        *socket_context = NULL; /* its requests are refused */
        return;
    }
    c->loop = l;
    c->mhd = mhd;
    c->fd = info->connect_fd;
    c->next = l->conns;
    if (l->conns)
        l->conns->prev = c;
    l->conns = c;
    atomic_fetch_add(&l->server->n_connections, 1);
    atomic_fetch_add(&c->share->n_conns, 1);
    c->spare = l->accepts_spare;
    c->idle_ns = clock_mono_ns();
    conn_reading(c, c->idle_ns);
    conn_watch_events(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLRDHUP);
}

static void conn_closed(struct loop *l, struct conn *c)
{
    /* Before the library closes the descriptor, whose number is then reused. */
    epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
    if (c->next)
        c->next->prev = c->prev;
    if (c->prev)
        c->prev->next = c->next;
    else
        l->conns = c->next;
    atomic_fetch_sub(&l->server->n_connections, 1);
    atomic_fetch_sub(&c->share->n_conns, 1);
    share_drop(&l->server->shares, c->share);
    free(c);
}

void conn_notify(
    void *cls, struct MHD_Connection *mhd, void **socket_context, enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        conn_opened(cls, mhd, socket_context);
    else if (*socket_context)
        conn_closed(cls, *socket_context);
}

/* Whether there is input still: epoll may report bytes that the library has read meanwhile. */
static bool has_input(int fd)
{
    char waste;
    return recv(fd, &waste, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* The one that has been without a request for longest, of those that began to be after `after`. */
static struct conn *longest_idle(const struct loop *l, uint64_t after)
{
    struct conn *oldest = NULL;
    for (struct conn *c = l->conns; c; c = c->next)
        if ((!c->x || c->x->state <= X_BODY) && !c->evicted && c->idle_ns > after &&
            (!oldest || c->idle_ns < oldest->idle_ns))
            oldest = c;
    return oldest;
}

bool conn_evict_idle(struct loop *l)
{
    struct conn *oldest = longest_idle(l, 0);
    for (int i = 0; oldest && has_input(oldest->fd); i++) /* its request is about to be read */
        oldest = i < EVICT_TRIES ? longest_idle(l, oldest->idle_ns) : NULL;
    if (!oldest)
        return false;
    oldest->evicted = true;
    shutdown(oldest->fd, SHUT_RDWR); /* the library sees the end and closes */
    return true;
}

void conn_on_epoll(struct conn *c, uint32_t events, uint64_t now)
{
    struct exchange *x = c->x;
    if (x && x->out.left_waits && events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
        x->out.left_waits = false;
        runnable_add(c->loop, x);
    }
    if (events & EPOLLRDHUP) {
        c->half_closed = c->loop->half_closed_seen = true;
        if (x && x->state <= X_BODY && !x->rdhup_ns)
            x->rdhup_ns = now;
    }
    if (!x || x->state <= X_BODY) { /* the library reads; we only watch the clock */
        if (events & EPOLLIN && !x && !c->read_deadline_ns && has_input(c->fd))
            conn_reading(c, now);
        return;
    }
    if (events & EPOLLIN && !c->bytes_waiting)
        c->bytes_waiting = has_input(c->fd);
    if (x->state == X_ANSWERED || !(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
        return;
    bool first = !x->rdhup_ns;
    x->rdhup_ns = first ? now : x->rdhup_ns;
    if (x->state != X_STREAMING || events & (EPOLLHUP | EPOLLERR)) {
        exchange_client_gone(x);
    } else if (first) { /* closed, or only half closed? */
        x->out.probe = true;
        exchange_wake(x);
    }
}

/* --- timers: they are rare, so a scan of all connections is enough --------------------- */

/* A number that changes whenever the client accepts bytes: what it has acknowledged, or, of a unix socket,
 * what the kernel holds for it. */
static uint64_t accepted(const struct conn *c)
{
    struct tcp_info info = {0};
    socklen_t n = sizeof(info);
    int unsent = 0;
    if (getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0)
        return info.tcpi_bytes_acked;
    ioctl(c->fd, SIOCOUTQ, &unsent);
    return (uint64_t)unsent;
}

/* When the next look is due, or, at a time that has come, that the client has accepted nothing for stall_ns:
 * four times in that time we look, and any change is progress. */
static uint64_t write_stall_due(struct conn *c, const struct exchange *x, uint64_t now, uint64_t stall_ns)
{
    const uint64_t quarter = stall_ns / 4;
    if (c->accepted_ns < x->out.sent_ns && now < x->out.sent_ns + quarter)
        return x->out.sent_ns + quarter;
    const uint64_t bytes = accepted(c);
    if (c->accepted_ns < x->out.sent_ns || bytes != c->accepted) {
        c->accepted = bytes;
        c->accepted_ns = now;
    }
    const uint64_t due = c->accepted_ns + stall_ns;
    return now < due ? min_u64(due, now + quarter) : due;
}

static uint64_t stream_timers(struct conn *c, struct exchange *x, uint64_t now)
{
    const struct http_params *p = &c->loop->server->params;
    uint64_t next = UINT64_MAX;
    if (x->state == X_ANSWERED || x->out.chunk_out) { /* bytes wait for the client to accept them */
        uint64_t due = write_stall_due(c, x, now, p->write_stall_ms * NS_PER_MS);
        if (now < due)
            return due;
        x->rdhup_ns = x->rdhup_ns ? x->rdhup_ns : due;
        exchange_client_gone(x);
        shutdown(c->fd, SHUT_RDWR);
        return UINT64_MAX;
    }
    if (p->ping_ms) {
        uint64_t due = x->out.sent_ns + p->ping_ms * NS_PER_MS;
        if (now >= due) {
            x->out.ping_due = true;
            exchange_wake(x);
            due = now + p->ping_ms * NS_PER_MS;
        }
        next = due;
    }
    if (x->out.tick_ms) {
        uint64_t due = x->out.ticked_ns + x->out.tick_ms * NS_PER_MS;
        if (now >= due) {
            x->out.tick_due = true;
            exchange_wake(x);
            due = now + x->out.tick_ms * NS_PER_MS;
        }
        next = min_u64(next, due);
    }
    return next;
}

uint64_t conn_timers(struct conn *c, uint64_t now)
{
    struct exchange *x = c->x;
    uint64_t next = UINT64_MAX;
    if (c->read_deadline_ns && now >= c->read_deadline_ns) {
        struct http_error e = {.code = API_OK, .shape = x ? x->error.shape : NULL};
        http_error_set(&e, API_REQUEST_TIMEOUT, "the request did not arrive within %u ms",
            c->loop->server->params.request_read_ms);
        if (x)
            x->error = e; /* exchange_completed() counts it */
        c->read_deadline_ns = 0;
        refuse_send(c->fd, &e);
        refuse_drop_input(c->fd);
        shutdown(c->fd, SHUT_RDWR); /* the library sees the end and closes */
    } else if (c->read_deadline_ns) {
        next = c->read_deadline_ns;
    }
    if (x && x->state == X_DELAYED && now < x->answer_ns)
        next = min_u64(next, x->answer_ns);
    else if (x && x->state == X_DELAYED)
        exchange_wake(x);
    if (x && x->state >= X_ANSWERED)
        next = min_u64(next, stream_timers(c, x, now));
    return next;
}
