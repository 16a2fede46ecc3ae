/*
 * The load generator: HTTP/1.1 and SSE with one epoll set on one thread, built to handle 1000 streams
 * on one core. A call is one request on one connection. Times are CLOCK_MONOTONIC nanoseconds.
 * `kernel_ns` is when the kernel received the bytes (SO_TIMESTAMPNS, converted to the monotonic clock;
 * recv_ns if the kernel gave no stamp). `recv_ns` is when recv() returned them. Several events in one
 * read share both.
 *
 * 1. load_new.
 * 2. load_call, load_at: start calls and timers.
 * 3. load_run: runs them. Callbacks run inside it and may start and close calls, also their own.
 * 4. load_free.
 *
 * One thread per load. A process may have several loads.
 */
#ifndef ORCD_BENCH_LOAD_H
#define ORCD_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct load;
struct load_call;

int load_new(struct load **out, struct orcd_error *err);
/* Closes all connections, kept ones too, without callbacks, and frees the load; accepts NULL. */
void load_free(struct load *l);
/* Runs callbacks and timers until load_stop(), until until_ns (0: no limit), or until no call and no
 * timer is left. False: the time is over. */
bool load_run(struct load *l, uint64_t until_ns);
void load_stop(struct load *l);
/* Calls fn(arg) at at_ns, as precisely as a timerfd can. */
int load_at(struct load *l, uint64_t at_ns, void (*fn)(void *arg), void *arg);

enum load_event_kind {
    LOAD_STARTED,
    LOAD_TOKEN, /* in an OpenAI stream: a chunk with text. A token event without an id, text that was held
                   back, is OTHER */
    LOAD_END,   /* end, or [DONE] */
    LOAD_ERROR,
    LOAD_COMMENT, /* ping, probe */
    LOAD_OTHER
};

struct load_event {
    enum load_event_kind kind;
    uint64_t kernel_ns, recv_ns;
    uint64_t sampled_ns; /* when the token was sampled, if timestamps were requested; 0: unknown */
    const char *data;    /* the data line, NUL-terminated; "" */
    size_t n_data;
};

/* How a call ended. */
enum load_outcome {
    LOAD_COMPLETE, /* the whole response arrived */
    LOAD_CUT,      /* the server closed or reset the connection before that */
    LOAD_REFUSED,  /* no connection was made */
    LOAD_CLOSED    /* load_call_close was called */
};

struct load_handlers {
    /* Each may be NULL. */
    void (*connected)(struct load_call *c, uint64_t at_ns);
    void (*head)(struct load_call *c, int status, uint64_t kernel_ns);
    void (*event)(struct load_call *c, const struct load_event *e);
    /* The last callback of a call, which is freed after it returns. body: of a response that is not an
     * event stream, NUL-terminated. */
    void (*done)(struct load_call *c, enum load_outcome how, const char *body, size_t n_body);
};

struct load_spec {
    const char *url;                     /* "http://127.0.0.1:8001" */
    const char *method, *path, *headers; /* headers: additional lines, each ending with \r\n; NULL: none */
    const char *body;                    /* NULL: none */
    size_t n_body;
    const struct load_handlers *handlers;
    void *arg;
    /* A connection that an earlier call kept (load_call_keep); NULL: a new one. */
    struct load_conn *conn;
    int rcvbuf; /* SO_RCVBUF for a client that reads slowly; 0: the default */
};

/* Starts a call: sends the request at once, or as soon as it is connected. Strings are copied. A
 * connection that fails at once is reported by `done` in load_run() too, and one that was kept and has
 * ended meanwhile as LOAD_CUT. */
int load_call(struct load *l, const struct load_spec *spec, struct load_call **out, struct orcd_error *err);
void *load_call_arg(const struct load_call *c);
uint64_t load_call_sent_ns(const struct load_call *c); /* just before the send() of the last byte */
int load_call_status(const struct load_call *c);       /* 0: no head yet */

enum load_close { LOAD_CLOSE, LOAD_RESET /* SO_LINGER 0 */ };
/* Closes the connection and returns the time just before the close(). load_run() then calls `done` with
 * LOAD_CLOSED, and no other callback. */
uint64_t load_call_close(struct load_call *c, enum load_close how);
void load_call_half_close(struct load_call *c);         /* shutdown(SHUT_WR) */
void load_call_read(struct load_call *c, bool reading); /* false: stop reading; true: continue */
/* To be called in `done` of a complete call: keeps its connection open and returns it, for the `conn` of
 * a later call. NULL: the server has closed it. */
struct load_conn *load_call_keep(struct load_call *c);
void load_conn_close(struct load_conn *c); /* a kept one; accepts NULL */

#endif
