/*
 * One loop: an epoll set of the library's own epoll descriptor, the wake descriptor,
 * the listener and every client descriptor, the latter edge-triggered and only to see
 * data come and peers go. Nothing else touches the library.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/thread.h"
#include "base/util.h"
#include "http/internal.h"

#define RESUME_AT_ONCE 8
#define ACCEPT_AT_ONCE 8            /* more come with the next turn */
#define MHD_RUN_NS (50 * NS_PER_MS) /* for the library's own timers, while streams flow */

/* --- wake-ups from other threads ------------------------------------------------- */

void wake_push(struct wake *w, struct exchange *x)
{
    struct exchange *head = atomic_load_explicit(&w->head, memory_order_relaxed);
    do
        x->next = head;
    while (!atomic_compare_exchange_weak_explicit(
        &w->head, &head, x, memory_order_release, memory_order_relaxed));
}

void wake_kick(struct wake *w)
{
    uint64_t one = 1;
    if (atomic_exchange(&w->kicked, true))
        return; /* the loop has not looked since the last kick */
    if (write(w->event_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        log_error("cannot wake an HTTP loop: %s", strerror(errno));
}

static void runnable_add(struct loop *l, struct exchange *x)
{
    x->next = NULL;
    *l->runnable_tail = x;
    l->runnable_tail = &x->next;
}

static void take_wakes(struct loop *l)
{
    /* Whoever pushes after this kicks again; whoever saw a kick pending had pushed before. */
    atomic_exchange(&l->wake->kicked, false);
    struct exchange *x = atomic_exchange_explicit(&l->wake->head, NULL, memory_order_acquire), *oldest = NULL;
    while (x) { /* the list is newest first */
        struct exchange *next = x->next;
        x->next = oldest;
        oldest = x;
        x = next;
    }
    while (oldest) {
        struct exchange *next = oldest->next;
        runnable_add(l, oldest);
        oldest = next;
    }
}

void exchange_wake(struct exchange *x)
{
    if (x->conn && atomic_exchange(&x->parked, AWAKE) == PARKED)
        runnable_add(x->conn->loop, x);
}

static void park(struct exchange *x, bool (*news)(const struct exchange *x))
{
    /* A producer publishes and then takes `parked`; we set `parked` and then look for
     * news. Both sides are seq_cst read-modify-writes, so one of them sees the other. */
    atomic_exchange(&x->parked, PARKED);
    if (news(x) && atomic_exchange(&x->parked, AWAKE) == PARKED)
        runnable_add(x->conn->loop, x);
}

void exchange_park(struct exchange *x, bool (*news)(const struct exchange *x))
{
    MHD_suspend_connection(x->mhd);
    park(x, news);
}

/* --- connections -------------------------------------------------------------------- */

static void drop_input(int fd)
{
    char waste[4096];
    for (int i = 0; i < 4; i++) /* closing with unread bytes would reset the connection */
        if (recv(fd, waste, sizeof(waste), MSG_DONTWAIT) <= 0)
            return;
}

/* An answer to a connection on which the library has sent nothing. */
static void send_raw(int fd, const struct http_error *e)
{
    char id[37], head[512];
    random_uuid(id);
    size_t n;
    char *body = http_error_body(e, id, &n);
    if (!body)
        return;
    int k = snprintf(head, sizeof(head),
        "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: application/json\r\nX-Correlation-Id: %s\r\n"
        "%sContent-Length: %zu\r\n\r\n",
        api_code_status(e->code), MHD_get_reason_phrase_for((unsigned)api_code_status(e->code)), id,
        e->retry_after_s ? "Retry-After: 1\r\n" : "", n);
    if (send(fd, head, (size_t)k, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE) == k)
        (void)!send(fd, body, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    free(body);
}

void conn_refuse_raw(int fd, const struct http_error *e)
{
    send_raw(fd, e);
    shutdown(fd, SHUT_WR);
    drop_input(fd);
}

void loop_timer_at(struct loop *l, uint64_t ns)
{
    l->next_timer_ns = min_u64(l->next_timer_ns, ns);
}

static void reading_began(struct conn *c, uint64_t now)
{
    c->read_deadline_ns = now + c->loop->server->params.request_read_ms * NS_PER_MS;
    loop_timer_at(c->loop, c->read_deadline_ns);
}

static void conn_watch(struct conn *c, int how, uint32_t events)
{
    struct epoll_event ev = {.events = events | EPOLLET, .data.ptr = c};
    if (epoll_ctl(c->loop->epoll_fd, how, c->fd, &ev))
        log_warn("cannot watch a client: %s", strerror(errno));
}

static void conn_opened(struct loop *l, struct MHD_Connection *mhd, void **socket_context)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct conn *c = calloc(1, sizeof(*c));
    *socket_context = c;
    if (!c || !info) {
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
    reading_began(c, clock_mono_ns());
    conn_watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLRDHUP);
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
    free(c);
}

static void on_connection(
    void *cls, struct MHD_Connection *mhd, void **socket_context, enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        conn_opened(cls, mhd, socket_context);
    else if (*socket_context)
        conn_closed(cls, *socket_context);
}

/* An edge may tell of bytes that the library has read meanwhile. */
static bool has_input(int fd)
{
    char waste;
    return recv(fd, &waste, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static void conn_event(struct conn *c, uint32_t events, uint64_t now)
{
    struct exchange *x = c->x;
    if (x && x->left_waits && events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
        x->left_waits = false;
        runnable_add(c->loop, x);
    }
    if (events & EPOLLRDHUP) {
        c->half_closed = c->loop->half_closed_seen = true;
        if (x && x->state <= X_BODY && !x->rdhup_ns)
            x->rdhup_ns = now;
    }
    if (!x || x->state <= X_BODY) { /* the library reads; we only watch the clock */
        if (events & EPOLLIN && !x && !c->read_deadline_ns && has_input(c->fd))
            reading_began(c, now);
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
        x->probe = true;
        exchange_wake(x);
    }
}

/* --- accepting ------------------------------------------------------------------------ */

static void listener_pause(struct loop *l, bool pause)
{
    struct epoll_event ev = {.events = pause ? 0 : EPOLLIN, .data.ptr = &l->listen_fd};
    if (l->listen_fd >= 0 && epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, l->listen_fd, &ev) == 0)
        l->accept_paused = pause;
}

/* No descriptor is left: the reserve is given up for a moment, so that the client gets
 * an answer and the listener does not stay readable. */
static bool accept_without_descriptors(struct loop *l)
{
    struct http_server *s = l->server;
    struct http_error e = {.code = API_OK, .retry_after_s = 1};
    http_error_set(&e, API_TOO_MANY_CONNECTIONS, "this worker is out of file descriptors");
    pthread_mutex_lock(&s->reserve_lock);
    if (s->reserve_fd >= 0)
        close(s->reserve_fd);
    int fd = accept4(l->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        conn_refuse_raw(fd, &e);
        close(fd);
    }
    s->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pthread_mutex_unlock(&s->reserve_lock);
    return fd >= 0;
}

static void loop_accept(struct loop *l)
{
    struct http_server *s = l->server;
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
            continue; /* that client is gone already */
        if (atomic_load(&s->n_connections) >= s->params.max_connections) {
            struct http_error e = {.code = API_OK, .retry_after_s = 1};
            http_error_set(&e, API_TOO_MANY_CONNECTIONS, "%u connections are open, which is the limit",
                s->params.max_connections);
            conn_refuse_raw(fd, &e);
            close(fd);
            continue;
        }
        MHD_add_connection(l->mhd, fd, (struct sockaddr *)&addr, n); /* closes it on failure */
    }
}

/* --- timers: rare, so a scan of the connections does --------------------------------- */

static uint64_t stream_timers(struct conn *c, struct exchange *x, uint64_t now)
{
    const struct http_params *p = &c->loop->server->params;
    uint64_t next = UINT64_MAX;
    if (x->state == X_ANSWERED || x->chunk_out) { /* bytes wait to be taken by the client */
        uint64_t due = x->sent_ns + p->write_stall_ms * NS_PER_MS;
        if (now < due)
            return due;
        x->rdhup_ns = x->rdhup_ns ? x->rdhup_ns : due;
        exchange_client_gone(x);
        shutdown(c->fd, SHUT_RDWR);
        return UINT64_MAX;
    }
    if (p->ping_ms) {
        uint64_t due = x->sent_ns + p->ping_ms * NS_PER_MS;
        if (now >= due) {
            x->ping_due = true;
            exchange_wake(x);
            due = now + p->ping_ms * NS_PER_MS;
        }
        next = due;
    }
    if (p->metrics_event_ms) {
        uint64_t due = x->metrics_ns + p->metrics_event_ms * NS_PER_MS;
        if (now >= due) {
            x->metrics_due = true;
            exchange_wake(x);
            due = now + p->metrics_event_ms * NS_PER_MS;
        }
        next = min_u64(next, due);
    }
    return next;
}

static uint64_t conn_timers(struct conn *c, uint64_t now)
{
    struct exchange *x = c->x;
    uint64_t next = UINT64_MAX;
    if (c->read_deadline_ns && now >= c->read_deadline_ns) {
        struct http_error e = {.code = API_OK, .openai = x && x->error.openai};
        http_error_set(&e, API_REQUEST_TIMEOUT, "the request did not arrive within %u ms",
            c->loop->server->params.request_read_ms);
        if (x)
            x->error = e; /* for the count */
        c->read_deadline_ns = 0;
        send_raw(c->fd, &e);
        drop_input(c->fd);
        shutdown(c->fd, SHUT_RDWR); /* the library sees the end and closes */
    } else if (c->read_deadline_ns) {
        next = c->read_deadline_ns;
    }
    if (x && x->state >= X_ANSWERED)
        next = min_u64(next, stream_timers(c, x, now));
    return next;
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
    if (!x->chunk_out)
        x->sent_ns = clock_mono_ns();
    x->left_waits = x->chunk_out = true;
    loop_timer_at(l, x->sent_ns + l->server->params.write_stall_ms * NS_PER_MS);
    conn_watch(x->conn, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
}

/* Eight streams at once, so that whoever else wants something (a new connection, a client
 * that left) waits for eight at most. Those that have nothing but tokens to tell need no
 * library. Of the others, the first run formats, the second sends. `other`: there is more
 * for the library than those. */
static void run(struct loop *l, bool other, uint64_t now)
{
    for (int i = 0; i < RESUME_AT_ONCE && l->runnable; i++) {
        struct exchange *x = l->runnable;
        l->runnable = x->next;
        if (!l->runnable)
            l->runnable_tail = &l->runnable;
        if (direct_loop_send(x)) {
            park(x, stream_has_news);
        } else if (x->left && !direct_finish(x)) {
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

/* The library takes a short read for the last word of an edge, so an end of input that
 * came together with a request is lost to it, and the connection would idle on. */
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

/* From here on nothing is suspended: the library may only be stopped like that. */
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
            choices_abort(x, ABORT_SHUTDOWN, clock_mono_ns());
        if (x && x->left_waits) {
            x->left_waits = false;
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
        if (c->x && c->x->state > X_BODY) /* a request that is not here yet gets no answer */
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
                conn_event(p, events[i].events, now);
        }
        take_wakes(l); /* before anything that a kick may be about is looked at */
        if (!l->draining && atomic_load(&l->server->stopping))
            drain_begin(l);
        run(l, other || l->draining, now);
        end_half_closed(l);
        accepted = acceptable && !l->draining;
        if (accepted)
            loop_accept(l);
        loop_timers(l);
        if (l->draining && !l->runnable && drained(l))
            break;
    }
    take_wakes(l);
    do
        run(l, true, clock_mono_ns());
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

/* The path is matched as it came; escapes are looked at by the gate alone. */
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
        MHD_OPTION_NOTIFY_COMPLETED, exchange_completed, l, MHD_OPTION_NOTIFY_CONNECTION, on_connection, l,
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
