/* Calls of the load generator: their requests, their replies, and how they end. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "lib/load-internal.h"

static bool on_head(void *arg, int status)
{
    struct load_call *c = arg;
    if (c->handlers->head)
        c->handlers->head(c, status, c->kernel_ns);
    return !c->ending;
}

static bool on_event(void *arg, enum load_event_kind kind, uint64_t at_us, const char *data, size_t n_data)
{
    struct load_call *c = arg;
    struct load_event e = {.kind = kind,
        .kernel_ns = c->kernel_ns,
        .recv_ns = c->recv_ns,
        .sampled_ns = load_from_real(c->load, at_us * 1000),
        .data = data,
        .n_data = n_data};
    if (c->handlers->event)
        c->handlers->event(c, &e);
    return !c->ending;
}

const struct reply_sink call_sink = {on_head, on_event};

void call_end(struct load_call *c, enum load_outcome how)
{
    if (c->ending)
        return;
    c->ending = true;
    c->outcome = how;
    if (c->conn && how != LOAD_COMPLETE)
        conn_close(c->conn, false);
    c->next = NULL;
    *c->load->ended_tail = c;
    c->load->ended_tail = &c->next;
}

void call_free(struct load_call *c)
{
    reply_release(&c->reply);
    free(c->out);
    free(c);
}

void calls_run_ended(struct load *l)
{
    while (l->ended) {
        struct load_call *c = l->ended;
        l->ended = c->next;
        if (!l->ended)
            l->ended_tail = &l->ended;
        l->n_calls--;
        if (c->handlers->done)
            c->handlers->done(c, c->outcome, c->reply.body.p ? c->reply.body.p : "", c->reply.body.n);
        if (c->conn)
            conn_close(c->conn, false);
        call_free(c);
    }
}

static int build_request(struct load_call *c, const struct load_spec *s, struct orcd_error *err)
{
    char head[1024];
    const char *host = s->url + (strncmp(s->url, "http://", 7) == 0 ? 7 : 0);
    const char *more = s->headers ? s->headers : "";
    int n = snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nHost: %.*s\r\n", s->method, s->path,
        (int)strcspn(host, "/"), host);
    if (n > 0 && (size_t)n < sizeof(head) && s->body)
        n += snprintf(head + n, sizeof(head) - (size_t)n,
            "Content-Type: application/json\r\nContent-Length: %zu\r\n", s->n_body);
    if (n < 0 || (size_t)n >= sizeof(head))
        return error_set(err, ORCD_E_INVALID, "method, path and host are too long");
    size_t n_more = strlen(more), n_body = s->body ? s->n_body : 0, total;
    if (__builtin_add_overflow((size_t)n + n_more + 2, n_body, &total) || !(c->out = malloc(total)))
        return error_set(err, ORCD_E_NOMEM, "out of memory for a request");
    memcpy(c->out, head, (size_t)n);
    memcpy(c->out + n, more, n_more);
    memcpy(c->out + n + n_more, "\r\n", 2);
    if (n_body)
        memcpy(c->out + n + n_more + 2, s->body, n_body);
    c->n_out = total;
    c->reply.no_body = strcmp(s->method, "HEAD") == 0;
    return 0;
}

int load_call(struct load *l, const struct load_spec *spec, struct load_call **out, struct orcd_error *err)
{
    struct load_call *c = calloc(1, sizeof(*c));
    if (!c)
        return error_set(err, ORCD_E_NOMEM, "out of memory for a call");
    c->load = l;
    c->handlers = spec->handlers;
    c->arg = spec->arg;
    int rc = build_request(c, spec, err);
    if (!rc) {
        c->conn = spec->conn ? spec->conn : conn_open(l, spec, err);
        rc = c->conn ? 0 : -1;
    }
    if (rc) {
        call_free(c);
        return rc;
    }
    c->conn->call = c;
    l->n_calls++;
    if (c->conn->dead)
        call_end(c, LOAD_CUT);
    else if (c->conn->connected)
        conn_send(c);
    if (out)
        *out = c;
    return 0;
}

void *load_call_arg(const struct load_call *c)
{
    return c->arg;
}

uint64_t load_call_sent_ns(const struct load_call *c)
{
    return c->n_sent == c->n_out ? c->sent_ns : 0;
}

int load_call_status(const struct load_call *c)
{
    return c->reply.status;
}

uint64_t load_call_close(struct load_call *c, enum load_close how)
{
    uint64_t now = clock_mono_ns();
    if (c->ending)
        return now;
    conn_close(c->conn, how == LOAD_RESET);
    call_end(c, LOAD_CLOSED);
    return now;
}

void load_call_half_close(struct load_call *c)
{
    if (c->ending)
        return;
    c->half_close = true;
    if (c->conn->connected)
        conn_send(c);
}

void load_call_read(struct load_call *c, bool reading)
{
    c->paused = !reading;
    if (!c->ending)
        conn_watch(c->conn);
}

struct load_conn *load_call_keep(struct load_call *c)
{
    struct load_conn *conn = c->conn;
    if (!conn || c->outcome != LOAD_COMPLETE || !c->reply.keep_alive)
        return NULL;
    c->conn = NULL;
    conn->call = NULL;
    conn_watch(conn);
    return conn;
}

void load_conn_close(struct load_conn *c)
{
    if (c)
        conn_close(c, false);
}
