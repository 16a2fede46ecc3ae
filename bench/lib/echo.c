#include "lib/echo.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"

#define MAX_STREAMS 1024

struct echo {
    pid_t pid;
    char url[64];
};

/* In the child. */
struct line {
    int fd; /* -1: none */
    bool stream;
    unsigned order;          /* of a stream, by which it has its turn */
    unsigned n_sent, n_tail; /* of the request's end seen so far */
    char first[16];          /* of the request, NUL-terminated */
    unsigned n_first;
    size_t n_due; /* bytes of a body that is read: still to come */
};

struct echoer {
    struct echo_pattern p;
    int listener, epoll_fd, timer_fd;
    struct line lines[MAX_STREAMS];
    unsigned n_lines, n_asked, group; /* group: whose turn it is */
    int waiting;                      /* fd of who waits for a connection to end; -1: nobody */
    uint64_t next_ns, tick_ns;
};

static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n";

/* As a worker writes them. */
static size_t format_event(char *buf, size_t size, unsigned i, uint64_t at_us)
{
    char event[256];
    int n = snprintf(event, sizeof(event),
        "event: token\nid: %u\ndata: {\"t\":\"a\",\"i\":%u,\"id\":97,\"at_us\":%llu}\n\n", i + 1, i,
        (unsigned long long)at_us);
    return (size_t)snprintf(buf, size, "%x\r\n%.*s\r\n", (unsigned)n, n, event);
}

static void tick(struct echoer *e)
{
    char text[320];
    uint64_t at_us = (clock_mono_ns() + (uint64_t)clock_real_offset_ns()) / 1000;
    for (unsigned i = 0; i < e->n_lines; i++) {
        struct line *l = &e->lines[i];
        if (l->fd >= 0 && l->stream && l->order % e->p.groups == e->group)
            (void)!send(l->fd, text, format_event(text, sizeof(text), l->n_sent++, at_us),
                MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    e->group = (e->group + 1) % e->p.groups;
}

static void arm(struct echoer *e)
{
    struct itimerspec at = {.it_value = clock_timespec(e->next_ns)};
    timerfd_settime(e->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void on_timer(struct echoer *e)
{
    uint64_t waste;
    (void)!read(e->timer_fd, &waste, sizeof(waste));
    tick(e);
    e->next_ns += e->tick_ns; /* one that is late comes at once, but after what else waits */
    arm(e);
}

static void on_connection(struct echoer *e)
{
    int one = 1, fd = accept4(e->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    unsigned at = 0;
    if (fd < 0)
        return;
    while (at < e->n_lines && e->lines[at].fd >= 0)
        at++;
    if (at == MAX_STREAMS) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = at};
    epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
    e->lines[at] = (struct line){.fd = fd};
    e->n_lines = at == e->n_lines ? at + 1 : e->n_lines;
}

static void answer(int fd, bool last)
{
    static const char body[] = "{\"status\":\"healthy\",\"echo\":true}\n";
    char buf[256];
    int n = snprintf(buf, sizeof(buf),
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"
        "%sContent-Length: %zu\r\n\r\n%s",
        last ? "Connection: close\r\n" : "", sizeof(body) - 1, body);
    (void)!send(fd, buf, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void line_end(struct echoer *e, struct line *l)
{
    if (e->waiting == l->fd)
        e->waiting = -1;
    close(l->fd);
    l->fd = -1;
    if (e->waiting >= 0)
        answer(e->waiting, false);
    e->waiting = -1;
}

/* Of a request whose head came in one piece: the bytes of its body that did not. */
static size_t body_due(const char *text, size_t n)
{
    const char *length = strstr(text, "Content-Length: "), *end = strstr(text, "\r\n\r\n");
    size_t n_body = length ? strtoul(length + strlen("Content-Length: "), NULL, 10) : 0;
    size_t here = end ? n - (size_t)(end + 4 - text) : 0;
    return n_body > here ? n_body - here : 0;
}

/* The next bytes are another request's. */
static void request_over(struct line *l)
{
    memset(l->first, 0, sizeof(l->first));
    l->n_first = l->n_tail = 0;
}

static void on_request(struct echoer *e, struct line *l)
{
    char buf[16384];
    ssize_t n = recv(l->fd, buf, sizeof(buf) - 1, 0);
    if (n <= 0) {
        line_end(e, l);
        return;
    }
    if (l->n_due) {
        l->n_due -= min_u64(l->n_due, (uint64_t)n);
        if (!l->n_due)
            answer(l->fd, false);
        return;
    }
    for (ssize_t i = 0; i < n && l->n_first + 1 < sizeof(l->first); i++)
        l->first[l->n_first++] = buf[i];
    for (ssize_t i = 0; i < n && l->n_tail < 4; i++)
        l->n_tail = buf[i] == "\r\n\r\n"[l->n_tail] ? l->n_tail + 1 : buf[i] == '\r';
    if (l->n_tail < 4 || l->stream)
        return;
    if (strncmp(l->first, "POST /read", 10) == 0) {
        buf[n] = 0;
        l->n_due = body_due(buf, (size_t)n);
        request_over(l);
        if (!l->n_due)
            answer(l->fd, false);
        return;
    }
    bool health = strncmp(l->first, "GET /health", 11) == 0, waits = strncmp(l->first, "GET /wait", 9) == 0;
    if (health || waits) {
        buf[n] = 0;
        bool last = strstr(buf, "Connection: close") != NULL;
        request_over(l);
        if (waits)
            e->waiting = l->fd;
        else
            answer(l->fd, last);
        if (last)
            line_end(e, l);
        return;
    }
    l->stream = true;
    l->order = e->n_asked;
    (void)!send(l->fd, head, sizeof(head) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (++e->n_asked < e->p.n_streams)
        return;
    e->next_ns = clock_mono_ns() + e->tick_ns;
    arm(e);
}

static _Noreturn void child(struct echoer *e, pid_t parent)
{
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    /* Connections of the parent must end when it closes them. */
    dup2(e->listener, STDIN_FILENO);
    e->listener = STDIN_FILENO;
    close_range(STDERR_FILENO + 1, ~0u, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    e->waiting = -1;
    e->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    e->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    e->tick_ns = max_u64(e->p.interval_ns / e->p.groups, 1);
    struct epoll_event listener = {.events = EPOLLIN, .data.u32 = MAX_STREAMS},
                       timer = {.events = EPOLLIN, .data.u32 = MAX_STREAMS + 1}, events[64];
    epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, e->listener, &listener);
    epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, e->timer_fd, &timer);
    while (getppid() == parent) {
        int n = epoll_wait(e->epoll_fd, events, (int)ARRAY_LEN(events), -1);
        for (int i = 0; i < n; i++) {
            uint32_t who = events[i].data.u32;
            if (who == MAX_STREAMS)
                on_connection(e);
            else if (who == MAX_STREAMS + 1)
                on_timer(e);
            else
                on_request(e, &e->lines[who]);
        }
    }
    _exit(0);
}

int echo_start(struct echo **out, const struct echo_pattern *p, struct orcd_error *err)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(addr);
    pid_t parent = getpid();
    if (p->n_streams < 1 || p->n_streams > MAX_STREAMS || p->groups < 1 || p->groups > p->n_streams)
        return error_set(err, ORCD_E_INVALID, "the echo server cannot have %u streams in %u groups",
            p->n_streams, p->groups);
    struct echo *e = calloc(1, sizeof(*e));
    struct echoer *c = calloc(1, sizeof(*c));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool ok = e && c && fd >= 0 && bind(fd, (struct sockaddr *)&addr, n) == 0 && listen(fd, 4096) == 0 &&
              getsockname(fd, (struct sockaddr *)&addr, &n) == 0;
    if (ok) {
        c->p = *p;
        c->listener = fd;
        fflush(NULL);
        e->pid = fork();
        if (e->pid == 0)
            child(c, parent);
        ok = e->pid > 0;
    }
    int why = errno;
    if (fd >= 0)
        close(fd);
    free(c);
    if (!ok) {
        free(e);
        return error_set_errno(err, ORCD_E_IO, why, "cannot start an echo server");
    }
    snprintf(e->url, sizeof(e->url), "http://127.0.0.1:%u", ntohs(addr.sin_port));
    *out = e;
    return 0;
}

const char *echo_url(const struct echo *e)
{
    return e->url;
}

void echo_stop(struct echo *e)
{
    if (!e)
        return;
    kill(e->pid, SIGKILL);
    while (waitpid(e->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    free(e);
}
