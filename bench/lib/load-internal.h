/* Shared by the files of the load generator (load*.c). One thread, that of the load. */
#ifndef ORCD_BENCH_LOAD_INTERNAL_H
#define ORCD_BENCH_LOAD_INTERNAL_H

#include <sys/socket.h>

#include "lib/load-reply.h"

#define LOAD_READ_BYTES (256u * 1024)

struct load_timer {
    uint64_t at_ns, order;
    void (*fn)(void *arg);
    void *arg;
};

struct load {
    int epoll_fd, timer_fd;
    int stamp_fd; /* a socket that keeps the kernel's time stamps switched on */
    uint64_t armed_ns;
    int64_t real_offset_ns; /* CLOCK_REALTIME minus CLOCK_MONOTONIC */
    uint64_t offset_at_ns;
    bool stop;
    char *buf; /* LOAD_READ_BYTES, used by every read */

    struct load_timer *timers; /* a heap, the next first */
    size_t n_timers, timers_cap;
    uint64_t order;

    struct load_conn *conns;               /* all that are open */
    struct load_conn *buried;              /* closed; freed after the batch of events that may name them */
    struct load_call *ended, **ended_tail; /* their `done` is due */
    size_t n_calls;

    char url[256]; /* the last one that was resolved, to addr */
    struct sockaddr_storage addr;
    socklen_t n_addr;
};

/* A connection. Its call is NULL while it is kept. */
struct load_conn {
    struct load *load;
    struct load_conn *next, *prev;
    struct load_call *call;
    int fd; /* -1: closed */
    uint32_t watched;
    bool connected, dead; /* dead: the server closed it or sent something while it was kept */
    int so_error;         /* of a connect() that failed at once */
};

struct load_call {
    struct load *load;
    struct load_conn *conn; /* NULL once it is closed or kept */
    const struct load_handlers *handlers;
    void *arg;
    char *out; /* the request */
    size_t n_out, n_sent;
    uint64_t sent_ns;
    struct reply reply;
    uint64_t kernel_ns, recv_ns; /* of the bytes that are being parsed */
    bool paused, half_close, send_failed;
    bool ending; /* in the list load->ended */
    enum load_outcome outcome;
    struct load_call *next;
    char host[256];
};

/* load-time.c */
uint64_t load_from_real(const struct load *l, uint64_t real_ns); /* 0 stays 0 */
void load_offset_update(struct load *l, uint64_t now);
int timers_add(struct load *l, const struct load_timer *t);
bool timers_take(struct load *l, uint64_t now, struct load_timer *out);
void timers_arm(struct load *l, uint64_t until_ns);

/* load-conn.c */
struct load_conn *conn_open(struct load *l, const struct load_spec *spec, struct orcd_error *err);
void conn_watch(struct load_conn *c);
void conn_close(struct load_conn *c, bool reset); /* frees it later */
void conn_event(struct load_conn *c, uint32_t events);
void conn_send(struct load_call *call);
void conns_free_buried(struct load *l);

/* load-call.c */
void call_end(struct load_call *c, enum load_outcome how); /* `done` follows */
void calls_run_ended(struct load *l);
void call_free(struct load_call *c);
extern const struct reply_sink call_sink;

#endif
