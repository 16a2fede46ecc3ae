/* Sockets of the load generator: connect, send, receive with the kernel's time stamps, close. */
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "lib/load-internal.h"

/* Resolves "http://host:port" to an address. Keeps the last one. */
static int look_up(struct load *l, const char *url, struct orcd_error *err)
{
    char host[256];
    size_t n = strlen(url);
    if (strcmp(url, l->url) == 0)
        return 0;
    if (strncmp(url, "http://", 7) != 0 || n >= sizeof(host))
        return error_set(err, ORCD_E_INVALID, "'%s': must be http://HOST:PORT", url);
    memcpy(host, url + 7, n - 6);
    host[strcspn(host, "/")] = 0;
    char *port = strrchr(host, ':'), *name = host;
    if (port && !strchr(port, ']'))
        *port++ = 0;
    else
        port = NULL;
    n = strlen(name);
    if (n > 1 && name[0] == '[' && name[n - 1] == ']') {
        name[n - 1] = 0;
        name++;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int rc = getaddrinfo(name, port ? port : "80", &hints, &found);
    if (rc)
        return error_set(err, ORCD_E_NOT_FOUND, "'%s': %s", url, gai_strerror(rc));
    memcpy(&l->addr, found->ai_addr, found->ai_addrlen);
    l->n_addr = found->ai_addrlen;
    freeaddrinfo(found);
    strcpy(l->url, url);
    return 0;
}

struct load_conn *conn_open(struct load *l, const struct load_spec *spec, struct orcd_error *err)
{
    int one = 1;
    if (look_up(l, spec->url, err))
        return NULL;
    struct load_conn *c = calloc(1, sizeof(*c));
    if (!c) {
        error_set(err, ORCD_E_NOMEM, "out of memory for a connection");
        return NULL;
    }
    c->load = l;
    c->fd = socket(l->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct epoll_event ev = {.events = c->watched = EPOLLIN | EPOLLOUT, .data.ptr = c};
    if (c->fd < 0 || epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, c->fd, &ev)) {
        error_set_errno(err, ORCD_E_IO, errno, "cannot create a socket");
        if (c->fd >= 0)
            close(c->fd);
        free(c);
        return NULL;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(c->fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one));
    if (spec->rcvbuf)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &spec->rcvbuf, sizeof(spec->rcvbuf));
    /* What fails at once fails like the rest: by an event, inside load_run(). */
    if (connect(c->fd, (struct sockaddr *)&l->addr, l->n_addr) && errno != EINPROGRESS)
        c->so_error = errno;
    c->next = l->conns;
    if (l->conns)
        l->conns->prev = c;
    l->conns = c;
    return c;
}

/* Waits for what its call needs now. */
void conn_watch(struct load_conn *c)
{
    const struct load_call *call = c->call;
    uint32_t events = 0;
    if (!call || !call->paused)
        events |= EPOLLIN;
    if (!c->connected || (call && call->n_sent < call->n_out && !call->send_failed))
        events |= EPOLLOUT;
    if (events == c->watched || c->fd < 0)
        return;
    struct epoll_event ev = {.events = events, .data.ptr = c};
    epoll_ctl(c->load->epoll_fd, EPOLL_CTL_MOD, c->fd, &ev);
    c->watched = events;
}

void conn_close(struct load_conn *c, bool reset)
{
    struct load *l = c->load;
    struct linger none = {.l_onoff = 1, .l_linger = 0};
    if (reset)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    close(c->fd);
    c->fd = -1;
    if (c->next)
        c->next->prev = c->prev;
    if (c->prev)
        c->prev->next = c->next;
    else
        l->conns = c->next;
    if (c->call)
        c->call->conn = NULL;
    c->call = NULL;
    c->next = l->buried;
    l->buried = c;
}

void conns_free_buried(struct load *l)
{
    while (l->buried) {
        struct load_conn *c = l->buried;
        l->buried = c->next;
        free(c);
    }
}

void conn_send(struct load_call *call)
{
    struct load_conn *c = call->conn;
    while (call->n_sent < call->n_out) {
        uint64_t now = clock_mono_ns();
        ssize_t n = send(c->fd, call->out + call->n_sent, call->n_out - call->n_sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            /* A peer that closed may have answered before; reading will tell. */
            call->send_failed = errno != EAGAIN;
            break;
        }
        call->sent_ns = now;
        call->n_sent += (size_t)n;
    }
    if (call->half_close && (call->n_sent == call->n_out || call->send_failed)) {
        shutdown(c->fd, SHUT_WR);
        call->half_close = false;
    }
    conn_watch(c);
}

static uint64_t stamp_of(struct msghdr *m)
{
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h))
        if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec ts;
            memcpy(&ts, CMSG_DATA(h), sizeof(ts));
            return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
        }
    return 0;
}

static void conn_read(struct load_conn *c)
{
    struct load *l = c->load;
    struct load_call *call = c->call;
    char control[CMSG_SPACE(sizeof(struct timespec)) + 64];
    struct iovec iov = {.iov_base = l->buf, .iov_len = LOAD_READ_BYTES};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(c->fd, &m, 0);
    uint64_t now = clock_mono_ns();
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (!call) { /* kept: it may only end, or break the protocol */
        c->dead = true;
        epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
        return;
    }
    if (n <= 0) {
        call_end(call, n == 0 && reply_eof(&call->reply) ? LOAD_COMPLETE : LOAD_CUT);
        return;
    }
    call->recv_ns = now;
    /* The kernel begins to stamp a moment after the first socket has asked for it. */
    uint64_t stamp = load_from_real(l, stamp_of(&m));
    call->kernel_ns = stamp && stamp < now ? stamp : now;
    size_t used = reply_feed(&call->reply, l->buf, (size_t)n, &call_sink, call);
    if (call->ending)
        return; /* closed by a callback */
    if (call->reply.state == REPLY_BAD)
        call_end(call, LOAD_CUT);
    else if (call->reply.state == REPLY_DONE) {
        call->reply.keep_alive = call->reply.keep_alive && used == (size_t)n && call->n_sent == call->n_out;
        call_end(call, LOAD_COMPLETE);
    }
}

static bool connect_ended(struct load_conn *c, uint32_t events)
{
    int error = c->so_error;
    socklen_t n = sizeof(error);
    if (!error && getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n))
        error = errno;
    if (error || !(events & EPOLLOUT)) {
        call_end(c->call, LOAD_REFUSED);
        return false;
    }
    c->connected = true;
    if (c->call->handlers->connected)
        c->call->handlers->connected(c->call, clock_mono_ns());
    return c->fd >= 0;
}

void conn_event(struct load_conn *c, uint32_t events)
{
    if (c->fd < 0)
        return; /* closed by a callback of this batch */
    if (!c->connected && !connect_ended(c, events))
        return;
    if (c->call && c->call->n_sent < c->call->n_out && events & EPOLLOUT)
        conn_send(c->call);
    if (c->call && c->call->paused && !(events & EPOLLIN)) {
        if (events & (EPOLLHUP | EPOLLERR))
            call_end(c->call, LOAD_CUT);
    } else if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        conn_read(c);
    }
}
