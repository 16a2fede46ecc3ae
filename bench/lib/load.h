/*
 * The load generator: HTTP/1.1 and SSE over one epoll set on one thread, made to hold
 * 1000 streams on one core. A call is one request on one connection. Times are
 * CLOCK_MONOTONIC nanoseconds. `kernel_ns` is when the kernel received the bytes
 * (SO_TIMESTAMPNS, brought over to the monotonic clock; recv_ns where it gave no stamp),
 * `recv_ns` when recv() returned them; several events in one read share both.
 *
 * Callbacks run inside load_run() and may start, close and free calls, their own too.
 * Nothing here is thread safe; a process may have several loads.
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
/* Closes what is open (kept connections too) and calls nobody; takes NULL. */
void load_free(struct load *l);
/* Runs callbacks and timers until load_stop(), until_ns (0: no limit), or until there
 * is neither a call nor a timer left. False: the time was up. */
bool load_run(struct load *l, uint64_t until_ns);
void load_stop(struct load *l);
/* Calls fn(arg) at that time, to the microsecond as far as the system can (a timerfd). */
int load_at(struct load *l, uint64_t at_ns, void (*fn)(void *arg), void *arg);

enum load_event_kind {
    LOAD_STARTED,
    LOAD_TOKEN, /* of an OpenAI stream: a chunk with text; text without an id is OTHER */
    LOAD_END,   /* end, or [DONE] */
    LOAD_ERROR,
    LOAD_COMMENT, /* ping, probe */
    LOAD_OTHER
};

struct load_event {
    enum load_event_kind kind;
    uint64_t kernel_ns, recv_ns;
    uint64_t sampled_ns; /* of a token that was asked for with timestamps; 0: unknown */
    const char *data;    /* the data line, NUL-terminated; "" */
    size_t n_data;
};

/* How a call ended. */
enum load_outcome {
    LOAD_COMPLETE, /* the whole response came */
    LOAD_CUT,      /* the peer closed or reset before that */
    LOAD_REFUSED,  /* no connection */
    LOAD_CLOSED    /* by load_call_close */
};

struct load_handlers {
    /* Each may be NULL. */
    void (*connected)(struct load_call *c, uint64_t at_ns);
    void (*head)(struct load_call *c, int status, uint64_t kernel_ns);
    void (*event)(struct load_call *c, const struct load_event *e);
    /* The last one. body: of a response that is no event stream, NUL-terminated. The
     * call is freed after it returns. */
    void (*done)(struct load_call *c, enum load_outcome how, const char *body, size_t n_body);
};

struct load_spec {
    const char *url;                     /* "http://127.0.0.1:8001" */
    const char *method, *path, *headers; /* headers: further lines, each with \r\n; NULL */
    const char *body;                    /* NULL: none */
    size_t n_body;
    const struct load_handlers *handlers;
    void *arg;
    /* A connection that an earlier call left open (load_call_keep), or NULL. */
    struct load_conn *conn;
    int rcvbuf; /* SO_RCVBUF for a client that reads slowly; 0: the system's */
};

/* Sends at once (or when connected). Strings are copied. What fails at once shows like the
 * rest, by `done` from load_run(). A kept connection that ended meanwhile: LOAD_CUT. */
int load_call(struct load *l, const struct load_spec *spec, struct load_call **out, struct orcd_error *err);
void *load_call_arg(const struct load_call *c);
uint64_t load_call_sent_ns(const struct load_call *c); /* before the send() of its last byte */
int load_call_status(const struct load_call *c);       /* 0: no head yet */

enum load_close { LOAD_CLOSE, LOAD_RESET /* SO_LINGER 0 */ };
/* Time just before the close(); load_run() then calls `done` with LOAD_CLOSED, and no
 * other callback. */
uint64_t load_call_close(struct load_call *c, enum load_close how);
void load_call_half_close(struct load_call *c);         /* shutdown(SHUT_WR) */
void load_call_read(struct load_call *c, bool reading); /* stop reading, go on */
/* From `done` of a complete call: its connection, to be given to the next. NULL: the
 * server closed it. */
struct load_conn *load_call_keep(struct load_call *c);
void load_conn_close(struct load_conn *c); /* takes NULL */

#endif
