/* The loop of the load generator. */
#include "lib/load.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "lib/load-internal.h"

#define EVENTS_AT_ONCE 64

int load_new(struct load **out, struct orcd_error *err)
{
    struct load *l = calloc(1, sizeof(*l));
    int one = 1;
    if (!l || !(l->buf = malloc(LOAD_READ_BYTES))) {
        free(l);
        return error_set(err, ORCD_E_NOMEM, "out of memory for a load generator");
    }
    l->ended_tail = &l->ended;
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    /* The kernel stamps packets while any socket asks for it, and takes a moment to begin. */
    l->stamp_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (l->stamp_fd >= 0)
        setsockopt(l->stamp_fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one));
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    if (l->epoll_fd < 0 || l->timer_fd < 0 || epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->timer_fd, &ev)) {
        int rc = error_set_errno(err, ORCD_E_IO, errno, "cannot create an epoll set and a timer");
        load_free(l);
        return rc;
    }
    *out = l;
    return 0;
}

void load_free(struct load *l)
{
    if (!l)
        return;
    while (l->conns) {
        struct load_call *c = l->conns->call;
        bool ending = c && c->ending;
        conn_close(l->conns, false);
        if (c && !ending)
            call_free(c);
    }
    while (l->ended) {
        struct load_call *c = l->ended;
        l->ended = c->next;
        call_free(c);
    }
    conns_free_buried(l);
    if (l->epoll_fd >= 0)
        close(l->epoll_fd);
    if (l->timer_fd >= 0)
        close(l->timer_fd);
    if (l->stamp_fd >= 0)
        close(l->stamp_fd);
    free(l->timers);
    free(l->buf);
    free(l);
}

void load_stop(struct load *l)
{
    l->stop = true;
}

int load_at(struct load *l, uint64_t at_ns, void (*fn)(void *arg), void *arg)
{
    return timers_add(l, &(struct load_timer){.at_ns = at_ns, .fn = fn, .arg = arg});
}

static void run_timers(struct load *l, uint64_t now)
{
    struct load_timer t;
    while (!l->stop && timers_take(l, now, &t))
        t.fn(t.arg);
}

bool load_run(struct load *l, uint64_t until_ns)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    l->stop = false;
    for (;;) {
        uint64_t now = clock_mono_ns(), waste;
        calls_run_ended(l);
        run_timers(l, now);
        conns_free_buried(l);
        if (l->stop)
            return true;
        if (l->ended)
            continue;
        if (!l->n_calls && !l->n_timers)
            return true;
        if (until_ns && now >= until_ns)
            return false;
        timers_arm(l, until_ns);
        int n = epoll_wait(l->epoll_fd, events, EVENTS_AT_ONCE, -1);
        load_offset_update(l, clock_mono_ns());
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr) {
                conn_event(events[i].data.ptr, events[i].events);
            } else {
                (void)!read(l->timer_fd, &waste, sizeof(waste));
                l->armed_ns = 0;
            }
        }
    }
}
