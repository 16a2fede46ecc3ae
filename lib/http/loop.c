#include "http/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "base/util.h"
#include "http/direct.h"
#include "http/exchange-internal.h"
#include "http/refuse.h"
#include "http/server-internal.h"

#define RESUME_AT_ONCE 8
#define ACCEPT_AT_ONCE 8            /* further ones in the next round */
#define MHD_RUN_NS (50 * NS_PER_MS) /* for the library's own timers, while streams flow */

/* --- accepting ------------------------------------------------------------------------ */

static void listener_pause(struct loop *l, bool pause)
{
    struct epoll_event ev = {.events = pause ? 0 : EPOLLIN, .data.ptr = &l->listen_fd};
    if (l->listen_fd >= 0 && epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, l->listen_fd, &ev) == 0)
        l->accept_paused = pause;
}

/* No descriptor is left: the reserved one is closed for a moment, so that the client can be
 * accepted and gets an answer, and the listener does not stay readable. */
static bool accept_without_descriptors(struct loop *l)
{
    struct http_server *s = l->server;
    struct http_error e = {.code = API_OK, .retry_after_s = 1};
    http_error_set(&e, API_TOO_MANY_CONNECTIONS, "the %s is out of file descriptors", s->service->name);
    pthread_mutex_lock(&s->reserve_lock);
    if (s->reserve_fd >= 0)
        close(s->reserve_fd);
    int fd = accept4(l->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        refuse_raw(fd, &e);
        close(fd);
    }
    s->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pthread_mutex_unlock(&s->reserve_lock);
    return fd >= 0;
}

/* At the limit the connection that was idle for the longest makes room. Where none is idle, a few more are
 * accepted, in which the gate serves only /health and holders of keys. */
static bool may_connect(struct loop *l, const struct sockaddr *addr, struct http_error *e)
{
    struct http_server *s = l->server;
    const unsigned max = s->params.max_connections, of_peer = s->params.max_connections_per_peer;
    *e = (struct http_error){.code = API_OK, .retry_after_s = 1};
    struct share *share = of_peer ? share_of_peer(&s->shares, addr) : NULL;
    const bool one_too_many = share && atomic_load(&share->n_conns) >= of_peer;
    share_drop(&s->shares, share);
    const unsigned open = atomic_load(&s->n_connections);
    if (one_too_many) {
        http_error_set(e, API_TOO_MANY_CONNECTIONS,
            "the limit of %u open connections of one address is reached", of_peer);
        return false;
    }
    l->accepts_spare = open >= max && !conn_evict_idle(l);
    if (l->accepts_spare && open >= max + HTTP_SPARE_CONNECTIONS)
        http_error_set(e, API_TOO_MANY_CONNECTIONS, "the limit of %u open connections is reached", max);
    return !e->code;
}

static void loop_accept(struct loop *l)
{
    struct http_error e;
    for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
        struct sockaddr_storage addr;
        socklen_t n = sizeof(addr);
        int fd = accept4(l->listen_fd, (struct sockaddr *)&addr, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
            if (accept_without_descriptors(l))
                continue;
            listener_pause(l, true);
            loop_timer_at(l, clock_mono_ns() + 100 * NS_PER_MS);
            return;
        }
        if (fd < 0 && (errno == EAGAIN || errno == EBADF || errno == EINVAL))
            return;
        if (fd < 0)
            continue; /* that client has disconnected already */
        if (!may_connect(l, (struct sockaddr *)&addr, &e)) {
            refuse_raw(fd, &e);
            close(fd);
            continue;
        }
        MHD_add_connection(l->mhd, fd, (struct sockaddr *)&addr, n); /* closes it on failure */
    }
}

static void loop_timers(struct loop *l)
{
    uint64_t now = clock_mono_ns();
    if (now < l->next_timer_ns)
        return;
    uint64_t next = UINT64_MAX;
    if (l->accept_paused)
        listener_pause(l, false);
    for (struct conn *c = l->conns; c; c = c->next)
        next = min_u64(next, conn_timers(c, now));
    l->next_timer_ns = next;
}

/* --- the loop -------------------------------------------------------------------------- */

static int timeout_ms(struct loop *l)
{
    MHD_UNSIGNED_LONG_LONG of_mhd;
    uint64_t ms = 3600 * 1000, now = clock_mono_ns();
    if (l->runnable)
        return 0;
    if (MHD_get_timeout(l->mhd, &of_mhd) == MHD_YES)
        ms = min_u64(ms, of_mhd);
    uint64_t at = l->draining ? min_u64(l->next_timer_ns, l->stop_by_ns) : l->next_timer_ns;
    if (at != UINT64_MAX)
        ms = min_u64(ms, at > now ? (at - now + NS_PER_MS - 1) / NS_PER_MS : 0);
    return (int)ms;
}

static void left_wait(struct loop *l, struct exchange *x)
{
    if (!x->out.chunk_out)
        x->out.sent_ns = clock_mono_ns();
    x->out.left_waits = x->out.chunk_out = true;
    loop_timer_at(l, x->out.sent_ns + l->server->params.write_stall_ms * NS_PER_MS / 4);
    conn_watch_events(x->conn, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
}

/* Serves the exchanges in the runnable list, eight at most: a new connection or a client that
 * left waits for no more than that. A stream that has nothing but tokens is sent without the
 * library (direct.h). The others are resumed, and then the library needs two runs: the first
 * calls our reader, the second sends the bytes. `other`: the library has work besides those. */
static void serve_runnable(struct loop *l, bool other, uint64_t now)
{
    for (int i = 0; i < RESUME_AT_ONCE && l->runnable; i++) {
        struct exchange *x = runnable_take(l);
        if (direct_loop_send(x)) {
            exchange_park(x, x->ops->has_news);
        } else if (x->out.left && !direct_finish(x)) {
            left_wait(l, x);
        } else {
            MHD_resume_connection(x->mhd);
            other = true;
        }
    }
    if (!other && now - l->mhd_ran_ns < MHD_RUN_NS)
        return;
    l->mhd_ran_ns = now;
    MHD_run(l->mhd);
    MHD_run(l->mhd);
}

/* After a short read the library waits for the next edge. If the end of input came together
 * with a request, no edge follows, and the connection would stay idle: it is closed here. */
static void end_half_closed(struct loop *l)
{
    char waste;
    if (!l->half_closed_seen)
        return;
    l->half_closed_seen = false;
    for (struct conn *c = l->conns; c; c = c->next)
        if (c->half_closed && !c->x && recv(c->fd, &waste, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
            shutdown(c->fd, SHUT_RDWR);
}

/* From here on no connection is suspended: the library may only be stopped in this state. */
static void drain_begin(struct loop *l)
{
    l->draining = true;
    if (l->listen_fd >= 0) {
        epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, l->listen_fd, NULL);
        close(l->listen_fd);
        l->listen_fd = -1;
    }
    for (struct conn *c = l->conns; c; c = c->next) {
        struct exchange *x = c->x;
        if (x)
            exchange_drain(x);
        if (x && x->out.left_waits) {
            x->out.left_waits = false;
            runnable_add(l, x);
        } else if (x) {
            exchange_wake(x);
        }
    }
}

static bool drained(const struct loop *l)
{
    if (clock_mono_ns() >= l->stop_by_ns)
        return true;
    for (const struct conn *c = l->conns; c; c = c->next)
        if (c->x && c->x->state > X_BODY) /* a request that has not fully arrived gets no answer */
            return false;
    return true;
}

static void *loop_main(void *arg)
{
    struct loop *l = arg;
    struct epoll_event events[64];
    bool accepted = false;
    thread_wakes_early();
    for (;;) {
        int n = epoll_wait(l->epoll_fd, events, (int)ARRAY_LEN(events), timeout_ms(l));
        bool acceptable = false, other = n == 0 || accepted;
        uint64_t now = clock_mono_ns();
        for (int i = 0; i < n; i++) {
            void *p = events[i].data.ptr;
            if (p == &l->listen_fd)
                acceptable = true;
            else if (p == &l->mhd_fd)
                other = true;
            else if (p != &l->wake)
                conn_on_epoll(p, events[i].events, now);
        }
        atomic_store_explicit(&l->turns, l->turns + 1, memory_order_relaxed);
        wake_take(l); /* before anything is read that a kick may announce */
        if (!l->draining && atomic_load(&l->server->stopping))
            drain_begin(l);
        serve_runnable(l, other || l->draining, now);
        end_half_closed(l);
        accepted = acceptable && !l->draining;
        if (accepted)
            loop_accept(l);
        loop_timers(l);
        if (l->draining && !l->runnable && drained(l))
            break;
    }
    wake_take(l);
    do
        serve_runnable(l, true, clock_mono_ns());
    while (l->runnable);
    MHD_stop_daemon(l->mhd);
    l->mhd = NULL;
    close(l->epoll_fd);
    return NULL;
}

static void mhd_log(void *cls, const char *fmt, va_list args)
{
    char text[512];
    (void)cls;
    vsnprintf(text, sizeof(text), fmt, args);
    text[strcspn(text, "\n")] = 0;
    log_debug("microhttpd: %s", text);
}

/* The path is matched as it was sent; only the gate checks its escapes. */
static size_t no_unescape(void *cls, struct MHD_Connection *mhd, char *s)
{
    (void)cls, (void)mhd;
    return strlen(s);
}

static bool watch(struct loop *l, int fd, uint32_t events, void *tag)
{
    struct epoll_event ev = {.events = events, .data.ptr = tag};
    return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) == 0;
}

int loop_start(struct loop *l, struct orcd_error *err)
{
    struct http_server *s = l->server;
    l->runnable_tail = &l->runnable;
    l->next_timer_ns = UINT64_MAX;
    unsigned idle_s = max_u64(1, (s->params.keep_alive_ms + 999) / 1000);
    l->mhd = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG, 0, NULL,
        NULL, exchange_handle, l, MHD_OPTION_EXTERNAL_LOGGER, mhd_log, NULL, MHD_OPTION_CONNECTION_LIMIT,
        s->params.max_connections + 256u, MHD_OPTION_CONNECTION_TIMEOUT, idle_s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)32768, MHD_OPTION_CONNECTION_MEMORY_INCREMENT,
        (size_t)4096, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
        MHD_OPTION_URI_LOG_CALLBACK, exchange_begin, l, MHD_OPTION_UNESCAPE_CALLBACK, no_unescape, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, exchange_completed, l, MHD_OPTION_NOTIFY_CONNECTION, conn_notify, l,
        MHD_OPTION_END);
    if (!l->mhd)
        return error_set(err, ORCD_E_INTERNAL, "cannot start the HTTP library (%s)", MHD_get_version());
    l->mhd_fd = MHD_get_daemon_info(l->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll_fd < 0 || !watch(l, l->mhd_fd, EPOLLIN, &l->mhd_fd) ||
        !watch(l, l->wake->event_fd, EPOLLIN | EPOLLET, &l->wake) ||
        !watch(l, l->listen_fd, EPOLLIN, &l->listen_fd) || pthread_create(&l->thread, NULL, loop_main, l)) {
        MHD_stop_daemon(l->mhd);
        l->mhd = NULL;
        if (l->epoll_fd >= 0)
            close(l->epoll_fd);
        return error_set_errno(err, ORCD_E_INTERNAL, errno, "cannot start an HTTP loop");
    }
    l->has_thread = true;
    return 0;
}
