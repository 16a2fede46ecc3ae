#include "cases/soak.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"

enum kind {
    STREAM,
    WHOLE,
    CANCEL,
    CLOSE,
    RESET,
    EARLY_CLOSE,
    WHOLE_CLOSE,
    HALF_CLOSE,
    DEADLINE,
    DEADLINE_WHOLE,
    PARTIAL,
    SLOW_READER,
    DUPLICATE,
    PAST,
    TOO_LONG,
    MALFORMED,
    UNKNOWN_FIELD,
    NO_BODY, /* announced, but it never comes */
    NOWHERE, /* another route: no job is asked for */
    N_KINDS
};

static const unsigned weights[N_KINDS] = {
    [STREAM] = 20,
    [WHOLE] = 10,
    [CANCEL] = 12,
    [CLOSE] = 10,
    [RESET] = 10,
    [EARLY_CLOSE] = 6,
    [WHOLE_CLOSE] = 5,
    [HALF_CLOSE] = 5,
    [DEADLINE] = 6,
    [DEADLINE_WHOLE] = 3,
    [PARTIAL] = 6,
    [SLOW_READER] = 2,
    [DUPLICATE] = 4,
    [PAST] = 2,
    [TOO_LONG] = 2,
    [MALFORMED] = 4,
    [UNKNOWN_FIELD] = 2,
    [NO_BODY] = 1,
    [NOWHERE] = 2,
};

#define SLOW_MS 3000 /* longer than the server's patience with a client that reads nothing */

struct client {
    struct soak_clients *all;
    struct load_call *call;
    struct load_conn *conn; /* left open by the request before */
    enum kind kind;
    char id[32];
    uint32_t at_token; /* does its thing then; 0: by the clock */
    uint32_t n_tokens;
    unsigned n_ends;
    bool left, failed;
    uint64_t round; /* tells timers of a request that is over */
};

struct soak_clients {
    struct load *load;
    const struct target *target;
    uint64_t random, serial;
    bool stop;
    struct soak_counts counts;
    unsigned n;
    struct client *clients;
};

static uint64_t below(struct soak_clients *s, uint64_t n)
{
    s->random = s->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (s->random >> 33) % n;
}

static void wrong(struct client *c, const char *fmt, ...)
{
    struct soak_counts *k = &c->all->counts;
    if (k->wrong++)
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(k->first_wrong, sizeof(k->first_wrong), fmt, args);
    va_end(args);
}

/* --- later ----------------------------------------------------------------------------- */

struct later {
    struct client *client;
    uint64_t round;
    void (*fn)(struct client *c);
};

static void run_later(void *arg)
{
    struct later l = *(struct later *)arg;
    free(arg);
    if (l.client->round == l.round)
        l.fn(l.client);
}

static void later_ms(struct client *c, uint64_t ms, void (*fn)(struct client *c))
{
    struct later *l = malloc(sizeof(*l));
    if (!l)
        exit(EX_OSERR);
    *l = (struct later){c, c->round, fn};
    if (load_at(c->all->load, clock_mono_ns() + ms * NS_PER_MS + below(c->all, NS_PER_MS), run_later, l))
        exit(EX_OSERR);
}

/* --- what a client does in the middle of its request ------------------------------------- */

static void side_done(struct load_call *call, enum load_outcome how, const char *body, size_t n)
{
    struct client *c = load_call_arg(call);
    int status = load_call_status(call);
    (void)body, (void)n;
    c->all->counts.open--;
    if (how != LOAD_COMPLETE || (status != 202 && status != 404))
        wrong(c, "a cancel had status %d, outcome %d", status, how);
}

static void cancel(struct client *c)
{
    static const struct load_handlers handlers = {.done = side_done};
    struct orcd_error err = ORCD_ERROR_INIT;
    char body[64];
    int n = snprintf(body, sizeof(body), "{\"job_id\":\"%s\"}", c->id);
    struct load_spec spec = {.url = target_url(c->all->target),
        .method = "POST",
        .path = "/v2/cancel",
        .body = body,
        .n_body = (size_t)n,
        .handlers = &handlers,
        .arg = c};
    if (load_call(c->all->load, &spec, NULL, &err)) {
        wrong(c, "%.120s", err.msg);
        return;
    }
    c->all->counts.other_sent++;
    c->all->counts.open++;
}

static void leave(struct client *c)
{
    if (!c->call || c->left)
        return;
    c->left = true;
    load_call_close(c->call, c->kind == RESET ? LOAD_RESET : LOAD_CLOSE);
}

static void act(struct client *c)
{
    if (c->kind == CANCEL)
        cancel(c);
    else
        leave(c);
}

/* --- its request --------------------------------------------------------------------------- */

static void on_connected(struct load_call *call, uint64_t at_ns)
{
    struct client *c = load_call_arg(call);
    (void)at_ns;
    if (c->kind == SLOW_READER)
        load_call_read(call, false);
}

static void on_event(struct load_call *call, const struct load_event *e)
{
    struct client *c = load_call_arg(call);
    if (e->kind == LOAD_END || e->kind == LOAD_ERROR) {
        c->n_ends++;
        c->failed = e->kind == LOAD_ERROR;
    } else if (c->n_ends) {
        wrong(c, "an event followed the terminal event of %s", c->id);
    }
    if (e->kind == LOAD_TOKEN && ++c->n_tokens == c->at_token)
        act(c);
}

static bool is_job(enum kind kind)
{
    return kind != NOWHERE;
}

static void judge(struct client *c, enum load_outcome how, int status)
{
    struct soak_counts *k = &c->all->counts;
    bool stream = c->kind != WHOLE && c->kind != WHOLE_CLOSE && c->kind != DEADLINE_WHOLE;
    if (c->left) {
        k->left++;
    } else if (how == LOAD_CUT && (c->kind == HALF_CLOSE || c->kind == SLOW_READER)) {
        k->left++; /* the server takes it for gone */
    } else if (how != LOAD_COMPLETE) {
        wrong(c, "a request of kind %d ended with outcome %d, status %d, %u tokens", c->kind, how, status,
            c->n_tokens);
    } else if (status >= 400) {
        k->refused++;
    } else if (stream && is_job(c->kind) && c->n_ends != 1) {
        wrong(c, "a stream of kind %d had %u terminal events", c->kind, c->n_ends);
    } else if (c->failed) {
        k->failed++;
    } else {
        k->ended++;
    }
}

static void next(struct client *c);

static void on_done(struct load_call *call, enum load_outcome how, const char *body, size_t n)
{
    struct client *c = load_call_arg(call);
    struct soak_clients *s = c->all;
    int status = load_call_status(call);
    (void)body, (void)n;
    s->counts.open--;
    if (load_call_sent_ns(call))
        *(is_job(c->kind) ? &s->counts.jobs_sent : &s->counts.other_sent) += 1;
    judge(c, how, status);
    c->conn = c->kind == HALF_CLOSE ? NULL : load_call_keep(call);
    c->call = NULL;
    c->round++;
    if (c->conn && (s->stop || below(s, 4) == 0)) {
        load_conn_close(c->conn);
        c->conn = NULL;
    }
    if (!s->stop) /* most who are told that the queue is full wait a little */
        later_ms(c, below(s, status == 429 && below(s, 4) ? 400 : 8), next);
}

static void begin(struct client *c, const char *path, const char *headers, const char *body, size_t n)
{
    static const struct load_handlers handlers = {
        .connected = on_connected, .event = on_event, .done = on_done};
    struct soak_clients *s = c->all;
    struct orcd_error err = ORCD_ERROR_INIT;
    struct load_spec spec = {.url = target_url(s->target),
        .method = "POST",
        .path = path,
        .headers = headers,
        .body = body,
        .n_body = n,
        .handlers = &handlers,
        .arg = c,
        .conn = c->kind == SLOW_READER ? NULL : c->conn,
        .rcvbuf = c->kind == SLOW_READER ? 4096 : 0};
    if (c->kind == SLOW_READER)
        load_conn_close(c->conn);
    c->conn = NULL;
    if (load_call(s->load, &spec, &c->call, &err)) {
        wrong(c, "%.120s", err.msg);
        return;
    }
    s->counts.open++;
}

static void begin_job(struct client *c, const char *headers)
{
    struct soak_clients *s = c->all;
    bool slow = c->kind == SLOW_READER;
    struct target_prompt p = {.job_id = c->id,
        .n_tokens = 4 + (uint32_t)below(s, 200),
        .salt = s->serial,
        .max_tokens = slow ? 1500 : 1 + (uint32_t)below(s, 60),
        .stream = c->kind != WHOLE && c->kind != WHOLE_CLOSE && c->kind != DEADLINE_WHOLE,
        .params = slow                  ? "\"logprobs\":20"
                  : c->kind == PARTIAL  ? "\"on_deadline\":\"partial\""
                  : c->kind == TOO_LONG ? "\"stop\":[\"x\"]"
                                        : NULL};
    if (c->kind == TOO_LONG)
        p.n_tokens = 4000;
    struct target_request req;
    struct orcd_error err = ORCD_ERROR_INIT;
    if (target_request(&req, s->target, &p, &err))
        exit(EX_OSERR);
    if (c->kind == MALFORMED) /* cut, so that it is no JSON any more */
        req.n_body -= 1 + below(s, req.n_body - 2);
    begin(c, req.path, headers, req.body, req.n_body);
    target_request_release(&req);
}

static enum kind draw(struct soak_clients *s)
{
    unsigned total = 0, kind = 0;
    for (unsigned i = 0; i < N_KINDS; i++)
        total += weights[i];
    uint64_t x = below(s, total);
    for (; x >= weights[kind]; kind++)
        x -= weights[kind];
    return (enum kind)kind;
}

static void next(struct client *c)
{
    static const char unknown[] = "{\"job_id\":\"x\",\"prompt\":\"x\",\"colour\":\"blue\"}";
    struct soak_clients *s = c->all;
    char headers[96] = "";
    if (s->stop)
        return;
    c->kind = draw(s);
    c->n_tokens = c->n_ends = 0;
    c->left = c->failed = false;
    c->at_token = 0;
    snprintf(c->id, sizeof(c->id), "soak-%llu", (unsigned long long)++s->serial);
    const struct client *other = &s->clients[below(s, s->n)];
    switch (c->kind) {
    case DUPLICATE:
        if (other != c && other->call && *other->id)
            memcpy(c->id, other->id, sizeof(c->id));
        break;
    case DEADLINE:
    case DEADLINE_WHOLE:
    case PARTIAL:
        snprintf(headers, sizeof(headers), "Request-Timeout-Ms: %u\r\n", 5 + (unsigned)below(s, 120));
        break;
    case PAST:
        snprintf(headers, sizeof(headers), "X-Deadline: 2001-01-01T00:00:00Z\r\n");
        break;
    case UNKNOWN_FIELD:
        begin(c, "/v2/execute", NULL, unknown, sizeof(unknown) - 1);
        return;
    case NOWHERE:
        begin(c, "/v2/nowhere", NULL, "{}", 2);
        return;
    case NO_BODY:
        begin(c, "/v2/execute", "Content-Type: application/json\r\nContent-Length: 100\r\n", NULL, 0);
        return;
    default:
        break;
    }
    begin_job(c, *headers ? headers : NULL);
    if (!c->call)
        return;
    bool midway = c->kind == CANCEL || c->kind == CLOSE;
    if (c->kind == RESET || (midway && below(s, 2))) /* a reset takes unread requests along */
        c->at_token = 1 + (uint32_t)below(s, 20);
    else if (midway || c->kind == EARLY_CLOSE || c->kind == WHOLE_CLOSE)
        later_ms(c, below(s, c->kind == EARLY_CLOSE ? 3 : 60), act);
    else if (c->kind == SLOW_READER)
        later_ms(c, SLOW_MS, act);
    else if (c->kind == HALF_CLOSE)
        load_call_half_close(c->call);
}

int soak_clients_new(struct soak_clients **out, struct load *l, const struct target *t, unsigned n,
    uint64_t seed, struct orcd_error *err)
{
    struct soak_clients *s = calloc(1, sizeof(*s));
    if (!s || !(s->clients = calloc(n, sizeof(*s->clients)))) {
        free(s);
        return error_set(err, ORCD_E_NOMEM, "out of memory for clients");
    }
    s->load = l;
    s->target = t;
    s->random = seed;
    s->n = n;
    for (unsigned i = 0; i < n; i++) {
        s->clients[i].all = s;
        later_ms(&s->clients[i], below(s, 200), next);
    }
    *out = s;
    return 0;
}

void soak_clients_stop(struct soak_clients *s)
{
    s->stop = true;
    for (unsigned i = 0; i < s->n; i++) {
        load_conn_close(s->clients[i].conn);
        s->clients[i].conn = NULL;
    }
}

void soak_clients_counts(const struct soak_clients *s, struct soak_counts *out)
{
    *out = s->counts;
}

void soak_clients_free(struct soak_clients *s)
{
    if (!s)
        return;
    free(s->clients);
    free(s);
}
