/*
 * One request from its head to its answer. The library calls exchange_handle first with the
 * head, then with each piece of the body, then at the body's end; it repeats this last call
 * until there is a response. If the answer has to wait, the first of these last calls
 * returns without a response, and only the next one suspends the connection. A connection
 * suspended in the first one would be read again when it is resumed, and the library would
 * take a half-closed client for a closed one.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/util.h"
#include "http/exchange-internal.h"
#include "http/gate.h"
#include "http/intake.h"
#include "http/refuse.h"
#include "http/server-internal.h"

void exchange_ref(struct exchange *x)
{
    atomic_fetch_add(&x->refs, 1);
}

void exchange_unref(struct exchange *x)
{
    if (atomic_fetch_sub(&x->refs, 1) != 1)
        return;
    if (x->ops && x->ops->free)
        x->ops->free(x->work);
    body_release(&x->body);
    stream_release(&x->out);
    api_key_unref(x->key);
    free(x->answer.body);
    free(x->uri);
    free(x);
}

void *exchange_begin(void *cls, const char *uri, struct MHD_Connection *mhd)
{
    struct loop *l = cls;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct conn *c = info ? info->socket_context : NULL;
    if (!c || c->x)
        return NULL;
    struct exchange *x = calloc(1, sizeof(*x));
    char *copy = strdup(uri ? uri : "");
    if (!x || !copy) {
        free(x);
        free(copy);
        return NULL;
    }
    atomic_init(&x->refs, 1);
    x->wake = l->wake;
    x->server = l->server;
    x->daemon = l->server->service->arg;
    x->conn = c;
    x->mhd = mhd;
    x->uri = copy;
    x->n_uri = strlen(copy);
    x->arrived_ns = clock_mono_ns();
    random_uuid(x->correlation_id);
    c->x = x;
    c->idle_ns = x->arrived_ns;
    c->bytes_waiting = false;
    if (!c->read_deadline_ns) /* the request arrived together with the end of the one before */
        conn_reading(c, x->arrived_ns);
    return x;
}

/* --- answering -------------------------------------------------------------------------- */

void exchange_answer(struct exchange *x, unsigned status, const char *type, char *body, size_t n)
{
    if (!body) {
        http_error_set(&x->error, API_OUT_OF_MEMORY, "out of memory");
        return;
    }
    free(x->answer.body);
    x->answer = (struct answer){.status = status, .body = body, .n = n, .type = type};
}

void exchange_answer_json(struct exchange *x, unsigned status, struct json_out *o)
{
    size_t n = 0;
    json_out_raw(o, "\n", 1);
    char *body = json_out_take(o, &n);
    exchange_answer(x, status, "application/json", body, n);
}

void exchange_attach(struct exchange *x, const struct http_work *ops, void *work)
{
    x->ops = ops;
    x->work = work;
}

void exchange_wait(struct exchange *x)
{
    x->accepted = true;
}

bool exchange_takes_work(struct exchange *x)
{
    if (!atomic_load(&x->server->draining))
        return true;
    http_error_set(&x->error, API_SHUTTING_DOWN, "the %s is shutting down", x->server->service->name);
    return false;
}

unsigned exchange_server_connections(const struct exchange *x)
{
    return atomic_load(&x->server->n_connections);
}

size_t exchange_server_held(const struct exchange *x)
{
    return atomic_load(&x->server->shares.bytes);
}

static unsigned hex_digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10;
}

bool exchange_parameter(const struct exchange *x, char *out, size_t size, size_t *n)
{
    size_t k = 0;
    for (const char *p = x->parameter; *p && *p != '?'; p++) {
        if (k + 1 >= size)
            return false;
        out[k++] = *p;
        if (*p == '%') { /* the gate has checked that two hex digits follow, and not 00 */
            out[k - 1] = (char)(hex_digit(p[1]) << 4 | hex_digit(p[2]));
            p += 2;
        }
    }
    out[k] = 0;
    *n = k;
    return true;
}

/* A request for work that was not accepted counts as refused, once. */
static void count_refused(struct exchange *x)
{
    const struct http_service *service = x->server->service;
    if (x->counted || !x->error.code || !x->route || !(x->route->flags & ROUTE_WORK) || x->accepted)
        return;
    x->counted = true;
    if (service->refused)
        service->refused(x);
}

static void header(void *response, const char *name, const char *value)
{
    MHD_add_response_header(response, name, value);
}

static enum MHD_Result queue(
    struct exchange *x, unsigned status, struct MHD_Response *r, enum exchange_state state)
{
    char number[16];
    if (!r)
        return MHD_NO;
    header(r, "X-Correlation-Id", x->correlation_id);
    if (x->error.shape && x->error.shape->headers)
        x->error.shape->headers(&x->error, x->correlation_id, header, r);
    header(r, "Cache-Control", "no-store");
    cors_headers(&x->server->cors, x->origin, x->route == &cors_preflight, r);
    if (x->error.code == API_METHOD_NOT_ALLOWED)
        header(r, "Allow", x->allow);
    if (x->error.code == API_UNAUTHORIZED)
        header(r, "WWW-Authenticate", "Bearer");
    if (x->error.retry_after_s) {
        snprintf(number, sizeof(number), "%u", x->error.retry_after_s);
        header(r, "Retry-After", number);
    }
    if (x->close || x->conn->loop->draining || (x->error.code && atomic_load(&x->server->draining)))
        header(r, "Connection", "close");
    x->state = state;
    x->conn->read_deadline_ns = 0;
    x->out.sent_ns = x->out.ticked_ns = clock_mono_ns();
    /* Only the nearest of its timers is set: the scan of the connections finds the others. */
    const struct http_params *p = &x->server->params;
    uint64_t ms = p->write_stall_ms / 4;
    if (state == X_STREAMING && p->ping_ms)
        ms = min_u64(ms, p->ping_ms);
    if (state == X_STREAMING && x->out.tick_ms)
        ms = min_u64(ms, x->out.tick_ms);
    loop_timer_at(x->conn->loop, x->out.sent_ns + ms * NS_PER_MS);
    enum MHD_Result ok = MHD_queue_response(x->mhd, status, r);
    MHD_destroy_response(r);
    return ok;
}

static struct share *share_of(const struct exchange *x)
{
    return x->key ? &x->key->use->share : x->conn->share;
}

/* A large answer is charged until the client has accepted it. That of work, and of a route without a body
 * (metrics), is sent in any case; the latter counts for all, not for its client. */
static void hold(struct exchange *x)
{
    struct shares *s = &x->server->shares;
    const bool has_body = x->route && x->route->flags & ROUTE_BODY;
    struct share *of = has_body ? share_of(x) : NULL;
    const size_t n = x->error.code || x->answer.n <= HTTP_INLINE_BODY_BYTES ? 0 : x->answer.n;
    if (!n)
        return;
    if (x->accepted || !has_body) {
        share_force(s, of, n);
    } else if (!share_take(s, of, n)) {
        http_error_set(&x->error, API_QUEUE_FULL,
            "too many large request bodies and answers are held for this client, or for all; read them, "
            "and try again");
        x->error.retry_after_s = 1;
        return;
    }
    x->held = n;
    x->held_of = of;
}

static enum MHD_Result queue_answer(struct exchange *x)
{
    struct answer a = x->answer;
    hold(x);
    count_refused(x);
    if (x->error.code) {
        free(a.body);
        a = (struct answer){.status = (unsigned)api_code_status(x->error.code), .type = "application/json"};
        a.body = http_error_body(&x->error, x->correlation_id, &a.n);
    }
    x->answer = (struct answer){0};
    struct MHD_Response *r =
        a.body ? MHD_create_response_from_buffer(a.n, a.body, MHD_RESPMEM_MUST_FREE) : NULL;
    if (!r) {
        free(a.body);
        return MHD_NO;
    }
    if (a.type)
        header(r, "Content-Type", a.type);
    return queue(x, a.status, r, X_ANSWERED);
}

static enum MHD_Result queue_stream(struct exchange *x)
{
    struct MHD_Response *r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, stream_read, x, NULL);
    if (!r)
        return MHD_NO;
    int on = 1;
    setsockopt(x->conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* a unix socket needs none */
    header(r, "Content-Type", "text/event-stream");
    header(r, "X-Accel-Buffering", "no");
    return queue(x, 200, r, X_STREAMING);
}

/* --- the body ------------------------------------------------------------------------------ */

static enum MHD_Result body_piece(struct exchange *x, const char *data, size_t n)
{
    if (!x->error.code && (x->route->flags & ROUTE_BODY)) {
        if (body_take(&x->body, x->server, share_of(x), data, n, &x->error))
            return MHD_YES;
        body_free(&x->body, x->server);
    }
    x->n_discarded += n;
    /* What is refused for now comes again from a client that gets to read why: it is read to its end. */
    const size_t drained =
        x->error.code == API_QUEUE_FULL ? (size_t)x->server->params.max_body_kb * 1024 : HTTP_DRAIN_BYTES;
    if (x->n_discarded <= drained)
        return MHD_YES;
    /* The library accepts no response in the middle of a body, so we write it ourselves. */
    if (!x->error.code)
        http_error_set(&x->error, API_PAYLOAD_TOO_LARGE, "this route does not accept a body");
    count_refused(x);
    refuse_raw(x->conn->fd, &x->error);
    return MHD_NO;
}

/* --- the work behind it ------------------------------------------------------------------------ */

void exchange_client_gone(struct exchange *x)
{
    if (x->gone)
        return;
    x->gone = true;
    if (x->accepted && x->ops->gone) /* before that an intake thread may use the work */
        x->ops->gone(x, x->rdhup_ns);
    exchange_wake(x);
}

void exchange_drain(struct exchange *x)
{
    if (x->accepted && x->ops->drain)
        x->ops->drain(x);
}

static enum MHD_Result wait_for_outcome(struct exchange *x)
{
    x->state = X_WAITING;
    if (x->conn->half_closed) {
        x->rdhup_ns = x->rdhup_ns ? x->rdhup_ns : clock_mono_ns();
        exchange_client_gone(x);
    }
    if (x->gone)
        return MHD_NO;
    if (!x->ops->has_outcome(x) && !x->conn->loop->draining) {
        MHD_suspend_connection(x->mhd);
        exchange_park(x, x->ops->has_outcome);
        return MHD_YES;
    }
    return x->ops->begin(x) ? queue_stream(x) : queue_answer(x);
}

static enum MHD_Result parsed(struct exchange *x)
{
    if (x->gone || (x->conn->half_closed && x->route->flags & ROUTE_WORK))
        return MHD_NO;
    body_free(&x->body, x->server);
    if (!x->error.code && !x->answer.status && x->route->run)
        x->route->run(x);
    if (x->accepted && !x->error.code)
        return wait_for_outcome(x);
    return queue_answer(x);
}

static bool is_due(const struct exchange *x)
{
    return clock_mono_ns() >= x->answer_ns;
}

/* What is refused for a wrong key may have to wait for its answer. */
static enum MHD_Result answer_refusal(struct exchange *x)
{
    if (x->gone)
        return MHD_NO;
    if (is_due(x) || x->conn->loop->draining)
        return queue_answer(x);
    x->state = X_DELAYED;
    loop_timer_at(x->conn->loop, x->answer_ns);
    MHD_suspend_connection(x->mhd);
    exchange_park(x, is_due);
    return MHD_YES;
}

static enum MHD_Result complete(struct exchange *x)
{
    if (x->error.code)
        return answer_refusal(x);
    if (x->route->parse && x->body.n > HTTP_INLINE_BODY_BYTES && !x->conn->loop->draining) {
        x->state = X_WORKING;
        MHD_suspend_connection(x->mhd);
        if (intake_push(x->server->intake, x))
            return MHD_YES;
        MHD_resume_connection(x->mhd);
    }
    if (x->route->parse)
        x->route->parse(x);
    x->state = X_PARSED;
    return parsed(x);
}

enum MHD_Result exchange_handle(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
    const char *version, const char *data, size_t *n_data, void **con_cls)
{
    struct exchange *x = *con_cls;
    (void)cls, (void)mhd;
    if (!x)
        return MHD_NO; /* exchange_begin() was out of memory */
    switch (x->state) {
    case X_HEAD:
        gate_head(x, url, method, version);
        x->state = X_BODY;
        return x->error.code && x->close && !x->answer_ns ? queue_answer(x) : MHD_YES;
    case X_BODY:
        if (*n_data) {
            size_t n = *n_data;
            *n_data = 0;
            return body_piece(x, data, n);
        }
        x->conn->read_deadline_ns = 0;
        if (!x->error.code && x->route->flags & ROUTE_BODY)
            body_end(&x->body, &x->error);
        x->state = X_COMPLETE;
        return MHD_YES;
    case X_COMPLETE:
        return complete(x);
    case X_DELAYED:
        return answer_refusal(x);
    case X_WORKING: /* an intake thread has parsed it */
        x->state = X_PARSED;
        return parsed(x);
    case X_WAITING:
        return wait_for_outcome(x);
    default:
        return MHD_NO;
    }
}

void exchange_completed(
    void *cls, struct MHD_Connection *mhd, void **con_cls, enum MHD_RequestTerminationCode code)
{
    struct exchange *x = *con_cls;
    (void)cls, (void)mhd;
    *con_cls = NULL;
    if (!x)
        return;
    struct conn *c = x->conn;
    if (x->state >= X_COMPLETE && x->state < X_ANSWERED && !x->error.code)
        http_error_set(
            &x->error, API_CLIENT_DISCONNECTED, "the client disconnected before its request was accepted");
    count_refused(x);
    if (x->accepted) { /* the work may not have finished */
        x->rdhup_ns = x->rdhup_ns ? x->rdhup_ns : clock_mono_ns();
        exchange_client_gone(x);
    }
    body_free(&x->body, x->server);
    share_return(&x->server->shares, x->held_of, x->held);
    c->x = NULL;
    c->idle_ns = clock_mono_ns();
    c->loop->half_closed_seen |= c->half_closed;
    x->conn = NULL;
    c->read_deadline_ns = 0;
    if (c->bytes_waiting) { /* the next request has begun already */
        c->bytes_waiting = false;
        conn_reading(c, clock_mono_ns());
    }
    if (x->ops && x->ops->drop)
        x->ops->drop(
            x, x->state == X_ANSWERED && code == MHD_REQUEST_TERMINATED_COMPLETED_OK && !x->error.code);
    exchange_unref(x);
}
